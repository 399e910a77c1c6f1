//! Features of the nodes of a type: fitted and computed in batches of table rows, stored in the order of the nodes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use gsl_plan::graph::{Feature, NodeType, Storage};
use gsl_tables::Want;
use serde::{Deserialize, Serialize};

use super::batches::{Gaps, frame_of, missing_row, stream};
use super::error::{BuildError, Fault, Result};
use super::feature::{self, Counted, FittedFeature, Rows, add, columns_of};
use super::fit::{Batches, fit_all};
use super::frame::{ABSENT, Frame, Stands};
use super::nodes::{Alignment, home_of, whole_frame};
use super::report::FeatureReport;
use super::scratch::Scratch;
use super::sink::RowSink;
use super::stages::Arrays;
use super::store::FeatureWriter;
use super::tables::{Opened, Tables};
use crate::graph::piece::{bytes_of, numbers_of};
use crate::text::Models;

/// What is known of a computed feature besides its numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeatureDone {
    pub fitted: FittedFeature,
    pub report: FeatureReport,
}

/// Features by their index in the type's declaration.
pub type Computed = BTreeMap<usize, (FeatureDone, Arrays)>;

/// The nodes of a type, with all that their features are computed from.
pub struct NodeRows<'a> {
    pub ty: &'a NodeType,
    pub tables: &'a Tables,
    pub alignments: &'a [Alignment],
    pub count: usize,
    /// Which nodes statistics are learned from; none: all.
    pub train: Option<&'a [bool]>,
    /// Columns of numbers that no table has.
    pub computed: &'a [(String, Vec<f64>)],
}

/// Where the columns of a feature are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Home {
    /// All in this table of the type.
    Table(usize),
    /// In several tables, or nowhere: the feature is computed of all nodes at once.
    Whole,
}

