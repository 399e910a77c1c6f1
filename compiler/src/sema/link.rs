//! Link prediction: the split of the edges, the negatives, the loss over both, and the protocol of ranking.

use gsl_plan::graph::{self, Split};
use gsl_plan::pairs::{Against, Negatives, Protocol, Side};
use gsl_plan::plan::Metric;
use gsl_plan::symbol::Symbol;
use serde::Serialize;

use super::body::{PredictBody, Sourced};
use super::call::Args;
use super::cx::nearest_or_all;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::graph::link_split;
use super::graph::merge::show_edge;
use super::metric::show_metric;
use super::rust::{RUST, symbol};
use super::split::show_split;
use super::value::{Value, number_text};
use crate::diag::{codes, one_of};
use crate::syntax::ast::*;
use crate::world::RustKind;

/// The label that an experiment gives to the edges it predicts: each edge is there, and is in a part.
pub const LINK: &str = "(link)";

/// What link prediction needs besides a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub split: Option<Split>,
    pub negatives: Negatives,
    /// Ends that are corrupted in training.
    pub sides: Vec<Side>,
    pub protocol: Protocol,
    /// Whether `negatives` and `evaluate` are written. Defaults take what there is where a type has few nodes.
    pub written: [bool; 2],
}

/// How a link weighs against its negatives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Positive {
    /// As one of them.
    One,
    /// As all of them together.
    Balanced,
    /// As many of them as a feature of the edge says.
    Feature(String),
}

impl Positive {
    fn show(&self) -> String {
        match self {
            Positive::One => "none".to_owned(),
            Positive::Balanced => "balanced".to_owned(),
            Positive::Feature(name) => format!("e.{name}"),
        }
    }
}

/// Losses of a positive score p against those of its negatives n.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum LinkLoss {
    /// softplus(-p) and softplus(n).
    Bce { positive: Positive },
    /// Negatives weighed by the softmax of their scores. Sun et al. 2019, eq. 5.
    Adversarial { temperature: f64 },
    /// -log(exp(p/t) / (exp(p/t) + Σ exp(n/t))). van den Oord et al. 2018.
    Contrastive { temperature: f64 },
    /// -log σ(p - n). Rendle et al. 2009.
    Bpr,
    /// max(0, margin - p + n). Bordes et al. 2013.
    Margin { margin: f64 },
    /// What is registered under this name, of p and one n, the mean over the negatives.
    Rust(Symbol),
}

pub const LOSSES: [&str; 6] = ["bce", "adversarial", "contrastive", "bpr", "margin", RUST];
pub const METRICS: [&str; 5] = ["mrr", "hits", "mean_rank", "amri", RUST];
const SAMPLERS: [&str; 5] = ["uniform", "joint", "in_batch", "hard", RUST];
const MOST: i64 = 1 << 20;

impl LinkLoss {
    pub fn show(&self) -> String {
        match self {
            LinkLoss::Bce { positive } => format!("bce(positive: {})", positive.show()),
            LinkLoss::Adversarial { temperature } => {
                format!("adversarial(temperature: {})", number_text(*temperature))
            }
            LinkLoss::Contrastive { temperature } => {
                format!("contrastive(temperature: {})", number_text(*temperature))
            }
            LinkLoss::Bpr => "bpr".to_owned(),
            LinkLoss::Rust(name) => format!("rust(\"{name}\")"),
            LinkLoss::Margin { margin } => format!("margin({})", number_text(*margin)),
        }
    }
}

/// Which edges are predicted.
pub struct Edges<'a> {
    /// Index into the graph's edge types.
    pub index: usize,
    pub plan: &'a graph::EdgeType,
}

