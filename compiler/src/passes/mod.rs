//! From a forward program to something that runs: pure passes over the tensor program, then the schedule.
//!
//! Decided here: which passes run and in which order, and that the verifier runs after each. Not decided here: what a
//! pass does (each has a file and says so there), and what a backend does with the result.
//!
//! ```text
//! forward  canonicalise → narrow → hoist → cse → order → hoist → cse
//! train    → differentiate → canonicalise → cse → hoist → cse → order → cse
//! both     → sums → fuse → schedule → memory
//! ```

mod canonicalise;
mod costs;
mod cse;
mod differentiate;
mod explain;
mod factor;
mod fuse;
mod heads;
mod hoist;
mod kernel;
mod memory;
mod narrow;
mod order;
mod rewrite;
mod rules;
mod schedule;
mod sums;
mod tiles;

pub use costs::{Costs, FLOPS_PER_BYTE};
pub use explain::{StepCost, estimate_steps, peak_bytes};

use gsl_plan::plan::Executable;
use gsl_plan::program::{Domain, Op, Program, Signature};
use gsl_plan::schedule::Schedule;
use gsl_plan::verify::{VerifyError, verify};
use gsl_plan::verify_schedule::verify_schedule;
use std::fmt;

/// What a program is compiled for.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    pub signature: &'a Signature,
    pub costs: &'a Costs,
    /// With gradients of `Role::Loss`, and with dropout.
    pub train: bool,
    /// Per parameter (dense or table): whether it is trained. Missing entries count as not.
    pub trainable: Vec<bool>,
    /// Names of passes to leave out, for debugging: `canonicalise`, `cse`, `hoist`, `narrow`, `order`.
    pub without: Vec<String>,
    /// Relations whose edges come in tiles.
    pub tiled: Vec<u32>,
}

impl<'a> Options<'a> {
    /// Inference.
    pub fn infer(signature: &'a Signature, costs: &'a Costs) -> Self {
        Options { signature, costs, train: false, trainable: vec![], without: vec![], tiled: vec![] }
    }

    /// Training of the parameters marked.
    pub fn train(signature: &'a Signature, costs: &'a Costs, trainable: Vec<bool>) -> Self {
        Options { signature, costs, train: true, trainable, without: vec![], tiled: vec![] }
    }
}

/// The program, or at last the schedule, after a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub pass: String,
    pub text: String,
}

/// A fault of the compiler: a pass left something ill-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassError {
    pub pass: &'static str,
    pub message: String,
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "internal error in pass `{}`: {}", self.pass, self.message)
    }
}

impl std::error::Error for PassError {}

fn at(pass: &'static str) -> impl Fn(VerifyError) -> PassError {
    move |e| PassError { pass, message: e.message }
}

/// Runs all passes over `forward` and schedules what they leave. With `trace`, keeps the text after every pass.
///
/// A trainable parameter that the loss does not depend on has no gradient among the outputs. Outputs keep the order of
/// `forward`; the gradients follow, dense ones by parameter, then rows by table.
pub fn compile(
    forward: Program,
    options: &Options,
    trace: Option<&mut Vec<Snapshot>>,
) -> Result<Executable, PassError> {
    let mut silent = vec![];
    let keeps = trace.is_some();
    let mut pipeline = Pipeline { options, trace: trace.unwrap_or(&mut silent), keeps };
    let forward = rewrite::sweep(forward);
    let program = pipeline.program(&forward)?;
    let schedule = pipeline.schedule(&program)?;
    let hops = hops(&[&forward, &program]);
    Ok(Executable { forward, program, schedule, hops })
}

/// The program passes alone: what [`compile`] schedules.
pub fn optimise(forward: &Program, options: &Options) -> Result<Program, PassError> {
    Pipeline { options, trace: &mut vec![], keeps: false }.program(forward)
}

struct Pipeline<'a, 't> {
    options: &'a Options<'a>,
    trace: &'t mut Vec<Snapshot>,
    keeps: bool,
}

/// Passes whose results the later ones rely on.
const NEEDED: [&str; 2] = ["differentiate", "sums"];

type Pass<'p> = &'p dyn Fn(&Program) -> Result<Program, VerifyError>;

