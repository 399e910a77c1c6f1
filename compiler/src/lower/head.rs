//! Decoders: rows of the seeds to scores.

use gsl_plan::graph::LabelKind;
use gsl_plan::program::{Role, ValueId};

use super::rows::{Names, calls};
use super::{Lowering, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Rows};
use crate::sema::Predict;

/// The scores of a prediction, and of links those of the negatives of each corrupted side.
pub struct Scores {
    pub own: ValueId,
    pub negatives: Vec<ValueId>,
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
            (Some(members), Some(_)) => {
                let read = self.readout(cx, predict, members, rows)?;
                self.keep_readout(cx, predict, members, read)?;
                read
            }
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
        let is_row = predict.kind != LabelKind::Float || predict.reconstruct.is_some();
        let shape: &[usize] = if is_row { &[out] } else { &[] };
        cx.builder.reshape(scores, shape).map_err(fault(predict.span))
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
