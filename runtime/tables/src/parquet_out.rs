//! Columns to Parquet: what runs write for their users. Whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array,
    Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::column::{Bitmap, Column, FloatList, MISSING, Values};
use crate::error::{Problem, Result, TableError};
use crate::intern::TextValues;
use crate::replace::Replacement;

/// A column to be written, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct OutputColumn<'a> {
    pub name: &'a str,
    pub values: Output<'a>,
    pub validity: Option<&'a Bitmap>,
}

#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    Int(&'a [i64]),
    UInt32(&'a [u32]),
    Float(&'a [f64]),
    Float32(&'a [f32]),
    Bool(&'a [bool]),
    /// Days since 1970-01-01.
    Date(&'a [i64]),
    /// Microseconds since the epoch, UTC.
    Time(&'a [i64]),
    /// One text per row.
    Text(&'a [&'a str]),
    /// Codes into distinct texts; [`MISSING`] is a missing value.
    Codes {
        codes: &'a [u32],
        values: &'a TextValues,
    },
    /// Rows of one width, end to end.
    FloatList {
        width: usize,
        values: &'a [f32],
    },
}

impl<'a> OutputColumn<'a> {
    pub fn new(name: &'a str, values: Output<'a>) -> Self {
        Self { name, values, validity: None }
    }

    /// `None` for lists of unequal lengths and lists of texts, which are not written.
    pub fn of(column: &'a Column) -> Option<Self> {
        let values = match &column.values {
            Values::Int(v) => Output::Int(v),
            Values::Float(v) => Output::Float(v),
            Values::Bool(v) => Output::Bool(v),
            Values::Date(v) => Output::Date(v),
            Values::Time(v) => Output::Time(v),
            Values::Text(text) => Output::Codes { codes: &text.codes, values: &text.values },
            Values::FloatList(FloatList::Fixed { width, values, .. }) => {
                Output::FloatList { width: *width, values }
            }
            Values::FloatList(FloatList::Ragged { .. }) | Values::TextList(_) => return None,
        };
        Some(Self { name: &column.name, values, validity: column.validity.as_ref() })
    }

    pub(crate) fn len(&self) -> usize {
        match self.values {
            Output::Int(v) | Output::Date(v) | Output::Time(v) => v.len(),
            Output::UInt32(v) => v.len(),
            Output::Float(v) => v.len(),
            Output::Float32(v) => v.len(),
            Output::Bool(v) => v.len(),
            Output::Text(v) => v.len(),
            Output::Codes { codes, .. } => codes.len(),
            Output::FloatList { width, values } => values.len() / width.max(1),
        }
    }

    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.validity.is_none_or(|bits| bits.get(row))
    }

    fn optional<T: Copy>(&self, values: &[T]) -> Vec<Option<T>> {
        values.iter().enumerate().map(|(row, value)| self.is_valid(row).then_some(*value)).collect()
    }

    fn array(&self) -> std::result::Result<ArrayRef, ArrowError> {
        Ok(match self.values {
            Output::Int(v) => Arc::new(Int64Array::from(self.optional(v))),
            Output::UInt32(v) => Arc::new(UInt32Array::from(self.optional(v))),
            Output::Float(v) => Arc::new(Float64Array::from(self.optional(v))),
            Output::Float32(v) => Arc::new(Float32Array::from(self.optional(v))),
            Output::Bool(v) => Arc::new(BooleanArray::from(self.optional(v))),
            Output::Date(v) => Arc::new(Date32Array::from(self.optional(&narrow(v)?))),
            Output::Time(v) => {
                Arc::new(TimestampMicrosecondArray::from(self.optional(v)).with_timezone("UTC"))
            }
            Output::Text(v) => Arc::new(StringArray::from(self.optional(v))),
            Output::Codes { codes, values } => self.dictionary(codes, values)?,
            Output::FloatList { width, values } => self.lists(width, values)?,
        })
    }

    fn dictionary(&self, codes: &[u32], values: &TextValues) -> std::result::Result<ArrayRef, ArrowError> {
        let key = |(row, &code): (usize, &u32)| {
            (code != MISSING && self.is_valid(row)).then(|| i32::try_from(code).ok()).flatten()
        };
        let keys: Int32Array = codes.iter().enumerate().map(key).collect();
        let distinct = StringArray::from_iter_values(values.iter());
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(distinct))?))
    }

    fn lists(&self, width: usize, values: &[f32]) -> std::result::Result<ArrayRef, ArrowError> {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let nulls = self.validity.map(|bits| bits.iter().collect::<Vec<bool>>().into());
        let items = Arc::new(Float32Array::from(values.to_vec()));
        let width = i32::try_from(width).map_err(|_| ArrowError::InvalidArgumentError("width".into()))?;
        Ok(Arc::new(FixedSizeListArray::try_new(item, width, items, nulls)?))
    }
}

