//! Rows of one class each.

use super::Times;
use super::counts::Confusion;
use super::means::{Means, of_row};
use super::order::Orders;
use super::row::{argmax, log_odds, log_softmax_at};
use gsl_plan::plan::Metric;

/// What is kept of each row.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRows {
    classes: usize,
    truth: Vec<u32>,
    best: Vec<u32>,
    /// −log p of the true class.
    surprise: Vec<f64>,
    /// p of the predicted class.
    sure: Vec<f32>,
    means: Means,
    /// By the log-odds of the class.
    orders: Orders,
}

impl ClassRows {
    pub fn new(classes: usize, metrics: &[Metric]) -> Self {
        ClassRows {
            classes,
            truth: Vec::new(),
            best: Vec::new(),
            surprise: Vec::new(),
            sure: Vec::new(),
            means: Means::new(&[], metrics),
            orders: Orders::new(classes, metrics),
        }
    }

    pub fn len(&self) -> usize {
        self.truth.len()
    }

    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// How many numbers a pass over the rows looks at.
    pub fn effort(&self) -> usize {
        self.len() * (1 + self.orders.len() + self.means.width())
    }

    /// Adds a row of raw scores. Ties go to the smaller class index.
    pub fn add(&mut self, truth: usize, scores: &[f32]) {
        let best = argmax(scores);
        let row = self.len();
        self.truth.push(truth as u32);
        self.best.push(best as u32);
        self.surprise.push(-log_softmax_at(scores, truth));
        self.sure.push(log_softmax_at(scores, best).exp() as f32);
        let classes = || scores.iter().enumerate().map(|(class, &s)| (f64::from(s), class == truth));
        self.means.add(|metric| of_row(metric, classes()));
        if self.orders.are_wanted() {
            let odds = log_odds(scores).into_iter().enumerate();
            odds.for_each(|(class, odds)| self.orders.add(class, row, f64::from(odds), class == truth));
        }
    }

    pub fn finish(&mut self) {
        self.orders.finish();
    }

    pub fn confusion(&self, times: Times) -> Confusion {
        let mut confusion = Confusion::new(self.classes);
        for row in 0..self.len() {
            let (truth, best) = (self.truth[row] as usize, self.best[row] as usize);
            confusion.add(truth, best, self.surprise[row], times.of(row));
        }
        confusion
    }

    /// Metrics that sums do not give.
    pub fn metric(&self, metric: Metric, times: Times) -> Option<f64> {
        match metric {
            Metric::CalibrationError { bins } => self.calibration_error(bins, times),
            Metric::Ndcg(_) | Metric::RecallAt(_) => self.means.metric(metric, times),
            _ if self.classes == 2 => self.orders.of(1, metric, times),
            _ => self.orders.averaged(metric, times),
        }
    }

    pub fn by_class(&self, metric: Metric) -> Vec<Option<f64>> {
        let tallies = self.confusion(Times::Once).tallies();
        let of = |class: usize| {
            tallies[class].metric(metric).or_else(|| self.orders.of(class, metric, Times::Once))
        };
        (0..self.classes).map(of).collect()
    }

    /// Σ over bins of |Σ (right − confidence)| / rows, bins of equal width of the confidence in (0, 1\]. Guo et al. 2017, "On
    /// calibration of modern neural networks", eq. 3.
    fn calibration_error(&self, bins: u32, times: Times) -> Option<f64> {
        let mut gaps = vec![0.0; bins as usize];
        let mut rows = 0;
        for (row, &sure) in self.sure.iter().enumerate() {
            let count = times.of(row);
            let bin = ((f64::from(sure) * f64::from(bins)).ceil() as usize).clamp(1, bins as usize) - 1;
            let right = f64::from(u8::from(self.truth[row] == self.best[row]));
            gaps[bin] += (right - f64::from(sure)) * count as f64;
            rows += count;
        }
        (rows > 0).then(|| gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / rows as f64)
    }
}
