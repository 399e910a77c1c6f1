//! Predictions of pairs: the types of rows and relations that a batch adds for them, and their scores.

use gsl_plan::graph::{GraphFacts, LabelFacts, NodeFacts};
use gsl_plan::pairs::{Against, Corrupted, Kinds, Links, Negatives, Pairs, Protocol, Side};
use gsl_plan::plan::{Virtuals, WriteWhat};
use gsl_plan::program::{Domain, Op, ReduceOp, Role, ValueId};

use super::rows::{Names, calls};
use super::{Lowering, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Rows, lower_decoder};
use crate::sema::link::{LINK, Link, LinkLoss, Positive, always_hits, hit_fewer, no_news};
use crate::sema::model::Model;
use crate::sema::reconstruct::label_name;
use crate::sema::{CheckedGraph, Experiment, Loss, Predict, Target, Written};

/// The pairs of each prediction; what they add to the types and relations of the graph goes behind `virtuals`.
pub fn pairs(
    experiment: &Experiment,
    graph: &CheckedGraph,
    facts: &GraphFacts,
    virtuals: &mut Virtuals,
) -> Result<Vec<Option<Pairs>>, Wrong> {
    let mut add = Add { facts, virtuals };
    let of = |predict: &Predict| match predict.target.edge() {
        Some(edge) => add.pairs(predict, edge, graph).map(Some),
        None => Ok(None),
    };
    experiment.predicts.iter().map(of).collect()
}

struct Add<'a> {
    facts: &'a GraphFacts,
    virtuals: &'a mut Virtuals,
}

impl Add<'_> {
    fn pairs(&mut self, predict: &Predict, edge: usize, graph: &CheckedGraph) -> Result<Pairs, Wrong> {
        let declared = &graph.plan.edges[edge];
        let (src, dst) = (declared.src as u32, declared.dst as u32);
        let relations = relations_of(self.facts, edge);
        let name = match (predict.target, &predict.reconstruct) {
            (Target::Edge { label, .. }, _) => declared.labels[label].name.clone(),
            (_, Some(of)) => label_name(&of.feature),
            _ => LINK.to_owned(),
        };
        let label = relations.first().and_then(|r| label_at(self.facts, *r, &name));
        let Some(label) = label else { return Err(vec![super::data::no_facts(predict)]) };
        let fitted = predict.link.as_ref().map(|link| self.fitted(predict, link, [src, dst])).transpose()?;
        self.weight_is_a_number(predict, &relations)?;
        let (ty, kind) = (self.ty(0), self.ty(relations.len()));
        let links = fitted.map(|(sides, negatives, protocol)| Links {
            ends: [self.relation(src, ty), self.relation(dst, ty)],
            sides,
            negatives,
            protocol,
        });
        Ok(Pairs {
            from: self.relation(src, ty),
            to: self.relation(dst, ty),
            kinds: Kinds { ty: kind, rel: self.relation(kind, ty) },
            ty,
            relations,
            src,
            dst,
            label: label as u32,
            links,
        })
    }

    /// No more nodes are drawn than there are: what is written is refused, a default takes them all.
    fn fitted(
        &self,
        predict: &Predict,
        link: &Link,
        [src, dst]: [u32; 2],
    ) -> Result<(Vec<Side>, Negatives, Protocol), Wrong> {
        let nodes = |sides: &[Side]| {
            let ends = sides.iter().map(|side| if *side == Side::Source { src } else { dst });
            ends.map(|ty| &self.facts.nodes[ty as usize]).min_by_key(|node| node.count)
        };
        let exceeds = |count: u32, sides: &[Side]| nodes(sides).filter(|node| u64::from(count) > node.count);
        if let Some(node) = nodes(&link.sides)
            && let Some(wrong) = too_small(predict, &link.negatives, node)
        {
            return Err(vec![wrong]);
        }
        let (mut negatives, mut protocol) = (link.negatives.clone(), link.protocol.clone());
        if let Some(node) = exceeds(negatives.drawn, &link.sides) {
            if link.written[0] {
                let help = format!("draw at most {}, or `in_batch`", node.count);
                return Err(vec![too_many(predict, (negatives.drawn, "negatives"), node, help)]);
            }
            negatives.drawn = node.count as u32;
        }
        if let Against::Uniform(k) = protocol.against
            && let Some(node) = exceeds(k, &protocol.sides)
        {
            if link.written[1] {
                let help = "rank against all of them: `against all`".to_owned();
                return Err(vec![too_many(predict, (k, "candidates"), node, help)]);
            }
            protocol.against = Against::All;
        }
        if link.written[1]
            && protocol.against == Against::All
            && let Some(node) = nodes(&protocol.sides)
            && let Some(metric) = predict.metrics.iter().find(|metric| always_hits(**metric, node.count))
        {
            let diagnostic = Diagnostic::new(codes::EXPERIMENT_DATA, no_news(*metric, node.count));
            let help = hit_fewer(node.count.saturating_sub(1));
            let place = format!("`{}` has {} nodes", node.name, node.count);
            return Err(vec![diagnostic.at(predict.span, place).help(help)]);
        }
        Ok((link.sides.clone(), negatives, protocol))
    }

    fn weight_is_a_number(&self, predict: &Predict, relations: &[u32]) -> Result<(), Wrong> {
        let Loss::Link(LinkLoss::Bce { positive: Positive::Feature(name) }) = &predict.loss else {
            return Ok(());
        };
        let features = relations.iter().flat_map(|r| &self.facts.relations[*r as usize].features);
        match features.into_iter().find(|f| f.name == *name && f.width != 1) {
            None => Ok(()),
            Some(wide) => {
                let message =
                    format!("`{name}` has {} numbers of each edge, and a weight is one", wide.width);
                let help = "weigh links by a feature that is one number";
                Err(vec![
                    Diagnostic::new(codes::EXPERIMENT_DATA, message)
                        .at(predict.span, "of this link")
                        .help(help),
                ])
            }
        }
    }

    fn ty(&mut self, rows: usize) -> u32 {
        self.virtuals.types.push(rows as u32);
        (self.facts.nodes.len() + self.virtuals.types.len()) as u32 - 1
    }

    fn relation(&mut self, src: u32, dst: u32) -> u32 {
        self.virtuals.relations.push((src, dst));
        (self.facts.relations.len() + self.virtuals.relations.len()) as u32 - 1
    }
}

