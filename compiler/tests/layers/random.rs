//! Random bodies: checking never panics, and what it passes lowers to a program that verifies.

use gsl_compiler::diag::codes;
use proptest::prelude::*;

use super::world::all_mistakes;

fn atom() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "h[v]",
        "h[u]",
        "h",
        "z[v]",
        "z[u]",
        "z",
        "e",
        "e[u -> v]",
        "m",
        "m[u -r-> v]",
        "W",
        "W[r]",
        "S",
        "K",
        "K[u]",
        "K[t]",
        "a",
        "b",
        "c",
        "out",
        "in",
        "heads",
        "2",
        "0.5",
        "0",
        "rate",
        "deg(v)",
        "deg(u)",
        "e.weight",
        "e.kind",
        "e.none",
        "x",
        "r",
        "h'",
    ])
    .prop_map(str::to_owned)
}

pub fn expression() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/", "@", ".", "^"]);
        let function = prop::sample::select(vec![
            "exp",
            "sigmoid",
            "relu",
            "sqrt",
            "sum",
            "mean",
            "max",
            "softmax",
            "act",
            "layer_norm",
            "linear(out)",
            "linear(heads)",
            "stop_gradient",
            "-",
            "nothing",
        ]);
        let range = prop::sample::select(vec![
            "sum[u -> v]",
            "mean[u -> v]",
            "max[u -> v]",
            "sum[u -r-> v]",
            "mean[u -r-> v]",
            "softmax[u -> v]",
            "softmax[u -r-> v]",
            "sum[r]",
            "mean[r]",
            "max[r]",
            "sum[heads]",
            "mean[out]",
            "max[heads]",
            "softmax[heads]",
            "min[in]",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (function, inner.clone()).prop_map(|(f, x)| format!("{f}({x})")),
            (range, inner.clone()).prop_map(|(f, x)| format!("({f} ({x}))")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("concat({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max({a}, {b})")),
            inner.clone().prop_map(|a| format!("dropout({a}, rate)")),
            inner.prop_map(|a| format!("leaky_relu({a}, 0.2)")),
        ]
    })
}

pub fn layer(lines: &[(&str, &String)]) -> String {
    let equations: String = lines.iter().map(|(target, value)| format!("    {target} = {value}\n")).collect();
    format!(
        "layer Any(heads: int = 2, out: dim = 4, rate: float = 0.25, act: activation = tanh) {{
    weight W[r] : in x heads x (out / heads) (bases: 2)
    weight S : out x out
    weight K[t] : in x out
    weight a : heads x (out / heads)
    weight b : out = zeros
    weight c : heads
{equations}}}
layer Call = Any()
"
    )
}

/// Half of the time the value is brought to a form that fits its place.
fn shaped(value: &str, how: u8, place: &str) -> String {
    match (how % 4, place) {
        (0, _) => value.to_owned(),
        (1, "z") => format!("h[v] @ K + sum({value})"),
        (2, "z") => format!("tanh(h[v] @ K) * {value}"),
        (1, "m") => format!("(h[u] @ W[r]) * {value}"),
        (1, "e") => format!("(a . (h[u] @ K[u])) + {value}"),
        (_, "out") => format!("sum[u -> v] softmax[u -> v](e) * ({value}) + b"),
        _ => format!("sigmoid({value})"),
    }
}

/// Layers of four equations: on nodes, on the edges of a relation, on edges, and the output.
pub fn bodies() -> impl Strategy<Value = String> {
    let four = (expression(), expression(), expression(), expression());
    (four, any::<[u8; 4]>()).prop_map(|((z, m, e, out), how)| {
        let (z, m) = (shaped(&z, how[0], "z"), shaped(&m, how[1], "m"));
        let (e, out) = (shaped(&e, how[2], "e"), shaped(&out, how[3], "out"));
        layer(&[("z[v]", &z), ("m[u -r-> v]", &m), ("e[u -> v]", &e), ("h'[v]", &out)])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bodies_are_checked_and_lowered(source in bodies()) {
        let found = all_mistakes(&source);
        let fault = found.iter().find(|d| d.code == codes::LAYER_LOWERING || d.code.area() == "syntax");
        prop_assert!(fault.is_none(), "{}\n{:?}", source, fault);
    }
}

#[test]
fn some_random_bodies_are_right() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut right = 0;
    for _ in 0..400 {
        let value = expression().new_tree(&mut runner).expect("a tree").current();
        let out = format!("sum({value}) * b");
        let found = all_mistakes(&layer(&[("h'[v]", &out)]));
        right += usize::from(!found.iter().any(|d| d.is_error()));
    }
    assert!(right > 10, "only {right} of 400 random bodies are right: the test tests nothing");
}

#[test]
fn bodies_however_long_and_deep_are_survived() {
    let long = vec!["h[v]"; 3000].join(" + ");
    let nested = format!("{}h[v]{}", "tanh(".repeat(60), ")".repeat(60));
    let doubled: String =
        (1..70).map(|i| format!("    a{i}[v] = concat(a{}, a{})\n", i - 1, i - 1)).collect();
    let power: String = (1..200).map(|i| format!("    a{i}[v] = a{} * a{}\n", i - 1, i - 1)).collect();
    for (body, last) in
        [(String::new(), long.as_str()), (String::new(), &nested), (doubled, "a69"), (power, "a199")]
    {
        let source =
            format!("layer L() {{\n    a0[v] = h[v]\n{body}    h'[v] = {last} + a0\n}}\nlayer M = L()\n");
        let found = all_mistakes(&source);
        assert!(found.iter().all(|d| d.code != codes::LAYER_LOWERING), "{found:?}");
    }
}
