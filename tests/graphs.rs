//! Small graphs predicted from their nodes: classes, numbers, graphs without nodes, ranks, outputs.

mod support;

use std::fmt::Write;
use support::Folder;

const FILE: &str = r#"use std.layers.{GIN, SAGE}

graph molecules {
    many by molecule from "molecules.csv" {
        feature charge = charge
        label   toxic : class
        label   mass  : float
        label   holds : classes = multi_hot(holds, separator: ";")
        split   toxic = random(train: 60%, valid: 20%, test: 20%)
        split   mass  = random(train: 60%, valid: 20%, test: 20%)
        split   holds = random(train: 60%, valid: 20%, test: 20%)
    }
    node atom from "atoms.csv" {
        key     id
        feature element = one_hot(element)
        label   metal : class = metal
        split   metal = random(train: 60%, valid: 20%, test: 20%)
    }
    edge atom -bond-> atom from "bonds.csv" (a, b) { reverse bond_too }
}

experiment toxic on molecules {
    gnn = SAGE(16, act: relu)
    predict graph.toxic { readout = max }
    batch     = 32
    optimizer = adam(lr: 0.01)
    epochs    = 30
    write predictions of graph, embeddings of graph to "out"
}

experiment holds on molecules {
    encode atom = element |> linear(16)
    predict graph.holds { readout = max }
    batch     = 32
    optimizer = adam(lr: 0.01)
    epochs    = 30
    write predictions of graph.holds to "holds" as csv
}

experiment rows on molecules {
    encode atom  = element
    encode graph = charge
    gnn          = none
    predict graph.mass { readout = sum; decode = linear }
    epochs = 1
    write embeddings of graph to "rows" as csv
}

experiment quick on molecules { predict graph.toxic; epochs = 2 }

experiment attended = toxic with {
    predict graph.toxic { readout = attention(16) }
}

experiment mass on molecules {
    encode atom  = element |> linear(16)
    encode graph = charge
    predict graph.mass { readout = sum; decode = linear }
    batch     = 32
    optimizer = adam(lr: 0.03)
    epochs    = 80
    stop      = none
}

experiment both on molecules {
    encode atom = element |> linear(16)
    gnn         = dropout(0.1) >> SAGE(16, act: relu)
    predict graph.toxic { readout = gated(8) }
    predict graph.mass { readout = sum; weight = 0.5 }
    predict atom.metal { metrics = accuracy }
    batch     = 24
    epochs    = 6
    sample    = full
}
"#;

/// Molecules of three elements in chains; those with an `n` are toxic, and a mass is the sum of the atoms' and the charge. Every tenth has no atoms.
fn molecules(count: usize) -> Folder {
    let mut all = String::from("molecule,toxic,mass,charge,holds\n");
    let (mut atoms, mut bonds) = (String::from("id,molecule,element,metal\n"), String::from("a,b\n"));
    let mut state = 99u64;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    let mut id = 0;
    for molecule in 0..count {
        let size = if molecule % 10 == 3 { 0 } else { 2 + draw(6) };
        let elements: Vec<&str> = (0..size).map(|_| ["c", "c", "o", "n"][draw(4)]).collect();
        let charge = draw(3);
        let weight = |e: &&str| match *e {
            "c" => 12,
            "n" => 14,
            _ => 16,
        };
        let mass = elements.iter().map(weight).sum::<usize>() + 10 * charge;
        let toxic = if elements.contains(&"n") { "yes" } else { "no" };
        let held: Vec<&str> = ["c", "n", "o"].into_iter().filter(|e| elements.contains(e)).collect();
        let _ = writeln!(all, "m{molecule:03},{toxic},{mass},{charge},{}", held.join(";"));
        for (at, element) in elements.iter().enumerate() {
            let _ = writeln!(atoms, "{id},m{molecule:03},{element},{}", *element == "c");
            if at > 0 {
                let _ = writeln!(bonds, "{},{id}", id - 1);
            }
            id += 1;
        }
    }
    let folder = Folder::new();
    folder.write("molecules.gsl", FILE).write("molecules.csv", all);
    folder.write("atoms.csv", atoms).write("bonds.csv", bonds);
    folder
}

fn run(folder: &Folder, experiment: &str, more: &[&str]) -> serde_json::Value {
    let out = format!("out/{experiment}");
    let mut args =
        vec!["run", "molecules.gsl", "--experiment", experiment, "--quiet", "--json", "--out", &out];
    args.extend(more);
    serde_json::from_str(&folder.gsc(&args).ok().out).expect("a JSON summary")
}

fn metric(summary: &serde_json::Value, predict: usize, name: &str) -> f64 {
    summary["test"][predict]["metrics"][name].as_f64().expect("a metric")
}

