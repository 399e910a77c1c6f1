//! One graph in all four storages: trained, inferred and explained.

mod support;

use std::fmt::Write;
use support::Folder;

/// Items of three kinds that their numbers tell apart, and edges mostly within a kind.
fn items(storage: Option<&str>) -> Folder {
    let stated = storage.map_or(String::new(), |storage| format!(": {storage} "));
    let (mut rows, mut near) = (String::from("id,a,b,c,kind\n"), String::from("src,dst,far\n"));
    let mut state = 99u64;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    for i in 0..900 {
        let kind = i % 3;
        let noise = |draw: usize| draw as f64 / 500.0 - 1.0;
        let (a, b, c) = (noise(draw(1000)), noise(draw(1000)) + kind as f64, 40.0 * noise(draw(1000)));
        let _ = writeln!(rows, "{i},{a},{b},{c},k{kind}");
        for _ in 0..4 {
            let other = draw(300) * 3 + if draw(10) < 7 { kind } else { draw(3) };
            let _ = writeln!(near, "{i},{other},{}", noise(draw(1000)));
        }
    }
    let file = format!(
        r#"use std.layers.{{SAGE, GAT}}

graph items {{
    node item from "items.csv" {{
        key     id
        feature vec {stated}= concat(a, b, c)
        label   kind : class = kind
        split   kind = random(train: 60%, valid: 20%, test: 20%)
    }}
    edge item -near-> item from "near.csv" (src, dst) {{
        reverse near_too
        feature far {stated}= far
    }}
}}

layer Weighed(out: dim) {{
    weight W : in x out
    weight S : in x out

    h'[v] = relu(sum[u -> v] e.far * (h[u] @ W) + h[v] @ S)
}}

experiment kinds on items {{
    encode item = vec
    gnn         = Weighed(8) >> SAGE(8, act: relu)
    predict item.kind
    sample      = neighbors(5, 5)
    batch       = 90
    epochs      = 5
    write predictions of item to "out"
}}
"#
    );
    let folder = Folder::new();
    folder.write("items.gsl", &file).write("items.csv", rows).write("near.csv", near);
    folder
}

/// Every batch's loss, from the event file.
fn losses(events: &str) -> Vec<f64> {
    let values = events.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("a JSON line"));
    values.filter(|v| v["event"] == "step").map(|v| v["loss"].as_f64().expect("a loss")).collect()
}

/// Storages, and how far the losses may be from those of 32 bits.
const STORAGES: [(&str, f64); 3] = [("float16", 5e-3), ("bfloat16", 3e-2), ("int8", 3e-2)];

#[test]
fn all_storages_train_to_close_losses() {
    let run = |storage: Option<&str>| {
        let folder = items(storage);
        folder.gsc(&["run", "items.gsl", "--quiet", "--log-steps", "--out", "run"]).ok();
        losses(&folder.read("run/events.jsonl"))
    };
    let wide = run(None);
    assert!(wide.len() >= 25 && wide[wide.len() - 1] < 0.8 * wide[0], "{wide:?}");
    for (storage, tolerance) in STORAGES {
        let narrow = run(Some(storage));
        assert_eq!(wide.len(), narrow.len());
        assert_ne!(wide, narrow, "{storage} is rounded");
        for (step, (a, b)) in wide.iter().zip(&narrow).enumerate() {
            assert!((a - b).abs() <= tolerance * a.abs(), "{storage}, step {step}: {b} for {a}");
        }
    }
}

#[test]
fn narrow_rows_give_the_same_bytes_on_one_thread_and_two() {
    for (storage, _) in STORAGES {
        let folder = items(Some(storage));
        let run = |threads: &str| {
            folder.gsc(&["run", "items.gsl", "--quiet", "--threads", threads, "--out", threads]).ok();
            let kept =
                std::fs::read_dir(folder.at(threads).join("checkpoints")).expect("checkpoints").flatten();
            let mut files: Vec<_> =
                kept.map(|f| (f.file_name(), std::fs::read(f.path()).expect("a checkpoint"))).collect();
            files.sort();
            (files, std::fs::read(folder.at("out/item.kind.parquet")).expect("predictions"))
        };
        assert!(run("1") == run("2"), "{storage}");
    }
}

#[test]
fn explanations_count_the_bytes_of_the_storage() {
    let folder = items(Some("int8"));
    let shown = folder.gsc(&["explain", "items.gsl"]).ok().out;
    assert!(shown.contains("vec[3]:int8"), "{shown}");
}
