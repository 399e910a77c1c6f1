//! The compiler's world on a real machine: tables and modules beside the `.gsl` file.

use gsl_compiler::world::{
    ColumnHeader, ColumnKind, Header, OddCell, Registration, RustKind, TextModel, World, WorldError,
};
use gsl_plan::graph::{GraphPlan, Source};
use gsl_runtime::extend::{Extension, Extensions};
use gsl_runtime::text::{Refusal, look};
use gsl_tables::{Column, ColumnInfo, Evidence, Problem, TableError, Values, Want};
use std::path::{Path, PathBuf};

/// Answers from files, relative to one folder.
pub struct FileWorld {
    base: PathBuf,
    trained: Option<GraphPlan>,
    registered: Vec<Registration>,
}

impl FileWorld {
    pub fn new(base: &Path) -> Self {
        FileWorld { base: base.to_path_buf(), trained: None, registered: Vec::new() }
    }

    /// In a program that adds something in Rust.
    pub fn with(base: &Path, extensions: &Extensions) -> Self {
        let registered = extensions.all().map(|(name, extension)| registration(name, extension)).collect();
        FileWorld { registered, ..FileWorld::new(base) }
    }

    /// With the tables of a model that was trained on the graph `trained`, or with new ones for it.
    pub fn like(self, trained: Option<&GraphPlan>) -> Self {
        FileWorld { trained: trained.cloned(), ..self }
    }
}

impl World for FileWorld {
    fn header(&self, source: &Source) -> Result<Header, WorldError> {
        let name = source.paths.join(", ");
        let found = gsl_runtime::construct::open_source(source, &self.base)
            .and_then(|table| table.header())
            .map_err(|e| world_error(&name, &e))?;
        // Of new tables for a model the kinds of columns are known, and that a relation has no edge yet is no mistake.
        let is_known = self.trained.is_some() && !found.columns.is_empty();
        if found.sampled && !is_known && found.columns.iter().all(|c| c.type_name == "empty") {
            let reason = match found.columns.is_empty() {
                true => "it has no rows",
                false => "it has a header line and no rows",
            };
            return Err(WorldError::Empty { path: name, reason: reason.into() });
        }
        let file = source.paths.first().map(Path::new).and_then(Path::file_name);
        Ok(Header {
            name: file.map_or(name, |f| f.to_string_lossy().into_owned()),
            columns: found.columns.iter().map(|c| column(c, &self.base)).collect(),
            rows: found.rows,
            looked_at: found.names_of,
        })
    }

    fn first_text(&self, source: &Source, column: &str) -> Option<String> {
        const ROWS: usize = 64;
        let table = gsl_runtime::construct::open_source(source, &self.base).ok()?;
        let mut found = None;
        // The first batch is enough: what ends the walk is no mistake of the table.
        let _ = table.for_each_batch(&[(column, Want::Text)], ROWS, |batch| {
            if let [Column { values: Values::Text(texts), .. }] = batch.columns.as_slice() {
                found = (0..batch.rows).find_map(|row| texts.get(row).map(str::to_owned));
            }
            Err(TableError::new(batch.file, Problem::NoRows))
        });
        found
    }

    fn text_model(&self, folder: &str) -> Result<Option<TextModel>, WorldError> {
        let path = self.base.join(folder);
        if !path.is_dir() {
            return Err(WorldError::NotFound { path: folder.to_owned(), help: None });
        }
        let found = look(&path).map_err(|refusal| refused(folder, refusal))?;
        Ok(found.map(|about| TextModel {
            width: about.width,
            positions: about.positions,
            pooler: about.pooler,
        }))
    }

    fn trained(&self) -> Option<&GraphPlan> {
        self.trained.as_ref()
    }

    fn registered(&self) -> &[Registration] {
        &self.registered
    }

    fn read_module(&self, path: &str) -> Result<String, WorldError> {
        std::fs::read_to_string(self.base.join(path)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => WorldError::NotFound { path: path.into(), help: None },
            _ => WorldError::Unreadable { path: path.into(), reason: e.to_string(), help: None },
        })
    }
}

fn registration(name: &str, extension: &Extension) -> Registration {
    let (kind, higher_is_better) = match extension {
        Extension::Module(_) => (RustKind::Module, true),
        Extension::Loss(_) => (RustKind::Loss, true),
        Extension::LinkLoss(_) => (RustKind::LinkLoss, true),
        Extension::Metric(metric) => (RustKind::Metric, metric.higher_is_better()),
        Extension::LinkMetric(metric) => (RustKind::LinkMetric, metric.higher_is_better()),
        Extension::Negatives(_) => (RustKind::Negatives, true),
    };
    Registration { kind, name: name.to_owned(), higher_is_better }
}

fn refused(folder: &str, refusal: Refusal) -> WorldError {
    let Refusal { missing, reason, help } = refusal;
    match missing {
        Some(file) => WorldError::NotFound { path: format!("{folder}/{file}"), help },
        None => WorldError::Unreadable { path: folder.to_owned(), reason, help },
    }
}

fn world_error(path: &str, error: &TableError) -> WorldError {
    match &*error.problem {
        Problem::MissingFile { .. } | Problem::NothingMatches => {
            WorldError::NotFound { path: path.into(), help: error.help() }
        }
        Problem::EmptyFolder => {
            let reason = error.problem.to_string();
            WorldError::Unreadable { path: path.into(), reason, help: error.help() }
        }
        _ => WorldError::Unreadable { path: path.into(), reason: error.to_string(), help: error.help() },
    }
}

fn column(info: &ColumnInfo, base: &Path) -> ColumnHeader {
    use gsl_tables::ColumnKind as Found;
    let kind = match info.kind {
        Found::Int => ColumnKind::Int,
        Found::Float => ColumnKind::Float,
        Found::Bool => ColumnKind::Bool,
        Found::Text => ColumnKind::Text,
        Found::Date => ColumnKind::Date,
        Found::Time => ColumnKind::Time,
        Found::FloatList(width) => ColumnKind::Vector { width },
        Found::TextList => ColumnKind::TextList,
        Found::Other(_) => ColumnKind::Other,
    };
    ColumnHeader {
        name: info.name.clone(),
        kind,
        guessed: info.evidence.is_some(),
        nullable: info.nullable,
        missing: info.missing,
        type_name: info.type_name.clone(),
        odd: info.evidence.as_ref().filter(|_| info.kind == Found::Text).and_then(|found| odd(found, base)),
    }
}

fn odd(found: &Evidence, base: &Path) -> Option<OddCell> {
    let (cell, place) = (found.odd.as_ref()?.text.clone(), found.why_text(base)?);
    Some(OddCell { cell, place, is_exception: found.others.is_some() })
}
