//! Floats as they are stored: in 32 bits, in 16, or in 8 with a scale for each column.
//!
//! Decided here: which storages there are, and what number a stored one stands for. Not decided here: how numbers are rounded when
//! they are stored, and where the widening happens; whatever reads stored rows computes with `f32`.

use half::{bf16, f16};

/// Rows of numbers, row-major, borrowed from where they are stored.
#[derive(Clone, Copy, Debug)]
pub enum Floats<'a> {
    F32(&'a [f32]),
    /// IEEE 754 half precision: 11 significant bits, up to 65504.
    F16(&'a [f16]),
    /// The upper half of an `f32`: 8 significant bits, its range.
    BF16(&'a [bf16]),
    /// `x[r][c] = data[r][c] * scale[c]`, the product rounded to `f32`.
    I8 {
        data: &'a [i8],
        scale: &'a [f32],
    },
}

impl Default for Floats<'_> {
    fn default() -> Self {
        Floats::F32(&[])
    }
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Floats<'a> {
    fn from(data: &'a T) -> Self {
        Floats::F32(data.as_ref())
    }
}

impl<'a> Floats<'a> {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Floats::F32(data) => data.len(),
            Floats::F16(data) => data.len(),
            Floats::BF16(data) => data.len(),
            Floats::I8 { data, .. } => data.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one number.
    pub fn bytes(&self) -> usize {
        match self {
            Floats::F32(_) => 4,
            Floats::F16(_) | Floats::BF16(_) => 2,
            Floats::I8 { .. } => 1,
        }
    }

    /// The numbers themselves, if they are stored in 32 bits.
    pub fn wide(&self) -> Option<&'a [f32]> {
        match *self {
            Floats::F32(data) => Some(data),
            _ => None,
        }
    }

    /// Where number `at` lies; any `at` will do for asking ahead.
    pub(crate) fn address(&self, at: usize) -> *const u8 {
        let start: *const u8 = match self {
            Floats::F32(data) => data.as_ptr().cast(),
            Floats::F16(data) => data.as_ptr().cast(),
            Floats::BF16(data) => data.as_ptr().cast(),
            Floats::I8 { data, .. } => data.as_ptr().cast(),
        };
        start.wrapping_add(at.wrapping_mul(self.bytes()))
    }

    /// Panics unless rows are `width` wide.
    pub(crate) fn check(&self, width: usize) {
        if let Floats::I8 { scale, .. } = self {
            assert_eq!(scale.len(), width, "{} scales for rows of {width}", scale.len());
        }
    }
}
