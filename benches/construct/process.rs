//! What a command costs, its child processes included: time, processor time, memory. Linux only: all of it is in /proc.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::proc::{busy_seconds, kilobytes, stat, tree};

const LOOK: Duration = Duration::from_millis(5);
/// Summing up what each process shares with others takes the kernel milliseconds for each GB.
const LOOK_CLOSELY: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub seconds: f64,
    /// Of all processes and threads.
    pub cpu: f64,
    /// Cores that other programs used meanwhile.
    pub others: f64,
    pub memory: Memory,
}

/// Peaks in bytes. Both are sampled; a peak shorter than [`LOOK_CLOSELY`] can be missed by the second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The most that one process had resident, files that are mapped included: the kernel keeps count of it (VmHWM).
    pub largest: u64,
    /// The sum over the processes of what each had resident, a page that several share being shared out (PSS).
    pub tree: u64,
}

/// Runs the command to its end. What it says goes to `log`, which an error names.
pub fn run(command: &mut Command, log: &Path) -> Result<Cost> {
    let said = File::create(log)?;
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    let (busy, started) = (busy_seconds()?, Instant::now());
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let pid = child.id();
    let ended = AtomicBool::new(false);
    let (cpu, memory) = std::thread::scope(|scope| {
        let memory = scope.spawn(|| watch_memory(pid, &ended));
        let cpu = cpu_until_the_end(pid);
        ended.store(true, Ordering::Relaxed);
        (cpu, memory.join().expect("only reads files"))
    });
    let seconds = started.elapsed().as_secs_f64();
    let status = child.wait()?;
    if !status.success() {
        return Err(format!(
            "{} ended with {status}; see {}",
            command.get_program().display(),
            log.display()
        )
        .into());
    }
    let others = ((busy_seconds()? - busy - cpu) / seconds).max(0.0);
    Ok(Cost { seconds, cpu, others, memory })
}

/// Waits until the process is a zombie, which still knows its processor seconds and those of its children.
fn cpu_until_the_end(pid: u32) -> f64 {
    loop {
        match stat(pid) {
            Some(('Z', cpu)) => return cpu,
            None => return 0.0,
            Some(_) => std::thread::sleep(LOOK),
        }
    }
}

fn watch_memory(root: u32, ended: &AtomicBool) -> Memory {
    let mut peak = Memory::default();
    let mut close_look = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        let processes = tree(root);
        let largest = processes.iter().filter_map(|&pid| kilobytes(pid, "status", "VmHWM:")).max();
        peak.largest = peak.largest.max(largest.unwrap_or(0) << 10);
        if Instant::now() >= close_look {
            let sum: u64 = processes.iter().filter_map(|&pid| kilobytes(pid, "smaps_rollup", "Pss:")).sum();
            peak.tree = peak.tree.max(sum << 10);
            close_look = Instant::now() + LOOK_CLOSELY;
        }
        std::thread::sleep(LOOK);
    }
    peak
}
