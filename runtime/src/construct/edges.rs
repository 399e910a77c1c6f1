//! Edges of one declaration: ends to ids, policies, features, and the incoming-edge lists of each relation.
//!
//! The table is gone through in batches; each edge becomes a record (destination, source, row, features) of an external sort, whose
//! order is that of the lists. The edges of a relation are sorted by (destination, source); parallel edges by their features, then by
//! row. So the lists do not depend on the order of rows, but for the stored row numbers themselves.

use std::cmp::Ordering;
use std::sync::{Mutex, RwLock};

use gsl_plan::graph::{
    EdgeType, FeatureFacts, GraphPlan, LabelFacts, Loops, Parallel, Relation, RelationFacts, Structure,
};
use gsl_tables::{Batch, Column, Interner, MISSING, Values, Want};
use serde::{Deserialize, Serialize};

use super::batches::{Gaps, Offenders, frame_of, stream_with};
use super::candidates::CandidateColumn;
use super::carried::Carried;
use super::csc::{CscWriter, Ordered, edge_key, order, order_by};
use super::degrees::Degrees;
use super::edge_faults::Counts;
use super::edge_labels::{Around, EdgeBatch};
use super::edge_rows::Looped;
use super::edge_sorters::Sorters;
use super::ends::{RowIds, resolve};
use super::error::{BuildError, Fault, Result};
use super::feature::{self, Counted, FittedFeature, Rows, add, columns_of};
use super::fit::{Batches, fit_all};
use super::frame::{ABSENT, Frame};
use super::label::{self, FittedLabel};
use super::label_values::LabelTally;
use super::lowered::{column_name, lowered_edge};
use super::merged::{Merged, MergedBatch};
use super::nodes::{Nodes, refuse_size};
use super::report::{LabelReport, RelationReport};
use super::scratch::Scratch;
use super::sorter::{Keys, Room, Run, Sorter};
use super::stages::Arrays;
use super::store::FeatureWriter;
use super::tables::{Opened, Tables};
use super::times::{times, want_of as want_of_time};
use crate::graph::piece::{bytes_of, numbers_of};
use crate::text::Models;

/// The relations of one declaration, each followed by its reverse. `reverse_of` counts from the first of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Related {
    pub facts: Vec<RelationFacts>,
    pub reports: Vec<RelationReport>,
    pub fitted: Vec<FittedFeature>,
    pub fitted_labels: Vec<FittedLabel>,
}

/// What an earlier build has learned of a declaration.
#[derive(Clone, Serialize)]
pub struct Known<'a> {
    pub features: &'a [FittedFeature],
    pub labels: &'a [FittedLabel],
    /// Of a family, the relations that there are, in the order of texts.
    pub family: Option<Vec<&'a str>>,
}

/// A declaration with all that its edges are made from.
pub(super) struct Edges<'a> {
    pub(super) plan: &'a GraphPlan,
    /// With features of columns alone.
    pub(super) edge: &'a EdgeType,
    /// What the column of the number of merged rows is called.
    pub(super) count: &'a str,
    declared: usize,
    pub(super) opened: &'a Opened,
    src: &'a Nodes,
    pub(super) dst: &'a Nodes,
    /// The ends, the relation and the time first, then what features read.
    wanted: Vec<(String, Want)>,
    names: RwLock<Interner>,
    /// No relation but those in `names` is one.
    closed: bool,
    pub(super) counts: Mutex<Counts>,
    /// The source and the destination of each row, where the keys of their type are not held.
    resolved: [Option<RowIds>; 2],
    /// Stands in for the table where parallel edges are merged.
    pub(super) merged: Option<Merged>,
}

/// The edges of a batch.
pub(super) struct Kept {
    pub frame: Frame,
    /// Row of the first row of the batch in the table.
    pub first: u64,
    pub rows: Vec<u32>,
    pub src: Vec<u32>,
    pub dst: Vec<u32>,
    /// Codes of relations in the order of their appearance; empty for a single one.
    pub relation: Vec<u32>,
    /// Empty where edges have none.
    pub times: Vec<i64>,
}

