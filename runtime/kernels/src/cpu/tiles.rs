//! Inner products of pairs with the candidates that their group shares: a small matrix product for each group.
//!
//! A tile is a run of destination rows and a list of columns, rows of `x`; its edges lead from some of the columns to its
//! rows. `e = x[src] · y[dst]` over all edges of a tile reads each column once, not once per edge: K·d + G·d numbers for G·K
//! products of d, where a traversal reads G·K·d.

use super::dense::{Shape, Start, against_columns, linear, linear_t, outer};
use super::rows::gather_rows;
use crate::floats::Floats;
use rayon::prelude::*;
use std::borrow::Cow;

/// Tiles with more weights than this are cut by columns, so that several threads share one.
const LARGE: usize = 1 << 16;

/// Edges in tiles.
#[derive(Debug, Clone, Copy)]
pub struct Tiles<'a> {
    /// Tile t has the rows `rows[t] .. rows[t + 1]`.
    pub rows: &'a [u32],
    /// Tile t has the columns `ends[t] .. ends[t + 1]` of `columns`.
    pub ends: &'a [u32],
    /// Rows of `x`.
    pub columns: &'a [u32],
    /// Edges `indptr[v] .. indptr[v + 1]` lead to row v.
    pub indptr: &'a [u32],
    /// The column of each edge, counted from the first of all tiles; ascending within a row. Nothing where each tile has all
    /// edges from its columns to its rows.
    pub column: &'a [u32],
}

/// One tile.
#[derive(Clone, Copy)]
struct Tile<'a> {
    all: Tiles<'a>,
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: &'a [u32],
}

impl<'a> Tiles<'a> {
    fn len(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    fn tile(self, t: usize) -> Tile<'a> {
        let (first_row, last_row) = (self.rows[t] as usize, self.rows[t + 1] as usize);
        let (first_column, last_column) = (self.ends[t] as usize, self.ends[t + 1] as usize);
        Tile {
            all: self,
            first_row,
            rows: last_row - first_row,
            first_column,
            columns: &self.columns[first_column..last_column],
        }
    }

    fn edges_of(&self, t: usize) -> usize {
        (self.indptr[self.rows[t + 1] as usize] - self.indptr[self.rows[t] as usize]) as usize
    }
}

impl Tile<'_> {
    fn shape(&self, width: usize) -> Shape {
        Shape { rows: self.rows, batch: 1, k: self.columns.len(), n: width }
    }

    fn own<'y>(&self, y: &'y [f32], width: usize) -> &'y [f32] {
        &y[self.first_row * width..(self.first_row + self.rows) * width]
    }

    /// Where the rows of the columns lie in the data of `x`.
    fn places(&self, x: Rows) -> Cow<'_, [u32]> {
        match x.index {
            None => Cow::Borrowed(self.columns),
            Some(index) => self.columns.iter().map(|&row| index[row as usize]).collect(),
        }
    }

    fn gather(&self, x: Rows, width: usize) -> Vec<f32> {
        let mut rows = vec![0.0; self.columns.len() * width];
        gather_rows(x.data, width, &self.places(x), &mut rows);
        rows
    }

    /// Whether it has all edges from its columns to its rows, whose order is then that of the dense tile.
    fn is_complete(&self) -> bool {
        let ends = [self.first_row, self.first_row + self.rows].map(|row| self.all.indptr[row] as usize);
        ends[1] - ends[0] == self.rows * self.columns.len()
    }

    /// Calls `each` with the place in the dense tile and the number of every edge of the tile, counted from its first.
    fn each_edge(&self, mut each: impl FnMut(usize, usize)) {
        let first = self.all.indptr[self.first_row] as usize;
        for row in 0..self.rows {
            let ends = &self.all.indptr[self.first_row + row..];
            for edge in ends[0] as usize..ends[1] as usize {
                let column = self.all.column[edge] as usize - self.first_column;
                each(row * self.columns.len() + column, edge - first);
            }
        }
    }

    /// The gradients of the tile's edges as a dense matrix, zeros where there is no edge.
    fn dense<'g>(&self, g: &'g [f32]) -> Cow<'g, [f32]> {
        let first = self.all.indptr[self.first_row] as usize;
        let size = self.rows * self.columns.len();
        if self.is_complete() {
            return Cow::Borrowed(&g[first..first + size]);
        }
        let mut dense = vec![0.0; size];
        self.each_edge(|at, edge| dense[at] += g[first + edge]);
        Cow::Owned(dense)
    }

    /// Scores of all rows with all columns.
    fn scores(&self, x: Rows, y: &[f32], width: usize, out: &mut [f32]) {
        let own = self.own(y, width);
        match self.columns.len() * width > LARGE {
            true => against_columns(self.rows, width, x.data, &self.places(x), own, out),
            false => linear_t(self.shape(width), own, &self.gather(x, width), false, out),
        }
    }
}

