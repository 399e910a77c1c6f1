//! Nodes of one type: their keys in order, which row each of them is, and how the rows of joined tables meet them.

use std::sync::{Mutex, OnceLock};

use gsl_plan::graph::{DuplicatePolicy, EdgeType, GraphPlan, Key, NodeType, Split};
use gsl_tables::{Column, ColumnKind, Part, Want};
use serde::{Deserialize, Serialize};

use super::batches::{Offenders, stream};
use super::csc::{finish, put, writer};
use super::distinct::Distinct;
use super::error::{BuildError, Offender, Result};
use super::feature::add;
use super::frame::{ABSENT, Frame, Origin, Stands};
use super::keys::{self, KeyIndex, Keys};
use super::keysort::{KeyRef, KeySorter};
use super::label_values;
use super::scratch::Scratch;
use super::stages::Arrays;
use super::stored_keys::StoredKeys;
use super::tables::{Opened, Tables};
use crate::graph::piece::{Element, PieceWriter};

/// At most this many offenders are named.
pub const NAMED: usize = 5;
/// Ids are u32, and two values are kept free.
pub const MOST: u64 = u32::MAX as u64 - 2;

/// The nodes of a type, numbered.
pub struct Nodes {
    pub keys: Keys,
    /// Row of each node in the first table; none: node i is row i, or there is no table.
    pub rows: Option<Vec<u32>>,
    index: OnceLock<KeyIndex>,
}

/// What numbering the nodes of a type found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Numbered {
    pub count: u64,
    /// Rows of the first table.
    pub rows: u64,
    pub duplicates_dropped: u64,
}

impl Nodes {
    /// From the arrays that [`number`] or [`number_from_edges`] made. The keys are held in memory if they and an index of them take at
    /// most `room` bytes.
    pub fn load(numbered: &Numbered, arrays: &Arrays, room: u64) -> Result<Self> {
        let failed = |error| BuildError::Scratch { file: "keys".into(), error };
        let keys = match StoredKeys::of(arrays) {
            Some(stored) => stored.held(room)?,
            None => Keys::Dense { first: 0, count: numbered.count as usize },
        };
        let rows = arrays.iter().find(|(name, _)| name == "row").map(|(_, piece)| piece.load());
        let rows: Option<Vec<u32>> = rows.transpose().map_err(failed)?;
        let identity = |rows: &Vec<u32>| {
            rows.len() as u64 == numbered.rows && rows.iter().enumerate().all(|(id, &row)| row as usize == id)
        };
        Ok(Self { keys, rows: rows.filter(|rows| !identity(rows)), index: OnceLock::new() })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the keys are in memory.
    pub fn is_held(&self) -> bool {
        !matches!(self.keys, Keys::Stored(_))
    }

    /// The id of each row's key, [`ABSENT`] where no node has it. For a few rows: keys that are not held are read for each of them.
    pub fn find_all(&self, column: &Column) -> Result<Vec<u32>> {
        match &self.keys {
            Keys::Stored(keys) => keys.find_all(column),
            _ => Ok(self.whole().find_all(column)),
        }
    }

    /// All keys, which are held.
    pub fn whole(&self) -> KeySlice<'_> {
        KeySlice { first: 0, keys: &self.keys, index: self.index.get_or_init(|| self.keys.index()) }
    }

    /// Calls `each` with all keys, in slices that take at most `memory` bytes: with one, if they are held.
    pub fn each_slice(&self, memory: u64, each: &mut dyn FnMut(&KeySlice) -> Result<()>) -> Result<()> {
        let Keys::Stored(stored) = &self.keys else { return each(&self.whole()) };
        let mut first = 0;
        while first < stored.len() {
            let end = stored.slice_end(first, memory)?;
            let keys = stored.load(first..end)?;
            each(&KeySlice { first: first as u32, keys: &keys, index: &keys.index() })?;
            first = end;
        }
        Ok(())
    }

    /// Bytes of memory that the keys, an index of them and the rows take.
    pub fn resident(&self) -> u64 {
        self.keys.resident() + self.rows.as_ref().map_or(0, |rows| 4 * rows.len() as u64)
    }

    /// The node of each row of the first table, [`ABSENT`] for a row that was dropped; none: row i is node i.
    pub fn ids(&self, rows: u64) -> Option<Vec<u32>> {
        let of = self.rows.as_ref()?;
        let mut ids = vec![ABSENT; rows as usize];
        of.iter().enumerate().for_each(|(id, &row)| ids[row as usize] = id as u32);
        Some(ids)
    }
}

