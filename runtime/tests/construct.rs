//! Tables to graph files: what must not matter does not, what is broken is named, what is stored comes back.

mod declared;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use declared::{edge, node, source};
use gsl_plan::graph::{Key as KeyColumn, *};
use gsl_runtime::construct::{
    BuildError, BuildReport, Scratch, changed_tables, construct, construct_like, construct_or_reuse,
};
use gsl_runtime::graph::{Graph, Key};
use gsl_runtime::view::GraphView;
use proptest::prelude::*;

fn column(name: &str, kind: ColumnKind) -> FeatureExpr {
    FeatureExpr::Column { column: name.to_string(), kind }
}

fn number(name: &str) -> FeatureExpr {
    column(name, ColumnKind::Number)
}

fn through(transform: Transform, input: FeatureExpr) -> FeatureExpr {
    FeatureExpr::Apply { transform, input: Box::new(input) }
}

const ONE_HOT: Transform = Transform::OneHot { top: None };
const VECTOR: Transform = Transform::Vector { separator: None, take: None };

fn feature(name: &str, expr: FeatureExpr) -> Feature {
    Feature { name: name.to_string(), expr, storage: Storage::default(), width: None }
}

fn random(train: f64, valid: f64, test: f64) -> Option<Split> {
    Some(Split::Random { train, valid, test, stratified: false })
}

/// Packages with a text key, size, priority and section; maintainers declared by their edges; depends with a kind.
fn plan() -> GraphPlan {
    let size = through(
        Transform::Standardize,
        through(Transform::Log1p, through(Transform::Fill(Fill::Mean), number("size"))),
    );
    let priority = through(ONE_HOT, column("priority", ColumnKind::Text));
    let package = NodeType {
        key: Some(KeyColumn { column: "name".into(), kind: KeyKind::Text }),
        features: vec![feature("size", size), feature("priority", priority)],
        labels: vec![Label {
            name: "section".into(),
            column: "section".into(),
            kind: LabelKind::Class,
            transforms: Vec::new(),
            several: Several::default(),
            split: random(0.6, 0.2, 0.2),
        }],
        ..node("package", &["packages*.csv"])
    };
    let maintainer = node("maintainer", &[]);
    let of = |name: &str, dst, file: &str, dst_column: &str, reverse: &str, features| EdgeType {
        reverse: Some(reverse.into()),
        features,
        ..edge(name, file, (0, "package"), (dst, dst_column))
    };
    let kind = feature("kind", through(ONE_HOT, column("kind", ColumnKind::Text)));
    GraphPlan {
        name: "debian".into(),
        nodes: vec![package, maintainer],
        edges: vec![
            of("depends", 0, "depends*.csv", "target", "needed_by", vec![kind]),
            of("kept_by", 1, "kept_by.csv", "maintainer", "keeps", Vec::new()),
        ],
        seed: 7,
        graphs: None,
    }
}

const PACKAGES: &[&str] = &[
    "bash,100,required,shells",
    "zsh,,optional,shells",
    "vim,300,optional,editors",
    "\"a,b\",50,extra,",
    "emacs,900,optional,editors",
];
const DEPENDS: &[&str] =
    &["vim,bash,pre", "zsh,bash,dep", "emacs,vim,dep", "vim,bash,dep", "\"a,b\",\"a,b\",dep", "bash,vim,dep"];
const KEPT: &[&str] = &["bash,3", "vim,11", "zsh,3", "emacs,2"];

fn write_rows(folder: &Path, name: &str, header: &str, rows: &[&str]) {
    fs::write(folder.join(name), format!("{header}\n{}\n", rows.join("\n"))).unwrap();
}

fn write_debian(folder: &Path) {
    write_rows(folder, "packages.csv", "name,size,priority,section", PACKAGES);
    write_rows(folder, "depends.csv", "package,target,kind", DEPENDS);
    write_rows(folder, "kept_by.csv", "package,maintainer", KEPT);
}

/// Plenty of memory, and a folder that no build is to need.
fn scratch() -> Scratch {
    Scratch { folder: "/proc/no-such-folder".into(), memory: 1 << 30 }
}

/// Next to no memory.
fn narrow(folder: &Path, memory: u64) -> Scratch {
    Scratch { folder: folder.join("scratch"), memory }
}

fn build(plan: &GraphPlan, folder: &Path) -> Result<(Graph, BuildReport), BuildError> {
    build_in(plan, folder, &scratch())
}

