//! A graph of four papers and three authors, and layers run on it.

use std::collections::BTreeMap;

use gsl_compiler::diag::{Diagnostic, Diagnostics};
use gsl_compiler::layers::*;
use gsl_compiler::syntax::ast::{self, Expr, Item, LayerBody, LayerKind};
use gsl_compiler::syntax::parse;
use gsl_plan::graph::{FeatureFacts, GraphFacts, NodeFacts, RelationFacts};
use gsl_plan::interpret::{Bindings, Edge, Matrix, interpret};
use gsl_plan::program::{Domain, Op, Role, ValueId};
use gsl_plan::verify::verify;

pub const LAYERS: &str = include_str!("../../../stdlib/layers.gsl");
pub const MODULES: &str = include_str!("../../../stdlib/modules.gsl");

pub const PAPER: u32 = 0;
pub const AUTHOR: u32 = 1;
/// Width of what comes in.
pub const IN: usize = 6;
/// Nodes within hop 0 and hop 1, by type.
const COUNTS: [[usize; 2]; 2] = [[3, 4], [2, 3]];
/// Ends of `writes`, `written_by` and `cites`.
const ENDS: [(usize, usize); 3] = [(1, 0), (0, 1), (0, 0)];
/// (source, destination) of the edges into nodes of hop 0. Paper 1 has no author, paper 2 cites nothing.
pub const EDGES: [&[(usize, usize)]; 3] =
    [&[(0, 0), (1, 0), (2, 0), (1, 2)], &[(0, 0), (0, 1), (3, 1)], &[(1, 0), (3, 1), (0, 1), (2, 1)]];

pub fn facts() -> GraphFacts {
    let node = |name: &str, count| NodeFacts { name: name.into(), count, ..NodeFacts::default() };
    let weight = FeatureFacts { name: "weight".into(), width: 1, ..FeatureFacts::default() };
    let kind = FeatureFacts { name: "kind".into(), width: 2, ..FeatureFacts::default() };
    let size = |width| FeatureFacts { name: "size".into(), width, ..FeatureFacts::default() };
    let relation = |name: &str, i: usize, features: &[&FeatureFacts]| RelationFacts {
        name: name.into(),
        src: ENDS[i].0,
        dst: ENDS[i].1,
        edges: EDGES[i].len() as u64,
        reverse_of: (i == 1).then_some(0),
        declared_by: i,
        features: features.iter().map(|f| (*f).clone()).collect(),
        ..RelationFacts::default()
    };
    GraphFacts {
        nodes: vec![node("paper", 4), node("author", 3)],
        relations: vec![
            relation("writes", 0, &[&weight, &kind, &size(1)]),
            relation("written_by", 1, &[&weight, &kind, &size(1)]),
            relation("cites", 2, &[&weight, &size(2)]),
        ],
    }
}

/// Numbers in −1 .. 1 that look random and are the same every time.
pub fn numbers(seed: usize, count: usize) -> Vec<f64> {
    let mut state = seed as u64 * 7919 + 12345;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1u64 << 31) as f64 * 2.0 - 1.0
    };
    (0..count).map(|_| (next() * 1e4).round() / 1e4).collect()
}

pub fn input(ty: u32) -> Vec<Vec<f64>> {
    numbers(ty as usize + 1, COUNTS[ty as usize][1] * IN).chunks(IN).map(<[f64]>::to_vec).collect()
}

/// A number per edge of a relation, in the order of [`EDGES`].
pub fn weights(rel: usize) -> Vec<f64> {
    numbers(50 + rel, EDGES[rel].len())
}

