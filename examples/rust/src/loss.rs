//! Losses, of each row.

use dfdx::prelude::*;
use gsc::extend::tape::{Loss, Rows, Target};

/// (1 − p^q) / q, p the probability of the true class, with q = 0.7: between −log p (q → 0) and 1 − p (q = 1), and so less sure that
/// labels are right. Zhang and Sabuncu 2018, eq. 6.
pub fn generalised(scores: Rows, target: &Target) -> Rows {
    const Q: f32 = 0.7;
    let rows = scores.shape().0;
    let log_p = scores.log_softmax::<Axis<1>>() * target.one_hot();
    let log_p = log_p.sum::<_, Axis<1>>().reshape_like(&(rows, 1));
    ((log_p * Q).exp() * -1.0 + 1.0) / Q
}

/// max(τ e, (τ − 1) e) with e = target − score: its minimum is the τ-quantile of the target. Koenker and Bassett 1978.
pub struct Pinball {
    pub quantile: f32,
}

impl Loss for Pinball {
    fn loss(&self, scores: Rows, target: &Target) -> Rows {
        let error = scores.negate() + target.values();
        let above = error.with_empty_tape() * self.quantile;
        above.maximum(error * (self.quantile - 1.0))
    }
}

/// max(0, 1 − p + n)², p the score of a link and n that of a negative.
pub fn squared_gap(link: Rows, negative: Rows) -> Rows {
    (negative - link + 1.0).relu().square()
}