impl ExperimentCx<'_, '_> {
    /// The settings of links; `get` finds one as written, or its default.
    pub fn link(
        &mut self,
        body: &PredictBody,
        get: &dyn Fn(&str) -> Option<Sourced<Setting>>,
        edges: Edges,
        lines: &mut Vec<Line>,
    ) -> Option<(Link, Vec<Metric>)> {
        let split = get("split").map(|s| self.link_split(&s, edges.index, lines));
        let negatives = get("negatives").and_then(|s| self.negatives(&s, &edges, lines));
        let evaluate = get("evaluate").and_then(|s| self.evaluate(&s, &edges, lines));
        if let Some(metrics) = body.setting("metrics") {
            let help = "write `evaluate = mrr, hits(1, 10) against uniform(1000), filtered`";
            let message = "links are judged by `evaluate`";
            self.cx.error_help(codes::NAMES_SETTING, message, metrics.item.name.span, "of labels", help);
            return None;
        }
        let ((negatives, sides), (protocol, metrics)) = (negatives?, evaluate?);
        let written = ["negatives", "evaluate"].map(|name| get(name).is_some_and(|s| !s.place.is_default));
        Some((Link { split: split.flatten(), negatives, sides, protocol, written }, metrics))
    }

    pub fn link_split(
        &mut self,
        setting: &Sourced<Setting>,
        edge: usize,
        lines: &mut Vec<Line>,
    ) -> Option<Split> {
        let env = setting.place.env.clone();
        let (prelude, plan) = (self.prelude, &self.graph.plan);
        let split = self.within(setting, |cx| link_split(cx.cx, &env, prelude, plan, edge, &setting.item))?;
        lines.push(self.line(1, "split", &show_split(&split), setting));
        Some(split)
    }

    /// `joint(32), in_batch, filtered, corrupt: both`
    fn negatives(
        &mut self,
        setting: &Sourced<Setting>,
        edges: &Edges,
        lines: &mut Vec<Line>,
    ) -> Option<(Negatives, Vec<Side>)> {
        let mut found = Negatives {
            group: 1,
            drawn: 0,
            partitions: 1,
            rust: None,
            in_batch: false,
            hard: None,
            filtered: false,
            every_relation: false,
        };
        let mut sides = vec![Side::Destination];
        for arg in &setting.item.value {
            match (&arg.name, arg.value.as_name()) {
                (Some(name), _) if name.text == "corrupt" => sides = self.sides(setting, &arg.value)?,
                (Some(name), _) => {
                    let what = ("negatives", "option");
                    self.cx.unknown_of(codes::ARGS_UNKNOWN, what, &name.text, name.span, ["corrupt"]);
                    return None;
                }
                (None, Some("filtered")) => found.filtered = true,
                (None, Some("every_relation")) => found.every_relation = true,
                (None, _) => self.sampler(setting, &arg.value, edges, &mut found)?,
            }
        }
        let none = found.drawn == 0 && !found.in_batch && found.hard.is_none();
        if none || (found.in_batch && found.group < 2) {
            let span = setting.item.span;
            let help = "write `negatives = joint(32)`, or `uniform(16)`, or `in_batch(128)`";
            let message = "links need negatives to be told apart from";
            self.within(setting, |cx| cx.cx.error_help(codes::EXPERIMENT_VALUE, message, span, "none", help));
            return None;
        }
        if found.hard.is_some() && sides.contains(&Side::Source) {
            let message = "candidates of edges are destinations";
            let span = setting.item.span;
            let help = "leave `corrupt` out: destinations are corrupted";
            self.within(setting, |cx| cx.cx.error_help(codes::EXPERIMENT_VALUE, message, span, "", help));
            return None;
        }
        lines.push(self.line(1, "negatives", &show_negatives(&found, &sides, edges), setting));
        Some((found, sides))
    }

