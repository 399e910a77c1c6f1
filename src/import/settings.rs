//! The training configuration as GraphStorm sees it: sections do not matter, keys do.

use super::fields::{At, Fields};
use super::notes::Notes;
use super::schema::Masks;
use crate::source::Failure;
use gsl_compiler::diag::did_you_mean;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// All keys of all sections, and what is no key: tasks and language models.
pub struct Settings<'a> {
    values: BTreeMap<&'a str, At<'a>>,
    asked: RefCell<BTreeSet<String>>,
    pub tasks: Vec<TaskSettings<'a>>,
    pub models: Vec<LanguageModel>,
}

/// A task and the settings that only it has.
pub struct TaskSettings<'a> {
    pub kind: TaskKind,
    pub path: String,
    own: Option<Fields<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    NodeClassification,
    NodeRegression,
    EdgeClassification,
    EdgeRegression,
    Link,
    ReconstructNode,
    ReconstructEdge,
}

/// A language model and the node types whose text it reads.
pub struct LanguageModel {
    pub path: String,
    pub name: String,
    pub types: Vec<String>,
}

const KINDS: [(&str, TaskKind); 7] = [
    ("node_classification", TaskKind::NodeClassification),
    ("node_regression", TaskKind::NodeRegression),
    ("edge_classification", TaskKind::EdgeClassification),
    ("edge_regression", TaskKind::EdgeRegression),
    ("link_prediction", TaskKind::Link),
    ("reconstruct_node_feat", TaskKind::ReconstructNode),
    ("reconstruct_edge_feat", TaskKind::ReconstructEdge),
];

impl<'a> Settings<'a> {
    pub fn read(root: &Fields<'a>, notes: &mut Notes) -> Result<Self, Failure> {
        let mut all = Settings {
            values: BTreeMap::new(),
            asked: RefCell::default(),
            tasks: Vec::new(),
            models: language_models(root, notes)?,
        };
        root.get("version");
        let sections = root.need("gsf")?.object()?;
        for key in sections.keys() {
            let Some(section) = sections.get(key) else { continue };
            match KINDS.iter().find(|(word, _)| *word == key) {
                _ if key == "multi_task_learning" => all.read_tasks(&section, notes)?,
                Some((_, kind)) => {
                    all.tasks.push(TaskSettings { kind: *kind, path: section.path.clone(), own: None });
                    all.read_section(&section, notes)?;
                }
                None => all.read_section(&section, notes)?,
            }
        }
        if let Some(free) = root.get("udf") {
            notes.lost(
                free.path,
                "keys for scripts of your own: what a script would do is a layer or a module in GSL",
            );
        }
        root.report_rest(notes);
        all.read_task_type()?;
        Ok(all)
    }

    fn read_section(&mut self, section: &At<'a>, notes: &mut Notes) -> Result<(), Failure> {
        let fields = section.object()?;
        for key in fields.keys() {
            let Some(at) = fields.get(key) else { continue };
            if let Some(before) = self.values.insert(key, at.clone())
                && before.value != at.value
            {
                notes.lost(before.path, format!("`{}` says otherwise, and comes later", at.path));
            }
        }
        Ok(())
    }

    fn read_tasks(&mut self, section: &At<'a>, notes: &mut Notes) -> Result<(), Failure> {
        for at in section.list()? {
            let fields = at.object()?;
            let known: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
            let found = KINDS.iter().find_map(|(word, kind)| Some((*kind, fields.get(word)?)));
            let Some((kind, task)) = found else {
                let help = format!("expected one of {}", known.join(", "));
                return Err(
                    Failure::new(format!("`{}` is no task that GraphStorm knows", at.path)).help(help)
                );
            };
            self.tasks.push(TaskSettings { kind, path: task.path.clone(), own: Some(task.object()?) });
            fields.report_rest(notes);
        }
        Ok(())
    }

    /// A task that only `task_type` names.
    fn read_task_type(&mut self) -> Result<(), Failure> {
        let words = KINDS.map(|(word, _)| word);
        if let Some(at) = self.get("task_type").filter(|_| self.tasks.is_empty())
            && at.value != "compute_emb"
        {
            let word = at.word(&words)?;
            let kind = KINDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
            self.tasks.extend(kind.map(|kind| TaskSettings { kind, path: at.path, own: None }));
        }
        Ok(())
    }

