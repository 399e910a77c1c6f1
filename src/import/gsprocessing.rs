//! The dialect of the distributed builder: `version: gsprocessing-…`, with a `graph` of `nodes` and `edges`.

use super::fields::{At, Fields};
use super::gconstruct::{files, finished, format_of, split_files, split_shares, task};
use super::notes::Notes;
use super::schema::{EdgeBlock, Feature, Label, NodeBlock, Schema, Split, Table, Task, Triple};
use super::stages::{self, Stages};
use super::tables;
use crate::source::Failure;
use serde_json::{Map, Value};

const TRANSFORMS: [&str; 9] = [
    "no-op",
    "numerical",
    "multi-numerical",
    "bucket-numerical",
    "bucket_numerical",
    "categorical",
    "multi-categorical",
    "huggingface",
    "edge_dst_hard_negative",
];

pub fn read(root: &Fields, notes: &mut Notes) -> Result<Schema, Failure> {
    let graph = root.need("graph")?.object()?;
    let mut schema = Schema { drops_dangling: true, ..Schema::default() };
    for at in graph.list("nodes")?.iter().filter(|at| !is_empty(at)) {
        schema.nodes.push(node(at, notes)?);
    }
    for at in graph.need("edges")?.list()? {
        schema.edges.push(edge(&at, notes)?);
    }
    notes.changed(
        graph.path_of("edges"),
        "edges with an end that is in no table are left out, as GSProcessing does, and counted: `missing = drop`",
    );
    graph.report_rest(notes);
    root.report_rest(notes);
    Ok(schema)
}

/// `[{}]` stands for no items at all.
fn is_empty(at: &At) -> bool {
    at.value.as_object().is_some_and(Map::is_empty)
}

fn node(at: &At, notes: &mut Notes) -> Result<NodeBlock, Failure> {
    let fields = at.object()?;
    let key = fields.need("column")?.text()?.to_owned();
    let block = NodeBlock {
        at: at.path.clone(),
        name: fields.text("type")?.unwrap_or_else(|| key.clone()),
        table: table(&fields.need("data")?, notes)?,
        key: Some(key),
        features: features(&fields, false, notes)?,
        labels: labels(&fields, false, notes)?,
    };
    fields.report_rest(notes);
    Ok(block)
}

fn edge(at: &At, notes: &mut Notes) -> Result<EdgeBlock, Failure> {
    let fields = at.object()?;
    let (src_column, src) = end(&fields.need("source")?, notes)?;
    let (dst_column, dst) = end(&fields.need("dest")?, notes)?;
    let relation = fields.need("relation")?.object()?;
    let name = relation.need("type")?.text()?.to_owned();
    if let Some(column) = relation.get("column") {
        notes.lost(
            column.path,
            "the relation of each row in a column is written `edge a -[column]-> b from …` in GSL, for all relations at once",
        );
    }
    relation.report_rest(notes);
    let block = EdgeBlock {
        at: at.path.clone(),
        triple: Triple(src, name, dst),
        table: table(&fields.need("data")?, notes)?,
        ends: Some((src_column, dst_column)),
        features: features(&fields, true, notes)?,
        labels: labels(&fields, true, notes)?,
    };
    fields.report_rest(notes);
    Ok(block)
}

/// Column and type of one end.
fn end(at: &At, notes: &mut Notes) -> Result<(String, String), Failure> {
    let fields = at.object()?;
    let column = fields.need("column")?.text()?.to_owned();
    let ty = fields.text("type")?.unwrap_or_else(|| column.clone());
    fields.report_rest(notes);
    Ok((column, ty))
}

fn table(at: &At, notes: &mut Notes) -> Result<Table, Failure> {
    let fields = at.object()?;
    let word = fields.need("format")?.word(&["csv", "parquet"])?;
    let format = format_of(word, fields.get("separator").as_ref())?;
    let table = Table { at: at.path.clone(), format, files: files(&fields.need("files")?)? };
    fields.report_rest(notes);
    tables::remark(&table, notes);
    Ok(table)
}

fn features(block: &Fields, on_edges: bool, notes: &mut Notes) -> Result<Vec<Feature>, Failure> {
    let listed = block.list("features")?;
    listed.iter().filter(|at| !is_empty(at)).map(|at| feature(at, on_edges, notes)).collect()
}

fn feature(at: &At, on_edges: bool, notes: &mut Notes) -> Result<Feature, Failure> {
    let fields = at.object()?;
    let column = fields.need("column")?;
    let columns = column.texts()?;
    let [only] = &columns[..] else { return Err(column.wrong("one column")) };
    let mut feature = Feature {
        at: at.path.clone(),
        name: fields.text("name")?.unwrap_or_else(|| only.clone()),
        columns,
        stages: Vec::new(),
        divisor: None,
        storage: None,
        table: fields.get("data").map(|at| table(&at, notes)).transpose()?,
        is_tokens: false,
        is_embedded: false,
    };
    if let Some(transformation) = fields.get("transformation") {
        let (stages, storage) = stages_of(&transformation, on_edges, notes)?;
        feature.storage = storage;
        stages.fill(&mut feature);
    }
    fields.report_rest(notes);
    Ok(feature)
}

