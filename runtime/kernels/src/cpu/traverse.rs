//! Row programs over the edges of a block.
//!
//! Decided here: rows are dealt to threads in chunks of about equal edges; each row is reduced by one thread in edge order, so
//! the cut does not show in the result. A row with very many edges is therefore one thread's work. Sums over all edges go
//! through parts of a fixed number of edges.
//!
//! Bytes moved per edge: 4 for `other`, 4 for `edge` if it is there, and the rows of the inputs that change with the edge.
//! No value of the edge's width reaches memory, except through [`traverse_edges`].

use super::block::{Adjacency, Direction};
use super::exec::{EdgeSink, EdgeTile, Executor, walk};
use super::map::{
    Output, Stage, add_all, add_source, outer_parts, outer_shape, plain, source_width, sum_parts,
};
use super::math;
use super::ops;
use super::schedule::{Schedule, Source, Wanted};
use super::share::{Shared, deliver};
use super::simd::multiversion;
use super::view::{Runs, View};
use crate::program::{Input, Reg, RowProgram};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// Columns that a maximum takes at a time.
const PIECE: usize = 64;

/// Edges of one partial sum over all edges.
const SUM_EDGES: usize = 2048;

/// For each row `v` of the adjacency: `output[v] = reduce over the edges of v of register(edge)`, in edge order.
pub fn traverse(
    program: &RowProgram,
    direction: Direction,
    adj: Adjacency,
    inputs: &[Input],
    outputs: &mut [Reduced],
) {
    adj.check();
    let sums = |reduce| matches!(reduce, Reduce::Sum | Reduce::Mean);
    let wanted: Vec<Wanted> = outputs.iter().map(|o| Wanted { reg: o.reg, sums: sums(o.reduce) }).collect();
    let schedule = Schedule::new(program, Some(direction), &wanted, inputs);
    let targets: Vec<Target> = outputs
        .iter_mut()
        .zip(&schedule.sources)
        .map(|(output, &source)| Target::new(&schedule, output, source, adj.rows()))
        .collect();
    chunks(adj).into_par_iter().for_each(|rows| {
        let mut executor = Executor::new(&schedule, inputs, Some(adj));
        let mut sink = ReduceSink::new(adj, &targets, schedule.tile[1]);
        walk(&mut executor, adj, rows, 0..adj.edges(), &mut sink);
    });
}

/// Writes registers per edge, at the edge's position in edge order: `output[edge(e)] = register(e)`.
pub fn traverse_edges(
    program: &RowProgram,
    direction: Direction,
    adj: Adjacency,
    inputs: &[Input],
    outputs: &mut [Output],
) {
    adj.check();
    let wanted: Vec<Wanted> = outputs.iter().map(|output| plain(output.reg)).collect();
    let schedule = Schedule::new(program, Some(direction), &wanted, inputs);
    let targets: Vec<EdgeTarget> =
        outputs.iter_mut().map(|output| EdgeTarget::new(program, output, adj.edges())).collect();
    chunks(adj).into_par_iter().for_each(|rows| {
        let mut executor = Executor::new(&schedule, inputs, Some(adj));
        let mut sink = WriteSink { adj, targets: &targets };
        walk(&mut executor, adj, rows, 0..adj.edges(), &mut sink);
    });
}

/// `output = sum over all edges of register(e)`, one vector per output, in fixed parts and a fixed tree.
pub fn traverse_global(
    program: &RowProgram,
    direction: Direction,
    adj: Adjacency,
    inputs: &[Input],
    outputs: &mut [Output],
) {
    adj.check();
    let wanted: Vec<Wanted> = outputs.iter().map(|o| Wanted { reg: o.reg, sums: true }).collect();
    let schedule = Schedule::new(program, Some(direction), &wanted, inputs);
    sum_parts(program, outputs, adj.edges().div_ceil(SUM_EDGES), |part, sums| {
        let edges = part * SUM_EDGES..adj.edges().min((part + 1) * SUM_EDGES);
        let mut executor = Executor::new(&schedule, inputs, Some(adj));
        let mut sink = SumSink { target: vec![0; schedule.tile[2]], sums };
        walk(&mut executor, adj, rows_of(adj, &edges), edges, &mut sink);
    });
}