impl Pipeline<'_, '_> {
    fn program(&mut self, forward: &Program) -> Result<Program, PassError> {
        let options = self.options;
        let signature = options.signature;
        verify(forward, signature).map_err(at("forward"))?;
        self.keep("forward", || forward.to_string());
        let forget = canonicalise::Forget { dropout: !options.train, stops: !options.train };
        let all = canonicalise::Forget { stops: true, ..forget };
        let canonicalise = |p: &Program| canonicalise::run(p, signature, forget);
        let forget_stops = |p: &Program| canonicalise::run(p, signature, all);
        let narrow = |p: &Program| narrow::run(p, signature);
        let hoist = |p: &Program| hoist::run(p, signature);
        let cse = |p: &Program| cse::run(p, signature);
        let facts =
            order::Facts { costs: options.costs, train: options.train, trainable: &options.trainable };
        let order = |p: &Program| order::run(p, signature, &facts);
        let tiles = |p: &Program| tiles::run(p, signature, &options.tiled);
        let differentiate = |p: &Program| differentiate::run(p, signature, &options.trainable);
        let late = order::Facts { train: false, ..facts };
        let reorder = |p: &Program| order::run(p, signature, &late);
        let mut passes: Vec<(&'static str, Pass)> = vec![
            ("canonicalise", &canonicalise),
            ("cse", &cse),
            ("hoist", &hoist),
            ("narrow", &narrow),
            ("cse", &cse),
            ("order", &order),
            ("hoist", &hoist),
            ("cse", &cse),
        ];
        if !options.tiled.is_empty() {
            passes.push(("tiles", &tiles));
        }
        if options.train {
            passes.extend::<[(&'static str, Pass); 6]>([
                ("differentiate", &differentiate),
                ("canonicalise", &forget_stops),
                ("cse", &cse),
                ("hoist", &hoist),
                ("cse", &cse),
                ("order", &reorder),
            ]);
            passes.push(("cse", &cse));
        }
        let sums = |p: &Program| sums::run(p, signature);
        passes.push(("sums", &sums));
        let mut program = forward.clone();
        for (name, pass) in passes {
            program = self.run(name, pass, program)?;
        }
        Ok(program)
    }

    fn run(&mut self, name: &'static str, pass: Pass, program: Program) -> Result<Program, PassError> {
        if !NEEDED.contains(&name) && self.options.without.iter().any(|w| w == name) {
            return Ok(program);
        }
        let after = pass(&program).map_err(at(name))?;
        verify(&after, self.options.signature).map_err(at(name))?;
        self.keep(name, || after.to_string());
        Ok(after)
    }

    fn schedule(&mut self, program: &Program) -> Result<Schedule, PassError> {
        let fusion = fuse::fuse(program);
        let mut schedule = schedule::schedule(&fusion).map_err(at("schedule"))?;
        heads::run(&mut schedule);
        memory::assign(&mut schedule, self.options.costs);
        verify_schedule(&schedule, self.options.signature).map_err(at("memory"))?;
        self.keep("schedule", || schedule.to_string());
        Ok(schedule)
    }

    fn keep(&mut self, pass: &str, text: impl Fn() -> String) {
        if self.keeps {
            self.trace.push(Snapshot { pass: pass.into(), text: text() });
        }
    }
}

/// Relations that the programs read at each hop, in order; as many hops as their nodes reach.
fn hops(programs: &[&Program]) -> Vec<Vec<u32>> {
    let mut hops: Vec<Vec<u32>> = vec![];
    for value in programs.iter().flat_map(|p| &p.values) {
        match (value.domain, &value.op) {
            (Domain::Nodes { hop, .. }, Op::RecipCount { rel }) => reads(&mut hops, *rel, hop),
            (Domain::Edges { rel, hop }, _) => reads(&mut hops, rel, hop),
            (Domain::Nodes { hop, .. }, _) => reach(&mut hops, hop),
            _ => {}
        }
    }
    for relations in &mut hops {
        relations.sort_unstable();
        relations.dedup();
    }
    hops
}

fn reach(hops: &mut Vec<Vec<u32>>, hop: u32) {
    if hops.len() < hop as usize {
        hops.resize(hop as usize, vec![]);
    }
}

fn reads(hops: &mut Vec<Vec<u32>>, rel: u32, hop: u32) {
    reach(hops, hop + 1);
    hops[hop as usize].push(rel);
}
