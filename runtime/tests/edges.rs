//! What a graph says of edges beyond their ends and features: merging, loops, times, labels, candidates; small graphs; and the features of
//! nodes that follow from edges.

mod declared;

use std::fs;
use std::path::Path;

use declared::people::*;
use declared::{edge, source};
use gsl_plan::graph::*;
use gsl_runtime::construct::{construct_like, construct_or_reuse};
use gsl_runtime::graph::Graph;
use gsl_runtime::view::GraphView;
use proptest::prelude::*;

fn refused(plan: &GraphPlan, folder: &Path) -> String {
    match build(plan, folder) {
        Ok(_) => panic!("this was to be refused"),
        Err(error) => {
            assert!(!folder.join("graph.h5").exists(), "a refused build leaves no file");
            format!("{}: {error}", error.code())
        }
    }
}

/// (source, destination) of the edges of a relation, by the keys.
fn ends(graph: &Graph, rel: u32) -> Vec<(String, String)> {
    let ((src, dst), csc) = (graph.ends(rel), graph.csc(rel));
    let mut all = Vec::new();
    for v in 0..graph.node_count(dst) {
        for at in csc.indptr[v] as usize..csc.indptr[v + 1] as usize {
            all.push((graph.key(src, csc.src[at]).to_string(), graph.key(dst, v as u32).to_string()));
        }
    }
    all
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(u, v)| (u.to_string(), v.to_string())).collect()
}

const DAY: i64 = 86_400_000_000;
/// 2020-01-01 in days since 1970.
const FIRST: i64 = 18_262;

// ----------------------------------------------------------------------------------------------------------- merging

#[test]
fn parallel_edges_are_merged_before_any_transform() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    let merged = |parallel| {
        let mut knows = knows();
        knows.parallel = parallel;
        knows.time = Some("day".into());
        knows.features = vec![
            feature("w", through(Transform::Fill(Fill::Constant(-1.0)), number("w"))),
            feature("log", through(Transform::Log1p, structure(Structure::Count))),
        ];
        knows.reverse = Some("known_by".into());
        people(knows)
    };
    let cases = [(Parallel::Sum, 4.0), (Parallel::Mean, 2.0), (Parallel::Min, 1.0), (Parallel::Max, 3.0)];
    for (parallel, w) in cases {
        let (graph, report) = build(&merged(parallel), folder.path()).unwrap();
        assert_eq!(ends(&graph, 0), pairs(&[("c", "a"), ("a", "b"), ("b", "b"), ("d", "c")]));
        assert_eq!(graph.edge_feature(0, 0).stored.to_vec(), [-1.0, w, 2.0, 5.0], "{parallel:?}");
        let log = |n: f64| n.ln_1p() as f32;
        assert_eq!(graph.edge_feature(0, 1).stored.to_vec(), [log(1.0), log(3.0), log(1.0), log(1.0)]);
        let days: Vec<i64> = graph.edge_time(0).unwrap().iter().map(|t| t / DAY - FIRST).collect();
        assert_eq!(days, [2, 4, 1, 5], "the latest row counts");
        assert_eq!(graph.stored_rows(0), [3, 0, 1, 5]);
        assert_eq!(graph.edge_time(1), graph.edge_time(0), "a reverse has the times of its forward edges");
        assert_eq!((report.relations[0].merged, report.relations[0].parallel), (2, 0));
        assert!(graph.verify().is_ok());
    }
}

