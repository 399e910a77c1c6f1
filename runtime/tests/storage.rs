//! Features in 16 and 8 bits: what the file holds, what is read back, what is refused.

mod declared;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use declared::{edge, node};
use gsl_kernels::f16;
use gsl_plan::graph::{Key as KeyColumn, *};
use gsl_runtime::construct::{BuildError, Scratch, construct};
use gsl_runtime::graph::Graph;
use gsl_runtime::view::{GraphView, StoredMatrix};
use hdf5::types::VarLenUnicode;

const ROWS: usize = 300;

fn column(name: &str) -> FeatureExpr {
    FeatureExpr::Column { column: name.into(), kind: ColumnKind::Number }
}

/// Three columns of very different size, the last of zeros, side by side.
fn feature(storage: Storage) -> Feature {
    let expr = FeatureExpr::Concat(vec![column("small"), column("large"), column("zero")]);
    Feature { name: storage.name().into(), expr, storage, width: Some(3) }
}

/// Items and the edges between them; both have one feature in each storage.
fn plan() -> GraphPlan {
    let features: Vec<Feature> = Storage::ALL.map(feature).to_vec();
    let key = Some(KeyColumn { column: "id".into(), kind: KeyKind::Int });
    let item = NodeType { key, features: features.clone(), ..node("item", &["items.csv"]) };
    let reverse = Some("near_too".into());
    let near = EdgeType { reverse, features, ..edge("near", "near.csv", (0, "a"), (0, "b")) };
    GraphPlan { name: "items".into(), nodes: vec![item], edges: vec![near], seed: 1, graphs: None }
}

/// The numbers of row `row`: a fixed rule that leaves no pattern in the last bits.
fn numbers(row: usize) -> [f64; 3] {
    let turn = (row as f64 * 0.618_033_988_749).fract() - 0.5;
    [turn / 3.0, turn * 120_000.0, 0.0]
}

fn write_tables(folder: &Path, order: impl Iterator<Item = usize> + Clone) {
    let (mut items, mut near) =
        (String::from("id,small,large,zero\n"), String::from("a,b,small,large,zero\n"));
    for row in order {
        let [small, large, zero] = numbers(row);
        let _ = writeln!(items, "{row},{small},{large},{zero}");
        let _ = writeln!(near, "{row},{},{small},{large},{zero}", row * 7 % ROWS);
    }
    fs::write(folder.join("items.csv"), items).unwrap();
    fs::write(folder.join("near.csv"), near).unwrap();
}

fn build(plan: &GraphPlan, folder: &Path) -> Result<Graph, BuildError> {
    let file = folder.join("graph.h5");
    let scratch = Scratch { folder: folder.join("scratch"), memory: 1 << 30 };
    construct(plan, folder, &file, &scratch, &mut |_, _, _| {})?;
    Ok(Graph::open(&file)?)
}

fn built() -> (tempfile::TempDir, Graph) {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path(), 0..ROWS);
    let graph = build(&plan(), folder.path()).unwrap();
    (folder, graph)
}

/// Asserts that the rows are within the error of their storage, as docs/graph-file.md states it.
fn assert_within(storage: Storage, matrix: StoredMatrix, exact: &[f64]) {
    let most = |col: usize| exact.iter().skip(col).step_by(3).fold(0f64, |most, x| most.max(x.abs()));
    for (at, (&got, &x)) in matrix.to_vec().iter().zip(exact).enumerate() {
        let bound = match storage {
            Storage::Float32 => 2f64.powi(-24) * x.abs(),
            Storage::Float16 => (2f64.powi(-11) * x.abs()).max(2f64.powi(-25)) * 1.001,
            Storage::BFloat16 => 2f64.powi(-8) * x.abs() * 1.001,
            Storage::Int8 => most(at % 3) / 254.0 * 1.001,
        };
        assert!((f64::from(got) - x).abs() <= bound, "{storage:?} {at}: {got} for {x}");
    }
}

#[test]
fn features_come_back_within_the_error_of_their_storage() {
    let (_folder, graph) = built();
    let exact: Vec<f64> = (0..ROWS).flat_map(numbers).collect();
    let csc = graph.csc(0);
    let of_edges: Vec<f64> = csc.src.iter().flat_map(|&src| numbers(src as usize)).collect();
    for (index, storage) in Storage::ALL.into_iter().enumerate() {
        let matrix = graph.node_feature(0, index as u32);
        assert_eq!((matrix.data.bytes(), matrix.rows()), (storage.bytes(), ROWS));
        assert_eq!(graph.facts().nodes[0].features[index].storage, storage);
        assert_within(storage, matrix, &exact);
        assert_within(storage, graph.edge_feature(0, index as u32).stored, &of_edges);
        let (own, turned) = (graph.edge_feature(0, index as u32), graph.edge_feature(1, index as u32));
        assert_eq!(
            turned.stored.to_vec(),
            own.stored.to_vec(),
            "a reverse reads the forward relation's rows"
        );
    }
    graph.verify().unwrap();
}

