//! Reading a table once, in batches: what its columns hold.

use gsl_tables::{
    Batch, Column, ColumnKind, FloatList, Problem, Source, TableError, TextValues, Values, Want,
};

use super::sketch::{KeySet, Sketch, Value, hash_float, hash_int, hash_text, shown};

const BATCH: usize = 1 << 16;

/// Rows up to which all keys of a table are held; of larger ones a sample.
const ALL_KEYS: u64 = 50_000_000;

/// What is known of a column after reading it.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: String,
    pub kind: ColumnKind,
    pub rows: u64,
    pub missing: u64,
    pub sketch: Sketch,
    /// Of numbers, dates and times.
    pub min: f64,
    pub max: f64,
    pub infinite: bool,
    /// Of lists: the length that all have, if they do.
    pub width: Option<usize>,
}

impl Profile {
    fn new(name: &str, kind: &ColumnKind) -> Self {
        Profile {
            name: name.to_string(),
            kind: kind.clone(),
            rows: 0,
            missing: 0,
            sketch: Sketch::default(),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            infinite: false,
            width: None,
        }
    }

    pub fn present(&self) -> u64 {
        self.rows - self.missing
    }

    /// Every row has a value of its own, as far as the sketch tells.
    pub fn is_unique(&self) -> bool {
        self.rows > 0 && self.missing == 0 && self.sketch.is_unique()
    }

    /// Integers that fill their range, such as 0 … n − 1: that two columns of them agree says little.
    pub fn is_dense(&self) -> bool {
        self.kind == ColumnKind::Int && self.sketch.distinct() as f64 > 0.5 * (self.max - self.min + 1.0)
    }

    fn read(&mut self, column: &Column) {
        let missing = column.n_missing() as u64;
        self.rows += column.len() as u64;
        match &column.values {
            Values::Int(values) | Values::Date(values) | Values::Time(values) => {
                present(column, values).for_each(|&x| self.number(x as f64, hash_int(x)));
            }
            Values::Float(values) => {
                present(column, values).for_each(|&x| self.number(x, hash_float(x)));
            }
            Values::Bool(values) => {
                present(column, values)
                    .for_each(|&x| self.number(f64::from(u8::from(x)), hash_int(x.into())));
            }
            Values::Text(texts) => {
                self.texts(&texts.codes, &texts.values);
            }
            Values::FloatList(list) => self.list(column, list),
            Values::TextList(lists) => self.texts(&lists.codes, &lists.values),
        }
        self.missing += missing;
    }

    /// Of lists the texts in them.
    fn texts(&mut self, codes: &[u32], values: &TextValues) {
        let mut counts = vec![0; values.len()];
        let present = codes.iter().filter(|&&code| code != gsl_tables::MISSING);
        present.for_each(|&code| counts[code as usize] += 1);
        for (text, count) in values.iter().zip(counts).filter(|(_, count)| *count > 0) {
            self.sketch.add(hash_text(text), count, || shown(text));
        }
    }

    fn number(&mut self, x: f64, hash: u64) {
        if x.is_nan() {
            self.missing += 1;
            return;
        }
        self.infinite |= x.is_infinite();
        (self.min, self.max) = (self.min.min(x), self.max.max(x));
        self.sketch.add(hash, 1, || Value::Number(x));
    }

    fn list(&mut self, column: &Column, list: &FloatList) {
        for row in (0..list.len()).filter(|&row| column.is_valid(row)) {
            let row = list.row(row);
            self.infinite |= row.iter().any(|x| !x.is_finite());
            let first = self.min.is_infinite();
            (self.min, self.max) = (0.0, 0.0);
            match self.width {
                None if first => self.width = Some(row.len()),
                Some(width) if width != row.len() => self.width = None,
                _ => {}
            }
        }
    }
}

fn present<'a, T>(column: &'a Column, values: &'a [T]) -> impl Iterator<Item = &'a T> {
    values.iter().enumerate().filter(|(row, _)| column.is_valid(*row)).map(|(_, value)| value)
}

