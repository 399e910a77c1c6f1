//! A model: texts in, vectors out.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::encoder::{Encoder, Group, Scratch, check_vocabulary};
use crate::error::{Problem, Result, TextError};
use crate::folder::{About, CONFIG, TOKENIZER};
use crate::tokenize::{Encoded, Tokenizer, Tokens};

/// Tokens that go through the encoder together, unless one text has more.
const GROUP: usize = 4096;

/// How the rows of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The mean over all tokens, special ones among them.
    Mean,
    /// The first token.
    Cls,
    /// The first token through the model's pooler, `tanh(x W + b)`.
    Pooler,
}

/// texts × width, row by row; a missing text is zeros.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embedded {
    pub width: usize,
    pub data: Vec<f32>,
    /// Whether each text has been cut.
    pub truncated: Vec<bool>,
}

/// A folder with a tokenizer and an encoder, open.
pub struct TextModel {
    folder: PathBuf,
    tokenizer: Tokenizer,
    encoder: Encoder,
    first_position: usize,
}

impl TextModel {
    /// # Errors
    /// What [`crate::look`] finds, and a tokenizer that cannot be read or does not go with the weights.
    pub fn open(folder: &Path) -> Result<Self> {
        let tokenizer = Tokenizer::open(folder)?;
        let config = Config::read(&folder.join(CONFIG))?;
        let encoder = Encoder::open(folder, &config)?;
        check_vocabulary(&folder.join(TOKENIZER), tokenizer.last(), &config)?;
        Ok(TextModel {
            folder: folder.to_path_buf(),
            tokenizer,
            encoder,
            first_position: config.first_position,
        })
    }

    pub fn about(&self) -> About {
        self.encoder.about()
    }

    /// See [`Tokenizer::tokens`].
    ///
    /// # Errors
    /// `length` leaves no room for a token of the text.
    pub fn tokens(&self, texts: &[Option<&str>], length: usize) -> Result<Tokens> {
        self.tokenizer.tokens(texts, length)
    }

    /// The vector of each text; a text with more than `length` tokens is cut.
    ///
    /// # Errors
    /// `length` is beyond the model's positions or leaves no room, or the model has no pooler.
    pub fn embed(&self, texts: &[Option<&str>], length: usize, pool: Pool) -> Result<Embedded> {
        let About { width, positions, pooler } = self.about();
        let wrong = |problem| Err(TextError::new(&self.folder, problem));
        if length > positions {
            return wrong(Problem::TooLong { length, positions });
        }
        if pool == Pool::Pooler && !pooler {
            return wrong(Problem::NoPooler);
        }
        let encoded = self.tokenizer.encode(texts, length)?;
        let truncated = encoded.iter().map(|text| text.as_ref().is_some_and(|text| text.truncated)).collect();
        let mut data = vec![0.0; texts.len() * width];
        let (mut group, mut scratch) = (Group::default(), Scratch::default());
        for rows in groups(&encoded) {
            group.clear();
            for text in rows.iter().filter_map(|&row| encoded[row].as_ref()) {
                group.push(&text.ids, &text.types, self.first_position);
            }
            let pooled = self.pooled(&group, pool, &mut scratch);
            for (&row, vector) in rows.iter().zip(pooled.chunks_exact(width)) {
                data[row * width..(row + 1) * width].copy_from_slice(vector);
            }
        }
        Ok(Embedded { width, data, truncated })
    }

    /// One row for each text of the group.
    fn pooled(&self, group: &Group, pool: Pool, scratch: &mut Scratch) -> Vec<f32> {
        let width = self.about().width;
        let hidden = self.encoder.forward(group, scratch);
        let texts = group.starts.windows(2);
        match pool {
            Pool::Mean => {
                texts.flat_map(|ends| mean(&hidden[ends[0] * width..ends[1] * width], width)).collect()
            }
            Pool::Cls | Pool::Pooler => {
                let first: Vec<f32> =
                    texts.flat_map(|ends| &hidden[ends[0] * width..(ends[0] + 1) * width]).copied().collect();
                match pool {
                    Pool::Pooler => self.encoder.pool(&first).unwrap_or(first),
                    _ => first,
                }
            }
        }
    }
}

/// Rows of texts that go together: in order, at most [`GROUP`] tokens, at least one text.
fn groups(texts: &[Option<Encoded>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut tokens = GROUP;
    for (row, text) in texts.iter().enumerate().filter_map(|(row, text)| Some((row, text.as_ref()?))) {
        if tokens + text.ids.len() > GROUP {
            groups.push(Vec::new());
            tokens = 0;
        }
        tokens += text.ids.len();
        groups.last_mut().expect("there is a group").push(row);
    }
    groups
}

/// The mean of rows × width, summed in the order of the rows in double precision.
fn mean(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0f64; width];
    for row in rows.chunks_exact(width) {
        sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let count = (rows.len() / width) as f64;
    sum.into_iter().map(|sum| (sum / count) as f32).collect()
}
