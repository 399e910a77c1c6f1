//! The encoder against a slow one, and against itself in other company.

use std::path::Path;

use crate::slow::Slow;
use crate::tiny;
use crate::tiny::{Kind, model, refs, texts, write, write_weights};
use gsl_text::{Pool, TextModel, fingerprint, look};
use safetensors::tensor::Dtype;
use serde_json::json;

const LENGTH: usize = 12;

fn rows(data: &[f32]) -> impl Iterator<Item = &[f32]> {
    data.chunks_exact(tiny::HIDDEN)
}

fn slow_vector(slow: &Slow, ids: &[u32], pool: Pool) -> Vec<f64> {
    let hidden = slow.hidden(ids);
    match pool {
        Pool::Cls => hidden[0].clone(),
        Pool::Pooler => slow.pooler(&hidden[0]),
        Pool::Mean => {
            let column = |c: usize| hidden.iter().map(|row| row[c]).sum::<f64>() / hidden.len() as f64;
            (0..tiny::HIDDEN).map(column).collect()
        }
    }
}

#[test]
fn every_family_and_pool_agrees_with_a_slow_one() {
    let texts = texts(40);
    for kind in [Kind::Bert, Kind::DistilBert, Kind::Roberta] {
        let (folder, tensors) = model(kind);
        let slow = Slow { kind, tensors: &tensors };
        let model = TextModel::open(folder.path()).unwrap();
        let tokens = model.tokens(&refs(&texts), LENGTH).unwrap();
        let pools = if kind == Kind::DistilBert { 2 } else { 3 };
        for pool in [Pool::Mean, Pool::Cls, Pool::Pooler].into_iter().take(pools) {
            let found = model.embed(&refs(&texts), LENGTH, pool).unwrap();
            assert!(found.truncated.contains(&true));
            for (row, vector) in rows(&found.data).enumerate() {
                let count: usize =
                    tokens.mask[row * LENGTH..(row + 1) * LENGTH].iter().map(|&m| m as usize).sum();
                if texts[row].is_none() {
                    assert!(count == 0 && vector.iter().all(|&x| x == 0.0));
                    continue;
                }
                let ids = &tokens.ids[row * LENGTH..row * LENGTH + count];
                for (x, y) in vector.iter().zip(slow_vector(&slow, ids, pool)) {
                    assert!((f64::from(*x) - y).abs() < 2e-5, "{kind:?} {pool:?} {row}: {x} and {y}");
                }
            }
        }
    }
}

#[test]
fn a_text_does_not_depend_on_its_company() {
    let (folder, _) = model(Kind::Bert);
    let model = TextModel::open(folder.path()).unwrap();
    let texts = texts(1500);
    let together = model.embed(&refs(&texts), LENGTH, Pool::Mean).unwrap();
    for (row, text) in texts.iter().enumerate().step_by(23) {
        let alone = model.embed(&[text.as_deref()], LENGTH, Pool::Mean).unwrap();
        assert_eq!(alone.data, together.data[row * tiny::HIDDEN..(row + 1) * tiny::HIDDEN], "{row}");
    }
    let backwards: Vec<Option<String>> = texts.iter().rev().cloned().collect();
    let turned = model.embed(&refs(&backwards), LENGTH, Pool::Mean).unwrap();
    assert!(rows(&turned.data).rev_eq(&together.data));
}

/// Whether rows, from the last to the first, are these.
trait RevEq {
    fn rev_eq(self, rows: &[f32]) -> bool;
}

impl<'a, I: Iterator<Item = &'a [f32]>> RevEq for I {
    fn rev_eq(self, data: &[f32]) -> bool {
        let mut own: Vec<&[f32]> = self.collect();
        own.reverse();
        own.concat() == data
    }
}

