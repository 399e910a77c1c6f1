//! From tables to a graph file: keys to ids, features, labels, splits, relations.
//!
//! Decided here: how a declaration becomes arrays, what is refused and what is counted. Not decided here: what the declaration
//! may say (the plan), how cells are read (`gsl-tables`), how the file is laid out ([`crate::graph`]).
//!
//! The graph is a function of the tables' content and of the plan: not of the order of rows, of how rows are spread over files,
//! of the number of threads, nor of the memory allowed. Only the stored row numbers know where a node or an edge stood.
//!
//! A build is a line of stages (keys, labels, features, edges), each known by a hash of what it depends on ([`stages`]). What grows with
//! edges, or with the width of features, goes through tables in batches and through the scratch folder. Identifiers are held with an index
//! of them while they take less than half of the memory, type by type; those of other types stay where they were written, and the ends
//! of edges are found slice by slice ([`ends`]). Labels of nodes, and some numbers of four bytes for each node, are held in memory.

pub mod error;
pub mod feature;
pub mod fit;
pub mod frame;
pub mod report;
pub mod scratch;
pub mod storage;
pub mod transform;

mod assemble;
mod batches;
mod candidates;
mod carried;
mod computed;
mod csc;
mod degrees;
mod distinct;
mod edge_faults;
mod edge_labels;
mod edge_rows;
mod edge_sorters;
mod edges;
mod ends;
mod exact;
mod index;
mod inputs;
mod keys;
mod keysort;
mod known;
mod label;
mod label_values;
mod lowered;
mod membership;
mod merge;
mod merged;
mod nodes;
mod part_words;
mod rows;
mod sink;
mod situate;
mod sorter;
mod split;
mod stages;
mod store;
mod stored_keys;
mod structure;
mod tables;
mod tally;
mod times;
mod value;
mod values;
mod warnings;
mod words;

use std::path::Path;
use std::time::Instant;

use gsl_plan::graph::{EdgeType, GraphFacts, GraphPlan, Label, NodeType, Part, Source, Split};
use gsl_tables::Fingerprint;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use error::{BuildError, Result};
pub use feature::FittedFeature;
pub use inputs::{changed_tables, content_key, graph_path};
pub use label::FittedLabel;
pub use report::BuildReport;
pub use scratch::{LEAST_MEMORY, Scratch, default_memory, parse_bytes};
pub use tables::open_source;
pub use transform::FittedTransform;

use crate::graph::Graph;
use crate::graph::piece::Piece;
use inputs::Inputs;
use known::Known;
use label::KnownLabel;
use nodes::{Alignment, Nodes, Numbered};
use report::{LabelReport, NodeReport, SourceReport, StageTime};
use rows::{FeatureDone, NodeRows};
use stages::Stages;
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
    /// By edge declaration, then by label.
    #[serde(default)]
    pub edge_labels: Vec<Vec<FittedLabel>>,
}

/// Told what is being done: stage, steps done, steps in all.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// Reuses the graph that `folder` holds for this plan and these tables, or builds it there. Relative sources are below `base`.
/// The third result is true when nothing was built.
pub fn construct_or_reuse(
    plan: &GraphPlan,
    base: &Path,
    folder: &Path,
    scratch: &Scratch,
    progress: Progress,
) -> Result<(Graph, BuildReport, bool)> {
    reuse_or_build(plan, base, folder, None, scratch, progress)
}

/// As [`construct_or_reuse`], for new tables and a model that was trained on another graph: see [`construct_like`].
pub fn construct_like_or_reuse(
    plan: &GraphPlan,
    base: &Path,
    folder: &Path,
    trained: &Graph,
    scratch: &Scratch,
    progress: Progress,
) -> Result<(Graph, BuildReport, bool)> {
    reuse_or_build(plan, base, folder, Some(Known::new(trained)), scratch, progress)
}

