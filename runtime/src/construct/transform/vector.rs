//! Lists of floats, and texts of several numbers, to rows of one width.

use gsl_tables::{MISSING, TextColumn};

use super::super::error::Fault;
use super::super::value::{Lists, Located, Numbers, Value};

/// The numbers in each row that is there.
pub(super) fn widths<'a>(
    input: &'a Value,
    separator: &'a Option<String>,
) -> Result<Box<dyn Iterator<Item = usize> + 'a>, Fault> {
    Ok(match (input, separator) {
        (Value::Lists(lists), None) => {
            let there = (0..lists.list.len()).filter(|&row| !lists.is_missing(row));
            Box::new(there.map(|row| lists.list.row(row).len()))
        }
        (Value::Numbers(x), None) => Box::new((0..x.rows()).map(|_| x.width)),
        (Value::Text(text), Some(separator)) => {
            let widths: Vec<usize> = text.values.iter().map(|cell| pieces(cell, separator).count()).collect();
            let there = text.codes.iter().filter(|code| **code != MISSING);
            Box::new(there.map(move |&code| widths[code as usize]))
        }
        (_, Some(_)) => return Err(Fault::TextWanted { transform: "vector" }),
        _ => return Err(Fault::NumberWanted { transform: "vector" }),
    })
}

/// A separator of blanks is any number of them.
fn pieces<'a>(cell: &'a str, separator: &'a str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    match separator.trim().is_empty() {
        true => Box::new(cell.split_whitespace()),
        false if cell.trim().is_empty() => Box::new(std::iter::empty()),
        false => Box::new(cell.split(separator).map(str::trim)),
    }
}

/// rows × `width`; a list of another width is refused, one that holds a NaN counts as missing.
pub(super) fn of_lists(lists: &Lists, width: usize, more: bool) -> Result<Numbers, Located> {
    let row = |row: usize| (!lists.is_missing(row)).then(|| lists.list.row(row));
    gather(lists.list.len(), width, more, |at| {
        row(at).map(|row| (row.len(), row.iter().map(|&x| f64::from(x))))
    })
}

/// rows × `width` of the numbers in each text.
pub(super) fn of_texts(input: Value, separator: &str, width: usize, more: bool) -> Result<Numbers, Located> {
    let Value::Text(text) = input else { return Err(Fault::TextWanted { transform: "vector" }.into()) };
    let (starts, numbers) = parse(&text, separator)?;
    gather(text.codes.len(), width, more, |row| {
        let code = text.codes[row] as usize;
        let cell = (text.codes[row] != MISSING).then(|| &numbers[starts[code]..starts[code + 1]]);
        cell.map(|cell| (cell.len(), cell.iter().copied()))
    })
}

/// The numbers of each distinct text that a row has, one after the other, and where each text's begin.
fn parse(text: &TextColumn, separator: &str) -> Result<(Vec<usize>, Vec<f64>), Located> {
    let mut first: Vec<Option<usize>> = vec![None; text.values.len()];
    for (row, &code) in text.codes.iter().enumerate().filter(|(_, code)| **code != MISSING) {
        first[code as usize].get_or_insert(row);
    }
    let (mut starts, mut numbers) = (vec![0], Vec::new());
    for (cell, first) in text.values.iter().zip(first) {
        for piece in first.into_iter().flat_map(|_| pieces(cell, separator)) {
            let number = piece.parse().map_err(|_| Located {
                fault: Fault::NotANumber { found: piece.chars().take(60).collect() },
                element: first,
            })?;
            numbers.push(number);
        }
        starts.push(numbers.len());
    }
    Ok((starts, numbers))
}

/// Rows of one width from rows of any.
fn gather<I: Iterator<Item = f64>>(
    rows: usize,
    width: usize,
    more: bool,
    row_at: impl Fn(usize) -> Option<(usize, I)>,
) -> Result<Numbers, Located> {
    let mut data = vec![0.0; rows * width];
    let mut missing = vec![false; rows];
    for (row, slots) in data.chunks_exact_mut(width.max(1)).enumerate() {
        let Some((found, items)) = row_at(row) else {
            missing[row] = true;
            continue;
        };
        if found != width && !(more && found > width) {
            return Err(Located::at(row, Fault::Widths { found, expected: width }));
        }
        slots.iter_mut().zip(items).for_each(|(slot, x)| *slot = x);
        missing[row] = slots.iter().any(|x| x.is_nan());
    }
    if !missing.contains(&true) {
        missing.clear();
    }
    Ok(Numbers { width, data, missing })
}
