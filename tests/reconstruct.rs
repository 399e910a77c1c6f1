//! Features as targets, alone and beside tasks of nodes, edges and links.

mod support;

use std::fmt::Write;
use support::Folder;

const GRAPH: &str = r#"use std.layers.{RGCN, SAGE}

graph shop {
    node item from "items.csv" {
        key     id
        feature size   = size
        feature double = size * 2
        feature shape  = concat(a, b)
        label   kind : class
        split   kind = random(train: 60%, valid: 20%, test: 20%)
    }
    node buyer from edges
    edge item -near-> item from "near.csv" (src, dst) {
        reverse near_too
        feature weight = weight
        label   close : class
        split   close = random(train: 60%, valid: 20%, test: 20%)
    }
    edge buyer -bought-> item from "bought.csv" (buyer, item) { reverse bought_by }
}
"#;

/// Items in a ring of groups: a group has one shape and one kind, and an edge weighs by the kinds of its ends.
fn shop(experiments: &str) -> Folder {
    let (items, kinds) = (240, 4);
    let mut rows = String::from("id,size,a,b,kind\n");
    let (mut near, mut bought) = (String::from("src,dst,weight,close\n"), String::from("buyer,item\n"));
    for i in 0..items {
        let kind = i % kinds;
        let _ = writeln!(rows, "i{i},{},{},{},k{kind}", i % 17, kind as f64 / 2.0 - 1.0, 1.0 - kind as f64);
        for step in [1, 2, 4, 8] {
            let other = (i + step) % items;
            let weight = (kind + other % kinds) as f64 / 4.0;
            let _ = writeln!(near, "i{i},i{other},{weight},{}", step > 2);
        }
        let _ = writeln!(bought, "b{},i{i}", i % (2 * kinds));
    }
    let folder = Folder::new();
    folder.write("shop.gsl", format!("{GRAPH}{experiments}"));
    folder.write("items.csv", rows).write("near.csv", near).write("bought.csv", bought);
    folder
}

fn run(folder: &Folder, experiment: &str) -> serde_json::Value {
    let args = ["run", "shop.gsl", "--experiment", experiment, "--quiet", "--json", "--out", "out"];
    serde_json::from_str(&folder.gsc(&args).ok().out).expect("a JSON summary")
}

fn metric(summary: &serde_json::Value, predict: usize, name: &str) -> f64 {
    summary["test"][predict]["metrics"][name].as_f64().expect("a metric")
}

const ALONE: &str = r#"
experiment shapes on shop {
    encode item  = embedding(16)
    encode buyer = embedding(16)
    gnn          = SAGE(16, act: relu)
    predict reconstruct item.shape { split = random(train: 70%, valid: 10%, test: 20%) }
    epochs    = 40
    batch     = 64
    optimizer = adam(lr: 0.01), embeddings: sparse_adam(lr: 0.02)
}

experiment weights on shop {
    encode item = shape |> linear(16, act: relu)
    predict reconstruct (item -near-> item).weight {
        split   = random(train: 70%, valid: 10%, test: 20%)
        metrics = rmse, r2
    }
    write predictions of (item -near-> item).weight to "weights" as csv
    epochs    = 30
    batch     = 128
    optimizer = adam(lr: 0.01)
}

experiment quick on shop {
    predict reconstruct item.size
    epochs = 2
    write predictions of item.size to "sizes" as csv
}

experiment judged = shapes with {
    epochs = 1
    write predictions of item to "shapes" as npy
}
"#;

#[test]
fn features_of_nodes_are_told_from_their_neighbours() {
    let folder = shop(ALONE);
    let summary = run(&folder, "shapes");
    assert!(metric(&summary, 0, "rmse") < 0.75, "the values have a deviation of 0.88: {summary}");
}

#[test]
fn features_of_edges_are_told_from_their_ends() {
    let folder = shop(ALONE);
    let summary = run(&folder, "weights");
    assert!(metric(&summary, 0, "r2") > 0.95, "{summary}");
}

