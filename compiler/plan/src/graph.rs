//! What the graph is made of: sources, keys, features, labels, splits, relations, policies.
//!
//! Decided here: the declaration, as plain data, that construction turns into a graph file, and the facts that
//! a built graph answers with. Not decided here: how tables are read or the file is laid out.

use serde::{Deserialize, Serialize};

/// A graph as declared: every name is resolved, every column is known to exist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphPlan {
    pub name: String,
    pub nodes: Vec<NodeType>,
    pub edges: Vec<EdgeType>,
    /// Keys the random splits (and nothing else of the graph).
    pub seed: u64,
    /// The node type that stands for the small graphs of a graph of many: `many by`. Its nodes are those graphs.
    #[serde(default)]
    pub graphs: Option<usize>,
}

impl GraphPlan {
    /// Node types whose nodes are in small graphs.
    pub fn member_types(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|ty| self.nodes[*ty].graph.is_some())
    }
}

/// Nodes of one type, one row of the (joined) sources each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeType {
    pub name: String,
    /// The first source gives the nodes; the others are joined to it on `key` (no match: missing values).
    /// Empty: the type is declared by its edges (`node topic from edges`), ordered by key.
    pub sources: Vec<Source>,
    /// The identifier; none: the row number of the first source.
    pub key: Option<Key>,
    pub features: Vec<Feature>,
    pub labels: Vec<Label>,
    pub duplicates: DuplicatePolicy,
    /// A column of dates, times or integers: when the node comes into being. All times of a graph are of one kind.
    #[serde(default)]
    pub time: Option<String>,
    /// In a graph of many: the column that names the small graph of each node, by the key of [`GraphPlan::graphs`].
    #[serde(default)]
    pub graph: Option<String>,
}

/// One relation, or with [`Relation::Column`] a family of relations, one for each value of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeType {
    pub relation: Relation,
    /// Index of the source node type in [`GraphPlan::nodes`].
    pub src: usize,
    /// Index of the destination node type.
    pub dst: usize,
    pub source: Source,
    pub src_column: String,
    pub dst_column: String,
    /// The name of the opposite relation, if wanted; for a family, the prefix of the opposites' names.
    pub reverse: Option<String>,
    /// Features of an edge are shared by its reverse.
    pub features: Vec<Feature>,
    pub missing: MissingPolicy,
    /// What becomes of several edges between the same two nodes.
    #[serde(default)]
    pub parallel: Parallel,
    #[serde(default)]
    pub loops: Loops,
    /// A column of dates, times or integers: when the edge comes into being; of a merged edge, the latest.
    #[serde(default)]
    pub time: Option<String>,
    #[serde(default)]
    pub labels: Vec<Label>,
    /// For each edge, destinations that are hard to tell from its own.
    #[serde(default)]
    pub candidates: Vec<Candidates>,
}

/// Keys of nodes of the destination type, from one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    pub name: String,
    pub column: String,
    /// What parts the keys in a text; none: each cell is one key, or a list of texts.
    pub separator: Option<String>,
}

/// Several edges of one relation between the same two nodes. Merging adds up the columns, before any transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Parallel {
    #[default]
    Keep,
    /// One edge; each column that its features and labels read is the sum of the merged rows'. Missing values are left
    /// out; it is missing where all are.
    Sum,
    Mean,
    Min,
    Max,
    /// One edge, of which only the number of merged rows is known.
    Count,
}

/// Edges from a node to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Loops {
    #[default]
    Keep,
    Drop,
    /// Each node without one gets one, whose columns are all missing.
    Add,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    Named(String),
    /// The relation of each row is the text of this column; the relations are its distinct values, sorted.
    Column(String),
}

impl Relation {
    /// The name of the relation, or of the column.
    pub fn name(&self) -> &str {
        match self {
            Relation::Named(name) | Relation::Column(name) => name,
        }
    }
}

