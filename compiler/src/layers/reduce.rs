//! Types of reductions: over relations, over edges, over a dimension of the row.

use super::check::{Bound, Checker, wrap};
use super::dims::{Dim, shape_text};
use super::typed::*;
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{Expr, ExprKind, Index, IndexKind, Reduction, Span};

impl Checker<'_, '_> {
    pub(super) fn reduction(
        &mut self,
        expr: &Expr,
        op: Reduction,
        op_span: Span,
        over: &Index,
        body: &Expr,
    ) -> Typed {
        match &over.kind {
            _ if self.is_module() => self.over_dimension(expr, op, over, body),
            IndexKind::Name(i) if i.text == "r" => self.over_relations(expr, op, op_span, body),
            IndexKind::Edge { src, rel, dst } if src.text == "u" && dst.text == "v" => match rel {
                None => self.over_edges(expr, op, Over::Edges, over, body),
                Some(r) if r.text == "r" => self.over_edges(expr, op, Over::EdgesOf, over, body),
                Some(_) => self.bad_range(over, body),
            },
            IndexKind::Name(_) => self.over_dimension(expr, op, over, body),
            _ => self.bad_range(over, body),
        }
    }

    fn bad_range(&mut self, over: &Index, body: &Expr) -> Typed {
        let bound =
            std::mem::replace(&mut self.bound, Bound { node: true, edge: true, relation: true, ty: false });
        self.expr(body);
        self.bound = bound;
        let d = Diagnostic::new(codes::LAYER_WRONG_INDEX, "nothing to reduce over")
            .at(over.span, "not a range")
            .help("reduce over `[u -> v]` (all edges into v), `[u -r-> v]` (those of relation r), `[r]` (relations) or a dimension such as `[heads]`");
        self.bad(over.span, d)
    }

    fn over_relations(&mut self, expr: &Expr, op: Reduction, op_span: Span, body: &Expr) -> Typed {
        let outer = self.bound;
        if outer.relation || outer.edge || !outer.node {
            let d = Diagnostic::new(
                codes::LAYER_UNBOUND_INDEX,
                "`[r]` ranges over the relations into a node `v`",
            )
            .at(op_span, "not on a node here")
            .help("write it in an equation with the index `[v]`, outside of other reductions");
            return self.bad(expr.span, d);
        }
        self.bound.relation = true;
        let value = self.expr(body);
        self.bound = outer;
        let Some(fold) = fold(op) else {
            let d = Diagnostic::new(codes::LAYER_WRONG_INDEX, "a softmax over relations")
                .at(op_span, "not over `[r]`")
                .help("a softmax ranges over edges `[u -> v]` or over a dimension");
            return self.bad(expr.span, d);
        };
        if value.is_bad() {
            return value;
        }
        self.reduces = true;
        if value.deps.is_edgy() {
            let d = Diagnostic::new(
                codes::LAYER_EDGE_ON_NODE,
                "`[r]` ranges over relations, and this is on edges",
            )
            .at(value.span, "one row per edge")
            .help(format!(
                "reduce it over the edges of each relation first: {}",
                wrap("sum[r] sum[u -r-> v]", body)
            ));
            return self.bad(expr.span, d);
        }
        if !value.deps.has(Deps::RELATION) {
            return self.not_free(
                expr.span,
                value.span,
                "the relations `[r]`",
                "r",
                "write it without `[r]`",
            );
        }
        let value = self.resolve_type(value, End::Node);
        let deps = value.deps.without(Deps::RELATION) | Deps::NODE;
        let shape = value.shape.clone();
        Typed {
            kind: Kind::Reduce { op: fold, over: Over::Relations, body: Box::new(value) },
            deps,
            shape,
            span: expr.span,
        }
    }

