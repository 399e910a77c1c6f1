//! One form for everything that can be written in several; identities and constants disappear.
//!
//! ```text
//! %2 : global × [] = Const(1.0)                     %3 : nodes(0)@0 × [8] = Feature 0
//! %3 : nodes(0)@1 × [8] = Feature 0
//! %4 : nodes(0)@1 × [8] = Binary Mul(%3, %2)   →    output Hidden = %3
//! %5 : nodes(0)@0 × [8] = Prefix(%4)
//! output Hidden = %5
//! ```
//!
//! Runs first, so that the later passes match one pattern instead of several, and again after the derivative, whose
//! rules are written for the general case and leave products with one, sums with nothing and expansions that a
//! product reads through anyway.

use super::rewrite::{Rewriter, compose, rewrite, sweep};
use gsl_plan::build::Builder;
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;

/// What may be forgotten at this point of the pipeline.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Forget {
    /// Dropout is the identity: nothing is trained.
    pub dropout: bool,
    /// Gradients are done, so nothing needs to be kept from them.
    pub stops: bool,
}

type Rewritten = Result<Option<ValueId>, VerifyError>;

pub(super) fn run(program: &Program, signature: &Signature, forget: Forget) -> Result<Program, VerifyError> {
    let after = rewrite(program, signature, |rw, value, args| simplify(rw, value, args, forget))?;
    Ok(sweep(after))
}

fn simplify(rw: &mut Rewriter, value: &Value, args: &[ValueId], forget: Forget) -> Rewritten {
    let b = &mut rw.out;
    match &value.op {
        Op::Unary(op) => unary(b, *op, args[0]),
        Op::Binary { op, left, right } => binary(b, *op, [args[0], args[1]], [*left, *right]),
        Op::Expand(by) => expand(b, value, args[0], *by),
        Op::Reshape => Ok(Some(strip_reshape(b, args[0]))),
        Op::Slice { start } => slice(b, value, args[0], *start),
        Op::Concat => concat(b, value, args),
        Op::SumInner { inner: 1 } | Op::MaxInner { inner: 1 } => Ok(Some(args[0])),
        Op::SumOuter { inner } if *inner == b.value(args[0]).width() => Ok(Some(args[0])),
        Op::Dropout { p, .. } if *p == 0.0 || forget.dropout => Ok(Some(args[0])),
        Op::StopGradient if forget.stops => Ok(Some(args[0])),
        Op::Prefix => prefix(b, value, args[0]),
        Op::Pad => pad(b, value, args[0]),
        Op::Index { index } => Ok(index_of_stack(b, args[0], *index)),
        _ => Ok(None),
    }
}

/// f(c) is a constant; −(−x) = x; relu(relu(x)) = relu(x).
fn unary(b: &mut Builder, op: UnaryOp, x: ValueId) -> Rewritten {
    let (inner_op, inner_arg) = (b.value(x).op.clone(), b.value(x).args.first().copied());
    match (op, inner_op) {
        (_, Op::Const(c)) => Ok(fold_unary(op, c).map(|c| b.constant(c))),
        (UnaryOp::Neg, Op::Unary(UnaryOp::Neg)) => Ok(inner_arg),
        (UnaryOp::Relu, Op::Unary(UnaryOp::Relu)) => Ok(Some(x)),
        _ => Ok(None),
    }
}

fn fold_unary(op: UnaryOp, c: f32) -> Option<f32> {
    let c = f64::from(c);
    let y = match op {
        UnaryOp::Neg => -c,
        UnaryOp::Exp => c.exp(),
        UnaryOp::Log => c.ln(),
        UnaryOp::Sqrt => c.sqrt(),
        UnaryOp::Rsqrt => 1.0 / c.sqrt(),
        UnaryOp::Recip => 1.0 / c,
        UnaryOp::Square => c * c,
        UnaryOp::Abs => c.abs(),
        UnaryOp::Relu => c.max(0.0),
        UnaryOp::Sin => c.sin(),
        UnaryOp::Cos => c.cos(),
        UnaryOp::Tanh => c.tanh(),
        UnaryOp::Sigmoid => 1.0 / (1.0 + (-c).exp()),
        _ => return None,
    };
    Some(y as f32)
}

fn fold_binary(op: BinaryOp, a: f32, b: f32) -> Option<f32> {
    let y = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Max => a.max(b),
        BinaryOp::Min => a.min(b),
        _ => return None,
    };
    Some(y)
}

fn constant(b: &Builder, x: ValueId) -> Option<f32> {
    match b.value(x).op {
        Op::Const(c) => Some(c),
        _ => None,
    }
}

