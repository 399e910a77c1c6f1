//! What the machine can do at most, measured beside the kernels: reads, copies, random rows, multiply-adds.

use rayon::prelude::*;
use std::hint::black_box;

const CHUNK: usize = 1 << 16;

/// Reads everything once and adds it up.
pub fn read(x: &[f32]) {
    let sum: f32 = x
        .par_chunks(CHUNK)
        .map(|x| {
            let mut lanes = [0f32; 64];
            for block in x.chunks_exact(64) {
                lanes.iter_mut().zip(block).for_each(|(lane, &x)| *lane += x);
            }
            lanes.iter().sum::<f32>()
        })
        .sum();
    black_box(sum);
}

/// Reads everything once and writes it once.
pub fn copy(from: &[f32], to: &mut [f32]) {
    to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// Reads rows in the order of `index`, asking for them ahead of time, and adds them up in registers.
pub fn gather(table: &[f32], width: usize, index: &[u32]) {
    let rows = table.len() / width;
    assert!(index.iter().all(|&row| (row as usize) < rows), "the index lies within the table");
    index.par_chunks(1 << 13).for_each(|index| {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && width.is_multiple_of(64) {
            // SAFETY: detected; the rows lie within the table.
            return unsafe { gather_v4(table.as_ptr(), width, index) };
        }
        gather_portable(table, width, index);
    });
}

fn gather_portable(table: &[f32], width: usize, index: &[u32]) {
    let mut sum = 0.0;
    for &row in index {
        for &x in &table[row as usize * width..][..width] {
            sum += x;
        }
    }
    black_box(sum);
}

/// Four cache lines at a time: asks for those of a later row, adds those of this one.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn gather_v4(table: *const f32, width: usize, index: &[u32]) {
    use std::arch::x86_64::*;
    const AHEAD: usize = 10;
    let mut lanes = [_mm512_setzero_ps(); 4];
    for (i, &row) in index.iter().enumerate() {
        let later = index[(i + AHEAD).min(index.len() - 1)];
        for col in (0..width).step_by(64) {
            for (line, lane) in lanes.iter_mut().enumerate() {
                let offset = col + 16 * line;
                // SAFETY: by the caller.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(table.add(later as usize * width + offset).cast());
                    *lane = _mm512_add_ps(*lane, _mm512_loadu_ps(table.add(row as usize * width + offset)));
                }
            }
        }
    }
    black_box(lanes.map(|lane| _mm512_reduce_add_ps(lane)));
}

/// Independent multiply-adds on all threads; returns how many floating point operations that was.
pub fn multiply_add() -> f64 {
    const STEPS: usize = 2_000_000;
    let threads = rayon::current_num_threads();
    let lanes: Vec<usize> = rayon::broadcast(|_| spin(STEPS));
    (lanes[0] * STEPS * threads * 2) as f64
}

#[cfg(target_arch = "x86_64")]
fn spin(steps: usize) -> usize {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: detected.
        unsafe { spin_v4(steps) };
        16 * 12
    } else {
        spin_portable(steps)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn spin(steps: usize) -> usize {
    spin_portable(steps)
}

fn spin_portable(steps: usize) -> usize {
    let mut lanes = [1f32; 64];
    for _ in 0..steps {
        lanes.iter_mut().for_each(|lane| *lane = *lane * 0.999_999 + 1e-7);
        black_box(&mut lanes);
    }
    64
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn spin_v4(steps: usize) {
    use std::arch::x86_64::*;
    let (scale, shift) = (_mm512_set1_ps(0.999_999), _mm512_set1_ps(1e-7));
    let mut lanes = [_mm512_set1_ps(1.0); 12];
    for _ in 0..steps {
        for lane in &mut lanes {
            *lane = _mm512_fmadd_ps(*lane, scale, shift);
        }
    }
    black_box(lanes.map(|lane| _mm512_reduce_add_ps(lane)));
}
