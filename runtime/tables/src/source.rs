//! A source: the files of one table, read as one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rayon::prelude::*;

use crate::builder::{Builder, concat};
use crate::column::{Column, ColumnInfo, ColumnKind, Header, Want};
use crate::delimited;
use crate::discover::discover;
use crate::error::{Problem, Result, TableError};
use crate::fingerprint::Fingerprint;
use crate::format::{Format, InputFile};
use crate::hdf5_in::Hdf5File;
use crate::json_lines;
use crate::parquet_in::ParquetFile;
use crate::parse::join_kinds;
use crate::sample::{Reading, Stated};
use crate::suggest::closest;

const SAMPLE_ROWS: u64 = 1000;
const SAMPLE_ROWS_OF_OTHERS: u64 = 200;
/// Objects have no line that names the columns: their keys are looked for further down.
const SAMPLE_OBJECTS: u64 = 20_000;
const SAMPLE_OBJECTS_OF_OTHERS: u64 = 2000;
const SAMPLED_OTHERS: usize = 8;
/// Rows of a batch, where whole columns are wanted.
const BATCH_ROWS: usize = 1 << 17;

/// The files of one table, in reading order.
#[derive(Clone, Debug)]
pub struct Source {
    files: Vec<InputFile>,
    header: Arc<OnceLock<Header>>,
    stated: Arc<Stated>,
}

/// Whole columns, and how many rows came from each file.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub columns: Vec<Column>,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub file: PathBuf,
    pub rows: u64,
}

/// Some rows of one file. `first_row` counts within the file, `first_global_row` within the source; both from 0.
///
/// Texts are numbered in the batch, or in a run of batches (see [`Source::stream_with`]). Every value of a dictionary is
/// that of a row of this or an earlier batch of the run; a value may occur twice, where looking texts up would not pay.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    pub columns: Vec<Column>,
    /// For each column of texts, how many of its values (the first ones) the batch before it in the run had, with the
    /// same codes. Zero for other columns, and where the dictionary is begun anew.
    pub known: Vec<usize>,
    pub rows: usize,
    pub file: &'a Path,
    pub first_row: u64,
    pub first_global_row: u64,
}

/// Where a row stands: row and line count from 1; the line is known for text files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub row: u64,
    pub line: Option<u64>,
}

/// A column to read, its kind settled.
pub struct Wanted {
    pub name: String,
    pub kind: ColumnKind,
    sampled: bool,
    reading: Reading,
}

impl Wanted {
    /// A builder for a batch of the column's cells.
    pub fn builder(&self) -> Builder {
        Builder::of_batch(&self.name, &self.kind).with(self.reading.clone())
    }

    /// A cell that does not fit a kind which nobody asked for is said to differ from the sample.
    pub fn explain(&self, problem: Problem) -> Problem {
        match problem {
            Problem::NotA { found, .. } | Problem::Overflow { found } if self.sampled => {
                Problem::NotAsSampled { kind: self.kind.to_string(), found }
            }
            other => other,
        }
    }
}

impl Source {
    /// Finds the files of `patterns` (paths, folders, globs; relative ones below `base`), whose extensions say what they
    /// are.
    pub fn open<P: AsRef<Path>>(patterns: &[P], base: &Path) -> Result<Self> {
        Self::open_as(patterns, base, None)
    }

    /// As [`Source::open`], where the user may have stated the format of all files.
    pub fn open_as<P: AsRef<Path>>(patterns: &[P], base: &Path, stated: Option<&Format>) -> Result<Self> {
        let files = discover(patterns, base, stated)?;
        Ok(Self { files, header: Arc::default(), stated: Arc::default() })
    }

    /// The same source, of whose columns the user has said something.
    pub fn stating(self, stated: Stated) -> Self {
        Self { header: Arc::default(), stated: Arc::new(stated), ..self }
    }

    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    pub fn fingerprint(&self) -> Result<Fingerprint> {
        Fingerprint::of(&self.files().collect::<Vec<_>>())
    }

    /// Columns and their kinds, without reading the data; see [`Header`] for what is sampled. Looked up once.
    pub fn header(&self) -> Result<Header> {
        if let Some(header) = self.header.get() {
            return Ok(header.clone());
        }
        let header = self.look_all()?;
        Ok(self.header.get_or_init(|| header).clone())
    }

