//! Every model, trained and not, with and without each pass: programs and schedules give what the forward program gives.

use crate::executor::execute;
use crate::models::{self, Model};
use crate::world::{agree, bindings, costs, outputs};
use gsl_compiler::passes::{Options, compile, estimate_steps, peak_bytes};
use gsl_plan::graph::{FeatureFacts, GraphFacts, NodeFacts, Storage};
use gsl_plan::interpret::Matrix;
use gsl_plan::plan::Executable;
use gsl_plan::program::*;
use gsl_plan::schedule::*;

fn build(model: &Model, train: bool, without: &[&str]) -> Executable {
    let costs = costs();
    let options = Options {
        signature: &model.signature,
        costs: &costs,
        train,
        trainable: model.trainable(),
        without: without.iter().map(|s| s.to_string()).collect(),
        tiled: vec![],
    };
    compile(model.program.clone(), &options, None).unwrap_or_else(|e| panic!("{}: {e}", model.name))
}

fn same(name: &str, found: &[(Role, Domain, Matrix)], expected: &[(Role, Domain, Matrix)]) {
    assert_eq!(found.len(), expected.len(), "{name}: number of outputs");
    for ((role, domain, a), (r, d, b)) in found.iter().zip(expected) {
        assert_eq!((role, domain), (r, d), "{name}");
        assert!(agree(a, b, 1e-9), "{name}: {role:?} on {domain} is\n{:?}\nnot\n{:?}", a.data, b.data);
    }
}

const WITHOUT: [&[&str]; 7] = [
    &[],
    &["hoist"],
    &["order"],
    &["cse"],
    &["narrow"],
    &["canonicalise"],
    &["hoist", "order", "cse", "narrow"],
];

#[test]
fn schedules_give_what_their_programs_give() {
    for model in models::all() {
        for train in [false, true] {
            for without in WITHOUT {
                let exec = build(&model, train, without);
                let b = bindings(&model.signature, 7);
                let program = outputs(&exec.program, &model.signature, &b);
                let name = format!("{} train {train} without {without:?}", model.name);
                same(&name, &execute(&exec.schedule, &b), &program);
            }
        }
    }
}

#[test]
fn passes_keep_the_forward_outputs_and_gradients() {
    for model in models::all() {
        let plain = build(&model, true, WITHOUT[6]);
        let b = bindings(&model.signature, 7);
        let expected = outputs(&plain.program, &model.signature, &b);
        for without in &WITHOUT[..6] {
            let exec = build(&model, true, without);
            let found = outputs(&exec.program, &model.signature, &b);
            let forward = outputs(&model.program, &model.signature, &b);
            same(model.name, &found[..forward.len()], &forward);
            let dense = |o: &[(Role, Domain, Matrix)]| -> Vec<(Role, Domain, Matrix)> {
                o.iter().filter(|o| !matches!(o.0, Role::RowGradient(_))).cloned().collect()
            };
            same(&format!("{} without {without:?}", model.name), &dense(&found), &dense(&expected));
        }
    }
}

/// A product of three rows over the edges of relation 0, two of them at the destination, with an embedding at the source.
fn pairs() -> Model {
    let mut net = models::Net::new();
    let (src, dst) = crate::world::RELATIONS[0];
    let (u, v) = (Domain::Nodes { ty: src, hop: 1 }, Domain::Nodes { ty: dst, hop: 0 });
    let x = net.feature(u, crate::world::FEATURE);
    let x = net.affine(x, 6);
    let y = net.feature(v, crate::world::FEATURE);
    let (y, z) = (net.affine(y, 6), net.affine(y, 6));
    let along = |net: &mut models::Net, op: Op, rows: ValueId| {
        net.b.push(op, &[rows], Domain::Edges { rel: 0, hop: 0 }, &[6]).expect("an end")
    };
    let (a, b, c) = (along(&mut net, Op::Dst, y), along(&mut net, Op::Src, x), along(&mut net, Op::Dst, z));
    let product = net.mul(a, b);
    let product = net.mul(product, c);
    let score = net.sum_inner(product, 6);
    let each = net.unary(UnaryOp::Softplus, score);
    let sums = net.reduce(ReduceOp::Sum, each);
    let loss = net.b.op(Op::SumRows, &[sums]).expect("fits");
    net.b.output(Role::Loss, loss);
    net.b.output(Role::Negatives { predict: 0, source: false }, score);
    Model { name: "pairs", program: net.b.program, signature: net.b.signature }
}

