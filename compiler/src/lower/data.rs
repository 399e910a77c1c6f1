//! What only the data knows: classes, class weights, means; and whether there is anything to train on.

use gsl_plan::graph::{GraphFacts, LabelFacts, LabelKind};
use gsl_plan::plan::{Monitor, Predict, Task, Trainer};

use super::Wrong;
use crate::diag::{Diagnostic, codes};
use crate::sema::graph::label::CheckedLabel;
use crate::sema::{self, CheckedGraph, Experiment, Loss};

/// The predictions with their classes and weights.
pub fn predicts(
    experiment: &Experiment,
    graph: &CheckedGraph,
    facts: &GraphFacts,
) -> Result<Vec<Predict>, Wrong> {
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    for predict in &experiment.predicts {
        let label = &graph.labels[predict.ty][predict.label];
        let Some(known) = label_facts(predict, label, facts) else {
            wrong.push(no_facts(predict));
            continue;
        };
        match check(predict, label, known) {
            Some(diagnostic) => wrong.push(diagnostic),
            None => found.push(one(predict, known)),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

fn label_facts<'f>(
    predict: &sema::Predict,
    label: &CheckedLabel,
    facts: &'f GraphFacts,
) -> Option<&'f LabelFacts> {
    facts.nodes.get(predict.ty)?.labels.iter().find(|l| l.name == label.label.name)
}

fn no_facts(predict: &sema::Predict) -> Diagnostic {
    let message = format!("the built graph has no label `{}`", predict.name);
    Diagnostic::new(codes::EXPERIMENT_DATA, message)
        .at(predict.span, "not in the graph")
        .help("build the graph again: `gsc build`")
}

fn check(predict: &sema::Predict, label: &CheckedLabel, known: &LabelFacts) -> Option<Diagnostic> {
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
    if let Some(stated) = label.classes.filter(|n| *n != classes) {
        let message = format!("`{}` has {classes} classes, and {stated} are stated", predict.name);
        let diagnostic = data(message, "correct the number, or leave it out: `: class`");
        return Some(diagnostic.at(label.span, format!("class({stated})")));
    }
    None
}

fn one(predict: &sema::Predict, known: &LabelFacts) -> Predict {
    let task = match predict.kind {
        LabelKind::Class | LabelKind::Classes => Task::Classification { classes: known.classes.clone() },
        LabelKind::Float => Task::Regression { mean: known.mean, std: spread(known) },
    };
    let balanced = matches!(predict.loss, Loss::CrossEntropy { balanced: true, .. });
    Predict {
        name: predict.name.clone(),
        ty: predict.ty as u32,
        label: predict.label as u32,
        task,
        class_weights: if balanced { balance(&known.train_counts) } else { Vec::new() },
        metrics: predict.metrics.clone(),
        loss: predict.loss.show(),
        weight: predict.weight as f32,
    }
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
pub fn trainer(experiment: &Experiment, graph: &CheckedGraph, facts: &GraphFacts) -> Result<Trainer, Wrong> {
    let mut trainer = experiment.training.trainer.clone();
    let has_valid = |index: usize| {
        let predict = &experiment.predicts[index];
        let label = &graph.labels[predict.ty][predict.label];
        label_facts(predict, label, facts).is_some_and(|l| l.parts[2] > 0)
    };
    let blind = |monitor: &Monitor| monitor.terms.iter().map(|t| t.predict).find(|p| !has_valid(*p));
    let mut wrong = Vec::new();
    if let Some(stop) = trainer.stop.as_ref().and_then(|stop| blind(&stop.monitor)) {
        trainer.stop = None;
        wrong.extend((!experiment.training.default_stop).then(|| no_valid(experiment, stop, "stop")));
    }
    if let Some(best) = trainer.best.as_ref().and_then(|best| blind(&best.monitor)) {
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
