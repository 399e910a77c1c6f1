//! Damaged configurations: whatever stands where, an import ends with a message or with a file that can be read.

use super::tables::Paths;
use super::{Imported, import};
use crate::source::{Failure, SourceText};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn source(path: &str, text: String) -> SourceText {
    SourceText { path: path.into(), text }
}

/// Imports values as if they stood in files; one is shown on failure.
fn imported(schema: &Value, train: Option<&Value>) -> Result<Imported, Failure> {
    let schema = source("schema.json", schema.to_string());
    let train = train.map(|train| source("train.yaml", train.to_string()));
    let result = import(&schema, train.as_ref(), &Paths::default(), true);
    if let Err(failure) = &result {
        assert!(
            !failure.message.contains("cannot be written as GSL"),
            "{}\n{}",
            schema.text,
            failure.message
        );
    }
    result
}

/// Schema and training of every folder of tests/import that can be read.
fn cases() -> Vec<(Value, Option<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    let mut found = Vec::new();
    for case in fs::read_dir(folder).expect("tests/import").flatten() {
        let text = |name: &str| fs::read_to_string(case.path().join(name)).ok();
        let schema = text("schema.json").and_then(|text| serde_json::from_str(&text).ok());
        let train = text("train.yaml").and_then(|text| serde_saphyr::from_str(&text).ok());
        found.extend(schema.map(|schema| (schema, train)));
    }
    assert!(found.len() > 50, "{} cases", found.len());
    found
}

/// How many values there are, the whole included.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

/// The same with another value in place of the one at `at`, counted from the root.
fn replaced(value: &Value, at: &mut usize, with: &Value) -> Value {
    if *at == 0 {
        *at = usize::MAX;
        return with.clone();
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter().map(|item| replaced(item, at, with)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), replaced(item, at, with))).collect(),
        other => other.clone(),
    }
}

#[test]
fn any_value_in_any_place_is_answered() {
    let strangers = [
        json!(null),
        json!(-1),
        json!(2.5),
        json!("`x`\n"),
        json!(true),
        json!([]),
        json!({}),
        json!(["a", 1]),
    ];
    let mut imports = 0;
    for (case, (schema, train)) in cases().into_iter().enumerate() {
        let of_place = |at: usize| [0, 3].map(|more| &strangers[(case + at + more) % strangers.len()]);
        for (at, stranger) in (0..size(&schema)).flat_map(|at| of_place(at).map(|stranger| (at, stranger))) {
            let damaged = replaced(&schema, &mut at.clone(), stranger);
            imports += usize::from(imported(&damaged, train.as_ref()).is_ok());
        }
        let Some(train) = train else { continue };
        for (at, stranger) in (0..size(&train)).flat_map(|at| of_place(at).map(|stranger| (at, stranger))) {
            let damaged = replaced(&train, &mut at.clone(), stranger);
            imports += usize::from(imported(&schema, Some(&damaged)).is_ok());
        }
    }
    assert!(imports > 500, "{imports} imports of damaged files");
}

#[test]
fn any_word_can_be_a_name() {
    const WORDS: [&str; 24] = [
        "from",
        "edges",
        "join",
        "on",
        "key",
        "label",
        "split",
        "feature",
        "link",
        "reconstruct",
        "sum",
        "mean",
        "x",
        "in",
        "graph",
        "experiment",
        "predict",
        "reverse",
        "missing",
        "via",
        "by",
        "many",
        "time",
        "a-b",
    ];
    for word in WORDS {
        let label = json!({ "label_col": word, "task_type": "classification" });
        let node = json!({ "node_type": word, "format": { "name": "csv" }, "files": word, "node_id_col": word,
            "features": [{ "feature_col": word, "feature_name": "other" }], "labels": [label] });
        let edge = json!({ "relation": [word, word, word], "format": { "name": "parquet" }, "files": word,
            "source_id_col": word, "dest_id_col": word });
        let train = json!({ "gsf": { "node_classification": { "target_ntype": word, "label_field": word,
            "node_feat_name": [format!("{word}:other")] } } });
        let text = imported(&json!({ "nodes": [node], "edges": [edge] }), Some(&train)).map(|i| i.text);
        let text = text.unwrap_or_else(|failure| panic!("{word}: {}", failure.message));
        assert!(text.contains("predict"), "{text}");
    }
}
