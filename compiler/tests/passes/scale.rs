//! Ninety relations, two layers: thousands of values compile in a moment.

use crate::models::Net;
use gsl_compiler::passes::{Costs, Options, compile};
use gsl_plan::program::*;
use std::time::{Duration, Instant};

const WIDTH: usize = 64;
const TYPES: u32 = 3;
const RELATIONS: u32 = 90;

fn relational() -> (Program, Signature) {
    let mut net = Net::new();
    let ends = |r: u32| (r % TYPES, (r / TYPES) % TYPES);
    net.b.signature.relations = (0..RELATIONS).map(ends).collect();
    let mut h: Vec<ValueId> = (0..TYPES).map(|ty| table(&mut net, ty)).collect();
    for hop in [1, 0] {
        h = layer(&mut net, &h, hop);
    }
    let rows = net.b.op(Op::SumRows, &[h[0]]).expect("fits");
    let loss = net.sum_inner(rows, WIDTH);
    net.b.output(Role::Loss, loss);
    (net.b.program, net.b.signature)
}

fn table(net: &mut Net, ty: u32) -> ValueId {
    net.b.signature.params.push(vec![1000, WIDTH]);
    let param = net.b.signature.params.len() as u32 - 1;
    net.b.push(Op::Embedding { param }, &[], Domain::Nodes { ty, hop: 2 }, &[WIDTH]).expect("a table")
}

fn layer(net: &mut Net, h: &[ValueId], hop: u32) -> Vec<ValueId> {
    let mut next = vec![];
    for ty in 0..TYPES {
        let here = net.b.prefix(h[ty as usize], hop).expect("on nodes");
        let mut sum = net.affine(here, WIDTH);
        for rel in (0..RELATIONS).filter(|r| (r / TYPES) % TYPES == ty) {
            let u = net.b.src(h[(rel % TYPES) as usize], rel, hop).expect("a source");
            let m = net.linear(u, &[WIDTH]);
            let m = net.reduce(ReduceOp::Mean, m);
            sum = net.add(sum, m);
        }
        next.push(net.unary(UnaryOp::Relu, sum));
    }
    next
}

#[test]
fn ninety_relations_compile_in_a_moment() {
    let (program, signature) = relational();
    let costs = Costs {
        nodes: vec![vec![100.0, 1000.0, 5000.0]; TYPES as usize],
        edges: vec![vec![500.0, 3000.0]; RELATIONS as usize],
    };
    let options = Options::train(&signature, &costs, vec![true; signature.params.len()]);
    let start = Instant::now();
    let exec = compile(program, &options, None).unwrap_or_else(|e| panic!("{e}"));
    let took = start.elapsed();
    println!("{} values, {} steps: {took:?}", exec.program.values.len(), exec.schedule.steps.len());
    assert!(exec.program.values.len() > 1000);
    assert!(took < Duration::from_secs(3), "{took:?}");
}
