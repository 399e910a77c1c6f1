//! How much a seed counts in a loss: by its label, its class, and what is known of it.

use super::batches::{is_labelled, label_of};
use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Predict, Task};

/// Appends the weights of node `v` in the loss of `predict`: one, or of several classes one for each. All are 0 if it does not
/// train.
pub fn push(view: &dyn GraphView, predict: &Predict, v: u32, out: &mut Vec<f32>) {
    let width = predict.task.label_width();
    if !is_labelled(view, predict, v, Part::Train) {
        out.extend(std::iter::repeat_n(0.0, width));
        return;
    }
    push_label(predict, label_of(view, predict, v), out);
}

/// Appends the weights of a row that trains and has this label.
pub fn push_label(predict: &Predict, label: &[f32], out: &mut Vec<f32>) {
    match predict.task {
        Task::Classification { .. } => out.push(weight_of(&predict.class_weights, label[0] as usize)),
        Task::Regression { .. } | Task::Reconstruction { .. } | Task::Links => out.push(1.0),
        Task::MultiLabel { .. } => several(predict, label, out),
    }
}

/// What node `v` adds to the sum that the loss of a batch is divided by: its weight; of several classes 1 if it trains.
pub fn share(view: &dyn GraphView, predict: &Predict, v: u32) -> f64 {
    match is_labelled(view, predict, v, Part::Train) {
        true => share_of(predict, label_of(view, predict, v)),
        false => 0.0,
    }
}

/// What a row that trains and has this label adds to that sum.
pub fn share_of(predict: &Predict, label: &[f32]) -> f64 {
    match predict.task {
        Task::Classification { .. } => f64::from(weight_of(&predict.class_weights, label[0] as usize)),
        _ => 1.0,
    }
}

/// Of each class: its weight, times its positive weight where the row has it, over the known classes for a mean; 0 where it is not known.
fn several(predict: &Predict, label: &[f32], out: &mut Vec<f32>) {
    let known = label.iter().filter(|y| !y.is_nan()).count().max(1);
    let scale = if predict.mean_over_classes { 1.0 / known as f32 } else { 1.0 };
    out.extend(label.iter().enumerate().map(|(class, y)| {
        let positive = if *y > 0.5 { weight_of(&predict.positive_weights, class) } else { 1.0 };
        if y.is_nan() { 0.0 } else { scale * weight_of(&predict.class_weights, class) * positive }
    }));
}

fn weight_of(weights: &[f32], class: usize) -> f32 {
    weights.get(class).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toys;
    use crate::view::MemoryGraph;

    fn predict(task: Task) -> Predict {
        let (class_weights, positive_weights) = (vec![1.0, 2.0], vec![3.0, 5.0]);
        Predict { class_weights, positive_weights, ..toys::predict(task) }
    }

    fn weights(predict: &Predict, labels: Vec<f32>, nodes: usize) -> Vec<f32> {
        let mut view = MemoryGraph::new(&[nodes]);
        view.add_label(0, labels, vec![Part::Train as u8; nodes]);
        let mut out = Vec::new();
        (0..nodes as u32).for_each(|v| push(&view, predict, v, &mut out));
        out
    }

    #[test]
    fn a_row_weighs_as_its_class() {
        let predict = predict(Task::Classification { classes: vec!["a".into(), "b".into()] });
        assert_eq!(weights(&predict, vec![1.0, -1.0, 0.0], 3), [2.0, 0.0, 1.0]);
    }

    #[test]
    fn an_unknown_class_weighs_nothing() {
        let predict = predict(Task::MultiLabel { classes: vec!["a".into(), "b".into()] });
        let labels = vec![1.0, 0.0, f32::NAN, 1.0, f32::NAN, f32::NAN];
        assert_eq!(weights(&predict, labels.clone(), 3), [1.5, 1.0, 0.0, 10.0, 0.0, 0.0]);
        let sum = Predict { mean_over_classes: false, ..predict };
        assert_eq!(weights(&sum, labels, 3), [3.0, 2.0, 0.0, 10.0, 0.0, 0.0]);
    }
}
