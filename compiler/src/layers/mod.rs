//! Layers and modules: the equations of message passing, checked once for all widths, lowered for given ones.
//!
//! Decided here: what the body of a `layer` or a `module` may say, what domain and which named dimensions every
//! expression has, and which tensor operations it becomes. Not decided here: composition (`A >> B`), which layers an
//! experiment stacks, derivatives, the order of operations.
//!
//! `check` gives a typed body (`typed`) and every mistake at once; `lower` walks the typed body with the widths filled
//! in; `args` brings a call's arguments into the order and the types that the declaration asks for.

mod args;
mod check;
mod cx;
mod dims;
mod expr;
mod fit;
mod functions;
mod lower;
mod reduce;
mod typed;
mod weights;

use gsl_plan::program::ValueId;

pub use args::{Arg, Declared, ParamType, Scope, call_args, evaluate, param_type};
pub use check::check_layer;
pub use cx::{Activation, LowerCx, Mode, glorot};
pub use functions::FUNCTIONS;
pub use lower::{
    edge_features, inputs_needed, lacks_edge_feature, lower_decoder, lower_layer, lower_module, needs,
    reads_itself,
};

use crate::syntax::ast::Span;

/// A layer or module with its arguments, ready to be lowered.
#[derive(Debug, Clone)]
pub struct LayerCall<'a> {
    pub layer: Declared<'a>,
    /// From [`call_args`].
    pub args: Vec<(String, Arg)>,
    /// In front of the names of its parameters: `gnn.1`.
    pub prefix: String,
    /// The call in the file being compiled.
    pub span: Span,
}

/// The rows of a layer for each node type, by index.
pub type Rows = std::collections::BTreeMap<u32, ValueId>;
