//! The graph that a run was trained on, which `gsc infer` looks for: new tables are treated by what it has learned.

use crate::args::{FileArgs, RunArgs};
use crate::pipeline::cannot_write;
use crate::source::{Failure, SourceText};
use gsl_compiler::syntax::ast::Item;
use gsl_plan::graph::GraphPlan;
use gsl_runtime::construct::{content_key, graph_path};
use gsl_runtime::graph::Graph;
use gsl_runtime::train::checkpoint::write_atomically;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which graph a run was trained on, as its folder says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    content_key: String,
    declared: GraphPlan,
}

const FILE: &str = "graph.json";

/// The folder of built graphs.
pub fn cache(source: &SourceText, args: &FileArgs) -> PathBuf {
    args.cache.clone().unwrap_or_else(|| source.folder().join(".gsl"))
}

/// Notes in a run's folder what it is trained on.
pub fn keep(out: &Path, graph: &Graph) -> Result<(), Failure> {
    let path = out.join(FILE);
    let meta = graph.meta();
    let record = Record { content_key: meta.content_key.clone(), declared: meta.plan.clone() };
    let text = serde_json::to_vec_pretty(&record).map_err(Failure::new)?;
    write_atomically(&path, &text).map_err(|e| cannot_write(&path, &e))
}

/// The graph that a run was trained on.
pub struct TrainedOn {
    record: Record,
    /// Where it is, or was.
    path: PathBuf,
    graph: Option<Graph>,
}

/// What the tables of now are to a trained model.
pub enum Tables {
    /// Those that it was trained on.
    Same,
    /// Others, declared in the same way.
    New(Box<GraphPlan>),
}

impl TrainedOn {
    /// Of the run that the arguments name; none where there is no run.
    pub fn find(source: &SourceText, args: &RunArgs) -> Result<Option<Self>, Failure> {
        let Some(out) = folder(source, args) else { return Ok(None) };
        let path = out.join(FILE);
        let text = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| Failure::new(format!("`{}` cannot be read: {e}", path.display())))?,
        };
        let record: Record = serde_json::from_slice(&text).map_err(|e| {
            Failure::new(format!("`{}` is damaged: {e}", path.display())).help("train again: gsc train FILE")
        })?;
        let path = graph_path(&record.declared.name, &cache(source, &args.file), &record.content_key);
        let graph = Graph::open(&path).ok().filter(|graph| graph.meta().content_key == record.content_key);
        Ok(Some(TrainedOn { record, path, graph }))
    }

    /// The declaration of the graph.
    pub fn declared(&self) -> &GraphPlan {
        &self.record.declared
    }

    /// The graph itself.
    ///
    /// # Errors
    /// If it is not there.
    pub fn graph(&self) -> Result<&Graph, Failure> {
        self.graph.as_ref().ok_or_else(|| self.gone())
    }

    /// Whether what the file declares now has the tables of the training.
    ///
    /// # Errors
    /// If the file declares another graph.
    pub fn tables(&self, declared: &GraphPlan, base: &Path) -> Result<Tables, Failure> {
        let old = self.declared();
        let plan = old.with_tables_of(declared).map_err(|differs| {
            let message =
                format!("the run was trained on another graph `{}`: {differs} was otherwise", old.name);
            Failure::new(message)
                .help("only the tables may change after a training: undo the rest, or train again")
        })?;
        let is_same =
            plan == *old && content_key(&plan, base).is_ok_and(|key| key == self.record.content_key);
        Ok(if is_same { Tables::Same } else { Tables::New(Box::new(plan.without_splits_of_nodes())) })
    }

    fn gone(&self) -> Failure {
        let message = format!(
            "these are not the tables of the training, and the graph that was built of those is not at `{}`",
            self.path.display()
        );
        Failure::new(message).help(
            "what the model has learned of its tables is in that graph: build it again from them with gsc build, \
             or say with --cache where it is",
        )
    }
}

/// The folder of the run, as far as the text tells which experiment it is of.
fn folder(source: &SourceText, args: &RunArgs) -> Option<PathBuf> {
    if let Some(out) = &args.out {
        return Some(out.clone());
    }
    let parsed = gsl_compiler::parse(&source.text);
    let mut named = parsed.file.items.iter().filter_map(|item| match item {
        Item::Experiment(experiment) => Some(experiment.name.text.clone()),
        _ => None,
    });
    let name = match (&args.file.experiment, named.next(), named.next()) {
        (Some(name), _, _) => name.clone(),
        (None, Some(only), None) => only,
        _ => return None,
    };
    Some(source.folder().join("out").join(name))
}
