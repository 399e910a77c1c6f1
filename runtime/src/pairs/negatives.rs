//! Negatives of a batch: nodes put in the place of an end of its pairs.
//!
//! Draws are a function of (key, side, number of the group in the batch, place) alone, so that ranks and threads do not
//! matter. A node that is the pair's own end is never its negative.

use super::{Edge, Edges};
use crate::extend::{Group, Link, NegativesOf};
use crate::sample::{HeadEdges, TileEdges};
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
            None => (0..u64::from(self.rule.drawn)).map(|place| key.below_at(place, nodes)).collect(),
        };
        found.extend(group.iter().filter(|_| self.rule.in_batch).map(|pair| end(pair, side)));
        Ok(found)
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
