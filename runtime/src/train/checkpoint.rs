//! Checkpoints: tensors in safetensors files, and a manifest that is renamed into place last.
//!
//! A checkpoint `last` is `last.json` (the manifest) and the files it names with their sizes and hashes. New files get
//! new names, so that a kill at any moment leaves the old checkpoint whole or the new one whole. Nothing in a
//! checkpoint depends on the time or the machine: equal training gives equal bytes.

use super::best::Kept;
use crate::report::event::Position;
use crate::store::StateTensor;
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Raised when the meaning of a field changes.
pub const CHECKPOINT_VERSION: u32 = 2;

/// A named tensor of f32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl From<StateTensor<'_>> for Tensor {
    fn from(of: StateTensor) -> Self {
        Tensor { name: of.name, shape: of.shape.to_vec(), data: of.data.to_vec() }
    }
}

/// What training has to know to go on as if it had never stopped, besides the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub position: Position,
    /// The stage, from 0, and the epoch at which it began.
    pub stage: u32,
    pub stage_began: u32,
    /// Batches done since the start.
    pub step: u64,
    /// Optimiser steps taken in this stage: of the dense parameters, then of each table.
    pub steps: Vec<u64>,
    /// Steps that the moving average has taken in.
    pub averaged: u64,
    /// Bits of the sum of batch losses of the current epoch, weighted by seeds, and of those weights.
    pub epoch_loss: [u64; 2],
    /// The models that are kept, best first.
    pub kept: Vec<Kept>,
    /// The best value of what early stopping watches, as bits, and its epoch.
    pub watched: Option<(u64, u32)>,
    /// Evaluations since then.
    pub waited: u32,
    /// Training has ended: by its epochs or by early stopping.
    pub finished: bool,
}

impl Progress {
    pub fn start() -> Self {
        Progress {
            position: Position { epoch: 0, batch: 0 },
            stage: 0,
            stage_began: 0,
            step: 0,
            steps: Vec::new(),
            averaged: 0,
            epoch_loss: [0; 2],
            kept: Vec::new(),
            watched: None,
            waited: 0,
            finished: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// Hash of the plan and the graph that the tensors belong to.
    pub plan: String,
    pub progress: Progress,
    pub files: BTreeMap<String, FileRecord>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    pub bytes: u64,
    pub blake3: String,
}

/// Why a checkpoint cannot be used. Each names the file and what to do.
#[derive(Debug)]
pub enum CheckpointError {
    Missing(PathBuf),
    Io(PathBuf, io::Error),
    Damaged { path: PathBuf, why: String },
    OtherPlan { path: PathBuf },
}

impl std::fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(p) => {
                write!(f, "there is no checkpoint at `{}`", p.display())
            }
            Self::Io(p, e) => write!(f, "`{}`: {e}", p.display()),
            Self::Damaged { path, why } => write!(
                f,
                "the checkpoint file `{}` is damaged: {why}; delete the folder `{}` and train again, or put back a copy",
                path.display(),
                path.parent().unwrap_or(path).display()
            ),
            Self::OtherPlan { path } => write!(
                f,
                "the checkpoint `{}` belongs to another experiment: the .gsl file, an option or the tables have changed \
                 since",
                path.display()
            ),
        }
    }
}

impl std::error::Error for CheckpointError {}

/// A data file of a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The step that its tensors are of.
    pub step: u64,
    pub part: &'a str,
    /// None: it is there already, named by the manifest that is about to be replaced.
    pub tensors: Option<&'a [Tensor]>,
}

impl Piece<'_> {
    fn file(&self, name: &str) -> String {
        format!("{}{}.safetensors", stem(name, self.step), self.part)
    }
}

fn stem(name: &str, step: u64) -> String {
    format!("{name}-{step:08}.")
}

/// Writes checkpoint `name`, whose files are all of the step that `progress` is at.
pub fn save(
    folder: &Path,
    name: &str,
    plan: &str,
    progress: &Progress,
    files: &[(&str, &[Tensor])],
) -> Result<(), CheckpointError> {
    let piece = |&(part, tensors)| Piece { step: progress.step, part, tensors: Some(tensors) };
    save_pieces(folder, name, plan, progress, &files.iter().map(piece).collect::<Vec<_>>())
}

