//! What the compiler makes of whole models, against the interpreter: losses, scores and gradients; and gradients against
//! differences of the loss.

use super::*;
use gsl_compiler::passes::{Costs, Options, compile};
use gsl_plan::build::Built;
use gsl_plan::plan::Executable;

const HIDDEN: usize = 8;
const HEADS: usize = 2;

struct Model {
    params: Vec<Param>,
    forward: Program,
}

impl Model {
    fn signature(&self) -> Signature {
        Signature {
            relations: vec![(0, 0), (1, 0), (0, 1)],
            params: self.params.iter().map(|param| param.shape.clone()).collect(),
        }
    }

    fn compile(&self, train: bool) -> Executable {
        let signature = self.signature();
        let costs = Costs {
            nodes: vec![vec![20.0, 50.0, 60.0], vec![2.0, 20.0, 25.0]],
            edges: vec![vec![60.0, 150.0], vec![40.0, 90.0], vec![10.0, 60.0]],
        };
        let options = match train {
            true => Options::train(&signature, &costs, vec![true; self.params.len()]),
            false => Options::infer(&signature, &costs),
        };
        compile(self.forward.clone(), &options, None).unwrap()
    }
}

/// Parameters as they are met, and the values of a program.
struct Maker {
    params: Vec<Param>,
    b: Builder,
}

impl Maker {
    fn new() -> Self {
        let relations = vec![(0, 0), (1, 0), (0, 1)];
        Maker { params: vec![], b: Builder::new(Signature { relations, params: vec![] }) }
    }

    fn declare(&mut self, shape: &[usize], kind: ParamKind) -> u32 {
        let at = self.params.len();
        let init = Init::Normal { std: 0.4 };
        self.params.push(Param { name: format!("p{at}"), shape: shape.to_vec(), init, kind });
        self.b.signature.params.push(shape.to_vec());
        at as u32
    }

    fn weight(&mut self, shape: &[usize]) -> Built {
        let param = self.declare(shape, ParamKind::Dense);
        self.b.param(param)
    }

    /// Inputs of both node types at hop 2: features, and for type 1 an embedding beside them.
    fn inputs(&mut self) -> Result<[ValueId; 2], gsl_plan::verify::VerifyError> {
        let first = self.b.push(Op::Feature { feature: 0 }, &[], nodes(0, 2), &[WIDTH])?;
        let second = self.b.push(Op::Feature { feature: 0 }, &[], nodes(1, 2), &[4])?;
        let param = self.declare(&[25, 3], ParamKind::Table { ty: 1 });
        let table = self.b.push(Op::Embedding { param }, &[], nodes(1, 2), &[3])?;
        Ok([first, self.b.op(Op::Concat, &[second, table])?])
    }

    fn dense(&mut self, x: ValueId, width: usize) -> Built {
        let k = self.b.value(x).width();
        let w = self.weight(&[k, width])?;
        self.b.linear(x, w, 1)
    }

    fn loss(mut self, x: ValueId) -> Result<Model, gsl_plan::verify::VerifyError> {
        let logits = self.dense(x, CLASSES)?;
        let bias = self.weight(&[CLASSES])?;
        let logits = self.b.add(logits, bias)?;
        let labels = self.b.push(Op::Label { label: 0 }, &[], nodes(0, 0), &[])?;
        let weights = self.b.push(Op::SeedWeight { predict: 0 }, &[], nodes(0, 0), &[])?;
        let scale = self.b.push(Op::LossScale { predict: 0 }, &[], Domain::Global, &[])?;
        let losses = self.b.op(Op::CrossEntropy { smoothing: 0.0 }, &[logits, labels])?;
        let weighted = self.b.mul(losses, weights)?;
        let sum = self.b.op(Op::SumRows, &[weighted])?;
        let loss = self.b.mul(sum, scale)?;
        self.b.output(Role::Loss, loss);
        self.b.output(Role::Scores(0), logits);
        Ok(Model { params: self.params, forward: self.b.program })
    }
}

type Made = Result<Model, gsl_plan::verify::VerifyError>;

/// Schlichtkrull et al. 2018: relu(Σ_r mean_r(x W_r) + x W_0), two layers.
fn rgcn() -> Made {
    let mut m = Maker::new();
    let x = m.inputs()?;
    let first = [rgcn_layer(&mut m, x, 0, 1)?, rgcn_layer(&mut m, x, 1, 1)?];
    let second = rgcn_layer(&mut m, first, 0, 0)?;
    m.loss(second)
}

fn rgcn_layer(m: &mut Maker, x: [ValueId; 2], ty: u32, hop: u32) -> Built {
    let own = m.b.prefix(x[ty as usize], hop)?;
    let mut sum = m.dense(own, HIDDEN)?;
    for (rel, src) in [(0u32, 0usize), (1, 1), (2, 0)] {
        if (rel == 2) == (ty == 1) {
            let along = m.b.src(x[src], rel, hop)?;
            let message = m.dense(along, HIDDEN)?;
            let mean = m.b.reduce(ReduceOp::Mean, message)?;
            sum = m.b.add(sum, mean)?;
        }
    }
    m.b.unary(UnaryOp::Relu, sum)
}

