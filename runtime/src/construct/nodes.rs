//! Nodes of one type: their keys, and the columns of all their tables in the order of the ids.

use gsl_plan::graph::{DuplicatePolicy, EdgeType, GraphPlan, NodeType, Split};
use gsl_tables::{Column, Table, Want};

use super::error::{BuildError, Offender, Result};
use super::feature::{add, columns_of};
use super::frame::{ABSENT, Frame, Origin};
use super::keys::{self, KeyIndex, Keys, Sorted};
use super::label;
use super::report::NodeReport;
use super::tables::{Opened, Tables};

/// At most this many offenders are named.
pub const NAMED: usize = 5;
/// Ids are u32, and two values are kept free.
pub const MOST: u64 = u32::MAX as u64 - 2;

pub struct Nodes {
    pub keys: Keys,
    pub index: KeyIndex,
    pub frame: Frame,
}

/// Reads all tables of a type that has some.
pub fn load(ty: &NodeType, tables: &Tables, report: &mut NodeReport) -> Result<Nodes> {
    let (first, others) = ty.sources.split_first().expect("types without tables are declared by edges");
    let wanted = wanted_of(ty, tables);
    let opened = tables.get(first);
    let (keys, mut frame) = load_first(ty, opened, &wanted[0], report)?;
    let index = keys.index();
    for (declared, wanted) in others.iter().zip(&wanted[1..]) {
        join(ty, tables.get(declared), wanted, &index, &mut frame, report)?;
    }
    refuse_size(&format!("nodes of `{}`", ty.name), keys.len() as u64)?;
    if keys.is_empty() {
        return Err(BuildError::NoNodes { ty: ty.name.clone() });
    }
    report.count = keys.len() as u64;
    Ok(Nodes { keys, index, frame })
}

/// A type that its edges declare: every key that stands at one of its ends.
pub fn from_edges(plan: &GraphPlan, ty: usize, tables: &Tables, report: &mut NodeReport) -> Result<Nodes> {
    let name = &plan.nodes[ty].name;
    let want = key_want(plan, ty, tables);
    let mut columns: Vec<Column> = Vec::new();
    for edge in &plan.edges {
        let mut ends: Vec<(String, Want)> = Vec::new();
        ends_of(edge, ty).for_each(|column| add(&mut ends, column, want));
        if !ends.is_empty() {
            columns.extend(tables.get(&edge.source).read(&ends)?.columns);
        }
    }
    let keys = Keys::union(&columns.iter().collect::<Vec<_>>());
    refuse_size(&format!("nodes of `{name}`"), keys.len() as u64)?;
    if keys.is_empty() {
        return Err(BuildError::NoNodes { ty: name.clone() });
    }
    report.count = keys.len() as u64;
    Ok(Nodes { index: keys.index(), frame: Frame::new(keys.len()), keys })
}

/// How the keys of a type are read at the ends of edges.
pub fn key_want(plan: &GraphPlan, ty: usize, tables: &Tables) -> Want {
    let node = &plan.nodes[ty];
    if node.key.is_some() || !node.sources.is_empty() {
        return keys::want_of(node.key.as_ref().map(|key| key.kind));
    }
    let all_ints = plan.edges.iter().all(|edge| {
        let opened = tables.get(&edge.source);
        ends_of(edge, ty).all(|column| opened.kind(column) == Some(&gsl_tables::ColumnKind::Int))
    });
    if all_ints { Want::Int } else { Want::Text }
}

fn ends_of(edge: &EdgeType, ty: usize) -> impl Iterator<Item = &str> {
    let src = (edge.src == ty).then_some(edge.src_column.as_str());
    let dst = (edge.dst == ty).then_some(edge.dst_column.as_str());
    src.into_iter().chain(dst)
}

pub fn refuse_size(what: &str, count: u64) -> Result<()> {
    match count > MOST {
        true => Err(BuildError::TooMany { what: what.to_string(), count }),
        false => Ok(()),
    }
}

/// The columns to read from each table: a column belongs to the first table that has it.
fn wanted_of(ty: &NodeType, tables: &Tables) -> Vec<Vec<(String, Want)>> {
    let mut columns = Vec::new();
    ty.features.iter().for_each(|feature| columns_of(&feature.expr, &mut columns));
    for one in &ty.labels {
        add(&mut columns, &one.column, label::want_of(one.kind));
        match &one.split {
            Some(Split::Column { column }) => add(&mut columns, column, Want::Text),
            Some(Split::By { column, .. }) => add(&mut columns, column, Want::Auto),
            _ => {}
        }
    }
    let mut wanted: Vec<Vec<(String, Want)>> = vec![Vec::new(); ty.sources.len()];
    for (name, want) in columns {
        let home = ty.sources.iter().position(|source| tables.get(source).has(&name)).unwrap_or(0);
        wanted[home].push((name, want));
    }
    wanted
}

