//! What can be wrong with a graph file.

use std::fmt;
use std::path::PathBuf;

#[derive(Debug)]
pub enum GraphError {
    Missing {
        file: PathBuf,
    },
    Io {
        file: PathBuf,
        error: std::io::Error,
    },
    /// Not HDF5, or cut short.
    Unreadable {
        file: PathBuf,
        reason: String,
    },
    /// HDF5, but no graph.
    NotAGraph {
        file: PathBuf,
    },
    Version {
        file: PathBuf,
        found: u32,
        expected: u32,
    },
    Dataset {
        file: PathBuf,
        dataset: String,
        reason: String,
    },
    Write {
        file: PathBuf,
        what: String,
        reason: String,
    },
}

impl GraphError {
    pub fn code(&self) -> &'static str {
        match self {
            GraphError::Missing { .. } => "no_graph",
            GraphError::Io { .. } => "io",
            GraphError::Unreadable { .. } | GraphError::Dataset { .. } => "corrupt_graph",
            GraphError::NotAGraph { .. } => "not_a_graph",
            GraphError::Version { .. } => "graph_version",
            GraphError::Write { .. } => "graph_write",
        }
    }

    pub fn help(&self) -> Option<String> {
        match self {
            GraphError::Missing { .. } | GraphError::Unreadable { .. } | GraphError::Dataset { .. } => {
                Some("build the graph again".into())
            }
            GraphError::Version { .. } => {
                Some("the file is of another version of gsc: build the graph again".into())
            }
            GraphError::Write { reason, .. } if reason.contains("No space left") => {
                Some("free some space, or choose another folder; nothing was left behind".into())
            }
            _ => None,
        }
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GraphError::Missing { file } => write!(f, "{}: there is no such graph file", file.display()),
            GraphError::Io { file, error } => write!(f, "{}: {error}", file.display()),
            GraphError::Unreadable { file, reason } => {
                write!(f, "{}: the graph file is truncated or corrupt: {reason}", file.display())
            }
            GraphError::NotAGraph { file } => write!(f, "{}: an HDF5 file, but not a graph", file.display()),
            GraphError::Version { file, found, expected } => {
                write!(f, "{}: layout version {found}, expected {expected}", file.display())
            }
            GraphError::Dataset { file, dataset, reason } => {
                write!(f, "{}: dataset `{dataset}` is corrupt: {reason}", file.display())
            }
            GraphError::Write { file, what, reason } => {
                write!(f, "{}: cannot write `{what}`: {reason}", file.display())
            }
        }
    }
}

impl std::error::Error for GraphError {}
