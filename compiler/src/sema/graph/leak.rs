//! A label among the features: the commonest way to a result that is too good.

use std::collections::BTreeSet;

use gsl_plan::graph::{Feature, FeatureExpr, Label, Structure};

use super::feature::{columns, walk};
use crate::diag::{Diagnostic, codes};
use crate::sema::cx::Cx;
use crate::syntax::ast::{Allow, SchemaStmt, Span};

/// Labels that `allow leak(…)` names.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    labels: BTreeSet<String>,
}

impl Allowed {
    /// Reads `leak(section)`.
    pub fn add(&mut self, cx: &mut Cx, allow: &Allow) {
        match allow.value.as_call() {
            Some(("leak", args)) if !args.is_empty() => {
                for arg in args {
                    let path = arg.value.as_path();
                    self.labels.extend(path.and_then(|p| p.segments.last().map(|s| s.text.clone())));
                }
            }
            _ if allow.value.is_bad() => {}
            _ => {
                let help = "write `allow leak(LABEL)`";
                let message = "only leaks can be allowed";
                cx.error_help(codes::SCHEMA_ALLOW, message, allow.value.span, "not a leak", help);
            }
        }
    }

    pub fn has(&self, label: &str) -> bool {
        self.labels.contains(label)
    }
}

/// Reports features that read the column of a label. `body`: the statements that declare both, and the place of their
/// owner.
pub fn check(
    cx: &mut Cx,
    allowed: &Allowed,
    body: (&[SchemaStmt], Span),
    features: &[Feature],
    labels: &[Label],
) {
    let mut allowed = allowed.clone();
    for stmt in body.0 {
        if let SchemaStmt::Allow(allow) = stmt {
            allowed.add(cx, allow);
        }
    }
    for label in labels.iter().filter(|l| !allowed.has(&l.name)) {
        for feature in features.iter().filter(|f| reads_label(&f.expr, label)) {
            report(cx, body, &feature.name, label);
        }
    }
}

fn reads_label(expr: &FeatureExpr, label: &Label) -> bool {
    if label.is_count() {
        let mut counts = false;
        walk(expr, &mut |e| counts |= matches!(e, FeatureExpr::Structure(Structure::Count)));
        return counts;
    }
    let mut read = Vec::new();
    columns(expr, &mut read);
    read.contains(&label.column)
}

fn report(cx: &mut Cx, (body, owner): (&[SchemaStmt], Span), feature: &str, label: &Label) {
    let (mut place, mut target) = (owner, owner);
    for stmt in body {
        match stmt {
            SchemaStmt::Feature(f) if f.name.text == feature => place = reads(f, &label.column),
            SchemaStmt::Label(l) if l.name.text == label.name => target = l.name.span,
            _ => {}
        }
    }
    let column = if label.is_count() { "count()" } else { &label.column };
    let message = format!("the feature `{feature}` reads `{column}`, which is the label `{}`", label.name);
    let diagnostic = Diagnostic::new(codes::LEAK_LABEL_AS_FEATURE, message)
        .at(place, "the answer, given as an input")
        .at(target, "what is to be predicted")
        .help(format!("remove the feature, or allow it by name: `allow leak({})`", label.name));
    cx.report(diagnostic);
}

/// Where a feature reads a column.
fn reads(feature: &crate::syntax::ast::Feature, column: &str) -> Span {
    let mut found = feature.name.span;
    if let Some(value) = &feature.value {
        value.walk(&mut |e| {
            if e.as_name() == Some(column) {
                found = e.span;
            }
        });
    }
    found
}
