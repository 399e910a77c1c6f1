//! Language models that are read, not trained: texts to tokens, and tokens to the vectors of a BERT-like encoder.
//!
//! A model is a folder in the layout of the Hugging Face hub: `tokenizer.json`, and for vectors `config.json` and
//! `model.safetensors`. Decided here: which models are read, how texts are cut to a length, how tokens are pooled. Not decided
//! here: what becomes of the numbers; this crate knows no graph, no plan and no table.
//!
//! What a text gives depends on the model, the text and the length alone, bit by bit: not on the other texts of a call, not
//! on the number of threads of the rayon pool in which it runs.

mod attention;
mod config;
mod encoder;
mod error;
mod folder;
mod model;
mod programs;
mod tokenize;
mod weights;

pub use error::{Problem, Result, TextError};
pub use folder::{About, FILES, fingerprint, look};
pub use model::{Embedded, Pool, TextModel};
pub use tokenize::{Tokenizer, Tokens};
