//! Columns that name nodes and edges as the user does.

use gsl_plan::graph::{EdgeType, Part};
use gsl_tables::{Output, OutputColumn};

use crate::graph::{Graph, Key, Keys};

/// The identifiers of some nodes of a type.
pub enum KeyColumn<'a> {
    Ints(Vec<i64>),
    Texts(Vec<&'a str>),
}

impl<'a> KeyColumn<'a> {
    pub fn of(keys: Keys<'a>, nodes: impl Iterator<Item = u32>) -> Self {
        match keys {
            Keys::Texts { .. } => {
                KeyColumn::Texts(nodes.map(|v| keys.get(v as usize).text().unwrap_or_default()).collect())
            }
            _ => KeyColumn::Ints(nodes.map(|v| number(keys.get(v as usize))).collect()),
        }
    }

    pub fn output(&self) -> Output<'_> {
        match self {
            KeyColumn::Ints(keys) => Output::Int(keys),
            KeyColumn::Texts(keys) => Output::Text(keys),
        }
    }
}

fn number(key: Key) -> i64 {
    match key {
        Key::Row(row) => row as i64,
        Key::Int(key) => key,
        Key::Text(_) => 0,
    }
}

/// The user's name of the identifier; `row` where there is no key column.
pub fn key_name(graph: &Graph, ty: u32) -> String {
    graph.plan().nodes[ty as usize].key.as_ref().map_or_else(|| "row".into(), |key| key.column.clone())
}

/// Names of the columns of both ends: those of the edge's own table.
pub fn end_names(edge: &EdgeType) -> [String; 2] {
    [edge.src_column.clone(), edge.dst_column.clone()]
}

/// Puts columns that name rows before those of results; where both have a name, `_key` is appended to the first.
pub fn named<'a>(
    names: &'a mut [String],
    ids: &[Output<'a>],
    results: &[OutputColumn<'a>],
) -> Vec<OutputColumn<'a>> {
    for name in names.iter_mut() {
        while results.iter().any(|column| column.name == name) {
            name.push_str("_key");
        }
    }
    let ids = names.iter().zip(ids).map(|(name, ids)| OutputColumn::new(name, *ids));
    ids.chain(results.iter().copied()).collect()
}

/// The word for a part of a split.
pub fn part_name(code: u8) -> &'static str {
    match code {
        c if c == Part::Train as u8 => "train",
        c if c == Part::Valid as u8 => "valid",
        c if c == Part::Test as u8 => "test",
        _ => "none",
    }
}
