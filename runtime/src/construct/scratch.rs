//! The scratch folder and the memory of a build.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder for what does not fit into memory, made when it is first used, and how many bytes may be held before that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    pub folder: PathBuf,
    /// Bytes.
    pub memory: u64,
}

/// Less than this many bytes is refused: reading tables alone takes about as much.
pub const LEAST_MEMORY: u64 = 64 << 20;
/// Taken where the system does not say how much memory is free.
const UNKNOWN_MEMORY: u64 = 2 << 30;
const SHARE_OF_FREE: f64 = 0.6;

static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Scratch {
    /// The same folder with a share of the memory.
    pub fn share(&self, parts: usize) -> Self {
        self.with_memory(self.memory / parts.max(1) as u64)
    }

    pub fn with_memory(&self, memory: u64) -> Self {
        Scratch { folder: self.folder.clone(), memory }
    }

    /// A path in the folder that nothing has.
    pub fn unique(&self, what: &str) -> PathBuf {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!(".{what}.{}-{serial}.tmp", std::process::id()))
    }

    /// A new file without a name: it is gone with its handle, also when the process is killed.
    pub fn file(&self) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let path = self.unique("spill");
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// Everything in memory.
    pub fn unbounded() -> Self {
        Scratch { folder: std::env::temp_dir(), memory: u64::MAX }
    }

    #[cfg(test)]
    pub fn temporary() -> io::Result<Self> {
        Ok(Scratch { folder: std::env::temp_dir().join("gsl-scratch-tests"), memory: 1 << 30 })
    }
}

/// Removes the temporary files of processes that were killed: those with the number of a process that is no more.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process that made a temporary file `.NAME.PROCESS-SERIAL.tmp`.
fn owner(name: &str) -> Option<u32> {
    let (process, serial) =
        name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?.1.split_once('-')?;
    serial.parse::<u64>().ok()?;
    process.parse().ok()
}

/// 60 % of the memory that is free, of the machine or of the control group if that is less, in bytes.
pub fn default_memory() -> u64 {
    let free = [machine_free(), group_free()].into_iter().flatten().min().unwrap_or(UNKNOWN_MEMORY);
    ((free as f64 * SHARE_OF_FREE) as u64).max(LEAST_MEMORY)
}

fn machine_free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// Version 2 of control groups at the usual place.
fn group_free() -> Option<u64> {
    let read = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    Some(read("memory.max")?.saturating_sub(read("memory.current")?))
}

/// `512MB`, `8GB`, `6GiB`, `1.5 TB` or bytes; powers of 1024, as memory is counted.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("`{text}` is not a size: write 512MB or 8GB")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a size: write 512MB or 8GB"))?;
    Ok((number * (1u64 << scale) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_bytes("8GB"), Ok(8 << 30));
        assert_eq!(parse_bytes(" 512 MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("1.5k"), Ok(1536));
        assert_eq!(parse_bytes("77"), Ok(77));
        assert!(parse_bytes("8 apples").is_err() && parse_bytes("GB").is_err());
    }

    #[test]
    fn temporary_files_of_the_dead_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let mine = format!(".a.h5.{}-0.tmp", std::process::id());
        for name in [".a.h5.4194305-3.tmp", &mine, ".a.h5.4194305-3.tm", "a.4194305-3.tmp", ".spill.x-1.tmp"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        sweep(folder.path());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.len() == 4 && !left.iter().any(|name| name == ".a.h5.4194305-3.tmp"), "{left:?}");
    }

    #[test]
    fn the_default_is_less_than_the_machine_has() {
        assert!(default_memory() >= LEAST_MEMORY);
        assert!(machine_free().is_none_or(|free| default_memory() <= free.max(LEAST_MEMORY)));
    }
}
