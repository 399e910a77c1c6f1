//! The executor against the interpreter of programs, value by value, on schedules with one step per operation; and fused
//! kernels against plain loops.

mod compiled;
mod fused;
mod lower;

use super::*;
use crate::sample::{Sampler, sample_key};
use crate::view::MemoryGraph;
use gsl_kernels::random::Key;
use gsl_plan::build::Builder;
use gsl_plan::graph::Storage;
use gsl_plan::interpret::{Bindings, Edge, Matrix as Rows, interpret};
use gsl_plan::plan::{Fanout, Init, Param, ParamKind};
use gsl_plan::program::*;
use lower::lower;
use std::collections::BTreeMap;

const CLASSES: usize = 5;
const WIDTH: usize = 6;

/// Two node types, three relations (0: 0→0, 1: 1→0, 2: 0→1), features of all kinds.
pub(super) fn graph() -> MemoryGraph {
    let key = Key::new(1, 1);
    let mut graph = MemoryGraph::new(&[60, 25]);
    for (src, dst, edges) in [(0u32, 0u32, 250u64), (1, 0, 120), (0, 1, 90)] {
        let count = |ty: u32| if ty == 0 { 60 } else { 25 };
        let base = u64::from(src * 2 + dst) << 20;
        let pair =
            |e: u64| (key.below_at(base + 2 * e, count(src)), key.below_at(base + 2 * e + 1, count(dst)));
        let pairs: Vec<_> = (0..edges).map(pair).collect();
        let rel = graph.add_relation(src, dst, &pairs);
        graph.add_edge_feature(rel, 2, normal(key.fold(u64::from(rel)), 2 * edges as usize));
    }
    graph.add_node_feature(0, WIDTH, normal(key.fold(10), 60 * WIDTH));
    graph.add_node_feature(1, 4, normal(key.fold(11), 25 * 4));
    let labels = (0..60).map(|v| key.below_at(900 + v, CLASSES as u32 + 1) as f32 - 1.0).collect();
    graph.add_label(0, labels, vec![1; 60]);
    graph
}

pub(super) fn normal(key: Key, len: usize) -> Vec<f32> {
    let mut data = vec![0.0; len];
    key.fill_normal(&mut data, 1.0);
    data
}

pub(super) fn params() -> Vec<Param> {
    let dense = |name: &str, shape: &[usize]| Param {
        name: name.into(),
        shape: shape.to_vec(),
        init: Init::Normal { std: 0.7 },
        kind: ParamKind::Dense,
    };
    let table = Param { kind: ParamKind::Table { ty: 1 }, ..dense("table", &[25, 3]) };
    vec![
        dense("w", &[WIDTH, 8]),
        dense("heads", &[2, 4, 3]),
        dense("bias", &[8]),
        table,
        dense("stack", &[3, 4, 2]),
        dense("out", &[8, CLASSES]),
    ]
}

pub(super) fn signature() -> Signature {
    Signature {
        relations: vec![(0, 0), (1, 0), (0, 1)],
        params: params().into_iter().map(|param| param.shape).collect(),
    }
}

pub(super) struct World {
    pub graph: MemoryGraph,
    pub params: Params,
    pub block: Block,
    pub weights: Vec<f32>,
}

impl World {
    pub fn new(fanouts: [Fanout; 2]) -> Self {
        Self::of(fanouts, &params())
    }

    pub fn of(fanouts: [Fanout; 2], params: &[Param]) -> Self {
        let graph = graph();
        let hops = [vec![0, 1, 2], vec![0, 1, 2]];
        let mut block = Block::new();
        let mut sampler = Sampler::new(&graph, &hops, &fanouts).unwrap();
        let seeds: Vec<u32> = (0..20).map(|v| (v * 7) % 60).collect();
        sampler.sample(&graph, &[(0, &seeds), (1, &[3, 24])], sample_key(1, 1), &mut block).unwrap();
        let weights = (0..20).map(|v| (v % 3) as f32).collect();
        World { graph, params: Params::new(params, 4), block, weights }
    }

    /// The same, with all features rounded as this storage does.
    pub fn stored_as(self, storage: Storage) -> World {
        World { graph: self.graph.stored_as(storage).unwrap(), ..self }
    }

    pub fn run(&self, executor: &mut Executor, context: Context, goal: Goal) -> Result<(), ExecError> {
        let hidden = self.graph.node_feature(0, 0).to_vec();
        let hidden = Matrix::new(&hidden, WIDTH);
        let env = Env {
            view: &self.graph,
            params: &self.params,
            block: &self.block,
            hidden: &[Some(hidden)],
            context,
            seed_weights: &[&self.weights],
            loss_scale: &[0.05],
            pairs: &[],
        };
        executor.run(&env, goal)
    }

