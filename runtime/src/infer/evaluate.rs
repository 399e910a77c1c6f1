//! Metrics of a part of the split, from exact inference.

use super::{Computed, InferError, Inference, Wanted};
use crate::comm::Communicator;
use crate::pairs::{Edges, Known};
use crate::store::Params;
use crate::train::Job;
use crate::train::batches::{is_labelled, labelled};
use crate::train::metrics::{Confusion, ErrorSums, Sums};
use crate::train::ranks::RankSums;
use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict, Task};

/// Sums by predict over the labelled nodes and edges of `part`; no pass over the graph where there are none.
pub fn evaluate(
    inference: &mut Inference,
    job: Job,
    params: &Params,
    comm: &dyn Communicator,
    part: Part,
) -> Result<Vec<Sums>, InferError> {
    let wanted = labelled(job.plan, job.view, part);
    let of_pairs = job.plan.predicts.iter().any(|p| p.pairs.is_some() && p.parts[part as usize] > 0);
    let computed = if wanted.iter().all(|(_, ids)| ids.is_empty()) && !of_pairs {
        Computed::default()
    } else {
        let wanted = if of_pairs { Wanted::All } else { Wanted::Nodes(&wanted) };
        inference.compute(job.plan, job.messages, params, comm, wanted)?
    };
    judge(inference, job.plan, job.view, params, &computed, comm, part)
}

/// Sums by predict over the labelled nodes and edges of `part`, from rows that are computed. `view` is the whole graph.
pub fn judge(
    inference: &mut Inference,
    plan: &Plan,
    view: &dyn GraphView,
    params: &Params,
    computed: &Computed,
    comm: &dyn Communicator,
    part: Part,
) -> Result<Vec<Sums>, InferError> {
    let known = Known { plan, view, params, rows: &computed.embeddings };
    let mut all = Vec::new();
    for (i, predict) in plan.predicts.iter().enumerate() {
        all.push(match Edges::of(view, predict) {
            None => nodes(view, predict, computed.scores.get(i).and_then(Option::as_ref), part),
            Some(edges) => pairs(inference, known, i, &edges.part(part), comm)?,
        });
    }
    Ok(all)
}

fn nodes(view: &dyn GraphView, predict: &Predict, scores: Option<&super::Rows>, part: Part) -> Sums {
    let mut sums = empty(predict);
    let Some(rows) = scores else { return sums };
    let labels = view.label(predict.ty, predict.label);
    let nodes = 0..view.node_count(predict.ty) as u32;
    for v in nodes.filter(|&v| is_labelled(view, predict, v, part)) {
        match predict.task {
            Task::Reconstruction { feature, .. } => {
                let target = view.node_feature(predict.ty, feature);
                compare(&mut sums, rows.row(v), target.row(v as usize));
            }
            _ => add(&mut sums, predict, labels[v as usize], rows.row(v)),
        }
    }
    sums
}

/// Adds the errors of all numbers of a row.
fn compare(sums: &mut Sums, scores: &[f32], target: impl IntoIterator<Item = f32>) {
    let Sums::Errors(errors) = sums else { return };
    for (score, target) in scores.iter().zip(target) {
        errors.add(f64::from(*score), f64::from(target));
    }
}

fn pairs(
    inference: &mut Inference,
    known: Known,
    index: usize,
    numbers: &[u64],
    comm: &dyn Communicator,
) -> Result<Sums, InferError> {
    let predict = &known.plan.predicts[index];
    let mut sums = empty(predict);
    let scoring = inference.scorings.iter_mut().find(|scoring| scoring.predict() == index);
    let (Some(scoring), Some(edges)) = (scoring, Edges::of(known.view, predict)) else { return Ok(sums) };
    if numbers.is_empty() || known.rows.is_empty() {
        return Ok(sums);
    }
    if predict.task == Task::Links {
        return Ok(Sums::Ranks(scoring.rank(known, numbers, comm)?));
    }
    let found = edges.find(numbers);
    let scores = scoring.scores(known, &found)?;
    for (at, edge) in found.iter().enumerate() {
        match predict.task {
            Task::Reconstruction { feature, .. } => {
                compare(&mut sums, scores.row(at as u32), edges.feature(edge, feature));
            }
            _ => add(&mut sums, predict, edges.label(edge), scores.row(at as u32)),
        }
    }
    Ok(sums)
}

fn empty(predict: &Predict) -> Sums {
    match &predict.task {
        Task::Classification { classes } => Sums::Classes(Confusion::new(classes.len())),
        Task::Regression { .. } | Task::Reconstruction { .. } => Sums::Errors(ErrorSums::default()),
        Task::Links => Sums::Ranks(RankSums::new(&predict.metrics)),
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
