//! What a graph of new tables takes over from the graph that a model was trained on: statistics, classes, relations, and which
//! nodes have taught.

use std::collections::BTreeSet;

use gsl_plan::graph::{Part, Relation};

use super::edges;
use super::error::Result;
use super::feature::FittedFeature;
use super::label::FittedLabel;
use super::nodes::{NAMED, Nodes};
use crate::graph::{Graph, Key, Keys};
use crate::view::GraphView;

/// The graph that a model was trained on, of the same declaration.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    graph: &'a Graph,
}

impl<'a> Known<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        Known { graph }
    }

    /// What tells it from every other graph.
    pub fn key(&self) -> &'a str {
        &self.graph.meta().content_key
    }

    pub fn features(&self, ty: usize) -> &'a [FittedFeature] {
        self.graph.fitted().nodes.get(ty).map_or(&[], Vec::as_slice)
    }

    pub fn labels(&self, ty: usize) -> &'a [FittedLabel] {
        self.graph.fitted().labels.get(ty).map_or(&[], Vec::as_slice)
    }

    pub fn edges(&self, declared: usize) -> edges::Known<'a> {
        let fitted = self.graph.fitted();
        let family = match self.graph.plan().edges[declared].relation {
            Relation::Column(_) => Some(self.relations(declared)),
            Relation::Named(_) => None,
        };
        edges::Known {
            features: fitted.edges.get(declared).map_or(&[], Vec::as_slice),
            labels: fitted.edge_labels.get(declared).map_or(&[], Vec::as_slice),
            family,
        }
    }

    fn relations(&self, declared: usize) -> Vec<&'a str> {
        let all = self.graph.facts().relations.iter();
        let own = all.filter(|facts| facts.declared_by == declared && facts.reverse_of.is_none());
        own.map(|facts| facts.name.as_str()).collect()
    }

    /// The part of every node of a type: nodes that trained or validated a label stay what they were, all others test it. A type whose
    /// nodes go by their row numbers has no node that is known to be another one.
    pub fn parts(&self, ty: usize, label: usize, nodes: &Nodes) -> Result<Vec<u8>> {
        let mut parts = vec![Part::Test as u8; nodes.len()];
        if self.graph.plan().nodes[ty].key.is_none() {
            return Ok(parts);
        }
        let (keys, before) = (self.graph.keys(ty as u32), self.graph.parts(ty as u32, label as u32));
        for (id, part) in parts.iter_mut().enumerate() {
            let found = nodes.keys.with_bytes(id, |bytes| find(&keys, bytes))?;
            let taught = found
                .map(|node| before[node as usize])
                .filter(|&part| part == Part::Train as u8 || part == Part::Valid as u8);
            *part = taught.unwrap_or(*part);
        }
        Ok(parts)
    }
}

/// The node of a key, which is the bytes of a text or the eight of an integer.
fn find(keys: &Keys, bytes: &[u8]) -> Option<u32> {
    match keys {
        Keys::Texts { .. } => keys.find(Key::Text(std::str::from_utf8(bytes).ok()?)),
        Keys::Ints(_) | Keys::Rows(_) => keys.find(Key::Int(i64::from_le_bytes(bytes.try_into().ok()?))),
    }
}

/// Values that were never trained, and how many rows have one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strangers {
    pub rows: u64,
    /// The first of them, in the order of texts.
    pub first: BTreeSet<String>,
}

impl Strangers {
    pub fn add(&mut self, name: &str) {
        if !self.first.contains(name) {
            self.first.insert(name.to_string());
        }
        if self.first.len() > NAMED {
            self.first.pop_last();
        }
    }

    pub fn merge(&mut self, other: Strangers) {
        self.rows += other.rows;
        other.first.iter().for_each(|name| self.add(name));
    }
}
