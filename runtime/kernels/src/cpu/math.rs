//! Elementary functions without branches, so that loops over them vectorise.
//!
//! Decided here: the approximations and their errors. `exp`, `expm1_negative`, `log`, `log1p`, `tanh`, `sigmoid`, `softplus`,
//! `sin` and `cos` have a relative error below 1e-6 (tested against `f64`; most are below 2e-7), `gelu` and its gradient
//! below 1e-6 relative to `max(|value|, |x| * 1e-2)`. All propagate NaN and take infinities to their limits. Results are the
//! same on every machine: only additions, multiplications, divisions, square roots and fused multiply-adds are used.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

const ROUND: f32 = 12_582_912.0;
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// Horner's rule. A plain loop: a closure handed to an iterator may stay a call, and then loses the instruction set.
#[inline(always)]
fn poly<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut i = N - 1;
    let mut sum = coefficients[i];
    while i > 0 {
        i -= 1;
        sum = sum.mul_add(x, coefficients[i]);
    }
    sum
}

/// [`poly`] in double precision.
#[inline(always)]
fn poly_f64<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut i = N - 1;
    let mut sum = coefficients[i];
    while i > 0 {
        i -= 1;
        sum = sum.mul_add(x, coefficients[i]);
    }
    sum
}

/// `(n, q)` with `x = n * ln 2 + r`, `|r| <= ln 2 / 2`, `q = exp(r) - 1`.
#[inline(always)]
fn reduce_exp(x: f32) -> (i32, f32) {
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let q = r * poly(r, [1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0]);
    (shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32, q)
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

#[inline(always)]
fn between(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// `e^x`, with gradual underflow.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (n, q) = reduce_exp(between(x, -104.0, 89.0));
    let half = n >> 1;
    (1.0 + q) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `e^x - 1` for `x <= 0`.
#[inline(always)]
pub fn expm1_negative(x: f32) -> f32 {
    let (n, q) = reduce_exp(between(x, -30.0, 1.0));
    let scale = power_of_two(n);
    q.mul_add(scale, scale - 1.0)
}

#[inline(always)]
pub fn log(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let bits = (if small { x * 33_554_432.0 } else { x }).to_bits();
    let exponent = (bits.wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let f = f32::from_bits(bits.wrapping_sub((exponent << 23) as u32)) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let tail = z * poly(z, [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0]);
    let e = exponent.wrapping_sub(if small { 25 } else { 0 }) as f32;
    let value = e.mul_add(LN2_HIGH, e.mul_add(LN2_LOW, s.mul_add(tail - f, f)));
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    let value = if x < 0.0 || x.is_nan() { f32::NAN } else { value };
    if x == f32::INFINITY { x } else { value }
}

#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let corrected = log(u) + (x - (u - 1.0)) / u;
    if u == 0.0 || u == f32::INFINITY { log(u) } else { corrected }
}

#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let t = expm1_negative(-2.0 * x.abs());
    (-t / (2.0 + t)).copysign(x)
}

#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let d = 1.0 / (1.0 + e);
    if x < 0.0 { e * d } else { d }
}

#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    relu(x) + log1p(exp(-x.abs()))
}

#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
pub fn elu(x: f32, alpha: f32) -> f32 {
    if x > 0.0 { x } else { alpha * expm1_negative(x) }
}

/// `(1 + 2z) erfcx(z)` as a polynomial in `t = (z - 3.75) / (z + 3.75)`, fitted at Chebyshev points; the form is that of
/// Shepherd and Laframboise, Math. Comp. 36 (1981).
#[allow(clippy::excessive_precision)]
const ERFCX: [f32; 12] = [
    1.23751262e+00,
    -1.40240658e-01,
    3.58627039e-03,
    8.22784200e-02,
    -1.08814270e-01,
    9.22907696e-02,
    -5.86468587e-02,
    2.84092524e-02,
    -9.84449486e-03,
    1.67591221e-03,
    3.96307613e-04,
    -2.24116746e-04,
];

