//! Formats and types: what each gives, and what each refuses.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder, StringBuilder};
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Date64Array, Decimal128Array, DictionaryArray, FixedSizeListArray,
    Float16Array, Float32Array, Int16Array, Int32Array, LargeStringArray, ListArray, NullArray, RecordBatch,
    StringArray, StructArray, Time32SecondArray, TimestampMillisecondArray, TimestampSecondArray,
    UInt64Array,
};
use arrow_schema::{DataType, Field};
use gsl_tables::{Column, Dialect, FloatList, Format, Source, TableError, Values, Want};
use parquet::arrow::ArrowWriter;

fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(folder.join(name), content).unwrap();
}

fn read(folder: &Path, name: &str, columns: &[(&str, Want)]) -> Result<Vec<Column>, TableError> {
    Ok(Source::open(&[name], folder)?.read(columns)?.columns)
}

fn texts(column: &Column) -> Vec<&str> {
    let Values::Text(text) = &column.values else { panic!("{:?}", column.values.kind()) };
    (0..column.len()).map(|row| text.get(row).unwrap_or("-")).collect()
}

fn text_lists(column: &Column) -> Vec<Vec<&str>> {
    let Values::TextList(list) = &column.values else { panic!("{:?}", column.values.kind()) };
    (0..column.len()).map(|row| list.texts(row).collect()).collect()
}

fn kinds(source: &Source) -> Vec<String> {
    source
        .header()
        .unwrap()
        .columns
        .iter()
        .map(|c| format!("{} {} {}", c.name, c.kind, c.type_name))
        .collect()
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn bytes16(rows: &[[u8; 16]]) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::new(16);
    rows.iter().for_each(|row| builder.append_value(row).unwrap());
    Arc::new(builder.finish())
}

fn lists_of_text(rows: &[&[&str]]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in rows {
        row.iter().for_each(|text| builder.values().append_value(text));
        builder.append(true);
    }
    Arc::new(builder.finish())
}

#[test]
fn every_type_of_parquet_is_a_kind() {
    let folder = tempfile::tempdir().unwrap();
    let half = |x: f32| half_of(x);
    let fixed =
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>([Some([Some(1.0), Some(2.0)]), None], 2);
    let ragged = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(7)]), Some(vec![])]);
    let names: DictionaryArray<arrow_array::types::Int8Type> = ["b", "a"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("int16", Arc::new(Int16Array::from(vec![Some(-3), None]))),
        ("uint64", Arc::new(UInt64Array::from(vec![7, 8]))),
        ("half", Arc::new(Float16Array::from(vec![half(0.5), half(-2.0)]))),
        ("price", Arc::new(Decimal128Array::from(vec![1234, -5]).with_precision_and_scale(9, 2).unwrap())),
        ("count", Arc::new(Decimal128Array::from(vec![12, 13]).with_precision_and_scale(20, 0).unwrap())),
        ("day", Arc::new(Date64Array::from(vec![86_400_000 * 3, 0]))),
        ("seconds", Arc::new(TimestampSecondArray::from(vec![5, -1]))),
        ("millis", Arc::new(TimestampMillisecondArray::from(vec![5, -1]).with_timezone("+02:00"))),
        ("clock", Arc::new(Time32SecondArray::from(vec![3600, 1]))),
        ("uuid", bytes16(&[[0x11; 16], [0xab; 16]])),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"x", b"y"]))),
        ("large", Arc::new(LargeStringArray::from(vec!["p", "q"]))),
        ("dictionary", Arc::new(names)),
        ("fixed", Arc::new(fixed)),
        ("ragged", Arc::new(ragged)),
        ("words", lists_of_text(&[&["b", "a"], &[]])),
        ("nothing", Arc::new(NullArray::new(2))),
    ];
    parquet(&folder.path().join("t.parquet"), columns);
    let source = Source::open(&["t.parquet"], folder.path()).unwrap();
    let expected = [
        "int16 int int16",
        "uint64 int uint64",
        "half float float16",
        "price float decimal(9, 2)",
        "count int decimal(20, 0)",
        "day date date",
        "seconds time timestamp[s]",
        "millis time timestamp[ms]",
        "clock time time of day",
        "uuid text uuid",
        "bytes text text",
        "large text text",
        "dictionary text text",
        "fixed float[2] float32[2]",
        "ragged float[] list<int64>",
        "words text[] list<text>",
        "nothing text null",
    ];
    assert_eq!(kinds(&source), expected);
    let header = source.header().unwrap();
    let all: Vec<(&str, Want)> = header.names().map(|name| (name, Want::Auto)).collect();
    let columns = source.read(&all).unwrap().columns;
    let values: Vec<&Values> = columns.iter().map(|column| &column.values).collect();
    assert_eq!(values[0], &Values::Int(vec![-3, 0]));
    assert!(!columns[0].is_valid(1));
    assert_eq!(values[1], &Values::Int(vec![7, 8]));
    assert_eq!(values[2], &Values::Float(vec![0.5, -2.0]));
    assert_eq!(values[3], &Values::Float(vec![12.34, -0.05]));
    assert_eq!(values[4], &Values::Int(vec![12, 13]));
    assert_eq!(values[5], &Values::Date(vec![3, 0]));
    assert_eq!(values[6], &Values::Time(vec![5_000_000, -1_000_000]));
    assert_eq!(values[7], &Values::Time(vec![5_000, -1_000]));
    assert_eq!(values[8], &Values::Time(vec![3_600_000_000, 1_000_000]));
    let uuids = ["11111111-1111-1111-1111-111111111111", "abababab-abab-abab-abab-abababababab"];
    assert_eq!(texts(&columns[9]), uuids);
    assert_eq!(texts(&columns[10]), ["x", "y"]);
    assert_eq!(texts(&columns[11]), ["p", "q"]);
    assert_eq!(texts(&columns[12]), ["b", "a"]);
    assert_eq!(
        values[13],
        &Values::FloatList(FloatList::Fixed { rows: 2, width: 2, values: vec![1.0, 2.0, 0.0, 0.0] })
    );
    assert!(columns[13].is_valid(0) && !columns[13].is_valid(1));
    assert_eq!(
        values[14],
        &Values::FloatList(FloatList::Ragged { offsets: vec![0, 1, 1], values: vec![7.0] })
    );
    assert_eq!(text_lists(&columns[15]), [vec!["b", "a"], vec![]]);
    assert_eq!(columns[16].n_missing(), 2);
    let as_texts = source.read(&[("ragged", Want::TextList), ("uint64", Want::Text)]).unwrap().columns;
    assert_eq!(text_lists(&as_texts[0]), [vec!["7"], vec![]]);
    assert_eq!(texts(&as_texts[1]), ["7", "8"]);
}

