//! Metrics of a part of the split, from exact inference.

use super::{Computed, InferError, Inference, Wanted};
use crate::comm::Communicator;
use crate::store::Params;
use crate::train::Job;
use crate::train::batches::{is_labelled, labelled};
use crate::train::metrics::{Confusion, ErrorSums, Sums};
use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict, Task};

/// Sums by predict over the labelled nodes of `part`; no pass over the graph where there are none.
pub fn evaluate(
    inference: &mut Inference,
    job: Job,
    params: &Params,
    comm: &dyn Communicator,
    part: Part,
) -> Result<Vec<Sums>, InferError> {
    let wanted = labelled(job.plan, job.view, part);
    let computed = if wanted.iter().all(|(_, ids)| ids.is_empty()) {
        Computed::default()
    } else {
        inference.compute(job.plan, job.view, params, comm, Wanted::Nodes(&wanted))?
    };
    Ok(judge(job.plan, job.view, &computed, part))
}

/// Sums by predict over the labelled nodes of `part`, from scores that are there.
pub fn judge(plan: &Plan, view: &dyn GraphView, computed: &Computed, part: Part) -> Vec<Sums> {
    let scores = |i: usize| computed.scores.get(i).and_then(Option::as_ref);
    let of = |(i, predict): (usize, &Predict)| {
        let mut sums = empty(predict);
        let Some(rows) = scores(i) else { return sums };
        let labels = view.label(predict.ty, predict.label);
        let nodes = 0..view.node_count(predict.ty) as u32;
        for v in nodes.filter(|&v| is_labelled(view, predict, v, part)) {
            add(&mut sums, predict, labels[v as usize], rows.row(v));
        }
        sums
    };
    plan.predicts.iter().enumerate().map(of).collect()
}

fn empty(predict: &Predict) -> Sums {
    match &predict.task {
        Task::Classification { classes } => Sums::Classes(Confusion::new(classes.len())),
        Task::Regression { .. } => Sums::Errors(ErrorSums::default()),
    }
}

fn add(sums: &mut Sums, predict: &Predict, label: f32, scores: &[f32]) {
    match (sums, &predict.task) {
        (Sums::Classes(c), _) => c.add(label as usize, scores),
        (Sums::Errors(e), Task::Regression { mean, std }) => {
            e.add(f64::from(scores[0]) * std + mean, f64::from(label));
        }
        _ => {}
    }
}
