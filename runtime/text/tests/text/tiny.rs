//! A tiny random model, written as a folder, and texts for it.

use std::collections::BTreeMap;
use std::path::Path;

use gsl_kernels::random::Key;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

pub const HIDDEN: usize = 32;
pub const HEADS: usize = 4;
pub const INNER: usize = 160;
pub const LAYERS: usize = 2;
pub const POSITIONS: usize = 24;

/// Tokens of the vocabulary, by their identifiers; then the letters and `##` letters, so that every word can be cut.
const WORDS: [&str; 20] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "graph", "node", "edge", "of", "the", "a", "layer", "sum", "mean",
    "##s", "##ing", "learn", "batch", "rain", "cake", "sugar",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bert,
    DistilBert,
    Roberta,
}

/// Names of tensors, and their numbers with their shapes.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

pub fn vocabulary() -> Vec<String> {
    let letters = ('a'..='z').flat_map(|c| [c.to_string(), format!("##{c}")]);
    WORDS.iter().map(|w| w.to_string()).chain(letters).collect()
}

/// Names in a layer: query, key, value, output, the two of the feed-forward part; and the two norms.
pub struct Names {
    pub dense: [String; 6],
    pub norms: [String; 2],
}

pub fn names(kind: Kind, layer: usize) -> Names {
    let (stem, dense, norms) = match kind {
        Kind::DistilBert => (
            "transformer.layer",
            [
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "ffn.lin1",
                "ffn.lin2",
            ],
            ["sa_layer_norm", "output_layer_norm"],
        ),
        _ => (
            "encoder.layer",
            [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
                "intermediate.dense",
                "output.dense",
            ],
            ["attention.output.LayerNorm", "output.LayerNorm"],
        ),
    };
    let full = |name: &str| format!("{stem}.{layer}.{name}");
    Names { dense: dense.map(full), norms: norms.map(full) }
}

/// The tokenizer of a folder; like those of real models, with truncation and padding of its own.
pub fn tokenizer() -> Value {
    let vocabulary: BTreeMap<String, usize> =
        vocabulary().into_iter().enumerate().map(|(i, w)| (w, i)).collect();
    let special = |id: usize| {
        json!({ "id": id, "content": WORDS[id], "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false })
    };
    let around = |name: &str, id: usize| json!({ "id": name, "ids": [id], "tokens": [name] });
    let of = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    json!({
        "version": "1.0",
        "truncation": { "max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right" },
        "padding": { "strategy": { "Fixed": 6 }, "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" },
        "added_tokens": [special(0), special(1), special(2), special(3)],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [of("[CLS]"), text, of("[SEP]")],
            "pair": [of("[CLS]"), text, of("[SEP]")],
            "special_tokens": { "[CLS]": around("[CLS]", 2), "[SEP]": around("[SEP]", 3) }
        },
        "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": vocabulary }
    })
}

pub fn config(kind: Kind) -> Value {
    let words = vocabulary().len();
    match kind {
        Kind::DistilBert => json!({
            "model_type": "distilbert", "dim": HIDDEN, "n_heads": HEADS, "n_layers": LAYERS, "hidden_dim": INNER,
            "max_position_embeddings": POSITIONS, "vocab_size": words, "activation": "relu"
        }),
        Kind::Bert | Kind::Roberta => json!({
            "model_type": if kind == Kind::Bert { "bert" } else { "roberta" },
            "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS,
            "intermediate_size": INNER, "max_position_embeddings": POSITIONS, "vocab_size": words,
            "type_vocab_size": if kind == Kind::Bert { 2 } else { 1 },
            "hidden_act": if kind == Kind::Bert { "gelu" } else { "gelu_new" },
            "layer_norm_eps": if kind == Kind::Bert { 1e-12 } else { 1e-5 },
            "pad_token_id": 0
        }),
    }
}

