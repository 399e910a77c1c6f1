//! Matrices on a tape that is handed from operation to operation.

use dfdx::prelude::*;
use gsl_plan::external::{Argument, Call, RowFunction};
use std::sync::Arc;

/// rows × width, without a tape; gradients are found by its identity.
pub type Matrix = Tensor<(usize, usize), f32, Cpu>;
type Taped = Tensor<(usize, usize), f32, Cpu, OwnedTape<f32, Cpu>>;

/// A device and the tape of everything done so far.
pub struct Graph {
    pub device: Cpu,
    tape: Option<OwnedTape<f32, Cpu>>,
}

impl Graph {
    pub fn new() -> Self {
        Graph { device: Cpu::default(), tape: Some(OwnedTape::default()) }
    }

    pub fn matrix(&self, data: Vec<f32>, rows: usize, width: usize) -> Matrix {
        self.device.tensor_from_vec(data, (rows, width))
    }

    pub fn constant(&self, rows: usize, width: usize, at: impl Fn(usize, usize) -> f32) -> Matrix {
        let data = (0..rows * width).map(|i| at(i / width.max(1), i % width.max(1))).collect();
        self.matrix(data, rows, width)
    }

    /// Does `f` on the tape.
    fn apply(&mut self, x: &Matrix, f: impl FnOnce(Taped) -> Taped) -> Matrix {
        let tape = self.tape.take().unwrap_or_default();
        let (y, tape) = f(x.clone().put_tape(tape)).split_tape();
        self.tape = Some(tape);
        y
    }

    pub fn unary(&mut self, x: &Matrix, f: impl FnOnce(Taped) -> Taped) -> Matrix {
        self.apply(x, f)
    }

    pub fn add(&mut self, a: &Matrix, b: &Matrix) -> Matrix {
        let b = b.clone();
        self.apply(a, |a| a + b)
    }

    pub fn sub(&mut self, a: &Matrix, b: &Matrix) -> Matrix {
        let b = b.clone();
        self.apply(a, |a| a - b)
    }

    pub fn mul(&mut self, a: &Matrix, b: &Matrix) -> Matrix {
        let b = b.clone();
        self.apply(a, |a| a * b)
    }

    pub fn div(&mut self, a: &Matrix, b: &Matrix) -> Matrix {
        let b = b.clone();
        self.apply(a, |a| a / b)
    }

    pub fn maximum(&mut self, a: &Matrix, b: &Matrix) -> Matrix {
        let b = b.clone();
        self.apply(a, |a| a.maximum(b))
    }

    pub fn minimum(&mut self, a: &Matrix, b: &Matrix) -> Matrix {
        let b = b.clone();
        self.apply(a, |a| a.minimum(b))
    }

    pub fn scale(&mut self, a: &Matrix, by: f32) -> Matrix {
        self.apply(a, |a| a * by)
    }

    pub fn shift(&mut self, a: &Matrix, by: f32) -> Matrix {
        self.apply(a, |a| a + by)
    }

    pub fn matmul(&mut self, a: &Matrix, b: &Matrix) -> Matrix {
        let b = b.clone();
        self.apply(a, |a| a.matmul(b))
    }

    /// m · x with a constant m: movement between rows.
    pub fn rows(&mut self, m: Matrix, x: &Matrix) -> Matrix {
        let x = x.clone();
        self.apply(&m, |m| m.matmul(x))
    }

    pub fn reshape(&mut self, x: &Matrix, rows: usize, width: usize) -> Matrix {
        self.apply(x, |x| x.reshape_like(&(rows, width)))
    }

    /// rows × width → rows × 1.
    pub fn row_max(&mut self, x: &Matrix) -> Matrix {
        let rows = x.shape().0;
        self.apply(x, |x| x.max::<(usize,), Axis<1>>().reshape_like(&(rows, 1)))
    }

    pub fn log_softmax(&mut self, x: &Matrix) -> Matrix {
        self.apply(x, |x| x.log_softmax::<Axis<1>>())
    }

    /// A function from outside with a gradient of its own: rows × the width of `shape`.
    pub fn external(
        &mut self,
        function: Arc<dyn RowFunction>,
        operands: Vec<Given>,
        rows: usize,
        shape: Vec<usize>,
    ) -> Result<Matrix, String> {
        let width: usize = shape.iter().product();
        let mut out = vec![0.0; rows * width];
        with_call(&operands, rows, &shape, |call| function.forward(call, &mut out))?;
        let y = self.matrix(out, rows, width);
        let (of_y, ghosts) =
            (y.ghost(), operands.iter().map(|given| given.matrix.ghost()).collect::<Vec<_>>());
        let tape = self.tape.get_or_insert_with(OwnedTape::default);
        tape.add_backward_op(move |gradients| {
            let g = gradients.get_or_alloc_mut(&of_y)?.to_vec();
            let all: Vec<usize> = (0..operands.len()).collect();
            let found = with_call(&operands, rows, &shape, |call| function.backward(call, &g, &all));
            let found = found.expect("a function that gave a result has a gradient");
            for (ghost, part) in ghosts.iter().zip(found) {
                let sum = gradients.get_or_alloc_mut(ghost)?;
                sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
            Ok(())
        });
        Ok(y)
    }

    /// Gradients of the sum of `x` (one number, for a loss).
    pub fn backward(&mut self, x: &Matrix) -> Gradients<f32, Cpu> {
        let tape = self.tape.take().unwrap_or_default();
        x.clone().put_tape(tape).sum::<Rank0, _>().backward()
    }
}

/// An operand of a function from outside.
pub struct Given {
    pub matrix: Matrix,
    pub shape: Vec<usize>,
    pub shared: bool,
}

fn with_call<T>(operands: &[Given], rows: usize, shape: &[usize], f: impl FnOnce(&Call) -> T) -> T {
    let data: Vec<Vec<f32>> = operands.iter().map(|given| values(&given.matrix)).collect();
    let arguments: Vec<Argument> = operands
        .iter()
        .zip(&data)
        .map(|(given, data)| Argument { data, shape: &given.shape, shared: given.shared })
        .collect();
    f(&Call { rows, arguments: &arguments, shape })
}

/// Values in row-major order.
pub fn values(x: &Matrix) -> Vec<f32> {
    x.as_vec()
}
