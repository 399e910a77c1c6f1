//! From a checked experiment and the facts of its built graph to a plan: the training program, the stages of exact
//! inference, and what the trainer needs.
//!
//! Decided here: which rows of which types are computed at which hop, how parameters are named, what the loss is made of.
//! Not decided here: the operations inside a layer (`layers`), how programs are made fast (`passes`).

mod data;
mod encode;
mod head;
mod link;
mod loss;
mod members;
mod pairs;
mod parts;
mod reconstruct;
mod rows;
mod stages;
mod steps;
mod write;

use std::collections::BTreeSet;

use gsl_plan::graph::{GraphFacts, LabelFacts, LabelKind};
use gsl_plan::members::Members;
use gsl_plan::pairs::{Against, Pairs};
use gsl_plan::plan::{self, Executable, Fanout, Plan, Scorer, Stage, Virtuals};
use gsl_plan::program::{Program, Signature};
use gsl_plan::verify::VerifyError;

use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Mode};
use crate::passes::{Costs, Options, PassError, Snapshot, compile};
use crate::sema::reconstruct::label_name;
use crate::sema::{Checked, CheckedGraph, Experiment, Target};
use crate::syntax::ast::Span;
use steps::{Step, hops_of};

/// What is wanted besides the plan.
#[derive(Debug, Clone, Default)]
pub struct LowerOptions {
    /// Keep the text of every program after every pass.
    pub trace: bool,
    /// Passes to leave out, for debugging.
    pub without: Vec<String>,
}

/// A plan, and if it was asked for, how its programs came about.
#[derive(Debug, Clone)]
pub struct Lowered {
    pub plan: Plan,
    /// (program, its text after each pass): `train`, then the stages by name.
    pub passes: Vec<(String, Vec<Snapshot>)>,
}

pub use loss::each_loss;

pub type Wrong = Vec<Diagnostic>;

/// Lowers an experiment for a graph that is built.
pub fn lower(
    checked: &Checked,
    experiment: &Experiment,
    facts: &GraphFacts,
    options: &LowerOptions,
) -> Result<Lowered, Wrong> {
    let graph = checked.graph_of(experiment);
    let mut virtuals = Virtuals::default();
    let members = members::members(experiment, graph, facts, &mut virtuals);
    let pairs = pairs::pairs(experiment, graph, facts, &mut virtuals)?;
    let predicts = data::predicts(experiment, graph, facts, &pairs)?;
    let mut trainer = data::trainer(experiment, &predicts)?;
    let known = members::with_members(facts, members.as_ref());
    let around = Around { pairs, members, virtuals };
    let lowering = Lowering::new(checked, experiment, graph, &known, around);
    let mut cx = lowering.cx(Mode::Train, Vec::new());
    lowering.train(&mut cx)?;
    let params = cx.params;
    let train = cx.builder.program;
    let (stages, scorers, params) = lowering.infer(params)?;
    parts::freeze(experiment, &params, &mut trainer)?;
    let starts = parts::starts(checked, experiment, &params)?;
    let signature = signature(facts, &lowering.around.virtuals, &params);
    let mut compiler = Compiler { signature: &signature, options, passes: Vec::new() };
    for stage in trainer.stages.iter_mut().filter(|stage| !stage.frozen.is_empty()) {
        stage.train = Some(compiler.train_stage(&train, &lowering, stage)?);
    }
    let scorers = scorers
        .into_iter()
        .map(|(predict, program)| compiler.scorer(predict, program, &lowering))
        .collect::<Result<Vec<_>, _>>()?;
    lowering.writable(&scorers)?;
    let plan = Plan {
        version: plan::PLAN_VERSION,
        experiment: experiment.name.clone(),
        graph: experiment.graph_plan(graph),
        facts: facts.clone(),
        train: compiler.train(train, &lowering.costs(), lowering.tiled(false))?,
        infer: stages
            .into_iter()
            .map(|stage| compiler.stage(stage, &lowering))
            .collect::<Result<Vec<_>, _>>()?,
        scorers,
        virtuals: lowering.around.virtuals.clone(),
        members: lowering.around.members.clone(),
        params,
        predicts,
        sampler: plan::Sampler { fanouts: lowering.fanouts() },
        trainer,
        starts,
        writes: experiment.writes.iter().map(|written| written.write.clone()).collect(),
        seed: experiment.training.seed,
    };
    Ok(Lowered { plan, passes: compiler.passes })
}

