//! Symbolic widths: sums of products of named widths, such as `in`, `out / heads` and `2 * in + 1`.
//!
//! Decided here: when two widths are the same for every choice of the names, and what a width is for one choice.

use std::collections::BTreeMap;
use std::fmt;

/// A width in normal form: coefficient by product of names, no coefficient zero.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Dim {
    terms: BTreeMap<Product, Ratio>,
}

/// Exponent by name, none zero.
type Product = BTreeMap<String, i32>;

/// In lowest terms, the denominator positive.
type Ratio = (i64, i64);

/// The widths of a row, outermost first; none for a number.
pub(super) type Shape = Vec<Dim>;

/// The widths that the names stand for.
pub(super) type Widths = BTreeMap<String, i64>;

/// Why a width has no value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NoWidth {
    /// The value, a fraction, zero or less.
    NotWhole(f64),
    Unknown(String),
    TooLarge,
}

impl Dim {
    pub fn name(name: &str) -> Self {
        Dim { terms: BTreeMap::from([(Product::from([(name.to_owned(), 1)]), (1, 1))]) }
    }

    pub fn number(n: i64) -> Self {
        let mut terms = BTreeMap::new();
        if n != 0 {
            terms.insert(Product::new(), (n, 1));
        }
        Dim { terms }
    }

    pub fn is_one(&self) -> bool {
        *self == Dim::number(1)
    }

    /// None where a coefficient becomes too large.
    pub fn plus(&self, other: &Dim) -> Option<Dim> {
        let mut terms = self.terms.clone();
        for (product, ratio) in &other.terms {
            add_term(&mut terms, product.clone(), *ratio)?;
        }
        Some(Dim { terms })
    }

    pub fn minus(&self, other: &Dim) -> Option<Dim> {
        self.plus(&other.times(&Dim::number(-1))?)
    }

    pub fn times(&self, other: &Dim) -> Option<Dim> {
        let mut terms = BTreeMap::new();
        for (a, x) in &self.terms {
            for (b, y) in &other.terms {
                add_term(&mut terms, join(a, b, 1)?, ratio(x.0.checked_mul(y.0)?, x.1.checked_mul(y.1)?)?)?;
            }
        }
        Some(Dim { terms })
    }

    /// None also where `other` is zero or a sum.
    pub fn over(&self, other: &Dim) -> Option<Dim> {
        let mut divisor = other.terms.iter();
        let ((b, y), None) = (divisor.next()?, divisor.next()) else { return None };
        let mut terms = BTreeMap::new();
        for (a, x) in &self.terms {
            add_term(&mut terms, join(a, b, -1)?, ratio(x.0.checked_mul(y.1)?, x.1.checked_mul(y.0)?)?)?;
        }
        Some(Dim { terms })
    }

    pub fn product(shape: &[Dim]) -> Option<Dim> {
        shape.iter().try_fold(Dim::number(1), |all, dim| all.times(dim))
    }

    /// The names replaced; names that `by` lacks stay.
    pub fn substitute(&self, by: &BTreeMap<String, Dim>) -> Option<Dim> {
        let mut sum = Dim::default();
        for (product, (num, den)) in &self.terms {
            let mut term = Dim::number(*num).over(&Dim::number(*den))?;
            for (name, power) in product {
                let value = by.get(name).cloned().unwrap_or_else(|| Dim::name(name));
                for _ in 0..power.unsigned_abs() {
                    term = if *power > 0 { term.times(&value)? } else { term.over(&value)? };
                }
            }
            sum = sum.plus(&term)?;
        }
        Some(sum)
    }

    pub fn width(&self, widths: &Widths) -> Result<usize, NoWidth> {
        let value = self.value(widths)?;
        let whole = value.1 == 1 && value.0 > 0;
        if !whole {
            return Err(NoWidth::NotWhole(value.0 as f64 / value.1 as f64));
        }
        usize::try_from(value.0).map_err(|_| NoWidth::TooLarge)
    }

    /// The value as a number, whole or not.
    pub fn number_of(&self, widths: &Widths) -> Result<f64, NoWidth> {
        self.value(widths).map(|(num, den)| num as f64 / den as f64)
    }

    fn value(&self, widths: &Widths) -> Result<Ratio, NoWidth> {
        let mut sum = (0i64, 1i64);
        for (product, coefficient) in &self.terms {
            let term = term_value(product, *coefficient, widths)?;
            sum = add(sum, term).ok_or(NoWidth::TooLarge)?;
        }
        Ok(sum)
    }
}

fn term_value(product: &Product, coefficient: Ratio, widths: &Widths) -> Result<Ratio, NoWidth> {
    let (mut num, mut den) = coefficient;
    for (name, power) in product {
        let value = *widths.get(name).ok_or_else(|| NoWidth::Unknown(name.clone()))?;
        for _ in 0..power.unsigned_abs() {
            let side = if *power > 0 { &mut num } else { &mut den };
            *side = side.checked_mul(value).ok_or(NoWidth::TooLarge)?;
        }
    }
    ratio(num, den).ok_or(NoWidth::NotWhole(f64::INFINITY))
}

