//! HDF5: the data sets of one group are the columns of a table.
//!
//! The library has one lock for all threads, so slices are read as large as memory allows and as the chunks of the file
//! are; only what is made of them goes on side by side. Strings of a fixed length are read as strings of the next of a
//! few lengths, since the library wants to know it when the program is compiled.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, Group, H5Type};

use crate::builder::Builder;
use crate::column::{ColumnInfo, ColumnKind};
use crate::error::{Problem, Result, TableError};
use crate::parse::shorten;
use crate::source::{Wanted, no_such_column};
use crate::stream::{Rows, Sink};

/// A slice holds about as many bytes as this, or one chunk of the file.
const SLICE_BYTES: usize = 32 << 20;

/// An open HDF5 file, or a group of it, as a table.
pub struct Hdf5File<'a> {
    path: &'a Path,
    columns: Vec<Stored>,
    rows: u64,
}

/// A data set and what its values are.
struct Stored {
    name: String,
    dataset: Dataset,
    kind: Kind,
    type_name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Unsigned,
    Float,
    Bool,
    FixedAscii(usize),
    FixedUnicode(usize),
    VarLenAscii,
    VarLenUnicode,
    Rows(usize),
    Other,
}

/// A slice of one data set, in memory.
enum Slice {
    Int(Vec<i64>),
    Unsigned(Vec<u64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<Vec<u8>>),
    Rows(usize, Vec<f32>),
}

/// Whether a file has the signature of HDF5, which stands at its start, or behind a block of the user's at 512 bytes or a double of that.
fn is_hdf5(path: &Path) -> std::io::Result<bool> {
    const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let starts = std::iter::once(0).chain((9..63).map(|power| 1u64 << power));
    for start in starts.take_while(|start| start + 8 <= length) {
        let mut found = [0; 8];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut found)?;
        if found == *SIGNATURE {
            return Ok(true);
        }
    }
    Ok(false)
}

