//! The control-file format of Debian (deb-control(5)): stanzas of `Field: value`, parted by empty lines, a value
//! going on in lines that begin with a blank. Only the fields that become facts are kept.

use std::io::BufRead;
use std::path::Path;

use crate::error::{Error, Result};

/// Fields that some table is made from; the others are skipped while reading.
const KEPT: [&str; 22] = [
    "Package",
    "Version",
    "Source",
    "Section",
    "Priority",
    "Installed-Size",
    "Size",
    "Maintainer",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Homepage",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Provides",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Build-Depends",
    "Build-Depends-Indep",
];

/// One package or source; field names as in [`KEPT`].
#[derive(Debug, Default, Clone)]
pub struct Stanza {
    fields: Vec<(&'static str, String)>,
}

impl Stanza {
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value.as_str())
    }

    pub fn require(&self, field: &'static str) -> Result<&str> {
        let package = || self.get("Package").unwrap_or("(no name)").to_string();
        self.get(field).ok_or_else(|| Error::MissingField { package: package(), field })
    }

    /// A whole number that may be left out.
    pub fn number(&self, field: &'static str) -> Result<Option<i64>> {
        let Some(text) = self.get(field) else { return Ok(None) };
        let wrong = || Error::NotANumber {
            package: self.get("Package").unwrap_or("(no name)").into(),
            field,
            found: text.into(),
        };
        text.parse().map(Some).map_err(|_| wrong())
    }

    #[cfg(test)]
    pub fn of(fields: &[(&'static str, &str)]) -> Self {
        Self { fields: fields.iter().map(|(n, v)| (*n, v.to_string())).collect() }
    }
}

/// Appends the stanzas of one list to `into`. `path` is for messages only.
pub fn parse(mut text: impl BufRead, path: &Path, into: &mut Vec<Stanza>) -> Result<()> {
    let mut bytes = Vec::new();
    let mut open = Stanza::default();
    let mut keeps = false;
    for line in 1.. {
        bytes.clear();
        if text.read_until(b'\n', &mut bytes).map_err(Error::io(path))? == 0 {
            break;
        }
        let row = String::from_utf8_lossy(&bytes);
        let row = row.trim_end();
        if row.is_empty() {
            close(&mut open, into);
        } else if row.starts_with([' ', '\t']) {
            continue_value(&mut open, keeps, row);
        } else {
            keeps = begin_value(&mut open, row).ok_or_else(|| Error::Stanza {
                path: path.into(),
                line,
                found: row.chars().take(60).collect(),
            })?;
        }
    }
    close(&mut open, into);
    Ok(())
}

fn close(open: &mut Stanza, into: &mut Vec<Stanza>) {
    if !open.fields.is_empty() {
        into.push(std::mem::take(open));
    }
}

fn continue_value(open: &mut Stanza, keeps: bool, row: &str) {
    if let (true, Some((_, value))) = (keeps, open.fields.last_mut()) {
        value.push(' ');
        value.push_str(row.trim_start());
    }
}

/// Starts the field of `row`; says whether it is kept, or nothing when the row is no field.
fn begin_value(open: &mut Stanza, row: &str) -> Option<bool> {
    let (name, value) = row.split_once(':')?;
    let kept = KEPT.iter().find(|k| k.eq_ignore_ascii_case(name));
    open.fields.extend(kept.map(|k| (*k, value.trim().to_string())));
    Some(kept.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Stanza>> {
        let mut stanzas = Vec::new();
        parse(text.as_bytes(), Path::new("list"), &mut stanzas)?;
        Ok(stanzas)
    }

    #[test]
    fn values_go_on_and_unkept_fields_vanish() {
        let stanzas = read("package: a\nTag: x,\n y\nDepends: b,\n c (>= 1)\n\n\nPackage: d\n").unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].get("Depends"), Some("b, c (>= 1)"));
        assert_eq!(stanzas[0].get("Package"), Some("a"));
        assert_eq!(stanzas[0].get("Tag"), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = read("Package: a\nrubbish\n").unwrap_err();
        assert_eq!(error.to_string(), "list:2: expected `Field: value`, found \"rubbish\"");
    }

    #[test]
    fn numbers_are_checked() {
        assert_eq!(Stanza::of(&[("Size", "12")]).number("Size").unwrap(), Some(12));
        assert_eq!(Stanza::of(&[]).number("Size").unwrap(), None);
        assert!(Stanza::of(&[("Size", "12 kB")]).number("Size").is_err());
    }
}
