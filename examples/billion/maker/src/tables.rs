//! The graph as Parquet: columns, their types, and how they are stored.
//!
//! | folder | columns |
//! |---|---|
//! | `nodes` | `id` (the key), `features` (a list of fixed size), `label` |
//! | `edges` | `src`, `dst` (keys) |
//!
//! Row `i` of a table is a function of the seed and `i`: rows stand in the order of their numbers over all files of the
//! folder, however many there are. A file appears whole or not at all.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use gsl_kernels::random::Key;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::error::Cause;
use crate::graph::RandomGraph;
use crate::permutation::Permutation;

const ROWS_PER_GROUP: usize = 1 << 20;
const ROWS_PER_BATCH: u64 = 1 << 15;
/// Numbers that sparse keys are strewn over.
const SPARSE: u64 = 1 << 40;

/// What identifies a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Keys {
    /// 0 to nodes - 1, each once.
    Int,
    /// Integers strewn over 0 to 2^40 - 1.
    Sparse,
    /// 20 bytes, such as user-000000000123456.
    Text,
}

/// Writes keys in one of the three forms.
pub struct Namer {
    keys: Keys,
    sparse: Permutation,
}

impl Namer {
    pub fn new(keys: Keys, seed: u64) -> Self {
        const STREWN: u32 = 7;
        Self { keys, sparse: Permutation::new(Key::new(seed, STREWN), SPARSE) }
    }

    /// The keys of nodes that are given by their numbers.
    fn column(&self, numbers: impl Iterator<Item = u64>) -> ArrayRef {
        match self.keys {
            Keys::Int => Arc::new(numbers.map(|n| n as i64).collect::<Int64Array>()),
            Keys::Sparse => Arc::new(numbers.map(|n| self.sparse.at(n) as i64).collect::<Int64Array>()),
            Keys::Text => Arc::new(StringArray::from_iter_values(numbers.map(text))),
        }
    }
}

fn text(number: u64) -> String {
    format!("user-{number:015}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Nodes,
    Edges,
}

impl Table {
    pub fn folder(self) -> &'static str {
        match self {
            Table::Nodes => "nodes",
            Table::Edges => "edges",
        }
    }
}

/// Writes the rows of a table into one file; returns its size in bytes.
pub fn write(
    path: &Path,
    graph: &RandomGraph,
    namer: &Namer,
    table: Table,
    rows: Range<u64>,
) -> Result<u64, Cause> {
    let batch = |rows| match table {
        Table::Nodes => nodes(graph, namer, rows),
        Table::Edges => edges(graph, namer, rows),
    };
    gsl_tables::replace_file(path, |file: &mut File| {
        let schema = batch(0..0)?.schema();
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties(namer.keys)?))?;
        for first in rows.clone().step_by(ROWS_PER_BATCH as usize) {
            writer.write(&batch(first..rows.end.min(first + ROWS_PER_BATCH))?)?;
        }
        writer.close()?;
        Ok::<(), Cause>(())
    })?;
    Ok(std::fs::metadata(path)?.len())
}

fn nodes(graph: &RandomGraph, namer: &Namer, rows: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let ranks: Vec<u64> = rows.map(|row| graph.node(row)).collect();
    let id = namer.column(ranks.iter().map(|&rank| graph.number(rank)));
    let label = Arc::new(ranks.iter().map(|&rank| graph.label(rank)).collect::<Int64Array>());
    batch([("id", id), ("features", features(graph, &ranks)?), ("label", label)])
}

fn features(graph: &RandomGraph, ranks: &[u64]) -> Result<ArrayRef, ArrowError> {
    let mut values = Vec::with_capacity(ranks.len() * graph.width());
    ranks.iter().for_each(|&rank| graph.features(rank, &mut values));
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Arc::new(Float32Array::from(values));
    Ok(Arc::new(FixedSizeListArray::try_new(item, graph.width() as i32, values, None)?))
}

fn edges(graph: &RandomGraph, namer: &Namer, rows: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let ends: Vec<(u64, u64)> = rows.map(|edge| graph.edge(edge)).collect();
    let src = namer.column(ends.iter().map(|&(src, _)| graph.number(src)));
    let dst = namer.column(ends.iter().map(|&(_, dst)| graph.number(dst)));
    batch([("src", src), ("dst", dst)])
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, ArrowError> {
    let field = |(name, values): &(&str, ArrayRef)| Field::new(*name, values.data_type().clone(), false);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, values)| values).collect())
}

/// Integers are packed to the bits that their differences need; texts are compressed; random floats cannot be.
fn properties(keys: Keys) -> Result<WriterProperties, ParquetError> {
    let builder = WriterProperties::builder()
        .set_created_by("billion-tables".into())
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .set_dictionary_enabled(false)
        .set_column_encoding("label".into(), Encoding::DELTA_BINARY_PACKED);
    let ends = ["id", "src", "dst"];
    Ok(match keys {
        Keys::Int | Keys::Sparse => ends.into_iter().fold(builder, |builder, name| {
            builder.set_column_encoding(name.into(), Encoding::DELTA_BINARY_PACKED)
        }),
        Keys::Text => {
            let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
            ends.into_iter().fold(builder, |builder, name| builder.set_column_compression(name.into(), zstd))
        }
    }
    .build())
}
