//! Parquet: what the footer says, and columns from row groups.
//!
//! Texts are read as dictionaries where the file has them, so that a text is looked at once per distinct value and not
//! once per row. A broken file must end in an error: what the decoder panics on is turned into one here.

use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use crate::builder::Builder;
use crate::column::{Column, ColumnInfo, ColumnKind};
use crate::error::{Problem, Result, TableError};
use crate::parquet_cells::Cells;
use crate::source::Wanted;

const DECODE_ROWS: usize = 1 << 16;

/// An open Parquet file with its footer.
pub struct ParquetFile<'a> {
    path: &'a Path,
    metadata: ArrowReaderMetadata,
}

impl<'a> ParquetFile<'a> {
    pub fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| TableError::io(path, error))?;
        let metadata = guarded(path, || {
            let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
            let schema = Arc::new(with_dictionaries(plain.schema()));
            ArrowReaderMetadata::try_new(
                plain.metadata().clone(),
                ArrowReaderOptions::new().with_schema(schema),
            )
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
        }
    }

    fn missing_share(&self, root: usize) -> Option<f64> {
        let parquet = self.metadata.metadata();
        let schema = parquet.file_metadata().schema_descr();
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == root)?;
        if schema.column(leaf).max_rep_level() > 0 || self.rows() == 0 {
            return None;
        }
        let mut missing = 0;
        for group in parquet.row_groups() {
            missing += group.column(leaf).statistics()?.null_count_opt()?;
        }
        Some(missing as f64 / self.rows() as f64)
    }

    pub fn rows(&self) -> u64 {
        self.group_rows().iter().sum()
    }

    /// Rows of each row group.
    pub fn group_rows(&self) -> Vec<u64> {
        self.metadata.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64).collect()
    }

    /// Gives the wanted columns of some row groups in batches, each with the number of its first row (from 0).
    pub fn scan<E: From<TableError>>(
        &self,
        groups: Range<usize>,
        wanted: &[Wanted],
        batch_rows: usize,
        sink: &mut dyn FnMut(Vec<Column>, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let roots = self.roots(wanted)?;
        let mut first: u64 = self.group_rows()[..groups.start].iter().sum();
        let mut batches = self.batches(groups, &roots)?;
        let mut builders: Vec<Builder> = wanted.iter().map(|w| Builder::new(&w.name, &w.kind)).collect();
        let mut cells: Vec<Cells> = wanted.iter().map(|_| Cells::default()).collect();
        let mut rows = 0;
        while let Some(batch) = guarded(self.path, || batches.next().transpose())? {
            let mut at = 0;
            while at < batch.num_rows() {
                let length = (batch.num_rows() - at).min(batch_rows - rows);
                let piece = batch.slice(at, length);
                self.append(&piece, first + rows as u64, wanted, &mut builders, &mut cells)?;
                at += length;
                rows += length;
                if rows == batch_rows {
                    cells.iter_mut().for_each(|cell| *cell = Cells::default());
                    sink(builders.iter_mut().map(Builder::take).collect(), first)?;
                    first += rows as u64;
                    rows = 0;
                }
            }
        }
        if rows > 0 {
            sink(builders.iter_mut().map(Builder::take).collect(), first)?;
        }
        Ok(())
    }

    fn append(
        &self,
        batch: &RecordBatch,
        first: u64,
        wanted: &[Wanted],
        builders: &mut [Builder],
        cells: &mut [Cells],
    ) -> Result<()> {
        for ((want, builder), cells) in wanted.iter().zip(builders).zip(cells) {
            let array: &ArrayRef = batch.column_by_name(&want.name).ok_or_else(|| {
                TableError::new(self.path, corrupt("a column of the footer is not in the data"))
            })?;
            let before = builder.len();
            guarded_append(cells, array, builder).map_err(|problem| {
                let row = first + (builder.len() - before) as u64 + 1;
                TableError::new(self.path, problem).at_row(row).in_column(&want.name)
            })?;
        }
        Ok(())
    }

    fn roots(&self, wanted: &[Wanted]) -> Result<Vec<usize>> {
        let names: Vec<String> = self.metadata.schema().fields().iter().map(|f| f.name().clone()).collect();
        let find = |want: &Wanted| {
            let at = names.iter().position(|name| *name == want.name);
            let at = at.ok_or_else(|| crate::source::no_such_column(self.path, &want.name, &names))?;
            match kind_of(self.metadata.schema().field(at).data_type()) {
                ColumnKind::Other(found) if found != "null" => {
                    Err(TableError::new(self.path, Problem::Unsupported { found }).in_column(&want.name))
                }
                _ => Ok(at),
            }
        };
        wanted.iter().map(find).collect()
    }

    fn batches(
        &self,
        groups: Range<usize>,
        roots: &[usize],
    ) -> Result<parquet::arrow::arrow_reader::ParquetRecordBatchReader> {
        let file = File::open(self.path).map_err(|error| TableError::io(self.path, error))?;
        guarded(self.path, || {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
            builder
                .with_projection(mask)
                .with_row_groups(groups.collect())
                .with_batch_size(DECODE_ROWS)
                .build()
        })
    }
}

