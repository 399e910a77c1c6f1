//! Identifiers to rows: one 32-bit word per node, never cleared between blocks.

use crate::prefetch::prefetch;

const AHEAD: usize = 24;

/// The rows of one node type in the block being made.
///
/// Word `v` holds `base + row` if node `v` is in the block; anything below `base` is left from earlier blocks. A block
/// that is done raises `base` above all its words, so that starting the next one costs nothing.
#[derive(Debug)]
pub struct RowTable {
    words: Vec<u32>,
    base: u32,
    used: u32,
}

impl RowTable {
    pub fn new(nodes: usize) -> Self {
        RowTable { words: vec![0; nodes], base: 1, used: 0 }
    }

    /// Forgets the block before.
    pub fn next(&mut self) {
        let room = u32::MAX - self.words.len() as u32;
        match self.base.checked_add(self.used) {
            Some(base) if base < room => self.base = base,
            _ => {
                self.words.fill(0);
                self.base = 1;
            }
        }
        self.used = 0;
    }

    /// The row of node `id`, which is appended to `ids` if it is new.
    #[inline(always)]
    pub fn row(&mut self, id: u32, ids: &mut Vec<u32>) -> u32 {
        let word = &mut self.words[id as usize];
        if *word < self.base {
            *word = self.base + self.used;
            self.used += 1;
            ids.push(id);
        }
        *word - self.base
    }

    /// Replaces identifiers by rows. One random word per edge, fetched `AHEAD` edges early.
    pub fn rows(&mut self, nodes: &mut [u32], ids: &mut Vec<u32>) {
        for at in 0..nodes.len() {
            if let Some(&later) = nodes.get(at + AHEAD) {
                prefetch(self.words.as_ptr().wrapping_add(later as usize));
            }
            nodes[at] = self.row(nodes[at], ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_anew_in_every_block_even_when_the_base_wraps() {
        let mut table = RowTable::new(5);
        table.base = u32::MAX - 12;
        for _ in 0..6 {
            table.next();
            let (mut nodes, mut ids) = (vec![4, 2, 4, 0, 2], Vec::new());
            table.rows(&mut nodes, &mut ids);
            assert_eq!((nodes, ids), (vec![0, 1, 0, 2, 1], vec![4, 2, 0]));
        }
    }
}
