//! Row programs over rows: pointwise kernels, sums over rows, outer products over rows.
//!
//! Decided here: how rows are dealt to threads, and the order of sums: parts of a fixed number of rows, each summed in the
//! order of its rows, then a fixed tree over the parts.

use super::dense::{self, Shape};
use super::exec::Executor;
use super::schedule::{Level, Schedule, Source, Wanted};
use super::share::{Shared, combine, deliver, with_scratch};
use super::view::{Runs, View, add_product_runs, add_runs};
use crate::program::{Input, Instr, Reg, RowProgram};
use rayon::prelude::*;

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

/// Floats that one task of a pointwise kernel should touch.
const TASK_FLOATS: usize = 131_072;

/// Rows of one partial sum.
pub(super) const SUM_ROWS: usize = 1024;

/// Rows that are collected before they enter an outer product.
const STAGE_ROWS: usize = 512;

/// Evaluates the program for every row and writes registers: `output[r] = register(r)`.
///
/// Moves every input and output once; everything between stays in the first-level cache.
pub fn map_rows(program: &RowProgram, inputs: &[Input], rows: usize, outputs: &mut [Output]) {
    let schedule = Schedule::new(program, None, &wanted(outputs, false), inputs);
    let sinks: Vec<Sink> = outputs.iter_mut().map(|output| Sink::new(&schedule, output, rows)).collect();
    let tile = schedule.tile[Level::Row as usize];
    let width: usize = program.widths().iter().sum();
    let chunk = (TASK_FLOATS / width.max(1)).clamp(tile, 16_384).next_multiple_of(tile);
    (0..rows.div_ceil(chunk)).into_par_iter().for_each(|c| {
        let mut executor = Executor::new(&schedule, inputs, None);
        let mut direct = Vec::with_capacity(sinks.len());
        let end = rows.min((c + 1) * chunk);
        for first in (c * chunk..end).step_by(tile) {
            let n = tile.min(end - first);
            direct.clear();
            // SAFETY: tiles are disjoint.
            direct.extend(sinks.iter().filter_map(|sink| unsafe { sink.direct(first, n) }));
            executor.run_rows(first, n, &direct);
            for sink in sinks.iter().filter(|sink| !sink.direct) {
                // SAFETY: tiles are disjoint.
                unsafe { sink.write(executor.views[sink.reg], first, n) };
            }
        }
    });
}

/// `output = sum over rows of register(r)`, one vector per output, in fixed parts and a fixed tree.
pub fn sum_rows(program: &RowProgram, inputs: &[Input], rows: usize, outputs: &mut [Output]) {
    let schedule = Schedule::new(program, None, &wanted(outputs, true), inputs);
    let tile = schedule.tile[Level::Row as usize];
    sum_parts(program, outputs, rows.div_ceil(SUM_ROWS), |part, sums| {
        let mut executor = Executor::new(&schedule, inputs, None);
        let end = rows.min((part + 1) * SUM_ROWS);
        let target = vec![0u32; tile];
        for first in (part * SUM_ROWS..end).step_by(tile) {
            let n = tile.min(end - first);
            executor.run_rows(first, n, &[]);
            // SAFETY: the executor has run `n` rows, and there is one sum per output.
            unsafe { add_all(&executor, &target[..n], sums) };
        }
    });
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
    let schedule = Schedule::new(program, None, &[plain(x), plain(y)], inputs);
    let shape = outer_shape(program, (x, y), batch, out.len());
    let tile = schedule.tile[Level::Row as usize];
    outer_parts(shape, rows, accumulate, out, |range, stage| {
        let mut executor = Executor::new(&schedule, inputs, None);
        for first in range.clone().step_by(tile) {
            let n = tile.min(range.end - first);
            executor.run_rows(first, n, &[]);
            stage.push(executor.views[x], executor.views[y], n);
        }
    });
}

/// An output of a pointwise kernel.
struct Sink {
    reg: Reg,
    width: usize,
    data: Shared<f32>,
    accumulate: bool,
    /// The register is computed in the output itself.
    direct: bool,
}

impl Sink {
    fn new(schedule: &Schedule, output: &mut Output, rows: usize) -> Self {
        let (reg, width) = (output.reg, schedule.program.width(output.reg));
        let len = output.data.len();
        assert_eq!(len, rows * width, "register {reg} needs {rows} x {width} floats, the output has {len}");
        let computed = !matches!(schedule.program.instrs()[reg], Instr::Load(_));
        let direct = computed && schedule.level[reg] == Level::Row && !output.accumulate;
        Sink { reg, width, data: Shared::new(output.data), accumulate: output.accumulate, direct }
    }

    unsafe fn direct(&self, first: usize, n: usize) -> Option<(Reg, *mut f32)> {
        // SAFETY: by the caller.
        let part = || unsafe { self.data.part(first * self.width, n * self.width) };
        self.direct.then(|| (self.reg, part().as_mut_ptr()))
    }

    unsafe fn write(&self, view: View, first: usize, n: usize) {
        // SAFETY: by the caller.
        let out = unsafe { self.data.part(first * self.width, n * self.width) };
        for (t, out) in out.chunks_exact_mut(self.width).enumerate() {
            // SAFETY: the tile has `n` rows.
            let row = unsafe {
                view.ahead(t, 0, self.width);
                view.slice(t, self.width)
            };
            deliver(row, out, self.accumulate);
        }
    }
}

fn wanted(outputs: &[Output], sums: bool) -> Vec<Wanted> {
    outputs.iter().map(|output| Wanted { reg: output.reg, sums }).collect()
}

