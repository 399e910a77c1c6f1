//! `gsc check --gradients`: are the gradients of an experiment right?
//!
//! The experiment is lowered on a small random graph with its schema. Loss and gradients are then computed three times: by the
//! compiled schedule, by the reference backend on its tape, and by finite differences of the program in f64. Dropout is off.

mod toy;

pub use toy::{Toy, toy_facts};

use gsl_compiler::passes::{Options, compile};
use gsl_plan::graph::Part;
use gsl_plan::interpret::{Bindings, External, Matrix, interpret};
use gsl_plan::plan::{Executable, ParamKind, Plan};
use gsl_plan::program::{Op, Program, Role};
use gsl_runtime::exec::{Context, Env, Executor, Goal, PairRows};
use gsl_runtime::extend::Extensions;
use gsl_runtime::pairs::{Edges, HeadMaker, PairBatch};
use gsl_runtime::sample::{Block, Head, Sampler, sample_key};
use gsl_runtime::store::Params;
use std::collections::BTreeMap;

/// Largest relative difference that passes against the reference backend, in f32.
pub const REFERENCE_TOLERANCE: f64 = 1e-4;
/// The same against finite differences.
const DIFFERENCE_TOLERANCE: f64 = 1e-3;
/// The same where functions of Rust compute in f32: a difference keeps few of its digits.
const NARROW_TOLERANCE: f64 = 1e-2;
/// How far a parameter is moved.
const STEPS: [f64; 3] = [1e-4, 1e-5, 1e-6];
/// The same through f32.
const NARROW_STEPS: [f64; 3] = [3e-2, 1e-2, 3e-3];
/// Elements of each parameter that are moved for finite differences.
const PROBES: usize = 6;

/// The comparison of one parameter: largest difference over the largest gradient.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Compared {
    pub param: String,
    /// Largest absolute gradient, by the reference.
    pub size: f64,
    pub reference: f64,
    pub differences: f64,
    /// The largest difference that passes against finite differences.
    pub allowed: f64,
}

impl Compared {
    pub fn passes(&self) -> bool {
        self.reference <= REFERENCE_TOLERANCE && self.differences <= self.allowed
    }
}

/// The comparison of a whole experiment.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// Loss by the compiled schedule, the reference and the interpreter.
    pub loss: [f64; 3],
    pub params: Vec<Compared>,
}

impl Report {
    pub fn passes(&self) -> bool {
        let [a, b, c] = self.loss;
        let near = |x: f64, y: f64| (x - y).abs() <= REFERENCE_TOLERANCE * (1.0 + y.abs());
        near(a, b) && near(a, c) && self.params.iter().all(Compared::passes)
    }
}

/// Compares the gradients of `plan`, which must have been lowered on [`toy_facts`].
pub fn check(plan: &Plan, seed: u64, extensions: &Extensions) -> Result<Report, String> {
    let toy = Toy::new(plan, seed);
    let (block, pairs) = block(plan, &toy, extensions)?;
    let seeds = |p: &gsl_plan::plan::Predict| block.seeds(p.ty).len();
    let weights: Vec<Vec<f32>> =
        plan.predicts.iter().map(|p| vec![1.0; seeds(p) * p.task.label_width()]).collect();
    let scales: Vec<f32> = plan.predicts.iter().map(|p| 1.0 / seeds(p).max(1) as f32).collect();
    let params = Params::new(&plan.params, seed);
    let forward = without_dropout(&plan.train.forward);
    let still = Plan { train: recompiled(plan, &forward)?, ..plan.clone() };
    let plan = &still;
    let world = toy::World {
        plan,
        toy: &toy,
        block: &block,
        pairs: &pairs,
        params: &params,
        weights: &weights,
        scales: &scales,
        extensions,
    };
    let compiled = compiled(&world)?;
    let reference = reference(&world, &forward)?;
    let mut bindings = world.bindings();
    bindings.external = external(&forward, extensions);
    bindings.held = held(&forward, plan, &bindings)?;
    let loss = |b: &gsl_plan::interpret::Bindings| -> Result<f64, String> {
        let values = interpret(&forward, &plan.signature(), b).map_err(|e| e.to_string())?;
        let at = forward.outputs.iter().find(|o| o.role == Role::Loss).ok_or("the program has no loss")?;
        Ok(values[at.value.index()].data[0])
    };
    let narrow = forward.values.iter().any(|value| matches!(value.op, Op::External { .. }));
    let steps = if narrow { NARROW_STEPS } else { STEPS };
    let mut compared = Vec::new();
    for (index, param) in plan.params.iter().enumerate() {
        let Some(expected) = reference.gradients.get(&(index as u32)) else { continue };
        let zeros = vec![0.0; expected.len()];
        let found = compiled.gradients.get(&(index as u32)).unwrap_or(&zeros);
        let size = expected.iter().fold(0f64, |m, g| m.max(g.abs()));
        let scale = size.max(1e-6);
        let gap = found.iter().zip(expected).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale;
        let mut off = 0f64;
        for probe in probes(expected, index) {
            off = off.max(difference(&bindings, (index, probe), expected[probe], (scale, steps), &loss)?);
        }
        let allowed = if narrow { narrow_tolerance(reference.loss, scale) } else { DIFFERENCE_TOLERANCE };
        compared.push(Compared {
            param: param.name.clone(),
            size,
            reference: gap,
            differences: off,
            allowed,
        });
    }
    Ok(Report { loss: [compiled.loss, reference.loss, loss(&bindings)?], params: compared })
}

