//! The encoder: its weights by the names that the families give them, and the forward pass over a group of texts.
//!
//! Texts of a group lie one behind the other, without padding between them. Products run over blocks of [`BLOCK`] rows, always
//! whole ones: the rest of the last block is zeros. So a row is multiplied by the same instructions wherever it stands, and
//! its bits depend on nothing else.

use std::path::Path;
use std::sync::OnceLock;

use gsl_kernels::{Input, Output, RowProgram, Shape, Start, linear, map_rows};
use rayon::prelude::*;

use crate::attention::{Heads, attend};
use crate::config::{Config, Family};
use crate::error::{Problem, Result, TextError};
use crate::folder::{self, About};
use crate::programs;
use crate::weights::{Tensor, Weights};

/// Rows of every product.
pub const BLOCK: usize = 64;

pub struct Encoder {
    config: Config,
    words: Tensor,
    positions: Tensor,
    segments: Option<Tensor>,
    norm: Norm,
    layers: Vec<Layer>,
    pooler: Option<Dense>,
    programs: Programs,
}

struct Layer {
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
    attention_norm: Norm,
    inner: Dense,
    outer: Dense,
    norm: Norm,
}

/// `x @ weightᵀ + bias`, with weight out × in as the file has it.
struct Dense {
    weight: Tensor,
    bias: Tensor,
    /// in × out, made when it is first used: packing columns for every block took a third of the time.
    turned: OnceLock<Vec<f32>>,
}

struct Norm {
    scale: Tensor,
    shift: Tensor,
}

struct Programs {
    /// Sum of the embeddings of a token, normalised.
    embed: RowProgram,
    /// What goes in plus what came out, normalised.
    residual: RowProgram,
    activation: RowProgram,
    tanh: RowProgram,
}

/// Tokens of several texts.
#[derive(Debug, Default)]
pub struct Group {
    pub ids: Vec<u32>,
    pub types: Vec<u32>,
    pub positions: Vec<u32>,
    /// Where each text begins, and where the last one ends.
    pub starts: Vec<usize>,
}

/// Memory of a forward pass, kept from group to group. rows × hidden, but `wide` and `bent`: rows × inner.
#[derive(Default)]
pub struct Scratch {
    x: Vec<f32>,
    y: Vec<f32>,
    z: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    wide: Vec<f32>,
    bent: Vec<f32>,
}

/// The names of tensors in one family.
struct Names {
    family: &'static str,
    layer: &'static str,
    dense: [&'static str; 6],
    norms: [&'static str; 2],
}

const BERT: Names = Names {
    family: "bert.",
    layer: "encoder.layer",
    dense: [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ],
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
};
const ROBERTA: Names = Names { family: "roberta.", ..BERT };
const DISTILBERT: Names = Names {
    family: "distilbert.",
    layer: "transformer.layer",
    dense: [
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
    ],
    norms: ["sa_layer_norm", "output_layer_norm"],
};

/// Reads tensors under a prefix.
struct Reader<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl Reader<'_> {
    fn at(&self, part: &str) -> Reader<'_> {
        Reader { weights: self.weights, prefix: format!("{}{part}.", self.prefix) }
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.weights.tensor(&format!("{}{name}", self.prefix), shape)
    }

    fn dense(&self, name: &str, input: usize, output: usize) -> Result<Dense> {
        let part = self.at(name);
        let (weight, bias) = (part.tensor("weight", &[output, input])?, part.tensor("bias", &[output])?);
        Ok(Dense { weight, bias, turned: OnceLock::new() })
    }

    /// Old files say gamma and beta.
    fn norm(&self, name: &str, width: usize) -> Result<Norm> {
        let part = self.at(name);
        let [weight, gamma, bias, beta] =
            ["weight", "gamma", "bias", "beta"].map(|end| format!("{}{end}", part.prefix));
        let scale = self.weights.either([&weight, &gamma]);
        let shift = self.weights.either([&bias, &beta]);
        Ok(Norm {
            scale: self.weights.tensor(scale, &[width])?,
            shift: self.weights.tensor(shift, &[width])?,
        })
    }
}

