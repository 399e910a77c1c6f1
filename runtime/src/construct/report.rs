//! What a build counted: policies, gaps, statistics, times. Stored with the graph, shown by the report.

use serde::{Deserialize, Serialize};

use super::known::Strangers;
use super::part_words::OtherWords;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BuildReport {
    pub graph: String,
    /// Hash of the plan and of all tables.
    pub content_key: String,
    pub seconds: f64,
    pub stages: Vec<StageTime>,
    pub sources: Vec<SourceReport>,
    pub nodes: Vec<NodeReport>,
    pub relations: Vec<RelationReport>,
    /// What is allowed and yet worth knowing, in whole sentences.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StageTime {
    pub name: String,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SourceReport {
    pub paths: Vec<String>,
    pub files: u64,
    pub bytes: u64,
    pub columns: u64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeReport {
    pub name: String,
    pub count: u64,
    /// Rows of the first table; 0 for a type that its edges declare.
    pub rows: u64,
    /// Rows left out by `duplicates = first`, over all tables of the type.
    pub duplicates_dropped: u64,
    /// Rows of joined tables whose key no node has.
    pub rows_without_node: u64,
    /// Nodes that a joined table has no row for.
    pub nodes_without_row: u64,
    /// Nodes that no edge enters or leaves.
    pub isolated: u64,
    pub features: Vec<FeatureReport>,
    pub labels: Vec<LabelReport>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FeatureReport {
    pub name: String,
    pub width: u64,
    /// Cells without a value in the columns that the feature reads, before `fill` or one-hot.
    pub missing: u64,
    /// Texts with more tokens than `tokens` or `embed` were to read.
    #[serde(default)]
    pub cut: u64,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
}

impl FeatureReport {
    /// Says how many texts of the feature have been cut, if any.
    pub fn warning(&self, owner: &str) -> Option<String> {
        let texts = match self.cut {
            0 => return None,
            1 => "one text is".to_string(),
            count => format!("{count} texts are"),
        };
        let Self { name, .. } = self;
        Some(format!("feature `{name}` of `{owner}`: {texts} longer than `length`, and cut behind"))
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LabelReport {
    pub name: String,
    pub classes: u64,
    pub unlabelled: u64,
    /// Labelled rows in [none, train, valid, test].
    pub parts: [u64; 4],
    /// Classes that the test part has and the training part lacks.
    pub never_trained: Vec<String>,
    /// Of new tables for a trained model: rows with a class that the model does not know, and the first of those classes.
    #[serde(default)]
    pub unknown: u64,
    #[serde(default)]
    pub unknown_classes: Vec<String>,
    /// What stands in the column of the split and names no part.
    #[serde(default, skip_serializing_if = "OtherWords::is_empty")]
    pub other_words: OtherWords,
}

impl LabelReport {
    pub(super) fn see_strangers(&mut self, found: Strangers) {
        self.unknown = found.rows;
        self.unknown_classes = found.first.into_iter().collect();
    }

    /// What is worth knowing of the label.
    pub fn warnings(&self, owner: &str) -> impl Iterator<Item = String> {
        let words = self.other_words.said().map(|said| match self.name.starts_with('(') {
            true => format!("split of `{owner}`: {said}"),
            false => format!("split of label `{}` of `{owner}`: {said}", self.name),
        });
        self.unknown_warning(owner).into_iter().chain(words)
    }

    /// Says how many rows have classes that the model does not know, if any.
    fn unknown_warning(&self, owner: &str) -> Option<String> {
        let rows = match self.unknown {
            0 => return None,
            1 => "one row has a class that was never trained, which counts as none".to_string(),
            count => format!("{count} rows have classes that were never trained, which count as none"),
        };
        Some(format!("label `{}` of `{owner}`: {rows}: {}", self.name, self.unknown_classes.join(", ")))
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RelationReport {
    pub name: String,
    pub edges: u64,
    /// Rows left out by `missing = drop`, by the end that is unknown (a row with both counts as source).
    pub dropped_src: u64,
    pub dropped_dst: u64,
    /// Rows of a family without a relation, left out by `missing = drop`; counted at the family's first relation.
    pub dropped_relation: u64,
    pub self_loops: u64,
    /// Edges that another one with the same ends comes before.
    pub parallel: u64,
    pub max_in_degree: u64,
    pub max_out_degree: u64,
    pub features: Vec<FeatureReport>,
    /// Rows that are loops, left out by `loops = drop`; counted at a family's first relation, like all that follow.
    #[serde(default)]
    pub dropped_loops: u64,
    /// Loops that `loops = add` has added.
    #[serde(default)]
    pub added_loops: u64,
    /// Rows that were merged into the edge of another row.
    #[serde(default)]
    pub merged: u64,
    /// Candidates that are no nodes, left out by `missing = drop`.
    #[serde(default)]
    pub unknown_candidates: u64,
    /// Of all relations of the declaration together.
    #[serde(default)]
    pub labels: Vec<LabelReport>,
}
