//! Experiments, sweeps, distillation, and the statements in them.

use super::super::ast::*;
use super::explain::Place;
use super::pairs::{Pair, Parts, ident, path};
use super::{Lower, Rule};
use crate::diag::{Diagnostic, codes};

impl Lower<'_> {
    pub(super) fn experiment(&mut self, pair: Pair<'_>) -> Experiment {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let name = parts.ident();
        let doc = self.docs.of(span.start);
        if let Some(derived) = parts.take(Rule::derived_experiment) {
            return self.derived_experiment(derived, doc, name, span);
        }
        let graph = parts.take(Rule::ident).map(|p| ident(&p));
        if graph.is_none() {
            self.no_graph(&name);
        }
        let body = self.exp_body(&mut parts).unwrap_or_default();
        Experiment { doc, name, base: None, graph, body, span }
    }

    fn derived_experiment(
        &mut self,
        pair: Pair<'_>,
        doc: Option<Doc>,
        name: Ident,
        span: Span,
    ) -> Experiment {
        let mut parts = Parts::of(pair);
        let base = Some(parts.ident());
        let graph = parts.take(Rule::on_graph).map(|p| Parts::of(p).ident());
        let mut body = self.exp_body(&mut parts).unwrap_or_default();
        parts.span = span;
        if self.junk(&mut parts, Place::File) {
            body.push(Stmt::Bad(span));
        }
        Experiment { doc, name, base, graph, body, span }
    }

    fn no_graph(&mut self, name: &Ident) {
        let missing = Diagnostic::new(
            codes::SYNTAX_EXPECTED,
            format!("experiment `{name}` does not say on which graph"),
        )
        .at(Span::new(name.span.end, name.span.end), "expected `on` and the name of a graph")
        .help(format!("write `experiment {name} on GRAPH {{ … }}`"));
        self.diagnostics.push(missing);
    }

    pub(super) fn distill(&mut self, pair: Pair<'_>) -> Distill {
        let mut parts = Parts::of(pair);
        let (teacher, student) = (parts.ident(), parts.ident());
        let body = self.exp_body(&mut parts).unwrap_or_default();
        Distill { doc: self.docs.of(parts.span.start), teacher, student, body, span: parts.span }
    }

    /// `None` without braces.
    fn exp_body(&mut self, parts: &mut Parts<'_>) -> Option<Vec<Stmt>> {
        let block = parts.take(Rule::exp_block)?;
        self.unclosed(&block);
        Some(block.into_inner().filter_map(|p| self.stmt(p)).collect())
    }

    fn stmt(&mut self, pair: Pair<'_>) -> Option<Stmt> {
        let rule = pair.as_rule();
        Some(match rule {
            Rule::setting => Stmt::Setting(self.setting(pair, Place::Experiment)),
            Rule::encode => Stmt::Encode(self.encode(pair)),
            Rule::predict => self.predict(pair),
            Rule::write => Stmt::Write(self.write(pair)),
            Rule::stage => self.stage(pair),
            Rule::train | Rule::freeze => self.train(pair, rule),
            Rule::allow => Stmt::Allow(self.allow(pair, Place::Experiment)),
            Rule::distill => Stmt::Distill(self.distill(pair)),
            Rule::nested => self.nested(pair),
            Rule::bad_stmt => Stmt::Bad(self.bad(&pair, Place::Experiment)),
            _ => return None,
        })
    }

    fn encode(&mut self, pair: Pair<'_>) -> Encode {
        let mut parts = Parts::of(pair);
        let target = match parts.take(Rule::edge_path) {
            Some(edge) => EncodeTarget::Edge(self.edge_path(edge)),
            None => EncodeTarget::Node(parts.ident()),
        };
        let value = self.value(&mut parts, Place::Experiment).unwrap_or_else(|| self.bad_expr(parts.span));
        Encode { doc: self.docs.of(parts.span.start), target, value, span: parts.span }
    }

    fn predict(&mut self, pair: Pair<'_>) -> Stmt {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let Some(target) = parts.take(Rule::target).and_then(|p| self.target(p)) else {
            return Stmt::Bad(span);
        };
        let mut body = self.exp_body(&mut parts).unwrap_or_default();
        if self.junk(&mut parts, Place::Experiment) {
            body.push(Stmt::Bad(span));
        }
        Stmt::Predict(Predict { doc: self.docs.of(span.start), target, body, span })
    }

    fn target(&mut self, pair: Pair<'_>) -> Option<Target> {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let reconstructed = parts.has(Rule::RECONSTRUCT);
        let kind = self.target_kind(&mut parts)?;
        if !reconstructed {
            return Some(Target { kind, span });
        }
        let inner = Box::new(Target { kind, span });
        Some(Target { kind: TargetKind::Reconstruct(inner), span })
    }

    fn target_kind(&mut self, parts: &mut Parts<'_>) -> Option<TargetKind> {
        if let Some(link) = parts.take(Rule::edge_path) {
            return Some(TargetKind::Link(self.edge_path(link)));
        }
        if let Some(field) = parts.take(Rule::edge_field) {
            let mut parts = Parts::of(field);
            let edge = parts.take(Rule::edge_path).map(|p| self.edge_path(p))?;
            return Some(TargetKind::EdgeField { edge, name: parts.ident() });
        }
        let Some(field) = parts.take(Rule::node_field) else { return Some(TargetKind::Name(parts.ident())) };
        let mut parts = Parts::of(field);
        Some(TargetKind::Field { owner: parts.ident(), name: parts.ident() })
    }

    fn write(&mut self, pair: Pair<'_>) -> Write {
        let mut parts = Parts::of(pair);
        let items = parts.all(Rule::write_item).into_iter().map(|p| self.write_item(p)).collect();
        let to = parts.take(Rule::expr).map(|p| self.expr(p));
        let format = parts.take(Rule::ident).map(|p| ident(&p));
        let to = if self.junk(&mut parts, Place::Experiment) { Some(self.bad_expr(parts.span)) } else { to };
        Write { items, to, format, span: parts.span }
    }

    fn write_item(&mut self, pair: Pair<'_>) -> WriteItem {
        let mut parts = Parts::of(pair);
        let (what, args) = match parts.take(Rule::written) {
            Some(written) => self.written(written),
            None => (parts.ident(), Vec::new()),
        };
        let link = parts.has(Rule::LINK);
        let of = parts.take(Rule::type_ref).and_then(|p| self.type_ref(p));
        let label = parts.take(Rule::ident).map(|p| ident(&p));
        let pairs = parts.take(Rule::pair_table).map(|p| self.pair_table(p));
        WriteItem { what, args, of, link, label, pairs, span: parts.span }
    }

    fn written(&mut self, pair: Pair<'_>) -> (Ident, Vec<Arg>) {
        let mut parts = Parts::of(pair);
        let what = parts.ident();
        let args = parts.take(Rule::call).and_then(|call| Parts::of(call).take(Rule::call_args));
        (what, args.map_or(Vec::new(), |args| self.args(args)))
    }

    fn pair_table(&mut self, pair: Pair<'_>) -> PairTable {
        let mut parts = Parts::of(pair);
        let file = parts.take(Rule::expr).map(|p| self.expr(p));
        let columns = parts.take(Rule::columns).map_or(Vec::new(), |p| Parts::of(p).idents());
        PairTable { file: file.unwrap_or_else(|| self.bad_expr(parts.span)), columns, span: parts.span }
    }

    fn stage(&mut self, pair: Pair<'_>) -> Stmt {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let body = self.exp_body(&mut parts).unwrap_or_default();
        Stmt::Stage { name, body, span: parts.span }
    }

    fn train(&mut self, pair: Pair<'_>, rule: Rule) -> Stmt {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let named = parts.all(Rule::part).into_iter().map(path).collect();
        self.junk(&mut parts, Place::Experiment);
        match rule {
            Rule::train => Stmt::Train { parts: named, span },
            _ => Stmt::Freeze { parts: named, span },
        }
    }

    fn nested(&mut self, pair: Pair<'_>) -> Stmt {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let head = match parts.take(Rule::head_call) {
            Some(call) => self.head_call(call),
            None => {
                let name = parts.ident();
                Expr::new(ExprKind::Name(name.text), name.span)
            }
        };
        let body = self.exp_body(&mut parts);
        match self.junk(&mut parts, Place::Experiment) {
            true => Stmt::Bad(span),
            false => Stmt::Block { head, body, span },
        }
    }

    fn head_call(&mut self, pair: Pair<'_>) -> Expr {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let mut head = (Expr::new(ExprKind::Name(name.text), name.span), 1);
        for call in parts.all(Rule::call) {
            head = self.link(head, call);
        }
        head.0
    }

    pub(super) fn sweep(&mut self, pair: Pair<'_>) -> Sweep {
        let mut parts = Parts::of(pair);
        let (name, of) = (parts.ident(), parts.ident());
        let mut body = Vec::new();
        if let Some(block) = parts.take(Rule::sweep_block) {
            self.unclosed(&block);
            body.extend(block.into_inner().filter_map(|p| self.sweep_stmt(p)));
        }
        Sweep { doc: self.docs.of(parts.span.start), name, of, body, span: parts.span }
    }

    fn sweep_stmt(&mut self, pair: Pair<'_>) -> Option<SweepStmt> {
        match pair.as_rule() {
            Rule::setting => return Some(SweepStmt::Setting(self.setting(pair, Place::Sweep))),
            Rule::bad_stmt => return Some(SweepStmt::Bad(self.bad(&pair, Place::Sweep))),
            Rule::axis | Rule::best => {}
            _ => return None,
        }
        let mut parts = Parts::of(pair);
        let span = parts.span;
        if parts.has(Rule::BEST) {
            let on = self.value(&mut parts, Place::Sweep).unwrap_or_else(|| self.bad_expr(span));
            return Some(SweepStmt::Best { on, span });
        }
        let Some(name) = parts.take(Rule::path).map(path) else { return Some(SweepStmt::Bad(span)) };
        let values = self.value(&mut parts, Place::Sweep).unwrap_or_else(|| self.bad_expr(span));
        Some(SweepStmt::Axis { name, values, span })
    }
}
