//! What is to be predicted, how its rows are parted, and which columns would give it away.

use std::collections::{BTreeMap, HashMap};

use gsl_compiler::diag::did_you_mean;
use gsl_tables::{Batch, ColumnKind, TableError, Want};

use super::guess::{At, NodeType, Schema};
use super::look::{Table, Unreadable};
use super::names::{is_fold, is_split, label_rank, quoted, words};
use super::profile::{Profile, hash_at, want};
use crate::source::Failure;

/// Classes of a label of text, and of one of integers.
const CLASSES: u64 = 1000;
const INT_CLASSES: u64 = 30;

/// Folds that a column may number.
const FOLDS: u64 = 30;

/// Rows for each value from which a column that always goes with one class is suspected.
const SUSPECT: u64 = 5;

const BATCH: usize = 1 << 16;
/// Distinct values of a column that is compared with the label.
const COMPARED: usize = 100_000;

#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Index into [`Schema::nodes`].
    pub node: usize,
    pub at: At,
    pub is_class: bool,
}

/// The label that `TABLE.COLUMN` names. A table is named by its node type, its file or its file's stem.
pub fn named(tables: &[Table], schema: &Schema, text: &str) -> Result<Label, Failure> {
    let dots = text.match_indices('.').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let mut known = dots.flat_map(|(table, column)| {
        found(tables, schema, table).into_iter().map(move |at| (at, column)).collect::<Vec<_>>()
    });
    let column = |at: usize, name: &str| tables[at].columns.iter().position(|column| column.name == name);
    let all: Vec<(usize, &str)> = known.by_ref().collect();
    if let Some((at, index)) = all.iter().find_map(|&(at, name)| Some((at, column(at, name)?))) {
        return usable(tables, schema, (at, index));
    }
    if let Some(&(at, name)) = all.first() {
        let names = tables[at].columns.iter().map(|column| column.name.as_str());
        let close = did_you_mean(name, names.clone()).map(|near| format!("did you mean `{near}`?"));
        let all = || format!("it has {}", names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "));
        return Err(Failure::new(format!("`{}` has no column `{name}`", tables[at].path))
            .help(close.unwrap_or_else(all)));
    }
    let names: Vec<String> = tables.iter().map(|table| format!("`{}`", table.stem)).collect();
    let message = match text.contains('.') {
        true => format!("`--label {text}` names no table that is here"),
        false => format!("`--label {text}` is not TABLE.COLUMN"),
    };
    Err(Failure::new(message).help(format!("the tables are {}", names.join(", "))))
}

fn found(tables: &[Table], schema: &Schema, name: &str) -> Vec<usize> {
    let of_type = schema.nodes.iter().filter(|node| node.name == name);
    let mut all: Vec<usize> = of_type.flat_map(NodeType::tables).collect();
    all.extend((0..tables.len()).filter(|&at| is_named(&tables[at].path, &tables[at].stem, name)));
    all
}

/// By its path, the name of its file or that without extensions.
fn is_named(path: &str, stem: &str, name: &str) -> bool {
    stem == name || path == name || path.rsplit('/').next() == Some(name)
}

/// The error of a label in a table that is here and left out.
pub fn of_unreadable(unreadable: &[Unreadable], text: &str) -> Option<Failure> {
    let mut tables = text.match_indices('.').map(|(at, _)| &text[..at]);
    let one = tables.find_map(|name| unreadable.iter().find(|one| is_named(&one.path, &one.stem, name)))?;
    let message = format!("`--label {text}` is of a table that is left out: {}", one.why);
    Some(Failure::new(message).help("mend the table, or leave out --label"))
}

fn usable(tables: &[Table], schema: &Schema, at: At) -> Result<Label, Failure> {
    let (table, column) = (&tables[at.0], &tables[at.0].columns[at.1]);
    let place = format!("`{}` of `{}`", column.name, table.path);
    let has = |node: &NodeType| node.tables().any(|table| table == at.0);
    let Some(node) = schema.nodes.iter().position(has) else {
        let unused = schema.unused.iter().find(|(table, _)| *table == at.0);
        return Err(match unused {
            Some((_, why)) => Failure::new(format!("{place} cannot be a label: {why}")),
            None => Failure::new(format!("{place} cannot be a label: the table is one of edges"))
                .help("a label is a column of a table of nodes"),
        });
    };
    match kind(column) {
        Ok(is_class) => Ok(Label { node, at, is_class }),
        Err(why) => Err(Failure::new(format!("{place} cannot be a label: {why}"))),
    }
}

/// Whether a column holds classes, or else numbers.
fn kind(column: &Profile) -> Result<bool, String> {
    let distinct = column.sketch.distinct();
    let repeats = distinct <= column.present() / 2;
    if distinct < 2 {
        return Err("it has fewer than two values".to_string());
    }
    match &column.kind {
        ColumnKind::Float => Ok(false),
        ColumnKind::Bool => Ok(true),
        ColumnKind::Int => Ok(repeats && distinct <= INT_CLASSES),
        ColumnKind::Text if repeats && distinct <= CLASSES => Ok(true),
        ColumnKind::Text => Err(format!("{distinct} values in {} rows are no classes", column.present())),
        other => Err(format!("it holds values of type {other}")),
    }
}

/// The column that looks most like a label by its name.
pub fn likely(tables: &[Table], schema: &Schema) -> Option<Label> {
    let mut all = Vec::new();
    for (node, ty) in schema.nodes.iter().enumerate() {
        for table in ty.tables() {
            for (column, profile) in tables[table].columns.iter().enumerate() {
                let is_key =
                    Some(table) == ty.table && ty.key.as_ref().is_some_and(|key| key.column == column);
                let refers =
                    schema.edges.iter().any(|edge| edge.table == table && edge.ends[1].column == column);
                let rank = label_rank(&profile.name).filter(|_| !is_key && !refers);
                all.extend(
                    rank.filter(|_| kind(profile) == Ok(true)).map(|rank| (rank, node, (table, column))),
                );
            }
        }
    }
    all.into_iter().min().map(|(_, node, at)| Label { node, at, is_class: true })
}

/// A column of the type's tables that says train, valid or test, or else numbers the folds of the rows; and the rule of the split.
pub fn split(tables: &[Table], node: &NodeType) -> Option<(At, String)> {
    let all = || {
        let columns =
            node.tables().flat_map(|table| (0..tables[table].columns.len()).map(move |at| (table, at)));
        columns.map(|at| (at, &tables[at.0].columns[at.1]))
    };
    let words = all().find(|(_, column)| parts(column));
    let words = words.map(|(at, column)| (at, format!("column({})", quoted(&column.name))));
    words.or_else(|| all().find_map(|(at, column)| Some((at, folds(column)?))))
}

/// The last fold tests, the one before it validates, the others train.
fn folds(column: &Profile) -> Option<String> {
    let count = column.sketch.distinct();
    let without_gaps = column.min >= 0.0 && column.max - column.min + 1.0 == count as f64;
    let is_numbered = is_fold(&column.name) && column.kind == ColumnKind::Int && without_gaps;
    let (last, name) = (column.max, quoted(&column.name));
    match count {
        2 if is_numbered => Some(format!("by {name} (train: {}, test: {last})", last - 1.0)),
        3..=FOLDS if is_numbered => {
            Some(format!("by {name} (train: < {0}, valid: {0}, test: {last})", last - 1.0))
        }
        _ => None,
    }
}

/// The column of a table of edges that parts its rows.
pub fn split_of_edges(table: &Table) -> Option<usize> {
    table.columns.iter().position(parts)
}

/// Named like a split, with rows that train and rows that do not.
fn parts(column: &Profile) -> bool {
    let says =
        |list: &[&str]| column.sketch.texts().any(|(text, _)| list.contains(&text.to_lowercase().as_str()));
    let others = ["valid", "val", "validation", "test"];
    is_split(&column.name) && column.sketch.is_complete() && says(&["train"]) && says(&others)
}

/// Columns of the label's table that give the label away, each with the reason.
pub fn leaks(tables: &[Table], label: Label) -> Result<BTreeMap<usize, String>, TableError> {
    let table = &tables[label.at.0];
    let mut reasons = BTreeMap::new();
    let own = words(&table.columns[label.at.1].name);
    for (index, column) in table.columns.iter().enumerate().filter(|(index, _)| *index != label.at.1) {
        let speaks = words(&column.name);
        if own.iter().all(|word| speaks.contains(word)) {
            reasons.insert(index, "its name speaks of the label".to_string());
        }
    }
    let readable: Vec<usize> = (0..table.columns.len())
        .filter(|&at| at == label.at.1 || is_comparable(&table.columns[at]))
        .collect();
    let mut pairs: Vec<Pairs> = readable.iter().map(|_| Pairs::default()).collect();
    let columns = readable.iter().map(|&at| &table.columns[at]);
    let wanted: Vec<(&str, Want)> =
        columns.map(|column| (column.name.as_str(), want(&column.kind))).collect();
    let own = readable.iter().position(|&at| at == label.at.1).unwrap_or_default();
    table.source.for_each_batch::<TableError>(&wanted, BATCH, |batch: Batch| {
        for row in 0..batch.columns[own].len() {
            let Some(label) = hash_at(&batch.columns[own], row) else { continue };
            for (pairs, column) in pairs.iter_mut().zip(&batch.columns) {
                pairs.add(hash_at(column, row), label);
            }
        }
        Ok(())
    })?;
    for (at, pairs) in readable.into_iter().zip(&pairs).filter(|(at, _)| *at != label.at.1) {
        if let Some(why) = pairs.suspicion() {
            reasons.insert(at, why.to_string());
        }
    }
    Ok(reasons)
}

fn is_comparable(column: &Profile) -> bool {
    !matches!(column.kind, ColumnKind::FloatList(_) | ColumnKind::Other(_))
}

/// How the values of a column go with those of the label, over the rows that have both.
#[derive(Default)]
struct Pairs {
    label_of: HashMap<u64, u64>,
    value_of: HashMap<u64, u64>,
    rows: u64,
    several_labels: bool,
    several_values: bool,
    differs: bool,
}

impl Pairs {
    fn add(&mut self, value: Option<u64>, label: u64) {
        let Some(value) = value else { return };
        self.rows += 1;
        self.differs |= value != label;
        if !self.several_labels {
            self.several_labels = *self.label_of.entry(value).or_insert(label) != label;
            self.several_labels |= self.label_of.len() > COMPARED;
        }
        if !self.several_values {
            self.several_values = *self.value_of.entry(label).or_insert(value) != value;
            self.several_values |= self.value_of.len() > COMPARED;
        }
    }

    fn suspicion(&self) -> Option<&'static str> {
        let values = self.label_of.len() as u64;
        let often = values >= 2 && self.rows >= SUSPECT * values;
        match (self.several_labels, self.several_values) {
            _ if self.rows > 1 && !self.differs => Some("it is the label once more"),
            (false, false) if often => Some("it has one value for each value of the label"),
            (false, true) if often => Some("it tells the label of every row"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspicion(pairs: &[(u64, u64)]) -> Option<&'static str> {
        let mut all = Pairs::default();
        (0..5).for_each(|_| pairs.iter().for_each(|&(value, label)| all.add(Some(value), label)));
        all.suspicion()
    }

    #[test]
    fn columns_that_tell_the_label_are_suspected() {
        assert_eq!(suspicion(&[(1, 1), (2, 2)]), Some("it is the label once more"));
        assert_eq!(suspicion(&[(7, 1), (8, 2)]), Some("it has one value for each value of the label"));
        assert_eq!(suspicion(&[(7, 1), (9, 1), (8, 2)]), Some("it tells the label of every row"));
        assert_eq!(suspicion(&[(7, 1), (7, 2), (8, 2)]), None);
    }

    #[test]
    fn folds_part_rows() {
        let rule = |name: &str, values: &[u32]| {
            let folder = tempfile::tempdir().expect("a folder");
            let rows: Vec<String> = values.iter().map(|x| format!("{x},a\n")).collect();
            std::fs::write(folder.path().join("t.csv"), format!("{name},b\n{}", rows.concat()))
                .expect("a table");
            let source = gsl_tables::Source::open(&["t.csv"], folder.path()).expect("a source");
            folds(&super::super::profile::profiles(&source).expect("columns")[0])
        };
        assert_eq!(rule("fold", &[3, 0, 1, 2]).as_deref(), Some("by fold (train: < 2, valid: 2, test: 3)"));
        assert_eq!(rule("cv_fold", &[1, 2, 1]).as_deref(), Some("by cv_fold (train: 1, test: 2)"));
        assert_eq!(
            [rule("fold", &[1, 1]), rule("fold", &[0, 7]), rule("part", &[0, 1, 2])],
            [None, None, None]
        );
    }

    #[test]
    fn values_of_few_rows_prove_nothing() {
        let mut all = Pairs::default();
        (0..9).for_each(|i| all.add(Some(100 + i), i % 3));
        assert_eq!(all.suspicion(), None);
    }
}
