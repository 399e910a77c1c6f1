//! What a batch puts in front of a neighbourhood: rows that are no nodes of the graph, and the edges that lead to them.
//!
//! Decided here: how they are laid out. Which pairs there are, and which negatives, is decided by who makes the head.

use gsl_plan::plan::Virtuals;
use rustc_hash::FxHashSet;

use super::EdgeBlock;
use super::dedup::RowTable;
use crate::view::GraphView;

/// Rows and edges of hop 0 that the graph does not have.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Identifiers of the rows, by node type.
    pub rows: Vec<(u32, Vec<u32>)>,
    pub edges: Vec<HeadEdges>,
    /// Edges of the graph that no message takes.
    pub excluded: Excluded,
}

/// Edges of one relation to the rows of a head, grouped by row.
#[derive(Debug, Clone, Default)]
pub struct HeadEdges {
    pub rel: u32,
    pub indptr: Vec<u32>,
    /// Identifiers of the nodes that they come from.
    pub src: Vec<u32>,
    /// An edge is known by its source, which no other has; else by its place in the batch.
    pub by_source: bool,
    /// Where groups of rows share the nodes that lead to them; then `src` is empty, and nodes are those of the columns.
    pub tiles: Option<TileEdges>,
}

impl HeadEdges {
    /// No edges to no rows.
    pub fn empty(rel: u32) -> Self {
        HeadEdges { rel, indptr: vec![0], ..HeadEdges::default() }
    }
}

/// Edges in tiles: see [`gsl_kernels::Tiles`].
#[derive(Debug, Clone, Default)]
pub struct TileEdges {
    pub rows: Vec<u32>,
    pub ends: Vec<u32>,
    pub columns: Vec<u32>,
    /// The column of each edge.
    pub column: Vec<u32>,
}

/// Edges by their ends: of each relation, destination and source in one word.
#[derive(Debug, Clone, Default)]
pub struct Excluded {
    pub relations: Vec<(u32, FxHashSet<u64>)>,
}

impl Excluded {
    pub fn word(src: u32, dst: u32) -> u64 {
        u64::from(dst) << 32 | u64::from(src)
    }

    pub fn of(&self, rel: u32) -> Option<&FxHashSet<u64>> {
        self.relations.iter().find(|(of, _)| *of == rel).map(|(_, words)| words).filter(|w| !w.is_empty())
    }
}

/// Source and destination type of a relation of the graph, or of a batch.
pub fn ends_of(view: &dyn GraphView, virtuals: &Virtuals, rel: u32) -> Option<(u32, u32)> {
    match (rel as usize).checked_sub(view.relations()) {
        None => Some(view.ends(rel)),
        Some(own) => virtuals.relations.get(own).copied(),
    }
}

impl EdgeBlock {
    /// Takes the edges of a head; none lead to any of `rows` where it has none of this relation.
    pub(super) fn put(&mut self, head: &Head, rows: usize) {
        self.indptr.clear();
        self.src.clear();
        self.position.clear();
        self.tiles = None;
        let Some(edges) = head.edges.iter().find(|edges| edges.rel == self.rel) else {
            return self.indptr.resize(rows + 1, 0);
        };
        self.indptr.extend(&edges.indptr);
        self.src.extend(&edges.src);
        self.tiles.clone_from(&edges.tiles);
        let count = self.tiles.as_ref().map_or(self.src.len(), |tiles| tiles.column.len());
        match edges.by_source {
            true => self.position.extend(edges.src.iter().map(|&node| u64::from(node))),
            false => self.position.extend(0..count as u64),
        }
    }

    /// Turns identifiers of sources into rows.
    pub(super) fn number(&mut self, table: &mut RowTable, ids: &mut Vec<u32>) {
        match &mut self.tiles {
            None => table.rows(&mut self.src, ids),
            Some(tiles) => {
                table.rows(&mut tiles.columns, ids);
                self.src.extend(tiles.column.iter().map(|&column| tiles.columns[column as usize]));
            }
        }
    }

    /// Leaves out the edges between these ends; sources are still identifiers.
    pub(super) fn leave_out(&mut self, words: &FxHashSet<u64>, ids: &[u32]) {
        let mut kept = 0;
        let mut start = 0;
        for (row, &dst) in ids[..self.indptr.len() - 1].iter().enumerate() {
            let end = self.indptr[row + 1] as usize;
            for edge in start..end {
                if !words.contains(&Excluded::word(self.src[edge], dst)) {
                    self.src[kept] = self.src[edge];
                    self.position[kept] = self.position[edge];
                    kept += 1;
                }
            }
            start = end;
            self.indptr[row + 1] = kept as u32;
        }
        self.src.truncate(kept);
        self.position.truncate(kept);
    }
}
