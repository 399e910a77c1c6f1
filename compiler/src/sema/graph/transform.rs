//! Transforms: what each takes, what its arguments may be, and what it gives.

use gsl_plan::graph::{Buckets, DatePart, Fill, Transform};

use super::feature::{FeatureCx, Kind, NAME_A_PART, Resolved};
use super::table::{DATES, both};
use crate::diag::{Diagnostic, codes};
use crate::sema::call::Args;
use crate::sema::value::Value;
use crate::syntax::ast::Span;

/// Transforms by name; their arguments are declared in `stdlib/defaults.gsl`.
pub const TRANSFORMS: &[&str] = &[
    "standardize",
    "min_max",
    "sum_normalize",
    "gauss_rank",
    "quantile",
    "log1p",
    "sqrt",
    "abs",
    "clip",
    "bucket",
    "one_hot",
    "multi_hot",
    "hash",
    "vector",
    "fill",
    "normalize_rows",
    "year",
    "month",
    "day",
    "weekday",
    "day_of_year",
    "hour",
    "minute",
    "days",
    "seconds",
    "cyclic",
    "tokens",
    "embed",
    "bag_of_words",
    "tfidf",
];

/// The most columns that values, buckets or hashes may have.
const MOST_COLUMNS: i64 = 65_536;

impl FeatureCx<'_, '_> {
    /// Whether the input is what the transform takes; a mistake is reported.
    pub fn fits(&mut self, name: &str, input: &Resolved, args: &Args, span: Span) -> Option<()> {
        let kind = &input.kind;
        let category = matches!(kind, Kind::Int | Kind::Bool | Kind::Text);
        let several = matches!(kind, Kind::Vector(_) | Kind::Wide(_));
        let (fits, wants) = match name {
            "one_hot" | "hash" => (category, "text, integers or bools"),
            "multi_hot" => (
                matches!(kind, Kind::Text | Kind::Texts),
                "text that holds several values, or a list of texts",
            ),
            "vector" if *args.get("separator") != Value::None => {
                (*kind == Kind::Text, "text that holds several numbers, where a separator is given")
            }
            "vector" => (matches!(kind, Kind::Vector(_)), "a list of floats"),
            "tokens" | "embed" | "bag_of_words" | "tfidf" => (*kind == Kind::Text, "text"),
            "normalize_rows" => (several, "several numbers"),
            "fill" if matches!(args.get("value"), Value::Text(_)) => {
                (*kind == Kind::Text, "text, where a text is filled in")
            }
            "fill" if args.word("value") == Some("mode") => {
                (kind.is_number() || several || *kind == Kind::Text, "a number or text")
            }
            "hour" | "minute" => (*kind == Kind::Time, "a time"),
            name if part(name).is_some() => (matches!(kind, Kind::Date | Kind::Time), "a date or time"),
            _ => (kind.is_number() || several, "a number"),
        };
        if fits || *kind == Kind::Unknown {
            return Some(());
        }
        let help = match (name, kind) {
            (_, Kind::Date | Kind::Time) if part(name).is_none() => Some(NAME_A_PART),
            ("one_hot" | "hash", Kind::Float) => {
                Some("`bucket` makes classes of a number: `x |> bucket(1, 10, 100)`")
            }
            ("vector", Kind::Text) => Some("say what parts the numbers: `vector(separator: \";\")`"),
            ("fill", Kind::Text) => {
                Some("`fill(\"none\")` gives it a text, `fill(mode)` the most frequent one")
            }
            (_, Kind::Text) if wants == "a number" => Some("`one_hot` takes text"),
            (_, Kind::Texts) => Some("`multi_hot` takes lists of texts"),
            _ => None,
        };
        let message = format!("`{name}` needs {wants}, and this is {}", kind.describe());
        let wants_date = part(name).is_some() && !matches!(kind, Kind::Date | Kind::Time);
        let help = help.or(wants_date.then_some(DATES)).map(str::to_owned);
        let diagnostic = Diagnostic::new(codes::SCHEMA_WRONG_KIND, message)
            .at(span, kind.describe())
            .help_opt(both(self.why_text(&input.expr), help));
        self.cx.report(diagnostic);
        None
    }

