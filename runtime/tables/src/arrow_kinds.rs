//! Arrow's types, as kinds of columns and by the names that messages use.

use arrow_schema::{DataType, Field, TimeUnit};

use crate::column::ColumnKind;

pub fn kind_of(data_type: &DataType) -> ColumnKind {
    match data_type {
        kind if kind.is_integer() => ColumnKind::Int,
        kind if kind.is_floating() => ColumnKind::Float,
        kind if kind.is_decimal() => {
            if is_whole(kind) {
                ColumnKind::Int
            } else {
                ColumnKind::Float
            }
        }
        DataType::Boolean => ColumnKind::Bool,
        // A column of nothing but missing values fits every kind; text is what asks least of it.
        DataType::Null | DataType::FixedSizeBinary(_) => ColumnKind::Text,
        kind if is_text(kind) => ColumnKind::Text,
        DataType::Dictionary(_, value) => kind_of(value),
        DataType::Date32 | DataType::Date64 => ColumnKind::Date,
        DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => ColumnKind::Time,
        DataType::List(item) | DataType::LargeList(item) => list_of(data_type, item, None),
        DataType::FixedSizeList(item, width) => list_of(data_type, item, usize::try_from(*width).ok()),
        other => ColumnKind::Other(type_name(other)),
    }
}

fn list_of(list: &DataType, item: &Field, width: Option<usize>) -> ColumnKind {
    match kind_of(item.data_type()) {
        ColumnKind::Int | ColumnKind::Float | ColumnKind::Bool => ColumnKind::FloatList(width),
        ColumnKind::Text if is_text(item.data_type()) => ColumnKind::TextList,
        _ => ColumnKind::Other(type_name(list)),
    }
}

/// Decimals without a fraction are integers.
fn is_whole(decimal: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    matches!(decimal, Decimal32(_, 0) | Decimal64(_, 0) | Decimal128(_, 0) | Decimal256(_, 0))
}

/// Bytes of any length, which may not be text.
pub fn is_bytes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, value) => is_bytes(value),
        _ => false,
    }
}

/// Texts, and bytes of any length, which old writers use for texts.
pub fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        other => is_bytes(other),
    }
}

pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        kind if is_text(kind) => "text".into(),
        DataType::Dictionary(_, value) => type_name(value),
        DataType::Null => "null".into(),
        DataType::Float32 => "float32".into(),
        DataType::Float64 => "float64".into(),
        DataType::Boolean => "bool".into(),
        DataType::FixedSizeBinary(16) => "uuid".into(),
        DataType::FixedSizeBinary(width) => format!("bytes[{width}]"),
        DataType::Decimal32(digits, scale) => decimal_name(*digits, *scale),
        DataType::Decimal64(digits, scale) => decimal_name(*digits, *scale),
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
            decimal_name(*digits, *scale)
        }
        DataType::Time32(_) | DataType::Time64(_) => "time of day".into(),
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

fn decimal_name(digits: u8, scale: i8) -> String {
    format!("decimal({digits}, {scale})")
}
