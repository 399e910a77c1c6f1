//! Pairs of nodes that are scored: edges with a label, links and what they are told apart from.
//!
//! A batch puts pairs in front of the sampled neighbourhood, as one more hop. A pair is a row of a node type that the graph
//! does not have, and reads its ends along relations that the graph does not have: one edge of `from` leads from its
//! source to it, one edge of `to` from its destination, and the edges of a [`Corrupted`] side lead from the nodes that
//! take the place of its source or destination. So the operations of message passing score pairs too.

use crate::symbol::Symbol;
use serde::{Deserialize, Serialize};

/// What a `predict` of pairs scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// The node type whose rows are the pairs.
    pub ty: u32,
    /// Relations whose edges are the pairs that are known, all between the same two node types.
    pub relations: Vec<u32>,
    /// Node types of the ends.
    pub src: u32,
    pub dst: u32,
    /// The label of these relations that has the parts of the split, and of a labelled edge the value.
    pub label: u32,
    /// Relation from the source's type to `ty`, one edge for each pair.
    pub from: u32,
    /// Relation from the destination's type to `ty`, one edge for each pair.
    pub to: u32,
    /// Rows for the relation of each pair.
    pub kinds: Kinds,
    /// None where a label of edges is predicted.
    pub links: Option<Links>,
}

/// A node type with a row for each of [`Pairs::relations`], and the relation that leads from there to the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kinds {
    pub ty: u32,
    pub rel: u32,
}

/// Groups of fewer pairs than this are scored edge by edge.
const SMALLEST_TILE: u32 = 4;

/// Link prediction: pairs that are edges against pairs that are not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Links {
    /// Relations from the types of source and destination to the pairs, an edge for each negative of each pair.
    pub ends: [u32; 2],
    /// Ends that are corrupted in training.
    pub sides: Vec<Side>,
    pub negatives: Negatives,
    pub protocol: Protocol,
}

impl Pairs {
    /// The node type of one end.
    pub fn end(&self, side: Side) -> u32 {
        match side {
            Side::Source => self.src,
            Side::Destination => self.dst,
        }
    }
}

impl Links {
    pub fn corrupted(&self, sides: &[Side]) -> Vec<Corrupted> {
        sides.iter().map(|side| Corrupted { side: *side, rel: self.ends[*side as usize] }).collect()
    }
}

/// An end of the pairs in whose place other nodes are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrupted {
    pub side: Side,
    /// Relation from the side's node type to the pairs: an edge for each negative of each pair.
    pub rel: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    Source,
    Destination,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Destination => "destination",
        }
    }
}

/// The nodes that pairs of a batch are told apart from in training. Pairs that follow one another in a batch make groups,
/// and those of a group share what is drawn for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Negatives {
    /// Pairs of a group; 1: every pair has negatives of its own.
    pub group: u32,
    /// Nodes drawn for each group: uniformly and with replacement, unless `rust` draws them.
    pub drawn: u32,
    /// The nodes are this many ranges of near-equal size in the order of their numbers, and what is drawn for a pair is of the
    /// range that its end is in. Of a group, draws take the ranges of its pairs in turn. 1: all nodes.
    #[serde(default = "whole")]
    pub partitions: u32,
    /// What draws them instead, as the program that runs the plan has registered it.
    #[serde(default)]
    pub rust: Option<Symbol>,
    /// The same ends of the group's other pairs too.
    pub in_batch: bool,
    /// Of each pair's own candidates, at most so many: (index among the relation's candidates, number).
    pub hard: Option<(u32, u32)>,
    /// Nodes that make an edge of the training graph are left out.
    pub filtered: bool,
    /// Every batch has edges of every relation.
    pub every_relation: bool,
}

fn whole() -> u32 {
    1
}

impl Negatives {
    /// Whether groups share enough for a matrix product of each.
    pub fn in_tiles(&self) -> bool {
        self.group >= SMALLEST_TILE && self.hard.is_none()
    }

    /// The most that a pair has on one side.
    pub fn width(&self) -> u32 {
        let others = if self.in_batch { self.group } else { 0 };
        self.drawn + others + self.hard.map_or(0, |(_, n)| n)
    }
}

/// How links are ranked in evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    pub against: Against,
    /// Nodes that make an edge, of whatever part, are left out.
    pub filtered: bool,
    pub sides: Vec<Side>,
}

/// What takes the place of the right node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Against {
    /// So many nodes for each pair and side, drawn uniformly with replacement: the same at every evaluation.
    Uniform(u32),
    All,
    /// The candidates that the edge has.
    Given {
        candidates: u32,
    },
}

impl Protocol {
    /// As printed beside every number: `against all, filtered, both sides`.
    pub fn show(&self) -> String {
        let against = match self.against {
            Against::Uniform(k) => format!("against uniform({k})"),
            Against::All => "against all".to_owned(),
            Against::Given { .. } => "against given candidates".to_owned(),
        };
        let filtered = if self.filtered { "filtered" } else { "raw" };
        let sides = match self.sides.as_slice() {
            [one] => one.name(),
            _ => "both sides",
        };
        format!("{against}, {filtered}, {sides}")
    }
}