/// `out[b] = sum over edges of x(e)[b, :]^T y(e)[b, :]`: registers of widths `batch * k` and `batch * n` to `[batch, k, n]`.
#[allow(clippy::too_many_arguments)]
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
    adj.check();
    let schedule = Schedule::new(program, Some(direction), &[plain(x), plain(y)], inputs);
    let shape = outer_shape(program, (x, y), batch, out.len());
    outer_parts(shape, adj.edges(), accumulate, out, |edges, stage| {
        let mut executor = Executor::new(&schedule, inputs, Some(adj));
        walk(&mut executor, adj, rows_of(adj, &edges), edges, &mut OuterSink { stage, x, y });
    });
}

/// Cuts the rows where the edges and rows before them pass multiples of a fixed number.
fn chunks(adj: Adjacency) -> Vec<Range<usize>> {
    let (rows, total) = (adj.rows(), adj.rows() + adj.edges());
    let size = total.div_ceil(256).clamp(512, 16_384);
    let mut starts: Vec<usize> = (0..total.div_ceil(size)).map(|cut| row_at(adj, cut * size)).collect();
    starts.push(rows);
    starts.dedup();
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// The first row before which lie at least `weight` rows and edges.
fn row_at(adj: Adjacency, weight: usize) -> usize {
    let (mut low, mut high) = (0, adj.rows());
    while low < high {
        let middle = (low + high) / 2;
        if adj.indptr[middle] as usize + middle < weight { low = middle + 1 } else { high = middle }
    }
    low
}

/// The rows to which the edges belong.
fn rows_of(adj: Adjacency, edges: &Range<usize>) -> Range<usize> {
    let first = adj.indptr[1..].partition_point(|&end| end as usize <= edges.start);
    let last = adj.indptr[..adj.rows()].partition_point(|&start| (start as usize) < edges.end);
    first..last
}

/// An output of a traversal.
struct Target {
    source: Source,
    reduce: Reduce,
    width: usize,
    data: Shared<f32>,
    accumulate: bool,
}

impl Target {
    fn new(schedule: &Schedule, output: &mut Reduced, source: Source, rows: usize) -> Self {
        let width = source_width(schedule, source);
        let (reg, len) = (output.reg, output.data.len());
        assert_eq!(len, rows * width, "register {reg} needs {rows} x {width} floats, the output has {len}");
        let data = Shared::new(output.data);
        Target { source, reduce: output.reduce, width, data, accumulate: output.accumulate }
    }
}

/// Reduces edges into rows: in the output itself, or beside it when the result is to be added.
struct ReduceSink<'a> {
    adj: Adjacency<'a>,
    targets: &'a [Target],
    aside: Vec<Vec<f32>>,
    base: usize,
    n: usize,
}

impl<'a> ReduceSink<'a> {
    fn new(adj: Adjacency<'a>, targets: &'a [Target], tile: usize) -> Self {
        let aside =
            targets.iter().map(|t| vec![0.0; if t.accumulate { tile * t.width } else { 0 }]).collect();
        ReduceSink { adj, targets, aside, base: 0, n: 0 }
    }

    fn sums(&mut self, at: usize) -> &mut [f32] {
        let target = &self.targets[at];
        if target.accumulate {
            return &mut self.aside[at][..self.n * target.width];
        }
        // SAFETY: each row of the adjacency is walked by one task.
        unsafe { target.data.part(self.base * target.width, self.n * target.width) }
    }