    fn sampler(
        &mut self,
        setting: &Sourced<Setting>,
        expr: &Expr,
        edges: &Edges,
        found: &mut Negatives,
    ) -> Option<()> {
        if let ("hard", Some(args)) = (expr.as_call().map_or("", |c| c.0), expr.as_call().map(|c| c.1)) {
            let (named, rest) = args.split_first()?;
            let candidates = self.candidates(setting, &named.value, edges)?;
            let callee = Expr::new(ExprKind::Name("hard".to_owned()), expr.span);
            let call = Expr::new(ExprKind::Call { callee: Box::new(callee), args: rest.to_vec() }, expr.span);
            let (_, args) = self.function(setting, &call, "sampler", &SAMPLERS)?;
            found.hard = Some((candidates, self.at_least_one(setting, &args, "count", expr)?));
            return Some(());
        }
        let (name, args) = self.function(setting, expr, "sampler", &SAMPLERS)?;
        match name.as_str() {
            RUST => {
                let registered = self.registered(setting, RustKind::Negatives, &args, expr)?;
                found.rust = Some(symbol(&registered));
                if args.get("count") == &Value::None {
                    let message = format!("`{}` is asked for how many nodes?", registered.name);
                    let help = format!("write how many: `rust(\"{}\", 32)`", registered.name);
                    self.within(setting, |cx| {
                        cx.cx.error_help(codes::ARGS_MISSING, message, expr.span, "no number", help);
                    });
                    return None;
                }
                found.drawn = self.at_least_one(setting, &args, "count", expr)?;
                if let Value::Int(_) = args.get("share") {
                    found.group = self.at_least_one(setting, &args, "share", expr)?;
                }
            }
            "uniform" => {
                found.drawn = self.at_least_one(setting, &args, "count", expr)?;
                found.partitions = self.partitions(setting, &args, expr)?;
            }
            "joint" => {
                found.drawn = self.at_least_one(setting, &args, "count", expr)?;
                found.partitions = self.partitions(setting, &args, expr)?;
                found.group = match args.get("share") {
                    Value::Int(_) => self.at_least_one(setting, &args, "share", expr)?,
                    _ => found.drawn,
                };
            }
            _ => {
                found.in_batch = true;
                found.group = self.at_least_one(setting, &args, "share", expr)?.max(found.group);
            }
        }
        Some(())
    }

    fn partitions(&mut self, setting: &Sourced<Setting>, args: &Args, expr: &Expr) -> Option<u32> {
        match args.get("partitions") {
            Value::Int(_) => self.at_least_one(setting, args, "partitions", expr),
            _ => Some(1),
        }
    }

