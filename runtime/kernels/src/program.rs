//! The row program: a small vector instruction set that is evaluated once per row, or once per edge.
//!
//! Decided here: the instructions, how wide every register is, and which programs are well formed.
//! Not decided here: tiles, threads, fusion. Those belong to the backend that runs the program.
//!
//! Registers are in SSA form: instruction `i` defines register `i`. A register is a vector of `width(i)` floats per row;
//! shapes such as `[heads, d]` exist only in the instructions, row-major, as `heads * d` floats.

use crate::floats::Floats;
use crate::random::Key;

/// A register: the position of the instruction that defines it.
pub type Reg = usize;

/// Position of an input in [`RowProgram::inputs`].
pub type InputId = usize;

/// How the row of an input is found when the program runs for row `r`, or for the edge `e = (src -> dst)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The row itself; in a traversal, the row of the adjacency (destination by `ByDst`, source by `BySrc`).
    Row,
    /// The edge's source node. Traversals only.
    Src,
    /// The edge's destination node. Traversals only.
    Dst,
    /// The edge's position in edge order. Traversals only.
    Edge,
    /// One row shared by all.
    Global,
}

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `width` floats per row.
    F32,
    /// One global 64-bit identifier per row; only [`Instr::Dropout`] reads it.
    Id,
}

/// The declaration of an input: what a program knows before it sees data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSpec {
    pub access: Access,
    pub kind: Kind,
    pub width: usize,
}

impl InputSpec {
    pub const fn new(access: Access, width: usize) -> Self {
        InputSpec { access, kind: Kind::F32, width }
    }

    pub const fn row(width: usize) -> Self {
        Self::new(Access::Row, width)
    }

    pub const fn src(width: usize) -> Self {
        Self::new(Access::Src, width)
    }

    pub const fn dst(width: usize) -> Self {
        Self::new(Access::Dst, width)
    }

    pub const fn edge(width: usize) -> Self {
        Self::new(Access::Edge, width)
    }

    pub const fn global(width: usize) -> Self {
        Self::new(Access::Global, width)
    }

    /// One global identifier per row, for dropout.
    pub const fn ids(access: Access) -> Self {
        InputSpec { access, kind: Kind::Id, width: 1 }
    }
}

/// The data of an input, row-major.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    Floats(Floats<'a>),
    Id(&'a [u64]),
}

/// An input bound to data. With `index`, row `r` reads `data[index[r]]` (fused fetch) instead of `data[r]`.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub data: Data<'a>,
    pub index: Option<&'a [u32]>,
}

impl<'a> Input<'a> {
    pub fn new(data: impl Into<Floats<'a>>) -> Self {
        Input { data: Data::Floats(data.into()), index: None }
    }

    pub fn gathered(data: impl Into<Floats<'a>>, index: &'a [u32]) -> Self {
        Input { data: Data::Floats(data.into()), index: Some(index) }
    }

    /// Whether its numbers must be widened before they are computed with.
    pub(crate) fn is_narrow(&self) -> bool {
        matches!(self.data, Data::Floats(floats) if floats.wide().is_none())
    }

    pub fn ids(ids: &'a [u64]) -> Self {
        Input { data: Data::Id(ids), index: None }
    }

    pub fn gathered_ids(ids: &'a [u64], index: &'a [u32]) -> Self {
        Input { data: Data::Id(ids), index: Some(index) }
    }
}

/// How a register is read as a vector of the instruction's `width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// `x[i]`; the register has the full width.
    Full,
    /// `x[0]`; the register has width 1.
    Scalar,
    /// `x[i / inner]`; the register has width `width / inner`: one value per head, say.
    Outer { inner: usize },
    /// `x[i % len]`; the register has width `len`: one vector for all heads, say.
    Inner { len: usize },
}

/// An operand: a register and how it is broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    pub reg: Reg,
    pub broadcast: Broadcast,
}

impl Arg {
    pub const fn full(reg: Reg) -> Self {
        Arg { reg, broadcast: Broadcast::Full }
    }

    pub const fn scalar(reg: Reg) -> Self {
        Arg { reg, broadcast: Broadcast::Scalar }
    }

    pub const fn outer(reg: Reg, inner: usize) -> Self {
        Arg { reg, broadcast: Broadcast::Outer { inner } }
    }

    pub const fn inner(reg: Reg, len: usize) -> Self {
        Arg { reg, broadcast: Broadcast::Inner { len } }
    }
}