fn reuse_or_build(
    plan: &GraphPlan,
    base: &Path,
    folder: &Path,
    known: Option<Known>,
    scratch: &Scratch,
    progress: Progress,
) -> Result<(Graph, BuildReport, bool)> {
    progress("fingerprint", 0, 1);
    let inputs = Inputs::of(plan, base, known)?;
    let path = graph_path(&plan.name, folder, &inputs.key);
    if let Some(graph) = Graph::open(&path).ok().filter(|graph| is_whole(graph, &inputs.key)) {
        let report = graph.report().clone();
        return Ok((graph, report, true));
    }
    [folder, &scratch.folder].into_iter().for_each(scratch::sweep);
    let report = build(plan, base, &path, inputs, known, Some(folder), scratch, progress)?;
    Ok((Graph::open(&path)?, report, false))
}

fn is_whole(graph: &Graph, content_key: &str) -> bool {
    graph.meta().content_key == content_key && graph.quick_verify().is_ok()
}

/// Builds a graph file, whole or not at all.
pub fn construct(
    plan: &GraphPlan,
    base: &Path,
    file: &Path,
    scratch: &Scratch,
    progress: Progress,
) -> Result<BuildReport> {
    build(plan, base, file, Inputs::of(plan, base, None)?, None, None, scratch, progress)
}

/// Builds a graph of new tables with what the graph `trained` has learned: the same statistics, vocabularies, classes and relations; `plan`
/// is that graph's but for the tables. Labels may be absent, rows or columns; a class that is not known counts as unlabelled, and is
/// counted. A labelled node tests, unless `trained` has one of its key that trained or validated.
pub fn construct_like(
    plan: &GraphPlan,
    base: &Path,
    file: &Path,
    trained: &Graph,
    scratch: &Scratch,
    progress: Progress,
) -> Result<BuildReport> {
    let known = Some(Known::new(trained));
    build(plan, base, file, Inputs::of(plan, base, known)?, known, None, scratch, progress)
}

#[allow(clippy::too_many_arguments)]
fn build(
    plan: &GraphPlan,
    base: &Path,
    file: &Path,
    inputs: Inputs,
    known: Option<Known>,
    cache: Option<&Path>,
    scratch: &Scratch,
    progress: Progress,
) -> Result<BuildReport> {
    let mut builder = Builder::new(plan, base, inputs, known, cache, scratch)?;
    let steps = (2 * plan.nodes.len() + plan.edges.len() + 1) as u64;
    builder.stage("read nodes", |b| b.number_nodes(steps, &mut *progress))?;
    builder.stage("features and labels", |b| b.describe_nodes(steps, &mut *progress))?;
    builder.stage("edges", |b| b.relate(steps, &mut *progress))?;
    builder.stage("structure", |b| {
        b.check_inside()?;
        b.compute_structure()
    })?;
    builder.collect_features();
    progress("write", steps - 1, steps);
    builder.write(file)
}

/// The state of a build: what is counted, and what will be stored beside the arrays.
struct Builder<'a> {
    plan: &'a GraphPlan,
    tables: Tables,
    prints: Vec<(Source, Fingerprint)>,
    known: Option<Known<'a>>,
    scratch: &'a Scratch,
    stages: Stages,
    started: Instant,
    nodes: Vec<Nodes>,
    numbered: Vec<Numbered>,
    /// Which nodes the first label of each type trains on.
    trains: Vec<Option<Vec<bool>>>,
    /// The small graph of each node, by type; empty for a type without.
    members: Vec<Vec<u32>>,
    /// The features that are done, by type and by their index.
    features: Vec<std::collections::BTreeMap<usize, FeatureDone>>,
    report: BuildReport,
    facts: GraphFacts,
    fitted: FittedGraph,
}

/// What the labels of a type come to.
#[derive(Serialize, Deserialize)]
struct LabelsDone {
    facts: Vec<gsl_plan::graph::LabelFacts>,
    fitted: Vec<FittedLabel>,
    reports: Vec<LabelReport>,
}

