//! The whole program in one line of stages, and the stages.

use crate::args::{FileArgs, GraphArgs, RunArgs};
use crate::source::{Failure, SourceText};
use crate::start;
use crate::trained::{self, Tables, TrainedOn};
use crate::world::FileWorld;
use gsl_compiler::diag::did_you_mean;
use gsl_compiler::sema::{Checked, Experiment};
use gsl_plan::graph::{GraphPlan, Part};
use gsl_plan::plan::{Plan, Predict};
use gsl_runtime::comm::Solo;
use gsl_runtime::construct::{Scratch, construct_like_or_reuse, construct_or_reuse, default_memory};
use gsl_runtime::exec::rehearse;
use gsl_runtime::extend::Extensions;
use gsl_runtime::graph::Graph;
use gsl_runtime::infer::evaluate::judge;
use gsl_runtime::infer::moved::{moved, moved_params};
use gsl_runtime::infer::{Computed, Inference, Wanted};
use gsl_runtime::members::Members;
use gsl_runtime::metrics::{Judged, RelationScore, Times, intervals};
use gsl_runtime::report::event::{Position, peak_memory};
use gsl_runtime::report::jsonl::JsonLines;
use gsl_runtime::report::progress::Progress;
use gsl_runtime::report::{Event, Events, Reader};
use gsl_runtime::store::{Params, average};
use gsl_runtime::train::checkpoint::{self, CheckpointError, Tensor, write_atomically};
use gsl_runtime::train::judge::Judge;
use gsl_runtime::train::{Job, Options, TrainError, Trained, train, unseen};
use gsl_runtime::view::Messages;
use gsl_runtime::write::{Results, write_all};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What becomes of the model in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Train, then test and write.
    Run,
    /// Train, then test.
    Train,
    /// Test and write with the parameters of a run that has been.
    Infer,
}

/// From a file to a tested model and its outputs.
pub fn run(args: &RunArgs, goal: Goal, color: bool) -> Result<Outcome, Failure> {
    set_threads(&args.file)?;
    run_with(args, goal, color)
}

/// The same with the threads that there are.
pub fn run_with(args: &RunArgs, goal: Goal, color: bool) -> Result<Outcome, Failure> {
    let source = SourceText::read(&args.file.file)?;
    let trained = match goal {
        Goal::Infer => TrainedOn::find(&source, args)?,
        Goal::Run | Goal::Train => None,
    };
    let checked = check_like(&source, &args.file, trained.as_ref().map(TrainedOn::declared), color)?;
    let experiment = choose(&checked, &args.file)?;
    let place = Place::new(&source, experiment, args, goal)?;
    let declared = experiment.graph_plan(checked.graph_of(experiment));
    let job = Pass { args, goal, color, source: &source, checked: &checked, experiment };
    if let Some(trained) = &trained
        && let Tables::New(plan) = trained.tables(&declared, &source.folder())?
    {
        return job.on_new_tables(&place, trained, &plan);
    }
    let declared = trained.as_ref().map(TrainedOn::declared).unwrap_or(&declared);
    let events = place.events(args, goal)?;
    let ended = (|| {
        let graph = build(declared, &source, &args.file, &events)?;
        tell_graph(&graph, &events);
        let mut plan = job.plan(&graph)?;
        let start = start::params(&mut plan, &source, &args.from)?;
        let hash = plan_hash(&plan, &graph);
        place.keep_plan(&plan)?;
        announce(&events, &plan, &hash, &source, args, &place);
        let messages = Messages::new(&graph, &plan);
        let graphs = Graphs { whole: &graph, messages: &messages };
        let params = match goal {
            Goal::Infer => trained_before(&plan, &hash, args, &place)?,
            _ => {
                trained::keep(&place.out, &graph)?;
                fit((&plan, hash.as_str(), graphs), args, &events, &place, (start.as_ref(), None))?.params
            }
        };
        job.conclude(&plan, graphs, &params, &place, &events)
    })();
    place.close(&events, ended)
}

/// One pass over a file: what is run of it.
struct Pass<'a> {
    args: &'a RunArgs,
    goal: Goal,
    color: bool,
    source: &'a SourceText,
    checked: &'a Checked,
    experiment: &'a Experiment,
}

