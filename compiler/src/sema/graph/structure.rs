//! Features that follow from the edges instead of a column: degrees, PageRank, the number of merged rows.

use gsl_plan::graph::{FeatureExpr, Parallel, RelationRef, Structure};

use super::feature::{FeatureCx, Kind, Resolved};
use super::merge::relation_name;
use crate::diag::{Diagnostic, codes};
use crate::sema::call::Args;
use crate::sema::cx::nearest_or_all;
use crate::syntax::ast::{self, Arg, Edge, Ident, SchemaStmt, Span};

const OF_NODES: [&str; 4] = ["degree", "in_degree", "out_degree", "pagerank"];
const CANDIDATES: &str = "candidates";

/// What the rows of an expression are, and which relations the graph declares.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub rows: RowsOf<'a>,
    pub relations: &'a [Declared],
}

#[derive(Clone, Copy)]
pub enum RowsOf<'a> {
    /// Nodes of the type of this name.
    Nodes(&'a str),
    Edges {
        parallel: Parallel,
        /// The column that says when an edge comes into being.
        time: Option<&'a str>,
        /// The columns of the two ends.
        ends: &'a [Ident],
    },
}

/// A relation that an edge statement declares: itself or its reverse. A family goes by its column, its reverses by
/// their prefix.
pub struct Declared {
    name: String,
    src: String,
    dst: String,
    found: RelationRef,
}

/// The relations of a graph. `edge` counts the edge statements, and is right for a graph without mistakes.
pub fn declared(stmts: &[SchemaStmt]) -> Vec<Declared> {
    let edges = stmts.iter().filter_map(|stmt| match stmt {
        SchemaStmt::Edge(edge) => Some(edge),
        _ => None,
    });
    edges.enumerate().flat_map(|(index, edge)| of_edge(index, edge)).collect()
}

fn of_edge(edge: usize, stmt: &Edge) -> impl Iterator<Item = Declared> {
    let (src, dst) = (&stmt.path.src.text, &stmt.path.dst.text);
    let one = |name: &str, src: &String, dst: &String, reverse| Declared {
        name: name.to_owned(),
        src: src.clone(),
        dst: dst.clone(),
        found: RelationRef { edge, reverse },
    };
    let reverse = stmt.body.iter().find_map(|s| match s {
        SchemaStmt::Reverse { name, .. } => Some(name.text.as_str()),
        _ => None,
    });
    let forward = one(relation_name(&stmt.path), src, dst, false);
    std::iter::once(forward).chain(reverse.map(|name| one(name, dst, src, true)))
}

impl FeatureCx<'_, '_> {
    /// A call of a structural feature. `None`: it is none.
    pub fn structure(&mut self, name: &str, args: &[Arg], call: Span) -> Option<Option<Resolved>> {
        let structure = match name {
            "count" => self.count(args, call),
            CANDIDATES => self.misplaced_candidates(call),
            name if OF_NODES.contains(&name) => self.of_node(name, args, call),
            _ => return None,
        };
        Some(structure.map(|(structure, kind)| Resolved { expr: FeatureExpr::Structure(structure), kind }))
    }

    fn misplaced_candidates<T>(&mut self, call: Span) -> Option<T> {
        let message = "candidates are keys of nodes, no numbers";
        let help = "they stand alone in an edge: `feature hard = candidates(column, separator: \";\")`";
        self.cx.error_help(codes::SCHEMA_CANDIDATES, message, call, "", help);
        None
    }

    fn count(&mut self, args: &[Arg], call: Span) -> Option<(Structure, Kind)> {
        self.prelude.signature("count")?.clone().bind(self.cx, self.env, args, call, &[])?;
        let (message, help) = match self.around.rows {
            RowsOf::Edges { parallel: Parallel::Keep, .. } => (
                "`count()` is the number of merged rows, and no rows are merged here",
                "say how parallel edges are merged: `parallel = count`, `sum`, `mean`, `min` or `max`",
            ),
            RowsOf::Edges { .. } => return Some((Structure::Count, Kind::Int)),
            RowsOf::Nodes(_) => (
                "`count()` is the number of rows that were merged into an edge",
                "of a node there are `degree()`, `in_degree(relation)` and `out_degree(relation)`",
            ),
        };
        self.cx.error_help(codes::SCHEMA_STRUCTURE, message, call, "of which rows?", help);
        None
    }

