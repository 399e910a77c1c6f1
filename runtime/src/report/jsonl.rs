//! The event file: one JSON object a line, flushed line by line, with the time since the run began.

use super::event::{Event, Reader};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::time::Instant;

pub struct JsonLines {
    file: File,
    started: Instant,
    failed: bool,
}

/// An event and its time; metrics stay in the order of the file.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    t: f64,
}

impl JsonLines {
    /// Starts the file anew, or goes on with it when a run is resumed.
    pub fn open(path: &Path, resume: bool) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).write(true).append(resume).truncate(!resume).open(path)?;
        Ok(JsonLines { file, started: Instant::now(), failed: false })
    }
}

impl Reader for JsonLines {
    fn read(&mut self, event: &Event) {
        if self.failed || matches!(event, Event::StageProgress { .. }) {
            return;
        }
        let t = (self.started.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        let Ok(line) = serde_json::to_string(&Line { event, t }) else { return };
        if writeln!(self.file, "{line}").is_err() {
            self.failed = true;
            eprintln!("warning: the event file cannot be written any more; the run goes on without it");
        }
    }
}

/// Reads an event file back; a last line that was cut short is left out.
pub fn load(path: &Path) -> io::Result<Vec<Event>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines
        .map_while(Result::ok)
        .map(|l| serde_json::from_str(&l).map_err(io::Error::from))
        .filter(|e| e.is_ok())
        .collect()
}
