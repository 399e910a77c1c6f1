//! One table in every format gives the same columns, however it is cut into files, row groups, batches and threads.

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use gsl_tables::{Batch, Column, Source, TableError, Values, Want};
use hdf5::types::VarLenUnicode;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

const WIDTH: usize = 2;

#[derive(Clone, Debug)]
struct Row {
    id: i64,
    x: Option<f64>,
    name: Option<String>,
    ok: Option<bool>,
    v: [f32; WIDTH],
    tags: Vec<String>,
}

fn row() -> impl Strategy<Value = Row> {
    let text = || prop_oneof!["[ab]", "[ -~é,\"\n\t]{0,8}"];
    let gap = |present: f64| prop::bool::weighted(present);
    (
        any::<i64>(),
        -1e9..1e9,
        text(),
        any::<bool>(),
        [-8i8..8, -8..8],
        prop::collection::vec(text(), 0..3),
        gap(0.8),
    )
        .prop_map(|(id, x, name, ok, v, tags, there)| Row {
            id,
            x: (there || id % 2 == 0).then_some(x),
            name: (there || id % 3 == 0).then_some(name),
            ok: (there || id % 5 == 0).then_some(ok),
            v: v.map(|x| f32::from(x) / 4.0),
            tags,
        })
}

/// A row as text, to compare.
fn shown(row: &Row, with_tags: bool) -> String {
    let tags = if with_tags { format!("{:?}", row.tags) } else { String::new() };
    format!("{} {:?} {:?} {:?} {:?} {tags}", row.id, row.x, row.name, row.ok, row.v)
}

fn wanted(with_tags: bool) -> Vec<(&'static str, Want)> {
    let mut wanted = vec![
        ("id", Want::Int),
        ("x", Want::Float),
        ("name", Want::Text),
        ("ok", Want::Bool),
        ("v", Want::FloatList),
    ];
    wanted.extend(with_tags.then_some(("tags", Want::TextList)));
    wanted
}

fn row_of(columns: &[Column], at: usize) -> String {
    let valid = |column: usize| columns[column].is_valid(at);
    let (Values::Int(id), Values::Float(x), Values::Text(name), Values::Bool(ok), Values::FloatList(v)) =
        (&columns[0].values, &columns[1].values, &columns[2].values, &columns[3].values, &columns[4].values)
    else {
        panic!("kinds: {:?}", columns.iter().map(|column| column.values.kind()).collect::<Vec<_>>())
    };
    let tags = match columns.get(5).map(|column| &column.values) {
        Some(Values::TextList(list)) => list.texts(at).map(str::to_string).collect(),
        _ => Vec::new(),
    };
    let row = Row {
        id: id[at],
        x: valid(1).then_some(x[at]),
        name: name.get(at).map(str::to_string),
        ok: valid(3).then_some(ok[at]),
        v: v.row(at).try_into().expect("a list of one width"),
        tags,
    };
    shown(&row, columns.len() > 5)
}

fn streamed(source: &Source, with_tags: bool, rows: usize, threads: usize) -> Vec<String> {
    let pieces: Mutex<Vec<(u64, Vec<String>)>> = Mutex::default();
    let keep = |batch: Batch<'_>| -> Result<(), TableError> {
        let rows = (0..batch.rows).map(|at| row_of(&batch.columns, at)).collect();
        pieces.lock().unwrap().push((batch.first_global_row, rows));
        Ok(())
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| source.stream(&wanted(with_tags), rows, keep)).unwrap();
    let mut pieces = pieces.into_inner().unwrap();
    pieces.sort();
    pieces.into_iter().flat_map(|(_, rows)| rows).collect()
}

fn delimited(path: &Path, rows: &[Row], separator: char) {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = ["id", "x", "name", "ok", "v", "tags"].join(&separator.to_string()) + "\n";
    for row in rows {
        let cells = [
            row.id.to_string(),
            row.x.map_or(String::new(), |x| x.to_string()),
            row.name.as_ref().map_or(String::new(), |name| quote(name)),
            row.ok.map_or(String::new(), |ok| ok.to_string()),
            quote(&format!("[{}, {}]", row.v[0], row.v[1])),
            quote(&serde_json::to_string(&row.tags).unwrap()),
        ];
        text += &(cells.join(&separator.to_string()) + "\n");
    }
    fs::write(path, text).unwrap();
}

