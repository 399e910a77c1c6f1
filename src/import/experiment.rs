//! The experiment of an imported file, and the params, layers and imports that it stands on.

use super::graph::{Graph, Owner};
use super::model::Cx;
use super::notes::Notes;
use super::schema::{Label, Split, Task as Kind};
use super::settings::Settings;
use super::tables::Paths;
use super::tasks::Task;
use super::text;
use crate::source::Failure;
use std::cell::RefCell;
use std::fmt::Write;

/// The items of an experiment: what stands before the graph, and the experiment behind it.
#[derive(Debug, Default)]
pub struct Items {
    pub before: String,
    pub experiment: String,
}

/// The experiment that a training configuration describes.
pub fn of_settings(
    name: &str,
    graph: &Graph,
    settings: &Settings,
    tasks: &[Task],
    paths: &Paths,
    notes: &mut Notes,
) -> Result<Items, Failure> {
    let mut before = String::new();
    let hidden = match settings.get("hidden_size") {
        Some(at) => at.count()?,
        None => {
            notes.changed("gsf", "`hidden_size` is not set: GSL's own is 128");
            128
        }
    };
    let hidden = param(&mut before, graph, "hidden", "dim", &hidden.to_string());
    let lr = settings.get("lr").map(|at| at.number()).transpose()?;
    if lr.is_none() {
        notes.changed("gsf", "`lr` is not set: GSL's own holds");
    }
    let lr = lr.map(|lr| param(&mut before, graph, "lr", "float", &text::number(lr)));
    let cx = Cx { graph, settings, tasks, hidden, items: RefCell::default() };
    let model = cx.model(notes)?;
    let mut statements = model.statements;
    for task in tasks {
        statements.push(cx.predict(task, paths, notes)?);
    }
    if tasks.is_empty() {
        notes.lost(
            "gsf",
            "no task: an experiment predicts something, so here it is what the schema has labels for, or else links; \
             `gsc infer` then writes embeddings",
        );
        statements.extend(predicted_at_least(graph, paths)?);
    }
    statements.extend(cx.training(lr.as_deref(), notes)?);
    statements.extend(cx.outputs(paths, notes)?);
    if statements.iter().any(|statement| is_not_yet(statement)) {
        notes.changed(
            "gsf",
            "what does not run yet is written as the language has it: `gsc check` names each with its code",
        );
    }
    settings.report_rest(notes);
    if let Some(layer) = model.uses {
        before = format!("use std.layers.{layer}\n\n{before}");
    }
    for item in cx.items.borrow().iter() {
        let _ = write!(before, "\n{item}");
    }
    let experiment = item(name, graph, &statements)?;
    Ok(Items { before, experiment })
}

/// Features of neighbours, encoders of edges, language models that are trained.
fn is_not_yet(statement: &str) -> bool {
    statement.starts_with("glem")
        || statement.starts_with("encode")
            && ["average(", "Bert(", "-> "].iter().any(|word| statement.contains(word))
}

/// The smallest experiment: of all that the schema has labels for.
pub fn smallest(name: &str, graph: &Graph, paths: &Paths, notes: &mut Notes) -> Result<Items, Failure> {
    let statements = predicted(graph, paths)?;
    if statements.is_empty() {
        return Ok(Items::default());
    }
    notes.changed(
        "the experiment",
        "there is no training configuration: but for what is predicted the experiment is GSL's defaults",
    );
    Ok(Items { before: String::new(), experiment: item(name, graph, &statements)? })
}

/// A prediction of each label that is split, of links and of features that are reconstructed.
fn predicted(graph: &Graph, paths: &Paths) -> Result<Vec<String>, Failure> {
    let nodes = (0..graph.nodes.len()).map(Owner::Node);
    let mut all = Vec::new();
    for owner in nodes.chain((0..graph.edges.len()).map(Owner::Edge)) {
        for label in graph.labels(owner) {
            let found = prediction(graph, owner, label, paths)?;
            let target = |statement: &str| statement.split(" {").next().unwrap_or_default().to_owned();
            all.extend(found.filter(|new| all.iter().all(|known: &String| target(known) != target(new))));
        }
    }
    Ok(all)
}

fn prediction(graph: &Graph, owner: Owner, label: &Label, paths: &Paths) -> Result<Option<String>, Failure> {
    let Some(rule) = label.split.rule(paths) else { return Ok(None) };
    if matches!(label.split, Split::None) {
        return Ok(None);
    }
    let whose = |name: &str| -> Result<String, Failure> {
        let name = text::name(name)?;
        Ok(match owner {
            Owner::Node(at) => format!("{}.{name}", text::name(&graph.nodes[at].name)?),
            Owner::Edge(at) => format!("({}).{name}", graph.edges[at].path()?),
        })
    };
    let feature = |column: &String| {
        graph.features(owner).iter().find(|f| f.name == *column || f.columns.contains(column))
    };
    Ok(match (label.task, owner) {
        (Kind::Classification | Kind::Regression, _) => Some(format!("predict {}", whose(&label.name)?)),
        (Kind::Link, Owner::Edge(at)) => {
            Some(format!("predict link {} {{ split = {rule} }}", graph.edges[at].path()?))
        }
        (Kind::Link, Owner::Node(_)) => None,
        (Kind::Reconstruct, _) => match feature(&label.column) {
            Some(feature) => {
                Some(format!("predict reconstruct {} {{ split = {rule} }}", whose(&feature.name)?))
            }
            None => None,
        },
    })
}

/// What the schema has labels for, or the links of its first relation.
fn predicted_at_least(graph: &Graph, paths: &Paths) -> Result<Vec<String>, Failure> {
    let found = predicted(graph, paths)?;
    if !found.is_empty() {
        return Ok(found);
    }
    Ok(vec![format!("predict link {} {{ split = random(train: 100%) }}", graph.edges[0].path()?)])
}

fn item(name: &str, graph: &Graph, statements: &[String]) -> Result<String, Failure> {
    let (name, graph) = (text::name(name)?, text::name(&graph.name)?);
    Ok(match statements {
        [one] => format!("experiment {name} on {graph} {{ {one} }}\n"),
        all => format!("experiment {name} on {graph} {{\n{}\n}}\n", all.join("\n")),
    })
}

/// Declares a param and gives its name, or the value itself where a feature has the name.
fn param(before: &mut String, graph: &Graph, name: &str, ty: &str, value: &str) -> String {
    let features =
        graph.nodes.iter().flat_map(|ty| &ty.features).chain(graph.edges.iter().flat_map(|r| &r.features));
    if features.into_iter().any(|f| f.name == name) {
        return value.to_owned();
    }
    let _ = writeln!(before, "param {name} : {ty} = {value}");
    name.to_owned()
}
