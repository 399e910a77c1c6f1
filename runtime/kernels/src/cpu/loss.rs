//! Softmax and cross entropy over rows, stable for logits of any size.
//!
//! Decided here: the maximum is subtracted first, and a row's sum has the fixed order of `simd::sum`.

use super::math;
use super::simd::{self, multiversion, sum};
use rayon::prelude::*;

const CHUNK: usize = 256;

/// `p[c] = exp(x[c] - max x) / sum`. Reads and writes each row once, from cache three times.
pub fn softmax_rows(logits: &[f32], classes: usize, out: &mut [f32]) {
    check(logits, classes, out.len());
    out.par_chunks_mut(CHUNK * classes).zip(logits.par_chunks(CHUNK * classes)).for_each(|(out, logits)| {
        softmax_chunk(logits, classes, out);
    });
}

/// `x[c] - max x - log(sum exp(x - max x))`.
pub fn log_softmax_rows(logits: &[f32], classes: usize, out: &mut [f32]) {
    check(logits, classes, out.len());
    out.par_chunks_mut(CHUNK * classes).zip(logits.par_chunks(CHUNK * classes)).for_each(|(out, logits)| {
        log_softmax_chunk(logits, classes, out);
    });
}

/// Softmax cross entropy per row with label smoothing `s`:
/// `loss[r] = weight[r] * (-(1 - s) * logp[label] - s / C * sum_c logp[c])`.
///
/// Rows with a negative label are unlabelled and give 0. Labels must be below `classes`.
pub fn cross_entropy(
    logits: &[f32],
    classes: usize,
    labels: &[i32],
    row_weight: Option<&[f32]>,
    smoothing: f32,
    loss_rows: &mut [f32],
) {
    check_labels(logits, classes, labels, row_weight);
    assert_eq!(loss_rows.len(), labels.len(), "one loss per row");
    loss_rows.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, losses)| {
        let rows = chunk * CHUNK..chunk * CHUNK + losses.len();
        let weights = row_weight.map_or(&[][..], |weights| &weights[rows.clone()]);
        let logits = &logits[rows.start * classes..rows.end * classes];
        loss_chunk(logits, classes, &labels[rows], weights, smoothing, losses);
    });
}

/// The gradient: `dlogits[r][c] = dloss[r] * weight[r] * (p[c] - (1 - s) [c = label] - s / C)`, 0 for unlabelled rows.
pub fn cross_entropy_grad(
    logits: &[f32],
    classes: usize,
    labels: &[i32],
    row_weight: Option<&[f32]>,
    smoothing: f32,
    dloss_rows: &[f32],
    dlogits: &mut [f32],
) {
    check_labels(logits, classes, labels, row_weight);
    check(logits, classes, dlogits.len());
    assert_eq!(dloss_rows.len(), labels.len(), "one gradient per row");
    dlogits.par_chunks_mut(CHUNK * classes).enumerate().for_each(|(chunk, out)| {
        let rows = chunk * CHUNK..chunk * CHUNK + out.len() / classes;
        let weights = row_weight.map_or(&[][..], |weights| &weights[rows.clone()]);
        let logits = &logits[rows.start * classes..rows.end * classes];
        grad_chunk(logits, classes, &labels[rows.clone()], weights, smoothing, &dloss_rows[rows], out);
    });
}

fn check(logits: &[f32], classes: usize, out: usize) {
    assert!(
        classes > 0 && logits.len().is_multiple_of(classes),
        "{} logits, {classes} classes",
        logits.len()
    );
    assert_eq!(logits.len(), out, "the output has another shape than the logits");
}

fn check_labels(logits: &[f32], classes: usize, labels: &[i32], weight: Option<&[f32]>) {
    assert_eq!(logits.len(), classes * labels.len(), "one label per row of {classes} logits");
    assert!(weight.is_none_or(|weight| weight.len() == labels.len()), "one weight per row");
    let worst = labels.iter().copied().max().unwrap_or(-1);
    assert!((worst as i64) < classes as i64, "label {worst} is not below the {classes} classes");
}

/// Writes `exp(x - max)` and returns `(max, sum)`.
#[inline(always)]
fn exponentials(row: &[f32], out: &mut [f32]) -> (f32, f32) {
    let max = simd::max(row);
    for (out, &x) in out.iter_mut().zip(row) {
        *out = math::exp(x - max);
    }
    (max, sum(out))
}

multiversion! {
    fn softmax_chunk(logits: &[f32], classes: usize, out: &mut [f32]) {
        for (row, out) in logits.chunks_exact(classes).zip(out.chunks_exact_mut(classes)) {
            let (_, total) = exponentials(row, out);
            let scale = 1.0 / total;
            for p in out {
                *p *= scale;
            }
        }
    }
}

multiversion! {
    fn log_softmax_chunk(logits: &[f32], classes: usize, out: &mut [f32]) {
        for (row, out) in logits.chunks_exact(classes).zip(out.chunks_exact_mut(classes)) {
            let (max, total) = exponentials(row, out);
            let log_total = math::log(total);
            for (out, &x) in out.iter_mut().zip(row) {
                *out = x - max - log_total;
            }
        }
    }
}

multiversion! {
    fn loss_chunk(
        logits: &[f32],
        classes: usize,
        labels: &[i32],
        weights: &[f32],
        smoothing: f32,
        losses: &mut [f32],
    ) {
        let mut lanes = [0f32; 256];
        for (r, row) in logits.chunks_exact(classes).enumerate() {
            let Ok(label) = usize::try_from(labels[r]) else {
                losses[r] = 0.0;
                continue;
            };
            let max = simd::max(row);
            let (mut total, mut centred) = (0.0, 0.0);
            for part in row.chunks(lanes.len()) {
                let lanes = &mut lanes[..part.len()];
                for (lane, &x) in lanes.iter_mut().zip(part) {
                    *lane = math::exp(x - max);
                }
                total += sum(lanes);
                if smoothing > 0.0 {
                    for (lane, &x) in lanes.iter_mut().zip(part) {
                        *lane = x - max;
                    }
                    centred += sum(lanes);
                }
            }
            let log_total = math::log(total);
            let hard = log_total - (row[label] - max);
            let even = log_total - centred / classes as f32;
            let loss = if smoothing > 0.0 { (1.0 - smoothing) * hard + smoothing * even } else { hard };
            losses[r] = weights.get(r).copied().unwrap_or(1.0) * loss;
        }
    }
}

multiversion! {
    fn grad_chunk(
        logits: &[f32],
        classes: usize,
        labels: &[i32],
        weights: &[f32],
        smoothing: f32,
        dloss: &[f32],
        out: &mut [f32],
    ) {
        let even = smoothing / classes as f32;
        for (r, (row, out)) in logits.chunks_exact(classes).zip(out.chunks_exact_mut(classes)).enumerate() {
            let Ok(label) = usize::try_from(labels[r]) else {
                out.fill(0.0);
                continue;
            };
            let (_, total) = exponentials(row, out);
            let (scale, factor) = (1.0 / total, dloss[r] * weights.get(r).copied().unwrap_or(1.0));
            out[label] -= (1.0 - smoothing) * total;
            for value in out.iter_mut() {
                *value = factor * (*value * scale - even);
            }
        }
    }
}