fn binary(b: &mut Builder, op: BinaryOp, args: [ValueId; 2], by: [Broadcast; 2]) -> Rewritten {
    let consts = args.map(|a| constant(b, a));
    if let [Some(x), Some(y)] = consts {
        return Ok(fold_binary(op, x, y).map(|c| b.constant(c)));
    }
    if let Some(id) = identity(op, args, by, consts) {
        return Ok(Some(id));
    }
    if let Some(id) = fold_chain(b, op, args, by, consts)? {
        return Ok(Some(id));
    }
    if let Some(id) = subtract_negated(b, op, args, by)? {
        return Ok(Some(id));
    }
    read_through_expand(b, op, args, by)
}

/// x·1 = 1·x = x/1 = x+0 = 0+x = x−0 = x.
fn identity(op: BinaryOp, args: [ValueId; 2], by: [Broadcast; 2], c: [Option<f32>; 2]) -> Option<ValueId> {
    use BinaryOp::*;
    let keeps_left = matches!((op, c[1]), (Mul | Div, Some(1.0)) | (Add | Sub, Some(0.0)));
    let keeps_right = matches!((op, c[0]), (Mul, Some(1.0)) | (Add, Some(0.0)));
    match by {
        [Broadcast::Full, _] if keeps_left => Some(args[0]),
        [_, Broadcast::Full] if keeps_right => Some(args[1]),
        _ => None,
    }
}

/// (x·c)·d = x·(c·d), and the same for sums.
fn fold_chain(
    b: &mut Builder,
    op: BinaryOp,
    args: [ValueId; 2],
    by: [Broadcast; 2],
    consts: [Option<f32>; 2],
) -> Rewritten {
    let (x, d) = match (consts, by) {
        ([None, Some(d)], [Broadcast::Full, _]) => (args[0], d),
        ([Some(d), None], [_, Broadcast::Full]) => (args[1], d),
        _ => return Ok(None),
    };
    if !matches!(op, BinaryOp::Mul | BinaryOp::Add) {
        return Ok(None);
    }
    let inner = b.value(x);
    let Op::Binary { op: inner_op, left, right } = inner.op else { return Ok(None) };
    if inner_op != op {
        return Ok(None);
    }
    let (p, q) = (inner.args[0], inner.args[1]);
    let (y, c) = match (constant(b, p), constant(b, q), left, right) {
        (None, Some(c), Broadcast::Full, _) => (p, c),
        (Some(c), None, _, Broadcast::Full) => (q, c),
        _ => return Ok(None),
    };
    let Some(folded) = fold_binary(op, c, d) else { return Ok(None) };
    let folded = b.constant(folded);
    b.op(Op::Binary { op, left: Broadcast::Full, right: Broadcast::Scalar }, &[y, folded]).map(Some)
}

/// a + (−b) = a − b and a − (−b) = a + b.
fn subtract_negated(b: &mut Builder, op: BinaryOp, args: [ValueId; 2], by: [Broadcast; 2]) -> Rewritten {
    let flipped = match op {
        BinaryOp::Add => BinaryOp::Sub,
        BinaryOp::Sub => BinaryOp::Add,
        _ => return Ok(None),
    };
    if b.value(args[1]).op != Op::Unary(UnaryOp::Neg) {
        return Ok(None);
    }
    let negated = b.value(args[1]).args[0];
    b.op(Op::Binary { op: flipped, left: by[0], right: by[1] }, &[args[0], negated]).map(Some)
}

/// An operand that was expanded is read unexpanded, through one broadcast, where the other operand has the full shape.
fn read_through_expand(b: &mut Builder, op: BinaryOp, args: [ValueId; 2], by: [Broadcast; 2]) -> Rewritten {
    let width = by.iter().zip(args).find(|(f, _)| **f == Broadcast::Full).map(|(_, a)| b.value(a).width());
    for side in 0..2 {
        let other_full = by[1 - side] == Broadcast::Full;
        let Op::Expand(inner) = b.value(args[side]).op else { continue };
        let Some(composed) = compose(inner, by[side]).filter(|_| other_full) else { continue };
        let x = b.value(args[side]).args[0];
        if width.is_none_or(|w| !gsl_plan::verify::fits(b.value(x).width(), composed, w)) {
            continue;
        }
        let (mut args, mut by) = (args, by);
        args[side] = x;
        by[side] = composed;
        return match binary(b, op, args, by)? {
            Some(simpler) => Ok(Some(simpler)),
            None => b.op(Op::Binary { op, left: by[0], right: by[1] }, &args).map(Some),
        };
    }
    Ok(None)
}

