//! Arrow arrays to column values cell by cell, whatever kind is wanted of them.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};

use crate::arrow_kinds::kind_of;
use crate::builder::{Builder, Data};
use crate::column::ColumnKind;
use crate::error::Problem;
use crate::parse::{show_date, show_time};

const DAY_MICROS: i64 = 86_400_000_000;

/// Appends the cells of an array. On error, the builder holds the rows before the wrong one.
pub fn append(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    match kind_of(array.data_type()) {
        ColumnKind::Text => append_texts(array, builder),
        ColumnKind::Int => append_ints(array, builder),
        ColumnKind::Float => append_floats(array, builder),
        ColumnKind::Bool => append_bools(array, builder),
        ColumnKind::Date => append_days(array, builder),
        ColumnKind::Time => append_micros(array, builder),
        ColumnKind::FloatList(_) => append_lists(array, builder),
        ColumnKind::Other(name) if name == "null" => {
            (0..array.len()).for_each(|_| builder.push_missing());
            Ok(())
        }
        ColumnKind::Other(found) => Err(Problem::Unsupported { found }),
    }
}

/// Texts that are to be read as something else, cell by cell.
fn append_texts(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let texts = cast(array, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    each(texts, builder, |row| texts.value(row), |builder, text| builder.push_cell(text, false))
}

pub fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Problem> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let strict = CastOptions { safe: false, ..Default::default() };
    cast_with_options(array, to, &strict).map_err(|error| Problem::Corrupt { reason: error.to_string() })
}

fn each<T>(
    array: &dyn Array,
    builder: &mut Builder,
    value: impl Fn(usize) -> T,
    push: impl Fn(&mut Builder, T) -> Result<(), Problem>,
) -> Result<(), Problem> {
    for row in 0..array.len() {
        match array.is_valid(row) {
            true => push(builder, value(row))?,
            false => builder.push_missing(),
        }
    }
    Ok(())
}

fn refused(builder: &Builder, found: impl ToString) -> Problem {
    let expected = match &builder.data {
        Data::Int(_) => "an integer",
        Data::Float(_) => "a number",
        Data::Bool(_) => "true or false",
        Data::Text { .. } => "a text",
        Data::Date(_) => "a date",
        Data::Time(_) => "a time",
        Data::FloatList { .. } => "a list of numbers",
    };
    Problem::NotA { expected, found: found.to_string() }
}

fn append_ints(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    if matches!(array.data_type(), DataType::UInt64) {
        return append_unsigned(array, builder);
    }
    let ints = cast(array, &DataType::Int64)?;
    let ints: &Int64Array = ints.as_primitive::<Int64Type>();
    each(ints, builder, |row| ints.value(row), push_int_as)
}

fn push_int_as(builder: &mut Builder, value: i64) -> Result<(), Problem> {
    match builder.data {
        Data::Int(_) => builder.push_int(value),
        Data::Float(_) => builder.push_float(value as f64),
        Data::Bool(_) if value == 0 || value == 1 => builder.push_bool(value == 1),
        Data::Text { .. } => builder.push_text(&value.to_string())?,
        _ => return Err(refused(builder, value)),
    }
    Ok(())
}

fn append_unsigned(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let values = array.as_primitive::<arrow_array::types::UInt64Type>();
    each(
        values,
        builder,
        |row| values.value(row),
        |builder, value| match (i64::try_from(value), &builder.data) {
            (Ok(value), _) => push_int_as(builder, value),
            (Err(_), Data::Text { .. }) => builder.push_text(&value.to_string()),
            (Err(_), Data::Float(_)) => {
                builder.push_float(value as f64);
                Ok(())
            }
            (Err(_), _) => Err(Problem::Overflow { found: value.to_string() }),
        },
    )
}

fn append_floats(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let floats = cast(array, &DataType::Float64)?;
    let floats: &Float64Array = floats.as_primitive::<Float64Type>();
    each(
        floats,
        builder,
        |row| floats.value(row),
        |builder, value| {
            match builder.data {
                Data::Float(_) => builder.push_float(value),
                Data::Int(_) if value.fract() == 0.0 && value.abs() < 9e15 => builder.push_int(value as i64),
                Data::Text { .. } => builder.push_text(&value.to_string())?,
                _ => return Err(refused(builder, value)),
            }
            Ok(())
        },
    )
}

fn append_bools(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let bools = array.as_boolean();
    each(
        bools,
        builder,
        |row| bools.value(row),
        |builder, value| {
            match builder.data {
                Data::Bool(_) => builder.push_bool(value),
                Data::Int(_) => builder.push_int(value.into()),
                Data::Float(_) => builder.push_float(f64::from(u8::from(value))),
                Data::Text { .. } => builder.push_text(if value { "true" } else { "false" })?,
                _ => return Err(refused(builder, value)),
            }
            Ok(())
        },
    )
}

fn append_days(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let days = cast(&cast(array, &DataType::Date32)?, &DataType::Int32)?;
    let days = days.as_primitive::<Int32Type>();
    each(
        days,
        builder,
        |row| i64::from(days.value(row)),
        |builder, day| {
            match builder.data {
                Data::Date(_) | Data::Int(_) => builder.push_int(day),
                Data::Time(_) => builder.push_int(day * DAY_MICROS),
                Data::Float(_) => builder.push_float(day as f64),
                Data::Text { .. } => builder.push_text(&show_date(day))?,
                _ => return Err(refused(builder, show_date(day))),
            }
            Ok(())
        },
    )
}

fn append_micros(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
    let micros = cast(&micros, &DataType::Int64)?;
    let micros = micros.as_primitive::<Int64Type>();
    each(
        micros,
        builder,
        |row| micros.value(row),
        |builder, time| {
            match builder.data {
                Data::Time(_) | Data::Int(_) => builder.push_int(time),
                Data::Date(_) => builder.push_int(time.div_euclid(DAY_MICROS)),
                Data::Float(_) => builder.push_float(time as f64),
                Data::Text { .. } => builder.push_text(&show_time(time))?,
                _ => return Err(refused(builder, show_time(time))),
            }
            Ok(())
        },
    )
}

fn append_lists(array: &ArrayRef, builder: &mut Builder) -> Result<(), Problem> {
    if !matches!(builder.data, Data::FloatList { .. }) {
        return Err(refused(builder, "a list of numbers"));
    }
    let (items, bounds): (ArrayRef, Vec<(usize, usize)>) = match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let bound =
                |row: usize| (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
            (list.values().clone(), (0..list.len()).map(bound).collect())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let bound =
                |row: usize| (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
            (list.values().clone(), (0..list.len()).map(bound).collect())
        }
        _ => {
            let list = array.as_fixed_size_list();
            let width = list.value_length() as usize;
            let start = |row: usize| list.value_offset_at(row);
            (list.values().clone(), (0..list.len()).map(|row| (start(row), start(row) + width)).collect())
        }
    };
    let items = cast(&items, &DataType::Float32)?;
    let items = items.as_primitive::<Float32Type>();
    each(
        array,
        builder,
        |row| bounds[row],
        |builder, (start, end)| {
            if (start..end).any(|item| items.is_null(item)) {
                return Err(Problem::NotA {
                    expected: "a list without gaps",
                    found: "a missing value in it".into(),
                });
            }
            builder.push_list(&items.values()[start..end]);
            Ok(())
        },
    )
}
