//! Functions that equations may call, and calls of modules.

use std::collections::BTreeMap;

use gsl_plan::program::UnaryOp;

use super::args::{Arg, ParamType, Scope, assign, evaluate, missing, param_type};
use super::check::{Checker, check_body};
use super::dims::{Dim, Shape};
use super::typed::*;
use crate::diag::{Diagnostic, codes, did_you_mean_help, one_of};
use crate::syntax::ast::{self, Expr, ExprKind, Span};

/// Every function of equations; reductions over a row, `sum(x)`, among them.
pub const FUNCTIONS: [&str; 28] = [
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "softplus",
    "abs",
    "square",
    "rsqrt",
    "sign",
    "real",
    "imag",
    "concat",
    "dropout",
    "deg",
    "sum",
    "mean",
    "max",
    "min",
    "softmax",
    "stop_gradient",
    "identity",
];

/// What applies a registered function: `rust("name", dims)(rows and weights)`.
const RUST: &str = "rust";

/// How deep modules may call modules.
const DEPTH: usize = 8;

fn plain(name: &str) -> Option<UnaryOp> {
    Some(match name {
        "exp" => UnaryOp::Exp,
        "log" => UnaryOp::Log,
        "sqrt" => UnaryOp::Sqrt,
        "rsqrt" => UnaryOp::Rsqrt,
        "sin" => UnaryOp::Sin,
        "cos" => UnaryOp::Cos,
        "tanh" => UnaryOp::Tanh,
        "sigmoid" => UnaryOp::Sigmoid,
        "relu" => UnaryOp::Relu,
        "elu" => UnaryOp::Elu,
        "gelu" => UnaryOp::Gelu,
        "softplus" => UnaryOp::Softplus,
        "abs" => UnaryOp::Abs,
        "square" => UnaryOp::Square,
        "sign" => UnaryOp::Sign,
        _ => return None,
    })
}

/// An argument of a function: `x`, `p: 0.5`.
type Given<'e> = (Option<&'e str>, &'e Expr);

impl Checker<'_, '_> {
    pub(super) fn call(&mut self, expr: &Expr, callee: &Expr, args: &[ast::Arg]) -> Typed {
        let given: Vec<Given> =
            args.iter().map(|a| (a.name.as_ref().map(|n| n.text.as_str()), &a.value)).collect();
        match &callee.kind {
            ExprKind::Name(name) => self.apply(expr.span, name, callee.span, &given),
            ExprKind::Call { callee: module, args: settings } => match (module.as_name(), given.as_slice()) {
                (Some(RUST), given) => self.rust(expr.span, settings, given),
                (Some(name), [(None, x)]) => {
                    let x = self.expr(x);
                    self.module(expr.span, name, module.span, settings, x)
                }
                _ => self.no_meaning(expr.span),
            },
            _ => self.no_meaning(expr.span),
        }
    }

    /// `x |> f(y)` is `f(x, y)`.
    pub(super) fn piped(&mut self, expr: &Expr, value: &Expr, stage: &Expr) -> Typed {
        let (callee, args) = match &stage.kind {
            ExprKind::Name(_) => (stage, &[][..]),
            ExprKind::Call { callee, args } => (callee.as_ref(), args.as_slice()),
            _ => return self.no_meaning(stage.span),
        };
        let Some(name) = callee.as_name() else { return self.no_meaning(stage.span) };
        let rest = args.iter().map(|a| (a.name.as_ref().map(|n| n.text.as_str()), &a.value));
        let given: Vec<Given> = std::iter::once((None, value)).chain(rest).collect();
        if self.scope.modules.contains_key(name) && plain(name).is_none() && !FUNCTIONS.contains(&name) {
            let x = self.expr(value);
            return self.module(expr.span, name, callee.span, args, x);
        }
        self.apply(expr.span, name, callee.span, &given)
    }