/// Paths, folders or globs as written, relative to the folder of the `.gsl` file; read as one table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Source {
    pub paths: Vec<String>,
    /// Said of the files by `csv(…)`, `json(…)` and the like; otherwise the extension decides.
    #[serde(default)]
    pub format: Option<Format>,
    #[serde(default, skip_serializing_if = "Cells::is_empty")]
    pub cells: Cells,
}

impl Source {
    pub fn of(paths: Vec<String>) -> Self {
        Source { paths, ..Source::default() }
    }
}

/// What the user says of the cells of a text file, as in `csv("a.csv", text: [id], missing: ["-"])`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cells {
    /// Columns whose kind is stated, each once.
    pub kinds: Vec<(String, CellKind)>,
    /// Cells that are missing, in columns of any kind.
    pub missing: Vec<String>,
}

impl Cells {
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.missing.is_empty()
    }
}

/// A kind that can be stated of a column of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CellKind {
    Int,
    Float,
    Bool,
    Text,
    Date,
    Time,
    /// Lists of numbers.
    Floats,
    /// Lists of texts.
    Texts,
}

impl CellKind {
    /// By the argument of `csv(…)` that states it.
    pub const NAMED: [(&str, CellKind); 8] = [
        ("int", CellKind::Int),
        ("float", CellKind::Float),
        ("bool", CellKind::Bool),
        ("text", CellKind::Text),
        ("date", CellKind::Date),
        ("time", CellKind::Time),
        ("floats", CellKind::Floats),
        ("texts", CellKind::Texts),
    ];
}

/// A format that the user states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    Csv { separator: char, quote: Option<char>, header: bool },
    JsonLines,
    Parquet,
    Hdf5 { group: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub column: String,
    pub kind: KeyKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    Int,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DuplicatePolicy {
    #[default]
    Error,
    First,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MissingPolicy {
    #[default]
    Error,
    Drop,
}

/// A feature: rows × width of numbers, computed from columns by an expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    pub expr: FeatureExpr,
    #[serde(default)]
    pub storage: Storage,
    /// The stated width; a row of another width is an error.
    #[serde(default)]
    pub width: Option<usize>,
}

/// How the numbers of a feature are kept in the graph file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Storage {
    #[default]
    Float32,
    Float16,
    BFloat16,
    /// round(x / scale), with one scale for each column.
    Int8,
}

impl Storage {
    pub const ALL: [Storage; 4] = [Storage::Float32, Storage::Float16, Storage::BFloat16, Storage::Int8];

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Storage::Float32 => 4,
            Storage::Float16 | Storage::BFloat16 => 2,
            Storage::Int8 => 1,
        }
    }

    /// The type's name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Storage::Float32 => "float",
            Storage::Float16 => "float16",
            Storage::BFloat16 => "bfloat16",
            Storage::Int8 => "int8",
        }
    }
}

/// An expression over columns. Statistics of fitted transforms come from the rows of the training split of the
/// type's first label, or from all rows where the type has no label or the rows are edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FeatureExpr {
    Column {
        column: String,
        kind: ColumnKind,
    },
    Const(f64),
    Arith {
        op: Arith,
        left: Box<FeatureExpr>,
        right: Box<FeatureExpr>,
    },
    Apply {
        transform: Transform,
        input: Box<FeatureExpr>,
    },
    /// Columns side by side.
    Concat(Vec<FeatureExpr>),
    /// What follows from the edges instead of a column.
    Structure(Structure),
}

/// A number of each node or edge that its place in the graph gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Structure {
    /// Edges into the node, of all relations, reverses among them.
    Degree,
    /// Edges of the relation into the node.
    InDegree(RelationRef),
    /// Edges of the relation out of the node.
    OutDegree(RelationRef),
    /// The share of time that a random surfer spends at the node, times the number of nodes. Page et al. 1999.
    PageRank { relation: RelationRef, damping: f64, iterations: u32 },
    /// Of an edge: the rows that were merged into it; 0 for a loop that was added.
    Count,
}

