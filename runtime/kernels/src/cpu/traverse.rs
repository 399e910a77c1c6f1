//! Row programs over the edges of a block.

use super::block::{Adjacency, Direction};
use super::map::Output;
use crate::program::{Input, Reg, RowProgram};

/// How the values of a row's edges become one; rows without edges give 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
}

/// Where a reduced register goes: one row of `data` per row of the adjacency.
#[derive(Debug)]
pub struct Reduced<'a> {
    pub reg: Reg,
    pub reduce: Reduce,
    pub data: &'a mut [f32],
    /// Add to what is there instead of replacing it.
    pub accumulate: bool,
}

impl<'a> Reduced<'a> {
    pub fn new(reg: Reg, reduce: Reduce, data: &'a mut [f32]) -> Self {
        Reduced { reg, reduce, data, accumulate: false }
    }

    pub fn add(reg: Reg, reduce: Reduce, data: &'a mut [f32]) -> Self {
        Reduced { reg, reduce, data, accumulate: true }
    }
}

/// For each row `v` of the adjacency: `output[v] = reduce over the edges of v of register(edge)`, in edge order.
pub fn traverse(
    program: &RowProgram,
    direction: Direction,
    adj: Adjacency,
    inputs: &[Input],
    outputs: &mut [Reduced],
) {
    let _ = (program, direction, adj, inputs, outputs);
    panic!("lands within the hour")
}

/// Writes registers per edge, at the edge's position in edge order: `output[edge(e)] = register(e)`.
pub fn traverse_edges(
    program: &RowProgram,
    direction: Direction,
    adj: Adjacency,
    inputs: &[Input],
    outputs: &mut [Output],
) {
    let _ = (program, direction, adj, inputs, outputs);
    panic!("lands within the hour")
}

/// `output = sum over all edges of register(e)`, one vector per output, in fixed chunks and a fixed tree.
pub fn traverse_global(
    program: &RowProgram,
    direction: Direction,
    adj: Adjacency,
    inputs: &[Input],
    outputs: &mut [Output],
) {
    let _ = (program, direction, adj, inputs, outputs);
    panic!("lands within the hour")
}

/// `out[b] = sum over edges of x(e)[b, :]^T y(e)[b, :]`: registers of widths `batch * k` and `batch * n` to `[batch, k, n]`.
pub fn outer_edges(
    program: &RowProgram,
    direction: Direction,
    adj: Adjacency,
    inputs: &[Input],
    (x, y): (Reg, Reg),
    batch: usize,
    accumulate: bool,
    out: &mut [f32],
) {
    let _ = (program, direction, adj, inputs, x, y, batch, accumulate, out);
    panic!("lands within the hour")
}
