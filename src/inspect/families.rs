//! Families of relations, of which a table can name hundreds, as one row each.

use gsl_runtime::inspect::{
    ClassCount, Degrees, FeatureInspection, Inspection, LabelInspection, RelationInspection, Size,
};
use gsl_runtime::report::html::group;
use std::collections::BTreeMap;

/// A graph as it is shown.
pub struct Shown {
    pub graph: Inspection,
    /// By the name of a relation that stands for a family: how many there are, and how large.
    pub families: BTreeMap<String, String>,
}

impl Shown {
    /// Every relation for itself.
    pub fn all(mut graph: Inspection) -> Self {
        let name = |at: usize| graph.relations.get(at).map(|relation| relation.name.clone());
        graph.sizes = graph.sizes.iter().map(|size| named(size, name)).collect();
        Shown { graph, families: BTreeMap::new() }
    }

    /// Relations of a family as one, where it has several; their opposites as another.
    pub fn in_families(mut graph: Inspection) -> Self {
        let mut groups: Vec<(String, Vec<RelationInspection>)> = Vec::new();
        let owners: Vec<String> = graph.relations.iter().map(owner).collect();
        for (owner, relation) in owners.iter().zip(&graph.relations) {
            match groups.iter_mut().find(|(known, _)| known == owner) {
                Some((_, own)) => own.push(relation.clone()),
                None => groups.push((owner.clone(), vec![relation.clone()])),
            }
        }
        let name = |at: usize| owners.get(at).cloned();
        graph.sizes = sizes(&graph.sizes, name);
        let mut families = BTreeMap::new();
        let one = |(name, relations): (String, Vec<RelationInspection>)| match relations.as_slice() {
            [only] => only.clone(),
            all => {
                families.insert(name.clone(), counts(all));
                merged(name, all)
            }
        };
        graph.relations = groups.into_iter().map(one).collect();
        Shown { graph, families }
    }
}

/// `[rel]` of a relation of a family, `reverses of [rel]` of its reverse; else the relation's own name.
fn owner(relation: &RelationInspection) -> String {
    match (&relation.family, &relation.reverse_of) {
        (Some(column), None) => format!("[{column}]"),
        (Some(column), Some(_)) => format!("reverses of [{column}]"),
        (None, _) => relation.name.clone(),
    }
}

fn counts(relations: &[RelationInspection]) -> String {
    let mut edges: Vec<u64> = relations.iter().map(|relation| relation.edges).collect();
    edges.sort_unstable();
    let [min, median, max] = [edges[0], edges[(edges.len() - 1) / 2], edges[edges.len() - 1]].map(group);
    format!("{} relations of {min} · {median} · {max} edges (min · median · max)", group(edges.len() as u64))
}

/// Sums and extremes of what is told of several relations. Degrees cannot be added up, and are none.
fn merged(name: String, relations: &[RelationInspection]) -> RelationInspection {
    let first = &relations[0];
    let sum = |of: fn(&RelationInspection) -> u64| relations.iter().map(of).sum();
    let features = (0..first.features.len()).filter_map(|at| feature(relations, at)).collect();
    let labels = (0..first.labels.len()).filter_map(|at| label(relations, at)).collect();
    RelationInspection {
        edges: sum(|r| r.edges),
        dropped_src: sum(|r| r.dropped_src),
        dropped_dst: sum(|r| r.dropped_dst),
        dropped_relation: sum(|r| r.dropped_relation),
        self_loops: sum(|r| r.self_loops),
        parallel: sum(|r| r.parallel),
        merged: sum(|r| r.merged),
        dropped_loops: sum(|r| r.dropped_loops),
        added_loops: sum(|r| r.added_loops),
        unknown_candidates: sum(|r| r.unknown_candidates),
        incoming: Degrees::default(),
        outgoing: Degrees::default(),
        features,
        labels,
        reverse_of: first.reverse_of.as_ref().and(first.family.as_ref()).map(|column| format!("[{column}]")),
        name,
        ..first.clone()
    }
}

/// Over the numbers of all relations.
fn feature(relations: &[RelationInspection], at: usize) -> Option<FeatureInspection> {
    let each = || relations.iter().filter_map(|r| Some((r.edges as f64, r.features.get(at)?)));
    let edges = each().map(|(n, _)| n).sum::<f64>().max(1.0);
    let mean_of = |of: fn(&FeatureInspection) -> f64| each().map(|(n, f)| n * of(f)).sum::<f64>() / edges;
    let mean = mean_of(|f| f.mean);
    Some(FeatureInspection {
        min: each().map(|(_, f)| f.min).fold(f64::INFINITY, f64::min),
        mean,
        max: each().map(|(_, f)| f.max).fold(f64::NEG_INFINITY, f64::max),
        std: (mean_of(|f| f.std * f.std + f.mean * f.mean) - mean * mean).max(0.0).sqrt(),
        zeros: mean_of(|f| f.zeros),
        missing: each().map(|(_, f)| f.missing).sum(),
        missing_share: mean_of(|f| f.missing_share),
        ..each().next()?.1.clone()
    })
}

fn label(relations: &[RelationInspection], at: usize) -> Option<LabelInspection> {
    let each = || relations.iter().filter_map(|r| r.labels.get(at));
    let sum = |of: &dyn Fn(&LabelInspection) -> [u64; 4]| -> [u64; 4] {
        each().map(of).fold([0; 4], |all, one| std::array::from_fn(|i| all[i] + one[i]))
    };
    let first = each().next()?;
    let parts_of = |label: &LabelInspection, name: &str| {
        label.classes.iter().find(|class| class.name == name).map_or([0; 4], |class| class.parts)
    };
    let class = |class: &ClassCount| ClassCount {
        name: class.name.clone(),
        parts: sum(&|label| parts_of(label, &class.name)),
    };
    Some(LabelInspection {
        parts: sum(&|label| label.parts),
        unlabelled: each().map(|label| label.unlabelled).sum(),
        classes: first.classes.iter().map(class).collect(),
        distribution: None,
        ..first.clone()
    })
}

/// Parts of relations that go by one name as one, in the order of the first.
fn sizes(all: &[Size], name: impl Fn(usize) -> Option<String>) -> Vec<Size> {
    let mut found: Vec<Size> = Vec::new();
    for size in all {
        let size = match relation(&size.part) {
            Some((at, what)) if name(at).is_some_and(|name| name.contains('[')) => {
                Size { part: format!("edges/{}/{what}", name(at).unwrap_or_default()), bytes: size.bytes }
            }
            _ => named(size, &name),
        };
        match found.iter_mut().find(|known| known.part == size.part) {
            Some(known) => known.bytes += size.bytes,
            None => found.push(size),
        }
    }
    found
}

/// `edges/3/structure` with the name of the relation.
fn named(size: &Size, name: impl Fn(usize) -> Option<String>) -> Size {
    let found = relation(&size.part).and_then(|(at, _)| name(at));
    let part = found.map_or_else(|| size.part.clone(), |name| format!("{} ({name})", size.part));
    Size { part, bytes: size.bytes }
}

/// Number of the relation, and what of it.
fn relation(part: &str) -> Option<(usize, &str)> {
    let (number, what) = part.strip_prefix("edges/")?.split_once('/')?;
    Some((number.parse().ok()?, what))
}
