//! What a run leaves for its user: predictions, embeddings, links and scores, with the user's own identifiers.
//!
//! Decided here: which columns a table has and in which order its rows come; the last column is what a matrix holds. Not
//! decided here: what is written (the plan), how a table becomes a file (`gsl-tables`), how pairs are scored ([`crate::pairs`]).

mod columns;
mod given;
mod nodes;
mod pairs;
mod predicted;
mod relations;

use std::path::{Component, Path, PathBuf};

use gsl_plan::plan::{Plan, Write, WriteFormat, WriteWhat};
use gsl_tables::{CsvWriter, NpyWriter, OutputColumn, TableError, TableWriter};

use crate::graph::Graph;
use crate::infer::{Computed, InferError, Inference};
use crate::pairs::{Known, Wanted};
use crate::store::Params;

pub use given::look_up;

/// Why a table could not be written.
#[derive(Debug)]
pub enum WriteError {
    Table(TableError),
    Infer(InferError),
    Unknown(Box<Unknown>),
}

/// A pair of a table names a node or a relation that is not in the graph.
#[derive(Debug)]
pub struct Unknown {
    pub file: PathBuf,
    /// From 1.
    pub row: usize,
    pub column: String,
    pub found: String,
    pub wanted: String,
    /// Names of the relations, if it is one.
    pub known: Vec<String>,
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(e) => e.fmt(f),
            Self::Infer(e) => e.fmt(f),
            Self::Unknown(unknown) => {
                let Unknown { file, row, column, found, wanted, .. } = &**unknown;
                write!(f, "`{}`, row {row}: `{column}` is `{found}`, which is no {wanted}", file.display())
            }
        }
    }
}

impl std::error::Error for WriteError {}

impl WriteError {
    /// What to do about it, where something can be said.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Table(e) => e.help(),
            Self::Infer(_) => None,
            Self::Unknown(_) => Some("leave the row out, or add what it names to the graph".into()),
        }
    }
}

impl From<TableError> for WriteError {
    fn from(e: TableError) -> Self {
        Self::Table(e)
    }
}

impl From<InferError> for WriteError {
    fn from(e: InferError) -> Self {
        Self::Infer(e)
    }
}

/// What there is to write from.
pub struct Results<'a> {
    pub plan: &'a Plan,
    pub graph: &'a Graph,
    pub params: &'a Params,
    pub computed: &'a Computed,
    pub inference: &'a mut Inference,
    /// Paths of the plan are below this folder.
    pub base: &'a Path,
    /// The folder that takes what is written instead, however it is named: nothing leaves it.
    pub below: Option<&'a Path>,
    /// Hears how far the tables are.
    pub told: &'a mut dyn FnMut(&Doing),
}

/// How far a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    /// The file's name.
    pub file: String,
    /// What is counted: `rows`, or of links `sources`, each once for each relation.
    pub unit: &'static str,
    pub done: u64,
    pub all: u64,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} of {} {}", self.file, self.done, self.all, self.unit)
    }
}

/// Files with the rows of each.
pub type Written = Vec<(PathBuf, u64)>;

/// Writes everything that the plan asks for.
///
/// # Errors
/// If a table cannot be read or written, or pairs cannot be scored.
pub fn write_all(mut results: Results) -> Result<Written, WriteError> {
    let mut written = Vec::new();
    for write in &results.plan.writes {
        written.extend(results.write(write)?);
    }
    Ok(written)
}

impl<'a> Results<'a> {
    fn write(&mut self, write: &Write) -> Result<Written, WriteError> {
        let folder = match self.below {
            Some(below) => within(below, Path::new(&write.dir)),
            None => self.base.join(&write.dir),
        };
        let file = TableFile { stem: folder.join(&write.name), format: write.format };
        match &write.what {
            WriteWhat::Embeddings { ty } => self.embeddings(*ty, &file),
            WriteWhat::Predictions { predict } => match self.plan.predicts[*predict].pairs {
                None => self.of_nodes(*predict, &file),
                Some(_) => self.of_edges(*predict, &file),
            },
            WriteWhat::Relations { predict } => self.relations(*predict, &file),
            WriteWhat::Links { predict, most, known, relation } => {
                let kind = relation.as_deref().and_then(|name| kind_of(self.plan, *predict, name));
                let wanted = Wanted { most: *most as usize, known_too: *known, kind };
                self.links(*predict, wanted, &file)
            }
            WriteWhat::Scores { predict, pairs, relation } => {
                self.given(*predict, (pairs, relation.as_deref()), &file)
            }
        }
    }

