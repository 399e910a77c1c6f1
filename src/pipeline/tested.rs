//! What the test part says.

use super::Graphs;
use crate::source::Failure;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict, Task};
use gsl_runtime::comm::Solo;
use gsl_runtime::infer::evaluate::judge;
use gsl_runtime::infer::{Computed, Inference};
use gsl_runtime::metrics::{Judged, Ordered, RelationScore, Times, intervals};
use gsl_runtime::report::{Event, Events};
use gsl_runtime::store::Params;
use std::collections::BTreeMap;

/// What the test part says of one `predict`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Tested {
    pub predict: String,
    pub metrics: Ordered<f64>,
    pub intervals: Ordered<[f64; 2]>,
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub by_class: Ordered<Vec<Option<f64>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_relation: BTreeMap<String, RelationScore>,
    pub rows: u64,
    /// What `rows` counts, for people.
    #[serde(skip)]
    pub unit: &'static str,
}

pub(super) fn test(
    plan: &Plan,
    graphs: Graphs,
    inference: &mut Inference,
    params: &Params,
    computed: &Computed,
    events: &Events,
) -> Result<Vec<Tested>, Failure> {
    let judged = events.stage("test", || {
        judge(inference, plan, graphs.whole, params, computed, &Solo, (Part::Test, &[])).map_err(Failure::new)
    })?;
    let tested = plan.predicts.iter().zip(judged).filter(|(_, judged)| judged.rows() > 0);
    Ok(tested.map(|(predict, judged)| tell_test(plan, predict, &judged, events)).collect())
}

fn tell_test(plan: &Plan, predict: &Predict, judged: &Judged, events: &Events) -> Tested {
    let tested = Tested {
        predict: predict.name.clone(),
        metrics: judged.named(&predict.metrics),
        intervals: intervals(judged, &predict.metrics, plan.seed),
        by_class: judged.named_by_class(predict),
        by_relation: by_relation(plan, predict, judged),
        rows: judged.rows() as u64,
        unit: if predict.task == Task::Links { "ranks of links" } else { "rows" },
    };
    let told = tested.clone();
    events.send(Event::Tested {
        predict: told.predict,
        classes: predict.task.classes().to_vec(),
        metrics: told.metrics,
        intervals: told.intervals,
        by_class: told.by_class,
        by_relation: told.by_relation,
        sums: judged.sums(Times::Once),
    });
    tested
}

/// The metrics of each relation, where there are several.
fn by_relation(plan: &Plan, predict: &Predict, judged: &Judged) -> BTreeMap<String, RelationScore> {
    let Some(pairs) = predict.pairs.as_ref().filter(|pairs| pairs.relations.len() > 1) else {
        return BTreeMap::new();
    };
    let name = |kind: u32| plan.facts.relations[pairs.relations[kind as usize] as usize].name.clone();
    judged.by_relation(&predict.metrics).into_iter().map(|(kind, score)| (name(kind), score)).collect()
}
