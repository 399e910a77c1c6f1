//! What is left of the columns of rows that are merged into one edge.

use gsl_plan::graph::Parallel;

use super::feature::FeatureCx;
use super::structure::RowsOf;
use super::table::is_a;
use crate::diag::codes;
use crate::syntax::ast::Span;
use crate::world::{ColumnHeader, ColumnKind};

/// The policies as the language writes them.
pub const POLICIES: [(&str, Parallel); 6] = [
    ("keep", Parallel::Keep),
    ("sum", Parallel::Sum),
    ("mean", Parallel::Mean),
    ("min", Parallel::Min),
    ("max", Parallel::Max),
    ("count", Parallel::Count),
];

impl FeatureCx<'_, '_> {
    /// The column as a feature, label or split of these rows sees it: numbers are merged, and nothing else is.
    pub fn merged(&mut self, column: ColumnHeader, span: Span) -> Option<ColumnHeader> {
        self.merged_or(
            column,
            span,
            "keep parallel edges apart (`parallel = keep`), or make a number of it in the table",
        )
    }

    /// The same for a column that says the parts: what is no number cannot, once edges are merged.
    pub fn merged_for_parts(&mut self, column: ColumnHeader, span: Span) -> Option<ColumnHeader> {
        let help = "keep parallel edges apart (`parallel = keep`), or make the parts of a number that is merged too, or of the \
                    edges' time: `by day (train: < 20, …)`";
        self.merged_or(column, span, help)
    }

    /// `else_help`: what to do about a column that cannot be merged.
    fn merged_or(&mut self, column: ColumnHeader, span: Span, else_help: &str) -> Option<ColumnHeader> {
        let RowsOf::Edges { parallel, .. } = self.around.rows else { return Some(column) };
        let kind = match (parallel, &column.kind) {
            (Parallel::Keep, _) => return Some(column),
            (Parallel::Count, kind) => {
                let message =
                    format!("`{}` is lost where only the number of merged rows is kept", column.name);
                let help = match kind {
                    ColumnKind::Int | ColumnKind::Float | ColumnKind::Bool => {
                        "use `count()`, or merge the column too: `parallel = sum`, `mean`, `min` or `max`"
                    }
                    _ => else_help,
                };
                self.cx.error_help(codes::SCHEMA_PARALLEL, message, span, "of which row?", help);
                return None;
            }
            (Parallel::Mean, ColumnKind::Int | ColumnKind::Float | ColumnKind::Bool) => ColumnKind::Float,
            (Parallel::Sum, ColumnKind::Bool) => ColumnKind::Int,
            (_, ColumnKind::Int | ColumnKind::Float | ColumnKind::Bool) => column.kind.clone(),
            _ => {
                let name = POLICIES.iter().find(|(_, p)| *p == parallel).map_or("", |(name, _)| name);
                let message = format!("{}, and `parallel = {name}` merges numbers", is_a(&column));
                self.cx.error_help(codes::SCHEMA_PARALLEL, message, span, "cannot be merged", else_help);
                return None;
            }
        };
        Some(ColumnHeader { kind, ..column })
    }

    /// The same for the column of a split, which may also be the time of the edges: that of a merged edge is the latest.
    pub fn merged_or_time(&mut self, column: ColumnHeader, span: Span) -> Option<ColumnHeader> {
        match self.around.rows {
            RowsOf::Edges { time: Some(time), .. } if time == column.name => Some(column),
            _ => self.merged_for_parts(column, span),
        }
    }
}
