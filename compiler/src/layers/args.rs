//! Arguments of a layer or module: names, types, defaults.
//!
//! Decided here: what a parameter's type accepts, how arguments find their parameters. Not decided here: whether the widths
//! that follow from them fit (lowering says so).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cx::Activation;
use crate::diag::{Code, Diagnostic, SourceFile, codes, did_you_mean_help, one_of};
use crate::syntax::ast::{self, BinaryOp, Expr, ExprKind, IndexKind, Span, UnaryOp};

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    Dim(usize),
    Int(i64),
    Float(f64),
    Bool(bool),
    Activation(Activation),
    Dims(Vec<usize>),
    None,
}

/// What a parameter may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// A width: a whole number from 1.
    Dim,
    Int,
    Float,
    Bool,
    Activation,
    /// `dim[]`
    Dims,
}

/// A layer or module and the file it is written in; no file: the one being compiled.
#[derive(Debug, Clone)]
pub struct Declared<'a> {
    pub decl: &'a ast::Layer,
    pub file: Option<Arc<SourceFile>>,
}

/// The names an argument or a body can use besides the declaration's own parameters.
#[derive(Debug, Clone, Default)]
pub struct Scope<'a> {
    /// Parameters of the file: `param hidden : dim = 128`. Arguments may use them, bodies not.
    pub values: BTreeMap<String, Arg>,
    /// Modules that a body may call, `MLP(out)(h[v])`, by the name they have here.
    pub modules: BTreeMap<String, Declared<'a>>,
}