impl<'a> Hdf5File<'a> {
    pub fn open(path: &'a Path, group: Option<&str>) -> Result<Self> {
        if !is_hdf5(path).map_err(|error| TableError::io(path, error))? {
            return Err(TableError::new(path, Problem::NotOfFormat { format: "HDF5" }));
        }
        let file = hdf5::File::open(path).map_err(|error| corrupt(path, &error))?;
        let root = file.as_group().map_err(|error| corrupt(path, &error))?;
        let group = match group {
            Some(name) => root.group(name).map_err(|_| {
                TableError::new(path, Problem::NoGroup { name: name.into(), available: groups_of(&root) })
            })?,
            None => root,
        };
        let datasets = group.datasets().map_err(|error| corrupt(path, &error))?;
        let mut columns: Vec<Stored> = datasets.into_iter().map(Stored::of).collect();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        if columns.is_empty() {
            return Err(TableError::new(path, Problem::NoDatasets { groups: groups_of(&group) }));
        }
        let rows = common_rows(path, &columns)?;
        Ok(Self { path, columns, rows })
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn columns(&self) -> Vec<ColumnInfo> {
        let info = |column: &Stored| ColumnInfo {
            name: column.name.clone(),
            kind: column.column_kind(),
            nullable: column.kind == Kind::Float,
            missing: None,
            type_name: column.type_name.clone(),
            evidence: None,
        };
        self.columns.iter().map(info).collect()
    }

    /// The file in slices, in row order: whole chunks of the file where it is chunked.
    pub fn slices(&self, wanted: &[Wanted], batch_rows: usize) -> Result<Vec<Range<u64>>> {
        let columns = self.wanted(wanted)?;
        let per_row: usize = columns.iter().map(|column| column.bytes_per_row()).sum();
        let fits = (SLICE_BYTES / per_row.max(1)).max(1);
        let chunk = columns.iter().filter_map(|column| column.dataset.chunk()?.first().copied()).max();
        let chunk = chunk.unwrap_or(1).max(1);
        let rows = (batch_rows.max(chunk).min(fits) / chunk).max(1).saturating_mul(chunk) as u64;
        let starts = (0..self.rows).step_by(rows as usize);
        Ok(starts.map(|start| start..(start + rows).min(self.rows)).collect())
    }

    /// Gives the wanted columns of a slice in batches.
    pub fn scan<E: From<TableError>>(
        &self,
        slice: Range<u64>,
        wanted: &[Wanted],
        batch_rows: usize,
        sink: &mut Sink<'_, E>,
    ) -> Result<(), E> {
        let read = |column: &&Stored| {
            column.read(slice.start as usize..slice.end as usize).map_err(|error| self.fail(column, &error))
        };
        let slices: Vec<Slice> = self.wanted(wanted)?.iter().map(read).collect::<Result<_>>()?;
        let rows = (slice.end - slice.start) as usize;
        for start in (0..rows).step_by(batch_rows) {
            let part = start..(start + batch_rows).min(rows);
            let first_row = slice.start + start as u64;
            let mut columns = Vec::with_capacity(wanted.len());
            for (want, slice) in wanted.iter().zip(&slices) {
                let mut builder = want.builder();
                slice.push(part.clone(), &mut builder).map_err(|problem| {
                    let row = first_row + builder.len() as u64 + 1;
                    TableError::new(self.path, problem).at_row(row).in_column(&want.name)
                })?;
                columns.push(builder.take());
            }
            sink(Rows { columns, known: vec![0; wanted.len()], rows: part.len(), first_row })?;
        }
        Ok(())
    }

    fn wanted(&self, wanted: &[Wanted]) -> Result<Vec<&Stored>> {
        let find = |want: &Wanted| {
            let names = || self.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
            let column = self.columns.iter().find(|column| column.name == want.name);
            let column = column.ok_or_else(|| no_such_column(self.path, &want.name, &names()))?;
            match column.kind {
                Kind::Other => {
                    let problem = Problem::Unsupported { found: column.type_name.clone() };
                    Err(TableError::new(self.path, problem).in_column(&want.name))
                }
                _ => Ok(column),
            }
        };
        wanted.iter().map(find).collect()
    }

    fn fail(&self, column: &Stored, error: &hdf5::Error) -> TableError {
        corrupt(self.path, error).in_column(&column.name)
    }
}

fn corrupt(path: &Path, error: &hdf5::Error) -> TableError {
    TableError::new(path, Problem::Corrupt { reason: error.to_string() })
}

fn groups_of(group: &Group) -> Vec<String> {
    let groups = group.groups().unwrap_or_default();
    groups.iter().map(|group| group.name().trim_start_matches('/').to_string()).collect()
}

fn common_rows(path: &Path, columns: &[Stored]) -> Result<u64> {
    let rows = |column: &Stored| column.dataset.shape().first().map(|&rows| rows as u64);
    let mut sized = columns.iter().filter_map(|column| Some((column, rows(column)?)));
    let Some((first, expected)) = sized.next() else { return Ok(0) };
    match sized.find(|(_, rows)| *rows != expected) {
        None => Ok(expected),
        Some((odd, rows)) => {
            let problem = Problem::UnequalColumns { rows, other: first.name.clone(), other_rows: expected };
            Err(TableError::new(path, problem).in_column(&odd.name))
        }
    }
}

impl Stored {
    fn of(dataset: Dataset) -> Self {
        let name = dataset.name().rsplit('/').next().unwrap_or_default().to_string();
        let shape = dataset.shape();
        let (kind, mut type_name) = type_of(&dataset);
        let kind = match (shape[..].len(), kind) {
            (1, kind) => kind,
            (2, Kind::Int | Kind::Unsigned | Kind::Float | Kind::Bool) => Kind::Rows(shape[1]),
            _ => Kind::Other,
        };
        if shape.len() != 1 {
            let sizes: Vec<String> = shape.iter().skip(1).map(usize::to_string).collect();
            type_name = format!("{type_name}[{}]", sizes.join(", "));
        }
        Self { name, dataset, kind, type_name }
    }

    fn column_kind(&self) -> ColumnKind {
        match self.kind {
            Kind::Int | Kind::Unsigned => ColumnKind::Int,
            Kind::Float => ColumnKind::Float,
            Kind::Bool => ColumnKind::Bool,
            Kind::FixedAscii(_) | Kind::FixedUnicode(_) | Kind::VarLenAscii | Kind::VarLenUnicode => {
                ColumnKind::Text
            }
            Kind::Rows(width) => ColumnKind::FloatList(Some(width)),
            Kind::Other => ColumnKind::Other(self.type_name.clone()),
        }
    }

    fn bytes_per_row(&self) -> usize {
        match self.kind {
            Kind::FixedAscii(length) | Kind::FixedUnicode(length) => length + 24,
            Kind::VarLenAscii | Kind::VarLenUnicode => 64,
            Kind::Rows(width) => width * 4,
            _ => 8,
        }
    }

