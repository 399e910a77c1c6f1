//! Metrics, each checked against the task that the label makes.

use gsl_plan::graph::LabelKind;
use gsl_plan::plan::{Average, Metric};

use super::body::Sourced;
use super::call::Args;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::graph::label::CheckedLabel;
use super::link;
use super::predict::Predict;
use super::rust::{RUST, symbol};
use super::value::number_text;
use crate::diag::{codes, did_you_mean_help, one_of};
use crate::syntax::ast::*;
use crate::world::RustKind;

const METRICS: [&str; 21] = [
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "fbeta",
    "roc_auc",
    "average_precision",
    "log_loss",
    "calibration_error",
    "hits_at",
    "precision_at_recall",
    "recall_at_precision",
    "ndcg",
    "recall_at",
    "mse",
    "rmse",
    "mae",
    "r2",
    "mape",
    RUST,
];

/// As the language writes it: `f1(average: macro)`.
pub fn show_metric(metric: Metric) -> String {
    let args = match metric {
        Metric::Rust { name, .. } => return format!("rust(\"{name}\")"),
        Metric::F { beta, average } if beta != 1.0 => {
            format!("beta: {}, average: {}", number_text(beta), average.name())
        }
        Metric::CalibrationError { bins } => format!("bins: {bins}"),
        Metric::Hits(k) => k.to_string(),
        Metric::HitsAt(k) | Metric::RecallAt(k) | Metric::Ndcg(Some(k)) => format!("k: {k}"),
        Metric::PrecisionAtRecall(least) => format!("recall: {}", number_text(least)),
        Metric::RecallAtPrecision(least) => format!("precision: {}", number_text(least)),
        _ => match metric.average() {
            Some(average) => format!("average: {}", average.name()),
            None => return metric.function().to_owned(),
        },
    };
    format!("{}({args})", metric.function())
}

pub fn metric_fits(metric: Metric, kind: LabelKind) -> bool {
    match metric {
        Metric::Loss | Metric::Rust { .. } => true,
        Metric::Accuracy
        | Metric::Precision(_)
        | Metric::Recall(_)
        | Metric::F { .. }
        | Metric::RocAuc(_)
        | Metric::AveragePrecision(_)
        | Metric::LogLoss
        | Metric::Ndcg(_)
        | Metric::RecallAt(_) => kind != LabelKind::Float,
        Metric::BalancedAccuracy
        | Metric::CalibrationError { .. }
        | Metric::HitsAt(_)
        | Metric::PrecisionAtRecall(_)
        | Metric::RecallAtPrecision(_) => kind == LabelKind::Class,
        Metric::Mrr | Metric::Hits(_) | Metric::MeanRank | Metric::Amri => false,
        Metric::Mse | Metric::Rmse | Metric::Mae | Metric::R2 | Metric::Mape => kind == LabelKind::Float,
    }
}

/// What to write for a label of this kind, the most usual first.
fn fitting(kind: LabelKind) -> &'static [&'static str] {
    match kind {
        LabelKind::Class => &["accuracy", "f1", "roc_auc", "log_loss"],
        LabelKind::Classes => &["roc_auc", "average_precision", "f1"],
        LabelKind::Float => &["rmse", "mae", "r2"],
    }
}

/// The metrics that `valid.NAME` can mean: the one of this name in reports (`hits_10`), else those that are listed and have it for
/// a function (`hits`), else that function as it is without arguments.
pub fn watched(name: &str, predict: &Predict) -> Vec<Metric> {
    let listed = || predict.metrics.iter().copied().filter(|m| !m.is_by_class());
    if let Some(metric) = listed().find(|m| m.name() == name) {
        return vec![metric];
    }
    let of_function: Vec<Metric> = listed().filter(|m| m.function() == name).collect();
    if !of_function.is_empty() {
        return of_function;
    }
    let named = |m: &Metric| m.function() == name || m.name() == name;
    let usual = [
        Metric::Loss,
        Metric::Accuracy,
        Metric::BalancedAccuracy,
        Metric::F { beta: 1.0, average: Average::Macro },
        Metric::F { beta: 1.0, average: Average::Micro },
        Metric::F { beta: 1.0, average: Average::Weighted },
        Metric::Precision(Average::Macro),
        Metric::Recall(Average::Macro),
        Metric::RocAuc(Average::Macro),
        Metric::AveragePrecision(Average::Macro),
        Metric::LogLoss,
        Metric::Ndcg(None),
        Metric::Mse,
        Metric::Rmse,
        Metric::Mae,
        Metric::R2,
        Metric::Mape,
    ];
    let fits = |m: &Metric| *m == Metric::Loss || predict.link.is_none() && metric_fits(*m, predict.kind);
    usual.into_iter().find(named).filter(fits).into_iter().collect()
}

