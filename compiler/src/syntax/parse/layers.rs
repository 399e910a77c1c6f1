//! Layers and modules: parameters, weights, equations.

use super::super::ast::*;
use super::explain::Place;
use super::pairs::{Pair, Parts};
use super::{Lower, Rule};

impl Lower<'_> {
    pub(super) fn layer(&mut self, pair: Pair<'_>) -> Layer {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let kind = match (parts.has(Rule::MODULE), parts.has(Rule::DECODER)) {
            (true, _) => LayerKind::Module,
            (_, true) => LayerKind::Decoder,
            _ => LayerKind::Layer,
        };
        let name = parts.ident();
        let params = parts.take(Rule::params).map_or(Vec::new(), |p| self.layer_params(p));
        let body = match parts.take(Rule::layer_block) {
            Some(block) => LayerBody::Block(self.layer_body(block)),
            None => {
                let alias = self.value(&mut parts, Place::File);
                LayerBody::Alias(alias.unwrap_or_else(|| self.bad_expr(span)))
            }
        };
        Layer { doc: self.docs.of(span.start), kind, name, params, body, span }
    }

    fn layer_params(&mut self, pair: Pair<'_>) -> Vec<LayerParam> {
        Parts::of(pair).all(Rule::layer_param).into_iter().map(|p| self.layer_param(p)).collect()
    }

    fn layer_param(&mut self, pair: Pair<'_>) -> LayerParam {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let ty = parts.take(Rule::type_expr).map(|p| self.type_expr(p));
        let default = parts.take(Rule::expr).map(|p| self.expr(p));
        LayerParam { name, ty, default, span: parts.span }
    }

    fn layer_body(&mut self, block: Pair<'_>) -> Vec<LayerStmt> {
        self.unclosed(&block);
        block.into_inner().filter_map(|p| self.layer_stmt(p)).collect()
    }

    fn layer_stmt(&mut self, pair: Pair<'_>) -> Option<LayerStmt> {
        Some(match pair.as_rule() {
            Rule::weight => LayerStmt::Weight(self.weight(pair)),
            Rule::equation => LayerStmt::Equation(self.equation(pair)),
            Rule::bad_stmt => LayerStmt::Bad(self.bad(&pair, Place::Layer)),
            _ => return None,
        })
    }

    fn weight(&mut self, pair: Pair<'_>) -> Weight {
        let mut parts = Parts::of(pair);
        let names = parts.all(Rule::indexed).into_iter().map(|p| self.indexed(p)).collect();
        let dims = parts.take(Rule::dims).map_or(Vec::new(), |p| Parts::of(p).all(Rule::expr));
        let dims = dims.into_iter().map(|p| self.expr(p)).collect();
        let options = parts.take(Rule::options).and_then(|p| Parts::of(p).take(Rule::call_args));
        let options = options.map_or(Vec::new(), |p| self.args(p));
        let init = self.value(&mut parts, Place::Layer);
        Weight { doc: self.docs.of(parts.span.start), names, dims, options, init, span: parts.span }
    }

    fn indexed(&mut self, pair: Pair<'_>) -> Indexed {
        let mut parts = Parts::of(pair);
        let name = parts.ident();
        let index = parts.take(Rule::index).map(|p| self.index(p));
        Indexed { name, index, span: parts.span }
    }

    fn equation(&mut self, pair: Pair<'_>) -> Equation {
        let mut parts = Parts::of(pair);
        let span = parts.span;
        let empty = || Indexed { name: Ident { text: String::new(), span }, index: None, span };
        let target = parts.take(Rule::indexed).map(|p| self.indexed(p)).unwrap_or_else(empty);
        let value = self.value(&mut parts, Place::Layer).unwrap_or_else(|| self.bad_expr(span));
        Equation { doc: self.docs.of(span.start), target, value, span }
    }
}
