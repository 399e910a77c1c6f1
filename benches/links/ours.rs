//! `gsc train`, as far as it is measured.

use std::path::Path;
use std::process::Command;

use crate::follow::{Marks, Pace, Span, follow};
use crate::{Common, Result, file};

/// One of the experiments of a file of this folder.
pub struct Ours<'a> {
    pub file: &'a str,
    pub experiment: &'a str,
    pub negatives: u32,
    pub threads: u16,
}

impl Ours<'_> {
    fn command(&self, verb: &str, common: &Common, data: &Path) -> Command {
        let mut command = Command::new(&common.gsc);
        command.arg(verb).arg(file(self.file)).args(["--experiment", self.experiment]);
        command.args(["--set", &format!("data=\"{}\"", data.display())]);
        command.args(["--set", &format!("negatives={}", self.negatives)]);
        command
            .args(["--threads", &self.threads.to_string()])
            .arg("--cache")
            .arg(common.work.join("links-cache"));
        command
    }

    /// The graph, unless it is there.
    pub fn build(&self, common: &Common, data: &Path) -> Result<()> {
        let built = self.command("build", common, data).output()?;
        match built.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&built.stderr).into()),
        }
    }

    pub fn pace(&self, common: &Common, data: &Path) -> Result<Pace> {
        let out = tempfile::tempdir_in(&common.work)?;
        let mut command = self.command("train", common, data);
        command.args(["--log-steps", "--quiet", "--out"]).arg(out.path());
        let marks = Marks { file: out.path().join("events.jsonl"), batch };
        let span = Span { from: common.from, to: common.to };
        follow(&mut command, &common.work.join("links-gsc.log"), &marks, span)
    }
}

/// Of an event of a step. The epoch is the first one.
fn batch(line: &str) -> Option<u32> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    (event["event"] == "step" && event["epoch"] == 1).then(|| event["batch"].as_u64())?.map(|n| n as u32)
}