    /// The transform and the kind that it gives.
    pub fn transform(
        &mut self,
        name: &str,
        args: &Args,
        input: &Kind,
        call: Span,
    ) -> Option<(Transform, Kind)> {
        let width = match input {
            Kind::Vector(width) | Kind::Wide(width) => *width,
            _ => Some(1),
        };
        let times = |n: usize| Kind::Wide(width.map(|width| width * n));
        // Column by column: one number stays one, several stay several.
        let same = match input {
            Kind::Vector(_) | Kind::Wide(_) => Kind::Wide(width),
            _ => Kind::Float,
        };
        Some(match name {
            "standardize" => (Transform::Standardize, same),
            "min_max" => (self.min_max(args, call)?, same),
            "sum_normalize" => (Transform::SumNormalize, same),
            "gauss_rank" => (Transform::GaussRank, same),
            "quantile" => (Transform::Quantile, same),
            "log1p" => (Transform::Log1p, same),
            "sqrt" => (Transform::Sqrt, same),
            "abs" => (Transform::Abs, same),
            "one_hot" => {
                let top = self.columns(args, "top", MOST_COLUMNS - 1, call)?;
                (Transform::OneHot { top }, Kind::Wide(None))
            }
            "hash" => {
                let columns = self.columns(args, "columns", MOST_COLUMNS, call)??;
                (Transform::Hash { columns }, Kind::Wide(Some(columns)))
            }
            "vector" => {
                let separator = self.separator(args, call)?;
                let take = args.int("take").and_then(|take| usize::try_from(take).ok());
                let known = if separator.is_none() { width } else { None };
                (Transform::Vector { separator, take }, Kind::Wide(take.or(known)))
            }
            "multi_hot" => {
                let separator = self.separator(args, call)??;
                (Transform::MultiHot { separator }, Kind::Wide(None))
            }
            "bucket" => {
                let buckets = self.buckets(args, call)?;
                let kind = match &buckets {
                    Buckets::Bounds(bounds) => times(bounds.len() + 1),
                    Buckets::Even { count, .. } => times(*count),
                    Buckets::Quantiles(_) => Kind::Wide(None),
                };
                (Transform::Bucket(buckets), kind)
            }
            "clip" => {
                let (low, high) = (args.float("low")?, args.float("high")?);
                if low > high {
                    return self.bad_argument(call, "`low` is at most `high`");
                }
                (Transform::Clip { low, high }, as_wide(input))
            }
            "fill" => fill(args.get("value"), input)?,
            "tokens" | "embed" | "bag_of_words" | "tfidf" => return self.text(name, args, call),
            "normalize_rows" => match args.int("p") {
                Some(p @ (1 | 2)) => (Transform::NormalizeRows { p: p as u8 }, Kind::Wide(width)),
                _ => {
                    let message = "`p` is 1 (sum of absolute values) or 2 (Euclidean norm)";
                    return self.bad_argument(call, message);
                }
            },
            "cyclic" => match args.float("period") {
                Some(period) if period > 0.0 => (Transform::Cyclic { period }, times(2)),
                _ => return self.bad_argument(call, "a period is more than 0: `month(date) |> cyclic(12)`"),
            },
            name => {
                let part = part(name)?;
                let whole = !matches!((part, input), (DatePart::Seconds, _) | (DatePart::Days, Kind::Time));
                (Transform::Part(part), if whole { Kind::Int } else { Kind::Float })
            }
        })
    }

    fn min_max(&mut self, args: &Args, call: Span) -> Option<Transform> {
        let (low, high) = (args.float("low"), args.float("high"));
        match (low, high) {
            (Some(low), Some(high)) if low >= high => {
                self.bad_argument(call, "`low` is less than `high`: `min_max(0, 100)`")
            }
            _ => Some(Transform::MinMax { low, high }),
        }
    }

    /// A number of columns; none if it is not given.
    fn columns(&mut self, args: &Args, name: &str, most: i64, call: Span) -> Option<Option<usize>> {
        match args.int(name) {
            Some(n) if n > most => self.bad_argument(call, &format!("`{name}` is at most {most}")),
            n => Some(n.and_then(|n| usize::try_from(n).ok())),
        }
    }

