//! Features of edges that layers and decoders read, and relations that do not have them.

use super::experiment::ExperimentCx;
use super::model::{LayerCall, Model};
use super::predict::{Predict, Target};
use super::value::Env;
use crate::layers::{edge_features, lacks_edge_feature};

impl ExperimentCx<'_, '_> {
    /// Reports the features that a layer reads and that not every relation into the nodes it computes has; and those that a
    /// decoder reads and its edges do not have.
    pub fn edge_reads(&mut self, gnn: &Model, predicts: &[Predict]) {
        let mut calls = Vec::new();
        layers(gnn, &mut calls);
        for (behind, call) in calls.into_iter().rev().enumerate() {
            let computed = self.reached(Some(predicts), behind);
            let edges = self.graph.plan.edges.iter().enumerate();
            let into = edges.filter(|(_, e)| computed[e.dst] || (e.reverse.is_some() && computed[e.src]));
            let read: Vec<usize> = into.map(|(edge, _)| edge).collect();
            self.lacking(call, &read);
        }
        for predict in predicts {
            if let (Target::Edge { edge, .. }, Model::Call(call)) = (predict.target, &predict.decode)
                && call.pairs
            {
                self.lacking(call, &[edge]);
            }
        }
    }

    fn lacking(&mut self, call: &LayerCall, read: &[usize]) {
        let library = self.library;
        let scope = library.scope(library.module_of(call.id), &Env::default());
        let layer = library.declared(call.id);
        let (edges, names) = (&self.graph.plan.edges, self.graph.relation_names());
        let mut found = Vec::new();
        for (name, span) in edge_features(&layer, &scope) {
            let lost = &self.graph.lost_of_edges;
            let has = |edge: &&usize| {
                lost[**edge].contains(&name) || edges[**edge].features.iter().any(|f| f.name == name)
            };
            let (with, without): (Vec<&usize>, Vec<&usize>) = read.iter().partition(has);
            if without.is_empty() {
                continue;
            }
            let known =
                without.iter().flat_map(|edge| edges[**edge].features.iter().map(|f| f.name.as_str()));
            let named = |edges: &[&usize]| edges.iter().map(|edge| names[**edge].clone()).collect::<Vec<_>>();
            let sides = [&named(&with)[..], &named(&without)[..]];
            found.push(lacks_edge_feature(call.span, (&name, span), &layer, sides, known));
        }
        self.cx.within(&call.file, |cx| found.into_iter().for_each(|lacks| cx.report(lacks)));
    }
}

/// The layers that look at neighbours, the first one first.
fn layers<'m>(model: &'m Model, found: &mut Vec<&'m LayerCall>) {
    match model {
        Model::Call(call) if call.hops => found.push(call),
        Model::Call(_) | Model::Activation(..) | Model::Dropout(_) => {}
        Model::Chain(models) => models.iter().for_each(|model| layers(model, found)),
        Model::Residual(inner, _) | Model::Jump { of: inner, .. } => layers(inner, found),
    }
}