/// Writes checkpoint `name` into `folder`: data files, sync, manifest, sync, then removes what the old one named.
pub fn save_pieces(
    folder: &Path,
    name: &str,
    plan: &str,
    progress: &Progress,
    pieces: &[Piece],
) -> Result<(), CheckpointError> {
    let at = |p: &Path| {
        let p = p.to_path_buf();
        move |e| CheckpointError::Io(p, e)
    };
    fs::create_dir_all(folder).map_err(at(folder))?;
    let mut records = BTreeMap::new();
    for piece in pieces {
        let file = piece.file(name);
        let path = folder.join(&file);
        let record = match piece.tensors {
            Some(tensors) => write_tensors(&path, tensors).map_err(at(&path))?,
            None => read_manifest(folder, name)?.files.remove(&file).ok_or(CheckpointError::Missing(path))?,
        };
        records.insert(file, record);
    }
    let manifest = Manifest {
        version: CHECKPOINT_VERSION,
        plan: plan.into(),
        progress: progress.clone(),
        files: records,
    };
    let path = folder.join(format!("{name}.json"));
    let text =
        serde_json::to_vec_pretty(&manifest).map_err(|e| CheckpointError::Io(path.clone(), e.into()))?;
    write_atomically(&path, &text).map_err(at(&path))?;
    sweep(folder, name, |file| manifest.files.contains_key(file)).map_err(at(folder))
}

/// Removes a checkpoint, if there is one: the manifest first.
pub fn remove(folder: &Path, name: &str) -> Result<(), CheckpointError> {
    let path = folder.join(format!("{name}.json"));
    match fs::remove_file(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(CheckpointError::Io(path, e)),
        Ok(()) => {}
    }
    sweep(folder, name, |_| false).map_err(|e| CheckpointError::Io(folder.to_path_buf(), e))
}

/// Removes the data files of checkpoint `name` that are not to be kept, those of killed runs included.
fn sweep(folder: &Path, name: &str, keep: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let own = file.starts_with(&format!("{name}-")) && file.contains(".safetensors");
        if own && !keep(&file) {
            fs::remove_file(folder.join(file))?;
        }
    }
    Ok(())
}

/// The checkpoint's progress and the tensors of its step, every file checked against its size and hash.
pub fn load(
    folder: &Path,
    name: &str,
    plan: Option<&str>,
) -> Result<(Progress, Vec<Tensor>), CheckpointError> {
    let manifest = manifest_of(folder, name, plan)?;
    let tensors = manifest.tensors(folder, name, manifest.progress.step)?;
    Ok((manifest.progress, tensors.unwrap_or_default()))
}

/// The tensors of one step of a checkpoint; none if it has no files of it, or there is no checkpoint.
pub fn load_step(
    folder: &Path,
    name: &str,
    plan: Option<&str>,
    step: u64,
) -> Result<Option<Vec<Tensor>>, CheckpointError> {
    match manifest_of(folder, name, plan) {
        Ok(manifest) => manifest.tensors(folder, name, step),
        Err(CheckpointError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn manifest_of(folder: &Path, name: &str, plan: Option<&str>) -> Result<Manifest, CheckpointError> {
    let manifest = read_manifest(folder, name)?;
    match plan.is_some_and(|p| p != manifest.plan) {
        true => Err(CheckpointError::OtherPlan { path: folder.join(format!("{name}.json")) }),
        false => Ok(manifest),
    }
}

impl Manifest {
    fn tensors(&self, folder: &Path, name: &str, step: u64) -> Result<Option<Vec<Tensor>>, CheckpointError> {
        let stem = stem(name, step);
        let of_step: Vec<_> = self.files.iter().filter(|(file, _)| file.starts_with(&stem)).collect();
        if of_step.is_empty() {
            return Ok(None);
        }
        let mut tensors = Vec::new();
        for (file, record) in of_step {
            tensors.extend(read_tensors(&folder.join(file), record)?);
        }
        Ok(Some(tensors))
    }
}

/// The models that a checkpoint keeps, best first; none where there is no readable one.
pub fn kept(folder: &Path, name: &str) -> Vec<Kept> {
    read_manifest(folder, name).map(|manifest| manifest.progress.kept).unwrap_or_default()
}

/// How far the training of a checkpoint had come; none where there is no readable one.
pub fn position(folder: &Path, name: &str) -> Option<Position> {
    read_manifest(folder, name).ok().map(|m| m.progress.position)
}

/// Whether a checkpoint is there and of this plan.
///
/// # Errors
/// If it is missing, damaged, or of another plan.
pub fn check(folder: &Path, name: &str, plan: &str) -> Result<(), CheckpointError> {
    manifest_of(folder, name, Some(plan)).map(drop)
}

pub fn exists(folder: &Path, name: &str) -> bool {
    folder.join(format!("{name}.json")).exists()
}

fn read_manifest(folder: &Path, name: &str) -> Result<Manifest, CheckpointError> {
    let path = folder.join(format!("{name}.json"));
    let text = fs::read(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => CheckpointError::Missing(path.clone()),
        _ => CheckpointError::Io(path.clone(), e),
    })?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| CheckpointError::Damaged { path: path.clone(), why: e.to_string() })?;
    if manifest.version != CHECKPOINT_VERSION {
        let why = format!("it has version {}, this program reads {CHECKPOINT_VERSION}", manifest.version);
        return Err(CheckpointError::Damaged { path, why });
    }
    Ok(manifest)
}

struct Bytes<'a>(&'a Tensor);

