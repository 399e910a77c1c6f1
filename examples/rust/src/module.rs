//! Modules: forward only; the tape of dfdx gives their gradients.

use dfdx::prelude::*;
use gsc::extend::tape::{Operands, Rows};

/// (tanh(x A) ∘ σ(x B + b)) C: a gated unit. van den Oord et al. 2016, eq. 2, and a linear map behind it.
///
/// The equation is `x' = rust("gate", out)(x, A, B, b, C)`: its operands are counted from 0, in this order.
pub fn gate(x: &Operands) -> Rows {
    let value = x.rows(0).matmul(x.matrix(1)).tanh();
    let open = x.rows(0).matmul(x.matrix(2));
    let shape = *open.shape();
    let open = (open + x.vector(3).broadcast_like::<_, Axis<0>>(&shape)).sigmoid();
    (value * open).matmul(x.matrix(4))
}

/// x |x| / (1 + |x|²): short rows nearly vanish, long ones have nearly length 1. Sabour et al. 2017, eq. 1.
pub fn squash(x: &Operands) -> Rows {
    let square = x.rows(0).square().sum::<_, Axis<1>>();
    let scale = (square.with_empty_tape() + 1e-12).sqrt() / (square + 1.0);
    let rows = x.rows(0);
    let shape = *rows.shape();
    rows * scale.broadcast_like::<_, Axis<1>>(&shape)
}
