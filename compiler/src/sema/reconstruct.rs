//! Reconstruction: a stored feature of nodes or edges as the target.
//!
//! Decided here: which rows train, and which inputs would give the answer away. A feature that is reconstructed, and those
//! that read the same columns or count the same edges, are no inputs of their type: a neighbour could hand a node its own number
//! back. Features of edges stay inputs of layers, because the edges that are scored take no part in messages.

use gsl_plan::graph::{Feature, GraphPlan, Split};

use super::body::Sourced;
use super::cx::nearest_or_all;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::graph::merge::show_edge;
use super::graph::node_split;
use super::graph::reads::share;
use super::model::Model;
use super::predict::{Predict, Target};
use super::split::show_split;
use crate::diag::{Diagnostic, codes, one_of};
use crate::layers::edge_features;
use crate::syntax::ast::{EdgePath, Ident, Setting, Span, Target as Written, TargetKind};

/// The target of a prediction that is a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstruct {
    /// The feature's name.
    pub feature: String,
    pub split: Option<Split>,
}

/// The name of the label that has the parts of the rows; no label that is written can have it.
pub fn label_name(feature: &str) -> String {
    format!("(reconstruct {feature})")
}

/// An input that would give the answer away, and the feature that is reconstructed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    pub name: String,
    pub answer: String,
}

/// Features that say what `of` says: itself, and those that read a column, or count edges, that it reads or counts. `node`: the
/// type that they are of, unless they are of edges.
fn hidden(plan: &GraphPlan, node: Option<usize>, features: &[Feature], of: usize) -> Vec<Hidden> {
    let answer = &features[of];
    let gives = |feature: &&Feature| feature.name == answer.name || share(&plan.edges, node, answer, feature);
    let found = features.iter().filter(gives);
    found.map(|feature| Hidden { name: feature.name.clone(), answer: answer.name.clone() }).collect()
}

pub fn give_away(hidden: &Hidden, span: Span) -> Diagnostic {
    let Hidden { name, answer } = hidden;
    let message = match name == answer {
        true => format!("`{name}` is reconstructed, and it cannot be an input"),
        false => format!("`{name}` reads what `{answer}` reads, and `{answer}` is reconstructed"),
    };
    Diagnostic::new(codes::LEAK_RECONSTRUCTED, message)
        .at(span, "the answer, given as an input")
        .help(format!("remove it, or allow it by name: `allow leak({answer})`"))
}

impl ExperimentCx<'_, '_> {
    /// The feature that a target names; one that is not there is reported.
    pub fn feature_target(&mut self, target: &Written) -> Option<Target> {
        match &target.kind {
            TargetKind::Field { owner, name } => self.node_feature(owner, name),
            TargetKind::EdgeField { edge, name } => self.edge_feature(edge, name),
            TargetKind::Name(name) => self.of_which(name),
            TargetKind::Link(_) | TargetKind::Reconstruct(_) => None,
        }
    }

    /// Reports a feature that is named without its type.
    fn of_which<T>(&mut self, name: &Ident) -> Option<T> {
        let plan = &self.graph.plan;
        let has = |features: &[Feature]| features.iter().any(|feature| feature.name == name.text);
        let nodes = plan.nodes.iter().filter(|node| has(&node.features)).map(|node| node.name.clone());
        let relations = self.graph.relation_names();
        let edges = relations.iter().zip(&plan.edges).filter(|(_, edge)| has(&edge.features));
        let owners: Vec<String> = nodes.chain(edges.map(|(name, _)| format!("({name})"))).collect();
        let shown = |owner: &str| format!("predict reconstruct {owner}.{name}");
        let written: Vec<String> = match owners.is_empty() {
            true => vec![shown("TYPE")],
            false => owners.iter().map(|owner| shown(owner)).collect(),
        };
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        let message = format!("`{name}` of which type?");
        let help = format!("write {}", one_of(&written));
        self.cx.error_help(
            codes::NAMES_FEATURE,
            message,
            name.span,
            "a feature stands behind its type",
            help,
        );
        None
    }

