//! Tables as users have them, and as users break them.

use std::fs;
use std::io::Write;
use std::path::Path;

use gsl_tables::{
    Bitmap, Column, ColumnKind, FloatList, Output, OutputColumn, Problem, Source, TableError, TextValues,
    Values, Want, write_parquet,
};
use proptest::prelude::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn read_one(folder: &Path, name: &str, columns: &[(&str, Want)]) -> Result<Vec<Column>, TableError> {
    Ok(Source::open(&[name], folder)?.read(columns)?.columns)
}

fn texts(column: &Column) -> Vec<Option<String>> {
    let Values::Text(text) = &column.values else { panic!("{:?}", column.values.kind()) };
    (0..column.len()).map(|row| text.get(row).map(str::to_string)).collect()
}

fn ints(column: &Column) -> Vec<i64> {
    let Values::Int(values) = &column.values else { panic!("{:?}", column.values.kind()) };
    values.clone()
}

fn failure(content: &str, column: &str, want: Want) -> TableError {
    let folder = folder();
    put(folder.path(), "t.csv", content);
    read_one(folder.path(), "t.csv", &[(column, want)]).unwrap_err()
}

#[test]
fn kinds_are_guessed_from_the_first_rows() {
    let folder = folder();
    let content = "id,zip,x,ok,day,at,name,v\n1,007,1.5,true,2018-01-02,2018-01-02T03:04:05Z,a,\"[1, 2]\"\n\
                   2,123,,false,2019-01-02,2018-01-02 03:04,b,\"[3,4]\"\n";
    put(folder.path(), "t.csv", content);
    let header = Source::open(&["t.csv"], folder.path()).unwrap().header().unwrap();
    let kinds: Vec<String> = header.columns.iter().map(|c| c.kind.to_string()).collect();
    assert_eq!(kinds, ["int", "text", "float", "bool", "date", "time", "text", "float[2]"]);
    assert_eq!(header.column("x").unwrap().missing, Some(0.5));
    assert!(header.sampled && header.rows.is_none());
}

#[test]
fn keys_with_leading_zeros_survive_as_text() {
    let folder = folder();
    put(folder.path(), "t.csv", "k\n007\n7\n\n0x\n");
    let columns = read_one(folder.path(), "t.csv", &[("k", Want::Text)]).unwrap();
    assert_eq!(texts(&columns[0]), [Some("007".into()), Some("7".into()), None, Some("0x".into())]);
    assert_eq!(columns[0].n_missing(), 1);
}

#[test]
fn files_come_in_natural_order_and_places_are_found() {
    let folder = folder();
    put(folder.path(), "d/part-10.csv", "a\n4\n");
    put(folder.path(), "d/part-2.csv", "a\n2\n3\n");
    put(folder.path(), "d/part-1.csv", "a\n1\n");
    put(folder.path(), "d/README.md", "no table");
    put(folder.path(), "d/_SUCCESS", "");
    for pattern in ["d", "d/part-*.csv", "**/part-*.csv"] {
        let source = Source::open(&[pattern], folder.path()).unwrap();
        let table = source.read(&[("a", Want::Auto)]).unwrap();
        assert_eq!(ints(&table.columns[0]), [1, 2, 3, 4], "{pattern}");
        let place = source.locate(&table.parts, 2);
        assert!(place.file.ends_with("part-2.csv") && place.row == 2 && place.line == Some(3));
    }
}

#[test]
fn gzip_tsv_and_line_breaks() {
    let folder = folder();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a\tb\r\n1\t\"two\nlines\"\r\n2\tx\r\n").unwrap();
    let bytes = gzip.finish().unwrap();
    put(folder.path(), "t.tsv.gz", &bytes);
    let columns = read_one(folder.path(), "t.tsv.gz", &[("b", Want::Auto), ("a", Want::Float)]).unwrap();
    assert_eq!(texts(&columns[0]), [Some("two\nlines".into()), Some("x".into())]);
    assert_eq!(columns[1].values, Values::Float(vec![1.0, 2.0]));
    put(folder.path(), "cut.tsv.gz", &bytes[..bytes.len() - 12]);
    let error = read_one(folder.path(), "cut.tsv.gz", &[("a", Want::Auto)]).unwrap_err();
    assert_eq!(error.code(), "corrupt");
}

