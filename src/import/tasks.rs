//! Tasks: what is predicted, found in the graph.

use super::fields::At;
use super::graph::{Graph, Owner, unknown};
use super::model::triple_of;
use super::notes::Notes;
use super::schema::{Label, Task as Kind, Triple};
use super::settings::{Settings, TaskKind, TaskSettings};
use crate::source::Failure;

/// A task with its place in the graph.
#[derive(Debug)]
pub struct Task {
    /// Index into the tasks of the settings.
    pub index: usize,
    pub target: Target,
    /// Whether models are chosen by it.
    pub is_judged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Label(Owner, usize),
    Link(usize),
    Reconstruct(Owner, String),
}

/// Finds the targets of all tasks in the graph, and lets the graph know what only the training says of it.
pub fn find(graph: &mut Graph, settings: &Settings, notes: &mut Notes) -> Result<Vec<Task>, Failure> {
    let mut all = Vec::new();
    for (index, task) in settings.tasks.iter().enumerate() {
        if let Some(at) = task.get("reverse_edge_types_map", settings) {
            for said in at.texts()? {
                graph.pair(&at.path, &said, notes)?;
            }
        }
        for found in targets(index, task, graph, settings, notes)? {
            if all.iter().any(|known: &Task| known.target == found.target) {
                let text = "one experiment predicts a thing once: write a second one for this, `experiment other = … with { … }`";
                notes.lost(&task.path, text);
            } else {
                all.push(found);
            }
        }
    }
    for task in &all {
        if let Target::Label(owner, label) = task.target
            && let Some(at) = settings.tasks[task.index].get("multilabel", settings)
            && of_type(&at, &name_of(graph, owner)).is_some_and(|at| at.flag().unwrap_or(false))
        {
            graph.make_multi(owner, label);
        }
    }
    for model in settings.models.iter().filter(|_| !settings.trains_models()) {
        model.types.iter().for_each(|ty| graph.embed(ty, &model.name));
    }
    Ok(all)
}

fn targets(
    index: usize,
    task: &TaskSettings,
    graph: &Graph,
    settings: &Settings,
    notes: &mut Notes,
) -> Result<Vec<Task>, Failure> {
    let make = |target| Task { index, target, is_judged: true };
    let feature = |owner, key: &str| -> Result<Task, Failure> {
        let at = needed(task, settings, key)?;
        let name = at.texts()?.into_iter().next().unwrap_or_default();
        let known: Vec<String> = graph.features(owner).iter().map(|f| f.name.clone()).collect();
        match known.contains(&name) {
            true => Ok(make(Target::Reconstruct(owner, name))),
            false => Err(unknown(&at.path, "feature", &name, &known)),
        }
    };
    Ok(match task.kind {
        TaskKind::NodeClassification | TaskKind::NodeRegression => {
            let owners = node_targets(task, graph, settings)?;
            labels(task, &owners, graph, settings)?.into_iter().map(make).collect()
        }
        TaskKind::EdgeClassification | TaskKind::EdgeRegression => {
            let mut owners = edge_targets(task, "target_etype", graph, settings)?;
            if owners.len() > 1 {
                let path = task.get("target_etype", settings).map_or_else(String::new, |at| at.path);
                notes.lost(path, "GraphStorm predicts on the first relation alone, and so does this file");
                owners.truncate(1);
            }
            let owners: Vec<Owner> = owners.into_iter().map(Owner::Edge).collect();
            labels(task, &owners, graph, settings)?.into_iter().map(make).collect()
        }
        TaskKind::Link => {
            let relations = edge_targets(task, "train_etype", graph, settings)?;
            let judged = judged(task, graph, settings, notes)?;
            let make = |r: usize| Task {
                is_judged: judged.as_ref().is_none_or(|judged| judged.contains(&r)),
                ..make(Target::Link(r))
            };
            if relations.len() > 1 {
                let text = "the losses of the relations are added, each a mean over its own links; GraphStorm takes the mean \
                            over the links of all";
                notes.changed(&task.path, text);
            }
            relations.into_iter().map(make).collect()
        }
        TaskKind::ReconstructNode => {
            let owner = node_targets(task, graph, settings)?[0];
            vec![feature(owner, "reconstruct_nfeat_name")?]
        }
        TaskKind::ReconstructEdge => {
            let relation = edge_targets(task, "target_etype", graph, settings)?[0];
            vec![feature(Owner::Edge(relation), "reconstruct_efeat_name")?]
        }
    })
}

