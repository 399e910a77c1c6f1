//! Names of predictions among others.

use gsl_plan::graph::Relation;

use super::graph::CheckedGraph;
use super::predict::{Predict, Target};

/// What a prediction is called where it is watched: a label by its name or after its type or relation (`section`, `package.section`),
/// a link by its relation or column (`depends`, `link.depends`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    pub owner: String,
    pub name: String,
}

impl Handle {
    pub fn of(graph: &CheckedGraph, target: Target) -> Self {
        let plan = &graph.plan;
        let relation = |edge: usize| match &plan.edges[edge].relation {
            Relation::Named(name) | Relation::Column(name) => name.as_str(),
        };
        let (owner, name) = match target {
            Target::Node { ty, label } => {
                (plan.nodes[ty].name.as_str(), graph.labels[ty][label].label.name.as_str())
            }
            Target::Feature { ty, feature } => {
                (plan.nodes[ty].name.as_str(), plan.nodes[ty].features[feature].name.as_str())
            }
            Target::Edge { edge, label } => (relation(edge), plan.edges[edge].labels[label].name.as_str()),
            Target::EdgeFeature { edge, feature } => {
                (relation(edge), plan.edges[edge].features[feature].name.as_str())
            }
            Target::Link { edge } => ("link", relation(edge)),
        };
        Handle { owner: owner.to_owned(), name: name.to_owned() }
    }

    /// Whether this is what the names say, the last one first.
    pub fn is_called(&self, names: &[&str]) -> bool {
        names.iter().rev().eq([&self.name, &self.owner].iter().take(names.len()))
    }

    /// The shortest form that no other prediction has.
    pub fn shown_among(&self, predicts: &[Predict]) -> String {
        match predicts.iter().filter(|p| p.handle.name == self.name).count() {
            0 | 1 => self.name.clone(),
            _ => format!("{}.{}", self.owner, self.name),
        }
    }
}