    fn finish(&mut self, at: usize) {
        let (target, adj, base) = (&self.targets[at], self.adj, self.base);
        let (width, reduce) = (target.width, target.reduce);
        for (r, row) in self.sums(at).chunks_exact_mut(width).enumerate() {
            let degree = adj.indptr[base + r + 1] - adj.indptr[base + r];
            match reduce {
                Reduce::Mean if degree > 1 => {
                    let scale = 1.0 / degree as f32;
                    row.iter_mut().for_each(|x| *x *= scale);
                }
                Reduce::Max | Reduce::Min if degree == 0 => row.fill(0.0),
                _ => {}
            }
        }
        if target.accumulate {
            // SAFETY: each row of the adjacency is walked by one task.
            let out = unsafe { target.data.part(base * width, self.n * width) };
            deliver(&self.aside[at][..self.n * width], out, true);
        }
    }
}

impl EdgeSink for ReduceSink<'_> {
    fn begin(&mut self, base: usize, n: usize) {
        (self.base, self.n) = (base, n);
        for at in 0..self.targets.len() {
            let start = match self.targets[at].reduce {
                Reduce::Sum | Reduce::Mean => 0.0,
                Reduce::Max => f32::NEG_INFINITY,
                Reduce::Min => f32::INFINITY,
            };
            self.sums(at).fill(start);
        }
    }

    fn edges(&mut self, executor: &Executor, tile: EdgeTile) {
        for at in 0..self.targets.len() {
            let target = &self.targets[at];
            let runs = Runs { sums: self.sums(at).as_mut_ptr(), width: target.width, target: tile.target };
            match target.reduce {
                // SAFETY: the executor has run the tile, whose targets are rows of this tile of rows.
                Reduce::Sum | Reduce::Mean => unsafe { add_source(executor, target.source, runs) },
                Reduce::Max => extreme_runs(runs, executor.output(target.source), true),
                Reduce::Min => extreme_runs(runs, executor.output(target.source), false),
            }
        }
    }

    fn end(&mut self, _: usize, _: usize) {
        (0..self.targets.len()).for_each(|at| self.finish(at));
    }
}

multiversion! {
    /// `sums[target[t]] = max(sums[target[t]], x[t])`, or the minimum; as `view::add_runs`.
    fn extreme_runs(runs: Runs, x: View, maximum: bool) {
        for (t, &target) in runs.target.iter().enumerate() {
            let mut col = 0;
            while col < runs.width {
                let len = PIECE.min(runs.width - col);
                let row = ops::piece(&x, t, col, len);
                // SAFETY: there is a sum for every target.
                let sum = unsafe {
                    std::slice::from_raw_parts_mut(runs.sums.add(target as usize * runs.width + col), len)
                };
                if maximum {
                    for (sum, &x) in sum.iter_mut().zip(row) {
                        *sum = math::max(*sum, x);
                    }
                } else {
                    for (sum, &x) in sum.iter_mut().zip(row) {
                        *sum = math::min(*sum, x);
                    }
                }
                col += len;
            }
        }
    }
}

/// An output with a row per edge.
struct EdgeTarget {
    reg: Reg,
    width: usize,
    rows: usize,
    data: Shared<f32>,
    accumulate: bool,
}

impl EdgeTarget {
    fn new(program: &RowProgram, output: &mut Output, edges: usize) -> Self {
        let (reg, width, len) = (output.reg, program.width(output.reg), output.data.len());
        assert!(len >= edges * width, "register {reg} needs {edges} x {width} floats, the output has {len}");
        let rows = len / width;
        EdgeTarget { reg, width, rows, data: Shared::new(output.data), accumulate: output.accumulate }
    }

    fn write(&self, view: View, first: usize, n: usize) {
        // SAFETY: without positions, each edge is written by the one task that walks it.
        let out = unsafe { self.data.part(first * self.width, n * self.width) };
        for (t, out) in out.chunks_exact_mut(self.width).enumerate() {
            // SAFETY: the executor has run `n` edges.
            deliver(unsafe { view.slice(t, self.width) }, out, self.accumulate);
        }
    }

