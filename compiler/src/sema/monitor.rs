//! What is watched on the validation part: when to stop and which models to keep, by a metric or a formula of metrics.
//!
//! Decided here: a formula is linear in the metrics, so that its direction follows from their directions and signs.

use gsl_plan::plan::{Best, Metric, Monitor, MonitorTerm, Stop};

use super::body::Sourced;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::metric::{first_watchable, watched, watched_as};
use super::predict::Predict;
use super::value::{Ty, Value, eval, number_text};
use crate::diag::{Diagnostic, codes, one_of};
use crate::syntax::ast::*;

/// constant + Σ factor · metric, each metric with the place where it is written.
#[derive(Debug, Clone, Default)]
struct Formula {
    terms: Vec<(MonitorTerm, Span)>,
    constant: f64,
}

impl ExperimentCx<'_, '_> {
    pub fn stop(&mut self, predicts: &[Predict], lines: &mut Vec<Line>) -> (Option<Option<Stop>>, bool) {
        let Some(setting) = self.setting("stop") else { return (None, true) };
        let Some(expr) = self.single(&setting).cloned() else { return (None, false) };
        if expr.as_name() == Some("none") {
            lines.push(self.line(0, "stop", "none", &setting));
            return (Some(None), false);
        }
        let stop = self.patience(&setting, &expr, predicts);
        if let Some(Stop { monitor, patience, min_epochs }) = &stop {
            let shown = format!("patience({patience}, min_epochs: {min_epochs}, on: {})", monitor.name);
            lines.push(self.line(0, "stop", &shown, &setting));
        }
        (stop.map(Some), setting.place.is_default)
    }

    fn patience(&mut self, setting: &Sourced<Setting>, expr: &Expr, predicts: &[Predict]) -> Option<Stop> {
        let all = expr.as_call().map_or(&[][..], |(_, args)| args);
        let is_on = |a: &&Arg| a.name.as_ref().is_some_and(|n| n.text == "on");
        let on = all.iter().find(is_on).map(|a| a.value.clone());
        let rest: Vec<Arg> = all.iter().filter(|a| !is_on(a)).cloned().collect();
        let callee = match &expr.kind {
            ExprKind::Call { callee, .. } => callee.clone(),
            _ => Box::new(expr.clone()),
        };
        let call = Expr::new(ExprKind::Call { callee, args: rest }, expr.span);
        let (_, args) = self.function(setting, &call, "rule", &["patience"])?;
        let valid = Expr::new(ExprKind::Name("valid".to_owned()), expr.span);
        let monitor = self.monitor(setting, on.as_ref().unwrap_or(&valid), predicts)?;
        let patience = args.int("evaluations").and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let min_epochs = args.int("min_epochs").and_then(|n| u32::try_from(n).ok());
        let (Some(patience), Some(min_epochs)) = (patience, min_epochs) else {
            return self.out_of_range("patience", args.int("evaluations").unwrap_or(0), expr);
        };
        Some(Stop { monitor, patience, min_epochs })
    }

    /// `valid.accuracy`, `valid.accuracy, keep: 3`, `last`.
    pub fn best(&mut self, predicts: &[Predict], lines: &mut Vec<Line>) -> (Option<Option<Best>>, bool) {
        let Some(setting) = self.setting("best") else { return (None, true) };
        let is_default = setting.place.is_default;
        let Some((on, keep)) = self.best_parts(&setting) else { return (None, is_default) };
        if matches!(on.as_name(), Some("last" | "none")) {
            lines.push(self.line(0, "best", "last", &setting));
            return (Some(None), is_default);
        }
        let monitor = self.monitor(&setting, &on, predicts);
        if let Some(monitor) = &monitor {
            lines.push(self.line(0, "best", &format!("{}, keep: {keep}", monitor.name), &setting));
        }
        (monitor.map(|monitor| Some(Best { monitor, keep })), is_default)
    }

