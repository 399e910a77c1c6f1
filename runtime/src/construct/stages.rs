//! What has been computed from what: a build goes on where it was stopped, and takes over what has not changed.
//!
//! A stage is known by a hash of all that it depends on. Its arrays and what it found out are looked for among the stages that a
//! stopped build left in the scratch folder, and in the graphs that were built before of the same name; else they are computed.
//! A stage that took long is kept in the scratch folder until the graph file is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gsl_tables::replace_file;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{BuildError, Result};
use super::scratch::Scratch;
use crate::graph::piece::{Element, Piece};
use crate::graph::{ArrayRecord, Graph, StageRecord};

/// A stage that took less is not worth a file.
const KEEP_SECONDS: f64 = 5.0;

/// Arrays by their names within the stage.
pub type Arrays = Vec<(String, Piece)>;

/// The stages of one build.
pub struct Stages {
    folder: PathBuf,
    /// Stages that took longer than this many seconds are kept.
    keep_after: f64,
    earlier: Vec<Graph>,
    /// Stages that were asked for, by key: their arrays are read and checked once.
    found: BTreeMap<String, Done>,
    done: Vec<Done>,
}

/// A stage that this build has, with its arrays.
pub struct Done {
    pub record: StageRecord,
    pub arrays: Arrays,
}

/// The file that says what a kept stage consists of.
#[derive(Serialize, Deserialize)]
struct Manifest {
    record: StageRecord,
    arrays: Vec<KeptArray>,
}

#[derive(Serialize, Deserialize)]
struct KeptArray {
    name: String,
    file: String,
    element: Element,
    width: Option<usize>,
    bytes: u64,
    hash: String,
}

impl Stages {
    /// For a graph of this name; `cache` holds the graphs that were built before.
    pub fn new(scratch: &Scratch, graph: &str, cache: Option<&Path>) -> Self {
        let earlier = cache.map(|cache| graphs_in(cache, graph)).unwrap_or_default();
        let folder = scratch.folder.join(format!("{graph}.stages"));
        Self { folder, keep_after: KEEP_SECONDS, earlier, found: BTreeMap::new(), done: Vec::new() }
    }

    /// The result and the arrays of a stage: found, or made. `depends` is all that they are a function of.
    pub fn run<R: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        depends: &impl Serialize,
        make: impl FnOnce() -> Result<(R, Arrays)>,
    ) -> Result<R> {
        let key = key_of(name, depends);
        if let Some(found) = self.found.remove(&key).or_else(|| self.find(&key))
            && let Ok(result) = R::deserialize(&found.record.result)
        {
            self.done.push(found);
            return Ok(result);
        }
        let started = Instant::now();
        let (result, arrays) = make()?;
        let seconds = started.elapsed().as_secs_f64();
        let value = serde_json::to_value(&result).unwrap_or_default();
        let record = StageRecord { key, name: name.to_string(), seconds, result: value, arrays: Vec::new() };
        let mut done = Done { record, arrays };
        if seconds > self.keep_after {
            self.keep(&mut done)?;
        }
        self.done.push(done);
        Ok(result)
    }

    /// Whether [`Stages::run`] would find this stage.
    pub fn knows(&mut self, name: &str, depends: &impl Serialize) -> bool {
        let key = key_of(name, depends);
        if !self.found.contains_key(&key)
            && let Some(found) = self.find(&key)
        {
            self.found.insert(key.clone(), found);
        }
        self.found.contains_key(&key)
    }

    /// The arrays of the stage that was run last.
    pub fn last(&self) -> &Arrays {
        &self.done.last().expect("a stage has run").arrays
    }

    pub fn done(&self) -> &[Done] {
        &self.done
    }

    fn find(&self, key: &str) -> Option<Done> {
        self.kept(key).or_else(|| self.earlier.iter().find_map(|graph| taken_over(graph, key)))
    }

    fn kept(&self, key: &str) -> Option<Done> {
        let text = fs::read(self.folder.join(format!("{}.json", short(key)))).ok()?;
        let manifest: Manifest = serde_json::from_slice(&text).ok()?;
        if manifest.record.key != key {
            return None;
        }
        let open = |array: KeptArray| {
            let path = self.folder.join(array.file);
            Piece::open(&path, array.element, array.width, array.bytes, &array.hash)
                .ok()
                .map(|piece| (array.name, piece))
        };
        Some(Done {
            record: manifest.record,
            arrays: manifest.arrays.into_iter().map(open).collect::<Option<_>>()?,
        })
    }

    /// Arrays first, then the manifest with their hashes: a stage is there whole or not at all.
    fn keep(&self, done: &mut Done) -> Result<()> {
        let failed = |error| BuildError::Scratch { file: self.folder.clone(), error };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let mut arrays = Vec::new();
        for (index, (name, piece)) in done.arrays.iter_mut().enumerate() {
            let file = format!("{}.{index}", short(&done.record.key));
            piece.keep_as(&self.folder.join(&file)).map_err(failed)?;
            let (element, width, bytes) = (piece.element, piece.width, piece.bytes());
            let hash = piece.hash().map_err(failed)?.to_hex().to_string();
            arrays.push(KeptArray { name: name.clone(), file, element, width, bytes, hash });
        }
        let manifest = Manifest { record: done.record.clone(), arrays };
        let text = serde_json::to_vec(&manifest).map_err(|error| failed(error.into()))?;
        let path = self.folder.join(format!("{}.json", short(&done.record.key)));
        replace_file(&path, |file| std::io::Write::write_all(file, &text)).map_err(failed)
    }

    /// The graph is whole: what was kept is no longer needed.
    pub fn clear(self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn key_of(name: &str, depends: &impl Serialize) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&crate::graph::LAYOUT_VERSION.to_le_bytes());
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    hasher.update(&serde_json::to_vec(depends).unwrap_or_default());
    hasher.finalize().to_hex().to_string()
}