#[test]
fn all_rows_train_and_the_answer_is_no_input() {
    let folder = shop(ALONE);
    let summary = run(&folder, "quick");
    assert_eq!(summary["test"].as_array().map(Vec::len), Some(0), "no row is in the test part: {summary}");
    let shown = folder.gsc(&["explain", "shop.gsl", "--experiment", "quick", "--defaults"]).ok().out;
    assert!(shown.contains("encode item  = shape |> linear"), "{shown}");
}

#[test]
fn what_is_reconstructed_is_written_with_keys_and_parts() {
    let folder = shop(ALONE);
    run(&folder, "quick");
    let sizes = folder.read("sizes/item.size.reconstructed.csv");
    let rows: Vec<&str> = sizes.lines().collect();
    assert_eq!((rows[0], rows.len()), ("id,part,prediction", 241));
    assert!(rows[1].starts_with("i0,train,\"[") && rows[1].ends_with("]\""), "{}", rows[1]);

    let summary = run(&folder, "judged");
    let metrics = summary["test"][0]["metrics"].as_object().expect("metrics");
    assert!(["rmse", "mae", "r2"].iter().all(|name| metrics.contains_key(*name)), "{summary}");
    let matrix = std::fs::read(folder.at("shapes/item.shape.reconstructed.npy")).expect("a matrix");
    assert!(String::from_utf8_lossy(&matrix[..128]).contains("'shape': (240, 2)"));

    let summary = run(&folder, "weights");
    let text = folder.read("weights/item-near-item.weight.reconstructed.csv");
    let cell = |line: &str, at: usize| line.split(',').nth(at).expect("a cell").to_owned();
    let table = folder.read("near.csv");
    let stored: Vec<&str> = table.lines().skip(1).collect();
    let (mut squared, mut tested) = (0.0, 0);
    for line in text.lines().skip(1).filter(|line| cell(line, 3) == "test") {
        let row: usize = cell(line, 2).parse().expect("a row");
        let weight: f64 = cell(stored[row], 2).parse().expect("a weight");
        let found: f64 = cell(line, 4).trim_matches(['"', '[', ']']).parse().expect("a number");
        squared += (weight - found).powi(2);
        tested += 1;
    }
    let rmse = (squared / f64::from(tested)).sqrt();
    assert!((rmse - metric(&summary, 0, "rmse")).abs() < 1e-5, "{rmse}: {summary}");
}

const TOGETHER: &str = r#"
experiment together on shop {
    encode item  = concat(shape, embedding(8)) |> linear(16)
    encode buyer = embedding(16)
    gnn          = RGCN(16, act: relu) >> dropout(0.1)

    predict item.kind { metrics = accuracy }
    predict (item -near-> item).close { metrics = f1(average: macro); weight = 0.5 }
    predict link buyer -bought-> item {
        split    = random(train: 80%, valid: 10%, test: 10%)
        evaluate = mrr, hits(3) against uniform(8), filtered
        weight   = 0.2
    }
    predict reconstruct item.size { split = random(train: 50%, test: 50%); weight = 0.1; metrics = mae }
    predict reconstruct (item -near-> item).weight { metrics = rmse; weight = 0.3 }

    batch     = 128
    epochs    = 12
    optimizer = adam(lr: 0.01)
    stop      = patience(12, on: valid.kind.accuracy)
    best      = valid.kind.accuracy
}
"#;

#[test]
fn five_tasks_train_together_each_with_its_split_weight_and_metrics() {
    let folder = shop(TOGETHER);
    let summary = run(&folder, "together");
    let tested = summary["test"].as_array().expect("tested predictions");
    let names: Vec<&str> = tested.iter().filter_map(|t| t["predict"].as_str()).collect();
    let expected =
        ["item.kind", "(item -near-> item).close", "link buyer -bought-> item", "reconstruct item.size"];
    assert_eq!(names, expected, "the last one has no test part");
    assert!(metric(&summary, 0, "accuracy") > 0.9, "{summary}");
    for (at, name) in ["accuracy", "f1_macro", "mrr", "mae"].into_iter().enumerate() {
        assert!(metric(&summary, at, name).is_finite());
    }
}
