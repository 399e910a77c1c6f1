//! Expressions, arguments, types, indices.

use std::sync::LazyLock;

use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::super::ast::*;
use super::pairs::{Pair, Parts, ident, path, span, string, trimmed};
use super::{Lower, Rule};
use crate::diag::{Diagnostic, codes};

/// The greatest depth of an expression's tree; also how many signs and reductions may stand before a value.
const MAX_DEPTH: usize = 192;

/// Loosest first, as the grammar's comment lists them.
static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(Op::postfix(Rule::from_run))
        .op(left(Rule::pipe))
        .op(left(Rule::compose))
        .op(left(Rule::range))
        .op(left(Rule::eq)
            | left(Rule::ne)
            | left(Rule::le)
            | left(Rule::ge)
            | left(Rule::lt)
            | left(Rule::gt)
            | Op::prefix(Rule::section))
        .op(left(Rule::add) | left(Rule::sub))
        .op(Op::prefix(Rule::reduce))
        .op(left(Rule::mul) | left(Rule::div) | left(Rule::matmul) | left(Rule::dot))
        .op(Op::prefix(Rule::neg))
        .op(Op::infix(Rule::pow, Assoc::Right))
        .op(Op::postfix(Rule::via))
});

/// An expression with the depth of its tree.
pub(super) type Deep = (Expr, usize);

