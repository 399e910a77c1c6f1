//! Decoders: the score of a pair of nodes, as an equation on `[u -> v]`.
//!
//! ```text
//! score[u -r-> v] = (h[u] * R[r]) . h[v]        with `to` corrupted:
//!
//! %u : nodes(pairs)@0 × [d] = Reduce Sum(Src(h))          one edge per pair, along `from`
//! %r : nodes(pairs)@0 × [d] = Reduce Sum(Src(R))          one edge per pair, along the kinds
//! %v : nodes(pairs)@0 × [d] = Reduce Sum(Src(h))          edges(to')@0 × [d] = Src(h)
//! %s : nodes(pairs)@0 × []  = SumInner(%u %r %v)          edges(to')@0 × []  = SumInner(Dst(%u %r) %v)
//! ```
//!
//! What depends on the ends that stay is computed once per pair, whatever number of nodes takes the place of the other.

use gsl_plan::pairs::{Corrupted, Pairs, Side};
use gsl_plan::plan::ParamKind;
use gsl_plan::program::{BinaryOp, Broadcast, Domain, Op, ReduceOp, UnaryOp, ValueId};

use super::super::typed::*;
use super::{Env, Key, LayerCall, Low, Lower, LowerCx, Lowered, Made, Rows, checked};
use crate::diag::{Diagnostic, codes};
use crate::layers::args::Scope;

/// The pairs that are scored, and the end that other nodes take the place of.
#[derive(Debug, Clone)]
pub(super) struct PairEnds {
    pairs: Pairs,
    corrupted: Option<Corrupted>,
}

impl PairEnds {
    fn rows(&self) -> Domain {
        Domain::Nodes { ty: self.pairs.ty, hop: 0 }
    }

    /// Where scores are: one for each pair, or for each node put in its place.
    pub(super) fn scored(&self) -> Domain {
        match self.corrupted {
            Some(Corrupted { rel, .. }) => Domain::Edges { rel, hop: 0 },
            None => self.rows(),
        }
    }
}

/// Scores of pairs, Nodes{pairs.ty, 0} × \[out\], or with a corrupted end of what takes its place, Edges{rel, 0} × \[out\]; from
/// rows of nodes at hop 1.
///
/// # Errors
/// As [`super::lower_layer`]; also edge features where a node has taken another's place.
pub fn lower_decoder(
    cx: &mut LowerCx,
    call: &LayerCall,
    scope: &Scope,
    input: &Rows,
    pairs: &Pairs,
    corrupted: Option<Corrupted>,
) -> Result<ValueId, Vec<Diagnostic>> {
    let body = checked(call, scope)?;
    let width = pair_width(cx, call, input, pairs)?;
    let ends = PairEnds { pairs: pairs.clone(), corrupted };
    let mut lower = Lower::new(cx, call, scope, &body, width);
    lower.input = input.clone();
    lower.pair = Some(ends.clone());
    lower.pair_features()?;
    lower.ready(&[])?;
    lower.output(ends.scored()).map_err(|d| vec![*d])
}

fn pair_width(cx: &LowerCx, call: &LayerCall, input: &Rows, pairs: &Pairs) -> Result<usize, Vec<Diagnostic>> {
    let width = |ty: u32| input.get(&ty).map(|rows| cx.builder.value(*rows).width());
    match (width(pairs.src), width(pairs.dst)) {
        (Some(a), Some(b)) if a == b => Ok(a),
        (Some(a), Some(b)) => {
            let text =
                format!("the ends of a pair come into `{}` with different widths", call.layer.decl.name);
            let (src, dst) = (cx.node_label(pairs.src), cx.node_label(pairs.dst));
            Err(vec![
                Diagnostic::new(codes::LAYER_WIDTHS, text)
                    .at(call.span, format!("`{src}` {a}, `{dst}` {b}"))
                    .help("let both types' encoders end in the same width, for example `|> linear(hidden)`"),
            ])
        }
        _ => Err(vec![Diagnostic::new(codes::LAYER_LOWERING, "no rows of the ends of pairs come in")]),
    }
}

