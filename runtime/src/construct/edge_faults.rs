//! Rows that no edge is made of: counted, the first of them kept, then refused or told as the declaration says.

use gsl_plan::graph::{Loops, MissingPolicy, Relation};
use gsl_tables::{Batch, Column, MISSING, Values};

use super::batches::Offenders;
use super::carried::Carried;
use super::edges::{Edges, name_of};
use super::error::{BuildError, Offender, Result};
use super::frame::ABSENT;
use super::keys;
use super::report::RelationReport;
use super::times::refuse_missing;

/// What no edge was made of.
#[derive(Default)]
pub(super) struct Counts {
    src: Offenders,
    dst: Offenders,
    relation: Offenders,
    /// Rows with a relation that is none of a closed family.
    stranger: Offenders,
    pub no_time: Offenders,
    dropped_src: u64,
    dropped_dst: u64,
    dropped_relation: u64,
    dropped_loops: u64,
}

impl Edges<'_> {
    /// Counts the rows of a batch that are no edges, and keeps the first.
    pub(super) fn note(
        &self,
        batch: &Batch,
        src: (&Column, &[u32]),
        dst: (&Column, &[u32]),
        (family, relation): (Option<&Column>, &[u32]),
    ) {
        let place =
            |row: usize| self.opened.source.place_in(batch.file, batch.first_row + row as u64).to_string();
        let global = |row: usize| batch.first_global_row + row as u64;
        let mut counts = self.counts.lock().expect("no thread panics here");
        for row in 0..src.1.len() {
            let tell = |column: &Column| Offender { found: keys::show_cell(column, row), place: place(row) };
            let (no_src, no_dst) = (src.1[row] == ABSENT, dst.1[row] == ABSENT);
            let no_relation = relation.get(row) == Some(&MISSING);
            if no_src {
                counts.src.add(global(row), || tell(src.0));
            }
            if no_dst {
                counts.dst.add(global(row), || tell(dst.0));
            }
            if no_relation {
                let named = family.filter(|column| has_text(column, row));
                let found = named.map_or(String::new(), |column| keys::show_cell(column, row));
                let offenders = if named.is_some() { &mut counts.stranger } else { &mut counts.relation };
                offenders.add(global(row), || Offender { found, place: place(row) });
            }
            match (no_src, no_dst, no_relation) {
                (true, _, _) => counts.dropped_src += 1,
                (_, true, _) => counts.dropped_dst += 1,
                (_, _, true) => counts.dropped_relation += 1,
                _ if self.edge.loops == Loops::Drop && src.1[row] == dst.1[row] => counts.dropped_loops += 1,
                _ => {}
            }
        }
    }

    /// A row that is no edge is a mistake unless the declaration says otherwise.
    pub(super) fn refuse(&self) -> Result<()> {
        let mut counts = self.counts.lock().expect("no thread panics here");
        if let Some(time) = &self.edge.time {
            refuse_missing(name_of(self.edge), time, std::mem::take(&mut counts.no_time))?;
        }
        if self.edge.missing == MissingPolicy::Drop {
            return Ok(());
        }
        let ends = [(&self.edge.src_column, self.edge.src), (&self.edge.dst_column, self.edge.dst)];
        let found = [std::mem::take(&mut counts.src), std::mem::take(&mut counts.dst)];
        for ((column, ty), offenders) in ends.into_iter().zip(found) {
            if offenders.count() > 0 {
                return Err(BuildError::DanglingEdges {
                    relation: name_of(self.edge).to_string(),
                    column: column.clone(),
                    ty: self.plan.nodes[ty].name.clone(),
                    count: offenders.count(),
                    first: offenders.named(),
                });
            }
        }
        let offenders = std::mem::take(&mut counts.stranger);
        let Relation::Column(column) = &self.edge.relation else { return Ok(()) };
        if offenders.count() > 0 {
            let (count, column) = (offenders.count(), column.clone());
            return Err(BuildError::UnknownRelations { column, count, first: offenders.named() });
        }
        let offenders = std::mem::take(&mut counts.relation);
        let count = offenders.count();
        match offenders.named().into_iter().next() {
            Some(first) => {
                Err(BuildError::MissingRelation { column: column.clone(), count, place: first.place })
            }
            None => Ok(()),
        }
    }

    /// What the report says of them.
    pub(super) fn dropped(&self, carried: &Carried) -> Result<RelationReport> {
        let counts = self.counts.lock().expect("no thread panics here");
        let drop = self.edge.missing == MissingPolicy::Drop;
        let unknown = carried.candidates.iter().map(|column| column.finish(drop));
        Ok(RelationReport {
            dropped_src: counts.dropped_src,
            dropped_dst: counts.dropped_dst,
            dropped_relation: counts.dropped_relation,
            dropped_loops: counts.dropped_loops,
            merged: self.merged.as_ref().map_or(0, |merged| merged.rows),
            unknown_candidates: unknown.sum::<Result<u64>>()?,
            ..RelationReport::default()
        })
    }
}

fn has_text(column: &Column, row: usize) -> bool {
    matches!(&column.values, Values::Text(text) if text.codes[row] != MISSING)
}
