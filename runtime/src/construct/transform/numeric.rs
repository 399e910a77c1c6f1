//! Applying the transforms of numbers that are more than one expression.

use super::super::value::{Located, Numbers};
use super::by_column;

pub(super) fn min_max(x: f64, min: f64, max: f64) -> f64 {
    if max > min { ((x - min) / (max - min)).clamp(0.0, 1.0) } else { 0.0 }
}

/// A 1 in the column of the interval that holds x: below the first bound, from it to the second, and so on; with a window, of
/// every interval that x ± window / 2 touches.
pub(super) fn bucket(x: &Numbers, bounds: &[Vec<f64>], window: f64) -> Result<Numbers, Located> {
    let bounds = by_column(bounds, x)?;
    let width = (0..x.width).map(|column| bounds(column).len() + 1).sum();
    let mut data = vec![0.0; x.rows() * width];
    for (row, hot) in data.chunks_exact_mut(width).enumerate().filter(|(row, _)| !x.is_missing(*row)) {
        let mut start = 0;
        for (column, &value) in x.data[row * x.width..(row + 1) * x.width].iter().enumerate() {
            let bounds = bounds(column);
            let interval = |at: f64| bounds.partition_point(|bound| *bound <= at);
            let (first, last) = (interval(value - window / 2.0), interval(value + window / 2.0));
            hot[start + first..=start + last].fill(1.0);
            start += bounds.len() + 1;
        }
    }
    Ok(Numbers { width, data, missing: x.missing.clone() })
}

/// `values`: one for all columns, or one for each.
pub(super) fn fill(mut x: Numbers, values: &[f64]) -> Result<Numbers, Located> {
    let values = by_column(values, &x)?;
    let missing = std::mem::take(&mut x.missing);
    for (row, slots) in x.data.chunks_exact_mut(x.width.max(1)).enumerate() {
        if missing.get(row) == Some(&true) {
            slots.iter_mut().enumerate().for_each(|(column, slot)| *slot = *values(column));
        }
    }
    Ok(x)
}

pub(super) fn normalize_rows(mut x: Numbers, p: u8) -> Numbers {
    for row in x.data.chunks_exact_mut(x.width.max(1)) {
        let norm = match p {
            2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            _ => row.iter().map(|x| x.abs()).sum::<f64>(),
        };
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }
    x
}

/// sin and cos of 2πx / period, side by side.
pub(super) fn cyclic(x: &Numbers, period: f64) -> Numbers {
    let turn = |x: &f64| {
        let (sin, cos) = (std::f64::consts::TAU * (x % period) / period).sin_cos();
        [sin, cos]
    };
    Numbers { width: 2 * x.width, data: x.data.iter().flat_map(turn).collect(), missing: x.missing.clone() }
}