/// Rows of a matrix, or of one through an index.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub data: Floats<'a>,
    pub index: Option<&'a [u32]>,
}

/// `out[e] = x[src e] · y[dst e]`.
pub fn tile_dot(tiles: Tiles, x: Rows, y: &[f32], width: usize, out: &mut [f32]) {
    pieces(out, (0..tiles.len()).map(|t| tiles.edges_of(t))).into_par_iter().enumerate().for_each(
        |(t, out)| {
            let tile = tiles.tile(t);
            if out.is_empty() {
                return;
            }
            if tile.is_complete() {
                return tile.scores(x, y, width, out);
            }
            let mut scores = vec![0.0; tile.rows * tile.columns.len()];
            tile.scores(x, y, width, &mut scores);
            tile.each_edge(|at, edge| out[edge] = scores[at]);
        },
    );
}

/// `out[v] = Σ g[e] x[src e]` over the edges into v.
pub fn tile_to_rows(tiles: Tiles, g: &[f32], x: Rows, width: usize, out: &mut [f32]) {
    let sizes = (0..tiles.len()).map(|t| tiles.tile(t).rows * width);
    pieces(out, sizes).into_par_iter().enumerate().for_each(|(t, out)| {
        let tile = tiles.tile(t);
        if tile.columns.is_empty() {
            return out.fill(0.0);
        }
        let columns = tile.gather(x, width);
        linear(tile.shape(width), &tile.dense(g)[..], None, &columns, Start::Zero, out);
    });
}