fn build_in(plan: &GraphPlan, folder: &Path, scratch: &Scratch) -> Result<(Graph, BuildReport), BuildError> {
    let file = folder.join("graph.h5");
    let report = construct(plan, folder, &file, scratch, &mut |_, _, _| {})?;
    Ok((Graph::open(&file)?, report))
}

fn refusal(plan: &GraphPlan, folder: &Path) -> BuildError {
    match build(plan, folder) {
        Ok(_) => panic!("this was to be refused"),
        Err(error) => {
            assert!(!folder.join("graph.h5").exists(), "a refused build leaves no file");
            assert!(
                fs::read_dir(folder).unwrap().all(|e| !e
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .ends_with(".tmp"))
            );
            error
        }
    }
}

/// Everything in a graph that must not depend on the order of rows.
fn content(graph: &Graph) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let bits = |data: &[f32]| data.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    for (ty, facts) in graph.facts().nodes.iter().enumerate() {
        let ty = ty as u32;
        let keys: Vec<String> =
            (0..graph.node_count(ty)).map(|id| graph.key(ty, id as u32).to_string()).collect();
        all.insert(format!("{} keys", facts.name), format!("{keys:?}"));
        for (index, feature) in facts.features.iter().enumerate() {
            let matrix = graph.node_feature(ty, index as u32);
            all.insert(
                format!("{}.{}", facts.name, feature.name),
                format!("{} {:?}", matrix.width, bits(&matrix.to_vec())),
            );
        }
        for (index, label) in facts.labels.iter().enumerate() {
            let (values, parts) = (graph.label(ty, index as u32), graph.parts(ty, index as u32));
            all.insert(format!("{}.{}", facts.name, label.name), format!("{label:?} {values:?} {parts:?}"));
        }
        all.insert(format!("{} degree", facts.name), format!("{:?}", graph.degree(ty)));
    }
    for (rel, facts) in graph.facts().relations.iter().enumerate() {
        let csc = graph.csc(rel as u32);
        all.insert(format!("{rel} {facts:?}"), format!("{:?} {:?}", csc.indptr, csc.src));
        for index in 0..facts.features.len() {
            let feature = graph.edge_feature(rel as u32, index as u32);
            all.insert(
                format!("{rel}.{index}"),
                format!("{:?} {:?}", bits(&feature.stored.to_vec()), feature.rows),
            );
        }
    }
    all.insert("fitted".into(), format!("{:?}", graph.fitted()));
    all
}

#[test]
fn a_small_graph_is_what_its_tables_say() {
    let folder = tempfile::tempdir().unwrap();
    write_debian(folder.path());
    let (graph, report) = build(&plan(), folder.path()).unwrap();
    let keys: Vec<String> = (0..5).map(|id| graph.key(0, id).to_string()).collect();
    assert_eq!(keys, ["a,b", "bash", "emacs", "vim", "zsh"]);
    assert_eq!(
        (0..3).map(|id| graph.key(1, id)).collect::<Vec<_>>(),
        [Key::Int(2), Key::Int(3), Key::Int(11)]
    );
    assert_eq!(graph.keys(0).find(Key::Text("vim")), Some(3));
    assert_eq!(graph.keys(0).find(Key::Text("nano")), None);
    let names: Vec<&str> = graph.facts().relations.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["depends", "needed_by", "kept_by", "keeps"]);
    let depends = graph.csc(0);
    assert_eq!((depends.indptr, depends.src), (&[0, 1, 4, 4, 6, 6][..], &[0, 3, 3, 4, 1, 2][..]));
    let reverse = graph.csc(1);
    assert_eq!((reverse.indptr, reverse.src), (&[0, 1, 2, 3, 5, 6][..], &[0, 3, 3, 1, 1, 1][..]));
    assert_eq!(graph.degree(0), [2.0, 5.0, 2.0, 5.0, 2.0]);
    let kind = graph.edge_feature(0, 0);
    assert_eq!((kind.stored.width, kind.rows), (2, None));
    assert_eq!(
        kind.stored.to_vec()[2..6],
        [0.0, 1.0, 1.0, 0.0],
        "parallel edges are ordered by their features"
    );
    let turned = graph.edge_feature(1, 0);
    assert_eq!(turned.rows.unwrap(), [0, 4, 5, 1, 2, 3]);
    assert_eq!(graph.facts().nodes[0].labels[0].classes, ["editors", "shells"]);
    assert_eq!(graph.label(0, 0), [-1.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(graph.parts(0, 0)[0], Part::None as u8);
    assert_eq!(graph.node_feature(0, 1).row(1), [0.0, 0.0, 1.0]);
    let package = &report.nodes[0];
    assert_eq!(
        (package.rows, package.features[0].missing, package.labels[0].unlabelled, package.isolated),
        (5, 1, 1, 0)
    );
    assert_eq!((report.relations[0].self_loops, report.relations[0].parallel), (1, 1));
    graph.verify().unwrap();
}

#[test]
fn words_that_name_no_part_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan();
    plan.edges.clear();
    plan.nodes.truncate(1);
    plan.nodes[0].labels[0].split = Some(Split::Column { column: "priority".into() });
    let write = |parts: [&str; 6]| {
        let rows: Vec<String> =
            parts.iter().enumerate().map(|(i, part)| format!("p{i},1,{part},s{}", i % 2)).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        write_rows(folder.path(), "packages.csv", "name,size,priority,section", &rows);
        let _ = fs::remove_file(folder.path().join("graph.h5"));
    };
    write(["train", "Training", "dev", "val", "", "dev"]);
    let (_, report) = build(&plan, folder.path()).unwrap();
    let said = "split of label `section` of `package`: column `priority` has `dev` in 2 rows, which names no part: \
                train, valid (val), test";
    assert!(report.warnings.iter().any(|warning| warning == said), "{:?}", report.warnings);

    write(["train", "train", "VALID", "val", "", "testing"]);
    let (_, report) = build(&plan, folder.path()).unwrap();
    assert!(
        !report.warnings.iter().any(|warning| warning.contains("names no part")),
        "{:?}",
        report.warnings
    );

    write(["0", "1", "2", "3", "", "3"]);
    let help = refusal(&plan, folder.path()).help().unwrap();
    let rule = "`split section = by priority (train: < 2, valid: 2, test: > 2)`";
    assert!(help.contains("`0` in 1 row") && help.contains(rule), "{help}");
}

