//! Checks a declaration once for all arguments: parameters, weights, equations, output.
//!
//! Decided here: the order in which a body is read and which names it may use where. Not decided here: what an expression
//! means (`expr`, `fit`, `functions`).

use std::collections::BTreeMap;

use super::args::{Arg, Declared, ParamType, Scope, evaluate, in_file_of, param_type};
use super::dims::{Dim, shape_quoted};
use super::typed::*;
use crate::diag::{Diagnostic, codes, did_you_mean_help, one_of};
use crate::syntax::ast::{self, Expr, ExprKind, Ident, IndexKind, LayerBody, LayerKind, LayerStmt, Span};

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

    pub fn is_decoder(&self) -> bool {
        self.decl.kind == LayerKind::Decoder
    }

    /// The name of what goes out.
    fn output_name(&self) -> &'static str {
        match self.decl.kind {
            LayerKind::Module => "x'",
            LayerKind::Layer => "h'",
            LayerKind::Decoder => "score",
        }
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
        let value = if self.is_decoder() && self.reduces { self.looks_around(value) } else { value };
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

    fn looks_around(&mut self, value: Typed) -> Typed {
        let text = "a decoder scores one pair of nodes, and cannot look at their neighbours";
        let d = Diagnostic::new(codes::LAYER_DECODER_REDUCES, text)
            .at(value.span, "reduces over edges")
            .help("let a layer of the gnn do this, and read its rows: `h[u]`, `h[v]`");
        self.bad(value.span, d)
    }

    fn equation_target(&mut self, target: &ast::Indexed) -> Target {
        let wanted = if self.is_module() { Target::Plain } else { Target::Node };
        if self.is_decoder() && target.name.text == "score" {
            return self.score_target(target);
        }
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

    /// `score[u -> v]`, or with the relation of the pair `score[u -r-> v]`.
    fn score_target(&mut self, target: &ast::Indexed) -> Target {
        let rel = match target.index.as_ref().map(|index| &index.kind) {
            Some(IndexKind::Edge { src, rel, dst }) if src.text == "u" && dst.text == "v" => rel.as_ref(),
            _ => {
                self.report(
                    Diagnostic::new(codes::LAYER_WRONG_INDEX, "`score` is given for every pair of nodes")
                        .at(target.span, "not of a pair")
                        .help(
                            "write `score[u -> v] = …`, or `score[u -r-> v] = …` where the relation matters",
                        ),
                );
                None
            }
        };
        if rel.is_some() { Target::EdgeOf } else { Target::Edge }
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

    pub(super) fn declare(&mut self, name: &Ident, named: Named) {
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

    fn output(&mut self) {
        let wanted = self.output_name();
        match self.names.get(wanted) {
            Some((Named::Equation(index), _)) => {
                let index = *index;
                self.body.output = Some(index);
                self.body.equations[index].used = true;
                self.output_width(index);
            }
            _ if self.broken => {}
            _ => {
                let (what, form) = match self.decl.kind {
                    LayerKind::Module => ("module", "x' = …"),
                    LayerKind::Layer => ("layer", "h'[v] = …"),
                    LayerKind::Decoder => ("decoder", "score[u -> v] = …"),
                };
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
