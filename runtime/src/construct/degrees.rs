//! How often each node is an end of edges, counted by several threads.

use std::sync::{Mutex, TryLockError};

/// At most this share of the memory is counters.
const SHARE: u64 = 16;

/// Counters of all nodes, several times over: a thread counts in some that no other one uses, so that nothing is atomic.
pub struct Degrees {
    counters: Vec<Mutex<Vec<u32>>>,
    nodes: usize,
}

impl Degrees {
    pub fn new(nodes: usize, memory: u64) -> Self {
        let room = usize::try_from(memory / SHARE / (4 * nodes.max(1) as u64)).unwrap_or(usize::MAX);
        let copies = room.clamp(1, rayon::current_num_threads());
        Self { counters: (0..copies).map(|_| Mutex::default()).collect(), nodes }
    }

    /// Counts each of the nodes once more.
    pub fn count(&self, nodes: &[u32]) {
        let free = self.counters.iter().find_map(|counters| match counters.try_lock() {
            Err(TryLockError::WouldBlock) => None,
            free => Some(free.expect("no thread panics here")),
        });
        let first = || self.counters[0].lock().expect("no thread panics here");
        let mut counters = free.unwrap_or_else(first);
        counters.resize(self.nodes, 0);
        nodes.iter().for_each(|&node| counters[node as usize] += 1);
    }

    /// The most that a node was counted.
    pub fn most(self) -> u64 {
        let all =
            self.counters.into_iter().map(|counters| counters.into_inner().expect("no thread panics here"));
        let used: Vec<Vec<u32>> = all.filter(|counters| !counters.is_empty()).collect();
        let sum = |node: usize| used.iter().map(|counters| u64::from(counters[node])).sum();
        (0..self.nodes).map(sum).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn threads_count_what_one_counts() {
        let nodes: Vec<u32> = (0..10_000).map(|i| i * i % 97).collect();
        let most = (0..97).map(|node| nodes.iter().filter(|&&other| other == node).count()).max().unwrap();
        for memory in [0, 1 << 30] {
            let degrees = Degrees::new(97, memory);
            nodes.par_chunks(10).for_each(|some| degrees.count(some));
            assert_eq!(degrees.most(), most as u64);
        }
        assert_eq!(Degrees::new(0, 1 << 30).most(), 0);
    }
}
