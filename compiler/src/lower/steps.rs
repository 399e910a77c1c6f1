//! The gnn as a list of steps over a stack, so that a residual or a jump can reach over several layers, in training at
//! ever nearer hops and in inference from stage to stage.

use gsl_plan::program::{BinaryOp, Op, ValueId};

use super::rows::{Names, add};
use super::{Lowering, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Rows, lower_layer};
use crate::sema::model::{Jump, LayerCall, Model};
use crate::syntax::ast::Span;

#[derive(Debug, Clone)]
pub enum Step<'m> {
    /// Looks at neighbours: one hop nearer to the seeds. The number counts from one.
    Layer { call: &'m LayerCall, number: usize },
    /// On rows as they are; its parameters are named after the layer before it.
    Row { model: &'m Model, names: Names },
    /// Puts the rows on the stack.
    Save,
    /// Adds what was saved last.
    AddSaved(Span),
    /// Brings the rows and the last `saved` entries of the stack together.
    Join { saved: usize, mode: Jump },
}

/// The rows of each type, and those saved for later.
#[derive(Debug, Clone)]
pub struct State {
    pub rows: Rows,
    pub saved: Vec<Rows>,
    pub hop: u32,
}

impl State {
    pub fn new(rows: Rows, hop: u32) -> Self {
        State { rows, saved: Vec::new(), hop }
    }
}

pub fn hops_of(steps: &[Step]) -> usize {
    steps.iter().filter(|s| matches!(s, Step::Layer { .. })).count()
}

/// The model as steps.
pub fn spread(model: &Model) -> Vec<Step<'_>> {
    let mut spread = Spread { steps: Vec::new(), layers: 0, names: Names::new("gnn.0") };
    spread.model(model);
    spread.steps
}

struct Spread<'m> {
    steps: Vec<Step<'m>>,
    layers: usize,
    names: Names,
}

impl<'m> Spread<'m> {
    fn model(&mut self, model: &'m Model) {
        match model {
            Model::Call(call) if call.hops => {
                self.layers += 1;
                self.names = Names::new(format!("gnn.{}", self.layers));
                self.steps.push(Step::Layer { call, number: self.layers });
            }
            Model::Call(call) => {
                let names = Names::bare(self.names.next(&call.name));
                self.steps.push(Step::Row { model, names });
            }
            Model::Activation(..) | Model::Dropout(_) => {
                self.steps.push(Step::Row { model, names: self.names.clone() });
            }
            Model::Chain(models) => models.iter().for_each(|m| self.model(m)),
            Model::Residual(inner, span) => {
                self.steps.push(Step::Save);
                self.model(inner);
                self.steps.push(Step::AddSaved(*span));
            }
            Model::Jump { of, mode } => self.jump(of, *mode),
        }
    }

    /// Saves the rows before every layer but the first of the chain.
    fn jump(&mut self, of: &'m Model, mode: Jump) {
        let models = match of {
            Model::Chain(models) => models.as_slice(),
            one => std::slice::from_ref(one),
        };
        let (mut seen, mut saved) = (0, 0);
        for model in models {
            if model.hops() > 0 && seen > 0 {
                self.steps.push(Step::Save);
                saved += 1;
            }
            seen += model.hops();
            self.model(model);
        }
        self.steps.push(Step::Join { saved, mode });
    }
}

impl<'a> Lowering<'a> {
    pub fn step(&self, cx: &mut LowerCx<'a>, state: &mut State, step: &Step) -> Result<(), Wrong> {
        match step {
            Step::Layer { call, number } => self.layer(cx, state, call, *number),
            Step::Row { model, names } => {
                for value in state.rows.values_mut() {
                    *value = self.rows_model(cx, model, *value, &mut names.clone(), None)?;
                }
                Ok(())
            }
            Step::Save => {
                state.saved.push(state.rows.clone());
                Ok(())
            }
            Step::AddSaved(span) => {
                let saved = state.saved.pop().unwrap_or_default();
                for (ty, value) in &mut state.rows {
                    let before = at_hop(cx, &saved, *ty, state.hop, *span)?;
                    *value = add(cx, before, *value, *span)?;
                }
                Ok(())
            }
            Step::Join { saved, mode } => {
                let kept = state.saved.split_off(state.saved.len() - saved);
                for (ty, value) in &mut state.rows {
                    let mut parts = Vec::new();
                    for rows in &kept {
                        parts.push(at_hop(cx, rows, *ty, state.hop, Span::default())?);
                    }
                    parts.push(*value);
                    *value = join(cx, &parts, *mode)?;
                }
                Ok(())
            }
        }
    }

    /// One hop: the types of the next inner hop, from the rows of this one.
    fn layer(
        &self,
        cx: &mut LowerCx<'a>,
        state: &mut State,
        call: &LayerCall,
        number: usize,
    ) -> Result<(), Wrong> {
        let hop = state.hop - 1;
        let reach = self.hops() as usize - number;
        let wanted: Vec<u32> = self.types[reach].iter().copied().collect();
        let layer = self.layer_call(call, format!("gnn.{number}"), None);
        state.rows = lower_layer(cx, &layer, &self.scope(call.id), &state.rows, hop, &wanted)?;
        state.hop = hop;
        Ok(())
    }
}

/// Saved rows, cut to the hop at hand.
pub fn at_hop(cx: &mut LowerCx, rows: &Rows, ty: u32, hop: u32, span: Span) -> Result<ValueId, Wrong> {
    let Some(value) = rows.get(&ty) else {
        let message = "internal error in lowering: rows that were saved are not there";
        return Err(vec![Diagnostic::new(codes::LAYER_LOWERING, message).at(span, "")]);
    };
    cx.builder.prefix(*value, hop).map_err(fault(span))
}

fn join(cx: &mut LowerCx, parts: &[ValueId], mode: Jump) -> Result<ValueId, Wrong> {
    let failed = fault(Span::default());
    if mode == Jump::Concat {
        return match parts {
            [one] => Ok(*one),
            _ => cx.builder.op(Op::Concat, parts).map_err(failed),
        };
    }
    let widths: Vec<usize> = parts.iter().map(|p| cx.builder.shape(*p).iter().product()).collect();
    if widths.windows(2).any(|w| w[0] != w[1]) {
        let message = "`jump` with `max` or `sum` needs layers of one width";
        let help = "give every layer the same `out`, or use `mode: concat`";
        return Err(vec![Diagnostic::new(codes::MODEL_WIDTHS, message).help(help)]);
    }
    let op = if mode == Jump::Max { BinaryOp::Max } else { BinaryOp::Add };
    let mut joined = parts[0];
    for part in &parts[1..] {
        joined = cx.builder.binary(op, joined, *part).map_err(&failed)?;
    }
    Ok(joined)
}
