//! How many rows each domain is expected to have: what the passes weigh one form against another by.
//!
//! Decided here: the estimate. Not decided here: any rewrite; an estimate that is far off costs time, never a result.

use gsl_plan::graph::GraphFacts;
use gsl_plan::plan::Fanout;
use gsl_plan::program::Domain;

/// Floating-point operations that cost as much as one byte of memory traffic on the machines at hand.
pub const FLOPS_PER_BYTE: f64 = 8.0;

/// Expected rows of every domain of a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Costs {
    /// `nodes[ty][hop]`.
    pub nodes: Vec<Vec<f64>>,
    /// `edges[rel][hop]`.
    pub edges: Vec<Vec<f64>>,
}

impl Costs {
    /// Expected rows; a domain beyond the estimate counts as its last known hop, an unknown one as a single row.
    pub fn rows(&self, domain: Domain) -> f64 {
        match domain {
            Domain::Global => 1.0,
            Domain::Nodes { ty, hop } => pick(&self.nodes, ty, hop),
            Domain::Edges { rel, hop } => pick(&self.edges, rel, hop),
        }
    }

    /// The same one hop further out, behind `pairs` pairs with as many `negatives`: a batch of pairs has its own node types and
    /// relations, numbered behind those of the graph.
    pub fn behind(mut self, types: usize, relations: usize, pairs: f64, negatives: f64) -> Costs {
        let seeds = self.nodes.iter().map(|rows| rows.first().copied().unwrap_or(0.0)).collect::<Vec<_>>();
        self.nodes.iter_mut().zip(seeds).for_each(|(rows, seeds)| rows.insert(0, seeds));
        self.edges.iter_mut().for_each(|rows| rows.insert(0, 0.0));
        self.nodes.extend(std::iter::repeat_n(vec![pairs], types));
        self.edges.extend(std::iter::repeat_n(vec![pairs * negatives], relations));
        self
    }

    /// Rows of blocks sampled from a graph: `seeds[ty]` seeds, `fanouts[h]` neighbours per node and relation at hop h
    /// (hop 0 nearest the seeds), over the relations `hops[h]`; the hops are as many as `fanouts`.
    ///
    /// Of N nodes, those not yet in the frontier are missed by all of E draws with probability (1 - 1/N)^E ≈ exp(-E/N).
    pub fn estimate(facts: &GraphFacts, fanouts: &[Fanout], seeds: &[f64], hops: &[Vec<u32>]) -> Costs {
        let mut nodes: Vec<Vec<f64>> = facts
            .nodes
            .iter()
            .enumerate()
            .map(|(ty, n)| vec![seeds.get(ty).copied().unwrap_or(0.0).min(n.count as f64)])
            .collect();
        let mut edges = vec![vec![0.0; fanouts.len()]; facts.relations.len()];
        for (hop, fanout) in fanouts.iter().enumerate() {
            let mut draws = vec![0.0; nodes.len()];
            for rel in hops.get(hop).into_iter().flatten() {
                let Some(relation) = facts.relations.get(*rel as usize) else { continue };
                let drawn = drawn_edges(facts, *rel as usize, *fanout, nodes[relation.dst][hop]);
                edges[*rel as usize][hop] = drawn;
                draws[relation.src] += drawn;
            }
            for (ty, rows) in nodes.iter_mut().enumerate() {
                rows.push(frontier(rows[hop], draws[ty], facts.nodes[ty].count as f64));
            }
        }
        Costs { nodes, edges }
    }
}

fn pick(table: &[Vec<f64>], index: u32, hop: u32) -> f64 {
    let rows = table.get(index as usize);
    rows.and_then(|r| r.get(hop as usize).or(r.last())).copied().unwrap_or(1.0)
}

fn drawn_edges(facts: &GraphFacts, rel: usize, fanout: Fanout, rows: f64) -> f64 {
    let relation = &facts.relations[rel];
    let degree = relation.edges as f64 / (facts.nodes[relation.dst].count as f64).max(1.0);
    let drawn = match fanout {
        Fanout::All => degree,
        Fanout::Neighbors(n) => degree.min(f64::from(n)),
    };
    rows * drawn
}

fn frontier(known: f64, draws: f64, count: f64) -> f64 {
    if count <= 0.0 {
        return known;
    }
    count - (count - known).max(0.0) * (-draws / count).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gsl_plan::graph::{NodeFacts, RelationFacts};

    fn facts(nodes: u64, edges: u64) -> GraphFacts {
        GraphFacts {
            nodes: vec![NodeFacts { count: nodes, ..Default::default() }],
            relations: vec![RelationFacts { edges, ..Default::default() }],
        }
    }

    #[test]
    fn full_batches_have_all_edges_and_no_more_nodes_than_there_are() {
        let costs = Costs::estimate(&facts(100, 700), &[Fanout::All; 2], &[100.0], &[vec![0], vec![0]]);
        assert_eq!(costs.nodes[0], [100.0, 100.0, 100.0]);
        assert!((costs.edges[0][1] - 700.0).abs() < 1e-9);
    }

    #[test]
    fn a_fanout_bounds_the_edges() {
        let costs =
            Costs::estimate(&facts(100_000, 5_000_000), &[Fanout::Neighbors(10)], &[100.0], &[vec![0]]);
        assert_eq!(costs.edges[0][0], 1000.0);
        assert!(costs.nodes[0][1] > 1090.0 && costs.nodes[0][1] < 1100.0);
        assert_eq!(costs.rows(Domain::Global), 1.0);
    }

    #[test]
    fn relations_that_are_not_expanded_have_no_edges() {
        let costs = Costs::estimate(&facts(100, 700), &[Fanout::All], &[100.0], &[vec![]]);
        assert_eq!(costs.edges[0][0], 0.0);
    }
}
