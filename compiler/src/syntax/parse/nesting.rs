//! The guard against deep nesting: the parser recurses, so what stands deeper than `LIMIT` brackets is reported and hidden
//! from it.

use super::super::ast::Span;
use super::super::lex::{Kind, Token};
use crate::diag::{Diagnostic, Diagnostics, codes};

/// Brackets inside brackets.
pub(super) const LIMIT: usize = 64;

/// The source with everything inside of brackets that are too deep replaced: bytes keep their places. `None` if nothing is.
pub(super) fn mask(source: &str, tokens: &[Token], diagnostics: &mut Diagnostics) -> Option<String> {
    let deep = deep_groups(source, tokens);
    if deep.is_empty() {
        return None;
    }
    let mut bytes = source.as_bytes().to_vec();
    for (open, inside) in &deep {
        bytes[inside.start as usize..inside.end as usize].fill(b' ');
        if open.text(source) != "{" && !inside.is_empty() {
            bytes[inside.start as usize] = 1;
        }
        diagnostics.push(
            Diagnostic::new(codes::SYNTAX_TOO_DEEP, format!("more than {LIMIT} brackets inside one another"))
                .at(*open, "this one is too deep")
                .help("give the inner part a name of its own"),
        );
    }
    String::from_utf8(bytes).ok()
}

/// Opening bracket and inside of each group whose depth is `LIMIT`.
fn deep_groups(source: &str, tokens: &[Token]) -> Vec<(Span, Span)> {
    let mut stack: Vec<&str> = Vec::new();
    let mut deep = Vec::new();
    let mut from: Option<Span> = None;
    let mut line_start = true;
    for (at, token) in tokens.iter().enumerate() {
        if line_start && token.kind == Kind::Word {
            let keep = resync(source, &tokens[at..], &stack);
            close_to(&mut stack, keep, &mut from, token.span.start, &mut deep);
        }
        match token.kind {
            Kind::Open => {
                stack.push(token.text(source));
                if stack.len() > LIMIT && from.is_none() {
                    from = Some(token.span);
                }
            }
            Kind::Close => {
                let keep = after_close(&stack, token.text(source));
                close_to(&mut stack, keep, &mut from, token.span.start, &mut deep);
            }
            _ => {}
        }
        line_start = token.kind == Kind::Newline || (line_start && token.kind == Kind::Space);
    }
    close_to(&mut stack, 0, &mut from, source.len() as u32, &mut deep);
    deep
}

/// How many brackets stay open behind this closing one: a brace closes forgotten parentheses, never the other way round.
fn after_close(stack: &[&str], close: &str) -> usize {
    match close {
        "}" => stack.iter().rposition(|b| *b == "{").unwrap_or(0),
        _ if stack.last() == Some(&"{") => stack.len(),
        _ => stack.len().saturating_sub(1),
    }
}

fn close_to(
    stack: &mut Vec<&str>,
    keep: usize,
    from: &mut Option<Span>,
    end: u32,
    deep: &mut Vec<(Span, Span)>,
) {
    stack.truncate(keep);
    if stack.len() <= LIMIT
        && let Some(open) = from.take()
    {
        deep.push((open, Span::new(open.end, end)));
    }
}

/// How many of the open brackets are still open at a line that starts with these tokens: a statement closes forgotten
/// parentheses, an item closes everything.
fn resync(source: &str, tokens: &[Token], stack: &[&str]) -> usize {
    let word = tokens[0].text(source);
    let next = tokens[1..].iter().find(|t| t.kind != Kind::Space);
    let is_item = super::explain::ITEM_WORDS.contains(&word) && next.is_some_and(|t| t.kind == Kind::Word);
    if is_item {
        return 0;
    }
    match next.is_some_and(|t| t.text(source) == "=") {
        true => stack.iter().rposition(|b| *b == "{").map_or(0, |at| at + 1),
        false => stack.len(),
    }
}
