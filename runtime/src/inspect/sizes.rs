//! What the bytes of the file are spent on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graph::Graph;

/// Bytes of a part of the file: `nodes/T/keys`, `nodes/T/features`, `nodes/T/labels`, `nodes/T/degree`, `edges/R/structure`,
/// `edges/R/features` (R is the relation's number), `meta`, and `hdf5`, what the format itself takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub part: String,
    pub bytes: u64,
}

/// In the order of types and relations; parts that take no bytes are left out. The sum is the length of the file.
pub fn of(graph: &Graph) -> Vec<Size> {
    let mut parts: BTreeMap<(usize, String), u64> = BTreeMap::new();
    for (name, bytes) in graph.datasets() {
        *parts.entry(part_of(graph, name)).or_default() += bytes;
    }
    let data: u64 = parts.values().sum();
    parts.insert((usize::MAX, "hdf5".into()), graph.bytes().saturating_sub(data));
    let sizes = parts.into_iter().map(|((_, part), bytes)| Size { part, bytes });
    sizes.filter(|size| size.bytes > 0).collect()
}

/// Where a part stands among the others, and its name.
fn part_of(graph: &Graph, dataset: &str) -> (usize, String) {
    let types = graph.facts().nodes.len();
    let mut steps = dataset.split('/');
    match (steps.next(), steps.next(), steps.next()) {
        (Some("nodes"), Some(ty), Some(what)) => {
            let at = graph.facts().nodes.iter().position(|node| node.name == ty).unwrap_or(types);
            (at, format!("nodes/{ty}/{what}"))
        }
        (Some("edges"), Some(rel), Some(what)) => {
            let at = types + rel.parse::<usize>().unwrap_or_default();
            let what = if matches!(what, "indptr" | "src" | "row") { "structure" } else { what };
            (at, format!("edges/{rel}/{what}"))
        }
        _ => (usize::MAX - 1, "meta".to_string()),
    }
}
