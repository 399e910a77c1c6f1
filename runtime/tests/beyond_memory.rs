//! Graphs whose identifiers are more than the memory allowed: the same to the byte as with plenty, and the same mistakes are told.

mod declared;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use declared::{edge, node, source};
use gsl_plan::graph::{Key as KeyColumn, *};
use gsl_runtime::construct::{BuildError, BuildReport, Scratch, construct};
use gsl_runtime::graph::Graph;
use gsl_runtime::view::GraphView;
use proptest::prelude::*;

const PEOPLE: usize = 40;
const PLENTY: u64 = 64 << 20;

fn random(train: f64, valid: f64, test: f64) -> Option<Split> {
    Some(Split::Random { train, valid, test, stratified: false })
}

fn label(column: &str, split: Option<Split>) -> Label {
    let (name, column, several) = (column.to_string(), column.to_string(), Several::default());
    Label { name, column, kind: LabelKind::Class, transforms: Vec::new(), several, split }
}

fn feature(name: &str, expr: FeatureExpr) -> Feature {
    Feature { name: name.into(), expr, storage: Storage::default(), width: None }
}

fn knowing(name: &str, dst: usize, dst_column: &str) -> EdgeType {
    let reverse = Some(format!("{name}_reversed"));
    EdgeType { reverse, ..edge(name, "knows*.csv", (0, "u"), (dst, dst_column)) }
}

/// People from two joined tables who know each other, and clubs that the edges name.
fn plan(kind: KeyKind) -> GraphPlan {
    let mut person = node("person", &["people*.csv", "ages.csv"]);
    person.key = Some(KeyColumn { column: "name".into(), kind });
    let of = RelationRef { edge: 0, reverse: false };
    let rank = FeatureExpr::Structure(Structure::PageRank { relation: of, damping: 0.85, iterations: 9 });
    let age = FeatureExpr::Column { column: "age".into(), kind: ColumnKind::Number };
    let fill = Transform::Fill(Fill::Mean);
    person.features = vec![
        feature("rank", rank),
        feature("age", FeatureExpr::Apply { transform: fill, input: Box::new(age) }),
    ];
    person.labels = vec![label("group", random(0.6, 0.2, 0.2))];
    let mut knows = knowing("knows", 0, "v");
    let files = Split::Files { train: source("train.csv"), valid: None, test: None };
    knows.labels = vec![label("close", random(0.5, 0.2, 0.3)), label("far", Some(files))];
    knows.candidates =
        vec![Candidates { name: "hard".into(), column: "hard".into(), separator: Some(";".into()) }];
    GraphPlan {
        name: "people".into(),
        nodes: vec![person, node("club", &[])],
        edges: vec![knows, knowing("in", 1, "club")],
        seed: 3,
        graphs: None,
    }
}

fn key(kind: KeyKind, person: usize) -> String {
    match kind {
        KeyKind::Int => (person * person * 7).to_string(),
        KeyKind::Text => format!("a person with a name as long as this one: {}", person * 37 % 101),
    }
}

fn write(folder: &Path, name: &str, header: &str, rows: &[String]) {
    fs::write(folder.join(name), format!("{header}\n{}\n", rows.join("\n"))).unwrap();
}

fn write_people(folder: &Path, kind: KeyKind, edges: &[(usize, usize)]) {
    let key = |person| key(kind, person);
    let people: Vec<String> = (0..PEOPLE).map(|i| format!("{},g{}", key(i * 11 % PEOPLE), i % 3)).collect();
    write(folder, "people-1.csv", "name,group", &people[..PEOPLE / 3]);
    write(folder, "people-2.csv", "name,group", &people[PEOPLE / 3..]);
    let ages: Vec<String> = (5..PEOPLE + 4).map(|i| format!("{},{}", key(i), 20 + i)).collect();
    write(folder, "ages.csv", "name,age", &ages);
    let row = |(at, &(u, v)): (usize, &(usize, usize))| {
        let hard = [(u + 1) % PEOPLE, at % PEOPLE].map(key).join(";");
        format!("{},{},club {},c{},f{},{hard}", key(u), key(v), u * v % 23, at % 2, at % 3)
    };
    let rows: Vec<String> = edges.iter().enumerate().map(row).collect();
    let header = "u,v,club,close,far,hard";
    write(folder, "knows-1.csv", header, &rows[..rows.len() / 2]);
    write(folder, "knows-2.csv", header, &rows[rows.len() / 2..]);
    let pairs: Vec<String> =
        edges.iter().step_by(2).map(|&(u, v)| format!("{},{}", key(u), key(v))).collect();
    write(folder, "train.csv", "u,v", &pairs);
}

