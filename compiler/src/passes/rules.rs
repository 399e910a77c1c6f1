//! The gradient rules. Above each its formula: y = f(x), g = ∂L/∂y, and ∂L/∂x in terms of g, x and y.
//!
//! Not decided here: in which order they are applied, and where gradients end (see `differentiate`).

use super::differentiate::Adjoint;
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;

type Done = Result<(), VerifyError>;

/// Operations whose result does not change with their operands, as far as gradients see.
pub(super) fn is_flat(op: &Op) -> bool {
    use BinaryOp::*;
    use UnaryOp::*;
    matches!(
        op,
        Op::StopGradient
            | Op::Binary { op: Eq | Gt | Ge, .. }
            | Op::Unary(Step | Sign | LeakyReluGrad(_) | EluGrad | GeluGrad)
    )
}

/// Adds the contributions of value `y`, whose gradient is `g`, to the gradients of its operands.
pub(super) fn backward(a: &mut Adjoint, y: ValueId, g: ValueId) -> Done {
    let value = a.b.value(y).clone();
    let x = value.args.first().copied().unwrap_or(y);
    match value.op {
        Op::Unary(op) => unary(a, op, x, y, g),
        Op::Binary { op, left, right } => binary(a, op, [left, right], &value, y, g),
        Op::Expand(by) => narrow(a, x, by, y, g),
        Op::Reshape => reshaped(a, x, g),
        Op::SumInner { inner } => spread(a, x, g, Broadcast::Outer { inner }),
        Op::SumOuter { inner } => spread(a, x, g, Broadcast::Inner { len: inner }),
        Op::MaxInner { inner } => max_inner(a, x, y, g, inner),
        Op::Slice { start } => {
            a.add_slice(x, start, g);
            Ok(())
        }
        Op::Concat => concat(a, &value, y, g),
        // y = m ⊙ x with a mask m that the site determines: ∂x = m ⊙ g.
        Op::Dropout { p, site } => {
            let g = a.per_row(g, y)?;
            let masked = a.b.op(Op::Dropout { p, site }, &[g])?;
            a.add(x, masked);
            Ok(())
        }
        Op::Linear { batch } => linear(a, &value, y, g, batch),
        Op::LinearT { batch } => linear_t(a, &value, y, g, batch),
        Op::Outer { batch } => outer(a, &value, g, batch),
        // y = Σ_rows x: every row's gradient is g, which stays Global.
        Op::SumRows => {
            a.add(x, g);
            Ok(())
        }
        Op::Index { index } => {
            a.add_entry(x, index, g);
            Ok(())
        }
        Op::Stack { ref items } => stack(a, &value, items, g),
        Op::Src | Op::Dst | Op::Reduce(_) | Op::ReduceSrc | Op::Prefix | Op::Pad => moved(a, &value, y, g),
        // e = x_src · y_dst: ∂x_u = Σ_{e leaves u} g_e y_dst, ∂y_v = Σ_{e enters v} g_e x_src
        Op::Dot => {
            let g = a.per_row(g, y)?;
            let other = value.args[1];
            let (dx, dy) = (a.b.value(x).clone(), a.b.value(other).clone());
            let gx = a.b.push(Op::DotToSrc, &[g, other], dx.domain, &dx.shape)?;
            let gy = a.b.push(Op::DotToDst, &[g, x], dy.domain, &dy.shape)?;
            a.add(x, gx);
            a.add(other, gy);
            Ok(())
        }
        Op::DotToDst | Op::DotToSrc => Err(VerifyError::new("a product over edges is differentiated once")),
        Op::CrossEntropy { smoothing } => {
            let g = a.per_row(g, y)?;
            let args = [x, value.args[1], g];
            let gx = a.b.op(Op::CrossEntropyGrad { smoothing }, &args)?;
            a.add(x, gx);
            Ok(())
        }
        Op::External { ref name } => external(a, name, &value, y, g),
        Op::ExternalGrad { .. } => {
            Err(VerifyError::new("a function from outside is differentiated once, not twice"))
        }
        Op::CrossEntropyGrad { .. } => Err(VerifyError::new("a loss is differentiated once, not twice")),
        _ => Ok(()),
    }
}

