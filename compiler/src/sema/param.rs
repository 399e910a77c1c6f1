//! `param`s and `--set`: constants of the file, each with one type, whoever gives the value.

use super::cx::Cx;
use super::value::{Env, Ty, Value, eval, type_name};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::*;

/// A `param` with its value; `None` where a mistake was reported.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedParam {
    pub name: String,
    pub ty: Ty,
    pub value: Option<Value>,
    /// From `--set`.
    pub set: bool,
    pub line: usize,
}

/// Evaluates the `param`s of a file in order; `overrides` are (name, text) as given to `--set`.
pub fn params(cx: &mut Cx, file: &File, overrides: &[(String, String)]) -> (Vec<CheckedParam>, Env) {
    let mut env = Env::new();
    let mut found: Vec<CheckedParam> = Vec::new();
    for item in &file.items {
        let Item::Param(param) = item else { continue };
        if env.contains_key(&param.name.text) {
            let message = format!("the param `{}` is declared twice", param.name);
            cx.error(codes::NAMES_DUPLICATE, message, param.name.span, "the second one");
            continue;
        }
        let checked = one(cx, &env, param, overrides);
        env.insert(checked.name.clone(), checked.value.clone());
        found.push(checked);
    }
    unknown_overrides(cx, &found, overrides);
    (found, env)
}

fn one(cx: &mut Cx, env: &Env, param: &Param, overrides: &[(String, String)]) -> CheckedParam {
    let written = param.ty.as_ref().map(|t| Ty::resolve(cx, t));
    let failed = matches!(written, Some(None));
    let ty = written.flatten();
    let default = param.value.as_ref().map(|v| eval(cx, env, v, ty.as_ref().unwrap_or(&Ty::Any), false));
    let ty = ty.or_else(|| Some(Ty::of(default.as_ref()?.as_ref()?))).unwrap_or(Ty::Any);
    let text = overrides.iter().rev().find(|(name, _)| *name == param.name.text).map(|(_, text)| text);
    let value = match (text, default) {
        (Some(text), default) => set(cx, env, param, &ty, text).or(default.flatten()),
        (None, Some(value)) => value,
        (None, None) => {
            let message = format!("the param `{}` has no value", param.name);
            let help = format!("give it one here, `= …`, or with `--set {}=…`", param.name);
            cx.error_help(codes::PARAM_NO_VALUE, message, param.name.span, "without a value", help);
            None
        }
    };
    let line = cx.line(cx.file(), param.span);
    CheckedParam {
        name: param.name.text.clone(),
        ty,
        value: value.filter(|_| !failed),
        set: text.is_some(),
        line,
    }
}

/// A value from the command line, checked like one in the source. After a mistake the written value stands, so that what
/// uses it is not reported as well.
fn set(cx: &mut Cx, env: &Env, param: &Param, ty: &Ty, text: &str) -> Option<Value> {
    let is_text = matches!(ty, Ty::Text | Ty::Path);
    if is_text && !text.starts_with('"') {
        return Some(Value::Text(text.to_owned()));
    }
    let value = parsed(text).and_then(|expr| {
        let outer = std::mem::take(&mut cx.diags);
        let value = eval(cx, env, &expr, ty, false);
        cx.diags = outer;
        value
    });
    if value.is_none() {
        let message = format!("`--set {}={text}`: `{text}` is not {}", param.name, ty.describe());
        let default = param.value.as_ref().and_then(|v| eval(cx, env, v, &Ty::Any, false));
        let help = default.map(|d| format!("it is {} otherwise, {}", d, type_name(&d)));
        let diagnostic = Diagnostic::new(codes::PARAM_OVERRIDE, message)
            .at(param.name.span, format!("is {}", ty.describe()))
            .help_opt(help);
        cx.report(diagnostic);
    }
    value
}

fn parsed(text: &str) -> Option<Expr> {
    let parsed = crate::syntax::parse(&format!("param x = {text}\n"));
    match parsed.file.items.as_slice() {
        [Item::Param(Param { value: Some(value), .. })] if parsed.diagnostics.is_empty() => {
            Some(value.clone())
        }
        _ => None,
    }
}

fn unknown_overrides(cx: &mut Cx, found: &[CheckedParam], overrides: &[(String, String)]) {
    for (name, text) in overrides {
        if found.iter().any(|p| p.name == *name) {
            continue;
        }
        let known: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
        let help = super::cx::nearest_or_all(name, &known)
            .unwrap_or_else(|| format!("declare it: `param {name} = {text}`"));
        let message = format!("`--set {name}={text}`: the file has no param `{name}`");
        cx.report(Diagnostic::new(codes::PARAM_OVERRIDE, message).help(help));
    }
}
