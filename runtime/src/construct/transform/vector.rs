//! Lists of floats to rows of one width.

use super::super::error::Fault;
use super::super::value::{Lists, Located, Numbers};

/// The width of each list that is there.
pub(super) fn widths(lists: &Lists) -> impl Iterator<Item = usize> {
    (0..lists.list.len()).filter(|&row| !lists.is_missing(row)).map(|row| lists.list.row(row).len())
}

/// rows × `width`; a list of another width is refused, one that holds a NaN counts as missing.
pub(super) fn of_lists(lists: &Lists, width: usize) -> Result<Numbers, Located> {
    let rows = lists.list.len();
    let mut data = vec![0.0; rows * width];
    let mut missing = vec![false; rows];
    for (row, slots) in data.chunks_exact_mut(width.max(1)).enumerate() {
        if lists.is_missing(row) {
            missing[row] = true;
            continue;
        }
        let items = lists.list.row(row);
        if items.len() != width {
            return Err(Located::at(row, Fault::Widths { found: items.len(), expected: width }));
        }
        for (slot, &x) in slots.iter_mut().zip(items) {
            *slot = f64::from(x);
        }
        missing[row] = items.iter().any(|x| x.is_nan());
    }
    if !missing.contains(&true) {
        missing.clear();
    }
    Ok(Numbers { width, data, missing })
}
