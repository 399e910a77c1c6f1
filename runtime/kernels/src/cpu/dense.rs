//! Batched dense products over rows, on the `gemm` crate.
//!
//! Decided here: rows are cut into chunks by their number alone, each product runs on one thread, and sums over rows go
//! through a fixed number of partial sums; hence equal bits for any number of threads. Not decided: how a single product is
//! blocked; that is the library's.

use super::share::{Shared, combine, deliver, with_scratch};
use super::simd::{self, multiversion};
use super::small::{self, Strided};
use super::widen::{Which, widen_rows};
use crate::floats::Floats;
use rayon::prelude::*;

const ROWS: usize = 1024;
const PARTS: usize = 32;
const PART_ROWS: usize = 512;

/// A batched product: `rows x batch x k` times `batch x k x n` is `rows x batch x n`. A layer without heads has `batch` 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub rows: usize,
    pub batch: usize,
    pub k: usize,
    pub n: usize,
}

/// What the product is added to.
#[derive(Clone, Copy, Debug, Default)]
pub enum Start<'a> {
    #[default]
    Zero,
    /// What the output holds.
    Keep,
    /// A vector `[batch, n]`, the same for every row.
    Bias(&'a [f32]),
}

/// `out[r, b, :] = start + x[r, b, :] @ w[b]`; with `index`, row `r` reads `x[index[r]]`.
pub fn linear<'a>(
    shape: Shape,
    x: impl Into<Floats<'a>>,
    index: Option<&[u32]>,
    w: &[f32],
    start: Start,
    out: &mut [f32],
) {
    let Shape { rows, batch, k, n } = shape;
    let x = x.into();
    check_x(shape, x, index);
    assert_eq!(w.len(), batch * k * n, "the weight is not {batch} x {k} x {n}");
    assert_eq!(out.len(), rows * batch * n, "the output is not {rows} x {batch} x {n}");
    if let Start::Bias(bias) = start {
        assert_eq!(bias.len(), batch * n, "the bias is not {batch} x {n}");
    }
    let chunk = chunk_rows(rows);
    out.par_chunks_mut((chunk * batch * n).max(1)).enumerate().for_each(|(c, out)| {
        let first = c * chunk;
        let count = out.len() / (batch * n).max(1);
        with_rows(x, batch * k, index, first, count, |x| {
            let keep = begin(start, out);
            let part = Shape { rows: count, ..shape };
            forward(part, x, w, keep, out);
        });
    });
}

/// `dx[r, b, :] = dy[r, b, :] @ w[b]^T`, or added to `dx`.
pub fn linear_t(shape: Shape, dy: &[f32], w: &[f32], accumulate: bool, dx: &mut [f32]) {
    let Shape { rows, batch, k, n } = shape;
    assert_eq!(dy.len(), rows * batch * n, "the gradient is not {rows} x {batch} x {n}");
    assert_eq!(w.len(), batch * k * n, "the weight is not {batch} x {k} x {n}");
    assert_eq!(dx.len(), rows * batch * k, "the output is not {rows} x {batch} x {k}");
    let chunk = chunk_rows(rows);
    dx.par_chunks_mut((chunk * batch * k).max(1)).enumerate().for_each(|(c, dx)| {
        let count = dx.len() / (batch * k).max(1);
        let dy = &dy[c * chunk * batch * n..][..count * batch * n];
        backward(Shape { rows: count, ..shape }, dy, w, accumulate, dx);
    });
}

/// `dw[b] = sum_r x[r, b, :]^T dy[r, b, :]`, or added to `dw`; with `index`, row `r` reads `x[index[r]]`.
///
/// Rows are dealt in runs to a fixed number of partial sums, which are added in a fixed tree.
pub fn outer<'a>(
    shape: Shape,
    x: impl Into<Floats<'a>>,
    index: Option<&[u32]>,
    dy: &[f32],
    accumulate: bool,
    dw: &mut [f32],
) {
    let Shape { rows, batch, k, n } = shape;
    let x = x.into();
    check_x(shape, x, index);
    assert_eq!(dy.len(), rows * batch * n, "the gradient is not {rows} x {batch} x {n}");
    assert_eq!(dw.len(), batch * k * n, "the output is not {batch} x {k} x {n}");
    if rows == 0 || dw.is_empty() {
        if !accumulate {
            dw.fill(0.0);
        }
        return;
    }
    let (parts, span) = partition(rows);
    let size = dw.len();
    with_scratch(parts * size, |partial| {
        let shared = Shared::new(partial);
        (0..parts).into_par_iter().for_each(|part| {
            // SAFETY: each task has its own partial sum.
            let sum = unsafe { shared.part(part * size, size) };
            let end = rows.min((part + 1) * span);
            for (i, first) in (part * span..end).step_by(ROWS).enumerate() {
                let count = ROWS.min(end - first);
                with_rows(x, batch * k, index, first, count, |x| {
                    let dy = &dy[first * batch * n..][..count * batch * n];
                    accumulate_outer(Shape { rows: count, ..shape }, x, dy, i > 0, sum);
                });
            }
        });
        combine(partial, size);
        deliver(&partial[..size], dw, accumulate);
    });
}

