//! Columns by hash: for more values than can have a column each.

use std::sync::LazyLock;

use gsl_tables::MISSING;

use super::super::error::Fault;
use super::super::value::{Located, Numbers, Value, numbers};

/// The column of a text among `columns`: the same on every machine and in every version.
pub(crate) fn column_of(text: &str, columns: usize) -> usize {
    static KEYED: LazyLock<blake3::Hasher> =
        LazyLock::new(|| blake3::Hasher::new_derive_key("gsl: columns of hashed values, 1"));
    let mut hasher = KEYED.clone();
    hasher.update(text.as_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    ((u128::from(u64::from_le_bytes(bytes)) * columns as u128) >> 64) as usize
}

/// A 1 in the column of each row's value; nothing for a missing one. A number hashes as its decimal text.
pub(super) fn one_hot(input: Value, rows: usize, columns: usize) -> Result<Numbers, Located> {
    let mut data = vec![0.0; rows * columns];
    match input {
        Value::Text(text) => {
            let by_code: Vec<usize> = text.values.iter().map(|text| column_of(text, columns)).collect();
            for (row, &code) in text.codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
                data[row * columns + by_code[code as usize]] = 1.0;
            }
        }
        input => {
            let x = numbers(input, rows, "hash")?;
            if x.width != 1 {
                return Err(Fault::Widths { found: x.width, expected: 1 }.into());
            }
            for row in (0..rows).filter(|&row| !x.is_missing(row)) {
                let column = column_of(&told_apart(row, x.data[row])?.to_string(), columns);
                data[row * columns + column] = 1.0;
            }
        }
    }
    Ok(Numbers::new(columns, data))
}

/// An integer that differs from its neighbours as a float.
pub(super) fn told_apart(row: usize, x: f64) -> Result<f64, Located> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    match x.abs() < LARGEST {
        true => Ok(x + 0.0),
        false if x.is_finite() => Err(Located::at(row, Fault::TooLargeToTell { found: x })),
        false => Err(Located::at(row, Fault::NotFinite { found: x })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_fixed_and_even() {
        let columns = ["a", "b", ""].map(|text| column_of(text, 64));
        assert_eq!(columns, [52, 5, 62], "stored features rely on it");
        let mut counts = [0u32; 10];
        (0..10_000).for_each(|i| counts[column_of(&i.to_string(), 10)] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(column_of("anything", 1), 0);
    }

    #[test]
    fn integers_hash_as_their_text_and_gaps_as_nothing() {
        let numbers = Numbers { width: 1, data: vec![7.0, 0.0, -0.0], missing: vec![false, true, false] };
        let hot = one_hot(Value::Numbers(numbers), 3, 32).unwrap();
        let ones: Vec<usize> = (0..96).filter(|&at| hot.data[at] == 1.0).collect();
        assert_eq!(ones, [column_of("7", 32), 64 + column_of("0", 32)]);
        let huge = one_hot(Value::Numbers(Numbers::new(1, vec![1.0, 2f64.powi(53)])), 2, 32).unwrap_err();
        assert_eq!(huge.element, Some(1));
    }
}
