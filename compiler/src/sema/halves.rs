//! Decoders of complex numbers, and rows of an odd width.

use super::experiment::{ExperimentCx, NodeEncoder};
use super::library::LayerId;
use super::model::Model;
use super::predict::Predict;
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{ExprKind, LayerBody, LayerStmt};

/// Functions that take the first and the second half of a row.
const HALVES: [&str; 2] = ["real", "imag"];

impl ExperimentCx<'_, '_> {
    /// Reports decoders that cut rows into halves where these have an odd width, as far as widths are written.
    pub fn halves(&mut self, gnn: &Model, encoders: &[NodeEncoder], predicts: &[Predict]) {
        for predict in predicts {
            let Model::Call(call) = &predict.decode else { continue };
            if !call.pairs || !self.cuts_rows(call.id) {
                continue;
            }
            for ty in predict.target.types(&self.graph.plan) {
                let encoded = encoders[ty].encoder.width();
                let Some(width) = gnn.width(encoded).filter(|width| width % 2 == 1) else { continue };
                let (node, of_gnn) = (&self.graph.plan.nodes[ty].name, gnn.width(None).is_some());
                let message = format!(
                    "`{}` reads the halves of a row, and the rows of `{node}` have {width} numbers: it needs an even width",
                    call.name
                );
                let (place, source) = match of_gnn {
                    true => (self.gnn_span, "gnn".to_owned()),
                    false => (
                        Some(encoders[ty].span).filter(|_| !encoders[ty].is_default),
                        format!("encode {node}"),
                    ),
                };
                let even = match width {
                    1 => "2".to_owned(),
                    _ => format!("{} or {}", width - 1, width + 1),
                };
                let help = format!("give the last layer of `{source}` a width of {even}");
                let mut diagnostic = Diagnostic::new(codes::MODEL_WIDTHS, message).help(help);
                diagnostic = diagnostic.at(call.span, "needs an even width");
                if let Some(place) = place {
                    diagnostic = diagnostic.at(place, format!("{width} wide"));
                }
                self.cx.report(diagnostic);
                break;
            }
        }
    }

    /// Whether a decoder takes halves of the rows that come in.
    fn cuts_rows(&self, id: LayerId) -> bool {
        let LayerBody::Block(stmts) = &self.library.layers[id].decl.body else { return false };
        let mut cuts = false;
        for stmt in stmts {
            let LayerStmt::Equation(equation) = stmt else { continue };
            equation.value.walk(&mut |expr| {
                let of_row = |arg: &crate::syntax::ast::Arg| match &arg.value.kind {
                    ExprKind::Index { base, .. } => base.as_name() == Some("h"),
                    _ => false,
                };
                cuts |=
                    matches!(expr.as_call(), Some((name, [arg])) if HALVES.contains(&name) && of_row(arg));
            });
        }
        cuts
    }
}