#[test]
fn labels_of_merged_edges_are_merged_too() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    let mut knows = knows();
    knows.parallel = Parallel::Max;
    let mut often = label("often", LabelKind::Class, random(1.0, 0.0, 0.0));
    often.column = String::new();
    knows.labels = vec![label("stars", LabelKind::Class, random(1.0, 0.0, 0.0)), often];
    let (graph, _) = build(&people(knows), folder.path()).unwrap();
    let facts = &graph.facts().relations[0].labels;
    assert_eq!((facts[0].classes.join(" "), facts[1].classes.join(" ")), ("1 3".into(), "1 3".into()));
    assert_eq!(graph.edge_label(0, 0), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(graph.edge_label(0, 1), [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(facts[1].train_counts, [3, 1]);
}

// ------------------------------------------------------------------------------------------------------------- loops

#[test]
fn loops_are_dropped_or_added() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    let mut knows = knows();
    knows.loops = Loops::Drop;
    let (graph, report) = build(&people(knows.clone()), folder.path()).unwrap();
    assert!(ends(&graph, 0).iter().all(|(u, v)| u != v));
    assert_eq!((report.relations[0].dropped_loops, report.relations[0].self_loops), (1, 0));
    knows.loops = Loops::Add;
    knows.time = Some("day".into());
    knows.features = vec![feature("w", through(Transform::Fill(Fill::Constant(7.0)), number("w")))];
    knows.labels = vec![label("close", LabelKind::Class, random(0.8, 0.2, 0.0))];
    let (graph, report) = build(&people(knows.clone()), folder.path()).unwrap();
    let loops: Vec<usize> =
        ends(&graph, 0).iter().enumerate().filter(|(_, (u, v))| u == v).map(|(at, _)| at).collect();
    assert_eq!((loops.len(), report.relations[0].added_loops), (4, 3));
    for at in loops.into_iter().filter(|&at| graph.stored_rows(0)[at] == u32::MAX) {
        assert_eq!(graph.edge_feature(0, 0).stored.to_vec()[at], 7.0);
        assert_eq!((graph.edge_label(0, 0)[at], graph.edge_parts(0, 0)[at]), (-1.0, 0));
        assert_eq!(graph.edge_time(0).unwrap()[at], i64::MIN);
    }
    knows.features = vec![feature("stars", number("stars"))];
    let other = tempfile::tempdir().unwrap();
    write_people(other.path());
    let said = refused(&people(knows), other.path());
    assert!(said.contains("loops = add"), "{said}");
}

// ------------------------------------------------------------------------------------------------- labels and splits

fn labelled(split: Split) -> EdgeType {
    EdgeType {
        labels: vec![label("close", LabelKind::Class, split)],
        reverse: Some("known_by".into()),
        ..knows()
    }
}

#[test]
fn edges_are_labelled_in_the_order_of_their_lists() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    let (graph, report) = build(&people(labelled(random(0.8, 0.1, 0.1))), folder.path()).unwrap();
    let facts = &graph.facts().relations[0].labels[0];
    assert_eq!(facts.classes, ["no", "yes"]);
    let rows: Vec<&str> = graph.stored_rows(0).iter().map(|&row| KNOWS[row as usize]).collect();
    for (row, (&value, &part)) in rows.iter().zip(graph.edge_label(0, 0).iter().zip(graph.edge_parts(0, 0))) {
        let wanted = match row.split(',').nth(3) {
            Some("no") => 0.0,
            Some("yes") => 1.0,
            _ => -1.0,
        };
        assert_eq!(value, wanted, "{row}");
        assert!((part == 0) == (value < 0.0), "with all fractions an edge has a part if it has a label");
    }
    assert_eq!(graph.owner(1), 0);
    assert_eq!(graph.edge_label(1, 0), graph.edge_label(0, 0));
    assert_eq!(graph.facts().relations[1].labels.len(), 0);
    assert_eq!(
        (report.relations[0].labels[0].unlabelled, report.relations[0].labels[0].parts.iter().sum::<u64>()),
        (1, 5)
    );
}

