//! Tables in batches: every row once, in batches of any size, by any number of threads, and the earliest mistake told.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use gsl_tables::{
    Batch, Output, OutputColumn, Source, TableError, TableWriter, TextValues, Values, Want, write_parquet,
};

/// First row, and the cells of a batch as text.
type Piece = (u64, Vec<Vec<String>>);

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(folder.join(name), content).unwrap();
}

fn cell(values: &Values, row: usize) -> String {
    match values {
        Values::Int(v) => v[row].to_string(),
        Values::Text(text) => text.get(row).unwrap_or("-").to_string(),
        Values::FloatList(list) => format!("{:?}", list.row(row)),
        other => panic!("{:?}", other.kind()),
    }
}

fn rows_of(batch: &Batch) -> Vec<Vec<String>> {
    let row = |row| batch.columns.iter().map(|column| cell(&column.values, row)).collect();
    (0..batch.rows).map(row).collect()
}

fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn streamed(source: &Source, columns: &[(&str, Want)], rows: usize, threads: usize) -> Vec<Vec<String>> {
    let pieces: Mutex<Vec<Piece>> = Mutex::default();
    let keep = |batch: Batch<'_>| -> Result<(), TableError> {
        assert!(batch.rows <= rows && batch.columns.iter().all(|column| column.len() == batch.rows));
        pieces.lock().unwrap().push((batch.first_global_row, rows_of(&batch)));
        Ok(())
    };
    let parts = on(threads, || source.stream(columns, rows, keep)).unwrap();
    let mut pieces = pieces.into_inner().unwrap();
    pieces.sort();
    let mut next = 0;
    for (first_row, rows) in &pieces {
        assert_eq!(*first_row, next);
        next += rows.len() as u64;
    }
    assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), next);
    pieces.into_iter().flat_map(|(_, rows)| rows).collect()
}

