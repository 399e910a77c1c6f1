//! A block (message-flow graph): the nodes and edges of one batch, in rows.
//!
//! Decided here: the layout. Rows of a node type are ordered by hop: the first `count(ty, 0)` are the seeds, the first
//! `count(ty, h)` the nodes of hop h. Edges of relation r at hop h lead from rows of hop h + 1 to rows of hop h, grouped
//! by destination.

use super::head::{Excluded, Head, TileEdges, ends_of};
use super::{SampleError, pick};
use crate::view::GraphView;
use gsl_kernels::{Adjacency, random::Key};
use gsl_plan::plan::{Fanout, Virtuals};
use gsl_plan::program::Domain;
use rayon::prelude::*;
use std::sync::{Mutex, OnceLock};

/// Nodes and edges of one batch. Its buffers are used again by the next batch.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) nodes: Vec<NodeRows>,
    pub(super) hops: Vec<Vec<EdgeBlock>>,
    full: bool,
}

#[derive(Debug, Default)]
pub(super) struct NodeRows {
    pub ids: Vec<u32>,
    /// Rows of hop 0, 1, …
    counts: Vec<u32>,
}

/// The edges of one relation at one hop.
#[derive(Debug, Default)]
pub struct EdgeBlock {
    pub rel: u32,
    pub(super) src_type: u32,
    dst_type: u32,
    /// Edges `indptr[v] .. indptr[v + 1]` enter destination row v.
    pub indptr: Vec<u32>,
    /// Source row of each edge.
    pub src: Vec<u32>,
    /// CSC position of each edge in the whole graph: its identifier.
    pub position: Vec<u64>,
    sources: usize,
    pub(super) tiles: Option<TileEdges>,
    transposed: OnceLock<Transposed>,
    spare: Mutex<Option<Transposed>>,
}

/// The same edges, grouped by source and in edge order within a source.
#[derive(Debug, Default)]
pub struct Transposed {
    pub indptr: Vec<u32>,
    /// Destination row of each edge.
    pub dst: Vec<u32>,
    /// Position of each edge in the block's edge order.
    pub edge: Vec<u32>,
}

impl Block {
    pub fn new() -> Self {
        Self::default()
    }

    /// Global identifiers of all rows of type `ty`.
    pub fn ids(&self, ty: u32) -> &[u32] {
        self.nodes.get(ty as usize).map_or(&[], |nodes| &nodes.ids)
    }

    /// Rows of type `ty` at most `hop` hops from the seeds.
    pub fn count(&self, ty: u32, hop: u32) -> usize {
        self.nodes
            .get(ty as usize)
            .and_then(|nodes| nodes.counts.get(hop as usize))
            .map_or(0, |&n| n as usize)
    }

    /// Global identifiers of the seeds of type `ty`.
    pub fn seeds(&self, ty: u32) -> &[u32] {
        &self.ids(ty)[..self.count(ty, 0)]
    }

    /// Rows of a domain.
    pub fn rows(&self, domain: Domain) -> usize {
        match domain {
            Domain::Global => 1,
            Domain::Nodes { ty, hop } => self.count(ty, hop),
            Domain::Edges { rel, hop } => self.edges(rel, hop).map_or(0, EdgeBlock::len),
        }
    }

    /// The edges of relation `rel` at hop `hop`, if it is expanded there.
    pub fn edges(&self, rel: u32, hop: u32) -> Option<&EdgeBlock> {
        self.hops.get(hop as usize)?.iter().find(|edges| edges.rel == rel)
    }

    /// Whether another block of the same seeds would be the same, whatever its key: every fanout is `All`.
    pub fn is_static(&self) -> bool {
        self.full
    }

    /// Rows of all types.
    pub fn node_count(&self) -> usize {
        self.nodes.iter().map(|nodes| nodes.ids.len()).sum()
    }

    /// Edges of all relations and hops.
    pub fn edge_count(&self) -> usize {
        self.hops.iter().flatten().map(EdgeBlock::len).sum()
    }

    /// Makes the transposes of these (relation, hop) pairs now, rather than when they are first read.
    pub fn transpose(&self, wanted: &[(u32, u32)]) {
        wanted.par_iter().filter_map(|&(rel, hop)| self.edges(rel, hop)).for_each(|edges| {
            edges.transposed();
        });
    }

    pub(super) fn reset(&mut self, view: &dyn GraphView, hops: &[Vec<u32>], virtuals: &Virtuals, full: bool) {
        self.full = full;
        self.nodes.resize_with(view.node_types() + virtuals.types.len(), NodeRows::default);
        for nodes in &mut self.nodes {
            nodes.ids.clear();
            nodes.counts.clear();
        }
        self.hops.resize_with(hops.len(), Vec::new);
        for (blocks, relations) in self.hops.iter_mut().zip(hops) {
            blocks.resize_with(relations.len(), EdgeBlock::default);
            for (edges, &rel) in blocks.iter_mut().zip(relations) {
                edges.reset(rel, ends_of(view, virtuals, rel).unwrap_or_default());
            }
        }
    }

