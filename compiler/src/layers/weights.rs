//! Weights as declared: their dimensions, indices, options and starts.

use super::args::ParamType;
use super::check::{Checker, Named};
use super::dims::{Dim, Shape};
use super::typed::*;
use crate::diag::{Diagnostic, codes, did_you_mean_help};
use crate::syntax::ast::{self, BinaryOp, Expr, ExprKind, Ident, IndexKind, Span};

impl Checker<'_, '_> {
    pub(super) fn weight(&mut self, weight: &ast::Weight) {
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
    pub(super) fn dim(&mut self, expr: &Expr) -> Option<Dim> {
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

    pub(super) fn edge_feature(&mut self, name: &Ident) {
        if !self.body.edge_features.iter().any(|(n, _)| *n == name.text) {
            self.body.edge_features.push((name.text.clone(), name.span));
        }
    }
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