/// Neighbouring keys of a type in memory, with an index.
pub struct KeySlice<'a> {
    /// The id of the first.
    first: u32,
    keys: &'a Keys,
    index: &'a KeyIndex,
}

impl KeySlice<'_> {
    /// The id of each row's key, [`ABSENT`] where none of the slice has it.
    pub fn find_all(&self, column: &Column) -> Vec<u32> {
        self.shifted(self.index.find_all(self.keys, column))
    }

    /// As [`KeySlice::find_all`], with what an earlier column of the same dictionary has found: see [`KeyIndex::find_all_seen`].
    pub fn find_all_seen(&self, column: &Column, known: usize, seen: &mut Vec<u32>) -> Vec<u32> {
        self.shifted(self.index.find_all_seen(self.keys, column, known, seen))
    }

    fn shifted(&self, mut ids: Vec<u32>) -> Vec<u32> {
        if self.first > 0 {
            ids.iter_mut().filter(|id| **id != ABSENT).for_each(|id| *id += self.first);
        }
        ids
    }
}

/// Numbers the nodes of a type that has tables by the keys of the first.
pub fn number(ty: &NodeType, tables: &Tables, scratch: &Scratch) -> Result<(Numbered, Arrays)> {
    let opened = tables.get(ty.sources.first().expect("types without tables are declared by edges"));
    let Some(key) = &ty.key else {
        let rows = opened.read(&[])?.n_rows() as u64;
        refuse_count(ty, rows)?;
        return Ok((Numbered { count: rows, rows, duplicates_dropped: 0 }, Vec::new()));
    };
    let sorter = KeySorter::new(scratch, scratch.memory / 2);
    let parts = each_key(ty, opened, key, &|column, first| sorter.push(column, first))?;
    let rows = parts.iter().map(|part| part.rows).sum();
    let place = |row: u32| opened.source.locate(&parts, u64::from(row)).to_string();
    let mut numbering = Numbering::new(scratch, key.kind == gsl_plan::graph::KeyKind::Int);
    sorter.finish(&mut |key, row| numbering.see(key, row))?;
    if numbering.repeats.count() > 0 && ty.duplicates == DuplicatePolicy::Error {
        let count = numbering.repeats.count();
        let first = numbering.named(place);
        return Err(BuildError::DuplicateKeys {
            ty: ty.name.clone(),
            column: key.column.clone(),
            count,
            first,
        });
    }
    let numbered = Numbered { count: numbering.count, rows, duplicates_dropped: numbering.repeats.count() };
    refuse_count(ty, numbered.count)?;
    Ok((numbered, numbering.finish(true)?))
}

/// Calls `each` with the keys of a table and the number of their first row, in batches; a row without a key is refused.
fn each_key(
    ty: &NodeType,
    opened: &Opened,
    key: &Key,
    each: &(dyn Fn(&Column, u64) -> Result<()> + Sync),
) -> Result<Vec<Part>> {
    let missing: Mutex<Offenders> = Mutex::default();
    let wanted = [(key.column.clone(), keys::want_of(Some(key.kind)))];
    let parts = stream(opened, &wanted, &|batch| {
        let (column, first) = (&batch.columns[0], batch.first_global_row);
        note_missing(&missing, column, first, |row| {
            opened.source.place_in(batch.file, batch.first_row + row).to_string()
        });
        refuse_size(&format!("rows of `{}`", ty.name), first + column.len() as u64)?;
        each(column, first)
    })?;
    refuse_missing(ty, &key.column, missing)?;
    Ok(parts)
}

fn note_missing(missing: &Mutex<Offenders>, column: &Column, first: u64, place: impl Fn(u64) -> String) {
    if column.n_missing() == 0 && !matches!(column.values, gsl_tables::Values::Text(_)) {
        return;
    }
    let is_missing = |row: usize| match &column.values {
        gsl_tables::Values::Text(text) => text.codes[row] == gsl_tables::MISSING,
        _ => !column.is_valid(row),
    };
    for row in (0..column.len()).filter(|&row| is_missing(row)) {
        let tell = || Offender { found: String::new(), place: place(row as u64) };
        missing.lock().expect("no thread panics here").add(first + row as u64, tell);
    }
}