fn build(plan: &GraphPlan, folder: &Path, memory: u64) -> Result<(Graph, BuildReport), BuildError> {
    let (file, scratch) = (folder.join("graph.h5"), Scratch { folder: folder.join("scratch"), memory });
    let report = construct(plan, folder, &file, &scratch, &mut |_, _, _| {})?;
    assert!(fs::read_dir(&scratch.folder).map_or(true, |mut left| left.next().is_none()), "nothing is left");
    Ok((Graph::open(&file)?, report))
}

/// The hash of every array, and everything else that the graph says of the tables.
fn bytes(graph: &Graph) -> BTreeMap<String, String> {
    let arrays = graph.meta().stages.iter().flat_map(|stage| &stage.arrays);
    let hash = |name: &str| graph.hash(name).expect("it is there");
    let mut all: BTreeMap<String, String> =
        arrays.map(|array| (array.dataset.clone(), hash(&array.dataset))).collect();
    all.insert("facts".into(), format!("{:?}", graph.facts()));
    all.insert("fitted".into(), format!("{:?}", graph.fitted()));
    all.insert("degree".into(), format!("{:?} {:?}", graph.degree(0), graph.degree(1)));
    all
}

fn kinds() -> impl Strategy<Value = KeyKind> {
    prop_oneof![Just(KeyKind::Int), Just(KeyKind::Text)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn memory_leaves_no_trace(
        kind in kinds(),
        edges in prop::collection::vec((0..PEOPLE, 0..PEOPLE), 4..400),
        parallel in prop_oneof![Just(Parallel::Keep), Just(Parallel::Count)],
        loops in prop_oneof![Just(Loops::Keep), Just(Loops::Drop), Just(Loops::Add)],
        memory in 4_800u64..12_000,
        threads in 1usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        write_people(folder.path(), kind, &edges);
        let mut plan = plan(kind);
        (plan.edges[0].parallel, plan.edges[0].loops) = (parallel, loops);
        if parallel != Parallel::Keep {
            plan.edges[0].labels.clear();
            plan.edges[0].candidates.clear();
        }
        if loops == Loops::Drop {
            plan.edges[0].labels.truncate(1);
        }
        let (plenty, _) = build(&plan, folder.path(), PLENTY).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let expected = bytes(&plenty);
        let (scarce, _) = pool.install(|| build(&plan, folder.path(), memory)).unwrap();
        prop_assert_eq!(bytes(&scarce), expected);
        prop_assert!(scarce.verify().is_ok());
    }

    /// Ends that are no nodes are counted and named as with plenty of memory, and so is what else is wrong with identifiers.
    #[test]
    fn mistakes_are_told_alike(
        kind in kinds(),
        edges in prop::collection::vec((0..PEOPLE, 0..PEOPLE), 4..90),
        strangers in prop::collection::vec((0usize..90, any::<bool>()), 1..9),
        memory in 4_800u64..12_000,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut edges = edges;
        for (at, is_src) in strangers {
            let at = at % edges.len();
            let end = if is_src { &mut edges[at].0 } else { &mut edges[at].1 };
            *end = PEOPLE + at % 7;
        }
        write_people(folder.path(), kind, &edges);
        let mut plan = plan(kind);
        plan.edges[0].labels.truncate(1);
        plan.edges[0].candidates.clear();
        let told = |plan: &GraphPlan, memory| build(plan, folder.path(), memory).err().unwrap().to_string();
        prop_assert_eq!(told(&plan, memory), told(&plan, PLENTY));
        plan.nodes[0].features.truncate(1);
        plan.edges.iter_mut().for_each(|edge| edge.missing = MissingPolicy::Drop);
        let counted = |memory| build(&plan, folder.path(), memory).map(|(_, report)| report.relations);
        match (counted(memory), counted(PLENTY)) {
            (Ok(scarce), Ok(plenty)) => prop_assert_eq!(scarce, plenty),
            (scarce, plenty) => prop_assert_eq!(scarce.err().map(|e| e.to_string()), plenty.err().map(|e| e.to_string())),
        }
    }
}