impl Lower<'_, '_, '_> {
    fn scoring(&self) -> &PairEnds {
        self.pair.as_ref().expect("only decoders score pairs")
    }

    /// Equations of a decoder are of the pair; `v` of one that is on nodes can be either end.
    pub(super) fn pair_env(&self, target: Target, env: Env) -> Env {
        match target {
            Target::Node => Env { relation: None, ty: None, ..env },
            Target::Type => Env { relation: None, ..env },
            _ => Env { ty: None, source: false, ..env },
        }
    }

    fn side(end: End, env: &Env) -> Side {
        if end == End::Source || env.source { Side::Source } else { Side::Destination }
    }

    pub(super) fn end_type(&self, end: End, env: &Env) -> Option<u32> {
        let pairs = &self.scoring().pairs;
        Some(pairs.end(Self::side(end, env)))
    }

    pub(super) fn end_rows(&mut self, end: End, env: &Env) -> Made {
        let ty = self.end_type(end, env).unwrap_or_default();
        match self.input.get(&ty).copied() {
            Some(rows) => self.at_end(rows, Self::side(end, env)),
            None => self.fault("rows of no end of a pair"),
        }
    }

    pub(super) fn end_degree(&mut self, end: End, env: &Env) -> Made {
        let ty = self.end_type(end, env).unwrap_or_default();
        let degree = self.push(Op::Degree, &[], Domain::Nodes { ty, hop: 1 }, &[])?;
        self.at_end(degree, Self::side(end, env))
    }

    /// Rows of nodes, read at an end of the pairs, or at the nodes that take its place.
    fn at_end(&mut self, rows: ValueId, side: Side) -> Made {
        let pair = self.scoring().clone();
        let shape = self.cx.builder.shape(rows).to_vec();
        match pair.corrupted {
            Some(c) if c.side == side => {
                self.push(Op::Src, &[rows], Domain::Edges { rel: c.rel, hop: 0 }, &shape)
            }
            _ => {
                let rel = if side == Side::Source { pair.pairs.from } else { pair.pairs.to };
                self.gathered(rows, rel)
            }
        }
    }

    /// Rows read along a relation that has one edge for each pair.
    fn gathered(&mut self, rows: ValueId, rel: u32) -> Made {
        let key = Key::Moved(rows, Domain::Edges { rel, hop: 0 });
        if let Some(Low::Value(done)) = self.memo.get(&key) {
            return Ok(*done);
        }
        let shape = self.cx.builder.shape(rows).to_vec();
        let edge = self.push(Op::Src, &[rows], Domain::Edges { rel, hop: 0 }, &shape)?;
        let made = self.op(Op::Reduce(ReduceOp::Sum), &[edge])?;
        self.memo.insert(key, Low::Value(made));
        Ok(made)
    }

    /// A 1 for every pair: each has one source.
    pub(super) fn pair_ones(&mut self) -> Made {
        let pair = self.scoring();
        let (rel, domain) = (pair.pairs.from, pair.rows());
        let counts = self.push(Op::RecipCount { rel }, &[], domain, &[])?;
        self.op(Op::Unary(UnaryOp::Sign), &[counts])
    }

    /// A weight of each relation as a table, a row of which each pair reads.
    pub(super) fn pair_weight(&mut self, index: usize) -> Made {
        let weight = &self.body.weights[index];
        let pairs = self.scoring().pairs.clone();
        let base = format!("{}.{}", self.call.prefix, weight.name);
        let dims: Vec<_> = weight.dims.iter().map(|(d, _)| d.clone()).collect();
        let (full, shape) = (self.concrete(&dims)?, self.concrete(&weight.shape)?);
        let init = self.init(weight, &shape)?;
        let bases = match &weight.bases {
            Some((n, _)) => self.bases(n)?,
            None => None,
        };
        let kinds = Domain::Nodes { ty: pairs.kinds.ty, hop: 1 };
        let rows = match bases {
            None => self.table(&base, pairs.relations.len(), &full, init, kinds)?,
            Some(n) => {
                let of = gsl_plan::plan::Init::Glorot { fan_in: pairs.relations.len(), fan_out: n };
                let row =
                    self.table(&format!("{base}.coefficients"), pairs.relations.len(), &[n], of, kinds)?;
                let v = self.cx.param(&format!("{base}.bases"), &[&[n], full.as_slice()].concat(), init);
                self.op(Op::Linear { batch: 1 }, &[row, v])?
            }
        };
        let rows = self.gathered(rows, pairs.kinds.rel)?;
        self.reshape(rows, &shape)
    }

    fn table(
        &mut self,
        name: &str,
        rows: usize,
        row: &[usize],
        init: gsl_plan::plan::Init,
        domain: Domain,
    ) -> Made {
        let shape = [&[rows], row].concat();
        let param = self.cx.param_index(name, &shape, init, ParamKind::Dense);
        self.push(Op::Embedding { param }, &[], domain, row)
    }

    /// Σ_k x\[k\] w\[k, n\], with a matrix for each row.
    pub(super) fn product_by_row(
        &mut self,
        value: &Typed,
        x: ValueId,
        w: ValueId,
        (shared, spread): (usize, usize),
        w_shape: &[usize],
        env: &Env,
    ) -> Lowered {
        let [_, n] = *w_shape else { return self.fault("a product of a row and more than a matrix") };
        if shared + spread > 0 {
            return self.fault("a product along several dimensions with a matrix for each relation");
        }
        let both = self.together(&[w, x], env)?;
        let times =
            Op::Binary { op: BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Outer { inner: n } };
        let products = self.op(times, &both)?;
        let sum = self.op(Op::SumOuter { inner: n }, &[products])?;
        let shape = self.shape(value)?;
        self.reshape(sum, &shape).map(Low::Value)
    }

    /// The first or second half of a row.
    pub(super) fn half(&mut self, second: bool, x: &Typed, env: &Env) -> Lowered {
        let row = self.value(x, env)?;
        let width = self.shape(x)?.iter().product::<usize>();
        if width % 2 == 1 {
            let text = format!(
                "`{}` reads the halves of a row, and a row has {width} numbers",
                self.call.layer.decl.name
            );
            let d = Diagnostic::new(codes::LAYER_NOT_WHOLE, text).at(self.call.span, "needs an even width");
            let more = width + 1;
            let help = format!(
                "let the last layer of `gnn`, or without one `encode`, make an even number: `linear({more})`"
            );
            return Err(Box::new(d.help(help)));
        }
        let (domain, start) = (self.domain(row), if second { width / 2 } else { 0 });
        self.push(Op::Slice { start }, &[row], domain, &[width / 2]).map(Low::Value)
    }

    /// The features of the pairs' edges that a decoder reads; all relations have them, of one width.
    fn pair_features(&mut self) -> Result<(), Vec<Diagnostic>> {
        let pair = self.scoring().clone();
        let facts = self.cx.facts;
        let mut wrong = Vec::new();
        for (name, span) in &self.body.edge_features {
            if pair.pairs.links.is_some() {
                let text = format!("`e.{name}` is a feature of edges, and pairs that are no edges have none");
                let d =
                    Diagnostic::new(codes::LAYER_NO_EDGE_FEATURE, text).at(self.call.span, "scores links");
                let there = Diagnostic::new(codes::LAYER_NO_EDGE_FEATURE, "it is read here").at(*span, "");
                wrong.push(d.related(super::super::args::in_file_of(there, &self.call.layer)));
                continue;
            }
            let find = |r: u32| facts.relations[r as usize].features.iter().find(|f| f.name == *name);
            match pair.pairs.relations.iter().find_map(|r| find(*r)) {
                Some(feature) => drop(self.widths.insert(format!("e.{name}"), feature.width as i64)),
                None => {
                    wrong.push(self.no_feature(name, *span, &pair.pairs.relations, &pair.pairs.relations))
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    pub(super) fn pair_feature(&mut self, name: &str) -> Made {
        let pair = self.scoring().clone();
        let relation = pair.pairs.relations.first().map(|r| &self.cx.facts.relations[*r as usize]);
        let found = relation.and_then(|r| r.features.iter().enumerate().find(|(_, f)| f.name == name));
        let Some((index, feature)) = found else { return self.fault(&format!("no edge feature `{name}`")) };
        let (op, shape) = (Op::Feature { feature: index as u32 }, [feature.width]);
        self.push(op, &[], pair.rows(), &shape)
    }
}
