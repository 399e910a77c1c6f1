//! Where a number stands among the fitted ones: shares, quantiles, and the normal distribution's inverse.

use serde::{Deserialize, Serialize};

use super::super::error::Fault;
use super::super::values::Sorted;

/// The distribution of the fitted values: `below[i]` is the share of values less than `values[i]`, `to[i]` of those
/// not greater. At most [`KNOTS`] of the distinct values are kept; between two of them the share is interpolated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    pub values: Vec<f64>,
    pub below: Vec<f64>,
    pub to: Vec<f64>,
    pub count: u64,
}

pub const KNOTS: usize = 4096;

impl Ranks {
    pub(crate) fn of(sorted: &Sorted) -> Result<Self, Fault> {
        let n = sorted.len() as f64;
        let mut distinct = 0;
        sorted.runs(|_, _| distinct += 1)?;
        let kept = distinct.min(KNOTS);
        let wanted = |i: usize| if distinct > KNOTS { i * (distinct - 1) / (KNOTS - 1) } else { i };
        let mut ranks = Self {
            values: Vec::with_capacity(kept),
            below: Vec::with_capacity(kept),
            to: Vec::with_capacity(kept),
            count: sorted.len(),
        };
        let (mut index, mut start) = (0, 0);
        sorted.runs(|value, count| {
            if ranks.values.len() < kept && index == wanted(ranks.values.len()) {
                ranks.values.push(value);
                ranks.below.push(start as f64 / n);
                ranks.to.push((start + count) as f64 / n);
            }
            index += 1;
            start += count;
        })?;
        Ok(ranks)
    }

    /// The share of fitted values below x, those equal to x counted half: 0 … 1.
    pub(super) fn share(&self, x: f64) -> f64 {
        let next = self.values.partition_point(|v| *v < x);
        match self.values.get(next) {
            Some(&v) if v == x => (self.below[next] + self.to[next]) / 2.0,
            None => 1.0,
            Some(_) if next == 0 => 0.0,
            Some(&v) => {
                let (a, from, upto) = (self.values[next - 1], self.to[next - 1], self.below[next]);
                from + (upto - from) * (x - a) / (v - a)
            }
        }
    }

    /// The share, mapped by the inverse of the normal distribution function. It is kept half a rank away from 0 and 1.
    pub(super) fn gauss(&self, x: f64) -> f64 {
        let edge = 0.5 / self.count.max(1) as f64;
        inverse_normal(self.share(x).clamp(edge, 1.0 - edge))
    }
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(sorted: &Sorted) -> Result<f64, Fault> {
    let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
    let (mut a, mut b, mut start) = (0.0, 0.0, 0);
    sorted.runs(|value, count| {
        let run = start..start + count;
        if run.contains(&low) {
            a = value;
        }
        if run.contains(&high) {
            b = value;
        }
        start += count;
    })?;
    Ok(if a == b { a } else { a / 2.0 + b / 2.0 })
}

/// The most frequent value, the smallest of equals.
pub(super) fn mode(sorted: &Sorted) -> Result<f64, Fault> {
    let mut most = (0, 0.0);
    sorted.runs(|value, count| {
        if count > most.0 {
            most = (count, value);
        }
    })?;
    Ok(most.1)
}

/// Bounds that part the values into `count` buckets of equal size, as far as ties allow: bound k is the value at position
/// kn/count (rounded down, from 0) of all n. Equal bounds are one, and a bucket below the smallest value is none.
pub(super) fn quantile_bounds(sorted: &Sorted, count: usize) -> Result<Vec<f64>, Fault> {
    let n = u128::from(sorted.len());
    let position = |k: usize| (k as u128 * n / count as u128) as u64;
    let (mut bounds, mut start, mut k) = (Vec::new(), 0, 1);
    sorted.runs(|value, run| {
        let end = start + run;
        let reached = k;
        while k < count && position(k) < end {
            k += 1;
        }
        if k > reached && start > 0 {
            bounds.push(value);
        }
        start = end;
    })?;
    Ok(bounds)
}

/// Φ⁻¹(p) for 0 < p < 1, by the rational approximation of Acklam; relative error below 1.2e-9.
fn inverse_normal(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    if p == 0.5 {
        return 0.0;
    }
    if p > 0.5 {
        return -inverse_normal(1.0 - p);
    }
    if p < 0.02425 {
        return tail(p);
    }
    let q = p - 0.5;
    let r = q * q;
    horner(&A, r) * q / (horner(&B, r) * r + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_normal_known_values() {
        for (p, z) in [(0.975, 1.959_963_984_540_054), (0.5, 0.0), (0.001, -3.090_232_306_167_813)] {
            assert!((inverse_normal(p) - z).abs() < 2e-8, "{p}: {}", inverse_normal(p));
        }
    }
}
