//! From a program and the registers wanted of it to steps: what is computed how often, in which buffer.
//!
//! Decided here: the level of every register (once per call, once per row, once per edge), which instructions are fused into
//! their only reader, which buffers are shared, and how many rows make a tile. Not decided: the arithmetic.
//!
//! Before: `z = mul(x, y); s = sum_inner(z)`. After: `s = dot(x, y)`.
//! Before: `z = mul(w, x); out = reduce[sum] z`. After: `out = reduce[sum] w * x`, with `z` in registers only.

use super::block::Direction;
use crate::program::{Access, Arg, BinaryOp, Broadcast, Input, InputId, Instr, Reg, RowProgram};

/// How often a register is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Call = 0,
    Row = 1,
    Edge = 2,
}

pub const LEVELS: usize = 3;

/// Operands narrower than this are copied into flat tiles; wider ones are read where they lie.
pub const NARROW: usize = 16;

/// Floats of a buffer that should stay in the first-level cache together with its neighbours.
const TILE_FLOATS: usize = 4096;

/// What happens in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The program's instruction of that register.
    Instr,
    /// `sum_inner(a * b)`.
    Dot { a: Reg, b: Reg, inner: usize },
}

/// The computation of one register.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub reg: Reg,
    pub op: Op,
}

/// What is wanted of the program.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub reg: Reg,
    /// The reader can sum products itself.
    pub sums: bool,
}

/// What a reader gets: a register, or a product that it forms itself, `w[i / inner] * x[i]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Reg(Reg),
    Product { w: Reg, x: Reg, inner: usize },
}

/// The steps of a program.
#[derive(Debug)]
pub struct Schedule<'p> {
    pub program: &'p RowProgram,
    pub direction: Option<Direction>,
    pub level: Vec<Level>,
    pub steps: [Vec<Step>; LEVELS],
    /// Registers that are views of inputs, by level.
    pub loads: [Vec<(Reg, InputId)>; LEVELS],
    /// Inputs that steps of a level read.
    pub inputs: [Vec<InputId>; LEVELS],
    /// Row registers that edge steps read.
    pub lifted: Vec<Reg>,
    /// Inputs that are widened, tile by tile, before a level's steps read them: at the level at which their row changes.
    pub narrow: [Vec<InputId>; LEVELS],
    /// Where the register's buffer starts, in floats per row.
    pub offset: Vec<usize>,
    /// Floats per row of all buffers of a level.
    pub floats: [usize; LEVELS],
    pub sources: Vec<Source>,
    /// Rows per tile, by level.
    pub tile: [usize; LEVELS],
}

impl<'p> Schedule<'p> {
    pub fn new(
        program: &'p RowProgram,
        direction: Option<Direction>,
        wanted: &[Wanted],
        inputs: &[Input],
    ) -> Self {
        assert_eq!(inputs.len(), program.inputs().len(), "the program has {} inputs", program.inputs().len());
        for want in wanted {
            assert!(want.reg < program.instrs().len(), "the program has no register {}", want.reg);
        }
        let level = levels(program, direction);
        let uses = uses(program, wanted);
        let sources: Vec<Source> = wanted.iter().map(|&want| source(program, &level, &uses, want)).collect();
        let ops = ops(program, &uses);
        let live = live(program, &ops, &sources);
        let mut schedule = Schedule {
            program,
            direction,
            level,
            steps: Default::default(),
            loads: Default::default(),
            inputs: Default::default(),
            lifted: Vec::new(),
            narrow: Default::default(),
            offset: vec![0; program.instrs().len()],
            floats: [0; LEVELS],
            sources,
            tile: [1; LEVELS],
        };
        schedule.deal(&ops, &live);
        schedule.lift();
        schedule.find_narrow(inputs);
        for level in [Level::Call, Level::Row, Level::Edge] {
            schedule.allocate(level);
        }
        schedule.choose_tiles();
        schedule
    }

    /// Deals the live instructions to the levels.
    fn deal(&mut self, ops: &[Op], live: &[bool]) {
        for (reg, instr) in self.program.instrs().iter().enumerate().filter(|&(reg, _)| live[reg]) {
            let level = self.level[reg] as usize;
            if let Some(input) = instr.input() {
                insert(&mut self.inputs[level], input);
            }
            match instr {
                Instr::Load(input) => self.loads[level].push((reg, *input)),
                _ => self.steps[level].push(Step { reg, op: ops[reg] }),
            }
        }
    }

    /// Finds the row registers that edges read, directly or as an output.
    fn lift(&mut self) {
        if self.direction.is_none() {
            return;
        }
        let mut lifted = Vec::new();
        for step in &self.steps[Level::Edge as usize] {
            operands(self.program, step, |reg| insert(&mut lifted, reg));
        }
        self.sources.iter().for_each(|source| source.for_each(|reg| insert(&mut lifted, reg)));
        lifted.retain(|&reg| self.level[reg] == Level::Row);
        for &reg in &lifted {
            if let Instr::Load(input) = self.program.instrs()[reg] {
                insert(&mut self.inputs[Level::Edge as usize], input);
            }
        }
        self.lifted = lifted;
    }

    /// Finds the inputs that must be widened; rows that change less often than they are read are widened once.
    fn find_narrow(&mut self, inputs: &[Input]) {
        for reader in 0..LEVELS {
            for &input in self.inputs[reader].iter().filter(|&&input| inputs[input].is_narrow()) {
                let own = access_level(self.program.inputs()[input].access, self.direction);
                insert(&mut self.narrow[own as usize], input);
            }
        }
    }

