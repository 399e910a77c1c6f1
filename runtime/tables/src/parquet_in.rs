//! Parquet: what the footer says, and columns from row groups.
//!
//! Texts are read as dictionaries where the file has them, so that a text is looked at once per distinct value and not
//! once per row; elsewhere as they stand. A broken file must end in an error: what the decoder panics on is turned into
//! one here.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Encoding;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use crate::arrow_columns::Decoder;
use crate::arrow_kinds::{is_bytes, is_text, kind_of, type_name};
use crate::column::{Column, ColumnInfo, ColumnKind};
use crate::error::{Problem, Result, TableError};
use crate::source::Wanted;
use crate::stream::{Rows, Sink};

/// Larger row groups are cut into pieces of about this many rows, which threads read side by side.
const PIECE_ROWS: usize = 1 << 20;
/// A batch is cut where it would decode more than about this many bytes, so that it stays in the cache while it is used.
const BATCH_BYTES: u64 = 512 << 10;

/// An open Parquet file with its footer.
pub struct ParquetFile<'a> {
    path: &'a Path,
    metadata: ArrowReaderMetadata,
}

/// Rows of one row group: all of them, or a part of a large one. `first_row` counts from the beginning of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    group: usize,
    skip: usize,
    rows: usize,
    first_row: u64,
}

