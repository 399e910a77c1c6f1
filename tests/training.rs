//! How a training goes: when it is judged, what is kept, what it is judged by, what it starts from, what is left alone.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::shop::{events, shop};

/// The numbers that `gsc` says of the test part.
fn tested(text: &str) -> String {
    text.lines().find(|line| line.contains(": test ")).expect("a line of the test part").to_owned()
}

#[test]
fn the_best_models_are_kept_and_each_can_be_used() {
    let folder = shop(
        900,
        "experiment kinds on shop {
    encode item  = embedding(8)
    encode buyer = embedding(8)
    gnn          = RGCN(8)
    predict item.kind { metrics = accuracy }
    sample         = neighbors(5)
    batch          = 96
    epochs         = 5
    evaluate_every = 4 batches
    stop           = none
    best           = valid.accuracy, keep: 3
}
",
    );
    let run = folder.gsc(&["run", "shop.gsl", "--quiet"]).ok();
    let log = folder.read("out/kinds/events.jsonl");
    let mut values: Vec<f64> = events(&log, "evaluated")
        .iter()
        .map(|e| e["metrics"]["accuracy"].as_f64().expect("a value"))
        .collect();
    let places: Vec<f64> =
        events(&log, "evaluated").iter().map(|e| e["at"].as_f64().expect("a place")).collect();
    assert_eq!(places.len(), 6 * 5 / 4 + 1, "{places:?}");
    assert!((places[0] - 4.0 / 6.0).abs() < 1e-9 && (places[7] - 5.0).abs() < 1e-9, "{places:?}");

    let manifest: serde_json::Value =
        serde_json::from_str(&folder.read("out/kinds/checkpoints/best.json")).expect("JSON");
    let bits = manifest["progress"]["kept"].as_array().expect("models");
    let kept: Vec<f64> = bits.iter().map(|k| f64::from_bits(k["value"].as_u64().expect("bits"))).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(kept, values[..3]);

    let best = folder.gsc(&["infer", "shop.gsl", "--quiet"]).ok();
    assert_eq!(tested(&best.out), tested(&run.out));
    let third = folder.gsc(&["infer", "shop.gsl", "--quiet", "--kept", "3"]).ok();
    assert_ne!(tested(&third.out), tested(&run.out));
    let fourth = folder.gsc(&["infer", "shop.gsl", "--quiet", "--kept", "4"]);
    assert!(fourth.code == 1 && fourth.err.contains("has kept 3 model(s), not 4"), "{}", fourth.err);
}

#[test]
fn the_moving_average_is_what_is_tested_and_inferred() {
    let experiment = "experiment kinds on shop {
    encode item  = embedding(8)
    encode buyer = embedding(8)
    gnn          = RGCN(8)
    predict item.kind { metrics = accuracy, loss }
    sample  = neighbors(5)
    batch   = 96
    epochs  = 3
    best    = last
    average = ema(0.99)
}
";
    let folder = shop(900, experiment);
    let averaged = folder.gsc(&["run", "shop.gsl", "--quiet"]).ok();
    let again = folder.gsc(&["infer", "shop.gsl", "--quiet"]).ok();
    assert_eq!(tested(&again.out), tested(&averaged.out));
    let plain = shop(900, &experiment.replace("ema(0.99)", "none"));
    assert_ne!(tested(&plain.gsc(&["run", "shop.gsl", "--quiet"]).ok().out), tested(&averaged.out));
}

/// The tensors of a safetensors file by name, as bytes.
fn tensors(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).expect("a data file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let (header, data) = bytes[8..].split_at(length);
    let header: serde_json::Value = serde_json::from_slice(header).expect("a header");
    let entries = header.as_object().expect("an object").iter().filter(|(name, _)| *name != "__metadata__");
    let place =
        |entry: &serde_json::Value, i: usize| entry["data_offsets"][i].as_u64().expect("a place") as usize;
    entries.map(|(name, e)| (name.clone(), data[place(e, 0)..place(e, 1)].to_vec())).collect()
}

/// The parameters that a run has kept.
fn parameters(folder: &support::Folder, run: &str) -> BTreeMap<String, Vec<u8>> {
    let files =
        std::fs::read_dir(folder.at(&format!("out/{run}/checkpoints"))).expect("checkpoints").flatten();
    let is_kept = |path: &std::path::PathBuf| path.to_string_lossy().contains("best-");
    tensors(&files.map(|entry| entry.path()).find(is_kept).expect("a kept model"))
}

const TRANSFER: &str = "experiment pretrain on shop {
    encode item  = concat(size, embedding(8)) |> linear(16)
    encode buyer = embedding(16)
    gnn          = RGCN(16) >> GAT(16)
    predict item.kind { metrics = accuracy }
    sample = neighbors(5, 5)
    batch  = 96
    epochs = 2
}

