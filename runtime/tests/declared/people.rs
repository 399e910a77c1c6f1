//! People (a, b, c, d) who know each other, with all that is declared of them.

use std::fs;
use std::path::Path;

use gsl_plan::graph::{Key as KeyColumn, *};
use gsl_runtime::construct::{BuildError, BuildReport, Scratch, construct};
use gsl_runtime::graph::Graph;

use super::{edge, node};

pub fn number(name: &str) -> FeatureExpr {
    FeatureExpr::Column { column: name.to_string(), kind: ColumnKind::Number }
}

pub fn structure(structure: Structure) -> FeatureExpr {
    FeatureExpr::Structure(structure)
}

pub fn through(transform: Transform, input: FeatureExpr) -> FeatureExpr {
    FeatureExpr::Apply { transform, input: Box::new(input) }
}

pub fn feature(name: &str, expr: FeatureExpr) -> Feature {
    Feature { name: name.to_string(), expr, storage: Storage::default(), width: None }
}

pub fn label(name: &str, kind: LabelKind, split: Split) -> Label {
    let (column, transforms) = (name.to_string(), Vec::new());
    Label {
        name: name.to_string(),
        column,
        kind,
        transforms,
        several: Several::default(),
        split: Some(split),
    }
}

pub fn random(train: f64, valid: f64, test: f64) -> Split {
    Split::Random { train, valid, test, stratified: false }
}

pub fn keyed(name: &str, file: &str, key: &str, kind: KeyKind) -> NodeType {
    let sources: &[&str] = if file.is_empty() { &[] } else { &[file] };
    let key = (!key.is_empty()).then(|| KeyColumn { column: key.into(), kind });
    NodeType { key, ..node(name, sources) }
}

/// People (a, b, c, d) who know each other.
pub fn people(knows: EdgeType) -> GraphPlan {
    GraphPlan {
        name: "people".into(),
        nodes: vec![keyed("person", "people.csv", "name", KeyKind::Text)],
        edges: vec![knows],
        seed: 5,
        graphs: None,
    }
}

pub fn knows() -> EdgeType {
    edge("knows", "knows*.csv", (0, "u"), (0, "v"))
}

pub fn write(folder: &Path, name: &str, header: &str, rows: &[&str]) {
    fs::write(folder.join(name), format!("{header}\n{}\n", rows.join("\n"))).unwrap();
}

pub fn write_lines(folder: &Path, name: &str, lines: &[&str]) {
    fs::write(folder.join(name), lines.join("\n")).unwrap();
}

pub const NAMES: &[&str] = &["a", "b", "c", "d"];
pub const KNOWS: &[&str] = &[
    "a,b,1,yes,2020-01-01,3",
    "b,b,2,no,2020-01-02,1",
    "a,b,3,,2020-01-05,2",
    "c,a,,yes,2020-01-03,1",
    "a,b,,no,2020-01-04,2",
    "d,c,5,yes,2020-01-06,1",
];

pub fn write_people(folder: &Path) {
    write(folder, "people.csv", "name", NAMES);
    write(folder, "knows.csv", "u,v,w,close,day,stars", KNOWS);
}

/// Next to no memory for anything: all of it goes through the scratch folder, if it must.
pub fn scratch(folder: &Path) -> Scratch {
    Scratch { folder: folder.join("scratch"), memory: 64 << 20 }
}

pub fn build(plan: &GraphPlan, folder: &Path) -> Result<(Graph, BuildReport), BuildError> {
    let file = folder.join("graph.h5");
    let report = construct(plan, folder, &file, &scratch(folder), &mut |_, _, _| {})?;
    Ok((Graph::open(&file)?, report))
}