/// Several row groups of a text column of few values, one of many, and an integer.
fn write_groups(path: &Path, groups: usize, rows: usize) {
    let few: TextValues = ["red", "green", "blue"].into_iter().collect();
    let mut writer = TableWriter::create(path).unwrap();
    for group in 0..groups {
        let codes: Vec<u32> = (0..rows as u32).map(|row| (row + group as u32) % 3).collect();
        let names: Vec<String> = (0..rows).map(|row| format!("row-{group}-{row}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let numbers: Vec<i64> = (0..rows as i64).map(|row| row - 5).collect();
        let columns = [
            OutputColumn::new("few", Output::Codes { codes: &codes, values: &few }),
            OutputColumn::new("many", Output::Text(&names)),
            OutputColumn::new("n", Output::Int(&numbers)),
        ];
        writer.write(&columns).unwrap();
        writer.cut().unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn every_row_comes_once_whatever_the_batches_and_threads() {
    let folder = tempfile::tempdir().unwrap();
    write_groups(&folder.path().join("t-1.parquet"), 3, 1000);
    write_groups(&folder.path().join("t-2.parquet"), 1, 10);
    let source = Source::open(&["t-*.parquet"], folder.path()).unwrap();
    assert_eq!(source.rows().unwrap(), Some(3010));
    let columns = [("few", Want::Auto), ("n", Want::Auto), ("many", Want::Auto)];
    let expected = streamed(&source, &columns, usize::MAX, 1);
    assert_eq!(expected[2999], ["blue", "994", "row-2-999"]);
    assert_eq!(expected[3000], ["red", "-5", "row-0-0"]);
    for (rows, threads) in [(1, 1), (7, 3), (999, 2), (1000, 4), (5000, 2)] {
        assert_eq!(streamed(&source, &columns, rows, threads), expected, "{rows} rows, {threads} threads");
    }
}

#[test]
fn text_files_are_cut_between_records() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: usize| match i % 5 {
        0 => format!("{i},\"two\nlines, {i}\"\n\n"),
        1 => format!("{i},\"say \"\"{i}\"\"\"\r\n"),
        _ => format!("{i},plain {}\n", i % 2),
    };
    put(folder.path(), "t-1.csv", format!("a,b\n{}", (0..3000).map(row).collect::<String>()));
    put(folder.path(), "t-2.csv", "\u{feff}a,b\n");
    put(folder.path(), "t-3.csv", "b,a\nlast,3000");
    let source = Source::open(&["t-*.csv"], folder.path()).unwrap();
    let columns = [("a", Want::Int), ("b", Want::Text)];
    let expected = streamed(&source, &columns, usize::MAX, 1);
    assert_eq!(expected[5], ["5", "two\nlines, 5"]);
    assert_eq!(expected[6], ["6", "say \"6\""]);
    assert_eq!((expected.len(), expected[3000][1].as_str()), (3001, "last"));
    for (rows, threads) in [(1, 2), (64, 3), (2999, 2)] {
        assert_eq!(streamed(&source, &columns, rows, threads), expected);
    }
    let places: Vec<u64> =
        source.stream(&columns, 64, |_| Ok::<_, TableError>(())).unwrap().iter().map(|p| p.rows).collect();
    assert_eq!(places, [3000, 0, 1]);
}

#[test]
fn the_earliest_mistake_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String =
        (0..20_000).map(|i| if i % 5000 == 4999 { "x\n".into() } else { format!("{i}\n") }).collect();
    put(folder.path(), "a.csv", format!("n\n{rows}"));
    put(folder.path(), "b.csv", "n\nfirst\n");
    for threads in [1, 2, 4] {
        for rows in [10, 1000, 100_000] {
            let source = Source::open(&["a.csv", "b.csv"], folder.path()).unwrap();
            let error = on(threads, || source.stream(&[("n", Want::Int)], rows, |_| Ok::<_, TableError>(())));
            let error = error.unwrap_err();
            assert_eq!((error.row, error.line, error.code()), (Some(5000), Some(5001), "not_parsed"));
        }
    }
}

#[test]
fn the_earliest_complaint_of_the_caller_is_told() {
    #[derive(Debug)]
    enum Mistake {
        Table,
        At(u64),
    }
    impl From<TableError> for Mistake {
        fn from(_: TableError) -> Self {
            Mistake::Table
        }
    }
    let folder = tempfile::tempdir().unwrap();
    write_groups(&folder.path().join("t.parquet"), 8, 500);
    let source = Source::open(&["t.parquet"], folder.path()).unwrap();
    let complain = |batch: Batch<'_>| match batch.first_global_row {
        row if row >= 1300 => Err(Mistake::At(row)),
        _ => Ok(()),
    };
    for threads in [1, 2, 4] {
        let told = on(threads, || source.stream(&[("n", Want::Auto)], 100, complain)).unwrap_err();
        assert!(matches!(told, Mistake::At(1300)), "{told:?}");
    }
}

/// What [`Batch::known`] says has been shown is what an earlier batch of the run had.
#[test]
fn dictionaries_grow_within_a_run() {
    let folder = tempfile::tempdir().unwrap();
    write_groups(&folder.path().join("t.parquet"), 2, 1000);
    let source = Source::open(&["t.parquet"], folder.path()).unwrap();
    let known = Mutex::new(Vec::new());
    source
        .stream_with(&[("few", Want::Auto)], 100, Vec::<String>::new, |shown, batch| {
            let Values::Text(text) = &batch.columns[0].values else { panic!() };
            let values: Vec<String> = text.values.iter().map(str::to_string).collect();
            assert_eq!(shown[..batch.known[0]], values[..batch.known[0]]);
            *shown = values;
            known.lock().unwrap().push((batch.first_global_row, batch.known[0], shown.len()));
            Ok::<_, TableError>(())
        })
        .unwrap();
    let mut known = known.into_inner().unwrap();
    known.sort();
    let first: Vec<u64> = known.iter().filter(|(_, known, _)| *known == 0).map(|(row, _, _)| *row).collect();
    assert_eq!(first, [0, 1000]);
    assert!(known.iter().all(|(_, known, len)| *len == 3 && (*known == 0 || *known == 3)));
}

/// A dictionary may hold texts that no row has: they are not shown.
#[test]
fn values_of_no_row_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let values: TextValues = ["unused", "b", "a"].into_iter().collect();
    let codes = [2, 1, 2];
    let column = OutputColumn::new("t", Output::Codes { codes: &codes, values: &values });
    write_parquet(&folder.path().join("t.parquet"), &[column]).unwrap();
    let source = Source::open(&["t.parquet"], folder.path()).unwrap();
    let look = |batch: Batch<'_>| {
        let Values::Text(text) = &batch.columns[0].values else { panic!() };
        assert_eq!(text.values.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(text.codes, [0, 1, 0]);
        Ok::<_, TableError>(())
    };
    source.stream(&[("t", Want::Auto)], 10, look).unwrap();
}

/// While one thread uses a batch of lists, another may decode the next.
#[test]
fn lists_of_one_row_group_come_in_order_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<f32> = (0..6000).map(|i| i as f32).collect();
    let column = OutputColumn::new("x", Output::FloatList { values: &numbers, width: 3 });
    write_parquet(&folder.path().join("x.parquet"), &[column]).unwrap();
    let source = Source::open(&["x.parquet"], folder.path()).unwrap();
    let expected: Vec<Vec<String>> = numbers.chunks(3).map(|list| vec![format!("{list:?}")]).collect();
    for (threads, rows) in [(1, 70), (2, 70), (3, 7), (3, 5000)] {
        assert_eq!(streamed(&source, &[("x", Want::FloatList)], rows, threads), expected);
    }
}
