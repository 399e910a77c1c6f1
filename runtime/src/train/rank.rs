//! One rank's part of a batch (sample, run, collect) and of a step (exchange, update).

use super::batches::{is_labelled, share};
use super::{Job, TrainError};
use crate::comm::Communicator;
use crate::exec::{Context, Env, Executor, Goal};
use crate::sample::{Block, Sampler, sample_key};
use crate::store::{Collected, Params, RowGradient};
use gsl_plan::graph::Part;
use gsl_plan::plan::{Executable, Optimizer, Predict, TrainStage};

/// What a rank holds from step to step. All ranks hold equal parameters at all times.
pub struct Rank<'a> {
    job: Job<'a>,
    pub comm: &'a dyn Communicator,
    pub params: Params,
    pub executor: Executor,
    sampler: Sampler,
    block: Block,
    /// The seeds of `block`, if it may be used again for them.
    standing: Option<Vec<(u32, Vec<u32>)>>,
    collected: Collected,
    weights: Vec<Vec<f32>>,
}

/// Where in the training a step is.
#[derive(Debug, Clone, Copy)]
pub struct At {
    pub epoch: u32,
    pub batch: u32,
    pub batches: u32,
}

impl<'a> Rank<'a> {
    pub fn new(job: Job<'a>, comm: &'a dyn Communicator) -> Result<Self, TrainError> {
        let plan = job.plan;
        let params = job.start.cloned().unwrap_or_else(|| Params::new(&plan.params, plan.seed));
        Ok(Rank {
            executor: executor(job, comm, &plan.train)?,
            sampler: Sampler::new(job.view, &plan.train.hops, &plan.sampler.fanouts)?,
            block: Block::new(),
            standing: None,
            collected: params.collector(),
            weights: vec![Vec::new(); plan.predicts.len()],
            params,
            job,
            comm,
        })
    }

    /// Makes ready for a stage: its program, its frozen parameters, a new optimiser.
    pub fn begin(&mut self, stage: &TrainStage) -> Result<(), TrainError> {
        let plan = self.job.plan;
        let train = stage.train.as_ref().unwrap_or(&plan.train);
        self.executor = executor(self.job, self.comm, train)?;
        self.sampler = Sampler::new(self.job.view, &train.hops, &plan.sampler.fanouts)?;
        self.standing = None;
        self.params.begin_stage(&stage.frozen);
        self.collected = self.params.collector();
        Ok(())
    }

    /// Collects the gradient of a batch; the loss of the whole batch, the same on all ranks.
    pub fn batch(&mut self, at: At, order: &[(u32, Vec<u32>)]) -> Result<f64, TrainError> {
        let batch: Vec<(u32, &[u32])> = order
            .iter()
            .map(|(ty, ids)| (*ty, &ids[share(ids.len(), at.batch as usize, at.batches as usize)]))
            .collect();
        let scales: Vec<f32> = self.job.plan.predicts.iter().map(|p| self.loss_scale(p, &batch)).collect();
        let mine: Vec<(u32, &[u32])> = batch
            .iter()
            .map(|(ty, ids)| (*ty, &ids[share(ids.len(), self.comm.rank(), self.comm.size())]))
            .collect();
        self.sample(at, &mine)?;
        self.weigh(&mine);
        self.run(at, &scales)?;
        self.collect()?;
        let mut loss = [f64::from(self.executor.loss().unwrap_or(0.0))];
        self.comm.all_reduce_sum_f64(&mut loss)?;
        Ok(loss[0])
    }

    fn sample(&mut self, at: At, seeds: &[(u32, &[u32])]) -> Result<(), TrainError> {
        let same = |old: &Vec<(u32, Vec<u32>)>| {
            old.len() == seeds.len() && old.iter().zip(seeds).all(|(a, b)| a.0 == b.0 && a.1 == b.1)
        };
        if self.standing.as_ref().is_some_and(same) {
            return Ok(());
        }
        let key = sample_key(self.job.plan.seed, u64::from(at.epoch));
        self.sampler.sample(self.job.view, seeds, key, &mut self.block)?;
        self.block.transpose(self.executor.transposes());
        self.standing =
            self.block.is_static().then(|| seeds.iter().map(|(ty, ids)| (*ty, ids.to_vec())).collect());
        Ok(())
    }

