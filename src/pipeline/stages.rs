//! The stages: the graph, the plan, the training, the inference, the results.

use super::place::Place;
use super::{Graphs, differs};
use crate::args::{FileArgs, RunArgs};
use crate::source::{Failure, SourceText};
use crate::trained;
use gsl_compiler::diag::did_you_mean;
use gsl_compiler::sema::{Checked, Experiment};
use gsl_plan::graph::GraphPlan;
use gsl_plan::plan::Plan;
use gsl_runtime::comm::Solo;
use gsl_runtime::construct::{Scratch, construct_like_or_reuse, construct_or_reuse, default_memory};
use gsl_runtime::exec::rehearse;
use gsl_runtime::extend::Extensions;
use gsl_runtime::graph::Graph;
use gsl_runtime::infer::{Computed, Inference, Wanted};
use gsl_runtime::members::Members;
use gsl_runtime::report::event::peak_memory;
use gsl_runtime::report::{Event, Events};
use gsl_runtime::store::{Params, average};
use gsl_runtime::train::checkpoint::{self, CheckpointError, Tensor};
use gsl_runtime::train::judge::Judge;
use gsl_runtime::train::{Job, Options, Trained, train, unseen};
use gsl_runtime::write::{Doing, Results, WriteError, write_all};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn set_threads(args: &FileArgs) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = args.threads.unwrap_or(cores).max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|e| Failure::new(format!("threads cannot be started: {e}")))
}

/// The graph: built, or found as it was built before from the same tables.
pub fn build(
    declared: &GraphPlan,
    source: &SourceText,
    args: &FileArgs,
    events: &Events,
) -> Result<Graph, Failure> {
    build_like(declared, None, source, args, events)
}

/// The same; `trained`: of new tables, with what this graph has learned.
pub(super) fn build_like(
    declared: &GraphPlan,
    trained: Option<&Graph>,
    source: &SourceText,
    args: &FileArgs,
    events: &Events,
) -> Result<Graph, Failure> {
    let started = Instant::now();
    events.send(Event::StageStarted { stage: "build".into(), total: None, unit: String::new() });
    let cache = trained::cache(source, args);
    let scratch = Scratch {
        folder: args.building.scratch.clone().unwrap_or_else(|| cache.join("scratch")),
        memory: args.building.memory.unwrap_or_else(default_memory),
    };
    let mut told = |what: &str, done: u64, _all: u64| {
        let detail = what.to_string();
        events.send(Event::StageProgress { stage: "build".into(), done, detail });
    };
    let base = source.folder();
    let built = match trained {
        Some(trained) => construct_like_or_reuse(declared, &base, &cache, trained, &scratch, &mut told),
        None => construct_or_reuse(declared, &base, &cache, &scratch, &mut told),
    };
    // Nothing is lost in a folder that is empty.
    let _ = std::fs::remove_dir(&scratch.folder);
    let (graph, report, reused) = built.map_err(|e| failure_of(&e, e.help()))?;
    events.send(Event::StageFinished {
        stage: "build".into(),
        seconds: started.elapsed().as_secs_f64(),
        reused,
        peak_memory: peak_memory(),
    });
    let warnings = report.warnings.clone();
    let report = serde_json::to_value(&report).unwrap_or_default();
    events.send(Event::GraphBuilt { report });
    events.warn(warnings);
    Ok(graph)
}

/// Graphs up to this size are inspected for the report of a run; larger ones take `gsc inspect`.
const INSPECTED_BYTES: u64 = 1 << 30;

pub(super) fn tell_graph(graph: &Graph, events: &Events) {
    if graph.bytes() <= INSPECTED_BYTES {
        let inspection = Box::new(gsl_runtime::inspect::inspect(graph));
        events.send(Event::GraphInspected { inspection });
    }
}

fn failure_of(error: &impl std::fmt::Display, help: Option<String>) -> Failure {
    Failure { help, ..Failure::new(error) }
}

