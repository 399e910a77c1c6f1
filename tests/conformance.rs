//! Published results on real data. Each test says "skipped" where the data is not there (GSL_DATA names its folder).

mod support;

use std::path::Path;
use support::{Folder, data, root};

/// What the test part of one run of an experiment has for each metric.
fn tested(out: &Folder, source: &Path, more: &[&str]) -> serde_json::Value {
    let path = source.to_str().expect("a path in UTF-8");
    let mut args = vec!["run", path, "--quiet", "--cache", "cache", "--out", "out", "--json"];
    args.extend(more);
    let ran = out.gsc(&args).ok();
    let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
    summary["test"].clone()
}

/// The same of a file in tests/conformance and its only prediction.
fn metric(out: &Folder, file: &str, name: &str, more: &[&str]) -> f64 {
    let found = &tested(out, &root().join("tests/conformance").join(file), more)[0]["metrics"][name];
    found.as_f64().unwrap_or_else(|| panic!("{file} has no {name}"))
}

/// The same on the tables in a folder, of so many seeds.
fn seeds(file: &str, name: &str, folder: &Path, seeds: u64, more: &[&str]) -> Vec<f64> {
    let out = Folder::new();
    let set = format!("data=\"{}\"", folder.display());
    let run = |seed: u64| {
        let seed = seed.to_string();
        let args = [&["--set", &set, "--seed", &seed], more].concat();
        metric(&out, file, name, &args)
    };
    (0..seeds).map(run).collect()
}

/// Of the ten folds of MUTAG: one is tested, all others train. All folds of the first seed come first.
fn folds(file: &str, folder: &Path, seeds: u64) -> Vec<f64> {
    let out = Folder::new();
    let table = std::fs::read_to_string(folder.join("splits/folds.csv")).expect("a table of folds");
    let run = |seed: u64, tested: usize| {
        let part = |line: &str| {
            let (graph, fold) = line.split_once(',').expect("two columns");
            let is_tested = fold.trim() == tested.to_string();
            format!("{graph},{}\n", if is_tested { "test" } else { "train" })
        };
        let parts: String = table.lines().skip(1).map(part).collect();
        out.write("parts.csv", format!("id,part\n{parts}"));
        let data = format!("data=\"{}\"", folder.display());
        let parts = format!("parts=\"{}\"", out.at("parts.csv").display());
        let seed = seed.to_string();
        metric(&out, file, "accuracy", &["--set", &data, "--set", &parts, "--seed", &seed])
    };
    (0..seeds)
        .flat_map(|seed| (1..=10).map(move |tested| (seed, tested)))
        .map(|(seed, at)| run(seed, at))
        .collect()
}

fn mean(found: &[f64]) -> f64 {
    found.iter().sum::<f64>() / found.len() as f64
}

/// Says what was found.
fn tell(name: &str, found: &[f64]) {
    let mean = mean(found);
    let spread = (found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / found.len() as f64).sqrt();
    println!("{name}: {mean:.4} ± {spread:.4} over {} runs", found.len());
}

fn at_least(name: &str, found: &[f64], bound: f64) {
    tell(name, found);
    assert!(mean(found) >= bound, "{name}: {:.4} is below {bound}", mean(found));
}

fn at_most(name: &str, found: &[f64], bound: f64) {
    tell(name, found);
    assert!(mean(found) <= bound, "{name}: {:.4} is above {bound}", mean(found));
}

#[test]
fn long_gcn_on_cora() {
    if let Some(folder) = data("cora") {
        at_least("GCN on Cora", &seeds("cora_gcn.gsl", "accuracy", &folder, 20, &[]), 0.810);
    }
}

#[test]
fn long_gat_on_cora() {
    if let Some(folder) = data("cora") {
        at_least("GAT on Cora", &seeds("cora_gat.gsl", "accuracy", &folder, 20, &[]), 0.820);
    }
}

#[test]
fn long_rgcn_on_aifb() {
    if let Some(folder) = data("aifb") {
        at_least("RGCN on AIFB", &seeds("aifb_rgcn.gsl", "accuracy", &folder, 10, &[]), 0.93);
    }
}

#[test]
fn long_gin_on_mutag() {
    if let Some(folder) = data("mutag-tu") {
        at_least("GIN on MUTAG", &folds("mutag_gin.gsl", &folder, 5), 0.88);
    }
}

/// Ranking by what is frequent has 0.233.
#[test]
fn long_distmult_on_fb15k_237() {
    if let Some(folder) = data("fb15k-237") {
        at_least("DistMult on FB15k-237", &seeds("fb15k_distmult.gsl", "mrr", &folder, 1, &[]), 0.30);
    }
}

#[test]
fn long_rgcn_on_fb15k_237() {
    if let Some(folder) = data("fb15k-237") {
        at_least("RGCN on FB15k-237", &seeds("fb15k_rgcn.gsl", "mrr", &folder, 1, &[]), 0.25);
    }
}

/// The graph tells more of how many messages there are than how much both ends write.
#[test]
fn long_rgcn_on_edges_of_collegemsg() {
    if let Some(folder) = data("collegemsg") {
        let of = |experiment| seeds("collegemsg_edges.gsl", "rmse", &folder, 3, &["-e", experiment]);
        let (degrees, graph) = (of("degrees"), of("graph"));
        tell("degrees on CollegeMsg", &degrees);
        at_most("RGCN on CollegeMsg", &graph, 0.96 * mean(&degrees));
    }
}

/// An experiment of examples/debian: what its test part has for each metric.
fn debian(file: &str, more: &[&str]) -> serde_json::Value {
    tested(&Folder::new(), &root().join("examples/debian").join(file), more)
}

/// Counting both ends has 0.895 and 0.62.
#[test]
fn long_kinds_of_debian_relations() {
    let found = &debian("kinds.gsl", &[])[0]["metrics"];
    let [accuracy, f1] = ["accuracy", "f1_macro"].map(|name| found[name].as_f64().expect("a metric"));
    at_least("kinds of Debian relations", &[accuracy], 0.915);
    at_least("kinds of Debian relations, macro F1", &[f1], 0.74);
}

#[test]
fn long_sizes_of_debian_packages() {
    let rmse = debian("size.gsl", &[])[0]["metrics"]["rmse"].as_f64().expect("an error");
    at_most("sizes of Debian packages", &[rmse], 1.39);
}

/// Ranking by what is popular has 0.164.
#[test]
fn long_links_of_debian_packages() {
    let mrr = debian("links.gsl", &["-e", "links"])[0]["metrics"]["mrr"].as_f64().expect("ranks");
    at_least("links of Debian packages", &[mrr], 0.328);
}
