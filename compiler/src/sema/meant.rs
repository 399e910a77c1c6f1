//! Settings that there are not, and that are arguments elsewhere: `lr = 0.1` is `optimizer = adam(lr: 0.1)`.

use super::prelude::Prelude;
use super::value::Ty;
use crate::syntax::ast::{Expr, ExprKind, Setting};

/// Settings, and the functions that stand there; the usual one first.
const PLACES: [(&str, &[&str]); 5] = [
    ("optimizer", &["adam", "adamw"]),
    ("sample", &["neighbors", "full"]),
    ("stop", &["patience"]),
    ("average", &["ema"]),
    ("best", &[]),
];

/// What the same things are called elsewhere: (there, here).
const CALLED: [(&str, &str); 5] = [
    ("learning_rate", "lr"),
    ("fanout", "neighbors"),
    ("fanouts", "neighbors"),
    ("early_stopping", "patience"),
    ("scheduler", "decay"),
];

/// Functions that are arguments of others here: (there, how it is written here).
const FUNCTIONS: [(&str, &str); 3] = [
    ("local", "joint(32, partitions: 8)"),
    ("local_joint", "joint(32, partitions: 8)"),
    ("local_uniform", "uniform(32, partitions: 8)"),
];

/// How a function that there is elsewhere is written here.
pub fn meant_function(name: &str) -> Option<String> {
    let (_, here) = FUNCTIONS.iter().find(|(there, _)| *there == name)?;
    Some(format!("write `{here}`"))
}

/// How to write a setting that is an argument or a function of another one; none if it is neither.
pub fn meant(prelude: &Prelude, setting: &Setting) -> Option<String> {
    let written = setting.name.text.as_str();
    let name = CALLED.iter().find(|(there, _)| *there == written).map_or(written, |(_, here)| here);
    let value = shown(setting);
    if name == "keep" {
        return Some(format!("write `best = valid, keep: {value}`"));
    }
    PLACES.iter().find_map(|(place, functions)| {
        functions.iter().find_map(|function| {
            let takes =
                prelude.signature(function)?.params.iter().any(|param| {
                    param.name == name && !(is_number(setting) && matches!(param.ty, Ty::Word(_)))
                });
            let call = match (*function == name, takes) {
                (true, _) => format!("{function}({value})"),
                (false, true) if *function == "patience" => format!("patience(3, {name}: {value})"),
                (false, true) => format!("{function}({name}: {value})"),
                (false, false) => return None,
            };
            Some(format!("write `{place} = {call}`"))
        })
    })
}

fn is_number(setting: &Setting) -> bool {
    setting.single().is_some_and(|value| value.as_number().is_some())
}

/// The value as it is written, where it is numbers or names.
fn shown(setting: &Setting) -> String {
    let value = |expr: &Expr| match &expr.kind {
        ExprKind::Number(number) if number.unit.is_none() => Some(number.value.to_string()),
        ExprKind::Name(name) => Some(name.clone()),
        _ => None,
    };
    let values: Option<Vec<String>> = setting.value.iter().map(|arg| value(&arg.value)).collect();
    values.filter(|values| !values.is_empty()).map_or("…".to_owned(), |values| values.join(", "))
}
