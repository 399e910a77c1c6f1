//! Columns under construction: cells pushed one by one, whole columns joined end to end.

use std::mem;

use crate::column::{Bitmap, Column, ColumnKind, FloatList, MISSING, TextColumn, TextList, Values};
use crate::error::{Problem, WHOLE_NAME};
use crate::intern::{Interner, TextValues};
use crate::parse::{
    is_missing_word, parse_bool, parse_date, parse_float, parse_floats, parse_int, parse_texts, parse_time,
    shorten, whole,
};
use crate::sample::{Names, Reading};

pub struct Builder {
    name: String,
    pub data: Data,
    valid: Bitmap,
    reading: Reading,
}

pub enum Data {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text { codes: Vec<u32>, interner: Interner, lookups: Lookups },
    Date(Vec<i64>),
    Time(Vec<i64>),
    FloatList { offsets: Vec<u64>, values: Vec<f32> },
    TextList { offsets: Vec<u64>, codes: Vec<u32>, interner: Interner, lookups: Lookups },
}

/// Whether texts are numbered by looking them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookups {
    Always,
    /// Until most texts of the first rows turn out to be new, as identifiers are.
    WhileTheyPay,
    Never,
}

/// After so many rows it is known whether looking up pays.
const TRIAL_ROWS: usize = 1024;

impl Builder {
    /// `kind` must be readable; `Other` is refused before a builder is made, and read as text here.
    pub fn new(name: &str, kind: &ColumnKind) -> Self {
        Self {
            name: name.to_string(),
            data: Data::new(kind),
            valid: Bitmap::new(),
            reading: Reading::default(),
        }
    }

    /// A builder for one batch of many: a text may get several codes where looking it up does not pay.
    pub fn of_batch(name: &str, kind: &ColumnKind) -> Self {
        let mut builder = Self::new(name, kind);
        if let Data::Text { lookups, .. } | Data::TextList { lookups, .. } = &mut builder.data {
            *lookups = Lookups::WhileTheyPay;
        }
        builder
    }

    /// The same where more than the kind of the column says how its cells are read.
    pub fn with(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    pub fn len(&self) -> usize {
        self.valid.len()
    }

    pub fn push_missing(&mut self) {
        match &mut self.data {
            Data::Int(v) | Data::Date(v) | Data::Time(v) => v.push(0),
            Data::Float(v) => v.push(0.0),
            Data::Bool(v) => v.push(false),
            Data::Text { codes, .. } => codes.push(MISSING),
            Data::FloatList { offsets, values } => offsets.push(values.len() as u64),
            Data::TextList { offsets, codes, .. } => offsets.push(codes.len() as u64),
        }
        self.valid.push(false);
    }

    /// Whether the user calls such a cell missing.
    pub fn is_stated_missing(&self, cell: impl FnOnce() -> String) -> bool {
        !self.reading.stated.missing.is_empty() && self.reading.stated.is_missing(&cell())
    }

    /// One cell of text. An empty cell is missing unless it was quoted.
    pub fn push_cell(&mut self, cell: &str, quoted: bool) -> Result<(), Problem> {
        let is_text = matches!(self.data, Data::Text { .. });
        let is_word = (self.reading.words || !is_text) && is_missing_word(cell.trim());
        if (cell.is_empty() && !quoted) || is_word || self.reading.stated.is_missing(cell) {
            self.push_missing();
            return Ok(());
        }
        match self.reading.names {
            _ if !is_text => self.parse(cell.trim()),
            Names::AsWritten => self.push_text(cell),
            Names::Whole | Names::OnlyWhole => self.push_name(cell),
        }
    }

    /// A cell of a column of numbers that names a class.
    fn push_name(&mut self, cell: &str) -> Result<(), Problem> {
        match (parse_float(cell.trim()).ok().and_then(whole), self.reading.names) {
            (Some(value), _) => self.push_text(&value.to_string()),
            (None, Names::OnlyWhole) => Err(Problem::NotA { expected: WHOLE_NAME, found: shorten(cell) }),
            (None, _) => self.push_text(cell),
        }
    }

    /// A number where a text is wanted.
    pub fn push_number_text(&mut self, value: f64) -> Result<(), Problem> {
        match self.reading.names {
            Names::AsWritten => self.push_text(&value.to_string()),
            _ if value.is_nan() => {
                self.push_missing();
                Ok(())
            }
            _ => self.push_name(&value.to_string()),
        }
    }

    fn parse(&mut self, cell: &str) -> Result<(), Problem> {
        match &mut self.data {
            Data::Int(v) => v.push(parse_int(cell)?),
            Data::Float(v) => v.push(parse_float(cell)?),
            Data::Bool(v) => v.push(parse_bool(cell)?),
            Data::Date(v) => v.push(parse_date(cell)?),
            Data::Time(v) => v.push(parse_time(cell)?),
            Data::FloatList { offsets, values } => {
                parse_floats(cell, values)?;
                offsets.push(values.len() as u64);
            }
            Data::TextList { .. } => {
                let texts = parse_texts(cell)?;
                return self.push_texts(texts.iter().map(String::as_str));
            }
            Data::Text { .. } => unreachable!("texts are not parsed"),
        }
        self.valid.push(true);
        Ok(())
    }

    pub fn push_int(&mut self, value: i64) {
        if let Data::Int(v) | Data::Date(v) | Data::Time(v) = &mut self.data {
            v.push(value);
            self.valid.push(true);
        }
    }

    pub fn push_float(&mut self, value: f64) {
        if let Data::Float(v) = &mut self.data {
            v.push(value);
            self.valid.push(true);
        }
    }

    pub fn push_bool(&mut self, value: bool) {
        if let Data::Bool(v) = &mut self.data {
            v.push(value);
            self.valid.push(true);
        }
    }

    pub fn push_text(&mut self, text: &str) -> Result<(), Problem> {
        if let Data::Text { codes, interner, lookups } = &mut self.data {
            codes.push(lookups.number(interner, text, codes.len())?);
            self.valid.push(true);
        }
        Ok(())
    }

    pub fn push_list(&mut self, list: &[f32]) {
        if let Data::FloatList { offsets, values } = &mut self.data {
            values.extend_from_slice(list);
            offsets.push(values.len() as u64);
            self.valid.push(true);
        }
    }

    pub fn push_texts<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> Result<(), Problem> {
        if let Data::TextList { offsets, codes, interner, lookups } = &mut self.data {
            for text in texts {
                codes.push(lookups.number(interner, text, codes.len())?);
            }
            offsets.push(codes.len() as u64);
            self.valid.push(true);
        }
        Ok(())
    }

    /// What a cell should be, for messages.
    pub fn expected(&self) -> &'static str {
        match &self.data {
            Data::Int(_) => "an integer",
            Data::Float(_) => "a number",
            Data::Bool(_) => "true or false",
            Data::Text { .. } => "a text",
            Data::Date(_) => "a date",
            Data::Time(_) => "a time",
            Data::FloatList { .. } => "a list of numbers",
            Data::TextList { .. } => "a list of texts",
        }
    }

