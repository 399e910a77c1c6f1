//! The plan in words: how much is trained, how long it is expected to take, what it holds, what it leaves.
//!
//! Decided here: what an expected second is. A step moves bytes and computes; eight operations count as a byte, as they do for the passes,
//! and a sampled edge as many as looking it up takes. The numbers are for orders of magnitude, and what was measured stands beside them.

use super::{costs, whole};
use crate::inspect::bytes;
use gsl_compiler::passes::{Costs, FLOPS_PER_BYTE, estimate_steps, peak_bytes};
use gsl_plan::pairs::Against;
use gsl_plan::plan::{Executable, ParamKind, Plan, Predict, Write, WriteWhat};
use gsl_runtime::report::Event;
use gsl_runtime::report::html::group;
use std::collections::BTreeMap;

/// Bytes that all threads together move in a second.
const BYTES_PER_SECOND: f64 = 16e9;
/// Bytes that an edge counts for when it is drawn.
const BYTES_PER_SAMPLED_EDGE: f64 = 256.0;

/// About five lines. `events` are those of the last run, if its steps were these.
pub fn summary(plan: &Plan, events: &[Event]) -> String {
    let steps = steps(plan);
    let train = seconds(plan, &plan.train, &costs(plan)) * f64::from(steps);
    let evaluation = plan.infer.iter().map(|stage| seconds(plan, &stage.exec, &whole(plan))).sum::<f64>();
    let evaluation = evaluation + ranking(plan, 2);
    let mut lines = vec![
        format!("trains   {}", trained(plan, steps)),
        format!(
            "time     about {} an epoch and {} an evaluation expected{}",
            time(train),
            time(evaluation),
            measured(events)
        ),
        format!("memory   {}", memory(plan)),
    ];
    let writes: Vec<String> = plan.writes.iter().map(|write| written(plan, write)).collect();
    match writes.as_slice() {
        [] => lines.push("writes   nothing; `write predictions to \"FOLDER\"` would".to_owned()),
        all => lines.extend(all.iter().map(|text| format!("writes   {text}"))),
    }
    lines.join("\n") + "\n\n"
}

/// `7,842 rows of package.section in 8 steps an epoch, at most 20 epochs`
fn trained(plan: &Plan, steps: u32) -> String {
    let rows = |predict: &Predict| {
        let what = if predict.pairs.is_some() { "edges" } else { "rows" };
        format!("{} {what} of {}", group(predict.parts[1]), predict.name)
    };
    let rows: Vec<String> = plan.predicts.iter().map(rows).collect();
    let steps = if steps == 1 { "1 step".to_owned() } else { format!("{} steps", group(steps.into())) };
    let epochs = plan.trainer.epochs();
    let most = if plan.trainer.stop.is_some() { "at most " } else { "" };
    format!("{} in {steps} an epoch, {most}{epochs} epochs", rows.join(", "))
}

/// Batches of an epoch: as many as the largest list of seeds makes.
fn steps(plan: &Plan) -> u32 {
    let most = plan.predicts.iter().map(|predict| predict.parts[1]).max().unwrap_or(0);
    plan.trainer.batch.map_or(1, |batch| most.div_ceil(u64::from(batch.max(1))) as u32)
}

/// Of one pass over a program.
fn seconds(plan: &Plan, exec: &Executable, costs: &Costs) -> f64 {
    let steps = estimate_steps(&exec.schedule, costs, &plan.facts);
    let moved: f64 = steps.iter().map(|step| step.bytes + step.flops / FLOPS_PER_BYTE).sum();
    let edges: f64 = costs.edges.iter().flatten().sum();
    (moved + edges * BYTES_PER_SAMPLED_EDGE) / BYTES_PER_SECOND
}

/// Links of a part against their candidates: two operations for each number of a row.
fn ranking(plan: &Plan, part: usize) -> f64 {
    let width = plan.infer.last().and_then(|stage| stage.own.iter().max()).copied().unwrap_or(1) as f64;
    let of = |predict: &Predict| {
        let Some((pairs, links)) = predict.pairs.as_ref().and_then(|p| Some((p, p.links.as_ref()?))) else {
            return 0.0;
        };
        let nodes = plan.facts.nodes[pairs.dst as usize].count as f64;
        let candidates = match links.protocol.against {
            Against::All => nodes,
            Against::Uniform(k) => f64::from(k),
            Against::Given { .. } => 1.0,
        };
        predict.parts[part] as f64 * links.protocol.sides.len() as f64 * candidates
    };
    plan.predicts.iter().map(of).sum::<f64>() * 2.0 * width / FLOPS_PER_BYTE / BYTES_PER_SECOND
}

/// What the last run took.
fn measured(events: &[Event]) -> String {
    let seconds = |event: &Event| match event {
        Event::Epoch { seconds, .. } => Some(*seconds),
        _ => None,
    };
    let epochs: Vec<f64> = events.iter().filter_map(seconds).collect();
    if epochs.is_empty() {
        return String::new();
    }
    format!("; the last run took {} an epoch", time(epochs.iter().sum::<f64>() / epochs.len() as f64))
}

