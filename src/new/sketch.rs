//! What a column's values are, in bounded memory.
//!
//! A sketch keeps the values with the smallest hashes (Bar-Yossef et al. 2002, the k minimum values), each with its exact count: a
//! uniform sample of the distinct values, complete while there are few. It does not depend on the order of rows.

use std::collections::BTreeMap;

/// Distinct values that a sketch keeps.
pub const KEPT: usize = 20_000;

/// Bytes of a text that are kept to look at.
const SHOWN: usize = 2_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Number(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub count: u64,
    pub value: Value,
}

#[derive(Debug, Clone, Default)]
pub struct Sketch {
    kept: BTreeMap<u64, Entry>,
    /// Values were left out: their hashes are above the largest one kept.
    full: bool,
}

impl Sketch {
    pub fn add(&mut self, hash: u64, count: u64, value: impl FnOnce() -> Value) {
        if let Some(entry) = self.kept.get_mut(&hash) {
            entry.count += count;
            return;
        }
        if self.full && self.kept.last_key_value().is_some_and(|(&largest, _)| hash > largest) {
            return;
        }
        self.kept.insert(hash, Entry { count, value: value() });
        if self.kept.len() > KEPT {
            self.kept.pop_last();
            self.full = true;
        }
    }

    /// Every distinct value is kept.
    pub fn is_complete(&self) -> bool {
        !self.full
    }

    /// How many distinct values there are: exact if [`Sketch::is_complete`], else an estimate.
    pub fn distinct(&self) -> u64 {
        match (self.full, self.kept.last_key_value()) {
            (true, Some((&largest, _))) => {
                let share = largest as f64 / u64::MAX as f64;
                ((self.kept.len() - 1) as f64 / share).round() as u64
            }
            _ => self.kept.len() as u64,
        }
    }

    /// No kept value occurs twice.
    pub fn is_unique(&self) -> bool {
        self.kept.values().all(|entry| entry.count == 1)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.kept.values()
    }

    pub fn hashes(&self) -> impl Iterator<Item = u64> {
        self.kept.keys().copied()
    }

    /// Texts that are kept, with their counts.
    pub fn texts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.entries().filter_map(|entry| match &entry.value {
            Value::Text(text) => Some((text.as_str(), entry.count)),
            Value::Number(_) => None,
        })
    }

    /// Numbers that are kept, with their counts.
    pub fn numbers(&self) -> impl Iterator<Item = (f64, u64)> {
        self.entries().filter_map(|entry| match entry.value {
            Value::Number(x) => Some((x, entry.count)),
            Value::Text(_) => None,
        })
    }

    /// The share of rows whose value is in `keys`, as far as the kept values and `keys` tell; none if they share no range.
    pub fn share_in(&self, keys: &KeySet) -> Option<f64> {
        let (mut found, mut seen) = (0, 0);
        for (&hash, entry) in &self.kept {
            match keys.contains(hash) {
                Some(true) => (found, seen) = (found + entry.count, seen + entry.count),
                Some(false) => seen += entry.count,
                None => {}
            }
        }
        (seen > 0).then(|| found as f64 / seen as f64)
    }
}

/// The keys of a node type as hashes: all of them, or those up to a bound.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// Ascending.
    hashes: Vec<u64>,
    bound: u64,
}

impl KeySet {
    /// All keys, in any order.
    pub fn all(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        KeySet { hashes, bound: u64::MAX }
    }

    pub fn of_sketch(sketch: &Sketch) -> Self {
        let hashes: Vec<u64> = sketch.hashes().collect();
        let bound = if sketch.full { hashes.last().copied().unwrap_or(0) } else { u64::MAX };
        KeySet { hashes, bound }
    }

    pub fn is_unique(&self) -> bool {
        self.hashes.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// Every key of the column is in it.
    pub fn is_whole(&self) -> bool {
        self.bound == u64::MAX
    }

    /// None where the set does not reach.
    pub fn contains(&self, hash: u64) -> Option<bool> {
        (hash <= self.bound).then(|| self.hashes.binary_search(&hash).is_ok())
    }
}

/// Texts that are written as integers hash like them, so that `7` in one table is `7` in another.
pub fn hash_text(text: &str) -> u64 {
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return hash_int(number);
    }
    let hash = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// The finaliser of splitmix64 (Steele, Lea and Flood 2014): a bijection.
pub fn hash_int(number: i64) -> u64 {
    let mut z = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn hash_float(number: f64) -> u64 {
    hash_int(number.to_bits() as i64)
}

/// At most [`SHOWN`] bytes of a text.
pub fn shown(text: &str) -> Value {
    let mut end = text.len().min(SHOWN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Value::Text(text[..end].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(numbers: impl Iterator<Item = i64>) -> Sketch {
        let mut sketch = Sketch::default();
        numbers.for_each(|x| sketch.add(hash_int(x), 1, || Value::Number(x as f64)));
        sketch
    }

    #[test]
    fn few_values_are_counted_exactly() {
        let found = sketch([3, 1, 3, 2].into_iter());
        assert_eq!((found.distinct(), found.is_complete(), found.is_unique()), (3, true, false));
        assert_eq!(found.numbers().map(|(_, n)| n).sum::<u64>(), 4);
    }

    #[test]
    fn many_values_are_estimated_and_order_does_not_matter() {
        let n = 10 * KEPT as i64;
        let (up, down) = (sketch(0..n), sketch((0..n).rev()));
        assert!(!up.is_complete() && up.is_unique());
        assert!((up.distinct() as f64 / n as f64 - 1.0).abs() < 0.03, "{}", up.distinct());
        assert!(up.hashes().eq(down.hashes()));
        assert!(!sketch((0..n).chain(0..n)).is_unique());
    }

    #[test]
    fn shares_are_measured_where_both_sides_see() {
        let values = sketch(0..1000);
        let half = KeySet::all((500..5000).map(hash_int).collect());
        assert_eq!(values.share_in(&half), Some(0.5));
        let many = KeySet::of_sketch(&sketch(0..10 * KEPT as i64));
        assert_eq!(values.share_in(&many), Some(1.0));
        assert_eq!(sketch(-500..500).share_in(&many).map(|share| (share * 10.0).round()), Some(5.0));
    }

    #[test]
    fn integers_and_their_texts_are_the_same_value() {
        assert_eq!(hash_text("42"), hash_int(42));
        assert_ne!(hash_text("042"), hash_int(42));
    }
}
