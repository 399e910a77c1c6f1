//! Comma- and tab-separated tables: the header line, a sample to guess kinds from, and the cells.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::builder::Builder;
use crate::column::{Column, ColumnInfo, ColumnKind};
use crate::error::{Problem, Result, TableError};
use crate::parse::{guess, is_missing_word, join_kinds};
use crate::records::{Fault, Record, Records};
use crate::source::Wanted;

type Input = Records<Box<dyn Read + Send>>;

/// An open file whose header line has been read.
struct Reader<'a> {
    path: &'a Path,
    names: Vec<String>,
    records: Input,
    row: u64,
}

impl<'a> Reader<'a> {
    fn open(path: &'a Path, delimiter: u8, gzip: bool) -> Result<Self> {
        let file = File::open(path).map_err(|error| TableError::io(path, error))?;
        let input: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut records = Records::new(input, delimiter);
        let names: Vec<String> = match records.next() {
            Ok(Some(record)) if !record.is_blank() => {
                (0..record.len()).map(|i| record.field(i).0.trim().to_string()).collect()
            }
            Ok(_) => return Err(TableError::new(path, Problem::NoHeader)),
            Err(fault) => return Err(located(path, &[], fault, None)),
        };
        refuse_doubles(path, &names)?;
        Ok(Self { path, names, records, row: 0 })
    }

    /// The next row as wide as the header. Blank lines are skipped unless the table has a single column.
    fn next(&mut self) -> Result<Option<Record<'_>>> {
        let (path, names, row) = (self.path, &self.names, &mut self.row);
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
pub fn sample(path: &Path, delimiter: u8, gzip: bool, limit: u64) -> Result<Vec<ColumnInfo>> {
    let mut reader = Reader::open(path, delimiter, gzip)?;
    let mut kinds: Vec<Option<ColumnKind>> = vec![None; reader.names.len()];
    let mut missing = vec![0u64; reader.names.len()];
    let mut rows = 0;
    while rows < limit {
        let Some(record) = reader.next()? else { break };
        rows += 1;
        for (index, kind) in kinds.iter_mut().enumerate() {
            let (cell, quoted) = record.field(index);
            if !quoted && is_missing_word(&cell) {
                missing[index] += 1;
                continue;
            }
            let cell_kind = guess(&cell);
            *kind = Some(kind.take().map_or(cell_kind.clone(), |known| join_kinds(known, cell_kind)));
        }
    }
    let columns = reader.names.iter().zip(kinds).zip(missing);
    Ok(columns.map(|((name, kind), missing)| info(name, kind, missing, rows)).collect())
}

fn info(name: &str, kind: Option<ColumnKind>, missing: u64, rows: u64) -> ColumnInfo {
    let known = kind.is_some();
    let kind = kind.unwrap_or(ColumnKind::Text);
    ColumnInfo {
        name: name.to_string(),
        type_name: if known { kind.to_string() } else { "empty".into() },
        kind,
        nullable: missing > 0 || !known,
        missing: (rows > 0).then(|| missing as f64 / rows as f64),
    }
}

/// Gives the wanted columns in batches of `batch_rows` rows, each with the number of its first row (from 0).
pub fn scan<E: From<TableError>>(
    path: &Path,
    (delimiter, gzip): (u8, bool),
    wanted: &[Wanted],
    batch_rows: usize,
    sink: &mut dyn FnMut(Vec<Column>, u64) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader::open(path, delimiter, gzip)?;
    let fields = positions(path, &reader.names, wanted)?;
    let mut builders: Vec<Builder> = wanted.iter().map(|w| Builder::new(&w.name, &w.kind)).collect();
    let (mut first, mut rows) = (0, 0);
    while let Some(record) = reader.next()? {
        let line = record.line;
        for ((builder, want), &field) in builders.iter_mut().zip(wanted).zip(&fields) {
            let (cell, quoted) = record.field(field);
            if let Err(problem) = builder.push_cell(&cell, quoted) {
                let error = TableError::new(path, want.explain(problem)).at_line(line).in_column(&want.name);
                return Err(error.at_row(first + rows as u64 + 1).into());
            }
        }
        rows += 1;
        if rows == batch_rows {
            sink(builders.iter_mut().map(Builder::take).collect(), first)?;
            first += rows as u64;
            rows = 0;
        }
    }
    if rows > 0 {
        sink(builders.iter_mut().map(Builder::take).collect(), first)?;
    }
    Ok(())
}

fn positions(path: &Path, names: &[String], wanted: &[Wanted]) -> Result<Vec<usize>> {
    let find = |want: &Wanted| {
        let at = names.iter().position(|name| *name == want.name);
        at.ok_or_else(|| crate::source::no_such_column(path, &want.name, names))
    };
    wanted.iter().map(find).collect()
}

/// The number of rows, by reading all of them.
pub fn count(path: &Path, delimiter: u8, gzip: bool) -> Result<u64> {
    let mut reader = Reader::open(path, delimiter, gzip)?;
    let mut rows = 0;
    while reader.next()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

/// The line on which row `row` (from 1) begins.
pub fn line_of(path: &Path, delimiter: u8, gzip: bool, row: u64) -> Option<u64> {
    let mut reader = Reader::open(path, delimiter, gzip).ok()?;
    for _ in 1..row {
        reader.next().ok()??;
    }
    Some(reader.next().ok()??.line)
}
