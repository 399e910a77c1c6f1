//! Stored rows to `f32`.
//!
//! Decided here: rows are widened as they are fetched, a tile at a time, into memory that stays in the first-level cache; sums
//! and products are those of `f32`. Widening is exact but for the one rounding of an 8-bit number's product with its scale,
//! so all instruction sets give the same bits.

use super::simd::{Level, level, multiversion, prefetch_bytes};
use crate::floats::Floats;
use half::{bf16, f16};

/// How many rows ahead a row is asked for.
const AHEAD: usize = 12;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Which rows: `index[r]`, or `first + r`.
#[derive(Clone, Copy)]
pub enum Which<'a> {
    From(usize),
    /// May hold more entries than rows are wanted; the others are those that will be wanted next.
    At(&'a [u32]),
}

impl Which<'_> {
    #[inline(always)]
    fn row(&self, r: usize) -> usize {
        match self {
            Which::From(first) => first + r,
            Which::At(index) => index[r] as usize,
        }
    }
}

/// `out[r] = x[which[r]]`. Moves `width * x.bytes()` bytes per row in and `4 * width` out.
///
/// # Panics
/// If a row lies beyond the stored ones, or `out` holds no whole number of rows.
pub fn widen_rows(x: Floats, width: usize, which: Which, out: &mut [f32]) {
    assert!(width > 0 && out.len().is_multiple_of(width), "{} floats in rows of {width}", out.len());
    x.check(width);
    for (r, out) in out.chunks_exact_mut(width).enumerate() {
        if let Which::At(index) = which
            && let Some(&next) = index.get(r + AHEAD)
        {
            ask(x, next as usize * width, width);
        }
        widen_row(x, which.row(r) * width, out);
    }
}

/// Asks for the cache lines of `len` numbers.
#[inline(always)]
fn ask(x: Floats, first: usize, len: usize) {
    for byte in (0..len * x.bytes()).step_by(LINE) {
        prefetch_bytes(x.address(first).wrapping_add(byte));
    }
}

/// `out = x[first .. first + out.len()]`, one row.
#[inline(always)]
pub fn widen_row(x: Floats, first: usize, out: &mut [f32]) {
    let range = first..first + out.len();
    match x {
        Floats::F32(data) => out.copy_from_slice(&data[range]),
        Floats::F16(data) => halves(&data[range], out),
        Floats::BF16(data) => upper_halves(&data[range], out),
        Floats::I8 { data, scale } => scaled(&data[range], scale, out),
    }
}

multiversion! {
    fn upper_halves(x: &[bf16], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = f32::from_bits(u32::from(x.to_bits()) << 16);
        }
    }
}

multiversion! {
    fn scaled(x: &[i8], scale: &[f32], out: &mut [f32]) {
        for ((out, &x), &scale) in out.iter_mut().zip(x).zip(scale) {
            *out = f32::from(x) * scale;
        }
    }
}

#[inline(always)]
fn halves(x: &[f16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    match level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected on this machine; the slices are equally long.
        Level::V4 => unsafe { x86::halves_v4(x, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::V3 => unsafe { x86::halves_v3(x, out) },
        _ => out.iter_mut().zip(x).for_each(|(out, x)| *out = x.to_f32()),
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use half::f16;
    use std::arch::x86_64::*;

    /// # Safety
    /// The slices are equally long.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma")]
    pub unsafe fn halves_v4(x: &[f16], out: &mut [f32]) {
        let (from, to): (*const i16, *mut f32) = (x.as_ptr().cast(), out.as_mut_ptr());
        let whole = x.len() / 16 * 16;
        // SAFETY: all lanes that are read and written lie within the slices.
        unsafe {
            for at in (0..whole).step_by(16) {
                let lanes = _mm256_loadu_si256(from.add(at).cast());
                _mm512_storeu_ps(to.add(at), _mm512_cvtph_ps(lanes));
            }
            if whole < x.len() {
                let mask = ((1u32 << (x.len() - whole)) - 1) as __mmask16;
                let lanes = _mm256_maskz_loadu_epi16(mask, from.add(whole));
                _mm512_mask_storeu_ps(to.add(whole), mask, _mm512_cvtph_ps(lanes));
            }
        }
    }

    /// # Safety
    /// The slices are equally long.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn halves_v3(x: &[f16], out: &mut [f32]) {
        let (from, to): (*const u16, *mut f32) = (x.as_ptr().cast(), out.as_mut_ptr());
        let whole = x.len() / 8 * 8;
        // SAFETY: all lanes that are read and written lie within the slices.
        unsafe {
            for at in (0..whole).step_by(8) {
                let lanes = _mm_loadu_si128(from.add(at).cast());
                _mm256_storeu_ps(to.add(at), _mm256_cvtph_ps(lanes));
            }
            for at in whole..x.len() {
                let lane = _mm_cvtsi32_si128(i32::from(*from.add(at)));
                _mm_store_ss(to.add(at), _mm_cvtph_ps(lane));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::force;
    use super::*;

    const LEVELS: [Level; 3] = [Level::Portable, Level::V3, Level::V4];

    #[test]
    fn every_half_is_widened_exactly_by_all_instruction_sets() {
        let x: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| !x.is_nan()).collect();
        for level in LEVELS {
            force(level);
            for width in [1, 7, 16, 61] {
                let rows = x.len() / width;
                let mut out = vec![0.0; rows * width];
                widen_rows(Floats::F16(&x), width, Which::From(0), &mut out);
                for (out, x) in out.iter().zip(&x) {
                    assert_eq!(out.to_bits(), x.to_f32().to_bits(), "{x} {level:?}");
                }
            }
        }
        force(LEVELS[2]);
    }

    #[test]
    fn rows_are_found_and_scaled() {
        let data: Vec<i8> = (-60..60).collect();
        let scale: Vec<f32> = (0..20).map(|c| 0.1 + c as f32).collect();
        let index = [5, 0, 3, 3, 1];
        for level in LEVELS {
            force(level);
            let mut out = vec![0.0; 3 * 20];
            widen_rows(Floats::I8 { data: &data, scale: &scale }, 20, Which::At(&index), &mut out);
            for (at, out) in out.iter().enumerate() {
                let (row, col) = (index[at / 20] as usize, at % 20);
                assert_eq!(*out, f32::from(data[row * 20 + col]) * scale[col]);
            }
        }
        force(LEVELS[2]);
        let data: Vec<bf16> = [1.5, -2.0, 3e38, 1e-40].map(bf16::from_f32).to_vec();
        let mut out = [0.0; 2];
        widen_rows(Floats::BF16(&data), 2, Which::From(1), &mut out);
        assert_eq!(out, [data[2].to_f32(), data[3].to_f32()]);
    }

    #[test]
    #[should_panic(expected = "2 scales for rows of 3")]
    fn scales_that_do_not_fit_are_refused() {
        widen_rows(Floats::I8 { data: &[0; 6], scale: &[1.0; 2] }, 3, Which::From(0), &mut [0.0; 3]);
    }
}
