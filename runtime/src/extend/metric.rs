//! Metrics of a program's own.

pub use crate::metrics::RankRow;

/// The labelled rows of a part of the split, in the order of their nodes or edges, and what the model says of them.
#[derive(Debug, Clone, Copy)]
pub struct ScoredRows<'a> {
    /// Numbers of a row of `labels`: 1, or of several classes their number.
    pub label_width: usize,
    /// rows × label width: the index of the class; of several classes a 0 or 1 for each, NaN where it is not known; or the number.
    pub labels: &'a [f32],
    /// Numbers of a row of `scores`: the classes, or 1.
    pub score_width: usize,
    /// rows × score width: raw scores, as the decoder gives them; of a number the prediction in the label's own unit.
    pub scores: &'a [f32],
    /// How often each row counts, if not once: rows are drawn anew to find how sure a number is.
    pub times: Option<&'a [u32]>,
}

impl<'a> ScoredRows<'a> {
    pub fn len(&self) -> usize {
        self.labels.len() / self.label_width.max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The label of each row, its scores, and how often it counts; rows that do not count are left out.
    pub fn rows(&self) -> impl Iterator<Item = (&'a [f32], &'a [f32], f64)> + use<'a> {
        let labels = self.labels.chunks_exact(self.label_width.max(1));
        let scores = self.scores.chunks_exact(self.score_width.max(1));
        let times = self.times;
        let all = labels.zip(scores).enumerate();
        all.map(move |(row, (label, scores))| (label, scores, times.map_or(1.0, |t| f64::from(t[row]))))
            .filter(|(_, _, times)| *times > 0.0)
    }
}

/// A number for how good predictions of a label are. It is asked with all rows at once, so that it depends on neither
/// batches nor ranks.
pub trait Metric: Send + Sync {
    /// The number, or none where these rows do not define it.
    fn value(&self, rows: &ScoredRows) -> Option<f64>;

    /// Whether a model with more of it is better: what `stop` and `best` go by.
    fn higher_is_better(&self) -> bool {
        true
    }
}

impl<F: Fn(&ScoredRows) -> Option<f64> + Send + Sync> Metric for F {
    fn value(&self, rows: &ScoredRows) -> Option<f64> {
        self(rows)
    }
}

/// The links of a part of the split, each by its rank among its candidates; each end that is corrupted is a row.
#[derive(Debug, Clone, Copy)]
pub struct RankedLinks<'a> {
    pub rows: &'a [RankRow],
    /// How often each row counts, if not once.
    pub times: Option<&'a [u32]>,
}

impl<'a> RankedLinks<'a> {
    /// Rank, candidates, and how often the row counts.
    pub fn rows(&self) -> impl Iterator<Item = (f64, f64, f64)> + use<'a> {
        let times = self.times;
        let all = self.rows.iter().enumerate();
        all.map(move |(at, row)| (row.rank, row.candidates, times.map_or(1.0, |t| f64::from(t[at]))))
    }
}

/// A number for how well links are ranked.
pub trait LinkMetric: Send + Sync {
    /// The number, or none where these ranks do not define it.
    fn value(&self, links: &RankedLinks) -> Option<f64>;

    /// Whether a model with more of it is better.
    fn higher_is_better(&self) -> bool {
        true
    }
}

impl<F: Fn(&RankedLinks) -> Option<f64> + Send + Sync> LinkMetric for F {
    fn value(&self, links: &RankedLinks) -> Option<f64> {
        self(links)
    }
}