    fn known(&self) -> Known<'a> {
        Known { plan: self.plan, view: self.graph, params: self.params, rows: &self.computed.embeddings }
    }
}

/// `results/a` below another folder; of `/data/a` and `../a` too.
fn within(below: &Path, dir: &Path) -> PathBuf {
    let mut folder = below.to_path_buf();
    for part in dir.components() {
        match part {
            Component::Normal(name) => folder.push(name),
            Component::ParentDir => folder.push("up"),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    folder
}

/// The number of a relation among those of a prediction.
fn kind_of(plan: &Plan, predict: usize, name: &str) -> Option<u32> {
    let relations = &plan.predicts[predict].pairs.as_ref()?.relations;
    let named = |rel: &u32| plan.facts.relations[*rel as usize].name == name;
    relations.iter().position(named).map(|kind| kind as u32)
}

/// A table's place, to which the format adds the extension.
struct TableFile {
    stem: PathBuf,
    format: WriteFormat,
}

impl TableFile {
    fn doing(&self, unit: &'static str, done: u64, all: u64) -> Doing {
        let path = self.extended(self.format.name());
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Doing { file, unit, done, all }
    }

    /// The same with something behind the name.
    fn with(&self, suffix: &str) -> TableFile {
        TableFile { stem: self.extended(suffix), format: self.format }
    }

    fn extended(&self, extension: &str) -> PathBuf {
        let mut name = self.stem.clone().into_os_string();
        name.push(".");
        name.push(extension);
        name.into()
    }

    /// One table of all its columns.
    fn write(&self, columns: &[OutputColumn], rows: usize) -> Result<Written, WriteError> {
        let mut table = self.open(rows)?;
        table.put(columns)?;
        table.finish()
    }

    /// A table of so many rows, to be written batch by batch.
    fn open(&self, rows: usize) -> Result<OpenTable, WriteError> {
        let path = self.extended(self.format.name());
        let mut written = vec![(path.clone(), rows as u64)];
        let writer = match self.format {
            WriteFormat::Parquet => Writer::Parquet(TableWriter::create(&path)?),
            WriteFormat::Csv => Writer::Csv(CsvWriter::create(&path)?),
            WriteFormat::Npy => {
                let beside = self.extended("ids.csv");
                written.push((beside.clone(), rows as u64));
                Writer::Npy(NpyWriter::create(&path, rows)?, CsvWriter::create(&beside)?)
            }
        };
        Ok(OpenTable { writer, written })
    }
}

/// A table that is being written: no file of it has its name before [`OpenTable::finish`].
struct OpenTable {
    writer: Writer,
    written: Written,
}

enum Writer {
    Parquet(TableWriter),
    Csv(CsvWriter),
    /// The last column, and the others.
    Npy(NpyWriter, CsvWriter),
}

impl OpenTable {
    /// The next rows; the first batch, which may have none, names the columns.
    fn put(&mut self, columns: &[OutputColumn]) -> Result<(), WriteError> {
        match &mut self.writer {
            Writer::Parquet(writer) => writer.write(columns)?,
            Writer::Csv(writer) => writer.write(columns)?,
            Writer::Npy(matrix, others) => {
                if let Some((last, rest)) = columns.split_last() {
                    matrix.write(last)?;
                    others.write(rest)?;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Written, WriteError> {
        match self.writer {
            Writer::Parquet(writer) => writer.finish()?,
            Writer::Csv(writer) => writer.finish()?,
            Writer::Npy(matrix, others) => {
                matrix.finish()?;
                others.finish()?;
            }
        }
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_folder_of_a_sweep() {
        let found = |dir: &str| within(Path::new("out/best"), Path::new(dir)).display().to_string();
        assert_eq!(found("./results/a"), "out/best/results/a");
        assert_eq!(found("/data/a"), "out/best/data/a");
        assert_eq!(found("../a"), "out/best/up/a");
    }
}