    /// 1 / Σ weights over the batch on all ranks; 0 for a batch without labels.
    fn loss_scale(&self, predict: &Predict, batch: &[(u32, &[u32])]) -> f32 {
        let seeds = batch.iter().filter(|(ty, _)| *ty == predict.ty).flat_map(|(_, ids)| ids.iter());
        let sum: f64 = seeds.map(|&v| f64::from(seed_weight(self.job, predict, v))).sum();
        if sum > 0.0 { (1.0 / sum) as f32 } else { 0.0 }
    }

    fn weigh(&mut self, seeds: &[(u32, &[u32])]) {
        let job = self.job;
        for (weights, predict) in self.weights.iter_mut().zip(&job.plan.predicts) {
            weights.clear();
            let own = seeds.iter().filter(|(ty, _)| *ty == predict.ty).flat_map(|(_, ids)| ids.iter());
            weights.extend(own.map(|&v| seed_weight(job, predict, v)));
        }
    }

    fn run(&mut self, at: At, scales: &[f32]) -> Result<(), TrainError> {
        let weights: Vec<&[f32]> = self.weights.iter().map(Vec::as_slice).collect();
        let env = Env {
            view: self.job.view,
            params: &self.params,
            block: &self.block,
            hidden: &[],
            context: self.context(at),
            seed_weights: &weights,
            loss_scale: scales,
        };
        self.executor.run(&env, Goal::All)?;
        if self.executor.loss().is_none_or(f32::is_finite) {
            return Ok(());
        }
        let found = self.executor.diagnose(&env)?;
        let diagnosis = found.map(|d| d.message(&self.job.plan.facts, &self.params));
        Err(TrainError::NotFinite { epoch: at.epoch + 1, batch: at.batch + 1, diagnosis })
    }

    fn context(&self, at: At) -> Context {
        Context {
            seed: self.job.plan.seed,
            epoch: u64::from(at.epoch),
            batch: u64::from(at.batch),
            training: true,
        }
    }

    fn collect(&mut self) -> Result<(), TrainError> {
        let (executor, params) = (&self.executor, &self.params);
        self.collected.add_dense(|gradient| executor.dense_gradient(params, gradient));
        for table in self.collected.tables() {
            let lists: Vec<_> = executor
                .row_gradients(table)
                .map(|(ty, rows)| RowGradient { ids: &self.block.ids(ty)[..rows.rows()], rows: rows.data })
                .collect();
            self.collected.add_rows(table, &lists)?;
        }
        Ok(())
    }

    /// One optimiser step with what the batches since the last one have given. A collective.
    pub fn step(&mut self, dense: &Optimizer, sparse: &Optimizer) -> Result<(), TrainError> {
        self.collected.finish(dense.clip, self.comm)?;
        self.params.step(&self.collected, dense, sparse);
        self.collected.clear();
        Ok(())
    }
}

fn executor(job: Job, comm: &dyn Communicator, train: &Executable) -> Result<Executor, TrainError> {
    let mut executor = Executor::new(&train.schedule, &job.plan.signature())?;
    executor.set_profiling(comm.is_root());
    Ok(executor)
}

/// The weight of node `v` in the loss of `predict`: its class's weight, or 1; 0 if it does not train.
fn seed_weight(job: Job, predict: &Predict, v: u32) -> f32 {
    if !is_labelled(job.view, predict, v, Part::Train) {
        return 0.0;
    }
    if predict.class_weights.is_empty() {
        return 1.0;
    }
    let class = job.view.label(predict.ty, predict.label)[v as usize] as usize;
    predict.class_weights.get(class).copied().unwrap_or(1.0)
}
