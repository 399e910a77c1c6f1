//! Users' tables in, typed columns out; and Parquet, CSV and NumPy files back.
//!
//! Decided here: which files a source is and in which order they are read, how a cell becomes a value,
//! what is a missing value, and what a broken table is called.
//! Not decided here: what a column means. Keys, labels and features are the business of graph construction.
//!
//! A [`Source`] is one or more paths, folders or globs. [`Source::header`] is cheap enough for a compiler,
//! [`Source::read`] gives whole columns, [`Source::stream`] streams them on all threads, [`Source::for_each_batch`] on one.

mod arrow_cells;
mod arrow_columns;
mod arrow_kinds;
mod builder;
mod column;
mod convert;
mod csv_out;
mod delimited;
mod discover;
mod error;
mod fingerprint;
mod format;
mod hdf5_in;
mod intern;
mod json_lines;
mod lines;
mod npy_out;
mod parquet_in;
mod parquet_out;
mod parse;
mod records;
mod replace;
mod sample;
mod source;
mod stream;
mod suggest;

pub use column::{
    Bitmap, Column, ColumnInfo, ColumnKind, FloatList, Header, MISSING, TextColumn, TextList, Values, Want,
};
pub use csv_out::{CsvWriter, write_csv};
pub use error::{Problem, Result, TableError};
pub use fingerprint::{FileStamp, Fingerprint};
pub use format::{Compression, Dialect, Format};
pub use intern::{Interner, TextValues};
pub use npy_out::{NpyWriter, write_npy};
pub use parquet_out::{Output, OutputColumn, TableWriter, write_parquet};
pub use parse::{MICROS_A_DAY, civil_of_days, days_from_civil, parse_date, parse_time, show_date, show_time};
pub use replace::{Replacement, replace_file};
pub use sample::{Cell, Evidence, Stated};
pub use source::{Batch, Part, Place, Source, Table};
pub use suggest::{closest, distance};
