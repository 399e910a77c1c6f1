//! Runs a schedule over tiles of rows and of edges.
//!
//! Decided here: where the rows of every input lie for a tile, and the order of steps. All row numbers of a tile are checked
//! against the inputs before any of its steps runs; that is what makes the unchecked reads of `view` and `ops` sound.

use super::block::Adjacency;
use super::ops::{self, Operand};
use super::schedule::{LEVELS, Level, NARROW, Op, Schedule, Source, Step, access_level};
use super::share::{give_memory, take_memory};
use super::view::View;
use super::widen::{Which, widen_rows};
use crate::floats::Floats;
use crate::program::{Access, Arg, Broadcast, Data, Input, InputId, Instr, Reg};
use std::ops::Range;
use std::ptr::null;

/// An input with its declaration.
#[derive(Clone, Copy)]
struct Bound<'a> {
    access: Access,
    level: Level,
    floats: Floats<'a>,
    ids: &'a [u64],
    index: Option<&'a [u32]>,
    width: usize,
    rows: usize,
    /// Where the memory holds the widened tile of a narrow input.
    widened: Option<usize>,
}

/// Where the rows of an input lie for a tile: row `t` is `idx[t]`, counted from `first`; `fixed` means `first` for all.
#[derive(Clone, Copy)]
struct Place {
    first: usize,
    idx: *const u32,
    fixed: bool,
    known: usize,
}

impl Place {
    const fn at(first: usize) -> Self {
        Place { first, idx: null(), fixed: false, known: 0 }
    }

    const fn fixed(first: usize) -> Self {
        Place { first, idx: null(), fixed: true, known: 0 }
    }

    const fn indexed(idx: *const u32) -> Self {
        Place { first: 0, idx, fixed: false, known: 0 }
    }
}

/// A tile of edges: the edges `first .. first + target.len()`, edge `first + t` belonging to row `base + target[t]`.
#[derive(Clone, Copy)]
pub struct EdgeTile<'a> {
    pub first: usize,
    pub base: usize,
    pub target: &'a [u32],
}

/// The state of one task: views of all registers for the current tiles, and the memory behind them.
pub struct Executor<'s, 'i> {
    pub schedule: &'s Schedule<'s>,
    inputs: Vec<Bound<'i>>,
    adj: Option<Adjacency<'i>>,
    /// Registers as seen by the level that is being run.
    pub views: Vec<View>,
    /// Row registers as their own level sees them.
    row_views: Vec<View>,
    places: Vec<Place>,
    memory: Vec<f32>,
    start: [usize; LEVELS],
    flat: [usize; 3],
    composed: Vec<u32>,
    ids: Vec<u64>,
}

