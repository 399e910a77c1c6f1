//! Transforms that both construction dialects have, as stages of a GSL feature.

use super::fields::{At, Fields};
use super::notes::Notes;
use super::schema::Feature;
use super::text;
use crate::source::Failure;

/// What a transform makes of each column of a feature.
#[derive(Debug, Default)]
pub struct Stages {
    pub stages: Vec<String>,
    pub divisor: Option<f64>,
    pub is_tokens: bool,
    /// Columns of several of which nothing can be made in one go.
    pub single: bool,
    /// Nothing of the feature can be carried over.
    pub lost: bool,
    /// The result is whole numbers, which int8 keeps as they are.
    pub is_whole: bool,
}

impl Stages {
    pub fn of(stage: impl Into<String>) -> Self {
        Stages { stages: vec![stage.into()], ..Stages::default() }
    }

    pub fn fill(self, feature: &mut Feature) {
        (feature.stages, feature.divisor, feature.is_tokens) = (self.stages, self.divisor, self.is_tokens);
    }
}

/// Keys of nodes, which are no numbers: they stand alone in a feature, as a call.
pub const CANDIDATES: &str = "candidates";

pub const TRAINING_ROWS: &str =
    "what is learned of a column comes from the training rows alone; GraphStorm looks at all rows";

/// `vector(separator: ";", take: 16)`; a column as it is where neither is asked for.
pub fn plain(fields: &Fields) -> Result<Stages, Failure> {
    let mut arguments = Vec::new();
    if let Some(separator) = fields.text("separator")? {
        arguments.push(format!("separator: {}", text::string(&separator)));
    }
    if let Some(take) = fields.get("truncate_dim") {
        arguments.push(format!("take: {}", take.count()?));
    }
    if arguments.is_empty() {
        return Ok(Stages::default());
    }
    Ok(Stages::of(format!("vector({})", arguments.join(", "))))
}

/// `x / sum of the column`: what GraphStorm calls "standard".
pub fn share_of_sum(notes: &mut Notes, at: &str) -> Stages {
    notes.changed(at, TRAINING_ROWS);
    Stages::of("sum_normalize")
}

pub fn gauss_rank(fields: &Fields, notes: &mut Notes, at: &str) -> Result<Stages, Failure> {
    notes.changed(
        at,
        "`gauss_rank` is the inverse of the normal distribution, √2 times GraphStorm's erfinv; equal values share a \
         rank; new data is placed among the training rows",
    );
    if let Some(epsilon) = fields.get("epsilon") {
        epsilon.number()?;
        notes.lost(epsilon.path, "ranks are kept half a rank from the ends");
    }
    Ok(Stages::of("gauss_rank"))
}

/// `bucket(count: 10, from: 0, to: 100, window: 5)`
pub fn bucket(fields: &Fields) -> Result<Stages, Failure> {
    let count = fields.need("bucket_cnt")?.count()?;
    let range = fields.need("range")?;
    let ends = range.list()?.iter().map(At::number).collect::<Result<Vec<f64>, _>>()?;
    let [from, to] = ends[..] else { return Err(range.wrong("two numbers: the lower and the upper end")) };
    if from >= to {
        return Err(range.wrong("a lower end below the upper one"));
    }
    let mut call = format!("bucket(count: {count}, from: {}, to: {}", text::number(from), text::number(to));
    if let Some(window) = fields.number("slide_window_size")?.filter(|w| *w != 0.0) {
        call += &format!(", window: {}", text::number(window));
    }
    Ok(Stages { single: true, is_whole: true, ..Stages::of(call + ")") })
}

/// One column per value, or with a separator one per word of the cell.
pub fn words(separator: Option<String>, otherwise: &str) -> Stages {
    let stage = separator.map_or_else(
        || otherwise.to_owned(),
        |separator| format!("multi_hot(separator: {})", text::string(&separator)),
    );
    Stages { single: true, is_whole: true, ..Stages::of(stage) }
}

/// A language model: its tokens, or its pooled output.
pub fn language_model(model: &At, length: &At, tokens: bool, notes: &mut Notes) -> Result<Stages, Failure> {
    notes
        .changed(&model.path, "GSL downloads nothing: the text is the path of a folder that holds the model");
    let (model, length) = (text::string(model.text()?), length.count()?);
    let call = match tokens {
        true => format!("tokens({model}, length: {length})"),
        false => format!("embed({model}, length: {length}, pool: pooler)"),
    };
    Ok(Stages { is_tokens: tokens, single: true, ..Stages::of(call) })
}

/// `candidates(hard, separator: ";")`: a column of destination keys, of edges only.
pub fn candidates(fields: &Fields, on_edges: bool) -> Result<Stages, Failure> {
    if !on_edges {
        let message = format!("`{}`: hard negatives are destinations of edges", fields.path);
        return Err(Failure::new(message).help("move the feature to the block of the relation"));
    }
    let stage = fields.text("separator")?.map_or_else(
        || CANDIDATES.to_owned(),
        |separator| format!("{CANDIDATES}(separator: {})", text::string(&separator)),
    );
    Ok(Stages { single: true, ..Stages::of(stage) })
}

/// How the feature is kept, of GraphStorm's `out_dtype`.
pub fn storage(at: &At, stages: &Stages, notes: &mut Notes) -> Result<Option<&'static str>, Failure> {
    let word = at.word(&["float16", "float32", "float64", "int8"])?;
    if stages.stages.iter().any(|stage| stage.starts_with(CANDIDATES)) {
        notes.needless(&at.path, "candidates are keys of nodes, and no numbers");
        return Ok(None);
    }
    match word {
        "float64" => notes.lost(&at.path, "features are kept in 32 bits at most: float32"),
        "int8" if !stages.is_whole => notes.changed(
            &at.path,
            "`int8` keeps round(x / scale) with a scale for each column; GraphStorm cuts off what is behind the point",
        ),
        _ => {}
    }
    Ok(match word {
        "float16" => Some("float16"),
        "int8" => Some("int8"),
        _ => None,
    })
}