impl NodeRows<'_> {
    /// Computes the features with the indices `wanted`; one that is `known` learns nothing.
    pub fn compute<'k>(
        &self,
        wanted: &[usize],
        known: &dyn Fn(usize) -> Option<&'k FittedFeature>,
        scratch: &Scratch,
    ) -> Result<Computed> {
        let mut groups: BTreeMap<Home, Vec<usize>> = BTreeMap::new();
        for &at in wanted {
            groups.entry(self.home(&self.ty.features[at])).or_default().push(at);
        }
        let mut computed = Computed::new();
        for (home, group) in groups {
            computed.extend(match home {
                Home::Table(table) => self.of_table(table, &group, known, scratch)?,
                Home::Whole => self.of_whole(&group, known, scratch)?,
            });
        }
        Ok(computed)
    }

    fn home(&self, feature: &Feature) -> Home {
        let mut columns = Vec::new();
        columns_of(&feature.expr, &mut columns);
        if columns.iter().any(|(name, _)| self.is_computed(name)) {
            return Home::Whole;
        }
        let mut homes = columns.iter().map(|(name, _)| home_of(self.ty, self.tables, name));
        match homes.next() {
            Some(first) if homes.all(|home| home == first) => Home::Table(first),
            _ => Home::Whole,
        }
    }

    fn is_computed(&self, column: &str) -> bool {
        self.computed.iter().any(|(name, _)| name == column)
    }

    fn fit<'k>(
        &self,
        group: &[usize],
        known: &dyn Fn(usize) -> Option<&'k FittedFeature>,
        batches: &dyn Batches,
        scratch: &Scratch,
    ) -> Result<Vec<FittedFeature>> {
        let unknown: Vec<Feature> =
            group.iter().filter(|&&at| known(at).is_none()).map(|&at| self.ty.features[at].clone()).collect();
        let mut learned = fit_all(&self.ty.name, &unknown, batches, scratch)?.into_iter();
        let one =
            |&at: &usize| known(at).cloned().or_else(|| learned.next()).expect("all others were fitted");
        Ok(group.iter().map(one).collect())
    }

    fn of_table<'k>(
        &self,
        table: usize,
        group: &[usize],
        known: &dyn Fn(usize) -> Option<&'k FittedFeature>,
        scratch: &Scratch,
    ) -> Result<Computed> {
        let opened = self.tables.get(&self.ty.sources[table]);
        let alignment = &self.alignments[table];
        let rows = TableRows { opened, ids: alignment.ids.as_deref(), train: self.train };
        let fitted = self.fit(group, known, &rows, &scratch.with_memory(scratch.memory / 2))?;
        let mut columns = Vec::new();
        group.iter().for_each(|&at| columns_of(&self.ty.features[at].expr, &mut columns));
        let sinks = self.sinks(&fitted, scratch);
        let (gaps, counted) = (Gaps::default(), Mutex::new(vec![Counted::default(); group.len()]));
        let take = |frame: &Frame, ids: &[u32], first: u64, times: u64| -> Result<()> {
            for (index, (fitted, &at)) in fitted.iter().zip(group).enumerate() {
                let mut inputs = Counted {
                    missing: times * feature::missing_inputs(&self.ty.features[at], frame),
                    ..Counted::default()
                };
                match feature::apply_declared(&self.ty.name, &self.ty.features[at], fitted, frame) {
                    Ok(rows) => {
                        inputs.cut = rows.cut;
                        put_rows(&sinks[index], ids, &rows)?;
                    }
                    Err(error) => gaps.take(index, first, multiplied(error, times))?,
                }
                counted.lock().expect("no thread panics here")[index] += inputs;
            }
            Ok(())
        };
        rows.each(&columns, &|frame, ids, first| take(frame, ids, first, 1))?;
        if alignment.nodes_without_row > 0 {
            let of = alignment.rows.as_deref().unwrap_or_default();
            let lacking: Vec<u32> = (0..self.count as u32).filter(|&id| of[id as usize] == ABSENT).collect();
            let frame = missing_row(opened, &columns, Stands::Nowhere);
            take(&frame, &lacking, u64::MAX, lacking.len() as u64)?;
        }
        gaps.finish()?;
        let counted = counted.into_inner().expect("no thread panics here");
        let mut computed = Computed::new();
        for (((fitted, sink), &at), inputs) in fitted.into_iter().zip(sinks).zip(group).zip(counted) {
            let storage = self.ty.features[at].storage;
            computed.insert(at, store(fitted, storage, sink, inputs, scratch)?);
        }
        Ok(computed)
    }

    /// One sink for each feature; they share most of the memory by their widths.
    fn sinks(&self, fitted: &[FittedFeature], scratch: &Scratch) -> Vec<RowSink> {
        let total: usize = fitted.iter().map(|fitted| fitted.width).sum();
        let share = |width: usize| (scratch.memory as f64 * 0.6 * width as f64 / total.max(1) as f64) as u64;
        fitted
            .iter()
            .map(|fitted| RowSink::new(scratch, self.count, 4 * fitted.width, share(fitted.width)))
            .collect()
    }

    /// Features that no single table has all columns of: their columns are held for all nodes at once.
    fn of_whole<'k>(
        &self,
        group: &[usize],
        known: &dyn Fn(usize) -> Option<&'k FittedFeature>,
        scratch: &Scratch,
    ) -> Result<Computed> {
        let mut columns: Vec<(String, Want)> = Vec::new();
        group.iter().for_each(|&at| columns_of(&self.ty.features[at].expr, &mut columns));
        let wanted = self.count as u64 * 16 * (columns.len() + group.len()) as u64;
        if wanted > scratch.memory {
            return Err(BuildError::Memory {
                what: format!("features of `{}` that read columns of several tables", self.ty.name),
                wanted,
                memory: scratch.memory,
            });
        }
        columns.retain(|(name, _)| !self.is_computed(name));
        let mut frame = whole_frame(self.ty, self.tables, self.count, self.alignments, &columns)?;
        self.computed.iter().for_each(|(name, numbers)| frame.add_numbers(name, numbers.clone()));
        frame.trains = self.train.map(<[bool]>::to_vec);
        let mut computed = Computed::new();
        for (fitted, &at) in self.fit(group, known, &frame, scratch)?.into_iter().zip(group) {
            let missing = feature::missing_inputs(&self.ty.features[at], &frame);
            let declared = &self.ty.features[at];
            let rows = feature::apply_declared(&self.ty.name, declared, &fitted, &frame)?;
            let mut stored = FeatureWriter::new(scratch, declared.storage, fitted.width);
            stored.put(&rows.data)?;
            computed.insert(at, done(fitted, stored, Counted { missing, cut: rows.cut })?);
        }
        Ok(computed)
    }
}

