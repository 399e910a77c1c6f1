//! Products over some rows of large matrices: those that the edges of a relation enter.
//!
//! With many relations most rows have no edge of any one of them. Decided here: these rows are put side by side, multiplied as
//! a dense matrix, and put back; the others are left out.

use super::dense::{Shape, Start, linear, linear_t, outer};
use super::share::{Shared, with_scratch};
use rayon::prelude::*;

/// Rows that one task copies.
const ROWS: usize = 512;

/// `out[r, b, :] (+)= x[r, b, :] @ w[b]` for the rows in `at`, which ascend; without `keep` the other rows become zero.
pub fn linear_at(shape: Shape, x: &[f32], at: &[u32], w: &[f32], keep: bool, out: &mut [f32]) {
    let Shape { batch, k, n, .. } = shape;
    with_taken(x, batch * k, at, |x| {
        put(batch * n, at, keep, out, |y| linear(few(shape, at), x, None, w, Start::Zero, y));
    });
}

/// `dx[r, b, :] (+)= dy[r, b, :] @ w[b]^T` for the rows in `at`, which ascend; without `keep` the other rows become zero.
pub fn linear_t_at(shape: Shape, dy: &[f32], at: &[u32], w: &[f32], keep: bool, dx: &mut [f32]) {
    let Shape { batch, k, n, .. } = shape;
    with_taken(dy, batch * n, at, |dy| {
        put(batch * k, at, keep, dx, |y| linear_t(few(shape, at), dy, w, false, y));
    });
}

/// `dw[b] (+)= sum_r x[r, b, :]^T dy[r, b, :]` over the rows in `at`, which ascend.
pub fn outer_at(shape: Shape, x: &[f32], at: &[u32], dy: &[f32], accumulate: bool, dw: &mut [f32]) {
    let Shape { batch, k, n, .. } = shape;
    with_taken(x, batch * k, at, |x| {
        with_taken(dy, batch * n, at, |dy| outer(few(shape, at), x, None, dy, accumulate, dw));
    });
}

fn few(shape: Shape, at: &[u32]) -> Shape {
    Shape { rows: at.len(), ..shape }
}

/// Hands `f` the rows in `at`, side by side.
fn with_taken(x: &[f32], width: usize, at: &[u32], f: impl FnOnce(&[f32])) {
    with_scratch(at.len() * width, |taken| {
        taken.par_chunks_mut((ROWS * width).max(1)).zip(at.par_chunks(ROWS)).for_each(|(taken, at)| {
            for (row, &r) in taken.chunks_exact_mut(width.max(1)).zip(at) {
                row.copy_from_slice(&x[r as usize * width..][..width]);
            }
        });
        f(taken);
    });
}

/// Puts the rows that `f` computes back, or adds them with `keep`.
fn put(width: usize, at: &[u32], keep: bool, out: &mut [f32], f: impl FnOnce(&mut [f32])) {
    assert!(at.windows(2).all(|pair| pair[0] < pair[1]), "rows ascend");
    with_scratch(at.len() * width, |rows| {
        f(rows);
        if !keep {
            out.par_chunks_mut(1 << 16).for_each(|part| part.fill(0.0));
        }
        let shared = Shared::new(out);
        rows.par_chunks((ROWS * width).max(1)).zip(at.par_chunks(ROWS)).for_each(|(rows, at)| {
            for (row, &r) in rows.chunks_exact(width.max(1)).zip(at) {
                // SAFETY: rows ascend, so each is written by one task.
                let out = unsafe { shared.part(r as usize * width, width) };
                match keep {
                    true => out.iter_mut().zip(row).for_each(|(out, x)| *out += x),
                    false => out.copy_from_slice(row),
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        let key = Key::new(seed, 1);
        (0..n as u64).map(|i| key.below_at(i, 2001) as f32 / 1000.0 - 1.0).collect()
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{a} {b}"));
    }

    /// Matrices of which only the rows in `at` are not zero: what is found for those is found for all.
    #[test]
    fn zero_rows_are_left_out() {
        for (rows, batch, k, n, every) in [(900, 1, 7, 5, 3), (700, 2, 16, 3, 50), (64, 1, 100, 100, 64)] {
            let shape = Shape { rows, batch, k, n };
            let at: Vec<u32> = (0..rows as u32).filter(|r| r % every == 0).collect();
            let blank = |mut x: Vec<f32>, width: usize| {
                let rows = x.chunks_exact_mut(width).enumerate();
                rows.filter(|(r, _)| r % every as usize != 0).for_each(|(_, row)| row.fill(0.0));
                x
            };
            let x = blank(numbers(rows * batch * k, 1), batch * k);
            let (dy, w) = (numbers(rows * batch * n, 2), numbers(batch * k * n, 3));
            for keep in [false, true] {
                let mut found = [numbers(rows * batch * n, 4), numbers(rows * batch * n, 4)];
                linear_at(shape, &x, &at, &w, keep, &mut found[0]);
                linear(shape, &x[..], None, &w, if keep { Start::Keep } else { Start::Zero }, &mut found[1]);
                close(&found[0], &found[1]);
                let mut found = [numbers(batch * k * n, 5), numbers(batch * k * n, 5)];
                outer_at(shape, &x, &at, &dy, keep, &mut found[0]);
                outer(shape, &x[..], None, &dy, keep, &mut found[1]);
                close(&found[0], &found[1]);
                let mut found = [numbers(rows * batch * k, 6), numbers(rows * batch * k, 6)];
                linear_t_at(shape, &dy, &at, &w, keep, &mut found[0]);
                linear_t(shape, &blank(dy.clone(), batch * n), &w, keep, &mut found[1]);
                close(&found[0], &found[1]);
            }
        }
    }
}
