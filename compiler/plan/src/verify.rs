//! The verifier: run after every pass. Domains, shapes, order of definition, ends of relations.

use crate::program::*;
use std::fmt;

/// Why a program is ill-formed: a fault of the compiler, never of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyError {
    pub message: String,
}

impl VerifyError {
    pub fn new(message: impl Into<String>) -> Self {
        VerifyError { message: message.into() }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for VerifyError {}

fn fail<T>(message: impl Into<String>) -> Result<T, VerifyError> {
    Err(VerifyError::new(message))
}

/// Checks every value and output of `program`.
pub fn verify(program: &Program, signature: &Signature) -> Result<(), VerifyError> {
    for (i, value) in program.values.iter().enumerate() {
        if let Some(arg) = value.args.iter().find(|a| a.index() >= i) {
            return fail(format!("%{i} uses %{} before it is defined", arg.0));
        }
        check_value(program, value, signature)
            .map_err(|e| VerifyError::new(format!("%{i} ({}): {e}", value.name)))?;
    }
    for output in &program.outputs {
        check_output(program, output, signature)?;
    }
    Ok(())
}

fn check_output(program: &Program, output: &Output, signature: &Signature) -> Result<(), VerifyError> {
    let Some(value) = program.values.get(output.value.index()) else {
        return fail(format!("output {:?} names no value", output.role));
    };
    match &output.role {
        Role::Loss | Role::TaskLoss(_) => {
            if value.domain != Domain::Global || value.width() != 1 {
                return fail(format!("{:?} is not one number", output.role));
            }
        }
        Role::Gradient(p) => {
            let expected = signature.params.get(*p as usize).map(|s| s.iter().product::<usize>());
            if value.domain != Domain::Global || expected != Some(value.width()) {
                return fail(format!("gradient of parameter {p} has the wrong shape"));
            }
        }
        Role::Negatives { .. } => {
            if !matches!(value.domain, Domain::Edges { .. }) {
                return fail(format!("{:?} is not on edges", output.role));
            }
        }
        Role::Scores(_) | Role::Hidden { .. } | Role::RowGradient(_) => {
            if !matches!(value.domain, Domain::Nodes { .. }) {
                return fail(format!("{:?} is not on nodes", output.role));
            }
        }
    }
    Ok(())
}

/// Checks one value against its operands, which stand in `program` already.
pub fn check_value(program: &Program, value: &Value, signature: &Signature) -> Result<(), VerifyError> {
    if let Some(arg) = value.args.iter().find(|a| a.index() >= program.values.len()) {
        return fail(format!("operand %{} is not defined", arg.0));
    }
    if let Domain::Edges { rel, .. } = value.domain
        && rel as usize >= signature.relations.len()
    {
        return fail(format!("there is no relation {rel}"));
    }
    let (domain, shape) = match infer(program, &value.op, &value.args, signature) {
        Ok(known) => known,
        Err(_) if is_declared(&value.op) => return check_declared(program, value, signature),
        Err(e) => return Err(e),
    };
    if domain != value.domain {
        return fail(format!("domain is {:?}, operands give {domain:?}", value.domain));
    }
    if shape != value.shape {
        return fail(format!("shape is {:?}, operands give {shape:?}", value.shape));
    }
    Ok(())
}

/// Operations whose domain or shape is stated, not inferred.
fn is_declared(op: &Op) -> bool {
    use Op::*;
    matches!(
        op,
        Feature { .. }
            | Embedding { .. }
            | Hidden
            | Param { .. }
            | Degree
            | RecipCount { .. }
            | Label { .. }
            | SeedWeight { .. }
            | Expand(_)
            | Reshape
            | Slice { .. }
            | Src
            | Dst
            | ReduceSrc
            | Dot
            | DotToDst
            | DotToSrc
            | Prefix
            | Pad
            | External { .. }
    )
}

fn check_declared(program: &Program, value: &Value, sig: &Signature) -> Result<(), VerifyError> {
    let arg = |i: usize| {
        value
            .args
            .get(i)
            .map(|a| &program.values[a.index()])
            .ok_or_else(|| VerifyError::new(format!("{:?} lacks operand {i}", value.op)))
    };
    let on_nodes = matches!(value.domain, Domain::Nodes { .. });
    match &value.op {
        Op::Feature { .. } => expect(value.domain != Domain::Global, "a feature is on nodes or edges"),
        Op::Embedding { param } => {
            expect(on_nodes, "an embedding is on nodes")?;
            let table = sig.params.get(*param as usize);
            expect(
                table.is_some_and(|t| t.len() >= 2 && t[1..] == value.shape[..]),
                "the table's rows have another shape",
            )
        }
        Op::Param { param } => {
            expect(value.domain == Domain::Global, "a parameter is Global")?;
            expect(sig.params.get(*param as usize) == Some(&value.shape), "the parameter has another shape")
        }
        Op::Hidden => expect(on_nodes, "a hidden row is on nodes"),
        Op::Degree => expect(on_nodes && value.shape.is_empty(), "one number per node"),
        Op::Label { .. } | Op::SeedWeight { .. } => {
            expect(on_nodes && value.shape.len() <= 1, "a number per node, or one per node and class")
        }
        Op::RecipCount { rel } => {
            let dst = sig.relations.get(*rel as usize).map(|r| r.1);
            let ok = matches!(value.domain, Domain::Nodes { ty, .. } if Some(ty) == dst);
            expect(ok && value.shape.is_empty(), "one number per destination node")
        }
        Op::Expand(by) => {
            let x = arg(0)?;
            expect(x.domain == value.domain, "expand stays in its domain")?;
            expect(fits(x.width(), *by, value.width()), "expand does not fit")
        }
        Op::Reshape => {
            let x = arg(0)?;
            expect(x.domain == value.domain, "reshape stays in its domain")?;
            expect(x.width() == value.width(), "reshape keeps the number of elements")
        }
        Op::Slice { start } => {
            let x = arg(0)?;
            expect(x.domain == value.domain, "slice stays in its domain")?;
            expect(start + value.width() <= x.width(), "slice is outside the row")
        }
        Op::Src | Op::Dst => {
            let x = arg(0)?;
            expect(x.shape == value.shape, "an edge reads whole rows")?;
            let Domain::Edges { rel, hop } = value.domain else { return fail("not on edges") };
            let (s, d) = sig.relations[rel as usize];
            let end = if value.op == Op::Src {
                Domain::Nodes { ty: s, hop: hop + 1 }
            } else {
                Domain::Nodes { ty: d, hop }
            };
            expect(x.domain == end, "the operand is not at that end of the edge")
        }
        Op::ReduceSrc => {
            let x = arg(0)?;
            expect(x.shape == value.shape, "a sum keeps the shape")?;
            let Domain::Edges { rel, hop } = x.domain else { return fail("the operand is not on edges") };
            let ty = sig.relations[rel as usize].0;
            expect(value.domain == Domain::Nodes { ty, hop: hop + 1 }, "not the source nodes")
        }
        Op::Dot => {
            let (x, y) = (arg(0)?, arg(1)?);
            expect(value.shape.is_empty() && x.shape == y.shape, "an inner product of two rows")?;
            expect(ends(value.domain, sig)? == (x.domain, y.domain), "not the ends of the edges")
        }
        Op::DotToDst => {
            let (g, x) = (arg(0)?, arg(1)?);
            expect(g.shape.is_empty() && value.shape == x.shape, "a number for each edge, and rows")?;
            expect(ends(g.domain, sig)? == (x.domain, value.domain), "not the ends of the edges")
        }
        Op::DotToSrc => {
            let (g, y) = (arg(0)?, arg(1)?);
            expect(g.shape.is_empty() && value.shape == y.shape, "a number for each edge, and rows")?;
            expect(ends(g.domain, sig)? == (value.domain, y.domain), "not the ends of the edges")
        }
        Op::External { .. } => {
            let rows = rows_of(program, &value.args)?;
            expect(rows == value.domain, "the result has the rows of the operands")
        }
        Op::Prefix | Op::Pad => {
            let x = arg(0)?;
            expect(x.shape == value.shape, "rows keep their shape")?;
            let (Domain::Nodes { ty: a, hop: from }, Domain::Nodes { ty: b, hop: to }) =
                (x.domain, value.domain)
            else {
                return fail("not on nodes");
            };
            let nearer = if value.op == Op::Prefix { to < from } else { from < to };
            expect(a == b && nearer, "hops do not fit")
        }
        other => fail(format!("{other:?} has no stated domain")),
    }
}

/// The rows of a call of a function from outside: those of its operands, of which at least one is not Global.
fn rows_of(program: &Program, args: &[ValueId]) -> Result<Domain, VerifyError> {
    let domains = args.iter().map(|a| program.values[a.index()].domain);
    let rows = domains.into_iter().try_fold(Domain::Global, join)?;
    expect(rows != Domain::Global, "a function from outside needs rows")?;
    Ok(rows)
}

/// Domain and shape of the gradients of the operands `of` of a function from outside; its result's is the last of `args`.
fn infer_external_grad(
    program: &Program,
    args: &[ValueId],
    of: &[u32],
) -> Result<(Domain, Vec<usize>), VerifyError> {
    let Some((_, operands)) = args.split_last() else { return fail("a gradient of nothing") };
    let rows = rows_of(program, args)?;
    let mut width = 0;
    let mut shared = None;
    for at in of {
        let Some(operand) = operands.get(*at as usize) else { return fail(format!("no operand {at}")) };
        let value = &program.values[operand.index()];
        width += value.width();
        let is_shared = value.domain == Domain::Global;
        expect(*shared.get_or_insert(is_shared) == is_shared, "gradients of rows and of what they share")?;
    }
    match shared {
        Some(true) => Ok((Domain::Global, vec![width])),
        Some(false) => Ok((rows, vec![width])),
        None => fail("a gradient of no operand"),
    }
}

/// Where the sources and the destinations of edges are.
pub fn ends(edges: Domain, sig: &Signature) -> Result<(Domain, Domain), VerifyError> {
    let Domain::Edges { rel, hop } = edges else { return fail("not on edges") };
    let Some((src, dst)) = sig.relations.get(rel as usize) else { return fail("there is no such relation") };
    Ok((Domain::Nodes { ty: *src, hop: hop + 1 }, Domain::Nodes { ty: *dst, hop }))
}

fn expect(ok: bool, message: &str) -> Result<(), VerifyError> {
    if ok { Ok(()) } else { fail(message) }
}

/// Whether a row of `width` elements read through `by` gives a row of `result` elements.
pub fn fits(width: usize, by: Broadcast, result: usize) -> bool {
    match by {
        Broadcast::Full => width == result,
        Broadcast::Scalar => width == 1,
        Broadcast::Outer { inner } => width * inner == result,
        Broadcast::Inner { len } => width == len && len > 0 && result.is_multiple_of(len),
    }
}

/// Domain and shape of an operation where its operands determine them.
pub fn infer(
    program: &Program,
    op: &Op,
    args: &[ValueId],
    sig: &Signature,
) -> Result<(Domain, Vec<usize>), VerifyError> {
    let arg = |i: usize| {
        args.get(i)
            .and_then(|a| program.values.get(a.index()))
            .ok_or_else(|| VerifyError::new(format!("{op:?} lacks operand {i}")))
    };
    match op {
        Op::Const(_) | Op::LossScale { .. } => Ok((Domain::Global, vec![])),
        Op::Unary(_) | Op::StopGradient => arg(0).map(|x| (x.domain, x.shape.clone())),
        Op::Dropout { p, .. } => {
            expect((0.0..1.0).contains(p), "a dropout rate is in [0, 1)")?;
            arg(0).map(|x| (x.domain, x.shape.clone()))
        }
        Op::Binary { left, right, .. } => infer_binary(arg(0)?, *left, arg(1)?, *right),
        Op::SumInner { inner } | Op::MaxInner { inner } => {
            let x = arg(0)?;
            Ok((x.domain, drop_inner(&x.shape, *inner)?))
        }
        Op::SumOuter { inner } => {
            let x = arg(0)?;
            Ok((x.domain, keep_inner(&x.shape, *inner)?))
        }
        Op::Concat => {
            let mut domain = arg(0)?.domain;
            let mut width = 0;
            for i in 0..args.len() {
                domain = join(domain, arg(i)?.domain)?;
                width += arg(i)?.width();
            }
            Ok((domain, vec![width]))
        }
        Op::Linear { batch } => {
            let (x, w) = (arg(0)?, arg(1)?);
            let (b, k, n) = matrix(w, *batch)?;
            expect(x.width() == b * k, &format!("rows of {} meet a matrix of {b}×{k}×{n}", x.width()))?;
            Ok((x.domain, linear_shape(&w.shape, *batch, n)))
        }
        Op::LinearT { batch } => {
            let (g, w) = (arg(0)?, arg(1)?);
            let (b, k, n) = matrix(w, *batch)?;
            expect(g.width() == b * n, "gradient rows do not fit the matrix")?;
            Ok((g.domain, if *batch == 1 { vec![k] } else { vec![b, k] }))
        }
        Op::Outer { batch } => {
            let (x, g) = (arg(0)?, arg(1)?);
            expect(x.domain == g.domain, "an outer product needs one domain")?;
            let (b, xw, gw) = (*batch, x.width(), g.width());
            expect(
                b > 0 && xw.is_multiple_of(b) && gw.is_multiple_of(b),
                "rows do not split into the batch",
            )?;
            Ok((Domain::Global, if b == 1 { vec![xw, gw] } else { vec![b, xw / b, gw / b] }))
        }
        Op::SumRows => arg(0).map(|x| (Domain::Global, x.shape.clone())),
        Op::Index { index } => {
            let x = arg(0)?;
            expect(x.domain == Domain::Global, "only a Global value is indexed")?;
            expect(x.shape.first().is_some_and(|m| index < m), "index out of range")?;
            Ok((Domain::Global, x.shape[1..].to_vec()))
        }
        Op::Stack { items } => {
            let x = arg(0)?;
            expect(x.domain == Domain::Global, "only Global values are stacked")?;
            for i in items.iter().flatten() {
                expect(arg(*i as usize)?.shape == x.shape, "stacked values have one shape")?;
            }
            let mut shape = vec![items.len()];
            shape.extend(&x.shape);
            Ok((Domain::Global, shape))
        }
        Op::Reduce(_) => {
            let x = arg(0)?;
            let Domain::Edges { rel, hop } = x.domain else { return fail("only edges are reduced") };
            Ok((Domain::Nodes { ty: sig.relations[rel as usize].1, hop }, x.shape.clone()))
        }
        Op::CrossEntropy { .. } => {
            let (x, y) = (arg(0)?, arg(1)?);
            expect(x.shape.len() == 1 && y.shape.is_empty() && x.domain == y.domain, "logits and labels")?;
            Ok((x.domain, vec![]))
        }
        Op::CrossEntropyGrad { .. } => {
            let (x, g) = (arg(0)?, arg(2)?);
            expect(join(x.domain, g.domain)? == x.domain, "logits and gradient")?;
            Ok((x.domain, x.shape.clone()))
        }
        Op::ExternalGrad { of, .. } => infer_external_grad(program, args, of),
        other => fail(format!("{other:?} states its own domain")),
    }
}

fn infer_binary(
    a: &Value,
    left: Broadcast,
    b: &Value,
    right: Broadcast,
) -> Result<(Domain, Vec<usize>), VerifyError> {
    let shape = match (left, right) {
        (Broadcast::Full, _) => &a.shape,
        (_, Broadcast::Full) => &b.shape,
        _ => return fail("one operand must have the full shape"),
    };
    let width = shape.iter().product();
    expect(
        fits(a.width(), left, width) && fits(b.width(), right, width),
        &format!("shapes {:?} and {:?} do not fit", a.shape, b.shape),
    )?;
    Ok((join(a.domain, b.domain)?, shape.clone()))
}

/// Global joins anything; otherwise domains must be equal.
pub fn join(a: Domain, b: Domain) -> Result<Domain, VerifyError> {
    match (a, b) {
        (Domain::Global, d) | (d, Domain::Global) => Ok(d),
        (a, b) if a == b => Ok(a),
        (a, b) => fail(format!("{a:?} and {b:?} do not meet")),
    }
}

/// (batch, k, n) of a weight [batch dims…, k, n dims…]; for batch 1 the first dimension is k.
pub fn matrix(w: &Value, batch: usize) -> Result<(usize, usize, usize), VerifyError> {
    expect(w.domain == Domain::Global, "a matrix is Global")?;
    let lead = usize::from(batch != 1);
    expect(
        w.shape.len() > lead && (lead == 0 || w.shape[0] == batch),
        "the matrix lacks its batch dimension",
    )?;
    let k = w.shape[lead];
    let n = w.shape[lead + 1..].iter().product();
    Ok((batch, k, n))
}

fn linear_shape(w: &[usize], batch: usize, _n: usize) -> Vec<usize> {
    if batch == 1 { w[1..].to_vec() } else { [&[batch], &w[2..]].concat() }
}

fn drop_inner(shape: &[usize], inner: usize) -> Result<Vec<usize>, VerifyError> {
    let (outer, _) = split_inner(shape, inner)?;
    Ok(outer.to_vec())
}

fn keep_inner(shape: &[usize], inner: usize) -> Result<Vec<usize>, VerifyError> {
    let (_, kept) = split_inner(shape, inner)?;
    Ok(kept.to_vec())
}

fn split_inner(shape: &[usize], inner: usize) -> Result<(&[usize], &[usize]), VerifyError> {
    (0..=shape.len())
        .rev()
        .map(|i| shape.split_at(i))
        .find(|(_, tail)| tail.iter().product::<usize>() == inner)
        .ok_or_else(|| VerifyError::new(format!("{shape:?} has no trailing block of {inner}")))
}
