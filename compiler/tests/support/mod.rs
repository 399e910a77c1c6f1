//! Snapshot tests over folders of `.gsl` files: what the front end says of `x.gsl` stands in `x.gsl.txt` beside it.
//! `UPDATE=1` writes what is said now; without it any difference fails.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use gsl_compiler::diag::{Diagnostic, render};

/// Finds what is wrong with a source; the path is for showing and for finding tables beside it.
pub type FrontEnd = fn(&str, &Path) -> Vec<Diagnostic>;

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The `.gsl` files of a folder, in order of their names.
pub fn gsl_files(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = listed.flatten().map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "gsl") && p.is_file());
    files.sort();
    files
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Checks the transcript of every file of a folder; every file has to have something wrong with it.
pub fn transcripts(folder: &Path, front_end: FrontEnd) {
    let mut differing = Vec::new();
    let files = gsl_files(folder);
    assert!(!files.is_empty(), "no .gsl files in {}", folder.display());
    for path in files {
        let source = read(&path);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = front_end(&source, &path);
        assert!(!found.is_empty(), "nothing is wrong with {name}");
        differing.extend(compare(&path.with_extension("gsl.txt"), &render(&found, &name, &source, false)));
    }
    assert!(differing.is_empty(), "{}\nrun again with UPDATE=1 to accept", differing.join("\n"));
}

/// Says how the file differs from the text, unless it is to be rewritten.
pub fn compare(path: &Path, text: &str) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == text {
        return None;
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return None;
    }
    Some(format!("{} differs\n--- expected\n{expected}\n--- found\n{text}", path.display()))
}
