//! Items: `use`, `param`, and the heads of everything with a body.

use super::super::ast::*;
use super::explain::Place;
use super::pairs::{Pair, Parts, ident, path, span};
use super::{Lower, Rule};
use crate::diag::{Diagnostic, codes};

impl Lower<'_> {
    pub(super) fn item(&mut self, pair: Pair<'_>) -> Option<Item> {
        match pair.as_rule() {
            Rule::use_item => Some(Item::Use(self.use_item(pair))),
            Rule::param => Some(Item::Param(self.param(pair))),
            Rule::graph => Some(Item::Graph(self.graph(pair))),
            Rule::layer => Some(Item::Layer(self.layer(pair))),
            Rule::experiment => Some(Item::Experiment(self.experiment(pair))),
            Rule::sweep => Some(Item::Sweep(self.sweep(pair))),
            Rule::distill => Some(Item::Distill(self.distill(pair))),
            Rule::bad_item => Some(Item::Bad(self.bad(&pair, Place::File))),
            Rule::unopened => {
                self.unopened(span(&pair));
                None
            }
            _ => None,
        }
    }

    fn unopened(&mut self, at: Span) {
        let unopened = Diagnostic::new(codes::SYNTAX_UNOPENED, "this `}` closes nothing")
            .at(at, "no `{` is open here")
            .help("remove it, or look for a `}` too many above");
        self.diagnostics.push(unopened);
    }

    /// Reports text in the place of an item or a statement.
    pub(super) fn bad(&mut self, pair: &Pair<'_>, place: Place) -> Span {
        let at = super::pairs::trimmed(pair);
        self.explain(at.start, at, place);
        at
    }

    /// Reports what follows where a statement should have ended. True if the statement cannot be trusted.
    pub(super) fn junk(&mut self, parts: &mut Parts<'_>, place: Place) -> bool {
        let Some(junk) = parts.take(Rule::junk) else { return false };
        let at = super::pairs::trimmed(&junk);
        let start = parts.span.start;
        self.explain(start, at, place)
    }

    fn use_item(&mut self, pair: Pair<'_>) -> Use {
        let mut parts = Parts::of(pair);
        let imports = parts.all(Rule::import).into_iter().flat_map(imports).collect();
        let file = parts.take(Rule::string).map(|p| self.string(p));
        self.junk(&mut parts, Place::File);
        Use { imports, file, span: parts.span }
    }

    fn param(&mut self, pair: Pair<'_>) -> Param {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let ty = parts.take(Rule::type_expr).map(|p| self.type_expr(p));
        let value = self.value(&mut parts, Place::File);
        Param { doc: self.docs.of(parts.span.start), name, ty, value, span: parts.span }
    }

    /// The expression after `=` in a declaration; `Bad` if text follows it that fits nowhere.
    pub(super) fn value(&mut self, parts: &mut Parts<'_>, place: Place) -> Option<Expr> {
        let value = parts.take(Rule::expr).map(|p| self.expr(p));
        match self.junk(parts, place) {
            true => Some(self.bad_expr(parts.span)),
            false => value,
        }
    }

    /// The closing brace of a block that has none.
    pub(super) fn unclosed(&mut self, block: &Pair<'_>) {
        let missing = block.clone().into_inner().any(|p| p.as_rule() == Rule::unclosed);
        if missing {
            self.explain_unclosed_block(span(block));
        }
    }
}

/// The imports of `a.b.C`, `a.b.C as D`, `a.b.{C, D as E}`.
fn imports(pair: Pair<'_>) -> Vec<Import> {
    let mut parts = Parts::of(pair);
    let whole = parts.span;
    let Some(base) = parts.take(Rule::path).map(path) else { return Vec::new() };
    let members = parts.all(Rule::member);
    if members.is_empty() {
        let alias = parts.take(Rule::ident).map(|p| ident(&p));
        return vec![Import { path: base, alias, span: whole }];
    }
    members.into_iter().map(|m| member(&base, m)).collect()
}

fn member(base: &Path, pair: Pair<'_>) -> Import {
    let mut parts = Parts::of(pair);
    let mut path = base.clone();
    let name = parts.ident();
    path.span = name.span;
    path.segments.push(name);
    Import { path, alias: parts.take(Rule::ident).map(|p| ident(&p)), span: parts.span }
}