/// Builds the relations of one declaration; arrays are named `INDEX/ARRAY`, counted from the first of them.
pub fn build(
    plan: &GraphPlan,
    declared: usize,
    tables: &Tables,
    nodes: &[Nodes],
    known: Option<&Known>,
    scratch: &Scratch,
) -> Result<(Related, Arrays)> {
    let opened = tables.get(&plan.edges[declared].source);
    let count = column_name(plan, &Structure::Count, &|name| opened.has(name));
    let edge = lowered_edge(&plan.edges[declared], &count);
    let owner = name_of(&edge);
    let (src, dst) = (&nodes[edge.src], &nodes[edge.dst]);
    let is_known = known.is_some();
    let around = Around { edge: &edge, owner, src, dst, tables, seed: plan.seed, count: &count, is_known };
    let mut edges = Edges::new(plan, declared, tables, nodes, &edge, &count);
    if let Some(family) = known.and_then(|known| known.family.as_ref()) {
        edges.close(family)?;
    }
    edges.resolve(scratch)?;
    if edge.parallel != Parallel::Keep {
        edges.merged = Some(edges.merge(&around, scratch)?);
    }
    let fitted = match known {
        Some(known) => known.features.to_vec(),
        None => fit_all(owner, &edge.features, &edges, scratch)?,
    };
    let carried = edges.carried(&around, known, scratch)?;
    let sorters = edges.deal(&fitted, &carried, scratch)?;
    edges.relate(sorters, fitted, &carried, is_known, scratch)
}

pub fn name_of(edge: &EdgeType) -> &str {
    match &edge.relation {
        Relation::Named(name) | Relation::Column(name) => name,
    }
}

impl<'a> Edges<'a> {
    fn new(
        plan: &'a GraphPlan,
        declared: usize,
        tables: &'a Tables,
        nodes: &'a [Nodes],
        edge: &'a EdgeType,
        count: &'a str,
    ) -> Self {
        let (src, dst) = (&nodes[edge.src], &nodes[edge.dst]);
        let mut wanted = Vec::new();
        add(&mut wanted, &edge.src_column, src.keys.want());
        add(&mut wanted, &edge.dst_column, dst.keys.want());
        if let Relation::Column(column) = &edge.relation {
            add(&mut wanted, column, Want::Text);
        }
        let opened = tables.get(&edge.source);
        if let Some(time) = &edge.time {
            add(&mut wanted, time, want_of_time(opened, time));
        }
        Self {
            plan,
            edge,
            count,
            declared,
            opened,
            src,
            dst,
            wanted,
            names: RwLock::default(),
            closed: false,
            counts: Mutex::default(),
            resolved: [None, None],
            merged: None,
        }
    }

    /// From now on these are all the relations of the family.
    fn close(&mut self, family: &[&str]) -> Result<()> {
        let names = self.names.get_mut().expect("no thread panics here");
        for name in family {
            names.intern(name).ok_or_else(|| too_many_relations(self.edge))?;
        }
        self.closed = true;
        Ok(())
    }

    /// Finds the ends whose keys are not held.
    fn resolve(&mut self, scratch: &Scratch) -> Result<()> {
        let columns = [self.edge.src_column.as_str(), self.edge.dst_column.as_str()];
        let types = [self.edge.src, self.edge.dst];
        for (end, nodes) in [self.src, self.dst].into_iter().enumerate() {
            if nodes.is_held() || self.resolved[end].is_some() {
                continue;
            }
            let ends: Vec<usize> = (end..2).filter(|&other| types[other] == types[end]).collect();
            let named: Vec<&str> = ends.iter().map(|&end| columns[end]).collect();
            for (end, ids) in ends.into_iter().zip(resolve(self.opened, &named, nodes, scratch)?) {
                self.resolved[end] = Some(ids);
            }
        }
        Ok(())
    }

    /// The nodes at one end of the rows of a batch, whose keys are in column `at` of it.
    fn ids(&self, end: usize, batch: &Batch, at: usize, seen: &mut Vec<u32>) -> Result<Vec<u32>> {
        let column = &batch.columns[at];
        match &self.resolved[end] {
            Some(ids) => ids.read(batch.first_global_row, column.len()),
            None => Ok([self.src, self.dst][end].whole().find_all_seen(column, batch.known[at], seen)),
        }
    }

