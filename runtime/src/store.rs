//! Trainable tensors: values, moments, and how a step changes them.
//!
//! Decided here: the layout (all dense tensors in one vector, one matrix per embedding table), and initial values that are
//! functions of (seed, name, element). The gradient of a step is in `collect`, the step in `step`, the moving average of the
//! values in `average`. Not decided here: files, schedules of learning rates.

pub mod average;
mod collect;
mod step;

pub use average::Average;
pub use collect::{Collected, Gradient, RowGradient};

use crate::comm::CommError;
use crate::view::Matrix;
use gsl_kernels::random::Key;
use gsl_plan::plan::{Init, Param, ParamKind};
use std::fmt;

const PURPOSE: u32 = u32::from_be_bytes(*b"init");

/// What went wrong with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    Unknown { name: String },
    Length { name: String, found: usize, expected: usize },
    Counters { found: usize, expected: usize },
    Comm(CommError),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unknown { name } => write!(f, "the model has no tensor {name}"),
            StoreError::Length { name, found, expected } => {
                write!(f, "tensor {name} has {found} values, the model's has {expected}")
            }
            StoreError::Counters { found, expected } => {
                write!(f, "{found} step counters were given, the model has {expected}")
            }
            StoreError::Comm(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<CommError> for StoreError {
    fn from(error: CommError) -> Self {
        StoreError::Comm(error)
    }
}

/// Values and Adam moments of one vector of parameters.
#[derive(Debug, Clone, Default, PartialEq)]
struct Moments {
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
}

impl Moments {
    fn zeros(len: usize) -> Self {
        Moments { values: vec![0.0; len], first: vec![0.0; len], second: vec![0.0; len], steps: 0 }
    }

    fn forget(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.steps = 0;
    }

    fn part(&self, which: Which) -> &[f32] {
        match which {
            Which::Value => &self.values,
            Which::First => &self.first,
            Which::Second => &self.second,
        }
    }

    fn part_mut(&mut self, which: Which) -> &mut [f32] {
        match which {
            Which::Value => &mut self.values,
            Which::First => &mut self.first,
            Which::Second => &mut self.second,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Value,
    First,
    Second,
}

const PREFIXES: [(&str, Which); 3] =
    [("param/", Which::Value), ("adam.m/", Which::First), ("adam.v/", Which::Second)];

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    place: Place,
}

impl Entry {
    /// Numbers in a row.
    fn width(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Dense { start: usize, len: usize },
    Table { at: usize },
}

/// All parameters of a plan, by their index in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    entries: Vec<Entry>,
    dense: Moments,
    tables: Vec<Moments>,
    /// By parameter: whether steps leave it alone.
    frozen: Vec<bool>,
}

/// A tensor of the state, as a checkpoint holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateTensor<'a> {
    /// `param/<name>`, `adam.m/<name>` or `adam.v/<name>`.
    pub name: String,
    pub shape: &'a [usize],
    pub data: &'a [f32],
}

impl Params {
    /// Initial values: element i of a tensor is a function of (seed, name, i), so that other parameters do not matter, nor,
    /// for a table, the number of its rows.
    pub fn new(params: &[Param], seed: u64) -> Self {
        let mut store = Params {
            entries: Vec::new(),
            dense: Moments::default(),
            tables: Vec::new(),
            frozen: vec![false; params.len()],
        };
        for param in params {
            store.add(param, Key::new(seed, PURPOSE).fold(name_hash(&param.name)));
        }
        store.dense.first = vec![0.0; store.dense.values.len()];
        store.dense.second = vec![0.0; store.dense.values.len()];
        store
    }

    fn add(&mut self, param: &Param, key: Key) {
        let len = param.shape.iter().product();
        let place = match param.kind {
            ParamKind::Dense => {
                let start = self.dense.values.len();
                self.dense.values.resize(start + len, 0.0);
                initialise(param.init, key, &mut self.dense.values[start..]);
                Place::Dense { start, len }
            }
            ParamKind::Table { .. } => {
                let mut table = Moments::zeros(len);
                initialise(param.init, key, &mut table.values);
                self.tables.push(table);
                Place::Table { at: self.tables.len() - 1 }
            }
        };
        self.entries.push(Entry { name: param.name.clone(), shape: param.shape.clone(), place });
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn name(&self, param: u32) -> &str {
        &self.entries[param as usize].name
    }

    pub fn shape(&self, param: u32) -> &[usize] {
        &self.entries[param as usize].shape
    }

    /// Values of a parameter, dense or table, row-major.
    pub fn values(&self, param: u32) -> &[f32] {
        self.part(&self.entries[param as usize], Which::Value)
    }

    /// Values of an embedding table, one row per node.
    pub fn table(&self, param: u32) -> Matrix<'_> {
        Matrix::new(self.values(param), self.entries[param as usize].width())
    }

    /// Sets the values of a parameter; `data` has its length.
    pub fn set(&mut self, param: u32, data: &[f32]) {
        match self.entries[param as usize].place {
            Place::Dense { start, len } => self.dense.values[start..start + len].copy_from_slice(data),
            Place::Table { at } => self.tables[at].values.copy_from_slice(data),
        }
    }

    /// From now on steps leave these parameters alone, and move all others with fresh moments.
    pub fn begin_stage(&mut self, frozen: &[u32]) {
        self.frozen.fill(false);
        frozen.iter().for_each(|param| self.frozen[*param as usize] = true);
        std::iter::once(&mut self.dense).chain(&mut self.tables).for_each(Moments::forget);
    }

    /// Trainable numbers, tables included.
    pub fn count(&self) -> usize {
        self.dense.values.len() + self.tables.iter().map(|table| table.values.len()).sum::<usize>()
    }

    /// Bytes held, moments included.
    pub fn bytes(&self) -> usize {
        12 * self.count()
    }

    /// Parameters alone: what inference needs.
    pub fn tensors(&self) -> Vec<StateTensor<'_>> {
        self.entries.iter().map(|entry| self.tensor(entry, PREFIXES[0])).collect()
    }

    /// Parameters and moments: with [`Params::steps`], all that a resumed training needs.
    pub fn state(&self) -> Vec<StateTensor<'_>> {
        let of = |entry| PREFIXES.iter().map(move |&prefix| self.tensor(entry, prefix));
        self.entries.iter().flat_map(of).collect()
    }

    /// Sets one tensor, by the name it has in [`Params::state`].
    ///
    /// # Errors
    /// If there is no such tensor, or it has another length.
    pub fn restore(&mut self, name: &str, data: &[f32]) -> Result<(), StoreError> {
        let split = PREFIXES.iter().find_map(|&(prefix, which)| Some((name.strip_prefix(prefix)?, which)));
        let unknown = || StoreError::Unknown { name: name.into() };
        let (param, which) = split.ok_or_else(unknown)?;
        let entry = self.entries.iter().find(|entry| entry.name == param).ok_or_else(unknown)?;
        let target = match entry.place {
            Place::Dense { start, len } => &mut self.dense.part_mut(which)[start..start + len],
            Place::Table { at } => self.tables[at].part_mut(which),
        };
        if target.len() != data.len() {
            return Err(StoreError::Length { name: name.into(), found: data.len(), expected: target.len() });
        }
        target.copy_from_slice(data);
        Ok(())
    }

    /// Steps taken: of the dense parameters, then of each table.
    pub fn steps(&self) -> Vec<u64> {
        std::iter::once(self.dense.steps).chain(self.tables.iter().map(|table| table.steps)).collect()
    }

    /// Sets what [`Params::steps`] gave.
    ///
    /// # Errors
    /// If the number of counters differs.
    pub fn set_steps(&mut self, steps: &[u64]) -> Result<(), StoreError> {
        let expected = 1 + self.tables.len();
        if steps.len() != expected {
            return Err(StoreError::Counters { found: steps.len(), expected });
        }
        self.dense.steps = steps[0];
        self.tables.iter_mut().zip(&steps[1..]).for_each(|(table, &steps)| table.steps = steps);
        Ok(())
    }

    /// The first parameter with a value that is not finite, and that value's position.
    pub fn first_not_finite(&self) -> Option<(&str, usize)> {
        self.entries.iter().find_map(|entry| {
            let at = self.part(entry, Which::Value).iter().position(|x| !x.is_finite())?;
            Some((entry.name.as_str(), at))
        })
    }

    /// A copy without moments.
    pub fn values_only(&self) -> Params {
        let copy = |of: &Moments| Moments { values: of.values.clone(), ..Moments::default() };
        Params {
            entries: self.entries.clone(),
            dense: copy(&self.dense),
            tables: self.tables.iter().map(copy).collect(),
            frozen: self.frozen.clone(),
        }
    }

    fn part(&self, entry: &Entry, which: Which) -> &[f32] {
        match entry.place {
            Place::Dense { start, len } => &self.dense.part(which)[start..start + len],
            Place::Table { at } => self.tables[at].part(which),
        }
    }

    fn tensor<'a>(&'a self, entry: &'a Entry, (prefix, which): (&str, Which)) -> StateTensor<'a> {
        StateTensor {
            name: format!("{prefix}{}", entry.name),
            shape: &entry.shape,
            data: self.part(entry, which),
        }
    }
}

fn name_hash(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    hash.as_bytes()[..8].iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

fn initialise(init: Init, key: Key, out: &mut [f32]) {
    match init {
        Init::Zeros => out.fill(0.0),
        Init::Ones => out.fill(1.0),
        Init::Constant(value) => out.fill(value),
        Init::Glorot { fan_in, fan_out } => {
            let bound = (6.0 / (fan_in + fan_out).max(1) as f64).sqrt() as f32;
            key.fill_uniform(out, -bound, bound);
        }
        Init::Normal { std } => key.fill_normal(out, std),
        Init::Uniform { bound } => key.fill_uniform(out, -bound, bound),
    }
}

#[cfg(test)]
mod tests;