impl Lower<'_> {
    pub(super) fn expr(&mut self, pair: Pair<'_>) -> Expr {
        self.deep_expr(pair).0
    }

    pub(super) fn bad_expr(&self, span: Span) -> Expr {
        Expr::new(ExprKind::Bad, span)
    }

    fn deep_expr(&mut self, pair: Pair<'_>) -> Deep {
        let whole = trimmed(&pair);
        let inner = pair.into_inner();
        let right = inner.clone().filter(|p| recurses(p.as_rule())).count();
        self.nesting += right + 1;
        let result = if self.nesting > MAX_DEPTH {
            self.too_deep(whole)
        } else {
            let this = std::cell::RefCell::new(&mut *self);
            PRECEDENCE
                .map_primary(|p| this.borrow_mut().operand(p))
                .map_prefix(|op, right| this.borrow_mut().prefix(op, right))
                .map_infix(|left, op, right| this.borrow_mut().infix(left, op, right))
                .map_postfix(|value, op| this.borrow_mut().suffix(value, op))
                .parse(inner)
        };
        self.nesting -= right + 1;
        result
    }

    fn too_deep(&mut self, at: Span) -> Deep {
        let deep = Diagnostic::new(codes::SYNTAX_TOO_DEEP, "this expression is nested too deeply")
            .at(Span::new(at.start, at.start + 1), "of this expression")
            .help("give a part of it a name of its own");
        self.diagnostics.push(deep);
        (self.bad_expr(at), 1)
    }

    /// One node above `depth`, unless that is too deep.
    fn grow(&mut self, kind: ExprKind, at: Span, depth: usize) -> Deep {
        let expr = Expr::new(kind, at);
        if depth < MAX_DEPTH { (expr, depth + 1) } else { self.too_deep(at) }
    }

    fn prefix(&mut self, op: Pair<'_>, (right, depth): Deep) -> Deep {
        let at = span(&op).to(right.span);
        let kind = match op.as_rule() {
            Rule::neg => ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(right) },
            Rule::section => ExprKind::Section { op: section_op(op.as_str()), right: Box::new(right) },
            _ => return self.reduce(op, at, (right, depth)),
        };
        self.grow(kind, at, depth)
    }

    fn reduce(&mut self, head: Pair<'_>, at: Span, (body, depth): Deep) -> Deep {
        let mut parts = Parts::of(head);
        let Some((op, op_span)) =
            parts.take(Rule::reduction).and_then(|p| Some((Reduction::parse(p.as_str())?, span(&p))))
        else {
            return (self.bad_expr(at), 1);
        };
        let Some(over) = parts.take(Rule::index).map(|p| self.index(p)) else {
            return (self.bad_expr(at), 1);
        };
        self.grow(ExprKind::Reduce { op, op_span, over, body: Box::new(body) }, at, depth)
    }

    fn infix(&mut self, (left, a): Deep, op: Pair<'_>, (right, b): Deep) -> Deep {
        let at = left.span.to(right.span);
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = match op.as_rule() {
            Rule::pipe => ExprKind::Pipe { value: left, stage: right },
            Rule::compose => ExprKind::Compose { first: left, then: right },
            Rule::range => ExprKind::Range { low: left, high: right },
            rule => ExprKind::Binary { op: binary_op(rule), op_span: span(&op), left, right },
        };
        self.grow(kind, at, a.max(b))
    }

    fn suffix(&mut self, (value, depth): Deep, op: Pair<'_>) -> Deep {
        let at = value.span.to(trimmed(&op));
        let is_via = op.as_rule() == Rule::via;
        let mut parts = Parts::of(op);
        let value = Box::new(value);
        let kind = if is_via {
            ExprKind::Via { value, relation: parts.ident() }
        } else {
            let run = parts.take(Rule::part).map(path);
            ExprKind::From { value, run: run.unwrap_or(Path { segments: Vec::new(), span: at }) }
        };
        self.grow(kind, at, depth)
    }

    fn operand(&mut self, pair: Pair<'_>) -> Deep {
        let at = trimmed(&pair);
        match pair.as_rule() {
            Rule::number => (Expr::new(self.number(pair), at), 1),
            Rule::string => (Expr::new(ExprKind::Str(self.string(pair).value), at), 1),
            Rule::list => self.list(pair, at),
            Rule::by => self.by(pair, at),
            Rule::chain => self.chain(pair),
            _ => self.hole(at),
        }
    }

    /// Text hidden by the guard against deep nesting, or the character that it hides text with, written by hand.
    fn hole(&mut self, at: Span) -> Deep {
        if at.text(self.source).starts_with('\u{1}') {
            let strange =
                Diagnostic::new(codes::SYNTAX_UNEXPECTED, "the control character U+0001 has no meaning here")
                    .at(at, "remove it");
            self.diagnostics.push(strange);
        }
        (self.bad_expr(at), 1)
    }

    fn list(&mut self, pair: Pair<'_>, at: Span) -> Deep {
        let mut depth = 0;
        let mut items = Vec::new();
        for item in Parts::of(pair).all(Rule::expr) {
            let (item, d) = self.deep_expr(item);
            depth = depth.max(d);
            items.push(item);
        }
        self.grow(ExprKind::List(items), at, depth)
    }

    fn by(&mut self, pair: Pair<'_>, at: Span) -> Deep {
        let mut parts = Parts::of(pair);
        let column = parts.ident();
        let (args, depth) = parts.take(Rule::call_args).map_or((Vec::new(), 0), |p| self.deep_args(p));
        self.grow(ExprKind::By { column, parts: args }, at, depth)
    }

    /// A name or a parenthesis and what is attached to it.
    fn chain(&mut self, pair: Pair<'_>) -> Deep {
        let mut links = pair.into_inner();
        let Some(first) = links.next() else { return self.hole(Span::default()) };
        let mut value = self.chain_head(first);
        for link in links {
            value = self.link(value, link);
        }
        value
    }

    fn chain_head(&mut self, pair: Pair<'_>) -> Deep {
        let at = span(&pair);
        match pair.as_rule() {
            Rule::applied => {
                let paren = pair.clone().into_inner().find(|p| p.as_rule() == Rule::paren);
                let body = match paren {
                    Some(paren) => self.paren(paren),
                    None => (self.bad_expr(at), 1),
                };
                self.reduce(pair, at, body)
            }
            Rule::paren => self.paren(pair),
            Rule::edge_paren => match Parts::of(pair).take(Rule::edge_path) {
                Some(edge) => (Expr::new(ExprKind::Edge(self.edge_path(edge)), at), 1),
                None => (self.bad_expr(at), 1),
            },
            _ => (Expr::new(ExprKind::Name(pair.as_str().trim_matches('`').to_owned()), at), 1),
        }
    }

    /// The inner expression; its span takes in the parentheses.
    fn paren(&mut self, pair: Pair<'_>) -> Deep {
        let at = span(&pair);
        match Parts::of(pair).take(Rule::expr) {
            Some(inner) => {
                let (mut expr, depth) = self.deep_expr(inner);
                expr.span = at;
                (expr, depth)
            }
            None => (self.bad_expr(at), 1),
        }
    }

    pub(super) fn link(&mut self, (base, depth): Deep, link: Pair<'_>) -> Deep {
        let at = base.span.to(span(&link));
        let base = Box::new(base);
        match link.as_rule() {
            Rule::field => {
                let name = Parts::of(link).ident();
                self.grow(ExprKind::Field { base, name }, at, depth)
            }
            Rule::index => {
                let index = self.index(link);
                self.grow(ExprKind::Index { base, index }, at, depth)
            }
            _ => {
                let inner = Parts::of(link).take(Rule::call_args);
                let (args, inside) = inner.map_or((Vec::new(), 0), |p| self.deep_args(p));
                self.grow(ExprKind::Call { callee: base, args }, at, depth.max(inside))
            }
        }
    }

    pub(super) fn index(&mut self, pair: Pair<'_>) -> Index {
        let mut parts = Parts::of(pair);
        let at = parts.span;
        let kind = match parts.take(Rule::edge_index) {
            Some(edge) => edge_index(edge),
            None => self.index_values(parts.all(Rule::expr)),
        };
        Index { kind, span: at }
    }

    fn index_values(&mut self, values: Vec<Pair<'_>>) -> IndexKind {
        let mut values: Vec<Expr> = values.into_iter().map(|p| self.expr(p)).collect();
        match values.as_mut_slice() {
            [Expr { kind: ExprKind::Name(name), span }] => {
                IndexKind::Name(Ident { text: std::mem::take(name), span: *span })
            }
            _ => IndexKind::Values(values),
        }
    }

    /// What stands in a call's parentheses.
    pub(super) fn args(&mut self, pair: Pair<'_>) -> Vec<Arg> {
        self.deep_args(pair).0
    }

    fn deep_args(&mut self, pair: Pair<'_>) -> (Vec<Arg>, usize) {
        let mut depth = 0;
        let mut args = Vec::new();
        for arg in Parts::of(pair).all(Rule::arg) {
            let (arg, d) = self.arg(arg);
            depth = depth.max(d);
            args.push(arg);
        }
        (args, depth)
    }

    fn arg(&mut self, pair: Pair<'_>) -> (Arg, usize) {
        let mut parts = Parts::of(pair);
        let at = parts.span;
        let name = parts.take(Rule::arg_name).map(|p| Parts::of(p).ident());
        let (value, depth) = match parts.take(Rule::expr) {
            Some(expr) => self.deep_expr(expr),
            None => (self.bad_expr(at), 1),
        };
        (Arg { name, value, span: at }, depth)
    }

    pub(super) fn type_expr(&mut self, pair: Pair<'_>) -> TypeExpr {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let shape = parts.take(Rule::shape);
        let shape = shape.map(|p| Parts::of(p).all(Rule::expr).into_iter().map(|e| self.expr(e)).collect());
        let args = parts.take(Rule::call_args).map_or(Vec::new(), |p| self.args(p));
        TypeExpr { name, args, shape, span: parts.span }
    }

    pub(super) fn edge_path(&mut self, pair: Pair<'_>) -> EdgePath {
        let mut parts = Parts::of(pair);
        let (src, dst) = (parts.ident(), parts.ident());
        let rel = if let Some(rel) = parts.take(Rule::rel) {
            Relation::Named(Parts::of(rel).ident())
        } else if let Some(column) = parts.take(Rule::rel_column) {
            Relation::Column(Parts::of(column).ident())
        } else {
            Relation::Any
        };
        EdgePath { src, rel, dst, span: parts.span }
    }

    pub(super) fn type_ref(&mut self, pair: Pair<'_>) -> Option<TypeRef> {
        let mut parts = Parts::of(pair);
        if let Some(edge) = parts.take(Rule::edge_path) {
            return Some(TypeRef::Edge(self.edge_path(edge)));
        }
        parts.take(Rule::path).map(|p| TypeRef::Path(path(p)))
    }

    pub(super) fn string(&mut self, pair: Pair<'_>) -> Str {
        let (text, unknown) = string(pair);
        for escape in unknown {
            let written = escape.text(self.source);
            let unknown = Diagnostic::new(codes::SYNTAX_STRING, format!("`{written}` is no escape"))
                .at(escape, "unknown")
                .help("a string knows `\\n`, `\\t`, `\\\"` and `\\\\`; write `\\\\` for one backslash, or use `/` in paths");
            self.diagnostics.push(unknown);
        }
        text
    }

    fn number(&mut self, pair: Pair<'_>) -> ExprKind {
        let at = span(&pair);
        let mut parts = Parts::of(pair);
        let digits = parts.take(Rule::digits).map_or(String::new(), |p| p.as_str().replace('_', ""));
        let unit = if parts.has(Rule::percent) {
            Some(Unit::Percent)
        } else {
            parts.take(Rule::unit).and_then(|p| unit(p.as_str()))
        };
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => {
                ExprKind::Number(Number { value, int: digits.parse().ok(), unit })
            }
            _ => {
                let large = Diagnostic::new(codes::SYNTAX_NUMBER, "this number is too large")
                    .at(at, "greater than 1.8e308");
                self.diagnostics.push(large);
                ExprKind::Bad
            }
        }
    }
}

