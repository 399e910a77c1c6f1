//! Sweeps: which values of which `param`s are tried, in which order, and by what the best is chosen.
//!
//! Decided here: a trial is the experiment with other values of `param`s, written as `--set` takes them, so that it is checked
//! like the source. Not decided here: how trials are run.

use std::collections::BTreeSet;

use gsl_plan::plan::Monitor;

use super::body::{Place, Sourced};
use super::cx::Cx;
use super::experiment::{Experiment, ExperimentCx};
use super::param::CheckedParam;
use super::value::{Env, Ty, Value, eval, number_text};
use crate::diag::codes;
use crate::syntax::ast::{self, Arg, Expr, ExprKind, Ident, Setting, Span, SweepStmt};

/// A checked sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    pub name: String,
    /// The experiment.
    pub of: String,
    pub axes: Vec<Axis>,
    pub search: Search,
    pub prune: Prune,
    /// By what trials are compared.
    pub monitor: Monitor,
}

/// A `param` and what is tried for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub param: String,
    pub values: Values,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Never empty.
    List(Vec<Value>),
    /// Drawn between the two; `whole`: rounded.
    Range { low: f64, high: f64, log: bool, whole: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Every combination; the last axis changes fastest.
    Grid,
    /// Bergstra and Bengio 2012.
    Random { trials: u32, seed: u64 },
}

/// Which trials end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    None,
    /// A trial whose best value so far is worse than the median of the earlier trials' mean values up to the same epoch.
    /// Golovin et al. 2017.
    Median {
        after: u32,
    },
    /// At epochs `first`, `first` · `factor`, … only the best of every `factor` trials go on. Jamieson and Talwalkar 2016.
    Halving {
        factor: u32,
        first: u32,
    },
}

/// Values of a trial: (param, text as `--set` takes it).
pub type Trial = Vec<(String, String)>;

const MOST_TRIALS: usize = 10_000;
/// Draws for each trial that is wanted, at most.
const DRAWS: usize = 64;

impl Sweep {
    /// All trials in their order; a function of the sweep alone.
    pub fn trials(&self) -> Vec<Trial> {
        match self.search {
            Search::Grid => self.grid(),
            Search::Random { trials, seed } => self.drawn(trials as usize, seed),
        }
    }

    /// So many different trials, or all that there are. Draws that have come before are drawn again; where lists alone are swept and
    /// most of their combinations are wanted, the combinations are shuffled instead.
    fn drawn(&self, trials: usize, seed: u64) -> Vec<Trial> {
        if let Some(all) = self.combinations().filter(|all| *all <= 2 * trials) {
            let mut grid: Vec<(f64, Trial)> =
                (0u64..).zip(self.grid()).map(|(at, trial)| (uniform(seed, at, u64::MAX), trial)).collect();
            grid.sort_by(|a, b| a.0.total_cmp(&b.0));
            return grid.into_iter().take(trials.min(all)).map(|(_, trial)| trial).collect();
        }
        let mut found: Vec<Trial> = Vec::new();
        let mut seen: BTreeSet<Trial> = BTreeSet::new();
        for number in 0..(DRAWS * trials) as u64 {
            let trial = self.draw(seed, number);
            if found.len() < trials && seen.insert(trial.clone()) {
                found.push(trial);
            }
        }
        found
    }

    /// How many there are, if only lists are swept.
    fn combinations(&self) -> Option<usize> {
        let mut counts = self.axes.iter().map(|axis| match &axis.values {
            Values::List(values) => Some(values.len()),
            Values::Range { .. } => None,
        });
        counts.try_fold(1usize, |all, count| all.checked_mul(count?))
    }

    fn grid(&self) -> Vec<Trial> {
        let mut trials: Vec<Trial> = vec![Vec::new()];
        for axis in &self.axes {
            let Values::List(values) = &axis.values else { continue };
            let with = |trial: &Trial, value: &Value| {
                let mut trial = trial.clone();
                trial.push((axis.param.clone(), value.to_string()));
                trial
            };
            trials =
                trials.iter().flat_map(|trial| values.iter().map(move |value| with(trial, value))).collect();
        }
        trials
    }

    fn draw(&self, seed: u64, trial: u64) -> Trial {
        let draws = self.axes.iter().enumerate().map(|(at, axis)| {
            let share = uniform(seed, trial, at as u64);
            (axis.param.clone(), axis.values.at(share).to_string())
        });
        draws.collect()
    }
}

