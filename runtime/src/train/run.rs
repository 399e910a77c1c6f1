//! The training loop.

use super::batches::Seeds;
use super::checkpoint::{self, Progress, Tensor};
use super::rank::{At, Rank};
use super::{Job, TrainError};
use crate::comm::{Communicator, Solo, Threads};
use crate::infer::Inference;
use crate::infer::evaluate::evaluate;
use crate::report::Event;
use crate::report::event::{Position, StepTime};
use crate::store::{Params, StateTensor};
use gsl_plan::graph::Part;
use gsl_plan::plan::{Metric, Monitor};
use std::time::Instant;

/// The outcome of a training: the parameters that were kept.
pub struct Trained {
    pub params: Params,
    /// Epoch (from 1) of the kept parameters, and the monitored metric there.
    pub best: Option<(u32, f64)>,
    pub epochs: u32,
}

/// Trains on all ranks; returns what rank 0 holds.
pub fn train(job: Job) -> Result<Trained, TrainError> {
    if job.options.ranks <= 1 {
        return Loop::new(job, &Solo)?.run();
    }
    let ends = Threads::run(job.options.ranks, |comm| Loop::new(job, comm)?.run());
    match ends {
        Ok(mut trained) => Ok(trained.swap_remove(0)),
        Err(failure) => Err(TrainError::Rank(failure.to_string())),
    }
}

struct Loop<'a> {
    job: Job<'a>,
    rank: Rank<'a>,
    seeds: Seeds,
    batches: u32,
    progress: Progress,
    best: Option<Best>,
    inference: Inference,
    saved: Instant,
}

/// The parameters at the best evaluation so far.
struct Best {
    params: Params,
    progress: Progress,
    /// Whether the checkpoint `best` holds them.
    saved: bool,
}

impl<'a> Loop<'a> {
    fn new(job: Job<'a>, comm: &'a dyn Communicator) -> Result<Self, TrainError> {
        let seeds = Seeds::of(job.plan, job.view);
        if seeds.is_empty() {
            let predict = job.plan.predicts.first().map(|p| p.name.clone()).unwrap_or_default();
            return Err(TrainError::NoSeeds { predict });
        }
        let batches = seeds.batches(job.plan.trainer.batch);
        let mut this = Loop {
            rank: Rank::new(job, comm)?,
            inference: Inference::new(job.plan, job.messages)?,
            job,
            seeds,
            batches,
            progress: Progress::start(),
            best: None,
            saved: Instant::now(),
        };
        if job.options.resume {
            this.restore()?;
        }
        Ok(this)
    }

    fn run(mut self) -> Result<Trained, TrainError> {
        let trainer = &self.job.plan.trainer;
        let started = Instant::now();
        self.announce();
        while !self.progress.finished {
            self.epoch()?;
            let epoch = self.progress.position.epoch;
            if epoch.is_multiple_of(trainer.evaluate_every.max(1)) || epoch >= trainer.epochs {
                self.validate(epoch)?;
            }
            if epoch >= trainer.epochs {
                self.progress.finished = true;
            }
            let due = self.saved.elapsed().as_secs_f64() >= self.job.options.checkpoint_seconds;
            if self.progress.finished || self.agree(due)? {
                self.save()?;
            }
        }
        self.finish(started);
        Ok(self.outcome())
    }

    /// What rank 0 decides by the clock, all ranks do.
    fn agree(&self, mine: bool) -> Result<bool, TrainError> {
        let mut word = vec![u8::from(mine)];
        self.rank.comm.broadcast_bytes(0, &mut word)?;
        Ok(word == [1])
    }