impl Encoder {
    /// # Errors
    /// A tensor is missing, misshapen, or of a type that is not read.
    pub fn open(folder: &Path, config: &Config) -> Result<Self> {
        let weights = Weights::open(&folder::weights(folder)?)?;
        let names = match config.family {
            Family::Bert => BERT,
            Family::Roberta => ROBERTA,
            Family::DistilBert => DISTILBERT,
        };
        let table = "embeddings.word_embeddings.weight";
        let prefixed = !weights.has(table) && weights.has(&format!("{}{table}", names.family));
        let prefix = if prefixed { names.family } else { "" };
        let top = Reader { weights: &weights, prefix: prefix.to_owned() };
        let (hidden, embeddings) = (config.hidden, top.at("embeddings"));
        let segments = (config.segments > 0)
            .then(|| embeddings.tensor("token_type_embeddings.weight", &[config.segments, hidden]));
        let layer = |index: usize| layer(&top.at(&format!("{}.{index}", names.layer)), &names, config);
        let pooled = weights.has(&format!("{prefix}pooler.dense.weight"));
        Ok(Encoder {
            words: embeddings.tensor("word_embeddings.weight", &[config.vocabulary, hidden])?,
            positions: embeddings.tensor("position_embeddings.weight", &[config.positions, hidden])?,
            segments: segments.transpose()?,
            norm: embeddings.norm("LayerNorm", hidden)?,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            pooler: pooled.then(|| top.dense("pooler.dense", hidden, hidden)).transpose()?,
            programs: Programs::new(config),
            config: config.clone(),
        })
    }

    pub fn about(&self) -> About {
        About { width: self.config.hidden, positions: self.config.longest(), pooler: self.pooler.is_some() }
    }

    /// The output of the last layer: a row for each token of the group, and zeros or worse behind them.
    pub fn forward<'s>(&self, group: &Group, scratch: &'s mut Scratch) -> &'s [f32] {
        let tokens = group.ids.len();
        scratch.fit(tokens.next_multiple_of(BLOCK), &self.config);
        self.embed(group, &mut scratch.x);
        for layer in &self.layers {
            self.layer(layer, &group.starts, tokens, scratch);
        }
        &scratch.x
    }

    /// `tanh(x W + b)` of rows × hidden.
    pub fn pool(&self, x: &[f32]) -> Option<Vec<f32>> {
        let pooler = self.pooler.as_ref()?;
        let hidden = self.config.hidden;
        let rows = x.len() / hidden;
        let mut whole = x.to_vec();
        whole.resize(rows.next_multiple_of(BLOCK) * hidden, 0.0);
        let mut out = vec![0.0; whole.len()];
        pooler.apply(&whole, &mut out);
        let mut bent = vec![0.0; rows * hidden];
        run(&self.programs.tanh, &[Input::new(&out[..rows * hidden])], &mut bent);
        Some(bent)
    }

    fn embed(&self, group: &Group, x: &mut [f32]) {
        let mut inputs = vec![
            Input::gathered(&self.words[..], &group.ids),
            Input::gathered(&self.positions[..], &group.positions),
        ];
        inputs.extend(self.segments.as_ref().map(|table| Input::gathered(&table[..], &group.types)));
        inputs.extend(self.norm.inputs());
        let real = group.ids.len() * self.config.hidden;
        run(&self.programs.embed, &inputs, &mut x[..real]);
        x[real..].fill(0.0);
    }

    fn layer(&self, layer: &Layer, starts: &[usize], tokens: usize, scratch: &mut Scratch) {
        let Scratch { x, y, z, query, key, value, wide, bent } = scratch;
        let Config { hidden, heads, .. } = self.config;
        layer.query.apply(x, query);
        layer.key.apply(x, key);
        layer.value.apply(x, value);
        let cut = Heads { starts, heads, width: hidden / heads };
        attend(cut, query, key, value, &mut y[..tokens * hidden]);
        layer.output.apply(y, z);
        self.residual(x, z, &layer.attention_norm, y);
        layer.inner.apply(y, wide);
        run(&self.programs.activation, &[Input::new(&wide[..])], bent);
        layer.outer.apply(bent, z);
        self.residual(y, z, &layer.norm, x);
    }

    fn residual(&self, x: &[f32], y: &[f32], norm: &Norm, out: &mut [f32]) {
        let [scale, shift] = norm.inputs();
        run(&self.programs.residual, &[Input::new(x), Input::new(y), scale, shift], out);
    }
}

