//! What the tests share: an interpreter of row programs in double precision, and a maker of random programs and blocks.
#![allow(dead_code)]

use gsl_kernels::random::{Key, Stream};
use gsl_kernels::{
    Access, Arg, BinaryOp, Broadcast, Data, Direction, Floats, Input, InputSpec, Instr, Kind, Reg,
    RowProgram, UnaryOp, bf16, f16,
};

/// Runs `f` in a pool of so many threads.
pub fn in_pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(f)
}

/// Asserts that `f` gives the same bits in pools of 1 to 4 threads, and returns them.
pub fn same_for_any_threads(f: impl Fn() -> Vec<f32> + Send + Sync) -> Vec<f32> {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let once = in_pool(1, &f);
    for threads in 2..=4 {
        assert!(bits(&in_pool(threads, &f)) == bits(&once), "{threads} threads give other bits");
    }
    once
}

pub fn assert_close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        let fine = error <= tolerance * (1.0 + want.abs()) || (got.is_nan() && want.is_nan());
        assert!(fine, "{what}: element {at} is {got}, not {want}");
    }
}

/// Which rows of the inputs an evaluation reads.
#[derive(Clone, Copy, Default)]
pub struct Place {
    pub row: usize,
    pub src: usize,
    pub dst: usize,
    pub edge: usize,
}

/// All registers of the program at one place, in double precision, one naive loop per instruction.
pub fn evaluate(program: &RowProgram, inputs: &[Input], place: Place) -> Vec<Vec<f64>> {
    let mut regs: Vec<Vec<f64>> = Vec::new();
    for instr in program.instrs() {
        let value = evaluate_one(program, instr, inputs, place, &regs);
        regs.push(value);
    }
    regs
}

fn row_number(spec: &InputSpec, input: &Input, place: Place) -> usize {
    let row = match spec.access {
        Access::Row => place.row,
        Access::Src => place.src,
        Access::Dst => place.dst,
        Access::Edge => place.edge,
        Access::Global => 0,
    };
    input.index.map_or(row, |index| index[row] as usize)
}

fn fetch(program: &RowProgram, inputs: &[Input], at: usize, place: Place) -> Vec<f64> {
    let (spec, row) = (&program.inputs()[at], row_number(&program.inputs()[at], &inputs[at], place));
    match inputs[at].data {
        Data::Floats(data) => (0..spec.width).map(|c| stored(data, spec.width, row, c)).collect(),
        Data::Id(_) => panic!("identifiers are not loaded"),
    }
}

