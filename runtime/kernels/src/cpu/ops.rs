//! The instructions over a tile of rows.
//!
//! Decided here: the inner loops. Operands are views; results are flat tiles of `width` floats per row. All functions of
//! this file have one contract: every view has a row of its width for each of the `n` rows of the tile, and `out` has room
//! for `n` rows of the result's width and overlaps no operand.

use super::math;
use super::simd::{self, multiversion};
use super::view::View;
use crate::program::{BinaryOp, Broadcast, UnaryOp};
use crate::random::Key;

/// A view and how its rows are spread to the width of the result.
#[derive(Clone, Copy)]
pub struct Operand {
    pub view: View,
    pub broadcast: Broadcast,
}

impl Operand {
    pub fn full(view: View) -> Self {
        Operand { view, broadcast: Broadcast::Full }
    }

    fn is_flat(&self, width: usize) -> bool {
        self.broadcast == Broadcast::Full && self.view.is_flat(width)
    }

    /// Where the value for column `col` lies in a row.
    #[inline(always)]
    fn at(&self, col: usize) -> usize {
        match self.broadcast {
            Broadcast::Full => col,
            Broadcast::Scalar => 0,
            Broadcast::Outer { inner } => col / inner,
            Broadcast::Inner { len } => col % len,
        }
    }

    /// The longest piece of a row in which the operand is constant or contiguous.
    fn piece(&self, width: usize) -> usize {
        match self.broadcast {
            Broadcast::Full | Broadcast::Scalar => width,
            Broadcast::Outer { inner } => inner,
            Broadcast::Inner { len } => len,
        }
    }

