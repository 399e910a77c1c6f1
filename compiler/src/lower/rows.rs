//! Models without a graph, on rows of one domain: encoders' modules, decoders, what stands between layers.

use std::collections::BTreeMap;

use gsl_plan::program::{BinaryOp, Domain, ValueId};

use super::{Lowering, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{self, Arg, LowerCx, lower_layer, lower_module};
use crate::sema::library::LayerId;
use crate::sema::model::{LayerCall, Model};
use crate::syntax::ast::{LayerKind, Span};

/// Names of parameters: `encode.package.linear`, the second one `encode.package.linear2`.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
    /// The only call needs no name of its own.
    bare: bool,
    seen: BTreeMap<String, usize>,
}

impl Names {
    pub fn new(prefix: impl Into<String>) -> Self {
        Names { prefix: prefix.into(), bare: false, seen: BTreeMap::new() }
    }

    /// For a model with one call, whose parameters get the prefix itself.
    pub fn bare(prefix: impl Into<String>) -> Self {
        Names { bare: true, ..Names::new(prefix) }
    }

    pub fn next(&mut self, name: &str) -> String {
        if self.bare {
            return self.prefix.clone();
        }
        let name = name.to_lowercase();
        let count = self.seen.entry(name.clone()).or_insert(0);
        *count += 1;
        match *count {
            1 => format!("{}.{name}", self.prefix),
            n => format!("{}.{name}{n}", self.prefix),
        }
    }
}

/// How many calls of a model have parameters of their own.
pub fn calls(model: &Model) -> usize {
    match model {
        Model::Call(_) => 1,
        Model::Activation(..) | Model::Dropout(_) => 0,
        Model::Chain(models) => models.iter().map(calls).sum(),
        Model::Residual(inner, _) | Model::Jump { of: inner, .. } => calls(inner),
    }
}

impl<'a> Lowering<'a> {
    /// A model on rows: D×\[k\] → D×\[n\].
    pub fn rows_model(
        &self,
        cx: &mut LowerCx<'a>,
        model: &Model,
        x: ValueId,
        names: &mut Names,
        out: Option<usize>,
    ) -> Result<ValueId, Wrong> {
        match model {
            Model::Call(call) => self.module(cx, call, x, names.next(&call.name), out),
            Model::Activation(activation, name) => match activation.op() {
                Some(op) => {
                    cx.builder.at(name.clone(), None);
                    cx.builder.unary(op, x).map_err(fault(Span::default()))
                }
                None => Ok(x),
            },
            Model::Dropout(p) => {
                cx.builder.at("dropout", None);
                cx.dropout(x, *p as f32).map_err(fault(Span::default()))
            }
            Model::Chain(models) => models.iter().try_fold(x, |x, m| self.rows_model(cx, m, x, names, out)),
            Model::Residual(inner, span) => {
                let y = self.rows_model(cx, inner, x, names, out)?;
                add(cx, x, y, *span)
            }
            Model::Jump { of, .. } => self.rows_model(cx, of, x, names, out),
        }
    }

    /// A call of a module, or of a layer that looks at no neighbours; `out` is the number of scores where the call leaves it open.
    pub fn module(
        &self,
        cx: &mut LowerCx<'a>,
        call: &LayerCall,
        x: ValueId,
        prefix: String,
        out: Option<usize>,
    ) -> Result<ValueId, Wrong> {
        let lowered = self.layer_call(call, prefix, out);
        let scope = self.scope(call.id);
        let Domain::Nodes { ty, hop } = cx.builder.domain(x) else {
            return lower_module(cx, &lowered, &scope, x);
        };
        if lowered.layer.decl.kind == LayerKind::Module {
            return lower_module(cx, &lowered, &scope, x);
        }
        let rows = lower_layer(cx, &lowered, &scope, &layers::Rows::from([(ty, x)]), hop, &[ty])?;
        Ok(rows.get(&ty).copied().unwrap_or(x))
    }

    /// The call as the layers want it.
    pub fn layer_call(&self, call: &LayerCall, prefix: String, out: Option<usize>) -> layers::LayerCall<'a> {
        let mut args = call.args.clone();
        if let (true, Some(out)) = (call.head, out) {
            for (_, arg) in args.iter_mut().filter(|(name, _)| name == "out") {
                *arg = Arg::Dim(out);
            }
        }
        layers::LayerCall { layer: self.checked.library.declared(call.id), args, prefix, span: call.span }
    }

    /// The names that the body of a layer can use: those of its own file.
    pub fn scope(&self, id: LayerId) -> layers::Scope<'a> {
        let library = &self.checked.library;
        library.scope(library.module_of(id), &self.checked.env)
    }
}

/// x + y of one width.
pub fn add(cx: &mut LowerCx, x: ValueId, y: ValueId, span: Span) -> Result<ValueId, Wrong> {
    let (a, b) = (cx.builder.shape(x).to_vec(), cx.builder.shape(y).to_vec());
    if a != b {
        let message = format!("rows of {} and rows of {} cannot be added", numbers(&a), numbers(&b));
        let help = "bring both to one width with `linear`";
        return Err(vec![Diagnostic::new(codes::MODEL_WIDTHS, message).at(span, "two widths").help(help)]);
    }
    cx.builder.binary(BinaryOp::Add, x, y).map_err(fault(span))
}

fn numbers(shape: &[usize]) -> String {
    match shape.iter().product::<usize>() {
        1 => "one number".to_owned(),
        n => format!("{n} numbers"),
    }
}
