//! The typed body: what checking leaves of a layer for lowering.
//!
//! Decided here: what an expression can depend on, and the operations of the layer language with every choice made: how
//! rows are aligned, which dimensions are shared, which end of an edge is meant. Widths are still names.

use std::collections::BTreeSet;
use std::ops::BitOr;

use gsl_plan::program::UnaryOp;

use super::args::ParamType;
use super::dims::{Dim, Shape};
use crate::syntax::ast::{self, Span};

#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub params: Vec<(String, ParamType)>,
    pub weights: Vec<WeightDef>,
    pub equations: Vec<EquationDef>,
    /// `h'[v]` or `x'` among the equations.
    pub output: Option<usize>,
    /// `e.weight`: features that edges must have.
    pub edge_features: Vec<(String, Span)>,
    /// Widths that must be the same: rows added to `h` as it came in.
    pub equal: Vec<Equal>,
    /// Dropout rates, for checking them once they have a value.
    pub rates: Vec<(Constant, Span)>,
}

/// `h[v] + y`: the width of y must be `in`. The one agreement that only a call can show.
#[derive(Debug, Clone)]
pub(super) struct Equal {
    pub width: Dim,
    pub rows: Span,
    pub input: Span,
}

/// What a value depends on, and with that where it is computed: once, per relation, per node type, per node, per edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Deps(u8);

impl Deps {
    pub const NONE: Deps = Deps(0);
    /// Rows of the source node `u`.
    pub const SOURCE: Deps = Deps(1);
    /// Rows of the node `v` (in a module: of the input).
    pub const NODE: Deps = Deps(2);
    /// Rows of edges.
    pub const EDGE: Deps = Deps(4);
    pub const RELATION: Deps = Deps(8);
    /// A node type, not yet known of which node.
    pub const TYPE: Deps = Deps(16);
    pub const SOURCE_TYPE: Deps = Deps(32);
    pub const NODE_TYPE: Deps = Deps(64);

    pub fn has(self, any: Deps) -> bool {
        self.0 & any.0 != 0
    }

    pub fn without(self, other: Deps) -> Deps {
        Deps(self.0 & !other.0)
    }

    /// One row per edge, or per source node: has a meaning only along an edge.
    pub fn is_edgy(self) -> bool {
        self.has(Deps::SOURCE | Deps::EDGE)
    }

    pub fn has_rows(self) -> bool {
        self.has(Deps::SOURCE | Deps::NODE | Deps::EDGE)
    }

    /// The same value at the source end of an edge.
    pub fn at_source(self) -> Deps {
        let mut deps = self.without(Deps::NODE | Deps::NODE_TYPE);
        if self.has(Deps::NODE) {
            deps = deps | Deps::SOURCE;
        }
        if self.has(Deps::NODE_TYPE) {
            deps = deps | Deps::SOURCE_TYPE;
        }
        deps
    }
}

impl BitOr for Deps {
    type Output = Deps;

    fn bitor(self, other: Deps) -> Deps {
        Deps(self.0 | other.0)
    }
}

/// What a weight or an equation is defined for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// No index; in a module, one row of the input.
    Plain,
    /// `[v]`
    Node,
    /// `[u -> v]`
    Edge,
    /// `[u -r-> v]`
    EdgeOf,
    /// `[r]`
    Relation,
    /// `[t]`
    Type,
}

#[derive(Debug, Clone)]
pub(super) struct WeightDef {
    pub name: String,
    pub target: Target,
    pub shape: Shape,
    /// Every dimension as written, ones included, for the parameter and its diagnostics.
    pub dims: Vec<(Dim, Span)>,
    pub bases: Option<(Constant, Span)>,
    pub start: Start,
    /// Leading dimensions that are shared where it is multiplied by; none if it never stands right of `@`.
    pub lead: Option<usize>,
    pub used: bool,
    /// False where its dimensions could not be read.
    pub whole: bool,
    pub span: Span,
}

/// How a weight begins.
#[derive(Debug, Clone)]
pub(super) enum Start {
    Glorot,
    Constant(Constant),
    Normal(Constant),
    Uniform(Constant),
}

#[derive(Debug, Clone)]
pub(super) struct EquationDef {
    pub name: String,
    pub target: Target,
    pub value: Typed,
    /// Whether it reads neighbours.
    pub reduces: bool,
    /// Whether it is read at the source end of an edge.
    pub at_source: bool,
    pub used: bool,
    pub span: Span,
}

/// A number known once the arguments are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Number(f64),
    Dim(Dim),
    Param(String),
    Neg(Box<Constant>),
    Binary(ast::BinaryOp, Box<Constant>, Box<Constant>),
    Function(UnaryOp, Box<Constant>),
}

/// An end of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Node,
}

