//! What can be wrong with the data of a graph, as facts; the text is made here.

use std::fmt;
use std::path::PathBuf;

use gsl_plan::graph::Storage;
use gsl_tables::TableError;

use super::part_words::OtherWords;
use super::storage::largest;
use crate::graph::GraphError;
use crate::text::Refusal;

pub type Result<T, E = BuildError> = std::result::Result<T, E>;

/// A key or value and where it stands: `file, row 3 (line 4)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender {
    pub found: String,
    pub place: String,
}

#[derive(Debug)]
pub enum BuildError {
    Table(TableError),
    Graph(GraphError),
    /// The scratch folder cannot be written or read.
    Scratch {
        file: PathBuf,
        error: std::io::Error,
    },
    /// What has to be in memory at once does not fit.
    Memory {
        what: String,
        wanted: u64,
        memory: u64,
    },
    DuplicateKeys {
        ty: String,
        column: String,
        count: u64,
        first: Vec<Offender>,
    },
    MissingKeys {
        ty: String,
        column: String,
        count: u64,
        place: String,
    },
    DanglingEdges {
        relation: String,
        column: String,
        ty: String,
        count: u64,
        first: Vec<Offender>,
    },
    MissingRelation {
        column: String,
        count: u64,
        place: String,
    },
    /// Rows with a relation that the model was not trained with.
    UnknownRelations {
        column: String,
        count: u64,
        first: Vec<Offender>,
    },
    Feature {
        owner: String,
        feature: String,
        fault: Fault,
        place: Option<String>,
    },
    LabelTransform {
        ty: String,
        label: String,
        fault: Fault,
        place: Option<String>,
    },
    NoNodes {
        ty: String,
    },
    TooMany {
        what: String,
        count: u64,
    },
    NoLabels {
        ty: String,
        label: String,
        column: String,
    },
    NoTrainingRows {
        ty: String,
        label: String,
        /// What the column of the split has instead.
        words: OtherWords,
    },
    InfiniteLabel {
        ty: String,
        label: String,
        place: String,
    },
    OnlyInTest {
        ty: String,
        label: String,
        classes: Vec<String>,
    },
    BadFractions {
        ty: String,
        label: String,
        sum: f64,
    },
    UnknownSplitKeys {
        ty: String,
        label: String,
        count: u64,
        first: Vec<Offender>,
    },
    KeyInTwoParts {
        ty: String,
        label: String,
        key: String,
        place: String,
    },
    SplitColumn {
        file: PathBuf,
        ty: String,
    },
    BadBound {
        column: String,
        found: String,
        kind: String,
    },
    Model {
        folder: String,
        refusal: Box<Refusal>,
    },
    /// A list of numbers for several classes that has another length than the others.
    LabelWidth {
        ty: String,
        label: String,
        found: usize,
        expected: usize,
        place: String,
    },
    /// A list for several classes that holds something else than 0 and 1.
    LabelNumber {
        ty: String,
        label: String,
        found: f32,
        place: String,
    },
    /// Pairs of a split that are no edges.
    UnknownSplitPairs {
        ty: String,
        label: String,
        count: u64,
        first: Vec<Offender>,
    },
    MergedColumn {
        column: String,
        fault: Fault,
        place: Option<String>,
    },
    MissingTime {
        owner: String,
        column: String,
        count: u64,
        place: String,
    },
    UnknownCandidates {
        relation: String,
        column: String,
        count: u64,
        first: Vec<Offender>,
    },
    /// Nodes that are in no small graph, or in one that is not there.
    UnknownGraphs {
        ty: String,
        column: String,
        count: u64,
        first: Vec<Offender>,
    },
    BetweenGraphs {
        relation: String,
        count: u64,
        first: Vec<Offender>,
    },
}

