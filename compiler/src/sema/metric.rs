//! Metrics, each checked against the task that the label makes.

use gsl_plan::graph::LabelKind;
use gsl_plan::plan::Metric;

use super::body::Sourced;
use super::call::Args;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::loss::labels;
use crate::diag::{codes, one_of};
use crate::syntax::ast::*;

const METRICS: [&str; 6] = ["accuracy", "f1", "rmse", "mae", "r2", "loss"];

/// As the language writes it: `f1(average: macro)`.
pub fn show_metric(metric: Metric) -> String {
    match metric.name().split_once('_') {
        Some(("f1", average)) => format!("f1(average: {average})"),
        _ => metric.name().to_owned(),
    }
}

pub fn metric_fits(metric: Metric, kind: LabelKind) -> bool {
    match metric {
        Metric::Accuracy | Metric::F1Macro | Metric::F1Micro | Metric::F1Weighted => kind == LabelKind::Class,
        Metric::Rmse | Metric::Mae | Metric::R2 => kind == LabelKind::Float,
        Metric::Loss => true,
    }
}

impl ExperimentCx<'_, '_> {
    pub fn metrics(
        &mut self,
        setting: &Sourced<Setting>,
        kind: LabelKind,
        lines: &mut Vec<Line>,
    ) -> Option<Vec<Metric>> {
        let mut found = Vec::new();
        let mut good = true;
        for arg in &setting.item.value {
            match self.metric(setting, &arg.value, kind) {
                Some(metric) if !found.contains(&metric) => found.push(metric),
                Some(_) => {}
                None => good = false,
            }
        }
        let shown: Vec<String> = found.iter().map(|m| show_metric(*m)).collect();
        lines.push(self.line(1, "metrics", &shown.join(", "), setting));
        good.then_some(found)
    }

    fn metric(&mut self, setting: &Sourced<Setting>, expr: &Expr, kind: LabelKind) -> Option<Metric> {
        let is_loss = expr.as_name() == Some("loss");
        let (name, args) = match is_loss {
            true => ("loss".to_owned(), Args::default()),
            false => self.function(setting, expr, "metric", &METRICS)?,
        };
        let metric = match (name.as_str(), args.word("average")) {
            ("accuracy", _) => Metric::Accuracy,
            ("f1", Some("micro")) => Metric::F1Micro,
            ("f1", Some("weighted")) => Metric::F1Weighted,
            ("f1", _) => Metric::F1Macro,
            ("rmse", _) => Metric::Rmse,
            ("mae", _) => Metric::Mae,
            ("r2", _) => Metric::R2,
            _ => Metric::Loss,
        };
        if metric_fits(metric, kind) {
            return Some(metric);
        }
        let fitting: &[&str] = match kind {
            LabelKind::Class | LabelKind::Classes => &["accuracy", "f1"],
            LabelKind::Float => &["rmse", "mae", "r2"],
        };
        let message = format!("`{name}` does not fit {}", labels(kind));
        let help = format!("use {}", one_of(fitting));
        self.within(setting, |cx| {
            cx.cx.error_help(codes::EXPERIMENT_METRIC_TASK, message, expr.span, "does not fit", help);
        });
        None
    }
}
