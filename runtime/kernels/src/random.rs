//! Randomness as a function: every draw is a pure function of a key and a counter.
//!
//! Decided here: the generator (Philox4x32-10; Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011), how keys are derived, and how counters become numbers. Not decided: what a key stands for.
//!
//! A key is 64 bits. `fold` derives a new, unrelated key from a key and a number, so that a draw can be named by
//! (seed, purpose, epoch, batch, hop, node) without any state that threads could disturb.

use rayon::prelude::*;

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

const FOLD: u32 = 0;
const LINEAR: u32 = 1;
const PLANE: u32 = 2;
const BOUNDED: u32 = 3;

/// The block function: 128 bits of counter and 64 bits of key to 128 random bits.
#[inline(always)]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        counter = round(counter, key);
        key = next_key(key);
    }
    counter
}

#[inline(always)]
fn round(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let first = u64::from(counter[0]) * u64::from(MULTIPLIERS[0]);
    let second = u64::from(counter[2]) * u64::from(MULTIPLIERS[1]);
    [
        (second >> 32) as u32 ^ counter[1] ^ key[0],
        second as u32,
        (first >> 32) as u32 ^ counter[3] ^ key[1],
        first as u32,
    ]
}

#[inline(always)]
fn next_key(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])]
}

/// The name of a stream of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u32; 2]);

impl Key {
    /// The root key of a run for one purpose (sampling, dropout, initialisation, ...).
    pub fn new(seed: u64, purpose: u32) -> Self {
        Key([purpose, !purpose]).fold(seed)
    }

    /// The key derived from this one and a number.
    #[must_use]
    pub fn fold(self, value: u64) -> Self {
        let word = philox([value as u32, (value >> 32) as u32, 0, FOLD], self.0);
        Key([word[0], word[1]])
    }

    /// The key as 64 bits.
    pub fn bits(self) -> u64 {
        u64::from(self.0[1]) << 32 | u64::from(self.0[0])
    }

    /// The four words of block `block`: counters `4 * block .. 4 * block + 4` of [`Key::u32_at`].
    #[inline]
    pub fn block_at(self, block: u64) -> [u32; 4] {
        philox([block as u32, (block >> 32) as u32, 0, LINEAR], self.0)
    }

    #[inline]
    pub fn u32_at(self, counter: u64) -> u32 {
        self.block_at(counter / 4)[(counter % 4) as usize]
    }

    #[inline]
    pub fn u64_at(self, counter: u64) -> u64 {
        let block = self.block_at(counter / 2);
        let at = 2 * (counter % 2) as usize;
        u64::from(block[at + 1]) << 32 | u64::from(block[at])
    }

    /// Uniform on `[0, 1)`, a multiple of `2^-24`.
    #[inline]
    pub fn uniform_f32_at(self, counter: u64) -> f32 {
        unit(self.u32_at(counter))
    }

