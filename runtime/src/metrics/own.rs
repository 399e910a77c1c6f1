//! Metrics of the program's own, which look at whole rows.

use super::{RankRow, Times};
use crate::extend::{Extensions, LinkMetric, RankedLinks, ScoredRows};
use gsl_plan::plan::{Metric, Task};
use gsl_plan::symbol::Symbol;
use std::fmt;
use std::sync::Arc;

/// Those that are asked for, and the rows that they look at; nothing where none is.
#[derive(Clone, Default)]
pub struct OwnMetrics {
    of_rows: Vec<(Symbol, Arc<dyn crate::extend::Metric>)>,
    of_links: Vec<(Symbol, Arc<dyn LinkMetric>)>,
    /// Of a number: what a score is multiplied by and what is added, so that it is in the label's own unit.
    unit: Option<(f64, f64)>,
    label_width: usize,
    labels: Vec<f32>,
    scores: Vec<f32>,
}

impl fmt::Debug for OwnMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            self.of_rows.iter().map(|(name, _)| name).chain(self.of_links.iter().map(|(name, _)| name));
        f.debug_list().entries(names).finish()
    }
}

impl OwnMetrics {
    pub fn new(task: &Task, metrics: &[Metric], extensions: &Extensions) -> Self {
        let mut own = OwnMetrics { label_width: task.label_width(), ..OwnMetrics::default() };
        match task {
            Task::Regression { mean, std } => own.unit = Some((*std, *mean)),
            Task::Reconstruction { width, .. } => own.label_width = *width,
            _ => {}
        }
        for metric in metrics {
            let Metric::Rust { name, .. } = metric else { continue };
            if let Some(found) = extensions.metric_of(name.as_str()) {
                own.of_rows.push((*name, found.clone()));
            }
            if let Some(found) = extensions.link_metric_of(name.as_str()) {
                own.of_links.push((*name, found.clone()));
            }
        }
        own
    }

    /// A labelled row and its raw scores.
    pub fn add(&mut self, label: &[f32], scores: &[f32]) {
        if self.of_rows.is_empty() {
            return;
        }
        self.labels.extend(label);
        match self.unit {
            Some((std, mean)) => {
                self.scores.extend(scores.iter().map(|s| (f64::from(*s) * std + mean) as f32))
            }
            None => self.scores.extend(scores),
        }
    }

    /// How many numbers a pass over the rows looks at.
    pub fn effort(&self) -> usize {
        (self.labels.len() + self.scores.len()) * self.of_rows.len()
    }

    /// The metric of the rows, or of links by their ranks.
    pub fn value(&self, name: Symbol, ranks: &[RankRow], times: Times) -> Option<f64> {
        let times = if let Times::Each(times) = times { Some(times) } else { None };
        if let Some((_, metric)) = self.of_links.iter().find(|(of, _)| *of == name) {
            return if ranks.is_empty() { None } else { metric.value(&RankedLinks { rows: ranks, times }) };
        }
        let (_, metric) = self.of_rows.iter().find(|(of, _)| *of == name)?;
        let rows = self.labels.len() / self.label_width.max(1);
        if rows == 0 {
            return None;
        }
        metric.value(&ScoredRows {
            label_width: self.label_width,
            labels: &self.labels,
            score_width: self.scores.len() / rows,
            scores: &self.scores,
            times,
        })
    }
}
