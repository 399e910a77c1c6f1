//! Gradients of every layer of the standard library and of a user's own layer: the compiled schedule against the reference backend
//! and against finite differences.

mod support;

use support::{command, root};

#[test]
fn every_standard_layer_agrees_with_the_oracle() {
    let cache = support::Folder::new();
    let file = root().join("tests/gradients/layers.gsl");
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
    assert_eq!(text.matches("gradients agree").count(), 15);
}