fn half_of(x: f32) -> <arrow_array::types::Float16Type as arrow_array::ArrowPrimitiveType>::Native {
    let one: ArrayRef = Arc::new(Float32Array::from(vec![x]));
    let half = arrow_cast::cast(&one, &DataType::Float16).unwrap();
    half.as_any().downcast_ref::<Float16Array>().unwrap().value(0)
}

#[test]
fn parquet_refuses_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let fields = vec![Field::new("x", DataType::Int32, true)];
    let inner: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let large = Decimal128Array::from(vec![1, i128::MAX / 4]).with_precision_and_scale(38, 0).unwrap();
    let gap = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(7)]), Some(vec![None])]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(UInt64Array::from(vec![1, u64::MAX]))),
        ("nested", Arc::new(StructArray::new(fields.into(), vec![inner], None))),
        ("large", Arc::new(large)),
        ("gap", Arc::new(gap)),
        ("far", Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]))),
    ];
    parquet(&folder.path().join("t.parquet"), columns);
    let at = |name: &str, want| {
        let error = read(folder.path(), "t.parquet", &[(name, want)]).unwrap_err();
        assert_eq!(error.column.as_deref(), Some(name), "{error}");
        (error.code(), error.row, error.help().unwrap_or_default())
    };
    assert_eq!(
        at("id", Want::Int),
        ("overflow", Some(2), "if this is an identifier, write the column as text".into())
    );
    assert_eq!(at("nested", Want::Auto).0, "unsupported_type");
    assert!(at("nested", Want::Auto).2.contains("a column of its own"));
    assert_eq!((at("large", Want::Auto).0, at("large", Want::Auto).1), ("overflow", Some(2)));
    assert_eq!((at("gap", Want::Auto).0, at("gap", Want::Auto).1), ("not_parsed", Some(2)));
    assert_eq!((at("far", Want::Auto).0, at("far", Want::Auto).1), ("overflow", Some(2)));
    let ids = read(folder.path(), "t.parquet", &[("id", Want::Text)]).unwrap();
    assert_eq!(texts(&ids[0]), ["1", "18446744073709551615"]);
}

