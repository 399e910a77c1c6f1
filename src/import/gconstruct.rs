//! The dialect of the single-machine builder: `version: gconstruct-v0.1`, and what it writes back with fitted statistics.

use super::fields::{At, Fields};
use super::notes::Notes;
use super::schema::{EdgeBlock, Feature, Format, Label, NodeBlock, Schema, Split, Table, Task, Triple};
use super::stages::{self, Stages};
use super::tables;
use super::text;
use crate::source::Failure;

const TRANSFORMS: [&str; 10] = [
    "no-op",
    "max_min_norm",
    "standard",
    "rank_gauss",
    "to_categorical",
    "bucket_numerical",
    "bert_hf",
    "tokenize_hf",
    "edge_dst_hard_negative",
    "tabular",
];

pub fn read(root: &Fields, notes: &mut Notes) -> Result<Schema, Failure> {
    let mut schema = Schema::default();
    if let Some(flag) = root.get("add_reverse_edges") {
        schema.reverses = flag.flag()?;
    }
    for at in root.list("nodes")? {
        schema.nodes.push(node(&at, notes)?);
    }
    for at in root.need("edges")?.list()? {
        schema.edges.push(edge(&at, notes)?);
    }
    root.report_rest(notes);
    Ok(schema)
}

fn node(at: &At, notes: &mut Notes) -> Result<NodeBlock, Failure> {
    let fields = at.object()?;
    let block = NodeBlock {
        at: at.path.clone(),
        name: fields.need("node_type")?.text()?.to_owned(),
        table: table(&fields, notes)?,
        key: fields.text("node_id_col")?,
        features: features(&fields, false, notes)?,
        labels: labels(&fields, false, notes)?,
    };
    fields.report_rest(notes);
    Ok(block)
}

fn edge(at: &At, notes: &mut Notes) -> Result<EdgeBlock, Failure> {
    let fields = at.object()?;
    let relation = fields.need("relation")?;
    let [src, name, dst] = &relation.texts()?[..] else {
        return Err(relation.wrong("three texts: the source type, the relation, the destination type"));
    };
    let ends = match (fields.get("source_id_col"), fields.get("dest_id_col")) {
        (None, None) => None,
        _ => Some((
            fields.need("source_id_col")?.text()?.to_owned(),
            fields.need("dest_id_col")?.text()?.to_owned(),
        )),
    };
    let block = EdgeBlock {
        at: at.path.clone(),
        triple: Triple(src.clone(), name.clone(), dst.clone()),
        table: table(&fields, notes)?,
        ends,
        features: features(&fields, true, notes)?,
        labels: labels(&fields, true, notes)?,
    };
    fields.report_rest(notes);
    Ok(block)
}

fn table(block: &Fields, notes: &mut Notes) -> Result<Table, Failure> {
    let at = block.need("format")?;
    let format = at.object()?;
    let word = format.need("name")?.word(&["csv", "parquet", "hdf5", "json"])?;
    let table = Table {
        at: block.path.clone(),
        format: format_of(word, format.get("separator").as_ref())?,
        files: files(&block.need("files")?)?,
    };
    format.report_rest(notes);
    tables::remark(&table, notes);
    Ok(table)
}

/// The format of a name; only delimited text has a separator.
pub fn format_of(word: &str, separator: Option<&At>) -> Result<Format, Failure> {
    Ok(match word {
        "csv" => Format::Csv { separator: separator.map_or(Ok(','), one_character)? },
        "json" => Format::Json,
        "hdf5" => Format::Hdf5,
        _ => Format::Parquet,
    })
}

fn one_character(at: &At) -> Result<char, Failure> {
    let mut chars = at.text()?.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(at.wrong("one character: GSL reads no others")),
    }
}

pub fn files(at: &At) -> Result<Vec<String>, Failure> {
    let files = at.texts()?;
    if files.is_empty() { Err(at.wrong("at least one path")) } else { Ok(files) }
}

fn features(block: &Fields, on_edges: bool, notes: &mut Notes) -> Result<Vec<Feature>, Failure> {
    let mut all = Vec::new();
    for at in block.list("features")? {
        all.extend(feature(&at, on_edges, notes)?);
    }
    Ok(all)
}

