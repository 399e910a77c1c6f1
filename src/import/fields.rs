//! Reading a configuration without knowing whether it is right: every value knows its path, every object knows which of
//! its keys nobody asked for.

use super::notes::Notes;
use crate::source::Failure;
use gsl_compiler::diag::{did_you_mean, one_of};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// A value and where it stands, such as `nodes[0].features[2].transform`.
#[derive(Debug, Clone)]
pub struct At<'a> {
    pub value: &'a Value,
    pub path: String,
}

impl<'a> At<'a> {
    pub fn root(value: &'a Value) -> Self {
        At { value, path: String::new() }
    }

    pub fn object(&self) -> Result<Fields<'a>, Failure> {
        let Value::Object(map) = self.value else { return Err(self.wrong("an object")) };
        Ok(Fields { map, path: self.path.clone(), asked: RefCell::default() })
    }

    pub fn list(&self) -> Result<Vec<At<'a>>, Failure> {
        let Value::Array(items) = self.value else { return Err(self.wrong("a list")) };
        let item = |(i, value)| At { value, path: format!("{}[{i}]", self.path) };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The items of a list; of anything else, itself.
    pub fn list_or_one(&self) -> Vec<At<'a>> {
        self.list().unwrap_or_else(|_| vec![self.clone()])
    }

    pub fn text(&self) -> Result<&'a str, Failure> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    /// A text, or anything else as it is written.
    pub fn written(&self) -> String {
        self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned)
    }

    pub fn texts(&self) -> Result<Vec<String>, Failure> {
        self.list_or_one().iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// One of `words`, in any case of letters.
    pub fn word(&self, words: &[&'static str]) -> Result<&'static str, Failure> {
        let text = self.text()?;
        let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| {
            let help = match did_you_mean(text, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", one_of(words)),
            };
            Failure::new(format!("`{}` is \"{text}\", which GraphStorm does not know", self.path)).help(help)
        })
    }

    /// A number, or a text that is one: `1e-2` without a dot is a text to YAML 1.1.
    pub fn number(&self) -> Result<f64, Failure> {
        let parsed = match self.value {
            Value::Number(n) => n.as_f64(),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        };
        parsed.filter(|n: &f64| n.is_finite()).ok_or_else(|| self.wrong("a number"))
    }

    pub fn whole(&self) -> Result<i64, Failure> {
        let number = self.number()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        match number.fract() == 0.0 && number.abs() < 1e15 {
            true => Ok(number as i64),
            false => Err(self.wrong("a whole number")),
        }
    }

    /// A whole number from 1.
    pub fn count(&self) -> Result<i64, Failure> {
        let number = self.whole()?;
        if number < 1 { Err(self.wrong("a whole number from 1")) } else { Ok(number) }
    }

    /// true or false, also in the spellings of YAML 1.1.
    pub fn flag(&self) -> Result<bool, Failure> {
        let text = match self.value {
            Value::Bool(flag) => return Ok(*flag),
            Value::String(text) => text.to_lowercase(),
            other => other.to_string(),
        };
        match text.as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub fn wrong(&self, wanted: &str) -> Failure {
        let shown: String = self.value.to_string().chars().take(60).collect();
        let message = match self.path.as_str() {
            "" => format!("the whole is {shown}"),
            path => format!("`{path}` is {shown}"),
        };
        Failure::new(message).help(format!("expected {wanted}"))
    }
}

/// An object and which of its keys were asked for.
#[derive(Debug)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    pub path: String,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// The value of a key; `null` and what is not there are the same.
    pub fn get(&self, key: &str) -> Option<At<'a>> {
        self.asked.borrow_mut().insert(key.to_owned());
        let value = self.map.get(key).filter(|v| !v.is_null())?;
        Some(At { value, path: self.path_of(key) })
    }

    pub fn need(&self, key: &str) -> Result<At<'a>, Failure> {
        self.get(key).ok_or_else(|| {
            let message = match self.path.as_str() {
                "" => format!("there is no `{key}`"),
                path => format!("`{path}` has no `{key}`"),
            };
            let near = did_you_mean(key, self.map.keys().map(String::as_str));
            let help = near.map_or_else(
                || "it cannot be left out".to_owned(),
                |near| format!("there is `{near}`: is that `{key}` misspelt?"),
            );
            Failure::new(message).help(help)
        })
    }

    pub fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        self.get(key).map(|at| at.text().map(str::to_owned)).transpose()
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, Failure> {
        self.get(key).map(|at| at.number()).transpose()
    }

    pub fn list(&self, key: &str) -> Result<Vec<At<'a>>, Failure> {
        self.get(key).map_or_else(|| Ok(Vec::new()), |at| at.list())
    }

    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|v| !v.is_null())
    }

    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    pub fn is_unasked(&self, key: &str) -> bool {
        !self.asked.borrow().contains(key)
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes the keys that nobody asked for, each with the nearest one that would have been read.
    pub fn report_rest(&self, notes: &mut Notes) {
        let asked = self.asked.borrow();
        for key in self.map.keys().filter(|key| self.is_unasked(key)) {
            let near = did_you_mean(key, asked.iter().map(String::as_str));
            notes.unknown(self.path_of(key), near);
        }
    }
}
