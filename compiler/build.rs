//! Collects `docs/errors/<area>/<name>.md` into a table of (code, page), so that a page is added by writing it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let pages = root.join("../docs/errors");
    println!("cargo::rerun-if-changed={}", pages.display());
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("pages.rs");
    fs::write(out, table(&pages)).expect("the output folder is writable");
}

fn table(pages: &Path) -> String {
    let mut text = String::from("&[\n");
    for area in listed(pages) {
        println!("cargo::rerun-if-changed={}", area.display());
        for page in listed(&area).into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
            let code = format!("gsl::{}::{}", stem(&area), stem(&page));
            writeln!(text, "    ({code:?}, include_str!({:?})),", page.display().to_string())
                .expect("writing to a string");
        }
    }
    text + "]\n"
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    found.sort();
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
