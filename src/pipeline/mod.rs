//! The whole program in one line of stages.

mod choose;
mod differs;
mod place;
mod stages;
mod tested;

pub use choose::{check, choose, choose_graph, overrides};
pub use place::cannot_write;
pub use stages::{build, judged, plan, set_threads};
pub use tested::Tested;

use crate::args::RunArgs;
use crate::source::{Failure, SourceText};
use crate::start;
use crate::trained::{self, Tables, TrainedOn};
use choose::check_like;
use gsl_compiler::sema::{Checked, Experiment};
use gsl_plan::graph::GraphPlan;
use gsl_plan::plan::Plan;
use gsl_runtime::graph::Graph;
use gsl_runtime::infer::moved::{Fewer, Unseen, moved, moved_params};
use gsl_runtime::report::event::Position;
use gsl_runtime::report::{Event, Events};
use gsl_runtime::store::Params;
use gsl_runtime::train::checkpoint;
use gsl_runtime::train::judge::Judge;
use gsl_runtime::view::Messages;
use gsl_runtime::write::{Doing, Results};
use place::Place;
use stages::{
    announce, build_like, can_resume, fit, infer, look_up, plan_hash, tell_graph, tell_writing,
    trained_before, write,
};
use std::path::{Path, PathBuf};
use tested::test;

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
        job.look_up(&plan, &graph)?;
        let start = start::params(&mut plan, &source, &args.from)?;
        let hash = plan_hash(&plan, &graph);
        let before = match goal {
            Goal::Infer => Some(trained_before(&plan, &hash, args, &place)?),
            Goal::Run | Goal::Train => None,
        };
        if args.resume {
            can_resume(&plan, &hash, &place)?;
        }
        place.keep_plan(&plan)?;
        announce(&events, &plan, &hash, &source, args, &place);
        let messages = Messages::new(&graph, &plan);
        let graphs = Graphs { whole: &graph, messages: &messages };
        let params = match before {
            Some(params) => params,
            None => {
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

    /// Refuses what the results would be refused for.
    fn look_up(&self, plan: &Plan, graph: &Graph) -> Result<(), Failure> {
        match self.goal {
            Goal::Train => Ok(()),
            Goal::Run | Goal::Infer => look_up(plan, graph, &self.source.folder()),
        }
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
            tell_graph(&graph, &events);
            let mut before = self.plan(old)?;
            start::params(&mut before, source, &args.from)?;
            let hash = plan_hash(&before, old);
            let params = trained_before(&before, &hash, args, run)?;
            let (plan, fewer) = moved(&before, &graph);
            events.warn(fewer.iter().map(Fewer::message));
            self.look_up(&plan, &graph)?;
            let (params, unseen) =
                moved_params(&plan, &params, old, &graph).map_err(|e| Failure::new(&e).help(e.help()))?;
            events.warn(unseen.iter().map(Unseen::message));
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
        let below = self.args.results.as_deref();
        let told = &mut |doing: &Doing| tell_writing(events, doing);
        let (computed, inference) = (&computed, &mut inference);
        let results = Results { plan, graph, params, computed, inference, base, below, told };
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
        let declared = experiment.graph_plan(checked.graph_of(experiment));
        let graph = build(&declared, &source, &args.file, &Events::default())?;
        let job = Pass { args, goal: Goal::Run, color, source: &source, checked: &checked, experiment };
        let mut plan = job.plan(&graph)?;
        job.look_up(&plan, &graph)?;
        let start = start::params(&mut plan, &source, &args.from)?;
        let hash = plan_hash(&plan, &graph);
        Ok(Prepared { source, graph, plan, hash, start, place })
    }

    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Epochs of the whole training, if nothing ends it early.
    pub fn all_epochs(&self) -> u32 {
        self.plan.trainer.epochs()
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

/// What a run gives its caller.
#[derive(Debug, serde::Serialize)]
pub struct Outcome {
    pub experiment: String,
    #[serde(rename = "test")]
    pub tested: Vec<Tested>,
    pub written: Vec<PathBuf>,
    pub out: PathBuf,
}