/// `(Phi(x), exp(-x^2 / 2))`: the normal distribution function and its unnormalised density.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = between(x.abs() * FRAC_1_SQRT_2, 0.0, 1e4);
    let density = exp(-0.5 * x * x);
    let erfcx = poly((z - 3.75) / (z + 3.75), ERFCX) / z.mul_add(2.0, 1.0);
    let tail = 0.5 * density * erfcx;
    (if x < 0.0 { tail } else { 1.0 - tail }, density)
}

/// `x * Phi(x)`, the exact form.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let value = x * normal(x).0;
    if x == f32::NEG_INFINITY { 0.0 } else { value }
}

/// `Phi(x) + x * phi(x)`.
#[inline(always)]
pub fn gelu_grad(x: f32) -> f32 {
    const INV_SQRT_TAU: f32 = 0.398_942_3;
    let (phi, density) = normal(x);
    (between(x, -1e4, 1e4) * INV_SQRT_TAU).mul_add(density, phi)
}

#[inline(always)]
pub fn silu(x: f32) -> f32 {
    if x == f32::NEG_INFINITY { 0.0 } else { x * sigmoid(x) }
}

#[inline(always)]
pub fn silu_grad(x: f32) -> f32 {
    let s = sigmoid(x);
    (between(x, -1e4, 1e4) * s).mul_add(1.0 - s, s)
}

#[inline(always)]
pub fn sign(x: f32) -> f32 {
    f32::from(u8::from(x > 0.0)) - f32::from(u8::from(x < 0.0))
}

