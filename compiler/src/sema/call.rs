//! Signatures and calls: which arguments there are, which were written, which are defaults.
//!
//! Every function of the language has a signature in GSL (`stdlib/defaults.gsl`, or the layer or module itself), so that
//! arguments are checked, named, completed and explained in one way.

use std::sync::Arc;

use serde::Serialize;

use super::cx::{Cx, nearest_or_all};
use super::value::{Env, Ty, Value, eval};
use crate::diag::{Diagnostic, SourceFile, codes};
use crate::syntax::ast::*;

#[derive(Debug, Clone)]
pub struct Signature {
    pub name: String,
    pub params: Vec<Parameter>,
    pub file: Option<Arc<SourceFile>>,
    /// Constants that defaults may use.
    pub env: Arc<Env>,
}

#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: String,
    pub ty: Ty,
    pub default: Option<Expr>,
}

/// The arguments of a call, in the order of the signature.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Args {
    pub list: Vec<BoundArg>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundArg {
    pub name: String,
    pub value: Value,
    /// Written in the call, not the signature's default.
    pub written: bool,
}

impl Args {
    pub fn get(&self, name: &str) -> &Value {
        self.list.iter().find(|a| a.name == name).map_or(&Value::None, |a| &a.value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.list.iter().any(|a| a.name == name)
    }

    pub fn float(&self, name: &str) -> Option<f64> {
        self.get(name).number()
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).int()
    }

    pub fn word(&self, name: &str) -> Option<&str> {
        self.get(name).text()
    }

    /// `lr: 0.003, beta1: 0.9`, every argument by name.
    pub fn show_named(&self) -> String {
        let shown: Vec<String> = self.list.iter().map(|a| format!("{}: {}", a.name, a.value)).collect();
        shown.join(", ")
    }

    /// `128, act: relu`, every argument shown.
    pub fn show(&self) -> String {
        let shown: Vec<String> = self
            .list
            .iter()
            .enumerate()
            .map(|(i, a)| if i == 0 { spread(&a.value) } else { format!("{}: {}", a.name, a.value) })
            .collect();
        shown.join(", ")
    }
}

