//! A label among the features: the commonest way to a result that is too good.

use std::collections::BTreeSet;

use gsl_plan::graph::NodeType;

use super::feature::columns;
use crate::diag::{Diagnostic, codes};
use crate::sema::cx::Cx;
use crate::syntax::ast::{Allow, Node, SchemaStmt, Span};

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

    fn has(&self, label: &str) -> bool {
        self.labels.contains(label)
    }
}

/// Reports features that read the column of a label.
pub fn check(cx: &mut Cx, allowed: &Allowed, node: &Node, found: &NodeType) {
    let mut allowed = allowed.clone();
    for stmt in &node.body {
        if let SchemaStmt::Allow(allow) = stmt {
            allowed.add(cx, allow);
        }
    }
    for label in found.labels.iter().filter(|l| !allowed.has(&l.name)) {
        for feature in &found.features {
            let mut read = Vec::new();
            columns(&feature.expr, &mut read);
            if read.contains(&label.column) {
                report(cx, node, &feature.name, &label.name, &label.column);
            }
        }
    }
}

fn report(cx: &mut Cx, node: &Node, feature: &str, label: &str, column: &str) {
    let (mut place, mut target) = (node.name.span, node.name.span);
    for stmt in &node.body {
        match stmt {
            SchemaStmt::Feature(f) if f.name.text == feature => place = reads(f, column),
            SchemaStmt::Label(l) if l.name.text == label => target = l.name.span,
            _ => {}
        }
    }
    let message = format!("the feature `{feature}` reads `{column}`, which is the label `{label}`");
    let diagnostic = Diagnostic::new(codes::LEAK_LABEL_AS_FEATURE, message)
        .at(place, "the answer, given as an input")
        .at(target, "what is to be predicted")
        .help(format!("remove the feature, or allow it by name: `allow leak({label})`"));
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
