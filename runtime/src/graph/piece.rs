//! An array of a graph before it is in the graph file: in memory, in a scratch file, or in the file of an earlier graph.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gsl_kernels::f16;
use serde::{Deserialize, Serialize};

use super::map::Mapped;
use crate::slab::{SLAB, Slab};

/// The type of an array's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Element {
    U8,
    I8,
    F16,
    /// The upper half of an `f32`.
    BF16,
    U32,
    U64,
    I64,
    F32,
}

impl Element {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::F16 | Element::BF16 => 2,
            Element::U32 | Element::F32 => 4,
            Element::U64 | Element::I64 => 8,
        }
    }
}

/// Numbers in the byte order of the machine; with `width` they are rows of so many.
#[derive(Clone)]
pub struct Piece {
    pub element: Element,
    pub width: Option<usize>,
    bytes: u64,
    data: Data,
    /// Of the bytes, where it was computed as they were written.
    hash: Option<blake3::Hash>,
}

#[derive(Clone)]
enum Data {
    /// End to end; each holds whole numbers.
    Memory(Arc<Parts>),
    File {
        file: Arc<File>,
        path: PathBuf,
    },
    Graph {
        mapped: Arc<Mapped>,
        offset: usize,
    },
}

const COPY_BYTES: usize = 1 << 23;

/// Full parts of a piece, which count as held in memory by pieces.
#[derive(Default)]
struct Parts(Vec<Slab>);

/// Bytes that the parts of all pieces hold.
static HELD: AtomicU64 = AtomicU64::new(0);

impl Parts {
    fn push(&mut self, part: Slab) {
        HELD.fetch_add(part.len() as u64, Ordering::Relaxed);
        self.0.push(part);
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let held: usize = self.0.iter().map(|part| part.len()).sum();
        HELD.fetch_sub(held as u64, Ordering::Relaxed);
    }
}

impl Piece {
    /// A piece of numbers that are in memory already.
    pub fn of<T: Number>(numbers: &[T], width: Option<usize>) -> Self {
        Self::of_bytes(T::ELEMENT, width, bytes_of(numbers).to_vec())
    }

    pub fn of_bytes(element: Element, width: Option<usize>, data: Vec<u8>) -> Self {
        let bytes = data.len() as u64;
        let mut parts = Parts::default();
        parts.push(data.into());
        Self { element, width, bytes, data: Data::Memory(Arc::new(parts)), hash: None }
    }

    pub(super) fn of_graph(
        element: Element,
        width: Option<usize>,
        mapped: Arc<Mapped>,
        offset: usize,
        bytes: u64,
        hash: blake3::Hash,
    ) -> Self {
        Self { element, width, bytes, data: Data::Graph { mapped, offset }, hash: Some(hash) }
    }

    /// A piece that an earlier process left in a file of these bytes.
    pub fn open(
        path: &Path,
        element: Element,
        width: Option<usize>,
        bytes: u64,
        hash: &str,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file)?;
        if found != bytes || hasher.finalize().to_hex().as_str() != hash {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has other bytes"));
        }
        let data = Data::File { file: Arc::new(file), path: path.to_path_buf() };
        Ok(Self { element, width, bytes, data, hash: Some(hasher.finalize()) })
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.bytes as usize / self.element.size()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub fn in_memory(&self) -> bool {
        matches!(self.data, Data::Memory(_))
    }

