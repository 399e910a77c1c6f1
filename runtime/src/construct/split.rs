//! Splits: which part each node of a labelled type is in.
//!
//! A random split is a function of the seed, the type's name and the node's key: of no other node, of no order. A
//! stratified one orders the nodes of each class by that same function and cuts exact shares. All labels of a type
//! share the function, so that no node trains one label and tests another of the same fractions.

use std::path::PathBuf;

use gsl_plan::graph::{Bound, Compare, Label, NodeType, Part, Scalar, Source, Split};
use gsl_tables::{Column, MICROS_A_DAY, Values, Want, parse_date, parse_time, show_date};
use rayon::prelude::*;

use super::error::{BuildError, Offender, Result};
use super::frame::{ABSENT, Frame};
use super::keys::{self, Keys};
use super::nodes::{NAMED, Nodes};
use super::part_words::part_named;
use super::tables::Tables;

/// The part of every node, as its code, whether or not it is labelled. `classes`: class index of each node.
pub fn parts(
    ty: &NodeType,
    label: &Label,
    nodes: &Nodes,
    frame: &Frame,
    tables: &Tables,
    seed: u64,
    classes: Option<&[f32]>,
) -> Result<Vec<u8>> {
    match &label.split {
        None => Ok(vec![Part::Train as u8; nodes.keys.len()]),
        Some(Split::Random { train, valid, test, stratified }) => {
            let fractions = [*train, *valid, *test];
            check_fractions(&ty.name, label, fractions)?;
            let draws = draws(&ty.name, &nodes.keys, seed)?;
            match (stratified, classes) {
                (true, Some(classes)) => Ok(stratify(&draws, classes, fractions)),
                _ => Ok(draws.iter().map(|&draw| part_of(draw, fractions)).collect()),
            }
        }
        Some(Split::Column { column }) => Ok(by_words(frame.column(column, Want::Text)?)),
        Some(Split::By { column, train, valid, test }) => {
            by_bounds(frame.column(column, Want::Auto)?, [train, valid, test])
        }
        Some(Split::Files { train, valid, test }) => {
            by_files(ty, label, nodes, tables, [Some(train), valid.as_ref(), test.as_ref()])
        }
    }
}

/// True when the user names the rows of each part, and chance has no hand in it.
pub fn is_declared(label: &Label) -> bool {
    matches!(label.split, Some(Split::Column { .. } | Split::By { .. } | Split::Files { .. }))
}

pub const PARTS: [Part; 3] = [Part::Train, Part::Valid, Part::Test];

pub fn check_fractions(owner: &str, label: &Label, fractions: [f64; 3]) -> Result<()> {
    let sum: f64 = fractions.iter().sum();
    match fractions.iter().all(|f| (0.0..=1.0).contains(f)) && sum <= 1.0 + 1e-9 {
        true => Ok(()),
        false => Err(BuildError::BadFractions { ty: owner.to_string(), label: label.name.clone(), sum }),
    }
}

/// A number in [0, 1) for each node, from blake3 over seed, type and key.
fn draws(ty: &str, keys: &Keys, seed: u64) -> Result<Vec<f64>> {
    let mut start = blake3::Hasher::new();
    start.update(b"gsl split 1").update(&seed.to_le_bytes());
    start.update(&(ty.len() as u64).to_le_bytes()).update(ty.as_bytes());
    let draw = |id: usize| {
        let mut hasher = start.clone();
        keys.with_bytes(id, |key| fraction(hasher.update(key)))
    };
    (0..keys.len()).into_par_iter().map(draw).collect()
}

