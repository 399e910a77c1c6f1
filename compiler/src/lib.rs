//! The GSL compiler: text -> syntax -> names -> types -> tensor IR -> plan.
//!
//! Pure: no I/O, no clock, no threads. The world (files, table headers) is seen through one trait that the command
//! line, the language server and the tests each implement.

pub mod diag;
pub mod layers;
pub mod passes;
pub mod sema;
pub mod syntax;
pub mod world;
