//! Layers and modules: what is wrong with them, what they become, and that it computes their equations.

#[path = "../support/mod.rs"]
mod support;

mod compiled;
mod formulas;
mod pages;
mod programs;
mod random;
mod right;
mod world;

use std::path::Path;

use gsl_compiler::diag::Diagnostic;

fn front_end(source: &str, _path: &Path) -> Vec<Diagnostic> {
    world::all_mistakes(source)
}

#[test]
fn mistakes_are_explained() {
    support::transcripts(&support::folder("bad/layer"), front_end);
}

#[test]
fn the_standard_library_is_clean() {
    for text in [world::LAYERS, world::MODULES] {
        let found = world::all_mistakes(text);
        assert!(found.is_empty(), "{}", gsl_compiler::diag::render(&found, "std", text, false));
        assert_eq!(
            gsl_compiler::syntax::format(text).ok().as_deref(),
            Some(text),
            "laid out as `gsc fmt` does"
        );
    }
}
