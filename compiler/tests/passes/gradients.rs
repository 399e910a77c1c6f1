//! The derivative against central differences, operation by operation and model by model.

use crate::models::{self, Model, Net};
use crate::world::{EDGE_FEATURE, FEATURE, Random, bindings, costs, outputs};
use gsl_compiler::passes::{Options, optimise};
use gsl_plan::interpret::{Bindings, Matrix, interpret};
use gsl_plan::program::*;

const STEP: f64 = 1e-5;
/// Elements of a parameter that are tried.
const TRIES: usize = 4;

fn loss(model: &Model, b: &Bindings) -> f64 {
    let at = model.program.outputs.iter().find(|o| o.role == Role::Loss).expect("a loss");
    interpret(&model.program, &model.signature, b).expect("interpreted")[at.value.index()].data[0]
}

/// The gradient of parameter `p`, rows of a table put back where they came from.
fn gradient(found: &[(Role, Domain, Matrix)], b: &Bindings, p: u32) -> Vec<f64> {
    let mut sum = vec![0.0; b.params[p as usize].len()];
    for (role, domain, g) in found {
        match (role, domain) {
            (Role::Gradient(q), _) if *q == p => sum.iter_mut().zip(&g.data).for_each(|(s, g)| *s += g),
            (Role::RowGradient(q), Domain::Nodes { ty, .. }) if *q == p => {
                for r in 0..g.rows {
                    let id = b.nodes[*ty as usize][r];
                    let row = &mut sum[id * g.width..(id + 1) * g.width];
                    row.iter_mut().zip(g.row(r)).for_each(|(s, g)| *s += g);
                }
            }
            _ => {}
        }
    }
    sum
}

fn check(model: &Model, without: &[&str], positive: bool) {
    let costs = costs();
    let mut options = Options::train(&model.signature, &costs, model.trainable());
    options.without = without.iter().map(|s| s.to_string()).collect();
    let program = optimise(&model.program, &options).unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let mut b = bindings(&model.signature, 3);
    if positive {
        b.params.iter_mut().flatten().for_each(|x| *x = 0.3 + x.abs());
    }
    let found = outputs(&program, &model.signature, &b);
    let mut random = Random(11);
    for p in 0..model.signature.params.len() {
        let exact = gradient(&found, &b, p as u32);
        for _ in 0..TRIES {
            let i = random.below(exact.len());
            let x = b.params[p][i];
            let mut at = |v: f64| {
                b.params[p][i] = v;
                loss(model, &b)
            };
            let slope = (at(x + STEP) - at(x - STEP)) / (2.0 * STEP);
            at(x);
            let near = (slope - exact[i]).abs() <= 1e-6 * (1.0 + slope.abs());
            assert!(
                near,
                "{} {without:?}: parameter {p}[{i}]: {} but the slope is {slope}",
                model.name, exact[i]
            );
        }
    }
}

#[test]
fn of_models() {
    for model in models::all() {
        check(&model, &[], false);
        check(&model, &["hoist", "order", "cse", "narrow"], false);
    }
}

/// A program of one operation: the loss is a random weighting of the result.
fn of(name: &'static str, build: impl FnOnce(&mut Net) -> ValueId) -> Model {
    let mut net = Net::new();
    net.b.at(name, None);
    let y = build(&mut net);
    let (domain, width) = (net.b.domain(y), net.b.value(y).width());
    let y = net.b.reshape(y, &[width]).expect("fits");
    let weights: Vec<ValueId> =
        (0..width).map(|i| net.b.constant(0.3 + 0.17 * ((i * 7) % 5) as f32)).collect();
    let weights = net.concat(&weights);
    let mut weighted = net.mul(y, weights);
    let square = net.unary(UnaryOp::Square, weighted);
    weighted = net.add(weighted, square);
    let mut loss = net.sum_inner(weighted, width);
    if domain != Domain::Global {
        loss = net.b.op(Op::SumRows, &[loss]).expect("fits");
    }
    net.b.output(Role::Loss, loss);
    Model { name, program: net.b.program, signature: net.b.signature }
}

fn a(hop: u32) -> Domain {
    Domain::Nodes { ty: 0, hop }
}

fn edges() -> Domain {
    Domain::Edges { rel: 0, hop: 0 }
}

/// Rows on nodes that depend on a parameter.
fn rows(net: &mut Net, hop: u32, shape: &[usize]) -> ValueId {
    let x = net.feature(a(hop), FEATURE);
    net.linear(x, shape)
}

fn edge_rows(net: &mut Net, shape: &[usize]) -> ValueId {
    let x = net.feature(edges(), EDGE_FEATURE);
    net.linear(x, shape)
}

