//! Metrics of a part of the split, from exact inference.

use super::{Computed, InferError, Inference, Wanted};
use crate::comm::Communicator;
use crate::metrics::Judged;
use crate::store::Params;
use crate::train::Job;
use crate::train::batches::{is_labelled, label_of, labelled};
use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Metric, Plan, Predict};

/// By predict, the labelled nodes of `part`; no pass over the graph where there are none.
pub fn evaluate(
    inference: &mut Inference,
    job: Job,
    params: &Params,
    comm: &dyn Communicator,
    part: Part,
) -> Result<Vec<Judged>, InferError> {
    let wanted = labelled(job.plan, job.view, part);
    let computed = if wanted.iter().all(|(_, ids)| ids.is_empty()) {
        Computed::default()
    } else {
        inference.compute(job.plan, job.view, params, comm, Wanted::Nodes(&wanted))?
    };
    Ok(judge(job.plan, job.view, &computed, part))
}

/// By predict, the labelled nodes of `part`, from scores that are there.
pub fn judge(plan: &Plan, view: &dyn GraphView, computed: &Computed, part: Part) -> Vec<Judged> {
    let scores = |i: usize| computed.scores.get(i).and_then(Option::as_ref);
    let of = |(i, predict): (usize, &Predict)| {
        let mut judged = Judged::new(&predict.task, &asked(plan, i));
        let Some(rows) = scores(i) else { return judged };
        let nodes = 0..view.node_count(predict.ty) as u32;
        for v in nodes.filter(|&v| is_labelled(view, predict, v, part)) {
            judged.add(label_of(view, predict, v), rows.row(v));
        }
        judged.finish();
        judged
    };
    plan.predicts.iter().enumerate().map(of).collect()
}

/// Metrics that can be asked of a `predict`: its own, and those that are watched.
fn asked(plan: &Plan, index: usize) -> Vec<Metric> {
    let stop = plan.trainer.stop.as_ref().map(|stop| stop.monitor);
    let watched = stop.into_iter().chain(plan.trainer.best).filter(|m| m.predict == index);
    plan.predicts[index].metrics.iter().copied().chain(watched.map(|m| m.metric)).collect()
}