    /// The ends and the relation, then `columns`.
    pub(super) fn wanted_with(&self, columns: &[(String, Want)]) -> Vec<(String, Want)> {
        let mut wanted = self.wanted.clone();
        let stored = columns.iter().filter(|(name, _)| name != self.count);
        stored.for_each(|(name, want)| add(&mut wanted, name, *want));
        wanted
    }

    /// Which rows of a batch are edges, and between which nodes. `seen` are the ids of texts that earlier batches of its run had.
    pub(super) fn keep(
        &self,
        batch: Batch,
        wanted: &[(String, Want)],
        seen: &mut [Vec<u32>; 2],
    ) -> Result<Kept> {
        let at = |name: &str, want: Want| {
            let found = wanted.iter().position(|(known, w)| known == name && *w == want);
            found.ok_or_else(|| Fault::NoColumn { column: name.to_string() })
        };
        let (src_at, dst_at) = (
            at(&self.edge.src_column, self.src.keys.want())?,
            at(&self.edge.dst_column, self.dst.keys.want())?,
        );
        let (src_column, dst_column) = (&batch.columns[src_at], &batch.columns[dst_at]);
        let src = self.ids(0, &batch, src_at, &mut seen[0])?;
        let dst = self.ids(1, &batch, dst_at, &mut seen[1])?;
        let family = match &self.edge.relation {
            Relation::Named(_) => None,
            Relation::Column(column) => Some(&batch.columns[at(column, Want::Text)?]),
        };
        let relation = family.map(|column| self.codes(column)).transpose()?.unwrap_or_default();
        let first = batch.first_global_row;
        refuse_size(&format!("rows of `{}`", name_of(self.edge)), first + src.len() as u64)?;
        let drops_loops = self.edge.loops == Loops::Drop;
        let whole = |row: usize| {
            let is_loop = drops_loops && src[row] == dst[row];
            let has_relation = relation.get(row).is_none_or(|&code| code != MISSING);
            src[row] != ABSENT && dst[row] != ABSENT && has_relation && !is_loop
        };
        let rows: Vec<u32> = (0..src.len()).filter(|&row| whole(row)).map(|row| row as u32).collect();
        if rows.len() < src.len() {
            self.note(&batch, (src_column, &src), (dst_column, &dst), (family, &relation));
        }
        let all = rows.len() == src.len();
        let pick = |of: Vec<u32>| -> Vec<u32> {
            if all || of.is_empty() { of } else { rows.iter().map(|&row| of[row as usize]).collect() }
        };
        let (src, dst, relation) = (pick(src), pick(dst), pick(relation));
        let mut frame = frame_of(self.opened, batch, wanted, (!all).then(|| rows.clone()));
        if self.edge.labels.iter().any(gsl_plan::graph::Label::is_count) {
            frame.add_numbers(self.count, vec![1.0; rows.len()]);
        }
        let times = self.times(&frame, first)?;
        Ok(Kept { frame, first, rows, src, dst, relation, times })
    }

    fn times(&self, frame: &Frame, first: u64) -> Result<Vec<i64>> {
        let Some(time) = &self.edge.time else { return Ok(Vec::new()) };
        let column = frame.column(time, want_of_time(self.opened, time))?;
        let mut missing = Offenders::default();
        let all = times(column, first, &mut missing, |row| frame.place(Some(time), row).unwrap_or_default());
        if missing.count() > 0 {
            self.counts.lock().expect("no thread panics here").no_time.merge(missing);
        }
        Ok(all)
    }

    /// Calls `each` for the edges, merged if they are, in batches.
    pub(super) fn each_kept(
        &self,
        columns: &[(String, Want)],
        each: &(dyn Fn(Kept) -> Result<()> + Sync),
    ) -> Result<()> {
        let Some(merged) = &self.merged else {
            let wanted = self.wanted_with(columns);
            let each = |seen: &mut [Vec<u32>; 2], batch: Batch| each(self.keep(batch, &wanted, seen)?);
            *self.counts.lock().expect("no thread panics here") = Counts::default();
            stream_with(self.opened, &wanted, &Default::default, &each)?;
            return self.refuse();
        };
        merged.each(columns, &|batch| {
            let MergedBatch { frame, relation, rows, src, dst, times } = batch;
            let relation = if self.is_single() { Vec::new() } else { vec![relation; rows.len()] };
            each(Kept { frame, first: 0, rows, src, dst, relation, times })
        })
    }

