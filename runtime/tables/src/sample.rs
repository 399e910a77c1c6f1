//! What the first cells of a column of text say of it: its kind, which of them are missing, and which cell makes it a text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::column::{ColumnInfo, ColumnKind, Want};
use crate::parse::{guess, is_missing_word, is_nan, join_kinds, shorten};
use crate::source::Place;

/// What the user has said of the columns of a text file, which no sample outweighs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// Kinds of columns by their names, each name once.
    pub kinds: Vec<(String, ColumnKind)>,
    /// Cells that are missing in columns of any kind, texts among them.
    pub missing: Vec<String>,
}

/// A cell as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub place: Place,
    pub text: String,
}

/// Why a column that was looked at is of its kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The first cell that is present.
    pub first: Option<Cell>,
    /// The first cell that is nothing but text, or of a kind that does not go with those of the cells before it.
    pub odd: Option<Cell>,
    /// The kind of all other cells, if there are any.
    pub others: Option<ColumnKind>,
    /// How many those are.
    pub n_others: u64,
    /// Rows that were looked at.
    pub rows: u64,
    /// Of objects, of which there are more: how many were looked at for their keys.
    pub more_than: Option<u64>,
}

/// How the cells of a column are read, besides the kind that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The words that are missing where a number is wanted are missing: the column holds no texts, as whatever it is read.
    pub words: bool,
    pub names: Names,
    pub stated: Arc<Stated>,
}

/// What numbers become where texts are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    #[default]
    AsWritten,
    /// Whole numbers are written as integers: `2.0` is `2`.
    Whole,
    /// The same, and nothing else is a name.
    OnlyWhole,
}

impl Reading {
    /// Of a column of kind `own`, in a text file or in one whose columns are typed.
    pub fn of(own: &ColumnKind, want: Want, in_text: bool, stated: &Arc<Stated>) -> Self {
        let names = match (want, own) {
            (Want::Class, ColumnKind::Float) => Names::OnlyWhole,
            (Want::Class, ColumnKind::Int) => Names::Whole,
            _ => Names::AsWritten,
        };
        Self { words: in_text && *own != ColumnKind::Text, names, stated: stated.clone() }
    }
}

/// A column while its first cells are looked at.
pub struct Sampled {
    pub name: String,
    kind: Option<ColumnKind>,
    evidence: Evidence,
    present: u64,
    /// Cells that are missing unless the column is a text.
    words: u64,
    nan: bool,
}

impl Sampled {
    pub fn new(name: impl Into<String>) -> Self {
        let (name, evidence) = (name.into(), Evidence::default());
        Self { name, kind: None, evidence, present: 0, words: 0, nan: false }
    }

    /// A cell of delimited text, not empty or else in quotes.
    pub fn see_text(&mut self, cell: &str, place: impl FnOnce() -> Place) {
        match is_missing_word(cell.trim()) {
            true => self.see_word(cell),
            false => self.see(guess(cell), cell, place),
        }
    }

    /// A word that is missing unless the column is a text.
    pub fn see_word(&mut self, word: &str) {
        self.words += 1;
        self.nan |= is_nan(word.trim());
    }

    /// A cell that is present, and of what kind it is by itself.
    pub fn see(&mut self, kind: ColumnKind, cell: &str, place: impl FnOnce() -> Place) {
        self.present += 1;
        self.kind = Some(self.kind.take().map_or(kind.clone(), |known| join_kinds(known, kind.clone())));
        let evidence = &mut self.evidence;
        let joined = evidence.others.clone().map_or(kind.clone(), |known| join_kinds(known, kind));
        let is_odd = joined == ColumnKind::Text;
        if evidence.first.is_none() || (is_odd && evidence.odd.is_none()) {
            let found = Cell { place: place(), text: shorten(cell) };
            evidence.first.get_or_insert_with(|| found.clone());
            evidence.odd = evidence.odd.take().or(is_odd.then_some(found));
        }
        if !is_odd {
            evidence.others = Some(joined);
            evidence.n_others += 1;
        }
    }

    /// The column, of which `rows` rows were looked at.
    pub fn info(mut self, rows: u64, more_than: Option<u64>) -> ColumnInfo {
        let known = self.kind.is_some() || self.nan;
        let kind = self.kind.unwrap_or(if self.nan { ColumnKind::Float } else { ColumnKind::Text });
        let present = self.present + if kind == ColumnKind::Text { self.words } else { 0 };
        (self.evidence.rows, self.evidence.more_than) = (rows, more_than);
        ColumnInfo {
            type_name: if known { kind.to_string() } else { "empty".into() },
            name: self.name,
            nullable: present < rows || !known,
            missing: (rows > 0).then(|| rows.saturating_sub(present) as f64 / rows as f64),
            evidence: Some(Box::new(self.evidence)),
            kind,
        }
    }
}

impl Evidence {
    /// Adds what the sample of a later file has shown of the same column.
    pub fn join(&mut self, other: &Evidence) {
        let kinds = (self.others.clone(), other.others.clone());
        let odd = self.odd.take().or_else(|| other.odd.clone());
        (self.others, self.odd) = match kinds {
            (Some(a), Some(b)) => match join_kinds(a.clone(), b) {
                ColumnKind::Text => (Some(a), odd.or_else(|| other.first.clone())),
                joined => (Some(joined), odd),
            },
            (a, b) => (a.or(b), odd),
        };
        self.first = self.first.take().or_else(|| other.first.clone());
        self.n_others += other.n_others;
        self.rows += other.rows;
    }

    /// Why the column is text, for a message: where its odd cell stands, below `base`, and what the others are.
    pub fn why_text(&self, base: &Path) -> Option<String> {
        let Cell { place, text } = self.odd.as_ref()?;
        let file = place.file.strip_prefix(base).unwrap_or(&place.file);
        let line = place.line.map_or(String::new(), |line| format!(" (line {line})"));
        let others = match &self.others {
            Some(kind) => format!("; {} of {} cells are of kind {kind}", self.n_others, self.rows),
            None => String::new(),
        };
        Some(format!("row {}{line} of `{}` has `{text}`{others}", place.row, file.display()))
    }
}

impl Stated {
    /// Whether the user calls such a cell missing.
    pub fn is_missing(&self, cell: &str) -> bool {
        self.missing.iter().any(|word| word == cell || word == cell.trim())
    }

    pub fn kind(&self, column: &str) -> Option<&ColumnKind> {
        self.kinds.iter().find(|(name, _)| name == column).map(|(_, kind)| kind)
    }

    /// Gives the columns of a file the kinds that are stated.
    pub fn settle(&self, columns: &mut [ColumnInfo]) {
        for column in columns {
            let Some(kind) = self.kind(&column.name) else { continue };
            (column.kind, column.type_name, column.evidence) = (kind.clone(), kind.to_string(), None);
        }
    }

    /// A column that is stated and that no file has shown so far.
    pub fn unseen(&self, columns: &[ColumnInfo]) -> Vec<ColumnInfo> {
        let new = self.kinds.iter().filter(|(name, _)| columns.iter().all(|column| column.name != *name));
        let info = |(name, kind): &(String, ColumnKind)| ColumnInfo {
            name: name.clone(),
            kind: kind.clone(),
            nullable: true,
            missing: None,
            type_name: kind.to_string(),
            evidence: None,
        };
        new.map(info).collect()
    }
}

/// The place of a row (from 1) of a file.
pub fn place(file: &Path, row: u64, line: u64) -> Place {
    Place { file: PathBuf::from(file), row, line: Some(line) }
}
