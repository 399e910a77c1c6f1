//! The nodes of small graphs, grouped by graph: what a readout brings together.
//!
//! Decided here: a batch of graphs has all their nodes, in the order of their ids. Not decided here: which graphs.

use crate::sample::{Head, HeadEdges};
use crate::view::GraphView;
use gsl_plan::plan::Plan;

/// Nodes by their graph, of every type. Holds 4 bytes per node and per graph and type.
#[derive(Debug, Clone)]
pub struct Members {
    graphs: u32,
    relations: Vec<Grouped>,
}

/// The nodes of one type: those of graph g are `nodes[indptr[g] .. indptr[g + 1]]`.
#[derive(Debug, Clone)]
struct Grouped {
    rel: u32,
    indptr: Vec<u32>,
    nodes: Vec<u32>,
}

impl Members {
    /// None where no small graphs are predicted.
    pub fn of(plan: &Plan, view: &dyn GraphView) -> Option<Self> {
        let members = plan.members.as_ref()?;
        let graphs = view.node_count(members.graphs);
        let of = |member: &gsl_plan::members::Member| {
            group(member.rel, view.membership(member.ty).unwrap_or_default(), graphs)
        };
        Some(Members { graphs: members.graphs, relations: members.relations.iter().map(of).collect() })
    }

    /// Whether some of these relations lead from nodes to their graphs.
    pub fn lead(&self, relations: &[Vec<u32>]) -> bool {
        relations.iter().flatten().any(|rel| self.relations.iter().any(|grouped| grouped.rel == *rel))
    }

    /// Adds the nodes of the graphs among the seeds to a head.
    pub fn add(&self, seeds: &[(u32, &[u32])], head: &mut Head) {
        let graphs = seeds.iter().find(|(ty, _)| *ty == self.graphs).map_or(&[][..], |(_, ids)| ids);
        head.edges.extend(self.relations.iter().map(|grouped| grouped.edges(graphs)));
    }
}

impl Grouped {
    fn edges(&self, graphs: &[u32]) -> HeadEdges {
        let mut edges = HeadEdges { by_source: true, ..HeadEdges::empty(self.rel) };
        for &graph in graphs {
            let own = self.indptr[graph as usize] as usize..self.indptr[graph as usize + 1] as usize;
            edges.src.extend(&self.nodes[own]);
            edges.indptr.push(edges.src.len() as u32);
        }
        edges
    }
}

/// A counting sort by graph.
fn group(rel: u32, graph_of: &[u32], graphs: usize) -> Grouped {
    let mut indptr = vec![0u32; graphs + 1];
    graph_of.iter().for_each(|graph| indptr[*graph as usize + 1] += 1);
    for graph in 0..graphs {
        indptr[graph + 1] += indptr[graph];
    }
    let mut next = indptr.clone();
    let mut nodes = vec![0; graph_of.len()];
    for (node, graph) in graph_of.iter().enumerate() {
        let at = &mut next[*graph as usize];
        nodes[*at as usize] = node as u32;
        *at += 1;
    }
    Grouped { rel, indptr, nodes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_grouped_in_their_order_and_graphs_can_be_empty() {
        let grouped = group(7, &[2, 0, 2, 0, 2], 4);
        assert_eq!(grouped.indptr, [0, 2, 2, 5, 5]);
        assert_eq!(grouped.nodes, [1, 3, 0, 2, 4]);
        let edges = grouped.edges(&[2, 1, 0]);
        assert_eq!((edges.rel, edges.indptr, edges.src), (7, vec![0, 3, 3, 5], vec![0, 2, 4, 1, 3]));
    }
}
