//! One step: operands are bound, the kernel is called.
//!
//! The outputs of a step are taken out of their slots while it runs, so that everything else can be read.

use super::bind::{Binder, Space};
use super::prepare::{Pass, Sweep, reduce};
use super::{Env, ExecError, Executor, external};
use gsl_kernels::{self as k, Direction, Input, Output, Reduced, Shape, Start};
use gsl_plan::external::{Argument, Call, RowFunction};
use gsl_plan::program::Domain;
use gsl_plan::schedule::*;

/// Rows are few if there are so many times as many.
const FEW: usize = 2;

impl Executor {
    /// Runs step `at`.
    pub(super) fn step(&mut self, env: &Env, at: usize) -> Result<(), ExecError> {
        let clock = self.profile.clock();
        let slots: Vec<usize> =
            self.steps[at].writes.iter().map(|id| self.schedule.buffers[id.index()].slot as usize).collect();
        let mut outs: Vec<Vec<f32>> =
            slots.iter().map(|&slot| std::mem::take(&mut self.slots[slot])).collect();
        let mut own = std::mem::take(&mut self.scratch.space);
        let end = self.with_outputs(env, at, &mut outs, &mut own);
        self.scratch.space = own;
        for (slot, out) in slots.into_iter().zip(outs) {
            self.slots[slot] = out;
        }
        if let Some(clock) = clock {
            let bytes = self.traffic(env, at);
            self.profile.add(at, clock.elapsed(), bytes);
        }
        end
    }

    fn with_outputs(
        &self,
        env: &Env,
        at: usize,
        outs: &mut [Vec<f32>],
        own: &mut Space,
    ) -> Result<(), ExecError> {
        let binder = Binder {
            schedule: &self.schedule,
            signature: &self.signature,
            step: &self.schedule.steps[at],
            function: self.functions[at].as_deref(),
            slots: &self.slots,
            rows: &self.rows,
            scratch: &self.scratch,
            env,
        };
        let len = |id: &BufferId| self.rows[id.index()] * self.schedule.buffers[id.index()].width;
        let mut outs: Vec<&mut [f32]> =
            outs.iter_mut().zip(&self.steps[at].writes).map(|(out, id)| &mut out[..len(id)]).collect();
        match &binder.step.kind {
            StepKind::Map { .. } | StepKind::Traverse { .. } => {
                self.steps[at].passes.iter().try_for_each(|pass| binder.pass(pass, &mut outs))
            }
            _ => binder.plain(outs.swap_remove(0), own),
        }
    }

    /// Bytes that a step reads and writes, each operand counted once per row or edge.
    fn traffic(&self, env: &Env, at: usize) -> u64 {
        let kind = &self.schedule.steps[at].kind;
        let writes: usize = self.steps[at].writes.iter().map(|id| 4 * self.floats(*id)).sum();
        let reads: usize = match kind {
            StepKind::Map { kernel, .. } | StepKind::Traverse { kernel, .. } => {
                let of = |input: &KernelInput| {
                    let domain = match (kind, input.access) {
                        (_, Access::Global) => Domain::Global,
                        (StepKind::Traverse { rel, hop, .. }, _) => Domain::Edges { rel: *rel, hop: *hop },
                        _ => super::prepare::accessed(kind, input.access, &self.signature),
                    };
                    env.block.rows(domain) * input.width * bytes_of(env, input.operand)
                };
                kernel.inputs.iter().map(of).sum()
            }
            _ => {
                let of = |&read: &Operand| bytes_of(env, read) * self.operand_floats(env, at, read);
                self.steps[at].reads.iter().map(of).sum()
            }
        };
        (reads + writes) as u64
    }

    fn floats(&self, id: BufferId) -> usize {
        self.rows[id.index()] * self.schedule.buffers[id.index()].width
    }

    fn operand_floats(&self, env: &Env, at: usize, operand: Operand) -> usize {
        match operand {
            Operand::Buffer(id) => self.floats(id),
            Operand::Param(param) => env.params.values(param).len(),
            Operand::Part { len, .. } => len,
            Operand::Stored(_) => {
                let rows = self.steps[at].writes.first().map_or(0, |id| self.rows[id.index()]);
                let width = match &self.schedule.steps[at].kind {
                    StepKind::Linear { batch, k, .. } | StepKind::Outer { batch, k, .. } => batch * k,
                    _ => {
                        self.steps[at].writes.first().map_or(0, |id| self.schedule.buffers[id.index()].width)
                    }
                };
                rows * width
            }
        }
    }
}