impl<'a> Builder<'a> {
    fn new(
        plan: &'a GraphPlan,
        base: &Path,
        Inputs { prints, key }: Inputs,
        known: Option<Known<'a>>,
        cache: Option<&Path>,
        scratch: &'a Scratch,
    ) -> Result<Self> {
        let started = Instant::now();
        let tables = Tables::open(plan, base)?;
        let sources = source_reports(&tables, &prints);
        let report =
            BuildReport { graph: plan.name.clone(), content_key: key, sources, ..BuildReport::default() };
        Ok(Self {
            plan,
            tables,
            prints,
            known,
            scratch,
            stages: Stages::new(scratch, &plan.name, cache),
            started,
            nodes: Vec::new(),
            numbered: Vec::new(),
            trains: Vec::new(),
            members: Vec::new(),
            features: plan.nodes.iter().map(|_| Default::default()).collect(),
            report,
            facts: GraphFacts::default(),
            fitted: FittedGraph::default(),
        })
    }

    fn stage(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let start = Instant::now();
        work(self)?;
        self.report.stages.push(StageTime { name: name.to_string(), seconds: start.elapsed().as_secs_f64() });
        Ok(())
    }

    fn print(&self, source: &Source) -> String {
        let found = self.prints.iter().find(|(known, _)| known == source);
        found.map(|(_, print)| print.hex()).unwrap_or_default()
    }

    /// What the numbers of the nodes of a type are a function of.
    fn keys_depend_on(&self, ty: usize) -> serde_json::Value {
        let node = &self.plan.nodes[ty];
        match node.sources.first() {
            Some(source) => json!([self.print(source), source, node.key, node.duplicates]),
            None => {
                let ends = self.plan.edges.iter().map(|edge| {
                    let columns: Vec<&str> = nodes::ends_of(edge, ty).collect();
                    json!([self.print(&edge.source), edge.source, columns])
                });
                if self.plan.graphs == Some(ty) {
                    let named = membership::columns_of(self.plan, &self.tables);
                    let tables: Vec<_> = named
                        .iter()
                        .map(|(ty, table, column)| {
                            let source = &self.plan.nodes[*ty].sources[*table];
                            json!([self.print(source), source, column])
                        })
                        .collect();
                    return json!([ends.collect::<Vec<_>>(), node.key, tables]);
                }
                json!([
                    ends.collect::<Vec<_>>(),
                    nodes::key_want(self.plan, ty, &self.tables) == gsl_tables::Want::Int
                ])
            }
        }
    }

    fn number_nodes(&mut self, steps: u64, progress: Progress) -> Result<()> {
        for (index, ty) in self.plan.nodes.iter().enumerate() {
            progress(&ty.name, index as u64, steps);
            let depends = self.keys_depend_on(index);
            let (plan, tables, scratch) = (self.plan, &self.tables, self.scratch);
            let numbered: Numbered =
                self.stages.run(&format!("nodes/{}", ty.name), &depends, || match ty.sources.is_empty() {
                    true => nodes::number_from_edges(plan, index, tables, scratch),
                    false => nodes::number(ty, tables, scratch),
                })?;
            let room = (self.scratch.memory / 2).saturating_sub(self.held());
            self.nodes.push(Nodes::load(&numbered, self.stages.last(), room)?);
            self.report.nodes.push(NodeReport {
                name: ty.name.clone(),
                count: numbered.count,
                rows: numbered.rows,
                duplicates_dropped: numbered.duplicates_dropped,
                ..NodeReport::default()
            });
            self.facts.nodes.push(gsl_plan::graph::NodeFacts {
                name: ty.name.clone(),
                count: numbered.count,
                ..Default::default()
            });
            self.numbered.push(numbered);
        }
        Ok(())
    }

    /// Bytes of memory that identifiers take, with their indices and rows.
    fn held(&self) -> u64 {
        self.nodes.iter().map(Nodes::resident).sum()
    }

    /// The memory that is left beside [`Builder::held`], which is at least a quarter.
    fn beside_keys(&self) -> Scratch {
        let memory = self.scratch.memory;
        self.scratch.with_memory(memory.saturating_sub(self.held()).max(memory / 4))
    }

