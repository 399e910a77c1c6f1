//! From tables to a graph file: keys to ids, features, labels, splits, relations.
//!
//! Decided here: how a declaration becomes arrays, what is refused and what is counted. Not decided here: what the declaration
//! may say (the plan), how cells are read (`gsl-tables`), how the file is laid out ([`crate::graph`]).
//!
//! The graph is a function of the tables' content and of the plan: not of the order of rows, of how rows are spread over files,
//! nor of the number of threads. Only the stored row numbers know where an edge stood.

pub mod error;
pub mod feature;
pub mod fit;
pub mod frame;
pub mod report;
pub mod scratch;
pub mod transform;

mod edges;
mod exact;
mod keys;
mod label;
mod nodes;
mod split;
mod tables;
mod value;
mod values;

use std::path::{Path, PathBuf};
use std::time::Instant;

use gsl_plan::graph::{FeatureFacts, GraphFacts, GraphPlan, NodeFacts, NodeType, Part, RelationFacts};
use gsl_tables::Fingerprint;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use error::{BuildError, Result};
pub use feature::FittedFeature;
pub use label::FittedLabel;
pub use report::BuildReport;
pub use transform::FittedTransform;

use crate::graph::{Graph, GraphWriter, LAYOUT_VERSION, Meta};
use feature::Rows;
use keys::Keys;
use nodes::Nodes;
use report::{FeatureReport, LabelReport, NodeReport, SourceReport, StageTime};
use scratch::Scratch;
use tables::Tables;

/// What a graph has learned from its tables; new tables are treated by it, see [`construct_like`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FittedGraph {
    /// By node type, then by feature.
    pub nodes: Vec<Vec<FittedFeature>>,
    /// By node type, then by label.
    pub labels: Vec<Vec<FittedLabel>>,
    /// By edge declaration, then by feature.
    pub edges: Vec<Vec<FittedFeature>>,
}

/// Told what is being done: stage, steps done, steps in all.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// Reuses the graph that `folder` holds for this plan and these tables, or builds it there. Relative sources are below `base`.
/// The third result is true when nothing was built.
pub fn construct_or_reuse(
    plan: &GraphPlan,
    base: &Path,
    folder: &Path,
    progress: Progress,
) -> Result<(Graph, BuildReport, bool)> {
    progress("fingerprint", 0, 1);
    let key = content_key(plan, base)?;
    let path = graph_path(plan, folder, &key);
    if let Ok(graph) = Graph::open(&path)
        && graph.meta().content_key == key
        && graph.quick_verify().is_ok()
    {
        let report = graph.report().clone();
        return Ok((graph, report, true));
    }
    let report = construct(plan, base, &path, progress)?;
    Ok((Graph::open(&path)?, report, false))
}

/// Where [`construct_or_reuse`] keeps a graph: one file for each content.
pub fn graph_path(plan: &GraphPlan, folder: &Path, content_key: &str) -> PathBuf {
    folder.join(format!("{}-{}.h5", plan.name, &content_key[..16.min(content_key.len())]))
}

/// A hash of the plan, of the names and contents of all its tables, and of the layout's version.
pub fn content_key(plan: &GraphPlan, base: &Path) -> Result<String> {
    let prints: Vec<Fingerprint> =
        tables::fingerprints(plan, base)?.into_iter().map(|(_, print)| print).collect();
    Ok(key_of(plan, &prints))
}

fn key_of(plan: &GraphPlan, prints: &[Fingerprint]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&LAYOUT_VERSION.to_le_bytes());
    hasher.update(&serde_json::to_vec(plan).unwrap_or_default());
    prints.iter().for_each(|print| {
        hasher.update(&print.hash);
    });
    hasher.finalize().to_hex().to_string()
}

/// Tables that differ from what a graph was built from, or are gone.
pub fn changed_tables(graph: &Graph, base: &Path) -> Vec<PathBuf> {
    let mut changed = Vec::new();
    for (declared, before) in &graph.meta().fingerprints {
        match gsl_tables::Source::open(&declared.paths, base).and_then(|source| source.fingerprint()) {
            Ok(now) => changed.extend(now.changed_since(before)),
            Err(error) => changed.push(error.file),
        }
    }
    changed
}

/// Builds a graph file, whole or not at all.
pub fn construct(plan: &GraphPlan, base: &Path, file: &Path, progress: Progress) -> Result<BuildReport> {
    build(plan, base, file, None, progress)
}

/// Builds a graph of new tables with what another graph has learned: the same statistics, vocabularies and classes. Labels may be
/// absent from the rows; a class that is not known counts as unlabelled.
pub fn construct_like(
    plan: &GraphPlan,
    base: &Path,
    file: &Path,
    fitted: &FittedGraph,
    progress: Progress,
) -> Result<BuildReport> {
    build(plan, base, file, Some(fitted), progress)
}

