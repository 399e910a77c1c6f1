//! Where rows are, and how they get from nodes to edges.

use gsl_plan::program::{BinaryOp, Broadcast, Domain, Op, UnaryOp, ValueId};

use super::{Env, Key, Low, Lower, Made};
use crate::diag::Diagnostic;

impl Lower<'_, '_, '_> {
    pub(super) fn domain(&self, x: ValueId) -> Domain {
        self.cx.builder.domain(x)
    }

    pub(super) fn edges(&self, env: &Env) -> Result<Domain, Box<Diagnostic>> {
        if let Some(pair) = &self.pair {
            return Ok(pair.scored());
        }
        match env.relation {
            Some(rel) => Ok(Domain::Edges { rel, hop: self.hop }),
            None => self.fault("an edge without its relation"),
        }
    }

    pub(super) fn source_domain(&self, env: &Env) -> Result<Domain, Box<Diagnostic>> {
        match env.relation {
            Some(rel) => {
                Ok(Domain::Nodes { ty: self.cx.facts.relations[rel as usize].src as u32, hop: self.reach })
            }
            None => self.fault("a source without its relation"),
        }
    }

    /// Rows of nodes read along edges; Global values are readable everywhere.
    pub(super) fn moved(&mut self, x: ValueId, to: Domain) -> Made {
        let from = self.domain(x);
        if from == to || from == Domain::Global {
            return Ok(x);
        }
        let key = Key::Moved(x, to);
        if let Some(Low::Value(done)) = self.memo.get(&key) {
            return Ok(*done);
        }
        let (Domain::Nodes { hop, .. }, Domain::Edges { .. }) = (from, to) else {
            return self.fault(&format!("{from} read from {to}"));
        };
        let shape = self.cx.builder.shape(x).to_vec();
        let op = if hop == self.hop { Op::Dst } else { Op::Src };
        let made = self.push(op, &[x], to, &shape)?;
        self.memo.insert(key, Low::Value(made));
        Ok(made)
    }

    /// Where two values meet: the domain of the one, or the edges between the two.
    pub(super) fn meet(&self, a: Domain, b: Domain, env: &Env) -> Result<Domain, Box<Diagnostic>> {
        match (a, b) {
            (Domain::Global, d) | (d, Domain::Global) => Ok(d),
            (a, b) if a == b => Ok(a),
            _ => self.edges(env),
        }
    }

    pub(super) fn together(
        &mut self,
        values: &[ValueId],
        env: &Env,
    ) -> Result<Vec<ValueId>, Box<Diagnostic>> {
        let mut domain = Domain::Global;
        for value in values {
            domain = self.meet(domain, self.domain(*value), env)?;
        }
        values.iter().map(|v| self.moved(*v, domain)).collect()
    }

    /// The value as one row per node or edge of `domain`, of this shape.
    pub(super) fn rows_in(&mut self, low: Low, domain: Domain, shape: &[usize]) -> Made {
        let value = match low {
            Low::Number(x) => {
                let number = self.cx.builder.constant(x as f32);
                self.push(Op::Expand(Broadcast::Scalar), &[number], Domain::Global, shape)?
            }
            Low::Value(value) => self.moved(value, domain)?,
        };
        if domain == Domain::Global || self.domain(value) != Domain::Global {
            return Ok(value);
        }
        let ones = self.ones(domain)?;
        let op = Op::Binary { op: BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Scalar };
        self.op(op, &[value, ones])
    }

    /// A 1 for every row of a domain. No leaf says so directly; a count has the sign 1.
    pub(super) fn ones(&mut self, domain: Domain) -> Made {
        let key = Key::Leaf("ones", domain);
        if let Some(Low::Value(done)) = self.memo.get(&key) {
            return Ok(*done);
        }
        let made = match domain {
            Domain::Nodes { .. } if self.pair.is_some() => self.pair_ones()?,
            Domain::Edges { rel, hop } => {
                let ty = self.cx.builder.signature.relations[rel as usize].1;
                let counts = self.push(Op::RecipCount { rel }, &[], Domain::Nodes { ty, hop }, &[])?;
                let ones = self.op(Op::Unary(UnaryOp::Sign), &[counts])?;
                self.push(Op::Dst, &[ones], domain, &[])?
            }
            Domain::Nodes { .. } => {
                // 1 + 0 · degree
                let degree = self.push(Op::Degree, &[], domain, &[])?;
                let zero = self.cx.builder.constant(0.0);
                let zeros = self.cx.builder.mul(degree, zero).map_err(|e| self.ill(e))?;
                let one = self.cx.builder.constant(1.0);
                self.cx.builder.add(zeros, one).map_err(|e| self.ill(e))?
            }
            Domain::Global => self.cx.builder.constant(1.0),
        };
        self.memo.insert(key, Low::Value(made));
        Ok(made)
    }
}