fn add_term(terms: &mut BTreeMap<Product, Ratio>, product: Product, value: Ratio) -> Option<()> {
    let sum = add(terms.get(&product).copied().unwrap_or((0, 1)), value)?;
    match sum.0 {
        0 => terms.remove(&product),
        _ => terms.insert(product, sum),
    };
    Some(())
}

fn add(a: Ratio, b: Ratio) -> Option<Ratio> {
    ratio(a.0.checked_mul(b.1)?.checked_add(b.0.checked_mul(a.1)?)?, a.1.checked_mul(b.1)?)
}

fn join(a: &Product, b: &Product, sign: i32) -> Option<Product> {
    let mut all = a.clone();
    for (name, power) in b {
        let sum = all.get(name).copied().unwrap_or(0).checked_add(power.checked_mul(sign)?)?;
        match sum {
            0 => all.remove(name),
            _ => all.insert(name.clone(), sum),
        };
    }
    Some(all)
}

fn ratio(num: i64, den: i64) -> Option<Ratio> {
    if den == 0 {
        return None;
    }
    let divisor =
        i64::try_from(gcd(num.unsigned_abs(), den.unsigned_abs())).ok()?.checked_mul(den.signum())?;
    Some((num.checked_div(divisor)?, den.checked_div(divisor)?))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

// -------------------------------------------------------------------------------------------------------------- text

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("0");
        }
        let mut terms: Vec<_> = self.terms.iter().collect();
        terms.sort_by_key(|(product, _)| product.is_empty());
        for (i, (product, (num, den))) in terms.into_iter().enumerate() {
            let sign = match (i, *num < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            write!(f, "{sign}{}", term_text(product, num.unsigned_abs(), *den))?;
        }
        Ok(())
    }
}

fn term_text(product: &Product, num: u64, den: i64) -> String {
    let repeated = |sign: i32| {
        let names = product.iter().filter(move |(_, p)| p.signum() == sign);
        names.flat_map(|(name, p)| std::iter::repeat_n(name.clone(), p.unsigned_abs() as usize))
    };
    let mut above: Vec<String> = repeated(1).collect();
    if num != 1 || above.is_empty() {
        above.insert(0, num.to_string());
    }
    let below: Vec<String> = (den != 1).then(|| den.to_string()).into_iter().chain(repeated(-1)).collect();
    let mut text = above.join(" * ");
    for name in below {
        text.push_str(" / ");
        text.push_str(&name);
    }
    text
}

/// `heads x (out / heads)`; `a number` for none.
pub(super) fn shape_text(shape: &[Dim]) -> String {
    if shape.is_empty() {
        return "a number".to_owned();
    }
    let parts = shape.iter().map(|dim| {
        let text = dim.to_string();
        if text.contains(' ') && shape.len() > 1 { format!("({text})") } else { text }
    });
    parts.collect::<Vec<_>>().join(" x ")
}

/// The same between backticks.
pub(super) fn shape_quoted(shape: &[Dim]) -> String {
    if shape.is_empty() { shape_text(shape) } else { format!("`{}`", shape_text(shape)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(name: &str) -> Dim {
        Dim::name(name)
    }

    #[test]
    fn products_cancel() {
        let part = d("out").over(&d("heads")).unwrap();
        assert_eq!(part.times(&d("heads")).unwrap(), d("out"));
        assert_ne!(part, d("out"));
        let twice = d("in").plus(&d("in")).unwrap();
        assert_eq!(twice, d("in").times(&Dim::number(2)).unwrap());
        assert_eq!(twice.minus(&d("in")).unwrap(), d("in"));
        assert!(d("in").over(&twice.plus(&d("out")).unwrap()).is_none());
        assert!(d("in").over(&Dim::number(0)).is_none());
    }

    #[test]
    fn widths_are_whole() {
        let part = d("out").over(&d("heads")).unwrap();
        let widths = |out, heads| Widths::from([("out".into(), out), ("heads".into(), heads)]);
        assert_eq!(part.width(&widths(64, 8)), Ok(8));
        assert_eq!(part.width(&widths(10, 4)), Err(NoWidth::NotWhole(2.5)));
        assert_eq!(part.width(&Widths::new()), Err(NoWidth::Unknown("heads".into())));
        assert_eq!(d("out").times(&d("out")).unwrap().width(&widths(i64::MAX, 1)), Err(NoWidth::TooLarge));
    }

    #[test]
    fn text_reads_like_the_source() {
        let part = d("out").over(&d("heads")).unwrap();
        assert_eq!(shape_text(&[d("heads"), part.clone()]), "heads x (out / heads)");
        assert_eq!(shape_text(&[part]), "out / heads");
        let sum = d("in").times(&Dim::number(2)).unwrap().plus(&Dim::number(1)).unwrap();
        assert_eq!(sum.to_string(), "2 * in + 1");
        assert_eq!(shape_text(&[]), "a number");
    }

    #[test]
    fn names_are_replaced() {
        let part = d("out").over(&d("heads")).unwrap();
        let by = BTreeMap::from([("out".to_owned(), d("in").times(&d("heads")).unwrap())]);
        assert_eq!(part.substitute(&by).unwrap(), d("in"));
    }
}