    fn read(&self, rows: Range<usize>) -> hdf5::Result<Slice> {
        Ok(match self.kind {
            Kind::Int => Slice::Int(self.raw(rows)?),
            Kind::Unsigned => Slice::Unsigned(self.raw(rows)?),
            Kind::Float => Slice::Float(self.raw(rows)?),
            Kind::Bool => Slice::Bool(self.raw(rows)?),
            Kind::Rows(width) => {
                let slice = self.dataset.read_slice_2d::<f32, _>((rows, ..))?;
                Slice::Rows(width, slice.into_raw_vec_and_offset().0)
            }
            Kind::VarLenAscii => self.texts(rows, VarLenAscii::as_bytes)?,
            Kind::VarLenUnicode => self.texts(rows, VarLenUnicode::as_bytes)?,
            Kind::FixedAscii(0..=32) => self.texts(rows, FixedAscii::<32>::as_bytes)?,
            Kind::FixedAscii(33..=256) => self.texts(rows, FixedAscii::<256>::as_bytes)?,
            Kind::FixedAscii(257..=4096) => self.texts(rows, FixedAscii::<4096>::as_bytes)?,
            Kind::FixedAscii(_) => self.texts(rows, FixedAscii::<65_536>::as_bytes)?,
            Kind::FixedUnicode(0..=32) => self.texts(rows, FixedUnicode::<32>::as_bytes)?,
            Kind::FixedUnicode(33..=256) => self.texts(rows, FixedUnicode::<256>::as_bytes)?,
            Kind::FixedUnicode(257..=4096) => self.texts(rows, FixedUnicode::<4096>::as_bytes)?,
            Kind::FixedUnicode(_) => self.texts(rows, FixedUnicode::<65_536>::as_bytes)?,
            Kind::Other => return Err("a type that is not a column".into()),
        })
    }

    fn raw<T: H5Type>(&self, rows: Range<usize>) -> hdf5::Result<Vec<T>> {
        Ok(self.dataset.read_slice_1d::<T, _>(rows)?.into_raw_vec_and_offset().0)
    }

    fn texts<T: H5Type>(&self, rows: Range<usize>, bytes: impl Fn(&T) -> &[u8]) -> hdf5::Result<Slice> {
        Ok(Slice::Text(self.raw::<T>(rows)?.iter().map(|text| bytes(text).to_vec()).collect()))
    }
}

/// The longest string of a fixed length that can be read.
const LONGEST_FIXED: usize = 65_536;

fn type_of(dataset: &Dataset) -> (Kind, String) {
    let Ok(dtype) = dataset.dtype() else { return (Kind::Other, "unknown".into()) };
    match dtype.to_descriptor() {
        Ok(TypeDescriptor::Integer(size)) => (Kind::Int, format!("int{}", (size as usize) * 8)),
        Ok(TypeDescriptor::Unsigned(size)) => (Kind::Unsigned, format!("uint{}", (size as usize) * 8)),
        Ok(TypeDescriptor::Float(size)) => (Kind::Float, format!("float{}", (size as usize) * 8)),
        // The library converts half precision, of which its Rust side has no type.
        Err(error) if dtype.size() == 2 && error.to_string().contains("float") => {
            (Kind::Float, "float16".into())
        }
        Ok(TypeDescriptor::Boolean) => (Kind::Bool, "bool".into()),
        Ok(TypeDescriptor::FixedAscii(n)) if n <= LONGEST_FIXED => (Kind::FixedAscii(n), "text".into()),
        Ok(TypeDescriptor::FixedUnicode(n)) if n <= LONGEST_FIXED => (Kind::FixedUnicode(n), "text".into()),
        Ok(TypeDescriptor::VarLenAscii) => (Kind::VarLenAscii, "text".into()),
        Ok(TypeDescriptor::VarLenUnicode) => (Kind::VarLenUnicode, "text".into()),
        Ok(TypeDescriptor::Compound(_)) => (Kind::Other, "compound".into()),
        Ok(other) => (Kind::Other, other.to_string()),
        Err(_) => (Kind::Other, "unknown".into()),
    }
}

impl Slice {
    /// Pushes some rows. NaN is missing, as everywhere.
    fn push(&self, rows: Range<usize>, builder: &mut Builder) -> Result<(), Problem> {
        match self {
            Slice::Int(values) => values[rows].iter().try_for_each(|&value| builder.push_int_as(value)),
            Slice::Unsigned(values) => {
                values[rows].iter().try_for_each(|&value| builder.push_unsigned_as(value))
            }
            Slice::Float(values) => values[rows].iter().try_for_each(|&value| builder.push_float_as(value)),
            Slice::Bool(values) => values[rows].iter().try_for_each(|&value| builder.push_bool_as(value)),
            Slice::Text(texts) => texts[rows].iter().try_for_each(|text| {
                let found = || Problem::NotUtf8 { found: shorten(&String::from_utf8_lossy(text)) };
                builder.push_cell(std::str::from_utf8(text).map_err(|_| found())?, true)
            }),
            Slice::Rows(width, values) => {
                if !matches!(builder.data, crate::builder::Data::FloatList { .. }) {
                    return Err(builder.refused(format!("a row of {width} numbers")));
                }
                rows.for_each(|row| builder.push_list(&values[row * width..(row + 1) * width]));
                Ok(())
            }
        }
    }
}
