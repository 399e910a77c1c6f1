//! Types of expressions in equations.
//!
//! Decided here: what names, indices, operators and reductions mean and depend on. Functions are in `functions`.

use gsl_plan::program::UnaryOp;

use super::args::ParamType;
use super::check::{Checker, Named, index_help, reduced};
use super::dims::{Dim, Shape, shape_quoted};
use super::fit::{align, contract};
use super::functions::FUNCTIONS;
use super::typed::*;
use crate::diag::{Diagnostic, codes, did_you_mean_help};
use crate::syntax::ast::{self, BinaryOp, Expr, ExprKind, Index, IndexKind, Reduction, Span};

impl Checker<'_, '_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Typed {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Number(n) => Typed::constant(Constant::Number(n.scaled()), span),
            ExprKind::Name(name) => self.name(name, None, span),
            ExprKind::Index { base, index } => self.indexed(expr, base, index),
            ExprKind::Field { base, name } if base.as_name() == Some("e") && !self.is_module() => {
                self.edge_feature(name);
                let shape = vec![Dim::name(&format!("e.{name}"))];
                let deps = if self.bound.relation { Deps::EDGE | Deps::RELATION } else { Deps::EDGE };
                Typed { kind: Kind::EdgeFeature(name.text.clone()), deps, shape, span }
            }
            ExprKind::Unary { op: ast::UnaryOp::Neg, operand } => {
                let x = self.expr(operand);
                self.unary(UnaryOp::Neg, x, span)
            }
            ExprKind::Binary { op, op_span, left, right } => self.binary(expr, *op, *op_span, left, right),
            ExprKind::Reduce { op, op_span, over, body } => self.reduction(expr, *op, *op_span, over, body),
            ExprKind::Call { callee, args } => self.call(expr, callee, args),
            ExprKind::Pipe { value, stage } => self.piped(expr, value, stage),
            ExprKind::Bad => {
                self.broken = true;
                Typed::bad(span)
            }
            _ => self.no_meaning(span),
        }
    }

    pub(super) fn no_meaning(&mut self, span: Span) -> Typed {
        let d = Diagnostic::new(codes::LAYER_WRONG_KIND, "this has no meaning in an equation")
            .at(span, "not a value of rows")
            .help("an equation is made of names, numbers, `+ - * / @ . ^`, functions and reductions such as `sum[u -> v]`");
        self.bad(span, d)
    }

    /// A number known once the arguments are.
    pub(super) fn constant(&mut self, expr: &Expr) -> Option<Constant> {
        let value = self.expr(expr);
        match value.kind {
            Kind::Constant(constant) => Some(constant),
            Kind::Bad => None,
            _ => {
                let d = Diagnostic::new(codes::LAYER_WRONG_KIND, "this is not a constant")
                    .at(expr.span, "differs from row to row")
                    .help("a number, a parameter or a width is wanted here");
                self.report(d);
                None
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------------- names

    fn indexed(&mut self, expr: &Expr, base: &Expr, index: &Index) -> Typed {
        let Some(name) = base.as_name() else { return self.no_meaning(expr.span) };
        if self.param(name) == Some(ParamType::Dims) {
            return match self.dim(expr) {
                Some(dim) => Typed::constant(Constant::Dim(dim), expr.span),
                None => Typed::bad(expr.span),
            };
        }
        self.name(name, Some(index), expr.span)
    }

    fn name(&mut self, name: &str, index: Option<&Index>, span: Span) -> Typed {
        if name == self.input_name() {
            return self.input(index, span);
        }
        match self.names.get(name) {
            Some((Named::Weight(i), _)) => {
                let i = *i;
                self.weight_use(i, index, span)
            }
            Some((Named::Equation(i), _)) => {
                let i = *i;
                self.equation_use(i, index, span)
            }
            None => self.parameter(name, index, span),
        }
    }

    fn parameter(&mut self, name: &str, index: Option<&Index>, span: Span) -> Typed {
        let constant = match (name, self.param(name)) {
            ("in", _) | (_, Some(ParamType::Dim | ParamType::Int)) => Constant::Dim(Dim::name(name)),
            (_, Some(ParamType::Float)) => Constant::Param(name.to_owned()),
            (_, Some(ty)) => return self.parameter_kind(name, ty, span),
            (_, None) => return self.unknown(name, span),
        };
        match index {
            None => Typed::constant(constant, span),
            Some(_) => {
                let d = Diagnostic::new(codes::LAYER_WRONG_INDEX, format!("`{name}` is one number"))
                    .at(span, "it has no index")
                    .help(format!("write `{name}`"));
                self.bad(span, d)
            }
        }
    }

    fn parameter_kind(&mut self, name: &str, ty: ParamType, span: Span) -> Typed {
        let (what, help) = match ty {
            ParamType::Activation => ("an activation", format!("apply it: `{name}(…)`")),
            ParamType::Dims => ("a list of widths", format!("take one of them: `{name}[0]`")),
            _ => ("true or false", "a number is wanted here".to_owned()),
        };
        let d = Diagnostic::new(codes::LAYER_WRONG_KIND, format!("`{name}` is {what}, not a number"));
        self.bad(span, d.at(span, what).help(help))
    }

    fn unknown(&mut self, name: &str, span: Span) -> Typed {
        // A parameter without a readable type is reported there.
        if self.decl.params.iter().any(|p| p.name.text == name) {
            return Typed::bad(span);
        }
        if let Some(place) = self.later.get(name) {
            let d =
                Diagnostic::new(codes::LAYER_USED_BEFORE, format!("`{name}` is used before its equation"))
                    .at(span, "not known yet")
                    .at(*place, "defined here")
                    .help("equations are read from top to bottom: move this one up");
            return self.bad(span, d);
        }
        let own = self.names.keys().map(String::as_str);
        let params = self.body.params.iter().map(|(n, _)| n.as_str());
        let known: Vec<&str> = own.chain(params).chain(["in", self.input_name()]).collect();
        let help = if let "u" | "v" | "r" | "t" = name {
            Some(format!("`{name}` is an index: `{}[v]`, `W[r]`, `deg(v)`", self.input_name()))
        } else if self.scope.values.contains_key(name) {
            Some(format!(
                "a layer sees its own parameters only: add `{name}` to those of `{}`",
                self.decl.name
            ))
        } else if self.scope.modules.contains_key(name) {
            Some(format!("`{name}` is a module: apply it to a row, `{name}(…)(x)`"))
        } else if FUNCTIONS.contains(&name) || Reduction::parse(name).is_some() {
            Some(format!("`{name}` is a function: `{name}(…)`"))
        } else {
            did_you_mean_help(name, known)
        };
        let text = format!("nothing in `{}` is called `{name}`", self.decl.name);
        let d = Diagnostic::new(codes::LAYER_UNKNOWN_NAME, text).at(span, "not declared").help_opt(help);
        self.bad(span, d)
    }

    fn input(&mut self, index: Option<&Index>, span: Span) -> Typed {
        let end = if self.is_module() {
            index.is_none().then_some(End::Node)
        } else {
            match index.map(|i| &i.kind) {
                Some(IndexKind::Name(i)) if i.text == "v" => Some(End::Node),
                Some(IndexKind::Name(i)) if i.text == "u" => Some(End::Source),
                None if !self.bound.edge => Some(End::Node),
                _ => None,
            }
        };
        match end {
            Some(end) => {
                let deps = if end == End::Node { Deps::NODE } else { Deps::SOURCE };
                let value = Typed { kind: Kind::Input(end), deps, shape: vec![Dim::name("in")], span };
                self.place_bound(value, end)
            }
            None => self.wrong_node_index(self.input_name(), index, span),
        }
    }

    /// `v` has a meaning only where the equation binds it.
    fn place_bound(&mut self, value: Typed, end: End) -> Typed {
        if end == End::Source || self.bound.node {
            return value;
        }
        let span = value.span;
        let d = Diagnostic::new(codes::LAYER_UNBOUND_INDEX, "there is no node `v` here")
            .at(span, "of which node?")
            .help("give the equation the index `[v]`");
        self.bad(span, d)
    }

    fn wrong_node_index(&mut self, name: &str, index: Option<&Index>, span: Span) -> Typed {
        let (text, help) = match index.map(|i| &i.kind) {
            _ if self.is_module() => {
                (format!("`{name}` has no index in a module"), format!("write `{name}`"))
            }
            None => (
                format!("`{name}` is on nodes, and an edge has two of them"),
                format!("write `{name}[u]` for the neighbour or `{name}[v]` for the node itself"),
            ),
            Some(IndexKind::Edge { .. }) => {
                (format!("`{name}` is on nodes, not on edges"), format!("write `{name}[u]` or `{name}[v]`"))
            }
            Some(kind) => (format!("`{name}` is on nodes"), index_help(kind)),
        };
        let place = index.map_or(span, |i| i.span);
        self.bad(span, Diagnostic::new(codes::LAYER_WRONG_INDEX, text).at(place, "not a node").help(help))
    }

    fn weight_use(&mut self, i: usize, index: Option<&Index>, span: Span) -> Typed {
        let weight = &mut self.body.weights[i];
        weight.used = true;
        if !weight.whole {
            return Typed::bad(span);
        }
        let (target, name, shape) = (weight.target, weight.name.clone(), weight.shape.clone());
        let value = Typed { kind: Kind::Weight(i), deps: Deps::NONE, shape, span };
        let declared = self.body.weights[i].span;
        self.per_relation_or_type(target, &name, declared, index, value)
    }

    /// A weight, or an equation without rows: by relation, by node type, or one for all.
    fn per_relation_or_type(
        &mut self,
        target: Target,
        name: &str,
        declared: Span,
        index: Option<&Index>,
        value: Typed,
    ) -> Typed {
        let span = value.span;
        let letter = match index.map(|i| &i.kind) {
            None => None,
            Some(IndexKind::Name(i)) => Some(i.text.as_str()),
            Some(_) => Some("?"),
        };
        match (target, letter) {
            (Target::Plain, None) => value,
            (Target::Relation, None | Some("r")) if self.bound.relation => {
                Typed { deps: value.deps | Deps::RELATION, ..value }
            }
            (Target::Relation, None | Some("r")) => self.no_relation(name, span),
            (Target::Type, None | Some("t")) => Typed { deps: value.deps | Deps::TYPE, ..value },
            (Target::Type, Some("u")) => self.resolve_type(Typed { deps: Deps::TYPE, ..value }, End::Source),
            (Target::Type, Some("v")) => {
                let value = self.resolve_type(Typed { deps: Deps::TYPE, ..value }, End::Node);
                self.place_bound(value, End::Node)
            }
            _ => {
                let (what, right) = match target {
                    Target::Relation => ("one for each relation", format!("{name}[r]")),
                    Target::Type => ("one for each node type", name.to_owned()),
                    _ => ("one for all", name.to_owned()),
                };
                let d = Diagnostic::new(codes::LAYER_WRONG_INDEX, format!("`{name}` is {what}"))
                    .at(index.map_or(span, |i| i.span), "another index")
                    .at(declared, "declared here")
                    .help(format!("write `{right}`"));
                self.bad(span, d)
            }
        }
    }

    fn no_relation(&mut self, name: &str, span: Span) -> Typed {
        let help = match self.bound.edge {
            true => "sum over the relations, then over the edges of each: `sum[r] sum[u -r-> v] …`",
            false => "sum over the relations into v: `sum[r] (…)`",
        };
        let d = Diagnostic::new(codes::LAYER_UNBOUND_INDEX, format!("`{name}[r]` has no relation `r` here"))
            .at(span, "of which relation?")
            .help(help);
        self.bad(span, d)
    }

    fn equation_use(&mut self, i: usize, index: Option<&Index>, span: Span) -> Typed {
        let equation = &mut self.body.equations[i];
        equation.used = true;
        let (target, name, declared) = (equation.target, equation.name.clone(), equation.span);
        let value = Typed {
            kind: Kind::Equation { index: i, end: End::Node },
            deps: equation.value.deps,
            shape: equation.value.shape.clone(),
            span,
        };
        if equation.value.is_bad() {
            return Typed::bad(span);
        }
        match target {
            Target::Plain if self.is_module() => match index {
                None => value,
                Some(_) => self.wrong_node_index(&name, index, span),
            },
            Target::Plain | Target::Relation | Target::Type => {
                let bare = Typed { deps: Deps::NONE, ..value };
                self.per_relation_or_type(target, &name, declared, index, bare)
            }
            Target::Node => self.node_value(i, &name, index, value),
            Target::Edge | Target::EdgeOf => self.edge_value(&name, declared, index, value),
        }
    }

    fn node_value(&mut self, i: usize, name: &str, index: Option<&Index>, value: Typed) -> Typed {
        let span = value.span;
        match index.map(|x| &x.kind) {
            Some(IndexKind::Name(x)) if x.text == "u" => {
                let equation = &mut self.body.equations[i];
                equation.at_source = true;
                if equation.reduces {
                    let declared = equation.span;
                    let d = Diagnostic::new(
                        codes::LAYER_TWO_HOPS,
                        format!("`{name}[u]` needs the neighbours of u"),
                    )
                    .at(span, "two hops away")
                    .at(declared, "reads neighbours")
                    .help("a layer looks one hop far: stack two layers with `>>`");
                    return self.bad(span, d);
                }
                let kind = Kind::Equation { index: i, end: End::Source };
                Typed { kind, deps: value.deps.at_source(), ..value }
            }
            Some(IndexKind::Name(x)) if x.text == "v" => self.place_bound(value, End::Node),
            None if !self.bound.edge => self.place_bound(value, End::Node),
            _ => self.wrong_node_index(name, index, span),
        }
    }

    fn edge_value(&mut self, name: &str, declared: Span, index: Option<&Index>, value: Typed) -> Typed {
        let fits = match index.map(|i| &i.kind) {
            None => true,
            Some(IndexKind::Edge { src, dst, rel }) => {
                src.text == "u" && dst.text == "v" && rel.as_ref().is_none_or(|r| r.text == "r")
            }
            Some(_) => false,
        };
        if fits {
            return value;
        }
        let span = value.span;
        let d = Diagnostic::new(codes::LAYER_WRONG_INDEX, format!("`{name}` is on edges"))
            .at(index.map_or(span, |i| i.span), "not an edge")
            .at(declared, "defined here")
            .help(format!("write `{name}`, or `{name}[u -> v]`"));
        self.bad(span, d)
    }

    // ------------------------------------------------------------------------------------------------------ operators

    /// A node type in `value` is that of `end`.
    pub(super) fn resolve_type(&mut self, value: Typed, end: End) -> Typed {
        if !value.deps.has(Deps::TYPE) {
            return value;
        }
        let known = if end == End::Source { Deps::SOURCE_TYPE } else { Deps::NODE_TYPE };
        Typed {
            deps: value.deps.without(Deps::TYPE) | known,
            shape: value.shape.clone(),
            span: value.span,
            kind: Kind::TypeOf(end, Box::new(value)),
        }
    }

    /// Types that the one side leaves open are those of the other side's node.
    pub(super) fn settle_types(&mut self, a: Typed, b: Typed) -> Option<(Typed, Typed)> {
        let (open_a, open_b) = (a.deps.has(Deps::TYPE), b.deps.has(Deps::TYPE));
        if open_a == open_b {
            return Some((a, b));
        }
        let (open, other) = if open_a { (&a, &b) } else { (&b, &a) };
        let source = other.deps.has(Deps::SOURCE | Deps::SOURCE_TYPE);
        let node = other.deps.has(Deps::NODE | Deps::NODE_TYPE);
        let end = match (source, node) {
            (true, false) => End::Source,
            (false, true) => End::Node,
            (false, false) if !other.deps.has(Deps::EDGE) => return Some((a, b)),
            _ => {
                let d = Diagnostic::new(
                    codes::LAYER_WRONG_INDEX,
                    "this belongs to a node's type, and an edge has two nodes",
                )
                .at(open.span, "of `u` or of `v`?")
                .at(other.span, "on edges")
                .help("write the node: `K[u]` or `K[v]`");
                self.report(d);
                return None;
            }
        };
        Some(if open_a { (self.resolve_type(a, end), b) } else { (a, self.resolve_type(b, end)) })
    }

    /// The famous mistake: a value on edges meets a value on nodes where no edge is meant.
    pub(super) fn meets_on_one_domain(
        &mut self,
        a: &Typed,
        b: &Typed,
        what: &str,
        left: &Expr,
        right: &Expr,
    ) -> bool {
        if self.bound.edge || a.deps.is_edgy() == b.deps.is_edgy() {
            return true;
        }
        let (edge, node, expr) = if a.deps.is_edgy() { (a, b, left) } else { (b, a, right) };
        if !node.deps.has(Deps::NODE) {
            return true;
        }
        let text = format!("`{what}` brings a value on edges and a value on nodes together");
        let d = Diagnostic::new(codes::LAYER_EDGE_ON_NODE, text)
            .at(edge.span, "one row per edge `[u -> v]`")
            .at(node.span, "one row per node `[v]`")
            .help(format!("reduce it over the edges into v: {}", reduced(expr)));
        self.report(d);
        false
    }

    fn binary(&mut self, expr: &Expr, op: BinaryOp, op_span: Span, left: &Expr, right: &Expr) -> Typed {
        let (a, b) = (self.expr(left), self.expr(right));
        if op.is_comparison() {
            let d = Diagnostic::new(
                codes::LAYER_WRONG_KIND,
                format!("`{}` has no meaning in an equation", op.symbol()),
            )
            .at(op_span, "gives no number that can be learned from")
            .help("use `max(a, b)`, `min(a, b)` or an activation");
            return self.bad(expr.span, d);
        }
        if a.is_bad() || b.is_bad() {
            return Typed::bad(expr.span);
        }
        if let (Kind::Constant(x), Kind::Constant(y)) = (&a.kind, &b.kind) {
            return self.constant_binary(expr.span, op, x.clone(), y.clone());
        }
        if !self.meets_on_one_domain(&a, &b, op.symbol(), left, right) {
            return Typed::bad(expr.span);
        }
        let Some((a, b)) = self.settle_types(a, b) else { return Typed::bad(expr.span) };
        match op {
            BinaryOp::Add => self.pointwise(expr.span, Pointwise::Add, a, b),
            BinaryOp::Sub => self.pointwise(expr.span, Pointwise::Sub, a, b),
            BinaryOp::Mul => self.pointwise(expr.span, Pointwise::Mul, a, b),
            BinaryOp::Div => self.pointwise(expr.span, Pointwise::Div, a, b),
            BinaryOp::MatMul => self.product(expr.span, op_span, a, b),
            BinaryOp::Dot => self.dot(expr.span, a, b),
            _ => self.power(expr.span, a, b),
        }
    }

    fn constant_binary(&mut self, span: Span, op: BinaryOp, x: Constant, y: Constant) -> Typed {
        let value = match (&x, op, &y) {
            (_, BinaryOp::MatMul | BinaryOp::Dot, _) => {
                let d = Diagnostic::new(codes::LAYER_WRONG_KIND, format!("`{}` of two numbers", op.symbol()));
                return self.bad(span, d.at(span, "numbers, not rows").help("write `*`"));
            }
            (Constant::Dim(a), BinaryOp::Mul, Constant::Dim(b)) => a.times(b),
            (Constant::Dim(a), BinaryOp::Div, Constant::Dim(b)) => a.over(b),
            _ => None,
        };
        let constant = match value {
            Some(dim) => Constant::Dim(dim),
            None => Constant::Binary(op, Box::new(x), Box::new(y)),
        };
        Typed::constant(constant, span)
    }

    /// Both sides element by element, dimensions brought together by name.
    pub(super) fn pointwise(&mut self, span: Span, op: Pointwise, a: Typed, b: Typed) -> Typed {
        let symbol = match op {
            Pointwise::Add => "+",
            Pointwise::Sub => "-",
            Pointwise::Mul => "*",
            Pointwise::Div => "/",
            Pointwise::Max => "max",
            Pointwise::Min => "min",
        };
        let sum = matches!(op, Pointwise::Add | Pointwise::Sub);
        let fitting = align(&a, &b).or_else(|| if sum { self.residual(&a, &b) } else { None });
        let Some((shape, fits)) = fitting else {
            let help = (op == Pointwise::Mul && contract(&a.shape, &b.shape).is_some())
                .then(|| "a row times a matrix is written `@`".to_owned());
            return self.mismatch(span, symbol, &a, &b, help);
        };
        let deps = a.deps | b.deps;
        Typed { kind: Kind::Binary { op, left: Box::new(a), right: Box::new(b), fits }, deps, shape, span }
    }

    /// Rows of a declared width added to rows as they came in: right for calls where the two are the same.
    fn residual(&mut self, a: &Typed, b: &Typed) -> Option<(Shape, (Fit, Fit))> {
        let incoming = |x: &Typed| x.shape == [Dim::name("in")];
        let (input, other) = match (incoming(a), incoming(b)) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return None,
        };
        let width = Dim::product(&other.shape)?;
        let declared = self.body.params.iter().any(|(name, _)| width == Dim::name(name));
        if !declared || other.is_feature_row() {
            return None;
        }
        self.body.equal.push(Equal { width, rows: other.span, input: input.span });
        Some((other.shape.clone(), (Fit::Same, Fit::Same)))
    }

    fn product(&mut self, span: Span, op_span: Span, x: Typed, w: Typed) -> Typed {
        if w.deps.has_rows() {
            let flipped = !x.deps.has_rows();
            let help = if flipped {
                "rows stand on the left: `h[v] @ W`"
            } else {
                "two rows are multiplied element by element with `*`, or to a number with `.`"
            };
            let d = Diagnostic::new(codes::LAYER_NOT_A_WEIGHT, "the right side of `@` is not a weight")
                .at(w.span, "differs from row to row")
                .at(op_span, "rows `@` weight")
                .help(help);
            return self.bad(span, d);
        }
        let Some(fit) = contract(&x.shape, &w.shape) else {
            let help = match (x.shape.last(), w.shape.first()) {
                (_, None) => Some("a number multiplies with `*`".to_owned()),
                (None, _) => Some("the left side is one number: multiply with `*`".to_owned()),
                (Some(_), Some(k)) => Some(format!(
                    "the rows on the left are {}, the matrix takes rows of `{k}`",
                    shape_quoted(&x.shape)
                )),
            };
            return self.mismatch(span, "@", &x, &w, help);
        };
        if let Some(i) = weight_index(&w) {
            self.body.weights[i].lead.get_or_insert(fit.shared);
        }
        let deps = x.deps | w.deps;
        let kind = Kind::Product { x: Box::new(x), w: Box::new(w), shared: fit.shared, spread: fit.spread };
        Typed { kind, deps, shape: fit.shape, span }
    }

    /// Products summed over the last dimension.
    fn dot(&mut self, span: Span, a: Typed, b: Typed) -> Typed {
        let same_last = a.shape.last().is_some() && a.shape.last() == b.shape.last();
        if !same_last {
            let help = "`.` sums over the last dimension, which both sides must have".to_owned();
            return self.mismatch(span, ".", &a, &b, Some(help));
        }
        let product = self.pointwise(span, Pointwise::Mul, a, b);
        self.row_fold(span, Fold::Sum, None, product)
    }

    fn power(&mut self, span: Span, x: Typed, exponent: Typed) -> Typed {
        let Kind::Constant(p) = exponent.kind else {
            let d = Diagnostic::new(codes::LAYER_WRONG_KIND, "the exponent is not a constant")
                .at(exponent.span, "differs from row to row")
                .help("write `exp(p * log(x))` where that is meant");
            return self.bad(span, d);
        };
        Typed { deps: x.deps, shape: x.shape.clone(), kind: Kind::Power(p, Box::new(x)), span }
    }
}

/// The weight that an expression is, if it is one.
fn weight_index(value: &Typed) -> Option<usize> {
    match &value.kind {
        Kind::Weight(i) => Some(*i),
        Kind::TypeOf(_, x) => weight_index(x),
        _ => None,
    }
}
