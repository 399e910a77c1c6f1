//! Labels and splits of edges, for the edges of one declaration: learned in passes over them, applied to any batch of them.
//!
//! A random split is a function of the seed, the relation's name and the keys of both ends: parallel edges share a part. A stratified
//! one cuts the same numbers at exact shares of each class, edges with one number together.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use gsl_plan::graph::{Bound, EdgeType, Label, LabelKind, Part, Relation, Source, Split};
use gsl_tables::{MISSING, Values, Want};
use rustc_hash::FxHashMap;

use super::csc::edge_key;
use super::error::{BuildError, Offender, Result};
use super::feature::add;
use super::frame::{ABSENT, Frame};
use super::keys::show_cell;
use super::known::Strangers;
use super::label::FittedLabel;
use super::label_values::{
    Cells, Seen, fitted, is_labelled, nothing, strangers, transformed, values, want_of, width_of,
};
use super::nodes::{NAMED, Nodes};
use super::part_words::OtherWords;
use super::scratch::Scratch;
use super::split::{EdgeDraws, PARTS, by_bounds, by_words, check_fractions, part_of};
use super::tables::Tables;

/// Some edges, with the columns of their rows.
pub struct EdgeBatch<'a> {
    pub frame: &'a Frame,
    pub src: &'a [u32],
    pub dst: &'a [u32],
    /// The relations that the edges are of, by name, and which of them each is of; empty: all are of the first.
    pub names: &'a [String],
    pub relation: &'a [u32],
}

/// Calls a function for all edges, in batches that may come in any order and from several threads.
pub type EachBatch<'a> =
    &'a dyn Fn(&[(String, Want)], &(dyn Fn(&EdgeBatch) -> Result<()> + Sync)) -> Result<()>;

/// What the labels of edges are found from.
pub struct Around<'a> {
    pub edge: &'a EdgeType,
    pub owner: &'a str,
    pub src: &'a Nodes,
    pub dst: &'a Nodes,
    pub tables: &'a Tables,
    pub seed: u64,
    /// The column that the number of merged rows stands in.
    pub count: &'a str,
    /// New tables for a trained model: columns of labels and of splits may be absent.
    pub is_known: bool,
}

/// A label that is ready for batches.
pub struct EdgeLabel<'a> {
    around: &'a Around<'a>,
    label: &'a Label,
    pub fitted: FittedLabel,
    rule: Rule<'a>,
    strangers: Mutex<Strangers>,
    other_words: Mutex<OtherWords>,
}

/// The values and parts of a batch.
pub struct Labelled {
    /// edges × width.
    pub values: Vec<f32>,
    pub parts: Vec<u8>,
}

enum Rule<'a> {
    Train,
    /// The column of the split is absent.
    Nowhere,
    Random([f64; 3]),
    /// For each class, the last number of each part.
    Stratified(Vec<[f64; 3]>),
    Words(&'a str),
    Bounds(&'a str, [&'a Vec<Bound>; 3]),
    Pairs(Pairs),
}

/// Pairs of ends that files name, with the part of each.
struct Pairs {
    /// By the names of relations, if the files tell them.
    relations: Option<FxHashMap<String, u32>>,
    parts: FxHashMap<(u64, u32), Pair>,
}

struct Pair {
    part: Part,
    met: AtomicBool,
    place: String,
}