fn evaluate_one(
    program: &RowProgram,
    instr: &Instr,
    inputs: &[Input],
    place: Place,
    regs: &[Vec<f64>],
) -> Vec<f64> {
    match instr {
        Instr::Load(at) => fetch(program, inputs, *at, place),
        Instr::Const(value) => vec![f64::from(*value)],
        Instr::Unary(op, x) => regs[*x].iter().map(|&x| unary(*op, x)).collect(),
        Instr::Binary { op, a, b, width } => {
            (0..*width).map(|i| binary(*op, pick(regs, *a, i), pick(regs, *b, i))).collect()
        }
        Instr::Select { cond, yes, no } => (0..regs[*cond].len())
            .map(|i| if regs[*cond][i] != 0.0 { regs[*yes][i] } else { regs[*no][i] })
            .collect(),
        Instr::SumInner { x, inner } => regs[*x].chunks(*inner).map(|x| x.iter().sum()).collect(),
        Instr::MaxInner { x, inner } => {
            regs[*x].chunks(*inner).map(|x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect()
        }
        Instr::SumOuter { x, inner } => {
            (0..*inner).map(|i| regs[*x].iter().skip(i).step_by(*inner).sum()).collect()
        }
        Instr::Expand { x, width } => (0..*width).map(|i| pick(regs, *x, i)).collect(),
        Instr::Slice { x, start, len } => regs[*x][*start..start + len].to_vec(),
        Instr::Concat(parts) => parts.iter().flat_map(|&part| regs[part].clone()).collect(),
        Instr::Transpose { x, rows, cols } => {
            (0..rows * cols).map(|i| regs[*x][i % rows * cols + i / rows]).collect()
        }
        Instr::Matvec { x, w, batch, k, n, transpose_w } => {
            let w = fetch(program, inputs, *w, place);
            matvec(&regs[*x], &w, [*batch, *k, *n], *transpose_w)
        }
        Instr::Dropout { x, p, key, ids } => {
            let row = row_number(&program.inputs()[*ids], &inputs[*ids], place);
            let Data::Id(data) = inputs[*ids].data else { panic!("identifiers are needed") };
            let keep = |c: usize| key.uniform_at2(data[row], c as u32) >= *p;
            let scale = 1.0 / (1.0 - f64::from(*p));
            regs[*x].iter().enumerate().map(|(c, &x)| if keep(c) { x * scale } else { 0.0 }).collect()
        }
    }
}

fn pick(regs: &[Vec<f64>], arg: Arg, i: usize) -> f64 {
    regs[arg.reg][match arg.broadcast {
        Broadcast::Full => i,
        Broadcast::Scalar => 0,
        Broadcast::Outer { inner } => i / inner,
        Broadcast::Inner { len } => i % len,
    }]
}

fn matvec(x: &[f64], w: &[f64], [batch, k, n]: [usize; 3], transposed: bool) -> Vec<f64> {
    let weight = |b: usize, i: usize, j: usize| w[(b * k + i) * n + j];
    let cell = |b: usize, at: usize| -> f64 {
        if transposed {
            (0..n).map(|j| x[b * n + j] * weight(b, at, j)).sum()
        } else {
            (0..k).map(|i| x[b * k + i] * weight(b, i, at)).sum()
        }
    };
    (0..batch)
        .flat_map(|b| (0..if transposed { k } else { n }).map(move |at| (b, at)))
        .map(|(b, at)| cell(b, at))
        .collect()
}

pub fn unary(op: UnaryOp, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let step = |yes: f64, no: f64| if x > 0.0 { yes } else { no };
    match op {
        UnaryOp::Neg => -x,
        UnaryOp::Exp => x.exp(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Log1p => x.ln_1p(),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Rsqrt => 1.0 / x.sqrt(),
        UnaryOp::Recip => 1.0 / x,
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Sigmoid => sigmoid(x),
        UnaryOp::Relu => step(x, 0.0),
        UnaryOp::ReluGrad => step(1.0, 0.0),
        UnaryOp::LeakyRelu(slope) => step(x, f64::from(slope) * x),
        UnaryOp::LeakyReluGrad(slope) => step(1.0, f64::from(slope)),
        UnaryOp::Elu(alpha) => step(x, f64::from(alpha) * x.exp_m1()),
        UnaryOp::EluGrad(alpha) => step(1.0, f64::from(alpha) * x.exp()),
        UnaryOp::Gelu => x * phi(x),
        UnaryOp::GeluGrad => phi(x) + x * density(x),
        UnaryOp::Silu => x * sigmoid(x),
        UnaryOp::SiluGrad => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
        UnaryOp::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        UnaryOp::LogSigmoid => x.min(0.0) - (-x.abs()).exp().ln_1p(),
        UnaryOp::Abs => x.abs(),
        UnaryOp::Sign => step(1.0, if x < 0.0 { -1.0 } else { 0.0 }),
        UnaryOp::Square => x * x,
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Floor => x.floor(),
        UnaryOp::IsZero => f64::from(u8::from(x == 0.0)),
    }
}

fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// The normal distribution function, by its series; good for |x| up to 6 or so.
fn phi(x: f64) -> f64 {
    if x.abs() > 12.0 {
        return f64::from(u8::from(x > 0.0));
    }
    let (mut term, mut sum) = (x, x);
    for k in 1..300 {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + density(x) * sum
}

pub fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Max => a.max(b),
        BinaryOp::Min => a.min(b),
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Eq => f64::from(u8::from(a == b)),
        BinaryOp::Gt => f64::from(u8::from(a > b)),
        BinaryOp::Ge => f64::from(u8::from(a >= b)),
        BinaryOp::Lt => f64::from(u8::from(a < b)),
    }
}

/// A value on a coarse grid, so that comparisons mean the same in both precisions.
fn grid(draw: &mut Stream) -> f32 {
    draw.below(33) as f32 / 8.0 - 2.0
}

pub fn grid_vec(draw: &mut Stream, len: usize) -> Vec<f32> {
    (0..len).map(|_| grid(draw)).collect()
}

/// Numbers in one of the ways in which they can be stored.
pub enum Numbers {
    F32(Vec<f32>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I8 { data: Vec<i8>, scale: Vec<f32> },
}

impl Numbers {
    /// Numbers of the grid, which every storage holds exactly.
    fn random(draw: &mut Stream, rows: usize, width: usize) -> Self {
        let grid = grid_vec(draw, rows * width);
        Numbers::nearest(draw.below(6), grid, width)
    }

    /// The nearest numbers of storage 0 to 2, or the numbers themselves.
    pub fn nearest(storage: u32, numbers: Vec<f32>, width: usize) -> Self {
        match storage {
            0 => Numbers::F16(numbers.iter().map(|&x| f16::from_f32(x)).collect()),
            1 => Numbers::BF16(numbers.iter().map(|&x| bf16::from_f32(x)).collect()),
            2 => {
                let scale: Vec<f32> = (0..width).map(|col| [0.125, 0.0625][col % 2]).collect();
                let data = numbers.iter().enumerate().map(|(at, x)| (x / scale[at % width]).round() as i8);
                Numbers::I8 { data: data.collect(), scale }
            }
            _ => Numbers::F32(numbers),
        }
    }

    pub fn borrow(&self) -> Floats<'_> {
        match self {
            Numbers::F32(data) => Floats::F32(data),
            Numbers::F16(data) => Floats::F16(data),
            Numbers::BF16(data) => Floats::BF16(data),
            Numbers::I8 { data, scale } => Floats::I8 { data, scale },
        }
    }
}

/// What a stored number stands for.
pub fn stored(data: Floats, width: usize, row: usize, col: usize) -> f64 {
    let at = row * width + col;
    match data {
        Floats::F32(data) => data[at].into(),
        Floats::F16(data) => data[at].into(),
        Floats::BF16(data) => data[at].into(),
        Floats::I8 { data, scale } => f64::from(data[at]) * f64::from(scale[col]),
    }
}

/// The memory behind random inputs.
pub struct Bank {
    pub floats: Vec<Numbers>,
    pub ids: Vec<Vec<u64>>,
    pub index: Vec<Option<Vec<u32>>>,
    pub specs: Vec<InputSpec>,
}

impl Bank {
    pub fn inputs(&self) -> Vec<Input<'_>> {
        (0..self.specs.len())
            .map(|at| {
                let data = match self.specs[at].kind {
                    Kind::F32 => Data::Floats(self.floats[at].borrow()),
                    Kind::Id => Data::Id(&self.ids[at]),
                };
                Input { data, index: self.index[at].as_deref() }
            })
            .collect()
    }
}

