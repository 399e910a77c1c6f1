//! Building graphs under duress: killed, out of disk, out of memory; and again after a change.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gsl_runtime::graph::Graph;
use support::{Folder, command};

const NODES: u64 = 20_000;

const SOURCE: &str = r#"
graph links {
    node page from "pages.csv" {
        key     id
        feature size = log1p(size) |> standardize
        label   kind : class = kind
        split   kind = random(train: 60%, valid: 20%, test: 20%)
    }
    edge page -to-> page from "links.csv" (src, dst) { reverse from }
}
experiment kinds on links { predict page.kind }
"#;

/// Pages and so many links between them, in no order.
fn folder(links: u64) -> Folder {
    let folder = Folder::new();
    let pages: String =
        (0..NODES).map(|i| i * 7919 % NODES).map(|i| format!("p{i},{},k{}\n", i * i % 1009, i % 3)).collect();
    folder.write("pages.csv", format!("id,size,kind\n{pages}"));
    let ends = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % NODES;
    let links: String = (0..links).map(|i| format!("p{},p{}\n", ends(2 * i), ends(2 * i + 1))).collect();
    folder.write("links.csv", format!("src,dst\n{links}"));
    folder.write("links.gsl", SOURCE);
    folder
}

fn graphs(folder: &Folder) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.at(".gsl")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "h5")).collect()
}

/// Every array of a graph by its name, as the hash that stands beside it; and that hash is checked.
fn arrays(path: &Path) -> BTreeMap<String, String> {
    let graph = Graph::open(path).expect("a graph");
    graph.verify().expect("as it was written");
    let stages = &graph.meta().stages;
    let arrays = stages.iter().flat_map(|stage| &stage.arrays);
    arrays.map(|array| (array.dataset.clone(), graph.hash(&array.dataset).expect("a hash"))).collect()
}

#[test]
fn a_killed_build_leaves_nothing_half_written_and_is_made_good() {
    let (killed, whole) = (folder(400_000), folder(400_000));
    assert_eq!(whole.gsc(&["build", "links.gsl"]).code, 0);
    for milliseconds in [60, 200, 500, 900] {
        let mut child = command(killed.path(), &["build", "links.gsl", "--memory", "64MB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gsc starts");
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().ok();
        child.wait().expect("it ends");
        graphs(&killed).iter().for_each(|path| {
            arrays(path);
        });
    }
    let ran = killed.gsc(&["build", "links.gsl", "--memory", "64MB"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(arrays(&graphs(&killed)[0]), arrays(&graphs(&whole)[0]));
    let left = |folder: &Path| -> Vec<String> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".tmp") || name.ends_with(".stages")).collect()
    };
    assert_eq!(left(&killed.at(".gsl")), Vec::<String>::new());
    assert_eq!(left(&killed.at(".gsl/scratch")), Vec::<String>::new());
}

#[test]
fn a_change_rebuilds_what_depends_on_it() {
    let folder = folder(2_000);
    assert_eq!(folder.gsc(&["build", "links.gsl"]).code, 0);
    let first = arrays(&graphs(&folder)[0]);
    let stages_of = |source: &str| -> BTreeMap<String, f64> {
        folder.write("links.gsl", source);
        let built = folder.gsc(&["build", "links.gsl"]);
        assert_eq!(built.code, 0, "{}", built.err);
        let graph = Graph::open(&folder.at(built.out.trim())).expect("a graph");
        graph.meta().stages.iter().map(|stage| (stage.name.clone(), stage.seconds)).collect()
    };
    let before = stages_of(SOURCE);
    let after = stages_of(&SOURCE.replace("|> standardize", "|> min_max"));
    let kept = |name: &str| before[name] == after[name];
    assert!(kept("nodes/page") && kept("labels/page") && kept("edges/to") && !kept("features/page/size"));
    let other = graphs(&folder).into_iter().map(|path| arrays(&path)).find(|arrays| *arrays != first);
    let other = other.expect("a second graph");
    let same = first.iter().filter(|(name, hash)| other[*name] == **hash).count();
    assert_eq!(same, first.len() - 1, "all but the feature is the same");
}

/// A file system of 3 MiB that the test mounts, where it may.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "none"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Small(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_scratch_disk_is_told_and_leaves_nothing() {
    let folder = folder(3_000_000);
    let Some(small) = Small::mount(folder.at("small")) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    let scratch = small.0.display().to_string();
    let ran = folder.gsc(&["build", "links.gsl", "--memory", "64MB", "--scratch", &scratch]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("No space left") && ran.err.contains("--scratch"), "{}", ran.err);
    assert!(graphs(&folder).is_empty());
    assert_eq!(fs::read_dir(&small.0).expect("the folder").count(), 0);
}

#[test]
fn too_little_memory_is_refused() {
    let folder = folder(10);
    let ran = folder.gsc(&["build", "links.gsl", "--memory", "1MB"]);
    assert!(ran.code == 2 && ran.err.contains("64MB"), "{} {}", ran.code, ran.err);
    let ran = folder.gsc(&["build", "links.gsl", "--memory", "much"]);
    assert!(ran.code == 2 && ran.err.contains("512MB"), "{} {}", ran.code, ran.err);
}

/// The largest resident set of a process, in bytes, as it stood when it was last alive.
fn peak(folder: &Folder, args: &[&str]) -> u64 {
    let mut child = command(folder.path(), args).stdout(Stdio::null()).spawn().expect("gsc starts");
    let (mut peak, started) = (0, Instant::now());
    while child.try_wait().expect("it can be waited for").is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kb.unwrap_or(0) << 10);
        assert!(started.elapsed() < Duration::from_secs(600), "it takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(child.wait().expect("it has ended").success());
    peak
}

/// 12 million edges and their reverse are 300 MB of records; with 64 MB they go through the scratch folder. The program and the
/// readers of tables take about 100 MB besides, whatever the number of edges.
#[test]
fn long_a_build_stays_within_its_memory() {
    let folder = folder(12_000_000);
    let narrow = peak(&folder, &["build", "links.gsl", "--memory", "64MB", "--cache", "narrow"]);
    let wide = peak(&folder, &["build", "links.gsl", "--memory", "4GB", "--cache", "wide"]);
    eprintln!("peak of resident memory: {} MB with 64 MB allowed, {} MB with 4 GB", narrow >> 20, wide >> 20);
    assert!(narrow < wide / 2 && narrow < (64 + 160) << 20, "{} MB", narrow >> 20);
}
