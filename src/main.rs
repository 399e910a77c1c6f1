//! gsc: the command line of GSL.

mod args;
mod commands;
mod explain;
mod gradients;
mod import;
mod inspect;
mod new;
mod pipeline;
mod source;
mod world;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 0: done. 1: the file, the data or the run is at fault, and a message said how. 2: the command line is.
fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let color = source::wants_color(cli.color);
    match commands::dispatch(&cli.command, color) {
        Ok(code) => code,
        Err(failure) => {
            failure.tell(color);
            ExitCode::from(failure.code)
        }
    }
}
