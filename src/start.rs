//! Parts that start from the runs of other experiments of the file.

use crate::pipeline::judged;
use crate::source::{Failure, SourceText};
use gsl_plan::plan::Plan;
use gsl_runtime::store::Params;
use gsl_runtime::train::checkpoint::{self, CheckpointError, Tensor};
use gsl_runtime::train::start::take_over;
use std::path::{Path, PathBuf};

/// The parameters to start with, none where no part starts from another run. The plan then names the contents that it starts
/// from: a training goes on only from what it began with.
pub fn params(plan: &mut Plan, source: &SourceText, from: &[String]) -> Result<Option<Params>, Failure> {
    if plan.starts.is_empty() {
        return Ok(None);
    }
    let mut params = Params::new(&plan.params, plan.seed);
    for start in &mut plan.starts {
        let folder = folder(&start.run, source, from)?;
        let tensors = kept(&start.run, &folder)?;
        start.content = content(&tensors);
        take_over(&mut params, start, &tensors).map_err(|e| Failure::new(&e).help(e.help()))?;
    }
    Ok(Some(params))
}

/// The folder of a run: as `--from RUN=DIR` says, else beside the file.
fn folder(run: &str, source: &SourceText, from: &[String]) -> Result<PathBuf, Failure> {
    for text in from {
        match text.split_once('=') {
            Some((name, folder)) if name.trim() == run => return Ok(folder.trim().into()),
            Some(_) => {}
            None => {
                return Err(Failure {
                    code: 2,
                    ..Failure::new(format!("`--from {text}` is not EXPERIMENT=DIR"))
                });
            }
        }
    }
    Ok(source.folder().join("out").join(run))
}

/// What a finished run has kept, by the names of its parameters.
fn kept(run: &str, folder: &Path) -> Result<Vec<Tensor>, Failure> {
    let checkpoints = folder.join("checkpoints");
    let (last, tensors) =
        checkpoint::load(&checkpoints, "last", None).map_err(|e| not_there(run, folder, e))?;
    if !last.finished {
        let failure = Failure::new(format!("the run of `{run}` in `{}` has not ended", folder.display()));
        return Err(failure.help(format!("let it end: gsc run FILE --experiment {run} --resume")));
    }
    let tensors = match checkpoint::exists(&checkpoints, "best") {
        true => checkpoint::load(&checkpoints, "best", None).map_err(Failure::new)?.1,
        false => tensors,
    };
    let shape =
        |name: &str| tensors.iter().find(|t| t.name.ends_with(&format!("/{name}"))).map(|t| t.shape.clone());
    let named = judged(&tensors).filter_map(|(name, data)| {
        let name = name.strip_prefix("param/")?;
        Some(Tensor { name: name.into(), shape: shape(name)?, data: data.to_vec() })
    });
    Ok(named.collect())
}

fn not_there(run: &str, folder: &Path, error: CheckpointError) -> Failure {
    match error {
        CheckpointError::Missing(_) => {
            let message = format!("there is no run of `{run}` in `{}` to start from", folder.display());
            let help = format!(
                "run it first: gsc run FILE --experiment {run}; or say where it is: --from {run}=DIR"
            );
            Failure::new(message).help(help)
        }
        other => Failure::new(other),
    }
}

fn content(tensors: &[Tensor]) -> String {
    let mut hasher = blake3::Hasher::new();
    for tensor in tensors {
        hasher.update(tensor.name.as_bytes());
        for x in &tensor.data {
            hasher.update(&x.to_le_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}
