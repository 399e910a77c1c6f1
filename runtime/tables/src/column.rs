//! Typed columns: values, a bitmap of which are present, and what is known of them before reading.

use std::fmt;
use std::path::PathBuf;

use crate::intern::TextValues;
use crate::sample::Evidence;

/// A column of a table: `values` has one entry per row; where `validity` is false the value is missing and its entry
/// is a zero, an empty list (zeros in a list of one width), or [`MISSING`] for a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub values: Values,
    pub validity: Option<Bitmap>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(TextColumn),
    /// Days since 1970-01-01.
    Date(Vec<i64>),
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    Time(Vec<i64>),
    FloatList(FloatList),
    TextList(TextList),
}

/// The code of a missing text.
pub const MISSING: u32 = u32::MAX;

/// Texts as codes into their values. Whole columns number distinct values by first appearance; the batches of a stream
/// may hold a value twice, or one that only an earlier row has (see [`Batch`](crate::Batch)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextColumn {
    pub codes: Vec<u32>,
    pub values: TextValues,
}

/// Lists of floats: row `i` is `values[i * width..]` when all rows are of one width, else cut by `offsets`.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatList {
    Fixed { rows: usize, width: usize, values: Vec<f32> },
    Ragged { offsets: Vec<u64>, values: Vec<f32> },
}

/// Lists of texts: row `i` has the codes `codes[offsets[i]..offsets[i + 1]]`, none of which is [`MISSING`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextList {
    pub offsets: Vec<u64>,
    pub codes: Vec<u32>,
    pub values: TextValues,
}

/// Kinds of values that a column can hold. `Other` can be named in a message, and not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    Int,
    Float,
    Bool,
    Text,
    Date,
    Time,
    FloatList(Option<usize>),
    TextList,
    Other(String),
}

/// What the reader is to make of a column. `Auto` keeps the column's own kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    #[default]
    Auto,
    Int,
    Float,
    Bool,
    Text,
    /// Texts that name classes: of a column of numbers the whole ones, written as integers.
    Class,
    Date,
    Time,
    FloatList,
    TextList,
}

/// What is known without reading the data.
///
/// Parquet, HDF5: from the file's own description, exact. Text: names from the header line or the keys of objects, kinds
/// and missing values from a sample of at most 1,000 rows of the first file and 200 rows of up to eight others; of
/// objects, at most 20,000 and 2,000, in their first four MiB.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub columns: Vec<ColumnInfo>,
    /// `None` where counting would mean reading.
    pub rows: Option<u64>,
    pub files: Vec<PathBuf>,
    /// True when the kinds come from a sample.
    pub sampled: bool,
    /// Names of columns were looked for in so many rows of the first file, and it has more: an object further down may have others.
    pub names_of: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnInfo {
    pub name: String,
    pub kind: ColumnKind,
    pub nullable: bool,
    /// Share of missing values, if known.
    pub missing: Option<f64>,
    /// The format's own name of the type, for messages.
    pub type_name: String,
    /// Why it is of its kind, if that was guessed from cells.
    pub evidence: Option<Box<Evidence>>,
}

impl Header {
    pub fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnKind::Int => write!(f, "int"),
            ColumnKind::Float => write!(f, "float"),
            ColumnKind::Bool => write!(f, "bool"),
            ColumnKind::Text => write!(f, "text"),
            ColumnKind::Date => write!(f, "date"),
            ColumnKind::Time => write!(f, "time"),
            ColumnKind::FloatList(Some(width)) => write!(f, "float[{width}]"),
            ColumnKind::FloatList(None) => write!(f, "float[]"),
            ColumnKind::TextList => write!(f, "text[]"),
            ColumnKind::Other(name) => write!(f, "{name}"),
        }
    }
}

impl Want {
    /// The kind that reading a column of kind `own` gives.
    pub fn kind(self, own: &ColumnKind) -> ColumnKind {
        match self {
            Want::Auto => own.clone(),
            Want::Int => ColumnKind::Int,
            Want::Float => ColumnKind::Float,
            Want::Bool => ColumnKind::Bool,
            Want::Text | Want::Class => ColumnKind::Text,
            Want::Date => ColumnKind::Date,
            Want::Time => ColumnKind::Time,
            Want::FloatList => ColumnKind::FloatList(None),
            Want::TextList => ColumnKind::TextList,
        }
    }
}

impl Column {
    pub fn new(name: impl Into<String>, values: Values) -> Self {
        Self { name: name.into(), values, validity: None }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|bits| bits.get(row))
    }

    pub fn n_missing(&self) -> usize {
        self.validity.as_ref().map_or(0, Bitmap::count_zeros)
    }
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::Int(v) | Values::Date(v) | Values::Time(v) => v.len(),
            Values::Float(v) => v.len(),
            Values::Bool(v) => v.len(),
            Values::Text(text) => text.codes.len(),
            Values::FloatList(list) => list.len(),
            Values::TextList(list) => list.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn kind(&self) -> ColumnKind {
        match self {
            Values::Int(_) => ColumnKind::Int,
            Values::Float(_) => ColumnKind::Float,
            Values::Bool(_) => ColumnKind::Bool,
            Values::Text(_) => ColumnKind::Text,
            Values::Date(_) => ColumnKind::Date,
            Values::Time(_) => ColumnKind::Time,
            Values::FloatList(list) => ColumnKind::FloatList(list.width()),
            Values::TextList(_) => ColumnKind::TextList,
        }
    }
}

impl TextColumn {
    pub fn get(&self, row: usize) -> Option<&str> {
        let code = self.codes[row];
        (code != MISSING).then(|| self.values.get(code))
    }

    /// Which of the distinct texts some row has.
    pub fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.values.len()];
        self.codes.iter().filter(|&&code| code != MISSING).for_each(|&code| used[code as usize] = true);
        used
    }
}

impl TextList {
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes of a row, in the order of its list.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.codes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    pub fn texts(&self, row: usize) -> impl ExactSizeIterator<Item = &str> {
        self.row(row).iter().map(|&code| self.values.get(code))
    }
}

impl FloatList {
    pub fn len(&self) -> usize {
        match self {
            FloatList::Fixed { rows, .. } => *rows,
            FloatList::Ragged { offsets, .. } => offsets.len() - 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn width(&self) -> Option<usize> {
        match self {
            FloatList::Fixed { width, .. } => Some(*width),
            FloatList::Ragged { .. } => None,
        }
    }

    pub fn row(&self, row: usize) -> &[f32] {
        match self {
            FloatList::Fixed { width, values, .. } => &values[row * width..(row + 1) * width],
            FloatList::Ragged { offsets, values } => {
                &values[offsets[row] as usize..offsets[row + 1] as usize]
            }
        }
    }
}

/// One bit per row, set where the value is present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
    ones: usize,
}

impl Bitmap {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.words[self.len / 64] |= u64::from(bit) << (self.len % 64);
        self.len += 1;
        self.ones += usize::from(bit);
    }

    /// The bits of `words`, lowest first; what lies beyond `len` must be zero.
    pub fn from_words(words: Vec<u64>, len: usize) -> Self {
        debug_assert_eq!(words.len(), len.div_ceil(64));
        let ones = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, len, ones }
    }

    pub fn count_zeros(&self) -> usize {
        self.len - self.ones
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        (0..self.len).map(|index| self.get(index))
    }
}

impl FromIterator<bool> for Bitmap {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut bitmap = Self::new();
        bits.into_iter().for_each(|bit| bitmap.push(bit));
        bitmap
    }
}
