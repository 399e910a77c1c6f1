//! Columns as they were in the tables that a model was trained on: new tables are read in the same way.
//!
//! From few cells of text other kinds are guessed: a column of numbers of which all are missing, names that happen to be numbers. And
//! labels, with what splits them, may not be known yet.

use gsl_plan::graph::{
    self, Bound, EdgeType, FeatureExpr, GraphPlan, KeyKind, Label, LabelKind, NodeType, Scalar, Several,
    Split,
};

use super::structure::RowsOf;
use crate::world::{ColumnHeader, ColumnKind, Header};

/// A column of an older table.
#[derive(Debug, Clone)]
pub struct OldColumn {
    pub name: String,
    kind: ColumnKind,
    /// Without it nothing can be computed.
    pub needed: bool,
}

impl OldColumn {
    fn needed(name: &str, kind: ColumnKind) -> Self {
        OldColumn { name: name.to_owned(), kind, needed: true }
    }

    fn spare(name: &str, kind: ColumnKind) -> Self {
        OldColumn { needed: false, ..OldColumn::needed(name, kind) }
    }

    /// Gives the column of a header the kind that it had, where it was guessed.
    pub fn settle(&self, header: &mut Header) {
        let found = header.columns.iter_mut().find(|column| column.name == self.name && column.guessed);
        let Some(column) = found else { return };
        let is_number = |kind: &ColumnKind| matches!(kind, ColumnKind::Int | ColumnKind::Float);
        if !(is_number(&self.kind) && is_number(&column.kind)) {
            column.kind = self.kind.clone();
        }
    }

    /// What stands for the column where it is absent.
    pub fn header(&self) -> ColumnHeader {
        ColumnHeader {
            name: self.name.clone(),
            kind: self.kind.clone(),
            guessed: true,
            nullable: true,
            missing: Some(1.0),
            type_name: self.kind.to_string(),
            odd: None,
        }
    }
}

/// How a label of nodes was split when the model was trained: new nodes are not split, so that the files of the rule may be gone.
pub fn split_of_nodes(trained: Option<&GraphPlan>, rows: RowsOf, label: &str) -> Option<Split> {
    let RowsOf::Nodes(name) = rows else { return None };
    let found = nodes(trained, name)?.labels.iter().find(|known| known.name == label)?;
    found.split.clone()
}

/// The columns of the nodes of a type; none if the model was not trained with them.
pub fn of_nodes(trained: Option<&GraphPlan>, name: &str) -> Vec<OldColumn> {
    nodes(trained, name).map_or_else(Vec::new, columns_of_nodes)
}

fn nodes<'a>(trained: Option<&'a GraphPlan>, name: &str) -> Option<&'a NodeType> {
    trained?.nodes.iter().find(|node| node.name == name)
}

/// The columns of the edges of a declaration; none if the model was not trained with them.
pub fn of_edges(trained: Option<&GraphPlan>, relation: &str) -> Vec<OldColumn> {
    let Some(plan) = trained else { return Vec::new() };
    let found = plan.edges.iter().find(|edge| edge.relation.name() == relation);
    found.map_or_else(Vec::new, |edge| columns_of_edges(plan, edge))
}

fn columns_of_nodes(node: &NodeType) -> Vec<OldColumn> {
    let mut columns = Columns::default();
    columns.extend(node.key.as_ref().map(|key| OldColumn::needed(&key.column, key_kind(key.kind))));
    node.features.iter().for_each(|feature| columns.of_expr(&feature.expr));
    node.labels.iter().for_each(|label| columns.of_label(label));
    columns.0
}

fn columns_of_edges(plan: &GraphPlan, edge: &EdgeType) -> Vec<OldColumn> {
    let mut columns = Columns::default();
    for (column, end) in [(&edge.src_column, edge.src), (&edge.dst_column, edge.dst)] {
        let kind = plan.nodes[end].key.as_ref().map_or(KeyKind::Int, |key| key.kind);
        columns.extend([OldColumn::needed(column, key_kind(kind))]);
    }
    if let graph::Relation::Column(column) = &edge.relation {
        columns.extend([OldColumn::needed(column, ColumnKind::Text)]);
    }
    edge.features.iter().for_each(|feature| columns.of_expr(&feature.expr));
    let merged = edge.parallel != graph::Parallel::Keep;
    edge.labels.iter().for_each(|label| columns.of_label(label));
    let text =
        columns.0.iter_mut().filter(|column| merged && !column.needed && column.kind == ColumnKind::Text);
    text.for_each(|column| column.kind = ColumnKind::Int);
    columns.0
}

/// Columns, each once: what reads it first says what it is.
#[derive(Default)]
struct Columns(Vec<OldColumn>);

impl Columns {
    fn extend(&mut self, columns: impl IntoIterator<Item = OldColumn>) {
        for column in columns {
            if !self.0.iter().any(|known| known.name == column.name) {
                self.0.push(column);
            }
        }
    }

    fn of_expr(&mut self, expr: &FeatureExpr) {
        match expr {
            FeatureExpr::Column { column, kind } => {
                self.extend([OldColumn::needed(column, column_kind(*kind))]);
            }
            FeatureExpr::Const(_) | FeatureExpr::Structure(_) => {}
            FeatureExpr::Arith { left, right, .. } => {
                self.of_expr(left);
                self.of_expr(right);
            }
            FeatureExpr::Apply { input, .. } => self.of_expr(input),
            FeatureExpr::Concat(parts) => parts.iter().for_each(|part| self.of_expr(part)),
        }
    }

    fn of_label(&mut self, label: &Label) {
        self.extend((!label.is_count()).then(|| OldColumn::spare(&label.column, label_kind(label))));
        match &label.split {
            Some(Split::Column { column }) => self.extend([OldColumn::spare(column, ColumnKind::Text)]),
            Some(Split::By { column, train, valid, test }) => {
                let bound = [train, valid, test].into_iter().flatten().next();
                self.extend([OldColumn::spare(column, bound_kind(bound))]);
            }
            _ => {}
        }
    }
}

fn key_kind(kind: KeyKind) -> ColumnKind {
    match kind {
        KeyKind::Int => ColumnKind::Int,
        KeyKind::Text => ColumnKind::Text,
    }
}

fn column_kind(kind: graph::ColumnKind) -> ColumnKind {
    match kind {
        graph::ColumnKind::Number => ColumnKind::Int,
        graph::ColumnKind::Bool => ColumnKind::Bool,
        graph::ColumnKind::Text => ColumnKind::Text,
        graph::ColumnKind::Vector { width } => ColumnKind::Vector { width },
        graph::ColumnKind::Texts => ColumnKind::TextList,
        graph::ColumnKind::Date => ColumnKind::Date,
        graph::ColumnKind::Time => ColumnKind::Time,
    }
}

fn label_kind(label: &Label) -> ColumnKind {
    match (label.kind, &label.several) {
        (LabelKind::Class, _) | (LabelKind::Classes, Several::Parted(_)) => ColumnKind::Text,
        (LabelKind::Float, _) => ColumnKind::Float,
        (LabelKind::Classes, Several::Numbers) => ColumnKind::Vector { width: None },
        (LabelKind::Classes, Several::Names) => ColumnKind::TextList,
    }
}

fn bound_kind(bound: Option<&Bound>) -> ColumnKind {
    match bound.map(|bound| &bound.value) {
        Some(Scalar::Text(_)) => ColumnKind::Text,
        _ => ColumnKind::Int,
    }
}