type StagesAndStorage = (Stages, Option<&'static str>);

fn stages_of(at: &At, on_edges: bool, notes: &mut Notes) -> Result<StagesAndStorage, Failure> {
    let fields = at.object()?;
    let name = fields.need("name")?;
    let nothing = Value::Object(Map::new());
    let kwargs = fields.get("kwargs").unwrap_or(At { value: &nothing, path: fields.path_of("kwargs") });
    let kwargs = kwargs.object()?;
    let stages = match name.word(&TRANSFORMS)? {
        "no-op" => stages::plain(&kwargs)?,
        "numerical" => numerical(Vec::new(), &kwargs, notes)?,
        "multi-numerical" => numerical(stages::plain(&kwargs)?.stages, &kwargs, notes)?,
        "categorical" => stages::words(None, "one_hot(top: 99)"),
        "multi-categorical" => stages::words(kwargs.text("separator")?, "multi_hot"),
        "huggingface" => huggingface(&kwargs, notes)?,
        "edge_dst_hard_negative" => stages::candidates(&kwargs, on_edges)?,
        _ => {
            let (filled, bucket) = (imputed(&kwargs, notes)?, stages::bucket(&kwargs)?);
            Stages {
                stages: filled.into_iter().chain(bucket.stages).collect(),
                is_whole: true,
                ..Stages::default()
            }
        }
    };
    let storage = match kwargs.get("out_dtype") {
        Some(at) => stages::storage(&at, &stages, notes)?,
        None => None,
    };
    kwargs.report_rest(notes);
    fields.report_rest(notes);
    Ok((stages, storage))
}

/// Missing values are replaced first, then the column is normalised.
fn numerical(mut before: Vec<String>, kwargs: &Fields, notes: &mut Notes) -> Result<Stages, Failure> {
    before.extend(imputed(kwargs, notes)?);
    let normalizer = kwargs.get("normalizer");
    let word = normalizer
        .as_ref()
        .map_or(Ok("none"), |at| at.word(&["none", "min-max", "standard", "rank-gauss"]))?;
    let at = kwargs.path_of("normalizer");
    let after = match word {
        "standard" => stages::share_of_sum(notes, &at),
        "rank-gauss" => stages::gauss_rank(kwargs, notes, &at)?,
        "min-max" => {
            notes.changed(at, stages::TRAINING_ROWS);
            Stages::of("min_max")
        }
        _ => Stages::default(),
    };
    if let Some(epsilon) = kwargs.get("epsilon").filter(|_| word != "rank-gauss") {
        notes.needless(epsilon.path, "only `rank-gauss` reads it");
    }
    Ok(Stages { stages: before.into_iter().chain(after.stages).collect(), ..Stages::default() })
}

fn imputed(kwargs: &Fields, notes: &mut Notes) -> Result<Option<String>, Failure> {
    let Some(at) = kwargs.get("imputer") else { return Ok(None) };
    let with = match at.word(&["none", "mean", "median", "most_frequent"])? {
        "none" => return Ok(None),
        "most_frequent" => "mode",
        word => word,
    };
    notes.changed(at.path, stages::TRAINING_ROWS);
    Ok(Some(format!("fill({with})")))
}

fn huggingface(kwargs: &Fields, notes: &mut Notes) -> Result<Stages, Failure> {
    let action = kwargs.need("action")?.word(&["tokenize_hf", "embedding_hf"])?;
    let (model, length) = (kwargs.need("hf_model")?, kwargs.need("max_seq_length")?);
    stages::language_model(&model, &length, action == "tokenize_hf", notes)
}

fn labels(block: &Fields, on_edges: bool, notes: &mut Notes) -> Result<Vec<Label>, Failure> {
    let listed = block.list("labels")?;
    listed.iter().filter(|at| !is_empty(at)).map(|at| label(at, on_edges, notes)).collect()
}

fn label(at: &At, on_edges: bool, notes: &mut Notes) -> Result<Label, Failure> {
    let fields = at.object()?;
    let task = task(&fields.need("type")?, on_edges)?;
    let column = match task {
        Task::Link => fields.text("column")?.unwrap_or_default(),
        _ => fields.need("column")?.text()?.to_owned(),
    };
    let split = match (fields.get("custom_split_filenames"), fields.get("split_rate")) {
        (Some(files), _) => split_files(&files, notes)?,
        (None, Some(rate)) => {
            let shares = rate.object()?;
            let share = |key| shares.number(key).map(|s: Option<f64>| s.unwrap_or(0.0));
            let three = vec![share("train")?, share("val")?, share("test")?];
            shares.report_rest(notes);
            split_shares(&rate, three, notes)?
        }
        (None, None) => Split::Random([0.8, 0.1, 0.1]),
    };
    finished(&fields, column, task, split, notes)
}
