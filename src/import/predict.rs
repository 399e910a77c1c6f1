//! Predictions of labels: decoder, loss and metrics of a task.

use super::graph::Owner;
use super::model::Cx;
use super::notes::Notes;
use super::schema::Label;
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

/// The scores of a decoder without a bias.
const UNBIASED: &str = "/// A linear map without a bias.
module unbiased(out: dim) {
    weight W : in x out

    x' = x @ W
}
";

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
                let label = &self.graph.labels(*owner)[*label];
                if own.masks(self.settings)?.is_some_and(|masks| !label.has_masks(&masks)) {
                    let text =
                        "these are not the masks of the label: the task is trained on the label's own split";
                    notes.lost(format!("{}.mask_fields", own.path), text);
                }
                self.label_settings(own, (*owner, label), &mut body, notes)?;
                self.field(*owner, &label.name)?
            }
            Target::Link(relation) => {
                self.link_settings(own, *relation, paths, &mut body, notes)?;
                format!("link {}", self.graph.edges[*relation].path()?)
            }
            Target::Reconstruct(owner, feature) => {
                self.reconstruction(own, (*owner, feature), paths, &mut body, notes)?;
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

    /// What stands in `predict reconstruct movie.genre { … }`.
    fn reconstruction(
        &self,
        own: &TaskSettings<'a>,
        (owner, feature): (Owner, &str),
        paths: &Paths,
        body: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        let masks = own.masks(self.settings)?;
        let rule =
            self.graph.reconstruction(owner, feature, masks.as_ref()).and_then(|split| split.rule(paths));
        body.extend(rule.as_ref().map(|rule| format!("split = {rule}")));
        match owner {
            Owner::Node(_) => {
                body.push(format!("decode = {}", self.decoder(own, notes)?));
                let text = format!(
                    "`{feature}` is reconstructed, and no input: GraphStorm leaves it in, and takes the node itself \
                                    out of the last layer"
                );
                notes.changed(&own.path, text);
            }
            Owner::Edge(_) => body.push(format!("decode = {}", self.pair_mlp()?)),
        }
        body.push("loss = mse".to_owned());
        match rule {
            Some(_) => body.extend(listed(&self.metrics(own, false, notes)?)),
            None => {
                notes.changed(
                    &own.path,
                    "a feature without a split trains on all its rows, and is not judged",
                );
                if let Some(at) = own.get("eval_metric", self.settings) {
                    notes.needless(at.path, "nothing is judged without a split");
                }
            }
        }
        Ok(())
    }

    pub fn field(&self, owner: Owner, name: &str) -> Result<String, Failure> {
        let name = text::name(name)?;
        Ok(match owner {
            Owner::Node(at) => format!("{}.{name}", text::name(&self.graph.nodes[at].name)?),
            Owner::Edge(at) => format!("({}).{name}", self.graph.edges[at].path()?),
        })
    }

    fn shared(&self, own: &TaskSettings, body: &mut Vec<String>, notes: &mut Notes) -> Result<(), Failure> {
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
        own: &TaskSettings<'a>,
        (owner, label): (Owner, &Label),
        body: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        body.push(match owner {
            Owner::Node(_) => format!("decode = {}", self.decoder(own, notes)?),
            Owner::Edge(relation) => format!("decode = {}", self.edge_decoder(own, relation, notes)?),
        });
        let several = label.is_multi;
        let name = name_of(self.graph, owner);
        body.push(format!("loss = {}", self.loss(own, &name, several, notes)?));
        body.extend(listed(&self.metrics(own, several, notes)?));
        Ok(())
    }

    /// Dense layers, then the scores.
    fn decoder(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        for key in ["decoder_norm", "decoder_edge_feat"] {
            if let Some(at) = own.get(key, self.settings) {
                notes.needless(at.path, "only `MLPEFeatEdgeDecoder` reads it");
            }
        }
        self.perceptron(own, &self.width()?)
    }

    /// Dense layers that keep a width, then the scores.
    pub fn perceptron(&self, own: &TaskSettings, width: &str) -> Result<String, Failure> {
        let dense = own.get("num_ffn_layers_in_decoder", self.settings).map_or(Ok(0), |at| at.whole())?;
        let mut stages: Vec<String> = (0..dense).map(|_| format!("linear({width}, act: relu)")).collect();
        let dropout = self.settings.number("dropout", 0.0)?;
        if dense > 0 && dropout > 0.0 {
            stages.push(format!("dropout({})", text::number(dropout)));
        }
        let has_bias = own.get("decoder_bias", self.settings).map_or(Ok(true), |at| at.flag())?;
        stages.push(if has_bias { "linear".to_owned() } else { self.item(UNBIASED, "unbiased") });
        Ok(stages.join(" >> "))
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
                TaskKind::ReconstructNode | TaskKind::ReconstructEdge => "mse",
                _ => "rmse",
            };
            return Ok(vec![usual.to_owned()]);
        };
        let classes = own.get("num_classes", self.settings).and_then(|at| at.whole().ok());
        let mut found: Vec<String> = Vec::new();
        for at in at.list_or_one() {
            let word = at.text()?.to_lowercase();
            let call = metric(&word).ok_or_else(|| at.wrong("a metric of GraphStorm"))?;
            let of_two = ["hits_at", "precision_at_recall", "recall_at_precision"];
            if of_two.iter().any(|name| call.starts_with(name))
                && (several || classes.is_some_and(|n| n != 2))
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

/// `metrics = accuracy, roc_auc`; without any the default holds.
fn listed(metrics: &[String]) -> Option<String> {
    (!metrics.is_empty()).then(|| format!("metrics = {}", metrics.join(", ")))
}

/// A metric by GraphStorm's name.
fn metric(word: &str) -> Option<String> {
    let of = |name: &str| METRICS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    if let Some(call) = of(word) {
        return (!call.contains('#')).then(|| call.to_owned());
    }
    let (name, argument) = word.rsplit_once('_')?;
    let argument: f64 = argument.parse().ok()?;
    let call = of(name).filter(|call| call.contains('#'))?;
    match call {
        "fbeta(beta: #)" if argument.total_cmp(&1.0).is_eq() => Some("f1(average: macro)".to_owned()),
        call => Some(call.replace('#', &text::number(argument))),
    }
}

/// What `best` and `stop` call the first metric that is one number: its function, or the name in reports where another listed one
/// has the same function.
pub fn watched(calls: &[String]) -> Option<String> {
    let function = |call: &str| call.split('(').next().unwrap_or(call).to_owned();
    let single: Vec<&String> = calls.iter().filter(|call| !call.contains("each")).collect();
    let first = single.first()?;
    let function_of_first = function(first);
    if single.iter().filter(|call| function(call) == function_of_first).count() == 1 {
        return Some(function_of_first);
    }
    let argument = first.split_once(": ").map_or("", |(_, argument)| argument.trim_end_matches(')'));
    let reported = match function_of_first.as_str() {
        "fbeta" => format!("f{argument}_macro"),
        function => format!("{function}_{argument}"),
    };
    text::name(&reported).ok()
}

#[cfg(test)]
mod tests {
    use super::{metric, watched};

    #[test]
    fn metrics_are_watched_by_a_name_that_only_they_have() {
        let watched = |words: &[&str]| {
            let calls: Vec<String> = words.iter().filter_map(|word| metric(word)).collect();
            watched(&calls).unwrap_or_default()
        };
        assert_eq!(watched(&["f1_score", "accuracy"]), "f1");
        assert_eq!(watched(&["per_class_f1_score", "f1_score"]), "f1");
        assert_eq!(watched(&["hit_at_5", "hit_at_10"]), "hits_at_5");
        assert_eq!(watched(&["fscore_at_0.5"]), "fbeta");
        assert_eq!(watched(&["fscore_at_0.5", "fscore_at_2"]), "`f0.5_macro`");
        assert_eq!(watched(&["fscore_at_1", "fscore_at_2"]), "f1");
        assert_eq!(watched(&["precision_at_recall_0.9", "recall"]), "precision_at_recall");
        assert_eq!(watched(&["per_class_roc_auc"]), "");
    }
}