#[test]
fn missing_files_and_columns_are_answered_with_the_nearest_name() {
    let folder = folder();
    put(folder.path(), "packages.csv", "name,installed_size\na,1\n");
    let error = Source::open(&["pakages.csv"], folder.path()).unwrap_err();
    assert_eq!(error.code(), "missing_file");
    assert!(error.help().unwrap().contains("packages.csv"));
    let error = read_one(folder.path(), "packages.csv", &[("instaled_size", Want::Auto)]).unwrap_err();
    assert_eq!(error.help().unwrap(), "did you mean `installed_size`?");
    assert_eq!(Source::open(&["*.tsv"], folder.path()).unwrap_err().code(), "nothing_matches");
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(Source::open(&["empty"], folder.path()).unwrap_err().code(), "empty_folder");
    put(folder.path(), "t.xlsx", "");
    assert_eq!(Source::open(&["t.xlsx"], folder.path()).unwrap_err().code(), "unknown_format");
}

#[test]
fn broken_text_tables_name_row_line_and_column() {
    let at =
        |error: &TableError| (error.code(), error.row, error.line, error.column.clone().unwrap_or_default());
    let ragged = failure("a,b\n1,2\n\n3,4,5\n", "a", Want::Auto);
    assert_eq!(at(&ragged), ("ragged_row", Some(2), Some(4), String::new()));
    let short = failure("a,b\n1,\"2\n2\"\n3\n", "a", Want::Auto);
    assert_eq!(at(&short), ("ragged_row", Some(2), Some(4), String::new()));
    assert_eq!(at(&failure("a,b\n1,2\n3,x\n", "b", Want::Int)), ("not_parsed", Some(2), Some(3), "b".into()));
    assert_eq!(at(&failure("a\n1e999x\n", "a", Want::Float)).0, "not_parsed");
    let overflow = failure("a\n1\n9223372036854775808\n", "a", Want::Int);
    assert_eq!(at(&overflow), ("overflow", Some(2), Some(3), "a".into()));
    assert_eq!(at(&failure("a,b\n1,\"2\n", "b", Want::Int)), ("bad_quoting", Some(1), Some(2), "b".into()));
    assert_eq!(
        at(&failure("a,b\n1,2\" nail\n", "b", Want::Text)),
        ("bad_quoting", Some(1), Some(2), "b".into())
    );
    assert_eq!(at(&failure("a,b\n1,\"2\"x\n", "b", Want::Text)).0, "bad_quoting");
    assert_eq!(failure("", "a", Want::Auto).code(), "no_header");
    assert_eq!(failure("\u{feff}", "a", Want::Auto).code(), "no_header");
    assert_eq!(failure("a,b,a\n1,2,3\n", "a", Want::Auto).code(), "duplicate_column");
    assert_eq!(failure("a\ttab\n1\t2\n", "b", Want::Auto).code(), "no_such_column");
}

#[test]
fn invalid_utf8_is_named() {
    let folder = folder();
    put(folder.path(), "t.csv", b"a,b\n1,x\n2,caf\xe9\n");
    let error = read_one(folder.path(), "t.csv", &[("a", Want::Auto)]).unwrap_err();
    assert_eq!(
        (error.code(), error.row, error.line, error.column.as_deref()),
        ("not_utf8", Some(2), Some(3), Some("b"))
    );
    put(folder.path(), "u16.csv", b"\xff\xfea\0,\0b\0\n\0");
    assert_eq!(read_one(folder.path(), "u16.csv", &[("a", Want::Auto)]).unwrap_err().code(), "not_utf8");
}

#[test]
fn a_late_surprise_says_what_the_first_rows_were() {
    let mut content = String::from("a\n");
    (0..1500).for_each(|i| content.push_str(&format!("{i}\n")));
    content.push_str("late\n");
    let error = failure(&content, "a", Want::Auto);
    assert!(matches!(&*error.problem, Problem::NotAsSampled { found, .. } if found == "late"));
    assert_eq!((error.row, error.line), (Some(1501), Some(1502)));
}

type EveryKind = (Vec<i64>, Vec<f64>, Vec<bool>, Vec<u32>, TextValues, Vec<f32>, Bitmap);

fn every_kind(rows: usize) -> EveryKind {
    let values: TextValues = ["red", "green", "blau ü"].into_iter().collect();
    (
        (0..rows as i64).map(|i| i * i - 7).collect(),
        (0..rows).map(|i| i as f64 / 3.0).collect(),
        (0..rows).map(|i| i % 3 == 0).collect(),
        (0..rows as u32).map(|i| i % 3).collect(),
        values,
        (0..rows * 2).map(|i| i as f32).collect(),
        (0..rows).map(|i| i % 5 != 1).collect(),
    )
}

