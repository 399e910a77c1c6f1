//! Pieces of GSL text: names, strings, numbers, shares, paths.

use crate::source::Failure;
use std::path::{Component, Path};

/// A name as GSL writes it: bare, or in backticks.
///
/// # Errors
/// A name that no backticks can hold.
pub fn name(text: &str) -> Result<String, Failure> {
    let mut chars = text.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(text.to_owned());
    }
    if text.is_empty() || text.contains(['`', '\n', '\r']) {
        let message = format!("{text:?} cannot be a name in GSL");
        return Err(Failure::new(message).help("rename it: it is empty, or has a backtick or a line break"));
    }
    Ok(format!("`{text}`"))
}

pub fn names(texts: &[String]) -> Result<Vec<String>, Failure> {
    texts.iter().map(|text| name(text)).collect()
}

/// A string literal.
pub fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out + "\""
}

/// The shortest text that is this number.
pub fn number(x: f64) -> String {
    if x != 0.0 && !(1e-4..1e15).contains(&x.abs()) { format!("{x:e}") } else { format!("{x}") }
}

/// `0.8` as `80%`.
pub fn percent(share: f64) -> String {
    let digits = format!("{:.8}", share * 100.0);
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// The path from one folder to another, with `/`; empty if they are one. Both are absolute.
pub fn way(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<Component>, Vec<Component>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| "..".to_owned());
    let down = to[shared..].iter().map(|c| c.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bare_where_they_can_be() {
        assert_eq!(name("paper_2").unwrap(), "paper_2");
        assert_eq!(name("2nd paper").unwrap(), "`2nd paper`");
        assert!(name("a`b").is_err() && name("").is_err());
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(string("a\t\"b\\"), r#""a\t\"b\\""#);
    }

    #[test]
    fn numbers_and_shares() {
        assert_eq!(
            [number(10.0), number(0.003), number(1e-5), number(-3e38)],
            ["10", "0.003", "1e-5", "-3e38"]
        );
        assert_eq!(
            [percent(0.8), percent(0.07), percent(0.333), percent(1.0)],
            ["80%", "7%", "33.3%", "100%"]
        );
    }

    #[test]
    fn ways_between_folders() {
        let way = |a: &str, b: &str| way(Path::new(a), Path::new(b));
        assert_eq!([way("/a/b", "/a/b"), way("/a/out", "/a/in/x"), way("/", "/a")], ["", "../in/x", "a"]);
    }
}
