//! Tables gone through in batches: what is read, on whose threads, and which of several mistakes is told.

use std::collections::BTreeMap;
use std::sync::Mutex;

use gsl_tables::{
    Batch, Column, ColumnKind, FloatList, MISSING, Part, TextColumn, TextList, TextValues, Values, Want,
};

use super::error::{BuildError, Fault, Offender, Result};
use super::frame::{Frame, Origin, Stands};
use super::nodes::NAMED;
use super::tables::Opened;

/// Cells of a batch, more or less: with all that is made of them they stay in the cache.
const BATCH_CELLS: usize = 1 << 15;
/// Wide tables have batches of as many rows nonetheless, so that what is done once for a batch does not count.
const LEAST_ROWS: usize = 1 << 12;

/// Rows of a batch of so many columns.
fn batch_rows(columns: usize) -> usize {
    (BATCH_CELLS / columns.max(1)).max(LEAST_ROWS)
}

/// Calls `each` for batches of the table, from several threads.
pub fn stream(
    opened: &Opened,
    columns: &[(String, Want)],
    each: &(dyn Fn(Batch) -> Result<()> + Sync),
) -> Result<Vec<Part>> {
    let wanted: Vec<(&str, Want)> = columns.iter().map(|(name, want)| (name.as_str(), *want)).collect();
    opened.source.stream(&wanted, batch_rows(columns.len()), each)
}

/// As [`stream`], with a state for each run of neighbouring batches that one thread reads in order.
pub fn stream_with<S: Send>(
    opened: &Opened,
    columns: &[(String, Want)],
    state: &(dyn Fn() -> S + Sync),
    each: &(dyn Fn(&mut S, Batch) -> Result<()> + Sync),
) -> Result<Vec<Part>> {
    let wanted: Vec<(&str, Want)> = columns.iter().map(|(name, want)| (name.as_str(), *want)).collect();
    opened.source.stream_with(&wanted, batch_rows(columns.len()), state, each)
}

/// The columns of a batch as a frame of the rows `kept` (all, if none).
pub fn frame_of(opened: &Opened, batch: Batch, wanted: &[(String, Want)], kept: Option<Vec<u32>>) -> Frame {
    let rows = batch.columns.first().map_or(0, Column::len);
    let mut frame = Frame::new(kept.as_ref().map_or(rows, Vec::len));
    frame.models = opened.models.clone();
    let stands = Stands::File(batch.file.to_path_buf(), batch.first_row);
    let origin = Origin { source: opened.source.clone(), stands, rows: kept };
    frame.add(origin, wanted.iter().map(|(_, want)| *want).zip(batch.columns).collect());
    frame
}

/// One row whose every column is missing: what a node has that a joined table lacks.
pub fn missing_row(opened: &Opened, wanted: &[(String, Want)], stands: Stands) -> Frame {
    let column = |(name, want): &(String, Want)| {
        let own = opened.kind(name).cloned().unwrap_or(ColumnKind::Text);
        let validity = Some([false].into_iter().collect());
        (*want, Column { name: name.clone(), values: nothing(&want.kind(&own)), validity })
    };
    let mut frame = Frame::new(1);
    frame.models = opened.models.clone();
    let origin = Origin { source: opened.source.clone(), stands, rows: None };
    frame.add(origin, wanted.iter().map(column).collect());
    frame
}

fn nothing(kind: &ColumnKind) -> Values {
    match kind {
        ColumnKind::Int => Values::Int(vec![0]),
        ColumnKind::Float => Values::Float(vec![0.0]),
        ColumnKind::Bool => Values::Bool(vec![false]),
        ColumnKind::Date => Values::Date(vec![0]),
        ColumnKind::Time => Values::Time(vec![0]),
        ColumnKind::FloatList(_) => {
            Values::FloatList(FloatList::Ragged { offsets: vec![0, 0], values: Vec::new() })
        }
        ColumnKind::TextList => Values::TextList(TextList {
            offsets: vec![0, 0],
            codes: Vec::new(),
            values: TextValues::default(),
        }),
        _ => Values::Text(TextColumn { codes: vec![MISSING], values: TextValues::default() }),
    }
}

/// Rows that do not fit, of which the first are named.
#[derive(Default)]
pub struct Offenders {
    count: u64,
    first: BTreeMap<u64, Offender>,
}

impl Offenders {
    /// `row` counts in the whole table; `tell` is called if it is among the first.
    pub fn add(&mut self, row: u64, tell: impl FnOnce() -> Offender) {
        self.count += 1;
        if self.first.len() < NAMED || self.first.last_key_value().is_some_and(|(last, _)| row < *last) {
            self.first.insert(row, tell());
            if self.first.len() > NAMED {
                self.first.pop_last();
            }
        }
    }

    /// Takes those of another batch.
    pub fn merge(&mut self, other: Offenders) {
        self.count += other.count;
        self.first.extend(other.first);
        while self.first.len() > NAMED {
            self.first.pop_last();
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first, in the order of their rows.
    pub fn named(self) -> Vec<Offender> {
        self.first.into_values().collect()
    }

    /// The first, with their rows.
    pub fn with_rows(self) -> impl Iterator<Item = (u64, Offender)> {
        self.first.into_iter()
    }
}

/// Features whose values are missing: told once all rows are counted. Other mistakes end the pass.
#[derive(Default)]
pub struct Gaps {
    by_feature: Mutex<BTreeMap<usize, (u64, u64, BuildError)>>,
}

impl Gaps {
    /// Takes the error of feature `index` at a batch that begins with row `first` if it says that values are missing.
    pub fn take(&self, index: usize, first: u64, error: BuildError) -> Result<()> {
        let BuildError::Feature { fault: Fault::Missing { count }, .. } = &error else { return Err(error) };
        let count = *count;
        let mut all = self.by_feature.lock().expect("no thread panics here");
        match all.get_mut(&index) {
            Some((total, known, _)) if *known <= first => *total += count,
            Some((total, known, told)) => (*total, *known, *told) = (*total + count, first, error),
            None => {
                all.insert(index, (count, first, error));
            }
        }
        Ok(())
    }

    /// The first feature with gaps, if there is one.
    pub fn finish(self) -> Result<()> {
        let all = self.by_feature.into_inner().expect("no thread panics here");
        match all.into_values().next() {
            Some((total, _, BuildError::Feature { owner, feature, place, .. })) => {
                Err(BuildError::Feature { owner, feature, fault: Fault::Missing { count: total }, place })
            }
            _ => Ok(()),
        }
    }
}
