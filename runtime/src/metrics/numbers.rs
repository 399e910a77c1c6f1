//! Rows of a number, or of several.

use super::Times;
use super::counts::ErrorSums;

/// Targets and predictions, in the label's own unit.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRows {
    mean: f64,
    std: f64,
    /// Numbers of a row.
    width: usize,
    /// (prediction, target)
    pairs: Vec<(f64, f64)>,
}

impl NumberRows {
    /// Scores are standardised: prediction = score · std + mean.
    pub fn new(mean: f64, std: f64) -> Self {
        NumberRows { mean, std, width: 1, pairs: Vec::new() }
    }

    /// Rows of so many numbers, as they are; metrics are over all of them. Targets spread about the mean of their column.
    pub fn wide(width: usize) -> Self {
        NumberRows { mean: 0.0, std: 1.0, width: width.max(1), pairs: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.pairs.len() / self.width
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub fn add(&mut self, target: f64, score: f32) {
        self.pairs.push((f64::from(score) * self.std + self.mean, target));
    }

    pub fn errors(&self, times: Times) -> ErrorSums {
        let width = self.width;
        let counted = || {
            self.pairs.iter().enumerate().map(|(at, pair)| (at % width, pair, times.of(at / width) as f64))
        };
        let mut sums = ErrorSums::default();
        let mut totals = vec![0.0; width];
        for (column, &(prediction, target), count) in counted() {
            let error = prediction - target;
            sums.n += count;
            sums.squared += error * error * count;
            sums.absolute += error.abs() * count;
            totals[column] += target * count;
            if target != 0.0 {
                sums.relative += (error / target).abs() * count;
                sums.nonzero += count;
            }
        }
        let rows = (sums.n / width as f64).max(1.0);
        let apart = |column: usize, target: f64| target - totals[column] / rows;
        sums.spread =
            counted().map(|(column, (_, target), count)| apart(column, *target).powi(2) * count).sum();
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_spread_about_their_own_means() {
        let mut rows = NumberRows::wide(2);
        for (target, score) in [(0.0, 1.0), (100.0, 101.0), (2.0, 1.0), (102.0, 101.0)] {
            rows.add(target, score);
        }
        let sums = rows.errors(Times::Once);
        assert_eq!((sums.n, sums.squared, sums.spread), (4.0, 4.0, 4.0), "the means explain nothing");
    }
}
