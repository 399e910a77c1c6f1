//! Arrow arrays to column values cell by cell, whatever kind is wanted of them.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};

use crate::arrow_kinds::{is_text, kind_of, type_name};
use crate::builder::{Builder, Data};
use crate::column::ColumnKind;
use crate::error::Problem;
use crate::parquet_in::corrupt;

/// Appends the cells of an array. On error, the builder holds the rows before the wrong one.
pub fn append(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    match kind_of(array.data_type()) {
        _ if *array.data_type() == DataType::Null => {
            (0..array.len()).for_each(|_| builder.push_missing());
            Ok(())
        }
        ColumnKind::Text => append_texts(array, builder),
        ColumnKind::Int => append_ints(array, builder),
        ColumnKind::Float => append_floats(array, builder),
        ColumnKind::Bool => append_bools(array, builder),
        ColumnKind::Date => append_days(array, builder),
        ColumnKind::Time => append_micros(array, builder),
        ColumnKind::FloatList(_) | ColumnKind::TextList => append_lists(array, builder),
        ColumnKind::Other(found) => Err(Problem::Unsupported { found }),
    }
}

/// The array as another type; a value that does not fit becomes missing, and [`each`] complains of it.
pub fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Problem> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let lenient = CastOptions { safe: true, ..Default::default() };
    cast_with_options(array, to, &lenient).map_err(|error| corrupt(&error.to_string()))
}

/// Texts as they are, missing where they are not UTF-8; bytes of a fixed width as a UUID (16 bytes, RFC 9562) or in hexadecimal digits.
pub fn texts_of(array: &ArrayRef) -> Result<StringArray, Problem> {
    let array = match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value)?,
        _ => array.clone(),
    };
    if !matches!(array.data_type(), DataType::FixedSizeBinary(_)) {
        return Ok(cast(&array, &DataType::Utf8)?.as_string::<i32>().clone());
    }
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 36);
    for bytes in array.as_fixed_size_binary() {
        texts.append_option(bytes.map(show_bytes));
    }
    Ok(texts.finish())
}

fn show_bytes(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let uuid = bytes.len() == 16;
    let mut text = String::with_capacity(bytes.len() * 2 + 4);
    for (index, byte) in bytes.iter().enumerate() {
        if uuid && matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text
}

/// Pushes each value of `array`, which is `cells` as another type; where only `array` has a gap, the value did not fit.
fn each<T>(
    cells: &ArrayRef,
    array: &dyn Array,
    builder: &mut Builder,
    value: impl Fn(usize) -> T,
    push: impl Fn(&mut Builder, T) -> Result<(), Problem>,
) -> Result<(), Problem> {
    for row in 0..array.len() {
        match (array.is_valid(row), cells.is_valid(row)) {
            (true, _) => push(builder, value(row))?,
            (false, false) => builder.push_missing(),
            (false, true) => return Err(unfit(cells, row)),
        }
    }
    Ok(())
}

/// What to call a value that could not be converted.
pub fn unfit(cells: &ArrayRef, row: usize) -> Problem {
    match kind_of(cells.data_type()) {
        ColumnKind::Text => Problem::NotUtf8 { found: String::new() },
        _ => Problem::Overflow { found: shown(cells, row) },
    }
}

fn shown(cells: &ArrayRef, row: usize) -> String {
    array_value_to_string(cells, row).unwrap_or_else(|_| "a value".to_string())
}

/// Texts that are to be read as something else.
fn append_texts(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let texts = texts_of(array)?;
    each(array, &texts, builder, |row| texts.value(row), |builder, text| builder.push_cell(text, false))
}

fn append_ints(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    if matches!(array.data_type(), DataType::UInt64) {
        return append_unsigned(array, builder);
    }
    let ints = cast(array, &DataType::Int64)?;
    let ints = ints.as_primitive::<Int64Type>();
    each(array, ints, builder, |row| ints.value(row), Builder::push_int_as)
}

fn append_unsigned(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let values = array.as_primitive::<UInt64Type>();
    each(array, values, builder, |row| values.value(row), Builder::push_unsigned_as)
}

fn append_floats(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let floats = cast(array, &DataType::Float64)?;
    let floats = floats.as_primitive::<Float64Type>();
    each(array, floats, builder, |row| floats.value(row), Builder::push_float_as)
}

fn append_bools(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let bools = array.as_boolean();
    each(array, bools, builder, |row| bools.value(row), Builder::push_bool_as)
}

fn append_days(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let days = cast(&cast(array, &DataType::Date32)?, &DataType::Int32)?;
    let days = days.as_primitive::<Int32Type>();
    each(array, days, builder, |row| i64::from(days.value(row)), Builder::push_day_as)
}

fn append_micros(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let micros = micros_of(array)?;
    let micros = micros.as_primitive::<Int64Type>();
    each(array, micros, builder, |row| micros.value(row), Builder::push_time_as)
}

/// Microseconds since 1970; of a time of day, since midnight.
pub fn micros_of(array: &ArrayRef) -> Result<ArrayRef, Problem> {
    let unit = match array.data_type() {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Time64(TimeUnit::Microsecond),
    };
    cast(&cast(array, &unit)?, &DataType::Int64)
}

/// The items of all rows end to end, and where the list of each row begins and ends among them.
pub fn items_of(array: &ArrayRef) -> (ArrayRef, Vec<(usize, usize)>) {
    fn bounds<T: Copy + TryInto<usize>>(offsets: &[T]) -> Vec<(usize, usize)> {
        let at = |offset: T| offset.try_into().unwrap_or(0);
        offsets.windows(2).map(|pair| (at(pair[0]), at(pair[1]))).collect()
    }
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            (list.values().clone(), bounds(list.value_offsets()))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            (list.values().clone(), bounds(list.value_offsets()))
        }
        _ => {
            let list = array.as_fixed_size_list();
            let width = list.value_length() as usize;
            let start = |row: usize| list.value_offset_at(row);
            (list.values().clone(), (0..list.len()).map(|row| (start(row), start(row) + width)).collect())
        }
    }
}