    pub fn get(&self, key: &str) -> Option<At<'a>> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.values.get(key).filter(|at| !is_none(at)).cloned()
    }

    /// A number, or what GraphStorm takes where it is not set.
    pub fn number(&self, key: &str, otherwise: f64) -> Result<f64, Failure> {
        self.get(key).map_or(Ok(otherwise), |at| at.number())
    }

    pub fn flag(&self, key: &str, otherwise: bool) -> Result<bool, Failure> {
        self.get(key).map_or(Ok(otherwise), |at| at.flag())
    }

    /// Whether language models are trained, and do not only give vectors.
    pub fn trains_models(&self) -> bool {
        self.get("lm_train_nodes").is_some_and(|at| at.whole().is_ok_and(|nodes| nodes != 0))
    }

    /// Whether there are tasks side by side, each with settings of its own.
    pub fn has_several_tasks(&self) -> bool {
        self.tasks.iter().any(TaskSettings::is_part_of_several)
    }

    /// Says of every key that nobody asked for what becomes of it.
    pub fn report_rest(&self, notes: &mut Notes) {
        for (key, at) in &self.values {
            if !self.asked.borrow().contains(*key) && !is_none(at) {
                explain(key, &at.path, notes);
            }
        }
        for task in &self.tasks {
            let Some(own) = &task.own else { continue };
            own.keys()
                .filter(|key| own.is_unasked(key))
                .for_each(|key| explain(key, &own.path_of(key), notes));
        }
    }
}

impl<'a> TaskSettings<'a> {
    /// The task's own value, or the one for all.
    pub fn get(&self, key: &str, base: &Settings<'a>) -> Option<At<'a>> {
        let own = self.own.as_ref().and_then(|own| own.get(key)).filter(|at| !is_none(at));
        own.or_else(|| base.get(key))
    }

    /// The masks that the task names, each of which can be left open.
    pub fn masks(&self, base: &Settings<'a>) -> Result<Option<Masks>, Failure> {
        let Some(at) = self.get("mask_fields", base) else { return Ok(None) };
        Ok(Some(at.list()?.iter().map(|mask| mask.value.as_str().map(str::to_owned)).collect()))
    }

    pub fn is_part_of_several(&self) -> bool {
        self.own.is_some()
    }
}

fn is_none(at: &At) -> bool {
    at.value.is_null() || at.value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("none"))
}

fn language_models(root: &Fields, notes: &mut Notes) -> Result<Vec<LanguageModel>, Failure> {
    let Some(section) = root.get("lm_model") else { return Ok(Vec::new()) };
    let fields = section.object()?;
    if let Some(at) = fields.get("distill_lm_models") {
        notes.lost(
            at.path,
            "teaching a model without a graph is `distill EXPERIMENT into STUDENT { … }` in GSL, beside an experiment",
        );
    }
    let mut models = Vec::new();
    for at in fields.list("node_lm_models")? {
        let model = at.object()?;
        if let Some(kind) = model.get("lm_type") {
            notes.needless(kind.path, "the model's folder says its family");
        }
        if let Some(checkpoint) = model.get("gradient_checkpoint") {
            notes.needless(checkpoint.path, "memory is planned by the compiler");
        }
        models.push(LanguageModel {
            path: model.path_of("model_name"),
            name: model.need("model_name")?.text()?.to_owned(),
            types: model.need("node_types")?.texts()?,
        });
        model.report_rest(notes);
    }
    fields.report_rest(notes);
    Ok(models)
}

/// What becomes of a key that no part of the import reads.
fn explain(key: &str, path: &str, notes: &mut Notes) {
    if let Some((_, text)) = NEEDLESS.iter().find(|(keys, _)| keys.contains(&key)) {
        notes.needless(path, *text);
    } else if let Some((_, text)) = LOST.iter().find(|(keys, _)| keys.contains(&key)) {
        notes.lost(path, *text);
    } else if READ.contains(&key) {
        notes.needless(path, "no task of this file reads it");
    } else {
        let tables = NEEDLESS.iter().chain(&LOST).flat_map(|(keys, _)| keys.iter());
        notes.unknown(path.to_owned(), did_you_mean(key, tables.chain(&READ).copied()));
    }
}

type Reasons = (&'static [&'static str], &'static str);

