//! Relations: their ends, policies, features, labels and times.

use gsl_plan::graph::{self, Candidates, Key, KeyKind, Loops, Parallel};

use super::merge::{relation_name, show_edge};
use super::parallel::POLICIES;
use super::structure::{self, RowsOf};
use super::table::{Table, both, can_be_key, compares, is_a, key_kind};
use super::{Resolver, leak, lost_names, old};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::*;
use crate::world::{ColumnHeader, ColumnKind};

impl Resolver<'_, '_> {
    pub(super) fn edge(&mut self, edge: &Edge) {
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
        self.no_joins(source);
        let old = old::of_edges(self.cx.world.trained(), relation.name());
        let table = Table::open(self.cx, self.env, source).like(old);
        if let Relation::Column(column) = &edge.path.rel {
            self.family_column(&table, column);
        }
        let columns = self.edge_columns(edge, &table, src, dst);
        let body = self.edge_body(edge, &table);
        let (Some(src), Some(dst), Some((src_column, dst_column))) = (src, dst, columns) else { return };
        self.lost_of_edges.push(lost_names(&edge.body, &body.features, &body.labels));
        self.plan.edges.push(graph::EdgeType {
            relation,
            src,
            dst,
            source: table.sources.first().cloned().unwrap_or_default(),
            src_column,
            dst_column,
            reverse: body.reverse,
            features: body.features,
            missing: body.missing,
            parallel: body.parallel,
            loops: body.loops,
            time: body.time,
            labels: body.labels,
            candidates: body.candidates,
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
                self.end_column(name, &column, end, table);
            }
        }
        Some((from.text.clone(), to.text.clone()))
    }

    /// An edge's column holds keys of its node type.
    fn end_column(&mut self, name: &Ident, column: &ColumnHeader, end: Option<usize>, table: &Table) {
        let Some(kind) = key_kind(&column.kind) else {
            let message = format!("{}, and an edge's ends are text or integers", is_a(column));
            self.cx.error(codes::SCHEMA_KEY_KIND, message, name.span, "names no nodes");
            return;
        };
        let Some(end) = end.filter(|end| !self.keyless.contains(end)) else { return };
        if self.tableless.contains(&end) {
            self.learn_key(end, kind);
            return;
        }
        let node = &self.plan.nodes[end];
        let (wanted, key) = match &node.key {
            Some(key) => (key.kind, format!("the key `{}`", key.column)),
            None => (KeyKind::Int, "the row number".to_owned()),
        };
        let is_named = node.key.is_some() || kind == wanted;
        if is_named && compares(self.cx, table, column, wanted) {
            return;
        }
        let wanted = if wanted == KeyKind::Int { "integers" } else { "text" };
        let message = format!("{}, and {key} of `{}` is {wanted}", is_a(column), node.name);
        let help = match node.key {
            Some(_) if column.kind == ColumnKind::Float => {
                "keep whole numbers as integers or as text".to_owned()
            }
            Some(_) => {
                "both columns hold the same identifiers; text that is no integer is none of them".to_owned()
            }
            None => format!("name the column of `{}` that identifies it: `key …`", node.name),
        };
        let diagnostic = Diagnostic::new(codes::SCHEMA_KEY_KIND, message)
            .at(name.span, "of another kind")
            .help_opt(both(table.why_text(&name.text), Some(help)));
        self.cx.report(diagnostic);
    }

    fn learn_key(&mut self, node: usize, kind: KeyKind) {
        let node = &mut self.plan.nodes[node];
        match &mut node.key {
            Some(key) if kind == KeyKind::Text => key.kind = kind,
            Some(_) => {}
            None => node.key = Some(Key { column: node.name.clone(), kind }),
        }
    }

    pub(super) fn keys_of_tableless(&mut self, graph: Span) {
        for node in self.tableless.clone() {
            let touched = self.plan.graphs == Some(node)
                || self.plan.edges.iter().any(|e| e.src == node || e.dst == node);
            if !touched && !self.cx.diags.has_errors() {
                let message = format!("`{}` is declared by edges, and has none", self.plan.nodes[node].name);
                let help = "add an edge that ends in it, or give it a table";
                self.cx.error_help(codes::SCHEMA_NO_SOURCE, message, graph, "", help);
            }
        }
    }