impl Pass<'_> {
    /// The plan on a graph that was built of the same declaration.
    fn plan(&self, graph: &Graph) -> Result<Plan, Failure> {
        let (args, source) = (self.args, self.source);
        let made = plan(
            self.checked,
            self.experiment,
            graph,
            args.seed,
            (source, &args.file.extensions),
            self.color,
        )?;
        Ok(Plan { graph: graph.plan().clone(), ..made })
    }

    /// Inference of a trained model on tables that it was not trained on, which are declared by `tables`. What it says and leaves goes
    /// into a folder of its own within the run's.
    fn on_new_tables(
        &self,
        run: &Place,
        trained: &TrainedOn,
        tables: &GraphPlan,
    ) -> Result<Outcome, Failure> {
        let old = trained.graph()?;
        let (args, source) = (self.args, self.source);
        let place = run.within(NEW_TABLES)?;
        let events = place.events(args, Goal::Run)?;
        let ended = (|| {
            let graph = build_like(tables, Some(old), source, &args.file, &events)?;
            graph
                .report()
                .warnings
                .iter()
                .cloned()
                .for_each(|message| events.send(Event::Warning { message }));
            tell_graph(&graph, &events);
            let mut before = self.plan(old)?;
            start::params(&mut before, source, &args.from)?;
            let hash = plan_hash(&before, old);
            let params = trained_before(&before, &hash, args, run)?;
            let plan = moved(&before, &graph);
            let (params, unseen) =
                moved_params(&plan, &params, old, &graph).map_err(|e| Failure::new(&e).help(e.help()))?;
            unseen.iter().for_each(|unseen| events.send(Event::Warning { message: unseen.message() }));
            place.keep_plan(&plan)?;
            announce(&events, &plan, &hash, source, args, &place);
            let messages = Messages::new(&graph, &plan);
            let graphs = Graphs { whole: &graph, messages: &messages };
            self.conclude(&plan, graphs, &params, &place, &events)
        })();
        place.close(&events, ended)
    }

    /// Tests the parameters, and writes what the file asks for.
    fn conclude(
        &self,
        plan: &Plan,
        graphs: Graphs,
        params: &Params,
        place: &Place,
        events: &Events,
    ) -> Result<Outcome, Failure> {
        let (mut inference, computed) = infer(plan, graphs, params, &self.args.file.extensions, events)?;
        let tested = test(plan, graphs, &mut inference, params, &computed, events)?;
        let (graph, base) = (graphs.whole, &self.source.folder());
        let results = Results { plan, graph, params, computed: &computed, inference: &mut inference, base };
        let written = match self.goal {
            Goal::Train => Vec::new(),
            Goal::Run | Goal::Infer => write(results, events)?,
        };
        Ok(Outcome { experiment: plan.experiment.clone(), tested, written, out: place.out.clone() })
    }
}

/// The folder within that of a run for what is inferred of other tables than those of its training.
const NEW_TABLES: &str = "new-tables";

/// The graph as it is built, and the part of it that messages take.
#[derive(Clone, Copy)]
struct Graphs<'a> {
    whole: &'a Graph,
    messages: &'a Messages<'a>,
}

/// A training that is ready to be run, and may be paused: a trial of a sweep.
pub struct Prepared {
    source: SourceText,
    graph: Graph,
    plan: Plan,
    hash: String,
    start: Option<Params>,
    place: Place,
}

impl Prepared {
    pub fn new(args: &RunArgs, color: bool) -> Result<Self, Failure> {
        let source = SourceText::read(&args.file.file)?;
        let checked = check(&source, &args.file, color)?;
        let experiment = choose(&checked, &args.file)?;
        let place = Place::new(&source, experiment, args, Goal::Train)?;
        let graph = build(
            &experiment.graph_plan(checked.graph_of(experiment)),
            &source,
            &args.file,
            &Events::default(),
        )?;
        let mut plan =
            plan(&checked, experiment, &graph, args.seed, (&source, &args.file.extensions), color)?;
        let start = start::params(&mut plan, &source, &args.from)?;
        let hash = plan_hash(&plan, &graph);
        Ok(Prepared { source, graph, plan, hash, start, place })
    }

    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn out(&self) -> &Path {
        &self.place.out
    }

    /// Whether the last checkpoint is of the end of this epoch.
    pub fn stands_at(&self, epoch: u32) -> bool {
        checkpoint::position(&self.place.checkpoints(), "last") == Some(Position { epoch, batch: 0 })
    }

