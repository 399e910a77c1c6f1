//! How the numbers of a feature are rounded when they are stored in fewer than 32 bits.
//!
//! Decided here: the rounding and its error. Not decided here: what a stored number stands for ([`gsl_kernels::Floats`]), and how
//! the file is laid out ([`crate::graph`]).
//!
//! All rounding is to nearest, ties to even. For a number x and the number x̂ that is read back:
//!
//! | storage | |x − x̂| at most | refused |
//! |---|---|---|
//! | float32 | 0 | |
//! | float16 | 2⁻¹¹ |x|; 2⁻²⁵ where |x| < 2⁻¹⁴ | |x| > 65504 |
//! | bfloat16 | 2⁻⁸ |x|; 2⁻¹³⁴ where |x| < 2⁻¹²⁶ | |x| > (2 − 2⁻⁷) 2¹²⁷ |
//! | int8 | s / 2, and half a unit in the last place of x̂ | |
//!
//! where s is the scale of the column, max |x| / 127 over all rows of the file ([`Scales`]).

use gsl_kernels::{Floats, bf16, f16};
use gsl_plan::graph::Storage;

use super::feature::Rows;

/// The largest 8-bit number; −128 is not used, so that a column and its negative are stored alike.
const MOST: f32 = 127.0;

/// Rows as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoded {
    F32(Vec<f32>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I8(Vec<i8>),
}

/// A number that the storage cannot hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overflow {
    /// Its position among the numbers that were to be stored.
    pub element: usize,
    pub found: f32,
    pub storage: Storage,
}

/// A whole feature as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub width: usize,
    pub rows: Encoded,
    /// One for each column; empty unless the numbers are stored in 8 bits.
    pub scales: Vec<f32>,
}

impl Kept {
    /// Rounds all rows of a feature.
    ///
    /// # Errors
    /// The first number that is too large for the storage.
    pub fn of(storage: Storage, rows: &Rows) -> Result<Self, Overflow> {
        let mut scales = Vec::new();
        if storage == Storage::Int8 {
            let mut seen = Scales::new(rows.width);
            seen.see(&rows.data);
            scales = seen.finish();
        }
        let encoded = encode(storage, &rows.data, &scales)?;
        Ok(Kept { width: rows.width, rows: encoded, scales })
    }

    /// The numbers that will be read back.
    pub fn floats(&self) -> Floats<'_> {
        self.rows.floats(&self.scales)
    }
}

impl Encoded {
    /// The numbers; those in 8 bits have a scale for each column.
    pub fn floats<'a>(&'a self, scale: &'a [f32]) -> Floats<'a> {
        match self {
            Encoded::F32(data) => Floats::F32(data),
            Encoded::F16(data) => Floats::F16(data),
            Encoded::BF16(data) => Floats::BF16(data),
            Encoded::I8(data) => Floats::I8 { data, scale },
        }
    }
}

/// Finds the first number that is too large for the storage.
pub fn check(storage: Storage, rows: &[f32]) -> Result<(), Overflow> {
    let most = largest(storage);
    match rows.iter().position(|x| x.abs() > most) {
        Some(element) => Err(Overflow { element, found: rows[element], storage }),
        None => Ok(()),
    }
}

/// The largest number that can be stored.
pub fn largest(storage: Storage) -> f32 {
    match storage {
        Storage::Float16 => f16::MAX.to_f32(),
        Storage::BFloat16 => bf16::MAX.to_f32(),
        Storage::Float32 | Storage::Int8 => f32::MAX,
    }
}

/// Rounds rows, all of a feature or some of them. `scales` has one entry for each column, and is read for [`Storage::Int8`] only.
///
/// # Errors
/// The first number that is too large for the storage.
pub fn encode(storage: Storage, rows: &[f32], scales: &[f32]) -> Result<Encoded, Overflow> {
    check(storage, rows)?;
    Ok(match storage {
        Storage::Float32 => Encoded::F32(rows.to_vec()),
        Storage::Float16 => Encoded::F16(rows.iter().map(|&x| f16::from_f32(x)).collect()),
        Storage::BFloat16 => Encoded::BF16(rows.iter().map(|&x| bf16::from_f32(x)).collect()),
        Storage::Int8 => {
            let of_row = |row: &[f32]| -> Vec<i8> { row.iter().zip(scales).map(quantised).collect() };
            Encoded::I8(rows.chunks_exact(scales.len().max(1)).flat_map(of_row).collect())
        }
    })
}

