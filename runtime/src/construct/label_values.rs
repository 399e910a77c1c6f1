//! What the cells of a label say (class indices, targets, a 0 or 1 for each of several classes), and what is counted of them.

use std::collections::BTreeSet;

use gsl_plan::graph::{Label, LabelFacts, LabelKind, Part, Several};
use gsl_tables::{FloatList, MISSING, TextColumn, TextList, Values, Want};

use super::error::{BuildError, Result};
use super::exact::Exact;
use super::frame::Frame;
use super::known::Strangers;
use super::transform::{FittedTransform, sort_as_numbers_or_texts, used_texts, words};
use super::value::{Located, Numbers, Value, load};

/// A label, whose it is, and the column that its values stand in.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    pub owner: &'a str,
    pub label: &'a Label,
    pub column: &'a str,
}

/// The classes that rows have shown so far.
#[derive(Default)]
pub struct Seen {
    texts: BTreeSet<String>,
    /// Of lists with one number for each class.
    width: Option<usize>,
}

pub fn want_of(label: &Label) -> Want {
    match (label.kind, &label.several) {
        (LabelKind::Class, _) => Want::Class,
        (LabelKind::Classes, Several::Parted(_)) => Want::Text,
        (LabelKind::Classes, Several::Numbers) => Want::FloatList,
        (LabelKind::Classes, Several::Names) => Want::TextList,
        (LabelKind::Float, _) => Want::Float,
    }
}

/// The number of a row that is not labelled.
pub fn nothing(kind: LabelKind) -> [f32; 1] {
    match kind {
        LabelKind::Class => [-1.0],
        LabelKind::Float | LabelKind::Classes => [f32::NAN],
    }
}

/// Numbers a row, with so many classes.
pub fn width_of(kind: LabelKind, classes: usize) -> usize {
    match kind {
        LabelKind::Class | LabelKind::Float => 1,
        LabelKind::Classes => classes,
    }
}

/// Whether the numbers of a row say anything. Class: an index, or -1. Target: NaN if there is none. Several classes: 0 or 1 for each
/// class, NaN for one that is not known.
pub fn is_labelled(kind: LabelKind, row: &[f32]) -> bool {
    match kind {
        LabelKind::Class => row[0] >= 0.0,
        LabelKind::Float | LabelKind::Classes => row.iter().any(|x| !x.is_nan()),
    }
}