#[test]
fn hdf5_reads_the_same_numbers() {
    let (folder, graph) = built();
    let file = hdf5::File::open(folder.path().join("graph.h5")).unwrap();
    for (base, view) in [("nodes/item", 0), ("edges/0", 1)] {
        let of = |index: u32| match view {
            0 => graph.node_feature(0, index).to_vec(),
            _ => graph.edge_feature(0, index).stored.to_vec(),
        };
        let dataset = |name: &str| file.dataset(&format!("{base}/features/{name}")).unwrap();
        assert_eq!(dataset("float").read_raw::<f32>().unwrap(), of(0));
        let halves = dataset("float16").read_raw::<f16>().unwrap();
        assert_eq!(halves.iter().map(|x| x.to_f32()).collect::<Vec<_>>(), of(1));
        let upper = dataset("bfloat16");
        let named: VarLenUnicode = upper.attr("storage").unwrap().read_scalar().unwrap();
        assert_eq!(named.as_str(), "bfloat16");
        let wide: Vec<f32> =
            upper.read_raw::<u16>().unwrap().iter().map(|&x| f32::from_bits(u32::from(x) << 16)).collect();
        assert_eq!(wide, of(2));
        let steps = dataset("int8").read_raw::<i8>().unwrap();
        let scale = file.dataset(&format!("{base}/scales/int8")).unwrap().read_raw::<f32>().unwrap();
        assert_eq!((scale.len(), scale[2]), (3, 1.0));
        let scaled: Vec<f32> =
            steps.iter().enumerate().map(|(at, &q)| f32::from(q) * scale[at % 3]).collect();
        assert_eq!(scaled, of(3));
    }
}

#[test]
fn neither_the_order_of_rows_nor_threads_change_a_stored_byte() {
    let (_folder, graph) = built();
    let bytes = |graph: &Graph| -> Vec<String> {
        let of = |index: u32| {
            format!("{:?} {:?}", graph.node_feature(0, index).data, graph.edge_feature(0, index).stored.data)
        };
        (0..4).map(of).collect()
    };
    for threads in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path(), (0..ROWS).rev());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let turned = pool.install(|| build(&plan(), folder.path())).unwrap();
        assert!(bytes(&turned) == bytes(&graph), "{threads} threads");
    }
}

#[test]
fn what_a_storage_cannot_hold_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("items.csv"), "id,small,large,zero\n1,0,65504,0\n2,0,-65505,0\n3,0,1e9,0\n")
        .unwrap();
    fs::write(folder.path().join("near.csv"), "a,b,small,large,zero\n1,2,0,0,0\n").unwrap();
    let refused = |plan: &GraphPlan| match build(plan, folder.path()) {
        Ok(_) => panic!("this was to be refused"),
        Err(error) => {
            assert!(!folder.path().join("graph.h5").exists());
            error
        }
    };
    let error = refused(&plan());
    let text = error.to_string();
    assert_eq!(error.code(), "beyond_storage");
    assert!(text.contains("feature `float16` of `item`: -65505 cannot be stored as float16"), "{text}");
    assert!(text.contains("65504, first at ") && text.contains("items.csv, row 2"), "{text}");
    assert!(error.help().unwrap().contains("bfloat16"));

    let mut edges = plan();
    edges.nodes[0].features.clear();
    edges.edges[0].features.truncate(2);
    fs::write(folder.path().join("near.csv"), "a,b,small,large,zero\n1,2,0,0,0\n2,1,7e4,0,0\n").unwrap();
    let text = refused(&edges).to_string();
    assert!(
        text.contains("feature `float16` of `near`: 70000") && text.contains("near.csv, row 2"),
        "{text}"
    );
}

#[test]
fn a_stated_width_is_kept_to() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path(), 0..ROWS);
    let mut plan = plan();
    plan.nodes[0].features[3].width = Some(4);
    let error = build(&plan, folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "feature `int8` of `item`: rows have 3 numbers, and 4 are stated");
}
