//! Feature expressions: which columns they read, and how a fitted one is applied. How they are fitted is in
//! [`super::fit`].

use gsl_plan::graph::{Arith, ColumnKind, Feature, FeatureExpr, Transform};
use gsl_tables::{Column, Values, Want};
use serde::{Deserialize, Serialize};

use super::error::{BuildError, Fault, Result};
use super::frame::Frame;
use super::storage::{self, Overflow};
use super::transform::FittedTransform;
use super::value::{Located, Value, arithmetic, concat, finish, load};
use crate::text::Models;

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
    /// Texts that a language model has read the beginning of.
    pub cut: u64,
}

/// What is counted of the inputs of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Cells without a value, before anything fills them.
    pub missing: u64,
    /// See [`Rows::cut`].
    pub cut: u64,
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.cut += other.cut;
    }
}

pub fn want_of(kind: ColumnKind) -> Want {
    match kind {
        ColumnKind::Number => Want::Float,
        ColumnKind::Bool => Want::Bool,
        ColumnKind::Text => Want::Text,
        ColumnKind::Vector { .. } => Want::FloatList,
        ColumnKind::Date => Want::Date,
        ColumnKind::Time => Want::Time,
        ColumnKind::Texts => Want::TextList,
    }
}

/// As what a transform reads the column that it stands on.
pub fn read_as(transform: &Transform, kind: ColumnKind) -> ColumnKind {
    match transform {
        Transform::MultiHot { .. } if kind == ColumnKind::Texts => kind,
        Transform::MultiHot { .. } | Transform::Text(_) => ColumnKind::Text,
        _ => kind,
    }
}

/// The columns that an expression reads, as it wants them.
pub fn columns_of(expr: &FeatureExpr, into: &mut Vec<(String, Want)>) {
    match expr {
        FeatureExpr::Column { column, kind } => add(into, column, want_of(*kind)),
        // By then a column of its own: see `lowered`.
        FeatureExpr::Const(_) | FeatureExpr::Structure(_) => {}
        FeatureExpr::Arith { left, right, .. } => {
            columns_of(left, into);
            columns_of(right, into);
        }
        FeatureExpr::Apply { transform, input } => match input.as_ref() {
            FeatureExpr::Column { column, kind } => add(into, column, want_of(read_as(transform, *kind))),
            input => columns_of(input, into),
        },
        FeatureExpr::Concat(parts) => parts.iter().for_each(|part| columns_of(part, into)),
    }
}

pub fn add(into: &mut Vec<(String, Want)>, column: &str, want: Want) {
    if !into.iter().any(|(name, w)| name == column && *w == want) {
        into.push((column.to_string(), want));
    }
}

impl FittedExpr {
    pub(crate) fn through(self, transform: FittedTransform) -> Self {
        FittedExpr::Apply { transform, input: Box::new(self) }
    }

    /// The columns that it reads.
    pub fn columns(&self, into: &mut Vec<(String, Want)>) {
        match self {
            FittedExpr::Column { column, kind } => add(into, column, want_of(*kind)),
            FittedExpr::Const(_) => {}
            FittedExpr::Arith { left, right, .. } => {
                left.columns(into);
                right.columns(into);
            }
            FittedExpr::Apply { input, .. } => input.columns(into),
            FittedExpr::Concat(parts) => parts.iter().for_each(|part| part.columns(into)),
        }
    }

    /// Calls `each` for its transforms, from the columns upwards.
    fn transforms<'a>(&'a self, each: &mut dyn FnMut(&'a FittedTransform)) {
        match self {
            FittedExpr::Column { .. } | FittedExpr::Const(_) => {}
            FittedExpr::Arith { left, right, .. } => {
                left.transforms(each);
                right.transforms(each);
            }
            FittedExpr::Apply { transform, input } => {
                input.transforms(each);
                each(transform);
            }
            FittedExpr::Concat(parts) => parts.iter().for_each(|part| part.transforms(each)),
        }
    }

    /// Notes which language models it reads.
    pub(crate) fn sign(&mut self, models: &Models) -> Result<(), Fault> {
        match self {
            FittedExpr::Column { .. } | FittedExpr::Const(_) => Ok(()),
            FittedExpr::Arith { left, right, .. } => left.sign(models).and_then(|()| right.sign(models)),
            FittedExpr::Apply { transform: FittedTransform::Text(text), .. } => text.sign(models),
            FittedExpr::Apply { input, .. } => input.sign(models),
            FittedExpr::Concat(parts) => parts.iter_mut().try_for_each(|part| part.sign(models)),
        }
    }

    /// Numbers a row.
    pub fn width(&self) -> Result<usize, Fault> {
        Ok(match self {
            FittedExpr::Column { kind: ColumnKind::Vector { width }, .. } => width.unwrap_or(0),
            FittedExpr::Column { .. } | FittedExpr::Const(_) => 1,
            FittedExpr::Arith { left, right, .. } => match (left.width()?, right.width()?) {
                (left, right) if left == right || left == 1 || right == 1 => left.max(right),
                (left, right) => return Err(Fault::UnequalParts { left, right }),
            },
            FittedExpr::Apply { transform, input } => transform.width(input.width()?),
            FittedExpr::Concat(parts) => parts.iter().map(FittedExpr::width).sum::<Result<_, _>>()?,
        })
    }
}

/// Computes a fitted feature for the rows of any frame that has its columns.
pub fn apply(owner: &str, feature: &FittedFeature, frame: &Frame) -> Result<Rows> {
    let mut cut = 0;
    let done = match direct(&feature.expr, frame) {
        Some(done) => done,
        None => evaluate(&feature.expr, frame, &mut cut).and_then(|value| finish(value, frame.len)),
    };
    let (width, data) = done.map_err(|found| {
        let mut columns = Vec::new();
        feature.expr.columns(&mut columns);
        explained(owner, &feature.name, columns, found, Some(frame))
    })?;
    Ok(Rows { width, data, cut })
}

