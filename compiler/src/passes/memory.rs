//! Buffers that are never live together share a slot.
//!
//! ```text
//! 0  gemm -> b0            b0: slot 0
//! 1  map b0 -> b1     →    b1: slot 1
//! 2  gemm b1 -> b2         b2: slot 0        // b0 was last read by step 1
//! ```
//!
//! Decided here: the slot of each buffer, first fit by expected size; a slot that held the same rows is preferred, so that
//! its size is right whatever the batch brings. Outputs are live to the end.

use super::costs::Costs;
use gsl_plan::program::Domain;
use gsl_plan::schedule::{Buffer, Schedule};
use gsl_plan::verify_schedule::lifetimes;
use std::collections::BinaryHeap;

/// A slot that nobody uses now.
#[derive(Debug, Clone, Copy)]
struct Free {
    slot: u32,
    bytes: f64,
    last: (Domain, usize),
}

pub(super) fn assign(schedule: &mut Schedule, costs: &Costs) {
    let mut order: Vec<(usize, usize, usize)> = lifetimes(schedule)
        .into_iter()
        .enumerate()
        .filter_map(|(i, life)| life.map(|(from, to)| (from, to, i)))
        .collect();
    order.sort_unstable();
    let mut free: Vec<Free> = vec![];
    let mut busy: BinaryHeap<std::cmp::Reverse<(usize, u32)>> = BinaryHeap::new();
    let mut slots: Vec<Free> = vec![];
    for (from, to, i) in order {
        while let Some(std::cmp::Reverse((end, slot))) = busy.peek().copied().filter(|b| b.0.0 < from) {
            busy.pop();
            debug_assert!(end < from);
            free.push(slots[slot as usize]);
        }
        let buffer = &mut schedule.buffers[i];
        let slot = pick(&mut free, &mut slots, buffer, bytes(buffer, costs));
        buffer.slot = slot;
        busy.push(std::cmp::Reverse((to, slot)));
    }
    schedule.slots = slots.len() as u32;
}

/// Expected size of a buffer.
pub(super) fn bytes(buffer: &Buffer, costs: &Costs) -> f64 {
    4.0 * costs.rows(buffer.domain) * buffer.width as f64
}

fn pick(free: &mut Vec<Free>, slots: &mut Vec<Free>, buffer: &Buffer, bytes: f64) -> u32 {
    let shape = (buffer.domain, buffer.width);
    let waste = |f: &Free| {
        let same = u8::from(f.last != shape) + u8::from(f.last.0 != buffer.domain);
        (same, (f.bytes - bytes).abs())
    };
    let best = (0..free.len()).min_by(|a, b| {
        let (a, b) = (waste(&free[*a]), waste(&free[*b]));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let global = |d: Domain| d == Domain::Global;
    match best.filter(|i| global(free[*i].last.0) == global(buffer.domain)) {
        Some(i) => {
            let taken = free.swap_remove(i);
            let slot = &mut slots[taken.slot as usize];
            *slot = Free { slot: taken.slot, bytes: taken.bytes.max(bytes), last: shape };
            taken.slot
        }
        None => {
            let slot = slots.len() as u32;
            slots.push(Free { slot, bytes, last: shape });
            slot
        }
    }
}