fn expand(b: &mut Builder, value: &Value, x: ValueId, by: Broadcast) -> Rewritten {
    if by == Broadcast::Full {
        return Ok(Some(x));
    }
    let Op::Expand(inner) = b.value(x).op else { return Ok(None) };
    let Some(composed) = compose(inner, by) else { return Ok(None) };
    let x = b.value(x).args[0];
    b.push(Op::Expand(composed), &[x], value.domain, &value.shape).map(Some)
}

fn strip_reshape(b: &Builder, x: ValueId) -> ValueId {
    match b.value(x).op {
        Op::Reshape => strip_reshape(b, b.value(x).args[0]),
        _ => x,
    }
}

/// A slice of a slice is one slice; a slice of a concatenation that lies in one part is a slice of that part.
fn slice(b: &mut Builder, value: &Value, x: ValueId, start: usize) -> Rewritten {
    let width = value.width();
    if width == b.value(x).width() {
        return Ok(Some(x));
    }
    let inner = b.value(x).clone();
    match inner.op {
        Op::Slice { start: offset } => b
            .push(Op::Slice { start: start + offset }, &[inner.args[0]], value.domain, &value.shape)
            .map(Some),
        Op::Concat => {
            let mut offset = 0;
            for part in inner.args {
                let (w, domain) = (b.value(part).width(), b.domain(part));
                if start >= offset && start + width <= offset + w {
                    return part_slice(b, value, part, domain, start - offset);
                }
                offset += w;
            }
            Ok(None)
        }
        Op::Reshape => slice(b, value, inner.args[0], start).and_then(|s| match s {
            Some(s) => Ok(Some(s)),
            None => b.push(Op::Slice { start }, &[inner.args[0]], value.domain, &value.shape).map(Some),
        }),
        _ => Ok(None),
    }
}

fn part_slice(b: &mut Builder, value: &Value, part: ValueId, domain: Domain, start: usize) -> Rewritten {
    if domain != value.domain {
        return Ok(None);
    }
    if b.value(part).width() == value.width() {
        return Ok(Some(part));
    }
    b.push(Op::Slice { start }, &[part], value.domain, &value.shape).map(Some)
}

/// Concatenations of concatenations are one.
fn concat(b: &mut Builder, value: &Value, args: &[ValueId]) -> Rewritten {
    if args.len() == 1 {
        return Ok(Some(args[0]));
    }
    if args.iter().all(|a| b.value(*a).op != Op::Concat) {
        return Ok(None);
    }
    let mut flat = vec![];
    for a in args {
        match b.value(*a).op {
            Op::Concat => flat.extend(b.value(*a).args.iter().copied()),
            _ => flat.push(*a),
        }
    }
    let joined = b.op(Op::Concat, &flat)?;
    Ok((b.domain(joined) == value.domain).then_some(joined))
}

/// The first rows of the first rows, of a leaf (embeddings keep their one gradient), or of padded rows.
fn prefix(b: &mut Builder, value: &Value, x: ValueId) -> Rewritten {
    let inner = b.value(x).clone();
    let Domain::Nodes { hop, .. } = value.domain else { return Ok(None) };
    match inner.op {
        Op::Prefix => b.prefix(inner.args[0], hop).map(Some),
        Op::Feature { .. } | Op::Hidden | Op::Degree => {
            b.push(inner.op, &[], value.domain, &value.shape).map(Some)
        }
        Op::Pad => resize(b, inner.args[0], value).map(Some),
        _ => Ok(None),
    }
}

fn pad(b: &mut Builder, value: &Value, x: ValueId) -> Rewritten {
    match b.value(x).op {
        Op::Pad => resize(b, b.value(x).args[0], value).map(Some),
        _ => Ok(None),
    }
}

/// x with the rows of `value`: padded, cut, or as it is.
fn resize(b: &mut Builder, x: ValueId, value: &Value) -> Result<ValueId, VerifyError> {
    let hop = |d: Domain| match d {
        Domain::Nodes { hop, .. } => hop,
        _ => 0,
    };
    let (from, to) = (hop(b.domain(x)), hop(value.domain));
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => Ok(x),
        std::cmp::Ordering::Greater => b.push(Op::Prefix, &[x], value.domain, &value.shape),
        std::cmp::Ordering::Less => b.push(Op::Pad, &[x], value.domain, &value.shape),
    }
}

fn index_of_stack(b: &Builder, x: ValueId, index: usize) -> Option<ValueId> {
    let value = b.value(x);
    match &value.op {
        Op::Stack { items } => items.get(index).copied().flatten().map(|i| value.args[i as usize]),
        _ => None,
    }
}
