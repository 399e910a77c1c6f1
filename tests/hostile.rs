//! Hostile tables: each ends with a clear message and exit code 1, or follows a policy that the file names and the report
//! counts; nothing is half written, nothing panics. The transcripts are in tests/transcripts/hostile.*.txt.

mod support;

use std::fmt::Write;
use support::{Folder, compare};

const FILE: &str = r#"graph small {
    node item from "items.csv" {
        key     id
        feature size = standardize(size)
        label   kind : class = kind
        split   kind = random(train: 60%, valid: 20%, test: 20%)
    }
    edge item -near-> item from "near.csv" (src, dst) { reverse near_too }
}

experiment kinds on small {
    predict item.kind
    epochs = 2
    write predictions of item to "out"
}
"#;

fn items(rows: usize) -> String {
    let mut text = String::from("id,size,kind\n");
    for i in 0..rows {
        let _ = writeln!(text, "i{i},{},{}", i % 7, ["red", "green", "blue"][i % 3]);
    }
    text
}

fn near(rows: usize) -> String {
    let mut text = String::from("src,dst\n");
    for i in 0..rows {
        let _ = writeln!(text, "i{i},i{}", (i * 7 + 3) % rows);
    }
    text
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("small.gsl", FILE).write("items.csv", items(60)).write("near.csv", near(60));
    folder
}

/// Runs the file, compares what was said, and checks that no output and no temporary file is left.
fn refuses(name: &str, folder: &Folder) {
    let ran = folder.gsc(&["run", "small.gsl", "--quiet"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    compare(&format!("hostile.{name}"), &ran.transcript());
    assert!(!folder.at("out/item.kind.parquet").exists());
    assert_eq!(leftovers(folder.path()), Vec::<String>::new());
}

fn leftovers(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(leftovers(&entry.path()));
        } else if name.contains(".tmp") {
            found.push(name);
        }
    }
    found
}

#[test]
fn the_tables_as_they_are_run() {
    let folder = folder();
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    assert!(folder.at("out/item.kind.parquet").exists());
}

#[test]
fn a_file_that_is_not_there() {
    let folder = folder();
    std::fs::remove_file(folder.at("near.csv")).unwrap();
    folder.write("nears.csv", near(60));
    refuses("missing_file", &folder);
}

#[test]
fn a_row_that_cannot_be_read() {
    let folder = folder();
    folder.write("items.csv", items(60).replace("i41,6,blue", "i41,6,blue,extra"));
    refuses("ragged_row", &folder);
}

#[test]
fn a_number_that_is_none() {
    let folder = folder();
    folder.write("items.csv", items(4000).replace("i3900,1,red", "i3900,one,red"));
    folder.write("near.csv", near(4000));
    refuses("not_a_number", &folder);
}

#[test]
fn a_key_twice() {
    let folder = folder();
    folder.write("items.csv", items(60) + "i7,1,red\ni9,1,red\n");
    refuses("key_twice", &folder);
}

#[test]
fn an_edge_to_nowhere() {
    let folder = folder();
    folder.write("near.csv", near(60) + "i3,i99\ni98,i4\n");
    refuses("dangling_edge", &folder);
}

#[test]
fn an_edge_to_nowhere_that_may_be_dropped_is_counted() {
    let folder = folder();
    folder.write("near.csv", near(60) + "i3,i99\ni98,i4\n");
    folder.write("small.gsl", FILE.replace("{ reverse near_too }", "{ reverse near_too\n missing = drop }"));
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    let report = folder.read("out/kinds/report.html");
    assert!(report.contains("dropped"), "the report counts what was dropped");
}

#[test]
fn an_infinite_feature() {
    let folder = folder();
    folder.write("items.csv", items(60).replace("i30,2,", "i30,inf,"));
    refuses("infinite", &folder);
}

#[test]
fn a_missing_number() {
    let folder = folder();
    folder.write("items.csv", items(60).replace("i30,2,", "i30,,"));
    refuses("missing_number", &folder);
}

#[test]
fn a_class_that_occurs_only_in_the_test_part() {
    let folder = folder();
    let rows: String = (0..60)
        .map(|i| {
            let (kind, part) = match i % 10 {
                9 => ("violet", "test"),
                8 => ("red", "valid"),
                _ => (["red", "green"][i % 2], "train"),
            };
            format!("i{i},{},{kind},{part}\n", i % 7)
        })
        .collect();
    folder.write("items.csv", format!("id,size,kind,part\n{rows}"));
    folder.write("small.gsl", FILE.replace("random(train: 60%, valid: 20%, test: 20%)", "column(part)"));
    refuses("class_only_in_test", &folder);
}

#[test]
fn an_empty_node_type() {
    let folder = folder();
    folder.write("items.csv", "id,size,kind\n").write("near.csv", "src,dst\n");
    refuses("empty_type", &folder);
}