#[test]
fn bytes_of_parquet_that_are_no_text_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("good", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("bad", Arc::new(BinaryArray::from_vec(vec![b"x", b"caf\xe9"]))),
    ];
    parquet(&folder.path().join("t.parquet"), columns);
    let error = read(folder.path(), "t.parquet", &[("good", Want::Auto), ("bad", Want::Auto)]).unwrap_err();
    assert_eq!((error.code(), error.row, error.column.as_deref()), ("not_utf8", Some(2), Some("bad")));
    let plain = parquet::file::properties::WriterProperties::builder().set_dictionary_enabled(false).build();
    let bad: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"x", b"caf\xe9"]));
    let batch = RecordBatch::try_from_iter([("good", bad.clone()), ("bad", bad)]).unwrap();
    let file = File::create(folder.path().join("plain.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(plain)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = read(folder.path(), "plain.parquet", &[("bad", Want::Auto)]).unwrap_err();
    assert_eq!((error.code(), error.row, error.column.as_deref()), ("not_utf8", Some(2), Some("bad")));
}

fn opened(folder: &Path, name: &str, format: Format) -> Source {
    Source::open_as(&[name], folder, Some(&format)).unwrap()
}

#[test]
fn delimited_text_of_any_dialect() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.txt", "\u{feff}'x;1';2\r\n3;'it''s'\r\n");
    let dialect = Dialect::new(';', Some('\''), false).unwrap();
    let source = opened(folder.path(), "a.txt", Format::Delimited(dialect));
    assert_eq!(kinds(&source), ["c1 text text", "c2 text text"]);
    let table = source.read(&[("c2", Want::Auto), ("c1", Want::Auto)]).unwrap();
    assert_eq!(texts(&table.columns[0]), ["2", "it's"]);
    assert_eq!(texts(&table.columns[1]), ["x;1", "3"]);
    assert_eq!(source.locate(&table.parts, 1).line, Some(2));
    put(folder.path(), "b.txt", "a|b\n\"1|2\n");
    let bars = Dialect::new('|', None, true).unwrap();
    let table = opened(folder.path(), "b.txt", Format::Delimited(bars)).read(&[("a", Want::Auto)]).unwrap();
    assert_eq!(texts(&table.columns[0]), ["\"1"]);
    put(folder.path(), "c.txt", "");
    let none = opened(folder.path(), "c.txt", Format::Delimited(dialect)).header().unwrap_err();
    assert_eq!(none.code(), "no_rows");
    for (separator, quote) in [('"', Some('"')), ('é', None), ('\n', None), (',', Some('„'))] {
        assert_eq!(
            Dialect::new(separator, quote, true).unwrap_err().to_string().split(' ').next(),
            Some("separator")
        );
    }
}

#[test]
fn zstd_is_decompressed_and_its_damage_seen() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..5000).map(|i| format!("{i},{}\n", i * 7919 % 1013)).collect();
    let packed = zstd::encode_all(format!("a,b\n{text}").as_bytes(), 3).unwrap();
    put(folder.path(), "t.csv.zst", &packed);
    let columns = read(folder.path(), "t.csv.zst", &[("a", Want::Auto)]).unwrap();
    assert_eq!(columns[0].values, Values::Int((0..5000).collect()));
    for damaged in [&packed[..packed.len() / 2], &packed[..packed.len() - 1], b"no zstd at all"] {
        put(folder.path(), "cut.csv.zst", damaged);
        assert_eq!(read(folder.path(), "cut.csv.zst", &[("a", Want::Auto)]).unwrap_err().code(), "corrupt");
    }
}

#[test]
fn objects_of_lines_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    let lines = concat!(
        "{\"id\": 1, \"name\": \"a\", \"v\": [1, 2.5], \"tags\": [\"x\", \"y\"], \"day\": \"2018-01-02\", \"ok\": true}\n",
        "\n",
        "{\"name\": \"tab\\t\\u00e9\", \"id\": 2, \"tags\": [], \"x\": 0.5, \"v\": null, \"more\": {\"deep\": 1}}\r\n",
    );
    put(folder.path(), "t.jsonl", lines);
    let source = Source::open(&["t.jsonl"], folder.path()).unwrap();
    let expected = [
        "id int int",
        "name text text",
        "v float[2] float[2]",
        "tags text[] text[]",
        "day date date",
        "ok bool bool",
        "x float float",
        "more object object",
    ];
    assert_eq!(kinds(&source), expected);
    assert_eq!(source.header().unwrap().column("x").unwrap().missing, Some(0.5));
    let wanted = [
        ("tags", Want::Auto),
        ("name", Want::Auto),
        ("x", Want::Auto),
        ("v", Want::Auto),
        ("id", Want::Text),
    ];
    let table = source.read(&wanted).unwrap();
    assert_eq!(text_lists(&table.columns[0]), [vec!["x", "y"], vec![]]);
    assert_eq!(texts(&table.columns[1]), ["a", "tab\té"]);
    assert_eq!(table.columns[2].values, Values::Float(vec![0.0, 0.5]));
    assert_eq!((table.columns[2].is_valid(0), table.columns[3].is_valid(1)), (false, false));
    assert_eq!(texts(&table.columns[4]), ["1", "2"]);
    assert_eq!(source.locate(&table.parts, 1).line, Some(3));
    let error = source.read(&[("more", Want::Auto)]).unwrap_err();
    assert_eq!(
        (error.code(), error.row, error.column.as_deref()),
        ("unsupported_type", Some(2), Some("more"))
    );
}