pub(super) fn plain(reg: Reg) -> Wanted {
    Wanted { reg, sums: false }
}

/// Sums every output over `parts` parts: `run(part, sums)` adds one part to vectors of zeros, one after the other.
pub(super) fn sum_parts(
    program: &RowProgram,
    outputs: &mut [Output],
    parts: usize,
    run: impl Fn(usize, &mut [f32]) + Sync,
) {
    for output in outputs.iter() {
        let (width, len) = (program.width(output.reg), output.data.len());
        assert_eq!(len, width, "register {} has {width} floats, its sum {len}", output.reg);
    }
    let size: usize = outputs.iter().map(|output| output.data.len()).sum();
    with_scratch(parts.max(1) * size, |sums| {
        sums.fill(0.0);
        if size > 0 && parts > 0 {
            sums.par_chunks_mut(size).enumerate().for_each(|(part, sums)| run(part, sums));
        }
        combine(sums, size);
        let mut rest = &sums[..size];
        for output in outputs {
            let (sum, others) = rest.split_at(output.data.len());
            deliver(sum, output.data, output.accumulate);
            rest = others;
        }
    });
}

/// Adds the tile's rows of every output to its sum.
///
/// # Safety
/// The executor's views have a row per target, and `sums` holds a vector per output.
pub(super) unsafe fn add_all(executor: &Executor, target: &[u32], sums: &mut [f32]) {
    let mut rest = sums;
    for &source in &executor.schedule.sources {
        let width = source_width(executor.schedule, source);
        let (sum, others) = std::mem::take(&mut rest).split_at_mut(width);
        let runs = Runs { sums: sum.as_mut_ptr(), width, target };
        // SAFETY: by the caller.
        unsafe { add_source(executor, source, runs) };
        rest = others;
    }
}

/// # Safety
/// The executor's views have a row per target, and the runs a sum for every target.
pub(super) unsafe fn add_source(executor: &Executor, source: Source, runs: Runs) {
    // SAFETY: by the caller.
    unsafe {
        match source {
            Source::Reg(reg) => add_runs(runs, executor.views[reg]),
            Source::Product { w, x, inner } => {
                add_product_runs(runs, executor.views[w], executor.views[x], inner);
            }
        }
    }
}

pub(super) fn source_width(schedule: &Schedule, source: Source) -> usize {
    match source {
        Source::Reg(reg) | Source::Product { x: reg, .. } => schedule.program.width(reg),
    }
}

pub(super) fn outer_shape(program: &RowProgram, (x, y): (Reg, Reg), batch: usize, out: usize) -> Shape {
    let (wide_x, wide_y) = (program.width(x), program.width(y));
    let divides = batch > 0 && wide_x.is_multiple_of(batch) && wide_y.is_multiple_of(batch);
    assert!(divides, "{batch} does not divide the widths {wide_x} and {wide_y}");
    let shape = Shape { rows: 0, batch, k: wide_x / batch, n: wide_y / batch };
    assert_eq!(out, batch * shape.k * shape.n, "the output is not {batch} x {} x {}", shape.k, shape.n);
    shape
}

/// Sums outer products over `count` rows or edges in a fixed number of parts.
pub(super) fn outer_parts(
    shape: Shape,
    count: usize,
    accumulate: bool,
    out: &mut [f32],
    run: impl Fn(std::ops::Range<usize>, &mut Stage) + Sync,
) {
    let size = out.len();
    if count == 0 {
        if !accumulate {
            out.fill(0.0);
        }
        return;
    }
    let (parts, span) = dense::partition(count);
    with_scratch(parts * size, |sums| {
        sums.par_chunks_mut(size).enumerate().for_each(|(part, sum)| {
            let widths = shape.batch * (shape.k + shape.n);
            with_scratch(STAGE_ROWS * widths, |memory| {
                let mut stage = Stage { shape, memory, filled: 0, started: false, sum };
                run(part * span..count.min((part + 1) * span), &mut stage);
                stage.flush();
            });
        });
        combine(sums, size);
        deliver(&sums[..size], out, accumulate);
    });
}

/// Rows of both factors on their way into an outer product.
pub(super) struct Stage<'a> {
    shape: Shape,
    memory: &'a mut [f32],
    filled: usize,
    started: bool,
    sum: &'a mut [f32],
}

impl Stage<'_> {
    pub(super) fn push(&mut self, x: View, y: View, n: usize) {
        let Shape { batch, k, n: cols, .. } = self.shape;
        let (wide_x, wide_y) = (batch * k, batch * cols);
        for t in 0..n {
            let (xs, ys) = self.memory.split_at_mut(STAGE_ROWS * wide_x);
            // SAFETY: the tile has `n` rows.
            let (row_x, row_y) = unsafe {
                x.ahead(t, 0, wide_x);
                y.ahead(t, 0, wide_y);
                (x.slice(t, wide_x), y.slice(t, wide_y))
            };
            xs[self.filled * wide_x..][..wide_x].copy_from_slice(row_x);
            ys[self.filled * wide_y..][..wide_y].copy_from_slice(row_y);
            self.filled += 1;
            if self.filled == STAGE_ROWS {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let Shape { batch, k, n, .. } = self.shape;
        let (xs, ys) = self.memory.split_at(STAGE_ROWS * batch * k);
        let shape = Shape { rows: self.filled, ..self.shape };
        let (xs, ys) = (&xs[..self.filled * batch * k], &ys[..self.filled * batch * n]);
        dense::accumulate_outer(shape, xs, ys, self.started, self.sum);
        self.started = true;
        self.filled = 0;
    }
}
