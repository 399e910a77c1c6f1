//! Messages as people read them (drawn by miette) and as programs read them (JSON).

use std::fmt;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};
use serde::Serialize;

use super::{Diagnostic, Severity};
use crate::syntax::ast::Span;
use crate::syntax::lines::LineIndex;

const WIDTH: usize = 110;

/// Every message drawn above its piece of the source, with a blank line between. `filename` is shown as given; spans
/// outside of `source` are moved to its end.
pub fn render(diagnostics: &[Diagnostic], filename: &str, source: &str, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(WIDTH)
        .with_show_related_as_nested(true);
    if !color {
        handler = handler.without_syntax_highlighting();
    }
    let mut pages = Vec::new();
    let file = WholeLines::new(filename, source);
    for diagnostic in diagnostics {
        let shown = Shown::new(diagnostic, &file);
        let mut text = String::new();
        // Writing to a string cannot fail, and a message that cannot be drawn is still said.
        if handler.render_report(&mut text, &shown).is_err() {
            text = format!("{}\n\n  {}\n", diagnostic.code, diagnostic.message);
        }
        pages.push(tidy(&text));
    }
    pages.join("\n")
}

fn tidy(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The messages as JSON: an array of objects with `code`, `severity`, `message`, `file`, `labels` (bytes `start` and `end`;
/// `line` and `column` from one, columns in characters), `help` and `related`.
pub fn json(diagnostics: &[Diagnostic], filename: &str, source: &str) -> serde_json::Value {
    let file = WholeLines::new(filename, source);
    diagnostics.iter().map(|d| one_json(d, &file)).collect()
}

fn one_json(diagnostic: &Diagnostic, file: &WholeLines<'_>) -> serde_json::Value {
    let source = match &diagnostic.file {
        Some(other) => WholeLines::new(&other.name, &other.text),
        None => file.clone(),
    };
    let labels: Vec<_> = diagnostic.labels.iter().map(|(span, label)| place(&source, *span, label)).collect();
    let related: Vec<_> = diagnostic.related.iter().map(|d| one_json(d, &source)).collect();
    serde_json::json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": source.name,
        "labels": labels,
        "help": diagnostic.help,
        "related": related,
    })
}

#[derive(Serialize)]
struct Place<'a> {
    start: u32,
    end: u32,
    line: usize,
    column: usize,
    text: &'a str,
}

fn place<'a>(source: &WholeLines<'_>, span: Span, text: &'a str) -> Place<'a> {
    let (line, column) = source.index.line_column(source.text, span.start);
    Place { start: span.start, end: span.end, line, column, text }
}

/// A diagnostic in the form that miette draws.
#[derive(Debug)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: WholeLines<'a>,
    related: Vec<Shown<'a>>,
}

impl<'a> Shown<'a> {
    fn new(diagnostic: &'a Diagnostic, file: &WholeLines<'a>) -> Self {
        let source = match &diagnostic.file {
            Some(other) => WholeLines::new(&other.name, &other.text),
            None => file.clone(),
        };
        let related = diagnostic.related.iter().map(|d| Shown::new(d, &source)).collect();
        Self { diagnostic, source, related }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let text = self.source.text;
        let mut first = true;
        Some(Box::new(self.diagnostic.labels.iter().map(move |(span, label)| {
            let (offset, len) = clamp(text, *span);
            let label = (!label.is_empty()).then(|| label.clone());
            match std::mem::take(&mut first) {
                true => LabeledSpan::new_primary_with_span(label, (offset, len)),
                false => LabeledSpan::new_with_span(label, (offset, len)),
            }
        })))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|d| d as &dyn miette::Diagnostic)))
    }
}

/// A source that shows the lines of a span, whole, and no lines around them.
#[derive(Debug, Clone)]
struct WholeLines<'a> {
    name: &'a str,
    text: &'a str,
    index: Arc<LineIndex>,
}

