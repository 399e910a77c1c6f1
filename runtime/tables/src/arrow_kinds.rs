//! Arrow's types, as kinds of columns and by the names that messages use.

use arrow_schema::{DataType, Field, TimeUnit};

use crate::column::ColumnKind;

pub fn kind_of(data_type: &DataType) -> ColumnKind {
    match data_type {
        kind if kind.is_integer() => ColumnKind::Int,
        kind if kind.is_floating() => ColumnKind::Float,
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => ColumnKind::Float,
        DataType::Boolean => ColumnKind::Bool,
        kind if is_text(kind) => ColumnKind::Text,
        DataType::Dictionary(_, value) => kind_of(value),
        DataType::Date32 | DataType::Date64 => ColumnKind::Date,
        DataType::Timestamp(..) => ColumnKind::Time,
        DataType::List(item) | DataType::LargeList(item) if is_number(item) => ColumnKind::FloatList(None),
        DataType::FixedSizeList(item, width) if is_number(item) => {
            ColumnKind::FloatList(usize::try_from(*width).ok())
        }
        other => ColumnKind::Other(type_name(other)),
    }
}

/// Texts, and bytes: of any length, which old writers use for texts, and of a fixed one, which are shown as text.
pub fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn is_number(item: &Field) -> bool {
    matches!(kind_of(item.data_type()), ColumnKind::Int | ColumnKind::Float)
}

pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        kind if is_text(kind) => "text".into(),
        DataType::Dictionary(_, value) => type_name(value),
        DataType::Null => "null".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Boolean => "bool".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(TimeUnit::Second, _) => "timestamp[s]".into(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => "timestamp[ms]".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp[us]".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "timestamp[ns]".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("list<{}>", type_name(item.data_type())),
        DataType::FixedSizeList(item, width) => format!("{}[{width}]", type_name(item.data_type())),
        DataType::Struct(_) => "struct".into(),
        DataType::Map(..) => "map".into(),
        other => other.to_string().to_lowercase(),
    }
}
