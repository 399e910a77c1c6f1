//! Modules and losses as forward functions on dfdx tensors: its tape gives their gradients.
//!
//! Decided here: how operands become tensors, and that each of them is followed. A function is called with a fixed number of rows at a
//! time, on any thread; its rows must not look at one another, and equal operands must give equal results. Anything else that
//! holds for dfdx holds here: shapes that do not fit panic, which ends the run with a message.

use super::{Extension, Extensions};
use dfdx::prelude::*;
use gsl_plan::external::{Argument, Call, RowFunction};
use std::cell::RefCell;
use std::sync::Arc;

/// What gathers the derivative.
pub type Tape = OwnedTape<f32, Cpu>;
/// A tensor that is followed: `S` is `(usize,)`, `(usize, usize)` or `(usize, usize, usize)`.
pub type Taped<S> = Tensor<S, f32, Cpu, Tape>;
/// rows × width.
pub type Rows = Taped<(usize, usize)>;

/// A module: its result from the operands of its equation.
pub trait Module: Send + Sync {
    /// rows × the width that the equation says; a row of several dimensions is cut row-major.
    fn forward(&self, x: &Operands) -> Rows;
}

impl<F: Fn(&Operands) -> Rows + Send + Sync> Module for F {
    fn forward(&self, x: &Operands) -> Rows {
        self(x)
    }
}

/// A loss of a label.
pub trait Loss: Send + Sync {
    /// rows × 1, the loss of each row; of a label of several classes, or of a feature that is reconstructed, one for each number of a
    /// row. Weights, rows without a label and the mean over the batch come afterwards. `scores` are rows × classes, rows ×
    /// 1 of a number, rows × width of a feature.
    fn loss(&self, scores: Rows, target: &Target) -> Rows;
}

impl<F: Fn(Rows, &Target) -> Rows + Send + Sync> Loss for F {
    fn loss(&self, scores: Rows, target: &Target) -> Rows {
        self(scores, target)
    }
}

/// A loss of links.
pub trait LinkLoss: Send + Sync {
    /// rows × 1: the loss of a link with one of its negatives, from the scores of both, rows × 1 each. The mean over its negatives
    /// is the loss of the link.
    fn loss(&self, link: Rows, negative: Rows) -> Rows;
}

impl<F: Fn(Rows, Rows) -> Rows + Send + Sync> LinkLoss for F {
    fn loss(&self, link: Rows, negative: Rows) -> Rows {
        self(link, negative)
    }
}

impl Extensions {
    /// A module: `x' = rust("name", width)(x, W)`. Panics as [`Extensions::register`] does.
    pub fn module(self, name: &str, module: impl Module + 'static) -> Self {
        self.register(name, Extension::Module(Arc::new(OnTape(move |x: &Operands| module.forward(x)))))
    }

    /// A loss of labels: `loss = rust("name")`. Panics as [`Extensions::register`] does.
    pub fn loss(self, name: &str, loss: impl Loss + 'static) -> Self {
        let run = move |x: &Operands| loss.loss(x.rows(0), &Target::of(x));
        self.register(name, Extension::Loss(Arc::new(OnTape(run))))
    }

    /// A loss of links: `loss = rust("name")`. Panics as [`Extensions::register`] does.
    pub fn link_loss(self, name: &str, loss: impl LinkLoss + 'static) -> Self {
        let run = move |x: &Operands| loss.loss(x.rows(0), x.rows(1));
        self.register(name, Extension::LinkLoss(Arc::new(OnTape(run))))
    }
}

/// The operands of a call, in the order of the equation. Each time one is asked for it is a tensor of its own, and the gradients of
/// all of them add up.
pub struct Operands<'a> {
    call: &'a Call<'a>,
    device: Cpu,
    leaves: RefCell<Vec<(usize, Leaf)>>,
}

enum Leaf {
    One(Tensor<(usize,), f32, Cpu>),
    Two(Tensor<(usize, usize), f32, Cpu>),
    Three(Tensor<(usize, usize, usize), f32, Cpu>),
}

impl<'a> Operands<'a> {
    fn new(call: &'a Call<'a>) -> Self {
        Operands { call, device: Cpu::default(), leaves: RefCell::default() }
    }

    /// How many operands there are.
    pub fn len(&self) -> usize {
        self.call.arguments.len()
    }

    pub fn is_empty(&self) -> bool {
        self.call.arguments.is_empty()
    }

    /// How many rows this call is about.
    pub fn row_count(&self) -> usize {
        self.call.rows
    }

    /// The shape of a row of the result, as the equation says.
    pub fn out(&self) -> &[usize] {
        self.call.shape
    }

    /// The shape of operand `i`: of one row, or of a weight.
    pub fn shape(&self, i: usize) -> &[usize] {
        self.argument(i).shape
    }