#[test]
fn no_key_means_row_numbers_and_int_keys_may_have_gaps() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path(), "packages.csv", "name,size,priority,section", PACKAGES);
    write_rows(folder.path(), "depends.csv", "package,target,kind", &["0,4,x", "4,0,y"]);
    let mut plan = plan();
    plan.nodes.truncate(1);
    plan.edges.truncate(1);
    plan.nodes[0].key = None;
    let (graph, _) = build(&plan, folder.path()).unwrap();
    assert_eq!((graph.key(0, 4), graph.csc(0).src), (Key::Row(4), &[4, 0][..]));
    fs::remove_file(folder.path().join("graph.h5")).unwrap();
    write_rows(folder.path(), "depends.csv", "package,target,kind", &["0,5,x"]);
    let error = refusal(&plan, folder.path());
    assert!(error.code() == "dangling_edges" && error.to_string().contains("`5`"), "{error}");
}

#[test]
fn families_expand_to_sorted_relations_with_their_reverses() {
    let folder = tempfile::tempdir().unwrap();
    write_debian(folder.path());
    let mut plan = plan();
    plan.edges.truncate(1);
    plan.nodes.truncate(1);
    plan.edges[0].relation = Relation::Column("kind".into());
    let (graph, report) = build(&plan, folder.path()).unwrap();
    let facts = &graph.facts().relations;
    let names: Vec<&str> = facts.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["dep", "needed_by_dep", "pre", "needed_by_pre"]);
    assert_eq!(facts.iter().map(|r| r.reverse_of).collect::<Vec<_>>(), [None, Some(0), None, Some(2)]);
    assert_eq!(facts.iter().map(|r| r.edges).collect::<Vec<_>>(), [5, 5, 1, 1]);
    assert_eq!(graph.stored_rows(2), [0]);
    assert_eq!(report.relations.len(), 2);
}

