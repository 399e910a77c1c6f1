//! The schema as a `.gsl` file, each guess with its reason.

use std::collections::{BTreeMap, BTreeSet};

use gsl_tables::ColumnKind;

use super::direction::Direction;
use super::feature::{self, Line};
use super::guess::{At, Edge, End, Join, NodeType, Schema};
use super::label::{self, Label};
use super::look::{Table, Unreadable};
use super::many::Many;
use super::names::{counted, is_time, quoted};

/// Whether the language of this version has `time COLUMN` in a graph. Where not, the line is written as a comment.
const TIME: bool = false;

/// All that the file says.
pub struct Draft<'a> {
    pub tables: &'a [Table],
    pub unreadable: &'a [Unreadable],
    pub schema: &'a Schema,
    pub graph: String,
    /// What stands before the paths of tables: from the file to the folder.
    pub prefix: String,
    pub label: Option<Label>,
    /// The label was asked for; else it is a guess, and what needs it is written as a comment.
    pub told: bool,
    /// Columns of the label's table that give it away.
    pub leaks: BTreeMap<usize, String>,
}

impl Draft<'_> {
    /// The text of the file, not yet laid out.
    pub fn text(&self) -> String {
        let mut text = format!(
            "//! The graph `{}`, as its tables look. Written by `gsc new`: what is not known is guessed from names and values,\n\
             //! and every guess says why. Correct what is wrong; `gsc check` and `gsc inspect` show what it means.\n\n",
            self.graph
        );
        text += &self.uses();
        text += &format!("graph {} {{\n", self.graph);
        let nodes = (0..self.schema.nodes.len()).map(|index| self.node(index));
        let edges = self.schema.edges.iter().map(|edge| self.edge(edge));
        text += &nodes.chain(edges).collect::<Vec<_>>().join("\n");
        for (table, why) in &self.schema.unused {
            text += &format!("\n// Not used: {}; {why}.\n", self.tables[*table].path);
        }
        for one in self.unreadable {
            text += &format!("\n// Left out: {}.\n", one.why);
        }
        text += "}\n\n";
        text + &self.experiment()
    }

    fn node(&self, index: usize) -> String {
        let node = &self.schema.nodes[index];
        let Some(table) = node.table else {
            return format!("/// {}\nnode {} from edges\n", self.declared_by(index), node.name);
        };
        let mut text = format!("/// {}\n", self.node_note(node, table));
        text += &match self.many(index) {
            Some(many) => format!("many by {} from {}", quoted(&many.column), self.source(table)),
            None => format!("node {} from {}", node.name, self.source(table)),
        };
        node.joins.iter().for_each(|join| text += &format!(" join {}", self.source(join.table)));
        text += " {\n";
        if let Some(key) = &node.key {
            text += &format!("key {}\n", quoted(&self.tables[table].columns[key.column].name));
        }
        text += &self.features(index, table);
        if let Some(label) = self.label.filter(|label| label.node == index) {
            text += &self.label_lines(label);
        }
        text + "}\n"
    }

    /// If the type is small graphs.
    fn many(&self, index: usize) -> Option<&Many> {
        self.schema.many.as_ref().filter(|many| many.node == index)
    }

    fn source(&self, table: usize) -> String {
        let path = format!("{}{}", self.prefix, self.tables[table].path);
        let path = format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""));
        match self.tables[table].separator {
            None => path,
            Some('\t') => format!("tsv({path})"),
            Some(separator) => format!("csv({path}, separator: \"{separator}\")"),
        }
    }

    fn declared_by(&self, index: usize) -> String {
        let declares = |edge: &&Edge| edge.ends.iter().any(|end| end.ty == index);
        let edges = self.schema.edges.iter().filter(declares);
        let columns: BTreeSet<String> = edges
            .flat_map(|edge| {
                edge.ends.iter().filter(|end| end.ty == index).map(|end| (edge.table, end.column))
            })
            .map(|(table, column)| format!("`{}` of {}", self.column(table, column), self.tables[table].path))
            .collect();
        format!("No table has {} as its key.", columns.into_iter().collect::<Vec<_>>().join(" or "))
    }

    pub(super) fn column(&self, table: usize, column: usize) -> &str {
        &self.tables[table].columns[column].name
    }

    fn node_note(&self, node: &NodeType, table: usize) -> String {
        let rows = counted(self.tables[table].rows(), "row");
        let mut note = match &node.key {
            Some(key) => format!("{rows}; `{}` is unique.", self.column(table, key.column)),
            None => format!("{rows}; no column is unique, so rows are numbered from 0."),
        };
        node.joins.iter().for_each(|join| note += &self.join_note(join, &node.name));
        note
    }

    fn join_note(&self, join: &Join, ty: &str) -> String {
        let table = &self.tables[join.table];
        let (path, rows) = (&table.path, counted(table.rows(), "row"));
        match table.rows().saturating_sub(join.matched) {
            0 => format!(" {path} has the same key ({rows})."),
            1 => format!(
                " {path} has the same key ({rows}; the key of 1 is of no {ty}, and that row is left out)."
            ),
            n => {
                format!(
                    " {path} has the same key ({rows}; the keys of {n} are of no {ty}, and those rows are left out)."
                )
            }
        }
    }

    /// The columns of all tables of a type, less those that are something else.
    fn features(&self, index: usize, table: usize) -> String {
        let node = &self.schema.nodes[index];
        let key = node.key.as_ref().map(|key| self.column(table, key.column));
        let split =
            self.label.filter(|label| label.node == index).and_then(|_| label::split(self.tables, node));
        let (mut seen, mut names): (BTreeSet<&str>, BTreeSet<String>) =
            (key.into_iter().collect(), BTreeSet::new());
        let mut text = String::new();
        for at in node.tables() {
            let gaps = self.rows_without(node, at);
            for column in 0..self.tables[at].columns.len() {
                let is_label = self.label.is_some_and(|label| label.at == (at, column));
                if is_label
                    || split.as_ref().is_some_and(|(split, _)| *split == (at, column))
                    || !seen.insert(self.column(at, column))
                {
                    continue;
                }
                text += &self.node_column((at, column), gaps, &mut names);
            }
        }
        text
    }

    fn node_column(&self, (at, column): At, gaps: u64, names: &mut BTreeSet<String>) -> String {
        let profile = &self.tables[at].columns[column];
        let edges = &self.schema.edges;
        if let Some(edge) =
            edges.iter().find(|e| e.is_reference && e.table == at && e.ends[1].column == column)
        {
            return no_feature(&profile.name, &format!("see the edge {}", edge.relation));
        }
        if self.schema.many.as_ref().is_some_and(|many| many.column == profile.name && !self.is_of_graphs(at))
        {
            return no_feature(&profile.name, "the small graph that a node is in");
        }
        let leak = self.label.filter(|label| label.at.0 == at).and_then(|_| self.leaks.get(&column));
        let line = match leak {
            Some(why) => Line::Skipped { why: why.clone() },
            None => feature::line(profile, profile.missing + gaps),
        };
        feature_line(&profile.name, line, names)
    }

    fn is_of_graphs(&self, table: usize) -> bool {
        let many = self.schema.many.as_ref().map(|many| &self.schema.nodes[many.node]);
        many.is_some_and(|node| node.tables().any(|one| one == table))
    }

    fn label_lines(&self, label: Label) -> String {
        let (table, column) = label.at;
        let profile = &self.tables[table].columns[column];
        let kind = if label.is_class { "class" } else { "float" };
        let name = feature::name(&profile.name);
        let unlabelled = profile.missing + self.rows_without(&self.schema.nodes[label.node], table);
        let mut note = match label.is_class {
            true => counted(profile.sketch.distinct(), "class"),
            false => feature::range(profile),
        };
        if unlabelled > 0 {
            note += &format!("; {} without: unlabelled", counted(unlabelled, "row"));
        }
        let split = match label::split(self.tables, &self.schema.nodes[label.node]) {
            Some((_, rule)) => rule,
            None if label.is_class => "random(train: 80%, valid: 10%, test: 10%), stratified".to_string(),
            None => "random(train: 80%, valid: 10%, test: 10%)".to_string(),
        };
        let off = if self.told { "" } else { "// " };
        format!(
            "{off}label {name} : {kind} = {} // {note}\n{off}split {name} = {split}\n",
            quoted(&profile.name)
        )
    }

    /// Nodes that one of the type's tables has no row for.
    fn rows_without(&self, node: &NodeType, table: usize) -> u64 {
        let join = node.joins.iter().find(|join| join.table == table);
        let main = node.table.map_or(0, |main| self.tables[main].rows());
        join.map_or(0, |join| main.saturating_sub(join.matched))
    }

    fn edge(&self, edge: &Edge) -> String {
        let table = &self.tables[edge.table];
        let [src, dst] = &edge.ends;
        let mut text = format!("/// {}\n", self.edge_note(edge));
        let relation = match edge.family {
            Some(column) => format!("[{}]", quoted(self.column(edge.table, column))),
            None => edge.relation.clone(),
        };
        let (from, to) = (&self.schema.nodes[src.ty].name, &self.schema.nodes[dst.ty].name);
        let (a, b) = (self.column(edge.table, src.column), self.column(edge.table, dst.column));
        text += &format!(
            "edge {from} -{relation}-> {to} from {} ({}, {}) {{\n",
            self.source(edge.table),
            quoted(a),
            quoted(b)
        );
        text += &match edge.family {
            Some(_) => "reverse rev // one more relation for each\n".to_string(),
            None if edge.direction == Direction::Both => {
                "// Every row has its opposite, so these are undirected, and need no reverse.\n".to_string()
            }
            None => format!("reverse rev_{}\n", edge.relation),
        };
        if edge.ends.iter().any(|end| end.missing > 0 || end.found.is_some_and(|share| share < 1.0)) {
            text += "missing = drop // an edge without both ends is left out, and counted in the report\n";
        }
        if edge.direction == Direction::Sorted {
            text += "// The source is the smaller key in every row: these look undirected. RGCN tells the two directions apart, GCN and SAGE do not.\n";
        }
        let mut names = BTreeSet::new();
        let split = self.link_split(edge);
        let own = [Some(src.column), Some(dst.column), edge.family, split];
        let others = (0..table.columns.len()).filter(|&c| !edge.is_reference && !own.contains(&Some(c)));
        others.for_each(|column| text += &self.edge_column((edge.table, column), &mut names));
        if let Some(column) = split {
            text += &no_feature(self.column(edge.table, column), "see the experiment");
        }
        text + "}\n"
    }

    fn edge_column(&self, (table, column): At, names: &mut BTreeSet<String>) -> String {
        let profile = &self.tables[table].columns[column];
        let name = quoted(&profile.name);
        let dated = matches!(profile.kind, ColumnKind::Date | ColumnKind::Time);
        match dated || (profile.kind == ColumnKind::Int && is_time(&profile.name) && profile.max > 1e8) {
            true if TIME && dated => format!("time {name}\n"),
            true => format!("// time {name} // when the edge comes into being\n"),
            false => feature_line(&profile.name, feature::line(profile, profile.missing), names),
        }
    }

    fn edge_note(&self, edge: &Edge) -> String {
        let one = |end: &End| {
            let (column, ty) = (self.column(edge.table, end.column), &self.schema.nodes[end.ty].name);
            let sample = if end.sampled { "a sample of " } else { "" };
            match end.found {
                None => format!("`{column}` names the nodes of {ty}"),
                Some(share) if share >= 1.0 => format!("all of {sample}`{column}` are keys of {ty}"),
                Some(share) => {
                    let rows = self.tables[edge.table].rows().saturating_sub(end.missing);
                    let strays = if end.sampled { String::new() } else { strays(rows, share) };
                    format!("{} of {sample}`{column}` are keys of {ty}{strays}", percent(share))
                }
            }
        };
        let [src, dst] = &edge.ends;
        if edge.is_reference {
            let empty = match dst.missing {
                0 => String::new(),
                n => format!("; {} without", counted(n, "row")),
            };
            return format!("{}{empty}.", capital(&one(dst)));
        }
        let rows = counted(self.tables[edge.table].rows(), "row");
        let whole = |end: &End| !end.sampled && end.found.is_some_and(|share| share >= 1.0);
        if src.ty == dst.ty && whole(src) && whole(dst) {
            let (a, b) = (self.column(edge.table, src.column), self.column(edge.table, dst.column));
            return format!("{rows}; all of `{a}` and `{b}` are keys of {}.", self.schema.nodes[src.ty].name);
        }
        format!("{rows}; {}, {}.", one(src), one(dst))
    }
}

/// Prose, which no one takes for a line to uncomment.
fn no_feature(column: &str, why: &str) -> String {
    format!("// No feature of {}: {why}\n", quoted(&column.replace(['\n', '`'], " ")))
}

/// How many rows are no keys.
fn strays(rows: u64, share: f64) -> String {
    match (rows as f64 * (1.0 - share)).round() as u64 {
        1 => " (1 is not)".to_string(),
        n => format!(" ({n} are not)"),
    }
}

fn feature_line(column: &str, line: Line, names: &mut BTreeSet<String>) -> String {
    let mut name = feature::name(column);
    while !matches!(line, Line::Skipped { .. }) && !names.insert(name.clone()) {
        name += "_2";
    }
    match line {
        Line::Feature { expr, why } => format!("feature {name} = {expr} // {why}\n"),
        Line::Skipped { why } => no_feature(column, &why),
    }
}

/// `99.2%`, never rounded up to all.
fn percent(share: f64) -> String {
    format!("{}%", (share * 1000.0).floor() / 10.0)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