#[test]
fn parallel_edges_share_a_part_and_no_edge_depends_on_others() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..60).map(|i| format!("n{i}")).collect();
    let row = |i: usize| format!("n{},n{},{}", i * 7 % 60, i * 11 % 53, i % 3);
    let rows: Vec<String> = (0..900).map(row).collect();
    let parts = |rows: &[String], stratified| {
        write(folder.path(), "people.csv", "name", &names.iter().map(String::as_str).collect::<Vec<_>>());
        write(folder.path(), "knows.csv", "u,v,close", &rows.iter().map(String::as_str).collect::<Vec<_>>());
        let split = Split::Random { train: 0.6, valid: 0.2, test: 0.2, stratified };
        let (graph, _) = build(&people(labelled(split)), folder.path()).unwrap();
        let classes = graph.edge_label(0, 0).iter().map(|class| class.to_string());
        let keyed = ends(&graph, 0).into_iter().zip(classes);
        keyed.zip(graph.edge_parts(0, 0).to_vec()).collect::<Vec<_>>()
    };
    let all = parts(&rows, false);
    for pair in all.windows(2).filter(|pair| pair[0].0.0 == pair[1].0.0) {
        assert_eq!(pair[0].1, pair[1].1, "parallel edges share their part");
    }
    let some = parts(&rows[..450], false);
    assert!(some.iter().all(|edge| all.contains(edge)), "what is left keeps its part");
    let train = all.iter().filter(|(_, part)| *part == Part::Train as u8).count();
    assert!((450..630).contains(&train), "{train}");
    for class in ["0", "1", "2"] {
        let of: Vec<u8> =
            parts(&rows, true).into_iter().filter(|((_, c), _)| c == class).map(|(_, part)| part).collect();
        let share = |part: Part| of.iter().filter(|p| **p == part as u8).count() as f64 / of.len() as f64;
        assert!((share(Part::Train) - 0.6).abs() < 0.04 && (share(Part::Test) - 0.2).abs() < 0.04, "{of:?}");
    }
}

#[test]
fn files_of_pairs_split_edges() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    write(folder.path(), "train.csv", "v,u", &["b,a", "c,d"]);
    write(folder.path(), "test.csv", "u,v", &["c,a"]);
    let files = || Split::Files { train: source("train.csv"), valid: None, test: Some(source("test.csv")) };
    let (graph, _) = build(&people(labelled(files())), folder.path()).unwrap();
    let (train, test) = (Part::Train as u8, Part::Test as u8);
    // c -> a; a -> b three times, one of them unlabelled; b -> b; d -> c.
    let parts = graph.edge_parts(0, 0);
    let unlabelled = graph.edge_label(0, 0).iter().position(|class| *class < 0.0).unwrap();
    assert!((1..4).contains(&unlabelled));
    let wanted: Vec<u8> = [test, train, train, train, 0, train].to_vec();
    for (at, wanted) in wanted.into_iter().enumerate() {
        assert_eq!(parts[at], if at == unlabelled { 0 } else { wanted });
    }
    fs::remove_file(folder.path().join("graph.h5")).unwrap();
    write(folder.path(), "test.csv", "u,v", &["c,a", "c,d"]);
    let said = refused(&people(labelled(files())), folder.path());
    assert!(
        said.starts_with("unknown_split_pairs") && said.contains("c, d") && said.contains("test.csv"),
        "{said}"
    );
    write(folder.path(), "test.csv", "u,v", &["c,a", "a,b"]);
    assert!(refused(&people(labelled(files())), folder.path()).starts_with("key_in_two_parts"));
    write(folder.path(), "test.csv", "u,v", &["c,z"]);
    assert!(refused(&people(labelled(files())), folder.path()).starts_with("unknown_split_keys"));
}

#[test]
fn families_are_labelled_together_and_split_apart() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "people.csv", "name", NAMES);
    let rows = ["a,b,likes,1", "a,b,hates,0", "b,c,likes,0", "c,d,hates,1", "d,a,likes,1", "a,c,hates,0"];
    write(folder.path(), "knows.csv", "u,v,kind,close", &rows);
    write(folder.path(), "train.csv", "u,v,kind", &["a,b,likes", "c,d,hates", "b,c,likes", "a,c,hates"]);
    write(folder.path(), "test.csv", "u,v,kind", &["a,b,hates", "d,a,likes"]);
    let split = Split::Files { train: source("train.csv"), valid: None, test: Some(source("test.csv")) };
    let mut knows = labelled(split);
    knows.relation = Relation::Column("kind".into());
    let (graph, report) = build(&people(knows), folder.path()).unwrap();
    let (train, test) = (Part::Train as u8, Part::Test as u8);
    // hates: a -> b, a -> c, c -> d; likes: d -> a, a -> b, b -> c. Relations are followed by their reverses.
    assert_eq!(graph.edge_parts(0, 0), [test, train, train]);
    assert_eq!(graph.edge_parts(2, 0), [test, train, train]);
    assert_eq!(graph.facts().relations[0].labels[0].classes, ["0", "1"]);
    assert_eq!(graph.facts().relations[2].labels[0].parts, [0, 2, 0, 1]);
    assert_eq!(report.relations[0].labels[0].parts, [0, 4, 0, 2]);
    assert_eq!(graph.edge_label(2, 0), [1.0, 1.0, 0.0]);
}