#[test]
fn policies_drop_and_count() {
    let folder = tempfile::tempdir().unwrap();
    write_debian(folder.path());
    let packages = [PACKAGES, &["vim,1,extra,shells"]].concat();
    write_rows(folder.path(), "packages.csv", "name,size,priority,section", &packages);
    let error = refusal(&plan(), folder.path());
    assert_eq!(error.code(), "duplicate_keys");
    assert!(error.to_string().contains("row 6 (line 7) and before at"), "{error}");
    let mut lenient = plan();
    lenient.nodes[0].duplicates = DuplicatePolicy::First;
    let depends = [DEPENDS, &["vim,nano,dep", "pico,vim,dep", "vim,,dep"]].concat();
    write_rows(folder.path(), "depends.csv", "package,target,kind", &depends);
    let error = refusal(&lenient, folder.path());
    assert_eq!(error.code(), "dangling_edges");
    assert!(error.to_string().contains("`pico`") && error.to_string().contains("row 8 (line 9)"), "{error}");
    lenient.edges[0].missing = MissingPolicy::Drop;
    let (graph, report) = build(&lenient, folder.path()).unwrap();
    assert_eq!(report.nodes[0].duplicates_dropped, 1);
    assert_eq!(
        (report.relations[0].dropped_src, report.relations[0].dropped_dst, report.relations[0].edges),
        (1, 2, 6)
    );
    assert_eq!(graph.csc(0).src.len(), 6);
}

#[test]
fn broken_data_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let check = |code: &str, words: &[&str], change: &dyn Fn(&mut GraphPlan, &Path)| {
        write_debian(folder.path());
        let mut plan = plan();
        change(&mut plan, folder.path());
        let error = refusal(&plan, folder.path());
        assert_eq!(error.code(), code, "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word}: {error}"));
    };
    check("missing_values", &["`size` of `package`", "1 rows", "row 2 (line 3)"], &|plan, _| {
        plan.nodes[0].features[0].expr = number("size");
    });
    check("not_finite", &["inf", "row 1 (line 2)"], &|plan, folder| {
        write_rows(folder, "packages.csv", "name,size,priority,section", &["bash,inf,x,a", "vim,1,x,b"]);
        plan.edges.clear();
        plan.nodes.truncate(1);
        plan.nodes[0].features[0].expr = number("size");
    });
    check("transform", &["log1p of -3", "row 1"], &|plan, folder| {
        write_rows(folder, "packages.csv", "name,size,priority,section", &["bash,-3,x,a", "vim,1,x,b"]);
        plan.edges.clear();
        plan.nodes.truncate(1);
    });
    check("empty_node_type", &["`package`"], &|_, folder| {
        write_rows(folder, "packages.csv", "name,size,priority,section", &[]);
    });
    check("no_labels", &["package.section"], &|plan, folder| {
        write_rows(folder, "packages.csv", "name,size,priority,section", &["bash,1,x,", "vim,1,x,"]);
        plan.edges.clear();
        plan.nodes.truncate(1);
    });
    check("missing_keys", &["row 2 (line 3)"], &|_, folder| {
        write_rows(folder, "packages.csv", "name,size,priority,section", &["bash,1,x,a", ",1,x,b"]);
    });
    check("no_training_rows", &["package.section"], &|plan, _| {
        plan.nodes[0].labels[0].split = random(0.0, 0.5, 0.5);
    });
    check("bad_fractions", &["1.5"], &|plan, _| {
        plan.nodes[0].labels[0].split = random(0.5, 0.5, 0.5);
    });
    check("class_only_in_test", &["editors"], &|plan, folder| {
        let rows = ["bash,1,train,shells", "zsh,1,train,shells", "vim,1,test,editors"];
        write_rows(folder, "packages.csv", "name,size,priority,section", &rows);
        plan.nodes[0].labels[0].split = Some(Split::Column { column: "priority".into() });
        plan.edges.clear();
        plan.nodes.truncate(1);
    });
    check("no_such_column", &["no column `sizes`"], &|plan, _| {
        plan.nodes[0].features[0].expr = number("sizes");
    });
    check("not_parsed", &["row 1 (line 2)", "`100kB`"], &|_, folder| {
        let rows = ["bash,100kB,x,a", "zsh,1,x,a", "vim,2,x,a", "emacs,3,x,a"];
        write_rows(folder, "packages.csv", "name,size,priority,section", &rows);
    });
    check("unknown_split_keys", &["`nano`", "train.csv, row 2 (line 3)"], &|plan, folder| {
        write_rows(folder, "train.csv", "name", &["bash", "nano"]);
        plan.nodes[0].labels[0].split =
            Some(Split::Files { train: source("train.csv"), valid: None, test: None });
    });
    check("key_in_two_parts", &["`bash`", "test.csv, row 1"], &|plan, folder| {
        write_rows(folder, "test.csv", "any", &["bash"]);
        let split = Split::Files { train: source("train.csv"), valid: None, test: Some(source("test.csv")) };
        write_rows(folder, "train.csv", "name", &["bash", "vim"]);
        plan.nodes[0].labels[0].split = Some(split);
    });
}

