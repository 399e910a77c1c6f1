//! Published results on real data. Each test says "skipped" where the data is not there (GSL_DATA names its folder).

mod support;

use support::{Folder, data, root};

/// Test accuracy of `runs` seeds of an experiment in tests/conformance.
fn accuracies(file: &str, folder: &std::path::Path, seeds: u64) -> Vec<f64> {
    let out = Folder::new();
    let source = root().join("tests/conformance").join(file);
    let set = format!("data=\"{}\"", folder.display());
    (0..seeds)
        .map(|seed| {
            let args = [
                "run",
                source.to_str().expect("a path in UTF-8"),
                "--quiet",
                "--set",
                &set,
                "--seed",
                &seed.to_string(),
                "--cache",
                "cache",
                "--out",
                "out",
                "--json",
            ];
            let ran = out.gsc(&args).ok();
            let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
            summary["test"][0]["metrics"]["accuracy"].as_f64().expect("an accuracy")
        })
        .collect()
}

fn check(name: &str, found: &[f64], at_least: f64) {
    let n = found.len() as f64;
    let mean = found.iter().sum::<f64>() / n;
    let spread = (found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    println!("{name}: {:.2} ± {:.2} % over {n} seeds", 100.0 * mean, 100.0 * spread);
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