/// The arguments of a call in the order of the parameters, defaults filled in, or every mistake in them. Positional
/// arguments come first; a named one finds its parameter by name.
pub fn call_args(
    callee: &Declared,
    given: &[ast::Arg],
    call: Span,
    scope: &Scope,
) -> Result<Vec<(String, Arg)>, Vec<Diagnostic>> {
    let mut wrong = Vec::new();
    let slots = assign(callee, given, &mut wrong);
    let mut found = Vec::new();
    let mut inner = Scope::default();
    for (param, slot) in callee.decl.params.iter().zip(slots) {
        let result = match (slot, &param.default) {
            (Some(arg), _) => evaluate_for(param, &arg.value, scope),
            (None, Some(default)) => evaluate_for(param, default, &inner).map_err(|d| in_file_of(d, callee)),
            (None, None) => Err(missing(callee, param, call)),
        };
        match result {
            Ok(value) => {
                inner.values.insert(param.name.text.clone(), value.clone());
                found.push((param.name.text.clone(), value));
            }
            Err(diagnostic) => wrong.push(diagnostic),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

/// Which argument each parameter gets.
pub(super) fn assign<'g>(
    callee: &Declared,
    given: &'g [ast::Arg],
    wrong: &mut Vec<Diagnostic>,
) -> Vec<Option<&'g ast::Arg>> {
    let params = &callee.decl.params;
    let mut slots: Vec<Option<&ast::Arg>> = vec![None; params.len()];
    for (position, arg) in given.iter().enumerate() {
        let index = match &arg.name {
            Some(name) => params.iter().position(|p| p.name.text == name.text),
            None => (position < params.len()).then_some(position),
        };
        match index {
            None => wrong.push(unknown_argument(callee, arg)),
            Some(i) if slots[i].is_some() => wrong.push(given_twice(&params[i], arg)),
            Some(i) => slots[i] = Some(arg),
        }
    }
    slots
}

fn unknown_argument(callee: &Declared, arg: &ast::Arg) -> Diagnostic {
    let names: Vec<&str> = callee.decl.params.iter().map(|p| p.name.text.as_str()).collect();
    let known = match names.as_slice() {
        [] => format!("`{}` takes no arguments", callee.decl.name),
        names => format!("`{}` takes {}", callee.decl.name, one_of(names).replace(" or ", " and ")),
    };
    match &arg.name {
        Some(name) => {
            let text = format!("`{}` has no parameter `{name}`", callee.decl.name);
            let help = did_you_mean_help(&name.text, names.iter().copied()).unwrap_or(known);
            Diagnostic::new(codes::LAYER_UNKNOWN_ARGUMENT, text).at(name.span, "not a parameter").help(help)
        }
        None => {
            let text = format!("`{}` takes {} arguments at most", callee.decl.name, names.len());
            Diagnostic::new(codes::LAYER_UNKNOWN_ARGUMENT, text).at(arg.span, "one too many").help(known)
        }
    }
}

fn given_twice(param: &ast::LayerParam, arg: &ast::Arg) -> Diagnostic {
    Diagnostic::new(codes::LAYER_UNKNOWN_ARGUMENT, format!("`{}` is given twice", param.name))
        .at(arg.span, "given again here")
        .help("keep one of the two")
}

pub(super) fn missing(callee: &Declared, param: &ast::LayerParam, call: Span) -> Diagnostic {
    let example = match param_type(param) {
        Some(ParamType::Dim) => "64",
        Some(ParamType::Int) => "1",
        Some(ParamType::Float) => "0.5",
        Some(ParamType::Bool) => "true",
        Some(ParamType::Activation) => "relu",
        Some(ParamType::Dims) => "[64, 64]",
        None => "…",
    };
    Diagnostic::new(codes::LAYER_MISSING_ARGUMENT, format!("`{}` needs `{}`", callee.decl.name, param.name))
        .at(call, format!("without `{}`", param.name))
        .help(format!("add `{}: {example}`", param.name))
}

pub(super) fn in_file_of(diagnostic: Diagnostic, declared: &Declared) -> Diagnostic {
    match &declared.file {
        Some(file) => diagnostic.in_file(file.clone()),
        None => diagnostic,
    }
}

// ------------------------------------------------------------------------------------------------------------- types

pub(super) const TYPE_NAMES: [&str; 5] = ["dim", "int", "float", "bool", "activation"];

/// The type stated, or the one that the default shows; a parameter called `act` is an activation.
pub fn param_type(param: &ast::LayerParam) -> Option<ParamType> {
    let Some(ty) = &param.ty else { return untyped(param) };
    match (ty.name.text.as_str(), &ty.shape) {
        ("dim", None) => Some(ParamType::Dim),
        ("dim", Some(_)) => Some(ParamType::Dims),
        ("int", None) => Some(ParamType::Int),
        ("float", None) => Some(ParamType::Float),
        ("bool", None) => Some(ParamType::Bool),
        ("activation", None) => Some(ParamType::Activation),
        _ => None,
    }
}

fn untyped(param: &ast::LayerParam) -> Option<ParamType> {
    match param.default.as_ref().map(|d| &d.kind) {
        Some(ExprKind::Number(n)) if n.int.is_some() && n.unit.is_none() => Some(ParamType::Int),
        Some(ExprKind::Number(_)) => Some(ParamType::Float),
        Some(ExprKind::List(_)) => Some(ParamType::Dims),
        Some(ExprKind::Name(name)) if name == "true" || name == "false" => Some(ParamType::Bool),
        Some(ExprKind::Name(name)) if Activation::parse(name).is_some() => Some(ParamType::Activation),
        _ if param.name.text == "act" => Some(ParamType::Activation),
        _ => None,
    }
}

impl ParamType {
    fn wants(self) -> &'static str {
        match self {
            ParamType::Dim => "a width: a whole number from 1",
            ParamType::Int => "a whole number",
            ParamType::Float => "a number",
            ParamType::Bool => "`true` or `false`",
            ParamType::Activation => "an activation such as `relu`",
            ParamType::Dims => "a list of widths such as `[64, 64]`",
        }
    }

    /// `value` as this type; `none` fits where the default is `none`.
    fn convert(self, value: &Arg, optional: bool) -> Option<Arg> {
        Some(match (self, value) {
            (ParamType::Activation, Arg::None) => Arg::Activation(Activation::Identity),
            (_, Arg::None) if optional => Arg::None,
            (ParamType::Dim, Arg::Dim(n)) => Arg::Dim(*n),
            (ParamType::Dim, Arg::Int(n)) if *n > 0 => Arg::Dim(*n as usize),
            (ParamType::Int, Arg::Int(n)) => Arg::Int(*n),
            (ParamType::Int, Arg::Dim(n)) => Arg::Int(*n as i64),
            (ParamType::Float, Arg::Float(x)) => Arg::Float(*x),
            (ParamType::Float, Arg::Int(n)) => Arg::Float(*n as f64),
            (ParamType::Float, Arg::Dim(n)) => Arg::Float(*n as f64),
            (ParamType::Bool, Arg::Bool(b)) => Arg::Bool(*b),
            (ParamType::Activation, Arg::Activation(a)) => Arg::Activation(*a),
            (ParamType::Dims, Arg::Dims(list)) => Arg::Dims(list.clone()),
            _ => return None,
        })
    }
}

