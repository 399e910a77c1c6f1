//! `rust("name")`: what the program that runs the file has registered.
//!
//! Decided here: that a name is registered, as what is wanted of it, before anything runs. Not decided here: what it does, and the
//! shapes of its operands, which are those of the equation that calls it.

use gsl_plan::symbol::Symbol;

use super::body::Sourced;
use super::call::Args;
use super::cx::{Cx, nearest_or_all};
use super::experiment::ExperimentCx;
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::*;
use crate::world::{Registration, RustKind};

/// The function that names what is registered.
pub const RUST: &str = "rust";

/// The registration that is meant; reports a name that is not registered, or as something else.
pub fn registered(cx: &mut Cx, kind: RustKind, name: &str, span: Span) -> Option<Registration> {
    let all = cx.world.registered();
    if let Some(found) = all.iter().find(|r| r.kind == kind && r.name == name) {
        return Some(found.clone());
    }
    let known: Vec<&str> = all.iter().filter(|r| r.kind == kind).map(|r| r.name.as_str()).collect();
    let what = kind.name();
    let help = match all.iter().find(|r| r.name == name) {
        Some(other) => Some(format!("`{name}` is registered as a {}", other.kind.name())),
        None if known.is_empty() => Some(format!(
            "none is: run the file with a program of yours that links `gsc` and registers the {what}, as docs/rust.md says"
        )),
        None => nearest_or_all(name, &known),
    };
    let diagnostic =
        Diagnostic::new(codes::NAMES_RUST, format!("no {what} `{name}` is registered in this program"))
            .at(span, "not registered")
            .help_opt(help);
    cx.report(diagnostic);
    None
}

/// The modules that the equations of a body call.
pub fn check_body(cx: &mut Cx, body: &LayerBody) {
    let LayerBody::Block(stmts) = body else { return };
    let mut named: Vec<(&str, Span)> = Vec::new();
    for stmt in stmts {
        if let LayerStmt::Equation(equation) = stmt {
            equation.value.walk(&mut |expr| named.extend(module_of(expr)));
        }
    }
    for (name, span) in named {
        registered(cx, RustKind::Module, name, span);
    }
}

/// `rust("gate", out)`: the name, and where it stands.
fn module_of(expr: &Expr) -> Option<(&str, Span)> {
    let ExprKind::Call { callee, args } = &expr.kind else { return None };
    if callee.as_name() != Some(RUST) {
        return None;
    }
    match args.first().map(|arg| (&arg.value.kind, arg.value.span)) {
        Some((ExprKind::Str(name), span)) => Some((name, span)),
        _ => None,
    }
}

/// `module Mine(out: dim) = rust("mine", out)` is the module `x' = rust("mine", out)(x)`; without a width it keeps that of its
/// rows.
pub fn spelled_out(layer: &Layer) -> Layer {
    let LayerBody::Alias(expr) = &layer.body else { return layer.clone() };
    let (LayerKind::Module, ExprKind::Call { callee, args }) = (layer.kind, &expr.kind) else {
        return layer.clone();
    };
    if callee.as_name() != Some(RUST) {
        return layer.clone();
    }
    let span = expr.span;
    let named = |text: &str| Expr::new(ExprKind::Name(text.to_owned()), span);
    let arg = |value: Expr| Arg { name: None, value, span };
    let mut settings = args.clone();
    if settings.len() == 1 {
        settings.push(arg(named("in")));
    }
    let function = Expr::new(ExprKind::Call { callee: callee.clone(), args: settings }, span);
    let value = Expr::new(ExprKind::Call { callee: Box::new(function), args: vec![arg(named("x"))] }, span);
    let target = Indexed { name: Ident { text: "x'".to_owned(), span }, index: None, span };
    let equation = Equation { doc: None, target, value, span };
    Layer { body: LayerBody::Block(vec![LayerStmt::Equation(equation)]), ..layer.clone() }
}

impl ExperimentCx<'_, '_> {
    /// What `rust("name")` in a setting names.
    pub fn registered(
        &mut self,
        setting: &Sourced<Setting>,
        kind: RustKind,
        args: &Args,
        expr: &Expr,
    ) -> Option<Registration> {
        let name = args.word("name")?.to_owned();
        let wanted: &[&str] = if kind == RustKind::Negatives { &["count", "share"] } else { &[] };
        let other = args.list.iter().find(|a| {
            let known = a.name == "name" || wanted.contains(&a.name.as_str());
            a.written && !known
        });
        if let Some(other) = other {
            let message = format!("a {} has no `{}`", kind.name(), other.name);
            let help = format!("write `rust(\"{name}\")`");
            self.within(setting, |cx| {
                cx.cx.error_help(codes::ARGS_UNKNOWN, message, expr.span, "of negatives alone", help);
            });
            return None;
        }
        self.within(setting, |cx| registered(cx.cx, kind, &name, expr.span))
    }
}

/// The name of a registration in a plan.
pub fn symbol(registration: &Registration) -> Symbol {
    Symbol::new(&registration.name)
}
