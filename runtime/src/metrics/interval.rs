//! How sure a metric is: 95% intervals.
//!
//! A share of rows has Wilson's interval; any other metric is computed again for rows drawn anew, with replacement (the bootstrap;
//! Efron 1979), and the middle 95% of these numbers are its interval. Which rows are drawn is a function of the seed.

use super::{Judged, Ordered, Times};
use gsl_kernels::random::Key;
use gsl_plan::plan::Metric;
use rayon::prelude::*;
use std::collections::BTreeMap;

const PURPOSE: u32 = u32::from_be_bytes(*b"boot");
/// Of the standard normal distribution: 97.5%.
const Z: f64 = 1.959_963_984_540_054;
const MOST: usize = 1000;
const LEAST: usize = 50;
/// Numbers looked at in all draws together, by which their number is cut.
const EFFORT: usize = 500_000_000;

/// By name, the intervals of those of `metrics` that are one number.
pub fn intervals(judged: &Judged, metrics: &[Metric], seed: u64) -> Ordered<[f64; 2]> {
    let single: Vec<Metric> = metrics.iter().copied().filter(|m| !m.is_by_class()).collect();
    let (shares, others): (Vec<Metric>, Vec<Metric>) = single.into_iter().partition(|m| is_share(judged, *m));
    let n = judged.rows() as f64;
    let of_share = |m: Metric| Some((m.name(), wilson(judged.metric(m)? * n, n)));
    let mut found: BTreeMap<String, [f64; 2]> = shares.into_iter().filter_map(of_share).collect();
    if judged.rows() > 1 && !others.is_empty() {
        found.extend(bootstrap(judged, &others, seed));
    }
    metrics.iter().filter_map(|metric| found.remove_entry(&metric.name())).collect()
}

/// Whether a metric is a share of the rows, each of which counts for or against it.
fn is_share(judged: &Judged, metric: Metric) -> bool {
    metric == Metric::Accuracy && !judged.is_of_numbers() && judged.rows() > 0
}

/// The shares p for which `hits` of `n` is not out of the ordinary: |p̂ − p| ≤ z √(p (1 − p) / n). Wilson 1927.
pub fn wilson(hits: f64, n: f64) -> [f64; 2] {
    let share = hits / n;
    let square = Z * Z / n;
    let centre = (share + square / 2.0) / (1.0 + square);
    let half = Z / (1.0 + square) * (share * (1.0 - share) / n + square / (4.0 * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

fn bootstrap(judged: &Judged, metrics: &[Metric], seed: u64) -> Vec<(String, [f64; 2])> {
    let draws = (EFFORT / judged.effort().max(1)).clamp(LEAST, MOST);
    let key = Key::new(seed, PURPOSE);
    let drawn: Vec<Vec<Option<f64>>> = (0..draws as u64)
        .into_par_iter()
        .map(|draw| {
            let times = redrawn(key.fold(draw), judged.rows());
            let times = Times::Each(&times);
            let sums = judged.sums(times);
            metrics.iter().map(|m| judged.counted(*m, times, &sums)).collect()
        })
        .collect();
    let middle = |(at, metric): (usize, &Metric)| {
        let values: Vec<f64> = drawn.iter().filter_map(|d| d[at]).filter(|v| v.is_finite()).collect();
        (values.len() * 2 >= draws).then(|| (metric.name(), middle(values)))
    };
    metrics.iter().enumerate().filter_map(middle).collect()
}

/// How often each of `n` rows comes up in `n` draws.
fn redrawn(key: Key, n: usize) -> Vec<u32> {
    let mut times = vec![0; n];
    let mut stream = key.stream();
    (0..n).for_each(|_| times[stream.below(n as u32) as usize] += 1);
    times
}

/// From the 2.5th to the 97.5th percentile.
fn middle(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (values.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        values[low] + part * (values[(low + 1).min(values.len() - 1)] - values[low])
    };
    [at(0.025), at(0.975)]
}