    /// No rows, no edges.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.hops.clear();
    }

    /// The rows there are now are the rows of the next hop.
    pub(super) fn close_hop(&mut self) {
        for nodes in &mut self.nodes {
            nodes.counts.push(nodes.ids.len() as u32);
        }
        let closed = self.nodes.first().map_or(0, |nodes| nodes.counts.len());
        let Some(hop) = closed.checked_sub(2) else { return };
        for edges in &mut self.hops[hop] {
            edges.sources = self.nodes[edges.src_type as usize].ids.len();
        }
    }

    /// Puts the rows of a head at hop 0, and its edges behind them.
    pub(super) fn put(&mut self, head: &Head) {
        for (ty, ids) in &head.rows {
            self.nodes[*ty as usize].ids.extend(ids);
        }
        self.close_hop();
        let nodes = &self.nodes;
        if let Some(blocks) = self.hops.first_mut() {
            blocks.par_iter_mut().for_each(|edges| {
                edges.put(head, nodes[edges.dst_type as usize].counts[0] as usize);
            });
        }
    }

    /// Leaves out excluded edges of a hop that has been picked.
    pub(super) fn leave_out(&mut self, hop: usize, excluded: &Excluded) {
        let nodes = &self.nodes;
        self.hops[hop].par_iter_mut().for_each(|edges| {
            if let Some(words) = excluded.of(edges.rel) {
                edges.leave_out(words, &nodes[edges.dst_type as usize].ids);
            }
        });
    }

    /// Picks the edges of all relations of a hop; their `src` holds global identifiers.
    pub(super) fn pick(
        &mut self,
        view: &dyn GraphView,
        hop: usize,
        fanout: Fanout,
        key: Key,
    ) -> Result<(), SampleError> {
        let nodes = &self.nodes;
        self.hops[hop].par_iter_mut().try_for_each(|edges| {
            let ids = &nodes[edges.dst_type as usize].ids;
            let EdgeBlock { rel, indptr, position, src, .. } = edges;
            pick::pick(view.csc(*rel), ids, fanout, key.fold(u64::from(*rel)), indptr, position, src)
                .map_err(|edges| SampleError::TooManyEdges { rel: *rel, hop, edges })
        })
    }
}

impl EdgeBlock {
    /// Number of edges.
    pub fn len(&self) -> usize {
        self.src.len()
    }

    pub fn is_empty(&self) -> bool {
        self.src.is_empty()
    }

    /// Number of destination rows.
    pub fn rows(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Number of source rows.
    pub fn sources(&self) -> usize {
        self.sources
    }

    /// Edges grouped by destination.
    pub fn by_destination(&self) -> Adjacency<'_> {
        Adjacency::new(&self.indptr, &self.src)
    }

    /// The edges in tiles; none where they do not come in tiles.
    pub fn tiles(&self) -> gsl_kernels::Tiles<'_> {
        let tiles = self.tiles.as_ref();
        let of = |list: fn(&TileEdges) -> &Vec<u32>| tiles.map_or(&[][..], |tiles| list(tiles));
        gsl_kernels::Tiles {
            rows: of(|t| &t.rows),
            ends: of(|t| &t.ends),
            columns: of(|t| &t.columns),
            indptr: &self.indptr,
            column: of(|t| &t.column),
        }
    }

    /// Edges grouped by source.
    pub fn by_source(&self) -> Adjacency<'_> {
        let transposed = self.transposed();
        Adjacency::permuted(&transposed.indptr, &transposed.dst, &transposed.edge)
    }

    /// The transpose, made when it is first asked for.
    pub fn transposed(&self) -> &Transposed {
        self.transposed.get_or_init(|| {
            let spare = self.spare.lock().ok().and_then(|mut spare| spare.take());
            let mut transposed = spare.unwrap_or_default();
            transposed.fill(&self.indptr, &self.src, self.sources);
            transposed
        })
    }

    fn reset(&mut self, rel: u32, ends: (u32, u32)) {
        if self.rel != rel {
            // Edges of a head are numbered from 0, and their numbers stay from batch to batch.
            self.position.clear();
        }
        self.rel = rel;
        (self.src_type, self.dst_type) = ends;
        self.sources = 0;
        if let (Some(old), Ok(spare)) = (self.transposed.take(), self.spare.get_mut()) {
            *spare = Some(old);
        }
    }
}

impl Transposed {
    /// A counting sort by source: reads `src` twice, writes 8 bytes per edge.
    fn fill(&mut self, indptr: &[u32], src: &[u32], sources: usize) {
        self.indptr.clear();
        self.indptr.resize(sources + 1, 0);
        for &source in src {
            self.indptr[source as usize] += 1;
        }
        let mut end = 0;
        for start in &mut self.indptr {
            end += *start;
            *start = end;
        }
        self.dst.resize(src.len(), 0);
        self.edge.resize(src.len(), 0);
        for row in (0..indptr.len().saturating_sub(1)).rev() {
            for edge in (indptr[row]..indptr[row + 1]).rev() {
                let at = &mut self.indptr[src[edge as usize] as usize];
                *at -= 1;
                self.dst[*at as usize] = row as u32;
                self.edge[*at as usize] = edge;
            }
        }
    }
}