fn feature(at: &At, on_edges: bool, notes: &mut Notes) -> Result<Option<Feature>, Failure> {
    let fields = at.object()?;
    let transform = fields.get("transform");
    let stages = match &transform {
        Some(transform) => stages_of(transform, on_edges, notes)?,
        None => Stages::default(),
    };
    fields.get("feature_dim");
    if stages.lost {
        return Ok(None);
    }
    let column = fields.need("feature_col")?;
    let columns = column.texts()?;
    if columns.is_empty() || columns.len() > 1 && stages.single {
        return Err(column.wrong("one column for this transform"));
    }
    let name = match fields.text("feature_name")? {
        Some(name) => name,
        None if columns.len() == 1 => columns[0].clone(),
        None => {
            let message = format!("`{}` has several columns and no `feature_name`", at.path);
            return Err(Failure::new(message).help("give what stands side by side a name"));
        }
    };
    let storage = match fields.get("out_dtype") {
        Some(at) => stages::storage(&at, &stages, notes)?,
        None => None,
    };
    fields.report_rest(notes);
    let mut feature = Feature {
        at: at.path.clone(),
        name,
        columns,
        stages: Vec::new(),
        divisor: None,
        storage,
        table: None,
        is_tokens: false,
        is_embedded: false,
    };
    stages.fill(&mut feature);
    Ok(Some(feature))
}

fn stages_of(at: &At, on_edges: bool, notes: &mut Notes) -> Result<Stages, Failure> {
    let fields = at.object()?;
    let name = fields.need("name")?;
    let stages = match name.word(&TRANSFORMS)? {
        "no-op" => stages::plain(&fields)?,
        "max_min_norm" => max_min(&fields, notes)?,
        "standard" => standard(&fields, notes, &at.path)?,
        "rank_gauss" => {
            fields.get("uniquify");
            stages::gauss_rank(&fields, notes, &at.path)?
        }
        "to_categorical" => {
            if let Some(mapping) = fields.get("mapping") {
                notes.changed(
                    mapping.path,
                    "the columns of `one_hot` and `multi_hot` are the values in the table",
                );
            }
            stages::words(fields.text("separator")?, "one_hot")
        }
        "bucket_numerical" => stages::bucket(&fields)?,
        "edge_dst_hard_negative" => stages::candidates(&fields, on_edges)?,
        "tabular" => {
            fields.get("target_col");
            notes.lost(
                &name.path,
                "GSL has no tabular foundation model: compute the vectors before and read them with `vector`",
            );
            Stages { lost: true, ..Stages::default() }
        }
        word => {
            if let Some(size) = fields.get("infer_batch_size") {
                notes.needless(size.path, "GSL chooses how many texts go through the model at once");
            }
            let (model, length) = (fields.need("bert_model")?, fields.need("max_seq_length")?);
            stages::language_model(&model, &length, word == "tokenize_hf", notes)?
        }
    };
    fields.report_rest(notes);
    Ok(stages)
}

/// (x − min) / (max − min) held to 0 … 1, of x held to the bounds first; with min and max fitted, or given.
fn max_min(fields: &Fields, notes: &mut Notes) -> Result<Stages, Failure> {
    const FAR: f64 = 3e38;
    let bound = |key| fields.number(key);
    let (low, high) = (bound("min_bound")?, bound("max_bound")?);
    let mut stages = Vec::new();
    if low.is_some() || high.is_some() {
        let (low, high) = (low.unwrap_or(-FAR), high.unwrap_or(FAR));
        stages.push(format!("clip({}, {})", text::number(low), text::number(high)));
    }
    match (single(fields, "min_val", notes)?, single(fields, "max_val", notes)?) {
        (Some(low), Some(high)) => {
            stages.push(format!("min_max({}, {})", text::number(low), text::number(high)));
        }
        (low, high) => {
            notes.changed(&fields.path, stages::TRAINING_ROWS);
            let bound = |name: &str, x: Option<f64>| x.map(|x| format!("({name}: {})", text::number(x)));
            let stated = bound("low", low).or_else(|| bound("high", high)).unwrap_or_default();
            stages.push(format!("min_max{stated}"));
        }
    }
    Ok(Stages { stages, ..Stages::default() })
}

fn standard(fields: &Fields, notes: &mut Notes, at: &str) -> Result<Stages, Failure> {
    match single(fields, "sum", notes)? {
        Some(sum) if sum != 0.0 => Ok(Stages { divisor: Some(sum), ..Stages::default() }),
        _ => Ok(stages::share_of_sum(notes, at)),
    }
}

/// A statistic that was fitted before: a number, or a list of one number.
fn single(fields: &Fields, key: &str, notes: &mut Notes) -> Result<Option<f64>, Failure> {
    let Some(at) = fields.get(key) else { return Ok(None) };
    match &at.list_or_one()[..] {
        [one] => one.number().map(Some),
        _ => {
            notes.changed(at.path, "a statistic for each component is learned again from the table");
            Ok(None)
        }
    }
}

fn labels(block: &Fields, on_edges: bool, notes: &mut Notes) -> Result<Vec<Label>, Failure> {
    block.list("labels")?.iter().map(|at| label(at, on_edges, notes)).collect()
}

