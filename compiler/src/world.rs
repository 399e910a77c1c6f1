//! The compiler's one window to the outside: table headers and other `.gsl` files.
//!
//! Decided here: what the compiler may ask. Not decided here: how tables are found and read; the command line, the
//! language server and the tests each answer in their own way.

use std::collections::BTreeMap;
use std::fmt;

use gsl_plan::graph::{CellKind, GraphPlan, Source};
use serde::Serialize;

/// What the compiler may ask of the world. Paths are as written, relative to the folder of the `.gsl` file.
pub trait World {
    /// Columns of a table, from its first bytes or its footer.
    fn header(&self, source: &Source) -> Result<Header, WorldError>;
    /// Text of another `.gsl` file.
    fn read_module(&self, path: &str) -> Result<String, WorldError>;
    /// The first text of a column whose table says its kind, and nothing of its cells. `None`: there is none, or it cannot be read.
    fn first_text(&self, _source: &Source, _column: &str) -> Option<String> {
        None
    }
    /// The folder of a language model. `None`: it has a tokenizer and no encoder.
    fn text_model(&self, folder: &str) -> Result<Option<TextModel>, WorldError> {
        Err(WorldError::NotFound { path: folder.to_owned(), help: None })
    }

    /// The declaration of the graph that a model was trained on, where the tables are new ones for that model. They may lack labels and
    /// what splits them, and where kinds of columns are guessed they are of the kinds that the old ones had.
    fn trained(&self) -> Option<&GraphPlan> {
        None
    }

    /// What the program has registered.
    fn registered(&self) -> &[Registration] {
        &[]
    }
}

/// Something that the program has registered, and that a file names by `rust("name")`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registration {
    pub kind: RustKind,
    pub name: String,
    /// Of a metric: whether more of it is better.
    pub higher_is_better: bool,
}

/// What is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RustKind {
    Module,
    Loss,
    LinkLoss,
    Metric,
    LinkMetric,
    Negatives,
}

impl RustKind {
    /// In a message: `no loss of links …`.
    pub fn name(self) -> &'static str {
        match self {
            RustKind::Module => "module",
            RustKind::Loss => "loss",
            RustKind::LinkLoss => "loss of links",
            RustKind::Metric => "metric",
            RustKind::LinkMetric => "metric of links",
            RustKind::Negatives => "sampler of negatives",
        }
    }
}

/// What the headers of a language model say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TextModel {
    /// Numbers of a vector.
    pub width: usize,
    /// Tokens of a text that it can read.
    pub positions: usize,
    pub pooler: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Header {
    /// What messages call the table: the name of its first file.
    pub name: String,
    pub columns: Vec<ColumnHeader>,
    pub rows: Option<u64>,
    /// Names of columns were looked for in so many rows alone: others may follow.
    pub looked_at: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnHeader {
    pub name: String,
    pub kind: ColumnKind,
    /// The kind was guessed from a sample of the cells, as for CSV: the column can be read as text as well.
    pub guessed: bool,
    pub nullable: bool,
    /// Share of missing values, if known.
    pub missing: Option<f64>,
    /// The format's own name of the type, for messages: `int64`.
    pub type_name: String,
    /// Of a text whose kind was guessed: the cell that makes it one.
    pub odd: Option<OddCell>,
}

/// A cell that makes a column a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OddCell {
    pub cell: String,
    /// Where it stands and what the other cells are: `row 12 (line 13) of `p/part-2.csv` has `hello`; 998 of 1000 cells are of kind int`.
    pub place: String,
    /// Others are of another kind.
    pub is_exception: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum ColumnKind {
    Int,
    Float,
    Bool,
    Text,
    Date,
    Time,
    Vector {
        width: Option<usize>,
    },
    /// Lists of texts.
    TextList,
    /// Can be named in a message, and not read.
    Other,
}

/// Why the world has no answer. `reason` and `help` are text for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldError {
    NotFound {
        path: String,
        help: Option<String>,
    },
    Unreadable {
        path: String,
        reason: String,
        help: Option<String>,
    },
    /// A table with a header at most.
    Empty {
        path: String,
        reason: String,
    },
}

