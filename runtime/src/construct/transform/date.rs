//! Parts of dates and times, of the proleptic Gregorian calendar in UTC.

use gsl_plan::graph::DatePart;
use gsl_tables::{civil_of_days, days_from_civil};

use super::super::error::Fault;
use super::super::value::{Instants, Located, Numbers, Unit, Value};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

pub(super) fn part(part: DatePart, input: Value) -> Result<Numbers, Located> {
    let Value::Instants(Instants { unit, data, missing }) = input else {
        return Err(Fault::DateWanted { transform: name(part) }.into());
    };
    let of = |at: i64| match unit {
        Unit::Days => of_time(part, at, 0),
        Unit::Microseconds => of_time(part, at.div_euclid(DAY), at.rem_euclid(DAY)),
    };
    Ok(Numbers { width: 1, data: data.into_iter().map(of).collect(), missing })
}

/// Of a day since 1970-01-01 and the microseconds since its beginning.
fn of_time(part: DatePart, days: i64, micros: i64) -> f64 {
    let (year, month, day) = civil_of_days(days);
    let whole = match part {
        DatePart::Year => year,
        DatePart::Month => month,
        DatePart::Day => day,
        // 1970-01-01 was a Thursday.
        DatePart::Weekday => (days + 3).rem_euclid(7) + 1,
        DatePart::DayOfYear => days - days_from_civil(year, 1, 1) + 1,
        DatePart::Hour => micros / HOUR,
        DatePart::Minute => micros % HOUR / MINUTE,
        DatePart::Days => return days as f64 + micros as f64 / DAY as f64,
        DatePart::Seconds => {
            return (days * (DAY / SECOND) + micros / SECOND) as f64
                + (micros % SECOND) as f64 / SECOND as f64;
        }
    };
    whole as f64
}

/// Its name in the language.
pub(super) fn name(part: DatePart) -> &'static str {
    match part {
        DatePart::Year => "year",
        DatePart::Month => "month",
        DatePart::Day => "day",
        DatePart::Weekday => "weekday",
        DatePart::DayOfYear => "day_of_year",
        DatePart::Hour => "hour",
        DatePart::Minute => "minute",
        DatePart::Days => "days",
        DatePart::Seconds => "seconds",
    }
}

#[cfg(test)]
mod tests {
    use gsl_tables::{parse_date, parse_time};

    use super::*;

    const ALL: [DatePart; 9] = [
        DatePart::Year,
        DatePart::Month,
        DatePart::Day,
        DatePart::Weekday,
        DatePart::DayOfYear,
        DatePart::Hour,
        DatePart::Minute,
        DatePart::Days,
        DatePart::Seconds,
    ];

    fn parts(unit: Unit, at: i64) -> Vec<f64> {
        let of = |which| {
            let value = Value::Instants(Instants { unit, data: vec![at], missing: Vec::new() });
            part(which, value).unwrap().data[0]
        };
        ALL.into_iter().map(of).collect()
    }

    #[test]
    fn parts_of_dates() {
        let of = |text: &str| parts(Unit::Days, parse_date(text).unwrap());
        assert_eq!(of("1970-01-01"), [1970.0, 1.0, 1.0, 4.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(of("2024-12-31")[..5], [2024.0, 12.0, 31.0, 2.0, 366.0]);
        assert_eq!(of("2023-03-01")[..5], [2023.0, 3.0, 1.0, 3.0, 60.0]);
        assert_eq!(of("2000-02-29")[..5], [2000.0, 2.0, 29.0, 2.0, 60.0]);
        assert_eq!(of("1969-12-28"), [1969.0, 12.0, 28.0, 7.0, 362.0, 0.0, 0.0, -4.0, -345_600.0]);
    }

    #[test]
    fn parts_of_times() {
        let of = |text: &str| parts(Unit::Microseconds, parse_time(text).unwrap());
        let noon = of("2024-02-29T18:45:30.5Z");
        assert_eq!(noon[..7], [2024.0, 2.0, 29.0, 4.0, 60.0, 18.0, 45.0]);
        assert_eq!(noon[8], 1_709_232_330.5);
        assert!((noon[7] - 1_709_232_330.5 / 86_400.0).abs() < 1e-9);
        let before = of("1969-12-31T23:59:59Z");
        assert_eq!(before[..7], [1969.0, 12.0, 31.0, 3.0, 365.0, 23.0, 59.0]);
        assert_eq!(before[8], -1.0);
    }
}
