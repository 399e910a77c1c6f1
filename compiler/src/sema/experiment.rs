//! One experiment: statements and defaults in, everything that training needs out.

use std::sync::Arc;

use gsl_plan::graph::{GraphPlan, Label, LabelKind, Split};

use super::body::{Body, Place, Sourced};
use super::compose::Composer;
use super::cx::Cx;
use super::encode::EncodeCx;
use super::explain::{Line, Origin};
use super::graph::CheckedGraph;
use super::graph::leak::Allowed;
use super::library::Library;
use super::link::LINK;
use super::meant::meant;
use super::model::{Encoder, Model};
use super::predict::{Predict, Target};
use super::prelude::Prelude;
use super::reconstruct::{Hidden, label_name};
use super::stages::Start;
use super::trainer::Training;
use super::write::Written;
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{EncodeTarget, Expr, Setting, Span};

/// A checked experiment, complete but for what only the data knows.
#[derive(Debug, Clone)]
pub struct Experiment {
    pub name: String,
    pub doc: Option<String>,
    pub span: Span,
    /// Index into [`super::Checked::graphs`].
    pub graph: usize,
    /// One for each node type, by index.
    pub encoders: Vec<NodeEncoder>,
    /// An empty chain for a model without a graph.
    pub gnn: Model,
    pub gnn_span: Option<Span>,
    pub predicts: Vec<Predict>,
    pub training: Training,
    /// Parts that start from runs of other experiments.
    pub starts: Vec<Start>,
    pub writes: Vec<Written>,
    /// Settings as completed, for people.
    pub lines: Vec<Line>,
}

impl Experiment {
    /// The graph as this experiment wants it built: edges whose links are predicted have parts, and so have rows whose
    /// features are reconstructed.
    pub fn graph_plan(&self, graph: &CheckedGraph) -> GraphPlan {
        let mut plan = graph.plan.clone();
        for predict in &self.predicts {
            let parts = match (&predict.link, &predict.reconstruct) {
                (Some(link), _) => parts_of(LINK.to_owned(), &link.split),
                (_, Some(of)) => parts_of(label_name(&of.feature), &of.split),
                _ => continue,
            };
            let labels = match predict.target {
                Target::Feature { ty, .. } => &mut plan.nodes[ty].labels,
                Target::Link { edge } | Target::EdgeFeature { edge, .. } => &mut plan.edges[edge].labels,
                _ => continue,
            };
            if !labels.iter().any(|label| label.name == parts.name) {
                labels.push(parts);
            }
        }
        plan
    }
}

/// A label of every row, which says its part.
pub fn parts_of(name: String, split: &Option<Split>) -> Label {
    Label {
        name,
        column: String::new(),
        kind: LabelKind::Float,
        transforms: Vec::new(),
        several: gsl_plan::graph::Several::Numbers,
        split: split.clone(),
    }
}

impl Experiment {
    /// Whether small graphs have rows of their own: features, or an encoder that is written.
    pub fn graphs_have_rows(&self, graph: &CheckedGraph) -> bool {
        let of = |ty: usize| !self.encoders[ty].is_default || !graph.plan.nodes[ty].features.is_empty();
        graph.plan.graphs.is_some_and(of)
    }

    /// The same on a graph of any size: where it has fewer nodes than a link draws, all are drawn.
    pub fn on_any_graph(&self) -> Self {
        let mut experiment = self.clone();
        let links = experiment.predicts.iter_mut().filter_map(|predict| predict.link.as_mut());
        links.for_each(|link| link.written = [false; 2]);
        experiment
    }
}

#[derive(Debug, Clone)]
pub struct NodeEncoder {
    pub encoder: Encoder,
    pub span: Span,
    /// Written in the defaults.
    pub is_default: bool,
}

const SETTINGS: [&str; 11] = [
    "gnn",
    "sample",
    "batch",
    "accumulate",
    "optimizer",
    "average",
    "epochs",
    "evaluate_every",
    "validation",
    "stop",
    "best",
];

pub struct ExperimentCx<'a, 'w> {
    pub cx: &'a mut Cx<'w>,
    pub library: &'a Library,
    pub prelude: &'static Prelude,
    pub graph: &'a CheckedGraph,
    pub body: &'a Body,
    pub defaults: &'a Body,
    /// Leaks that the file allows.
    pub allowed: &'a Allowed,
    pub gnn_span: Option<Span>,
    /// Names of `param`s that `--set` overrode.
    pub set: &'a [String],
    /// Names of the file's experiments, and of this one.
    pub experiments: &'a [String],
    pub name: &'a str,
    /// `from RUN.part`, as they are met.
    pub starts: Vec<Start>,
}

