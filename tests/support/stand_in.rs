//! Stand-in tables: what a schema of GraphStorm reads, made small, so that an imported file has something to be checked against.
//!
//! Decided here: every table has [`ROWS`] rows. Node keys are `TYPE-0`, `TYPE-1`, …, or row numbers where a type with a table
//! has no key; the ends of edges are among them. A column holds what its transform or its label takes. A file that several
//! blocks read is one table with the columns of all.

use crate::support::Folder;
use gsl_tables::{Output, OutputColumn, write_parquet};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// As few as fill every part of a split, and every class of each.
pub const ROWS: usize = 60;

/// The cells of a column.
#[derive(Debug, Clone, PartialEq)]
enum Cells {
    Text(Vec<String>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    /// Rows of so many numbers.
    Floats(usize, Vec<f32>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv(char),
    Json,
    Hdf5,
    Parquet,
}

#[derive(Debug)]
struct Table {
    format: Format,
    columns: BTreeMap<String, Cells>,
}

/// Tables by the paths that a schema gives them, several of which are parts of one table.
#[derive(Debug, Default)]
struct Tables(BTreeMap<Vec<String>, Table>);

/// The path of the schema, without what leads out of the folder.
pub fn inside(path: &str) -> String {
    let path = path.split_once("://").map_or(path, |(_, path)| path);
    path.trim_start_matches('/').to_owned()
}

/// What only the training says of labels.
pub struct Labels<'a> {
    /// Whether a label is a list of zeros and ones.
    pub is_list: &'a dyn Fn(&str) -> bool,
    /// How many classes the others have.
    pub classes: usize,
}

/// Writes every table that the schema reads.
pub fn write_tables(folder: &Folder, schema: &Value, said: &Labels) {
    let blocks = Blocks::of(schema);
    let mut tables = Tables::default();
    for block in &blocks.nodes {
        match &block.key {
            Some(key) => tables.add(&block.source, key, blocks.keys(&block.name, 0)),
            None => tables.add(&block.source, "something", Cells::Float(each(number))),
        }
        blocks.fill(&mut tables, block, said);
    }
    for block in &blocks.edges {
        for (end, (column, ty)) in block.ends.iter().enumerate() {
            tables.add(&block.source, column, blocks.keys(ty, end));
        }
        blocks.fill(&mut tables, block, said);
    }
    for (paths, table) in &tables.0 {
        table.write(folder, paths);
    }
}

// ---- what a schema says, in either dialect ---------------------------------------------------------------------------

type Source = (Format, Vec<String>);

/// Columns of a node type or a relation.
struct Block {
    source: Source,
    /// The node type, or that of the destinations.
    name: String,
    key: Option<String>,
    /// Columns and types of source and destination.
    ends: Vec<(String, String)>,
    features: Vec<Value>,
    labels: Vec<Value>,
}

struct Blocks {
    nodes: Vec<Block>,
    edges: Vec<Block>,
    /// Types whose nodes go by their row numbers.
    numbered: BTreeSet<String>,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// `{"format": …, "files": …}`, where the format is a name or an object.
fn source(data: &Value) -> Source {
    let format = &data["format"];
    let (name, separator) = match format {
        Value::Object(_) => (text(&format["name"]), text(&format["separator"])),
        _ => (text(format), text(&data["separator"])),
    };
    let format = match name.as_deref() {
        Some("csv") => Format::Csv(separator.and_then(|s| s.chars().next()).unwrap_or(',')),
        Some("json") => Format::Json,
        Some("hdf5") => Format::Hdf5,
        _ => Format::Parquet,
    };
    (format, texts(&data["files"]))
}

impl Blocks {
    fn of(schema: &Value) -> Self {
        let (nodes, edges) = match schema.get("graph") {
            Some(graph) => (
                list(&graph["nodes"]).iter().map(distributed_node).collect(),
                list(&graph["edges"]).iter().map(distributed_edge).collect(),
            ),
            None => (
                list(&schema["nodes"]).iter().map(single_node).collect(),
                list(&schema["edges"]).iter().map(single_edge).collect(),
            ),
        };
        let mut blocks = Blocks { nodes, edges, numbered: BTreeSet::new() };
        let has_key = |name: &str| blocks.nodes.iter().any(|b| b.name == name && b.key.is_some());
        blocks.numbered = blocks.nodes.iter().map(|b| b.name.clone()).filter(|name| !has_key(name)).collect();
        blocks
    }

