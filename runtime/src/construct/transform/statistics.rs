//! Statistics of the numbers in a column, put together from any split of its rows to the same bits.

use super::super::error::Fault;
use super::super::exact::Exact;
use super::super::value::{Located, Numbers};

/// What a sum, a mean and a deviation are made of.
#[derive(Default)]
pub(super) struct Moments {
    sum: Exact,
    squares: Exact,
    count: u64,
}

/// Beyond it squares are no longer numbers that can be added up.
const MOST_SQUARED: f64 = 1e100;

impl Moments {
    pub(super) fn add(&mut self, x: f64) {
        self.sum.add(x);
        self.count += 1;
    }

    pub(super) fn add_square(&mut self, row: usize, x: f64) -> Result<(), Located> {
        self.add(x);
        if x.abs() > MOST_SQUARED {
            return Err(Located::at(row, Fault::TooLarge { found: x }));
        }
        self.squares.add_product(x, x);
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Moments) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.count += other.count;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum.value()
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum.value() / self.count as f64
    }

    /// Of the population; exactly 0 for a constant.
    pub(super) fn deviation(&self) -> f64 {
        Exact::spread(&self.sum, &self.squares, self.count).sqrt() / self.count as f64
    }
}

/// The smallest and the greatest number.
pub(super) struct Extremes {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Default for Extremes {
    fn default() -> Self {
        Extremes { min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Extremes {
    pub(super) fn add(&mut self, x: f64) {
        self.min = self.min.min(x + 0.0);
        self.max = self.max.max(x + 0.0);
    }

    pub(super) fn merge(&mut self, other: &Extremes) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.min > self.max
    }
}

/// Calls `each(row, column, x)` for the present numbers of the rows that `trains` names, column by column; refuses what is
/// not finite.
pub(super) fn present(
    x: &Numbers,
    trains: Option<&[bool]>,
    mut each: impl FnMut(usize, usize, f64) -> Result<(), Located>,
) -> Result<(), Located> {
    for column in 0..x.width {
        for (row, &value) in x.data[column..].iter().step_by(x.width).enumerate() {
            if x.is_missing(row) || !trains.is_none_or(|trains| trains[row]) {
                continue;
            }
            if !value.is_finite() {
                return Err(Located::at(row, Fault::NotFinite { found: value }));
            }
            each(row, column, value)?;
        }
    }
    Ok(())
}
