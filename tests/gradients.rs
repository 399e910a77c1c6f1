//! Gradients of every layer of the standard library, of a user's own layer and of every loss: the compiled schedule against the reference backend
//! and against finite differences.

mod support;

use support::{command, root};

/// What `gsc check --gradients` says of a file that passes.
fn checked(file: &str) -> String {
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
    text
}

#[test]
fn every_standard_layer_agrees_with_the_oracle() {
    assert_eq!(checked("layers.gsl").matches("gradients agree").count(), 15);
}

#[test]
fn decoders_and_losses_of_pairs_agree_with_the_oracle() {
    assert_eq!(checked("pairs.gsl").matches("gradients agree").count(), 13);
}

#[test]
fn every_loss_agrees_with_the_oracle() {
    assert_eq!(checked("losses.gsl").matches("gradients agree").count(), 10);
}
