//! Running `gsc` on a folder made for a test, and comparing what it says with a transcript.
#![allow(dead_code)]

pub mod shop;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that goes when the test ends.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).expect("a text file")
    }

    /// Runs `gsc` in the folder.
    pub fn gsc(&self, args: &[&str]) -> Ran {
        Ran::of(command(self.path(), args).output().expect("gsc starts"), self.path())
    }
}

pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gsc"));
    command.args(args).current_dir(folder).env("NO_COLOR", "1");
    command
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of conformance data, or none with a word on standard error.
pub fn data(set: &str) -> Option<PathBuf> {
    let base = std::env::var_os("GSL_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let folder = base.join(set);
    if folder.exists() {
        return Some(folder.canonicalize().expect("a real folder"));
    }
    eprintln!("skipped: there is no {}; set GSL_DATA to the folder of the data sets", folder.display());
    None
}

/// What a finished `gsc` said, with the folder's name taken out.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Runs `gsc` in a folder that stays.
    pub fn in_folder(folder: &Path, args: &[&str]) -> Self {
        Ran::of(command(folder, args).output().expect("gsc starts"), folder)
    }

    fn of(output: Output, folder: &Path) -> Self {
        let clean = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&folder.display().to_string(), "FOLDER");
            text.replace(&folder.canonicalize().expect("a folder").display().to_string(), "FOLDER")
        };
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: clean(&output.stdout),
            err: clean(&output.stderr),
        }
    }

    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "gsc failed:\n{}\n{}", self.out, self.err);
        self
    }

    pub fn transcript(&self) -> String {
        let mut text = format!("exit {}\n", self.code);
        for line in self.err.lines().filter(|l| !is_timing(l)) {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// Lines that say how long something took.
fn is_timing(line: &str) -> bool {
    let mut words = line.split_whitespace().rev();
    words.next() == Some("s") && words.next().is_some_and(|w| w.parse::<f64>().is_ok())
        || line.starts_with("finished ")
}

/// Compares `text` with `tests/transcripts/NAME.txt`; with UPDATE=1 writes it.
pub fn compare(name: &str, text: &str) {
    let path = root().join("tests/transcripts").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).expect("the transcript");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs; UPDATE=1 rewrites it\n--- expected\n{expected}\n--- found\n{text}",
        path.display()
    );
}
