//! The plan as a whole: what `gsc train` needs and nothing else, besides the graph.

use crate::graph::{GraphFacts, GraphPlan, Source};
use crate::members::Members;
pub use crate::metric::{Average, Metric};
use crate::pairs::Pairs;
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
    pub starts: Vec<Start>,
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
    /// For each of `types`, how much of a row is its result; behind it is what a residual or a jump saved.
    pub own: Vec<usize>,
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
    /// Weight of each class in the loss; empty: all ones.
    pub class_weights: Vec<f32>,
    /// Of several classes: what the weight of a class is multiplied by where a row has it; empty: all ones.
    #[serde(default)]
    pub positive_weights: Vec<f32>,
    /// Of several classes: the loss of a row is the mean over its known classes, else their sum.
    #[serde(default)]
    pub mean_over_classes: bool,
    pub metrics: Vec<Metric>,
    pub loss: String,
    pub weight: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Task {
    Classification {
        classes: Vec<String>,
    },
    /// Any number of classes at once: a score of a class is the log-odds of having it.
    MultiLabel {
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

impl Task {
    /// Names of the classes by index; none of a regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Task::Classification { classes } | Task::MultiLabel { classes } => classes.as_slice(),
            Task::Regression { .. } | Task::Reconstruction { .. } | Task::Links => &[],
        }
    }

    /// Numbers that the label of one row has.
    pub fn label_width(&self) -> usize {
        match self {
            Task::MultiLabel { classes } => classes.len(),
            _ => 1,
        }
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

/// A table that a run leaves for its user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Write {
    pub what: WriteWhat,
    /// Folder, as written, relative to the `.gsl` file.
    pub dir: String,
    /// Name of the file, without extension.
    pub name: String,
    pub format: WriteFormat,
}

/// What a table holds; predictions by their index in [`Plan::predicts`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WriteWhat {
    /// Of a label: for every node of its type, or every edge of its relations.
    Predictions { predict: usize },
    /// Rows of every node of a type, after the last layer that computes them.
    Embeddings { ty: u32 },
    /// Rows of the decoder's weights of each relation.
    Relations { predict: usize },
    /// For every source and relation the destinations of the best scores. Those that are edges, of whatever part, are
    /// left out unless `known`. Of a family: of all its relations, or of the one that is named.
    Links {
        predict: usize,
        most: u32,
        known: bool,
        #[serde(default)]
        relation: Option<String>,
    },
    /// Of pairs that a table names. Of a family: with the relation of each in the table, or all of the one that is named.
    Scores {
        predict: usize,
        pairs: PairTable,
        #[serde(default)]
        relation: Option<String>,
    },
}

impl WriteWhat {
    /// The prediction and the relation of a family that alone is written of it.
    pub fn one_relation(&self) -> Option<(usize, &str)> {
        match self {
            WriteWhat::Links { predict, relation: Some(name), .. }
            | WriteWhat::Scores { predict, relation: Some(name), .. } => Some((*predict, name)),
            _ => None,
        }
    }
}

/// A table with a pair of nodes in each row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairTable {
    pub source: Source,
    pub src: String,
    pub dst: String,
    /// Of a family: the column that names the relation, unless one is named for all.
    pub relation: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum WriteFormat {
    #[default]
    Parquet,
    Csv,
    /// The last column as a matrix, the others beside it as CSV.
    Npy,
}

impl WriteFormat {
    pub const ALL: [WriteFormat; 3] = [WriteFormat::Parquet, WriteFormat::Csv, WriteFormat::Npy];

    /// The word in the language, and the extension of the file.
    pub fn name(self) -> &'static str {
        match self {
            WriteFormat::Parquet => "parquet",
            WriteFormat::Csv => "csv",
            WriteFormat::Npy => "npy",
        }
    }
}