#[test]
fn no_labels_at_all() {
    let folder = folder();
    let bare = items(60).replace(",red", ",").replace(",green", ",").replace(",blue", ",");
    folder.write("items.csv", bare);
    refuses("no_labels", &folder);
    folder.write("small.gsl", FILE.replace("kind : class", "kind : float"));
    refuses("no_numbers", &folder);
}

#[test]
fn text_that_is_not_utf8() {
    let folder = folder();
    let mut bytes = items(60).into_bytes();
    let at = bytes.windows(4).position(|w| w == b"i33,").unwrap();
    bytes[at] = 0xff;
    folder.write("items.csv", bytes);
    refuses("not_utf8", &folder);
}

#[test]
fn a_truncated_parquet_file() {
    let folder = folder();
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    let whole = std::fs::read(folder.at("out/item.kind.parquet")).unwrap();
    std::fs::remove_dir_all(folder.at("out")).unwrap();
    folder.write("items.parquet", &whole[..whole.len() - 20]);
    folder.write("small.gsl", FILE.replace("items.csv", "items.parquet"));
    refuses("truncated_parquet", &folder);
}

#[test]
fn a_table_that_changed_is_built_again() {
    let folder = folder();
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    folder.write("items.csv", items(60) + "i60,3,red\n");
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    let inspected = folder.gsc(&["inspect", "small.gsl", "--json"]).ok();
    assert!(inspected.out.contains("61"), "{}", inspected.out);
}

#[test]
fn a_run_is_not_resumed_on_other_tables() {
    let folder = folder();
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    folder.write("items.csv", items(60).replace("i30,2,", "i30,5,"));
    let kept = |name: &str| folder.read(&format!("out/kinds/{name}"));
    let before = [kept("plan.json"), kept("checkpoints/last.json")];
    let ran = folder.gsc(&["run", "small.gsl", "--quiet", "--resume"]);
    assert_eq!(ran.code, 1);
    compare("hostile.resume_on_changed_tables", &ran.transcript());
    assert_eq!(before, [kept("plan.json"), kept("checkpoints/last.json")], "the run is as it was");
    folder.write("items.csv", items(60));
    folder.gsc(&["run", "small.gsl", "--quiet", "--resume"]).ok();
}

#[test]
fn resuming_with_another_setting() {
    let folder = folder();
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    let ran = folder.gsc(&["run", "small.gsl", "--quiet", "--resume", "--seed", "5"]);
    assert_eq!(ran.code, 1);
    compare("hostile.resume_with_another_seed", &ran.transcript());
}

#[test]
fn a_checkpoint_cut_short() {
    let folder = folder();
    folder.gsc(&["run", "small.gsl", "--quiet"]).ok();
    let folder_of = folder.at("out/kinds/checkpoints");
    let state = std::fs::read_dir(&folder_of)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .find(|p| p.to_string_lossy().contains("last-") && p.extension().is_some_and(|e| e == "safetensors"))
        .unwrap();
    let bytes = std::fs::read(&state).unwrap();
    std::fs::write(&state, &bytes[..bytes.len() / 2]).unwrap();
    let ran = folder.gsc(&["run", "small.gsl", "--quiet", "--resume"]);
    assert_eq!(ran.code, 1);
    compare("hostile.cut_checkpoint", &ran.transcript());
}

/// A file system that is full: /dev/full answers every write with "no space left on device".
#[test]
fn a_full_disk() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let folder = folder();
    folder.gsc(&["build", "small.gsl"]).ok();
    std::fs::create_dir_all(folder.at("out/kinds")).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.at("out/kinds/report.html.tmp")).unwrap();
    let ran = folder.gsc(&["run", "small.gsl", "--quiet"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("report.html") && ran.err.contains("No space left"), "{}", ran.err);
}

#[test]
fn a_relation_without_edges_teaches_nothing() {
    let folder = folder();
    folder.write("near.csv", "src,dst\n");
    refuses("header_alone_of_edges", &folder);
}

#[test]
fn a_table_that_a_split_reads_too_is_missed_once() {
    let folder = folder();
    let split = FILE.replace(
        "predict item.kind",
        "predict link item -near-> item { split = column(part) }\n    predict reconstruct (item -near-> item).size",
    );
    folder.write("small.gsl", split);
    std::fs::remove_file(folder.at("near.csv")).unwrap();
    refuses("missed_once", &folder);
}

#[test]
fn a_part_of_a_code_finds_it() {
    let folder = folder();
    for part in ["stop_on_test", "leak::stop_on_test"] {
        let ran = folder.gsc(&["explain", part]);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains("`gsc explain gsl::leak::stop_on_test`"), "{}", ran.err);
    }
    for near in ["gsl::stop_on_test", "gsl::leak::stop_on_tset"] {
        let ran = folder.gsc(&["explain", near]);
        assert!(ran.err.contains("did you mean `gsl::leak::stop_on_test`?"), "{}", ran.err);
    }
    let ran = folder.gsc(&["explain", "nothing.gsl"]);
    assert!(
        ran.err.contains("there is no file `nothing.gsl`") && !ran.err.contains("diagnostic"),
        "{}",
        ran.err
    );
}
