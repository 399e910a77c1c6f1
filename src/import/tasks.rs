//! Tasks: what is predicted of what, by which decoder, with which loss and metrics.

use super::fields::At;
use super::graph::{Graph, Owner, unknown};
use super::model::{Cx, triple_of};
use super::notes::Notes;
use super::schema::{Task as Kind, Triple};
use super::settings::{Settings, TaskKind, TaskSettings};
use super::tables::Paths;
use super::text;
use crate::source::Failure;

/// A task with its place in the graph.
#[derive(Debug)]
pub struct Task {
    /// Index into the tasks of the settings.
    index: usize,
    pub target: Target,
    /// What `valid.…` calls it among several.
    pub label: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Label(Owner, usize),
    Link(usize),
    Reconstruct(Owner, String),
}

/// What GSL measures and GraphStorm's name for it: the call, and the name to watch.
const METRICS: [(&str, &str, &str); 5] = [
    ("accuracy", "accuracy", "accuracy"),
    ("f1_score", "f1(average: macro)", "f1_macro"),
    ("rmse", "rmse", "rmse"),
    ("mae", "mae", "mae"),
    ("mse", "loss", "loss"),
];

/// Finds the targets of all tasks in the graph, and lets the graph know what only the training says of it.
pub fn find(graph: &mut Graph, settings: &Settings, notes: &mut Notes) -> Result<Vec<Task>, Failure> {
    let mut all = Vec::new();
    for (index, task) in settings.tasks.iter().enumerate() {
        if let Some(at) = task.get("reverse_edge_types_map", settings) {
            for said in at.texts()? {
                graph.pair(&at.path, &said, notes)?;
            }
        }
        all.extend(targets(index, task, graph, settings, notes)?);
    }
    for task in &all {
        if let Target::Label(owner, label) = task.target
            && let Some(at) = settings.tasks[task.index].get("multilabel", settings)
            && of_type(&at, &name_of(graph, owner)).is_some_and(|at| at.flag().unwrap_or(false))
        {
            graph.make_multi(&at.path, owner, label, notes);
        }
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
    let make = |target, label: &str| Task { index, target, label: label.to_owned() };
    let feature = |owner, key: &str| -> Result<Task, Failure> {
        let at = needed(task, settings, key)?;
        let name = at.texts()?.into_iter().next().unwrap_or_default();
        let known: Vec<String> = graph.features(owner).iter().map(|f| f.name.clone()).collect();
        match known.contains(&name) {
            true => Ok(make(Target::Reconstruct(owner, name.clone()), &name)),
            false => Err(unknown(&at.path, "feature", &name, &known)),
        }
    };
    Ok(match task.kind {
        TaskKind::NodeClassification | TaskKind::NodeRegression => {
            let owners = node_targets(task, graph, settings)?;
            labels(task, &owners, graph, settings)?.into_iter().map(|(t, l)| make(t, &l)).collect()
        }
        TaskKind::EdgeClassification | TaskKind::EdgeRegression => {
            let mut owners = edge_targets(task, "target_etype", graph, settings)?;
            if owners.len() > 1 {
                let path = task.get("target_etype", settings).map_or_else(String::new, |at| at.path);
                notes.lost(path, "GraphStorm predicts on the first relation alone, and so does this file");
                owners.truncate(1);
            }
            let owners: Vec<Owner> = owners.into_iter().map(Owner::Edge).collect();
            labels(task, &owners, graph, settings)?.into_iter().map(|(t, l)| make(t, &l)).collect()
        }
        TaskKind::Link => {
            remark_evaluated(task, settings, notes);
            let relations = edge_targets(task, "train_etype", graph, settings)?;
            relations.into_iter().map(|r| make(Target::Link(r), &graph.edges[r].name)).collect()
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

fn remark_evaluated(task: &TaskSettings, settings: &Settings, notes: &mut Notes) {
    let (trained, evaluated) = (task.get("train_etype", settings), task.get("eval_etype", settings));
    if let Some(at) = evaluated
        && trained.is_none_or(|trained| trained.value != at.value)
    {
        notes.lost(at.path, "every relation that is predicted is trained and evaluated");
    }
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
) -> Result<Vec<(Target, String)>, Failure> {
    let at = needed(task, settings, "label_field")?;
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
        if let Some(found) = labels.iter().position(|l| l.column == name && l.task == wanted) {
            return Ok((Target::Label(*owner, found), name.to_owned()));
        }
        let what = if wanted == Kind::Regression { "label that is a number" } else { "label of classes" };
        Err(unknown(&said.path, what, name, &known))
    };
    owners.iter().map(find).collect()
}

fn name_of(graph: &Graph, owner: Owner) -> String {
    match owner {
        Owner::Node(at) => graph.nodes[at].name.clone(),
        Owner::Edge(at) => graph.edges[at].triple.show(),
    }
}

/// A setting for all types, or what it says of one.
fn of_type<'a>(at: &At<'a>, ty: &str) -> Option<At<'a>> {
    match at.object() {
        Ok(fields) => fields.get(ty),
        Err(_) => Some(at.clone()),
    }
}

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

    fn link_settings(
        &self,
        own: &TaskSettings,
        relation: usize,
        paths: &Paths,
        body: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        match self.graph.edges[relation].link() {
            Some(label) => body.extend(label.split.rule(paths).map(|rule| format!("split = {rule}"))),
            None => notes.changed(&own.path, "a relation without a split of its own trains on all its edges"),
        }
        body.push(format!("decode = {}", self.link_decoder(own)?));
        body.push(format!("loss = {}", self.link_loss(own, notes)?));
        body.push(format!("negatives = {}", self.negatives(own, notes)?));
        body.push(format!("evaluate = {}", self.ranking(own, notes)?));
        if let Some(at) = own.get("exclude_training_targets", self.settings)
            && !at.flag()?
        {
            notes.lost(
                at.path,
                "an edge never takes part in its own prediction, unless `allow leak(…)` says so",
            );
        }
        Ok(())
    }

    fn link_decoder(&self, own: &TaskSettings) -> Result<String, Failure> {
        const WORDS: [&str; 5] = ["dot_product", "distmult", "rotate", "transe_l1", "transe_l2"];
        let word = own.get("lp_decoder_type", self.settings).map_or(Ok("distmult"), |at| at.word(&WORDS))?;
        let gamma = own.get("gamma", self.settings).map_or(Ok(12.0), |at| at.number())?;
        let gamma = format!("gamma: {}", text::number(gamma));
        Ok(match word {
            "dot_product" => "dot".to_owned(),
            "rotate" => format!("rotate({gamma})"),
            "transe_l1" => format!("transe(p: 1, {gamma})"),
            "transe_l2" => format!("transe(p: 2, {gamma})"),
            word => word.to_owned(),
        })
    }

    fn link_loss(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        const WORDS: [&str; 3] = ["cross_entropy", "contrastive", "bpr"];
        let word =
            own.get("lp_loss_func", self.settings).map_or(Ok("cross_entropy"), |at| at.word(&WORDS))?;
        if let Some(at) = own.get("adversarial_temperature", self.settings) {
            notes.lost(at.path, "negatives that weigh by their own score are not in the language yet");
        }
        let temperature = own.get("contrastive_loss_temperature", self.settings);
        let temperature = temperature.map_or(Ok(1.0), |at| at.number())?;
        Ok(match word {
            "contrastive" => format!("contrastive(temperature: {})", text::number(temperature)),
            word => word.to_owned(),
        })
    }

    fn negatives(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        const WORDS: [&str; 11] = [
            "uniform",
            "joint",
            "inbatch_joint",
            "localuniform",
            "localjoint",
            "all_etype_uniform",
            "all_etype_joint",
            "fast_uniform",
            "fast_joint",
            "fast_localuniform",
            "fast_localjoint",
        ];
        let count = own.get("num_negative_edges", self.settings).map_or(Ok(16), |at| at.count())?;
        let Some(at) = own.get("train_negative_sampler", self.settings) else {
            return Ok(format!("uniform({count})"));
        };
        let word = at.word(&WORDS)?;
        if word.contains("local") {
            notes.changed(
                &at.path,
                "negatives come from the whole type, so that no result depends on partitions",
            );
        }
        if word.starts_with("fast") {
            notes.needless(&at.path, "that edges of other parts are left out of a sample costs no time here");
        }
        if word.starts_with("all_etype") {
            notes.lost(&at.path, "batches are drawn from all positive edges, not so many of each relation");
        }
        Ok(match word {
            "inbatch_joint" => format!("in_batch(joint: {count})"),
            word if word.ends_with("joint") => format!("joint({count})"),
            _ => format!("uniform({count})"),
        })
    }

    /// `mrr, hits(1, 10) against joint(1000)`
    fn ranking(&self, own: &TaskSettings, notes: &mut Notes) -> Result<String, Failure> {
        let (mut metrics, mut hits) = (Vec::new(), Vec::new());
        let said = own.get("eval_metric", self.settings).map(|at| at.list_or_one()).unwrap_or_default();
        for at in &said {
            let word = at.text()?.to_lowercase();
            match (word.as_str(), word.strip_prefix("hit_at_").and_then(|k| k.parse::<u32>().ok())) {
                ("mrr", _) => metrics.push("mrr".to_owned()),
                (_, Some(k)) => hits.push(k.to_string()),
                ("amri", _) => notes.lost(&at.path, "there is no AMRI: `mrr` is the nearest"),
                _ => return Err(at.wrong("`mrr`, `hit_at_K` or `amri`")),
            }
        }
        if !hits.is_empty() {
            metrics.push(format!("hits({})", hits.join(", ")));
        }
        if metrics.is_empty() {
            metrics.push("mrr".to_owned());
        }
        let count = own.get("num_negative_edges_eval", self.settings).map_or(Ok(1000), |at| at.count())?;
        let sampler = own.get("eval_negative_sampler", self.settings);
        let word = sampler.as_ref().map_or(Ok("joint"), |at| {
            at.word(&["joint", "uniform", "localuniform", "localjoint", "fixed"])
        })?;
        if word == "fixed" {
            let path = sampler.map(|at| at.path).unwrap_or_default();
            notes.lost(path, "candidates of the table are not in the language yet: `joint` is written");
        }
        let against = if word.ends_with("uniform") { "uniform" } else { "joint" };
        Ok(format!("{} against {against}({count})", metrics.join(", ")))
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