    fn over_edges(&mut self, expr: &Expr, op: Reduction, over: Over, index: &Index, body: &Expr) -> Typed {
        let outer = self.bound;
        if over == Over::EdgesOf && !outer.relation {
            let d = Diagnostic::new(codes::LAYER_UNBOUND_INDEX, "there is no relation `r` here")
                .at(index.span, "of which relation?")
                .help("sum over the relations around it, `sum[r] mean[u -r-> v] …`, or take the edges of all: `[u -> v]`");
            self.report(d);
        }
        if !outer.node {
            let d = Diagnostic::new(codes::LAYER_UNBOUND_INDEX, "there is no node `v` here")
                .at(index.span, "edges into which node?")
                .help("give the equation the index `[v]`");
            self.report(d);
        }
        self.bound = Bound { node: true, edge: true, relation: over == Over::EdgesOf, ty: false };
        let value = self.expr(body);
        self.bound = outer;
        if value.is_bad() || !outer.node || (over == Over::EdgesOf && !outer.relation) {
            return Typed::bad(expr.span);
        }
        self.reduces = true;
        if !value.deps.is_edgy() {
            let range = if over == Over::Edges { "the edges `[u -> v]`" } else { "the edges `[u -r-> v]`" };
            return self.not_free(
                expr.span,
                value.span,
                range,
                "u",
                "`deg(v)` counts edges; a value on `v` alone needs no reduction",
            );
        }
        if value.deps.has(Deps::TYPE) {
            let d = Diagnostic::new(
                codes::LAYER_WRONG_INDEX,
                "this belongs to a node's type, and an edge has two nodes",
            )
            .at(value.span, "of `u` or of `v`?")
            .help("write the node: `K[u]` or `K[v]`");
            return self.bad(expr.span, d);
        }
        let shape = value.shape.clone();
        let gone = Deps::SOURCE | Deps::EDGE | Deps::SOURCE_TYPE | Deps::RELATION;
        let kept = value.deps.without(gone) | Deps::NODE;
        let related = if over == Over::EdgesOf { Deps::RELATION } else { Deps::NONE };
        let body = Box::new(value);
        match fold(op) {
            Some(op) => {
                Typed { kind: Kind::Reduce { op, over, body }, deps: kept | related, shape, span: expr.span }
            }
            None => {
                let id = self.new_id();
                let deps = kept | related | Deps::EDGE;
                Typed { kind: Kind::Softmax { over, body, id }, deps, shape, span: expr.span }
            }
        }
    }

    fn not_free(&mut self, span: Span, body: Span, range: &str, index: &str, help: &str) -> Typed {
        let d = Diagnostic::new(codes::LAYER_NOT_FREE, format!("the reduction ranges over {range}"))
            .at(body, format!("the same for every `{index}`"))
            .help(help);
        self.bad(span, d)
    }

    /// `mean[heads] z[v]`
    fn over_dimension(&mut self, expr: &Expr, op: Reduction, over: &Index, body: &Expr) -> Typed {
        let value = self.expr(body);
        let dim = match &over.kind {
            IndexKind::Name(name) => {
                let named = Expr::new(ExprKind::Name(name.text.clone()), name.span);
                self.dim_to_reduce(&named)
            }
            IndexKind::Values(values) => match values.as_slice() {
                [one] => self.dim_to_reduce(one),
                _ => None,
            },
            IndexKind::Edge { .. } => {
                let d = Diagnostic::new(codes::LAYER_WRONG_INDEX, "a module has no edges")
                    .at(over.span, "no graph here")
                    .help("declare it as a `layer` to reduce over edges");
                return self.bad(expr.span, d);
            }
        };
        let Some(dim) = dim else { return Typed::bad(expr.span) };
        if value.is_bad() {
            return value;
        }
        let Some(axis) = value.shape.iter().rposition(|d| *d == dim) else {
            let text = format!("there is no dimension `{dim}` to reduce over");
            let d = Diagnostic::new(codes::LAYER_DIMENSIONS, text)
                .at(value.span, shape_text(&value.shape))
                .at(over.span, "not one of them")
                .help("name one of the dimensions of the row");
            return self.bad(expr.span, d);
        };
        match fold(op) {
            Some(op) => self.row_fold(expr.span, op, Some(axis), value),
            None => Typed {
                deps: value.deps,
                shape: value.shape.clone(),
                kind: Kind::RowSoftmax { axis, body: Box::new(value) },
                span: expr.span,
            },
        }
    }

    fn dim_to_reduce(&mut self, expr: &Expr) -> Option<Dim> {
        if let Some(name @ ("u" | "v" | "t" | "e")) = expr.as_name() {
            let d = Diagnostic::new(codes::LAYER_WRONG_INDEX, format!("`[{name}]` is not a range"))
                .at(expr.span, "nothing to reduce over")
                .help("reduce over `[u -> v]`, `[u -r-> v]`, `[r]` or a dimension such as `[heads]`");
            self.report(d);
            return None;
        }
        self.dim(expr)
    }

    /// Over one dimension, the last where none is named.
    pub(super) fn row_fold(&mut self, span: Span, op: Fold, axis: Option<usize>, value: Typed) -> Typed {
        if value.is_bad() {
            return value;
        }
        let Some(axis) = axis.or_else(|| value.shape.len().checked_sub(1)) else {
            let d = Diagnostic::new(codes::LAYER_DIMENSIONS, "there is nothing to reduce in one number")
                .at(value.span, "a number")
                .help("over edges, write `sum[u -> v] …`");
            return self.bad(span, d);
        };
        let mut shape = value.shape.clone();
        shape.remove(axis);
        Typed { deps: value.deps, shape, kind: Kind::RowReduce { op, axis, body: Box::new(value) }, span }
    }
}

fn fold(op: Reduction) -> Option<Fold> {
    Some(match op {
        Reduction::Sum => Fold::Sum,
        Reduction::Mean => Fold::Mean,
        Reduction::Max => Fold::Max,
        Reduction::Min => Fold::Min,
        Reduction::Softmax => return None,
    })
}
