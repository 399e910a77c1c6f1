//! Feature expressions: columns through transforms, with a check of kinds at every step.

use gsl_plan::graph::{self, Arith, ColumnKind, FeatureExpr, Storage, Transform};

use super::structure::Around;
use super::table::{Table, both, is_a};
use super::text;
use super::transform::TRANSFORMS;
use crate::diag::{Diagnostic, codes};
use crate::sema::cx::{Cx, nearest_or_all};
use crate::sema::prelude::Prelude;
use crate::sema::value::{Env, Ty, eval};
use crate::syntax::ast::*;
use crate::world;

/// What each row of an expression is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Int,
    Float,
    Bool,
    Text,
    /// A list of texts as stored.
    Texts,
    Date,
    Time,
    /// A list of floats as stored.
    Vector(Option<usize>),
    /// Several numbers that a transform made.
    Wide(Option<usize>),
    /// A mistake that has been reported.
    Unknown,
}

/// The types that a feature can be stated to have.
const FEATURE_TYPES: [&str; 6] = ["float", "int", "bool", "float16", "bfloat16", "int8"];

/// What to do with a date that stands where a number is wanted.
pub const NAME_A_PART: &str =
    "name a part of it: `days(date) |> standardize`, `year(date)`, `month(date) |> cyclic(12)`";

/// A list of floats as it is.
const VECTOR: Transform = Transform::Vector { separator: None, take: None };

pub struct FeatureCx<'a, 'w> {
    pub cx: &'a mut Cx<'w>,
    pub env: &'a Env,
    pub prelude: &'a Prelude,
    pub table: &'a Table,
    pub around: Around<'a>,
}

/// An expression, what its rows are, and where it reads which column.
pub struct Resolved {
    pub expr: FeatureExpr,
    pub kind: Kind,
}

impl Kind {
    pub fn describe(&self) -> &'static str {
        match self {
            Kind::Int => "an integer",
            Kind::Float => "a number",
            Kind::Bool => "a bool",
            Kind::Text => "text",
            Kind::Texts => "a list of texts",
            Kind::Date => "a date",
            Kind::Time => "a time",
            Kind::Vector(_) => "a list of floats",
            Kind::Wide(_) => "several numbers",
            Kind::Unknown => "unknown",
        }
    }

    pub fn is_number(&self) -> bool {
        matches!(self, Kind::Int | Kind::Float | Kind::Bool | Kind::Unknown)
    }
}

impl FeatureCx<'_, '_> {
    /// A feature: rows of numbers.
    pub fn feature(&mut self, feature: &Feature) -> Option<graph::Feature> {
        let name = &feature.name;
        let resolved = match &feature.value {
            Some(value) => self.expr(value)?,
            None => self.column(&name.text, name.span)?,
        };
        let span = feature.value.as_ref().map_or(name.span, |v| v.span);
        let expr = match &resolved.kind {
            Kind::Text => {
                let shown = feature.value.as_ref().and_then(Expr::as_name).unwrap_or(&name.text);
                let help = format!("`one_hot({shown})` makes one column of each value");
                let message = format!("the feature `{}` is text, and a feature is numbers", name.text);
                let diagnostic = Diagnostic::new(codes::SCHEMA_WRONG_KIND, message)
                    .at(span, "text")
                    .help_opt(both(self.why_text(&resolved.expr), Some(help)));
                self.cx.report(diagnostic);
                return None;
            }
            Kind::Texts => {
                let shown = feature.value.as_ref().and_then(Expr::as_name).unwrap_or(&name.text);
                let help = format!("`multi_hot({shown})` makes one column of each text in the lists");
                let message =
                    format!("the feature `{}` is lists of texts, and a feature is numbers", name.text);
                self.cx.error_help(codes::SCHEMA_WRONG_KIND, message, span, "a list of texts", help);
                return None;
            }
            Kind::Date | Kind::Time => {
                let message = format!(
                    "the feature `{}` is {}, and a feature is numbers",
                    name.text,
                    resolved.kind.describe()
                );
                let label = resolved.kind.describe();
                self.cx.error_help(codes::SCHEMA_WRONG_KIND, message, span, label, NAME_A_PART);
                return None;
            }
            Kind::Vector(_) => apply(VECTOR, resolved.expr),
            _ => resolved.expr,
        };
        let (storage, width) = self.stated(feature.ty.as_ref(), &resolved.kind, span);
        Some(graph::Feature { name: name.text.clone(), expr, storage, width })
    }

