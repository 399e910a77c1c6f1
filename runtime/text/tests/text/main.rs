//! Tokens and vectors of a tiny random model.

mod encoder;
mod slow;
mod tiny;
mod tokens;