#[test]
fn a_text_does_not_depend_on_threads() {
    let (folder, _) = model(Kind::Bert);
    let texts = texts(700);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = TextModel::open(folder.path()).unwrap();
            (
                model.embed(&refs(&texts), LENGTH, Pool::Pooler).unwrap(),
                model.tokens(&refs(&texts), 9).unwrap(),
            )
        })
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn half_precision_and_prefixed_weights_are_read() {
    let (folder, tensors) = model(Kind::Bert);
    let texts = texts(6);
    let embed =
        || TextModel::open(folder.path()).unwrap().embed(&refs(&texts), LENGTH, Pool::Cls).unwrap().data;
    let exact = embed();
    let prefixed = tensors.iter().map(|(name, tensor)| (format!("bert.{name}"), tensor.clone())).collect();
    write_weights(folder.path(), &prefixed, Dtype::F32);
    assert_eq!(embed(), exact);
    for (dtype, within) in [(Dtype::F16, 2e-2), (Dtype::BF16, 2e-1)] {
        write_weights(folder.path(), &tensors, dtype);
        let rounded = embed();
        assert!(
            rounded != exact && rounded.iter().zip(&exact).all(|(a, b)| (a - b).abs() < within),
            "{dtype:?}"
        );
    }
}

#[test]
fn old_names_of_norms_are_read() {
    let (folder, tensors) = model(Kind::Bert);
    let texts = texts(6);
    let embed =
        || TextModel::open(folder.path()).unwrap().embed(&refs(&texts), LENGTH, Pool::Cls).unwrap().data;
    let exact = embed();
    let old = |name: &str| match name.contains("Norm") {
        true => name.replace(".weight", ".gamma").replace(".bias", ".beta"),
        false => name.to_owned(),
    };
    let renamed = tensors.iter().map(|(name, tensor)| (old(name), tensor.clone())).collect();
    write_weights(folder.path(), &renamed, Dtype::F32);
    assert_eq!(embed(), exact);
}

fn said(folder: &Path) -> (&'static str, String) {
    match look(folder) {
        Err(error) => (error.code(), error.to_string()),
        Ok(about) => panic!("nothing is wrong: {about:?}"),
    }
}

#[test]
fn what_is_wrong_with_a_folder_is_named() {
    let (folder, tensors) = model(Kind::Bert);
    let path = folder.path();
    assert_eq!(
        look(path).unwrap().map(|about| (about.width, about.positions, about.pooler)),
        Some((32, 24, true))
    );

    let changed = |change: &dyn Fn(&mut tiny::Tensors)| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        write_weights(path, &tensors, Dtype::F32);
        said(path)
    };
    let lost = "encoder.layer.1.output.dense.bias";
    let (code, text) = changed(&|tensors| drop(tensors.remove(lost)));
    assert!(code == "tensor" && text.contains(lost) && text.contains("model.safetensors"), "{text}");
    let (code, text) = changed(&|tensors| tensors.get_mut(lost).unwrap().0 = vec![1, 32]);
    assert!(code == "tensor" && text.contains("[1, 32], expected [32]"), "{text}");

    std::fs::write(path.join("model.safetensors"), b"nothing of the kind").unwrap();
    assert_eq!(said(path).0, "corrupt");
    std::fs::rename(path.join("model.safetensors"), path.join("pytorch_model.bin")).unwrap();
    let (code, text) = said(path);
    assert!(code == "missing_file" && text.contains("only `pytorch_model.bin`"), "{text}");

    for (key, value, code) in [
        ("model_type", json!("gpt2"), "model_type"),
        ("hidden_act", json!("silu"), "setting"),
        ("num_attention_heads", json!(5), "setting"),
        ("hidden_size", json!(-3), "setting"),
        ("position_embedding_type", json!("relative_key"), "setting"),
    ] {
        let mut config = tiny::config(Kind::Bert);
        config[key] = value;
        write(path, "config.json", &config);
        let (found, text) = said(path);
        assert!(found == code && text.contains("config.json"), "{key}: {text}");
    }
    std::fs::write(path.join("config.json"), "{").unwrap();
    assert_eq!(said(path).0, "corrupt");
    std::fs::remove_file(path.join("config.json")).unwrap();
    assert!(look(path).unwrap().is_none(), "a tokenizer alone is enough for tokens");
    std::fs::remove_file(path.join("tokenizer.json")).unwrap();
    assert_eq!(said(path).0, "missing_file");
}