    fn best_parts(&mut self, setting: &Sourced<Setting>) -> Option<(Expr, u32)> {
        let (named, plain): (Vec<&Arg>, Vec<&Arg>) =
            setting.item.value.iter().partition(|arg| arg.name.is_some());
        let single = Setting { value: plain.into_iter().cloned().collect(), ..setting.item.clone() };
        let single = Sourced { item: single, place: setting.place.clone(), inherited: setting.inherited };
        let on = self.single(&single)?.clone();
        let mut keep = 1;
        for arg in named {
            let name = arg.name.as_ref()?;
            if name.text != "keep" {
                self.cx.unknown_of(
                    codes::ARGS_UNKNOWN,
                    ("best", "argument"),
                    &name.text,
                    name.span,
                    ["keep"],
                );
                return None;
            }
            let n = self.integer(setting, &arg.value)?;
            keep = match u32::try_from(n).ok().filter(|n| *n > 0) {
                Some(n) => n,
                None => return self.out_of_range("keep", n, &arg.value),
            };
        }
        Some((on, keep))
    }

    /// What is watched: `valid`, `valid.accuracy`, `valid.section.accuracy`, or a sum of such, each times a number.
    pub fn monitor(
        &mut self,
        setting: &Sourced<Setting>,
        expr: &Expr,
        predicts: &[Predict],
    ) -> Option<Monitor> {
        if predicts.is_empty() {
            return None;
        }
        let formula = self.within(setting, |cx| cx.formula(setting, expr, predicts))?.merged();
        let higher_is_better = self.within(setting, |cx| cx.direction(&formula, expr, predicts))?;
        Some(Monitor {
            name: formula.show(predicts),
            terms: formula.terms.into_iter().map(|(term, _)| term).collect(),
            constant: formula.constant,
            higher_is_better,
        })
    }

    fn formula(&mut self, setting: &Sourced<Setting>, expr: &Expr, predicts: &[Predict]) -> Option<Formula> {
        let constants = setting.place.env.clone();
        let is_constant = |name: &str| constants.contains_key(name);
        match &expr.kind {
            ExprKind::Bad => None,
            ExprKind::Number(_) => self.constant(setting, expr),
            ExprKind::Name(name) if is_constant(name) => self.constant(setting, expr),
            ExprKind::Name(_) | ExprKind::Field { .. } => self.metric_of_part(expr, predicts),
            ExprKind::Unary { operand, .. } => Some(self.formula(setting, operand, predicts)?.times(-1.0)),
            ExprKind::Binary { op, left, right, .. } => {
                let (left, right) =
                    (self.formula(setting, left, predicts), self.formula(setting, right, predicts));
                let (left, right) = (left?, right?);
                match combine(*op, left, right) {
                    Some(formula) => Some(formula),
                    None => self.not_linear(expr),
                }
            }
            _ => self.not_linear(expr),
        }
    }

    fn constant(&mut self, setting: &Sourced<Setting>, expr: &Expr) -> Option<Formula> {
        let value = eval(self.cx, &setting.place.env.clone(), expr, &Ty::Float, false)?;
        let Value::Float(constant) = value else { return None };
        Some(Formula { terms: Vec::new(), constant })
    }

    fn not_linear<T>(&mut self, expr: &Expr) -> Option<T> {
        let message = "this is no metric of a part, and no sum of such";
        let help = "write `valid.accuracy`, or `0.5 * valid.section.accuracy + 0.5 * valid.size.r2`";
        self.cx.error_help(codes::EXPERIMENT_MONITOR, message, expr.span, "expected a metric", help);
        None
    }

