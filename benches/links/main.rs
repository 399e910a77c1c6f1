//! How fast links are trained: beside DGL and GraphStorm on the same tables, and by kind and number of negatives.
//!
//! ```sh
//! cargo bench --bench links -- peer --data DIR --python VENV/bin/python      # the experiment of mag.gsl
//! cargo bench --bench links -- negatives --file facts.gsl --data DIR         # or mag.gsl
//! ```
//!
//! What is compared is measured in turns, so that other load on the machine falls on all; `others` is how many cores it took
//! meanwhile. Building the graph, starting up and the first batches are not counted: the time is that between two batches.

mod follow;
mod negatives;
mod ours;
mod peer;
#[path = "../common/proc.rs"]
mod proc;
#[path = "../common/spread.rs"]
mod spread;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "links")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// gsc, DGL and GraphStorm in turns.
    Peer(Peer),
    /// The experiments `uniform`, `joint` and `in_batch` of a file in turns, with several numbers of negatives.
    Negatives(Negatives),
}

#[derive(Debug, Args)]
pub struct Peer {
    /// The Python that has DGL and GraphStorm.
    #[arg(long)]
    python: PathBuf,
    /// Programs that are measured.
    #[arg(long, value_delimiter = ',', default_value = "gsc,dgl,graphstorm")]
    of: Vec<peer::Program>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct Negatives {
    /// A file of this folder.
    #[arg(long, default_value = "facts.gsl")]
    file: String,
    #[arg(long, value_delimiter = ',', default_value = "uniform,joint,in_batch")]
    experiments: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "4,32,256,1024")]
    count: Vec<u32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct Common {
    /// The folder of the tables.
    #[arg(long)]
    data: PathBuf,
    #[arg(long, value_delimiter = ',', default_value = "2", value_parser = at_least_1())]
    threads: Vec<u16>,
    /// Turns that each takes.
    #[arg(long, default_value_t = 3, value_parser = at_least_1())]
    rounds: u16,
    /// The time is taken from the end of this batch …
    #[arg(long, default_value_t = 20)]
    from: u32,
    /// … to the end of this one. GraphStorm tells every 20th.
    #[arg(long, default_value_t = 40)]
    to: u32,
    /// The program to be measured [default: the one of this workspace].
    #[arg(long, default_value = env!("CARGO_BIN_EXE_gsc"), hide_default_value = true)]
    gsc: PathBuf,
    /// Where graphs and logs go [default: the system's folder for temporary files].
    #[arg(long, default_value_os_t = std::env::temp_dir(), hide_default_value = true)]
    work: PathBuf,
}

fn at_least_1() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..)
}

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A file beside this one.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/links").join(name)
}

fn main() -> ExitCode {
    let said_by_cargo = |word: &String| word == "--bench";
    let arguments = Arguments::parse_from(std::env::args().filter(|word| !said_by_cargo(word)));
    let done = match &arguments.what {
        What::Peer(peer) => peer::run(peer),
        What::Negatives(negatives) => negatives::run(negatives),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
