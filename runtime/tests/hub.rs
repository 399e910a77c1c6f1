//! A node with ten million edges.

mod declared;

use declared::{edge, node};
use gsl_plan::graph::*;
use gsl_plan::plan::Fanout;
use gsl_runtime::construct::{Scratch, construct};
use gsl_runtime::graph::Graph;
use gsl_runtime::sample::{Block, Sampler, sample_key};
use gsl_runtime::view::GraphView;
use gsl_tables::{Output, OutputColumn, TableWriter};
use std::path::Path;

const EDGES: usize = 10_000_000;
const FANS: u32 = 1000;
const BATCH: usize = 1 << 18;

fn keyed(name: &str, file: &str) -> NodeType {
    NodeType { key: Some(Key { column: "id".into(), kind: KeyKind::Int }), ..node(name, &[file]) }
}

fn plan() -> GraphPlan {
    let follows = edge("follows", "follows.parquet", (0, "fan"), (1, "star"));
    let follows = EdgeType { reverse: Some("followed_by".into()), ..follows };
    GraphPlan {
        name: "fans".into(),
        nodes: vec![keyed("fan", "fans.csv"), keyed("star", "stars.csv")],
        edges: vec![follows],
        seed: 1,
        graphs: None,
    }
}

/// Every edge but one leads to star 7.
fn write_tables(folder: &Path) {
    let fans: String = (0..FANS).map(|fan| format!("{fan}\n")).collect();
    std::fs::write(folder.join("fans.csv"), format!("id\n{fans}")).unwrap();
    std::fs::write(folder.join("stars.csv"), "id\n3\n7\n").unwrap();
    let mut table = TableWriter::create(&folder.join("follows.parquet")).unwrap();
    for first in (0..EDGES).step_by(BATCH) {
        let rows = first..(first + BATCH).min(EDGES);
        let fans: Vec<i64> = rows.clone().map(|row| (row as i64 * 7) % i64::from(FANS)).collect();
        let stars: Vec<i64> = rows.map(|row| if row == 12_345 { 3 } else { 7 }).collect();
        let columns =
            [OutputColumn::new("fan", Output::Int(&fans)), OutputColumn::new("star", Output::Int(&stars))];
        table.write(&columns).unwrap();
    }
    table.finish().unwrap();
}

#[test]
fn one_node_may_have_ten_million_edges() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let file = folder.path().join("graph.h5");
    let scratch = Scratch { folder: folder.path().join("scratch"), memory: 256 << 20 };
    construct(&plan(), folder.path(), &file, &scratch, &mut |_, _, _| {}).unwrap();
    let graph = Graph::open(&file).unwrap();
    let csc = graph.csc(0);
    assert_eq!(csc.indptr, [0, 1, EDGES as u64]);
    let mut by_fan = vec![0; FANS as usize];
    csc.src.iter().for_each(|fan| by_fan[*fan as usize] += 1);
    assert!(by_fan.iter().all(|edges| *edges == EDGES / FANS as usize));

    let mut sampler = Sampler::new(&graph, &[vec![0]], &[Fanout::Neighbors(10)]).unwrap();
    let mut block = Block::new();
    sampler.sample(&graph, &[(1, &[0, 1])], sample_key(1, 0), &mut block).unwrap();
    assert_eq!(block.edges(0, 0).map(|edges| edges.indptr.clone()), Some(vec![0, 1, 11]));
}