    fn of_node(&mut self, name: &str, args: &[Arg], call: Span) -> Option<(Structure, Kind)> {
        let RowsOf::Nodes(node) = self.around.rows else {
            let message = format!("`{name}` is a number of a node, and this is an edge");
            let help = "make it a feature of the node type";
            self.cx.error_help(codes::SCHEMA_STRUCTURE, message, call, "on an edge", help);
            return None;
        };
        let signature = self.prelude.signature(name)?.clone();
        if name == "degree" {
            signature.bind(self.cx, self.env, args, call, &[])?;
            return Some((Structure::Degree, Kind::Int));
        }
        let Some((relation, rest)) = args.split_first().filter(|(first, _)| first.name.is_none()) else {
            let message = format!("`{name}` needs a relation");
            let help = format!("write `{name}(relation)`");
            self.cx.error_help(codes::ARGS_MISSING, message, call, "of what?", help);
            return None;
        };
        let args = signature.bind(self.cx, self.env, rest, call, &[])?;
        let relation = self.relation(name, node, relation)?;
        match name {
            "in_degree" => Some((Structure::InDegree(relation), Kind::Int)),
            "out_degree" => Some((Structure::OutDegree(relation), Kind::Int)),
            _ => self.page_rank(relation, &args, call),
        }
    }

    fn page_rank(&mut self, relation: RelationRef, args: &Args, call: Span) -> Option<(Structure, Kind)> {
        let (damping, iterations) = (args.float("damping")?, args.int("iterations")?);
        if !(0.0..1.0).contains(&damping) {
            let message = format!("`damping` is at least 0 and less than 1, not {damping}");
            self.cx.error(codes::ARGS_VALUE, message, call, "");
            return None;
        }
        let Some(iterations) = u32::try_from(iterations).ok().filter(|n| (1..=10_000).contains(n)) else {
            let message = format!("`iterations` is from 1 to 10000, not {iterations}");
            self.cx.error(codes::ARGS_VALUE, message, call, "");
            return None;
        };
        Some((Structure::PageRank { relation, damping, iterations }, Kind::Float))
    }

    /// The relation that an argument names, whose edges touch the node type as `name` needs it.
    fn relation(&mut self, name: &str, node: &str, arg: &Arg) -> Option<RelationRef> {
        let Some(wanted) = arg.value.as_name() else {
            let message = format!("`{name}` takes the name of a relation");
            self.cx.error(codes::SCHEMA_STRUCTURE, message, arg.span, "no name");
            return None;
        };
        let around = self.around;
        let Some(found) = around.relations.iter().find(|r| r.name == wanted) else {
            let known: Vec<&str> = around.relations.iter().map(|r| r.name.as_str()).collect();
            let diagnostic =
                Diagnostic::new(codes::SCHEMA_STRUCTURE, format!("there is no relation `{wanted}`"))
                    .at(arg.span, "not a relation")
                    .help_opt(nearest_or_all(wanted, &known));
            self.cx.report(diagnostic);
            return None;
        };
        let (fits, why) = match name {
            "in_degree" => (found.dst == node, "no edge of it ends in"),
            "out_degree" => (found.src == node, "no edge of it starts in"),
            _ => (found.src == node && found.dst == node, "both its ends have to be"),
        };
        if fits {
            return Some(found.found);
        }
        let message = format!("`{wanted}` goes from `{}` to `{}`: {why} `{node}`", found.src, found.dst);
        let turned = found.src == node && name == "in_degree" || found.dst == node && name == "out_degree";
        let other = if name == "in_degree" { "out_degree" } else { "in_degree" };
        let diagnostic = Diagnostic::new(codes::SCHEMA_STRUCTURE, message)
            .at(arg.span, "of another type")
            .help_opt(turned.then(|| format!("`{other}({wanted})` counts them on this side")));
        self.cx.report(diagnostic);
        None
    }
}

/// Whether a feature of an edge is a column of candidates, with the arguments of the call.
pub fn as_candidates(feature: &ast::Feature) -> Option<&[Arg]> {
    match feature.value.as_ref()?.as_call()? {
        (CANDIDATES, args) => Some(args),
        _ => None,
    }
}