#[test]
fn cells_without_a_value_are_counted_by_relation() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "people.csv", "name", NAMES);
    let rows = ["a,b,likes,1", "a,b,hates,", "b,c,likes,", "c,d,hates,1", "d,a,likes,", "a,c,hates,0"];
    write(folder.path(), "knows.csv", "u,v,kind,w", &rows);
    let mut knows = knows();
    knows.relation = Relation::Column("kind".into());
    knows.features.push(feature("w", through(Transform::Fill(Fill::Constant(0.0)), number("w"))));
    let (_, report) = build(&people(knows), folder.path()).unwrap();
    let missing = report.relations.iter().map(|one| (one.name.as_str(), one.features[0].missing));
    assert_eq!(missing.collect::<Vec<_>>(), [("hates", 1), ("likes", 2)]);
}

#[test]
fn targets_and_splits_by_time_on_edges() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    let bound = |compare, day: &str| vec![Bound { compare, value: Scalar::Text(day.into()) }];
    let split = Split::By {
        column: "day".into(),
        train: bound(Compare::Less, "2020-01-04"),
        valid: Vec::new(),
        test: bound(Compare::GreaterEqual, "2020-01-04"),
    };
    let mut knows = knows();
    knows.time = Some("day".into());
    let mut target = label("w", LabelKind::Float, split);
    target.transforms = vec![Transform::Log1p];
    knows.labels = vec![target];
    for parallel in [Parallel::Keep, Parallel::Max] {
        knows.parallel = parallel;
        let (graph, _) = build(&people(knows.clone()), folder.path()).unwrap();
        for (at, &row) in graph.stored_rows(0).iter().enumerate() {
            let (value, part) = (graph.edge_label(0, 0)[at], graph.edge_parts(0, 0)[at]);
            let day = graph.edge_time(0).unwrap()[at] / DAY - FIRST;
            assert_eq!(
                part,
                if value.is_nan() {
                    0
                } else if day < 3 {
                    1
                } else {
                    3
                },
                "row {row}"
            );
        }
        let trained: &[f64] = if parallel == Parallel::Keep { &[1.0, 2.0] } else { &[2.0] };
        let mean = trained.iter().map(|w| w.ln_1p()).sum::<f64>() / trained.len() as f64;
        assert!((graph.facts().relations[0].labels[0].mean - mean).abs() < 1e-6);
    }
}

#[test]
fn several_classes_are_zeros_and_ones() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "people.csv", "name,likes", &["a,tea; milk", "b,", "c,milk", "d,\"\""]);
    write(folder.path(), "knows.csv", "u,v,likes", &["a,b,x", "b,c,", "c,d,y;x"]);
    let mut several = label("likes", LabelKind::Classes, random(1.0, 0.0, 0.0));
    several.several = Several::Parted(";".into());
    let mut plan = people(EdgeType { labels: vec![several.clone()], ..knows() });
    plan.nodes[0].labels = vec![several];
    let (graph, report) = build(&plan, folder.path()).unwrap();
    let facts = &graph.facts().nodes[0].labels[0];
    assert_eq!(
        (facts.classes.join(" "), facts.train_counts.clone(), facts.parts),
        ("milk tea".into(), vec![2, 1], [0, 3, 0, 0])
    );
    let shown = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(shown(graph.label(0, 0)), "1 1 NaN NaN 1 0 0 0");
    assert_eq!(graph.parts(0, 0), [1, 0, 1, 1]);
    assert_eq!(shown(graph.edge_label(0, 0)), "1 0 NaN NaN 1 1");
    assert_eq!(report.nodes[0].labels[0].unlabelled, 1);
    write_lines(
        folder.path(),
        "people.jsonl",
        &[
            r#"{"name": "a", "likes": ["tea", "milk"]}"#,
            r#"{"name": "b", "likes": null}"#,
            r#"{"name": "c", "likes": ["milk"]}"#,
            r#"{"name": "d", "likes": []}"#,
        ],
    );
    write_lines(
        folder.path(),
        "knows.jsonl",
        &[
            r#"{"u": "a", "v": "b", "likes": ["x"]}"#,
            r#"{"u": "b", "v": "c"}"#,
            r#"{"u": "c", "v": "d", "likes": ["y", "x"]}"#,
        ],
    );
    plan.nodes[0].sources = vec![source("people.jsonl")];
    plan.edges[0].source = source("knows.jsonl");
    [&mut plan.nodes[0].labels[0], &mut plan.edges[0].labels[0]]
        .into_iter()
        .for_each(|label| label.several = Several::Names);
    let (lists, _) = build(&plan, folder.path()).unwrap();
    assert_eq!(lists.facts().nodes[0].labels, graph.facts().nodes[0].labels);
    assert_eq!(shown(lists.label(0, 0)), shown(graph.label(0, 0)));
    assert_eq!(lists.parts(0, 0), graph.parts(0, 0));
    assert_eq!(shown(lists.edge_label(0, 0)), shown(graph.edge_label(0, 0)));
}