    /// Names of the relations by their codes.
    pub(super) fn relation_names(&self) -> Vec<String> {
        match &self.edge.relation {
            Relation::Named(name) => vec![name.clone()],
            Relation::Column(_) => {
                let names = self.names.read().expect("no thread panics here");
                names.values().iter().map(str::to_string).collect()
            }
        }
    }

    /// Codes of the relations of a batch.
    fn codes(&self, column: &Column) -> Result<Vec<u32>> {
        let Values::Text(text) = &column.values else { return Ok(vec![MISSING; column.len()]) };
        let used = text.used();
        let mut codes = vec![MISSING; text.values.len()];
        let mut names = self.names.write().expect("no thread panics here");
        for code in (0..codes.len()).filter(|&code| used[code]) {
            let name = text.values.get(code as u32);
            codes[code] = match self.closed {
                true => names.get(name).unwrap_or(MISSING),
                false => names.intern(name).ok_or_else(|| too_many_relations(self.edge))?,
            };
        }
        let code = |&code: &u32| if code == MISSING { MISSING } else { codes[code as usize] };
        Ok(text.codes.iter().map(code).collect())
    }

    /// Sorters for the relations, whose payloads have so many bytes besides the row.
    pub(super) fn sorters<'b>(&self, payload: usize, scratch: &'b Scratch) -> Sorters<'b> {
        let room = Room::of(scratch.memory / if self.edge.reverse.is_some() { 5 } else { 3 } * 2);
        let sorters = Sorters {
            all: RwLock::default(),
            scratch,
            room,
            keys: Keys::pairs(self.dst.len(), self.src.len()),
            payload: 4 + payload,
            expected: self.opened.rows().unwrap_or(1 << 20) / if self.is_single() { 1 } else { 64 },
        };
        if self.is_single() {
            sorters.make_upto(1);
        }
        sorters
    }

    /// The sorters of all relations, by their codes.
    pub(super) fn finished(&self, sorters: Sorters) -> Vec<Sorter> {
        if !self.is_single() {
            sorters.make_upto(self.names.read().expect("no thread panics here").len());
        }
        sorters.all.into_inner().expect("no thread panics here")
    }

    /// Every edge to the sorter of its relation.
    fn deal(&self, fitted: &[FittedFeature], carried: &Carried, scratch: &Scratch) -> Result<Vec<Dealt>> {
        let mut columns = Vec::new();
        self.edge.features.iter().for_each(|feature| columns_of(&feature.expr, &mut columns));
        carried.labels.iter().for_each(|label| label.columns(&mut columns));
        let candidates = carried.candidates.iter().map(CandidateColumn::column);
        candidates.for_each(|(name, want)| add(&mut columns, &name, want));
        let widths: Vec<usize> =
            fitted.iter().map(|feature| 4 * feature.width).chain(carried.bytes()).collect();
        let sorters = self.sorters(widths.iter().sum(), scratch);
        let (gaps, counted) = (Gaps::default(), FeatureInputs::default());
        let looped = Looped::new(self.edge, self.src.len());
        self.each_kept(&columns, &|kept| {
            let features = self.features(&kept, fitted, &gaps, &counted)?;
            let rest =
                carried.of(&kept.batch(&self.relation_names()), &kept.times, kept.first, &kept.rows)?;
            looped.see(&kept.src, &kept.dst);
            let bytes =
                features.iter().map(|rows| bytes_of(&rows.data)).chain(rest.iter().map(Vec::as_slice));
            let arrays: Vec<(usize, &[u8])> = widths.iter().copied().zip(bytes).collect();
            sorters.push(&kept, &arrays)
        })?;
        let lonely = looped.missing();
        self.add_loops(&lonely, &columns, fitted, carried, (&gaps, &counted), &sorters)?;
        gaps.finish()?;
        carried.labels.iter().try_for_each(|label| label.finish())?;
        let mut inputs = counted.into_inner().expect("no thread panics here").into_iter();
        let of_relation = |sorter| Dealt {
            sorter,
            inputs: inputs.next().unwrap_or_else(|| vec![Counted::default(); fitted.len()]),
            loops: lonely.len() as u64,
        };
        Ok(self.finished(sorters).into_iter().map(of_relation).collect())
    }

    pub(super) fn is_single(&self) -> bool {
        matches!(self.edge.relation, Relation::Named(_))
    }

    /// The features of the edges of a batch; empty where values are missing, which is told in the end.
    pub(super) fn features(
        &self,
        kept: &Kept,
        fitted: &[FittedFeature],
        gaps: &Gaps,
        counted: &FeatureInputs,
    ) -> Result<Vec<Rows>> {
        let mut all = Vec::with_capacity(fitted.len());
        let kinds = kept.relation.iter().max().map_or(1, |most| *most as usize + 1);
        let mut inputs = vec![vec![Counted::default(); fitted.len()]; kinds];
        for (index, (declared, fitted)) in self.edge.features.iter().zip(fitted).enumerate() {
            feature::each_missing_input(declared, &kept.frame, &mut |row| {
                let kind = kept.relation.get(row).map_or(0, |kind| *kind as usize);
                inputs[kind][index].missing += 1;
            });
            let rows = match feature::apply_declared(name_of(self.edge), declared, fitted, &kept.frame) {
                Ok(rows) => rows,
                Err(error) => {
                    gaps.take(index, kept.first, error)?;
                    let data = vec![0.0; kept.rows.len() * fitted.width];
                    Rows { width: fitted.width, data, cut: 0 }
                }
            };
            inputs[0][index].cut += rows.cut;
            all.push(rows);
        }
        add_counts(&mut counted.lock().expect("no thread panics here"), &inputs);
        Ok(all)
    }

    /// The relations by name, each with its arrays and those of its reverse.
    fn relate(
        &self,
        dealt: Vec<Dealt>,
        fitted: Vec<FittedFeature>,
        carried: &Carried,
        is_known: bool,
        scratch: &Scratch,
    ) -> Result<(Related, Arrays)> {
        let mut named: Vec<(String, Dealt)> = self.relation_names().into_iter().zip(dealt).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let fitted_labels = carried.labels.iter().map(|label| label.fitted.clone()).collect();
        let mut related = Related { facts: Vec::new(), reports: Vec::new(), fitted, fitted_labels };
        let (mut arrays, mut totals) = (Vec::new(), Vec::<LabelTally>::new());
        for (index, (name, dealt)) in named.into_iter().enumerate() {
            let first = related.facts.len();
            let mut facts = self.facts_of(&name, dealt.sorter.records(), &related.fitted);
            let mut report = if index == 0 { self.dropped(carried)? } else { RelationReport::default() };
            report.name.clone_from(&name);
            let reverse = self.edge.reverse.as_ref().map(|reverse| self.reverse_of(reverse, first, &facts));
            let (found, labels, tallies) =
                self.arrays(dealt, &facts, carried, reverse.is_some(), first, &mut report, scratch)?;
            arrays.extend(found);
            facts.labels = labels;
            match totals.is_empty() {
                true => totals = tallies,
                false => totals.iter_mut().zip(&tallies).for_each(|(all, one)| all.merge(one)),
            }
            related.facts.push(facts);
            related.facts.extend(reverse);
            related.reports.push(report);
        }
        let reports = check_labels(carried, &totals, is_known)?;
        if let Some(first) = related.reports.first_mut() {
            first.labels = reports;
        }
        Ok((related, arrays))
    }

    fn facts_of(&self, name: &str, edges: u64, fitted: &[FittedFeature]) -> RelationFacts {
        let feature = |(declared, fitted): (&gsl_plan::graph::Feature, &FittedFeature)| FeatureFacts {
            name: declared.name.clone(),
            width: fitted.width,
            storage: declared.storage,
        };
        RelationFacts {
            name: name.to_string(),
            src: self.edge.src,
            dst: self.edge.dst,
            edges,
            reverse_of: None,
            declared_by: self.declared,
            features: self.edge.features.iter().zip(fitted).map(feature).collect(),
            time: self.edge.time.is_some(),
            ..RelationFacts::default()
        }
    }

    fn reverse_of(&self, reverse: &str, index: usize, facts: &RelationFacts) -> RelationFacts {
        let name = if self.is_single() { reverse.to_string() } else { format!("{reverse}_{}", facts.name) };
        RelationFacts { name, src: facts.dst, dst: facts.src, reverse_of: Some(index), ..facts.clone() }
    }

    /// The lists of one relation and, if wanted, of its reverse; and what its labels come to.
    #[allow(clippy::too_many_arguments)]
    fn arrays(
        &self,
        dealt: Dealt,
        facts: &RelationFacts,
        carried: &Carried,
        reversed: bool,
        first: usize,
        report: &mut RelationReport,
        scratch: &Scratch,
    ) -> Result<(Arrays, Vec<LabelFacts>, Vec<LabelTally>)> {
        refuse_size(&format!("edges of `{}`", facts.name), facts.edges)?;
        let widths: Vec<usize> = facts.features.iter().map(|feature| feature.width).collect();
        let bytes: Vec<usize> = widths.iter().map(|width| 4 * width).chain(carried.bytes()).collect();
        let out_degrees = Degrees::new(self.src.len(), scratch.memory);
        let reverse = reversed.then(|| {
            let room = Room::of(scratch.memory / 5 * 2);
            Sorter::new(scratch, Keys::pairs(self.src.len(), self.dst.len()), 4, facts.edges, &room)
        });
        let process = |run: Run| {
            let ordered = match bytes.is_empty() {
                true => order(&run),
                false => order_by(&run, &compare_floats),
            };
            out_degrees.count(&ordered.tails);
            if let Some(reverse) = &reverse {
                push_turned(&ordered, run.start, reverse)?;
            }
            let columns = split_columns(&run, &ordered.order, &bytes);
            Ok((ordered, columns))
        };
        let mut csc = CscWriter::new(scratch, self.dst.len() as u64);
        let mut columns: Vec<FeatureWriter> = facts
            .features
            .iter()
            .map(|feature| FeatureWriter::new(scratch, feature.storage, feature.width))
            .collect();
        let mut rest = carried.writers(scratch);
        dealt.sorter.finish().drain(scratch.memory / 5, &process, &mut |(ordered, arrays): (
            Ordered,
            Vec<Vec<u8>>,
        )| {
            report.parallel += ordered.parallel;
            if self.edge.src == self.edge.dst {
                report.self_loops += ordered.loops;
            }
            let (features, others) = arrays.split_at(widths.len());
            for (column, data) in columns.iter_mut().zip(features) {
                column.put(&numbers_of::<f32>(data).collect::<Vec<f32>>())?;
            }
            rest.put(others)?;
            csc.add(&ordered)
        })?;
        let csc = csc.finish()?;
        report.edges = facts.edges;
        report.added_loops = dealt.loops;
        report.max_in_degree = csc.max_degree;
        report.max_out_degree = out_degrees.most();
        let mut arrays = vec![
            (format!("{first}/indptr"), csc.indptr),
            (format!("{first}/src"), csc.tails),
            (format!("{first}/row"), csc.words),
        ];
        for (index, column) in columns.into_iter().enumerate() {
            let feature = &facts.features[index];
            report.features.push(column.tally().report(&feature.name, feature.width, dealt.inputs[index]));
            for (kind, piece) in column.finish()? {
                arrays.push((format!("{first}/{kind}/{}", feature.name), piece));
            }
        }
        let (others, labels, tallies) = rest.finish(first)?;
        arrays.extend(others);
        if let Some(reverse) = reverse {
            arrays.extend(self.turned(reverse, first + 1, scratch)?);
        }
        Ok((arrays, labels, tallies))
    }

    /// The lists of the reverse: positions in the forward lists stand where those have rows.
    fn turned(&self, reverse: Sorter, index: usize, scratch: &Scratch) -> Result<Arrays> {
        let mut csc = CscWriter::new(scratch, self.src.len() as u64);
        reverse
            .finish()
            .drain(scratch.memory / 5, &|run| Ok(order(&run)), &mut |ordered| csc.add(&ordered))?;
        let csc = csc.finish()?;
        Ok(vec![
            (format!("{index}/indptr"), csc.indptr),
            (format!("{index}/src"), csc.tails),
            (format!("{index}/row"), csc.words),
        ])
    }
}

