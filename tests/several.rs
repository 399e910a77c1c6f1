//! Several classes at once, from tables to probabilities; and metrics with their intervals.

mod support;

use std::fmt::Write;
use support::Folder;

const FILE: &str = r#"use std.layers.SAGE

graph shop {
    node item from "items.csv" {
        key     id
        feature size = standardize(size)
        label   tags : classes(3) = multi_hot(tags, separator: ";")
        label   sold : class = sold
        split   tags = random(train: 60%, valid: 20%, test: 20%)
        split   sold = random(train: 60%, valid: 20%, test: 20%)
    }
    edge item -near-> item from "near.csv" (src, dst) { reverse near_too }
}

experiment tags on shop {
    encode item = size |> mlp(16)
    gnn         = SAGE(16, act: relu)
    predict item.tags {
        loss    = bce(positive: balanced)
        metrics = roc_auc, f1(average: micro), f1(average: each), accuracy, ndcg, recall_at(k: 1), log_loss
    }
    predict item.sold {
        loss    = focal(alpha: 0.4)
        metrics = roc_auc, average_precision, hits_at(k: 10), precision_at_recall(recall: 0.8), calibration_error
    }
    batch     = 64
    optimizer = adam(lr: 0.02)
    epochs    = 40
    stop      = none
    write predictions of item to "out"
}

experiment focused = tags with { predict item.tags { loss = focal(gamma: 2, alpha: 0.25) } }
"#;

/// Items whose tags follow from their size, some of them unlabelled, near to others of about their size.
fn shop() -> Folder {
    let (mut items, mut near) = (String::from("id,size,tags,sold\n"), String::from("src,dst\n"));
    for i in 0..400usize {
        let size = i * 37 % 100;
        let tags: Vec<&str> = [(size > 50, "big"), (size > 30, "round"), (size < 20, "small")]
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| *name)
            .collect();
        let tags = if i % 11 == 3 { String::new() } else { tags.join(";") };
        let _ = writeln!(items, "{i},{size},{tags},{}", if size > 60 { "yes" } else { "no" });
        let _ = writeln!(near, "{i},{}\n{i},{}", (i + 100) % 400, (i + 200) % 400);
    }
    let folder = Folder::new();
    folder.write("shop.gsl", FILE).write("items.csv", items).write("near.csv", near);
    folder
}

fn run(folder: &Folder, experiment: &str, more: &[&str]) -> serde_json::Value {
    let args = [&["run", "shop.gsl", "--experiment", experiment, "--json", "--quiet"], more].concat();
    serde_json::from_str(&folder.gsc(&args).ok().out).expect("JSON")
}

#[test]
fn several_classes_are_learned_and_written_with_their_probabilities() {
    let folder = shop();
    let outcome = run(&folder, "tags", &[]);
    let [tags, sold] = [&outcome["test"][0], &outcome["test"][1]];
    for (tested, name) in [(tags, "roc_auc"), (tags, "ndcg"), (sold, "roc_auc"), (sold, "average_precision")]
    {
        let value = tested["metrics"][name].as_f64().expect("a number");
        assert!(value > 0.8, "{name} {value}");
        let interval = tested["intervals"][name].as_array().expect("an interval");
        assert!(interval[0].as_f64() <= Some(value) && Some(value) <= interval[1].as_f64());
    }
    assert_eq!(tags["by_class"]["f1_each"].as_array().map(Vec::len), Some(3));
    assert!(tags["metrics"].get("f1_each").is_none());
    let report = folder.read("out/tags/report.html");
    assert!(report.contains("f1_each") && report.contains("95% interval"));
    assert!(folder.at("out/item.tags.parquet").exists() && folder.at("out/item.sold.parquet").exists());
}

#[test]
fn ranks_judge_alike() {
    let folder = shop();
    let one = run(&folder, "focused", &["--out", "one"]);
    let two = run(&folder, "focused", &["--out", "two", "--ranks", "2"]);
    for name in ["roc_auc", "f1_micro", "log_loss"] {
        let of =
            |outcome: &serde_json::Value| outcome["test"][0]["metrics"][name].as_f64().expect("a number");
        assert!((of(&one) - of(&two)).abs() < 1e-3, "{name}: {} {}", of(&one), of(&two));
    }
}
