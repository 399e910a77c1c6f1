//! Losses: scores and labels of the seeds to one number.
//!
//! Each is built from operations of the tensor program, so that its derivative is derived and its arithmetic is fused like any
//! other. Decided here: which form of each formula holds in f32 for scores of any size. What depends on the data alone (class
//! weights, rows without a label, unknown classes) is in SeedWeight.

use gsl_plan::build::{Builder, Built};
use gsl_plan::graph::LabelKind;
use gsl_plan::program::{BinaryOp, Domain, Op, Role, UnaryOp, ValueId};
use gsl_plan::verify::VerifyError;

use super::data::spread;
use super::head::Scores;
use super::link::link_loss;
use super::{Lowering, Wrong, fault};
use crate::layers::LowerCx;
use crate::sema::link::{LinkLoss, Positive};
use crate::sema::{Loss, Predict, Target};

/// Below this 1 − p counts as 0: the precision of 1 − p in f32.
const LEAST_DOUBT: f32 = 1e-7;

impl<'a> Lowering<'a> {
    /// Σ over predictions of weight · LossScale · Σ over seeds of SeedWeight · loss.
    pub fn losses(&self, cx: &mut LowerCx<'a>, scores: &[Scores]) -> Result<(), Wrong> {
        let mut total: Option<ValueId> = None;
        for (i, (predict, scores)) in self.experiment.predicts.iter().zip(scores).enumerate() {
            let loss = self.task_loss(cx, i, predict, scores).map_err(fault(predict.span))?;
            cx.builder.output(Role::TaskLoss(i), loss);
            total = Some(add_weighted(cx, total, loss, predict.weight as f32).map_err(fault(predict.span))?);
        }
        if let Some(total) = total {
            cx.builder.output(Role::Loss, total);
        }
        Ok(())
    }

    fn task_loss(
        &self,
        cx: &mut LowerCx<'a>,
        index: usize,
        predict: &Predict,
        scores: &Scores,
    ) -> Result<ValueId, VerifyError> {
        let seeds = cx.builder.domain(scores.own);
        let predict_index = index as u32;
        let builder = &mut cx.builder;
        builder.at(format!("loss of {}", predict.name), None);
        let shape = match predict.kind {
            LabelKind::Classes => builder.shape(scores.own).to_vec(),
            LabelKind::Class | LabelKind::Float => Vec::new(),
        };
        let weight = builder.push(Op::SeedWeight { predict: predict_index }, &[], seeds, &shape)?;
        let scale = builder.op(Op::LossScale { predict: predict_index }, &[])?;
        let each = match &predict.loss {
            _ if predict.reconstruct.is_some() => self.feature_error(cx, index, scores.own)?,
            Loss::Link(loss) => {
                let weight = self.weight_of_links(cx, index, loss, seeds)?;
                link_loss(cx, loss, weight, scores)?
            }
            loss => {
                let label = Op::Label { label: label_number(predict, index) };
                let label = builder.push(label, &[], seeds, &shape)?;
                let target = match predict.kind {
                    LabelKind::Float => self.standardised(builder, index, label)?,
                    LabelKind::Class | LabelKind::Classes => label,
                };
                each_loss(builder, loss, predict.kind, scores.own, target)?
            }
        };
        let builder = &mut cx.builder;
        let weighted = builder.mul(each, weight)?;
        let rows = match shape.first() {
            Some(&inner) => builder.op(Op::SumInner { inner }, &[weighted])?,
            None => weighted,
        };
        let sum = builder.op(Op::SumRows, &[rows])?;
        builder.mul(sum, scale)
    }

    /// The feature of the edge that weighs each link, × \[\].
    fn weight_of_links(
        &self,
        cx: &mut LowerCx<'a>,
        index: usize,
        loss: &LinkLoss,
        pairs: Domain,
    ) -> Result<Option<ValueId>, VerifyError> {
        let LinkLoss::Bce { positive: Positive::Feature(name) } = loss else { return Ok(None) };
        let relation = self.around.pairs[index].as_ref().and_then(|pairs| pairs.relations.first());
        let features = relation.map_or(&[][..], |r| &self.facts.relations[*r as usize].features);
        let found = features.iter().position(|f| f.name == *name && f.width == 1);
        let feature =
            found.ok_or_else(|| VerifyError::new(format!("`{name}` is not one number of each edge")))?;
        let weight = cx.builder.push(Op::Feature { feature: feature as u32 }, &[], pairs, &[1])?;
        cx.builder.reshape(weight, &[]).map(Some)
    }

    /// (y − mean) / std over the training rows.
    fn standardised(&self, builder: &mut Builder, index: usize, label: ValueId) -> Built {
        let known = self.label_of(index);
        let mean = builder.constant(known.mean as f32);
        let scale = builder.constant((1.0 / spread(&known)) as f32);
        let centred = builder.binary(BinaryOp::Sub, label, mean)?;
        builder.mul(centred, scale)
    }
}

/// The label of each seed: of nodes by its number, of pairs by that of the prediction.
fn label_number(predict: &Predict, index: usize) -> u32 {
    match predict.target {
        Target::Node { label, .. } => label as u32,
        _ => index as u32,
    }
}

