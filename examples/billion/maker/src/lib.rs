//! Makes the tables of `examples/billion`: a random graph of any size, as Parquet.
//!
//! [`graph`] says what the graph is, [`tables`] how it is stored. Decided here: how rows are dealt to files. Files are
//! written side by side, and none needs more memory than one group of rows.

pub mod error;
pub mod graph;
mod permutation;
pub mod tables;

use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use error::{Error, Result};
use graph::RandomGraph;
use tables::{Keys, Namer, Table};

/// Everything that the rows depend on. Equal recipes give equal rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    pub nodes: u64,
    pub edges: u64,
    /// Floats in the list of features of a node.
    pub features: u64,
    pub keys: Keys,
    pub seed: u64,
}

/// A file that now stands on disk.
#[derive(Debug)]
pub struct Written {
    pub path: PathBuf,
    pub table: Table,
    pub rows: u64,
    pub bytes: u64,
}

/// Writes `out/nodes` and `out/edges`, each as `files` files of nearly equal numbers of rows.
pub fn make(recipe: &Recipe, files: u64, out: &Path) -> Result<Vec<Written>> {
    recipe.check()?;
    in_range("files", files, 1, 100_000)?;
    [Table::Nodes, Table::Edges].iter().try_for_each(|table| vacant(&out.join(table.folder())))?;
    let graph = RandomGraph::new(recipe.seed, recipe.nodes, recipe.features as usize);
    let namer = Namer::new(recipe.keys, recipe.seed);
    let mut parts: Vec<(Table, u64)> = (0..files).map(|file| (Table::Nodes, file)).collect();
    parts.extend((0..files).map(|file| (Table::Edges, file)));
    let write = |(table, file): (Table, u64)| {
        let path = out.join(table.folder()).join(format!("part-{file:05}.parquet"));
        let rows = share(recipe.rows(table), file, files);
        let count = rows.end - rows.start;
        let bytes = tables::write(&path, &graph, &namer, table, rows).map_err(Error::write(&path))?;
        Ok(Written { path, table, rows: count, bytes })
    };
    parts.into_par_iter().map(write).collect()
}

impl Recipe {
    fn rows(&self, table: Table) -> u64 {
        match table {
            Table::Nodes => self.nodes,
            Table::Edges => self.edges,
        }
    }

    fn check(&self) -> Result<()> {
        in_range("nodes", self.nodes, 1, 1 << 40)?;
        in_range("edges", self.edges, 0, 1 << 48)?;
        in_range("features", self.features, 1, 1 << 16)
    }
}

fn in_range(what: &'static str, found: u64, low: u64, high: u64) -> Result<()> {
    if (low..=high).contains(&found) { Ok(()) } else { Err(Error::OutOfRange { what, found, low, high }) }
}

/// A folder is read as one table, so what an earlier recipe left there would be part of this one.
fn vacant(folder: &Path) -> Result<()> {
    match std::fs::read_dir(folder).map(Iterator::count) {
        Ok(found) if found > 0 => Err(Error::Occupied { folder: folder.to_path_buf() }),
        _ => Ok(()),
    }
}

/// Rows of one of `files` files.
fn share(rows: u64, file: u64, files: u64) -> Range<u64> {
    let bound = |file: u64| (u128::from(rows) * u128::from(file) / u128::from(files)) as u64;
    bound(file)..bound(file + 1)
}