/// The state of a build: what is counted, and what will be stored beside the arrays.
struct Builder<'a> {
    plan: &'a GraphPlan,
    tables: Tables,
    known: Option<&'a FittedGraph>,
    writer: GraphWriter,
    report: BuildReport,
    facts: GraphFacts,
    fitted: FittedGraph,
    degrees: Vec<Vec<f32>>,
    touched: Vec<Vec<bool>>,
}

fn build(
    plan: &GraphPlan,
    base: &Path,
    file: &Path,
    known: Option<&FittedGraph>,
    progress: Progress,
) -> Result<BuildReport> {
    let start = Instant::now();
    let prints = tables::fingerprints(plan, base)?;
    let hashes: Vec<Fingerprint> = prints.iter().map(|(_, print)| print.clone()).collect();
    let mut builder = Builder::new(plan, base, file, known)?;
    builder.report.content_key = key_of(plan, &hashes);
    builder.report.sources = source_reports(&builder.tables, &hashes);
    let steps = (2 * plan.nodes.len() + plan.edges.len()) as u64;
    let mut nodes = builder.stage("read nodes", |b| b.load_nodes(steps, &mut *progress))?;
    builder.stage("features and labels", |b| b.write_nodes(&mut nodes, steps, &mut *progress))?;
    builder.stage("edges", |b| b.write_edges(&nodes, steps, &mut *progress))?;
    builder.write_degrees()?;
    builder.warn();
    builder.report.seconds = start.elapsed().as_secs_f64();
    builder.finish(prints)
}

impl<'a> Builder<'a> {
    fn new(plan: &'a GraphPlan, base: &Path, file: &Path, known: Option<&'a FittedGraph>) -> Result<Self> {
        Ok(Self {
            plan,
            tables: Tables::open(plan, base)?,
            known,
            writer: GraphWriter::create(file)?,
            report: BuildReport { graph: plan.name.clone(), ..BuildReport::default() },
            facts: GraphFacts::default(),
            fitted: FittedGraph::default(),
            degrees: Vec::new(),
            touched: Vec::new(),
        })
    }

