//! Labels: class indices or targets of the nodes, and what is checked of them.

use gsl_plan::graph::{Label, LabelFacts, LabelKind, NodeType, Part};
use gsl_tables::{MISSING, TextColumn, Values, Want};
use serde::{Deserialize, Serialize};

use super::error::{BuildError, Result};
use super::frame::Frame;
use super::nodes::Nodes;
use super::report::LabelReport;
use super::split;
use super::tables::Tables;
use super::transform::{FittedTransform, sort_as_numbers_or_texts, used_texts};
use super::value::{Located, Numbers, Value, load};

/// What is learned of a label: stored with the graph, so that new tables get the same indices and targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedLabel {
    pub name: String,
    pub classes: Vec<String>,
    pub transforms: Vec<FittedTransform>,
}

/// One value and one part per node. Classes: index, -1 unlabelled. Targets: NaN unlabelled.
pub struct Labelled {
    pub values: Vec<f32>,
    pub parts: Vec<u8>,
    pub facts: LabelFacts,
    pub fitted: FittedLabel,
}

pub fn want_of(kind: LabelKind) -> Want {
    match kind {
        LabelKind::Class => Want::Text,
        LabelKind::Float => Want::Float,
    }
}

/// Computes a label and its split from the columns of all nodes. `known`: as an earlier build learned it.
#[allow(clippy::too_many_arguments)]
pub fn build(
    ty: &NodeType,
    label: &Label,
    nodes: &Nodes,
    frame: &Frame,
    tables: &Tables,
    seed: u64,
    known: Option<&FittedLabel>,
    report: &mut LabelReport,
) -> Result<Labelled> {
    let (mut values, classes) = raw_values(ty, label, frame, known)?;
    if known.is_none() && values.iter().all(|value| !is_labelled(*value, label.kind)) {
        let (ty, column) = (ty.name.clone(), label.column.clone());
        return Err(BuildError::NoLabels { ty, label: label.name.clone(), column });
    }
    let classes_for_split = (label.kind == LabelKind::Class).then_some(values.as_slice());
    let mut parts = split::parts(ty, label, nodes, frame, tables, seed, classes_for_split)?;
    for (part, value) in parts.iter_mut().zip(&values) {
        if !is_labelled(*value, label.kind) {
            *part = Part::None as u8;
        }
    }
    let transforms = transform(ty, label, frame, &mut values, &parts, known)?;
    let facts = facts_of(label, classes.clone(), &values, &parts);
    check(ty, label, &facts, &values, &parts, known, report)?;
    let fitted = FittedLabel { name: label.name.clone(), classes, transforms };
    Ok(Labelled { values, parts, facts, fitted })
}

fn is_labelled(value: f32, kind: LabelKind) -> bool {
    match kind {
        LabelKind::Class => value >= 0.0,
        LabelKind::Float => !value.is_nan(),
    }
}

fn raw_values(
    ty: &NodeType,
    label: &Label,
    frame: &Frame,
    known: Option<&FittedLabel>,
) -> Result<(Vec<f32>, Vec<String>)> {
    let column = frame.column(&label.column, want_of(label.kind))?;
    match &column.values {
        Values::Text(text) => {
            let classes = known.map_or_else(|| classes_of(text), |known| known.classes.clone());
            Ok((class_indices(text, &classes), classes))
        }
        _ => {
            let Ok(Value::Numbers(x)) = load(column) else { return Ok((Vec::new(), Vec::new())) };
            if let Some(row) = x.data.iter().position(|x| x.is_infinite()) {
                let place = frame.place(Some(&label.column), row).unwrap_or_default();
                return Err(BuildError::InfiniteLabel {
                    ty: ty.name.clone(),
                    label: label.name.clone(),
                    place,
                });
            }
            let target = |row: usize| if x.is_missing(row) { f32::NAN } else { x.data[row] as f32 };
            Ok(((0..frame.len).map(target).collect(), Vec::new()))
        }
    }
}

fn classes_of(text: &TextColumn) -> Vec<String> {
    let mut classes = used_texts(text);
    sort_as_numbers_or_texts(&mut classes);
    classes
}

fn class_indices(text: &TextColumn, classes: &[String]) -> Vec<f32> {
    let mut sorted: Vec<(&str, f32)> =
        classes.iter().enumerate().map(|(i, c)| (c.as_str(), i as f32)).collect();
    sorted.sort_unstable_by_key(|(class, _)| *class);
    let find =
        |text: &str| sorted.binary_search_by_key(&text, |(class, _)| class).map_or(-1.0, |at| sorted[at].1);
    let by_code: Vec<f32> = text.values.iter().map(find).collect();
    text.codes.iter().map(|&code| if code == MISSING { -1.0 } else { by_code[code as usize] }).collect()
}

