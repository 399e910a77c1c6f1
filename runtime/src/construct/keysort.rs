//! Sorting keys that may not fit into memory: sorted runs in the scratch folder, merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use gsl_tables::{Column, MISSING, Values};
use rayon::prelude::*;

use super::error::{BuildError, Result};
use super::scratch::Scratch;

/// One key, as bytes or as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyRef<'a> {
    Int(i64),
    Text(&'a [u8]),
}

/// Collects keys with their rows, from any thread; gives them back in ascending order, equal ones by their rows.
pub struct KeySorter {
    scratch: Scratch,
    limit: usize,
    pending: Mutex<Pending>,
    runs: Mutex<Vec<KeyRun>>,
}

#[derive(Default)]
struct Pending {
    ints: Vec<(i64, u32)>,
    bytes: Vec<u8>,
    texts: Vec<TextItem>,
}

/// `len` bytes from `at`, and eight of them as a number, so that most comparisons read no text.
#[derive(Clone, Copy)]
struct TextItem {
    prefix: u64,
    at: u64,
    len: u32,
    row: u32,
}

struct KeyRun {
    file: File,
    path: PathBuf,
}

impl KeySorter {
    /// Holds at most `limit` bytes of keys.
    pub fn new(scratch: &Scratch, limit: u64) -> Self {
        Self {
            scratch: scratch.clone(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            pending: Mutex::default(),
            runs: Mutex::default(),
        }
    }

    /// Adds the keys of a column whose first row has number `first_row`; missing ones are passed over.
    pub fn push(&self, column: &Column, first_row: u64) -> Result<()> {
        let mut pending = self.pending.lock().expect("no thread panics here");
        match &column.values {
            Values::Text(text) => {
                for (row, &code) in text.codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
                    pending.text(text.values.get(code).as_bytes(), first_row as u32 + row as u32);
                }
            }
            Values::Int(keys) => {
                let rows = (0..keys.len()).filter(|&row| column.is_valid(row));
                pending.ints.extend(rows.map(|row| (keys[row], first_row as u32 + row as u32)));
            }
            _ => {}
        }
        self.bound(pending)
    }

    /// Adds one key.
    pub fn push_one(&self, key: KeyRef, row: u32) -> Result<()> {
        let mut pending = self.pending.lock().expect("no thread panics here");
        match key {
            KeyRef::Int(key) => pending.ints.push((key, row)),
            KeyRef::Text(text) => pending.text(text, row),
        }
        self.bound(pending)
    }

    fn bound(&self, mut pending: std::sync::MutexGuard<Pending>) -> Result<()> {
        if pending.size() <= self.limit {
            return Ok(());
        }
        // Sorted without the lock: a thread that waits for the sort may push to this very sorter.
        let mut full = std::mem::take(&mut *pending);
        drop(pending);
        full.sort();
        let run = KeyRun::write(&self.scratch, &full)?;
        self.runs.lock().expect("no thread panics here").push(run);
        Ok(())
    }

    /// Calls `each` with every key and its row.
    pub fn finish(self, each: &mut dyn FnMut(KeyRef, u32)) -> Result<()> {
        let mut pending = self.pending.into_inner().expect("no thread panics here");
        let mut runs = self.runs.into_inner().expect("no thread panics here");
        pending.sort();
        if runs.is_empty() {
            pending.each(each);
            return Ok(());
        }
        runs.push(KeyRun::write(&self.scratch, &pending)?);
        drop(pending);
        merge(runs, self.limit, each)
    }
}

impl Pending {
    fn text(&mut self, text: &[u8], row: u32) {
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(text);
        self.texts.push(TextItem { prefix: 0, at, len: text.len() as u32, row });
    }

    fn size(&self) -> usize {
        size_of_val(self.ints.as_slice()) + self.bytes.len() + size_of_val(self.texts.as_slice())
    }

    fn sort(&mut self) {
        self.ints.par_sort_unstable();
        sort_texts(&self.bytes, &mut self.texts, 0);
    }

    fn each(&self, each: &mut dyn FnMut(KeyRef, u32)) {
        self.ints.iter().for_each(|&(key, row)| each(KeyRef::Int(key), row));
        for item in &self.texts {
            each(KeyRef::Text(&self.bytes[item.at as usize..][..item.len as usize]), item.row);
        }
    }
}

/// Sorts texts whose first `depth` bytes are equal, eight bytes at a time: long common beginnings cost one pass each, not one
/// comparison of texts for each pair.
fn sort_texts(bytes: &[u8], items: &mut [TextItem], depth: usize) {
    let upto = (depth + 8) as u32;
    items.par_iter_mut().with_min_len(1 << 12).for_each(|item| {
        let text = &bytes[item.at as usize..][..item.len as usize];
        let mut next = [0; 8];
        let piece = &text[depth.min(text.len())..text.len().min(depth + 8)];
        next[..piece.len()].copy_from_slice(piece);
        item.prefix = u64::from_be_bytes(next);
    });
    // A text that ends here comes before those that go on with the zeros which fill up its prefix.
    items.par_sort_unstable_by_key(|item| (item.prefix, item.len.min(upto + 1), item.row));
    for same in items.chunk_by_mut(|a, b| a.prefix == b.prefix && a.len > upto && b.len > upto) {
        if same.len() > 1 && same[0].len > upto {
            sort_texts(bytes, same, depth + 8);
        }
    }
}

