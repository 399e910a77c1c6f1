//! Raw scores as predictions: the class and its probability, the number in the label's unit, the score of a link.

use gsl_plan::plan::Task;
use gsl_tables::{Output, OutputColumn};

use crate::infer::Rows;
use crate::metrics::argmax;

/// Predictions of some rows, in their order.
pub enum Predicted<'a> {
    Classes {
        names: Vec<&'a str>,
        own: Vec<f32>,
        /// Of all classes, row by row.
        all: Vec<f32>,
        classes: usize,
    },
    /// Those that are more likely than not, parted by `;`, and the probability of each.
    Several {
        names: Vec<String>,
        all: Vec<f32>,
        classes: usize,
    },
    Numbers(Vec<f64>),
    /// Rows of so many numbers: features that are reconstructed, in the unit in which they are stored.
    Rows {
        all: &'a [f32],
        width: usize,
    },
    Scores(&'a [f32]),
}

impl<'a> Predicted<'a> {
    pub fn of(task: &'a Task, scores: &'a Rows) -> Self {
        match task {
            Task::Classification { classes } => Self::classes(classes, scores),
            Task::MultiLabel { classes } => Self::several(classes, scores),
            Task::Regression { mean, std } => {
                Predicted::Numbers(scores.data.iter().map(|x| f64::from(*x) * std + mean).collect())
            }
            Task::Reconstruction { width, .. } => Predicted::Rows { all: &scores.data, width: *width },
            Task::Links => Predicted::Scores(&scores.data),
        }
    }

    fn classes(classes: &'a [String], scores: &Rows) -> Self {
        let rows = || scores.data.chunks_exact(scores.width.max(1));
        let best: Vec<usize> = rows().map(argmax).collect();
        let all: Vec<f32> = rows().flat_map(probabilities).collect();
        Predicted::Classes {
            names: best.iter().map(|&class| classes[class].as_str()).collect(),
            own: best.iter().enumerate().map(|(row, class)| all[row * classes.len() + class]).collect(),
            all,
            classes: classes.len(),
        }
    }

    fn several(classes: &[String], scores: &Rows) -> Self {
        Predicted::Several {
            names: scores.data.chunks_exact(scores.width.max(1)).map(|row| likely(classes, row)).collect(),
            all: scores.data.iter().map(|score| sigmoid(*score)).collect(),
            classes: classes.len(),
        }
    }

    /// What the column of classes says, row by row; nothing of numbers.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Predicted::Classes { names, .. } => names.clone(),
            Predicted::Several { names, .. } => names.iter().map(String::as_str).collect(),
            Predicted::Numbers(_) | Predicted::Rows { .. } | Predicted::Scores(_) => Vec::new(),
        }
    }

    /// The columns, given what [`Predicted::texts`] says.
    pub fn columns<'b>(&'b self, texts: &'b [&'b str]) -> Vec<OutputColumn<'b>> {
        match self {
            Predicted::Several { all, classes, .. } => vec![
                OutputColumn::new("prediction", Output::Text(texts)),
                OutputColumn::new("probabilities", Output::FloatList { width: *classes, values: all }),
            ],
            Predicted::Classes { own, all, classes, .. } => vec![
                OutputColumn::new("prediction", Output::Text(texts)),
                OutputColumn::new("probability", Output::Float32(own)),
                OutputColumn::new("probabilities", Output::FloatList { width: *classes, values: all }),
            ],
            Predicted::Numbers(values) => vec![OutputColumn::new("prediction", Output::Float(values))],
            Predicted::Rows { all, width } => {
                vec![OutputColumn::new("prediction", Output::FloatList { width: *width, values: all })]
            }
            Predicted::Scores(scores) => vec![OutputColumn::new("score", Output::Float32(scores))],
        }
    }
}

fn sigmoid(score: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(score)).exp())) as f32
}

/// The classes that are more likely than not.
fn likely(classes: &[String], scores: &[f32]) -> String {
    let likely = classes.iter().zip(scores).filter(|(_, score)| **score > 0.0);
    likely.map(|(class, _)| class.as_str()).collect::<Vec<_>>().join(";")
}

/// softmax(logits), the largest subtracted first.
fn probabilities(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| (p / sum) as f32).collect()
}