    fn bindings(&self, keep: fn(u32, usize, usize) -> bool) -> Bindings {
        let wide = |data: &[f32]| data.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (graph, block) = (&self.graph, &self.block);
        let mut edges = BTreeMap::new();
        for (rel, hop) in (0..3).flat_map(|rel| [(rel, 0), (rel, 1)]) {
            let sampled = block.edges(rel, hop).unwrap();
            let of = |row: usize| {
                let own = sampled.indptr[row] as usize..sampled.indptr[row + 1] as usize;
                own.map(move |e| Edge {
                    src: sampled.src[e] as usize,
                    dst: row,
                    id: sampled.position[e] as usize,
                })
            };
            edges.insert((rel, hop), (0..sampled.rows()).flat_map(of).collect());
        }
        let node = |ty: u32| {
            let matrix = graph.node_feature(ty, 0);
            ((ty, 0), Rows { rows: matrix.rows(), width: matrix.width, data: wide(&matrix.to_vec()) })
        };
        let edge = |rel: u32| {
            let matrix = graph.edge_feature(rel, 0);
            let rows: Vec<Vec<f64>> =
                matrix.rows.unwrap().iter().map(|&row| wide(&matrix.stored.row(row as usize))).collect();
            ((rel, 0), Rows::from_rows(&rows))
        };
        Bindings {
            nodes: (0..2).map(|ty| block.ids(ty).iter().map(|&id| id as usize).collect()).collect(),
            counts: (0..2).map(|ty| (0..3).map(|hop| block.count(ty, hop)).collect()).collect(),
            edges,
            params: (0..self.params.len()).map(|param| wide(self.params.values(param as u32))).collect(),
            node_features: (0..2).map(node).collect(),
            edge_features: (0..3).map(edge).collect(),
            hidden: [(0, node(0).1)].into(),
            degrees: (0..2).map(|ty| wide(graph.degree(ty))).collect(),
            labels: [((0, 0), wide(graph.label(0, 0)))].into(),
            seed_weights: [(0, wide(&self.weights))].into(),
            loss_scale: [(0, 0.05f32.into())].into(),
            held: Default::default(),
            external: Default::default(),
            keep,
        }
    }
}

fn nodes(ty: u32, hop: u32) -> Domain {
    Domain::Nodes { ty, hop }
}

fn edges(rel: u32, hop: u32) -> Domain {
    Domain::Edges { rel, hop }
}