#[test]
fn splits_by_word_bound_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        "1,2016-05-01,a,Train",
        "2,2018-05-01,b,val",
        "3,2019-05-01,a,test",
        "4,2017-01-01,b,",
        "5,2015-01-01,,train",
    ];
    write_rows(folder.path(), "packages.csv", "name,day,section,fold", &rows);
    write_rows(folder.path(), "train.csv", "id", &["1", "2"]);
    write_rows(folder.path(), "test.csv", "name,note", &["4,x"]);
    let mut plan = plan();
    plan.edges.clear();
    plan.nodes.truncate(1);
    plan.nodes[0].features.clear();
    plan.nodes[0].key = Some(KeyColumn { column: "name".into(), kind: KeyKind::Int });
    let mut parts = |split: Split| {
        plan.nodes[0].labels[0].split = Some(split);
        build(&plan, folder.path()).unwrap().0.parts(0, 0).to_vec()
    };
    assert_eq!(parts(Split::Column { column: "fold".into() }), [1, 2, 3, 0, 0]);
    let bound = |compare, value| vec![Bound { compare, value }];
    let by_year = Split::By {
        column: "day".into(),
        train: bound(Compare::Less, Scalar::Number(2018.0)),
        valid: bound(Compare::Equal, Scalar::Number(2018.0)),
        test: bound(Compare::Greater, Scalar::Number(2018.0)),
    };
    assert_eq!(parts(by_year), [1, 2, 3, 1, 0]);
    let by_day = Split::By {
        column: "day".into(),
        train: bound(Compare::LessEqual, Scalar::Text("2018-05-01".into())),
        valid: Vec::new(),
        test: bound(Compare::Greater, Scalar::Text("2018-05-01".into())),
    };
    assert_eq!(parts(by_day), [1, 1, 3, 1, 0]);
    let files = Split::Files { train: source("train.csv"), valid: None, test: Some(source("test.csv")) };
    assert_eq!(parts(files), [1, 1, 0, 3, 0]);
}

#[test]
fn targets_are_transformed_and_described() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path(), "packages.csv", "name,y", &["a,0", "b,1", "c,", "d,3"]);
    let mut plan = plan();
    plan.edges.clear();
    plan.nodes.truncate(1);
    plan.nodes[0].features.clear();
    plan.nodes[0].labels = vec![Label {
        name: "y".into(),
        column: "y".into(),
        kind: LabelKind::Float,
        transforms: vec![Transform::Log1p],
        several: Several::default(),
        split: None,
    }];
    let (graph, _) = build(&plan, folder.path()).unwrap();
    let y = graph.label(0, 0);
    assert!(y[2].is_nan() && (y[3] - 4f32.ln()).abs() < 1e-6);
    assert_eq!(graph.parts(0, 0), [1, 1, 0, 1]);
    let facts = &graph.facts().nodes[0].labels[0];
    assert!((facts.mean - (2f64.ln() + 4f64.ln()) / 3.0).abs() < 1e-6 && facts.parts == [0, 3, 0, 0]);
}

#[test]
fn joined_tables_follow_the_key() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path(), "packages.csv", "name,section", &["b,x", "a,y", "c,x"]);
    write_rows(folder.path(), "sizes.csv", "size,name", &["3,c", "1,a", "9,z"]);
    let mut plan = plan();
    plan.edges.clear();
    plan.nodes.truncate(1);
    plan.nodes[0].sources.push(source("sizes.csv"));
    plan.nodes[0].features =
        vec![feature("size", through(Transform::Fill(Fill::Constant(-1.0)), number("size")))];
    plan.nodes[0].labels[0].split = None;
    let (graph, report) = build(&plan, folder.path()).unwrap();
    assert_eq!(graph.node_feature(0, 0).to_vec(), [1.0, -1.0, 3.0]);
    assert_eq!((report.nodes[0].rows_without_node, report.nodes[0].nodes_without_row), (1, 1));
}

