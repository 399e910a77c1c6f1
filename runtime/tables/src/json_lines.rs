//! JSON lines: one object per line, whose keys are the columns.
//!
//! A key that an object lacks is a missing value, as `null` is. Numbers, texts and truth values are cells, arrays of
//! numbers or of texts are lists; nothing deeper is a column.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Number, Value};

use crate::builder::{Builder, Data};
use crate::column::{ColumnInfo, ColumnKind};
use crate::error::{Problem, Result, TableError};
use crate::format::InputFile;
use crate::lines::{Chunk, Lines};
use crate::parse::{LARGEST_EXACT, guess, is_missing_word, shorten};
use crate::records::Fault;
use crate::sample::{Sampled, Stated, place};
use crate::source::{Place, Wanted};
use crate::stream::Rows;

/// What is known of the first lines: each key once, in the order in which they appear.
pub fn sample(file: &InputFile, limit: u64, stated: &Stated) -> Result<Vec<ColumnInfo>> {
    let mut blocks = Blocks::open(file, limit as usize)?;
    let mut columns: Vec<Sampled> = Vec::new();
    let mut rows = 0;
    // One block is enough: it holds so many objects, or as many as fill four MiB.
    if let Some(block) = blocks.next()? {
        block.each_line(|line, number| {
            rows += 1;
            for (name, value) in serde_json::from_str::<Object>(line).map_err(|error| not_json(&error))?.0 {
                let known = columns.iter().position(|column| column.name == name);
                let at = known.unwrap_or(columns.len());
                if at == columns.len() {
                    columns.push(Sampled::new(name));
                }
                see(&mut columns[at], &value, stated, || place(&file.path, rows, number));
            }
            Ok(())
        })?;
    }
    let more_than = blocks.next()?.map(|_| rows);
    Ok(columns.into_iter().map(|column| column.info(rows, more_than)).collect())
}

/// Takes a value as a sign of what its column holds.
fn see(column: &mut Sampled, value: &Value, stated: &Stated, place: impl FnOnce() -> Place) {
    let shown = || match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_string()),
    };
    if !stated.missing.is_empty() && !value.is_array() && stated.is_missing(&shown()) {
        return;
    }
    match (kind_of(value), value) {
        (None, _) => {}
        (Some(_), Value::String(text)) if is_missing_word(text.trim()) => column.see_word(text),
        (Some(kind), _) => column.see(kind, &shown(), place),
    }
}

/// Texts are dates and times where they look like them; never numbers.
fn kind_of(value: &Value) -> Option<ColumnKind> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => ColumnKind::Bool,
        Value::Number(number) if number.is_i64() => ColumnKind::Int,
        Value::Number(number) if number.is_u64() => ColumnKind::Text,
        Value::Number(_) => ColumnKind::Float,
        Value::String(text) => match guess(text) {
            kind @ (ColumnKind::Date | ColumnKind::Time) => kind,
            _ => ColumnKind::Text,
        },
        Value::Array(items) if items.iter().all(Value::is_number) => ColumnKind::FloatList(Some(items.len())),
        Value::Array(items) if items.iter().all(Value::is_string) => ColumnKind::TextList,
        Value::Array(_) => ColumnKind::Other("array".into()),
        Value::Object(_) => ColumnKind::Other("object".into()),
    })
}

/// The lines of a file, cut into blocks: reading and cutting go on here, parsing in [`Block::read`].
pub struct Blocks<'a> {
    path: &'a Path,
    lines: Lines<Box<dyn Read + Send>>,
    batch_rows: usize,
    rows: u64,
}

/// Some lines of a file, not yet parsed.
pub struct Block<'a> {
    path: &'a Path,
    chunk: Chunk,
    first_row: u64,
}

impl<'a> Blocks<'a> {
    pub fn open(file: &'a InputFile, batch_rows: usize) -> Result<Self> {
        Ok(Self { path: &file.path, lines: Lines::new(file.text()?, None), batch_rows, rows: 0 })
    }

