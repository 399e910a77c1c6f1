//! Which seeds make a batch.
//!
//! The order of an epoch is a function of (seed, epoch) alone; a batch is the same whatever the number of ranks, and
//! each rank takes a contiguous share of it.

use crate::view::GraphView;
use gsl_kernels::random::{Key, shuffle};
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict, Task};
use std::ops::Range;

const PURPOSE: u32 = u32::from_be_bytes(*b"epok");

/// Training seeds by node type, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Seeds {
    pub by_type: Vec<(u32, Vec<u32>)>,
}

impl Seeds {
    /// Nodes that are labelled and in the training part of a `predict` of their type.
    pub fn of(plan: &Plan, view: &dyn GraphView) -> Self {
        Seeds { by_type: labelled(plan, view, Part::Train) }
    }

    /// Steps of one epoch; at least one where there are seeds.
    pub fn batches(&self, batch: Option<u32>) -> u32 {
        let most = self.by_type.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
        match batch {
            None => u32::from(most > 0),
            Some(size) => most.div_ceil(size.max(1) as usize) as u32,
        }
    }

    pub fn len(&self) -> usize {
        self.by_type.iter().map(|(_, ids)| ids.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The seeds of an epoch in their order. With one batch the order does not matter and is left as it is.
    pub fn epoch(&self, seed: u64, epoch: u32, batches: u32) -> Vec<(u32, Vec<u32>)> {
        let order = |ty: u32, ids: &Vec<u32>| {
            let key = Key::new(seed, PURPOSE).fold(u64::from(epoch)).fold(u64::from(ty));
            shuffle(key, ids.len()).into_iter().map(|i| ids[i as usize]).collect()
        };
        let shuffled =
            |(ty, ids): &(u32, Vec<u32>)| (*ty, if batches > 1 { order(*ty, ids) } else { ids.clone() });
        self.by_type.iter().map(shuffled).collect()
    }
}

/// By node type, the nodes that are labelled and in `part` for a `predict` of their type, ascending.
pub fn labelled(plan: &Plan, view: &dyn GraphView, part: Part) -> Vec<(u32, Vec<u32>)> {
    let mut types: Vec<u32> = plan.predicts.iter().map(|p| p.ty).collect();
    types.sort_unstable();
    types.dedup();
    let of = |ty: u32| {
        let predicts: Vec<_> = plan.predicts.iter().filter(|p| p.ty == ty).collect();
        let nodes = 0..view.node_count(ty) as u32;
        (ty, nodes.filter(|&v| predicts.iter().any(|p| is_labelled(view, p, v, part))).collect())
    };
    types.into_iter().map(of).collect()
}

/// Whether node `v` has a label and is in `part`.
pub fn is_labelled(view: &dyn GraphView, predict: &Predict, v: u32, part: Part) -> bool {
    let label = label_of(view, predict, v);
    let known = match predict.task {
        Task::Classification { .. } => label[0] >= 0.0,
        Task::Regression { .. } => !label[0].is_nan(),
        Task::MultiLabel { .. } => label.iter().any(|y| !y.is_nan()),
    };
    known && view.parts(predict.ty, predict.label)[v as usize] == part as u8
}

/// What the label of node `v` is: one number, or of several classes one for each.
pub fn label_of<'v>(view: &'v dyn GraphView, predict: &Predict, v: u32) -> &'v [f32] {
    let width = predict.task.label_width();
    &view.label(predict.ty, predict.label)[v as usize * width..][..width]
}

/// Part `i` of `n` near-equal contiguous parts of `0..len`.
pub fn share(len: usize, i: usize, n: usize) -> Range<usize> {
    len * i / n..len * (i + 1) / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_tile_the_whole() {
        for n in 1..6 {
            let all: Vec<_> = (0..n).flat_map(|i| share(17, i, n)).collect();
            assert_eq!(all, (0..17).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_epoch_is_a_permutation_that_depends_on_the_epoch() {
        let seeds = Seeds { by_type: vec![(0, (0..100).map(|i| 2 * i).collect())] };
        let (a, b) = (seeds.epoch(7, 1, 4), seeds.epoch(7, 2, 4));
        assert_ne!(a, b);
        let mut sorted = a[0].1.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, seeds.by_type[0].1);
        assert_eq!(a, seeds.epoch(7, 1, 4));
        assert_eq!(seeds.batches(Some(32)), 4);
    }
}
