//! What only the data knows: classes, class weights, means; and whether there is anything to train on.

use gsl_plan::graph::{GraphFacts, LabelFacts, LabelKind};
use gsl_plan::pairs::Pairs;
use gsl_plan::plan::{Predict, Task, Trainer};

use super::Wrong;
use super::reconstruct::feature_of;
use crate::diag::{Diagnostic, codes};
use crate::sema::reconstruct::label_name;
use crate::sema::{self, CheckedGraph, Experiment, Loss, Target};
use crate::syntax::ast::Span;

/// The predictions with their classes and weights.
pub fn predicts(
    experiment: &Experiment,
    graph: &CheckedGraph,
    facts: &GraphFacts,
    pairs: &[Option<Pairs>],
) -> Result<Vec<Predict>, Wrong> {
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    for (predict, pairs) in experiment.predicts.iter().zip(pairs) {
        let Some(known) = label_facts(predict, graph, facts, pairs.as_ref()) else {
            wrong.push(no_facts(predict));
            continue;
        };
        match check(predict, stated(predict, graph), &known) {
            Some(diagnostic) => wrong.push(diagnostic),
            None => match one(predict, facts, &known, pairs.clone()) {
                Some(one) => found.push(one),
                None => wrong.push(no_values(predict)),
            },
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

fn label_facts(
    predict: &sema::Predict,
    graph: &CheckedGraph,
    facts: &GraphFacts,
    pairs: Option<&Pairs>,
) -> Option<LabelFacts> {
    match (predict.target, pairs) {
        (Target::Node { ty, label }, _) => {
            let name = &graph.labels[ty][label].label.name;
            facts.nodes.get(ty)?.labels.iter().find(|l| l.name == *name).cloned()
        }
        (Target::Feature { ty, .. }, _) => {
            let name = label_name(&predict.reconstruct.as_ref()?.feature);
            facts.nodes.get(ty)?.labels.iter().find(|l| l.name == name).cloned()
        }
        (_, Some(pairs)) => Some(super::pairs::label_facts(facts, pairs)),
        _ => None,
    }
}

/// The number of classes that the label's declaration states, and where.
fn stated(predict: &sema::Predict, graph: &CheckedGraph) -> Option<(usize, Span)> {
    let Target::Node { ty, label } = predict.target else { return None };
    let label = &graph.labels[ty][label];
    Some((label.classes?, label.span))
}

pub fn no_facts(predict: &sema::Predict) -> Diagnostic {
    let message = format!("the built graph has no label `{}`", predict.name);
    Diagnostic::new(codes::EXPERIMENT_DATA, message)
        .at(predict.span, "not in the graph")
        .help("build the graph again: `gsc build`")
}

fn check(predict: &sema::Predict, stated: Option<(usize, Span)>, known: &LabelFacts) -> Option<Diagnostic> {
    let data = |message: String, help: &str| {
        Diagnostic::new(codes::EXPERIMENT_DATA, message).at(predict.span, "").help(help)
    };
    let classes = known.classes.len();
    if known.parts[1] == 0 {
        let message = format!("`{}` has no rows to train on", predict.name);
        return Some(data(message, "its split puts no labelled row into `train`"));
    }
    if predict.kind == LabelKind::Class && classes < 2 {
        let message = format!("`{}` has {classes} class, and there is nothing to tell apart", predict.name);
        return Some(data(message, "a label needs at least two values"));
    }
    if let Some((stated, span)) = stated.filter(|(n, _)| *n != classes) {
        let message = format!("`{}` has {classes} classes, and {stated} are stated", predict.name);
        let diagnostic = data(message, "correct the number, or leave it out: `: class`");
        return Some(diagnostic.at(span, format!("class({stated})")));
    }
    None
}

/// None for a feature without values.
fn one(
    predict: &sema::Predict,
    facts: &GraphFacts,
    known: &LabelFacts,
    pairs: Option<Pairs>,
) -> Option<Predict> {
    let task = match predict.kind {
        _ if predict.link.is_some() => Task::Links,
        _ if predict.reconstruct.is_some() => {
            let (feature, width) = feature_of(predict, facts, pairs.as_ref())?;
            Task::Reconstruction { feature, width }
        }
        LabelKind::Class | LabelKind::Classes => Task::Classification { classes: known.classes.clone() },
        LabelKind::Float => Task::Regression { mean: known.mean, std: spread(known) },
    };
    let (ty, label) = match (predict.target, &pairs) {
        (Target::Node { ty, label }, _) => (ty as u32, label as u32),
        (Target::Feature { ty, .. }, _) => {
            let at = facts.nodes[ty].labels.iter().position(|label| label.name == known.name)?;
            (ty as u32, at as u32)
        }
        (_, Some(pairs)) => (pairs.ty, pairs.label),
        _ => (0, 0),
    };
    let balanced = matches!(predict.loss, Loss::CrossEntropy { balanced: true, .. });
    Some(Predict {
        name: predict.name.clone(),
        ty,
        label,
        parts: known.parts,
        pairs,
        task,
        class_weights: if balanced { balance(&known.train_counts) } else { Vec::new() },
        metrics: predict.metrics.clone(),
        loss: predict.loss.show(),
        weight: predict.weight as f32,
    })
}

fn no_values(predict: &sema::Predict) -> Diagnostic {
    let message = format!("`{}` has no values in the built graph", predict.name);
    Diagnostic::new(codes::EXPERIMENT_DATA, message)
        .at(predict.span, "all its rows are missing")
        .help("look at the column that the feature reads")
}

/// Standard deviation of a target; 1 for a constant one.
pub fn spread(known: &LabelFacts) -> f64 {
    if known.std > 0.0 && known.std.is_finite() { known.std } else { 1.0 }
}

/// n / (classes · count), 1 for a class that is never trained.
fn balance(counts: &[u64]) -> Vec<f32> {
    let total: u64 = counts.iter().sum();
    let seen = counts.iter().filter(|n| **n > 0).count().max(1);
    let weight = |n: u64| total as f64 / (seen as f64 * n as f64);
    counts.iter().map(|n| if *n == 0 { 1.0 } else { weight(*n) as f32 }).collect()
}

/// Without validation rows the default rules to stop and to choose fall away; written ones are a mistake.
pub fn trainer(experiment: &Experiment, predicts: &[Predict]) -> Result<Trainer, Wrong> {
    let mut trainer = experiment.training.trainer.clone();
    let has_valid = |index: usize| predicts[index].parts[2] > 0;
    let mut wrong = Vec::new();
    if let Some(stop) = trainer.stop.as_ref().map(|s| s.monitor.predict).filter(|p| !has_valid(*p)) {
        trainer.stop = None;
        wrong.extend((!experiment.training.default_stop).then(|| no_valid(experiment, stop, "stop")));
    }
    if let Some(best) = trainer.best.map(|m| m.predict).filter(|p| !has_valid(*p)) {
        trainer.best = None;
        wrong.extend((!experiment.training.default_best).then(|| no_valid(experiment, best, "best")));
    }
    if wrong.is_empty() { Ok(trainer) } else { Err(wrong) }
}

fn no_valid(experiment: &Experiment, predict: usize, setting: &str) -> Diagnostic {
    let predict = &experiment.predicts[predict];
    let message = format!("`{setting}` watches `{}`, which has no validation rows", predict.name);
    Diagnostic::new(codes::EXPERIMENT_DATA, message)
        .at(predict.span, "no row is in `valid`")
        .help(format!("give the split a `valid` part, or leave `{setting}` out"))
}
