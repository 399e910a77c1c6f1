//! Inner products of two ends over edges that come in tiles: a matrix product for each tile.
//!
//! ```text
//! %3 : edges(5)@0 × [8] = Src(%1)                    %3 : nodes(2)@0 × [8] = Mul(%2, %r)
//! %4 : edges(5)@0 × [8] = Dst(%2)              →     %4 : edges(5)@0 × [] = Dot(%1, %3)
//! %5 : edges(5)@0 × [8] = Dst(%r)
//! %6 : edges(5)@0 × [] = SumInner(Mul(Mul(%3, %4), %5))
//! ```
//!
//! Runs before the derivative. Which relations come in tiles is said by who compiles: those of negatives that groups of
//! pairs share. Factors that are not rows of one end leave the sum as it is.

use super::rewrite::{rewrite, sweep};
use gsl_plan::build::Builder;
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;

pub(super) fn run(program: &Program, signature: &Signature, tiled: &[u32]) -> Result<Program, VerifyError> {
    if tiled.is_empty() {
        return Ok(program.clone());
    }
    let after = rewrite(program, signature, |rw, value, args| dot(&mut rw.out, tiled, value, args))?;
    Ok(sweep(after))
}

/// The factors of a product by the end of the edge that they come from.
#[derive(Default)]
struct Factors {
    src: Vec<ValueId>,
    dst: Vec<ValueId>,
}

fn dot(
    b: &mut Builder,
    tiled: &[u32],
    value: &Value,
    args: &[ValueId],
) -> Result<Option<ValueId>, VerifyError> {
    let (Op::SumInner { inner }, Domain::Edges { rel, .. }) = (&value.op, value.domain) else {
        return Ok(None);
    };
    let whole = value.shape.is_empty() && b.value(args[0]).width() == *inner;
    let mut factors = Factors::default();
    if !tiled.contains(&rel) || !whole || !collect(b, args[0], *inner, &mut factors) {
        return Ok(None);
    }
    let (Some(x), Some(y)) = (product(b, &factors.src)?, product(b, &factors.dst)?) else { return Ok(None) };
    b.push(Op::Dot, &[x, y], value.domain, &[]).map(Some)
}

/// Whether a value on edges is a product of whole rows of its ends.
fn collect(b: &Builder, id: ValueId, width: usize, factors: &mut Factors) -> bool {
    let value = b.value(id);
    let is_row = |of: ValueId| b.value(of).shape == [width];
    match &value.op {
        Op::Src if is_row(id) => factors.src.push(value.args[0]),
        Op::Dst if is_row(id) => factors.dst.push(value.args[0]),
        Op::Binary { op: BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Full } => {
            return value.args.iter().all(|a| collect(b, *a, width, factors));
        }
        _ => return false,
    }
    true
}

fn product(b: &mut Builder, factors: &[ValueId]) -> Result<Option<ValueId>, VerifyError> {
    let Some((first, rest)) = factors.split_first() else { return Ok(None) };
    let mut product = *first;
    for factor in rest {
        product = b.mul(product, *factor)?;
    }
    Ok(Some(product))
}