struct Found {
    loss: f64,
    gradients: BTreeMap<u32, Vec<f64>>,
}

/// Of differences through f32: what curvature takes, and what rounding of the loss leaves at the middle step.
fn narrow_tolerance(loss: f64, scale: f64) -> f64 {
    NARROW_TOLERANCE + f64::from(f32::EPSILON) * (1.0 + loss.abs()) / NARROW_STEPS[1] / scale
}

/// All nodes but the last of each predicted type, and all edges that are predicted, with their negatives.
fn block(plan: &Plan, toy: &Toy, extensions: &Extensions) -> Result<(Block, Vec<PairRows>), String> {
    let fanouts = vec![gsl_plan::plan::Fanout::All; plan.train.hops.len()];
    let sampler = Sampler::with_virtuals(&toy.graph, &plan.train.hops, &fanouts, &plan.virtuals);
    let mut sampler = sampler.map_err(|e| e.to_string())?;
    let of_nodes = plan.predicts.iter().filter(|p| p.pairs.is_none());
    let mut types: Vec<u32> = of_nodes.map(|p| p.ty).collect();
    types.sort_unstable();
    types.dedup();
    let ids: Vec<(u32, Vec<u32>)> =
        types.iter().map(|&ty| (ty, (0..plan.facts.nodes[ty as usize].count as u32 - 1).collect())).collect();
    let seeds: Vec<(u32, &[u32])> = ids.iter().map(|(ty, ids)| (*ty, ids.as_slice())).collect();
    let mut block = Block::new();
    let (head, pairs) = head(plan, toy, extensions)?;
    let head = (!pairs.is_empty()).then_some(&head);
    let sampled = sampler.sample_behind(&toy.graph, &seeds, head, sample_key(0, 0), &mut block);
    sampled.map_err(|e| e.to_string())?;
    Ok((block, pairs))
}

fn head(plan: &Plan, toy: &Toy, extensions: &Extensions) -> Result<(Head, Vec<PairRows>), String> {
    let maker = HeadMaker::new(plan, &plan.train).with_negatives(plan, &toy.graph, extensions);
    let maker = maker.map_err(|e| e.to_string())?;
    let (mut head, mut pairs) = (Head::default(), Vec::new());
    for (predict, declared) in plan.predicts.iter().enumerate() {
        let Some(edges) = Edges::of(&toy.graph, declared) else { continue };
        let own = edges.find(&edges.part(Part::Train));
        let batch = PairBatch { predict, edges, own, first_group: 0 };
        maker.add(&batch, &mut head, &mut pairs);
        let drawn = maker.add_negatives(&batch, &toy.graph, sample_key(1, 0), &mut head);
        drawn.map_err(|e| e.to_string())?;
    }
    Ok((head, pairs))
}

/// The functions of Rust that a program calls.
fn external(program: &Program, extensions: &Extensions) -> BTreeMap<String, External> {
    let names = program.values.iter().filter_map(|value| match &value.op {
        Op::External { name } => Some(name),
        _ => None,
    });
    names.filter_map(|name| Some((name.clone(), External(extensions.function(name)?.clone())))).collect()
}

/// The values that stop a gradient, as they are.
fn held(program: &Program, plan: &Plan, bindings: &Bindings) -> Result<BTreeMap<usize, Matrix>, String> {
    let values = interpret(program, &plan.signature(), bindings).map_err(|e| e.to_string())?;
    let stops = program.values.iter().zip(values).enumerate();
    Ok(stops.filter(|(_, (v, _))| v.op == Op::StopGradient).map(|(i, (_, held))| (i, held)).collect())
}

/// The same program with every dropout rate 0.
fn without_dropout(program: &Program) -> Program {
    let mut program = program.clone();
    for value in &mut program.values {
        if let Op::Dropout { p, .. } = &mut value.op {
            *p = 0.0;
        }
    }
    program
}

/// All passes over `forward`, as for training.
fn recompiled(plan: &Plan, forward: &Program) -> Result<Executable, String> {
    let (signature, costs) = (plan.signature(), crate::explain::costs(plan));
    let links = plan.predicts.iter().flat_map(|p| &p.pairs).flat_map(|pairs| &pairs.links);
    let tiled = links.filter(|links| links.negatives.in_tiles()).flat_map(|links| links.ends).collect();
    let options = Options { tiled, ..Options::train(&signature, &costs, vec![true; plan.params.len()]) };
    compile(forward.clone(), &options, None).map_err(|e| e.to_string())
}