#[test]
fn of_unary_operations() {
    use UnaryOp::*;
    let ops = [
        Neg,
        Exp,
        Log,
        Sqrt,
        Rsqrt,
        Recip,
        Square,
        Abs,
        Tanh,
        Sigmoid,
        Softplus,
        Relu,
        LeakyRelu(0.2),
        Elu,
        Gelu,
        Step,
        Sign,
    ];
    for op in ops {
        let model = of("unary", |net| {
            let x = net.param(&[6]);
            net.unary(op, x)
        });
        check(&model, &[], true);
        if !matches!(op, Log | Sqrt | Rsqrt | Recip) {
            check(&model, &[], false);
        }
    }
}

#[test]
fn of_binary_operations_under_every_broadcast() {
    use BinaryOp::*;
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[2, 3], &[2, 3]),
        (&[2, 3], &[]),
        (&[2, 3], &[2]),
        (&[2, 3], &[3]),
        (&[3], &[2, 3]),
        (&[2], &[2, 3]),
    ];
    for op in [Add, Sub, Mul, Div, Max, Min, Gt, Ge, Eq] {
        for (left, right) in shapes {
            let model = of("binary", |net| {
                let (x, y) = (net.param(left), net.param(right));
                net.binary(op, x, y)
            });
            check(&model, &[], true);
            let model = of("binary on rows and Global", |net| {
                let (x, y) = (rows(net, 1, left), net.param(right));
                let x = net.unary(Square_, x);
                net.binary(op, x, y)
            });
            check(&model, &[], true);
        }
    }
}

#[allow(non_upper_case_globals)]
const Square_: UnaryOp = UnaryOp::Square;

#[test]
fn of_shapes() {
    let ops: Vec<(&'static str, Op, &[usize], &[usize])> = vec![
        ("expand outer", Op::Expand(Broadcast::Outer { inner: 3 }), &[2], &[2, 3]),
        ("expand inner", Op::Expand(Broadcast::Inner { len: 3 }), &[3], &[2, 3]),
        ("expand scalar", Op::Expand(Broadcast::Scalar), &[], &[4]),
        ("reshape", Op::Reshape, &[2, 3], &[3, 2]),
        ("sum inner", Op::SumInner { inner: 3 }, &[2, 3], &[2]),
        ("sum outer", Op::SumOuter { inner: 3 }, &[2, 3], &[3]),
        ("max inner", Op::MaxInner { inner: 3 }, &[2, 3], &[2]),
        ("slice", Op::Slice { start: 2 }, &[6], &[3]),
        ("dropout", Op::Dropout { p: 0.4, site: 3 }, &[6], &[6]),
        ("stop", Op::StopGradient, &[6], &[6]),
    ];
    for (name, op, from, to) in ops {
        let stops = op == Op::StopGradient;
        for on_nodes in [false, true] {
            let op = op.clone();
            let model = of(name, |net| {
                let x = if on_nodes { rows(net, 1, from) } else { net.param(from) };
                let domain = net.b.domain(x);
                net.b.push(op, &[x], domain, to).expect("fits")
            });
            if !stops {
                check(&model, &[], false);
            }
        }
    }
}

#[test]
fn of_a_stopped_value_is_none() {
    let model = of("stop", |net| {
        let x = net.param(&[3]);
        let stopped = net.b.op(Op::StopGradient, &[x]).expect("fits");
        net.mul(x, stopped)
    });
    let costs = costs();
    let options = Options::train(&model.signature, &costs, vec![true]);
    let program = optimise(&model.program, &options).expect("compiles");
    let b = bindings(&model.signature, 3);
    let found = gradient(&outputs(&program, &model.signature, &b), &b, 0);
    let x = &b.params[0];
    for i in 0..3 {
        let w = f64::from(0.3f32 + 0.17 * ((i * 7) % 5) as f32);
        let y = x[i] * x[i];
        assert!((found[i] - (w + 2.0 * w * w * y) * x[i]).abs() < 1e-6);
    }
}

#[test]
fn of_concatenations_and_their_parts() {
    check(
        &of("concat", |net| {
            let (x, y, z) = (rows(net, 1, &[2]), net.param(&[3]), rows(net, 1, &[1]));
            net.concat(&[x, y, z, x])
        }),
        &[],
        false,
    );
    check(
        &of("overlapping slices", |net| {
            let x = net.param(&[6]);
            let take = |net: &mut Net, start: usize| {
                net.b.push(Op::Slice { start }, &[x], Domain::Global, &[3]).expect("fits")
            };
            let (p, q, r) = (take(net, 0), take(net, 2), take(net, 3));
            let pq = net.mul(p, q);
            net.mul(pq, r)
        }),
        &[],
        false,
    );
}