#[test]
fn lengths_and_pools_that_a_model_lacks_are_refused() {
    let (folder, _) = model(Kind::DistilBert);
    let model = TextModel::open(folder.path()).unwrap();
    let code = |length, pool| model.embed(&[Some("graph")], length, pool).unwrap_err().code();
    assert_eq!(code(25, Pool::Mean), "length");
    assert_eq!(code(2, Pool::Mean), "length");
    assert_eq!(code(12, Pool::Pooler), "no_pooler");
    assert!(model.embed(&[], 12, Pool::Mean).unwrap().data.is_empty());
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let (folder, mut tensors) = model(Kind::Bert);
    let mut config = tiny::config(Kind::Bert);
    config["vocab_size"] = json!(10);
    write(folder.path(), "config.json", &config);
    let words = tensors.get_mut("embeddings.word_embeddings.weight").unwrap();
    *words = (vec![10, 32], words.1[..320].to_vec());
    write_weights(folder.path(), &tensors, Dtype::F32);
    assert_eq!(TextModel::open(folder.path()).err().unwrap().code(), "vocabulary");
}

#[test]
fn a_fingerprint_is_of_what_is_read() {
    let (folder, mut tensors) = model(Kind::Bert);
    let (again, _) = model(Kind::Bert);
    let first = fingerprint(folder.path()).unwrap();
    assert_eq!(first, fingerprint(again.path()).unwrap());
    std::fs::write(folder.path().join("README.md"), "words").unwrap();
    assert_eq!(first, fingerprint(folder.path()).unwrap());
    tensors.get_mut("pooler.dense.bias").unwrap().1[3] += 0.5;
    write_weights(folder.path(), &tensors, Dtype::F32);
    let weights = fingerprint(folder.path()).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let tokenizer = fingerprint(folder.path()).unwrap();
    assert!(first != weights && weights != tokenizer);
}

/// With `GSL_TEXT_MODEL` naming the folder of a sentence encoder.
#[test]
fn long_sentences_of_a_kind_are_close() {
    let Some(folder) = std::env::var_os("GSL_TEXT_MODEL") else {
        eprintln!("skipped: GSL_TEXT_MODEL names no folder of a sentence encoder");
        return;
    };
    let model = TextModel::open(Path::new(&folder)).unwrap();
    let texts = [
        "A graph neural network sends messages along edges.",
        "Nodes of a graph learn from their neighbours.",
        "Beat the eggs with sugar and bake the cake for an hour.",
        "This cake recipe needs flour and butter.",
    ];
    let found = model.embed(&texts.map(Some), 128, Pool::Mean).unwrap();
    let rows: Vec<&[f32]> = found.data.chunks_exact(found.width).collect();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine =
        |a: usize, b: usize| dot(rows[a], rows[b]) / (dot(rows[a], rows[a]) * dot(rows[b], rows[b])).sqrt();
    let apart = [(0, 2), (0, 3), (1, 2), (1, 3)].map(|(a, b)| cosine(a, b));
    println!("graphs {:.4}, cakes {:.4}, across {apart:.4?}", cosine(0, 1), cosine(2, 3));
    assert!(apart.iter().all(|&across| across + 0.2 < cosine(0, 1).min(cosine(2, 3))));

    let many: Vec<Option<&str>> = (0..1024).map(|row| Some(texts[row % 4])).collect();
    let start = std::time::Instant::now();
    let all = model.embed(&many, 128, Pool::Mean).unwrap();
    println!("{:.0} texts/s", many.len() as f64 / start.elapsed().as_secs_f64());
    assert_eq!(all.data[..found.data.len()], found.data);
}