impl<'s, 'i> Executor<'s, 'i> {
    /// Binds the inputs and computes what does not change from row to row.
    pub fn new(schedule: &'s Schedule<'s>, inputs: &[Input<'i>], adj: Option<Adjacency<'i>>) -> Self {
        let specs = schedule.program.inputs();
        assert_eq!(inputs.len(), specs.len(), "the program has {} inputs", specs.len());
        let mut inputs: Vec<Bound> = (0..specs.len()).map(|at| bind(schedule, at, inputs[at])).collect();
        let [calls, rows, edges] = schedule.tile;
        let most = rows.max(edges);
        let sizes = [calls * schedule.floats[0], rows * schedule.floats[1], edges * schedule.floats[2]];
        let total: usize = sizes.iter().sum();
        let flat = most * NARROW;
        let widened = make_room(schedule, &mut inputs, total + 3 * flat);
        let registers = schedule.level.len();
        let mut executor = Executor {
            schedule,
            adj,
            views: vec![View::NONE; registers],
            row_views: vec![View::NONE; registers],
            places: vec![Place::fixed(0); inputs.len()],
            memory: take_memory(widened),
            start: [0, sizes[0], sizes[0] + sizes[1]],
            flat: [total, total + flat, total + 2 * flat],
            composed: vec![0; edges * inputs.len()],
            ids: Vec::new(),
            inputs,
        };
        executor.run_call();
        executor
    }

    fn run_call(&mut self) {
        let schedule = self.schedule;
        for input in 0..self.inputs.len() {
            let bound = self.inputs[input];
            if bound.level == Level::Call {
                let row = bound.index.map_or(0, |index| index.first().copied().unwrap_or(0) as usize);
                assert!(row < bound.rows, "input {input} has {} rows; row {row} is wanted", bound.rows);
                self.places[input] = Place::fixed(row);
            }
        }
        for &input in &schedule.narrow[Level::Call as usize] {
            self.widen(input, self.places[input], 1);
            self.places[input] = Place::fixed(0);
        }
        self.run(Level::Call, 1, &[]);
        for (view, level) in self.views.iter_mut().zip(&schedule.level) {
            if *level == Level::Call {
                view.stride = 0;
            }
        }
        self.row_views.copy_from_slice(&self.views);
    }

    /// Computes the row registers for rows `first .. first + n`. `direct` holds registers whose tile is the caller's.
    pub fn run_rows(&mut self, first: usize, n: usize, direct: &[(Reg, *mut f32)]) {
        let schedule = self.schedule;
        self.views.copy_from_slice(&self.row_views);
        for &input in &schedule.inputs[Level::Row as usize] {
            self.places[input] = self.row_place(input, first, n);
        }
        for &input in &schedule.narrow[Level::Row as usize] {
            self.widen(input, self.row_place(input, first, n), n);
            self.places[input] = Place::at(0);
        }
        self.run(Level::Row, n, direct);
        if schedule.direction.is_some() {
            self.row_views.copy_from_slice(&self.views);
        }
    }

    /// Computes the edge registers for a tile of edges; its rows must have been run.
    pub fn run_edges(&mut self, tile: EdgeTile) {
        let schedule = self.schedule;
        for &input in &schedule.inputs[Level::Edge as usize] {
            self.places[input] = self.edge_place(input, tile);
        }
        for &input in &schedule.narrow[Level::Edge as usize] {
            self.widen(input, self.places[input], tile.target.len());
            self.places[input] = Place::at(0);
        }
        for &reg in &schedule.lifted {
            self.views[reg] = match schedule.program.instrs()[reg] {
                Instr::Load(input) => self.load(input),
                _ => View { idx: tile.target.as_ptr(), ..self.row_views[reg] },
            };
        }
        self.run(Level::Edge, tile.target.len(), &[]);
    }

    fn row_place(&self, input: InputId, first: usize, n: usize) -> Place {
        let bound = &self.inputs[input];
        match (bound.level, bound.index) {
            (Level::Call, _) => self.places[input],
            (_, None) => {
                assert!(
                    first + n <= bound.rows,
                    "input {input} has {} rows; {} are wanted",
                    bound.rows,
                    first + n
                );
                Place::at(first)
            }
            (_, Some(index)) => {
                let index = &index[first..];
                check(input, &index[..n], bound.rows);
                Place { known: index.len(), ..Place::indexed(index.as_ptr()) }
            }
        }
    }

    fn edge_place(&mut self, input: InputId, tile: EdgeTile) -> Place {
        let Some(adj) = self.adj else { unreachable!("edges are run on blocks only") };
        let bound = self.inputs[input];
        let (n, edges) = (tile.target.len(), tile.first..tile.first + tile.target.len());
        let numbers: Option<&'i [u32]> = match (bound.level, bound.access) {
            (Level::Call, _) => return self.places[input],
            (Level::Row, _) if bound.widened.is_some() => return Place::indexed(tile.target.as_ptr()),
            (Level::Row, _) => return self.row_place_of_edges(input, tile),
            (_, Access::Edge) => adj.edge,
            _ => Some(adj.other),
        };
        match (numbers, bound.index) {
            (None, None) => {
                assert!(
                    edges.end <= bound.rows,
                    "input {input} has {} rows; {} are wanted",
                    bound.rows,
                    edges.end
                );
                Place::at(edges.start)
            }
            (Some(numbers), None) => {
                check(input, &numbers[edges.clone()], bound.rows);
                let ahead = &numbers[edges.start..];
                Place { known: ahead.len(), ..Place::indexed(ahead.as_ptr()) }
            }
            (None, Some(index)) => {
                check(input, &index[edges.clone()], bound.rows);
                let ahead = &index[edges.start..];
                Place { known: ahead.len(), ..Place::indexed(ahead.as_ptr()) }
            }
            (Some(numbers), Some(index)) => {
                self.compose(input, n, |t| index[numbers[edges.start + t] as usize])
            }
        }
    }

    fn row_place_of_edges(&mut self, input: InputId, tile: EdgeTile) -> Place {
        let Some(index) = self.inputs[input].index else {
            let rows = self.inputs[input].rows;
            let last = tile.base + tile.target.last().map_or(0, |&last| last as usize);
            assert!(last < rows, "input {input} has {rows} rows; row {last} is wanted");
            return Place { first: tile.base, ..Place::indexed(tile.target.as_ptr()) };
        };
        self.compose(input, tile.target.len(), |t| index[tile.base + tile.target[t] as usize])
    }

