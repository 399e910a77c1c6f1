//! Texts to tokens, by the `tokenizer.json` of a model.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::{Encoding, PostProcessor, TruncationDirection};

use crate::error::{Problem, Result, TextError};
use crate::folder::TOKENIZER;

pub struct Tokenizer {
    file: PathBuf,
    inner: tokenizers::Tokenizer,
    /// What stands behind a text that is shorter than the row.
    pad: u32,
    /// How many tokens are set around a text.
    special: usize,
}

/// texts × length, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens {
    pub length: usize,
    /// The tokens of the text, special ones around them, then the identifier of padding.
    pub ids: Vec<u32>,
    /// 1 where there is a token, 0 where there is padding. A missing text is all padding.
    pub mask: Vec<u8>,
    /// The segment of each token: 0 unless the tokenizer says otherwise.
    pub types: Vec<u32>,
    /// Whether each text has been cut.
    pub truncated: Vec<bool>,
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    pub ids: Vec<u32>,
    pub types: Vec<u32>,
    pub truncated: bool,
}

impl Tokenizer {
    /// # Errors
    /// The folder has no `tokenizer.json`, or one that cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join(TOKENIZER);
        let bytes = std::fs::read(&file).map_err(|e| TextError::io(&file, e))?;
        let reason = |e: tokenizers::Error| Problem::Tokenizer { reason: e.to_string() };
        let mut inner =
            tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| TextError::new(&file, reason(e)))?;
        let pad = padding(&inner);
        // Files carry the lengths of their training; ours are those of the caller.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| TextError::new(&file, reason(e)))?;
        let special = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        Ok(Tokenizer { file, inner, pad, special })
    }

    /// The greatest token there is.
    pub fn last(&self) -> u32 {
        self.inner.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// Tokens of many texts, each cut or padded to `length`.
    ///
    /// # Errors
    /// `length` leaves no room for a token of the text.
    pub fn tokens(&self, texts: &[Option<&str>], length: usize) -> Result<Tokens> {
        let size = texts.len() * length;
        let mut tokens = Tokens {
            length,
            ids: vec![self.pad; size],
            mask: vec![0; size],
            types: vec![0; size],
            truncated: vec![false; texts.len()],
        };
        for (row, text) in self.encode(texts, length)?.into_iter().enumerate() {
            let Some(text) = text else { continue };
            let place = row * length..row * length + text.ids.len();
            tokens.ids[place.clone()].copy_from_slice(&text.ids);
            tokens.types[place.clone()].copy_from_slice(&text.types);
            tokens.mask[place].fill(1);
            tokens.truncated[row] = text.truncated;
        }
        Ok(tokens)
    }

    /// Tokens of many texts, each at most `length`, special ones among them. A missing text has none.
    pub fn encode(&self, texts: &[Option<&str>], length: usize) -> Result<Vec<Option<Encoded>>> {
        if length <= self.special {
            return Err(TextError::new(&self.file, Problem::TooShort { length, special: self.special }));
        }
        texts.par_iter().map(|text| text.map(|text| self.one(text, length)).transpose()).collect()
    }

    fn one(&self, text: &str, length: usize) -> Result<Encoded> {
        let refused =
            |e: tokenizers::Error| TextError::new(&self.file, Problem::Text { reason: e.to_string() });
        let mut cut: Encoding = self.inner.encode_fast(text, false).map_err(refused)?;
        let room = length - self.special;
        let truncated = cut.get_ids().len() > room;
        cut.truncate(room, 0, TruncationDirection::Right);
        let whole = self.inner.post_process(cut, None, true).map_err(refused)?;
        Ok(Encoded { ids: whole.get_ids().to_vec(), types: whole.get_type_ids().to_vec(), truncated })
    }
}

fn padding(tokenizer: &tokenizers::Tokenizer) -> u32 {
    let stated = tokenizer.get_padding().map(|padding| padding.pad_id);
    let named = || ["[PAD]", "<pad>"].into_iter().find_map(|name| tokenizer.token_to_id(name));
    stated.or_else(named).unwrap_or(0)
}