    fn no_joins(&mut self, source: &Source) {
        let SourceKind::Tables { joins, .. } = &source.kind else { return };
        for join in joins {
            let message = "an edge has no key to join on";
            let help = "put the columns into the edge's own table";
            self.cx.error_help(codes::SCHEMA_JOIN, message, join.span, "joined on what?", help);
        }
    }

    fn edge_body(&mut self, edge: &Edge, table: &Table) -> Body {
        let mut body = Body::new(self.prelude.missing);
        self.policies(edge, table, &mut body);
        let time = body.time.clone();
        let rows = RowsOf::Edges { parallel: body.parallel, time: time.as_deref(), ends: &edge.columns };
        let mut labels = Vec::new();
        for stmt in &edge.body {
            match stmt {
                SchemaStmt::Feature(feature) => match structure::as_candidates(feature) {
                    Some(args) => self.candidates(feature, args, table, &mut body),
                    None => self.feature(feature, table, rows, &mut body.features),
                },
                SchemaStmt::Label(label) => self.label(label, table, rows, &mut labels),
                SchemaStmt::Reverse { .. } | SchemaStmt::Setting(_) | SchemaStmt::Time { .. } => {}
                SchemaStmt::Split(_) | SchemaStmt::Bad(_) | SchemaStmt::Allow(_) => {}
                other => {
                    let help = "an edge holds `reverse`, `feature`, `label`, `split`, `missing`, `parallel`, `loops` \
                                and `time`";
                    self.misplaced(other, help);
                }
            }
        }
        self.clash(&body.features, &labels, relation_name(&edge.path));
        self.splits(&edge.body, table, rows, &mut labels);
        body.labels = labels.into_iter().map(|l| l.label).collect();
        let place = (edge.body.as_slice(), edge.path.span);
        leak::check(self.cx, &self.allowed, place, &body.features, &body.labels);
        self.no_twins(&edge.body, &body);
        body
    }

    /// What says how all the other statements are to be read.
    fn policies(&mut self, edge: &Edge, table: &Table, body: &mut Body) {
        for stmt in &edge.body {
            match stmt {
                SchemaStmt::Reverse { name, .. } => {
                    if !matches!(edge.path.rel, Relation::Column(_)) {
                        self.relation(name);
                    }
                    body.reverse = Some(name.text.clone());
                }
                SchemaStmt::Setting(setting) => self.edge_setting(setting, edge, body),
                SchemaStmt::Time { value, span } => self.time(value, *span, table, &mut body.time),
                _ => {}
            }
        }
    }

    fn edge_setting(&mut self, setting: &Setting, edge: &Edge, body: &mut Body) {
        match setting.name.text.as_str() {
            "missing" => match self.policy(setting, &["error", "drop"]) {
                Some(0) => body.missing = graph::MissingPolicy::Error,
                Some(_) => body.missing = graph::MissingPolicy::Drop,
                None => {}
            },
            "parallel" => {
                let found = self.policy(setting, &POLICIES.map(|(name, _)| name));
                body.parallel = found.map_or(body.parallel, |at| POLICIES[at].1);
            }
            "loops" => {
                let found = self.policy(setting, &LOOPS.map(|(name, _)| name));
                body.loops = found.map_or(body.loops, |at| LOOPS[at].1);
                self.loops_fit(setting, edge, body.loops);
            }
            _ => self.unknown_setting(setting, "edge", &["missing", "parallel", "loops"]),
        }
    }

    /// A loop has its two ends at one node, and of one relation.
    fn loops_fit(&mut self, setting: &Setting, edge: &Edge, loops: Loops) {
        let (message, help) = match (&edge.path.rel, loops) {
            _ if edge.path.src.text != edge.path.dst.text && loops != Loops::Keep => (
                format!("`{}` has no loops: its ends are of two types", show_edge(&edge.path)),
                "remove it: loops are edges from a node to itself",
            ),
            (Relation::Column(_), Loops::Add) => (
                format!("loops of which of the relations in `{}`?", relation_name(&edge.path)),
                "a layer that is to see the node itself adds `h[v]`: `RGCN` does",
            ),
            _ => return,
        };
        self.cx.error_help(codes::SCHEMA_LOOPS, message, setting.span, "", help);
    }

