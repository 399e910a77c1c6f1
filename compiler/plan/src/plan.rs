//! The plan as a whole: what `gsc train` needs and nothing else, besides the graph.

use crate::graph::{GraphFacts, GraphPlan};
use crate::program::{Program, Signature};
use crate::schedule::Schedule;
pub use crate::trainer::{
    Best, Decay, Every, Monitor, MonitorTerm, Optimizer, Start, Stop, TrainStage, Trainer, Warmup,
};
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
    pub train: Executable,
    /// Layer-wise inference: the encoder, then one stage per layer, then the decoders.
    pub infer: Vec<Stage>,
    pub predicts: Vec<Predict>,
    pub sampler: Sampler,
    pub trainer: Trainer,
    pub starts: Vec<Start>,
    pub writes: Vec<Write>,
    pub seed: u64,
}

impl Plan {
    /// What the verifier and the backends need of the plan.
    pub fn signature(&self) -> Signature {
        Signature {
            relations: self.facts.relations.iter().map(|r| (r.src as u32, r.dst as u32)).collect(),
            params: self.params.iter().map(|p| p.shape.clone()).collect(),
        }
    }
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

/// What is predicted, and how it is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predict {
    /// As written: `package.section`.
    pub name: String,
    pub ty: u32,
    pub label: u32,
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
    Loss,
}

impl Metric {
    /// The name it has in the language and in every report.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::F1Macro => "f1_macro",
            Metric::F1Micro => "f1_micro",
            Metric::F1Weighted => "f1_weighted",
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::R2 => "r2",
            Metric::Loss => "loss",
        }
    }

    pub fn higher_is_better(self) -> bool {
        !matches!(self, Metric::Rmse | Metric::Mae | Metric::Loss)
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
