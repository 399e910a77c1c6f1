//! Applying the transforms of numbers that are more than one expression.

use super::super::value::{Located, Numbers};
use super::expect_width;

pub(super) fn min_max(x: f64, min: f64, max: f64) -> f64 {
    if max > min { ((x - min) / (max - min)).clamp(0.0, 1.0) } else { 0.0 }
}

/// A 1 in the column of the interval that holds x: below the first bound, from it to the second, and so on.
pub(super) fn bucket(x: Numbers, bounds: &[f64]) -> Numbers {
    let width = bounds.len() + 1;
    let mut data = vec![0.0; x.data.len() * width];
    for (index, value) in x.data.iter().enumerate() {
        if !x.is_missing(index / x.width) {
            data[index * width + bounds.partition_point(|bound| bound <= value)] = 1.0;
        }
    }
    Numbers { width: width * x.width, data, missing: x.missing }
}

/// `values`: one for all columns, or one for each.
pub(super) fn fill(mut x: Numbers, values: &[f64]) -> Result<Numbers, Located> {
    if values.len() != 1 {
        expect_width(&x, values.len())?;
    }
    for row in 0..x.rows() {
        if x.is_missing(row) {
            for column in 0..x.width {
                x.data[row * x.width + column] = values[if values.len() == 1 { 0 } else { column }];
            }
        }
    }
    x.missing.clear();
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
