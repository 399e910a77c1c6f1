//! Constants: what a `param` holds and what stands in the parentheses of a call.
//!
//! Decided here: the types, what each accepts, and the arithmetic of constants. Not decided here: which arguments a
//! call takes (`call`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::cx::{Cx, a, nearest_or_all};
use crate::diag::{Diagnostic, codes, one_of};
use crate::syntax::ast::*;

/// A constant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// `relu`, as a value.
    Activation(String),
    /// A word that only some places know: `balanced`, `all`.
    Word(String),
    List(Vec<Value>),
}

/// What a parameter accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Ty {
    /// A size: an integer of at least 1.
    Dim,
    Int,
    Float,
    Bool,
    Text,
    Path,
    /// The name of a column, as a text.
    Column,
    Activation,
    Word(Vec<String>),
    IntOr(Vec<String>),
    FloatOr(Vec<String>),
    /// A number, a text or one of these words.
    ScalarOr(Vec<String>),
    /// A list of numbers or one of these words.
    FloatsOr(Vec<String>),
    /// A whole number, or a share from 0 to less than 1.
    CountOrShare,
    List(Box<Ty>),
    Any,
}

/// Functions of one number that a layer can apply to each element.
pub const ACTIVATIONS: &[&str] = &crate::layers::Activation::NAMES;

/// Types that a file can write.
pub const TYPES: &[&str] = &["dim", "int", "float", "bool", "text", "path", "activation"];

const LARGEST_DIM: i64 = 1 << 24;

/// Constants by name. `None` is a constant whose mistake has been reported.
pub type Env = BTreeMap<String, Option<Value>>;

impl Ty {
    /// As messages say it.
    pub fn describe(&self) -> String {
        match self {
            Ty::Dim => "a size (an integer of at least 1)".into(),
            Ty::Int => "an integer".into(),
            Ty::Float => "a number".into(),
            Ty::Bool => "`true` or `false`".into(),
            Ty::Text => "a text in quotes".into(),
            Ty::Path => "a path in quotes".into(),
            Ty::Column => "the name of a column".into(),
            Ty::Activation => "an activation".into(),
            Ty::Word(words) => words_of(words),
            Ty::IntOr(words) => format!("an integer or {}", words_of(words)),
            Ty::FloatOr(words) => format!("a number or {}", words_of(words)),
            Ty::ScalarOr(words) => format!("a number, a text in quotes or {}", words_of(words)),
            Ty::FloatsOr(words) => format!("a list of numbers or {}", words_of(words)),
            Ty::CountOrShare => "a whole number or a share below 100%".into(),
            Ty::List(item) => format!("a list, each {}", item.describe()),
            Ty::Any => "a value".into(),
        }
    }

    /// As a file writes it; none where it cannot be written.
    pub fn name(&self) -> Option<String> {
        Some(match self {
            Ty::Dim => "dim".to_owned(),
            Ty::Int => "int".to_owned(),
            Ty::Float => "float".to_owned(),
            Ty::Bool => "bool".to_owned(),
            Ty::Text => "text".to_owned(),
            Ty::Path => "path".to_owned(),
            Ty::Activation => "activation".to_owned(),
            Ty::List(item) => format!("{}[]", item.name()?),
            Ty::Any | Ty::CountOrShare | Ty::Column => return None,
            Ty::Word(_) | Ty::IntOr(_) | Ty::FloatOr(_) | Ty::ScalarOr(_) | Ty::FloatsOr(_) => return None,
        })
    }

    fn words(&self) -> &[String] {
        match self {
            Ty::Word(words)
            | Ty::IntOr(words)
            | Ty::FloatOr(words)
            | Ty::ScalarOr(words)
            | Ty::FloatsOr(words) => words,
            Ty::List(item) => item.words(),
            _ => &[],
        }
    }

    fn takes_activations(&self) -> bool {
        match self {
            Ty::Activation | Ty::Any => true,
            Ty::List(item) => item.takes_activations(),
            _ => false,
        }
    }

    /// The type of a parameter as written; a type that does not exist is reported.
    pub fn resolve(cx: &mut Cx, written: &TypeExpr) -> Option<Ty> {
        let words = || written.args.iter().filter_map(|a| a.value.as_name().map(str::to_owned)).collect();
        let item = match written.name.text.as_str() {
            "dim" => Ty::Dim,
            "int" => Ty::Int,
            "float" => Ty::Float,
            "bool" => Ty::Bool,
            "text" => Ty::Text,
            "path" => Ty::Path,
            "column" => Ty::Column,
            "activation" => Ty::Activation,
            "word" => Ty::Word(words()),
            "int_or" => Ty::IntOr(words()),
            "float_or" => Ty::FloatOr(words()),
            "scalar_or" => Ty::ScalarOr(words()),
            "floats_or" => Ty::FloatsOr(words()),
            "count_or_share" => Ty::CountOrShare,
            "fanout" => Ty::IntOr(vec!["all".to_owned()]),
            other => {
                cx.unknown(codes::NAMES_TYPE, "type", other, written.name.span, TYPES.iter().copied());
                return None;
            }
        };
        Some(if written.shape.is_some() { Ty::List(Box::new(item)) } else { item })
    }

