//! `config.json`: which architecture, and its sizes.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Problem, Result, TextError};

/// Architectures that differ in names of tensors, in positions, or in what a token's embedding is the sum of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Devlin et al. 2019; MiniLM and others say `bert` as well.
    Bert,
    /// Sanh et al. 2019: no segments, no pooler.
    DistilBert,
    /// Liu et al. 2019: positions are counted from behind the padding's identifier.
    Roberta,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x)
    Gelu,
    /// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
    GeluTanh,
    Relu,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub family: Family,
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// Rows of the table of positions.
    pub positions: usize,
    /// The row of the first token.
    pub first_position: usize,
    /// Rows of the table of segments; 0: the family has none.
    pub segments: usize,
    pub vocabulary: usize,
    pub epsilon: f32,
    pub activation: Activation,
}

const FAMILIES: [(&str, Family); 4] = [
    ("bert", Family::Bert),
    ("distilbert", Family::DistilBert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
];
const KNOWN: &[&str] = &["bert", "distilbert", "roberta", "xlm-roberta"];

impl Config {
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read(file).map_err(|e| TextError::io(file, e))?;
        Self::parse(&text).map_err(|problem| TextError::new(file, problem))
    }

    fn parse(text: &[u8]) -> Result<Self, Problem> {
        let json: Map<String, Value> =
            serde_json::from_slice(text).map_err(|e| Problem::Json { reason: e.to_string() })?;
        let found = json.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
        let family = FAMILIES.iter().find(|(name, _)| *name == found).map(|(_, family)| *family);
        let family = family.ok_or_else(|| Problem::ModelType { found: found.to_owned(), known: KNOWN })?;
        plain(&json)?;
        let config = match family {
            Family::DistilBert => distilbert(&json)?,
            Family::Bert | Family::Roberta => bert(&json, family)?,
        };
        config.checked()
    }

    /// Tokens that a text can have.
    pub fn longest(&self) -> usize {
        self.positions - self.first_position
    }

    fn checked(self) -> Result<Self, Problem> {
        if !self.hidden.is_multiple_of(self.heads) {
            let expected = format!("a divisor of the hidden size {}", self.hidden);
            return Err(wrong("num_attention_heads", self.heads, expected));
        }
        if self.positions <= self.first_position {
            let expected = format!("more than {}", self.first_position);
            return Err(wrong("max_position_embeddings", self.positions, expected));
        }
        Ok(self)
    }
}

fn bert(json: &Map<String, Value>, family: Family) -> Result<Config, Problem> {
    let first_position = match family {
        Family::Roberta => size_or(json, "pad_token_id", 1)? + 1,
        _ => 0,
    };
    Ok(Config {
        family,
        layers: size(json, "num_hidden_layers")?,
        hidden: size(json, "hidden_size")?,
        heads: size(json, "num_attention_heads")?,
        inner: size(json, "intermediate_size")?,
        positions: size(json, "max_position_embeddings")?,
        first_position,
        segments: size_or(json, "type_vocab_size", 2)?,
        vocabulary: size(json, "vocab_size")?,
        epsilon: epsilon(json)?,
        activation: activation(json, "hidden_act")?,
    })
}

fn distilbert(json: &Map<String, Value>) -> Result<Config, Problem> {
    Ok(Config {
        family: Family::DistilBert,
        layers: size(json, "n_layers")?,
        hidden: size(json, "dim")?,
        heads: size(json, "n_heads")?,
        inner: size(json, "hidden_dim")?,
        positions: size(json, "max_position_embeddings")?,
        first_position: 0,
        segments: 0,
        vocabulary: size(json, "vocab_size")?,
        epsilon: 1e-12,
        activation: activation(json, "activation")?,
    })
}

/// Settings that change the formulas, and that no reader here knows.
fn plain(json: &Map<String, Value>) -> Result<(), Problem> {
    for (key, usual) in [
        ("position_embedding_type", Value::from("absolute")),
        ("is_decoder", Value::from(false)),
        ("add_cross_attention", Value::from(false)),
    ] {
        match json.get(key) {
            None | Some(Value::Null) => {}
            Some(value) if *value == usual => {}
            Some(value) => return Err(wrong(key, value, usual.to_string())),
        }
    }
    Ok(())
}

fn size(json: &Map<String, Value>, key: &'static str) -> Result<usize, Problem> {
    let value = json.get(key).unwrap_or(&Value::Null);
    let found = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=1 << 24).contains(n));
    found.ok_or_else(|| wrong(key, value, "a whole number from 1".into()))
}

fn size_or(json: &Map<String, Value>, key: &'static str, otherwise: usize) -> Result<usize, Problem> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(otherwise),
        Some(Value::Number(n)) if n.as_u64() == Some(0) => Ok(0),
        Some(_) => size(json, key),
    }
}

fn epsilon(json: &Map<String, Value>) -> Result<f32, Problem> {
    let value = json.get("layer_norm_eps").cloned().unwrap_or(Value::from(1e-12));
    let found = value.as_f64().filter(|x| (0.0..1.0).contains(x));
    found.map(|x| x as f32).ok_or_else(|| wrong("layer_norm_eps", value, "a small number".into()))
}

fn activation(json: &Map<String, Value>, key: &'static str) -> Result<Activation, Problem> {
    let value = json.get(key).cloned().unwrap_or(Value::from("gelu"));
    match value.as_str() {
        Some("gelu") => Ok(Activation::Gelu),
        Some("gelu_new" | "gelu_fast" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        Some("relu") => Ok(Activation::Relu),
        _ => Err(wrong(key, value, "gelu, gelu_new, gelu_fast, gelu_pytorch_tanh or relu".into())),
    }
}

fn wrong(key: &'static str, found: impl std::fmt::Display, expected: String) -> Problem {
    Problem::Setting { key, found: found.to_string(), expected }
}
