//! Batches of a source, read by all threads of the pool.
//!
//! Decided here: how the files of a source are cut into tasks, and whose error is told. A task is what one thread does
//! from its first row to its last: a row group of Parquet (or a part of a large one), a block of lines. Tasks are
//! handed out in the order of files and rows, so that the rows before each of them are known: from footers, or because
//! one thread at a time cuts text into blocks (which it also decompresses) while the others parse.
//!
//! Memory: a batch and a page of each column per thread, or for text a block of 4 MiB and its columns.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use std::vec::IntoIter;

use rayon::prelude::*;

use crate::column::{Column, Want};
use crate::delimited;
use crate::error::{Result, TableError};
use crate::format::Format;
use crate::hdf5_in::Hdf5File;
use crate::json_lines;
use crate::parquet_in::{ParquetFile, Piece};
use crate::source::{Batch, Part, Source, Wanted};

/// Rows of one file, as a reader gives them; `known` and `first_row` are as in [`Batch`].
pub struct Rows {
    pub columns: Vec<Column>,
    pub known: Vec<usize>,
    pub rows: usize,
    pub first_row: u64,
}

pub type Sink<'a, E> = dyn FnMut(Rows) -> Result<(), E> + Send + 'a;

impl Source {
    /// Streams the wanted columns in batches of at most `rows` rows, on the current rayon pool. `each` is called
    /// concurrently, with batches in any order. What is returned is how many rows each file has.
    ///
    /// # Errors
    /// On a mistake, in the table or of `each`, that of the earliest batch in the order of files and rows, whatever the
    /// threads did.
    pub fn stream<E: From<TableError> + Send>(
        &self,
        columns: &[(&str, Want)],
        rows: usize,
        each: impl Fn(Batch<'_>) -> Result<(), E> + Sync,
    ) -> Result<Vec<Part>, E> {
        self.stream_with(columns, rows, || (), |_, batch| each(batch))
    }

    /// As [`Source::stream`], with a state for each run of neighbouring batches that one thread reads in order. Within
    /// a run dictionaries grow: [`Batch::known`] says how many values an earlier batch of the run has shown already,
    /// so that what a state keeps of them need not be worked out again.
    pub fn stream_with<S: Send, E: From<TableError> + Send>(
        &self,
        columns: &[(&str, Want)],
        rows: usize,
        state: impl Fn() -> S + Sync,
        each: impl Fn(&mut S, Batch<'_>) -> Result<(), E> + Sync,
    ) -> Result<Vec<Part>, E> {
        let wanted = self.wanted(columns)?;
        let mut tasks = Tasks::new(self, &wanted, rows.max(1));
        let earliest = Earliest::default();
        let ordered = (0u64..).zip(tasks.by_ref()).take_while(|_| !earliest.any());
        ordered.par_bridge().for_each(|(order, task)| {
            if earliest.is_before(order) {
                return;
            }
            let mut state = state();
            let done = task.map_err(E::from).and_then(|task| {
                let (file, before) = (self.file(task.file).path.as_path(), task.before);
                task.scan(&wanted, rows.max(1), &mut |part: Rows| each(&mut state, part.of(file, before)))
            });
            if let Err(error) = done {
                earliest.put(order, error);
            }
        });
        match earliest.into_error() {
            Some(error) => Err(error),
            None => Ok(tasks.parts),
        }
    }

    /// Streams the wanted columns in order, on this thread, in batches of at most `rows` rows.
    pub fn for_each_batch<E: From<TableError> + Send>(
        &self,
        columns: &[(&str, Want)],
        rows: usize,
        mut each: impl FnMut(Batch<'_>) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let wanted = self.wanted(columns)?;
        for task in Tasks::new(self, &wanted, rows.max(1)) {
            let task = task?;
            let (file, before) = (self.file(task.file).path.as_path(), task.before);
            task.scan(&wanted, rows.max(1), &mut |part: Rows| each(part.of(file, before)))?;
        }
        Ok(())
    }
}

impl Rows {
    fn of(self, file: &Path, before: u64) -> Batch<'_> {
        let Rows { columns, known, rows, first_row } = self;
        Batch { columns, known, rows, file, first_row, first_global_row: before + first_row }
    }
}

/// The error of the task that comes first in the source.
struct Earliest<E> {
    order: AtomicU64,
    error: Mutex<Option<(u64, E)>>,
}

impl<E> Default for Earliest<E> {
    fn default() -> Self {
        Self { order: AtomicU64::new(u64::MAX), error: Mutex::new(None) }
    }
}

impl<E> Earliest<E> {
    fn any(&self) -> bool {
        self.order.load(Ordering::Relaxed) != u64::MAX
    }

    fn is_before(&self, order: u64) -> bool {
        self.order.load(Ordering::Relaxed) < order
    }

    fn put(&self, order: u64, error: E) {
        self.order.fetch_min(order, Ordering::Relaxed);
        let mut kept = self.error.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if kept.as_ref().is_none_or(|(earlier, _)| order < *earlier) {
            *kept = Some((order, error));
        }
    }

    fn into_error(self) -> Option<E> {
        let kept = self.error.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        kept.map(|(_, error)| error)
    }
}

/// What one thread reads from its first row to its last.
struct Task<'a> {
    file: usize,
    /// Rows of the files before.
    before: u64,
    work: Work<'a>,
}

enum Work<'a> {
    Groups(Arc<ParquetFile<'a>>, Piece),
    Lines(delimited::Block<'a>),
    Objects(json_lines::Block<'a>),
    Slice(Arc<Hdf5File<'a>>, Range<u64>),
}

impl Task<'_> {
    fn scan<E: From<TableError> + Send>(
        self,
        wanted: &[Wanted],
        rows: usize,
        sink: &mut Sink<'_, E>,
    ) -> Result<(), E> {
        match self.work {
            Work::Groups(file, piece) => file.scan(piece, wanted, rows, sink),
            Work::Lines(block) => sink(block.read(wanted)?),
            Work::Objects(block) => sink(block.read(wanted)?),
            Work::Slice(file, slice) => file.scan(slice, wanted, rows, sink),
        }
    }
}

/// The tasks of a source, in order.
struct Tasks<'a> {
    source: &'a Source,
    wanted: &'a [Wanted],
    batch_rows: usize,
    open: Option<Open<'a>>,
    before: u64,
    parts: Vec<Part>,
    failed: bool,
}

/// The file that tasks are taken from.
enum Open<'a> {
    Parquet(Arc<ParquetFile<'a>>, IntoIter<Piece>),
    Delimited(delimited::Blocks<'a>),
    JsonLines(json_lines::Blocks<'a>),
    Hdf5(Arc<Hdf5File<'a>>, IntoIter<Range<u64>>),
}

impl<'a> Tasks<'a> {
    fn new(source: &'a Source, wanted: &'a [Wanted], batch_rows: usize) -> Self {
        Self { source, wanted, batch_rows, open: None, before: 0, parts: Vec::new(), failed: false }
    }

    fn advance(&mut self) -> Result<Option<Task<'a>>> {
        loop {
            let file = self.parts.len();
            let open = match &mut self.open {
                Some(open) => open,
                None if file == self.source.files().len() => return Ok(None),
                None => self.open.insert(Open::file(self.source, file, self.wanted, self.batch_rows)?),
            };
            match open.next()? {
                Some(work) => return Ok(Some(Task { file, before: self.before, work })),
                None => self.close(),
            }
        }
    }

    fn close(&mut self) {
        let rows = self.open.take().map_or(0, |open| open.rows());
        let file = self.source.file(self.parts.len()).path.clone();
        self.parts.push(Part { file, rows });
        self.before += rows;
    }
}

impl<'a> Iterator for Tasks<'a> {
    type Item = Result<Task<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let task = self.advance().transpose();
        self.failed = matches!(task, Some(Err(_)));
        task
    }
}

impl<'a> Open<'a> {
    fn file(source: &'a Source, file: usize, wanted: &'a [Wanted], batch_rows: usize) -> Result<Self> {
        let file = source.file(file);
        Ok(match &file.format {
            Format::Delimited(dialect) => {
                Open::Delimited(delimited::Blocks::open(file, *dialect, wanted, batch_rows)?)
            }
            Format::JsonLines => Open::JsonLines(json_lines::Blocks::open(file, batch_rows)?),
            Format::Parquet => {
                let file = ParquetFile::open(&file.path)?;
                let pieces = file.pieces(wanted)?;
                Open::Parquet(Arc::new(file), pieces.into_iter())
            }
            Format::Hdf5 { group } => {
                let file = Hdf5File::open(&file.path, group.as_deref())?;
                let slices = file.slices(wanted, batch_rows)?;
                Open::Hdf5(Arc::new(file), slices.into_iter())
            }
        })
    }

    fn next(&mut self) -> Result<Option<Work<'a>>> {
        Ok(match self {
            Open::Delimited(blocks) => blocks.next()?.map(Work::Lines),
            Open::JsonLines(blocks) => blocks.next()?.map(Work::Objects),
            Open::Parquet(file, pieces) => pieces.next().map(|piece| Work::Groups(file.clone(), piece)),
            Open::Hdf5(file, slices) => slices.next().map(|slice| Work::Slice(file.clone(), slice)),
        })
    }

    /// Rows of the whole file, once all tasks are taken.
    fn rows(&self) -> u64 {
        match self {
            Open::Delimited(blocks) => blocks.rows(),
            Open::JsonLines(blocks) => blocks.rows(),
            Open::Parquet(file, _) => file.rows(),
            Open::Hdf5(file, _) => file.rows(),
        }
    }
}