experiment tuned = pretrain with {
    encode item = concat(size, embedding(8)) |> linear(16) from pretrain
    gnn         = RGCN(16) >> GAT(16) from pretrain.gnn
    freeze encode.item, gnn.1
}

experiment wide = pretrain with {
    gnn = RGCN(16) >> GAT(24, heads: 4) from pretrain.gnn
}

experiment other = pretrain with { gnn = RGCN(16) >> RGCN(16) from pretrain.gnn }
";

#[test]
fn parts_start_from_another_run_and_frozen_ones_stay() {
    let folder = shop(600, TRANSFER);
    let run = |name: &str| folder.gsc(&["run", "shop.gsl", "--quiet", "--experiment", name]);
    let early = run("tuned");
    assert_eq!(early.code, 1);
    assert!(early.err.contains("there is no run of `pretrain`"), "{}", early.err);
    assert!(early.err.contains("gsc run FILE --experiment pretrain"), "{}", early.err);

    run("pretrain").ok();
    run("tuned").ok();
    let (before, after) = (parameters(&folder, "pretrain"), parameters(&folder, "tuned"));
    let mut moved: Vec<&str> = Vec::new();
    for (name, bytes) in &before {
        let frozen = name.starts_with("param/encode.item") || name.starts_with("param/gnn.1.");
        assert!(!frozen || after[name] == *bytes, "{name} has moved");
        moved.extend((after[name] != *bytes).then_some(name.as_str()));
    }
    assert!(moved.iter().any(|name| name.starts_with("param/gnn.2.")), "{moved:?}");
    assert!(moved.iter().any(|name| name.starts_with("param/predict.")), "{moved:?}");

    let wide = run("wide");
    assert!(wide.code == 1 && wide.err.contains("in the run of `pretrain`, and "), "{}", wide.err);
    let other = run("other");
    assert!(other.code == 1 && other.err.contains("has no parameter `gnn.2."), "{}", other.err);
}

#[test]
fn what_a_run_started_from_is_part_of_what_it_is() {
    let folder = shop(600, TRANSFER);
    let run = |args: &[&str]| folder.gsc(&[&["run", "shop.gsl", "--quiet", "--experiment"], args].concat());
    run(&["pretrain"]).ok();
    run(&["tuned"]).ok();
    run(&["tuned", "--resume"]).ok();
    run(&["pretrain", "--seed", "5", "--out", "elsewhere"]).ok();
    let changed = run(&["tuned", "--resume", "--from", "pretrain=elsewhere"]);
    assert!(changed.code == 1 && changed.err.contains("belongs to another experiment"), "{}", changed.err);
}

#[test]
fn stages_follow_one_another() {
    let folder = shop(
        600,
        "experiment kinds on shop {
    encode item  = embedding(8)
    encode buyer = embedding(8)
    gnn          = RGCN(8)
    predict item.kind { metrics = accuracy }
    sample = neighbors(5)
    batch  = 96
    stop   = patience(1, on: valid.accuracy)
    stage head { train predict.item.kind; epochs = 2 }
    stage all { lr = 1e-2; epochs = 3 }
}
",
    );
    folder.gsc(&["run", "shop.gsl", "--quiet"]).ok();
    let log = folder.read("out/kinds/events.jsonl");
    let stages: Vec<(String, u64)> = events(&log, "train_stage")
        .iter()
        .map(|e| {
            (e["name"].as_str().expect("a name").to_owned(), e["parameters"].as_u64().expect("a number"))
        })
        .collect();
    assert_eq!(stages.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["head", "all"]);
    assert_eq!(stages[0].1, 8 * 4 + 4, "the head alone: {stages:?}");
    assert!(stages[1].1 > 600 * 8);
    let epochs: Vec<u64> =
        events(&log, "epoch").iter().map(|e| e["epoch"].as_u64().expect("a number")).collect();
    assert_eq!(epochs, (1..=epochs.len() as u64).collect::<Vec<_>>());
    assert!(epochs.len() > 2, "{epochs:?}");
}

#[test]
fn a_loss_that_runs_away_is_told_once() {
    let folder = shop(
        900,
        "experiment kinds on shop {
    gnn       = RGCN(8)
    predict item.kind
    optimizer = adam(lr: 1e5)
    epochs    = 6
    stop      = none
}
",
    );
    let run = folder.gsc(&["train", "shop.gsl"]).ok();
    assert_eq!(run.err.matches("lower the learning rate").count(), 1, "{}", run.err);
}