/// y = f(x₁ …): the function gives all of its gradients side by side, those of rows in one value, those of what rows share in another.
fn external(a: &mut Adjoint, name: &str, value: &Value, y: ValueId, g: ValueId) -> Done {
    let g = a.per_row(g, y)?;
    let mut args = value.args.clone();
    args.push(g);
    let is_shared = |a: &Adjoint, x: ValueId| a.b.domain(x) == Domain::Global;
    for shared in [false, true] {
        let wanted = (0..value.args.len() as u32).filter(|&i| {
            let x = value.args[i as usize];
            a.needs(x) && is_shared(a, x) == shared
        });
        let of: Vec<u32> = wanted.collect();
        if of.is_empty() {
            continue;
        }
        let all = a.b.op(Op::ExternalGrad { name: name.to_owned(), of: of.clone() }, &args)?;
        let domain = a.b.domain(all);
        let mut start = 0;
        for i in of {
            let x = value.args[i as usize];
            let shape = a.b.shape(x).to_vec();
            let part = a.b.push(Op::Slice { start }, &[all], domain, &shape)?;
            start += a.b.value(x).width();
            a.add(x, part);
        }
    }
    Ok(())
}

fn unary(a: &mut Adjoint, op: UnaryOp, x: ValueId, y: ValueId, g: ValueId) -> Done {
    use UnaryOp::*;
    let gx = match op {
        // −g
        Neg => a.b.unary(Neg, g)?,
        // g y
        Exp => a.full(BinaryOp::Mul, g, y)?,
        // g / x
        Log => a.full(BinaryOp::Div, g, x)?,
        // g / 2y
        Sqrt => {
            let half = a.scale(g, 0.5)?;
            a.full(BinaryOp::Div, half, y)?
        }
        // −g y³ / 2
        Rsqrt => {
            let square = a.b.unary(Square, y)?;
            let cube = a.full(BinaryOp::Mul, square, y)?;
            let slope = a.scale(cube, -0.5)?;
            a.full(BinaryOp::Mul, g, slope)?
        }
        // −g y²
        Recip => {
            let square = a.b.unary(Square, y)?;
            let slope = a.b.unary(Neg, square)?;
            a.full(BinaryOp::Mul, g, slope)?
        }
        // 2 g x
        Square => {
            let double = a.scale(x, 2.0)?;
            a.full(BinaryOp::Mul, g, double)?
        }
        // g sign(x)
        Abs => times(a, g, Sign, x)?,
        // g cos(x)
        Sin => times(a, g, Cos, x)?,
        // −g sin(x)
        Cos => {
            let along = times(a, g, Sin, x)?;
            a.b.unary(Neg, along)?
        }
        // g (1 − y²)
        Tanh => {
            let square = a.b.unary(Square, y)?;
            let slope = one_minus(a, square)?;
            a.full(BinaryOp::Mul, g, slope)?
        }
        // g y (1 − y)
        Sigmoid => {
            let rest = one_minus(a, y)?;
            let slope = a.full(BinaryOp::Mul, y, rest)?;
            a.full(BinaryOp::Mul, g, slope)?
        }
        // g σ(x)
        Softplus => times(a, g, Sigmoid, x)?,
        // g [y > 0]: the sign of y is that of x, and y is kept anyway
        Relu => times(a, g, Step, y)?,
        // g · (1 or the slope)
        LeakyRelu(slope) => times(a, g, LeakyReluGrad(slope), if slope > 0.0 { y } else { x })?,
        Elu => times(a, g, EluGrad, x)?,
        Gelu => times(a, g, GeluGrad, x)?,
        Sign | Step | LeakyReluGrad(_) | EluGrad | GeluGrad => return Ok(()),
    };
    a.add(x, gx);
    Ok(())
}

fn times(a: &mut Adjoint, g: ValueId, slope: UnaryOp, at: ValueId) -> Result<ValueId, VerifyError> {
    let slope = a.b.unary(slope, at)?;
    a.full(BinaryOp::Mul, g, slope)
}

fn one_minus(a: &mut Adjoint, x: ValueId) -> Result<ValueId, VerifyError> {
    let one = a.b.constant(1.0);
    let (left, right) = (Broadcast::Scalar, Broadcast::Full);
    a.b.op(Op::Binary { op: BinaryOp::Sub, left, right }, &[one, x])
}

