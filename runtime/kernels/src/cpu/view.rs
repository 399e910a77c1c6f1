//! Views of tile rows, and the sums over runs of them.
//!
//! Decided here: how the rows of a tile are found without copying, and how a run of rows is added up: a block of columns
//! stays in registers while the run's rows stream past, the rows of later edges being asked for ahead of time.

use super::simd::{Level, level, prefetch};
use super::vector::Vector;

/// How many rows ahead a gathered row is asked for.
const AHEAD: usize = 10;

/// The rows of a register for one tile: row `t` lies at `ptr + index(t) * stride`.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub ptr: *const f32,
    pub stride: usize,
    /// Row numbers, or null for `t` itself.
    pub idx: *const u32,
    /// How many row numbers may be read ahead for prefetching; 0 for rows that are near.
    pub known: usize,
}

impl View {
    pub const NONE: View = View { ptr: std::ptr::null(), stride: 0, idx: std::ptr::null(), known: 0 };

    pub fn tile(ptr: *const f32, width: usize) -> Self {
        View { ptr, stride: width, ..View::NONE }
    }

    pub fn is_flat(&self, width: usize) -> bool {
        self.idx.is_null() && self.stride == width
    }

    /// # Safety
    /// `t` is a row of the tile.
    #[inline(always)]
    pub unsafe fn row(&self, t: usize) -> *const f32 {
        // SAFETY: the executor has checked every row number of the tile.
        unsafe {
            let row = if self.idx.is_null() { t } else { *self.idx.add(t) as usize };
            self.ptr.add(row * self.stride)
        }
    }

    /// # Safety
    /// `t` is a row of the tile, of at least `width` floats.
    #[inline(always)]
    pub unsafe fn slice<'a>(&self, t: usize, width: usize) -> &'a [f32] {
        // SAFETY: by the caller.
        unsafe { std::slice::from_raw_parts(self.row(t), width) }
    }

    /// Asks for columns `from .. from + len` of the row some edges after `t`.
    ///
    /// # Safety
    /// `known` is true of `idx`.
    #[inline(always)]
    pub unsafe fn ahead(&self, t: usize, from: usize, len: usize) {
        if t + AHEAD < self.known {
            // SAFETY: the row number may be read; the address is only a hint.
            let row = unsafe { *self.idx.add(t + AHEAD) } as usize;
            let start = self.ptr.wrapping_add(row.wrapping_mul(self.stride).wrapping_add(from));
            for line in (0..len).step_by(16) {
                prefetch(start.wrapping_add(line));
            }
        }
    }
}

/// The rows of a tile that are to be added up: row `t` belongs to the sum `target[t]`, and equal targets are adjacent.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    /// The sums, `width` floats each.
    pub sums: *mut f32,
    pub width: usize,
    pub target: &'a [u32],
}

/// `sums[target[t]] += x[t]`, in the order of `t`. Reads a row per edge once; sums stay in registers.
///
/// # Safety
/// The view has a row of `width` floats for every `t`, and `sums` one for every target.
pub unsafe fn add_runs(runs: Runs, x: View) {
    unsafe {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::V4 => add_v4(runs, x),
            #[cfg(target_arch = "x86_64")]
            Level::V3 => add_v3(runs, x),
            _ => add_body::<f32>(runs, x),
        }
    }
}

