//! examples/billion at a thousandth and at a hundredth of its size: the built graph holds each edge and each number that the
//! maker's functions say, and nothing else.

mod support;

use billion_tables::graph::RandomGraph;
use billion_tables::tables::Keys;
use billion_tables::{Recipe, make};
use gsl_runtime::graph::{Graph, Key};
use gsl_runtime::view::GraphView;
use support::{Folder, root};

const WHOLE: Recipe =
    Recipe { nodes: 10_000_000, edges: 1_000_000_000, features: 64, keys: Keys::Int, seed: 1 };

/// A folder with the example's own file and the tables of a recipe.
fn made(recipe: &Recipe) -> Folder {
    let folder = Folder::new();
    let file = std::fs::read(root().join("examples/billion/billion.gsl")).expect("the example");
    folder.write("billion.gsl", file);
    make(recipe, 3, &folder.at("data")).expect("tables");
    folder
}

fn of_size(divisor: u64, keys: Keys) -> Recipe {
    Recipe { nodes: WHOLE.nodes / divisor, edges: WHOLE.edges / divisor, keys, ..WHOLE }
}

fn build(folder: &Folder) -> Graph {
    let built = folder.gsc(&["build", "billion.gsl", "--cache", "cache"]).ok();
    let printed = built.out.trim().replace("FOLDER", &folder.path().display().to_string());
    Graph::open(&folder.at(&printed)).expect("a graph")
}

/// Ids are in the order of the keys, which is the order of the numbers in them.
fn expect(graph: &Graph, recipe: &Recipe) {
    let random = RandomGraph::new(recipe.seed, recipe.nodes, recipe.features as usize);
    assert_eq!(graph.node_count(0) as u64, recipe.nodes);
    expect_edges(graph, &random, recipe.edges);
    expect_nodes(graph, &random, recipe);
}

fn expect_edges(graph: &Graph, random: &RandomGraph, edges: u64) {
    let numbers = |(src, dst)| (random.number(dst) as u32, random.number(src) as u32);
    let mut expected: Vec<(u32, u32)> = (0..edges).map(|e| numbers(random.edge(e))).collect();
    expected.sort_unstable();
    let csc = graph.csc(0);
    let into = |v: usize| csc.src[csc.indptr[v] as usize..csc.indptr[v + 1] as usize].iter();
    let found = (0..graph.node_count(0)).flat_map(|v| into(v).map(move |&u| (v as u32, u)));
    assert!(found.eq(expected), "other edges");
}

fn expect_nodes(graph: &Graph, random: &RandomGraph, recipe: &Recipe) {
    let (features, labels) = (graph.node_feature(0, 0), graph.label(0, 0));
    let mut expected = Vec::new();
    for rank in 0..recipe.nodes {
        let id = random.number(rank) as usize;
        let key = match graph.key(0, id as u32) {
            Key::Text(key) => key.to_string(),
            Key::Int(key) => key.to_string(),
            Key::Row(row) => panic!("row {row} has no key"),
        };
        let digits = if recipe.keys == Keys::Text { format!("user-{id:015}") } else { id.to_string() };
        assert_eq!(key, digits);
        expected.clear();
        random.features(rank, &mut expected);
        assert_eq!(features.row(id), expected, "features of {key}");
        assert_eq!(labels[id], random.label(rank) as f32, "label of {key}");
    }
}

#[test]
fn a_thousandth_is_built_as_it_was_made() {
    for keys in [Keys::Int, Keys::Text] {
        let recipe = of_size(1_000, keys);
        let folder = made(&recipe);
        expect(&build(&folder), &recipe);
    }
}

#[test]
fn sparse_keys_give_as_many_edges() {
    let recipe = of_size(10_000, Keys::Sparse);
    let folder = made(&recipe);
    let graph = build(&folder);
    assert_eq!((graph.node_count(0), graph.csc(0).src.len()), (1_000, 100_000));
}

#[test]
fn long_a_hundredth_is_built_as_it_was_made() {
    let recipe = of_size(100, Keys::Int);
    let folder = made(&recipe);
    expect(&build(&folder), &recipe);
}

#[test]
fn long_a_hundredth_is_learned() {
    let folder = made(&of_size(100, Keys::Int));
    let ran = folder.gsc(&["run", "billion.gsl", "--quiet", "--json"]).ok();
    let summary: serde_json::Value = serde_json::from_str(&ran.out).expect("a JSON summary");
    let accuracy = summary["test"][0]["metrics"]["accuracy"].as_f64().expect("an accuracy");
    assert!(accuracy > 0.8, "{accuracy}; one in sixteen is chance, 0.906 the most");
}