impl Values {
    /// The value at a place from 0 to less than 1.
    fn at(&self, share: f64) -> Value {
        match self {
            Values::List(values) => {
                values[((share * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
            Values::Range { low, high, log, whole } => {
                let x = between(*low, *high, *log, share);
                if *whole { Value::Int(x.round() as i64) } else { Value::Float(short(x)) }
            }
        }
    }
}

/// `low` at 0, `high` at 1, in equal steps or in equal ratios.
fn between(low: f64, high: f64, log: bool, share: f64) -> f64 {
    match log {
        true => (low.ln() + share * (high.ln() - low.ln())).exp(),
        false => low + share * (high - low),
    }
}

/// A number from 0 to less than 1 that depends on the three alone. SplitMix64, Steele et al. 2014.
fn uniform(seed: u64, trial: u64, axis: u64) -> f64 {
    let mix = |x: u64| {
        let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    };
    (mix(mix(mix(seed) ^ trial) ^ axis) >> 11) as f64 / (1u64 << 53) as f64
}

/// Six digits are enough to try a value, and short enough to read.
fn short(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

// --------------------------------------------------------------------------------------------------------------- check

/// Checks the sweeps of a file. `cx` is that of the experiment that each is of, with an empty body.
pub struct SweepCx<'a, 'b, 'w> {
    pub experiment: &'a mut ExperimentCx<'b, 'w>,
    pub of: &'a Experiment,
    pub params: &'a [CheckedParam],
    pub env: &'a Env,
    pub place: &'a std::sync::Arc<Place>,
}

impl<'w> SweepCx<'_, '_, 'w> {
    pub fn check(&mut self, sweep: &ast::Sweep) -> Option<Sweep> {
        let (search, prune) = (self.search(sweep), self.prune(sweep));
        let axes = self.axes(sweep, search);
        let monitor = self.best(sweep);
        let found = Sweep {
            name: sweep.name.text.clone(),
            of: self.of.name.clone(),
            axes: axes?,
            search: search?,
            prune: prune?,
            monitor: monitor?,
        };
        let trials = found.axes.iter().map(|axis| match &axis.values {
            Values::List(values) => values.len(),
            Values::Range { .. } => 1,
        });
        let trials = trials.fold(1usize, usize::saturating_mul);
        if found.search == Search::Grid && trials > MOST_TRIALS {
            let message = format!("the sweep has {trials} trials, and at most {MOST_TRIALS} are run");
            let help = "try fewer values, or draw some of them: `search = random(20)`";
            self.cx().error_help(codes::EXPERIMENT_SWEEP_VALUES, message, sweep.name.span, "too many", help);
            return None;
        }
        Some(found)
    }

    fn cx(&mut self) -> &mut Cx<'w> {
        self.experiment.cx
    }

    fn axes(&mut self, sweep: &ast::Sweep, search: Option<Search>) -> Option<Vec<Axis>> {
        let mut found: Vec<Option<Axis>> = Vec::new();
        for stmt in &sweep.body {
            let SweepStmt::Axis { name, values, .. } = stmt else { continue };
            let axis = self.axis(name, values, search);
            if let Some(axis) = &axis
                && found.iter().flatten().any(|known| known.param == axis.param)
            {
                let message = format!("`{}` is swept twice", axis.param);
                self.cx().error(codes::NAMES_DUPLICATE, message, name.span, "the second time");
            }
            found.push(axis);
        }
        if found.is_empty() {
            let help = "say which `param` takes which values: `lr in [1e-3, 1e-2]`";
            let code = codes::EXPERIMENT_SWEEP_VALUES;
            self.cx().error_help(code, "the sweep tries nothing", sweep.name.span, "", help);
            return None;
        }
        found.into_iter().collect()
    }

    fn axis(&mut self, name: &ast::Path, values: &Expr, search: Option<Search>) -> Option<Axis> {
        let params = self.params;
        let Some(param) = params.iter().find(|param| param.name == name.text()) else {
            let known: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
            let help = super::cx::nearest_or_all(&name.text(), &known).unwrap_or_else(|| {
                format!("declare it, `param {0} = …`, and use it in the experiment", name.text())
            });
            let message = format!("the file has no param `{}`", name.text());
            self.cx().error_help(codes::EXPERIMENT_SWEEP_PARAM, message, name.span, "not a param", help);
            return None;
        };
        let values = match &values.kind {
            ExprKind::Bad => None,
            ExprKind::List(items) => self.list(items, values.span, &param.ty),
            _ => self.range(values, &param.ty, search),
        };
        Some(Axis { param: param.name.clone(), values: values? })
    }

    fn list(&mut self, items: &[Expr], span: Span, ty: &Ty) -> Option<Values> {
        if items.is_empty() {
            let help = "write at least one value: `[64, 128]`";
            self.cx().error_help(
                codes::EXPERIMENT_SWEEP_VALUES,
                "the list is empty",
                span,
                "no values",
                help,
            );
            return None;
        }
        let env = self.env;
        let values: Vec<_> = items.iter().map(|item| eval(self.cx(), env, item, ty, false)).collect();
        Some(Values::List(values.into_iter().collect::<Option<_>>()?))
    }

    /// `log(1e-4 .. 1e-2, 5)`, `linear(16 .. 64, 4)`; without a count, to draw from.
    fn range(&mut self, expr: &Expr, ty: &Ty, search: Option<Search>) -> Option<Values> {
        let Some((name @ ("log" | "linear"), [range, rest @ ..])) = expr.as_call() else {
            return self.no_values(expr, "this is no list and no range of values");
        };
        let ExprKind::Range { low, high } = &range.value.kind else {
            return self.no_values(&range.value, "this is no range");
        };
        let whole = match ty {
            Ty::Dim | Ty::Int => true,
            Ty::Float => false,
            _ => {
                return self
                    .no_values(expr, &format!("a range is of numbers, and the param is {}", ty.describe()));
            }
        };
        let (low, high) = (self.number(low)?, self.number(high)?);
        let log = name == "log";
        if low >= high || (log && low <= 0.0) {
            let shown = format!("{} .. {}", number_text(low), number_text(high));
            let why = if low >= high { "goes from the smaller to the larger" } else { "of `log` is above 0" };
            return self.no_values(&range.value, &format!("`{shown}`: a range {why}"));
        }
        match rest {
            [] if matches!(search, Some(Search::Grid)) => {
                self.no_values(expr, "a grid needs to know how many values to try")
            }
            [] => Some(Values::Range { low, high, log, whole }),
            [Arg { name: None, value, .. }] => self.spread(value, low, high, log, whole),
            _ => self.no_values(expr, "a range takes two bounds and how many values are tried"),
        }
    }

    fn number(&mut self, expr: &Expr) -> Option<f64> {
        let env = self.env;
        eval(self.cx(), env, expr, &Ty::Float, false)?.number()
    }

    /// So many values from one bound to the other, both among them.
    fn spread(&mut self, count: &Expr, low: f64, high: f64, log: bool, whole: bool) -> Option<Values> {
        let env = self.env;
        let n = eval(self.cx(), env, count, &Ty::Int, false)?.int()?;
        if !(2..=1000).contains(&n) {
            return self.no_values(count, "a range is cut into 2 to 1000 values");
        }
        let mut values: Vec<Value> = Vec::new();
        for at in 0..n {
            let x = between(low, high, log, at as f64 / (n - 1) as f64);
            let value = if whole { Value::Int(x.round() as i64) } else { Value::Float(short(x)) };
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Some(Values::List(values))
    }

    fn no_values<T>(&mut self, expr: &Expr, message: &str) -> Option<T> {
        let help = "write `[64, 128]`, `log(1e-4 .. 1e-2, 5)` or `linear(16 .. 64, 4)`; \
                    with `search = random(20)` also `log(1e-4 .. 1e-2)`";
        self.cx().error_help(codes::EXPERIMENT_SWEEP_VALUES, message, expr.span, "not values", help);
        None
    }

    // --------------------------------------------------------------------------------------------------------- settings

    fn setting(&mut self, sweep: &ast::Sweep, name: &str) -> Option<Sourced<Setting>> {
        let found = sweep.body.iter().find_map(|stmt| match stmt {
            SweepStmt::Setting(setting) if setting.name.text == name => Some(setting.clone()),
            _ => None,
        });
        found.map(|item| Sourced { item, place: self.place.clone(), inherited: false })
    }

    fn search(&mut self, sweep: &ast::Sweep) -> Option<Search> {
        for stmt in &sweep.body {
            let SweepStmt::Setting(Setting { name, value, .. }) = stmt else { continue };
            if name.text == "best" {
                let shown = value.first().and_then(|arg| arg.value.as_path()).map(|path| path.text());
                let help = format!("write `best on {}`", shown.as_deref().unwrap_or("valid.METRIC"));
                let message = "what a sweep chooses by is written with `on`";
                self.cx().error_help(codes::NAMES_SETTING, message, name.span, "not a setting", help);
            } else if !["search", "prune"].contains(&name.text.as_str()) {
                let what = ("sweep", "setting");
                self.cx().unknown_of(codes::NAMES_SETTING, what, &name.text, name.span, ["search", "prune"]);
            }
        }
        let Some(setting) = self.setting(sweep, "search") else { return Some(Search::Grid) };
        let expr = self.experiment.single(&setting)?.clone();
        if expr.as_name() == Some("grid") {
            return Some(Search::Grid);
        }
        let (_, args) =
            self.experiment.function(&setting, &search_call(expr.clone()), "search", &["random_search"])?;
        let trials = args.int("trials").and_then(|n| u32::try_from(n).ok());
        let Some(trials) = trials.filter(|n| (1..=MOST_TRIALS as u32).contains(n)) else {
            return self.experiment.out_of_range("trials", args.int("trials").unwrap_or(0), &expr);
        };
        Some(Search::Random { trials, seed: args.int("seed")? as u64 })
    }

    fn prune(&mut self, sweep: &ast::Sweep) -> Option<Prune> {
        let Some(setting) = self.setting(sweep, "prune") else { return Some(Prune::None) };
        let expr = self.experiment.single(&setting)?.clone();
        if expr.as_name() == Some("none") {
            return Some(Prune::None);
        }
        let (name, args) =
            self.experiment.function(&setting, &expr, "pruning rule", &["median", "halving"])?;
        let count = |cx: &mut Self, name: &str, least: i64| {
            let n = args.int(name)?;
            match u32::try_from(n).ok().filter(|_| n >= least) {
                Some(n) => Some(n),
                None => {
                    let message = format!("`{name}` is at least {least}, not {n}");
                    cx.cx().error(codes::ARGS_VALUE, message, expr.span, "out of range");
                    None
                }
            }
        };
        match name.as_str() {
            "median" => Some(Prune::Median { after: count(self, "after", 0)? }),
            _ => Some(Prune::Halving { factor: count(self, "factor", 2)?, first: count(self, "first", 1)? }),
        }
    }

    /// `best on valid.accuracy`; left out, the first metric of the first prediction.
    fn best(&mut self, sweep: &ast::Sweep) -> Option<Monitor> {
        let on = sweep.body.iter().find_map(|stmt| match stmt {
            SweepStmt::Best { on, .. } => Some(on.clone()),
            _ => None,
        });
        let span = sweep.name.span;
        let on = on.unwrap_or_else(|| Expr::new(ExprKind::Name("valid".to_owned()), span));
        let name = Ident { text: "best".to_owned(), span };
        let value = vec![Arg { name: None, value: on.clone(), span }];
        let item = Setting { doc: None, name, value, against: Vec::new(), span };
        let setting = Sourced { item, place: self.place.clone(), inherited: false };
        let predicts = &self.of.predicts;
        self.experiment.monitor(&setting, &on, predicts)
    }
}

/// `random(20)` of a sweep is not the `random(…)` of a split.
fn search_call(expr: Expr) -> Expr {
    let rename = |callee: Box<Expr>| match callee.as_name() {
        Some("random") => Box::new(Expr::new(ExprKind::Name("random_search".to_owned()), callee.span)),
        _ => callee,
    };
    let kind = match expr.kind {
        ExprKind::Call { callee, args } => ExprKind::Call { callee: rename(callee), args },
        other => other,
    };
    Expr::new(kind, expr.span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(search: Search) -> Sweep {
        let list = |values: &[i64]| Values::List(values.iter().map(|n| Value::Int(*n)).collect());
        Sweep {
            name: "tune".into(),
            of: "e".into(),
            axes: vec![
                Axis { param: "a".into(), values: list(&[1, 2]) },
                Axis { param: "b".into(), values: list(&[3, 4, 5]) },
                Axis {
                    param: "c".into(),
                    values: Values::Range { low: 1e-4, high: 1e-2, log: true, whole: false },
                },
            ],
            search,
            prune: Prune::None,
            monitor: Monitor { terms: vec![], constant: 0.0, higher_is_better: true, name: String::new() },
        }
    }

    #[test]
    fn a_grid_has_every_combination() {
        let trials = Sweep { axes: sweep(Search::Grid).axes[..2].to_vec(), ..sweep(Search::Grid) }.trials();
        let shown: Vec<String> = trials.iter().map(|t| format!("{}{}", t[0].1, t[1].1)).collect();
        assert_eq!(shown, ["13", "14", "15", "23", "24", "25"]);
    }

    #[test]
    fn draws_depend_on_the_seed_and_their_number_alone() {
        let (few, many) =
            (sweep(Search::Random { trials: 3, seed: 1 }), sweep(Search::Random { trials: 200, seed: 1 }));
        let trials = many.trials();
        assert_eq!(few.trials(), trials[..3]);
        assert_ne!(sweep(Search::Random { trials: 3, seed: 2 }).trials(), trials[..3]);
        let rates: Vec<f64> = trials.iter().map(|t| t[2].1.parse().expect("a number")).collect();
        assert!(rates.iter().all(|x| (1e-4..1e-2).contains(x)));
        let low = rates.iter().filter(|x| **x < 1e-3).count();
        assert!((70..130).contains(&low), "{low} of 200 below the middle of the logarithm");
    }
}