impl<'a> ParquetFile<'a> {
    pub fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| TableError::io(path, error))?;
        let metadata = guarded(path, || {
            let options = ArrowReaderOptions::new().with_encoding_stats_as_mask(true);
            let plain = ArrowReaderMetadata::load(&file, options.clone())?;
            let schema = Arc::new(as_decoded(plain.schema(), plain.metadata()));
            ArrowReaderMetadata::try_new(plain.metadata().clone(), options.with_schema(schema))
        })?;
        Ok(Self { path, metadata })
    }

    pub fn columns(&self) -> Vec<ColumnInfo> {
        let fields = self.metadata.schema().fields().iter().enumerate();
        fields.map(|(index, field)| self.info(index, field)).collect()
    }

    fn info(&self, index: usize, field: &Field) -> ColumnInfo {
        ColumnInfo {
            name: field.name().clone(),
            kind: kind_of(field.data_type()),
            nullable: field.is_nullable(),
            missing: self.missing_share(index),
            type_name: type_name(field.data_type()),
            evidence: None,
        }
    }

    fn missing_share(&self, root: usize) -> Option<f64> {
        let parquet = self.metadata.metadata();
        let leaf = *leaves_of(parquet, root).first()?;
        if parquet.file_metadata().schema_descr().column(leaf).max_rep_level() > 0 || self.rows() == 0 {
            return None;
        }
        let mut missing = 0;
        for group in parquet.row_groups() {
            missing += group.column(leaf).statistics()?.null_count_opt()?;
        }
        Some(missing as f64 / self.rows() as f64)
    }

    pub fn rows(&self) -> u64 {
        self.group_rows().sum()
    }

    fn group_rows(&self) -> impl Iterator<Item = u64> + '_ {
        self.metadata.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64)
    }

    /// The file in pieces, in row order. Only flat columns can be entered in the middle of a row group.
    pub fn pieces(&self, wanted: &[Wanted]) -> Result<Vec<Piece>> {
        let roots = self.roots(wanted)?;
        let schema = self.metadata.metadata().file_metadata().schema_descr();
        let leaves = roots.iter().flat_map(|&root| leaves_of(self.metadata.metadata(), root));
        let flat = leaves.into_iter().all(|leaf| schema.column(leaf).max_rep_level() == 0);
        Ok(cut(self.group_rows(), if flat { PIECE_ROWS } else { usize::MAX }))
    }

    /// Gives the wanted columns of a piece in batches. Dictionaries of texts grow from batch to batch. While a batch is given, a thread
    /// that has nothing else to do decodes the next one.
    pub fn scan<E: From<TableError> + Send>(
        &self,
        piece: Piece,
        wanted: &[Wanted],
        batch_rows: usize,
        sink: &mut Sink<'_, E>,
    ) -> Result<(), E> {
        let mut batches = self.batches(piece, &self.roots(wanted)?, batch_rows)?;
        let mut decoders: Vec<Decoder> = wanted.iter().map(|_| Decoder::new(batch_rows)).collect();
        let mut first_row = piece.first_row;
        let mut next = self.next(&mut batches);
        while let Some(batch) = next.map_err(|error| self.blame(piece, wanted, error))? {
            let give = || sink(self.rows_of(&batch, first_row, wanted, &mut decoders)?);
            let (given, following) = side_by_side(give, || self.next(&mut batches));
            given?;
            first_row += batch.num_rows() as u64;
            next = following;
        }
        Ok(())
    }

    fn next(&self, batches: &mut ParquetRecordBatchReader) -> Result<Option<RecordBatch>> {
        guarded(self.path, || batches.next().transpose())
    }

    fn rows_of(
        &self,
        batch: &RecordBatch,
        first_row: u64,
        wanted: &[Wanted],
        decoders: &mut [Decoder],
    ) -> Result<Rows> {
        let rows = batch.num_rows();
        let (mut columns, mut known) = (Vec::with_capacity(wanted.len()), Vec::new());
        for (want, decoder) in wanted.iter().zip(decoders) {
            columns.push(self.decode(batch, first_row, want, decoder)?);
            known.push(decoder.known());
        }
        Ok(Rows { columns, known, rows, first_row })
    }

    /// The decoder does not say which column it failed in: the first that cannot be read alone.
    fn blame(&self, piece: Piece, wanted: &[Wanted], error: TableError) -> TableError {
        let fails = |want: &&Wanted| -> Result<()> {
            let mut batches = self.batches(piece, &self.roots(std::slice::from_ref(*want))?, PIECE_ROWS)?;
            guarded(self.path, || batches.try_for_each(|batch| batch.map(drop)))
        };
        match wanted.iter().find(|want| fails(want).is_err()) {
            Some(want) => error.in_column(&want.name),
            None => error,
        }
    }

    fn decode(
        &self,
        batch: &RecordBatch,
        first_row: u64,
        want: &Wanted,
        decoder: &mut Decoder,
    ) -> Result<Column> {
        let missing = || TableError::new(self.path, corrupt("a column of the footer is not in the data"));
        let array = batch.column_by_name(&want.name).ok_or_else(missing)?;
        let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(array, want)));
        let decoded = decoded.unwrap_or_else(|_| Err((0, corrupt("the decoder gave up"))));
        decoded.map_err(|(row, problem)| {
            TableError::new(self.path, problem).at_row(first_row + row as u64 + 1).in_column(&want.name)
        })
    }

    fn roots(&self, wanted: &[Wanted]) -> Result<Vec<usize>> {
        let names: Vec<String> = self.metadata.schema().fields().iter().map(|f| f.name().clone()).collect();
        let find = |want: &Wanted| {
            let at = names.iter().position(|name| *name == want.name);
            let at = at.ok_or_else(|| crate::source::no_such_column(self.path, &want.name, &names))?;
            match kind_of(self.metadata.schema().field(at).data_type()) {
                ColumnKind::Other(found) => {
                    Err(TableError::new(self.path, Problem::Unsupported { found }).in_column(&want.name))
                }
                _ => Ok(at),
            }
        };
        wanted.iter().map(find).collect()
    }

    fn batches(&self, piece: Piece, roots: &[usize], rows: usize) -> Result<ParquetRecordBatchReader> {
        let file = File::open(self.path).map_err(|error| TableError::io(self.path, error))?;
        let rows = rows.min(self.rows_in_a_batch(piece.group, roots)).min(piece.rows).max(1);
        guarded(self.path, || {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
            builder
                .with_projection(mask)
                .with_row_groups(vec![piece.group])
                .with_offset(piece.skip)
                .with_limit(piece.rows)
                .with_batch_size(rows)
                .build()
        })
    }

    /// As many rows of the group as decode to about [`BATCH_BYTES`].
    fn rows_in_a_batch(&self, group: usize, roots: &[usize]) -> usize {
        let metadata = self.metadata.metadata();
        let group = metadata.row_group(group);
        let leaves = roots.iter().flat_map(|&root| leaves_of(metadata, root));
        let bytes: u64 = leaves.map(|leaf| group.column(leaf).uncompressed_size().max(0) as u64).sum();
        let per_row = (bytes / (group.num_rows().max(1) as u64)).max(1);
        usize::try_from(BATCH_BYTES / per_row).unwrap_or(usize::MAX).max(1)
    }
}