/// What a transform refuses, without its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    Missing { count: u64 },
    NotFinite { found: f64 },
    LogBelowMinusOne { found: f64 },
    RootOfNegative { found: f64 },
    Widths { found: usize, expected: usize },
    UnequalParts { left: usize, right: usize },
    NothingToFit { transform: &'static str },
    TextWanted { transform: &'static str },
    NumberWanted { transform: &'static str },
    NoColumn { column: String },
    NoWidth,
    BeyondStorage { found: f32, storage: Storage },
    StatedWidth { found: usize, stated: usize },
    TooLarge { found: f64 },
    TooManyValues { transform: &'static str },
    Scratch { error: String },
    NoRoomForValues { transform: &'static str, values: usize },
    TooLargeToTell { found: f64 },
    NotANumber { found: String },
    DateWanted { transform: &'static str },
    SumIsZero,
    Model { folder: String, refusal: Box<Refusal> },
    ModelChanged { folder: String },
}

impl From<TableError> for BuildError {
    fn from(error: TableError) -> Self {
        BuildError::Table(error)
    }
}

impl From<GraphError> for BuildError {
    fn from(error: GraphError) -> Self {
        BuildError::Graph(error)
    }
}

impl std::error::Error for BuildError {}

impl BuildError {
    /// A stable name for this kind of mistake.
    pub fn code(&self) -> &'static str {
        match self {
            BuildError::Table(error) => error.code(),
            BuildError::Graph(error) => error.code(),
            BuildError::Scratch { .. } => "scratch",
            BuildError::Memory { .. } => "memory",
            BuildError::DuplicateKeys { .. } => "duplicate_keys",
            BuildError::MissingKeys { .. } => "missing_keys",
            BuildError::DanglingEdges { .. } => "dangling_edges",
            BuildError::MissingRelation { .. } => "missing_relation",
            BuildError::UnknownRelations { .. } => "unknown_relations",
            BuildError::Feature { fault: Fault::Missing { .. }, .. } => "missing_values",
            BuildError::Feature { fault: Fault::NotFinite { .. }, .. } => "not_finite",
            BuildError::Feature { fault: Fault::BeyondStorage { .. }, .. } => "beyond_storage",
            BuildError::Feature { fault: Fault::Model { .. } | Fault::ModelChanged { .. }, .. } => {
                "text_model"
            }
            BuildError::Feature { .. } | BuildError::LabelTransform { .. } => "transform",
            BuildError::NoNodes { .. } => "empty_node_type",
            BuildError::TooMany { .. } => "too_many",
            BuildError::NoLabels { .. } => "no_labels",
            BuildError::NoTrainingRows { .. } => "no_training_rows",
            BuildError::InfiniteLabel { .. } => "infinite_label",
            BuildError::OnlyInTest { .. } => "class_only_in_test",
            BuildError::BadFractions { .. } => "bad_fractions",
            BuildError::UnknownSplitKeys { .. } => "unknown_split_keys",
            BuildError::KeyInTwoParts { .. } => "key_in_two_parts",
            BuildError::SplitColumn { .. } => "split_column",
            BuildError::BadBound { .. } => "bad_bound",
            BuildError::Model { .. } => "text_model",
            BuildError::LabelWidth { .. } => "label_width",
            BuildError::LabelNumber { .. } => "label_number",
            BuildError::UnknownSplitPairs { .. } => "unknown_split_pairs",
            BuildError::MergedColumn { .. } => "merged_column",
            BuildError::MissingTime { .. } => "missing_time",
            BuildError::UnknownCandidates { .. } => "unknown_candidates",
            BuildError::UnknownGraphs { .. } => "unknown_graphs",
            BuildError::BetweenGraphs { .. } => "between_graphs",
        }
    }

    /// What to do about it, where something can be said.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            BuildError::Table(error) => return error.help(),
            BuildError::Graph(error) => return error.help(),
            BuildError::Scratch { .. } => "free space there, or name another folder with `--scratch FOLDER`",
            BuildError::Memory { wanted, .. } => {
                return Some(format!("allow at least that with `--memory {}MB`", (wanted >> 20) + 1));
            }
            BuildError::DuplicateKeys { .. } => {
                "write `duplicates = first` to keep the first row of each key"
            }
            BuildError::DanglingEdges { .. } => {
                "write `missing = drop` to leave out edges whose ends are unknown"
            }
            BuildError::MissingRelation { .. } => {
                "write `missing = drop` to leave out rows without a relation"
            }
            BuildError::UnknownRelations { .. } => {
                "train with tables that have them, or write `missing = drop` to leave out their edges"
            }
            BuildError::Feature { fault: Fault::Missing { .. }, .. } => {
                "add `|> fill(0)`, `|> fill(mean)`, `|> fill(median)` or `|> fill(mode)`"
            }
            BuildError::Feature { fault: Fault::Model { refusal, .. }, .. }
            | BuildError::Model { refusal, .. } => return refusal.help.clone(),
            BuildError::Feature { fault: Fault::ModelChanged { .. }, .. } => {
                "put the files back, or build the graph anew with these"
            }
            BuildError::Feature { fault: Fault::NotFinite { .. }, .. } => {
                "guard the expression, for example with `clip`"
            }
            BuildError::Feature { fault: Fault::LogBelowMinusOne { .. }, .. } => "`clip` the column first",
            BuildError::Feature { fault: Fault::BeyondStorage { .. }, .. } => {
                "bring it into range, for example with `standardize`, or store the feature as `bfloat16` or `float`"
            }
            BuildError::Feature { fault: Fault::TooManyValues { transform: "multi_hot" }, .. } => {
                "leave rare words out of the column, or count them by hash: `bag_of_words(1024)`"
            }
            BuildError::Feature { fault: Fault::TooManyValues { .. }, .. } => {
                "`one_hot(top: 1000)` keeps the most frequent ones, `hash(1024)` shares columns; or give the type an \
                 `embedding`"
            }
            BuildError::Feature { fault: Fault::NoRoomForValues { .. }, .. } => {
                "`hash(1024)` needs no memory for values"
            }
            BuildError::Feature { fault: Fault::TooLargeToTell { .. }, .. } => {
                "store such identifiers as text"
            }
            BuildError::Feature { fault: Fault::Widths { .. }, .. } => {
                "`vector(take: n)` takes the first n numbers of each row"
            }
            BuildError::NoTrainingRows { label, words, .. } => return Some(train_on(label, words)),
            BuildError::OnlyInTest { .. } => {
                "a class that no training row has cannot be learned: move rows, or leave it out"
            }
            BuildError::UnknownCandidates { .. } => {
                "write `missing = drop` to leave out candidates that are no nodes"
            }
            BuildError::MissingKeys { .. } => {
                "fill the column, or take out the rows; without `key` nodes go by their row numbers"
            }
            BuildError::UnknownSplitKeys { .. } => "take them out of the file, or add the rows to the table",
            BuildError::KeyInTwoParts { .. } => {
                "leave it in one of the files: a row that is tested teaches nothing"
            }
            BuildError::UnknownSplitPairs { .. } => "take them out of the file, or add the edges",
            BuildError::LabelNumber { .. } => "a list says of each class whether it is one: 0 or 1",
            BuildError::MissingTime { .. } => "fill the column, or leave out `time`",
            BuildError::UnknownGraphs { .. } => "each node of a graph of many is in one of its small graphs",
            BuildError::BetweenGraphs { .. } => {
                "small graphs have no edges between them: leave out `many by`, or mend the table"
            }
            BuildError::BadFractions { .. } => "fractions are between 0 and 1 and sum to at most 1",
            _ => return None,
        };
        Some(text.to_string())
    }
}

/// How rows are named that train a label, where none is.
fn train_on(label: &str, words: &OtherWords) -> String {
    let split = if label.starts_with('(') { "split".to_string() } else { format!("split {label}") };
    match (words.said(), words.rule(&split)) {
        (None, _) => "check what the split names as training rows".to_string(),
        (Some(said), None) => said,
        (Some(said), Some(rule)) => format!("{said}; of numbers the parts are made `by` bounds: `{rule}`"),
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Table(error) => write!(f, "{error}"),
            BuildError::Graph(error) => write!(f, "{error}"),
            BuildError::Scratch { file, error } => {
                write!(f, "the scratch file `{}` failed: {error}", file.display())
            }
            BuildError::Memory { what, wanted, memory } => write!(
                f,
                "{what} takes {} MB of memory, and {} MB are allowed",
                (wanted >> 20) + 1,
                memory >> 20
            ),
            BuildError::DuplicateKeys { ty, column, count, first } => {
                write!(f, "{count} rows of `{ty}` repeat a key of column `{column}`: {}", listed(first))
            }
            BuildError::MissingKeys { ty, column, count, place } => {
                write!(f, "{count} rows of `{ty}` have no key in column `{column}`, the first at {place}")
            }
            BuildError::DanglingEdges { relation, column, ty, count, first } => write!(
                f,
                "{count} edges of `{relation}` name a `{ty}` in column `{column}` that is not there: {}",
                listed(first)
            ),
            BuildError::MissingRelation { column, count, place } => {
                write!(f, "{count} rows have no relation in column `{column}`, the first at {place}")
            }
            BuildError::UnknownRelations { column, count, first } => write!(
                f,
                "{count} rows have a relation in column `{column}` that was never trained: {}",
                listed(first)
            ),
            BuildError::Feature { owner, feature, fault, place } => {
                write!(f, "feature `{feature}` of `{owner}`: {fault}")?;
                place.as_ref().map_or(Ok(()), |place| write!(f, ", first at {place}"))
            }
            BuildError::LabelTransform { ty, label, fault, place } => {
                write!(f, "label `{ty}.{label}`: {fault}")?;
                place.as_ref().map_or(Ok(()), |place| write!(f, ", first at {place}"))
            }
            BuildError::NoNodes { ty } => write!(f, "node type `{ty}` has no nodes"),
            BuildError::TooMany { what, count } => {
                write!(f, "{count} {what}: at most 4,294,967,293 are possible")
            }
            BuildError::NoLabels { ty, label, column } => {
                write!(f, "no row of `{ty}` has a label: column `{column}` of `{ty}.{label}` is empty")
            }
            BuildError::NoTrainingRows { ty, label, .. } => match label.strip_prefix('(') {
                Some(_) => write!(f, "the split of `{ty}` for {label} leaves no row to train on"),
                None => write!(f, "the split of `{ty}.{label}` leaves no labelled row to train on"),
            },
            BuildError::InfiniteLabel { ty, label, place } => {
                write!(f, "label `{ty}.{label}` is infinite at {place}")
            }
            BuildError::OnlyInTest { ty, label, classes } => write!(
                f,
                "{} of `{ty}.{label}` in the test part and in no training row: {}",
                if classes.len() == 1 { "1 class".to_string() } else { format!("{} classes", classes.len()) },
                classes.join(", ")
            ),
            BuildError::BadFractions { ty, label, sum } => {
                write!(f, "the fractions of the split of `{ty}.{label}` sum to {sum}")
            }
            BuildError::UnknownSplitKeys { ty, label, count, first } => {
                write!(
                    f,
                    "the split of `{ty}.{label}` names {count} keys that are not there: {}",
                    listed(first)
                )
            }
            BuildError::KeyInTwoParts { ty, label, key, place } => {
                write!(
                    f,
                    "the split of `{ty}.{label}` puts key `{key}` into two parts, the second at {place}"
                )
            }
            BuildError::Model { folder, refusal } => {
                write!(f, "the language model `{folder}`: {}", refusal.reason)
            }
            BuildError::SplitColumn { file, ty } => {
                write!(f, "{}: which column holds the keys of `{ty}`?", file.display())
            }
            BuildError::BadBound { column, found, kind } => {
                write!(f, "column `{column}` is of kind {kind} and cannot be compared with `{found}`")
            }
            BuildError::LabelWidth { ty, label, found, expected, place } => {
                write!(f, "label `{ty}.{label}` has {found} numbers at {place}, and {expected} elsewhere")
            }
            BuildError::LabelNumber { ty, label, found, place } => {
                write!(f, "label `{ty}.{label}` has {found} for a class at {place}")
            }
            BuildError::UnknownSplitPairs { ty, label, count, first } => {
                write!(
                    f,
                    "the split of `{ty}.{label}` names {count} pairs that are no edges: {}",
                    listed(first)
                )
            }
            BuildError::MergedColumn { column, fault, place } => {
                write!(f, "column `{column}` cannot be merged: {fault}")?;
                place.as_ref().map_or(Ok(()), |place| write!(f, ", first at {place}"))
            }
            BuildError::MissingTime { owner, column, count, place } => {
                write!(f, "{count} rows of `{owner}` have no time in column `{column}`, the first at {place}")
            }
            BuildError::UnknownCandidates { relation, column, count, first } => write!(
                f,
                "{count} candidates of `{relation}` in column `{column}` are no nodes: {}",
                listed(first)
            ),
            BuildError::UnknownGraphs { ty, column, count, first } => write!(
                f,
                "{count} nodes of `{ty}` name a small graph in column `{column}` that is not there: {}",
                listed(first)
            ),
            BuildError::BetweenGraphs { relation, count, first } => {
                let told: Vec<String> = first.iter().map(|o| format!("`{}` {}", o.found, o.place)).collect();
                let told = told.join("; ");
                write!(f, "{count} edges of `{relation}` lead from one small graph into another: {told}")
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing { count } => write!(f, "{count} rows have no value"),
            Fault::NotFinite { found } => write!(f, "a value is {found}"),
            Fault::LogBelowMinusOne { found } => write!(f, "log1p of {found}, which is not above -1"),
            Fault::RootOfNegative { found } => write!(f, "square root of {found}"),
            Fault::Widths { found, expected } => write!(f, "a list of {found} numbers, expected {expected}"),
            Fault::UnequalParts { left, right } => {
                write!(f, "operands of {left} and {right} numbers a row do not fit together")
            }
            Fault::NothingToFit { transform } => {
                write!(f, "`{transform}` finds no value in the training rows to learn from")
            }
            Fault::TextWanted { transform } => write!(f, "`{transform}` wants text"),
            Fault::NumberWanted { transform } => write!(f, "`{transform}` wants numbers, and this is text"),
            Fault::NoColumn { column } => write!(f, "the table has no column `{column}`"),
            Fault::TooLarge { found } => write!(f, "{found:e} is too large to be squared and added up"),
            Fault::TooManyValues { transform } => {
                write!(f, "more than 65,536 values would have a column of their own in `{transform}`")
            }
            Fault::NoRoomForValues { transform, values } => {
                write!(
                    f,
                    "{values} different values are more than the memory of the build has room for in `{transform}`"
                )
            }
            Fault::TooLargeToTell { found } => {
                write!(f, "the integer {found} is so large that it cannot be told from its neighbours")
            }
            Fault::NotANumber { found } => write!(f, "`{found}` is not a number"),
            Fault::DateWanted { transform } => write!(f, "`{transform}` wants a date or time"),
            Fault::SumIsZero => {
                write!(f, "the training rows sum to 0, and `sum_normalize` would divide by it")
            }
            Fault::Scratch { error } => write!(f, "cannot keep values in the scratch folder {error}"),
            Fault::Model { folder, refusal } => {
                write!(f, "the language model `{folder}`: {}", refusal.reason)
            }
            Fault::ModelChanged { folder } => {
                write!(f, "the files of the language model `{folder}` have changed since the graph was built")
            }
            Fault::NoWidth => write!(f, "no row has a list, so its width is not known"),
            Fault::StatedWidth { found, stated } => {
                write!(f, "rows have {found} numbers, and {stated} are stated")
            }
            Fault::BeyondStorage { found, storage } => {
                let (name, most) = (storage.name(), largest(*storage));
                write!(f, "{found} cannot be stored as {name}, whose largest number is {most}")
            }
        }
    }
}

fn listed(offenders: &[Offender]) -> String {
    let texts: Vec<String> = offenders.iter().map(|o| format!("`{}` at {}", o.found, o.place)).collect();
    texts.join("; ")
}
