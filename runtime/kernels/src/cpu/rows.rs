//! Moving rows: gather, deterministic scatter-add, column copies.

use super::block::group_rows;
use super::share::Shared;
use super::simd::prefetch;
use super::widen::{Which, widen_rows};
use crate::floats::Floats;
use rayon::prelude::*;

const CHUNK: usize = 1024;
const AHEAD: usize = 12;
const GROUPS: usize = 256;

/// `out[r] = table[index[r]]`. Moves `width * (table.bytes() + 4) + 4` bytes per row.
pub fn gather_rows<'a>(table: impl Into<Floats<'a>>, width: usize, index: &[u32], out: &mut [f32]) {
    let table = table.into();
    assert!(
        width > 0 && out.len() == index.len() * width,
        "{} rows of {width} into {}",
        index.len(),
        out.len()
    );
    out.par_chunks_mut(CHUNK * width).zip(index.par_chunks(CHUNK)).for_each(|(out, index)| {
        widen_rows(table, width, Which::At(index), out);
    });
}

#[inline(always)]
fn prefetch_row(table: &[f32], width: usize, row: u32) {
    let start = table.as_ptr().wrapping_add(row as usize * width);
    for line in (0..width).step_by(16) {
        prefetch(start.wrapping_add(line));
    }
}

/// `table[index[r]] += rows[r]`, each table row summed by one thread in the order of `r`.
pub fn scatter_add_rows(rows: &[f32], width: usize, index: &[u32], table: &mut [f32]) {
    assert!(
        width > 0 && rows.len() == index.len() * width,
        "{} rows of {width} from {}",
        index.len(),
        rows.len()
    );
    let groups = group_rows(index);
    let last = groups.unique.last().map_or(0, |&row| row as usize + 1);
    assert!(last * width <= table.len(), "row {last} is beyond the table's {}", table.len() / width);
    let table = Shared::new(table);
    (0..groups.unique.len().div_ceil(GROUPS)).into_par_iter().for_each(|chunk| {
        for g in chunk * GROUPS..groups.unique.len().min((chunk + 1) * GROUPS) {
            // SAFETY: the rows of `unique` are distinct.
            let sum = unsafe { table.part(groups.unique[g] as usize * width, width) };
            for at in groups.indptr[g] as usize..groups.indptr[g + 1] as usize {
                if let Some(&next) = groups.position.get(at + AHEAD) {
                    prefetch_row(rows, width, next);
                }
                let from = &rows[groups.position[at] as usize * width..][..width];
                sum.iter_mut().zip(from).for_each(|(sum, &value)| *sum += value);
            }
        }
    });
}

/// Copies columns `from_start .. from_start + len` of every row to columns `to_start ..` of the rows of `to`.
pub fn copy_columns(
    from: &[f32],
    from_width: usize,
    from_start: usize,
    len: usize,
    to: &mut [f32],
    to_width: usize,
    to_start: usize,
) {
    assert!(from_start + len <= from_width && to_start + len <= to_width, "the columns lie beyond the rows");
    assert_eq!(from.len() / from_width.max(1), to.len() / to_width.max(1), "not the same number of rows");
    if len == 0 {
        return;
    }
    to.par_chunks_mut(to_width).zip(from.par_chunks(from_width)).with_min_len(CHUNK).for_each(
        |(to, from)| {
            to[to_start..to_start + len].copy_from_slice(&from[from_start..from_start + len]);
        },
    );
}

/// Rows side by side: `out[r] = parts[0][r] ++ parts[1][r] ++ ...`; a part is its data and its width.
pub fn concat_columns(parts: &[(&[f32], usize)], out: &mut [f32]) {
    let width: usize = parts.iter().map(|&(_, width)| width).sum();
    let mut start = 0;
    for &(part, part_width) in parts {
        copy_columns(part, part_width, 0, part_width, out, width, start);
        start += part_width;
    }
}

/// `out[r] = rows[r][start .. start + len]`.
pub fn slice_columns(rows: &[f32], width: usize, start: usize, len: usize, out: &mut [f32]) {
    copy_columns(rows, width, start, len, out, len, 0);
}

/// Copies the rows and fills what is left of `out`.
pub fn pad_rows(rows: &[f32], fill: f32, out: &mut [f32]) {
    assert!(rows.len() <= out.len(), "{} floats do not fit into {}", rows.len(), out.len());
    let (head, tail) = out.split_at_mut(rows.len());
    let chunk = 16 * CHUNK;
    head.par_chunks_mut(chunk).zip(rows.par_chunks(chunk)).for_each(|(to, from)| to.copy_from_slice(from));
    tail.par_chunks_mut(chunk).for_each(|tail| tail.fill(fill));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    #[test]
    fn gather_and_scatter_are_each_other_transposed() {
        let key = Key::new(1, 1);
        for (n, rows, width) in [(1, 1, 1), (10, 0, 3), (37, 5000, 7), (400, 3000, 33)] {
            let index: Vec<u32> = (0..rows).map(|r| key.below_at(r, n)).collect();
            let mut table = vec![0f32; n as usize * width];
            key.fill_normal(&mut table, 1.0);
            let mut out = vec![0f32; index.len() * width];
            gather_rows(&table, width, &index, &mut out);
            let mut sums = vec![0f32; table.len()];
            scatter_add_rows(&out, width, &index, &mut sums);
            for (r, row) in out.chunks(width).enumerate() {
                assert_eq!(row, &table[index[r] as usize * width..][..width]);
            }
            for (at, &sum) in sums.iter().enumerate() {
                let times = index.iter().filter(|&&i| i as usize == at / width).count();
                let expected = f64::from(table[at]) * times as f64;
                assert!((f64::from(sum) - expected).abs() <= 1e-4 * expected.abs(), "{sum} {expected}");
            }
        }
    }

    #[test]
    fn columns_and_padding() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0]);
        let mut out = [0.0; 6];
        concat_columns(&[(&a, 2), (&b, 1)], &mut out);
        assert_eq!(out, [1.0, 2.0, 5.0, 3.0, 4.0, 6.0]);
        let mut part = [0.0; 4];
        slice_columns(&out, 3, 1, 2, &mut part);
        assert_eq!(part, [2.0, 5.0, 4.0, 6.0]);
        let mut padded = [9.0; 5];
        pad_rows(&b, -1.0, &mut padded);
        assert_eq!(padded, [5.0, 6.0, -1.0, -1.0, -1.0]);
    }
}
