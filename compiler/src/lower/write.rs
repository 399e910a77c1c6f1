//! Results that only what has been lowered can refuse.

use gsl_plan::plan::{Scorer, WriteWhat};
use gsl_plan::program::{Domain, Op};

use super::{Lowering, Wrong};
use crate::diag::{Diagnostic, codes};
use crate::sema::Written;
use crate::sema::cx::nearest_or_all;
use crate::syntax::ast::Span;

impl Lowering<'_> {
    /// Reports scores of pairs that have no edge whose features a decoder reads, and rows of relations where there are none.
    pub fn writable(&self, scorers: &[Scorer]) -> Result<(), Wrong> {
        let mut wrong = Vec::new();
        for Written { write, span } in &self.experiment.writes {
            wrong.extend(self.no_such_relation(&write.what, *span));
            let (predict, message, help) = match write.what {
                WriteWhat::Scores { predict, .. } if self.reads_edges(scorers, predict) => (
                    predict,
                    "the decoder reads features of edges, and pairs of a table have none",
                    "leave `scores` out, or decode by the rows of both ends alone",
                ),
                WriteWhat::Relations { predict } if !self.has_relation_rows(scorers, predict) => (
                    predict,
                    "the decoder has no weight of each relation",
                    "leave `relations` out, or take a decoder that has one, such as `distmult`",
                ),
                _ => continue,
            };
            let span = self.experiment.predicts[predict].span;
            wrong.push(Diagnostic::new(codes::EXPERIMENT_WRITE, message).at(span, "decoded here").help(help));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// A relation of a family that its table does not name.
    fn no_such_relation(&self, what: &WriteWhat, span: Span) -> Option<Diagnostic> {
        let (predict, wanted) = what.one_relation()?;
        let relations = &self.around.pairs[predict].as_ref()?.relations;
        let name = |rel: &u32| self.facts.relations[*rel as usize].name.as_str();
        let known: Vec<&str> = relations.iter().map(name).collect();
        if known.contains(&wanted) {
            return None;
        }
        let family = &self.experiment.predicts[predict].name;
        let opposite = self.facts.relations.iter().find(|relation| relation.name == wanted);
        let opposite = opposite.and_then(|relation| self.facts.relations.get(relation.reverse_of?));
        let help = match opposite {
            Some(forward) => {
                Some(format!("it is the reverse of `{}`, which shares what is predicted", forward.name))
            }
            None => nearest_or_all(wanted, &known),
        };
        let message = format!("`{family}` has no relation `{wanted}`");
        Some(Diagnostic::new(codes::EXPERIMENT_WRITE, message).at(span, "not a relation").help_opt(help))
    }

    fn reads_edges(&self, scorers: &[Scorer], predict: usize) -> bool {
        let rows = self.around.pairs[predict].as_ref().map(|pairs| pairs.ty);
        has(scorers, predict, |op, ty| matches!(op, Op::Feature { .. }) && Some(ty) == rows)
    }

    fn has_relation_rows(&self, scorers: &[Scorer], predict: usize) -> bool {
        let kinds = self.around.pairs[predict].as_ref().map(|pairs| pairs.kinds.ty);
        has(scorers, predict, |op, ty| matches!(op, Op::Embedding { .. }) && Some(ty) == kinds)
    }
}

/// Whether the scorer of a prediction has such an operation on rows of a node type.
fn has(scorers: &[Scorer], predict: usize, is: impl Fn(&Op, u32) -> bool) -> bool {
    let own = scorers.iter().filter(|scorer| scorer.predict == predict);
    own.flat_map(|scorer| &scorer.exec.forward.values).any(|value| match value.domain {
        Domain::Nodes { ty, .. } => is(&value.op, ty),
        _ => false,
    })
}
