//! The choices that passes make, each on the smallest program that has the choice.

use crate::models::Net;
use crate::world::FEATURE;
use gsl_compiler::passes::{Costs, Options, optimise};
use gsl_plan::program::*;

fn costs(sources: f64, edges: f64, targets: f64) -> Costs {
    Costs { nodes: vec![vec![targets, sources]; 2], edges: vec![vec![edges]; 3] }
}

fn optimised(mut net: Net, y: ValueId, costs: &Costs, train: bool) -> Program {
    net.b.output(Role::Hidden { ty: 0 }, y);
    if train {
        let rows = net.b.op(Op::SumRows, &[y]).expect("fits");
        let width = net.b.value(rows).width();
        let loss = net.sum_inner(rows, width);
        net.b.output(Role::Loss, loss);
    }
    let signature = net.b.signature.clone();
    let mut options = Options::train(&signature, costs, vec![true; signature.params.len()]);
    options.train = train;
    optimise(&net.b.program, &options).unwrap_or_else(|e| panic!("{e}"))
}

fn find(program: &Program, wanted: impl Fn(&Op) -> bool) -> Vec<&Value> {
    program.values.iter().filter(|v| wanted(&v.op)).collect()
}

fn linear(op: &Op) -> bool {
    matches!(op, Op::Linear { .. })
}

/// mean of (x[u] W) c with a scalar on the edge.
fn mean_of_product(k: usize, n: usize, costs: &Costs) -> Program {
    let mut net = Net::new();
    let x = net.b.push(Op::Hidden, &[], Domain::Nodes { ty: 0, hop: 1 }, &[k]).expect("a leaf");
    let u = net.b.src(x, 0, 0).expect("a source");
    let z = net.linear(u, &[n]);
    let w = net.feature(Domain::Edges { rel: 0, hop: 0 }, 1);
    let c = net.unary(UnaryOp::Sigmoid, w);
    let m = net.mul(z, c);
    let y = net.reduce(ReduceOp::Mean, m);
    optimised(net, y, costs, false)
}

#[test]
fn the_product_runs_where_there_are_fewer_rows() {
    let few_targets = mean_of_product(8, 8, &costs(5000.0, 6000.0, 10.0));
    assert_eq!(find(&few_targets, linear)[0].domain, Domain::Nodes { ty: 0, hop: 0 }, "{few_targets}");
    let few_sources = mean_of_product(8, 8, &costs(10.0, 6000.0, 5000.0));
    assert_eq!(find(&few_sources, linear)[0].domain, Domain::Nodes { ty: 0, hop: 1 }, "{few_sources}");
}

#[test]
fn edges_are_read_at_the_narrower_width() {
    let narrowing = mean_of_product(64, 2, &costs(1000.0, 50_000.0, 1000.0));
    assert_eq!(find(&narrowing, linear)[0].domain, Domain::Nodes { ty: 0, hop: 1 }, "{narrowing}");
    let widening = mean_of_product(2, 64, &costs(1000.0, 50_000.0, 1000.0));
    assert_eq!(find(&widening, linear)[0].domain, Domain::Nodes { ty: 0, hop: 0 }, "{widening}");
}

#[test]
fn one_matrix_for_all_relations_is_one_product() {
    let mut net = Net::new();
    let w = net.param(&[FEATURE, 2]);
    let terms: Vec<ValueId> = [(0, 0), (1, 1)]
        .map(|(rel, ty)| {
            let x = net.feature(Domain::Nodes { ty, hop: 1 }, FEATURE);
            let u = net.b.src(x, rel, 0).expect("a source");
            let m = net.b.linear(u, w, 1).expect("fits");
            net.reduce(ReduceOp::Mean, m)
        })
        .to_vec();
    let y = net.add(terms[0], terms[1]);
    let program = optimised(net, y, &costs(5000.0, 6000.0, 10.0), false);
    assert_eq!(find(&program, linear).len(), 1, "{program}");
}

