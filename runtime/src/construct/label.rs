//! Labels of nodes: class indices or targets, and what is checked of them. How cells are read is in [`super::label_values`].

use gsl_plan::graph::{Label, LabelFacts, LabelKind, NodeType, Part, Split};
use gsl_tables::Want;
use serde::{Deserialize, Serialize};

use super::error::{BuildError, Result};
use super::frame::Frame;
use super::known::Known;
use super::label_values::{
    Cells, LabelTally, Seen, fitted, is_labelled, nothing, strangers, transformed, values, want_of, width_of,
};
use super::nodes::Nodes;
use super::part_words::OtherWords;
use super::report::LabelReport;
use super::split;
use super::tables::Tables;
use super::transform::FittedTransform;

/// What is learned of a label: stored with the graph, so that new tables get the same indices and targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedLabel {
    pub name: String,
    pub classes: Vec<String>,
    pub transforms: Vec<FittedTransform>,
}

/// A label as a graph that a model was trained on has it, for the nodes of new tables.
pub struct KnownLabel<'a> {
    fitted: &'a FittedLabel,
    /// Of every node of the new tables, whether or not it has a label.
    parts: Vec<u8>,
}

impl<'a> KnownLabel<'a> {
    /// Label `position` of type `ty`, whose nodes are `nodes` now.
    pub fn of(known: Known<'a>, ty: usize, position: usize, nodes: &Nodes) -> Result<Self> {
        let parts = known.parts(ty, position, nodes)?;
        Ok(KnownLabel { fitted: &known.labels(ty)[position], parts })
    }
}

/// `width` numbers and one part per node. Class: index, -1 unlabelled. Target: NaN unlabelled. Several classes: 0 or 1 for each.
pub struct Labelled {
    pub values: Vec<f32>,
    /// None: one number.
    pub width: Option<usize>,
    pub parts: Vec<u8>,
    pub facts: LabelFacts,
    pub fitted: FittedLabel,
}

/// Computes a label and its split from the columns of all nodes. What is `known` is not learned, nor split, and may have no column.
#[allow(clippy::too_many_arguments)]
pub fn build(
    ty: &NodeType,
    label: &Label,
    nodes: &Nodes,
    frame: &Frame,
    tables: &Tables,
    seed: u64,
    known: Option<KnownLabel>,
    report: &mut LabelReport,
) -> Result<Labelled> {
    let cells = Cells { owner: &ty.name, label, column: &label.column };
    let fitted = match &known {
        Some(known) => known.fitted.clone(),
        None => {
            let mut seen = Seen::default();
            seen.see(cells, frame)?;
            FittedLabel { name: label.name.clone(), classes: seen.classes(), transforms: fitted(cells)? }
        }
    };
    let is_known = known.is_some();
    let width = width_of(label.kind, fitted.classes.len());
    let is_absent = is_known && frame.column(cells.column, want_of(label)).is_err();
    let numbers = match is_absent {
        true => nothing(label.kind).repeat(frame.len * width),
        false => values(cells, frame, &fitted.classes)?,
    };
    if is_known && !is_absent {
        report.see_strangers(strangers(cells, frame, &fitted.classes)?);
    }
    let classes = (label.kind == LabelKind::Class).then_some(numbers.as_slice());
    if let (None, Some(Split::Column { column })) = (&known, &label.split) {
        report.other_words = OtherWords::of(frame.column(column, Want::Text)?);
    }
    let mut parts = match known {
        Some(known) => known.parts,
        None => split::parts(ty, label, nodes, frame, tables, seed, classes)?,
    };
    for (part, row) in parts.iter_mut().zip(numbers.chunks_exact(width.max(1))) {
        if !is_labelled(label.kind, row) {
            *part = Part::None as u8;
        }
    }
    let numbers = match is_absent {
        true => numbers,
        false => transformed(cells, frame, numbers, &fitted.transforms)?,
    };
    let mut tally = LabelTally::new(label.kind, fitted.classes.len());
    tally.see(&numbers, &parts);
    let facts = tally.facts(&label.name, &fitted.classes);
    check(cells, &tally, &fitted.classes, is_known, report)?;
    let width = (label.kind == LabelKind::Classes).then_some(width);
    Ok(Labelled { values: numbers, width, parts, facts, fitted })
}

/// A label that cannot be learned is refused. Chance may leave a rare class without training rows: that is counted.
pub fn check(
    cells: Cells,
    tally: &LabelTally,
    classes: &[String],
    is_known: bool,
    report: &mut LabelReport,
) -> Result<()> {
    let (ty, label) = (cells.owner.to_string(), cells.label.name.clone());
    report.name.clone_from(&label);
    report.unlabelled = tally.rows - tally.labelled();
    report.parts = tally.parts;
    report.classes = classes.len() as u64;
    if is_known {
        return Ok(());
    }
    report.never_trained = tally.never_trained().map(|class| classes[class].clone()).collect();
    if tally.labelled() == 0 {
        return Err(BuildError::NoLabels { ty, label, column: cells.column.to_string() });
    }
    if tally.parts[Part::Train as usize] == 0 {
        return Err(BuildError::NoTrainingRows { ty, label, words: report.other_words.clone() });
    }
    if !report.never_trained.is_empty() && split::is_declared(cells.label) {
        return Err(BuildError::OnlyInTest { ty, label, classes: report.never_trained.clone() });
    }
    Ok(())
}
