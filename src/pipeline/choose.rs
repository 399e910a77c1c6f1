//! What the arguments choose of a file, which is checked first.

use crate::args::{FileArgs, GraphArgs};
use crate::source::{Failure, SourceText};
use crate::world::FileWorld;
use gsl_compiler::diag::did_you_mean;
use gsl_compiler::sema::{Checked, Experiment};
use gsl_plan::graph::GraphPlan;
use std::path::Path;

/// Every mistake of the file at once.
pub fn check(source: &SourceText, args: &FileArgs, color: bool) -> Result<Checked, Failure> {
    check_like(source, args, None, color)
}

/// The same of a file whose tables are those of a graph that a model was `trained` on, or new ones for that model.
pub(super) fn check_like(
    source: &SourceText,
    args: &FileArgs,
    trained: Option<&GraphPlan>,
    color: bool,
) -> Result<Checked, Failure> {
    let world = FileWorld::with(&source.folder(), &args.extensions).like(trained);
    let overrides = overrides(&args.set)?;
    let (checked, diagnostics) = gsl_compiler::check(&source.text, &source.name(), &world, &overrides);
    source.report(&diagnostics, color)?;
    Ok(checked)
}

/// `NAME=VALUE` split at the first `=`.
pub fn overrides(set: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |s: &String| match s.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_string(), value.trim().to_string())),
        None => Err(Failure { code: 2, ..Failure::new(format!("`--set {s}` is not NAME=VALUE")) }),
    };
    set.iter().map(split).collect()
}

/// The experiment that the arguments name, or the only one.
pub fn choose<'a>(checked: &'a Checked, args: &FileArgs) -> Result<&'a Experiment, Failure> {
    let names = || checked.experiments.iter().map(|e| format!("`{}`", e.name)).collect::<Vec<_>>().join(", ");
    match (&args.experiment, checked.experiments.as_slice()) {
        (Some(name), _) => checked.experiment(name).ok_or_else(|| {
            let known = checked.experiments.iter().map(|e| e.name.as_str());
            let close = did_you_mean(name, known).map(|n| format!("did you mean `{n}`?"));
            let failure =
                Failure::new(format!("there is no experiment `{name}` in `{}`", args.file.display()));
            failure.help(close.unwrap_or_else(|| format!("it has {}", names())))
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure::new(format!("`{}` has no experiment", args.file.display()))
            .help("add one, for example: experiment quick on GRAPH { predict TYPE.LABEL }")),
        (None, _) => Err(Failure::new(format!("`{}` has several experiments", args.file.display()))
            .help(format!("choose with --experiment one of {}", names()))),
    }
}

/// The graph that the arguments name or that the experiment they name is on; else the only one that experiments are on, or the
/// only one there is.
pub fn choose_graph<'a>(checked: &'a Checked, args: &GraphArgs) -> Result<&'a GraphPlan, Failure> {
    if let Some(name) = &args.graph {
        return graph_named(checked, name, &args.file.file);
    }
    if args.file.experiment.is_some() {
        return choose(checked, &args.file).map(|experiment| &checked.graph_of(experiment).plan);
    }
    let mut used: Vec<usize> = checked.experiments.iter().map(|experiment| experiment.graph).collect();
    used.sort_unstable();
    used.dedup();
    let file = args.file.file.display();
    match (used.as_slice(), checked.graphs.as_slice()) {
        ([only], _) => Ok(&checked.graphs[*only].plan),
        ([], [only]) => Ok(&only.plan),
        (_, []) => Err(Failure::new(format!("`{file}` has no graph"))
            .help("gsc new FOLDER writes one for the tables in a folder")),
        _ => Err(Failure::new(format!("`{file}` has several graphs"))
            .help(format!("choose with --graph one of {}", graph_names(checked)))),
    }
}

fn graph_named<'a>(checked: &'a Checked, name: &str, file: &Path) -> Result<&'a GraphPlan, Failure> {
    let found = checked.graphs.iter().find(|graph| graph.plan.name == name);
    found.map(|graph| &graph.plan).ok_or_else(|| {
        let known = checked.graphs.iter().map(|graph| graph.plan.name.as_str());
        let close = did_you_mean(name, known).map(|near| format!("did you mean `{near}`?"));
        Failure::new(format!("there is no graph `{name}` in `{}`", file.display()))
            .help(close.unwrap_or_else(|| format!("it has {}", graph_names(checked))))
    })
}

fn graph_names(checked: &Checked) -> String {
    checked.graphs.iter().map(|graph| format!("`{}`", graph.plan.name)).collect::<Vec<_>>().join(", ")
}