    pub fn next(&mut self) -> Result<Option<Block<'a>>> {
        let chunk = self.lines.next(self.batch_rows, true).map_err(|Fault { problem, line, .. }| {
            TableError::new(self.path, problem).at_row(self.rows + 1).at_line(line)
        })?;
        let first_row = self.rows;
        self.rows += chunk.as_ref().map_or(0, |chunk| chunk.records);
        let path = self.path;
        Ok(chunk.map(|chunk| Block { path, chunk, first_row }))
    }

    /// Rows given so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Block<'_> {
    pub fn read(self, wanted: &[Wanted]) -> Result<Rows> {
        let mut builders: Vec<Builder> = wanted.iter().map(Wanted::builder).collect();
        let mut rows = 0;
        self.each_line(|line, _| {
            let mut row = Row { wanted, builders: &mut builders, next: 0, wrong: None };
            let mut parser = serde_json::Deserializer::from_str(line);
            let parsed = (&mut row).deserialize(&mut parser).and_then(|()| parser.end());
            match (row.wrong.take(), parsed) {
                (Some((at, problem)), _) => {
                    Err(Wrong { column: Some(wanted[at].name.clone()), problem: wanted[at].explain(problem) })
                }
                (None, Err(error)) => Err(not_json(&error)),
                (None, Ok(())) => Ok(()),
            }?;
            rows += 1;
            level(&mut builders, rows);
            Ok(())
        })?;
        let columns = builders.iter_mut().map(Builder::take).collect();
        Ok(Rows { columns, known: vec![0; wanted.len()], rows, first_row: self.first_row })
    }

    /// Calls `each` with every line that is not blank, and its number in the file.
    fn each_line(&self, mut each: impl FnMut(&str, u64) -> Result<(), Wrong>) -> Result<()> {
        let mut row = self.first_row;
        for (number, line) in self.chunk.bytes.split(|&byte| byte == b'\n').enumerate() {
            if line.is_empty() || line == b"\r" {
                continue;
            }
            row += 1;
            let done = match std::str::from_utf8(line) {
                Ok(text) => each(text, self.chunk.line + number as u64),
                Err(_) => Err(Problem::NotUtf8 { found: shorten(&String::from_utf8_lossy(line)) }.into()),
            };
            if let Err(Wrong { column, problem }) = done {
                let array = row == 1 && line.trim_ascii_start().starts_with(b"[");
                let problem = if array { Problem::JsonArray } else { problem };
                let error = TableError { column, ..TableError::new(self.path, problem) };
                return Err(error.at_row(row).at_line(self.chunk.line + number as u64));
            }
        }
        Ok(())
    }
}

/// What is wrong with a line, and in which column.
struct Wrong {
    column: Option<String>,
    problem: Problem,
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Wrong { column: None, problem }
    }
}

/// The parser counts lines within the one that it was given; only the character is of use.
fn not_json(error: &serde_json::Error) -> Wrong {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = error.to_string().replace(&place, "");
    Problem::NotJson { reason, character: error.column() }.into()
}

/// Gives a missing value to the columns that the last object had no key for.
fn level(builders: &mut [Builder], rows: usize) {
    builders.iter_mut().filter(|builder| builder.len() < rows).for_each(Builder::push_missing);
}

/// One object on its way into the columns. `next` is where its next key is looked for first: objects of one file tend
/// to have their keys in one order.
struct Row<'a> {
    wanted: &'a [Wanted],
    builders: &'a mut [Builder],
    next: usize,
    wrong: Option<(usize, Problem)>,
}

