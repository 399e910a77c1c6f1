//! Encoders: from a type's features to the rows that enter the first layer.

use std::collections::BTreeSet;

use gsl_plan::graph::NodeType;

use super::compose::{COMBINATORS, Composer};
use super::model::{Encoder, Model};
use super::reconstruct::{Hidden, give_away};
use crate::diag::{Diagnostic, codes, did_you_mean};
use crate::layers::Activation;
use crate::syntax::ast::*;

/// Encoders that language.md names and this version cannot run.
const FROM_NEIGHBOURS: [&str; 2] = ["average", "attend"];

pub struct EncodeCx<'a, 'b, 'w> {
    pub composer: &'a mut Composer<'b, 'w>,
    pub node: &'a NodeType,
    /// Features and labels of the type whose mistakes have been reported.
    pub lost: &'a BTreeSet<String>,
    /// Features that an encoder may not read.
    pub hidden: &'a [Hidden],
}

impl EncodeCx<'_, '_, '_> {
    /// The encoder that an expression says. `None`: a mistake, reported.
    pub fn encoder(&mut self, expr: &Expr) -> Option<Encoder> {
        match &expr.kind {
            ExprKind::Name(name) => self.named(name, expr),
            ExprKind::Pipe { value, stage } => {
                let (input, model) = (self.encoder(value), self.composer.model(stage));
                Some(apply(input?, model?))
            }
            ExprKind::Binary { op: BinaryOp::Add, left, right, .. } => {
                let (a, b) = (self.encoder(left), self.encoder(right));
                self.sum(a?, b?, expr.span)
            }
            ExprKind::Call { callee, args } => self.call(expr, callee, args),
            ExprKind::Compose { .. } => self.all_features(expr),
            ExprKind::Binary { op: BinaryOp::Mul, .. } => self.all_features(expr),
            ExprKind::Via { .. } => self.not_yet_neighbours(expr.span),
            ExprKind::Bad => None,
            _ => {
                let help = "write features through modules: `concat(size, priority) |> linear(64)`";
                let message = "this is no encoder";
                self.composer.cx.error_help(codes::MODEL_EXPRESSION, message, expr.span, "", help);
                None
            }
        }
    }

    fn named(&mut self, name: &str, expr: &Expr) -> Option<Encoder> {
        if let Some(index) = self.node.features.iter().position(|f| f.name == name) {
            if let Some(hidden) = self.hidden.iter().find(|hidden| hidden.name == name) {
                self.composer.cx.report(give_away(hidden, expr.span));
                return None;
            }
            return Some(Encoder::Feature { index, name: name.to_owned() });
        }
        match name {
            "features" => self.features(expr.span),
            "embedding" => self.call(expr, expr, &[]),
            _ if self.is_model(name) => self.all_features(expr),
            _ => self.unknown(name, expr.span),
        }
    }

    fn is_model(&self, name: &str) -> bool {
        self.composer.library.find(self.composer.module, name).is_some()
            || COMBINATORS.contains(&name)
            || Activation::parse(name).is_some()
    }

    fn unknown(&mut self, name: &str, span: Span) -> Option<Encoder> {
        if self.lost.contains(name) || self.composer.cx.lost.contains(name) {
            return None;
        }
        if let Some(label) = self.node.labels.iter().find(|l| l.name == name) {
            let message =
                format!("`{name}` is a label of `{}`, and a label cannot be an input", self.node.name);
            let diagnostic = Diagnostic::new(codes::LEAK_LABEL_AS_FEATURE, message)
                .at(span, "the answer, given as an input")
                .help(format!("remove it; `{}` is what is to be predicted", label.name));
            self.composer.cx.report(diagnostic);
            return None;
        }
        let features: Vec<&str> = self.node.features.iter().map(|f| f.name.as_str()).collect();
        let model = match did_you_mean(name, features.iter().copied()) {
            Some(_) => None,
            None => self.composer.library.where_is(name).filter(|line| line.ends_with(&format!(".{name}`"))),
        };
        match model {
            Some(line) => {
                let message = format!("there is no feature or module `{name}`");
                self.composer.cx.error_help(codes::NAMES_FEATURE, message, span, "not known here", line);
            }
            None => {
                let what = format!("feature of `{}`", self.node.name);
                let message = format!("`{}` has no feature `{name}`", self.node.name);
                let help = super::cx::nearest_or_all(name, &features)
                    .unwrap_or_else(|| format!("`{}` has no features: `embedding(64)`", self.node.name));
                let label = format!("not a {what}");
                self.composer.cx.error_help(codes::NAMES_FEATURE, message, span, &label, help);
            }
        }
        None
    }

    fn features(&mut self, span: Span) -> Option<Encoder> {
        let all = self.node.features.iter().enumerate();
        let seen = all.filter(|(_, feature)| !self.hidden.iter().any(|hidden| hidden.name == feature.name));
        let mut seen: Vec<Encoder> =
            seen.map(|(index, feature)| Encoder::Feature { index, name: feature.name.clone() }).collect();
        match seen.len() {
            0 => {}
            1 if self.node.features.len() > 1 => return seen.pop(),
            n if n == self.node.features.len() => return Some(Encoder::Features(span)),
            _ => return Some(Encoder::Concat(seen)),
        }
        if !self.lost.is_empty() {
            return None;
        }
        let message = match self.node.features.is_empty() {
            true => format!("`{}` has no features", self.node.name),
            false => format!("all features of `{}` are reconstructed", self.node.name),
        };
        let help = format!("give each node a trained row: `encode {} = embedding(64)`", self.node.name);
        self.composer.cx.error_help(codes::MODEL_NO_FEATURES, message, span, "of nothing", help);
        None
    }

    /// A model alone is applied to all features of the type.
    fn all_features(&mut self, expr: &Expr) -> Option<Encoder> {
        let model = self.composer.model(expr);
        let input = self.features(expr.span);
        Some(apply(input?, model?))
    }

    fn call(&mut self, expr: &Expr, callee: &Expr, args: &[Arg]) -> Option<Encoder> {
        let Some(name) = callee.as_name() else { return self.applied(expr, callee, args) };
        if self.composer.library.find(self.composer.module, name).is_some() {
            return self.all_features(expr);
        }
        match name {
            "concat" if args.is_empty() => {
                let message = "`concat` needs something to put side by side";
                self.composer.cx.error(codes::ARGS_MISSING, message, expr.span, "of nothing");
                None
            }
            "concat" => {
                let parts: Vec<_> = args.iter().map(|a| self.encoder(&a.value)).collect();
                parts.into_iter().collect::<Option<Vec<_>>>().map(Encoder::Concat)
            }
            "embedding" => self.embedding(args, expr.span),
            _ if FROM_NEIGHBOURS.contains(&name) => self.not_yet_neighbours(expr.span),
            _ => match args {
                [Arg { name: None, value, .. }] if self.is_function(name, value) => {
                    let (input, model) = (self.encoder(value), self.composer.model(callee));
                    Some(apply(input?, model?))
                }
                _ => self.all_features(expr),
            },
        }
    }

    /// `relu(size)`: an activation of something that is no number.
    fn is_function(&self, name: &str, value: &Expr) -> bool {
        Activation::parse(name).is_some() && !matches!(value.kind, ExprKind::Number(_))
    }

    /// `linear(64)(concat(size, priority))`
    fn applied(&mut self, expr: &Expr, callee: &Expr, args: &[Arg]) -> Option<Encoder> {
        let name = callee.as_call().map_or("", |(name, _)| name);
        if !self.is_model(name) {
            self.composer.cx.not_yet_text(expr.span);
            return None;
        }
        let model = self.composer.model(callee);
        let parts: Vec<_> = args.iter().map(|a| self.encoder(&a.value)).collect();
        let mut parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
        if parts.is_empty() {
            let input = self.features(expr.span)?;
            return Some(apply(input, model?));
        }
        let input = if parts.len() == 1 { parts.remove(0) } else { Encoder::Concat(parts) };
        Some(apply(input, model?))
    }

    fn embedding(&mut self, args: &[Arg], span: Span) -> Option<Encoder> {
        let composer = &mut self.composer;
        let signature = composer.prelude.signature("embedding")?.clone();
        let args = signature.bind(composer.cx, composer.env, args, span, &[])?;
        let width = usize::try_from(args.int("width")?).ok()?;
        Some(Encoder::Embedding { width, std: args.float("std")? })
    }

    fn sum(&mut self, a: Encoder, b: Encoder, span: Span) -> Option<Encoder> {
        if let (Some(x), Some(y)) = (a.width(), b.width())
            && x != y
        {
            let message = format!("rows of {x} and rows of {y} numbers cannot be added");
            let help = "bring both to one width with `linear`";
            self.composer.cx.error_help(codes::MODEL_WIDTHS, message, span, "two widths", help);
            return None;
        }
        let mut parts = match a {
            Encoder::Sum(parts, _) => parts,
            one => vec![one],
        };
        parts.push(b);
        Some(Encoder::Sum(parts, span))
    }

    fn not_yet_neighbours(&mut self, span: Span) -> Option<Encoder> {
        let message = "features built from neighbours do not run yet";
        let help = format!(
            "give each node a trained row, `encode {} = embedding(64)`; the layers bring the neighbours in",
            self.node.name
        );
        self.composer.cx.error_help(codes::NOT_YET_NEIGHBOR_FEATURES, message, span, "from neighbours", help);
        None
    }
}

fn apply(input: Encoder, model: Model) -> Encoder {
    match input {
        Encoder::Apply { input, model: first } => {
            Encoder::Apply { input, model: Model::chain(vec![first, model]) }
        }
        input => Encoder::Apply { input: Box::new(input), model },
    }
}
