//! One trial of a sweep: its run, when it is paused, and its record.

use crate::args::RunArgs;
use crate::pipeline::{self, Prepared};
use crate::source::Failure;
use gsl_compiler::sema::sweep::{Sweep, Trial};
use gsl_plan::plan::Monitor;
use gsl_runtime::train::checkpoint::write_atomically;
use gsl_runtime::train::judge::Judge;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Mutex;

/// What a trial has come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub values: Trial,
    /// Hash of the plan and the graph that it is of.
    pub plan: String,
    /// (epochs done, what is watched there)
    pub curve: Vec<(u32, f64)>,
    pub finished: bool,
    /// It was finished by `stop`, before its epochs were over.
    #[serde(default)]
    pub stopped: bool,
    pub pruned: bool,
}

impl Record {
    /// The best value of the curve.
    pub fn best(&self, monitor: &Monitor) -> Option<f64> {
        let better = |a: f64, b: f64| if monitor.is_better(b, a) { b } else { a };
        self.curve.iter().map(|(_, value)| *value).reduce(better)
    }

    pub fn state(&self) -> String {
        match (self.finished, self.pruned) {
            (true, _) if self.stopped => format!("stopped after epoch {}", self.epochs()),
            (true, _) => "finished".into(),
            (false, true) => format!("pruned after epoch {}", self.epochs()),
            (false, false) => "paused".into(),
        }
    }

    fn epochs(&self) -> u32 {
        self.curve.last().map_or(0, |(epochs, _)| *epochs)
    }

    fn load(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    fn save(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self).map_err(Failure::new)?;
        write_atomically(path, &text).map_err(|e| pipeline::cannot_write(path, &e))
    }
}

/// When a trial is paused.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    Never,
    /// After so many epochs.
    Until(u32),
    /// When its best value is worse than the median of the earlier trials' means up to the same epoch; not before `after`.
    Median {
        after: u32,
        earlier: Vec<Vec<(u32, f64)>>,
    },
}

impl Rule {
    pub fn never(_: &[Record]) -> Self {
        Rule::Never
    }

    pub fn until(epochs: u32) -> Self {
        Rule::Until(epochs)
    }

    pub fn median(after: u32, earlier: &[Record]) -> Self {
        Rule::Median { after, earlier: earlier.iter().map(|record| record.curve.clone()).collect() }
    }

    fn goes_on(&self, curve: &[(u32, f64)], monitor: &Monitor) -> bool {
        let epochs = curve.last().map_or(0, |(epochs, _)| *epochs);
        match self {
            Rule::Never => true,
            Rule::Until(end) => epochs < *end,
            Rule::Median { after, .. } if epochs <= *after => true,
            Rule::Median { earlier, .. } => {
                let means =
                    earlier.iter().filter(|curve| curve.last().is_some_and(|(last, _)| *last >= epochs));
                let Some(median) = median(means.map(|curve| mean(curve, epochs)).collect()) else {
                    return true;
                };
                curve.iter().any(|(_, value)| !monitor.is_better(median, *value))
            }
        }
    }
}

/// Of the values up to an epoch.
fn mean(curve: &[(u32, f64)], epochs: u32) -> f64 {
    let values = curve.iter().filter(|(epoch, _)| *epoch <= epochs).map(|(_, value)| *value);
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

/// None of fewer than two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 | 1 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(0.5 * (values[middle - 1] + values[middle])),
    }
}

/// Watches a trial, writes down its curve, and pauses it when the rule says so.
struct Watch<'a> {
    monitor: &'a Monitor,
    rule: Rule,
    curve: Mutex<Vec<(u32, f64)>>,
}

impl Judge for Watch<'_> {
    fn monitor(&self) -> &Monitor {
        self.monitor
    }

    fn goes_on(&self, epochs: u32, value: f64) -> bool {
        let mut curve = self.curve.lock().unwrap_or_else(|e| e.into_inner());
        curve.push((epochs, value));
        self.rule.goes_on(&curve, self.monitor)
    }
}

