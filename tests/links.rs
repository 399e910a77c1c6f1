//! Edges and links, end to end: they are learned, they do not leak, and ranks and threads do not matter.

mod support;

use std::fmt::Write;
use support::Folder;

const GRAPH: &str = r#"use std.layers.RGCN

graph shop {
    node buyer from "buyers.csv" { key id }
    node item from "items.csv" { key id; feature size = standardize(size) }
    edge buyer -bought-> item from "bought.csv" (buyer, item) {
        reverse bought_by
        feature missed = candidates(missed, separator: ";")
        label stars : float = stars
        label mood  : class = mood
        split stars = random(train: 70%, valid: 15%, test: 15%)
        split mood  = random(train: 70%, valid: 15%, test: 15%)
    }
    edge item -[kind]-> item from "facts.csv" (src, dst) {}
}
"#;

/// Buyers and items in groups: a buyer buys from the own group, an item is related to the next group of the relation.
fn shop(experiments: &str) -> Folder {
    const GROUPS: usize = 8;
    let (mut buyers, mut items) = (String::from("id\n"), String::from("id,size\n"));
    let mut bought = String::from("buyer,item,stars,mood,missed\n");
    let mut facts = String::from("src,dst,kind\n");
    let mut state = 99u64;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    for i in 0..240 {
        let _ = writeln!(buyers, "b{i}");
        let _ = writeln!(items, "i{i},{}", draw(100));
        for _ in 0..6 {
            let other = draw(240 / GROUPS) * GROUPS + i % GROUPS;
            let stars = (i % GROUPS) as f64 / 2.0 + draw(10) as f64 / 20.0;
            let mut missed = Vec::new();
            while missed.len() < 6 {
                let item = draw(240);
                if item % GROUPS != i % GROUPS {
                    missed.push(format!("i{item}"));
                }
            }
            let missed = missed.join(";");
            let _ = writeln!(bought, "b{i},i{other},{stars},m{},{missed}", i % GROUPS % 3);
        }
        for fact in 0..12 {
            let relation = fact % 3;
            let other = draw(240 / GROUPS) * GROUPS + (i + relation + 1) % GROUPS;
            let _ = writeln!(facts, "i{i},i{other},r{relation}");
        }
    }
    let folder = Folder::new();
    folder
        .write("shop.gsl", format!("{GRAPH}\n{experiments}"))
        .write("buyers.csv", buyers)
        .write("items.csv", items)
        .write("bought.csv", bought)
        .write("facts.csv", facts);
    folder
}

/// A metric of the test part, by the number of the prediction.
fn metric(folder: &Folder, args: &[&str], predict: usize, name: &str) -> f64 {
    let all = [&["run", "shop.gsl", "--json", "--quiet"], args].concat();
    let ran = folder.gsc(&all).ok();
    let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
    let found = summary["test"][predict]["metrics"][name].as_f64();
    found.unwrap_or_else(|| panic!("no {name} in {summary}"))
}

const LINKS: &str = r#"
experiment links on shop {
    encode buyer = embedding(16)
    encode item = embedding(16)
    gnn = none
    predict link buyer -bought-> item {
        negatives = joint(24)
        evaluate  = mrr, hits(1, 10), amri against all, filtered
    }
    batch = 128
    epochs = 30
    optimizer = adam(lr: 0.02), embeddings: sparse_adam(lr: 0.03)
}
"#;

#[test]
fn links_are_learned() {
    let mrr = metric(&shop(LINKS), &[], 0, "mrr");
    // One of 30 items of the own group: 0.13 at best; one of all 240: 0.025.
    assert!(mrr > 0.08, "{mrr}");
}

#[test]
fn relations_of_a_family_are_learned_with_every_decoder() {
    let text = |decode: &str| {
        format!(
            "experiment facts on shop {{
    encode item = embedding(16)
    gnn = none
    predict link item -[kind]-> item {{
        decode = {decode}
        negatives = joint(32), in_batch(32), corrupt: both
        evaluate = mrr, mean_rank against uniform(100)
    }}
    batch = 96
    epochs = 40
    optimizer = adam(lr: 0.03), embeddings: sparse_adam(lr: 0.03)
}}"
        )
    };
    for decode in ["distmult", "complex", "rotate", "transe_l1"] {
        let mrr = metric(&shop(&text(decode)), &["--out", "out"], 0, "mrr");
        // At random 0.05, since 101 candidates are ranked.
        assert!(mrr > 0.1, "{decode}: {mrr}");
    }
}

