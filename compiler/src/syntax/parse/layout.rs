//! What the formatter has to know of the grammar's reading: where statements begin, of which kind, and which `-` are signs.

use pest::Parser as _;

use super::pairs::Pair;
use super::{Grammar, Rule};

/// How a statement takes part in alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `name = value`, equations, `encode`.
    Equals,
    /// `param`.
    Param,
    /// `weight`.
    Weight,
    /// `feature`, `label`, `key` and the like: a word, then a name.
    Keyword(&'static str),
    Other,
}

pub struct Layout {
    starts: Vec<(u32, Class)>,
    signs: Vec<u32>,
    keywords: Vec<u32>,
    attached: Vec<u32>,
}

impl Layout {
    /// The statement that begins at this byte.
    pub fn class_at(&self, start: u32) -> Option<Class> {
        let found = self.starts.binary_search_by_key(&start, |(at, _)| *at).ok()?;
        Some(self.starts[found].1)
    }

    /// Whether a `-` here is a sign and no operator.
    pub fn is_sign(&self, at: u32) -> bool {
        self.signs.binary_search(&at).is_ok()
    }
}

impl Layout {
    /// Whether a word here is a keyword, so that a parenthesis behind it is no call.
    pub fn is_keyword(&self, at: u32) -> bool {
        self.keywords.binary_search(&at).is_ok()
    }

    /// Whether a parenthesis here stands right behind its name although the grammar does not ask for it.
    pub fn is_attached(&self, at: u32) -> bool {
        self.attached.binary_search(&at).is_ok()
    }
}

/// The layout of a text that parses.
pub fn layout(source: &str) -> Option<Layout> {
    let pairs = Grammar::parse(Rule::file, source).ok()?;
    let mut layout =
        Layout { starts: Vec::new(), signs: Vec::new(), keywords: Vec::new(), attached: Vec::new() };
    for pair in pairs.flatten() {
        let start = pair.as_span().start() as u32;
        match class(pair.as_rule()) {
            Some(class) => layout.starts.push((start, class)),
            None if is_keyword(pair.as_rule()) => layout.keywords.push(start),
            None => match pair.as_rule() {
                Rule::neg => layout.signs.push(start),
                Rule::params | Rule::shape => layout.attached.push(start),
                // The column of `by year (…)`, which is no function.
                Rule::by => layout.keywords.extend(column_start(pair)),
                _ => {}
            },
        }
    }
    layout.keywords.sort_unstable();
    Some(layout)
}

fn column_start(pair: Pair<'_>) -> Option<u32> {
    let column = pair.into_inner().find(|p| p.as_rule() == Rule::ident)?;
    Some(column.as_span().start() as u32)
}

/// The rules in capitals.
fn is_keyword(rule: Rule) -> bool {
    format!("{rule:?}").starts_with(|c: char| c.is_ascii_uppercase()) && rule != Rule::EOI
}

fn class(rule: Rule) -> Option<Class> {
    Some(match rule {
        Rule::setting | Rule::encode | Rule::equation => Class::Equals,
        Rule::param => Class::Param,
        Rule::weight => Class::Weight,
        Rule::key => Class::Keyword("key"),
        Rule::reverse => Class::Keyword("reverse"),
        Rule::time => Class::Keyword("time"),
        Rule::feature => Class::Keyword("feature"),
        Rule::label => Class::Keyword("label"),
        Rule::split => Class::Keyword("split"),
        Rule::allow => Class::Keyword("allow"),
        Rule::use_item | Rule::graph | Rule::layer | Rule::experiment | Rule::sweep | Rule::distill => {
            Class::Other
        }
        Rule::node | Rule::edge | Rule::many | Rule::predict | Rule::write | Rule::stage => Class::Other,
        Rule::train | Rule::freeze | Rule::nested | Rule::axis | Rule::best => Class::Other,
        _ => return None,
    })
}
