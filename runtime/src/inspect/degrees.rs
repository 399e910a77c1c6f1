//! How many edges the nodes have.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::graph::Graph;
use crate::view::GraphView;

/// Nodes that one thread counts at a time.
const PIECE: usize = 1 << 16;

/// Degrees up to here are counted in an array, larger ones in a map.
const SMALL: usize = 1 << 10;

/// The degrees of the nodes of a type. All are exact; quantiles are of nearest rank: the p-quantile is the smallest degree that at
/// least p · n nodes do not exceed. Without nodes all are 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Degrees {
    pub min: u64,
    pub median: u64,
    pub mean: f64,
    pub p99: u64,
    pub max: u64,
    /// Nodes without edges.
    pub zeros: u64,
    /// Nodes of degree 0; then of degree 1, 2 … 3, 4 … 7: entry i ≥ 1 counts degrees from 2^(i-1) to below 2^i.
    pub histogram: Vec<u64>,
}

/// Incoming edges of the nodes of a type over all relations.
pub fn into_type(graph: &Graph, ty: u32) -> Degrees {
    let into: Vec<&[u64]> = (0..graph.relations() as u32)
        .filter(|&rel| graph.ends(rel).1 == ty)
        .map(|rel| graph.csc(rel).indptr)
        .collect();
    let degree = |node: usize| into.iter().map(|indptr| indptr[node + 1] - indptr[node]).sum();
    count(graph.node_count(ty), &degree)
}

/// Edges of one relation into each destination and out of each source.
pub fn of_relation(graph: &Graph, index: usize) -> (Degrees, Degrees) {
    let facts = &graph.facts().relations;
    let opposite = facts[index]
        .reverse_of
        .or_else(|| facts.iter().position(|other| other.reverse_of == Some(index)))
        .map(|other| graph.csc(other as u32).indptr);
    let csc = graph.csc(index as u32);
    let outgoing = match opposite {
        Some(indptr) => of_offsets(indptr),
        None => of_ends(csc.src, graph.node_count(facts[index].src as u32)),
    };
    (of_offsets(csc.indptr), outgoing)
}

/// The same of numbers that are not edges.
pub fn of_counts(counts: &[u64]) -> Degrees {
    count(counts.len(), &|at| counts[at])
}

fn of_offsets(indptr: &[u64]) -> Degrees {
    count(indptr.len().saturating_sub(1), &|node| indptr[node + 1] - indptr[node])
}

fn of_ends(ends: &[u32], nodes: usize) -> Degrees {
    let mut degrees = vec![0u32; nodes];
    ends.iter().for_each(|&node| degrees[node as usize] += 1);
    count(nodes, &|node| u64::from(degrees[node]))
}

fn count(nodes: usize, degree: &(dyn Fn(usize) -> u64 + Sync)) -> Degrees {
    let pieces = nodes.div_ceil(PIECE);
    let piece = |at: usize| Counts::of(at * PIECE..nodes.min((at + 1) * PIECE), degree);
    (0..pieces).into_par_iter().map(piece).reduce(Counts::default, Counts::add).degrees()
}

/// How many nodes have each degree.
#[derive(Default)]
struct Counts {
    small: Vec<u64>,
    large: BTreeMap<u64, u64>,
}

impl Counts {
    fn of(nodes: Range<usize>, degree: &(dyn Fn(usize) -> u64 + Sync)) -> Self {
        let mut counts = Counts { small: vec![0; SMALL], large: BTreeMap::new() };
        for degree in nodes.map(degree) {
            match counts.small.get_mut(degree as usize) {
                Some(count) => *count += 1,
                None => *counts.large.entry(degree).or_default() += 1,
            }
        }
        counts
    }

    fn add(mut self, other: Self) -> Self {
        if self.small.is_empty() {
            return other;
        }
        self.small.iter_mut().zip(&other.small).for_each(|(sum, more)| *sum += more);
        for (degree, count) in other.large {
            *self.large.entry(degree).or_default() += count;
        }
        self
    }

    /// (degree, nodes that have it), ascending.
    fn each(&self) -> impl Iterator<Item = (u64, u64)> {
        let small = self.small.iter().enumerate().map(|(degree, &count)| (degree as u64, count));
        small
            .chain(self.large.iter().map(|(&degree, &count)| (degree, count)))
            .filter(|(_, count)| *count > 0)
    }

    fn degrees(&self) -> Degrees {
        let nodes: u64 = self.each().map(|(_, count)| count).sum();
        let edges: u64 = self.each().map(|(degree, count)| degree * count).sum();
        let quantile = |share: f64| {
            let rank = ((share * nodes as f64).ceil() as u64).max(1);
            let mut before = 0;
            let reaches = |(_, count): &(u64, u64)| {
                before += count;
                before >= rank
            };
            self.each().find(reaches).map_or(0, |(degree, _)| degree)
        };
        Degrees {
            min: self.each().next().map_or(0, |(degree, _)| degree),
            median: quantile(0.5),
            mean: edges as f64 / nodes.max(1) as f64,
            p99: quantile(0.99),
            max: self.each().last().map_or(0, |(degree, _)| degree),
            zeros: self.small.first().copied().unwrap_or(0),
            histogram: self.histogram(),
        }
    }

    fn histogram(&self) -> Vec<u64> {
        let mut histogram = Vec::new();
        for (degree, count) in self.each() {
            let bin = (u64::BITS - degree.leading_zeros()) as usize;
            histogram.resize(histogram.len().max(bin + 1), 0);
            histogram[bin] += count;
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(degrees: &[u64]) -> Degrees {
        count(degrees.len(), &|node| degrees[node])
    }

    #[test]
    fn quantiles_are_of_nearest_rank() {
        let found = of(&[0, 0, 1, 2, 5000]);
        assert_eq!((found.min, found.median, found.p99, found.max, found.zeros), (0, 1, 5000, 5000, 2));
        assert_eq!(found.mean, 5003.0 / 5.0);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((of(&hundred).median, of(&hundred).p99), (50, 99));
    }

    #[test]
    fn bins_double() {
        assert_eq!(of(&[0, 1, 2, 3, 4, 7, 8]).histogram, [1, 1, 2, 2, 1]);
        assert_eq!(of(&[]), Degrees::default());
    }

    #[test]
    fn offsets_and_ends_count_the_same() {
        assert_eq!(of_offsets(&[0, 2, 2, 3]), of_ends(&[0, 2, 0], 3));
    }

    #[test]
    fn many_pieces_are_one() {
        let n = 3 * PIECE + 7;
        let found = count(n, &|node| (node % 2000) as u64);
        assert_eq!(found.histogram.iter().sum::<u64>(), n as u64);
        assert_eq!((found.min, found.max), (0, 1999));
    }
}
