//! `gsc new`: folders of tables in tests/new, each with the file that is expected of it (UPDATE=1 rewrites them) and, in `args`, what
//! is asked. The file must pass `gsc check`, and run where it has an experiment, else build.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::{Folder, compare, data, root};

/// Copies a case to a folder of its name, without what is expected.
fn copy(case: &Path, folder: &Folder) -> String {
    let name = case.file_name().expect("a name").to_string_lossy().into_owned();
    copy_files(case, &folder.at(&name));
    name
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        match path.is_dir() {
            true => copy_files(&path, &to.join(name)),
            false if name == "expected.gsl" || name == "args" => {}
            false => drop(fs::copy(&path, to.join(name)).expect("a copy")),
        }
    }
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(root().join("tests/new"))
        .expect("tests/new")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

fn case(name: &str) -> PathBuf {
    root().join("tests/new").join(name)
}

/// The arguments of a case.
fn asked(case: &Path) -> Vec<String> {
    let args = fs::read_to_string(case.join("args")).unwrap_or_default();
    args.split_whitespace().map(str::to_string).collect()
}

/// Writes the first file of a folder and returns it.
fn written(folder: &Folder, name: &str, asked: &[String]) -> (String, String) {
    let args: Vec<&str> = ["new", name].into_iter().chain(asked.iter().map(String::as_str)).collect();
    let file = folder.gsc(&args).ok().out.trim().to_string();
    (folder.read(&file), file)
}

#[test]
fn first_files_are_as_expected_and_run() {
    for case in cases() {
        let (folder, asked) = (Folder::new(), asked(&case));
        let name = copy(&case, &folder);
        let (text, file) = written(&folder, &name, &asked);
        let expected = case.join("expected.gsl");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected, &text).expect("the expected file");
        }
        let known = fs::read_to_string(&expected).unwrap_or_default();
        assert!(known == text, "{} differs; UPDATE=1 rewrites it\n{text}", expected.display());
        folder.gsc(&["fmt", "--check", &file]).ok();
        folder.gsc(&["check", &file]).ok();
        match asked.is_empty() {
            true => drop(folder.gsc(&["build", &file]).ok()),
            false => drop(folder.gsc(&["run", &file, "--quiet"]).ok()),
        }
    }
}

/// Every table of a case with its rows upside down gives the same file.
#[test]
fn the_order_of_rows_does_not_matter() {
    for name in ["library", "facts", "shop", "linked", "nearly", "folds", "undirected"] {
        let (folder, asked) = (Folder::new(), asked(&case(name)));
        copy(&case(name), &folder);
        let (expected, _) = written(&folder, name, &asked);
        turn_tables(&folder.at(name));
        let again: Vec<String> = asked.into_iter().chain(["--force".to_string()]).collect();
        assert_eq!(written(&folder, name, &again).0, expected);
    }
}

fn turn_tables(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            turn_tables(&path);
        } else if path.extension().is_some_and(|e| e == "csv" || e == "tsv") {
            let text = fs::read_to_string(&path).expect("a table");
            let (head, rows) = text.split_once('\n').expect("a header");
            let turned: Vec<&str> = rows.lines().rev().collect();
            fs::write(&path, format!("{head}\n{}\n", turned.join("\n"))).expect("a table");
        }
    }
}

#[test]
fn what_was_found_is_told() {
    for name in ["library", "odd", "linked", "molecules", "separators", "nearly"] {
        let folder = Folder::new();
        copy(&case(name), &folder);
        let ran = folder.gsc(&["new", name]);
        compare(&format!("new.{name}"), &ran.transcript());
    }
}

#[test]
fn mistakes_are_explained() {
    let folder = Folder::new();
    copy(&case("library"), &folder);
    folder
        .write("empty/readme.txt", "no table")
        .write("broken/a.csv", "a,b\n1\n")
        .write("broken/b.csv", "a\n");
    folder.write("library/library.gsl", "// mine\n");
    folder.write("library/late.csv", "id,late\n1,2\n3\n");
    let mistakes: [(&str, &[&str]); 10] = [
        ("no_folder", &["new", "nowhere"]),
        ("a_file", &["new", "library/books.csv"]),
        ("empty", &["new", "empty"]),
        ("unreadable", &["new", "broken"]),
        ("exists", &["new", "library"]),
        ("no_table", &["new", "library", "--force", "--label", "boks.genre"]),
        ("unreadable_label", &["new", "library", "--force", "--label", "late.late"]),
        ("no_column", &["new", "library", "--force", "--label", "books.gnre"]),
        ("of_edges", &["new", "library", "--force", "--label", "loans.days"]),
        ("no_classes", &["new", "library", "--force", "--label", "books.title"]),
    ];
    for (name, args) in mistakes {
        let ran = folder.gsc(args);
        assert_eq!(ran.code, 1, "{name}: {}", ran.err);
        compare(&format!("new.{name}"), &ran.transcript());
    }
    assert_eq!(folder.read("library/library.gsl"), "// mine\n");
}

