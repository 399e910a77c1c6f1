//! Reconstruction: stored features as targets.

use gsl_plan::graph::GraphFacts;
use gsl_plan::pairs::Pairs;
use gsl_plan::program::{BinaryOp, Op, ValueId};
use gsl_plan::verify::VerifyError;

use super::Lowering;
use crate::layers::LowerCx;
use crate::sema::{Predict, Target};

/// Index and width of the feature that a prediction reconstructs.
pub fn feature_of(predict: &Predict, facts: &GraphFacts, pairs: Option<&Pairs>) -> Option<(u32, usize)> {
    let name = &predict.reconstruct.as_ref()?.feature;
    let features = match (predict.target, pairs) {
        (Target::Feature { ty, .. }, _) => &facts.nodes.get(ty)?.features,
        (_, Some(pairs)) => &facts.relations[*pairs.relations.first()? as usize].features,
        _ => return None,
    };
    let index = features.iter().position(|f| f.name == *name && f.width > 0)?;
    Some((index as u32, features[index].width))
}

impl<'a> Lowering<'a> {
    pub fn feature_of(&self, index: usize) -> Option<(u32, usize)> {
        feature_of(&self.experiment.predicts[index], self.facts, self.around.pairs[index].as_ref())
    }

    /// The mean over the numbers of a row of the loss between scores and the stored feature.
    pub fn feature_error(
        &self,
        cx: &mut LowerCx<'a>,
        index: usize,
        scores: ValueId,
        (feature, width): (u32, usize),
    ) -> Result<ValueId, VerifyError> {
        let rows = cx.builder.domain(scores);
        let target = cx.builder.push(Op::Feature { feature }, &[], rows, &[width])?;
        let difference = cx.builder.binary(BinaryOp::Sub, scores, target)?;
        let each = self.penalty(cx, index, difference)?;
        let sum = cx.builder.op(Op::SumInner { inner: width }, &[each])?;
        let sum = cx.builder.reshape(sum, &[])?;
        let share = cx.builder.constant(1.0 / width as f32);
        cx.builder.mul(sum, share)
    }
}