/// `sums[target[t]] += w[t][i / inner] * x[t][i]`, in the order of `t`, each product fused into its addition.
///
/// # Safety
/// As [`add_runs`]; `inner` divides the width, and the rows of `w` have `width / inner` floats.
pub unsafe fn add_product_runs(runs: Runs, w: View, x: View, inner: usize) {
    unsafe {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::V4 => add_product_v4(runs, w, x, inner),
            #[cfg(target_arch = "x86_64")]
            Level::V3 => add_product_v3(runs, w, x, inner),
            _ => add_product_body::<f32>(runs, w, x, inner),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2")]
unsafe fn add_v4(runs: Runs, x: View) {
    unsafe { add_body::<std::arch::x86_64::__m512>(runs, x) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_v3(runs: Runs, x: View) {
    unsafe { add_body::<std::arch::x86_64::__m256>(runs, x) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2")]
unsafe fn add_product_v4(runs: Runs, w: View, x: View, inner: usize) {
    unsafe { add_product_body::<std::arch::x86_64::__m512>(runs, w, x, inner) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_product_v3(runs: Runs, w: View, x: View, inner: usize) {
    unsafe { add_product_body::<std::arch::x86_64::__m256>(runs, w, x, inner) }
}

/// The end of the run of equal targets that starts at `from`, and the sum that it belongs to.
#[inline(always)]
unsafe fn run_at(runs: &Runs, from: usize) -> (usize, *mut f32) {
    let target = runs.target[from];
    let mut to = from + 1;
    while to < runs.target.len() && runs.target[to] == target {
        to += 1;
    }
    // SAFETY: the sums have a row for every target.
    (to, unsafe { runs.sums.add(target as usize * runs.width) })
}

#[inline(always)]
unsafe fn add_body<V: Vector>(runs: Runs, x: View) {
    let mut from = 0;
    while from < runs.target.len() {
        // SAFETY: by the caller.
        unsafe {
            let (to, sum) = run_at(&runs, from);
            let mut col = 0;
            while col < runs.width {
                let left = runs.width - col;
                col += if left >= 8 * V::LANES {
                    add_block::<V, 8>(from, to, col, x, sum)
                } else if left >= 4 * V::LANES {
                    add_block::<V, 4>(from, to, col, x, sum)
                } else if left >= 2 * V::LANES {
                    add_block::<V, 2>(from, to, col, x, sum)
                } else if left >= V::LANES {
                    add_block::<V, 1>(from, to, col, x, sum)
                } else {
                    add_part::<V>(from, to, col, left, x, sum)
                };
            }
            from = to;
        }
    }
}

#[inline(always)]
unsafe fn add_block<V: Vector, const N: usize>(
    from: usize,
    to: usize,
    col: usize,
    x: View,
    sum: *mut f32,
) -> usize {
    unsafe {
        let mut lanes = [V::splat(0.0); N];
        for (n, lanes) in lanes.iter_mut().enumerate() {
            *lanes = V::load(sum.add(col + n * V::LANES));
        }
        for t in from..to {
            x.ahead(t, col, N * V::LANES);
            let row = x.row(t).add(col);
            for (n, lanes) in lanes.iter_mut().enumerate() {
                *lanes = lanes.add(V::load(row.add(n * V::LANES)));
            }
        }
        for (n, lanes) in lanes.iter().enumerate() {
            lanes.store(sum.add(col + n * V::LANES));
        }
    }
    N * V::LANES
}

#[inline(always)]
unsafe fn add_part<V: Vector>(
    from: usize,
    to: usize,
    col: usize,
    left: usize,
    x: View,
    sum: *mut f32,
) -> usize {
    unsafe {
        let mut lanes = V::load_part(sum.add(col), left);
        for t in from..to {
            x.ahead(t, col, left);
            lanes = lanes.add(V::load_part(x.row(t).add(col), left));
        }
        lanes.store_part(sum.add(col), left);
    }
    left
}

#[inline(always)]
unsafe fn add_product_body<V: Vector>(runs: Runs, w: View, x: View, inner: usize) {
    let mut from = 0;
    while from < runs.target.len() {
        // SAFETY: by the caller.
        unsafe {
            let (to, sum) = run_at(&runs, from);
            for head in 0..runs.width / inner {
                product_head::<V>(from, to, head, inner, w, x, sum);
            }
            from = to;
        }
    }
}

#[inline(always)]
unsafe fn product_head<V: Vector>(
    from: usize,
    to: usize,
    head: usize,
    inner: usize,
    w: View,
    x: View,
    sum: *mut f32,
) {
    let (mut col, end) = (head * inner, (head + 1) * inner);
    while col < end {
        let left = end - col;
        // SAFETY: by the caller.
        col += unsafe {
            if left >= 8 * V::LANES {
                product_block::<V, 8>(from, to, col, head, w, x, sum)
            } else if left >= 4 * V::LANES {
                product_block::<V, 4>(from, to, col, head, w, x, sum)
            } else if left >= 2 * V::LANES {
                product_block::<V, 2>(from, to, col, head, w, x, sum)
            } else if left >= V::LANES {
                product_block::<V, 1>(from, to, col, head, w, x, sum)
            } else {
                product_part::<V>(from, to, col, left, head, w, x, sum)
            }
        };
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn product_block<V: Vector, const N: usize>(
    from: usize,
    to: usize,
    col: usize,
    head: usize,
    w: View,
    x: View,
    sum: *mut f32,
) -> usize {
    unsafe {
        let mut lanes = [V::splat(0.0); N];
        for (n, lanes) in lanes.iter_mut().enumerate() {
            *lanes = V::load(sum.add(col + n * V::LANES));
        }
        for t in from..to {
            x.ahead(t, col, N * V::LANES);
            let row = x.row(t).add(col);
            let weight = V::splat(*w.row(t).add(head));
            for (n, lanes) in lanes.iter_mut().enumerate() {
                *lanes = lanes.add_product(weight, V::load(row.add(n * V::LANES)));
            }
        }
        for (n, lanes) in lanes.iter().enumerate() {
            lanes.store(sum.add(col + n * V::LANES));
        }
    }
    N * V::LANES
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn product_part<V: Vector>(
    from: usize,
    to: usize,
    col: usize,
    left: usize,
    head: usize,
    w: View,
    x: View,
    sum: *mut f32,
) -> usize {
    unsafe {
        let mut lanes = V::load_part(sum.add(col), left);
        for t in from..to {
            x.ahead(t, col, left);
            let weight = V::splat(*w.row(t).add(head));
            lanes = lanes.add_product(weight, V::load_part(x.row(t).add(col), left));
        }
        lanes.store_part(sum.add(col), left);
    }
    left
}
