//! The tables of a folder: found, opened, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gsl_tables::{Dialect, Format, Problem, Source, TableError};
use rayon::prelude::*;

use super::names::{says_nothing, words};
use super::profile::{Profile, profiles};
use crate::source::Failure;

/// Folders below the one that is looked at.
const DEPTH: usize = 4;

/// A table: a file, or files of one folder that differ in a number only and have the same columns.
#[derive(Debug)]
pub struct Table {
    /// As a source is written: a path or a glob, relative to the folder.
    pub path: String,
    /// Name of the file without its extensions and number, or of its folder where that of the file says nothing.
    pub stem: String,
    pub source: Source,
    /// Where it is not the one that the extension says.
    pub separator: Option<char>,
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
    pub unreadable: Vec<Unreadable>,
}

#[derive(Debug)]
pub struct Unreadable {
    pub path: String,
    pub stem: String,
    /// Begins with the file.
    pub why: String,
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
    let opened: Vec<Result<Table, Unreadable>> = groups(files)
        .into_par_iter()
        .flat_map_iter(|(pattern, files)| open(folder, &pattern, &files))
        .collect();
    let (mut tables, mut unreadable) = (Vec::new(), Vec::new());
    for one in opened {
        match one {
            Ok(table) => tables.push(table),
            Err(one) => unreadable.push(one),
        }
    }
    if tables.is_empty() {
        let reasons: Vec<String> = unreadable.iter().map(|one| format!("\n  {}", one.why)).collect();
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
    let in_folder = file.parent().is_some_and(|folder| !folder.as_os_str().is_empty());
    let starred = if digits > 0 && (head.ends_with(['-', '_', '.']) || (head.is_empty() && in_folder)) {
        format!("{head}*.{extension}")
    } else {
        name.clone()
    };
    file.with_file_name(starred)
}

/// The files of a pattern as one table if their columns agree, else each as its own.
fn open(folder: &Path, pattern: &Path, files: &[PathBuf]) -> Vec<Result<Table, Unreadable>> {
    if let [only] = files {
        return vec![table(folder, only)];
    }
    match table(folder, pattern) {
        Ok(whole) if whole.source.files().len() == files.len() => vec![Ok(whole)],
        _ => files.iter().map(|file| table(folder, file)).collect(),
    }
}

fn table(folder: &Path, pattern: &Path) -> Result<Table, Unreadable> {
    let path = pattern.to_string_lossy().replace('\\', "/");
    let stem = stem(pattern);
    let left_out = |why: String| Unreadable { path: path.clone(), stem: stem.clone(), why };
    let told = |error| left_out(reason(folder, &path, error));
    let (source, separator) = opened(&path, folder).map_err(told)?;
    let columns = profiles(&source).map_err(told)?;
    if columns.iter().all(|column| column.rows == 0) {
        return Err(left_out(format!("{path}: it has no rows")));
    }
    if let Some(result) = result_in(&path, &columns) {
        let what = "as `write` of an experiment leaves them";
        return Err(left_out(format!("{path}: it holds {result}, {what}")));
    }
    Ok(Table { path, stem, source, separator, columns })
}

/// What of a run a table holds, by its name and its columns: predictions as features would give the labels away.
fn result_in(path: &str, columns: &[Profile]) -> Option<&'static str> {
    const NAMED: [(&str, &str); 3] = [("embeddings", "embedding"), ("links", "score"), ("scores", "score")];
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    if has("part") && has("prediction") {
        return Some("predictions");
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let is = |(what, column): &&(&str, &str)| file.contains(&format!(".{what}.")) && has(column);
    NAMED.iter().find(is).map(|(what, _)| *what)
}

/// The name of a table, without extensions and number; where that says nothing, as `part` does, the name of its folder.
fn stem(pattern: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let file = name(pattern).unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches('*').trim_end_matches(['-', '_']);
    let bare = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '_');
    let folder = pattern.parent().and_then(name).filter(|_| says_nothing(bare));
    folder.unwrap_or_else(|| stem.to_string())
}

/// One line, whose file is named as in the folder.
fn reason(folder: &Path, path: &str, mut error: TableError) -> String {
    if matches!(*error.problem, Problem::NotJson { .. }) {
        return format!("{path}: it is not one JSON object a line");
    }
    if let Ok(below) = error.file.strip_prefix(folder) {
        error.file = below.to_path_buf();
    }
    let fits_none = match (&*error.problem, Format::of(Path::new(path))) {
        (Problem::Ragged { expected: 1, .. }, Some(Format::Delimited(_))) => {
            "; no separator of `,`, `;`, `|` and tabs fits"
        }
        _ => "",
    };
    format!("{error}{fits_none}").replace('\n', " ")
}

/// Separators of delimited text.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// The source, and its separator if that is not the one of its extension: where this one finds a single column or rows of other widths,
/// it is the one by which all rows of the sample have the same columns, as many as possible.
fn opened(path: &str, folder: &Path) -> Result<(Source, Option<char>), TableError> {
    let source = Source::open(&[path], folder)?;
    let Some(Format::Delimited(own)) = Format::of(Path::new(path)) else { return Ok((source, None)) };
    let width = |source: &Source| source.header().map(|header| header.columns.len());
    if width(&source).is_ok_and(|columns| columns > 1) {
        return Ok((source, None));
    }
    let read = |separator: char| {
        let dialect = Dialect { separator: u8::try_from(separator).ok()?, ..own };
        let source = Source::open_as(&[path], folder, Some(&Format::Delimited(dialect))).ok()?;
        let columns = width(&source).ok().filter(|&columns| columns > 1)?;
        Some((columns, separator, source))
    };
    let best = SEPARATORS.into_iter().rev().filter_map(read).max_by_key(|(columns, ..)| *columns);
    Ok(best.map_or((source, None), |(_, separator, other)| (other, Some(separator))))
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
        assert_eq!([pattern("sales/2019.csv"), pattern("2019.csv")], ["sales/*.csv", "2019.csv"]);
    }

    #[test]
    fn names_that_say_nothing_leave_it_to_the_folder() {
        let stem = |file: &str| stem(Path::new(file));
        assert_eq!(stem("orders/part-*.parquet"), "orders");
        assert_eq!(stem("orders/part-0.parquet"), "orders");
        assert_eq!(stem("sales/*.csv"), "sales");
        assert_eq!([stem("part-*.csv"), stem("shop/orders-*.csv")], ["part", "orders"]);
    }

    #[test]
    fn the_separator_is_the_one_that_fits() {
        let folder = tempfile::tempdir().expect("a folder");
        let separator = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a table");
            opened(name, folder.path()).map(|(_, separator)| separator)
        };
        assert!(matches!(separator("a.csv", "a,b\n1,x;y\n"), Ok(None)));
        assert!(matches!(separator("b.csv", "a;b\n1;\"2,5\"\n"), Ok(Some(';'))));
        assert!(matches!(separator("c.csv", "a;b\n1;2,5\n"), Ok(Some(';'))));
        assert!(matches!(separator("d.csv", "a\tb\n1\t2\n"), Ok(Some('\t'))));
        assert!(matches!(separator("e.tsv", "a|b\n1|2\n"), Ok(Some('|'))));
        assert!(matches!(separator("f.csv", "a\n1\n"), Ok(None)));
        assert!(matches!(separator("g.csv", "a,b\n1\n"), Ok(None)), "a row that no separator mends");
    }
}
