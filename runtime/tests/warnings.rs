//! What a build tells of a graph that it has made all the same.

mod declared;

use std::fs;

use declared::people::*;
use declared::{edge, source};
use gsl_plan::graph::*;

#[test]
fn words_that_name_no_part_are_counted_of_edges() {
    let folder = tempfile::tempdir().unwrap();
    let ends: Vec<String> = (0..40)
        .map(|i| format!("{},{},{},{i}", i % 5, i / 8, ["train", "dev", "valid", "test"][i % 4]))
        .collect();
    fs::write(folder.path().join("ends.csv"), format!("a,b,part,stars\n{}\n", ends.join("\n"))).unwrap();
    let mut near = edge("near", "ends.csv", (0, "a"), (0, "b"));
    near.labels.push(label("stars", LabelKind::Float, Split::Column { column: "part".into() }));
    let mut nodes = vec![keyed("item", "", "", KeyKind::Int)];
    nodes[0].key = None;
    let plan = GraphPlan { name: "g".into(), nodes, edges: vec![near], seed: 0, graphs: None };
    let (_, report) = build(&plan, folder.path()).unwrap();
    let said = "split of label `stars` of `near`: column `part` has `dev` in 10 rows, which names no part: \
                train, valid (val), test";
    assert!(report.warnings.iter().any(|warning| warning == said), "{:?}", report.warnings);
}

#[test]
fn whole_numbers_that_a_float_cannot_hold_are_told() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    write(folder.path(), "people.csv", "name,born,seen", &["a,16777217,1", "b,16777219,2"]);
    write(folder.path(), "knows.csv", "u,v", &["a,b"]);
    let mut plan = people(knows());
    let standard = through(Transform::Standardize, number("born"));
    plan.nodes[0].features =
        vec![feature("born", number("born")), feature("seen", number("seen")), feature("z", standard)];
    let (_, report) = build(&plan, folder.path()).unwrap();
    let told: Vec<&String> = report.warnings.iter().filter(|warning| warning.contains("24 bits")).collect();
    assert!(told.len() == 1 && told[0].contains("`born` of `person`"), "{told:?}");
}

#[test]
fn parts_without_rows_and_joins_without_matches_are_told() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    write(folder.path(), "ages.csv", "name,age", &["A,1", "B,2"]);
    let later = Bound { compare: Compare::Greater, value: Scalar::Number(2030.0) };
    let earlier = Bound { compare: Compare::LessEqual, value: Scalar::Text("2020-01-03".into()) };
    let bounds = [vec![earlier], Vec::new(), vec![later]];
    let [train, valid, test] = bounds;
    let mut knows = knows();
    knows.labels.push(label(
        "stars",
        LabelKind::Float,
        Split::By { column: "day".into(), train, valid, test },
    ));
    let mut plan = people(knows);
    plan.nodes[0].sources.push(source("ages.csv"));
    plan.nodes[0].features.push(feature("age", through(Transform::Fill(Fill::Constant(0.0)), number("age"))));
    let (_, report) = build(&plan, folder.path()).unwrap();
    assert!(!report.warnings.iter().any(|warning| warning.contains("24 bits")));
    for said in [
        "no row of `ages.csv` has the key of a `person`: what is read of it is missing for all of them",
        "`knows.stars` has no validation rows",
        "`knows.stars` has no test rows: nothing will be tested",
    ] {
        assert!(report.warnings.iter().any(|warning| warning == said), "{said}: {:?}", report.warnings);
    }
}