fn spread(value: &Value) -> String {
    match value {
        Value::List(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

impl Signature {
    pub fn of(cx: &mut Cx, layer: &Layer, file: &Option<Arc<SourceFile>>, env: &Arc<Env>) -> Self {
        let mut params: Vec<Parameter> = Vec::new();
        for param in &layer.params {
            if params.iter().any(|p| p.name == param.name.text) {
                let message = format!("`{}` has two parameters named `{}`", layer.name.text, param.name.text);
                cx.error(codes::NAMES_DUPLICATE, message, param.name.span, "the second one");
                continue;
            }
            let ty = param.ty.as_ref().map_or(Some(Ty::Any), |t| Ty::resolve(cx, t)).unwrap_or(Ty::Any);
            params.push(Parameter { name: param.name.text.clone(), ty, default: param.default.clone() });
        }
        Signature { name: layer.name.text.clone(), params, file: file.clone(), env: env.clone() }
    }

    /// `RGCN(out, bases, act)`
    pub fn show(&self) -> String {
        let names: Vec<&str> = self.params.iter().map(|p| p.name.as_str()).collect();
        format!("{}({})", self.name, names.join(", "))
    }

    /// Evaluates the arguments of a call. Parameters in `free` may stay without a value, and are then left out.
    /// `None`: a mistake, reported.
    pub fn bind(&self, cx: &mut Cx, env: &Env, args: &[Arg], call: Span, free: &[&str]) -> Option<Args> {
        let mut slots: Vec<Option<Value>> = vec![None; self.params.len()];
        let mut good = self.positional(cx, env, args, &mut slots);
        good &= self.named(cx, env, args, &mut slots);
        if !good {
            return None;
        }
        self.complete(cx, slots, call, free)
    }

    fn positional(&self, cx: &mut Cx, env: &Env, args: &[Arg], slots: &mut [Option<Value>]) -> bool {
        let mut good = true;
        let written: Vec<&Arg> = args.iter().filter(|a| a.name.is_none()).collect();
        let mut rest = written.as_slice();
        for (param, slot) in self.params.iter().zip(slots.iter_mut()) {
            let Some((first, others)) = rest.split_first() else { break };
            let is_list = matches!(first.value.kind, ExprKind::List(_));
            match &param.ty {
                Ty::List(item) if !is_list && !names_list(env, &first.value) => {
                    let values: Vec<_> = rest.iter().map(|a| eval(cx, env, &a.value, item, false)).collect();
                    *slot = values.into_iter().collect::<Option<Vec<_>>>().map(Value::List);
                    rest = &[];
                }
                ty => {
                    *slot = eval(cx, env, &first.value, ty, param.is_nullable());
                    rest = others;
                }
            }
            good &= slot.is_some();
        }
        if let Some(extra) = rest.first() {
            let message = format!("`{}` takes {}", self.name, count(self.params.len()));
            let help = format!("it is `{}`", self.show());
            cx.error_help(codes::ARGS_TOO_MANY, message, extra.span, "one too many", help);
            good = false;
        }
        good
    }

    fn named(&self, cx: &mut Cx, env: &Env, args: &[Arg], slots: &mut [Option<Value>]) -> bool {
        let mut good = true;
        let mut seen: Vec<&str> = Vec::new();
        for arg in args {
            let Some(name) = &arg.name else { continue };
            let Some(i) = self.params.iter().position(|p| p.name == name.text) else {
                self.unknown(cx, name);
                good = false;
                continue;
            };
            if slots[i].is_some() || seen.contains(&name.text.as_str()) {
                let message = format!("`{}` is given twice", name.text);
                cx.error(codes::ARGS_TWICE, message, arg.span, "the second time");
                good = false;
                continue;
            }
            seen.push(&name.text);
            let param = &self.params[i];
            slots[i] = eval(cx, env, &arg.value, &param.ty, param.is_nullable());
            good &= slots[i].is_some();
        }
        good
    }

    fn unknown(&self, cx: &mut Cx, name: &Ident) {
        let known: Vec<&str> = self.params.iter().map(|p| p.name.as_str()).collect();
        let message = format!("`{}` has no argument `{}`", self.name, name.text);
        let diagnostic = Diagnostic::new(codes::ARGS_UNKNOWN, message)
            .at(name.span, "not an argument of it")
            .help_opt(nearest_or_all(&name.text, &known));
        cx.report(diagnostic);
    }

    fn complete(&self, cx: &mut Cx, slots: Vec<Option<Value>>, call: Span, free: &[&str]) -> Option<Args> {
        let mut args = Args::default();
        let mut good = true;
        let mut env = (*self.env).clone();
        for (param, slot) in self.params.iter().zip(slots) {
            let written = slot.is_some();
            let value = match (slot, &param.default) {
                (Some(value), _) => Some(value),
                (None, Some(default)) => {
                    cx.within(&self.file, |cx| eval(cx, &env, default, &param.ty, param.is_nullable()))
                }
                (None, None) if free.contains(&param.name.as_str()) => continue,
                (None, None) => {
                    let message = format!("`{}` needs `{}`", self.name, param.name);
                    let help =
                        format!("it is `{}`; `{}` is {}", self.show(), param.name, param.ty.describe());
                    cx.error_help(codes::ARGS_MISSING, message, call, "an argument is missing", help);
                    None
                }
            };
            good &= value.is_some();
            env.insert(param.name.clone(), value.clone());
            if let Some(value) = value {
                args.list.push(BoundArg { name: param.name.clone(), value, written });
            }
        }
        good.then_some(args)
    }
}

impl Parameter {
    /// `none` is accepted where it is the default.
    pub fn is_nullable(&self) -> bool {
        self.default.as_ref().and_then(Expr::as_name) == Some("none")
    }
}

fn names_list(env: &Env, value: &Expr) -> bool {
    let known = value.as_name().and_then(|name| env.get(name));
    matches!(known, Some(Some(Value::List(_))))
}

fn count(n: usize) -> String {
    match n {
        0 => "no arguments".to_owned(),
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    }
}