    /// `feature x : float16[64] = …`: how the numbers are stored, and how many there are in a row.
    fn stated(&mut self, ty: Option<&TypeExpr>, kind: &Kind, span: Span) -> (Storage, Option<usize>) {
        let Some(ty) = ty else { return Default::default() };
        let name = ty.name.text.as_str();
        let storage = match name {
            "int" | "bool" => Storage::Float32,
            _ => match Storage::ALL.into_iter().find(|storage| storage.name() == name) {
                Some(storage) => storage,
                None => {
                    self.cx.unknown(codes::NAMES_TYPE, "feature type", name, ty.name.span, FEATURE_TYPES);
                    return Default::default();
                }
            },
        };
        if fits(name, ty.shape.is_some(), kind) || !self.table.is_complete() {
            return (storage, ty.shape.as_ref().and_then(|shape| self.width(ty, shape, kind)));
        }
        let message = format!("the expression gives {}, not `{name}`", kind.describe());
        let diagnostic = Diagnostic::new(codes::SCHEMA_WRONG_KIND, message)
            .at(span, kind.describe())
            .at(ty.span, "stated here");
        self.cx.report(diagnostic);
        Default::default()
    }

    /// The stated width, which is that of the expression where this is known before the graph is built.
    fn width(&mut self, ty: &TypeExpr, shape: &[Expr], kind: &Kind) -> Option<usize> {
        let [width] = shape else {
            let message = "a feature has one width";
            self.cx.error_help(codes::SCHEMA_WRONG_KIND, message, ty.span, "", "write `float[64]`");
            return None;
        };
        let stated = eval(self.cx, self.env, width, &Ty::Dim, false)?.int()? as usize;
        if let (Kind::Wide(Some(found)) | Kind::Vector(Some(found)), true) = (kind, self.table.is_complete())
            && *found != stated
        {
            let message = format!("rows of the expression have {found} numbers, not {stated}");
            self.cx.error(codes::SCHEMA_WRONG_KIND, message, ty.span, "stated here");
        }
        Some(stated)
    }

    pub fn expr(&mut self, expr: &Expr) -> Option<Resolved> {
        match &expr.kind {
            ExprKind::Name(name) if self.is_constant(name) => self.constant(name, expr.span),
            ExprKind::Name(name) => self.column(name, expr.span),
            ExprKind::Number(number) => {
                Some(Resolved { expr: FeatureExpr::Const(number.scaled()), kind: Kind::Float })
            }
            ExprKind::Unary { op: UnaryOp::Neg, operand } => {
                let x = self.expr(operand)?;
                self.number(&x, operand.span, "-")?;
                let zero = Box::new(FeatureExpr::Const(0.0));
                let expr = FeatureExpr::Arith { op: Arith::Sub, left: zero, right: Box::new(x.expr) };
                Some(Resolved { expr, kind: Kind::Float })
            }
            ExprKind::Binary { op, left, right, op_span } => self.binary(*op, left, right, *op_span),
            ExprKind::Pipe { value, stage } => self.pipe(value, stage),
            ExprKind::Call { callee, args } => self.call(expr, callee, args),
            ExprKind::Bad => None,
            _ => {
                let help = "a feature is columns, numbers, `+ - * /`, `concat(…)` and transforms such as \
                            `log1p(x) |> standardize`";
                self.cx.error_help(
                    codes::SCHEMA_FEATURE,
                    "this is no feature expression",
                    expr.span,
                    "",
                    help,
                );
                None
            }
        }
    }

    /// A column wins over a `param` of the same name.
    fn is_constant(&self, name: &str) -> bool {
        self.env.contains_key(name) && !self.table.headers.iter().any(|h| h.column(name).is_some())
    }

    fn constant(&mut self, name: &str, span: Span) -> Option<Resolved> {
        let value = self.env.get(name).cloned().flatten()?;
        match value.number() {
            Some(x) => Some(Resolved { expr: FeatureExpr::Const(x), kind: Kind::Float }),
            None => {
                let message = format!("the param `{name}` is no number");
                self.cx.error(codes::SCHEMA_WRONG_KIND, message, span, "not a number");
                None
            }
        }
    }

