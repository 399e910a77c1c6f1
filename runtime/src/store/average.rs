//! The moving average of the parameters over the steps of a training.

use super::{Entry, PREFIXES, Params, StateTensor, StoreError, Which};
use rayon::prelude::*;

/// How tensors of the average are named in a checkpoint.
pub const PREFIX: &str = "average/";

/// A moving average of all values, tables among them: ā ← β ā + (1 - β) θ after each step. Polyak and Juditsky 1992. β is
/// `decay`, but at most (1 + t) / (10 + t) at step t from 1, so that the start is soon forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Average {
    decay: f32,
    values: Params,
    steps: u64,
}

impl Average {
    pub fn new(params: &Params, decay: f32) -> Self {
        Average { decay, values: params.values_only(), steps: 0 }
    }

    /// Takes the parameters after a step in. Reads and writes each value of the average once: 12 bytes per parameter.
    pub fn update(&mut self, params: &Params) {
        self.steps += 1;
        let t = self.steps as f64;
        let share = 1.0 - f64::from(self.decay).min((1.0 + t) / (10.0 + t));
        let vectors = std::iter::once((&mut self.values.dense, &params.dense))
            .chain(self.values.tables.iter_mut().zip(&params.tables));
        for (mean, now) in vectors {
            approach(&mut mean.values, &now.values, share as f32);
        }
    }

    /// Exchanges the values of `params` for the averaged ones; a second time brings them back.
    pub fn swap(&mut self, params: &mut Params) {
        std::mem::swap(&mut self.values.dense.values, &mut params.dense.values);
        for (mean, now) in self.values.tables.iter_mut().zip(&mut params.tables) {
            std::mem::swap(&mut mean.values, &mut now.values);
        }
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// The averaged values, as a checkpoint holds them.
    pub fn state(&self) -> Vec<StateTensor<'_>> {
        let tensor = |entry: &'_ Entry| format!("{PREFIX}{}", entry.name);
        let all = self.values.entries.iter();
        all.map(|entry| StateTensor {
            name: tensor(entry),
            shape: &entry.shape,
            data: self.values.part(entry, Which::Value),
        })
        .collect()
    }

    /// Sets one tensor, by the name it has in [`Average::state`].
    ///
    /// # Errors
    /// If there is no such tensor, or it has another length.
    pub fn restore(&mut self, name: &str, data: &[f32]) -> Result<(), StoreError> {
        let param = name.strip_prefix(PREFIX).ok_or_else(|| StoreError::Unknown { name: name.into() })?;
        self.values.restore(&format!("{}{param}", PREFIXES[0].0), data)
    }
}

/// mean += share (now - mean), which is exact where both are equal.
fn approach(mean: &mut [f32], now: &[f32], share: f32) {
    const CHUNK: usize = 16_384;
    mean.par_chunks_mut(CHUNK).zip(now.par_chunks(CHUNK)).for_each(|(mean, now)| {
        mean.iter_mut().zip(now).for_each(|(mean, now)| *mean += share * (now - *mean));
    });
}