fn bindings() -> Bindings {
    let pairs: Vec<Vec<(usize, usize)>> = EDGES.iter().map(|e| e.to_vec()).collect();
    let ends: Vec<(u32, u32)> = ENDS.iter().map(|(s, d)| (*s as u32, *d as u32)).collect();
    let mut bindings = Bindings::whole(&[4, 3], &pairs, &ends, 1);
    bindings.counts = COUNTS.iter().map(|c| c.to_vec()).collect();
    for (rel, pairs) in EDGES.iter().enumerate() {
        let mut list: Vec<Edge> =
            pairs.iter().enumerate().map(|(id, &(src, dst))| Edge { src, dst, id }).collect();
        list.sort_by_key(|e| e.dst);
        bindings.edges.insert((rel as u32, 0), list);
        let column = weights(rel).into_iter().map(|w| vec![w]).collect::<Vec<_>>();
        bindings.edge_features.insert((rel as u32, 0), Matrix::from_rows(&column));
        let kinds: Vec<Vec<f64>> =
            numbers(70 + rel, 2 * pairs.len()).chunks(2).map(<[f64]>::to_vec).collect();
        bindings.edge_features.insert((rel as u32, 1), Matrix::from_rows(&kinds));
    }
    for ty in [PAPER, AUTHOR] {
        bindings.hidden.insert(ty, Matrix::from_rows(&input(ty)));
    }
    bindings
}

pub fn layers_of(file: &ast::File) -> impl Iterator<Item = &ast::Layer> {
    file.items.iter().filter_map(|item| match item {
        Item::Layer(layer) => Some(layer),
        _ => None,
    })
}

/// The modules of the standard library and of `file`.
fn scope<'a>(std: &'a ast::File, file: &'a ast::File) -> Scope<'a> {
    let modules = layers_of(std).chain(layers_of(file)).filter(|l| l.kind == LayerKind::Module);
    let modules = modules.map(|l| (l.name.text.clone(), Declared { decl: l, file: None })).collect();
    Scope { values: BTreeMap::new(), modules }
}

/// What is wrong with the layers of a file, and with the calls `layer NAME = LAYER(…)` in it on the graph of papers.
pub fn all_mistakes(source: &str) -> Vec<Diagnostic> {
    let (std_layers, std_modules) = (parse(LAYERS).file, parse(MODULES).file);
    let parsed = parse(source);
    let scope = scope(&std_modules, &parsed.file);
    let mut found = Diagnostics::new();
    found.extend(parsed.diagnostics.clone());
    for layer in layers_of(&parsed.file) {
        found.extend(check_layer(&Declared { decl: layer, file: None }, &scope));
    }
    if found.has_errors() {
        return found.into_sorted();
    }
    for call in calls(&parsed.file) {
        let lowered = lower_call(call, &[&parsed.file, &std_layers], &scope, Mode::Train, &facts());
        found.extend(lowered.err().into_iter().flatten());
    }
    found.into_sorted()
}

fn calls(file: &ast::File) -> impl Iterator<Item = &Expr> {
    layers_of(file).filter_map(|l| match &l.body {
        LayerBody::Alias(call) => Some(call),
        LayerBody::Block(_) => None,
    })
}

/// Both node types as they come out of a layer, or the papers as they come out of a module.
fn lower_call(
    call: &Expr,
    files: &[&ast::File],
    scope: &Scope,
    mode: Mode,
    facts: &GraphFacts,
) -> Result<(Outcome, Rows), Vec<Diagnostic>> {
    let (name, args) = call.as_call().expect("a call of a layer");
    let modules = scope.modules.values().map(|m| m.decl);
    let layer = files.iter().flat_map(|f| layers_of(f)).chain(modules).find(|l| l.name.text == name);
    let layer = Declared { decl: layer.unwrap_or_else(|| panic!("no layer {name}")), file: None };
    let args = call_args(&layer, args, call.span, scope)?;
    let mut cx = LowerCx::new(facts, mode);
    let wanted = [PAPER, AUTHOR];
    let mut rows = Rows::new();
    for ty in wanted {
        let domain = Domain::Nodes { ty, hop: 1 };
        rows.insert(ty, cx.builder.push(Op::Hidden, &[], domain, &[IN]).expect("a leaf"));
    }
    let call = LayerCall { layer, args, prefix: "gnn.1".into(), span: call.span };
    let out = match call.layer.decl.kind {
        LayerKind::Layer => lower_layer(&mut cx, &call, scope, &rows, 0, &wanted)?,
        LayerKind::Decoder => unreachable!("decoders are tested with pairs"),
        LayerKind::Module => Rows::from([(PAPER, lower_module(&mut cx, &call, scope, rows[&PAPER])?)]),
    };
    for (ty, value) in &out {
        cx.builder.output(Role::Hidden { ty: *ty }, *value);
    }
    verify(&cx.builder.program, &cx.builder.signature).expect("a well-formed program");
    let outcome = Outcome {
        program: cx.builder.program.clone(),
        signature: cx.builder.signature.clone(),
        params: cx.params.clone(),
    };
    Ok((outcome, out))
}

