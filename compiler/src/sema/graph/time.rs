//! When nodes and edges come into being.

use super::Resolver;
use super::table::{DATES, Table, both, is_a};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{Expr, Span};
use crate::world::ColumnKind;

impl Resolver<'_, '_> {
    /// `time published`. All times of a graph are dates and times, or all are integers: they are compared.
    pub fn time(&mut self, value: &Expr, span: Span, table: &Table, found: &mut Option<String>) {
        if found.is_some() {
            self.cx.error(codes::NAMES_DUPLICATE, "two times", span, "one time is enough");
            return;
        }
        let Some(name) = value.as_name() else {
            if !value.is_bad() {
                let help = "write `time COLUMN`";
                self.cx.error_help(codes::SCHEMA_TIME, "a time is a column", value.span, "no column", help);
            }
            return;
        };
        let Some(column) = table.column(self.cx, name, value.span) else { return };
        let is_instant = match column.kind {
            ColumnKind::Date | ColumnKind::Time => true,
            ColumnKind::Int => false,
            _ => {
                let message = format!("{}, and a time is a date, a time or an integer", is_a(&column));
                let diagnostic = Diagnostic::new(codes::SCHEMA_TIME, message)
                    .at(value.span, "no time")
                    .help_opt(both(table.why_text(name), Some(DATES.to_owned())));
                self.cx.report(diagnostic);
                return;
            }
        };
        let (first, place) = *self.times.get_or_insert((is_instant, value.span));
        if first != is_instant {
            let message = "times of one graph are compared, and these are of two kinds";
            let (here, there) = match is_instant {
                true => ("dates or times", "integers"),
                false => ("integers", "dates or times"),
            };
            let diagnostic = Diagnostic::new(codes::SCHEMA_TIME, message)
                .at(value.span, here)
                .at(place, there)
                .help("keep all of them as dates and times, or all as integers of one unit");
            self.cx.report(diagnostic);
            return;
        }
        *found = Some(name.to_owned());
    }
}
