//! Comma- and tab-separated tables: the header line, a sample to guess kinds from, and the cells.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::builder::Builder;
use crate::column::ColumnInfo;
use crate::error::{Problem, Result, TableError};
use crate::format::{Dialect, InputFile};
use crate::lines::{Chunk, Lines};
use crate::records::{Fault, Record, Records};
use crate::sample::{Sampled, Stated, place};
use crate::source::Wanted;
use crate::stream::Rows;

/// Records below a header line, each as wide as it.
struct Reader<'a, R> {
    path: &'a Path,
    names: &'a [String],
    records: Records<R>,
    row: u64,
}

/// The names in the first record, or as many as it has fields.
fn names<R: Read>(path: &Path, header: bool, records: &mut Records<R>) -> Result<Vec<String>> {
    let names: Vec<String> = match records.next() {
        Ok(Some(record)) if !header => (1..=record.len()).map(|i| format!("c{i}")).collect(),
        Ok(Some(record)) if !record.is_blank() => {
            (0..record.len()).map(|i| record.field(i).0.trim().to_string()).collect()
        }
        Ok(None) if !header => return Err(TableError::new(path, Problem::NoRows)),
        Ok(_) => return Err(TableError::new(path, Problem::NoHeader)),
        Err(fault) => return Err(located(path, &[], fault, None)),
    };
    refuse_doubles(path, &names)?;
    Ok(names)
}

impl<R: Read> Reader<'_, R> {
    /// The next row as wide as the header. Blank lines are skipped unless the table has a single column.
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        let (path, names, row) = (self.path, self.names, &mut self.row);
        loop {
            *row += 1;
            let line = match self.records.next() {
                Ok(None) => return Ok(None),
                Err(fault) => return Err(located(path, names, fault, Some(*row))),
                Ok(Some(record)) if record.is_blank() && names.len() > 1 => {
                    *row -= 1;
                    continue;
                }
                Ok(Some(record)) if record.len() == names.len() => break,
                Ok(Some(record)) => (record.line, record.len()),
            };
            let problem = Problem::Ragged { found: line.1, expected: names.len() };
            return Err(TableError::new(path, problem).at_row(*row).at_line(line.0));
        }
        Ok(Some(self.records.current()))
    }
}

fn refuse_doubles(path: &Path, names: &[String]) -> Result<()> {
    for (index, name) in names.iter().enumerate() {
        if !name.is_empty() && names[..index].contains(name) {
            return Err(TableError::new(path, Problem::DuplicateColumn { name: name.clone() }).at_line(1));
        }
    }
    Ok(())
}

fn located(path: &Path, names: &[String], fault: Fault, row: Option<u64>) -> TableError {
    let mut error = TableError::new(path, fault.problem).at_line(fault.line);
    error.row = row;
    error.column = fault.field.and_then(|field| names.get(field)).cloned();
    error
}

/// Kinds and shares of missing cells as the first `limit` rows show them.
pub fn sample(file: &InputFile, dialect: Dialect, limit: u64, stated: &Stated) -> Result<Vec<ColumnInfo>> {
    let (names, records) = open(file, dialect)?;
    let mut reader = Reader { path: &file.path, names: &names, records, row: 0 };
    let mut columns: Vec<Sampled> = names.iter().map(Sampled::new).collect();
    let mut rows = 0;
    while rows < limit {
        let Some(record) = reader.next()? else { break };
        rows += 1;
        for (index, column) in columns.iter_mut().enumerate() {
            let (cell, quoted) = record.field(index);
            if (quoted || !cell.is_empty()) && !stated.is_missing(&cell) {
                column.see_text(&cell, || place(&file.path, rows, record.line));
            }
        }
    }
    Ok(columns.into_iter().map(|column| column.info(rows, None)).collect())
}

/// Records of a file, compressed or not.
type AnyRecords = Records<Box<dyn Read + Send>>;

/// The names of the columns, and the records of the rows.
fn open(file: &InputFile, dialect: Dialect) -> Result<(Vec<String>, AnyRecords)> {
    let mut records = Records::new(file.text()?, dialect);
    let names = names(&file.path, dialect.header, &mut records)?;
    let records = if dialect.header { records } else { Records::new(file.text()?, dialect) };
    Ok((names, records))
}

