//! Reconstruction: stored features as targets.

use gsl_plan::build::Built;
use gsl_plan::graph::{GraphFacts, LabelKind};
use gsl_plan::pairs::Pairs;
use gsl_plan::program::{Op, ValueId};
use gsl_plan::verify::VerifyError;

use super::Lowering;
use super::loss::each_loss;
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
    pub fn feature_error(&self, cx: &mut LowerCx<'a>, index: usize, scores: ValueId) -> Built {
        let (feature, width) =
            self.feature_of(index).ok_or_else(|| VerifyError::new("a feature without values"))?;
        let builder = &mut cx.builder;
        let rows = builder.domain(scores);
        let target = builder.push(Op::Feature { feature }, &[], rows, &[width])?;
        let loss = &self.experiment.predicts[index].loss;
        let each = each_loss(builder, loss, LabelKind::Float, scores, target)?;
        let sum = builder.op(Op::SumInner { inner: width }, &[each])?;
        let sum = builder.reshape(sum, &[])?;
        let share = builder.constant(1.0 / width as f32);
        builder.mul(sum, share)
    }
}