/// Every operation at least once, backward ones included.
fn every_operation(b: &mut Builder) -> Result<(), gsl_plan::verify::VerifyError> {
    use Broadcast::*;
    let x = b.push(Op::Feature { feature: 0 }, &[], nodes(0, 2), &[WIDTH])?;
    let y = b.push(Op::Feature { feature: 0 }, &[], nodes(1, 2), &[2, 2])?;
    let f = b.push(Op::Feature { feature: 0 }, &[], edges(1, 1), &[2])?;
    let table = b.push(Op::Embedding { param: 3 }, &[], nodes(1, 1), &[3])?;
    b.push(Op::Hidden, &[], nodes(0, 1), &[WIDTH])?;
    b.push(Op::Degree, &[], nodes(0, 2), &[])?;
    let count = b.push(Op::RecipCount { rel: 1 }, &[], nodes(0, 1), &[])?;
    let labels = b.push(Op::Label { label: 0 }, &[], nodes(0, 0), &[])?;
    let weights = b.push(Op::SeedWeight { predict: 0 }, &[], nodes(0, 0), &[])?;
    let scale = b.push(Op::LossScale { predict: 0 }, &[], Domain::Global, &[])?;
    let (w, heads, bias, stacked, out) = (b.param(0)?, b.param(1)?, b.param(2)?, b.param(4)?, b.param(5)?);
    let half = b.constant(0.5);

    let h = b.op(Op::Linear { batch: 1 }, &[x, w])?;
    let biased = b.op(Op::Binary { op: BinaryOp::Add, left: Full, right: Full }, &[h, bias])?;
    for op in [
        UnaryOp::Neg,
        UnaryOp::Exp,
        UnaryOp::Square,
        UnaryOp::Abs,
        UnaryOp::Sign,
        UnaryOp::Tanh,
        UnaryOp::Sigmoid,
        UnaryOp::Softplus,
        UnaryOp::Relu,
        UnaryOp::Step,
        UnaryOp::LeakyRelu(0.2),
        UnaryOp::LeakyReluGrad(0.2),
        UnaryOp::Elu,
        UnaryOp::EluGrad,
        UnaryOp::Gelu,
        UnaryOp::GeluGrad,
    ] {
        b.op(Op::Unary(op), &[biased])?;
    }
    let positive = b.op(Op::Unary(UnaryOp::Softplus), &[biased])?;
    for op in [UnaryOp::Log, UnaryOp::Sqrt, UnaryOp::Rsqrt, UnaryOp::Recip] {
        b.op(Op::Unary(op), &[positive])?;
    }
    for op in
        [BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Max, BinaryOp::Min, BinaryOp::Eq, BinaryOp::Gt, BinaryOp::Ge]
    {
        b.op(Op::Binary { op, left: Full, right: Full }, &[h, biased])?;
    }
    b.op(Op::Binary { op: BinaryOp::Div, left: Full, right: Scalar }, &[positive, half])?;

    let dropped = b.op(Op::Dropout { p: 0.5, site: 3 }, &[h])?;
    b.op(Op::StopGradient, &[dropped])?;
    let split = b.push(Op::Reshape, &[h], nodes(0, 2), &[2, 4])?;
    b.op(Op::SumInner { inner: 4 }, &[split])?;
    let most = b.op(Op::MaxInner { inner: 4 }, &[split])?;
    let sums = b.op(Op::SumOuter { inner: 4 }, &[split])?;
    b.push(Op::Expand(Outer { inner: 4 }), &[most], nodes(0, 2), &[2, 4])?;
    b.push(Op::Expand(Inner { len: 4 }), &[sums], nodes(0, 2), &[2, 4])?;
    b.op(Op::Binary { op: BinaryOp::Mul, left: Full, right: Outer { inner: 4 } }, &[split, most])?;
    b.op(Op::Binary { op: BinaryOp::Mul, left: Inner { len: 4 }, right: Full }, &[sums, split])?;
    let slice = b.push(Op::Slice { start: 3 }, &[h], nodes(0, 2), &[4])?;
    b.op(Op::Concat, &[slice, h])?;

    let per_head = b.op(Op::Linear { batch: 2 }, &[split, heads])?;
    let back = b.op(Op::LinearT { batch: 2 }, &[per_head, heads])?;
    b.op(Op::Outer { batch: 2 }, &[split, per_head])?;
    let flat = b.push(Op::Reshape, &[back], nodes(0, 2), &[8])?;
    b.op(Op::SumRows, &[flat])?;
    b.op(Op::Outer { batch: 1 }, &[x, h])?;
    let entry = b.op(Op::Index { index: 1 }, &[stacked])?;
    b.op(Op::Stack { items: vec![Some(1), None, Some(0)] }, &[entry, entry])?;

    let src = b.push(Op::Src, &[y], edges(1, 1), &[2, 2])?;
    let near = b.push(Op::Prefix, &[h], nodes(0, 1), &[8])?;
    let dst = b.push(Op::Dst, &[near], edges(1, 1), &[8])?;
    let gated = b.op(Op::Binary { op: BinaryOp::Mul, left: Full, right: Outer { inner: 2 } }, &[src, f])?;
    for op in [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max, ReduceOp::Min] {
        b.op(Op::Reduce(op), &[gated])?;
    }
    b.push(Op::ReduceSrc, &[dst], nodes(1, 2), &[8])?;
    b.op(Op::SumRows, &[dst])?;
    b.op(Op::Outer { batch: 1 }, &[f, dst])?;
    b.op(Op::Dropout { p: 0.5, site: 4 }, &[gated])?;
    b.op(Op::Binary { op: BinaryOp::Mul, left: Full, right: Scalar }, &[near, count])?;
    let wide = b.push(Op::Pad, &[near], nodes(0, 2), &[8])?;
    b.op(Op::Binary { op: BinaryOp::Add, left: Full, right: Full }, &[wide, h])?;
    let rows = b.op(Op::Unary(UnaryOp::Neg), &[table])?;
    b.push(Op::Pad, &[rows], nodes(1, 2), &[3])?;

    let seeds = b.push(Op::Prefix, &[near], nodes(0, 0), &[8])?;
    let logits = b.op(Op::Linear { batch: 1 }, &[seeds, out])?;
    let losses = b.op(Op::CrossEntropy { smoothing: 0.1 }, &[logits, labels])?;
    let weighted = b.op(Op::Binary { op: BinaryOp::Mul, left: Full, right: Full }, &[losses, weights])?;
    let sum = b.op(Op::SumRows, &[weighted])?;
    b.op(Op::Binary { op: BinaryOp::Mul, left: Full, right: Full }, &[sum, scale])?;
    b.op(Op::CrossEntropyGrad { smoothing: 0.1 }, &[logits, labels, weights])?;
    Ok(())
}

