//! How fast tables become a graph: beside the machine's ceilings, and beside GraphStorm on the same tables.
//!
//! ```sh
//! cargo bench --bench construct                             # on small tables of each kind of keys, made for it
//! cargo bench --bench construct -- --data DIR --data DIR    # on tables of examples/billion/maker
//! cargo bench --bench construct -- peer --data DIR --python VENV/bin/python
//! ```
//!
//! Every build starts from an empty cache and from files that the system has read before. What is compared is measured in
//! turns, so that other load on the machine falls on all; `others` is how many cores it took meanwhile.

mod ceilings;
mod peer;
#[path = "../common/proc.rs"]
mod proc;
mod process;
#[path = "../common/spread.rs"]
mod spread;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "construct", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    throughput: Throughput,
}

#[derive(Debug, Subcommand)]
enum What {
    /// GraphStorm's construct_graph and gsc build in turns.
    Peer(Peer),
}

/// Edges per second and core, by kind of keys and number of threads.
#[derive(Debug, Args)]
pub struct Throughput {
    /// A folder with `nodes` and `edges` as examples/billion/maker writes them. May be repeated.
    #[arg(long)]
    data: Vec<PathBuf>,
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = at_least_1())]
    threads: Vec<u16>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct Peer {
    /// A folder with `nodes.parquet`, `edges/` and `train.parquet`, `valid.parquet`, `test.parquet`, as tables.py writes them.
    #[arg(long)]
    data: PathBuf,
    /// The Python that has GraphStorm.
    #[arg(long)]
    python: PathBuf,
    /// Threads of gsc, and processes of GraphStorm.
    #[arg(long, default_value_t = 2, value_parser = at_least_1())]
    threads: u16,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct Common {
    /// Builds of each kind.
    #[arg(long, default_value_t = 3, value_parser = at_least_1())]
    runs: u16,
    /// The program to be measured [default: the one of this workspace].
    #[arg(long, default_value = env!("CARGO_BIN_EXE_gsc"), hide_default_value = true)]
    gsc: PathBuf,
    /// Where graphs are built, and removed again [default: the system's folder for temporary files].
    #[arg(long, default_value_os_t = std::env::temp_dir(), hide_default_value = true)]
    work: PathBuf,
    /// Further arguments of `gsc build`, such as `--memory=8GB`. May be repeated.
    #[arg(long = "gsc-arg", allow_hyphen_values = true)]
    gsc_args: Vec<String>,
}

fn at_least_1() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..)
}

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let said_by_cargo = |word: &String| word == "--bench";
    let arguments = Arguments::parse_from(std::env::args().filter(|word| !said_by_cargo(word)));
    let done = match &arguments.what {
        None => throughput::run(&arguments.throughput),
        Some(What::Peer(peer)) => peer::run(peer),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