fn load_first(
    ty: &NodeType,
    opened: &Opened,
    wanted: &[(String, Want)],
    report: &mut NodeReport,
) -> Result<(Keys, Frame)> {
    let (table, key_column) = read_with_key(ty, opened, wanted)?;
    report.rows = table.n_rows() as u64;
    refuse_size(&format!("rows of `{}`", ty.name), report.rows)?;
    let Some(key_column) = key_column else {
        let count = table.n_rows();
        let mut frame = Frame::new(count);
        frame.add(origin(opened, &table, None), with_wants(table.columns, wanted));
        return Ok((Keys::Rows(count), frame));
    };
    let sorted = sort_checked(ty, opened, &table, &key_column, report)?;
    let mut frame = Frame::new(sorted.rows.len());
    let origin = origin(opened, &table, Some(sorted.rows));
    frame.add(origin, with_wants(table.columns, wanted));
    Ok((sorted.keys, frame))
}

/// The wanted columns, and the key column apart.
fn read_with_key(
    ty: &NodeType,
    opened: &Opened,
    wanted: &[(String, Want)],
) -> Result<(Table, Option<Column>)> {
    let mut columns = wanted.to_vec();
    if let Some(key) = &ty.key {
        columns.push((key.column.clone(), keys::want_of(Some(key.kind))));
    }
    let mut table = opened.read(&columns)?;
    let key = ty.key.as_ref().and_then(|_| table.columns.pop());
    Ok((table, key))
}

fn with_wants(columns: Vec<Column>, wanted: &[(String, Want)]) -> Vec<(Want, Column)> {
    wanted.iter().map(|(_, want)| *want).zip(columns).collect()
}

fn origin(opened: &Opened, table: &Table, rows: Option<Vec<u32>>) -> Origin {
    Origin { source: opened.source.clone(), parts: table.parts.clone(), rows }
}

/// Ids by key; a repeated or absent key is refused, or the repeats counted.
fn sort_checked(
    ty: &NodeType,
    opened: &Opened,
    table: &Table,
    column: &Column,
    report: &mut NodeReport,
) -> Result<Sorted> {
    let sorted = keys::sort(column);
    let place = |row: u32| opened.source.locate(&table.parts, u64::from(row)).to_string();
    if let Some(&row) = sorted.missing.first() {
        let count = sorted.missing.len() as u64;
        let column = column.name.clone();
        return Err(BuildError::MissingKeys { ty: ty.name.clone(), column, count, place: place(row) });
    }
    if !sorted.repeats.is_empty() && ty.duplicates == DuplicatePolicy::Error {
        let name = |&(row, first): &(u32, u32)| Offender {
            found: keys::show_cell(column, row as usize),
            place: format!("{} and before at {}", place(row), place(first)),
        };
        return Err(BuildError::DuplicateKeys {
            ty: ty.name.clone(),
            column: column.name.clone(),
            count: sorted.repeats.len() as u64,
            first: sorted.repeats.iter().take(NAMED).map(name).collect(),
        });
    }
    report.duplicates_dropped += sorted.repeats.len() as u64;
    Ok(sorted)
}

/// Joins a further table on the key: ids without a row get missing values, rows without an id are counted.
fn join(
    ty: &NodeType,
    opened: &Opened,
    wanted: &[(String, Want)],
    index: &KeyIndex,
    frame: &mut Frame,
    report: &mut NodeReport,
) -> Result<()> {
    let (table, key_column) = read_with_key(ty, opened, wanted)?;
    let rows = match key_column {
        None => (0..frame.len as u32)
            .map(|row| if (row as usize) < table.n_rows() { row } else { ABSENT })
            .collect(),
        Some(column) => {
            let sorted = sort_checked(ty, opened, &table, &column, report)?;
            let ids = index.find_all(&column);
            let mut rows = vec![ABSENT; frame.len];
            for row in sorted.rows {
                match ids[row as usize] {
                    ABSENT => report.rows_without_node += 1,
                    id => rows[id as usize] = row,
                }
            }
            rows
        }
    };
    report.nodes_without_row += rows.iter().filter(|&&row| row == ABSENT).count() as u64;
    frame.add(origin(opened, &table, Some(rows)), with_wants(table.columns, wanted));
    Ok(())
}
