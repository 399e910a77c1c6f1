//! Sweeps: the trials that are run, those that are not, and the best one.

mod support;

use std::collections::BTreeMap;
use std::time::SystemTime;
use support::Folder;
use support::shop::shop;

const SWEEPS: &str = "param lr : float = 1e-3
param hidden : dim = 8

experiment kinds on shop {
    encode item  = embedding(hidden)
    encode buyer = embedding(hidden)
    gnn          = RGCN(hidden)
    predict item.kind { metrics = accuracy }
    sample    = neighbors(5)
    batch     = 96
    optimizer = adam(lr: lr), embeddings: sparse_adam(lr: lr)
    epochs    = 4
    stop      = none
    write predictions of item to \"written\"
}

sweep grid of kinds {
    lr     in log(1e-4 .. 1e-2, 3)
    hidden in [4, 8]
    best on valid.accuracy
}

sweep drawn of kinds {
    lr     in log(1e-5 .. 1e-1)
    hidden in [4, 8]
    search = random(5, seed: 3)
    prune  = median(after: 1)
    best on valid.accuracy - 0.1 * valid.loss
}

sweep few of kinds {
    lr     in [1e-3, 1e-2]
    hidden in [4, 8]
    search = random(9)
}

experiment patient = kinds with {
    epochs = 6
    stop   = patience(1, on: valid.accuracy)
}

sweep ended of patient { lr in [1e-9] }

sweep rounds of kinds {
    lr in [1e-5, 3e-2, 1e-4, 1e-3]
    prune = halving(2, first: 1)
    best on valid.loss
}
";

fn sweep(folder: &Folder, name: &str) -> serde_json::Value {
    let ran = folder.gsc(&["sweep", "shop.gsl", name, "--quiet", "--json"]).ok();
    serde_json::from_str(&ran.out).expect("JSON")
}

fn epochs(swept: &serde_json::Value) -> Vec<usize> {
    let trials = swept["trials"].as_array().expect("trials");
    trials.iter().map(|trial| trial["curve"].as_array().expect("a curve").len()).collect()
}

/// When the records of the trials were written.
fn records(folder: &Folder, name: &str) -> BTreeMap<String, SystemTime> {
    let trials = std::fs::read_dir(folder.at(&format!("out/{name}/trials"))).expect("trials").flatten();
    let written =
        |path: std::path::PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).expect("a record");
    trials
        .map(|t| (t.file_name().to_string_lossy().into_owned(), written(t.path().join("trial.json"))))
        .collect()
}

#[test]
fn a_grid_is_run_once_and_its_best_trial_is_a_run() {
    let folder = shop(600, SWEEPS);
    let first = sweep(&folder, "grid");
    assert_eq!(epochs(&first), [4; 6]);
    let best = first["best"].as_u64().expect("a number") as usize;
    assert!(best >= 5, "the highest rate learns the most: trial {best}");
    let metrics = &first["run"]["test"][0]["metrics"];
    assert!(metrics["accuracy"].as_f64().expect("a number") > 0.3, "{metrics}");
    assert!(folder.at("out/grid/best/results/written/item.kind.parquet").exists());
    assert!(!folder.at("written").exists(), "what the experiment itself writes is left alone");
    assert!(folder.read("out/grid/report.html").contains("Trials, best first"));
    assert!(folder.read("out/grid/best/report.html").contains("Test: item.kind"));

    let before = records(&folder, "grid");
    assert_eq!(sweep(&folder, "grid")["trials"], first["trials"]);
    assert_eq!(records(&folder, "grid"), before, "no trial is run again");

    std::fs::remove_dir_all(folder.at("out/grid/trials/0003")).expect("a trial");
    assert_eq!(sweep(&folder, "grid")["trials"], first["trials"]);
    let after = records(&folder, "grid");
    let again: Vec<&String> = after.keys().filter(|name| after[*name] != before[*name]).collect();
    assert_eq!(again, ["0003"], "what is missing is run again");

    let values = &first["trials"][best - 1]["values"];
    let set: Vec<String> = values
        .as_array()
        .expect("values")
        .iter()
        .map(|pair| {
            format!("--set={}={}", pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value"))
        })
        .collect();
    let mut run = vec!["run", "shop.gsl", "--experiment", "kinds", "--quiet", "--json"];
    run.extend(set.iter().map(String::as_str));
    let alone: serde_json::Value = serde_json::from_str(&folder.gsc(&run).ok().out).expect("JSON");
    assert_eq!(alone["test"], first["run"]["test"], "the best trial is the run that has its values");
}

#[test]
fn draws_are_pruned_by_the_median_and_always_in_the_same_way() {
    let (one, two) = (shop(600, SWEEPS), shop(600, SWEEPS));
    let first = sweep(&one, "drawn");
    assert_eq!(first["trials"], sweep(&two, "drawn")["trials"]);
    let pruned = first["trials"].as_array().expect("trials").iter().filter(|t| t["pruned"] == true).count();
    assert!(pruned > 0, "{}", first["trials"]);
    assert_eq!(first["trials"], sweep(&one, "drawn")["trials"]);
}

#[test]
fn halving_lets_the_better_half_go_on() {
    let folder = shop(600, SWEEPS);
    let first = sweep(&folder, "rounds");
    let mut came_to = epochs(&first);
    assert_eq!(came_to[1], 4, "{came_to:?}");
    assert_eq!(first["best"], 2);
    came_to.sort_unstable();
    assert_eq!(came_to, [1, 1, 2, 4]);
    assert_eq!(first["trials"], sweep(&folder, "rounds")["trials"]);
}

#[test]
fn draws_from_lists_are_all_different() {
    let swept = sweep(&shop(200, SWEEPS), "few");
    let trials = swept["trials"].as_array().expect("trials");
    let values: std::collections::BTreeSet<String> = trials.iter().map(|t| t["values"].to_string()).collect();
    assert_eq!((trials.len(), values.len()), (4, 4), "there are four: {values:?}");
}

#[test]
fn a_trial_that_its_patience_ended_says_so() {
    let folder = shop(200, SWEEPS);
    let ran = folder.gsc(&["sweep", "shop.gsl", "ended"]).ok();
    assert!(ran.out.contains("  stopped after epoch 2\n"), "{}", ran.out);
    assert!(folder.read("out/ended/report.html").contains("stopped after epoch 2"));
}

#[test]
fn a_trial_that_cannot_be_is_found_before_anything_runs() {
    let text = SWEEPS
        .replace("hidden in [4, 8]", "hidden in [8, 6]")
        .replace("RGCN(hidden)", "GAT(hidden, heads: 4)");
    let folder = shop(600, &text);
    let ran = folder.gsc(&["sweep", "shop.gsl", "grid", "--quiet"]);
    assert_eq!(ran.code, 1);
    let unknown = folder.gsc(&["sweep", "shop.gsl", "grids"]);
    assert!(unknown.err.contains("there is no sweep `grids`"), "{}", unknown.err);
}
