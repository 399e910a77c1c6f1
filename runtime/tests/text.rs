//! Features of texts in a graph: what the model says of each row, whatever table it stands in.
#![cfg(feature = "text")]

mod declared;
#[path = "../text/tests/text/tiny.rs"]
#[allow(dead_code)]
mod tiny;

use std::fs;
use std::path::Path;

use declared::node;
use gsl_plan::graph::*;
use gsl_runtime::construct::{BuildError, Scratch, construct, construct_like, content_key};
use gsl_runtime::graph::Graph;
use gsl_runtime::view::GraphView;

const TEXTS: [&str; 6] = [
    "graph node",
    "the sum of the edges",
    "graph node",
    "",
    "learning graphs, learning nodes and more",
    "cake",
];

fn scratch() -> Scratch {
    Scratch { folder: std::env::temp_dir(), memory: 1 << 30 }
}

fn on_text(name: &str, transform: TextTransform) -> Feature {
    let column = FeatureExpr::Column { column: "words".into(), kind: ColumnKind::Text };
    let expr = FeatureExpr::Apply { transform: Transform::Text(transform), input: Box::new(column) };
    Feature { name: name.into(), expr, storage: Storage::default(), width: None }
}

fn plan(features: Vec<Feature>) -> GraphPlan {
    let key = Some(Key { column: "id".into(), kind: KeyKind::Int });
    let paper = NodeType { key, features, ..node("paper", &["papers*.csv"]) };
    GraphPlan { name: "papers".into(), nodes: vec![paper], edges: Vec::new(), seed: 0, graphs: None }
}

fn all_features() -> Vec<Feature> {
    let model = || "model".to_string();
    let embed = |length, pool| TextTransform::Embed { model: model(), length, pool, width: tiny::HIDDEN };
    let scaled = on_text("scaled", embed(8, Pool::Cls));
    vec![
        on_text("tokens", TextTransform::Tokens { model: model(), length: 6 }),
        on_text("embed", embed(8, Pool::Mean)),
        on_text("bag", TextTransform::BagOfWords { columns: 16 }),
        on_text("tfidf", TextTransform::Tfidf { words: 4 }),
        Feature {
            expr: FeatureExpr::Apply { transform: Transform::Standardize, input: Box::new(scaled.expr) },
            ..scaled
        },
    ]
}

/// Row 6 has no text at all; that of row 3 is empty.
fn write_papers(folder: &Path, order: &[usize], file: &str) {
    let cell = |row: usize| match row {
        6 => String::new(),
        row => format!("\"{}\"", TEXTS[row]),
    };
    let rows: Vec<String> = order.iter().map(|&row| format!("{row},{}", cell(row))).collect();
    fs::write(folder.join(file), format!("id,words\n{}\n", rows.join("\n"))).unwrap();
}

fn folder_with_model() -> tempfile::TempDir {
    let (folder, _) = tiny::model(tiny::Kind::Bert);
    let all = tempfile::tempdir().unwrap();
    fs::create_dir(all.path().join("model")).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), all.path().join("model").join(entry.file_name())).unwrap();
    }
    all
}

fn built(folder: &Path, plan: &GraphPlan) -> Graph {
    let file = folder.join("graph.h5");
    construct(plan, folder, &file, &scratch(), &mut |_, _, _| {}).unwrap();
    Graph::open(&file).unwrap()
}

fn numbers(graph: &Graph) -> Vec<Vec<f32>> {
    (0..graph.facts().nodes[0].features.len()).map(|f| graph.node_feature(0, f as u32).to_vec()).collect()
}

/// How many of the texts each feature cuts.
fn cut_by_hand(folder: &Path) -> Vec<u64> {
    let model = gsl_text::TextModel::open(&folder.join("model")).unwrap();
    let beyond = |length: usize| {
        let whole = model.tokens(&TEXTS.map(Some), 32).unwrap();
        whole.mask.chunks(32).filter(|mask| mask.iter().filter(|m| **m == 1).count() > length).count() as u64
    };
    vec![beyond(6), beyond(8), 0, 0, beyond(8)]
}