    fn look_all(&self) -> Result<Header> {
        let looked_at = self.looked_at();
        let columns: Vec<(Vec<ColumnInfo>, Option<u64>)> =
            looked_at.par_iter().map(|&index| self.look(index)).collect::<Result<_>>()?;
        let rows = columns.iter().map(|(_, rows)| *rows).sum();
        let mut headers =
            looked_at.iter().zip(columns).map(|(&index, (columns, rows))| (index, columns, rows));
        let Some((first, mut joined, first_rows)) = headers.next() else {
            return Ok(Header {
                columns: Vec::new(),
                rows: Some(0),
                files: Vec::new(),
                sampled: false,
                names_of: None,
            });
        };
        let mut seen = first_rows.unwrap_or(0);
        for (index, columns, rows) in headers {
            self.join(first, &mut joined, seen, index, columns, rows.unwrap_or(0))?;
            seen += rows.unwrap_or(0);
        }
        self.add_unseen(&mut joined)?;
        let sampled = self.files[first].format.is_text();
        let names_of = joined.iter().find_map(|column| column.evidence.as_ref()?.more_than);
        let files = self.files().map(Path::to_path_buf).collect();
        Ok(Header { columns: joined, rows, files, sampled, names_of })
    }

    /// All files that describe themselves; the first text file and some others, evenly spread.
    fn looked_at(&self) -> Vec<usize> {
        let n = self.files.len();
        match self.files.first() {
            Some(first) if first.format.is_text() && n > SAMPLED_OTHERS + 1 => {
                (0..=SAMPLED_OTHERS).map(|i| i * (n - 1) / SAMPLED_OTHERS).collect()
            }
            _ => (0..n).collect(),
        }
    }

    fn look(&self, index: usize) -> Result<(Vec<ColumnInfo>, Option<u64>)> {
        let file = &self.files[index];
        let (limit, objects) = match index {
            0 => (SAMPLE_ROWS, SAMPLE_OBJECTS),
            _ => (SAMPLE_ROWS_OF_OTHERS, SAMPLE_OBJECTS_OF_OTHERS),
        };
        let (mut columns, rows) = match &file.format {
            Format::Delimited(dialect) => (delimited::sample(file, *dialect, limit, &self.stated)?, None),
            Format::JsonLines => (json_lines::sample(file, objects, &self.stated)?, None),
            Format::Parquet => {
                let file = ParquetFile::open(&file.path)?;
                (file.columns(), Some(file.rows()))
            }
            Format::Hdf5 { group } => {
                let file = Hdf5File::open(&file.path, group.as_deref())?;
                (file.columns(), Some(file.rows()))
            }
        };
        self.stated.settle(&mut columns);
        Ok((columns, rows))
    }

    /// Objects may have a key that is stated and that no sample has shown; other files have all their columns in sight.
    fn add_unseen(&self, columns: &mut Vec<ColumnInfo>) -> Result<()> {
        let unseen = self.stated.unseen(columns);
        let Some((column, file)) = unseen.first().zip(self.files.first()) else { return Ok(()) };
        if file.format != Format::JsonLines {
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            return Err(no_such_column(&file.path, &column.name, &names));
        }
        columns.extend(unseen);
        Ok(())
    }

    /// Every file must have the columns of the first, of kinds that fit. Objects may lack any key.
    fn join(
        &self,
        first: usize,
        joined: &mut Vec<ColumnInfo>,
        seen: u64,
        index: usize,
        columns: Vec<ColumnInfo>,
        rows: u64,
    ) -> Result<()> {
        let path = &self.files[index].path;
        let objects = self.files[first].format == Format::JsonLines;
        if objects {
            let new = |column: &&ColumnInfo| joined.iter().all(|known| known.name != column.name);
            let new: Vec<ColumnInfo> = columns.iter().filter(new).cloned().collect();
            joined.extend(new.into_iter().map(|column| ColumnInfo {
                missing: None,
                nullable: true,
                ..column
            }));
        }
        for known in joined.iter_mut() {
            let Some(other) = columns.iter().find(|column| column.name == known.name) else {
                if objects {
                    (known.missing, known.nullable) = (None, true);
                    continue;
                }
                let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
                return Err(no_such_column(path, &known.name, &names));
            };
            if let (Some(evidence), Some(more)) = (&mut known.evidence, &other.evidence) {
                evidence.join(more);
            }
            known.missing = weighted(known.missing, seen, other.missing, rows);
            known.nullable |= other.nullable;
            let text = self.files[first].format.is_text();
            known.kind = fit(known, other, text).ok_or_else(|| {
                let first = self.files[first].path.clone();
                let (first_kind, kind) = (known.type_name.clone(), other.type_name.clone());
                TableError::new(path, Problem::MixedKinds { first, first_kind, kind }).in_column(&known.name)
            })?;
            if known.type_name == "empty" || known.type_name == "null" {
                known.type_name.clone_from(&other.type_name);
            }
        }
        Ok(())
    }

