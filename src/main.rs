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
mod start;
mod sweep;
mod trained;
mod world;

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

/// 0: done. 1: the file, the data or the run is at fault, and a message said how. 2: the command line is.
fn main() -> ExitCode {
    keep_freed_memory();
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
