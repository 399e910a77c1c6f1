//! The random graph: each node and each edge is a function of the seed and its number, so that any part of it can be
//! made by itself.
//!
//! Decided here: who is linked to whom, and what is known of a node. Inside, a node is its **rank**: 0 is the most popular.
//! Ranks are never written; the order of the rows and the keys are two unrelated permutations of them.

use gsl_kernels::random::Key;

use crate::permutation::Permutation;

/// Classes of nodes; a rank's class is its remainder.
pub const CLASSES: u64 = 16;
/// Deviation of the class centres, of which the nodes' features are noisy copies (noise of deviation 1).
const SIGNAL: f32 = 0.15;
/// One label in so many is drawn anew.
const MISLABELLED: u32 = 10;

/// What keys the draws.
mod purpose {
    pub const ROWS: u32 = 1;
    pub const NAMES: u32 = 2;
    pub const EDGES: u32 = 3;
    pub const LABELS: u32 = 4;
    pub const CENTRES: u32 = 5;
    pub const NOISE: u32 = 6;
}

pub struct RandomGraph {
    nodes: u64,
    width: usize,
    rows: Permutation,
    names: Permutation,
    edges: Key,
    labels: Key,
    noise: Key,
    /// `CLASSES x width`.
    centres: Vec<f32>,
}

impl RandomGraph {
    /// `nodes` of them, with `width` features each.
    pub fn new(seed: u64, nodes: u64, width: usize) -> Self {
        let mut centres = vec![0.0; CLASSES as usize * width];
        Key::new(seed, purpose::CENTRES).fill_normal(&mut centres, SIGNAL);
        Self {
            nodes,
            width,
            rows: Permutation::new(Key::new(seed, purpose::ROWS), nodes),
            names: Permutation::new(Key::new(seed, purpose::NAMES), nodes),
            edges: Key::new(seed, purpose::EDGES),
            labels: Key::new(seed, purpose::LABELS),
            noise: Key::new(seed, purpose::NOISE),
            centres,
        }
    }

    /// Features of a node.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rank of the node in row `row` of the node table.
    pub fn node(&self, row: u64) -> u64 {
        self.rows.at(row)
    }

    /// The number in the key of a node: each of `0..nodes` is the number of one.
    #[inline]
    pub fn number(&self, rank: u64) -> u64 {
        self.names.at(rank)
    }

    /// Source and destination, as ranks, of edge `index`.
    ///
    /// Sources are uniform. Destinations are `nodes * u^3` of a uniform `u`: the node of rank `r` has a degree in proportion to
    /// `r^(-2/3)`, and degrees follow a power law of exponent 2.5. Half of the edges then go to the node of the source's class
    /// that is next to there in rank. Loops and parallel edges are left as they fall.
    #[inline]
    pub fn edge(&self, index: u64) -> (u64, u64) {
        let [a, b, c, d] = self.edges.block_at(index);
        let (from, to) = (join(a, b), join(c, d));
        let src = part(from, self.nodes);
        let dst = part(part(part(to, to), to), self.nodes);
        let alike = dst - dst % CLASSES + src % CLASSES;
        let wants_alike = from & 1 == 0;
        (src, if wants_alike && alike < self.nodes { alike } else { dst })
    }

    /// Below [`CLASSES`]: the class, or one time in ten any.
    pub fn label(&self, rank: u64) -> i64 {
        let [draw, any, ..] = self.labels.block_at(rank);
        let label = if draw % MISLABELLED == 0 { u64::from(any) } else { rank };
        (label % CLASSES) as i64
    }

    /// Appends the features of a node: the centre of its class and noise.
    pub fn features(&self, rank: u64, out: &mut Vec<f32>) {
        let noise = self.noise.fold(rank);
        let centre = &self.centres[(rank % CLASSES) as usize * self.width..][..self.width];
        for (pair, centre) in centre.chunks(2).enumerate() {
            let (first, second) = noise.normal_pair_at(pair as u64);
            out.extend(centre.iter().zip([first, second]).map(|(centre, noise)| centre + noise));
        }
    }
}

fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// The part of `whole` that `share / 2^64` is.
fn part(share: u64, whole: u64) -> u64 {
    ((u128::from(share) * u128::from(whole)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: u64 = 10_000;
    const EDGES: u64 = 1_000_000;

    fn in_degrees(graph: &RandomGraph) -> Vec<u64> {
        let mut degrees = vec![0; NODES as usize];
        (0..EDGES).for_each(|e| degrees[graph.edge(e).1 as usize] += 1);
        degrees
    }

    #[test]
    fn degrees_follow_the_power_law() {
        let degrees = in_degrees(&RandomGraph::new(1, NODES, 1));
        let mean = EDGES as f64 / NODES as f64;
        for rank in [160, 1600, 4800, 9600] {
            let group = &degrees[rank - 80..rank + 80];
            let found = group.iter().sum::<u64>() as f64 / 160.0;
            let expected = mean / 3.0 * (rank as f64 / NODES as f64).powf(-2.0 / 3.0);
            assert!((found / expected - 1.0).abs() < 0.06, "rank {rank}: {found}, not {expected}");
        }
    }

    #[test]
    fn sources_are_even_and_half_of_the_edges_stay_in_their_class() {
        let graph = RandomGraph::new(1, NODES, 1);
        let edges: Vec<(u64, u64)> = (0..EDGES).map(|e| graph.edge(e)).collect();
        let low = edges.iter().filter(|(src, _)| *src < NODES / 4).count() as f64 / EDGES as f64;
        assert!((low - 0.25).abs() < 0.002, "{low}");
        let same = edges.iter().filter(|(s, d)| s % CLASSES == d % CLASSES).count() as f64 / EDGES as f64;
        assert!((same - (0.5 + 0.5 / 16.0)).abs() < 0.002, "{same}");
    }

    #[test]
    fn labels_are_the_class_nine_times_in_ten() {
        let graph = RandomGraph::new(1, NODES, 1);
        let right = (0..NODES).filter(|&rank| graph.label(rank) == (rank % CLASSES) as i64).count();
        assert!((8_950..9_180).contains(&right), "{right}");
    }

    #[test]
    fn features_of_a_class_are_around_its_centre() {
        let (width, class) = (7, 5);
        let graph = RandomGraph::new(1, NODES, width);
        let ranks = || (0..NODES).filter(|rank| rank % CLASSES == class);
        let mut values = Vec::new();
        ranks().for_each(|rank| graph.features(rank, &mut values));
        let count = ranks().count();
        assert_eq!(values.len(), count * width);
        for column in 0..width {
            let mean = values.iter().skip(column).step_by(width).sum::<f32>() / count as f32;
            let centre = graph.centres[class as usize * width + column];
            assert!((mean - centre).abs() < 0.13, "column {column}: {mean}, not {centre}");
        }
        assert!(graph.centres.iter().any(|c| c.abs() > 0.1));
    }
}