fn memory(plan: &Plan) -> String {
    let numbers = |dense: bool| -> u64 {
        let of = plan.params.iter().filter(|p| (p.kind == ParamKind::Dense) == dense);
        of.map(|p| p.shape.iter().product::<usize>() as u64).sum()
    };
    // Parameter and two moments of the optimizer; of dense ones the gradient too.
    let params = 16 * numbers(true) + 12 * numbers(false);
    let step = peak_bytes(&plan.train.schedule, &costs(plan)) as u64;
    let rows = |types: &[(u32, usize)]| -> u64 {
        types.iter().map(|(ty, width)| 4 * *width as u64 * plan.facts.nodes[*ty as usize].count).sum()
    };
    let stages: Vec<u64> = plan.infer.iter().map(|stage| rows(&stage.types)).collect();
    let inference = stages.windows(2).map(|two| two[0] + two[1]).chain(stages.iter().copied()).max();
    format!(
        "{} of parameters with the optimizer's state, {} of buffers in a step, {} of rows in an evaluation",
        bytes(params),
        bytes(step),
        bytes(inference.unwrap_or(0))
    )
}

/// `out/package.section.parquet: 12,687 rows`
fn written(plan: &Plan, write: &Write) -> String {
    // One file for each weight of the relations.
    let weight = if matches!(write.what, WriteWhat::Relations { .. }) { ".*" } else { "" };
    let name = format!("{}{weight}.{}", write.name, write.format.name());
    let file = std::path::Path::new(&write.dir).join(name);
    let nodes = |ty: u32| group(plan.facts.nodes[ty as usize].count);
    let rows = match &write.what {
        WriteWhat::Embeddings { ty } => format!("{} rows", nodes(*ty)),
        WriteWhat::Predictions { predict } => match &plan.predicts[*predict].pairs {
            None => format!("{} rows", nodes(plan.predicts[*predict].ty)),
            Some(pairs) => {
                let edges = pairs.relations.iter().map(|rel| plan.facts.relations[*rel as usize].edges);
                format!("{} rows", group(edges.sum()))
            }
        },
        WriteWhat::Relations { predict } => {
            let relations = plan.predicts[*predict].pairs.as_ref().map_or(0, |pairs| pairs.relations.len());
            format!("{} rows", group(relations as u64))
        }
        WriteWhat::Links { predict, most, relation, .. } => {
            let links = plan.predicts[*predict].pairs.as_ref().map_or(0, |pairs| {
                let kinds = if relation.is_some() { 1 } else { pairs.relations.len() as u64 };
                let [src, dst] = [pairs.src, pairs.dst].map(|ty| plan.facts.nodes[ty as usize].count);
                kinds * src * u64::from(*most).min(dst)
            });
            format!("at most {} rows", group(links))
        }
        WriteWhat::Scores { pairs, .. } => format!("a row for each of {}", pairs.source.paths.join(", ")),
    };
    format!("{}: {rows}", file.display())
}

/// `0.3 s`, `2 min`, `3.5 h`
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.2} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A line of each relation, or of each family with more than one.
pub fn relations(plan: &Plan, all: bool) -> String {
    let facts = &plan.facts;
    let mut families: BTreeMap<(usize, bool), Vec<u64>> = BTreeMap::new();
    let column = |at: usize| match &plan.graph.edges.get(at)?.relation {
        gsl_plan::graph::Relation::Column(column) if !all => Some(column.as_str()),
        _ => None,
    };
    for rel in &facts.relations {
        families.entry((rel.declared_by, rel.reverse_of.is_some())).or_default().push(rel.edges);
    }
    let mut text = String::new();
    for rel in &facts.relations {
        let (src, dst) = (&facts.nodes[rel.src].name, &facts.nodes[rel.dst].name);
        let is_reverse = rel.reverse_of.is_some();
        let line = match column(rel.declared_by) {
            Some(column) => {
                let Some(mut edges) = families.remove(&(rel.declared_by, is_reverse)) else { continue };
                edges.sort_unstable();
                let count = edges.len();
                let [min, median, max] = [edges[0], edges[(count - 1) / 2], edges[count - 1]].map(group);
                let what = if is_reverse { format!("reverses of [{column}]") } else { format!("[{column}]") };
                let sum: u64 = edges.iter().sum();
                let note = format!(
                    "{count} relations of {min} · {median} · {max} edges (min · median · max; --all for each)"
                );
                (format!("{src} -{what}-> {dst}"), sum, note)
            }
            None => {
                let reverse = rel.reverse_of.map(|r| format!("reverse of {}", facts.relations[r].name));
                (format!("{src} -{}-> {dst}", rel.name), rel.edges, reverse.unwrap_or_default())
            }
        };
        text += format!("  edge {:<44} {:>12}  {}", line.0, line.1, line.2).trim_end();
        text.push('\n');
    }
    text
}
