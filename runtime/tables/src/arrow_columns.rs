//! Arrow arrays to columns, whole arrays at a time where the stored type is the wanted one.
//!
//! Dictionaries of texts are translated once per distinct value and not once per row. Everything unusual goes cell by
//! cell, in [`arrow_cells`](crate::arrow_cells).

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, DictionaryArray, PrimitiveArray, StringArray};
use arrow_schema::DataType;

use crate::arrow_cells::{append, cast, items_of, micros_of, numbers, texts_of, unfit};
use crate::arrow_kinds::kind_of;
use crate::column::{Bitmap, Column, ColumnKind, FloatList, MISSING, TextColumn, Values};
use crate::error::Problem;
use crate::intern::TextValues;
use crate::parquet_in::corrupt;
use crate::source::Wanted;

/// A dictionary is begun anew when it holds this many times the rows of a batch, so that memory is bounded.
const DICTIONARY_BATCHES: usize = 32;

/// Decodes the arrays of one column, batch after batch of one piece.
pub struct Decoder {
    dictionary: Option<Dictionary>,
    limit: usize,
    known: usize,
}

/// The texts that rows have had so far, and their codes by the keys of the file's dictionary.
struct Dictionary {
    stored: ArrayRef,
    texts: StringArray,
    codes: Vec<u32>,
    values: TextValues,
}

impl Decoder {
    pub fn new(batch_rows: usize) -> Self {
        Self { dictionary: None, limit: batch_rows.saturating_mul(DICTIONARY_BATCHES), known: 0 }
    }

    /// How many values of the last column's dictionary, the first ones, were in that of the column before it.
    pub fn known(&self) -> usize {
        self.known
    }

    /// On error, the row of the wrong cell in the array.
    pub fn decode(&mut self, array: &ArrayRef, want: &Wanted) -> Result<Column, (usize, Problem)> {
        self.known = 0;
        let values = match (&want.kind, array.data_type()) {
            (ColumnKind::Text, DataType::Dictionary(..)) => Some(Values::Text(self.texts_of(array)?)),
            _ => whole(array, &want.kind).map_err(|problem| (0, problem))?,
        };
        let Some(values) = values else { return by_cell(array, want) };
        Ok(Column { name: want.name.clone(), values, validity: validity(array) })
    }

    fn texts_of(&mut self, array: &ArrayRef) -> Result<TextColumn, (usize, Problem)> {
        let DataType::Dictionary(_, value) = array.data_type() else { return Ok(TextColumn::default()) };
        let wide = DataType::Dictionary(Box::new(DataType::Int32), value.clone());
        let keys = cast(array, &wide).map_err(|problem| (0, problem))?;
        let array = keys.as_dictionary::<Int32Type>();
        let limit = self.limit;
        let same = |known: &&mut Dictionary| {
            known.stored.to_data().ptr_eq(&array.values().to_data()) && known.values.len() <= limit
        };
        if self.dictionary.as_mut().filter(same).is_none() {
            let begun = Dictionary::new(array.values()).map_err(|problem| (0, problem))?;
            self.dictionary = Some(begun);
        }
        let Some(dictionary) = &mut self.dictionary else { return Ok(TextColumn::default()) };
        self.known = dictionary.values.len();
        Ok(TextColumn { codes: dictionary.translate(array)?, values: dictionary.values.clone() })
    }
}

/// All cells at once; none where that would need a look at each.
fn whole(array: &ArrayRef, kind: &ColumnKind) -> Result<Option<Values>, Problem> {
    let stored = array.data_type();
    Ok(match kind {
        ColumnKind::Text => match stored {
            DataType::Utf8 => Some(Values::Text(plain_texts(array.as_string())?)),
            DataType::FixedSizeBinary(_) | DataType::Binary => {
                let texts = Some(texts_of(array)?).filter(|texts| texts.null_count() == array.null_count());
                texts.map(|texts| plain_texts(&texts).map(Values::Text)).transpose()?
            }
            _ => None,
        },
        ColumnKind::Int if stored.is_integer() => cast_to::<Int64Type>(array)?.map(Values::Int),
        ColumnKind::Float if stored.is_numeric() => cast_to::<Float64Type>(array)?.map(Values::Float),
        ColumnKind::Bool if *stored == DataType::Boolean => Some(Values::Bool(bools(array.as_boolean()))),
        ColumnKind::Date if *stored == DataType::Date32 => {
            cast_to::<Int64Type>(&cast(array, &DataType::Int32)?)?.map(Values::Date)
        }
        ColumnKind::Time if kind_of(stored) == ColumnKind::Time => {
            complete::<Int64Type>(array, &micros_of(array)?).map(Values::Time)
        }
        ColumnKind::FloatList(_) if matches!(kind_of(stored), ColumnKind::FloatList(_)) => {
            lists(array)?.map(Values::FloatList)
        }
        _ => None,
    })
}

