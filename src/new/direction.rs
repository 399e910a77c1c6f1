//! Whether the direction of edges means anything, as far as their rows tell.

use std::cmp::Ordering;

use gsl_tables::{Batch, Column, TableError, Values};

use super::guess::Edge;
use super::look::Table;
use super::profile::{hash_at, want};
use super::sketch::hash_int;

/// Rows from which it is no chance that the source is always the smaller one, or that each edge has its opposite.
const ROWS: u64 = 10;
const BATCH: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Nothing speaks against it: the edge leads from its source to its destination.
    Kept,
    /// Between nodes of one type, the source is the smaller key in every row: each undirected edge is written once.
    Sorted,
    /// Between nodes of one type, every row has its opposite: each undirected edge is written twice.
    Both,
}

/// What the rows of an edge between nodes of one type say.
pub fn of(table: &Table, edge: &Edge) -> Result<Direction, TableError> {
    let ends = edge.ends.each_ref().map(|end| &table.columns[end.column]);
    let same = edge.ends[0].ty == edge.ends[1].ty && ends[0].kind == ends[1].kind;
    if !same || table.rows() < ROWS {
        return Ok(Direction::Kept);
    }
    let mut seen = Seen::default();
    let wanted = ends.map(|end| (end.name.as_str(), want(&end.kind)));
    table.source.for_each_batch::<TableError>(&wanted, BATCH, |batch: Batch| {
        let [src, dst] = [&batch.columns[0], &batch.columns[1]];
        (0..src.len()).for_each(|row| seen.add(src, dst, row));
        Ok(())
    })?;
    Ok(seen.direction())
}

/// Sums do not depend on the order of the rows.
#[derive(Default)]
struct Seen {
    /// Rows with two ends that differ.
    rows: u64,
    /// Rows whose source is not the smaller one.
    unsorted: u64,
    /// Sums of the hashes of the pairs, and of the pairs turned round.
    sums: [u64; 2],
}

impl Seen {
    fn add(&mut self, src: &Column, dst: &Column, row: usize) {
        let (Some(a), Some(b)) = (hash_at(src, row), hash_at(dst, row)) else { return };
        self.unsorted += u64::from(order(src, dst, row) != Some(Ordering::Less));
        if a != b {
            self.rows += 1;
            self.sums[0] = self.sums[0].wrapping_add(pair(a, b));
            self.sums[1] = self.sums[1].wrapping_add(pair(b, a));
        }
    }

    fn direction(&self) -> Direction {
        match self {
            seen if seen.rows < ROWS => Direction::Kept,
            seen if seen.unsorted == 0 => Direction::Sorted,
            seen if seen.sums[0] == seen.sums[1] => Direction::Both,
            _ => Direction::Kept,
        }
    }
}

fn pair(a: u64, b: u64) -> u64 {
    hash_int(a.wrapping_mul(3).wrapping_add(hash_int(b as i64)) as i64)
}

/// Of integers as numbers, of texts as such.
fn order(src: &Column, dst: &Column, row: usize) -> Option<Ordering> {
    match (&src.values, &dst.values) {
        (Values::Int(src), Values::Int(dst)) => Some(src[row].cmp(&dst[row])),
        (Values::Text(src), Values::Text(dst)) => Some(src.get(row)?.cmp(dst.get(row)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(pairs: impl Iterator<Item = (i64, i64)>) -> Direction {
        let (src, dst): (Vec<i64>, Vec<i64>) = pairs.unzip();
        let columns = [("src", src), ("dst", dst)].map(|(name, ids)| Column::new(name, Values::Int(ids)));
        let mut seen = Seen::default();
        (0..columns[0].len()).for_each(|row| seen.add(&columns[0], &columns[1], row));
        seen.direction()
    }

    #[test]
    fn undirected_edges_are_sorted_or_stand_twice() {
        let once = || (0..20).map(|i| (i, i + 1 + i % 3));
        assert_eq!(direction(once()), Direction::Sorted);
        assert_eq!(direction(once().map(|(a, b)| (b, a))), Direction::Kept);
        assert_eq!(direction(once().chain(once().map(|(a, b)| (b, a)))), Direction::Both);
        assert_eq!(direction(once().chain(once().take(19).map(|(a, b)| (b, a)))), Direction::Kept);
    }

    #[test]
    fn few_rows_and_loops_prove_nothing() {
        assert_eq!(direction((0..9).map(|i| (i, i + 1))), Direction::Kept);
        assert_eq!(direction((0..50).map(|i| (i, i))), Direction::Kept);
    }
}
