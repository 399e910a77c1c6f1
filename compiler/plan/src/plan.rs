//! The plan as a whole: what `gsc train` needs and nothing else, besides the graph.

use crate::graph::{GraphFacts, GraphPlan};
use crate::members::Members;
use crate::pairs::Pairs;
use crate::program::{Program, Signature};
use crate::schedule::Schedule;
use serde::{Deserialize, Serialize};

/// Raised when the meaning of a field changes.
pub const PLAN_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    pub experiment: String,
    pub graph: GraphPlan,
    pub facts: GraphFacts,
    pub params: Vec<Param>,
    /// Node types and relations that the graph does not have, numbered behind its own.
    #[serde(default)]
    pub virtuals: Virtuals,
    /// Where small graphs are predicted.
    #[serde(default)]
    pub members: Option<Members>,
    pub train: Executable,
    /// Layer-wise inference: the encoder, then one stage per layer, then the decoders.
    pub infer: Vec<Stage>,
    /// Scores of pairs from the rows that inference has computed, one for each `predict` of pairs.
    #[serde(default)]
    pub scorers: Vec<Scorer>,
    pub predicts: Vec<Predict>,
    pub sampler: Sampler,
    pub trainer: Trainer,
    pub writes: Vec<Write>,
    pub seed: u64,
}

impl Plan {
    /// What the verifier and the backends need of the plan.
    pub fn signature(&self) -> Signature {
        Signature {
            relations: self.facts.ends().chain(self.virtuals.relations.iter().copied()).collect(),
            params: self.params.iter().map(|p| p.shape.clone()).collect(),
        }
    }
}

/// Types of rows and edges between them that only a batch has: see [`crate::pairs`] and [`crate::members`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Virtuals {
    /// For each type, how many rows can be told apart; 0 where every row of a batch is its own.
    pub types: Vec<u32>,
    /// Source and destination type of each relation.
    pub relations: Vec<(u32, u32)>,
}

/// A trainable tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Unique, stable under edits elsewhere; keys initialisation and checkpoints: `gnn.1.W[depends]`.
    pub name: String,
    pub shape: Vec<usize>,
    pub init: Init,
    pub kind: ParamKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamKind {
    Dense,
    /// One row per node of type `ty`; trained sparsely: rows without gradient in a step are not touched.
    Table {
        ty: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Init {
    Zeros,
    Ones,
    Constant(f32),
    /// U(-a, a), a = sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010.
    Glorot {
        fan_in: usize,
        fan_out: usize,
    },
    Normal {
        std: f32,
    },
    Uniform {
        bound: f32,
    },
}

/// One tensor program in both forms: as equations, and as steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Executable {
    /// Forward only, before any pass: what the reference backend runs.
    pub forward: Program,
    /// After all passes, gradients included where it trains.
    pub program: Program,
    pub schedule: Schedule,
    /// Relations expanded at each hop, hop 0 nearest the seeds.
    pub hops: Vec<Vec<u32>>,
}

/// One step of layer-wise inference: for all nodes of `types`, over all their neighbours (hops.len() is 0 or 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    /// Node types whose rows are computed, with the width of the result.
    pub types: Vec<(u32, usize)>,
    /// Node types whose hidden rows are read.
    pub reads: Vec<u32>,
    /// Its schedule has `Hidden { ty }` outputs, or `Scores` ones in the last stage, in domain Nodes { ty, hop 0 }.
    pub exec: Executable,
}

/// Scores of pairs: its schedule reads `Hidden` rows of the ends in domain Nodes { ty, hop 1 } and has `Scores` of the pairs
/// at hop 0 and `Negatives` of the edges that lead to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    pub predict: usize,
    pub exec: Executable,
}

