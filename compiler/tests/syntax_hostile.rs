//! The parser and the formatter against text that means no good: never a panic, never a hang, never a lost byte.

mod support;

use std::time::{Duration, Instant};

use gsl_compiler::diag::{codes, json, render};
use gsl_compiler::syntax::lex::lex;
use gsl_compiler::syntax::{format, parse};
use proptest::prelude::*;
use support::{folder, gsl_files, read};

const WORDS: &[&str] = &[
    "graph",
    "node",
    "edge",
    "from",
    "key",
    "feature",
    "label",
    "split",
    "experiment",
    "on",
    "predict",
    "link",
    "encode",
    "layer",
    "module",
    "weight",
    "param",
    "use",
    "sweep",
    "in",
    "x",
    "of",
    "distill",
    "into",
    "stage",
    "with",
    "without",
    "by",
    "via",
    "against",
    "write",
    "to",
    "as",
    "join",
    "edges",
    "a",
    "b",
    "h'",
    "`q r`",
    "sum",
    "softmax",
    "mean",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "=",
    ":",
    ",",
    ";",
    ".",
    "..",
    "|>",
    ">>",
    "+",
    "-",
    "*",
    "/",
    "@",
    "^",
    "<",
    ">=",
    "==",
    "->",
    "-r->",
    "-[r]->",
    "1",
    "2.5e-3",
    "80%",
    "30 days",
    "\"s\"",
    "\"open",
    "'",
    "\\",
    "\u{1}",
    "§",
    "// c\n",
    "/// d\n",
    "\n",
    "\n",
    "\n    ",
    " ",
    " ",
];

/// Everything that has to hold for every text.
fn survives(source: &str) {
    let started = Instant::now();
    let tokens = lex(source);
    assert_eq!(tokens.iter().map(|t| t.text(source)).collect::<String>(), source);
    let parsed = parse(source);
    for diagnostic in &parsed.diagnostics {
        for (span, _) in &diagnostic.labels {
            assert!(span.start <= span.end && span.end as usize <= source.len() + 1, "{diagnostic:?}");
        }
    }
    let few = &parsed.diagnostics[..parsed.diagnostics.len().min(8)];
    render(few, "x.gsl", source, false);
    json(few, "x.gsl", source);
    match format(source) {
        Ok(text) => assert_eq!(format(&text).as_deref(), Ok(text.as_str()), "not idempotent on {source:?}"),
        Err(diagnostics) => assert!(!diagnostics.is_empty()),
    }
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(source in "\\PC{0,200}") {
        survives(&source);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_tokens(words in prop::collection::vec(prop::sample::select(WORDS), 0..120)) {
        survives(&words.join(" "));
        survives(&words.concat());
    }

    #[test]
    fn any_edit_of_an_example(file in any::<prop::sample::Index>(), edits in prop::collection::vec(edit(), 1..6)) {
        let files = gsl_files(&folder("syntax"));
        let mut source = read(&files[file.index(files.len())]);
        for (at, drop, word) in edits {
            apply(&mut source, at, drop, word);
        }
        survives(&source);
    }
}

fn edit() -> impl Strategy<Value = (prop::sample::Index, usize, &'static str)> {
    (any::<prop::sample::Index>(), 0usize..12, prop::sample::select(WORDS))
}

fn apply(source: &mut String, at: prop::sample::Index, drop: usize, word: &str) {
    let places: Vec<usize> = source.char_indices().map(|(i, _)| i).collect();
    let Some(first) = (!places.is_empty()).then(|| at.index(places.len())) else { return };
    let end = places.get(first + drop).copied().unwrap_or(source.len());
    source.replace_range(places[first]..end, word);
}

/// Run on a small stack, so that recursion shows.
fn on_a_small_stack(source: String) -> Vec<codes::Code> {
    let run = move || parse(&source).diagnostics.iter().map(|d| d.code).collect();
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread starts");
    thread.join().expect("no overflow")
}

#[test]
fn depth_is_limited() {
    let n = 20_000;
    let nested = [
        format!("param p = {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("param p = {}", "(".repeat(n)),
        format!("param p = {}1{}", "f(".repeat(n), ")".repeat(n)),
        format!("param p = {}", "[".repeat(n)),
        format!("experiment e on g {}", "{".repeat(n)),
        format!("experiment e on g {{ {} }}", "a { ".repeat(n)),
        format!("param p = {}1", "-".repeat(n)),
        format!("param p = {}1", "- ".repeat(n)),
        format!("param p = {}1", "sum[r] ".repeat(n)),
        format!("param p = {}1", "1 ^ ".repeat(n)),
        format!("param p = {}1", "1 + ".repeat(n)),
        format!("param p = f{}", "(1)".repeat(n)),
        format!("param p = f{}", ".a".repeat(n)),
        format!("param p = {}1", "< ".repeat(n)),
        format!("experiment e on g {{ f{} }}", "(1)".repeat(n)),
    ];
    for source in nested {
        let start = source[..40].to_owned();
        let found = on_a_small_stack(source);
        assert!(found.contains(&codes::SYNTAX_TOO_DEEP), "{start}: {found:?}");
    }
}

#[test]
fn hostile_repetition_is_survived() {
    let n = 8_000;
    for piece in [
        "{]",
        "{)",
        "\"(",
        "`(",
        "({",
        "}",
        ")",
        "(\n",
        "{\n",
        "sum[r](",
        "\"\\\"",
        "-[",
        "graph g {\n",
        "a = (\n",
        "predict ",
        "/",
        "''",
        "reconstruct ",
    ] {
        for head in ["", "graph g {\n", "experiment e on g {\n a = ", "layer L(out: dim) { h'[v] = "] {
            let started = Instant::now();
            on_a_small_stack(format!("{head}{}", piece.repeat(n)));
            let took = started.elapsed();
            assert!(took < Duration::from_secs(20), "{head:?} and {n} times {piece:?} took {took:?}");
        }
    }
}

#[test]
fn too_large_is_said() {
    let source = " ".repeat(gsl_compiler::syntax::MAX_BYTES);
    assert_eq!(parse(&source).diagnostics[0].code, codes::SYNTAX_TOO_LARGE);
}

#[test]
fn ten_thousand_lines_parse_quickly() {
    let mut source = String::new();
    let example = read(&folder("syntax").join("sections.gsl"));
    while source.lines().count() < 10_000 {
        source.push_str(&example);
    }
    let started = Instant::now();
    let parsed = parse(&source);
    println!("{} lines parsed in {:?}", source.lines().count(), started.elapsed());
    assert!(parsed.diagnostics.is_empty());
}