/// Kipf and Welling 2017, with the degrees of the whole graph: c_v (Σ_u c_u x_u + c_v x_v) W, c = (degree + 1)^-1/2.
fn gcn() -> Made {
    let mut m = Maker::new();
    let [x, _] = m.inputs()?;
    let first = gcn_layer(&mut m, x, 1)?;
    let dropped = m.b.op(Op::Dropout { p: 0.3, site: 7 }, &[first])?;
    let second = gcn_layer(&mut m, dropped, 0)?;
    m.loss(second)
}

fn gcn_layer(m: &mut Maker, x: ValueId, hop: u32) -> Built {
    let degree = m.b.push(Op::Degree, &[], nodes(0, hop + 1), &[])?;
    let one = m.b.constant(1.0);
    let degree = m.b.add(degree, one)?;
    let c = m.b.unary(UnaryOp::Rsqrt, degree)?;
    let scaled = m.b.mul(x, c)?;
    let message = m.b.src(scaled, 0, hop)?;
    let sum = m.b.reduce(ReduceOp::Sum, message)?;
    let own = m.b.prefix(scaled, hop)?;
    let both = m.b.add(sum, own)?;
    let near = m.b.prefix(c, hop)?;
    let normal = m.b.mul(both, near)?;
    let out = m.dense(normal, HIDDEN)?;
    m.b.unary(UnaryOp::Gelu, out)
}

/// Veličković et al. 2018, with an edge feature in the score, over relation 1 from type 1 to type 0; the second layer runs
/// over relation 0.
fn gat() -> Made {
    let mut m = Maker::new();
    let [x, y] = m.inputs()?;
    let near = m.b.prefix(x, 1)?;
    let first = gat_layer(&mut m, y, near, 1, 1)?;
    let seeds = m.b.prefix(first, 0)?;
    let second = gat_layer(&mut m, first, seeds, 0, 0)?;
    m.loss(second)
}

fn gat_layer(m: &mut Maker, src: ValueId, dst: ValueId, rel: u32, hop: u32) -> Built {
    let inner = HIDDEN / HEADS;
    let heads = |m: &mut Maker, x: ValueId| {
        let k = m.b.value(x).width();
        let w = m.weight(&[k, HEADS, inner])?;
        m.b.linear(x, w, 1)
    };
    let (from, to) = (heads(m, src)?, heads(m, dst)?);
    let score = |m: &mut Maker, z: ValueId| {
        let a = m.weight(&[HEADS, inner])?;
        let product = m.b.mul(z, a)?;
        m.b.op(Op::SumInner { inner }, &[product])
    };
    let (from_score, to_score) = (score(m, from)?, score(m, to)?);
    let feature = m.b.push(Op::Feature { feature: 0 }, &[], edges(rel, hop), &[2])?;
    let w = m.weight(&[2, HEADS])?;
    let edge = m.b.linear(feature, w, 1)?;
    let (a, b) = (m.b.src(from_score, rel, hop)?, m.b.dst(to_score, rel, hop)?);
    let sum = m.b.add(a, b)?;
    let sum = m.b.add(sum, edge)?;
    let e = m.b.unary(UnaryOp::LeakyRelu(0.2), sum)?;
    let most = m.b.reduce(ReduceOp::Max, e)?;
    let most = m.b.op(Op::StopGradient, &[most])?;
    let most = m.b.dst(most, rel, hop)?;
    let shifted = m.b.binary(BinaryOp::Sub, e, most)?;
    let power = m.b.unary(UnaryOp::Exp, shifted)?;
    let total = m.b.reduce(ReduceOp::Sum, power)?;
    let total = m.b.dst(total, rel, hop)?;
    let alpha = m.b.binary(BinaryOp::Div, power, total)?;
    let alpha = m.b.op(Op::Dropout { p: 0.2, site: 20 + hop }, &[alpha])?;
    let value = m.b.src(from, rel, hop)?;
    let message = m.b.mul(value, alpha)?;
    let sum = m.b.reduce(ReduceOp::Sum, message)?;
    let flat = m.b.reshape(sum, &[HIDDEN])?;
    m.b.unary(UnaryOp::Elu, flat)
}

fn models() -> [(&'static str, Model); 3] {
    [("rgcn", rgcn().unwrap()), ("gcn", gcn().unwrap()), ("gat", gat().unwrap())]
}

const FANOUTS: [[Fanout; 2]; 3] =
    [[Fanout::All; 2], [Fanout::Neighbors(3), Fanout::Neighbors(2)], [Fanout::Neighbors(1), Fanout::All]];

/// The masks of the context that the tests run in.
fn kept(site: u32, id: usize, column: usize) -> bool {
    let key = Key::new(9, u32::from_be_bytes(*b"drop")).fold(2).fold(5).fold(u64::from(site));
    let p = if site == 7 { 0.3 } else { 0.2 };
    key.uniform_at2(id as u64, column as u32) >= p
}

fn close(found: &[f32], expected: &[f64], what: &str) {
    let size = expected.iter().fold(1e-3f64, |most, x| most.max(x.abs()));
    assert!(found.len() >= expected.len(), "{what}: {} values for {}", found.len(), expected.len());
    for (at, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() <= 1e-4 * size, "{what}, element {at}: {a} for {b} (of {size})");
    }
}

