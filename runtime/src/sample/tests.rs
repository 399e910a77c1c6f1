use super::*;
use crate::view::MemoryGraph;

/// `nodes` papers that cite each other at random, and `nodes / 2` authors who write them; degrees are skewed.
fn graph(nodes: u32, edges: u64) -> MemoryGraph {
    let key = Key::new(5, 1);
    let skewed = |counter: u64, n: u32| {
        let u = key.uniform_f64_at(counter);
        ((u * u * u * f64::from(n)) as u32).min(n - 1)
    };
    let pairs = |from: u32, offset: u64| -> Vec<(u32, u32)> {
        (0..edges).map(|e| (key.below_at(2 * e + offset, from), skewed(2 * e + offset + 1, nodes))).collect()
    };
    let mut graph = MemoryGraph::new(&[nodes as usize, nodes as usize / 2]);
    graph.add_relation(0, 0, &pairs(nodes, 0));
    let writes = pairs(nodes / 2, 1 << 40);
    let written: Vec<(u32, u32)> = writes.iter().map(|&(author, paper)| (paper, author)).collect();
    graph.add_relation(1, 0, &writes);
    graph.add_relation(0, 1, &written);
    graph
}

fn hops() -> Vec<Vec<u32>> {
    vec![vec![0, 1], vec![0, 1, 2]]
}

fn sampled(graph: &MemoryGraph, fanouts: &[Fanout], seeds: &[u32], epoch: u64) -> Block {
    let mut block = Block::new();
    let mut sampler = Sampler::new(graph, &hops(), fanouts).unwrap();
    sampler.sample(graph, &[(0, seeds)], sample_key(3, epoch), &mut block).unwrap();
    block
}

/// Everything that a block says, in global identifiers: (hop, relation, destination) → CSC positions.
fn picks(graph: &MemoryGraph, block: &Block) -> Vec<((u32, u32, u32), Vec<u64>)> {
    let mut all = Vec::new();
    for (hop, relations) in hops().iter().enumerate() {
        for &rel in relations {
            let edges = block.edges(rel, hop as u32).unwrap();
            let (_, dst) = graph.ends(rel);
            for row in 0..edges.rows() {
                let own = edges.indptr[row] as usize..edges.indptr[row + 1] as usize;
                all.push(((hop as u32, rel, block.ids(dst)[row]), edges.position[own].to_vec()));
            }
        }
    }
    all.sort();
    all
}

fn check(graph: &MemoryGraph, block: &Block, fanouts: &[Fanout]) {
    for (hop, relations) in hops().iter().enumerate() {
        for &rel in relations {
            let (src, dst) = graph.ends(rel);
            let (csc, edges) = (graph.csc(rel), block.edges(rel, hop as u32).unwrap());
            assert_eq!(edges.rows(), block.count(dst, hop as u32));
            assert_eq!(edges.sources(), block.count(src, hop as u32 + 1));
            for row in 0..edges.rows() {
                let id = block.ids(dst)[row] as usize;
                let own = edges.indptr[row] as usize..edges.indptr[row + 1] as usize;
                let degree = (csc.indptr[id + 1] - csc.indptr[id]) as usize;
                let expected = match fanouts[hop] {
                    Fanout::All => degree,
                    Fanout::Neighbors(limit) => degree.min(limit as usize),
                };
                assert_eq!(own.len(), expected);
                let mut positions = edges.position[own.clone()].to_vec();
                positions.sort_unstable();
                positions.dedup();
                assert_eq!(positions.len(), expected, "an edge was picked twice");
                for edge in own {
                    let position = edges.position[edge];
                    assert!((csc.indptr[id]..csc.indptr[id + 1]).contains(&position));
                    assert_eq!(block.ids(src)[edges.src[edge] as usize], csc.src[position as usize]);
                    assert!((edges.src[edge] as usize) < edges.sources());
                }
            }
        }
    }
    for ty in 0..2 {
        let mut ids = block.ids(ty).to_vec();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), block.ids(ty).len(), "a node has two rows");
        assert!((0..2).all(|hop| block.count(ty, hop) <= block.count(ty, hop + 1)));
    }
}

#[test]
fn blocks_are_well_formed_for_many_fanouts() {
    let graph = graph(2000, 20_000);
    let seeds: Vec<u32> = (0..300).map(|i| i * 5).collect();
    use Fanout::{All, Neighbors};
    for fanouts in
        [[All, All], [Neighbors(4), Neighbors(7)], [Neighbors(40), Neighbors(1)], [Neighbors(0), All]]
    {
        let block = sampled(&graph, &fanouts, &seeds, 0);
        check(&graph, &block, &fanouts);
        assert_eq!(block.seeds(0), seeds);
        assert!(block.seeds(1).is_empty());
        assert_eq!(block.is_static(), fanouts == [All, All]);
    }
}

#[test]
fn a_block_used_again_is_the_same_as_a_new_one() {
    let graph = graph(500, 8000);
    let fanouts = [Fanout::Neighbors(5), Fanout::Neighbors(3)];
    let mut sampler = Sampler::new(&graph, &hops(), &fanouts).unwrap();
    let mut block = Block::new();
    for epoch in 0..20u64 {
        let seeds: Vec<u32> = (0..1 + (epoch as u32 * 37) % 200).collect();
        sampler.sample(&graph, &[(0, &seeds)], sample_key(3, epoch), &mut block).unwrap();
        check(&graph, &block, &fanouts);
        let fresh = sampled(&graph, &fanouts, &seeds, epoch);
        for (hop, relations) in hops().iter().enumerate() {
            for &rel in relations {
                let (old, new) =
                    (block.edges(rel, hop as u32).unwrap(), fresh.edges(rel, hop as u32).unwrap());
                assert_eq!((&old.indptr, &old.src, &old.position), (&new.indptr, &new.src, &new.position));
                assert_eq!(old.transposed().edge, new.transposed().edge);
            }
        }
    }
}

