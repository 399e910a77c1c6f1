//! Checks a declaration once for all arguments: parameters, weights, equations, output.
//!
//! Decided here: the order in which a body is read and which names it may use where. Not decided here: what an expression
//! means (`expr`, `fit`, `functions`).

use std::collections::BTreeMap;

use super::args::{Arg, Declared, ParamType, Scope, evaluate, in_file_of, param_type};
use super::dims::{Dim, Shape, shape_quoted};
use super::typed::*;
use crate::diag::{Diagnostic, codes, did_you_mean_help, one_of};
use crate::syntax::ast::{
    self, BinaryOp, Expr, ExprKind, Ident, IndexKind, LayerBody, LayerKind, LayerStmt, Span,
};

/// Everything wrong with a layer or a module, whatever its arguments will be. One that is made of others (`= A >> B`) has no
/// equations of its own and only its parameters are checked.
pub fn check_layer(layer: &Declared, scope: &Scope) -> Vec<Diagnostic> {
    check_body(layer, scope, &mut Vec::new()).1
}

/// The typed body, whole where nothing is wrong. `within` holds the names of the modules whose bodies call this one.
pub(super) fn check_body(
    layer: &Declared,
    scope: &Scope,
    within: &mut Vec<String>,
) -> (Body, Vec<Diagnostic>) {
    let decl = layer.decl;
    let mut checker = Checker::new(decl, scope, within);
    checker.params();
    if let LayerBody::Block(statements) = &decl.body {
        checker.collect_later(statements);
        for statement in statements {
            match statement {
                LayerStmt::Weight(weight) => checker.weight(weight),
                LayerStmt::Equation(equation) => checker.equation(equation),
                LayerStmt::Bad(_) => checker.broken = true,
            }
        }
        checker.output();
        checker.unused();
    }
    let found = checker.diagnostics.into_iter().map(|d| in_file_of(d, layer)).collect();
    (checker.body, found)
}

/// What a name in a body stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Weight(usize),
    Equation(usize),
}

/// Which indices have a meaning at a place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bound {
    /// `v`
    pub node: bool,
    /// `u`, and with it an edge.
    pub edge: bool,
    /// `r`
    pub relation: bool,
    /// `t`
    pub ty: bool,
}

pub(super) struct Checker<'s, 'a> {
    pub decl: &'s ast::Layer,
    pub scope: &'s Scope<'a>,
    pub within: &'s mut Vec<String>,
    pub body: Body,
    pub names: BTreeMap<String, (Named, Span)>,
    /// Equations further down.
    pub later: BTreeMap<String, Span>,
    pub bound: Bound,
    /// Whether the equation being read reads neighbours.
    pub reduces: bool,
    pub next: usize,
    /// Part of the body could not be read, or has been reported: absence proves nothing.
    pub broken: bool,
    pub diagnostics: Vec<Diagnostic>,
}

impl<'s, 'a> Checker<'s, 'a> {
    fn new(decl: &'s ast::Layer, scope: &'s Scope<'a>, within: &'s mut Vec<String>) -> Self {
        Self {
            decl,
            scope,
            within,
            body: Body::default(),
            names: BTreeMap::new(),
            later: BTreeMap::new(),
            bound: Bound::default(),
            reduces: false,
            next: 0,
            broken: false,
            diagnostics: Vec::new(),
        }
    }

    pub fn is_module(&self) -> bool {
        self.decl.kind == LayerKind::Module
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.broken |= diagnostic.is_error();
        self.diagnostics.push(diagnostic);
    }

    /// Reports, and stands for the expression that was wrong.
    pub fn bad(&mut self, span: Span, diagnostic: Diagnostic) -> Typed {
        self.report(diagnostic);
        Typed::bad(span)
    }

    pub fn param(&self, name: &str) -> Option<ParamType> {
        self.body.params.iter().find(|(n, _)| n == name).map(|(_, ty)| *ty)
    }

