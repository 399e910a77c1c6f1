//! Graphs: from statements to a [`GraphPlan`] whose every name is resolved and whose every column exists.
//!
//! Decided here: what a graph may say and what its tables must hold. Not decided here: how it is built.

pub mod feature;
pub mod label;
pub mod leak;
pub mod merge;
pub mod source;
pub mod table;
mod text;
mod transform;

use std::collections::BTreeSet;

use gsl_plan::graph::{self, GraphPlan, Key, KeyKind};

use self::feature::FeatureCx;
use self::label::CheckedLabel;
use self::leak::Allowed;
use self::merge::{relation_name, show_edge};
use self::table::{Table, can_be_key, is_a};
use super::cx::Cx;
use super::prelude::Prelude;
use super::value::{Env, Ty, eval};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::*;
use crate::world::{ColumnHeader, ColumnKind};

/// A graph whose plan is complete unless a mistake was reported.
#[derive(Debug, Clone)]
pub struct CheckedGraph {
    pub plan: GraphPlan,
    pub span: Span,
    /// For each node type, its labels.
    pub labels: Vec<Vec<CheckedLabel>>,
    /// For each node type, features and labels that are declared with mistakes: what refers to them is no mistake.
    pub lost: Vec<BTreeSet<String>>,
    /// Something in it was wrong: a name that is not found may only be missing because of that.
    pub broken: bool,
}

impl CheckedGraph {
    pub fn node(&self, name: &str) -> Option<usize> {
        self.plan.nodes.iter().position(|n| n.name == name)
    }

    pub fn node_names(&self) -> Vec<&str> {
        self.plan.nodes.iter().map(|n| n.name.as_str()).collect()
    }

    /// Whether messages can reach nodes of this type: an edge ends in it, or starts there and has a reverse.
    pub fn has_neighbours(&self, ty: usize) -> bool {
        self.plan.edges.iter().any(|e| e.dst == ty || (e.src == ty && e.reverse.is_some()))
    }
}

/// Checks one graph, its base's statements included.
pub fn resolve(
    cx: &mut Cx,
    env: &Env,
    prelude: &Prelude,
    graph: &Graph,
    stmts: &[SchemaStmt],
    allowed: &Allowed,
) -> CheckedGraph {
    let before = cx.diags.len();
    let mut resolver = Resolver {
        cx,
        env,
        prelude,
        allowed: allowed.clone(),
        plan: GraphPlan {
            name: graph.name.text.clone(),
            nodes: Vec::new(),
            edges: Vec::new(),
            seed: prelude.graph_seed,
            graphs: None,
        },
        labels: Vec::new(),
        lost: Vec::new(),
        tableless: BTreeSet::new(),
        keyless: BTreeSet::new(),
        relations: Vec::new(),
    };
    resolver.graph(stmts, graph.name.span);
    let Resolver { plan, labels, lost, .. } = resolver;
    let broken = cx.diags.as_slice()[before..].iter().any(Diagnostic::is_error);
    CheckedGraph { plan, span: graph.name.span, labels, lost, broken }
}

/// Features and labels of a node type that are declared and came to nothing.
fn lost_names(node: &Node, found: &graph::NodeType) -> BTreeSet<String> {
    let declared = node.body.iter().filter_map(|stmt| match stmt {
        SchemaStmt::Feature(feature) => Some(&feature.name.text),
        SchemaStmt::Label(label) => Some(&label.name.text),
        _ => None,
    });
    let is_found = |name: &String| {
        found.features.iter().any(|f| f.name == *name) || found.labels.iter().any(|l| l.name == *name)
    };
    declared.filter(|name| !is_found(name)).cloned().collect()
}

struct Resolver<'a, 'w> {
    cx: &'a mut Cx<'w>,
    env: &'a Env,
    prelude: &'a Prelude,
    allowed: Allowed,
    plan: GraphPlan,
    labels: Vec<Vec<CheckedLabel>>,
    /// In step with `labels`.
    lost: Vec<BTreeSet<String>>,
    /// Node types declared by their edges, whose key kind is not known yet.
    tableless: BTreeSet<usize>,
    /// Node types whose key is a mistake.
    keyless: BTreeSet<usize>,
    /// Names of relations and reverses, with their places.
    relations: Vec<(String, Span)>,
}