    /// The type that a constant has by itself.
    pub fn of(value: &Value) -> Ty {
        match value {
            Value::None | Value::Word(_) => Ty::Any,
            Value::Bool(_) => Ty::Bool,
            Value::Int(_) => Ty::Int,
            Value::Float(_) => Ty::Float,
            Value::Text(_) => Ty::Text,
            Value::Activation(_) => Ty::Activation,
            Value::List(items) => Ty::List(Box::new(items.first().map_or(Ty::Any, Ty::of))),
        }
    }

    /// Whether a bare name is that of a column here.
    fn names_columns(&self) -> bool {
        *self == Ty::Column || matches!(self, Ty::List(item) if **item == Ty::Column)
    }

    /// The value in the form that this type has; `None` if it does not fit.
    pub fn accept(&self, value: Value) -> Option<Value> {
        match (self, value) {
            (Ty::Any, value) => Some(value),
            (Ty::Dim, Value::Int(n)) if (1..=LARGEST_DIM).contains(&n) => Some(Value::Int(n)),
            (Ty::Int | Ty::IntOr(_), Value::Int(n)) => Some(Value::Int(n)),
            (Ty::Float | Ty::FloatOr(_) | Ty::ScalarOr(_), Value::Int(n)) => Some(Value::Float(n as f64)),
            (Ty::Float | Ty::FloatOr(_) | Ty::ScalarOr(_), Value::Float(x)) => Some(Value::Float(x)),
            (Ty::CountOrShare, Value::Int(n)) if n >= 0 => Some(Value::Int(n)),
            (Ty::CountOrShare, Value::Float(x)) if (0.0..1.0).contains(&x) => Some(Value::Float(x)),
            (Ty::Bool, Value::Bool(b)) => Some(Value::Bool(b)),
            (Ty::Text | Ty::Path | Ty::Column | Ty::ScalarOr(_), Value::Text(t)) => Some(Value::Text(t)),
            (Ty::Activation, Value::Activation(name)) => Some(Value::Activation(name)),
            (
                Ty::Word(words)
                | Ty::IntOr(words)
                | Ty::FloatOr(words)
                | Ty::ScalarOr(words)
                | Ty::FloatsOr(words),
                Value::Word(w),
            ) => words.contains(&w).then_some(Value::Word(w)),
            (Ty::FloatsOr(_), items @ Value::List(_)) => Ty::List(Box::new(Ty::Float)).accept(items),
            (Ty::List(item), Value::List(items)) => {
                items.into_iter().map(|v| item.accept(v)).collect::<Option<Vec<_>>>().map(Value::List)
            }
            _ => None,
        }
    }
}

