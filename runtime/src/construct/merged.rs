//! Parallel edges made one: the rows of a declaration, sorted by their ends and merged, stand in for the rows of its table.
//!
//! Before any transform, each column of numbers is merged by the declaration's policy. A merged edge has the latest of its rows' times,
//! and stands where the first of its rows does. Its records lie in the scratch folder, one after the other:
//! destination, source, row and count (32 bits each), time, then the columns (64 bits each).

use std::path::PathBuf;

use gsl_plan::graph::Parallel;
use gsl_tables::{Column, MISSING, Part, Source, TextColumn, TextValues, Values, Want};
use rayon::prelude::*;

use super::csc::{finish, order_by, put, writer};
use super::error::{BuildError, Result};
use super::frame::{Frame, Origin, Stands};
use super::merge::merged;
use super::scratch::Scratch;
use super::sorter::{Run, Sorter};
use super::value::{Value, load};
use crate::graph::piece::{Element, Piece, numbers_of};

/// Edges that are given on at once.
const BATCH: usize = 1 << 13;
/// Destination, source, row, count.
const WORDS: usize = 16;

/// The columns of merged edges.
#[derive(Debug, Clone)]
pub struct Columns {
    pub policy: Parallel,
    /// Names of the columns that are merged, as numbers or bools.
    pub numbers: Vec<(String, Want)>,
    pub time: Option<(String, Want)>,
    /// What the number of merged rows is called.
    pub count: String,
}

/// The merged edges of all relations of a declaration.
pub struct Merged {
    columns: Columns,
    /// By relation, in the order of their codes.
    records: Vec<Piece>,
    source: Source,
    parts: Vec<Part>,
    folder: PathBuf,
    /// Rows that were merged into one of another row.
    pub rows: u64,
}

/// Some merged edges of one relation.
pub struct MergedBatch {
    pub frame: Frame,
    pub relation: u32,
    pub rows: Vec<u32>,
    pub src: Vec<u32>,
    pub dst: Vec<u32>,
    pub times: Vec<i64>,
}

impl Columns {
    /// Bytes of the payload that an unmerged row has besides its number: its time and its columns.
    pub fn payload(&self) -> usize {
        8 * (usize::from(self.time.is_some()) + self.numbers.len())
    }

    fn record(&self) -> usize {
        WORDS + self.payload()
    }

    /// The payloads of a batch of rows, without their numbers. `times`: of the rows, if they have any.
    pub fn payloads(&self, frame: &Frame, times: &[i64]) -> Result<Vec<u8>> {
        let mut columns: Vec<Vec<u64>> = Vec::new();
        columns.extend(self.time.is_some().then(|| times.iter().map(|time| *time as u64).collect()));
        for (name, want) in &self.numbers {
            let column = frame.column(name, *want)?;
            let loaded = load(column).map_err(|found| BuildError::MergedColumn {
                column: name.clone(),
                fault: found.fault,
                place: found.element.and_then(|row| frame.place(Some(name), row)),
            })?;
            let Value::Numbers(x) = loaded else { continue };
            let bits =
                |row: usize| if x.is_missing(row) { f64::NAN.to_bits() } else { x.data[row].to_bits() };
            columns.push((0..frame.len).map(bits).collect());
        }
        let mut bytes = Vec::with_capacity(frame.len * self.payload());
        for row in 0..frame.len {
            columns.iter().for_each(|column| bytes.extend_from_slice(&column[row].to_ne_bytes()));
        }
        Ok(bytes)
    }

