//! `gsc sweep`: runs the trials of a sweep one after the other, lets go of the hopeless ones, and keeps the best as a run.
//!
//! Each trial is a run of its own in a folder below the sweep's, with a record `trial.json` of what it has come to. A trial whose
//! record belongs to the same plan is not run again. Everything is decided by the order of the trials and by their values, so
//! that a sweep that was stopped and begun again ends as one that never stopped.

mod trial;

use crate::args::{RunArgs, SweepArgs};
use crate::pipeline::{self, Goal, Outcome};
use crate::source::{Failure, SourceText};
use gsl_compiler::diag::did_you_mean;
use gsl_compiler::sema::Checked;
use gsl_compiler::sema::sweep::{Prune, Sweep, Trial};
use gsl_runtime::report::sweep::{TrialRow, cells, render};
use gsl_runtime::train::checkpoint::write_atomically;
use std::path::{Path, PathBuf};
use trial::{Record, Rule};

/// What a sweep gives its caller.
#[derive(Debug, serde::Serialize)]
pub struct Swept {
    pub sweep: String,
    pub trials: Vec<Record>,
    /// The number of the best one, from 1.
    pub best: usize,
    /// The test of the best one, and where it is.
    pub run: Outcome,
    #[serde(skip)]
    pub table: String,
    pub report: PathBuf,
}

/// Runs a sweep of a file.
pub fn sweep(args: &SweepArgs, color: bool) -> Result<Swept, Failure> {
    pipeline::set_threads(&args.run.file)?;
    let source = SourceText::read(&args.run.file.file)?;
    let checked = pipeline::check(&source, &args.run.file, color)?;
    let sweep = choose(&checked, args)?;
    let out = args.run.out.clone().unwrap_or_else(|| source.folder().join("out").join(&sweep.name));
    let trials = sweep.trials();
    let mut running = Running { sweep, args: &args.run, color, out, trials, records: Vec::new() };
    running.check()?;
    running.run()?;
    running.finish()
}

fn choose<'a>(checked: &'a Checked, args: &SweepArgs) -> Result<&'a Sweep, Failure> {
    let names = || checked.sweeps.iter().map(|s| format!("`{}`", s.name)).collect::<Vec<_>>().join(", ");
    let file = args.run.file.file.display();
    match (&args.name, checked.sweeps.as_slice()) {
        (Some(name), all) => all.iter().find(|sweep| sweep.name == *name).ok_or_else(|| {
            let close = did_you_mean(name, all.iter().map(|s| s.name.as_str()))
                .map(|n| format!("did you mean `{n}`?"));
            Failure::new(format!("there is no sweep `{name}` in `{file}`"))
                .help(close.unwrap_or_else(|| format!("it has {}", names())))
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure::new(format!("`{file}` has no sweep"))
            .help("add one, for example: sweep tune of EXPERIMENT { lr in log(1e-4 .. 1e-2, 5) }")),
        (None, _) => {
            Err(Failure::new(format!("`{file}` has several sweeps")).help(format!("name one of {}", names())))
        }
    }
}

struct Running<'a> {
    sweep: &'a Sweep,
    args: &'a RunArgs,
    color: bool,
    out: PathBuf,
    trials: Vec<Trial>,
    /// Of the trials that have been run, in their order.
    records: Vec<Record>,
}

