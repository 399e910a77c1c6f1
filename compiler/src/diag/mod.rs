//! Diagnostics: what is wrong, where, and the way out.
//!
//! Decided here: the facts that a message carries, how messages are gathered, ordered and shown. Not decided here: which
//! mistakes exist (`codes`) and who finds them.

use std::sync::Arc;

use serde::Serialize;

use crate::syntax::ast::Span;

pub mod codes;
mod render;
mod suggest;

pub use codes::Code;
pub use render::{json, render};
pub use suggest::{did_you_mean, did_you_mean_help, distance, one_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
    Advice,
}

/// One message. The first label is the place; further labels are what it has to do with.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// One sentence, lower case unless it starts with a name, no full stop.
    pub message: String,
    pub labels: Vec<(Span, String)>,
    pub help: Option<String>,
    pub related: Vec<Diagnostic>,
    /// The file that the spans are of; `None` is the file being compiled.
    pub file: Option<Arc<SourceFile>>,
}

/// A text with a name, for messages about a file other than the one being compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

impl Diagnostic {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            labels: Vec::new(),
            help: None,
            related: Vec::new(),
            file: None,
        }
    }

    /// Adds a place; the first one is the place of the mistake.
    pub fn at(mut self, span: Span, label: impl Into<String>) -> Self {
        self.labels.push((span, label.into()));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a help where there is one, as with [`did_you_mean_help`].
    pub fn help_opt(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub fn related(mut self, other: Diagnostic) -> Self {
        self.related.push(other);
        self
    }

    pub fn in_file(mut self, file: Arc<SourceFile>) -> Self {
        self.file = Some(file);
        self
    }

    /// The place of the mistake.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|(span, _)| *span)
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Gathers messages, so that no stage stops at its first one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        self.list.extend(others);
    }

    /// The value of an `Ok`; the messages of an `Err` are kept and `None` is given.
    pub fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|d| self.push(d)).ok()
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(Diagnostic::is_error)
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.list
    }

    /// In the order of the source, those of this file first, each once.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_cached_key(|d| {
            let file = d.file.as_ref().map(|f| f.name.clone());
            (file, d.span().map(|s| s.start), d.severity)
        });
        self.list.dedup();
        self.list
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
