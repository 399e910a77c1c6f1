//! The one way to lay a file out.
//!
//! Decided here: indentation (four spaces), spaces between tokens, which signs stand below one another, at most one blank
//! line. Left to the writer: where lines break, and every comment. Formatting twice changes nothing, and the tree of the
//! formatted text is the tree of the text.

mod align;
mod lines;

use super::parse::{layout, parse};
use crate::diag::{Diagnostic, codes};
use lines::Line;

const INDENT: usize = 4;

/// The text in canonical layout.
///
/// # Errors
/// The syntax errors, where there are any: a text that cannot be read is not touched.
pub fn format(source: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(source);
    if !parsed.diagnostics.is_empty() {
        return Err(parsed.diagnostics);
    }
    let Some(layout) = layout(source) else {
        return Err(vec![Diagnostic::new(codes::SYNTAX_UNEXPECTED, "this file cannot be read")]);
    };
    let mut lines = lines::lines(source, &layout);
    align::signs(&mut lines);
    lines::indent(&mut lines);
    align::comments(&mut lines);
    Ok(print(&lines))
}

fn print(lines: &[Line]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if line.blank_before && at > 0 {
            text.push('\n');
        }
        let start = text.len();
        text.extend(std::iter::repeat_n(' ', line.indent));
        for piece in &line.pieces {
            text.extend(std::iter::repeat_n(' ', piece.gap));
            text.push_str(&piece.text);
        }
        if let Some((gap, comment)) = &line.comment {
            text.extend(std::iter::repeat_n(' ', if line.pieces.is_empty() { 0 } else { *gap }));
            text.push_str(comment);
        }
        text.truncate(start.max(text.trim_end().len()));
        text.push('\n');
    }
    text
}
