//! `gsc build` and GraphStorm's `construct_graph` in turns, on the same tables and for the same graph: one node type with
//! text keys, a vector, a class and a split by files; one relation without its reverse; one partition.

use std::path::Path;
use std::process::Command;

use crate::process::{self, Cost};
use crate::spread::Spread;
use crate::throughput::file;
use crate::{Peer, Result};

pub fn run(arguments: &Peer) -> Result<()> {
    let data = arguments.data.canonicalize().map_err(|e| format!("{}: {e}", arguments.data.display()))?;
    read_all(&data)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..arguments.common.runs {
        ours.push(gsc(&data, arguments)?);
        theirs.push(graphstorm(&data, arguments)?);
    }
    println!(
        "{:12} {:>22} {:>22} {:>20} {:>20} {:>7}",
        "", "seconds", "cpu seconds", "largest process MiB", "all processes MiB", "others"
    );
    tell("gsc", &ours);
    tell("GraphStorm", &theirs);
    let median = |costs: &[Cost], of: fn(&Cost) -> f64| Spread::of(costs.iter().map(of)).median;
    println!(
        "\nGraphStorm takes {:.1} times as long, {:.1} times the processor time, {:.1} times the memory.",
        median(&theirs, |c| c.seconds) / median(&ours, |c| c.seconds),
        median(&theirs, |c| c.cpu) / median(&ours, |c| c.cpu),
        median(&theirs, |c| c.memory.tree as f64) / median(&ours, |c| c.memory.tree as f64),
    );
    Ok(())
}

fn gsc(data: &Path, arguments: &Peer) -> Result<Cost> {
    let common = &arguments.common;
    let scratch = tempfile::tempdir_in(&common.work)?;
    let mut command = Command::new(&common.gsc);
    command.arg("build").arg(file("peer.gsl")).args([
        "--set",
        &format!("data=\"{}\"", data.display()),
        "--json",
    ]);
    command
        .arg("--cache")
        .arg(scratch.path().join("cache"))
        .args(["--threads", &arguments.threads.to_string()]);
    process::run(command.args(&common.gsc_args), &common.work.join("construct-gsc.log"))
}

/// Runs in the folder of the tables, where the paths of its configuration lead.
fn graphstorm(data: &Path, arguments: &Peer) -> Result<Cost> {
    let common = &arguments.common;
    let scratch = tempfile::tempdir_in(&common.work)?;
    let processes = arguments.threads.to_string();
    let mut command = Command::new(std::path::absolute(&arguments.python)?);
    command.args(["-m", "graphstorm.gconstruct.construct_graph", "--graph-name", "peer", "--num-parts", "1"]);
    command.arg("--conf-file").arg(file("peer.json")).arg("--output-dir").arg(scratch.path().join("graph"));
    command.args(["--part-method", "random", "--num-processes", &processes]).current_dir(data);
    command.env("OMP_NUM_THREADS", &processes).env("DGLBACKEND", "pytorch");
    process::run(&mut command, &common.work.join("construct-graphstorm.log"))
}

/// Brings the tables into the system's cache for either.
fn read_all(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path)?;
        } else {
            std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::sink())?;
        }
    }
    Ok(())
}

fn tell(name: &str, costs: &[Cost]) {
    let mib = |of: fn(&Cost) -> u64| Spread::of(costs.iter().map(|c| (of(c) >> 20) as f64)).high;
    println!(
        "{name:12} {:>22} {:>22} {:>20} {:>20} {:>7.2}",
        Spread::of(costs.iter().map(|c| c.seconds)),
        Spread::of(costs.iter().map(|c| c.cpu)),
        mib(|c| c.memory.largest),
        mib(|c| c.memory.tree),
        costs.iter().map(|c| c.others).fold(0.0, f64::max),
    );
}
