//! What the sampler and the executor see of a graph: slices of whole-graph arrays, addressed by global id.
//!
//! Decided here: which arrays there are and how they are addressed. Not decided here: where they live (memory, a mapped
//! file, another machine).

mod matrix;
mod memory;
mod messages;

pub use matrix::{EdgeMatrix, Matrix, StoredMatrix};
pub use memory::{MemoryGraph, MemoryRelation};
pub use messages::Messages;

/// The incoming edges of every node of a relation's destination type: node `v` has the CSC positions
/// `indptr[v] .. indptr[v + 1]`, and the edge at position `p` comes from `src[p]`.
#[derive(Debug, Clone, Copy)]
pub struct Csc<'a> {
    pub indptr: &'a [u64],
    pub src: &'a [u32],
}

/// A built graph. Types, relations, features and labels are named by their index in the graph's facts.
pub trait GraphView: Sync {
    fn node_types(&self) -> usize;

    fn relations(&self) -> usize;

    /// Source and destination node type of relation `rel`.
    fn ends(&self, rel: u32) -> (u32, u32);

    fn node_count(&self, ty: u32) -> usize;

    fn csc(&self, rel: u32) -> Csc<'_>;

    /// One row per node of type `ty`.
    fn node_feature(&self, ty: u32, feature: u32) -> StoredMatrix<'_>;

    fn edge_feature(&self, rel: u32, feature: u32) -> EdgeMatrix<'_>;

    /// Class index (-1: unlabelled) or target (NaN: unlabelled) of every node.
    fn label(&self, ty: u32, label: u32) -> &[f32];

    /// [`gsl_plan::graph::Part`] of every node, as its code.
    fn parts(&self, ty: u32, label: u32) -> &[u8];

    /// Incoming edges of every node, over all relations.
    fn degree(&self, ty: u32) -> &[f32];

    /// Class index (-1: unlabelled) or target (NaN: unlabelled) of every edge of a relation that is no reverse, by CSC position.
    fn edge_label(&self, rel: u32, label: u32) -> &[f32];

    /// [`gsl_plan::graph::Part`] of every edge of a relation that is no reverse, as its code.
    fn edge_parts(&self, rel: u32, label: u32) -> &[u8];

    /// Of every edge of a relation that is no reverse as many nodes of the destination type, `u32::MAX` behind the last.
    fn edge_candidates(&self, rel: u32, candidates: u32) -> (usize, &[u32]);

    /// The small graph that each node of type `ty` is in, by its id in the type of small graphs.
    fn membership(&self, ty: u32) -> Option<&[u32]>;

    /// Of a reverse relation: the forward relation, and the CSC position there of each edge.
    fn forward(&self, rel: u32) -> Option<(u32, &[u32])>;
}