    /// Gives every step of a level a buffer; a buffer is free again after the last step that reads it.
    fn allocate(&mut self, level: Level) {
        let steps = &self.steps[level as usize];
        let mut last = vec![0; self.offset.len()];
        for (at, step) in steps.iter().enumerate() {
            last[step.reg] = at;
            operands(self.program, step, |reg| last[reg] = at);
        }
        for higher in &self.steps[level as usize + 1..] {
            for step in higher {
                operands(self.program, step, |reg| last[reg] = usize::MAX);
            }
        }
        self.sources.iter().for_each(|source| source.for_each(|reg| last[reg] = usize::MAX));
        let mut slots: Vec<(usize, usize, usize)> = Vec::new();
        let mut total = 0;
        for (at, step) in steps.iter().enumerate() {
            let width = self.program.width(step.reg);
            let free = |&(_, size, until): &(usize, usize, usize)| size >= width && until < at;
            let best = slots.iter_mut().filter(|slot| free(slot)).min_by_key(|slot| slot.1);
            self.offset[step.reg] = match best {
                Some(slot) => {
                    slot.2 = last[step.reg];
                    slot.0
                }
                None => {
                    slots.push((total, width, last[step.reg]));
                    total += width;
                    total - width
                }
            };
        }
        self.floats[level as usize] = total;
    }

    fn choose_tiles(&mut self) {
        let widest = |level: Level| {
            let steps = self.steps[level as usize].iter().map(|step| self.program.width(step.reg));
            let widened = self.narrow[level as usize].iter().map(|&input| self.program.inputs()[input].width);
            steps.chain(widened).max().unwrap_or(0)
        };
        let tile = |width: usize, most: usize| (TILE_FLOATS / width.max(1)).clamp(8, most);
        let rows = tile(widest(Level::Row), if self.direction.is_some() { 64 } else { 512 });
        self.tile = [1, rows, tile(widest(Level::Edge), 256)];
    }
}

impl Source {
    pub fn for_each(&self, mut f: impl FnMut(Reg)) {
        match *self {
            Source::Reg(reg) => f(reg),
            Source::Product { w, x, .. } => [w, x].into_iter().for_each(f),
        }
    }
}

/// Calls `f` with every register that a step reads.
pub fn operands(program: &RowProgram, step: &Step, mut f: impl FnMut(Reg)) {
    match step.op {
        Op::Instr => program.instrs()[step.reg].for_each_operand(f),
        Op::Dot { a, b, .. } => {
            f(a);
            f(b);
        }
    }
}

/// How often an input's row changes.
pub fn access_level(access: Access, direction: Option<Direction>) -> Level {
    match (access, direction) {
        (Access::Global, _) => Level::Call,
        (Access::Row, _) | (Access::Dst, Some(Direction::ByDst)) | (Access::Src, Some(Direction::BySrc)) => {
            Level::Row
        }
        (_, Some(_)) => Level::Edge,
        (_, None) => panic!("{access:?} inputs need a block; this program runs over rows"),
    }
}

fn levels(program: &RowProgram, direction: Option<Direction>) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::with_capacity(program.instrs().len());
    for instr in program.instrs() {
        let mut level = Level::Call;
        if let Some(input) = instr.input() {
            level = access_level(program.inputs()[input].access, direction);
        }
        instr.for_each_operand(|reg| level = level.max(levels[reg]));
        levels.push(level);
    }
    levels
}

/// How often each register is read, by instructions that some output needs and by outputs.
fn uses(program: &RowProgram, wanted: &[Wanted]) -> Vec<u32> {
    let mut uses = vec![0; program.instrs().len()];
    wanted.iter().for_each(|want| uses[want.reg] += 1);
    for (reg, instr) in program.instrs().iter().enumerate().rev() {
        if uses[reg] > 0 {
            instr.for_each_operand(|operand| uses[operand] += 1);
        }
    }
    uses
}

fn source(program: &RowProgram, level: &[Level], uses: &[u32], want: Wanted) -> Source {
    let Instr::Binary { op: BinaryOp::Mul, a, b, width } = program.instrs()[want.reg] else {
        return Source::Reg(want.reg);
    };
    let fusible = want.sums && uses[want.reg] == 1 && level[want.reg] == Level::Edge;
    let weight = |arg: Arg| match arg.broadcast {
        Broadcast::Scalar => Some(width),
        Broadcast::Outer { inner } if inner >= 4 => Some(inner),
        _ => None,
    };
    match (weight(a), weight(b)) {
        (Some(inner), None) if fusible && b.broadcast == Broadcast::Full => {
            Source::Product { w: a.reg, x: b.reg, inner }
        }
        (None, Some(inner)) if fusible && a.broadcast == Broadcast::Full => {
            Source::Product { w: b.reg, x: a.reg, inner }
        }
        _ => Source::Reg(want.reg),
    }
}

fn ops(program: &RowProgram, uses: &[u32]) -> Vec<Op> {
    let full = |arg: Arg| arg.broadcast == Broadcast::Full;
    let dot = |instr: &Instr| match *instr {
        Instr::SumInner { x, inner } if uses[x] == 1 => match program.instrs()[x] {
            Instr::Binary { op: BinaryOp::Mul, a, b, .. } if full(a) && full(b) => {
                Op::Dot { a: a.reg, b: b.reg, inner }
            }
            _ => Op::Instr,
        },
        _ => Op::Instr,
    };
    program.instrs().iter().map(dot).collect()
}

fn live(program: &RowProgram, ops: &[Op], sources: &[Source]) -> Vec<bool> {
    let mut live = vec![false; ops.len()];
    sources.iter().for_each(|source| source.for_each(|reg| live[reg] = true));
    for reg in (0..ops.len()).rev() {
        if live[reg] {
            operands(program, &Step { reg, op: ops[reg] }, |operand| live[operand] = true);
        }
    }
    live
}

fn insert(list: &mut Vec<usize>, value: usize) {
    if !list.contains(&value) {
        list.push(value);
    }
}