impl KeyRun {
    fn write(scratch: &Scratch, pending: &Pending) -> Result<Self> {
        let path = scratch.folder.clone();
        let failed = |error| BuildError::Scratch { file: path.clone(), error };
        let file = scratch.file().map_err(failed)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut result = Ok(());
        pending.each(&mut |key, row| {
            if result.is_ok() {
                result = write_key(&mut out, key, row);
            }
        });
        result.and_then(|()| out.flush()).map_err(failed)?;
        let mut file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.rewind().map_err(failed)?;
        Ok(Self { file, path })
    }
}

fn write_key(out: &mut impl Write, key: KeyRef, row: u32) -> std::io::Result<()> {
    out.write_all(&row.to_ne_bytes())?;
    match key {
        KeyRef::Int(key) => {
            out.write_all(&u32::MAX.to_ne_bytes())?;
            out.write_all(&key.to_ne_bytes())
        }
        KeyRef::Text(text) => {
            out.write_all(&(text.len() as u32).to_ne_bytes())?;
            out.write_all(text)
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum OwnedKey {
    Int(i64),
    Text(Vec<u8>),
}

impl OwnedKey {
    fn borrow(&self) -> KeyRef<'_> {
        match self {
            OwnedKey::Int(key) => KeyRef::Int(*key),
            OwnedKey::Text(text) => KeyRef::Text(text),
        }
    }
}

struct RunReader {
    from: BufReader<File>,
    path: PathBuf,
}

impl RunReader {
    fn next(&mut self) -> Result<Option<(OwnedKey, u32)>> {
        let mut word = [0; 4];
        match self.from.read_exact(&mut word) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(BuildError::Scratch { file: self.path.clone(), error }),
        }
        let row = u32::from_ne_bytes(word);
        self.key()
            .map(|key| Some((key, row)))
            .map_err(|error| BuildError::Scratch { file: self.path.clone(), error })
    }

    fn key(&mut self) -> std::io::Result<OwnedKey> {
        let mut word = [0; 4];
        self.from.read_exact(&mut word)?;
        match u32::from_ne_bytes(word) {
            u32::MAX => {
                let mut key = [0; 8];
                self.from.read_exact(&mut key)?;
                Ok(OwnedKey::Int(i64::from_ne_bytes(key)))
            }
            len => {
                let mut text = vec![0; len as usize];
                self.from.read_exact(&mut text)?;
                Ok(OwnedKey::Text(text))
            }
        }
    }
}

/// Of a run that is merged, from 4 to 256 KiB are read at a time, so that all together stay within the limit.
fn merge(runs: Vec<KeyRun>, limit: usize, each: &mut dyn FnMut(KeyRef, u32)) -> Result<()> {
    let buffer = (limit / runs.len()).clamp(1 << 12, 1 << 18);
    let mut readers: Vec<RunReader> = runs
        .into_iter()
        .map(|run| RunReader { from: BufReader::with_capacity(buffer, run.file), path: run.path })
        .collect();
    let mut heads = BinaryHeap::new();
    for (index, reader) in readers.iter_mut().enumerate() {
        heads.extend(reader.next()?.map(|(key, row)| Reverse((key, row, index))));
    }
    while let Some(Reverse((key, row, index))) = heads.pop() {
        each(key.borrow(), row);
        heads.extend(readers[index].next()?.map(|(key, row)| Reverse((key, row, index))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gsl_tables::TextColumn;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_come_in_order_of_their_bytes_whatever_the_memory(
            texts in prop::collection::vec("[ab\0]{0,20}", 0..80),
            limit in 0u64..3000,
        ) {
            let sorter = KeySorter::new(&Scratch::temporary().unwrap(), limit);
            for (index, some) in texts.chunks(5).enumerate() {
                let codes = (0..some.len() as u32).collect();
                let values = some.iter().map(String::as_str).collect();
                let column = Column::new("k", Values::Text(TextColumn { codes, values }));
                sorter.push(&column, index as u64 * 5).unwrap();
            }
            let mut plain: Vec<(Vec<u8>, u32)> = texts.iter().map(|t| t.clone().into_bytes()).zip(0..).collect();
            plain.sort();
            let mut found = Vec::new();
            sorter.finish(&mut |key, row| {
                let KeyRef::Text(text) = key else { panic!("a text") };
                found.push((text.to_vec(), row));
            }).unwrap();
            prop_assert_eq!(found, plain);
        }

        #[test]
        fn integers_too(keys in prop::collection::vec(any::<i64>(), 0..60), limit in 0u64..900) {
            let sorter = KeySorter::new(&Scratch::temporary().unwrap(), limit);
            for (index, some) in keys.chunks(4).enumerate() {
                sorter.push(&Column::new("k", Values::Int(some.to_vec())), index as u64 * 4).unwrap();
            }
            let mut plain: Vec<(i64, u32)> = keys.iter().copied().zip(0..).collect();
            plain.sort();
            let mut found = Vec::new();
            sorter.finish(&mut |key, row| {
                let KeyRef::Int(key) = key else { panic!("an integer") };
                found.push((key, row));
            }).unwrap();
            prop_assert_eq!(found, plain);
        }
    }
}
