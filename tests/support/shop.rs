//! A small shop: tables made by a fixed rule, and what its tests compare.

use super::{Folder, command};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const GRAPH: &str = r#"use std.layers.{RGCN, GAT}

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
"#;

/// A graph in which neighbours share their kind, and these experiments on it in `shop.gsl`.
pub fn shop(items: usize, experiments: &str) -> Folder {
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
        .write("shop.gsl", format!("{GRAPH}\n{experiments}"))
        .write("items.csv", rows)
        .write("near.csv", near)
        .write("bought.csv", bought);
    folder
}

/// Every file of a folder with its bytes.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("checkpoints").flatten();
    entries
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).expect("a file")))
        .collect()
}

/// Two folders have the same files with the same bytes.
pub fn assert_same(expected: &Path, found: &Path) {
    let (expected, found) = (files(expected), files(found));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
}

/// Runs `shop.gsl` once as a whole, and once killed and resumed again and again: both leave the same checkpoints.
pub fn assert_resumes(folder: &Folder, options: &[&str]) {
    let run = |out: &'static str| [&["run", "shop.gsl", "--quiet", "--out", out], options].concat();
    folder.gsc(&run("whole")).ok();
    let mut kills = 0;
    for attempt in 0..60u64 {
        let mut args = run("pieces");
        args.extend(["--checkpoint-every", "1"]);
        if folder.at("pieces/checkpoints/last.json").exists() {
            args.push("--resume");
        }
        let patience = Duration::from_millis(60 + 97 * attempt % 430 + 20 * attempt + 4 * attempt * attempt);
        if !killed(folder, &args, patience) {
            break;
        }
        kills += 1;
        assert!(attempt < 59, "never finished");
    }
    assert!(kills > 0, "the run was too short to be killed");
    assert_same(&folder.at("whole/checkpoints"), &folder.at("pieces/checkpoints"));
}

/// Runs `gsc`, and kills it if it takes longer.
fn killed(folder: &Folder, args: &[&str], patience: Duration) -> bool {
    let mut child = command(folder.path(), args).spawn().expect("gsc starts");
    let started = Instant::now();
    while started.elapsed() <= patience {
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success());
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("an end");
    true
}

/// One thread and two leave the same checkpoints.
pub fn assert_threads_agree(folder: &Folder, options: &[&str]) {
    for threads in ["1", "2"] {
        let run = ["run", "shop.gsl", "--quiet", "--threads", threads, "--out", threads];
        folder.gsc(&[&run, options].concat()).ok();
    }
    assert_same(&folder.at("1/checkpoints"), &folder.at("2/checkpoints"));
}

/// One, two and four ranks have the same losses, batch by batch, to rounding.
pub fn assert_ranks_agree(folder: &Folder, options: &[&str]) {
    let run = |ranks: &str| {
        let run = ["run", "shop.gsl", "--quiet", "--log-steps", "--ranks", ranks, "--out", ranks];
        folder.gsc(&[&run, options].concat()).ok();
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

/// The events of a kind, from the event file.
pub fn events(text: &str, kind: &str) -> Vec<serde_json::Value> {
    let values = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("a JSON line"));
    values.filter(|v| v["event"] == kind).collect()
}

/// Every batch's loss, from the event file.
pub fn losses(text: &str) -> Vec<f64> {
    events(text, "step").iter().map(|v| v["loss"].as_f64().expect("a loss")).collect()
}
