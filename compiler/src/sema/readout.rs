//! Readouts: the layer that makes the row of a small graph from those of its nodes.

use super::body::Sourced;
use super::compose::Composer;
use super::experiment::ExperimentCx;
use super::explain::Line;
use super::library::Library;
use super::model::{LayerCall, Model};
use super::value::Env;
use crate::diag::{Diagnostic, codes};
use crate::layers::reads_itself;
use crate::syntax::ast::{Expr, Setting};

/// What a model cannot be a readout for.
struct Unfit {
    message: String,
    help: &'static str,
}

impl ExperimentCx<'_, '_> {
    /// One layer that looks at neighbours, and not at the node itself.
    pub fn readout(&mut self, setting: &Sourced<Setting>, lines: &mut Vec<Line>) -> Option<LayerCall> {
        let expr = self.single(setting)?.clone();
        let place = setting.place.clone();
        let (library, prelude) = (self.library, self.prelude);
        let found = self.cx.within(&place.file, |cx| {
            let mut composer = Composer {
                cx,
                library,
                prelude,
                module: place.module,
                env: &place.env,
                rows_only: None,
                pairs: false,
                head: false,
                open: Vec::new(),
            };
            let model = composer.model(&expr)?;
            match fit(library, &place.env, model) {
                Ok(call) => Some(call),
                Err(unfit) => {
                    composer.cx.report(refused(unfit, &expr));
                    None
                }
            }
        })?;
        lines.push(self.line(1, "readout", &Model::Call(found.clone()).show(), setting));
        Some(found)
    }
}

fn fit(library: &Library, env: &Env, model: Model) -> Result<LayerCall, Unfit> {
    let shown = model.show();
    if model.size() == 0 {
        let message = "a small graph is predicted from what its readout gives".to_owned();
        return Err(Unfit { message, help: "use `mean`, `sum`, `max` or `attention`" });
    }
    let Model::Call(call) = model else {
        let message = format!("`{shown}` is no single layer, and a readout is one");
        return Err(Unfit {
            message,
            help: "what comes before it ends the `gnn`, what follows it starts `decode`",
        });
    };
    if !call.hops {
        let message =
            format!("`{shown}` looks at no neighbours, and a readout brings the nodes of a graph together");
        return Err(Unfit { message, help: "use `mean`, `sum`, `max` or `attention`" });
    }
    let scope = library.scope(library.module_of(call.id), env);
    match reads_itself(&library.declared(call.id), &scope) {
        true => {
            let message = format!("`{shown}` reads `h[v]`, and a small graph has no row before its readout");
            Err(Unfit {
                message,
                help: "use `mean`, `sum`, `max` or `attention`, or a layer that reads `h[u]` alone",
            })
        }
        false => Ok(call),
    }
}

fn refused(unfit: Unfit, expr: &Expr) -> Diagnostic {
    Diagnostic::new(codes::MODEL_READOUT, unfit.message).at(expr.span, "not a readout").help(unfit.help)
}
