//! What there is to know of a built graph, as plain data: counts, degrees, statistics of features, labels, sizes, times.
//!
//! Decided here: what is told (docs/inspect.md describes the JSON of it) and what each number means. Not decided here: how it looks;
//! the command line prints tables, [`crate::report`] makes pages.
//!
//! Everything is computed from the mapped arrays in one pass over each, in pieces: beyond a counter per source node of a relation
//! without a reverse, memory does not grow with the graph. What only the build could see (rows that were left out, cells that
//! were missing, times) comes from the report that the file carries.

mod degrees;
mod features;
mod labels;
mod members;
mod sizes;

use gsl_plan::graph::{GraphFacts, NodeFacts, Relation, RelationFacts};
use serde::{Deserialize, Serialize};

pub use degrees::Degrees;
pub use features::FeatureInspection;
pub use labels::{ClassCount, Distribution, LabelInspection};
pub use members::MembersInspection;
pub use sizes::Size;

use crate::construct::report::{NodeReport, RelationReport, SourceReport, StageTime};
use crate::graph::{Graph, Keys};

/// Raised when a field changes its meaning or goes; new fields do not raise it.
pub const STRUCTURE: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// [`STRUCTURE`].
    pub structure: u32,
    pub graph: String,
    /// Path of the graph file.
    pub file: String,
    pub content_key: String,
    /// Bytes of the graph file.
    pub bytes: u64,
    pub nodes: Vec<NodeInspection>,
    /// A relation is followed by its reverse, if it has one.
    pub relations: Vec<RelationInspection>,
    pub sources: Vec<SourceReport>,
    pub sizes: Vec<Size>,
    /// Seconds that the build took, in all and by stage.
    pub seconds: f64,
    pub stages: Vec<StageTime>,
    pub warnings: Vec<String>,
}

/// A node type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInspection {
    pub name: String,
    pub count: u64,
    pub key: KeyInspection,
    /// Rows of the first table; 0 for a type that its edges declare.
    pub rows: u64,
    /// Rows that `duplicates = first` left out.
    pub duplicates_dropped: u64,
    /// Rows of joined tables whose key no node has.
    pub rows_without_node: u64,
    /// Nodes that a joined table has no row for.
    pub nodes_without_row: u64,
    /// Nodes that no edge enters or leaves.
    pub isolated: u64,
    /// Incoming edges over all relations, reverse ones included.
    pub incoming: Degrees,
    pub features: Vec<FeatureInspection>,
    pub labels: Vec<LabelInspection>,
    /// What each holds, if they are small graphs.
    #[serde(default)]
    pub members: Option<MembersInspection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInspection {
    pub kind: KeyKind,
    /// The column that the keys come from; none for row numbers and for types that their edges declare.
    pub column: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    Text,
    Int,
    /// The number of the row, from 0.
    Row,
}

/// A relation, or the reverse of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelationInspection {
    pub name: String,
    /// Names of the node types at its ends.
    pub src: String,
    pub dst: String,
    pub edges: u64,
    /// Name of the relation that this is the reverse of. A reverse has the features of that one; they are told there.
    pub reverse_of: Option<String>,
    /// The column that names the relations, if it is of a family.
    #[serde(default)]
    pub family: Option<String>,
    /// Rows that `missing = drop` left out because their source, destination or relation is unknown. 0 at a reverse.
    pub dropped_src: u64,
    pub dropped_dst: u64,
    pub dropped_relation: u64,
    pub self_loops: u64,
    /// Edges that another one with the same ends comes before.
    pub parallel: u64,
    /// Edges of this relation into each node of `dst`.
    pub incoming: Degrees,
    /// Edges of this relation out of each node of `src`.
    pub outgoing: Degrees,
    pub features: Vec<FeatureInspection>,
    /// A reverse shares the labels of its forward relation; they are told there.
    pub labels: Vec<LabelInspection>,
    /// Rows that were merged into the edge of another row. 0 at a reverse, like all that follow; of a family told at its first relation.
    pub merged: u64,
    /// Loops that `loops = drop` left out, and that `loops = add` added.
    pub dropped_loops: u64,
    pub added_loops: u64,
    /// Candidates that `missing = drop` left out because they are no nodes.
    pub unknown_candidates: u64,
}