fn refuse_missing(ty: &NodeType, column: &str, missing: Mutex<Offenders>) -> Result<()> {
    let missing = missing.into_inner().expect("no thread panics here");
    let count = missing.count();
    match missing.named().into_iter().next() {
        None => Ok(()),
        Some(first) => Err(BuildError::MissingKeys {
            ty: ty.name.clone(),
            column: column.to_string(),
            count,
            place: first.place,
        }),
    }
}

fn refuse_count(ty: &NodeType, count: u64) -> Result<()> {
    refuse_size(&format!("nodes of `{}`", ty.name), count)?;
    if count == 0 { Err(BuildError::NoNodes { ty: ty.name.clone() }) } else { Ok(()) }
}

pub fn refuse_size(what: &str, count: u64) -> Result<()> {
    match count > MOST {
        true => Err(BuildError::TooMany { what: what.to_string(), count }),
        false => Ok(()),
    }
}

/// Keys in ascending order become nodes.
struct Numbering {
    ints: bool,
    keys: PieceWriter,
    offsets: PieceWriter,
    rows: PieceWriter,
    count: u64,
    bytes: u64,
    last: Vec<u8>,
    last_int: i64,
    last_row: u32,
    repeats: Offenders,
    failed: Option<BuildError>,
}

impl Numbering {
    fn new(scratch: &Scratch, ints: bool) -> Self {
        let element = if ints { Element::I64 } else { Element::U8 };
        Self {
            ints,
            keys: writer(scratch, element, None),
            offsets: writer(scratch, Element::U64, None),
            rows: writer(scratch, Element::U32, None),
            count: 0,
            bytes: 0,
            last: Vec::new(),
            last_int: 0,
            last_row: 0,
            repeats: Offenders::default(),
            failed: None,
        }
    }

    /// The next key, with its row; one that was seen just now is a repetition.
    fn see(&mut self, key: KeyRef, row: u32) {
        if self.failed.is_none()
            && let Err(error) = self.try_see(key, row)
        {
            self.failed = Some(error);
        }
    }

    fn try_see(&mut self, key: KeyRef, row: u32) -> Result<()> {
        if self.count > 0 && self.is_last(key) {
            let (found, first) = (keys::show_key(key), self.last_row);
            self.repeats.add(u64::from(row), || Offender { found, place: first.to_string() });
            return Ok(());
        }
        match key {
            KeyRef::Int(key) => {
                put(&mut self.keys, |piece| piece.put(&[key]))?;
                self.last_int = key;
            }
            KeyRef::Text(text) => {
                put(&mut self.offsets, |piece| piece.put(&[self.bytes]))?;
                put(&mut self.keys, |piece| piece.put_bytes(text))?;
                self.bytes += text.len() as u64;
                self.last.clear();
                self.last.extend_from_slice(text);
            }
        }
        put(&mut self.rows, |piece| piece.put(&[row]))?;
        (self.count, self.last_row) = (self.count + 1, row);
        Ok(())
    }

    fn is_last(&self, key: KeyRef) -> bool {
        match key {
            KeyRef::Int(key) => key == self.last_int,
            KeyRef::Text(text) => text == self.last,
        }
    }

    /// The first repetitions by row; until now their places are the first rows of their keys.
    fn named(self, place: impl Fn(u32) -> String) -> Vec<Offender> {
        let tell = |(row, first): (u64, Offender)| {
            let before = first.place.parse().unwrap_or(0);
            Offender {
                found: first.found,
                place: format!("{} and before at {}", place(row as u32), place(before)),
            }
        };
        self.repeats.with_rows().map(tell).collect()
    }

    fn finish(mut self, with_rows: bool) -> Result<Arrays> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut arrays = Vec::new();
        if self.ints {
            arrays.push(("keys/int".to_string(), finish(self.keys)?));
        } else {
            put(&mut self.offsets, |piece| piece.put(&[self.bytes]))?;
            arrays.push(("keys/offsets".to_string(), finish(self.offsets)?));
            arrays.push(("keys/bytes".to_string(), finish(self.keys)?));
        }
        if with_rows {
            arrays.push(("row".to_string(), finish(self.rows)?));
        }
        Ok(arrays)
    }
}

