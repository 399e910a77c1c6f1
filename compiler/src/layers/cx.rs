//! What lowering writes into: one tensor program in the making and the parameters it uses.
//!
//! Decided here: how parameters are found by name, how dropout sites are numbered, what `Mode` changes. Not decided
//! here: what is lowered.

use std::collections::BTreeMap;

use gsl_plan::build::{Builder, Built};
use gsl_plan::graph::GraphFacts;
use gsl_plan::plan::{Init, Param, ParamKind};
use gsl_plan::program::{Domain, Op, Signature, UnaryOp, ValueId};

/// Dropout happens in training only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Train,
    Infer,
}

/// A function of one number that a parameter can hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    Identity,
    Relu,
    LeakyRelu(f32),
    Elu,
    Gelu,
    Sigmoid,
    Tanh,
    Softplus,
    Exp,
    Square,
    Abs,
}

impl Activation {
    pub const NAMES: [&'static str; 11] = [
        "identity",
        "relu",
        "leaky_relu",
        "elu",
        "gelu",
        "sigmoid",
        "tanh",
        "softplus",
        "exp",
        "square",
        "abs",
    ];

    /// `leaky_relu` without a slope has 0.01, Maas et al. 2013.
    pub fn parse(name: &str) -> Option<Activation> {
        Some(match name {
            "identity" | "none" => Activation::Identity,
            "relu" => Activation::Relu,
            "leaky_relu" => Activation::LeakyRelu(0.01),
            "elu" => Activation::Elu,
            "gelu" => Activation::Gelu,
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "softplus" => Activation::Softplus,
            "exp" => Activation::Exp,
            "square" => Activation::Square,
            "abs" => Activation::Abs,
            _ => return None,
        })
    }

    /// The operation; none for the identity.
    pub fn op(self) -> Option<UnaryOp> {
        Some(match self {
            Activation::Identity => return None,
            Activation::Relu => UnaryOp::Relu,
            Activation::LeakyRelu(slope) => UnaryOp::LeakyRelu(slope),
            Activation::Elu => UnaryOp::Elu,
            Activation::Gelu => UnaryOp::Gelu,
            Activation::Sigmoid => UnaryOp::Sigmoid,
            Activation::Tanh => UnaryOp::Tanh,
            Activation::Softplus => UnaryOp::Softplus,
            Activation::Exp => UnaryOp::Exp,
            Activation::Square => UnaryOp::Square,
            Activation::Abs => UnaryOp::Abs,
        })
    }
}

/// One program in the making. Programs of one experiment share their parameters: give the `params` of the first to
/// [`LowerCx::with_params`] of the next.
#[derive(Debug, Clone)]
pub struct LowerCx<'a> {
    pub builder: Builder,
    /// In step with `builder.signature.params`; the index is the number in `Op::Param` and `Op::Embedding`.
    pub params: Vec<Param>,
    pub facts: &'a GraphFacts,
    pub mode: Mode,
    sites: u32,
    by_name: BTreeMap<String, u32>,
    read: BTreeMap<u32, ValueId>,
}

impl<'a> LowerCx<'a> {
    pub fn new(facts: &'a GraphFacts, mode: Mode) -> Self {
        Self::with_params(facts, mode, Vec::new())
    }

    /// An empty program over parameters that exist.
    pub fn with_params(facts: &'a GraphFacts, mode: Mode, params: Vec<Param>) -> Self {
        let signature = Signature {
            relations: facts.relations.iter().map(|r| (r.src as u32, r.dst as u32)).collect(),
            params: params.iter().map(|p| p.shape.clone()).collect(),
        };
        let by_name = params.iter().enumerate().map(|(i, p)| (p.name.clone(), i as u32)).collect();
        Self {
            builder: Builder::new(signature),
            params,
            facts,
            mode,
            sites: 0,
            by_name,
            read: BTreeMap::new(),
        }
    }

    /// The dense parameter of this name, Global × `shape`: found, or created with `init`. The name decides: a
    /// parameter found keeps its own shape and init.
    pub fn param(&mut self, name: &str, shape: &[usize], init: Init) -> ValueId {
        let index = self.param_index(name, shape, init, ParamKind::Dense);
        if let Some(value) = self.read.get(&index) {
            return *value;
        }
        let value = self.builder.param(index).expect("the signature has every parameter");
        self.builder.program.values[value.index()].name = name.to_owned();
        self.read.insert(index, value);
        value
    }

    /// Rows of the embedding table of this name for the nodes of `domain`: Nodes{ty, hop} × \[width\].
    pub fn embedding(&mut self, name: &str, ty: u32, hop: u32, width: usize, init: Init) -> Built {
        let rows = self.facts.nodes.get(ty as usize).map_or(0, |n| n.count as usize);
        let param = self.param_index(name, &[rows, width], init, ParamKind::Table { ty });
        self.builder.push(Op::Embedding { param }, &[], Domain::Nodes { ty, hop }, &[width])
    }

    /// The index of the parameter of this name: found, or created.
    pub fn param_index(&mut self, name: &str, shape: &[usize], init: Init, kind: ParamKind) -> u32 {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.params.len() as u32;
        self.params.push(Param { name: name.to_owned(), shape: shape.to_vec(), init, kind });
        self.builder.signature.params.push(shape.to_vec());
        self.by_name.insert(name.to_owned(), index);
        index
    }

    /// Dropout with a site of its own; nothing in inference or for p = 0.
    pub fn dropout(&mut self, x: ValueId, p: f32) -> Built {
        if self.mode == Mode::Infer || p == 0.0 {
            return Ok(x);
        }
        let site = self.sites;
        self.sites += 1;
        self.builder.op(Op::Dropout { p, site }, &[x])
    }

    /// How messages and parameters call a relation: its name, with its ends where several share the name.
    pub fn relation_label(&self, rel: u32) -> String {
        relation_label(self.facts, rel)
    }

    pub fn node_label(&self, ty: u32) -> &'a str {
        self.facts.nodes.get(ty as usize).map_or("?", |n| n.name.as_str())
    }
}

pub(super) fn relation_label(facts: &GraphFacts, rel: u32) -> String {
    let Some(relation) = facts.relations.get(rel as usize) else { return "?".to_owned() };
    let same = facts.relations.iter().filter(|r| r.name == relation.name).count();
    if same == 1 {
        return relation.name.clone();
    }
    let end = |ty: usize| facts.nodes.get(ty).map_or("?", |n| n.name.as_str());
    format!("{} -{}-> {}", end(relation.src), relation.name, end(relation.dst))
}

/// Relations that end in nodes of type `ty`, in order.
pub(super) fn relations_into(facts: &GraphFacts, ty: u32) -> Vec<u32> {
    let ends = facts.relations.iter().enumerate().filter(|(_, r)| r.dst as u32 == ty);
    ends.map(|(i, _)| i as u32).collect()
}

/// Uniform in ±sqrt(6 / (fan_in + fan_out)) for a matrix \[in, out…\]; a vector has the fan-out 1. Glorot and Bengio 2010.
pub fn glorot(shape: &[usize]) -> Init {
    match shape {
        [] => Init::Glorot { fan_in: 1, fan_out: 1 },
        [first, rest @ ..] => Init::Glorot { fan_in: *first, fan_out: rest.iter().product() },
    }
}
