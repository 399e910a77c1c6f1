//! The reference backend: a tensor program run operation by operation on dfdx's tape.
//!
//! An oracle, not an engine. It takes the forward program before any pass and lets dfdx differentiate it, so that it shares
//! neither the derivative, nor the fusion, nor a kernel with the production path. Every movement between rows or columns
//! is a product with a constant 0/1 matrix: slow, small, and hard to get wrong.

mod dense;
mod run;

pub use run::{Inputs, Outcome, ReferenceError, run};
