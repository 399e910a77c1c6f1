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

    /// Rows of so many numbers, as they are; metrics are over all of them.
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
        let counted =
            || self.pairs.iter().enumerate().map(|(at, pair)| (pair, times.of(at / self.width) as f64));
        let mut sums = ErrorSums::default();
        let mut total = 0.0;
        for (&(prediction, target), count) in counted() {
            let error = prediction - target;
            sums.n += count;
            sums.squared += error * error * count;
            sums.absolute += error.abs() * count;
            total += target * count;
            if target != 0.0 {
                sums.relative += (error / target).abs() * count;
                sums.nonzero += count;
            }
        }
        let mean = total / sums.n.max(1.0);
        sums.spread = counted().map(|((_, target), count)| (target - mean).powi(2) * count).sum();
        sums
    }
}
