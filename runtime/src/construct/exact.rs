//! Sums of f64 without any rounding until they are read: the same bits whatever the order and however they are split.
//!
//! The sum is one integer in units of 2^-1075, wide enough for every finite f64, kept in 32-bit digits that overlap by the
//! upper halves of their 64-bit cells, so that 1,024 numbers are added before carries have to be moved. Radford Neal, Fast
//! exact summation using small and large superaccumulators, 2015, section 2.

/// 2^1024 · 2^64 / 2^-1075, in 32-bit digits, and one for the sign.
const DIGITS: usize = 69;
/// A number adds less than 2^53 to a cell, which holds 2^63.
const ADDS: u32 = 1023;
const MANTISSA: u64 = (1 << 52) - 1;

/// An exact sum. Infinities and NaN are kept apart and win.
#[derive(Clone)]
pub(crate) struct Exact {
    /// Digit i counts 2^(32 i - 1075).
    digits: [i64; DIGITS],
    /// How many numbers the cells have room for until carries are moved.
    room: u32,
    special: f64,
}

impl Default for Exact {
    fn default() -> Self {
        Exact { digits: [0; DIGITS], room: ADDS, special: 0.0 }
    }
}

impl std::fmt::Debug for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exact({:e})", self.value())
    }
}

impl Exact {
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let bits = x.to_bits();
        let exponent = (bits >> 52) as usize & 0x7ff;
        if exponent == 0x7ff {
            self.special += x;
            return;
        }
        if self.room == 0 {
            self.carry();
        }
        self.room -= 1;
        let normal = u64::from(exponent != 0);
        let mantissa = (bits & MANTISSA) | (normal << 52);
        let at = exponent + (1 - normal as usize);
        let (cell, shift) = (at / 32, at % 32);
        let low = i64::from((mantissa << shift) as u32);
        let high = (mantissa >> (32 - shift)) as i64;
        let sign = (bits as i64) >> 63;
        self.digits[cell] += (low ^ sign) - sign;
        self.digits[cell + 1] += (high ^ sign) - sign;
    }

    /// Adds x · y, exactly while no product leaves the normal numbers (2^-969 … 2^1023).
    #[inline]
    pub(crate) fn add_product(&mut self, x: f64, y: f64) {
        let product = x * y;
        self.add(product);
        if product.is_finite() {
            self.add(x.mul_add(y, -product));
        }
    }

    pub(crate) fn merge(&mut self, other: &Exact) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        self.room -= 1;
        self.special += other.special;
        for (mine, theirs) in self.digits.iter_mut().zip(other.digits) {
            *mine += theirs;
        }
    }

    /// Brings all digits but the last to 0 … 2^32 - 1.
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits[..DIGITS - 1] {
            let full = *digit + carry;
            *digit = full & 0xffff_ffff;
            carry = full >> 32;
        }
        self.digits[DIGITS - 1] += carry;
        self.room = ADDS;
    }

    /// The sum, rounded once to the nearest f64, ties to even.
    pub(crate) fn value(&self) -> f64 {
        if self.special != 0.0 || self.special.is_nan() {
            return if self.special.is_nan() { f64::NAN } else { self.special };
        }
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.digits[DIGITS - 1] < 0;
        if negative {
            sum.digits.iter_mut().for_each(|digit| *digit = -*digit);
            sum.carry();
        }
        let magnitude = round(&sum.digits);
        if negative { -magnitude } else { magnitude }
    }

    /// The sum as numbers that fall off by 2^53 at least and add up to it exactly; none for zero. Finite sums only.
    fn parts(&self) -> Vec<f64> {
        let mut rest = self.clone();
        let mut parts = Vec::new();
        loop {
            match rest.value() {
                0.0 => return parts,
                part if !part.is_finite() => return vec![part],
                part => {
                    rest.add(-part);
                    parts.push(part);
                }
            }
        }
    }

    /// n · Σx² − (Σx)², from Σx and Σx², rounded once: n² times the variance, without cancellation.
    pub(crate) fn spread(sum: &Exact, squares: &Exact, n: u64) -> f64 {
        let mut spread = Exact::default();
        squares.parts().iter().for_each(|part| spread.add_product(*part, n as f64));
        let parts = sum.parts();
        for a in &parts {
            parts.iter().for_each(|b| spread.add_product(-a, *b));
        }
        spread.value()
    }
}

