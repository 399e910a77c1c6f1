//! Debian versions: `[epoch:]upstream[-revision]` and their order (deb-version(7), Debian policy 5.6.12).

use std::cmp::Ordering;

/// A version taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version<'a> {
    pub epoch: Option<u32>,
    pub upstream: &'a str,
    /// Absent for a native package, one made for Debian alone.
    pub revision: Option<&'a str>,
}

impl<'a> Version<'a> {
    pub fn new(text: &'a str) -> Self {
        let with_epoch = text.split_once(':').and_then(|(e, rest)| Some((e.parse().ok()?, rest)));
        let (epoch, rest) = with_epoch.map_or((None, text), |(epoch, rest)| (Some(epoch), rest));
        let cut = rest.rsplit_once('-');
        Self { epoch, upstream: cut.map_or(rest, |c| c.0), revision: cut.map(|c| c.1) }
    }

    pub fn is_native(&self) -> bool {
        self.revision.is_none()
    }
}

/// The order of two versions by epoch, then upstream, then revision.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Version::new(a), Version::new(b));
    a.epoch
        .unwrap_or(0)
        .cmp(&b.epoch.unwrap_or(0))
        .then_with(|| compare_part(a.upstream.as_bytes(), b.upstream.as_bytes()))
        .then_with(|| compare_part(a.revision.unwrap_or("").as_bytes(), b.revision.unwrap_or("").as_bytes()))
}

/// Compares runs of other characters and runs of digits in turn, from the left.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (word_a, word_b) =
            (split(&mut a, |c| !c.is_ascii_digit()), split(&mut b, |c| !c.is_ascii_digit()));
        let (number_a, number_b) = (split(&mut a, u8::is_ascii_digit), split(&mut b, u8::is_ascii_digit));
        let order = compare_words(word_a, word_b).then_with(|| compare_numbers(number_a, number_b));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Cuts the longest run of `belongs` off the front of `rest`.
fn split<'a>(rest: &mut &'a [u8], belongs: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|c| !belongs(c)).unwrap_or(rest.len());
    let (run, tail) = rest.split_at(end);
    *rest = tail;
    run
}

/// Letters come before other characters, and `~` before all, even before the end.
fn compare_words(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |c: Option<&u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    };
    (0..a.len().max(b.len()))
        .map(|i| rank(a.get(i)).cmp(&rank(b.get(i))))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |d: &[u8]| d.iter().position(|c| *c != b'0').unwrap_or(d.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_policy() {
        let rising = [
            "1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1", "1.0-1+b1", "1.0-2", "1.0a", "1.0+x", "1.2", "1.10",
            "0:2", "1:0.1",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn leading_zeros_and_missing_parts_do_not_count() {
        assert_eq!(compare("1.02", "1.2"), Ordering::Equal);
        assert_eq!(compare("0:1", "1-0"), Ordering::Equal);
        assert_eq!(compare("1.", "1.0"), Ordering::Equal);
    }

    #[test]
    fn parts_tell_native_and_epoch() {
        assert!(Version::new("12.4").is_native());
        assert!(!Version::new("1:2.3-4-5").is_native());
        assert_eq!(
            Version::new("1:2.3-4-5"),
            Version { epoch: Some(1), upstream: "2.3-4", revision: Some("5") }
        );
    }
}
