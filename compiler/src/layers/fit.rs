//! Bringing two rows together: which named dimensions meet which.
//!
//! Decided here: alignment of operands element by element, and of the two sides of `@`; what is said when they do not fit.

use super::check::Checker;
use super::dims::{Dim, Shape, shape_quoted, shape_text};
use super::typed::*;
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::Span;

/// Shape of the result and how each operand lies in it. Dimensions meet by name: equal shapes, a number with anything, a
/// shape that is the beginning, the end or the middle of the other, or one row cut differently (`out` is `heads x (out / heads)`).
pub(super) fn align(a: &Typed, b: &Typed) -> Option<(Shape, (Fit, Fit))> {
    let (x, y) = (&a.shape, &b.shape);
    if x == y {
        return Some((x.clone(), (Fit::Same, Fit::Same)));
    }
    if let Some(fit) = within(y, x) {
        return Some((x.clone(), (Fit::Same, fit)));
    }
    if let Some(fit) = within(x, y) {
        return Some((y.clone(), (fit, Fit::Same)));
    }
    if Dim::product(x)? == Dim::product(y)? {
        let shape = if x.len() >= y.len() { x } else { y };
        return Some((shape.clone(), (Fit::Same, Fit::Same)));
    }
    match (a.is_feature_row(), b.is_feature_row()) {
        (_, true) => Some((x.clone(), (Fit::Same, Fit::Feature))),
        (true, false) => Some((y.clone(), (Fit::Feature, Fit::Same))),
        _ => None,
    }
}

/// How `small` lies in `large`; the end wins over the beginning.
fn within(small: &[Dim], large: &[Dim]) -> Option<Fit> {
    if small.is_empty() {
        return Some(Fit::Scalar);
    }
    if small.len() >= large.len() {
        return None;
    }
    if large.ends_with(small) {
        return Some(Fit::Suffix);
    }
    if large.starts_with(small) {
        return Some(Fit::Prefix);
    }
    let skip = large.windows(small.len()).position(|w| w == small)?;
    Some(Fit::Middle { skip })
}

/// How `x @ w` contracts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contraction {
    /// Leading dimensions of both that run along.
    pub shared: usize,
    /// Dimensions of x between those and the contracted one: w is the same for all of them.
    pub spread: usize,
    pub shape: Shape,
}

/// `x: [s…, k] @ w: [s…, k, n…] → [s…, n…]`; k may be several dimensions of x read as one. If that does not fit,
/// `x: [s…, a…, k] @ w: [s…, k, n…] → [s…, a…, n…]`.
pub(super) fn contract(x: &[Dim], w: &[Dim]) -> Option<Contraction> {
    let common = x.iter().zip(w).take_while(|(a, b)| a == b).count();
    for shared in (0..=common).rev() {
        let Some((k, rest)) = w[shared..].split_first() else { continue };
        if Dim::product(&x[shared..]).as_ref() == Some(k) && !x[shared..].is_empty() {
            return Some(Contraction { shared, spread: 0, shape: [&x[..shared], rest].concat() });
        }
    }
    for shared in (0..=common).rev() {
        let Some((k, rest)) = w[shared..].split_first() else { continue };
        if let Some((last, spread)) = x[shared..].split_last()
            && last == k
            && !spread.is_empty()
        {
            let shape = [&x[..shared], spread, rest].concat();
            return Some(Contraction { shared, spread: spread.len(), shape });
        }
    }
    None
}

impl Checker<'_, '_> {
    /// Two rows that do not meet, with both shapes and where they come from.
    pub(super) fn mismatch(
        &mut self,
        span: Span,
        what: &str,
        a: &Typed,
        b: &Typed,
        help: Option<String>,
    ) -> Typed {
        let (left, right) = (shape_quoted(&a.shape), shape_quoted(&b.shape));
        let mut diagnostic =
            Diagnostic::new(codes::LAYER_DIMENSIONS, format!("`{what}` brings {left} and {right} together"))
                .at(a.span, shape_text(&a.shape))
                .at(b.span, shape_text(&b.shape));
        for side in [a, b] {
            if let Some((place, text)) = self.origin(side) {
                diagnostic = diagnostic.at(place, text);
            }
        }
        self.bad(span, diagnostic.help_opt(help))
    }

    /// Where a row gets its shape, if that is somewhere else.
    fn origin(&self, value: &Typed) -> Option<(Span, String)> {
        match &value.kind {
            Kind::Weight(i) => {
                let weight = self.body.weights.get(*i)?;
                Some((weight.span, format!("`{}` is {}", weight.name, shape_quoted(&weight.shape))))
            }
            Kind::Equation { index, .. } => {
                let equation = self.body.equations.get(*index)?;
                Some((
                    equation.span,
                    format!("`{}` is {}", equation.name, shape_quoted(&equation.value.shape)),
                ))
            }
            Kind::Product { w, .. } => self.origin(w),
            Kind::TypeOf(_, x) | Kind::Unary(_, x) | Kind::Activation(_, x) | Kind::Dropout(_, x) => {
                self.origin(x)
            }
            Kind::Reduce { body, .. } | Kind::RowReduce { body, .. } => self.origin(body),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(names: &[&str]) -> Shape {
        names
            .iter()
            .map(|n| match n.split_once('/') {
                Some((a, b)) => Dim::name(a).over(&Dim::name(b)).unwrap(),
                None => Dim::name(n),
            })
            .collect()
    }

    fn fits(a: &[&str], b: &[&str]) -> Option<(Fit, Fit)> {
        let value = |names| Typed { shape: shape(names), ..Typed::bad(Span::default()) };
        align(&value(a), &value(b)).map(|(_, fits)| fits)
    }

    #[test]
    fn dimensions_meet_by_name() {
        assert_eq!(fits(&["heads", "d"], &["heads"]), Some((Fit::Same, Fit::Prefix)));
        assert_eq!(fits(&["d"], &["heads", "d"]), Some((Fit::Suffix, Fit::Same)));
        assert_eq!(fits(&["a", "b", "c"], &["b"]), Some((Fit::Same, Fit::Middle { skip: 1 })));
        assert_eq!(fits(&["heads", "out/heads"], &["out"]), Some((Fit::Same, Fit::Same)));
        assert_eq!(fits(&["heads"], &["d"]), None);
        assert_eq!(fits(&["a", "b", "c"], &["a", "c"]), None);
        assert_eq!(fits(&["d"], &[]), Some((Fit::Same, Fit::Scalar)));
    }

    #[test]
    fn products_contract_the_first_dimension_not_shared() {
        let of = |x, w| contract(&shape(x), &shape(w)).map(|c| (c.shared, c.spread, c.shape));
        assert_eq!(of(&["in"], &["in", "heads", "d"]), Some((0, 0, shape(&["heads", "d"]))));
        assert_eq!(of(&["heads", "d"], &["heads", "d", "k"]), Some((1, 0, shape(&["heads", "k"]))));
        assert_eq!(of(&["heads", "out/heads"], &["out", "k"]), Some((0, 0, shape(&["k"]))));
        assert_eq!(of(&["heads", "d"], &["d", "k"]), Some((0, 1, shape(&["heads", "k"]))));
        assert_eq!(of(&["in"], &["in"]), Some((0, 0, shape(&[]))));
        assert_eq!(of(&["in"], &["out", "k"]), None);
        assert_eq!(of(&[], &["out", "k"]), None);
    }
}
