//! Numbers that the edges give to nodes: degrees and PageRank.
//!
//! Several relations are one graph here: those of a family. Every sum has one order, that of the lists, so that no number depends on
//! threads, nor on whether the edges are in memory.

use std::io;

use rayon::prelude::*;

use crate::graph::piece::{Piece, numbers_of};
use crate::view::Csc;

/// The incoming edges of each node, over all of the relations.
pub enum Lists<'a> {
    Held(Vec<Csc<'a>>),
    /// Where the edges into each node begin, and their sources, which one thread reads each time.
    Stored(Vec<(&'a [u64], &'a Piece)>),
}

/// Nodes whose sums are added by one thread, so that the order of all sums is fixed.
const CHUNK: usize = 1 << 14;

/// Edges into each node, by where those of each relation begin.
pub fn in_degrees(relations: &[&[u64]], nodes: usize) -> Vec<f64> {
    let degree = |node: usize| relations.iter().map(|indptr| indptr[node + 1] - indptr[node]).sum::<u64>();
    (0..nodes).into_par_iter().map(|node| degree(node) as f64).collect()
}

/// Edges out of each node. Reads every edge once: 4 bytes, and 4 more at random.
pub fn out_degrees(lists: &Lists, nodes: usize) -> io::Result<Vec<f64>> {
    let mut degrees = vec![0u32; nodes];
    match lists {
        Lists::Held(relations) => {
            let sources = relations.iter().flat_map(|csc| csc.src);
            sources.for_each(|&node| degrees[node as usize] += 1);
        }
        Lists::Stored(relations) => relations.iter().try_for_each(|(_, src)| {
            src.for_each(&mut |bytes| -> io::Result<()> {
                numbers_of::<u32>(bytes).for_each(|node| degrees[node as usize] += 1);
                Ok(())
            })
        })?,
    }
    Ok(degrees.into_iter().map(f64::from).collect())
}

/// PageRank times the number of nodes, so that it is 1 on average:
///
/// x[v] = 1 - d + d · (Σ over edges u -> v of x[u] / out[u]  +  Σ over u without edges of x[u] / n)
///
/// Page et al. 1999, with the mass of nodes without outgoing edges spread evenly. `iterations` steps from x = 1; after k of
/// them the distance to the limit is at most 2 · n · d^k. Each step reads 4 bytes for each edge, and 8 at random.
pub fn page_rank(lists: &Lists, nodes: usize, damping: f64, iterations: u32) -> io::Result<Vec<f64>> {
    let out = out_degrees(lists, nodes)?;
    let mut rank = vec![1.0; nodes];
    for _ in 0..iterations {
        let dangling = chunked(&rank, &out) / nodes as f64;
        let sent: Vec<f64> =
            rank.par_iter().zip(&out).map(|(x, out)| if *out > 0.0 { x / out } else { 0.0 }).collect();
        rank = received(lists, &sent)?;
        rank.par_iter_mut().for_each(|x| *x = 1.0 - damping + damping * (*x + dangling));
    }
    Ok(rank)
}

/// The sum of what is sent along the edges into each node: of each relation in the order of its list, then of all of them.
fn received(lists: &Lists, sent: &[f64]) -> io::Result<Vec<f64>> {
    match lists {
        Lists::Held(relations) => {
            let nodes = (0..sent.len()).into_par_iter().with_min_len(CHUNK / 16);
            Ok(nodes.map(|node| incoming(relations, node, sent)).collect())
        }
        Lists::Stored(relations) => {
            let mut sums = vec![0.0; sent.len()];
            relations.iter().try_for_each(|(indptr, src)| add_incoming(indptr, src, sent, &mut sums))?;
            Ok(sums)
        }
    }
}

fn add_incoming(indptr: &[u64], src: &Piece, sent: &[f64], sums: &mut [f64]) -> io::Result<()> {
    let (mut node, mut edge, mut sum) = (0, 0, 0.0);
    src.for_each(&mut |bytes| -> io::Result<()> {
        for source in numbers_of::<u32>(bytes) {
            while indptr[node + 1] <= edge {
                sums[node] += std::mem::take(&mut sum);
                node += 1;
            }
            sum += sent[source as usize];
            edge += 1;
        }
        Ok(())
    })?;
    if edge > 0 {
        sums[node] += sum;
    }
    Ok(())
}

fn incoming(relations: &[Csc], node: usize, sent: &[f64]) -> f64 {
    let of = |csc: &Csc| -> f64 {
        let edges = csc.indptr[node] as usize..csc.indptr[node + 1] as usize;
        csc.src[edges].iter().map(|&src| sent[src as usize]).sum()
    };
    relations.iter().map(of).sum()
}