pub struct Outcome {
    pub program: gsl_plan::program::Program,
    pub signature: gsl_plan::program::Signature,
    pub params: Vec<gsl_plan::plan::Param>,
}

/// The last `layer NAME = LAYER(…)` of the source, lowered.
pub fn lowered(source: &str, mode: Mode) -> Result<(Outcome, Rows), Vec<Diagnostic>> {
    lowered_on(source, mode, &facts())
}

fn lowered_on(source: &str, mode: Mode, facts: &GraphFacts) -> Result<(Outcome, Rows), Vec<Diagnostic>> {
    let (std_layers, std_modules) = (parse(LAYERS).file, parse(MODULES).file);
    let parsed = parse(source);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let scope = scope(&std_modules, &parsed.file);
    let call = calls(&parsed.file).last().expect("a call");
    lower_call(call, &[&parsed.file, &std_layers], &scope, mode, facts)
}

/// What the last call of the source computes.
pub struct Run {
    /// By node type.
    pub out: BTreeMap<u32, Matrix>,
    params: BTreeMap<String, Vec<f64>>,
}

impl Run {
    pub fn param(&self, name: &str) -> &[f64] {
        let known: Vec<_> = self.params.keys().collect();
        self.params.get(name).unwrap_or_else(|| panic!("no parameter {name} among {known:?}"))
    }

    /// Compares with `expected`, a row per node within hop 0.
    pub fn check(&self, ty: u32, expected: impl Fn(usize) -> Vec<f64>) {
        let out = &self.out[&ty];
        for row in 0..out.rows {
            let expected = expected(row);
            assert_eq!(out.width, expected.len(), "width");
            for (c, want) in expected.iter().enumerate() {
                let got = out.at(row, c);
                assert!(
                    (got - want).abs() < 1e-5,
                    "node {row} of type {ty}, column {c}: {got}, expected {want}"
                );
            }
        }
    }
}

pub fn run(source: &str) -> Run {
    run_on(source, &facts())
}

/// On a graph with fewer relations.
pub fn run_on(source: &str, facts: &GraphFacts) -> Run {
    let (outcome, rows) = lowered_on(source, Mode::Train, facts).unwrap_or_else(|d| panic!("{d:?}"));
    let bindings = bind(&outcome);
    let names = outcome.params.iter().map(|p| p.name.clone());
    let params = names.zip(bindings.params.iter().cloned()).collect();
    let values = interpret(&outcome.program, &outcome.signature, &bindings).expect("it runs");
    let out = rows.into_iter().map(|(ty, v): (u32, ValueId)| (ty, values[v.index()].clone())).collect();
    Run { out, params }
}

/// The graph, and a value for every parameter.
pub fn bind(outcome: &Outcome) -> Bindings {
    let mut bindings = bindings();
    let values = outcome.params.iter().enumerate().map(|(i, p)| numbers(100 + i, p.shape.iter().product()));
    bindings.params = values.collect();
    bindings
}