impl Header {
    pub fn column(&self, name: &str) -> Option<&ColumnHeader> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

impl ColumnHeader {
    /// `int64, 0.2% missing`
    pub fn describe(&self) -> String {
        match self.missing {
            Some(share) if share > 0.0 => {
                format!("{}, {}% missing", self.type_name, short(100.0 * share))
            }
            _ => self.type_name.clone(),
        }
    }
}

fn short(x: f64) -> String {
    match x {
        x if x < 0.1 => "under 0.1".to_owned(),
        x => format!("{}", (x * 10.0).round() / 10.0),
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnKind::Int => "int",
            ColumnKind::Float => "float",
            ColumnKind::Bool => "bool",
            ColumnKind::Text => "text",
            ColumnKind::Date => "date",
            ColumnKind::Time => "time",
            ColumnKind::Vector { .. } => "list of floats",
            ColumnKind::TextList => "list of texts",
            ColumnKind::Other => "value of another kind",
        })
    }
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorldError::NotFound { path, .. } => write!(f, "there is no `{path}`"),
            WorldError::Unreadable { path, reason, .. } | WorldError::Empty { path, reason } => {
                write!(f, "`{path}` cannot be read: {reason}")
            }
        }
    }
}

/// Tables and modules in memory.
#[derive(Debug, Clone, Default)]
pub struct TestWorld {
    pub tables: BTreeMap<String, Header>,
    pub modules: BTreeMap<String, String>,
    pub models: BTreeMap<String, Option<TextModel>>,
    pub registered: Vec<Registration>,
}

impl TestWorld {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a table: `table("data/a.csv", "name text, size int64 0.2%, vec float[8]")`. A file that ends in `.csv` has
    /// guessed kinds.
    pub fn table(mut self, path: &str, columns: &str) -> Self {
        let guessed = path.contains(".csv") || path.contains(".tsv");
        let columns = columns.split(',').filter_map(|c| column(c, guessed)).collect();
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        self.tables.insert(path.to_owned(), Header { name, columns, ..Header::default() });
        self
    }

    pub fn module(mut self, path: &str, text: &str) -> Self {
        self.modules.insert(path.to_owned(), text.to_owned());
        self
    }

    pub fn model(mut self, folder: &str, model: Option<TextModel>) -> Self {
        self.models.insert(folder.to_owned(), model);
        self
    }

    pub fn register(mut self, kind: RustKind, name: &str) -> Self {
        self.registered.push(Registration { kind, name: name.to_owned(), higher_is_better: true });
        self
    }

    /// Adds the tables that a source declares in comments: `// table data/a.csv: name text, size int64`.
    pub fn with_tables_of(mut self, source: &str) -> Self {
        for line in source.lines() {
            let declared = line.trim().strip_prefix("// table ").and_then(|rest| rest.split_once(": "));
            if let Some((path, columns)) = declared {
                self = self.table(path, columns);
            }
        }
        self
    }

    /// The tables of `examples/debian` in small; language models: whole, without a pooler, a tokenizer alone; and one registration of
    /// each kind.
    pub fn debian() -> Self {
        Self::new()
            .table(
                "data/packages.parquet",
                "name utf8, installed_size int64 0.2%, priority utf8, section utf8, essential bool, \
                 released date32, score float, vec float[16], fold utf8, year int64",
            )
            .table("data/maintainers.parquet", "id int64, packages int64")
            .table("data/depends.parquet", "package utf8, target utf8, kind utf8, weight float, day date32")
            .table("data/kept_by.parquet", "package utf8, maintainer int64")
            .model("models/minilm", Some(TextModel { width: 384, positions: 512, pooler: true }))
            .model("models/distil", Some(TextModel { width: 768, positions: 512, pooler: false }))
            .model("models/cut", None)
            .register(RustKind::Module, "gate")
            .register(RustKind::Loss, "poisson")
            .register(RustKind::LinkLoss, "gap")
            .register(RustKind::Metric, "top_two")
            .register(RustKind::LinkMetric, "first_tenth")
            .register(RustKind::Negatives, "popular")
    }
}

