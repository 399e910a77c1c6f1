//! The training loop.

use super::batches::Seeds;
use super::best::{Bests, Kept};
use super::checkpoint::{self, Progress, Tensor};
use super::rank::{At, Rank};
use super::{Job, TrainError};
use crate::comm::{Communicator, Solo, Threads};
use crate::infer::Inference;
use crate::infer::evaluate::evaluate;
use crate::metrics::Judged;
use crate::report::Event;
use crate::report::event::{Position, StepTime};
use crate::report::progress::short;
use crate::store::{Average, Params, average};
use gsl_plan::graph::Part;
use gsl_plan::plan::{Every, Metric, Monitor, Plan, TrainStage};
use std::time::Instant;

/// The outcome of a training: the parameters that were kept.
pub struct Trained {
    pub params: Params,
    /// Epoch (from 1) of the kept parameters, and what was watched there.
    pub best: Option<(u32, f64)>,
    pub epochs: u32,
    /// It was not paused.
    pub finished: bool,
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

/// An epoch with so many times the loss of the first is no noise.
const DIVERGED: f64 = 100.0;

struct Loop<'a> {
    job: Job<'a>,
    rank: Rank<'a>,
    seeds: Seeds,
    batches: u32,
    progress: Progress,
    bests: Bests,
    average: Option<Average>,
    inference: Inference,
    saved: Instant,
    paused: bool,
    /// The loss of the first epoch; infinite once it was told that a later one is far above it.
    first_loss: Option<f64>,
}

/// Numbers that a stage trains.
fn trained(plan: &Plan, stage: &TrainStage) -> u64 {
    let all = plan.params.iter().enumerate().filter(|(at, _)| !stage.frozen.contains(&(*at as u32)));
    all.map(|(_, param)| param.shape.iter().product::<usize>() as u64).sum()
}

impl<'a> Loop<'a> {
    fn new(job: Job<'a>, comm: &'a dyn Communicator) -> Result<Self, TrainError> {
        let seeds = Seeds::of(job.plan, job.view);
        if seeds.is_empty() {
            let predict = job.plan.predicts.first().map(|p| p.name.clone()).unwrap_or_default();
            return Err(TrainError::NoSeeds { predict });
        }
        let batches = seeds.batches(job.plan.trainer.batch);
        let rank = Rank::new(job, comm)?;
        let mut this = Loop {
            average: job.plan.trainer.average.map(|decay| Average::new(&rank.params, decay)),
            rank,
            inference: Inference::new(job.plan, job.messages, job.extensions)?,
            job,
            seeds,
            batches,
            progress: Progress::start(),
            bests: Bests::default(),
            saved: Instant::now(),
            paused: false,
            first_loss: None,
        };
        match job.options.resume {
            true => this.restore()?,
            false => this.begin_stage()?,
        }
        Ok(this)
    }

    fn run(mut self) -> Result<Trained, TrainError> {
        let started = Instant::now();
        self.announce();
        while !self.progress.finished && !self.paused {
            self.epoch()?;
            let due = self.saved.elapsed().as_secs_f64() >= self.job.options.checkpoint_seconds;
            if self.progress.finished || self.paused || self.agree(due)? {
                self.save()?;
            }
        }
        self.finish(started);
        Ok(self.outcome())
    }

