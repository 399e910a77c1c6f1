//! Tokens: the length is the caller's, whatever the tokenizer's file says.

use crate::tiny::{Kind, model, vocabulary};
use gsl_text::{TextModel, Tokenizer};

fn named(ids: &[u32]) -> Vec<String> {
    ids.iter().map(|&id| vocabulary()[id as usize].clone()).collect()
}

#[test]
fn rows_have_the_length_that_is_asked_for() {
    let (folder, _) = model(Kind::Bert);
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    let texts = [Some("The graphs, learning"), None, Some(""), Some("sum of the mean of a node")];
    let tokens = tokenizer.tokens(&texts, 8).unwrap();
    assert_eq!(tokens.truncated, [false, false, false, true]);
    let rows: Vec<Vec<String>> = tokens.ids.chunks(8).map(named).collect();
    let pad = "[PAD]";
    assert_eq!(rows[0], ["[CLS]", "the", "graph", "##s", "[UNK]", "learn", "##ing", "[SEP]"]);
    assert_eq!(rows[1], [pad; 8]);
    assert_eq!(rows[2], ["[CLS]", "[SEP]", pad, pad, pad, pad, pad, pad]);
    assert_eq!(rows[3], ["[CLS]", "sum", "of", "the", "mean", "of", "a", "[SEP]"]);
    let masks: Vec<u32> = tokens.mask.chunks(8).map(|row| row.iter().map(|&m| u32::from(m)).sum()).collect();
    assert_eq!(masks, [8, 0, 2, 8]);
    assert_eq!(tokens.types, [0; 32]);
}

#[test]
fn a_tokenizer_alone_is_enough() {
    let (folder, _) = model(Kind::Bert);
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(Tokenizer::open(folder.path()).unwrap().tokens(&[Some("node")], 3).unwrap().ids, [2, 5, 3]);
    assert_eq!(TextModel::open(folder.path()).err().unwrap().code(), "missing_file");
}

#[test]
fn too_short_and_broken_are_refused() {
    let (folder, _) = model(Kind::Bert);
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    let error = tokenizer.tokens(&[Some("node")], 2).unwrap_err();
    assert_eq!((error.code(), error.help().as_deref()), ("length", Some("write `length: 3` or more")));
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert_eq!(Tokenizer::open(folder.path()).err().unwrap().code(), "tokenizer");
}