impl<'de> DeserializeSeed<'de> for &mut Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let rows = self.builders.iter().map(Builder::len).min().unwrap_or(0);
        while let Some(at) = map.next_key_seed(Find { wanted: self.wanted, from: self.next })? {
            let Some(at) = at else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            self.next = (at + 1) % self.wanted.len();
            let value: Value = map.next_value()?;
            for other in
                (0..self.wanted.len()).filter(|&other| self.wanted[other].name == self.wanted[at].name)
            {
                let builder = &mut self.builders[other];
                let pushed = match builder.len() == rows {
                    true => push(&value, builder),
                    false => Err(Problem::DuplicateColumn { name: self.wanted[at].name.clone() }),
                };
                if let Err(problem) = pushed {
                    self.wrong = Some((other, problem));
                    return Err(serde::de::Error::custom("a wrong cell"));
                }
            }
        }
        Ok(())
    }
}

/// Which wanted column a key names.
struct Find<'a> {
    wanted: &'a [Wanted],
    from: usize,
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Find<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        let n = self.wanted.len();
        let at = (self.from..n).chain(0..self.from.min(n)).find(|&at| self.wanted[at].name == key);
        Ok(at)
    }
}

/// One cell.
fn push(value: &Value, builder: &mut Builder) -> Result<(), Problem> {
    match value {
        Value::Null => {
            builder.push_missing();
            Ok(())
        }
        Value::Bool(value) => builder.push_bool_as(*value),
        Value::Number(number) if builder.is_stated_missing(|| number.to_string()) => {
            builder.push_missing();
            Ok(())
        }
        Value::Number(number) => push_number(number, builder),
        Value::String(text) => builder.push_cell(text, true),
        Value::Array(items) => push_array(items, builder),
        Value::Object(_) => Err(Problem::Unsupported { found: "object".into() }),
    }
}

fn push_number(number: &Number, builder: &mut Builder) -> Result<(), Problem> {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(value), _, _) => builder.push_int_as(value),
        (_, Some(value), _) => builder.push_unsigned_as(value),
        (_, _, Some(value)) if rounded(value) && !matches!(builder.data, Data::Float(_)) => {
            Err(Problem::Overflow { found: number.to_string() })
        }
        (_, _, Some(value)) => builder.push_float_as(value),
        _ => Err(builder.refused(number)),
    }
}

/// Whether a whole number may have been read as its neighbour.
fn rounded(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() >= LARGEST_EXACT
}

fn push_array(items: &[Value], builder: &mut Builder) -> Result<(), Problem> {
    let gap = || Problem::NotA { expected: "a list without gaps", found: "null in it".into() };
    let wrong = |item: &Value, builder: &Builder| match item {
        Value::Null => gap(),
        item => builder.refused(format!("a list with {}", shorten(&item.to_string()))),
    };
    match builder.data {
        Data::FloatList { .. } => {
            let number = |item: &Value| item.as_f64().map(|number| number as f32).ok_or(item.clone());
            let list: Result<Vec<f32>, Value> = items.iter().map(number).collect();
            builder.push_list(&list.map_err(|item| wrong(&item, builder))?);
            Ok(())
        }
        Data::TextList { .. } => {
            let text = |item: &Value| match item {
                Value::String(text) => Some(text.clone()),
                Value::Bool(value) => Some(value.to_string()),
                Value::Number(number) if !number.as_f64().is_some_and(rounded) || !number.is_f64() => {
                    Some(number.to_string())
                }
                _ => None,
            };
            let list: Result<Vec<String>, Value> =
                items.iter().map(|item| text(item).ok_or(item.clone())).collect();
            let list = list.map_err(|item| wrong(&item, builder))?;
            builder.push_texts(list.iter().map(String::as_str))
        }
        _ => Err(builder.refused("a list")),
    }
}

/// An object with its keys in the order of the text.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The line on which row `row` (from 1) begins.
pub fn line_of(file: &InputFile, row: u64) -> Option<u64> {
    let mut lines = Lines::new(file.text().ok()?, None);
    let (mut line, mut seen) = (1, 0);
    while let Some(chunk) = lines.next(usize::MAX, true).ok()? {
        for text in chunk.bytes.split_inclusive(|&byte| byte == b'\n') {
            seen += u64::from(!matches!(text, b"\n" | b"\r\n" | b"\r"));
            if seen == row {
                return Some(line);
            }
            line += 1;
        }
    }
    None
}