    /// Trains until the end, or until `judge` pauses it; whether it came to the end.
    pub fn train(&self, args: &RunArgs, judge: &dyn Judge) -> Result<bool, Failure> {
        let events = self.place.events(args, Goal::Train)?;
        tell_graph(&self.graph, &events);
        self.place.keep_plan(&self.plan)?;
        trained::keep(&self.place.out, &self.graph)?;
        announce(&events, &self.plan, &self.hash, &self.source, args, &self.place);
        let messages = Messages::new(&self.graph, &self.plan);
        let graphs = Graphs { whole: &self.graph, messages: &messages };
        let job = (&self.plan, self.hash.as_str(), graphs);
        let trained = fit(job, args, &events, &self.place, (self.start.as_ref(), Some(judge)));
        if let Err(failure) = &trained {
            events.send(Event::Failed { message: failure.message.clone() });
        }
        Ok(trained?.finished)
    }
}

/// Every mistake of the file at once.
pub fn check(source: &SourceText, args: &FileArgs, color: bool) -> Result<Checked, Failure> {
    check_like(source, args, None, color)
}

/// The same of a file whose tables are those of a graph that a model was `trained` on, or new ones for that model.
fn check_like(
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
fn build_like(
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
    let (graph, report, reused) = built.map_err(|e| failure_of(&e, e.help()))?;
    events.send(Event::StageFinished {
        stage: "build".into(),
        seconds: started.elapsed().as_secs_f64(),
        reused,
        peak_memory: peak_memory(),
    });
    let report = serde_json::to_value(&report).unwrap_or_default();
    events.send(Event::GraphBuilt { report });
    Ok(graph)
}

/// Graphs up to this size are inspected for the report of a run; larger ones take `gsc inspect`.
const INSPECTED_BYTES: u64 = 1 << 30;

fn tell_graph(graph: &Graph, events: &Events) {
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
fn plan_hash(plan: &Plan, graph: &Graph) -> String {
    let counted = Plan { writes: Vec::new(), ..plan.clone() };
    let text = serde_json::to_vec(&counted).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&text).update(graph.meta().content_key.as_bytes());
    hasher.finalize().to_hex().to_string()
}

fn announce(events: &Events, plan: &Plan, hash: &str, source: &SourceText, args: &RunArgs, place: &Place) {
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

fn fit(
    (plan, hash, graphs): (&Plan, &str, Graphs),
    args: &RunArgs,
    events: &Events,
    place: &Place,
    (start, judge): (Option<&Params>, Option<&dyn Judge>),
) -> Result<Trained, Failure> {
    let empty =
        Members::of(plan, graphs.whole).map_or_else(Vec::new, |members| members.empty(plan, graphs.whole));
    for message in unseen(plan, graphs.whole).into_iter().chain(empty) {
        events.send(Event::Warning { message });
    }
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
    train(job).map_err(|e| match e {
        TrainError::Checkpoint(CheckpointError::Missing(_)) => {
            Failure::new(e).help("run without --resume to start a training")
        }
        _ => Failure::new(e),
    })
}

/// The best parameters of the run in the output folder, or its last ones if it kept no best.
fn trained_before(plan: &Plan, hash: &str, args: &RunArgs, place: &Place) -> Result<Params, Failure> {
    let folder = place.checkpoints();
    let tensors = match (args.kept, checkpoint::exists(&folder, "best")) {
        (nth @ 2.., _) => nth_best(&folder, hash, nth)?,
        (_, true) => checkpoint::load(&folder, "best", Some(hash)).map_err(Failure::new)?.1,
        (_, false) => checkpoint::load(&folder, "last", Some(hash)).map_err(Failure::new)?.1,
    };
    let mut params = Params::new(&plan.params, plan.seed);
    for (name, data) in judged(&tensors) {
        params.restore(&name, data).map_err(Failure::new)?;
    }
    Ok(params)
}

/// The parameters that came in as the second best, third best and so on.
fn nth_best(folder: &Path, hash: &str, nth: u32) -> Result<Vec<Tensor>, Failure> {
    let kept = checkpoint::kept(folder, "best");
    let step = kept.get(nth as usize - 1).map(|kept| kept.step);
    let found = step.map(|step| checkpoint::load_step(folder, "best", Some(hash), step));
    found.transpose().map_err(Failure::new)?.flatten().ok_or_else(|| {
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

fn infer(
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

/// What the test part says of one `predict`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Tested {
    pub predict: String,
    pub metrics: BTreeMap<String, f64>,
    pub intervals: BTreeMap<String, [f64; 2]>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_class: BTreeMap<String, Vec<Option<f64>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_relation: BTreeMap<String, RelationScore>,
    pub rows: u64,
}

fn test(
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

fn write(results: Results, events: &Events) -> Result<Vec<PathBuf>, Failure> {
    let written = events.stage("write", || write_all(results).map_err(|e| failure_of(&e, e.help())))?;
    for (path, rows) in &written {
        events.send(Event::Written { path: path.display().to_string(), rows: *rows });
    }
    Ok(written.into_iter().map(|(path, _)| path).collect())
}

/// What a run gives its caller.
#[derive(Debug, serde::Serialize)]
pub struct Outcome {
    pub experiment: String,
    #[serde(rename = "test")]
    pub tested: Vec<Tested>,
    pub written: Vec<PathBuf>,
    pub out: PathBuf,
}

/// The folder of a run.
struct Place {
    out: PathBuf,
    started: Instant,
}

impl Place {
    fn new(
        source: &SourceText,
        experiment: &Experiment,
        args: &RunArgs,
        goal: Goal,
    ) -> Result<Self, Failure> {
        let out = args.out.clone().unwrap_or_else(|| source.folder().join("out").join(&experiment.name));
        if goal == Goal::Infer && !checkpoint::exists(&out.join("checkpoints"), "last") {
            let failure = Failure::new(format!("there is no finished run in `{}`", out.display()));
            return Err(failure.help("train first: gsc train FILE, with the same --out"));
        }
        std::fs::create_dir_all(&out).map_err(|e| cannot_write(&out, &e))?;
        Ok(Place { out, started: Instant::now() })
    }

    /// A folder within this one.
    fn within(&self, name: &str) -> Result<Self, Failure> {
        let out = self.out.join(name);
        std::fs::create_dir_all(&out).map_err(|e| cannot_write(&out, &e))?;
        Ok(Place { out, started: self.started })
    }

    fn checkpoints(&self) -> PathBuf {
        self.out.join("checkpoints")
    }

    fn events(&self, args: &RunArgs, goal: Goal) -> Result<Events, Failure> {
        let path = self.out.join("events.jsonl");
        let keep = args.resume || goal == Goal::Infer;
        let file = JsonLines::open(&path, keep).map_err(|e| cannot_write(&path, &e))?;
        let progress = Progress::new(std::io::stderr().is_terminal(), args.quiet);
        let readers: Vec<Box<dyn Reader>> = vec![Box::new(file), Box::new(progress)];
        Ok(Events::new(readers))
    }

    fn keep_plan(&self, plan: &Plan) -> Result<(), Failure> {
        let path = self.out.join("plan.json");
        let text = serde_json::to_vec_pretty(plan).map_err(Failure::new)?;
        write_atomically(&path, &text).map_err(|e| cannot_write(&path, &e))
    }

    fn resumed_at(&self, args: &RunArgs) -> Option<Position> {
        let folder = self.checkpoints();
        args.resume.then(|| checkpoint::position(&folder, "last")).flatten()
    }

    /// Ends the event stream and writes the report, whatever the end was.
    fn close(&self, events: &Events, ended: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        match &ended {
            Ok(_) => events.send(Event::RunFinished {
                seconds: self.started.elapsed().as_secs_f64(),
                peak_memory: peak_memory(),
            }),
            Err(failure) => events.send(Event::Failed { message: failure.message.clone() }),
        }
        let outcome = ended?;
        self.report()?;
        Ok(outcome)
    }

    fn report(&self) -> Result<(), Failure> {
        let path = self.out.join("report.html");
        let events =
            gsl_runtime::report::jsonl::load(&self.out.join("events.jsonl")).map_err(Failure::new)?;
        let page = gsl_runtime::report::html::render(&events);
        write_atomically(&path, page.as_bytes()).map_err(|e| cannot_write(&path, &e))
    }
}

pub fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("`{}` cannot be written: {error}", path.display()))
}
