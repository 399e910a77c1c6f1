//! What of an experiment is no longer as it was when a run was trained.

use gsl_plan::plan::{Plan, TrainStage, Trainer};
use std::path::Path;

/// Parameters that are named; the others are counted.
const NAMED: usize = 3;

/// The parts in which a run differs from the one in a folder, in words: of its plan, or else its tables. Nothing where that plan
/// cannot be read.
pub fn since(folder: &Path, now: &Plan) -> Vec<String> {
    let text = std::fs::read(folder.join("plan.json"));
    let then = text.ok().and_then(|text| serde_json::from_slice::<Plan>(&text).ok());
    then.map_or_else(Vec::new, |then| between(&then, now))
}

fn between(then: &Plan, now: &Plan) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut add = |differs: bool, name: &str| parts.extend(differs.then(|| name.to_owned()));
    add(then.graph != now.graph || then.facts != now.facts, "the graph");
    add(then.predicts != now.predicts, "what is predicted, or how it is judged");
    add(then.sampler != now.sampler, "`sample`");
    add(then.starts != now.starts, "what the parameters start from");
    add(then.seed != now.seed, "the seed");
    trainer(&then.trainer, &now.trainer, &mut add);
    let params = params(then, now);
    let same = |a: &Plan, b: &Plan| a.train.program == b.train.program && a.infer == b.infer;
    if params.is_empty() && parts.is_empty() && !same(then, now) {
        parts.push("the equations of the model, or its loss".to_owned());
    }
    parts.extend(params);
    if parts.is_empty() {
        parts.push("what the tables say".to_owned());
    }
    parts
}

fn trainer(then: &Trainer, now: &Trainer, add: &mut impl FnMut(bool, &str)) {
    let differs = |of: fn(&TrainStage) -> String| {
        let all = |trainer: &Trainer| trainer.stages.iter().map(of).collect::<Vec<_>>();
        all(then) != all(now)
    };
    add(then.batch != now.batch, "`batch`");
    add(then.accumulate != now.accumulate, "`accumulate`");
    add(differs(|stage| format!("{:?} {:?}", stage.dense, stage.sparse)), "`optimizer`");
    add(then.average != now.average, "`average`");
    add(differs(|stage| stage.epochs.to_string()), "`epochs`");
    add(differs(|stage| format!("{} {:?}", stage.name, stage.frozen)), "the stages");
    add(then.evaluate_every != now.evaluate_every, "`evaluate_every`");
    add(then.stop != now.stop, "`stop`");
    add(then.best != now.best, "`best`");
}

/// Parameters that were not there, are no longer there, or have another shape.
fn params(then: &Plan, now: &Plan) -> Vec<String> {
    let shape =
        |plan: &Plan, name: &str| plan.params.iter().find(|p| p.name == name).map(|p| p.shape.clone());
    let text = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
    let of_now = now.params.iter().filter_map(|param| match shape(then, &param.name) {
        None => Some(format!("`{}` is new", param.name)),
        Some(old) if old != param.shape => {
            Some(format!("`{}` is {} and was {}", param.name, text(&param.shape), text(&old)))
        }
        Some(_) => None,
    });
    let gone = then.params.iter().filter(|param| shape(now, &param.name).is_none());
    let mut all: Vec<String> = of_now.chain(gone.map(|param| format!("`{}` is gone", param.name))).collect();
    if all.len() > NAMED {
        let more = all.len() - NAMED;
        all.truncate(NAMED);
        all.push(format!("{more} more parameters"));
    }
    all
}