    fn apply(&mut self, span: Span, name: &str, name_span: Span, given: &[Given]) -> Typed {
        if self.param(name) == Some(ParamType::Activation) {
            return match self.values(span, name, given, &[]) {
                Some(values) => wrap(values, span, |x| Kind::Activation(name.to_owned(), x)),
                None => Typed::bad(span),
            };
        }
        if let Some(op) = plain(name) {
            return match self.values(span, name, given, &[]) {
                Some(values) => {
                    values.into_iter().next().map_or(Typed::bad(span), |x| self.unary(op, x, span))
                }
                None => Typed::bad(span),
            };
        }
        match name {
            "identity" => match self.values(span, name, given, &[]) {
                Some(values) => values.into_iter().next().unwrap_or(Typed::bad(span)),
                None => Typed::bad(span),
            },
            "leaky_relu" => self.leaky_relu(span, given),
            "stop_gradient" => match self.values(span, name, given, &[]) {
                Some(values) => wrap(values, span, Kind::StopGradient),
                None => Typed::bad(span),
            },
            "dropout" => self.dropout(span, given),
            "real" => self.half(span, name, false, given),
            "imag" => self.half(span, name, true, given),
            "concat" => self.concat(span, given),
            "deg" => self.degree(span, given),
            "sum" => self.fold_row(span, name, Fold::Sum, given),
            "mean" => self.fold_row(span, name, Fold::Mean, given),
            "max" if given.len() == 2 => self.pair(span, Pointwise::Max, given),
            "min" if given.len() == 2 => self.pair(span, Pointwise::Min, given),
            "max" => self.fold_row(span, name, Fold::Max, given),
            "min" => self.fold_row(span, name, Fold::Min, given),
            "softmax" => self.softmax_row(span, given),
            _ => self.module_or_unknown(span, name, name_span, given),
        }
    }

    /// One row and constants called `options`, positional or by name; reports what is missing or too much.
    fn values(&mut self, span: Span, name: &str, given: &[Given], options: &[&str]) -> Option<Vec<Typed>> {
        let mut slots: Vec<Option<Typed>> = (0..=options.len()).map(|_| None).collect();
        let mut fine = true;
        for (position, (label, expr)) in given.iter().enumerate() {
            let value = self.expr(expr);
            let slot = match label {
                None => Some(position).filter(|p| *p < slots.len()),
                Some(label) => options.iter().position(|o| o == label).map(|p| p + 1),
            };
            match slot {
                Some(i) if slots[i].is_none() => slots[i] = Some(value),
                _ => {
                    self.report(one_too_many(name, options, expr.span));
                    fine = false;
                }
            }
        }
        if slots[0].is_none() && fine {
            let text = format!("`{name}` of what?");
            let d = Diagnostic::new(codes::LAYER_MISSING_ARGUMENT, text).at(span, "without a row");
            self.report(d.help(format!("write `{name}(x)`")));
            fine = false;
        }
        let values: Vec<Typed> = slots.into_iter().flatten().collect();
        (fine && !values.iter().any(Typed::is_bad)).then_some(values)
    }

    pub(super) fn unary(&mut self, op: UnaryOp, x: Typed, span: Span) -> Typed {
        match x.kind {
            Kind::Constant(c) => {
                let constant = match op {
                    UnaryOp::Neg => Constant::Neg(Box::new(c)),
                    _ => Constant::Function(op, Box::new(c)),
                };
                Typed::constant(constant, span)
            }
            Kind::Bad => Typed::bad(span),
            _ => wrap(vec![x], span, |x| Kind::Unary(op, x)),
        }
    }

    /// A constant option of a function, `default` where it is not given.
    fn option(&mut self, name: &str, value: Option<Typed>, default: f64) -> Option<Constant> {
        let Some(value) = value else { return Some(Constant::Number(default)) };
        match value.kind {
            Kind::Constant(constant) => Some(constant),
            _ => {
                let d = Diagnostic::new(codes::LAYER_WRONG_KIND, format!("the {name} is not a constant"))
                    .at(value.span, "differs from row to row")
                    .help("a number or a parameter of type `float` is wanted here");
                self.report(d);
                None
            }
        }
    }

    fn leaky_relu(&mut self, span: Span, given: &[Given]) -> Typed {
        let Some(values) = self.values(span, "leaky_relu", given, &["slope"]) else {
            return Typed::bad(span);
        };
        let mut values = values.into_iter();
        let Some(x) = values.next() else { return Typed::bad(span) };
        match self.option("slope", values.next(), 0.01) {
            Some(slope) => wrap(vec![x], span, |x| Kind::LeakyRelu(slope, x)),
            None => Typed::bad(span),
        }
    }