impl Running<'_> {
    /// All trials are checked before the first one is run.
    fn check(&self) -> Result<(), Failure> {
        let source = SourceText::read(&self.args.file.file)?;
        for trial in &self.trials {
            let args = self.trial_args(trial, self.out.clone());
            pipeline::check(&source, &args.file, self.color).map_err(|failure| {
                let shown = trial.iter().map(|(name, value)| format!("{name} = {value}"));
                failure.help(format!("this is with {}", shown.collect::<Vec<_>>().join(", ")))
            })?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), Failure> {
        match self.sweep.prune {
            Prune::None => self.one_by_one(Rule::never),
            Prune::Median { after } => self.one_by_one(|earlier| Rule::median(after, earlier)),
            Prune::Halving { factor, first } => self.halving(factor, first),
        }
    }

    /// Each trial to its end, or until the rule, which knows the earlier ones, prunes it.
    fn one_by_one(&mut self, rule: impl Fn(&[Record]) -> Rule) -> Result<(), Failure> {
        for at in 0..self.trials.len() {
            let rule = rule(&self.records);
            let record = self.go(at, rule, None)?;
            self.records.push(record);
        }
        Ok(())
    }

    /// Rounds: all that are left come to the same epoch, then the best of every `factor` go on.
    fn halving(&mut self, factor: u32, first: u32) -> Result<(), Failure> {
        let mut left: Vec<usize> = (0..self.trials.len()).collect();
        let mut rung = first;
        while !left.is_empty() {
            for &at in &left {
                let before = self.records.get(at).cloned();
                let record = self.go(at, Rule::until(rung), before)?;
                match self.records.get_mut(at) {
                    Some(known) => *known = record,
                    None => self.records.push(record),
                }
            }
            left.retain(|at| !self.records[*at].finished);
            let survivors = left.len().div_ceil(factor as usize);
            let better = |a: &usize, b: &usize| self.compare(*a, *b);
            left.sort_by(better);
            let out = left.split_off(if left.len() > 1 { survivors } else { left.len() });
            out.iter().for_each(|at| self.records[*at].pruned = true);
            left.sort_unstable();
            rung = rung.saturating_mul(factor);
        }
        Ok(())
    }

    /// Runs a trial, or takes what it has come to already.
    fn go(&self, at: usize, rule: Rule, before: Option<Record>) -> Result<Record, Failure> {
        let folder = self.folder(at);
        let silent = at > 0 || before.is_some();
        let args = RunArgs { silent, ..self.trial_args(&self.trials[at], folder) };
        let record = trial::run(&args, self.sweep, &self.trials[at], rule, before, self.color)?;
        if !self.args.quiet {
            let shown = cells(&self.row(at, &record)).join("  ");
            eprintln!("trial {shown}");
        }
        Ok(record)
    }

    fn folder(&self, at: usize) -> PathBuf {
        self.out.join("trials").join(format!("{:04}", at + 1))
    }

    fn trial_args(&self, trial: &Trial, out: PathBuf) -> RunArgs {
        let mut args = self.args.clone();
        args.file.experiment = Some(self.sweep.of.clone());
        args.file.set.extend(trial.iter().map(|(name, value)| format!("{name}={value}")));
        RunArgs { out: Some(out), resume: false, quiet: true, ..args }
    }

    /// The better trial first; of equals the earlier one; one without a value last.
    fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        let monitor = &self.sweep.monitor;
        let worst = if monitor.higher_is_better { f64::NEG_INFINITY } else { f64::INFINITY };
        let value = |at: usize| self.records[at].best(monitor).unwrap_or(worst);
        let order = value(a).total_cmp(&value(b));
        if monitor.higher_is_better { order.reverse() } else { order }.then(a.cmp(&b))
    }

    fn row(&self, at: usize, record: &Record) -> TrialRow {
        TrialRow {
            number: at + 1,
            values: self.trials[at].iter().map(|(_, value)| value.clone()).collect(),
            curve: record.curve.clone(),
            best: record.best(&self.sweep.monitor),
            state: record.state(),
        }
    }

    /// The table, the page, and the best trial as a run that is tested and writes what the file asks for.
    fn finish(self) -> Result<Swept, Failure> {
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        order.sort_by(|a, b| self.compare(*a, *b));
        let rows: Vec<TrialRow> = order.iter().map(|at| self.row(*at, &self.records[*at])).collect();
        let best = *order.first().ok_or_else(|| Failure::new("the sweep has no trials"))?;
        let params: Vec<String> = self.sweep.axes.iter().map(|axis| axis.param.clone()).collect();
        let report = self.out.join("report.html");
        let page = render(&self.sweep.name, &params, &self.sweep.monitor.name, &rows);
        write_atomically(&report, page.as_bytes()).map_err(|e| pipeline::cannot_write(&report, &e))?;
        let run = self.best_run(best)?;
        let table = table(&params, &self.sweep.monitor.name, &rows);
        Ok(Swept { sweep: self.sweep.name.clone(), trials: self.records, best: best + 1, run, table, report })
    }

    fn best_run(&self, best: usize) -> Result<Outcome, Failure> {
        let folder = self.out.join("best");
        copy(&self.folder(best), &folder).map_err(|e| pipeline::cannot_write(&folder, &e))?;
        let args = self.trial_args(&self.trials[best], folder.clone());
        pipeline::run_with(
            &RunArgs { results: Some(folder.join("results")), ..args },
            Goal::Infer,
            self.color,
        )
    }
}

/// Columns of equal width, numbers of trials first.
fn table(params: &[String], metric: &str, rows: &[TrialRow]) -> String {
    let heads = ["trial".to_owned()].into_iter().chain(params.iter().cloned());
    let heads: Vec<String> = heads.chain([metric.to_owned(), "epochs".into(), "state".into()]).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += padded.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// The checkpoints and events of a trial, anew.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let checkpoints = to.join("checkpoints");
    if checkpoints.exists() {
        std::fs::remove_dir_all(&checkpoints)?;
    }
    std::fs::create_dir_all(&checkpoints)?;
    for entry in std::fs::read_dir(from.join("checkpoints"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), checkpoints.join(entry.file_name()))?;
    }
    std::fs::copy(from.join("events.jsonl"), to.join("events.jsonl")).map(drop)
}
