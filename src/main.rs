//! gsc: the command line of GSL.

use std::process::ExitCode;

fn main() -> ExitCode {
    gsc::main_with(gsc::Extensions::new())
}