/// The mass of nodes without outgoing edges: sums of chunks, added in their order.
fn chunked(rank: &[f64], out: &[f64]) -> f64 {
    let chunk = |(rank, out): (&[f64], &[f64])| -> f64 {
        rank.iter().zip(out).filter(|(_, out)| **out == 0.0).map(|(x, _)| x).sum()
    };
    let sums: Vec<f64> = rank.par_chunks(CHUNK).zip(out.par_chunks(CHUNK)).map(chunk).collect();
    sums.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Relation {
        indptr: Vec<u64>,
        src: Vec<u32>,
    }

    impl Relation {
        fn of(nodes: usize, mut edges: Vec<(u32, u32)>) -> Self {
            edges.sort_by_key(|&(src, dst)| (dst, src));
            let upto = |node: u32| edges.iter().filter(|(_, dst)| *dst < node).count() as u64;
            let indptr = (0..=nodes as u32).map(upto).collect();
            Relation { indptr, src: edges.iter().map(|(src, _)| *src).collect() }
        }

        fn csc(&self) -> Csc<'_> {
            Csc { indptr: &self.indptr, src: &self.src }
        }
    }

    /// Solves x = 1 - d + d · M x by elimination, M with a column of 1/n where a node has no outgoing edge.
    fn solved(nodes: usize, edges: &[(u32, u32)], damping: f64) -> Vec<f64> {
        let mut m = vec![vec![0.0; nodes + 1]; nodes];
        for u in 0..nodes {
            let out: Vec<u32> =
                edges.iter().filter(|(src, _)| *src == u as u32).map(|(_, dst)| *dst).collect();
            for (v, row) in m.iter_mut().enumerate() {
                let share = match out.len() {
                    0 => 1.0 / nodes as f64,
                    n => out.iter().filter(|dst| **dst == v as u32).count() as f64 / n as f64,
                };
                row[u] = f64::from(u8::from(u == v)) - damping * share;
                row[nodes] = 1.0 - damping;
            }
        }
        for pivot in 0..nodes {
            let row = m[pivot].clone();
            for other in (0..nodes).filter(|other| *other != pivot) {
                let factor = m[other][pivot] / row[pivot];
                m[other].iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
            }
        }
        (0..nodes).map(|v| m[v][nodes] / m[v][v]).collect()
    }

    proptest! {
        #[test]
        fn power_iteration_finds_the_solution(
            (nodes, edges) in (2usize..9).prop_flat_map(|n| {
                let end = 0..n as u32;
                (Just(n), prop::collection::vec((end.clone(), end), 0..30))
            }),
            damping in 0.0..0.95f64,
            cut in 0usize..30,
        ) {
            let (left, right) = edges.split_at(cut.min(edges.len()));
            let (a, b) = (Relation::of(nodes, left.to_vec()), Relation::of(nodes, right.to_vec()));
            let held = Lists::Held(vec![a.csc(), b.csc()]);
            let (of_a, of_b) = (Piece::of(&a.src, None), Piece::of(&b.src, None));
            let stored = Lists::Stored(vec![(&a.indptr, &of_a), (&b.indptr, &of_b)]);
            let found = page_rank(&held, nodes, damping, 600).unwrap();
            prop_assert_eq!(&found, &page_rank(&stored, nodes, damping, 600).unwrap());
            prop_assert_eq!(out_degrees(&held, nodes).unwrap(), out_degrees(&stored, nodes).unwrap());
            for (found, wanted) in found.iter().zip(solved(nodes, &edges, damping)) {
                prop_assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
            }
            prop_assert!((found.iter().sum::<f64>() - nodes as f64).abs() < 1e-9);
            let count = |of: &dyn Fn(&(u32, u32)) -> u32, node: usize| {
                edges.iter().filter(|edge| of(edge) == node as u32).count() as f64
            };
            let ins = in_degrees(&[&a.indptr, &b.indptr], nodes);
            let outs = out_degrees(&held, nodes).unwrap();
            for node in 0..nodes {
                prop_assert_eq!((ins[node], outs[node]), (count(&|e| e.1, node), count(&|e| e.0, node)));
            }
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let nodes = 3 * CHUNK + 17;
        let edges = (0..4 * nodes as u32).map(|i| (i.wrapping_mul(2_654_435_761) % nodes as u32, i % 1999));
        let mut edges: Vec<(u32, u32)> = edges.collect();
        edges.sort_by_key(|&(src, dst)| (dst, src));
        let mut indptr = vec![0u64; nodes + 1];
        edges.iter().for_each(|(_, dst)| indptr[*dst as usize + 1] += 1);
        (0..nodes).for_each(|v| indptr[v + 1] += indptr[v]);
        let lists = Relation { indptr, src: edges.iter().map(|(src, _)| *src).collect() };
        let bits = |threads: usize| -> Vec<u64> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let rank = pool.install(|| page_rank(&Lists::Held(vec![lists.csc()]), nodes, 0.85, 20).unwrap());
            rank.iter().map(|x| x.to_bits()).collect()
        };
        assert_eq!(bits(1), bits(3));
    }
}
