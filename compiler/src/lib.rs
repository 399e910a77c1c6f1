//! The GSL compiler: text -> syntax -> names -> types -> tensor IR -> plan.
//!
//! Pure: no I/O, no clock, no threads. The world (files, table headers) is seen through one trait that the command
//! line, the language server and the tests each implement.

pub mod diag;
pub mod layers;
pub mod lower;
pub mod passes;
pub mod sema;
pub mod syntax;
pub mod world;

use diag::Diagnostic;
use gsl_plan::graph::GraphFacts;
use gsl_plan::plan::Plan;
use passes::Snapshot;
use sema::{Checked, Experiment};
use world::World;

pub use lower::{LowerOptions, Lowered, lower};
pub use syntax::parse;

/// Parses and checks a file. `path` is its name in explanations; `overrides` are (name, text) as given to `--set`. Graphs
/// and experiments with mistakes are not in the result; the messages are in the order of the source.
pub fn check(
    source: &str,
    path: &str,
    world: &dyn World,
    overrides: &[(String, String)],
) -> (Checked, Vec<Diagnostic>) {
    let parsed = syntax::parse(source);
    let mut cx = sema::Cx::new(world, path, source);
    let checked = sema::check(&mut cx, &parsed, overrides);
    cx.diags.extend(parsed.diagnostics);
    (checked, cx.diags.into_sorted())
}

/// The plan of an experiment, once its graph is built.
pub fn plan(checked: &Checked, experiment: &Experiment, facts: &GraphFacts) -> Result<Plan, Vec<Diagnostic>> {
    lower(checked, experiment, facts, &LowerOptions::default()).map(|lowered| lowered.plan)
}

/// The text of every program of the plan after every pass.
pub fn passes_of(
    checked: &Checked,
    experiment: &Experiment,
    facts: &GraphFacts,
) -> Result<Vec<Snapshot>, Vec<Diagnostic>> {
    let options = LowerOptions { trace: true, ..LowerOptions::default() };
    let lowered = lower(checked, experiment, facts, &options)?;
    let mut all = Vec::new();
    for (program, snapshots) in lowered.passes {
        let named = |s: Snapshot| Snapshot { pass: format!("{program}: {}", s.pass), text: s.text };
        all.extend(snapshots.into_iter().map(named));
    }
    Ok(all)
}