impl View for Bytes<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.0.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.data.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
    fn data_len(&self) -> usize {
        self.0.data.len() * 4
    }
}

fn write_tensors(path: &Path, tensors: &[Tensor]) -> io::Result<FileRecord> {
    let bytes = safetensors::serialize(tensors.iter().map(|t| (t.name.as_str(), Bytes(t))), None)
        .map_err(io::Error::other)?;
    write_atomically(path, &bytes)?;
    Ok(FileRecord { bytes: bytes.len() as u64, blake3: blake3::hash(&bytes).to_hex().to_string() })
}

fn read_tensors(path: &Path, record: &FileRecord) -> Result<Vec<Tensor>, CheckpointError> {
    let damaged = |why: String| CheckpointError::Damaged { path: path.to_path_buf(), why };
    let bytes = fs::read(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => damaged("the file is gone".into()),
        _ => CheckpointError::Io(path.to_path_buf(), e),
    })?;
    if bytes.len() as u64 != record.bytes {
        return Err(damaged(format!("it has {} bytes, {} were written", bytes.len(), record.bytes)));
    }
    if blake3::hash(&bytes).to_hex().to_string() != record.blake3 {
        return Err(damaged("its contents have changed since they were written".into()));
    }
    let views = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut tensors: Vec<_> = views
        .iter()
        .map(|(name, view)| Tensor {
            name: name.to_string(),
            shape: view.shape().to_vec(),
            data: view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        })
        .collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Writes beside, syncs, renames, syncs the folder.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(match path.extension() {
        Some(e) => format!("{}.tmp", e.to_string_lossy()),
        None => "tmp".into(),
    });
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(x: f32) -> Vec<Tensor> {
        vec![Tensor { name: "a.W".into(), shape: vec![2, 2], data: vec![x, 2.0, f32::MIN_POSITIVE, -0.0] }]
    }

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("gsl-checkpoint-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn comes_back_as_it_was_and_leaves_one_set_of_files() {
        let dir = folder("round");
        let mut progress = Progress::start();
        for step in 1..4 {
            progress.step = step;
            save(&dir, "last", "plan", &progress, &[("weights", &tensors(step as f32))]).unwrap();
        }
        assert_eq!(load(&dir, "last", Some("plan")).unwrap(), (progress, tensors(3.0)));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_cut_or_changed_file_is_named() {
        let dir = folder("cut");
        save(&dir, "last", "plan", &Progress::start(), &[("weights", &tensors(1.0))]).unwrap();
        let data = dir.join("last-00000000.weights.safetensors");
        let bytes = fs::read(&data).unwrap();
        fs::write(&data, &bytes[..bytes.len() - 3]).unwrap();
        assert!(load(&dir, "last", None).unwrap_err().to_string().contains("were written"));
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&data, &changed).unwrap();
        assert!(load(&dir, "last", None).unwrap_err().to_string().contains("have changed"));
        fs::remove_file(&data).unwrap();
        assert!(load(&dir, "last", None).unwrap_err().to_string().contains("gone"));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn another_plan_is_refused() {
        let dir = folder("plan");
        save(&dir, "last", "plan", &Progress::start(), &[]).unwrap();
        assert!(matches!(load(&dir, "last", Some("other")), Err(CheckpointError::OtherPlan { .. })));
        fs::remove_dir_all(dir).unwrap();
    }
}