    fn epoch(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let epoch = self.progress.position.epoch;
        let order = self.seeds.epoch(self.job.plan, self.job.view, epoch, self.batches);
        for batch in self.progress.position.batch..self.batches {
            let at = At { epoch, batch, batches: self.batches };
            let loss = self.rank.step(at, &order)?;
            self.count(at, loss);
            let every = self.job.options.checkpoint_every.unwrap_or(0);
            if every > 0 && self.progress.step.is_multiple_of(u64::from(every)) && batch + 1 < self.batches {
                self.save()?;
            }
        }
        let [sum, weight] = self.progress.epoch_loss.map(f64::from_bits);
        self.progress.position = Position { epoch: epoch + 1, batch: 0 };
        self.progress.epoch_loss = [0; 2];
        self.tell(Event::Epoch {
            epoch: epoch + 1,
            loss: sum / weight.max(1.0),
            seconds: started.elapsed().as_secs_f64(),
            seeds: self.seeds.len() as u64,
        });
        Ok(())
    }

    fn count(&mut self, at: At, loss: f64) {
        self.progress.step += 1;
        self.progress.position.batch = at.batch + 1;
        let [sum, weight] = self.progress.epoch_loss.map(f64::from_bits);
        self.progress.epoch_loss = [(sum + loss).to_bits(), (weight + 1.0).to_bits()];
        if self.job.options.log_steps {
            self.tell(Event::Step { epoch: at.epoch + 1, batch: at.batch + 1, loss });
        }
        self.tell(Event::StageProgress {
            stage: "train".into(),
            done: u64::from(at.epoch) * u64::from(self.batches) + u64::from(at.batch) + 1,
            detail: format!("epoch {} · loss {:.4}", at.epoch + 1, (sum + loss) / (weight + 1.0)),
        });
    }

    /// Metrics on the validation part; keeps the best parameters and counts patience.
    fn validate(&mut self, epoch: u32) -> Result<(), TrainError> {
        let judged = evaluate(&mut self.inference, self.job, &self.rank.params, self.rank.comm, Part::Valid)?;
        for (predict, judged) in self.job.plan.predicts.iter().zip(&judged).filter(|(_, j)| j.rows() > 0) {
            let mut metrics = judged.named(&predict.metrics);
            metrics.extend(judged.named(&[Metric::Loss]));
            self.tell(Event::Evaluated {
                epoch,
                part: "valid".into(),
                predict: predict.name.clone(),
                metrics,
                rows: judged.rows() as u64,
            });
        }
        let trainer = &self.job.plan.trainer;
        let value = |m: Monitor| judged.get(m.predict).and_then(|j| j.metric(m.metric));
        if let Some((monitor, value)) =
            trainer.stop.as_ref().and_then(|s| Some((s.monitor, value(s.monitor)?)))
        {
            self.watch(epoch, monitor, value);
        }
        if let Some((monitor, value)) = trainer.best.and_then(|m| Some((m, value(m)?))) {
            self.keep(epoch, monitor, value);
        }
        Ok(())
    }

    /// Keeps the parameters if they are the best so far.
    fn keep(&mut self, epoch: u32, monitor: Monitor, value: f64) {
        if !gains(monitor, value, self.progress.best) {
            return;
        }
        self.progress.best = Some((value.to_bits(), epoch));
        let progress = self.progress.clone();
        self.best = Some(Best { params: self.rank.params.clone(), progress, saved: false });
        self.tell(Event::Best { epoch, metric: monitor.metric.name(), value });
    }

    /// Counts evaluations without gain, and ends the training when patience does.
    fn watch(&mut self, epoch: u32, monitor: Monitor, value: f64) {
        let Some(stop) = &self.job.plan.trainer.stop else { return };
        if gains(monitor, value, self.progress.watched) {
            self.progress.watched = Some((value.to_bits(), epoch));
            self.progress.waited = 0;
            return;
        }
        self.progress.waited += 1;
        if self.progress.waited < stop.patience || epoch < stop.min_epochs {
            return;
        }
        self.progress.finished = true;
        let (bits, at) = self.progress.watched.unwrap_or((value.to_bits(), epoch));
        let moved = if monitor.metric.higher_is_better() { "risen above" } else { "fallen below" };
        let reason = format!(
            "valid.{} has not {moved} {:.4} (epoch {at}) for {} evaluations",
            monitor.metric.name(),
            f64::from_bits(bits),
            self.progress.waited
        );
        self.tell(Event::Stopped { epoch, reason });
    }

