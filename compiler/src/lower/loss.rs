//! Losses: scores and labels of the seeds to one number.

use gsl_plan::program::{BinaryOp, Domain, Op, Role, UnaryOp, ValueId};
use gsl_plan::verify::VerifyError;

use super::data::spread;
use super::{Lowering, Wrong, fault};
use crate::layers::LowerCx;
use crate::sema::{Loss, Predict};

impl<'a> Lowering<'a> {
    /// Σ over predictions of weight · LossScale · Σ over seeds of SeedWeight · loss.
    pub fn losses(&self, cx: &mut LowerCx<'a>, scores: &[ValueId]) -> Result<(), Wrong> {
        let mut total: Option<ValueId> = None;
        for (i, (predict, scores)) in self.experiment.predicts.iter().zip(scores).enumerate() {
            let loss = self.task_loss(cx, i, predict, *scores).map_err(fault(predict.span))?;
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
        scores: ValueId,
    ) -> Result<ValueId, VerifyError> {
        let seeds = Domain::Nodes { ty: predict.ty as u32, hop: 0 };
        let predict_index = index as u32;
        let builder = &mut cx.builder;
        builder.at(format!("loss of {}", predict.name), None);
        let label = builder.push(Op::Label { label: predict.label as u32 }, &[], seeds, &[])?;
        let weight = builder.push(Op::SeedWeight { predict: predict_index }, &[], seeds, &[])?;
        let scale = builder.op(Op::LossScale { predict: predict_index }, &[])?;
        let each = match predict.loss {
            Loss::CrossEntropy { smoothing, .. } => {
                builder.op(Op::CrossEntropy { smoothing: smoothing as f32 }, &[scores, label])?
            }
            _ => self.error(cx, predict, scores, label)?,
        };
        let builder = &mut cx.builder;
        let weighted = builder.mul(each, weight)?;
        let sum = builder.op(Op::SumRows, &[weighted])?;
        builder.mul(sum, scale)
    }

    /// Loss of a number against the standardised target, (y - mean) / std.
    fn error(
        &self,
        cx: &mut LowerCx<'a>,
        predict: &Predict,
        scores: ValueId,
        label: ValueId,
    ) -> Result<ValueId, VerifyError> {
        let known = &self.facts.nodes[predict.ty].labels[predict.label];
        let builder = &mut cx.builder;
        let mean = builder.constant(known.mean as f32);
        let scale = builder.constant((1.0 / spread(known)) as f32);
        let centred = builder.binary(BinaryOp::Sub, label, mean)?;
        let target = builder.mul(centred, scale)?;
        let difference = builder.binary(BinaryOp::Sub, scores, target)?;
        match predict.loss {
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
