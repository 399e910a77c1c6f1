//! What an expression gives on its way to a feature: numbers with gaps, texts, or one constant.

use gsl_plan::graph::Arith;
use gsl_tables::{Column, FloatList, TextColumn, TextList, Values};

use super::error::Fault;

#[derive(Debug, Clone)]
pub enum Value {
    Scalar(f64),
    Numbers(Numbers),
    Text(TextColumn),
    Lists(Lists),
    /// A missing list is an empty one.
    Texts(TextList),
    Instants(Instants),
}

/// Dates or times; `missing` is empty when no row is.
#[derive(Debug, Clone)]
pub struct Instants {
    pub unit: Unit,
    pub data: Vec<i64>,
    pub missing: Vec<bool>,
}

/// What is counted since 1970-01-01T00:00:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Days,
    Microseconds,
}

/// Lists of floats as the table has them; `missing` is empty when no row is.
#[derive(Debug, Clone)]
pub struct Lists {
    pub list: FloatList,
    pub missing: Vec<bool>,
}

/// rows × width, row-major; `missing` is empty when no row is.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    pub width: usize,
    pub data: Vec<f64>,
    pub missing: Vec<bool>,
}

/// A fault, and the element where it was met first.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    pub fault: Fault,
    pub element: Option<usize>,
}

impl From<Fault> for Located {
    fn from(fault: Fault) -> Self {
        Located { fault, element: None }
    }
}

impl Located {
    pub fn at(element: usize, fault: Fault) -> Self {
        Located { fault, element: Some(element) }
    }
}

impl Lists {
    pub fn is_missing(&self, row: usize) -> bool {
        self.missing.get(row).copied().unwrap_or(false)
    }
}

impl Numbers {
    pub fn new(width: usize, data: Vec<f64>) -> Self {
        Self { width, data, missing: Vec::new() }
    }

    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    pub fn is_missing(&self, row: usize) -> bool {
        self.missing.get(row).copied().unwrap_or(false)
    }

    pub fn n_missing(&self) -> u64 {
        self.missing.iter().filter(|&&missing| missing).count() as u64
    }

    /// f(row, column, x) for every present x.
    pub fn map(mut self, f: impl Fn(usize, usize, f64) -> Result<f64, Located>) -> Result<Self, Located> {
        for row in 0..self.rows() {
            if self.is_missing(row) {
                continue;
            }
            for column in 0..self.width {
                let x = &mut self.data[row * self.width + column];
                *x = f(row, column, *x)?;
            }
        }
        Ok(self)
    }
}

/// A column as numbers or texts. A NaN counts as missing; an infinite number is refused.
pub fn load(column: &Column) -> Result<Value, Located> {
    if let Values::Float(v) = &column.values
        && let Some(row) = (0..v.len()).find(|&row| v[row].is_infinite() && column.is_valid(row))
    {
        return Err(Located::at(row, Fault::NotFinite { found: v[row] }));
    }
    let gap = |row: usize| !column.is_valid(row);
    let gaps =
        || column.validity.as_ref().map_or_else(Vec::new, |valid| valid.iter().map(|valid| !valid).collect());
    let numbers = |data: Vec<f64>| {
        let any = column.validity.is_some() || data.iter().any(|x| x.is_nan());
        let missing = if any {
            (0..data.len()).map(|row| gap(row) || data[row].is_nan()).collect()
        } else {
            Vec::new()
        };
        Value::Numbers(Numbers { width: 1, data, missing })
    };
    Ok(match &column.values {
        Values::Float(v) => numbers(v.clone()),
        Values::Int(v) => numbers(v.iter().map(|&x| x as f64).collect()),
        Values::Date(v) => Value::Instants(Instants { unit: Unit::Days, data: v.clone(), missing: gaps() }),
        Values::Time(v) => {
            Value::Instants(Instants { unit: Unit::Microseconds, data: v.clone(), missing: gaps() })
        }
        Values::Bool(v) => numbers(v.iter().map(|&x| f64::from(u8::from(x))).collect()),
        Values::Text(text) => Value::Text(text.clone()),
        Values::FloatList(list) => Value::Lists(Lists { list: list.clone(), missing: gaps() }),
        Values::TextList(list) => Value::Texts(list.clone()),
    })
}

