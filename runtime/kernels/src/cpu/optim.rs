//! Optimisers and norms over flat parameters.
//!
//! Decided here: the update formulas (those of PyTorch's `Adam`, `AdamW`, `SparseAdam` and `SGD`) and that a step reads and
//! writes each value once: 28 bytes per parameter for Adam.

use super::share::Shared;
use super::simd::multiversion;
use rayon::prelude::*;

const CHUNK: usize = 16_384;

/// What an Adam step needs to know; `step` counts from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    pub step: u64,
    pub lr: f32,
    pub b1: f32,
    pub b2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    /// Decay the parameters themselves (AdamW) rather than through the gradient.
    pub decoupled: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { step: 1, lr: 1e-3, b1: 0.9, b2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

/// The constants of one step: `p -= rate * m / (sqrt(v) * root + eps)`.
#[derive(Clone, Copy)]
struct Step {
    hyper: Adam,
    rate: f32,
    root: f32,
}

impl Adam {
    fn constants(self) -> Step {
        let power = |b: f32| 1.0 - f64::from(b).powf(self.step.max(1) as f64);
        let rate = f64::from(self.lr) / power(self.b1);
        Step { hyper: self, rate: rate as f32, root: (1.0 / power(self.b2).sqrt()) as f32 }
    }
}

/// One Adam step (Kingma and Ba, 2015; decoupled decay: Loshchilov and Hutter, 2019):
/// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `p -= lr * mhat / (sqrt(vhat) + eps)`.
pub fn adam(hyper: Adam, params: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32]) {
    let n = params.len();
    assert!(
        m.len() == n && v.len() == n && grad.len() == n,
        "parameters, moments and gradient differ in length"
    );
    let step = hyper.constants();
    params
        .par_chunks_mut(CHUNK)
        .zip(m.par_chunks_mut(CHUNK))
        .zip(v.par_chunks_mut(CHUNK))
        .zip(grad.par_chunks(CHUNK))
        .for_each(|(((p, m), v), g)| adam_chunk(step, p, m, v, g));
}

/// Adam for the touched rows of a table: moments of other rows stay, and the bias correction uses the global `step`
/// (PyTorch's `SparseAdam`; no weight decay there). `grads` holds one row of `width` per entry of `rows`.
///
/// `rows` must be distinct and ascending, as [`crate::group_rows`] gives them.
pub fn sparse_adam_rows(
    hyper: Adam,
    table: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    width: usize,
    rows: &[u32],
    grads: &[f32],
) {
    assert!(
        m.len() == table.len() && v.len() == table.len(),
        "the moments have another shape than the table"
    );
    assert_eq!(grads.len(), rows.len() * width, "one gradient row per touched row");
    assert!(rows.is_sorted_by(|a, b| a < b), "the touched rows are not distinct and ascending");
    let step = hyper.constants();
    let (table, m, v) = (Shared::new(table), Shared::new(m), Shared::new(v));
    rows.par_iter().zip(grads.par_chunks(width.max(1))).with_min_len(64).for_each(|(&row, grad)| {
        let start = row as usize * width;
        // SAFETY: the rows are distinct.
        let (p, m, v) = unsafe { (table.part(start, width), m.part(start, width), v.part(start, width)) };
        adam_chunk(step, p, m, v, grad);
    });
}

/// `momentum = mu * momentum + (g + decay * p)`, `p -= lr * momentum`; without a buffer, `mu` is 0.
pub fn sgd(
    params: &mut [f32],
    momentum: Option<(&mut [f32], f32)>,
    grad: &[f32],
    lr: f32,
    weight_decay: f32,
) {
    assert_eq!(params.len(), grad.len(), "parameters and gradient differ in length");
    let chunks = params.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
    let Some((buffer, mu)) = momentum else {
        chunks.for_each(|(p, g)| sgd_chunk(p, g, lr, weight_decay));
        return;
    };
    assert_eq!(buffer.len(), grad.len(), "momentum and gradient differ in length");
    chunks
        .zip(buffer.par_chunks_mut(CHUNK))
        .for_each(|((p, g), buffer)| momentum_chunk(p, buffer, g, mu, lr, weight_decay));
}

/// The Euclidean norm, summed in double precision.
pub fn norm(x: &[f32]) -> f64 {
    let squares: Vec<f64> = x.par_chunks(CHUNK).map(squares_chunk).collect();
    squares.iter().sum::<f64>().sqrt()
}

/// `x *= factor`.
pub fn scale(x: &mut [f32], factor: f32) {
    x.par_chunks_mut(CHUNK).for_each(|x| x.iter_mut().for_each(|x| *x *= factor));
}

/// `y += a * x`.
pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "the vectors differ in length");
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| axpy_chunk(a, x, y));
}

multiversion! {
    fn adam_chunk(step: Step, params: &mut [f32], m: &mut [f32], v: &mut [f32], grad: &[f32]) {
        let Adam { b1, b2, eps, lr, weight_decay, decoupled, .. } = step.hyper;
        let (keep, decay) = if decoupled { (1.0 - lr * weight_decay, 0.0) } else { (1.0, weight_decay) };
        for (((p, m), v), &g) in params.iter_mut().zip(m).zip(v).zip(grad) {
            let g = decay.mul_add(*p, g);
            *m = b1.mul_add(*m, (1.0 - b1) * g);
            *v = b2.mul_add(*v, (1.0 - b2) * g * g);
            *p = *p * keep - step.rate * *m / (v.sqrt() * step.root + eps);
        }
    }
}

multiversion! {
    fn sgd_chunk(params: &mut [f32], grad: &[f32], lr: f32, decay: f32) {
        for (p, &g) in params.iter_mut().zip(grad) {
            *p -= lr * decay.mul_add(*p, g);
        }
    }
}

multiversion! {
    fn momentum_chunk(params: &mut [f32], buffer: &mut [f32], grad: &[f32], mu: f32, lr: f32, decay: f32) {
        for ((p, buffer), &g) in params.iter_mut().zip(buffer).zip(grad) {
            *buffer = mu.mul_add(*buffer, decay.mul_add(*p, g));
            *p -= lr * *buffer;
        }
    }
}

multiversion! {
    fn axpy_chunk(a: f32, x: &[f32], y: &mut [f32]) {
        super::simd::axpy(a, x, y);
    }
}

multiversion! {
    fn squares_chunk(x: &[f32]) -> f64 {
        let mut lanes = [0f64; 16];
        for block in x.chunks(16) {
            for (lane, &x) in lanes.iter_mut().zip(block) {
                *lane = f64::from(x).mul_add(f64::from(x), *lane);
            }
        }
        lanes.iter().sum()
    }
}