fn layer(part: &Reader, names: &Names, config: &Config) -> Result<Layer> {
    let Config { hidden, inner, .. } = *config;
    let [query, key, value, output, first, second] = names.dense;
    Ok(Layer {
        query: part.dense(query, hidden, hidden)?,
        key: part.dense(key, hidden, hidden)?,
        value: part.dense(value, hidden, hidden)?,
        output: part.dense(output, hidden, hidden)?,
        attention_norm: part.norm(names.norms[0], hidden)?,
        inner: part.dense(first, hidden, inner)?,
        outer: part.dense(second, inner, hidden)?,
        norm: part.norm(names.norms[1], hidden)?,
    })
}

/// Evaluates the last register of a program for the rows of `out`.
fn run(program: &RowProgram, inputs: &[Input], out: &mut [f32]) {
    let last = program.instrs().len() - 1;
    let rows = out.len() / program.width(last);
    map_rows(program, inputs, rows, &mut [Output::new(last, out)]);
}

impl Dense {
    /// Block by block; both hold whole blocks.
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        let to = self.bias.len();
        let from = self.weight.len() / to;
        let turned = self.turned.get_or_init(|| transposed(&self.weight, from, to));
        let shape = Shape { rows: BLOCK, batch: 1, k: from, n: to };
        out.par_chunks_exact_mut(BLOCK * to).zip(x.par_chunks_exact(BLOCK * from)).for_each(|(out, x)| {
            linear(shape, x, None, turned, Start::Bias(&self.bias), out);
        });
    }
}

/// `to × from` to `from × to`. On one thread: it runs where others wait for it, and a thread that waits may take their work.
fn transposed(weight: &[f32], from: usize, to: usize) -> Vec<f32> {
    let mut turned = vec![0.0; weight.len()];
    for (column, row) in turned.chunks_exact_mut(to).enumerate() {
        row.iter_mut().enumerate().for_each(|(at, x)| *x = weight[at * from + column]);
    }
    turned
}

impl Norm {
    fn inputs(&self) -> [Input<'_>; 2] {
        [Input::new(&self.scale[..]), Input::new(&self.shift[..])]
    }
}

impl Programs {
    fn new(config: &Config) -> Self {
        let parts = if config.segments > 0 { 3 } else { 2 };
        Programs {
            embed: programs::layer_norm(parts, config.hidden, config.epsilon),
            residual: programs::layer_norm(2, config.hidden, config.epsilon),
            activation: programs::activation(config.activation, config.inner),
            tanh: programs::tanh(config.hidden),
        }
    }
}

impl Scratch {
    fn fit(&mut self, rows: usize, config: &Config) {
        let Scratch { x, y, z, query, key, value, wide, bent } = self;
        for narrow in [x, y, z, query, key, value] {
            narrow.resize(rows * config.hidden, 0.0);
        }
        for broad in [wide, bent] {
            broad.resize(rows * config.inner, 0.0);
        }
    }
}

impl Group {
    pub fn clear(&mut self) {
        [&mut self.ids, &mut self.types, &mut self.positions].into_iter().for_each(Vec::clear);
        self.starts.clear();
        self.starts.push(0);
    }

    /// Adds a text; `first` is the position of its first token.
    pub fn push(&mut self, ids: &[u32], types: &[u32], first: usize) {
        self.ids.extend_from_slice(ids);
        self.types.extend_from_slice(types);
        self.positions.extend((first as u32..).take(ids.len()));
        self.starts.push(self.ids.len());
    }
}

/// # Errors
/// A row of the table of embeddings is wanted that is not there.
pub fn check_vocabulary(file: &Path, last: u32, config: &Config) -> Result<()> {
    match (last as usize) < config.vocabulary {
        true => Ok(()),
        false => Err(TextError::new(file, Problem::TokenBeyond { id: last, rows: config.vocabulary })),
    }
}
