//! No models: what a build without the feature `text` says of them.

use std::path::Path;

use gsl_plan::graph::Pool;

use super::{About, Refusal, Told};

pub enum Tokenizer {}

pub enum Encoder {}

fn absent() -> Refusal {
    Refusal {
        missing: None,
        reason: "this program was built without language models".into(),
        help: Some("build it with them: `cargo build --release --features text`".into()),
    }
}

pub fn look(_folder: &Path) -> Result<Option<About>, Refusal> {
    Err(absent())
}

pub fn fingerprint(_folder: &Path) -> Result<String, Refusal> {
    Err(absent())
}

impl Tokenizer {
    pub fn open(_folder: &Path) -> Result<Self, Refusal> {
        Err(absent())
    }

    pub fn tokens(&self, _texts: &[Option<&str>], _length: usize) -> Result<Told, Refusal> {
        match *self {}
    }
}

impl Encoder {
    pub fn open(_folder: &Path) -> Result<Self, Refusal> {
        Err(absent())
    }

    pub fn embed(&self, _texts: &[Option<&str>], _length: usize, _pool: Pool) -> Result<Told, Refusal> {
        match *self {}
    }
}
