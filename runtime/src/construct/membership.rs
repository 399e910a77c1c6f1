//! Graphs of many small graphs: which small graph each node is in, and that no edge leads from one into another.

use gsl_plan::graph::{GraphPlan, NodeType, RelationFacts};
use gsl_tables::{Column, MISSING, Values};

use super::error::{BuildError, Offender, Result};
use super::frame::{ABSENT, Frame};
use super::keys::show_cell;
use super::nodes::{NAMED, Nodes};
use super::stages::Arrays;
use super::tables::Tables;
use crate::graph::piece::{Piece, numbers_of};

/// The columns of tables that name small graphs: node type, the table of it, column.
pub fn columns_of(plan: &GraphPlan, tables: &Tables) -> Vec<(usize, usize, String)> {
    let of = |(ty, node): (usize, &NodeType)| {
        let column = node.graph.clone()?;
        Some((ty, super::nodes::home_of(node, tables, &column), column))
    };
    plan.nodes.iter().enumerate().filter_map(of).collect()
}

/// The small graph of each node, from the column that names it. A node without one is refused.
pub fn members(ty: &NodeType, column: &str, frame: &Frame, graphs: &Nodes) -> Result<Vec<u32>> {
    let cells = frame.column(column, graphs.keys.want())?;
    let ids = graphs.find_all(cells)?;
    let unknown: Vec<usize> = (0..ids.len()).filter(|&node| ids[node] == ABSENT).collect();
    if unknown.is_empty() {
        return Ok(ids);
    }
    let tell = |&node: &usize| Offender {
        found: show(cells, node),
        place: frame.place(Some(column), node).unwrap_or_default(),
    };
    Err(BuildError::UnknownGraphs {
        ty: ty.name.clone(),
        column: column.to_string(),
        count: unknown.len() as u64,
        first: unknown.iter().take(NAMED).map(tell).collect(),
    })
}

fn show(cells: &Column, row: usize) -> String {
    match &cells.values {
        Values::Text(text) if text.codes[row] == MISSING => "(nothing)".to_string(),
        _ => show_cell(cells, row),
    }
}

/// The ends of a relation: its types' nodes, and which small graph each node is in.
pub struct Sides<'a> {
    pub src: (&'a Nodes, &'a [u32]),
    pub dst: (&'a Nodes, &'a [u32]),
    pub graphs: &'a Nodes,
}

/// Refuses edges between nodes of two small graphs; told in the order of the lists. Reads every edge once.
pub fn stay_inside(facts: &RelationFacts, indptr: &[u64], src: &Piece, sides: &Sides) -> Result<()> {
    let (mut node, mut edge, mut count) = (0, 0u64, 0);
    let mut first: Vec<(u32, u32)> = Vec::new();
    let walked = src.for_each(&mut |bytes| -> std::io::Result<()> {
        for tail in numbers_of::<u32>(bytes) {
            while indptr[node + 1] <= edge {
                node += 1;
            }
            if sides.src.1[tail as usize] != sides.dst.1[node] {
                count += 1;
                if first.len() < NAMED {
                    first.push((tail, node as u32));
                }
            }
            edge += 1;
        }
        Ok(())
    });
    walked.map_err(|error| BuildError::Scratch { file: Default::default(), error })?;
    if count == 0 {
        return Ok(());
    }
    let key = |(nodes, of): (&Nodes, &[u32]), id: u32| {
        let graph = sides.graphs.keys.show(of[id as usize] as usize);
        (nodes.keys.show(id as usize), graph)
    };
    let tell = |(tail, head): (u32, u32)| {
        let ((a, one), (b, other)) = (key(sides.src, tail), key(sides.dst, head));
        Offender { found: format!("{a} -> {b}"), place: format!("from `{one}` into `{other}`") }
    };
    let first = first.into_iter().map(tell).collect();
    Err(BuildError::BetweenGraphs { relation: facts.name.clone(), count, first })
}

/// The array of a stage.
pub fn arrays(members: &[u32]) -> Arrays {
    vec![("graph".to_string(), Piece::of(members, None))]
}