/// Canonical digits of a sum that is not negative, to the nearest f64.
fn round(digits: &[i64; DIGITS]) -> f64 {
    let Some(top) = digits.iter().rposition(|&digit| digit != 0) else { return 0.0 };
    let highest = 32 * top + digits[top].ilog2() as usize;
    // Bit 1 is the smallest f64 there is, 2^-1074.
    let lowest = highest.saturating_sub(52).max(1);
    let bit = |at: usize| (digits[at / 32] >> (at % 32)) & 1;
    let mut mantissa = (lowest..=highest).rev().fold(0u64, |m, at| (m << 1) | bit(at) as u64);
    let half = bit(lowest - 1) == 1;
    let below = || (0..lowest - 1).any(|at| bit(at) == 1);
    if half && (mantissa & 1 == 1 || below()) {
        mantissa += 1;
    }
    let (mantissa, exponent) =
        if mantissa >> 53 == 1 { (mantissa >> 1, lowest + 1) } else { (mantissa, lowest) };
    match (mantissa >> 52, exponent) {
        (0, _) => f64::from_bits(mantissa),
        (_, 0..2047) => f64::from_bits((exponent as u64) << 52 | (mantissa & MANTISSA)),
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[f64]) -> f64 {
        let mut exact = Exact::default();
        numbers.iter().for_each(|x| exact.add(*x));
        exact.value()
    }

    #[test]
    fn hard_sums_are_exact() {
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[1e308, 1.0, -1e308]), 1.0);
        assert_eq!(sum(&[1e308, 1e308, -1e308]), 1e308);
        assert_eq!(sum(&[1e308, 1e308]), f64::INFINITY);
        assert_eq!(sum(&[1e16, 1.0, 1.0, -1e16]), 2.0);
        assert_eq!(sum(&[1e-300, 1e300, -1e300]), 1e-300);
        assert_eq!(sum(&[f64::MIN_POSITIVE, -5e-324]), f64::MIN_POSITIVE - 5e-324);
        assert_eq!(sum(&[5e-324; 3]), 1.5e-323);
        assert_eq!(sum(&[-5e-324, 0.0, -0.0]), -5e-324);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX, -f64::MAX, 3.0]), 3.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
    }

    #[test]
    fn rounding_is_to_nearest_and_ties_to_even() {
        let ulp = f64::EPSILON;
        assert_eq!(sum(&[1.0, ulp / 2.0]), 1.0);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[1.0, ulp / 2.0, 1e-200]), 1.0 + ulp);
        assert_eq!(sum(&[f64::MAX, f64::MAX * ulp / 4.0]), f64::MAX);
    }

    #[test]
    fn carries_hold_for_many_numbers() {
        let mut up = Exact::default();
        for _ in 0..5_000 {
            up.add(f64::MAX);
            up.add(-1e-310);
        }
        for _ in 0..5_000 {
            up.add(-f64::MAX);
        }
        assert_eq!(up.value(), sum(&vec![-1e-310; 5_000]));
        assert!((up.value() + 5e-307).abs() < 1e-320);
    }

    #[test]
    fn spread_does_not_cancel() {
        let numbers = [1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0];
        let (mut total, mut squares) = (Exact::default(), Exact::default());
        numbers.iter().for_each(|&x| {
            total.add(x);
            squares.add_product(x, x);
        });
        assert_eq!(Exact::spread(&total, &squares, 3), 6.0);
        let (mut total, mut squares) = (Exact::default(), Exact::default());
        for _ in 0..1000 {
            total.add(0.1);
            squares.add_product(0.1, 0.1);
        }
        assert_eq!(Exact::spread(&total, &squares, 1000), 0.0);
    }

    /// Numbers of all sizes, near each other's negatives now and then.
    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        let one = prop_oneof![
            proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
            -1e6..1e6f64,
            Just(1e308),
            Just(-1e308),
            Just(1e-300),
        ];
        proptest::collection::vec(one, 0..80)
    }

    proptest! {
        #[test]
        fn order_and_splits_do_not_matter((numbers, shuffled) in numbers().prop_flat_map(|n| (Just(n.clone()), Just(n).prop_shuffle())), cut in 0usize..80) {
            let (left, right) = shuffled.split_at(cut.min(shuffled.len()));
            let (mut a, mut b) = (Exact::default(), Exact::default());
            left.iter().for_each(|x| a.add(*x));
            right.iter().for_each(|x| b.add(*x));
            a.merge(&b);
            prop_assert_eq!(a.value().to_bits(), sum(&numbers).to_bits());
        }

        #[test]
        fn a_number_comes_back_and_pairs_round_as_the_machine_does(x in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, y in proptest::num::f64::NORMAL) {
            prop_assert_eq!(sum(&[x]), x);
            prop_assert_eq!(sum(&[x, y]), x + y);
        }

        #[test]
        fn parts_add_up(numbers in numbers()) {
            let mut exact = Exact::default();
            numbers.iter().for_each(|x| exact.add(*x));
            if exact.value().is_finite() {
                exact.parts().iter().for_each(|part| exact.add(-part));
                prop_assert_eq!(exact.value(), 0.0);
            }
        }

        #[test]
        fn spread_is_the_exact_variance(numbers in proptest::collection::vec(-1_000_000i64..1_000_000, 1..50)) {
            let (mut total, mut squares) = (Exact::default(), Exact::default());
            for &x in &numbers {
                total.add(x as f64);
                squares.add_product(x as f64, x as f64);
            }
            let n = numbers.len() as i128;
            let wide: Vec<i128> = numbers.iter().map(|&x| i128::from(x)).collect();
            let expected = n * wide.iter().map(|x| x * x).sum::<i128>() - wide.iter().sum::<i128>().pow(2);
            prop_assert_eq!(Exact::spread(&total, &squares, n as u64), expected as f64);
        }
    }
}