    fn constant(&self) -> bool {
        matches!(self.broadcast, Broadcast::Scalar | Broadcast::Outer { .. })
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A flat tile counts as one long row.
#[inline(always)]
fn long_rows(flat: bool, width: usize, n: usize) -> (usize, usize) {
    if flat { (1, n * width) } else { (n, width) }
}

#[inline(always)]
fn target<'a>(out: *mut f32, at: usize, len: usize) -> &'a mut [f32] {
    // SAFETY: the contract of this file.
    unsafe { std::slice::from_raw_parts_mut(out.add(at), len) }
}

#[inline(always)]
fn rows<'a>(view: &View, t: usize, width: usize) -> &'a [f32] {
    // SAFETY: the contract of this file.
    unsafe {
        view.ahead(t, 0, width);
        view.slice(t, width)
    }
}

/// Columns `from .. from + len` of row `t`; the same of a later row are asked for, a few cache lines at a time.
#[inline(always)]
pub fn piece<'a>(view: &View, t: usize, from: usize, len: usize) -> &'a [f32] {
    // SAFETY: the contract of this file.
    unsafe {
        view.ahead(t, from, len);
        std::slice::from_raw_parts(view.row(t).add(from), len)
    }
}

#[inline(always)]
fn each(x: View, out: *mut f32, width: usize, n: usize, f: impl Fn(f32) -> f32) {
    let (count, len) = long_rows(x.is_flat(width), width, n);
    for t in 0..count {
        for (out, &x) in target(out, t * len, len).iter_mut().zip(rows(&x, t, len)) {
            *out = f(x);
        }
    }
}

multiversion! {
    /// `out = op(x)`.
    pub fn unary(op: UnaryOp, x: View, out: *mut f32, width: usize, n: usize) {
        match op {
            UnaryOp::Neg => each(x, out, width, n, |x| -x),
            UnaryOp::Exp => each(x, out, width, n, math::exp),
            UnaryOp::Log => each(x, out, width, n, math::log),
            UnaryOp::Log1p => each(x, out, width, n, math::log1p),
            UnaryOp::Sqrt => each(x, out, width, n, f32::sqrt),
            UnaryOp::Rsqrt => each(x, out, width, n, |x| 1.0 / x.sqrt()),
            UnaryOp::Recip => each(x, out, width, n, |x| 1.0 / x),
            UnaryOp::Tanh => each(x, out, width, n, math::tanh),
            UnaryOp::Sigmoid => each(x, out, width, n, math::sigmoid),
            UnaryOp::Relu => each(x, out, width, n, math::relu),
            UnaryOp::ReluGrad => each(x, out, width, n, |x| if x > 0.0 { 1.0 } else { 0.0 }),
            UnaryOp::LeakyRelu(slope) => each(x, out, width, n, |x| if x > 0.0 { x } else { slope * x }),
            UnaryOp::LeakyReluGrad(slope) => each(x, out, width, n, |x| if x > 0.0 { 1.0 } else { slope }),
            UnaryOp::Elu(alpha) => each(x, out, width, n, |x| math::elu(x, alpha)),
            UnaryOp::EluGrad(alpha) => each(x, out, width, n, |x| if x > 0.0 { 1.0 } else { alpha * math::exp(x) }),
            UnaryOp::Gelu => each(x, out, width, n, math::gelu),
            UnaryOp::GeluGrad => each(x, out, width, n, math::gelu_grad),
            UnaryOp::Silu => each(x, out, width, n, math::silu),
            UnaryOp::SiluGrad => each(x, out, width, n, math::silu_grad),
            UnaryOp::Softplus => each(x, out, width, n, math::softplus),
            UnaryOp::LogSigmoid => each(x, out, width, n, |x| -math::softplus(-x)),
            UnaryOp::Abs => each(x, out, width, n, f32::abs),
            UnaryOp::Sign => each(x, out, width, n, math::sign),
            UnaryOp::Square => each(x, out, width, n, |x| x * x),
            UnaryOp::Sin => each(x, out, width, n, math::sin),
            UnaryOp::Cos => each(x, out, width, n, math::cos),
            UnaryOp::Floor => each(x, out, width, n, f32::floor),
            UnaryOp::IsZero => each(x, out, width, n, |x| if x == 0.0 { 1.0 } else { 0.0 }),
        }
    }
}

#[inline(always)]
fn pair(a: Operand, b: Operand, out: *mut f32, width: usize, n: usize, f: impl Fn(f32, f32) -> f32) {
    if a.is_flat(width) && b.is_flat(width) {
        let len = n * width;
        let operands = rows(&a.view, 0, len).iter().zip(rows(&b.view, 0, len));
        for (out, (&a, &b)) in target(out, 0, len).iter_mut().zip(operands) {
            *out = f(a, b);
        }
        return;
    }
    let piece = gcd(a.piece(width), b.piece(width));
    let (a_len, b_len) = (a.at(width - 1) + 1, b.at(width - 1) + 1);
    let a_len = if let Broadcast::Inner { len } = a.broadcast { len } else { a_len };
    let b_len = if let Broadcast::Inner { len } = b.broadcast { len } else { b_len };
    for t in 0..n {
        let (a_row, b_row) = (rows(&a.view, t, a_len), rows(&b.view, t, b_len));
        for col in (0..width).step_by(piece) {
            let out = target(out, t * width + col, piece);
            let (i, j) = (a.at(col), b.at(col));
            match (a.constant(), b.constant()) {
                (false, false) => {
                    for (out, (&a, &b)) in
                        out.iter_mut().zip(a_row[i..i + piece].iter().zip(&b_row[j..j + piece]))
                    {
                        *out = f(a, b);
                    }
                }
                (true, false) => {
                    let a = a_row[i];
                    for (out, &b) in out.iter_mut().zip(&b_row[j..j + piece]) {
                        *out = f(a, b);
                    }
                }
                (false, true) => {
                    let b = b_row[j];
                    for (out, &a) in out.iter_mut().zip(&a_row[i..i + piece]) {
                        *out = f(a, b);
                    }
                }
                (true, true) => out.fill(f(a_row[i], b_row[j])),
            }
        }
    }
}

#[inline(always)]
fn truth(condition: bool) -> f32 {
    if condition { 1.0 } else { 0.0 }
}

multiversion! {
    /// `out = op(a, b)`, both spread to `width`.
    pub fn binary(op: BinaryOp, a: Operand, b: Operand, out: *mut f32, width: usize, n: usize) {
        match op {
            BinaryOp::Add => pair(a, b, out, width, n, |a, b| a + b),
            BinaryOp::Sub => pair(a, b, out, width, n, |a, b| a - b),
            BinaryOp::Mul => pair(a, b, out, width, n, |a, b| a * b),
            BinaryOp::Div => pair(a, b, out, width, n, |a, b| a / b),
            BinaryOp::Max => pair(a, b, out, width, n, math::max),
            BinaryOp::Min => pair(a, b, out, width, n, math::min),
            BinaryOp::Pow => pair(a, b, out, width, n, f32::powf),
            BinaryOp::Eq => pair(a, b, out, width, n, |a, b| truth(a == b)),
            BinaryOp::Gt => pair(a, b, out, width, n, |a, b| truth(a > b)),
            BinaryOp::Ge => pair(a, b, out, width, n, |a, b| truth(a >= b)),
            BinaryOp::Lt => pair(a, b, out, width, n, |a, b| truth(a < b)),
        }
    }
}

multiversion! {
    /// `out = cond != 0 ? yes : no`.
    pub fn select(cond: View, yes: View, no: View, out: *mut f32, width: usize, n: usize) {
        for t in 0..n {
            let (cond, yes, no) = (rows(&cond, t, width), rows(&yes, t, width), rows(&no, t, width));
            for (i, out) in target(out, t * width, width).iter_mut().enumerate() {
                *out = if cond[i] != 0.0 { yes[i] } else { no[i] };
            }
        }
    }
}

/// Copies rows of a fixed small width.
fn collect<const W: usize>(x: View, out: *mut f32, n: usize) {
    for (t, out) in target(out, 0, n * W).as_chunks_mut::<W>().0.iter_mut().enumerate() {
        out.copy_from_slice(rows(&x, t, W));
    }
}

/// Rows spread to `width`, flat.
pub fn expand(x: Operand, out: *mut f32, width: usize, n: usize) {
    match (x.broadcast, width) {
        (Broadcast::Full, 1) => return collect::<1>(x.view, out, n),
        (Broadcast::Full, 2) => return collect::<2>(x.view, out, n),
        (Broadcast::Full, 4) => return collect::<4>(x.view, out, n),
        (Broadcast::Full, 8) => return collect::<8>(x.view, out, n),
        _ => {}
    }
    for t in 0..n {
        let out = target(out, t * width, width);
        match x.broadcast {
            Broadcast::Full => out.copy_from_slice(rows(&x.view, t, width)),
            Broadcast::Scalar => out.fill(rows(&x.view, t, 1)[0]),
            Broadcast::Outer { inner } => {
                let row = rows(&x.view, t, width / inner);
                out.chunks_exact_mut(inner).zip(row).for_each(|(out, &x)| out.fill(x));
            }
            Broadcast::Inner { len } => {
                let row = rows(&x.view, t, len);
                out.chunks_exact_mut(len).for_each(|out| out.copy_from_slice(row));
            }
        }
    }
}

multiversion! {
    /// `out[o] = sum_i x[o, i]`.
    pub fn sum_inner(x: View, outer: usize, inner: usize, out: *mut f32, n: usize) {
        for t in 0..n {
            let row = rows(&x, t, outer * inner);
            let out = target(out, t * outer, outer);
            for (x, out) in row.chunks_exact(inner).zip(out) {
                *out = simd::sum(x);
            }
        }
    }
}

multiversion! {
    /// `out[o] = sum_i a[o, i] * b[o, i]`.
    pub fn dot_inner(a: View, b: View, outer: usize, inner: usize, out: *mut f32, n: usize) {
        for t in 0..n {
            for (o, out) in target(out, t * outer, outer).iter_mut().enumerate() {
                *out = simd::dot(piece(&a, t, o * inner, inner), piece(&b, t, o * inner, inner));
            }
        }
    }
}

multiversion! {
    /// `out[o] = max_i x[o, i]`.
    pub fn max_inner(x: View, outer: usize, inner: usize, out: *mut f32, n: usize) {
        for t in 0..n {
            let row = rows(&x, t, outer * inner);
            let out = target(out, t * outer, outer);
            for (x, out) in row.chunks_exact(inner).zip(out) {
                *out = simd::max(x);
            }
        }
    }
}

multiversion! {
    /// `out[i] = sum_o x[o, i]`.
    pub fn sum_outer(x: View, outer: usize, inner: usize, out: *mut f32, n: usize) {
        for t in 0..n {
            let out = target(out, t * inner, inner);
            out.fill(0.0);
            for part in rows(&x, t, outer * inner).chunks_exact(inner) {
                for (sum, &x) in out.iter_mut().zip(part) {
                    *sum += x;
                }
            }
        }
    }
}

/// `out[.. len] = x[start .. start + len]` in rows of `out_width`, at column `col`.
pub fn copy(x: View, start: usize, len: usize, out: *mut f32, out_width: usize, col: usize, n: usize) {
    for t in 0..n {
        target(out, t * out_width + col, len).copy_from_slice(&rows(&x, t, start + len)[start..]);
    }
}

/// `[r, c] -> [c, r]`.
pub fn transpose(x: View, r: usize, c: usize, out: *mut f32, n: usize) {
    for t in 0..n {
        let (x, out) = (rows(&x, t, r * c), target(out, t * r * c, r * c));
        for (i, out) in out.iter_mut().enumerate() {
            *out = x[i % r * c + i / r];
        }
    }
}

multiversion! {
    /// `out[b, :] = x[b, :] @ w[b]`.
    pub fn matvec(x: View, w: View, batch: usize, k: usize, n: usize, out: *mut f32, count: usize) {
        for t in 0..count {
            let (x, w) = (rows(&x, t, batch * k), rows(&w, t, batch * k * n));
            for b in 0..batch {
                let out = target(out, (t * batch + b) * n, n);
                out.fill(0.0);
                for (i, &x) in x[b * k..][..k].iter().enumerate() {
                    simd::axpy(x, &w[(b * k + i) * n..][..n], out);
                }
            }
        }
    }
}

multiversion! {
    /// `out[b, :] = x[b, :] @ w[b]^T`.
    pub fn matvec_t(x: View, w: View, batch: usize, k: usize, n: usize, out: *mut f32, count: usize) {
        for t in 0..count {
            let (x, w) = (rows(&x, t, batch * n), rows(&w, t, batch * k * n));
            for b in 0..batch {
                for (i, out) in target(out, (t * batch + b) * k, k).iter_mut().enumerate() {
                    *out = simd::dot(&x[b * n..][..n], &w[(b * k + i) * n..][..n]);
                }
            }
        }
    }
}

/// Up to 64 columns of dropout.
#[inline(always)]
fn dropout_group(x: &[f32], out: &mut [f32], uniform: &[[f32; 16]; 4], p: f32, scale: f32) {
    for ((x, out), uniform) in x.chunks(16).zip(out.chunks_mut(16)).zip(uniform) {
        for ((&x, out), &u) in x.iter().zip(out).zip(uniform) {
            let scaled = x * scale;
            *out = if u >= p { scaled } else { 0.0 };
        }
    }
}

multiversion! {
    /// Zeroes where the uniform value of (identifier, column) is below `p`, scales the rest by `1 / (1 - p)`.
    pub fn dropout(x: View, p: f32, key: Key, ids: &[u64], out: *mut f32, width: usize) {
        let scale = 1.0 / (1.0 - p);
        for (t, &id) in ids.iter().enumerate() {
            let (row, out) = (rows(&x, t, width), target(out, t * width, width));
            for (group, (x, out)) in row.chunks(64).zip(out.chunks_mut(64)).enumerate() {
                dropout_group(x, out, &key.uniform_group(id, group as u32), p, scale);
            }
        }
    }
}
