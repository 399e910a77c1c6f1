//! Multiply first or aggregate first: whichever is cheaper for these widths and these row counts.
//!
//! ```text
//! %3 : nodes(0)@1 × [4] = Linear(%1, %2)            %3 : edges(0)@0 × [8] = Src(%1)
//! %4 : edges(0)@0 × [4] = Src(%3)              ↔    %4 : nodes(0)@0 × [8] = Reduce Mean(%3)
//! %5 : nodes(0)@0 × [4] = Reduce Mean(%4)           %5 : nodes(0)@0 × [4] = Linear(%4, %2)
//!
//! Linear(a, W) + Linear(b, W)                  →    Linear(a + b, W)
//! ```
//!
//! The same with a scalar per edge or per source in between, with `LinearT`, and along the edges' other direction.
//! Multiplying first costs a product per source node and reads rows of the product's width on every edge; aggregating
//! first reads rows of the operand's width on every edge and costs a product per destination. Runs after hoisting, which
//! brings everything to the left form, and once more after the derivative, whose products meet the same choice.

use super::costs::{Costs, FLOPS_PER_BYTE};
use super::factor::{Factor, flatten};
use super::rewrite::{Rewriter, rewrite, sweep};
use gsl_plan::build::{Builder, Built};
use gsl_plan::program::*;
use gsl_plan::verify::{VerifyError, matrix};
use std::collections::HashMap;

/// What the choice depends on besides the program.
pub(super) struct Facts<'a> {
    pub costs: &'a Costs,
    /// A derivative of this program will be taken.
    pub train: bool,
    pub trainable: &'a [bool],
}

pub(super) fn run(program: &Program, signature: &Signature, facts: &Facts) -> Result<Program, VerifyError> {
    let mut order = Order { facts, uses: HashMap::new(), moves: vec![] };
    let mut next = 0;
    let after = rewrite(program, signature, |rw, value, args| {
        let uses = rw.uses[next];
        next += 1;
        let id = match order.choose(rw, value, args)? {
            Some(id) => id,
            None => rw.keep(value, args)?,
        };
        order.uses.insert(id, uses);
        Ok(Some(id))
    })?;
    Ok(sweep(after))
}

struct Order<'a> {
    facts: &'a Facts<'a>,
    /// Users of each new value, as far as known.
    uses: HashMap<ValueId, u32>,
    /// Whether a gradient will flow into each new value.
    moves: Vec<bool>,
}

/// `x` along the edges, scaled by scalars per edge and per node, and what is done to it at the far end.
struct Chain {
    /// Rows at the end that is read.
    x: ValueId,
    /// Scalars on the edges.
    edge: Vec<Factor>,
    /// Scalars on the nodes that are read.
    node: Vec<Factor>,
    edges: Domain,
    lift: Op,
}

