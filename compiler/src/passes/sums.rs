//! Sums are put in an order in which they can be formed in place; what has to be a matrix of its own becomes one.
//!
//! ```text
//! %7 : … = Binary Add(%bias, %4)              %7 : … = Binary Add(%4, %6)       // %4, %6: products, added in place
//! %8 : … = Binary Add(%7, %6)            →    %8 : … = Binary Add(%7, %bias)    // fused into what follows
//!
//! output Gradient(0) = %9                     output Gradient(0) = %9
//! output Gradient(1) = %9                →    output Gradient(1) = %10 = Expand Full(%9)
//! ```
//!
//! Runs last on the program, for the scheduler: a term that only this sum reads and that a step can add to its output
//! (products, reductions over edges, sums over rows, padding) goes before the terms that are computed row by row.

use super::rewrite::{rewrite, uses};
use gsl_plan::build::Builder;
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;
use std::collections::BTreeSet;

pub(super) fn run(program: &Program, signature: &Signature) -> Result<Program, VerifyError> {
    let ordered = order_terms(program, signature)?;
    separate(ordered, signature)
}

/// Whether a step that computes the value can add it to what its output holds.
pub(super) fn is_accumulable(op: &Op) -> bool {
    matches!(
        op,
        Op::Linear { .. }
            | Op::LinearT { .. }
            | Op::Outer { .. }
            | Op::Reduce(ReduceOp::Sum | ReduceOp::Mean)
            | Op::ReduceSrc
            | Op::SumRows
            | Op::Pad
    )
}

/// A sum of two values of the same width, not on edges.
pub(super) fn is_sum(value: &Value) -> bool {
    let add = Op::Binary { op: BinaryOp::Add, left: Broadcast::Full, right: Broadcast::Full };
    value.op == add && !matches!(value.domain, Domain::Edges { .. })
}

fn order_terms(program: &Program, signature: &Signature) -> Result<Program, VerifyError> {
    let uses = uses(program);
    let inner = inner_sums(program, &uses);
    let mut map: Vec<ValueId> = vec![];
    rewrite(program, signature, |rw, value, args| {
        let at = map.len();
        let new = if is_sum(value) && !inner[at] {
            let mut terms = vec![];
            collect(program, &inner, ValueId(at as u32), &mut terms);
            sum(&mut rw.out, program, &uses, value, &map, &terms)?
        } else {
            rw.keep(value, args)?
        };
        map.push(new);
        Ok(Some(new))
    })
}

/// Sums that only a sum of the same rows reads.
fn inner_sums(program: &Program, uses: &[u32]) -> Vec<bool> {
    let mut inner = vec![false; program.values.len()];
    for value in program.values.iter().filter(|v| is_sum(v)) {
        for a in &value.args {
            let term = &program.values[a.index()];
            inner[a.index()] = is_sum(term) && uses[a.index()] == 1 && term.domain == value.domain;
        }
    }
    inner
}

fn collect(program: &Program, inner: &[bool], id: ValueId, terms: &mut Vec<ValueId>) {
    let mut pending = vec![id];
    while let Some(next) = pending.pop() {
        if next == id || inner[next.index()] {
            pending.extend(program.values[next.index()].args.iter().rev());
        } else {
            terms.push(next);
        }
    }
}

fn sum(
    b: &mut Builder,
    program: &Program,
    uses: &[u32],
    value: &Value,
    map: &[ValueId],
    terms: &[ValueId],
) -> Result<ValueId, VerifyError> {
    let in_place = |id: &ValueId| {
        let mut term = &program.values[id.index()];
        let mut single = uses[id.index()] == 1;
        while term.op == Op::Reshape {
            single &= uses[term.args[0].index()] == 1;
            term = &program.values[term.args[0].index()];
        }
        single && is_accumulable(&term.op) && term.domain == value.domain
    };
    let (mut first, rest): (Vec<ValueId>, Vec<ValueId>) = terms.iter().partition(|t| in_place(t));
    first.extend(rest);
    let mut sum = map[first[0].index()];
    for term in &first[1..] {
        sum = b.op(value.op.clone(), &[sum, map[term.index()]])?;
    }
    Ok(sum)
}

/// Outputs get a matrix of their own, with their own rows; padding reads one with its own rows.
fn separate(program: Program, signature: &Signature) -> Result<Program, VerifyError> {
    let mut taken = BTreeSet::new();
    let mut b = Builder::new(signature.clone());
    let mut map: Vec<ValueId> = Vec::with_capacity(program.values.len());
    for value in &program.values {
        b.at(value.name.clone(), value.span);
        let mut args: Vec<ValueId> = value.args.iter().map(|a| map[a.index()]).collect();
        if value.op == Op::Pad && !is_own(&b, args[0]) {
            args[0] = copy(&mut b, args[0])?;
        }
        map.push(b.push(value.op.clone(), &args, value.domain, &value.shape)?);
    }
    for output in program.outputs {
        let mut id = map[output.value.index()];
        let root = strip(&b, id);
        if !is_own(&b, id) || !taken.insert(root) {
            b.at(b.value(id).name.clone(), None);
            id = copy(&mut b, id)?;
        }
        b.output(output.role, id);
    }
    Ok(b.program)
}

fn copy(b: &mut Builder, id: ValueId) -> Result<ValueId, VerifyError> {
    let value = b.value(id).clone();
    b.push(Op::Expand(Broadcast::Full), &[id], value.domain, &value.shape)
}

fn strip(b: &Builder, id: ValueId) -> ValueId {
    let value = b.value(id);
    match value.op {
        Op::Reshape | Op::StopGradient => strip(b, value.args[0]),
        _ => id,
    }
}

/// Whether a step writes exactly these rows and elements somewhere.
fn is_own(b: &Builder, id: ValueId) -> bool {
    let value = b.value(strip(b, id));
    let part = value.domain == Domain::Global && matches!(value.op, Op::Slice { .. } | Op::Index { .. });
    let stored = matches!(
        value.op,
        Op::Feature { .. } | Op::Embedding { .. } | Op::Hidden | Op::Degree | Op::Param { .. } | Op::Const(_)
    );
    !part && !stored && value.op != Op::Prefix
}