    /// Writes to given positions. They should be distinct; if they are not, the stores are still no data race.
    fn scatter(&self, view: View, positions: &[u32]) {
        for (t, &position) in positions.iter().enumerate() {
            assert!(
                (position as usize) < self.rows,
                "edge {position} is beyond the output's {} rows",
                self.rows
            );
            // SAFETY: the executor has run these edges.
            let row = unsafe { view.slice(t, self.width) };
            for (i, &value) in row.iter().enumerate() {
                let slot = self.data.slot(position as usize * self.width + i).cast::<u32>();
                // SAFETY: in bounds, aligned, and all tasks of this call access it atomically.
                let slot = unsafe { AtomicU32::from_ptr(slot) };
                let before = if self.accumulate { f32::from_bits(slot.load(Ordering::Relaxed)) } else { 0.0 };
                let after = if self.accumulate { before + value } else { value };
                slot.store(after.to_bits(), Ordering::Relaxed);
            }
        }
    }
}

struct WriteSink<'a> {
    adj: Adjacency<'a>,
    targets: &'a [EdgeTarget],
}

impl EdgeSink for WriteSink<'_> {
    fn edges(&mut self, executor: &Executor, tile: EdgeTile) {
        let n = tile.target.len();
        for target in self.targets {
            let view = executor.views[target.reg];
            match self.adj.edge {
                None => target.write(view, tile.first, n),
                Some(positions) => target.scatter(view, &positions[tile.first..][..n]),
            }
        }
    }
}

struct SumSink<'a> {
    target: Vec<u32>,
    sums: &'a mut [f32],
}

impl EdgeSink for SumSink<'_> {
    fn edges(&mut self, executor: &Executor, tile: EdgeTile) {
        let target = &self.target[..tile.target.len()];
        // SAFETY: the executor has run the tile, and there is one sum per output.
        unsafe { add_all(executor, target, self.sums) };
    }
}

struct OuterSink<'a, 'b> {
    stage: &'a mut Stage<'b>,
    x: Reg,
    y: Reg,
}

impl EdgeSink for OuterSink<'_, '_> {
    fn edges(&mut self, executor: &Executor, tile: EdgeTile) {
        self.stage.push(executor.views[self.x], executor.views[self.y], tile.target.len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Level, force};
    use super::*;
    use crate::program::{Arg, BinaryOp, InputSpec, Instr, UnaryOp};
    use crate::random::Key;

    /// A graph attention layer's sum: products, exponentials, dots, odd widths.
    fn run() -> Vec<f32> {
        let (rows, heads, d) = (40, 3, 21);
        let key = Key::new(1, 1);
        let indptr: Vec<u32> = (0..=rows as u32).map(|v| v * (v + 1) / 4).collect();
        let src: Vec<u32> = (0..u64::from(indptr[rows])).map(|e| key.below_at(e, 50)).collect();
        let mut x = vec![0.0; 50 * heads * d];
        key.fill_normal(&mut x, 1.0);
        let specs = vec![InputSpec::src(heads * d), InputSpec::dst(heads * d)];
        let product = Instr::Binary { op: BinaryOp::Mul, a: Arg::full(0), b: Arg::full(1), width: heads * d };
        let weighted =
            Instr::Binary { op: BinaryOp::Mul, a: Arg::outer(4, d), b: Arg::full(0), width: heads * d };
        let instrs = vec![
            Instr::Load(0),
            Instr::Load(1),
            product,
            Instr::SumInner { x: 2, inner: d },
            Instr::Unary(UnaryOp::Sigmoid, 3),
            weighted,
            Instr::Unary(UnaryOp::Gelu, 0),
        ];
        let program = RowProgram::new(specs, instrs).expect("well formed");
        let (mut a, mut b) = (vec![0.0; rows * heads * d], vec![0.0; rows * heads * d]);
        let outputs = &mut [Reduced::new(5, Reduce::Mean, &mut a), Reduced::new(6, Reduce::Max, &mut b)];
        let inputs = [Input::new(&x), Input::new(&x)];
        traverse(&program, Direction::ByDst, Adjacency::new(&indptr, &src), &inputs, outputs);
        a.extend(b);
        a
    }

    #[test]
    fn all_instruction_sets_give_the_same_bits() {
        let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let best = bits(run());
        for level in [Level::Portable, Level::V3, Level::V4] {
            force(level);
            assert!(bits(run()) == best, "{level:?}");
        }
    }
}