fn too_many(predict: &Predict, (count, what): (u32, &str), node: &NodeFacts, help: String) -> Diagnostic {
    let message = format!("{count} {what} are drawn from the {} nodes of `{}`", node.count, node.name);
    Diagnostic::new(codes::EXPERIMENT_DATA, message).at(predict.span, "of this link").help(help)
}

/// No more is drawn of a partition than it has nodes.
fn too_small(predict: &Predict, negatives: &Negatives, node: &NodeFacts) -> Option<Diagnostic> {
    let partitions = u64::from(negatives.partitions);
    let least = node.count / partitions;
    if partitions == 1 || u64::from(negatives.drawn) <= least {
        return None;
    }
    let message = format!(
        "{} negatives are drawn from {partitions} partitions of the {} nodes of `{}`, which have {least} each",
        negatives.drawn, node.count, node.name
    );
    let help = match node.count / u64::from(negatives.drawn.max(1)) {
        0 | 1 => "leave `partitions` out".to_owned(),
        most => format!("have at most {most} partitions"),
    };
    Some(Diagnostic::new(codes::EXPERIMENT_DATA, message).at(predict.span, "of this link").help(help))
}

/// Relations of an edge type, reverses left out.
pub fn relations_of(facts: &GraphFacts, edge: usize) -> Vec<u32> {
    let own = facts.relations.iter().enumerate();
    own.filter(|(_, r)| r.declared_by == edge && r.reverse_of.is_none()).map(|(i, _)| i as u32).collect()
}

fn label_at(facts: &GraphFacts, relation: u32, name: &str) -> Option<usize> {
    facts.relations[relation as usize].labels.iter().position(|l| l.name == name)
}

/// What is known of the label of pairs: the relations' own together.
pub fn label_facts(facts: &GraphFacts, pairs: &Pairs) -> LabelFacts {
    let mut all = pairs.relations.iter().map(|r| &facts.relations[*r as usize].labels[pairs.label as usize]);
    let Some(first) = all.next() else { return LabelFacts::default() };
    let mut sum = first.clone();
    for other in all {
        let (a, b) = (sum.parts[1] as f64, other.parts[1] as f64);
        let mean = if a + b > 0.0 { (a * sum.mean + b * other.mean) / (a + b) } else { 0.0 };
        let square = |f: &LabelFacts, n: f64| n * (f.std * f.std + (f.mean - mean).powi(2));
        let variance = (square(&sum, a) + square(other, b)) / (a + b).max(1.0);
        (sum.mean, sum.std) = (mean, variance.sqrt());
        sum.parts.iter_mut().zip(other.parts).for_each(|(sum, n)| *sum += n);
        sum.train_counts.iter_mut().zip(&other.train_counts).for_each(|(sum, n)| *sum += n);
    }
    sum
}

impl<'a> Lowering<'a> {
    /// Scores of pairs, × \[out\], from rows of nodes at hop 1; and those of their negatives.
    pub fn pair_scores(
        &self,
        cx: &mut LowerCx<'a>,
        predict: &Predict,
        pairs: &Pairs,
        rows: &Rows,
        out: usize,
    ) -> Result<(ValueId, Vec<ValueId>), Wrong> {
        let positive = self.pair_score(cx, predict, pairs, rows, out, None)?;
        let corrupted = pairs.links.iter().flat_map(|links| links.corrupted(&links.sides));
        let negatives = corrupted.map(|c| self.pair_score(cx, predict, pairs, rows, out, Some(c)));
        Ok((positive, negatives.collect::<Result<_, _>>()?))
    }