    fn describe_nodes(&mut self, steps: u64, progress: Progress) -> Result<()> {
        for (index, ty) in self.plan.nodes.iter().enumerate() {
            progress(&ty.name, (self.plan.nodes.len() + index) as u64, steps);
            let mut alignments = Alignments::new(self, index);
            let train = self.label_nodes(index, ty, &mut alignments)?;
            self.trains.push(train);
            self.compute_features(index, ty, &mut alignments)?;
            self.time_nodes(index, ty, &mut alignments)?;
            self.place_nodes(index, ty, &mut alignments)?;
            self.count_joins(index, ty, &mut alignments)?;
        }
        Ok(())
    }

    /// Counts what of joined tables meets no node, and which nodes lack a row.
    fn count_joins(&mut self, index: usize, ty: &NodeType, alignments: &mut Alignments) -> Result<()> {
        if ty.sources.len() < 2 {
            return Ok(());
        }
        let sources: Vec<String> = ty.sources.iter().map(|source| self.print(source)).collect();
        let depends = json!([self.keys_depend_on(index), ty.sources, sources, "each"]);
        let (tables, nodes) = (&self.tables, &self.nodes[index]);
        let counted: Vec<[u64; 3]> = self.stages.run(&format!("joins/{}", ty.name), &depends, || {
            let counts = |one: &nodes::Alignment| {
                [one.duplicates_dropped, one.rows_without_node, one.nodes_without_row]
            };
            Ok((alignments.get(tables, nodes)?.iter().map(counts).collect(), Vec::new()))
        })?;
        let report = &mut self.report.nodes[index];
        for (source, [duplicates, without_node, without_row]) in ty.sources.iter().zip(counted) {
            report.duplicates_dropped += duplicates;
            report.rows_without_node += without_node;
            report.nodes_without_row += without_row;
            if without_row == report.count && report.count > 0 {
                self.report.warnings.push(format!(
                    "no row of `{}` has the key of a `{}`: what is read of it is missing for all of them",
                    source.paths.join(", "),
                    ty.name
                ));
            }
        }
        Ok(())
    }

    /// Returns which nodes the type's first label trains on, if it has one.
    fn label_nodes(
        &mut self,
        index: usize,
        ty: &NodeType,
        alignments: &mut Alignments,
    ) -> Result<Option<Vec<bool>>> {
        if ty.labels.is_empty() {
            self.fitted.labels.push(Vec::new());
            return Ok(None);
        }
        let known = self.known;
        let like = known.map(|known| (known.key(), known.labels(index)));
        let depends = json!([self.labels_depend_on(index), like]);
        let (tables, nodes, seed) = (&self.tables, &self.nodes[index], self.plan.seed);
        let done: LabelsDone = self.stages.run(&format!("labels/{}", ty.name), &depends, || {
            let columns = match known {
                Some(_) => nodes::present_label_columns(ty, tables),
                None => nodes::label_columns(ty),
            };
            let mut frame =
                nodes::whole_frame(ty, tables, nodes.len(), alignments.get(tables, nodes)?, &columns)?;
            if ty.labels.iter().any(Label::is_count) {
                frame.add_numbers("", vec![1.0; nodes.len()]);
            }
            let mut done = LabelsDone { facts: Vec::new(), fitted: Vec::new(), reports: Vec::new() };
            let mut arrays = Vec::new();
            for (position, one) in ty.labels.iter().enumerate() {
                let known = known.map(|known| KnownLabel::of(known, index, position, nodes)).transpose()?;
                let mut report = LabelReport::default();
                let built = label::build(ty, one, nodes, &frame, tables, seed, known, &mut report)?;
                arrays.push((format!("{}/value", one.name), Piece::of(&built.values, built.width)));
                arrays.push((format!("{}/part", one.name), Piece::of(&built.parts, None)));
                done.facts.push(built.facts);
                done.fitted.push(built.fitted);
                done.reports.push(report);
            }
            Ok((done, arrays))
        })?;
        self.facts.nodes[index].labels = done.facts;
        self.fitted.labels.push(done.fitted);
        self.report.nodes[index].labels = done.reports;
        let parts = self.stages.last()[1].1.load::<u8>();
        let parts =
            parts.map_err(|error| BuildError::Scratch { file: self.scratch.folder.clone(), error })?;
        Ok(Some(parts.iter().map(|&part| part == Part::Train as u8).collect()))
    }