const NEEDLESS: [Reasons; 11] = [
    (
        &[
            "backend",
            "ip_config",
            "local_rank",
            "use_wholegraph_embed",
            "use_graphbolt",
            "num_trainers",
            "num_samplers",
        ],
        "where and on how much a file runs is said on the command line, and changes no result",
    ),
    (&["part_config", "graph_name"], "the graph is built from its tables, and found again"),
    (&["node_id_mapping_file", "edge_id_mapping_file"], "every output has your identifiers"),
    (
        &[
            "verbose",
            "save_perf_results_path",
            "profile_path",
            "task_tracker",
            "task_tracker_logpath",
            "log_report_frequency",
        ],
        "a run writes its losses, metrics and times to events.jsonl and a report",
    ),
    (&["eval_batch_size", "use_mini_batch_infer"], "inference goes layer by layer over all neighbours"),
    (&["save_embed_format", "return_proba"], "outputs are Parquet, with all probabilities"),
    (&["report_eval_per_type"], "each relation that is predicted has metrics of its own"),
    (
        &["fixed_test_size"],
        "all edges of the test part are evaluated: no draw of them changes what is reported",
    ),
    (&["infer_all_target_nodes"], "predictions are of all nodes, with a column that says their part"),
    (&["num_classes"], "classes are counted in the table; `class(7)` would check their number"),
    (&["lm_infer_batch_size", "cache_lm_embed"], "frozen models are run once, when the graph is built"),
];

const LOST: [Reasons; 7] = [
    (&["save_model_path"], "checkpoints are in the run's folder: `gsc run FILE --out DIR`"),
    (
        &["save_model_frequency"],
        "the last parameters are kept after each epoch, and the best; `--checkpoint-every N` writes more often",
    ),
    (
        &["restore_model_path", "restore_model_layers", "restore_optimizer_path"],
        "`gsc run --resume` goes on with a run; a part of another one is `gnn = … from EXPERIMENT.gnn`, so for `encode` \
         and `decode`",
    ),
    (
        &["lm_tune_lr"],
        "a language model learns at the rate of the experiment; a stage can have a rate of its own",
    ),
    (
        &["freeze_lm_encoder_epochs"],
        "a stage says what is trained for so many epochs: `stage first { freeze …; epochs = 5 }`, then others",
    ),
    (&["use_pseudolabel"], "labels that a model guesses come with `glem(rounds: …)` alone"),
    (
        &["textual_data_path", "max_distill_step", "max_seq_len", "lm_name"],
        "teaching a model without a graph is `distill EXPERIMENT into STUDENT { … }` in GSL",
    ),
];

/// Keys that some part of the import reads.
const READ: [&str; 82] = [
    "task_type",
    "target_ntype",
    "eval_target_ntype",
    "target_etype",
    "label_field",
    "multilabel",
    "multilabel_weights",
    "imbalance_class_weights",
    "class_loss_func",
    "regression_loss_func",
    "alpha",
    "gamma",
    "eval_metric",
    "decoder_type",
    "num_decoder_basis",
    "decoder_bias",
    "num_ffn_layers_in_decoder",
    "remove_target_edge_type",
    "reverse_edge_types_map",
    "exclude_training_targets",
    "train_etype",
    "eval_etype",
    "lp_decoder_type",
    "lp_loss_func",
    "lp_embed_normalizer",
    "contrastive_loss_temperature",
    "adversarial_temperature",
    "train_negative_sampler",
    "eval_negative_sampler",
    "num_negative_edges",
    "num_negative_edges_eval",
    "lp_edge_weight_for_loss",
    "train_etypes_negative_dstnode",
    "num_train_hard_negatives",
    "eval_etypes_negative_dstnode",
    "model_select_etype",
    "decoder_norm",
    "decoder_edge_feat",
    "mask_fields",
    "task_weight",
    "reconstruct_nfeat_name",
    "reconstruct_efeat_name",
    "eval_frequency",
    "topk_model_to_save",
    "save_embed_path",
    "save_prediction_path",
    "model_encoder_type",
    "num_layers",
    "hidden_size",
    "out_emb_size",
    "num_bases",
    "num_heads",
    "use_self_loop",
    "gnn_norm",
    "dropout",
    "num_ffn_layers_in_gnn",
    "num_ffn_layers_in_input",
    "input_activate",
    "use_node_embeddings",
    "node_feat_name",
    "edge_feat_name",
    "edge_feat_mp_op",
    "edge_feat_activation",
    "construct_feat_ntype",
    "construct_feat_encoder",
    "construct_feat_fanout",
    "lm_train_nodes",
    "training_method",
    "fanout",
    "eval_fanout",
    "batch_size",
    "lr",
    "sparse_optimizer_lr",
    "wd_l2norm",
    "alpha_l2norm",
    "max_grad_norm",
    "grad_norm_type",
    "num_epochs",
    "use_early_stop",
    "early_stop_rounds",
    "early_stop_burnin_rounds",
    "early_stop_strategy",
];