/// How many partial sums, and rows of each: a function of the number of rows alone.
pub(super) fn partition(rows: usize) -> (usize, usize) {
    let span = rows.div_ceil(PARTS).next_multiple_of(PART_ROWS);
    (rows.div_ceil(span), span)
}

fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(16).next_multiple_of(64).clamp(64, ROWS)
}

fn check_x(shape: Shape, x: Floats, index: Option<&[u32]>) {
    let Shape { rows, batch, k, .. } = shape;
    match index {
        None => assert_eq!(x.len(), rows * batch * k, "the input is not {rows} x {batch} x {k}"),
        Some(index) => assert_eq!(index.len(), rows, "the index does not have one entry per row"),
    }
}

fn begin(start: Start, out: &mut [f32]) -> bool {
    if let Start::Bias(bias) = start {
        out.chunks_exact_mut(bias.len().max(1)).for_each(|row| row.copy_from_slice(bias));
    }
    !matches!(start, Start::Zero)
}

/// Hands `f` the rows, fetched into scratch memory when there is an index or they are stored narrow.
fn with_rows(
    x: Floats,
    width: usize,
    index: Option<&[u32]>,
    first: usize,
    count: usize,
    f: impl FnOnce(&[f32]),
) {
    let which = match (index, x.wide()) {
        (None, Some(x)) => return f(&x[first * width..][..count * width]),
        (None, None) => Which::From(first),
        (Some(index), _) => Which::At(&index[first..first + count]),
    };
    with_scratch(count * width, |rows| {
        if width > 0 {
            widen_rows(x, width, which, rows);
        }
        f(rows);
    });
}

/// A matrix within a slice: where it starts, and its strides.
#[derive(Clone, Copy)]
struct Matrix {
    at: usize,
    row: usize,
    col: usize,
}

/// `out[r, c] = y[r, :] · x[c, :]`, the rows of `x` being read through `columns`: runs of columns in parallel.
pub(super) fn against_columns(
    rows: usize,
    width: usize,
    x: Floats,
    columns: &[u32],
    y: &[f32],
    out: &mut [f32],
) {
    let all = columns.len();
    assert_eq!(y.len(), rows * width, "the rows are not {rows} x {width}");
    assert_eq!(out.len(), rows * all, "the output is not {rows} x {all}");
    if out.is_empty() {
        return;
    }
    let shared = Shared::new(out);
    columns.par_chunks(ROWS).enumerate().for_each(|(run, columns)| {
        with_rows(x, width, Some(columns), 0, columns.len(), |x| {
            let y_at = Matrix { at: 0, row: width, col: 1 };
            let x_at = Matrix { at: 0, row: 1, col: width };
            let out_at = Matrix { at: run * ROWS, row: all, col: 1 };
            // SAFETY: each task has its own columns.
            unsafe {
                product_at([rows, columns.len(), width], (y, y_at), (x, x_at), false, (shared, out_at))
            };
        });
    });
}

fn forward(shape: Shape, x: &[f32], w: &[f32], keep: bool, out: &mut [f32]) {
    let Shape { rows, batch, k, n } = shape;
    if n < DOTS && k >= DOTS {
        return with_transposed(shape, w, |w| dots(rows, batch, n, k, x, w, keep, out));
    }
    for b in 0..batch {
        let x_b = Matrix { at: b * k, row: batch * k, col: 1 };
        let w_b = Matrix { at: b * k * n, row: n, col: 1 };
        product([rows, n, k], (x, x_b), (w, w_b), keep, (out, Matrix { at: b * n, row: batch * n, col: 1 }));
    }
}