    /// What parts the pieces of a text; none if it is not given.
    fn separator(&mut self, args: &Args, call: Span) -> Option<Option<String>> {
        match args.word("separator") {
            Some("") => self.bad_argument(call, "a separator has at least one character"),
            separator => Some(separator.map(str::to_owned)),
        }
    }

    fn buckets(&mut self, args: &Args, call: Span) -> Option<Buckets> {
        const WAYS: &str = "say the bounds, `bucket(1, 10, 100)`, or how many: `bucket(count: 10, from: 0, to: 100)`, \
                            `bucket(quantiles: 10)`";
        let written = |name: &str| *args.get(name) != Value::None;
        let window = args.float("window").unwrap_or(0.0);
        let even = ["count", "from", "to"].map(written);
        match (written("bounds"), even.contains(&true), written("quantiles")) {
            (true, false, false) if window == 0.0 => {
                let bounds: Vec<f64> = args.get("bounds").list().iter().filter_map(Value::number).collect();
                if bounds.is_empty() || bounds.windows(2).any(|w| w[0] >= w[1]) {
                    return self.bad_argument(call, "the bounds of `bucket` rise: `bucket(1, 10, 100)`");
                }
                Some(Buckets::Bounds(bounds))
            }
            (false, true, false) => self.even(args, window, call),
            (false, false, true) if window == 0.0 => {
                match self.columns(args, "quantiles", MOST_COLUMNS, call)?? {
                    1 => self.bad_argument(call, "`quantiles` are at least 2"),
                    n => Some(Buckets::Quantiles(n)),
                }
            }
            (false, false, false) => self.bad_argument(call, WAYS),
            _ if window != 0.0 => self.bad_argument(call, "a `window` goes with `count`, `from` and `to`"),
            _ => self.bad_argument(call, WAYS),
        }
    }

    fn even(&mut self, args: &Args, window: f64, call: Span) -> Option<Buckets> {
        let count = self.columns(args, "count", MOST_COLUMNS, call)?;
        let (Some(count), Some(from), Some(to)) = (count, args.float("from"), args.float("to")) else {
            return self.bad_argument(call, "buckets of equal width need `count`, `from` and `to`");
        };
        if from >= to || window < 0.0 {
            return self.bad_argument(call, "`from` is less than `to`, and `window` is at least 0");
        }
        Some(Buckets::Even { count, from, to, window })
    }

    fn bad_argument<T>(&mut self, span: Span, message: &str) -> Option<T> {
        self.cx.error(codes::ARGS_VALUE, message, span, "");
        None
    }
}

fn part(name: &str) -> Option<DatePart> {
    Some(match name {
        "year" => DatePart::Year,
        "month" => DatePart::Month,
        "day" => DatePart::Day,
        "weekday" => DatePart::Weekday,
        "day_of_year" => DatePart::DayOfYear,
        "hour" => DatePart::Hour,
        "minute" => DatePart::Minute,
        "days" => DatePart::Days,
        "seconds" => DatePart::Seconds,
        _ => return None,
    })
}

/// Lists are rows of numbers once they have been through a transform.
fn as_wide(kind: &Kind) -> Kind {
    match kind {
        Kind::Vector(width) => Kind::Wide(*width),
        other => other.clone(),
    }
}

/// A mean or a fraction makes integers numbers.
fn fill(value: &Value, input: &Kind) -> Option<(Transform, Kind)> {
    let (fill, whole) = match value {
        Value::Word(word) if word == "mean" => (Fill::Mean, false),
        Value::Word(word) if word == "median" => (Fill::Median, false),
        Value::Word(_) => (Fill::Mode, true),
        Value::Text(text) => (Fill::Text(text.clone()), true),
        value => {
            let x = value.number()?;
            (Fill::Constant(x), x.fract() == 0.0)
        }
    };
    let kind = match input {
        Kind::Int | Kind::Bool if !whole => Kind::Float,
        Kind::Bool if !matches!(fill, Fill::Mode) => Kind::Int,
        other => as_wide(other),
    };
    Some((Transform::Fill(fill), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_unknown_transforms_names_them_all() {
        let page = codes::NAMES_TRANSFORM.page().expect("a page");
        let missing: Vec<_> = TRANSFORMS.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
