//! Rows of edges that are not simply those of the table: merged ones, and loops that are added.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use gsl_plan::graph::{EdgeType, Loops};
use gsl_tables::{ColumnKind, Want};

use super::batches::{Gaps, missing_row, stream_with};
use super::candidates::CandidateColumn;
use super::carried::Carried;
use super::edge_labels::{Around, EachBatch};
use super::edge_sorters::Sorters;
use super::edges::{Edges, FeatureInputs, Kept, Known};
use super::error::Result;
use super::feature::{FittedFeature, add, columns_of};
use super::frame::{ABSENT, Frame, Stands};
use super::merged::{Columns, Merged};
use super::scratch::Scratch;
use super::times::want_of as want_of_time;
use crate::graph::piece::bytes_of;

/// Loops that are added at once.
const LOOPS: usize = 1 << 14;

impl Edges<'_> {
    /// Merges parallel edges, with all the columns that anything reads.
    pub(super) fn merge(&self, around: &Around, scratch: &Scratch) -> Result<Merged> {
        let mut read = around.columns();
        self.edge.features.iter().for_each(|feature| columns_of(&feature.expr, &mut read));
        let time = self.edge.time.as_ref().map(|time| (time.clone(), want_of_time(self.opened, time)));
        // A split by the time is by the latest of the rows.
        let is_latest =
            |(name, want): &(String, Want)| *want == Want::Auto && self.edge.time.as_ref() == Some(name);
        let mut numbers: Vec<(String, Want)> = Vec::new();
        for (name, _) in read.iter().filter(|read| read.0 != self.count && !is_latest(read)) {
            let is_bool = self.opened.kind(name) == Some(&ColumnKind::Bool);
            add(&mut numbers, name, if is_bool { Want::Bool } else { Want::Float });
        }
        let columns = Columns { policy: self.edge.parallel, numbers, time, count: self.count.to_string() };
        let sorters = self.sorters(columns.payload(), scratch);
        let wanted = self.wanted_with(&columns.numbers);
        let parts = stream_with(self.opened, &wanted, &Default::default, &|seen, batch| {
            let kept = self.keep(batch, &wanted, seen)?;
            let payloads = columns.payloads(&kept.frame, &kept.times)?;
            sorters.push(&kept, &[(columns.payload(), &payloads)])
        })?;
        self.refuse()?;
        let sorters = self.finished(sorters);
        Merged::of(sorters, columns, self.opened.source.clone(), parts, scratch)
    }

    /// What the edges carry besides features.
    pub(super) fn carried<'b>(
        &self,
        around: &'b Around<'b>,
        known: Option<&Known>,
        scratch: &Scratch,
    ) -> Result<Carried<'b>> {
        let each: EachBatch =
            &|columns, each| self.each_kept(columns, &|kept| each(&kept.batch(&self.relation_names())));
        let labels = around.fit(known.map(|known| known.labels), each, scratch)?;
        let mut candidates = Vec::new();
        for declared in &around.edge.candidates {
            let want = match (self.opened.kind(&declared.column), &declared.separator) {
                (Some(ColumnKind::TextList), _) => Want::TextList,
                (_, None) => self.dst.keys.want(),
                (_, Some(_)) => Want::Text,
            };
            candidates.push(CandidateColumn::fit(declared, around.owner, around.dst, want, each)?);
        }
        Ok(Carried { labels, time: self.edge.time.is_some(), candidates })
    }

    /// One loop for each of these nodes, of which no row tells.
    pub(super) fn add_loops(
        &self,
        nodes: &[u32],
        columns: &[(String, Want)],
        fitted: &[FittedFeature],
        carried: &Carried,
        (gaps, counted): (&Gaps, &FeatureInputs),
        sorters: &Sorters,
    ) -> Result<()> {
        if nodes.is_empty() {
            return Ok(());
        }
        let own: Vec<(String, Want)> =
            columns.iter().filter(|(name, _)| name != self.count).cloned().collect();
        let mut frame = missing_row(self.opened, &own, Stands::Loops);
        frame.add_numbers(self.count, vec![0.0]);
        let one = loops(frame, u64::MAX, &[0]);
        let features = self.features(&one, fitted, gaps, counted)?;
        let rest = carried.nothing();
        let rows: Vec<&[u8]> =
            features.iter().map(|rows| bytes_of(&rows.data)).chain(rest.iter().map(Vec::as_slice)).collect();
        for nodes in nodes.chunks(LOOPS) {
            let repeated: Vec<Vec<u8>> = rows.iter().map(|row| row.repeat(nodes.len())).collect();
            let arrays: Vec<(usize, &[u8])> =
                rows.iter().map(|row| row.len()).zip(repeated.iter().map(Vec::as_slice)).collect();
            sorters.push(&loops(Frame::new(nodes.len()), 0, nodes), &arrays)?;
        }
        Ok(())
    }
}

/// Loops at nodes, without a row.
fn loops(frame: Frame, first: u64, nodes: &[u32]) -> Kept {
    let (rows, ends) = (vec![ABSENT; nodes.len()], nodes.to_vec());
    Kept { frame, first, rows, src: ends.clone(), dst: ends, relation: Vec::new(), times: Vec::new() }
}

/// The nodes that have a loop, where those without are to get one.
pub struct Looped {
    nodes: Option<Vec<AtomicU8>>,
}

impl Looped {
    pub fn new(edge: &EdgeType, nodes: usize) -> Self {
        let wanted = edge.loops == Loops::Add;
        Looped { nodes: wanted.then(|| (0..nodes).map(|_| AtomicU8::new(0)).collect()) }
    }

    pub fn see(&self, src: &[u32], dst: &[u32]) {
        let Some(nodes) = &self.nodes else { return };
        src.iter().zip(dst).filter(|(u, v)| u == v).for_each(|(&u, _)| nodes[u as usize].store(1, Relaxed));
    }

    /// The nodes without a loop.
    pub fn missing(&self) -> Vec<u32> {
        let nodes = self.nodes.as_deref().unwrap_or_default();
        (0..nodes.len() as u32).filter(|&node| nodes[node as usize].load(Relaxed) == 0).collect()
    }
}