fn column(text: &str, guessed: bool) -> Option<ColumnHeader> {
    let mut words = text.split_whitespace();
    let (name, type_name) = (words.next()?, words.next()?);
    let missing = words.next().and_then(|w| w.strip_suffix('%')?.parse::<f64>().ok()).map(|p| p / 100.0);
    Some(ColumnHeader {
        name: name.to_owned(),
        kind: kind_of(type_name),
        guessed,
        nullable: missing.is_some(),
        missing,
        type_name: type_name.to_owned(),
        odd: None,
    })
}

/// Gives the columns the kinds that the source states.
fn settle(header: &mut Header, source: &Source) {
    for (name, kind) in &source.cells.kinds {
        let Some(column) = header.columns.iter_mut().find(|column| column.name == *name) else { continue };
        column.kind = match kind {
            CellKind::Int => ColumnKind::Int,
            CellKind::Float => ColumnKind::Float,
            CellKind::Bool => ColumnKind::Bool,
            CellKind::Text => ColumnKind::Text,
            CellKind::Date => ColumnKind::Date,
            CellKind::Time => ColumnKind::Time,
            CellKind::Floats => ColumnKind::Vector { width: None },
            CellKind::Texts => ColumnKind::TextList,
        };
        (column.guessed, column.type_name) = (false, column.kind.to_string());
    }
}

fn kind_of(type_name: &str) -> ColumnKind {
    match type_name {
        "int64" | "int32" | "int" => ColumnKind::Int,
        "float" | "float64" | "double" => ColumnKind::Float,
        "bool" => ColumnKind::Bool,
        "utf8" | "text" => ColumnKind::Text,
        "date32" | "date" => ColumnKind::Date,
        "time" | "timestamp" => ColumnKind::Time,
        "text[]" => ColumnKind::TextList,
        other => match other.strip_prefix("float[").and_then(|rest| rest.strip_suffix(']')) {
            Some(width) => ColumnKind::Vector { width: width.parse().ok() },
            None => ColumnKind::Other,
        },
    }
}

impl World for TestWorld {
    fn header(&self, source: &Source) -> Result<Header, WorldError> {
        let mut first: Option<Header> = None;
        for path in &source.paths {
            let header = self
                .tables
                .get(path)
                .ok_or_else(|| WorldError::NotFound { path: path.clone(), help: None })?;
            first.get_or_insert_with(|| header.clone());
        }
        let mut header = first.unwrap_or_default();
        settle(&mut header, source);
        Ok(header)
    }

    fn read_module(&self, path: &str) -> Result<String, WorldError> {
        let found = self.modules.get(path).cloned();
        found.ok_or_else(|| WorldError::NotFound { path: path.to_owned(), help: None })
    }

    fn registered(&self) -> &[Registration] {
        &self.registered
    }

    fn text_model(&self, folder: &str) -> Result<Option<TextModel>, WorldError> {
        let found = self.models.get(folder).copied();
        found.ok_or_else(|| WorldError::NotFound { path: folder.to_owned(), help: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_describe_themselves() {
        let world = TestWorld::debian();
        let header = world.header(&Source::of(vec!["data/packages.parquet".into()])).unwrap();
        assert_eq!(header.column("installed_size").unwrap().describe(), "int64, 0.2% missing");
        assert_eq!(header.column("vec").unwrap().kind, ColumnKind::Vector { width: Some(16) });
        assert!(header.column("instaled_size").is_none());
    }

    #[test]
    fn tables_from_comments() {
        let world = TestWorld::new().with_tables_of("// table a.csv: id int, text utf8 3%\nparam x = 1\n");
        let header = &world.tables["a.csv"];
        assert_eq!(header.names().collect::<Vec<_>>(), ["id", "text"]);
        assert!(header.columns[0].guessed);
    }
}
