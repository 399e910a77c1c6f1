//! Decoders and losses: rows of the seeds to scores, scores and labels to one number.

use gsl_plan::graph::LabelKind;
use gsl_plan::program::{BinaryOp, Domain, Op, Role, UnaryOp, ValueId};
use gsl_plan::verify::VerifyError;

use super::data::spread;
use super::link::link_loss;
use super::rows::{Names, calls};
use super::{Lowering, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Rows};
use crate::sema::{Loss, Predict, Target};

/// The scores of a prediction, and of links those of the negatives of each corrupted side.
pub struct Scores {
    own: ValueId,
    negatives: Vec<ValueId>,
}

impl<'a> Lowering<'a> {
    /// Scores of every prediction: × \[classes\], or × \[\] for a number, in Nodes{ty, 0} of the graph or of pairs.
    pub fn decode(&self, cx: &mut LowerCx<'a>, rows: &Rows) -> Result<Vec<Scores>, Wrong> {
        let mut found = Vec::new();
        for (i, predict) in self.experiment.predicts.iter().enumerate() {
            let scores = match &self.around.pairs[i] {
                None => Scores { own: self.node_scores(cx, i, rows)?, negatives: Vec::new() },
                Some(pairs) => {
                    let out = self.outputs(i);
                    let (own, negatives) = self.pair_scores(cx, predict, pairs, rows, out)?;
                    let negatives = negatives.into_iter().map(|n| self.shaped(cx, predict, n, out));
                    let negatives = negatives.collect::<Result<_, _>>()?;
                    Scores { own: self.shaped(cx, predict, own, out)?, negatives }
                }
            };
            cx.builder.output(Role::Scores(i), scores.own);
            found.push(scores);
        }
        Ok(found)
    }

    /// Scores of nodes, from rows at hop 0 or further out; of small graphs, from rows of their nodes at hop 1.
    pub fn node_scores(&self, cx: &mut LowerCx<'a>, index: usize, rows: &Rows) -> Result<ValueId, Wrong> {
        let predict = &self.experiment.predicts[index];
        let x = match (&self.around.members, &predict.readout) {
            (Some(members), Some(_)) => self.readout(cx, predict, members, rows)?,
            _ => {
                let ty = predict.target.types(&self.graph.plan)[0] as u32;
                cx.builder.prefix(rows[&ty], 0).map_err(fault(predict.span))?
            }
        };
        let prefix = format!("predict.{}", predict.name);
        let mut names = if calls(&predict.decode) == 1 { Names::bare(prefix) } else { Names::new(prefix) };
        let out = self.outputs(index);
        let scores = self.rows_model(cx, &predict.decode, x, &mut names, Some(out))?;
        self.shaped(cx, predict, scores, out)
    }

    /// As many scores as are needed, or a diagnostic.
    pub fn shaped(
        &self,
        cx: &mut LowerCx<'a>,
        predict: &Predict,
        scores: ValueId,
        out: usize,
    ) -> Result<ValueId, Wrong> {
        let width = cx.builder.value(scores).width();
        if width != out {
            return Err(vec![wrong_width(predict, width, out)]);
        }
        cx.builder.at(format!("scores of {}", predict.name), None);
        let is_row = predict.kind == LabelKind::Class || predict.reconstruct.is_some();
        let shape: &[usize] = if is_row { &[out] } else { &[] };
        cx.builder.reshape(scores, shape).map_err(fault(predict.span))
    }

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
        let weight = builder.push(Op::SeedWeight { predict: predict_index }, &[], seeds, &[])?;
        let scale = builder.op(Op::LossScale { predict: predict_index }, &[])?;
        let each = match (predict.loss, self.feature_of(index)) {
            (_, Some(feature)) => self.feature_error(cx, index, scores.own, feature)?,
            (Loss::Link(loss), _) => link_loss(cx, loss, scores.own, &scores.negatives)?,
            (Loss::CrossEntropy { smoothing, .. }, _) => {
                let label = self.label(cx, index, seeds)?;
                let op = Op::CrossEntropy { smoothing: smoothing as f32 };
                cx.builder.op(op, &[scores.own, label])?
            }
            _ => {
                let label = self.label(cx, index, seeds)?;
                self.error(cx, index, scores.own, label)?
            }
        };
        let builder = &mut cx.builder;
        let weighted = builder.mul(each, weight)?;
        let sum = builder.op(Op::SumRows, &[weighted])?;
        builder.mul(sum, scale)
    }

    /// The label of each seed: of nodes the label's number, of pairs that of the prediction.
    fn label(&self, cx: &mut LowerCx<'a>, index: usize, seeds: Domain) -> Result<ValueId, VerifyError> {
        let label = match self.experiment.predicts[index].target {
            Target::Node { label, .. } => label,
            _ => index,
        };
        cx.builder.push(Op::Label { label: label as u32 }, &[], seeds, &[])
    }

    /// Loss of a number against the standardised target, (y - mean) / std.
    fn error(
        &self,
        cx: &mut LowerCx<'a>,
        index: usize,
        scores: ValueId,
        label: ValueId,
    ) -> Result<ValueId, VerifyError> {
        let known = self.label_of(index);
        let builder = &mut cx.builder;
        let mean = builder.constant(known.mean as f32);
        let scale = builder.constant((1.0 / spread(&known)) as f32);
        let centred = builder.binary(BinaryOp::Sub, label, mean)?;
        let target = builder.mul(centred, scale)?;
        let difference = builder.binary(BinaryOp::Sub, scores, target)?;
        self.penalty(cx, index, difference)
    }

    /// What a prediction's loss makes of each difference.
    pub fn penalty(
        &self,
        cx: &mut LowerCx<'a>,
        index: usize,
        difference: ValueId,
    ) -> Result<ValueId, VerifyError> {
        let builder = &mut cx.builder;
        match self.experiment.predicts[index].loss {
            Loss::Mae => builder.unary(UnaryOp::Abs, difference),
            Loss::Huber { delta } => {
                let size = builder.unary(UnaryOp::Abs, difference)?;
                let delta = builder.constant(delta as f32);
                let near = builder.binary(BinaryOp::Min, size, delta)?;
                let square = builder.unary(UnaryOp::Square, near)?;
                let half = builder.constant(0.5);
                let quadratic = builder.mul(square, half)?;
                let beyond = builder.binary(BinaryOp::Sub, size, near)?;
                let linear = builder.mul(beyond, delta)?;
                builder.add(quadratic, linear)
            }
            _ => builder.unary(UnaryOp::Square, difference),
        }
    }
}

fn wrong_width(predict: &Predict, width: usize, out: usize) -> Diagnostic {
    let wanted = match predict.kind {
        LabelKind::Class | LabelKind::Classes => format!("has {out} classes"),
        LabelKind::Float if predict.reconstruct.is_some() => format!("has {out} numbers"),
        LabelKind::Float => "is one number".to_owned(),
    };
    let message =
        format!("`{}` gives {width} scores, and `{}` {wanted}", predict.decode.show(), predict.name);
    Diagnostic::new(codes::MODEL_WIDTHS, message)
        .at(predict.span, "")
        .help("end the decoder with `linear`, which gives as many scores as are needed")
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