/// Everything that lowering reads.
struct Lowering<'a> {
    checked: &'a Checked,
    experiment: &'a Experiment,
    graph: &'a CheckedGraph,
    /// What is known of the graph; members of small graphs among its relations, behind its own.
    facts: &'a GraphFacts,
    /// The gnn, spread into one list.
    steps: Vec<Step<'a>>,
    /// `types[h]`: node types whose rows are needed h hops from the nodes that decoders read.
    types: Vec<BTreeSet<u32>>,
    around: Around,
}

/// What a batch has in front of the neighbourhoods of nodes.
struct Around {
    /// By prediction.
    pairs: Vec<Option<Pairs>>,
    members: Option<Members>,
    virtuals: Virtuals,
}

impl<'a> Lowering<'a> {
    fn new(
        checked: &'a Checked,
        experiment: &'a Experiment,
        graph: &'a CheckedGraph,
        facts: &'a GraphFacts,
        around: Around,
    ) -> Self {
        let steps = steps::spread(&experiment.gnn);
        let types = Vec::new();
        let mut lowering = Lowering { checked, experiment, graph, facts, steps, types, around };
        lowering.types = lowering.needed();
        lowering
    }

    /// From the seeds outward: a layer needs its own types and the sources of the relations that enter them.
    fn needed(&self) -> Vec<BTreeSet<u32>> {
        let predicts = self.experiment.predicts.iter();
        let roots = predicts.flat_map(|p| p.target.types(&self.graph.plan)).map(|ty| ty as u32);
        let mut types: Vec<BTreeSet<u32>> = vec![roots.collect()];
        for _ in 0..hops_of(&self.steps) {
            let inner = types.last().cloned().unwrap_or_default();
            let mut outer = inner.clone();
            for relation in &self.facts.relations {
                if inner.contains(&(relation.dst as u32)) {
                    outer.insert(relation.src as u32);
                }
            }
            types.push(outer);
        }
        types
    }

    /// Hops of the layers.
    fn hops(&self) -> u32 {
        self.types.len() as u32 - 1
    }

    /// The hop of the nodes that decoders read: pairs stand one hop before their ends, small graphs before their nodes.
    fn base(&self) -> u32 {
        u32::from(self.around.members.is_some() || self.around.pairs.iter().any(Option::is_some))
    }

    /// Relations that the graph has.
    fn own_relations(&self) -> usize {
        self.facts.relations.len() - self.around.members.as_ref().map_or(0, |m| m.relations.len())
    }

    fn fanouts(&self) -> Vec<Fanout> {
        let own = self.experiment.training.fanouts.iter().copied();
        std::iter::repeat_n(Fanout::All, self.base() as usize).chain(own).collect()
    }