    /// The column so far; the builder is empty afterwards.
    pub fn take(&mut self) -> Column {
        let kind = self.data.kind();
        let data = mem::replace(&mut self.data, Data::new(&kind));
        let valid = mem::take(&mut self.valid);
        let validity = (valid.count_zeros() > 0).then_some(valid);
        let values = data.into_values(validity.as_ref());
        Column { name: self.name.clone(), values, validity }
    }
}

impl Lookups {
    fn number(&mut self, interner: &mut Interner, text: &str, row: usize) -> Result<u32, Problem> {
        if *self == Lookups::WhileTheyPay && row >= TRIAL_ROWS {
            *self = if interner.len() * 2 > row { Lookups::Never } else { Lookups::Always };
        }
        let code = match self {
            Lookups::Never => interner.append(text),
            _ => interner.intern(text),
        };
        code.ok_or(Problem::TooManyValues)
    }
}

impl Data {
    fn new(kind: &ColumnKind) -> Self {
        match kind {
            ColumnKind::Int => Data::Int(Vec::new()),
            ColumnKind::Float => Data::Float(Vec::new()),
            ColumnKind::Bool => Data::Bool(Vec::new()),
            ColumnKind::Text | ColumnKind::Other(_) => {
                Data::Text { codes: Vec::new(), interner: Interner::new(), lookups: Lookups::Always }
            }
            ColumnKind::Date => Data::Date(Vec::new()),
            ColumnKind::Time => Data::Time(Vec::new()),
            ColumnKind::FloatList(_) => Data::FloatList { offsets: vec![0], values: Vec::new() },
            ColumnKind::TextList => Data::TextList {
                offsets: vec![0],
                codes: Vec::new(),
                interner: Interner::new(),
                lookups: Lookups::Always,
            },
        }
    }

    fn kind(&self) -> ColumnKind {
        match self {
            Data::Int(_) => ColumnKind::Int,
            Data::Float(_) => ColumnKind::Float,
            Data::Bool(_) => ColumnKind::Bool,
            Data::Text { .. } => ColumnKind::Text,
            Data::Date(_) => ColumnKind::Date,
            Data::Time(_) => ColumnKind::Time,
            Data::FloatList { .. } => ColumnKind::FloatList(None),
            Data::TextList { .. } => ColumnKind::TextList,
        }
    }