    fn stage(&self) -> &'a TrainStage {
        &self.job.plan.trainer.stages[self.progress.stage as usize]
    }

    /// What rank 0 decides by the clock, all ranks do.
    fn agree(&self, mine: bool) -> Result<bool, TrainError> {
        let mut word = vec![u8::from(mine)];
        self.rank.comm.broadcast_bytes(0, &mut word)?;
        Ok(word == [1])
    }

    /// An epoch, or what is left of it; and what follows from its end.
    fn epoch(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let Position { epoch, batch: first } = self.progress.position;
        let order = self.seeds.epoch(self.job.plan, self.job.view, epoch, self.batches);
        for batch in first..self.batches {
            let at = At { epoch, batch, batches: self.batches };
            let loss = self.rank.batch(at, &order)?;
            self.count(at, loss);
            let stepped = self.step(at)?;
            if batch + 1 < self.batches && self.between(at, stepped)? {
                return Ok(());
            }
        }
        self.tell_epoch(epoch, started);
        self.progress.epoch_loss = [0; 2];
        self.progress.position = Position { epoch: epoch + 1, batch: 0 };
        self.after(epoch + 1)
    }

    /// The optimiser's step, where the batch completes one.
    fn step(&mut self, at: At) -> Result<bool, TrainError> {
        let trainer = &self.job.plan.trainer;
        let done = at.batch + 1;
        if !done.is_multiple_of(trainer.accumulate.max(1)) && done < at.batches {
            return Ok(false);
        }
        let stage = self.stage();
        let each = u64::from(trainer.steps(at.batches));
        let before = u64::from(at.epoch - self.progress.stage_began) * each;
        let (step, steps) = (before + u64::from(trainer.steps(done)) - 1, u64::from(stage.epochs) * each);
        self.rank.step(&stage.dense.at(step, steps), &stage.sparse.at(step, steps))?;
        if let Some(average) = &mut self.average {
            average.update(&self.rank.params);
        }
        Ok(true)
    }

    /// What is due within an epoch; whether the stage has ended.
    fn between(&mut self, at: At, stepped: bool) -> Result<bool, TrainError> {
        if self.is_due(Every::Batches(1)) && self.validate(at.epoch + 1)? {
            self.progress.epoch_loss = [0; 2];
            self.progress.position = Position { epoch: at.epoch + 1, batch: 0 };
            self.end_stage()?;
            return Ok(true);
        }
        let every = u64::from(self.job.options.checkpoint_every.unwrap_or(0));
        if every > 0 && stepped && self.crossed(every) {
            self.save()?;
        }
        Ok(false)
    }

    /// Whether a multiple of `every` batches was reached since the last step.
    fn crossed(&self, every: u64) -> bool {
        let (done, batch) = (self.progress.step, self.progress.position.batch);
        let of_step = u64::from((batch - 1) % self.job.plan.trainer.accumulate.max(1)) + 1;
        done / every > (done - of_step) / every
    }

    /// What is due after an epoch.
    fn after(&mut self, epoch: u32) -> Result<(), TrainError> {
        let ends = epoch - self.progress.stage_began >= self.stage().epochs;
        let stops = (ends || self.is_due(Every::Epochs(epoch))) && self.validate(epoch)?;
        if ends || stops { self.end_stage() } else { Ok(()) }
    }

    /// Whether an evaluation is due after the epoch, or after the batches that have been done.
    fn is_due(&self, at: Every) -> bool {
        match (self.job.plan.trainer.evaluate_every, at) {
            (Every::Epochs(every), Every::Epochs(epoch)) => epoch.is_multiple_of(every.max(1)),
            (Every::Batches(every), _) => self.progress.step.is_multiple_of(u64::from(every.max(1))),
            (Every::Epochs(_), Every::Batches(_)) => false,
        }
    }

    /// Begins the next stage, with a new optimiser; or ends the training.
    fn end_stage(&mut self) -> Result<(), TrainError> {
        if self.progress.stage as usize + 1 >= self.job.plan.trainer.stages.len() {
            self.progress.finished = true;
            return Ok(());
        }
        self.progress.stage += 1;
        self.progress.stage_began = self.progress.position.epoch;
        self.progress.watched = None;
        self.progress.waited = 0;
        self.begin_stage()
    }

    fn begin_stage(&mut self) -> Result<(), TrainError> {
        let stage = self.stage();
        if !stage.name.is_empty() {
            let parameters = trained(self.job.plan, stage);
            self.tell(Event::TrainStage { name: stage.name.clone(), epochs: stage.epochs, parameters });
        }
        self.rank.begin(stage)
    }

    fn tell_epoch(&mut self, epoch: u32, started: Instant) {
        let [sum, weight] = self.progress.epoch_loss.map(f64::from_bits);
        let loss = sum / weight.max(1.0);
        self.tell(Event::Epoch {
            epoch: epoch + 1,
            loss,
            seconds: started.elapsed().as_secs_f64(),
            seeds: self.seeds.len() as u64,
        });
        match self.first_loss {
            Some(first) if loss > DIVERGED * first.abs() => {
                self.first_loss = Some(f64::INFINITY);
                let message = format!("the loss grew from {first:.4} to {loss:.3e}: lower the learning rate");
                self.tell(Event::Warning { message });
            }
            Some(_) => {}
            None => self.first_loss = Some(loss),
        }
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
            detail: format!("epoch {} · loss {}", at.epoch + 1, short((sum + loss) / (weight + 1.0))),
        });
    }

    /// Metrics on the validation part; keeps the best parameters and counts patience. Whether patience has ended the stage.
    fn validate(&mut self, epoch: u32) -> Result<bool, TrainError> {
        self.swap_average();
        let judged = evaluate(&mut self.inference, self.job, &self.rank.params, self.rank.comm, Part::Valid)?;
        self.tell_evaluated(epoch, &judged);
        let trainer = &self.job.plan.trainer;
        let value = |m: &Monitor| m.value(|predict, metric| judged.get(predict)?.metric(metric));
        if let Some(best) = &trainer.best
            && let Some(value) = value(&best.monitor)
        {
            self.keep(epoch, &best.monitor, best.keep, value);
        }
        self.swap_average();
        if let Some(judge) = self.job.judge
            && self.progress.position.batch == 0
            && let Some(value) = value(judge.monitor())
        {
            let goes_on = !self.rank.comm.is_root() || judge.goes_on(epoch, value);
            self.paused = !self.agree(goes_on)?;
        }
        let watched = trainer.stop.as_ref().and_then(|stop| value(&stop.monitor));
        Ok(watched.is_some_and(|value| self.watch(epoch, value)))
    }

    /// Puts the moving average in the place of the parameters, and the next time back.
    fn swap_average(&mut self) {
        if let Some(average) = &mut self.average {
            average.swap(&mut self.rank.params);
        }
    }

    fn tell_evaluated(&self, epoch: u32, judged: &[Judged]) {
        let Position { epoch: whole, batch } = self.progress.position;
        let at = f64::from(whole) + f64::from(batch) / f64::from(self.batches);
        for (predict, judged) in self.job.plan.predicts.iter().zip(judged).filter(|(_, j)| j.rows() > 0) {
            let mut metrics = judged.named(&predict.metrics);
            metrics.extend(judged.named(&[Metric::Loss]));
            self.tell(Event::Evaluated {
                epoch,
                at,
                part: "valid".into(),
                predict: predict.name.clone(),
                metrics,
                rows: judged.rows() as u64,
            });
        }
    }

    /// Keeps the parameters if they are among the best so far.
    fn keep(&mut self, epoch: u32, monitor: &Monitor, keep: u32, value: f64) {
        let Progress { position, step, .. } = self.progress;
        let kept = Kept { value: value.to_bits(), epoch, position, step };
        let is_best = self.bests.offer(monitor, keep as usize, kept, &self.rank.params);
        self.progress.kept = self.bests.kept();
        if is_best {
            self.tell(Event::Best { epoch, metric: monitor.name.clone(), value });
        }
    }

    /// Counts evaluations without gain; whether patience has ended.
    fn watch(&mut self, epoch: u32, value: f64) -> bool {
        let Some(stop) = &self.job.plan.trainer.stop else { return false };
        let best = self.progress.watched.map(|(bits, _)| f64::from_bits(bits));
        if best.is_none_or(|best| stop.monitor.is_better(value, best)) {
            self.progress.watched = Some((value.to_bits(), epoch));
            self.progress.waited = 0;
            return false;
        }
        self.progress.waited += 1;
        if self.progress.waited < stop.patience || epoch - self.progress.stage_began < stop.min_epochs {
            return false;
        }
        let (bits, at) = self.progress.watched.unwrap_or((value.to_bits(), epoch));
        let moved = if stop.monitor.higher_is_better { "risen above" } else { "fallen below" };
        let reason = format!(
            "{} has not {moved} {:.4} (epoch {at}) for {} evaluations",
            stop.monitor.name,
            f64::from_bits(bits),
            self.progress.waited
        );
        self.tell(Event::Stopped { epoch, reason });
        true
    }

    fn announce(&self) {
        let total = u64::from(self.job.plan.trainer.epochs()) * u64::from(self.batches);
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
        self.bests.save(folder, hash)?;
        let average = self.average.as_ref().map(Average::state).unwrap_or_default();
        let state: Vec<Tensor> =
            self.rank.params.state().into_iter().chain(average).map(Tensor::from).collect();
        let progress = Progress {
            steps: self.rank.params.steps(),
            averaged: self.average.as_ref().map_or(0, Average::steps),
            ..self.progress.clone()
        };
        checkpoint::save(folder, "last", hash, &progress, &[("state", &state)])?;
        Ok(())
    }

    fn restore(&mut self) -> Result<(), TrainError> {
        let (folder, hash) = (self.job.checkpoints, self.job.hash);
        let (progress, tensors) = checkpoint::load(folder, "last", Some(hash))?;
        self.progress.stage = progress.stage;
        self.begin_stage()?;
        for tensor in &tensors {
            match &mut self.average {
                Some(average) if tensor.name.starts_with(average::PREFIX) => {
                    average.restore(&tensor.name, &tensor.data)?;
                }
                _ => self.rank.params.restore(&tensor.name, &tensor.data)?,
            }
        }
        self.rank.params.set_steps(&progress.steps)?;
        if let Some(average) = &mut self.average {
            average.set_steps(progress.averaged);
        }
        self.bests = Bests::load(folder, hash, &progress.kept, &self.rank.params)?;
        self.progress = progress;
        Ok(())
    }

    fn outcome(mut self) -> Trained {
        let best = self.progress.kept.first().map(|kept| (kept.epoch, kept.value()));
        let epochs = self.progress.position.epoch;
        self.swap_average();
        let params = self.bests.into_params().unwrap_or(self.rank.params);
        Trained { params, best, epochs, finished: self.progress.finished }
    }
}