impl<'a> Around<'a> {
    fn cells(&self, label: &'a Label) -> Cells<'_> {
        let column = if label.is_count() { self.count } else { &label.column };
        Cells { owner: self.owner, label, column }
    }

    /// The columns that the labels and their splits read.
    pub fn columns(&self) -> Vec<(String, Want)> {
        let mut columns = Vec::new();
        self.edge.labels.iter().for_each(|label| self.columns_of(label, &mut columns));
        columns
    }

    fn columns_of(&self, label: &Label, columns: &mut Vec<(String, Want)>) {
        let column = if label.is_count() { self.count } else { &label.column };
        if !self.lacks(column) {
            add(columns, column, want_of(label));
        }
        match &label.split {
            Some(Split::Column { column }) if !self.lacks(column) => add(columns, column, Want::Text),
            Some(Split::By { column, .. }) if !self.lacks(column) => add(columns, column, Want::Auto),
            _ => {}
        }
    }

    /// Whether the table does not have a column that new tables may lack.
    fn lacks(&self, column: &str) -> bool {
        self.is_known && column != self.count && !self.tables.get(&self.edge.source).has(column)
    }

    /// Learns the labels of the edges that `each` goes through; one that is `known` learns no classes.
    pub fn fit(
        &'a self,
        known: Option<&[FittedLabel]>,
        each: EachBatch,
        scratch: &Scratch,
    ) -> Result<Vec<EdgeLabel<'a>>> {
        let all = self.edge.labels.iter().enumerate();
        let fitted = all.map(|(at, label)| match known.and_then(|known| known.get(at)) {
            Some(known) => Ok(known.clone()),
            None => self.classes(label, each),
        });
        let fitted: Vec<FittedLabel> = fitted.collect::<Result<_>>()?;
        let rule = |(label, fitted): (&'a Label, FittedLabel)| -> Result<EdgeLabel<'a>> {
            let rule = self.rule(label, &fitted, each, scratch)?;
            Ok(EdgeLabel {
                around: self,
                label,
                fitted,
                rule,
                strangers: Mutex::default(),
                other_words: Mutex::default(),
            })
        };
        self.edge.labels.iter().zip(fitted).map(rule).collect()
    }

    fn classes(&self, label: &'a Label, each: EachBatch) -> Result<FittedLabel> {
        let cells = self.cells(label);
        let all: Mutex<Seen> = Mutex::default();
        if label.kind != LabelKind::Float {
            each(&[(cells.column.to_string(), want_of(label))], &|batch| {
                let mut seen = Seen::default();
                seen.see(cells, batch.frame)?;
                all.lock().expect("no thread panics here").merge(seen);
                Ok(())
            })?;
        }
        let classes = all.into_inner().expect("no thread panics here").classes();
        Ok(FittedLabel { name: label.name.clone(), classes, transforms: fitted(cells)? })
    }

    fn rule(
        &self,
        label: &'a Label,
        fitted: &FittedLabel,
        each: EachBatch,
        scratch: &Scratch,
    ) -> Result<Rule<'a>> {
        Ok(match &label.split {
            None => Rule::Train,
            Some(Split::Random { train, valid, test, stratified }) => {
                let fractions = [*train, *valid, *test];
                check_fractions(self.owner, label, fractions)?;
                let is_there = !self.lacks(self.cells(label).column);
                match *stratified && label.kind == LabelKind::Class && is_there {
                    true => Rule::Stratified(self.cuts(label, fitted, fractions, each, scratch)?),
                    false => Rule::Random(fractions),
                }
            }
            Some(Split::Column { column } | Split::By { column, .. }) if self.lacks(column) => Rule::Nowhere,
            Some(Split::Column { column }) => Rule::Words(column),
            Some(Split::By { column, train, valid, test }) => Rule::Bounds(column, [train, valid, test]),
            Some(Split::Files { train, valid, test }) => {
                Rule::Pairs(self.pairs(label, [Some(train), valid.as_ref(), test.as_ref()])?)
            }
        })
    }

    fn draws(&self, batch: &EdgeBatch) -> Result<Vec<f64>> {
        let of: Vec<EdgeDraws> = batch.names.iter().map(|name| EdgeDraws::new(name, self.seed)).collect();
        let one = |edge: usize| {
            let relation = batch.relation.get(edge).map_or(0, |&relation| relation as usize);
            of[relation].draw((&self.src.keys, batch.src[edge]), (&self.dst.keys, batch.dst[edge]))
        };
        (0..batch.src.len()).map(one).collect()
    }

    /// The last draw of each part, in each class: exact shares, rounded to the nearest, but for edges with one draw, which stay together.
    /// A class with any rows has at least one to train on.
    fn cuts(
        &self,
        label: &'a Label,
        fitted: &FittedLabel,
        fractions: [f64; 3],
        each: EachBatch,
        scratch: &Scratch,
    ) -> Result<Vec<[f64; 3]>> {
        let cells = self.cells(label);
        let share = scratch.share(fitted.classes.len());
        let all: Vec<Mutex<super::values::Values>> = fitted
            .classes
            .iter()
            .map(|_| Mutex::new(super::values::Values::bounded(share.clone())))
            .collect();
        each(&[(cells.column.to_string(), want_of(label))], &|batch| {
            let classes = values(cells, batch.frame, &fitted.classes)?;
            for (class, draw) in classes.iter().zip(self.draws(batch)?).filter(|(class, _)| **class >= 0.0) {
                all[*class as usize].lock().expect("no thread panics here").push(draw)?;
            }
            Ok(())
        })?;
        let cut = |draws: Mutex<super::values::Values>| -> Result<[f64; 3]> {
            let draws = draws.into_inner().expect("no thread panics here").into_sorted();
            let n = draws.len() as f64;
            let least = if fractions[0] > 0.0 { 1.0 } else { 0.0 };
            let train = (fractions[0] * n).round().max(least);
            let valid = ((fractions[0] + fractions[1]) * n).round().max(train);
            let test = (fractions.iter().sum::<f64>() * n).round().max(valid);
            let (mut cuts, mut seen) = ([-1.0; 3], 0.0);
            draws.runs(|draw, count| {
                for (cut, share) in cuts.iter_mut().zip([train, valid, test]) {
                    if seen < share {
                        *cut = draw;
                    }
                }
                seen += count as f64;
            })?;
            Ok(cuts)
        };
        all.into_iter().map(cut).collect()
    }