#[test]
fn graphs_are_reused_until_plan_or_tables_change() {
    let folder = tempfile::tempdir().unwrap();
    write_debian(folder.path());
    let cache = folder.path().join("cache");
    let get = |plan: &GraphPlan| {
        construct_or_reuse(plan, folder.path(), &cache, &scratch(), &mut |_, _, _| {}).unwrap()
    };
    let mut plan = plan();
    plan.nodes[0].labels[0].split = random(1.0, 0.0, 0.0);
    let (graph, report, reused) = get(&plan);
    assert!(!reused && changed_tables(&graph, folder.path()).is_empty());
    let (again, stored, reused) = get(&plan);
    assert!(reused && stored == report && content(&again) == content(&graph));
    let mut other = plan.clone();
    other.seed = 8;
    assert!(!get(&other).2);
    write_rows(folder.path(), "kept_by.csv", "package,maintainer", &["bash,3"]);
    let changed = changed_tables(&graph, folder.path());
    assert!(changed.len() == 1 && changed[0].ends_with("kept_by.csv"));
    assert!(!get(&plan).2);
}

#[test]
fn damaged_graph_files_are_refused_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    write_debian(folder.path());
    let cache = folder.path().join("cache");
    let get = || construct_or_reuse(&plan(), folder.path(), &cache, &scratch(), &mut |_, _, _| {}).unwrap();
    let path = get().0.path().to_path_buf();
    let good = fs::read(&path).unwrap();
    for length in [0, 10, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        let error = Graph::open(&path).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "corrupt_graph", "{error}");
    }
    let keys = good.windows(4).position(|w| w == b"a,bb").unwrap();
    let mut bad = good.clone();
    bad[keys] = b'z';
    fs::write(&path, &bad).unwrap();
    assert!(
        Graph::open(&path).unwrap().verify().unwrap_err().to_string().contains("nodes/package/keys/bytes")
    );
    let (graph, _, reused) = get();
    assert!(!reused && graph.verify().is_ok());
    fs::write(&path, b"no graph at all").unwrap();
    assert_eq!(Graph::open(&path).map(|_| ()).unwrap_err().code(), "corrupt_graph");
    assert_eq!(Graph::open(&folder.path().join("none.h5")).map(|_| ()).unwrap_err().code(), "no_graph");
}

#[test]
fn new_tables_get_the_statistics_of_the_old() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_debian(old.path());
    write_debian(new.path());
    write_rows(
        new.path(),
        "packages.csv",
        "name,size,priority,section",
        &["bash,100,required,", "nano,1000,novel,games"],
    );
    write_rows(new.path(), "depends.csv", "package,target,kind", &["nano,bash,odd"]);
    write_rows(new.path(), "kept_by.csv", "package,maintainer", &["nano,1"]);
    let (graph, _) = build(&plan(), old.path()).unwrap();
    let file = new.path().join("graph.h5");
    construct_like(&plan(), new.path(), &file, &graph, &scratch(), &mut |_, _, _| {}).unwrap();
    let like = Graph::open(&file).unwrap();
    assert_eq!(like.node_feature(0, 0).row(0), graph.node_feature(0, 0).row(1), "bash is as large as it was");
    assert_eq!(
        (like.node_feature(0, 1).row(0), like.node_feature(0, 1).row(1)),
        (vec![0.0, 0.0, 1.0], vec![0.0; 3])
    );
    assert_eq!(like.label(0, 0), [-1.0, -1.0]);
    assert_eq!(like.facts().nodes[0].labels[0].classes, ["editors", "shells"]);
    assert_eq!(like.edge_feature(0, 0).stored.to_vec(), [0.0, 0.0]);
}