fn evaluate_for(param: &ast::LayerParam, expr: &Expr, scope: &Scope) -> Result<Arg, Diagnostic> {
    let value = evaluate(expr, scope)?;
    let optional = param.default.as_ref().and_then(Expr::as_name) == Some("none");
    let Some(ty) = param_type(param) else { return Ok(value) };
    ty.convert(&value, optional).ok_or_else(|| {
        Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, format!("`{}` cannot be {}", param.name, show(&value)))
            .at(expr.span, show(&value))
            .help(format!("`{}` is {}", param.name, ty.wants()))
    })
}

fn show(value: &Arg) -> String {
    match value {
        Arg::Dim(n) => n.to_string(),
        Arg::Int(n) => n.to_string(),
        Arg::Float(x) => x.to_string(),
        Arg::Bool(b) => format!("`{b}`"),
        Arg::Activation(_) => "an activation".to_owned(),
        Arg::Dims(_) => "a list".to_owned(),
        Arg::None => "`none`".to_owned(),
    }
}

// ------------------------------------------------------------------------------------------------------------ values

/// The value of a constant expression: numbers, words, parameters in scope, arithmetic, lists.
pub fn evaluate(expr: &Expr, scope: &Scope) -> Result<Arg, Diagnostic> {
    match &expr.kind {
        ExprKind::Number(n) => Ok(number(n)),
        ExprKind::Name(name) => word(name, expr.span, scope),
        ExprKind::List(items) => list(items, scope),
        ExprKind::Unary { op: UnaryOp::Neg, operand } => match evaluate(operand, scope)? {
            Arg::Int(n) => n.checked_neg().map(Arg::Int).ok_or_else(|| not_constant(expr)),
            Arg::Dim(n) => Ok(Arg::Int(-(n as i64))),
            Arg::Float(x) => Ok(Arg::Float(-x)),
            _ => Err(not_constant(operand)),
        },
        ExprKind::Binary { op, left, right, .. } => {
            let (a, b) = (evaluate(left, scope)?, evaluate(right, scope)?);
            arithmetic(*op, &a, &b).ok_or_else(|| not_constant(expr))
        }
        ExprKind::Index { base, index } => entry(expr, base, index, scope),
        ExprKind::Call { .. } => leaky(expr, scope),
        _ => Err(not_constant(expr)),
    }
}

fn number(n: &ast::Number) -> Arg {
    match (n.int, &n.unit) {
        (Some(int), None) => Arg::Int(int),
        _ => Arg::Float(n.scaled()),
    }
}

