//! The processor backend: rayon over chunks, SIMD within a row.

pub mod block;
pub mod dense;
pub mod loss;
pub mod map;
mod math;
pub mod optim;
pub mod rows;
mod share;
mod simd;
pub mod traverse;
