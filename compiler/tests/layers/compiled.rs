//! Layers through the passes: what is left computes the same, and its gradients are the slopes of the loss.

use std::collections::BTreeMap;

use gsl_compiler::layers::Mode;
use gsl_compiler::passes::{Costs, Options, compile};
use gsl_plan::build::Builder;
use gsl_plan::interpret::{Bindings, interpret};
use gsl_plan::program::{Op, Program, Role, Signature, UnaryOp};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::random::{expression, layer};
use super::right::Maker;
use super::support::{folder, gsl_files, read};
use super::world::{Outcome, all_mistakes, bind, lowered};

/// With the sum of the squares of everything that comes out as the loss.
fn with_loss(outcome: &Outcome) -> Program {
    let outputs = outcome.program.outputs.clone();
    let mut b = Builder::extend(outcome.program.clone(), outcome.signature.clone());
    let mut total = b.constant(0.0);
    for output in &outputs {
        let square = b.unary(UnaryOp::Square, output.value).expect("fits");
        let inner = b.value(square).width();
        let rows = b.op(Op::SumRows, &[square]).expect("fits");
        let sum = b.op(Op::SumInner { inner }, &[rows]).expect("fits");
        let sum = b.reshape(sum, &[]).expect("fits");
        total = b.add(total, sum).expect("fits");
    }
    b.output(Role::Loss, total);
    b.program
}

type Outputs = BTreeMap<String, Vec<f64>>;

fn outputs(program: &Program, signature: &Signature, bindings: &Bindings) -> Outputs {
    let values = interpret(program, signature, bindings).expect("it runs");
    program.outputs.iter().map(|o| (format!("{:?}", o.role), values[o.value.index()].data.clone())).collect()
}

fn costs() -> Costs {
    Costs { nodes: vec![vec![3.0, 4.0], vec![2.0, 3.0]], edges: vec![vec![4.0], vec![3.0], vec![4.0]] }
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

/// Whether the numbers of a program say anything: some random bodies take the logarithm of what is negative, or overflow.
fn tame(outputs: &Outputs) -> bool {
    outputs.values().flatten().all(|x| x.is_finite() && x.abs() < 1e4)
}

/// Compares the passes' program with the one lowered. Slopes are compared where the loss is smooth on the way.
fn check(source: &str, slopes: usize) -> bool {
    let (outcome, _) = lowered(source, Mode::Train).unwrap_or_else(|d| panic!("{source}\n{d:?}"));
    let forward = with_loss(&outcome);
    let mut bindings = bind(&outcome);
    bindings.keep = |site, id, column| !(site as usize + 2 * id + column).is_multiple_of(3);
    let before = outputs(&forward, &outcome.signature, &bindings);
    if !tame(&before) {
        return false;
    }
    let costs = costs();
    let trainable = vec![true; outcome.params.len()];
    let options = Options::train(&outcome.signature, &costs, trainable);
    let compiled = compile(forward.clone(), &options, None).unwrap_or_else(|e| panic!("{source}\n{e}"));
    let after = outputs(&compiled.program, &outcome.signature, &bindings);
    for (role, values) in &before {
        for (x, y) in values.iter().zip(&after[role]) {
            assert!(
                near(*x, *y, 1e-5),
                "{source}\n{role}: {x} before the passes, {y} after\n{forward}\n{}",
                compiled.program
            );
        }
    }
    for param in 0..outcome.params.len() {
        let gradient = after.get(&format!("{:?}", Role::Gradient(param as u32)));
        for entry in (0..bindings.params[param].len()).step_by(5).take(slopes) {
            let Some(slope) = slope(&forward, &outcome.signature, &mut bindings, param, entry) else {
                continue;
            };
            let found = gradient.map_or(0.0, |g| g[entry]);
            let name = &outcome.params[param].name;
            assert!(near(slope, found, 2e-3), "{source}\n{name}[{entry}]: slope {slope}, gradient {found}");
        }
    }
    true
}

/// The central difference, if those of two steps agree.
fn slope(
    forward: &Program,
    signature: &Signature,
    bindings: &mut Bindings,
    param: usize,
    entry: usize,
) -> Option<f64> {
    let start = bindings.params[param][entry];
    let mut loss = |by: f64| {
        bindings.params[param][entry] = start + by;
        outputs(forward, signature, bindings)["Loss"][0]
    };
    let (wide, close) = ((loss(2e-5) - loss(-2e-5)) / 4e-5, (loss(5e-6) - loss(-5e-6)) / 1e-5);
    let (up, down) = ((loss(5e-6) - loss(0.0)) / 5e-6, (loss(0.0) - loss(-5e-6)) / 5e-6);
    bindings.params[param][entry] = start;
    (near(wide, close, 1e-4) && near(up, down, 1e-2)).then_some(close)
}

#[test]
fn the_standard_library_through_the_passes() {
    for call in [
        "GCN(4)",
        "RGCN(4, act: tanh)",
        "RGCN(4, bases: 2)",
        "SAGE(4, act: relu)",
        "SAGEPool(4, pool: 5)",
        "GAT(6, heads: 3, act: elu)",
        "GAT(4, heads: 2, attention_dropout: 0.5)",
        "GATMean(3, heads: 2)",
        "GATv2(4, heads: 2)",
        "HGT(6, heads: 2)",
        "HGT(6, heads: 1)",
        "GIN(4, hidden: 5, act: tanh)",
    ] {
        assert!(check(&format!("layer L = {call}\n"), 4), "{call}");
    }
    for call in ["linear(4, act: sigmoid)", "mlp(4, hidden: 3)", "layer_norm()", "unit_length()"] {
        assert!(check(&format!("module L = {call}\n"), 4), "{call}");
    }
}

#[test]
fn recorded_programs_through_the_passes() {
    for path in gsl_files(&folder("layers/programs")) {
        assert!(check(&read(&path), 3), "{}", path.display());
    }
}

/// How many of `count` random layers are right, tame and computed alike.
fn compared(sources: impl Strategy<Value = String>, count: usize) -> usize {
    let mut runner = TestRunner::deterministic();
    let mut compared = 0;
    for _ in 0..count {
        let source = sources.new_tree(&mut runner).expect("a tree").current();
        // The gradient of this one is not its slope, on purpose.
        if source.contains("stop_gradient") || all_mistakes(&source).iter().any(|d| d.is_error()) {
            continue;
        }
        compared += usize::from(check(&source, 1));
    }
    compared
}

#[test]
fn random_expressions_through_the_passes() {
    let sums = expression().prop_map(|x| layer(&[("h'[v]", &format!("sum({x}) * b"))]));
    let compared = compared(sums, 1000);
    assert!(compared > 20, "only {compared} random layers were compared");
}

#[test]
fn random_layers_through_the_passes() {
    let layers = (0..400).map(|seed| Maker::new(seed).layer());
    let tame = layers.filter(|source| check(source, 1)).count();
    assert!(tame > 200, "only {tame} random layers were compared");
}