    fn dropout(&mut self, span: Span, given: &[Given]) -> Typed {
        let Some(values) = self.values(span, "dropout", given, &["p"]) else { return Typed::bad(span) };
        let mut values = values.into_iter();
        let (Some(x), Some(p)) = (values.next(), values.next()) else {
            let d = Diagnostic::new(codes::LAYER_MISSING_ARGUMENT, "`dropout` needs a rate")
                .at(span, "of how much?")
                .help("write `dropout(x, 0.5)`");
            return self.bad(span, d);
        };
        if !x.deps.has_rows() {
            let d = Diagnostic::new(codes::LAYER_WRONG_KIND, "dropout of something without rows")
                .at(x.span, "the same for every row")
                .help("dropout is for values on nodes or edges");
            return self.bad(span, d);
        }
        let rate = p.span;
        match self.option("rate", Some(p), 0.0) {
            Some(p) => {
                self.body.rates.push((p.clone(), rate));
                wrap(vec![x], span, |x| Kind::Dropout(p, x))
            }
            None => Typed::bad(span),
        }
    }

    /// A row of complex numbers has their real parts in its first half and the imaginary ones in its second.
    fn half(&mut self, span: Span, name: &str, second: bool, given: &[Given]) -> Typed {
        let Some(x) = self.values(span, name, given, &[]).and_then(|values| values.into_iter().next()) else {
            return Typed::bad(span);
        };
        let [dim] = x.shape.as_slice() else {
            let shape = super::dims::shape_text(&x.shape);
            let text = format!("`{name}` is of a row of one dimension, half of it real and half imaginary");
            return self.bad(span, Diagnostic::new(codes::LAYER_DIMENSIONS, text).at(x.span, shape));
        };
        let Some(half) = dim.over(&Dim::number(2)) else { return Typed::bad(span) };
        let (deps, shape) = (x.deps, vec![half]);
        Typed { kind: Kind::Half { second, x: Box::new(x) }, deps, shape, span }
    }

    fn concat(&mut self, span: Span, given: &[Given]) -> Typed {
        let mut items: Vec<Typed> = Vec::new();
        for (label, expr) in given {
            if label.is_some() {
                self.report(one_too_many("concat", &[], expr.span));
            }
            items.push(self.expr(expr));
        }
        if items.is_empty() {
            let d =
                Diagnostic::new(codes::LAYER_MISSING_ARGUMENT, "`concat` of what?").at(span, "without rows");
            return self.bad(span, d.help("write `concat(a, b)`"));
        }
        if items.iter().any(Typed::is_bad) {
            return Typed::bad(span);
        }
        if let Some(wide) = items.iter().find(|i| i.shape.len() > 1) {
            let shape = super::dims::shape_text(&wide.shape);
            let d = Diagnostic::new(
                codes::LAYER_DIMENSIONS,
                "`concat` puts rows of one dimension one after another",
            )
            .at(wide.span, shape)
            .help("reduce it to one dimension first");
            return self.bad(span, d);
        }
        if let Some(bad) = self.edges_among_nodes(span, "concat", &items) {
            return bad;
        }
        let deps = items.iter().fold(Deps::NONE, |all, i| all | i.deps);
        let one = Dim::number(1);
        let width = items.iter().try_fold(Dim::default(), |sum, i| sum.plus(i.shape.first().unwrap_or(&one)));
        let Some(width) = width else {
            let d = Diagnostic::new(codes::LAYER_DIMENSIONS, "this row is too wide to be counted");
            return self.bad(span, d.at(span, "too wide").help("concatenate fewer rows"));
        };
        let items = match self.concat_types(items, deps) {
            Some(items) => items,
            None => return Typed::bad(span),
        };
        let deps = items.iter().fold(Deps::NONE, |all, i| all | i.deps);
        Typed { kind: Kind::Concat(items), deps, shape: vec![width], span }
    }

