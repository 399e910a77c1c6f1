//! What every check carries: the world, the messages so far, and the file that the spans are of.

use std::collections::BTreeSet;
use std::sync::Arc;

use gsl_plan::graph::Source;

use crate::diag::{Code, Diagnostic, Diagnostics, SourceFile, did_you_mean};
use crate::syntax::ast::Span;
use crate::syntax::lines::LineIndex;
use crate::world::{Header, World, WorldError};

pub struct Cx<'w> {
    pub world: &'w dyn World,
    /// The file being compiled.
    pub path: String,
    pub diags: Diagnostics,
    /// The file at hand; `None` is the file being compiled.
    file: Option<Arc<SourceFile>>,
    lines: LineIndex,
    headers: Vec<(Source, Result<Arc<Header>, WorldError>)>,
    /// Imported names that something referred to.
    pub used: BTreeSet<String>,
    /// Calls of layers in the model at hand: names of compositions double what they name, and this ends it.
    pub calls: usize,
    /// Sources of which it has been said that they cannot be read.
    pub unreadable: Vec<Source>,
    /// Names that unreadable text seems to declare: missing them is no mistake of its own.
    pub lost: BTreeSet<String>,
}

impl<'w> Cx<'w> {
    /// `path` and `source` are the name and the text of the file being compiled.
    pub fn new(world: &'w dyn World, path: &str, source: &str) -> Self {
        Cx {
            world,
            path: path.to_owned(),
            diags: Diagnostics::new(),
            file: None,
            lines: LineIndex::new(source),
            headers: Vec::new(),
            unreadable: Vec::new(),
            used: BTreeSet::new(),
            lost: BTreeSet::new(),
            calls: 0,
        }
    }

    pub fn file(&self) -> &Option<Arc<SourceFile>> {
        &self.file
    }

    /// Runs `check` on a piece of another file: its messages show that file.
    pub fn within<T>(&mut self, file: &Option<Arc<SourceFile>>, check: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.enter(file.clone());
        let result = check(self);
        self.file = outer;
        result
    }

    /// Makes another file the one at hand; gives the one that was.
    pub fn enter(&mut self, file: Option<Arc<SourceFile>>) -> Option<Arc<SourceFile>> {
        std::mem::replace(&mut self.file, file)
    }

    /// The line, from one, of a place in `file`.
    pub fn line(&self, file: &Option<Arc<SourceFile>>, span: Span) -> usize {
        let line = match file {
            Some(file) => LineIndex::new(&file.text).line(span.start),
            None => self.lines.line(span.start),
        };
        line + 1
    }

    pub fn report(&mut self, mut diagnostic: Diagnostic) {
        if diagnostic.file.is_none() {
            diagnostic.file = self.file.clone();
        }
        self.diags.push(diagnostic);
    }

    /// One message with one place.
    pub fn error(&mut self, code: Code, message: impl Into<String>, span: Span, label: &str) {
        self.report(Diagnostic::new(code, message).at(span, label));
    }

    pub fn error_help(
        &mut self,
        code: Code,
        message: impl Into<String>,
        span: Span,
        label: &str,
        help: impl Into<String>,
    ) {
        self.report(Diagnostic::new(code, message).at(span, label).help(help));
    }

    /// A name that is not among the `known` ones: the nearest is proposed, else they are listed.
    pub fn unknown<'a>(
        &mut self,
        code: Code,
        what: &str,
        name: &str,
        span: Span,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        if self.lost.contains(name) {
            return;
        }
        let known: Vec<&str> = known.into_iter().collect();
        let help = nearest_or_all(name, &known);
        let diagnostic = Diagnostic::new(code, format!("there is no {what} `{name}`"))
            .at(span, format!("not {}", a(what)))
            .help_opt(help);
        self.report(diagnostic);
    }

    /// The same for a part of something that has a name of its own.
    pub fn unknown_of<'a>(
        &mut self,
        code: Code,
        (owner, what): (&str, &str),
        name: &str,
        span: Span,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let diagnostic = Diagnostic::new(code, format!("`{owner}` has no {what} `{name}`"))
            .at(span, format!("not {}", a(what)))
            .help_opt(nearest_or_all(name, &known));
        self.report(diagnostic);
    }

    /// The header of a source; asked for once.
    pub fn header(&mut self, source: &Source) -> Result<Arc<Header>, WorldError> {
        if let Some((_, known)) = self.headers.iter().find(|(known, _)| known == source) {
            return known.clone();
        }
        let header = self.world.header(source).map(Arc::new);
        self.headers.push((source.clone(), header.clone()));
        header
    }
}

/// The nearest of the known names, or all of them where they are few and none is near.
pub fn nearest_or_all(name: &str, known: &[&str]) -> Option<String> {
    if let Some(found) = did_you_mean(name, known.iter().copied()) {
        return Some(format!("did you mean `{found}`?"));
    }
    match known.len() {
        0 => None,
        1 => Some(format!("there is only `{}`", known[0])),
        2..=16 => Some(format!("there are {}", and_list(known))),
        _ => None,
    }
}

/// `` `a`, `b` and `c` ``
pub fn and_list(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let head: Vec<String> = first.iter().map(|n| format!("`{n}`")).collect();
            format!("{} and `{last}`", head.join(", "))
        }
    }
}

/// `an experiment`
pub fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
