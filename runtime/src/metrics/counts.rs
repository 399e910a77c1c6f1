//! What judged rows add up to, and the metrics that follow from these sums alone.

use super::RankSums;
use gsl_plan::plan::{Average, Metric};
use serde::{Deserialize, Serialize};

/// What a set of predictions adds up to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Sums {
    Classes(Confusion),
    Several(Vec<Tally>),
    Errors(ErrorSums),
    Ranks(RankSums),
}

impl Sums {
    /// The metric, or none where the sums do not define it (no rows; F1 of a regression).
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        match self {
            Sums::Classes(c) => c.metric(metric),
            Sums::Several(tallies) => of_tallies(tallies, metric),
            Sums::Errors(e) => e.metric(metric),
            Sums::Ranks(r) => r.metric(metric),
        }
    }

    /// Labelled rows judged; of several classes, of the class that most rows are known of.
    pub fn rows(&self) -> u64 {
        match self {
            Sums::Classes(c) => c.total(),
            Sums::Several(tallies) => tallies.iter().map(|t| t.rows).max().unwrap_or(0),
            Sums::Errors(e) => e.n as u64,
            Sums::Ranks(r) => r.n as u64,
        }
    }

    /// Of each class; none of numbers.
    pub fn by_class(&self) -> Vec<ClassScore> {
        match self {
            Sums::Classes(c) => (0..c.classes).map(|class| c.class(class)).collect(),
            Sums::Several(tallies) => tallies.iter().map(Tally::score).collect(),
            Sums::Errors(_) | Sums::Ranks(_) => Vec::new(),
        }
    }
}

/// One class: rows that have it, that it was predicted for, and where both is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Rows of which it is known.
    pub rows: u64,
    pub hit: u64,
    pub support: u64,
    pub predicted: u64,
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

impl Tally {
    pub fn precision(&self) -> f64 {
        ratio(self.hit as f64, self.predicted as f64)
    }

    pub fn recall(&self) -> f64 {
        ratio(self.hit as f64, self.support as f64)
    }

    /// (1 + β²) P R / (β² P + R) = (1 + β²) hit / (β² support + predicted).
    pub fn f(&self, beta: f64) -> f64 {
        let square = beta * beta;
        ratio((1.0 + square) * self.hit as f64, square * self.support as f64 + self.predicted as f64)
    }

    pub fn score(&self) -> ClassScore {
        let (precision, recall, f1) = (self.precision(), self.recall(), self.f(1.0));
        ClassScore { support: self.support, predicted: self.predicted, precision, recall, f1 }
    }

    /// The class's number that a metric averages.
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Precision(_) => Some(self.precision()),
            Metric::Recall(_) => Some(self.recall()),
            Metric::F { beta, .. } => Some(self.f(beta)),
            _ => None,
        }
    }

    fn occurs(&self) -> bool {
        self.support + self.predicted > 0
    }
}

/// Precision, recall or F over classes. Macro is the mean over classes that occur or are predicted, as scikit-learn's default
/// labels are; micro is of all decisions together.
fn of_tallies(tallies: &[Tally], metric: Metric) -> Option<f64> {
    let occurring = || tallies.iter().filter(|t| t.occurs());
    let values = || occurring().filter_map(|t| t.metric(metric));
    if tallies.iter().all(|t| t.rows == 0) {
        return None;
    }
    match metric.average()? {
        Average::Macro => mean(values()).or_else(|| Tally::default().metric(metric)),
        Average::Weighted => {
            let support: u64 = tallies.iter().map(|t| t.support).sum();
            Tally::default().metric(metric)?;
            let sum: f64 = occurring().zip(values()).map(|(t, v)| v * t.support as f64).sum();
            Some(ratio(sum, support as f64))
        }
        Average::Micro => all(tallies).metric(metric),
        Average::Each => None,
    }
}

fn all(tallies: &[Tally]) -> Tally {
    tallies.iter().fold(Tally::default(), |sum, t| Tally {
        rows: sum.rows + t.rows,
        hit: sum.hit + t.hit,
        support: sum.support + t.support,
        predicted: sum.predicted + t.predicted,
    })
}

/// Counts of (true class, predicted class), row-major, and the sum of −log p of the true class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    pub classes: usize,
    pub counts: Vec<u64>,
    pub loss: f64,
}

impl Confusion {
    pub fn new(classes: usize) -> Self {
        Confusion { classes, counts: vec![0; classes * classes], loss: 0.0 }
    }

    /// Counts a row `times` times.
    pub fn add(&mut self, truth: usize, predicted: usize, loss: f64, times: u64) {
        self.counts[truth * self.classes + predicted] += times;
        if times > 0 {
            self.loss += loss * times as f64;
        }
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn correct(&self) -> u64 {
        (0..self.classes).map(|c| self.counts[c * self.classes + c]).sum()
    }

    pub fn class(&self, c: usize) -> ClassScore {
        self.tallies()[c].score()
    }

    pub fn tallies(&self) -> Vec<Tally> {
        let (n, rows) = (self.classes, self.total());
        let mut tallies = vec![Tally { rows, ..Tally::default() }; n];
        for (at, &count) in self.counts.iter().enumerate() {
            let (truth, predicted) = (at / n, at % n);
            tallies[truth].support += count;
            tallies[predicted].predicted += count;
            tallies[truth].hit += if truth == predicted { count } else { 0 };
        }
        tallies
    }

    pub fn metric(&self, metric: Metric) -> Option<f64> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        match metric {
            Metric::Accuracy => Some(self.correct() as f64 / total as f64),
            Metric::BalancedAccuracy => {
                mean(self.tallies().iter().filter(|t| t.support > 0).map(Tally::recall))
            }
            Metric::Loss | Metric::LogLoss => Some(self.loss / total as f64),
            _ => of_tallies(&self.tallies(), metric),
        }
    }
}

/// Sums over (prediction, target) in the label's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ErrorSums {
    pub n: f64,
    pub squared: f64,
    pub absolute: f64,
    /// Σ |error| / |target| over the `nonzero` rows whose target is not 0.
    pub relative: f64,
    pub nonzero: f64,
    /// Σ (target − mean)².
    pub spread: f64,
}

impl ErrorSums {
    /// R² is 1 − Σ error² / Σ (target − mean)²; none for targets that are all alike.
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        if self.n == 0.0 {
            return None;
        }
        match metric {
            Metric::Rmse => Some((self.squared / self.n).sqrt()),
            Metric::Mae => Some(self.absolute / self.n),
            Metric::Loss | Metric::Mse => Some(self.squared / self.n),
            Metric::Mape => (self.nonzero > 0.0).then(|| self.relative / self.nonzero),
            Metric::R2 => (self.spread > 0.0).then(|| 1.0 - self.squared / self.spread),
            _ => None,
        }
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// None of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0usize, 0.0), |(n, s), v| (n + 1, s + v));
    (n > 0).then(|| sum / n as f64)
}