    /// Values on edges beside values on nodes, outside of a reduction.
    fn edges_among_nodes(&mut self, span: Span, what: &str, items: &[Typed]) -> Option<Typed> {
        let edge = items.iter().find(|i| i.deps.is_edgy()).filter(|_| !self.bound.edge)?;
        let node = items.iter().find(|i| !i.deps.is_edgy() && i.deps.has(Deps::NODE))?;
        let text = format!("`{what}` brings a value on edges and a value on nodes together");
        let d = Diagnostic::new(codes::LAYER_EDGE_ON_NODE, text)
            .at(edge.span, "one row per edge `[u -> v]`")
            .at(node.span, "one row per node `[v]`")
            .help("reduce it over the edges into v: `sum[u -> v] (…)`");
        Some(self.bad(span, d))
    }

    /// `rust("gate", heads, out)(x, W)`: the registered function `gate` of the row x and the weight W, whose rows are
    /// heads x out; without dimensions one number.
    fn rust(&mut self, span: Span, settings: &[ast::Arg], given: &[Given]) -> Typed {
        let named = settings.first().filter(|arg| arg.name.is_none()).map(|arg| &arg.value.kind);
        let Some(ExprKind::Str(name)) = named else {
            let d = Diagnostic::new(codes::LAYER_MISSING_ARGUMENT, "`rust` of which module?")
                .at(span, "no name")
                .help("write the name under which it is registered, and the width of its rows: `rust(\"gate\", out)(x)`");
            return self.bad(span, d);
        };
        let dims: Vec<Option<Dim>> = settings[1..].iter().map(|arg| self.dim(&arg.value)).collect();
        let args: Vec<Typed> = given.iter().map(|(_, expr)| self.expr(expr)).collect();
        if let Some((_, expr)) = given.iter().find(|(label, _)| label.is_some()) {
            self.report(one_too_many(RUST, &[], expr.span));
            return Typed::bad(span);
        }
        let (Some(shape), false) = (dims.into_iter().collect(), args.iter().any(Typed::is_bad)) else {
            return Typed::bad(span);
        };
        if !args.iter().any(|arg| arg.deps.has_rows()) {
            let d =
                Diagnostic::new(codes::LAYER_WRONG_KIND, format!("`{name}` is applied to nothing with rows"))
                    .at(span, "the same for every row")
                    .help(format!(
                        "give it a value on nodes or edges: `rust(\"{name}\", …)({}, …)`",
                        self.input_name()
                    ));
            return self.bad(span, d);
        }
        if let Some(bad) = self.edges_among_nodes(span, RUST, &args) {
            return bad;
        }
        let deps = args.iter().fold(Deps::NONE, |all, i| all | i.deps);
        let Some(args) = self.concat_types(args, deps) else { return Typed::bad(span) };
        let deps = args.iter().fold(Deps::NONE, |all, i| all | i.deps);
        Typed { kind: Kind::Rust { name: name.clone(), args }, deps, shape, span }
    }

    /// Open node types among the parts are those of the one node that the others are on.
    fn concat_types(&mut self, items: Vec<Typed>, deps: Deps) -> Option<Vec<Typed>> {
        if !deps.has(Deps::TYPE) {
            return Some(items);
        }
        let (source, node) =
            (deps.has(Deps::SOURCE | Deps::SOURCE_TYPE), deps.has(Deps::NODE | Deps::NODE_TYPE));
        let end = match (source, node, deps.has(Deps::EDGE)) {
            (true, false, false) => End::Source,
            (false, true, false) => End::Node,
            (false, false, false) => return Some(items),
            _ => {
                let open = items.iter().find(|i| i.deps.has(Deps::TYPE))?;
                let d = Diagnostic::new(
                    codes::LAYER_WRONG_INDEX,
                    "this belongs to a node's type, and an edge has two nodes",
                )
                .at(open.span, "of `u` or of `v`?")
                .help("write the node: `K[u]` or `K[v]`");
                self.report(d);
                return None;
            }
        };
        Some(items.into_iter().map(|i| self.resolve_type(i, end)).collect())
    }