    /// Features, labels and candidates of an edge have names of their own.
    fn no_twins(&mut self, stmts: &[SchemaStmt], body: &Body) {
        for stmt in stmts {
            let SchemaStmt::Feature(feature) = stmt else { continue };
            let is_twin = structure::as_candidates(feature).is_some()
                && (body.features.iter().any(|f| f.name == feature.name.text)
                    || body.labels.iter().any(|l| l.name == feature.name.text));
            if is_twin {
                self.duplicate("feature", &feature.name);
            }
        }
    }

    /// `feature hard = candidates(negatives, separator: ";")`
    fn candidates(&mut self, feature: &Feature, args: &[Arg], table: &Table, body: &mut Body) {
        let name = &feature.name;
        if body.candidates.iter().any(|c| c.name == name.text) {
            self.duplicate("feature", name);
            return;
        }
        if let Some(ty) = &feature.ty {
            let message = "candidates are keys of nodes, and have no other type";
            self.cx.error(codes::SCHEMA_CANDIDATES, message, ty.span, "remove it");
            return;
        }
        if body.parallel != Parallel::Keep {
            let message = "candidates of merged edges have no meaning";
            let help = "keep parallel edges apart: `parallel = keep`";
            self.cx.error_help(codes::SCHEMA_CANDIDATES, message, name.span, "of which row?", help);
            return;
        }
        let Some((column, rest)) = args.split_first().filter(|(first, _)| first.name.is_none()) else {
            let message = "`candidates` needs a column";
            let help = "write `candidates(column, separator: \";\")`";
            self.cx.error_help(codes::ARGS_MISSING, message, name.span, "of which column?", help);
            return;
        };
        let Some(signature) = self.prelude.signature("candidates").cloned() else { return };
        let span = feature.value.as_ref().map_or(name.span, |v| v.span);
        let Some(args) = signature.bind(self.cx, self.env, rest, span, &[]) else { return };
        let Some(header) = self.candidate_column(&column.value, table) else { return };
        let separator = args.word("separator").map(str::to_owned);
        if separator.as_ref().is_some_and(|s| s.is_empty() || header.kind != ColumnKind::Text) {
            let message = "a separator has at least one character, and parts keys in a text";
            self.cx.error(codes::SCHEMA_CANDIDATES, message, span, "");
            return;
        }
        body.candidates.push(Candidates { name: name.text.clone(), column: header.name, separator });
    }

    fn candidate_column(&mut self, column: &Expr, table: &Table) -> Option<ColumnHeader> {
        let Some(name) = column.as_name() else {
            let message = "`candidates` takes the name of a column";
            self.cx.error(codes::SCHEMA_CANDIDATES, message, column.span, "no column");
            return None;
        };
        let header = table.column(self.cx, name, column.span)?;
        let fits = matches!(header.kind, ColumnKind::Text | ColumnKind::TextList | ColumnKind::Int);
        if !fits {
            let message = format!("{}, which holds no keys of nodes", is_a(&header));
            let help = "a text with keys in it, a list of texts, or a column like the key itself";
            self.cx.error_help(codes::SCHEMA_CANDIDATES, message, column.span, "no keys", help);
        }
        fits.then_some(header)
    }
}

const LOOPS: [(&str, Loops); 3] = [("keep", Loops::Keep), ("drop", Loops::Drop), ("add", Loops::Add)];

/// What the braces of an edge say.
struct Body {
    features: Vec<graph::Feature>,
    labels: Vec<graph::Label>,
    candidates: Vec<Candidates>,
    reverse: Option<String>,
    missing: graph::MissingPolicy,
    parallel: Parallel,
    loops: Loops,
    time: Option<String>,
}

impl Body {
    fn new(missing: graph::MissingPolicy) -> Self {
        Body {
            features: Vec::new(),
            labels: Vec::new(),
            candidates: Vec::new(),
            reverse: None,
            missing,
            parallel: Parallel::default(),
            loops: Loops::default(),
            time: None,
        }
    }
}
