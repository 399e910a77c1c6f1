//! What the tables hold, read back from the files.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use billion_tables::error::Error;
use billion_tables::tables::Keys;
use billion_tables::{Recipe, make};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const SMALL: Recipe = Recipe { nodes: 3_000, edges: 100_000, features: 5, keys: Keys::Int, seed: 1 };

fn made(recipe: &Recipe, files: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let written = make(recipe, files, folder.path()).unwrap();
    assert_eq!(written.len() as u64, 2 * files);
    assert!(written.iter().all(|w| w.bytes == w.path.metadata().unwrap().len()));
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn batches(folder: &Path) -> Vec<RecordBatch> {
    let read = |path| ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build();
    files(folder).into_iter().flat_map(|path| read(path).unwrap()).map(Result::unwrap).collect()
}

fn integers(folder: &Path, column: &str) -> Vec<i64> {
    let values = |b: &RecordBatch| b[column].as_primitive::<Int64Type>().values().to_vec();
    batches(folder).iter().flat_map(values).collect()
}

fn texts(folder: &Path, column: &str) -> Vec<String> {
    let values =
        |b: &RecordBatch| b[column].as_string::<i32>().iter().flatten().map(String::from).collect::<Vec<_>>();
    batches(folder).iter().flat_map(values).collect()
}

/// Every value of a column as bits.
fn floats(folder: &Path, column: &str) -> Vec<u32> {
    let bits = |b: &RecordBatch| {
        let lists = b[column].as_fixed_size_list();
        lists.values().as_primitive::<Float32Type>().values().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    batches(folder).iter().flat_map(bits).collect()
}

#[test]
fn rows_depend_on_the_seed_alone() {
    let (one, three) = (made(&SMALL, 1), made(&SMALL, 3));
    let other = made(&Recipe { seed: 2, ..SMALL }, 1);
    for (table, column) in [("nodes", "id"), ("nodes", "label"), ("edges", "src"), ("edges", "dst")] {
        let of = |folder: &tempfile::TempDir| integers(&folder.path().join(table), column);
        assert_eq!(of(&one), of(&three), "{table}.{column}");
        assert_ne!(of(&one), of(&other), "{table}.{column}");
    }
    let of = |folder: &tempfile::TempDir| floats(&folder.path().join("nodes"), "features");
    assert_eq!(of(&one).len(), 15_000);
    assert_eq!(of(&one), of(&three));
    assert_ne!(of(&one), of(&other));
}

#[test]
fn integer_keys_are_the_numbers_from_0_in_no_order() {
    let folder = made(&SMALL, 2);
    let ids = integers(&folder.path().join("nodes"), "id");
    let rises = ids.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((1_350..1_650).contains(&rises), "{rises}");
    assert!(ids.iter().copied().collect::<BTreeSet<_>>().into_iter().eq(0..3_000));
    for column in ["src", "dst"] {
        let ends = integers(&folder.path().join("edges"), column);
        assert_eq!(ends.len(), 100_000);
        assert!(ends.iter().all(|end| (0..3_000).contains(end)));
    }
}

#[test]
fn all_kinds_of_keys_name_the_same_graph() {
    let plain = made(&SMALL, 1);
    let sparse = made(&Recipe { keys: Keys::Sparse, ..SMALL }, 1);
    let text = made(&Recipe { keys: Keys::Text, ..SMALL }, 1);
    let of = |folder: &tempfile::TempDir, table, column| integers(&folder.path().join(table), column);
    let numbers = of(&plain, "nodes", "id");
    let strewn = of(&sparse, "nodes", "id");
    assert_eq!(strewn.iter().collect::<BTreeSet<_>>().len(), 3_000);
    assert!(strewn.iter().all(|id| (0..1 << 40).contains(id)) && strewn.iter().any(|id| *id > 1 << 39));
    let mut sparse_of = vec![0; 3_000];
    numbers.iter().zip(&strewn).for_each(|(&number, &key)| sparse_of[number as usize] = key);
    for (table, column) in [("nodes", "id"), ("edges", "src"), ("edges", "dst")] {
        let numbers = of(&plain, table, column);
        let expected: Vec<i64> = numbers.iter().map(|&n| sparse_of[n as usize]).collect();
        assert_eq!(of(&sparse, table, column), expected);
        let expected: Vec<String> = numbers.iter().map(|n| format!("user-{n:015}")).collect();
        assert_eq!(texts(&text.path().join(table), column), expected);
    }
}

#[test]
fn groups_of_rows_can_be_read_side_by_side() {
    let folder = made(&Recipe { nodes: 10, edges: (1 << 21) + 5, features: 1, ..SMALL }, 1);
    let file = File::open(&files(&folder.path().join("edges"))[0]).unwrap();
    let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
    let rows: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(rows, [1 << 20, 1 << 20, 5]);
}

#[test]
fn fewer_rows_than_files_leave_some_empty() {
    let folder = made(&Recipe { nodes: 2, edges: 1, features: 1, ..SMALL }, 4);
    assert_eq!(integers(&folder.path().join("nodes"), "id").len(), 2);
    assert_eq!(integers(&folder.path().join("edges"), "src").len(), 1);
}

#[test]
fn what_stands_there_is_not_mixed_with_new_tables() {
    let folder = made(&SMALL, 2);
    assert!(matches!(make(&SMALL, 1, folder.path()), Err(Error::Occupied { .. })));
    assert_eq!(files(&folder.path().join("edges")).len(), 2);
}

#[test]
fn sizes_that_cannot_be_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let wrong =
        [Recipe { nodes: 0, ..SMALL }, Recipe { features: 0, ..SMALL }, Recipe { nodes: 1 << 41, ..SMALL }];
    for recipe in wrong {
        assert!(matches!(make(&recipe, 1, folder.path()), Err(Error::OutOfRange { .. })), "{recipe:?}");
    }
    assert!(matches!(make(&SMALL, 0, folder.path()), Err(Error::OutOfRange { .. })));
    assert!(files(folder.path()).is_empty());
}
