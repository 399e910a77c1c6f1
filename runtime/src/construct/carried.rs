//! What an edge carries through the sort besides its features: labels, a time, candidates. Each is so many bytes of the edge's payload,
//! a multiple of four, and becomes an array with a row for each edge.

use gsl_plan::graph::{LabelFacts, LabelKind};

use super::candidates::CandidateColumn;
use super::csc::{finish, put, writer};
use super::edge_labels::{EdgeBatch, EdgeLabel, Labelled};
use super::error::Result;
use super::frame::ABSENT;
use super::label_values::LabelTally;
use super::scratch::Scratch;
use super::stages::Arrays;
use super::times::ALWAYS;
use crate::graph::piece::{Element, PieceWriter, bytes_of, numbers_of};

/// All that the edges of a declaration carry.
pub struct Carried<'a> {
    pub labels: Vec<EdgeLabel<'a>>,
    pub time: bool,
    pub candidates: Vec<CandidateColumn<'a>>,
}

/// The arrays of one relation, as they are written.
pub struct CarriedPieces<'c, 'a> {
    carried: &'c Carried<'a>,
    labels: Vec<(PieceWriter, PieceWriter, LabelTally)>,
    time: Option<PieceWriter>,
    candidates: Vec<PieceWriter>,
}

impl<'a> Carried<'a> {
    /// Bytes of each array in an edge's payload: value and part of each label, time, candidates.
    pub fn bytes(&self) -> Vec<usize> {
        let labels = self.labels.iter().flat_map(|label| [4 * label.width(), 4]);
        let time = self.time.then_some(8);
        labels.chain(time).chain(self.candidates.iter().map(|column| 4 * column.width)).collect()
    }

    /// The arrays for a batch of edges, in the order of [`Carried::bytes`]. `first` is the number of the first row of the batch in the whole
    /// table, `rows` those of the edges from there.
    pub fn of(&self, batch: &EdgeBatch, times: &[i64], first: u64, rows: &[u32]) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for label in &self.labels {
            all.extend(label_bytes(&label.apply(batch)?));
        }
        all.extend(self.time.then(|| bytes_of(times).to_vec()));
        for column in &self.candidates {
            all.push(bytes_of(&column.apply(batch, first, rows)?).to_vec());
        }
        Ok(all)
    }

    /// The same for an edge that no row tells of.
    pub fn nothing(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        self.labels.iter().for_each(|label| all.extend(label_bytes(&label.nothing())));
        all.extend(self.time.then(|| bytes_of(&[ALWAYS]).to_vec()));
        all.extend(self.candidates.iter().map(|column| bytes_of(&vec![ABSENT; column.width]).to_vec()));
        all
    }

    pub fn writers(&self, scratch: &Scratch) -> CarriedPieces<'_, 'a> {
        let label = |label: &EdgeLabel| {
            let width = (label.kind() == LabelKind::Classes).then(|| label.width());
            let tally = LabelTally::new(label.kind(), label.fitted.classes.len());
            (writer(scratch, Element::F32, width), writer(scratch, Element::U8, None), tally)
        };
        let candidates =
            self.candidates.iter().map(|column| writer(scratch, Element::U32, Some(column.width)));
        CarriedPieces {
            carried: self,
            labels: self.labels.iter().map(label).collect(),
            time: self.time.then(|| writer(scratch, Element::I64, None)),
            candidates: candidates.collect(),
        }
    }
}

/// Values as they are, parts as words.
fn label_bytes(labelled: &Labelled) -> [Vec<u8>; 2] {
    let parts: Vec<u32> = labelled.parts.iter().map(|&part| u32::from(part)).collect();
    [bytes_of(&labelled.values).to_vec(), bytes_of(&parts).to_vec()]
}

impl CarriedPieces<'_, '_> {
    /// Takes the arrays of the next edges, in the order of [`Carried::bytes`].
    pub fn put(&mut self, arrays: &[Vec<u8>]) -> Result<()> {
        let mut arrays = arrays.iter();
        let mut next = || arrays.next().map(Vec::as_slice).unwrap_or_default();
        for (values, parts, tally) in &mut self.labels {
            let (value, part) = (next(), next());
            let words: Vec<u8> = numbers_of::<u32>(part).map(|part| part as u8).collect();
            tally.see(&numbers_of::<f32>(value).collect::<Vec<f32>>(), &words);
            put(values, |piece| piece.put_bytes(value))?;
            put(parts, |piece| piece.put(&words))?;
        }
        for piece in self.time.iter_mut().chain(&mut self.candidates) {
            let bytes = next();
            put(piece, |piece| piece.put_bytes(bytes))?;
        }
        Ok(())
    }

    /// The arrays, named from `relation` on, and what is known of the labels.
    pub fn finish(self, relation: usize) -> Result<(Arrays, Vec<LabelFacts>, Vec<LabelTally>)> {
        let (mut arrays, mut facts, mut tallies) = (Vec::new(), Vec::new(), Vec::new());
        for ((values, parts, tally), label) in self.labels.into_iter().zip(&self.carried.labels) {
            arrays.push((format!("{relation}/labels/{}/value", label.name()), finish(values)?));
            arrays.push((format!("{relation}/labels/{}/part", label.name()), finish(parts)?));
            facts.push(tally.facts(label.name(), &label.fitted.classes));
            tallies.push(tally);
        }
        if let Some(time) = self.time {
            arrays.push((format!("{relation}/time"), finish(time)?));
        }
        for (piece, column) in self.candidates.into_iter().zip(&self.carried.candidates) {
            arrays.push((format!("{relation}/candidates/{}", column.name()), finish(piece)?));
        }
        Ok((arrays, facts, tallies))
    }
}
