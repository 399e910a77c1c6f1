//! The runtime: builds the graph, runs the plan.

pub use gsl_kernels::random;

pub mod comm;
pub mod construct;
pub mod exec;
pub mod extend;
pub mod graph;
pub mod infer;
pub mod inspect;
pub mod members;
pub mod metrics;
pub mod pairs;
pub mod report;
pub mod sample;
pub mod store;
pub mod text;
pub mod train;
pub mod view;
pub mod write;

mod prefetch;
mod slab;
#[cfg(test)]
mod toys;
