//! Training: epochs of batches, evaluation, early stopping, checkpoints.
//!
//! Decided here: what a training needs and what it gives. The parts: `batches` says which seeds make a batch and which of
//! them are a rank's, `rank` works on one batch and takes one optimiser step, `run` is the loop, `best` the models that are kept, `checkpoint` the
//! files, `metrics` the sums.

pub mod batches;
pub mod best;
pub mod checkpoint;
pub mod judge;
mod rank;
mod run;
pub mod start;
mod unseen;
mod weights;

pub use run::{Trained, train};
pub use unseen::unseen;

use crate::comm::CommError;
use crate::exec::ExecError;
use crate::extend::Extensions;
use crate::infer::InferError;
use crate::report::Events;
use crate::sample::SampleError;
use crate::store::{Params, StoreError};
use crate::view::GraphView;
use best::BestError;
use checkpoint::CheckpointError;
use gsl_plan::plan::Plan;
use judge::Judge;
use std::path::Path;

/// One training to be done.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub plan: &'a Plan,
    /// Hash of the plan and of the graph: a checkpoint of another hash is refused.
    pub hash: &'a str,
    /// The whole graph.
    pub view: &'a dyn GraphView,
    /// The graph that messages take: [`crate::view::Messages`].
    pub messages: &'a dyn GraphView,
    pub events: &'a Events,
    /// Folder of the checkpoints `last` and `best`.
    pub checkpoints: &'a Path,
    /// Where the parameters start, if not from draws: with parts of other runs.
    pub start: Option<&'a Params>,
    /// May pause the training.
    pub judge: Option<&'a dyn Judge>,
    /// What the plan names in Rust.
    pub extensions: &'a Extensions,
    pub options: Options,
}

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub ranks: usize,
    /// Go on from `last`.
    pub resume: bool,
    /// A checkpoint every so many batches, besides those at the ends of epochs.
    pub checkpoint_every: Option<u32>,
    /// Least seconds between two checkpoints at the ends of epochs; the last one is always written.
    pub checkpoint_seconds: f64,
    /// An event for every batch.
    pub log_steps: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            ranks: 1,
            resume: false,
            checkpoint_every: None,
            checkpoint_seconds: 15.0,
            log_steps: false,
        }
    }
}

/// Why a training ended before its time.
#[derive(Debug)]
pub enum TrainError {
    Sample(SampleError),
    Exec(ExecError),
    Store(StoreError),
    Comm(CommError),
    Infer(InferError),
    Checkpoint(CheckpointError),
    /// The loss is not a number any more.
    NotFinite {
        epoch: u32,
        batch: u32,
        diagnosis: Option<String>,
    },
    /// There is nothing to train on.
    NoSeeds {
        predict: String,
    },
    /// A rank failed; told as it told it.
    Rank(String),
}

impl std::fmt::Display for TrainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sample(e) => e.fmt(f),
            Self::Exec(e) => e.fmt(f),
            Self::Store(e) => e.fmt(f),
            Self::Comm(e) => e.fmt(f),
            Self::Infer(e) => e.fmt(f),
            Self::Checkpoint(e) => e.fmt(f),
            Self::NotFinite { epoch, batch, diagnosis } => {
                write!(f, "the loss is not finite at epoch {epoch}, batch {batch}")?;
                match diagnosis {
                    Some(d) => write!(f, ": {d}"),
                    None => write!(f, "; lower the learning rate, or clip the gradient with `clip: 1.0`"),
                }
            }
            Self::NoSeeds { predict } => {
                write!(
                    f,
                    "no labelled row of `{predict}` is in the training part; look at its `split` and its label column"
                )
            }
            Self::Rank(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for TrainError {}

impl From<BestError> for TrainError {
    fn from(error: BestError) -> Self {
        match error {
            BestError::Checkpoint(e) => TrainError::Checkpoint(e),
            BestError::Store(e) => TrainError::Store(e),
        }
    }
}

macro_rules! from {
    ($($variant:ident: $source:ty),*) => {
        $(impl From<$source> for TrainError {
            fn from(e: $source) -> Self {
                TrainError::$variant(e)
            }
        })*
    };
}

from!(Sample: SampleError, Exec: ExecError, Store: StoreError, Comm: CommError, Infer: InferError, Checkpoint: CheckpointError);