impl Order<'_> {
    fn choose(
        &mut self,
        rw: &mut Rewriter,
        value: &Value,
        args: &[ValueId],
    ) -> Result<Option<ValueId>, VerifyError> {
        let b = &mut rw.out;
        match &value.op {
            Op::Reduce(ReduceOp::Sum | ReduceOp::Mean) | Op::ReduceSrc => {
                self.aggregate_first(b, value, args[0])
            }
            Op::Linear { .. } | Op::LinearT { .. } => self.multiply_first(b, value, args),
            Op::Binary { op: BinaryOp::Add, left: Broadcast::Full, right: Broadcast::Full } => {
                self.one_product(b, args)
            }
            _ => Ok(None),
        }
    }

    /// Reduce(w · lift(c · Linear(x, W))) → Linear(Reduce(w · lift(c · x)), W), if cheaper.
    fn aggregate_first(
        &mut self,
        b: &mut Builder,
        value: &Value,
        y: ValueId,
    ) -> Result<Option<ValueId>, VerifyError> {
        let Some(mut chain) = chain(b, y, lift_of(&value.op)) else { return Ok(None) };
        let Some((product, node)) = scaled_product(b, chain.x) else { return Ok(None) };
        let Value { op, args, .. } = b.value(product).clone();
        let share = self.uses.get(&product).copied().unwrap_or(1).max(1);
        let weigh = self.weigh(b, &op, &args, chain.edges, value.domain);
        if weigh.multiply_first(f64::from(share)) <= weigh.aggregate_first() {
            return Ok(None);
        }
        chain.x = args[0];
        chain.node = node;
        let reduced = chain.reduce(b, &value.op, value.domain)?;
        let shape = b.shape(reduced).to_vec();
        self.uses.insert(reduced, 1);
        debug_assert_eq!(shape, b.shape(args[0]));
        b.op(op, &[reduced, args[1]]).map(Some)
    }

    /// Linear(Reduce(w · lift(x)), W) → Reduce(w · lift(Linear(x, W))), if cheaper.
    fn multiply_first(
        &mut self,
        b: &mut Builder,
        value: &Value,
        args: &[ValueId],
    ) -> Result<Option<ValueId>, VerifyError> {
        let reduction = b.value(args[0]).clone();
        let single = self.uses.get(&args[0]) == Some(&1);
        if !single || !matches!(reduction.op, Op::Reduce(ReduceOp::Sum | ReduceOp::Mean) | Op::ReduceSrc) {
            return Ok(None);
        }
        let Some(mut chain) = chain(b, reduction.args[0], lift_of(&reduction.op)) else { return Ok(None) };
        let weigh = self.weigh(b, &value.op, &[chain.x, args[1]], chain.edges, reduction.domain);
        if weigh.aggregate_first() <= weigh.multiply_first(1.0) {
            return Ok(None);
        }
        chain.x = b.op(value.op.clone(), &[chain.x, args[1]])?;
        chain.reduce(b, &reduction.op, reduction.domain).map(Some)
    }

    /// a W + b W = (a + b) W, where nobody else needs the products.
    fn one_product(&mut self, b: &mut Builder, args: &[ValueId]) -> Result<Option<ValueId>, VerifyError> {
        let (p, q) = (b.value(args[0]).clone(), b.value(args[1]).clone());
        let linear = matches!(p.op, Op::Linear { .. } | Op::LinearT { .. });
        let same = linear && p.op == q.op && p.args[1] == q.args[1] && p.domain == q.domain;
        let single = args.iter().all(|a| self.uses.get(a) == Some(&1)) && args[0] != args[1];
        if !same || !single || b.domain(p.args[0]) != b.domain(q.args[0]) {
            return Ok(None);
        }
        let sum = full(b, BinaryOp::Add, p.args[0], q.args[0])?;
        b.op(p.op, &[sum, p.args[1]]).map(Some)
    }

    fn weigh(&mut self, b: &Builder, op: &Op, args: &[ValueId], edges: Domain, result: Domain) -> Weigh {
        let costs = self.facts.costs;
        let (batch, transposed) = match op {
            Op::LinearT { batch } => (*batch, true),
            Op::Linear { batch } => (*batch, false),
            _ => (1, false),
        };
        let (batch, k, n) = matrix(b.value(args[1]), batch).unwrap_or((1, 1, 1));
        let (wide_in, wide_out) = if transposed { (n, k) } else { (k, n) };
        Weigh {
            lifted: costs.rows(b.domain(args[0])),
            edges: costs.rows(edges),
            reduced: costs.rows(result),
            flops: 2.0 * (batch * k * n) as f64,
            wide_in: (batch * wide_in) as f64,
            wide_out: (batch * wide_out) as f64,
            train: self.facts.train,
            moves: self.facts.train && self.moves(b, args[0]),
        }
    }

    /// Whether a trainable parameter is upstream of the value.
    fn moves(&mut self, b: &Builder, id: ValueId) -> bool {
        for i in self.moves.len()..=id.index() {
            let value = &b.program.values[i];
            let moves = match value.op {
                Op::Param { param } | Op::Embedding { param } => {
                    self.facts.trainable.get(param as usize).copied().unwrap_or(false)
                }
                Op::StopGradient => false,
                _ => value.args.iter().any(|a| self.moves[a.index()]),
            };
            self.moves.push(moves);
        }
        self.moves[id.index()]
    }
}

