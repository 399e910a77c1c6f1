//! The folder of a model: which files count, what can be known without reading a text, and what identifies it.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::encoder::Encoder;
use crate::error::{Problem, Result, TextError};

pub const TOKENIZER: &str = "tokenizer.json";
pub const CONFIG: &str = "config.json";
pub const WEIGHTS: &str = "model.safetensors";

/// The files of a model that are read.
pub const FILES: [&str; 3] = [TOKENIZER, CONFIG, WEIGHTS];

/// Weights in formats that are not read.
const OTHER_WEIGHTS: [&str; 5] = [
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
];

/// What the headers of an encoder say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Numbers of a vector.
    pub width: usize,
    /// Tokens of a text that the model can read, special ones among them.
    pub positions: usize,
    pub pooler: bool,
}

/// Looks at a folder, in milliseconds. `None`: there is a tokenizer and nothing else, enough for tokens.
///
/// # Errors
/// A file is missing, the model is of a kind that is not read, or a tensor is missing or misshapen.
pub fn look(folder: &Path) -> Result<Option<About>> {
    File::open(folder.join(TOKENIZER)).map_err(|e| TextError::io(&folder.join(TOKENIZER), e))?;
    if !folder.join(CONFIG).exists() && !folder.join(WEIGHTS).exists() {
        return Ok(None);
    }
    let encoder = Encoder::open(folder, &Config::read(&folder.join(CONFIG))?)?;
    Ok(Some(encoder.about()))
}

/// The file of the weights.
pub fn weights(folder: &Path) -> Result<PathBuf> {
    let file = folder.join(WEIGHTS);
    if file.exists() {
        return Ok(file);
    }
    let other = OTHER_WEIGHTS.into_iter().find(|name| folder.join(name).exists()).map(str::to_owned);
    Err(TextError::new(file, Problem::Missing { other }))
}

/// A hash of what the folder says about texts: names, sizes and contents of the files that are read. Other files of the
/// folder, and where it lies, do not count.
///
/// # Errors
/// A file cannot be read.
pub fn fingerprint(folder: &Path) -> Result<[u8; 32]> {
    let mut all = blake3::Hasher::new();
    for name in FILES {
        let path = folder.join(name);
        if !path.exists() && name != TOKENIZER {
            continue;
        }
        let io = |e| TextError::io(&path, e);
        let mut one = blake3::Hasher::new();
        let mut file = File::open(&path).map_err(io)?;
        let size = std::io::copy(&mut file, &mut one).map_err(io)?;
        all.update(name.as_bytes()).update(&size.to_le_bytes()).update(one.finalize().as_bytes());
    }
    Ok(*all.finalize().as_bytes())
}
