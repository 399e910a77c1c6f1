//! gsc: the command line of GSL, for programs that add something to it in Rust.
//!
//! The program `gsc` is `main_with(Extensions::new())`. A program of yours registers its modules, losses, metrics and samplers first,
//! and is then `gsc` with these: docs/rust.md shows how.

mod args;
mod commands;
mod explain;
mod gradients;
mod import;
mod inspect;
mod new;
mod pipeline;
mod source;
mod start;
mod sweep;
mod trained;
mod world;

pub use gsl_runtime::extend::{self, Extensions};

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Freed memory is given to the next buffer, not back to the system: pages that the system clears anew cost more than most of what
/// is done with them.
fn keep_freed_memory() {
    /// `mi_option_purge_delay` of mimalloc.h; the binding has no name for it.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets a number that the allocator reads when it next frees something; -1 is "never".
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}

/// The whole program, with the arguments of the command line. `rust("name")` in a file is what `extensions` has under the name.
///
/// 0: done. 1: the file, the data or the run is at fault, and a message said how. 2: the command line is.
pub fn main_with(extensions: Extensions) -> ExitCode {
    keep_freed_memory();
    let cli = args::Cli::parse();
    let color = source::wants_color(cli.color);
    match commands::dispatch(&cli.command.with(&extensions), color) {
        Ok(code) => code,
        Err(failure) => {
            failure.tell(color);
            ExitCode::from(failure.code)
        }
    }
}
