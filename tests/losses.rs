//! Every loss in f32, with scores of any size, against its formula in f64 and the slope of that formula.

use gsl_compiler::lower::each_loss;
use gsl_compiler::passes::{Costs, Options, compile};
use gsl_compiler::sema::{ClassWeights, Loss, Over};
use gsl_plan::build::Builder;
use gsl_plan::graph::{LabelKind, Part};
use gsl_plan::plan::{Fanout, Init, Param, ParamKind};
use gsl_plan::program::{Domain, Op, Role, Signature};
use gsl_runtime::exec::{Context, Env, Executor, Goal};
use gsl_runtime::sample::{Block, Sampler, sample_key};
use gsl_runtime::store::Params;
use gsl_runtime::view::MemoryGraph;

/// Scores around 0, at the ends of what is told apart from 0 and 1, and far out.
const SCORES: [f64; 11] = [-1e4, -87.0, -20.0, -3.0, -0.5, 0.0, 0.7, 4.0, 25.0, 90.0, 1e4];

/// One row: its scores and its label.
struct Row {
    scores: Vec<f64>,
    label: Vec<f64>,
}

/// The loss of a row, summed over its classes, and its gradient by each score: by the compiled schedule.
fn compiled(loss: &Loss, kind: LabelKind, row: &Row) -> (f64, Vec<f64>) {
    let (seeds, width) = (Domain::Nodes { ty: 0, hop: 0 }, row.scores.len());
    let signature = Signature { relations: Vec::new(), params: vec![vec![1, width]] };
    let mut b = Builder::new(signature.clone());
    let wide = [width];
    let rows = b.push(Op::Embedding { param: 0 }, &[], seeds, &wide).expect("scores");
    let scores = if kind == LabelKind::Float { b.reshape(rows, &[]).expect("a score") } else { rows };
    let shape: &[usize] = if kind == LabelKind::Classes { &wide } else { &[] };
    let label = b.push(Op::Label { label: 0 }, &[], seeds, shape).expect("a label");
    let mut each = each_loss(&mut b, loss, kind, scores, label).expect("a loss");
    if kind == LabelKind::Classes {
        each = b.op(Op::SumInner { inner: width }, &[each]).expect("a sum");
    }
    let total = b.op(Op::SumRows, &[each]).expect("a sum");
    b.output(Role::Loss, total);
    let costs = Costs { nodes: vec![vec![1.0]], edges: Vec::new() };
    let made = compile(b.program, &Options::train(&signature, &costs, vec![true]), None).expect("compiles");
    run(&made.schedule, &signature, row)
}