/// The rows of a file, cut into blocks: reading and cutting go on here, parsing in [`Block::read`].
pub struct Blocks<'a> {
    path: &'a Path,
    dialect: Dialect,
    names: Arc<[String]>,
    fields: Arc<[usize]>,
    lines: Lines<Box<dyn Read + Send>>,
    batch_rows: usize,
    rows: u64,
}

/// Some lines of a file, not yet parsed.
pub struct Block<'a> {
    path: &'a Path,
    dialect: Dialect,
    names: Arc<[String]>,
    fields: Arc<[usize]>,
    chunk: Chunk,
    first_row: u64,
}

impl<'a> Blocks<'a> {
    pub fn open(file: &'a InputFile, dialect: Dialect, wanted: &[Wanted], batch_rows: usize) -> Result<Self> {
        let path = file.path.as_path();
        let mut lines = Lines::new(file.text()?, Some(dialect));
        let first = lines.peek().map_err(|fault| located(path, &[], fault, None))?.to_vec();
        let names = names(path, dialect.header, &mut Records::of_block(first, dialect, 1))?;
        if dialect.header {
            lines.next(1, false).map_err(|fault| located(path, &[], fault, None))?;
        }
        let fields = positions(path, &names, wanted)?;
        Ok(Self { path, dialect, names: names.into(), fields: fields.into(), lines, batch_rows, rows: 0 })
    }

    pub fn next(&mut self) -> Result<Option<Block<'a>>> {
        let skip_blank = self.names.len() > 1;
        let chunk = self.lines.next(self.batch_rows, skip_blank);
        let chunk = chunk.map_err(|fault| located(self.path, &self.names, fault, Some(self.rows + 1)))?;
        let first_row = self.rows;
        self.rows += chunk.as_ref().map_or(0, |chunk| chunk.records);
        let (path, dialect) = (self.path, self.dialect);
        let (names, fields) = (self.names.clone(), self.fields.clone());
        Ok(chunk.map(|chunk| Block { path, dialect, names, fields, chunk, first_row }))
    }

    /// Rows given so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Block<'_> {
    pub fn read(self, wanted: &[Wanted]) -> Result<Rows> {
        let (path, first_row) = (self.path, self.first_row);
        let records = Records::of_block(self.chunk.bytes, self.dialect, self.chunk.line);
        let mut reader = Reader { path, names: &self.names, records, row: first_row };
        let mut builders: Vec<Builder> = wanted.iter().map(Wanted::builder).collect();
        while let Some(record) = reader.next()? {
            let (line, row) = (record.line, builders.first().map_or(0, Builder::len) as u64);
            for ((builder, want), &field) in builders.iter_mut().zip(wanted).zip(&*self.fields) {
                let (cell, quoted) = record.field(field);
                if let Err(problem) = builder.push_cell(&cell, quoted) {
                    let error = TableError::new(path, want.explain(problem)).at_line(line);
                    return Err(error.in_column(&want.name).at_row(first_row + row + 1));
                }
            }
        }
        let rows = self.chunk.records as usize;
        debug_assert!(builders.iter().all(|builder| builder.len() == rows));
        let columns = builders.iter_mut().map(Builder::take).collect();
        Ok(Rows { columns, known: vec![0; wanted.len()], rows, first_row })
    }
}

fn positions(path: &Path, names: &[String], wanted: &[Wanted]) -> Result<Vec<usize>> {
    let find = |want: &Wanted| {
        let at = names.iter().position(|name| *name == want.name);
        at.ok_or_else(|| crate::source::no_such_column(path, &want.name, names))
    };
    wanted.iter().map(find).collect()
}

/// The line on which row `row` (from 1) begins.
pub fn line_of(file: &InputFile, dialect: Dialect, row: u64) -> Option<u64> {
    let (names, records) = open(file, dialect).ok()?;
    let mut reader = Reader { path: &file.path, names: &names, records, row: 0 };
    for _ in 1..row {
        reader.next().ok()??;
    }
    Some(reader.next().ok()??.line)
}