    fn labels_depend_on(&self, index: usize) -> serde_json::Value {
        let ty = &self.plan.nodes[index];
        let sources: Vec<String> = ty.sources.iter().map(|source| self.print(source)).collect();
        let files = ty.labels.iter().flat_map(|label| split_files(label.split.as_ref()));
        let files: Vec<String> = files.map(|source| self.print(source)).collect();
        json!([ty.name, self.keys_depend_on(index), ty.sources, sources, ty.labels, files, self.plan.seed])
    }

    /// What all features of a type are a function of, whatever their expressions.
    fn features_depend_on(&self, index: usize) -> serde_json::Value {
        let sources: Vec<String> =
            self.plan.nodes[index].sources.iter().map(|source| self.print(source)).collect();
        json!([self.labels_depend_on(index), sources])
    }

    /// The features that the tables alone tell.
    fn compute_features(&mut self, index: usize, ty: &NodeType, alignments: &mut Alignments) -> Result<()> {
        let wanted: Vec<usize> =
            (0..ty.features.len()).filter(|&at| !situate::is_structural(&ty.features[at])).collect();
        let depends = self.features_depend_on(index);
        self.run_features(index, ty, alignments, &wanted, &depends, &[])
    }

    fn feature_depends_on(
        &self,
        ty: &NodeType,
        at: usize,
        depends: &serde_json::Value,
        index: usize,
    ) -> Result<serde_json::Value> {
        let known = self.known.and_then(|known| known.features(index).get(at));
        let models = self.tables.models.prints([&ty.features[at]])?;
        Ok(json!([depends, ty.features[at], known, models]))
    }

    fn knows_feature(
        &mut self,
        ty: &NodeType,
        at: usize,
        depends: &serde_json::Value,
        index: usize,
    ) -> Result<bool> {
        let depends = self.feature_depends_on(ty, at, depends, index)?;
        Ok(self.stages.knows(&format!("features/{}/{}", ty.name, ty.features[at].name), &depends))
    }

    /// Computes the features `wanted` of a type, or takes them over. `computed`: columns besides those of its tables.
    fn run_features(
        &mut self,
        index: usize,
        ty: &NodeType,
        alignments: &mut Alignments,
        wanted: &[usize],
        depends: &serde_json::Value,
        computed: &[situate::Computed],
    ) -> Result<()> {
        let known = self.known.map(|known| known.features(index));
        let mut unknown = Vec::new();
        for &at in wanted {
            if !self.knows_feature(ty, at, depends, index)? {
                unknown.push(at);
            }
        }
        let mut made = std::collections::BTreeMap::new();
        if !unknown.is_empty() {
            let nodes = &self.nodes[index];
            let scratch = &self.beside_keys();
            let rows = NodeRows {
                ty,
                tables: &self.tables,
                alignments: alignments.get(&self.tables, nodes)?,
                count: nodes.len(),
                train: self.trains[index].as_deref(),
                computed,
            };
            let fitted = |at: usize| known.and_then(|known| known.get(at));
            made = rows.compute(&unknown, &fitted, scratch)?;
        }
        for &at in wanted {
            let depends = self.feature_depends_on(ty, at, depends, index)?;
            let name = format!("features/{}/{}", ty.name, ty.features[at].name);
            let done: FeatureDone =
                self.stages.run(&name, &depends, || Ok(made.remove(&at).expect("it was computed")))?;
            self.features[index].insert(at, done);
        }
        Ok(())
    }

    /// Facts and reports of all features, in the order of their declarations.
    fn collect_features(&mut self) {
        for (index, done) in std::mem::take(&mut self.features).into_iter().enumerate() {
            let mut fitted = Vec::new();
            for (at, done) in done {
                let declared = &self.plan.nodes[index].features[at];
                self.facts.nodes[index].features.push(gsl_plan::graph::FeatureFacts {
                    name: declared.name.clone(),
                    width: done.fitted.width,
                    storage: declared.storage,
                });
                self.report.nodes[index].features.push(done.report);
                fitted.push(done.fitted);
            }
            self.fitted.nodes.push(fitted);
        }
    }