fn compiled(world: &toy::World) -> Result<Found, String> {
    let plan = world.plan;
    let mut executor = Executor::with(&plan.train.schedule, &plan.signature(), world.extensions)
        .map_err(|e| e.to_string())?;
    let weights: Vec<&[f32]> = world.weights.iter().map(Vec::as_slice).collect();
    let env = Env {
        view: &world.toy.graph,
        params: world.params,
        block: world.block,
        hidden: &[],
        context: Context::default(),
        seed_weights: &weights,
        loss_scale: world.scales,
        pairs: world.pairs,
    };
    executor.run(&env, Goal::All).map_err(|e| e.to_string())?;
    let mut dense = world.params.gradient();
    executor.dense_gradient(world.params, world.block, &mut dense);
    let mut gradients = BTreeMap::new();
    for (i, param) in plan.params.iter().enumerate() {
        let i = i as u32;
        let gradient = match (param.kind, world.params.gradient_range(i)) {
            (ParamKind::Dense, Some(range)) => dense.values[range].iter().map(|x| f64::from(*x)).collect(),
            _ => table_gradient(&executor, world, i),
        };
        gradients.insert(i, gradient);
    }
    Ok(Found { loss: f64::from(executor.loss().unwrap_or(f32::NAN)), gradients })
}

fn table_gradient(executor: &Executor, world: &toy::World, param: u32) -> Vec<f64> {
    let width: usize = world.params.shape(param)[1..].iter().product();
    let mut sum = vec![0.0; world.params.values(param).len()];
    for (ty, rows) in executor.row_gradients(param) {
        for (i, &id) in world.block.ids(ty)[..rows.rows()].iter().enumerate() {
            let target = &mut sum[id as usize * width..(id as usize + 1) * width];
            target.iter_mut().zip(rows.row(i)).for_each(|(s, x)| *s += f64::from(*x));
        }
    }
    sum
}

fn reference(world: &toy::World, forward: &Program) -> Result<Found, String> {
    let inputs = gsl_reference::Inputs {
        rows: &|domain| world.block.rows(domain),
        ends: &|rel, hop| world.ends(rel, hop),
        leaf: &|value| world.leaf(value),
        external: &|name| world.extensions.function(name).cloned(),
    };
    let outcome = gsl_reference::run(forward, &inputs).map_err(|e| e.to_string())?;
    let wide = |g: &Vec<f32>| g.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let mut gradients: BTreeMap<u32, Vec<f64>> = outcome.params.iter().map(|(p, g)| (*p, wide(g))).collect();
    for (index, rows) in &outcome.rows {
        let value = &forward.values[*index];
        let (Op::Embedding { param }, gsl_plan::program::Domain::Nodes { ty, .. }) =
            (&value.op, value.domain)
        else {
            continue;
        };
        let width = value.width();
        let sum = gradients.entry(*param).or_insert_with(|| vec![0.0; world.params.values(*param).len()]);
        for (row, &id) in rows.chunks(width).zip(world.block.ids(ty)) {
            let target = &mut sum[id as usize * width..(id as usize + 1) * width];
            target.iter_mut().zip(row).for_each(|(s, x)| *s += f64::from(*x));
        }
    }
    let at = forward.outputs.iter().position(|o| o.role == Role::Loss).ok_or("the program has no loss")?;
    Ok(Found { loss: f64::from(outcome.outputs[at][0]), gradients })
}

/// The elements to move: the largest gradient and some others.
fn probes(gradient: &[f64], salt: usize) -> Vec<usize> {
    let largest = (0..gradient.len()).max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()));
    let mut probes: Vec<usize> = largest.into_iter().collect();
    probes.extend((1..PROBES).map(|i| (i * 7919 + salt * 104_729) % gradient.len().max(1)));
    probes.sort_unstable();
    probes.dedup();
    probes
}

/// |central difference − gradient| / scale, the smallest over three steps (a step may cross a kink of relu or max).
fn difference(
    bindings: &gsl_plan::interpret::Bindings,
    (param, element): (usize, usize),
    gradient: f64,
    (scale, steps): (f64, [f64; 3]),
    loss: &dyn Fn(&gsl_plan::interpret::Bindings) -> Result<f64, String>,
) -> Result<f64, String> {
    let mut best = f64::INFINITY;
    for step in steps {
        let mut moved = bindings.clone();
        moved.params[param][element] += step;
        let up = loss(&moved)?;
        moved.params[param][element] -= 2.0 * step;
        let down = loss(&moved)?;
        best = best.min(((up - down) / (2.0 * step) - gradient).abs() / scale);
    }
    Ok(best)
}
