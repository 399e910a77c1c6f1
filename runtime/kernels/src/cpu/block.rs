//! Blocks: adjacency in compressed rows, its transpose, and grouping by index.
//!
//! Decided here: the layout and the order of edges (stable: edges keep their order within a row). Not decided: where the
//! edges came from.

use rayon::prelude::*;

/// A block in compressed sparse rows. Row `v` has the edges `indptr[v] .. indptr[v + 1]`; edge `e` leads to node `other[e]`.
///
/// Grouped by destination (CSC), `other` holds sources; grouped by source (the transpose), destinations. `edge[e]` is the
/// position of the edge in edge order, by which `Access::Edge` inputs are read; `None` means `e` itself.
#[derive(Clone, Copy, Debug)]
pub struct Adjacency<'a> {
    pub indptr: &'a [u32],
    pub other: &'a [u32],
    pub edge: Option<&'a [u32]>,
}

/// What the rows of an adjacency are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Rows are destinations, `other` are sources.
    ByDst,
    /// Rows are sources, `other` are destinations: the transposed block.
    BySrc,
}

impl<'a> Adjacency<'a> {
    pub fn new(indptr: &'a [u32], other: &'a [u32]) -> Self {
        Adjacency { indptr, other, edge: None }
    }

    /// An adjacency whose edges lie in another order than edge order.
    pub fn permuted(indptr: &'a [u32], other: &'a [u32], edge: &'a [u32]) -> Self {
        Adjacency { indptr, other, edge: Some(edge) }
    }

    pub fn rows(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    pub fn edges(&self) -> usize {
        self.other.len()
    }

    /// Panics unless the slices fit together.
    pub(crate) fn check(&self) {
        let last = self.indptr.last().map_or(0, |&last| last as usize);
        assert_eq!(last, self.other.len(), "the last of indptr is not the number of edges");
        assert!(self.indptr.is_sorted(), "indptr is not sorted");
        assert_eq!(self.indptr.first().copied().unwrap_or(0), 0, "indptr does not start at 0");
        if let Some(edge) = self.edge {
            assert_eq!(edge.len(), self.other.len(), "the edge positions are not as many as the edges");
        }
    }
}

/// Edges per row.
pub fn in_degrees(indptr: &[u32]) -> Vec<u32> {
    indptr.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// `1 / degree` per row, 0 for empty rows: the factor of a mean, and of its gradient.
pub fn inverse_degrees(indptr: &[u32], out: &mut [f32]) {
    assert_eq!(out.len() + 1, indptr.len(), "one value per row");
    out.par_iter_mut().zip(indptr.par_windows(2)).with_min_len(4096).for_each(|(out, pair)| {
        let degree = pair[1] - pair[0];
        *out = if degree == 0 { 0.0 } else { 1.0 / degree as f32 };
    });
}

/// The transposed block: `(indptr_t, dst, edge_pos)`, edges grouped by source and in edge order within a source.
///
/// `edge_pos[e]` is the position in the block of the `e`-th edge of the transpose. A counting sort: reads `src` twice,
/// writes 8 bytes per edge.
pub fn transpose_block(indptr: &[u32], src: &[u32], n_src: usize) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    Adjacency::new(indptr, src).check();
    let mut starts = counts(src, n_src);
    let mut next = starts.clone();
    let mut dst = vec![0u32; src.len()];
    let mut edge_pos = vec![0u32; src.len()];
    for v in 0..indptr.len().saturating_sub(1) {
        for e in indptr[v]..indptr[v + 1] {
            let slot = &mut next[src[e as usize] as usize];
            dst[*slot as usize] = v as u32;
            edge_pos[*slot as usize] = e;
            *slot += 1;
        }
    }
    starts.push(src.len() as u32);
    (starts, dst, edge_pos)
}

/// Where each key's run starts: exclusive prefix sums of the histogram.
fn counts(keys: &[u32], n: usize) -> Vec<u32> {
    assert!(u32::try_from(keys.len()).is_ok(), "{} edges do not fit 32 bits", keys.len());
    let mut counts = vec![0u32; n];
    for &key in keys {
        let count = counts.get_mut(key as usize);
        *count.unwrap_or_else(|| panic!("node {key} is beyond the {n} nodes")) += 1;
    }
    let mut sum = 0;
    for count in &mut counts {
        sum += std::mem::replace(count, sum);
    }
    counts
}

/// Positions grouped by equal index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// The distinct indices, ascending.
    pub unique: Vec<u32>,
    /// Group `g` holds `position[indptr[g] .. indptr[g + 1]]`.
    pub indptr: Vec<u32>,
    /// Positions in the index, ascending within a group.
    pub position: Vec<u32>,
}

/// Groups the positions of `index` by value, without regard to threads.
pub fn group_rows(index: &[u32]) -> Groups {
    assert!(u32::try_from(index.len()).is_ok(), "{} rows do not fit 32 bits", index.len());
    let mut pairs: Vec<u64> =
        index.par_iter().enumerate().map(|(at, &row)| u64::from(row) << 32 | at as u64).collect();
    pairs.par_sort_unstable();
    let mut groups =
        Groups { position: pairs.iter().map(|&pair| pair as u32).collect(), ..Groups::default() };
    for (at, &pair) in pairs.iter().enumerate() {
        let row = (pair >> 32) as u32;
        if groups.unique.last() != Some(&row) {
            groups.unique.push(row);
            groups.indptr.push(at as u32);
        }
    }
    groups.indptr.push(pairs.len() as u32);
    groups
}
