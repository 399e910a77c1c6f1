//! Which files a source is: paths, folders and globs to a list of files in natural order.
//!
//! Natural order compares runs of digits as numbers, so `part-2` comes before `part-10`. Files of one pattern are
//! ordered; patterns keep the order in which they were written; a file named twice counts once.

use std::cmp::Ordering;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::error::{Problem, Result, TableError};
use crate::format::{Compression, Format, InputFile};
use crate::suggest::closest;

/// All files of a source, of one format: the stated one, or that of their extensions.
pub fn discover<P: AsRef<Path>>(
    patterns: &[P],
    base: &Path,
    stated: Option<&Format>,
) -> Result<Vec<InputFile>> {
    let mut files: Vec<InputFile> = Vec::new();
    for pattern in patterns {
        for path in expand(&base.join(pattern), stated)? {
            let file = input_file(path, stated)?;
            if !files.iter().any(|known| known.path == file.path) {
                files.push(file);
            }
        }
    }
    refuse_mixed(&files)?;
    Ok(files)
}

fn input_file(path: PathBuf, stated: Option<&Format>) -> Result<InputFile> {
    match stated.cloned().or_else(|| Format::of(&path)) {
        Some(format) => Ok(InputFile { compression: Compression::of(&path, &format), path, format }),
        None => {
            let extension = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
            Err(TableError::new(path, Problem::UnknownFormat { extension }))
        }
    }
}

fn refuse_mixed(files: &[InputFile]) -> Result<()> {
    let Some(first) = files.first() else { return Ok(()) };
    match files.iter().find(|file| file.format.name() != first.format.name()) {
        None => Ok(()),
        Some(file) => Err(TableError::new(
            &file.path,
            Problem::MixedFormats {
                first: first.path.clone(),
                first_format: first.format.name(),
                format: file.format.name(),
            },
        )),
    }
}

fn expand(path: &Path, stated: Option<&Format>) -> Result<Vec<PathBuf>> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => tables_in(path, stated),
        Ok(_) => Ok(vec![path.to_path_buf()]),
        Err(_) if has_wildcard(&path.to_string_lossy()) => matching(path, stated),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(missing(path))
        }
        Err(error) => Err(TableError::io(path, error)),
    }
}

fn missing(path: &Path) -> TableError {
    let suggestion = path.parent().and_then(|folder| {
        let names: Vec<String> = names_in(folder).ok()?;
        let wanted = path.file_name()?.to_string_lossy().into_owned();
        closest(&wanted, names.iter().map(String::as_str)).map(|name| folder.join(name))
    });
    TableError::new(path, Problem::MissingFile { suggestion })
}

fn names_in(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_by(|a, b| natural(a, b));
    Ok(names)
}

/// The tables of a folder, without what begins with a dot or an underscore: all files if the format is stated, else
/// those whose extension is that of a table.
fn tables_in(folder: &Path, stated: Option<&Format>) -> Result<Vec<PathBuf>> {
    let names = names_in(folder).map_err(|error| TableError::io(folder, error))?;
    let tables: Vec<PathBuf> = names
        .iter()
        .filter(|name| !name.starts_with(['.', '_']))
        .map(|name| folder.join(name))
        .filter(|path| is_table(path, stated) && path.is_file())
        .collect();
    match tables.is_empty() {
        true => Err(TableError::new(folder, Problem::EmptyFolder)),
        false => Ok(tables),
    }
}