/// Runs a trial until it ends or the rule pauses it; one that has come as far already is not run again. `before` is what it came
/// to in an earlier round.
pub fn run(
    args: &RunArgs,
    sweep: &Sweep,
    trial: &Trial,
    rule: Rule,
    before: Option<Record>,
    color: bool,
) -> Result<Record, Failure> {
    let prepared = Prepared::new(args, color)?;
    let path = prepared.out().join("trial.json");
    let written = Record::load(&path).filter(|record| record.plan == prepared.hash());
    if let Some(record) = written.filter(|record| is_enough(record, &rule)) {
        return Ok(upto(record, &rule));
    }
    let before = before.filter(|record| prepared.stands_at(record.epochs()));
    let resumes = before.is_some();
    let curve = before.map(|record| record.curve).unwrap_or_default();
    let watch = Watch { monitor: &sweep.monitor, rule, curve: Mutex::new(curve) };
    let finished = prepared.train(&RunArgs { resume: resumes, ..args.clone() }, &watch)?;
    let pruned = !finished && matches!(watch.rule, Rule::Median { .. });
    let curve = watch.curve.into_inner().unwrap_or_else(|e| e.into_inner());
    let plan = prepared.hash().to_owned();
    let record = Record { values: trial.clone(), plan, curve, finished, stopped: false, pruned };
    let record = Record { stopped: finished && record.epochs() < prepared.all_epochs(), ..record };
    record.save(&path)?;
    Ok(record)
}

/// Whether a record has all that the rule wants to know.
fn is_enough(record: &Record, rule: &Rule) -> bool {
    match rule {
        Rule::Until(epochs) => record.finished || record.epochs() >= *epochs,
        _ => record.finished || record.pruned,
    }
}

/// The record as it was when the rule paused it: what came later is known, and not yet to be used.
fn upto(record: Record, rule: &Rule) -> Record {
    let Rule::Until(epochs) = rule else { return record };
    let curve: Vec<_> = record.curve.iter().copied().take_while(|(epoch, _)| epoch <= epochs).collect();
    let finished = record.finished && curve.len() == record.curve.len();
    Record { curve, finished, stopped: finished && record.stopped, pruned: false, ..record }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor(higher_is_better: bool) -> Monitor {
        Monitor { terms: vec![], constant: 0.0, higher_is_better, name: String::new() }
    }

    fn record(values: &[f64]) -> Record {
        let curve = values.iter().enumerate().map(|(at, value)| (at as u32 + 1, *value)).collect();
        Record { values: vec![], plan: String::new(), curve, finished: true, stopped: false, pruned: false }
    }

    #[test]
    fn the_median_rule_prunes_what_is_worse_than_half_of_the_others() {
        let earlier = [record(&[0.2, 0.4]), record(&[0.6, 0.8]), record(&[0.4, 0.4])];
        let rule = Rule::median(1, &earlier);
        let goes_on = |curve: &[(u32, f64)]| rule.goes_on(curve, &monitor(true));
        assert!(goes_on(&[(1, 0.0)]), "not before the second epoch");
        assert!(goes_on(&[(1, 0.1), (2, 0.45)]) && goes_on(&[(1, 0.4), (2, 0.1)]));
        assert!(!goes_on(&[(1, 0.1), (2, 0.35)]));
        assert!(goes_on(&[(1, 0.1), (2, 0.1), (3, 0.1)]), "no other has come so far");
        assert!(Rule::median(0, &earlier[..1]).goes_on(&[(1, 0.0)], &monitor(true)), "one is too few");
        assert!(!rule.goes_on(&[(1, 0.9), (2, 0.6)], &monitor(false)));
    }

    #[test]
    fn the_best_value_follows_the_direction() {
        let record = record(&[0.3, 0.5, 0.4]);
        assert_eq!((record.best(&monitor(true)), record.best(&monitor(false))), (Some(0.5), Some(0.3)));
    }
}
