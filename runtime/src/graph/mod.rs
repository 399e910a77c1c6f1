//! The graph file: HDF5 with contiguous, uncompressed datasets that are mapped straight into memory.
//!
//! Decided here: the layout (docs/graph-file.md), how it is written whole, how it is checked and mapped. Not decided here: what the
//! arrays mean to a sampler ([`crate::view`]) and how they are made ([`crate::construct`]).

mod error;
mod map;
pub mod piece;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gsl_plan::graph::{GraphFacts, GraphPlan, Source};
use gsl_tables::Fingerprint;
use serde::{Deserialize, Serialize};

pub use error::GraphError;
pub use write::GraphWriter;

use crate::construct::{BuildReport, FittedGraph};
use crate::view::{Csc, EdgeMatrix, GraphView, StoredMatrix};
use map::{Mapped, Numbers, Section};
use piece::{Element, Piece};

/// Raised when the meaning of a dataset changes; a file of another version is built anew.
pub const LAYOUT_VERSION: u32 = 2;

/// Above this size, [`Graph::quick_verify`] trusts the file.
const QUICK_VERIFY_BYTES: u64 = 256 << 20;

/// What the file says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Meta {
    pub content_key: String,
    pub plan: GraphPlan,
    pub facts: GraphFacts,
    pub fitted: FittedGraph,
    pub fingerprints: Vec<(Source, Fingerprint)>,
    pub report: BuildReport,
    /// What was computed from what, so that a later build takes over what has not changed.
    pub stages: Vec<StageRecord>,
}

/// A stage of a build: the hash of all that it depends on, what it found out, and its arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    pub key: String,
    pub name: String,
    pub seconds: f64,
    pub result: serde_json::Value,
    pub arrays: Vec<ArrayRecord>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArrayRecord {
    /// Its name within the stage.
    pub name: String,
    /// The dataset in the graph file.
    pub dataset: String,
    pub element: Element,
    pub width: Option<usize>,
}

/// A graph in a mapped file. All arrays are borrowed from the map; opening reads little more than the metadata.
pub struct Graph {
    path: PathBuf,
    meta: Meta,
    mapped: Arc<Mapped>,
    nodes: Vec<NodeArrays>,
    relations: Vec<RelationArrays>,
}

struct NodeArrays {
    count: usize,
    keys: KeyArrays,
    features: Vec<Numbers>,
    labels: Vec<LabelArrays>,
    degree: Section<f32>,
    time: Option<Section<i64>>,
    graph: Option<Section<u32>>,
}

/// Values and parts.
type LabelArrays = (Section<f32>, Section<u8>);

enum KeyArrays {
    Rows,
    Ints(Section<i64>),
    Texts { offsets: Section<u64>, bytes: Section<u8> },
}

struct RelationArrays {
    indptr: Section<u64>,
    src: Section<u32>,
    rows: Section<u32>,
    /// Empty for a reverse: it shares those of its forward relation.
    features: Vec<Numbers>,
    labels: Vec<LabelArrays>,
    time: Option<Section<i64>>,
    /// With how many each edge has.
    candidates: Vec<(usize, Section<u32>)>,
}

/// The user's identifier of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// The row number, from 0: the type has no key column.
    Row(u64),
    Int(i64),
    Text(&'a str),
}

/// The identifiers of all nodes of a type, ascending.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    Rows(usize),
    Ints(&'a [i64]),
    /// Text i is `bytes[offsets[i]..offsets[i + 1]]`, UTF-8.
    Texts {
        offsets: &'a [u64],
        bytes: &'a [u8],
    },
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Row(row) => write!(f, "{row}"),
            Key::Int(key) => write!(f, "{key}"),
            Key::Text(key) => write!(f, "{key}"),
        }
    }
}

impl<'a> Key<'a> {
    /// The text of a text key.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Key::Text(text) => Some(text),
            Key::Row(_) | Key::Int(_) => None,
        }
    }
}

