//! Keeps the arrows between crates: `gsc -> compiler -> plan <- runtime -> kernels, tables`, `reference -> plan`, and
//! which crate alone may see which library; and that every library has its page in docs/decisions/. What a crate uses in its own tests only is not an arrow.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Every crate of the workspace, and the crates of the workspace that it may depend on.
const ARROWS: [(&str, &[&str]); 11] = [
    ("gsc", &["gsl-compiler", "gsl-plan", "gsl-reference", "gsl-runtime", "gsl-tables"]),
    ("gsl-compiler", &["gsl-plan"]),
    ("gsl-plan", &[]),
    ("gsl-runtime", &["gsl-plan", "gsl-kernels", "gsl-tables", "gsl-text"]),
    ("gsl-kernels", &[]),
    ("gsl-tables", &[]),
    ("gsl-text", &["gsl-kernels"]),
    ("gsl-reference", &["gsl-plan"]),
    ("billion-tables", &["gsl-kernels", "gsl-tables"]),
    ("debian-tables", &[]),
    ("library-in-rust", &["gsc"]),
];

/// Libraries, by the beginning of their names, that only these crates may depend on.
const KEEPERS: [(&str, &[&str]); 11] = [
    ("arrow", &["gsl-tables", "billion-tables", "debian-tables"]),
    ("cudarc", &["gsl-kernels"]),
    ("dfdx", &["gsl-reference", "gsl-runtime", "library-in-rust"]),
    ("gemm", &["gsl-kernels"]),
    ("hdf5", &["gsl-runtime", "gsl-tables"]),
    ("mimalloc", &["gsc"]),
    ("mpi", &["gsl-runtime"]),
    ("parquet", &["gsl-tables", "billion-tables", "debian-tables"]),
    ("pest", &["gsl-compiler"]),
    ("rayon", &["gsc", "gsl-kernels", "gsl-runtime", "gsl-tables", "gsl-text", "billion-tables"]),
    ("tokenizers", &["gsl-text"]),
];

#[test]
fn crates_point_one_way() {
    assert_eq!(wrong_arrows(&metadata()), Vec::<String>::new());
}

#[test]
fn libraries_stay_with_their_keepers() {
    assert_eq!(wrong_libraries(&metadata()), Vec::<String>::new());
}

#[test]
fn every_crate_has_a_rule() {
    let metadata = metadata();
    let mut found: Vec<&str> = packages(&metadata).map(name).collect();
    let mut ruled: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    found.sort_unstable();
    ruled.sort_unstable();
    assert_eq!(found, ruled);
}

#[test]
fn every_library_has_a_page_of_decisions() {
    let metadata = metadata();
    let titles = titles_of_decisions();
    let pages = |library: &str| titles.iter().filter(|title| title.contains(&format!("`{library}`"))).count();
    let dependencies = packages(&metadata).flat_map(|p| p["dependencies"].as_array().into_iter().flatten());
    let outside = dependencies.filter(|d| d["path"].is_null()).map(name);
    let without: BTreeSet<&str> = outside.filter(|library| pages(library) != 1).collect();
    assert_eq!(without, BTreeSet::new(), "docs/decisions/ wants one page for each, named in its title");
}

#[test]
fn a_wrong_arrow_is_seen() {
    let dependency = |name: &str, kind: Option<&str>| json!({ "name": name, "kind": kind });
    let plan = json!({ "name": "gsl-plan", "dependencies": [
        dependency("gsl-kernels", None),
        dependency("gsl-compiler", Some("dev")),
        dependency("gsl-tables", Some("build")),
        dependency("pest_derive", None),
    ] });
    let metadata =
        json!({ "packages": [plan, { "name": "stranger", "dependencies": [dependency("gsl-plan", None)] }] });
    assert_eq!(
        wrong_arrows(&metadata),
        ["gsl-plan -> gsl-kernels", "gsl-plan -> gsl-tables", "stranger -> gsl-plan"]
    );
    assert_eq!(wrong_libraries(&metadata), ["gsl-plan -> pest_derive"]);
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn titles_of_decisions() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions");
    let pages = std::fs::read_dir(folder).expect("docs/decisions");
    let text = |page: std::io::Result<DirEntry>| {
        std::fs::read_to_string(page.expect("a page").path()).expect("text")
    };
    pages.map(|page| text(page).lines().next().unwrap_or_default().to_string()).collect()
}

fn wrong_arrows(metadata: &Value) -> Vec<String> {
    let is_ours = |library: &str| ARROWS.iter().any(|(ours, _)| *ours == library);
    let allowed = |from: &str| ARROWS.iter().find(|(ours, _)| *ours == from).map_or(&[][..], |(_, to)| *to);
    edges(metadata).filter(|(from, to)| is_ours(to) && !allowed(from).contains(to)).map(arrow).collect()
}

fn wrong_libraries(metadata: &Value) -> Vec<String> {
    let keepers =
        |to: &str| KEEPERS.iter().find(|(library, _)| to.starts_with(library)).map(|(_, keepers)| *keepers);
    edges(metadata).filter(|(from, to)| keepers(to).is_some_and(|k| !k.contains(from))).map(arrow).collect()
}

fn arrow((from, to): (&str, &str)) -> String {
    format!("{from} -> {to}")
}

/// Pairs of a crate and what it depends on outside its tests.
fn edges(metadata: &Value) -> impl Iterator<Item = (&str, &str)> {
    packages(metadata).flat_map(|package| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        dependencies.filter(|d| d["kind"] != "dev").map(move |d| (name(package), name(d)))
    })
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().expect("packages").iter()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("a name")
}
