//! When nodes and edges come into being: one number each, comparable within a graph.

use gsl_tables::{Column, ColumnKind, MICROS_A_DAY, Values, Want};

use super::batches::Offenders;
use super::error::{BuildError, Offender, Result};
use super::tables::Opened;

/// The time of what has always been there: a loop that was added.
pub const ALWAYS: i64 = i64::MIN;

/// As what a column of times is read: as the header says it is.
pub fn want_of(opened: &Opened, column: &str) -> Want {
    match opened.kind(column) {
        Some(ColumnKind::Date) => Want::Date,
        Some(ColumnKind::Time) => Want::Time,
        _ => Want::Int,
    }
}

/// The time of every row: microseconds since 1970 of dates and times, integers as they are. A row without one goes to `missing`, told
/// by `place`; `first` is the number of the first row in the whole table.
pub fn times(
    column: &Column,
    first: u64,
    missing: &mut Offenders,
    place: impl Fn(usize) -> String,
) -> Vec<i64> {
    let scale = if matches!(column.values, Values::Date(_)) { MICROS_A_DAY } else { 1 };
    let all: &[i64] = match &column.values {
        Values::Int(all) | Values::Date(all) | Values::Time(all) => all,
        _ => &[],
    };
    for row in (0..column.len()).filter(|&row| !column.is_valid(row)) {
        missing.add(first + row as u64, || Offender { found: String::new(), place: place(row) });
    }
    all.iter().map(|time| time.saturating_mul(scale)).collect()
}

/// Refuses rows without a time.
pub fn refuse_missing(owner: &str, column: &str, missing: Offenders) -> Result<()> {
    let count = missing.count();
    match missing.named().into_iter().next() {
        None => Ok(()),
        Some(first) => {
            let (owner, column) = (owner.to_string(), column.to_string());
            Err(BuildError::MissingTime { owner, column, count, place: first.place })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_share_their_unit() {
        let mut missing = Offenders::default();
        let place = |row: usize| format!("row {row}");
        let dates = Column::new("d", Values::Date(vec![0, 1, -1]));
        assert_eq!(times(&dates, 0, &mut missing, place), [0, 86_400_000_000, -86_400_000_000]);
        let ints = Column {
            validity: Some([true, false].into_iter().collect()),
            ..Column::new("t", Values::Int(vec![7, 0]))
        };
        assert_eq!(times(&ints, 10, &mut missing, place), [7, 0]);
        let error = refuse_missing("a", "t", missing).unwrap_err();
        assert!(matches!(error, BuildError::MissingTime { count: 1, place, .. } if place == "row 1"));
    }
}
