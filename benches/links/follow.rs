//! The pace of a training program, read from the lines that it writes as its batches end. Linux only.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::proc::{busy_seconds, kilobytes, stat, tree};
use crate::spread::Spread;

const LOOK: Duration = Duration::from_millis(2);
/// What a program that is told to end has for it.
const ENDING: Duration = Duration::from_secs(10);

/// Where a program tells that a batch has ended, and which.
pub struct Marks {
    pub file: PathBuf,
    pub batch: fn(&str) -> Option<u32>,
}

/// The batches between which the time is taken.
#[derive(Clone, Copy)]
pub struct Span {
    pub from: u32,
    pub to: u32,
}

/// What 100 batches cost, all processes together.
#[derive(Clone, Copy)]
pub struct Pace {
    pub seconds: f64,
    pub cpu: f64,
    /// Cores that other programs used meanwhile.
    pub others: f64,
    /// Bytes that the processes had resident at the end, a page that several share being shared out (PSS).
    pub memory: u64,
}

/// Runs the command until the last batch of the span, then ends it. What it says goes to `log`, which an error names.
pub fn follow(command: &mut Command, log: &Path, marks: &Marks, span: Span) -> Result<Pace> {
    let said = File::create(log)?;
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let found = watch(&mut child, marks, span);
    end(&mut child)?;
    if let Ok(Some(pace)) = &found {
        let program = command.get_program().display();
        eprintln!("{program}: {:.1} s, {:.1} s of the processor", pace.seconds, pace.cpu);
    }
    found?.ok_or_else(|| {
        let program = command.get_program().display();
        format!("{program} ended before batch {}; see {}", span.to, log.display()).into()
    })
}

/// None if the program ends before the span does.
fn watch(child: &mut Child, marks: &Marks, span: Span) -> Result<Option<Pace>> {
    let mut tail = Tail { path: &marks.file, file: None, line: String::new() };
    let mut began = None;
    loop {
        let has_ended = child.try_wait()?.is_some();
        while let Some(batch) = tail.next(marks.batch)? {
            if began.is_none() && batch >= span.from {
                began = Some((batch, Moment::of(child.id())?));
            }
            if let Some((first, began)) = began.as_ref().filter(|_| batch >= span.to) {
                return Ok(Some(began.pace(&Moment::of(child.id())?, batch - first, child.id())));
            }
        }
        if has_ended {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

struct Moment {
    at: Instant,
    cpu: f64,
    busy: f64,
}

impl Moment {
    fn of(root: u32) -> Result<Self> {
        let cpu = tree(root).into_iter().filter_map(stat).map(|(_, cpu)| cpu).sum();
        Ok(Moment { at: Instant::now(), cpu, busy: busy_seconds()? })
    }

    fn pace(&self, end: &Moment, batches: u32, root: u32) -> Pace {
        let seconds = (end.at - self.at).as_secs_f64();
        let cpu = end.cpu - self.cpu;
        let hundreds = f64::from(batches) / 100.0;
        let resident = tree(root).into_iter().filter_map(|pid| kilobytes(pid, "smaps_rollup", "Pss:"));
        Pace {
            seconds: seconds / hundreds,
            cpu: cpu / hundreds,
            others: ((end.busy - self.busy - cpu) / seconds).max(0.0),
            memory: resident.sum::<u64>() << 10,
        }
    }
}

/// Lines of a file that another program is writing, and may not have begun.
struct Tail<'a> {
    path: &'a Path,
    file: Option<BufReader<File>>,
    line: String,
}

impl Tail<'_> {
    /// The next batch that whole lines tell of.
    fn next(&mut self, batch: fn(&str) -> Option<u32>) -> Result<Option<u32>> {
        if self.file.is_none() {
            self.file = File::open(self.path).ok().map(BufReader::new);
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        while file.read_line(&mut self.line)? > 0 && self.line.ends_with('\n') {
            let found = batch(&self.line);
            self.line.clear();
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Ends the program and all that it has started.
fn end(child: &mut Child) -> Result<()> {
    let all: Vec<String> = tree(child.id()).iter().map(u32::to_string).collect();
    let signal = |name: &str| {
        Command::new("kill").arg(name).args(&all).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    signal("-TERM")?;
    let told = Instant::now();
    while child.try_wait()?.is_none() {
        if told.elapsed() > ENDING {
            signal("-KILL")?;
        }
        std::thread::sleep(LOOK);
    }
    let is_left = |pid: &String| Path::new("/proc").join(pid).exists();
    if all.iter().any(is_left) {
        std::thread::sleep(Duration::from_secs(1));
        signal("-KILL")?;
    }
    Ok(())
}

/// A line of a table, under [`HEADING`].
pub fn tell(name: &str, paces: &[Pace]) {
    println!(
        "{name:22} {:>24} {:>24} {:>10} {:>7.2}",
        Spread::of(paces.iter().map(|pace| pace.seconds)),
        Spread::of(paces.iter().map(|pace| pace.cpu)),
        paces.iter().map(|pace| pace.memory >> 20).max().unwrap_or(0),
        paces.iter().map(|pace| pace.others).fold(0.0, f64::max),
    );
}

pub const HEADING: &str =
    "of 100 batches                          seconds              cpu seconds        MiB  others";