#[test]
fn rows_are_what_the_model_says() {
    let folder = folder_with_model();
    write_papers(folder.path(), &[0, 1, 2, 3, 4, 5, 6], "papers.csv");
    let graph = built(folder.path(), &plan(all_features()));
    let widths: Vec<usize> = graph.facts().nodes[0].features.iter().map(|f| f.width).collect();
    assert_eq!(widths, [6, 32, 16, 4, 32]);

    let model = gsl_text::TextModel::open(&folder.path().join("model")).unwrap();
    let texts: Vec<Option<&str>> = TEXTS.iter().map(|text| Some(*text)).chain([None]).collect();
    let tokens = model.tokens(&texts, 6).unwrap();
    let expected: Vec<f32> =
        tokens.ids.iter().zip(&tokens.mask).map(|(&id, &m)| if m == 1 { id as f32 } else { -1.0 }).collect();
    let found = numbers(&graph);
    assert_eq!(found[0], expected);
    assert_eq!(found[0][36..], [-1.0; 6], "a missing text is all padding");
    assert_eq!(found[1], model.embed(&texts, 8, gsl_text::Pool::Mean).unwrap().data);
    assert_eq!(found[1][192..], [0.0; 32], "a missing text is zeros");
    let counts: Vec<f32> = found[2].chunks(16).map(|row| row.iter().sum()).collect();
    assert_eq!(counts, [2.0, 5.0, 2.0, 0.0, 6.0, 1.0, 0.0]);
    let norms: Vec<f32> =
        found[3].chunks(4).map(|row| row.iter().map(|x| x * x).sum::<f32>().sqrt()).collect();
    assert!(
        norms.iter().zip(&counts).all(|(norm, _)| *norm == 0.0 || (norm - 1.0).abs() < 1e-6),
        "{norms:?}"
    );
    assert!(norms[0] > 0.0 && norms[3] == 0.0 && norms[6] == 0.0);
}

#[test]
fn order_and_files_do_not_matter_and_new_tables_are_treated_alike() {
    let plan = plan(all_features());
    let folder = folder_with_model();
    write_papers(folder.path(), &[0, 1, 2, 3, 4, 5, 6], "papers.csv");
    let whole = built(folder.path(), &plan);
    let other = folder_with_model();
    write_papers(other.path(), &[6, 4, 0], "papers-1.csv");
    write_papers(other.path(), &[5, 3, 2, 1], "papers-2.csv");
    let cut = built(other.path(), &plan);
    assert_eq!(numbers(&whole), numbers(&cut));
    assert_eq!(whole.fitted(), cut.fitted());
    let cuts = |graph: &Graph| graph.report().nodes[0].features.iter().map(|f| f.cut).collect::<Vec<_>>();
    assert_eq!(cuts(&whole), cut_by_hand(folder.path()));
    assert_eq!(cuts(&cut), cuts(&whole), "rows are counted, whatever texts they share a batch with");
    let warned =
        |name: &str| whole.report().warnings.iter().any(|said| said.contains(&format!("`{name}` of")));
    assert!(warned("tokens") && !warned("bag"), "{:?}", whole.report().warnings);

    let again = folder.path().join("again.h5");
    construct_like(&plan, folder.path(), &again, &whole, &scratch(), &mut |_, _, _| {}).unwrap();
    assert_eq!(numbers(&Graph::open(&again).unwrap()), numbers(&whole));
}

#[test]
fn another_model_is_another_graph() {
    let plan = plan(all_features());
    let folder = folder_with_model();
    write_papers(folder.path(), &[0, 1, 2, 3, 4, 5, 6], "papers.csv");
    let (before, graph) = (content_key(&plan, folder.path()).unwrap(), built(folder.path(), &plan));
    let mut tensors = tiny::tensors(tiny::Kind::Bert);
    tensors.get_mut("embeddings.LayerNorm.bias").unwrap().1[0] += 1.0;
    tiny::write_weights(&folder.path().join("model"), &tensors, safetensors::tensor::Dtype::F32);
    assert_ne!(before, content_key(&plan, folder.path()).unwrap());
    let again = folder.path().join("again.h5");
    let refused =
        construct_like(&plan, folder.path(), &again, &graph, &scratch(), &mut |_, _, _| {}).unwrap_err();
    assert_eq!(refused.code(), "text_model");
    assert!(!again.exists() && refused.to_string().contains("have changed"), "{refused}");
}

#[test]
fn a_model_that_is_gone_is_named() {
    let folder = folder_with_model();
    write_papers(folder.path(), &[0, 1], "papers.csv");
    fs::remove_file(folder.path().join("model/tokenizer.json")).unwrap();
    let plan = plan(all_features());
    let refused = construct(&plan, folder.path(), &folder.path().join("g.h5"), &scratch(), &mut |_, _, _| {})
        .unwrap_err();
    assert!(matches!(refused, BuildError::Model { .. }));
    assert!(refused.to_string().contains("`model`: `tokenizer.json`: it is not there"), "{refused}");
}
