//! Exact inference: layer by layer over all nodes and all their neighbours.
//!
//! Decided here: each stage of the plan is computed once for every node that is wanted, in chunks, and its rows kept for the
//! next stage, so that no neighbourhood is computed twice. Ranks share the nodes and exchange rows after every stage.

pub mod evaluate;
pub mod moved;

use crate::comm::{CommError, Communicator};
use crate::exec::{Context, Env, ExecError, Executor, Goal};
use crate::extend::Extensions;
use crate::members::Members;
use crate::pairs::Scoring;
use crate::sample::{Block, Head, SampleError, Sampler, sample_key};
use crate::store::Params;
use crate::train::batches::share;
use crate::view::{GraphView, Matrix};
use gsl_plan::plan::{Fanout, Plan, Stage, WriteWhat};
use gsl_plan::program::Role;

/// Nodes of one type computed at a time.
const CHUNK: usize = 8192;

/// Why inference failed.
#[derive(Debug)]
pub enum InferError {
    Sample(SampleError),
    Exec(ExecError),
    Comm(CommError),
}

impl std::fmt::Display for InferError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sample(e) => e.fmt(f),
            Self::Exec(e) => e.fmt(f),
            Self::Comm(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for InferError {}

impl From<SampleError> for InferError {
    fn from(e: SampleError) -> Self {
        Self::Sample(e)
    }
}

impl From<ExecError> for InferError {
    fn from(e: ExecError) -> Self {
        Self::Exec(e)
    }
}

impl From<CommError> for InferError {
    fn from(e: CommError) -> Self {
        Self::Comm(e)
    }
}

/// The stages made ready, and the memory they run in.
pub struct Inference {
    stages: Vec<Ready>,
    scorings: Vec<Scoring>,
    members: Option<Members>,
    block: Block,
    extensions: Extensions,
}

struct Ready {
    stage: Stage,
    executor: Executor,
    sampler: Sampler,
}

/// Rows of one node type, a row for every node; rows that were not wanted are zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    pub width: usize,
    pub data: Vec<f32>,
}

impl Rows {
    pub fn row(&self, node: u32) -> &[f32] {
        &self.data[node as usize * self.width..(node as usize + 1) * self.width]
    }
}

/// What a pass over the graph gives.
#[derive(Debug, Clone, Default)]
pub struct Computed {
    /// By predict: raw scores, a row for every node of its type.
    pub scores: Vec<Option<Rows>>,
    /// By node type: the rows that the decoders read.
    pub embeddings: Vec<Option<Rows>>,
    /// By node type: of those that are written and that no decoder reads, the rows after the last layer that computes them; of
    /// small graphs, what their readout gives.
    pub earlier: Vec<Option<Rows>>,
}

impl Computed {
    /// Rows of a type after the last layer that computes them.
    pub fn rows(&self, ty: u32) -> Option<&Rows> {
        [&self.embeddings, &self.earlier].into_iter().find_map(|all| all.get(ty as usize)?.as_ref())
    }
}

/// For which nodes the last stages are computed.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    All,
    /// Of each type, these nodes only.
    Nodes(&'a [(u32, Vec<u32>)]),
}

impl Inference {
    pub fn new(plan: &Plan, view: &dyn GraphView, extensions: &Extensions) -> Result<Self, InferError> {
        let signature = plan.signature();
        let ready = |stage: &Stage| {
            let fanouts = vec![Fanout::All; stage.exec.hops.len()];
            Ok(Ready {
                executor: Executor::with(&stage.exec.schedule, &signature, extensions)?,
                sampler: Sampler::with_virtuals(view, &stage.exec.hops, &fanouts, &plan.virtuals)?,
                stage: stage.clone(),
            })
        };
        let stages = plan.infer.iter().map(ready).collect::<Result<Vec<_>, InferError>>()?;
        let scorings = plan.scorers.iter().map(|scorer| Scoring::new(plan, view, scorer, extensions));
        let scorings = scorings.collect::<Result<Vec<_>, InferError>>()?;
        let (members, extensions) = (Members::of(plan, view), extensions.clone());
        Ok(Inference { stages, scorings, members, block: Block::new(), extensions })
    }

    /// Scores of the pairs of a prediction.
    pub fn scoring(&mut self, predict: usize) -> Option<&mut Scoring> {
        self.scorings.iter_mut().find(|scoring| scoring.predict() == predict)
    }

    /// Runs all stages. The stages before the last one with neighbours are always computed for all nodes.
    pub fn compute(
        &mut self,
        plan: &Plan,
        view: &dyn GraphView,
        params: &Params,
        comm: &dyn Communicator,
        wanted: Wanted,
    ) -> Result<Computed, InferError> {
        let last_hop = self.stages.iter().rposition(|r| !r.stage.exec.hops.is_empty()).unwrap_or(0);
        let types = view.node_types();
        let mut hidden: Vec<Option<Rows>> = vec![None; types];
        let mut earlier: Vec<Option<Rows>> = vec![None; types];
        let mut scores: Vec<Option<Rows>> = vec![None; plan.predicts.len()];
        for (i, ready) in self.stages.iter_mut().enumerate() {
            let wanted = if i < last_hop { Wanted::All } else { wanted };
            let decoders = decodes(&ready.stage);
            let members = self.members.as_ref().filter(|members| members.lead(&ready.stage.exec.hops));
            let pass = Pass { plan, view, params, comm, members };
            let out = ready.run(pass, &hidden, wanted, &mut self.block)?;
            if decoders {
                scores.iter_mut().zip(out.scores).for_each(|(all, found)| *all = found.or(all.take()));
                earlier.iter_mut().zip(out.hidden).for_each(|(all, read)| *all = read.or(all.take()));
            } else {
                hidden = out.hidden;
                keep_written(plan, &ready.stage, &hidden, &mut earlier);
            }
        }
        Ok(Computed { scores, embeddings: hidden, earlier })
    }
}

