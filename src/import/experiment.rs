//! The experiment of an imported file, and the params, layers and imports that it stands on.

use super::graph::{Graph, Owner};
use super::model::Cx;
use super::notes::Notes;
use super::schema::{Label, Split};
use super::settings::Settings;
use super::tables::Paths;
use super::tasks::{Target, Task};
use super::text;
use crate::source::Failure;
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
    let cx = Cx { graph, settings, hidden };
    let model = cx.model(notes)?;
    let mut statements = model.statements;
    for task in tasks {
        statements.push(cx.predict(task, paths, notes)?);
    }
    if tasks.is_empty() {
        notes
            .lost("gsf", "no task: an experiment predicts something, and `gsc infer` then writes embeddings");
    }
    statements.extend(cx.training(tasks, lr.as_deref(), notes)?);
    statements.extend(cx.outputs(tasks, paths, notes)?);
    if !runs(tasks, &statements) {
        notes.changed(
            "gsf",
            "what does not run yet is written as the language has it: `gsc check` names each with its code",
        );
    }
    settings.report_rest(notes);
    if let Some(layer) = model.uses {
        before = format!("use std.layers.{layer}\n\n{before}");
    }
    if let Some(layer) = model.layer {
        let _ = write!(before, "\n{layer}");
    }
    let experiment = item(name, graph, &statements)?;
    Ok(Items { before, experiment })
}

/// Whether everything that the experiment says runs today: labels of one node type, features that are numbers.
fn runs(tasks: &[Task], statements: &[String]) -> bool {
    const NOT_YET: [&str; 3] = ["average(", "Bert(", "-> "];
    let mut owners = tasks.iter().map(|task| match task.target {
        Target::Label(owner @ Owner::Node(_), _) => Some(owner),
        _ => None,
    });
    let first = owners.next().flatten();
    first.is_some()
        && owners.all(|owner| owner == first)
        && !statements.iter().any(|s| s.starts_with("encode") && NOT_YET.iter().any(|word| s.contains(word)))
}

/// The smallest experiment, of the first node type that has labels or the first relation that has a task.
pub fn smallest(name: &str, graph: &Graph, paths: &Paths, notes: &mut Notes) -> Result<Items, Failure> {
    let runs = |label: &Label| label.is_of_graph() && !matches!(label.split, Split::None);
    let mut statements = Vec::new();
    if let Some(ty) = graph.nodes.iter().find(|ty| ty.labels.iter().any(runs)) {
        for label in ty.labels.iter().filter(|l| runs(l)) {
            statements.push(format!("predict {}.{}", text::name(&ty.name)?, text::name(&label.column)?));
        }
    } else {
        for relation in &graph.edges {
            for label in relation.labels.iter().filter(|l| runs(l)) {
                statements.push(format!("predict ({}).{}", relation.path()?, text::name(&label.column)?));
            }
            if let Some(rule) = relation.link().and_then(|link| link.split.rule(paths)) {
                statements.push(format!("predict link {} {{ split = {rule} }}", relation.path()?));
            }
        }
    }
    if statements.is_empty() {
        return Ok(Items::default());
    }
    notes.changed(
        "the experiment",
        "there is no training configuration: but for what is predicted the experiment is GSL's defaults",
    );
    Ok(Items { before: String::new(), experiment: item(name, graph, &statements)? })
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