fn backward(shape: Shape, dy: &[f32], w: &[f32], keep: bool, dx: &mut [f32]) {
    let Shape { rows, batch, k, n } = shape;
    if k < DOTS && n >= DOTS {
        return dots(rows, batch, k, n, dy, w, keep, dx);
    }
    if k * n <= SMALL {
        let back = Shape { rows, batch, k: n, n: k };
        return with_transposed(shape, w, |w| forward(back, dy, w, keep, dx));
    }
    for b in 0..batch {
        let dy_b = Matrix { at: b * n, row: batch * n, col: 1 };
        let w_b = Matrix { at: b * k * n, row: 1, col: n };
        product([rows, k, n], (dy, dy_b), (w, w_b), keep, (dx, Matrix { at: b * k, row: batch * k, col: 1 }));
    }
}

/// `dw[b] (+)= x[:, b, :]^T dy[:, b, :]` for the rows of one chunk.
pub(super) fn accumulate_outer(shape: Shape, x: &[f32], dy: &[f32], keep: bool, dw: &mut [f32]) {
    let Shape { rows, batch, k, n } = shape;
    for b in 0..batch {
        let x_b = Matrix { at: b * k, row: 1, col: batch * k };
        let dy_b = Matrix { at: b * n, row: batch * n, col: 1 };
        product([k, n, rows], (x, x_b), (dy, dy_b), keep, (dw, Matrix { at: b * k * n, row: n, col: 1 }));
    }
}

/// Hands `f` the weights as `[batch, n, k]`.
fn with_transposed(shape: Shape, w: &[f32], f: impl FnOnce(&[f32])) {
    let Shape { batch, k, n, .. } = shape;
    with_scratch(batch * k * n, |transposed| {
        for b in 0..batch {
            for i in 0..k {
                for j in 0..n {
                    transposed[(b * n + j) * k + i] = w[(b * k + i) * n + j];
                }
            }
        }
        f(transposed);
    });
}

/// Whether the two smaller sides make a matrix that needs no packing.
fn is_small(m: usize, n: usize, k: usize) -> bool {
    m * n * k / m.max(n).max(k).max(1) <= SMALL
}

/// `c (+)= a b`, `a` being `m x k` and `b` `k x n`.
fn product(shape: [usize; 3], a: (&[f32], Matrix), b: (&[f32], Matrix), keep: bool, c: (&mut [f32], Matrix)) {
    // SAFETY: `c` is borrowed for this product alone.
    unsafe { product_at(shape, a, b, keep, (Shared::new(c.0), c.1)) }
}

/// The same, `c` being a part of a matrix that several tasks write.
///
/// # Safety
/// No other task reads or writes the elements of `c`, and the matrix outlives the product.
unsafe fn product_at(
    [m, n, k]: [usize; 3],
    a: (&[f32], Matrix),
    b: (&[f32], Matrix),
    keep: bool,
    c: (Shared<f32>, Matrix),
) {
    if m == 0 || n == 0 {
        return;
    }
    let end = |at: Matrix, rows: usize, cols: usize| at.at + (rows - 1) * at.row + (cols - 1) * at.col;
    assert!(k == 0 || (end(a.1, m, k) < a.0.len() && end(b.1, k, n) < b.0.len()));
    // The last element lies within the matrix, and so do all others.
    c.0.slot(end(c.1, m, n));
    let out = c.0.slot(c.1.at);
    if is_small(m, n, k) && b.1.col == 1 {
        let strided = |(x, at): (&[f32], Matrix)| Strided {
            at: x.as_ptr().wrapping_add(at.at),
            row: at.row,
            col: at.col,
        };
        let out = small::Result { at: out, row: c.1.row };
        // SAFETY: all three matrices lie within their slices.
        return unsafe { small::product([m, n, k], strided(a), strided(b), keep, out) };
    }
    // SAFETY: all three matrices lie within their slices.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            c.1.col as isize,
            c.1.row as isize,
            keep,
            a.0.as_ptr().add(a.1.at),
            a.1.col as isize,
            a.1.row as isize,
            b.0.as_ptr().add(b.1.at),
            b.1.col as isize,
            b.1.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Products with at most this many weights per batch are faster unpacked.
const SMALL: usize = 4096;

/// With fewer columns than this, a product is dots.
const DOTS: usize = 4;

multiversion! {
    /// `out[r, b, i] (+)= dot(x[r, b, :], w[b, i, :])`, `w` being `[batch, n, k]`.
    fn dots(rows: usize, batch: usize, n: usize, k: usize, x: &[f32], w: &[f32], keep: bool, out: &mut [f32]) {
        for r in 0..rows {
            for b in 0..batch {
                let x = &x[(r * batch + b) * k..][..k];
                for (i, out) in out[(r * batch + b) * n..][..n].iter_mut().enumerate() {
                    let value = simd::dot(x, &w[(b * n + i) * k..][..k]);
                    *out = if keep { *out + value } else { value };
                }
            }
        }
    }
}
