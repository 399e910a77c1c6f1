//! Predictions: targets and decoders; `loss` and `metric` check the rest against the task that the label makes.

use gsl_plan::graph::{GraphPlan, Label, LabelKind};
use gsl_plan::plan::Metric;

use super::body::{PredictBody, Sourced, show_target};
use super::call::Args;
use super::compose::Composer;
use super::cx::nearest_or_all;
use super::experiment::{ExperimentCx, parts_of};
use super::explain::Line;
use super::graph::GRAPH;
use super::graph::label::CheckedLabel;
use super::graph::merge::show_edge;
use super::handle::Handle;
use super::link::{Edges, Link};
use super::loss::Loss;
use super::meant::meant_function;
use super::model::{LayerCall, Model};
use super::reconstruct::Reconstruct;
use super::value::{Ty, eval, number_text};
use crate::diag::{Diagnostic, codes, one_of};
use crate::syntax::ast::{Target as Written, *};

/// What is predicted of which label, by which decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Predict {
    /// `package.section`
    pub name: String,
    pub target: Target,
    pub handle: Handle,
    /// Of the label; the score of a link is a number.
    pub kind: LabelKind,
    pub link: Option<Link>,
    /// Of a feature.
    pub reconstruct: Option<Reconstruct>,
    /// Of a small graph: the layer that makes its row from those of its nodes.
    pub readout: Option<LayerCall>,
    /// Ends in a call whose `out` is the number of scores.
    pub decode: Model,
    pub loss: Loss,
    pub metrics: Vec<Metric>,
    pub weight: f64,
    pub span: Span,
    pub lines: Vec<Line>,
}

/// What a prediction is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A label of a node type, by their indices.
    Node { ty: usize, label: usize },
    /// A label of an edge type.
    Edge { edge: usize, label: usize },
    /// Whether there is an edge of an edge type.
    Link { edge: usize },
    /// A stored feature of a node type.
    Feature { ty: usize, feature: usize },
    /// A stored feature of an edge type.
    EdgeFeature { edge: usize, feature: usize },
}

impl Target {
    /// The edge type whose ends are scored.
    pub fn edge(self) -> Option<usize> {
        match self {
            Target::Node { .. } | Target::Feature { .. } => None,
            Target::Edge { edge, .. } | Target::Link { edge } | Target::EdgeFeature { edge, .. } => {
                Some(edge)
            }
        }
    }

    /// The node type of which a label is predicted, small graphs among them.
    pub fn node(self) -> Option<usize> {
        match self {
            Target::Node { ty, .. } => Some(ty),
            _ => None,
        }
    }

    /// Node types whose rows the decoder reads.
    pub fn types(self, plan: &GraphPlan) -> Vec<usize> {
        match self {
            Target::Node { ty, .. } if plan.graphs == Some(ty) => plan.member_types().collect(),
            Target::Node { ty, .. } | Target::Feature { ty, .. } => vec![ty],
            Target::Edge { edge, .. } | Target::Link { edge } | Target::EdgeFeature { edge, .. } => {
                vec![plan.edges[edge].src, plan.edges[edge].dst]
            }
        }
    }
}

const SETTINGS: [&str; 4] = ["decode", "loss", "metrics", "weight"];
/// Of predictions of small graphs alone.
const GRAPH_SETTING: &str = "readout";
/// Settings of link prediction alone.
const LINK_SETTINGS: [&str; 3] = ["negatives", "evaluate", "split"];