impl<'w> Resolver<'_, 'w> {
    fn graph(&mut self, stmts: &[SchemaStmt], name: Span) {
        for stmt in stmts {
            if let SchemaStmt::Allow(allow) = stmt {
                self.allowed.add(self.cx, allow);
            }
        }
        for stmt in stmts {
            match stmt {
                SchemaStmt::Node(node) => self.node(node),
                SchemaStmt::Edge(_) | SchemaStmt::Allow(_) | SchemaStmt::Bad(_) => {}
                SchemaStmt::Setting(setting) => self.graph_setting(setting),
                SchemaStmt::ManyBy { span, .. } => {
                    let help = "for now make one graph of all and predict on its nodes";
                    let message = "graphs of many small graphs do not run yet";
                    self.cx.error_help(codes::NOT_YET_MANY, message, *span, "many graphs", help);
                }
                other => self.misplaced(other, "a graph holds `node`, `edge`, `seed` and `allow`"),
            }
        }
        for stmt in stmts {
            if let SchemaStmt::Edge(edge) = stmt {
                self.edge(edge);
            }
        }
        if self.plan.nodes.is_empty() && !self.cx.diags.has_errors() {
            let help = "write `node NAME from \"table.csv\" { … }`";
            self.cx.error_help(codes::SCHEMA_NO_NODES, "the graph has no nodes", name, "", help);
        }
        self.keys_of_tableless(name);
    }

    fn misplaced(&mut self, stmt: &SchemaStmt, help: &str) {
        self.cx.error_help(codes::SCHEMA_MISPLACED, "this has no meaning here", stmt.span(), "", help);
    }

    fn graph_setting(&mut self, setting: &Setting) {
        if setting.name.text != "seed" {
            self.unknown_setting(setting, "graph", &["seed"]);
            return;
        }
        let value = setting.single().and_then(|e| eval(self.cx, self.env, e, &Ty::Int, false));
        if let Some(seed) = value.and_then(|v| v.int()) {
            self.plan.seed = seed as u64;
        }
    }

    fn unknown_setting(&mut self, setting: &Setting, what: &str, known: &[&str]) {
        let what = format!("{what} setting");
        let (name, span) = (&setting.name.text, setting.name.span);
        self.cx.unknown(codes::NAMES_SETTING, &what, name, span, known.iter().copied());
    }

    fn not_yet_time(&mut self, span: Span) {
        let help = "leave `time` out for now; a split `by` a year column keeps the future out of training";
        let message = "temporal graphs do not run yet";
        self.cx.error_help(codes::NOT_YET_TIME, message, span, "a time", help);
    }

    // ----------------------------------------------------------------------------------------------------------- nodes

    fn node(&mut self, node: &Node) {
        if self.plan.nodes.iter().any(|n| n.name == node.name.text) {
            self.duplicate("node type", &node.name);
            return;
        }
        let index = self.plan.nodes.len();
        let Some(source) = &node.source else {
            let help = format!("write `node {0} from \"table.csv\"`, or `node {0} from edges`", node.name);
            let message = format!("`{}` has no table", node.name);
            self.cx.error_help(codes::SCHEMA_NO_SOURCE, message, node.name.span, "from where?", help);
            self.push_node(node, Table::default(), None);
            return;
        };
        if source.kind == SourceKind::Edges {
            self.tableless.insert(index);
            self.check_tableless(node);
            self.push_node(node, Table::default(), key_ident(&node.body));
            return;
        }
        let table = Table::open(self.cx, self.env, source);
        self.check_joins(node, source);
        self.push_node(node, table, key_ident(&node.body));
    }

    fn duplicate(&mut self, what: &str, name: &Ident) {
        let message = format!("the {what} `{name}` is declared twice");
        self.cx.error(codes::NAMES_DUPLICATE, message, name.span, "the second one");
    }

    fn check_tableless(&mut self, node: &Node) {
        for stmt in &node.body {
            if let SchemaStmt::Feature(_) | SchemaStmt::Label(_) | SchemaStmt::Split(_) = stmt {
                let message = format!("`{}` has no table to take columns from", node.name);
                let help = "give it a table: `from \"table.csv\"`";
                self.cx.error_help(codes::SCHEMA_MISPLACED, message, stmt.span(), "needs a table", help);
            }
        }
    }

    fn check_joins(&mut self, node: &Node, source: &Source) {
        let SourceKind::Tables { joins, .. } = &source.kind else { return };
        let key = key_ident(&node.body);
        for join in joins {
            let Some(key) = &key else {
                let help = "name the column that both tables share: `key id`";
                let message = format!("`{}` joins a table and has no key", node.name);
                self.cx.error_help(codes::SCHEMA_JOIN, message, join.span, "joined on what?", help);
                continue;
            };
            if let Some(on) = join.on.as_ref().filter(|on| on.text != key.text) {
                let message = format!("a join on `{on}` that is not the key does not run yet");
                let help = format!("name the column `{key}` in both tables and join on it");
                self.cx.error_help(codes::NOT_YET_JOIN, message, on.span, "not the key", help);
            }
        }
    }

    fn push_node(&mut self, node: &Node, table: Table, key: Option<Ident>) {
        let named = key.is_some();
        let key = key.and_then(|name| self.key(&table, &name));
        if named && key.is_none() {
            self.keyless.insert(self.plan.nodes.len());
        }
        let mut found = graph::NodeType {
            name: node.name.text.clone(),
            sources: table.sources.clone(),
            key,
            features: Vec::new(),
            labels: Vec::new(),
            duplicates: self.prelude.duplicates,
            time: None,
            graph: None,
        };
        let mut labels = Vec::new();
        self.node_body(node, &table, &mut found, &mut labels);
        found.labels = labels.iter().map(|l: &CheckedLabel| l.label.clone()).collect();
        leak::check(self.cx, &self.allowed, node, &found);
        self.lost.push(lost_names(node, &found));
        self.plan.nodes.push(found);
        self.labels.push(labels);
    }

    fn key(&mut self, table: &Table, name: &Ident) -> Option<Key> {
        if table.headers.is_empty() {
            return Some(Key { column: name.text.clone(), kind: KeyKind::Text });
        }
        let column = table.column_of(self.cx, name)?;
        for header in table.headers.iter().skip(1) {
            if header.column(&name.text).is_none() {
                let message = format!("`{}` has no column `{name}` to join on", header.name);
                self.cx.error(codes::SCHEMA_JOIN, message, name.span, "not in every table");
            }
        }
        let kind = match column.kind {
            ColumnKind::Int => KeyKind::Int,
            ColumnKind::Text => KeyKind::Text,
            _ => {
                let message = format!("{}, and a key is text or integers", is_a(&column));
                self.cx.error(codes::SCHEMA_KEY_KIND, message, name.span, "cannot be a key");
                return None;
            }
        };
        Some(Key { column: name.text.clone(), kind })
    }

    fn node_body(
        &mut self,
        node: &Node,
        table: &Table,
        found: &mut graph::NodeType,
        labels: &mut Vec<CheckedLabel>,
    ) {
        for stmt in &node.body {
            match stmt {
                SchemaStmt::Key { columns, span } => self.key_shape(columns, *span),
                SchemaStmt::Feature(feature) => self.feature(feature, table, &mut found.features),
                SchemaStmt::Label(label) => self.label(label, table, labels),
                SchemaStmt::Split(_) | SchemaStmt::Bad(_) | SchemaStmt::Allow(_) => {}
                SchemaStmt::Time { span, .. } => self.not_yet_time(*span),
                SchemaStmt::Setting(setting) if setting.name.text == "duplicates" => {
                    if let Some(policy) = self.policy(setting, &["error", "first"]) {
                        found.duplicates = match policy {
                            0 => graph::DuplicatePolicy::Error,
                            _ => graph::DuplicatePolicy::First,
                        };
                    }
                }
                SchemaStmt::Setting(setting) => self.unknown_setting(setting, "node", &["duplicates"]),
                other => {
                    let help =
                        "a node type holds `key`, `feature`, `label`, `split`, `duplicates` and `time`";
                    self.misplaced(other, help);
                }
            }
        }
        self.clash(&found.features, labels, node);
        for stmt in &node.body {
            if let SchemaStmt::Split(split) = stmt {
                self.split(split, table, labels, node);
            }
        }
        if node.body.iter().filter(|s| matches!(s, SchemaStmt::Key { .. })).count() > 1 {
            let message = format!("`{}` has two keys", node.name);
            self.cx.error(codes::NAMES_DUPLICATE, message, node.name.span, "one key is enough");
        }
    }

    fn clash(&mut self, features: &[graph::Feature], labels: &[CheckedLabel], node: &Node) {
        for label in labels {
            if features.iter().any(|f| f.name == label.label.name) {
                let message = format!("`{}` of `{}` is a feature and a label", label.label.name, node.name);
                self.cx.error(codes::NAMES_DUPLICATE, message, label.span, "give one another name");
            }
        }
    }

    fn key_shape(&mut self, columns: &[Ident], span: Span) {
        if columns.len() > 1 {
            let help = "make one column of them in the table";
            let message = "a key of several columns does not run yet";
            self.cx.error_help(codes::NOT_YET_COMPOSITE_KEY, message, span, "several columns", help);
        }
    }

    fn policy(&mut self, setting: &Setting, known: &[&str]) -> Option<usize> {
        let value = setting.single()?;
        let name = value.as_name().unwrap_or("");
        let found = known.iter().position(|k| *k == name);
        if found.is_none() && !value.is_bad() {
            let what = (setting.name.text.as_str(), "policy");
            self.cx.unknown_of(codes::SCHEMA_POLICY, what, name, value.span, known.iter().copied());
        }
        found
    }

    fn columns<'b>(&'b mut self, table: &'b Table) -> FeatureCx<'b, 'w> {
        FeatureCx { cx: &mut *self.cx, env: self.env, prelude: self.prelude, table }
    }

    fn feature(&mut self, feature: &Feature, table: &Table, features: &mut Vec<graph::Feature>) {
        if features.iter().any(|f| f.name == feature.name.text) {
            self.duplicate("feature", &feature.name);
            return;
        }
        features.extend(self.columns(table).feature(feature));
    }

    fn label(&mut self, label: &Label, table: &Table, labels: &mut Vec<CheckedLabel>) {
        if labels.iter().any(|l| l.label.name == label.name.text) {
            self.duplicate("label", &label.name);
            return;
        }
        labels.extend(self.columns(table).label(label));
    }

    fn split(&mut self, split: &Split, table: &Table, labels: &mut [CheckedLabel], node: &Node) {
        let rule = self.columns(table).split(split);
        let declared = |s: &SchemaStmt| matches!(s, SchemaStmt::Label(l) if l.name.text == split.label.text);
        match labels.iter_mut().find(|l| l.label.name == split.label.text) {
            Some(label) if label.label.split.is_some() => {
                let message = format!("`{}` is split twice", split.label);
                self.cx.error(codes::NAMES_DUPLICATE, message, split.label.span, "the second split");
            }
            Some(label) => label.label.split = rule,
            None if node.body.iter().any(declared) => {}
            None => {
                let known = labels.iter().map(|l| l.label.name.as_str());
                let (name, span) = (&split.label.text, split.label.span);
                self.cx.unknown(codes::NAMES_LABEL, "label", name, span, known);
            }
        }
    }

    // ----------------------------------------------------------------------------------------------------------- edges

    fn edge(&mut self, edge: &Edge) {
        let (src, dst) = (self.end(&edge.path.src), self.end(&edge.path.dst));
        let relation = match &edge.path.rel {
            Relation::Any => {
                let help = format!("write `edge {} -NAME-> {}`", edge.path.src, edge.path.dst);
                self.cx.error_help(codes::SCHEMA_EDGE, "the relation has no name", edge.path.span, "", help);
                return;
            }
            Relation::Named(name) => {
                self.relation(name);
                graph::Relation::Named(name.text.clone())
            }
            Relation::Column(column) => graph::Relation::Column(column.text.clone()),
        };
        let Some(source) = &edge.source else {
            let help = format!("write `edge {} from \"table.csv\" (src, dst)`", show_edge(&edge.path));
            let message = format!("`{}` has no table", relation_name(&edge.path));
            self.cx.error_help(codes::SCHEMA_NO_SOURCE, message, edge.path.span, "from where?", help);
            return;
        };
        if source.kind == SourceKind::Edges {
            let message = "`from edges` is for node types";
            self.cx.error(codes::SCHEMA_NO_SOURCE, message, source.span, "an edge needs a table");
            return;
        }
        let table = Table::open(self.cx, self.env, source);
        if let Relation::Column(column) = &edge.path.rel {
            self.family_column(&table, column);
        }
        let columns = self.edge_columns(edge, &table, src, dst);
        let (features, reverse, missing) = self.edge_body(edge, &table);
        let (Some(src), Some(dst), Some((src_column, dst_column))) = (src, dst, columns) else { return };
        self.plan.edges.push(graph::EdgeType {
            relation,
            src,
            dst,
            source: table.sources.first().cloned().unwrap_or_default(),
            src_column,
            dst_column,
            reverse,
            features,
            missing,
            parallel: graph::Parallel::default(),
            loops: graph::Loops::default(),
            time: None,
            labels: Vec::new(),
        });
    }

    fn end(&mut self, name: &Ident) -> Option<usize> {
        let found = self.plan.nodes.iter().position(|n| n.name == name.text);
        if found.is_none() {
            let known: Vec<String> = self.plan.nodes.iter().map(|n| n.name.clone()).collect();
            let known = known.iter().map(String::as_str);
            self.cx.unknown(codes::NAMES_NODE, "node type", &name.text, name.span, known);
        }
        found
    }

    fn relation(&mut self, name: &Ident) {
        if let Some((_, first)) = self.relations.iter().find(|(n, _)| *n == name.text) {
            let message = format!("two relations are named `{name}`");
            let diagnostic = Diagnostic::new(codes::SCHEMA_RELATION_CLASH, message)
                .at(name.span, "the second one")
                .at(*first, "the first one")
                .help("a relation has one name, and a reverse is a relation: give this one another name");
            self.cx.report(diagnostic);
        }
        self.relations.push((name.text.clone(), name.span));
    }

    fn family_column(&mut self, table: &Table, column: &Ident) {
        let Some(found) = table.column_of(self.cx, column) else { return };
        if !can_be_key(&found.kind) {
            let message = format!("{}, and relations are named by text or integers", is_a(&found));
            self.cx.error(codes::SCHEMA_WRONG_KIND, message, column.span, "names no relations");
        }
    }

    fn edge_columns(
        &mut self,
        edge: &Edge,
        table: &Table,
        src: Option<usize>,
        dst: Option<usize>,
    ) -> Option<(String, String)> {
        let [from, to] = edge.columns.as_slice() else {
            let names: Vec<&str> = table.headers.iter().flat_map(|h| h.names()).take(2).collect();
            let example = if names.len() == 2 { names.join(", ") } else { "src, dst".into() };
            let help = format!("write the columns of the two ends after the table: `({example})`");
            let message = format!("`{}` needs two columns", show_edge(&edge.path));
            self.cx.error_help(codes::SCHEMA_EDGE, message, edge.path.span, "which columns?", help);
            return None;
        };
        for (name, end) in [(from, src), (to, dst)] {
            if let Some(column) = table.column_of(self.cx, name) {
                self.end_column(name, &column, end);
            }
        }
        Some((from.text.clone(), to.text.clone()))
    }

    /// An edge's column holds keys of its node type.
    fn end_column(&mut self, name: &Ident, column: &ColumnHeader, end: Option<usize>) {
        if !can_be_key(&column.kind) {
            let message = format!("{}, and an edge's ends are text or integers", is_a(column));
            self.cx.error(codes::SCHEMA_KEY_KIND, message, name.span, "names no nodes");
            return;
        }
        let Some(end) = end.filter(|end| !self.keyless.contains(end)) else { return };
        let kind = if column.kind == ColumnKind::Int { KeyKind::Int } else { KeyKind::Text };
        if self.tableless.contains(&end) {
            self.learn_key(end, kind);
            return;
        }
        let node = &self.plan.nodes[end];
        let (wanted, key) = match &node.key {
            Some(key) => (key.kind, format!("the key `{}`", key.column)),
            None => (KeyKind::Int, "the row number".to_owned()),
        };
        if kind == wanted || (column.guessed && wanted == KeyKind::Text) {
            return;
        }
        let wanted = if wanted == KeyKind::Int { "integers" } else { "text" };
        let message = format!("{}, and {key} of `{}` is {wanted}", is_a(column), node.name);
        let help = match node.key {
            Some(_) => "both columns hold the same identifiers, of one kind".to_owned(),
            None => format!("name the column of `{}` that identifies it: `key …`", node.name),
        };
        self.cx.error_help(codes::SCHEMA_KEY_KIND, message, name.span, "of another kind", help);
    }

    fn learn_key(&mut self, node: usize, kind: KeyKind) {
        let node = &mut self.plan.nodes[node];
        match &mut node.key {
            Some(key) if kind == KeyKind::Text => key.kind = kind,
            Some(_) => {}
            None => node.key = Some(Key { column: node.name.clone(), kind }),
        }
    }

    fn keys_of_tableless(&mut self, graph: Span) {
        for node in self.tableless.clone() {
            let touched = self.plan.edges.iter().any(|e| e.src == node || e.dst == node);
            if !touched && !self.cx.diags.has_errors() {
                let message = format!("`{}` is declared by edges, and has none", self.plan.nodes[node].name);
                let help = "add an edge that ends in it, or give it a table";
                self.cx.error_help(codes::SCHEMA_NO_SOURCE, message, graph, "", help);
            }
        }
    }

    fn edge_body(
        &mut self,
        edge: &Edge,
        table: &Table,
    ) -> (Vec<graph::Feature>, Option<String>, graph::MissingPolicy) {
        let mut features = Vec::new();
        let mut reverse = None;
        let mut missing = self.prelude.missing;
        for stmt in &edge.body {
            match stmt {
                SchemaStmt::Feature(feature) => self.feature(feature, table, &mut features),
                SchemaStmt::Reverse { name, .. } => {
                    if !matches!(edge.path.rel, Relation::Column(_)) {
                        self.relation(name);
                    }
                    reverse = Some(name.text.clone());
                }
                SchemaStmt::Setting(setting) if setting.name.text == "missing" => {
                    if let Some(policy) = self.policy(setting, &["error", "drop"]) {
                        missing = match policy {
                            0 => graph::MissingPolicy::Error,
                            _ => graph::MissingPolicy::Drop,
                        };
                    }
                }
                SchemaStmt::Setting(setting) => self.unknown_setting(setting, "edge", &["missing"]),
                SchemaStmt::Time { span, .. } => self.not_yet_time(*span),
                SchemaStmt::Label(Label { span, .. }) | SchemaStmt::Split(Split { span, .. }) => {
                    let help = "for now predict a label of a node type";
                    let message = "prediction on edges does not run yet";
                    self.cx.error_help(codes::NOT_YET_EDGE_PREDICTION, message, *span, "on an edge", help);
                }
                SchemaStmt::Bad(_) | SchemaStmt::Allow(_) => {}
                other => {
                    let help = "an edge holds `reverse`, `feature`, `missing` and `time`";
                    self.misplaced(other, help);
                }
            }
        }
        (features, reverse, missing)
    }
}

fn key_ident(body: &[SchemaStmt]) -> Option<Ident> {
    body.iter().find_map(|s| match s {
        SchemaStmt::Key { columns, .. } => columns.first().cloned(),
        _ => None,
    })
}