fn binary(a: &mut Adjoint, op: BinaryOp, by: [Broadcast; 2], value: &Value, y: ValueId, g: ValueId) -> Done {
    let [p, q] = [value.args[0], value.args[1]];
    let slopes = [a.needs(p), a.needs(q)];
    if slopes[0] {
        let gp = left_gradient(a, op, by, [p, q], g)?;
        narrow(a, p, by[0], y, gp)?;
    }
    if slopes[1] {
        let gq = right_gradient(a, op, by, [p, q], y, g)?;
        narrow(a, q, by[1], y, gq)?;
    }
    Ok(())
}

/// y = p + q: g. y = p − q: g. y = p q: g q. y = p / q: g / q. y = max(p, q): g [p ≥ q]. y = min(p, q): g [q ≥ p].
fn left_gradient(
    a: &mut Adjoint,
    op: BinaryOp,
    by: [Broadcast; 2],
    [p, q]: [ValueId; 2],
    g: ValueId,
) -> Result<ValueId, VerifyError> {
    match op {
        BinaryOp::Mul | BinaryOp::Div => {
            a.b.op(Op::Binary { op, left: Broadcast::Full, right: by[1] }, &[g, q])
        }
        BinaryOp::Max => masked(a, BinaryOp::Ge, by, [p, q], g),
        BinaryOp::Min => masked(a, BinaryOp::Ge, [by[1], by[0]], [q, p], g),
        _ => Ok(g),
    }
}

/// y = p + q: g. y = p − q: −g. y = p q: g p. y = p / q: −g y / q. y = max(p, q): g [q > p]. y = min(p, q): g [p > q].
fn right_gradient(
    a: &mut Adjoint,
    op: BinaryOp,
    by: [Broadcast; 2],
    [p, q]: [ValueId; 2],
    y: ValueId,
    g: ValueId,
) -> Result<ValueId, VerifyError> {
    match op {
        BinaryOp::Sub => a.b.unary(UnaryOp::Neg, g),
        BinaryOp::Mul => a.b.op(Op::Binary { op, left: Broadcast::Full, right: by[0] }, &[g, p]),
        BinaryOp::Div => {
            let gy = a.full(BinaryOp::Mul, g, y)?;
            let ratio = a.b.op(Op::Binary { op, left: Broadcast::Full, right: by[1] }, &[gy, q])?;
            a.b.unary(UnaryOp::Neg, ratio)
        }
        BinaryOp::Max => masked(a, BinaryOp::Gt, [by[1], by[0]], [q, p], g),
        BinaryOp::Min => masked(a, BinaryOp::Gt, by, [p, q], g),
        _ => Ok(g),
    }
}

fn masked(
    a: &mut Adjoint,
    compare: BinaryOp,
    by: [Broadcast; 2],
    args: [ValueId; 2],
    g: ValueId,
) -> Result<ValueId, VerifyError> {
    let mask = a.b.op(Op::Binary { op: compare, left: by[0], right: by[1] }, &args)?;
    a.full(BinaryOp::Mul, g, mask)
}

/// x was read through `by` to match y: its gradient is summed over the elements, and over the rows, that read it.
fn narrow(a: &mut Adjoint, x: ValueId, by: Broadcast, y: ValueId, g: ValueId) -> Done {
    if !a.needs(x) {
        return Ok(());
    }
    let mut g = g;
    let repeated = a.b.domain(x) == Domain::Global && a.b.domain(y) != Domain::Global;
    if repeated {
        let rows = a.per_row(g, y)?;
        g = rows;
    }
    let width = a.b.value(g).width();
    let (op, inner) = match by {
        Broadcast::Full => (None, width),
        Broadcast::Scalar => (Some(Op::SumInner { inner: width }), width),
        Broadcast::Outer { inner } => (Some(Op::SumInner { inner }), inner),
        Broadcast::Inner { len } => (Some(Op::SumOuter { inner: len }), len),
    };
    if let Some(op) = op {
        let blocks = a.b.reshape(g, &[width / inner, inner])?;
        g = a.b.op(op, &[blocks])?;
    }
    if repeated {
        g = a.b.op(Op::SumRows, &[g])?;
    }
    reshaped(a, x, g)
}