fn corrupt(reason: &str) -> Problem {
    Problem::Corrupt { reason: reason.to_string() }
}

/// Runs a step of the decoder; its errors and panics become one kind of error.
fn guarded<T, E: std::fmt::Display>(path: &Path, step: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(TableError::new(path, corrupt(&error.to_string()))),
        Err(_) => Err(TableError::new(path, corrupt("the decoder gave up"))),
    }
}

fn guarded_append(cells: &mut Cells, array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    catch_unwind(AssertUnwindSafe(|| cells.append(array, builder)))
        .unwrap_or_else(|_| Err(corrupt("the decoder gave up")))
}

/// Top-level texts (and bytes, which old writers use for texts) are read as dictionaries.
fn with_dictionaries(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match is_text(field.data_type()) {
        true => {
            let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(kind))
        }
        false => field.clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

pub fn kind_of(data_type: &DataType) -> ColumnKind {
    match data_type {
        kind if kind.is_integer() => ColumnKind::Int,
        kind if kind.is_floating() => ColumnKind::Float,
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => ColumnKind::Float,
        DataType::Boolean => ColumnKind::Bool,
        kind if is_text(kind) => ColumnKind::Text,
        DataType::Dictionary(_, value) => kind_of(value),
        DataType::Date32 | DataType::Date64 => ColumnKind::Date,
        DataType::Timestamp(..) => ColumnKind::Time,
        DataType::List(item) | DataType::LargeList(item) if is_number(item) => ColumnKind::FloatList(None),
        DataType::FixedSizeList(item, width) if is_number(item) => {
            ColumnKind::FloatList(usize::try_from(*width).ok())
        }
        other => ColumnKind::Other(type_name(other)),
    }
}

fn is_number(item: &Field) -> bool {
    matches!(kind_of(item.data_type()), ColumnKind::Int | ColumnKind::Float)
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        kind if is_text(kind) => "text".into(),
        DataType::Dictionary(_, value) => type_name(value),
        DataType::Null => "null".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Boolean => "bool".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(TimeUnit::Second, _) => "timestamp[s]".into(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => "timestamp[ms]".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp[us]".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "timestamp[ns]".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("list<{}>", type_name(item.data_type())),
        DataType::FixedSizeList(item, width) => format!("{}[{width}]", type_name(item.data_type())),
        DataType::Struct(_) => "struct".into(),
        DataType::Map(..) => "map".into(),
        other => other.to_string().to_lowercase(),
    }
}

/// True when a dictionary array's distinct values are the same allocation as `other`'s.
pub fn same_values(array: &ArrayRef, other: &ArrayRef) -> bool {
    let (a, b) = (array.as_string_opt::<i32>(), other.as_string_opt::<i32>());
    matches!((a, b), (Some(a), Some(b)) if a.len() == b.len()
        && a.values().as_ptr() == b.values().as_ptr()
        && a.value_offsets().as_ptr() == b.value_offsets().as_ptr())
}
