//! Training: sampling, batches, optimizers and their schedules. When to stop and which model to keep is in `monitor`.

use gsl_plan::plan::{Decay, Every, Fanout, Optimizer, Trainer, Warmup};

use super::body::Sourced;
use super::call::Args;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::model::Model;
use super::predict::Predict;
use super::stages::{StageParts, Trained};
use super::value::{Ty, Value, eval, number_text};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::*;

/// What a training run needs besides the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    pub fanouts: Vec<Fanout>,
    pub trainer: Trainer,
    /// What is trained in every stage, and in each one besides; none where there is one stage without a name.
    pub always: Trained,
    pub parts: Vec<StageParts>,
    pub seed: u64,
    /// `stop` and `best` are defaults: they go where there are no validation rows.
    pub default_stop: bool,
    pub default_best: bool,
}

impl ExperimentCx<'_, '_> {
    pub fn training(&mut self, gnn: &Model, predicts: &[Predict], lines: &mut Vec<Line>) -> Option<Training> {
        let hops = gnn.hops();
        let fanouts = if hops > 0 { self.sample(hops, lines) } else { Some(Vec::new()) };
        let batch = self.batch(lines);
        let stages = self.stages(gnn, predicts, lines);
        let accumulate = self.count("accumulate", lines);
        let average = self.average(lines);
        let evaluate_every = self.evaluate_every(lines);
        let validation = self.validation(lines);
        let (stop, default_stop) = self.stop(predicts, lines);
        let (best, default_best) = self.best(predicts, lines);
        let seed = self.seed(lines);
        let (stages, always, parts) = stages?;
        validation?;
        let trainer = Trainer {
            stages,
            batch: batch?,
            accumulate: accumulate?,
            average: average?,
            evaluate_every: evaluate_every?,
            stop: stop?,
            best: best?,
            sampled_validation: false,
        };
        Some(Training { fanouts: fanouts?, trainer, always, parts, seed: seed?, default_stop, default_best })
    }

    fn sample(&mut self, hops: usize, lines: &mut Vec<Line>) -> Option<Vec<Fanout>> {
        let setting = self.setting("sample")?;
        let expr = self.single(&setting)?.clone();
        let (name, args) = self.function(&setting, &expr, "sampler", &["neighbors", "full"])?;
        let mut fanouts = match name.as_str() {
            "full" => vec![Fanout::All; hops],
            _ => self.fanouts(&setting, &args, &expr)?,
        };
        if setting.place.is_default {
            let last = *fanouts.last()?;
            fanouts.resize(hops, last);
        }
        if fanouts.len() != hops {
            let layers = if hops == 1 { "one layer looks".into() } else { format!("{hops} layers look") };
            let count =
                if fanouts.len() == 1 { "one fanout".into() } else { format!("{} fanouts", fanouts.len()) };
            let message = format!("{count}, and {layers} at neighbours");
            let help = format!("write one fanout for each: `{}`", show_fanouts(&fitted(&fanouts, hops)));
            let mut diagnostic = Diagnostic::new(codes::EXPERIMENT_FANOUTS, message)
                .at(expr.span, format!("{} given", fanouts.len()))
                .help(help);
            if let Some(span) = self.gnn_span {
                diagnostic = diagnostic.at(span, format!("{hops} needed"));
            }
            self.cx.report(diagnostic);
            return None;
        }
        lines.push(self.line(0, "sample", &show_fanouts(&fanouts), &setting));
        Some(fanouts)
    }

    fn fanouts(&mut self, setting: &Sourced<Setting>, args: &Args, expr: &Expr) -> Option<Vec<Fanout>> {
        let mut found = Vec::new();
        for value in args.get("fanouts").list() {
            match value {
                Value::Int(n) if (1..=1_000_000).contains(n) => found.push(Fanout::Neighbors(*n as u32)),
                Value::Int(n) => {
                    let message = format!("a fanout is from 1 to 1,000,000 or `all`, not {n}");
                    self.within(setting, |cx| {
                        cx.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range")
                    });
                    return None;
                }
                _ => found.push(Fanout::All),
            }
        }
        Some(found)
    }