/// Random weights under the names of the kind.
pub fn tensors(kind: Kind) -> Tensors {
    let words = vocabulary().len();
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![words, HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, HIDDEN]),
    ];
    norm(&mut shapes, "embeddings.LayerNorm");
    match kind {
        Kind::DistilBert => {}
        _ => {
            let segments = if kind == Kind::Bert { 2 } else { 1 };
            shapes.push(("embeddings.token_type_embeddings.weight".to_owned(), vec![segments, HIDDEN]));
            dense(&mut shapes, "pooler.dense", HIDDEN, HIDDEN);
        }
    }
    for layer in 0..LAYERS {
        let names = names(kind, layer);
        for name in &names.dense[..4] {
            dense(&mut shapes, name, HIDDEN, HIDDEN);
        }
        dense(&mut shapes, &names.dense[4], HIDDEN, INNER);
        dense(&mut shapes, &names.dense[5], INNER, HIDDEN);
        names.norms.iter().for_each(|name| norm(&mut shapes, name));
    }
    shapes.into_iter().enumerate().map(|(index, (name, shape))| filled(index, name, shape)).collect()
}

fn norm(shapes: &mut Vec<(String, Vec<usize>)>, name: &str) {
    shapes.push((format!("{name}.weight"), vec![HIDDEN]));
    shapes.push((format!("{name}.bias"), vec![HIDDEN]));
}

fn dense(shapes: &mut Vec<(String, Vec<usize>)>, name: &str, input: usize, output: usize) {
    shapes.push((format!("{name}.weight"), vec![output, input]));
    shapes.push((format!("{name}.bias"), vec![output]));
}

fn filled(index: usize, name: String, shape: Vec<usize>) -> (String, (Vec<usize>, Vec<f32>)) {
    let mut numbers = vec![0.0; shape.iter().product()];
    Key::new(7, index as u32).fill_normal(&mut numbers, 0.3);
    if name.ends_with("Norm.weight") || name.ends_with("norm.weight") {
        numbers.iter_mut().for_each(|x| *x += 1.0);
    }
    (name, (shape, numbers))
}

/// How numbers are stored.
pub fn bytes(numbers: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => numbers.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect(),
        Dtype::BF16 => numbers.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

pub fn write_weights(folder: &Path, tensors: &Tensors, dtype: Dtype) {
    let stored: Vec<(&String, &Vec<usize>, Vec<u8>)> =
        tensors.iter().map(|(name, (shape, numbers))| (name, shape, bytes(numbers, dtype))).collect();
    let views = stored.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(dtype, shape.to_vec(), bytes).expect("a tensor"))
    });
    let file = safetensors::serialize(views, None).expect("a file of weights");
    std::fs::write(folder.join("model.safetensors"), file).expect("written");
}

pub fn write(folder: &Path, name: &str, value: &Value) {
    std::fs::write(folder.join(name), value.to_string()).expect("written");
}

/// A whole model.
pub fn model(kind: Kind) -> (tempfile::TempDir, Tensors) {
    let folder = tempfile::tempdir().expect("a folder");
    let tensors = tensors(kind);
    write(folder.path(), "tokenizer.json", &tokenizer());
    write(folder.path(), "config.json", &config(kind));
    write_weights(folder.path(), &tensors, Dtype::F32);
    (folder, tensors)
}

/// Texts of many lengths; some missing, one empty, some too long.
pub fn texts(count: usize) -> Vec<Option<String>> {
    let key = Key::new(11, 0);
    let text = |row: usize| {
        let key = key.fold(row as u64);
        let words = key.below_at(0, 16) as usize;
        let word = |at: usize| match key.below_at(at as u64 + 2, 24) {
            id if id < 16 => WORDS[4 + id as usize].replace("##", "x"),
            id => ["Wörter", "(x)", "ünïcode", "42", "graphs", "summing", "learns!", "日本"][id as usize % 8]
                .into(),
        };
        (0..words).map(word).collect::<Vec<_>>().join(" ")
    };
    (0..count).map(|row| (row % 7 != 3).then(|| text(row))).collect()
}

pub fn refs(texts: &[Option<String>]) -> Vec<Option<&str>> {
    texts.iter().map(Option::as_deref).collect()
}
