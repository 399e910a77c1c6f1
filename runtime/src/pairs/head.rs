//! From edges to what a batch has in front: a row for each pair, the edges that lead to it, what is known of it.

use super::negatives::Drawing;
use super::{Edge, Edges};
use crate::exec::{ExecError, PairRows};
use crate::extend::{Ends, Extensions, NegativesOf};
use crate::sample::{Excluded, Head, HeadEdges};
use crate::view::GraphView;
use gsl_kernels::random::Key;
use gsl_plan::pairs::{Pairs, Side};
use gsl_plan::plan::{Executable, Plan};
use gsl_plan::program::{Domain, Op};

/// Makes the heads of one program.
pub struct HeadMaker {
    /// Features of pairs that the program reads: (node type, feature, width).
    features: Vec<(u32, u32, usize)>,
    /// Reverse of each relation.
    reverses: Vec<Option<u32>>,
    /// By predict: what draws its negatives in the place of chance, by side.
    own: Vec<Option<[Box<dyn NegativesOf>; 2]>>,
}

/// The edges of one prediction in a batch.
pub struct PairBatch<'a> {
    pub predict: usize,
    pub edges: Edges<'a>,
    /// Those of this rank.
    pub own: Vec<Edge>,
    /// Number of the first of its groups in the batch.
    pub first_group: u64,
}

impl HeadMaker {
    pub fn new(plan: &Plan, exec: &Executable) -> Self {
        let types = plan.facts.nodes.len() as u32;
        let pair_feature = |value: &gsl_plan::program::Value| match (&value.op, value.domain) {
            (Op::Feature { feature }, Domain::Nodes { ty, .. }) if ty >= types => {
                Some((ty, *feature, value.width()))
            }
            _ => None,
        };
        let mut features: Vec<_> = exec.forward.values.iter().filter_map(pair_feature).collect();
        features.sort_unstable();
        features.dedup();
        let mut reverses = vec![None; plan.facts.relations.len()];
        for (rel, facts) in plan.facts.relations.iter().enumerate() {
            if let Some(forward) = facts.reverse_of {
                reverses[forward] = Some(rel as u32);
            }
        }
        HeadMaker { features, reverses, own: Vec::new() }
    }

    /// Makes ready what draws negatives in the place of chance. `messages` is the training graph.
    ///
    /// # Errors
    /// If a sampler that the plan names is not registered.
    pub fn with_negatives(
        mut self,
        plan: &Plan,
        messages: &dyn GraphView,
        extensions: &Extensions,
    ) -> Result<Self, ExecError> {
        for predict in &plan.predicts {
            let links = predict.pairs.as_ref().and_then(|pairs| Some((pairs, pairs.links.as_ref()?)));
            let named = links.and_then(|(pairs, links)| Some((pairs, links.negatives.rust?)));
            let Some((pairs, name)) = named else {
                self.own.push(None);
                continue;
            };
            let found = extensions.negatives_of(name.as_str());
            let found = found.ok_or_else(|| ExecError::Unregistered { name: name.to_string() })?;
            let of = |side: Side| {
                let ty = pairs.end(side);
                let nodes = messages.node_count(ty) as u32;
                found.of(&Ends { side, nodes, messages, relations: &pairs.relations })
            };
            self.own.push(Some([Side::Source, Side::Destination].map(of)));
        }
        Ok(self)
    }

    /// Adds the pairs to a head, without negatives.
    pub fn add(&self, batch: &PairBatch, head: &mut Head, rows: &mut Vec<PairRows>) {
        let pairs = batch.edges.pairs;
        let ids = batch.own.iter().map(|edge| edge.position as u32).collect();
        head.rows.push((pairs.ty, ids));
        let one_each = |rel: u32, src: Vec<u32>| {
            let indptr = (0..=src.len() as u32).collect();
            HeadEdges { indptr, src, ..HeadEdges::empty(rel) }
        };
        head.edges.push(one_each(pairs.from, batch.own.iter().map(|edge| edge.src).collect()));
        head.edges.push(one_each(pairs.to, batch.own.iter().map(|edge| edge.dst).collect()));
        head.edges.push(one_each(pairs.kinds.rel, batch.own.iter().map(|edge| edge.kind).collect()));
        rows.push(self.rows(batch, pairs));
    }

    fn rows(&self, batch: &PairBatch, pairs: &Pairs) -> PairRows {
        let of = |&(_, feature, width): &(u32, u32, usize)| (feature, width, features(batch, feature, width));
        PairRows {
            ty: pairs.ty,
            labels: batch.own.iter().flat_map(|edge| batch.edges.label(edge)).map(|y| finite(*y)).collect(),
            features: self.features.iter().filter(|(ty, _, _)| *ty == pairs.ty).map(of).collect(),
        }
    }

    /// Adds the negatives of training on all corrupted sides.
    ///
    /// # Errors
    /// If a sampler of the program's own draws what is not there.
    pub fn add_negatives(
        &self,
        batch: &PairBatch,
        messages: &dyn GraphView,
        key: Key,
        head: &mut Head,
    ) -> Result<(), ExecError> {
        let Some(links) = &batch.edges.pairs.links else { return Ok(()) };
        let drawing = Drawing {
            edges: batch.edges,
            messages,
            rule: &links.negatives,
            key: key.fold(batch.predict as u64),
            first_group: batch.first_group,
            own: self.own.get(batch.predict).and_then(Option::as_ref),
        };
        for corrupted in links.corrupted(&links.sides) {
            let side = drawing.side(&batch.own, corrupted).map_err(|why| {
                let name = links.negatives.rust.map_or(String::new(), |name| name.to_string());
                ExecError::Function { name, why }
            })?;
            head.edges.push(side);
        }
        Ok(())
    }

    /// Edges of a batch, those of other ranks too, and their reverses take no part in its messages.
    pub fn exclude(&self, edges: &Edges, all: &[Edge], excluded: &mut Excluded) {
        for (kind, &rel) in edges.pairs.relations.iter().enumerate() {
            let of_kind = || all.iter().filter(move |edge| edge.kind as usize == kind);
            let forward = of_kind().map(|edge| Excluded::word(edge.src, edge.dst));
            excluded.relations.push((rel, forward.collect()));
            if let Some(reverse) = self.reverses[rel as usize] {
                let back = of_kind().map(|edge| Excluded::word(edge.dst, edge.src));
                excluded.relations.push((reverse, back.collect()));
            }
        }
    }
}

/// An unknown class counts as none; its weight is 0.
fn finite(y: f32) -> f32 {
    if y.is_finite() { y } else { 0.0 }
}

/// Rows of a feature of the pairs' edges.
fn features(batch: &PairBatch, feature: u32, width: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(batch.own.len() * width);
    batch.own.iter().for_each(|edge| rows.extend(batch.edges.feature(edge, feature)));
    rows
}