/// Pointwise functions of one value. NaN goes in, NaN comes out, except for the steps `ReluGrad` and `Sign`, which give 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryOp {
    Neg,
    Exp,
    Log,
    /// `log(1 + x)`, accurate near 0.
    Log1p,
    Sqrt,
    /// `1 / sqrt(x)`.
    Rsqrt,
    /// `1 / x`.
    Recip,
    Tanh,
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// The derivative of `Relu` as a function of the input: 1 where `x > 0`, else 0.
    ReluGrad,
    /// `x` where `x > 0`, else `slope * x`.
    LeakyRelu(f32),
    /// 1 where `x > 0`, else `slope`.
    LeakyReluGrad(f32),
    /// `x` where `x > 0`, else `alpha * (exp(x) - 1)`.
    Elu(f32),
    /// 1 where `x > 0`, else `alpha * exp(x)`.
    EluGrad(f32),
    /// The exact form, `x * Phi(x)` with the normal distribution function `Phi` (not the tanh approximation).
    Gelu,
    /// `Phi(x) + x * phi(x)`.
    GeluGrad,
    /// `x * sigmoid(x)`.
    Silu,
    /// `s + x * s * (1 - s)` with `s = sigmoid(x)`.
    SiluGrad,
    /// `log(1 + exp(x))`, without overflow. Its derivative is `Sigmoid`.
    Softplus,
    /// `log(sigmoid(x)) = -softplus(-x)`, without overflow. Its derivative is `Sigmoid(-x)`.
    LogSigmoid,
    Abs,
    /// -1, 0 or 1; 0 for NaN.
    Sign,
    Square,
    Sin,
    Cos,
    Floor,
    /// 1 where `x == 0`, else 0.
    IsZero,
}

/// Pointwise functions of two values; comparisons give 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    /// NaN if either is NaN.
    Max,
    /// NaN if either is NaN.
    Min,
    Pow,
    Eq,
    Gt,
    Ge,
    Lt,
}

/// One instruction; it defines the register of its own position.
#[derive(Clone, Debug, PartialEq)]
pub enum Instr {
    /// The row of an input.
    Load(InputId),
    /// A constant of width 1.
    Const(f32),
    Unary(UnaryOp, Reg),
    Binary {
        op: BinaryOp,
        a: Arg,
        b: Arg,
        width: usize,
    },
    /// `cond[i] != 0 ? yes[i] : no[i]`; what is not chosen is not looked at.
    Select {
        cond: Reg,
        yes: Reg,
        no: Reg,
    },
    /// `[outer, inner] -> [outer]`, the sum over `inner`.
    SumInner {
        x: Reg,
        inner: usize,
    },
    /// `[outer, inner] -> [outer]`, the maximum over `inner`; NaN if any is NaN.
    MaxInner {
        x: Reg,
        inner: usize,
    },
    /// `[outer, inner] -> [inner]`, the sum over `outer`.
    SumOuter {
        x: Reg,
        inner: usize,
    },
    /// A copy of the operand, spread to `width`.
    Expand {
        x: Arg,
        width: usize,
    },
    /// `x[start .. start + len]`.
    Slice {
        x: Reg,
        start: usize,
        len: usize,
    },
    Concat(Vec<Reg>),
    /// `[rows, cols] -> [cols, rows]`.
    Transpose {
        x: Reg,
        rows: usize,
        cols: usize,
    },
    /// `x[b, k] @ w[b, k, n] -> [b, n]`; with `transpose_w`, `x[b, n] @ w[b, k, n]^T -> [b, k]`. `w` is an input of width
    /// `batch * k * n`, usually `Global`. For small matrices; big ones belong to [`crate::linear`].
    Matvec {
        x: Reg,
        w: InputId,
        batch: usize,
        k: usize,
        n: usize,
        transpose_w: bool,
    },
    /// Keeps element `c` of the row with identifier `id` iff `key.uniform_at2(id, c) >= p`, scaled by `1 / (1 - p)`.
    Dropout {
        x: Reg,
        p: f32,
        key: Key,
        ids: InputId,
    },
}

/// A validated program.
#[derive(Clone, Debug, PartialEq)]
pub struct RowProgram {
    inputs: Vec<InputSpec>,
    instrs: Vec<Instr>,
    widths: Vec<usize>,
}

impl RowProgram {
    /// Checks every input, register and width.
    ///
    /// # Errors
    /// Names the first instruction that is not well formed, and why.
    pub fn new(inputs: Vec<InputSpec>, instrs: Vec<Instr>) -> Result<Self, String> {
        if let Some(at) = inputs.iter().position(|input| input.width == 0) {
            return Err(format!("input {at} has width 0"));
        }
        let mut program = RowProgram { inputs, instrs: Vec::with_capacity(instrs.len()), widths: Vec::new() };
        for (at, instr) in instrs.into_iter().enumerate() {
            let width =
                program.width_of(&instr).map_err(|why| format!("instruction {at} ({instr:?}): {why}"))?;
            program.instrs.push(normal(instr));
            program.widths.push(width);
        }
        Ok(program)
    }