    pub fn new_id(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    // ----------------------------------------------------------------------------------------------------- parameters

    fn params(&mut self) {
        let mut defaults = Scope::default();
        for param in &self.decl.params {
            let name = &param.name;
            if self.param(&name.text).is_some() {
                self.report(twice(name, "a parameter already"));
                continue;
            }
            match param_type(param) {
                Some(ty) => self.body.params.push((name.text.clone(), ty)),
                None => self.report(no_type(param)),
            }
            if let Some(default) = &param.default {
                match evaluate(default, &defaults) {
                    Ok(value) => drop(defaults.values.insert(name.text.clone(), value)),
                    Err(d) if defaults.values.is_empty() || !mentions_param(default, self.decl) => {
                        self.report(d)
                    }
                    Err(_) => {}
                }
            }
            defaults.values.entry(name.text.clone()).or_insert(Arg::Int(1));
        }
    }

    // -------------------------------------------------------------------------------------------------------- weights

    fn weight(&mut self, weight: &ast::Weight) {
        let dims: Vec<(Dim, Span)> =
            weight.dims.iter().filter_map(|e| Some((self.dim(e)?, e.span))).collect();
        let whole = dims.len() == weight.dims.len();
        let start = self.start(weight.init.as_ref());
        let bases = self.options(weight);
        for name in &weight.names {
            let target = self.weight_target(name);
            if let Some((_, span)) = bases.as_ref().filter(|_| matches!(target, Target::Plain)) {
                let help = format!("index it by the relation: `{}[r]`", name.name);
                self.report(
                    Diagnostic::new(codes::LAYER_WEIGHT_OPTION, format!("`{}` is one matrix", name.name))
                        .at(*span, "bases are shared by the matrices of several relations")
                        .help(help),
                );
            }
            let shape: Shape = dims.iter().map(|(d, _)| d.clone()).filter(|d| !d.is_one()).collect();
            let definition = WeightDef {
                name: name.name.text.clone(),
                target,
                shape,
                dims: dims.clone(),
                bases: bases.clone(),
                start: start.clone(),
                lead: None,
                used: !whole,
                whole,
                span: weight.dims.iter().fold(name.span, |all, d| all.to(d.span)),
            };
            let index = self.body.weights.len();
            self.body.weights.push(definition);
            self.declare(&name.name, Named::Weight(index));
        }
    }

    fn weight_target(&mut self, name: &ast::Indexed) -> Target {
        let Some(index) = &name.index else { return Target::Plain };
        match &index.kind {
            IndexKind::Name(i) if i.text == "r" && !self.is_module() => Target::Relation,
            IndexKind::Name(i) if i.text == "t" && !self.is_module() => Target::Type,
            _ => {
                let help = match self.is_module() {
                    true => "a module has no graph: its weights have no index",
                    false => "a weight has no index, `[r]` (one per relation) or `[t]` (one per node type)",
                };
                let text = format!("a weight cannot be indexed like `{}`", name.name);
                self.report(
                    Diagnostic::new(codes::LAYER_WRONG_INDEX, text).at(index.span, "not here").help(help),
                );
                Target::Plain
            }
        }
    }

    fn options(&mut self, weight: &ast::Weight) -> Option<(Constant, Span)> {
        let mut bases = None;
        for option in &weight.options {
            match option.name.as_ref().map(|n| n.text.as_str()) {
                Some("bases") => bases = self.constant(&option.value).map(|c| (c, option.span)),
                other => {
                    let text = match other {
                        Some(name) => format!("a weight has no option `{name}`"),
                        None => "an option of a weight has a name".to_owned(),
                    };
                    let help = "`bases: n` makes the matrices of all relations out of n shared ones";
                    self.report(
                        Diagnostic::new(codes::LAYER_WEIGHT_OPTION, text)
                            .at(option.span, "unknown")
                            .help(help),
                    );
                }
            }
        }
        bases
    }

    fn start(&mut self, init: Option<&Expr>) -> Start {
        let Some(init) = init else { return Start::Glorot };
        let call = init.as_call().map(|(name, args)| (name.to_owned(), args));
        let first = |checker: &mut Self, args: &[ast::Arg]| match args {
            [one] => checker.constant(&one.value),
            _ => None,
        };
        let found = match call.as_ref().map(|(name, args)| (name.as_str(), *args)) {
            Some(("zeros", [])) => Some(Start::Constant(Constant::Number(0.0))),
            Some(("ones", [])) => Some(Start::Constant(Constant::Number(1.0))),
            Some(("glorot", [])) => Some(Start::Glorot),
            Some(("normal", args @ [_])) => first(self, args).map(Start::Normal),
            Some(("uniform", args @ [_])) => first(self, args).map(Start::Uniform),
            Some(("constant", args @ [_])) => first(self, args).map(Start::Constant),
            Some((name, _)) if self.param(name).is_none() => {
                self.report(unknown_start(init, name));
                return Start::Glorot;
            }
            _ => self.constant(init).map(Start::Constant),
        };
        found.unwrap_or(Start::Glorot)
    }

    /// A width: a name, a number, products, quotients and sums of widths.
    pub fn dim(&mut self, expr: &Expr) -> Option<Dim> {
        match self.try_dim(expr) {
            Ok(dim) => Some(dim),
            Err(None) => None,
            Err(Some(diagnostic)) => {
                self.report(*diagnostic);
                None
            }
        }
    }

    fn try_dim(&mut self, expr: &Expr) -> Result<Dim, Option<Box<Diagnostic>>> {
        let wrong = || {
            let d = Diagnostic::new(codes::LAYER_WRONG_KIND, "this is not a width")
                .at(expr.span, "a width is wanted")
                .help("a width is `in`, a parameter of type `dim` or `int`, a whole number, or `*`, `/`, `+`, `-` of those");
            Some(Box::new(d))
        };
        match &expr.kind {
            ExprKind::Bad => {
                self.broken = true;
                Err(None)
            }
            ExprKind::Name(name) => self.dim_name(name, expr.span),
            ExprKind::Number(n) => {
                n.int.filter(|i| *i > 0 && n.unit.is_none()).map(Dim::number).ok_or_else(wrong)
            }
            ExprKind::Field { base, name } if base.as_name() == Some("e") && !self.is_module() => {
                self.edge_feature(name);
                Ok(Dim::name(&format!("e.{name}")))
            }
            ExprKind::Index { base, index } => self.dim_entry(base, index).ok_or_else(wrong),
            ExprKind::Binary { op, left, right, .. } => {
                let (a, b) = (self.try_dim(left), self.try_dim(right));
                let (a, b) = (a?, b?);
                let result = match op {
                    BinaryOp::Mul => a.times(&b),
                    BinaryOp::Div => a.over(&b),
                    BinaryOp::Add => a.plus(&b),
                    BinaryOp::Sub => a.minus(&b),
                    _ => None,
                };
                result.ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    fn dim_name(&self, name: &str, span: Span) -> Result<Dim, Option<Box<Diagnostic>>> {
        match (name, self.param(name)) {
            ("in", _) | (_, Some(ParamType::Dim | ParamType::Int)) => Ok(Dim::name(name)),
            (_, Some(_)) => {
                let text = format!("`{name}` is not a width");
                let d = Diagnostic::new(codes::LAYER_WRONG_KIND, text).at(span, "a width is wanted");
                Err(Some(Box::new(d.help(format!("declare it as one: `{name}: dim`")))))
            }
            // A parameter without a readable type is reported there.
            (_, None) if self.decl.params.iter().any(|p| p.name.text == name) => Err(None),
            (_, None) => {
                let known = self.widths();
                let help = did_you_mean_help(name, known.iter().copied())
                    .unwrap_or_else(|| format!("add it to the parameters: `{name}: dim`"));
                let text = format!("`{}` has no width `{name}`", self.decl.name);
                let d = Diagnostic::new(codes::LAYER_UNKNOWN_NAME, text).at(span, "not declared").help(help);
                Err(Some(Box::new(d)))
            }
        }
    }

    fn dim_entry(&self, base: &Expr, index: &ast::Index) -> Option<Dim> {
        let name = base.as_name().filter(|n| self.param(n) == Some(ParamType::Dims))?;
        let [position] = index.values() else { return None };
        let entry = position.as_number()?.int.filter(|i| *i >= 0)?;
        Some(Dim::name(&format!("{name}[{entry}]")))
    }

    fn widths(&self) -> Vec<&str> {
        let own = self.body.params.iter().filter(|(_, ty)| matches!(ty, ParamType::Dim | ParamType::Int));
        std::iter::once("in").chain(own.map(|(n, _)| n.as_str())).collect()
    }

    pub fn edge_feature(&mut self, name: &Ident) {
        if !self.body.edge_features.iter().any(|(n, _)| *n == name.text) {
            self.body.edge_features.push((name.text.clone(), name.span));
        }
    }

    // ------------------------------------------------------------------------------------------------------ equations

    fn collect_later(&mut self, statements: &[LayerStmt]) {
        for statement in statements {
            if let LayerStmt::Equation(e) = statement {
                self.later.entry(e.target.name.text.clone()).or_insert(e.target.span);
            }
        }
    }

    fn equation(&mut self, equation: &ast::Equation) {
        let target = self.equation_target(&equation.target);
        self.bound = Bound {
            node: matches!(target, Target::Node | Target::Edge | Target::EdgeOf) || self.is_module(),
            edge: matches!(target, Target::Edge | Target::EdgeOf),
            relation: matches!(target, Target::EdgeOf | Target::Relation),
            ty: target == Target::Type,
        };
        self.reduces = false;
        let value = self.expr(&equation.value);
        let value = self.fits_target(equation, target, value);
        let name = &equation.target.name;
        self.later.remove(&name.text);
        let index = self.body.equations.len();
        self.body.equations.push(EquationDef {
            name: name.text.clone(),
            target,
            used: value.is_bad(),
            value,
            reduces: self.reduces,
            at_source: false,
            span: equation.target.span,
        });
        self.declare(name, Named::Equation(index));
    }

    fn equation_target(&mut self, target: &ast::Indexed) -> Target {
        let wanted = if self.is_module() { Target::Plain } else { Target::Node };
        let Some(index) = &target.index else {
            if !self.is_module() && target.name.text == "h'" {
                self.report(
                    Diagnostic::new(codes::LAYER_WRONG_INDEX, "`h'` is given for every node")
                        .at(target.span, "no index")
                        .help("write `h'[v] = …`"),
                );
                return Target::Node;
            }
            return Target::Plain;
        };
        let found = match &index.kind {
            _ if self.is_module() => None,
            IndexKind::Name(i) if i.text == "v" => Some(Target::Node),
            IndexKind::Name(i) if i.text == "r" => Some(Target::Relation),
            IndexKind::Name(i) if i.text == "t" => Some(Target::Type),
            IndexKind::Edge { src, rel, dst } if src.text == "u" && dst.text == "v" => match rel {
                None => Some(Target::Edge),
                Some(rel) if rel.text == "r" => Some(Target::EdgeOf),
                Some(_) => None,
            },
            _ => None,
        };
        if found == Some(Target::Node) || (found.is_some() && target.name.text != "h'") {
            return found.unwrap_or(wanted);
        }
        let help = match (self.is_module(), target.name.text.as_str()) {
            (true, _) => "a module has no graph: its equations have no index".to_owned(),
            (_, "h'") => "a layer gives a row for every node: `h'[v] = …`".to_owned(),
            _ => index_help(&index.kind),
        };
        let text = format!("`{}` cannot be indexed like this", target.name);
        self.report(
            Diagnostic::new(codes::LAYER_WRONG_INDEX, text).at(index.span, "not an index").help(help),
        );
        wanted
    }

    /// What an equation for a target may depend on, or a report of what is too much.
    fn fits_target(&mut self, equation: &ast::Equation, target: Target, value: Typed) -> Typed {
        let name = &equation.target.name;
        let value = match target {
            Target::Node => self.resolve_type(value, End::Node),
            _ => value,
        };
        let allowed = match target {
            Target::Plain if self.is_module() => Deps::NODE,
            Target::Plain => Deps::NONE,
            Target::Node => Deps::NODE | Deps::NODE_TYPE,
            Target::Edge | Target::EdgeOf => {
                let ends = Deps::SOURCE | Deps::NODE | Deps::EDGE | Deps::SOURCE_TYPE | Deps::NODE_TYPE;
                if target == Target::EdgeOf { ends | Deps::RELATION } else { ends }
            }
            Target::Relation => Deps::RELATION,
            Target::Type => Deps::TYPE,
        };
        let excess = value.deps.without(allowed);
        if value.is_bad() || excess == Deps::NONE {
            return value;
        }
        let place = equation.target.span;
        let diagnostic = if target == Target::Node && excess.is_edgy() {
            Diagnostic::new(
                codes::LAYER_EDGE_ON_NODE,
                format!("`{name}[v]` is on nodes, its value is on edges"),
            )
            .at(value.span, "one row per edge `[u -> v]`")
            .at(place, "one row per node")
            .help(format!("reduce it over the edges into v: {}", reduced(&equation.value)))
        } else if excess.has(Deps::RELATION) {
            let help = match target {
                Target::Edge => format!("write `{name}[u -r-> v] = …`"),
                _ => format!("sum it over the relations into v: {}", wrap("sum[r]", &equation.value)),
            };
            Diagnostic::new(codes::LAYER_UNBOUND_INDEX, "this differs from relation to relation")
                .at(value.span, "depends on `r`")
                .at(place, "no `r` here")
                .help(help)
        } else if excess.has(Deps::TYPE) {
            Diagnostic::new(
                codes::LAYER_WRONG_INDEX,
                "this belongs to a node's type, and an edge has two nodes",
            )
            .at(value.span, "of `u` or of `v`?")
            .help("write the node: `K[u]` or `K[v]`")
        } else {
            let (what, index) = match excess.is_edgy() {
                true => ("edge", "[u -> v]"),
                false => ("node", "[v]"),
            };
            Diagnostic::new(codes::LAYER_WRONG_INDEX, format!("`{name}` has one value for each {what}"))
                .at(place, "the index does not say so")
                .at(value.span, format!("depends on the {what}"))
                .help(format!("write `{name}{index} = …`"))
        };
        self.bad(value.span, diagnostic)
    }

    fn declare(&mut self, name: &Ident, named: Named) {
        let input = self.input_name();
        if name.text == input {
            let text = format!("`{input}` is what comes in");
            let help = format!("what goes out is `{input}'`; call this something else");
            self.report(Diagnostic::new(codes::LAYER_DEFINED_TWICE, text).at(name.span, "taken").help(help));
            return;
        }
        if name.text == "in" || self.param(&name.text).is_some() {
            self.report(twice(name, "a parameter already"));
            return;
        }
        if let Some((_, first)) = self.names.get(&name.text) {
            let first = *first;
            self.report(twice(name, "defined again").at(first, "defined here first"));
            return;
        }
        self.names.insert(name.text.clone(), (named, name.span));
    }

    pub fn input_name(&self) -> &'static str {
        if self.is_module() { "x" } else { "h" }
    }

    // --------------------------------------------------------------------------------------------------------- output

    fn output(&mut self) {
        let wanted = if self.is_module() { "x'" } else { "h'" };
        match self.names.get(wanted) {
            Some((Named::Equation(index), _)) => {
                let index = *index;
                self.body.output = Some(index);
                self.body.equations[index].used = true;
                self.output_width(index);
            }
            _ if self.broken => {}
            _ => {
                let (what, form) =
                    if self.is_module() { ("module", "x' = …") } else { ("layer", "h'[v] = …") };
                let text = format!("the {what} `{}` never says what it gives", self.decl.name);
                self.report(
                    Diagnostic::new(codes::LAYER_NO_OUTPUT, text)
                        .at(self.decl.name.span, format!("without `{wanted}`"))
                        .help(format!("add an equation `{form}`")),
                );
            }
        }
    }

    /// A layer with a parameter `out: dim` gives rows of that width.
    fn output_width(&mut self, index: usize) {
        let equation = &self.body.equations[index];
        let (value, span) = (&equation.value, equation.span);
        if value.is_bad() || self.param("out") != Some(ParamType::Dim) {
            return;
        }
        let declared = self.decl.params.iter().find(|p| p.name.text == "out").map_or(span, |p| p.span);
        let width = Dim::product(&value.shape);
        if width.as_ref() == Some(&Dim::name("out")) || (value.shape.is_empty() && !value.deps.has_rows()) {
            return;
        }
        let shape = shape_quoted(&value.shape);
        let text = format!("`{}` gives rows of {shape}, and is declared to give `out`", self.decl.name);
        let diagnostic = Diagnostic::new(codes::LAYER_WRONG_OUTPUT, text)
            .at(value.span, format!("rows of {shape}"))
            .at(declared, "the width declared")
            .help("multiply by a weight that ends in `out`, or call the parameter something else");
        self.report(diagnostic);
    }

    fn unused(&mut self) {
        if self.broken {
            return;
        }
        let weights = self.body.weights.iter().filter(|w| !w.used).map(|w| (&w.name, w.span, "weight"));
        let equations = self.body.equations.iter().filter(|e| !e.used).map(|e| (&e.name, e.span, "value"));
        let found: Vec<Diagnostic> = weights
            .chain(equations)
            .map(|(name, span, what)| {
                Diagnostic::new(codes::LAYER_UNUSED, format!("the {what} `{name}` is never used"))
                    .at(span, "declared here")
                    .help("use it or remove it")
            })
            .collect();
        found.into_iter().for_each(|d| self.report(d));
    }
}

// -------------------------------------------------------------------------------------------------------------- texts

fn twice(name: &Ident, label: &str) -> Diagnostic {
    Diagnostic::new(codes::LAYER_DEFINED_TWICE, format!("`{name}` stands for two things"))
        .at(name.span, label)
        .help("give one of them another name")
}

fn no_type(param: &ast::LayerParam) -> Diagnostic {
    let types = one_of(&super::args::TYPE_NAMES);
    match &param.ty {
        Some(ty) => {
            let text = format!("`{}` is not a type of a parameter", ty.name);
            let help = did_you_mean_help(&ty.name.text, super::args::TYPE_NAMES)
                .unwrap_or_else(|| format!("the types are {types}, and `dim[]` for a list of widths"));
            Diagnostic::new(codes::LAYER_PARAMETER_TYPE, text).at(ty.span, "not a type").help(help)
        }
        None => Diagnostic::new(codes::LAYER_PARAMETER_TYPE, format!("`{}` needs a type", param.name))
            .at(param.span, "neither a type nor a default that shows it")
            .help(format!("write `{}: T`, where T is {types}", param.name)),
    }
}

fn mentions_param(expr: &Expr, decl: &ast::Layer) -> bool {
    let mut found = false;
    expr.walk(&mut |e| {
        found |= e.as_name().is_some_and(|n| decl.params.iter().any(|p| p.name.text == n));
    });
    found
}

fn unknown_start(init: &Expr, name: &str) -> Diagnostic {
    const STARTS: [&str; 6] = ["zeros", "ones", "glorot", "normal", "uniform", "constant"];
    let help = did_you_mean_help(name, STARTS).unwrap_or_else(|| {
        "a weight starts as `zeros`, `ones`, a number, `normal(std)`, `uniform(bound)` or, without a word, `glorot`".to_owned()
    });
    Diagnostic::new(codes::LAYER_WEIGHT_OPTION, format!("a weight cannot start as `{name}`"))
        .at(init.span, "not a start")
        .help(help)
}

pub(super) fn index_help(kind: &IndexKind) -> String {
    match kind {
        IndexKind::Edge { rel: Some(_), .. } => "an edge of one relation is `[u -r-> v]`".to_owned(),
        IndexKind::Edge { .. } => "an edge is `[u -> v]`".to_owned(),
        _ => "an index is `[v]` (a node), `[u -> v]` (an edge), `[u -r-> v]` (an edge of relation r), `[r]` or `[t]`".to_owned(),
    }
}

/// `` `sum[u -> v] m` ``, the body shown where it is only a name.
pub(super) fn reduced(expr: &Expr) -> String {
    wrap("sum[u -> v]", expr)
}

pub(super) fn wrap(reduction: &str, expr: &Expr) -> String {
    let named = match &expr.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Index { base, index } => match (&index.kind, base.as_name()) {
            (IndexKind::Name(i), Some(name)) => Some(format!("{name}[{i}]")),
            (IndexKind::Edge { rel: None, .. }, Some(name)) => Some(format!("{name}[u -> v]")),
            _ => None,
        },
        _ => None,
    };
    match named {
        Some(name) => format!("`{reduction} {name}`"),
        None => format!("`{reduction} (…)`"),
    }
}