#[test]
fn classes_of_graphs_are_learned_and_written_with_their_keys() {
    let folder = molecules(300);
    let summary = run(&folder, "toxic", &[]);
    assert!(metric(&summary, 0, "accuracy") > 0.95, "{summary}");
    let attended = run(&folder, "attended", &[]);
    assert!(metric(&attended, 0, "accuracy") > 0.9, "{attended}");
    assert!(folder.at("out/graph.toxic.parquet").exists());
}

#[test]
fn several_classes_of_graphs_are_learned() {
    let folder = molecules(300);
    let summary = run(&folder, "holds", &[]);
    assert!(metric(&summary, 0, "roc_auc") > 0.95, "{summary}");
    assert!(folder.read("holds/graph.holds.csv").starts_with("molecule,part,prediction,probabilities\n"));
}

#[test]
fn rows_of_graphs_are_what_their_readout_gives() {
    let folder = molecules(60);
    run(&folder, "toxic", &[]);
    assert!(folder.at("out/graph.embeddings.parquet").exists());
    run(&folder, "rows", &[]);
    let atoms = folder.read("atoms.csv");
    let of = |graph: &str, element: &str| {
        let row = |line: &&str| line.split(',').skip(1).take(2).eq([graph, element]);
        atoms.lines().filter(row).count() as f64
    };
    let charges = folder.read("molecules.csv");
    let written = folder.read("rows/graph.embeddings.csv");
    assert_eq!((written.lines().next(), written.lines().count()), (Some("molecule,embedding"), 61));
    for (row, given) in written.lines().zip(charges.lines()).skip(1) {
        let (graph, cells) = row.split_once(',').expect("two cells");
        let charge: f64 = given.split(',').nth(3).and_then(|cell| cell.parse().ok()).expect("a charge");
        let numbers = cells.trim_matches(['"', '[', ']']).split(", ").map(|x| x.parse().expect("a number"));
        let found: Vec<f64> = numbers.collect();
        assert_eq!(found, [of(graph, "c"), of(graph, "n"), of(graph, "o"), charge], "{row}");
    }
}

#[test]
fn the_smallest_experiment_on_small_graphs_runs() {
    let folder = molecules(60);
    let summary = run(&folder, "quick", &[]);
    assert!(summary["test"][0]["rows"].as_u64() > Some(4), "{summary}");
}

#[test]
fn a_graph_brings_features_of_its_own_and_one_without_nodes_counts() {
    let folder = molecules(300);
    let summary = run(&folder, "mass", &[]);
    assert!(metric(&summary, 0, "r2") > 0.98, "{summary}");
}

/// Every batch's loss, from the event file.
fn losses(events: &str) -> Vec<f64> {
    let values = events.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("a JSON line"));
    values.filter(|v| v["event"] == "step").map(|v| v["loss"].as_f64().expect("a loss")).collect()
}

#[test]
fn graphs_and_their_nodes_train_together_on_any_number_of_ranks() {
    let folder = molecules(200);
    let run = |ranks: &str| {
        let summary = run(&folder, "both", &["--ranks", ranks, "--log-steps"]);
        assert_eq!(summary["test"].as_array().map(Vec::len), Some(3), "{summary}");
        losses(&folder.read("out/both/events.jsonl"))
    };
    let one = run("1");
    assert!(one.len() >= 24, "{} steps", one.len());
    for ranks in ["2", "3"] {
        for (step, (a, b)) in one.iter().zip(&run(ranks)).enumerate() {
            assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} on one rank, {b} on {ranks}");
        }
    }
}

#[test]
fn inspection_tells_what_small_graphs_hold() {
    let folder = molecules(60);
    let told: serde_json::Value =
        serde_json::from_str(&folder.gsc(&["inspect", "molecules.gsl", "--json"]).ok().out).expect("JSON");
    let (atoms, bonds) = (folder.read("atoms.csv"), folder.read("bonds.csv"));
    let members = &told["nodes"][0]["members"];
    let all = |what: &str| members[what]["mean"].as_f64().expect("a mean") * 60.0;
    let lines = |text: &str| text.lines().count() as f64 - 1.0;
    assert!((all("nodes") - lines(&atoms)).abs() < 1e-9 && (all("edges") - lines(&bonds)).abs() < 1e-9);
    assert_eq!((&members["nodes"]["min"], &members["nodes"]["zeros"]), (&0.into(), &6.into()));
    assert!(told["nodes"][1]["members"].is_null());
    let text = folder.gsc(&["inspect", "molecules.gsl"]).ok().out;
    assert!(text.starts_with("graph molecules: 60 small graphs, "), "{text}");
    assert!(text.contains("of each small graph  min  median  mean  max  without"), "{text}");
    assert!(!text.contains("into graph"), "{text}");
}

#[test]
fn graphs_without_nodes_are_counted() {
    let ran = molecules(60).gsc(&["run", "molecules.gsl", "--experiment", "quick"]).ok();
    assert!(ran.err.contains("of `graph.toxic`, 6 graphs have no nodes"), "{}", ran.err);
}