/// What all stages read.
#[derive(Clone, Copy)]
struct Pass<'a> {
    plan: &'a Plan,
    view: &'a dyn GraphView,
    params: &'a Params,
    comm: &'a dyn Communicator,
    /// Of a readout.
    members: Option<&'a Members>,
}

impl Pass<'_> {
    fn head(&self, seeds: &[(u32, &[u32])]) -> Option<Head> {
        let members = self.members?;
        let mut head = Head::default();
        members.add(seeds, &mut head);
        Some(head)
    }
}

/// Keeps the rows that a stage computes, of types that are written and that no decoder reads.
fn keep_written(plan: &Plan, stage: &Stage, hidden: &[Option<Rows>], earlier: &mut [Option<Rows>]) {
    let last = plan.infer.iter().rev().find(|stage| !decodes(stage));
    let is_last = |ty: u32| last.is_some_and(|last| last.types.iter().any(|(other, _)| *other == ty));
    for ((ty, width), own) in stage.types.iter().zip(&stage.own) {
        let is_written = plan.writes.iter().any(|write| write.what == WriteWhat::Embeddings { ty: *ty });
        if let (true, Some(rows)) = (is_written && !is_last(*ty), &hidden[*ty as usize]) {
            let cut = rows.data.chunks_exact((*width).max(1)).flat_map(|row| &row[..*own]);
            earlier[*ty as usize] = Some(Rows { width: *own, data: cut.copied().collect() });
        }
    }
}

fn decodes(stage: &Stage) -> bool {
    stage.exec.schedule.outputs.iter().any(|(role, _)| matches!(role, Role::Scores(_)))
}

struct StageOut {
    hidden: Vec<Option<Rows>>,
    scores: Vec<Option<Rows>>,
}

impl Ready {
    fn run(
        &mut self,
        pass: Pass,
        hidden: &[Option<Rows>],
        wanted: Wanted,
        block: &mut Block,
    ) -> Result<StageOut, InferError> {
        let Pass { plan, view, params, comm, .. } = pass;
        let mut out = self.space(plan, view);
        let inputs: Vec<Option<Matrix>> =
            hidden.iter().map(|rows| rows.as_ref().map(|r| Matrix::new(&r.data, r.width))).collect();
        let lists: Vec<(u32, Vec<u32>)> =
            self.stage.types.iter().map(|&(ty, _)| (ty, wanted_ids(view, ty, wanted))).collect();
        let longest = lists.iter().map(|(_, ids)| share(ids.len(), comm.rank(), comm.size()).len()).max();
        for start in (0..longest.unwrap_or(0)).step_by(CHUNK) {
            let seeds: Vec<(u32, &[u32])> = lists
                .iter()
                .map(|(ty, ids)| {
                    let mine = &ids[share(ids.len(), comm.rank(), comm.size())];
                    (*ty, &mine[start.min(mine.len())..(start + CHUNK).min(mine.len())])
                })
                .collect();
            let head = pass.head(&seeds);
            self.sampler.sample_behind(view, &seeds, head.as_ref(), sample_key(0, 0), block)?;
            let env = Env {
                view,
                params,
                block,
                hidden: &inputs,
                context: Context::default(),
                seed_weights: &[],
                loss_scale: &[],
                pairs: &[],
            };
            self.executor.run(&env, Goal::Forward)?;
            self.collect(plan, &seeds, &mut out);
        }
        for rows in out.hidden.iter_mut().chain(&mut out.scores).flatten() {
            if comm.size() > 1 {
                comm.all_reduce_sum_f32(&mut rows.data)?;
            }
        }
        Ok(out)
    }

    fn space(&self, plan: &Plan, view: &dyn GraphView) -> StageOut {
        let mut hidden = vec![None; view.node_types()];
        let mut scores = vec![None; plan.predicts.len()];
        for (role, buffer) in &self.stage.exec.schedule.outputs {
            let width = self.stage.exec.schedule.buffers[buffer.index()].width;
            let rows = |ty: u32| Some(Rows { width, data: vec![0.0; width * view.node_count(ty)] });
            match role {
                Role::Hidden { ty } => hidden[*ty as usize] = rows(*ty),
                Role::Scores(p) => scores[*p] = rows(plan.predicts[*p].ty),
                _ => {}
            }
        }
        StageOut { hidden, scores }
    }

    fn collect(&self, plan: &Plan, seeds: &[(u32, &[u32])], out: &mut StageOut) {
        for (role, _) in &self.stage.exec.schedule.outputs {
            let (ty, rows) = match role {
                Role::Hidden { ty } => (*ty, out.hidden[*ty as usize].as_mut()),
                Role::Scores(p) => (plan.predicts[*p].ty, out.scores[*p].as_mut()),
                _ => continue,
            };
            let ids = seeds.iter().find(|(t, _)| *t == ty).map_or(&[][..], |(_, ids)| ids);
            let (Some(rows), Some(found)) = (rows, self.executor.output(role)) else { continue };
            for (i, &node) in ids.iter().enumerate() {
                let at = node as usize * rows.width;
                rows.data[at..at + rows.width].copy_from_slice(found.row(i));
            }
        }
    }
}

fn wanted_ids(view: &dyn GraphView, ty: u32, wanted: Wanted) -> Vec<u32> {
    match wanted {
        Wanted::All => (0..view.node_count(ty) as u32).collect(),
        Wanted::Nodes(lists) => {
            lists.iter().find(|(t, _)| *t == ty).map_or_else(Vec::new, |(_, ids)| ids.clone())
        }
    }
}
