//! Metrics of a part of the split, from exact inference.

use super::{Computed, InferError, Inference, Rows, Wanted};
use crate::comm::Communicator;
use crate::metrics::{Judged, RankRow};
use crate::pairs::{Edges, Known};
use crate::store::Params;
use crate::train::Job;
use crate::train::batches::{is_labelled, label_of, labelled};
use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Metric, Monitor, Plan, Predict, Task};

/// By predict, the labelled nodes and edges of `part`; no pass over the graph where there are none.
pub fn evaluate(
    inference: &mut Inference,
    job: Job,
    params: &Params,
    comm: &dyn Communicator,
    part: Part,
) -> Result<Vec<Judged>, InferError> {
    let wanted = labelled(job.plan, job.view, part);
    let of_pairs = job.plan.predicts.iter().any(|p| p.pairs.is_some() && p.parts[part as usize] > 0);
    let computed = if wanted.iter().all(|(_, ids)| ids.is_empty()) && !of_pairs {
        Computed::default()
    } else {
        let wanted = if of_pairs { Wanted::All } else { Wanted::Nodes(&wanted) };
        inference.compute(job.plan, job.messages, params, comm, wanted)?
    };
    let watched: Vec<&Monitor> = job.judge.map(|judge| judge.monitor()).into_iter().collect();
    judge(inference, job.plan, job.view, params, &computed, comm, (part, &watched))
}

/// By predict, the labelled nodes and edges of `part`, from rows that are computed. `view` is the whole graph.
pub fn judge(
    inference: &mut Inference,
    plan: &Plan,
    view: &dyn GraphView,
    params: &Params,
    computed: &Computed,
    comm: &dyn Communicator,
    (part, watched): (Part, &[&Monitor]),
) -> Result<Vec<Judged>, InferError> {
    let known = Known { plan, view, params, rows: &computed.embeddings };
    let mut all = Vec::new();
    for (i, predict) in plan.predicts.iter().enumerate() {
        let mut judged = Judged::with(&predict.task, &asked(plan, i, watched), &inference.extensions);
        match Edges::of(view, predict) {
            None => nodes(view, predict, computed.scores.get(i).and_then(Option::as_ref), part, &mut judged),
            Some(edges) => pairs(inference, known, i, &edges.part(part), comm, &mut judged)?,
        }
        judged.finish();
        all.push(judged);
    }
    Ok(all)
}

fn nodes(view: &dyn GraphView, predict: &Predict, scores: Option<&Rows>, part: Part, judged: &mut Judged) {
    let Some(rows) = scores else { return };
    let nodes = 0..view.node_count(predict.ty) as u32;
    for v in nodes.filter(|&v| is_labelled(view, predict, v, part)) {
        match predict.task {
            Task::Reconstruction { feature, .. } => {
                let target = view.node_feature(predict.ty, feature);
                judged.compare(rows.row(v), target.row(v as usize));
            }
            _ => judged.add(label_of(view, predict, v), rows.row(v)),
        }
    }
}

fn pairs(
    inference: &mut Inference,
    known: Known,
    index: usize,
    numbers: &[u64],
    comm: &dyn Communicator,
    judged: &mut Judged,
) -> Result<(), InferError> {
    let predict = &known.plan.predicts[index];
    let scoring = inference.scoring(index);
    let (Some(scoring), Some(edges)) = (scoring, Edges::of(known.view, predict)) else { return Ok(()) };
    if numbers.is_empty() || known.rows.is_empty() {
        return Ok(());
    }
    if predict.task == Task::Links {
        let kinds = edges.kinds(numbers);
        let ranks = scoring.rank(known, numbers, comm)?.into_iter().zip(kinds.iter().cycle());
        ranks.for_each(|((rank, candidates), &kind)| judged.add_rank(RankRow { rank, candidates, kind }));
        return Ok(());
    }
    let found = edges.find(numbers);
    let scores = scoring.scores(known, &found)?;
    for (at, edge) in found.iter().enumerate() {
        match predict.task {
            Task::Reconstruction { feature, .. } => {
                judged.compare(scores.row(at as u32), edges.feature(edge, feature));
            }
            _ => judged.add(edges.label(edge), scores.row(at as u32)),
        }
    }
    Ok(())
}

/// Metrics that can be asked of a `predict`: its own, and those that are watched.
fn asked(plan: &Plan, index: usize, watched: &[&Monitor]) -> Vec<Metric> {
    let stop = plan.trainer.stop.as_ref().map(|stop| &stop.monitor);
    let best = plan.trainer.best.as_ref().map(|best| &best.monitor);
    let monitors = stop.into_iter().chain(best).chain(watched.iter().copied());
    let terms = monitors.flat_map(|m| &m.terms).filter(|term| term.predict == index);
    plan.predicts[index].metrics.iter().copied().chain(terms.map(|term| term.metric)).collect()
}
