//! Edges per second and core, from Parquet to the adjacency on disk, by kind of keys and number of threads.

use std::path::{Path, PathBuf};
use std::process::Command;

use billion_tables::tables::Keys;
use billion_tables::{Recipe, make};

use crate::ceilings::{Tables, copy_rate};
use crate::process::{self, Cost};
use crate::spread::Spread;
use crate::{Common, Result, Throughput};

const ENDS: [&str; 2] = ["src", "dst"];
/// What is made where no tables are given.
const SMALL: Recipe = Recipe { nodes: 100_000, edges: 5_000_000, features: 1, keys: Keys::Int, seed: 1 };

pub fn run(arguments: &Throughput) -> Result<()> {
    let made = tempfile::tempdir_in(&arguments.common.work)?;
    let folders = if arguments.data.is_empty() { small(made.path())? } else { arguments.data.clone() };
    println!(
        "Million edges per second and core, in the median (least-most) of {} runs;",
        arguments.common.runs
    );
    println!("decode: both columns of keys to memory; copy: their bytes from memory to memory.\n");
    println!(
        "{:24} {:>7} {:>22} {:>22} {:>8} {:>8} {:>9} {:>9} {:>9} {:>7}",
        "tables", "threads", "build", "decode", "of it", "copy", "seconds", "cpu s", "peak MiB", "others"
    );
    for folder in &folders {
        for &threads in &arguments.threads {
            let rounds = (0..arguments.common.runs)
                .map(|_| Round::measure(folder, threads, &arguments.common))
                .collect::<Result<Vec<_>>>()?;
            tell(folder, threads, &rounds)?;
        }
    }
    Ok(())
}

fn small(folder: &Path) -> Result<Vec<PathBuf>> {
    let kinds = [("int", Keys::Int), ("sparse", Keys::Sparse), ("text", Keys::Text)];
    let one = |(name, keys)| {
        let out = folder.join(name);
        make(&Recipe { keys, ..SMALL }, 8, &out)?;
        Ok(out)
    };
    kinds.into_iter().map(one).collect()
}

/// One build and its ceilings.
struct Round {
    build: Cost,
    /// Seconds.
    decode: f64,
    /// Bytes per second and core.
    copy: f64,
}

impl Round {
    /// Decodes first, which also brings the files into the system's cache.
    fn measure(folder: &Path, threads: u16, common: &Common) -> Result<Self> {
        let edges = Tables::open(&folder.join("edges"))?;
        let decode = edges.decode(&ENDS, threads)?;
        let copy = copy_rate(threads)?;
        let scratch = tempfile::tempdir_in(&common.work)?;
        let data = format!("data=\"{}\"", folder.canonicalize()?.display());
        let mut command = Command::new(&common.gsc);
        command.arg("build").arg(file("keys.gsl")).args(["--set", &data, "--json"]);
        command.arg("--cache").arg(scratch.path().join("cache")).args(["--threads", &threads.to_string()]);
        command.args(&common.gsc_args);
        let build = process::run(&mut command, &common.work.join("construct-gsc.log"))?;
        Ok(Self { build, decode, copy })
    }
}

/// A file that stands beside this one.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/construct").join(name)
}

fn tell(folder: &Path, threads: u16, rounds: &[Round]) -> Result<()> {
    let tables = Tables::open(&folder.join("edges"))?;
    let edges = tables.rows() as f64;
    let per_core = |seconds: f64| edges / seconds / f64::from(threads) / 1e6;
    let median = |of: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(of)).median;
    let build = Spread::of(rounds.iter().map(|r| per_core(r.build.seconds)));
    let decode = Spread::of(rounds.iter().map(|r| per_core(r.decode)));
    let bytes_per_edge = tables.decoded_bytes(&ENDS) as f64 / edges;
    println!(
        "{:24} {threads:>7} {build:>22} {decode:>22} {:>8.2} {:>8.0} {:>9.2} {:>9.2} {:>9.0} {:>7.2}",
        folder.file_name().unwrap_or_default().display(),
        build.median / decode.median,
        median(&|r| r.copy / bytes_per_edge / 1e6),
        median(&|r| r.build.seconds),
        median(&|r| r.build.cpu),
        rounds.iter().map(|r| r.build.memory.largest).max().unwrap_or(0) as f64 / f64::from(1 << 20),
        rounds.iter().map(|r| r.build.others).fold(0.0, f64::max),
    );
    Ok(())
}