    /// Uniform on `[0, 1)`, a multiple of `2^-53`.
    #[inline]
    pub fn uniform_f64_at(self, counter: u64) -> f64 {
        (self.u64_at(counter) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Four words named by two counters; what [`Key::u32_at2`] deals to columns.
    #[inline(always)]
    pub fn plane_block(self, id: u64, block: u32) -> [u32; 4] {
        philox([id as u32, (id >> 32) as u32, block, PLANE], self.0)
    }

    /// A draw named by a row and a column.
    ///
    /// Columns are dealt to blocks so that 64 adjacent ones come from 16 adjacent blocks, 16 columns per word.
    #[inline]
    pub fn u32_at2(self, id: u64, column: u32) -> u32 {
        let block = column / 64 * 16 + column % 16;
        self.plane_block(id, block)[(column / 16 % 4) as usize]
    }

    /// [`Key::uniform_at2`] for the 64 columns from `64 * group`.
    #[inline(always)]
    pub(crate) fn uniform_group(self, id: u64, group: u32) -> [[f32; 16]; 4] {
        let (mut c0, mut c1, mut c2, mut c3) =
            ([id as u32; 16], [(id >> 32) as u32; 16], [0; 16], [PLANE; 16]);
        for (lane, word) in c2.iter_mut().enumerate() {
            *word = group.wrapping_mul(16).wrapping_add(lane as u32);
        }
        let mut key = self.0;
        let mut rounds = 0;
        while rounds < ROUNDS {
            let (mut n0, mut n1, mut n2, mut n3) = ([0; 16], [0; 16], [0; 16], [0; 16]);
            for lane in 0..16 {
                let mixed = round([c0[lane], c1[lane], c2[lane], c3[lane]], key);
                n0[lane] = mixed[0];
                n1[lane] = mixed[1];
                n2[lane] = mixed[2];
                n3[lane] = mixed[3];
            }
            (c0, c1, c2, c3) = (n0, n1, n2, n3);
            key = next_key(key);
            rounds += 1;
        }
        [units(c0), units(c1), units(c2), units(c3)]
    }

    /// Uniform on `[0, 1)`, named by two counters.
    #[inline]
    pub fn uniform_at2(self, id: u64, column: u32) -> f32 {
        unit(self.u32_at2(id, column))
    }

    /// Uniform on `0..bound`, without bias (Lemire, "Fast random integer generation in an interval", 2019).
    ///
    /// `bound` must be positive; 0 gives 0.
    #[inline]
    pub fn below_at(self, counter: u64, bound: u32) -> u32 {
        let mut word = philox([counter as u32, (counter >> 32) as u32, 0, BOUNDED], self.0);
        let mut attempt = 0u32;
        loop {
            for draw in word {
                if let Some(value) = bounded(draw, bound) {
                    return value;
                }
            }
            attempt += 1;
            word = philox([counter as u32, (counter >> 32) as u32, attempt, BOUNDED], self.0);
        }
    }

    /// Two independent standard normal values (Box and Muller), from the `2 * counter`-th and following draws.
    #[inline]
    pub fn normal_pair_at(self, counter: u64) -> (f32, f32) {
        let block = self.block_at(counter);
        let radius = (-2.0 * libm_free::ln_unit(block[0], block[1])).sqrt();
        let (sin, cos) = libm_free::sin_cos_turn(block[2], block[3]);
        ((radius * cos) as f32, (radius * sin) as f32)
    }

    /// Fills `out` with normal values of the given standard deviation; element `i` depends on `i` and the key alone.
    pub fn fill_normal(self, out: &mut [f32], deviation: f32) {
        out.par_chunks_mut(4096).enumerate().for_each(|(chunk, values)| {
            for (pair, values) in values.chunks_mut(2).enumerate() {
                let (first, second) = self.normal_pair_at((chunk * 2048 + pair) as u64);
                values[0] = first * deviation;
                if let Some(last) = values.get_mut(1) {
                    *last = second * deviation;
                }
            }
        });
    }

    /// Fills `out` with uniform values on `[low, high)`; element `i` depends on `i` and the key alone.
    pub fn fill_uniform(self, out: &mut [f32], low: f32, high: f32) {
        out.par_chunks_mut(4096).enumerate().for_each(|(chunk, values)| {
            for (block, values) in values.chunks_mut(4).enumerate() {
                let words = self.block_at((chunk * 1024 + block) as u64);
                for (value, word) in values.iter_mut().zip(words) {
                    *value = low + (high - low) * unit(word);
                }
            }
        });
    }

    /// The draws of this key in order, for code that does not know how many it needs.
    pub fn stream(self) -> Stream {
        Stream { key: self, block: 0, words: [0; 4], used: 4 }
    }
}

/// The draws of a key, one after the other.
#[derive(Clone, Debug)]
pub struct Stream {
    key: Key,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Stream {
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.key.block_at(self.block);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        u64::from(self.next_u32()) << 32 | low
    }

    /// Uniform on `[0, 1)`.
    #[inline]
    pub fn uniform(&mut self) -> f32 {
        unit(self.next_u32())
    }

    /// Uniform on `0..bound`, without bias; 0 if `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        loop {
            if let Some(value) = bounded(self.next_u32(), bound) {
                return value;
            }
        }
    }

    /// Uniform on `0..bound` for bounds beyond 32 bits, without bias; 0 if `bound` is 0.
    #[inline]
    pub fn below_u64(&mut self, bound: u64) -> u64 {
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg().checked_rem(bound).unwrap_or(0) {
                return (product >> 64) as u64;
            }
        }
    }
}

/// A uniform permutation of `0..n`: positions sorted by their random key, so that threads do not matter.
pub fn shuffle(key: Key, n: usize) -> Vec<u32> {
    assert!(u32::try_from(n).is_ok(), "a permutation of {n} positions does not fit 32 bits");
    let mut order: Vec<(u64, u32)> =
        (0..n as u32).into_par_iter().map(|i| (key.u64_at(u64::from(i)), i)).collect();
    order.par_sort_unstable();
    order.into_par_iter().map(|(_, position)| position).collect()
}

#[inline(always)]
fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
}

#[inline(always)]
fn units(words: [u32; 16]) -> [f32; 16] {
    let mut out = [0.0; 16];
    for lane in 0..16 {
        out[lane] = unit(words[lane]);
    }
    out
}

#[inline(always)]
fn bounded(draw: u32, bound: u32) -> Option<u32> {
    let product = u64::from(draw) * u64::from(bound);
    let low = product as u32;
    let accept = low >= bound || low >= bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
    accept.then_some((product >> 32) as u32)
}

