//! Layers and modules: the equations of message passing, checked once for all widths, lowered for given ones.
//!
//! Decided here: what the body of a `layer` or a `module` may say, what domain and which named dimensions every
//! expression has, and which tensor operations it becomes. Not decided here: composition (`A >> B`), which layers an
//! experiment stacks, derivatives, the order of operations.
//!
//! `check` gives a typed body (`typed`) and every mistake at once; `lower` walks the typed body with the widths filled
//! in; `args` brings a call's arguments into the order and the types that the declaration asks for.

mod cx;

pub use cx::{Activation, LowerCx, Mode};