    // ----------------------------------------------------------------------------------------------------------- pairs

    fn pairs(&self, label: &Label, files: [Option<&Source>; 3]) -> Result<Pairs> {
        let family = match &self.edge.relation {
            Relation::Column(column) => Some(column).filter(|column| {
                let mut declared = files.iter().flatten().peekable();
                declared.peek().is_some() && declared.all(|source| self.tables.get(source).has(column))
            }),
            Relation::Named(_) => None,
        };
        let mut pairs =
            Pairs { relations: family.map(|_| FxHashMap::default()), parts: FxHashMap::default() };
        for (part, source) in PARTS.into_iter().zip(files) {
            if let Some(source) = source {
                self.read_pairs(label, source, part, family.map(String::as_str), &mut pairs)?;
            }
        }
        Ok(pairs)
    }

    fn read_pairs(
        &self,
        label: &Label,
        source: &Source,
        part: Part,
        family: Option<&str>,
        pairs: &mut Pairs,
    ) -> Result<()> {
        let opened = self.tables.get(source);
        let mut wanted = vec![
            (self.edge.src_column.clone(), self.src.keys.want()),
            (self.edge.dst_column.clone(), self.dst.keys.want()),
        ];
        wanted.extend(family.map(|column| (column.to_string(), Want::Text)));
        let table = opened.read(&wanted)?;
        let place = |row: usize| opened.source.locate(&table.parts, row as u64).to_string();
        let (src, dst) = (self.src.find_all(&table.columns[0])?, self.dst.find_all(&table.columns[1])?);
        for (column, ids) in table.columns.iter().zip([&src, &dst]) {
            let unknown: Vec<usize> = (0..ids.len()).filter(|&row| ids[row] == ABSENT).collect();
            if !unknown.is_empty() {
                let name = |&row: &usize| Offender { found: show_cell(column, row), place: place(row) };
                return Err(BuildError::UnknownSplitKeys {
                    ty: self.owner.to_string(),
                    label: label.name.clone(),
                    count: unknown.len() as u64,
                    first: unknown.iter().take(NAMED).map(name).collect(),
                });
            }
        }
        for row in 0..src.len() {
            let relation = match (&mut pairs.relations, table.columns.get(2).map(|column| &column.values)) {
                (Some(relations), Some(Values::Text(text))) if text.codes[row] != MISSING => {
                    let next = relations.len() as u32;
                    *relations.entry(text.values.get(text.codes[row]).to_string()).or_insert(next)
                }
                (Some(_), _) => u32::MAX,
                (None, _) => 0,
            };
            let pair = || Pair { part, met: AtomicBool::new(false), place: place(row) };
            let known = pairs.parts.entry((edge_key(dst[row], src[row]), relation)).or_insert_with(pair);
            if known.part != part {
                return Err(BuildError::KeyInTwoParts {
                    ty: self.owner.to_string(),
                    label: label.name.clone(),
                    key: self.show(src[row], dst[row]),
                    place: place(row),
                });
            }
        }
        Ok(())
    }

    fn show(&self, src: u32, dst: u32) -> String {
        format!("{}, {}", self.src.keys.show(src as usize), self.dst.keys.show(dst as usize))
    }
}

impl Pairs {
    fn part(&self, edge: (u32, u32), relation: Option<&str>) -> Part {
        let relation = match (&self.relations, relation) {
            (Some(relations), Some(name)) => relations.get(name).copied(),
            _ => Some(0),
        };
        let found = relation.and_then(|relation| self.parts.get(&(edge_key(edge.1, edge.0), relation)));
        found.map_or(Part::None, |pair| {
            pair.met.store(true, Relaxed);
            pair.part
        })
    }
}

