//! The language models that a graph's features name: found beside its tables, opened once, used by every batch.
//!
//! The models themselves are in `gsl-text`, behind the feature `text`; a build without it has the same functions, and each of
//! them says so.

#[cfg(feature = "text")]
#[path = "engine.rs"]
mod engine;
#[cfg(not(feature = "text"))]
#[path = "absent.rs"]
mod engine;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gsl_plan::graph::{Feature, FeatureExpr, Pool, TextTransform, Transform};

use crate::construct::BuildError;
use engine::{Encoder, Tokenizer};

/// Why a model cannot be used. `reason` and `help` are text for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file of the model's folder that is not there.
    pub missing: Option<String>,
    pub reason: String,
    pub help: Option<String>,
}

/// What the headers of an encoder say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Numbers of a vector.
    pub width: usize,
    /// Tokens of a text that the model can read, special ones among them.
    pub positions: usize,
    pub pooler: bool,
}

/// What a model says of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub width: usize,
    /// texts × width.
    pub data: Vec<f64>,
    /// Whether each text has been cut at the length.
    pub cut: Vec<bool>,
}

/// Looks at the folder of a model, in milliseconds. `None`: it has a tokenizer and no encoder, enough for tokens.
///
/// # Errors
/// A file is missing, or the model is of a kind that is not read.
pub fn look(folder: &Path) -> Result<Option<About>, Refusal> {
    engine::look(folder)
}

/// Models by the folders that the plan names, relative to a base.
#[derive(Clone, Default)]
pub struct Models(Arc<Shared>);

#[derive(Default)]
struct Shared {
    base: PathBuf,
    tokenizers: Mutex<BTreeMap<String, Arc<Tokenizer>>>,
    encoders: Mutex<BTreeMap<String, Arc<Encoder>>>,
    fingerprints: Mutex<BTreeMap<String, String>>,
}

impl Models {
    pub fn new(base: &Path) -> Self {
        Models(Arc::new(Shared { base: base.to_path_buf(), ..Shared::default() }))
    }

    /// A hash of what the model's files say about texts.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprint(&self, folder: &str) -> Result<String, Refusal> {
        let mut known = self.0.fingerprints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(folder) {
            return Ok(found.clone());
        }
        let found = engine::fingerprint(&self.0.base.join(folder))?;
        known.insert(folder.to_owned(), found.clone());
        Ok(found)
    }

    /// The fingerprints of the models that features read, in the order of their folders.
    ///
    /// # Errors
    /// A file of a model cannot be read.
    pub fn prints<'a>(
        &self,
        features: impl IntoIterator<Item = &'a Feature>,
    ) -> Result<Vec<String>, BuildError> {
        let mut folders = BTreeSet::new();
        features.into_iter().for_each(|feature| collect(&feature.expr, &mut folders));
        let print = |folder: &str| {
            self.fingerprint(folder).map_err(|refusal| BuildError::Model {
                folder: folder.to_owned(),
                refusal: Box::new(refusal),
            })
        };
        folders.into_iter().map(print).collect()
    }

    /// Rows of `length`: identifiers, and -1 behind the end of a text and for a missing one.
    ///
    /// # Errors
    /// The model cannot be opened, or `length` leaves no room.
    pub fn tokens(&self, folder: &str, texts: &[Option<&str>], length: usize) -> Result<Told, Refusal> {
        self.kept(folder, &self.0.tokenizers, Tokenizer::open)?.tokens(texts, length)
    }

    /// Vectors; a missing text is zeros.
    ///
    /// # Errors
    /// The model cannot be opened, or has no such length or pool.
    pub fn embed(
        &self,
        folder: &str,
        texts: &[Option<&str>],
        length: usize,
        pool: Pool,
    ) -> Result<Told, Refusal> {
        self.kept(folder, &self.0.encoders, Encoder::open)?.embed(texts, length, pool)
    }

    /// Opens a model when it is first asked for; those who ask meanwhile wait.
    fn kept<T>(
        &self,
        folder: &str,
        open: &Mutex<BTreeMap<String, Arc<T>>>,
        read: impl FnOnce(&Path) -> Result<T, Refusal>,
    ) -> Result<Arc<T>, Refusal> {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = open.get(folder) {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(read(&self.0.base.join(folder))?);
        open.insert(folder.to_owned(), Arc::clone(&model));
        Ok(model)
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Models").field(&self.0.base).finish()
    }
}

fn collect<'a>(expr: &'a FeatureExpr, found: &mut BTreeSet<&'a str>) {
    match expr {
        FeatureExpr::Column { .. } | FeatureExpr::Structure(_) | FeatureExpr::Const(_) => {}
        FeatureExpr::Arith { left, right, .. } => [left, right].into_iter().for_each(|e| collect(e, found)),
        FeatureExpr::Concat(parts) => parts.iter().for_each(|part| collect(part, found)),
        FeatureExpr::Apply { transform, input } => {
            if let Transform::Text(TextTransform::Tokens { model, .. } | TextTransform::Embed { model, .. }) =
                transform
            {
                found.insert(model);
            }
            collect(input, found);
        }
    }
}
