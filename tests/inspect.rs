//! `gsc inspect` and the graph file, of tests/inspect/small.gsl: what is told is what the tables say, in every form.

mod support;

use serde_json::{Value, json};
use std::process::Command;
use support::{Folder, command, compare, root};

fn folder() -> Folder {
    let folder = Folder::new();
    for name in ["small.gsl", "items.csv", "shops.csv", "near.csv", "sold.csv", "bought.csv"] {
        folder.write(name, std::fs::read(root().join("tests/inspect").join(name)).expect("a file"));
    }
    folder
}

fn inspection(folder: &Folder, args: &[&str]) -> Value {
    let ran = folder.gsc(&[&["inspect", "small.gsl", "--json"], args].concat()).ok();
    serde_json::from_str(&ran.out).expect("JSON")
}

#[test]
fn json_says_what_the_tables_say() {
    let told = inspection(&folder(), &["--graph", "small"]);
    assert_eq!(told["structure"], 1);
    let [item, shop, user] = [0, 1, 2].map(|i| &told["nodes"][i]);
    assert_eq!(item["key"], json!({ "kind": "text", "column": "id" }));
    assert_eq!([&shop["key"]["kind"], &user["key"]["kind"]], ["row", "int"]);
    assert_eq!([&item["count"], &item["isolated"], &shop["isolated"]], [8, 2, 1]);

    let size = &item["features"][0];
    assert_eq!([&size["min"], &size["max"], &size["mean"]], [0.0, 7.0, 26.0 / 8.0]);
    assert_eq!(
        (&size["missing"], &size["missing_share"], &size["zeros"]),
        (&json!(1), &json!(0.125), &json!(0.25))
    );
    let vector = &shop["features"][0];
    assert_eq!((&vector["width"], &vector["mean"]), (&json!(3), &json!(15.0 / 9.0)));

    let (kind, price) = (&item["labels"][0], &item["labels"][1]);
    assert_eq!(kind["split"], "column(fold)");
    assert_eq!(
        kind["classes"],
        json!([
            { "name": "blue", "parts": [0, 2, 0, 1] },
            { "name": "red", "parts": [0, 2, 2, 0] },
        ])
    );
    assert_eq!((&kind["unlabelled"], &price["unlabelled"]), (&json!(1), &json!(1)));
    assert_eq!([&price["distribution"]["min"], &price["distribution"]["max"]], [0.0, 17.5]);
    assert_eq!(price["distribution"]["bins"].as_array().map(Vec::len), Some(16));

    let near = &told["relations"][0];
    let counts = ["edges", "parallel", "self_loops", "dropped_src", "dropped_dst"].map(|field| &near[field]);
    assert_eq!(counts, [5, 1, 1, 1, 0]);
    assert_eq!(near["incoming"]["histogram"], json!([4, 3, 1]));
    assert_eq!(near["outgoing"]["histogram"], json!([4, 3, 1]));
    assert_eq!(
        (&near["features"][0]["name"], &near["features"][0]["mean"]),
        (&json!("km"), &json!(7.0 / 5.0))
    );
    let reverse = &told["relations"][1];
    assert_eq!((&reverse["reverse_of"], &reverse["dropped_src"]), (&json!("near"), &json!(0)));
    let bought = &told["relations"][3];
    assert_eq!([&bought["outgoing"]["max"], &bought["outgoing"]["min"]], [2, 1]);

    let sizes: u64 =
        told["sizes"].as_array().expect("sizes").iter().map(|s| s["bytes"].as_u64().unwrap_or(0)).sum();
    assert_eq!(told["bytes"], sizes);
    assert_eq!(told["sources"].as_array().map(Vec::len), Some(5));
}

/// What `--help`s of other programs read is described in docs/inspect.md: every field stands there.
#[test]
fn every_field_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/inspect.md")).expect("docs/inspect.md");
    let mut missing = Vec::new();
    fields(&inspection(&folder(), &["--graph", "small"]), &mut |name| {
        if !page.contains(&format!("`{name}`")) {
            missing.push(name.to_string());
        }
    });
    assert_eq!(missing, Vec::<String>::new());
}

fn fields(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            each(name);
            fields(value, each);
        }),
        Value::Array(items) => items.iter().for_each(|item| fields(item, each)),
        _ => {}
    }
}

