//! Imported configurations. Each folder of tests/import has a `schema.json`, perhaps a `train.yaml` and more arguments in
//! `args`; the imported file is compared with `expected.gsl`, the exit code and what was said with `expected.txt`.
//! UPDATE=1 rewrites both. A configuration that is refused has no `expected.gsl`.
//!
//! Every imported file is checked too, against tables that are made for it from its schema. What is not in the language yet is
//! named by the case: its `not_yet` has the codes that `gsc check` answers with, and no other error is let through.

#[path = "support/stand_in.rs"]
mod stand_in;
mod support;
#[cfg(feature = "text")]
#[path = "../runtime/text/tests/text/tiny.rs"]
#[allow(dead_code)]
mod tiny;

use serde_json::Value;
use std::collections::BTreeSet;
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

/// Whether the cases are rewritten.
fn updates() -> bool {
    std::env::var_os("UPDATE").is_some()
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
    let update = updates();
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

/// A case in a folder of its own, imported, with tables that are made from its schema and models that it names; none of a
/// configuration that is refused.
fn stood_in(case: &Path) -> Option<Folder> {
    let expected = fs::read_to_string(case.join("expected.gsl")).ok()?;
    let folder = Folder::new();
    let schema = fs::read_to_string(case.join("schema.json")).expect("a schema");
    folder.write("schema.json", &schema);
    let mut args = vec!["import", "graphstorm", "schema.json", "--output", "it.gsl"];
    let train = fs::read_to_string(case.join("train.yaml"));
    if let Ok(train) = &train {
        folder.write("train.yaml", train);
        args.insert(3, "train.yaml");
    }
    let more = fs::read_to_string(case.join("args")).unwrap_or_default();
    args.extend(more.split_whitespace());
    folder.gsc(&args).ok();
    let text = folder.read("it.gsl");
    assert!(updates() || text == expected, "{}: another file than expected.gsl", case.display());

    let json: Value = serde_json::from_str(&schema).expect("the schema is JSON");
    let is_list = |label: &str| text.contains(&format!(": classes = {label}\n"));
    let weights = text.split_once("(weights: [").and_then(|(_, rest)| rest.split_once(']'));
    let classes = weights.map_or(2, |(weights, _)| weights.split(',').count());
    stand_in::write_tables(&folder, &json, &stand_in::Labels { is_list: &is_list, classes });
    write_models(&folder, &(schema + &train.unwrap_or_default()));
    folder.write("it.gsl", in_folder(&text));
    Some(folder)
}

/// Paths that lead out of the folder lead into it.
fn in_folder(text: &str) -> String {
    let mut words: Vec<String> = text.split('"').map(str::to_owned).collect();
    words.iter_mut().skip(1).step_by(2).for_each(|path| *path = stand_in::inside(path));
    words.join("\"")
}

/// A tiny model in the place of each that the cases name.
fn write_models(folder: &Folder, configuration: &str) {
    for name in ["bert-base-uncased", "models/mini"] {
        if !configuration.contains(name) {
            continue;
        }
        #[cfg(feature = "text")]
        for entry in fs::read_dir(tiny::model(tiny::Kind::Bert).0.path()).expect("a model").flatten() {
            let file = fs::read(entry.path()).expect("a file");
            folder.write(&format!("{name}/{}", entry.file_name().to_string_lossy()), file);
        }
    }
}

/// The codes of the errors that `gsc check` finds, and all that it says.
fn errors(folder: &Folder) -> (BTreeSet<String>, String) {
    let ran = folder.gsc(&["check", "it.gsl", "--json"]);
    let said: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}\n{}\n{}", ran.out, ran.err));
    let all = said.as_array().expect("a list of messages");
    let errors = all.iter().filter(|message| message["severity"] == "error");
    let codes: BTreeSet<String> =
        errors.map(|message| message["code"].as_str().expect("a code").to_owned()).collect();
    assert_eq!(ran.code == 0, codes.is_empty(), "{}\n{}", ran.out, ran.err);
    (codes, folder.gsc(&["check", "it.gsl"]).err)
}

