//! Losses, each checked against the task that the label makes.

use gsl_plan::graph::LabelKind;
use gsl_plan::symbol::Symbol;
use serde::Serialize;

use super::body::Sourced;
use super::call::Args;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::link::LinkLoss;
use super::rust::{RUST, symbol};
use super::value::{Value, number_text};
use crate::diag::{codes, one_of};
use crate::sema::graph::label::CheckedLabel;
use crate::syntax::ast::*;
use crate::world::RustKind;

/// What is minimised, in mean over the training rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Loss {
    /// −log p of the true class, p = softmax(scores).
    CrossEntropy {
        weights: ClassWeights,
        smoothing: f64,
    },
    /// Of each class −log p if the row has it, else −log(1 − p), p = sigmoid(score).
    Bce {
        weights: ClassWeights,
        positive: ClassWeights,
        over: Over,
    },
    /// −α (1 − p)^γ log p, p the probability of what is true: by softmax of one class, by sigmoid of several. Lin et al. 2017,
    /// "Focal loss for dense object detection", eq. 5.
    Focal {
        gamma: f64,
        alpha: Option<f64>,
        weights: ClassWeights,
    },
    /// Squared error of the standardised target.
    Mse,
    Mae,
    /// Quadratic up to `delta`, then linear. Huber 1964.
    Huber {
        delta: f64,
    },
    /// e² / (1 + exp(α (γ − e))) of the absolute error e. Lu et al. 2018, "Deep regression tracking with shrinkage loss", eq. 5.
    Shrinkage {
        alpha: f64,
        gamma: f64,
    },
    /// Of links against their negatives.
    Link(LinkLoss),
    /// What is registered under this name.
    Rust(Symbol),
}

/// How much classes weigh.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ClassWeights {
    Equal,
    /// By what the training rows hold.
    Balanced,
    /// One for each class, in the order of the classes.
    Each(Vec<f64>),
}

/// How the losses of several classes make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Over {
    Mean,
    Sum,
}

const LOSSES: [&str; 8] = ["cross_entropy", "bce", "focal", "mse", "mae", "huber", "shrinkage", RUST];

impl ClassWeights {
    fn of(args: &Args, name: &str) -> Self {
        match args.get(name) {
            Value::List(items) => ClassWeights::Each(items.iter().filter_map(Value::number).collect()),
            Value::None => ClassWeights::Equal,
            _ => ClassWeights::Balanced,
        }
    }

    fn show(&self) -> String {
        match self {
            ClassWeights::Equal => "none".to_owned(),
            ClassWeights::Balanced => "balanced".to_owned(),
            ClassWeights::Each(weights) => {
                let shown: Vec<String> = weights.iter().map(|w| number_text(*w)).collect();
                format!("[{}]", shown.join(", "))
            }
        }
    }

    fn each(&self) -> &[f64] {
        if let ClassWeights::Each(weights) = self { weights } else { &[] }
    }
}

impl Loss {
    /// Every argument shown, as a file would write it.
    pub fn show(&self) -> String {
        match self {
            Loss::CrossEntropy { weights, smoothing } => {
                format!("cross_entropy(weights: {}, smoothing: {})", weights.show(), number_text(*smoothing))
            }
            Loss::Bce { weights, positive, over } => {
                let over = if *over == Over::Mean { "mean" } else { "sum" };
                format!("bce(weights: {}, positive: {}, over: {over})", weights.show(), positive.show())
            }
            Loss::Focal { gamma, alpha, weights } => {
                let alpha = alpha.map_or("none".to_owned(), number_text);
                format!("focal(gamma: {}, alpha: {alpha}, weights: {})", number_text(*gamma), weights.show())
            }
            Loss::Mse => "mse".into(),
            Loss::Mae => "mae".into(),
            Loss::Huber { delta } => format!("huber(delta: {})", number_text(*delta)),
            Loss::Link(loss) => loss.show(),
            Loss::Rust(name) => format!("rust(\"{name}\")"),
            Loss::Shrinkage { alpha, gamma } => {
                format!("shrinkage(alpha: {}, gamma: {})", number_text(*alpha), number_text(*gamma))
            }
        }
    }

    /// All lists of weights, one number for each class.
    pub fn lists(&self) -> impl Iterator<Item = &[f64]> {
        let lists = match self {
            Loss::CrossEntropy { weights, .. } | Loss::Focal { weights, .. } => [weights.each(), &[]],
            Loss::Bce { weights, positive, .. } => [weights.each(), positive.each()],
            _ => [&[][..], &[]],
        };
        lists.into_iter().filter(|list| !list.is_empty())
    }
}

/// The losses that are made for a kind of label.
fn fitting(kind: LabelKind) -> &'static [&'static str] {
    match kind {
        LabelKind::Class => &["cross_entropy", "focal"],
        LabelKind::Classes => &["bce", "focal"],
        LabelKind::Float => &["mse", "mae", "huber", "shrinkage"],
    }
}

