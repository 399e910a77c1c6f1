//! Products under a sum over edges: what does not vary over the edges that are summed leaves the sum.
//!
//! Decided here: how a product is taken apart and put together again, and which factors may leave. Not decided here: when
//! (see `hoist`).

use super::rewrite::compose;
use gsl_plan::build::{Builder, Built};
use gsl_plan::program::*;
use gsl_plan::verify::{VerifyError, fits};

/// One factor of a product, and how its row is read to match the product's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    pub value: ValueId,
    /// Mul, or Div for a divisor.
    pub op: BinaryOp,
    pub by: Broadcast,
}

/// The factors that leave a sum, and those that stay.
type Parted = (Vec<Factor>, Vec<Factor>);

/// Factors out of reductions; remembers which values are surely finite.
#[derive(Debug, Default)]
pub(super) struct Factored {
    finite: Vec<bool>,
}

impl Factored {
    /// `Reduce(end(x) · y)` → `x · Reduce(y)`, for every factor that is Global or read from the end `end`.
    pub fn out_of_reduce(
        &mut self,
        b: &mut Builder,
        value: &Value,
        y: ValueId,
        end: Op,
    ) -> Result<Option<ValueId>, VerifyError> {
        let Some((outside, inside)) = self.split(b, y, &end)? else { return Ok(None) };
        let Some((rest, by)) = rebuild(b, &inside)? else { return Ok(None) };
        let shape = b.shape(rest).to_vec();
        let reduced = b.push(value.op.clone(), &[rest], value.domain, &shape)?;
        let product = apply(b, (reduced, by), &outside, value)?;
        Ok(Some(product))
    }

    /// The factors of `y` that may leave and those that stay; none if nothing would be gained.
    fn split(&mut self, b: &mut Builder, y: ValueId, end: &Op) -> Result<Option<Parted>, VerifyError> {
        let mut factors = vec![];
        flatten(b, y, BinaryOp::Mul, Broadcast::Full, &mut factors);
        let (mut outside, mut inside) = (vec![], vec![]);
        for factor in factors {
            match self.leaves(b, factor, end)? {
                Some(out) => outside.push(out),
                None => match self.through_dropout(b, factor, end)? {
                    Some((out, kept)) => {
                        outside.extend(out);
                        inside.push(kept);
                    }
                    None => inside.push(factor),
                },
            }
        }
        let stays = inside.iter().any(|f| f.op == BinaryOp::Mul);
        Ok((!outside.is_empty() && stays).then_some((outside, inside)))
    }

    /// The factor below its end of the edge, if it is there and finite even where no edge is.
    fn leaves(&mut self, b: &Builder, factor: Factor, end: &Op) -> Result<Option<Factor>, VerifyError> {
        let value = b.value(factor.value);
        let below = match &value.op {
            _ if value.domain == Domain::Global => factor.value,
            op if op == end => value.args[0],
            _ => return Ok(None),
        };
        Ok(self.is_finite(b, below).then_some(Factor { value: below, ..factor }))
    }

    /// dropout(x / s) = dropout(x) / s: the mask is the same while the row is.
    fn through_dropout(
        &mut self,
        b: &mut Builder,
        factor: Factor,
        end: &Op,
    ) -> Result<Option<(Vec<Factor>, Factor)>, VerifyError> {
        let value = b.value(factor.value).clone();
        let Op::Dropout { .. } = value.op else { return Ok(None) };
        let Some((outside, inside)) = self.split(b, value.args[0], end)? else { return Ok(None) };
        if inside.iter().all(|f| f.by != Broadcast::Full || f.op != BinaryOp::Mul) {
            return Ok(None);
        }
        let Some((rest, Broadcast::Full)) = rebuild(b, &inside)? else { return Ok(None) };
        let kept = b.op(value.op, &[rest])?;
        let outside: Option<Vec<Factor>> = outside
            .iter()
            .map(|f| Some(Factor { by: compose(f.by, factor.by)?, op: times(factor.op, f.op), ..*f }))
            .collect();
        Ok(outside.map(|out| (out, Factor { value: kept, ..factor })))
    }

    /// Whether rows that no edge reads are finite too: nothing on the way divides by what may be zero.
    fn is_finite(&mut self, b: &Builder, id: ValueId) -> bool {
        for i in self.finite.len()..=id.index() {
            let value = &b.program.values[i];
            let operands = value.args.iter().all(|a| self.finite[a.index()]);
            self.finite.push(operands && !may_overflow(b, value));
        }
        self.finite[id.index()]
    }
}

fn may_overflow(b: &Builder, value: &Value) -> bool {
    match value.op {
        Op::Unary(UnaryOp::Recip | UnaryOp::Rsqrt | UnaryOp::Log) => !is_away_from_zero(b, value.args[0]),
        Op::Binary { op: BinaryOp::Div, .. } => !is_away_from_zero(b, value.args[1]),
        _ => false,
    }
}

