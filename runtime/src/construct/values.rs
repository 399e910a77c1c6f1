//! Multisets of numbers in ascending order, of any size: what does not fit in memory is sorted piece by piece, written to
//! a scratch file and merged when it is read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use rayon::slice::ParallelSliceMut;

use super::error::Fault;
use super::scratch::Scratch;

/// Numbers to be sorted. Kept as the integers that have the order of the numbers.
#[derive(Debug)]
pub(crate) struct Values {
    memory: Vec<u64>,
    /// Where pieces go once `memory` has reached its share; none: never.
    spill: Option<Scratch>,
    pieces: Option<Pieces>,
    count: u64,
}

/// Sorted pieces in one file, one after the other, eight bytes a number.
#[derive(Debug)]
struct Pieces {
    file: File,
    /// Numbers in each.
    lengths: Vec<u64>,
}

/// All numbers, ready to be gone through in ascending order.
#[derive(Debug)]
pub(crate) struct Sorted {
    memory: Vec<u64>,
    pieces: Option<Pieces>,
    count: u64,
    scratch: Option<Scratch>,
}

/// The smallest buffer of a piece that is read, and the smallest piece, in numbers.
const LEAST: usize = if cfg!(test) { 8 } else { 512 };

impl Values {
    /// All in memory: for one batch.
    pub(crate) fn new() -> Self {
        Values { memory: Vec::new(), spill: None, pieces: None, count: 0 }
    }

    /// At most `scratch.memory` bytes of memory.
    pub(crate) fn bounded(scratch: Scratch) -> Self {
        Values { spill: Some(scratch), ..Values::new() }
    }

    pub(crate) fn push(&mut self, x: f64) -> Result<(), Fault> {
        self.memory.push(ordered(x));
        self.count += 1;
        self.make_room()
    }