#[test]
fn the_terminal_shows_tables() {
    let folder = folder();
    let text = folder.gsc(&["inspect", "small.gsl", "--graph", "small"]).ok().out;
    // Sizes of the format, times and the name of the file are not the graph's.
    let (tables, _) = text.split_once("\nparts of the file").expect("sizes");
    let (_, tables) = tables.split_once("\n\n").expect("tables");
    compare("inspect.small", tables);
}

#[test]
fn a_graph_file_and_a_page_tell_the_same() {
    let folder = folder();
    let file = folder.gsc(&["build", "small.gsl", "--graph", "small"]).ok().out.trim().replace("FOLDER/", "");
    let of_file = folder.gsc(&["inspect", &file, "--json"]).ok().out;
    let of_file: Value = serde_json::from_str(&of_file).expect("JSON");
    assert_eq!(of_file["nodes"], inspection(&folder, &["--graph", "small"])["nodes"]);
    folder.gsc(&["inspect", "small.gsl", "--graph", "small", "--html", "page.html"]).ok();
    let page = folder.read("page.html");
    for text in ["Graph: small", "item -near-&gt; item", "Label: item.kind", "<svg", "shop.vector"] {
        assert!(page.contains(text), "no {text}");
    }
    assert!(!page.contains("<script"));
}

#[test]
fn a_graph_is_chosen_by_name_or_by_experiment() {
    let folder = folder();
    for (name, args) in
        [("several", vec!["build", "small.gsl"]), ("unknown", vec!["build", "small.gsl", "--graph", "smal"])]
    {
        let ran = folder.gsc(&args);
        assert_eq!(ran.code, 1, "{}", ran.err);
        compare(&format!("graph.{name}"), &ran.transcript());
    }
    folder.gsc(&["build", "small.gsl", "--graph", "bare"]).ok();
    let both = folder.read("small.gsl") + "experiment quick on bare { predict item.kind }\n";
    folder.write("small.gsl", both);
    assert_eq!(inspection(&folder, &[])["graph"], "bare");
    assert_eq!(inspection(&folder, &["--experiment", "quick"])["graph"], "bare");
    assert_eq!(inspection(&folder, &["--graph", "small"])["graph"], "small");
}

/// The report of a run shows the graph.
#[test]
fn the_report_has_the_graph() {
    let folder = folder();
    let text = folder.read("small.gsl") + "experiment quick on small { predict item.price\n epochs = 1 }\n";
    folder.write("small.gsl", text);
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    let page = folder.read("out/quick/report.html");
    assert!(page.contains("Graph: small") && page.contains("Label: item.price"), "{page}");
}

/// h5py reads the file as docs/graph-file.md describes it. Skipped in a word where python3 has no h5py.
/// A graph with what the other one lacks: times, small graphs, candidates.
const MANY: &str = r#"
graph many {
    many by molecule
    node atom from "atoms.csv" {
        key  id
        time day
    }
    edge atom -bond-> atom from "bonds.csv" (a, b) {
        time day
        feature hard = candidates(others, separator: ";")
    }
}
"#;

#[test]
fn h5py_finds_what_is_documented() {
    let has_h5py = Command::new("python3").args(["-c", "import h5py"]).output();
    if !has_h5py.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 with h5py is not here (pip install h5py)");
        return;
    }
    let folder = folder();
    let bytes = [("feature vector =", "feature vector : int8 ="), ("feature km =", "feature km : int8 =")];
    let text = bytes.iter().fold(folder.read("small.gsl"), |text, (from, to)| text.replace(from, to));
    folder.write("bytes.gsl", text);
    folder.write("many.gsl", MANY);
    folder.write("atoms.csv", "id,molecule,day\n1,w,2020-01-01\n2,w,2020-01-02\n3,s,2020-01-03\n");
    folder.write("bonds.csv", "a,b,day,others\n1,2,2020-01-01,1;2\n2,1,2020-01-02,2\n");
    let graph = |file: &str, name: &str| {
        let built = command(folder.path(), &["build", file, "--graph", name]).output().expect("gsc starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        String::from_utf8(built.stdout).expect("UTF-8").trim().to_string()
    };
    let checked = Command::new("python3")
        .arg(root().join("tests/inspect/check.py"))
        .args([graph("bytes.gsl", "small"), graph("many.gsl", "many")])
        .arg(root().join("docs/graph-file.md"))
        .current_dir(folder.path())
        .output()
        .expect("python3 starts");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
