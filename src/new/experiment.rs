//! The experiment of the file: what is predicted, and with which model where the default would not do.

use super::direction::Direction;
use super::feature;
use super::guess::Edge;
use super::label::{self, Label};
use super::names::quoted;
use super::write::Draft;

/// The default model with GCN in the place of RGCN.
const USE: &str = "use std.layers.GCN\n";
const GNN: &str = "gnn = GCN(128, act: relu) >> dropout(0.2) >> GCN(128, act: relu) >> dropout(0.2)";

impl Draft<'_> {
    /// What the graph's file takes from the standard library, if the experiment is no comment.
    pub(super) fn uses(&self) -> String {
        match self.told && self.undirected().is_some() {
            true => format!("{USE}\n"),
            false => String::new(),
        }
    }

    /// Whether there is an experiment that is no comment.
    pub(super) fn has_experiment(&self) -> bool {
        self.told || self.schema.edges.iter().any(|edge| self.link_split(edge).is_some())
    }

    pub(super) fn experiment(&self) -> String {
        if let Some(label) = self.label {
            return self.label_experiment(label);
        }
        self.link_experiment().unwrap_or_else(|| {
            format!(
                "// Nothing looks like a label. Give a node type one, and predict it:\n\n\
                 // experiment predict on {} {{\n//     predict TYPE.LABEL\n// }}\n",
                self.graph
            )
        })
    }

    fn label_experiment(&self, label: Label) -> String {
        let ty = &self.schema.nodes[label.node].name;
        let name = feature::name(self.column(label.at.0, label.at.1));
        let lines = format!(
            "experiment predict on {} {{\n{}    predict {ty}.{name}\n    write predictions of {ty} to \"out/predictions\"\n}}\n",
            self.graph,
            self.gnn()
        );
        if self.told {
            return format!("/// All else is a default: `gsc explain FILE --defaults` shows it.\n{lines}");
        }
        let uses = if self.undirected().is_some() { USE } else { "" };
        let off: String = uses.lines().chain(lines.lines()).map(|line| format!("// {line}\n")).collect();
        format!(
            "// Perhaps `{name}` of {ty} is a label. If so, uncomment the lines below, and its label and split above.\n\n{off}"
        )
    }

    /// The model, where it is not the default one.
    fn gnn(&self) -> String {
        let Some(edge) = self.undirected() else { return String::new() };
        let why = match edge.direction {
            Direction::Both => "GCN has the same weights for all edges, as undirected ones need.".to_string(),
            _ => format!(
                "The edges look undirected, so that `{0}` and `rev_{0}` mean the same. GCN has the same weights for both;\n    \
                 // RGCN, which is the default, would learn weights for either, and of half the edges.",
                edge.relation
            ),
        };
        format!("    // {why}\n    {GNN}\n")
    }

    /// The one relation of the graph, where its direction means nothing. Small graphs keep the default: theirs is a mean over nodes,
    /// which the sums of GCN, divided by degrees, do not improve.
    fn undirected(&self) -> Option<&Edge> {
        match self.schema.edges.as_slice() {
            [edge] if edge.direction != Direction::Kept && self.schema.many.is_none() => Some(edge),
            _ => None,
        }
    }

    /// The column that parts the edges of a table for link prediction, where nothing looks like a label.
    pub(super) fn link_split(&self, edge: &Edge) -> Option<usize> {
        let is_open = self.label.is_none() && !edge.is_reference;
        is_open.then(|| label::split_of_edges(&self.tables[edge.table])).flatten()
    }

    fn link_experiment(&self) -> Option<String> {
        let (edge, split) = self.schema.edges.iter().find_map(|edge| Some((edge, self.link_split(edge)?)))?;
        let [src, dst] = edge.ends.each_ref().map(|end| &self.schema.nodes[end.ty].name);
        let relation = match edge.family {
            Some(column) => format!("[{}]", quoted(self.column(edge.table, column))),
            None => edge.relation.clone(),
        };
        let (split, table) = (quoted(self.column(edge.table, split)), &self.tables[edge.table].path);
        Some(format!(
            "/// {split} of {table} parts the edges, so that they may be what is predicted. All else is a default:\n\
             /// `gsc explain FILE --defaults` shows it.\n\
             experiment predict on {} {{\n    predict link {src} -{relation}-> {dst} {{ split = column({split}) }}\n}}\n",
            self.graph
        ))
    }
}
