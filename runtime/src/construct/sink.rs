//! Rows that come in any order and are wanted in the order of the nodes.

use std::sync::Mutex;

use super::error::Result;
use super::scratch::Scratch;
use super::sorter::{Keys, Room, Run, Sorter};
use crate::slab::{SLAB, Slab};

/// Takes rows of `width` bytes for the nodes `0..count`, each once, from any thread.
pub struct RowSink {
    count: usize,
    width: usize,
    place: Place,
}

enum Place {
    Memory(Shelves),
    Sorter(Sorter),
}

/// All rows in order, those of `1 << shift` nodes on each shelf. What no one has put is zero.
struct Shelves {
    count: usize,
    width: usize,
    shift: u32,
    rows: Vec<Mutex<Slab>>,
}

impl RowSink {
    /// Holds at most `limit` bytes; beyond them rows go through the scratch folder.
    pub fn new(scratch: &Scratch, count: usize, width: usize, limit: u64) -> Self {
        let place = match count as u64 * width as u64 <= limit {
            true => Place::Memory(Shelves::new(count, width)),
            false => Place::Sorter(Sorter::new(
                scratch,
                Keys::below(count as u64),
                width,
                count as u64,
                &Room::of(limit),
            )),
        };
        Self { count, width, place }
    }

    /// Row i of `rows` is that of node `ids[i]`.
    pub fn put(&self, ids: &[u32], rows: &[u8]) -> Result<()> {
        match &self.place {
            Place::Memory(shelves) => {
                shelves.put(ids, rows);
                Ok(())
            }
            Place::Sorter(sorter) => {
                let keys: Vec<u64> = ids.iter().map(|&id| u64::from(id)).collect();
                sorter.push(&keys, rows)
            }
        }
    }

    /// Calls `each` with the rows of the nodes from first to last, some at a time; a node without a row has zeros.
    pub fn finish(self, memory: u64, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (count, width) = (self.count, self.width);
        match self.place {
            Place::Memory(shelves) => shelves.finish(each),
            Place::Sorter(sorter) => {
                let process = |run: Run| {
                    let (first, end) = (run.first, run.end.min(count as u64));
                    let mut rows = vec![0; (end - first) as usize * width];
                    for index in 0..run.len() {
                        let at = (run.key(index) - first) as usize * width;
                        rows[at..at + width].copy_from_slice(run.payload(index));
                    }
                    Ok(rows)
                };
                sorter.finish().drain(memory, &process, &mut |rows| each(&rows))
            }
        }
    }
}

impl Shelves {
    fn new(count: usize, width: usize) -> Self {
        let shift = (SLAB / width.max(1)).max(1).ilog2();
        let shelves = count.div_ceil(1 << shift);
        Self { count, width, shift, rows: (0..shelves).map(|_| Mutex::default()).collect() }
    }

    fn put(&self, ids: &[u32], mut rows: &[u8]) {
        for same in ids.chunk_by(|a, b| a >> self.shift == b >> self.shift) {
            let shelf = (same[0] >> self.shift) as usize;
            let (own, rest) = rows.split_at(same.len() * self.width);
            let mut on_shelf = self.rows[shelf].lock().expect("no thread panics here");
            self.fill(shelf, &mut on_shelf);
            self.scatter(same, shelf << self.shift, own, &mut on_shelf);
            rows = rest;
        }
    }

    /// Gives a shelf that has no rows yet its zeros.
    fn fill(&self, shelf: usize, rows: &mut Slab) {
        let nodes = (self.count - (shelf << self.shift)).min(1 << self.shift);
        if rows.len() < nodes * self.width {
            *rows = Slab::with_room_for(nodes * self.width);
            rows.resize(nodes * self.width, 0);
        }
    }

    /// Puts rows of nodes among those of the nodes from `first` on.
    fn scatter(&self, ids: &[u32], first: usize, rows: &[u8], all: &mut [u8]) {
        let consecutive = ids.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        if consecutive {
            let at = (ids[0] as usize - first) * self.width;
            all[at..at + rows.len()].copy_from_slice(rows);
            return;
        }
        for (row, &id) in rows.chunks_exact(self.width.max(1)).zip(ids) {
            let at = (id as usize - first) * self.width;
            all[at..at + self.width].copy_from_slice(row);
        }
    }

    /// Each shelf is free for others to use once its rows are given.
    fn finish(mut self, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let shelves = std::mem::take(&mut self.rows);
        for (shelf, rows) in shelves.into_iter().enumerate() {
            let mut rows = rows.into_inner().expect("no thread panics here");
            self.fill(shelf, &mut rows);
            each(&rows)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_in_the_order_of_nodes_whatever_the_memory(
            order in Just((0u32..200).collect::<Vec<_>>()).prop_shuffle(),
            kept in 0usize..200,
            limit in 0u64..3000,
        ) {
            let scratch = Scratch::temporary().unwrap();
            let sink = RowSink::new(&scratch, 200, 6, limit);
            for ids in order[..kept].chunks(9) {
                let rows: Vec<u8> = ids.iter().flat_map(|&id| [id as u8 ^ 0x55; 6]).collect();
                sink.put(ids, &rows).unwrap();
            }
            let mut found = Vec::new();
            sink.finish(10_000, &mut |rows| { found.extend_from_slice(rows); Ok(()) }).unwrap();
            let row = |id: u32| if order[..kept].contains(&id) { [id as u8 ^ 0x55; 6] } else { [0; 6] };
            let expected: Vec<u8> = (0..200).flat_map(row).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
