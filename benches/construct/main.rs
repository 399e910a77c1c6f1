//! How fast tables become a graph: beside the machine's ceilings, and beside GraphStorm on the same tables.
//!
//! ```sh
//! cargo bench --bench construct                                    # makes small tables of each kind of keys
//! cargo bench --bench construct -- throughput --data DIR --data DIR    # tables of examples/billion/maker
//! cargo bench --bench construct -- peer --data DIR --python VENV/bin/python
//! ```
//!
//! Every build starts from an empty cache and from files that the system has read before. What is compared is measured in
//! turns, so that other load on the machine falls on all; `others` is how many cores it took meanwhile.

mod ceilings;
mod peer;
mod process;
mod spread;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// What cargo says to every bench.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Edges per second and core, by kind of keys and number of threads.
    Throughput(Throughput),
    /// GraphStorm's construct_graph and gsc build in turns.
    Peer(Peer),
}

#[derive(Debug, Args)]
pub struct Throughput {
    /// A folder with `nodes` and `edges` as examples/billion/maker writes them. May be repeated.
    #[arg(long)]
    data: Vec<PathBuf>,
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
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
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct Common {
    /// Builds of each kind.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
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

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let what = Arguments::parse().what.unwrap_or_else(|| Arguments::parse_from(["", "throughput"]).what.expect("one"));
    let done = match &what {
        What::Throughput(arguments) => throughput::run(arguments),
        What::Peer(arguments) => peer::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
