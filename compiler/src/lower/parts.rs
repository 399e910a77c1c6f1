//! Which parameters each stage trains, and which start from another run: addresses of parts become parameters.

use gsl_plan::plan::{Param, ParamKind, Start, Trainer};

use super::Wrong;
use crate::diag::{Diagnostic, codes};
use crate::sema::stages::is_part;
use crate::sema::{Checked, Experiment};
use crate::syntax::ast::{Path, Span};

/// Fills in the parameters that each stage leaves alone.
pub fn freeze(experiment: &Experiment, params: &[Param], trainer: &mut Trainer) -> Result<(), Wrong> {
    let training = &experiment.training;
    let mut wrong: Wrong = Vec::new();
    let named = training.parts.iter().flat_map(|stage| stage.trained.paths());
    wrong.extend(training.always.paths().chain(named).filter_map(|path| missing(path, params)));
    for (at, stage) in trainer.stages.iter_mut().enumerate() {
        let own = training.parts.get(at);
        let is_frozen = |param: &Param| {
            let covers = |t: &crate::sema::Trained| t.covers(&param.name, is_table(param));
            !covers(&training.always) || own.is_some_and(|own| !covers(&own.trained))
        };
        let frozen = (0..params.len() as u32).filter(|&at| is_frozen(&params[at as usize]));
        stage.frozen = frozen.collect();
        if stage.frozen.len() == params.len() {
            wrong.push(trains_nothing(own.map_or(experiment.span, |own| own.span)));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn is_table(param: &Param) -> bool {
    matches!(param.kind, ParamKind::Table { .. })
}

fn missing(path: &Path, params: &[Param]) -> Option<Diagnostic> {
    let address = path.text();
    if params.iter().any(|param| is_part(&address, &param.name, is_table(param))) {
        return None;
    }
    let message = format!("no parameter of the model is part of `{address}`");
    let diagnostic = Diagnostic::new(codes::EXPERIMENT_PART, message).at(path.span, "nothing is called so");
    Some(diagnostic.help("`gsc explain FILE` lists the parameters by name"))
}

fn trains_nothing(span: Span) -> Diagnostic {
    Diagnostic::new(codes::EXPERIMENT_PART, "nothing is left to train").at(span, "everything is frozen")
}

fn other_nodes(run: &str, part: &str, span: Span) -> Diagnostic {
    let message = format!("`{part}` has embeddings, a row for each node, and `{run}` is on another graph");
    Diagnostic::new(codes::EXPERIMENT_START, message)
        .at(span, "rows of other nodes")
        .help("put both experiments on one graph, or start only `gnn` from there")
}

/// The parts that start from other runs; each has parameters.
pub fn starts(checked: &Checked, experiment: &Experiment, params: &[Param]) -> Result<Vec<Start>, Wrong> {
    let mut wrong: Wrong = Vec::new();
    let mut found = Vec::new();
    for start in &experiment.starts {
        let taken: Vec<&Param> =
            params.iter().filter(|param| is_part(&start.to, &param.name, false)).collect();
        let other = checked.experiment(&start.run).map(|run| run.graph);
        if taken.iter().any(|param| is_table(param)) && other != Some(experiment.graph) {
            wrong.push(other_nodes(&start.run, &start.to, start.span));
        }
        if taken.is_empty() {
            let message = format!("`{}` has no parameters that could start from another run", start.to);
            wrong.push(
                Diagnostic::new(codes::EXPERIMENT_PART, message).at(start.span, "nothing to take over"),
            );
        }
        let (run, from, to) = (start.run.clone(), start.from.clone(), start.to.clone());
        found.push(Start { run, from, to, content: String::new() });
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}