// ------------------------------------------------------------------------------------------------ times, small graphs

#[test]
fn rows_without_a_time_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "people.csv", "name,born", &["b,1990-01-01", "a,1970-01-02"]);
    write(folder.path(), "knows.csv", "u,v,day", &["a,b,2020-01-01", "b,a,"]);
    let mut plan = people(EdgeType { time: Some("day".into()), ..knows() });
    assert_eq!(
        refused(&plan, folder.path()),
        format!(
            "missing_time: 1 rows of `knows` have no time in column `day`, the first at {}, row 2 (line 3)",
            folder.path().join("knows.csv").display()
        )
    );
    plan.edges[0].time = None;
    plan.nodes[0].time = Some("born".into());
    let (graph, _) = build(&plan, folder.path()).unwrap();
    assert_eq!(graph.node_time(0).unwrap(), [DAY, 7305 * DAY]);
    assert!(graph.edge_time(0).is_none() && graph.facts().nodes[0].time);
    fs::remove_file(folder.path().join("graph.h5")).unwrap();
    write(folder.path(), "people.csv", "name,born", &["b,1990-01-01", "a,"]);
    assert!(refused(&plan, folder.path()).contains("1 rows of `person` have no time"));
}

fn molecules(with_table: bool) -> GraphPlan {
    let mut atom = keyed("atom", "atoms.csv", "id", KeyKind::Int);
    atom.graph = Some("molecule".into());
    let mut graph = keyed("graph", if with_table { "molecules.csv" } else { "" }, "molecule", KeyKind::Text);
    if with_table {
        graph.labels = vec![label("toxic", LabelKind::Class, random(1.0, 0.0, 0.0))];
    }
    GraphPlan {
        name: "molecules".into(),
        nodes: vec![graph, atom],
        edges: vec![edge("bond", "bonds.csv", (1, "a"), (1, "b"))],
        seed: 0,
        graphs: Some(0),
    }
}

#[test]
fn nodes_know_their_small_graph_and_edges_stay_inside() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "molecules.csv", "molecule,toxic", &["water,no", "salt,no", "lye,yes"]);
    write(folder.path(), "atoms.csv", "id,molecule", &["3,salt", "1,water", "2,water", "4,salt"]);
    write(folder.path(), "bonds.csv", "a,b", &["1,2", "4,3"]);
    let (graph, _) = build(&molecules(true), folder.path()).unwrap();
    assert_eq!(graph.membership(1).unwrap(), [2, 2, 1, 1], "lye, salt, water");
    assert!(graph.membership(0).is_none());
    assert_eq!(graph.label(0, 0), [1.0, 0.0, 0.0]);
    let (graph, _) = build(&molecules(false), folder.path()).unwrap();
    assert_eq!((graph.node_count(0), graph.membership(1).unwrap().to_vec()), (2, vec![1, 1, 0, 0]));
    fs::remove_file(folder.path().join("graph.h5")).unwrap();
    write(folder.path(), "bonds.csv", "a,b", &["1,2", "2,3", "3,1"]);
    assert_eq!(
        refused(&molecules(true), folder.path()),
        "between_graphs: 2 edges of `bond` lead from one small graph into another: \
         `3 -> 1` from `salt` into `water`; `2 -> 3` from `water` into `salt`"
    );
    write(folder.path(), "atoms.csv", "id,molecule", &["3,salt", "1,", "2,gold", "4,salt"]);
    let said = refused(&molecules(true), folder.path());
    assert!(
        said.contains("2 nodes of `atom`") && said.contains("gold") && said.contains("(nothing)"),
        "{said}"
    );
}

