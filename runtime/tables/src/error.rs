//! What can be wrong with a table, as facts; the text is made here and nowhere else.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::format::Format;

pub type Result<T, E = TableError> = std::result::Result<T, E>;

/// One thing wrong with one table. `row` counts data rows from 1, `line` counts lines of a text file from 1.
#[derive(Debug)]
pub struct TableError {
    pub problem: Box<Problem>,
    pub file: PathBuf,
    pub row: Option<u64>,
    pub line: Option<u64>,
    pub column: Option<String>,
}

#[derive(Debug)]
pub enum Problem {
    MissingFile { suggestion: Option<PathBuf> },
    NothingMatches,
    EmptyFolder,
    MixedFormats { first: PathBuf, first_format: &'static str, format: &'static str },
    UnknownFormat { extension: String },
    Io(std::io::Error),
    BadDialect,
    NoHeader,
    NoRows,
    NotJson { reason: String, character: usize },
    JsonArray,
    NoGroup { name: String, available: Vec<String> },
    NoDatasets { groups: Vec<String> },
    UnequalColumns { rows: u64, other: String, other_rows: u64 },
    DuplicateColumn { name: String },
    NoSuchColumn { name: String, suggestion: Option<String>, available: Vec<String> },
    Ragged { found: usize, expected: usize },
    UnclosedQuote,
    QuoteInField { found: String },
    TextAfterQuote { found: String },
    RecordTooLong { bytes: usize },
    NotUtf8 { found: String },
    NotA { expected: &'static str, found: String },
    NotAsSampled { kind: String, found: String },
    Overflow { found: String },
    MixedKinds { first: PathBuf, first_kind: String, kind: String },
    Unsupported { found: String },
    TooManyValues,
    Corrupt { reason: String },
    NotOfFormat { format: &'static str },
    LengthMismatch { found: usize, expected: usize },
}

impl TableError {
    pub fn new(file: impl Into<PathBuf>, problem: Problem) -> Self {
        Self { problem: Box::new(problem), file: file.into(), row: None, line: None, column: None }
    }

    pub fn at_row(mut self, row: u64) -> Self {
        self.row = Some(row);
        self
    }

    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    pub fn in_column(mut self, column: &str) -> Self {
        self.column = Some(column.to_string());
        self
    }

    pub(crate) fn io(file: &Path, error: std::io::Error) -> Self {
        let problem = match error.kind() {
            std::io::ErrorKind::NotFound => Problem::MissingFile { suggestion: None },
            _ => Problem::Io(error),
        };
        Self::new(file, problem)
    }

    /// A stable name for this kind of mistake.
    pub fn code(&self) -> &'static str {
        match &*self.problem {
            Problem::MissingFile { .. } => "missing_file",
            Problem::NothingMatches => "nothing_matches",
            Problem::EmptyFolder => "empty_folder",
            Problem::MixedFormats { .. } => "mixed_formats",
            Problem::UnknownFormat { .. } => "unknown_format",
            Problem::Io(_) => "io",
            Problem::BadDialect => "bad_dialect",
            Problem::NoHeader => "no_header",
            Problem::NoRows => "no_rows",
            Problem::NotJson { .. } | Problem::JsonArray => "not_json_lines",
            Problem::NoGroup { .. } => "no_such_group",
            Problem::NoDatasets { .. } => "no_columns",
            Problem::UnequalColumns { .. } => "unequal_columns",
            Problem::DuplicateColumn { .. } => "duplicate_column",
            Problem::NoSuchColumn { .. } => "no_such_column",
            Problem::Ragged { .. } => "ragged_row",
            Problem::UnclosedQuote | Problem::QuoteInField { .. } | Problem::TextAfterQuote { .. } => {
                "bad_quoting"
            }
            Problem::RecordTooLong { .. } => "record_too_long",
            Problem::NotUtf8 { .. } => "not_utf8",
            Problem::NotA { .. } | Problem::NotAsSampled { .. } => "not_parsed",
            Problem::Overflow { .. } => "overflow",
            Problem::MixedKinds { .. } => "mixed_kinds",
            Problem::Unsupported { .. } => "unsupported_type",
            Problem::TooManyValues => "too_many_values",
            Problem::Corrupt { .. } | Problem::NotOfFormat { .. } => "corrupt",
            Problem::LengthMismatch { .. } => "length_mismatch",
        }
    }

    /// How the kind of the column is stated, as far as the file tells.
    fn say(&self, kind: &str) -> String {
        let format = match Format::of(&self.file) {
            Some(Format::JsonLines) => "json",
            Some(format) if format.name() == "TSV" => "tsv",
            _ => "csv",
        };
        format!("`{format}(\"…\", {kind}: [{}])`", self.column.as_deref().unwrap_or("COLUMN"))
    }

    /// What to do about it, where something can be said.
    pub fn help(&self) -> Option<String> {
        match &*self.problem {
            Problem::MissingFile { suggestion: Some(path) } => {
                Some(format!("did you mean `{}`?", path.display()))
            }
            Problem::NoSuchColumn { suggestion: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Problem::NoSuchColumn { available, .. } => Some(format!("it has {}", list(available))),
            Problem::UnknownFormat { .. } | Problem::EmptyFolder => {
                Some("tables are .csv, .tsv, .jsonl (each also .gz or .zst), .parquet or .h5; of others say what they are: csv(\"a.txt\", separator: \";\")".into())
            }
            Problem::MixedFormats { .. } => Some("a source is of one format; narrow it with a glob".into()),
            Problem::UnclosedQuote | Problem::RecordTooLong { .. } => {
                Some("close the quote, or write a quote inside a quoted field twice".into())
            }
            Problem::NoHeader => Some("of a file without column names say csv(…, header: false)".into()),
            Problem::NotJson { .. } => {
                Some("each line is one object; NaN and Infinity are not JSON, missing is null".into())
            }
            Problem::JsonArray => Some("write each object of the array on a line: jq -c '.[]' FILE".into()),
            Problem::NoGroup { available, .. } if !available.is_empty() => {
                Some(format!("it has {}", list(available)))
            }
            Problem::NoDatasets { groups } if !groups.is_empty() => {
                Some(format!("say which group: hdf5(…, group: \"{}\"); it has {}", groups[0], list(groups)))
            }
            Problem::UnequalColumns { .. } => Some(
                "the data sets of one group are the columns of one table; put those of others in other groups".into(),
            ),
            Problem::MixedKinds { .. } => {
                Some("write the column with one type in all files, or use it as text where it is one".into())
            }
            Problem::Unsupported { found } if found == "struct" || found == "object" || found == "compound" => {
                Some("write each of its fields as a column of its own".into())
            }
            Problem::Unsupported { .. } => {
                Some("a column holds numbers, texts, truth values, dates, times, or lists of numbers or texts".into())
            }
            Problem::QuoteInField { .. } => {
                Some("put the whole field in quotes and write the inner quote twice".into())
            }
            Problem::TextAfterQuote { .. } => Some("write a quote inside a quoted field twice".into()),
            Problem::NotUtf8 { .. } => Some("save the table as UTF-8".into()),
            Problem::NotAsSampled { .. } => {
                Some(format!("correct the cell, or say that the column is text: {}", self.say("text")))
            }
            Problem::NotA { expected, .. } if *expected == WHOLE_NAME => {
                Some("predict it as a number: `label … : float`; or say that it is text, if the table is".into())
            }
            Problem::NotA { expected, .. } if expected.contains("integer") => Some(format!(
                "correct the cell; where identifiers are text, say so of the table that has the key: {}",
                self.say("text")
            )),
            Problem::NotA { expected, .. } if expected.contains("date") || expected.contains("a time") => {
                Some(DATES.into())
            }
            Problem::Overflow { .. } => {
                let how = match Format::of(&self.file) {
                    Some(Format::Parquet | Format::Hdf5 { .. }) => "write the column as text".to_string(),
                    _ => format!("say that it is text: {}", self.say("text")),
                };
                Some(format!("if this is an identifier, {how}"))
            }
            Problem::NotOfFormat { .. } => Some("say what the file is: csv(\"…\"), json(\"…\")".into()),
            Problem::Ragged { found, expected } if found > expected => {
                Some("put a field that contains the separator in quotes".into())
            }
            _ => None,
        }
    }
}

/// What a number has to be that names a class, in [`Problem::NotA`].
pub(crate) const WHOLE_NAME: &str = "a whole number, as classes are";

/// How dates and times are written.
const DATES: &str =
    "dates are written 2018-03-31, times 2018-03-31T12:30:00 with `Z` or an offset such as +02:00 behind";

fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    text.join(", ")
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for TableError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::MissingFile { .. } => write!(f, "there is no such file"),
            Problem::NothingMatches => write!(f, "no file matches"),
            Problem::EmptyFolder => write!(f, "the folder holds no table"),
            Problem::MixedFormats { first, first_format, format } => {
                write!(
                    f,
                    "this file is {format}, but `{}` of the same source is {first_format}",
                    first.display()
                )
            }
            Problem::UnknownFormat { extension } if extension.is_empty() => {
                write!(f, "a table without an extension: its format is not known")
            }
            Problem::UnknownFormat { extension } => write!(f, "`.{extension}` is not a table format"),
            Problem::Io(error) => write!(f, "{error}"),
            Problem::BadDialect => {
                write!(f, "separator and quote must be two different characters of ASCII, and no line breaks")
            }
            Problem::NoHeader => write!(f, "the file is empty: expected a line of column names"),
            Problem::NoRows => write!(f, "the file is empty"),
            Problem::NotJson { reason, character } => {
                write!(f, "not an object of JSON: {reason} at character {character}")
            }
            Problem::JsonArray => {
                write!(f, "the file is one array of JSON, expected one object on each line")
            }
            Problem::NoGroup { name, .. } => write!(f, "no group `{name}`"),
            Problem::NoDatasets { .. } => write!(f, "no data sets to be columns"),
            Problem::UnequalColumns { rows, other, other_rows } => {
                write!(f, "{rows} rows here, but {other_rows} in column `{other}`")
            }
            Problem::DuplicateColumn { name } => write!(f, "two columns are named `{name}`"),
            Problem::NoSuchColumn { name, .. } => write!(f, "no column `{name}`"),
            Problem::Ragged { found, expected } => write!(f, "found {found} fields, expected {expected}"),
            Problem::UnclosedQuote => write!(f, "a quoted field is never closed"),
            Problem::QuoteInField { found } => write!(f, "a quote inside the unquoted field `{found}`"),
            Problem::TextAfterQuote { found } => {
                write!(f, "found `{found}` after a closing quote, expected the separator")
            }
            Problem::RecordTooLong { bytes } => {
                write!(
                    f,
                    "a row longer than {} MiB, perhaps a quoted field that is never closed",
                    bytes >> 20
                )
            }
            Problem::NotUtf8 { found } if found.is_empty() => write!(f, "found bytes that are not UTF-8"),
            Problem::NotUtf8 { found } => write!(f, "found bytes that are not UTF-8: `{found}`"),
            Problem::NotA { expected, found } => write!(f, "found `{found}`, expected {expected}"),
            Problem::NotAsSampled { kind, found } => {
                write!(f, "found `{found}`, but the first rows of this column are of kind {kind}")
            }
            Problem::Overflow { found } => write!(f, "`{found}` does not fit a 64-bit integer"),
            Problem::MixedKinds { first, first_kind, kind } => {
                write!(f, "holds {kind} here, but {first_kind} in `{}`", first.display())
            }
            Problem::Unsupported { found } => write!(f, "values of type {found} cannot be used"),
            Problem::TooManyValues => write!(f, "more than 4,294,967,294 distinct texts"),
            Problem::Corrupt { reason } => write!(f, "the file is truncated or corrupt: {reason}"),
            Problem::NotOfFormat { format } => write!(f, "this is no {format} file"),
            Problem::LengthMismatch { found, expected } => write!(f, "{found} values, but {expected} rows"),
        }
    }
}
