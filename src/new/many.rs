//! Many small graphs: a table with a label, whose key every node of the others names in one column.
//!
//! Believed where no edge leads from one of them into another, which is looked up; else the column is a relation like any other.

use std::collections::HashMap;

use gsl_tables::{Batch, TableError};

use super::guess::{Edge, Schema};
use super::look::Table;
use super::profile::{hash_at, want};

/// The type of the small graphs in the language.
const GRAPH: &str = "graph";
/// Nodes of a small graph in mean, at least.
const NODES: u64 = 2;
/// Rows of a table that are looked up, at most.
const ROWS: u64 = 10_000_000;
const BATCH: usize = 1 << 16;

/// The small graphs of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Many {
    /// Index of their type.
    pub node: usize,
    /// The column of the other tables that names them.
    pub column: String,
}

/// Makes the type `node` the small graphs of the schema if it looks like them; the edges to it are then none.
pub fn find(tables: &[Table], schema: &mut Schema, node: usize) -> Result<(), TableError> {
    let Some(many) = candidate(tables, schema, node) else { return Ok(()) };
    if crosses(tables, schema, &many)? {
        return Ok(());
    }
    schema.edges.retain(|edge| edge.ends[1].ty != node);
    schema.nodes[node].name = GRAPH.to_owned();
    schema.many = Some(many);
    Ok(())
}

/// What the names and shares say: each other type names the graph of all its rows in a column of one name, and no other edge has to do
/// with the graphs.
fn candidate(tables: &[Table], schema: &Schema, node: usize) -> Option<Many> {
    let table = schema.nodes[node].table?;
    let name = |edge: &Edge| tables[edge.table].columns[edge.ends[1].column].name.as_str();
    let (into, others): (Vec<&Edge>, Vec<&Edge>) =
        schema.edges.iter().partition(|edge| edge.ends[1].ty == node);
    let column = name(into.first()?).to_owned();
    let whole =
        |edge: &&Edge| edge.is_reference && edge.ends[1].found == Some(1.0) && edge.ends[1].missing == 0;
    let of_type = |ty: usize| into.iter().filter(|edge| edge.ends[0].ty == ty).count();
    let is_named = schema.nodes.iter().enumerate().any(|(ty, other)| ty != node && other.name == GRAPH);
    let rows: u64 = into.iter().map(|edge| tables[edge.table].rows()).sum();
    let fits = into.iter().all(|edge| whole(edge) && name(edge) == column)
        && (0..schema.nodes.len()).all(|ty| of_type(ty) == usize::from(ty != node))
        && !others.is_empty()
        && others.iter().all(|edge| edge.ends[0].ty != node && tables[edge.table].rows() <= ROWS)
        && (NODES * tables[table].rows()..=ROWS).contains(&rows)
        && !is_named;
    fits.then_some(Many { node, column })
}

/// Whether an edge leads from one small graph into another.
fn crosses(tables: &[Table], schema: &Schema, many: &Many) -> Result<bool, TableError> {
    let mut graphs: HashMap<(usize, u64), u64> = HashMap::new();
    let (into, others): (Vec<&Edge>, Vec<&Edge>) =
        schema.edges.iter().partition(|edge| edge.ends[1].ty == many.node);
    for edge in into {
        let ty = edge.ends[0].ty;
        each(tables, edge, |key, graph| {
            graphs.insert((ty, key), graph);
        })?;
    }
    let mut crossing = false;
    for edge in others {
        let [src, dst] = edge.ends.each_ref().map(|end| end.ty);
        each(tables, edge, |a, b| {
            let ends = [graphs.get(&(src, a)), graphs.get(&(dst, b))];
            crossing |= matches!(ends, [Some(a), Some(b)] if a != b);
        })?;
    }
    Ok(crossing)
}

/// Hashes of both ends of each row that has them.
fn each(tables: &[Table], edge: &Edge, mut told: impl FnMut(u64, u64) + Send) -> Result<(), TableError> {
    let table = &tables[edge.table];
    let columns = edge.ends.each_ref().map(|end| &table.columns[end.column]);
    let wanted = columns.map(|column| (column.name.as_str(), want(&column.kind)));
    table.source.for_each_batch::<TableError>(&wanted, BATCH, |batch: Batch| {
        for row in 0..batch.columns[0].len() {
            if let (Some(a), Some(b)) = (hash_at(&batch.columns[0], row), hash_at(&batch.columns[1], row)) {
                told(a, b);
            }
        }
        Ok(())
    })
}