/// The loss of each row, of several classes of each row and class, before any weight. `target` is a class index, a 0 or 1 for
/// each class, or a number, as `kind` says.
pub fn each_loss(b: &mut Builder, loss: &Loss, kind: LabelKind, scores: ValueId, target: ValueId) -> Built {
    match (loss, kind) {
        (Loss::Focal { gamma, .. }, LabelKind::Class) => softmax_focal(b, *gamma as f32, scores, target),
        (Loss::Focal { gamma, .. }, _) => sigmoid_focal(b, *gamma as f32, scores, target),
        (Loss::CrossEntropy { smoothing, .. }, _) => {
            b.op(Op::CrossEntropy { smoothing: *smoothing as f32 }, &[scores, target])
        }
        (Loss::Bce { .. }, _) => {
            let margin = margin(b, scores, target)?;
            let against = b.unary(UnaryOp::Neg, margin)?;
            b.unary(UnaryOp::Softplus, against)
        }
        (Loss::Mse, _) => {
            let error = b.binary(BinaryOp::Sub, scores, target)?;
            b.unary(UnaryOp::Square, error)
        }
        (Loss::Mae, _) => size(b, scores, target),
        (Loss::Huber { delta }, _) => huber(b, *delta as f32, scores, target),
        (Loss::Rust(name), _) => {
            let shape = if kind == LabelKind::Class { Vec::new() } else { b.shape(scores).to_vec() };
            let rows = b.domain(scores);
            let op = Op::External { name: name.as_str().to_owned() };
            b.push(op, &[scores, target], rows, &shape)
        }
        (Loss::Link(_), _) => Err(VerifyError::new("a loss of links has no target")),
        (Loss::Shrinkage { alpha, gamma }, _) => shrinkage(b, *alpha as f32, *gamma as f32, scores, target),
    }
}

/// z = (2y − 1) s, the score for what is true: −log p = softplus(−z), −log(1 − p) = softplus(z).
fn margin(b: &mut Builder, scores: ValueId, target: ValueId) -> Built {
    let (two, one) = (b.constant(2.0), b.constant(1.0));
    let doubled = b.mul(target, two)?;
    let sign = b.binary(BinaryOp::Sub, doubled, one)?;
    b.mul(scores, sign)
}

/// (1 − p)^γ (−log p) = exp(−γ softplus(z)) softplus(−z).
fn sigmoid_focal(b: &mut Builder, gamma: f32, scores: ValueId, target: ValueId) -> Built {
    let margin = margin(b, scores, target)?;
    let against = b.unary(UnaryOp::Neg, margin)?;
    let surprise = b.unary(UnaryOp::Softplus, against)?;
    let certainty = b.unary(UnaryOp::Softplus, margin)?;
    let gamma = b.constant(-gamma);
    let exponent = b.mul(certainty, gamma)?;
    let factor = b.unary(UnaryOp::Exp, exponent)?;
    b.mul(factor, surprise)
}

/// With c = −log softmax(scores)\[class\]: max(1 − exp(−c), ε)^γ c, where the power is exp(γ log …).
fn softmax_focal(b: &mut Builder, gamma: f32, scores: ValueId, class: ValueId) -> Built {
    let surprise = b.op(Op::CrossEntropy { smoothing: 0.0 }, &[scores, class])?;
    let log = b.unary(UnaryOp::Neg, surprise)?;
    let sure = b.unary(UnaryOp::Exp, log)?;
    let (one, least, gamma) = (b.constant(1.0), b.constant(LEAST_DOUBT), b.constant(gamma));
    let doubt = b.binary(BinaryOp::Sub, one, sure)?;
    let doubt = b.binary(BinaryOp::Max, doubt, least)?;
    let log = b.unary(UnaryOp::Log, doubt)?;
    let exponent = b.mul(log, gamma)?;
    let factor = b.unary(UnaryOp::Exp, exponent)?;
    b.mul(factor, surprise)
}

/// |s − y|.
fn size(b: &mut Builder, scores: ValueId, target: ValueId) -> Built {
    let error = b.binary(BinaryOp::Sub, scores, target)?;
    b.unary(UnaryOp::Abs, error)
}

/// m² / 2 + δ (e − m), with e = |s − y| and m = min(e, δ).
fn huber(b: &mut Builder, delta: f32, scores: ValueId, target: ValueId) -> Built {
    let size = size(b, scores, target)?;
    let delta = b.constant(delta);
    let near = b.binary(BinaryOp::Min, size, delta)?;
    let square = b.unary(UnaryOp::Square, near)?;
    let half = b.constant(0.5);
    let quadratic = b.mul(square, half)?;
    let beyond = b.binary(BinaryOp::Sub, size, near)?;
    let linear = b.mul(beyond, delta)?;
    b.add(quadratic, linear)
}

/// e² sigmoid(α (e − γ)), with e = |s − y|.
fn shrinkage(b: &mut Builder, alpha: f32, gamma: f32, scores: ValueId, target: ValueId) -> Built {
    let size = size(b, scores, target)?;
    let (alpha, gamma) = (b.constant(alpha), b.constant(gamma));
    let beyond = b.binary(BinaryOp::Sub, size, gamma)?;
    let steep = b.mul(beyond, alpha)?;
    let share = b.unary(UnaryOp::Sigmoid, steep)?;
    let square = b.unary(UnaryOp::Square, size)?;
    b.mul(square, share)
}

fn add_weighted(
    cx: &mut LowerCx,
    total: Option<ValueId>,
    loss: ValueId,
    weight: f32,
) -> Result<ValueId, VerifyError> {
    let builder = &mut cx.builder;
    builder.at("loss", None);
    let weighted = match weight {
        1.0 => loss,
        _ => {
            let weight = builder.constant(weight);
            builder.mul(loss, weight)?
        }
    };
    match total {
        Some(total) => builder.add(total, weighted),
        None => Ok(weighted),
    }
}
