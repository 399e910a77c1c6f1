//! Metrics from sums: counts and moments are added up over batches and ranks, and only then turned into numbers,
//! so that a metric is exact whatever the batches were.

use super::ranks::RankSums;
use gsl_plan::plan::Metric;
use serde::{Deserialize, Serialize};

/// What a set of predictions adds up to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Sums {
    Classes(Confusion),
    Errors(ErrorSums),
    Ranks(RankSums),
}

impl Sums {
    /// The metric, or none where the sums do not define it (no rows; F1 of a regression).
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        match self {
            Sums::Classes(c) => c.metric(metric),
            Sums::Errors(e) => e.metric(metric),
            Sums::Ranks(r) => r.metric(metric),
        }
    }

    /// Labelled rows judged.
    pub fn rows(&self) -> u64 {
        match self {
            Sums::Classes(c) => c.total(),
            Sums::Errors(e) => e.n as u64,
            Sums::Ranks(r) => r.n as u64,
        }
    }

    /// The sums as numbers, to be added over ranks.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Sums::Classes(c) => c.counts.iter().map(|&n| n as f64).chain([c.loss, c.weight]).collect(),
            Sums::Ranks(r) => r.to_f64(),
            Sums::Errors(e) => vec![e.n, e.error, e.squared, e.absolute, e.target, e.target_squared],
        }
    }

    /// The reverse of [`Sums::to_f64`], into sums of the same form.
    pub fn set_f64(&mut self, values: &[f64]) {
        match self {
            Sums::Classes(c) => {
                let (counts, rest) = values.split_at(c.counts.len());
                c.counts.iter_mut().zip(counts).for_each(|(n, v)| *n = *v as u64);
                (c.loss, c.weight) = (rest[0], rest[1]);
            }
            Sums::Ranks(r) => r.set_f64(values),
            Sums::Errors(e) => {
                [e.n, e.error, e.squared, e.absolute, e.target, e.target_squared] =
                    values.try_into().expect("six sums");
            }
        }
    }
}

/// Counts of (true class, predicted class), row-major, and the sum of −log p of the true class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    pub classes: usize,
    pub counts: Vec<u64>,
    pub loss: f64,
    pub weight: f64,
}

/// Precision, recall and F1 of one class; 0 where undefined, as scikit-learn does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    pub support: u64,
    pub predicted: u64,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl Confusion {
    pub fn new(classes: usize) -> Self {
        Confusion { classes, counts: vec![0; classes * classes], loss: 0.0, weight: 0.0 }
    }

    /// Adds one labelled row of raw scores. Ties go to the smaller class index.
    pub fn add(&mut self, truth: usize, logits: &[f32]) {
        let best = argmax(logits);
        self.counts[truth * self.classes + best] += 1;
        self.loss += -log_softmax_at(logits, truth);
        self.weight += 1.0;
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn correct(&self) -> u64 {
        (0..self.classes).map(|c| self.counts[c * self.classes + c]).sum()
    }

    pub fn class(&self, c: usize) -> ClassScore {
        let hit = self.counts[c * self.classes + c] as f64;
        let support: u64 = self.counts[c * self.classes..(c + 1) * self.classes].iter().sum();
        let predicted: u64 = (0..self.classes).map(|t| self.counts[t * self.classes + c]).sum();
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let (precision, recall) = (ratio(hit, predicted as f64), ratio(hit, support as f64));
        let f1 = ratio(2.0 * hit, (support + predicted) as f64);
        ClassScore { support, predicted, precision, recall, f1 }
    }

    /// Macro F1 is the mean over classes that occur or are predicted, as scikit-learn's default labels are.
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        let scores = || (0..self.classes).map(|c| self.class(c)).filter(|s| s.support + s.predicted > 0);
        match metric {
            Metric::Accuracy | Metric::F1Micro => Some(self.correct() as f64 / total as f64),
            Metric::F1Macro => Some(mean(scores().map(|s| s.f1))),
            Metric::F1Weighted => Some(scores().map(|s| s.f1 * s.support as f64).sum::<f64>() / total as f64),
            Metric::Loss => Some(self.loss / self.weight),
            _ => None,
        }
    }
}

/// Sums of errors (prediction − target) in the label's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ErrorSums {
    pub n: f64,
    pub error: f64,
    pub squared: f64,
    pub absolute: f64,
    pub target: f64,
    pub target_squared: f64,
}

impl ErrorSums {
    pub fn add(&mut self, prediction: f64, target: f64) {
        let e = prediction - target;
        self.n += 1.0;
        self.error += e;
        self.squared += e * e;
        self.absolute += e.abs();
        self.target += target;
        self.target_squared += target * target;
    }

    pub fn metric(&self, metric: Metric) -> Option<f64> {
        if self.n == 0.0 {
            return None;
        }
        match metric {
            Metric::Rmse => Some((self.squared / self.n).sqrt()),
            Metric::Mae => Some(self.absolute / self.n),
            Metric::Loss => Some(self.squared / self.n),
            Metric::R2 => {
                let spread = self.target_squared - self.target * self.target / self.n;
                (spread > 0.0).then(|| 1.0 - self.squared / spread)
            }
            _ => None,
        }
    }
}

/// Index of the largest value; the first of equals; NaN never wins.
pub fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &x) in row.iter().enumerate().skip(1) {
        if x > row[best] || row[best].is_nan() {
            best = i;
        }
    }
    best
}

/// log softmax(row)[at], by log-sum-exp in f64.
pub fn log_softmax_at(row: &[f32], at: usize) -> f64 {
    let max = row.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x)) as f64;
    let sum: f64 = row.iter().map(|&x| (x as f64 - max).exp()).sum();
    row[at] as f64 - max - sum.ln()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.fold((0usize, 0.0), |(n, s), v| (n + 1, s + v));
    if n == 0 { 0.0 } else { sum / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion(rows: &[(usize, [f32; 3])]) -> Confusion {
        let mut c = Confusion::new(3);
        rows.iter().for_each(|(t, x)| c.add(*t, x));
        c
    }

    #[test]
    fn f1_by_hand() {
        let c = confusion(&[(0, [2., 1., 0.]), (0, [0., 3., 0.]), (1, [0., 1., 0.]), (2, [5., 0., 0.])]);
        assert_eq!(c.metric(Metric::Accuracy), Some(0.5));
        let f1 = [0.5, 2.0 / 3.0, 0.0];
        assert!((c.metric(Metric::F1Macro).unwrap() - f1.iter().sum::<f64>() / 3.0).abs() < 1e-12);
        assert!((c.metric(Metric::F1Weighted).unwrap() - (1.0 + 2.0 / 3.0) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn sums_survive_the_trip_over_ranks() {
        let c = Sums::Classes(confusion(&[(0, [2., 1., 0.]), (2, [0., 3., 0.])]));
        let mut back = Sums::Classes(Confusion::new(3));
        back.set_f64(&c.to_f64());
        assert_eq!(c, back);
    }

    #[test]
    fn regression_by_hand() {
        let mut e = ErrorSums::default();
        [(1.0, 2.0), (3.0, 3.0), (5.0, 3.0)].iter().for_each(|(p, t)| e.add(*p, *t));
        assert!((e.metric(Metric::Rmse).unwrap() - (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((e.metric(Metric::Mae).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn log_softmax_is_stable() {
        assert!(log_softmax_at(&[1e4, -1e4], 0).abs() < 1e-9);
        assert!((log_softmax_at(&[1e4, -1e4], 1) + 2e4).abs() < 1e-6);
    }
}