    fn relate(&mut self, steps: u64, progress: Progress) -> Result<()> {
        for (index, edge) in self.plan.edges.iter().enumerate() {
            let done = (2 * self.plan.nodes.len() + index) as u64;
            progress(edges::name_of(edge), done, steps);
            let known = self.known.map(|known| known.edges(index));
            let models = self.tables.models.prints(&edge.features)?;
            let depends = json!([self.edges_depend_on(edge), known, models]);
            let (plan, tables, nodes, scratch) = (self.plan, &self.tables, &self.nodes, &self.beside_keys());
            let related: edges::Related =
                self.stages.run(&format!("edges/{}", edges::name_of(edge)), &depends, || {
                    edges::build(plan, index, tables, nodes, known.as_ref(), scratch)
                })?;
            let first = self.facts.relations.len();
            for facts in related.facts {
                let reverse_of = facts.reverse_of.map(|own| first + own);
                self.facts.relations.push(gsl_plan::graph::RelationFacts {
                    reverse_of,
                    declared_by: index,
                    src: if reverse_of.is_some() { edge.dst } else { edge.src },
                    dst: if reverse_of.is_some() { edge.src } else { edge.dst },
                    ..facts
                });
            }
            let features = related.reports.first().map_or(&[][..], |first| &first.features);
            let warnings = features.iter().filter_map(|one| one.warning(edges::name_of(edge)));
            self.report.warnings.extend(warnings);
            self.report.relations.extend(related.reports);
            self.fitted.edges.push(related.fitted);
            self.fitted.edge_labels.push(related.fitted_labels);
        }
        Ok(())
    }

    fn edges_depend_on(&self, edge: &EdgeType) -> serde_json::Value {
        let ends = [self.keys_depend_on(edge.src), self.keys_depend_on(edge.dst)];
        let names = [&self.plan.nodes[edge.src].name, &self.plan.nodes[edge.dst].name];
        let mut declared = edge.clone();
        (declared.src, declared.dst) = (0, 0);
        let files = edge.labels.iter().flat_map(|label| split_files(label.split.as_ref()));
        let files: Vec<String> = files.map(|source| self.print(source)).collect();
        json!([ends, names, declared, self.print(&edge.source), files, self.plan.seed])
    }
}

/// The files that a split names.
fn split_files(split: Option<&Split>) -> Vec<&Source> {
    match split {
        Some(Split::Files { train, valid, test }) => {
            [Some(train), valid.as_ref(), test.as_ref()].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// How the tables of a type meet its nodes, found out once and only if it is asked for.
struct Alignments {
    ty: NodeType,
    rows: u64,
    /// Bytes, see [`nodes::align`].
    memory: u64,
    found: Option<Vec<Alignment>>,
}

impl Alignments {
    fn new(builder: &Builder, index: usize) -> Self {
        let rows = builder.numbered[index].rows;
        let memory = builder.beside_keys().memory / 2;
        Self { ty: builder.plan.nodes[index].clone(), rows, memory, found: None }
    }

    fn get(&mut self, tables: &Tables, nodes: &Nodes) -> Result<&[Alignment]> {
        if self.found.is_none() {
            let align = |table| nodes::align(&self.ty, table, tables, nodes, self.rows, self.memory);
            let found: Vec<Alignment> = (0..self.ty.sources.len()).map(align).collect::<Result<_>>()?;
            self.found = Some(found);
        }
        Ok(self.found.as_deref().unwrap_or_default())
    }
}

fn source_reports(tables: &Tables, prints: &[(Source, Fingerprint)]) -> Vec<SourceReport> {
    let one = |(opened, (_, print)): (&tables::Opened, &(Source, Fingerprint))| SourceReport {
        paths: opened.declared.paths.clone(),
        files: print.files.len() as u64,
        bytes: print.files.iter().map(|file| file.bytes).sum(),
        columns: opened.header.columns.len() as u64,
    };
    tables.iter().zip(prints).map(one).collect()
}