    fn at_least_one(
        &mut self,
        setting: &Sourced<Setting>,
        args: &Args,
        name: &str,
        expr: &Expr,
    ) -> Option<u32> {
        let n = args.int(name)?;
        if (1..=MOST).contains(&n) {
            return Some(n as u32);
        }
        let message = format!("`{name}` is from 1 to {MOST}, not {n}");
        self.within(setting, |cx| cx.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range"));
        None
    }

    fn candidates(&mut self, setting: &Sourced<Setting>, expr: &Expr, edges: &Edges) -> Option<u32> {
        let known: Vec<&str> = edges.plan.candidates.iter().map(|c| c.name.as_str()).collect();
        let name = expr.as_name().unwrap_or("");
        if let Some(at) = known.iter().position(|k| *k == name) {
            return Some(at as u32);
        }
        let help = match known.as_slice() {
            [] => "declare them with the edge: `feature similar = candidates(column)`".to_owned(),
            _ => format!("it has {}", one_of(&known)),
        };
        let message = format!("the edge has no candidates `{name}`");
        self.within(setting, |cx| {
            cx.cx.error_help(codes::NAMES_CANDIDATES, message, expr.span, "not candidates", help);
        });
        None
    }

    fn sides(&mut self, setting: &Sourced<Setting>, expr: &Expr) -> Option<Vec<Side>> {
        Some(match expr.as_name() {
            Some("destination") => vec![Side::Destination],
            Some("source") => vec![Side::Source],
            Some("both") => vec![Side::Source, Side::Destination],
            other => {
                let name = other.unwrap_or("this").to_owned();
                self.within(setting, |cx| {
                    let known = ["destination", "source", "both"];
                    cx.cx.unknown(codes::EXPERIMENT_VALUE, "end of an edge", &name, expr.span, known);
                });
                return None;
            }
        })
    }

    /// `mrr, hits(1, 10) against uniform(1000), filtered, corrupt: both`
    fn evaluate(
        &mut self,
        setting: &Sourced<Setting>,
        edges: &Edges,
        lines: &mut Vec<Line>,
    ) -> Option<(Protocol, Vec<Metric>)> {
        let mut metrics = Vec::new();
        let mut spans = Vec::new();
        for arg in &setting.item.value {
            for metric in self.rank_metric(setting, &arg.value)? {
                if !metrics.contains(&metric) {
                    metrics.push(metric);
                    spans.push(arg.span);
                }
            }
        }
        let mut protocol =
            Protocol { against: Against::All, filtered: false, sides: vec![Side::Source, Side::Destination] };
        let mut said = false;
        for arg in &setting.item.against {
            match (&arg.name, arg.value.as_name()) {
                (Some(name), _) if name.text == "corrupt" => {
                    protocol.sides = self.sides(setting, &arg.value)?
                }
                (None, Some("filtered")) => protocol.filtered = true,
                (None, Some("raw")) => protocol.filtered = false,
                (None, Some("all")) => said = true,
                _ => {
                    said = true;
                    protocol.against = self.against(setting, &arg.value, edges, &mut protocol.sides)?;
                }
            }
        }
        if !said {
            let help = "write `against all`, or `against uniform(1000), filtered`";
            let message = "links are ranked against other nodes, and nothing says which";
            let span = setting.item.span;
            self.within(setting, |cx| {
                cx.cx.error_help(codes::EXPERIMENT_VALUE, message, span, "against which?", help);
            });
            return None;
        }
        if let Against::Uniform(k) = protocol.against
            && let Some(at) = metrics.iter().position(|metric| always_hits(*metric, u64::from(k) + 1))
        {
            let (message, help) = (no_news(metrics[at], u64::from(k) + 1), hit_fewer(u64::from(k)));
            self.within(setting, |cx| {
                cx.cx.error_help(codes::ARGS_VALUE, message, spans[at], "always 1", help);
            });
            return None;
        }
        let shown = format!("{} {}", show_metrics(&metrics), show_protocol(&protocol, edges));
        lines.push(self.line(1, "evaluate", &shown, setting));
        Some((protocol, metrics))
    }

    fn against(
        &mut self,
        setting: &Sourced<Setting>,
        expr: &Expr,
        edges: &Edges,
        sides: &mut Vec<Side>,
    ) -> Option<Against> {
        if let Some(("candidates", [arg])) = expr.as_call() {
            *sides = vec![Side::Destination];
            return Some(Against::Given { candidates: self.candidates(setting, &arg.value, edges)? });
        }
        let (_, args) = self.function(setting, expr, "set of nodes", &["uniform"])?;
        if args.get("partitions") != &Value::None {
            let message = "links are ranked against nodes of the whole type";
            let help = "leave `partitions` out: it is for the negatives of training";
            self.within(setting, |cx| {
                cx.cx.error_help(codes::ARGS_VALUE, message, expr.span, "of some partitions", help);
            });
            return None;
        }
        Some(Against::Uniform(self.at_least_one(setting, &args, "count", expr)?))
    }

    fn rank_metric(&mut self, setting: &Sourced<Setting>, expr: &Expr) -> Option<Vec<Metric>> {
        if expr.as_name() == Some("loss") {
            return Some(vec![Metric::Loss]);
        }
        let (name, args) = self.function(setting, expr, "metric of links", &METRICS)?;
        Some(match name.as_str() {
            "mrr" => vec![Metric::Mrr],
            "mean_rank" => vec![Metric::MeanRank],
            "amri" => vec![Metric::Amri],
            RUST => vec![self.own_metric(setting, RustKind::LinkMetric, &args, expr)?],
            _ => self.hits(setting, &args, expr)?,
        })
    }

    /// `hits(1, 10)`
    fn hits(&mut self, setting: &Sourced<Setting>, args: &Args, expr: &Expr) -> Option<Vec<Metric>> {
        let ranks: Vec<i64> = args.get("ranks").list().iter().filter_map(Value::int).collect();
        match ranks.iter().find(|k| !(1..=MOST).contains(*k)) {
            None => Some(ranks.into_iter().map(|k| Metric::Hits(k as u32)).collect()),
            Some(k) => {
                let message = format!("a rank is from 1 to {MOST}, not {k}");
                self.within(setting, |cx| {
                    cx.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range");
                });
                None
            }
        }
    }

    pub fn link_loss(
        &mut self,
        setting: &Sourced<Setting>,
        edges: &Edges,
        lines: &mut Vec<Line>,
    ) -> Option<LinkLoss> {
        let expr = self.single(setting)?.clone();
        if let Some(feature) = weight_of_links(&expr) {
            let loss =
                LinkLoss::Bce { positive: Positive::Feature(self.link_weight(setting, feature, edges)?) };
            lines.push(self.line(1, "loss", &loss.show(), setting));
            return Some(loss);
        }
        let (name, args) = self.function(setting, &expr, "loss of links", &LOSSES)?;
        let positive = |cx: &mut Self, name: &str| cx.within(setting, |cx| cx.positive(&args, name, &expr));
        let loss = match name.as_str() {
            "bce" => self.link_bce(setting, &args, &expr)?,
            "adversarial" => LinkLoss::Adversarial { temperature: positive(self, "temperature")? },
            "contrastive" => LinkLoss::Contrastive { temperature: positive(self, "temperature")? },
            "bpr" => LinkLoss::Bpr,
            RUST => LinkLoss::Rust(symbol(&self.registered(setting, RustKind::LinkLoss, &args, &expr)?)),
            _ => LinkLoss::Margin { margin: positive(self, "margin")? },
        };
        lines.push(self.line(1, "loss", &loss.show(), setting));
        Some(loss)
    }

    /// Of links only how positives weigh against negatives can be said.
    fn link_bce(&mut self, setting: &Sourced<Setting>, args: &Args, expr: &Expr) -> Option<LinkLoss> {
        let balanced = args.word("positive") == Some("balanced");
        let other = args.list.iter().find(|a| a.written && !(a.name == "positive" && balanced));
        if let Some(other) = other {
            let message = format!("`{}` is of labels of several classes", other.name);
            let help = "links take `bce`, `bce(positive: balanced)` or `bce(positive: e.FEATURE)`";
            self.within(setting, |cx| cx.cx.error_help(codes::ARGS_VALUE, message, expr.span, "", help));
            return None;
        }
        Some(LinkLoss::Bce { positive: if balanced { Positive::Balanced } else { Positive::One } })
    }

    /// The feature of the edge that weighs links.
    fn link_weight(&mut self, setting: &Sourced<Setting>, feature: &Ident, edges: &Edges) -> Option<String> {
        let known: Vec<&str> = edges.plan.features.iter().map(|f| f.name.as_str()).collect();
        if known.contains(&feature.text.as_str()) {
            return Some(feature.text.clone());
        }
        let message = format!("the edge has no feature `{feature}`");
        let help = nearest_or_all(&feature.text, &known)
            .unwrap_or_else(|| format!("declare it with the edge: `feature {feature} = COLUMN`"));
        self.within(setting, |cx| {
            cx.cx.error_help(codes::NAMES_FEATURE, message, feature.span, "not a feature", help);
        });
        None
    }

    /// The edge type that an edge path names; one that there is not is reported.
    pub fn edge_type(&mut self, edge: &EdgePath) -> Option<usize> {
        let found = self.graph.edge(edge);
        if found.is_none() && !self.graph.broken {
            let known: Vec<String> = self.graph.relation_names();
            let known = known.iter().map(String::as_str);
            self.cx.unknown(codes::NAMES_TYPE_REF, "relation", &show_edge(edge), edge.span, known);
        }
        found
    }
}

/// Whether every link is among the first k because there are no more than k that are ranked.
pub fn always_hits(metric: Metric, ranked: u64) -> bool {
    matches!(metric, Metric::Hits(k) if u64::from(k) >= ranked)
}

/// What is wrong with a metric that [`always_hits`].
pub fn no_news(metric: Metric, ranked: u64) -> String {
    format!(
        "`{}` is 1 whatever the model says: {ranked} nodes are ranked, the link's own among them",
        show_metric(metric)
    )
}

/// `others`: the nodes that are ranked besides the link's own.
pub fn hit_fewer(others: u64) -> String {
    format!("ask for the first {others} at most, or rank against more nodes")
}

/// `weight` of `bce(positive: e.weight)`.
fn weight_of_links(loss: &Expr) -> Option<&Ident> {
    let ("bce", [arg]) = loss.as_call()? else { return None };
    match &arg.value.kind {
        ExprKind::Field { base, name }
            if arg.name.as_ref()?.text == "positive" && base.as_name() == Some("e") =>
        {
            Some(name)
        }
        _ => None,
    }
}

/// `mrr, hits(1, 10)`
fn show_metrics(metrics: &[Metric]) -> String {
    let mut shown = Vec::new();
    for metric in metrics {
        match metric {
            Metric::Hits(_) => {}
            other => shown.push(show_metric(*other)),
        }
    }
    let ranks =
        metrics.iter().filter_map(|m| if let Metric::Hits(k) = m { Some(k.to_string()) } else { None });
    let ranks: Vec<String> = ranks.collect();
    if !ranks.is_empty() {
        shown.push(format!("hits({})", ranks.join(", ")));
    }
    shown.join(", ")
}

/// `against all, filtered, corrupt: both`
fn show_protocol(protocol: &Protocol, edges: &Edges) -> String {
    let against = match protocol.against {
        Against::Uniform(k) => format!("uniform({k})"),
        Against::All => "all".to_owned(),
        Against::Given { candidates } => {
            format!("candidates({})", edges.plan.candidates[candidates as usize].name)
        }
    };
    let filtered = if protocol.filtered { "filtered" } else { "raw" };
    format!("against {against}, {filtered}, corrupt: {}", show_sides(&protocol.sides))
}

fn show_sides(sides: &[Side]) -> &'static str {
    match sides {
        [one] => one.name(),
        _ => "both",
    }
}

