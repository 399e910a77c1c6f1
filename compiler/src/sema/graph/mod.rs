//! Graphs: from statements to a [`GraphPlan`] whose every name is resolved and whose every column exists.
//!
//! Decided here: what a graph may say and what its tables must hold. Not decided here: how it is built.

mod edges;
pub mod feature;
pub mod label;
pub mod leak;
mod many;
pub mod merge;
mod old;
mod parallel;
pub mod reads;
pub mod source;
mod structure;
pub mod table;
mod text;
mod time;
mod transform;

use std::collections::BTreeSet;

use gsl_plan::graph::{self, GraphPlan, Key, KeyKind};

use self::feature::FeatureCx;
use self::label::CheckedLabel;
use self::leak::Allowed;
pub use self::many::GRAPH;
use self::structure::{Around, Declared, RowsOf};
use self::table::{Table, is_a, key_kind};
use super::cx::Cx;
use super::prelude::Prelude;
use super::value::{Env, Ty, eval};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::*;

/// A graph whose plan is complete unless a mistake was reported.
#[derive(Debug, Clone)]
pub struct CheckedGraph {
    pub plan: GraphPlan,
    pub span: Span,
    /// For each node type, its labels.
    pub labels: Vec<Vec<CheckedLabel>>,
    /// For each edge type, features and labels that are declared with mistakes.
    pub lost_of_edges: Vec<BTreeSet<String>>,
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

    /// The edge type that an edge of a target names: by its relation, its reverse, or by its ends where one has them.
    pub fn edge(&self, edge: &EdgePath) -> Option<usize> {
        let ends = |src: usize, dst: usize| {
            self.plan.nodes[src].name == edge.src.text && self.plan.nodes[dst].name == edge.dst.text
        };
        let fits = |e: &graph::EdgeType| {
            let name = match &e.relation {
                graph::Relation::Named(name) | graph::Relation::Column(name) => name,
            };
            let wanted = match &edge.rel {
                Relation::Any => return ends(e.src, e.dst),
                Relation::Named(wanted) | Relation::Column(wanted) => wanted.text.as_str(),
            };
            (name == wanted && ends(e.src, e.dst))
                || (e.reverse.as_deref() == Some(wanted) && ends(e.dst, e.src))
        };
        self.plan.edges.iter().position(fits)
    }

    /// Relations as declared: `package -depends-> package`.
    pub fn relation_names(&self) -> Vec<String> {
        let name = |e: &graph::EdgeType| {
            let (src, dst) = (&self.plan.nodes[e.src].name, &self.plan.nodes[e.dst].name);
            match &e.relation {
                graph::Relation::Named(name) => format!("{src} -{name}-> {dst}"),
                graph::Relation::Column(name) => format!("{src} -[{name}]-> {dst}"),
            }
        };
        self.plan.edges.iter().map(name).collect()
    }

    /// Whether any node or edge has a time.
    pub fn has_time(&self) -> bool {
        self.plan.nodes.iter().any(|n| n.time.is_some()) || self.plan.edges.iter().any(|e| e.time.is_some())
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
        lost_of_edges: Vec::new(),
        tables: Vec::new(),
        declared: structure::declared(stmts),
        times: None,
        tableless: BTreeSet::new(),
        keyless: BTreeSet::new(),
        relations: Vec::new(),
    };
    resolver.graph(stmts, graph.name.span);
    let Resolver { plan, labels, lost, lost_of_edges, .. } = resolver;
    let broken = cx.diags.as_slice()[before..].iter().any(Diagnostic::is_error);
    CheckedGraph { plan, span: graph.name.span, labels, lost, lost_of_edges, broken }
}