fn program() -> Program {
    let mut b = Builder::new(signature());
    every_operation(&mut b).unwrap();
    b.program
}

fn compare(world: &World, executor: &Executor, program: &Program, keep: fn(u32, usize, usize) -> bool) {
    let expected = interpret(program, &signature(), &world.bindings(keep)).unwrap();
    for (at, rows) in expected.iter().enumerate() {
        let Some(found) = lower::value(executor, at) else { continue };
        assert_eq!(found.data.len(), rows.data.len(), "%{at} {:?}", program.values[at].op);
        for (element, (&a, &b)) in found.data.iter().zip(&rows.data).enumerate() {
            let close = (f64::from(a) - b).abs() <= 2e-4 * b.abs().max(1.0);
            assert!(close, "%{at} {:?}, element {element}: {a} for {b}", program.values[at].op);
        }
    }
}

fn context(training: bool) -> Context {
    Context { seed: 9, epoch: 2, batch: 5, training }
}

#[test]
fn every_operation_agrees_with_the_interpreter() {
    let program = without_dropout(program());
    let fanouts = [[Fanout::Neighbors(3), Fanout::Neighbors(2)], [Fanout::All; 2], [Fanout::Neighbors(0); 2]];
    for (fanouts, storage) in fanouts.into_iter().flat_map(|f| Storage::ALL.map(|s| (f, s))) {
        let world = World::new(fanouts).stored_as(storage);
        for gather in [true, false] {
            let schedule = lower(&program, gather);
            let mut executor = Executor::new(&schedule, &signature()).unwrap();
            world.run(&mut executor, context(true), Goal::All).unwrap();
            compare(&world, &executor, &program, |_, _, _| true);
        }
    }
}

fn without_dropout(mut program: Program) -> Program {
    for value in &mut program.values {
        if matches!(value.op, Op::Dropout { .. }) {
            value.op = Op::StopGradient;
        }
    }
    program
}

fn mask(site: u32, id: usize, column: usize) -> bool {
    let key = Key::new(9, u32::from_be_bytes(*b"drop")).fold(2).fold(5).fold(u64::from(site));
    key.uniform_at2(id as u64, column as u32) >= 0.5
}

#[test]
fn dropout_is_keyed_by_global_ids_and_absent_in_inference() {
    let program = program();
    let world = World::new([Fanout::Neighbors(3), Fanout::Neighbors(2)]);
    let mut executor = Executor::new(&lower(&program, true), &signature()).unwrap();
    world.run(&mut executor, context(true), Goal::All).unwrap();
    compare(&world, &executor, &program, mask);
    world.run(&mut executor, context(false), Goal::All).unwrap();
    compare(&world, &executor, &without_dropout(program.clone()), |_, _, _| true);
}

#[test]
fn threads_do_not_change_a_bit() {
    let program = program();
    let world = World::new([Fanout::All, Fanout::Neighbors(4)]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut executor = Executor::new(&lower(&program, false), &signature()).unwrap();
        pool.install(|| world.run(&mut executor, context(true), Goal::All)).unwrap();
        let bits = |m: Matrix| m.data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        (0..program.values.len()).map(|at| lower::value(&executor, at).map(bits)).collect::<Vec<_>>()
    };
    let one = run(1);
    assert!(run(2) == one && run(4) == one);
}

#[test]
fn an_executor_used_for_many_batches_forgets_the_one_before() {
    let program = without_dropout(program());
    let mut executor = Executor::new(&lower(&program, true), &signature()).unwrap();
    for fanouts in
        [[Fanout::All; 2], [Fanout::Neighbors(1); 2], [Fanout::Neighbors(0); 2], [Fanout::Neighbors(4); 2]]
    {
        let world = World::new(fanouts);
        world.run(&mut executor, context(true), Goal::All).unwrap();
        compare(&world, &executor, &program, |_, _, _| true);
    }
    assert!(executor.bytes() > 0);
}