#[inline(always)]
pub fn max(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

#[inline(always)]
pub fn min(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

/// Quadrant of `x` modulo 4 and the sine and cosine of the rest in `[-pi/4, pi/4]`, in double precision.
#[inline(always)]
fn reduce_circle(x: f32) -> (u64, f64, f64) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = f64::from(x);
    let shifted = x.mul_add(std::f64::consts::FRAC_2_PI, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-6.123_233_995_736_766e-17, n.mul_add(-std::f64::consts::FRAC_PI_2, x));
    let z = r * r;
    let sin = [1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0];
    let cos = [1.0, -0.5, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40_320.0, -1.0 / 3_628_800.0];
    (shifted.to_bits() & 3, r * poly_f64(z, sin), poly_f64(z, cos))
}

#[inline(always)]
pub fn sin(x: f32) -> f32 {
    let (quadrant, sin, cos) = reduce_circle(x);
    let value = if quadrant & 1 == 0 { sin } else { cos };
    (if quadrant & 2 == 0 { value } else { -value }) as f32
}

#[inline(always)]
pub fn cos(x: f32) -> f32 {
    let (quadrant, sin, cos) = reduce_circle(x);
    let value = if quadrant & 1 == 0 { cos } else { sin };
    (if (quadrant + 1) & 2 == 0 { value } else { -value }) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(f: fn(f32) -> f32, exact: impl Fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let n = 200_000;
        (0..=n).fold(0.0, |worst, i| {
            let x = from + (to - from) * (i as f32 / n as f32);
            let e = exact(f64::from(x));
            let scale = e.abs().max(f64::from(f32::MIN_POSITIVE));
            let error = (f64::from(f(x)) - e).abs() / scale;
            assert!(!error.is_nan(), "{x}: {} against {e}", f(x));
            f64::max(worst, error)
        })
    }

    #[test]
    fn relative_errors_are_below_a_millionth() {
        let tiny = 1e-4;
        for (name, error) in [
            ("exp", worst(exp, f64::exp, -87.0, 88.0)),
            ("expm1", worst(expm1_negative, f64::exp_m1, -20.0, 0.0)),
            ("expm1 small", worst(expm1_negative, f64::exp_m1, -tiny, -1e-9)),
            ("log", worst(log, f64::ln, 1e-3, 10.0)),
            ("log big", worst(log, f64::ln, 2.0, 1e30)),
            ("log small", worst(log, f64::ln, 1e-45, 1e-37)),
            ("log1p", worst(log1p, f64::ln_1p, -0.99, 10.0)),
            ("log1p small", worst(log1p, f64::ln_1p, -tiny, tiny)),
            ("tanh", worst(tanh, f64::tanh, -10.0, 10.0)),
            ("tanh small", worst(tanh, f64::tanh, -tiny, tiny)),
            ("sigmoid", worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -80.0, 40.0)),
            ("softplus", worst(softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), -80.0, 80.0)),
            ("silu", worst(silu, |x| x / (1.0 + (-x).exp()), -80.0, 80.0)),
            ("sin", worst(sin, f64::sin, -3.0, 3.0)),
            ("cos", worst(cos, f64::cos, -1.5, 1.5)),
            ("sin far", worst(sin, f64::sin, 1e4, 1.1e4)),
        ] {
            assert!(error < 1e-6, "{name}: {error:e}");
        }
    }

    /// `Phi` in double precision: a series near 0, a continued fraction in the tails.
    fn phi(x: f64) -> f64 {
        let (z, density) = (x.abs(), (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt());
        let upper = if z < 3.0 {
            let (mut term, mut sum) = (z, z);
            for k in 1..200 {
                term *= z * z / f64::from(2 * k + 1);
                sum += term;
            }
            0.5 - density * sum
        } else {
            density / (1..200).rev().fold(z, |fraction, k| z + f64::from(k) / fraction)
        };
        if x < 0.0 { upper } else { 1.0 - upper }
    }

    #[test]
    fn gelu_is_the_exact_form() {
        let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        for i in -100_000..=100_000 {
            let x = i as f32 * 1e-4;
            let d = f64::from(x);
            let (value, slope) = (d * phi(d), phi(d) + d * density(d));
            let bound = |v: f64| 1e-6 * v.abs().max(d.abs() * 1e-2).max(1e-6);
            assert!((f64::from(gelu(x)) - value).abs() <= bound(value), "{x} {} {value}", gelu(x));
            assert!((f64::from(gelu_grad(x)) - slope).abs() <= bound(slope).max(2e-7), "{x} {slope}");
        }
    }

    #[test]
    fn limits_and_nan() {
        let inf = f32::INFINITY;
        let unary: [fn(f32) -> f32; 13] = [
            exp,
            expm1_negative,
            log,
            log1p,
            tanh,
            sigmoid,
            softplus,
            relu,
            gelu,
            gelu_grad,
            silu,
            silu_grad,
            sin,
        ];
        assert!(unary.iter().all(|f| f(f32::NAN).is_nan()));
        assert!(max(f32::NAN, 1.0).is_nan() && max(1.0, f32::NAN).is_nan() && min(1.0, f32::NAN).is_nan());
        assert_eq!([exp(inf), exp(-inf), exp(89.0), exp(-104.0), exp(0.0)], [inf, 0.0, inf, 0.0, 1.0]);
        assert_eq!([log(0.0), log(inf), log(1.0), log1p(-1.0), log1p(inf)], [-inf, inf, 0.0, -inf, inf]);
        assert!(log(-1.0).is_nan() && log1p(-2.0).is_nan() && cos(inf).is_nan());
        assert_eq!([tanh(inf), tanh(-inf), sigmoid(inf), sigmoid(-inf)], [1.0, -1.0, 1.0, 0.0]);
        assert_eq!([softplus(inf), softplus(-inf), gelu(inf), gelu(-inf)], [inf, 0.0, inf, 0.0]);
        assert_eq!([gelu_grad(inf), gelu_grad(-inf), silu(-inf), silu_grad(inf)], [1.0, 0.0, 0.0, 1.0]);
        assert_eq!([sign(-3.0), sign(0.0), sign(2.0), sign(f32::NAN)], [-1.0, 0.0, 1.0, 0.0]);
        assert!(exp(-100.0) > 0.0);
    }
}
