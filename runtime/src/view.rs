//! What the sampler and the executor see of a graph: slices of whole-graph arrays, addressed by global id.
//!
//! Decided here: which arrays there are and how they are addressed. Not decided here: where they live (memory, a mapped
//! file, another machine).

mod memory;

pub use memory::{MemoryGraph, MemoryRelation};

/// Rows × width, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub data: &'a [f32],
    pub width: usize,
}

impl<'a> Matrix<'a> {
    pub fn new(data: &'a [f32], width: usize) -> Self {
        Matrix { data, width }
    }

    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// Row `row`, `width` floats.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.width..(row + 1) * self.width]
    }
}

/// An edge feature. The edge at CSC position `p` has row `rows[p]`, or row `p` where `rows` is none.
///
/// A relation and its reverse share one matrix and differ in `rows`, which is the same for all features of a relation.
#[derive(Debug, Clone, Copy)]
pub struct EdgeMatrix<'a> {
    pub data: &'a [f32],
    pub width: usize,
    pub rows: Option<&'a [u32]>,
}

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
    fn node_feature(&self, ty: u32, feature: u32) -> Matrix<'_>;

    fn edge_feature(&self, rel: u32, feature: u32) -> EdgeMatrix<'_>;

    /// Class index (-1: unlabelled) or target (NaN: unlabelled) of every node.
    fn label(&self, ty: u32, label: u32) -> &[f32];

    /// [`gsl_plan::graph::Part`] of every node, as its code.
    fn parts(&self, ty: u32, label: u32) -> &[u8];

    /// Incoming edges of every node, over all relations.
    fn degree(&self, ty: u32) -> &[f32];
}