impl ExperimentCx<'_, '_> {
    pub fn predict(&mut self, body: &PredictBody) -> Option<Predict> {
        let target = self.target(&body.target)?;
        let kind = self.split_label(target, body.target.span);
        let checked = self.checked_label(target, body.target.span);
        self.settings_of(body, target);
        let default = self.defaults.predict(&self.default_of(target, kind)).cloned()?;
        let get = |name: &str| body.setting(name).or_else(|| default.setting(name)).cloned();
        let mut lines = Vec::new();
        let part = format!("predict.{}", show_target(&body.target));
        let reconstruct = match target {
            Target::Feature { .. } | Target::EdgeFeature { .. } => {
                Some(self.reconstruct(target, &get, &mut lines)?)
            }
            _ => None,
        };
        let readout = match self.is_graph(target) {
            true => Some(get(GRAPH_SETTING).and_then(|s| self.readout(&s, &mut lines))?),
            false => None,
        };
        let decode = get("decode").and_then(|s| self.started(s, &part));
        let decode = decode.and_then(|s| self.decode(&s, target, &mut lines));
        let (loss, link, metrics) = match target {
            Target::Link { edge } => {
                let plan = &self.graph.plan.edges[edge];
                let edges = Edges { index: edge, plan };
                let loss = get("loss").and_then(|s| self.link_loss(&s, &edges, &mut lines)).map(Loss::Link);
                let link = self.link(body, &get, edges, &mut lines);
                let (link, metrics) =
                    link.map_or((None, None), |(link, metrics)| (Some(link), Some(metrics)));
                (loss, link, metrics)
            }
            _ => (
                get("loss").and_then(|s| self.loss(&s, checked.as_ref()?, &mut lines)),
                None,
                get("metrics").and_then(|s| self.metrics(&s, checked.as_ref()?, &mut lines)),
            ),
        };
        let weight = get("weight").and_then(|s| self.weight(&s, &mut lines));
        Some(Predict {
            name: show_target(&body.target),
            target,
            handle: Handle::of(self.graph, target),
            kind,
            link,
            reconstruct,
            readout,
            decode: decode?,
            loss: loss?,
            metrics: metrics?,
            weight: weight?,
            span: body.target.span,
            lines,
        })
    }

    /// The label of a target; one that is not split is reported.
    fn split_label(&mut self, target: Target, span: Span) -> LabelKind {
        let plan = &self.graph.plan;
        let (owner, label): (String, &Label) = match target {
            Target::Node { ty, label } => {
                (format!("node {}", plan.nodes[ty].name), &self.graph.labels[ty][label].label)
            }
            Target::Edge { edge, label } => {
                (format!("edge {}", self.graph.relation_names()[edge]), &plan.edges[edge].labels[label])
            }
            Target::Link { .. } | Target::Feature { .. } | Target::EdgeFeature { .. } => {
                return LabelKind::Float;
            }
        };
        let (kind, name) = (label.kind, label.name.clone());
        if label.split.is_none() && !self.graph.broken {
            let what = owner.split_once(' ').map_or("", |(_, what)| what);
            let message = format!("`{what}.{name}` has no split, so nothing says what to train on");
            let help =
                format!("add to `{owner}`: `split {name} = random(train: 80%, valid: 10%, test: 10%)`");
            self.cx.error_help(codes::EXPERIMENT_NO_SPLIT, message, span, "not split", help);
        }
        kind
    }

    /// Whether a target is a label of small graphs.
    fn is_graph(&self, target: Target) -> bool {
        matches!(target, Target::Node { ty, .. } if self.graph.plan.graphs == Some(ty))
    }

    /// The prediction in `stdlib/defaults.gsl` that completes one.
    fn default_of(&self, target: Target, kind: LabelKind) -> String {
        let kind = match kind {
            LabelKind::Class => "class",
            LabelKind::Classes => "classes",
            LabelKind::Float => "float",
        };
        match target {
            Target::Node { .. } if self.is_graph(target) => format!("{GRAPH}.{kind}"),
            Target::Node { .. } => format!("any.{kind}"),
            Target::Edge { .. } => format!("(any -any-> any).{kind}"),
            Target::Feature { .. } => "reconstruct any.feature".to_owned(),
            Target::EdgeFeature { .. } => "reconstruct (any -any-> any).feature".to_owned(),
            Target::Link { edge } => match self.graph.plan.edges[edge].relation {
                gsl_plan::graph::Relation::Named(_) => "link any -any-> any".to_owned(),
                gsl_plan::graph::Relation::Column(_) => "link any -[any]-> any".to_owned(),
            },
        }
    }

