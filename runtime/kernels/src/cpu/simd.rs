//! One body, three instruction sets, chosen when the program runs.
//!
//! Decided here: the levels and how a function is compiled for each. The bodies fix their own lane structure, and fused
//! multiply-adds are written as such, so that all levels give the same bits.
//!
//! A body must be inlined whole to be compiled for its level: plain loops, and `inline(always)` on what they call. A closure
//! handed to `fold` or `for_each` may stay a call without the level's instructions.

use std::sync::atomic::{AtomicU8, Ordering};

/// The instruction sets that bodies are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    Portable = 1,
    /// AVX2, FMA and F16C.
    V3 = 2,
    /// AVX-512 F, BW, DQ, VL, CD.
    V4 = 3,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The best level of this machine.
#[inline]
pub fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        0 => detect(),
        1 => Level::Portable,
        2 => Level::V3,
        _ => Level::V4,
    }
}

#[cold]
fn detect() -> Level {
    let level = best();
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

#[cfg(target_arch = "x86_64")]
fn best() -> Level {
    let v3 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512cd");
    match (v3, v4) {
        (true, true) => Level::V4,
        (true, false) => Level::V3,
        _ => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn best() -> Level {
    Level::Portable
}

/// Lowers the level for a test; only levels that the machine has.
#[cfg(test)]
pub fn force(level: Level) {
    if level as u8 <= best() as u8 {
        LEVEL.store(level as u8, Ordering::Relaxed);
    }
}

/// Compiles the function's body for every [`Level`] and calls the one for this machine.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
                fn v4($($arg: $ty),*) $(-> $ret)? { portable($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn v3($($arg: $ty),*) $(-> $ret)? { portable($($arg),*) }
                match $crate::cpu::simd::level() {
                    // SAFETY: the level was detected on this machine.
                    $crate::cpu::simd::Level::V4 => return unsafe { v4($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::simd::Level::V3 => return unsafe { v3($($arg),*) },
                    $crate::cpu::simd::Level::Portable => {}
                }
            }
            portable($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// Asks for the cache line at `ptr`; any address will do.
#[inline(always)]
pub fn prefetch(ptr: *const f32) {
    prefetch_bytes(ptr.cast());
}

/// As [`prefetch`].
#[inline(always)]
pub fn prefetch_bytes(ptr: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(ptr.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = ptr;
}

/// Lanes of a horizontal sum, whatever the instruction set.
pub const LANES: usize = 16;

/// The sum in a fixed order: sequential below 16 values, else 16 interleaved partial sums and a tree over them.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    if x.len() < LANES {
        let mut sum = 0.0;
        for &v in x {
            sum += v;
        }
        return sum;
    }
    let mut lanes = [0f32; LANES];
    let blocks = x.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane += v;
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane += v;
    }
    tree(lanes)
}

/// The dot product in the order of [`sum`], with fused multiply-adds.
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    if n < LANES {
        let mut sum = 0.0;
        for (&a, &b) in x.iter().zip(y) {
            sum = a.mul_add(b, sum);
        }
        return sum;
    }
    let mut lanes = [0f32; LANES];
    let (blocks_x, blocks_y) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let (rest_x, rest_y) = (blocks_x.remainder(), blocks_y.remainder());
    for (a, b) in blocks_x.zip(blocks_y) {
        for i in 0..LANES {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    for (i, (&a, &b)) in rest_x.iter().zip(rest_y).enumerate() {
        lanes[i] = a.mul_add(b, lanes[i]);
    }
    tree(lanes)
}

/// `y += a * x`.
#[inline(always)]
pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = a.mul_add(x, *y);
    }
}

/// The maximum, NaN if any value is.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in x.chunks(LANES) {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane = super::math::max(*lane, v);
        }
    }
    let mut top = lanes[0];
    for &lane in &lanes[1..] {
        top = super::math::max(top, lane);
    }
    top
}

#[inline(always)]
fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}