/// Every transform, on one table, fitted on its training rows; then applied to the same table by what the file stored.
#[test]
fn every_transform_is_reapplied_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> = (0..200)
        .map(|i| {
            let x = if i % 17 == 0 { String::new() } else { format!("{}", f64::from(i * i % 97) / 7.0) };
            let date = format!("20{:02}-{:02}-{:02}", i % 30, 1 + i % 12, 1 + i % 28);
            let text = if i % 11 == 0 { String::new() } else { format!("t{}", i % 9) };
            format!(
                "k{i},{x},{},w{} w{},\"[{i}, {}, 0.5]\",c{},{date},{date}T{:02}:30:00Z,{text},{i};2;{}",
                i % 5,
                i % 3,
                i % 7,
                i + 1,
                i % 2,
                i % 24,
                i % 4
            )
        })
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    write_rows(folder.path(), "packages.csv", "name,x,n,words,v,section,d,at,t,numbers", &rows);
    let x = || through(Transform::Fill(Fill::Median), number("x"));
    let lists = || column("v", ColumnKind::Vector { width: None });
    let vector = || through(VECTOR, lists());
    let text = || column("t", ColumnKind::Text);
    let part = |part, of: &str, kind| through(Transform::Part(part), column(of, kind));
    let of = |transform| through(transform, x());
    let features = vec![
        feature("standardize", of(Transform::Standardize)),
        feature("min_max", of(Transform::MinMax { low: None, high: None })),
        feature("min_max_low", of(Transform::MinMax { low: Some(-1.0), high: None })),
        feature("min_max_both", of(Transform::MinMax { low: Some(2.0), high: Some(8.0) })),
        feature("sum_normalize", of(Transform::SumNormalize)),
        feature("gauss_rank", of(Transform::GaussRank)),
        feature("quantile", of(Transform::Quantile)),
        feature("log1p", of(Transform::Log1p)),
        feature("sqrt", of(Transform::Sqrt)),
        feature("abs", of(Transform::Abs)),
        feature("clip", of(Transform::Clip { low: 1.0, high: 9.0 })),
        feature("bucket", of(Transform::Bucket(Buckets::Bounds(vec![2.0, 5.0, 9.0])))),
        feature(
            "bucket_even",
            of(Transform::Bucket(Buckets::Even { count: 5, from: 0.0, to: 14.0, window: 1.5 })),
        ),
        feature("bucket_quantiles", of(Transform::Bucket(Buckets::Quantiles(4)))),
        feature("fill_mean", through(Transform::Fill(Fill::Mean), number("x"))),
        feature("fill_mode", through(Transform::Fill(Fill::Mode), number("x"))),
        feature("fill_text", through(ONE_HOT, through(Transform::Fill(Fill::Text("none".into())), text()))),
        feature("fill_text_mode", through(ONE_HOT, through(Transform::Fill(Fill::Mode), text()))),
        feature("one_hot", through(ONE_HOT, number("n"))),
        feature("one_hot_top", through(Transform::OneHot { top: Some(3) }, text())),
        feature("hash", through(Transform::Hash { columns: 6 }, text())),
        feature(
            "multi_hot",
            through(Transform::MultiHot { separator: " ".into() }, column("words", ColumnKind::Text)),
        ),
        feature("vector", vector()),
        feature("vector_take", through(Transform::Vector { separator: None, take: Some(2) }, lists())),
        feature(
            "vector_text",
            through(
                Transform::Vector { separator: Some(";".into()), take: None },
                column("numbers", ColumnKind::Text),
            ),
        ),
        feature("rows", through(Transform::NormalizeRows { p: 2 }, vector())),
        feature("wide", through(Transform::Standardize, vector())),
        feature(
            "sum",
            FeatureExpr::Arith {
                op: Arith::Div,
                left: Box::new(x()),
                right: Box::new(FeatureExpr::Const(2.0)),
            },
        ),
        feature("concat", FeatureExpr::Concat(vec![x(), vector()])),
        feature(
            "month",
            through(Transform::Cyclic { period: 12.0 }, part(DatePart::Month, "d", ColumnKind::Date)),
        ),
        feature("days", through(Transform::Standardize, part(DatePart::Days, "at", ColumnKind::Time))),
        feature("hour", part(DatePart::Hour, "at", ColumnKind::Time)),
    ];
    let mut plan = plan();
    plan.edges.clear();
    plan.nodes.truncate(1);
    plan.nodes[0].features = features;
    let (graph, _) = build(&plan, folder.path()).unwrap();
    let widths: Vec<usize> = graph.facts().nodes[0].features.iter().map(|f| f.width).collect();
    let expected =
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 5, 4, 1, 1, 10, 9, 5, 4, 6, 7, 3, 2, 3, 3, 3, 1, 4, 2, 1, 1];
    assert_eq!(widths, expected);
    let again = folder.path().join("again.h5");
    construct_like(&plan, folder.path(), &again, &graph, &scratch(), &mut |_, _, _| {}).unwrap();
    let again = Graph::open(&again).unwrap();
    assert_eq!(content(&again), content(&graph));
    let train: Vec<f32> = (0..200)
        .filter(|&id| graph.parts(0, 0)[id] == Part::Train as u8)
        .map(|id| graph.node_feature(0, 0).row(id)[0])
        .collect();
    assert!(train.len() > 80 && train.iter().sum::<f32>().abs() / (train.len() as f32) < 1e-6);
    let all: f32 = graph.node_feature(0, 0).to_vec().iter().sum();
    assert!(all.abs() / 200.0 > 1e-6, "statistics come from the training rows alone");
}

fn shuffled(rows: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    Just(rows).prop_shuffle()
}

