//! The editors' grammars know every keyword of the language's grammar.

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::read;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The words of `NAME = @{ "word" ~ … }`, and the other words that the grammar spells out.
fn keywords() -> Vec<String> {
    let grammar = read(&root().join("grammar/gsl.pest"));
    let (_, table) = grammar.split_once("// ---- keywords").expect("the grammar has a part for keywords");
    let mut words: Vec<String> = table.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    for rule in ["edges ", "reduction = ", "unit "] {
        let (_, definition) =
            grammar.split_once(&format!("\n{rule}")).unwrap_or_else(|| panic!("no rule {rule}"));
        let (definition, _) = definition.split_once("}\n").expect("a rule ends");
        words.extend(definition.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    words.retain(|w| w.len() > 1 && w.chars().all(char::is_alphabetic));
    assert!(words.len() > 45, "only {words:?}");
    words
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|w| w.trim_end_matches('s') == word.trim_end_matches('s'))
}

#[test]
fn editors_know_every_keyword() {
    for file in ["editors/vscode/syntaxes/gsl.tmLanguage.json", "editors/vim/syntax/gsl.vim"] {
        let text = read(&root().join(file));
        let missing: Vec<String> = keywords().into_iter().filter(|word| !has_word(&text, word)).collect();
        assert!(missing.is_empty(), "{file} does not know {missing:?}");
    }
}

#[test]
fn the_extension_is_whole() {
    let folder = root().join("editors/vscode");
    let json = |name: &str| -> Value {
        serde_json::from_str(&read(&folder.join(name))).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let package = json("package.json");
    let language = &package["contributes"]["languages"][0];
    let grammar = &package["contributes"]["grammars"][0];
    json(language["configuration"].as_str().expect("a configuration"));
    let syntax = json(grammar["path"].as_str().expect("a path"));
    assert_eq!(syntax["scopeName"], grammar["scopeName"]);
    assert_eq!(language["extensions"][0], ".gsl");
    for pattern in syntax["patterns"].as_array().expect("patterns") {
        let name = pattern["include"].as_str().expect("an include").trim_start_matches('#');
        assert!(syntax["repository"].get(name).is_some(), "no {name} in the repository");
    }
}
