//! Two labels of one column that are predicted together, each with a split of its own: what tests the one trains the other.

use gsl_plan::graph::Label;

use super::experiment::ExperimentCx;
use super::predict::{Predict, Target};
use crate::diag::{Diagnostic, codes};

impl ExperimentCx<'_, '_> {
    /// Warns of predictions whose labels say the same of the same rows and are split otherwise.
    pub fn two_splits(&mut self, predicts: &[Predict]) {
        for (at, later) in predicts.iter().enumerate() {
            for earlier in &predicts[..at] {
                let [Some((owner, one)), Some((other_owner, other))] =
                    [earlier, later].map(|predict| self.label_of(predict.target))
                else {
                    continue;
                };
                let allowed = [one, other].iter().any(|label| self.allowed.has(&label.name));
                if owner != other_owner || !says_the_same(one, other) || one.split == other.split || allowed {
                    continue;
                }
                let message = format!(
                    "`{}` and `{}` are the column `{}` with two splits: rows that test the one may train the other",
                    earlier.name, later.name, one.column
                );
                let help = format!(
                    "give both the same split, or predict one of them; or allow it: `allow leak({})`",
                    other.name
                );
                let diagnostic = Diagnostic::new(codes::LEAK_TWO_SPLITS, message)
                    .at(earlier.span, "one split")
                    .at(later.span, "another")
                    .help(help);
                self.cx.report(diagnostic);
            }
        }
    }

    /// The label that is predicted, and whose it is: edges behind nodes.
    fn label_of(&self, target: Target) -> Option<((bool, usize), &Label)> {
        let plan = &self.graph.plan;
        match target {
            Target::Node { ty, label } => Some(((false, ty), &plan.nodes[ty].labels[label])),
            Target::Edge { edge, label } => Some(((true, edge), &plan.edges[edge].labels[label])),
            Target::Link { .. } | Target::Feature { .. } | Target::EdgeFeature { .. } => None,
        }
    }
}

fn says_the_same(one: &Label, other: &Label) -> bool {
    !one.column.is_empty() && one.column == other.column
}