    /// Keys of a type: of all its nodes in their order, or for the ends of edges of some in another.
    fn keys(&self, ty: &str, end: usize) -> Cells {
        let rows = (0..ROWS).map(|row| if end == 0 { row } else { (7 * row + 3) % ROWS });
        match self.numbered.contains(ty) {
            true => Cells::Int(rows.map(|row| row as i64).collect()),
            false => Cells::Text(rows.map(|row| key(ty, row)).collect()),
        }
    }

    fn fill(&self, tables: &mut Tables, block: &Block, said: &Labels) {
        for feature in &block.features {
            let columns = texts(feature.get("feature_col").unwrap_or(&feature["column"]));
            let own = feature.get("data").map(source);
            if let (Some(own), Some(key)) = (&own, &block.key) {
                tables.add(own, key, self.keys(&block.name, 0));
            }
            for column in columns {
                let cells = feature_cells(feature, &block.name);
                tables.add(own.as_ref().unwrap_or(&block.source), &column, cells);
            }
        }
        for label in &block.labels {
            let column = label.get("label_col").unwrap_or(&label["column"]);
            let task = text(label.get("task_type").unwrap_or(&label["type"]));
            if let (Some(column), Some("classification" | "regression")) = (text(column), task.as_deref()) {
                tables.set(&block.source, &column, label_cells(label, task.as_deref(), &column, said));
            }
            self.split_files(tables, block, &label["custom_split_filenames"]);
        }
    }