    fn column(&mut self, name: &str, span: Span) -> Option<Resolved> {
        let Some(column) = self.table.column(self.cx, name, span) else {
            let expr = FeatureExpr::Column { column: name.to_owned(), kind: ColumnKind::Number };
            return (!self.table.is_complete()).then_some(Resolved { expr, kind: Kind::Unknown });
        };
        let column = self.merged(column, span)?;
        let (stored, kind) = match column.kind {
            world::ColumnKind::Int => (ColumnKind::Number, Kind::Int),
            world::ColumnKind::Float => (ColumnKind::Number, Kind::Float),
            world::ColumnKind::Bool => (ColumnKind::Bool, Kind::Bool),
            world::ColumnKind::Text => (ColumnKind::Text, Kind::Text),
            world::ColumnKind::Vector { width } => (ColumnKind::Vector { width }, Kind::Vector(width)),
            world::ColumnKind::Date => (ColumnKind::Date, Kind::Date),
            world::ColumnKind::Time => (ColumnKind::Time, Kind::Time),
            world::ColumnKind::TextList => (ColumnKind::Texts, Kind::Texts),
            world::ColumnKind::Other => {
                let message = format!("{}, which no feature can read", is_a(&column));
                self.cx.error(codes::SCHEMA_WRONG_KIND, message, span, "cannot be read");
                return None;
            }
        };
        Some(Resolved { expr: FeatureExpr::Column { column: name.to_owned(), kind: stored }, kind })
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, op_span: Span) -> Option<Resolved> {
        let arith = match op {
            BinaryOp::Add => Arith::Add,
            BinaryOp::Sub => Arith::Sub,
            BinaryOp::Mul => Arith::Mul,
            BinaryOp::Div => Arith::Div,
            _ => {
                let message = format!("`{}` is not arithmetic of columns", op.symbol());
                let help = "columns know `+`, `-`, `*` and `/`";
                self.cx.error_help(codes::SCHEMA_FEATURE, message, op_span, "not here", help);
                return None;
            }
        };
        let (l, r) = (self.expr(left), self.expr(right));
        let (l, r) = (l?, r?);
        let good = self.number(&l, left.span, op.symbol()).is_some();
        self.number(&r, right.span, op.symbol())?;
        let expr = FeatureExpr::Arith { op: arith, left: Box::new(l.expr), right: Box::new(r.expr) };
        good.then_some(Resolved { expr, kind: Kind::Float })
    }

    /// Why a column is text that should be something else.
    pub fn why_text(&self, expr: &FeatureExpr) -> Option<String> {
        let FeatureExpr::Column { column, kind: ColumnKind::Text } = expr else { return None };
        self.table.why_text(column)
    }

    fn number(&mut self, operand: &Resolved, span: Span, op: &str) -> Option<()> {
        let kind = &operand.kind;
        if kind.is_number() {
            return Some(());
        }
        let message = format!("`{op}` needs numbers, and this is {}", kind.describe());
        let part = matches!(kind, Kind::Date | Kind::Time).then(|| NAME_A_PART.to_owned());
        let help = self.why_text(&operand.expr).or(part);
        let diagnostic =
            Diagnostic::new(codes::SCHEMA_WRONG_KIND, message).at(span, kind.describe()).help_opt(help);
        self.cx.report(diagnostic);
        None
    }

    fn pipe(&mut self, value: &Expr, stage: &Expr) -> Option<Resolved> {
        let input = self.expr(value);
        let Some((name, args)) = stage.as_call() else { return self.no_call(stage) };
        if name == "concat" {
            let help = "write `concat(a, b)` in front";
            self.cx.error_help(codes::SCHEMA_FEATURE, "`concat` takes nothing by `|>`", stage.span, "", help);
            return None;
        }
        self.apply(name, callee_span(stage), args, stage.span, input?, value.span)
    }

    fn call(&mut self, expr: &Expr, callee: &Expr, args: &[Arg]) -> Option<Resolved> {
        if let Some((name @ text::AS_LAYER, model)) = callee.as_call()
            && let [input] = args
        {
            let value = self.expr(&input.value);
            return self.apply(name, callee.span, model, expr.span, value?, input.value.span);
        }
        let Some(name) = callee.as_name() else { return self.no_call(expr) };
        if name == "concat" && args.is_empty() {
            let message = "`concat` needs something to put side by side";
            self.cx.error(codes::ARGS_MISSING, message, expr.span, "of nothing");
            return None;
        }
        if name == "concat" {
            return self.concat(args);
        }
        if let Some(found) = self.structure(name, args, expr.span) {
            return found;
        }
        let Some((first, rest)) = args.split_first().filter(|(first, _)| first.name.is_none()) else {
            if !self.known(name, callee.span) {
                return None;
            }
            let message = format!("`{name}` needs a column");
            let help = format!("`{name}(column)`, or `column |> {name}`");
            self.cx.error_help(codes::ARGS_MISSING, message, expr.span, "of what?", help);
            return None;
        };
        let input = self.expr(&first.value);
        if !self.known(name, callee.span) {
            return None;
        }
        self.apply(name, callee.span, rest, expr.span, input?, first.value.span)
    }