fn short(key: &str) -> &str {
    &key[..key.len().min(24)]
}

fn taken_over(graph: &Graph, key: &str) -> Option<Done> {
    let record = graph.meta().stages.iter().find(|record| record.key == key)?;
    let piece = |array: &ArrayRecord| Some((array.name.clone(), graph.piece(array)?));
    Some(Done { record: record.clone(), arrays: record.arrays.iter().map(piece).collect::<Option<_>>()? })
}

/// Graph files `NAME-….h5` of the folder, the newest first; what cannot be opened is passed over.
fn graphs_in(folder: &Path, name: &str) -> Vec<Graph> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let prefix = format!("{name}-");
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            file.starts_with(&prefix) && file.ends_with(".h5")
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    found.iter().rev().filter_map(|(_, path)| Graph::open(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(folder: &Path) -> Stages {
        let scratch = Scratch { folder: folder.to_path_buf(), memory: 1 << 20 };
        Stages { keep_after: -1.0, ..Stages::new(&scratch, "g", None) }
    }

    fn made(numbers: &[u32]) -> Result<(String, Arrays)> {
        Ok(("found".to_string(), vec![("a/b".to_string(), Piece::of(numbers, None))]))
    }

    #[test]
    fn a_stage_is_made_once_for_what_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        stages(folder.path()).run("s", &1, || made(&[1, 2])).unwrap();
        let mut again = stages(folder.path());
        assert!(again.knows("s", &1) && !again.knows("s", &2) && !again.knows("t", &1));
        let result: String = again.run("s", &1, || panic!("it is there")).unwrap();
        assert_eq!((result.as_str(), again.last()[0].1.load::<u32>().unwrap()), ("found", vec![1, 2]));
        again.run("s", &2, || made(&[3])).unwrap();
        again.clear();
        assert!(!stages(folder.path()).knows("s", &1));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stage_that_is_not_whole_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        stages(folder.path()).run("s", &1, || made(&[1, 2])).unwrap();
        for entry in fs::read_dir(folder.path().join("g.stages")).unwrap() {
            let path = entry.unwrap().path();
            let whole = fs::read(&path).unwrap();
            let mut other = whole.clone();
            *other.last_mut().unwrap() ^= 1;
            fs::write(&path, &other).unwrap();
            assert!(!stages(folder.path()).knows("s", &1), "{} is changed", path.display());
            fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            assert!(!stages(folder.path()).knows("s", &1), "{} is cut", path.display());
            fs::write(&path, &whole).unwrap();
        }
        assert!(stages(folder.path()).knows("s", &1));
    }

    #[test]
    fn a_failed_stage_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let failed =
            stages(folder.path()).run::<String>("s", &1, || Err(BuildError::NoNodes { ty: "t".into() }));
        assert!(failed.is_err() && fs::read_dir(folder.path()).unwrap().count() == 0);
    }
}
