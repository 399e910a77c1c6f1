//! One cell of text to one value. What counts as a number, a truth value, a date, a list; nothing else does.

use crate::column::ColumnKind;
use crate::error::Problem;

/// Texts that mean "missing" where a number, a truth value, a date or a list is wanted. An empty unquoted cell always does.
const MISSING_WORDS: [&str; 7] = ["", "NA", "N/A", "null", "NULL", "None", "\\N"];

pub fn is_missing_word(text: &str) -> bool {
    MISSING_WORDS.contains(&text) || is_nan(text)
}

/// A number that is none, in any case of letters.
pub fn is_nan(text: &str) -> bool {
    text.strip_prefix(['-', '+']).unwrap_or(text).eq_ignore_ascii_case("nan")
}

fn not_a(expected: &'static str, found: &str) -> Problem {
    Problem::NotA { expected, found: shorten(found) }
}

/// At most 60 characters of what was found, for a message.
pub fn shorten(found: &str) -> String {
    const SHOWN: usize = 60;
    let mut text: String = found.chars().take(SHOWN).collect();
    if text.len() < found.len() {
        text.push('…');
    }
    text
}

/// What a day has of the unit of times.
pub const MICROS_A_DAY: i64 = 86_400_000_000;

/// Above it, a 64-bit float no longer tells neighbouring integers apart.
pub const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as the integer that it is, if it is one beyond doubt.
pub fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < LARGEST_EXACT).then_some(value as i64)
}

/// Digits, or a decimal without a fraction: `2.0`. Digits with a leading zero are an identifier of their own, and no integer.
pub fn parse_int(text: &str) -> Result<i64, Problem> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.len() > 1 && digits.starts_with('0') && is_digits(digits) {
        return Err(not_a("an integer without leading zeros", text));
    }
    if let Ok(value) = text.parse::<i64>() {
        return Ok(value);
    }
    if let Some(value) = text.parse().ok().filter(|_| !is_digits(digits)).and_then(whole) {
        return Ok(value);
    }
    if is_digits(digits) {
        return Err(Problem::Overflow { found: shorten(text) });
    }
    Err(not_a("an integer", text))
}

pub fn parse_float(text: &str) -> Result<f64, Problem> {
    text.parse().map_err(|_| not_a("a number", text))
}

pub fn parse_bool(text: &str) -> Result<bool, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "0" => Ok(false),
        _ => Err(not_a("true or false", text)),
    }
}

/// `YYYY-MM-DD` to days since 1970-01-01.
pub fn parse_date(text: &str) -> Result<i64, Problem> {
    date(text).ok_or_else(|| not_a("a date such as 2018-03-31", text))
}

/// `YYYY-MM-DD[T| ]HH:MM[:SS[.ffffff]][Z|±HH:MM]` (or a date alone) to microseconds since 1970-01-01T00:00:00 UTC.
pub fn parse_time(text: &str) -> Result<i64, Problem> {
    time(text).ok_or_else(|| not_a("a time such as 2018-03-31T12:00:00Z", text))
}

/// `[0.5, 1]`, or numbers separated by comma, semicolon, bar or space.
pub fn parse_floats(text: &str, into: &mut Vec<f32>) -> Result<(), Problem> {
    let inner = text.trim().trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    for item in inner.split([',', ';', '|', ' ', '\t', '\n']).filter(|item| !item.is_empty()) {
        into.push(parse_float(item).map_err(|_| not_a("a list of numbers", text))? as f32);
    }
    Ok(())
}

/// `["red", "blue"]`: a list of texts as JSON writes it.
pub fn parse_texts(text: &str) -> Result<Vec<String>, Problem> {
    serde_json::from_str(text).map_err(|_| not_a("a list of texts such as [\"a\", \"b\"]", text))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && is_digits(text)).then(|| text.parse().ok())?
}

fn date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let year = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2).filter(|m| (1..=12).contains(m))?;
    let day = number(parts.next()?, 2).filter(|d| (1..=days_in(year, month)).contains(d))?;
    Some(days_from_civil(year, month, day))
}

fn time(text: &str) -> Option<i64> {
    let days = date(text.get(..10)?)?;
    let rest = &text[10..];
    if rest.is_empty() {
        return days.checked_mul(MICROS_A_DAY);
    }
    let (clock, offset) = split_offset(rest.strip_prefix(['T', ' '])?)?;
    days.checked_mul(MICROS_A_DAY)?.checked_add(clock_micros(clock)?)?.checked_sub(offset)
}

fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let sign = if text.as_bytes()[at] == b'-' { -1 } else { 1 };
    let digits: String = text[at + 1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits, 2)?, 0),
        4 => (number(digits.get(..2)?, 2)?, number(digits.get(2..)?, 2)?),
        _ => return None,
    };
    Some((&text[..at], sign * (hours * 60 + minutes) * 60_000_000))
}

fn clock_micros(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hour = number(parts.next()?, 2).filter(|h| *h < 24)?;
    let minute = number(parts.next()?, 2).filter(|m| *m < 60)?;
    let (second, fraction) = match parts.next() {
        None => ("00", ""),
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
    };
    let second = number(second, 2).filter(|s| *s < 61)?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.len() > 9 {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}")[..6].parse().ok()?;
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March so that the leap day comes last.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01.
pub fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 as `YYYY-MM-DD`.
pub fn show_date(days: i64) -> String {
    let (year, month, day) = civil_of_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Microseconds since the epoch as `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`.
pub fn show_time(micros: i64) -> String {
    let (days, rest) = (micros.div_euclid(MICROS_A_DAY), micros.rem_euclid(MICROS_A_DAY));
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    format!("{}T{clock}{fraction}Z", show_date(days))
}

/// The narrowest kind that one sampled cell fits. Digits with a leading zero are an identifier, so a text.
pub fn guess(text: &str) -> ColumnKind {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if is_digits(digits) {
        let padded = digits.len() > 1 && digits.starts_with('0');
        return if padded || parse_int(text).is_err() { ColumnKind::Text } else { ColumnKind::Int };
    }
    if parse_float(text).is_ok() {
        return ColumnKind::Float;
    }
    if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") {
        return ColumnKind::Bool;
    }
    if date(text).is_some() {
        return ColumnKind::Date;
    }
    if time(text).is_some() {
        return ColumnKind::Time;
    }
    let listed = text.starts_with('[') && text.ends_with(']');
    let mut values = Vec::new();
    if listed && parse_floats(text, &mut values).is_ok() {
        return ColumnKind::FloatList(Some(values.len()));
    }
    if listed && parse_texts(text).is_ok() {
        return ColumnKind::TextList;
    }
    ColumnKind::Text
}

/// The narrowest kind that holds both. A list without items is one of any kind.
pub fn join_kinds(a: ColumnKind, b: ColumnKind) -> ColumnKind {
    use ColumnKind::{Date, Float, FloatList, Int, Other, Text, TextList, Time};
    match (a, b) {
        (a, b) if a == b => a,
        (Int, Float) | (Float, Int) => Float,
        (Date, Time) | (Time, Date) => Time,
        (FloatList(_), FloatList(_)) => FloatList(None),
        (FloatList(Some(0)), TextList) | (TextList, FloatList(Some(0))) => TextList,
        (Other(found), _) | (_, Other(found)) => Other(found),
        _ => Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        assert_eq!(parse_date("1970-01-01").unwrap(), 0);
        assert_eq!(parse_date("2000-03-01").unwrap(), 11_017);
        for days in (-800_000..800_000).step_by(97) {
            if (0..=9999).contains(&show_date(days)[..4].parse::<i64>().unwrap_or(-1)) {
                assert_eq!(parse_date(&show_date(days)).unwrap(), days);
            }
        }
        assert!(parse_date("2019-02-29").is_err());
        assert!(parse_date("2019-2-9").is_err());
    }

    #[test]
    fn times_know_their_offset() {
        let noon = parse_time("2018-03-31T12:00:00Z").unwrap();
        assert_eq!(parse_time("2018-03-31 14:00:00+02:00").unwrap(), noon);
        assert_eq!(parse_time("2018-03-31T12:00").unwrap(), noon);
        assert_eq!(parse_time("2018-03-31T12:00:00.25Z").unwrap(), noon + 250_000);
        assert_eq!(show_time(noon + 250_000), "2018-03-31T12:00:00.250000Z");
        assert!(parse_time("2018-03-31T25:00").is_err());
    }

    #[test]
    fn identifiers_stay_texts() {
        assert_eq!(guess("007"), ColumnKind::Text);
        assert_eq!(guess("0"), ColumnKind::Int);
        assert_eq!(guess("-12"), ColumnKind::Int);
        assert_eq!(guess("99999999999999999999"), ColumnKind::Text);
        assert_eq!(guess("1e-3"), ColumnKind::Float);
        assert_eq!(guess("[1, 2]"), ColumnKind::FloatList(Some(2)));
        assert!(matches!(parse_int("99999999999999999999"), Err(Problem::Overflow { .. })));
    }
}
