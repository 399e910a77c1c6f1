//! Models by `gsl-text`.

use std::path::Path;

use gsl_plan::graph::Pool;
use gsl_text::{FILES, Problem, TextError, TextModel};

use super::{About, Refusal, Told};

pub struct Tokenizer(gsl_text::Tokenizer);

pub struct Encoder(TextModel);

pub fn look(folder: &Path) -> Result<Option<About>, Refusal> {
    let about = |found: gsl_text::About| About {
        width: found.width,
        positions: found.positions,
        pooler: found.pooler,
    };
    Ok(gsl_text::look(folder)?.map(about))
}

pub fn fingerprint(folder: &Path) -> Result<String, Refusal> {
    Ok(gsl_text::fingerprint(folder)?.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Tokenizer {
    pub fn open(folder: &Path) -> Result<Self, Refusal> {
        Ok(Tokenizer(gsl_text::Tokenizer::open(folder)?))
    }

    pub fn tokens(&self, texts: &[Option<&str>], length: usize) -> Result<Told, Refusal> {
        let tokens = self.0.tokens(texts, length)?;
        let number = |(&id, &there): (&u32, &u8)| if there == 1 { f64::from(id) } else { -1.0 };
        let data = tokens.ids.iter().zip(&tokens.mask).map(number).collect();
        Ok(Told { width: length, data, cut: tokens.truncated })
    }
}

impl Encoder {
    pub fn open(folder: &Path) -> Result<Self, Refusal> {
        Ok(Encoder(TextModel::open(folder)?))
    }

    pub fn embed(&self, texts: &[Option<&str>], length: usize, pool: Pool) -> Result<Told, Refusal> {
        let pool = match pool {
            Pool::Mean => gsl_text::Pool::Mean,
            Pool::Cls => gsl_text::Pool::Cls,
            Pool::Pooler => gsl_text::Pool::Pooler,
        };
        let found = self.0.embed(texts, length, pool)?;
        let data = found.data.into_iter().map(f64::from).collect();
        Ok(Told { width: found.width, data, cut: found.truncated })
    }
}

impl From<TextError> for Refusal {
    fn from(error: TextError) -> Self {
        let file = error.file.file_name().and_then(|name| name.to_str()).filter(|name| FILES.contains(name));
        let reason = match file {
            Some(file) => format!("`{file}`: {}", error.problem),
            None => error.problem.to_string(),
        };
        let missing = matches!(*error.problem, Problem::Missing { .. });
        Refusal { missing: file.filter(|_| missing).map(str::to_owned), reason, help: error.help() }
    }
}