/// How many rows each access has.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub rows: usize,
    pub src: usize,
    pub dst: usize,
    pub edges: usize,
}

impl Sizes {
    fn of(&self, access: Access) -> usize {
        match access {
            Access::Row => self.rows,
            Access::Src => self.src,
            Access::Dst => self.dst,
            Access::Edge => self.edges,
            Access::Global => 1,
        }
    }
}

/// A random program over random inputs. All values stay moderate, and only exact values are compared.
pub fn random_program(draw: &mut Stream, accesses: &[Access], sizes: Sizes) -> (RowProgram, Bank) {
    const WIDTHS: [usize; 12] = [1, 1, 2, 3, 4, 6, 8, 12, 16, 24, 33, 64];
    let mut bank = Bank { floats: vec![], ids: vec![], index: vec![], specs: vec![] };
    let base = WIDTHS[draw.below(12) as usize];
    for &access in accesses {
        let width = [1, base, base, base * (1 + draw.below(3) as usize)][draw.below(4) as usize];
        add_input(draw, &mut bank, InputSpec::new(access, width), sizes);
    }
    let with_ids = accesses[draw.below(accesses.len() as u32) as usize];
    add_input(draw, &mut bank, InputSpec::ids(with_ids), sizes);
    let mut instrs: Vec<Instr> = (0..accesses.len()).map(Instr::Load).collect();
    for _ in 0..1 + draw.below(9) {
        let program = RowProgram::new(bank.specs.clone(), instrs.clone()).expect("so far it is well formed");
        if let Some(instr) = random_instr(draw, &program, &mut bank, sizes, accesses.len()) {
            instrs.push(instr);
        }
    }
    (RowProgram::new(bank.specs.clone(), instrs).expect("well formed"), bank)
}

fn add_input(draw: &mut Stream, bank: &mut Bank, spec: InputSpec, sizes: Sizes) {
    let rows = sizes.of(spec.access);
    let gathered = draw.below(3) == 0;
    let stored = if gathered { 1 + draw.below(40) as usize } else { rows };
    let index = gathered.then(|| (0..rows).map(|_| draw.below(stored as u32)).collect());
    let rows = if spec.kind == Kind::F32 { stored } else { 0 };
    bank.floats.push(Numbers::random(draw, rows, spec.width));
    bank.ids.push(if spec.kind == Kind::Id {
        (0..stored).map(|_| draw.next_u64()).collect()
    } else {
        vec![]
    });
    bank.index.push(index);
    bank.specs.push(spec);
}

