//! Predictions of labels: decoder, loss and metrics of a task.

use super::graph::Owner;
use super::model::Cx;
use super::notes::Notes;
use super::settings::{TaskKind, TaskSettings};
use super::tables::Paths;
use super::tasks::{Target, Task, name_of, of_type};
use super::text;
use crate::source::Failure;

/// GraphStorm's names of metrics, and what GSL calls them. The last number of a name is its argument.
const METRICS: [(&str, &str); 15] = [
    ("accuracy", "accuracy"),
    ("f1_score", "f1(average: macro)"),
    ("per_class_f1_score", "f1(average: each)"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("fscore_at", "fbeta(beta: #)"),
    ("roc_auc", "roc_auc"),
    ("per_class_roc_auc", "roc_auc(average: each)"),
    ("precision_recall", "average_precision"),
    ("hit_at", "hits_at(k: #)"),
    ("precision_at_recall", "precision_at_recall(recall: #)"),
    ("recall_at_precision", "recall_at_precision(precision: #)"),
    ("rmse", "rmse"),
    ("mae", "mae"),
    ("mse", "mse"),
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
                self.label_settings(own, (*owner, *label), &mut body, notes)?;
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
        (owner, label): (Owner, usize),
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
        let several = self.graph.labels(owner)[label].is_multi;
        let name = name_of(self.graph, owner);
        body.push(format!("loss = {}", self.loss(own, &name, several, notes)?));
        let metrics = self.metrics(own, several, notes)?;
        if !metrics.is_empty() {
            body.push(format!("metrics = {}", metrics.join(", ")));
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

    fn loss(
        &self,
        own: &TaskSettings,
        ty: &str,
        several: bool,
        notes: &mut Notes,
    ) -> Result<String, Failure> {
        if matches!(own.kind, TaskKind::NodeRegression | TaskKind::EdgeRegression) {
            return self.loss_of_numbers(own, notes);
        }
        let weights = self.weights(own, "imbalance_class_weights", ty, notes)?;
        let weights = weights.map(|list| format!("weights: {list}"));
        if self.is_focal(own)? {
            let alpha = self.number_of(own, "alpha", 0.25)?;
            let alpha = if alpha < 0.0 { "none".to_owned() } else { text::number(alpha) };
            let gamma = text::number(self.number_of(own, "gamma", 2.0)?);
            return Ok(format!("focal(gamma: {gamma}, alpha: {alpha})"));
        }
        let (name, positive) = match several {
            true => ("bce", self.weights(own, "multilabel_weights", ty, notes)?),
            false => ("cross_entropy", None),
        };
        let positive = positive.map(|list| format!("positive: {list}"));
        let args: Vec<String> = weights.into_iter().chain(positive).collect();
        Ok(if args.is_empty() { name.to_owned() } else { format!("{name}({})", args.join(", ")) })
    }

    fn loss_of_numbers(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        let shrinks = self.is_shrinkage(own)?;
        let name = if shrinks { "shrinkage" } else { "mse" };
        let text = format!(
            "`{name}` is of the label standardised by its training rows; metrics are in its own unit"
        );
        notes.changed(&own.path, &text);
        if !shrinks {
            return Ok(name.to_owned());
        }
        let (alpha, gamma) = (self.number_of(own, "alpha", 10.0)?, self.number_of(own, "gamma", 0.2)?);
        Ok(format!("shrinkage(alpha: {}, gamma: {})", text::number(alpha), text::number(gamma)))
    }

    fn is_focal(&self, own: &TaskSettings) -> Result<bool, Failure> {
        let said = own.get("class_loss_func", self.settings);
        said.map_or(Ok(false), |at| Ok(at.word(&["cross_entropy", "focal"])? == "focal"))
    }

    fn is_shrinkage(&self, own: &TaskSettings) -> Result<bool, Failure> {
        let said = own.get("regression_loss_func", self.settings);
        said.map_or(Ok(false), |at| Ok(at.word(&["mse", "shrinkage"])? == "shrinkage"))
    }

    fn number_of(&self, own: &TaskSettings, key: &str, otherwise: f64) -> Result<f64, Failure> {
        own.get(key, self.settings).map_or(Ok(otherwise), |at| at.number())
    }

    /// `"0.2,0.8"` of a type, as a list.
    fn weights(
        &self,
        own: &TaskSettings,
        key: &str,
        ty: &str,
        notes: &mut Notes,
    ) -> Result<Option<String>, Failure> {
        let Some(at) = own.get(key, self.settings).and_then(|at| of_type(&at, ty)) else { return Ok(None) };
        let number =
            |word: &str| word.trim().parse::<f64>().map_err(|_| at.wrong("numbers with commas between"));
        let weights = at.text()?.split(',').map(number).collect::<Result<Vec<f64>, Failure>>()?;
        notes.changed(&at.path, "weights are in the order of the classes, as `gsc inspect` lists them");
        let weights: Vec<String> = weights.into_iter().map(text::number).collect();
        Ok(Some(format!("[{}]", weights.join(", "))))
    }

    /// The metrics, as GSL writes them.
    pub fn metrics(
        &self,
        own: &TaskSettings,
        several: bool,
        notes: &mut Notes,
    ) -> Result<Vec<String>, Failure> {
        let Some(at) = own.get("eval_metric", self.settings) else {
            let usual = match own.kind {
                TaskKind::NodeClassification | TaskKind::EdgeClassification if several => "roc_auc",
                TaskKind::NodeClassification | TaskKind::EdgeClassification => "accuracy",
                _ => "rmse",
            };
            return Ok(vec![usual.to_owned()]);
        };
        let classes = || own.get("num_classes", self.settings).and_then(|at| at.whole().ok());
        let mut found: Vec<String> = Vec::new();
        for at in at.list_or_one() {
            let word = at.text()?.to_lowercase();
            let call = metric(&word).ok_or_else(|| at.wrong("a metric of GraphStorm"))?;
            let of_two = ["hits_at", "precision_at_recall", "recall_at_precision"];
            if of_two.iter().any(|name| call.starts_with(name))
                && (several || classes().is_some_and(|n| n != 2))
            {
                notes.lost(
                    &at.path,
                    "it is of two classes: `average_precision` goes through the classes one by one",
                );
            } else if several && call == "accuracy" {
                notes.changed(&at.path, "of several classes GraphStorm's accuracy is `roc_auc`");
                found.push("roc_auc".to_owned());
            } else {
                found.push(call);
            }
        }
        Ok(found)
    }

    /// Keys that are read for some tasks and mean nothing to this one.
    fn remark_unread(&self, own: &TaskSettings, notes: &mut Notes) -> Result<(), Failure> {
        for key in ["alpha", "gamma"] {
            let links = own.kind == TaskKind::Link && key == "gamma";
            let read = links || self.is_focal(own)? || self.is_shrinkage(own)?;
            if let Some(at) = own.get(key, self.settings).filter(|_| !read) {
                at.number()?;
                notes.needless(at.path, "it belongs to a loss that is not chosen");
            }
        }
        Ok(())
    }
}

/// A metric by GraphStorm's name.
fn metric(word: &str) -> Option<String> {
    let of = |name: &str| METRICS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    if let Some(call) = of(word) {
        return (!call.contains('#')).then(|| call.to_owned());
    }
    let (name, argument) = word.rsplit_once('_')?;
    let argument: f64 = argument.parse().ok()?;
    of(name).filter(|call| call.contains('#')).map(|call| call.replace('#', &text::number(argument)))
}

/// What `best` and `stop` call a metric: the name of its function. None of a number for each class.
pub fn watched(call: &str) -> Option<&str> {
    (!call.contains("each")).then(|| call.split('(').next().unwrap_or(call))
}