/// A constant that is not zero, x + a positive constant, or x + [x = 0]; through shapes and roots.
fn is_away_from_zero(b: &Builder, id: ValueId) -> bool {
    let value = b.value(id);
    match value.op {
        Op::Const(c) => c != 0.0,
        Op::Reshape | Op::Expand(_) | Op::Prefix | Op::Unary(UnaryOp::Sqrt) => {
            is_away_from_zero(b, value.args[0])
        }
        Op::Binary { op: BinaryOp::Add | BinaryOp::Max, .. } => {
            value.args.iter().any(|a| match b.value(*a).op {
                Op::Const(c) => c > 0.0,
                Op::Binary { op, .. } => op == BinaryOp::Eq,
                _ => false,
            })
        }
        _ => false,
    }
}

/// x / (y · z) = x / y / z, and x / (y / z) = x / y · z.
fn times(a: BinaryOp, b: BinaryOp) -> BinaryOp {
    if a == b { BinaryOp::Mul } else { BinaryOp::Div }
}

/// Takes a product apart; a factor whose broadcasts do not compose stays whole.
pub(super) fn flatten(b: &Builder, y: ValueId, op: BinaryOp, by: Broadcast, factors: &mut Vec<Factor>) {
    let value = b.value(y);
    match value.op {
        Op::Reshape => return flatten(b, value.args[0], op, by, factors),
        Op::Binary { op: inner @ (BinaryOp::Mul | BinaryOp::Div), left, right }
            if value.domain != Domain::Global =>
        {
            if let (Some(l), Some(r)) = (compose(left, by), compose(right, by)) {
                flatten(b, value.args[0], op, l, factors);
                flatten(b, value.args[1], times(op, inner), r, factors);
                return;
            }
        }
        _ => {}
    }
    factors.push(Factor { value: y, op, by });
}

/// The product of the factors in the narrowest row that holds it, and how that row is read.
fn rebuild(b: &mut Builder, factors: &[Factor]) -> Result<Option<(ValueId, Broadcast)>, VerifyError> {
    let by = factors.iter().map(|f| f.by).find(|f| *f == Broadcast::Full);
    let by = by.or_else(|| factors.iter().map(|f| f.by).find(|f| *f != Broadcast::Scalar));
    let by = by.unwrap_or(Broadcast::Scalar);
    let first = factors.iter().position(|f| f.by == by && f.op == BinaryOp::Mul);
    let narrow = by != Broadcast::Full;
    if narrow && factors.iter().any(|f| f.by != by && f.by != Broadcast::Scalar) {
        return Ok(None);
    }
    let Some(first) = first else { return Ok(None) };
    let mut product = factors[first].value;
    for (_, factor) in factors.iter().enumerate().filter(|(i, _)| *i != first) {
        let right = if narrow && factor.by == by { Broadcast::Full } else { factor.by };
        product =
            b.op(Op::Binary { op: factor.op, left: Broadcast::Full, right }, &[product, factor.value])?;
    }
    Ok(Some((product, by)))
}

/// Applies the factors that left to the reduced rest, on the nodes.
fn apply(b: &mut Builder, rest: (ValueId, Broadcast), outside: &[Factor], value: &Value) -> Built {
    let (mut x, mut by) = rest;
    for factor in outside {
        let divisor = factor.op == BinaryOp::Div;
        let operand = if divisor { without_zeros(b, factor.value)? } else { factor.value };
        if by != Broadcast::Full
            && by != factor.by
            && ![by, factor.by].contains(&Broadcast::Scalar)
            && factor.by != Broadcast::Full
        {
            x = b.push(Op::Expand(by), &[x], value.domain, &value.shape)?;
            by = Broadcast::Full;
        }
        let (left, right, result) = match (by, factor.by) {
            (Broadcast::Full, f) => (Broadcast::Full, f, Broadcast::Full),
            (r, Broadcast::Full) => (r, Broadcast::Full, Broadcast::Full),
            (r, f) if r == f => (Broadcast::Full, Broadcast::Full, r),
            (r, Broadcast::Scalar) => (Broadcast::Full, Broadcast::Scalar, r),
            (_, f) => (Broadcast::Scalar, Broadcast::Full, f),
        };
        x = b.op(Op::Binary { op: factor.op, left, right }, &[x, operand])?;
        by = result;
    }
    if by == Broadcast::Full && b.value(x).width() == value.width() {
        return b.reshape(x, &value.shape);
    }
    debug_assert!(fits(b.value(x).width(), by, value.width()));
    b.push(Op::Expand(by), &[x], value.domain, &value.shape)
}

/// s + [s = 0]: a destination without edges divides 0 by 1.
fn without_zeros(b: &mut Builder, s: ValueId) -> Built {
    if matches!(b.value(s).op, Op::Const(_)) {
        return Ok(s);
    }
    let zero = b.constant(0.0);
    let is_zero =
        b.op(Op::Binary { op: BinaryOp::Eq, left: Broadcast::Full, right: Broadcast::Scalar }, &[s, zero])?;
    b.op(Op::Binary { op: BinaryOp::Add, left: Broadcast::Full, right: Broadcast::Full }, &[s, is_zero])
}