    fn settings_of(&mut self, body: &PredictBody, target: Target) {
        let is_link = matches!(target, Target::Link { .. });
        let is_feature = matches!(target, Target::Feature { .. } | Target::EdgeFeature { .. });
        for setting in &body.settings {
            let name = &setting.item.name;
            if is_feature && name.text == "split" {
                continue;
            }
            let of_links = LINK_SETTINGS.contains(&name.text.as_str());
            let of_graphs = name.text == GRAPH_SETTING;
            if of_graphs && !self.is_graph(target) {
                let message = format!("`{name}` is for small graphs");
                let help =
                    "leave it out; it stands in `predict graph.LABEL`, where a graph has `many by COLUMN`";
                self.cx.error_help(codes::NAMES_SETTING, message, name.span, "no graph is predicted", help);
            } else if of_links && !is_link {
                let message = format!("`{name}` is for links");
                let help = "the split of a label stands in the graph, and its metrics in `metrics`";
                self.cx.error_help(codes::NAMES_SETTING, message, name.span, "no link is predicted", help);
            } else if !of_links && !of_graphs && !SETTINGS.contains(&name.text.as_str()) {
                let what = ("predict", "setting");
                let graphs = self.is_graph(target).then_some(GRAPH_SETTING);
                let links = LINK_SETTINGS.into_iter().filter(|_| is_link);
                let known = SETTINGS.into_iter().filter(|known| !is_link || *known != "metrics");
                let known = known.chain(links).chain(graphs);
                self.cx.unknown_of(codes::NAMES_SETTING, what, &name.text, name.span, known);
            }
        }
    }

    fn target(&mut self, target: &Written) -> Option<Target> {
        match &target.kind {
            TargetKind::Field { owner, name } => {
                self.field(owner, name).map(|(ty, label)| Target::Node { ty, label })
            }
            TargetKind::EdgeField { edge, name } => self.edge_field(edge, name),
            TargetKind::Link(edge) => self.edge_type(edge).map(|edge| Target::Link { edge }),
            TargetKind::Name(_) => None,
            TargetKind::Reconstruct(of) => self.feature_target(of),
        }
    }

    /// A label of edges; what is not there is reported.
    fn edge_field(&mut self, path: &EdgePath, name: &Ident) -> Option<Target> {
        let edge = self.edge_type(path)?;
        let labels: Vec<&str> = self.graph.plan.edges[edge].labels.iter().map(|l| l.name.as_str()).collect();
        let found = labels.iter().position(|l| *l == name.text);
        let is_lost = self.graph.lost_of_edges[edge].contains(&name.text);
        if found.is_none() && !is_lost {
            let message = format!("`{}` has no label `{name}`", show_edge(path));
            let help = nearest_or_all(&name.text, &labels).unwrap_or_else(|| {
                format!("declare it in the edge's braces: `label {name} : class = COLUMN`")
            });
            self.cx.error_help(codes::NAMES_LABEL, message, name.span, "not a label", help);
        }
        found.map(|label| Target::Edge { edge, label })
    }

    /// The label of a target with what its declaration states, of a feature a number; none of a link.
    fn checked_label(&self, target: Target, span: Span) -> Option<CheckedLabel> {
        let plan = &self.graph.plan;
        match target {
            Target::Node { ty, label } => Some(self.graph.labels[ty][label].clone()),
            Target::Edge { edge, label } => {
                let label = plan.edges[edge].labels[label].clone();
                Some(CheckedLabel { label, classes: None, span, is_feature: false })
            }
            Target::Feature { ty, feature } => Some(number(&plan.nodes[ty].features[feature].name, span)),
            Target::EdgeFeature { edge, feature } => {
                Some(number(&plan.edges[edge].features[feature].name, span))
            }
            Target::Link { .. } => None,
        }
    }

    fn field(&mut self, owner: &Ident, name: &Ident) -> Option<(usize, usize)> {
        let Some(ty) = self.graph.node(&owner.text) else {
            let known = self.graph.node_names();
            self.cx.unknown(codes::NAMES_NODE, "node type", &owner.text, owner.span, known);
            return None;
        };
        let labels: Vec<&str> = self.graph.labels[ty].iter().map(|l| l.label.name.as_str()).collect();
        let found = labels.iter().position(|l| *l == name.text);
        let is_lost = self.graph.lost[ty].contains(&name.text);
        if found.is_none() && !is_lost && !(self.graph.broken && labels.is_empty()) {
            let is_feature = self.graph.plan.nodes[ty].features.iter().any(|f| f.name == name.text);
            let message = format!("`{owner}` has no label `{name}`");
            let help = match nearest_or_all(&name.text, &labels) {
                _ if is_feature => format!(
                    "it has a feature of this name: `predict reconstruct {owner}.{name}`; a label is declared beside it: \
                     `label NAME : class = COLUMN`"
                ),
                Some(help) => help,
                _ => format!("declare it in `node {owner}`: `label {name} : class = COLUMN`"),
            };
            self.cx.error_help(codes::NAMES_LABEL, message, name.span, "not a label", help);
        }
        Some((ty, found?))
    }

