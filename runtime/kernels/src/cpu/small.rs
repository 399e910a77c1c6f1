//! Products whose inner matrix stays in the first-level cache, without packing.
//!
//! `c[i, :] (+)= sum_p a[i, p] * b[p, :]`, four rows and two vectors of columns of `c` in registers at a time. Every element
//! is one chain of fused multiply-adds in the order of `p`, whatever the blocking and the instruction set.
//!
//! Decided here: the register blocking. Not decided: when this is better than packing; see `dense`.

use super::simd::{Level, level};
use super::vector::Vector;

/// A matrix in memory: `[i, j]` lies at `i * row + j * col`.
#[derive(Clone, Copy)]
pub struct Strided {
    pub at: *const f32,
    pub row: usize,
    pub col: usize,
}

/// The result: rows of `n` floats, `row` apart.
#[derive(Clone, Copy)]
pub struct Result {
    pub at: *mut f32,
    pub row: usize,
}

/// `c (+)= a b` with `a` of `m x depth` and `b` of `depth x n`, whose columns are adjacent.
///
/// # Safety
/// All elements lie in memory that the caller owns, and `c` overlaps neither factor.
pub unsafe fn product([m, n, depth]: [usize; 3], a: Strided, b: Strided, keep: bool, c: Result) {
    unsafe {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::V4 if n > 8 => product_v4([m, n, depth], a, b, keep, c),
            #[cfg(target_arch = "x86_64")]
            Level::V4 | Level::V3 => product_v3([m, n, depth], a, b, keep, c),
            _ => body::<f32>([m, n, depth], a, b, keep, c),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2")]
unsafe fn product_v4(shape: [usize; 3], a: Strided, b: Strided, keep: bool, c: Result) {
    unsafe { body::<std::arch::x86_64::__m512>(shape, a, b, keep, c) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn product_v3(shape: [usize; 3], a: Strided, b: Strided, keep: bool, c: Result) {
    unsafe { body::<std::arch::x86_64::__m256>(shape, a, b, keep, c) }
}

#[inline(always)]
unsafe fn body<V: Vector>([m, n, depth]: [usize; 3], a: Strided, b: Strided, keep: bool, c: Result) {
    let mut col = 0;
    while col < n {
        let (b, c) =
            (Strided { at: b.at.wrapping_add(col), ..b }, Result { at: c.at.wrapping_add(col), ..c });
        let left = n - col;
        // SAFETY: by the caller.
        col += unsafe {
            if left >= 2 * V::LANES {
                columns::<V, 2>(m, depth, a, b, keep, c)
            } else if left >= V::LANES {
                columns::<V, 1>(m, depth, a, b, keep, c)
            } else {
                part::<V>(m, depth, left, a, b, keep, c)
            }
        };
    }
}

#[inline(always)]
unsafe fn columns<V: Vector, const C: usize>(
    m: usize,
    depth: usize,
    a: Strided,
    b: Strided,
    keep: bool,
    c: Result,
) -> usize {
    let mut i = 0;
    while i < m {
        let (a, c) = (
            Strided { at: a.at.wrapping_add(i * a.row), ..a },
            Result { at: c.at.wrapping_add(i * c.row), ..c },
        );
        // SAFETY: by the caller.
        i += unsafe {
            match m - i {
                6.. => block::<V, 6, C>(depth, a, b, keep, c),
                4.. => block::<V, 4, C>(depth, a, b, keep, c),
                2.. => block::<V, 2, C>(depth, a, b, keep, c),
                _ => block::<V, 1, C>(depth, a, b, keep, c),
            }
        };
    }
    C * V::LANES
}

#[inline(always)]
unsafe fn block<V: Vector, const R: usize, const C: usize>(
    depth: usize,
    a: Strided,
    b: Strided,
    keep: bool,
    c: Result,
) -> usize {
    unsafe {
        let mut sums = [[V::splat(0.0); C]; R];
        if keep {
            for i in 0..R {
                for j in 0..C {
                    sums[i][j] = V::load(c.at.add(i * c.row + j * V::LANES));
                }
            }
        }
        for p in 0..depth {
            let mut row = [V::splat(0.0); C];
            for j in 0..C {
                row[j] = V::load(b.at.add(p * b.row + j * V::LANES));
            }
            for i in 0..R {
                let factor = V::splat(*a.at.add(i * a.row + p * a.col));
                for j in 0..C {
                    sums[i][j] = sums[i][j].add_product(factor, row[j]);
                }
            }
        }
        for i in 0..R {
            for j in 0..C {
                sums[i][j].store(c.at.add(i * c.row + j * V::LANES));
            }
        }
    }
    R
}

/// The last columns, fewer than a vector.
#[inline(always)]
unsafe fn part<V: Vector>(
    m: usize,
    depth: usize,
    left: usize,
    a: Strided,
    b: Strided,
    keep: bool,
    c: Result,
) -> usize {
    let mut i = 0;
    while i < m {
        let (a, c) = (
            Strided { at: a.at.wrapping_add(i * a.row), ..a },
            Result { at: c.at.wrapping_add(i * c.row), ..c },
        );
        // SAFETY: by the caller.
        i += unsafe {
            if m - i >= 8 {
                part_block::<V, 8>(depth, left, a, b, keep, c)
            } else {
                part_block::<V, 1>(depth, left, a, b, keep, c)
            }
        };
    }
    left
}

#[inline(always)]
unsafe fn part_block<V: Vector, const R: usize>(
    depth: usize,
    left: usize,
    a: Strided,
    b: Strided,
    keep: bool,
    c: Result,
) -> usize {
    unsafe {
        let mut sums = [V::splat(0.0); R];
        if keep {
            for i in 0..R {
                sums[i] = V::load_part(c.at.add(i * c.row), left);
            }
        }
        for p in 0..depth {
            let row = V::load_part(b.at.add(p * b.row), left);
            for i in 0..R {
                sums[i] = sums[i].add_product(V::splat(*a.at.add(i * a.row + p * a.col)), row);
            }
        }
        for i in 0..R {
            sums[i].store_part(c.at.add(i * c.row), left);
        }
    }
    R
}
