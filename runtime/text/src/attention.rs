//! Attention within each text. Vaswani et al. 2017, eq. 1.

use gsl_kernels::{Shape, Start, linear, linear_t, softmax_rows};
use rayon::prelude::*;

/// How the rows of a group of texts are cut.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    /// Where each text begins, and behind the last one where it ends; rows.
    pub starts: &'a [usize],
    pub heads: usize,
    /// Numbers of one head.
    pub width: usize,
}

/// Memory of one task; grows to the longest text.
#[derive(Default)]
struct Scratch {
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    shares: Vec<f32>,
}

/// `out[i] = sum_j softmax_j(q[i] · k[j] / √width) v[j]` for each head and text; all are rows × (heads · width).
pub fn attend(cut: Heads, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32]) {
    let row = cut.heads * cut.width;
    let mut texts = Vec::with_capacity(cut.starts.len());
    let mut rest = out;
    for ends in cut.starts.windows(2) {
        let (own, behind) = rest.split_at_mut((ends[1] - ends[0]) * row);
        texts.push((ends[0] * row..ends[1] * row, own));
        rest = behind;
    }
    texts.into_par_iter().for_each_init(Scratch::default, |scratch, (place, out)| {
        text(cut, &q[place.clone()], &k[place.clone()], &v[place], scratch, out);
    });
}

fn text(cut: Heads, q: &[f32], k: &[f32], v: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
    let Heads { heads, width, .. } = cut;
    let length = q.len() / (heads * width);
    let shape = Shape { rows: length, batch: heads, k: length, n: width };
    let size = length * heads * length;
    head_major(cut, k, 1.0 / (width as f32).sqrt(), &mut scratch.keys);
    head_major(cut, v, 1.0, &mut scratch.values);
    scratch.scores.resize(size, 0.0);
    scratch.shares.resize(size, 0.0);
    linear_t(shape, q, &scratch.keys, false, &mut scratch.scores);
    softmax_rows(&scratch.scores, length, &mut scratch.shares);
    linear(shape, &scratch.shares, None, &scratch.values, Start::Zero, out);
}

/// rows × heads × width to heads × rows × width, times a factor.
fn head_major(cut: Heads, x: &[f32], factor: f32, out: &mut Vec<f32>) {
    let Heads { heads, width, .. } = cut;
    out.clear();
    for head in 0..heads {
        for row in x.chunks_exact(heads * width) {
            out.extend(row[head * width..(head + 1) * width].iter().map(|x| x * factor));
        }
    }
}
