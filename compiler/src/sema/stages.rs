//! Stages of a training, which parts of the model each of them trains, and parts that start from another run.
//!
//! Decided here: a part is addressed by the names of its parameters (`gnn`, `gnn.1`, `encode.package`,
//! `predict.package.section`) or as `embeddings`. Not decided here: which parameters there are (`lower::parts`).

use gsl_plan::plan::TrainStage;

use super::body::{PartList, Sourced, StageBody};
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::model::Model;
use super::predict::Predict;
use super::value::{Ty, Value, eval, number_text};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::*;

/// What `train` and `freeze` say, in the experiment or in a stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trained {
    /// None: everything.
    pub only: Vec<Path>,
    pub frozen: Vec<Path>,
}

/// A stage, besides what the plan has of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StageParts {
    pub name: String,
    pub span: Span,
    pub trained: Trained,
    /// Settings as completed, for people.
    pub lines: Vec<Line>,
}

/// `gnn = … from pretrain.gnn`: the part `to` starts with the values of the part `from` in a run of another experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub run: String,
    pub from: String,
    pub to: String,
    pub span: Span,
}

const SETTINGS: [&str; 3] = ["epochs", "lr", "optimizer"];

impl Trained {
    pub fn is_all(&self) -> bool {
        self.only.is_empty() && self.frozen.is_empty()
    }

    /// Every part that is named.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.only.iter().chain(&self.frozen)
    }

    /// Whether a parameter is trained.
    pub fn covers(&self, param: &str, is_table: bool) -> bool {
        let holds = |path: &Path| is_part(&path.text(), param, is_table);
        (self.only.is_empty() || self.only.iter().any(holds)) && !self.frozen.iter().any(holds)
    }

    /// `train gnn`, `freeze encode.package, embeddings`.
    pub fn show(&self) -> Vec<String> {
        let list = |word: &str, paths: &[Path]| {
            let names: Vec<String> = paths.iter().map(Path::text).collect();
            (!paths.is_empty()).then(|| format!("{word} {}", names.join(", ")))
        };
        [list("train", &self.only), list("freeze", &self.frozen)].into_iter().flatten().collect()
    }

    fn of(lists: &[PartList]) -> Self {
        let paths = |freezes: bool| {
            lists.iter().filter(|l| l.freezes == freezes).flat_map(|l| l.parts.clone()).collect()
        };
        Trained { only: paths(false), frozen: paths(true) }
    }
}

