//! The best models of a training: which are kept, and their checkpoint.
//!
//! The checkpoint `best` is one manifest and a data file for each model that is kept, named by the step at which the model was
//! judged, so that a model is written once and a kill leaves the old set whole or the new one.

use super::checkpoint::{self, CheckpointError, Piece, Progress, Tensor};
use crate::report::event::Position;
use crate::store::{Params, StoreError};
use gsl_plan::plan::Monitor;
use serde::{Deserialize, Serialize};
use std::path::Path;

const NAME: &str = "best";

/// Which model was kept, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What was watched, as bits of a 64-bit float.
    pub value: u64,
    /// From 1.
    pub epoch: u32,
    pub position: Position,
    /// Batches done since the start.
    pub step: u64,
}

impl Kept {
    pub fn value(&self) -> f64 {
        f64::from_bits(self.value)
    }
}

/// The models that are kept, best first.
#[derive(Debug, Default)]
pub struct Bests {
    models: Vec<Model>,
    /// Whether the checkpoint holds these models.
    saved: bool,
}

#[derive(Debug)]
struct Model {
    kept: Kept,
    /// None where a killed run had already let go of them: the resumed run will do so too.
    params: Option<Params>,
    saved: bool,
}

impl Bests {
    /// Keeps the parameters if they are among the best; whether they are the best of all. Of equals the earlier one is better.
    pub fn offer(&mut self, monitor: &Monitor, keep: usize, kept: Kept, params: &Params) -> bool {
        let worse = |model: &Model| monitor.is_better(kept.value(), model.kept.value());
        let at = self.models.iter().position(worse).unwrap_or(self.models.len());
        if at >= keep {
            return false;
        }
        self.models.insert(at, Model { kept, params: Some(params.values_only()), saved: false });
        self.models.truncate(keep);
        self.saved = false;
        at == 0
    }

    pub fn kept(&self) -> Vec<Kept> {
        self.models.iter().map(|model| model.kept).collect()
    }

    /// The best parameters of all.
    pub fn into_params(self) -> Option<Params> {
        self.models.into_iter().next()?.params
    }

    /// Writes what is new; without models, removes the checkpoint of an earlier run.
    pub fn save(&mut self, folder: &Path, hash: &str) -> Result<(), CheckpointError> {
        let Some(best) = self.models.first().map(|model| model.kept) else {
            return checkpoint::remove(folder, NAME);
        };
        if self.saved {
            return Ok(());
        }
        let progress =
            Progress { position: best.position, step: best.step, kept: self.kept(), ..Progress::start() };
        let tensors: Vec<_> = self.models.iter().map(Model::unsaved).collect();
        let pieces: Vec<Piece> = std::iter::zip(&self.models, &tensors)
            .filter(|(model, _)| model.params.is_some())
            .map(|(model, tensors)| Piece {
                step: model.kept.step,
                part: "weights",
                tensors: tensors.as_deref(),
            })
            .collect();
        checkpoint::save_pieces(folder, NAME, hash, &progress, &pieces)?;
        self.models.iter_mut().for_each(|model| model.saved = true);
        self.saved = true;
        Ok(())
    }

    /// The models that a checkpoint `last` says were kept, as far as they are still there.
    pub fn load(folder: &Path, hash: &str, kept: &[Kept], empty: &Params) -> Result<Self, BestError> {
        let mut models = Vec::new();
        for kept in kept {
            let tensors = checkpoint::load_step(folder, NAME, Some(hash), kept.step)?;
            let params = tensors.map(|tensors| filled(empty, &tensors)).transpose()?;
            models.push(Model { kept: *kept, saved: params.is_some(), params });
        }
        Ok(Bests { models, saved: false })
    }
}

impl Model {
    fn unsaved(&self) -> Option<Vec<Tensor>> {
        let params = self.params.as_ref().filter(|_| !self.saved)?;
        Some(params.tensors().into_iter().map(Tensor::from).collect())
    }
}

fn filled(empty: &Params, tensors: &[Tensor]) -> Result<Params, StoreError> {
    let mut params = empty.values_only();
    tensors.iter().try_for_each(|tensor| params.restore(&tensor.name, &tensor.data))?;
    Ok(params)
}

/// Why kept models cannot be read.
#[derive(Debug)]
pub enum BestError {
    Checkpoint(CheckpointError),
    Store(StoreError),
}

impl From<CheckpointError> for BestError {
    fn from(error: CheckpointError) -> Self {
        BestError::Checkpoint(error)
    }
}

impl From<StoreError> for BestError {
    fn from(error: StoreError) -> Self {
        BestError::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gsl_plan::plan::{Init, Param, ParamKind};

    fn params(x: f32) -> Params {
        let param =
            Param { name: "w".into(), shape: vec![1], init: Init::Constant(x), kind: ParamKind::Dense };
        Params::new(&[param], 0)
    }

    fn kept(step: u64, value: f64) -> Kept {
        let epoch = step as u32;
        Kept { value: value.to_bits(), epoch, position: Position { epoch, batch: 0 }, step }
    }

    fn monitor() -> Monitor {
        Monitor { terms: vec![], constant: 0.0, higher_is_better: true, name: "accuracy".into() }
    }

    fn steps(bests: &Bests) -> Vec<u64> {
        bests.kept().iter().map(|kept| kept.step).collect()
    }

    #[test]
    fn the_best_are_kept_and_of_equals_the_earlier() {
        let mut bests = Bests::default();
        let offers = [(1, 0.5), (2, 0.7), (3, 0.6), (4, 0.7), (5, 0.4)];
        let best: Vec<bool> =
            offers.map(|(step, value)| bests.offer(&monitor(), 3, kept(step, value), &params(0.0))).into();
        assert_eq!(best, [true, true, false, false, false]);
        assert_eq!(steps(&bests), [2, 4, 3]);
    }

    #[test]
    fn models_are_written_once_and_come_back() {
        let folder = std::env::temp_dir().join(format!("gsl-best-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mut bests = Bests::default();
        bests.offer(&monitor(), 2, kept(1, 0.5), &params(1.0));
        bests.offer(&monitor(), 2, kept(2, 0.4), &params(2.0));
        bests.save(&folder, "plan").unwrap();
        let before = bests.kept();
        bests.offer(&monitor(), 2, kept(3, 0.6), &params(3.0));
        bests.save(&folder, "plan").unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
        let (progress, top) = checkpoint::load(&folder, "best", Some("plan")).unwrap();
        assert_eq!((progress.kept, top[0].data[0]), (bests.kept(), 3.0));
        let resumed = Bests::load(&folder, "plan", &before, &params(0.0)).unwrap();
        let values = resumed.models.iter().map(|model| Some(model.params.as_ref()?.values(0)[0]));
        assert_eq!(values.collect::<Vec<_>>(), [Some(1.0), None]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
