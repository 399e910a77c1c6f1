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
        let RowsOf::Edges { parallel, .. } = self.around.rows else { return Some(column) };
        let kind = match (parallel, &column.kind) {
            (Parallel::Keep, _) => return Some(column),
            (Parallel::Count, _) => {
                let message =
                    format!("`{}` is lost where only the number of merged rows is kept", column.name);
                let help = "use `count()`, or merge the column too: `parallel = sum`, `mean`, `min` or `max`";
                self.cx.error_help(codes::SCHEMA_PARALLEL, message, span, "of which row?", help);
                return None;
            }
            (Parallel::Mean, ColumnKind::Int | ColumnKind::Float | ColumnKind::Bool) => ColumnKind::Float,
            (Parallel::Sum, ColumnKind::Bool) => ColumnKind::Int,
            (_, ColumnKind::Int | ColumnKind::Float | ColumnKind::Bool) => column.kind.clone(),
            _ => {
                let name = POLICIES.iter().find(|(_, p)| *p == parallel).map_or("", |(name, _)| name);
                let message = format!("{}, and `parallel = {name}` merges numbers", is_a(&column));
                let help =
                    "keep parallel edges apart (`parallel = keep`), or make a number of it in the table";
                self.cx.error_help(codes::SCHEMA_PARALLEL, message, span, "cannot be merged", help);
                return None;
            }
        };
        Some(ColumnHeader { kind, ..column })
    }

    /// The same for the column of a split, which may also be the time of the edges: that of a merged edge is the latest.
    pub fn merged_or_time(&mut self, column: ColumnHeader, span: Span) -> Option<ColumnHeader> {
        match self.around.rows {
            RowsOf::Edges { time: Some(time), .. } if time == column.name => Some(column),
            _ => self.merged(column, span),
        }
    }
}