impl EdgeLabel<'_> {
    pub fn name(&self) -> &str {
        &self.label.name
    }

    pub fn kind(&self) -> LabelKind {
        self.label.kind
    }

    pub fn cells(&self) -> Cells<'_> {
        self.around.cells(self.label)
    }

    /// The columns that it and its split read.
    pub fn columns(&self, into: &mut Vec<(String, Want)>) {
        self.around.columns_of(self.label, into);
    }

    /// Numbers that each edge has.
    pub fn width(&self) -> usize {
        width_of(self.label.kind, self.fitted.classes.len())
    }

    /// What stands for an edge that has no label.
    pub fn nothing(&self) -> Labelled {
        self.unlabelled(1)
    }

    fn unlabelled(&self, edges: usize) -> Labelled {
        let values = nothing(self.label.kind).repeat(edges * self.width());
        Labelled { values, parts: vec![Part::None as u8; edges] }
    }

    /// Classes of new tables that the model does not know.
    pub fn strangers(&self) -> Strangers {
        std::mem::take(&mut *self.strangers.lock().expect("no thread panics here"))
    }

    /// What stands in the column of the split and names no part.
    pub fn other_words(&self) -> OtherWords {
        std::mem::take(&mut *self.other_words.lock().expect("no thread panics here"))
    }

    pub fn apply(&self, batch: &EdgeBatch) -> Result<Labelled> {
        let cells = self.cells();
        if self.around.lacks(cells.column) {
            return Ok(self.unlabelled(batch.src.len()));
        }
        if self.around.is_known {
            let found = strangers(cells, batch.frame, &self.fitted.classes)?;
            self.strangers.lock().expect("no thread panics here").merge(found);
        }
        let values = values(cells, batch.frame, &self.fitted.classes)?;
        let mut parts = self.parts(batch, &values)?;
        for (part, row) in parts.iter_mut().zip(values.chunks_exact(self.width().max(1))) {
            if !is_labelled(self.label.kind, row) {
                *part = Part::None as u8;
            }
        }
        let values = transformed(cells, batch.frame, values, &self.fitted.transforms)?;
        Ok(Labelled { values, parts })
    }

    fn parts(&self, batch: &EdgeBatch, values: &[f32]) -> Result<Vec<u8>> {
        let edges = batch.src.len();
        Ok(match &self.rule {
            Rule::Train => vec![Part::Train as u8; edges],
            Rule::Nowhere => vec![Part::None as u8; edges],
            Rule::Random(fractions) => {
                self.around.draws(batch)?.into_iter().map(|draw| part_of(draw, *fractions)).collect()
            }
            Rule::Stratified(cuts) => {
                let part = |(draw, &class): (f64, &f32)| match cuts.get(class as usize) {
                    Some(cuts) if class >= 0.0 => {
                        let found = cuts.iter().position(|cut| draw <= *cut);
                        found.map_or(Part::None, |at| PARTS[at]) as u8
                    }
                    _ => Part::None as u8,
                };
                self.around.draws(batch)?.into_iter().zip(values).map(part).collect()
            }
            Rule::Words(column) => {
                let column = batch.frame.column(column, Want::Text)?;
                self.other_words.lock().expect("no thread panics here").merge(OtherWords::of(column));
                by_words(column)
            }
            Rule::Bounds(column, bounds) => by_bounds(batch.frame.column(column, Want::Auto)?, *bounds)?,
            Rule::Pairs(pairs) => {
                let name = |edge: usize| {
                    let relation = batch.relation.get(edge).map_or(0, |&relation| relation as usize);
                    batch.names.get(relation).map(String::as_str)
                };
                let part = |edge: usize| pairs.part((batch.src[edge], batch.dst[edge]), name(edge)) as u8;
                (0..edges).map(part).collect()
            }
        })
    }

    /// Refuses pairs that no edge met, once all edges have been gone through.
    pub fn finish(&self) -> Result<()> {
        let Rule::Pairs(pairs) = &self.rule else { return Ok(()) };
        let lonely = |((key, _), pair): (&(u64, u32), &Pair)| Offender {
            found: self.around.show(*key as u32, (*key >> 32) as u32),
            place: pair.place.clone(),
        };
        let mut first: Vec<Offender> =
            pairs.parts.iter().filter(|(_, pair)| !pair.met.load(Relaxed)).map(lonely).collect();
        first.sort_by(|a, b| (&a.found, &a.place).cmp(&(&b.found, &b.place)));
        let count = first.len() as u64;
        first.truncate(NAMED);
        match count {
            0 => Ok(()),
            _ => Err(BuildError::UnknownSplitPairs {
                ty: self.around.owner.to_string(),
                label: self.label.name.clone(),
                count,
                first,
            }),
        }
    }
}
