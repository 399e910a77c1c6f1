//! Has a table changed? A hash over the files of a source.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Result, TableError};

/// Files up to this size are hashed by content; above it by size and time of change.
const CONTENT_LIMIT: u64 = 256 << 20;

/// The state of a source's files, in reading order. `hash` covers each file's name (not its folder), size and
/// content, so that a copied folder has the fingerprint of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub hash: [u8; 32],
    pub files: Vec<FileStamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    pub path: PathBuf,
    pub bytes: u64,
    /// blake3 of the content, or of size and time of change for a large file.
    pub hash: [u8; 32],
    pub by_content: bool,
}

impl Fingerprint {
    pub fn of(files: &[&Path]) -> Result<Self> {
        let files: Vec<FileStamp> = files.par_iter().map(|path| stamp(path)).collect::<Result<_>>()?;
        let mut hasher = blake3::Hasher::new();
        for file in &files {
            let name =
                file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&file.bytes.to_le_bytes());
            hasher.update(&file.hash);
        }
        Ok(Self { hash: *hasher.finalize().as_bytes(), files })
    }

    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.hash).to_hex().to_string()
    }

    /// Files that are new, gone or different between an earlier state and this one.
    pub fn changed_since(&self, earlier: &Fingerprint) -> Vec<PathBuf> {
        let gone_or_new = |a: &[FileStamp], b: &[FileStamp]| -> Vec<PathBuf> {
            let known = |file: &FileStamp| {
                b.iter().any(|o| {
                    o.path.file_name() == file.path.file_name()
                        && o.hash == file.hash
                        && o.bytes == file.bytes
                })
            };
            a.iter().filter(|file| !known(file)).map(|file| file.path.clone()).collect()
        };
        let mut changed = gone_or_new(&self.files, &earlier.files);
        changed.extend(gone_or_new(&earlier.files, &self.files));
        changed.sort();
        changed.dedup();
        changed
    }
}

fn stamp(path: &Path) -> Result<FileStamp> {
    let fail = |error| TableError::io(path, error);
    let meta = fs::metadata(path).map_err(fail)?;
    let by_content = meta.len() <= CONTENT_LIMIT;
    let mut hasher = blake3::Hasher::new();
    if by_content {
        hasher.update_reader(File::open(path).map_err(fail)?).map_err(fail)?;
    } else {
        let changed =
            meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        hasher.update(&meta.len().to_le_bytes());
        hasher.update(&changed.as_nanos().to_le_bytes());
    }
    Ok(FileStamp {
        path: path.to_path_buf(),
        bytes: meta.len(),
        hash: *hasher.finalize().as_bytes(),
        by_content,
    })
}
