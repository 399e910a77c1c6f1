//! The processor backend: rayon over chunks, SIMD within a row.

pub mod block;
pub mod dense;
mod exec;
pub mod heads;
pub mod loss;
pub mod map;
mod math;
mod ops;
pub mod optim;
pub mod rows;
mod schedule;
mod share;
mod simd;
#[allow(clippy::needless_range_loop)]
mod small;
pub mod tiles;
pub mod traverse;
mod vector;
mod view;
mod widen;
