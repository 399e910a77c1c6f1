//! Blocks of memory that are used again: fresh pages cost more than filling them.
//!
//! What a build holds in bulk (records on their way through the sort, arrays before they are in the graph file) is in blocks of one
//! size, so that what one stage is done with is what the next one fills, on whatever thread.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Bytes of a block that is used again; smaller ones go back to the allocator.
pub(crate) const SLAB: usize = 1 << 18;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes whose memory is used again when it has the size of a block.
#[derive(Default)]
pub(crate) struct Slab(Vec<u8>);

impl Slab {
    /// An empty slab for at most [`SLAB`] bytes, or for `bytes` if that is much less.
    pub fn with_room_for(bytes: usize) -> Self {
        match bytes > SLAB / 2 {
            true => Self(spare().pop().unwrap_or_else(|| Vec::with_capacity(SLAB))),
            false => Self(Vec::with_capacity(bytes)),
        }
    }
}

impl From<Vec<u8>> for Slab {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Slab {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Slab {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if self.0.capacity() == SLAB {
            let mut bytes = std::mem::take(&mut self.0);
            bytes.clear();
            spare().push(bytes);
        }
    }
}

/// Gives the blocks that no one uses back to the allocator.
pub(crate) fn trim() {
    let unused = std::mem::take(&mut *spare());
    drop(unused);
}

fn spare() -> std::sync::MutexGuard<'static, Vec<Vec<u8>>> {
    SPARE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_empty() {
        for _ in 0..3 {
            let mut slab = Slab::with_room_for(SLAB);
            assert!(slab.is_empty() && slab.capacity() >= SLAB);
            slab.extend_from_slice(&[1; 100]);
        }
        assert_eq!(Slab::with_room_for(10).capacity(), 10);
        trim();
    }
}