#[test]
fn broken_lines_of_json_name_row_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |content: &[u8], column: &str, want| {
        put(folder.path(), "t.jsonl", content);
        let error = read(folder.path(), "t.jsonl", &[(column, want)]).unwrap_err();
        (
            error.code(),
            error.row,
            error.line,
            error.column.clone().unwrap_or_default(),
            error.help().unwrap_or_default(),
        )
    };
    let (code, row, line, column, _) = fails(b"{\"a\": 1}\n\n{\"a\": \"x\"}\n", "a", Want::Int);
    assert_eq!((code, row, line, column.as_str()), ("not_parsed", Some(2), Some(3), "a"));
    assert_eq!(fails(b"{\"a\": 1}\n{\"a\": \n", "a", Want::Auto).0, "not_json_lines");
    assert_eq!(fails(b"{\"a\": NaN}\n", "a", Want::Auto).0, "not_json_lines");
    assert_eq!(fails(b"{\"a\": 1} {\"a\": 2}\n", "a", Want::Auto).0, "not_json_lines");
    assert!(fails(b"[{\"a\": 1}]\n", "a", Want::Auto).4.contains("jq -c '.[]'"));
    assert_eq!(fails(b"{\"a\": 1}\n{\"a\": \"\xff\"}\n", "a", Want::Auto).2, Some(2));
    assert_eq!(fails(b"{\"a\": 1, \"a\": 2}\n", "a", Want::Int).0, "duplicate_column");
    assert_eq!(fails(b"{\"a\": 18446744073709551615}\n", "a", Want::Int).0, "overflow");
    assert_eq!(fails(b"{\"a\": 99999999999999999999}\n", "a", Want::Text).0, "overflow");
    assert_eq!(fails(b"{\"a\": [1, null]}\n", "a", Want::FloatList).0, "not_parsed");
    assert_eq!(fails(b"{\"b\": 1}\n", "a", Want::Int).0, "no_such_column");
    put(folder.path(), "t.jsonl", "{\"a\": 18446744073709551615}\n{\"a\": \"x\"}\n");
    assert_eq!(
        texts(&read(folder.path(), "t.jsonl", &[("a", Want::Text)]).unwrap()[0]),
        ["18446744073709551615", "x"]
    );
}

#[test]
fn objects_of_several_files_may_differ_in_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "1.jsonl", "{\"a\": 1}\n");
    put(folder.path(), "2.jsonl.gz", {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"{\"b\": \"x\"}\n").unwrap();
        gzip.finish().unwrap()
    });
    let columns = read(folder.path(), "*.jsonl*", &[("a", Want::Auto), ("b", Want::Auto)]).unwrap();
    assert_eq!(columns[0].values, Values::Int(vec![1, 0]));
    assert_eq!(texts(&columns[1]), ["-", "x"]);
}

