//! Rows of any number of classes each.

use super::Times;
use super::counts::{Tally, mean};
use super::means::{Means, of_row};
use super::order::Orders;
use super::row::softplus;
use gsl_plan::plan::Metric;

/// What is kept of each row. A class is predicted where its score is above 0, its probability above ½.
#[derive(Debug, Clone, PartialEq)]
pub struct SeveralRows {
    classes: usize,
    /// Rows × classes.
    decisions: Vec<Decision>,
    means: Means,
    orders: Orders,
    rows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Unknown,
    Hit,
    Missed,
    False,
    Rejected,
}

impl SeveralRows {
    pub fn new(classes: usize, metrics: &[Metric]) -> Self {
        SeveralRows {
            classes,
            decisions: Vec::new(),
            means: Means::new(&[Metric::Loss, Metric::LogLoss, Metric::Accuracy], metrics),
            orders: Orders::new(classes, metrics),
            rows: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many numbers a pass over the rows looks at.
    pub fn effort(&self) -> usize {
        self.decisions.len() * 2 + self.len() * self.means.width()
    }

    /// Adds a row: 1 for each class that it has, else 0, NaN where it is not known; and the raw scores.
    pub fn add(&mut self, label: &[f32], scores: &[f32]) {
        let all = || label.iter().zip(scores).map(|(y, s)| (*y, f64::from(*s)));
        let known = || all().filter(|(y, _)| !y.is_nan()).map(|(y, s)| (s, y > 0.5));
        self.means.add(|metric| match metric {
            Metric::Accuracy => Some(f64::from(u8::from(known().all(|(s, has)| (s > 0.0) == has)))),
            Metric::Loss | Metric::LogLoss => {
                mean(known().map(|(s, has)| softplus(if has { -s } else { s })))
            }
            _ => of_row(metric, known()),
        });
        if self.orders.are_wanted() {
            let known = all().enumerate().filter(|(_, (y, _))| !y.is_nan());
            known.for_each(|(class, (y, s))| self.orders.add(class, self.rows, s, y > 0.5));
        }
        self.decisions.extend(label.iter().zip(scores).map(|(y, s)| decision(*y, *s)));
        self.rows += 1;
    }

    pub fn finish(&mut self) {
        self.orders.finish();
    }

    pub fn tallies(&self, times: Times) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); self.classes];
        for (row, decisions) in self.decisions.chunks_exact(self.classes.max(1)).enumerate() {
            let count = times.of(row);
            for (tally, decision) in tallies.iter_mut().zip(decisions) {
                let as_count = |is: bool| if is { count } else { 0 };
                tally.rows += as_count(*decision != Decision::Unknown);
                tally.hit += as_count(*decision == Decision::Hit);
                tally.support += as_count(matches!(decision, Decision::Hit | Decision::Missed));
                tally.predicted += as_count(matches!(decision, Decision::Hit | Decision::False));
            }
        }
        tallies
    }

    /// Metrics that tallies do not give.
    pub fn metric(&self, metric: Metric, times: Times) -> Option<f64> {
        self.means.metric(metric, times).or_else(|| self.orders.averaged(metric, times))
    }

    pub fn by_class(&self, metric: Metric) -> Vec<Option<f64>> {
        let tallies = self.tallies(Times::Once);
        let of = |class: usize| {
            tallies[class].metric(metric).or_else(|| self.orders.of(class, metric, Times::Once))
        };
        (0..self.classes).map(of).collect()
    }
}

fn decision(label: f32, score: f32) -> Decision {
    match (label > 0.5, score > 0.0) {
        _ if label.is_nan() => Decision::Unknown,
        (true, true) => Decision::Hit,
        (true, false) => Decision::Missed,
        (false, true) => Decision::False,
        (false, false) => Decision::Rejected,
    }
}