/// Same elements in the shape of x.
fn reshaped(a: &mut Adjoint, x: ValueId, g: ValueId) -> Done {
    let shape = a.b.shape(x).to_vec();
    let gx = a.b.reshape(g, &shape)?;
    a.add(x, gx);
    Ok(())
}

/// y[o] = Σ_i x[o, i]: ∂x[o, i] = g[o]; y[i] = Σ_o x[o, i]: ∂x[o, i] = g[i].
fn spread(a: &mut Adjoint, x: ValueId, g: ValueId, by: Broadcast) -> Done {
    let (domain, shape) = (a.b.domain(g), a.b.shape(x).to_vec());
    let gx = a.b.push(Op::Expand(by), &[g], domain, &shape)?;
    a.add(x, gx);
    Ok(())
}

/// y[o] = max_i x[o, i]: ∂x[o, i] = g[o] [x[o, i] = y[o]] / Σ_j [x[o, j] = y[o]].
fn max_inner(a: &mut Adjoint, x: ValueId, y: ValueId, g: ValueId, inner: usize) -> Done {
    let (left, right) = (Broadcast::Full, Broadcast::Outer { inner });
    let mask = a.b.op(Op::Binary { op: BinaryOp::Eq, left, right }, &[x, y])?;
    let ties = a.b.op(Op::SumInner { inner }, &[mask])?;
    let share = a.full(BinaryOp::Div, g, ties)?;
    let gx = a.b.op(Op::Binary { op: BinaryOp::Mul, left, right }, &[mask, share])?;
    a.add(x, gx);
    Ok(())
}

/// y = [x₁ ‖ x₂ ‖ …]: ∂xᵢ is that part of g, summed over rows where xᵢ is Global.
fn concat(a: &mut Adjoint, value: &Value, y: ValueId, g: ValueId) -> Done {
    let mut start = 0;
    for x in &value.args {
        let shape = a.b.shape(*x).to_vec();
        let width = a.b.value(*x).width();
        if a.needs(*x) {
            let domain = a.b.domain(g);
            let part = a.b.push(Op::Slice { start }, &[g], domain, &shape)?;
            narrow(a, *x, Broadcast::Full, y, part)?;
        }
        start += width;
    }
    Ok(())
}

/// y[b, n] = Σ_k x[b, k] W[b, k, n]: ∂x = LinearT(g, W), ∂W[b, k, n] = Σ_rows x[b, k] g[b, n].
fn linear(a: &mut Adjoint, value: &Value, y: ValueId, g: ValueId, batch: usize) -> Done {
    let [x, w] = [value.args[0], value.args[1]];
    if a.needs(x) {
        let gx = a.b.op(Op::LinearT { batch }, &[g, w])?;
        reshaped(a, x, gx)?;
    }
    if a.needs(w) {
        let rows = a.per_row(g, y)?;
        let gw = a.b.op(Op::Outer { batch }, &[x, rows])?;
        reshaped(a, w, gw)?;
    }
    Ok(())
}

/// y[b, k] = Σ_n x[b, n] W[b, k, n]: ∂x = Linear(g, W), ∂W[b, k, n] = Σ_rows g[b, k] x[b, n].
fn linear_t(a: &mut Adjoint, value: &Value, y: ValueId, g: ValueId, batch: usize) -> Done {
    let [x, w] = [value.args[0], value.args[1]];
    if a.needs(x) {
        let gx = a.b.op(Op::Linear { batch }, &[g, w])?;
        reshaped(a, x, gx)?;
    }
    if a.needs(w) {
        let rows = a.per_row(g, y)?;
        let gw = a.b.op(Op::Outer { batch }, &[rows, x])?;
        reshaped(a, w, gw)?;
    }
    Ok(())
}

/// Y[b, k, n] = Σ_rows x[b, k] z[b, n], G = ∂L/∂Y: ∂x = LinearT(z, G), ∂z = Linear(x, G).
fn outer(a: &mut Adjoint, value: &Value, g: ValueId, batch: usize) -> Done {
    let [x, z] = [value.args[0], value.args[1]];
    if a.needs(x) {
        let gx = a.b.op(Op::LinearT { batch }, &[z, g])?;
        reshaped(a, x, gx)?;
    }
    if a.needs(z) {
        let gz = a.b.op(Op::Linear { batch }, &[x, g])?;
        reshaped(a, z, gz)?;
    }
    Ok(())
}