fn label(at: &At, on_edges: bool, notes: &mut Notes) -> Result<Label, Failure> {
    let fields = at.object()?;
    let task = task(&fields.need("task_type")?, on_edges)?;
    let column = match task {
        Task::Link => String::new(),
        Task::Reconstruct => fields.text("label_col")?.unwrap_or_default(),
        _ => fields.need("label_col")?.text()?.to_owned(),
    };
    fields.get("label_col");
    let split = match (fields.get("custom_split_filenames"), fields.get("split_pct")) {
        (Some(files), _) => split_files(&files, notes)?,
        (None, Some(shares)) => {
            split_shares(&shares, shares.list()?.iter().map(At::number).collect::<Result<_, _>>()?, notes)?
        }
        (None, None) => Split::Random([0.8, 0.1, 0.1]),
    };
    if let Some(stats) = fields.get("label_stats_type") {
        notes.needless(stats.path, "`gsc inspect` counts the classes");
    }
    finished(&fields, column, task, split, notes)
}

/// A label of which all is known but what both dialects spell alike.
pub fn finished(
    fields: &Fields,
    column: String,
    task: Task,
    split: Split,
    notes: &mut Notes,
) -> Result<Label, Failure> {
    remark_split(&split, &fields.path, notes);
    let separator = fields.text("separator")?;
    let masks = fields.get("mask_field_names").map(|at| at.texts()).transpose()?;
    fields.report_rest(notes);
    let is_multi = separator.is_some();
    let name = column.clone();
    Ok(Label { at: fields.path.clone(), name, column, task, separator, is_multi, split, masks })
}

pub fn task(at: &At, on_edges: bool) -> Result<Task, Failure> {
    const WORDS: [&str; 5] =
        ["classification", "regression", "link_prediction", "reconstruct_node_feat", "reconstruct_edge_feat"];
    match at.word(&WORDS)? {
        "classification" => Ok(Task::Classification),
        "regression" => Ok(Task::Regression),
        "link_prediction" if on_edges => Ok(Task::Link),
        "link_prediction" => Err(at.wrong("a task of nodes: links are predicted of a relation")),
        _ => Ok(Task::Reconstruct),
    }
}

pub fn split_shares(at: &At, shares: Vec<f64>, notes: &mut Notes) -> Result<Split, Failure> {
    let [train, valid, test] = shares[..] else {
        return Err(at.wrong("three shares: training, validation, test"));
    };
    if shares.iter().any(|s| *s < 0.0) || train + valid + test > 1.0 + 1e-9 {
        return Err(at.wrong("shares from 0 that add up to 1 at most"));
    }
    if train == 0.0 {
        notes.lost(&at.path, "a split has training rows: without any there is no split");
        return Ok(Split::None);
    }
    Ok(Split::Random([train, valid, test]))
}

/// Splits by files, of both dialects: `train`, `valid` or `val`, `test`, `column`.
pub fn split_files(at: &At, notes: &mut Notes) -> Result<Split, Failure> {
    let fields = at.object()?;
    let columns = fields.get("column").map_or_else(|| Ok(Vec::new()), |at| at.texts())?;
    if !columns.is_empty() {
        let text = match columns.len() {
            1 => "the identifiers of a split are read from the key's column, or from the only column",
            _ => {
                "the pairs of a split are read from columns that are named as the ends in the table of the edges"
            }
        };
        notes.changed(fields.path_of("column"), text);
    }
    let train = part(&fields, "train", notes)?;
    let valid =
        if fields.has("valid") { part(&fields, "valid", notes)? } else { part(&fields, "val", notes)? };
    let test = part(&fields, "test", notes)?;
    fields.get("valid");
    fields.get("val");
    fields.report_rest(notes);
    if train.is_none() {
        notes.lost(&at.path, "a split has training rows: without any there is no split");
        return Ok(Split::None);
    }
    Ok(Split::Files([train, valid, test]))
}

fn part(fields: &Fields, key: &str, notes: &mut Notes) -> Result<Option<Table>, Failure> {
    let Some(at) = fields.get(key) else { return Ok(None) };
    let files = at.texts()?;
    if files.len() > 1 {
        let text = "GSL reads one path for each part of a split, which may be a folder or a glob: \
                    the first is kept";
        notes.lost(&at.path, text);
    }
    let Some(first) = files.into_iter().next() else { return Ok(None) };
    let json = first.ends_with(".json") || first.ends_with(".jsonl");
    let format = if json { Format::Json } else { Format::Parquet };
    Ok(Some(Table { at: at.path, format, files: vec![first] }))
}

fn remark_split(split: &Split, at: &str, notes: &mut Notes) {
    if matches!(split, Split::Random(_)) {
        notes.changed(
            at,
            "`random` puts each row where a hash of the graph's seed and its identifier says, over the whole table; \
             GraphStorm draws in each file, with no seed: other rows, the same shares",
        );
    }
    if let Split::Files(tables) = split
        && tables.iter().flatten().any(|t| t.format == Format::Json)
    {
        notes.changed(
            at,
            "a table of identifiers in JSON has a record on each line, such as {\"id\": \"p1\"}",
        );
    }
}
