//! The example of what a graph can say of its edges builds, and its experiment runs.

mod support;

use support::{Folder, root};

#[test]
fn the_example_of_edges_builds_and_runs() {
    let folder = Folder::new();
    for name in ["films.gsl", "data/films.csv", "data/saw.csv", "data/friends.csv"] {
        folder.write(
            name,
            std::fs::read(root().join("examples/films").join(name)).expect("a file of the example"),
        );
    }
    for command in ["check", "build", "run"] {
        folder.gsc(&[command, "films.gsl"]).ok();
    }
    assert!(folder.at("out/genres").is_dir());
}
