//! The sampler against the machine's ceiling: dependent on nothing but random reads of the edge list.
//!
//! Each line is one batch of seeds with fanouts 15 and 10 on a graph larger than the caches; throughput is sampled edges
//! per second. `random_reads` reads as many random words of the same array, prefetched, and is the ceiling.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use gsl_kernels::random::Key;
use gsl_plan::plan::Fanout;
use gsl_runtime::sample::{Block, Sampler, sample_key};
use gsl_runtime::view::{GraphView, MemoryGraph};
use std::sync::OnceLock;

const NODES: u32 = 1 << 21;
const EDGES: u64 = 24 << 20;
const SEEDS: u32 = 4096;
const FANOUTS: [Fanout; 2] = [Fanout::Neighbors(15), Fanout::Neighbors(10)];

fn main() {
    divan::main();
}

fn graph() -> &'static MemoryGraph {
    static GRAPH: OnceLock<MemoryGraph> = OnceLock::new();
    GRAPH.get_or_init(|| {
        let key = Key::new(1, 1);
        let edges: Vec<(u32, u32)> =
            (0..EDGES).map(|e| (key.below_at(2 * e, NODES), key.below_at(2 * e + 1, NODES))).collect();
        let mut graph = MemoryGraph::new(&[NODES as usize]);
        graph.add_relation(0, 0, &edges);
        graph
    })
}

fn edges_of_a_batch() -> usize {
    let mut block = Block::new();
    sample(&mut sampler(), 0, &mut block);
    block.edge_count()
}

fn sampler() -> Sampler {
    Sampler::new(graph(), &[vec![0], vec![0]], &FANOUTS).expect("hops and fanouts agree")
}

fn sample(sampler: &mut Sampler, batch: u32, block: &mut Block) {
    let first = batch * SEEDS % (NODES - SEEDS);
    let seeds: Vec<u32> = (first..first + SEEDS).collect();
    sampler.sample(graph(), &[(0, &seeds)], sample_key(1, 0), block).expect("seeds are nodes");
}

#[divan::bench(args = [1, 2], sample_count = 20)]
fn batch(bencher: Bencher, threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let (mut sampler, mut block, mut number) = (sampler(), Block::new(), 0);
    bencher.counter(ItemsCount::new(edges_of_a_batch())).bench_local(|| {
        number += 1;
        pool.install(|| sample(&mut sampler, number, &mut block));
        black_box(block.edge_count())
    });
}

#[divan::bench(sample_count = 20)]
fn transpose(bencher: Bencher) {
    let (mut sampler, mut block, mut number) = (sampler(), Block::new(), 0);
    bencher.counter(ItemsCount::new(edges_of_a_batch())).bench_local(|| {
        number += 1;
        sample(&mut sampler, number, &mut block);
        block.transpose(&[(0, 0), (0, 1)]);
    });
}

#[divan::bench(args = [1, 2], sample_count = 20)]
fn random_reads(bencher: Bencher, threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let src = graph().csc(0).src;
    let reads = edges_of_a_batch();
    let key = Key::new(2, 2);
    let places: Vec<u32> = (0..reads as u64).map(|i| key.below_at(i, EDGES as u32)).collect();
    bencher.counter(ItemsCount::new(reads)).bench_local(|| {
        pool.install(|| {
            use rayon::prelude::*;
            places.par_chunks(1 << 14).map(|part| sum(src, part)).sum::<u64>()
        })
    });
}

fn sum(src: &[u32], places: &[u32]) -> u64 {
    places.iter().map(|&place| u64::from(src[place as usize])).sum()
}