/// What an experiment is called and where it stands.
pub struct Header {
    pub name: String,
    pub doc: Option<String>,
    pub span: Span,
    pub graph: usize,
}

impl ExperimentCx<'_, '_> {
    /// Checks everything; `None` if anything is wrong.
    pub fn check(&mut self, header: Header) -> Option<Experiment> {
        self.known_settings();
        self.graph_runs(header.span);
        let mut lines = Vec::new();
        let predicts = self.predicts(header.span);
        let gnn = self.gnn(predicts.as_deref(), &mut lines);
        let hops = gnn.as_ref().map_or(0, Model::hops);
        let encoders = self.encoders(predicts.as_deref(), hops, &mut lines);
        if let (Some(gnn), Some(encoders), Some(predicts)) = (&gnn, &encoders, &predicts) {
            self.widths(gnn, encoders, predicts);
        }
        if let (Some(gnn), Some(predicts)) = (&gnn, &predicts) {
            self.same_edges(predicts, gnn);
            self.two_splits(predicts);
            self.edge_reads(gnn, predicts);
        }
        if let (Some(gnn), Some(encoders), Some(predicts)) = (&gnn, &encoders, &predicts) {
            self.halves(gnn, encoders, predicts);
        }
        let training = match &gnn {
            Some(gnn) => self.training(gnn, predicts.as_deref().unwrap_or(&[]), &mut lines),
            None => None,
        };
        let computed = self.reached(predicts.as_deref(), hops);
        let writes = self.writes(predicts.as_deref(), &computed);
        Some(Experiment {
            name: header.name,
            doc: header.doc,
            span: header.span,
            graph: header.graph,
            encoders: encoders?,
            gnn: gnn?,
            gnn_span: self.gnn_span,
            predicts: predicts?,
            training: training?,
            starts: std::mem::take(&mut self.starts),
            writes: writes?,
            lines,
        })
    }

    // ---------------------------------------------------------------------------------------------------------- access

    /// A setting as written, or its default.
    pub fn setting(&self, name: &str) -> Option<Sourced<Setting>> {
        self.body.setting(name).or_else(|| self.defaults.setting(name)).cloned()
    }