    fn decode(&mut self, setting: &Sourced<Setting>, target: Target, lines: &mut Vec<Line>) -> Option<Model> {
        let expr = self.single(setting)?.clone();
        let place = setting.place.clone();
        let (library, prelude) = (self.library, self.prelude);
        let model = self.cx.within(&place.file, |cx| {
            let mut composer = Composer {
                cx,
                library,
                prelude,
                module: place.module,
                env: &place.env,
                rows_only: Some("a decoder"),
                pairs: target.edge().is_some(),
                head: false,
                open: Vec::new(),
            };
            composer.decoder(&expr)
        })?;
        self.blind(setting, target, &model)?;
        lines.push(self.line(1, "decode", &model.show(), setting));
        Some(model)
    }

    fn weight(&mut self, setting: &Sourced<Setting>, lines: &mut Vec<Line>) -> Option<f64> {
        let expr = self.single(setting)?.clone();
        let env = setting.place.env.clone();
        let weight = self.within(setting, |cx| eval(cx.cx, &env, &expr, &Ty::Float, false))?.number()?;
        if weight < 0.0 {
            let message = format!("a weight is at least 0, not {weight}");
            self.cx.error(codes::ARGS_VALUE, message, expr.span, "negative");
            return None;
        }
        lines.push(self.line(1, "weight", &number_text(weight), setting));
        Some(weight)
    }

    /// A call of one of the functions of a kind, with its arguments.
    pub fn function(
        &mut self,
        setting: &Sourced<Setting>,
        expr: &Expr,
        what: &str,
        known: &[&str],
    ) -> Option<(String, Args)> {
        let place = setting.place.clone();
        let prelude = self.prelude;
        self.cx.within(&place.file, |cx| {
            let Some((name, args)) = expr.as_call() else {
                if !expr.is_bad() {
                    let message = format!("this is no {what}");
                    let help = format!("write {}", one_of(known));
                    let label = format!("expected a {what}");
                    cx.error_help(codes::EXPERIMENT_VALUE, message, expr.span, &label, help);
                }
                return None;
            };
            if !known.contains(&name) {
                let span = match &expr.kind {
                    ExprKind::Call { callee, .. } => callee.span,
                    _ => expr.span,
                };
                let diagnostic =
                    Diagnostic::new(codes::NAMES_FUNCTION, format!("there is no {what} `{name}`"))
                        .at(span, format!("not a {what}"))
                        .help_opt(meant_function(name).or_else(|| nearest_or_all(name, known)));
                cx.report(diagnostic);
                return None;
            }
            let signature = prelude.signature(name)?.clone();
            let args = signature.bind(cx, &place.env, args, expr.span, &[])?;
            Some((name.to_owned(), args))
        })
    }
}

/// A feature as the label that losses and metrics are made for.
fn number(name: &str, span: Span) -> CheckedLabel {
    CheckedLabel { label: parts_of(name.to_owned(), &None), classes: None, span, is_feature: true }
}

impl Composer<'_, '_> {
    /// A decoder: the last call's `out` is the number of scores, so that `mlp(64)` has 64 hidden; `softmax` is the matrix
    /// whose scores the loss takes the softmax of.
    fn decoder(&mut self, expr: &Expr) -> Option<Model> {
        match &expr.kind {
            ExprKind::Compose { first, then } | ExprKind::Pipe { value: first, stage: then } => {
                let (a, b) = (self.model(first), self.decoder(then));
                Some(Model::chain(vec![a?, b?]))
            }
            ExprKind::Name(name) if name == "softmax" => {
                self.headed(&Expr::new(ExprKind::Name("linear".to_owned()), expr.span))
            }
            _ => self.headed(expr),
        }
    }

    fn headed(&mut self, expr: &Expr) -> Option<Model> {
        self.head = true;
        let model = self.model(expr);
        self.head = false;
        model
    }
}
