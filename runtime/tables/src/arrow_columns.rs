//! Arrow arrays to columns, whole arrays at a time where the stored type is the wanted one.
//!
//! Dictionaries of texts are translated once per distinct value and not once per row. Everything unusual goes cell by
//! cell, in [`arrow_cells`](crate::arrow_cells).

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type,
};
use arrow_array::{Array, ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_schema::DataType;

use crate::arrow_cells::{append, cast};
use crate::builder::Builder;
use crate::column::{Bitmap, Column, ColumnKind, MISSING, TextColumn, Values};
use crate::error::Problem;
use crate::intern::TextValues;
use crate::parquet_in::corrupt;

/// A dictionary is begun anew when it holds this many times the rows of a batch, so that memory is bounded.
const DICTIONARY_BATCHES: usize = 4;

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
    pub fn decode(
        &mut self,
        array: &ArrayRef,
        name: &str,
        kind: &ColumnKind,
    ) -> Result<Column, (usize, Problem)> {
        self.known = 0;
        let whole = self.whole(array, kind).map_err(|problem| (0, problem))?;
        let Some(values) = whole else { return by_cell(array, name, kind) };
        Ok(Column { name: name.to_string(), values, validity: validity(array) })
    }

    fn whole(&mut self, array: &ArrayRef, kind: &ColumnKind) -> Result<Option<Values>, Problem> {
        Ok(Some(match (kind, array.data_type()) {
            (ColumnKind::Text, DataType::Dictionary(..)) => Values::Text(self.texts_of(array)?),
            (ColumnKind::Text, DataType::Utf8) => Values::Text(plain_texts(array.as_string())?),
            (ColumnKind::Int, DataType::Int64) => Values::Int(zeroed::<Int64Type, _>(array)),
            (ColumnKind::Int, DataType::Int32) => Values::Int(zeroed::<Int32Type, _>(array)),
            (ColumnKind::Int, DataType::Int16) => Values::Int(zeroed::<Int16Type, _>(array)),
            (ColumnKind::Int, DataType::Int8) => Values::Int(zeroed::<Int8Type, _>(array)),
            (ColumnKind::Int, DataType::UInt32) => Values::Int(zeroed::<UInt32Type, _>(array)),
            (ColumnKind::Int, DataType::UInt16) => Values::Int(zeroed::<UInt16Type, _>(array)),
            (ColumnKind::Int, DataType::UInt8) => Values::Int(zeroed::<UInt8Type, _>(array)),
            (ColumnKind::Float, DataType::Float64) => Values::Float(zeroed::<Float64Type, _>(array)),
            (ColumnKind::Float, DataType::Float32) => Values::Float(zeroed::<Float32Type, _>(array)),
            _ => return Ok(None),
        }))
    }

    fn texts_of(&mut self, array: &ArrayRef) -> Result<TextColumn, Problem> {
        let keys = match array.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int32 => array.clone(),
            _ => cast(array, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))?,
        };
        let array = keys.as_dictionary::<Int32Type>();
        let limit = self.limit;
        let same = |known: &&mut Dictionary| {
            known.stored.to_data().ptr_eq(&array.values().to_data()) && known.values.len() <= limit
        };
        if self.dictionary.as_mut().filter(same).is_none() {
            self.dictionary = Some(Dictionary::new(array.values())?);
        }
        let Some(dictionary) = &mut self.dictionary else { return Ok(TextColumn::default()) };
        self.known = dictionary.values.len();
        Ok(TextColumn { codes: dictionary.translate(array), values: dictionary.values.clone() })
    }
}

impl Dictionary {
    fn new(stored: &ArrayRef) -> Result<Self, Problem> {
        let texts = cast(stored, &DataType::Utf8)?.as_string::<i32>().clone();
        let codes = vec![MISSING; texts.len()];
        Ok(Self { stored: stored.clone(), texts, codes, values: TextValues::default() })
    }

    /// The codes of the rows, new ones in the order in which they first appear.
    fn translate(&mut self, array: &DictionaryArray<Int32Type>) -> Vec<u32> {
        let gaps = array.null_count() > 0 || self.texts.null_count() > 0;
        match gaps {
            false => array.keys().values().iter().map(|&key| self.code(key as usize)).collect(),
            true => (0..array.len())
                .map(|row| match array.key(row).filter(|&key| self.texts.is_valid(key)) {
                    Some(key) => self.code(key),
                    None => MISSING,
                })
                .collect(),
        }
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

/// The values, zero where one is missing.
fn zeroed<T: ArrowPrimitiveType, N: From<T::Native> + Default>(array: &ArrayRef) -> Vec<N> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    match array.null_count() {
        0 => array.values().iter().map(|&value| N::from(value)).collect(),
        _ => array.iter().map(|value| value.map(N::from).unwrap_or_default()).collect(),
    }
}

fn validity(array: &ArrayRef) -> Option<Bitmap> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0)?;
    let words: Vec<u64> = nulls.inner().bit_chunks().iter_padded().take(nulls.len().div_ceil(64)).collect();
    Some(Bitmap::from_words(words, nulls.len()))
}

fn by_cell(array: &ArrayRef, name: &str, kind: &ColumnKind) -> Result<Column, (usize, Problem)> {
    let mut builder = Builder::of_batch(name, kind);
    append(array, &mut builder).map_err(|problem| (builder.len(), problem))?;
    Ok(builder.take())
}