impl Dictionary {
    fn new(stored: &ArrayRef) -> Result<Self, Problem> {
        let texts = texts_of(stored)?;
        let codes = vec![MISSING; texts.len()];
        Ok(Self { stored: stored.clone(), texts, codes, values: TextValues::default() })
    }

    /// The codes of the rows, new ones in the order in which they first appear; or the row whose text is none.
    fn translate(&mut self, array: &DictionaryArray<Int32Type>) -> Result<Vec<u32>, (usize, Problem)> {
        if array.null_count() == 0 && self.texts.null_count() == 0 {
            return Ok(array.keys().values().iter().map(|&key| self.code(key as usize)).collect());
        }
        let code = |row: usize| match array.key(row).filter(|&key| self.stored.is_valid(key)) {
            None => Ok(MISSING),
            Some(key) if self.texts.is_null(key) => Err((row, unfit(&self.stored, key))),
            Some(key) => Ok(self.code(key)),
        };
        (0..array.len()).map(code).collect()
    }

    #[inline]
    fn code(&mut self, key: usize) -> u32 {
        match self.codes[key] {
            MISSING => self.add(key),
            code => code,
        }
    }

    #[cold]
    fn add(&mut self, key: usize) -> u32 {
        let code = self.values.len() as u32;
        self.values.push(self.texts.value(key));
        self.codes[key] = code;
        code
    }
}

/// Each row has a code of its own: nothing is looked up.
fn plain_texts(array: &StringArray) -> Result<TextColumn, Problem> {
    let mut values = TextValues::default();
    if array.null_count() > 0 {
        let mut code = |text: Option<&str>| {
            text.map_or(MISSING, |text| {
                values.push(text);
                values.len() as u32 - 1
            })
        };
        let codes = array.iter().map(&mut code).collect();
        return Ok(TextColumn { codes, values });
    }
    let (first, last) = (array.value_offsets()[0], array.value_offsets()[array.len()]);
    let bytes = &array.value_data()[first as usize..last as usize];
    let text = std::str::from_utf8(bytes).map_err(|error| corrupt(&error.to_string()))?;
    values.extend(text, array.value_offsets()[1..].iter().map(|&end| (end - first) as u64));
    Ok(TextColumn { codes: (0..array.len() as u32).collect(), values })
}

/// The values as another type; none if one of them does not fit.
fn cast_to<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<Option<Vec<T::Native>>, Problem> {
    Ok(complete::<T>(array, &cast(array, &T::DATA_TYPE)?))
}

/// The values of `converted`, zero where one is missing; none if one is missing that `array` has.
fn complete<T: ArrowPrimitiveType>(array: &ArrayRef, converted: &ArrayRef) -> Option<Vec<T::Native>> {
    let values: &PrimitiveArray<T> = converted.as_primitive();
    match values.null_count() {
        0 => Some(values.values().to_vec()),
        gaps if gaps == array.null_count() => Some(values.iter().map(Option::unwrap_or_default).collect()),
        _ => None,
    }
}

fn bools(array: &BooleanArray) -> Vec<bool> {
    array.iter().map(Option::unwrap_or_default).collect()
}

/// Lists without gaps, in one copy.
fn lists(array: &ArrayRef) -> Result<Option<FloatList>, Problem> {
    let (items, bounds) = items_of(array);
    if array.null_count() > 0 || items.null_count() > 0 || bounds.is_empty() {
        return Ok(None);
    }
    let items = numbers(&items)?;
    let (first, last) = (bounds[0].0, bounds[bounds.len() - 1].1);
    if items.null_count() > 0 || bounds.windows(2).any(|pair| pair[0].1 != pair[1].0) {
        return Ok(None);
    }
    let values = items.values()[first..last].to_vec();
    let width = bounds[0].1 - first;
    if bounds.iter().all(|(from, to)| to - from == width) {
        return Ok(Some(FloatList::Fixed { rows: bounds.len(), width, values }));
    }
    let ends = bounds.iter().map(|(_, to)| (to - first) as u64);
    Ok(Some(FloatList::Ragged { offsets: std::iter::once(0).chain(ends).collect(), values }))
}

fn validity(array: &ArrayRef) -> Option<Bitmap> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0)?;
    let words: Vec<u64> = nulls.inner().bit_chunks().iter_padded().take(nulls.len().div_ceil(64)).collect();
    Some(Bitmap::from_words(words, nulls.len()))
}

fn by_cell(array: &ArrayRef, want: &Wanted) -> Result<Column, (usize, Problem)> {
    let mut builder = want.builder();
    append(array, &mut builder).map_err(|problem| (builder.len(), problem))?;
    Ok(builder.take())
}