/// `out[u] = Σ g[e] y[dst e]` over the edges out of u; columns of tiles are added in their order.
pub fn tile_to_columns(tiles: Tiles, g: &[f32], y: &[f32], width: usize, out: &mut [f32]) {
    let mut all = vec![0.0; tiles.columns.len() * width];
    let sizes = (0..tiles.len()).map(|t| tiles.tile(t).columns.len() * width);
    pieces(&mut all, sizes).into_par_iter().enumerate().for_each(|(t, part)| {
        let tile = tiles.tile(t);
        if tile.rows > 0 {
            outer(tile.shape(width), &tile.dense(g)[..], None, tile.own(y, width), false, part);
        }
    });
    out.fill(0.0);
    for (row, &column) in all.chunks_exact(width.max(1)).zip(tiles.columns) {
        let sum = &mut out[column as usize * width..(column as usize + 1) * width];
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
}

/// A slice in pieces of these lengths.
fn pieces(mut whole: &mut [f32], sizes: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    let mut found = Vec::new();
    for size in sizes {
        let (piece, rest) = whole.split_at_mut(size);
        found.push(piece);
        whole = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    const WIDTH: usize = 5;

    /// Two tiles of 3 and 2 rows with 4 and 3 columns out of 6 rows of x; some edges are missing.
    fn tiles<'a>(indptr: &'a [u32], column: &'a [u32]) -> Tiles<'a> {
        Tiles { rows: &[0, 3, 5], ends: &[0, 4, 7], columns: &[5, 0, 2, 0, 1, 5, 3], indptr, column }
    }

    const INDPTR: [u32; 6] = [0, 4, 4, 6, 9, 11];
    const COLUMN: [u32; 11] = [0, 1, 2, 3, 1, 3, 4, 5, 6, 6, 4];

    fn numbers(len: usize, name: u64) -> Vec<f32> {
        let mut out = vec![0.0; len];
        Key::new(name, 1).fill_uniform(&mut out, -1.0, 1.0);
        out
    }

    fn edges(tiles: &Tiles) -> Vec<(usize, usize)> {
        let rows = (0..5).flat_map(|v| (INDPTR[v]..INDPTR[v + 1]).map(move |e| (v, e as usize)));
        rows.map(|(v, e)| (tiles.columns[tiles.column[e] as usize] as usize, v)).collect()
    }

    fn near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{found:?} {expected:?}"));
    }

    #[test]
    fn products_are_those_of_the_edges_one_by_one() {
        let tiles = tiles(&INDPTR, &COLUMN);
        let (x, y, g) = (numbers(6 * WIDTH, 1), numbers(5 * WIDTH, 2), numbers(11, 3));
        let rows = Rows { data: Floats::F32(&x), index: None };
        let (mut e, mut to_rows, mut to_columns) =
            (vec![0.0; 11], vec![7.0; 5 * WIDTH], vec![7.0; 6 * WIDTH]);
        tile_dot(tiles, rows, &y, WIDTH, &mut e);
        tile_to_rows(tiles, &g, rows, WIDTH, &mut to_rows);
        tile_to_columns(tiles, &g, &y, WIDTH, &mut to_columns);
        let (mut dots, mut by_row, mut by_column) = (Vec::new(), vec![0.0; 5 * WIDTH], vec![0.0; 6 * WIDTH]);
        for ((u, v), g) in edges(&tiles).into_iter().zip(&g) {
            let at = |i: usize| (x[u * WIDTH + i], y[v * WIDTH + i]);
            dots.push((0..WIDTH).map(|i| at(i).0 * at(i).1).sum());
            for i in 0..WIDTH {
                by_row[v * WIDTH + i] += g * at(i).0;
                by_column[u * WIDTH + i] += g * at(i).1;
            }
        }
        near(&e, &dots);
        near(&to_rows, &by_row);
        near(&to_columns, &by_column);
    }

    #[test]
    fn complete_tiles_need_no_list_of_columns() {
        const ROWS: usize = 3;
        const WIDE: usize = 40;
        for many in [4, 2500] {
            let index: Vec<u32> = (0..many).map(|u| (u * 7) % many).collect();
            let columns: Vec<u32> = (0..many).rev().collect();
            let named: Vec<u32> = (0..ROWS).flat_map(|_| 0..many).collect();
            let indptr: Vec<u32> = (0..=ROWS as u32).map(|row| row * many).collect();
            let ends = [0, many];
            let tiles =
                |column| Tiles { rows: &[0, 3], ends: &ends, columns: &columns, indptr: &indptr, column };
            let (x, y) = (numbers(many as usize * WIDE, 1), numbers(ROWS * WIDE, 2));
            let rows = Rows { data: Floats::F32(&x), index: Some(&index) };
            let mut found = [vec![0.0; ROWS * many as usize], vec![0.0; ROWS * many as usize]];
            tile_dot(tiles(&[]), rows, &y, WIDE, &mut found[0]);
            tile_dot(tiles(&named), rows, &y, WIDE, &mut found[1]);
            assert_eq!(found[0], found[1]);
            let dot = |v: usize, u: u32| -> f32 {
                let place = index[columns[u as usize] as usize] as usize;
                (0..WIDE).map(|i| x[place * WIDE + i] * y[v * WIDE + i]).sum()
            };
            let expected: Vec<f32> =
                (0..ROWS).flat_map(|v| (0..many).map(move |u| (v, u))).map(|(v, u)| dot(v, u)).collect();
            near(&found[0], &expected);
        }
    }
}
