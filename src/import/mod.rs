//! `gsc import graphstorm`: another tool's configuration as a `.gsl` file, and a list of what it cannot say.
//!
//! Decided here: the order of the file, where it goes, what is said. What a configuration means is read by `gconstruct`,
//! `gsprocessing` and `settings`; what becomes of it is written by `graph`, `encoders`, `model`, `predict`, `links`, `trainer` and `outputs`.

mod edges;
mod encoders;
mod experiment;
mod fields;
mod gconstruct;
mod graph;
mod gsprocessing;
#[cfg(test)]
mod hostile;
mod json;
mod layers;
mod links;
mod model;
mod negatives;
mod notes;
mod outputs;
mod predict;
mod schema;
mod settings;
mod stages;
mod tables;
mod tasks;
mod text;
mod trainer;
mod watch;

use crate::args::GraphstormArgs;
use crate::pipeline::cannot_write;
use crate::source::{Failure, SourceText};
use experiment::Items;
use fields::{At, Fields};
use graph::Graph;
use gsl_compiler::diag;
use notes::Notes;
use schema::Schema;
use serde_json::Value;
use settings::Settings;
use std::path::{Path, PathBuf};
use tables::Paths;

/// An imported file and what there is to say of it.
struct Imported {
    text: String,
    remarks: String,
}

/// The text for standard output: the file itself, or nothing where it was written to `--output`.
///
/// # Errors
/// A configuration that cannot be read or makes no sense; a file that is there already.
pub fn graphstorm(args: &GraphstormArgs) -> Result<String, Failure> {
    if let Some(output) = &args.output
        && output.exists()
        && !args.force
    {
        let message = format!("`{}` is there already", output.display());
        return Err(Failure::new(message).help("give another name to --output, or --force to replace it"));
    }
    let schema = SourceText::read(&args.schema)?;
    let train = args.train.as_deref().map(SourceText::read).transpose()?;
    let paths = paths(&schema, args)?;
    let imported = import(&schema, train.as_ref(), &paths, args.reverse)?;
    eprint!("{}", imported.remarks);
    let Some(output) = &args.output else { return Ok(imported.text) };
    let written = gsl_runtime::train::checkpoint::write_atomically(output, imported.text.as_bytes());
    written.map_err(|e| cannot_write(output, &e))?;
    Ok(String::new())
}

/// How tables are reached from where the `.gsl` file will stand.
fn paths(schema: &SourceText, args: &GraphstormArgs) -> Result<Paths, Failure> {
    let whole = |folder: &Path| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        folder.canonicalize().map_err(|e| Failure::new(format!("`{}` is no folder: {e}", folder.display())))
    };
    let tables = whole(args.tables.as_deref().unwrap_or(&schema.folder()))?;
    let file = match &args.output {
        Some(output) => whole(output.parent().unwrap_or(Path::new(".")))?,
        None => whole(&schema.folder())?,
    };
    Ok(Paths { prefix: text::way(&file, &tables) })
}

fn import(
    schema: &SourceText,
    train: Option<&SourceText>,
    paths: &Paths,
    reverse: bool,
) -> Result<Imported, Failure> {
    let mut notes = Notes::default();
    let json = parsed(schema)?;
    let mut graph = in_file(schema, read_graph(schema, &json, reverse, &mut notes))?;
    let name = name_of(train.map_or(&schema.path, |t| &t.path), "experiment");
    let items = match train {
        Some(train) => {
            let yaml = yaml(train)?;
            in_file(train, read_training(&name, &yaml, &mut graph, paths, &mut notes))?
        }
        None => experiment::smallest(&name, &graph, paths, &mut notes)?,
    };
    let body = [items.before, graph.text(paths, &mut notes)?, items.experiment];
    let body: Vec<String> = body.into_iter().filter(|item| !item.is_empty()).collect();
    let from: Vec<String> = std::iter::once(schema).chain(train).map(file_name).collect();
    let head = format!("//! Imported by `gsc import graphstorm` from {}.\n", from.join(" and "));
    let remarks = notes.show("// ");
    let gap = if remarks.is_empty() { "" } else { "\n" };
    let text = format!("{head}{gap}{remarks}\n{}", body.join("\n"));
    Ok(Imported { text: formatted(&text)?, remarks: notes.show("") })
}

fn read_graph(schema: &SourceText, json: &Value, reverse: bool, notes: &mut Notes) -> Result<Graph, Failure> {
    let mut read = read_schema(&At::root(json).object()?, reverse, notes)?;
    read.reverses |= reverse;
    Graph::of(name_of(&schema.path, "graph"), read, notes)
}

fn read_training(
    name: &str,
    yaml: &Value,
    graph: &mut Graph,
    paths: &Paths,
    notes: &mut Notes,
) -> Result<Items, Failure> {
    let settings = Settings::read(&At::root(yaml).object()?, notes)?;
    let tasks = tasks::find(graph, &settings, notes)?;
    experiment::of_settings(name, graph, &settings, &tasks, paths, notes)
}

/// A failure with the file that it is about.
fn in_file<T>(source: &SourceText, result: Result<T, Failure>) -> Result<T, Failure> {
    result
        .map_err(|failure| Failure { message: format!("{}: {}", source.name(), failure.message), ..failure })
}

fn read_schema(root: &Fields, reverse: bool, notes: &mut Notes) -> Result<Schema, Failure> {
    let version = root.text("version")?.unwrap_or_default();
    if version.starts_with("gsprocessing") || version.is_empty() && root.has("graph") {
        if !reverse {
            let text = "GSProcessing adds the opposite of every relation unless told not to: import with --reverse for that";
            notes.lost("graph.edges", text);
        }
        return gsprocessing::read(root, notes);
    }
    if !version.is_empty() && !version.starts_with("gconstruct") {
        notes.changed(
            "version",
            format!("\"{version}\" is no version that GraphStorm knows: read as gconstruct-v0.1"),
        );
    }
    gconstruct::read(root, notes)
}

fn parsed(source: &SourceText) -> Result<Value, Failure> {
    json::parse(&source.text).map_err(|e| {
        let what = e.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        Failure::new(format!("{}:{}:{}: {what}", source.name(), e.line(), e.column()))
            .help("this cannot be read as JSON")
    })
}

fn yaml(source: &SourceText) -> Result<Value, Failure> {
    serde_saphyr::from_str(&source.text).map_err(|e| {
        let place = e.location().map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
        let what = e.without_snippet().to_string();
        let what = what
            .split_once(": ")
            .filter(|(place, _)| place.contains("line "))
            .map_or(what.as_str(), |(_, w)| w);
        let what = what.rsplit_once(" at line ").map_or(what, |(what, _)| what);
        Failure::new(format!("{}{place}: {what}", source.name())).help("this cannot be read as YAML")
    })
}

/// A name from a file's: letters, digits and underscores.
fn name_of(path: &Path, otherwise: &str) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match name.chars().next() {
        None => otherwise.to_owned(),
        Some(c) if c.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}

fn file_name(source: &SourceText) -> String {
    source.path.file_name().map(PathBuf::from).unwrap_or_default().display().to_string()
}

/// The text in the canonical style, which also shows that it can be read.
fn formatted(text: &str) -> Result<String, Failure> {
    gsl_compiler::syntax::format(text).map_err(|diagnostics| {
        let what = diag::render(&diagnostics, "the imported file", text, false);
        Failure::new(format!("the configuration cannot be written as GSL:\n{what}"))
    })
}
