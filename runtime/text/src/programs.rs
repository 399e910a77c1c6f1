//! What is done row by row, as programs of the kernels: sums through layer normalisation, and activations.

use gsl_kernels::{Arg, BinaryOp, InputSpec, Instr, Reg, RowProgram, UnaryOp};

use crate::config::Activation;

/// A program under construction.
#[derive(Default)]
struct Draft {
    inputs: Vec<InputSpec>,
    instrs: Vec<Instr>,
}

impl Draft {
    fn push(&mut self, instr: Instr) -> Reg {
        self.instrs.push(instr);
        self.instrs.len() - 1
    }

    fn load(&mut self, input: InputSpec) -> Reg {
        self.inputs.push(input);
        self.push(Instr::Load(self.inputs.len() - 1))
    }

    fn unary(&mut self, op: UnaryOp, x: Reg) -> Reg {
        self.push(Instr::Unary(op, x))
    }

    fn binary(&mut self, op: BinaryOp, a: Arg, b: Arg, width: usize) -> Reg {
        self.push(Instr::Binary { op, a, b, width })
    }

    fn both(&mut self, op: BinaryOp, a: Reg, b: Reg, width: usize) -> Reg {
        self.binary(op, Arg::full(a), Arg::full(b), width)
    }

    fn with(&mut self, op: BinaryOp, a: Reg, constant: f32, width: usize) -> Reg {
        let constant = self.push(Instr::Const(constant));
        self.binary(op, Arg::full(a), Arg::scalar(constant), width)
    }

    fn mean(&mut self, x: Reg, width: usize) -> Reg {
        let sum = self.push(Instr::SumInner { x, inner: width });
        self.with(BinaryOp::Mul, sum, 1.0 / width as f32, 1)
    }

    fn finish(self) -> RowProgram {
        RowProgram::new(self.inputs, self.instrs).expect("the program is well formed")
    }
}

/// `(s - mean s) / sqrt(var s + ε) * scale + shift` with `s` the sum of the first `parts` inputs; the last two inputs are scale
/// and shift. Ba et al. 2016, eq. 3 and 4; the variance is that of the population.
pub fn layer_norm(parts: usize, width: usize, epsilon: f32) -> RowProgram {
    let mut draft = Draft::default();
    let loaded: Vec<Reg> = (0..parts).map(|_| draft.load(InputSpec::row(width))).collect();
    let sum = loaded.into_iter().reduce(|a, b| draft.both(BinaryOp::Add, a, b, width)).unwrap_or(0);
    let scale = draft.load(InputSpec::global(width));
    let shift = draft.load(InputSpec::global(width));
    let mean = draft.mean(sum, width);
    let centred = draft.binary(BinaryOp::Sub, Arg::full(sum), Arg::scalar(mean), width);
    let square = draft.unary(UnaryOp::Square, centred);
    let variance = draft.mean(square, width);
    let raised = draft.with(BinaryOp::Add, variance, epsilon, 1);
    let inverse = draft.unary(UnaryOp::Rsqrt, raised);
    let unit = draft.binary(BinaryOp::Mul, Arg::full(centred), Arg::scalar(inverse), width);
    let scaled = draft.both(BinaryOp::Mul, unit, scale, width);
    draft.both(BinaryOp::Add, scaled, shift, width);
    draft.finish()
}

/// The activation of every number.
pub fn activation(kind: Activation, width: usize) -> RowProgram {
    let mut draft = Draft::default();
    let x = draft.load(InputSpec::row(width));
    match kind {
        Activation::Gelu => draft.unary(UnaryOp::Gelu, x),
        Activation::Relu => draft.unary(UnaryOp::Relu, x),
        Activation::GeluTanh => gelu_tanh(&mut draft, x, width),
    };
    draft.finish()
}

/// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`. Hendrycks and Gimpel 2016.
fn gelu_tanh(draft: &mut Draft, x: Reg, width: usize) -> Reg {
    let square = draft.unary(UnaryOp::Square, x);
    let bent = draft.with(BinaryOp::Mul, square, 0.044_715, width);
    let bent = draft.with(BinaryOp::Add, bent, 1.0, width);
    let bent = draft.both(BinaryOp::Mul, bent, x, width);
    let root = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    let scaled = draft.with(BinaryOp::Mul, bent, root, width);
    let tanh = draft.unary(UnaryOp::Tanh, scaled);
    let gate = draft.with(BinaryOp::Add, tanh, 1.0, width);
    let half = draft.with(BinaryOp::Mul, x, 0.5, width);
    draft.both(BinaryOp::Mul, half, gate, width)
}

pub fn tanh(width: usize) -> RowProgram {
    let mut draft = Draft::default();
    let x = draft.load(InputSpec::row(width));
    draft.unary(UnaryOp::Tanh, x);
    draft.finish()
}
