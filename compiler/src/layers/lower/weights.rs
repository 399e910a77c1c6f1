//! Weights and modules: the parameters that a body uses, under which names and from which start.

use gsl_plan::plan::Init;
use gsl_plan::program::Op;
use gsl_plan::verify::VerifyError;

use super::super::LayerCall;
use super::super::args::{Arg, Scope, call_args, in_file_of};
use super::super::dims::Dim;
use super::super::typed::*;
use super::{Env, Key, Low, Lower, Lowered, Made, lower_module};
use crate::diag::{Diagnostic, codes};

impl Lower<'_, '_, '_> {
    pub(super) fn weight(&mut self, index: usize, env: &Env) -> Made {
        let weight = &self.body.weights[index];
        if self.pair.is_some() && weight.target == Target::Relation {
            return self.pair_weight(index);
        }
        let base = format!("{}.{}", self.call.prefix, weight.name);
        let facts = self.cx.facts;
        let (member, label, members) = match weight.target {
            Target::Relation => match env.relation {
                Some(r) => (r, self.cx.relation_label(r), facts.relations.len()),
                None => return self.fault("a weight of no relation"),
            },
            Target::Type => match env.ty {
                Some(t) => (t, self.cx.node_label(t).to_owned(), facts.nodes.len()),
                None => return self.fault("a weight of no node type"),
            },
            _ => (0, String::new(), 1),
        };
        let dims: Vec<Dim> = weight.dims.iter().map(|(d, _)| d.clone()).collect();
        let (full, shape) = (self.concrete(&dims)?, self.concrete(&weight.shape)?);
        let init = self.init(weight, &shape)?;
        let bases = match &weight.bases {
            Some((n, _)) if !matches!(weight.target, Target::Plain) => self.bases(n)?,
            _ => None,
        };
        let value = match bases {
            Some(n) => {
                let key = Key::Relation(index, member);
                if let Some(Low::Value(done)) = self.memo.get(&key) {
                    return Ok(*done);
                }
                let made = self.combine_bases(&base, n, members, member as usize, &full, init)?;
                self.memo.insert(key, Low::Value(made));
                made
            }
            None if label.is_empty() => self.cx.param(&base, &full, init),
            None => self.cx.param(&format!("{base}[{label}]"), &full, init),
        };
        self.reshape(value, &shape)
    }

    /// How many bases; none for `bases: none`.
    pub(super) fn bases(&self, count: &Constant) -> Result<Option<usize>, Box<Diagnostic>> {
        let name = match count {
            Constant::Dim(dim) => dim.to_string(),
            _ => String::new(),
        };
        if matches!(self.args.get(&name), Some(Arg::None)) {
            return Ok(None);
        }
        let n = self.number(count)?;
        if n >= 1.0 && n.fract() == 0.0 {
            return Ok(Some(n as usize));
        }
        let d = Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, format!("{n} bases"));
        Err(Box::new(d.at(self.call.span, "a whole number from 1, or `none`")))
    }

    /// W_r = Σ_b c\[r, b\] V_b. Schlichtkrull et al. 2018, eq. 3.
    pub(super) fn combine_bases(
        &mut self,
        base: &str,
        n: usize,
        members: usize,
        member: usize,
        full: &[usize],
        init: Init,
    ) -> Made {
        let coefficients = Init::Glorot { fan_in: members, fan_out: n };
        let c = self.cx.param(&format!("{base}.coefficients"), &[members, n], coefficients);
        let v = self.cx.param(&format!("{base}.bases"), &[&[n], full].concat(), init);
        let row = self.op(Op::Index { index: member }, &[c])?;
        self.op(Op::Linear { batch: 1 }, &[row, v])
    }

    pub(super) fn init(&self, weight: &WeightDef, shape: &[usize]) -> Result<Init, Box<Diagnostic>> {
        Ok(match &weight.start {
            Start::Glorot => fans(weight.lead, shape),
            Start::Constant(c) => match self.number(c)? {
                0.0 => Init::Zeros,
                1.0 => Init::Ones,
                x => Init::Constant(x as f32),
            },
            Start::Normal(c) => Init::Normal { std: self.number(c)? as f32 },
            Start::Uniform(c) => Init::Uniform { bound: self.number(c)? as f32 },
        })
    }

    pub(super) fn module(&mut self, call: &ModuleCall, env: &Env) -> Lowered {
        let x = self.value(&call.x, env)?;
        let Some(module) = self.scope.modules.get(&call.name) else {
            return self.fault(&format!("no module `{}`", call.name));
        };
        let inner = Scope { values: self.args.clone(), modules: self.scope.modules.clone() };
        let first = |found: Vec<Diagnostic>| match found.into_iter().next() {
            Some(d) => Box::new(in_file_of(d, &self.call.layer)),
            None => self.ill(VerifyError::new("a module that does not fit")),
        };
        let args = call_args(module, &call.args, call.x.span, &inner).map_err(first)?;
        let prefix = format!("{}.{}{}", self.call.prefix, call.name, call.number);
        let nested = LayerCall { layer: module.clone(), args, prefix, span: self.call.span };
        let row =
            lower_module(self.cx, &nested, &inner, x).map_err(|found| match found.into_iter().next() {
                Some(d) => Box::new(d),
                None => Box::new(Diagnostic::new(codes::LAYER_LOWERING, "a module that does not fit")),
            })?;
        Ok(Low::Value(row))
    }
}

/// Fan-in and fan-out: of a matrix behind its shared dimensions; of a vector its length and 1; of anything else the last two
/// dimensions.
fn fans(lead: Option<usize>, shape: &[usize]) -> Init {
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    match (lead, shape) {
        (Some(lead), shape) if shape.len() > lead => {
            Init::Glorot { fan_in: shape[lead], fan_out: product(&shape[lead + 1..]) }
        }
        (_, [.., a, b]) => Init::Glorot { fan_in: *a, fan_out: *b },
        (_, rest) => Init::Glorot { fan_in: product(rest), fan_out: 1 },
    }
}