    pub fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    pub fn instrs(&self) -> &[Instr] {
        &self.instrs
    }

    /// Floats per row of a register.
    pub fn width(&self, reg: Reg) -> usize {
        self.widths[reg]
    }

    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    fn width_of(&self, instr: &Instr) -> Result<usize, String> {
        match instr {
            Instr::Load(input) => Ok(self.input(*input, Kind::F32)?.width),
            Instr::Const(_) => Ok(1),
            Instr::Unary(_, x) => self.reg(*x),
            Instr::Binary { a, b, width, .. } => {
                self.arg(*a, *width)?;
                self.arg(*b, *width)
            }
            Instr::Select { cond, yes, no } => self.same(&[*cond, *yes, *no]),
            Instr::SumInner { x, inner } | Instr::MaxInner { x, inner } => {
                Ok(divide(self.reg(*x)?, *inner, "the row")?)
            }
            Instr::SumOuter { x, inner } => divide(self.reg(*x)?, *inner, "the row").map(|_| *inner),
            Instr::Expand { x, width } => self.arg(*x, *width),
            Instr::Slice { x, start, len } => slice_width(self.reg(*x)?, *start, *len),
            Instr::Concat(parts) => self.concat_width(parts),
            Instr::Transpose { x, rows, cols } => expect("the row", self.reg(*x)?, product(&[*rows, *cols])?),
            Instr::Matvec { x, w, batch, k, n, transpose_w } => {
                self.matvec_width(*x, *w, [*batch, *k, *n], *transpose_w)
            }
            Instr::Dropout { x, p, ids, .. } => self.dropout_width(*x, *p, *ids),
        }
    }

    fn reg(&self, reg: Reg) -> Result<usize, String> {
        let defined = self.widths.len();
        self.widths
            .get(reg)
            .copied()
            .ok_or_else(|| format!("register {reg} is not defined yet ({defined} are)"))
    }

    fn input(&self, input: InputId, kind: Kind) -> Result<&InputSpec, String> {
        let spec = self.inputs.get(input).ok_or_else(|| format!("there is no input {input}"))?;
        if spec.kind == kind {
            Ok(spec)
        } else {
            Err(format!("input {input} holds {:?}, not {kind:?}", spec.kind))
        }
    }

    fn arg(&self, arg: Arg, width: usize) -> Result<usize, String> {
        if width == 0 {
            return Err("the width is 0".into());
        }
        let needs = match arg.broadcast {
            Broadcast::Full => width,
            Broadcast::Scalar => 1,
            Broadcast::Outer { inner } => divide(width, inner, "the width")?,
            Broadcast::Inner { len } => divide(width, len, "the width").map(|_| len)?,
        };
        expect(&format!("register {} read as {:?}", arg.reg, arg.broadcast), self.reg(arg.reg)?, needs)?;
        Ok(width)
    }

    fn same(&self, regs: &[Reg]) -> Result<usize, String> {
        let width = self.reg(regs[0])?;
        for &reg in regs {
            expect(&format!("register {reg}"), self.reg(reg)?, width)?;
        }
        Ok(width)
    }

    fn concat_width(&self, parts: &[Reg]) -> Result<usize, String> {
        let widths: Vec<usize> = parts.iter().map(|&part| self.reg(part)).collect::<Result<_, _>>()?;
        if widths.is_empty() { Err("nothing to concatenate".into()) } else { Ok(widths.iter().sum()) }
    }

    fn matvec_width(
        &self,
        x: Reg,
        w: InputId,
        [batch, k, n]: [usize; 3],
        back: bool,
    ) -> Result<usize, String> {
        expect(&format!("input {w}"), self.input(w, Kind::F32)?.width, product(&[batch, k, n])?)?;
        let (from, to) = if back { (n, k) } else { (k, n) };
        expect(&format!("register {x}"), self.reg(x)?, batch * from)?;
        Ok(batch * to)
    }

    fn dropout_width(&self, x: Reg, p: f32, ids: InputId) -> Result<usize, String> {
        self.input(ids, Kind::Id)?;
        if (0.0..1.0).contains(&p) { self.reg(x) } else { Err(format!("the rate {p} is outside [0, 1)")) }
    }
}

impl Instr {
    /// Calls `f` with every register that the instruction reads.
    pub fn for_each_operand(&self, mut f: impl FnMut(Reg)) {
        match self {
            Instr::Load(_) | Instr::Const(_) => {}
            Instr::Binary { a, b, .. } => [a.reg, b.reg].into_iter().for_each(f),
            Instr::Select { cond, yes, no } => [*cond, *yes, *no].into_iter().for_each(f),
            Instr::Concat(parts) => parts.iter().copied().for_each(f),
            Instr::Expand { x, .. } => f(x.reg),
            Instr::Unary(_, x)
            | Instr::SumInner { x, .. }
            | Instr::MaxInner { x, .. }
            | Instr::SumOuter { x, .. }
            | Instr::Slice { x, .. }
            | Instr::Transpose { x, .. }
            | Instr::Matvec { x, .. }
            | Instr::Dropout { x, .. } => f(*x),
        }
    }

