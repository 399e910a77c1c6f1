//! Exact inference, layer by layer over all nodes: the encoders, then each layer with what follows it up to the next, then
//! the decoders.
//!
//! Between stages each node type has one row per node: its hidden row, and behind it what a residual or a jump saved.

use std::collections::BTreeMap;

use gsl_plan::plan::Param;
use gsl_plan::program::{Domain, Op, Program, Role, ValueId};

use super::steps::{State, Step, at_hop};
use super::{Lowering, RawStage, Wrong, fault};
use crate::diag::{Diagnostic, codes};
use crate::layers::{LowerCx, Mode, Rows};
use crate::sema::{Predict, Target};
use crate::syntax::ast::Span;

/// Stages, scorers by prediction, parameters.
pub type Inferred = (Vec<RawStage>, Vec<(usize, Program)>, Vec<Param>);

/// Shapes of the pieces that make up the stored row of each type.
type Layout = BTreeMap<u32, Vec<Vec<usize>>>;

impl<'a> Lowering<'a> {
    /// The stages, what scores pairs after them, and the parameters (those of training).
    pub fn infer(&self, params: Vec<Param>) -> Result<Inferred, Wrong> {
        let trained = params.len();
        let mut infer = Infer { lowering: self, params, stages: Vec::new(), layout: Layout::new(), saved: 0 };
        let (first, rest) = infer.groups();
        infer.encoders(&first)?;
        for (i, steps) in rest.iter().enumerate() {
            infer.layer(i + 1, steps)?;
        }
        infer.decoders("decode", 0, |predict| predict.readout.is_none())?;
        infer.decoders("readout", 1, |predict| predict.readout.is_some())?;
        let scorers = infer.scorers()?;
        if infer.params.len() != trained {
            let message = "internal error in lowering: inference has parameters that training has not";
            return Err(vec![Diagnostic::new(codes::LAYER_LOWERING, message)]);
        }
        Ok((infer.stages, scorers, infer.params))
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
        self.lowering.cx(Mode::Infer, std::mem::take(&mut self.params))
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

    /// Scores of nodes, or of small graphs from rows of their nodes one hop out.
    fn decoders(&mut self, name: &str, hop: u32, of: impl Fn(&Predict) -> bool) -> Result<(), Wrong> {
        let mut cx = self.cx();
        let reads: Vec<u32> = self.layout.keys().copied().collect();
        let state = self.read(&mut cx, hop)?;
        let predicts = &self.lowering.experiment.predicts;
        let mut types: Vec<(u32, usize)> = Vec::new();
        for (i, predict) in predicts.iter().enumerate().filter(|(_, predict)| of(predict)) {
            let (Target::Node { ty, .. } | Target::Feature { ty, .. }) = predict.target else { continue };
            let value = self.lowering.node_scores(&mut cx, i, &state.rows)?;
            cx.builder.output(Role::Scores(i), value);
            let width = cx.builder.value(value).width();
            match types.iter_mut().find(|(known, _)| *known == ty as u32) {
                Some((_, widest)) => *widest = width.max(*widest),
                None => types.push((ty as u32, width)),
            }
        }
        match types.is_empty() {
            true => self.params = cx.params,
            false => {
                let own = types.iter().map(|(_, width)| *width).collect();
                let stage =
                    RawStage { name: name.to_owned(), types, own, reads, program: Program::default() };
                self.push(cx, stage);
            }
        }
        Ok(())
    }

    /// A program for each prediction of pairs.
    fn scorers(&mut self) -> Result<Vec<(usize, Program)>, Wrong> {
        let width = |(ty, pieces): (&u32, &Vec<Vec<usize>>)| (*ty, pieces.iter().flatten().product());
        let widths: Vec<(u32, usize)> = self.layout.iter().map(width).collect();
        let mut found = Vec::new();
        for (i, pairs) in self.lowering.around.pairs.iter().enumerate() {
            if pairs.is_some() {
                let mut cx = self.cx();
                self.lowering.scorer(&mut cx, i, &widths)?;
                self.params = cx.params;
                found.push((i, cx.builder.program));
            }
        }
        Ok(found)
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
        let (mut types, mut own) = (Vec::new(), Vec::new());
        let mut layout = Layout::new();
        for (ty, value) in &state.rows {
            let mut pieces: Vec<ValueId> = vec![*value];
            for saved in &state.saved {
                pieces.push(at_hop(&mut cx, saved, *ty, 0, Span::default())?);
            }
            layout.insert(*ty, pieces.iter().map(|p| cx.builder.shape(*p).to_vec()).collect());
            own.push(cx.builder.value(*value).width());
            let row = store(&mut cx, &pieces)?;
            types.push((*ty, cx.builder.value(row).width()));
            cx.builder.output(Role::Hidden { ty: *ty }, row);
        }
        self.layout = layout;
        self.saved = state.saved.len();
        self.push(cx, RawStage { name, types, own, reads, program: Program::default() });
        Ok(())
    }

    /// Adds a stage with the program that has been built.
    fn push(&mut self, cx: LowerCx<'a>, stage: RawStage) {
        self.params = cx.params;
        self.stages.push(RawStage { program: cx.builder.program, ..stage });
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
