//! Ranges of near-equal size that the nodes of a type are cut into, in the order of their numbers.

use std::ops::Range;

/// `count` ranges of `0..nodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitions {
    nodes: u32,
    count: u32,
}

impl Partitions {
    /// At least one, and no more than there are nodes.
    pub fn new(nodes: u32, count: u32) -> Self {
        Self { nodes, count: count.clamp(1, nodes.max(1)) }
    }

    /// The number of the range that a node is in.
    pub fn of(self, node: u32) -> u32 {
        ((u64::from(node) + 1) * u64::from(self.count)).div_ceil(u64::from(self.nodes.max(1))) as u32 - 1
    }

    pub fn range(self, number: u32) -> Range<u32> {
        let start = |at: u64| (u64::from(self.nodes) * at / u64::from(self.count)) as u32;
        start(u64::from(number))..start(u64::from(number) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_node_is_in_the_range_of_its_number(nodes in 1u32..5000, count in 1u32..300) {
            let partitions = Partitions::new(nodes, count);
            let mut end = 0;
            for number in 0..count.min(nodes) {
                let range = partitions.range(number);
                prop_assert_eq!(range.start, end);
                prop_assert!(range.len() as u32 >= nodes / count.min(nodes));
                end = range.end;
                prop_assert!(range.into_iter().all(|node| partitions.of(node) == number));
            }
            prop_assert_eq!(end, nodes);
        }
    }

    #[test]
    fn four_thousand_million_nodes_do_not_overflow() {
        let partitions = Partitions::new(u32::MAX, 1 << 20);
        assert_eq!(partitions.of(u32::MAX - 1), (1 << 20) - 1);
        assert_eq!(partitions.range((1 << 20) - 1).end, u32::MAX);
    }
}