    fn compose(&mut self, input: InputId, n: usize, number: impl Fn(usize) -> u32) -> Place {
        let most = self.schedule.tile[Level::Edge as usize];
        let numbers = &mut self.composed[input * most..][..n];
        for (t, slot) in numbers.iter_mut().enumerate() {
            *slot = number(t);
        }
        check(input, numbers, self.inputs[input].rows);
        Place { known: n, ..Place::indexed(numbers.as_ptr()) }
    }

    /// Widens the rows of the tile to where the input's own tile lies.
    fn widen(&mut self, input: InputId, place: Place, n: usize) {
        let bound = self.inputs[input];
        let Some(at) = bound.widened else { unreachable!("only narrow inputs are widened") };
        let out = &mut self.memory[at..at + n * bound.width];
        if place.idx.is_null() {
            return widen_rows(bound.floats, bound.width, Which::From(place.first), out);
        }
        // SAFETY: the place has a row number for each row of the tile, and `known` of them may be read.
        let index = unsafe { std::slice::from_raw_parts(place.idx, place.known.max(n)) };
        widen_rows(bound.floats, bound.width, Which::At(index), out);
    }

    fn load(&self, input: InputId) -> View {
        let (bound, place) = (&self.inputs[input], self.places[input]);
        let start = match (bound.floats, bound.widened) {
            (Floats::F32(floats), _) => floats.as_ptr(),
            (_, at) => self.memory.as_ptr().wrapping_add(at.unwrap_or_default()),
        };
        View {
            ptr: start.wrapping_add(place.first * bound.width),
            stride: if place.fixed { 0 } else { bound.width },
            idx: place.idx,
            known: place.known,
        }
    }

    fn run(&mut self, level: Level, n: usize, direct: &[(Reg, *mut f32)]) {
        let schedule = self.schedule;
        for &(reg, input) in &schedule.loads[level as usize] {
            self.views[reg] = self.load(input);
        }
        let (start, tile) = (self.start[level as usize], schedule.tile[level as usize]);
        let memory = self.memory.as_mut_ptr();
        for step in &schedule.steps[level as usize] {
            let own = memory.wrapping_add(start + tile * schedule.offset[step.reg]);
            let out = direct.iter().find(|&&(reg, _)| reg == step.reg).map_or(own, |&(_, out)| out);
            self.step(step, out, n);
            self.views[step.reg] = View::tile(out, schedule.program.width(step.reg));
        }
    }

    fn step(&mut self, step: &Step, out: *mut f32, n: usize) {
        let program = self.schedule.program;
        let width = program.width(step.reg);
        let view = |reg: Reg| self.views[reg];
        let instr = match step.op {
            Op::Dot { a, b, inner } => return ops::dot_inner(view(a), view(b), width, inner, out, n),
            Op::Instr => &program.instrs()[step.reg],
        };
        match *instr {
            Instr::Load(_) => {}
            // SAFETY: the tile has room for one float.
            Instr::Const(value) => unsafe { *out = value },
            Instr::Unary(op, x) => {
                let x = self.operand(Arg::full(x), width, n, 0);
                ops::unary(op, x.view, out, width, n);
            }
            Instr::Binary { op, a, b, width } => {
                let (a, b) = (self.operand(a, width, n, 0), self.operand(b, width, n, 1));
                ops::binary(op, a, b, out, width, n);
            }
            Instr::Select { cond, yes, no } => ops::select(view(cond), view(yes), view(no), out, width, n),
            Instr::SumInner { x, inner } => ops::sum_inner(view(x), width, inner, out, n),
            Instr::MaxInner { x, inner } => ops::max_inner(view(x), width, inner, out, n),
            Instr::SumOuter { x, inner } => ops::sum_outer(view(x), program.width(x) / inner, inner, out, n),
            Instr::Expand { x, width } => {
                let x = Operand { view: view(x.reg), broadcast: x.broadcast };
                ops::expand(x, out, width, n);
            }
            Instr::Slice { x, start, len } => ops::copy(view(x), start, len, out, len, 0, n),
            Instr::Concat(ref parts) => self.concat(parts, out, width, n),
            Instr::Transpose { x, rows, cols } => ops::transpose(view(x), rows, cols, out, n),
            Instr::Matvec { x, w, batch, k, n: cols, transpose_w } => {
                let w = self.load(w);
                let run = if transpose_w { ops::matvec_t } else { ops::matvec };
                run(view(x), w, batch, k, cols, out, n);
            }
            Instr::Dropout { x, p, key, ids } => {
                self.fetch_ids(ids, n);
                ops::dropout(self.views[x], p, key, &self.ids, out, width);
            }
        }
    }

    fn concat(&self, parts: &[Reg], out: *mut f32, width: usize, n: usize) {
        let mut col = 0;
        for &part in parts {
            let len = self.schedule.program.width(part);
            ops::copy(self.views[part], 0, len, out, width, col, n);
            col += len;
        }
    }

