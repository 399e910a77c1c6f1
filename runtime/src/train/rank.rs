//! One rank's part of a batch (sample, run, collect) and of a step (exchange, update).

use super::batches::{Seeds, share};
use super::{Job, TrainError, weights};
use crate::comm::Communicator;
use crate::exec::{Context, Env, Executor, Goal, PairRows};
use crate::members::Members;
use crate::pairs::{Edge, Edges, HeadMaker, PairBatch};
use crate::sample::{Block, Head, Sampler, sample_key};
use crate::store::{Collected, Params, RowGradient};
use gsl_kernels::random::Key;
use gsl_plan::plan::{Executable, Optimizer, Predict, TrainStage};

const NEGATIVES: u32 = u32::from_be_bytes(*b"nega");

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
    maker: HeadMaker,
    members: Option<Members>,
    /// What is known of the pairs of `block`.
    pairs: Vec<PairRows>,
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
            sampler: sampler(job, &plan.train)?,
            maker: HeadMaker::new(plan, &plan.train).with_negatives(plan, job.messages, job.extensions)?,
            members: Members::of(plan, job.view),
            pairs: Vec::new(),
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
        self.sampler = sampler(self.job, train)?;
        self.standing = None;
        self.params.begin_stage(&stage.frozen);
        self.collected = self.params.collector();
        Ok(())
    }

    /// Collects the gradient of a batch; the loss of the whole batch, the same on all ranks.
    pub fn batch(&mut self, at: At, order: &Seeds) -> Result<f64, TrainError> {
        let batch: Vec<(u32, &[u32])> = order
            .by_type
            .iter()
            .map(|(ty, ids)| (*ty, &ids[share(ids.len(), at.batch as usize, at.batches as usize)]))
            .collect();
        let edges = self.edges(at, order);
        let scales = self.loss_scales(&batch, &edges);
        let mine: Vec<(u32, &[u32])> = batch
            .iter()
            .map(|(ty, ids)| (*ty, &ids[share(ids.len(), self.comm.rank(), self.comm.size())]))
            .collect();
        self.sample(at, &mine, &edges)?;
        self.weigh(&mine, &edges);
        self.run(at, &scales)?;
        self.collect()?;
        let mut loss = [f64::from(self.executor.loss().unwrap_or(0.0))];
        self.comm.all_reduce_sum_f64(&mut loss)?;
        Ok(loss[0])
    }

    /// The edges of the batch, those of all ranks and this one's share: whole groups.
    fn edges(&self, at: At, order: &Seeds) -> Vec<BatchEdges<'a>> {
        let job = self.job;
        let of = |(predict, numbers): &(usize, Vec<u64>)| {
            let edges = Edges::of(job.view, &job.plan.predicts[*predict])?;
            let batch = &numbers[share(numbers.len(), at.batch as usize, at.batches as usize)];
            let all = edges.find(batch);
            let links = edges.links();
            let group = links.map_or(1, |links| links.negatives.group.max(1) as usize);
            let groups = share(all.len().div_ceil(group), self.comm.rank(), self.comm.size());
            let own = groups.start * group..(groups.end * group).min(all.len());
            let own = all[own.start.min(own.end)..own.end].to_vec();
            let own = PairBatch { predict: *predict, edges, own, first_group: groups.start as u64 };
            Some(BatchEdges { all, own })
        };
        order.by_predict.iter().filter_map(of).collect()
    }

    /// Pairs in front of the neighbourhood of their ends, small graphs in front of that of their nodes.
    fn sample_behind(
        &mut self,
        at: At,
        seeds: &[(u32, &[u32])],
        edges: &[BatchEdges],
    ) -> Result<(), TrainError> {
        let seed = self.job.plan.seed;
        let draws = Key::new(seed, NEGATIVES).fold(u64::from(at.epoch)).fold(u64::from(at.batch));
        let mut head = Head::default();
        self.pairs.clear();
        for batch in edges {
            self.maker.add(&batch.own, &mut head, &mut self.pairs);
            self.maker.add_negatives(&batch.own, self.job.messages, draws, &mut head)?;
            self.maker.exclude(&batch.own.edges, &batch.all, &mut head.excluded);
        }
        if let Some(members) = &self.members {
            members.add(seeds, &mut head);
        }
        let key = sample_key(seed, u64::from(at.epoch));
        self.sampler.sample_behind(self.job.messages, seeds, Some(&head), key, &mut self.block)?;
        self.block.transpose(self.executor.transposes());
        Ok(())
    }

    fn sample(&mut self, at: At, seeds: &[(u32, &[u32])], edges: &[BatchEdges]) -> Result<(), TrainError> {
        if !edges.is_empty() || self.members.is_some() {
            return self.sample_behind(at, seeds, edges);
        }
        let same = |old: &Vec<(u32, Vec<u32>)>| {
            old.len() == seeds.len() && old.iter().zip(seeds).all(|(a, b)| a.0 == b.0 && a.1 == b.1)
        };
        if self.standing.as_ref().is_some_and(same) {
            return Ok(());
        }
        let key = sample_key(self.job.plan.seed, u64::from(at.epoch));
        self.sampler.sample(self.job.messages, seeds, key, &mut self.block)?;
        self.block.transpose(self.executor.transposes());
        self.standing =
            self.block.is_static().then(|| seeds.iter().map(|(ty, ids)| (*ty, ids.to_vec())).collect());
        Ok(())
    }

    /// For each prediction 1 / Σ weights over the batch on all ranks; 0 for a batch without labels.
    fn loss_scales(&self, batch: &[(u32, &[u32])], edges: &[BatchEdges]) -> Vec<f32> {
        let predicts = self.job.plan.predicts.iter().enumerate();
        let sum = |(i, predict): (usize, &Predict)| -> f64 {
            if let Some(batch) = edges.iter().find(|batch| batch.own.predict == i) {
                let edges = &batch.own.edges;
                return batch.all.iter().map(|e| weights::share_of(predict, edges.label(e))).sum();
            }
            let seeds = batch.iter().filter(|(ty, _)| *ty == predict.ty).flat_map(|(_, ids)| ids.iter());
            seeds.map(|&v| weights::share(self.job.view, predict, v)).sum()
        };
        predicts.map(sum).map(|sum| if sum > 0.0 { (1.0 / sum) as f32 } else { 0.0 }).collect()
    }

    fn weigh(&mut self, seeds: &[(u32, &[u32])], edges: &[BatchEdges]) {
        let job = self.job;
        for (i, (weights, predict)) in self.weights.iter_mut().zip(&job.plan.predicts).enumerate() {
            weights.clear();
            if let Some(batch) = edges.iter().find(|batch| batch.own.predict == i) {
                let own = batch.own.own.iter();
                own.for_each(|edge| weights::push_label(predict, batch.own.edges.label(edge), weights));
                continue;
            }
            let own = seeds.iter().filter(|(ty, _)| *ty == predict.ty).flat_map(|(_, ids)| ids.iter());
            own.for_each(|&v| weights::push(job.view, predict, v, weights));
        }
    }

    fn run(&mut self, at: At, scales: &[f32]) -> Result<(), TrainError> {
        let weights: Vec<&[f32]> = self.weights.iter().map(Vec::as_slice).collect();
        let env = Env {
            view: self.job.messages,
            params: &self.params,
            block: &self.block,
            hidden: &[],
            context: self.context(at),
            seed_weights: &weights,
            loss_scale: scales,
            pairs: &self.pairs,
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
        let (executor, params, block) = (&self.executor, &self.params, &self.block);
        self.collected.add_dense(|gradient| executor.dense_gradient(params, block, gradient));
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
    let mut executor = Executor::with(&train.schedule, &job.plan.signature(), job.extensions)?;
    executor.set_profiling(comm.is_root());
    Ok(executor)
}

fn sampler(job: Job, train: &Executable) -> Result<Sampler, TrainError> {
    let plan = job.plan;
    Ok(Sampler::with_virtuals(job.messages, &train.hops, &plan.sampler.fanouts, &plan.virtuals)?)
}

/// The edges of one prediction in a batch.
struct BatchEdges<'a> {
    all: Vec<Edge>,
    own: PairBatch<'a>,
}