    fn announce(&self) {
        let total = u64::from(self.job.plan.trainer.epochs) * u64::from(self.batches);
        self.tell(Event::StageStarted { stage: "train".into(), total: Some(total), unit: "batches".into() });
    }

    fn finish(&self, started: Instant) {
        self.tell(Event::StageFinished {
            stage: "train".into(),
            seconds: started.elapsed().as_secs_f64(),
            reused: false,
            peak_memory: crate::report::event::peak_memory(),
        });
        let steps = self.rank.executor.profile().steps.iter().map(|s| StepTime {
            name: s.name.clone(),
            runs: s.calls,
            seconds: s.time.as_secs_f64(),
        });
        self.tell(Event::Profile { steps: steps.collect() });
    }

    fn tell(&self, event: Event) {
        if self.rank.comm.is_root() {
            self.job.events.send(event);
        }
    }

    /// Writes `best` if it is new, then `last`. Only rank 0 writes.
    fn save(&mut self) -> Result<(), TrainError> {
        self.saved = Instant::now();
        if !self.rank.comm.is_root() {
            return Ok(());
        }
        let (folder, hash) = (self.job.checkpoints, self.job.hash);
        if self.best.is_none() {
            checkpoint::remove(folder, "best")?;
        }
        if let Some(best) = self.best.as_mut().filter(|b| !b.saved) {
            let weights = owned(best.params.tensors());
            checkpoint::save(folder, "best", hash, &best.progress, &[("weights", &weights)])?;
            best.saved = true;
        }
        let state = owned(self.rank.params.state());
        let steps = self.rank.params.steps();
        checkpoint::save(folder, "last", hash, &self.progress.with_steps(steps), &[("state", &state)])?;
        Ok(())
    }

    fn restore(&mut self) -> Result<(), TrainError> {
        let (folder, hash) = (self.job.checkpoints, self.job.hash);
        let (progress, tensors) = checkpoint::load(folder, "last", Some(hash))?;
        for tensor in &tensors {
            self.rank.params.restore(&tensor.name, &tensor.data)?;
        }
        self.rank.params.set_steps(&progress.steps)?;
        if progress.best.is_some() {
            let (at, tensors) = checkpoint::load(folder, "best", Some(hash))?;
            let mut params = Params::new(&self.job.plan.params, self.job.plan.seed);
            for tensor in &tensors {
                params.restore(&tensor.name, &tensor.data)?;
            }
            self.best = Some(Best { params, progress: at, saved: true });
        }
        self.progress = progress.with_steps(Vec::new());
        Ok(())
    }

    fn outcome(self) -> Trained {
        let best = self.progress.best.map(|(bits, epoch)| (epoch, f64::from_bits(bits)));
        let epochs = self.progress.position.epoch;
        match self.best {
            Some(kept) => Trained { params: kept.params, best, epochs },
            None => Trained { params: self.rank.params, best, epochs },
        }
    }
}

/// Whether `value` is better than the best so far, given as bits and epoch.
fn gains(monitor: Monitor, value: f64, best: Option<(u64, u32)>) -> bool {
    best.is_none_or(|(bits, _)| match monitor.metric.higher_is_better() {
        true => value > f64::from_bits(bits),
        false => value < f64::from_bits(bits),
    })
}

fn owned(tensors: Vec<StateTensor>) -> Vec<Tensor> {
    let copy = |t: StateTensor| Tensor { name: t.name, shape: t.shape.to_vec(), data: t.data.to_vec() };
    tensors.into_iter().map(copy).collect()
}