    /// The hash of its bytes. Reads them where it is not known.
    pub fn hash(&self) -> io::Result<blake3::Hash> {
        if let Some(hash) = self.hash {
            return Ok(hash);
        }
        let mut hasher = blake3::Hasher::new();
        self.for_each(&mut |bytes| -> io::Result<()> {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(hasher.finalize())
    }

    /// Gives the file of the piece the name `path`, writing it first if it has none.
    pub fn keep_as(&mut self, path: &Path) -> io::Result<()> {
        match &self.data {
            Data::File { path: old, .. } => std::fs::rename(old, path)?,
            Data::Memory(_) | Data::Graph { .. } => {
                let mut out = File::create(path)?;
                self.for_each(&mut |bytes| out.write_all(bytes))?;
            }
        }
        let file = Arc::new(File::open(path)?);
        self.data = Data::File { file, path: path.to_path_buf() };
        Ok(())
    }

    /// The bytes from first to last, some at a time, whole numbers each time.
    pub fn for_each<E: From<io::Error>>(
        &self,
        each: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.data {
            Data::Memory(parts) => parts.0.iter().flat_map(|part| part.chunks(COPY_BYTES)).try_for_each(each),
            Data::Graph { mapped, offset } => {
                mapped.bytes(*offset, self.bytes as usize).chunks(COPY_BYTES).try_for_each(each)
            }
            Data::File { file, .. } => {
                let mut buffer = vec![0; COPY_BYTES.min(self.bytes as usize)];
                let mut at = 0;
                while at < self.bytes {
                    let next = buffer.len().min((self.bytes - at) as usize);
                    file.read_exact_at(&mut buffer[..next], at)?;
                    each(&buffer[..next])?;
                    at += next as u64;
                }
                Ok(())
            }
        }
    }

    /// Fills `into` with the bytes from `at` on, which are there.
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match &self.data {
            Data::Memory(parts) => {
                read_parts(&parts.0, at as usize, into);
                Ok(())
            }
            Data::Graph { mapped, offset } => {
                into.copy_from_slice(mapped.bytes(offset + at as usize, into.len()));
                Ok(())
            }
            Data::File { file, .. } => file.read_exact_at(into, at),
        }
    }

    /// The numbers with these indices, in memory.
    pub fn load_some<T: Number>(&self, numbers: Range<usize>) -> io::Result<Vec<T>> {
        assert_eq!(self.element, T::ELEMENT, "the piece has other numbers");
        let mut bytes = vec![0; numbers.len() * size_of::<T>()];
        self.read_at((numbers.start * size_of::<T>()) as u64, &mut bytes)?;
        Ok(numbers_of(&bytes).collect())
    }

    /// All numbers, in memory.
    pub fn load<T: Number>(&self) -> io::Result<Vec<T>> {
        assert_eq!(self.element, T::ELEMENT, "the piece has other numbers");
        let mut all: Vec<T> = Vec::with_capacity(self.len());
        self.for_each(&mut |bytes| -> io::Result<()> {
            all.extend(numbers_of::<T>(bytes));
            Ok(())
        })?;
        Ok(all)
    }
}

/// Fills `into` from parts that stand end to end.
fn read_parts(parts: &[Slab], mut at: usize, mut into: &mut [u8]) {
    for part in parts {
        let found = part.get(at..).unwrap_or_default();
        let (now, later) = into.split_at_mut(found.len().min(into.len()));
        now.copy_from_slice(&found[..now.len()]);
        (at, into) = (at.saturating_sub(part.len()), later);
    }
}

/// Numbers that pieces are made of.
pub trait Number: hdf5::H5Type + Copy {
    const ELEMENT: Element;
}

impl Number for u8 {
    const ELEMENT: Element = Element::U8;
}
impl Number for i8 {
    const ELEMENT: Element = Element::I8;
}
impl Number for f16 {
    const ELEMENT: Element = Element::F16;
}
/// HDF5 has no type for the upper half of an `f32`: its bits are an integer.
impl Number for u16 {
    const ELEMENT: Element = Element::BF16;
}
impl Number for u32 {
    const ELEMENT: Element = Element::U32;
}
impl Number for u64 {
    const ELEMENT: Element = Element::U64;
}
impl Number for i64 {
    const ELEMENT: Element = Element::I64;
}
impl Number for f32 {
    const ELEMENT: Element = Element::F32;
}

/// The bytes of a slice of numbers.
pub fn bytes_of<T: Number>(data: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding, and any byte may be read as u8.
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data)) }
}

/// The numbers that the bytes are, whatever their alignment.
pub fn numbers_of<T: Number>(bytes: &[u8]) -> impl ExactSizeIterator<Item = T> + '_ {
    // SAFETY: the chunk has the size of a T, and every bit pattern is one.
    bytes.chunks_exact(size_of::<T>()).map(|one| unsafe { one.as_ptr().cast::<T>().read_unaligned() })
}

/// Writes a piece from first to last: into memory, and into a file of its own once pieces hold much memory.
pub struct PieceWriter {
    element: Element,
    width: Option<usize>,
    path: PathBuf,
    /// What is not in the file: full parts, and one that is filled.
    full: Parts,
    memory: Slab,
    file: Option<File>,
    limit: u64,
    bytes: u64,
    hasher: blake3::Hasher,
}