/// Reads the whole graph once.
pub fn inspect(graph: &Graph) -> Inspection {
    let (facts, report) = (graph.facts(), graph.report());
    Inspection {
        structure: STRUCTURE,
        graph: graph.plan().name.clone(),
        file: graph.path().display().to_string(),
        content_key: graph.meta().content_key.clone(),
        bytes: graph.bytes(),
        nodes: (0..facts.nodes.len()).map(|ty| node(graph, ty)).collect(),
        relations: relations(graph),
        sources: report.sources.clone(),
        sizes: sizes::of(graph),
        seconds: report.seconds,
        stages: report.stages.clone(),
        warnings: report.warnings.clone(),
    }
}

fn node(graph: &Graph, index: usize) -> NodeInspection {
    let (ty, facts) = (index as u32, &graph.facts().nodes[index]);
    let fallback = NodeReport::default();
    let report = graph.report().nodes.get(index).unwrap_or(&fallback);
    NodeInspection {
        name: facts.name.clone(),
        count: facts.count,
        key: key(graph, ty, index),
        rows: report.rows,
        duplicates_dropped: report.duplicates_dropped,
        rows_without_node: report.rows_without_node,
        nodes_without_row: report.nodes_without_row,
        isolated: report.isolated,
        incoming: degrees::into_type(graph, ty),
        features: features::of_nodes(graph, ty, report),
        labels: (0..facts.labels.len()).map(|label| labels::of(graph, ty, label)).collect(),
        members: members::of(graph, index),
    }
}

fn key(graph: &Graph, ty: u32, index: usize) -> KeyInspection {
    let kind = match graph.keys(ty) {
        Keys::Rows(_) => KeyKind::Row,
        Keys::Ints(_) => KeyKind::Int,
        Keys::Texts { .. } => KeyKind::Text,
    };
    let read = graph.plan().nodes.get(index).filter(|node| !node.sources.is_empty());
    let declared = read.and_then(|node| node.key.as_ref());
    KeyInspection { kind, column: declared.map(|key| key.column.clone()) }
}

fn relations(graph: &Graph) -> Vec<RelationInspection> {
    let facts = graph.facts();
    let mut reports = graph.report().relations.iter();
    let mut last = RelationReport::default();
    let one = |(index, relation): (usize, &RelationFacts)| {
        if relation.reverse_of.is_none() {
            last = reports.next().cloned().unwrap_or_default();
        }
        self::relation(graph, index, relation, &last)
    };
    facts.relations.iter().enumerate().map(one).collect()
}

fn relation(
    graph: &Graph,
    index: usize,
    facts: &RelationFacts,
    report: &RelationReport,
) -> RelationInspection {
    let all = graph.facts();
    let forward = facts.reverse_of.is_none();
    let dropped = |count: u64| if forward { count } else { 0 };
    let (incoming, outgoing) = degrees::of_relation(graph, index);
    RelationInspection {
        name: facts.name.clone(),
        src: name_of(all, facts.src),
        dst: name_of(all, facts.dst),
        edges: facts.edges,
        reverse_of: facts.reverse_of.map(|of| all.relations[of].name.clone()),
        family: match graph.plan().edges.get(facts.declared_by).map(|edge| &edge.relation) {
            Some(Relation::Column(column)) => Some(column.clone()),
            _ => None,
        },
        dropped_src: dropped(report.dropped_src),
        dropped_dst: dropped(report.dropped_dst),
        dropped_relation: dropped(report.dropped_relation),
        self_loops: report.self_loops,
        parallel: report.parallel,
        incoming,
        outgoing,
        features: if forward { features::of_edges(graph, index, report) } else { Vec::new() },
        labels: (0..facts.labels.len()).map(|label| labels::of_edges(graph, index as u32, label)).collect(),
        merged: dropped(report.merged),
        dropped_loops: dropped(report.dropped_loops),
        added_loops: dropped(report.added_loops),
        unknown_candidates: dropped(report.unknown_candidates),
    }
}

fn name_of(facts: &GraphFacts, ty: usize) -> String {
    facts.nodes.get(ty).map(|node: &NodeFacts| node.name.clone()).unwrap_or_default()
}