impl<'a> Keys<'a> {
    pub fn get(&self, id: usize) -> Key<'a> {
        match self {
            Keys::Rows(_) => Key::Row(id as u64),
            Keys::Ints(keys) => Key::Int(keys[id]),
            Keys::Texts { offsets, bytes } => {
                let text = bytes.get(offsets[id] as usize..offsets[id + 1] as usize).unwrap_or_default();
                Key::Text(std::str::from_utf8(text).unwrap_or("\u{fffd}"))
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Keys::Rows(count) => *count,
            Keys::Ints(keys) => keys.len(),
            Keys::Texts { offsets, .. } => offsets.len() - 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a key, by bisection.
    pub fn find(&self, key: Key) -> Option<u32> {
        let found = match (self, key) {
            (Keys::Rows(count), Key::Row(row)) => return (row < *count as u64).then_some(row as u32),
            (Keys::Rows(count), Key::Int(row)) => {
                return u64::try_from(row).ok().filter(|&row| row < *count as u64).map(|row| row as u32);
            }
            (Keys::Ints(keys), Key::Int(key)) => keys.binary_search(&key).ok(),
            (Keys::Texts { .. }, Key::Text(key)) => self.find_text(key),
            _ => None,
        };
        found.map(|id| id as u32)
    }

    fn find_text(&self, key: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let Key::Text(found) = self.get(middle) else { return None };
            match found.as_bytes().cmp(key.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }
}

impl Graph {
    /// Opens and maps a graph file; its structure is checked, its numbers are not (see [`Graph::verify`]).
    pub fn open(path: &Path) -> Result<Self, GraphError> {
        let (mapped, meta) = map::open(path)?;
        let nodes = meta
            .facts
            .nodes
            .iter()
            .zip(&meta.plan.nodes)
            .map(|(facts, declared)| map::node_arrays(&mapped, facts, declared))
            .collect::<Result<_, _>>()?;
        let relations = (0..meta.facts.relations.len())
            .map(|index| map::relation_arrays(&mapped, &meta.facts, index, &meta.plan))
            .collect::<Result<_, _>>()?;
        Ok(Self { path: path.to_path_buf(), meta, mapped: Arc::new(mapped), nodes, relations })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    pub fn plan(&self) -> &GraphPlan {
        &self.meta.plan
    }

    pub fn facts(&self) -> &GraphFacts {
        &self.meta.facts
    }

    pub fn report(&self) -> &BuildReport {
        &self.meta.report
    }

    pub fn fitted(&self) -> &FittedGraph {
        &self.meta.fitted
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.mapped.len() as u64
    }

    /// The datasets of the file, in the order of their names, and the bytes that each holds.
    pub fn datasets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.mapped.datasets()
    }

    pub fn keys(&self, ty: u32) -> Keys<'_> {
        let node = &self.nodes[ty as usize];
        match &node.keys {
            KeyArrays::Rows => Keys::Rows(node.count),
            KeyArrays::Ints(keys) => Keys::Ints(self.mapped.get(keys)),
            KeyArrays::Texts { offsets, bytes } => {
                Keys::Texts { offsets: self.mapped.get(offsets), bytes: self.mapped.get(bytes) }
            }
        }
    }

    pub fn key(&self, ty: u32, id: u32) -> Key<'_> {
        self.keys(ty).get(id as usize)
    }

    /// For each CSC position, the row of its edge in the table of edges (from 0); for a reverse relation, the CSC position of the edge
    /// in its forward relation.
    pub fn stored_rows(&self, rel: u32) -> &[u32] {
        self.mapped.get(&self.relations[rel as usize].rows)
    }

    /// An array of a stage, for another graph to take over; none if its bytes are not those that were written.
    pub fn piece(&self, array: &ArrayRecord) -> Option<Piece> {
        self.mapped.piece(&array.dataset, array.element, array.width)
    }

    /// The stored hash of a dataset's bytes, in hexadecimal.
    pub fn hash(&self, dataset: &str) -> Option<String> {
        self.mapped.hash(dataset)
    }

    /// The relation that stores what a relation's edges have: a reverse shares all with its forward relation, whose positions
    /// [`Graph::stored_rows`] of the reverse names.
    pub fn owner(&self, rel: u32) -> u32 {
        self.meta.facts.relations[rel as usize].reverse_of.map_or(rel, |forward| forward as u32)
    }

    fn owned(&self, rel: u32) -> &RelationArrays {
        &self.relations[self.owner(rel) as usize]
    }

    /// The values of a label of edges, by the CSC positions of [`Graph::owner`]: class index (-1 unlabelled), target (NaN unlabelled),
    /// or edges × classes of 0 and 1.
    pub fn edge_label(&self, rel: u32, label: u32) -> &[f32] {
        self.mapped.get(&self.owned(rel).labels[label as usize].0)
    }

    /// The part of each edge, as [`gsl_plan::graph::Part`] codes it, by the CSC positions of [`Graph::owner`].
    pub fn edge_parts(&self, rel: u32, label: u32) -> &[u8] {
        self.mapped.get(&self.owned(rel).labels[label as usize].1)
    }

    /// When each edge came into being, by the CSC positions of [`Graph::owner`]: microseconds since 1970, or the integers of the table;
    /// `i64::MIN` of a loop that was added.
    pub fn edge_time(&self, rel: u32) -> Option<&[i64]> {
        self.owned(rel).time.as_ref().map(|time| self.mapped.get(time))
    }

    /// Candidates of each edge, edges × width, by the CSC positions of [`Graph::owner`]; `u32::MAX` behind the last of each.
    pub fn candidates(&self, rel: u32, column: u32) -> (usize, &[u32]) {
        let (width, ids) = &self.owned(rel).candidates[column as usize];
        (*width, self.mapped.get(ids))
    }

    /// When each node came into being, in the unit of [`Graph::edge_time`].
    pub fn node_time(&self, ty: u32) -> Option<&[i64]> {
        self.nodes[ty as usize].time.as_ref().map(|time| self.mapped.get(time))
    }

    /// Checks every dataset against its stored hash. Reads the whole file.
    pub fn verify(&self) -> Result<(), GraphError> {
        map::verify(&self.path, &self.mapped)
    }

    /// [`Graph::verify`] for files small enough that it takes no time worth mentioning.
    pub fn quick_verify(&self) -> Result<(), GraphError> {
        if self.bytes() > QUICK_VERIFY_BYTES { Ok(()) } else { self.verify() }
    }
}

impl GraphView for Graph {
    fn node_types(&self) -> usize {
        self.nodes.len()
    }

