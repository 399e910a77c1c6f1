//! The tables of a plan, opened once: files, headers, fingerprints.

use std::path::Path;

use gsl_plan::graph::{CellKind, Format as Stated, GraphPlan, Label, Source as Declared, Split};
use gsl_tables::{ColumnKind, Dialect, Fingerprint, Format, Header, Source, Table, TableError, Want};

use super::error::Result;
use crate::text::Models;

/// The files of a declared source, read as their extensions or the declaration say.
pub fn open_source(declared: &Declared, base: &Path) -> Result<Source, TableError> {
    let format = match &declared.format {
        None => None,
        Some(Stated::Csv { separator, quote, header }) => {
            let dialect = Dialect::new(*separator, *quote, *header).map_err(|p| TableError::new(base, p))?;
            Some(Format::Delimited(dialect))
        }
        Some(Stated::JsonLines) => Some(Format::JsonLines),
        Some(Stated::Parquet) => Some(Format::Parquet),
        Some(Stated::Hdf5 { group }) => Some(Format::Hdf5 { group: group.clone() }),
    };
    Ok(Source::open_as(&declared.paths, base, format.as_ref())?.stating(stated(declared)))
}

/// What is said of the cells, as the reader of tables takes it.
fn stated(declared: &Declared) -> gsl_tables::Stated {
    let kind = |kind: CellKind| match kind {
        CellKind::Int => ColumnKind::Int,
        CellKind::Float => ColumnKind::Float,
        CellKind::Bool => ColumnKind::Bool,
        CellKind::Text => ColumnKind::Text,
        CellKind::Date => ColumnKind::Date,
        CellKind::Time => ColumnKind::Time,
        CellKind::Floats => ColumnKind::FloatList(None),
        CellKind::Texts => ColumnKind::TextList,
    };
    let kinds = declared.cells.kinds.iter().map(|(name, stated)| (name.clone(), kind(*stated)));
    gsl_tables::Stated { kinds: kinds.collect(), missing: declared.cells.missing.clone() }
}

/// A declared source and its files.
pub struct Opened {
    pub declared: Declared,
    pub source: Source,
    pub header: Header,
    /// The language models beside it.
    pub models: Models,
}

pub struct Tables {
    all: Vec<Opened>,
    /// The language models beside them.
    pub models: Models,
}

impl Tables {
    /// Opens every source of the plan, each once however often it is named.
    pub fn open(plan: &GraphPlan, base: &Path) -> Result<Self> {
        let models = Models::new(base);
        let mut all: Vec<Opened> = Vec::new();
        for declared in sources_of(plan) {
            if all.iter().any(|opened| opened.declared == *declared) {
                continue;
            }
            let source = open_source(declared, base)?;
            let header = source.header()?;
            all.push(Opened { declared: declared.clone(), source, header, models: models.clone() });
        }
        Ok(Self { all, models })
    }

    pub fn get(&self, declared: &Declared) -> &Opened {
        self.all
            .iter()
            .find(|opened| opened.declared == *declared)
            .expect("every source of the plan was opened")
    }

    pub fn iter(&self) -> impl Iterator<Item = &Opened> {
        self.all.iter()
    }
}

impl Opened {
    pub fn read(&self, columns: &[(String, Want)]) -> Result<Table> {
        let columns: Vec<(&str, Want)> = columns.iter().map(|(name, want)| (name.as_str(), *want)).collect();
        Ok(self.source.read(&columns)?)
    }

    /// How many rows there are, if the files say so.
    pub fn rows(&self) -> Option<u64> {
        self.header.rows
    }

    pub fn has(&self, column: &str) -> bool {
        self.header.column(column).is_some()
    }

    pub fn kind(&self, column: &str) -> Option<&ColumnKind> {
        self.header.column(column).map(|info| &info.kind)
    }
}

/// Fingerprints of all sources of a plan, in the order of the plan.
pub fn fingerprints(plan: &GraphPlan, base: &Path) -> Result<Vec<(Declared, Fingerprint)>> {
    let mut all: Vec<(Declared, Fingerprint)> = Vec::new();
    for declared in sources_of(plan) {
        if !all.iter().any(|(known, _)| known == declared) {
            all.push((declared.clone(), open_source(declared, base)?.fingerprint()?));
        }
    }
    Ok(all)
}

/// Every source that the plan names: nodes, edges, files of splits.
pub fn sources_of(plan: &GraphPlan) -> Vec<&Declared> {
    let nodes = plan.nodes.iter().flat_map(|node| node.sources.iter().chain(split_files(&node.labels)));
    let edges =
        plan.edges.iter().flat_map(|edge| std::iter::once(&edge.source).chain(split_files(&edge.labels)));
    nodes.chain(edges).collect()
}

fn split_files(labels: &[Label]) -> Vec<&Declared> {
    let files = labels.iter().flat_map(|label| match &label.split {
        Some(Split::Files { train, valid, test }) => [Some(train), valid.as_ref(), test.as_ref()],
        _ => [None; 3],
    });
    files.flatten().collect()
}
