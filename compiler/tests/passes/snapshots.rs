//! What each pass makes of a program, as text. `UPDATE=1` rewrites the expectations.

use crate::models::{self, Net};
use crate::world::{FEATURE, costs};
use gsl_compiler::passes::{Options, Snapshot, compile};
use gsl_plan::program::*;
use std::fs;
use std::path::PathBuf;

fn check(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/passes/snapshots").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(&path, found).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} differs; UPDATE=1 accepts\n{found}");
}

/// The text after each pass that changes something.
fn changes(trace: &[Snapshot]) -> String {
    let mut text = String::new();
    let mut last = "";
    for snapshot in trace {
        if snapshot.text != last {
            text += &format!("== {} ==\n{}\n", snapshot.pass, snapshot.text);
        }
        last = &snapshot.text;
    }
    text
}

fn trace(program: Program, signature: &Signature, train: bool) -> Vec<Snapshot> {
    let costs = costs();
    let mut options = Options::train(signature, &costs, vec![true; signature.params.len()]);
    options.train = train;
    let mut trace = vec![];
    compile(program, &options, Some(&mut trace)).unwrap_or_else(|e| panic!("{e}"));
    trace
}

/// relu(mean over edges of h[u] W + h[v] S + b), its rows summed.
#[test]
fn mean_layer() {
    let mut net = Net::new();
    net.b.at("h", None);
    let h = net.feature(Domain::Nodes { ty: 0, hop: 1 }, FEATURE);
    net.b.at("W", None);
    let u = net.b.src(h, 0, 0).expect("a source");
    let m = net.linear(u, &[2]);
    let m = net.reduce(ReduceOp::Mean, m);
    net.b.at("S", None);
    let here = net.b.prefix(h, 0).expect("on nodes");
    let own = net.affine(here, 2);
    let sum = net.add(own, m);
    let out = net.unary(UnaryOp::Relu, sum);
    net.b.at("loss", None);
    let rows = net.b.op(Op::SumRows, &[out]).expect("fits");
    let loss = net.sum_inner(rows, 2);
    net.b.output(Role::Loss, loss);
    check("mean_layer.txt", &changes(&trace(net.b.program, &net.b.signature, true)));
}

#[test]
fn schedules() {
    for model in models::all() {
        for train in [false, true] {
            let trace = trace(model.program.clone(), &model.signature, train);
            let schedule = trace.last().expect("the schedule");
            let kind = if train { "train" } else { "infer" };
            check(&format!("{}_{kind}.txt", model.name), &schedule.text);
        }
    }
}

#[test]
fn attention() {
    let model = models::gat();
    check("gat_passes.txt", &changes(&trace(model.program, &model.signature, false)));
}