// -------------------------------------------------------------------------------------------------------- candidates

#[test]
fn candidates_are_nodes_of_the_destination() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "people.csv", "name", NAMES);
    write(folder.path(), "knows.csv", "u,v,not", &["b,c,a;d; b", "a,b,", "c,a,d"]);
    let hard = Candidates { name: "hard".into(), column: "not".into(), separator: Some(";".into()) };
    let mut knows = EdgeType { candidates: vec![hard], loops: Loops::Add, ..knows() };
    let (graph, _) = build(&people(knows.clone()), folder.path()).unwrap();
    let (width, ids) = graph.candidates(0, 0);
    const NONE: u32 = u32::MAX;
    let of = |u: &str, v: &str| {
        let at = ends(&graph, 0).iter().position(|(a, b)| a == u && b == v).unwrap();
        ids[at * width..(at + 1) * width].to_vec()
    };
    assert_eq!((of("b", "c"), of("a", "b")), (vec![0, 3, 1], vec![NONE; 3]));
    assert_eq!((of("c", "a"), of("d", "d")), (vec![3, NONE, NONE], vec![NONE; 3]));
    fs::remove_file(folder.path().join("graph.h5")).unwrap();
    write(folder.path(), "knows.csv", "u,v,not", &["b,c,a;z", "a,b,"]);
    let said = refused(&people(knows.clone()), folder.path());
    assert!(
        said.starts_with("unknown_candidates") && said.contains("`z`") && said.contains("row 1"),
        "{said}"
    );
    knows.missing = MissingPolicy::Drop;
    let (graph, report) = build(&people(knows), folder.path()).unwrap();
    assert_eq!((report.relations[0].unknown_candidates, graph.candidates(0, 0).0), (1, 2));
}

#[test]
fn candidates_may_be_lists() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [r#"{"u": 5, "v": 6, "not": ["9", "5"]}"#, r#"{"u": 6, "v": 5, "not": []}"#];
    write_lines(folder.path(), "knows.jsonl", &rows);
    for kind in [KeyKind::Int, KeyKind::Text] {
        write(folder.path(), "people.csv", "name", &["5", "6", "9"]);
        let hard = Candidates { name: "hard".into(), column: "not".into(), separator: None };
        let knows = EdgeType { candidates: vec![hard], ..edge("knows", "knows.jsonl", (0, "u"), (0, "v")) };
        let mut plan = people(knows);
        plan.nodes[0] = keyed("person", "people.csv", "name", kind);
        let (graph, _) = build(&plan, folder.path()).unwrap();
        assert_eq!(graph.candidates(0, 0), (2, &[u32::MAX, u32::MAX, 2, 0][..]));
    }
}

// ----------------------------------------------------------------------------------------------- structural features

#[test]
fn features_follow_from_edges() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    let of = |reverse| RelationRef { edge: 0, reverse };
    let rank = Structure::PageRank { relation: of(false), damping: 0.5, iterations: 100 };
    let mut plan =
        people(EdgeType { reverse: Some("known_by".into()), parallel: Parallel::Count, ..knows() });
    plan.nodes[0].features = vec![
        feature("degree", structure(Structure::Degree)),
        feature("in", structure(Structure::InDegree(of(false)))),
        feature("out", structure(Structure::OutDegree(of(false)))),
        feature("back", structure(Structure::InDegree(of(true)))),
        feature("rank", structure(rank)),
        feature(
            "scaled",
            through(
                Transform::Standardize,
                through(Transform::Log1p, structure(Structure::InDegree(of(false)))),
            ),
        ),
    ];
    let (graph, report) = build(&plan, folder.path()).unwrap();
    let column = |at: u32| graph.node_feature(0, at).to_vec();
    // c -> a, a -> b, b -> b, d -> c
    assert_eq!(column(1), [1.0, 2.0, 1.0, 0.0]);
    assert_eq!(column(2), [1.0; 4]);
    assert_eq!(column(3), [1.0; 4]);
    assert_eq!((column(0), graph.degree(0).to_vec()), (vec![2.0, 3.0, 2.0, 1.0], vec![2.0, 3.0, 2.0, 1.0]));
    // x[d] = 1/2, x[c] = 1/2 + x[d]/2, x[a] = 1/2 + x[c]/2, x[b] = 1/2 + (x[a] + x[b])/2
    let rank = column(4);
    for (found, wanted) in rank.iter().zip([0.875, 1.875, 0.75, 0.5]) {
        assert!((found - wanted).abs() < 1e-6, "{rank:?}");
    }
    assert!((column(5).iter().sum::<f32>()).abs() < 1e-5);
    let names: Vec<&str> = report.nodes[0].features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["degree", "in", "out", "back", "rank", "scaled"]);
}