/// Bytes of one number of an operand.
fn bytes_of(env: &Env, operand: Operand) -> usize {
    match operand {
        Operand::Stored(Stored::NodeFeature { ty, .. }) if env.pairs_of(ty).is_some() => 4,
        Operand::Stored(Stored::NodeFeature { ty, feature }) => {
            env.view.node_feature(ty, feature).data.bytes()
        }
        Operand::Stored(Stored::EdgeFeature { rel, feature }) => {
            env.view.edge_feature(rel, feature).stored.data.bytes()
        }
        _ => 4,
    }
}

impl Binder<'_> {
    /// The rows without indirection; stored ones are gathered into `space`.
    fn contiguous<'s>(
        &'s self,
        operand: Operand,
        domain: Domain,
        space: &'s mut Vec<f32>,
    ) -> Result<&'s [f32], ExecError> {
        let bound = self.rows_of(operand, domain)?;
        let Some(index) = bound.index else { return self.computed(operand, domain) };
        let len = index.len() * bound.width;
        if space.len() < len {
            space.resize(len, 0.0);
        }
        k::gather_rows(bound.data, bound.width, index, &mut space[..len]);
        Ok(&space[..len])
    }

    fn pass(&self, pass: &Pass, outs: &mut [&mut [f32]]) -> Result<(), ExecError> {
        let code = if self.env.context.training { &pass.train } else { &pass.eval };
        let inputs = code.inputs.iter().map(|source| self.input(source)).collect::<Result<Vec<_>, _>>()?;
        let own = outs.iter_mut().enumerate().filter(|(at, _)| pass.outputs.contains(at));
        match &self.step.kind {
            StepKind::Map { rows, outputs, .. } => {
                let rows = self.env.block.rows(*rows);
                let mut outs: Vec<Output> = own
                    .map(|(at, data)| Output {
                        reg: code.reg(outputs[at].reg),
                        data,
                        accumulate: outputs[at].accumulate,
                    })
                    .collect();
                match pass.sweep {
                    Sweep::SumRows => k::sum_rows(&code.program, &inputs, rows, &mut outs),
                    _ => k::map_rows(&code.program, &inputs, rows, &mut outs),
                }
                Ok(())
            }
            StepKind::Traverse { rel, hop, outputs, .. } => {
                let own: Vec<(usize, &mut [f32])> = own.map(|(at, data)| (at, &mut **data)).collect();
                self.sweep(pass, (*rel, *hop), outputs, &inputs, own)
            }
            _ => Err(self.bad("a step without a kernel has passes")),
        }
    }

    fn sweep(
        &self,
        pass: &Pass,
        (rel, hop): (u32, u32),
        outputs: &[EdgeOutput],
        inputs: &[Input],
        outs: Vec<(usize, &mut [f32])>,
    ) -> Result<(), ExecError> {
        let code = if self.env.context.training { &pass.train } else { &pass.eval };
        let edges = self.edges(rel, hop)?;
        let program = &code.program;
        let by_dst = edges.by_destination();
        let plain = |(at, data)| {
            let out: &EdgeOutput = &outputs[at];
            Output { reg: code.reg(out.reg), data, accumulate: out.accumulate }
        };
        let reduced = |(at, data)| {
            let out: &EdgeOutput = &outputs[at];
            let reduce = if let EdgeCombine::ToDst(op) = out.combine { reduce(op) } else { k::Reduce::Sum };
            Reduced { reg: code.reg(out.reg), reduce, data, accumulate: out.accumulate }
        };
        match pass.sweep {
            Sweep::Edges => {
                let mut outs: Vec<Output> = outs.into_iter().map(plain).collect();
                k::traverse_edges(program, Direction::ByDst, by_dst, inputs, &mut outs);
            }
            Sweep::SumEdges => {
                let mut outs: Vec<Output> = outs.into_iter().map(plain).collect();
                k::traverse_global(program, Direction::ByDst, by_dst, inputs, &mut outs);
            }
            Sweep::ByDestination => {
                let mut outs: Vec<Reduced> = outs.into_iter().map(reduced).collect();
                k::traverse(program, Direction::ByDst, by_dst, inputs, &mut outs);
            }
            Sweep::BySource => {
                let mut outs: Vec<Reduced> = outs.into_iter().map(reduced).collect();
                k::traverse(program, Direction::BySrc, edges.by_source(), inputs, &mut outs);
            }
            Sweep::Outer { x, y, batch } => {
                let pair = (code.reg(x), code.reg(y));
                for (at, out) in outs {
                    let add = outputs[at].accumulate;
                    k::outer_edges(program, Direction::ByDst, by_dst, inputs, pair, batch, add, out);
                }
            }
            Sweep::Rows | Sweep::SumRows => return Err(self.bad("a sweep over rows in a traversal")),
        }
        Ok(())
    }

    /// A step without a kernel; it has one output.
    fn plain(&self, out: &mut [f32], own: &mut Space) -> Result<(), ExecError> {
        match &self.step.kind {
            StepKind::Gather { from, out: to } => {
                let bound = self.rows_of(Operand::Stored(*from), self.domain(*to))?;
                self.expect(bound.index.map_or(0, <[u32]>::len) * bound.width, out.len())?;
                k::gather_rows(bound.data, bound.width, bound.index.unwrap_or(&[]), out);
            }
            StepKind::RecipCount { rel, out: to } => self.recip_count(*rel, self.domain(*to), out)?,
            StepKind::Label { label, out: to } => self.label(*label, self.domain(*to), out)?,
            StepKind::SeedWeight { predict, .. } => {
                let weights = self.env.seed_weights.get(*predict as usize);
                let weights =
                    weights.ok_or_else(|| self.missing(format!("seed weights of predict {predict}")))?;
                self.expect(weights.len(), out.len())?;
                out.copy_from_slice(weights);
            }
            StepKind::LossScale { predict, .. } => {
                let scale = self.env.loss_scale.get(*predict as usize);
                out[0] =
                    *scale.ok_or_else(|| self.missing(format!("the loss scale of predict {predict}")))?;
            }
            StepKind::Linear { .. } | StepKind::LinearT { .. } | StepKind::Outer { .. } => {
                self.product(out, &mut own.gathered)?;
            }
            StepKind::CrossEntropy { .. } | StepKind::CrossEntropyGrad { .. } => {
                self.loss(out, &mut own.labels)?
            }
            StepKind::Dot { .. } | StepKind::DotBack { .. } => self.tiled(out)?,
            StepKind::External { call, .. } => self.external(call, out)?,
            StepKind::ExternalGrad { call, g, of, .. } => self.external_grad(call, *g, of, out)?,
            StepKind::Pad { x, accumulate, .. } => {
                let x = self.own_rows(*x)?;
                match accumulate {
                    true => k::axpy(1.0, x, &mut out[..x.len()]),
                    false => k::pad_rows(x, 0.0, out),
                }
            }
            StepKind::Stack { items, .. } => self.stack(items, out)?,
            StepKind::Map { .. } | StepKind::Traverse { .. } => {
                return Err(self.bad("a kernel without passes"));
            }
        }
        Ok(())
    }

    /// Inner products over edges in tiles, and what their gradients add up to.
    fn tiled(&self, out: &mut [f32]) -> Result<(), ExecError> {
        match self.step.kind {
            StepKind::Dot { rel, hop, x, y, width, .. } => {
                let (src, dst) = self.ends(rel, hop)?;
                let edges = self.edges(rel, hop)?;
                let x = self.rows_of(x, src)?;
                let rows = k::Rows { data: x.data, index: x.index };
                self.expect(edges.len(), out.len())?;
                k::tile_dot(edges.tiles(), rows, self.computed(y, dst)?, width, out);
            }
            StepKind::DotBack { rel, hop, g, x, width, to_src, .. } => {
                let (src, dst) = self.ends(rel, hop)?;
                let edges = self.edges(rel, hop)?;
                let g = self.computed(g, Domain::Edges { rel, hop })?;
                if to_src {
                    k::tile_to_columns(edges.tiles(), g, self.computed(x, dst)?, width, out);
                } else {
                    let x = self.rows_of(x, src)?;
                    k::tile_to_rows(edges.tiles(), g, k::Rows { data: x.data, index: x.index }, width, out);
                }
            }
            _ => return Err(self.bad("no products over edges")),
        }
        Ok(())
    }

    fn ends(&self, rel: u32, hop: u32) -> Result<(Domain, Domain), ExecError> {
        let ends = gsl_plan::verify::ends(Domain::Edges { rel, hop }, self.signature);
        ends.map_err(|e| self.bad(e.to_string()))
    }

    fn domain(&self, id: BufferId) -> Domain {
        self.schedule.buffers[id.index()].domain
    }

    fn expect(&self, found: usize, expected: usize) -> Result<(), ExecError> {
        let why = || self.bad(format!("{found} values for an output of {expected}"));
        if found == expected { Ok(()) } else { Err(why()) }
    }

    fn own_rows(&self, operand: Operand) -> Result<&[f32], ExecError> {
        match operand {
            Operand::Buffer(id) => self.computed(operand, self.domain(id)),
            _ => Err(self.bad("only a buffer can be padded")),
        }
    }

    fn recip_count(&self, rel: u32, domain: Domain, out: &mut [f32]) -> Result<(), ExecError> {
        let Domain::Nodes { hop, .. } = domain else { return Err(self.bad("counts are of nodes")) };
        let edges = self.edges(rel, hop)?;
        self.expect(edges.rows(), out.len())?;
        for (out, ends) in out.iter_mut().zip(edges.indptr.windows(2)) {
            *out = 1.0 / (ends[1] - ends[0]).max(1) as f32;
        }
        Ok(())
    }

    fn label(&self, label: u32, domain: Domain, out: &mut [f32]) -> Result<(), ExecError> {
        let Domain::Nodes { ty, .. } = domain else { return Err(self.bad("labels are of nodes")) };
        if let Some(pairs) = self.env.pairs_of(ty) {
            self.expect(pairs.labels.len(), out.len())?;
            out.copy_from_slice(&pairs.labels);
            return Ok(());
        }
        let width = out.len() / self.env.block.rows(domain).max(1);
        let labels = self.env.view.label(ty, label);
        self.expect(labels.len(), self.env.view.node_count(ty) * width.max(1))?;
        for (row, &id) in out.chunks_exact_mut(width.max(1)).zip(self.env.block.ids(ty)) {
            let stored = &labels[id as usize * width..][..width];
            row.iter_mut().zip(stored).for_each(|(out, y)| *out = if y.is_finite() { *y } else { 0.0 });
        }
        Ok(())
    }

    fn product(&self, out: &mut [f32], space: &mut Vec<f32>) -> Result<(), ExecError> {
        match self.step.kind {
            StepKind::Linear { x, w, batch, k, n, out: to, accumulate } => {
                let (x, w) = (self.rows_of(x, self.domain(to))?, self.global(w)?);
                let shape = self.shape(self.domain(to), [batch, k, n], &[(x.width, k), (w.len(), k * n)])?;
                let start = if accumulate { Start::Keep } else { Start::Zero };
                match (self.heads(shape.rows)?, x.index, x.data.wide()) {
                    (Some(at), None, Some(x)) => k::linear_at(shape, x, &at, w, accumulate, out),
                    _ => k::linear(shape, x.data, x.index, w, start, out),
                }
            }
            StepKind::LinearT { g, w, batch, k, n, out: to, accumulate } => {
                let (domain, w) = (self.domain(to), self.global(w)?);
                let width = self.rows_of(g, domain)?.width;
                let shape = self.shape(domain, [batch, k, n], &[(width, n), (w.len(), k * n)])?;
                let g = self.contiguous(g, domain, space)?;
                match self.heads(shape.rows)? {
                    Some(at) => k::linear_t_at(shape, g, &at, w, accumulate, out),
                    None => k::linear_t(shape, g, w, accumulate, out),
                }
            }
            StepKind::Outer { x, g, batch, k, n, rows, accumulate, .. } => {
                let (x, width) = (self.rows_of(x, rows)?, self.rows_of(g, rows)?.width);
                let shape = self.shape(rows, [batch, k, n], &[(x.width, k), (width, n)])?;
                let g = self.contiguous(g, rows, space)?;
                match (self.heads(shape.rows)?, x.index, x.data.wide()) {
                    (Some(at), None, Some(x)) => k::outer_at(shape, x, &at, g, accumulate, out),
                    _ => k::outer(shape, x.data, x.index, g, accumulate, out),
                }
            }
            _ => return Err(self.bad("no product")),
        }
        Ok(())
    }

    /// Of the first `rows` rows those that matter, where they are so few that putting them side by side pays.
    fn heads(&self, rows: usize) -> Result<Option<Vec<u32>>, ExecError> {
        let Some(Heads { rel, hop }) = self.step.heads else { return Ok(None) };
        let edges = self.edges(rel, hop)?;
        let ends = edges.indptr.windows(2).take(rows).enumerate();
        let at: Vec<u32> = ends.filter(|(_, ends)| ends[0] < ends[1]).map(|(row, _)| row as u32).collect();
        Ok((FEW * at.len() <= rows).then_some(at))
    }

    /// The shape of a product, once the widths of its operands are found to be `batch` times what they should be.
    fn shape(
        &self,
        domain: Domain,
        [batch, k, n]: [usize; 3],
        widths: &[(usize, usize)],
    ) -> Result<Shape, ExecError> {
        for &(found, each) in widths {
            self.expect(found, batch * each)?;
        }
        Ok(Shape { rows: self.env.block.rows(domain), batch, k, n })
    }

    fn loss(&self, out: &mut [f32], space: &mut Vec<i32>) -> Result<(), ExecError> {
        match self.step.kind {
            StepKind::CrossEntropy { logits, labels, classes, smoothing, out: to } => {
                let domain = self.domain(to);
                let logits = self.computed(logits, domain)?;
                self.classes(self.computed(labels, domain)?, classes, space)?;
                k::cross_entropy(logits, classes, space, None, smoothing, out);
            }
            StepKind::CrossEntropyGrad { logits, labels, g, classes, smoothing, out: to } => {
                let domain = self.domain(to);
                let (logits, g) = (self.computed(logits, domain)?, self.computed(g, domain)?);
                self.classes(self.computed(labels, domain)?, classes, space)?;
                k::cross_entropy_grad(logits, classes, space, None, smoothing, g, out);
            }
            _ => return Err(self.bad("no loss")),
        }
        Ok(())
    }

    fn classes(&self, labels: &[f32], classes: usize, out: &mut Vec<i32>) -> Result<(), ExecError> {
        out.clear();
        out.extend(labels.iter().map(|&label| label as i32));
        match out.iter().position(|&label| label >= classes as i32) {
            None => Ok(()),
            Some(row) => {
                let label = labels[row];
                Err(ExecError::Label { step: self.step.name.clone(), row, label, classes })
            }
        }
    }

    fn external(&self, call: &ExternalCall, out: &mut [f32]) -> Result<(), ExecError> {
        let arguments = self.arguments(call)?;
        let given = self.call(call, &arguments);
        self.expect(given.rows * given.width(), out.len())?;
        let ended = external::forward(self.function(call)?, &given, out);
        ended.map_err(|why| ExecError::Function { name: call.name.clone(), why })
    }

    fn external_grad(
        &self,
        call: &ExternalCall,
        g: Operand,
        of: &[u32],
        out: &mut [f32],
    ) -> Result<(), ExecError> {
        let arguments = self.arguments(call)?;
        let given = self.call(call, &arguments);
        let (function, g) = (self.function(call)?, self.computed(g, call.rows)?);
        let of: Vec<usize> = of.iter().map(|at| *at as usize).collect();
        let ended = match of.iter().any(|at| arguments[*at].shared) {
            true => external::shared_gradients(function, &given, g, &of, out),
            false => external::row_gradients(function, &given, g, &of, out),
        };
        ended.map_err(|why| ExecError::Function { name: call.name.clone(), why })
    }

    fn function(&self, call: &ExternalCall) -> Result<&dyn RowFunction, ExecError> {
        self.function.ok_or_else(|| ExecError::Unregistered { name: call.name.clone() })
    }

    fn call<'s>(&self, call: &'s ExternalCall, arguments: &'s [Argument<'s>]) -> Call<'s> {
        Call { rows: self.env.block.rows(call.rows), arguments, shape: &call.shape }
    }

    fn arguments<'s>(&'s self, call: &'s ExternalCall) -> Result<Vec<Argument<'s>>, ExecError> {
        let of = |argument: &'s ExternalArgument| {
            let data = match argument.shared {
                true => self.global(argument.operand)?,
                false => self.computed(argument.operand, call.rows)?,
            };
            Ok(Argument { data, shape: &argument.shape, shared: argument.shared })
        };
        call.arguments.iter().map(of).collect()
    }

    fn stack(&self, items: &[Option<Operand>], out: &mut [f32]) -> Result<(), ExecError> {
        let len = out.len() / items.len().max(1);
        for (item, out) in items.iter().zip(out.chunks_exact_mut(len.max(1))) {
            match item {
                None => out.fill(0.0),
                Some(item) => {
                    let row = self.global(*item)?;
                    self.expect(row.len(), out.len())?;
                    out.copy_from_slice(row);
                }
            }
        }
        Ok(())
    }
}
