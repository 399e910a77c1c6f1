//! `gsc explain FILE`: the plan as a database shows one; after a run, with what was measured beside what was expected.

mod summary;

use gsl_compiler::passes::{Costs, estimate_steps, peak_bytes};
use gsl_plan::graph::{FeatureFacts, GraphFacts, Storage};
use gsl_plan::plan::{Executable, Fanout, ParamKind, Plan, Predict};
use gsl_plan::print::describe;
use gsl_runtime::report::Event;
use gsl_runtime::report::event::StepTime;
use gsl_runtime::report::jsonl;
use std::fmt::Write;
use std::path::Path;

/// The whole plan as text, a summary in words first. `events` is the event file of a run of it, if there is one; `all`: each relation of
/// a family for itself.
pub fn plan(plan: &Plan, events: Option<&Path>, all: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "experiment {} on {}\n", plan.experiment, plan.graph.name);
    let events = events.and_then(|path| jsonl::load(path).ok()).unwrap_or_default();
    let measured = measured(&events).filter(|m| m.len() == plan.train.schedule.steps.len());
    text += &summary::summary(plan, if measured.is_some() { &events } else { &[] });
    text += &facts(plan, all);
    parameters(&mut text, plan);
    training(&mut text, plan);
    let costs = costs(plan);
    let _ = writeln!(text, "one training step, {} on one rank", batch(plan));
    steps(&mut text, plan, &plan.train, &costs, measured.as_deref());
    for stage in &plan.infer {
        let _ = writeln!(text, "inference stage {}, for all nodes and all their neighbours", stage.name);
        steps(&mut text, plan, &stage.exec, &whole(plan), None);
    }
    named(&text, &plan.facts)
}

/// The text of a program or a schedule with the names of types and relations in the place of their numbers.
pub fn named(text: &str, facts: &GraphFacts) -> String {
    let nodes = facts.nodes.iter().enumerate().map(|(i, n)| (format!("nodes({i})"), n.name.clone()));
    let edges =
        facts.relations.iter().enumerate().map(|(i, r)| (format!("edges({i})"), format!("-{}->", r.name)));
    nodes.chain(edges).fold(text.to_string(), |text, (number, name)| text.replace(&number, &name))
}

/// Types, counts, features and labels of a built graph.
fn facts(plan: &Plan, all: bool) -> String {
    let facts = &plan.facts;
    let mut text = String::new();
    let _ = writeln!(text, "graph");
    for node in &facts.nodes {
        let features: Vec<_> = node.features.iter().map(feature).collect();
        let labels: Vec<_> = node
            .labels
            .iter()
            .map(|l| match l.classes.len() {
                0 => format!("{}: float, train/valid/test {}", l.name, parts(&l.parts)),
                n => format!("{}: {n} classes, train/valid/test {}", l.name, parts(&l.parts)),
            })
            .collect();
        let _ = writeln!(
            text,
            "  node {:<24} {:>12}  {} {}",
            node.name,
            node.count,
            features.join(" "),
            labels.join(" ")
        );
    }
    text += &summary::relations(plan, all);
    text.push('\n');
    text
}

/// `vec[384]`, with its storage if this is not 32 bits: `vec[384]:int8`.
fn feature(feature: &FeatureFacts) -> String {
    let storage = match feature.storage {
        Storage::Float32 => String::new(),
        narrow => format!(":{}", narrow.name()),
    };
    format!("{}[{}]{storage}", feature.name, feature.width)
}

fn parts([_, train, valid, test]: &[u64; 4]) -> String {
    format!("{train}/{valid}/{test}")
}

fn parameters(text: &mut String, plan: &Plan) {
    let count = |dense: bool| -> usize {
        let of = plan.params.iter().filter(|p| (p.kind == ParamKind::Dense) == dense);
        of.map(|p| p.shape.iter().product::<usize>()).sum()
    };
    let _ = writeln!(text, "parameters: {} dense, {} in embedding tables", count(true), count(false));
    for param in &plan.params {
        let shape: Vec<_> = param.shape.iter().map(usize::to_string).collect();
        let _ = writeln!(text, "  {:<52} {}", param.name, shape.join(" × "));
    }
    text.push('\n');
}

fn training(text: &mut String, plan: &Plan) {
    let fanouts = plan.sampler.fanouts.iter().map(|f| match f {
        Fanout::All => "all".to_string(),
        Fanout::Neighbors(n) => n.to_string(),
    });
    let fanouts = fanouts.collect::<Vec<_>>().join(", ");
    let trainer = &plan.trainer;
    let first = trainer.stages.first();
    let _ = writeln!(
        text,
        "training: {} epochs, batch {}, neighbours ({fanouts}), adam lr {}, embeddings lr {}, seed {}\n",
        trainer.epochs(),
        trainer.batch.map_or("all".into(), |b| b.to_string()),
        first.map_or(0.0, |stage| stage.dense.lr),
        first.map_or(0.0, |stage| stage.sparse.lr),
        plan.seed
    );
}