    /// The input that the instruction reads, if any.
    pub fn input(&self) -> Option<InputId> {
        match self {
            Instr::Load(input) | Instr::Matvec { w: input, .. } | Instr::Dropout { ids: input, .. } => {
                Some(*input)
            }
            _ => None,
        }
    }
}

fn divide(width: usize, by: usize, what: &str) -> Result<usize, String> {
    if by > 0 && width.is_multiple_of(by) {
        Ok(width / by)
    } else {
        Err(format!("{what} has {width} floats, which {by} does not divide"))
    }
}

fn expect(what: &str, width: usize, needs: usize) -> Result<usize, String> {
    if width == needs { Ok(width) } else { Err(format!("{what} has {width} floats per row, not {needs}")) }
}

fn product(factors: &[usize]) -> Result<usize, String> {
    let product = factors.iter().try_fold(1usize, |p, &f| p.checked_mul(f)).unwrap_or(0);
    if product == 0 { Err(format!("the shape {factors:?} is empty or too big")) } else { Ok(product) }
}

fn slice_width(width: usize, start: usize, len: usize) -> Result<usize, String> {
    match start.checked_add(len) {
        Some(end) if end <= width && len > 0 => Ok(len),
        _ => Err(format!("{len} floats from {start} do not lie within the row's {width}")),
    }
}

/// One form for operands that can be written in several: `Full` before `Scalar` before the others.
fn normal(instr: Instr) -> Instr {
    match instr {
        Instr::Binary { op, a, b, width } => {
            Instr::Binary { op, a: normal_arg(a, width), b: normal_arg(b, width), width }
        }
        Instr::Expand { x, width } => Instr::Expand { x: normal_arg(x, width), width },
        other => other,
    }
}

fn normal_arg(arg: Arg, width: usize) -> Arg {
    let broadcast = match arg.broadcast {
        _ if width == 1 => Broadcast::Full,
        Broadcast::Outer { inner: 1 } => Broadcast::Full,
        Broadcast::Outer { inner } if inner == width => Broadcast::Scalar,
        Broadcast::Inner { len: 1 } => Broadcast::Scalar,
        Broadcast::Inner { len } if len == width => Broadcast::Full,
        other => other,
    };
    Arg { reg: arg.reg, broadcast }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(inputs: Vec<InputSpec>, instrs: Vec<Instr>) -> String {
        RowProgram::new(inputs, instrs).expect_err("the program is wrong")
    }

    #[test]
    fn widths_follow_the_instructions() {
        let add = Instr::Binary { op: BinaryOp::Add, a: Arg::full(0), b: Arg::outer(1, 4), width: 8 };
        let program = RowProgram::new(
            vec![InputSpec::src(8), InputSpec::dst(2)],
            vec![
                Instr::Load(0),
                Instr::Load(1),
                add,
                Instr::SumInner { x: 2, inner: 2 },
                Instr::Concat(vec![3, 1]),
            ],
        );
        assert_eq!(program.expect("well formed").widths(), [8, 2, 8, 4, 6]);
    }

    #[test]
    fn wrong_programs_are_refused() {
        assert!(error(vec![], vec![Instr::Load(0)]).contains("no input 0"));
        assert!(error(vec![InputSpec::row(0)], vec![]).contains("width 0"));
        assert!(error(vec![], vec![Instr::Unary(UnaryOp::Exp, 0)]).contains("not defined yet"));
        assert!(error(vec![InputSpec::ids(Access::Row)], vec![Instr::Load(0)]).contains("Id"));
        let load = Instr::Load(0);
        let wide = Instr::Binary { op: BinaryOp::Mul, a: Arg::full(0), b: Arg::scalar(0), width: 3 };
        assert!(error(vec![InputSpec::row(3)], vec![load.clone(), wide]).contains("not 1"));
        let odd = Instr::SumInner { x: 0, inner: 2 };
        assert!(error(vec![InputSpec::row(3)], vec![load.clone(), odd]).contains("does not divide"));
        let far = Instr::Slice { x: 0, start: usize::MAX, len: 2 };
        assert!(error(vec![InputSpec::row(3)], vec![load.clone(), far]).contains("do not lie"));
        let matvec = Instr::Matvec { x: 0, w: 0, batch: 1, k: 3, n: 2, transpose_w: false };
        assert!(error(vec![InputSpec::row(3)], vec![load, matvec]).contains("not 6"));
    }
}