#[test]
fn compiled_models_agree_with_the_interpreter() {
    for (name, model) in models() {
        let (signature, exec) = (model.signature(), model.compile(true));
        for (fanouts, storage) in FANOUTS.into_iter().flat_map(|f| Storage::ALL.map(|s| (f, s))) {
            let world = World::of(fanouts, &model.params).stored_as(storage);
            let mut executor = Executor::new(&exec.schedule, &signature).unwrap();
            world.run(&mut executor, context(true), Goal::All).unwrap();
            let values = interpret(&exec.program, &signature, &world.bindings(kept)).unwrap();
            let plain = interpret(&exec.forward, &signature, &world.bindings(kept)).unwrap();
            for output in &exec.forward.outputs {
                let found = executor.output(&output.role).unwrap();
                close(found.data, &plain[output.value.index()].data, &format!("{name} {:?}", output.role));
            }
            assert_eq!(exec.schedule.outputs.len(), exec.program.outputs.len());
            for (output, (role, buffer)) in exec.program.outputs.iter().zip(&exec.schedule.outputs) {
                assert_eq!(output.role, *role);
                let expected = &values[output.value.index()].data;
                close(executor.buffer(*buffer).data, expected, &format!("{name} {role:?}"));
            }
        }
    }
}

#[test]
fn gradients_agree_with_differences_of_the_loss() {
    for (name, model) in models() {
        let (signature, exec) = (model.signature(), model.compile(true));
        let world = World::of([Fanout::Neighbors(3), Fanout::All], &model.params);
        let mut executor = Executor::new(&exec.schedule, &signature).unwrap();
        world.run(&mut executor, context(true), Goal::All).unwrap();
        let loss_at = exec.forward.outputs[0].value.index();
        for param in 0..model.params.len() as u32 {
            let values = world.params.values(param);
            let direction = normal(Key::new(3, param), values.len());
            let loss = |step: f64| {
                let mut bindings = world.bindings(kept);
                let moved = bindings.params[param as usize].iter_mut().zip(&direction);
                moved.for_each(|(x, d)| *x += step * f64::from(*d));
                interpret(&exec.forward, &signature, &bindings).unwrap()[loss_at].data[0]
            };
            let expected = (loss(1e-5) - loss(-1e-5)) / 2e-5;
            let found = directional(&executor, &world, param, &direction);
            let what = format!("{name}: parameter {param} ({:?})", model.params[param as usize].shape);
            assert!(
                (found - expected).abs() <= 2e-3 * expected.abs().max(0.02),
                "{what}: {found} for {expected}"
            );
        }
    }
}

fn directional(executor: &Executor, world: &World, param: u32, direction: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    if let Some(range) = world.params.gradient_range(param) {
        let mut gradient = world.params.gradient();
        executor.dense_gradient(&world.params, &world.block, &mut gradient);
        return dot(&gradient.values[range], direction);
    }
    let rows = executor.row_gradients(param).flat_map(|(ty, rows)| {
        (0..rows.rows()).map(move |row| (world.block.ids(ty)[row] as usize * rows.width, rows.row(row)))
    });
    rows.map(|(start, row)| dot(row, &direction[start..start + row.len()])).sum()
}

#[test]
fn compiled_models_give_the_same_bits_on_any_number_of_threads() {
    for (name, model) in models() {
        let exec = model.compile(true);
        for storage in Storage::ALL {
            let world = World::of([Fanout::All, Fanout::Neighbors(4)], &model.params).stored_as(storage);
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut executor = Executor::new(&exec.schedule, &model.signature()).unwrap();
                pool.install(|| world.run(&mut executor, context(true), Goal::All)).unwrap();
                let bits = |(_, id): &(Role, BufferId)| {
                    executor.buffer(*id).data.iter().map(|x| x.to_bits()).collect()
                };
                exec.schedule.outputs.iter().map(bits).collect::<Vec<Vec<u32>>>()
            };
            let one = run(1);
            assert!(run(2) == one && run(4) == one, "{name} {storage:?}");
        }
    }
}

#[test]
fn inference_is_the_same_from_the_training_program_and_from_its_own() {
    for (name, model) in models() {
        let world = World::of([Fanout::All; 2], &model.params);
        let scores = |train: bool| {
            let mut executor = Executor::new(&model.compile(train).schedule, &model.signature()).unwrap();
            world.run(&mut executor, context(false), Goal::Forward).unwrap();
            executor.output(&Role::Scores(0)).unwrap().data[..20 * CLASSES].to_vec()
        };
        let expected: Vec<f64> = scores(false).into_iter().map(f64::from).collect();
        close(&scores(true), &expected, name);
    }
}
