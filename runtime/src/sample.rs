//! Neighbour sampling: seeds and fanouts in, a block out.
//!
//! Decided here: the order of a block's nodes (seeds, then hop by hop the sources that are new, by relation and edge), and
//! that work is cut into pieces of fixed size. Picks are made in `pick`, identifiers become rows in `dedup`. Not decided
//! here: which seeds, which key, what the block is for.

mod block;
mod dedup;
mod head;
mod pick;

pub use block::{Block, EdgeBlock, Transposed};
pub use head::{Excluded, Head, HeadEdges, TileEdges};

use crate::view::GraphView;
use dedup::RowTable;
use gsl_kernels::random::Key;
use gsl_plan::plan::{Fanout, Virtuals};
use rayon::prelude::*;
use std::fmt;

const PURPOSE: u32 = u32::from_be_bytes(*b"hops");

/// The key of an epoch's picks. The picks of a node are a function of this key, the hop, the relation and the node's
/// identifier alone: batches, ranks and threads do not matter.
pub fn sample_key(seed: u64, epoch: u64) -> Key {
    Key::new(seed, PURPOSE).fold(epoch)
}

/// Why a block could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleError {
    /// Hops of the program and fanouts of the sampler differ in number.
    Hops { hops: usize, fanouts: usize },
    /// A relation that the graph does not have.
    Relation { rel: u32, relations: usize },
    /// A seed that the graph does not have.
    Seed { ty: u32, id: u32, count: usize },
    /// A seed that occurs twice.
    Twice { ty: u32, id: u32 },
    /// More edges of one relation in one hop than 32 bits count.
    TooManyEdges { rel: u32, hop: usize, edges: u64 },
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleError::Hops { hops, fanouts } => {
                write!(f, "the model has {hops} hops, but {fanouts} fanouts are given")
            }
            SampleError::Relation { rel, relations } => {
                write!(f, "there is no relation {rel} among the graph's {relations}")
            }
            SampleError::Seed { ty, id, count } => {
                write!(f, "seed {id} of node type {ty} is beyond its {count} nodes")
            }
            SampleError::Twice { ty, id } => write!(f, "seed {id} of node type {ty} occurs twice in a batch"),
            SampleError::TooManyEdges { rel, hop, edges } => {
                write!(
                    f,
                    "{edges} edges of relation {rel} at hop {hop} are too many for one batch: lower the fanout or the batch"
                )
            }
        }
    }
}

impl std::error::Error for SampleError {}

/// Makes blocks. Holds 4 bytes per node of the graph, and nothing that one block leaves for the next.
#[derive(Debug)]
pub struct Sampler {
    hops: Vec<Vec<u32>>,
    fanouts: Vec<Fanout>,
    tables: Vec<RowTable>,
    virtuals: Virtuals,
}

impl Sampler {
    /// `hops[h]`: relations expanded at hop h, 0 nearest the seeds; `fanouts[h]`: neighbours per node and relation there.
    ///
    /// # Errors
    /// If the two differ in length, or a relation does not exist.
    pub fn new(view: &dyn GraphView, hops: &[Vec<u32>], fanouts: &[Fanout]) -> Result<Self, SampleError> {
        Self::with_virtuals(view, hops, fanouts, &Virtuals::default())
    }

    /// The same for blocks with a [`Head`], whose types and relations are `virtuals` and whose edges are those of hop 0.
    ///
    /// # Errors
    /// As [`Sampler::new`].
    pub fn with_virtuals(
        view: &dyn GraphView,
        hops: &[Vec<u32>],
        fanouts: &[Fanout],
        virtuals: &Virtuals,
    ) -> Result<Self, SampleError> {
        if hops.len() != fanouts.len() {
            return Err(SampleError::Hops { hops: hops.len(), fanouts: fanouts.len() });
        }
        let relations = view.relations() + virtuals.relations.len();
        if let Some(&rel) = hops.iter().flatten().find(|&&rel| rel as usize >= relations) {
            return Err(SampleError::Relation { rel, relations });
        }
        let nodes = (0..view.node_types()).map(|ty| view.node_count(ty as u32));
        let rows = nodes.chain(virtuals.types.iter().map(|&rows| rows as usize));
        let tables = rows.map(RowTable::new).collect();
        Ok(Sampler { hops: hops.to_vec(), fanouts: fanouts.to_vec(), tables, virtuals: virtuals.clone() })
    }

    /// Fills `block` with the neighbourhood of `seeds`: pairs of a node type and distinct identifiers, whose rows keep
    /// their order. The buffers of `block` are used again.
    ///
    /// # Errors
    /// If a seed is no node or occurs twice, or the block is too big. The block is then empty.
    pub fn sample(
        &mut self,
        view: &dyn GraphView,
        seeds: &[(u32, &[u32])],
        key: Key,
        block: &mut Block,
    ) -> Result<(), SampleError> {
        self.sample_behind(view, seeds, None, key, block)
    }

    /// The same behind a head: its edges lead from the nodes of hop 1.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn sample_behind(
        &mut self,
        view: &dyn GraphView,
        seeds: &[(u32, &[u32])],
        head: Option<&Head>,
        key: Key,
        block: &mut Block,
    ) -> Result<(), SampleError> {
        let end = self.fill(view, seeds, head, key, block);
        if end.is_err() {
            block.clear();
        }
        end
    }

    fn fill(
        &mut self,
        view: &dyn GraphView,
        seeds: &[(u32, &[u32])],
        head: Option<&Head>,
        key: Key,
        block: &mut Block,
    ) -> Result<(), SampleError> {
        let full = head.is_none() && self.fanouts.iter().all(|fanout| *fanout == Fanout::All);
        block.reset(view, &self.hops, &self.virtuals, full);
        self.tables.iter_mut().for_each(RowTable::next);
        self.place_seeds(view, seeds, block)?;
        if let Some(head) = head {
            block.put(head);
            self.number(block, 0);
        } else {
            block.close_hop();
        }
        let first = usize::from(head.is_some());
        for hop in first..self.fanouts.len() {
            block.pick(view, hop, self.fanouts[hop], key.fold((hop - first) as u64))?;
            if let Some(head) = head {
                block.leave_out(hop, &head.excluded);
            }
            self.number(block, hop);
        }
        Ok(())
    }

    fn place_seeds(
        &mut self,
        view: &dyn GraphView,
        seeds: &[(u32, &[u32])],
        block: &mut Block,
    ) -> Result<(), SampleError> {
        for &(ty, ids) in seeds {
            let count = view.node_count(ty);
            for &id in ids {
                if id as usize >= count {
                    return Err(SampleError::Seed { ty, id, count });
                }
                let rows = &mut block.nodes[ty as usize].ids;
                let before = rows.len();
                self.tables[ty as usize].row(id, rows);
                if rows.len() == before {
                    return Err(SampleError::Twice { ty, id });
                }
            }
        }
        Ok(())
    }

    /// Turns the picked sources into rows, node type by node type in parallel.
    fn number(&mut self, block: &mut Block, hop: usize) {
        let mut by_type: Vec<Vec<&mut EdgeBlock>> = self.tables.iter().map(|_| Vec::new()).collect();
        for edges in &mut block.hops[hop] {
            by_type[edges.src_type as usize].push(edges);
        }
        (self.tables.par_iter_mut(), &mut block.nodes, by_type).into_par_iter().for_each(
            |(table, nodes, edges)| {
                for edges in edges {
                    edges.number(table, &mut nodes.ids);
                }
            },
        );
        block.close_hop();
    }
}

#[cfg(test)]
mod tests;