    fn cx(&self, mode: Mode, params: Vec<plan::Param>) -> LowerCx<'a> {
        let mut cx = LowerCx::with_params(self.facts, mode, params);
        let known = cx.builder.signature.relations.len() - self.own_relations();
        cx.builder.signature.relations.extend(&self.around.virtuals.relations[known..]);
        cx
    }

    /// The training program: encoders at the outermost hop, each layer one hop nearer, decoders and losses at the seeds.
    fn train(&self, cx: &mut LowerCx<'a>) -> Result<(), Wrong> {
        let rows = self.encode_at(cx, self.hops(), self.hops() + self.base())?;
        let mut state = steps::State::new(rows, self.hops() + self.base());
        for step in &self.steps {
            self.step(cx, &mut state, step)?;
        }
        let scores = self.decode(cx, &state.rows)?;
        self.losses(cx, &scores)
    }

    /// Expected rows of a training batch.
    fn costs(&self) -> Costs {
        let trainer = &self.experiment.training.trainer;
        let mut seeds = vec![0.0; self.facts.nodes.len()];
        let mut add =
            |ty: usize, rows: f64| seeds[ty] = (seeds[ty] + rows).min(self.facts.nodes[ty].count as f64);
        for (index, predict) in self.experiment.predicts.iter().enumerate() {
            let all = self.label_of(index).parts[1].max(1) as f64;
            let rows = trainer.batch.map_or(all, |b| all.min(f64::from(b)));
            let each = self.rows_of_each(index);
            predict.target.types(&self.graph.plan).into_iter().for_each(|ty| add(ty, rows * each));
        }
        let costs = Costs::estimate(self.facts, &self.experiment.training.fanouts, &seeds, &self.relations());
        self.with_pairs(costs)
    }

    /// The estimate with the pairs and small graphs of a batch in front.
    fn with_pairs(&self, costs: Costs) -> Costs {
        if self.base() == 0 {
            return costs;
        }
        let batch = self.experiment.training.trainer.batch.map_or(1e5, f64::from);
        let pairs = self.around.pairs.iter().flatten();
        let negatives = pairs.flat_map(|p| &p.links).map(|l| f64::from(l.negatives.width()));
        let virtuals = &self.around.virtuals;
        let mut costs = costs.behind(
            virtuals.types.len(),
            self.own_relations() + virtuals.relations.len() - self.facts.relations.len(),
            batch,
            negatives.fold(1.0, f64::max),
        );
        if let Some(members) = &self.around.members {
            self.count_members(&mut costs, members, batch);
        }
        costs
    }

    /// Relations from nodes to pairs whose edges come in tiles: groups of pairs share what they are told apart from.
    fn tiled(&self, evaluation: bool) -> Vec<u32> {
        let links = self.around.pairs.iter().flatten().flat_map(|pairs| &pairs.links);
        let shared = links.filter(|links| match evaluation {
            true => links.protocol.against == Against::All,
            false => links.negatives.in_tiles(),
        });
        shared.flat_map(|links| links.ends).collect()
    }

    /// What is known of the label of a prediction.
    fn label_of(&self, index: usize) -> LabelFacts {
        match (&self.around.pairs[index], self.experiment.predicts[index].target) {
            (Some(pairs), _) => pairs::label_facts(self.facts, pairs),
            (None, Target::Node { ty, label }) => {
                self.facts.nodes[ty].labels.get(label).cloned().unwrap_or_default()
            }
            (None, Target::Feature { ty, .. }) => {
                let name =
                    self.experiment.predicts[index].reconstruct.as_ref().map(|of| label_name(&of.feature));
                let labels = &self.facts.nodes[ty].labels;
                labels.iter().find(|label| Some(&label.name) == name.as_ref()).cloned().unwrap_or_default()
            }
            _ => LabelFacts::default(),
        }
    }

    /// Scores of a prediction: one for each class, or one.
    fn outputs(&self, index: usize) -> usize {
        if let Some((_, width)) = self.feature_of(index) {
            return width;
        }
        match self.experiment.predicts[index].kind {
            LabelKind::Class | LabelKind::Classes => self.label_of(index).classes.len(),
            LabelKind::Float => 1,
        }
    }

    /// Expected rows of a chunk of exact inference.
    fn inference_costs(&self, stage: &RawStage) -> Costs {
        const CHUNK: f64 = 4096.0;
        let mut seeds = vec![0.0; self.facts.nodes.len()];
        for (ty, _) in &stage.types {
            seeds[*ty as usize] = CHUNK;
        }
        let types: BTreeSet<u32> = stage.types.iter().map(|(ty, _)| *ty).collect();
        let relations = vec![self.relations_into(&types)];
        Costs::estimate(self.facts, &[Fanout::All], &seeds, &relations)
    }

    fn relations(&self) -> Vec<Vec<u32>> {
        let inner = &self.types[..self.types.len() - 1];
        inner.iter().map(|types| self.relations_into(types)).collect()
    }

    fn relations_into(&self, types: &BTreeSet<u32>) -> Vec<u32> {
        let all = self.facts.relations.iter().enumerate();
        all.filter(|(_, r)| types.contains(&(r.dst as u32))).map(|(i, _)| i as u32).collect()
    }
}