/// A type that its edges declare: every key that stands at one of its ends. Small graphs without a table: every one that a node names.
pub fn number_from_edges(
    plan: &GraphPlan,
    ty: usize,
    tables: &Tables,
    scratch: &Scratch,
) -> Result<(Numbered, Arrays)> {
    let want = key_want(plan, ty, tables);
    let distinct = Distinct::new(scratch, scratch.memory / 2);
    if plan.graphs == Some(ty) {
        for (node, table, column) in super::membership::columns_of(plan, tables) {
            let opened = tables.get(&plan.nodes[node].sources[table]);
            stream(opened, &[(column, want)], &|batch| distinct.see(&batch.columns[0]))?;
        }
    }
    for edge in &plan.edges {
        let mut ends: Vec<(String, Want)> = Vec::new();
        ends_of(edge, ty).for_each(|column| add(&mut ends, column, want));
        if !ends.is_empty() {
            stream(tables.get(&edge.source), &ends, &|batch| {
                batch.columns.iter().try_for_each(|column| distinct.see(column))
            })?;
        }
    }
    let mut numbering = Numbering::new(scratch, want == Want::Int);
    distinct.finish(&mut |key| numbering.see(key, 0))?;
    let numbered = Numbered { count: numbering.count, ..Numbered::default() };
    refuse_count(&plan.nodes[ty], numbered.count)?;
    Ok((numbered, numbering.finish(false)?))
}

/// How the keys of a type are read at the ends of edges.
pub fn key_want(plan: &GraphPlan, ty: usize, tables: &Tables) -> Want {
    let node = &plan.nodes[ty];
    if node.key.is_some() || !node.sources.is_empty() {
        return keys::want_of(node.key.as_ref().map(|key| key.kind));
    }
    let all_ints = plan.edges.iter().all(|edge| {
        let opened = tables.get(&edge.source);
        ends_of(edge, ty)
            .all(|column| matches!(opened.kind(column), Some(ColumnKind::Int | ColumnKind::Float)))
    });
    if all_ints { Want::Int } else { Want::Text }
}

pub fn ends_of(edge: &EdgeType, ty: usize) -> impl Iterator<Item = &str> {
    let src = (edge.src == ty).then_some(edge.src_column.as_str());
    let dst = (edge.dst == ty).then_some(edge.dst_column.as_str());
    src.into_iter().chain(dst)
}

/// How the rows of one table of a type meet its nodes.
#[derive(Default)]
pub struct Alignment {
    /// The node of each row, [`ABSENT`] where it has none; none: row i is node i.
    pub ids: Option<Vec<u32>>,
    /// The row of each node, [`ABSENT`] where it has none; none: node i is row i.
    pub rows: Option<Vec<u32>>,
    pub duplicates_dropped: u64,
    pub rows_without_node: u64,
    pub nodes_without_row: u64,
}

/// How the rows of table `index` of a type meet its nodes: as they were numbered, or by the key that is joined on. Keys that are not held
/// are gone through in slices of `memory` bytes, with a pass over the table for each.
pub fn align(
    ty: &NodeType,
    index: usize,
    tables: &Tables,
    nodes: &Nodes,
    rows: u64,
    memory: u64,
) -> Result<Alignment> {
    if index == 0 {
        return Ok(Alignment { ids: nodes.ids(rows), rows: nodes.rows.clone(), ..Alignment::default() });
    }
    let opened = tables.get(&ty.sources[index]);
    let Some(key) = &ty.key else {
        let found = opened.read(&[])?.n_rows();
        let row = |id: usize| if id < found { id as u32 } else { ABSENT };
        return Ok(Alignment {
            ids: Some((0..found).map(|row| if row < nodes.len() { row as u32 } else { ABSENT }).collect()),
            rows: Some((0..nodes.len()).map(row).collect()),
            rows_without_node: found.saturating_sub(nodes.len()) as u64,
            nodes_without_row: nodes.len().saturating_sub(found) as u64,
            duplicates_dropped: 0,
        });
    };
    let (ids, mut parts): (Mutex<Vec<u32>>, _) = (Mutex::default(), Vec::new());
    nodes.each_slice(memory, &mut |slice| {
        parts = each_key(ty, opened, key, &|column, first| {
            let (found, at) = (slice.find_all(column), first as usize);
            let mut ids = ids.lock().expect("no thread panics here");
            if ids.len() < at + found.len() {
                ids.resize(at + found.len(), ABSENT);
            }
            put_found(&mut ids[at..], &found);
            Ok(())
        })?;
        Ok(())
    })?;
    let ids = ids.into_inner().expect("no thread panics here");
    let (alignment, repeats) = meet(ids, nodes.len());
    if repeats.count() > 0 && ty.duplicates == DuplicatePolicy::Error {
        let place = |row: u64| opened.source.locate(&parts, row).to_string();
        let tell = |(row, before): (u64, Offender)| Offender {
            found: nodes.keys.show(before.found.parse().unwrap_or(0)),
            place: format!("{} and before at {}", place(row), place(before.place.parse().unwrap_or(0))),
        };
        return Err(BuildError::DuplicateKeys {
            ty: ty.name.clone(),
            column: key.column.clone(),
            count: repeats.count(),
            first: repeats.with_rows().map(tell).collect(),
        });
    }
    Ok(alignment)
}

