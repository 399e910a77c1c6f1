//! `gsc` with pieces written in Rust. docs/rust.md goes through it; library.gsl uses all of them:
//!
//! ```text
//! cargo run --release -p library-in-rust -- run examples/rust/library.gsl --experiment genres
//! ```

mod loss;
mod metric;
mod module;
mod negatives;

use gsc::Extensions;
use std::process::ExitCode;

fn main() -> ExitCode {
    let extensions = Extensions::new()
        .module("gate", module::gate)
        .module("squash", module::squash)
        .loss("generalised", loss::generalised)
        .loss("pinball", loss::Pinball { quantile: 0.8 })
        .link_loss("squared_gap", loss::squared_gap)
        .metric("top_two", metric::top_two)
        .metric("worst_tenth", metric::WorstTenth)
        .link_metric("first_tenth", metric::first_tenth)
        .negatives("popular", negatives::Popular { power: 0.75 });
    gsc::main_with(extensions)
}
