//! Functions of rows that are not made of the program's operations: whoever builds the program registers them by name.
//!
//! Decided here: what such a function is given and what it owes. Not decided here: where functions come from, in which pieces
//! the rows of a batch are handed to them.

/// What one call is given: its operands, and how many rows it is about.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub rows: usize,
    pub arguments: &'a [Argument<'a>],
    /// The shape of one row of the result.
    pub shape: &'a [usize],
}

/// An operand of a call.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'a> {
    /// rows × shape, or where it is shared 1 × shape; row-major.
    pub data: &'a [f32],
    /// The shape of one row; empty for a number.
    pub shape: &'a [usize],
    /// One row for all rows: a weight.
    pub shared: bool,
}

impl Argument<'_> {
    /// Numbers of one row.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Call<'_> {
    /// Numbers of one row of the result.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A function that computes each row of its result from the same row of its operands and from what they share.
///
/// The same operands give the same bits; a row's result does not depend on what stands in other rows.
pub trait RowFunction: Send + Sync {
    /// Writes rows × width of the result.
    ///
    /// # Errors
    /// Why these operands give no result, for people.
    fn forward(&self, call: &Call, out: &mut [f32]) -> Result<(), String>;

    /// The gradients of the operands that `of` names, in its order, from that of the result (rows × width). That of a
    /// shared operand is summed over the rows.
    ///
    /// # Errors
    /// Why there is no gradient, for people.
    fn backward(&self, call: &Call, gradient: &[f32], of: &[usize]) -> Result<Vec<Vec<f32>>, String>;
}