fn word(name: &str, span: Span, scope: &Scope) -> Result<Arg, Diagnostic> {
    if let Some(value) = scope.values.get(name) {
        return Ok(value.clone());
    }
    match name {
        "none" => return Ok(Arg::None),
        "true" => return Ok(Arg::Bool(true)),
        "false" => return Ok(Arg::Bool(false)),
        _ => {}
    }
    if let Some(activation) = Activation::parse(name) {
        return Ok(Arg::Activation(activation));
    }
    let known = scope.values.keys().map(String::as_str).chain(Activation::NAMES);
    Err(Diagnostic::new(codes::LAYER_UNKNOWN_NAME, format!("there is no `{name}` here"))
        .at(span, "not known")
        .help_opt(did_you_mean_help(name, known)))
}

fn list(items: &[Expr], scope: &Scope) -> Result<Arg, Diagnostic> {
    let mut dims = Vec::new();
    for item in items {
        match evaluate(item, scope)? {
            Arg::Dim(n) => dims.push(n),
            Arg::Int(n) if n > 0 => dims.push(n as usize),
            _ => return Err(not_constant(item).help("a list of widths holds whole numbers from 1")),
        }
    }
    Ok(Arg::Dims(dims))
}

fn arithmetic(op: BinaryOp, a: &Arg, b: &Arg) -> Option<Arg> {
    if let (Some(x), Some(y)) = (whole(a), whole(b)) {
        let result = match op {
            BinaryOp::Add => x.checked_add(y),
            BinaryOp::Sub => x.checked_sub(y),
            BinaryOp::Mul => x.checked_mul(y),
            BinaryOp::Div if y != 0 && x % y == 0 => Some(x / y),
            _ => None,
        };
        if let Some(n) = result {
            return Some(Arg::Int(n));
        }
    }
    let (x, y) = (real(a)?, real(b)?);
    let result = match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Pow => x.powf(y),
        _ => return None,
    };
    result.is_finite().then_some(Arg::Float(result))
}

fn whole(value: &Arg) -> Option<i64> {
    match value {
        Arg::Int(n) => Some(*n),
        Arg::Dim(n) => i64::try_from(*n).ok(),
        _ => None,
    }
}

fn real(value: &Arg) -> Option<f64> {
    match value {
        Arg::Float(x) => Some(*x),
        other => whole(other).map(|n| n as f64),
    }
}

fn entry(expr: &Expr, base: &Expr, index: &ast::Index, scope: &Scope) -> Result<Arg, Diagnostic> {
    let position = match &index.kind {
        IndexKind::Values(values) => match values.as_slice() {
            [one] => evaluate(one, scope)?,
            _ => return Err(not_constant(expr)),
        },
        IndexKind::Name(name) => word(&name.text, name.span, scope)?,
        IndexKind::Edge { .. } => return Err(not_constant(expr)),
    };
    let (Arg::Dims(dims), Some(i)) = (evaluate(base, scope)?, whole(&position)) else {
        return Err(not_constant(expr));
    };
    let width = usize::try_from(i).ok().and_then(|i| dims.get(i));
    width.map(|n| Arg::Dim(*n)).ok_or_else(|| {
        Diagnostic::new(
            codes::LAYER_ARGUMENT_TYPE,
            format!("there is no entry {i} in a list of {}", dims.len()),
        )
        .at(expr.span, "outside the list")
        .help("the first entry has the number 0")
    })
}

/// `leaky_relu(0.2)` as an activation.
fn leaky(expr: &Expr, scope: &Scope) -> Result<Arg, Diagnostic> {
    let Some(("leaky_relu", [slope])) = expr.as_call() else { return Err(not_constant(expr)) };
    let slope = evaluate(&slope.value, scope)?;
    let slope = real(&slope).ok_or_else(|| not_constant(expr))?;
    Ok(Arg::Activation(Activation::LeakyRelu(slope as f32)))
}

fn not_constant(expr: &Expr) -> Diagnostic {
    let code: Code = codes::LAYER_ARGUMENT_TYPE;
    Diagnostic::new(code, "this is not a constant").at(expr.span, "no value of its own").help(
        "an argument is a number, a word such as `relu` or `none`, a `param`, a list of widths, or arithmetic on those",
    )
}
