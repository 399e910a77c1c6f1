//! Small tools over the grammar's pairs: spans, names, the children of a rule, documentation comments.

use super::super::ast::{Doc, Ident, Path, Span, Str};
use super::super::lex::{Kind, Token};
use super::Rule;

pub(super) type Pair<'a> = pest::iterators::Pair<'a, Rule>;

pub(super) fn span(pair: &Pair<'_>) -> Span {
    let span = pair.as_span();
    Span::new(span.start() as u32, span.end() as u32)
}

/// The span up to the end of what is written: the grammar's rules may take the spaces behind them.
pub(super) fn trimmed(pair: &Pair<'_>) -> Span {
    let start = pair.as_span().start();
    Span::new(start as u32, (start + pair.as_str().trim_end().len()) as u32)
}

pub(super) fn ident(pair: &Pair<'_>) -> Ident {
    Ident { text: pair.as_str().trim_matches('`').to_owned(), span: span(pair) }
}

pub(super) fn path(pair: Pair<'_>) -> Path {
    let span = span(&pair);
    Path { segments: pair.into_inner().map(|p| ident(&p)).collect(), span }
}

/// A string literal, and the escapes in it that mean nothing.
pub(super) fn string(pair: Pair<'_>) -> (Str, Vec<Span>) {
    let whole = span(&pair);
    let mut value = String::new();
    let mut unknown = Vec::new();
    for piece in pair.into_inner() {
        let text = piece.as_str();
        match (piece.as_rule(), text) {
            (Rule::escape, "\\n") => value.push('\n'),
            (Rule::escape, "\\t") => value.push('\t'),
            (Rule::escape, "\\\"") => value.push('"'),
            (Rule::escape, "\\\\") => value.push('\\'),
            (Rule::escape, _) => unknown.push(span(&piece)),
            _ => value.push_str(text),
        }
    }
    (Str { value, span: whole }, unknown)
}

/// The children of a pair, taken by what they are.
pub(super) struct Parts<'a> {
    pub span: Span,
    list: Vec<Option<Pair<'a>>>,
}

impl<'a> Parts<'a> {
    pub fn of(pair: Pair<'a>) -> Self {
        Self { span: trimmed(&pair), list: pair.into_inner().map(Some).collect() }
    }

    /// The first child of that rule which is still there.
    pub fn take(&mut self, rule: Rule) -> Option<Pair<'a>> {
        self.list.iter_mut().find(|p| p.as_ref().is_some_and(|p| p.as_rule() == rule))?.take()
    }

    pub fn all(&mut self, rule: Rule) -> Vec<Pair<'a>> {
        let mut found = Vec::new();
        while let Some(pair) = self.take(rule) {
            found.push(pair);
        }
        found
    }

    pub fn has(&self, rule: Rule) -> bool {
        self.list.iter().flatten().any(|p| p.as_rule() == rule)
    }

    /// The next name; the grammar says that there is one.
    pub fn ident(&mut self) -> Ident {
        let empty = Ident { text: String::new(), span: Span::new(self.span.start, self.span.start) };
        self.take(Rule::ident).map_or(empty, |p| ident(&p))
    }

    pub fn idents(&mut self) -> Vec<Ident> {
        self.all(Rule::ident).iter().map(ident).collect()
    }
}

/// The runs of `///` lines by the byte where the text that they describe starts, and the `//!` lines of the file.
pub(super) struct Docs {
    runs: Vec<(u32, Doc)>,
    file: Option<Doc>,
}

impl Docs {
    pub fn new(source: &str, tokens: &[Token]) -> Self {
        let mut docs = Docs { runs: Vec::new(), file: None };
        let mut open: Option<Doc> = None;
        let mut fresh = true;
        let mut breaks = 0;
        for token in tokens {
            match token.kind {
                Kind::Space => {}
                Kind::Newline => {
                    breaks += 1;
                    fresh = true;
                    if breaks > 1 {
                        open = None;
                    }
                }
                Kind::Doc if fresh => add(&mut open, source, *token),
                Kind::FileDoc if docs.runs.is_empty() => add(&mut docs.file, source, *token),
                Kind::Comment | Kind::Doc | Kind::FileDoc => {}
                _ => {
                    docs.runs.extend(open.take().map(|doc| (token.span.start, doc)));
                    fresh = false;
                }
            }
            if !matches!(token.kind, Kind::Space | Kind::Newline) {
                breaks = 0;
            }
        }
        docs
    }

    /// What is said of the text that starts at this byte.
    pub fn of(&self, start: u32) -> Option<Doc> {
        let found = self.runs.binary_search_by_key(&start, |(at, _)| *at).ok()?;
        Some(self.runs[found].1.clone())
    }

    pub fn of_file(&self) -> Option<Doc> {
        self.file.clone()
    }
}

fn add(doc: &mut Option<Doc>, source: &str, token: Token) {
    let line = token.text(source).get(3..).unwrap_or("");
    let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
    match doc {
        None => *doc = Some(Doc { text: line.to_owned(), span: token.span }),
        Some(doc) => {
            doc.text.push('\n');
            doc.text.push_str(line);
            doc.span = doc.span.to(token.span);
        }
    }
}