/// The execution plan, now that the data is known.
pub fn plan(
    checked: &Checked,
    experiment: &Experiment,
    graph: &Graph,
    seed: Option<u64>,
    (source, extensions): (&SourceText, &Extensions),
    color: bool,
) -> Result<Plan, Failure> {
    let mut plan = match gsl_compiler::plan(checked, experiment, graph.facts()) {
        Ok(plan) => plan,
        Err(diagnostics) => {
            source.report(&diagnostics, color)?;
            return Err(Failure::told());
        }
    };
    plan.seed = seed.unwrap_or(plan.seed);
    rehearse(&plan, extensions).map_err(Failure::new)?;
    Ok(plan)
}

/// What a checkpoint belongs to: everything that the trained numbers depend on. What is written where does not count.
pub(super) fn plan_hash(plan: &Plan, graph: &Graph) -> String {
    let counted = Plan { writes: Vec::new(), ..plan.clone() };
    let text = serde_json::to_vec(&counted).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&text).update(graph.meta().content_key.as_bytes());
    hasher.finalize().to_hex().to_string()
}

pub(super) fn announce(
    events: &Events,
    plan: &Plan,
    hash: &str,
    source: &SourceText,
    args: &RunArgs,
    place: &Place,
) {
    events.send(Event::RunStarted {
        experiment: plan.experiment.clone(),
        file: source.name(),
        version: env!("CARGO_PKG_VERSION").into(),
        plan: hash.into(),
        ranks: args.ranks as usize,
        threads: rayon::current_num_threads(),
        seed: plan.seed,
        parameters: plan.params.iter().map(|p| p.shape.iter().product::<usize>() as u64).sum(),
        resumed_at: place.resumed_at(args),
    });
}

pub(super) fn fit(
    (plan, hash, graphs): (&Plan, &str, Graphs),
    args: &RunArgs,
    events: &Events,
    place: &Place,
    (start, judge): (Option<&Params>, Option<&dyn Judge>),
) -> Result<Trained, Failure> {
    let empty =
        Members::of(plan, graphs.whole).map_or_else(Vec::new, |members| members.empty(plan, graphs.whole));
    events.warn(unseen(plan, graphs.whole).into_iter().chain(empty));
    let options = Options {
        ranks: args.ranks as usize,
        resume: args.resume,
        checkpoint_every: args.checkpoint_every,
        log_steps: args.log_steps,
        ..Options::default()
    };
    let checkpoints = place.checkpoints();
    let extensions = &args.file.extensions;
    let (view, messages) = (graphs.whole, graphs.messages);
    let job = Job {
        plan,
        hash,
        view,
        messages,
        events,
        checkpoints: &checkpoints,
        start,
        judge,
        extensions,
        options,
    };
    train(job).map_err(Failure::new)
}

/// Refuses to resume what another experiment has left, before anything in the run's folder is written again.
pub(super) fn can_resume(plan: &Plan, hash: &str, place: &Place) -> Result<(), Failure> {
    checkpoint::check(&place.checkpoints(), "last", hash).map_err(|error| match &error {
        CheckpointError::Missing(_) => Failure::new(error).help(
            "run without --resume to start a training; checkpoints come after each epoch, with \
             --checkpoint-every N after every N batches too",
        ),
        CheckpointError::OtherPlan { .. } => {
            let differs = differing(plan, place);
            Failure::new(error)
                .help(format!("put it back as it was{differs}, or train anew without --resume"))
        }
        _ => Failure::new(error),
    })
}

/// The best parameters of the run in the output folder, or its last ones if it kept no best.
pub(super) fn trained_before(
    plan: &Plan,
    hash: &str,
    args: &RunArgs,
    place: &Place,
) -> Result<Params, Failure> {
    let folder = place.checkpoints();
    let refused = |e: CheckpointError| not_this(e, plan, args, place);
    let tensors = match (args.kept, checkpoint::exists(&folder, "best")) {
        (nth @ 2.., _) => nth_best(&folder, hash, nth, refused)?,
        (_, true) => checkpoint::load(&folder, "best", Some(hash)).map_err(refused)?.1,
        (_, false) => checkpoint::load(&folder, "last", Some(hash)).map_err(refused)?.1,
    };
    let mut params = Params::new(&plan.params, plan.seed);
    for (name, data) in judged(&tensors) {
        params.restore(&name, data).map_err(Failure::new)?;
    }
    Ok(params)
}