#[test]
fn of_products() {
    for batch in [1, 2] {
        let lead: &[usize] = if batch == 1 { &[] } else { &[2] };
        let both = |net: &mut Net| {
            let x = rows(net, 1, &[lead, &[3]].concat());
            let w = net.param(&[lead, &[3, 4]].concat());
            (x, w)
        };
        check(
            &of("linear", |net| {
                let (x, w) = both(net);
                net.b.linear(x, w, batch).expect("fits")
            }),
            &[],
            false,
        );
        check(
            &of("linear transposed", |net| {
                let (x, _) = both(net);
                let w = net.param(&[lead, &[4, 3]].concat());
                net.b.op(Op::LinearT { batch }, &[x, w]).expect("fits")
            }),
            &[],
            false,
        );
        check(
            &of("outer", |net| {
                let (x, _) = both(net);
                let y = rows(net, 1, &[lead, &[2]].concat());
                net.b.op(Op::Outer { batch }, &[x, y]).expect("fits")
            }),
            &[],
            false,
        );
    }
}

#[test]
fn of_stacks_and_entries() {
    check(
        &of("index", |net| {
            let x = net.param(&[3, 2]);
            let at = |net: &mut Net, index: usize| net.b.op(Op::Index { index }, &[x]).expect("an entry");
            let (p, q, r) = (at(net, 0), at(net, 2), at(net, 0));
            let pq = net.mul(p, q);
            net.mul(pq, r)
        }),
        &[],
        false,
    );
    check(
        &of("stack", |net| {
            let (x, y) = (net.param(&[2]), net.param(&[2]));
            let x = net.unary(UnaryOp::Tanh, x);
            net.b.op(Op::Stack { items: vec![Some(1), None, Some(0)] }, &[x, y]).expect("fits")
        }),
        &[],
        false,
    );
}

#[test]
fn of_movements() {
    check(
        &of("source", |net| {
            let x = rows(net, 1, &[3]);
            net.b.src(x, 0, 0).expect("a source")
        }),
        &[],
        false,
    );
    check(
        &of("destination", |net| {
            let x = rows(net, 0, &[3]);
            net.b.dst(x, 0, 0).expect("a destination")
        }),
        &[],
        false,
    );
    check(
        &of("reduce to source", |net| {
            let x = edge_rows(net, &[3]);
            net.b.push(Op::ReduceSrc, &[x], a(1), &[3]).expect("fits")
        }),
        &[],
        false,
    );
    for op in [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max, ReduceOp::Min] {
        check(
            &of("reduce", |net| {
                let x = edge_rows(net, &[3]);
                net.reduce(op, x)
            }),
            &[],
            false,
        );
    }
    check(
        &of("prefix and pad", |net| {
            let x = rows(net, 2, &[3]);
            let first = net.b.prefix(x, 0).expect("on nodes");
            let first = net.unary(UnaryOp::Tanh, first);
            net.b.push(Op::Pad, &[first], a(1), &[3]).expect("fits")
        }),
        &[],
        false,
    );
    check(
        &of("sum of rows, read in every row", |net| {
            let x = rows(net, 1, &[3]);
            let sum = net.b.op(Op::SumRows, &[x]).expect("fits");
            let y = net.mul(x, sum);
            let bias = net.param(&[3]);
            let all = net.add(y, bias);
            net.b.op(Op::SumRows, &[all]).expect("fits")
        }),
        &[],
        false,
    );
}

#[test]
fn ties_share_the_gradient() {
    let model = of("ties", |net| {
        let x = net.param(&[2]);
        let same = net.b.constant(0.0);
        let x_on_edges = {
            let f = net.feature(edges(), EDGE_FEATURE);
            let f = net.b.push(Op::Slice { start: 0 }, &[f], edges(), &[]).expect("fits");
            let nothing = net.mul(f, same);
            net.binary(BinaryOp::Add, nothing, x)
        };
        net.reduce(ReduceOp::Max, x_on_edges)
    });
    check(&model, &[], false);
}

#[test]
fn frozen_parameters_have_none() {
    let model = models::rgcn();
    let costs = costs();
    let mut trainable = model.trainable();
    trainable[0] = false;
    trainable[2] = false;
    let options = Options::train(&model.signature, &costs, trainable);
    let program = optimise(&model.program, &options).expect("compiles");
    assert!(program.outputs.iter().all(|o| o.role != Role::Gradient(0) && o.role != Role::RowGradient(2)));
    assert!(program.outputs.iter().any(|o| o.role == Role::Gradient(3)));
}
