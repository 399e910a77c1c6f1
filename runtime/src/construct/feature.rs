//! Feature expressions: which columns they read, how they are fitted, and how a fitted one is applied.

use gsl_plan::graph::{Arith, ColumnKind, Feature, FeatureExpr, Transform};
use gsl_tables::Want;
use serde::{Deserialize, Serialize};

use super::error::{BuildError, Fault, Result};
use super::frame::Frame;
use super::transform::FittedTransform;
use super::value::{Located, Value, arithmetic, concat, finish, load};

/// A feature with what its transforms have learned: stored with the graph, applied to new tables as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedFeature {
    pub name: String,
    pub width: usize,
    pub expr: FittedExpr,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FittedExpr {
    Column { column: String, kind: ColumnKind },
    Const(f64),
    Arith { op: Arith, left: Box<FittedExpr>, right: Box<FittedExpr> },
    Apply { transform: FittedTransform, input: Box<FittedExpr> },
    Concat(Vec<FittedExpr>),
}

/// rows × width of f32.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    pub width: usize,
    pub data: Vec<f32>,
}

pub fn want_of(kind: ColumnKind) -> Want {
    match kind {
        ColumnKind::Number => Want::Float,
        ColumnKind::Bool => Want::Bool,
        ColumnKind::Text => Want::Text,
        ColumnKind::Vector { .. } => Want::FloatList,
    }
}

/// The columns that an expression reads, as it wants them.
pub fn columns_of(expr: &FeatureExpr, into: &mut Vec<(String, Want)>) {
    match expr {
        FeatureExpr::Column { column, kind } => add(into, column, want_of(*kind)),
        FeatureExpr::Const(_) => {}
        FeatureExpr::Arith { left, right, .. } => {
            columns_of(left, into);
            columns_of(right, into);
        }
        FeatureExpr::Apply { transform, input } => match (transform, input.as_ref()) {
            (Transform::MultiHot { .. }, FeatureExpr::Column { column, .. }) => add(into, column, Want::Text),
            _ => columns_of(input, into),
        },
        FeatureExpr::Concat(parts) => parts.iter().for_each(|part| columns_of(part, into)),
    }
}

pub fn add(into: &mut Vec<(String, Want)>, column: &str, want: Want) {
    if !into.iter().any(|(name, w)| name == column && *w == want) {
        into.push((column.to_string(), want));
    }
}

/// Fits a feature on the rows that `fitted` names (all, if none) and computes it for all rows.
pub fn fit(
    owner: &str,
    feature: &Feature,
    frame: &Frame,
    fitted: Option<&[bool]>,
) -> Result<(FittedFeature, Rows)> {
    let done = fit_expr(&feature.expr, frame, fitted)
        .and_then(|(expr, value)| Ok((expr, finish(value, frame.len)?)))
        .map_err(|located| explain(owner, &feature.name, columns_in(&feature.expr), located, frame))?;
    let (expr, (width, data)) = done;
    Ok((FittedFeature { name: feature.name.clone(), width, expr }, Rows { width, data }))
}

/// Computes a fitted feature for the rows of any frame that has its columns.
pub fn apply(owner: &str, feature: &FittedFeature, frame: &Frame) -> Result<Rows> {
    let done = evaluate(&feature.expr, frame).and_then(|value| finish(value, frame.len));
    let (width, data) = done.map_err(|located| explain(owner, &feature.name, None, located, frame))?;
    Ok(Rows { width, data })
}

fn columns_in(expr: &FeatureExpr) -> Option<String> {
    let mut columns = Vec::new();
    columns_of(expr, &mut columns);
    columns.into_iter().next().map(|(name, _)| name)
}

fn explain(
    owner: &str,
    feature: &str,
    column: Option<String>,
    located: Located,
    frame: &Frame,
) -> BuildError {
    let place = located.element.and_then(|element| frame.place(column.as_deref(), element));
    BuildError::Feature {
        owner: owner.to_string(),
        feature: feature.to_string(),
        fault: located.fault,
        place,
    }
}

fn fit_expr(
    expr: &FeatureExpr,
    frame: &Frame,
    fitted: Option<&[bool]>,
) -> Result<(FittedExpr, Value), Located> {
    match expr {
        FeatureExpr::Column { column, kind } => {
            let expr = FittedExpr::Column { column: column.clone(), kind: *kind };
            let value = evaluate(&expr, frame)?;
            Ok((expr, value))
        }
        FeatureExpr::Const(x) => Ok((FittedExpr::Const(*x), Value::Scalar(*x))),
        FeatureExpr::Arith { op, left, right } => {
            let (left, a) = fit_expr(left, frame, fitted)?;
            let (right, b) = fit_expr(right, frame, fitted)?;
            let expr = FittedExpr::Arith { op: *op, left: Box::new(left), right: Box::new(right) };
            Ok((expr, arithmetic(*op, a, b)?))
        }
        FeatureExpr::Apply { transform, input } => {
            let as_text = matches!(transform, Transform::MultiHot { .. });
            let (input, value) = match input.as_ref() {
                FeatureExpr::Column { column, .. } if as_text => {
                    let column = FeatureExpr::Column { column: column.clone(), kind: ColumnKind::Text };
                    fit_expr(&column, frame, fitted)?
                }
                input => fit_expr(input, frame, fitted)?,
            };
            let transform = FittedTransform::fit(transform, &value, fitted)?;
            let value = transform.apply(value, frame.len)?;
            Ok((FittedExpr::Apply { transform, input: Box::new(input) }, value))
        }
        FeatureExpr::Concat(parts) => {
            let parts: Vec<(FittedExpr, Value)> =
                parts.iter().map(|part| fit_expr(part, frame, fitted)).collect::<Result<_, _>>()?;
            let (exprs, values): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            Ok((FittedExpr::Concat(exprs), concat(values, frame.len)?))
        }
    }
}

fn evaluate(expr: &FittedExpr, frame: &Frame) -> Result<Value, Located> {
    match expr {
        FittedExpr::Column { column, kind } => load(frame.column(column, want_of(*kind))?),
        FittedExpr::Const(x) => Ok(Value::Scalar(*x)),
        FittedExpr::Arith { op, left, right } => {
            arithmetic(*op, evaluate(left, frame)?, evaluate(right, frame)?)
        }
        FittedExpr::Apply { transform, input } => transform.apply(evaluate(input, frame)?, frame.len),
        FittedExpr::Concat(parts) => {
            let values = parts.iter().map(|part| evaluate(part, frame)).collect::<Result<_, _>>()?;
            concat(values, frame.len)
        }
    }
}

/// Rows of the feature's columns that have no value, before anything fills them.
pub fn missing_inputs(feature: &Feature, frame: &Frame) -> u64 {
    let mut columns = Vec::new();
    columns_of(&feature.expr, &mut columns);
    let gaps = |(name, want): &(String, Want)| match frame.column(name, *want).map(load) {
        Ok(Ok(Value::Numbers(numbers))) => numbers.n_missing(),
        Ok(Ok(Value::Text(text))) => text.codes.iter().filter(|&&c| c == gsl_tables::MISSING).count() as u64,
        _ => 0,
    };
    columns.iter().map(gaps).sum()
}

impl From<Fault> for BuildError {
    fn from(fault: Fault) -> Self {
        BuildError::Feature { owner: String::new(), feature: String::new(), fault, place: None }
    }
}