    /// The records of a run, edges with the same ends made one.
    fn merge(&self, run: &Run) -> Vec<u8> {
        let ordered = order_by(run, &|a, b| a.cmp(b));
        let mut records = Vec::with_capacity(ordered.order.len() * self.record());
        for same in ordered.order.chunk_by(|&a, &b| run.key(a as usize) == run.key(b as usize)) {
            let key = run.key(same[0] as usize);
            let row = same.iter().map(|&index| run.word(index as usize, 0)).min().unwrap_or(0);
            for word in [(key >> 32) as u32, key as u32, row, same.len() as u32] {
                records.extend_from_slice(&word.to_ne_bytes());
            }
            let cell = |index: u32, column: usize| -> u64 {
                let at = 4 + 8 * column;
                let bytes = &run.payload(index as usize)[at..at + 8];
                u64::from_ne_bytes(bytes.try_into().expect("a cell has 8 bytes"))
            };
            let mut first = 0;
            if self.time.is_some() {
                let latest = same.iter().map(|&index| cell(index, 0) as i64).max().unwrap_or(i64::MIN);
                records.extend_from_slice(&latest.to_ne_bytes());
                first = 1;
            }
            for column in first..first + self.numbers.len() {
                let x = merged(self.policy, same.iter().map(|&index| f64::from_bits(cell(index, column))));
                records.extend_from_slice(&x.to_ne_bytes());
            }
        }
        records
    }

    /// The columns of merged edges, in the order of their records, as `wanted`.
    fn of_records(&self, records: &[u8], wanted: &[(String, Want)]) -> Vec<(Want, Column)> {
        let at = |name: &str| {
            let found = self.numbers.iter().position(|(known, _)| known == name);
            found.map(|at| WORDS + 8 * (at + usize::from(self.time.is_some())))
        };
        let numbers = |at: usize| -> Vec<f64> {
            let cell = |record: &[u8]| numbers_of::<u64>(&record[at..at + 8]).next().unwrap_or(0);
            records.chunks_exact(self.record()).map(|record| f64::from_bits(cell(record))).collect()
        };
        let one = |(name, want): &(String, Want)| -> Option<(Want, Column)> {
            let column = match at(name) {
                _ if self.is_latest(name, *want) => return None,
                _ if *name == self.count => {
                    let counts = self.words(records, 3).into_iter().map(f64::from).collect();
                    column_of(name, counts, *want)
                }
                Some(at) => column_of(name, numbers(at), *want),
                None => return None,
            };
            Some((*want, column))
        };
        wanted.iter().filter_map(one).collect()
    }

    /// One word of each record.
    fn words(&self, records: &[u8], word: usize) -> Vec<u32> {
        let of = |record: &[u8]| numbers_of::<u32>(&record[4 * word..4 * word + 4]).next().unwrap_or(0);
        records.chunks_exact(self.record()).map(of).collect()
    }

    fn times(&self, records: &[u8]) -> Vec<i64> {
        let of = |record: &[u8]| numbers_of::<i64>(&record[WORDS..WORDS + 8]).next().unwrap_or(0);
        match self.time {
            Some(_) => records.chunks_exact(self.record()).map(of).collect(),
            None => Vec::new(),
        }
    }

    /// Whether the column is asked for as the time that splits compare.
    fn is_latest(&self, name: &str, want: Want) -> bool {
        want == Want::Auto && self.time.as_ref().is_some_and(|(time, _)| time == name)
    }

    /// The times as the column that they come from, for splits by it.
    fn time_column(&self, records: &[u8], wanted: &[(String, Want)]) -> Option<(Want, Column)> {
        let (name, kind) = self.time.as_ref()?;
        let (_, want) =
            wanted.iter().find(|(wanted, want)| wanted == name && self.is_latest(wanted, *want))?;
        let times = self.times(records);
        let values = match kind {
            Want::Date | Want::Time => Values::Time(times),
            _ => Values::Int(times),
        };
        Some((*want, Column::new(name.clone(), values)))
    }
}

/// Numbers as a feature, label or split wants to read them; NaN is missing.
fn column_of(name: &str, numbers: Vec<f64>, want: Want) -> Column {
    let gaps = numbers.iter().any(|x| x.is_nan());
    let validity = gaps.then(|| numbers.iter().map(|x| !x.is_nan()).collect());
    let values = match want {
        Want::Bool => Values::Bool(numbers.iter().map(|x| *x != 0.0).collect()),
        Want::Text | Want::Class => Values::Text(texts_of(&numbers)),
        Want::Int => Values::Int(numbers.iter().map(|x| *x as i64).collect()),
        _ => Values::Float(numbers),
    };
    Column { name: name.to_string(), values, validity }
}

