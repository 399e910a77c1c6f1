//! The runtime: builds the graph, runs the plan.

pub mod comm;
pub mod exec;
pub mod infer;
pub mod report;
pub mod sample;
pub mod store;
pub mod train;
pub mod view;