/// Features and labels that are declared and came to nothing.
fn lost_names(body: &[SchemaStmt], features: &[graph::Feature], labels: &[graph::Label]) -> BTreeSet<String> {
    let declared = body.iter().filter_map(|stmt| match stmt {
        SchemaStmt::Feature(feature) => Some(&feature.name.text),
        SchemaStmt::Label(label) => Some(&label.name.text),
        _ => None,
    });
    let is_found =
        |name: &String| features.iter().any(|f| f.name == *name) || labels.iter().any(|l| l.name == *name);
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
    /// In step with the plan's edges.
    lost_of_edges: Vec<BTreeSet<String>>,
    /// The tables of the node types, in step with `labels`.
    tables: Vec<Table>,
    declared: Vec<Declared>,
    /// Whether times are dates and times, or integers; and where that was first said.
    times: Option<(bool, Span)>,
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
        let is_many = stmts.iter().any(|s| matches!(s, SchemaStmt::Many(_)));
        for stmt in stmts {
            match stmt {
                SchemaStmt::Node(node) => self.node(node),
                SchemaStmt::Edge(_) | SchemaStmt::Allow(_) | SchemaStmt::Bad(_) => {}
                SchemaStmt::Setting(setting) => self.graph_setting(setting),
                SchemaStmt::Many(many) => self.many(many),
                SchemaStmt::Label(_) | SchemaStmt::Split(_) if is_many => {
                    self.misplaced(
                        stmt,
                        "labels of small graphs stand in the braces of `many by … from … { }`",
                    );
                }
                other => self.misplaced(other, "a graph holds `node`, `edge`, `many by`, `seed` and `allow`"),
            }
        }
        self.memberships(stmts);
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

    // ----------------------------------------------------------------------------------------------------------- nodes

    fn node(&mut self, node: &Node) {
        self.node_keyed(node, None);
    }

    /// `or_key`: the key if the body names none and the table has this column.
    fn node_keyed(&mut self, node: &Node, or_key: Option<&Ident>) {
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
            self.push_node(node, Table::default(), key_ident(&node.body));
            self.check_tableless(node);
            return;
        }
        let old = old::of_nodes(self.cx.world.trained(), &node.name.text);
        let table = Table::open(self.cx, self.env, source).like(old);
        self.check_joins(node, source);
        let or_key = or_key.filter(|name| table.headers.iter().any(|h| h.column(&name.text).is_some()));
        let key = key_ident(&node.body).or(or_key.cloned());
        self.push_node(node, table, key);
    }

    fn duplicate(&mut self, what: &str, name: &Ident) {
        let message = format!("the {what} `{name}` is declared twice");
        self.cx.error(codes::NAMES_DUPLICATE, message, name.span, "the second one");
    }

    /// Without a table there are no columns: features follow from edges, and there are no labels.
    fn check_tableless(&mut self, node: &Node) {
        let found = self.plan.nodes.last().map(|n| n.features.clone()).unwrap_or_default();
        let reads = |name: &str| {
            let mut columns = Vec::new();
            found.iter().filter(|f| f.name == name).for_each(|f| feature::columns(&f.expr, &mut columns));
            !columns.is_empty()
        };
        for stmt in &node.body {
            let misplaced = match stmt {
                SchemaStmt::Feature(feature) => reads(&feature.name.text),
                SchemaStmt::Label(_) | SchemaStmt::Split(_) | SchemaStmt::Time { .. } => true,
                _ => false,
            };
            if misplaced {
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
        leak::check(self.cx, &self.allowed, (&node.body, node.name.span), &found.features, &found.labels);
        self.lost.push(lost_names(&node.body, &found.features, &found.labels));
        self.plan.nodes.push(found);
        self.labels.push(labels);
        self.tables.push(table);
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
        let Some(kind) = key_kind(&column.kind) else {
            let message = format!("{}, and a key is text or integers", is_a(&column));
            self.cx.error(codes::SCHEMA_KEY_KIND, message, name.span, "cannot be a key");
            return None;
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
        let rows = RowsOf::Nodes(&node.name.text);
        for stmt in &node.body {
            match stmt {
                SchemaStmt::Key { columns, span } => self.key_shape(columns, *span),
                SchemaStmt::Feature(feature) => self.feature(feature, table, rows, &mut found.features),
                SchemaStmt::Label(label) => self.label(label, table, rows, labels),
                SchemaStmt::Split(_) | SchemaStmt::Bad(_) | SchemaStmt::Allow(_) => {}
                SchemaStmt::Time { value, span } => self.time(value, *span, table, &mut found.time),
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
        self.clash(&found.features, labels, &node.name.text);
        self.splits(&node.body, table, rows, labels);
        if node.body.iter().filter(|s| matches!(s, SchemaStmt::Key { .. })).count() > 1 {
            let message = format!("`{}` has two keys", node.name);
            self.cx.error(codes::NAMES_DUPLICATE, message, node.name.span, "one key is enough");
        }
    }

    fn clash(&mut self, features: &[graph::Feature], labels: &[CheckedLabel], owner: &str) {
        for label in labels {
            if features.iter().any(|f| f.name == label.label.name) {
                let message = format!("`{}` of `{owner}` is a feature and a label", label.label.name);
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

    fn columns<'b>(&'b mut self, table: &'b Table, rows: RowsOf<'b>) -> FeatureCx<'b, 'w> {
        let around = Around { rows, relations: &self.declared };
        FeatureCx { cx: &mut *self.cx, env: self.env, prelude: self.prelude, table, around }
    }

    fn feature(
        &mut self,
        feature: &Feature,
        table: &Table,
        rows: RowsOf,
        features: &mut Vec<graph::Feature>,
    ) {
        if features.iter().any(|f| f.name == feature.name.text) {
            self.duplicate("feature", &feature.name);
            return;
        }
        features.extend(self.columns(table, rows).feature(feature));
    }

    fn label(&mut self, label: &Label, table: &Table, rows: RowsOf, labels: &mut Vec<CheckedLabel>) {
        if labels.iter().any(|l| l.label.name == label.name.text) {
            self.duplicate("label", &label.name);
            return;
        }
        labels.extend(self.columns(table, rows).label(label));
    }

    fn splits(&mut self, body: &[SchemaStmt], table: &Table, rows: RowsOf, labels: &mut [CheckedLabel]) {
        for stmt in body {
            if let SchemaStmt::Split(split) = stmt {
                self.split(split, table, rows, labels, body);
            }
        }
    }

    fn split(
        &mut self,
        split: &Split,
        table: &Table,
        rows: RowsOf,
        labels: &mut [CheckedLabel],
        body: &[SchemaStmt],
    ) {
        let rule = match old::split_of_nodes(self.cx.world.trained(), rows, &split.label.text) {
            Some(old) => Some(old),
            None => self.columns(table, rows).split(split),
        };
        let declared = |s: &SchemaStmt| matches!(s, SchemaStmt::Label(l) if l.name.text == split.label.text);
        match labels.iter_mut().find(|l| l.label.name == split.label.text) {
            Some(label) if label.label.split.is_some() => {
                let message = format!("`{}` is split twice", split.label);
                self.cx.error(codes::NAMES_DUPLICATE, message, split.label.span, "the second split");
            }
            Some(label) => {
                label.label.split = rule;
                self.stratified(label, split);
            }
            None if body.iter().any(declared) => {}
            None => {
                let known = labels.iter().map(|l| l.label.name.as_str());
                let (name, span) = (&split.label.text, split.label.span);
                self.cx.unknown(codes::NAMES_LABEL, "label", name, span, known);
            }
        }
    }
}

/// The split of the edges of an edge type that an experiment wants to predict.
pub fn link_split(
    cx: &mut Cx,
    env: &Env,
    prelude: &Prelude,
    plan: &GraphPlan,
    edge: usize,
    setting: &Setting,
) -> Option<graph::Split> {
    let edge = &plan.edges[edge];
    let relation = edge.relation.name();
    let name = |text: &String| Ident { text: text.clone(), span: setting.name.span };
    let ends = [name(&edge.src_column), name(&edge.dst_column)];
    let old = old::of_edges(cx.world.trained(), relation);
    let table = Table::of(cx, std::slice::from_ref(&edge.source), setting.span).like(old);
    let rows = RowsOf::Edges { parallel: edge.parallel, time: edge.time.as_deref(), ends: &ends };
    let around = Around { rows, relations: &[] };
    let split = Split { label: setting.name.clone(), value: setting.value.clone(), span: setting.span };
    FeatureCx { cx, env, prelude, table: &table, around }.split(&split)
}

/// The split of the nodes of a type whose feature an experiment wants to reconstruct.
pub fn node_split(
    cx: &mut Cx,
    env: &Env,
    prelude: &Prelude,
    plan: &GraphPlan,
    ty: usize,
    setting: &Setting,
) -> Option<graph::Split> {
    let node = &plan.nodes[ty];
    let table = Table::of(cx, &node.sources, setting.span);
    let around = Around { rows: RowsOf::Nodes(&node.name), relations: &[] };
    let split = Split { label: setting.name.clone(), value: setting.value.clone(), span: setting.span };
    FeatureCx { cx, env, prelude, table: &table, around }.split(&split)
}

fn key_ident(body: &[SchemaStmt]) -> Option<Ident> {
    body.iter().find_map(|s| match s {
        SchemaStmt::Key { columns, .. } => columns.first().cloned(),
        _ => None,
    })
}
