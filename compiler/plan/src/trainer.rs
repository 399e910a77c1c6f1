//! How a training goes: its stages, optimisers and their schedules, when it is judged, and what is kept of it.

use crate::plan::{Executable, Metric};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trainer {
    /// One after the other; at least one.
    pub stages: Vec<TrainStage>,
    /// Seeds per batch over all ranks; none: all training seeds at once.
    pub batch: Option<u32>,
    /// Batches whose gradients make one step, at least 1; the last step of an epoch may have fewer.
    pub accumulate: u32,
    /// Decay of the moving average of the parameters, which is then what is judged and kept; none: the parameters themselves.
    pub average: Option<f32>,
    pub evaluate_every: Every,
    pub stop: Option<Stop>,
    /// The model kept is the best by this; none: the last one.
    pub best: Option<Best>,
    /// Training statistics of validation use sampled neighbours when true, else exact layer-wise inference.
    pub sampled_validation: bool,
}

impl Trainer {
    /// Epochs of all stages, if none ends early.
    pub fn epochs(&self) -> u32 {
        self.stages.iter().map(|stage| stage.epochs).sum()
    }

    /// Steps that so many batches make.
    pub fn steps(&self, batches: u32) -> u32 {
        batches.div_ceil(self.accumulate.max(1))
    }
}

/// A part of the training with its own optimisers, which start anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainStage {
    /// Empty where the training has only one.
    pub name: String,
    pub epochs: u32,
    pub dense: Optimizer,
    pub sparse: Optimizer,
    /// Parameters that it leaves alone, ascending.
    pub frozen: Vec<u32>,
    /// The training program without their gradients; none: that of the plan.
    pub train: Option<Executable>,
}

/// A part of the model that starts with the values of a part in a run of another experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub run: String,
    /// Names of parameters begin with these.
    pub from: String,
    pub to: String,
    /// Hash of the other run's parameters; empty until they are read.
    pub content: String,
}

/// How often something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Every {
    Epochs(u32),
    /// Counted from the start of the training; also at the end of each stage.
    Batches(u32),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    pub monitor: Monitor,
    /// Evaluations without gain after which a stage ends.
    pub patience: u32,
    /// No stop before this epoch.
    pub min_epochs: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub monitor: Monitor,
    /// How many of the best models are kept, at least 1.
    pub keep: u32,
}

/// What is watched on the validation part: constant + Σ factor · metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    pub terms: Vec<MonitorTerm>,
    pub constant: f64,
    /// Follows from the signs of the factors and the directions of the metrics.
    pub higher_is_better: bool,
    /// For people: `accuracy`, or the formula as it is written.
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MonitorTerm {
    pub factor: f64,
    pub predict: usize,
    pub metric: Metric,
}

impl Monitor {
    /// The value, from the metrics of the predictions; none if one of them has none.
    pub fn value(&self, metric: impl Fn(usize, Metric) -> Option<f64>) -> Option<f64> {
        let add = |sum: f64, term: &MonitorTerm| Some(sum + term.factor * metric(term.predict, term.metric)?);
        self.terms.iter().try_fold(self.constant, add)
    }

    pub fn is_better(&self, value: f64, than: f64) -> bool {
        if self.higher_is_better { value > than } else { value < than }
    }
}

/// Adam, Kingma and Ba 2015; decoupled weight decay: Loshchilov and Hutter 2019.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    pub decoupled: bool,
    /// Gradients of all parameters, embeddings among them, are scaled to at most this global L2 norm before the step; none: not
    /// clipped. Pascanu et al. 2013.
    pub clip: Option<f32>,
    pub warmup: Warmup,
    pub decay: Decay,
}

/// For how long the learning rate rises from 0 in a straight line. Goyal et al. 2017.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Warmup {
    #[default]
    None,
    Steps(u64),
    /// Of the steps of the stage, 0 to 1.
    Share(f64),
}

/// How the learning rate falls over the steps of a stage that come after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Decay {
    #[default]
    None,
    /// lr (1 - t), t from 0 at the first step to 1 after the last one of the last epoch.
    Linear,
    /// lr (1 + cos πt) / 2. Loshchilov and Hutter 2017, without restarts.
    Cosine,
}

impl Warmup {
    fn steps(self, steps: u64) -> u64 {
        match self {
            Warmup::None => 0,
            Warmup::Steps(n) => n,
            Warmup::Share(share) => (share * steps as f64).round() as u64,
        }
    }
}

impl Optimizer {
    /// The optimizer for step `step`, from 0, of `steps`: lr (step + 1) / w in the w steps of the warm-up, then the decay.
    pub fn at(&self, step: u64, steps: u64) -> Optimizer {
        let warm = self.warmup.steps(steps);
        let factor = match step < warm {
            true => (step + 1) as f64 / warm as f64,
            false => self.decay.factor((step - warm) as f64 / steps.saturating_sub(warm).max(1) as f64),
        };
        Optimizer { lr: (f64::from(self.lr) * factor) as f32, ..*self }
    }
}

impl Decay {
    fn factor(self, t: f64) -> f64 {
        match self {
            Decay::None => 1.0,
            Decay::Linear => 1.0 - t,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * t).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(warmup: Warmup, decay: Decay, steps: u64) -> Vec<f32> {
        let optimizer = Optimizer {
            lr: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            clip: None,
            warmup,
            decay,
        };
        (0..steps).map(|step| optimizer.at(step, steps).lr).collect()
    }

    #[test]
    fn rates_rise_over_the_warm_up_and_fall_after_it() {
        assert_eq!(rates(Warmup::Steps(4), Decay::Linear, 8), [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(rates(Warmup::Share(0.25), Decay::None, 8), [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let cosine = rates(Warmup::Share(0.5), Decay::Cosine, 8);
        assert_eq!(cosine[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert!((cosine[6] - 0.5).abs() < 1e-6 && cosine[7] < 0.15, "{cosine:?}");
    }

    #[test]
    fn a_warm_up_longer_than_the_training_never_ends() {
        assert_eq!(rates(Warmup::Steps(8), Decay::Linear, 4), [0.125, 0.25, 0.375, 0.5]);
    }

    #[test]
    fn a_monitor_is_a_weighted_sum() {
        let term = |factor, metric| MonitorTerm { factor, predict: 0, metric };
        let monitor = Monitor {
            terms: vec![term(0.5, Metric::Accuracy), term(-2.0, Metric::Loss)],
            constant: 1.0,
            higher_is_better: true,
            name: String::new(),
        };
        let metric = |_, metric| (metric != Metric::Rmse).then_some(0.5);
        assert_eq!(monitor.value(metric), Some(0.25));
        assert_eq!(monitor.value(|_, _| None), None);
        assert!(monitor.is_better(1.0, 0.5) && !monitor.is_better(0.5, 0.5));
    }
}
