//! Encoders: features and embedding tables to the rows that enter the first layer.

use gsl_plan::plan::Init;
use gsl_plan::program::{Domain, Op, ValueId};

use super::rows::{Names, add};
use super::{Lowering, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Rows};
use crate::sema::model::Encoder;
use crate::syntax::ast::Span;

impl<'a> Lowering<'a> {
    /// Rows of the types needed `reach` hops out, computed in the domain of `hop`.
    pub fn encode_at(&self, cx: &mut LowerCx<'a>, reach: u32, hop: u32) -> Result<Rows, Wrong> {
        let mut rows = Rows::new();
        for ty in &self.types[reach as usize] {
            rows.insert(*ty, self.encode_type(cx, *ty, hop)?);
        }
        Ok(rows)
    }

    /// Rows of one type.
    pub fn encode_type(&self, cx: &mut LowerCx<'a>, ty: u32, hop: u32) -> Result<ValueId, Wrong> {
        let node = &self.facts.nodes[ty as usize];
        let checked = &self.experiment.encoders[ty as usize];
        let names = Names::new(format!("encode.{}", node.name));
        let mut encode = Encode { lowering: self, cx, ty, hop, span: checked.span, names };
        encode.encoder(&checked.encoder)
    }
}

struct Encode<'l, 'a, 'c> {
    lowering: &'l Lowering<'a>,
    cx: &'c mut LowerCx<'a>,
    ty: u32,
    hop: u32,
    span: Span,
    names: Names,
}

impl Encode<'_, '_, '_> {
    fn encoder(&mut self, encoder: &Encoder) -> Result<ValueId, Wrong> {
        match encoder {
            Encoder::Feature { name, .. } => self.feature(name),
            Encoder::Features(_) => {
                let node = &self.lowering.graph.plan.nodes[self.ty as usize];
                let parts = node.features.iter().map(|f| self.feature(&f.name));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                self.concat(&parts)
            }
            Encoder::Concat(parts) => {
                let parts = parts.iter().map(|p| self.encoder(p)).collect::<Result<Vec<_>, _>>()?;
                self.concat(&parts)
            }
            Encoder::Sum(parts, span) => {
                let parts = parts.iter().map(|p| self.encoder(p)).collect::<Result<Vec<_>, _>>()?;
                let mut sum = parts[0];
                for part in &parts[1..] {
                    sum = add(self.cx, sum, *part, *span)?;
                }
                Ok(sum)
            }
            Encoder::Embedding { width, std } => {
                let name = self.names.next("embedding");
                let init = Init::Normal { std: *std as f32 };
                self.cx.builder.at(name.clone(), None);
                self.cx.embedding(&name, self.ty, self.hop, *width, init).map_err(fault(self.span))
            }
            Encoder::Apply { input, model } => {
                let x = self.encoder(input)?;
                self.lowering.rows_model(self.cx, model, x, &mut self.names, None)
            }
        }
    }

    fn concat(&mut self, parts: &[ValueId]) -> Result<ValueId, Wrong> {
        match parts {
            [one] => Ok(*one),
            _ => self.cx.builder.op(Op::Concat, parts).map_err(fault(self.span)),
        }
    }

    fn feature(&mut self, name: &str) -> Result<ValueId, Wrong> {
        let node = &self.lowering.facts.nodes[self.ty as usize];
        let found = node.features.iter().enumerate().find(|(_, f)| f.name == name);
        let Some((index, facts)) = found.filter(|(_, f)| f.width > 0) else {
            let message = format!("the feature `{name}` of `{}` has no values in the built graph", node.name);
            let help = "all its rows are missing, or the graph was built from another file";
            let diagnostic = Diagnostic::new(codes::EXPERIMENT_DATA, message).at(self.span, "reads it");
            return Err(vec![diagnostic.help(help)]);
        };
        let domain = Domain::Nodes { ty: self.ty, hop: self.hop };
        self.cx.builder.at(format!("{}.{name}", node.name), None);
        let op = Op::Feature { feature: index as u32 };
        self.cx.builder.push(op, &[], domain, &[facts.width]).map_err(fault(self.span))
    }
}