    fn node_feature(&mut self, owner: &Ident, name: &Ident) -> Option<Target> {
        let Some(ty) = self.graph.node(&owner.text) else {
            let known = self.graph.node_names();
            self.cx.unknown(codes::NAMES_NODE, "node type", &owner.text, owner.span, known);
            return None;
        };
        let feature = self.named_feature(&self.graph.plan.nodes[ty].features, &owner.text, name);
        let is_lost = self.graph.lost[ty].contains(&name.text);
        self.report_unless(feature, is_lost).map(|feature| Target::Feature { ty, feature })
    }

    fn edge_feature(&mut self, path: &EdgePath, name: &Ident) -> Option<Target> {
        let edge = self.edge_type(path)?;
        let feature = self.named_feature(&self.graph.plan.edges[edge].features, &show_edge(path), name);
        let is_lost = self.graph.lost_of_edges[edge].contains(&name.text);
        self.report_unless(feature, is_lost).map(|feature| Target::EdgeFeature { edge, feature })
    }

    fn named_feature(&self, features: &[Feature], owner: &str, name: &Ident) -> Result<usize, Diagnostic> {
        if let Some(found) = features.iter().position(|f| f.name == name.text) {
            return Ok(found);
        }
        let known: Vec<&str> = features.iter().map(|f| f.name.as_str()).collect();
        let help = nearest_or_all(&name.text, &known).unwrap_or_else(|| {
            format!("declare it: `feature {name} = COLUMN`; a label is predicted as it is")
        });
        let message = format!("`{owner}` has no feature `{name}`");
        Err(Diagnostic::new(codes::NAMES_FEATURE, message).at(name.span, "not a feature").help(help))
    }

    fn report_unless<T>(&mut self, found: Result<T, Diagnostic>, is_lost: bool) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(_) if is_lost || self.graph.broken => None,
            Err(diagnostic) => {
                self.cx.report(diagnostic);
                None
            }
        }
    }

    /// The settings of reconstruction alone.
    pub fn reconstruct(
        &mut self,
        target: Target,
        get: &dyn Fn(&str) -> Option<Sourced<Setting>>,
        lines: &mut Vec<Line>,
    ) -> Option<Reconstruct> {
        let plan = &self.graph.plan;
        let feature = match target {
            Target::Feature { ty, feature } => plan.nodes[ty].features[feature].name.clone(),
            Target::EdgeFeature { edge, feature } => plan.edges[edge].features[feature].name.clone(),
            _ => return None,
        };
        let setting = get("split")?;
        let split = match target {
            Target::Feature { ty, .. } => {
                let env = setting.place.env.clone();
                let (prelude, plan) = (self.prelude, &self.graph.plan);
                let split =
                    self.within(&setting, |cx| node_split(cx.cx, &env, prelude, plan, ty, &setting.item))?;
                lines.push(self.line(1, "split", &show_split(&split), &setting));
                split
            }
            _ => self.link_split(&setting, target.edge()?, lines)?,
        };
        Some(Reconstruct { feature, split: Some(split) })
    }

    /// Features of a node type that no encoder may read.
    pub fn hidden_of(&self, ty: usize, predicts: &[Predict]) -> Vec<Hidden> {
        let features = &self.graph.plan.nodes[ty].features;
        let mut found: Vec<Hidden> = Vec::new();
        for predict in predicts {
            if let Target::Feature { ty: of, feature } = predict.target
                && of == ty
                && !self.allowed.has(&features[feature].name)
            {
                found.extend(hidden(&self.graph.plan, Some(ty), features, feature));
            }
        }
        found
    }

    /// A decoder that reads what it is to tell is reported.
    pub fn blind(&mut self, setting: &Sourced<Setting>, target: Target, model: &Model) -> Option<()> {
        let Target::EdgeFeature { edge, feature } = target else { return Some(()) };
        let Model::Call(call) = model else { return Some(()) };
        let features = &self.graph.plan.edges[edge].features;
        if self.allowed.has(&features[feature].name) {
            return Some(());
        }
        let library = self.library;
        let scope = library.scope(library.module_of(call.id), &setting.place.env);
        let read = edge_features(&library.declared(call.id), &scope);
        let hidden = hidden(&self.graph.plan, None, features, feature);
        let leak = hidden.into_iter().find(|hidden| read.iter().any(|(name, _)| *name == hidden.name));
        let Some(leak) = leak else { return Some(()) };
        self.within(setting, |cx| cx.cx.report(give_away(&leak, setting.item.span)));
        None
    }
}
