//! The parser and the formatter over whole files.

mod support;

use gsl_compiler::diag::{Diagnostic, render};
use gsl_compiler::syntax::ast::{Expr, ExprKind, Item, Param, Stmt};
use gsl_compiler::syntax::lex::lex;
use gsl_compiler::syntax::{format, parse};

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

/// The tree without spans.
fn shape(source: &str) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|name, _| name != "span" && name != "op_span");
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut tree = serde_json::to_value(parse(source).file).expect("a tree is plain data");
    strip(&mut tree);
    tree
}

/// The comments of a source, in order.
fn comments(source: &str) -> Vec<&str> {
    lex(source).into_iter().filter(|t| t.is_comment()).map(|t| t.text(source)).collect()
}

#[test]
fn formatting_keeps_the_tree_and_the_comments_and_is_done_once() {
    for path in gsl_files(&folder("syntax")).into_iter().chain(gsl_files(&folder("format"))) {
        let source = read(&path);
        let once = format(&source).unwrap_or_else(|d| panic!("{}: {d:?}", path.display()));
        assert_eq!(shape(&source), shape(&once), "{}", path.display());
        assert_eq!(comments(&source), comments(&once), "{}", path.display());
        assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "{}", path.display());
    }
}

#[test]
fn formatting_keeps_the_trees_of_the_library_and_the_examples() {
    let root = folder("../..");
    let folders = [
        "stdlib",
        "examples/debian",
        "examples/films",
        "examples/own_layer",
        "tests/conformance",
        "compiler/tests/good",
    ];
    for path in folders.iter().map(|f| root.join(f)).filter(|f| f.is_dir()).flat_map(|f| gsl_files(&f)) {
        let source = read(&path);
        let once = format(&source).unwrap_or_else(|d| panic!("{}: {d:?}", path.display()));
        assert_eq!(shape(&source), shape(&once), "{}", path.display());
        assert_eq!(comments(&source), comments(&once), "{}", path.display());
        assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "{}", path.display());
    }
}

#[test]
fn layout_is_as_recorded() {
    let mut differing = Vec::new();
    for path in gsl_files(&folder("syntax")).into_iter().chain(gsl_files(&folder("format"))) {
        let text = format(&read(&path)).unwrap_or_default();
        differing.extend(support::compare(&path.with_extension("gsl.fmt"), &text));
    }
    assert!(differing.is_empty(), "{}\nrun again with UPDATE=1 to accept", differing.join("\n"));
}

#[test]
fn what_does_not_parse_is_not_formatted() {
    assert!(format("experiment e on g { lr = }").is_err());
}

/// The names whose span does not show their text.
fn misplaced_names(value: &Value, source: &str, found: &mut Vec<String>) {
    if let (Some(text), Some(span)) = (value["text"].as_str(), value.get("span")) {
        let at = |end: &str| span[end].as_u64().unwrap_or(0) as usize;
        let shown = source.get(at("start")..at("end")).unwrap_or("");
        if shown.trim_matches('`') != text && !shown.starts_with("//") {
            found.push(format!("{text} at {shown:?}"));
        }
    }
    for (_, inner) in children(value) {
        misplaced_names(inner, source, found);
    }
}