/// The hash as a number in [0, 1).
fn fraction(hasher: &blake3::Hasher) -> f64 {
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    (u64::from_le_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

/// Draws for edges of one relation: numbers in [0, 1), from blake3 over seed, relation and the keys of both ends.
pub struct EdgeDraws(blake3::Hasher);

impl EdgeDraws {
    pub fn new(relation: &str, seed: u64) -> Self {
        let mut start = blake3::Hasher::new();
        start.update(b"gsl edge split 1").update(&seed.to_le_bytes());
        start.update(&(relation.len() as u64).to_le_bytes()).update(relation.as_bytes());
        Self(start)
    }

    pub fn draw(&self, (src, u): (&Keys, u32), (dst, v): (&Keys, u32)) -> Result<f64> {
        let mut hasher = self.0.clone();
        src.with_bytes(u as usize, |key| {
            hasher.update(&(key.len() as u64).to_le_bytes()).update(key);
        })?;
        dst.with_bytes(v as usize, |key| fraction(hasher.update(key)))
    }
}

pub fn part_of(draw: f64, fractions: [f64; 3]) -> u8 {
    let mut upto = 0.0;
    for (part, fraction) in PARTS.iter().zip(fractions) {
        upto += fraction;
        if draw < upto {
            return *part as u8;
        }
    }
    // 1/3 + 1/3 + 1/3 may fall short of 1 by rounding.
    if upto > 1.0 - 1e-9 { Part::Test as u8 } else { Part::None as u8 }
}

/// Exact shares of each class, rounded to the nearest; a class with any rows has at least one to train on.
fn stratify(draws: &[f64], classes: &[f32], fractions: [f64; 3]) -> Vec<u8> {
    let mut order: Vec<usize> = (0..draws.len()).filter(|&id| classes[id] >= 0.0).collect();
    order.sort_by(|&a, &b| {
        classes[a].total_cmp(&classes[b]).then_with(|| draws[a].total_cmp(&draws[b])).then(a.cmp(&b))
    });
    let mut parts = vec![Part::None as u8; draws.len()];
    for class in order.chunk_by(|&a, &b| classes[a] == classes[b]) {
        let n = class.len() as f64;
        let least = if fractions[0] > 0.0 { 1.0 } else { 0.0 };
        let train = (fractions[0] * n).round().max(least);
        let valid = ((fractions[0] + fractions[1]) * n).round().max(train);
        let test = (fractions.iter().sum::<f64>() * n).round().max(valid);
        for (rank, &id) in class.iter().enumerate() {
            let rank = rank as f64;
            let cuts = [(train, Part::Train), (valid, Part::Valid), (test, Part::Test)];
            let part = cuts.iter().find(|(end, _)| rank < *end).map_or(Part::None, |(_, part)| *part);
            parts[id] = part as u8;
        }
    }
    parts
}

pub fn by_words(column: &Column) -> Vec<u8> {
    let Values::Text(text) = &column.values else { return vec![Part::None as u8; column.len()] };
    let part = |row: usize| text.get(row).and_then(part_named).unwrap_or(Part::None);
    (0..column.len()).map(|row| part(row) as u8).collect()
}

/// Rows by comparing a column; a row that fits several parts is in the first of them.
pub fn by_bounds(column: &Column, bounds: [&Vec<Bound>; 3]) -> Result<Vec<u8>> {
    let mut parts = vec![Part::None as u8; column.len()];
    for (part, bounds) in PARTS.iter().zip(bounds).rev() {
        if bounds.is_empty() {
            continue;
        }
        let tests: Vec<Box<dyn Fn(usize) -> bool + '_>> =
            bounds.iter().map(|bound| compare(column, bound)).collect::<Result<_>>()?;
        for (row, slot) in parts.iter_mut().enumerate() {
            if column.is_valid(row) && tests.iter().all(|test| test(row)) {
                *slot = *part as u8;
            }
        }
    }
    Ok(parts)
}

fn holds<T: PartialOrd>(a: &T, compare: Compare, b: &T) -> bool {
    match compare {
        Compare::Less => a < b,
        Compare::LessEqual => a <= b,
        Compare::Equal => a == b,
        Compare::GreaterEqual => a >= b,
        Compare::Greater => a > b,
    }
}

/// A number compared with a date or a time is a year; a day compared with a time is the whole of that day in UTC.
fn compare<'a>(column: &'a Column, bound: &'a Bound) -> Result<Box<dyn Fn(usize) -> bool + 'a>> {
    let how = bound.compare;
    let bad = |found: String| BuildError::BadBound {
        column: column.name.clone(),
        found,
        kind: column.values.kind().to_string(),
    };
    Ok(match (&column.values, &bound.value) {
        (Values::Int(v), Scalar::Number(x)) => Box::new(move |row| holds(&(v[row] as f64), how, x)),
        (Values::Float(v), Scalar::Number(x)) => Box::new(move |row| holds(&v[row], how, x)),
        (Values::Bool(v), Scalar::Number(x)) => {
            Box::new(move |row| holds(&f64::from(u8::from(v[row])), how, x))
        }
        (Values::Date(v), Scalar::Number(x)) => Box::new(move |row| holds(&year(v[row]), how, x)),
        (Values::Time(v), Scalar::Number(x)) => Box::new(move |row| holds(&year(day_of(v[row])), how, x)),
        (Values::Date(v), Scalar::Text(text)) => {
            let day = parse_date(text).map_err(|_| bad(text.clone()))?;
            Box::new(move |row| holds(&v[row], how, &day))
        }
        (Values::Time(v), Scalar::Text(text)) => match (parse_date(text), parse_time(text)) {
            (Ok(day), _) => Box::new(move |row| holds(&day_of(v[row]), how, &day)),
            (_, Ok(time)) => Box::new(move |row| holds(&v[row], how, &time)),
            _ => return Err(bad(text.clone())),
        },
        (Values::Text(v), Scalar::Text(text)) => {
            Box::new(move |row| v.get(row).is_some_and(|found| holds(&found, how, &text.as_str())))
        }
        (_, Scalar::Number(x)) => return Err(bad(x.to_string())),
        (_, Scalar::Text(text)) => return Err(bad(text.clone())),
    })
}

/// The day since 1970 that a time in microseconds is in.
fn day_of(time: i64) -> i64 {
    time.div_euclid(MICROS_A_DAY)
}

fn year(days: i64) -> f64 {
    let date = show_date(days);
    date.rsplitn(3, '-').last().and_then(|year| year.parse().ok()).unwrap_or(f64::NAN)
}

fn by_files(
    ty: &NodeType,
    label: &Label,
    nodes: &Nodes,
    tables: &Tables,
    files: [Option<&Source>; 3],
) -> Result<Vec<u8>> {
    let mut parts = vec![Part::None as u8; nodes.keys.len()];
    for (part, declared) in PARTS.iter().zip(files) {
        let Some(declared) = declared else { continue };
        let opened = tables.get(declared);
        let names: Vec<&str> = opened.header.names().collect();
        let key = ty.key.as_ref().map(|key| key.column.as_str()).filter(|key| names.contains(key));
        let column = match (key, names.as_slice()) {
            (Some(key), _) => key,
            (None, [only]) => *only,
            _ => {
                let file = opened.header.files.first().cloned().unwrap_or_else(PathBuf::new);
                return Err(BuildError::SplitColumn { file, ty: ty.name.clone() });
            }
        };
        let table = opened.read(&[(column.to_string(), nodes.keys.want())])?;
        let place = |row: usize| opened.source.locate(&table.parts, row as u64).to_string();
        assign(ty, label, nodes, &table.columns[0], *part, &mut parts, place)?;
    }
    Ok(parts)
}

fn assign(
    ty: &NodeType,
    label: &Label,
    nodes: &Nodes,
    column: &Column,
    part: Part,
    parts: &mut [u8],
    place: impl Fn(usize) -> String,
) -> Result<()> {
    let ids = nodes.find_all(column)?;
    let unknown: Vec<usize> = (0..ids.len()).filter(|&row| ids[row] == ABSENT).collect();
    if !unknown.is_empty() {
        let name = |&row: &usize| Offender { found: keys::show_cell(column, row), place: place(row) };
        return Err(BuildError::UnknownSplitKeys {
            ty: ty.name.clone(),
            label: label.name.clone(),
            count: unknown.len() as u64,
            first: unknown.iter().take(NAMED).map(name).collect(),
        });
    }
    for (row, &id) in ids.iter().enumerate() {
        let slot = &mut parts[id as usize];
        if *slot != Part::None as u8 && *slot != part as u8 {
            return Err(BuildError::KeyInTwoParts {
                ty: ty.name.clone(),
                label: label.name.clone(),
                key: nodes.keys.show(id as usize),
                place: place(row),
            });
        }
        *slot = part as u8;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_near_and_a_node_keeps_its_part_when_others_come() {
        let few = Keys::Ints((0..10_000).collect());
        let many = Keys::Ints((0..20_000).collect());
        let (a, b) = (draws("t", &few, 7).unwrap(), draws("t", &many, 7).unwrap());
        assert_eq!(a, b[..10_000]);
        let train = a.iter().filter(|&&d| part_of(d, [0.6, 0.2, 0.2]) == Part::Train as u8).count();
        assert!((5_800..6_200).contains(&train), "{train}");
        assert_ne!(draws("t", &few, 8).unwrap(), a);
        assert_ne!(draws("u", &few, 7).unwrap(), a);
    }

    #[test]
    fn a_day_is_all_of_its_hours() {
        let hours = |day: &str, hour: i64| parse_time(day).unwrap() + hour * 3_600_000_000;
        let times = vec![
            hours("2021-08-31", 23),
            hours("2021-09-01", 0),
            hours("2021-09-30", 23),
            hours("2021-10-01", 0),
        ];
        let column = Column::new("t", Values::Time(times));
        let bound = |compare, day: &str| Bound { compare, value: Scalar::Text(day.into()) };
        let valid = vec![bound(Compare::GreaterEqual, "2021-09-01"), bound(Compare::LessEqual, "2021-09-30")];
        let (train, test) =
            (vec![bound(Compare::Less, "2021-09-01")], vec![bound(Compare::Greater, "2021-09-30")]);
        let parts = by_bounds(&column, [&train, &valid, &test]).unwrap();
        assert_eq!(parts, [Part::Train, Part::Valid, Part::Valid, Part::Test].map(|part| part as u8));
        let noon = vec![bound(Compare::Less, "2021-09-30T12:00:00Z")];
        let parts = by_bounds(&column, [&noon, &Vec::new(), &Vec::new()]).unwrap();
        assert_eq!(parts, [1, 1, 0, 0]);
    }

    #[test]
    fn every_class_trains_when_stratified() {
        let draws = draws("t", &Keys::Dense { first: 0, count: 103 }, 1).unwrap();
        let classes: Vec<f32> = (0..103).map(|i| if i < 100 { 0.0 } else { (i - 99) as f32 }).collect();
        let parts = stratify(&draws, &classes, [0.6, 0.2, 0.2]);
        let count = |part: Part| parts[..100].iter().filter(|&&p| p == part as u8).count();
        assert_eq!((count(Part::Train), count(Part::Valid), count(Part::Test)), (60, 20, 20));
        assert_eq!(parts[100..], [Part::Train as u8; 3]);
    }
}