    /// A third of the keys in each part.
    fn split_files(&self, tables: &mut Tables, block: &Block, files: &Value) {
        let said = texts(&files["column"]);
        for (part, name) in ["train", "valid", "val", "test"].iter().enumerate() {
            let Some(file) = texts(&files[*name]).into_iter().next() else { continue };
            let format = if file.ends_with(".json") { Format::Json } else { Format::Parquet };
            let at = (format, vec![file]);
            let third = |cells: Cells| match cells {
                Cells::Text(all) => {
                    Cells::Text(all.into_iter().skip(part.min(2) * ROWS / 3).take(ROWS / 3).collect())
                }
                Cells::Int(all) => {
                    Cells::Int(all.into_iter().skip(part.min(2) * ROWS / 3).take(ROWS / 3).collect())
                }
                other => other,
            };
            let ends: Vec<(String, String)> = match &block.key {
                Some(key) => vec![(key.clone(), block.name.clone())],
                None => block.ends.clone(),
            };
            for (end, (column, ty)) in ends.iter().enumerate() {
                let column = said.get(end).unwrap_or(column);
                tables.add(&at, column, third(self.keys(ty, end)));
            }
        }
    }
}

fn key(ty: &str, row: usize) -> String {
    format!("{ty}-{}", row % ROWS)
}

fn single_node(block: &Value) -> Block {
    Block {
        source: source(block),
        name: text(&block["node_type"]).expect("a node type"),
        key: text(&block["node_id_col"]),
        ends: Vec::new(),
        features: list(&block["features"]),
        labels: list(&block["labels"]),
    }
}

fn single_edge(block: &Value) -> Block {
    let relation = texts(&block["relation"]);
    let ends = [("source_id_col", 0), ("dest_id_col", 2)];
    let ends = ends.into_iter().filter_map(|(key, at)| Some((text(&block[key])?, relation[at].clone())));
    Block {
        source: source(block),
        name: relation[2].clone(),
        key: None,
        ends: ends.collect(),
        features: list(&block["features"]),
        labels: list(&block["labels"]),
    }
}

fn distributed_node(block: &Value) -> Block {
    let key = text(&block["column"]);
    Block {
        source: source(&block["data"]),
        name: text(&block["type"]).or_else(|| key.clone()).expect("a node type"),
        key,
        ends: Vec::new(),
        features: list(&block["features"]),
        labels: list(&block["labels"]),
    }
}

fn distributed_edge(block: &Value) -> Block {
    let end = |name: &str| {
        let column = text(&block[name]["column"]).expect("a column");
        (column.clone(), text(&block[name]["type"]).unwrap_or(column))
    };
    let ends = vec![end("source"), end("dest")];
    Block {
        source: source(&block["data"]),
        name: ends[1].1.clone(),
        key: None,
        ends,
        features: list(&block["features"]),
        labels: list(&block["labels"]),
    }
}

// ---- cells -----------------------------------------------------------------------------------------------------------

fn each<T>(cell: impl Fn(usize) -> T) -> Vec<T> {
    (0..ROWS).map(cell).collect()
}

/// A number that is neither constant nor in order.
fn number(row: usize) -> f64 {
    (row * 7 % 11) as f64 / 2.0 + 1.0
}

fn feature_cells(feature: &Value, destinations: &str) -> Cells {
    let transform = feature.get("transform").or(feature.get("transformation")).unwrap_or(&Value::Null);
    let options = transform.get("kwargs").unwrap_or(transform);
    let separator = text(&options["separator"]);
    let width = options["truncate_dim"].as_u64().map_or(2, |take| take as usize + 1);
    let words = |separator: &str| each(|row| [["a", "b", "c"][row % 3], ["d", "e"][row % 2]].join(separator));
    match text(&transform["name"]).as_deref() {
        None | Some("no-op" | "multi-numerical") => match separator {
            Some(separator) => Cells::Text(each(|row| {
                (0..width).map(|i| number(row + i).to_string()).collect::<Vec<_>>().join(&separator)
            })),
            None if options["truncate_dim"].is_u64() => {
                let cells = (0..ROWS * width).map(|i| number(i) as f32).collect();
                Cells::Floats(width, cells)
            }
            None => Cells::Float(each(number)),
        },
        Some("to_categorical" | "categorical" | "multi-categorical") => match separator {
            Some(separator) => Cells::Text(words(&separator)),
            None => Cells::Text(words(" ")),
        },
        Some("bert_hf" | "tokenize_hf" | "huggingface") => {
            Cells::Text(each(|row| ["graph node", "the sum of the edges", "cake"][row % 3].to_owned()))
        }
        Some("edge_dst_hard_negative") => Cells::Text(each(|row| match &separator {
            Some(separator) => [key(destinations, row), key(destinations, row + 5)].join(separator),
            None => key(destinations, row),
        })),
        Some(_) => Cells::Float(each(number)),
    }
}

fn label_cells(label: &Value, task: Option<&str>, column: &str, said: &Labels) -> Cells {
    match text(&label["separator"]) {
        _ if task == Some("regression") => Cells::Float(each(number)),
        Some(separator) => {
            Cells::Text(each(|row| [["a", "b"][row % 2], ["c", "d"][row / 2 % 2]].join(&separator)))
        }
        None if (said.is_list)(column) => {
            Cells::Floats(2, (0..2 * ROWS).map(|i| (i / 2 % 3).min(i % 2) as f32).collect())
        }
        None => Cells::Int(each(|row| (row % said.classes) as i64)),
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Cells::Text(all) => all.len(),
            Cells::Int(all) => all.len(),
            Cells::Float(all) => all.len(),
            Cells::Floats(width, all) => all.len() / width,
        }
    }

    fn part(&self, from: usize, to: usize) -> Cells {
        match self {
            Cells::Text(all) => Cells::Text(all[from..to].to_vec()),
            Cells::Int(all) => Cells::Int(all[from..to].to_vec()),
            Cells::Float(all) => Cells::Float(all[from..to].to_vec()),
            Cells::Floats(width, all) => Cells::Floats(*width, all[from * width..to * width].to_vec()),
        }
    }

    /// As JSON writes it.
    fn json(&self, row: usize) -> Value {
        match self {
            Cells::Text(all) => all[row].clone().into(),
            Cells::Int(all) => all[row].into(),
            Cells::Float(all) => all[row].into(),
            Cells::Floats(width, all) => all[row * width..(row + 1) * width].to_vec().into(),
        }
    }
}

// ---- tables ----------------------------------------------------------------------------------------------------------

impl Tables {
    fn table(&mut self, source: &Source) -> &mut Table {
        let new = || Table { format: source.0, columns: BTreeMap::new() };
        self.0.entry(source.1.clone()).or_insert_with(new)
    }

