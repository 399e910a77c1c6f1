//! Which seeds make a batch.
//!
//! The order of an epoch is a function of (seed, epoch) alone; a batch is the same whatever the number of ranks, and
//! each rank takes a contiguous share of it.

use crate::pairs::Edges;
use crate::view::GraphView;
use gsl_kernels::random::{Key, shuffle};
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict, Task};
use std::ops::Range;

const PURPOSE: u32 = u32::from_be_bytes(*b"epok");
/// Orders of pairs are keyed behind those of node types.
const PAIRS: u64 = 1 << 32;

/// What is trained on: seeds by node type, ascending, and edges by predict of pairs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seeds {
    pub by_type: Vec<(u32, Vec<u32>)>,
    /// Numbers of [`Edges`], ascending.
    pub by_predict: Vec<(usize, Vec<u64>)>,
}

impl Seeds {
    /// Nodes and edges that are labelled and in the training part of a `predict`.
    pub fn of(plan: &Plan, view: &dyn GraphView) -> Self {
        let pairs = plan.predicts.iter().enumerate();
        let edges = pairs.filter_map(|(i, p)| Some((i, Edges::of(view, p)?.part(Part::Train))));
        Seeds { by_type: labelled(plan, view, Part::Train), by_predict: edges.collect() }
    }

    /// Steps of one epoch; at least one where there are seeds.
    pub fn batches(&self, batch: Option<u32>) -> u32 {
        let lists = self.by_type.iter().map(|(_, ids)| ids.len());
        let most = lists.chain(self.by_predict.iter().map(|(_, numbers)| numbers.len())).max().unwrap_or(0);
        match batch {
            None => u32::from(most > 0),
            Some(size) => most.div_ceil(size.max(1) as usize) as u32,
        }
    }

