//! Functions from outside, in pieces of a fixed number of rows.
//!
//! Decided here: every call has [`PIECE`] rows, the last one filled up with copies of its last row, so that what a row gives depends
//! neither on how many rows its batch has nor on which rank it is; pieces run side by side, and what they add up to is added in
//! their order.

use gsl_plan::external::{Argument, Call, RowFunction};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rows of a call.
pub const PIECE: usize = 128;
/// Pieces whose sums are held at once.
const WAVE: usize = 32;

/// rows × width of the result.
///
/// # Errors
/// What the function says, or that it panicked.
pub fn forward(function: &dyn RowFunction, call: &Call, out: &mut [f32]) -> Result<(), String> {
    let width = call.width().max(1);
    out.par_chunks_mut(PIECE * width).enumerate().try_for_each(|(at, out)| {
        let mut whole = vec![0.0; PIECE * width];
        with_piece(call, at, |call| guarded(|| function.forward(call, &mut whole)))?;
        out.copy_from_slice(&whole[..out.len()]);
        Ok(())
    })
}

/// The gradients of the operands `of`, which are rows, side by side: rows × Σ widths.
///
/// # Errors
/// As for [`forward`].
pub fn row_gradients(
    function: &dyn RowFunction,
    call: &Call,
    gradient: &[f32],
    of: &[usize],
    out: &mut [f32],
) -> Result<(), String> {
    let all: usize = of.iter().map(|at| call.arguments[*at].width()).sum();
    out.par_chunks_mut(PIECE * all.max(1)).enumerate().try_for_each(|(at, out)| {
        let found = piece_gradients(function, call, gradient, of, at)?;
        let mut start = 0;
        for (part, argument) in found.iter().zip(of) {
            let width = call.arguments[*argument].width();
            let rows = out.chunks_exact_mut(all).zip(part.chunks_exact(width));
            rows.for_each(|(out, part)| out[start..start + width].copy_from_slice(part));
            start += width;
        }
        Ok(())
    })
}

/// The gradients of the operands `of`, which rows share, one after another.
///
/// # Errors
/// As for [`forward`].
pub fn shared_gradients(
    function: &dyn RowFunction,
    call: &Call,
    gradient: &[f32],
    of: &[usize],
    out: &mut [f32],
) -> Result<(), String> {
    out.fill(0.0);
    let pieces: Vec<usize> = (0..call.rows.div_ceil(PIECE)).collect();
    for wave in pieces.chunks(WAVE) {
        let found: Vec<Vec<Vec<f32>>> = wave
            .par_iter()
            .map(|at| piece_gradients(function, call, gradient, of, *at))
            .collect::<Result<_, _>>()?;
        for parts in found {
            let all = parts.iter().flatten();
            out.iter_mut().zip(all).for_each(|(sum, x)| *sum += x);
        }
    }
    Ok(())
}

fn piece_gradients(
    function: &dyn RowFunction,
    call: &Call,
    gradient: &[f32],
    of: &[usize],
    at: usize,
) -> Result<Vec<Vec<f32>>, String> {
    let width = call.width();
    let own = &gradient[at * PIECE * width..(call.rows.min((at + 1) * PIECE)) * width];
    let mut whole = own.to_vec();
    whole.resize(PIECE * width, 0.0);
    let found = with_piece(call, at, |call| guarded(|| function.backward(call, &whole, of)))?;
    let sizes = of.iter().map(|at| {
        let argument = &call.arguments[*at];
        argument.width() * if argument.shared { 1 } else { PIECE }
    });
    match found.len() == of.len() && found.iter().zip(sizes).all(|(part, size)| part.len() == size) {
        true => Ok(found),
        false => Err("its gradients have other shapes than its operands".to_owned()),
    }
}

/// Calls `f` with the rows of piece `at`.
fn with_piece<T>(call: &Call, at: usize, f: impl FnOnce(&Call) -> T) -> T {
    let (start, end) = (at * PIECE, call.rows.min((at + 1) * PIECE));
    let filled: Vec<Vec<f32>> = call.arguments.iter().map(|a| fill(a, start, end)).collect();
    let arguments: Vec<Argument> = call
        .arguments
        .iter()
        .zip(&filled)
        .map(|(argument, filled)| {
            let width = argument.width();
            let data = match (argument.shared, end - start == PIECE) {
                (true, _) => argument.data,
                (false, true) => &argument.data[start * width..end * width],
                (false, false) => filled,
            };
            Argument { data, ..*argument }
        })
        .collect();
    f(&Call { rows: PIECE, arguments: &arguments, shape: call.shape })
}