fn append_lists(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let (items, bounds) = items_of(array);
    match builder.data {
        Data::FloatList { .. } if !is_text(items.data_type()) => {
            let items = Arc::new(numbers(&items)?) as ArrayRef;
            let values = items.as_primitive::<Float32Type>().values().clone();
            append_each(array, builder, &items, &bounds, |builder, from, to| {
                builder.push_list(&values[from..to]);
                Ok(())
            })
        }
        Data::TextList { .. } => {
            let texts = items_as_texts(&items)?;
            if texts.null_count() > items.null_count() {
                return Err(Problem::NotUtf8 { found: String::new() });
            }
            let items = Arc::new(texts.clone()) as ArrayRef;
            append_each(array, builder, &items, &bounds, |builder, from, to| {
                builder.push_texts((from..to).map(|item| texts.value(item)))
            })
        }
        _ => Err(builder.refused(format!("a value of type {}", type_name(array.data_type())))),
    }
}

pub fn numbers(items: &ArrayRef) -> Result<arrow_array::Float32Array, Problem> {
    Ok(cast(items, &DataType::Float32)?.as_primitive::<Float32Type>().clone())
}

/// Integers and truth values in their usual writing, other numbers in the shortest that gives them back.
fn items_as_texts(items: &ArrayRef) -> Result<StringArray, Problem> {
    match kind_of(items.data_type()) {
        ColumnKind::Float => {
            let floats = cast(items, &DataType::Float64)?;
            let text = |value: Option<f64>| value.map(|value| value.to_string());
            Ok(floats.as_primitive::<Float64Type>().iter().map(text).collect())
        }
        _ => texts_of(items),
    }
}

fn append_each(
    array: &ArrayRef,
    builder: &mut Builder,
    items: &ArrayRef,
    bounds: &[(usize, usize)],
    push: impl Fn(&mut Builder, usize, usize) -> Result<(), Problem>,
) -> Result<(), Problem> {
    each(
        array,
        array,
        builder,
        |row| bounds[row],
        |builder, (from, to)| {
            if (from..to).any(|item| items.is_null(item)) {
                let found = "a missing value in it".to_string();
                return Err(Problem::NotA { expected: "a list without gaps", found });
            }
            push(builder, from, to)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown() {
        let uuid: Vec<u8> = (0..16).map(|i| i * 17).collect();
        assert_eq!(show_bytes(&uuid), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(show_bytes(&[0, 255, 16]), "00ff10");
    }
}