/// Those for which the precedence parser calls itself on the right, one inside the other.
fn recurses(rule: Rule) -> bool {
    matches!(rule, Rule::neg | Rule::section | Rule::reduce | Rule::pow)
}

fn edge_index(pair: Pair<'_>) -> IndexKind {
    let mut parts = Parts::of(pair);
    let (src, dst) = (parts.ident(), parts.ident());
    let rel = parts.take(Rule::rel).and_then(|p| p.into_inner().next()).map(|p| ident(&p));
    IndexKind::Edge { src, rel, dst }
}

fn section_op(text: &str) -> BinaryOp {
    match text {
        "==" => BinaryOp::Eq,
        "!=" => BinaryOp::NotEq,
        "<=" => BinaryOp::LessEq,
        ">=" => BinaryOp::GreaterEq,
        "<" => BinaryOp::Less,
        _ => BinaryOp::Greater,
    }
}

fn binary_op(rule: Rule) -> BinaryOp {
    match rule {
        Rule::eq => BinaryOp::Eq,
        Rule::ne => BinaryOp::NotEq,
        Rule::le => BinaryOp::LessEq,
        Rule::ge => BinaryOp::GreaterEq,
        Rule::lt => BinaryOp::Less,
        Rule::gt => BinaryOp::Greater,
        Rule::add => BinaryOp::Add,
        Rule::sub => BinaryOp::Sub,
        Rule::div => BinaryOp::Div,
        Rule::matmul => BinaryOp::MatMul,
        Rule::dot => BinaryOp::Dot,
        Rule::pow => BinaryOp::Pow,
        _ => BinaryOp::Mul,
    }
}

fn unit(text: &str) -> Option<Unit> {
    const DAY: f64 = 86_400.0;
    match text {
        "epoch" | "epochs" => return Some(Unit::Epochs),
        "batch" | "batches" => return Some(Unit::Batches),
        _ => {}
    }
    let seconds = match text.strip_suffix('s').filter(|t| t.len() > 1).unwrap_or(text) {
        "s" | "second" => 1.0,
        "ms" => 1e-3,
        "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        "day" => DAY,
        "week" => 7.0 * DAY,
        "month" => 30.436_875 * DAY,
        "year" => 365.2425 * DAY,
        _ => return bytes(text).map(Unit::Bytes),
    };
    Some(Unit::Seconds(seconds))
}

fn bytes(text: &str) -> Option<f64> {
    let prefix = text.strip_suffix('B')?;
    let base: f64 = if prefix.ends_with('i') { 1024.0 } else { 1000.0 };
    let power = match prefix.trim_end_matches('i') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return None,
    };
    Some(base.powi(power))
}