/// What is predicted, and how it is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predict {
    /// As written: `package.section`.
    pub name: String,
    /// The node type whose rows are scored: of the graph, or [`Pairs::ty`].
    pub ty: u32,
    /// The label of the node type, or of the relations of the pairs.
    pub label: u32,
    /// Labelled rows in [none, train, valid, test].
    #[serde(default)]
    pub parts: [u64; 4],
    /// Where pairs of nodes are scored.
    #[serde(default)]
    pub pairs: Option<Pairs>,
    pub task: Task,
    /// Per class, from the training counts; empty: all ones.
    pub class_weights: Vec<f32>,
    pub metrics: Vec<Metric>,
    pub loss: String,
    pub weight: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Task {
    Classification {
        classes: Vec<String>,
    },
    /// Scores are standardised: prediction = score · std + mean.
    Regression {
        mean: f64,
        std: f64,
    },
    /// The target is a stored feature of the rows, as it is.
    Reconstruction {
        feature: u32,
        width: usize,
    },
    /// Edges are ranked above pairs that are none.
    Links,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    Accuracy,
    F1Macro,
    F1Micro,
    F1Weighted,
    Rmse,
    Mae,
    R2,
    /// Mean of 1 / rank.
    Mrr,
    /// Share of ranks up to k.
    Hits(u32),
    MeanRank,
    /// 1 - Σ (rank - 1) / Σ (candidates / 2): 1 is perfect, 0 random. Berrendorf et al. 2020.
    Amri,
    Loss,
}

impl Metric {
    /// The name it has in the language and in every report.
    pub fn name(self) -> String {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::F1Macro => "f1_macro",
            Metric::F1Micro => "f1_micro",
            Metric::F1Weighted => "f1_weighted",
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::R2 => "r2",
            Metric::Mrr => "mrr",
            Metric::Hits(k) => return format!("hits_{k}"),
            Metric::MeanRank => "mean_rank",
            Metric::Amri => "amri",
            Metric::Loss => "loss",
        }
        .to_owned()
    }

    pub fn higher_is_better(self) -> bool {
        !matches!(self, Metric::Rmse | Metric::Mae | Metric::MeanRank | Metric::Loss)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampler {
    /// Neighbours drawn per node and relation, without replacement; hop 0 nearest the seeds. Empty for a model without a graph.
    pub fanouts: Vec<Fanout>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fanout {
    All,
    Neighbors(u32),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trainer {
    pub epochs: u32,
    /// Seeds per step over all ranks; none: all training seeds at once.
    pub batch: Option<u32>,
    pub dense: Optimizer,
    pub sparse: Optimizer,
    /// Validation every so many epochs.
    pub evaluate_every: u32,
    pub stop: Option<Stop>,
    /// The model kept is the best by this; none: the last one.
    pub best: Option<Monitor>,
    /// Training statistics of validation use sampled neighbours when true, else exact layer-wise inference.
    pub sampled_validation: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    pub monitor: Monitor,
    /// Evaluations without gain after which training ends.
    pub patience: u32,
    /// No stop before this epoch.
    pub min_epochs: u32,
}

/// A metric of a `predict` on the validation part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    pub predict: usize,
    pub metric: Metric,
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
    /// Gradients are scaled to at most this global L2 norm before the step; none: not clipped.
    pub clip: Option<f32>,
    pub decay: Decay,
}

/// How the learning rate falls over the steps of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Decay {
    #[default]
    None,
    /// lr (1 - t), t from 0 at the first step to 1 after the last one of the last epoch.
    Linear,
    /// lr (1 + cos πt) / 2. Loshchilov and Hutter 2017, without restarts.
    Cosine,
}

impl Optimizer {
    /// The optimizer for step `step`, from 0, of `steps`.
    pub fn at(&self, step: u64, steps: u64) -> Optimizer {
        let t = step as f64 / steps.max(1) as f64;
        let factor = match self.decay {
            Decay::None => 1.0,
            Decay::Linear => 1.0 - t,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * t).cos()),
        };
        Optimizer { lr: (f64::from(self.lr) * factor) as f32, ..*self }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Write {
    pub what: WriteWhat,
    pub ty: u32,
    /// Folder, as written, relative to the `.gsl` file.
    pub dir: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteWhat {
    Predictions,
    Embeddings,
}