impl Kept {
    /// The edges for labels; `names` are those of the relations by code.
    pub fn batch<'b>(&'b self, names: &'b [String]) -> EdgeBatch<'b> {
        let (src, dst, relation) = (&self.src, &self.dst, &self.relation);
        EdgeBatch { frame: &self.frame, src, dst, names, relation }
    }
}

/// The edges, as the rows that features learn from.
impl Batches for Edges<'_> {
    fn for_each(
        &self,
        columns: &[(String, Want)],
        each: &(dyn Fn(&Frame) -> Result<()> + Sync),
    ) -> Result<()> {
        self.each_kept(columns, &|kept| each(&kept.frame))
    }

    fn models(&self) -> Models {
        self.opened.models.clone()
    }
}

/// Refuses labels that cannot be learned from all relations together.
fn check_labels(carried: &Carried, totals: &[LabelTally], is_known: bool) -> Result<Vec<LabelReport>> {
    let mut reports = Vec::new();
    for (label, tally) in carried.labels.iter().zip(totals) {
        let mut report = LabelReport { other_words: label.other_words(), ..LabelReport::default() };
        label::check(label.cells(), tally, &label.fitted.classes, is_known, &mut report)?;
        report.see_strangers(label.strangers());
        reports.push(report);
    }
    Ok(reports)
}