/// Rows of nodes and edges, both again in another order, where to cut those into files, threads, bytes of memory.
type RandomTables = (Vec<String>, Vec<String>, Vec<String>, Vec<String>, usize, usize, usize, u64);

fn random_tables() -> impl Strategy<Value = RandomTables> {
    (2usize..25, prop::collection::vec((any::<u16>(), any::<u16>(), 0u8..3), 1..60)).prop_flat_map(
        |(n, edges)| {
            let nodes: Vec<String> =
                (0..n).map(|i| format!("n{},{},p{},s{}", i * 7 % 31, i * i % 13, i % 4, i % 3)).collect();
            let key = |x: u16| usize::from(x) % n * 7 % 31;
            let edges: Vec<String> =
                edges.into_iter().map(|(a, b, kind)| format!("n{},n{},k{kind}", key(a), key(b))).collect();
            let (cut_nodes, cut_edges) = (0..=nodes.len(), 0..=edges.len());
            (
                Just(nodes.clone()),
                Just(edges.clone()),
                shuffled(nodes),
                shuffled(edges),
                cut_nodes,
                cut_edges,
                1usize..4,
                4_000u64..12_000,
            )
        },
    )
}

#[test]
fn what_memory_has_no_room_for_goes_through_the_scratch_folder() {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<String> = (0..300).map(|i| format!("p{}", i * 7 % 1000)).collect();
    let packages: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| format!("{key},{},r{},s{}", i * i % 91, i % 3, i % 2))
        .collect();
    let depends: Vec<String> =
        (0..4000).map(|i| format!("{},{},k{}", keys[i * i % 300], keys[i * 31 % 300], i % 4)).collect();
    let texts = |rows: &[String]| rows.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    write_rows(folder.path(), "packages.csv", "name,size,priority,section", &[&texts(&packages)]);
    write_rows(folder.path(), "depends.csv", "package,target,kind", &[&texts(&depends)]);
    let mut plan = plan();
    plan.nodes.truncate(1);
    plan.edges.truncate(1);
    let (wide, _) = build(&plan, folder.path()).unwrap();
    let scratch = narrow(folder.path(), 200_000);
    let (narrow, _) = build_in(&plan, folder.path(), &scratch).unwrap();
    assert_eq!(content(&wide), content(&narrow));
    assert_eq!(fs::read_dir(&scratch.folder).unwrap().count(), 0, "it was needed, and nothing is left in it");
    let (tiny, _) = build_in(&plan, folder.path(), &Scratch { memory: 5_000, ..scratch }).unwrap();
    assert_eq!(content(&wide), content(&tiny), "not even the identifiers fit");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The order of rows, the number of files, the number of threads and the memory leave no trace.
    #[test]
    fn order_files_threads_and_memory_do_not_matter((nodes, edges, mixed_nodes, mixed_edges, cut_nodes, cut_edges, threads, memory) in random_tables()) {
        let mut plan = plan();
        plan.nodes.truncate(1);
        plan.edges.truncate(1);
        plan.nodes[0].labels[0].split = Some(Split::Random { train: 0.7, valid: 0.1, test: 0.2, stratified: true });
        plan.nodes[0].features.push(feature("rank", through(Transform::GaussRank, number("size"))));
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let refs = |rows: &[String]| -> Vec<String> { rows.to_vec() };
        let put = |folder: &Path, name: &str, header: &str, rows: Vec<String>| {
            write_rows(folder, name, header, &rows.iter().map(String::as_str).collect::<Vec<_>>());
        };
        let (node_header, edge_header) = ("name,size,priority,section", "package,target,kind");
        put(one.path(), "packages.csv", node_header, refs(&nodes));
        put(one.path(), "depends.csv", edge_header, refs(&edges));
        put(two.path(), "packages-1.csv", node_header, refs(&mixed_nodes[..cut_nodes]));
        put(two.path(), "packages-2.csv", node_header, refs(&mixed_nodes[cut_nodes..]));
        put(two.path(), "depends-1.csv", edge_header, refs(&mixed_edges[..cut_edges]));
        put(two.path(), "depends-2.csv", edge_header, refs(&mixed_edges[cut_edges..]));
        let (first, _) = build(&plan, one.path()).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let scratch = narrow(two.path(), memory);
        let (second, _) = pool.install(|| build_in(&plan, two.path(), &scratch)).unwrap();
        prop_assert!(fs::read_dir(&scratch.folder).map_or(true, |mut left| left.next().is_none()), "nothing is left");
        prop_assert_eq!(content(&first), content(&second));
    }
}
