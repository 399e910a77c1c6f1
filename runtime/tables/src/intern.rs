//! Distinct texts, numbered in order of first appearance.

use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;

/// Texts in one allocation: text `i` is `bytes[offsets[i]..offsets[i + 1]]`. A clone shares the allocation until one of
/// the two grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextValues {
    texts: Arc<Texts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Texts {
    bytes: String,
    offsets: Vec<u64>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: String::new(), offsets: vec![0] }
    }
}

impl TextValues {
    pub fn len(&self) -> usize {
        self.texts.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, code: u32) -> &str {
        let (code, texts) = (code as usize, &*self.texts);
        &texts.bytes[texts.offsets[code] as usize..texts.offsets[code + 1] as usize]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|code| self.get(code as u32))
    }

    /// Texts from their parts; none unless the offsets ascend from 0 to the end and every text is UTF-8.
    pub fn from_parts(bytes: Vec<u8>, offsets: Vec<u64>) -> Option<Self> {
        let bytes = String::from_utf8(bytes).ok()?;
        let whole = offsets.first() == Some(&0)
            && offsets.is_sorted()
            && offsets.last() == Some(&(bytes.len() as u64))
            && offsets.iter().all(|&at| bytes.is_char_boundary(at as usize));
        whole.then(|| Self { texts: Arc::new(Texts { bytes, offsets }) })
    }

    pub fn push(&mut self, text: &str) {
        let texts = Arc::make_mut(&mut self.texts);
        texts.bytes.push_str(text);
        texts.offsets.push(texts.bytes.len() as u64);
    }

    /// Texts that stand end to end in `bytes`; `ends` says where each one ends.
    pub fn extend(&mut self, bytes: &str, ends: impl Iterator<Item = u64>) {
        let texts = Arc::make_mut(&mut self.texts);
        let start = texts.bytes.len() as u64;
        texts.bytes.push_str(bytes);
        texts.offsets.extend(ends.map(|end| start + end));
    }

    pub fn bytes(&self) -> &[u8] {
        self.texts.bytes.as_bytes()
    }

    /// `len() + 1` byte offsets, first 0.
    pub fn offsets(&self) -> &[u64] {
        &self.texts.offsets
    }
}

impl<'a> FromIterator<&'a str> for TextValues {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut values = Self::default();
        texts.into_iter().for_each(|text| values.push(text));
        values
    }
}

/// Text -> code by open addressing; equal hashes are told apart by their bytes.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    values: TextValues,
    hashes: Vec<u32>,
    slots: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Interner {
    pub fn new() -> Self {
        Self::default()
    }

    /// Numbers texts that are already distinct; a repeated text keeps its first code.
    pub fn from_values(values: TextValues) -> Self {
        let mut interner = Self::default();
        for text in values.iter() {
            let _ = interner.intern(text);
        }
        interner
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn values(&self) -> &TextValues {
        &self.values
    }

    pub fn into_values(self) -> TextValues {
        self.values
    }

    /// The code of `text`, new if it was not seen. `None` when all 2^32 - 1 codes are taken.
    pub fn intern(&mut self, text: &str) -> Option<u32> {
        if (self.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = hash(text);
        let slot = self.find(text, hash);
        if self.slots[slot] != FREE {
            return Some(self.slots[slot]);
        }
        let code = u32::try_from(self.len()).ok().filter(|&code| code != FREE)?;
        self.slots[slot] = code;
        self.hashes.push(hash);
        self.values.push(text);
        Some(code)
    }

    /// A new code for `text`, which is not looked up and will not be found.
    pub fn append(&mut self, text: &str) -> Option<u32> {
        let code = u32::try_from(self.len()).ok().filter(|&code| code != FREE)?;
        self.values.push(text);
        Some(code)
    }

    pub fn get(&self, text: &str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let code = self.slots[self.find(text, hash(text))];
        (code != FREE).then_some(code)
    }

    fn find(&self, text: &str, hash: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let code = self.slots[slot];
            if code == FREE || (self.hashes[code as usize] == hash && self.values.get(code) == text) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        let mask = size - 1;
        self.slots = vec![FREE; size];
        for (code, &hash) in self.hashes.iter().enumerate() {
            let mut slot = hash as usize & mask;
            while self.slots[slot] != FREE {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = code as u32;
        }
    }
}

fn hash(text: &str) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    let mixed = hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_first_appearance() {
        let mut interner = Interner::new();
        let codes: Vec<u32> = ["b", "a", "b", "", "a"].iter().map(|t| interner.intern(t).unwrap()).collect();
        assert_eq!(codes, [0, 1, 0, 2, 1]);
        assert_eq!(interner.values().iter().collect::<Vec<_>>(), ["b", "a", ""]);
        assert_eq!(interner.get("c"), None);
    }

    #[test]
    fn many_texts_survive_growth() {
        let mut interner = Interner::new();
        for i in 0..50_000 {
            assert_eq!(interner.intern(&format!("key-{i}")), Some(i));
        }
        for i in (0..50_000).rev() {
            assert_eq!(interner.get(&format!("key-{i}")), Some(i));
        }
    }
}