    fn degree(&mut self, span: Span, given: &[Given]) -> Typed {
        let end = match given {
            [(None, expr)] if !self.is_module() => match expr.as_name() {
                Some("v") if self.bound.node => Some(End::Node),
                Some("u") => Some(End::Source),
                _ => None,
            },
            _ => None,
        };
        match end {
            Some(end) => {
                let deps = if end == End::Node { Deps::NODE } else { Deps::SOURCE };
                Typed { kind: Kind::Degree(end), deps, shape: Vec::new(), span }
            }
            None => {
                let d = Diagnostic::new(codes::LAYER_WRONG_KIND, "`deg` is of a node: `deg(v)` or `deg(u)`")
                    .at(span, "not a node")
                    .help("`deg(v)` is how many edges come into v in the whole graph");
                self.bad(span, d)
            }
        }
    }

    fn fold_row(&mut self, span: Span, name: &str, op: Fold, given: &[Given]) -> Typed {
        match self.values(span, name, given, &[]) {
            Some(values) => match values.into_iter().next() {
                Some(x) => self.row_fold(span, op, None, x),
                None => Typed::bad(span),
            },
            None => Typed::bad(span),
        }
    }

    fn softmax_row(&mut self, span: Span, given: &[Given]) -> Typed {
        let Some(values) = self.values(span, "softmax", given, &[]) else { return Typed::bad(span) };
        let Some(x) = values.into_iter().next() else { return Typed::bad(span) };
        match x.shape.len() {
            0 => {
                let d = Diagnostic::new(codes::LAYER_DIMENSIONS, "a softmax of one number is 1")
                    .at(x.span, "a number")
                    .help("over edges, write `softmax[u -> v](…)`");
                self.bad(span, d)
            }
            n => wrap(vec![x], span, |body| Kind::RowSoftmax { axis: n - 1, body }),
        }
    }

    fn pair(&mut self, span: Span, op: Pointwise, given: &[Given]) -> Typed {
        let (Some((None, left)), Some((None, right))) = (given.first(), given.get(1)) else {
            return self.no_meaning(span);
        };
        let (a, b) = (self.expr(left), self.expr(right));
        if a.is_bad() || b.is_bad() {
            return Typed::bad(span);
        }
        let what = if op == Pointwise::Max { "max" } else { "min" };
        if !self.meets_on_one_domain(&a, &b, what, left, right) {
            return Typed::bad(span);
        }
        match self.settle_types(a, b) {
            Some((a, b)) => self.pointwise(span, op, a, b),
            None => Typed::bad(span),
        }
    }

    // -------------------------------------------------------------------------------------------------------- modules

    fn module_or_unknown(&mut self, span: Span, name: &str, name_span: Span, given: &[Given]) -> Typed {
        let values: Vec<Typed> = given.iter().map(|(_, e)| self.expr(e)).collect();
        if self.scope.modules.contains_key(name) {
            let mut values = values.into_iter();
            return match (values.next(), values.next()) {
                (Some(x), None) => self.module(span, name, name_span, &[], x),
                _ => {
                    let d = Diagnostic::new(
                        codes::LAYER_ARGUMENT_TYPE,
                        format!("`{name}` is applied to one row"),
                    )
                    .at(span, "not one row")
                    .help(format!("its arguments come first: `{name}(…)(x)`"));
                    self.bad(span, d)
                }
            };
        }
        let modules = self.scope.modules.keys().map(String::as_str);
        let own =
            self.body.params.iter().filter(|(_, ty)| *ty == ParamType::Activation).map(|(n, _)| n.as_str());
        let known: Vec<&str> = FUNCTIONS.iter().copied().chain(modules).chain(own).collect();
        let help =
            match self.names.contains_key(name) || self.param(name).is_some() || name == self.input_name() {
                true => Some(format!("`{name}` is a value: multiply with `*` or `@`")),
                false => did_you_mean_help(name, known),
            };
        let d = Diagnostic::new(codes::LAYER_UNKNOWN_FUNCTION, format!("there is no function `{name}`"))
            .at(name_span, "not a function")
            .help_opt(help);
        self.bad(span, d)
    }

