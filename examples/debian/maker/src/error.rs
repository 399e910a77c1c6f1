//! Every way in which making the tables can fail, with the facts that a person needs to mend it.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` needs a value (see --help)")]
    MissingValue(String),

    #[error("do not know the argument `{0}` (see --help)")]
    UnknownArgument(String),

    #[error("no package list that fits in {folder}; run `apt-get update`, or loosen --suite and --component")]
    NoLists { folder: PathBuf },

    #[error("{path} is compressed in a way that is not read here; unpack it beside itself and run again")]
    Compression { path: PathBuf },

    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },

    #[error("{path}: {error}")]
    Parquet { path: PathBuf, error: parquet::errors::ParquetError },

    #[error("{path}:{line}: expected `Field: value`, found {found:?}")]
    Stanza { path: PathBuf, line: usize, found: String },

    #[error("package `{package}` has no field `{field}`; is the list whole?")]
    MissingField { package: String, field: &'static str },

    #[error("package `{package}`: `{field}` should be a whole number, found `{found}`")]
    NotANumber { package: String, field: &'static str, found: String },
}

impl Error {
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |error| Self::Io { path, error }
    }
}