impl Seen {
    /// Takes the classes that the rows of a frame have.
    pub fn see(&mut self, cells: Cells, frame: &Frame) -> Result<()> {
        let Cells { owner, label, column } = cells;
        match &frame.column(column, want_of(label))?.values {
            Values::Text(text) => match &label.several {
                Several::Parted(separator) => {
                    let used = used_texts(text);
                    let all = used.iter().flat_map(|cell| words(cell, separator));
                    all.for_each(|word| self.add(word));
                }
                _ => self.texts.extend(used_texts(text).into_iter().filter(|class| !class.is_empty())),
            },
            Values::TextList(list) => {
                let used: BTreeSet<u32> = list.codes.iter().copied().collect();
                used.into_iter().for_each(|code| self.add(list.values.get(code)));
            }
            Values::FloatList(list) => {
                for row in (0..list.len()).filter(|&row| frame.has(column, want_of(label), row)) {
                    let found = list.row(row).len();
                    let expected = *self.width.get_or_insert(found);
                    if found != expected {
                        let place = frame.place(Some(column), row).unwrap_or_default();
                        let (owner, label) = (owner.to_string(), label.name.clone());
                        return Err(BuildError::LabelWidth { ty: owner, label, found, expected, place });
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, word: &str) {
        if !self.texts.contains(word) {
            self.texts.insert(word.to_string());
        }
    }

    pub fn merge(&mut self, other: Seen) {
        self.texts.extend(other.texts);
        self.width = self.width.or(other.width);
    }

    /// The names of the classes by index: in the order of numbers if all are, else of text.
    pub fn classes(self) -> Vec<String> {
        if let Some(width) = self.width {
            return (0..width).map(|class| class.to_string()).collect();
        }
        let mut classes: Vec<String> = self.texts.into_iter().collect();
        sort_as_numbers_or_texts(&mut classes);
        classes
    }
}

/// The numbers of all rows of a frame: rows × [`width_of`]. A class that is not among `classes` is none.
pub fn values(cells: Cells, frame: &Frame, classes: &[String]) -> Result<Vec<f32>> {
    let Cells { owner, label, column } = cells;
    let (ty, name) = (owner.to_string(), label.name.clone());
    let place = |row| frame.place(Some(column), row).unwrap_or_default();
    let found = frame.column(column, want_of(label))?;
    match (&found.values, &label.several) {
        (Values::Text(text), Several::Parted(separator)) => Ok(several_of_texts(text, separator, classes)),
        (Values::Text(text), _) => Ok(class_indices(text, classes)),
        (Values::TextList(list), _) => {
            let has = |row| frame.has(column, want_of(label), row);
            Ok(several_of_names(list, has, classes))
        }
        (Values::FloatList(list), _) => {
            let has = |row| frame.has(column, want_of(label), row);
            several_of_lists(list, has, classes.len()).map_err(|(row, fault)| match fault {
                ListFault::Width(found) => BuildError::LabelWidth {
                    ty,
                    label: name,
                    found,
                    expected: classes.len(),
                    place: place(row),
                },
                ListFault::Number(found) => {
                    BuildError::LabelNumber { ty, label: name, found, place: place(row) }
                }
            })
        }
        _ => {
            let Ok(Value::Numbers(x)) = load(found) else {
                let infinite =
                    |row: &usize| matches!(&found.values, Values::Float(v) if v[*row].is_infinite());
                let row = (0..found.len()).find(infinite).unwrap_or(0);
                return Err(BuildError::InfiniteLabel { ty, label: name, place: place(row) });
            };
            let target = |row: usize| if x.is_missing(row) { f32::NAN } else { x.data[row] as f32 };
            Ok((0..frame.len).map(target).collect())
        }
    }
}

/// Classes that the cells of a frame name and that are none of `classes`.
pub fn strangers(cells: Cells, frame: &Frame, classes: &[String]) -> Result<Strangers> {
    let Cells { label, column, .. } = cells;
    let sorted = sorted(classes);
    let mut found_here = Strangers::default();
    let mut is_strange = |name: &str| {
        let strange = found(&sorted, name).is_none();
        if strange {
            found_here.add(name);
        }
        strange
    };
    let rows = match (&frame.column(column, want_of(label))?.values, &label.several) {
        (Values::Text(text), several) => {
            let used = text.used();
            let of_cell = |code: usize| {
                let cell = text.values.get(code as u32);
                used[code]
                    && match several {
                        Several::Parted(separator) => {
                            words(cell, separator).fold(false, |any, word| is_strange(word) | any)
                        }
                        _ => !cell.is_empty() && is_strange(cell),
                    }
            };
            let by_code: Vec<bool> = (0..text.values.len()).map(of_cell).collect();
            text.codes.iter().filter(|&&code| code != MISSING && by_code[code as usize]).count()
        }
        (Values::TextList(list), _) => {
            let used: BTreeSet<u32> = list.codes.iter().copied().collect();
            let strange: BTreeSet<u32> =
                used.into_iter().filter(|&code| is_strange(list.values.get(code))).collect();
            (0..list.len()).filter(|&row| list.row(row).iter().any(|code| strange.contains(code))).count()
        }
        _ => 0,
    };
    found_here.rows = rows as u64;
    Ok(found_here)
}

fn class_indices(text: &TextColumn, classes: &[String]) -> Vec<f32> {
    let sorted = sorted(classes);
    let find = |text: &str| found(&sorted, text).map_or(-1.0, |class| class as f32);
    let by_code: Vec<f32> = text.values.iter().map(find).collect();
    text.codes.iter().map(|&code| if code == MISSING { -1.0 } else { by_code[code as usize] }).collect()
}

/// Classes with their indices, by name.
fn sorted(classes: &[String]) -> Vec<(&str, usize)> {
    let mut sorted: Vec<(&str, usize)> = classes.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
    sorted.sort_unstable();
    sorted
}

fn found(sorted: &[(&str, usize)], text: &str) -> Option<usize> {
    sorted.binary_search_by_key(&text, |(class, _)| class).ok().map(|at| sorted[at].1)
}

fn several_of_texts(text: &TextColumn, separator: &str, classes: &[String]) -> Vec<f32> {
    let sorted = sorted(classes);
    let of = |cell: &str| words(cell, separator).filter_map(|word| found(&sorted, word)).collect();
    let by_code: Vec<Vec<usize>> = text.values.iter().map(of).collect();
    let mut rows = vec![0.0; text.codes.len() * classes.len()];
    for (row, &code) in rows.chunks_exact_mut(classes.len().max(1)).zip(&text.codes) {
        match code {
            MISSING => row.fill(f32::NAN),
            code => by_code[code as usize].iter().for_each(|&class| row[class] = 1.0),
        }
    }
    rows
}

fn several_of_names(list: &TextList, has: impl Fn(usize) -> bool, classes: &[String]) -> Vec<f32> {
    let sorted = sorted(classes);
    let by_code: Vec<Option<usize>> = list.values.iter().map(|text| found(&sorted, text)).collect();
    let mut rows = vec![0.0; list.len() * classes.len()];
    for (index, row) in rows.chunks_exact_mut(classes.len().max(1)).enumerate() {
        match has(index) {
            true => list
                .row(index)
                .iter()
                .filter_map(|&code| by_code[code as usize])
                .for_each(|class| row[class] = 1.0),
            false => row.fill(f32::NAN),
        }
    }
    rows
}

enum ListFault {
    Width(usize),
    Number(f32),
}

fn several_of_lists(
    list: &FloatList,
    has: impl Fn(usize) -> bool,
    classes: usize,
) -> Result<Vec<f32>, (usize, ListFault)> {
    let mut rows = vec![f32::NAN; list.len() * classes];
    for row in (0..list.len()).filter(|&row| has(row)) {
        let numbers = list.row(row);
        if numbers.len() != classes {
            return Err((row, ListFault::Width(numbers.len())));
        }
        if let Some(&other) = numbers.iter().find(|x| !x.is_nan() && **x != 0.0 && **x != 1.0) {
            return Err((row, ListFault::Number(other)));
        }
        rows[row * classes..(row + 1) * classes].copy_from_slice(numbers);
    }
    Ok(rows)
}

/// Puts targets through the transforms of the label, which learn nothing. NaN stays.
pub fn transformed(
    cells: Cells,
    frame: &Frame,
    values: Vec<f32>,
    by: &[FittedTransform],
) -> Result<Vec<f32>> {
    if by.is_empty() {
        return Ok(values);
    }
    let explain = |located: Located| BuildError::LabelTransform {
        ty: cells.owner.to_string(),
        label: cells.label.name.clone(),
        fault: located.fault,
        place: located.element.and_then(|element| frame.place(Some(cells.column), element)),
    };
    let missing: Vec<bool> = values.iter().map(|x| x.is_nan()).collect();
    let data = values.iter().map(|&x| if x.is_nan() { 0.0 } else { f64::from(x) }).collect();
    let mut value = Value::Numbers(Numbers { width: 1, data, missing });
    for transform in by {
        value = transform.apply(value, values.len()).map_err(explain)?;
    }
    let Value::Numbers(x) = value else { return Ok(values) };
    Ok((0..x.rows()).map(|row| if x.is_missing(row) { f32::NAN } else { x.data[row] as f32 }).collect())
}

/// The transforms of a target, ready to be applied.
pub fn fitted(cells: Cells) -> Result<Vec<FittedTransform>> {
    let nothing = || Value::Numbers(Numbers::new(1, Vec::new()));
    let fit = |transform| FittedTransform::fit(transform, nothing(), 0, None);
    let explain = |located: Located| BuildError::LabelTransform {
        ty: cells.owner.to_string(),
        label: cells.label.name.clone(),
        fault: located.fault,
        place: None,
    };
    cells.label.transforms.iter().map(|transform| fit(transform).map_err(explain)).collect()
}

/// What the labelled rows come to, whatever their order.
#[derive(Debug, Clone)]
pub struct LabelTally {
    kind: LabelKind,
    pub rows: u64,
    /// Labelled rows in [none, train, valid, test].
    pub parts: [u64; 4],
    /// Rows of each class in the training part, and whether the test part has it.
    trained: Vec<u64>,
    tested: Vec<bool>,
    sum: Exact,
    squares: Exact,
}

impl LabelTally {
    pub fn new(kind: LabelKind, classes: usize) -> Self {
        let (trained, tested) = (vec![0; classes], vec![false; classes]);
        let (sum, squares) = (Exact::default(), Exact::default());
        Self { kind, rows: 0, parts: [0; 4], trained, tested, sum, squares }
    }

    /// Takes rows × width of values, and the part of each row.
    pub fn see(&mut self, values: &[f32], parts: &[u8]) {
        self.rows += parts.len() as u64;
        let width = width_of(self.kind, self.trained.len()).max(1);
        for (row, &part) in values.chunks_exact(width).zip(parts) {
            if is_labelled(self.kind, row) {
                self.parts[usize::from(part)] += 1;
                self.see_row(row, part);
            }
        }
    }

    fn see_row(&mut self, row: &[f32], part: u8) {
        let (trains, tests) = (part == Part::Train as u8, part == Part::Test as u8);
        let mut see = |class: usize| {
            self.trained[class] += u64::from(trains);
            self.tested[class] |= tests;
        };
        match self.kind {
            LabelKind::Class => see(row[0] as usize),
            LabelKind::Classes => (0..row.len()).filter(|&class| row[class] == 1.0).for_each(see),
            LabelKind::Float if trains => {
                let x = f64::from(row[0]);
                self.sum.add(x);
                self.squares.add_product(x, x);
            }
            LabelKind::Float => {}
        }
    }

    pub fn merge(&mut self, other: &LabelTally) {
        self.rows += other.rows;
        self.parts.iter_mut().zip(other.parts).for_each(|(all, one)| *all += one);
        self.trained.iter_mut().zip(&other.trained).for_each(|(all, one)| *all += one);
        self.tested.iter_mut().zip(&other.tested).for_each(|(all, one)| *all |= one);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    pub fn labelled(&self) -> u64 {
        self.parts.iter().sum()
    }

    /// Classes that the test part has and the training part lacks, by index.
    pub fn never_trained(&self) -> impl Iterator<Item = usize> {
        (0..self.tested.len()).filter(|&class| self.tested[class] && self.trained[class] == 0)
    }

    /// Mean and standard deviation are those of the training rows: (0, 1) of nothing, deviation 1 of a constant.
    pub fn facts(&self, name: &str, classes: &[String]) -> LabelFacts {
        let n = self.parts[Part::Train as usize];
        let of_numbers = self.kind == LabelKind::Float && n > 0;
        let spread =
            if of_numbers { Exact::spread(&self.sum, &self.squares, n).max(0.0).sqrt() } else { 0.0 };
        LabelFacts {
            name: name.to_string(),
            classes: classes.to_vec(),
            train_counts: self.trained.clone(),
            parts: self.parts,
            mean: if of_numbers { self.sum.value() / n as f64 } else { 0.0 },
            std: if spread > 0.0 { spread / n as f64 } else { 1.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_described_by_their_training_rows() {
        let mut tally = LabelTally::new(LabelKind::Float, 0);
        tally.see(&[1.0, 3.0, f32::NAN, 100.0], &[1, 1, 1, 3]);
        let mut other = LabelTally::new(LabelKind::Float, 0);
        other.see(&[8.0], &[1]);
        tally.merge(&other);
        let facts = tally.facts("x", &[]);
        assert_eq!((facts.mean, facts.parts, tally.rows), (4.0, [0, 3, 0, 1], 5));
        assert!((facts.std - (26.0f64 / 3.0).sqrt()).abs() < 1e-12);
        let constant = LabelTally::new(LabelKind::Float, 0).facts("x", &[]);
        assert_eq!((constant.mean, constant.std), (0.0, 1.0));
    }

    #[test]
    fn several_classes_are_counted_each() {
        let mut tally = LabelTally::new(LabelKind::Classes, 3);
        let rows = [[1.0, 0.0, 1.0], [f32::NAN; 3], [0.0, 0.0, 0.0], [f32::NAN, 1.0, 0.0]];
        tally.see(rows.as_flattened(), &[1, 1, 1, 3]);
        assert_eq!((tally.parts, tally.trained.as_slice()), ([0, 2, 0, 1], &[1, 0, 1][..]));
        assert_eq!(tally.never_trained().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn lists_hold_one_number_for_each_class() {
        let list = FloatList::Ragged { offsets: vec![0, 2, 2, 4], values: vec![1.0, 0.0, f32::NAN, 1.0] };
        let rows = several_of_lists(&list, |row| row != 1, 2).ok().unwrap();
        assert_eq!(rows[..2], [1.0, 0.0]);
        assert!(rows[2..5].iter().all(|x| x.is_nan()) && rows[5] == 1.0);
        assert!(matches!(several_of_lists(&list, |_| true, 2), Err((1, ListFault::Width(0)))));
        let list = FloatList::Ragged { offsets: vec![0, 1], values: vec![0.5] };
        assert!(matches!(several_of_lists(&list, |_| true, 1), Err((0, ListFault::Number(x))) if x == 0.5));
    }
}
