//! Text to tree and back: the grammar's tree, the parser that never gives up, the formatter.
//!
//! Decided here: what is written. Not decided here: what it means.

pub mod ast;
mod fmt;
pub mod lex;
pub mod lines;
mod parse;

pub use fmt::format;
pub use parse::{MAX_BYTES, Parsed, parse};