/// What is counted of the inputs of each feature, by the code of the relation; texts that are cut at the first of them.
pub(super) type FeatureInputs = Mutex<Vec<Vec<Counted>>>;

fn add_counts(all: &mut Vec<Vec<Counted>>, more: &[Vec<Counted>]) {
    for (kind, more) in more.iter().enumerate() {
        match all.get_mut(kind) {
            Some(known) => known.iter_mut().zip(more).for_each(|(known, more)| *known += *more),
            None => all.push(more.clone()),
        }
    }
}

/// The edges of a relation, and what is counted of the inputs of each feature of the declaration.
struct Dealt {
    sorter: Sorter,
    inputs: Vec<Counted>,
    /// Loops that were added.
    loops: u64,
}

fn too_many_relations(edge: &EdgeType) -> BuildError {
    let what = format!("relations of `{}`", name_of(edge));
    BuildError::TooMany { what, count: u64::from(u32::MAX) }
}

/// Orders two rows of features by their numbers from left to right.
fn compare_floats(a: &[u8], b: &[u8]) -> Ordering {
    numbers_of::<f32>(a)
        .zip(numbers_of::<f32>(b))
        .map(|(x, y)| x.total_cmp(&y))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The arrays of a run in its order, each of so many bytes for each edge.
fn split_columns(run: &Run, order: &[u32], bytes: &[usize]) -> Vec<Vec<u8>> {
    let mut at = 4;
    let one = |&bytes: &usize| {
        let mut data = Vec::with_capacity(order.len() * bytes);
        for &index in order {
            data.extend_from_slice(&run.payload(index as usize)[at..at + bytes]);
        }
        at += bytes;
        data
    };
    bytes.iter().map(one).collect()
}

/// Gives the edges of a run, which begins at position `start` of the forward lists, to the sorter of the reverse.
fn push_turned(ordered: &Ordered, start: u64, reverse: &Sorter) -> Result<()> {
    let mut keys = Vec::with_capacity(ordered.tails.len());
    let mut at = 0;
    for &(head, count) in &ordered.heads {
        keys.extend(ordered.tails[at..at + count as usize].iter().map(|&tail| edge_key(tail, head)));
        at += count as usize;
    }
    let positions: Vec<u32> = (0..keys.len() as u32).map(|index| start as u32 + index).collect();
    reverse.push(&keys, bytes_of(&positions))
}