/// Row counts and widths of one choice; costs in bytes.
struct Weigh {
    lifted: f64,
    edges: f64,
    reduced: f64,
    flops: f64,
    wide_in: f64,
    wide_out: f64,
    train: bool,
    moves: bool,
}

impl Weigh {
    fn product(&self, rows: f64) -> f64 {
        let passes = if self.train { 2.0 + f64::from(u8::from(self.moves)) } else { 1.0 };
        passes * rows * (self.flops / FLOPS_PER_BYTE + 4.0 * (self.wide_in + self.wide_out))
    }

    /// The gradient of the product comes back over the edges whether or not it goes further.
    fn multiply_first(&self, share: f64) -> f64 {
        let passes = if self.train { 2.0 } else { 1.0 };
        self.product(self.lifted) / share + passes * 4.0 * (self.edges + self.reduced) * self.wide_out
    }

    fn aggregate_first(&self) -> f64 {
        let passes = if self.moves { 2.0 } else { 1.0 };
        self.product(self.reduced) + passes * 4.0 * (self.edges + self.reduced) * self.wide_in
    }
}

impl Chain {
    fn reduce(&self, b: &mut Builder, reduction: &Op, result: Domain) -> Built {
        let mut x = self.x;
        let shape = b.shape(x).to_vec();
        for f in &self.node {
            x = scale(b, f.op, x, f.value)?;
        }
        let mut e = b.push(self.lift.clone(), &[x], self.edges, &shape)?;
        for f in &self.edge {
            e = scale(b, f.op, e, f.value)?;
        }
        b.push(reduction.clone(), &[e], result, &shape)
    }
}

/// The end that a reduction does not sum over, so that what is read there moves along the edges.
fn lift_of(reduction: &Op) -> Op {
    if *reduction == Op::ReduceSrc { Op::Dst } else { Op::Src }
}

/// `y` as scalars per edge times rows read at one end.
fn chain(b: &Builder, y: ValueId, lift: Op) -> Option<Chain> {
    let (row, edge) = scaled(b, y, |op| *op == lift)?;
    let x = b.value(row).args[0];
    Some(Chain { x, edge, node: vec![], edges: b.domain(y), lift })
}

/// `z` as scalars per node times a product with a matrix.
fn scaled_product(b: &Builder, z: ValueId) -> Option<(ValueId, Vec<Factor>)> {
    scaled(b, z, |op| matches!(op, Op::Linear { .. } | Op::LinearT { .. }))
}

/// `y` as scalars times one row that `wanted` picks.
fn scaled(b: &Builder, y: ValueId, wanted: impl Fn(&Op) -> bool) -> Option<(ValueId, Vec<Factor>)> {
    let mut factors = vec![];
    flatten(b, y, BinaryOp::Mul, Broadcast::Full, &mut factors);
    let row = factors
        .iter()
        .position(|f| f.by == Broadcast::Full && f.op == BinaryOp::Mul && wanted(&b.value(f.value).op))?;
    let row = factors.remove(row).value;
    let scalars = factors.iter().all(|f| f.by == Broadcast::Scalar);
    scalars.then_some((row, factors))
}

fn scale(b: &mut Builder, op: BinaryOp, x: ValueId, scalar: ValueId) -> Built {
    b.op(Op::Binary { op, left: Broadcast::Full, right: Broadcast::Scalar }, &[x, scalar])
}

fn full(b: &mut Builder, op: BinaryOp, x: ValueId, y: ValueId) -> Built {
    b.op(Op::Binary { op, left: Broadcast::Full, right: Broadcast::Full }, &[x, y])
}