/// As [`apply`], for a feature as it was declared: refuses rows of another width than the stated one, and numbers that the storage
/// cannot hold.
pub fn apply_declared(
    owner: &str,
    declared: &Feature,
    fitted: &FittedFeature,
    frame: &Frame,
) -> Result<Rows> {
    let rows = apply(owner, fitted, frame)?;
    let found: Located = match declared.width.filter(|&stated| stated != rows.width) {
        Some(stated) => Fault::StatedWidth { found: rows.width, stated }.into(),
        None => match storage::check(declared.storage, &rows.data) {
            Ok(()) => return Ok(rows),
            Err(overflow) => Located::at(overflow.element / rows.width, overflow.into()),
        },
    };
    Err(explain(owner, declared, found, Some(frame)))
}

/// A column of lists that are all there and of one width is the feature as it stands.
fn direct(expr: &FittedExpr, frame: &Frame) -> Option<Result<(usize, Vec<f32>), Located>> {
    let FittedExpr::Apply { transform: FittedTransform::Vector { width, .. }, input } = expr else {
        return None;
    };
    let FittedExpr::Column { column, kind } = input.as_ref() else { return None };
    let column = frame.column(column, want_of(*kind)).ok()?;
    match &column.values {
        Values::FloatList(gsl_tables::FloatList::Fixed { width: found, values, .. })
            if found == width && column.n_missing() == 0 && values.iter().all(|x| x.is_finite()) =>
        {
            Some(Ok((*width, values.clone())))
        }
        _ => None,
    }
}

/// What is allowed and yet worth knowing of a fitted feature of `owner`, in whole sentences.
pub fn warnings(owner: &str, feature: &FittedFeature) -> Vec<String> {
    let mut constant = Vec::new();
    feature.expr.transforms(&mut |transform| {
        if transform.constant() && !constant.contains(&transform.name()) {
            constant.push(transform.name());
        }
    });
    let warning = |transform: &&str| {
        format!(
            "feature `{}` of `{owner}`: `{transform}` saw one value only in the training rows, and gives 0 for it",
            feature.name
        )
    };
    constant.iter().map(warning).collect()
}

/// The error of a declared feature.
pub(crate) fn explain(owner: &str, feature: &Feature, found: Located, frame: Option<&Frame>) -> BuildError {
    let mut columns = Vec::new();
    columns_of(&feature.expr, &mut columns);
    explained(owner, &feature.name, columns, found, frame)
}

fn explained(
    owner: &str,
    feature: &str,
    columns: Vec<(String, Want)>,
    found: Located,
    frame: Option<&Frame>,
) -> BuildError {
    let column = columns.first().map(|(name, _)| name.as_str());
    let place = found.element.and_then(|element| frame?.place(column, element));
    BuildError::Feature { owner: owner.to_string(), feature: feature.to_string(), fault: found.fault, place }
}

/// The value of an expression; `cut` grows by the texts that a language model has read the beginning of.
pub(crate) fn evaluate(expr: &FittedExpr, frame: &Frame, cut: &mut u64) -> Result<Value, Located> {
    match expr {
        FittedExpr::Column { column, kind } => load(frame.column(column, want_of(*kind))?),
        FittedExpr::Const(x) => Ok(Value::Scalar(*x)),
        FittedExpr::Arith { op, left, right } => {
            let left = evaluate(left, frame, cut)?;
            arithmetic(*op, left, evaluate(right, frame, cut)?)
        }
        FittedExpr::Apply { transform: FittedTransform::Text(text), input } => {
            let (numbers, found) = text.apply(&evaluate(input, frame, cut)?, &frame.models)?;
            *cut += found;
            Ok(Value::Numbers(numbers))
        }
        FittedExpr::Apply { transform, input } => transform.apply(evaluate(input, frame, cut)?, frame.len),
        FittedExpr::Concat(parts) => {
            let values = parts.iter().map(|part| evaluate(part, frame, cut)).collect::<Result<_, _>>()?;
            concat(values, frame.len)
        }
    }
}

/// How many cells of the feature's columns have no value, before anything fills them.
pub fn missing_inputs(feature: &Feature, frame: &Frame) -> u64 {
    let mut missing = 0;
    each_missing_input(feature, frame, &mut |_| missing += 1);
    missing
}

/// The row of each of these cells.
pub fn each_missing_input(feature: &Feature, frame: &Frame, each: &mut dyn FnMut(usize)) {
    let mut columns = Vec::new();
    columns_of(&feature.expr, &mut columns);
    let found = columns.iter().filter_map(|(name, want)| frame.column(name, *want).ok());
    found.for_each(|column| gaps(column).for_each(&mut *each));
}

/// Rows without a value; a NaN is none.
fn gaps(column: &Column) -> impl Iterator<Item = usize> {
    let nan = |row: &usize| match &column.values {
        Values::Float(v) => v[*row].is_nan(),
        Values::FloatList(list) => list.row(*row).iter().any(|x| x.is_nan()),
        Values::Text(text) => text.codes[*row] == gsl_tables::MISSING,
        _ => false,
    };
    (0..column.len()).filter(move |row| !column.is_valid(*row) || nan(row))
}

impl From<Overflow> for Fault {
    fn from(Overflow { found, storage, .. }: Overflow) -> Self {
        Fault::BeyondStorage { found, storage }
    }
}

impl From<Fault> for BuildError {
    fn from(fault: Fault) -> Self {
        BuildError::Feature { owner: String::new(), feature: String::new(), fault, place: None }
    }
}
