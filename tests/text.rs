//! Folders of language models are looked at when a file is checked: each mistake is told there, with the file and the remedy.

mod support;

use support::Folder;

const FILE: &str = r#"graph small {
    node item from "items.csv" {
        key     id
        feature text = embed(text, "model")
    }
}
"#;

const TOKENS: &str = r#"graph small {
    node item from "items.csv" {
        key     id
        feature text = tokens(text, "model", length: 16)
    }
}
"#;

fn folder(file: &str) -> Folder {
    let folder = Folder::new();
    folder.write("small.gsl", file).write("items.csv", "id,text\ni1,a cat\ni2,a dog\n");
    folder
}

/// What is said, without the frame of the picture.
fn said(folder: &Folder) -> String {
    let ran = folder.gsc(&["check", "small.gsl"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    let words = ran.err.split_whitespace().filter(|word| !["│", "·"].contains(word));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(feature = "text")]
#[test]
fn what_a_model_lacks_is_told_by_check() {
    let folder = folder(FILE);
    let expect = |part: &str| {
        let said = said(&folder);
        assert!(said.contains(part), "{part}\nis not in\n{said}");
    };
    expect("there is no `model`");
    folder.write("model/README.md", "words");
    expect("there is no `model/tokenizer.json`");
    folder.write("model/tokenizer.json", "{}");
    expect("`model` has a tokenizer and no encoder");
    folder.write("model/config.json", r#"{ "model_type": "gpt2" }"#).write("model/model.safetensors", "");
    expect("models of type `gpt2` are not read, only bert, distilbert, roberta, xlm-roberta");
    folder.write("model/config.json", r#"{ "model_type": "bert", "hidden_size": 0 }"#);
    expect("`config.json`: `num_hidden_layers` is null, expected a whole number from 1");
}

#[cfg(feature = "text")]
#[test]
fn tokens_need_a_tokenizer_alone() {
    let folder = folder(TOKENS);
    folder.write("model/tokenizer.json", "{}");
    folder.gsc(&["check", "small.gsl"]).ok();
}

#[cfg(not(feature = "text"))]
#[test]
fn a_build_without_models_says_how_to_build_with_them() {
    for file in [FILE, TOKENS] {
        let folder = folder(file);
        folder.write("model/tokenizer.json", "{}");
        assert!(said(&folder).contains("cargo build --release --features text"), "{}", said(&folder));
    }
}
