//! No file is half written: write beside, sync, rename.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file being written under a temporary name in the target's folder. Dropped without [`Replacement::commit`], it
/// leaves the target as it was and nothing beside it.
pub struct Replacement {
    temporary: PathBuf,
    target: PathBuf,
    done: bool,
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Replacement {
    /// Makes the target's folder if it is not there.
    pub fn of(target: &Path) -> io::Result<Self> {
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a file name is wanted"))?;
        let folder = folder_of(target);
        fs::create_dir_all(folder)?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".{}.{}-{serial}.tmp", name.to_string_lossy(), std::process::id());
        Ok(Self { temporary: folder.join(temporary), target: target.to_path_buf(), done: false })
    }

    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Syncs what was written, gives it the target's name, and syncs the folder.
    pub fn commit(mut self) -> io::Result<()> {
        File::open(&self.temporary)?.sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        self.done = true;
        File::open(folder_of(&self.target))?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Replaces `target` by what `write` writes, whole or not at all.
pub fn replace_file<E: From<io::Error>>(
    target: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let replacement = Replacement::of(target)?;
    let mut file = File::create(replacement.temporary())?;
    write(&mut file)?;
    drop(file);
    Ok(replacement.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.txt");
        replace_file(&path, |file| file.write_all(b"old")).unwrap();
        let failed = replace_file(&path, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
