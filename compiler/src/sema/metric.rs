//! Metrics, each checked against the task that the label makes.

use gsl_plan::graph::LabelKind;
use gsl_plan::plan::{Average, Metric};

use super::body::Sourced;
use super::call::Args;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::graph::label::CheckedLabel;
use super::link;
use super::loss::labels;
use super::predict::Predict;
use super::rust::{RUST, symbol};
use super::value::number_text;
use crate::diag::{codes, one_of};
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

/// The metric that `valid.NAME` means: one that is listed, by the name of its function or of its report, else that function as it
/// is without arguments.
pub fn watched(name: &str, predict: &Predict) -> Option<Metric> {
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
    let listed = predict.metrics.iter().copied();
    let found = listed.filter(|m| !m.is_by_class()).chain(usual).find(named);
    found.filter(|m| predict.link.is_some() || metric_fits(*m, predict.kind))
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
                let (name, args) = self.function(setting, expr, "metric", &METRICS)?;
                if name == RUST {
                    return self.own_metric(setting, RustKind::Metric, &args, expr);
                }
                self.within(setting, |cx| cx.metric_of(&name, &args, expr))?
            }
        };
        let (kind, name) = (label.label.kind, metric.function());
        let few = label.classes.filter(|n| metric.needs_two_classes() && *n != 2);
        let (message, help) = match few {
            _ if !metric_fits(metric, kind) => {
                (format!("`{name}` does not fit {}", labels(kind)), format!("use {}", one_of(fitting(kind))))
            }
            Some(classes) => two_classes(metric, classes),
            None => return Some(metric),
        };
        self.within(setting, |cx| {
            cx.cx.error_help(codes::EXPERIMENT_METRIC_TASK, message, expr.span, "does not fit", help);
        });
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
