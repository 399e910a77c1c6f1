//! "Did you mean": the nearest of the given candidates, if it is near enough.

/// The candidate whose distance to `name` is smallest and at most a third of the name's length; of several, the first.
/// Case is forgiven.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = name.chars().count() / 3;
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate == name || candidate.chars().count().abs_diff(name.chars().count()) > limit {
            continue;
        }
        let far = distance(&lower, &candidate.to_lowercase());
        if far <= limit && best.is_none_or(|(nearest, _)| far < nearest) {
            best = Some((far, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// ``did you mean `x`?``
pub fn did_you_mean_help<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    did_you_mean(name, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// `` `a`, `b` or `c` ``
pub fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let head: Vec<String> = first.iter().map(|n| format!("`{n}`")).collect();
            format!("{} or `{last}`", head.join(", "))
        }
    }
}

/// Damerau's distance in its optimal-alignment form: inserted, deleted, replaced and swapped neighbouring characters.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut table = vec![0usize; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i * width + j] = cell(&table, width, &a, &b, i, j);
        }
    }
    table[a.len() * width + b.len()]
}

fn cell(table: &[usize], width: usize, a: &[char], b: &[char], i: usize, j: usize) -> usize {
    if i == 0 || j == 0 {
        return i + j;
    }
    let at = |i: usize, j: usize| table[i * width + j];
    let replaced = at(i - 1, j - 1) + usize::from(a[i - 1] != b[j - 1]);
    let mut least = replaced.min(at(i - 1, j) + 1).min(at(i, j - 1) + 1);
    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
        least = least.min(at(i - 2, j - 2) + 1);
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("instaled", "installed"), 1);
        assert_eq!(distance("epohcs", "epochs"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn nearest_within_a_third() {
        let names = ["installed_size", "priority", "section"];
        assert_eq!(did_you_mean("instaled_size", names), Some("installed_size"));
        assert_eq!(did_you_mean("sectoin", names), Some("section"));
        assert_eq!(did_you_mean("Section", names), Some("section"));
        assert_eq!(did_you_mean("colour", names), None);
        assert_eq!(did_you_mean("lr", ["rl"]), None);
        assert_eq!(did_you_mean("section", ["section"]), None);
    }

    #[test]
    fn lists() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