/// A checkpoint that inference cannot use; of another experiment with what differs, as far as the run's folder tells.
fn not_this(error: CheckpointError, plan: &Plan, args: &RunArgs, place: &Place) -> Failure {
    let CheckpointError::OtherPlan { .. } = &error else { return Failure::new(error) };
    let differs = differing(plan, place);
    let file = args.file.file.display();
    let help = format!("put the file back as it was{differs}, or train again: gsc train {file}");
    Failure::new(error).help(help)
}

/// What differs from the plan that the run's folder has, in parentheses.
fn differing(plan: &Plan, place: &Place) -> String {
    match differs::since(&place.out, plan) {
        parts if parts.is_empty() => String::new(),
        parts => format!(" (other than in training: {})", parts.join(", ")),
    }
}

/// The parameters that came in as the second best, third best and so on.
fn nth_best(
    folder: &Path,
    hash: &str,
    nth: u32,
    refused: impl FnOnce(CheckpointError) -> Failure,
) -> Result<Vec<Tensor>, Failure> {
    let kept = checkpoint::kept(folder, "best");
    let step = kept.get(nth as usize - 1).map(|kept| kept.step);
    let found = step.map(|step| checkpoint::load_step(folder, "best", Some(hash), step));
    found.transpose().map_err(refused)?.flatten().ok_or_else(|| {
        let failure = Failure::new(format!("the run has kept {} model(s), not {nth}", kept.len()));
        failure.help("the experiment says how many are kept: best = valid.METRIC, keep: N")
    })
}

/// The parameters of a checkpoint by name: of a moving average, if it has one.
pub fn judged(tensors: &[Tensor]) -> impl Iterator<Item = (String, &[f32])> {
    let averaged = tensors.iter().any(|t| t.name.starts_with(average::PREFIX));
    let prefix = if averaged { average::PREFIX } else { "param/" };
    let named = move |t: &Tensor| t.name.strip_prefix(prefix).map(|name| format!("param/{name}"));
    tensors.iter().filter_map(move |t| Some((named(t)?, t.data.as_slice())))
}

pub(super) fn infer(
    plan: &Plan,
    graphs: Graphs,
    params: &Params,
    extensions: &Extensions,
    events: &Events,
) -> Result<(Inference, Computed), Failure> {
    events.stage("infer", || {
        let mut inference = Inference::new(plan, graphs.messages, extensions).map_err(Failure::new)?;
        let computed = inference.compute(plan, graphs.messages, params, &Solo, Wanted::All);
        Ok((inference, computed.map_err(Failure::new)?))
    })
}

/// Refuses pairs that the results ask for and the graph does not have, before anything is trained.
pub(super) fn look_up(plan: &Plan, graph: &Graph, base: &Path) -> Result<(), Failure> {
    gsl_runtime::write::look_up(plan, graph, base).map_err(cannot_be_written)
}

fn cannot_be_written(error: WriteError) -> Failure {
    let near = match &error {
        WriteError::Unknown(unknown) => {
            did_you_mean(&unknown.found, unknown.known.iter().map(String::as_str))
        }
        _ => None,
    };
    let help = near.map(|near| format!("did you mean `{near}`?")).or_else(|| error.help());
    failure_of(&error, help)
}

/// Tells how far a table is.
pub(super) fn tell_writing(events: &Events, doing: &Doing) {
    let detail = doing.to_string();
    events.send(Event::StageProgress { stage: "write".into(), done: doing.done, detail });
}

pub(super) fn write(results: Results, events: &Events) -> Result<Vec<PathBuf>, Failure> {
    let written = events.stage("write", || write_all(results).map_err(cannot_be_written))?;
    for (path, rows) in &written {
        events.send(Event::Written { path: path.display().to_string(), rows: *rows });
    }
    Ok(written.into_iter().map(|(path, _)| path).collect())
}