#[test]
fn picks_do_not_depend_on_how_seeds_are_split_nor_on_threads() {
    let graph = graph(3000, 60_000);
    let fanouts = [Fanout::Neighbors(5), Fanout::Neighbors(4)];
    let seeds: Vec<u32> = (0..2500).collect();
    let whole = picks(&graph, &sampled(&graph, &fanouts, &seeds, 1));
    let parts = seeds.chunks(700).flat_map(|part| picks(&graph, &sampled(&graph, &fanouts, part, 1)));
    let mut parts: Vec<_> = parts.collect();
    parts.sort();
    parts.dedup();
    assert_eq!(parts, whole);
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let block = pool.install(|| sampled(&graph, &fanouts, &seeds, 1));
        assert_eq!(picks(&graph, &block), whole);
        assert_eq!(block.ids(0), sampled(&graph, &fanouts, &seeds, 1).ids(0));
    }
    assert_ne!(picks(&graph, &sampled(&graph, &fanouts, &seeds, 2)), whole);
}

/// Chi-square of how often each of `n` items is chosen when `k` are, and of how often each pair is.
fn chi_square(n: u32, k: usize, rounds: u32) -> (f64, f64) {
    let mut single = vec![0u32; n as usize];
    let mut pairs = vec![0u32; (n * n) as usize];
    let mut out = vec![0u64; k];
    for round in 0..rounds {
        pick::choose(&mut pick::Draws::new(Key::new(11, 2).fold(u64::from(k as u32)), round), n, &mut out);
        for (at, &a) in out.iter().enumerate() {
            single[a as usize] += 1;
            for &b in &out[..at] {
                pairs[(a.max(b) * u64::from(n) + a.min(b)) as usize] += 1;
            }
        }
    }
    let (n, k, rounds) = (f64::from(n), k as f64, f64::from(rounds));
    let statistic = |counts: &[u32], expected: f64| {
        let term = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
        counts.iter().filter(|&&count| count > 0).map(term).sum::<f64>()
    };
    (
        statistic(&single, rounds * k / n) / (1.0 - k / n),
        statistic(&pairs, rounds * k * (k - 1.0) / (n * (n - 1.0))),
    )
}

#[test]
fn picks_are_uniform() {
    for (n, k) in [(10u32, 3usize), (30, 2), (40, 25), (60, 50)] {
        let (single, pairs) = chi_square(n, k, 60_000);
        let limit = |degrees: f64| degrees + 6.0 * (2.0 * degrees).sqrt();
        assert!(single < limit(f64::from(n) - 1.0), "{n} choose {k}: {single}");
        let all = f64::from(n) * (f64::from(n) - 1.0) / 2.0;
        assert!(pairs < limit(all), "pairs of {n} choose {k}: {pairs}");
    }
}

#[test]
fn many_of_many_are_shuffled_and_distinct() {
    let mut out = vec![0u64; 900];
    let mut counts = vec![0u32; 1000];
    for round in 0..2000 {
        pick::choose(&mut pick::Draws::new(Key::new(1, 9), round), 1000, &mut out);
        let mut sorted = out.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() == 900 && sorted[899] < 1000);
        sorted.iter().for_each(|&x| counts[x as usize] += 1);
    }
    let worst = counts.iter().map(|&count| (f64::from(count) - 1800.0).abs()).fold(0.0, f64::max);
    assert!(worst < 6.0 * (2000.0f64 * 0.9 * 0.1).sqrt(), "{worst}");
}

#[test]
fn the_transpose_holds_every_edge_once_in_edge_order() {
    let graph = graph(800, 9000);
    let seeds: Vec<u32> = (0..400).collect();
    let block = sampled(&graph, &[Fanout::Neighbors(6), Fanout::All], &seeds, 0);
    for (rel, hop) in [(0, 0), (1, 1), (2, 1)] {
        let edges = block.edges(rel, hop).unwrap();
        let transposed = edges.transposed();
        let (indptr, dst, edge) = gsl_kernels::transpose_block(&edges.indptr, &edges.src, edges.sources());
        assert_eq!((&transposed.indptr, &transposed.dst, &transposed.edge), (&indptr, &dst, &edge));
    }
}

#[test]
fn bad_seeds_and_hops_are_told() {
    let graph = graph(100, 500);
    let mut sampler = Sampler::new(&graph, &hops(), &[Fanout::All, Fanout::All]).unwrap();
    let mut block = Block::new();
    let mut sample = |seeds: &[u32]| sampler.sample(&graph, &[(0, seeds)], sample_key(1, 1), &mut block);
    assert_eq!(sample(&[1, 100]), Err(SampleError::Seed { ty: 0, id: 100, count: 100 }));
    assert_eq!(sample(&[1, 7, 1]), Err(SampleError::Twice { ty: 0, id: 1 }));
    assert_eq!(sample(&[1, 7]), Ok(()));
    assert_eq!(Sampler::new(&graph, &hops(), &[]).err(), Some(SampleError::Hops { hops: 2, fanouts: 0 }));
    let wrong = Sampler::new(&graph, &[vec![9]], &[Fanout::All]).err();
    assert_eq!(wrong, Some(SampleError::Relation { rel: 9, relations: 3 }));
}
