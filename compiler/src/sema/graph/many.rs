//! Graphs of many small graphs: `many by molecule_id from "molecules.csv" { … }`.
//!
//! The small graphs are the nodes of a type named `graph`; each node type whose table has the column says with it
//! which small graph a node is in.

use gsl_plan::graph::{Key, KeyKind};

use super::Resolver;
use super::table::{compares, is_a, key_kind};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{Ident, Many, Node, SchemaStmt, Source, SourceKind};

/// The node type of the small graphs.
pub const GRAPH: &str = "graph";

impl Resolver<'_, '_> {
    /// Declares the node type of the small graphs.
    pub fn many(&mut self, many: &Many) {
        if self.plan.graphs.is_some() {
            let message = "a graph is many in one way";
            self.cx.error(codes::NAMES_DUPLICATE, message, many.column.span, "the second one");
            return;
        }
        let source = many.source.clone().unwrap_or(Source { kind: SourceKind::Edges, span: many.span });
        let node = Node {
            doc: many.doc.clone(),
            name: Ident { text: GRAPH.to_owned(), span: many.column.span },
            source: Some(source),
            body: many.body.clone(),
            span: many.span,
        };
        let index = self.plan.nodes.len();
        self.node_keyed(&node, Some(&many.column));
        if self.plan.nodes.len() > index {
            self.plan.graphs = Some(index);
        }
    }

    /// Finds the node types that say which small graph their nodes are in.
    pub fn memberships(&mut self, stmts: &[SchemaStmt]) {
        let many = stmts.iter().find_map(|stmt| match stmt {
            SchemaStmt::Many(many) => Some(many),
            _ => None,
        });
        let (Some(graphs), Some(many)) = (self.plan.graphs, many) else { return };
        let named = many.source.is_none();
        if named {
            self.plan.nodes[graphs].key = None;
        }
        for ty in (0..self.plan.nodes.len()).filter(|ty| *ty != graphs) {
            self.membership(ty, graphs, &many.column, named);
        }
        let is_complete = |ty: usize| self.tables[ty].is_complete() || self.tables[ty].sources.is_empty();
        let none = self.plan.nodes.iter().all(|n| n.graph.is_none());
        if none && (0..self.plan.nodes.len()).all(is_complete) {
            let message = format!("no node type has a column `{}`", many.column);
            let help = "the tables of nodes say which small graph each node is in";
            let span = many.column.span;
            self.cx.error_help(codes::SCHEMA_MANY, message, span, "in no table of nodes", help);
        }
    }

    fn membership(&mut self, ty: usize, graphs: usize, column: &Ident, named: bool) {
        let tables = &self.tables[ty];
        let Some(found) = tables.headers.iter().find_map(|h| h.column(&column.text)).cloned() else { return };
        let name = self.plan.nodes[ty].name.clone();
        let Some(kind) = key_kind(&found.kind) else {
            let message = format!("{} in `{name}`, and small graphs go by text or integers", is_a(&found));
            self.cx.error(codes::SCHEMA_MANY, message, column.span, "names no small graphs");
            return;
        };
        self.plan.nodes[ty].graph = Some(column.text.clone());
        let key = &mut self.plan.nodes[graphs].key;
        match key {
            None if named => *key = Some(Key { column: column.text.clone(), kind }),
            Some(key) if named && kind == KeyKind::Text => key.kind = kind,
            _ => {}
        }
        let wanted = key.as_ref().map_or(KeyKind::Int, |key| key.kind);
        if !named && !compares(self.cx, tables, &found, wanted) {
            let wanted = if wanted == KeyKind::Int { "integers" } else { "text" };
            let message =
                format!("{} in `{name}`, and the small graphs have {wanted} for keys", is_a(&found));
            let diagnostic = Diagnostic::new(codes::SCHEMA_KEY_KIND, message)
                .at(column.span, "of another kind")
                .help("both columns hold the same identifiers, of one kind");
            self.cx.report(diagnostic);
        }
    }
}