/// The logarithm and the circle from arithmetic alone: the platform's differ in the last bit from machine to machine.
mod libm_free {
    /// `ln(u)` for the uniform `u` in `(0, 1]` made of 53 of the bits.
    pub fn ln_unit(low: u32, high: u32) -> f64 {
        let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
        let u = (bits + 1) as f64 * (1.0 / (1u64 << 53) as f64);
        let raw = u.to_bits();
        let mut exponent = (raw >> 52) as i64 - 1023;
        let mut mantissa = f64::from_bits((raw & ((1 << 52) - 1)) | (1023 << 52));
        if mantissa > std::f64::consts::SQRT_2 {
            mantissa *= 0.5;
            exponent += 1;
        }
        let s = (mantissa - 1.0) / (mantissa + 1.0);
        let s2 = s * s;
        let mut series = 0.0;
        for k in (0..12).rev() {
            series = series * s2 + 1.0 / (2 * k + 1) as f64;
        }
        2.0 * s * series + exponent as f64 * std::f64::consts::LN_2
    }

    /// Sine and cosine of a uniform angle.
    pub fn sin_cos_turn(low: u32, high: u32) -> (f64, f64) {
        let quadrant = high >> 30;
        let fraction = (u64::from(high & 0x3FFF_FFFF) << 32 | u64::from(low)) as f64 / (1u64 << 62) as f64;
        let x = (fraction - 0.5) * std::f64::consts::FRAC_PI_2;
        let x2 = x * x;
        let sin = x * series(x2, 1);
        let cos = series(x2, 0);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let (s, c) = ((sin + cos) * half, (cos - sin) * half);
        match quadrant {
            0 => (s, c),
            1 => (c, -s),
            2 => (-s, -c),
            _ => (-c, s),
        }
    }

    /// `sum_k (-x2)^k / (2k + odd)!`.
    fn series(x2: f64, odd: u32) -> f64 {
        let mut sum = 1.0;
        for k in (1..=9).rev() {
            let n = f64::from(2 * k + odd);
            sum = 1.0 - sum * x2 * (1.0 / (n * (n - 1.0)));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let answer = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), answer);
    }

    #[test]
    fn keys_and_counters_are_distinct() {
        let mut seen: Vec<u64> = (0..100).flat_map(|s| (0..10).map(move |p| Key::new(s, p).bits())).collect();
        seen.extend((0..1000).map(|v| Key::new(1, 1).fold(v).bits()));
        seen.extend((0..1000).map(|c| Key::new(1, 1).u64_at(c)));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 3000);
    }

    #[test]
    fn the_stream_follows_the_counters() {
        let key = Key::new(7, 3);
        let mut stream = key.stream();
        assert!((0..50).all(|c| stream.next_u32() == key.u32_at(c)));
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let key = Key::new(42, 0);
        let n = 200_000;
        let mean = (0..n).map(|i| f64::from(key.uniform_f32_at(i))).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.003, "{mean}");
        let mut values = vec![0f32; n as usize];
        key.fill_normal(&mut values, 2.0);
        let moment = |p: i32| values.iter().map(|&v| f64::from(v).powi(p)).sum::<f64>() / n as f64;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 4.0).abs() < 0.06, "{} {}", moment(1), moment(2));
        assert!(moment(3).abs() < 0.3 && (moment(4) - 48.0).abs() < 2.0, "{} {}", moment(3), moment(4));
    }

    #[test]
    fn the_circle_and_the_logarithm_agree_with_the_platform() {
        for i in 0..2000u32 {
            let (low, high) = (i.wrapping_mul(2_654_435_761), i.wrapping_mul(2_147_001_325) ^ i << 19);
            let angle =
                (u64::from(high) << 32 | u64::from(low)) as f64 / 2f64.powi(64) * std::f64::consts::TAU;
            let (sin, cos) = libm_free::sin_cos_turn(low, high);
            assert!((sin - angle.sin()).abs() < 1e-12 && (cos - angle.cos()).abs() < 1e-12, "{angle}");
            let u = ((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 + 1.0;
            assert!((libm_free::ln_unit(low, high) - (u / 2f64.powi(53)).ln()).abs() < 1e-11);
        }
    }

    #[test]
    fn bounded_draws_are_in_range_and_even() {
        let key = Key::new(5, 9);
        let mut counts = [0u32; 7];
        let mut stream = key.stream();
        for i in 0..70_000 {
            counts[key.below_at(i, 7) as usize] += 1;
            assert!(stream.below(3) < 3 && stream.below_u64(5_000_000_000) < 5_000_000_000);
        }
        assert!(counts.iter().all(|&c| (9_600..10_400).contains(&c)), "{counts:?}");
        assert_eq!((key.below_at(3, 0), key.below_at(3, 1), stream.below(0)), (0, 0, 0));
    }

    #[test]
    fn shuffle_is_a_permutation_and_does_not_depend_on_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| shuffle(Key::new(3, 1), 10_000))
        };
        let order = run(1);
        assert!((2..5).all(|threads| run(threads) == order));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(i, &p)| i == p as usize));
        assert!(order.iter().enumerate().filter(|&(i, &p)| i == p as usize).count() < 10);
        assert!(shuffle(Key::new(3, 1), 0).is_empty());
    }
}