#[test]
fn parquet_round_trip_of_every_kind() {
    let folder = folder();
    let (int, float, truth, codes, values, list, valid) = every_kind(1000);
    let path = folder.path().join("t.parquet");
    let column = |name, values| OutputColumn { name, values, validity: Some(&valid) };
    let columns = [
        OutputColumn::new("int", Output::Int(&int)),
        column("float", Output::Float(&float)),
        column("truth", Output::Bool(&truth)),
        column("text", Output::Codes { codes: &codes, values: &values }),
        column("day", Output::Date(&int)),
        column("time", Output::Time(&int)),
        column("list", Output::FloatList { width: 2, values: &list }),
    ];
    write_parquet(&path, &columns).unwrap();
    let source = Source::open(&["t.parquet"], folder.path()).unwrap();
    let header = source.header().unwrap();
    assert_eq!(header.rows, Some(1000));
    let kinds: Vec<String> = header.columns.iter().map(|c| c.kind.to_string()).collect();
    assert_eq!(kinds, ["int", "float", "bool", "text", "date", "time", "float[2]"]);
    assert_eq!(header.column("float").unwrap().missing, Some(0.2));
    let names: Vec<(&str, Want)> = header.names().map(|name| (name, Want::Auto)).collect();
    let table = source.read(&names).unwrap();
    assert_eq!(table.columns[0].values, Values::Int(int.clone()));
    assert_eq!(table.columns[1].validity.as_ref(), Some(&valid));
    for row in (0..1000).filter(|&row| valid.get(row)) {
        let (Values::Float(f), Values::FloatList(l)) = (&table.columns[1].values, &table.columns[6].values)
        else {
            panic!()
        };
        assert_eq!((f[row], l.row(row)), (float[row], &list[row * 2..row * 2 + 2]));
        assert_eq!(texts(&table.columns[3])[row].as_deref(), Some(values.get(codes[row])));
    }
    let mut streamed = Vec::new();
    source
        .for_each_batch::<TableError>(&[("int", Want::Auto)], 77, |batch| {
            assert_eq!(batch.first_global_row as usize, streamed.len());
            streamed.extend(ints(&batch.columns[0]));
            Ok(())
        })
        .unwrap();
    assert_eq!(streamed, int);
}

#[test]
fn parquet_values_are_converted_as_wanted() {
    let folder = folder();
    let path = folder.path().join("t.parquet");
    let digits = ["7", "12"];
    let columns = [
        OutputColumn::new("i", Output::Int(&[7, 12])),
        OutputColumn::new("f", Output::Float(&[7.0, 12.5])),
        OutputColumn::new("t", Output::Text(&digits)),
    ];
    write_parquet(&path, &columns).unwrap();
    let read = |name, want| read_one(folder.path(), "t.parquet", &[(name, want)]);
    assert_eq!(texts(&read("i", Want::Text).unwrap()[0]), [Some("7".into()), Some("12".into())]);
    assert_eq!(ints(&read("t", Want::Int).unwrap()[0]), [7, 12]);
    assert_eq!(read("t", Want::Float).unwrap()[0].values, Values::Float(vec![7.0, 12.0]));
    let error = read("f", Want::Int).unwrap_err();
    assert_eq!((error.code(), error.row, error.column.as_deref()), ("not_parsed", Some(2), Some("f")));
    assert_eq!(read("i", Want::Bool).unwrap_err().code(), "not_parsed");
}

#[test]
fn kinds_that_differ_between_parquet_files_are_refused() {
    let folder = folder();
    let write = |name: &str, values| {
        write_parquet(&folder.path().join(name), &[OutputColumn::new("x", values)]).unwrap()
    };
    write("a/1.parquet", Output::Int(&[1]));
    write("a/2.parquet", Output::Float(&[2.5]));
    let columns = read_one(folder.path(), "a", &[("x", Want::Auto)]).unwrap();
    assert_eq!(columns[0].values, Values::Float(vec![1.0, 2.5]));
    write("a/3.parquet", Output::Text(&["no"]));
    let error = read_one(folder.path(), "a", &[("x", Want::Auto)]).unwrap_err();
    assert!(error.code() == "mixed_kinds" && error.file.ends_with("3.parquet"));
    put(folder.path(), "a/4.csv", "x\n1\n");
    assert_eq!(Source::open(&["a"], folder.path()).unwrap_err().code(), "mixed_formats");
}

