//! What a run writes for its user: predictions and embeddings with the user's own identifiers, as Parquet.

use super::Computed;
use crate::graph::{Graph, Keys};
use crate::train::metrics::argmax;
use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict, Task, Write, WriteWhat};
use gsl_tables::{Output, OutputColumn, TableError, write_parquet};
use std::path::{Path, PathBuf};

/// Writes everything that the plan asks for below `base`; returns the files and their rows.
pub fn write_all(
    plan: &Plan,
    graph: &Graph,
    computed: &Computed,
    base: &Path,
) -> Result<Vec<(PathBuf, u64)>, TableError> {
    let mut written = Vec::new();
    for write in &plan.writes {
        let name = &plan.facts.nodes[write.ty as usize].name;
        match write.what {
            WriteWhat::Predictions => {
                let of_labels = |p: &Predict| !matches!(p.task, Task::Reconstruction { .. });
                let own = |p: &Predict| p.pairs.is_none() && p.ty == write.ty && of_labels(p);
                for (i, predict) in plan.predicts.iter().enumerate().filter(|(_, p)| own(p)) {
                    let label = &plan.facts.nodes[write.ty as usize].labels[predict.label as usize].name;
                    let path = base.join(&write.dir).join(format!("{name}.{label}.parquet"));
                    written.push((path.clone(), predictions(plan, i, graph, computed, &path)?));
                }
            }
            WriteWhat::Embeddings => {
                let path = base.join(&write.dir).join(format!("{name}.embeddings.parquet"));
                if let Some(rows) = embeddings(write, graph, computed, &path)? {
                    written.push((path, rows));
                }
            }
        }
    }
    Ok(written)
}

/// Columns: the key, `part`, the prediction, and for classes its probability and all probabilities.
fn predictions(
    plan: &Plan,
    index: usize,
    graph: &Graph,
    computed: &Computed,
    path: &Path,
) -> Result<u64, TableError> {
    let predict = &plan.predicts[index];
    let Some(rows) = computed.scores.get(index).and_then(Option::as_ref) else { return Ok(0) };
    let n = graph.node_count(predict.ty);
    let parts: Vec<&str> = graph.parts(predict.ty, predict.label).iter().map(|&p| part_name(p)).collect();
    let part = OutputColumn::new("part", Output::Text(&parts));
    let scores = |v: usize| rows.row(v as u32);
    match &predict.task {
        Task::Classification { classes } => {
            let best: Vec<usize> = (0..n).map(|v| argmax(scores(v))).collect();
            let names: Vec<&str> = best.iter().map(|&c| classes[c].as_str()).collect();
            let all: Vec<f32> = (0..n).flat_map(|v| probabilities(scores(v))).collect();
            let own: Vec<f32> = best.iter().enumerate().map(|(v, c)| all[v * classes.len() + c]).collect();
            let columns = [
                part,
                OutputColumn::new("prediction", Output::Text(&names)),
                OutputColumn::new("probability", Output::Float32(&own)),
                OutputColumn::new("probabilities", Output::FloatList { width: classes.len(), values: &all }),
            ];
            with_keys(graph, predict, &columns, path)?;
        }
        Task::Links | Task::Reconstruction { .. } => return Ok(0),
        Task::Regression { mean, std } => {
            let values: Vec<f64> = (0..n).map(|v| f64::from(scores(v)[0]) * std + mean).collect();
            with_keys(
                graph,
                predict,
                &[part, OutputColumn::new("prediction", Output::Float(&values))],
                path,
            )?;
        }
    }
    Ok(n as u64)
}

fn embeddings(
    write: &Write,
    graph: &Graph,
    computed: &Computed,
    path: &Path,
) -> Result<Option<u64>, TableError> {
    let Some(rows) = computed.embeddings.get(write.ty as usize).and_then(Option::as_ref) else {
        return Ok(None);
    };
    let column = OutputColumn::new("embedding", Output::FloatList { width: rows.width, values: &rows.data });
    write_with_keys(graph, write.ty, &[column], path)?;
    Ok(Some((rows.data.len() / rows.width.max(1)) as u64))
}

fn with_keys(
    graph: &Graph,
    predict: &Predict,
    columns: &[OutputColumn],
    path: &Path,
) -> Result<(), TableError> {
    write_with_keys(graph, predict.ty, columns, path)
}

fn write_with_keys(graph: &Graph, ty: u32, columns: &[OutputColumn], path: &Path) -> Result<(), TableError> {
    let name = key_name(graph, ty);
    let name = if columns.iter().any(|c| c.name == name) { format!("{name}_key") } else { name };
    let keys = graph.keys(ty);
    let rows: Vec<i64> = if let Keys::Rows(n) = keys { (0..n as i64).collect() } else { Vec::new() };
    let texts: Vec<&str> = match keys {
        Keys::Texts { .. } => (0..keys.len()).filter_map(|i| keys.get(i).text()).collect(),
        _ => Vec::new(),
    };
    let key = match keys {
        Keys::Rows(_) => Output::Int(&rows),
        Keys::Ints(keys) => Output::Int(keys),
        Keys::Texts { .. } => Output::Text(&texts),
    };
    let all: Vec<OutputColumn> =
        std::iter::once(OutputColumn::new(&name, key)).chain(columns.iter().copied()).collect();
    write_parquet(path, &all)
}

/// The user's name of the identifier; `row` where there is no key column.
fn key_name(graph: &Graph, ty: u32) -> String {
    graph.plan().nodes[ty as usize].key.as_ref().map_or_else(|| "row".into(), |key| key.column.clone())
}

/// softmax(logits), the largest subtracted first.
fn probabilities(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
    let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| (p / sum) as f32).collect()
}

fn part_name(code: u8) -> &'static str {
    match code {
        c if c == Part::Train as u8 => "train",
        c if c == Part::Valid as u8 => "valid",
        c if c == Part::Test as u8 => "test",
        _ => "none",
    }
}
