//! `gsc new FOLDER`: looks at the tables in a folder and writes a first `.gsl` that runs.
//!
//! Decided here: the order of work and what is said of it. [`look`] finds and reads the tables ([`profile`], [`sketch`]), [`guess`] makes a
//! schema of them ([`names`] says what names say, [`direction`] what directions of edges do), [`label`] finds what is to be predicted,
//! [`feature`] gives each column its line, [`write`] makes the text of the graph and [`experiment`] that of the experiment. The result is a function of the tables alone: not of the order of their rows, nor of threads.

mod direction;
mod experiment;
mod feature;
mod guess;
mod label;
mod look;
mod many;
mod names;
mod profile;
mod sketch;
mod write;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use gsl_runtime::report::html::group;
use gsl_runtime::train::checkpoint::write_atomically;
use gsl_tables::TableError;

use crate::args::NewArgs;
use crate::pipeline::cannot_write;
use crate::source::{Failure, SourceText};
use crate::world::FileWorld;
use guess::Schema;
use look::Found;

/// The file that was written, and what there is to say of it.
pub struct Written {
    pub path: PathBuf,
    pub summary: String,
}

pub fn write(args: &NewArgs) -> Result<Written, Failure> {
    let found = look::look(&args.folder)?;
    let name = graph_name(&args.folder);
    let path = args.output.clone().unwrap_or_else(|| args.folder.join(format!("{name}.gsl")));
    if path.exists() && !args.force {
        return Err(Failure::new(format!("there is a file `{}` already", path.display()))
            .help("--force replaces it, --output FILE.gsl writes another"));
    }
    let mut schema = guess::guess(&found.tables).map_err(unreadable)?;
    let told = match &args.label {
        Some(text) => Some(
            label::named(&found.tables, &schema, text)
                .map_err(|failure| label::of_unreadable(&found.unreadable, text).unwrap_or(failure))?,
        ),
        None => None,
    };
    let label = told.or_else(|| label::likely(&found.tables, &schema));
    let leaks = match told {
        Some(label) => label::leaks(&found.tables, label).map_err(unreadable)?,
        None => BTreeMap::new(),
    };
    if let Some(label) = told {
        // An edge from a column that tells the label would tell it too.
        let tells = |column| column == label.at.1 || leaks.contains_key(&column);
        schema.forget_references(|(table, column)| table == label.at.0 && tells(column));
    }
    if let Some(label) = label {
        many::find(&found.tables, &mut schema, label.node).map_err(unreadable)?;
    }
    let prefix = prefix(&path, &args.folder)?;
    let draft = write::Draft {
        tables: &found.tables,
        unreadable: &found.unreadable,
        schema: &schema,
        graph: name,
        prefix,
        label,
        told: told.is_some(),
        leaks,
    };
    let text = laid_out(&draft.text())?;
    write_atomically(&path, text.as_bytes()).map_err(|e| cannot_write(&path, &e))?;
    let summary = summary(&found, &schema, &SourceText { path: path.clone(), text }, draft.has_experiment());
    Ok(Written { path, summary })
}

fn unreadable(error: TableError) -> Failure {
    Failure { help: error.help(), ..Failure::new(error) }
}

/// A plain name for the graph, from that of the folder.
fn graph_name(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    names::snake(&full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// The way from the folder of `file` to `folder`, with a slash at its end; empty if they are the same.
fn prefix(file: &Path, folder: &Path) -> Result<String, Failure> {
    let source = SourceText { path: file.to_path_buf(), text: String::new() };
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| Failure::new(format!("`{path}` cannot be read: {e}"))
    };
    let from = source.folder();
    let (from, to) =
        (from.canonicalize().map_err(failed(&from))?, folder.canonicalize().map_err(failed(folder))?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| "..".to_string());
    let down = to.components().skip(shared).filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    let steps: Vec<String> = up.chain(down).collect();
    Ok(steps.into_iter().fold(String::new(), |all, step| all + &step + "/"))
}

fn laid_out(text: &str) -> Result<String, Failure> {
    gsl_compiler::syntax::format(text).map_err(|diagnostics| {
        let reasons: Vec<String> = diagnostics.iter().map(|d| d.message.clone()).collect();
        Failure::new(format!("the names in these tables cannot be written: {}", reasons.join("; ")))
    })
}

/// What was found, what was guessed, and what to look at.
fn summary(found: &Found, schema: &Schema, source: &SourceText, has_experiment: bool) -> String {
    let mut text = String::new();
    let rows: u64 = found.tables.iter().map(|table| table.rows()).sum();
    let _ = writeln!(text, "looked at {} tables, {} rows", found.tables.len(), group(rows));
    for (index, node) in schema.nodes.iter().enumerate() {
        let from =
            node.table.map_or_else(|| "its edges".to_string(), |table| found.tables[table].path.clone());
        let joins: String =
            node.joins.iter().map(|join| format!(" join {}", found.tables[join.table].path)).collect();
        let what = match &schema.many {
            Some(many) if many.node == index => format!("many by {}", many.column),
            _ => format!("node {}", node.name),
        };
        let _ = writeln!(text, "  {what} from {from}{joins}");
    }
    for edge in &schema.edges {
        let path = &found.tables[edge.table].path;
        let _ = writeln!(text, "  edge {} from {path}", schema.show(&found.tables, edge));
    }
    for (table, why) in &schema.unused {
        let _ = writeln!(text, "  not used: {}: {why}", found.tables[*table].path);
    }
    for one in &found.unreadable {
        let _ = writeln!(text, "  left out: {}", one.why);
    }
    text + &next(source, has_experiment)
}

/// What `gsc check` says of the file, and the commands that go on from here.
fn next(source: &SourceText, has_experiment: bool) -> String {
    let world = FileWorld::new(&source.folder());
    let (_, diagnostics) = gsl_compiler::check(&source.text, &source.name(), &world, &[]);
    let mistakes: Vec<&str> =
        diagnostics.iter().filter(|d| d.is_error()).map(|d| d.message.as_str()).collect();
    let name = source.name();
    match (mistakes.first(), has_experiment) {
        (Some(first), _) => format!("not yet right: {first}; gsc check {name} shows where\n"),
        (None, true) => format!("read it through, then: gsc run {name}\n"),
        (None, false) => format!("read it through, then: gsc inspect {name}\n"),
    }
}