/// Whether a parameter belongs to the part with this address.
pub fn is_part(address: &str, param: &str, is_table: bool) -> bool {
    if address == "embeddings" {
        return is_table;
    }
    param.strip_prefix(address).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl ExperimentCx<'_, '_> {
    /// The stages, at least one; what is trained in all of them; and what each of them trains.
    pub fn stages(
        &mut self,
        gnn: &Model,
        predicts: &[Predict],
        lines: &mut Vec<Line>,
    ) -> Option<(Vec<TrainStage>, Trained, Vec<StageParts>)> {
        let always = Trained::of(&self.body.parts);
        let mut good = self.known_parts(&always, gnn, predicts);
        if self.body.stages.is_empty() {
            let stage = self.stage_settings(String::new(), lines);
            return Some((vec![stage?], always, Vec::new())).filter(|_| good);
        }
        let (mut stages, mut parts) = (Vec::new(), Vec::new());
        for body in self.body.stages.clone() {
            let trained = Trained::of(&body.parts);
            good &= self.known_parts(&trained, gnn, predicts);
            let mut lines = Vec::new();
            stages.push(self.stage(&body, &mut lines));
            let (name, span) = (body.name.text.clone(), body.name.span);
            parts.push(StageParts { name, span, trained, lines });
        }
        let stages = stages.into_iter().collect::<Option<Vec<_>>>()?;
        good.then_some((stages, always, parts))
    }

    /// A stage says what the experiment says, unless it says otherwise.
    fn stage(&mut self, stage: &StageBody, lines: &mut Vec<Line>) -> Option<TrainStage> {
        for setting in &stage.settings {
            let name = &setting.item.name;
            if !SETTINGS.contains(&name.text.as_str()) {
                let what = ("stage", "setting");
                self.cx.unknown_of(codes::NAMES_SETTING, what, &name.text, name.span, SETTINGS);
            }
        }
        let mut body = self.body.clone();
        for setting in stage.settings.iter().filter(|s| s.item.name.text != "lr") {
            body.settings.retain(|s| s.item.name.text != setting.item.name.text);
            body.settings.push(setting.clone());
        }
        let mut cx = ExperimentCx {
            cx: &mut *self.cx,
            body: &body,
            starts: Vec::new(),
            library: self.library,
            prelude: self.prelude,
            graph: self.graph,
            allowed: self.allowed,
            defaults: self.defaults,
            gnn_span: self.gnn_span,
            set: self.set,
            experiments: self.experiments,
            name: self.name,
        };
        let mut found = cx.stage_settings(stage.name.text.clone(), lines)?;
        lines.iter_mut().for_each(|line| line.depth = 1);
        let rate = stage.settings.iter().find(|s| s.item.name.text == "lr");
        if let Some(setting) = rate {
            found.dense.lr = self.rate(setting, lines)?;
        }
        Some(found)
    }

    fn stage_settings(&mut self, name: String, lines: &mut Vec<Line>) -> Option<TrainStage> {
        let optimizers = self.optimizers(lines);
        let epochs = self.count("epochs", lines);
        let (dense, sparse) = optimizers?;
        Some(TrainStage { name, epochs: epochs?, dense, sparse, frozen: Vec::new(), train: None })
    }

    /// `lr = 1e-4` in a stage: of the dense optimizer.
    fn rate(&mut self, setting: &Sourced<Setting>, lines: &mut Vec<Line>) -> Option<f32> {
        let expr = self.single(setting)?.clone();
        let env = setting.place.env.clone();
        let value = self.within(setting, |cx| eval(cx.cx, &env, &expr, &Ty::Float, false))?;
        let Value::Float(rate) = value else { return None };
        if rate <= 0.0 {
            let message = format!("`lr` is more than 0, not {}", number_text(rate));
            self.cx.error(codes::ARGS_VALUE, message, expr.span, "out of range");
            return None;
        }
        lines.push(self.line(1, "lr", &number_text(rate), setting));
        Some(rate as f32)
    }

    // ------------------------------------------------------------------------------------------------------------ parts

    /// Reports parts that the model cannot have.
    fn known_parts(&mut self, trained: &Trained, gnn: &Model, predicts: &[Predict]) -> bool {
        let paths: Vec<Path> = trained.paths().cloned().collect();
        let known: Vec<bool> = paths.iter().map(|path| self.known_part(path, gnn, predicts)).collect();
        known.into_iter().all(|known| known)
    }

    fn known_part(&mut self, path: &Path, gnn: &Model, predicts: &[Predict]) -> bool {
        let names: Vec<&str> = path.segments.iter().map(|s| s.text.as_str()).collect();
        let known = match names[..] {
            ["embeddings"] | ["encode"] | ["predict"] => true,
            ["encode", ty, ..] => self.graph.node(ty).is_some(),
            ["gnn"] => gnn.size() > 0,
            ["gnn", number, ..] => number.parse().is_ok_and(|n: usize| n <= gnn.hops()),
            ["predict", ..] => {
                let wanted = names[1..].join(".");
                let holds =
                    |p: &Predict| is_part(&p.name, &wanted, false) || is_part(&wanted, &p.name, false);
                predicts.iter().any(holds)
            }
            _ => false,
        };
        if !known && !self.graph.broken {
            let all = self.all_parts(gnn, predicts);
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let message = format!("the model has no part `{}`", path.text());
            let diagnostic = Diagnostic::new(codes::EXPERIMENT_PART, message)
                .at(path.span, "not a part")
                .help_opt(super::cx::nearest_or_all(&path.text(), &all));
            self.cx.report(diagnostic);
        }
        known
    }

    fn all_parts(&self, gnn: &Model, predicts: &[Predict]) -> Vec<String> {
        let encoders = self.graph.plan.nodes.iter().map(|node| format!("encode.{}", node.name));
        let layers = (1..=gnn.hops()).map(|number| format!("gnn.{number}"));
        let decoders = predicts.iter().map(|predict| format!("predict.{}", predict.name));
        let all = encoders.chain((gnn.size() > 0).then(|| "gnn".to_owned())).chain(layers).chain(decoders);
        all.chain(["embeddings".to_owned()]).collect()
    }

    // ----------------------------------------------------------------------------------------------------------- starts

    /// The setting without `from RUN.part`, which is remembered.
    pub fn started(&mut self, mut setting: Sourced<Setting>, to: &str) -> Option<Sourced<Setting>> {
        let value = setting.item.value.first_mut();
        if let Some(Arg { value, .. }) = value {
            *value = self.start(value.clone(), to)?;
        }
        Some(setting)
    }

    /// The expression without `from RUN.part`, which is remembered.
    pub fn start(&mut self, expr: Expr, to: &str) -> Option<Expr> {
        let ExprKind::From { value, run } = expr.kind else { return Some(expr) };
        let (name, part) = run.segments.split_first()?;
        if !self.experiments.contains(&name.text) {
            let known = self.experiments.iter().map(String::as_str).filter(|known| *known != self.name);
            self.cx.unknown(codes::NAMES_EXPERIMENT, "experiment", &name.text, name.span, known);
            return None;
        }
        if name.text == self.name {
            let message = format!("`{name}` starts from itself");
            let help = "to go on with a run that was stopped, `gsc run FILE --resume`";
            self.cx.error_help(codes::NAMES_CYCLE, message, run.span, "this experiment", help);
            return None;
        }
        let part: Vec<&str> = part.iter().map(|s| s.text.as_str()).collect();
        let from = if part.is_empty() { to.to_owned() } else { part.join(".") };
        self.starts.push(Start { run: name.text.clone(), from, to: to.to_owned(), span: run.span });
        Some(*value)
    }
}