    /// For constants: `x.device().tensor_from_vec(…)`.
    pub fn device(&self) -> &Cpu {
        &self.device
    }

    /// Operand `i`, which has rows: rows × width.
    pub fn rows(&self, i: usize) -> Rows {
        let argument = self.argument(i);
        assert!(!argument.shared, "operand {i} is a weight, without rows");
        self.two(i, (self.call.rows, argument.width()))
    }

    /// Operand `i`, whose rows have two dimensions: rows × the first × the second.
    pub fn blocks(&self, i: usize) -> Taped<(usize, usize, usize)> {
        let argument = self.argument(i);
        assert!(!argument.shared, "operand {i} is a weight, without rows");
        let [a, b] = argument.shape else {
            panic!("a row of operand {i} has the shape {:?}", argument.shape)
        };
        self.three(i, (self.call.rows, *a, *b))
    }

    /// Operand `i`, a weight of two dimensions.
    pub fn matrix(&self, i: usize) -> Rows {
        let [a, b] = self.weight(i).shape else { panic!("operand {i} has the shape {:?}", self.shape(i)) };
        self.two(i, (*a, *b))
    }

    /// Operand `i`, a weight, as one row of numbers.
    pub fn vector(&self, i: usize) -> Taped<(usize,)> {
        let weight = self.weight(i);
        let tensor = self.device.tensor_from_vec(weight.data.to_vec(), (weight.width(),));
        self.leaves.borrow_mut().push((i, Leaf::One(tensor.clone())));
        tensor.put_tape(Tape::default())
    }

    /// Operand `i`, a weight of three dimensions.
    pub fn cube(&self, i: usize) -> Taped<(usize, usize, usize)> {
        let [a, b, c] = self.weight(i).shape else { panic!("operand {i} has the shape {:?}", self.shape(i)) };
        self.three(i, (*a, *b, *c))
    }

    fn argument(&self, i: usize) -> &Argument<'a> {
        let all = self.call.arguments;
        all.get(i).unwrap_or_else(|| panic!("operand {i} of {}: they count from 0", all.len()))
    }

    fn weight(&self, i: usize) -> &Argument<'a> {
        let argument = self.argument(i);
        assert!(argument.shared, "operand {i} has rows, and a weight is wanted");
        argument
    }

    fn two(&self, i: usize, shape: (usize, usize)) -> Rows {
        let tensor = self.device.tensor_from_vec(self.argument(i).data.to_vec(), shape);
        self.leaves.borrow_mut().push((i, Leaf::Two(tensor.clone())));
        tensor.put_tape(Tape::default())
    }

    fn three(&self, i: usize, shape: (usize, usize, usize)) -> Taped<(usize, usize, usize)> {
        let tensor = self.device.tensor_from_vec(self.argument(i).data.to_vec(), shape);
        self.leaves.borrow_mut().push((i, Leaf::Three(tensor.clone())));
        tensor.put_tape(Tape::default())
    }
}

/// What a row's scores should say.
pub struct Target<'a> {
    operands: &'a Operands<'a>,
}

impl<'a> Target<'a> {
    fn of(operands: &'a Operands<'a>) -> Self {
        Target { operands }
    }

    /// rows × 1: the class by its index, −1 without one, or the standardised number; of several classes rows × classes, a 0
    /// or 1 for each; of a feature rows × width.
    pub fn values(&self) -> Tensor<(usize, usize), f32, Cpu> {
        let target = self.operands.argument(1);
        self.constant(target.data.to_vec(), target.width())
    }

    /// rows × classes: 1 for the row's class, all zeros without one; of several classes as they are.
    pub fn one_hot(&self) -> Tensor<(usize, usize), f32, Cpu> {
        let (target, classes) = (self.operands.argument(1), self.operands.argument(0).width());
        if !target.shape.is_empty() {
            return self.values();
        }
        let mut rows = vec![0.0; target.data.len() * classes];
        for (row, class) in rows.chunks_exact_mut(classes.max(1)).zip(target.data) {
            if *class >= 0.0
                && let Some(at) = row.get_mut(*class as usize)
            {
                *at = 1.0;
            }
        }
        self.constant(rows, classes)
    }

    /// For constants.
    pub fn device(&self) -> &Cpu {
        &self.operands.device
    }

    fn constant(&self, data: Vec<f32>, width: usize) -> Tensor<(usize, usize), f32, Cpu> {
        self.operands.device.tensor_from_vec(data, (self.operands.call.rows, width))
    }
}

/// A function on the tape as a function of rows.
struct OnTape<F>(F);

