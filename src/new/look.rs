//! The tables of a folder: found, opened, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gsl_tables::{Format, Problem, Source, TableError};
use rayon::prelude::*;

use super::names::words;
use super::profile::{Profile, profiles};
use crate::source::Failure;

/// Folders below the one that is looked at.
const DEPTH: usize = 4;

/// A table: a file, or files of one folder that differ in a number only and have the same columns.
#[derive(Debug)]
pub struct Table {
    /// As a source is written: a path or a glob, relative to the folder.
    pub path: String,
    /// Name of the file without its extensions and number.
    pub stem: String,
    pub source: Source,
    pub columns: Vec<Profile>,
}

impl Table {
    pub fn rows(&self) -> u64 {
        self.columns.iter().map(|column| column.rows).max().unwrap_or(0)
    }

    /// Words of the file's name.
    pub fn words(&self) -> Vec<String> {
        words(&self.stem)
    }

    /// Words of its name and of its folders.
    pub fn all_words(&self) -> Vec<String> {
        words(&self.path)
    }
}

/// What a folder holds: tables, and files that look like tables and cannot be used, each with the reason.
pub struct Found {
    pub tables: Vec<Table>,
    pub unreadable: Vec<(String, String)>,
}

pub fn look(folder: &Path) -> Result<Found, Failure> {
    let meta = std::fs::metadata(folder)
        .map_err(|_| Failure::new(format!("there is no folder `{}`", folder.display())))?;
    if !meta.is_dir() {
        return Err(Failure::new(format!("`{}` is not a folder", folder.display()))
            .help("name the folder that holds the tables"));
    }
    let mut files = Vec::new();
    walk(folder, Path::new(""), DEPTH, &mut files)?;
    if files.is_empty() {
        return Err(Failure::new(format!("`{}` holds no table", folder.display()))
            .help("tables end in .csv, .tsv, .parquet and the like; subfolders are looked into"));
    }
    let opened: Vec<Result<Table, (String, String)>> = groups(files)
        .into_par_iter()
        .flat_map_iter(|(pattern, files)| open(folder, &pattern, &files))
        .collect();
    let (mut tables, mut unreadable) = (Vec::new(), Vec::new());
    for one in opened {
        match one {
            Ok(table) => tables.push(table),
            Err(reason) => unreadable.push(reason),
        }
    }
    if tables.is_empty() {
        let reasons: Vec<String> = unreadable.iter().map(|(_, reason)| format!("\n  {reason}")).collect();
        return Err(Failure::new(format!("no table can be used:{}", reasons.concat())));
    }
    Ok(Found { tables, unreadable })
}

/// Relative paths of files that have the extension of a table, in the order of their names. Results of earlier runs are not looked at.
fn walk(base: &Path, below: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let folder = base.join(below);
    let failed = |e| Failure::new(format!("`{}` cannot be read: {e}", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    for name in names {
        let (path, text) = (below.join(&name), name.to_string_lossy());
        let is_ours = text.starts_with(['.', '_']) || (below.as_os_str().is_empty() && text == "out");
        let full = base.join(&path);
        match full.is_dir() {
            _ if is_ours => {}
            true if depth > 0 && !full.is_symlink() => walk(base, &path, depth - 1, into)?,
            false if Format::of(&path).is_some() => into.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// Files by the pattern that they share: `part-*.csv` for `part-1.csv` and `part-2.csv`.
fn groups(files: Vec<PathBuf>) -> BTreeMap<PathBuf, Vec<PathBuf>> {
    let mut groups: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        groups.entry(pattern(&file)).or_default().push(file);
    }
    groups
}

/// The last run of digits of the stem as a star.
fn pattern(file: &Path) -> PathBuf {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (stem, extension) = name.split_once('.').unwrap_or((&name, ""));
    let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let head = &stem[..stem.len() - digits];
    let starred = if digits > 0 && head.ends_with(['-', '_', '.']) {
        format!("{head}*.{extension}")
    } else {
        name.clone()
    };
    file.with_file_name(starred)
}

/// The files of a pattern as one table if their columns agree, else each as its own.
fn open(folder: &Path, pattern: &Path, files: &[PathBuf]) -> Vec<Result<Table, (String, String)>> {
    if let [only] = files {
        return vec![table(folder, only)];
    }
    match table(folder, pattern) {
        Ok(whole) if whole.source.files().len() == files.len() => vec![Ok(whole)],
        _ => files.iter().map(|file| table(folder, file)).collect(),
    }
}

fn table(folder: &Path, pattern: &Path) -> Result<Table, (String, String)> {
    let path = pattern.to_string_lossy().replace('\\', "/");
    let told = |error: TableError| {
        let reason = match *error.problem {
            Problem::NotJson { .. } => format!("{path}: it is not one JSON object a line, and is left out"),
            _ => error.to_string(),
        };
        (path.clone(), reason)
    };
    let source = Source::open(&[&path], folder).map_err(told)?;
    let columns = profiles(&source).map_err(told)?;
    if columns.iter().all(|column| column.rows == 0) {
        return Err((path.clone(), format!("{path}: it has no rows")));
    }
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches('*').trim_end_matches(['-', '_']).to_string();
    Ok(Table { path, stem, source, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_files_are_one_table() {
        let pattern = |file: &str| pattern(Path::new(file)).display().to_string();
        assert_eq!(pattern("a/part-0001.csv.gz"), "a/part-*.csv.gz");
        assert_eq!(pattern("sales_2019.parquet"), "sales_*.parquet");
        assert_eq!(pattern("books.csv"), "books.csv");
        assert_eq!(pattern("mp3.csv"), "mp3.csv");
    }
}