impl ExperimentCx<'_, '_> {
    pub fn loss(
        &mut self,
        setting: &Sourced<Setting>,
        label: &CheckedLabel,
        lines: &mut Vec<Line>,
    ) -> Option<Loss> {
        let expr = self.single(setting)?.clone();
        let (name, args) = self.function(setting, &expr, "loss", &LOSSES)?;
        if name == RUST {
            let found = self.registered(setting, RustKind::Loss, &args, &expr)?;
            let loss = Loss::Rust(symbol(&found));
            lines.push(self.line(1, "loss", &loss.show(), setting));
            return Some(loss);
        }
        let loss = self.within(setting, |cx| cx.loss_of(&name, &args, &expr))?;
        if !fitting(label.label.kind).contains(&name.as_str()) {
            self.within(setting, |cx| cx.loss_does_not_fit(&name, label, &expr));
            return None;
        }
        if let (Some(classes), Some(list)) =
            (label.classes, loss.lists().find(|l| Some(l.len()) != label.classes))
        {
            let message = format!("{} weights for {classes} classes", list.len());
            let help = "give one weight for each class, in the order of the classes, or write `balanced`";
            self.within(setting, |cx| {
                cx.cx.error_help(codes::EXPERIMENT_CLASS_WEIGHTS, message, expr.span, "", help);
            });
            return None;
        }
        lines.push(self.line(1, "loss", &loss.show(), setting));
        Some(loss)
    }

    fn loss_of(&mut self, name: &str, args: &Args, expr: &Expr) -> Option<Loss> {
        let (weights, positive) = (ClassWeights::of(args, "weights"), ClassWeights::of(args, "positive"));
        let loss = match name {
            "cross_entropy" => {
                Loss::CrossEntropy { weights, smoothing: self.fraction(args, "smoothing", expr)? }
            }
            "bce" => {
                let over = if args.word("over") == Some("sum") { Over::Sum } else { Over::Mean };
                Loss::Bce { weights, positive, over }
            }
            "focal" => {
                let alpha = match args.float("alpha") {
                    None => None,
                    Some(_) => Some(self.share(args, "alpha", expr)?),
                };
                Loss::Focal { gamma: self.at_least_0(args, "gamma", expr)?, alpha, weights }
            }
            "mse" => Loss::Mse,
            "mae" => Loss::Mae,
            "huber" => Loss::Huber { delta: self.positive(args, "delta", expr)? },
            _ => Loss::Shrinkage {
                alpha: self.positive(args, "alpha", expr)?,
                gamma: self.at_least_0(args, "gamma", expr)?,
            },
        };
        if matches!(&loss, Loss::Focal { alpha: Some(_), weights, .. } if *weights != ClassWeights::Equal) {
            return self.bad_value("`alpha` and `weights` both weigh the classes: write one of them", expr);
        }
        let wrong = loss.lists().flatten().find(|w| !(w.is_finite() && **w >= 0.0)).copied();
        match wrong {
            Some(weight) => {
                self.bad_value(&format!("a weight is at least 0, not {}", number_text(weight)), expr)
            }
            None => Some(loss),
        }
    }

    fn loss_does_not_fit(&mut self, name: &str, label: &CheckedLabel, expr: &Expr) {
        let kind = label.label.kind;
        let or = match kind {
            _ if label.is_feature => "",
            LabelKind::Class => "",
            LabelKind::Classes => "; or declare the label as `: class`, if each row has one",
            LabelKind::Float => "; or declare the label as `: class`",
        };
        let help = format!("use {}{or}", one_of(fitting(kind)));
        let message = format!("`{name}` does not fit {}", label.noun());
        self.cx.error_help(codes::EXPERIMENT_LOSS_TASK, message, expr.span, "does not fit", help);
    }

    /// An argument of at least 0.
    fn at_least_0(&mut self, args: &Args, name: &str, expr: &Expr) -> Option<f64> {
        let x = args.float(name)?;
        match x.is_finite() && x >= 0.0 {
            true => Some(x),
            false => self.bad_value(&format!("`{name}` is at least 0, not {}", number_text(x)), expr),
        }
    }

    /// An argument between 0 and 1, neither of them.
    pub fn share(&mut self, args: &Args, name: &str, expr: &Expr) -> Option<f64> {
        let x = args.float(name)?;
        match x > 0.0 && x < 1.0 {
            true => Some(x),
            false => self.bad_value(&format!("`{name}` is between 0 and 1, not {}", number_text(x)), expr),
        }
    }

    /// Reports a value that is out of its range.
    pub fn bad_value<T>(&mut self, message: &str, expr: &Expr) -> Option<T> {
        self.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range");
        None
    }
}