#[test]
fn a_forward_run_leaves_out_what_only_gradients_need() {
    let program = without_dropout(program());
    let mut schedule = lower(&program, true);
    let find = |wanted: fn(&Op) -> bool| program.values.iter().position(|value| wanted(&value.op)).unwrap();
    let loss = program.values.len() - 2;
    let gradient = find(|op| matches!(op, Op::Outer { batch: 2 }));
    schedule.outputs = vec![
        (Role::Loss, lower::buffer(loss)),
        (Role::Gradient(1), lower::buffer(gradient)),
        (Role::RowGradient(3), lower::buffer(find(|op| matches!(op, Op::Embedding { .. })))),
    ];
    let mut executor = Executor::new(&schedule, &signature()).unwrap();
    assert_eq!(executor.tables(), [3]);
    let world = World::new([Fanout::Neighbors(3); 2]);
    executor.set_profiling(true);
    world.run(&mut executor, context(false), Goal::Forward).unwrap();
    let forward = executor.loss().unwrap();
    let ran = |executor: &Executor, at: usize| {
        let name = format!("%{at}");
        executor.profile().steps.iter().any(|step| step.name == name && step.calls > 0)
    };
    assert!(ran(&executor, loss) && !ran(&executor, gradient));
    world.run(&mut executor, context(false), Goal::All).unwrap();
    assert!(ran(&executor, gradient) && executor.loss() == Some(forward));
    let mut gradient = world.params.gradient();
    executor.dense_gradient(&world.params, &world.block, &mut gradient);
    let range = world.params.gradient_range(1).unwrap();
    assert!(gradient.values[range.clone()].iter().all(|&x| x != 0.0));
    assert!(gradient.values[..range.start].iter().all(|&x| x == 0.0));
    let (ty, rows) = executor.row_gradients(3).next().unwrap();
    assert_eq!((ty, rows.rows(), rows.width), (1, world.block.count(1, 1), 3));
}

#[test]
fn a_value_that_is_not_finite_is_traced_to_its_feature() {
    let program = without_dropout(program());
    let mut world = World::new([Fanout::Neighbors(3); 2]);
    let id = world.block.ids(0)[4];
    let mut data = world.graph.node_feature(0, 0).to_vec();
    data[id as usize * WIDTH + 2] = f32::NAN;
    let mut graph = graph_with(data);
    std::mem::swap(&mut world.graph, &mut graph);
    let mut executor = Executor::new(&lower(&program, false), &signature()).unwrap();
    let hidden = graph.node_feature(0, 0).to_vec();
    let env = Env {
        view: &world.graph,
        params: &world.params,
        block: &world.block,
        hidden: &[Some(Matrix::new(&hidden, WIDTH))],
        context: context(true),
        seed_weights: &[&world.weights],
        loss_scale: &[0.05],
        pairs: &[],
    };
    let found = executor.diagnose(&env).unwrap().unwrap();
    assert_eq!(found.at, Source::Node { ty: 0, id });
    let Some(Cause::NodeFeature { ty: 0, feature: 0, id: blamed, value }) = found.cause else {
        panic!("{found:?}")
    };
    assert!(blamed == id && value.is_nan());
    let text = found.message(&Default::default(), &world.params);
    assert!(text.contains("NaN") && text.contains(&id.to_string()), "{text}");
}

fn graph_with(features: Vec<f32>) -> MemoryGraph {
    let mut graph = graph();
    graph.set_node_feature(0, 0, features);
    graph
}

#[test]
fn what_is_missing_or_wrong_is_told() {
    let program = program();
    let mut schedule = lower(&program, true);
    let mut executor = Executor::new(&schedule, &signature()).unwrap();
    let world = World::new([Fanout::Neighbors(3); 2]);
    let env = Env {
        view: &world.graph,
        params: &world.params,
        block: &world.block,
        hidden: &[],
        context: context(true),
        seed_weights: &[&world.weights],
        loss_scale: &[0.05],
        pairs: &[],
    };
    let error = executor.run(&env, Goal::All).unwrap_err().to_string();
    assert!(error.contains("stage input of node type 0"), "{error}");
    schedule.buffers[3].slot = schedule.slots;
    assert!(matches!(Executor::new(&schedule, &signature()), Err(ExecError::Schedule { .. })));
    let mut shared = lower(&program, true);
    shared.buffers.iter_mut().for_each(|buffer| buffer.slot = 0);
    let error = Executor::new(&shared, &signature()).unwrap_err().to_string();
    assert!(error.contains("is read while its slot is written"), "{error}");
}
