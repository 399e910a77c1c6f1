//! What the labels of a node type or a relation are, and how they are spread over the parts of their split.

use gsl_plan::graph::{Bound, Compare, Label, LabelFacts, LabelKind, Scalar, Split};
use serde::{Deserialize, Serialize};

use super::features::Moments;
use crate::graph::Graph;
use crate::view::GraphView;

/// Bins of the distribution of a label of numbers.
const BINS: usize = 16;

/// Counts in `parts` are [none, train, valid, test].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelInspection {
    pub name: String,
    pub kind: LabelKind,
    /// The rule that parts the rows, as in the language; none if nothing parts them.
    pub split: Option<String>,
    pub parts: [u64; 4],
    pub unlabelled: u64,
    /// In the order of their indices; empty for numbers.
    pub classes: Vec<ClassCount>,
    /// For numbers.
    pub distribution: Option<Distribution>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    pub name: String,
    pub parts: [u64; 4],
}

/// The labelled rows of all parts. Bin i of n counts values from min + i · (max − min) / n; the last one ends with max.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    pub std: f64,
    pub bins: Vec<u64>,
}

/// A label of a node type.
pub fn of(graph: &Graph, ty: u32, index: usize) -> LabelInspection {
    let facts = &graph.facts().nodes[ty as usize].labels[index];
    let declared = graph.plan().nodes.get(ty as usize).and_then(|node| node.labels.get(index));
    told(facts, declared, graph.label(ty, index as u32), graph.parts(ty, index as u32))
}

/// A label of the edges of a relation.
pub fn of_edges(graph: &Graph, rel: u32, index: usize) -> LabelInspection {
    let relation = &graph.facts().relations[rel as usize];
    let declared = graph.plan().edges.get(relation.declared_by).and_then(|edge| edge.labels.get(index));
    let (values, parts) = (graph.edge_label(rel, index as u32), graph.edge_parts(rel, index as u32));
    told(&relation.labels[index], declared, values, parts)
}

fn told(facts: &LabelFacts, declared: Option<&Label>, values: &[f32], parts: &[u8]) -> LabelInspection {
    let kind = declared.map_or(LabelKind::Float, |label| label.kind);
    let (classes, distribution) = match kind {
        LabelKind::Class => (class_counts(facts, values, parts), None),
        LabelKind::Classes => (several_counts(facts, values, parts), None),
        LabelKind::Float => (Vec::new(), distribution(values)),
    };
    LabelInspection {
        name: facts.name.clone(),
        kind,
        split: declared.and_then(|label| label.split.as_ref()).map(rule),
        parts: facts.parts,
        unlabelled: parts.len() as u64 - facts.parts.iter().sum::<u64>(),
        classes,
        distribution,
    }
}

fn no_counts(facts: &LabelFacts) -> Vec<ClassCount> {
    let zero = |name: &String| ClassCount { name: name.clone(), parts: [0; 4] };
    facts.classes.iter().map(zero).collect()
}

fn class_counts(facts: &LabelFacts, values: &[f32], parts: &[u8]) -> Vec<ClassCount> {
    let mut counts = no_counts(facts);
    for (&value, &part) in values.iter().zip(parts).filter(|(value, _)| **value >= 0.0) {
        if let Some(count) = counts.get_mut(value as usize) {
            count.parts[usize::from(part)] += 1;
        }
    }
    counts
}

/// Rows of one number for each class count for each that is 1.
fn several_counts(facts: &LabelFacts, values: &[f32], parts: &[u8]) -> Vec<ClassCount> {
    let mut counts = no_counts(facts);
    for (row, &part) in values.chunks_exact(counts.len().max(1)).zip(parts) {
        for (count, _) in counts.iter_mut().zip(row).filter(|(_, value)| **value == 1.0) {
            count.parts[usize::from(part)] += 1;
        }
    }
    counts
}

