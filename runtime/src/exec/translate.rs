//! Plan kernels to row programs: one program per pass, holding only what the pass needs.
//!
//! Decided here: which instruction of the backend each plan instruction becomes, and the keys of dropout. Not decided
//! here: what the inputs are bound to.

use super::Context;
use gsl_kernels::random::Key;
use gsl_kernels::{self as k, Arg, InputSpec, RowProgram};
use gsl_plan::program::{BinaryOp, Broadcast, UnaryOp};
use gsl_plan::schedule::{Access, Instr, Kernel, Operand, Reg, RowOp};

const PURPOSE: u32 = u32::from_be_bytes(*b"drop");
const DEAD: usize = usize::MAX;

/// Where the data of a program's input comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    Operand {
        operand: Operand,
        access: Access,
        width: usize,
    },
    /// Global identifiers, which key dropout.
    Ids(Access),
}

/// What the program runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    Rows,
    Edges,
}

/// A kernel, or as much of it as some of its registers need, as a row program.
#[derive(Debug, Clone)]
pub struct Code {
    pub program: RowProgram,
    pub inputs: Vec<Source>,
    /// Register of the program for each register of the kernel.
    regs: Vec<usize>,
    specs: Vec<InputSpec>,
    instrs: Vec<k::Instr>,
    /// Dropout instructions and their sites.
    masks: Vec<(usize, u32)>,
}

impl Code {
    /// Translates what `live` needs. In inference, dropout is the identity.
    ///
    /// # Errors
    /// Why the kernel is not well formed.
    pub fn new(kernel: &Kernel, live: &[Reg], ground: Ground, training: bool) -> Result<Self, String> {
        let alive = liveness(kernel, live)?;
        let mut translator = Translator {
            kernel,
            ground,
            training,
            specs: Vec::new(),
            inputs: Vec::new(),
            instrs: Vec::new(),
            masks: Vec::new(),
            regs: vec![DEAD; kernel.instrs.len()],
        };
        for at in (0..alive.len()).filter(|&at| alive[at]) {
            translator.regs[at] =
                translator.instr(&kernel.instrs[at]).map_err(|why| format!("register {at}: {why}"))?;
        }
        let Translator { specs, inputs, instrs, masks, regs, .. } = translator;
        let program = RowProgram::new(specs.clone(), instrs.clone())?;
        let code = Code { program, inputs, regs, specs, instrs, masks };
        code.check_widths(kernel, live)?;
        Ok(code)
    }

    /// The program's register for a register of the kernel that was asked for.
    pub fn reg(&self, reg: Reg) -> usize {
        self.regs[reg as usize]
    }

    /// Sets the keys of dropout for a batch.
    ///
    /// # Errors
    /// None that did not arise when it was made.
    pub fn rekey(&mut self, context: Context) -> Result<(), String> {
        if self.masks.is_empty() {
            return Ok(());
        }
        let base = Key::new(context.seed, PURPOSE).fold(context.epoch).fold(context.batch);
        for &(at, site) in &self.masks {
            if let k::Instr::Dropout { key, .. } = &mut self.instrs[at] {
                *key = base.fold(u64::from(site));
            }
        }
        self.program = RowProgram::new(self.specs.clone(), self.instrs.clone())?;
        Ok(())
    }

    fn check_widths(&self, kernel: &Kernel, live: &[Reg]) -> Result<(), String> {
        for &reg in live {
            let (found, stated) = (self.program.width(self.reg(reg)), kernel.instrs[reg as usize].width);
            if found != stated {
                return Err(format!("register {reg} has {found} elements, the kernel says {stated}"));
            }
        }
        Ok(())
    }
}

fn liveness(kernel: &Kernel, live: &[Reg]) -> Result<Vec<bool>, String> {
    let mut alive = vec![false; kernel.instrs.len()];
    for &reg in live {
        *alive.get_mut(reg as usize).ok_or_else(|| format!("there is no register {reg}"))? = true;
    }
    for at in (0..alive.len()).rev() {
        if alive[at] {
            for reg in operands(&kernel.instrs[at].op) {
                if reg as usize >= at {
                    return Err(format!("register {at} reads register {reg}, which comes later"));
                }
                alive[reg as usize] = true;
            }
        }
    }
    Ok(alive)
}

fn operands(op: &RowOp) -> Vec<Reg> {
    match op {
        RowOp::Load { .. } | RowOp::Const(_) => vec![],
        RowOp::Unary(_, x)
        | RowOp::Expand { x, .. }
        | RowOp::SumInner { x, .. }
        | RowOp::MaxInner { x, .. }
        | RowOp::SumOuter { x, .. }
        | RowOp::Slice { x, .. }
        | RowOp::MatVec { x, .. }
        | RowOp::Dropout { x, .. } => vec![*x],
        RowOp::Binary { a, b, .. } => vec![*a, *b],
        RowOp::Concat(parts) => parts.clone(),
    }
}

