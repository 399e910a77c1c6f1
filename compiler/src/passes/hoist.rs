//! What depends on one end of an edge alone is computed once per node, not once per edge.
//!
//! ```text
//! %3 : edges(0)@0 × [8] = Src(%1)                     %3 : nodes(0)@1 × [4] = Linear(%1, %2)
//! %4 : edges(0)@0 × [4] = Linear(%3, %2)         →    %4 : edges(0)@0 × [4] = Src(%3)
//!
//! %5 : edges(0)@0 × [4] = Linear(Concat(Src(%1), Dst(%2)), W)
//!     →  Src(Linear(%1, W₁)) + Dst(Linear(%2, W₂))    with W = [W₁; W₂]
//!
//! %6 : nodes(0)@0 × [4] = Reduce Sum(Mul(Dst(%1), %5))  →  Mul(%1, Reduce Sum(%5))
//! ```
//!
//! Runs before the derivative, so that the derivative is hoisted too: the gradient of a product per node is a product
//! per node. Factoring divides by a sum over edges that may be empty, hence `x / s` leaves the reduction as
//! `x / (s + [s = 0])`, and a factor that may be infinite stays inside.

use super::factor::Factored;
use super::rewrite::{Rewriter, is_rowwise, rewrite, sweep};
use gsl_plan::build::Builder;
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;

type Hoisted = Result<Option<ValueId>, VerifyError>;

pub(super) fn run(program: &Program, signature: &Signature) -> Result<Program, VerifyError> {
    let mut factored = Factored::default();
    let after = rewrite(program, signature, |rw, value, args| hoist(rw, &mut factored, value, args))?;
    Ok(sweep(after))
}

fn hoist(rw: &mut Rewriter, factored: &mut Factored, value: &Value, args: &[ValueId]) -> Hoisted {
    let b = &mut rw.out;
    match (&value.op, value.domain) {
        (op, Domain::Edges { .. }) if is_rowwise(op) => edge_op(b, value, args),
        (Op::Reduce(ReduceOp::Sum | ReduceOp::Mean), _) => factored.out_of_reduce(b, value, args[0], Op::Dst),
        (Op::ReduceSrc, _) => factored.out_of_reduce(b, value, args[0], Op::Src),
        _ => Ok(None),
    }
}

fn edge_op(b: &mut Builder, value: &Value, args: &[ValueId]) -> Hoisted {
    if let Some(lifted) = lift(b, &value.op, args, value.domain, &value.shape)? {
        return Ok(Some(lifted));
    }
    match &value.op {
        Op::Linear { batch: 1 } => split_linear(b, value, args),
        Op::SumInner { inner } => split_sum(b, value, args[0], *inner),
        Op::Unary(_) | Op::Binary { .. } => distribute(b, value, args),
        _ => Ok(None),
    }
}

/// `op` over the nodes at one end, if all operands come from there.
fn lift(b: &mut Builder, op: &Op, args: &[ValueId], edges: Domain, shape: &[usize]) -> Hoisted {
    if matches!(op, Op::Dropout { .. }) {
        return Ok(None);
    }
    let mut end: Option<Op> = None;
    let mut operands = Vec::with_capacity(args.len());
    for a in args {
        let value = b.value(*a);
        match &value.op {
            _ if value.domain == Domain::Global => operands.push(*a),
            side @ (Op::Src | Op::Dst) if end.as_ref().is_none_or(|e| e == side) => {
                end = Some(side.clone());
                operands.push(value.args[0]);
            }
            _ => return Ok(None),
        }
    }
    let Some(end) = end else { return Ok(None) };
    let nodes = operands.iter().map(|o| b.domain(*o)).find(|d| *d != Domain::Global);
    let below = b.push(op.clone(), &operands, nodes.unwrap_or(Domain::Global), shape)?;
    b.push(end, &[below], edges, shape).map(Some)
}

/// `op` over edges, at one end if possible.
fn edge_value(
    b: &mut Builder,
    op: Op,
    args: &[ValueId],
    edges: Domain,
    shape: &[usize],
) -> Result<ValueId, VerifyError> {
    match lift(b, &op, args, edges, shape)? {
        Some(id) => Ok(id),
        None => b.push(op, args, edges, shape),
    }
}

/// The parts of a concatenation on edges, if there is something to gain from taking it apart.
fn mixed_parts(b: &Builder, x: ValueId) -> Option<Vec<ValueId>> {
    let value = b.value(x);
    match value.op {
        Op::Reshape => mixed_parts(b, value.args[0]),
        Op::Concat if matches!(value.domain, Domain::Edges { .. }) => {
            let gains = value.args.iter().any(|a| {
                let part = b.value(*a);
                matches!(part.op, Op::Src | Op::Dst)
            });
            gains.then(|| value.args.clone())
        }
        _ => None,
    }
}

