//! Kernels: slices in, slices out. This crate knows no graph, no plan and no file.
//!
//! Decided here: how each operation is computed, its order of summation, its parallelism. Not decided: what is computed
//! when, and where buffers come from; every output is the caller's.
//!
//! Everything is computed in `f32`, whatever it is stored in ([`Floats`]), and deterministic: a result depends on the arguments only, bit by bit, never on the number of threads
//! of the rayon pool in which the kernel runs. Work is cut into chunks of fixed size, each row is computed by one thread in
//! a fixed order, and partial sums are combined in the order of the chunks.
//!
//! Slices of the wrong length, and row indices beyond an input, are mistakes of the caller: they panic with a message
//! that names both numbers. Shapes that a user can influence are checked by [`RowProgram::new`], which returns an error.

mod cpu;
mod floats;
mod program;
pub mod random;

pub use cpu::block::{
    Adjacency, Direction, Groups, group_rows, in_degrees, inverse_degrees, transpose_block,
};
pub use cpu::dense::{Shape, Start, linear, linear_t, outer};
pub use cpu::heads::{linear_at, linear_t_at, outer_at};
pub use cpu::loss::{cross_entropy, cross_entropy_grad, log_softmax_rows, softmax_rows};
pub use cpu::map::{Output, map_rows, outer_rows, sum_rows};
pub use cpu::optim::{Adam, adam, axpy, norm, scale, sgd, sparse_adam_rows};
pub use cpu::rows::{concat_columns, copy_columns, gather_rows, pad_rows, scatter_add_rows, slice_columns};
pub use cpu::tiles::{Rows, Tiles, tile_dot, tile_to_columns, tile_to_rows};
pub use cpu::traverse::{Reduce, Reduced, outer_edges, traverse, traverse_edges, traverse_global};
pub use floats::Floats;
pub use half::{bf16, f16};
pub use program::{
    Access, Arg, BinaryOp, Broadcast, Data, Input, InputId, InputSpec, Instr, Kind, Reg, RowProgram, UnaryOp,
};