struct Translator<'a> {
    kernel: &'a Kernel,
    ground: Ground,
    training: bool,
    specs: Vec<InputSpec>,
    inputs: Vec<Source>,
    instrs: Vec<k::Instr>,
    masks: Vec<(usize, u32)>,
    regs: Vec<usize>,
}

impl Translator<'_> {
    fn emit(&mut self, instr: k::Instr) -> usize {
        self.instrs.push(instr);
        self.instrs.len() - 1
    }

    fn at(&self, reg: Reg) -> usize {
        self.regs[reg as usize]
    }

    fn instr(&mut self, instr: &Instr) -> Result<usize, String> {
        let width = instr.width;
        let made = match &instr.op {
            RowOp::Load { input, start } => return self.load(*input, *start, width),
            RowOp::Const(value) => return Ok(self.constant(*value, width)),
            RowOp::Unary(op, x) => return Ok(self.unary(*op, self.at(*x), width)),
            RowOp::MatVec { .. } => return self.matvec(&instr.op),
            RowOp::Dropout { x, .. } if !self.training => return Ok(self.at(*x)),
            RowOp::Dropout { x, p, site, by } => return self.dropout(self.at(*x), *p, *site, *by),
            RowOp::Binary { op, a, left, b, right } => {
                let (a, b) = (self.arg(*a, *left), self.arg(*b, *right));
                k::Instr::Binary { op: binary_op(*op), a, b, width }
            }
            RowOp::Expand { x, by } => k::Instr::Expand { x: self.arg(*x, *by), width },
            RowOp::SumInner { x, inner } => k::Instr::SumInner { x: self.at(*x), inner: *inner },
            RowOp::MaxInner { x, inner } => k::Instr::MaxInner { x: self.at(*x), inner: *inner },
            RowOp::SumOuter { x, inner } => k::Instr::SumOuter { x: self.at(*x), inner: *inner },
            RowOp::Slice { x, start } => k::Instr::Slice { x: self.at(*x), start: *start, len: width },
            RowOp::Concat(parts) => k::Instr::Concat(parts.iter().map(|&part| self.at(part)).collect()),
        };
        Ok(self.emit(made))
    }

    fn arg(&self, reg: Reg, broadcast: Broadcast) -> Arg {
        let broadcast = match broadcast {
            Broadcast::Full => k::Broadcast::Full,
            Broadcast::Scalar => k::Broadcast::Scalar,
            Broadcast::Outer { inner } => k::Broadcast::Outer { inner },
            Broadcast::Inner { len } => k::Broadcast::Inner { len },
        };
        Arg { reg: self.at(reg), broadcast }
    }

    fn load(&mut self, input: u32, start: usize, width: usize) -> Result<usize, String> {
        let id = self.input(input)?;
        let whole = self.emit(k::Instr::Load(id));
        let all = start == 0 && width == self.specs[id].width;
        Ok(if all { whole } else { self.emit(k::Instr::Slice { x: whole, start, len: width }) })
    }

    fn constant(&mut self, value: f32, width: usize) -> usize {
        let one = self.emit(k::Instr::Const(value));
        if width == 1 { one } else { self.emit(k::Instr::Expand { x: Arg::scalar(one), width }) }
    }

    fn matvec(&mut self, op: &RowOp) -> Result<usize, String> {
        let RowOp::MatVec { x, w, batch, k, n, transpose } = op else { return Err("no product".into()) };
        let (w, x) = (self.input(*w)?, self.at(*x));
        Ok(self.emit(k::Instr::Matvec { x, w, batch: *batch, k: *k, n: *n, transpose_w: *transpose }))
    }

    fn dropout(&mut self, x: usize, p: f32, site: u32, by: Access) -> Result<usize, String> {
        let access = self.access(by)?;
        let ids = self.source(Source::Ids(by), InputSpec::ids(access));
        self.masks.push((self.instrs.len(), site));
        Ok(self.emit(k::Instr::Dropout { x, p, key: Key::new(0, PURPOSE), ids }))
    }

    fn input(&mut self, input: u32) -> Result<usize, String> {
        let kernel = self.kernel;
        let input = kernel.inputs.get(input as usize).ok_or_else(|| format!("there is no input {input}"))?;
        let access = self.access(input.access)?;
        let source = Source::Operand { operand: input.operand, access: input.access, width: input.width };
        Ok(self.source(source, InputSpec::new(access, input.width)))
    }

    fn source(&mut self, source: Source, spec: InputSpec) -> usize {
        if let Some(at) = self.inputs.iter().position(|have| *have == source) {
            return at;
        }
        self.inputs.push(source);
        self.specs.push(spec);
        self.inputs.len() - 1
    }

    fn access(&self, access: Access) -> Result<k::Access, String> {
        match (self.ground, access) {
            (_, Access::Global) => Ok(k::Access::Global),
            (Ground::Rows, Access::Row | Access::Edge) => Ok(k::Access::Row),
            (Ground::Edges, Access::Src) => Ok(k::Access::Src),
            (Ground::Edges, Access::Dst) => Ok(k::Access::Dst),
            (Ground::Edges, Access::Edge) => Ok(k::Access::Edge),
            (ground, access) => Err(format!("access {access:?} over {ground:?}")),
        }
    }

    fn unary(&mut self, op: UnaryOp, x: usize, width: usize) -> usize {
        use k::UnaryOp as U;
        let op = match op {
            UnaryOp::Neg => U::Neg,
            UnaryOp::Exp => U::Exp,
            UnaryOp::Log => U::Log,
            UnaryOp::Sqrt => U::Sqrt,
            UnaryOp::Rsqrt => U::Rsqrt,
            UnaryOp::Recip => U::Recip,
            UnaryOp::Square => U::Square,
            UnaryOp::Abs => U::Abs,
            UnaryOp::Sign => U::Sign,
            UnaryOp::Sin => U::Sin,
            UnaryOp::Cos => U::Cos,
            UnaryOp::Tanh => U::Tanh,
            UnaryOp::Sigmoid => U::Sigmoid,
            UnaryOp::Softplus => U::Softplus,
            UnaryOp::Relu => U::Relu,
            UnaryOp::Step => U::ReluGrad,
            UnaryOp::LeakyRelu(slope) => U::LeakyRelu(slope),
            UnaryOp::LeakyReluGrad(slope) => U::LeakyReluGrad(slope),
            UnaryOp::Elu => U::Elu(1.0),
            UnaryOp::EluGrad => U::EluGrad(1.0),
            UnaryOp::Gelu => return self.gelu(x, width),
            UnaryOp::GeluGrad => return self.gelu_grad(x, width),
        };
        self.emit(k::Instr::Unary(op, x))
    }

    /// x/2 (1 + t), t = tanh(c (x + a x³)), c = √(2/π), a = 0.044715.
    fn gelu(&mut self, x: usize, width: usize) -> usize {
        let t = self.gelu_tanh(x, width);
        let half = self.with_constant(k::BinaryOp::Mul, x, 0.5, width);
        let up = self.with_constant(k::BinaryOp::Add, t, 1.0, width);
        self.pair(k::BinaryOp::Mul, half, up, width)
    }

    /// (1 + t)/2 + x/2 (1 - t²) c (1 + 3 a x²).
    fn gelu_grad(&mut self, x: usize, width: usize) -> usize {
        let t = self.gelu_tanh(x, width);
        let up = self.with_constant(k::BinaryOp::Add, t, 1.0, width);
        let first = self.with_constant(k::BinaryOp::Mul, up, 0.5, width);
        let square = self.emit(k::Instr::Unary(k::UnaryOp::Square, t));
        let negative = self.emit(k::Instr::Unary(k::UnaryOp::Neg, square));
        let slope = self.with_constant(k::BinaryOp::Add, negative, 1.0, width);
        let inner = self.gelu_poly(x, 3.0 * GELU_CUBE, width);
        let chain = self.pair(k::BinaryOp::Mul, slope, inner, width);
        let half = self.with_constant(k::BinaryOp::Mul, x, 0.5, width);
        let second = self.pair(k::BinaryOp::Mul, half, chain, width);
        self.pair(k::BinaryOp::Add, first, second, width)
    }

    fn gelu_tanh(&mut self, x: usize, width: usize) -> usize {
        let poly = self.gelu_poly(x, GELU_CUBE, width);
        let inner = self.pair(k::BinaryOp::Mul, poly, x, width);
        self.emit(k::Instr::Unary(k::UnaryOp::Tanh, inner))
    }

    /// c (1 + a x²).
    fn gelu_poly(&mut self, x: usize, a: f32, width: usize) -> usize {
        let square = self.emit(k::Instr::Unary(k::UnaryOp::Square, x));
        let scaled = self.with_constant(k::BinaryOp::Mul, square, GELU_SCALE * a, width);
        self.with_constant(k::BinaryOp::Add, scaled, GELU_SCALE, width)
    }

    fn with_constant(&mut self, op: k::BinaryOp, x: usize, value: f32, width: usize) -> usize {
        let constant = self.emit(k::Instr::Const(value));
        self.emit(k::Instr::Binary { op, a: Arg::full(x), b: Arg::scalar(constant), width })
    }

    fn pair(&mut self, op: k::BinaryOp, a: usize, b: usize, width: usize) -> usize {
        self.emit(k::Instr::Binary { op, a: Arg::full(a), b: Arg::full(b), width })
    }
}

const GELU_SCALE: f32 = 0.797_884_6;
const GELU_CUBE: f32 = 0.044_715;

fn binary_op(op: BinaryOp) -> k::BinaryOp {
    match op {
        BinaryOp::Add => k::BinaryOp::Add,
        BinaryOp::Sub => k::BinaryOp::Sub,
        BinaryOp::Mul => k::BinaryOp::Mul,
        BinaryOp::Div => k::BinaryOp::Div,
        BinaryOp::Max => k::BinaryOp::Max,
        BinaryOp::Min => k::BinaryOp::Min,
        BinaryOp::Eq => k::BinaryOp::Eq,
        BinaryOp::Gt => k::BinaryOp::Gt,
        BinaryOp::Ge => k::BinaryOp::Ge,
    }
}
