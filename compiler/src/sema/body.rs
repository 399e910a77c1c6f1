//! The statements of an experiment, its base's and the defaults', brought together: later ones take the place of earlier
//! ones, and each remembers where it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cx::Cx;
use super::graph::merge::show_edge;
use super::value::Env;
use crate::diag::{SourceFile, codes};
use crate::syntax::ast::*;

/// Where a statement was written, and so what its names mean.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: Option<Arc<SourceFile>>,
    pub module: usize,
    pub env: Arc<Env>,
    pub is_default: bool,
}

#[derive(Debug, Clone)]
pub struct Sourced<T> {
    pub item: T,
    pub place: Arc<Place>,
    /// From the experiment that this one is derived from.
    pub inherited: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Body {
    pub settings: Vec<Sourced<Setting>>,
    pub encodes: Vec<Sourced<Encode>>,
    pub predicts: Vec<PredictBody>,
    /// What is trained and what is frozen, in all stages.
    pub parts: Vec<PartList>,
    pub stages: Vec<StageBody>,
    /// Not inherited: two experiments would write the same files.
    pub writes: Vec<Sourced<Write>>,
}

/// `train A, B` or `freeze A, B`.
#[derive(Debug, Clone)]
pub struct PartList {
    pub freezes: bool,
    pub parts: Vec<Path>,
}

/// `stage NAME { … }`
#[derive(Debug, Clone)]
pub struct StageBody {
    pub name: Ident,
    pub settings: Vec<Sourced<Setting>>,
    pub parts: Vec<PartList>,
}

#[derive(Debug, Clone)]
pub struct PredictBody {
    pub target: Target,
    pub place: Arc<Place>,
    pub settings: Vec<Sourced<Setting>>,
}

impl Body {
    pub fn setting(&self, name: &str) -> Option<&Sourced<Setting>> {
        self.settings.iter().find(|s| s.item.name.text == name)
    }

    /// The encoder of a node type.
    pub fn encode(&self, name: &str) -> Option<&Sourced<Encode>> {
        self.encodes.iter().find(|e| matches!(&e.item.target, EncodeTarget::Node(n) if n.text == name))
    }

    pub fn predict(&self, name: &str) -> Option<&PredictBody> {
        self.predicts.iter().find(|p| show_target(&p.target) == name)
    }
}

impl PredictBody {
    pub fn setting(&self, name: &str) -> Option<&Sourced<Setting>> {
        self.settings.iter().find(|s| s.item.name.text == name)
    }
}

/// `package.section`
pub fn show_target(target: &Target) -> String {
    match &target.kind {
        TargetKind::Field { owner, name } => format!("{owner}.{name}"),
        TargetKind::EdgeField { edge, name } => format!("({}).{name}", show_edge(edge)),
        TargetKind::Name(name) => name.text.clone(),
        TargetKind::Link(edge) => format!("link {}", show_edge(edge)),
        TargetKind::Reconstruct(inner) => format!("reconstruct {}", show_target(inner)),
    }
}

/// Experiments of the file by name.
pub type Experiments<'a> = BTreeMap<&'a str, &'a Experiment>;

/// The statements of an experiment, those of its base included, and the name of its graph. `None`: a mistake, reported.
pub fn flatten(
    cx: &mut Cx,
    experiments: &Experiments,
    experiment: &Experiment,
    place: &Arc<Place>,
) -> Option<(Body, Ident)> {
    flatten_from(cx, experiments, experiment, place, &mut Vec::new())
}

fn flatten_from<'a>(
    cx: &mut Cx,
    experiments: &Experiments<'a>,
    experiment: &'a Experiment,
    place: &Arc<Place>,
    seen: &mut Vec<&'a str>,
) -> Option<(Body, Ident)> {
    let own = collect(cx, &experiment.body, place);
    let Some(base) = &experiment.base else { return Some((own, experiment.graph.clone()?)) };
    if seen.contains(&experiment.name.text.as_str()) {
        let message = format!("`{}` is derived from itself", experiment.name);
        cx.error(codes::NAMES_CYCLE, message, base.span, "leads back here");
        return None;
    }
    seen.push(&experiment.name.text);
    let Some(found) = experiments.get(base.text.as_str()) else {
        let known = experiments.keys().copied();
        cx.unknown(codes::NAMES_EXPERIMENT, "experiment", &base.text, base.span, known);
        return None;
    };
    let (mut body, graph) = flatten_from(cx, experiments, found, place, seen)?;
    body.encodes.iter_mut().for_each(|e| e.inherited = true);
    Some((amend(body, own), experiment.graph.clone().unwrap_or(graph)))
}

