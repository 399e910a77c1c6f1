//! Rows that come in any order and are wanted in the order of the nodes.

use std::sync::Mutex;

use super::error::Result;
use super::scratch::Scratch;
use super::sorter::{Room, Run, Sorter};

/// Takes rows of `width` bytes for the nodes `0..count`, each once, from any thread.
pub struct RowSink {
    count: usize,
    width: usize,
    place: Place,
}

enum Place {
    /// All rows, in order; what no one has put is zero.
    Memory(Mutex<Vec<u8>>),
    Sorter(Sorter),
}

impl RowSink {
    /// Holds at most `limit` bytes; beyond them rows go through the scratch folder.
    pub fn new(scratch: &Scratch, count: usize, width: usize, limit: u64) -> Self {
        let bytes = count as u64 * width as u64;
        let place = if bytes <= limit {
            Place::Memory(Mutex::new(vec![0; bytes as usize]))
        } else {
            Place::Sorter(Sorter::new(scratch, count as u64, width, count as u64, &Room::of(limit)))
        };
        Self { count, width, place }
    }

    /// Row i of `rows` is that of node `ids[i]`.
    pub fn put(&self, ids: &[u32], rows: &[u8]) -> Result<()> {
        match &self.place {
            Place::Memory(all) => {
                let mut all = all.lock().expect("no thread panics here");
                self.scatter(ids, rows, &mut all);
                Ok(())
            }
            Place::Sorter(sorter) => {
                let keys: Vec<u64> = ids.iter().map(|&id| u64::from(id)).collect();
                sorter.push(&keys, rows)
            }
        }
    }

    fn scatter(&self, ids: &[u32], rows: &[u8], all: &mut [u8]) {
        let consecutive = ids.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        match ids.first() {
            Some(&first) if consecutive => {
                let at = first as usize * self.width;
                all[at..at + rows.len()].copy_from_slice(rows);
            }
            _ => {
                for (row, &id) in rows.chunks_exact(self.width.max(1)).zip(ids) {
                    let at = id as usize * self.width;
                    all[at..at + self.width].copy_from_slice(row);
                }
            }
        }
    }

    /// Calls `each` with the rows of the nodes from first to last, some at a time; a node without a row has zeros.
    pub fn finish(self, memory: u64, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (count, width) = (self.count, self.width);
        match self.place {
            Place::Memory(all) => {
                let all = all.into_inner().expect("no thread panics here");
                all.chunks((1 << 16) * width.max(1)).try_for_each(each)
            }
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