/// The name by which a metric of a prediction is watched. That of its function where it has a point in the one of reports
/// (`f0.5_macro`), which would need backticks, and no other listed one has the same function.
pub fn watched_as(metric: Metric, predict: &Predict) -> String {
    let name = metric.name();
    let alone =
        predict.metrics.iter().filter(|m| !m.is_by_class() && m.function() == metric.function()).count() <= 1;
    match (name.contains('.'), alone) {
        (false, _) => name,
        (true, true) => metric.function().to_owned(),
        (true, false) => format!("`{name}`"),
    }
}

/// What a model is chosen by if nobody says.
pub fn first_watchable(predict: &Predict) -> Metric {
    predict.metrics.iter().copied().find(|m| !m.is_by_class()).unwrap_or(Metric::Loss)
}

fn average(args: &Args) -> Average {
    match args.word("average") {
        Some("micro") => Average::Micro,
        Some("weighted") => Average::Weighted,
        Some("each") => Average::Each,
        _ => Average::Macro,
    }
}

impl ExperimentCx<'_, '_> {
    pub fn metrics(
        &mut self,
        setting: &Sourced<Setting>,
        label: &CheckedLabel,
        lines: &mut Vec<Line>,
    ) -> Option<Vec<Metric>> {
        let mut found = Vec::new();
        let mut good = true;
        for arg in &setting.item.value {
            match self.metric(setting, &arg.value, label) {
                Some(metric) if !found.contains(&metric) => found.push(metric),
                Some(_) => {}
                None => good = false,
            }
        }
        let shown: Vec<String> = found.iter().map(|m| show_metric(*m)).collect();
        lines.push(self.line(1, "metrics", &shown.join(", "), setting));
        good.then_some(found)
    }

    fn metric(&mut self, setting: &Sourced<Setting>, expr: &Expr, label: &CheckedLabel) -> Option<Metric> {
        let metric = match expr.as_name() {
            Some("loss") => Metric::Loss,
            _ => {
                self.known_metric(setting, expr, label)?;
                let (name, args) = self.function(setting, expr, "metric", &METRICS)?;
                if name == RUST {
                    return self.own_metric(setting, RustKind::Metric, &args, expr);
                }
                self.within(setting, |cx| cx.metric_of(&name, &args, expr))?
            }
        };
        let (kind, name) = (label.label.kind, metric.function());
        let few = label.classes.filter(|n| metric.needs_two_classes() && *n != 2);
        let all = label.classes.and_then(|classes| among_all(metric, classes));
        let (message, help) = match (few, all) {
            _ if !metric_fits(metric, kind) => {
                (format!("`{name}` does not fit {}", label.noun()), format!("use {}", one_of(fitting(kind))))
            }
            (Some(classes), _) => two_classes(metric, classes),
            (_, Some(wrong)) => wrong,
            _ => return Some(metric),
        };
        self.within(setting, |cx| {
            cx.cx.error_help(codes::EXPERIMENT_METRIC_TASK, message, expr.span, "does not fit", help);
        });
        None
    }