#[test]
fn tiles_give_what_traversals_give() {
    let model = pairs();
    let costs = costs();
    let tiled = |tiled: Vec<u32>| {
        let options = Options { tiled, ..Options::train(&model.signature, &costs, model.trainable()) };
        compile(model.program.clone(), &options, None).unwrap()
    };
    let b = bindings(&model.signature, 7);
    let (with, without) = (tiled(vec![0]), tiled(vec![]));
    let expected = execute(&without.schedule, &b);
    same("tiles", &outputs(&with.program, &model.signature, &b), &expected);
    same("tiles", &execute(&with.schedule, &b), &expected);
    let tiles = |exec: &Executable| {
        let is_tile = |step: &&Step| matches!(step.kind, StepKind::Dot { .. } | StepKind::DotBack { .. });
        exec.schedule.steps.iter().filter(is_tile).count()
    };
    assert_eq!((tiles(&with), tiles(&without)), (3, 0));
}

#[test]
fn edges_stay_in_kernels() {
    for model in models::all() {
        let exec = build(&model, true, &[]);
        let kept: Vec<&Buffer> =
            exec.schedule.buffers.iter().filter(|b| matches!(b.domain, Domain::Edges { .. })).collect();
        assert_eq!(!kept.is_empty(), model.name == "edge_mlp", "{}: {kept:?}", model.name);
        for buffer in kept {
            let reason = buffer.materialised.as_deref().expect("a reason");
            assert!(reason.contains("1×80×80"), "{reason}");
        }
    }
}

#[test]
fn attention_reads_the_edges_twice_forward() {
    let model = models::gat();
    let exec = build(&model, false, &[]);
    let at = |rel: u32| {
        let on = |s: &&Step| matches!(s.kind, StepKind::Traverse { rel: r, hop: 0, .. } if r == rel);
        exec.schedule.steps.iter().filter(on).count()
    };
    assert_eq!([at(0), at(1)], [2, 2], "one pass for the maximum, one for both sums\n{}", exec.schedule);
    assert_eq!(at(2), 0, "nobody needs the seeds of the other type\n{}", exec.schedule);
}

#[test]
fn relations_are_added_in_place() {
    let exec = build(&models::rgcn(), false, &[]);
    let accumulated = exec.schedule.steps.iter().filter(|s| match &s.kind {
        StepKind::Linear { accumulate, .. } => *accumulate,
        StepKind::Traverse { outputs, .. } => outputs.iter().any(|o| o.accumulate),
        _ => false,
    });
    assert!(accumulated.count() >= 5, "{}", exec.schedule);
}

#[test]
fn slots_are_shared() {
    let exec = build(&models::rgcn(), true, &[]);
    let (slots, buffers) = (exec.schedule.slots as usize, exec.schedule.buffers.len());
    assert!(slots * 3 < buffers * 2, "{slots} slots for {buffers} buffers");
}

#[test]
fn hops_are_those_that_the_program_reads() {
    let exec = build(&models::rgcn(), true, &[]);
    assert_eq!(exec.hops, [vec![0, 1], vec![0, 1, 2]]);
}

#[test]
fn every_step_has_a_cost() {
    let exec = build(&models::gat(), true, &[]);
    let costs = costs();
    let steps = estimate_steps(&exec.schedule, &costs, &GraphFacts::default());
    assert_eq!(steps.len(), exec.schedule.steps.len());
    assert!(steps.iter().all(|s| s.rows > 0.0 && s.bytes > 0.0 && s.flops >= 0.0));
    assert!(peak_bytes(&exec.schedule, &costs) > 0.0);
}

#[test]
fn narrow_features_cost_fewer_bytes() {
    let exec = build(&models::rgcn(), true, &[]);
    let bytes = |storage: Storage| -> f64 {
        let node = NodeFacts {
            features: vec![FeatureFacts { storage, ..FeatureFacts::default() }; 4],
            ..NodeFacts::default()
        };
        let facts = GraphFacts { nodes: vec![node; 4], relations: Vec::new() };
        estimate_steps(&exec.schedule, &costs(), &facts).iter().map(|step| step.bytes).sum()
    };
    let [wide, half, _, byte] = Storage::ALL.map(bytes);
    assert!(wide > half && half > byte, "{wide} {half} {byte}");
    assert!((wide - half - 2.0 * (half - byte)).abs() < 1e-6 * wide, "two bytes less, then one");
}