    fn relations(&self) -> usize {
        self.relations.len()
    }

    fn ends(&self, rel: u32) -> (u32, u32) {
        let facts = &self.meta.facts.relations[rel as usize];
        (facts.src as u32, facts.dst as u32)
    }

    fn node_count(&self, ty: u32) -> usize {
        self.nodes[ty as usize].count
    }

    fn csc(&self, rel: u32) -> Csc<'_> {
        let arrays = &self.relations[rel as usize];
        Csc { indptr: self.mapped.get(&arrays.indptr), src: self.mapped.get(&arrays.src) }
    }

    fn node_feature(&self, ty: u32, feature: u32) -> StoredMatrix<'_> {
        let width = self.meta.facts.nodes[ty as usize].features[feature as usize].width;
        StoredMatrix { data: self.mapped.floats(&self.nodes[ty as usize].features[feature as usize]), width }
    }

    fn edge_feature(&self, rel: u32, feature: u32) -> EdgeMatrix<'_> {
        let facts = &self.meta.facts.relations[rel as usize];
        let owner = facts.reverse_of.unwrap_or(rel as usize);
        let data = self.mapped.floats(&self.relations[owner].features[feature as usize]);
        EdgeMatrix {
            stored: StoredMatrix { data, width: facts.features[feature as usize].width },
            rows: facts.reverse_of.map(|_| self.stored_rows(rel)),
        }
    }

    fn label(&self, ty: u32, label: u32) -> &[f32] {
        self.mapped.get(&self.nodes[ty as usize].labels[label as usize].0)
    }

    fn parts(&self, ty: u32, label: u32) -> &[u8] {
        self.mapped.get(&self.nodes[ty as usize].labels[label as usize].1)
    }

    fn degree(&self, ty: u32) -> &[f32] {
        self.mapped.get(&self.nodes[ty as usize].degree)
    }

    fn edge_label(&self, rel: u32, label: u32) -> &[f32] {
        Graph::edge_label(self, rel, label)
    }

    fn edge_parts(&self, rel: u32, label: u32) -> &[u8] {
        Graph::edge_parts(self, rel, label)
    }

    fn edge_candidates(&self, rel: u32, candidates: u32) -> (usize, &[u32]) {
        self.candidates(rel, candidates)
    }

    fn membership(&self, ty: u32) -> Option<&[u32]> {
        self.nodes[ty as usize].graph.as_ref().map(|graph| self.mapped.get(graph))
    }

    fn forward(&self, rel: u32) -> Option<(u32, &[u32])> {
        let owner = self.meta.facts.relations[rel as usize].reverse_of?;
        Some((owner as u32, self.stored_rows(rel)))
    }
}
