//! An order without a table: a keyed permutation of `0..len` that is computed for one number at a time.

use gsl_kernels::random::Key;

const ROUNDS: usize = 4;

/// Maps `0..len` onto itself.
///
/// Numbers of as many bits as `len` needs are mixed by steps that can each be undone: an addition and a product with an
/// odd number modulo 2^bits, and a shift added to itself. A number that leaves `0..len` is mixed until it comes back, which
/// takes two turns in the mean at most.
pub struct Permutation {
    len: u64,
    mask: u64,
    shift: u32,
    /// What is added, and the odd factor.
    rounds: [(u64, u64); ROUNDS],
}

impl Permutation {
    pub fn new(key: Key, len: u64) -> Self {
        let bits = (u64::BITS - len.saturating_sub(1).leading_zeros()).max(1);
        let round = |i: usize| (key.u64_at(2 * i as u64), key.u64_at(2 * i as u64 + 1) | 1);
        Self {
            len,
            mask: u64::MAX >> (u64::BITS - bits),
            shift: bits.div_ceil(2),
            rounds: std::array::from_fn(round),
        }
    }

    /// Where `number`, which is below `len`, goes.
    #[inline]
    pub fn at(&self, number: u64) -> u64 {
        debug_assert!(number < self.len);
        let mut place = self.mix(number);
        while place >= self.len {
            place = self.mix(place);
        }
        place
    }

    #[inline]
    fn mix(&self, mut number: u64) -> u64 {
        for (addend, factor) in self.rounds {
            number = number.wrapping_add(addend).wrapping_mul(factor) & self.mask;
            number ^= number >> self.shift;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_hit_once() {
        for len in [1, 2, 3, 16, 17, 1000, 4097] {
            let order = Permutation::new(Key::new(len, 1), len);
            let mut places: Vec<u64> = (0..len).map(|n| order.at(n)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..len), "{len}");
        }
    }

    #[test]
    fn neighbours_part() {
        let len = 100_000;
        let order = Permutation::new(Key::new(1, 2), len);
        let rises = (1..len).filter(|&n| order.at(n) > order.at(n - 1)).count();
        assert!((49_000..51_000).contains(&rises), "{rises} rises");
        let mut gaps: Vec<i64> = (1..len).map(|n| order.at(n) as i64 - order.at(n - 1) as i64).collect();
        gaps.sort_unstable();
        gaps.dedup();
        assert!(gaps.len() > 50_000, "{} different gaps", gaps.len());
    }
}
