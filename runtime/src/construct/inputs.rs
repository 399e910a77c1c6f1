//! What a graph is made of: its declaration and its tables, as a hash, and where a graph of that hash is kept.

use std::path::{Path, PathBuf};

use gsl_plan::graph::{GraphPlan, Source};
use gsl_tables::Fingerprint;

use super::error::Result;
use super::known::Known;
use super::tables::{self, open_source};
use crate::graph::{Graph, LAYOUT_VERSION};
use crate::text::Models;

/// Where [`super::construct_or_reuse`] keeps a graph: one file for each content.
pub fn graph_path(graph: &str, folder: &Path, content_key: &str) -> PathBuf {
    folder.join(format!("{graph}-{}.h5", &content_key[..16.min(content_key.len())]))
}

/// A hash of the plan, of the names and contents of all its tables, of its language models, and of the layout's version.
pub fn content_key(plan: &GraphPlan, base: &Path) -> Result<String> {
    Ok(Inputs::of(plan, base, None)?.key)
}

/// What a graph is made of, as it is now.
pub(super) struct Inputs {
    pub prints: Vec<(Source, Fingerprint)>,
    /// See [`content_key`].
    pub key: String,
}

impl Inputs {
    pub fn of(plan: &GraphPlan, base: &Path, known: Option<Known>) -> Result<Self> {
        let prints = tables::fingerprints(plan, base)?;
        let key = key_of(plan, &prints, &Models::new(base), known)?;
        Ok(Self { prints, key })
    }
}

fn key_of(
    plan: &GraphPlan,
    prints: &[(Source, Fingerprint)],
    models: &Models,
    known: Option<Known>,
) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&LAYOUT_VERSION.to_le_bytes());
    hasher.update(&serde_json::to_vec(plan).unwrap_or_default());
    prints.iter().for_each(|(_, print)| {
        hasher.update(&print.hash);
    });
    let features = plan.nodes.iter().flat_map(|node| &node.features);
    let features = features.chain(plan.edges.iter().flat_map(|edge| &edge.features));
    for print in models.prints(features)? {
        hasher.update(print.as_bytes());
    }
    if let Some(known) = known {
        hasher.update(b"like").update(known.key().as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Tables that differ from what a graph was built from, or are gone.
pub fn changed_tables(graph: &Graph, base: &Path) -> Vec<PathBuf> {
    let mut changed = Vec::new();
    for (declared, before) in &graph.meta().fingerprints {
        match open_source(declared, base).and_then(|source| source.fingerprint()) {
            Ok(now) => changed.extend(now.changed_since(before)),
            Err(error) => changed.push(error.file),
        }
    }
    changed
}
