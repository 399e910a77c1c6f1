//! The same numbers whatever happens: killed and resumed, one thread or two, one rank or four.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use support::{Folder, command};

const FILE: &str = r#"use std.layers.{RGCN, GAT}

graph shop {
    node item from "items.csv" {
        key     id
        feature size = standardize(size)
        label   kind : class = kind
        split   kind = random(train: 60%, valid: 20%, test: 20%)
    }
    node buyer from edges
    edge buyer -bought-> item from "bought.csv" (buyer, item) { reverse bought_by }
    edge item -near-> item from "near.csv" (src, dst) { reverse near_too }
}

experiment kinds on shop {
    encode item  = concat(size, embedding(8)) |> linear(16)
    encode buyer = embedding(16)
    gnn          = RGCN(16, act: relu) >> dropout(0.3) >> GAT(16, heads: 4)
    predict item.kind { metrics = accuracy, f1(average: macro) }
    sample    = neighbors(5, 4)
    batch     = 96
    optimizer = adam(lr: 0.01, weight_decay: 1e-4, clip: 5.0), embeddings: sparse_adam(lr: 0.02)
    epochs    = 6
    stop      = patience(4, on: valid.accuracy)
    write predictions of item, embeddings of item to "out"
}
"#;

/// A graph in which neighbours share their kind, made by a fixed rule.
fn shop(items: usize) -> Folder {
    let (mut rows, mut near, mut bought) =
        (String::from("id,size,kind\n"), String::from("src,dst\n"), String::from("buyer,item\n"));
    let mut state = 12345u64;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    for i in 0..items {
        let _ = writeln!(rows, "{},{},k{}", 1000 + i, draw(50), i % 4);
        for _ in 0..3 {
            let other = draw(items / 4) * 4 + if draw(10) < 8 { i % 4 } else { draw(4) };
            let _ = writeln!(near, "{},{}", 1000 + i, 1000 + other % items);
            let _ = writeln!(bought, "b{},{}", draw(items / 6) * 4 + i % 4, 1000 + i);
        }
    }
    let folder = Folder::new();
    folder
        .write("shop.gsl", FILE)
        .write("items.csv", rows)
        .write("near.csv", near)
        .write("bought.csv", bought);
    folder
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("checkpoints").flatten();
    entries
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).expect("a file")))
        .collect()
}

fn assert_same(expected: &Path, found: &Path) {
    let (expected, found) = (files(expected), files(found));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
}

#[test]
fn killed_and_resumed_is_byte_equal_to_never_stopped() {
    let folder = shop(1600);
    folder.gsc(&["run", "shop.gsl", "--quiet", "--out", "whole"]).ok();
    let mut kills = 0;
    for attempt in 0..60u64 {
        let mut args = vec!["run", "shop.gsl", "--quiet", "--out", "pieces", "--checkpoint-every", "1"];
        if folder.at("pieces/checkpoints/last.json").exists() {
            args.push("--resume");
        }
        let mut child = command(folder.path(), &args).spawn().expect("gsc starts");
        let patience = Duration::from_millis(60 + 97 * attempt % 430);
        let started = std::time::Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break Some(status);
            }
            if started.elapsed() > patience + Duration::from_millis(20 * attempt) {
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
        kills += 1;
        assert!(attempt < 59, "never finished");
    }
    assert!(kills > 0, "the run was too short to be killed");
    assert_same(&folder.at("whole/checkpoints"), &folder.at("pieces/checkpoints"));
}

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let folder = shop(1200);
    folder.gsc(&["run", "shop.gsl", "--quiet", "--threads", "1", "--out", "one"]).ok();
    let once = std::fs::read(folder.at("out/item.kind.parquet")).expect("predictions");
    folder.gsc(&["run", "shop.gsl", "--quiet", "--threads", "2", "--out", "two"]).ok();
    assert_same(&folder.at("one/checkpoints"), &folder.at("two/checkpoints"));
    assert!(once == std::fs::read(folder.at("out/item.kind.parquet")).expect("predictions"));
}

/// Every batch's loss, from the event file.
fn losses(events: &str) -> Vec<f64> {
    let values = events.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("a JSON line"));
    values.filter(|v| v["event"] == "step").map(|v| v["loss"].as_f64().expect("a loss")).collect()
}

#[test]
fn one_two_and_four_ranks_give_the_same_losses() {
    let folder = shop(900);
    let run = |ranks: &str| {
        folder.gsc(&["run", "shop.gsl", "--quiet", "--log-steps", "--ranks", ranks, "--out", ranks]).ok();
        losses(&folder.read(&format!("{ranks}/events.jsonl")))
    };
    let one = run("1");
    assert!(one.len() >= 12, "{} steps", one.len());
    for ranks in ["2", "4"] {
        let many = run(ranks);
        assert_eq!(one.len(), many.len());
        for (step, (a, b)) in one.iter().zip(&many).enumerate() {
            assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} on one rank, {b} on {ranks}");
        }
    }
}

#[test]
fn another_seed_gives_other_numbers() {
    let folder = shop(600);
    folder.gsc(&["run", "shop.gsl", "--quiet", "--log-steps", "--out", "a"]).ok();
    folder.gsc(&["run", "shop.gsl", "--quiet", "--log-steps", "--seed", "1", "--out", "b"]).ok();
    assert_ne!(losses(&folder.read("a/events.jsonl")), losses(&folder.read("b/events.jsonl")));
}
