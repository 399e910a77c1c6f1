//! Negatives of a batch: nodes put in the place of an end of its pairs.
//!
//! Draws are a function of (key, side, number of the group in the batch, place) alone, so that ranks and threads do not
//! matter. A node that is the pair's own end is never its negative.

use super::partitions::Partitions;
use super::{Edge, Edges};
use crate::extend::{Group, Link, NegativesOf};
use crate::sample::{HeadEdges, TileEdges};
use crate::view::GraphView;
use gsl_kernels::random::Key;
use gsl_plan::pairs::{Corrupted, Negatives, Side};
use std::ops::Range;

/// What negatives are drawn from.
pub struct Drawing<'a> {
    pub edges: Edges<'a>,
    /// The training graph, which says what an edge is.
    pub messages: &'a dyn GraphView,
    pub rule: &'a Negatives,
    pub key: Key,
    /// Number in the batch of the first group.
    pub first_group: u64,
    /// What draws instead of chance, by side.
    pub own: Option<&'a [Box<dyn NegativesOf>; 2]>,
}

impl Drawing<'_> {
    /// The negatives of all pairs on one side, as edges that lead to the pairs.
    ///
    /// # Errors
    /// Why what was drawn by a sampler of the program's own cannot be used.
    pub fn side(&self, pairs: &[Edge], corrupted: Corrupted) -> Result<HeadEdges, String> {
        let mut edges = HeadEdges::empty(corrupted.rel);
        let size = self.rule.group.max(1) as usize;
        let side = corrupted.side;
        let mut tiles = TileEdges { rows: vec![0], ends: vec![0], ..TileEdges::default() };
        let shared = self.rule.in_tiles();
        for (at, group) in pairs.chunks(size).enumerate() {
            let common = self.common(group, side, self.first_group + at as u64)?;
            let first = tiles.columns.len() as u32;
            for pair in group {
                let fits = |node: &u32| self.fits(pair, side, *node);
                if shared {
                    let columns =
                        (first..).zip(&common).filter(|(_, node)| fits(node)).map(|(column, _)| column);
                    tiles.column.extend(columns);
                    edges.indptr.push(tiles.column.len() as u32);
                } else {
                    edges.src.extend(self.hard(pair).filter(fits));
                    edges.src.extend(common.iter().copied().filter(fits));
                    edges.indptr.push(edges.src.len() as u32);
                }
            }
            if shared {
                tiles.columns.extend(common);
                tiles.rows.push(edges.indptr.len() as u32 - 1);
                tiles.ends.push(tiles.columns.len() as u32);
            }
        }
        edges.tiles = shared.then_some(tiles);
        Ok(edges)
    }

    /// What a group shares: the nodes drawn for it, and the ends of its pairs.
    fn common(&self, group: &[Edge], side: Side, number: u64) -> Result<Vec<u32>, String> {
        let (key, nodes) = (self.key.fold(side as u64).fold(number), self.nodes(side));
        let mut found: Vec<u32> = match self.own {
            Some(own) => self.own_draws(own[side as usize].as_ref(), group, key, nodes)?,
            None if self.rule.partitions > 1 => self.draws_nearby(group, side, key, nodes),
            None => (0..u64::from(self.rule.drawn)).map(|place| key.below_at(place, nodes)).collect(),
        };
        found.extend(group.iter().filter(|_| self.rule.in_batch).map(|pair| end(pair, side)));
        Ok(found)
    }

    /// Of the partitions that the group's pairs have their ends in, in turn.
    fn draws_nearby(&self, group: &[Edge], side: Side, key: Key, nodes: u32) -> Vec<u32> {
        let partitions = Partitions::new(nodes, self.rule.partitions);
        let ranges = group.iter().cycle().map(|pair| partitions.range(partitions.of(end(pair, side))));
        let draw = |(place, range): (u64, Range<u32>)| range.start + key.below_at(place, range.len() as u32);
        (0..u64::from(self.rule.drawn)).zip(ranges).map(draw).collect()
    }

    /// As many as are wanted, of the nodes that there are.
    fn own_draws(
        &self,
        own: &dyn NegativesOf,
        group: &[Edge],
        key: Key,
        nodes: u32,
    ) -> Result<Vec<u32>, String> {
        let links: Vec<Link> =
            group.iter().map(|edge| Link { src: edge.src, dst: edge.dst, relation: edge.kind }).collect();
        let count = self.rule.drawn;
        let drawn = own.draw(&Group { links: &links, count, key });
        match drawn.iter().find(|node| **node >= nodes) {
            Some(node) => {
                Err(format!("it drew node {node}, and the nodes are numbered from 0 to {}", nodes - 1))
            }
            None if drawn.len() != count as usize => {
                Err(format!("it drew {} nodes, and {count} are wanted", drawn.len()))
            }
            None => Ok(drawn),
        }
    }

    fn fits(&self, pair: &Edge, side: Side, node: u32) -> bool {
        node != end(pair, side) && !(self.rule.filtered && self.is_edge(pair, side, node))
    }

    fn nodes(&self, side: Side) -> u32 {
        let ty = self.edges.pairs.end(side);
        self.edges.view.node_count(ty) as u32
    }

    fn hard(&self, pair: &Edge) -> impl Iterator<Item = u32> {
        let (candidates, most) = self.rule.hard.unwrap_or_default();
        let rel = self.edges.pairs.relations[pair.kind as usize];
        let (width, all) = match self.rule.hard {
            Some(_) => self.edges.view.edge_candidates(rel, candidates),
            None => (0, &[][..]),
        };
        let own = all.get(pair.position as usize * width..(pair.position as usize + 1) * width);
        own.unwrap_or_default().iter().copied().filter(|node| *node != u32::MAX).take(most as usize)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toys;
    use crate::view::MemoryGraph;
    use proptest::prelude::*;

    const NODES: u32 = 97;

    fn ring(pairs: u32) -> (MemoryGraph, Vec<Edge>) {
        let mut graph = MemoryGraph::new(&[NODES as usize]);
        let ends = |at: u32| ((at * 31) % NODES, (at * 17 + 5) % NODES);
        graph.add_relation(0, 0, &(0..NODES).map(ends).collect::<Vec<_>>());
        let edge = |at: u32| Edge { kind: 0, position: 0, src: ends(at).0, dst: ends(at).1 };
        (graph, (0..pairs).map(edge).collect())
    }

    proptest! {
        /// Draw `at` of a group is of the partition of its pair `at`, counted round and round.
        #[test]
        fn draws_are_of_the_partitions_of_their_pairs(
            group in 1u32..9, drawn in 1u32..12, partitions in 2u32..20, pairs in 1u32..40, seed in 0u64..99,
        ) {
            let (graph, all) = ring(pairs);
            let predict = toys::links(toys::negatives(group, drawn, partitions));
            let edges = Edges::of(&graph, &predict).expect("pairs");
            let links = edges.links().expect("links");
            let key = Key::new(seed, 1);
            let drawing =
                Drawing { edges, messages: &graph, rule: &links.negatives, key, first_group: 0, own: None };
            let of = |node: u32| Partitions::new(NODES, partitions).of(node);
            for side in [Side::Source, Side::Destination] {
                for (number, group) in all.chunks(group as usize).enumerate() {
                    let found = drawing.common(group, side, number as u64).expect("draws");
                    prop_assert_eq!(found.len(), drawn as usize);
                    let pairs = group.iter().cycle();
                    prop_assert!(found.iter().zip(pairs).all(|(node, pair)| of(*node) == of(end(pair, side))));
                }
            }
        }
    }

    /// χ² of 4,000 draws from the 24 nodes of a partition stays below the 99.9 % bound for 23 degrees of freedom.
    #[test]
    fn draws_of_a_partition_are_uniform() {
        let (graph, all) = ring(1);
        let predict = toys::links(toys::negatives(1, 4000, 4));
        let edges = Edges::of(&graph, &predict).expect("pairs");
        let rule = &edges.links().expect("links").negatives;
        let drawing =
            Drawing { edges, messages: &graph, rule, key: Key::new(3, 1), first_group: 0, own: None };
        let partitions = Partitions::new(NODES, 4);
        let range = partitions.range(partitions.of(all[0].dst));
        let found = drawing.common(&all, Side::Destination, 0).expect("draws");
        let mut counts = vec![0.0; range.len()];
        found.iter().for_each(|node| counts[(node - range.start) as usize] += 1.0);
        let expected = 4000.0 / range.len() as f64;
        let chi: f64 = counts.iter().map(|n| (n - expected) * (n - expected) / expected).sum();
        assert!(chi < 49.7, "{chi}");
    }
}