impl<F: Fn(&Operands) -> Rows> OnTape<F> {
    fn run(&self, x: &Operands) -> Result<Rows, String> {
        let y = (self.0)(x);
        let (found, wanted) = (*y.shape(), (x.call.rows, x.call.width()));
        match found == wanted {
            true => Ok(y),
            false => Err(format!(
                "it gives {} rows of {}, and {} rows of {} are wanted",
                found.0, found.1, wanted.0, wanted.1
            )),
        }
    }
}

impl<F: Fn(&Operands) -> Rows + Send + Sync> RowFunction for OnTape<F> {
    fn forward(&self, call: &Call, out: &mut [f32]) -> Result<(), String> {
        let (y, _) = self.run(&Operands::new(call))?.split_tape();
        out.copy_from_slice(&y.as_vec());
        Ok(())
    }

    /// The gradient of Σ y g, with g a constant.
    fn backward(&self, call: &Call, gradient: &[f32], of: &[usize]) -> Result<Vec<Vec<f32>>, String> {
        let x = Operands::new(call);
        let y = self.run(&x)?;
        let g = x.device.tensor_from_vec(gradient.to_vec(), (call.rows, call.width()));
        let mut gradients = (y * g).sum::<Rank0, _>().backward();
        let mut sums: Vec<Vec<f32>> = of.iter().map(|at| vec![0.0; call.arguments[*at].data.len()]).collect();
        for (operand, leaf) in x.leaves.borrow().iter() {
            let Some(at) = of.iter().position(|at| at == operand) else { continue };
            let found = match leaf {
                Leaf::One(leaf) => gradients.get_or_alloc_mut(leaf),
                Leaf::Two(leaf) => gradients.get_or_alloc_mut(leaf),
                Leaf::Three(leaf) => gradients.get_or_alloc_mut(leaf),
            };
            let found = found.map_err(|e| format!("{e:?}"))?;
            sums[at].iter_mut().zip(found.iter()).for_each(|(sum, g)| *sum += g);
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tanh(x A + b) ∘ x, which names x twice.
    fn gated(x: &Operands) -> Rows {
        let y = x.rows(0).matmul(x.matrix(1));
        let shape = *y.shape();
        (y + x.vector(2).broadcast_like::<_, Axis<0>>(&shape)).tanh() * x.rows(0)
    }

    fn with_call<T>(data: &[Vec<f32>; 3], f: impl FnOnce(&Call) -> T) -> T {
        let arguments = [
            Argument { data: &data[0], shape: &[2], shared: false },
            Argument { data: &data[1], shape: &[2, 2], shared: true },
            Argument { data: &data[2], shape: &[2], shared: true },
        ];
        f(&Call { rows: 3, arguments: &arguments, shape: &[2] })
    }

    #[test]
    fn the_tape_gives_slopes() {
        let data = [vec![0.3, -0.2, 0.8, 0.1, -0.6, 0.4], vec![0.5, -0.1, 0.2, 0.7], vec![0.1, -0.3]];
        let g = [1.0, -2.0, 0.5, 1.5, -1.0, 0.25];
        let function = OnTape(gated);
        let sum = |data: &[Vec<f32>; 3]| -> f64 {
            let mut out = vec![0.0; 6];
            with_call(data, |call| function.forward(call, &mut out)).expect("a result");
            out.iter().zip(&g).map(|(y, g)| f64::from(y * g)).sum()
        };
        let found = with_call(&data, |call| function.backward(call, &g, &[0, 1, 2])).expect("gradients");
        for (operand, gradient) in found.iter().enumerate() {
            for (at, slope) in gradient.iter().enumerate() {
                let moved = |by: f32| {
                    let mut data = data.clone();
                    data[operand][at] += by;
                    sum(&data)
                };
                let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (difference - f64::from(*slope)).abs() < 2e-3,
                    "{operand} {at}: {difference} {slope}"
                );
            }
        }
    }

    #[test]
    fn another_width_is_an_error() {
        let data = [vec![0.0; 6], vec![0.0; 4], vec![0.0; 2]];
        let narrow = OnTape(|x: &Operands| x.rows(0).matmul(x.matrix(1)).slice((0.., ..1)));
        let message = with_call(&data, |call| narrow.forward(call, &mut [0.0; 6])).expect_err("one number");
        assert_eq!(message, "it gives 3 rows of 1, and 3 rows of 2 are wanted");
    }

    #[test]
    fn targets_are_ones_and_zeros() {
        let scores = [0.0; 9];
        let arguments = [
            Argument { data: &scores, shape: &[3], shared: false },
            Argument { data: &[2.0, -1.0, 0.0], shape: &[], shared: false },
        ];
        let call = Call { rows: 3, arguments: &arguments, shape: &[] };
        let operands = Operands::new(&call);
        let target = Target::of(&operands);
        assert_eq!(target.one_hot().as_vec(), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(target.values().as_vec(), [2.0, -1.0, 0.0]);
    }
}
