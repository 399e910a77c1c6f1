//! The folder of a run.

use super::{Goal, Outcome};
use crate::args::RunArgs;
use crate::source::{Failure, SourceText};
use gsl_compiler::sema::Experiment;
use gsl_plan::plan::Plan;
use gsl_runtime::report::event::{Position, peak_memory};
use gsl_runtime::report::jsonl::JsonLines;
use gsl_runtime::report::progress::Progress;
use gsl_runtime::report::{Event, Events, Reader};
use gsl_runtime::train::checkpoint::{self, write_atomically};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The folder of a run.
pub(super) struct Place {
    pub(super) out: PathBuf,
    started: Instant,
}

impl Place {
    pub(super) fn new(
        source: &SourceText,
        experiment: &Experiment,
        args: &RunArgs,
        goal: Goal,
    ) -> Result<Self, Failure> {
        let out = args.out.clone().unwrap_or_else(|| source.folder().join("out").join(&experiment.name));
        if goal == Goal::Infer && !checkpoint::exists(&out.join("checkpoints"), "last") {
            let failure = Failure::new(format!("there is no finished run in `{}`", out.display()));
            return Err(failure.help("train first: gsc train FILE, with the same --out"));
        }
        std::fs::create_dir_all(&out).map_err(|e| cannot_write(&out, &e))?;
        Ok(Place { out, started: Instant::now() })
    }

    /// A folder within this one.
    pub(super) fn within(&self, name: &str) -> Result<Self, Failure> {
        let out = self.out.join(name);
        std::fs::create_dir_all(&out).map_err(|e| cannot_write(&out, &e))?;
        Ok(Place { out, started: self.started })
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.out.join("checkpoints")
    }

    pub(super) fn events(&self, args: &RunArgs, goal: Goal) -> Result<Events, Failure> {
        let path = self.out.join("events.jsonl");
        let keep = args.resume || goal == Goal::Infer;
        let file = JsonLines::open(&path, keep).map_err(|e| cannot_write(&path, &e))?;
        let mut readers: Vec<Box<dyn Reader>> = vec![Box::new(file)];
        if !args.silent {
            readers.push(Box::new(Progress::new(std::io::stderr().is_terminal(), args.quiet)));
        }
        Ok(Events::new(readers))
    }

    pub(super) fn keep_plan(&self, plan: &Plan) -> Result<(), Failure> {
        let path = self.out.join("plan.json");
        let text = serde_json::to_vec_pretty(plan).map_err(Failure::new)?;
        write_atomically(&path, &text).map_err(|e| cannot_write(&path, &e))
    }

    pub(super) fn resumed_at(&self, args: &RunArgs) -> Option<Position> {
        let folder = self.checkpoints();
        args.resume.then(|| checkpoint::position(&folder, "last")).flatten()
    }

    /// Ends the event stream and writes the report, whatever the end was.
    pub(super) fn close(&self, events: &Events, ended: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        match &ended {
            Ok(_) => events.send(Event::RunFinished {
                seconds: self.started.elapsed().as_secs_f64(),
                peak_memory: peak_memory(),
            }),
            Err(failure) => events.send(Event::Failed { message: failure.message.clone() }),
        }
        let outcome = ended?;
        self.report()?;
        Ok(outcome)
    }

    fn report(&self) -> Result<(), Failure> {
        let path = self.out.join("report.html");
        let events =
            gsl_runtime::report::jsonl::load(&self.out.join("events.jsonl")).map_err(Failure::new)?;
        let page = gsl_runtime::report::html::render(&events);
        write_atomically(&path, page.as_bytes()).map_err(|e| cannot_write(&path, &e))
    }
}

pub fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("`{}` cannot be written: {error}", path.display()))
}