/// round(x / s). The quotient of two `f32` is not so near to a tie that its rounding to `f64` would reach it.
fn quantised((&x, &scale): (&f32, &f32)) -> i8 {
    let steps = (f64::from(x) / f64::from(scale)).round_ties_even();
    steps.clamp(f64::from(-MOST), f64::from(MOST)) as i8
}

/// Learns the scales of a feature from all its rows, in any order and in any parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales {
    /// max |x| of each column.
    most: Vec<f32>,
}

impl Scales {
    pub fn new(width: usize) -> Self {
        Scales { most: vec![0.0; width] }
    }

    /// Looks at rows, row-major.
    pub fn see(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.most.len().max(1)) {
            for (most, x) in self.most.iter_mut().zip(row) {
                *most = most.max(x.abs());
            }
        }
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Scales) {
        self.most.iter_mut().zip(&other.most).for_each(|(most, other)| *most = most.max(*other));
    }

    /// max |x| / 127, at least the smallest normal number; 1 for a column of zeros.
    pub fn finish(self) -> Vec<f32> {
        self.most.into_iter().map(scale_of).collect()
    }
}

fn scale_of(most: f32) -> f32 {
    let scale = (most / MOST).max(f32::MIN_POSITIVE);
    match most {
        0.0 => 1.0,
        _ if (scale * MOST).is_finite() => scale,
        _ => scale.next_down(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every finite f32, small ones and round ones often.
    fn float() -> impl Strategy<Value = f32> {
        let any = any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite());
        prop_oneof![any, -70_000f32..70_000.0, -1f32..1.0, (-2048i32..2048).prop_map(|n| n as f32 / 16.0)]
    }

    fn back(kept: &Encoded, scales: &[f32], len: usize) -> Vec<f64> {
        match kept.floats(scales) {
            Floats::F32(data) => data.iter().map(|&x| x.into()).collect(),
            Floats::F16(data) => data.iter().map(|&x| x.into()).collect(),
            Floats::BF16(data) => data.iter().map(|&x| x.into()).collect(),
            Floats::I8 { data, scale } => {
                (0..len).map(|at| f64::from(f32::from(data[at]) * scale[at % scale.len()])).collect()
            }
        }
    }

    /// The neighbours of x in a binary format of `bits` significant bits whose smallest normal number is 2^`low`: x is rounded to the
    /// nearer one, and to the even one in the middle.
    fn nearest(x: f32, bits: i32, low: i32) -> f64 {
        let x = f64::from(x);
        let exponent = if x == 0.0 { low } else { (x.abs().log2().floor() as i32).max(low) };
        let unit = 2f64.powi(exponent - bits + 1);
        (x / unit).round_ties_even() * unit
    }

    proptest! {
        #[test]
        fn float16_is_the_nearest_half(x in float()) {
            match encode(Storage::Float16, &[x], &[]) {
                Ok(kept) => {
                    let got = back(&kept, &[], 1)[0];
                    prop_assert_eq!(got, nearest(x, 11, -14));
                    let bound = (f64::from(x).abs() * 2f64.powi(-11)).max(2f64.powi(-25));
                    prop_assert!((got - f64::from(x)).abs() <= bound);
                }
                Err(overflow) => prop_assert!(overflow.found == x && x.abs() > 65504.0),
            }
        }

        #[test]
        fn bfloat16_is_the_nearest_upper_half(x in float()) {
            match encode(Storage::BFloat16, &[x], &[]) {
                Ok(kept) => {
                    let got = back(&kept, &[], 1)[0];
                    prop_assert_eq!(got, nearest(x, 8, -126));
                    let bound = (f64::from(x).abs() * 2f64.powi(-8)).max(2f64.powi(-134));
                    prop_assert!((got - f64::from(x)).abs() <= bound);
                }
                Err(overflow) => prop_assert!(overflow.found == x && x.abs() > 3.389e38),
            }
        }

        #[test]
        fn int8_is_within_half_a_step(rows in prop::collection::vec((float(), float(), Just(0f32)), 1..40)) {
            let rows: Vec<f32> = rows.into_iter().flat_map(|(a, b, c)| [a, b, c]).collect();
            let mut scales = Scales::new(3);
            scales.see(&rows);
            let scales = scales.finish();
            let kept = encode(Storage::Int8, &rows, &scales).unwrap();
            let Encoded::I8(steps) = &kept else { panic!("8 bits are wanted") };
            for (at, got) in back(&kept, &scales, rows.len()).into_iter().enumerate() {
                let (x, scale) = (f64::from(rows[at]), f64::from(scales[at % 3]));
                let bound = scale / 2.0 + (got.abs() * 2f64.powi(-24)).max(2f64.powi(-150));
                prop_assert!((got - x).abs() <= bound, "{x} gave {got}, scale {scale}");
                let nearest = (x / scale).round_ties_even().clamp(-127.0, 127.0);
                prop_assert_eq!(f64::from(steps[at]), nearest);
            }
            prop_assert_eq!(scales[2], 1.0);
        }

        #[test]
        fn scales_know_no_order(rows in prop::collection::vec((float(), float()), 2..60), cut in 1usize..59) {
            let flat = |rows: &[(f32, f32)]| rows.iter().flat_map(|&(a, b)| [a, b]).collect::<Vec<f32>>();
            let mut whole = Scales::new(2);
            whole.see(&flat(&rows));
            let (left, right) = rows.split_at(cut.min(rows.len()));
            let (mut first, mut second) = (Scales::new(2), Scales::new(2));
            first.see(&flat(left));
            second.see(&flat(right));
            second.merge(&first);
            prop_assert_eq!(second.finish(), whole.finish());
        }

        #[test]
        fn float32_is_kept_as_it_is(x in float()) {
            prop_assert_eq!(encode(Storage::Float32, &[x], &[]), Ok(Encoded::F32(vec![x])));
        }
    }

    #[test]
    fn the_first_number_that_is_too_large_is_named() {
        let refused = encode(Storage::Float16, &[1.0, 65504.0, -65505.0, 1e9], &[]);
        assert_eq!(refused, Err(Overflow { element: 2, found: -65505.0, storage: Storage::Float16 }));
        assert_eq!(encode(Storage::BFloat16, &[f32::MAX], &[]).map_err(|o| o.element), Err(0));
    }

    #[test]
    fn the_largest_numbers_come_back_finite() {
        for most in [f32::MAX, f32::MAX.next_down(), 3.4e38, f32::MIN_POSITIVE, f32::from_bits(1)] {
            let scale = scale_of(most);
            let kept = encode(Storage::Int8, &[most, -most], &[scale]).unwrap();
            for (got, x) in back(&kept, &[scale], 2).into_iter().zip([most, -most]) {
                assert!((got - f64::from(x)).abs() <= f64::from(scale), "{x} came back as {got}");
            }
        }
    }

    #[test]
    fn ties_go_to_the_even_neighbour() {
        let halves = [2049.0, 2051.0, 1.0 + 2f32.powi(-11), -2049.0];
        let kept = encode(Storage::Float16, &halves, &[]).unwrap();
        assert_eq!(back(&kept, &[], 4), [2048.0, 2052.0, 1.0, -2048.0]);
        let kept = encode(Storage::BFloat16, &[257.0, 259.0], &[]).unwrap();
        assert_eq!(back(&kept, &[], 2), [256.0, 260.0]);
        let kept = encode(Storage::Int8, &[0.5, 1.5, 2.5, -0.5], &[1.0]).unwrap();
        assert_eq!(back(&kept, &[1.0], 4), [0.0, 2.0, 2.0, 0.0]);
    }
}