/// A stage before the passes.
struct RawStage {
    name: String,
    types: Vec<(u32, usize)>,
    own: Vec<usize>,
    reads: Vec<u32>,
    program: Program,
}

fn signature(facts: &GraphFacts, virtuals: &Virtuals, params: &[plan::Param]) -> Signature {
    Signature {
        relations: facts.ends().chain(virtuals.relations.iter().copied()).collect(),
        params: params.iter().map(|p| p.shape.clone()).collect(),
    }
}

struct Compiler<'a> {
    signature: &'a Signature,
    options: &'a LowerOptions,
    passes: Vec<(String, Vec<Snapshot>)>,
}

impl Compiler<'_> {
    fn train(&mut self, program: Program, costs: &Costs, tiled: Vec<u32>) -> Result<Executable, Wrong> {
        let trainable = vec![true; self.signature.params.len()];
        let signature = self.signature;
        self.run("train", program, Options { tiled, ..Options::train(signature, costs, trainable) })
    }

    /// The training program of a stage: no gradients of what it leaves alone.
    fn train_stage(
        &mut self,
        program: &Program,
        lowering: &Lowering,
        stage: &plan::TrainStage,
    ) -> Result<Executable, Wrong> {
        let (costs, tiled) = (lowering.costs(), lowering.tiled(false));
        let mut trainable = vec![true; self.signature.params.len()];
        stage.frozen.iter().for_each(|param| trainable[*param as usize] = false);
        let signature = self.signature;
        let name =
            if stage.name.is_empty() { "train.frozen".into() } else { format!("train.{}", stage.name) };
        let options = Options { tiled, ..Options::train(signature, &costs, trainable) };
        self.run(&name, program.clone(), options)
    }

    fn stage(&mut self, stage: RawStage, lowering: &Lowering) -> Result<Stage, Wrong> {
        let costs = lowering.inference_costs(&stage);
        let signature = self.signature;
        let exec = self.run(&stage.name, stage.program, Options::infer(signature, &costs))?;
        Ok(Stage { name: stage.name, types: stage.types, own: stage.own, reads: stage.reads, exec })
    }

    fn scorer(&mut self, predict: usize, program: Program, lowering: &Lowering) -> Result<Scorer, Wrong> {
        let costs = lowering.with_pairs(Costs::default());
        let signature = self.signature;
        let name = format!("score {}", lowering.experiment.predicts[predict].name);
        let tiled = lowering.tiled(true);
        let exec = self.run(&name, program, Options { tiled, ..Options::infer(signature, &costs) })?;
        Ok(Scorer { predict, exec })
    }

    fn run(&mut self, name: &str, program: Program, mut options: Options) -> Result<Executable, Wrong> {
        options.without = self.options.without.clone();
        let mut trace = Vec::new();
        let kept = self.options.trace.then_some(&mut trace);
        let compiled = compile(program, &options, kept).map_err(|e| vec![pass_failed(name, &e)])?;
        if self.options.trace {
            self.passes.push((name.to_owned(), trace));
        }
        Ok(compiled)
    }
}

fn pass_failed(program: &str, error: &PassError) -> Diagnostic {
    Diagnostic::new(codes::LAYER_LOWERING, format!("program `{program}`: {error}"))
        .help("this is a fault of the compiler; `--without PASS` leaves a pass out")
}

/// An operation that does not fit: a fault of the compiler.
fn fault(span: Span) -> impl Fn(VerifyError) -> Wrong {
    move |e| {
        let message = format!("internal error in lowering: {e}");
        vec![Diagnostic::new(codes::LAYER_LOWERING, message).at(span, "here")]
    }
}