    fn batch(&mut self, lines: &mut Vec<Line>) -> Option<Option<u32>> {
        let setting = self.setting("batch")?;
        let expr = self.single(&setting)?.clone();
        let env = setting.place.env.clone();
        let ty = Ty::IntOr(vec!["all".to_owned()]);
        let value = self.within(&setting, |cx| eval(cx.cx, &env, &expr, &ty, false))?;
        lines.push(self.line(0, "batch", &value.to_string(), &setting));
        match value {
            Value::Int(n) => match u32::try_from(n).ok().filter(|n| *n > 0) {
                Some(n) => Some(Some(n)),
                None => self.out_of_range("batch", n, &expr),
            },
            _ => Some(None),
        }
    }

    pub fn out_of_range<T>(&mut self, name: &str, n: i64, expr: &Expr) -> Option<T> {
        let message = format!("`{name}` is at least 1, not {n}");
        self.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range");
        None
    }

    pub fn count(&mut self, name: &str, lines: &mut Vec<Line>) -> Option<u32> {
        let setting = self.setting(name)?;
        let expr = self.single(&setting)?.clone();
        let n = self.integer(&setting, &expr)?;
        lines.push(self.line(0, name, &n.to_string(), &setting));
        match u32::try_from(n).ok().filter(|n| *n > 0) {
            Some(n) => Some(n),
            None => self.out_of_range(name, n, &expr),
        }
    }

    /// `2`, `2 epochs`, `500 batches`.
    fn evaluate_every(&mut self, lines: &mut Vec<Line>) -> Option<Every> {
        let setting = self.setting("evaluate_every")?;
        let expr = self.single(&setting)?.clone();
        let unit = match &expr.kind {
            ExprKind::Number(Number { unit: Some(unit @ (Unit::Epochs | Unit::Batches)), .. }) => {
                Some(unit.clone())
            }
            _ => None,
        };
        let n = match &expr.kind {
            ExprKind::Number(Number { int: Some(n), .. }) if unit.is_some() => *n,
            _ => self.integer(&setting, &expr)?,
        };
        let Some(count) = u32::try_from(n).ok().filter(|n| *n > 0) else {
            return self.out_of_range("evaluate_every", n, &expr);
        };
        let (every, shown) = match unit {
            Some(Unit::Batches) => (Every::Batches(count), format!("{n} batches")),
            _ => (Every::Epochs(count), n.to_string()),
        };
        lines.push(self.line(0, "evaluate_every", &shown, &setting));
        Some(every)
    }

    /// `none`, or `ema(0.999)`: the decay of the moving average.
    fn average(&mut self, lines: &mut Vec<Line>) -> Option<Option<f32>> {
        let setting = self.setting("average")?;
        let expr = self.single(&setting)?.clone();
        if expr.as_name() == Some("none") {
            lines.push(self.line(0, "average", "none", &setting));
            return Some(None);
        }
        let (_, args) = self.function(&setting, &expr, "average", &["ema"])?;
        let decay = self.within(&setting, |cx| cx.fraction(&args, "decay", &expr))?;
        lines.push(self.line(0, "average", &format!("ema({})", args.show()), &setting));
        Some(Some(decay as f32))
    }

    pub fn integer(&mut self, setting: &Sourced<Setting>, expr: &Expr) -> Option<i64> {
        let env = setting.place.env.clone();
        self.within(setting, |cx| eval(cx.cx, &env, expr, &Ty::Int, false))?.int()
    }

    fn seed(&mut self, lines: &mut Vec<Line>) -> Option<u64> {
        let setting = self.setting("seed")?;
        let expr = self.single(&setting)?.clone();
        let n = self.integer(&setting, &expr)?;
        lines.push(self.line(0, "seed", &n.to_string(), &setting));
        Some(n as u64)
    }

    /// `exact`, over all neighbours; `sampled` is known and does not run yet.
    fn validation(&mut self, lines: &mut Vec<Line>) -> Option<()> {
        let setting = self.setting("validation")?;
        let expr = self.single(&setting)?.clone();
        let env = setting.place.env.clone();
        let ty = Ty::Word(vec!["exact".to_owned(), "sampled".to_owned()]);
        let value = self.within(&setting, |cx| eval(cx.cx, &env, &expr, &ty, false))?;
        if value.text() == Some("sampled") {
            let message = "validation on a sample of neighbours does not run yet";
            let help = "leave it out: validation looks at all neighbours, `validation = exact`";
            self.within(&setting, |cx| {
                let code = codes::NOT_YET_SAMPLED_VALIDATION;
                cx.cx.error_help(code, message, expr.span, "a sample", help);
            });
            return None;
        }
        lines.push(self.line(0, "validation", &value.to_string(), &setting));
        Some(())
    }