    fn metric_of_part(&mut self, expr: &Expr, predicts: &[Predict]) -> Option<Formula> {
        let Some(path) = expr.as_path() else { return self.not_linear(expr) };
        let names: Vec<&str> = path.segments.iter().map(|s| s.text.as_str()).collect();
        match names[0] {
            "valid" => {}
            "test" => return self.on_test(&path),
            other => {
                let what = "part to watch";
                self.cx.unknown(codes::EXPERIMENT_MONITOR, what, other, path.segments[0].span, ["valid"]);
                return None;
            }
        }
        let (predict, name) = match names[1..] {
            [] => (0, None),
            [metric] => (0, Some(metric)),
            [label, metric] => (self.predict_named(&[label], &path, predicts)?, Some(metric)),
            [owner, label, metric] => (self.predict_named(&[owner, label], &path, predicts)?, Some(metric)),
            _ => return self.not_linear(expr),
        };
        let metric = self.metric_named(name, &path, &predicts[predict])?;
        Some(Formula {
            terms: vec![(MonitorTerm { factor: 1.0, predict, metric }, expr.span)],
            constant: 0.0,
        })
    }

    /// The prediction that goes by `section`, or by `package.section`.
    fn predict_named(&mut self, names: &[&str], path: &Path, predicts: &[Predict]) -> Option<usize> {
        let span = path.segments[names.len()].span;
        let found: Vec<usize> =
            (0..predicts.len()).filter(|&i| predicts[i].handle.is_called(names)).collect();
        match found.as_slice() {
            [one] => return Some(*one),
            [] => {
                let known: Vec<String> = predicts.iter().map(|p| p.handle.shown_among(predicts)).collect();
                let known = known.iter().map(String::as_str);
                self.cx.unknown(codes::EXPERIMENT_MONITOR, "prediction", &names.join("."), span, known);
            }
            several => {
                let known: Vec<String> =
                    several.iter().map(|&i| predicts[i].handle.shown_among(predicts)).collect();
                let message = format!("several predictions go by `{}`", names.join("."));
                let help = format!("write {}", one_of(&known.iter().map(String::as_str).collect::<Vec<_>>()));
                self.cx.error_help(codes::EXPERIMENT_MONITOR, message, span, "which one?", help);
            }
        }
        None
    }

    fn metric_named(&mut self, name: Option<&str>, path: &Path, predict: &Predict) -> Option<Metric> {
        let Some(name) = name else { return Some(first_watchable(predict)) };
        let span = path.segments.last().map_or(path.span, |s| s.span);
        match watched(name, predict).as_slice() {
            [one] => return Some(*one),
            [] => self.not_watched(predict, name, span),
            several => {
                let names: Vec<String> = several.iter().map(|m| watched_as(*m, predict)).collect();
                let message = format!("`{name}` stands for {} metrics that are listed", names.len());
                let names: Vec<&str> = names.iter().map(|name| name.trim_matches('`')).collect();
                let help = format!("name one of them: {}", one_of(&names));
                self.cx.error_help(codes::EXPERIMENT_MONITOR, message, span, "which one?", help);
            }
        }
        None
    }

    fn not_watched(&mut self, task: &Predict, name: &str, span: Span) {
        if task.metrics.iter().any(|m| m.is_by_class() && (m.function() == name || m.name() == name)) {
            let message =
                format!("`{name}` is one number for each class, and nothing can be chosen by several");
            let help = "list an average of it too, such as `average: macro`, and watch that";
            self.cx.error_help(codes::EXPERIMENT_MONITOR, message, span, "by class", help);
            return;
        }
        let known: Vec<String> = task.metrics.iter().map(|m| m.name()).chain(["loss".to_owned()]).collect();
        let known = known.iter().map(String::as_str);
        self.cx.unknown_of(codes::EXPERIMENT_MONITOR, (&task.name, "metric"), name, span, known);
    }

    fn on_test<T>(&mut self, path: &Path) -> Option<T> {
        let message = "the test part cannot decide when to stop or which model to keep";
        let rest: Vec<&str> = path.segments[1..].iter().map(|s| s.text.as_str()).collect();
        let valid = std::iter::once("valid").chain(rest).collect::<Vec<_>>().join(".");
        let help = format!("watch the validation part: `{valid}`");
        self.cx.error_help(codes::LEAK_STOP_ON_TEST, message, path.span, "chosen on the test part", help);
        None
    }