fn narrow(days: &[i64]) -> std::result::Result<Vec<i32>, ArrowError> {
    let narrow = |&day: &i64| i32::try_from(day).map_err(|_| ArrowError::CastError(format!("day {day}")));
    days.iter().map(narrow).collect()
}

/// A Parquet file (zstd) being written batch by batch. It has its name only after [`TableWriter::finish`].
pub struct TableWriter {
    path: PathBuf,
    replacement: Replacement,
    writer: Option<ArrowWriter<File>>,
}

impl TableWriter {
    pub fn create(path: &Path) -> Result<Self> {
        let replacement = Replacement::of(path).map_err(|error| TableError::new(path, Problem::Io(error)))?;
        Ok(Self { path: path.to_path_buf(), replacement, writer: None })
    }

    /// The first batch fixes names and types for those that follow.
    pub fn write(&mut self, columns: &[OutputColumn]) -> Result<()> {
        self.check_lengths(columns)?;
        let arrays: Vec<ArrayRef> =
            columns.iter().map(OutputColumn::array).collect::<Result<_, _>>().map_err(|e| self.fail(e))?;
        let fields: Vec<Field> = columns
            .iter()
            .zip(&arrays)
            .map(|(column, array)| Field::new(column.name, array_type(array), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| self.fail(e))?;
        if self.writer.is_none() {
            let file = File::create(self.replacement.temporary())
                .map_err(|e| TableError::new(&self.path, Problem::Io(e)))?;
            self.writer =
                Some(ArrowWriter::try_new(file, schema, Some(properties())).map_err(|e| self.fail(e))?);
        }
        let written = self.writer.as_mut().map_or(Ok(()), |writer| writer.write(&batch));
        written.map_err(|e| self.fail(e))
    }

    /// Ends the row group: readers take the rows so far and those that follow as separate pieces of work.
    pub fn cut(&mut self) -> Result<()> {
        let cut = self.writer.as_mut().map_or(Ok(()), ArrowWriter::flush);
        cut.map_err(|e| self.fail(e))
    }

    fn check_lengths(&self, columns: &[OutputColumn]) -> Result<()> {
        let expected = columns.first().map_or(0, OutputColumn::len);
        match columns.iter().find(|column| column.len() != expected) {
            None => Ok(()),
            Some(odd) => {
                let problem = Problem::LengthMismatch { found: odd.len(), expected };
                Err(TableError::new(&self.path, problem).in_column(odd.name))
            }
        }
    }

    pub fn finish(mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(|e| self.fail(e))?;
        } else {
            self.write(&[])?;
            return self.finish();
        }
        self.replacement.commit().map_err(|error| TableError::new(&self.path, Problem::Io(error)))
    }

    fn fail(&self, error: impl std::fmt::Display) -> TableError {
        TableError::new(&self.path, Problem::Io(std::io::Error::other(error.to_string())))
    }
}

fn array_type(array: &ArrayRef) -> DataType {
    use arrow_array::Array;
    array.data_type().clone()
}

fn properties() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build()
}

/// Writes one table, whole or not at all.
pub fn write_parquet(path: &Path, columns: &[OutputColumn]) -> Result<()> {
    let mut writer = TableWriter::create(path)?;
    writer.write(columns)?;
    writer.finish()
}