/// Classes that are numbers: whole ones without a point.
fn texts_of(numbers: &[f64]) -> TextColumn {
    let show =
        |x: &f64| if x.fract() == 0.0 && x.abs() < 1e15 { (*x as i64).to_string() } else { x.to_string() };
    let mut distinct: Vec<String> = numbers.iter().filter(|x| !x.is_nan()).map(show).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let code = |x: &f64| match x.is_nan() {
        true => MISSING,
        false => distinct.binary_search(&show(x)).map_or(MISSING, |at| at as u32),
    };
    let codes = numbers.iter().map(code).collect();
    TextColumn { codes, values: distinct.iter().map(String::as_str).collect::<TextValues>() }
}

/// Why a pass over records ended early.
enum Stopped {
    Build(BuildError),
    Read(std::io::Error),
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Stopped::Read(error)
    }
}

impl Merged {
    /// Merges the edges of each relation. `parts`: the rows of each file of the source.
    pub fn of(
        sorters: Vec<Sorter>,
        columns: Columns,
        source: Source,
        parts: Vec<Part>,
        scratch: &Scratch,
    ) -> Result<Self> {
        let (mut records, mut rows) = (Vec::new(), 0);
        for sorter in sorters {
            rows += sorter.records();
            let sorted = sorter.finish();
            let mut piece = writer(scratch, Element::U64, None);
            sorted.drain(scratch.memory / 3, &|run| Ok(columns.merge(&run)), &mut |made: Vec<u8>| {
                rows -= (made.len() / columns.record()) as u64;
                put(&mut piece, |piece| piece.put_bytes(&made))
            })?;
            records.push(finish(piece)?);
        }
        Ok(Self { columns, records, source, parts, folder: scratch.folder.clone(), rows })
    }

    /// Calls `each` for all merged edges, in batches, from several threads.
    pub fn each(
        &self,
        wanted: &[(String, Want)],
        each: &(dyn Fn(MergedBatch) -> Result<()> + Sync),
    ) -> Result<()> {
        let record = self.columns.record();
        for (relation, piece) in self.records.iter().enumerate() {
            let enough = 2 * rayon::current_num_threads() * BATCH * record;
            let batch = |records: &[u8]| each(self.batch(records, relation as u32, wanted));
            let mut rest: Vec<u8> = Vec::new();
            let walked = piece.for_each(&mut |bytes| -> Result<(), Stopped> {
                rest.extend_from_slice(bytes);
                if rest.len() < enough {
                    return Ok(());
                }
                let whole = rest.len() / record * record;
                rest[..whole].par_chunks(BATCH * record).try_for_each(batch).map_err(Stopped::Build)?;
                rest.drain(..whole);
                Ok(())
            });
            walked.map_err(|stopped| match stopped {
                Stopped::Build(error) => error,
                Stopped::Read(error) => BuildError::Scratch { file: self.folder.clone(), error },
            })?;
            rest.par_chunks(BATCH * record).try_for_each(batch)?;
        }
        Ok(())
    }

    fn batch(&self, records: &[u8], relation: u32, wanted: &[(String, Want)]) -> MergedBatch {
        let columns = &self.columns;
        let rows = columns.words(records, 2);
        let mut frame = Frame::new(rows.len());
        let stands = Stands::Table(self.parts.clone());
        let origin = Origin { source: self.source.clone(), stands, rows: Some(rows.clone()) };
        let mut all = columns.of_records(records, wanted);
        all.extend(columns.time_column(records, wanted));
        frame.add_in_order(origin, all);
        MergedBatch {
            frame,
            relation,
            rows,
            src: columns.words(records, 1),
            dst: columns.words(records, 0),
            times: columns.times(records),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_whole_numbers_where_they_can_be() {
        let text = texts_of(&[2.0, f64::NAN, 0.5, 2.0]);
        let shown: Vec<Option<&str>> = (0..4).map(|row| text.get(row)).collect();
        assert_eq!(shown, [Some("2"), None, Some("0.5"), Some("2")]);
        let column = column_of("x", vec![f64::NAN, 0.0], Want::Bool);
        assert!(!column.is_valid(0) && column.is_valid(1));
    }
}
