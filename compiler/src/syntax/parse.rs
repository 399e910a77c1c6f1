//! Text to tree. Never fails, never stops at the first mistake, never runs out of stack.
//!
//! The grammar (`grammar/gsl.pest`) recovers at statements, blocks and items; here its pairs become the typed tree, and
//! every piece that it could not read becomes a message (`explain`). What the words mean is not looked at.

mod experiments;
mod explain;
mod exprs;
mod graphs;
mod items;
mod layers;
mod layout;
mod nesting;
mod pairs;
mod wanted;

use pest::Parser as _;
use pest_derive::Parser;

use super::ast::{File, Ident, Item, Span};
use super::lex::{Token, lex};
use super::lines::LineIndex;
use crate::diag::{Diagnostic, Diagnostics, codes};
pub(super) use layout::{Class, Layout, layout};
use pairs::{Docs, Pair};

#[derive(Parser)]
#[grammar = "../../grammar/gsl.pest"]
struct Grammar;

/// The largest source that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    pub file: File,
    /// In the order of the source. Empty if and only if the tree has no `Bad` node and the file was read as written.
    pub diagnostics: Vec<Diagnostic>,
    /// Names that text which could not be read seems to declare: whoever misses one of them need not say so again.
    pub lost: Vec<Ident>,
}

/// Reads a file.
pub fn parse(source: &str) -> Parsed {
    if source.len() >= MAX_BYTES {
        let large = Diagnostic::new(codes::SYNTAX_TOO_LARGE, "a source file has to be smaller than 16 MiB")
            .at(Span::default(), "")
            .help("tables belong into files of their own, named after `from`");
        return Parsed { file: File::default(), diagnostics: vec![large], lost: Vec::new() };
    }
    let tokens = lex(source);
    let mut diagnostics = Diagnostics::new();
    let masked = nesting::mask(source, &tokens, &mut diagnostics);
    let text = masked.as_deref().unwrap_or(source);
    let docs = Docs::new(source, &tokens);
    let mut lower = Lower {
        source,
        text,
        tokens,
        lines: LineIndex::new(source),
        docs,
        diagnostics,
        lost: Vec::new(),
        nesting: 0,
        after_bad_item: false,
    };
    let file = match Grammar::parse(Rule::file, text) {
        Ok(mut pairs) => pairs.next().map(|pair| lower.file(pair)).unwrap_or_default(),
        Err(error) => lower.unreadable(error),
    };
    Parsed { file, diagnostics: lower.diagnostics.into_sorted(), lost: lower.lost }
}

/// From the grammar's pairs to the tree.
struct Lower<'a> {
    source: &'a str,
    /// The source without what is nested too deeply: the grammar is only ever shown this.
    text: &'a str,
    tokens: Vec<Token>,
    lines: LineIndex,
    docs: Docs,
    diagnostics: Diagnostics,
    lost: Vec<Ident>,
    /// How deep the expression being read stands in others.
    nesting: usize,
    /// The last item could not be read.
    after_bad_item: bool,
}

impl Lower<'_> {
    fn file(&mut self, pair: Pair<'_>) -> File {
        let span = Span::new(0, self.source.len() as u32);
        let mut items = Vec::new();
        for entry in pair.into_inner() {
            let item = self.item(entry);
            self.after_bad_item = matches!(item, Some(Item::Bad(_)));
            items.extend(item);
        }
        File { doc: self.docs.of_file(), items, span }
    }

    /// The grammar takes every text; should it ever not, that is a message and not a panic.
    fn unreadable(&mut self, error: pest::error::Error<Rule>) -> File {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) => at,
            pest::error::InputLocation::Span((at, _)) => at,
        } as u32;
        let message = "this file cannot be read from here on";
        self.diagnostics
            .push(Diagnostic::new(codes::SYNTAX_UNEXPECTED, message).at(Span::new(at, at), "here"));
        File { doc: self.docs.of_file(), items: Vec::new(), span: Span::new(0, self.source.len() as u32) }
    }
}
