//! The gradient of one step, collected from the batches that make it and from all ranks.
//!
//! Decided here: a step's gradient is the mean over its batches; clipping looks at all parameters at once and comes after
//! the sum over ranks and before the step; gradients of one row are added in the order (batch, list, position), then by rank,
//! so that a step does not depend on threads.

use super::{Params, Place, StoreError};
use crate::comm::Communicator;
use gsl_kernels::{axpy, group_rows, norm, scale};
use rayon::prelude::*;
use std::mem::take;

/// The gradient of all dense parameters in one vector: one all-reduce, one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradient {
    /// Laid out as the dense parameters are, in the order of the plan.
    pub values: Vec<f32>,
}

/// Gradient rows of an embedding table: row i of `rows` belongs to node `ids[i]`. Identifiers may repeat.
#[derive(Debug, Clone, Copy)]
pub struct RowGradient<'a> {
    pub ids: &'a [u32],
    pub rows: &'a [f32],
}

/// Rows of one table that were touched: identifiers ascending, each once.
#[derive(Debug, Clone, Default, PartialEq)]
struct Touched {
    param: u32,
    width: usize,
    ids: Vec<u32>,
    rows: Vec<f32>,
    /// Memory of rows that are summed no more, for the next ones.
    spare: Vec<f32>,
}

/// What the batches of a step have given so far; after [`Collected::finish`] the gradient of the step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    sum: Gradient,
    batch: Gradient,
    tables: Vec<Touched>,
    batches: u32,
}

impl Params {
    /// A zero gradient of the right length.
    pub fn gradient(&self) -> Gradient {
        Gradient { values: vec![0.0; self.dense.values.len()] }
    }

    /// Where the gradient of dense parameter `param` lies in a [`Gradient`]; none for a table.
    pub fn gradient_range(&self, param: u32) -> Option<std::ops::Range<usize>> {
        match self.entries.get(param as usize)?.place {
            Place::Dense { start, len } => Some(start..start + len),
            Place::Table { .. } => None,
        }
    }

    /// Nothing collected yet.
    pub fn collector(&self) -> Collected {
        let table = |(param, entry): (usize, &super::Entry)| match entry.place {
            Place::Table { .. } if !self.frozen[param] => {
                Some(Touched { param: param as u32, width: entry.width(), ..Touched::default() })
            }
            _ => None,
        };
        Collected {
            sum: self.gradient(),
            batch: Gradient::default(),
            tables: self.entries.iter().enumerate().filter_map(table).collect(),
            batches: 0,
        }
    }
}

impl Collected {
    pub fn is_empty(&self) -> bool {
        self.batches == 0
    }

    pub fn batches(&self) -> u32 {
        self.batches
    }

    /// The tables that are trained, by their index in the plan.
    pub fn tables(&self) -> Vec<u32> {
        self.tables.iter().map(|table| table.param).collect()
    }

    /// Adds a batch: `write` gives its dense gradient.
    pub fn add_dense(&mut self, write: impl FnOnce(&mut Gradient)) {
        self.batches += 1;
        if self.batches == 1 {
            return write(&mut self.sum);
        }
        self.batch.values.resize(self.sum.values.len(), 0.0);
        write(&mut self.batch);
        axpy(1.0, &self.batch.values, &mut self.sum.values);
    }

    /// Adds the gradient rows of table `param` in a batch.
    ///
    /// # Errors
    /// If `param` is no table, or a list is not rows of its width.
    pub fn add_rows(&mut self, param: u32, lists: &[RowGradient]) -> Result<(), StoreError> {
        let unknown = || StoreError::Unknown { name: format!("table {param}") };
        let table = self.tables.iter_mut().find(|table| table.param == param).ok_or_else(unknown)?;
        for list in lists {
            let (found, expected) = (list.rows.len(), list.ids.len() * table.width);
            if found != expected {
                return Err(StoreError::Length { name: format!("gradient of {param}"), found, expected });
            }
        }
        let (ids, rows) = (take(&mut table.ids), take(&mut table.rows));
        let before = RowGradient { ids: &ids, rows: &rows };
        let all: Vec<RowGradient> = std::iter::once(before).chain(lists.iter().copied()).collect();
        table.merge(&all);
        table.spare = rows;
        Ok(())
    }

