//! Predictions: targets and decoders; `loss` and `metric` check the rest against the task that the label makes.

use gsl_plan::graph::LabelKind;
use gsl_plan::plan::Metric;

use super::body::{PredictBody, Sourced, show_target};
use super::call::Args;
use super::compose::Composer;
use super::cx::nearest_or_all;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::graph::merge::show_edge;
use super::loss::Loss;
use super::model::Model;
use super::value::{Ty, eval, number_text};
use crate::diag::{Diagnostic, codes, one_of};
use crate::syntax::ast::*;

/// What is predicted of which label, by which decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Predict {
    /// `package.section`
    pub name: String,
    /// Index into the graph's node types.
    pub ty: usize,
    /// Index into the type's labels.
    pub label: usize,
    pub kind: LabelKind,
    /// Ends in a call whose `out` is the number of scores.
    pub decode: Model,
    pub loss: Loss,
    pub metrics: Vec<Metric>,
    pub weight: f64,
    pub span: Span,
    pub lines: Vec<Line>,
}

const SETTINGS: [&str; 4] = ["decode", "loss", "metrics", "weight"];
/// Settings of link prediction, which does not run yet.
const LINK_SETTINGS: [&str; 4] = ["negatives", "evaluate", "split", "sample"];

impl ExperimentCx<'_, '_> {
    pub fn predict(&mut self, body: &PredictBody) -> Option<Predict> {
        let (ty, label) = self.target(&body.target)?;
        let checked = &self.graph.labels[ty][label];
        let kind = checked.label.kind;
        if checked.label.split.is_none() && !self.graph.broken {
            let (owner, name) = (&self.graph.plan.nodes[ty].name, &checked.label.name);
            let message = format!("`{owner}.{name}` has no split, so nothing says what to train on");
            let help =
                format!("add to `node {owner}`: `split {name} = random(train: 80%, valid: 10%, test: 10%)`");
            self.cx.error_help(codes::EXPERIMENT_NO_SPLIT, message, body.target.span, "not split", help);
        }
        self.settings_of(body);
        let defaults = match kind {
            LabelKind::Class => "any.class",
            LabelKind::Classes => "any.classes",
            LabelKind::Float => "any.float",
        };
        let default = self.defaults.predict(defaults).cloned()?;
        let get = |name: &str| body.setting(name).or_else(|| default.setting(name)).cloned();
        let mut lines = Vec::new();
        let decode = get("decode").and_then(|s| self.decode(&s, &mut lines));
        let loss = get("loss").and_then(|s| self.loss(&s, checked, &mut lines));
        let metrics = get("metrics").and_then(|s| self.metrics(&s, checked, &mut lines));
        let weight = get("weight").and_then(|s| self.weight(&s, &mut lines));
        Some(Predict {
            name: show_target(&body.target),
            ty,
            label,
            kind,
            decode: decode?,
            loss: loss?,
            metrics: metrics?,
            weight: weight?,
            span: body.target.span,
            lines,
        })
    }

    fn settings_of(&mut self, body: &PredictBody) {
        for setting in &body.settings {
            let name = &setting.item.name;
            if LINK_SETTINGS.contains(&name.text.as_str()) {
                let message = format!("`{name}` in a `predict` does not run yet");
                let help = "the split of a label stands in the graph, `sample` in the experiment";
                self.cx.error_help(codes::NOT_YET_LINK_PREDICTION, message, name.span, "for links", help);
            } else if !SETTINGS.contains(&name.text.as_str()) {
                let what = ("predict", "setting");
                self.cx.unknown_of(codes::NAMES_SETTING, what, &name.text, name.span, SETTINGS);
            }
        }
    }

    fn target(&mut self, target: &Target) -> Option<(usize, usize)> {
        let (code, message, help) = match &target.kind {
            TargetKind::Field { owner, name } => return self.field(owner, name),
            TargetKind::EdgeField { edge, name } => {
                self.edge_field(edge, name)?;
                (
                    codes::NOT_YET_EDGE_PREDICTION,
                    "prediction on edges does not run yet",
                    "predict a label of a node type: `predict package.section`",
                )
            }
            TargetKind::Link(_) => (
                codes::NOT_YET_LINK_PREDICTION,
                "link prediction does not run yet",
                "predict a label of a node type: `predict package.section`",
            ),
            TargetKind::Reconstruct(_) => (
                codes::NOT_YET_RECONSTRUCT,
                "reconstruction does not run yet",
                "declare the column as a label and predict it: `label year : float`",
            ),
        };
        self.cx.error_help(code, message, target.span, "", help);
        None
    }

    /// Whether the edge and its label are there; what is not is reported.
    fn edge_field(&mut self, edge: &EdgePath, name: &Ident) -> Option<()> {
        let Some(index) = self.graph.edge(edge) else {
            if !self.graph.broken {
                let known: Vec<String> = self.graph.relation_names();
                let known = known.iter().map(String::as_str);
                self.cx.unknown(codes::NAMES_TYPE_REF, "relation", &show_edge(edge), edge.span, known);
            }
            return None;
        };
        let labels: Vec<&str> = self.graph.plan.edges[index].labels.iter().map(|l| l.name.as_str()).collect();
        let is_lost = self.graph.lost_of_edges[index].contains(&name.text);
        if !labels.contains(&name.text.as_str()) && !is_lost {
            let message = format!("`{}` has no label `{name}`", show_edge(edge));
            let help = nearest_or_all(&name.text, &labels).unwrap_or_else(|| {
                format!("declare it in the edge's braces: `label {name} : class = COLUMN`")
            });
            self.cx.error_help(codes::NAMES_LABEL, message, name.span, "not a label", help);
            return None;
        }
        Some(())
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
                Some(help) if !is_feature => help,
                _ => format!("declare it in `node {owner}`: `label {name} : class = COLUMN`"),
            };
            self.cx.error_help(codes::NAMES_LABEL, message, name.span, "not a label", help);
        }
        let found = found?;
        self.runs(ty, owner.span.to(name.span))?;
        Some((ty, found))
    }

    /// Targets that a graph can hold and that no model learns yet.
    fn runs(&mut self, ty: usize, span: Span) -> Option<()> {
        if self.graph.plan.graphs != Some(ty) {
            return Some(());
        }
        let message = "prediction on whole graphs does not run yet";
        let help = "predict a label of the nodes: `predict atom.kind`";
        self.cx.error_help(codes::NOT_YET_GRAPH_PREDICTION, message, span, "", help);
        None
    }

    fn decode(&mut self, setting: &Sourced<Setting>, lines: &mut Vec<Line>) -> Option<Model> {
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
                head: false,
                open: Vec::new(),
            };
            composer.decoder(&expr)
        })?;
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
                        .help_opt(nearest_or_all(name, known));
                cx.report(diagnostic);
                return None;
            }
            let signature = prelude.signature(name)?.clone();
            let args = signature.bind(cx, &place.env, args, expr.span, &[])?;
            Some((name.to_owned(), args))
        })
    }
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