    // ------------------------------------------------------------------------------------------------------ optimizers

    pub fn optimizers(&mut self, lines: &mut Vec<Line>) -> Option<(Optimizer, Optimizer)> {
        let setting = self.setting("optimizer")?;
        let default = self.defaults.setting("optimizer")?.clone();
        let mut written = [None, None];
        for arg in &setting.item.value {
            match &arg.name {
                None => written[0] = Some(&arg.value),
                Some(name) if name.text == "embeddings" => written[1] = Some(&arg.value),
                Some(name) => {
                    let known = ["embeddings"];
                    let what = ("optimizer", "part");
                    self.cx.unknown_of(codes::ARGS_UNKNOWN, what, &name.text, name.span, known);
                }
            }
        }
        let fallback =
            |named: bool| default.item.value.iter().find(|a| a.name.is_some() == named).map(|a| &a.value);
        let dense = self.optimizer(&setting, &default, written[0], fallback(false), false);
        let sparse = self.optimizer(&setting, &default, written[1], fallback(true), true);
        let ((dense, shown), (sparse, shown_sparse)) = (dense?, sparse?);
        lines.push(self.line(0, "optimizer", &format!("{shown}, embeddings: {shown_sparse}"), &setting));
        Some((dense, sparse))
    }

    fn optimizer(
        &mut self,
        setting: &Sourced<Setting>,
        default: &Sourced<Setting>,
        written: Option<&Expr>,
        fallback: Option<&Expr>,
        sparse: bool,
    ) -> Option<(Optimizer, String)> {
        let (setting, expr) = match written {
            Some(expr) => (setting, expr),
            None => (default, fallback?),
        };
        let known: &[&str] = if sparse { &["sparse_adam"] } else { &["adam", "adamw"] };
        let (name, args) = self.function(setting, expr, "optimizer", known)?;
        let shown = format!("{name}({})", args.show_named());
        let (lr, eps) = self.within(setting, |cx| {
            Some((cx.positive(&args, "lr", expr)?, cx.positive(&args, "eps", expr)?))
        })?;
        let (beta1, beta2) = self.within(setting, |cx| {
            Some((cx.fraction(&args, "beta1", expr)?, cx.fraction(&args, "beta2", expr)?))
        })?;
        let clip = match args.float("clip") {
            Some(_) => Some(self.within(setting, |cx| cx.positive(&args, "clip", expr))? as f32),
            None => None,
        };
        let optimizer = Optimizer {
            lr: lr as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            eps: eps as f32,
            weight_decay: args.float("weight_decay").unwrap_or(0.0) as f32,
            decoupled: name == "adamw",
            clip,
            warmup: match args.get("warmup") {
                Value::Int(n) => Warmup::Steps(n.unsigned_abs()),
                Value::Float(share) => Warmup::Share(*share),
                _ => Warmup::None,
            },
            decay: match args.word("decay") {
                Some("linear") => Decay::Linear,
                Some(_) => Decay::Cosine,
                None => Decay::None,
            },
        };
        Some((optimizer, shown))
    }

    /// An argument above 0.
    pub fn positive(&mut self, args: &Args, name: &str, expr: &Expr) -> Option<f64> {
        let x = args.float(name)?;
        if x > 0.0 && x.is_finite() {
            return Some(x);
        }
        let message = format!("`{name}` is more than 0, not {}", number_text(x));
        self.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range");
        None
    }

    /// An argument from 0 to less than 1.
    pub fn fraction(&mut self, args: &Args, name: &str, expr: &Expr) -> Option<f64> {
        let x = args.float(name)?;
        if (0.0..1.0).contains(&x) {
            return Some(x);
        }
        let message = format!("`{name}` is from 0 to less than 1, not {}", number_text(x));
        self.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range");
        None
    }
}

pub fn show_fanouts(fanouts: &[Fanout]) -> String {
    let shown: Vec<String> = fanouts
        .iter()
        .map(|f| match f {
            Fanout::All => "all".to_owned(),
            Fanout::Neighbors(n) => n.to_string(),
        })
        .collect();
    format!("neighbors({})", shown.join(", "))
}

fn fitted(fanouts: &[Fanout], hops: usize) -> Vec<Fanout> {
    let mut fitted = fanouts.to_vec();
    fitted.resize(hops, fanouts.last().copied().unwrap_or(Fanout::Neighbors(10)));
    fitted
}