    /// Sums over ranks, takes the mean over the batches, and scales everything to the L2 norm `limit` if it is longer. A
    /// collective. Returns the norm before.
    ///
    /// # Errors
    /// If the exchange fails.
    pub fn finish(&mut self, limit: Option<f32>, comm: &dyn Communicator) -> Result<f64, StoreError> {
        comm.all_reduce_sum_f32(&mut self.sum.values)?;
        if comm.size() > 1 {
            for table in &mut self.tables {
                table.exchange(comm)?;
            }
        }
        if self.batches > 1 {
            self.scale(1.0 / self.batches as f32);
        }
        Ok(self.clip(limit))
    }

    /// The dense gradient, laid out as [`Gradient`] says.
    pub fn dense(&self) -> &[f32] {
        &self.sum.values
    }

    /// By table: its index in the plan, the touched rows ascending, and their gradients.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[u32], &[f32])> {
        self.tables.iter().map(|table| (table.param, table.ids.as_slice(), table.rows.as_slice()))
    }

    /// Ready for the next step.
    pub fn clear(&mut self) {
        self.batches = 0;
        for table in &mut self.tables {
            table.ids.clear();
            table.spare = take(&mut table.rows);
        }
    }

    fn clip(&mut self, limit: Option<f32>) -> f64 {
        let squares = self.tables.iter().map(|table| norm(&table.rows).powi(2));
        let length = (norm(&self.sum.values).powi(2) + squares.sum::<f64>()).sqrt();
        if let Some(limit) = limit.map(f64::from)
            && length > limit
        {
            self.scale((limit / length) as f32);
        }
        length
    }

    fn scale(&mut self, factor: f32) {
        scale(&mut self.sum.values, factor);
        self.tables.iter_mut().for_each(|table| scale(&mut table.rows, factor));
    }
}

impl Touched {
    /// Becomes the distinct identifiers, ascending, and the sum of each one's rows in the order of the lists.
    fn merge(&mut self, lists: &[RowGradient]) {
        let width = self.width;
        let ids: Vec<u32> = lists.iter().flat_map(|list| list.ids).copied().collect();
        let groups = group_rows(&ids);
        let mut sums = take(&mut self.spare);
        sums.resize(groups.unique.len() * width, 0.0);
        sums.par_chunks_mut(width.max(1)).enumerate().with_min_len(64).for_each(|(group, sum)| {
            let positions = groups.indptr[group] as usize..groups.indptr[group + 1] as usize;
            let mut rows = groups.position[positions].iter().map(|&at| row_at(lists, at as usize, width));
            if let Some(first) = rows.next() {
                sum.copy_from_slice(first);
            }
            rows.for_each(|row| sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x));
        });
        (self.ids, self.rows) = (groups.unique, sums);
    }

    /// Sums over ranks.
    fn exchange(&mut self, comm: &dyn Communicator) -> Result<(), StoreError> {
        let ids = comm.all_gather_u32(&self.ids)?;
        let rows = comm.all_gather_f32(&self.rows)?;
        let lists: Vec<_> = ids.iter().zip(&rows).map(|(ids, rows)| RowGradient { ids, rows }).collect();
        self.merge(&lists);
        Ok(())
    }
}

fn row_at<'a>(lists: &[RowGradient<'a>], mut position: usize, width: usize) -> &'a [f32] {
    for list in lists {
        if position < list.ids.len() {
            return &list.rows[position * width..(position + 1) * width];
        }
        position -= list.ids.len();
    }
    &[]
}
