//! The tables that are shipped: small, whole, and without a trace of a person.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const EDGES: [(&str, &str, &str, &str); 6] = [
    ("depends", "target", "packages", "name"),
    ("recommends", "target", "packages", "name"),
    ("suggests", "target", "packages", "name"),
    ("relations", "target", "packages", "name"),
    ("built_from", "source", "sources", "name"),
    ("kept_by", "maintainer", "maintainers", "number"),
];

#[test]
fn both_ends_of_every_edge_are_there() {
    let packages = values("packages", "name");
    assert_eq!(packages.len(), rows("packages"), "each name once");
    for (relation, column, nodes, key) in EDGES {
        assert!(values(relation, "package").is_subset(&packages), "{relation}.package");
        assert!(values(relation, column).is_subset(&values(nodes, key)), "{relation}.{column}");
    }
}

#[test]
fn every_package_has_one_source_one_maintainer_and_a_section() {
    for relation in ["built_from", "kept_by"] {
        assert_eq!(rows(relation), rows("packages"), "{relation}");
        assert_eq!(values(relation, "package").len(), rows("packages"), "{relation}");
    }
    assert!(values("packages", "section").len() > 50);
    assert!(column("packages", "section").iter().all(|part| part.null_count() == 0));
}

#[test]
fn no_address_is_in_any_table() {
    let tables =
        EDGES.map(|(relation, ..)| relation).into_iter().chain(["packages", "sources", "maintainers"]);
    for table in tables {
        let texts =
            read(table).into_iter().flat_map(|batch| batch.columns().to_vec()).flat_map(|c| cells(&c));
        assert_eq!(texts.filter(|text| text.contains('@')).count(), 0, "{table}");
    }
}

#[test]
fn the_tables_are_small() {
    let files = std::fs::read_dir(folder()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 6_000_000, "{bytes} bytes");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data")
}

fn read(table: &str) -> Vec<RecordBatch> {
    let file = File::open(folder().join(format!("{table}.parquet"))).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

fn column(table: &str, name: &str) -> Vec<ArrayRef> {
    read(table).iter().map(|batch| batch.column_by_name(name).unwrap().clone()).collect()
}

fn rows(table: &str) -> usize {
    read(table).iter().map(RecordBatch::num_rows).sum()
}

fn values(table: &str, name: &str) -> BTreeSet<String> {
    column(table, name).iter().flat_map(cells).collect()
}

/// Texts and whole numbers as text; nothing of other columns.
fn cells(column: &ArrayRef) -> Vec<String> {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().map(String::from).collect(),
        DataType::Int64 => {
            column.as_primitive::<Int64Type>().iter().flatten().map(|n| n.to_string()).collect()
        }
        _ => Vec::new(),
    }
}