fn random_instr(
    draw: &mut Stream,
    program: &RowProgram,
    bank: &mut Bank,
    sizes: Sizes,
    ids: usize,
) -> Option<Instr> {
    let any = |draw: &mut Stream| draw.below(program.widths().len() as u32) as Reg;
    let x = any(draw);
    let width = program.width(x);
    let divisors: Vec<usize> = (1..=width).filter(|d| width.is_multiple_of(*d)).collect();
    let inner = divisors[draw.below(divisors.len() as u32) as usize];
    Some(match draw.below(13) {
        0 => Instr::Const(grid(draw)),
        1 => Instr::Unary(smooth(draw), x),
        2 => Instr::Unary(
            [UnaryOp::Sign, UnaryOp::Floor, UnaryOp::ReluGrad, UnaryOp::IsZero][draw.below(4) as usize],
            exact(draw, ids),
        ),
        3..=6 => random_binary(draw, program)?,
        7 => Instr::SumInner { x, inner },
        8 => [Instr::MaxInner { x, inner }, Instr::SumOuter { x, inner }][draw.below(2) as usize].clone(),
        9 => Instr::Slice { x, start: width - inner, len: inner },
        10 if width < 100 => Instr::Concat(vec![x, any(draw)]),
        11 => Instr::Transpose { x, rows: inner, cols: width / inner },
        12 if draw.below(2) == 0 => Instr::Dropout { x, p: 0.5, key: Key::new(draw.next_u64(), 0), ids },
        _ if width <= 16 => {
            let (batch, k, n) = (inner, width / inner, 1 + draw.below(5) as usize);
            add_input(draw, bank, InputSpec::global(batch * k * n), sizes);
            Instr::Matvec { x, w: bank.specs.len() - 1, batch, k, n, transpose_w: false }
        }
        _ => Instr::Unary(UnaryOp::Tanh, x),
    })
}

/// A register that holds grid values: a loaded one.
fn exact(draw: &mut Stream, loads: usize) -> Reg {
    draw.below(loads as u32) as Reg
}

fn smooth(draw: &mut Stream) -> UnaryOp {
    use UnaryOp::*;
    let ops =
        [Neg, Tanh, Sigmoid, Relu, LeakyRelu(0.2), Elu(1.0), Gelu, GeluGrad, Silu, Softplus, Abs, Sin, Cos];
    ops[draw.below(13) as usize]
}

fn random_binary(draw: &mut Stream, program: &RowProgram) -> Option<Instr> {
    let count = program.widths().len() as u32;
    let (a, b) = (draw.below(count) as Reg, draw.below(count) as Reg);
    let width = program.width(a).max(program.width(b));
    let (a, b) = (spread(draw, program, a, width)?, spread(draw, program, b, width)?);
    use BinaryOp::*;
    Some(Instr::Binary { op: [Add, Sub, Mul, Mul, Max, Min][draw.below(6) as usize], a, b, width })
}

fn spread(draw: &mut Stream, program: &RowProgram, reg: Reg, width: usize) -> Option<Arg> {
    let own = program.width(reg);
    if own == width {
        return Some(Arg::full(reg));
    }
    if !width.is_multiple_of(own) {
        return None;
    }
    Some(match draw.below(2) {
        0 if own == 1 => Arg::scalar(reg),
        0 => Arg::inner(reg, own),
        _ => Arg::outer(reg, width / own),
    })
}

/// A random block, grouped by destination: `(indptr, src)`. Some rows are empty, some long.
pub fn random_block(draw: &mut Stream, dst: usize, src: usize) -> (Vec<u32>, Vec<u32>) {
    let mut indptr = vec![0u32];
    let mut other = Vec::new();
    for _ in 0..dst {
        let degree = match draw.below(10) {
            0..=2 => 0,
            3 => draw.below(300),
            _ => draw.below(9),
        };
        other.extend((0..if src == 0 { 0 } else { degree }).map(|_| draw.below(src as u32)));
        indptr.push(other.len() as u32);
    }
    (indptr, other)
}

/// The places of the edges of a row.
pub fn places(
    direction: Direction,
    indptr: &[u32],
    other: &[u32],
    edge: Option<&[u32]>,
    row: usize,
) -> Vec<Place> {
    (indptr[row] as usize..indptr[row + 1] as usize)
        .map(|e| {
            let (src, dst) = match direction {
                Direction::ByDst => (other[e] as usize, row),
                Direction::BySrc => (row, other[e] as usize),
            };
            Place { row, src, dst, edge: edge.map_or(e, |edge| edge[e] as usize) }
        })
        .collect()
}