/// Y = [x₁; x₂; …]: ∂xᵢ is entry i of G.
fn stack(a: &mut Adjoint, value: &Value, items: &[Option<u32>], g: ValueId) -> Done {
    for (index, item) in items.iter().enumerate() {
        let Some(x) = item.map(|i| value.args[i as usize]) else { continue };
        if a.needs(x) {
            let gx = a.b.op(Op::Index { index }, &[g])?;
            a.add(x, gx);
        }
    }
    Ok(())
}

/// Rows that move: each movement has its mirror image.
fn moved(a: &mut Adjoint, value: &Value, y: ValueId, g: ValueId) -> Done {
    let x = value.args[0];
    let (domain, shape) = (a.b.domain(x), a.b.shape(x).to_vec());
    let g = a.per_row(g, y)?;
    let gx = match value.op {
        // y_e = x_src(e): ∂x_u = Σ_{e leaves u} g_e
        Op::Src => a.b.push(Op::ReduceSrc, &[g], domain, &shape)?,
        // y_e = x_dst(e): ∂x_v = Σ_{e enters v} g_e
        Op::Dst => a.b.op(Op::Reduce(ReduceOp::Sum), &[g])?,
        // y_u = Σ_{e leaves u} x_e: ∂x_e = g_src(e)
        Op::ReduceSrc => a.b.push(Op::Src, &[g], domain, &shape)?,
        // y_v = Σ_{e enters v} x_e: ∂x_e = g_dst(e)
        Op::Reduce(ReduceOp::Sum) => a.b.push(Op::Dst, &[g], domain, &shape)?,
        Op::Reduce(ReduceOp::Mean) => mean(a, domain, &shape, g)?,
        Op::Reduce(ReduceOp::Max | ReduceOp::Min) => extreme(a, x, y, g)?,
        // the first rows ↔ zeros below
        Op::Prefix => a.b.push(Op::Pad, &[g], domain, &shape)?,
        _ => a.b.push(Op::Prefix, &[g], domain, &shape)?,
    };
    a.add(x, gx);
    Ok(())
}

/// y_v = 1/n_v Σ x_e: ∂x_e = (g / n)_dst(e).
fn mean(a: &mut Adjoint, edges: Domain, shape: &[usize], g: ValueId) -> Result<ValueId, VerifyError> {
    let Domain::Edges { rel, .. } = edges else { return Err(VerifyError::new("a mean is over edges")) };
    let nodes = a.b.domain(g);
    let recip = a.b.push(Op::RecipCount { rel }, &[], nodes, &[])?;
    let (left, right) = (Broadcast::Full, Broadcast::Scalar);
    let share = a.b.op(Op::Binary { op: BinaryOp::Mul, left, right }, &[g, recip])?;
    a.b.push(Op::Dst, &[share], edges, shape)
}

/// y_v = max x_e: ∂x_e = [x_e = y_v] g_v / t_v with t_v = Σ_e [x_e = y_v], the number of edges that tie.
fn extreme(a: &mut Adjoint, x: ValueId, y: ValueId, g: ValueId) -> Result<ValueId, VerifyError> {
    let (edges, shape) = (a.b.domain(x), a.b.shape(x).to_vec());
    let at_edge = a.b.push(Op::Dst, &[y], edges, &shape)?;
    let mask = a.full(BinaryOp::Eq, x, at_edge)?;
    let ties = a.b.op(Op::Reduce(ReduceOp::Sum), &[mask])?;
    let one = a.b.constant(1.0);
    let (left, right) = (Broadcast::Full, Broadcast::Scalar);
    let ties = a.b.op(Op::Binary { op: BinaryOp::Max, left, right }, &[ties, one])?;
    let share = a.full(BinaryOp::Div, g, ties)?;
    let share = a.b.push(Op::Dst, &[share], edges, &shape)?;
    a.full(BinaryOp::Mul, mask, share)
}
