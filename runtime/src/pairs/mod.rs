//! Pairs of nodes that are scored: the known edges of a prediction, batches of them, their negatives, their ranks.
//!
//! Decided here: how an edge of several relations is numbered. `head` turns edges into what a batch has in front,
//! `negatives` draws what they are told apart from, in `partitions` if they are to be near, `score` judges them,
//! `best` finds the most likely of all.

mod best;
mod head;
mod negatives;
mod partitions;
mod score;

pub use best::{Best, Wanted};
pub use head::{HeadMaker, PairBatch};
pub use score::{Known, Scoring};

use crate::view::GraphView;
use gsl_plan::graph::Part;
use gsl_plan::pairs::{Links, Pairs};
use gsl_plan::plan::{Predict, Task};
use negatives::end;
use partitions::Partitions;

/// The edges of the relations of a prediction, numbered one relation after the other.
#[derive(Clone, Copy)]
pub struct Edges<'a> {
    view: &'a dyn GraphView,
    pairs: &'a Pairs,
    task: &'a Task,
}

/// An edge: the number of its relation among those of the prediction, its CSC position, its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub kind: u32,
    pub position: u64,
    pub src: u32,
    pub dst: u32,
}

impl<'a> Edges<'a> {
    /// None for a prediction of nodes. `view` is the whole graph.
    pub fn of(view: &'a dyn GraphView, predict: &'a Predict) -> Option<Self> {
        Some(Edges { view, pairs: predict.pairs.as_ref()?, task: &predict.task })
    }

    pub fn links(&self) -> Option<&'a Links> {
        self.pairs.links.as_ref()
    }

    /// First number of each relation, and behind them the number of all edges.
    fn offsets(&self) -> Vec<u64> {
        let counts = self.pairs.relations.iter().map(|rel| self.view.csc(*rel).src.len() as u64);
        let mut offsets = vec![0];
        counts.for_each(|n| offsets.push(offsets[offsets.len() - 1] + n));
        offsets
    }

    /// Numbers of the edges of a part that have a label, ascending.
    pub fn part(&self, part: Part) -> Vec<u64> {
        let mut found = Vec::new();
        let mut first = 0;
        for rel in &self.pairs.relations {
            let (parts, labels) = (self.view.edge_parts(*rel, self.pairs.label), self.labels(*rel));
            let width = self.task.label_width();
            let is_known = |at: usize| self.is_known(&labels[at * width..(at + 1) * width]);
            let chosen = (0..parts.len()).filter(|&at| parts[at] == part as u8 && is_known(at));
            found.extend(chosen.map(|at| first + at as u64));
            first += parts.len() as u64;
        }
        found
    }

    fn labels(&self, rel: u32) -> &'a [f32] {
        self.view.edge_label(rel, self.pairs.label)
    }

    fn is_known(&self, label: &[f32]) -> bool {
        match self.task {
            Task::Classification { .. } => label[0] >= 0.0,
            _ => label.iter().any(|y| !y.is_nan()),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.offsets().last().copied().unwrap_or(0)
    }

    /// Those of these numbers, by relation and position.
    pub fn some(&self, numbers: std::ops::Range<u64>) -> Vec<Edge> {
        let offsets = self.offsets();
        numbers.map(|number| self.edge(&offsets, number)).collect()
    }

    /// The code of the part that an edge is in.
    pub fn part_of(&self, edge: &Edge) -> u8 {
        let rel = self.pairs.relations[edge.kind as usize];
        self.view.edge_parts(rel, self.pairs.label)[edge.position as usize]
    }

    /// The edges of these numbers.
    pub fn find(&self, numbers: &[u64]) -> Vec<Edge> {
        let offsets = self.offsets();
        numbers.iter().map(|&number| self.edge(&offsets, number)).collect()
    }

    fn edge(&self, offsets: &[u64], number: u64) -> Edge {
        let kind = offsets.partition_point(|&first| first <= number) - 1;
        let position = number - offsets[kind];
        let csc = self.view.csc(self.pairs.relations[kind]);
        let dst = csc.indptr.partition_point(|&first| first <= position) - 1;
        Edge { kind: kind as u32, position, src: csc.src[position as usize], dst: dst as u32 }
    }

    /// The relation of each edge, by its number among those of the prediction.
    pub fn kinds(&self, numbers: &[u64]) -> Vec<u32> {
        let offsets = self.offsets();
        let kind = |number: &u64| offsets.partition_point(|first| first <= number) as u32 - 1;
        numbers.iter().map(kind).collect()
    }

    /// The partition that the corrupted end of each edge is in, where groups draw within partitions; of two corrupted ends that
    /// of the destination.
    pub fn partitions(&self, numbers: &[u64]) -> Option<Vec<u32>> {
        let links =
            self.links().filter(|links| links.negatives.partitions > 1 && links.negatives.group > 1)?;
        let side = *links.sides.iter().max()?;
        let partitions =
            Partitions::new(self.view.node_count(self.pairs.end(side)) as u32, links.negatives.partitions);
        let edges = self.find(numbers).into_iter();
        Some(edges.map(|edge| partitions.of(end(&edge, side))).collect())
    }

    /// A stored feature of an edge.
    pub fn feature(&self, edge: &Edge, feature: u32) -> Vec<f32> {
        let matrix = self.view.edge_feature(self.pairs.relations[edge.kind as usize], feature);
        let at = edge.position as usize;
        matrix.stored.row(matrix.rows.map_or(at, |rows| rows[at] as usize))
    }

    /// What the label of an edge is: one number, or of several classes one for each; NaN of a pair that is no edge.
    pub fn label(&self, edge: &Edge) -> &'a [f32] {
        let width = self.task.label_width();
        let labels = self.labels(self.pairs.relations[edge.kind as usize]);
        let start = edge.position as usize * width;
        labels.get(start..start + width).unwrap_or(&[f32::NAN])
    }
}