    /// Reports a metric that there is not, or that is of links.
    fn known_metric(&mut self, setting: &Sourced<Setting>, expr: &Expr, label: &CheckedLabel) -> Option<()> {
        let Some((name, _)) = expr.as_call().filter(|(name, _)| !METRICS.contains(name)) else {
            return Some(());
        };
        let use_these = format!("use {}", one_of(fitting(label.label.kind)));
        let (code, message, place, help) = match link::METRICS.contains(&name) {
            true => (
                codes::EXPERIMENT_METRIC_TASK,
                format!("`{name}` is a metric of links"),
                "of links",
                use_these,
            ),
            false => {
                let near = did_you_mean_help(name, METRICS).unwrap_or(use_these);
                (codes::NAMES_FUNCTION, format!("there is no metric `{name}`"), "not a metric", near)
            }
        };
        self.within(setting, |cx| cx.cx.error_help(code, message, expr.span, place, help));
        None
    }

    /// A registered metric, under a name that no other has.
    pub fn own_metric(
        &mut self,
        setting: &Sourced<Setting>,
        kind: RustKind,
        args: &Args,
        expr: &Expr,
    ) -> Option<Metric> {
        let found = self.registered(setting, kind, args, expr)?;
        let name = found.name.as_str();
        if name == "loss" || METRICS.contains(&name) || link::METRICS.contains(&name) {
            let message = format!("there is a metric `{name}` already");
            let help = "register yours under another name";
            self.within(setting, |cx| {
                cx.cx.error_help(codes::NAMES_DUPLICATE, message, expr.span, "the second one", help);
            });
            return None;
        }
        Some(Metric::Rust { name: symbol(&found), higher_is_better: found.higher_is_better })
    }

    fn metric_of(&mut self, name: &str, args: &Args, expr: &Expr) -> Option<Metric> {
        let count = |name: &str| args.int(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX);
        let average = average(args);
        Some(match name {
            "accuracy" => Metric::Accuracy,
            "balanced_accuracy" => Metric::BalancedAccuracy,
            "f1" => Metric::F { beta: 1.0, average },
            "fbeta" => Metric::F { beta: self.positive(args, "beta", expr)?, average },
            "precision" => Metric::Precision(average),
            "recall" => Metric::Recall(average),
            "roc_auc" => Metric::RocAuc(average),
            "average_precision" => Metric::AveragePrecision(average),
            "log_loss" => Metric::LogLoss,
            "calibration_error" => Metric::CalibrationError { bins: count("bins") },
            "hits_at" => Metric::HitsAt(count("k")),
            "precision_at_recall" => Metric::PrecisionAtRecall(self.share(args, "recall", expr)?),
            "recall_at_precision" => Metric::RecallAtPrecision(self.share(args, "precision", expr)?),
            "ndcg" => Metric::Ndcg(args.int("k").map(|_| count("k"))),
            "recall_at" => Metric::RecallAt(count("k")),
            "mse" => Metric::Mse,
            "rmse" => Metric::Rmse,
            "mae" => Metric::Mae,
            "r2" => Metric::R2,
            _ => Metric::Mape,
        })
    }
}

/// What is wrong with a metric of two classes on a label of another number, and what to do.
pub fn two_classes(metric: Metric, classes: usize) -> (String, String) {
    let message = format!("`{}` is of two classes, and the label has {classes}", metric.function());
    (message, "use `average_precision` or `roc_auc`, which go through the classes one by one".to_owned())
}

/// What is wrong with a metric that looks at as many classes as there are, or more, and what to do.
pub fn among_all(metric: Metric, classes: usize) -> Option<(String, String)> {
    let too_far = match metric {
        Metric::RecallAt(k) if k as usize >= classes => "1 whatever the model says",
        Metric::Ndcg(Some(k)) if k as usize > classes => "of more ranks than there are classes",
        _ => return None,
    };
    let message = format!("`{}` is {too_far}: the label has {classes} classes", show_metric(metric));
    let help = match metric {
        Metric::RecallAt(_) => format!("ask for the first {} at most", classes.saturating_sub(1)),
        _ => format!("ask for the first {classes} at most, or leave `k` out: `ndcg`"),
    };
    Some((message, help))
}