fn json_lines(path: &Path, rows: &[Row]) {
    let line = |row: &Row| {
        let mut object = serde_json::json!({ "v": row.v, "tags": row.tags, "id": row.id });
        // A gap is null or a missing key.
        if row.x.is_some() || row.id % 2 == 1 {
            object["x"] = row.x.into();
        }
        object["name"] = row.name.clone().into();
        object["ok"] = row.ok.into();
        object.to_string() + "\n"
    };
    fs::write(path, rows.iter().map(line).collect::<String>()).unwrap();
}

fn parquet(path: &Path, rows: &[Row], group: usize, dictionary: bool) {
    let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), WIDTH as i32);
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in rows {
        vectors.values().append_slice(&row.v);
        vectors.append(true);
        row.tags.iter().for_each(|tag| tags.values().append_value(tag));
        tags.append(true);
    }
    let columns: [(&str, ArrayRef, bool); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))), false),
        ("x", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.x))), true),
        ("name", Arc::new(StringArray::from_iter(rows.iter().map(|row| row.name.as_deref()))), true),
        ("ok", Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.ok))), true),
        ("v", Arc::new(vectors.finish()), true),
        ("tags", Arc::new(tags.finish()), true),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(dictionary)
        .set_max_row_group_row_count(Some(group))
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Without gaps, of which HDF5 knows nothing.
fn hdf5(path: &Path, rows: &[Row], chunked: bool) {
    let file = hdf5::File::create(path).unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let ids_set = file.new_dataset::<i64>();
    let ids_set =
        if chunked { ids_set.chunk(3.min(ids.len())).shape(ids.len()) } else { ids_set.shape(ids.len()) };
    ids_set.create("id").unwrap().write_raw(&ids).unwrap();
    let x: Vec<f64> = rows.iter().filter_map(|row| row.x).collect();
    file.new_dataset_builder().with_data(&x).create("x").unwrap();
    let name: Vec<VarLenUnicode> =
        rows.iter().map(|row| row.name.as_ref().unwrap().parse().unwrap()).collect();
    file.new_dataset_builder().with_data(&name).create("name").unwrap();
    let ok: Vec<bool> = rows.iter().filter_map(|row| row.ok).collect();
    file.new_dataset_builder().with_data(&ok).create("ok").unwrap();
    let v: Vec<f32> = rows.iter().flat_map(|row| row.v).collect();
    let set = file.new_dataset::<f32>().shape((rows.len(), WIDTH)).create("v").unwrap();
    set.write_raw(&v).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn formats_agree(
        rows in prop::collection::vec(row(), 1..40),
        files in 1usize..12,
        group in 1usize..20,
        batch in 1usize..50,
        threads in 1usize..4,
        flag in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let parts: Vec<&[Row]> = rows.chunks(rows.len().div_ceil(files)).collect();
        let name = |at: usize, extension: &str| folder.path().join(format!("t-{at}.{extension}"));
        for (at, part) in parts.iter().enumerate() {
            delimited(&name(at, "csv"), part, ',');
            delimited(&name(at, "tsv"), part, '\t');
            json_lines(&name(at, "jsonl"), part);
            parquet(&name(at, "parquet"), part, group, flag);
        }
        let expected: Vec<String> = rows.iter().map(|row| shown(row, true)).collect();
        for extension in ["csv", "tsv", "jsonl", "parquet"] {
            let source = Source::open(&[format!("t-*.{extension}")], folder.path()).unwrap();
            prop_assert_eq!(&streamed(&source, true, batch, threads), &expected, "{}", extension);
            let whole = source.read(&wanted(true)).unwrap();
            let whole: Vec<String> = (0..rows.len()).map(|at| row_of(&whole.columns, at)).collect();
            prop_assert_eq!(&whole, &expected, "{}", extension);
        }
        let full: Vec<Row> = rows
            .iter()
            .filter(|row| row.x.is_some() && row.ok.is_some() && row.name.is_some())
            .cloned()
            .collect();
        prop_assume!(!full.is_empty());
        for (at, part) in full.chunks(full.len().div_ceil(files)).enumerate() {
            hdf5(&name(at, "h5"), part, flag);
        }
        let source = Source::open(&["t-*.h5"], folder.path()).unwrap();
        let expected: Vec<String> = full.iter().map(|row| shown(row, false)).collect();
        prop_assert_eq!(streamed(&source, false, batch, threads), expected);
    }
}
