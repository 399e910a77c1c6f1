//! Relationship fields (deb-control(5), Debian policy 7.1): `a (>= 1) | b, c:any [amd64] <!nocheck>`.
//!
//! Kept: the name, and the place among the alternatives. Versions, architectures and build profiles are read over.

/// One name of a relationship field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<'a> {
    pub name: &'a str,
    /// 0 for a first choice, 1 for what may stand in for it, and so on.
    pub alternative: i32,
}

/// The terms of a field in order.
pub fn terms(field: &str) -> impl Iterator<Item = Term<'_>> {
    groups(field).flat_map(|group| {
        group.split('|').zip(0..).filter_map(|(text, alternative)| {
            let name = name(text);
            (!name.is_empty()).then_some(Term { name, alternative })
        })
    })
}

/// How many requirements the field states; alternatives count as one.
pub fn count(field: Option<&str>) -> i32 {
    field.map_or(0, |f| i32::try_from(groups(f).count()).unwrap_or(i32::MAX))
}

fn groups(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').filter(|group| !group.trim().is_empty())
}

fn name(text: &str) -> &str {
    let text = text.trim();
    let end = text.find(|c: char| c.is_whitespace() || "(:[<".contains(c)).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_alternatives() {
        let found: Vec<_> = terms("a (>= 1) | b, c:any [amd64] <!nocheck>, d(<<2),").collect();
        let expected = [("a", 0), ("b", 1), ("c", 0), ("d", 0)];
        assert_eq!(found, expected.map(|(name, alternative)| Term { name, alternative }));
    }

    #[test]
    fn alternatives_count_once() {
        assert_eq!(count(Some("a | b, c")), 2);
        assert_eq!(count(Some(" ")), 0);
        assert_eq!(count(None), 0);
    }
}