/// [a ‖ b] W = a W₁ + b W₂.
fn split_linear(b: &mut Builder, value: &Value, args: &[ValueId]) -> Hoisted {
    let Some(parts) = mixed_parts(b, args[0]) else { return Ok(None) };
    let w = args[1];
    let weight = b.value(w).clone();
    let n: usize = weight.shape[1..].iter().product();
    let (mut row, mut sum) = (0, None);
    for part in parts {
        let k = b.value(part).width();
        let shape = [&[k], &weight.shape[1..]].concat();
        let rows = b.push(Op::Slice { start: row * n }, &[w], Domain::Global, &shape)?;
        row += k;
        let domain = b.domain(part);
        let term = match domain {
            Domain::Global => b.push(Op::Linear { batch: 1 }, &[part, rows], domain, &value.shape)?,
            _ => edge_value(b, Op::Linear { batch: 1 }, &[part, rows], domain, &value.shape)?,
        };
        sum = Some(match sum {
            None => term,
            Some(sum) => add(b, sum, term, value.domain)?,
        });
    }
    Ok(sum)
}

fn add(b: &mut Builder, x: ValueId, y: ValueId, edges: Domain) -> Result<ValueId, VerifyError> {
    let full = Op::Binary { op: BinaryOp::Add, left: Broadcast::Full, right: Broadcast::Full };
    let shape = b.shape(x).to_vec();
    if b.domain(x) == Domain::Global && b.domain(y) == Domain::Global {
        return b.op(full, &[x, y]);
    }
    edge_value(b, full, &[x, y], edges, &shape)
}

/// Σ [a ‖ b] = Σ a + Σ b, where the whole row is summed.
fn split_sum(b: &mut Builder, value: &Value, x: ValueId, inner: usize) -> Hoisted {
    if inner != b.value(x).width() {
        return Ok(None);
    }
    let Some(parts) = mixed_parts(b, x) else { return Ok(None) };
    let mut sum = None;
    for part in parts {
        let (domain, width) = (b.domain(part), b.value(part).width());
        let flat = if b.shape(part).len() == 1 { part } else { flatten(b, part, width)? };
        let op = Op::SumInner { inner: width };
        let term = match domain {
            Domain::Global => b.op(op, &[flat])?,
            _ => edge_value(b, op, &[flat], domain, &[])?,
        };
        sum = Some(match sum {
            None => term,
            Some(sum) => add(b, sum, term, value.domain)?,
        });
    }
    Ok(sum)
}

fn flatten(b: &mut Builder, x: ValueId, width: usize) -> Result<ValueId, VerifyError> {
    match b.domain(x) {
        Domain::Global => b.reshape(x, &[width]),
        domain => edge_value(b, Op::Reshape, &[x], domain, &[width]),
    }
}

/// f([a ‖ b]) = [f(a) ‖ f(b)], and [a ‖ b] · w = [a · w₁ ‖ b · w₂] for a Global w: the parts may then be hoisted.
fn distribute(b: &mut Builder, value: &Value, args: &[ValueId]) -> Hoisted {
    let side = args.iter().position(|a| mixed_parts(b, *a).is_some());
    let Some((side, parts)) = side.and_then(|s| mixed_parts(b, args[s]).map(|p| (s, p))) else {
        return Ok(None);
    };
    let other = match &value.op {
        Op::Binary { left, right, .. } => {
            let (this, that) = if side == 0 { (*left, *right) } else { (*right, *left) };
            let other = args[1 - side];
            let fits = matches!(that, Broadcast::Full | Broadcast::Scalar) && this == Broadcast::Full;
            if !fits || b.domain(other) != Domain::Global {
                return Ok(None);
            }
            Some((other, that))
        }
        _ => None,
    };
    let (mut start, mut mapped) = (0, vec![]);
    for part in parts {
        let width = b.value(part).width();
        let mut operands = vec![flatten(b, part, width)?];
        if let Some((other, by)) = other {
            let piece = match by {
                Broadcast::Full => b.push(Op::Slice { start }, &[other], Domain::Global, &[width])?,
                _ => other,
            };
            operands.insert(1 - side, piece);
        }
        start += width;
        mapped.push(match b.domain(part) {
            Domain::Global => b.push(value.op.clone(), &operands, Domain::Global, &[width])?,
            domain => edge_value(b, value.op.clone(), &operands, domain, &[width])?,
        });
    }
    b.op(Op::Concat, &mapped).map(Some)
}
