//! Graphs: node and edge types, their sources, features, labels and splits.

use super::super::ast::*;
use super::explain::Place;
use super::pairs::{Pair, Parts};
use super::{Lower, Rule};

impl Lower<'_> {
    pub(super) fn graph(&mut self, pair: Pair<'_>) -> Graph {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let doc = self.docs.of(parts.span.start);
        let whole = parts.span;
        let mut graph = Graph { doc, name, base: None, without: Vec::new(), body: Vec::new(), span: whole };
        if let Some(derived) = parts.take(Rule::derived_graph) {
            parts = Parts::of(derived);
            graph.base = Some(parts.ident());
            graph.without = parts.all(Rule::type_ref).into_iter().filter_map(|p| self.type_ref(p)).collect();
        }
        graph.body = self.schema_body(&mut parts);
        parts.span = whole;
        if self.junk(&mut parts, Place::File) {
            graph.body.push(SchemaStmt::Bad(whole));
        }
        graph
    }

    fn schema_body(&mut self, parts: &mut Parts<'_>) -> Vec<SchemaStmt> {
        let Some(block) = parts.take(Rule::schema_block) else { return Vec::new() };
        self.unclosed(&block);
        block.into_inner().filter_map(|p| self.schema_stmt(p)).collect()
    }

    fn schema_stmt(&mut self, pair: Pair<'_>) -> Option<SchemaStmt> {
        let rule = pair.as_rule();
        Some(match rule {
            Rule::node => SchemaStmt::Node(self.node(pair)),
            Rule::edge => SchemaStmt::Edge(self.edge(pair)),
            Rule::feature => SchemaStmt::Feature(self.feature(pair)),
            Rule::label => SchemaStmt::Label(self.label(pair)),
            Rule::split => SchemaStmt::Split(self.split(pair)),
            Rule::setting => SchemaStmt::Setting(self.setting(pair, Place::Schema)),
            Rule::allow => SchemaStmt::Allow(self.allow(pair, Place::Schema)),
            Rule::many => SchemaStmt::Many(self.many(pair)),
            Rule::key | Rule::reverse | Rule::time => self.short(pair, rule),
            Rule::bad_stmt => SchemaStmt::Bad(self.bad(&pair, Place::Schema)),
            _ => return None,
        })
    }

    /// A keyword and its names.
    fn short(&mut self, pair: Pair<'_>, rule: Rule) -> SchemaStmt {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        if rule == Rule::time {
            let value = self.value(&mut parts, Place::Schema);
            return SchemaStmt::Time { value: value.unwrap_or_else(|| self.bad_expr(span)), span };
        }
        let statement = match rule {
            Rule::key => SchemaStmt::Key { columns: parts.idents(), span },
            _ => SchemaStmt::Reverse { name: parts.ident(), span },
        };
        self.junk(&mut parts, Place::Schema);
        statement
    }

    fn node(&mut self, pair: Pair<'_>) -> Node {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let name = parts.ident();
        let source = parts.take(Rule::source).map(|p| self.table(p));
        let body = self.declared_body(&mut parts);
        Node { doc: self.docs.of(span.start), name, source, body, span }
    }

    fn many(&mut self, pair: Pair<'_>) -> Many {
        let Node { doc, name, source, body, span } = self.node(pair);
        Many { doc, column: name, source, body, span }
    }

    fn edge(&mut self, pair: Pair<'_>) -> Edge {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let empty = || Ident { text: String::new(), span };
        let path = parts.take(Rule::edge_path).map(|p| self.edge_path(p));
        let path = path.unwrap_or_else(|| EdgePath { src: empty(), rel: Relation::Any, dst: empty(), span });
        let source = parts.take(Rule::source).map(|p| self.table(p));
        let columns = parts.take(Rule::columns).map_or(Vec::new(), |p| Parts::of(p).idents());
        let body = self.declared_body(&mut parts);
        Edge { doc: self.docs.of(span.start), path, source, columns, body, span }
    }

    /// The body of a node or edge; a `Bad` statement in it says that its end could not be read.
    fn declared_body(&mut self, parts: &mut Parts<'_>) -> Vec<SchemaStmt> {
        let mut body = self.schema_body(parts);
        if self.junk(parts, Place::Schema) {
            body.push(SchemaStmt::Bad(parts.span));
        }
        body
    }

    fn table(&mut self, pair: Pair<'_>) -> Source {
        let mut parts = Parts::of(pair);
        let kind = if parts.has(Rule::edges) {
            SourceKind::Edges
        } else {
            let files = self.files(&mut parts);
            let joins = parts.all(Rule::join).into_iter().map(|p| self.join(p)).collect();
            SourceKind::Tables { files, joins }
        };
        Source { kind, span: parts.span }
    }

    fn files(&mut self, parts: &mut Parts<'_>) -> Vec<Expr> {
        let Some(files) = parts.take(Rule::files) else { return Vec::new() };
        Parts::of(files).all(Rule::expr).into_iter().map(|p| self.expr(p)).collect()
    }

    fn join(&mut self, pair: Pair<'_>) -> Join {
        let mut parts = Parts::of(pair);
        let files = self.files(&mut parts);
        let on = parts.take(Rule::ident).map(|p| super::pairs::ident(&p));
        Join { files, on, span: parts.span }
    }

    fn feature(&mut self, pair: Pair<'_>) -> Feature {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let ty = parts.take(Rule::type_expr).map(|p| self.type_expr(p));
        let value = self.value(&mut parts, Place::Schema);
        Feature { doc: self.docs.of(parts.span.start), name, ty, value, span: parts.span }
    }

    fn label(&mut self, pair: Pair<'_>) -> Label {
        let Feature { doc, name, ty, value, span } = self.feature(pair);
        Label { doc, name, ty, value, span }
    }

    fn split(&mut self, pair: Pair<'_>) -> Split {
        let mut parts = Parts::of(pair);
        let label = parts.ident();
        let value = self.arg_list(&mut parts, Place::Schema);
        Split { label, value, span: parts.span }
    }

    pub(super) fn allow(&mut self, pair: Pair<'_>, place: Place) -> Allow {
        let mut parts = Parts::of(pair);
        let value = self.value(&mut parts, place).unwrap_or_else(|| self.bad_expr(parts.span));
        Allow { value, span: parts.span }
    }

    /// The values of a setting; one `Bad` value if text follows them that fits nowhere.
    pub(super) fn arg_list(&mut self, parts: &mut Parts<'_>, place: Place) -> Vec<Arg> {
        let list = parts.take(Rule::arg_list).map_or(Vec::new(), |p| self.args(p));
        match self.junk(parts, place) {
            true => vec![Arg { name: None, value: self.bad_expr(parts.span), span: parts.span }],
            false => list,
        }
    }

    pub(super) fn setting(&mut self, pair: Pair<'_>, place: Place) -> Setting {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let against = parts.take(Rule::against).and_then(|p| Parts::of(p).take(Rule::arg_list));
        let value = self.arg_list(&mut parts, place);
        let against = against.map_or(Vec::new(), |p| self.args(p));
        Setting { doc: self.docs.of(parts.span.start), name, value, against, span: parts.span }
    }
}
