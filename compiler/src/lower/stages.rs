//! Exact inference, layer by layer over all nodes: the encoders, then each layer with what follows it up to the next, then
//! the decoders.
//!
//! Between stages each node type has one row per node: its hidden row, and behind it what a residual or a jump saved.

use std::collections::BTreeMap;

use gsl_plan::plan::Param;
use gsl_plan::program::{Domain, Op, Role, ValueId};

use super::steps::{State, Step, at_hop};
use super::{Lowering, RawStage, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Mode, Rows};
use crate::syntax::ast::Span;

/// Shapes of the pieces that make up the stored row of each type.
type Layout = BTreeMap<u32, Vec<Vec<usize>>>;

impl<'a> Lowering<'a> {
    /// The stages, and the parameters (those of training).
    pub fn infer(&self, params: Vec<Param>) -> Result<(Vec<RawStage>, Vec<Param>), Wrong> {
        let trained = params.len();
        let mut infer = Infer { lowering: self, params, stages: Vec::new(), layout: Layout::new(), saved: 0 };
        let (first, rest) = infer.groups();
        infer.encoders(&first)?;
        for (i, steps) in rest.iter().enumerate() {
            infer.layer(i + 1, steps)?;
        }
        infer.decoders()?;
        if infer.params.len() != trained {
            let message = "internal error in lowering: inference has parameters that training has not";
            return Err(vec![Diagnostic::new(codes::LAYER_LOWERING, message)]);
        }
        Ok((infer.stages, infer.params))
    }
}

struct Infer<'l, 'a> {
    lowering: &'l Lowering<'a>,
    params: Vec<Param>,
    stages: Vec<RawStage>,
    layout: Layout,
    /// Entries on the stack between the stages.
    saved: usize,
}

impl<'l, 'a> Infer<'l, 'a> {
    /// Steps before the first layer, and for each layer those from it to the next.
    fn groups(&self) -> (Vec<&'l Step<'a>>, Vec<Vec<&'l Step<'a>>>) {
        let mut first = Vec::new();
        let mut rest: Vec<Vec<&Step>> = Vec::new();
        for step in &self.lowering.steps {
            match (step, rest.last_mut()) {
                (Step::Layer { .. }, _) => rest.push(vec![step]),
                (_, Some(group)) => group.push(step),
                (_, None) => first.push(step),
            }
        }
        (first, rest)
    }

    fn cx(&mut self) -> LowerCx<'a> {
        LowerCx::with_params(self.lowering.facts, Mode::Infer, std::mem::take(&mut self.params))
    }

    fn encoders(&mut self, steps: &[&Step<'a>]) -> Result<(), Wrong> {
        let mut cx = self.cx();
        let lowering = self.lowering;
        let rows = lowering.encode_at(&mut cx, lowering.hops(), 0)?;
        let mut state = State::new(rows, 0);
        for step in steps {
            lowering.step(&mut cx, &mut state, step)?;
        }
        self.finish(cx, state, "encode".to_owned(), Vec::new())
    }

    fn layer(&mut self, number: usize, steps: &[&Step<'a>]) -> Result<(), Wrong> {
        let mut cx = self.cx();
        let lowering = self.lowering;
        let reads: Vec<u32> = self.layout.keys().copied().collect();
        let mut state = self.read(&mut cx, 1)?;
        for step in steps {
            lowering.step(&mut cx, &mut state, step)?;
        }
        self.finish(cx, state, format!("gnn.{number}"), reads)
    }

    fn decoders(&mut self) -> Result<(), Wrong> {
        let mut cx = self.cx();
        let reads: Vec<u32> = self.layout.keys().copied().collect();
        let state = self.read(&mut cx, 0)?;
        let scores = self.lowering.decode(&mut cx, &state.rows)?;
        let predicts = &self.lowering.experiment.predicts;
        let mut types: Vec<(u32, usize)> = Vec::new();
        for (predict, value) in predicts.iter().zip(&scores) {
            let width = cx.builder.value(*value).width();
            match types.iter_mut().find(|(ty, _)| *ty == predict.ty as u32) {
                Some((_, widest)) => *widest = width.max(*widest),
                None => types.push((predict.ty as u32, width)),
            }
        }
        self.push(cx, "decode".to_owned(), types, reads);
        Ok(())
    }

    /// The rows that the stage before stored: Nodes{ty, hop}, cut into pieces.
    fn read(&mut self, cx: &mut LowerCx<'a>, hop: u32) -> Result<State, Wrong> {
        let mut state = State::new(Rows::new(), hop);
        state.saved = vec![Rows::new(); self.saved];
        for (ty, pieces) in &self.layout {
            let domain = Domain::Nodes { ty: *ty, hop };
            let widths: Vec<usize> = pieces.iter().map(|s| s.iter().product()).collect();
            let name = &self.lowering.facts.nodes[*ty as usize].name;
            cx.builder.at(format!("hidden {name}"), None);
            let failed = fault(Span::default());
            let all = cx.builder.push(Op::Hidden, &[], domain, &[widths.iter().sum()]).map_err(&failed)?;
            let mut start = 0;
            for (i, (shape, width)) in pieces.iter().zip(&widths).enumerate() {
                let piece = match pieces.len() {
                    1 => all,
                    _ => cx.builder.push(Op::Slice { start }, &[all], domain, &[*width]).map_err(&failed)?,
                };
                let piece = cx.builder.reshape(piece, shape).map_err(&failed)?;
                start += width;
                match i {
                    0 => state.rows.insert(*ty, piece),
                    i => state.saved[i - 1].insert(*ty, piece),
                };
            }
        }
        Ok(state)
    }

    /// Stores the rows, and what is still saved, as one row per node.
    fn finish(
        &mut self,
        mut cx: LowerCx<'a>,
        state: State,
        name: String,
        reads: Vec<u32>,
    ) -> Result<(), Wrong> {
        let mut types = Vec::new();
        let mut layout = Layout::new();
        for (ty, value) in &state.rows {
            let mut pieces: Vec<ValueId> = vec![*value];
            for saved in &state.saved {
                pieces.push(at_hop(&mut cx, saved, *ty, 0, Span::default())?);
            }
            layout.insert(*ty, pieces.iter().map(|p| cx.builder.shape(*p).to_vec()).collect());
            let row = store(&mut cx, &pieces)?;
            types.push((*ty, cx.builder.value(row).width()));
            cx.builder.output(Role::Hidden { ty: *ty }, row);
        }
        self.layout = layout;
        self.saved = state.saved.len();
        self.push(cx, name, types, reads);
        Ok(())
    }

    fn push(&mut self, cx: LowerCx<'a>, name: String, types: Vec<(u32, usize)>, reads: Vec<u32>) {
        self.params = cx.params;
        self.stages.push(RawStage { name, types, reads, program: cx.builder.program });
    }
}

fn store(cx: &mut LowerCx, pieces: &[ValueId]) -> Result<ValueId, Wrong> {
    let failed = fault(Span::default());
    match pieces {
        [one] => {
            let width = cx.builder.value(*one).width();
            cx.builder.reshape(*one, &[width]).map_err(failed)
        }
        _ => cx.builder.op(Op::Concat, pieces).map_err(failed),
    }
}