impl SourceCode for WholeLines<'_> {
    /// Asked for context the drawing wants lines; asked for none it wants the place for its heading.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (first, last) = (span.offset(), span.offset() + span.len());
        let (line, column) = self.index.line_column(self.text, first as u32);
        let (start, end, column) = match before {
            0 => (first, last, column - 1),
            _ => (self.index.start(line - 1) as usize, self.line_end(last), 0),
        };
        let data = self.text.get(start..end).ok_or(MietteError::OutOfBounds)?;
        let count = data.matches('\n').count();
        let place = (start, end - start).into();
        let name = self.name.to_owned();
        Ok(Box::new(MietteSpanContents::new_named(name, data.as_bytes(), place, line - 1, column, count)))
    }
}

impl<'a> WholeLines<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text, index: Arc::new(LineIndex::new(text)) }
    }

    fn line_end(&self, offset: usize) -> usize {
        let rest = self.text.get(offset..).unwrap_or("");
        offset + rest.find('\n').unwrap_or(rest.len())
    }
}

/// Inside the text and on character boundaries; a place at the end of a line or of the text is moved onto its last
/// character, since nothing can be underlined where nothing stands.
fn clamp(text: &str, span: Span) -> (usize, usize) {
    let written = text.trim_end().len();
    let mut start = (span.start as usize).min(written);
    let mut end = (span.end as usize).clamp(start, text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let rest = &text[start..];
    if rest.is_empty() || rest.starts_with(['\n', '\r']) {
        let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let last = text[line..start].chars().next_back().map_or(0, char::len_utf8);
        return (start - last, last);
    }
    (start, text[start..end].trim_end_matches(['\n', '\r']).len())
}

#[cfg(test)]
mod tests {
    use super::super::codes;
    use super::*;

    const SOURCE: &str = "graph g {\n    feature size = log1p(instaled_size) |> standardize\n}\n";

    fn sample() -> Diagnostic {
        let at = SOURCE.find("instaled_size").unwrap() as u32;
        Diagnostic::new(codes::SYNTAX_UNEXPECTED, "`packages.parquet` has no column `instaled_size`")
            .at(Span::new(at, at + 13), "not a column")
            .help("did you mean `installed_size` (int64, 0.2% missing)?")
    }

    #[test]
    fn drawn_as_in_the_language_design() {
        let expected = "\
gsl::syntax::unexpected

  × `packages.parquet` has no column `instaled_size`
   ╭─[sections.gsl:2:26]
 2 │     feature size = log1p(instaled_size) |> standardize
   ·                          ──────┬──────
   ·                                ╰── not a column
   ╰────
  help: did you mean `installed_size` (int64, 0.2% missing)?
";
        assert_eq!(render(&[sample()], "sections.gsl", SOURCE, false), expected);
    }

    #[test]
    fn colour_is_asked_for() {
        assert!(render(&[sample()], "sections.gsl", SOURCE, true).contains('\u{1b}'));
        assert!(!render(&[sample()], "sections.gsl", SOURCE, false).contains('\u{1b}'));
    }

    #[test]
    fn json_has_lines_and_columns() {
        let value = json(&[sample()], "sections.gsl", SOURCE);
        assert_eq!(value[0]["labels"][0]["line"], 2);
        assert_eq!(value[0]["labels"][0]["column"], 26);
        assert_eq!(value[0]["code"], "gsl::syntax::unexpected");
        assert_eq!(value[0]["severity"], "error");
    }

    #[test]
    fn places_outside_the_text_are_drawn_at_its_end() {
        for (start, end) in [(0, 0), (3, 1), (900, 1000), (5, 1000), (1, 2)] {
            for source in ["", "\n", "ž𝄞", "a\r\nb\r\n", "\n\n\n"] {
                let far = Diagnostic::new(codes::SYNTAX_EXPECTED, "m").at(Span::new(start, end), "here");
                assert!(render(&[far], "f.gsl", source, false).contains("gsl::syntax::expected"));
            }
        }
    }
}