    fn stage<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let done = work(self)?;
        self.report.stages.push(StageTime { name: name.to_string(), seconds: start.elapsed().as_secs_f64() });
        Ok(done)
    }

    fn load_nodes(&mut self, steps: u64, progress: Progress) -> Result<Vec<Nodes>> {
        let mut all = Vec::new();
        for (index, ty) in self.plan.nodes.iter().enumerate() {
            progress(&ty.name, index as u64, steps);
            let mut report = NodeReport { name: ty.name.clone(), ..NodeReport::default() };
            let nodes = match ty.sources.is_empty() {
                true => nodes::from_edges(self.plan, index, &self.tables, &mut report)?,
                false => nodes::load(ty, &self.tables, &mut report)?,
            };
            self.degrees.push(vec![0.0; nodes.keys.len()]);
            self.touched.push(vec![false; nodes.keys.len()]);
            self.report.nodes.push(report);
            all.push(nodes);
        }
        Ok(all)
    }

    fn write_nodes(&mut self, nodes: &mut [Nodes], steps: u64, progress: Progress) -> Result<()> {
        for (index, ty) in self.plan.nodes.iter().enumerate() {
            progress(&ty.name, (nodes.len() + index) as u64, steps);
            self.writer.node_type(&ty.name)?;
            match &nodes[index].keys {
                Keys::Rows(_) => {}
                Keys::Ints(keys) => self.writer.int_keys(&ty.name, keys)?,
                Keys::Texts(keys) => self.writer.text_keys(&ty.name, keys.offsets(), keys.bytes())?,
            }
            nodes[index].frame.trains = self.write_labels(index, ty, &nodes[index])?;
            self.write_features(index, ty, &nodes[index])?;
        }
        Ok(())
    }

    /// Returns which nodes the type's first label trains on, if it has one.
    fn write_labels(&mut self, index: usize, ty: &NodeType, nodes: &Nodes) -> Result<Option<Vec<bool>>> {
        let mut train = None;
        let mut facts =
            NodeFacts { name: ty.name.clone(), count: nodes.keys.len() as u64, ..NodeFacts::default() };
        let mut fitted = Vec::new();
        for (position, one) in ty.labels.iter().enumerate() {
            let known = self.known.and_then(|known| known.labels.get(index)?.get(position));
            let mut report = LabelReport::default();
            let built = label::build(ty, one, nodes, &self.tables, self.plan.seed, known, &mut report)?;
            self.writer.label(&ty.name, &one.name, &built.values, &built.parts)?;
            train.get_or_insert_with(|| built.parts.iter().map(|&p| p == Part::Train as u8).collect());
            self.report.nodes[index].labels.push(report);
            facts.labels.push(built.facts);
            fitted.push(built.fitted);
        }
        self.facts.nodes.push(facts);
        self.fitted.labels.push(fitted);
        Ok(train)
    }

    fn write_features(&mut self, index: usize, ty: &NodeType, nodes: &Nodes) -> Result<()> {
        let learned = match self.known.and_then(|known| known.nodes.get(index)) {
            Some(known) => known.clone(),
            None => fit::fit_all(&ty.name, &ty.features, &nodes.frame, &Scratch::unbounded())?,
        };
        let one = |(declared, fitted): (&gsl_plan::graph::Feature, FittedFeature)| -> Result<(FittedFeature, Rows, u64)> {
            let missing = feature::missing_inputs(declared, &nodes.frame);
            let rows = feature::apply(&ty.name, &fitted, &nodes.frame)?;
            Ok((fitted, rows, missing))
        };
        let all: Vec<_> = ty.features.par_iter().zip(learned).map(one).collect::<Result<_>>()?;
        let mut fitted = Vec::new();
        for (one, rows, missing) in all {
            self.writer.node_feature(&ty.name, &one.name, rows.width, &rows.data)?;
            self.facts.nodes[index].features.push(FeatureFacts {
                name: one.name.clone(),
                width: rows.width,
                ..FeatureFacts::default()
            });
            self.report.nodes[index]
                .features
                .push(FeatureReport::of(&one.name, rows.width, missing, &rows.data));
            fitted.push(one);
        }
        self.fitted.nodes.push(fitted);
        Ok(())
    }

    fn write_edges(&mut self, nodes: &[Nodes], steps: u64, progress: Progress) -> Result<()> {
        for (index, edge) in self.plan.edges.iter().enumerate() {
            progress(edges::name_of(edge), (2 * nodes.len() + index) as u64, steps);
            let known = self.known.and_then(|known| known.edges.get(index)).map(Vec::as_slice);
            let first = self.facts.relations.len();
            let (built, fitted) = edges::build(self.plan, index, &self.tables, nodes, known, first)?;
            for one in built {
                self.write_relation(one)?;
            }
            self.fitted.edges.push(fitted);
        }
        Ok(())
    }

    fn write_relation(&mut self, built: edges::Built) -> Result<()> {
        let index = self.facts.relations.len();
        self.write_csc(index, &built.facts, &built.csc)?;
        for (facts, rows) in built.facts.features.iter().zip(&built.features) {
            self.writer.edge_feature(index, &facts.name, rows.width, &rows.data)?;
        }
        for (node, range) in built.csc.indptr.windows(2).enumerate() {
            self.touched[built.facts.dst][node] |= range[0] < range[1];
        }
        built.csc.src.iter().for_each(|&node| self.touched[built.facts.src][node as usize] = true);
        self.facts.relations.push(built.facts);
        self.report.relations.push(built.report);
        if let Some((facts, csc)) = built.reverse {
            self.write_csc(index + 1, &facts, &csc)?;
            self.facts.relations.push(facts);
        }
        Ok(())
    }

    fn write_csc(&mut self, index: usize, facts: &RelationFacts, csc: &edges::Csc) -> Result<()> {
        self.writer.relation(index, facts, &csc.indptr, &csc.src, &csc.rows)?;
        for (degree, range) in self.degrees[facts.dst].iter_mut().zip(csc.indptr.windows(2)) {
            *degree += (range[1] - range[0]) as f32;
        }
        Ok(())
    }

    fn write_degrees(&mut self) -> Result<()> {
        for (index, ty) in self.plan.nodes.iter().enumerate() {
            self.writer.degree(&ty.name, &self.degrees[index])?;
            self.report.nodes[index].isolated =
                self.touched[index].iter().filter(|&&touched| !touched).count() as u64;
        }
        Ok(())
    }

    fn warn(&mut self) {
        for node in &self.report.nodes {
            for label in node.labels.iter().filter(|label| !label.never_trained.is_empty()) {
                self.report.warnings.push(format!(
                    "`{}.{}`: by chance of the split, classes of the test part that no training row has: {}",
                    node.name,
                    label.name,
                    label.never_trained.join(", ")
                ));
            }
            for label in node.labels.iter().filter(|label| label.parts[Part::Valid as usize] == 0) {
                self.report.warnings.push(format!("`{}.{}` has no validation rows", node.name, label.name));
            }
        }
        for relation in self.report.relations.iter().filter(|relation| relation.edges == 0) {
            self.report.warnings.push(format!("relation `{}` has no edges", relation.name));
        }
    }

    fn finish(self, fingerprints: Vec<(gsl_plan::graph::Source, Fingerprint)>) -> Result<BuildReport> {
        let meta = Meta {
            content_key: self.report.content_key.clone(),
            plan: self.plan.clone(),
            facts: self.facts,
            fitted: self.fitted,
            fingerprints,
            report: self.report.clone(),
        };
        self.writer.finish(&meta)?;
        Ok(self.report)
    }
}

fn source_reports(tables: &Tables, prints: &[Fingerprint]) -> Vec<SourceReport> {
    let one = |(opened, print): (&tables::Opened, &Fingerprint)| SourceReport {
        paths: opened.declared.paths.clone(),
        files: print.files.len() as u64,
        bytes: print.files.iter().map(|file| file.bytes).sum(),
        columns: opened.header.columns.len() as u64,
    };
    tables.iter().zip(prints).map(one).collect()
}