    /// The operand; narrow ones are copied flat, so that the loop runs over the whole tile.
    fn operand(&mut self, arg: Arg, width: usize, n: usize, slot: usize) -> Operand {
        let operand = Operand { view: self.views[arg.reg], broadcast: arg.broadcast };
        let flat = arg.broadcast == Broadcast::Full && operand.view.is_flat(width);
        if flat || width >= NARROW || n == 1 {
            return operand;
        }
        let copy = self.memory.as_mut_ptr().wrapping_add(self.flat[slot]);
        ops::expand(operand, copy, width, n);
        Operand::full(View::tile(copy, width))
    }

    fn fetch_ids(&mut self, input: InputId, n: usize) {
        let (bound, place) = (self.inputs[input], self.places[input]);
        self.ids.clear();
        self.ids.extend((0..n).map(|t| match (place.fixed, place.idx.is_null()) {
            (true, _) => bound.ids[place.first],
            (false, true) => bound.ids[place.first + t],
            // SAFETY: the row numbers of the tile.
            (false, false) => bound.ids[place.first + unsafe { *place.idx.add(t) } as usize],
        }));
    }

    /// The view behind an output that is a plain register.
    pub fn output(&self, source: Source) -> View {
        match source {
            Source::Reg(reg) => self.views[reg],
            Source::Product { .. } => unreachable!("products are summed, not written"),
        }
    }
}

impl Drop for Executor<'_, '_> {
    fn drop(&mut self) {
        give_memory(std::mem::take(&mut self.memory));
    }
}

fn bind<'a>(schedule: &Schedule, at: InputId, input: Input<'a>) -> Bound<'a> {
    let spec = schedule.program.inputs()[at];
    let (floats, ids): (Floats, &[u64]) = match input.data {
        Data::Floats(floats) => (floats, &[]),
        Data::Id(ids) => (Floats::default(), ids),
    };
    let wants_ids = spec.kind == crate::program::Kind::Id;
    assert_eq!(wants_ids, matches!(input.data, Data::Id(_)), "input {at} is declared as {:?}", spec.kind);
    let rows = if wants_ids { ids.len() } else { floats.len() / spec.width };
    let level = access_level(spec.access, schedule.direction);
    let (access, index, width) = (spec.access, input.index, spec.width);
    Bound { access, level, floats, ids, index, width, rows, widened: None }
}

/// Gives each narrow input that is read a place behind `end`; returns the new end.
fn make_room(schedule: &Schedule, inputs: &mut [Bound], mut end: usize) -> usize {
    for (narrow, rows) in schedule.narrow.iter().zip(schedule.tile) {
        for &input in narrow {
            inputs[input].widened = Some(end);
            end += rows * inputs[input].width;
        }
    }
    end
}

/// Panics if a row number is beyond the input.
fn check(input: InputId, numbers: &[u32], rows: usize) {
    let worst = numbers.iter().copied().max().unwrap_or(0) as usize;
    assert!(numbers.is_empty() || worst < rows, "input {input} has {rows} rows; row {worst} is wanted");
}

/// Walks the rows of a range tile by tile, and their edges within `edges` tile by tile.
pub fn walk<'i>(
    executor: &mut Executor<'_, 'i>,
    adj: Adjacency,
    rows: Range<usize>,
    edges: Range<usize>,
    sink: &mut impl EdgeSink,
) {
    let [_, row_tile, edge_tile] = executor.schedule.tile;
    let mut target = vec![0u32; edge_tile];
    for base in rows.clone().step_by(row_tile) {
        let n = row_tile.min(rows.end - base);
        executor.run_rows(base, n, &[]);
        sink.begin(base, n);
        let last = (adj.indptr[base + n] as usize).min(edges.end);
        let mut row = base;
        for first in ((adj.indptr[base] as usize).max(edges.start)..last).step_by(edge_tile) {
            let count = edge_tile.min(last - first);
            for (t, target) in target[..count].iter_mut().enumerate() {
                while adj.indptr[row + 1] as usize <= first + t {
                    row += 1;
                }
                *target = (row - base) as u32;
            }
            let tile = EdgeTile { first, base, target: &target[..count] };
            executor.run_edges(tile);
            sink.edges(executor, tile);
        }
        sink.end(base, n);
    }
}

/// What becomes of the edge registers.
pub trait EdgeSink {
    fn begin(&mut self, _base: usize, _n: usize) {}
    fn edges(&mut self, executor: &Executor, tile: EdgeTile);
    fn end(&mut self, _base: usize, _n: usize) {}
}