    fn pair_score(
        &self,
        cx: &mut LowerCx<'a>,
        predict: &Predict,
        pairs: &Pairs,
        rows: &Rows,
        out: usize,
        corrupted: Option<Corrupted>,
    ) -> Result<ValueId, Wrong> {
        let prefix = format!("predict.{}", predict.name);
        match &predict.decode {
            Model::Call(call) if call.pairs => {
                let layer = self.layer_call(call, prefix, Some(out));
                let rows = self.at_hop_one(cx, rows, pairs)?;
                lower_decoder(cx, &layer, &self.scope(call.id), &rows, pairs, corrupted)
            }
            model if has_pairs(model) => Err(vec![not_alone(predict)]),
            model => {
                let both = self.side_by_side(cx, predict, pairs, rows, corrupted)?;
                let mut names = if calls(model) == 1 { Names::bare(prefix) } else { Names::new(prefix) };
                self.rows_model(cx, model, both, &mut names, Some(out))
            }
        }
    }

    fn at_hop_one(&self, cx: &mut LowerCx<'a>, rows: &Rows, pairs: &Pairs) -> Result<Rows, Wrong> {
        let mut found = Rows::new();
        for ty in [pairs.src, pairs.dst] {
            let row = cx.builder.prefix(rows[&ty], 1).map_err(fault(Default::default()))?;
            found.insert(ty, row);
        }
        Ok(found)
    }

    /// The rows of both ends one after the other, for a decoder that is a module.
    fn side_by_side(
        &self,
        cx: &mut LowerCx<'a>,
        predict: &Predict,
        pairs: &Pairs,
        rows: &Rows,
        corrupted: Option<Corrupted>,
    ) -> Result<ValueId, Wrong> {
        let failed = fault(predict.span);
        let rows = self.at_hop_one(cx, rows, pairs)?;
        cx.builder.at(format!("ends of {}", predict.name), None);
        let mut ends = Vec::new();
        for (side, ty, rel) in
            [(Side::Source, pairs.src, pairs.from), (Side::Destination, pairs.dst, pairs.to)]
        {
            let x = rows[&ty];
            let end = match corrupted {
                Some(c) if c.side == side => cx.builder.src(x, c.rel, 0).map_err(&failed)?,
                _ => {
                    let edge = cx.builder.src(x, rel, 0).map_err(&failed)?;
                    let row = cx.builder.reduce(ReduceOp::Sum, edge).map_err(&failed)?;
                    match corrupted {
                        Some(c) => cx.builder.dst(row, c.rel, 0).map_err(&failed)?,
                        None => row,
                    }
                }
            };
            ends.push(end);
        }
        cx.builder.op(Op::Concat, &ends).map_err(&failed)
    }

    /// The program that scores pairs by the rows that inference has computed: one for each prediction of pairs.
    pub fn scorer(&self, cx: &mut LowerCx<'a>, index: usize, widths: &[(u32, usize)]) -> Result<(), Wrong> {
        let predict = &self.experiment.predicts[index];
        let Some(pairs) = &self.around.pairs[index] else { return Ok(()) };
        let mut rows = Rows::new();
        for (ty, width) in widths {
            let domain = Domain::Nodes { ty: *ty, hop: 1 };
            cx.builder.at(format!("hidden {}", self.facts.nodes[*ty as usize].name), None);
            let row = cx.builder.push(Op::Hidden, &[], domain, &[*width]).map_err(fault(predict.span))?;
            rows.insert(*ty, row);
        }
        let out = self.outputs(index);
        let positive = self.pair_score(cx, predict, pairs, &rows, out, None)?;
        let positive = self.shaped(cx, predict, positive, out)?;
        cx.builder.output(Role::Scores(index), positive);
        for corrupted in pairs.links.iter().flat_map(|links| links.corrupted(&self.ranked(index, links))) {
            let score = self.pair_score(cx, predict, pairs, &rows, out, Some(corrupted))?;
            let score = self.shaped(cx, predict, score, out)?;
            let source = corrupted.side == Side::Source;
            cx.builder.output(Role::Negatives { predict: index, source }, score);
        }
        Ok(())
    }
}

impl Lowering<'_> {
    /// The ends that other nodes take the place of after training: those of the protocol, and destinations where the best
    /// are written.
    fn ranked(&self, index: usize, links: &Links) -> Vec<Side> {
        let is_best = |written: &Written| matches!(written.write.what, WriteWhat::Links { predict, .. } if predict == index);
        let mut sides = links.protocol.sides.clone();
        if self.experiment.writes.iter().any(is_best) && !sides.contains(&Side::Destination) {
            sides.push(Side::Destination);
        }
        sides
    }
}

fn has_pairs(model: &Model) -> bool {
    match model {
        Model::Call(call) => call.pairs,
        Model::Activation(..) | Model::Dropout(_) => false,
        Model::Chain(models) => models.iter().any(has_pairs),
        Model::Residual(inner, _) | Model::Jump { of: inner, .. } => has_pairs(inner),
    }
}

fn not_alone(predict: &Predict) -> Diagnostic {
    let message = format!("`{}` brings a decoder of pairs and modules together", predict.decode.show());
    Diagnostic::new(codes::MODEL_EXPRESSION, message)
        .at(predict.span, "")
        .help("a decoder of pairs stands alone; declare one that does both: `decoder NAME(…) { score[u -> v] = … }`")
}
