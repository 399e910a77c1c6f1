//! Links that are predicted, and another relation that is made of the same rows: what is held out of the one is in the other.

use gsl_plan::graph::{EdgeType, Relation};

use super::experiment::ExperimentCx;
use super::model::Model;
use super::predict::{Predict, Target};
use crate::diag::{Diagnostic, codes};

impl ExperimentCx<'_, '_> {
    /// Warns of relations that carry the edges which a prediction of links holds out. Without layers that look at neighbours no
    /// relation carries anything.
    pub fn same_edges(&mut self, predicts: &[Predict], gnn: &Model) {
        if gnn.hops() == 0 {
            return;
        }
        for predict in predicts {
            let Target::Link { edge } = predict.target else { continue };
            let edges = &self.graph.plan.edges;
            let others = (0..edges.len()).filter(|other| *other != edge);
            let others: Vec<usize> = others.filter(|other| are_same(&edges[edge], &edges[*other])).collect();
            for other in others {
                self.warn(predict, edge, other);
            }
        }
    }

    fn warn(&mut self, predict: &Predict, edge: usize, other: usize) {
        let names = self.graph.relation_names();
        let name = relation(&self.graph.plan.edges[other]);
        if self.allowed.has(name) {
            return;
        }
        let graph = &self.graph.plan.name;
        let full = &names[other];
        let message = format!(
            "`{}` is made of the rows of `{}`, whose links are predicted: messages pass along the edges to be found",
            names[other], names[edge]
        );
        let help = format!(
            "leave it out, `graph held_out = {graph} without {full}`, and predict on that; or allow it: `allow leak({name})`"
        );
        let diagnostic = Diagnostic::new(codes::LEAK_SAME_EDGES, message);
        self.cx.report(diagnostic.at(predict.span, "held out here, and known there").help(help));
    }
}

/// The name of a relation, or the column of a family.
fn relation(edge: &EdgeType) -> &str {
    let (Relation::Named(name) | Relation::Column(name)) = &edge.relation;
    name
}

/// Edges between the same nodes from the same columns of the same table, in one direction or the other.
fn are_same(one: &EdgeType, other: &EdgeType) -> bool {
    let ends = |edge: &EdgeType| [(edge.src, edge.src_column.clone()), (edge.dst, edge.dst_column.clone())];
    let ([a, b], [c, d]) = (ends(one), ends(other));
    one.source == other.source && ((a == c && b == d) || (a == d && b == c))
}
