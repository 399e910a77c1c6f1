//! Where a build keeps what its memory has no room for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder for files that live as long as a build, and how many bytes of memory may be filled before they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    pub folder: PathBuf,
    /// Bytes.
    pub memory: u64,
}

impl Scratch {
    /// Everything in memory: for what is known to fit.
    pub fn unbounded() -> Self {
        Scratch { folder: std::env::temp_dir(), memory: u64::MAX }
    }

    /// The same folder with a share of the memory.
    pub fn share(&self, parts: usize) -> Self {
        Scratch { folder: self.folder.clone(), memory: self.memory / parts.max(1) as u64 }
    }

    /// A new file that has no name any more: it is gone with its handle, also when the process is killed.
    pub fn file(&self) -> io::Result<File> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("gsl-{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = self.folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}
