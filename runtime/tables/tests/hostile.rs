//! Tables as users break them, in every format.

use std::fs::{self, OpenOptions};
use std::path::Path;

use gsl_tables::{FloatList, Output, OutputColumn, Part, Source, TableError, Values, Want, write_parquet};

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(folder.join(name), content).unwrap();
}

fn fails(folder: &Path, pattern: &str, column: &str, want: Want) -> TableError {
    Source::open(&[pattern], folder).and_then(|source| source.read(&[(column, want)])).unwrap_err()
}

#[test]
fn kinds_that_differ_between_files() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "t-1.csv", "id\n1\n");
    put(folder.path(), "t-2.csv", "id\nx\n");
    let source = Source::open(&["t-*.csv"], folder.path()).unwrap();
    assert_eq!(source.header().unwrap().columns[0].kind.to_string(), "text");
    let error = fails(folder.path(), "t-*.csv", "id", Want::Int);
    assert!(error.file.ends_with("t-2.csv"));
    assert_eq!(
        (error.code(), error.row, error.line, error.column.as_deref()),
        ("not_parsed", Some(1), Some(2), Some("id"))
    );
    write_parquet(&folder.path().join("p-1.parquet"), &[OutputColumn::new("id", Output::Int(&[1]))]).unwrap();
    write_parquet(&folder.path().join("p-2.parquet"), &[OutputColumn::new("id", Output::Text(&["x"]))])
        .unwrap();
    let error = fails(folder.path(), "p-*.parquet", "id", Want::Auto);
    assert_eq!((error.code(), error.column.as_deref()), ("mixed_kinds", Some("id")));
    assert!(error.file.ends_with("p-2.parquet") && error.help().is_some(), "{error}");
    put(folder.path(), "j-1.jsonl", "{\"id\": 1}\n");
    put(folder.path(), "j-2.jsonl", "{\"id\": [1]}\n");
    let error = fails(folder.path(), "j-*.jsonl", "id", Want::Int);
    assert!(error.file.ends_with("j-2.jsonl") && error.code() == "not_parsed", "{error}");
}

#[test]
fn a_column_that_only_some_files_have() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "t-1.csv", "a,b\n1,2\n");
    put(folder.path(), "t-2.csv", "a\n1\n");
    let error = fails(folder.path(), "t-*.csv", "b", Want::Auto);
    assert!(error.file.ends_with("t-2.csv") && error.code() == "no_such_column", "{error}");
}

#[test]
fn empty_files_and_files_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "none.csv", "");
    assert_eq!(fails(folder.path(), "none.csv", "a", Want::Auto).code(), "no_header");
    put(folder.path(), "none.parquet", "");
    assert_eq!(fails(folder.path(), "none.parquet", "a", Want::Auto).code(), "corrupt");
    put(folder.path(), "none.h5", "");
    assert_eq!(fails(folder.path(), "none.h5", "a", Want::Auto).code(), "corrupt");
    put(folder.path(), "none.jsonl", "\n\n");
    assert_eq!(fails(folder.path(), "none.jsonl", "a", Want::Auto).code(), "no_such_column");
    put(folder.path(), "head.csv", "a,b\n");
    let source = Source::open(&["head.csv"], folder.path()).unwrap();
    let table = source.read(&[("a", Want::Int)]).unwrap();
    assert_eq!((table.columns[0].len(), table.parts[0].rows), (0, 0));
}

#[test]
fn lists_of_unequal_lengths_keep_them() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "t.jsonl", "{\"v\": [1, 2]}\n{\"v\": []}\n{\"v\": [3]}\n");
    let source = Source::open(&["t.jsonl"], folder.path()).unwrap();
    assert_eq!(source.header().unwrap().columns[0].kind.to_string(), "float[]");
    let columns = source.read(&[("v", Want::Auto)]).unwrap().columns;
    let ragged = FloatList::Ragged { offsets: vec![0, 2, 2, 3], values: vec![1.0, 2.0, 3.0] };
    assert_eq!(columns[0].values, Values::FloatList(ragged));
}

/// A file of 100 MB that is one line, and one that is a quoted cell which never ends.
#[test]
fn endless_lines_and_cells_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, begin) in [("line.csv", "a\n"), ("cell.csv", "a\n1\n\""), ("line.jsonl", "{\"a\": \"")] {
        put(folder.path(), name, begin);
        OpenOptions::new().write(true).open(folder.path().join(name)).unwrap().set_len(100 << 20).unwrap();
        let error = fails(folder.path(), name, "a", Want::Auto);
        assert_eq!(error.code(), "record_too_long", "{error}");
        assert_eq!(error.line, Some(begin.matches('\n').count() as u64 + 1), "{error}");
    }
    put(folder.path(), "open.csv", "a,b\n1,2\n3,\"x\n4,5\n");
    let error = fails(folder.path(), "open.csv", "b", Want::Auto);
    assert_eq!((error.code(), error.row, error.line), ("bad_quoting", Some(2), Some(3)));
}

/// Rows are counted in 64 bits: a row beyond the 2^33rd is found in its file.
#[test]
fn rows_beyond_32_bits_are_found() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["t-1.csv", "t-2.csv", "t-3.csv"] {
        put(folder.path(), name, "a\n1\n2\n3\n");
    }
    let source = Source::open(&["t-*.csv"], folder.path()).unwrap();
    let part = |name: &str, rows| Part { file: folder.path().join(name), rows };
    let parts = [part("t-1.csv", 1 << 33), part("t-2.csv", 1 << 40), part("t-3.csv", 3)];
    let at = |row| {
        let place = source.locate(&parts, row);
        (place.file.file_name().unwrap().to_string_lossy().into_owned(), place.row, place.line)
    };
    assert_eq!(at((1 << 33) - 1), ("t-1.csv".into(), 1 << 33, None));
    assert_eq!(at(1 << 33), ("t-2.csv".into(), 1, Some(2)));
    assert_eq!(at((1 << 33) + (1 << 40) + 2), ("t-3.csv".into(), 3, Some(4)));
}