/// Row by row; a scalar, or a single column, goes with every column of the other side.
pub fn arithmetic(op: Arith, left: Value, right: Value) -> Result<Value, Located> {
    let f = |a: f64, b: f64| match op {
        Arith::Add => a + b,
        Arith::Sub => a - b,
        Arith::Mul => a * b,
        Arith::Div => a / b,
    };
    Ok(match (left, right) {
        (Value::Scalar(a), Value::Scalar(b)) => Value::Scalar(f(a, b)),
        (Value::Numbers(a), Value::Scalar(b)) => Value::Numbers(a.map(|_, _, x| Ok(f(x, b)))?),
        (Value::Scalar(a), Value::Numbers(b)) => Value::Numbers(b.map(|_, _, x| Ok(f(a, x)))?),
        (Value::Numbers(a), Value::Numbers(b)) => Value::Numbers(zip(a, b, f)?),
        _ => return Err(Fault::NumberWanted { transform: "arithmetic" }.into()),
    })
}

fn zip(a: Numbers, b: Numbers, f: impl Fn(f64, f64) -> f64) -> Result<Numbers, Located> {
    if a.width != b.width && a.width != 1 && b.width != 1 {
        return Err(Fault::UnequalParts { left: a.width, right: b.width }.into());
    }
    let width = a.width.max(b.width);
    let missing = either(&a, &b);
    let at = |numbers: &Numbers, row: usize, column: usize| {
        numbers.data[row * numbers.width + if numbers.width == 1 { 0 } else { column }]
    };
    let rows = a.rows();
    let mut data = Vec::with_capacity(rows * width);
    for row in 0..rows {
        let gap = missing.get(row).copied().unwrap_or(false);
        data.extend(
            (0..width).map(|column| if gap { 0.0 } else { f(at(&a, row, column), at(&b, row, column)) }),
        );
    }
    Ok(Numbers { width, data, missing })
}

fn either(a: &Numbers, b: &Numbers) -> Vec<bool> {
    match a.missing.is_empty() && b.missing.is_empty() {
        true => Vec::new(),
        false => (0..a.rows()).map(|row| a.is_missing(row) || b.is_missing(row)).collect(),
    }
}

/// Columns side by side; a row with a gap in one part is missing as a whole.
pub fn concat(parts: Vec<Value>, rows: usize) -> Result<Value, Located> {
    let parts: Vec<Numbers> =
        parts.into_iter().map(|part| numbers(part, rows, "concat")).collect::<Result<_, _>>()?;
    let width = parts.iter().map(|part| part.width).sum();
    let any = parts.iter().any(|part| !part.missing.is_empty());
    let missing = if any {
        (0..rows).map(|row| parts.iter().any(|part| part.is_missing(row))).collect()
    } else {
        Vec::new()
    };
    let mut data = Vec::with_capacity(rows * width);
    for row in 0..rows {
        for part in &parts {
            data.extend_from_slice(&part.data[row * part.width..(row + 1) * part.width]);
        }
    }
    Ok(Value::Numbers(Numbers { width, data, missing }))
}

/// A value as numbers of `rows` rows; a scalar is repeated.
pub fn numbers(value: Value, rows: usize, transform: &'static str) -> Result<Numbers, Located> {
    match value {
        Value::Numbers(numbers) => Ok(numbers),
        Value::Scalar(x) => Ok(Numbers::new(1, vec![x; rows])),
        Value::Text(_) | Value::Texts(_) | Value::Lists(_) | Value::Instants(_) => {
            Err(Fault::NumberWanted { transform }.into())
        }
    }
}

/// f32 rows, every one of them present and finite.
pub fn finish(value: Value, rows: usize) -> Result<(usize, Vec<f32>), Located> {
    let numbers = numbers(value, rows, "feature")?;
    if let Some(first) = numbers.missing.iter().position(|&missing| missing) {
        return Err(Located::at(first, Fault::Missing { count: numbers.n_missing() }));
    }
    let data: Vec<f32> = numbers.data.iter().map(|&x| x as f32).collect();
    match data.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(Located::at(at / numbers.width, Fault::NotFinite { found: numbers.data[at] })),
        None => Ok((numbers.width, data)),
    }
}