    fn module(&mut self, span: Span, name: &str, name_span: Span, settings: &[ast::Arg], x: Typed) -> Typed {
        let Some(module) = self.scope.modules.get(name).cloned() else {
            return self.module_or_unknown(span, name, name_span, &[]);
        };
        if self.within.iter().any(|n| n == name) || self.within.len() >= DEPTH || name == self.decl.name.text
        {
            let d =
                Diagnostic::new(codes::LAYER_RECURSION, format!("`{name}` would call itself without end"))
                    .at(name_span, "calls itself")
                    .help("a module is made of others, never of itself");
            return self.bad(span, d);
        }
        if matches!(module.decl.body, ast::LayerBody::Alias(_)) {
            let d =
                Diagnostic::new(codes::LAYER_WRONG_KIND, format!("`{name}` is a composition, not equations"))
                    .at(name_span, "cannot be called in an equation")
                    .help("compose it in the experiment with `>>`, or call its parts here");
            return self.bad(span, d);
        }
        let mut wrong = Vec::new();
        let slots = assign(&module, settings, &mut wrong);
        for (param, slot) in module.decl.params.iter().zip(&slots) {
            if slot.is_none() && param.default.is_none() {
                wrong.push(missing(&module, param, span));
            }
        }
        let fine = wrong.is_empty();
        wrong.into_iter().for_each(|d| self.report(d));
        let by = self.module_dims(&module.decl.params, &slots, &x);
        self.within.push(name.to_owned());
        let (body, found) = check_body(&module, self.scope, self.within);
        self.within.pop();
        self.broken |= found.iter().any(Diagnostic::is_error);
        let output = body.output.map(|i| &body.equations[i].value);
        let shape: Option<Shape> = output.filter(|v| !v.is_bad()).and_then(|v| {
            let dims: Option<Vec<Dim>> = v.shape.iter().map(|d| d.substitute(&by)).collect();
            Some(dims?.into_iter().filter(|d| !d.is_one()).collect())
        });
        let (true, Some(shape), false) = (fine, shape, x.is_bad()) else { return Typed::bad(span) };
        let deps = x.deps;
        let call = ModuleCall { name: name.to_owned(), args: settings.to_vec(), number: self.new_id(), x };
        Typed { kind: Kind::Module(Box::new(call)), deps, shape, span }
    }

    /// The widths of a module's parameters in the names of this body.
    fn module_dims(
        &mut self,
        params: &[ast::LayerParam],
        slots: &[Option<&ast::Arg>],
        x: &Typed,
    ) -> BTreeMap<String, Dim> {
        let mut by = BTreeMap::from([("in".to_owned(), Dim::product(&x.shape).unwrap_or_default())]);
        let mut defaults = Scope::default();
        for (param, slot) in params.iter().zip(slots) {
            let dim = match slot {
                Some(arg) if matches!(param_type(param), Some(ParamType::Dim | ParamType::Int)) => {
                    if arg.value.as_name() == Some("none") { None } else { self.dim(&arg.value) }
                }
                Some(_) => None,
                None => match param.default.as_ref().map(|d| (d, evaluate(d, &defaults))) {
                    Some((_, Ok(Arg::Int(n)))) => Some(Dim::number(n)),
                    Some((_, Ok(Arg::Dim(n)))) => i64::try_from(n).ok().map(Dim::number),
                    Some((d, Err(_))) => d.as_name().and_then(|n| by.get(n).cloned()),
                    _ => None,
                },
            };
            if let Some(dim) = dim {
                if slot.is_none()
                    && let Some(default) = &param.default
                    && let Ok(value) = evaluate(default, &defaults)
                {
                    defaults.values.insert(param.name.text.clone(), value);
                }
                by.insert(param.name.text.clone(), dim);
            }
        }
        by
    }
}

/// One operation on the only value.
fn wrap(values: Vec<Typed>, span: Span, kind: impl FnOnce(Box<Typed>) -> Kind) -> Typed {
    match values.into_iter().next() {
        Some(x) => Typed { deps: x.deps, shape: x.shape.clone(), kind: kind(Box::new(x)), span },
        None => Typed::bad(span),
    }
}

fn one_too_many(name: &str, options: &[&str], span: Span) -> Diagnostic {
    let help = match options {
        [] => format!("write `{name}(x)`"),
        options => format!("besides the row it takes {}", one_of(options)),
    };
    Diagnostic::new(codes::LAYER_UNKNOWN_ARGUMENT, format!("`{name}` does not take this"))
        .at(span, "one too many")
        .help(help)
}
