//! Imported configurations. Each folder of tests/import has a `schema.json`, perhaps a `train.yaml` and more arguments in
//! `args`; the imported file is compared with `expected.gsl`, the exit code and what was said with `expected.txt`.
//! UPDATE=1 rewrites both. A configuration that is refused has no `expected.gsl`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::{Folder, Ran, root};

fn cases() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("tests/import")).expect("tests/import");
    let mut cases: Vec<PathBuf> =
        folder.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn import(case: &Path) -> Ran {
    let more = fs::read_to_string(case.join("args")).unwrap_or_default();
    let mut args = vec!["import", "graphstorm", "schema.json"];
    if case.join("train.yaml").exists() {
        args.push("train.yaml");
    }
    args.extend(more.split_whitespace());
    Ran::in_folder(case, &args)
}

#[test]
fn configurations_are_imported_as_expected() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let ran = import(&case);
        assert!(!ran.err.contains("panicked"), "{}: {}", case.display(), ran.err);
        for (name, found) in [("expected.gsl", ran.out.clone()), ("expected.txt", ran.transcript())] {
            let path = case.join(name);
            if update && !found.is_empty() {
                fs::write(&path, &found).expect("the expected text");
            } else if update {
                let _ = fs::remove_file(&path);
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if expected != found {
                wrong.push(format!("{}\n--- expected\n{expected}\n--- found\n{found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "UPDATE=1 rewrites them\n{}", wrong.join("\n"));
}

#[test]
fn imported_files_are_in_the_canonical_style() {
    let files: Vec<String> = cases()
        .iter()
        .map(|case| case.join("expected.gsl"))
        .filter(|file| file.exists())
        .map(|file| file.display().to_string())
        .collect();
    assert!(files.len() >= 20, "{} cases", files.len());
    let mut args = vec!["fmt", "--check"];
    args.extend(files.iter().map(String::as_str));
    Ran::in_folder(&root(), &args).ok();
}

/// Copies the tables and the configuration of a case that has some to a folder, and imports it to another one beside it.
fn imported(case: &str) -> Folder {
    let (folder, case) = (Folder::new(), root().join("tests/import").join(case));
    for entry in fs::read_dir(&case).expect("the case").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        folder.write(&format!("in/{name}"), fs::read(entry.path()).expect("a file"));
    }
    fs::create_dir_all(folder.at("out")).expect("a folder");
    let more = fs::read_to_string(case.join("args")).unwrap_or_default();
    let mut args = vec!["import", "graphstorm", "in/schema.json", "in/train.yaml", "--output", "out/it.gsl"];
    args.extend(more.split_whitespace());
    folder.gsc(&args).ok();
    folder
}

fn runs(case: &str, predicted: &str) {
    let folder = imported(case);
    folder.gsc(&["check", "out/it.gsl"]).ok();
    let ran = folder.gsc(&["run", "out/it.gsl", "--quiet"]).ok();
    assert!(ran.out.contains(&format!("test {predicted}")), "{}", ran.out);
    assert!(folder.at("in/results").join(format!("{predicted}.parquet")).exists(), "predictions are written");
}

#[test]
fn the_layer_that_is_written_into_a_file_has_the_right_gradients() {
    let checked = imported("run_gconstruct").gsc(&["check", "out/it.gsl", "--gradients"]).ok();
    assert!(
        checked.out.contains("gnn.1.aL[cites]") && checked.out.contains("gradients agree"),
        "{}",
        checked.out
    );
}

#[test]
fn a_configuration_of_gconstruct_runs() {
    runs("run_gconstruct", "paper.venue");
}

#[test]
fn a_configuration_of_gsprocessing_runs() {
    runs("run_gsprocessing", "user.age");
}

#[test]
fn a_file_is_never_replaced_unless_asked() {
    let folder = Folder::new();
    let schema = fs::read(root().join("tests/import/run_gconstruct/schema.json")).expect("a schema");
    folder.write("schema.json", schema).write("it.gsl", "// mine\n");
    let refused = folder.gsc(&["import", "graphstorm", "schema.json", "--output", "it.gsl"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("is there already") && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(folder.read("it.gsl"), "// mine\n");
    folder.gsc(&["import", "graphstorm", "schema.json", "--output", "it.gsl", "--force"]).ok();
    assert!(folder.read("it.gsl").contains("graph schema"));
}

#[test]
fn paths_follow_the_file() {
    let folder = Folder::new();
    let schema = fs::read(root().join("tests/import/run_gconstruct/schema.json")).expect("a schema");
    folder.write("in/schema.json", schema).write("out/deep/.keep", "").write("tables/.keep", "");
    let import = |more: &[&str], output: &str| {
        let args = [&["import", "graphstorm", "in/schema.json", "--output", output], more].concat();
        folder.gsc(&args).ok();
        folder.read(output)
    };
    assert!(import(&[], "in/same.gsl").contains("from \"papers.csv\""));
    assert!(import(&[], "out/deep/it.gsl").contains("from \"../../in/papers.csv\""));
    assert!(import(&["--tables", "tables"], "in/it.gsl").contains("from \"../tables/papers.csv\""));
}
