//! Training: epochs of batches, evaluation, early stopping, checkpoints.

pub mod checkpoint;
pub mod metrics;