fn is_table(path: &Path, stated: Option<&Format>) -> bool {
    stated.is_some() || Format::of(path).is_some()
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn matching(pattern: &Path, stated: Option<&Format>) -> Result<Vec<PathBuf>> {
    let components: Vec<Component> = pattern.components().collect();
    let mut found = Vec::new();
    walk(PathBuf::new(), &components, &mut found)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for path in found {
        match path.is_dir() {
            true => files.extend(tables_in(&path, stated)?),
            false if is_table(&path, stated) => files.push(path),
            false => {}
        }
    }
    files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    files.dedup();
    match files.is_empty() {
        true => Err(TableError::new(pattern, Problem::NothingMatches)),
        false => Ok(files),
    }
}

fn walk(so_far: PathBuf, rest: &[Component], found: &mut Vec<PathBuf>) -> Result<()> {
    let Some((component, rest)) = rest.split_first() else {
        found.push(so_far);
        return Ok(());
    };
    let name = component.as_os_str().to_string_lossy();
    if !has_wildcard(&name) || !matches!(component, Component::Normal(_)) {
        let next = so_far.join(component);
        return if next.exists() || !matches!(component, Component::Normal(_)) {
            walk(next, rest, found)
        } else {
            Ok(())
        };
    }
    let folder = if so_far.as_os_str().is_empty() { Path::new(".") } else { &so_far };
    if !folder.is_dir() {
        return Ok(());
    }
    let entries = names_in(folder).map_err(|error| TableError::io(folder, error))?;
    if name == "**" {
        walk(so_far.clone(), rest, found)?;
        for entry in entries.iter().filter(|entry| !entry.starts_with('.')) {
            let next = so_far.join(entry);
            if next.is_dir() && !next.is_symlink() {
                let again: Vec<Component> = std::iter::once(*component).chain(rest.iter().copied()).collect();
                walk(next, &again, found)?;
            }
        }
        return Ok(());
    }
    let pattern: Vec<char> = name.chars().collect();
    for entry in &entries {
        let hidden = entry.starts_with('.') && !name.starts_with('.');
        if !hidden && glob(&pattern, &entry.chars().collect::<Vec<_>>()) {
            walk(so_far.join(entry), rest, found)?;
        }
    }
    Ok(())
}

/// `*` any run, `?` any one, `[a-z]` / `[!a-z]` one of a set.
fn glob(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skip| glob(rest, &name[skip..])),
        Some(('?', rest)) => !name.is_empty() && glob(rest, &name[1..]),
        Some(('[', rest)) => match (rest.iter().skip(1).position(|&c| c == ']'), name.first()) {
            (Some(close), Some(&c)) => in_set(&rest[..close + 1], c) && glob(&rest[close + 2..], &name[1..]),
            _ => false,
        },
        Some((c, rest)) => name.first() == Some(c) && glob(rest, &name[1..]),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let (set, wanted) = match set.first() {
        Some('!' | '^') => (&set[1..], false),
        _ => (set, true),
    };
    let mut at = 0;
    let mut inside = false;
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == '-' {
            inside |= (set[at]..=set[at + 2]).contains(&c);
            at += 3;
        } else {
            inside |= set[at] == c;
            at += 1;
        }
    }
    inside == wanted
}

/// Runs of digits compare as numbers, all else as bytes; `part-2` < `part-10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    loop {
        match (x.first(), y.first()) {
            (Some(p), Some(q)) if p.is_ascii_digit() && q.is_ascii_digit() => {
                let ((m, rest_x), (n, rest_y)) = (digits(x), digits(y));
                match m.len().cmp(&n.len()).then_with(|| m.cmp(n)) {
                    Ordering::Equal => (x, y) = (rest_x, rest_y),
                    unequal => return unequal,
                }
            }
            (Some(p), Some(q)) if p == q => (x, y) = (&x[1..], &y[1..]),
            (p, q) => return p.cmp(&q).then_with(|| a.cmp(b)),
        }
    }
}

/// The leading number without its zeros, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|b| **b == b'0').count();
    (&text[zeros..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = ["part-10", "part-2", "part-02", "a", "part-1b", "part-1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a", "part-1", "part-1b", "part-02", "part-2", "part-10"]);
    }

    #[test]
    fn globs() {
        let matches = |p: &str, n: &str| glob(&p.chars().collect::<Vec<_>>(), &n.chars().collect::<Vec<_>>());
        assert!(matches("part-*.csv", "part-17.csv") && !matches("part-*.csv", "part-17.tsv"));
        assert!(matches("p?[0-9].csv", "px7.csv") && !matches("p?[!0-9].csv", "px7.csv"));
        assert!(matches("*", "") && !matches("[", "["));
    }
}
