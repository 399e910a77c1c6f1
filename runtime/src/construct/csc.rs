//! Incoming-edge lists from sorted runs of edges.
//!
//! A record is the key (head, tail), head in the upper half, and a payload that begins with one word: the row of the edge, or its
//! position in the relation that this one is the reverse of. For the forward lists the head is the destination.

use std::cmp::Ordering;

use super::error::{BuildError, Result};
use super::scratch::Scratch;
use super::sorter::Run;
use crate::graph::piece::{Element, Piece, PieceWriter};

/// The key of an edge: sorted by it, edges stand in the order of their head, then of their tail.
pub fn edge_key(head: u32, tail: u32) -> u64 {
    u64::from(head) << 32 | u64::from(tail)
}

/// A run of edges in order.
pub struct Ordered {
    /// Heads that have edges, ascending, and how many.
    pub heads: Vec<(u32, u32)>,
    pub tails: Vec<u32>,
    pub words: Vec<u32>,
    /// Indices into the run; empty if the payload is no more than the word.
    pub order: Vec<u32>,
    /// Edges that another one with the same ends comes before.
    pub parallel: u64,
    pub loops: u64,
}

/// Tables of counters may be this many times as long as the run.
const SPARSE: usize = 4;

/// Sorts a run by head, tail and word.
pub fn order(run: &Run) -> Ordered {
    let entry = |index: usize| (run.key(index) << 32) | u64::from(run.word(index, 0));
    let (heads, mut entries) = by_head(run, entry);
    for slice in slices(&heads, &mut entries) {
        slice.sort_unstable();
    }
    let tails: Vec<u32> = entries.iter().map(|&entry| (entry >> 32) as u32).collect();
    let words = entries.iter().map(|&entry| entry as u32).collect();
    counted(heads, tails, words, Vec::new())
}

/// Sorts a run by head, tail, what `compare` says of two payloads, and word.
pub fn order_by(run: &Run, compare: &dyn Fn(&[u8], &[u8]) -> Ordering) -> Ordered {
    let (heads, mut order) = by_head(run, |index| index as u32);
    for slice in slices(&heads, &mut order) {
        slice.sort_unstable_by(|&a, &b| {
            let (a, b) = (a as usize, b as usize);
            (run.key(a).cmp(&run.key(b)))
                .then_with(|| compare(&run.payload(a)[4..], &run.payload(b)[4..]))
                .then_with(|| run.word(a, 0).cmp(&run.word(b, 0)))
        });
    }
    let tails = order.iter().map(|&index| run.key(index as usize) as u32).collect();
    let words = order.iter().map(|&index| run.word(index as usize, 0)).collect();
    counted(heads, tails, words, order)
}

/// The entries of a run, those of one head together, heads ascending. O(run), or O(run log run) where heads are sparse.
fn by_head<T: Copy + Default>(run: &Run, entry: impl Fn(usize) -> T) -> (Vec<(u32, u32)>, Vec<T>) {
    let first = run.first >> 32;
    let span = ((run.end - 1) >> 32) - first + 1;
    if span as usize > SPARSE * run.len() + 1024 {
        return by_sparse_head(run, entry);
    }
    let head = |index: usize| ((run.key(index) >> 32) - first) as usize;
    let mut next = vec![0u32; span as usize + 1];
    (0..run.len()).for_each(|index| next[head(index) + 1] += 1);
    let counts = next[1..].iter().enumerate().filter(|(_, count)| **count > 0);
    let heads = counts.map(|(head, &count)| ((first + head as u64) as u32, count)).collect();
    for head in 1..next.len() {
        next[head] += next[head - 1];
    }
    let mut entries = vec![T::default(); run.len()];
    for index in 0..run.len() {
        let slot = &mut next[head(index)];
        entries[*slot as usize] = entry(index);
        *slot += 1;
    }
    (heads, entries)
}

fn by_sparse_head<T>(run: &Run, entry: impl Fn(usize) -> T) -> (Vec<(u32, u32)>, Vec<T>) {
    let mut order: Vec<(u32, u32)> =
        (0..run.len()).map(|index| ((run.key(index) >> 32) as u32, index as u32)).collect();
    order.sort_unstable();
    let heads = order.chunk_by(|a, b| a.0 == b.0).map(|same| (same[0].0, same.len() as u32)).collect();
    (heads, order.iter().map(|&(_, index)| entry(index as usize)).collect())
}