/// Reads all columns that can be read. A column whose later cells do not fit what its first ones look like is read as text.
pub fn profiles(source: &Source) -> Result<Vec<Profile>, TableError> {
    let header = source.header()?;
    let mut kinds: Vec<(String, ColumnKind)> =
        header.columns.iter().map(|column| (column.name.clone(), column.kind.clone())).collect();
    loop {
        match read_as(source, &kinds) {
            Err(error) if is_misguess(&error) => {
                let misread = kinds.iter_mut().find(|(name, _)| error.column.as_ref() == Some(name));
                match misread {
                    Some((_, kind)) if *kind != ColumnKind::Text => *kind = ColumnKind::Text,
                    _ => return Err(error),
                }
            }
            done => return done,
        }
    }
}

fn is_misguess(error: &TableError) -> bool {
    matches!(*error.problem, Problem::NotAsSampled { .. } | Problem::NotA { .. } | Problem::Overflow { .. })
}

fn read_as(source: &Source, kinds: &[(String, ColumnKind)]) -> Result<Vec<Profile>, TableError> {
    let mut profiles: Vec<Profile> = kinds.iter().map(|(name, kind)| Profile::new(name, kind)).collect();
    let readable: Vec<usize> =
        (0..kinds.len()).filter(|&at| !matches!(kinds[at].1, ColumnKind::Other(_))).collect();
    let wanted: Vec<(&str, Want)> =
        readable.iter().map(|&at| (kinds[at].0.as_str(), want(&kinds[at].1))).collect();
    if wanted.is_empty() {
        return Ok(profiles);
    }
    source.for_each_batch::<TableError>(&wanted, BATCH, |batch: Batch| {
        readable.iter().zip(&batch.columns).for_each(|(&at, column)| profiles[at].read(column));
        Ok(())
    })?;
    Ok(profiles)
}

/// As the kind says; `Auto` where it is as the header says too.
pub fn want(kind: &ColumnKind) -> Want {
    if *kind == ColumnKind::Text { Want::Text } else { Want::Auto }
}

/// All keys of a column, or as many as its sketch has where the table is too large.
pub fn keys(source: &Source, profile: &Profile) -> Result<KeySet, TableError> {
    if profile.sketch.is_complete() || profile.rows > ALL_KEYS {
        return Ok(KeySet::of_sketch(&profile.sketch));
    }
    let mut hashes = Vec::with_capacity(profile.rows as usize);
    let wanted = [(profile.name.as_str(), want(&profile.kind))];
    source.for_each_batch::<TableError>(&wanted, BATCH, |batch: Batch| {
        let each = batch.columns.iter().flat_map(|column| (0..column.len()).map(|row| hash_at(column, row)));
        hashes.extend(each.flatten());
        Ok(())
    })?;
    Ok(KeySet::all(hashes))
}

/// How many rows have a value that is in `keys`; an estimate where neither the sketch nor `keys` is whole.
pub fn count_in(source: &Source, profile: &Profile, keys: &KeySet) -> Result<u64, TableError> {
    if profile.sketch.is_complete() || !keys.is_whole() {
        let share = profile.sketch.share_in(keys).unwrap_or(0.0);
        return Ok((share * profile.present() as f64).round() as u64);
    }
    let mut found = 0;
    let wanted = [(profile.name.as_str(), want(&profile.kind))];
    source.for_each_batch::<TableError>(&wanted, BATCH, |batch: Batch| {
        let hashes = (0..batch.columns[0].len()).filter_map(|row| hash_at(&batch.columns[0], row));
        found += hashes.filter(|&hash| keys.contains(hash) == Some(true)).count() as u64;
        Ok(())
    })?;
    Ok(found)
}

/// The hash of a cell that holds a number or a text; none if it is missing.
pub fn hash_at(column: &Column, row: usize) -> Option<u64> {
    if !column.is_valid(row) {
        return None;
    }
    match &column.values {
        Values::Int(values) | Values::Date(values) | Values::Time(values) => Some(hash_int(values[row])),
        Values::Float(values) => (!values[row].is_nan()).then(|| hash_float(values[row])),
        Values::Bool(values) => Some(hash_int(values[row].into())),
        Values::Text(texts) => texts.get(row).map(hash_text),
        Values::FloatList(_) | Values::TextList(_) => None,
    }
}