/// Applies the label's transforms, fitted on its training rows.
fn transform(
    ty: &NodeType,
    label: &Label,
    frame: &Frame,
    values: &mut Vec<f32>,
    parts: &[u8],
    known: Option<&FittedLabel>,
) -> Result<Vec<FittedTransform>> {
    if label.kind == LabelKind::Class || label.transforms.is_empty() {
        return Ok(Vec::new());
    }
    let explain = |located: Located| BuildError::LabelTransform {
        ty: ty.name.clone(),
        label: label.name.clone(),
        fault: located.fault,
        place: located.element.and_then(|element| frame.place(Some(&label.column), element)),
    };
    let train: Vec<bool> = parts.iter().map(|&part| part == Part::Train as u8).collect();
    let missing: Vec<bool> = values.iter().map(|x| x.is_nan()).collect();
    let data = values.iter().map(|&x| if x.is_nan() { 0.0 } else { f64::from(x) }).collect();
    let mut value = Value::Numbers(Numbers { width: 1, data, missing });
    let mut fitted = Vec::new();
    for (index, transform) in label.transforms.iter().enumerate() {
        let one = match known.and_then(|known| known.transforms.get(index)) {
            Some(one) => one.clone(),
            None => {
                FittedTransform::fit(transform, value.clone(), values.len(), Some(&train)).map_err(explain)?
            }
        };
        value = one.apply(value, values.len()).map_err(explain)?;
        fitted.push(one);
    }
    if let Value::Numbers(x) = value {
        *values =
            (0..x.rows()).map(|row| if x.is_missing(row) { f32::NAN } else { x.data[row] as f32 }).collect();
    }
    Ok(fitted)
}

fn facts_of(label: &Label, classes: Vec<String>, values: &[f32], parts: &[u8]) -> LabelFacts {
    let mut facts = LabelFacts { name: label.name.clone(), ..LabelFacts::default() };
    facts.train_counts = vec![0; classes.len()];
    let (mut train, is_class) = (Vec::new(), label.kind == LabelKind::Class);
    for (&value, &part) in values.iter().zip(parts).filter(|(value, _)| is_labelled(**value, label.kind)) {
        facts.parts[usize::from(part)] += 1;
        match (part == Part::Train as u8, is_class) {
            (true, true) => facts.train_counts[value as usize] += 1,
            (true, false) => train.push(f64::from(value)),
            _ => {}
        }
    }
    (facts.mean, facts.std) = moments(train);
    facts.classes = classes;
    facts
}

/// Mean and standard deviation, whatever the order; (0, 1) of nothing, deviation 1 of a constant.
fn moments(mut values: Vec<f64>) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 1.0);
    }
    values.sort_unstable_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
    (mean, if values.first() == values.last() { 1.0 } else { variance.sqrt() })
}

/// A label that cannot be learned is refused. Chance may leave a rare class without training rows: that is counted.
fn check(
    ty: &NodeType,
    label: &Label,
    facts: &LabelFacts,
    values: &[f32],
    parts: &[u8],
    known: Option<&FittedLabel>,
    report: &mut LabelReport,
) -> Result<()> {
    report.name.clone_from(&label.name);
    report.unlabelled = values.len() as u64 - facts.parts.iter().sum::<u64>();
    report.parts = facts.parts;
    report.classes = facts.classes.len() as u64;
    report.never_trained = never_trained(facts, values, parts);
    if known.is_some() {
        return Ok(());
    }
    if facts.parts[Part::Train as usize] == 0 {
        return Err(BuildError::NoTrainingRows { ty: ty.name.clone(), label: label.name.clone() });
    }
    if !report.never_trained.is_empty() && split::is_declared(label) {
        let classes = report.never_trained.clone();
        return Err(BuildError::OnlyInTest { ty: ty.name.clone(), label: label.name.clone(), classes });
    }
    Ok(())
}

/// Classes that the test part has and the training part lacks.
fn never_trained(facts: &LabelFacts, values: &[f32], parts: &[u8]) -> Vec<String> {
    let mut tested = vec![false; facts.classes.len()];
    for (&value, &part) in values.iter().zip(parts) {
        if part == Part::Test as u8 && !tested.is_empty() {
            tested[value as usize] = true;
        }
    }
    let lost = (0..tested.len()).filter(|&class| tested[class] && facts.train_counts[class] == 0);
    lost.map(|class| facts.classes[class].clone()).collect()
}