#[test]
fn new_tables_get_what_the_old_learned() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_people(old.path());
    write(new.path(), "people.csv", "name", &["x", "y"]);
    write(new.path(), "knows.csv", "u,v,close", &["x,y,yes", "y,x,perhaps", "x,x,"]);
    let mut plan = people(labelled(random(0.8, 0.1, 0.1)));
    let scaled = through(Transform::Standardize, structure(Structure::Degree));
    plan.nodes[0].features = vec![feature("scaled", scaled)];
    let (graph, _) = build(&plan, old.path()).unwrap();
    let file = new.path().join("graph.h5");
    construct_like(&plan, new.path(), &file, &graph, &scratch(new.path()), &mut |_, _, _| {}).unwrap();
    let like = Graph::open(&file).unwrap();
    assert_eq!(like.facts().relations[0].labels[0].classes, ["no", "yes"]);
    // y -> x and x -> x, then x -> y: an unknown class is none.
    assert_eq!(like.edge_label(0, 0), [-1.0, -1.0, 1.0]);
    let degrees = graph.degree(0);
    let mean = degrees.iter().sum::<f32>() / degrees.len() as f32;
    let std = (degrees.iter().map(|d| (d - mean).powi(2)).sum::<f32>() / degrees.len() as f32).sqrt();
    for (scaled, degree) in like.node_feature(0, 0).to_vec().iter().zip(like.degree(0)) {
        assert!((scaled - (degree - mean) / std).abs() < 1e-5);
    }
}

#[test]
fn only_what_follows_from_changed_edges_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    write_people(folder.path());
    let mut plan = people(labelled(random(0.8, 0.1, 0.1)));
    plan.nodes[0].features = vec![feature("degree", structure(Structure::Degree))];
    let cache = folder.path().join("cache");
    let run = || {
        construct_or_reuse(&plan, folder.path(), &cache, &scratch(folder.path()), &mut |_, _, _| {}).unwrap()
    };
    let (first, _, reused) = run();
    assert!(!reused && run().2);
    write(folder.path(), "knows.csv", "u,v,w,close,day,stars", &KNOWS[..5]);
    let (second, _, _) = run();
    let stage = |graph: &Graph, name: &str| {
        graph.meta().stages.iter().find(|stage| stage.name == name).map(|stage| stage.key.clone()).unwrap()
    };
    assert_eq!(stage(&first, "nodes/person"), stage(&second, "nodes/person"));
    for changed in ["edges/knows", "features/person/degree"] {
        assert_ne!(stage(&first, changed), stage(&second, changed));
    }
    assert_eq!(second.node_feature(0, 0).to_vec(), second.degree(0));
}

// ------------------------------------------------------------------------------------------- nothing but the content

/// All arrays of a graph but for the row numbers, as text.
fn content(graph: &Graph) -> String {
    let mut text = format!("{:?}", graph.facts());
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    for ty in 0..graph.node_types() as u32 {
        for at in 0..graph.facts().nodes[ty as usize].features.len() as u32 {
            text += &format!("{:?}", bits(&graph.node_feature(ty, at).to_vec()));
        }
    }
    for rel in 0..graph.relations() as u32 {
        let facts = &graph.facts().relations[rel as usize];
        text += &format!("{:?} {:?}", ends(graph, rel), graph.edge_time(rel));
        (0..facts.features.len() as u32)
            .for_each(|at| text += &format!("{:?}", bits(&graph.edge_feature(rel, at).stored.to_vec())));
        for at in 0..graph.facts().relations[graph.owner(rel) as usize].labels.len() as u32 {
            text += &format!("{:?} {:?}", bits(graph.edge_label(rel, at)), graph.edge_parts(rel, at));
        }
        text += &format!("{:?}", graph.candidates(rel, 0));
    }
    text
}