#[test]
#[cfg_attr(not(feature = "text"), ignore = "cases read texts")]
fn imported_files_pass_the_check() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for case in cases() {
        let Some(folder) = stood_in(&case) else { continue };
        let not_yet = fs::read_to_string(case.join("not_yet")).unwrap_or_default();
        let expected: BTreeSet<String> = not_yet.lines().map(str::to_owned).collect();
        assert!(expected.iter().all(|code| code.starts_with("gsl::not_yet::")), "{}", case.display());
        let (found, said) = errors(&folder);
        checked += 1;
        if found != expected {
            wrong.push(format!("{}: {found:?}, expected {expected:?}\n{said}", case.display()));
        }
    }
    assert!(checked >= 50, "{checked} cases");
    assert!(wrong.is_empty(), "{} of {checked}\n{}", wrong.len(), wrong.join("\n"));
}

/// Tables that stand in have fewer nodes than links are usually ranked against.
fn against_all(text: &str) -> String {
    text.replace("against uniform(1000)", "against all").replace("against uniform(500)", "against all")
}

#[test]
#[cfg_attr(not(feature = "text"), ignore = "cases read texts")]
fn imported_files_run() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in cases().iter().filter(|case| !case.join("not_yet").exists()) {
        let Some(folder) = stood_in(case) else { continue };
        let text = folder.read("it.gsl");
        folder.write("it.gsl", against_all(&text));
        let command = if text.contains("\nexperiment ") { "run" } else { "build" };
        let ran = folder.gsc(&[command, "it.gsl"]);
        count += 1;
        if ran.code != 0 {
            wrong.push(format!("{}\n{}", case.display(), ran.err));
        }
    }
    assert!(count >= 50, "{count} cases");
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs a case on the tables that stand in, and expects words in what is said of it.
fn runs_on_stand_ins(case: &str, expected: &[&str]) -> Folder {
    let folder = stood_in(&root().join("tests/import").join(case)).expect("a case that is imported");
    let ran = folder.gsc(&["run", "it.gsl", "--quiet"]).ok();
    for part in expected {
        assert!(ran.out.contains(part), "{part} is not in\n{}\n{}", ran.out, ran.err);
    }
    folder
}

#[test]
fn links_with_hard_negatives_run() {
    let folder = runs_on_stand_ins("links_hard_and_given", &["hits_1", "mrr"]);
    assert!(folder.at("results").join("user.embeddings.parquet").exists(), "embeddings are written");
}

#[test]
fn links_of_several_relations_run() {
    runs_on_stand_ins("links_that_choose_a_model", &["rates", "likes", "amri", "hits_10"]);
    runs_on_stand_ins("links_of_one_that_chooses", &["likes", "mrr"]);
    runs_on_stand_ins("splits_of_edges_by_files", &["rates", "mrr"]);
}

#[test]
fn tasks_side_by_side_run() {
    let folder = runs_on_stand_ins("tasks_by_their_masks", &["kind_2", "stars", "rates", "age", "minutes"]);
    assert!(folder.at("results").join("user.kind_2.parquet").exists(), "predictions are written");
}

#[test]
fn labels_of_edges_run_with_decoders_and_layers_of_their_own() {
    runs_on_stand_ins("edge_decoder_with_features", &["stars", "average_precision"]);
    runs_on_stand_ins("edge_features_of_every_relation", &["stars", "accuracy"]);
}

#[test]
fn layers_without_the_node_itself_run() {
    runs_on_stand_ins("rgcn_without_itself", &["venue"]);
    runs_on_stand_ins("rgat_without_itself", &["venue"]);
}

#[cfg(feature = "text")]
#[test]
fn a_language_model_that_is_not_trained_runs() {
    runs_on_stand_ins("language_model_frozen", &["label", "accuracy"]);
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
fn layers_and_decoders_of_edges_that_are_written_have_the_right_gradients() {
    let expect = |case: &str, parts: &[&str]| {
        let folder = stood_in(&root().join("tests/import").join(case)).expect("a case that is imported");
        folder.gsc(&["build", "it.gsl"]).ok(); // which tells how many classes there are
        let checked = folder.gsc(&["check", "it.gsl", "--gradients"]).ok();
        let has = |part: &&str| checked.out.contains(*part);
        assert!(parts.iter().all(has) && checked.out.contains("gradients agree"), "{}", checked.out);
    };
    expect("edge_features_of_every_relation", &["gnn.1.E[rates]", "gnn.1.E[rates_rev]"]);
    expect("edge_decoder_with_features", &[".stars.F", ".stars.C"]);
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
