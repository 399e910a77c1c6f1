//! How many nodes and edges the small graphs of a graph of many have.

use serde::{Deserialize, Serialize};

use super::degrees::{Degrees, of_counts};
use crate::graph::Graph;
use crate::view::GraphView;

/// Over the small graphs; an edge counts once, its reverse not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MembersInspection {
    pub nodes: Degrees,
    pub edges: Degrees,
}

/// Of the type `ty`, if its nodes are small graphs.
pub fn of(graph: &Graph, ty: usize) -> Option<MembersInspection> {
    graph.plan().graphs.filter(|graphs| *graphs == ty)?;
    let mut nodes = vec![0u64; graph.node_count(ty as u32)];
    let mut edges = nodes.clone();
    for member in 0..graph.facts().nodes.len() as u32 {
        for &one in graph.membership(member).unwrap_or_default() {
            add(&mut nodes, one);
        }
    }
    for (rel, facts) in graph.facts().relations.iter().enumerate().filter(|(_, f)| f.reverse_of.is_none()) {
        if let Some(of) = graph.membership(facts.src as u32) {
            graph.csc(rel as u32).src.iter().for_each(|&src| add(&mut edges, of[src as usize]));
        }
    }
    Some(MembersInspection { nodes: of_counts(&nodes), edges: of_counts(&edges) })
}

fn add(counts: &mut [u64], graph: u32) {
    if let Some(count) = counts.get_mut(graph as usize) {
        *count += 1;
    }
}
