//! Ranks of links, as sums: exact whatever the chunks and ranks were.

use gsl_plan::plan::Metric;
use serde::{Deserialize, Serialize};

/// Sums over ranked pairs; each side that was corrupted counts as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankSums {
    pub n: f64,
    /// Σ 1 / rank
    pub reciprocal: f64,
    /// Σ rank
    pub rank: f64,
    /// Σ candidates, the right one not counted.
    pub candidates: f64,
    /// For each k, how many ranks are up to k.
    pub hits: Vec<(u32, f64)>,
}

impl RankSums {
    pub fn new(metrics: &[Metric]) -> Self {
        let k = |metric: &Metric| if let Metric::Hits(k) = metric { Some((*k, 0.0)) } else { None };
        let hits = metrics.iter().filter_map(k).collect();
        RankSums { n: 0.0, reciprocal: 0.0, rank: 0.0, candidates: 0.0, hits }
    }

    pub fn add(&mut self, rank: f64, candidates: u64) {
        self.n += 1.0;
        self.reciprocal += 1.0 / rank;
        self.rank += rank;
        self.candidates += candidates as f64;
        self.hits.iter_mut().filter(|(k, _)| rank <= f64::from(*k)).for_each(|(_, n)| *n += 1.0);
    }

    pub fn metric(&self, metric: Metric) -> Option<f64> {
        if self.n == 0.0 {
            return None;
        }
        match metric {
            Metric::Mrr => Some(self.reciprocal / self.n),
            Metric::MeanRank => Some(self.rank / self.n),
            Metric::Hits(k) => self.hits.iter().find(|(of, _)| *of == k).map(|(_, hits)| hits / self.n),
            Metric::Amri => {
                (self.candidates > 0.0).then(|| 1.0 - 2.0 * (self.rank - self.n) / self.candidates)
            }
            _ => None,
        }
    }

    pub fn to_f64(&self) -> Vec<f64> {
        let own = [self.n, self.reciprocal, self.rank, self.candidates];
        own.into_iter().chain(self.hits.iter().map(|(_, n)| *n)).collect()
    }

    pub fn set_f64(&mut self, values: &[f64]) {
        let [n, reciprocal, rank, candidates, hits @ ..] = values else { return };
        (self.n, self.reciprocal, self.rank, self.candidates) = (*n, *reciprocal, *rank, *candidates);
        self.hits.iter_mut().zip(hits).for_each(|((_, n), value)| *n = *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut sums = RankSums::new(&[Metric::Mrr, Metric::Hits(1), Metric::Hits(10)]);
        [(1.0, 10), (2.0, 10), (11.0, 10)].into_iter().for_each(|(rank, n)| sums.add(rank, n));
        let near = |metric, x: f64| assert!((sums.metric(metric).unwrap() - x).abs() < 1e-12);
        near(Metric::Mrr, (1.0 + 0.5 + 1.0 / 11.0) / 3.0);
        near(Metric::Hits(1), 1.0 / 3.0);
        near(Metric::Hits(10), 2.0 / 3.0);
        near(Metric::Amri, 1.0 - 2.0 * 11.0 / 30.0);
        assert_eq!(sums.metric(Metric::Accuracy), None);
    }
}