fn batch(plan: &Plan) -> String {
    plan.trainer.batch.map_or("the whole graph".into(), |b| format!("a batch of {b}"))
}

/// Expected rows of a training batch.
pub fn costs(plan: &Plan) -> Costs {
    let trained = |ty: u32| {
        let ends = |p: &Predict| match &p.pairs {
            Some(pairs) => pairs.src == ty || pairs.dst == ty,
            None => p.ty == ty,
        };
        plan.predicts.iter().filter(|p| ends(p)).map(|p| p.parts[1]).max().unwrap_or(0) as f64
    };
    let most = plan.trainer.batch.map_or(f64::INFINITY, f64::from);
    let seeds: Vec<f64> = (0..plan.facts.nodes.len() as u32).map(|ty| trained(ty).min(most)).collect();
    let behind = usize::from(plan.predicts.iter().any(|p| p.pairs.is_some()));
    let fanouts = &plan.sampler.fanouts[behind..];
    let costs = Costs::estimate(&plan.facts, fanouts, &seeds, plan.train.hops.get(behind..).unwrap_or(&[]));
    match behind {
        0 => costs,
        _ => {
            let edges = plan.predicts.iter().filter(|p| p.pairs.is_some()).map(|p| p.parts[1]).max();
            let pairs = most.min(edges.unwrap_or(0).max(1) as f64);
            let virtuals = &plan.virtuals;
            let mut costs = costs.behind(virtuals.types.len(), virtuals.relations.len(), pairs, 1.0);
            draw(plan, pairs, &mut costs);
            costs
        }
    }
}

/// Negatives of `pairs` links: their edges, and the rows that are drawn for them.
fn draw(plan: &Plan, pairs: f64, costs: &mut Costs) {
    for (pairs_of, links) in
        plan.predicts.iter().flat_map(|p| &p.pairs).filter_map(|p| Some((p, p.links.as_ref()?)))
    {
        let negatives = &links.negatives;
        for corrupted in links.corrupted(&links.sides) {
            costs.edges[corrupted.rel as usize] = vec![pairs * f64::from(negatives.width())];
            let ty = pairs_of.end(corrupted.side) as usize;
            let drawn = pairs / f64::from(negatives.group.max(1)) * f64::from(negatives.drawn);
            let all = plan.facts.nodes[ty].count as f64;
            costs.nodes[ty].iter_mut().for_each(|rows| *rows = (*rows + drawn).min(all));
        }
    }
}

fn whole(plan: &Plan) -> Costs {
    let seeds: Vec<f64> = plan.facts.nodes.iter().map(|n| n.count as f64).collect();
    let every: Vec<u32> = (0..plan.facts.relations.len() as u32).collect();
    Costs::estimate(&plan.facts, &[Fanout::All], &seeds, &[every])
}

fn steps(text: &mut String, plan: &Plan, exec: &Executable, costs: &Costs, measured: Option<&[StepTime]>) {
    let expected = estimate_steps(&exec.schedule, costs, &plan.facts);
    let heads = if measured.is_some() { "    measured" } else { "" };
    let _ = writeln!(text, "  {:>10} {:>9} {:>9}{heads}  step", "rows", "FLOP", "bytes");
    for (i, (step, cost)) in exec.schedule.steps.iter().zip(&expected).enumerate() {
        let time = measured.map(|m| {
            let per_run = m[i].seconds / m[i].runs.max(1) as f64;
            format!(" {:>8} µs", (per_run * 1e6).round())
        });
        let _ = writeln!(
            text,
            "  {:>10} {:>9} {:>9}{}  {}",
            short(cost.rows),
            short(cost.flops),
            short(cost.bytes),
            time.unwrap_or_default(),
            describe(&exec.schedule, step)
        );
    }
    let (flops, bytes) = expected.iter().fold((0.0, 0.0), |(f, b), c| (f + c.flops, b + c.bytes));
    let _ = writeln!(
        text,
        "  in all {} FLOP, {} bytes moved; buffers {} bytes in {} slots",
        short(flops),
        short(bytes),
        short(peak_bytes(&exec.schedule, costs)),
        exec.schedule.slots
    );
    for buffer in &exec.schedule.buffers {
        if let Some(why) = &buffer.materialised {
            let _ = writeln!(text, "  a row per edge is stored for `{}`: {why}", buffer.name);
        }
    }
    text.push('\n');
}

fn measured(events: &[Event]) -> Option<Vec<StepTime>> {
    events.iter().rev().find_map(|e| match e {
        Event::Profile { steps } => Some(steps.clone()),
        _ => None,
    })
}

/// 1234567 → `1.23M`
pub fn short(x: f64) -> String {
    let scaled = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")].iter().find(|(s, _)| x.abs() >= *s);
    match scaled {
        Some((s, unit)) => format!("{:.2}{unit}", x / s),
        None => format!("{x:.0}"),
    }
}