/// The label and the experiment that stand in comments hold once they are uncommented: prose begins with a capital or a quotation.
#[test]
fn what_looks_like_code_can_be_uncommented() {
    for name in ["library", "molecules", "folds", "undirected"] {
        let folder = Folder::new();
        copy(&case(name), &folder);
        let (text, file) = written(&folder, name, &[]);
        let uncommented: Vec<&str> = text.lines().map(uncommented).collect();
        assert!(text.contains("// experiment") && !uncommented.contains(&"// experiment"), "{text}");
        folder.write(&file, uncommented.join("\n"));
        folder.gsc(&["run", &file, "--quiet"]).ok();
    }
}

fn uncommented(line: &str) -> &str {
    let code = line.trim_start().strip_prefix("// ");
    code.filter(|code| code.starts_with(|c: char| c.is_lowercase() || c == ' ' || c == '}')).unwrap_or(line)
}

#[test]
fn paths_lead_from_the_file_to_the_tables() {
    let folder = Folder::new();
    copy(&case("library"), &folder);
    folder.write("models/readme", "");
    let file = folder.gsc(&["new", "library", "--output", "models/first.gsl"]).ok().out;
    assert!(folder.read("models/first.gsl").contains("from \"../library/books.csv\""));
    folder.gsc(&["check", file.trim()]).ok();
}

/// Real tables, where they are: see tests/conformance.rs.
#[test]
fn real_tables_make_files_that_check() {
    for name in ["cora", "aifb", "fb15k-237", "collegemsg", "mutag-tu"] {
        let Some(tables) = data(name) else { continue };
        let folder = Folder::new();
        folder.gsc(&["new", tables.to_str().expect("UTF-8"), "--output", "first.gsl"]).ok();
        folder.gsc(&["check", "first.gsl"]).ok();
    }
}

/// A few epochs of each; of tables without a label, links are predicted. An epoch of FB15k-237 with the defaults takes too long here.
#[test]
fn real_tables_run_without_a_word() {
    let labels = [
        ("cora", Some("paper.label")),
        ("aifb", Some("entity.label")),
        ("mutag-tu", Some("graph.label")),
        ("collegemsg", None),
    ];
    for (name, label) in labels {
        let Some(tables) = data(name) else { continue };
        let folder = Folder::new();
        let mut args = vec!["new", tables.to_str().expect("UTF-8"), "--output", "first.gsl"];
        args.extend(label.iter().flat_map(|label| ["--label", label]));
        folder.gsc(&args).ok();
        let text = folder.read("first.gsl").replace("    predict ", "    epochs = 2; predict ");
        folder.write("first.gsl", text);
        folder.gsc(&["run", "first.gsl", "--quiet"]).ok();
    }
}

/// Far above what the words alone give: the file with `gnn = none` is tested beside it.
#[test]
fn cora_gains_by_its_graph_without_a_word() {
    let Some(tables) = data("cora") else { return };
    let folder = Folder::new();
    let tables = tables.to_str().expect("UTF-8");
    folder.gsc(&["new", tables, "--label", "paper.label", "--output", "first.gsl"]).ok();
    let text = folder.read("first.gsl");
    let gnn = text.lines().find(|line| line.trim_start().starts_with("gnn = GCN")).expect("a model");
    folder.write("words.gsl", text.replace(gnn, "    gnn = none"));
    let [with, without] = ["first.gsl", "words.gsl"].map(|file| {
        let ran = folder.gsc(&["run", file, "--quiet", "--json"]).ok();
        let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
        summary["test"][0]["metrics"]["accuracy"].as_f64().expect("an accuracy")
    });
    assert!(with > 0.7 && with > without + 0.1, "{with} with the graph, {without} without");
}

#[test]
fn long_debian_runs_without_a_word() {
    let folder = Folder::new();
    let tables = root().join("examples/debian/data");
    let tables = tables.to_str().expect("UTF-8");
    folder.gsc(&["new", tables, "--label", "packages.section", "--output", "first.gsl"]).ok();
    folder.write("first.gsl", folder.read("first.gsl").replace("    write", "    epochs = 2\n    write"));
    let ran = folder.gsc(&["run", "first.gsl", "--quiet", "--json"]).ok();
    let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
    let accuracy = summary["test"][0]["metrics"]["accuracy"].as_f64().expect("an accuracy");
    assert!(accuracy > 0.6, "{accuracy}");
}