// ----------------------------------------------------------------------------------------------------------- collect

/// Sorts statements by what they are; reports those that say a thing twice or cannot run yet.
pub fn collect(cx: &mut Cx, stmts: &[Stmt], place: &Arc<Place>) -> Body {
    let mut body = Body::default();
    for stmt in stmts {
        match stmt {
            Stmt::Setting(setting) => add_setting(cx, &mut body.settings, setting, place),
            Stmt::Encode(encode) => add_encode(cx, &mut body, encode, place),
            Stmt::Predict(predict) => add_predict(cx, &mut body, predict, place),
            Stmt::Train { parts, .. } => body.parts.push(PartList { freezes: false, parts: parts.clone() }),
            Stmt::Freeze { parts, .. } => body.parts.push(PartList { freezes: true, parts: parts.clone() }),
            Stmt::Stage { name, body: stmts, .. } => add_stage(cx, &mut body, name, stmts, place),
            Stmt::Write(write) => body.writes.push(sourced(write, place)),
            Stmt::Allow(_) | Stmt::Bad(_) => {}
            other => not_yet(cx, other),
        }
    }
    body
}

fn sourced<T: Clone>(item: &T, place: &Arc<Place>) -> Sourced<T> {
    Sourced { item: item.clone(), place: place.clone(), inherited: false }
}

fn add_setting(cx: &mut Cx, settings: &mut Vec<Sourced<Setting>>, setting: &Setting, place: &Arc<Place>) {
    if let Some(first) = settings.iter().find(|s| s.item.name.text == setting.name.text) {
        let message = format!("`{}` is said twice", setting.name);
        let first = first.item.name.span;
        let diagnostic = crate::diag::Diagnostic::new(codes::NAMES_DUPLICATE, message)
            .at(setting.name.span, "the second time")
            .at(first, "the first time");
        cx.report(diagnostic);
        return;
    }
    settings.push(sourced(setting, place));
}

fn add_encode(cx: &mut Cx, body: &mut Body, encode: &Encode, place: &Arc<Place>) {
    match &encode.target {
        EncodeTarget::Edge(edge) => {
            let message = "encoders of edges do not run yet";
            let help = "a layer reads the features of an edge as they are: `e.weight`";
            cx.error_help(codes::NOT_YET_EDGE_ENCODER, message, edge.span, "an edge type", help);
        }
        EncodeTarget::Node(name) if body.encode(&name.text).is_some() => {
            let message = format!("`{name}` is encoded twice");
            cx.error(codes::NAMES_DUPLICATE, message, name.span, "the second time");
        }
        EncodeTarget::Node(_) => body.encodes.push(sourced(encode, place)),
    }
}

fn add_predict(cx: &mut Cx, body: &mut Body, predict: &Predict, place: &Arc<Place>) {
    let name = show_target(&predict.target);
    if body.predict(&name).is_some() {
        let message = format!("`{name}` is predicted twice");
        cx.error(codes::NAMES_DUPLICATE, message, predict.target.span, "the second time");
        return;
    }
    let mut settings = Vec::new();
    for stmt in &predict.body {
        match stmt {
            Stmt::Setting(setting) => add_setting(cx, &mut settings, setting, place),
            Stmt::Allow(_) | Stmt::Bad(_) => {}
            other => {
                let help = "a `predict` holds `decode`, `loss`, `metrics` and `weight`";
                let message = "this has no meaning in a `predict`";
                cx.error_help(codes::EXPERIMENT_MISPLACED, message, other.span(), "", help);
            }
        }
    }
    body.predicts.push(PredictBody { target: predict.target.clone(), place: place.clone(), settings });
}

