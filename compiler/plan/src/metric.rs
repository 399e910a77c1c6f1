//! What predictions are judged by.
//!
//! Decided here: which metrics there are, their names, and which way is better. How each is computed, the runtime decides.

use crate::symbol::Symbol;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Metric {
    /// What is minimised, without weights: mean −log p, or the mean squared error.
    Loss,
    /// Share of the rows whose class is right; of several classes, of the rows where all are.
    Accuracy,
    /// Mean recall over the classes that occur.
    BalancedAccuracy,
    Precision(Average),
    Recall(Average),
    /// (1 + β²) precision · recall / (β² precision + recall).
    F {
        beta: f64,
        average: Average,
    },
    /// Area under the receiver's curve: the chance that a row of the class has a higher score than one that is not.
    RocAuc(Average),
    /// Area under the steps of precision over recall.
    AveragePrecision(Average),
    /// Mean −log p.
    LogLoss,
    /// Mean distance of confidence and accuracy over so many bins of the confidence.
    CalibrationError {
        bins: u32,
    },
    /// Rows of the positive class among the so many highest scores.
    HitsAt(u32),
    /// The best precision at a recall of at least this.
    PrecisionAtRecall(f64),
    /// The best recall at a precision of at least this.
    RecallAtPrecision(f64),
    /// Normalised discounted cumulative gain of the classes in the order of their scores, to this rank.
    Ndcg(Option<u32>),
    /// Share of a row's classes among its so many highest scores.
    RecallAt(u32),
    Mse,
    Rmse,
    Mae,
    R2,
    /// Mean |error| / |target| over the rows whose target is not 0.
    Mape,
    /// Of links: mean of 1 / rank.
    Mrr,
    /// Of links: share of the ranks up to this.
    Hits(u32),
    MeanRank,
    /// 1 - 2 Σ (rank - 1) / Σ candidates: 1 is perfect, 0 random. Berrendorf et al. 2020.
    Amri,
    /// What the program that runs the plan has registered under this name.
    Rust {
        name: Symbol,
        higher_is_better: bool,
    },
}

/// How the numbers of the classes make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Average {
    /// All classes alike.
    Macro,
    /// All rows alike.
    Micro,
    /// By the rows that each class has.
    Weighted,
    /// Not at all: one number for each class.
    Each,
}

impl Average {
    pub fn name(self) -> &'static str {
        match self {
            Average::Macro => "macro",
            Average::Micro => "micro",
            Average::Weighted => "weighted",
            Average::Each => "each",
        }
    }
}

impl Metric {
    /// The name of its function in the language.
    pub fn function(self) -> &'static str {
        match self {
            Metric::Loss => "loss",
            Metric::Accuracy => "accuracy",
            Metric::BalancedAccuracy => "balanced_accuracy",
            Metric::Precision(_) => "precision",
            Metric::Recall(_) => "recall",
            Metric::F { beta: 1.0, .. } => "f1",
            Metric::F { .. } => "fbeta",
            Metric::RocAuc(_) => "roc_auc",
            Metric::AveragePrecision(_) => "average_precision",
            Metric::LogLoss => "log_loss",
            Metric::CalibrationError { .. } => "calibration_error",
            Metric::HitsAt(_) => "hits_at",
            Metric::PrecisionAtRecall(_) => "precision_at_recall",
            Metric::RecallAtPrecision(_) => "recall_at_precision",
            Metric::Ndcg(_) => "ndcg",
            Metric::RecallAt(_) => "recall_at",
            Metric::Mse => "mse",
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::R2 => "r2",
            Metric::Mape => "mape",
            Metric::Mrr => "mrr",
            Metric::Hits(_) => "hits",
            Metric::MeanRank => "mean_rank",
            Metric::Amri => "amri",
            Metric::Rust { name, .. } => name.as_str(),
        }
    }

    /// The name it has in every report: `f1_macro`, `f2_macro`, `roc_auc`, `recall_at_10`.
    pub fn name(self) -> String {
        let function = self.function();
        match self {
            Metric::F { beta, average } => format!("f{beta}_{}", average.name()),
            Metric::Precision(average) | Metric::Recall(average) => format!("{function}_{}", average.name()),
            Metric::RocAuc(average) | Metric::AveragePrecision(average) if average != Average::Macro => {
                format!("{function}_{}", average.name())
            }
            Metric::HitsAt(k) | Metric::Hits(k) | Metric::Ndcg(Some(k)) | Metric::RecallAt(k) => {
                format!("{}_{k}", if function == "ndcg" { "ndcg_at" } else { function })
            }
            Metric::PrecisionAtRecall(least) | Metric::RecallAtPrecision(least) => {
                format!("{function}_{least}")
            }
            _ => function.to_owned(),
        }
    }

    pub fn higher_is_better(self) -> bool {
        if let Metric::Rust { higher_is_better, .. } = self {
            return higher_is_better;
        }
        !matches!(
            self,
            Metric::Loss
                | Metric::LogLoss
                | Metric::CalibrationError { .. }
                | Metric::Mse
                | Metric::Rmse
                | Metric::Mae
                | Metric::Mape
                | Metric::MeanRank
        )
    }

    /// What it averages over, if it is of classes.
    pub fn average(self) -> Option<Average> {
        match self {
            Metric::Precision(average)
            | Metric::Recall(average)
            | Metric::F { average, .. }
            | Metric::RocAuc(average)
            | Metric::AveragePrecision(average) => Some(average),
            _ => None,
        }
    }

    /// Whether it is one number for each class, by which no model can be chosen.
    pub fn is_by_class(self) -> bool {
        self.average() == Some(Average::Each)
    }

    /// Whether it takes one of two classes for positive: the last one.
    pub fn needs_two_classes(self) -> bool {
        matches!(self, Metric::HitsAt(_) | Metric::PrecisionAtRecall(_) | Metric::RecallAtPrecision(_))
    }

    /// Whether it needs the order of all rows by the score of a class.
    pub fn needs_order(self) -> bool {
        matches!(self, Metric::RocAuc(_) | Metric::AveragePrecision(_)) || self.needs_two_classes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_arguments() {
        let names = [
            Metric::F { beta: 1.0, average: Average::Macro },
            Metric::F { beta: 0.5, average: Average::Each },
            Metric::RocAuc(Average::Macro),
            Metric::AveragePrecision(Average::Weighted),
            Metric::Ndcg(None),
            Metric::Ndcg(Some(5)),
            Metric::RecallAt(10),
            Metric::PrecisionAtRecall(0.9),
        ]
        .map(Metric::name);
        let expected = [
            "f1_macro",
            "f0.5_each",
            "roc_auc",
            "average_precision_weighted",
            "ndcg",
            "ndcg_at_5",
            "recall_at_10",
            "precision_at_recall_0.9",
        ];
        assert_eq!(names, expected);
    }
}