/// The relations that a model of links is chosen by; none said is all of them.
fn judged(
    task: &TaskSettings,
    graph: &Graph,
    settings: &Settings,
    notes: &mut Notes,
) -> Result<Option<Vec<usize>>, Failure> {
    let chosen = task.get("model_select_etype", settings);
    if chosen.is_some_and(|at| at.value.as_str().is_none_or(|word| !word.eq_ignore_ascii_case("all"))) {
        return edge_targets(task, "model_select_etype", graph, settings).map(Some);
    }
    let (trained, evaluated) = (task.get("train_etype", settings), task.get("eval_etype", settings));
    let Some(at) = evaluated else { return Ok(None) };
    if trained.is_none_or(|trained| trained.value != at.value) {
        notes.changed(
            &at.path,
            "every relation that is predicted is evaluated; the best model is chosen by these",
        );
    }
    edge_targets(task, "eval_etype", graph, settings).map(Some)
}

fn needed<'a>(task: &TaskSettings<'a>, settings: &Settings<'a>, key: &str) -> Result<At<'a>, Failure> {
    task.get(key, settings).ok_or_else(|| {
        Failure::new(format!("`{}` has no `{key}`", task.path)).help("this task cannot do without it")
    })
}

fn node_targets(task: &TaskSettings, graph: &Graph, settings: &Settings) -> Result<Vec<Owner>, Failure> {
    let Some(at) = task.get("target_ntype", settings) else {
        return match graph.nodes.len() {
            1 => Ok(vec![Owner::Node(0)]),
            _ => needed(task, settings, "target_ntype").map(|_| Vec::new()),
        };
    };
    let known: Vec<String> = graph.nodes.iter().map(|ty| ty.name.clone()).collect();
    let find = |name: &String| {
        let found = known.iter().position(|known| known == name);
        // A homogeneous graph has the one type, whatever it is called.
        let only = || (name == "_N" && known.len() == 1).then_some(0);
        found.or_else(only).map(Owner::Node).ok_or_else(|| unknown(&at.path, "node type", name, &known))
    };
    some(&at)?.iter().map(find).collect()
}

fn edge_targets(
    task: &TaskSettings,
    key: &str,
    graph: &Graph,
    settings: &Settings,
) -> Result<Vec<usize>, Failure> {
    let Some(at) = task.get(key, settings) else {
        return match key {
            "train_etype" => Ok((0..graph.edges.len()).collect()),
            _ if graph.edges.len() == 1 => Ok(vec![0]),
            _ => needed(task, settings, key).map(|_| Vec::new()),
        };
    };
    let find = |said: &String| {
        let triple = triple_of(said).ok_or_else(|| at.wrong("SOURCE,RELATION,DESTINATION"))?;
        let is_only = triple == Triple("_N".into(), "_E".into(), "_N".into()) && graph.edges.len() == 1;
        if is_only { Ok(0) } else { graph.position(&at.path, &triple) }
    };
    some(&at)?.iter().map(find).collect()
}

/// The texts of a list that has at least one.
fn some(at: &At) -> Result<Vec<String>, Failure> {
    let texts = at.texts()?;
    if texts.is_empty() { Err(at.wrong("at least one name")) } else { Ok(texts) }
}

/// The labels that the task names, by owner.
fn labels(
    task: &TaskSettings,
    owners: &[Owner],
    graph: &Graph,
    settings: &Settings,
) -> Result<Vec<Target>, Failure> {
    let at = needed(task, settings, "label_field")?;
    let masks = task.masks(settings)?;
    let wanted = match task.kind {
        TaskKind::NodeClassification | TaskKind::EdgeClassification => Kind::Classification,
        _ => Kind::Regression,
    };
    let find = |owner: &Owner| {
        let said = of_type(&at, &name_of(graph, *owner)).ok_or_else(|| at.wrong("a label for each type"))?;
        let name = said.text()?;
        let labels = graph.labels(*owner);
        let known: Vec<String> =
            labels.iter().filter(|l| l.task == wanted).map(|l| l.column.clone()).collect();
        let fits = |l: &Label| l.column == name && l.task == wanted;
        let masked =
            masks.as_ref().and_then(|masks| labels.iter().position(|l| fits(l) && l.has_masks(masks)));
        if let Some(found) = masked.or_else(|| labels.iter().position(fits)) {
            return Ok(Target::Label(*owner, found));
        }
        let what = if wanted == Kind::Regression { "label that is a number" } else { "label of classes" };
        Err(unknown(&said.path, what, name, &known))
    };
    owners.iter().map(find).collect()
}

pub fn name_of(graph: &Graph, owner: Owner) -> String {
    match owner {
        Owner::Node(at) => graph.nodes[at].name.clone(),
        Owner::Edge(at) => graph.edges[at].triple.show(),
    }
}

/// A setting for all types, or what it says of one.
pub fn of_type<'a>(at: &At<'a>, ty: &str) -> Option<At<'a>> {
    match at.object() {
        Ok(fields) => fields.get(ty),
        Err(_) => Some(at.clone()),
    }
}
