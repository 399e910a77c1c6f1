//! Raw scores as predictions: the class and its probability, the number in the label's unit, the score of a link.

use gsl_plan::plan::Task;
use gsl_tables::{Output, OutputColumn};

use crate::infer::Rows;
use crate::train::metrics::argmax;

/// Predictions of some rows, in their order.
pub enum Predicted<'a> {
    Classes {
        names: Vec<&'a str>,
        own: Vec<f32>,
        /// Of all classes, row by row.
        all: Vec<f32>,
        classes: usize,
    },
    Numbers(Vec<f64>),
    Scores(&'a [f32]),
}

impl<'a> Predicted<'a> {
    pub fn of(task: &'a Task, scores: &'a Rows) -> Self {
        match task {
            Task::Classification { classes } => Self::classes(classes, scores),
            Task::Regression { mean, std } => {
                Predicted::Numbers(scores.data.iter().map(|x| f64::from(*x) * std + mean).collect())
            }
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

    pub fn columns(&self) -> Vec<OutputColumn<'_>> {
        match self {
            Predicted::Classes { names, own, all, classes } => vec![
                OutputColumn::new("prediction", Output::Text(names)),
                OutputColumn::new("probability", Output::Float32(own)),
                OutputColumn::new("probabilities", Output::FloatList { width: *classes, values: all }),
            ],
            Predicted::Numbers(values) => vec![OutputColumn::new("prediction", Output::Float(values))],
            Predicted::Scores(scores) => vec![OutputColumn::new("score", Output::Float32(scores))],
        }
    }
}

/// softmax(logits), the largest subtracted first.
fn probabilities(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| (p / sum) as f32).collect()
}
