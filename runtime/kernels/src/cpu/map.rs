//! Row programs over rows: pointwise kernels, sums over rows, outer products over rows.

use crate::program::{Input, Reg, RowProgram};

/// Where a register goes: one row of `data` per row, or one vector for sums.
#[derive(Debug)]
pub struct Output<'a> {
    pub reg: Reg,
    pub data: &'a mut [f32],
    /// Add to what is there instead of replacing it.
    pub accumulate: bool,
}

impl<'a> Output<'a> {
    pub fn new(reg: Reg, data: &'a mut [f32]) -> Self {
        Output { reg, data, accumulate: false }
    }

    pub fn add(reg: Reg, data: &'a mut [f32]) -> Self {
        Output { reg, data, accumulate: true }
    }
}

/// Evaluates the program for every row and writes registers: `output[r] = register(r)`.
pub fn map_rows(program: &RowProgram, inputs: &[Input], rows: usize, outputs: &mut [Output]) {
    let _ = (program, inputs, rows, outputs);
    panic!("lands within the hour")
}

/// `output = sum over rows of register(r)`, one vector per output, in fixed chunks and a fixed tree.
pub fn sum_rows(program: &RowProgram, inputs: &[Input], rows: usize, outputs: &mut [Output]) {
    let _ = (program, inputs, rows, outputs);
    panic!("lands within the hour")
}

/// `out[b] = sum over rows of x(r)[b, :]^T y(r)[b, :]`: registers of widths `batch * k` and `batch * n` to `[batch, k, n]`.
pub fn outer_rows(
    program: &RowProgram,
    inputs: &[Input],
    rows: usize,
    (x, y): (Reg, Reg),
    batch: usize,
    accumulate: bool,
    out: &mut [f32],
) {
    let _ = (program, inputs, rows, x, y, batch, accumulate, out);
    panic!("lands within the hour")
}