fn show_partitions(negatives: &Negatives) -> String {
    match negatives.partitions {
        1 => String::new(),
        n => format!(", partitions: {n}"),
    }
}

fn show_negatives(negatives: &Negatives, sides: &[Side], edges: &Edges) -> String {
    let mut shown = Vec::new();
    match (negatives.drawn, negatives.group) {
        (0, _) => {}
        (n, group) if negatives.rust.is_some() => {
            let name = negatives.rust.map_or("", Symbol::as_str);
            let share = if group == 1 { String::new() } else { format!(", share: {group}") };
            shown.push(format!("rust(\"{name}\", {n}{share})"));
        }
        (n, 1) => shown.push(format!("uniform({n}{})", show_partitions(negatives))),
        (n, group) => shown.push(format!("joint({n}, share: {group}{})", show_partitions(negatives))),
    }
    if negatives.in_batch {
        shown.push(format!("in_batch({})", negatives.group));
    }
    if let Some((candidates, n)) = negatives.hard {
        shown.push(format!("hard({}, {n})", edges.plan.candidates[candidates as usize].name));
    }
    if negatives.filtered {
        shown.push("filtered".to_owned());
    }
    if negatives.every_relation {
        shown.push("every_relation".to_owned());
    }
    format!("{}, corrupt: {}", shown.join(", "), show_sides(sides))
}
