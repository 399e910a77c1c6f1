//! What only the data knows: classes, class weights, means; and whether there is anything to train on.

use gsl_plan::graph::{GraphFacts, LabelFacts, LabelKind};
use gsl_plan::pairs::Pairs;
use gsl_plan::plan::{Monitor, Predict, Task, Trainer};

use super::Wrong;
use super::reconstruct::feature_of;
use crate::diag::{Diagnostic, codes};
use crate::sema::metric::{among_all, two_classes};
use crate::sema::reconstruct::label_name;
use crate::sema::{self, CheckedGraph, ClassWeights, Experiment, Loss, Over, Target};
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
    if let Some(diagnostic) = wrong_weights(predict, classes).or_else(|| wrong_metric(predict, classes)) {
        return Some(diagnostic);
    }
    if let Some((stated, span)) = stated.filter(|(n, _)| *n != classes) {
        let message = format!("`{}` has {classes} classes, and {stated} are stated", predict.name);
        let diagnostic = data(message, "correct the number, or leave it out: `: class`");
        return Some(diagnostic.at(span, format!("class({stated})")));
    }
    None
}

/// Weights that are not as many as the classes, which `class(7)` would have said.
fn wrong_weights(predict: &sema::Predict, classes: usize) -> Option<Diagnostic> {
    let wrong = |message: String, help: &str| {
        Some(Diagnostic::new(codes::EXPERIMENT_CLASS_WEIGHTS, message).at(predict.span, "").help(help))
    };
    if let Some(list) = predict.loss.lists().find(|list| list.len() != classes) {
        let message =
            format!("the loss has {} weights, and `{}` has {classes} classes", list.len(), predict.name);
        return wrong(
            message,
            "give one weight for each class, in the order of the classes, or write `balanced`",
        );
    }
    let alpha = matches!(&predict.loss, Loss::Focal { alpha: Some(_), .. });
    if alpha && predict.kind == LabelKind::Class && classes != 2 {
        let message = format!("`alpha` weighs one of two classes, and `{}` has {classes}", predict.name);
        return wrong(message, "give each class its weight: `focal(weights: balanced)`");
    }
    None
}

/// A metric of two classes where there are others, or of more classes than there are.
fn wrong_metric(predict: &sema::Predict, classes: usize) -> Option<Diagnostic> {
    let metrics = || predict.metrics.iter().copied();
    if let Some(metric) = metrics().find(|m| m.needs_two_classes() && classes != 2) {
        let (message, help) = two_classes(metric, classes);
        return Some(Diagnostic::new(codes::EXPERIMENT_METRIC_TASK, message).at(predict.span, "").help(help));
    }
    let (message, help) = metrics().filter(|_| classes > 0).find_map(|metric| among_all(metric, classes))?;
    Some(Diagnostic::new(codes::EXPERIMENT_DATA, message).at(predict.span, "").help(help))
}

/// None for a feature without values.
fn one(
    predict: &sema::Predict,
    facts: &GraphFacts,
    known: &LabelFacts,
    pairs: Option<Pairs>,
) -> Option<Predict> {
    let classes = || known.classes.clone();
    let task = match predict.kind {
        _ if predict.link.is_some() => Task::Links,
        _ if predict.reconstruct.is_some() => {
            let (feature, width) = feature_of(predict, facts, pairs.as_ref())?;
            Task::Reconstruction { feature, width }
        }
        LabelKind::Class => Task::Classification { classes: classes() },
        LabelKind::Classes => Task::MultiLabel { classes: classes() },
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
    let (class_weights, positive_weights) = weights(predict, known);
    Some(Predict {
        name: predict.name.clone(),
        ty,
        label,
        parts: known.parts,
        pairs,
        task,
        class_weights,
        positive_weights,
        mean_over_classes: !matches!(predict.loss, Loss::Bce { over: Over::Sum, .. }),
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

/// Weights of the classes, and of several classes those of the rows that have them.
fn weights(predict: &sema::Predict, known: &LabelFacts) -> (Vec<f32>, Vec<f32>) {
    let several = predict.kind == LabelKind::Classes;
    match &predict.loss {
        Loss::CrossEntropy { weights, .. } => (each(weights, || balance(&known.train_counts)), Vec::new()),
        Loss::Bce { weights, positive, .. } => {
            (each(weights, Vec::new), each(positive, || rarity(&known.train_counts, known.parts[1])))
        }
        Loss::Focal { alpha: Some(alpha), .. } if several => {
            let of_all = |weight: f64| vec![weight as f32; known.classes.len()];
            (of_all(1.0 - alpha), of_all(alpha / (1.0 - alpha)))
        }
        Loss::Focal { weights, .. } if several => match weights {
            ClassWeights::Balanced => (Vec::new(), rarity(&known.train_counts, known.parts[1])),
            _ => (each(weights, Vec::new), Vec::new()),
        },
        Loss::Focal { alpha: Some(alpha), .. } => (vec![(1.0 - alpha) as f32, *alpha as f32], Vec::new()),
        Loss::Focal { weights, .. } => (each(weights, || balance(&known.train_counts)), Vec::new()),
        Loss::Mse
        | Loss::Mae
        | Loss::Huber { .. }
        | Loss::Shrinkage { .. }
        | Loss::Link(_)
        | Loss::Rust(_) => Default::default(),
    }
}

fn each(weights: &ClassWeights, balanced: impl FnOnce() -> Vec<f32>) -> Vec<f32> {
    match weights {
        ClassWeights::Equal => Vec::new(),
        ClassWeights::Balanced => balanced(),
        ClassWeights::Each(weights) => weights.iter().map(|w| *w as f32).collect(),
    }
}

/// Rows without the class / rows with it; 1 for a class that is never or always there.
fn rarity(counts: &[u64], rows: u64) -> Vec<f32> {
    let weight = |with: u64| match (with, rows.saturating_sub(with)) {
        (0, _) | (_, 0) => 1.0,
        (with, without) => (without as f64 / with as f64) as f32,
    };
    counts.iter().map(|n| weight(*n)).collect()
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
