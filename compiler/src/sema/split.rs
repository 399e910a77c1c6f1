//! Splits as they are written.

use gsl_plan::graph::{Bound, Compare, Scalar, Source, Split};

use super::value::number_text;

/// `random(train: 0.8, valid: 0.1, test: 0.1)`, `by year (train: < 2018, test: >= 2018)`
pub fn show_split(split: &Split) -> String {
    match split {
        Split::Random { train, valid, test, .. } => {
            let shown = [*train, *valid, *test].map(number_text);
            format!("random(train: {}, valid: {}, test: {})", shown[0], shown[1], shown[2])
        }
        Split::Column { column } => format!("column({column})"),
        Split::By { column, train, valid, test } => {
            format!("by {column} ({})", show_parts([train, valid, test].map(|bounds| show_bounds(bounds))))
        }
        Split::Files { train, valid, test } => {
            let parts = [Some(train), valid.as_ref(), test.as_ref()];
            format!("files({})", show_parts(parts.map(|source| source.and_then(show_source))))
        }
    }
}

fn show_parts(parts: [Option<String>; 3]) -> String {
    let named = ["train", "valid", "test"].into_iter().zip(parts);
    let shown = named.filter_map(|(name, part)| Some(format!("{name}: {}", part?)));
    shown.collect::<Vec<_>>().join(", ")
}

fn show_source(source: &Source) -> Option<String> {
    source.paths.first().map(|path| format!("{path:?}"))
}

fn show_bounds(bounds: &[Bound]) -> Option<String> {
    let [low, rest @ ..] = bounds else { return None };
    let value = show_scalar(&low.value);
    Some(match (rest.first(), low.compare) {
        (Some(high), _) => format!("{value} .. {}", show_scalar(&high.value)),
        (None, Compare::Equal) => value,
        (None, Compare::Less) => format!("< {value}"),
        (None, Compare::LessEqual) => format!("<= {value}"),
        (None, Compare::GreaterEqual) => format!(">= {value}"),
        (None, Compare::Greater) => format!("> {value}"),
    })
}

fn show_scalar(value: &Scalar) -> String {
    match value {
        Scalar::Number(x) => number_text(*x),
        Scalar::Text(text) => format!("{text:?}"),
    }
}
