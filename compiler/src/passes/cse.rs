//! Common subexpressions are computed once.
//!
//! ```text
//! %3 : nodes(0)@1 × [8] = Linear(%1, %2)          %3 : nodes(0)@1 × [8] = Linear(%1, %2)
//! %4 : nodes(0)@1 × [8] = Linear(%1, %2)     →    %5 : nodes(0)@1 × [8] = Binary Add(%3, %3)
//! %5 : nodes(0)@1 × [8] = Binary Add(%3, %4)
//! ```
//!
//! A product of the first rows is the first rows of the product, where the product of all rows exists already:
//! `Linear(Prefix(x), W)` becomes `Prefix(Linear(x, W))`.
//!
//! Runs after every pass that builds values, because none of them looks whether what it builds is there already: hoisting
//! makes one product per relation of what all relations share, and each gradient rule starts from scratch. Two dropouts
//! of one site and one operand are one value, since the mask is a function of the site.

use super::rewrite::rewrite;
use gsl_plan::build::Builder;
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;
use std::collections::HashMap;

pub(super) fn run(program: &Program, signature: &Signature) -> Result<Program, VerifyError> {
    let mut known: HashMap<String, ValueId> = HashMap::with_capacity(program.values.len());
    rewrite(program, signature, |rw, value, args| {
        let key = key(value, args);
        if let Some(id) = known.get(&key) {
            return Ok(Some(*id));
        }
        let wider = wider(&rw.out, &known, value, args);
        let id = match wider {
            Some(id) => rw.out.push(Op::Prefix, &[id], value.domain, &value.shape)?,
            None => rw.keep(value, args)?,
        };
        known.insert(key, id);
        Ok(Some(id))
    })
}

/// The same product of more rows, if the program has it.
fn wider(b: &Builder, known: &HashMap<String, ValueId>, value: &Value, args: &[ValueId]) -> Option<ValueId> {
    let (Op::Linear { .. }, Domain::Nodes { ty, .. }) = (&value.op, value.domain) else { return None };
    let x = b.value(args[0]);
    let wide = match x.op {
        Op::Prefix => x.args[0],
        Op::Feature { .. } | Op::Hidden => further(known, x)?,
        _ => return None,
    };
    let Domain::Nodes { hop, .. } = b.domain(wide) else { return None };
    let all = Value { domain: Domain::Nodes { ty, hop }, ..value.clone() };
    known.get(&key(&all, &[wide, args[1]])).copied()
}

/// The same stored rows of more nodes, one hop further.
fn further(known: &HashMap<String, ValueId>, leaf: &Value) -> Option<ValueId> {
    let Domain::Nodes { ty, hop } = leaf.domain else { return None };
    known.get(&key(&Value { domain: Domain::Nodes { ty, hop: hop + 1 }, ..leaf.clone() }, &[])).copied()
}

/// Everything of a value but its name. Sums and products commute.
fn key(value: &Value, args: &[ValueId]) -> String {
    let commutes = matches!(
        value.op,
        Op::Binary { op: BinaryOp::Add | BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Full }
    );
    let mut args = args.to_vec();
    if commutes {
        args.sort();
    }
    format!("{:?} {:?} {:?} {:?}", value.op, args, value.domain, value.shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gsl_plan::build::Builder;

    #[test]
    fn twins_become_one() {
        let signature = Signature { relations: vec![(0, 0)], params: vec![vec![4, 8]] };
        let mut b = Builder::new(signature.clone());
        let nodes = Domain::Nodes { ty: 0, hop: 0 };
        let x = b.push(Op::Feature { feature: 0 }, &[], nodes, &[4]).expect("a leaf");
        let w = b.param(0).expect("a parameter");
        let (y, z) = (b.linear(x, w, 1).expect("fits"), b.linear(x, w, 1).expect("fits"));
        let sum = b.add(y, z).expect("fits");
        b.output(Role::Hidden { ty: 0 }, sum);
        let after = run(&b.program, &signature).expect("well formed");
        assert_eq!(after.values.len(), 4);
        assert_eq!(after.values[3].args, [ValueId(2), ValueId(2)]);
    }

    #[test]
    fn first_rows_of_a_product_are_not_computed_again() {
        let signature = Signature { relations: vec![(0, 0)], params: vec![vec![4, 8]] };
        let mut b = Builder::new(signature.clone());
        let x =
            b.push(Op::Feature { feature: 0 }, &[], Domain::Nodes { ty: 0, hop: 2 }, &[4]).expect("a leaf");
        let w = b.param(0).expect("a parameter");
        let x = b.unary(UnaryOp::Tanh, x).expect("fits");
        let all = b.linear(x, w, 1).expect("fits");
        let first = b.prefix(x, 1).expect("on nodes");
        let first = b.linear(first, w, 1).expect("fits");
        b.output(Role::Hidden { ty: 0 }, all);
        b.output(Role::Hidden { ty: 0 }, first);
        let after = run(&b.program, &signature).expect("well formed");
        assert_eq!(after.values.iter().filter(|v| matches!(v.op, Op::Linear { .. })).count(), 1, "{after}");
    }
}
