//! The ends of edges where the keys of a node type are more than memory holds: the id of every row's key, found in passes over the
//! table, one for each slice of the keys, and kept in a scratch file.
//!
//! A pass reads the columns of keys alone. Bytes: 4 for each row and end written once, read and perhaps written again by each further
//! pass, and read once by whatever goes through the edges.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use gsl_tables::Want;

use super::batches::stream_with;
use super::error::{BuildError, Result};
use super::feature::add;
use super::frame::ABSENT;
use super::nodes::{Nodes, put_found};
use super::scratch::Scratch;
use super::tables::Opened;
use crate::graph::piece::{bytes_of, numbers_of};

/// The node of each row of a table, [`ABSENT`] where it has none.
#[derive(Clone)]
pub struct RowIds {
    file: Arc<File>,
    folder: PathBuf,
}

impl RowIds {
    fn new(scratch: &Scratch) -> Result<Self> {
        let folder = scratch.folder.clone();
        match scratch.file() {
            Ok(file) => Ok(Self { file: Arc::new(file), folder }),
            Err(error) => Err(BuildError::Scratch { file: folder, error }),
        }
    }

    /// Those of `count` rows from `first` on.
    pub fn read(&self, first: u64, count: usize) -> Result<Vec<u32>> {
        let mut bytes = vec![0; 4 * count];
        match self.file.read_exact_at(&mut bytes, 4 * first) {
            Ok(()) => Ok(numbers_of(&bytes).collect()),
            Err(error) => Err(BuildError::Scratch { file: self.folder.clone(), error }),
        }
    }

    fn write(&self, first: u64, ids: &[u32]) -> Result<()> {
        let failed = |error| BuildError::Scratch { file: self.folder.clone(), error };
        self.file.write_all_at(bytes_of(ids), 4 * first).map_err(failed)
    }

    /// Takes what a slice has found of the rows from `first` on.
    fn take(&self, first: u64, found: &[u32], is_first_slice: bool) -> Result<()> {
        if is_first_slice {
            return self.write(first, found);
        }
        if found.iter().all(|id| *id == ABSENT) {
            return Ok(());
        }
        let mut ids = self.read(first, found.len())?;
        put_found(&mut ids, found);
        self.write(first, &ids)
    }
}

/// The nodes that columns of a table name, for each of the columns.
pub fn resolve(opened: &Opened, columns: &[&str], nodes: &Nodes, scratch: &Scratch) -> Result<Vec<RowIds>> {
    let mut wanted: Vec<(String, Want)> = Vec::new();
    columns.iter().for_each(|column| add(&mut wanted, column, nodes.keys.want()));
    let found: Vec<RowIds> = wanted.iter().map(|_| RowIds::new(scratch)).collect::<Result<_>>()?;
    let seen = || vec![Vec::new(); wanted.len()];
    let mut is_first = true;
    nodes.each_slice(scratch.memory / 2, &mut |slice| {
        stream_with(opened, &wanted, &seen, &|seen, batch| {
            for (at, column) in batch.columns.iter().enumerate() {
                let ids = slice.find_all_seen(column, batch.known[at], &mut seen[at]);
                found[at].take(batch.first_global_row, &ids, is_first)?;
            }
            Ok(())
        })?;
        is_first = false;
        Ok(())
    })?;
    let of = |column: &&str| wanted.iter().position(|(name, _)| name == column).map(|at| found[at].clone());
    Ok(columns.iter().filter_map(of).collect())
}