#[test]
fn spans_show_what_they_are_of() {
    for path in gsl_files(&folder("syntax")) {
        let source = read(&path);
        let tree = serde_json::to_value(parse(&source).file).expect("a tree is plain data");
        let mut found = Vec::new();
        misplaced_names(&tree, &source, &mut found);
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[test]
fn good_statements_are_kept_between_bad_ones() {
    let parsed = parse(&read(&folder("bad/syntax").join("slips.gsl")));
    let names: Vec<&str> =
        parsed.file.items.iter().filter_map(|i| i.name()).map(|n| n.text.as_str()).collect();
    assert_eq!(names, ["lr", "g", "e", "s"]);
    let Some(Item::Experiment(experiment)) =
        parsed.file.items.iter().find(|i| matches!(i, Item::Experiment(_)))
    else {
        panic!("no experiment");
    };
    let settings: Vec<(&str, bool)> = experiment
        .body
        .iter()
        .filter_map(|s| match s {
            Stmt::Setting(s) => Some((s.name.text.as_str(), s.value.iter().any(|a| a.value.is_bad()))),
            _ => None,
        })
        .collect();
    let kept = ["path", "seed"];
    assert!(kept.iter().all(|name| settings.contains(&(name, false))), "{settings:?}");
    let marked = ["optimizer", "stop", "sample", "hidden", "wide"];
    assert!(marked.iter().all(|name| settings.contains(&(name, true))), "{settings:?}");
    assert!(["first", "s", "heads", "L"].iter().any(|name| parsed.lost.iter().any(|l| l.text == *name)));
}

#[test]
fn a_missing_brace_does_not_take_the_next_item() {
    let parsed = parse(&read(&folder("bad/syntax").join("missing_brace.gsl")));
    let names: Vec<&str> =
        parsed.file.items.iter().filter_map(|i| i.name()).map(|n| n.text.as_str()).collect();
    assert_eq!(names, ["g", "e", "f", "h"]);
}

/// An expression with all of its parentheses.
fn grouped(text: &str) -> String {
    let parsed = parse(&format!("param p = {text}"));
    assert!(parsed.diagnostics.is_empty(), "{text}: {:?}", parsed.diagnostics);
    match parsed.file.items.as_slice() {
        [Item::Param(Param { value: Some(value), .. })] => parenthesised(value),
        other => panic!("{text}: {other:?}"),
    }
}

fn parenthesised(expr: &Expr) -> String {
    let p = parenthesised;
    match &expr.kind {
        ExprKind::Name(name) => name.clone(),
        ExprKind::Number(number) => number.value.to_string(),
        ExprKind::Unary { operand, .. } => format!("(-{})", p(operand)),
        ExprKind::Binary { op, left, right, .. } => format!("({} {} {})", p(left), op.symbol(), p(right)),
        ExprKind::Pipe { value, stage } => format!("({} |> {})", p(value), p(stage)),
        ExprKind::Compose { first, then } => format!("({} >> {})", p(first), p(then)),
        ExprKind::Range { low, high } => format!("({} .. {})", p(low), p(high)),
        ExprKind::Reduce { op, body, .. } => format!("{}<{}>", op.name(), p(body)),
        ExprKind::Section { op, right } => format!("({} {})", op.symbol(), p(right)),
        ExprKind::Field { base, name } => format!("{}.{name}", p(base)),
        ExprKind::Index { base, .. } => format!("{}[]", p(base)),
        ExprKind::From { value, run } => format!("({} from {})", p(value), run.text()),
        ExprKind::Via { value, relation } => format!("({} via {relation})", p(value)),
        ExprKind::Call { callee, args } => {
            let args: Vec<String> = args.iter().map(|a| p(&a.value)).collect();
            format!("{}({})", p(callee), args.join(", "))
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn operators_bind_as_the_grammar_says() {
    let cases = [
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("-x ^ 2 ^ n * y", "((-(x ^ (2 ^ n))) * y)"),
        ("a |> f(x) |> g", "((a |> f(x)) |> g)"),
        ("2 * A >> B >> C from run.gnn", "((((2 * A) >> B) >> C) from run.gnn)"),
        ("x + y |> f", "((x + y) |> f)"),
        ("1e-4 .. 1e-2 * 2", "(0.0001 .. (0.01 * 2))"),
        ("sum[u -> v] softmax[u -> v](e) * z[u] + b", "(sum<(softmax<e> * z[])> + b)"),
        ("sum[r] mean[u -r-> v] (h[u] @ W[r]) + h[v] @ S", "(sum<mean<(h[] @ W[])>> + (h[] @ S))"),
        ("aL . z[u] * c / d", "(((aL . z[]) * c) / d)"),
        ("e.weight * a.b", "(e.weight * a.b)"),
        ("(x) via r * 2", "((x via r) * 2)"),
        ("< 2018", "(< 2018)"),
        (">= a + 1", "(>= (a + 1))"),
        ("a - -1 - 2", "((a - (-1)) - 2)"),
        ("f(a)(b)[v].c", "f(a)(b)[].c"),
        ("a\n    |> f\n    // between\n    |> g", "((a |> f) |> g)"),
        ("max(a, b) + sum", "(max(a, b) + sum)"),
    ];
    for (text, expected) in cases {
        assert_eq!(grouped(text), expected, "{text}");
    }
}

#[test]
fn numbers_carry_their_units() {
    let number = |text: &str| match &parse(&format!("param p = {text}")).file.items[..] {
        [Item::Param(Param { value: Some(Expr { kind: ExprKind::Number(n), .. }), .. })] => n.clone(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(number("80%").scaled(), 0.8);
    assert_eq!(number("30 days").scaled(), 30.0 * 86_400.0);
    assert_eq!(number("64 GiB").scaled(), 64.0 * 1024f64.powi(3));
    assert_eq!(number("5 MB").scaled(), 5e6);
    assert_eq!(number("250 ms").scaled(), 0.25);
    assert_eq!(number("1_000_000").int, Some(1_000_000));
    assert_eq!(number("1e-2").int, None);
}

#[test]
fn documentation_belongs_to_what_follows_it() {
    let source =
        "//! file\n//! more\n\n/// lost\n\n/// of a\n/// and more\nparam a = 1 /// trailing\nparam b = 2\n";
    let file = parse(source).file;
    assert_eq!(file.doc.map(|d| d.text).as_deref(), Some("file\nmore"));
    let docs: Vec<Option<String>> = file
        .items
        .iter()
        .map(|i| match i {
            Item::Param(p) => p.doc.as_ref().map(|d| d.text.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(docs, [Some("of a\nand more".to_owned()), None]);
}

#[test]
fn line_endings_and_byte_order_marks_change_nothing() {
    let source = read(&folder("syntax").join("sections.gsl"));
    let windows = format!("\u{FEFF}{}", source.replace('\n', "\r\n"));
    assert_eq!(shape(&source), shape(&windows));
    assert_eq!(format(&source), format(&windows));
}
