//! Negatives of a batch: nodes put in the place of an end of its pairs.
//!
//! Draws are a function of (key, side, number of the group in the batch, place) alone, so that ranks and threads do not
//! matter. A node that is the pair's own end is never its negative.

use super::{Edge, Edges};
use crate::sample::HeadEdges;
use crate::view::GraphView;
use gsl_kernels::random::Key;
use gsl_plan::pairs::{Corrupted, Negatives, Side};

/// What negatives are drawn from.
pub struct Drawing<'a> {
    pub edges: Edges<'a>,
    /// The training graph, which says what an edge is.
    pub messages: &'a dyn GraphView,
    pub rule: &'a Negatives,
    pub key: Key,
    /// Number in the batch of the first group.
    pub first_group: u64,
}

impl Drawing<'_> {
    /// The negatives of all pairs on one side, as edges that lead to the pairs.
    pub fn side(&self, pairs: &[Edge], corrupted: Corrupted) -> HeadEdges {
        let mut edges = HeadEdges::empty(corrupted.rel);
        let size = self.rule.group.max(1) as usize;
        let key = self.key.fold(corrupted.side as u64);
        let nodes = self.nodes(corrupted.side);
        for (at, group) in pairs.chunks(size).enumerate() {
            let key = key.fold(self.first_group + at as u64);
            let drawn: Vec<u32> =
                (0..u64::from(self.rule.drawn)).map(|place| key.below_at(place, nodes)).collect();
            for pair in group {
                self.own(pair, corrupted.side, group, &drawn, &mut edges.src);
                edges.indptr.push(edges.src.len() as u32);
            }
        }
        edges
    }

    fn nodes(&self, side: Side) -> u32 {
        let ty = if side == Side::Source { self.edges.pairs.src } else { self.edges.pairs.dst };
        self.edges.view.node_count(ty) as u32
    }

    fn own(&self, pair: &Edge, side: Side, group: &[Edge], drawn: &[u32], out: &mut Vec<u32>) {
        let truth = end(pair, side);
        let fits = |node: &u32| *node != truth && !(self.rule.filtered && self.is_edge(pair, side, *node));
        if let Some((candidates, most)) = self.rule.hard {
            out.extend(self.hard(pair, candidates, most as usize).filter(fits));
        }
        out.extend(drawn.iter().copied().filter(fits));
        if self.rule.in_batch {
            out.extend(group.iter().map(|other| end(other, side)).filter(fits));
        }
    }

    fn hard(&self, pair: &Edge, candidates: u32, most: usize) -> impl Iterator<Item = u32> {
        let rel = self.edges.pairs.relations[pair.kind as usize];
        let (width, all) = self.edges.view.edge_candidates(rel, candidates);
        let own = all.get(pair.position as usize * width..(pair.position as usize + 1) * width);
        own.unwrap_or_default().iter().copied().filter(|node| *node != u32::MAX).take(most)
    }

    /// Whether the pair with another end is an edge that training knows.
    fn is_edge(&self, pair: &Edge, side: Side, node: u32) -> bool {
        let (src, dst) = if side == Side::Source { (node, pair.dst) } else { (pair.src, node) };
        let csc = self.messages.csc(self.edges.pairs.relations[pair.kind as usize]);
        let (begin, end) = (csc.indptr[dst as usize] as usize, csc.indptr[dst as usize + 1] as usize);
        csc.src[begin..end].binary_search(&src).is_ok()
    }
}

pub fn end(edge: &Edge, side: Side) -> u32 {
    match side {
        Side::Source => edge.src,
        Side::Destination => edge.dst,
    }
}
