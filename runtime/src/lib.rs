//! The runtime: builds the graph, runs the plan.

pub mod report;
pub mod train;