#[test]
fn relations_are_judged_one_by_one() {
    let folder = shop(
        "experiment facts on shop {
    encode item = embedding(16)
    gnn = none
    predict link item -[kind]-> item { evaluate = mrr, hits(3) against all, filtered }
    epochs = 5
}",
    );
    let ran = folder.gsc(&["run", "shop.gsl", "--json", "--quiet"]).ok();
    let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
    let test = &summary["test"][0];
    let by_relation = test["by_relation"].as_object().expect("numbers by relation");
    assert_eq!(by_relation.keys().collect::<Vec<_>>(), ["r0", "r1", "r2"]);
    let rows = |of: &serde_json::Value| of["rows"].as_f64().expect("rows");
    for name in ["mrr", "hits_3"] {
        let number = |of: &serde_json::Value| of["metrics"][name].as_f64().expect("a metric");
        let sum: f64 = by_relation.values().map(|of| rows(of) * number(of)).sum();
        assert!((sum / rows(test) - number(test)).abs() < 1e-9, "{name}: {summary}");
    }
    let report = std::fs::read_to_string(folder.at("out/facts/report.html")).expect("a report");
    assert!(report.contains("By relation"));
}

#[test]
fn what_cannot_be_drawn_or_learned_is_said() {
    let links = |settings: &str| {
        let text = format!(
            "experiment links on shop {{
    encode item = embedding(4)
    gnn = none
    predict link item -[kind]-> item {{ {settings} }}
    epochs = 1
}}"
        );
        let folder = shop(&text);
        let mut facts = std::fs::read_to_string(folder.at("facts.csv")).expect("facts");
        facts = facts
            .lines()
            .map(|line| format!("{line},{}\n", if line == "src,dst,kind" { "part" } else { "train" }))
            .collect();
        folder.write("facts.csv", format!("{facts}i1,i2,rare,test\ni2,i3,r1,test\n"));
        folder
    };
    let split = "split = column(part)";
    let said = |settings: &str| {
        let ran = links(&format!("{split}\n{settings}")).gsc(&["run", "shop.gsl"]);
        (ran.code, ran.err)
    };
    let (code, text) = said("negatives = joint(300)");
    assert!(code != 0 && text.contains("300 negatives are drawn from the 240 nodes of `item`"), "{text}");
    let (code, text) = said("evaluate = mrr against uniform(241)");
    assert!(code != 0 && text.contains("against all"), "{text}");
    let (code, text) = said("negatives = joint(20, partitions: 16)");
    assert!(code != 0 && text.contains("have at most 12 partitions"), "{text}");
    let (code, text) = said("negatives = joint(20)");
    assert!(
        code == 0 && text.contains("relations without a training row cannot be learned: `rare`"),
        "{text}"
    );
}

#[test]
fn given_candidates_are_hard_negatives_and_rivals() {
    let experiment = |negatives: &str| {
        format!(
            "experiment links on shop {{
    encode buyer = embedding(16)
    encode item = embedding(16)
    gnn = none
    predict link buyer -bought-> item {{
        negatives = {negatives}, corrupt: destination
        evaluate  = mrr against candidates(missed)
    }}
    batch = 128
    epochs = 30
    optimizer = adam(lr: 0.02), embeddings: sparse_adam(lr: 0.03)
}}"
        )
    };
    for negatives in ["hard(missed, 4)", "hard(missed, 2), uniform(4)"] {
        let mrr = metric(&shop(&experiment(negatives)), &[], 0, "mrr");
        // Of seven in no order 0.37; all six are of other groups.
        assert!(mrr > 0.7, "{negatives}: {mrr}");
    }
    let few = shop(&experiment("hard(missed, 4)"));
    few.write("bought.csv", "buyer,item,stars,mood,missed\nb1,i2,1,m0,i999\n");
    let ran = few.gsc(&["run", "shop.gsl"]);
    let said = ran.err;
    assert_ne!(ran.code, 0);
    assert!(said.contains("i999"), "{said}");
}

#[test]
fn labels_of_edges_are_learned_from_their_ends() {
    let folder = shop(
        "experiment stars on shop {
    encode buyer = embedding(16)
    encode item = embedding(16)
    gnn = RGCN(16, act: relu)
    predict (buyer -bought-> item).stars
    predict (buyer -bought-> item).mood { decode = pair_mlp }
    batch = 128
    epochs = 25
    sample = full
    optimizer = adam(lr: 0.01), embeddings: sparse_adam(lr: 0.02)
}",
    );
    let r2 = metric(&folder, &[], 0, "r2");
    let accuracy = metric(&folder, &[], 1, "accuracy");
    assert!(r2 > 0.7 && accuracy > 0.8, "{r2} {accuracy}");
}

