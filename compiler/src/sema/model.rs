//! Checked models: encoders, compositions of layers, decoders. Names are resolved and arguments are values; widths that
//! depend on the data are still open.

use std::sync::Arc;

use serde::Serialize;

use super::library::{LayerId, from_arg};
use super::value::number_text;
use crate::diag::SourceFile;
use crate::layers::{Activation, Arg};
use crate::syntax::ast::Span;

/// From the rows of each node type to rows of each node type.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    Call(LayerCall),
    Activation(Activation, String),
    Dropout(f64),
    /// One after the other; empty: the identity.
    Chain(Vec<Model>),
    /// x + A(x)
    Residual(Box<Model>, Span),
    /// The outputs of all layers of a chain, brought together.
    Jump {
        of: Box<Model>,
        mode: Jump,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Jump {
    Concat,
    Max,
    Sum,
}

/// A layer or a module with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCall {
    pub id: LayerId,
    pub name: String,
    pub args: Vec<(String, Arg)>,
    /// Its equations look at neighbours.
    pub hops: bool,
    /// Its equations score pairs of nodes.
    pub pairs: bool,
    /// Its `out` is the number of scores, known once the graph is built.
    pub head: bool,
    pub span: Span,
    /// The file of the span; none: the one being compiled.
    pub file: Option<Arc<SourceFile>>,
}

/// From features to the rows that enter the first layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoder {
    /// All features of the type side by side.
    Features(Span),
    Feature {
        index: usize,
        name: String,
    },
    Concat(Vec<Encoder>),
    Sum(Vec<Encoder>, Span),
    Embedding {
        width: usize,
        std: f64,
    },
    Apply {
        input: Box<Encoder>,
        model: Model,
    },
}

impl Model {
    /// How many of its layers look at neighbours.
    pub fn hops(&self) -> usize {
        match self {
            Model::Call(call) => usize::from(call.hops),
            Model::Activation(..) | Model::Dropout(_) => 0,
            Model::Chain(models) => models.iter().map(Model::hops).sum(),
            Model::Residual(inner, _) | Model::Jump { of: inner, .. } => inner.hops(),
        }
    }

    /// Its calls, activations and the like, counted.
    pub fn size(&self) -> usize {
        match self {
            Model::Call(_) | Model::Activation(..) | Model::Dropout(_) => 1,
            Model::Chain(models) => models.iter().map(Model::size).sum(),
            Model::Residual(inner, _) | Model::Jump { of: inner, .. } => 1 + inner.size(),
        }
    }

    /// One chain, chains in chains spread.
    pub fn chain(models: Vec<Model>) -> Model {
        let mut flat = Vec::new();
        for model in models {
            match model {
                Model::Chain(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Model::Chain(flat) }
    }

    /// The width of its rows, where the call says so; `input` is the width that enters.
    pub fn width(&self, input: Option<usize>) -> Option<usize> {
        match self {
            Model::Call(call) => call.width(),
            Model::Activation(..) | Model::Dropout(_) | Model::Residual(..) => input,
            Model::Chain(models) => models.iter().fold(input, |width, m| m.width(width)),
            Model::Jump { of, mode: Jump::Max | Jump::Sum } => of.width(input),
            Model::Jump { .. } => None,
        }
    }

    /// As GSL, every argument shown.
    pub fn show(&self) -> String {
        match self {
            Model::Call(call) => call.show(),
            Model::Activation(_, name) => name.clone(),
            Model::Dropout(p) => format!("dropout({})", number_text(*p)),
            Model::Chain(models) if models.is_empty() => "none".to_owned(),
            Model::Chain(models) => models.iter().map(Model::show).collect::<Vec<_>>().join(" >> "),
            Model::Residual(inner, _) => format!("residual({})", inner.show()),
            Model::Jump { of, mode } => {
                format!("jump({}, mode: {})", of.show(), format!("{mode:?}").to_lowercase())
            }
        }
    }
}

impl LayerCall {
    pub fn width(&self) -> Option<usize> {
        let found = self.args.iter().find_map(|(name, arg)| match (name.as_str(), arg) {
            ("out", Arg::Dim(n)) => Some(*n),
            (_, Arg::Dims(dims)) => dims.last().copied(),
            _ => None,
        });
        found.filter(|_| !self.head)
    }

    pub fn show(&self) -> String {
        let shown = self.args.iter().enumerate().filter(|(_, (name, _))| !(self.head && name == "out"));
        let args: Vec<String> = shown
            .map(|(i, (name, arg))| match (i, from_arg(arg)) {
                (0, value) => value.to_string(),
                (_, value) => format!("{name}: {value}"),
            })
            .collect();
        if args.is_empty() { self.name.clone() } else { format!("{}({})", self.name, args.join(", ")) }
    }
}

impl Encoder {
    /// The width of its rows where it follows from what is written.
    pub fn width(&self) -> Option<usize> {
        match self {
            Encoder::Features(_) | Encoder::Feature { .. } => None,
            Encoder::Concat(parts) => parts.iter().map(Encoder::width).sum(),
            Encoder::Sum(parts, _) => parts.iter().find_map(Encoder::width),
            Encoder::Embedding { width, .. } => Some(*width),
            Encoder::Apply { input, model } => model.width(input.width()),
        }
    }

    /// As a part of a sum, where `|>` needs parentheses.
    fn show_part(&self) -> String {
        match self {
            Encoder::Apply { .. } => format!("({})", self.show()),
            _ => self.show(),
        }
    }

    pub fn show(&self) -> String {
        let list = |parts: &[Encoder], by: &str| parts.iter().map(Encoder::show).collect::<Vec<_>>().join(by);
        match self {
            Encoder::Features(_) => "features".to_owned(),
            Encoder::Feature { name, .. } => name.clone(),
            Encoder::Concat(parts) => format!("concat({})", list(parts, ", ")),
            Encoder::Sum(parts, _) => parts.iter().map(Encoder::show_part).collect::<Vec<_>>().join(" + "),
            Encoder::Embedding { width, std } => format!("embedding({width}, std: {})", number_text(*std)),
            Encoder::Apply { input, model } => {
                let stages = match model {
                    Model::Chain(models) => models.iter().map(Model::show).collect::<Vec<_>>().join(" |> "),
                    model => model.show(),
                };
                match input.as_ref() {
                    Encoder::Sum(..) => format!("({}) |> {stages}", input.show()),
                    input => format!("{} |> {stages}", input.show()),
                }
            }
        }
    }
}