/// A relation as declared: the edge type's, all relations of its family, or the opposite of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationRef {
    /// Index into [`GraphPlan::edges`].
    pub edge: usize,
    pub reverse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnKind {
    Number,
    Bool,
    Text,
    /// A list of floats; the width is known when the header says so.
    Vector {
        width: Option<usize>,
    },
    /// A list of texts.
    Texts,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00.
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arith {
    Add,
    Sub,
    Mul,
    Div,
}

/// Transforms by the name they have in the language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Transform {
    /// (x - mean) / standard deviation; a constant column becomes 0.
    Standardize,
    /// (x - low) / (high - low), held to [0, 1]. A bound that is not stated is the smallest or greatest training value.
    MinMax {
        low: Option<f64>,
        high: Option<f64>,
    },
    /// x / sum of the training values; a sum of 0 is an error.
    SumNormalize,
    /// Inverse normal distribution function of the rank among the fitted values.
    GaussRank,
    /// The share of fitted values below x, equal ones counted half.
    Quantile,
    /// ln(1 + x); x below -1 is an error.
    Log1p,
    /// One column per value (text, integer or bool), sorted; unseen and missing values give zeros.
    OneHot {
        /// Only the values that are most frequent among the training rows, and a last column for all others.
        top: Option<usize>,
    },
    /// The cell holds several values parted by `separator`; a 1 for each that is there.
    MultiHot {
        separator: String,
    },
    /// One-hot of a keyed hash of the value: which columns there are does not depend on the data.
    Hash {
        columns: usize,
    },
    /// One-hot of the interval that holds x.
    Bucket(Buckets),
    /// Bounds on x.
    Clip {
        low: f64,
        high: f64,
    },
    /// Replaces missing values.
    Fill(Fill),
    /// Each row divided by its sum of absolute values (or Euclidean norm); zero rows stay zero.
    NormalizeRows {
        p: u8,
    },
    /// A list of floats, or with a separator a text of numbers; every row has as many as most rows have.
    Vector {
        separator: Option<String>,
        /// Only the first so many; every row has at least as many.
        take: Option<usize>,
    },
    Sqrt,
    Abs,
    /// A part of a date or time.
    Part(DatePart),
    /// sin and cos of 2πx / period.
    Cyclic {
        period: f64,
    },
    /// Numbers of a text.
    Text(TextTransform),
}

/// Transforms of texts. `model` is the folder of a language model, relative to the folder of the `.gsl` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextTransform {
    /// The identifiers of the first `length` tokens, special ones among them; -1 behind the end and for a missing text.
    Tokens { model: String, length: usize },
    /// A vector of `width` numbers; of longer texts, of the first `length` tokens. A missing text is zeros.
    Embed { model: String, length: usize, pool: Pool, width: usize },
    /// Counts of words, each in one of so many columns by a hash.
    BagOfWords { columns: usize },
    /// One column for each of the words that are in most training texts: count times ln((1 + N) / (1 + df)) + 1, rows of
    /// Euclidean norm 1.
    Tfidf { words: usize },
}

/// How the rows of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pool {
    Mean,
    /// The first token.
    Cls,
    /// The first token through the model's pooler.
    Pooler,
}

/// Intervals closed below and open above; the first and the last have no end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Buckets {
    /// The bounds between them, ascending.
    Bounds(Vec<f64>),
    /// `count` of equal width between `from` and `to`. Each one that x ± window / 2 touches is set.
    Even { count: usize, from: f64, to: f64, window: f64 },
    /// As many, with as equal shares of the training values as ties allow.
    Quantiles(usize),
}

/// Parts of dates and times (UTC, proleptic Gregorian calendar).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DatePart {
    Year,
    /// 1 … 12.
    Month,
    /// 1 … 31.
    Day,
    /// 1 (Monday) … 7, as in ISO 8601.
    Weekday,
    /// 1 … 366.
    DayOfYear,
    /// 0 … 23.
    Hour,
    /// 0 … 59.
    Minute,
    /// Days since 1970-01-01; of a time, with their fraction.
    Days,
    /// Seconds since 1970-01-01T00:00:00.
    Seconds,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fill {
    Constant(f64),
    Text(String),
    Mean,
    Median,
    /// The most frequent training value, the smallest of equals.
    Mode,
}