    /// The value of a setting that takes one.
    pub fn single<'s>(&mut self, setting: &'s Sourced<Setting>) -> Option<&'s Expr> {
        let value = setting.item.single();
        if value.is_none() {
            let message = format!("`{}` takes one value", setting.item.name);
            let span = setting.item.span;
            self.within(setting, |cx| {
                cx.cx.error(codes::EXPERIMENT_VALUE, message, span, "expected one value")
            });
        }
        value.filter(|v| !v.is_bad())
    }

    /// Runs a check on a setting: messages show the file that it is written in.
    pub fn within<S, T>(&mut self, sourced: &Sourced<S>, check: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.cx.enter(sourced.place.file.clone());
        let result = check(self);
        self.cx.enter(outer);
        result
    }

    /// A line of the explanation.
    pub fn line(&self, depth: usize, name: &str, value: &str, setting: &Sourced<Setting>) -> Line {
        let exprs: Vec<&Expr> = setting.item.value.iter().map(|a| &a.value).collect();
        let origin = self.origin(&setting.place, setting.item.span, &exprs);
        Line { depth, name: name.to_owned(), value: value.to_owned(), origin }
    }

    fn origin(&self, place: &Arc<Place>, span: Span, exprs: &[&Expr]) -> Origin {
        let mut set: Vec<String> = Vec::new();
        for expr in exprs {
            expr.walk(&mut |e| {
                let name = e.as_name().filter(|n| !place.is_default && self.set.iter().any(|s| s == n));
                if let Some(name) = name.filter(|n| !set.iter().any(|s| s == n)) {
                    set.push(name.to_owned());
                }
            });
        }
        Origin {
            file: place.file.as_ref().map_or(self.cx.path.clone(), |f| f.name.clone()),
            line: self.cx.line(&place.file, span),
            is_default: place.is_default,
            set,
        }
    }

    /// Graphs that can be built and inspected, and on which no experiment runs yet.
    fn graph_runs(&mut self, experiment: Span) {
        if self.graph.has_time() {
            let message =
                "experiments on graphs with `time` do not run yet: sampling would look into the future";
            let help =
                "derive a graph whose nodes and edges have no `time`, and split `by` the column instead";
            self.cx.error_help(codes::NOT_YET_TIME, message, experiment, "on a graph with times", help);
        }
    }

    fn known_settings(&mut self) {
        for setting in &self.body.settings {
            let name = &setting.item.name;
            if name.text == "glem" {
                let message = "training with a language model in turns (`glem`) does not run yet";
                let help =
                    "leave it out, and read text as vectors computed before: `feature text = vector(column)`";
                self.cx.error_help(codes::NOT_YET_GLEM, message, setting.item.span, "", help);
            } else if !SETTINGS.contains(&name.text.as_str()) && name.text != "seed" {
                match meant(self.prelude, &setting.item) {
                    Some(help) => {
                        let message = format!("there is no setting `{name}`");
                        self.cx.error_help(codes::NAMES_SETTING, message, name.span, "an argument", help);
                    }
                    None => {
                        let known = SETTINGS.into_iter().chain(["seed"]);
                        self.cx.unknown(codes::NAMES_SETTING, "setting", &name.text, name.span, known);
                    }
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------------ parts

    fn predicts(&mut self, name: Span) -> Option<Vec<Predict>> {
        if self.body.predicts.is_empty() {
            let labels: Vec<String> = self.label_names();
            let example = labels.first().map_or("package.section", String::as_str);
            let help = format!("add `predict {example}`");
            self.cx.error_help(
                codes::EXPERIMENT_NO_PREDICT,
                "the experiment predicts nothing",
                name,
                "",
                help,
            );
            return None;
        }
        let found: Vec<_> = self.body.predicts.iter().map(|p| self.predict(p)).collect();
        found.into_iter().collect()
    }

    fn label_names(&self) -> Vec<String> {
        let nodes = &self.graph.plan.nodes;
        nodes.iter().flat_map(|n| n.labels.iter().map(move |l| format!("{}.{}", n.name, l.name))).collect()
    }

    fn gnn(&mut self, predicts: Option<&[Predict]>, lines: &mut Vec<Line>) -> Option<Model> {
        let encodes_only = self.body.setting("gnn").is_none() && !self.body.encodes.is_empty();
        let has_neighbours = |p: &Predict| self.roots(p).iter().any(|ty| self.graph.has_neighbours(*ty));
        let lonely = predicts.is_some_and(|all| !all.is_empty() && !all.iter().any(has_neighbours));
        let setting = match self.body.setting("gnn").cloned() {
            Some(setting) => self.started(setting, "gnn")?,
            None if encodes_only || (lonely && !self.graph.broken) => return Some(Model::Chain(Vec::new())),
            None => self.defaults.setting("gnn")?.clone(),
        };
        let expr = self.single(&setting)?.clone();
        if !setting.place.is_default {
            self.gnn_span = Some(setting.item.span);
        }
        let model = self.compose(&setting, &expr)?;
        if lonely && model.hops() > 0 && !self.graph.broken {
            let ty =
                predicts.and_then(|p| p.first()).and_then(|p| self.roots(p).first().copied()).unwrap_or(0);
            let name = &self.graph.plan.nodes[ty].name;
            let message = format!("no edge ends in `{name}`, so its nodes have no neighbours to look at");
            let help =
                "add `reverse NAME` to an edge that starts there, or leave the layers out: `gnn = none`";
            self.cx.error_help(codes::MODEL_NO_NEIGHBORS, message, expr.span, "nothing to look at", help);
            return None;
        }
        lines.push(self.line(0, "gnn", &model.show(), &setting));
        Some(model)
    }

    fn compose(&mut self, setting: &Sourced<Setting>, expr: &Expr) -> Option<Model> {
        let place = setting.place.clone();
        let (library, prelude) = (self.library, self.prelude);
        self.cx.calls = 0;
        self.cx.within(&place.file, |cx| {
            let (module, env) = (place.module, &*place.env);
            Composer {
                cx,
                library,
                prelude,
                module,
                env,
                rows_only: None,
                pairs: false,
                head: false,
                open: Vec::new(),
            }
            .model(expr)
        })
    }

    fn encoders(
        &mut self,
        predicts: Option<&[Predict]>,
        hops: usize,
        lines: &mut Vec<Line>,
    ) -> Option<Vec<NodeEncoder>> {
        let known = self.graph.node_names();
        for encode in &self.body.encodes {
            if let EncodeTarget::Node(name) = &encode.item.target
                && self.graph.node(&name.text).is_none()
                && !self.graph.broken
                && !encode.inherited
            {
                self.cx.unknown(codes::NAMES_NODE, "node type", &name.text, name.span, known.iter().copied());
            }
        }
        let mut reached = self.reached(predicts, hops);
        if let Some(graphs) = self.graphs_with_rows(predicts.unwrap_or(&[])) {
            reached[graphs] = true;
        }
        let mut found = Vec::new();
        for (ty, reached) in reached.into_iter().enumerate() {
            let hidden = self.hidden_of(ty, predicts.unwrap_or(&[]));
            found.push(self.encoder_of(ty, reached, &hidden, lines));
        }
        found.into_iter().collect()
    }

    /// The type of small graphs, where one is predicted and they have rows of their own.
    fn graphs_with_rows(&self, predicts: &[Predict]) -> Option<usize> {
        let graphs = self.graph.plan.graphs.filter(|_| predicts.iter().any(|p| p.readout.is_some()))?;
        let node = &self.graph.plan.nodes[graphs];
        (!node.features.is_empty() || self.body.encode(&node.name).is_some()).then_some(graphs)
    }

    /// Node types whose rows a decoder reads.
    fn roots(&self, predict: &Predict) -> Vec<usize> {
        predict.target.types(&self.graph.plan)
    }

    /// Node types whose rows the model reads.
    pub fn reached(&self, predicts: Option<&[Predict]>, hops: usize) -> Vec<bool> {
        let plan = &self.graph.plan;
        let mut reached = vec![false; plan.nodes.len()];
        for predict in predicts.unwrap_or(&[]) {
            self.roots(predict).into_iter().for_each(|ty| reached[ty] = true);
        }
        for _ in 0..hops {
            let before = reached.clone();
            for edge in &plan.edges {
                reached[edge.src] |= before[edge.dst];
                reached[edge.dst] |= edge.reverse.is_some() && before[edge.src];
            }
        }
        reached
    }

    fn encoder_of(
        &mut self,
        ty: usize,
        reached: bool,
        hidden: &[Hidden],
        lines: &mut Vec<Line>,
    ) -> Option<NodeEncoder> {
        let node = &self.graph.plan.nodes[ty];
        let seen = node.features.iter().any(|f| !hidden.iter().any(|h| h.name == f.name));
        let fallback = if seen { "any" } else { "featureless" };
        let mut encode = self.body.encode(&node.name).or_else(|| self.defaults.encode(fallback))?.clone();
        encode.item.value = self.start(encode.item.value, &format!("encode.{}", node.name))?;
        let place = encode.place.clone();
        let (library, prelude, lost) = (self.library, self.prelude, &self.graph.lost[ty]);
        let encoder = self.cx.within(&place.file, |cx| {
            let (module, env) = (place.module, &*place.env);
            let rows_only = Some("an encoder");
            let mut composer = Composer {
                cx,
                library,
                prelude,
                module,
                env,
                rows_only,
                pairs: false,
                head: false,
                open: Vec::new(),
            };
            EncodeCx { composer: &mut composer, node, lost, hidden }.encoder(&encode.item.value)
        })?;
        if reached {
            let origin = self.origin(&place, encode.item.span, &[&encode.item.value]);
            let name = format!("encode {}", node.name);
            lines.push(Line { depth: 0, name, value: encoder.show(), origin });
        }
        Some(NodeEncoder { encoder, span: encode.item.value.span, is_default: place.is_default })
    }

    /// Rows of all types enter a layer with one width, as far as the widths are written.
    fn widths(&mut self, gnn: &Model, encoders: &[NodeEncoder], predicts: &[Predict]) {
        if gnn.hops() == 0 {
            return;
        }
        let reached = self.reached(Some(predicts), gnn.hops());
        let mut first: Option<(usize, usize)> = None;
        for (ty, encoder) in encoders.iter().enumerate().filter(|(ty, _)| reached[*ty]) {
            let Some(width) = encoder.encoder.width() else { continue };
            let Some((before, expected)) = first else {
                first = Some((ty, width));
                continue;
            };
            if width == expected {
                continue;
            }
            let (a, b) = (before, ty);
            let nodes = &self.graph.plan.nodes;
            let message = format!(
                "the rows of `{}` have {expected} numbers and those of `{}` {width}, and one layer reads both",
                nodes[a].name, nodes[b].name
            );
            let help = format!("give both one width: `encode {} = … |> linear({expected})`", nodes[b].name);
            let places =
                [(&encoders[b], format!("{width} wide")), (&encoders[a], format!("{expected} wide"))];
            let mut diagnostic = Diagnostic::new(codes::MODEL_WIDTHS, message).help(help);
            for (encoder, label) in places {
                if !encoder.is_default {
                    diagnostic = diagnostic.at(encoder.span, label);
                }
            }
            self.cx.report(diagnostic);
            return;
        }
    }
}