    /// Takes the numbers of one batch, which are all in memory.
    pub(crate) fn merge(&mut self, batch: Values) -> Result<(), Fault> {
        self.count += batch.count;
        let room = self.spill.as_ref().map_or(usize::MAX, in_memory);
        for piece in batch.memory.chunks(room) {
            self.memory.extend_from_slice(piece);
            self.make_room()?;
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Fault> {
        let Some(scratch) = &self.spill else { return Ok(()) };
        if self.memory.len() < in_memory(scratch) {
            return Ok(());
        }
        let failed = failure(scratch);
        self.memory.sort_unstable();
        let pieces = match &mut self.pieces {
            Some(pieces) => pieces,
            none => none.insert(Pieces { file: scratch.file().map_err(&failed)?, lengths: Vec::new() }),
        };
        pieces.write(&self.memory).map_err(failed)?;
        self.memory.clear();
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn into_sorted(mut self) -> Sorted {
        self.memory.par_sort_unstable();
        Sorted { memory: self.memory, pieces: self.pieces, count: self.count, scratch: self.spill }
    }
}

impl Sorted {
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Every distinct number with how often it is there, ascending.
    pub(crate) fn runs(&self, mut each: impl FnMut(f64, u64)) -> Result<(), Fault> {
        let mut last: Option<(u64, u64)> = None;
        self.ascending(|key| match &mut last {
            Some((same, count)) if *same == key => *count += 1,
            _ => {
                if let Some((key, count)) = last.replace((key, 1)) {
                    each(number(key), count);
                }
            }
        })?;
        if let Some((key, count)) = last {
            each(number(key), count);
        }
        Ok(())
    }

    fn ascending(&self, mut each: impl FnMut(u64)) -> Result<(), Fault> {
        match (&self.pieces, &self.scratch) {
            (Some(pieces), Some(scratch)) => {
                let buffer = in_memory(scratch) / (pieces.lengths.len() + 1);
                pieces.merge(&self.memory, buffer.max(LEAST), each).map_err(failure(scratch))
            }
            _ => {
                self.memory.iter().for_each(|key| each(*key));
                Ok(())
            }
        }
    }
}

fn in_memory(scratch: &Scratch) -> usize {
    usize::try_from(scratch.memory / 8).unwrap_or(usize::MAX).max(LEAST)
}

fn failure(scratch: &Scratch) -> impl Fn(io::Error) -> Fault + use<> {
    let folder = scratch.folder.clone();
    move |error| Fault::Scratch { error: format!("{}: {error}", folder.display()) }
}

impl Pieces {
    fn write(&mut self, keys: &[u64]) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        let mut out = BufWriter::new(&self.file);
        keys.iter().try_for_each(|key| out.write_all(&key.to_le_bytes()))?;
        out.flush()?;
        self.lengths.push(keys.len() as u64);
        Ok(())
    }

    /// Merges the pieces and `memory`, which is sorted; each piece is read through a buffer of `buffer` numbers.
    fn merge(&self, memory: &[u64], buffer: usize, mut each: impl FnMut(u64)) -> io::Result<()> {
        let mut readers = Vec::new();
        let mut start = 0;
        for &length in &self.lengths {
            readers.push(Reader {
                file: &self.file,
                next: start,
                end: start + length,
                buffer: Vec::new(),
                at: 0,
            });
            start += length;
        }
        let mut heap = BinaryHeap::new();
        for (index, reader) in readers.iter_mut().enumerate() {
            heap.extend(reader.next(buffer)?.map(|key| Reverse((key, index))));
        }
        let mut memory = memory.iter().copied();
        heap.extend(memory.next().map(|key| Reverse((key, readers.len()))));
        while let Some(Reverse((key, index))) = heap.pop() {
            each(key);
            let next = match readers.get_mut(index) {
                Some(reader) => reader.next(buffer)?,
                None => memory.next(),
            };
            heap.extend(next.map(|key| Reverse((key, index))));
        }
        Ok(())
    }
}

/// Goes through one piece.
struct Reader<'a> {
    file: &'a File,
    /// Positions in the file, in numbers.
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self, buffer: usize) -> io::Result<Option<u64>> {
        if self.at == self.buffer.len() {
            let count = (self.end - self.next).min(buffer as u64);
            self.file.seek(SeekFrom::Start(8 * self.next))?;
            self.buffer.resize(8 * count as usize, 0);
            self.file.read_exact(&mut self.buffer)?;
            self.next += count;
            self.at = 0;
        }
        let key = self.buffer[self.at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        self.at += 8 * usize::from(key.is_some());
        Ok(key)
    }
}

/// The integer whose place among integers is that of x among numbers; −0 is 0.
fn ordered(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    bits ^ (((bits as i64 >> 63) as u64) | 1 << 63)
}

fn number(key: u64) -> f64 {
    f64::from_bits(key ^ (((!key as i64 >> 63) as u64) | 1 << 63))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(sorted: &Sorted) -> Vec<(f64, u64)> {
        let mut all = Vec::new();
        sorted.runs(|x, count| all.push((x, count))).unwrap();
        all
    }

    fn collected(values: &[f64], memory: u64, folder: &std::path::Path) -> Sorted {
        let mut all = Values::bounded(Scratch { folder: folder.to_path_buf(), memory });
        for batch in values.chunks(700) {
            let mut one = Values::new();
            batch.iter().for_each(|x| one.push(*x).unwrap());
            all.merge(one).unwrap();
        }
        all.into_sorted()
    }

    #[test]
    fn numbers_beyond_memory_come_back_in_order_and_twice() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f64> = (0..20_000u64).map(|i| (i * 7919 % 5_003) as f64 - 2_500.0).collect();
        let small = collected(&values, 1, folder.path());
        assert!(small.pieces.as_ref().unwrap().lengths.len() > 10);
        assert_eq!(runs(&small), runs(&collected(&values, u64::MAX, folder.path())));
        assert_eq!(runs(&small), runs(&small));
        assert_eq!(small.len(), 20_000);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let mut values = Values::bounded(Scratch { folder: "/dev/null/no/folder".into(), memory: 8 });
        let error = (0..2_000).find_map(|i| values.push(f64::from(i)).err()).unwrap();
        assert!(error.to_string().contains("/dev/null/no/folder"), "{error}");
    }

    proptest! {
        #[test]
        fn keys_have_the_order_of_numbers(x in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, y in proptest::num::f64::NORMAL) {
            prop_assert_eq!(number(ordered(x)), x);
            prop_assert_eq!(ordered(x).cmp(&ordered(y)), x.total_cmp(&y));
            prop_assert_eq!(ordered(-0.0), ordered(0.0));
        }
    }
}
