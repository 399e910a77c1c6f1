//! Gradients of every layer of the standard library and of a user's own layer: the compiled schedule against the reference backend
//! and against finite differences.

mod support;

use support::{command, root};

#[test]
fn every_standard_layer_agrees_with_the_oracle() {
    assert_eq!(agreeing("layers.gsl"), 12);
}

#[test]
fn decoders_and_losses_of_pairs_agree_with_the_oracle() {
    assert_eq!(agreeing("pairs.gsl"), 13);
}

/// How many experiments of a file have gradients that agree; all do.
fn agreeing(file: &str) -> usize {
    let cache = support::Folder::new();
    let file = root().join("tests/gradients").join(file);
    let args = [
        "check",
        "--gradients",
        "--cache",
        cache.path().to_str().expect("UTF-8"),
        file.to_str().expect("UTF-8"),
    ];
    let output = command(&root(), &args).output().expect("gsc starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.matches("gradients agree").count()
}