impl PieceWriter {
    /// `path` is used when all pieces together hold more than `limit` bytes in memory, and this one more than a part.
    pub fn new(element: Element, width: Option<usize>, path: PathBuf, limit: u64) -> Self {
        let hasher = blake3::Hasher::new();
        Self {
            element,
            width,
            path,
            full: Parts::default(),
            memory: Slab::default(),
            file: None,
            limit,
            bytes: 0,
            hasher,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn put<T: Number>(&mut self, numbers: &[T]) -> io::Result<()> {
        debug_assert_eq!(self.element, T::ELEMENT);
        self.put_bytes(bytes_of(numbers))
    }

    /// Parts have the size of a slab, so that none is moved as it grows, but for the first, which may stay small.
    pub fn put_bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.memory.capacity() < SLAB && self.memory.len() + bytes.len() > SLAB / 2 {
                let small = std::mem::replace(&mut self.memory, Slab::with_room_for(SLAB));
                self.memory.extend_from_slice(&small);
            }
            let (fits, rest) = bytes.split_at(bytes.len().min(SLAB - self.memory.len()));
            self.memory.extend_from_slice(fits);
            bytes = rest;
            if self.memory.len() == SLAB {
                self.full.push(std::mem::take(&mut self.memory));
                if HELD.load(Ordering::Relaxed) > self.limit {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut options = File::options();
            self.file = Some(options.read(true).write(true).create(true).truncate(true).open(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        self.full.push(std::mem::take(&mut self.memory));
        for part in &std::mem::take(&mut self.full).0 {
            self.hasher.update(part);
            file.write_all(part)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<Piece> {
        let data = if self.file.is_some() {
            self.flush()?;
            let file = self.file.take().expect("it is there");
            Data::File { file: Arc::new(file), path: std::mem::take(&mut self.path) }
        } else {
            self.full.push(std::mem::take(&mut self.memory));
            for part in &self.full.0 {
                self.hasher.update(part);
            }
            Data::Memory(Arc::new(std::mem::take(&mut self.full)))
        };
        let hash = Some(self.hasher.finalize());
        Ok(Piece { element: self.element, width: self.width, bytes: self.bytes, data, hash })
    }
}

impl Drop for PieceWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A scratch file that no one kept is removed with its piece.
impl Drop for Piece {
    fn drop(&mut self) {
        if let Data::File { file, path } = &self.data
            && Arc::strong_count(file) == 1
            && path.extension().is_some_and(|extension| extension == "tmp")
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_from_memory_and_from_files() {
        let folder = tempfile::tempdir().unwrap();
        for (count, limit) in [(0u32, 1 << 20), (10, 1 << 20), (1_000_000, 1 << 30), (3_000_000, 1 << 20)] {
            let path = folder.path().join("a.tmp");
            let mut writer = PieceWriter::new(Element::U32, None, path.clone(), limit);
            let numbers: Vec<u32> = (0..count).collect();
            numbers.chunks(299_983).for_each(|some| writer.put(some).unwrap());
            let mut piece = writer.finish().unwrap();
            assert_eq!((piece.len(), piece.in_memory()), (count as usize, count < 3_000_000));
            assert_eq!(piece.load::<u32>().unwrap(), numbers);
            for some in [0..0, 3..7, 200_000..700_000].into_iter().filter(|some| some.end <= piece.len()) {
                assert_eq!(piece.load_some::<u32>(some.clone()).unwrap(), numbers[some]);
            }
            let kept = folder.path().join("kept");
            piece.keep_as(&kept).unwrap();
            let hash = piece.hash().unwrap().to_hex();
            drop(piece);
            assert!(!path.exists());
            let open = |bytes: u64, hash: &str| Piece::open(&kept, Element::U32, None, bytes, hash);
            let again = open(u64::from(count) * 4, &hash).unwrap();
            assert_eq!((again.load::<u32>().unwrap(), again.hash().unwrap().to_hex()), (numbers, hash));
            assert!(open(1, &hash).is_err() && open(u64::from(count) * 4, "00").is_err());
        }
    }
}