/// Every batch's loss, from the event file.
fn losses(events: &str) -> Vec<f64> {
    let values = events.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("a JSON line"));
    values.filter(|v| v["event"] == "step").map(|v| v["loss"].as_f64().expect("a loss")).collect()
}

/// Every batch's loss of a run on so many ranks, and the MRR of its test part.
fn on_ranks(folder: &Folder, ranks: &str) -> (Vec<f64>, f64) {
    let mrr = metric(folder, &["--log-steps", "--ranks", ranks, "--out", ranks], 0, "mrr");
    (losses(&folder.read(&format!("{ranks}/events.jsonl"))), mrr)
}

const TOGETHER: &str = r#"
experiment together on shop {
    encode buyer = embedding(8)
    encode item = size |> linear(8)
    gnn = RGCN(8, act: relu) >> dropout(0.2)
    predict link buyer -bought-> item {
        negatives = joint(8), in_batch(8), filtered, corrupt: both
        evaluate  = mrr against uniform(50), filtered
    }
    predict (buyer -bought-> item).stars { weight = 0.5 }
    sample = neighbors(4)
    batch = 96
    epochs = 2
}
"#;

#[test]
fn one_two_and_four_ranks_give_the_same_losses_and_metrics() {
    let folder = shop(TOGETHER);
    let (one, mrr) = on_ranks(&folder, "1");
    assert!(one.len() >= 10, "{} steps", one.len());
    for ranks in ["2", "4"] {
        let (many, other) = on_ranks(&folder, ranks);
        assert_eq!(one.len(), many.len());
        for (step, (a, b)) in one.iter().zip(&many).enumerate() {
            assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} on one rank, {b} on {ranks}");
        }
        assert!((mrr - other).abs() < 2e-3, "{mrr} {other}");
    }
}

const NEARBY: &str = r#"
experiment nearby on shop {
    encode buyer = embedding(16)
    encode item = embedding(16)
    gnn = none
    predict link buyer -bought-> item {
        negatives = joint(24, partitions: 8)
        evaluate  = mrr against all, filtered
    }
    batch = 128
    epochs = 30
    optimizer = adam(lr: 0.02), embeddings: sparse_adam(lr: 0.03)
}
"#;

/// Items of a group are spread over all partitions, so that nearby negatives tell groups apart as well.
#[test]
fn negatives_of_partitions_teach_whatever_the_ranks() {
    let folder = shop(NEARBY);
    let (one, mrr) = on_ranks(&folder, "1");
    assert!(mrr > 0.08, "{mrr}");
    let (three, _) = on_ranks(&folder, "3");
    assert_eq!(one.len(), three.len());
    // Sums in another order grow apart over the steps; the first epochs show that the draws are the same.
    for (step, (a, b)) in one.iter().zip(&three).take(20).enumerate() {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "step {step}: {a} on one rank, {b} on three");
    }
}

#[test]
fn threads_do_not_matter() {
    let folder = shop(TOGETHER);
    let run = |threads: &str| {
        folder.gsc(&["run", "shop.gsl", "--quiet", "--threads", threads, "--out", threads]).ok();
        std::fs::read(folder.at(&format!("{threads}/checkpoints/last.json"))).expect("a checkpoint")
    };
    assert_eq!(run("1"), run("2"));
}

/// Buyers without anything but their purchases: with the target edges in the messages the answer could be copied from them.
#[test]
fn target_edges_carry_no_messages() {
    let noise = r#"
experiment copied on shop {
    encode buyer = embedding(8)
    encode item = embedding(8)
    gnn = RGCN(8, act: relu)
    predict link buyer -bought-> item {
        negatives = uniform(16)
        evaluate  = mrr against all, filtered
    }
    sample = full
    batch = 128
    epochs = 6
}
"#;
    let folder = shop(noise);
    folder.gsc(&["run", "shop.gsl", "--quiet"]).ok();
    let events = folder.read("out/copied/events.jsonl");
    let best = events
        .lines()
        .filter(|l| l.contains("\"evaluated\""))
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok()?["metrics"]["mrr"].as_f64());
    // The own group is all that can be learned: 0.13.
    assert!(best.fold(0.0, f64::max) < 0.2);
}
