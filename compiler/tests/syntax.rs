//! The parser and the formatter over whole files.

mod support;

use gsl_compiler::diag::{Diagnostic, render};
use gsl_compiler::syntax::parse;

use serde_json::Value;
use support::{folder, gsl_files, read};

#[test]
fn every_form_of_the_language_parses() {
    for path in gsl_files(&folder("syntax")) {
        let source = read(&path);
        let parsed = parse(&source);
        let shown = render(&parsed.diagnostics, &path.display().to_string(), &source, false);
        assert!(parsed.diagnostics.is_empty(), "{shown}");
    }
}

#[test]
fn trees_are_as_recorded() {
    let mut differing = Vec::new();
    for path in gsl_files(&folder("syntax")) {
        let parsed = parse(&read(&path));
        let tree = serde_json::to_value(&parsed.file).expect("a tree is plain data");
        differing.extend(support::compare(&path.with_extension("gsl.tree"), &outline(&tree, 0)));
    }
    assert!(differing.is_empty(), "{}\nrun again with UPDATE=1 to accept", differing.join("\n"));
}

/// A tree as nested lists, without spans and without what is empty, broken where it gets long.
fn outline(value: &Value, indent: usize) -> String {
    if let Value::Object(map) = value
        && map.contains_key("kind")
        && map.keys().all(|k| k == "kind" || k == "span")
    {
        return outline(&map["kind"], indent);
    }
    let flat = flat(value);
    if flat.len() + indent <= 110 {
        return format!("{:indent$}{flat}\n", "");
    }
    let mut text = String::new();
    for (name, inner) in children(value) {
        match inner {
            _ if is_empty(inner) => {}
            Value::Object(_) | Value::Array(_) => {
                text += &if name.is_empty() { String::new() } else { format!("{:indent$}{name}\n", "") };
                text += &outline(inner, indent + 2);
            }
            _ => text += &format!("{:indent$}{name} {}\n", "", self::flat(inner)),
        }
    }
    text
}

fn children(value: &Value) -> Vec<(&str, &Value)> {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(k, _)| *k != "span" && *k != "op_span")
            .map(|(k, v)| (k.as_str(), v))
            .collect(),
        Value::Array(list) => list.iter().map(|v| ("", v)).collect(),
        _ => Vec::new(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn flat(value: &Value) -> String {
    match value {
        Value::Object(map) if map.len() == 2 && map.contains_key("text") => {
            map["text"].as_str().unwrap_or("").to_owned()
        }
        Value::Object(map) if map.len() == 2 && map.contains_key("kind") => flat(&map["kind"]),
        Value::Object(_) => {
            let inner: Vec<String> = children(value)
                .iter()
                .filter(|(_, v)| !is_empty(v))
                .map(|(k, v)| format!("{k} {}", flat(v)))
                .collect();
            format!("({})", inner.join(" "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(flat).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

fn syntax_only(source: &str, _: &std::path::Path) -> Vec<Diagnostic> {
    parse(source).diagnostics
}

#[test]
fn mistakes_are_explained_as_recorded() {
    support::transcripts(&folder("bad/syntax"), syntax_only);
}