    fn into_values(self, validity: Option<&Bitmap>) -> Values {
        match self {
            Data::Int(v) => Values::Int(v),
            Data::Float(v) => Values::Float(v),
            Data::Bool(v) => Values::Bool(v),
            Data::Text { codes, interner, .. } => {
                Values::Text(TextColumn { codes, values: interner.into_values() })
            }
            Data::Date(v) => Values::Date(v),
            Data::Time(v) => Values::Time(v),
            Data::FloatList { offsets, values } => Values::FloatList(square(offsets, values, validity)),
            Data::TextList { offsets, codes, interner, .. } => {
                Values::TextList(TextList { offsets, codes, values: interner.into_values() })
            }
        }
    }
}

/// Lists of one width lose their offsets; a missing row is filled with zeros.
fn square(offsets: Vec<u64>, values: Vec<f32>, validity: Option<&Bitmap>) -> FloatList {
    let rows = offsets.len() - 1;
    let present = |row: usize| validity.is_none_or(|bits| bits.get(row));
    let mut widths = (0..rows).filter(|&row| present(row)).map(|row| offsets[row + 1] - offsets[row]);
    let Some(width) = widths.next() else { return FloatList::Ragged { offsets, values } };
    if widths.any(|other| other != width) {
        return FloatList::Ragged { offsets, values };
    }
    let width = width as usize;
    if validity.is_none() {
        return FloatList::Fixed { rows, width, values };
    }
    let mut filled = vec![0.0; rows * width];
    for row in (0..rows).filter(|&row| present(row)) {
        let start = offsets[row] as usize;
        filled[row * width..(row + 1) * width].copy_from_slice(&values[start..start + width]);
    }
    FloatList::Fixed { rows, width, values: filled }
}

/// Columns of one name and kind, end to end.
pub fn concat(mut parts: Vec<Column>, name: &str, kind: &ColumnKind) -> Result<Column, Problem> {
    match parts.len() {
        0 => return Ok(Builder::new(name, kind).take()),
        1 if !matches!(kind, ColumnKind::Text | ColumnKind::TextList) => return Ok(parts.remove(0)),
        _ => {}
    }
    let validity = join_validity(&parts);
    let mut data = Data::new(kind);
    for part in parts {
        data.append(part.values, part.validity.as_ref())?;
    }
    let values = data.into_values(validity.as_ref());
    Ok(Column { name: name.to_string(), values, validity })
}

fn join_validity(parts: &[Column]) -> Option<Bitmap> {
    parts
        .iter()
        .any(|part| part.validity.is_some())
        .then(|| parts.iter().flat_map(|part| (0..part.len()).map(|row| part.is_valid(row))).collect())
}

/// The codes that the texts of another column have here.
fn renumber(interner: &mut Interner, texts: &TextValues) -> Result<Vec<u32>, Problem> {
    texts.iter().map(|text| interner.intern(text).ok_or(Problem::TooManyValues)).collect()
}

impl Data {
    fn append(&mut self, values: Values, validity: Option<&Bitmap>) -> Result<(), Problem> {
        match (self, values) {
            (Data::Int(all), Values::Int(more))
            | (Data::Date(all), Values::Date(more))
            | (Data::Time(all), Values::Time(more)) => all.extend(more),
            (Data::Float(all), Values::Float(more)) => all.extend(more),
            (Data::Bool(all), Values::Bool(more)) => all.extend(more),
            (Data::Text { codes, interner, .. }, Values::Text(more)) => {
                let renumbered = renumber(interner, &more.values)?;
                codes.extend(
                    more.codes.iter().map(|&c| if c == MISSING { MISSING } else { renumbered[c as usize] }),
                );
            }
            (Data::TextList { offsets, codes, interner, .. }, Values::TextList(more)) => {
                let renumbered = renumber(interner, &more.values)?;
                let before = codes.len() as u64;
                codes.extend(more.codes.iter().map(|&code| renumbered[code as usize]));
                offsets.extend(more.offsets[1..].iter().map(|end| before + end));
            }
            (Data::FloatList { offsets, values }, Values::FloatList(list)) => {
                for row in 0..list.len() {
                    if validity.is_none_or(|bits| bits.get(row)) {
                        values.extend_from_slice(list.row(row));
                    }
                    offsets.push(values.len() as u64);
                }
            }
            _ => return Err(Problem::Corrupt { reason: "parts of one column differ in kind".into() }),
        }
        Ok(())
    }
}