fn distribution(values: &[f32]) -> Option<Distribution> {
    let mut moments = Moments::default();
    for piece in values.chunks(1 << 16) {
        let labelled: Vec<f32> = piece.iter().copied().filter(|x| !x.is_nan()).collect();
        moments = moments.join(Moments::of_piece(&labelled));
    }
    let (min, max) = (moments.min, moments.max);
    let mut bins = vec![0; if min < max { BINS } else { 1 }];
    for value in values.iter().filter(|x| !x.is_nan()).map(|&x| f64::from(x)) {
        let at = if min < max { ((value - min) / (max - min) * BINS as f64) as usize } else { 0 };
        let last = bins.len() - 1;
        bins[at.min(last)] += 1;
    }
    let std = (moments.squares / moments.count.max(1) as f64).sqrt();
    (moments.count > 0).then_some(Distribution { min, mean: moments.mean, max, std, bins })
}

/// `random(train: 60%, valid: 20%, test: 20%), stratified`
fn rule(split: &Split) -> String {
    match split {
        Split::Random { train, valid, test, stratified } => {
            let percent = |share: &f64| format!("{}%", (share * 1e6).round() / 1e4);
            let (train, valid, test) = (percent(train), percent(valid), percent(test));
            let tail = if *stratified { ", stratified" } else { "" };
            format!("random(train: {train}, valid: {valid}, test: {test}){tail}")
        }
        Split::Column { column } => format!("column({column})"),
        Split::By { column, train, valid, test } => {
            let part = |name: &str, bounds: &[Bound]| {
                (!bounds.is_empty()).then(|| format!("{name}: {}", all(bounds)))
            };
            let parts = [part("train", train), part("valid", valid), part("test", test)];
            format!("by {column} ({})", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
        Split::Files { .. } => "files(…)".to_string(),
    }
}

fn all(bounds: &[Bound]) -> String {
    bounds.iter().map(bound).collect::<Vec<_>>().join(" and ")
}

fn bound(bound: &Bound) -> String {
    let sign = match bound.compare {
        Compare::Less => "<",
        Compare::LessEqual => "<=",
        Compare::Equal => "==",
        Compare::GreaterEqual => ">=",
        Compare::Greater => ">",
    };
    match &bound.value {
        Scalar::Number(x) => format!("{sign} {x}"),
        Scalar::Text(text) => format!("{sign} \"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_counted_by_part() {
        let facts = LabelFacts { classes: vec!["a".into(), "b".into()], ..LabelFacts::default() };
        let counts = class_counts(&facts, &[0.0, 1.0, 1.0, -1.0], &[1, 1, 3, 0]);
        assert_eq!(counts[0], ClassCount { name: "a".into(), parts: [0, 1, 0, 0] });
        assert_eq!(counts[1], ClassCount { name: "b".into(), parts: [0, 1, 0, 1] });
    }

    #[test]
    fn numbers_fall_into_bins() {
        let found = distribution(&[0.0, 1.0, 15.9, 16.0, f32::NAN]).expect("labelled rows");
        assert_eq!((found.min, found.max, found.bins.len()), (0.0, 16.0, BINS));
        assert_eq!((found.bins[0], found.bins[1], found.bins[15]), (1, 1, 2));
        assert_eq!(distribution(&[3.0, 3.0]).map(|d| d.bins), Some(vec![2]));
        assert_eq!(distribution(&[f32::NAN]), None);
    }

    #[test]
    fn rules_read_as_in_the_language() {
        let split = Split::Random { train: 0.6, valid: 0.2, test: 0.2, stratified: true };
        assert_eq!(rule(&split), "random(train: 60%, valid: 20%, test: 20%), stratified");
        let below = Bound { compare: Compare::Less, value: Scalar::Number(2018.0) };
        let split = Split::By { column: "year".into(), train: vec![below], valid: vec![], test: vec![] };
        assert_eq!(rule(&split), "by year (train: < 2018)");
    }
}
