//! Optimiser steps: dense parameters at once, tables by the rows that were touched.
//!
//! Decided here: clipping comes before the step; gradients of one row are added in the order (rank, list, position), so
//! that a step does not depend on threads.

use super::{Params, Place, StoreError};
use crate::comm::Communicator;
use gsl_kernels::{Adam, adam, group_rows, norm, scale, sparse_adam_rows};
use gsl_plan::plan::Optimizer;
use rayon::prelude::*;

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

    /// One Adam step of all dense parameters with a gradient that is summed over ranks already. Returns the gradient's L2
    /// norm before clipping.
    pub fn dense_step(&mut self, gradient: &mut Gradient, optimizer: &Optimizer) -> f64 {
        let length = clip(&mut gradient.values, optimizer.clip);
        self.dense.steps += 1;
        let dense = &mut self.dense;
        let hyper = hyper(optimizer, dense.steps);
        adam(hyper, &mut dense.values, &mut dense.first, &mut dense.second, &gradient.values);
        length
    }

    /// One lazy Adam step of table `param`: rows that no rank touched keep value and moments. A collective: every rank calls
    /// it for every table. Returns how many rows were touched.
    ///
    /// # Errors
    /// If `param` is no table, a list is not rows of its width, or the exchange fails.
    pub fn sparse_step(
        &mut self,
        param: u32,
        lists: &[RowGradient],
        optimizer: &Optimizer,
        comm: &dyn Communicator,
    ) -> Result<usize, StoreError> {
        let entry = &self.entries[param as usize];
        let Place::Table { at } = entry.place else {
            return Err(StoreError::Unknown { name: format!("table {}", entry.name) });
        };
        let width = entry.shape.iter().skip(1).product::<usize>();
        for list in lists {
            let (found, expected) = (list.rows.len(), list.ids.len() * width);
            if found != expected {
                return Err(StoreError::Length {
                    name: format!("gradient of {}", entry.name),
                    found,
                    expected,
                });
            }
        }
        let (mut ids, mut rows) = merge(lists, width);
        if comm.size() > 1 {
            (ids, rows) = exchange(&ids, &rows, width, comm)?;
        }
        clip(&mut rows, optimizer.clip);
        let table = &mut self.tables[at];
        table.steps += 1;
        let hyper = hyper(optimizer, table.steps);
        sparse_adam_rows(hyper, &mut table.values, &mut table.first, &mut table.second, width, &ids, &rows);
        Ok(ids.len())
    }
}

/// Distinct identifiers, ascending, and the sum of each one's rows in the order of the lists.
fn merge(lists: &[RowGradient], width: usize) -> (Vec<u32>, Vec<f32>) {
    let ids: Vec<u32> = lists.iter().flat_map(|list| list.ids).copied().collect();
    let groups = group_rows(&ids);
    let mut sums = vec![0.0; groups.unique.len() * width];
    sums.par_chunks_mut(width.max(1)).enumerate().with_min_len(64).for_each(|(group, sum)| {
        let positions = groups.indptr[group] as usize..groups.indptr[group + 1] as usize;
        for &position in &groups.position[positions] {
            let row = row_at(lists, position as usize, width);
            sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
        }
    });
    (groups.unique, sums)
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

fn exchange(
    ids: &[u32],
    rows: &[f32],
    width: usize,
    comm: &dyn Communicator,
) -> Result<(Vec<u32>, Vec<f32>), StoreError> {
    let ids = comm.all_gather_u32(ids)?;
    let rows = comm.all_gather_f32(rows)?;
    let lists: Vec<_> = ids.iter().zip(&rows).map(|(ids, rows)| RowGradient { ids, rows }).collect();
    Ok(merge(&lists, width))
}

/// Scales `gradient` to the L2 norm `limit` if it is longer; returns its norm before.
fn clip(gradient: &mut [f32], limit: Option<f32>) -> f64 {
    let length = norm(gradient);
    if let Some(limit) = limit.map(f64::from)
        && length > limit
    {
        scale(gradient, (limit / length) as f32);
    }
    length
}

fn hyper(optimizer: &Optimizer, step: u64) -> Adam {
    Adam {
        step,
        lr: optimizer.lr,
        b1: optimizer.beta1,
        b2: optimizer.beta2,
        eps: optimizer.eps,
        weight_decay: optimizer.weight_decay,
        decoupled: optimizer.decoupled,
    }
}