/// Both, on two threads of the current pool if one is idle.
fn side_by_side<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    match rayon::current_thread_index() {
        Some(_) => rayon::join(a, b),
        None => (a(), b()),
    }
}

fn cut(groups: impl Iterator<Item = u64>, piece_rows: usize) -> Vec<Piece> {
    let (mut pieces, mut first_row) = (Vec::new(), 0);
    for (group, rows) in groups.enumerate() {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let mut skip = 0;
        while skip < rows {
            let left = rows - skip;
            let length = if left < piece_rows.saturating_mul(2) { left } else { piece_rows };
            pieces.push(Piece { group, skip, rows: length, first_row: first_row + skip as u64 });
            skip += length;
        }
        first_row += rows as u64;
    }
    pieces
}

/// The leaves of the Parquet schema below one column of the table.
fn leaves_of(metadata: &ParquetMetaData, root: usize) -> Vec<usize> {
    let schema = metadata.file_metadata().schema_descr();
    (0..schema.num_columns()).filter(|&leaf| schema.get_column_root_idx(leaf) == root).collect()
}

pub fn corrupt(reason: &str) -> Problem {
    Problem::Corrupt { reason: reason.to_string() }
}

/// What the decoder complains of: it has no error of its own for bytes that are no text.
fn of_decoder(complaint: &str) -> Problem {
    match complaint.to_ascii_lowercase().contains("utf") {
        true => Problem::NotUtf8 { found: String::new() },
        false => corrupt(complaint),
    }
}

/// Runs a step of the decoder; its errors and panics become one kind of error.
fn guarded<T, E: std::fmt::Display>(path: &Path, step: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(TableError::new(path, of_decoder(&error.to_string()))),
        Err(_) => Err(TableError::new(path, corrupt("the decoder gave up"))),
    }
}

/// Texts (and bytes, which old writers use for texts) become dictionaries where most rows are stored as such, and plain
/// texts elsewhere; bytes of a fixed width likewise.
fn as_decoded(schema: &Schema, metadata: &ParquetMetaData) -> Schema {
    let dictionary = |value| DataType::Dictionary(Box::new(DataType::Int32), Box::new(value));
    let fields = schema.fields().iter().enumerate().map(|(root, field)| {
        let stored = stored_as_dictionary(metadata, root);
        let kind = match field.data_type() {
            DataType::FixedSizeBinary(width) if stored => dictionary(DataType::FixedSizeBinary(*width)),
            kind if is_text(kind) && stored => dictionary(DataType::Utf8),
            kind if is_bytes(kind) => DataType::Binary,
            kind if is_text(kind) => DataType::Utf8,
            _ => return field.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(kind))
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn stored_as_dictionary(metadata: &ParquetMetaData, root: usize) -> bool {
    let Some(&leaf) = leaves_of(metadata, root).first() else { return false };
    let (mut with, mut without) = (0, 0);
    for group in metadata.row_groups() {
        match only_dictionary(group.column(leaf)) {
            true => with += group.num_rows(),
            false => without += group.num_rows(),
        }
    }
    with > without
}

/// Whether all pages of a chunk are codes into its dictionary: writers fall back to plain texts when it grows too large.
fn only_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    let dictionary = [Encoding::PLAIN_DICTIONARY, Encoding::RLE_DICTIONARY];
    match chunk.page_encoding_stats_mask() {
        Some(mask) => dictionary.iter().any(|&encoding| mask.is_only(encoding)),
        None => chunk.encodings().any(|encoding| dictionary.contains(&encoding)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row groups of more rows than 32 bits count are cut, and every row is in one piece.
    #[test]
    fn pieces_cover_all_rows_in_order() {
        let groups = [5, 0, 3 * PIECE_ROWS as u64 + 7, (1 << 33) + 1];
        let pieces = cut(groups.into_iter(), PIECE_ROWS);
        let mut row = 0;
        for piece in &pieces {
            assert_eq!(piece.first_row, row);
            assert!(piece.rows > 0 && piece.rows < 2 * PIECE_ROWS);
            row += piece.rows as u64;
        }
        assert_eq!(row, groups.iter().sum::<u64>());
        let skips: Vec<usize> = pieces.iter().filter(|piece| piece.group == 2).map(|p| p.skip).collect();
        assert_eq!(skips, [0, PIECE_ROWS, 2 * PIECE_ROWS]);
        assert_eq!(cut([1 << 33].into_iter(), usize::MAX).len(), 1);
    }
}
