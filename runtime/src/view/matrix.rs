//! Rows of numbers: what steps compute, and what the graph stores.

use std::ops::Range;

use gsl_kernels::{Floats, gather_rows};

/// Rows × width of computed numbers, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub data: &'a [f32],
    pub width: usize,
}

impl<'a> Matrix<'a> {
    pub fn new(data: &'a [f32], width: usize) -> Self {
        Matrix { data, width }
    }

    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// Row `row`, `width` floats.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.width..(row + 1) * self.width]
    }
}

/// Rows × width of a stored feature, row-major, in the storage that it was declared with.
#[derive(Debug, Clone, Copy)]
pub struct StoredMatrix<'a> {
    pub data: Floats<'a>,
    pub width: usize,
}

impl<'a> StoredMatrix<'a> {
    pub fn new(data: impl Into<Floats<'a>>, width: usize) -> Self {
        StoredMatrix { data: data.into(), width }
    }

    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// The numbers of row `row`. For looking at single rows: kernels read `data` as it is.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let mut wide = vec![0.0; self.width];
        gather_rows(self.data, self.width, &[row as u32], &mut wide);
        wide
    }

    /// The numbers of all rows.
    pub fn to_vec(&self) -> Vec<f32> {
        self.some(0..self.rows())
    }

    /// The numbers of neighbouring rows.
    pub fn some(&self, rows: Range<usize>) -> Vec<f32> {
        let mut wide = vec![0.0; rows.len() * self.width];
        let every: Vec<u32> = rows.map(|row| row as u32).collect();
        if !every.is_empty() {
            gather_rows(self.data, self.width, &every, &mut wide);
        }
        wide
    }
}

/// An edge feature. The edge at CSC position `p` has row `rows[p]` of `stored`, or row `p` where `rows` is none.
///
/// A relation and its reverse share one matrix and differ in `rows`, which is the same for all features of a relation.
#[derive(Debug, Clone, Copy)]
pub struct EdgeMatrix<'a> {
    pub stored: StoredMatrix<'a>,
    pub rows: Option<&'a [u32]>,
}
