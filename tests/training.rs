//! How a training goes: when it is judged, what is kept, what it is judged by.

mod support;

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