fn hdf5_file(path: &Path) -> hdf5::File {
    let file = hdf5::File::create(path).unwrap();
    let nodes = file.create_group("nodes").unwrap();
    let ids: Vec<hdf5::types::VarLenUnicode> = ["ü1", "b", "c"].iter().map(|t| t.parse().unwrap()).collect();
    nodes.new_dataset_builder().with_data(&ids).create("id").unwrap();
    let short: Vec<hdf5::types::FixedAscii<5>> =
        ["x", "", "five5"].iter().map(|t| hdf5::types::FixedAscii::from_ascii(t).unwrap()).collect();
    nodes.new_dataset_builder().with_data(&short).create("code").unwrap();
    nodes.new_dataset_builder().with_data(&[1i16, -2, 3]).create("n").unwrap();
    nodes.new_dataset_builder().with_data(&[1u64, 2, u64::MAX]).create("big").unwrap();
    nodes.new_dataset_builder().with_data(&[0.5f32, f32::NAN, 2.0]).create("x").unwrap();
    nodes.new_dataset_builder().with_data(&[true, false, true]).create("ok").unwrap();
    let rows = hdf5::Dataspace::try_new((3, 2)).unwrap();
    let v = nodes.new_dataset::<f64>().shape(rows.shape()).create("v").unwrap();
    v.write_raw(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    file
}

#[test]
fn data_sets_of_a_group_are_columns() {
    let folder = tempfile::tempdir().unwrap();
    drop(hdf5_file(&folder.path().join("t.h5")));
    let source = opened(folder.path(), "t.h5", Format::Hdf5 { group: Some("nodes".into()) });
    assert_eq!(source.rows().unwrap(), Some(3));
    let expected = [
        "big int uint64",
        "code text text",
        "id text text",
        "n int int16",
        "ok bool bool",
        "v float[2] float64[2]",
        "x float float32",
    ];
    assert_eq!(kinds(&source), expected);
    let wanted = ["id", "code", "n", "x", "ok", "v"].map(|name| (name, Want::Auto));
    for rows in [1, 2, 100] {
        let mut seen = 0;
        let look = |batch: gsl_tables::Batch<'_>| {
            assert_eq!(batch.first_global_row, seen);
            seen += batch.rows as u64;
            Ok::<_, TableError>(())
        };
        source.for_each_batch(&wanted, rows, look).unwrap();
        assert_eq!(seen, 3);
    }
    let columns = source.read(&wanted).unwrap().columns;
    assert_eq!(texts(&columns[0]), ["ü1", "b", "c"]);
    assert_eq!(texts(&columns[1]), ["x", "", "five5"]);
    assert_eq!(columns[2].values, Values::Int(vec![1, -2, 3]));
    assert!(matches!(&columns[3].values, Values::Float(v) if v[0] == 0.5 && v[1].is_nan()));
    assert_eq!(columns[4].values, Values::Bool(vec![true, false, true]));
    let list = FloatList::Fixed { rows: 3, width: 2, values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
    assert_eq!(columns[5].values, Values::FloatList(list));
    let error = source.read(&[("big", Want::Int)]).unwrap_err();
    assert_eq!((error.code(), error.row, error.column.as_deref()), ("overflow", Some(3), Some("big")));
}

#[test]
fn hdf5_files_that_are_no_table_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.h5");
    let file = hdf5_file(&path);
    let edges = file.create_group("edges").unwrap();
    edges.new_dataset_builder().with_data(&[1, 2]).create("src").unwrap();
    edges.new_dataset_builder().with_data(&[1, 2, 3]).create("dst").unwrap();
    drop((edges, file));
    let plain = Source::open(&["t.h5"], folder.path()).unwrap().header().unwrap_err();
    assert_eq!(plain.code(), "no_columns");
    assert!(plain.help().unwrap().contains("hdf5(…, group: \"edges\")"), "{:?}", plain.help());
    let in_group = |group: &str| Format::Hdf5 { group: Some(group.into()) };
    let unequal = opened(folder.path(), "t.h5", in_group("edges")).header().unwrap_err();
    assert_eq!((unequal.code(), unequal.column.as_deref()), ("unequal_columns", Some("src")));
    assert!(unequal.to_string().contains("2 rows here, but 3 in column `dst`"), "{unequal}");
    assert_eq!(opened(folder.path(), "t.h5", in_group("node")).header().unwrap_err().code(), "no_such_group");
    let good = fs::read(&path).unwrap();
    for length in [0, 7, 100, good.len() / 2, good.len() - 1] {
        put(folder.path(), "cut.h5", &good[..length]);
        let read = opened(folder.path(), "cut.h5", in_group("nodes")).read(&[("id", Want::Auto)]);
        assert_eq!(read.unwrap_err().code(), "corrupt", "{length}");
    }
}

#[test]
fn chunked_data_sets_are_read_in_any_batches() {
    let folder = tempfile::tempdir().unwrap();
    let file = hdf5::File::create(folder.path().join("t.h5")).unwrap();
    let values: Vec<i64> = (0..10_000).map(|i| i * i % 977).collect();
    let dataset = file.new_dataset::<i64>().chunk(1000).shape(values.len()).create("n").unwrap();
    dataset.write_raw(&values).unwrap();
    drop((dataset, file));
    let source = Source::open(&["t.h5"], folder.path()).unwrap();
    for rows in [1, 300, 1000, 2500, 100_000] {
        let mut seen = Vec::new();
        let look = |batch: gsl_tables::Batch<'_>| {
            assert!(batch.rows <= rows && batch.first_row as usize == seen.len());
            let Values::Int(values) = &batch.columns[0].values else { panic!() };
            seen.extend_from_slice(values);
            Ok::<_, TableError>(())
        };
        source.for_each_batch(&[("n", Want::Auto)], rows, look).unwrap();
        assert_eq!(seen, values);
    }
}
