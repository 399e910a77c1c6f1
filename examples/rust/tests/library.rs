//! What is written in Rust trains in the pipeline of everything else, and gives the same numbers on any number of threads and ranks.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The example in a folder that goes when the test ends.
struct Example(tempfile::TempDir);

impl Example {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["library.gsl", "data/books.csv", "data/loans.csv", "tests/edges.gsl", "tests/wrong.gsl"]
        {
            let to = folder.path().join(name);
            std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
            std::fs::copy(own.join(name), to).expect("a file of the example");
        }
        Example(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Standard output and standard error, and whether it went well.
    fn gsc(&self, args: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_library-in-rust"));
        let output = command.args(args).current_dir(self.0.path()).env("NO_COLOR", "1").output();
        let output = output.expect("the program starts");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    }

    fn ok(&self, args: &[&str]) -> String {
        let (ok, said) = self.gsc(args);
        assert!(ok, "{args:?}: {said}");
        said
    }

    /// Trains; the losses of the steps, and the numbers of the test part.
    fn train(&self, file: &str, experiment: &str, options: &[&str]) -> (Vec<f64>, BTreeMap<String, f64>) {
        let own = ["train", file, "-e", experiment, "--quiet", "--log-steps", "--out", "out"];
        self.ok(&[&own[..], options].concat());
        let text = std::fs::read_to_string(self.at("out/events.jsonl")).expect("events");
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
        let of = |kind: &str| events.iter().filter(move |event| event["event"] == kind).cloned().collect();
        let (steps, tested): (Vec<Value>, Vec<Value>) = (of("step"), of("tested"));
        let losses = steps.iter().map(|step| step["loss"].as_f64().expect("a loss")).collect();
        let metrics = tested[0]["metrics"].as_object().expect("metrics");
        (losses, metrics.iter().map(|(name, x)| (name.clone(), x.as_f64().expect("a number"))).collect())
    }

    fn checkpoints(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.at("out/checkpoints")).expect("checkpoints").flatten();
        let read = |path: &Path| std::fs::read(path).expect("a file");
        entries.map(|e| (e.file_name().to_string_lossy().into_owned(), read(&e.path()))).collect()
    }
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// The mean loss of the last epoch over that of the first.
fn fall(losses: &[f64], epochs: usize) -> f64 {
    let batches = losses.len() / epochs;
    mean(&losses[losses.len() - batches..]) / mean(&losses[..batches])
}

#[test]
fn a_module_a_loss_and_a_metric_of_classes_are_learned() {
    let (losses, found) = Example::new().train("library.gsl", "genres", &[]);
    assert!(fall(&losses, 12) < 0.3, "{losses:?}");
    assert!(found["accuracy"] > 0.85 && found["top_two"] >= found["accuracy"], "{found:?}");
}

#[test]
fn a_loss_and_a_metric_of_numbers_are_learned() {
    let (losses, found) = Example::new().train("library.gsl", "visits", &[]);
    assert!(fall(&losses, 12) < 0.6, "{losses:?}");
    // A tenth of the errors are larger than most.
    assert!(found["mae"] < 2.6 && found["worst_tenth"] > found["mae"], "{found:?}");
}

#[test]
fn a_loss_a_metric_and_negatives_of_links_are_learned() {
    let (losses, found) = Example::new().train("library.gsl", "loans", &[]);
    assert!(fall(&losses, 8) < 0.75, "{losses:?}");
    // By chance a tenth of the links are in the first tenth.
    assert!(found["first_tenth"] > 0.22, "{found:?}");
}

#[test]
fn a_module_on_edges_is_learned() {
    let (losses, found) = Example::new().train("tests/edges.gsl", "between", &[]);
    assert!(fall(&losses, 8) < 0.5, "{losses:?}");
    // Each genre is a third of the books.
    assert!(found["accuracy"] > 0.7, "{found:?}");
}

#[test]
fn one_two_and_four_ranks_give_the_same_losses() {
    let example = Example::new();
    for (file, experiment) in [
        ("library.gsl", "genres"),
        ("library.gsl", "visits"),
        ("library.gsl", "loans"),
        ("tests/edges.gsl", "between"),
    ] {
        let (one, _) = example.train(file, experiment, &[]);
        for ranks in ["2", "4"] {
            let (many, _) = example.train(file, experiment, &["--ranks", ranks]);
            assert_eq!(one.len(), many.len());
            for (step, (a, b)) in one.iter().zip(&many).enumerate().take(12) {
                let near = (a - b).abs() <= 1e-5 * a.abs();
                assert!(near, "{experiment}, step {step}: {a} on one rank, {b} on {ranks}");
            }
        }
    }
}

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let example = Example::new();
    for experiment in ["genres", "visits", "loans"] {
        let bytes = ["1", "2"].map(|threads| {
            example.train("library.gsl", experiment, &["--threads", threads]);
            example.checkpoints()
        });
        assert!(bytes[0] == bytes[1], "{experiment}");
    }
}

#[test]
fn gradients_agree_with_both_oracles() {
    let example = Example::new();
    for file in ["library.gsl", "tests/edges.gsl"] {
        let said = example.ok(&["check", file, "--gradients"]);
        assert!(said.contains("gradients agree") && !said.contains("DIFFER"), "{said}");
    }
}

#[test]
fn the_plan_shows_what_is_called() {
    let said = Example::new().ok(&["explain", "library.gsl", "-e", "loans"]);
    for text in ["rust \"gate\"", "rust \"squared_gap\"", "rust \"squash\""] {
        assert!(said.contains(text), "{text} in\n{said}");
    }
}

#[test]
fn a_module_that_its_equation_does_not_fit_is_refused_before_training() {
    let example = Example::new();
    let (ok, said) = example.gsc(&["train", "tests/wrong.gsl", "--quiet"]);
    assert!(!ok);
    let message = "`rust(\"gate\")` gave no result: it panicked: operand 1 of 1: they count from 0; it was given rows of 1";
    assert!(said.contains(message), "{said}");
    assert!(!example.at("tests/out/wrong/checkpoints").exists());
}
