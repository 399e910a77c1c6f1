//! What can be wrong with a model, as facts; the text is made here.

use std::fmt;
use std::path::{Path, PathBuf};

pub type Result<T, E = TextError> = std::result::Result<T, E>;

/// One thing wrong with one file (or the folder) of a model.
#[derive(Debug)]
pub struct TextError {
    pub file: PathBuf,
    pub problem: Box<Problem>,
}

#[derive(Debug)]
pub enum Problem {
    /// `other`: weights in a format that is not read.
    Missing {
        other: Option<String>,
    },
    Io(std::io::Error),
    Tokenizer {
        reason: String,
    },
    /// The tokenizer refuses a text.
    Text {
        reason: String,
    },
    Json {
        reason: String,
    },
    Safetensors {
        reason: String,
    },
    ModelType {
        found: String,
        known: &'static [&'static str],
    },
    Setting {
        key: &'static str,
        found: String,
        expected: String,
    },
    NoTensor {
        name: String,
    },
    Shape {
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    TensorType {
        name: String,
        found: String,
    },
    /// The tokenizer knows a token that the table of embeddings has no row for.
    TokenBeyond {
        id: u32,
        rows: usize,
    },
    TooLong {
        length: usize,
        positions: usize,
    },
    TooShort {
        length: usize,
        special: usize,
    },
    NoPooler,
}

impl TextError {
    pub fn new(file: impl Into<PathBuf>, problem: Problem) -> Self {
        TextError { file: file.into(), problem: Box::new(problem) }
    }

    pub(crate) fn io(file: &Path, error: std::io::Error) -> Self {
        let problem = match error.kind() {
            std::io::ErrorKind::NotFound => Problem::Missing { other: None },
            _ => Problem::Io(error),
        };
        Self::new(file, problem)
    }

    /// A stable name for this kind of mistake.
    pub fn code(&self) -> &'static str {
        match &*self.problem {
            Problem::Missing { .. } => "missing_file",
            Problem::Io(_) => "io",
            Problem::Tokenizer { .. } => "tokenizer",
            Problem::Text { .. } => "text",
            Problem::Json { .. } | Problem::Safetensors { .. } => "corrupt",
            Problem::ModelType { .. } => "model_type",
            Problem::Setting { .. } => "setting",
            Problem::NoTensor { .. } | Problem::Shape { .. } | Problem::TensorType { .. } => "tensor",
            Problem::TokenBeyond { .. } => "vocabulary",
            Problem::TooLong { .. } | Problem::TooShort { .. } => "length",
            Problem::NoPooler => "no_pooler",
        }
    }

    /// What to do about it, where something can be said.
    pub fn help(&self) -> Option<String> {
        let text = match &*self.problem {
            Problem::Missing { other: Some(_) } => {
                "weights are read from safetensors; `save_pretrained` of the `transformers` library writes them"
            }
            Problem::Missing { .. } => {
                "a model is a folder with `tokenizer.json`, and for `embed` with `config.json` and \
                 `model.safetensors`"
            }
            Problem::TooLong { positions, .. } => {
                return Some(format!("write `length: {positions}` or less"));
            }
            Problem::TooShort { special, .. } => {
                return Some(format!("write `length: {}` or more", special + 1));
            }
            Problem::NoPooler => "write `pool: mean` or `pool: cls`",
            Problem::TokenBeyond { .. } => "take the tokenizer and the weights from one model",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl std::error::Error for TextError {}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing { other: None } => write!(f, "it is not there"),
            Problem::Missing { other: Some(other) } => write!(f, "it is not there, only `{other}`"),
            Problem::Io(error) => write!(f, "{error}"),
            Problem::Tokenizer { reason } => write!(f, "this is no tokenizer: {reason}"),
            Problem::Text { reason } => write!(f, "a text cannot be cut into tokens: {reason}"),
            Problem::Json { reason } => write!(f, "this is no configuration: {reason}"),
            Problem::Safetensors { reason } => write!(f, "these are no weights: {reason}"),
            Problem::ModelType { found, known } => {
                write!(f, "models of type `{found}` are not read, only {}", known.join(", "))
            }
            Problem::Setting { key, found, expected } => write!(f, "`{key}` is {found}, expected {expected}"),
            Problem::NoTensor { name } => write!(f, "the tensor `{name}` is not there"),
            Problem::Shape { name, found, expected } => {
                write!(f, "the tensor `{name}` has shape {found:?}, expected {expected:?}")
            }
            Problem::TensorType { name, found } => {
                write!(f, "the tensor `{name}` is of type {found}; read are F32, F16 and BF16")
            }
            Problem::TokenBeyond { id, rows } => {
                write!(f, "it gives the token {id}, and the model has embeddings of {rows} tokens")
            }
            Problem::TooLong { length, positions } => {
                write!(f, "the model reads at most {positions} tokens of a text, and {length} are wanted")
            }
            Problem::TooShort { length, special } => {
                write!(f, "{length} tokens leave no room for the text beside {special} special ones")
            }
            Problem::NoPooler => write!(f, "the model has no pooler"),
        }
    }
}
