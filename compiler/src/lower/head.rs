//! Decoders: rows of the seeds to scores.

use gsl_plan::graph::LabelKind;
use gsl_plan::program::{Role, ValueId};

use super::rows::{Names, calls};
use super::{Lowering, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Rows};
use crate::sema::Predict;

impl<'a> Lowering<'a> {
    /// Scores of every prediction: Nodes{ty, 0} × \[classes\], or × \[\] for a number.
    pub fn decode(&self, cx: &mut LowerCx<'a>, rows: &Rows) -> Result<Vec<ValueId>, Wrong> {
        let mut scores = Vec::new();
        for (i, predict) in self.experiment.predicts.iter().enumerate() {
            let value = self.scores(cx, predict, rows[&(predict.ty as u32)])?;
            cx.builder.output(Role::Scores(i), value);
            scores.push(value);
        }
        Ok(scores)
    }

    fn scores(&self, cx: &mut LowerCx<'a>, predict: &Predict, x: ValueId) -> Result<ValueId, Wrong> {
        let prefix = format!("predict.{}", predict.name);
        let mut names = if calls(&predict.decode) == 1 { Names::bare(prefix) } else { Names::new(prefix) };
        let label = &self.facts.nodes[predict.ty].labels[predict.label];
        let out = if predict.kind == LabelKind::Float { 1 } else { label.classes.len() };
        let scores = self.rows_model(cx, &predict.decode, x, &mut names, Some(out))?;
        let width = cx.builder.value(scores).width();
        if width != out {
            return Err(vec![wrong_width(predict, width, out)]);
        }
        cx.builder.at(format!("scores of {}", predict.name), None);
        let shape: &[usize] = if predict.kind == LabelKind::Float { &[] } else { &[out] };
        cx.builder.reshape(scores, shape).map_err(fault(predict.span))
    }
}

fn wrong_width(predict: &Predict, width: usize, out: usize) -> Diagnostic {
    let wanted = match predict.kind {
        LabelKind::Class | LabelKind::Classes => format!("has {out} classes"),
        LabelKind::Float => "is one number".to_owned(),
    };
    let message =
        format!("`{}` gives {width} scores, and `{}` {wanted}", predict.decode.show(), predict.name);
    Diagnostic::new(codes::MODEL_WIDTHS, message)
        .at(predict.span, "")
        .help("end the decoder with `linear`, which gives as many scores as are needed")
}