/// What is to be predicted of a node or an edge. A missing value means unlabelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    pub name: String,
    /// Empty for a label that is [`Structure::Count`].
    pub column: String,
    pub kind: LabelKind,
    /// Applied to a float label in this order, for example `log1p`.
    pub transforms: Vec<Transform>,
    /// Of a [`LabelKind::Classes`].
    #[serde(default)]
    pub several: Several,
    pub split: Option<Split>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelKind {
    /// Text, integer or bool; classes are the distinct values: sorted as numbers if all are, else as text.
    Class,
    Float,
    /// Any number of classes at once; none of them is not the same as missing.
    Classes,
}

/// How a cell holds any number of classes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Several {
    /// A list of one 0 or 1 for each class.
    #[default]
    Numbers,
    /// A list of their names.
    Names,
    /// A text of their names, parted by this.
    Parted(String),
}

impl Label {
    /// Whether it is the number of rows that were merged into an edge.
    pub fn is_count(&self) -> bool {
        self.column.is_empty()
    }
}

/// Which labelled rows train, validate, test. A function of the seed and the key, never of the row order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Split {
    /// Fractions that sum to at most 1; rows beyond the sum belong to no part.
    Random { train: f64, valid: f64, test: f64, stratified: bool },
    /// A column with the words train, valid (or val, validation), test; anything else or missing: no part.
    Column { column: String },
    /// By comparing a column.
    By { column: String, train: Vec<Bound>, valid: Vec<Bound>, test: Vec<Bound> },
    /// Files of keys, one column each (the type's key column, or the only column).
    Files { train: Source, valid: Option<Source>, test: Option<Source> },
}

/// A comparison with a constant; several are joined by "and".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    pub compare: Compare,
    pub value: Scalar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    Less,
    LessEqual,
    Equal,
    GreaterEqual,
    Greater,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    Number(f64),
    Text(String),
}

/// A part of a split, as stored with the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Part {
    None = 0,
    Train = 1,
    Valid = 2,
    Test = 3,
}

/// What is known of a graph once it is built: everything that shapes, costs and class counts depend on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GraphFacts {
    pub nodes: Vec<NodeFacts>,
    /// Families are expanded and reverses are relations of their own: a relation is followed by its reverse.
    pub relations: Vec<RelationFacts>,
}

impl GraphFacts {
    /// Source and destination type of each relation.
    pub fn ends(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.relations.iter().map(|r| (r.src as u32, r.dst as u32))
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeFacts {
    pub name: String,
    pub count: u64,
    pub features: Vec<FeatureFacts>,
    pub labels: Vec<LabelFacts>,
    #[serde(default)]
    pub time: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeatureFacts {
    pub name: String,
    pub width: usize,
    #[serde(default)]
    pub storage: Storage,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LabelFacts {
    pub name: String,
    /// Names of the classes by index; empty for a float label.
    pub classes: Vec<String>,
    /// How many training rows each class has; empty for a float label.
    pub train_counts: Vec<u64>,
    /// Labelled rows in [none, train, valid, test].
    pub parts: [u64; 4],
    /// Mean and standard deviation of a float label over its training rows.
    pub mean: f64,
    pub std: f64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RelationFacts {
    pub name: String,
    /// Index into [`GraphFacts::nodes`].
    pub src: usize,
    pub dst: usize,
    pub edges: u64,
    /// Index of the relation that this one is the reverse of.
    pub reverse_of: Option<usize>,
    /// Index of the declaring [`EdgeType`] in [`GraphPlan::edges`].
    pub declared_by: usize,
    pub features: Vec<FeatureFacts>,
    #[serde(default)]
    pub labels: Vec<LabelFacts>,
    #[serde(default)]
    pub time: bool,
}
