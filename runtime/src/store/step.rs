//! Optimiser steps: dense parameters at once, tables by the rows that were touched.

use super::collect::Collected;
use super::{Params, Place};
use gsl_kernels::{Adam, adam, sparse_adam_rows};
use gsl_plan::plan::Optimizer;
use std::ops::Range;

impl Params {
    /// One Adam step of all parameters with a finished gradient: rows of tables that no rank touched keep value and moments.
    pub fn step(&mut self, gradient: &Collected, dense: &Optimizer, sparse: &Optimizer) {
        self.dense_step(gradient.dense(), dense);
        for (param, ids, rows) in gradient.rows() {
            self.rows_step(param, ids, rows, sparse);
        }
    }

    fn dense_step(&mut self, gradient: &[f32], optimizer: &Optimizer) {
        let ranges = self.trained();
        let dense = &mut self.dense;
        dense.steps += 1;
        let hyper = hyper(optimizer, dense.steps);
        for range in ranges {
            let (values, first) = (&mut dense.values[range.clone()], &mut dense.first[range.clone()]);
            adam(hyper, values, first, &mut dense.second[range.clone()], &gradient[range]);
        }
    }

    /// Where dense parameters that are not frozen lie, neighbours in one range.
    fn trained(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (entry, _) in self.entries.iter().zip(&self.frozen).filter(|(_, frozen)| !**frozen) {
            let Place::Dense { start, len } = entry.place else { continue };
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end += len,
                _ => ranges.push(start..start + len),
            }
        }
        ranges
    }

    fn rows_step(&mut self, param: u32, ids: &[u32], rows: &[f32], optimizer: &Optimizer) {
        let entry = &self.entries[param as usize];
        let Place::Table { at } = entry.place else { return };
        let width = entry.width();
        let table = &mut self.tables[at];
        table.steps += 1;
        let hyper = hyper(optimizer, table.steps);
        sparse_adam_rows(hyper, &mut table.values, &mut table.first, &mut table.second, width, ids, rows);
    }
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
