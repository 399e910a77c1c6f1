//! Destinations that are hard to tell from an edge's own: keys in a column, as ids, so many for each edge.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use gsl_plan::graph::Candidates;
use gsl_tables::{Column, TextColumn, TextValues, Values, Want};

use super::batches::Offenders;
use super::edge_labels::{EachBatch, EdgeBatch};
use super::error::{BuildError, Fault, Offender, Result};
use super::frame::ABSENT;
use super::nodes::Nodes;
use super::transform::words;

/// A column of candidates, ready for batches of edges.
pub struct CandidateColumn<'a> {
    declared: &'a Candidates,
    owner: &'a str,
    dst: &'a Nodes,
    want: Want,
    /// The most that any edge has, and at least 1: each edge has room for so many.
    pub width: usize,
    unknown: Mutex<Offenders>,
}

impl<'a> CandidateColumn<'a> {
    /// Goes through the edges once, to see how many candidates they have.
    pub fn fit(
        declared: &'a Candidates,
        owner: &'a str,
        dst: &'a Nodes,
        want: Want,
        each: EachBatch,
    ) -> Result<Self> {
        let most = AtomicUsize::new(1);
        let column = Self { declared, owner, dst, want, width: 0, unknown: Mutex::default() };
        each(&[(declared.column.clone(), want)], &|batch| {
            let (offsets, _) = column.keys(batch)?;
            let found = offsets.windows(2).map(|cell| cell[1] - cell[0]).max().unwrap_or(0);
            most.fetch_max(found, Relaxed);
            Ok(())
        })?;
        Ok(Self { width: most.into_inner(), ..column })
    }

    pub fn name(&self) -> &str {
        &self.declared.name
    }

    pub fn column(&self) -> (String, Want) {
        (self.declared.column.clone(), self.want)
    }

    /// edges × width of ids, [`ABSENT`] behind the last of each. Keys of no node are left out and noted; `first` is the number of the
    /// first row in the whole table, `rows` those of the edges from there.
    pub fn apply(&self, batch: &EdgeBatch, first: u64, rows: &[u32]) -> Result<Vec<u32>> {
        let (offsets, keys) = self.keys(batch)?;
        let found = self.find(&keys)?;
        let mut ids = vec![ABSENT; batch.src.len() * self.width];
        for (edge, cell) in offsets.windows(2).enumerate() {
            let known = found[cell[0]..cell[1]].iter().filter(|id| **id != ABSENT);
            let into = &mut ids[edge * self.width..(edge + 1) * self.width];
            into.iter_mut().zip(known).for_each(|(slot, id)| *slot = *id);
            for at in (cell[0]..cell[1]).filter(|&at| found[at] == ABSENT) {
                let mut unknown = self.unknown.lock().expect("no thread panics here");
                unknown.add(first + u64::from(rows[edge]), || Offender {
                    found: keys[at].clone(),
                    place: batch.frame.place(Some(&self.declared.column), edge).unwrap_or_default(),
                });
            }
        }
        Ok(ids)
    }

    /// The keys of each edge, one after the other, and where those of each begin.
    fn keys(&self, batch: &EdgeBatch) -> Result<(Vec<usize>, Vec<String>)> {
        let column = batch.frame.column(&self.declared.column, self.want)?;
        let (mut offsets, mut keys) = (vec![0], Vec::new());
        for row in 0..column.len() {
            match (&column.values, &self.declared.separator) {
                (Values::Int(all), _) => keys.extend(column.is_valid(row).then(|| all[row].to_string())),
                (Values::Text(text), None) => keys.extend(text.get(row).map(str::to_string)),
                (Values::TextList(list), _) => keys.extend(list.texts(row).map(str::to_string)),
                (Values::Text(text), Some(separator)) => {
                    keys.extend(words(text.get(row).unwrap_or(""), separator).map(str::to_string));
                }
                _ => return Err(Fault::TextWanted { transform: "candidates" }.into()),
            }
            offsets.push(keys.len());
        }
        Ok((offsets, keys))
    }

    /// The node of each key.
    fn find(&self, keys: &[String]) -> Result<Vec<u32>> {
        let column = if self.dst.keys.want() == Want::Int { int_keys(keys) } else { text_keys(keys) };
        self.dst.find_all(&column)
    }

    /// Refuses keys of no node, or counts them.
    pub fn finish(&self, drop: bool) -> Result<u64> {
        let unknown = std::mem::take(&mut *self.unknown.lock().expect("no thread panics here"));
        let count = unknown.count();
        if count == 0 || drop {
            return Ok(count);
        }
        Err(BuildError::UnknownCandidates {
            relation: self.owner.to_string(),
            column: self.declared.column.clone(),
            count,
            first: unknown.named(),
        })
    }
}

fn text_keys(texts: &[String]) -> Column {
    let values: TextValues = texts.iter().map(String::as_str).collect();
    Column::new("", Values::Text(TextColumn { codes: (0..texts.len() as u32).collect(), values }))
}

/// What is no integer is no key.
fn int_keys(texts: &[String]) -> Column {
    let keys: Vec<Option<i64>> = texts.iter().map(|text| text.parse().ok()).collect();
    let validity = Some(keys.iter().map(Option::is_some).collect());
    let values = Values::Int(keys.into_iter().map(Option::unwrap_or_default).collect());
    Column { validity, ..Column::new("", values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_integers_are_missing() {
        let keys = int_keys(&["3".to_string(), "x".to_string(), "-1".to_string()]);
        assert_eq!((0..3).map(|row| keys.is_valid(row)).collect::<Vec<_>>(), [true, false, true]);
        assert!(matches!(&keys.values, Values::Int(all) if all[0] == 3 && all[2] == -1));
    }
}