    /// Reads whole columns, in the order asked for. The result does not depend on how many threads read them.
    pub fn read(&self, columns: &[(&str, Want)]) -> Result<Table> {
        let pieces = Mutex::new(Vec::new());
        let keep = |batch: Batch<'_>| -> Result<()> {
            lock(&pieces).push((batch.first_global_row, batch.columns));
            Ok(())
        };
        let parts = self.stream(columns, BATCH_ROWS, keep)?;
        let mut pieces = std::mem::take(&mut *lock(&pieces));
        pieces.sort_unstable_by_key(|(first_row, _)| *first_row);
        let pieces = pieces.into_iter().map(|(_, columns)| columns).collect();
        Ok(Table { columns: join_pieces(pieces, &self.wanted(columns)?, &parts)?, parts })
    }

    /// The number of rows, if the footers of the files say it.
    pub fn rows(&self) -> Result<Option<u64>> {
        Ok(self.header()?.rows)
    }

    pub(crate) fn file(&self, file: usize) -> &InputFile {
        &self.files[file]
    }

    pub(crate) fn wanted(&self, columns: &[(&str, Want)]) -> Result<Vec<Wanted>> {
        let header = self.header()?;
        let names: Vec<String> = header.names().map(str::to_string).collect();
        let settle = |&(name, want): &(&str, Want)| {
            let own = header.column(name).ok_or_else(|| match self.files.first() {
                Some(file) => no_such_column(&file.path, name, &names),
                None => no_such_column(Path::new(""), name, &names),
            })?;
            let is_number = own.kind != ColumnKind::Text;
            let sampled = own.evidence.is_some() && want == Want::Auto && is_number;
            let reading = Reading::of(&own.kind, want, header.sampled, &self.stated);
            Ok(Wanted { name: name.to_string(), kind: want.kind(&own.kind), sampled, reading })
        };
        columns.iter().map(settle).collect()
    }

    /// The row (from 0) of one of the files, and its line.
    pub fn place_in(&self, file: &Path, row: u64) -> Place {
        let input = self.files.iter().find(|input| input.path == file);
        let line = input.and_then(|input| match &input.format {
            Format::Delimited(dialect) => delimited::line_of(input, *dialect, row + 1),
            Format::JsonLines => json_lines::line_of(input, row + 1),
            Format::Parquet | Format::Hdf5 { .. } => None,
        });
        Place { file: file.to_path_buf(), row: row + 1, line }
    }

    /// The file, row and line of a row of the table (from 0).
    pub fn locate(&self, parts: &[Part], row: u64) -> Place {
        let mut before = 0;
        for part in parts {
            if row < before + part.rows {
                return self.place_in(&part.file, row - before);
            }
            before += part.rows;
        }
        let file = self.files().last().map(Path::to_path_buf).unwrap_or_default();
        Place { file, row: row + 1, line: None }
    }
}

impl Table {
    pub fn n_rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows as usize).sum()
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, row {}", self.file.display(), self.row)?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join_pieces(pieces: Vec<Vec<Column>>, wanted: &[Wanted], parts: &[Part]) -> Result<Vec<Column>> {
    let mut by_column: Vec<Vec<Column>> = wanted.iter().map(|_| Vec::new()).collect();
    for piece in pieces {
        for (all, column) in by_column.iter_mut().zip(piece) {
            all.push(column);
        }
    }
    let file = parts.first().map(|part| part.file.clone()).unwrap_or_default();
    let join = |(parts, want): (Vec<Column>, &Wanted)| {
        concat(parts, &want.name, &want.kind)
            .map_err(|problem| TableError::new(&file, problem).in_column(&want.name))
    };
    by_column.into_par_iter().zip(wanted).map(join).collect()
}

fn weighted(a: Option<f64>, a_rows: u64, b: Option<f64>, b_rows: u64) -> Option<f64> {
    match (a, b, a_rows + b_rows) {
        (Some(a), Some(b), 0) => Some(a.max(b)),
        (Some(a), Some(b), all) => Some((a * a_rows as f64 + b * b_rows as f64) / all as f64),
        _ => None,
    }
}

/// One kind for both, or none. Guessed kinds of text files fall back to text; exact kinds do not.
fn fit(a: &ColumnInfo, b: &ColumnInfo, guessed: bool) -> Option<ColumnKind> {
    let empty = |info: &ColumnInfo| info.type_name == "null" || info.type_name == "empty";
    if empty(a) || a.kind == b.kind {
        return Some(b.kind.clone());
    }
    if empty(b) {
        return Some(a.kind.clone());
    }
    match join_kinds(a.kind.clone(), b.kind.clone()) {
        ColumnKind::Text if !guessed => None,
        kind => Some(kind),
    }
}

pub fn no_such_column(path: &Path, name: &str, available: &[String]) -> TableError {
    let suggestion = closest(name, available.iter().map(String::as_str)).map(str::to_string);
    let problem = Problem::NoSuchColumn { name: name.to_string(), suggestion, available: available.to_vec() };
    TableError::new(path, problem)
}