#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub kind: Kind,
    pub deps: Deps,
    pub shape: Shape,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Reported; fits everything.
    Bad,
    Constant(Constant),
    /// `h[u]`, `h[v]`, `x`
    Input(End),
    Weight(usize),
    /// Another equation's value; `end` says of which node, for those on nodes.
    Equation {
        index: usize,
        end: End,
    },
    EdgeFeature(String),
    Degree(End),
    /// The node type in it is that of this node.
    TypeOf(End, Box<Typed>),
    Unary(UnaryOp, Box<Typed>),
    LeakyRelu(Constant, Box<Typed>),
    /// `act(x)`
    Activation(String, Box<Typed>),
    Power(Constant, Box<Typed>),
    StopGradient(Box<Typed>),
    Binary {
        op: Pointwise,
        left: Box<Typed>,
        right: Box<Typed>,
        fits: (Fit, Fit),
    },
    /// `x @ w`: the first `shared` dimensions run along; w lacks the `spread` ones before the last.
    Product {
        x: Box<Typed>,
        w: Box<Typed>,
        shared: usize,
        spread: usize,
    },
    Concat(Vec<Typed>),
    /// `rust("gate", out)(x, W)`
    Rust {
        name: String,
        args: Vec<Typed>,
    },
    /// The first or the second half of a row.
    Half {
        second: bool,
        x: Box<Typed>,
    },
    Dropout(Constant, Box<Typed>),
    /// Over relations or edges.
    Reduce {
        op: Fold,
        over: Over,
        body: Box<Typed>,
    },
    Softmax {
        over: Over,
        body: Box<Typed>,
        id: usize,
    },
    /// Over one dimension of the row.
    RowReduce {
        op: Fold,
        axis: usize,
        body: Box<Typed>,
    },
    RowSoftmax {
        axis: usize,
        body: Box<Typed>,
    },
    Module(Box<ModuleCall>),
}

/// `mlp(out)(h[v])`
#[derive(Debug, Clone)]
pub(super) struct ModuleCall {
    pub name: String,
    pub args: Vec<ast::Arg>,
    /// Which of the body's module calls it is.
    pub number: usize,
    pub x: Typed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointwise {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Mean,
    Max,
    Min,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// `[r]`: the relations into v.
    Relations,
    /// `[u -> v]`: the edges of all relations into v.
    Edges,
    /// `[u -r-> v]`: the edges of one relation into v.
    EdgesOf,
}

/// How an operand's row lies in the result's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The same elements in the same order.
    Same,
    Scalar,
    /// Its dimensions are the last ones.
    Suffix,
    /// Its dimensions are the first ones.
    Prefix,
    /// Its dimensions follow `skip` others.
    Middle {
        skip: usize,
    },
    /// An edge feature: one number or the same elements, known once the graph is.
    Feature,
}

impl Typed {
    pub fn bad(span: Span) -> Self {
        Typed { kind: Kind::Bad, deps: Deps::NONE, shape: Vec::new(), span }
    }

    pub fn is_bad(&self) -> bool {
        matches!(self.kind, Kind::Bad)
    }

    pub fn constant(value: Constant, span: Span) -> Self {
        Typed { kind: Kind::Constant(value), deps: Deps::NONE, shape: Vec::new(), span }
    }

    /// A row that is one edge feature: its width is known only with the graph.
    pub fn is_feature_row(&self) -> bool {
        self.shape.len() == 1 && self.shape[0].to_string().starts_with("e.")
    }

    pub fn children(&self) -> Vec<&Typed> {
        match &self.kind {
            Kind::Bad
            | Kind::Constant(_)
            | Kind::Input(_)
            | Kind::Weight(_)
            | Kind::Equation { .. }
            | Kind::EdgeFeature(_)
            | Kind::Degree(_) => Vec::new(),
            Kind::TypeOf(_, x)
            | Kind::Unary(_, x)
            | Kind::LeakyRelu(_, x)
            | Kind::Activation(_, x)
            | Kind::Power(_, x)
            | Kind::StopGradient(x)
            | Kind::Dropout(_, x)
            | Kind::Half { x, .. }
            | Kind::Reduce { body: x, .. }
            | Kind::Softmax { body: x, .. }
            | Kind::RowReduce { body: x, .. }
            | Kind::RowSoftmax { body: x, .. } => vec![x],
            Kind::Binary { left, right, .. } => vec![left, right],
            Kind::Product { x, w, .. } => vec![x, w],
            Kind::Concat(items) | Kind::Rust { args: items, .. } => items.iter().collect(),
            Kind::Module(call) => vec![&call.x],
        }
    }
}

impl Body {
    /// Whether the output reads (rows of sources, rows of the node itself).
    pub fn reads(&self) -> (bool, bool) {
        let Some(output) = self.output.and_then(|i| self.equations.get(i)) else { return (true, true) };
        let mut walk = Walk { body: self, seen: BTreeSet::new(), source: false, node: false };
        walk.visit(&output.value, End::Node);
        (walk.source, walk.node)
    }
}

/// What an output reads, through the equations that it uses.
struct Walk<'b> {
    body: &'b Body,
    /// (equation, at the source)
    seen: BTreeSet<(usize, bool)>,
    source: bool,
    node: bool,
}

impl Walk<'_> {
    fn visit(&mut self, value: &Typed, node: End) {
        match &value.kind {
            Kind::Input(end) if node == End::Node && *end == End::Node => self.node = true,
            Kind::Input(_) => self.source = true,
            Kind::Equation { index, end } => {
                let node = if *end == End::Source { End::Source } else { node };
                if let Some(equation) = self.body.equations.get(*index)
                    && self.seen.insert((*index, node == End::Source))
                {
                    self.visit(&equation.value, node);
                }
            }
            _ => value.children().into_iter().for_each(|child| self.visit(child, node)),
        }
    }
}