/// The rows of a piece that is not full, the last one repeated; nothing where the rows can be read as they lie.
fn fill(argument: &Argument, start: usize, end: usize) -> Vec<f32> {
    if argument.shared || end - start == PIECE {
        return Vec::new();
    }
    let width = argument.width();
    let mut rows = argument.data[start * width..end * width].to_vec();
    let last = argument.data[(end - 1) * width..end * width].to_vec();
    (end - start..PIECE).for_each(|_| rows.extend_from_slice(&last));
    rows
}

/// A panic becomes an error, so that no rank waits for another that is gone.
pub fn guarded<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(found) => found,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}", text.unwrap_or("without a message")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y = w · x of each row, with w shared.
    struct Product;

    impl RowFunction for Product {
        fn forward(&self, call: &Call, out: &mut [f32]) -> Result<(), String> {
            let [x, w] = call.arguments else { return Err("two operands".into()) };
            let rows = x.data.chunks_exact(w.data.len());
            out.iter_mut().zip(rows).for_each(|(y, x)| *y = x.iter().zip(w.data).map(|(x, w)| x * w).sum());
            Ok(())
        }

        fn backward(&self, call: &Call, g: &[f32], of: &[usize]) -> Result<Vec<Vec<f32>>, String> {
            let [x, w] = call.arguments else { return Err("two operands".into()) };
            let of_x = || g.iter().flat_map(|g| w.data.iter().map(move |w| g * w)).collect();
            let of_w = || {
                let mut sum = vec![0.0; w.data.len()];
                for (x, g) in x.data.chunks_exact(w.data.len()).zip(g) {
                    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += g * x);
                }
                sum
            };
            Ok(of.iter().map(|at| if *at == 0 { of_x() } else { of_w() }).collect())
        }
    }

    fn operands(rows: usize) -> (Vec<f32>, [f32; 2]) {
        ((0..2 * rows).map(|i| (i % 7) as f32 - 3.0).collect(), [2.0, -1.0])
    }

    #[test]
    fn pieces_are_the_whole() {
        for rows in [0, 1, 5, PIECE, PIECE + 1, 40 * PIECE + 3] {
            let (x, w) = operands(rows);
            let arguments = [
                Argument { data: &x, shape: &[2], shared: false },
                Argument { data: &w, shape: &[2], shared: true },
            ];
            let call = Call { rows, arguments: &arguments, shape: &[] };
            let (mut found, mut expected) = (vec![9.0; rows], vec![0.0; rows]);
            forward(&Product, &call, &mut found).expect("a result");
            Product.forward(&call, &mut expected).expect("a result");
            assert_eq!(found, expected);
            let g: Vec<f32> = (0..rows).map(|i| (i % 5) as f32).collect();
            let expected = Product.backward(&call, &g, &[0, 1]).expect("gradients");
            let (mut of_rows, mut of_shared) = (vec![9.0; 2 * rows], vec![9.0; 2]);
            row_gradients(&Product, &call, &g, &[0], &mut of_rows).expect("gradients");
            shared_gradients(&Product, &call, &g, &[1], &mut of_shared).expect("gradients");
            assert_eq!((&of_rows, &of_shared), (&expected[0], &expected[1]));
        }
    }

    #[test]
    fn a_panic_is_an_error() {
        struct Broken;
        impl RowFunction for Broken {
            fn forward(&self, _: &Call, _: &mut [f32]) -> Result<(), String> {
                panic!("no such row")
            }
            fn backward(&self, _: &Call, _: &[f32], _: &[usize]) -> Result<Vec<Vec<f32>>, String> {
                Ok(vec![vec![1.0]])
            }
        }
        let arguments = [Argument { data: &[1.0; 3], shape: &[], shared: false }];
        let call = Call { rows: 3, arguments: &arguments, shape: &[] };
        let message = forward(&Broken, &call, &mut [0.0; 3]).expect_err("it panics");
        assert_eq!(message, "it panicked: no such row");
        let message = row_gradients(&Broken, &call, &[1.0; 3], &[0], &mut [0.0; 3]).expect_err("one number");
        assert_eq!(message, "its gradients have other shapes than its operands");
    }
}