fn add_stage(cx: &mut Cx, body: &mut Body, name: &Ident, stmts: &[Stmt], place: &Arc<Place>) {
    if body.stages.iter().any(|stage| stage.name.text == name.text) {
        let message = format!("two stages are named `{name}`");
        cx.error(codes::NAMES_DUPLICATE, message, name.span, "the second one");
        return;
    }
    let mut stage = StageBody { name: name.clone(), settings: Vec::new(), parts: Vec::new() };
    for stmt in stmts {
        match stmt {
            Stmt::Setting(setting) => add_setting(cx, &mut stage.settings, setting, place),
            Stmt::Train { parts, .. } => stage.parts.push(PartList { freezes: false, parts: parts.clone() }),
            Stmt::Freeze { parts, .. } => stage.parts.push(PartList { freezes: true, parts: parts.clone() }),
            Stmt::Allow(_) | Stmt::Bad(_) => {}
            other => {
                let help = "a `stage` holds `train`, `freeze`, `epochs`, `lr` and `optimizer`";
                let message = "this has no meaning in a `stage`";
                cx.error_help(codes::EXPERIMENT_MISPLACED, message, other.span(), "", help);
            }
        }
    }
    body.stages.push(stage);
}

fn not_yet(cx: &mut Cx, stmt: &Stmt) {
    let (code, message, help) = match stmt {
        Stmt::Distill(_) => (
            codes::NOT_YET_DISTILL,
            "distillation does not run yet",
            "train the small model on the labels: `experiment student = … with { gnn = none }`",
        ),
        Stmt::Block { head, .. } if head.as_call().is_some_and(|(name, _)| name == "glem") => (
            codes::NOT_YET_GLEM,
            "training with a language model in turns (`glem`) does not run yet",
            "leave it out, and read text as vectors computed before: `feature text = vector(column)`",
        ),
        _ => (
            codes::EXPERIMENT_MISPLACED,
            "this has no meaning here",
            "an experiment holds settings (`name = value`), `encode`, `predict`, `stage`, `train`, `freeze`, `write` and `allow`",
        ),
    };
    cx.error_help(code, message, stmt.span(), "", help);
}

// ------------------------------------------------------------------------------------------------------------- amend

/// `with`: settings, encoders and predictions of `new` take the place of those of the same name, and its stages and what it
/// trains and freezes of all of them.
fn amend(mut body: Body, new: Body) -> Body {
    replace(&mut body.settings, new.settings, |a, b| a.item.name.text == b.item.name.text);
    replace(&mut body.encodes, new.encodes, |a, b| match (&a.item.target, &b.item.target) {
        (EncodeTarget::Node(a), EncodeTarget::Node(b)) => a.text == b.text,
        _ => false,
    });
    for predict in new.predicts {
        let name = show_target(&predict.target);
        match body.predicts.iter_mut().find(|p| show_target(&p.target) == name) {
            Some(old) => {
                replace(&mut old.settings, predict.settings, |a, b| a.item.name.text == b.item.name.text)
            }
            None => body.predicts.push(predict),
        }
    }
    if !new.parts.is_empty() {
        body.parts = new.parts;
    }
    if !new.stages.is_empty() {
        body.stages = new.stages;
    }
    body.writes = new.writes;
    body
}

fn replace<T>(list: &mut Vec<T>, new: Vec<T>, same: impl Fn(&T, &T) -> bool) {
    for item in new {
        match list.iter().position(|old| same(old, &item)) {
            Some(i) => list[i] = item,
            None => list.push(item),
        }
    }
}
