//! The execution plan: all that the compiler and the runtime share. Plain data, a verifier, a printer.

pub mod alike;
pub mod build;
pub mod external;
pub mod graph;
pub mod interpret;
pub mod members;
pub mod metric;
pub mod pairs;
pub mod plan;
pub mod print;
pub mod program;
pub mod schedule;
pub mod symbol;
pub mod trainer;
pub mod verify;
pub mod verify_schedule;
