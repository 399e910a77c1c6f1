//! Predictions of labels: decoder, loss and metrics of a task.

use super::fields::At;
use super::graph::Owner;
use super::model::Cx;
use super::notes::Notes;
use super::settings::{TaskKind, TaskSettings};
use super::tables::Paths;
use super::tasks::{Target, Task, name_of, of_type};
use super::text;
use crate::source::Failure;

/// What GSL measures and GraphStorm's name for it: the call, and the name to watch.
const METRICS: [(&str, &str, &str); 5] = [
    ("accuracy", "accuracy", "accuracy"),
    ("f1_score", "f1(average: macro)", "f1_macro"),
    ("rmse", "rmse", "rmse"),
    ("mae", "mae", "mae"),
    ("mse", "loss", "loss"),
];

impl<'a> Cx<'_, 'a> {
    pub fn settings_of(&self, task: &Task) -> &TaskSettings<'a> {
        &self.settings.tasks[task.index]
    }

    /// `predict paper.venue { … }`
    pub fn predict(&self, task: &Task, paths: &Paths, notes: &mut Notes) -> Result<String, Failure> {
        let own = &self.settings.tasks[task.index];
        let mut body = Vec::new();
        let target = match &task.target {
            Target::Label(owner, label) => {
                self.check_masks(task, *owner, *label, notes)?;
                self.label_settings(own, *owner, &mut body, notes)?;
                self.field(*owner, &self.graph.labels(*owner)[*label].column)?
            }
            Target::Link(relation) => {
                self.link_settings(own, *relation, paths, &mut body, notes)?;
                format!("link {}", self.graph.edges[*relation].path()?)
            }
            Target::Reconstruct(owner, feature) => {
                body.push("loss = mse".to_owned());
                format!("reconstruct {}", self.field(*owner, feature)?)
            }
        };
        self.remark_unread(own, notes)?;
        if own.is_part_of_several() {
            self.shared(own, &mut body, notes)?;
        }
        let body = if body.is_empty() { String::new() } else { format!(" {{\n{}\n}}", body.join("\n")) };
        Ok(format!("predict {target}{body}"))
    }

    fn field(&self, owner: Owner, name: &str) -> Result<String, Failure> {
        let name = text::name(name)?;
        Ok(match owner {
            Owner::Node(at) => format!("{}.{name}", text::name(&self.graph.nodes[at].name)?),
            Owner::Edge(at) => format!("({}).{name}", self.graph.edges[at].path()?),
        })
    }

    /// The split belongs to the label, so a task with other masks than its label's has another split.
    fn check_masks(&self, task: &Task, owner: Owner, label: usize, notes: &mut Notes) -> Result<(), Failure> {
        let own = &self.settings.tasks[task.index];
        let Some(at) = own.get("mask_fields", self.settings) else { return Ok(()) };
        let said: Vec<Option<&str>> = at.list()?.iter().map(|mask| mask.value.as_str()).collect();
        let masks = self.graph.labels(owner)[label].masks.as_deref();
        let has = |i: usize, name: &str| masks.and_then(|m| m.get(i)).is_some_and(|mask| mask == name);
        if said.iter().enumerate().any(|(i, mask)| mask.is_some_and(|name| !has(i, name))) {
            notes.lost(
                at.path,
                "these are not the masks of the label: the task is trained on the label's own split",
            );
        }
        Ok(())
    }

    fn shared(&self, own: &TaskSettings, body: &mut Vec<String>, notes: &mut Notes) -> Result<(), Failure> {
        own.get("mask_fields", self.settings);
        if let Some(at) = own.get("task_weight", self.settings) {
            body.push(format!("weight = {}", text::number(at.number()?)));
        }
        if let (Some(at), base) = (own.get("batch_size", self.settings), self.settings.get("batch_size"))
            && base.is_none_or(|base| base.value != at.value)
        {
            notes.lost(at.path, "all tasks of an experiment have batches of one size");
        }
        Ok(())
    }

    fn label_settings(
        &self,
        own: &TaskSettings,
        owner: Owner,
        body: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        if matches!(owner, Owner::Node(_)) {
            body.push(format!("decode = {}", self.decoder(own)?));
            if let Some(at) = own.get("decoder_bias", self.settings)
                && !at.flag()?
            {
                notes.lost(
                    at.path,
                    "`linear` has a bias: a module of yours, such as `weight W : in x out`, has none",
                );
            }
        } else {
            self.edge_settings(own, notes)?;
        }
        body.push(format!("loss = {}", self.loss(own, &name_of(self.graph, owner), notes)?));
        let metrics = self.metrics(own, notes)?;
        if !metrics.is_empty() {
            let calls: Vec<&str> = metrics.iter().map(|(call, _)| *call).collect();
            body.push(format!("metrics = {}", calls.join(", ")));
        }
        Ok(())
    }

    /// Dense layers, then the scores.
    fn decoder(&self, own: &TaskSettings) -> Result<String, Failure> {
        let dense = own.get("num_ffn_layers_in_decoder", self.settings).map_or(Ok(0), |at| at.whole())?;
        let mut stages: Vec<String> =
            (0..dense).map(|_| format!("linear({}, act: relu)", self.hidden)).collect();
        let dropout = self.settings.number("dropout", 0.0)?;
        if dense > 0 && dropout > 0.0 {
            stages.push(format!("dropout({})", text::number(dropout)));
        }
        stages.push("linear".to_owned());
        Ok(stages.join(" >> "))
    }

    fn edge_settings(&self, own: &TaskSettings, notes: &mut Notes) -> Result<(), Failure> {
        for key in ["decoder_type", "num_decoder_basis", "num_ffn_layers_in_decoder", "decoder_bias"] {
            if let Some(at) = own.get(key, self.settings) {
                notes.lost(at.path, "decoders of two ends have no words in the language yet");
            }
        }
        if let Some(at) = own.get("remove_target_edge_type", self.settings) {
            match at.flag()? {
                true => notes.changed(
                    at.path,
                    "the edges that are predicted, and their reverses, are left out of their own \
                                                message passing; the rest of the relation stays",
                ),
                false => notes.lost(
                    at.path,
                    "an edge never takes part in its own prediction, unless `allow leak(…)` says so",
                ),
            }
        }
        Ok(())
    }

    fn loss(&self, own: &TaskSettings, ty: &str, notes: &mut Notes) -> Result<String, Failure> {
        let regression = matches!(own.kind, TaskKind::NodeRegression | TaskKind::EdgeRegression);
        if regression {
            if let Some(at) = own.get("regression_loss_func", self.settings)
                && at.word(&["mse", "shrinkage"])? == "shrinkage"
            {
                notes.lost(
                    at.path,
                    "there is no shrinkage loss: `huber` is the nearest that is not squared far out",
                );
                return Ok("huber".to_owned());
            }
            notes.changed(
                &own.path,
                "`mse` is of the label standardised by its training rows; metrics are in its own unit",
            );
            return Ok("mse".to_owned());
        }
        if let Some(at) = own.get("class_loss_func", self.settings)
            && at.word(&["cross_entropy", "focal"])? == "focal"
        {
            notes.lost(at.path, "there is no focal loss: `cross_entropy(weights: balanced)` is the nearest");
            return Ok("cross_entropy(weights: balanced)".to_owned());
        }
        let weights = ["imbalance_class_weights", "multilabel_weights"].into_iter();
        let weights: Vec<At> = weights
            .filter_map(|key| own.get(key, self.settings))
            .filter(|at| of_type(at, ty).is_some())
            .collect();
        for at in &weights {
            notes.lost(
                &at.path,
                "there are no weights by hand: `weights: balanced` weighs a class by its rarity",
            );
        }
        Ok(if weights.is_empty() { "cross_entropy" } else { "cross_entropy(weights: balanced)" }.to_owned())
    }

    /// The metrics that GSL has, with the names to watch.
    pub fn metrics(
        &self,
        own: &TaskSettings,
        notes: &mut Notes,
    ) -> Result<Vec<(&'static str, &'static str)>, Failure> {
        let Some(at) = own.get("eval_metric", self.settings) else {
            return Ok(match own.kind {
                TaskKind::NodeClassification | TaskKind::EdgeClassification => vec![("accuracy", "accuracy")],
                _ => vec![("rmse", "rmse")],
            });
        };
        let mut found = Vec::new();
        for at in at.list_or_one() {
            let word = at.text()?.to_lowercase();
            match METRICS.iter().find(|(theirs, ..)| *theirs == word) {
                Some((_, call, watch)) => found.push((*call, *watch)),
                None => notes
                    .lost(&at.path, other_metric(&word).ok_or_else(|| at.wrong("a metric of GraphStorm"))?),
            }
        }
        Ok(found)
    }

    /// Keys that are read for some tasks and mean nothing to this one.
    fn remark_unread(&self, own: &TaskSettings, notes: &mut Notes) -> Result<(), Failure> {
        for key in ["alpha", "gamma"] {
            let links = own.kind == TaskKind::Link && key == "gamma";
            if let Some(at) = own.get(key, self.settings).filter(|_| !links) {
                at.number()?;
                notes.lost(at.path, "it belongs to a loss that GSL does not have");
            }
        }
        Ok(())
    }
}

/// What comes nearest to a metric that GSL does not have; nothing if GraphStorm has it neither.
fn other_metric(word: &str) -> Option<&'static str> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| word.starts_with(prefix));
    if starts(&["per_class_f1_score"]) {
        Some("the report has F1 of each class")
    } else if starts(&[
        "precision_at_recall",
        "recall_at_precision",
        "fscore_at",
        "hit_at",
        "precision",
        "recall",
    ]) {
        Some(
            "not a metric of GSL yet: `f1(average: macro)` is the nearest, and the report has precision and recall of each class",
        )
    } else if starts(&["roc_auc", "per_class_roc_auc"]) {
        Some("not a metric of GSL yet: `accuracy` and `f1` are")
    } else {
        None
    }
}
