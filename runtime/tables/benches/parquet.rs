//! Pairs of columns, such as the two ends of edges, from Parquet: rows per second on one thread.
//!
//! `cargo bench -p gsl-tables`. Row groups have a million rows and the compression is Snappy, as the common writers do.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use divan::Bencher;
use divan::counter::ItemsCount;
use gsl_tables::{Batch, Source, TableError, Values, Want};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

const ROWS: usize = 4 << 20;
const GROUP: usize = 1 << 20;
const BATCH: usize = 1 << 17;

fn main() {
    divan::main();
}

/// A well-mixed 64-bit number for a row (the finaliser of SplitMix64).
fn mixed(row: usize) -> u64 {
    let x = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Identifiers of 20 bytes, `distinct` of them.
fn identifiers(rows: std::ops::Range<usize>, salt: usize, distinct: u64) -> ArrayRef {
    let id = |row| format!("{:020}", mixed(row * 2 + salt) % distinct);
    Arc::new(StringArray::from_iter_values(rows.map(id)))
}

fn integers(rows: std::ops::Range<usize>, salt: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(rows.map(|row| (mixed(row * 2 + salt) >> 24) as i64)))
}

fn write(path: &Path, dictionary: bool, column: impl Fn(std::ops::Range<usize>, usize) -> ArrayRef) {
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(dictionary)
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP))
        .build();
    let mut writer: Option<ArrowWriter<File>> = None;
    for first in (0..ROWS).step_by(BATCH) {
        let rows = first..first + BATCH;
        let columns = [("src", column(rows.clone(), 0)), ("dst", column(rows, 1))];
        let batch = RecordBatch::try_from_iter(columns).expect("equal lengths");
        let file = || File::create(path).expect("a file");
        let writer = writer.get_or_insert_with(|| {
            ArrowWriter::try_new(file(), batch.schema(), Some(properties.clone())).expect("a writer")
        });
        writer.write(&batch).expect("written");
    }
    writer.expect("rows").close().expect("a footer");
}

fn measure(bencher: Bencher, dictionary: bool, column: impl Fn(std::ops::Range<usize>, usize) -> ArrayRef) {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("t.parquet"), dictionary, column);
    let source = Source::open(&["t.parquet"], folder.path()).expect("a table");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let total = AtomicU64::new(0);
        let touch = |batch: Batch<'_>| -> Result<(), TableError> {
            total.fetch_add(batch.columns.iter().map(|column| last(&column.values)).sum(), Ordering::Relaxed);
            Ok(())
        };
        one.install(|| source.stream(&[("src", Want::Auto), ("dst", Want::Auto)], BATCH, touch))
            .expect("read");
        total.into_inner()
    });
}

fn last(values: &Values) -> u64 {
    match values {
        Values::Int(v) => v[v.len() - 1] as u64,
        Values::Text(text) => u64::from(text.codes[text.codes.len() - 1]),
        _ => 0,
    }
}

#[divan::bench(sample_count = 10)]
fn text_pairs_in_dictionaries(bencher: Bencher) {
    measure(bencher, true, |rows, salt| identifiers(rows, salt, 40_000));
}

#[divan::bench(sample_count = 10)]
fn text_pairs_plain(bencher: Bencher) {
    measure(bencher, false, |rows, salt| identifiers(rows, salt, 10_000_000));
}

#[divan::bench(sample_count = 10)]
fn integer_pairs(bencher: Bencher) {
    measure(bencher, false, integers);
}