#[test]
fn what_depends_on_the_target_alone_leaves_the_sum() {
    let mut net = Net::new();
    let nodes = |hop| Domain::Nodes { ty: 0, hop };
    let near = net.feature(nodes(0), FEATURE);
    let near = net.unary(UnaryOp::Tanh, near);
    let v = net.b.dst(near, 0, 0).expect("a destination");
    let w = net.feature(Domain::Edges { rel: 0, hop: 0 }, FEATURE);
    let m = net.mul(v, w);
    let y = net.reduce(ReduceOp::Sum, m);
    let program = optimised(net, y, &costs(50.0, 60.0, 10.0), false);
    assert!(find(&program, |op| *op == Op::Dst).is_empty(), "{program}");
}

#[test]
fn what_may_be_infinite_stays_in_the_sum() {
    let mut net = Net::new();
    let degree = net.b.push(Op::Degree, &[], Domain::Nodes { ty: 0, hop: 0 }, &[]).expect("a leaf");
    let norm = net.unary(UnaryOp::Rsqrt, degree);
    let v = net.b.dst(norm, 0, 0).expect("a destination");
    let w = net.feature(Domain::Edges { rel: 0, hop: 0 }, FEATURE);
    let m = net.mul(v, w);
    let y = net.reduce(ReduceOp::Sum, m);
    let program = optimised(net, y, &costs(50.0, 60.0, 10.0), false);
    assert_eq!(find(&program, |op| *op == Op::Dst).len(), 1, "{program}");
}

#[test]
fn dropout_on_edges_stays_on_edges() {
    let mut net = Net::new();
    let x = net.feature(Domain::Nodes { ty: 0, hop: 1 }, FEATURE);
    let u = net.b.src(x, 0, 0).expect("a source");
    let dropped = net.dropout(u);
    let z = net.linear(dropped, &[2]);
    let y = net.reduce(ReduceOp::Max, z);
    let program = optimised(net, y, &costs(50.0, 60.0, 10.0), true);
    let edges = Domain::Edges { rel: 0, hop: 0 };
    assert!(
        find(&program, |op| matches!(op, Op::Dropout { .. })).iter().all(|v| v.domain == edges),
        "{program}"
    );
}

#[test]
fn only_the_rows_that_are_read_are_computed() {
    let mut net = Net::new();
    let x = net.feature(Domain::Nodes { ty: 0, hop: 2 }, FEATURE);
    let h = net.affine(x, 4);
    let h = net.unary(UnaryOp::Relu, h);
    let seeds = net.b.prefix(h, 0).expect("on nodes");
    let program = optimised(net, seeds, &costs(50.0, 60.0, 10.0), true);
    let nearest = Domain::Nodes { ty: 0, hop: 0 };
    assert!(program.values.iter().all(|v| v.domain == nearest || v.domain == Domain::Global), "{program}");
}

#[test]
fn features_get_no_gradient() {
    let mut net = Net::new();
    let x = net.feature(Domain::Nodes { ty: 0, hop: 1 }, FEATURE);
    let u = net.b.src(x, 0, 0).expect("a source");
    let z = net.linear(u, &[2]);
    let y = net.reduce(ReduceOp::Sum, z);
    let program = optimised(net, y, &costs(50.0, 60.0, 10.0), true);
    assert!(find(&program, |op| matches!(op, Op::LinearT { .. })).is_empty(), "{program}");
}

#[test]
fn identities_disappear() {
    let mut net = Net::new();
    let x = net.feature(Domain::Nodes { ty: 0, hop: 0 }, 4);
    let (one, zero, two) = (net.b.constant(1.0), net.b.constant(0.0), net.b.constant(2.0));
    let y = net.mul(x, one);
    let y = net.add(zero, y);
    let y = net.unary(UnaryOp::Neg, y);
    let y = net.unary(UnaryOp::Neg, y);
    let y = net.b.reshape(y, &[2, 2]).expect("fits");
    let y = net.b.reshape(y, &[4]).expect("fits");
    let four = net.mul(two, two);
    let y = net.mul(y, four);
    let program = optimised(net, y, &costs(50.0, 60.0, 10.0), false);
    assert_eq!(program.values.len(), 3, "a leaf, a constant, a product\n{program}");
    assert!(program.values.iter().any(|v| v.op == Op::Const(4.0)), "{program}");
}
