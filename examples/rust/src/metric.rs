//! Metrics, of all rows of a part at once.

use gsc::extend::{Metric, RankedLinks, ScoredRows};

/// Share of the rows whose class is among the two with the highest scores.
pub fn top_two(rows: &ScoredRows) -> Option<f64> {
    let (mut hits, mut all) = (0.0, 0.0);
    for (label, scores, times) in rows.rows() {
        let own = scores[label[0] as usize];
        let better = scores.iter().filter(|score| **score > own).count();
        hits += if better < 2 { times } else { 0.0 };
        all += times;
    }
    (all > 0.0).then(|| hits / all)
}

/// The absolute error that a tenth of the rows exceed, in the label's own unit.
pub struct WorstTenth;

impl Metric for WorstTenth {
    fn value(&self, rows: &ScoredRows) -> Option<f64> {
        let mut errors: Vec<(f64, f64)> = rows
            .rows()
            .map(|(label, scores, times)| (f64::from(scores[0] - label[0]).abs(), times))
            .collect();
        errors.sort_by(|a, b| b.0.total_cmp(&a.0));
        let all: f64 = errors.iter().map(|(_, times)| times).sum();
        let mut passed = 0.0;
        let exceeds = errors.iter().find(|(_, times)| {
            passed += times;
            passed > all / 10.0
        });
        exceeds.map(|(error, _)| *error)
    }

    fn higher_is_better(&self) -> bool {
        false
    }
}

/// Share of the links that are within the first tenth of their candidates.
pub fn first_tenth(links: &RankedLinks) -> Option<f64> {
    let (mut hits, mut all) = (0.0, 0.0);
    for (rank, candidates, times) in links.rows() {
        hits += if rank <= 1.0 + candidates / 10.0 { times } else { 0.0 };
        all += times;
    }
    (all > 0.0).then(|| hits / all)
}
