//! Metrics of the order that scores put rows in. Only groups of equal scores are told apart, so that ties count by halves.

use super::Times;
use super::counts::mean;
use gsl_plan::plan::{Average, Metric};

/// The orders of all classes; none where no metric needs them.
#[derive(Debug, Clone, PartialEq)]
pub struct Orders {
    /// By class, (score, row, whether it has the class), until they are put in order.
    scored: Vec<Vec<(f64, u32, bool)>>,
    orders: Vec<Order>,
}

impl Orders {
    pub fn new(classes: usize, asked: &[Metric]) -> Self {
        let wanted = asked.iter().any(|m| m.needs_order());
        Orders { scored: vec![Vec::new(); if wanted { classes } else { 0 }], orders: Vec::new() }
    }

    pub fn are_wanted(&self) -> bool {
        !self.scored.is_empty()
    }

    pub fn add(&mut self, class: usize, row: usize, score: f64, has: bool) {
        self.scored[class].push((score, row as u32, has));
    }

    pub fn finish(&mut self) {
        self.orders = std::mem::take(&mut self.scored).into_iter().map(Order::new).collect();
    }

    pub fn len(&self) -> usize {
        self.orders.len()
    }

    pub fn of(&self, class: usize, metric: Metric, times: Times) -> Option<f64> {
        self.orders.get(class)?.metric(metric, times)
    }

    /// Over the classes that define it: their mean, or weighted by the rows that have them.
    pub fn averaged(&self, metric: Metric, times: Times) -> Option<f64> {
        let defined = || self.orders.iter().filter_map(|o| Some((o, o.metric(metric, times)?)));
        match metric.average()? {
            Average::Macro => mean(defined().map(|(_, value)| value)),
            Average::Weighted => {
                let weight = |o: &Order| o.totals(times).0;
                let total: f64 = defined().map(|(o, _)| weight(o)).sum();
                (total > 0.0).then(|| defined().map(|(o, value)| value * weight(o)).sum::<f64>() / total)
            }
            Average::Micro | Average::Each => None,
        }
    }
}

/// Rows by falling score of one class.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Order {
    rows: Vec<Ranked>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Ranked {
    row: u32,
    positive: bool,
    /// The last one of its score.
    last: bool,
}

/// Rows of one score, by how often they count.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Group {
    positive: f64,
    negative: f64,
}

impl Order {
    /// Of (score, row, whether it has the class). NaN is the lowest score.
    pub fn new(mut scored: Vec<(f64, u32, bool)>) -> Self {
        scored.iter_mut().filter(|s| s.0.is_nan()).for_each(|s| s.0 = f64::NEG_INFINITY);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let is_last = |i: usize| scored.get(i + 1).is_none_or(|next| next.0 != scored[i].0);
        let ranked = scored.iter().enumerate().map(|(i, &(_, row, positive))| Ranked {
            row,
            positive,
            last: is_last(i),
        });
        Order { rows: ranked.collect() }
    }

    pub fn metric(&self, metric: Metric, times: Times) -> Option<f64> {
        match metric {
            Metric::RocAuc(_) => self.roc_auc(times),
            Metric::AveragePrecision(_) => self.average_precision(times),
            Metric::HitsAt(k) => self.hits_at(times, k),
            Metric::PrecisionAtRecall(least) => self.precision_at_recall(times, least),
            Metric::RecallAtPrecision(least) => self.recall_at_precision(times, least),
            _ => None,
        }
    }

    fn groups(&self, times: Times) -> impl Iterator<Item = Group> {
        self.rows.chunk_by(|a, _| !a.last).map(move |equal| {
            let mut group = Group::default();
            for ranked in equal {
                let count = times.of(ranked.row as usize) as f64;
                if ranked.positive { group.positive += count } else { group.negative += count }
            }
            group
        })
    }

    /// Rows that have the class, and rows that do not.
    pub fn totals(&self, times: Times) -> (f64, f64) {
        self.groups(times).fold((0.0, 0.0), |(p, n), g| (p + g.positive, n + g.negative))
    }

    /// The chance that a row with the class has a higher score than one without, equal scores counted half. Hanley and McNeil
    /// 1982. None where either is missing.
    pub fn roc_auc(&self, times: Times) -> Option<f64> {
        let (mut above, mut pairs, mut negatives) = (0.0, 0.0, 0.0);
        for group in self.groups(times) {
            pairs += group.negative * (above + group.positive / 2.0);
            above += group.positive;
            negatives += group.negative;
        }
        (above > 0.0 && negatives > 0.0).then(|| pairs / (above * negatives))
    }

    /// Σ (Rᵢ − Rᵢ₋₁) Pᵢ over the thresholds from the highest score down: the steps, without the straight lines between points,
    /// which promise too much (Davis and Goadrich 2006). None where no row has the class.
    pub fn average_precision(&self, times: Times) -> Option<f64> {
        let (positives, _) = self.totals(times);
        let (mut area, mut before) = (0.0, 0.0);
        for (precision, recall) in self.curve(times, positives) {
            area += (recall - before) * precision;
            before = recall;
        }
        (positives > 0.0).then_some(area)
    }

    /// The best precision of a threshold whose recall is at least `least`.
    pub fn precision_at_recall(&self, times: Times, least: f64) -> Option<f64> {
        let (positives, _) = self.totals(times);
        let fitting = self.curve(times, positives).filter(|(_, recall)| *recall >= least);
        (positives > 0.0).then(|| fitting.map(|(precision, _)| precision).fold(0.0, f64::max))
    }

    /// The best recall of a threshold whose precision is at least `least`; 0 where there is none.
    pub fn recall_at_precision(&self, times: Times, least: f64) -> Option<f64> {
        let (positives, _) = self.totals(times);
        let fitting = self.curve(times, positives).filter(|(precision, _)| *precision >= least);
        (positives > 0.0).then(|| fitting.map(|(_, recall)| recall).fold(0.0, f64::max))
    }

    /// Rows with the class among the `k` highest scores; of rows of one score that not all fit, their share.
    pub fn hits_at(&self, times: Times, k: u32) -> Option<f64> {
        let (mut left, mut hits) = (f64::from(k), 0.0);
        for group in self.groups(times) {
            let size = group.positive + group.negative;
            let inside = size.min(left);
            if size > 0.0 {
                hits += group.positive * inside / size;
            }
            left -= inside;
        }
        (!self.rows.is_empty()).then_some(hits)
    }

    /// (precision, recall) if everything from the highest score to each threshold is taken.
    fn curve(&self, times: Times, positives: f64) -> impl Iterator<Item = (f64, f64)> {
        let mut taken = Group::default();
        self.groups(times).filter_map(move |group| {
            taken.positive += group.positive;
            taken.negative += group.negative;
            let all = taken.positive + taken.negative;
            (all > 0.0).then(|| (taken.positive / all, taken.positive / positives))
        })
    }
}