    pub fn len(&self) -> usize {
        let nodes: usize = self.by_type.iter().map(|(_, ids)| ids.len()).sum();
        nodes + self.by_predict.iter().map(|(_, numbers)| numbers.len()).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The seeds of an epoch in their order. With one batch the order of nodes does not matter and is left as it is.
    pub fn epoch(&self, plan: &Plan, view: &dyn GraphView, epoch: u32, batches: u32) -> Seeds {
        let key = Key::new(plan.seed, PURPOSE).fold(u64::from(epoch));
        let nodes = |(ty, ids): &(u32, Vec<u32>)| match batches {
            0 | 1 => (*ty, ids.clone()),
            _ => (*ty, shuffled(key.fold(u64::from(*ty)), ids)),
        };
        let pairs = |(predict, numbers): &(usize, Vec<u64>)| {
            let order = shuffled(key.fold(PAIRS + *predict as u64), numbers);
            let order = spread(order, &plan.predicts[*predict], view);
            (*predict, gathered(order, &plan.predicts[*predict], view, batches))
        };
        Seeds {
            by_type: self.by_type.iter().map(nodes).collect(),
            by_predict: self.by_predict.iter().map(pairs).collect(),
        }
    }
}

fn shuffled<T: Copy>(key: Key, items: &[T]) -> Vec<T> {
    shuffle(key, items.len()).into_iter().map(|i| items[i as usize]).collect()
}

/// The order, or if every batch is to have its share of every relation, one in which they take turns by their sizes.
fn spread(order: Vec<u64>, predict: &Predict, view: &dyn GraphView) -> Vec<u64> {
    let links = predict.pairs.as_ref().and_then(|pairs| pairs.links.as_ref());
    let Some(edges) = Edges::of(view, predict).filter(|_| links.is_some_and(|l| l.negatives.every_relation))
    else {
        return order;
    };
    let kinds = edges.kinds(&order);
    let mut sizes: Vec<u64> = vec![0; kinds.iter().max().map_or(0, |kind| *kind as usize + 1)];
    kinds.iter().for_each(|kind| sizes[*kind as usize] += 1);
    let mut seen = vec![0u64; sizes.len()];
    let mut turns: Vec<(f64, u64)> = Vec::with_capacity(order.len());
    for (number, kind) in order.into_iter().zip(kinds) {
        let at = (seen[kind as usize] as f64 + 0.5) / sizes[kind as usize] as f64;
        seen[kind as usize] += 1;
        turns.push((at, number));
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    turns.into_iter().map(|(_, number)| number).collect()
}

/// The order, or if groups draw within partitions, one in which pairs of a partition follow one another in each batch.
fn gathered(order: Vec<u64>, predict: &Predict, view: &dyn GraphView, batches: u32) -> Vec<u64> {
    let Some(partitions) = Edges::of(view, predict).and_then(|edges| edges.partitions(&order)) else {
        return order;
    };
    let mut placed: Vec<(u32, u64)> = partitions.into_iter().zip(order).collect();
    for batch in 0..batches as usize {
        let of_batch = share(placed.len(), batch, batches as usize);
        placed[of_batch].sort_by_key(|(partition, _)| *partition);
    }
    placed.into_iter().map(|(_, number)| number).collect()
}

/// By node type, the nodes that are labelled and in `part` for a `predict` of their type, ascending.
pub fn labelled(plan: &Plan, view: &dyn GraphView, part: Part) -> Vec<(u32, Vec<u32>)> {
    let of_nodes = || plan.predicts.iter().filter(|p| p.pairs.is_none());
    let mut types: Vec<u32> = of_nodes().map(|p| p.ty).collect();
    types.sort_unstable();
    types.dedup();
    let of = |ty: u32| {
        let predicts: Vec<_> = of_nodes().filter(|p| p.ty == ty).collect();
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
        Task::Regression { .. } | Task::Reconstruction { .. } | Task::Links => !label[0].is_nan(),
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
    use crate::toys;
    use crate::view::MemoryGraph;

    #[test]
    fn shares_tile_the_whole() {
        for n in 1..6 {
            let all: Vec<_> = (0..n).flat_map(|i| share(17, i, n)).collect();
            assert_eq!(all, (0..17).collect::<Vec<_>>());
        }
    }

    #[test]
    fn links_of_a_partition_follow_one_another_in_a_batch() {
        let ends: Vec<(u32, u32)> = (0..60).map(|at| (at, at * 7 % 60)).collect();
        let mut graph = MemoryGraph::new(&[60]);
        graph.add_relation(0, 0, &ends);
        let predict = toys::links(toys::negatives(4, 4, 3));
        let order = shuffled(Key::new(7, PURPOSE), &(0..60).collect::<Vec<u64>>());
        let found = gathered(order.clone(), &predict, &graph, 4);
        let edges = Edges::of(&graph, &predict).expect("pairs");
        for batch in 0..4 {
            let [mut before, mut after] = [&order, &found].map(|all| all[share(60, batch, 4)].to_vec());
            let partitions = edges.partitions(&after).expect("partitions");
            assert!(partitions.is_sorted() && partitions.len() == 15, "{partitions:?}");
            before.sort_unstable();
            after.sort_unstable();
            assert_eq!(before, after, "the links of a batch are the same");
        }
        let alone = toys::links(toys::negatives(1, 4, 3));
        assert_eq!(gathered(order.clone(), &alone, &graph, 4), order, "no link shares what it draws");
    }

    #[test]
    fn an_epoch_is_a_permutation_that_depends_on_the_epoch() {
        let ids: Vec<u32> = (0..100).map(|i| 2 * i).collect();
        let order = |epoch: u64| shuffled(Key::new(7, PURPOSE).fold(epoch), &ids);
        assert_ne!(order(1), order(2));
        assert_eq!(order(1), order(1));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, ids);
        let seeds = Seeds { by_type: vec![(0, ids)], ..Seeds::default() };
        assert_eq!(seeds.batches(Some(32)), 4);
    }
}
