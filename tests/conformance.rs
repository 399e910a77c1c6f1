//! Published results on real data. Each test says "skipped" where the data is not there (GSL_DATA names its folder).

mod support;

use std::path::Path;
use support::{Folder, data, root};

/// The accuracy on the test part of one run of an experiment in tests/conformance.
fn accuracy(out: &Folder, file: &str, more: &[&str]) -> f64 {
    let source = root().join("tests/conformance").join(file);
    let path = source.to_str().expect("a path in UTF-8");
    let mut args = vec!["run", path, "--quiet", "--cache", "cache", "--out", "out", "--json"];
    args.extend(more);
    let ran = out.gsc(&args).ok();
    let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
    summary["test"][0]["metrics"]["accuracy"].as_f64().expect("an accuracy")
}

/// Of so many seeds.
fn accuracies(file: &str, folder: &Path, seeds: u64) -> Vec<f64> {
    let out = Folder::new();
    let set = format!("data=\"{}\"", folder.display());
    let run = |seed: u64| accuracy(&out, file, &["--set", &set, "--seed", &seed.to_string()]);
    (0..seeds).map(run).collect()
}

/// Of the ten folds of MUTAG: one is tested, all others train.
fn folds(file: &str, folder: &Path) -> Vec<f64> {
    let out = Folder::new();
    let table = std::fs::read_to_string(folder.join("splits/folds.csv")).expect("a table of folds");
    let run = |tested: usize| {
        let part = |line: &str| {
            let (graph, fold) = line.split_once(',').expect("two columns");
            let is_tested = fold.trim() == tested.to_string();
            format!("{graph},{}\n", if is_tested { "test" } else { "train" })
        };
        let parts: String = table.lines().skip(1).map(part).collect();
        out.write("parts.csv", format!("id,part\n{parts}"));
        let data = format!("data=\"{}\"", folder.display());
        let parts = format!("parts=\"{}\"", out.at("parts.csv").display());
        accuracy(&out, file, &["--set", &data, "--set", &parts])
    };
    (1..=10).map(run).collect()
}

fn check(name: &str, found: &[f64], at_least: f64) {
    let n = found.len() as f64;
    let mean = found.iter().sum::<f64>() / n;
    let spread = (found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    println!("{name}: {:.2} ± {:.2} % over {n} runs", 100.0 * mean, 100.0 * spread);
    assert!(mean >= at_least, "{name}: {mean:.4} is below {at_least}");
}

#[test]
fn long_gcn_on_cora() {
    if let Some(folder) = data("cora") {
        check("GCN on Cora", &accuracies("cora_gcn.gsl", &folder, 20), 0.810);
    }
}

#[test]
fn long_gat_on_cora() {
    if let Some(folder) = data("cora") {
        check("GAT on Cora", &accuracies("cora_gat.gsl", &folder, 20), 0.820);
    }
}

#[test]
fn long_rgcn_on_aifb() {
    if let Some(folder) = data("aifb") {
        check("RGCN on AIFB", &accuracies("aifb_rgcn.gsl", &folder, 10), 0.93);
    }
}

#[test]
fn long_gin_on_mutag() {
    if let Some(folder) = data("mutag-tu") {
        check("GIN on MUTAG", &folds("mutag_gin.gsl", &folder), 0.84);
    }
}