#[test]
fn truncated_and_flipped_parquet_end_in_errors_or_values() {
    let folder = folder();
    let (int, float, _, codes, values, list, _) = every_kind(5000);
    let path = folder.path().join("t.parquet");
    let columns = [
        OutputColumn::new("i", Output::Int(&int)),
        OutputColumn::new("f", Output::Float(&float)),
        OutputColumn::new("t", Output::Codes { codes: &codes, values: &values }),
        OutputColumn::new("l", Output::FloatList { width: 2, values: &list }),
    ];
    write_parquet(&path, &columns).unwrap();
    let good = fs::read(&path).unwrap();
    let all = [("i", Want::Auto), ("f", Want::Auto), ("t", Want::Auto), ("l", Want::Auto)];
    for length in [0, 3, 4, 100, good.len() / 2, good.len() - 1] {
        put(folder.path(), "cut.parquet", &good[..length]);
        let error = read_one(folder.path(), "cut.parquet", &all).unwrap_err();
        assert_eq!(error.code(), "corrupt", "{length}: {error}");
    }
    std::panic::set_hook(Box::new(|_| {}));
    for step in 0..200 {
        let mut bad = good.clone();
        let at = (step * 7919 + 13) % bad.len();
        bad[at] ^= 1 << (step % 8);
        put(folder.path(), "flip.parquet", &bad);
        let _ = read_one(folder.path(), "flip.parquet", &all);
    }
    let _ = std::panic::take_hook();
}

#[test]
fn fingerprints_follow_content_not_place() {
    let folder = folder();
    put(folder.path(), "a/t.csv", "x\n1\n");
    put(folder.path(), "b/t.csv", "x\n1\n");
    let of = |name: &str| Source::open(&[name], folder.path()).unwrap().fingerprint().unwrap();
    let before = of("a/t.csv");
    assert_eq!(before.hash, of("b/t.csv").hash);
    put(folder.path(), "a/t.csv", "x\n2\n");
    let after = of("a/t.csv");
    assert_ne!(before.hash, after.hash);
    assert_eq!(after.changed_since(&before).len(), 1);
    assert!(after.changed_since(&after).is_empty());
}

#[test]
fn unequal_lists_stay_ragged_and_lengths_must_agree() {
    let folder = folder();
    put(folder.path(), "t.csv", "v\n1;2\n3\n");
    let columns = read_one(folder.path(), "t.csv", &[("v", Want::FloatList)]).unwrap();
    let Values::FloatList(list @ FloatList::Ragged { .. }) = &columns[0].values else { panic!() };
    assert_eq!((list.row(0), list.row(1)), (&[1.0, 2.0][..], &[3.0][..]));
    let uneven = [OutputColumn::new("a", Output::Int(&[1])), OutputColumn::new("b", Output::Int(&[1, 2]))];
    let error = write_parquet(&folder.path().join("x.parquet"), &uneven).unwrap_err();
    assert_eq!(error.code(), "length_mismatch");
    assert!(!folder.path().join("x.parquet").exists());
    assert_eq!(ColumnKind::FloatList(None).to_string(), "float[]");
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,6}", "[ -~\n\"é,\t]{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any cells, quoted as RFC 4180 says, come back, also when the table is cut into two files.
    #[test]
    fn quoted_cells_come_back(rows in prop::collection::vec((cell(), cell()), 1..40), cut in 0usize..40) {
        let folder = folder();
        let quote = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let lines: Vec<String> = rows.iter().map(|(a, b)| format!("{},{}\r\n", quote(a), quote(b))).collect();
        let cut = cut.min(lines.len());
        put(folder.path(), "t-1.csv", format!("a,b\n{}", lines[..cut].concat()));
        put(folder.path(), "t-2.csv", format!("a,b\n{}", lines[cut..].concat()));
        let columns = read_one(folder.path(), "t-*.csv", &[("b", Want::Text), ("a", Want::Text)]).unwrap();
        let expected: Vec<Option<String>> = rows.iter().map(|(_, b)| Some(b.clone())).collect();
        prop_assert_eq!(texts(&columns[0]), expected);
    }

    /// Whatever the bytes, the reader answers or refuses.
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(b','), Just(b'"'), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200)) {
        let folder = folder();
        put(folder.path(), "t.csv", &bytes);
        let source = Source::open(&["t.csv"], folder.path()).unwrap();
        if let Ok(header) = source.header() {
            let names: Vec<(&str, Want)> = header.names().map(|name| (name, Want::Auto)).collect();
            let _ = source.read(&names);
        }
    }
}
