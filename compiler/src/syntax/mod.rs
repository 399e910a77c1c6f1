//! Text to tree and back: the grammar's tree, the parser that never gives up, the formatter.
//!
//! Decided here: what is written. Not decided here: what it means.

pub mod ast;
pub mod lex;
pub mod lines;
mod parse;

pub use parse::{MAX_BYTES, Parsed, parse};
