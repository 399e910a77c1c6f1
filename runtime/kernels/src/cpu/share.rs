//! What parallel loops share: a pointer to an output of which every task writes its own part, and scratch memory.

use std::cell::RefCell;

/// A mutable slice that several tasks write, each its own part.
#[derive(Clone, Copy)]
pub struct Shared<T>(*mut T, usize);

// SAFETY: the only way to the data is `part`, whose caller promises disjoint parts.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(data: &mut [T]) -> Self {
        Shared(data.as_mut_ptr(), data.len())
    }

    /// The part `start .. start + len`.
    ///
    /// # Safety
    /// No two parts that live at the same time overlap, and the slice outlives them.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.1), "the part lies beyond the output");
        // SAFETY: within bounds; disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }

    /// The address of one element, for atomic access.
    pub fn slot(&self, at: usize) -> *mut T {
        assert!(at < self.1, "the element lies beyond the output");
        self.0.wrapping_add(at)
    }
}

/// Bigger buffers are not kept.
const KEEP_FLOATS: usize = 16 << 20;

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` floats of this thread's scratch memory; their values are arbitrary.
pub fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut memory = take_memory(len);
    let result = f(&mut memory[..len]);
    give_memory(memory);
    result
}

/// At least `len` floats of arbitrary value, from this thread's free buffers.
pub fn take_memory(len: usize) -> Vec<f32> {
    let mut memory = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    memory
}

/// Hands a buffer back for the next kernel of this thread; very big ones go back to the system.
pub fn give_memory(memory: Vec<f32>) {
    if memory.capacity() <= KEEP_FLOATS {
        SCRATCH.with_borrow_mut(|free| free.push(memory));
    }
}

/// Adds partial sums in a fixed tree: `parts` holds vectors of the same length, one after the other; the first gets the sum.
pub fn combine(parts: &mut [f32], len: usize) {
    let count = parts.len() / len.max(1);
    let mut step = 1;
    while step < count {
        for at in (0..count.saturating_sub(step)).step_by(2 * step) {
            let (low, high) = parts.split_at_mut((at + step) * len);
            let target = &mut low[at * len..at * len + len];
            for (sum, &part) in target.iter_mut().zip(&high[..len]) {
                *sum += part;
            }
        }
        step *= 2;
    }
}

/// Writes or adds a vector.
pub fn deliver(from: &[f32], to: &mut [f32], accumulate: bool) {
    if accumulate {
        for (to, &from) in to.iter_mut().zip(from) {
            *to += from;
        }
    } else {
        to.copy_from_slice(from);
    }
}
