//! Losses, each checked against the task that the label makes.

use gsl_plan::graph::LabelKind;
use serde::Serialize;

use super::body::Sourced;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::value::number_text;
use crate::diag::codes;
use crate::syntax::ast::*;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Loss {
    CrossEntropy {
        /// Classes weigh by the inverse of their share of the training rows.
        balanced: bool,
        smoothing: f64,
    },
    /// Squared error of the standardised target.
    Mse,
    Mae,
    /// Quadratic up to `delta`, then linear. Huber 1964.
    Huber {
        delta: f64,
    },
}

const LOSSES: [&str; 4] = ["cross_entropy", "mse", "mae", "huber"];

impl Loss {
    pub fn show(&self) -> String {
        match self {
            Loss::CrossEntropy { balanced, smoothing } => {
                let weights = if *balanced { "balanced" } else { "none" };
                format!("cross_entropy(weights: {weights}, smoothing: {})", number_text(*smoothing))
            }
            Loss::Mse => "mse".into(),
            Loss::Mae => "mae".into(),
            Loss::Huber { delta } => format!("huber(delta: {})", number_text(*delta)),
        }
    }

    fn fits(&self, kind: LabelKind) -> bool {
        matches!(self, Loss::CrossEntropy { .. }) == (kind == LabelKind::Class)
    }
}

/// What a label is, in a message.
pub fn labels(kind: LabelKind) -> &'static str {
    match kind {
        LabelKind::Class | LabelKind::Classes => "a label of classes",
        LabelKind::Float => "a label that is a number",
    }
}

impl ExperimentCx<'_, '_> {
    pub fn loss(
        &mut self,
        setting: &Sourced<Setting>,
        kind: LabelKind,
        lines: &mut Vec<Line>,
    ) -> Option<Loss> {
        let expr = self.single(setting)?.clone();
        let (name, args) = self.function(setting, &expr, "loss", &LOSSES)?;
        let loss = match name.as_str() {
            "cross_entropy" => Loss::CrossEntropy {
                balanced: args.word("weights") == Some("balanced"),
                smoothing: self.within(setting, |cx| cx.fraction(&args, "smoothing", &expr))?,
            },
            "mse" => Loss::Mse,
            "mae" => Loss::Mae,
            _ => Loss::Huber { delta: self.within(setting, |cx| cx.positive(&args, "delta", &expr))? },
        };
        if !loss.fits(kind) {
            let help = match kind {
                LabelKind::Class | LabelKind::Classes => "use `cross_entropy`",
                LabelKind::Float => "use `mse`, `mae` or `huber`; or declare the label as `: class`",
            };
            let message = format!("`{name}` does not fit {}", labels(kind));
            self.within(setting, |cx| {
                cx.cx.error_help(codes::EXPERIMENT_LOSS_TASK, message, expr.span, "does not fit", help);
            });
            return None;
        }
        lines.push(self.line(1, "loss", &loss.show(), setting));
        Some(loss)
    }
}
