//! Rows that nobody reads are not computed.
//!
//! ```text
//! %2 : nodes(0)@1 × [4] = Linear(%1, W)           %2 : nodes(0)@0 × [8] = Prefix(%1)
//! %3 : nodes(0)@0 × [4] = Prefix(%2)         →    %3 : nodes(0)@0 × [4] = Linear(%2, W)
//! ```
//!
//! Each value is given the nearest hop that all of its users are content with; the last layer then computes only the
//! seeds, and a node type that no edge leaves is never encoded beyond them. Runs before the derivative, so that no
//! gradient is padded that need not be.

use super::rewrite::{is_rowwise, sweep};
use gsl_plan::build::Builder;
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;

pub(super) fn run(program: &Program, signature: &Signature) -> Result<Program, VerifyError> {
    let program = &sweep(program.clone());
    let needed = needed(program);
    let mut b = Builder::new(signature.clone());
    let mut map: Vec<ValueId> = Vec::with_capacity(program.values.len());
    for (value, need) in program.values.iter().zip(&needed) {
        b.at(value.name.clone(), value.span);
        let args: Vec<ValueId> = value.args.iter().map(|a| map[a.index()]).collect();
        map.push(narrowed(&mut b, value, &args, *need)?);
    }
    let outputs = program.outputs.iter();
    b.program.outputs =
        outputs.map(|o| Output { role: o.role.clone(), value: map[o.value.index()] }).collect();
    Ok(sweep(b.program))
}

/// The hop whose rows each value on nodes is needed for; none elsewhere, or where nobody needs it.
fn needed(program: &Program) -> Vec<Option<u32>> {
    let mut needed: Vec<Option<u32>> = vec![None; program.values.len()];
    let mut need = |id: ValueId, hop: Option<u32>| {
        let slot = &mut needed[id.index()];
        *slot = (*slot).max(hop);
        *slot
    };
    program.outputs.iter().for_each(|o| {
        need(o.value, hop(program.values[o.value.index()].domain));
    });
    for i in (0..program.values.len()).rev() {
        let value = &program.values[i];
        let own = need(ValueId(i as u32), None);
        let passes = value.op == Op::Prefix || is_rowwise(&value.op);
        for a in &value.args {
            let whole = hop(program.values[a.index()].domain);
            need(*a, if passes && whole.is_some() { own } else { whole });
        }
    }
    needed
}

fn hop(domain: Domain) -> Option<u32> {
    match domain {
        Domain::Nodes { hop, .. } => Some(hop),
        _ => None,
    }
}

fn narrowed(
    b: &mut Builder,
    value: &Value,
    args: &[ValueId],
    need: Option<u32>,
) -> Result<ValueId, VerifyError> {
    let (Domain::Nodes { ty, hop }, Some(need)) = (value.domain, need) else {
        return b.push(value.op.clone(), args, value.domain, &value.shape);
    };
    let movable = is_rowwise(&value.op) || value.op == Op::Prefix || is_stored(&value.op);
    if !movable {
        return b.push(value.op.clone(), args, value.domain, &value.shape);
    }
    debug_assert!(need <= hop);
    let mut operands = Vec::with_capacity(args.len());
    for a in args {
        operands.push(match b.domain(*a) {
            Domain::Nodes { .. } => b.prefix(*a, need)?,
            _ => *a,
        });
    }
    if value.op == Op::Prefix {
        return Ok(operands[0]);
    }
    b.push(value.op.clone(), &operands, Domain::Nodes { ty, hop: need }, &value.shape)
}

fn is_stored(op: &Op) -> bool {
    matches!(op, Op::Feature { .. } | Op::Embedding { .. } | Op::Hidden | Op::Degree)
}