    /// A column, unless the table has it.
    fn add(&mut self, source: &Source, column: &str, cells: Cells) {
        self.table(source).columns.entry(column.to_owned()).or_insert(cells);
    }

    fn set(&mut self, source: &Source, column: &str, cells: Cells) {
        self.table(source).columns.insert(column.to_owned(), cells);
    }
}

impl Table {
    /// The rows in equal shares over the paths.
    fn write(&self, folder: &Folder, paths: &[String]) {
        let rows = self.columns.values().next().expect("a column").len();
        for (i, path) in paths.iter().enumerate() {
            let (from, to) = (rows * i / paths.len(), rows * (i + 1) / paths.len());
            let columns = self.columns.iter().map(|(name, cells)| (name.as_str(), cells.part(from, to)));
            let columns: Vec<(&str, Cells)> = columns.collect();
            let path = folder.at(&self.file(&inside(path)));
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            match self.format {
                Format::Csv(separator) => write_csv(&path, separator, &columns),
                Format::Json => write_json(&path, &columns),
                Format::Hdf5 => write_hdf5(&path, &columns),
                Format::Parquet => write(&path, &columns),
            }
        }
    }

    /// The file that stands for a path: one in the folder, or one that the glob finds.
    fn file(&self, path: &str) -> String {
        let extension = match self.format {
            Format::Csv(_) => "csv",
            Format::Json => "json",
            Format::Hdf5 => "h5",
            Format::Parquet => "parquet",
        };
        match path.strip_suffix('/') {
            Some(folder) => format!("{folder}/part-0.{extension}"),
            None => path.replace('*', "part-0"),
        }
    }
}

fn lines(columns: &[(&str, Cells)], line: impl Fn(usize) -> String) -> String {
    (0..columns[0].1.len()).map(|row| line(row) + "\n").collect()
}

fn write_csv(path: &Path, separator: char, columns: &[(&str, Cells)]) {
    let separator = separator.to_string();
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let cell = |cells: &Cells, row: usize| match cells.json(row) {
        Value::String(text) => quoted(&text),
        Value::Array(_) => quoted(&cells.json(row).to_string()),
        number => number.to_string(),
    };
    let head: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
    let line = |row| columns.iter().map(|(_, c)| cell(c, row)).collect::<Vec<_>>().join(&separator);
    let text = head.join(&separator) + "\n" + &lines(columns, line);
    std::fs::write(path, text).expect("a table");
}

fn write_json(path: &Path, columns: &[(&str, Cells)]) {
    let line = |row| {
        let object = columns.iter().map(|(name, cells)| ((*name).to_owned(), cells.json(row)));
        Value::Object(object.collect()).to_string()
    };
    std::fs::write(path, lines(columns, line)).expect("a table");
}

fn write(path: &Path, columns: &[(&str, Cells)]) {
    let texts: Vec<Vec<&str>> = columns
        .iter()
        .map(|(_, cells)| match cells {
            Cells::Text(all) => all.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        })
        .collect();
    let columns = columns.iter().zip(&texts).map(|((name, cells), texts)| {
        let output = match cells {
            Cells::Text(_) => Output::Text(texts),
            Cells::Int(all) => Output::Int(all),
            Cells::Float(all) => Output::Float(all),
            Cells::Floats(width, all) => Output::FloatList { width: *width, values: all },
        };
        OutputColumn::new(name, output)
    });
    write_parquet(path, &columns.collect::<Vec<_>>()).expect("a table");
}

/// Texts and numbers, a data set for each column.
fn write_hdf5(path: &PathBuf, columns: &[(&str, Cells)]) {
    let file = hdf5::File::create(path).expect("a file");
    let new = || file.new_dataset_builder();
    for (name, cells) in columns {
        match cells {
            Cells::Text(all) => {
                let all: Vec<hdf5::types::VarLenUnicode> =
                    all.iter().map(|text| text.parse().expect("a text")).collect();
                new().with_data(&all).create(*name).expect("a data set");
            }
            Cells::Int(all) => drop(new().with_data(all).create(*name).expect("a data set")),
            Cells::Float(all) => drop(new().with_data(all).create(*name).expect("a data set")),
            Cells::Floats(..) => panic!("no case has lists in HDF5: write them as two-dimensional data sets"),
        }
    }
}
