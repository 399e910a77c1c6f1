//! What only the arguments and the graph can get wrong, found before anything is built; and the numbers that follow from
//! the arguments.

use super::super::args::{Arg, Declared, in_file_of};
use super::super::cx::relations_into;
use super::super::dims::{Dim, NoWidth};
use super::super::typed::*;
use super::Lower;
use crate::diag::{Diagnostic, codes, did_you_mean_help};
use crate::syntax::ast::{BinaryOp, Span};

impl Lower<'_, '_, '_> {
    /// Everything that these arguments and this graph make wrong, before anything is built.
    pub(super) fn ready(&mut self, wanted: &[u32]) -> Result<(), Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        if self.pair.is_none() {
            self.edge_features(wanted, &mut wrong);
        }
        if wrong.is_empty() {
            self.weight_widths(&mut wrong);
        }
        for equal in &self.body.equal {
            wrong.extend(self.unequal(equal));
        }
        for (rate, span) in &self.body.rates {
            if let Ok(p) = self.number(rate)
                && !(0.0..1.0).contains(&p)
            {
                let d = Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, format!("a dropout rate of {p}"));
                let here = Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, "the rate is used here")
                    .at(*span, "this rate");
                wrong.push(
                    d.at(self.call.span, "from 0 up to but not 1")
                        .related(in_file_of(here, &self.call.layer)),
                );
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    pub(super) fn unequal(&self, equal: &Equal) -> Option<Diagnostic> {
        let (width, input) = (equal.width.width(&self.widths).ok()?, *self.widths.get("in")?);
        if width as i64 == input {
            return None;
        }
        let there = Diagnostic::new(codes::LAYER_DIMENSIONS, "the two rows are added here")
            .at(equal.input, format!("`in`, here {input}"))
            .at(equal.rows, format!("`{}`, here {width}", equal.width));
        let text =
            format!("`{}` adds its input, {input} wide, to rows of {width}", self.call.layer.decl.name);
        Some(
            Diagnostic::new(codes::LAYER_DIMENSIONS, text)
                .at(self.call.span, format!("`{}` is {width}", equal.width))
                .help(format!("let `{}` be {input}, or let what comes before give {width}", equal.width))
                .related(in_file_of(there, &self.call.layer)),
        )
    }

    pub(super) fn weight_widths(&self, wrong: &mut Vec<Diagnostic>) {
        let mut seen: Vec<&Dim> = Vec::new();
        let of_values = self.body.equations.iter().flat_map(|e| e.value.shape.iter().map(|d| (d, e.span)));
        let of_weights = self.body.weights.iter().flat_map(|w| w.dims.iter().map(|(d, s)| (d, *s)));
        for (dim, span) in of_weights.chain(of_values) {
            if let Err(why) = dim.width(&self.widths)
                && !seen.contains(&dim)
            {
                seen.push(dim);
                wrong.push(self.no_width(dim, span, &why));
            }
        }
    }

    pub(super) fn no_width(&self, dim: &Dim, span: Span, why: &NoWidth) -> Diagnostic {
        let values: Vec<String> = self
            .widths
            .iter()
            .filter(|(name, _)| dim.to_string().split(' ').any(|word| word == name.as_str()))
            .map(|(name, value)| format!("`{name}` = {value}"))
            .collect();
        let text = match why {
            NoWidth::NotWhole(x) if x.is_finite() => format!("`{dim}` comes out as {x}, not as a width"),
            NoWidth::NotWhole(_) => format!("`{dim}` divides by zero"),
            NoWidth::Unknown(name) => format!("`{dim}` needs `{name}`, which is `none` or not there"),
            NoWidth::TooLarge => format!("`{dim}` is too large"),
        };
        let there =
            Diagnostic::new(codes::LAYER_NOT_WHOLE, "the width is used here").at(span, dim.to_string());
        Diagnostic::new(codes::LAYER_NOT_WHOLE, text)
            .at(self.call.span, values.join(", "))
            .help("choose numbers that divide without a remainder")
            .related(in_file_of(there, &self.call.layer))
    }

    /// Every relation that is read has the features that edges are asked for, of one width where that is a dimension.
    pub(super) fn edge_features(&mut self, wanted: &[u32], wrong: &mut Vec<Diagnostic>) {
        let facts = self.cx.facts;
        let mut relations: Vec<u32> = wanted.iter().flat_map(|ty| relations_into(facts, *ty)).collect();
        relations.sort_unstable();
        relations.dedup();
        for (name, span) in &self.body.edge_features {
            let find = |r: u32| facts.relations[r as usize].features.iter().find(|f| f.name == *name);
            let lacking: Vec<u32> = relations.iter().copied().filter(|r| find(*r).is_none()).collect();
            if !lacking.is_empty() {
                wrong.push(self.no_feature(name, *span, &relations, &lacking));
                continue;
            }
            let mut widths: Vec<usize> = relations.iter().filter_map(|r| find(*r)).map(|f| f.width).collect();
            widths.dedup();
            match widths.as_slice() {
                [] => drop(self.widths.insert(format!("e.{name}"), 1)),
                [width] => drop(self.widths.insert(format!("e.{name}"), *width as i64)),
                _ => {
                    let text = format!("the edge feature `{name}` has several widths");
                    let list: Vec<String> = relations
                        .iter()
                        .filter_map(|r| Some(format!("`{}` {}", self.cx.relation_label(*r), find(*r)?.width)))
                        .collect();
                    wrong.push(
                        Diagnostic::new(codes::LAYER_WIDTHS, text)
                            .at(self.call.span, list.join(", "))
                            .help("give it one width in all relations"),
                    );
                }
            }
        }
    }

    pub(super) fn no_feature(&self, name: &str, span: Span, all: &[u32], lacking: &[u32]) -> Diagnostic {
        let facts = |r: &u32| &self.cx.facts.relations[*r as usize];
        let labels = |with: bool| {
            let some = all.iter().filter(|r| lacking.contains(r) != with);
            some.map(|r| self.cx.relation_label(*r)).collect::<Vec<String>>()
        };
        let known = lacking.iter().flat_map(|r| facts(r).features.iter().map(|f| f.name.as_str()));
        let (call, layer) = (self.call.span, &self.call.layer);
        lacks_edge_feature(call, (name, span), layer, [&labels(true), &labels(false)], known)
    }

    pub(super) fn number(&self, constant: &Constant) -> Result<f64, Box<Diagnostic>> {
        Ok(match constant {
            Constant::Number(x) => *x,
            Constant::Dim(dim) => dim
                .number_of(&self.widths)
                .map_err(|why| Box::new(self.no_width(dim, self.call.layer.decl.name.span, &why)))?,
            Constant::Param(name) => match self.args.get(name) {
                Some(Arg::Float(x)) => *x,
                Some(Arg::Int(n)) => *n as f64,
                Some(Arg::Dim(n)) => *n as f64,
                _ => return Err(Box::new(self.without_value(name))),
            },
            Constant::Neg(x) => -self.number(x)?,
            Constant::Function(op, x) => gsl_plan::interpret::unary(*op, self.number(x)?),
            Constant::Binary(op, a, b) => {
                let (a, b) = (self.number(a)?, self.number(b)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div => a / b,
                    _ => a.powf(b),
                }
            }
        })
    }

    pub(super) fn without_value(&self, name: &str) -> Diagnostic {
        let text = format!("`{}` computes with `{name}`, which is `none`", self.call.layer.decl.name);
        Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, text)
            .at(self.call.span, format!("`{name}` has no value"))
            .help(format!("give it one: `{name}: 0.5`"))
    }

    pub(super) fn shape(&self, value: &Typed) -> Result<Vec<usize>, Box<Diagnostic>> {
        self.concrete(&value.shape)
    }

    pub(super) fn concrete(&self, shape: &[Dim]) -> Result<Vec<usize>, Box<Diagnostic>> {
        let width = |dim: &Dim| {
            dim.width(&self.widths)
                .map_err(|why| Box::new(self.no_width(dim, self.call.layer.decl.name.span, &why)))
        };
        shape.iter().map(width).collect()
    }
}

/// Relations with and without a feature that the layer of a call reads; `known` are the features that the latter have.
pub fn lacks_edge_feature<'a>(
    call: Span,
    (name, read): (&str, Span),
    layer: &Declared,
    [with, without]: [&[String]; 2],
    known: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    let quoted = |list: &[String]| list.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let there = Diagnostic::new(codes::LAYER_NO_EDGE_FEATURE, "it is read here").at(read, "on every edge");
    let help = did_you_mean_help(name, known).unwrap_or_else(|| match with {
        [] => format!("declare `feature {name}` in the edges' braces"),
        [one] => format!("only `{one}` has it: declare `feature {name}` for the others too"),
        some => format!("only {} have it: declare `feature {name}` for the others too", quoted(some)),
    });
    Diagnostic::new(codes::LAYER_NO_EDGE_FEATURE, format!("no edge feature `{name}` on {}", quoted(without)))
        .at(call, format!("reads `e.{name}`"))
        .help(help)
        .related(in_file_of(there, layer))
}