fn words_of(words: &[String]) -> String {
    one_of(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Evaluates a constant expression to a value of type `ty`. `None`: a mistake, reported.
pub fn eval(cx: &mut Cx, env: &Env, expr: &Expr, ty: &Ty, nullable: bool) -> Option<Value> {
    let value = raw(cx, env, expr, ty)?;
    if value == Value::None && nullable {
        return Some(value);
    }
    let shown = value.to_string();
    let accepted = ty.accept(value.clone());
    if accepted.is_none() {
        let message = format!("`{shown}` is not {}", ty.describe());
        let diagnostic = Diagnostic::new(codes::ARGS_TYPE, message)
            .at(expr.span, format!("expected {}", ty.describe()))
            .help_opt(hint(ty, value));
        cx.report(diagnostic);
    }
    accepted
}

fn hint(ty: &Ty, found: Value) -> Option<String> {
    match ty {
        Ty::Activation => Some(format!("the activations are {}", one_of(ACTIVATIONS))),
        Ty::List(item) => item.accept(found).map(|one| format!("write a list: `[{one}]`")),
        _ => None,
    }
}

fn raw(cx: &mut Cx, env: &Env, expr: &Expr, ty: &Ty) -> Option<Value> {
    match &expr.kind {
        ExprKind::Bad => None,
        ExprKind::Name(name) if ty.names_columns() => Some(Value::Text(name.clone())),
        ExprKind::Name(name) => named(cx, env, name, expr.span, ty),
        ExprKind::Number(number) => Some(literal(number)),
        ExprKind::Str(text) => Some(Value::Text(text.clone())),
        ExprKind::List(items) => {
            let item = match ty {
                Ty::List(item) => item,
                _ => &Ty::Any,
            };
            let values: Vec<_> = items.iter().map(|e| raw(cx, env, e, item)).collect();
            values.into_iter().collect::<Option<Vec<_>>>().map(Value::List)
        }
        ExprKind::Unary { op: UnaryOp::Neg, operand } => match raw(cx, env, operand, &Ty::Float)? {
            Value::Int(n) => Some(Value::Int(n.saturating_neg())),
            Value::Float(x) => Some(Value::Float(-x)),
            other => not_constant(cx, expr.span, &format!("`{other}` has no negative")),
        },
        ExprKind::Binary { op, left, right, .. } => {
            let (l, r) = (raw(cx, env, left, &Ty::Any), raw(cx, env, right, &Ty::Any));
            let (l, r) = (l?, r?);
            match arithmetic(*op, &l, &r) {
                Some(value) => Some(value),
                None => not_constant(cx, expr.span, &format!("`{l} {} {r}` has no value", op.symbol())),
            }
        }
        _ => not_constant(cx, expr.span, "this is not a constant"),
    }
}

fn not_constant<T>(cx: &mut Cx, span: Span, message: &str) -> Option<T> {
    let help =
        "a constant is a number, a text, `true`, `false`, `none`, a word, a `param`, or arithmetic on these";
    cx.error_help(codes::ARGS_CONSTANT, message, span, "expected a constant", help);
    None
}

fn named(cx: &mut Cx, env: &Env, name: &str, span: Span, ty: &Ty) -> Option<Value> {
    if let Some(known) = env.get(name) {
        cx.used.insert(name.to_owned());
        return known.clone();
    }
    match name {
        "none" => return Some(Value::None),
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        _ => {}
    }
    if ty.words().iter().any(|w| w == name) {
        return Some(Value::Word(name.to_owned()));
    }
    if ty.takes_activations() && ACTIVATIONS.contains(&name) {
        return Some(Value::Activation(name.to_owned()));
    }
    let mut known: Vec<&str> = ty.words().iter().map(String::as_str).collect();
    if ty.takes_activations() && *ty != Ty::Any {
        known.extend(ACTIVATIONS);
    }
    known.extend(env.keys().map(String::as_str));
    let diagnostic = Diagnostic::new(codes::NAMES_CONSTANT, format!("there is no constant `{name}`"))
        .at(span, format!("expected {}", ty.describe()))
        .help_opt(nearest_or_all(name, &known));
    cx.report(diagnostic);
    None
}

pub fn literal(number: &Number) -> Value {
    match (number.int, &number.unit) {
        (Some(n), None) => Value::Int(n),
        _ => Value::Float(number.scaled()),
    }
}

fn arithmetic(op: BinaryOp, l: &Value, r: &Value) -> Option<Value> {
    match (l, r) {
        (Value::Int(x), Value::Int(y)) => integers(op, *x, *y),
        (Value::Text(x), Value::Text(y)) if op == BinaryOp::Div => Some(Value::Text(join(x, y))),
        _ => floats(op, l.number()?, r.number()?),
    }
}

fn integers(op: BinaryOp, x: i64, y: i64) -> Option<Value> {
    let exact = match op {
        BinaryOp::Add => x.checked_add(y),
        BinaryOp::Sub => x.checked_sub(y),
        BinaryOp::Mul => x.checked_mul(y),
        BinaryOp::Div if y != 0 && x.checked_rem(y) == Some(0) => x.checked_div(y),
        BinaryOp::Pow => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
        _ => None,
    };
    exact.map(Value::Int).or_else(|| floats(op, x as f64, y as f64))
}

fn floats(op: BinaryOp, x: f64, y: f64) -> Option<Value> {
    let z = match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Pow => x.powf(y),
        _ => return None,
    };
    z.is_finite().then_some(Value::Float(z))
}

/// `data / "nodes.csv"`
fn join(folder: &str, path: &str) -> String {
    match folder.trim_end_matches('/') {
        "" if folder.is_empty() => path.to_owned(),
        folder => format!("{folder}/{}", path.trim_start_matches('/')),
    }
}

impl Value {
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }

    pub fn int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(t) | Value::Word(t) | Value::Activation(t) => Some(t),
            _ => None,
        }
    }

    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            _ => &[],
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("none"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::Float(x) => f.write_str(&number_text(*x)),
            Value::Text(t) => write!(f, "{t:?}"),
            Value::Activation(w) | Value::Word(w) => f.write_str(w),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(Value::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// The shortest text that reads as the same number.
pub fn number_text(x: f64) -> String {
    match x.abs() {
        size if size != 0.0 && !(1e-3..1e9).contains(&size) => format!("{x:e}"),
        _ => format!("{x}"),
    }
}

/// What a value is, for `param` without a type.
pub fn type_name(value: &Value) -> String {
    match Ty::of(value) {
        Ty::Int => a("int"),
        ty => ty.describe(),
    }
}
