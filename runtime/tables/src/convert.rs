//! A value of one kind pushed onto a column of another, where that loses nothing.

use crate::builder::{Builder, Data};
use crate::error::Problem;
use crate::parse::{MICROS_A_DAY, show_date, show_time, whole};

impl Builder {
    pub fn refused(&self, found: impl ToString) -> Problem {
        Problem::NotA { expected: self.expected(), found: found.to_string() }
    }

    /// An integer, as the kind of the column.
    pub fn push_int_as(&mut self, value: i64) -> Result<(), Problem> {
        match self.data {
            Data::Int(_) => self.push_int(value),
            Data::Float(_) => self.push_float(value as f64),
            Data::Bool(_) if value == 0 || value == 1 => self.push_bool(value == 1),
            Data::Text { .. } => self.push_text(&value.to_string())?,
            _ => return Err(self.refused(value)),
        }
        Ok(())
    }

    /// An unsigned integer; one beyond 63 bits fits a text or a number.
    pub fn push_unsigned_as(&mut self, value: u64) -> Result<(), Problem> {
        match (i64::try_from(value), &self.data) {
            (Ok(value), _) => return self.push_int_as(value),
            (Err(_), Data::Text { .. }) => self.push_text(&value.to_string())?,
            (Err(_), Data::Float(_)) => self.push_float(value as f64),
            (Err(_), _) => return Err(Problem::Overflow { found: value.to_string() }),
        }
        Ok(())
    }

    /// A number; one without a fraction fits an integer.
    pub fn push_float_as(&mut self, value: f64) -> Result<(), Problem> {
        match self.data {
            Data::Float(_) => self.push_float(value),
            Data::Int(_) if value.is_nan() => self.push_missing(),
            Data::Int(_) => match whole(value) {
                Some(value) => self.push_int(value),
                None => return Err(self.refused(value)),
            },
            Data::Text { .. } => self.push_number_text(value)?,
            _ => return Err(self.refused(value)),
        }
        Ok(())
    }

    /// A truth value; as a number, 0 or 1.
    pub fn push_bool_as(&mut self, value: bool) -> Result<(), Problem> {
        match self.data {
            Data::Bool(_) => self.push_bool(value),
            Data::Int(_) => self.push_int(value.into()),
            Data::Float(_) => self.push_float(f64::from(u8::from(value))),
            Data::Text { .. } => self.push_text(if value { "true" } else { "false" })?,
            _ => return Err(self.refused(value)),
        }
        Ok(())
    }

    /// Days since 1970-01-01.
    pub fn push_day_as(&mut self, day: i64) -> Result<(), Problem> {
        match self.data {
            Data::Date(_) | Data::Int(_) => self.push_int(day),
            Data::Time(_) => self.push_int(day * MICROS_A_DAY),
            Data::Float(_) => self.push_float(day as f64),
            Data::Text { .. } => self.push_text(&show_date(day))?,
            _ => return Err(self.refused(show_date(day))),
        }
        Ok(())
    }

    /// Microseconds since 1970-01-01T00:00:00 UTC.
    pub fn push_time_as(&mut self, time: i64) -> Result<(), Problem> {
        match self.data {
            Data::Time(_) | Data::Int(_) => self.push_int(time),
            Data::Date(_) => self.push_int(time.div_euclid(MICROS_A_DAY)),
            Data::Float(_) => self.push_float(time as f64),
            Data::Text { .. } => self.push_text(&show_time(time))?,
            _ => return Err(self.refused(show_time(time))),
        }
        Ok(())
    }
}