fn slices<'a, T>(heads: &'a [(u32, u32)], mut entries: &'a mut [T]) -> impl Iterator<Item = &'a mut [T]> {
    heads.iter().map(move |&(_, count)| {
        let (slice, rest) = std::mem::take(&mut entries).split_at_mut(count as usize);
        entries = rest;
        slice
    })
}

fn counted(heads: Vec<(u32, u32)>, tails: Vec<u32>, words: Vec<u32>, order: Vec<u32>) -> Ordered {
    let (mut parallel, mut loops, mut start) = (0, 0, 0);
    for &(head, count) in &heads {
        let tails = &tails[start..start + count as usize];
        parallel += tails.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
        loops += tails.iter().filter(|&&tail| tail == head).count() as u64;
        start += count as usize;
    }
    Ordered { heads, tails, words, order, parallel, loops }
}

/// The arrays of a relation, written run by run.
pub struct CscWriter {
    indptr: PieceWriter,
    tails: PieceWriter,
    words: PieceWriter,
    /// Entries of `indptr` that are written.
    written: u64,
    heads: u64,
    edges: u64,
    last: Option<u32>,
    degree: u64,
    max_degree: u64,
}

/// What [`CscWriter`] has written.
pub struct CscPieces {
    pub indptr: Piece,
    pub tails: Piece,
    pub words: Piece,
    pub max_degree: u64,
}

impl CscWriter {
    /// For heads `0..heads`.
    pub fn new(scratch: &Scratch, heads: u64) -> Self {
        Self {
            indptr: writer(scratch, Element::U64, None),
            tails: writer(scratch, Element::U32, None),
            words: writer(scratch, Element::U32, None),
            written: 0,
            heads,
            edges: 0,
            last: None,
            degree: 0,
            max_degree: 0,
        }
    }

    /// Adds the next run.
    pub fn add(&mut self, run: &Ordered) -> Result<()> {
        let mut bounds = Vec::with_capacity(run.heads.len());
        for &(head, count) in &run.heads {
            self.bounds_upto(u64::from(head), &mut bounds);
            self.edges += u64::from(count);
            self.degree = if self.last == Some(head) { self.degree } else { 0 } + u64::from(count);
            self.last = Some(head);
            self.max_degree = self.max_degree.max(self.degree);
        }
        put(&mut self.indptr, |piece| piece.put(&bounds))?;
        put(&mut self.tails, |piece| piece.put(&run.tails))?;
        put(&mut self.words, |piece| piece.put(&run.words))
    }

    /// Where the edges of all heads up to this one begin.
    fn bounds_upto(&mut self, head: u64, bounds: &mut Vec<u64>) {
        while self.written <= head {
            bounds.push(self.edges);
            self.written += 1;
        }
    }

    pub fn finish(mut self) -> Result<CscPieces> {
        let mut bounds = Vec::new();
        self.bounds_upto(self.heads, &mut bounds);
        put(&mut self.indptr, |piece| piece.put(&bounds))?;
        Ok(CscPieces {
            indptr: finish(self.indptr)?,
            tails: finish(self.tails)?,
            words: finish(self.words)?,
            max_degree: self.max_degree,
        })
    }
}

/// Pieces never see the disk while all of them hold less than this share of the memory.
const SHARE_OF_PIECES: u64 = 8;

/// A writer of a piece of its own in the scratch folder.
pub fn writer(scratch: &Scratch, element: Element, width: Option<usize>) -> PieceWriter {
    PieceWriter::new(element, width, scratch.unique("piece"), scratch.memory / SHARE_OF_PIECES)
}

/// Does something with a writer; what fails is the scratch file.
pub fn put(
    piece: &mut PieceWriter,
    write: impl FnOnce(&mut PieceWriter) -> std::io::Result<()>,
) -> Result<()> {
    write(piece).map_err(|error| BuildError::Scratch { file: piece.path().to_path_buf(), error })
}

pub fn finish(piece: PieceWriter) -> Result<Piece> {
    let file = piece.path().to_path_buf();
    piece.finish().map_err(|error| BuildError::Scratch { file, error })
}