fn every_statement(parallel: Parallel) -> GraphPlan {
    let mut knows = labelled(Split::Random { train: 0.5, valid: 0.25, test: 0.25, stratified: true });
    knows.labels[0].column = "w".into();
    knows.parallel = parallel;
    knows.loops = Loops::Add;
    knows.time = Some("t".into());
    knows.labels.push(label("x", LabelKind::Float, random(0.8, 0.1, 0.1)));
    let filled = |column: &str| through(Transform::Fill(Fill::Mean), number(column));
    knows.features = vec![feature("f", through(Transform::Standardize, filled("x")))];
    knows.candidates = vec![Candidates { name: "c".into(), column: "c".into(), separator: Some(" ".into()) }];
    if parallel != Parallel::Keep {
        knows.features.push(feature("n", structure(Structure::Count)));
        knows.candidates[0].column = "c".into();
    }
    let mut plan = people(knows);
    let of = RelationRef { edge: 0, reverse: false };
    plan.nodes[0].features = vec![
        feature("rank", structure(Structure::PageRank { relation: of, damping: 0.85, iterations: 10 })),
        feature("degree", through(Transform::Standardize, structure(Structure::Degree))),
    ];
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn order_files_and_threads_do_not_matter(
        rows in prop::collection::vec((0usize..6, 0usize..6, 0u8..4, -50i32..50, 0u8..9), 4..40).prop_filter(
            "some edge is labelled and two classes differ",
            |rows| rows.iter().any(|row| row.2 == 1) && rows.iter().any(|row| row.2 == 2),
        ),
        seed in any::<u64>(),
        cut in 1usize..4,
        threads in 1usize..4,
        merges in any::<bool>(),
    ) {
        let names: Vec<String> = (0..6).map(|i| format!("p{i}")).collect();
        let texts: Vec<String> = rows.iter().map(|(u, v, w, x, t)| {
            let w = if *w == 0 { String::new() } else { w.to_string() };
            let x = if x % 7 == 0 { String::new() } else { format!("{}", f64::from(*x) / 3.0) };
            format!("p{u},p{v},{w},{x},{t},p{v} p{}", t % 6)
        }).collect();
        let mut shuffled = texts.clone();
        shuffled.sort_by_key(|text| blake3::hash(format!("{seed}{text}").as_bytes()).as_bytes().to_owned());
        let mut plan = every_statement(if merges { Parallel::Mean } else { Parallel::Keep });
        if merges {
            plan.edges[0].candidates.clear();
        }
        let made = |files: &[&[String]], threads: usize| -> Result<String, String> {
            let folder = tempfile::tempdir().unwrap();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            write(folder.path(), "people.csv", "name", &names);
            for (index, rows) in files.iter().enumerate() {
                let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
                write(folder.path(), &format!("knows-{index}.csv"), "u,v,w,x,t,c", &rows);
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let built = pool.install(|| build(&plan, folder.path()));
            built.map(|(graph, _)| content_of(&graph, merges)).map_err(|error| error.code().to_string())
        };
        let cut = shuffled.len() * cut / 4;
        let (one, two) = shuffled.split_at(cut.clamp(1, shuffled.len() - 1));
        prop_assert_eq!(made(&[&texts], 1), made(&[one, two], threads));
    }
}

fn content_of(graph: &Graph, merged: bool) -> String {
    if merged { content_without_candidates(graph) } else { content(graph) }
}

fn content_without_candidates(graph: &Graph) -> String {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    let mut text = format!("{:?} {:?} {:?}", graph.facts(), ends(graph, 0), graph.edge_time(0));
    for at in 0..2 {
        text += &format!("{:?}", bits(&graph.edge_feature(0, at).stored.to_vec()));
        text += &format!("{:?} {:?}", bits(graph.edge_label(0, at)), graph.edge_parts(0, at));
        text += &format!("{:?}", bits(&graph.node_feature(0, at).to_vec()));
    }
    text
}