/// Takes over the ids that were found.
pub fn put_found(ids: &mut [u32], found: &[u32]) {
    ids.iter_mut().zip(found).filter(|(_, found)| **found != ABSENT).for_each(|(id, found)| *id = *found);
}

/// The first row of each node wins; later ones are repetitions, told by the id and the first row.
fn meet(mut ids: Vec<u32>, nodes: usize) -> (Alignment, Offenders) {
    let (mut rows, mut repeats, mut strangers) = (vec![ABSENT; nodes], Offenders::default(), 0);
    for (row, slot) in ids.iter_mut().enumerate() {
        let id = *slot;
        if id == ABSENT {
            strangers += 1;
        } else if rows[id as usize] == ABSENT {
            rows[id as usize] = row as u32;
        } else {
            let first = rows[id as usize];
            repeats.add(row as u64, || Offender { found: id.to_string(), place: first.to_string() });
            *slot = ABSENT;
        }
    }
    let alignment = Alignment {
        duplicates_dropped: repeats.count(),
        rows_without_node: strangers,
        nodes_without_row: rows.iter().filter(|&&row| row == ABSENT).count() as u64,
        ids: Some(ids),
        rows: Some(rows),
    };
    (alignment, repeats)
}

/// The table of a type that a column belongs to: the first that has it.
pub fn home_of(ty: &NodeType, tables: &Tables, column: &str) -> usize {
    ty.sources.iter().position(|source| tables.get(source).has(column)).unwrap_or(0)
}

/// The columns of the labels and splits of a type.
pub fn label_columns(ty: &NodeType) -> Vec<(String, Want)> {
    let mut columns = Vec::new();
    for one in &ty.labels {
        if !one.is_count() {
            add(&mut columns, &one.column, label_values::want_of(one));
        }
        match &one.split {
            Some(Split::Column { column }) => add(&mut columns, column, Want::Text),
            Some(Split::By { column, .. }) => add(&mut columns, column, Want::Auto),
            _ => {}
        }
    }
    columns
}

/// The columns of the labels of a type that its tables have.
pub fn present_label_columns(ty: &NodeType, tables: &Tables) -> Vec<(String, Want)> {
    let has = |column: &str| ty.sources.iter().any(|source| tables.get(source).has(column));
    let mut columns = Vec::new();
    let present = ty.labels.iter().filter(|label| has(&label.column));
    present.for_each(|label| add(&mut columns, &label.column, label_values::want_of(label)));
    columns
}

/// Columns of all nodes, from whichever tables have them.
pub fn whole_frame(
    ty: &NodeType,
    tables: &Tables,
    count: usize,
    alignments: &[Alignment],
    columns: &[(String, Want)],
) -> Result<Frame> {
    let mut frame = Frame::new(count);
    frame.models = tables.models.clone();
    for (index, source) in ty.sources.iter().enumerate() {
        let wanted: Vec<(String, Want)> =
            columns.iter().filter(|(name, _)| home_of(ty, tables, name) == index).cloned().collect();
        if wanted.is_empty() {
            continue;
        }
        let opened: &Opened = tables.get(source);
        let table = opened.read(&wanted)?;
        let origin = Origin {
            source: opened.source.clone(),
            stands: Stands::Table(table.parts),
            rows: alignments[index].rows.clone(),
        };
        frame.add(origin, wanted.iter().map(|(_, want)| *want).zip(table.columns).collect());
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as identifiers of four bytes tell apart, and not one more, however large the tables are.
    #[test]
    fn rows_beyond_four_bytes_are_refused_in_numbers() {
        assert!(refuse_size("rows of `a`", MOST).is_ok());
        for count in [MOST + 1, 1 << 32, 1 << 33, (1 << 33) + 7] {
            let said = refuse_size("rows of `a`", count).unwrap_err().to_string();
            assert_eq!(said, format!("{count} rows of `a`: at most 4,294,967,293 are possible"));
        }
    }
}
