//! Columns brought to one order, that of the nodes or of the kept edges, and the way back to file and row.

use std::path::PathBuf;

use gsl_tables::{Bitmap, Column, FloatList, MISSING, Part, Source, TextColumn, TextList, Values, Want};

use super::error::Fault;
use crate::text::Models;

/// No row: the element has no counterpart in this table.
pub const ABSENT: u32 = u32::MAX;

/// Columns of `len` elements each: of all nodes, or of a batch of rows.
#[derive(Debug, Default)]
pub struct Frame {
    pub len: usize,
    /// The elements that statistics are learned from; none: all of them.
    pub trains: Option<Vec<bool>>,
    /// The language models of the features.
    pub models: Models,
    columns: Vec<(Want, usize, Column)>,
    origins: Vec<Origin>,
}

/// Where the elements come from: the table, and its row for each element.
#[derive(Debug)]
pub struct Origin {
    pub source: Source,
    pub stands: Stands,
    /// None: element i is row i.
    pub rows: Option<Vec<u32>>,
}

/// What rows are counted from.
#[derive(Debug)]
pub enum Stands {
    /// The beginning of the table, whose files have so many rows.
    Table(Vec<Part>),
    /// This row of one of its files.
    File(PathBuf, u64),
    /// There are no rows: the elements lack one.
    Nowhere,
    /// There are no rows: the elements are loops that were added.
    Loops,
}

impl Origin {
    /// Where element `element` stands, in words.
    pub fn place(&self, element: usize) -> String {
        let row = self.rows.as_ref().map_or(element as u32, |rows| rows[element]);
        match (&self.stands, row) {
            (Stands::Loops, _) => "a loop that `loops = add` has added".to_string(),
            (Stands::Nowhere, _) | (_, ABSENT) => "a row that the joined table lacks".to_string(),
            (Stands::Table(parts), row) => self.source.locate(parts, u64::from(row)).to_string(),
            (Stands::File(file, first), row) => {
                self.source.place_in(file, first + u64::from(row)).to_string()
            }
        }
    }
}

impl Frame {
    pub fn new(len: usize) -> Self {
        Self { len, ..Self::default() }
    }

    /// Adds columns of one table, in its row order; the origin says which row each element takes.
    pub fn add(&mut self, origin: Origin, columns: Vec<(Want, Column)>) {
        let index = self.origins.len();
        for (want, column) in columns {
            let column = match &origin.rows {
                Some(rows) => take(&column, rows),
                None => column,
            };
            self.columns.push((want, index, column));
        }
        self.origins.push(origin);
    }

    /// Columns without a table, for tests.
    #[cfg(test)]
    pub(crate) fn insert(&mut self, columns: Vec<(Want, Column)>) {
        self.columns.extend(columns.into_iter().map(|(want, column)| (want, 0, column)));
    }

    /// Adds columns that are in the order of the elements already; the origin only says where those stand.
    pub fn add_in_order(&mut self, origin: Origin, columns: Vec<(Want, Column)>) {
        let index = self.origins.len();
        self.columns.extend(columns.into_iter().map(|(want, column)| (want, index, column)));
        self.origins.push(origin);
    }

    /// Adds a column of numbers that no table has, one for each element.
    pub fn add_numbers(&mut self, name: &str, numbers: Vec<f64>) {
        let column = Column::new(name, Values::Float(numbers));
        self.columns.push((Want::Float, self.origins.len().saturating_sub(1), column));
    }

    pub fn column(&self, name: &str, want: Want) -> Result<&Column, Fault> {
        self.find(name, want).map(|(_, _, column)| column)
    }

    fn find(&self, name: &str, want: Want) -> Result<&(Want, usize, Column), Fault> {
        let found = self.columns.iter().find(|(w, _, column)| *w == want && column.name == name);
        found.ok_or_else(|| Fault::NoColumn { column: name.to_string() })
    }

    /// Whether an element has a value in this column.
    pub fn has(&self, name: &str, want: Want, element: usize) -> bool {
        self.column(name, want).is_ok_and(|column| column.is_valid(element))
    }

    /// Where an element of a column stands; of the first table, if the column is not known.
    pub fn place(&self, column: Option<&str>, element: usize) -> Option<String> {
        let origin = column
            .and_then(|name| self.columns.iter().find(|(_, _, column)| column.name == name))
            .map_or(0, |(_, origin, _)| *origin);
        self.origins.get(origin).map(|origin| origin.place(element))
    }
}

/// Row `rows[i]` of the column at i; missing where it is [`ABSENT`].
pub fn take(column: &Column, rows: &[u32]) -> Column {
    let valid = |&row: &u32| row != ABSENT && column.is_valid(row as usize);
    let gaps = column.validity.is_some() || rows.contains(&ABSENT);
    let validity: Option<Bitmap> = gaps.then(|| rows.iter().map(valid).collect());
    let values = match &column.values {
        Values::Int(v) => Values::Int(pick(v, rows, 0)),
        Values::Date(v) => Values::Date(pick(v, rows, 0)),
        Values::Time(v) => Values::Time(pick(v, rows, 0)),
        Values::Float(v) => Values::Float(pick(v, rows, 0.0)),
        Values::Bool(v) => Values::Bool(pick(v, rows, false)),
        Values::Text(text) => {
            Values::Text(TextColumn { codes: pick(&text.codes, rows, MISSING), values: text.values.clone() })
        }
        Values::FloatList(list) => Values::FloatList(take_lists(list, rows)),
        Values::TextList(list) => Values::TextList(take_texts(list, rows)),
    };
    Column { name: column.name.clone(), values, validity }
}

fn take_texts(list: &TextList, rows: &[u32]) -> TextList {
    let mut taken = TextList { offsets: vec![0], codes: Vec::new(), values: list.values.clone() };
    for &row in rows {
        if row != ABSENT {
            taken.codes.extend_from_slice(list.row(row as usize));
        }
        taken.offsets.push(taken.codes.len() as u64);
    }
    taken
}

fn pick<T: Copy>(values: &[T], rows: &[u32], absent: T) -> Vec<T> {
    rows.iter().map(|&row| if row == ABSENT { absent } else { values[row as usize] }).collect()
}

fn take_lists(list: &FloatList, rows: &[u32]) -> FloatList {
    if let FloatList::Fixed { width, .. } = list {
        let mut values = vec![0.0; rows.len() * width];
        for (slot, &row) in values.chunks_exact_mut((*width).max(1)).zip(rows) {
            if row != ABSENT && *width > 0 {
                slot.copy_from_slice(list.row(row as usize));
            }
        }
        return FloatList::Fixed { rows: rows.len(), width: *width, values };
    }
    let (mut offsets, mut values) = (vec![0], Vec::new());
    for &row in rows {
        if row != ABSENT {
            values.extend_from_slice(list.row(row as usize));
        }
        offsets.push(values.len() as u64);
    }
    FloatList::Ragged { offsets, values }
}