fn run(schedule: &gsl_plan::schedule::Schedule, signature: &Signature, row: &Row) -> (f64, Vec<f64>) {
    let narrow = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<_>>();
    let mut graph = MemoryGraph::new(&[1]);
    graph.add_label(0, narrow(&row.label), vec![Part::Train as u8]);
    let table = Param {
        name: "scores".into(),
        shape: vec![1, row.scores.len()],
        init: Init::Zeros,
        kind: ParamKind::Table { ty: 0 },
    };
    let mut params = Params::new(&[table], 0);
    params.restore("param/scores", &narrow(&row.scores)).expect("as many scores");
    let fanouts: [Fanout; 0] = [];
    let mut block = Block::new();
    let mut sampler = Sampler::new(&graph, &[], &fanouts).expect("no hops");
    sampler.sample(&graph, &[(0, &[0])], sample_key(0, 0), &mut block).expect("a seed");
    let mut executor = Executor::new(schedule, signature).expect("a schedule");
    let context = Context { training: true, ..Context::default() };
    let env = Env {
        view: &graph,
        params: &params,
        block: &block,
        hidden: &[],
        context,
        seed_weights: &[],
        loss_scale: &[],
        pairs: &[],
    };
    executor.run(&env, Goal::All).expect("runs");
    let mut gradient = vec![0.0; row.scores.len()];
    for (_, rows) in executor.row_gradients(0) {
        gradient.iter_mut().zip(rows.data).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    (f64::from(executor.loss().expect("a loss")), gradient)
}

/// Value and slope of the compiled loss are those of `formula`, to the precision of f32.
fn agrees(loss: &Loss, kind: LabelKind, row: &Row, formula: &dyn Fn(&[f64]) -> f64) {
    let (value, gradient) = compiled(loss, kind, row);
    let expected = formula(&row.scores);
    let what = || format!("{} of {:?} for {:?}", loss.show(), row.scores, row.label);
    assert!(close(value, expected), "{}: {value}, not {expected}", what());
    for (i, found) in gradient.iter().enumerate() {
        let slope = slope(&row.scores, i, formula);
        assert!(close(*found, slope), "{}: slope {found}, not {slope}, by score {i}", what());
    }
}

fn close(found: f64, expected: f64) -> bool {
    found.is_finite() && (found - expected).abs() <= 2e-5 * (1.0 + expected.abs())
}

/// A central difference.
fn slope(scores: &[f64], at: usize, formula: &dyn Fn(&[f64]) -> f64) -> f64 {
    let step = 1e-5 * (1.0 + scores[at].abs() / 100.0);
    let moved = |by: f64| {
        let mut scores = scores.to_vec();
        scores[at] += by;
        formula(&scores)
    };
    (moved(step) - moved(-step)) / (2.0 * step)
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// log Σ exp, without one of them.
fn log_sum(scores: &[f64], without: Option<usize>) -> f64 {
    let rest = || scores.iter().enumerate().filter(|(i, _)| Some(*i) != without).map(|(_, s)| *s);
    let max = rest().fold(f64::NEG_INFINITY, f64::max);
    max + rest().map(|s| (s - max).exp()).sum::<f64>().ln()
}

/// Rows of three scores, each with each class.
fn class_rows() -> impl Iterator<Item = Row> {
    let pairs = SCORES.iter().flat_map(|a| SCORES.iter().map(|b| [*a, *b]));
    pairs.flat_map(|[a, b]| {
        (0..3).map(move |class| Row { scores: vec![a, b, 0.3], label: vec![f64::from(class)] })
    })
}

#[test]
fn cross_entropy_is_stable() {
    for smoothing in [0.0, 0.1] {
        let loss = Loss::CrossEntropy { weights: ClassWeights::Equal, smoothing };
        for row in class_rows() {
            let class = row.label[0] as usize;
            agrees(&loss, LabelKind::Class, &row, &|s| {
                let (all, mean) = (log_sum(s, None), s.iter().sum::<f64>() / s.len() as f64);
                (1.0 - smoothing) * (all - s[class]) + smoothing * (all - mean)
            });
        }
    }
}

/// (1 − p)^γ (−log p), p = sigmoid(z), where z is the score for what is true against the rest.
fn focal(gamma: f64, margin: f64) -> f64 {
    (-gamma * softplus(margin)).exp() * softplus(-margin)
}

#[test]
fn focal_of_one_class_is_stable() {
    for gamma in [0.5, 1.0, 2.0, 5.0] {
        let loss = Loss::Focal { gamma, alpha: None, weights: ClassWeights::Equal };
        for row in class_rows() {
            let class = row.label[0] as usize;
            agrees(&loss, LabelKind::Class, &row, &|s| focal(gamma, s[class] - log_sum(s, Some(class))));
        }
    }
}

#[test]
fn focal_without_focus_is_cross_entropy() {
    let plain = Loss::Focal { gamma: 0.0, alpha: None, weights: ClassWeights::Equal };
    for row in class_rows() {
        let class = row.label[0] as usize;
        agrees(&plain, LabelKind::Class, &row, &|s| log_sum(s, None) - s[class]);
    }
}

#[test]
fn losses_of_several_classes_are_stable() {
    let bce = Loss::Bce { weights: ClassWeights::Equal, positive: ClassWeights::Equal, over: Over::Mean };
    let focused = Loss::Focal { gamma: 2.0, alpha: None, weights: ClassWeights::Equal };
    for (a, b) in SCORES.iter().flat_map(|a| SCORES.iter().map(move |b| (*a, *b))) {
        for label in [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]] {
            let row = Row { scores: vec![a, b], label: label.to_vec() };
            let over = |of: &dyn Fn(f64) -> f64, s: &[f64]| -> f64 {
                s.iter().zip(label).map(|(s, y)| of((2.0 * y - 1.0) * s)).sum()
            };
            agrees(&bce, LabelKind::Classes, &row, &|s| over(&|margin| softplus(-margin), s));
            agrees(&focused, LabelKind::Classes, &row, &|s| over(&|margin| focal(2.0, margin), s));
        }
    }
}

#[test]
fn losses_of_numbers_are_stable() {
    let label = 0.25;
    let square = |e: f64| e * e;
    let huber = |e: f64| if e.abs() < 1.0 { e * e / 2.0 } else { e.abs() - 0.5 };
    let shrinkage = |e: f64| e * e * (-softplus(10.0 * (0.2 - e.abs()))).exp();
    let all: [(Loss, &dyn Fn(f64) -> f64); 4] = [
        (Loss::Mse, &square),
        (Loss::Mae, &f64::abs),
        (Loss::Huber { delta: 1.0 }, &huber),
        (Loss::Shrinkage { alpha: 10.0, gamma: 0.2 }, &shrinkage),
    ];
    for score in SCORES {
        let row = Row { scores: vec![score], label: vec![label] };
        for (loss, formula) in &all {
            agrees(loss, LabelKind::Float, &row, &|s| formula(s[0] - label));
        }
    }
}
