//! Which edges of a node: uniform without replacement, a function of (key, node).
//!
//! Decided here: the algorithm by degree and fanout (Floyd's, or a partial Fisher-Yates shuffle), the draws (counter-based,
//! bounded without bias by multiplication and rejection), and the memory access pattern: groups of nodes whose index
//! entries are fetched before they are read.

use crate::prefetch::prefetch;
use crate::view::Csc;
use gsl_kernels::random::Key;
use gsl_plan::plan::Fanout;
use rayon::prelude::*;
use std::cell::RefCell;

/// Nodes per task.
const CHUNK: usize = 1024;
/// Nodes whose picks are fetched together.
const GROUP: usize = 16;

/// Picks the edges of `nodes`: fills `indptr` (rows + 1), `position` (in the relation's CSC) and `src` (identifiers).
///
/// Per picked edge: one random read of 4 bytes, 12 bytes written, and a share of the node's 16 bytes of index.
///
/// # Errors
/// The number of edges, if 32 bits do not count them.
pub fn pick(
    csc: Csc,
    nodes: &[u32],
    fanout: Fanout,
    key: Key,
    indptr: &mut Vec<u32>,
    position: &mut Vec<u64>,
    src: &mut Vec<u32>,
) -> Result<(), u64> {
    let edges = count(csc, nodes, fanout, indptr)?;
    position.resize(edges, 0);
    src.resize(edges, 0);
    let task = Task { csc, nodes, indptr, key };
    task.split(0, nodes.len(), position, src);
    Ok(())
}

/// `indptr[r + 1] = Σ_{i <= r} min(degree(nodes[i]), fanout)`.
fn count(csc: Csc, nodes: &[u32], fanout: Fanout, indptr: &mut Vec<u32>) -> Result<usize, u64> {
    let limit = match fanout {
        Fanout::All => u64::MAX,
        Fanout::Neighbors(limit) => u64::from(limit),
    };
    indptr.resize(nodes.len() + 1, 0);
    indptr[0] = 0;
    indptr[1..].par_chunks_mut(CHUNK).zip(nodes.par_chunks(CHUNK)).for_each(|(counts, nodes)| {
        for (at, count) in counts.iter_mut().enumerate() {
            if let Some(&later) = nodes.get(at + GROUP) {
                prefetch(csc.indptr.as_ptr().wrapping_add(later as usize));
            }
            let (begin, end) = range(csc, nodes[at]);
            *count = (end - begin).min(limit).min(u64::from(u32::MAX)) as u32;
        }
    });
    let total = indptr.iter().map(|&count| u64::from(count)).sum();
    if total >= u64::from(u32::MAX) {
        return Err(total);
    }
    let mut sum = 0;
    for count in indptr.iter_mut() {
        sum += *count;
        *count = sum;
    }
    Ok(total as usize)
}

#[inline(always)]
fn range(csc: Csc, node: u32) -> (u64, u64) {
    (csc.indptr[node as usize], csc.indptr[node as usize + 1])
}

#[derive(Clone, Copy)]
struct Task<'a> {
    csc: Csc<'a>,
    nodes: &'a [u32],
    indptr: &'a [u32],
    key: Key,
}

impl Task<'_> {
    /// Halves the rows until they are one chunk; every piece writes its own edges.
    fn split(self, first: usize, last: usize, position: &mut [u64], src: &mut [u32]) {
        if last - first <= CHUNK {
            return self.chunk(first, last, position, src);
        }
        let middle = first + ((last - first) / 2).next_multiple_of(CHUNK).min(last - first);
        if middle == last {
            return self.chunk(first, last, position, src);
        }
        let at = (self.indptr[middle] - self.indptr[first]) as usize;
        let (position, later_position) = position.split_at_mut(at);
        let (src, later_src) = src.split_at_mut(at);
        rayon::join(
            || self.split(first, middle, position, src),
            || self.split(middle, last, later_position, later_src),
        );
    }

    fn chunk(self, first: usize, last: usize, position: &mut [u64], src: &mut [u32]) {
        let base = self.indptr[first];
        for group in (first..last).step_by(GROUP) {
            let end = (group + GROUP).min(last);
            for &later in &self.nodes[end..(end + GROUP).min(last)] {
                prefetch(self.csc.indptr.as_ptr().wrapping_add(later as usize));
            }
            let edges = (self.indptr[group] - base) as usize..(self.indptr[end] - base) as usize;
            for row in group..end {
                let own = (self.indptr[row] - base) as usize..(self.indptr[row + 1] - base) as usize;
                self.positions(self.nodes[row], &mut position[own]);
            }
            for &position in &position[edges.clone()] {
                prefetch(self.csc.src.as_ptr().wrapping_add(position as usize));
            }
            for (src, &position) in src[edges.clone()].iter_mut().zip(&position[edges]) {
                *src = self.csc.src[position as usize];
            }
        }
    }

    #[inline(always)]
    fn positions(self, node: u32, out: &mut [u64]) {
        let (begin, end) = range(self.csc, node);
        let degree = end - begin;
        if degree == out.len() as u64 {
            out.iter_mut().zip(begin..end).for_each(|(out, position)| *out = position);
        } else {
            choose(&mut Draws::new(self.key, node), degree as u32, out);
            out.iter_mut().for_each(|out| *out += begin);
        }
    }
}

/// `out.len()` distinct numbers below `n`; every subset is equally likely.
pub(super) fn choose(draws: &mut Draws, n: u32, out: &mut [u64]) {
    let few = out.len() * out.len() / 2 <= (n as usize).max(512);
    if few { floyd(draws, n, out) } else { shuffle(draws, n, out) }
}

/// Bentley and Floyd, "A sample of brilliance", 1987: for j = n - k .. n, a draw from 0 ..= j, or j where it is taken.
fn floyd(draws: &mut Draws, n: u32, out: &mut [u64]) {
    let first = n - out.len() as u32;
    for at in 0..out.len() {
        let j = first + at as u32;
        let drawn = u64::from(draws.below(j + 1));
        out[at] = if out[..at].contains(&drawn) { u64::from(j) } else { drawn };
    }
}

thread_local! {
    static DECK: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The first cards of a Fisher-Yates shuffle of 0 .. n.
fn shuffle(draws: &mut Draws, n: u32, out: &mut [u64]) {
    DECK.with_borrow_mut(|deck| {
        deck.clear();
        deck.extend(0..n);
        for (at, out) in out.iter_mut().enumerate() {
            let other = at + draws.below(n - at as u32) as usize;
            deck.swap(at, other);
            *out = u64::from(deck[at]);
        }
    });
}

/// The draws of one node.
pub(super) struct Draws {
    key: Key,
    node: u64,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Draws {
    pub fn new(key: Key, node: u32) -> Self {
        Draws { key, node: u64::from(node), block: 0, words: [0; 4], used: 4 }
    }

    #[inline(always)]
    fn next(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.key.plane_block(self.node, self.block);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Uniform below `bound` > 0 (Lemire, "Fast random integer generation in an interval", 2019).
    #[inline(always)]
    pub fn below(&mut self, bound: u32) -> u32 {
        loop {
            let product = u64::from(self.next()) * u64::from(bound);
            let low = product as u32;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 32) as u32;
            }
        }
    }
}