    /// Whether more of the formula is better: all of its metrics have to agree.
    fn direction(&mut self, formula: &Formula, expr: &Expr, predicts: &[Predict]) -> Option<bool> {
        let rises = |term: &MonitorTerm| (term.factor > 0.0) == term.metric.higher_is_better();
        let Some((first, _)) = formula.terms.first() else { return self.not_linear(expr) };
        let Some((other, span)) = formula.terms.iter().find(|(term, _)| rises(term) != rises(first)) else {
            return Some(rises(first));
        };
        let (up, down) = if rises(first) { (first, other) } else { (other, first) };
        let [up, down] = [up, down].map(|term| show_metric(predicts, term));
        let message = format!("`{up}` makes this formula better when it rises, `{down}` when it falls");
        let help = "give metrics that are better when they fall the opposite sign: \
                    `valid.section.accuracy - valid.size.rmse`";
        let diagnostic =
            Diagnostic::new(codes::EXPERIMENT_DIRECTION, message).at(*span, "pulls the other way");
        self.cx.report(diagnostic.help(help));
        None
    }
}

impl Formula {
    fn times(mut self, factor: f64) -> Self {
        self.constant *= factor;
        self.terms.iter_mut().for_each(|(term, _)| term.factor *= factor);
        self
    }

    fn plus(mut self, other: Formula) -> Self {
        self.constant += other.constant;
        self.terms.extend(other.terms);
        self
    }

    /// The number that it is, if it has no metrics.
    fn number(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// Each metric once; none with the factor 0.
    fn merged(self) -> Self {
        let mut terms: Vec<(MonitorTerm, Span)> = Vec::new();
        for (term, span) in self.terms {
            let same = |t: &MonitorTerm| t.predict == term.predict && t.metric == term.metric;
            match terms.iter_mut().find(|(known, _)| same(known)) {
                Some((known, _)) => known.factor += term.factor,
                None => terms.push((term, span)),
            }
        }
        terms.retain(|(term, _)| term.factor.abs() > 0.0);
        Formula { terms, constant: self.constant }
    }

    fn show(&self, predicts: &[Predict]) -> String {
        let mut text = String::new();
        for (term, _) in &self.terms {
            let (size, metric) = (term.factor.abs(), show_metric(predicts, term));
            text += match (text.is_empty(), term.factor < 0.0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            text += &if size.total_cmp(&1.0).is_eq() {
                metric
            } else {
                format!("{} * {metric}", number_text(size))
            };
        }
        match self.constant {
            c if c > 0.0 => text + " + " + &number_text(c),
            c if c < 0.0 => text + " - " + &number_text(-c),
            _ => text,
        }
    }
}

/// Sums, and products and quotients with a number.
fn combine(op: BinaryOp, left: Formula, right: Formula) -> Option<Formula> {
    match (op, left.number(), right.number()) {
        (BinaryOp::Add, ..) => Some(left.plus(right)),
        (BinaryOp::Sub, ..) => Some(left.plus(right.times(-1.0))),
        (BinaryOp::Mul, Some(x), _) => Some(right.times(x)),
        (BinaryOp::Mul, _, Some(x)) => Some(left.times(x)),
        (BinaryOp::Div, _, Some(x)) if x.abs() > 0.0 => Some(left.times(1.0 / x)),
        _ => None,
    }
}

/// As it is written.
fn show_metric(predicts: &[Predict], term: &MonitorTerm) -> String {
    let Some(predict) = predicts.get(term.predict) else { return term.metric.name() };
    let name = watched_as(term.metric, predict);
    match predicts.len() {
        1 => format!("valid.{name}"),
        _ => format!("valid.{}.{name}", predict.handle.shown_among(predicts)),
    }
}
