//! A small block with two node types and three relations, and random numbers for everything a program can read.

use gsl_compiler::passes::Costs;
use gsl_plan::interpret::{Bindings, Edge, Matrix, interpret};
use gsl_plan::program::*;
use std::collections::BTreeMap;

/// Relation 0: a → a, relation 1: b → a, relation 2: a → b.
pub const RELATIONS: [(u32, u32); 3] = [(0, 0), (1, 0), (0, 1)];
pub const FEATURE: usize = 5;
pub const EDGE_FEATURE: usize = 3;
pub const CLASSES: usize = 4;
/// Nodes of each type in the whole graph: rows of the embedding tables.
pub const NODES: [usize; 2] = [12, 9];
const COUNTS: [[usize; 3]; 2] = [[3, 6, 9], [2, 4, 6]];

/// SplitMix64, as a stream of numbers in [-1, 1).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    pub fn numbers(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.unit()).collect()
    }

    fn matrix(&mut self, rows: usize, width: usize) -> Matrix {
        Matrix { rows, width, data: self.numbers(rows * width) }
    }
}

pub fn keep(site: u32, id: usize, column: usize) -> bool {
    let key = (u64::from(site) << 40) ^ ((id as u64) << 20) ^ column as u64;
    !Random(key).bits().is_multiple_of(3)
}

/// Bindings for a program over `signature`, two hops deep.
pub fn bindings(signature: &Signature, seed: u64) -> Bindings {
    let mut random = Random(seed);
    let edges = blocks(&mut random);
    Bindings {
        nodes: NODES.iter().zip(COUNTS).map(|(n, c)| (0..c[2]).map(|i| (i * 5 + 2) % n).collect()).collect(),
        counts: COUNTS.iter().map(|c| c.to_vec()).collect(),
        edges,
        params: signature.params.iter().map(|s| random.numbers(s.iter().product())).collect(),
        node_features: BTreeMap::from([
            ((0, 0), random.matrix(NODES[0], FEATURE)),
            ((1, 0), random.matrix(NODES[1], FEATURE)),
        ]),
        edge_features: (0..3).map(|r| ((r, 0), random.matrix(200, EDGE_FEATURE))).collect(),
        hidden: (0..2).map(|t| (t, random.matrix(NODES[t as usize], 6))).collect(),
        degrees: NODES.iter().map(|n| (0..*n).map(|_| random.below(5) as f64).collect()).collect(),
        labels: BTreeMap::from([((0, 0), (0..NODES[0]).map(|i| (i % CLASSES) as f64).collect())]),
        seed_weights: BTreeMap::from([(0, vec![1.0, 0.0, 2.5])]),
        loss_scale: BTreeMap::from([(0, 0.4)]),
        held: Default::default(),
        external: Default::default(),
        keep,
    }
}

/// Random edges; the last destination of every block has none.
fn blocks(random: &mut Random) -> BTreeMap<(u32, u32), Vec<Edge>> {
    let mut edges = BTreeMap::new();
    for (rel, (src, dst)) in RELATIONS.iter().enumerate() {
        for hop in 0..2usize {
            let (sources, targets) = (COUNTS[*src as usize][hop + 1], COUNTS[*dst as usize][hop]);
            let mut block = vec![];
            for v in 0..targets - 1 {
                for _ in 0..1 + random.below(3) {
                    block.push(Edge { src: random.below(sources), dst: v, id: 40 * hop + block.len() });
                }
            }
            edges.insert((rel as u32, hop as u32), block);
        }
    }
    edges
}

/// Row counts of the block, as the passes see them.
pub fn costs() -> Costs {
    let blocks = blocks(&mut Random(1));
    Costs {
        nodes: COUNTS.iter().map(|c| c.iter().map(|n| *n as f64).collect()).collect(),
        edges: (0..3).map(|r| (0..2).map(|h| blocks[&(r, h)].len() as f64).collect()).collect(),
    }
}

/// The outputs of a program, by role.
pub fn outputs(program: &Program, signature: &Signature, bindings: &Bindings) -> Vec<(Role, Domain, Matrix)> {
    let values = interpret(program, signature, bindings).expect("interpreted");
    let of = |o: &Output| {
        (o.role.clone(), program.values[o.value.index()].domain, values[o.value.index()].clone())
    };
    program.outputs.iter().map(of).collect()
}

/// Whether two matrices agree to a relative `tolerance`; NaN never does.
pub fn agree(a: &Matrix, b: &Matrix, tolerance: f64) -> bool {
    let near = |x: &f64, y: &f64| (x - y).abs() <= tolerance * (1.0 + x.abs().max(y.abs()));
    a.data.len() == b.data.len() && a.data.iter().zip(&b.data).all(|(x, y)| near(x, y))
}
