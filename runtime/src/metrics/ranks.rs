//! Links by the rank that each has among its candidates. Each end that is corrupted counts as one row.

use super::Times;
use gsl_plan::plan::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankRow {
    /// From 1, ties counting half.
    pub rank: f64,
    /// The right one not counted.
    pub candidates: f64,
    /// The link's relation, by its number among those of the prediction.
    pub kind: u32,
}

/// Ranks, in the order of the edges, one side after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RankRows {
    rows: Vec<RankRow>,
    /// The k of the metrics `hits(k)`.
    hits: Vec<u32>,
}

impl RankRows {
    pub fn new(metrics: &[Metric]) -> Self {
        let k = |metric: &Metric| if let Metric::Hits(k) = metric { Some(*k) } else { None };
        RankRows { rows: Vec::new(), hits: metrics.iter().filter_map(k).collect() }
    }

    pub fn add(&mut self, row: RankRow) {
        self.rows.push(row);
    }

    pub fn rows(&self) -> &[RankRow] {
        &self.rows
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn sums(&self, times: Times) -> RankSums {
        let mut sums = self.no_sums();
        for (at, row) in self.rows.iter().enumerate() {
            sums.add(times.of(at) as f64, row);
        }
        sums
    }

    /// Of each relation that has rows.
    pub fn by_relation(&self) -> BTreeMap<u32, RankSums> {
        let mut found = BTreeMap::new();
        for row in &self.rows {
            found.entry(row.kind).or_insert_with(|| self.no_sums()).add(1.0, row);
        }
        found
    }

    fn no_sums(&self) -> RankSums {
        RankSums { hits: self.hits.iter().map(|k| (*k, 0.0)).collect(), ..RankSums::default() }
    }
}

/// Sums over ranks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RankSums {
    pub n: f64,
    /// Σ 1 / rank
    pub reciprocal: f64,
    /// Σ rank
    pub rank: f64,
    /// Σ candidates
    pub candidates: f64,
    /// For each k, how many ranks are up to k.
    pub hits: Vec<(u32, f64)>,
}

impl RankSums {
    fn add(&mut self, times: f64, &RankRow { rank, candidates, .. }: &RankRow) {
        self.n += times;
        self.reciprocal += times / rank;
        self.rank += times * rank;
        self.candidates += times * candidates;
        self.hits.iter_mut().filter(|(k, _)| rank <= f64::from(*k)).for_each(|(_, n)| *n += times);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut rows = RankRows::new(&[Metric::Mrr, Metric::Hits(1), Metric::Hits(10)]);
        let kinds = [(1.0, 3), (2.0, 0), (11.0, 3)];
        kinds.into_iter().for_each(|(rank, kind)| rows.add(RankRow { rank, candidates: 10.0, kind }));
        let sums = rows.sums(Times::Once);
        let near = |metric, x: f64| assert!((sums.metric(metric).unwrap() - x).abs() < 1e-12);
        near(Metric::Mrr, (1.0 + 0.5 + 1.0 / 11.0) / 3.0);
        near(Metric::Hits(1), 1.0 / 3.0);
        near(Metric::Hits(10), 2.0 / 3.0);
        near(Metric::Amri, 1.0 - 2.0 * 11.0 / 30.0);
        assert_eq!(sums.metric(Metric::Accuracy), None);
        let by_relation = rows.by_relation();
        assert_eq!(by_relation.keys().copied().collect::<Vec<_>>(), [0, 3]);
        assert_eq!(by_relation[&0].metric(Metric::Mrr), Some(0.5));
        assert_eq!(by_relation[&3].metric(Metric::MeanRank), Some(6.0));
    }
}
