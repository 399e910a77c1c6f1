//! The command line of the maker.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use billion_tables::tables::{Keys, Table};
use billion_tables::{Recipe, Written, make};
use clap::Parser;

/// Make a random graph as Parquet tables: OUT/nodes (id, features, label) and OUT/edges (src, dst).
///
/// The same arguments give the same rows in the same order; --files only cuts them differently.
#[derive(Debug, Parser)]
#[command(name = "billion-tables", max_term_width = 100)]
struct Arguments {
    #[arg(long, default_value = "10_000_000", value_parser = count)]
    nodes: u64,
    #[arg(long, default_value = "1_000_000_000", value_parser = count)]
    edges: u64,
    /// Floats of each node.
    #[arg(long, default_value = "64", value_parser = count)]
    features: u64,
    /// What identifies a node.
    #[arg(long, value_enum, default_value_t = Keys::Int)]
    keys: Keys,
    /// Files of either table.
    #[arg(long, default_value = "16", value_parser = count)]
    files: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads, one file each [default: all cores].
    #[arg(short = 'j', long)]
    threads: Option<usize>,
    /// The folder that receives the tables.
    #[arg(long)]
    out: PathBuf,
}

/// A whole number, with `_` between its digits where that reads better.
fn count(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.replace('_', "").parse()
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads.unwrap_or(0)).build();
    let pool = match pool {
        Ok(pool) => pool,
        Err(error) => return fail(&error),
    };
    let Arguments { nodes, edges, features, keys, seed, .. } = arguments;
    let recipe = Recipe { nodes, edges, features, keys, seed };
    let started = Instant::now();
    match pool.install(|| make(&recipe, arguments.files, &arguments.out)) {
        Ok(written) => {
            tell(&written, started.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn tell(written: &[Written], seconds: f64) {
    for table in [Table::Nodes, Table::Edges] {
        let files = || written.iter().filter(|w| w.table == table);
        let (rows, bytes): (u64, u64) = (files().map(|w| w.rows).sum(), files().map(|w| w.bytes).sum());
        println!("{}: {rows} rows, {} files, {:.3} GB", table.folder(), files().count(), bytes as f64 / 1e9);
    }
    let bytes: u64 = written.iter().map(|w| w.bytes).sum();
    println!("{seconds:.1} s, {:.0} MB/s", bytes as f64 / 1e6 / seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        let all = "x --nodes 10_000 --edges 5 --features 3 --keys text --files 2 --seed 9 --out here";
        let arguments = Arguments::try_parse_from(all.split(' ')).unwrap();
        assert_eq!((arguments.nodes, arguments.edges, arguments.keys), (10_000, 5, Keys::Text));
        for wrong in ["x", "x --out a --nodes many", "x --out a --keys float", "x --out a b"] {
            assert!(Arguments::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