/// All nodes that lack a row have the fault of the one that stands for them.
fn multiplied(error: BuildError, times: u64) -> BuildError {
    match error {
        BuildError::Feature { owner, feature, fault: Fault::Missing { count }, place } => {
            BuildError::Feature { owner, feature, fault: Fault::Missing { count: count * times }, place }
        }
        other => other,
    }
}

/// Puts rows into a sink; a single row is that of all the nodes.
fn put_rows(sink: &RowSink, ids: &[u32], rows: &Rows) -> Result<()> {
    let row = bytes_of(&rows.data);
    if rows.data.len() == ids.len() * rows.width {
        return sink.put(ids, row);
    }
    ids.chunks(1 << 12).try_for_each(|ids| sink.put(ids, &row.repeat(ids.len())))
}

fn store(
    fitted: FittedFeature,
    storage: Storage,
    sink: RowSink,
    inputs: Counted,
    scratch: &Scratch,
) -> Result<(FeatureDone, Arrays)> {
    let mut stored = FeatureWriter::new(scratch, storage, fitted.width);
    sink.finish(scratch.memory / 3, &mut |rows| stored.put(&numbers_of::<f32>(rows).collect::<Vec<f32>>()))?;
    done(fitted, stored, inputs)
}

fn done(fitted: FittedFeature, stored: FeatureWriter, inputs: Counted) -> Result<(FeatureDone, Arrays)> {
    let report = stored.tally().report(&fitted.name, fitted.width, inputs);
    let arrays = stored.finish()?.into_iter().map(|(kind, piece)| (kind.to_string(), piece)).collect();
    Ok((FeatureDone { fitted, report }, arrays))
}

/// Takes the rows of a batch that are nodes, which nodes they are, and the number of the batch's first row.
type EachRows<'a> = &'a (dyn Fn(&Frame, &[u32], u64) -> Result<()> + Sync);

/// The rows of one table of a type that are nodes.
struct TableRows<'a> {
    opened: &'a Opened,
    /// The node of each row, [`ABSENT`] where it has none; none: row i is node i.
    ids: Option<&'a [u32]>,
    train: Option<&'a [bool]>,
}

impl TableRows<'_> {
    /// Calls `each` with the rows of a batch that are nodes, which nodes they are, and the number of the batch's first row.
    fn each(&self, columns: &[(String, Want)], each: EachRows) -> Result<()> {
        let mut wanted = Vec::new();
        columns.iter().for_each(|(name, want)| add(&mut wanted, name, *want));
        stream(self.opened, &wanted, &|batch| {
            let (first, count) = (batch.first_global_row, batch.columns[0].len());
            let (ids, kept) = match self.ids {
                None => ((first as u32..first as u32 + count as u32).collect(), None),
                Some(all) => among(&all[first as usize..first as usize + count]),
            };
            let mut frame = frame_of(self.opened, batch, &wanted, kept);
            frame.trains = self.train.map(|train| ids.iter().map(|&id| train[id as usize]).collect());
            each(&frame, &ids, first)
        })
        .map(drop)
    }
}

/// The nodes among the rows of a batch, and which rows they are unless it is all of them.
fn among(ids: &[u32]) -> (Vec<u32>, Option<Vec<u32>>) {
    if !ids.contains(&ABSENT) {
        return (ids.to_vec(), None);
    }
    let kept: Vec<u32> = (0..ids.len() as u32).filter(|&row| ids[row as usize] != ABSENT).collect();
    (kept.iter().map(|&row| ids[row as usize]).collect(), Some(kept))
}

impl Batches for TableRows<'_> {
    fn for_each(
        &self,
        columns: &[(String, Want)],
        each: &(dyn Fn(&Frame) -> Result<()> + Sync),
    ) -> Result<()> {
        self.each(columns, &|frame, _, _| each(frame))
    }

    fn models(&self) -> Models {
        self.opened.models.clone()
    }
}