    fn no_call(&mut self, stage: &Expr) -> Option<Resolved> {
        if !stage.is_bad() {
            let help = "write a transform: `x |> standardize`";
            self.cx.error_help(codes::SCHEMA_FEATURE, "this is no transform", stage.span, "", help);
        }
        None
    }

    fn concat(&mut self, args: &[Arg]) -> Option<Resolved> {
        let parts: Vec<Option<Resolved>> = args.iter().map(|a| self.expr(&a.value)).collect();
        let mut exprs = Vec::new();
        let mut good = true;
        for (part, arg) in parts.into_iter().zip(args) {
            let Some(part) = part else {
                good = false;
                continue;
            };
            match part.kind {
                Kind::Text | Kind::Date | Kind::Time => {
                    good &= self.number(&part, arg.value.span, "concat").is_some()
                }
                Kind::Vector(_) => exprs.push(apply(VECTOR, part.expr)),
                _ => exprs.push(part.expr),
            }
        }
        good.then_some(Resolved { expr: FeatureExpr::Concat(exprs), kind: Kind::Wide(None) })
    }

    fn known(&mut self, name: &str, span: Span) -> bool {
        if TRANSFORMS.contains(&name) || name == text::AS_LAYER {
            return true;
        }
        let diagnostic = Diagnostic::new(codes::NAMES_TRANSFORM, format!("there is no transform `{name}`"))
            .at(span, "not a transform")
            .help_opt(nearest_or_all(name, TRANSFORMS));
        self.cx.report(diagnostic);
        false
    }

    fn apply(
        &mut self,
        name: &str,
        name_span: Span,
        args: &[Arg],
        call: Span,
        input: Resolved,
        input_span: Span,
    ) -> Option<Resolved> {
        if !self.known(name, name_span) {
            return None;
        }
        let name = if name == text::AS_LAYER { "embed" } else { name };
        let signature = self.prelude.signature(name)?.clone();
        let args = signature.bind(self.cx, self.env, args, call, &[])?;
        self.fits(name, &input, &args, input_span)?;
        let (transform, kind) = self.transform(name, &args, &input.kind, call)?;
        Some(Resolved { expr: apply(transform, input.expr), kind })
    }
}

impl Cx<'_> {
    pub fn not_yet_text(&mut self, span: Span) {
        let help = "read its vectors as a feature: `feature text = embed(abstract, \"models/minilm\")`";
        let message = "training a language model does not run yet";
        self.error_help(codes::NOT_YET_TEXT, message, span, "a language model", help);
    }
}

/// Whether a row of this kind is of the stated type. One number is stated without a width; a narrow type without one takes any row.
fn fits(name: &str, wide: bool, kind: &Kind) -> bool {
    let several = matches!(kind, Kind::Wide(_) | Kind::Vector(_) | Kind::Unknown);
    match (name, wide) {
        ("int", false) => matches!(kind, Kind::Int | Kind::Unknown),
        ("bool", false) => matches!(kind, Kind::Bool | Kind::Unknown),
        ("int" | "bool", true) => false,
        (_, true) => several,
        ("float", false) => kind.is_number(),
        (_, false) => several || kind.is_number(),
    }
}

fn callee_span(stage: &Expr) -> Span {
    match &stage.kind {
        ExprKind::Call { callee, .. } => callee.span,
        _ => stage.span,
    }
}

pub fn apply(transform: Transform, input: FeatureExpr) -> FeatureExpr {
    FeatureExpr::Apply { transform, input: Box::new(input) }
}

/// Columns that an expression reads.
pub fn columns(expr: &FeatureExpr, found: &mut Vec<String>) {
    walk(expr, &mut |e| {
        if let FeatureExpr::Column { column, .. } = e {
            found.push(column.clone());
        }
    });
}

/// Visits an expression and all that it is made of.
pub fn walk(expr: &FeatureExpr, visit: &mut dyn FnMut(&FeatureExpr)) {
    visit(expr);
    match expr {
        FeatureExpr::Column { .. } | FeatureExpr::Const(_) | FeatureExpr::Structure(_) => {}
        FeatureExpr::Arith { left, right, .. } => {
            walk(left, visit);
            walk(right, visit);
        }
        FeatureExpr::Apply { input, .. } => walk(input, visit),
        FeatureExpr::Concat(parts) => parts.iter().for_each(|p| walk(p, visit)),
    }
}
