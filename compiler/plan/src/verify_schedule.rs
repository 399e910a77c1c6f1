//! The schedule's verifier: what a backend may rely on.
//!
//! Decided here: that every operand is written before it is read and has the width and the rows that the step needs, that
//! no two live buffers share a slot, and that no edge-sized float matrix exists without a reason. Not decided here: how
//! the schedule came about.

use crate::program::{Broadcast, Domain, Signature};
use crate::schedule::*;
use crate::verify::{VerifyError, fits};

type Checked = Result<(), VerifyError>;

fn fail<T>(message: impl Into<String>) -> Result<T, VerifyError> {
    Err(VerifyError::new(message))
}

fn expect(ok: bool, message: impl FnOnce() -> String) -> Checked {
    if ok { Ok(()) } else { fail(message()) }
}

/// Checks every buffer, step and output of `schedule`.
pub fn verify_schedule(schedule: &Schedule, signature: &Signature) -> Checked {
    for (i, buffer) in schedule.buffers.iter().enumerate() {
        check_buffer(schedule, i, buffer)?;
    }
    let mut walk = Walk { schedule, signature, written: vec![false; schedule.buffers.len()] };
    for (i, step) in schedule.steps.iter().enumerate() {
        walk.step(step).map_err(|e| VerifyError::new(format!("step {i} ({}): {e}", step.name)))?;
    }
    for (role, id) in &schedule.outputs {
        expect(walk.written.get(id.index()) == Some(&true), || format!("output {role:?} is never written"))?;
    }
    check_slots(schedule)
}

fn check_buffer(schedule: &Schedule, i: usize, buffer: &Buffer) -> Checked {
    expect(buffer.width > 0, || format!("b{i} ({}) has no elements", buffer.name))?;
    expect(buffer.slot < schedule.slots, || format!("b{i} ({}) has no slot", buffer.name))?;
    let on_edges = matches!(buffer.domain, Domain::Edges { .. });
    expect(!on_edges || buffer.materialised.is_some(), || {
        format!("b{i} ({}) is as large as the edges, and nobody says why", buffer.name)
    })
}

/// First write and last read of every buffer, as step numbers; outputs are read after the last step. None: never used.
pub fn lifetimes(schedule: &Schedule) -> Vec<Option<(usize, usize)>> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; schedule.buffers.len()];
    let mut touch = |id: BufferId, at: usize| {
        if let Some(life) = lives.get_mut(id.index()) {
            let (from, to) = life.unwrap_or((at, at));
            *life = Some((from.min(at), to.max(at)));
        }
    };
    for (at, step) in schedule.steps.iter().enumerate() {
        reads(&step.kind).into_iter().filter_map(buffer_of).for_each(|id| touch(id, at));
        writes(&step.kind).into_iter().for_each(|(id, _)| touch(id, at));
    }
    schedule.outputs.iter().for_each(|(_, id)| touch(*id, schedule.steps.len()));
    lives
}

fn check_slots(schedule: &Schedule) -> Checked {
    let mut by_slot: Vec<Vec<(usize, usize, usize)>> = vec![vec![]; schedule.slots as usize];
    for (i, life) in lifetimes(schedule).into_iter().enumerate() {
        if let Some((from, to)) = life {
            by_slot[schedule.buffers[i].slot as usize].push((from, to, i));
        }
    }
    for (slot, lives) in by_slot.iter_mut().enumerate() {
        lives.sort();
        for pair in lives.windows(2) {
            let [(_, end, a), (start, _, b)] = [pair[0], pair[1]];
            expect(end < start, || format!("b{a} and b{b} are live together in slot {slot}"))?;
        }
    }
    Ok(())
}

/// The buffer that an operand reads, if it reads one.
pub fn buffer_of(operand: Operand) -> Option<BufferId> {
    match operand {
        Operand::Buffer(id) | Operand::Part { of: Whole::Buffer(id), .. } => Some(id),
        _ => None,
    }
}

/// The operands that a step reads, besides outputs that it adds to.
pub fn reads(kind: &StepKind) -> Vec<Operand> {
    use StepKind::*;
    match kind {
        Gather { .. } | RecipCount { .. } | Label { .. } | SeedWeight { .. } | LossScale { .. } => vec![],
        Linear { x, w, .. } => vec![*x, *w],
        LinearT { g, w, .. } => vec![*g, *w],
        Outer { x, g, .. } => vec![*x, *g],
        Map { kernel, .. } | Traverse { kernel, .. } => kernel.inputs.iter().map(|i| i.operand).collect(),
        CrossEntropy { logits, labels, .. } => vec![*logits, *labels],
        CrossEntropyGrad { logits, labels, g, .. } => vec![*logits, *labels, *g],
        Dot { x, y, .. } => vec![*x, *y],
        DotBack { g, x, .. } => vec![*g, *x],
        Pad { x, .. } => vec![*x],
        External { call, .. } => call.operands(),
        ExternalGrad { call, g, .. } => [call.operands(), vec![*g]].concat(),
        Stack { items, .. } => items.iter().flatten().copied().collect(),
    }
}

/// The buffers that a step writes, and whether it adds to what they hold.
pub fn writes(kind: &StepKind) -> Vec<(BufferId, bool)> {
    use StepKind::*;
    match kind {
        Gather { out, .. }
        | RecipCount { out, .. }
        | Label { out, .. }
        | SeedWeight { out, .. }
        | LossScale { out, .. }
        | CrossEntropy { out, .. }
        | CrossEntropyGrad { out, .. }
        | Dot { out, .. }
        | DotBack { out, .. }
        | External { out, .. }
        | ExternalGrad { out, .. }
        | Stack { out, .. } => vec![(*out, false)],
        Linear { out, accumulate, .. }
        | LinearT { out, accumulate, .. }
        | Outer { out, accumulate, .. }
        | Pad { out, accumulate, .. } => vec![(*out, *accumulate)],
        Map { outputs, .. } => outputs.iter().map(|o| (o.out, o.accumulate)).collect(),
        Traverse { outputs, .. } => outputs.iter().map(|o| (o.out, o.accumulate)).collect(),
    }
}

struct Walk<'a> {
    schedule: &'a Schedule,
    signature: &'a Signature,
    written: Vec<bool>,
}

impl Walk<'_> {
    fn step(&mut self, step: &Step) -> Checked {
        for operand in reads(&step.kind) {
            self.readable(operand)?;
        }
        let outs = writes(&step.kind);
        for (i, (out, accumulate)) in outs.iter().enumerate() {
            let known = self.written.get(out.index()).copied();
            let known = known.ok_or_else(|| VerifyError::new(format!("b{} does not exist", out.0)))?;
            expect(known || !accumulate, || format!("b{} is added to before it is written", out.0))?;
            expect(!outs[..i].iter().any(|(o, _)| o == out), || format!("b{} is written twice", out.0))?;
            let aliased = reads(&step.kind).into_iter().filter_map(buffer_of).any(|r| r == *out);
            expect(!aliased, || format!("b{} is read and written at once", out.0))?;
        }
        self.shapes(&step.kind)?;
        outs.iter().for_each(|(out, _)| self.written[out.index()] = true);
        Ok(())
    }

    fn readable(&self, operand: Operand) -> Checked {
        if let Some(id) = buffer_of(operand) {
            let written = self.written.get(id.index()) == Some(&true);
            expect(written, || format!("b{} is read before it is written", id.0))?;
        }
        if let Operand::Part { of, start, len } = operand {
            let (domain, width) = match of {
                Whole::Buffer(id) => (self.buffer(id)?.domain, self.buffer(id)?.width),
                Whole::Param(p) => (Domain::Global, self.param(p)?),
            };
            expect(domain == Domain::Global, || "a part of something that is not Global".into())?;
            expect(start + len <= width, || format!("{len} elements from {start} of a row of {width}"))?;
        }
        Ok(())
    }

    fn buffer(&self, id: BufferId) -> Result<&Buffer, VerifyError> {
        self.schedule
            .buffers
            .get(id.index())
            .ok_or_else(|| VerifyError::new(format!("b{} does not exist", id.0)))
    }

    fn param(&self, param: u32) -> Result<usize, VerifyError> {
        let shape = self.signature.params.get(param as usize);
        shape
            .map(|s| s.iter().product())
            .ok_or_else(|| VerifyError::new(format!("there is no parameter {param}")))
    }

    /// The width of an operand, where the schedule knows it.
    fn width(&self, operand: Operand) -> Result<Option<usize>, VerifyError> {
        Ok(match operand {
            Operand::Buffer(id) => Some(self.buffer(id)?.width),
            Operand::Param(p) => Some(self.param(p)?),
            Operand::Part { len, .. } => Some(len),
            Operand::Stored(Stored::Degree { .. }) => Some(1),
            Operand::Stored(Stored::Table { param, .. }) => {
                self.signature.params.get(param as usize).map(|s| s[1..].iter().product())
            }
            Operand::Stored(_) => None,
        })
    }

    fn wide(&self, operand: Operand, width: usize, what: &str) -> Checked {
        let found = self.width(operand)?;
        expect(found.is_none_or(|w| w == width), || format!("{what} has {found:?} elements, not {width}"))
    }

    /// Whether the rows of the operand begin with those of `rows`.
    fn covers(&self, operand: Operand, rows: Domain, what: &str) -> Checked {
        let found = match operand {
            Operand::Buffer(id) => self.buffer(id)?.domain,
            Operand::Param(_) | Operand::Part { .. } => Domain::Global,
            Operand::Stored(stored) => return self.covers_stored(stored, rows, what),
        };
        expect(begins(found, rows), || format!("{what} has the rows of {found}, not of {rows}"))
    }

    fn covers_stored(&self, stored: Stored, rows: Domain, what: &str) -> Checked {
        let ok = match (stored, rows) {
            (Stored::EdgeFeature { rel, .. }, Domain::Edges { rel: r, .. }) => rel == r,
            (
                Stored::NodeFeature { ty, .. }
                | Stored::Table { ty, .. }
                | Stored::Hidden { ty }
                | Stored::Degree { ty },
                Domain::Nodes { ty: t, .. },
            ) => ty == t,
            _ => false,
        };
        expect(ok, || format!("{what}, {stored:?}, has no rows for {rows}"))
    }

    fn global(&self, operand: Operand, width: usize, what: &str) -> Checked {
        self.covers(operand, Domain::Global, what)?;
        self.wide(operand, width, what)
    }

    fn out(&self, id: BufferId, width: usize) -> Result<Domain, VerifyError> {
        let buffer = self.buffer(id)?;
        expect(buffer.width == width, || format!("b{} has {} elements, not {width}", id.0, buffer.width))?;
        Ok(buffer.domain)
    }

    fn shapes(&self, kind: &StepKind) -> Checked {
        match kind {
            StepKind::Gather { from, out } => {
                let width = self.buffer(*out)?.width;
                self.wide(Operand::Stored(*from), width, "the stored row")?;
                self.covers(Operand::Stored(*from), self.buffer(*out)?.domain, "the source")
            }
            StepKind::RecipCount { out, .. } => {
                let domain = self.out(*out, 1)?;
                expect(matches!(domain, Domain::Nodes { .. }), || "one number per node".into())
            }
            StepKind::Label { out, .. } | StepKind::SeedWeight { out, .. } => {
                let domain = self.buffer(*out)?.domain;
                expect(matches!(domain, Domain::Nodes { .. }), || "numbers of nodes".into())
            }
            StepKind::LossScale { out, .. } => self.out(*out, 1).map(|_| ()),
            StepKind::Linear { x, w, batch, k, n, out, .. } => {
                self.product(*x, *w, *out, [batch * k, batch * n], batch * k * n)
            }
            StepKind::LinearT { g, w, batch, k, n, out, .. } => {
                self.product(*g, *w, *out, [batch * n, batch * k], batch * k * n)
            }
            StepKind::Outer { x, g, batch, k, n, rows, out, .. } => {
                self.covers(*x, *rows, "the left operand")?;
                self.covers(*g, *rows, "the right operand")?;
                self.wide(*x, batch * k, "the left operand")?;
                self.wide(*g, batch * n, "the right operand")?;
                self.global(Operand::Buffer(*out), batch * k * n, "the result")
            }
            StepKind::Map { rows, kernel, outputs } => {
                self.kernel(kernel, |access| match access {
                    Access::Row => Some(*rows),
                    Access::Global => Some(Domain::Global),
                    _ => None,
                })?;
                outputs.iter().try_for_each(|o| self.map_output(*rows, kernel, o))
            }
            StepKind::Traverse { rel, hop, kernel, outputs } => self.traverse(*rel, *hop, kernel, outputs),
            StepKind::Dot { rel, hop, x, y, width, out } => {
                let edges = Domain::Edges { rel: *rel, hop: *hop };
                let (src, dst) =
                    crate::verify::ends(edges, self.signature).map_err(|e| VerifyError::new(e.message))?;
                self.covers(*x, src, "the source's rows")?;
                self.covers(*y, dst, "the destination's rows")?;
                self.wide(*x, *width, "the source's rows")?;
                self.wide(*y, *width, "the destination's rows")?;
                let out = self.out(*out, 1)?;
                expect(out == edges, || format!("products of {edges} in {out}"))
            }
            StepKind::DotBack { rel, hop, g, x, width, to_src, out } => {
                let edges = Domain::Edges { rel: *rel, hop: *hop };
                let (src, dst) =
                    crate::verify::ends(edges, self.signature).map_err(|e| VerifyError::new(e.message))?;
                let (from, to) = if *to_src { (dst, src) } else { (src, dst) };
                self.covers(*g, edges, "the gradient")?;
                self.covers(*x, from, "the rows")?;
                self.wide(*g, 1, "the gradient")?;
                self.wide(*x, *width, "the rows")?;
                let out = self.out(*out, *width)?;
                expect(out == to, || format!("sums over {edges} in {out}"))
            }
            StepKind::CrossEntropy { logits, labels, classes, out, .. } => {
                let rows = self.out(*out, 1)?;
                self.loss(*logits, *labels, *classes, rows)
            }
            StepKind::CrossEntropyGrad { logits, labels, g, classes, out, .. } => {
                let rows = self.out(*out, *classes)?;
                self.covers(*g, rows, "the gradient")?;
                self.loss(*logits, *labels, *classes, rows)
            }
            StepKind::External { call, out } => {
                self.call(call)?;
                let rows = self.out(*out, call.width())?;
                expect(rows == call.rows, || format!("rows of {} in {rows}", call.rows))
            }
            StepKind::ExternalGrad { call, g, of, out } => {
                self.call(call)?;
                self.covers(*g, call.rows, "the gradient")?;
                self.wide(*g, call.width(), "the gradient")?;
                let known = of.iter().all(|at| (*at as usize) < call.arguments.len());
                expect(known, || "a gradient of no operand".into())?;
                self.out(*out, call.width_of(of)).map(|_| ())
            }
            StepKind::Pad { x, out, .. } => {
                let Operand::Buffer(from) = x else { return fail("only a buffer is padded") };
                let (from, to) = (self.buffer(*from)?, self.buffer(*out)?);
                expect(from.width == to.width && begins(to.domain, from.domain), || {
                    format!("{} does not begin with {}", to.domain, from.domain)
                })
            }
            StepKind::Stack { items, out } => {
                let width = self.buffer(*out)?.width;
                expect(width.is_multiple_of(items.len().max(1)), || "uneven entries".into())?;
                let each = width / items.len().max(1);
                items.iter().flatten().try_for_each(|i| self.global(*i, each, "an entry"))
            }
        }
    }

    fn call(&self, call: &ExternalCall) -> Checked {
        for argument in &call.arguments {
            let rows = if argument.shared { Domain::Global } else { call.rows };
            self.covers(argument.operand, rows, "an operand")?;
            self.wide(argument.operand, argument.width(), "an operand")?;
        }
        Ok(())
    }

    fn product(
        &self,
        x: Operand,
        w: Operand,
        out: BufferId,
        [from, to]: [usize; 2],
        matrix: usize,
    ) -> Checked {
        let rows = self.out(out, to)?;
        self.covers(x, rows, "the rows")?;
        self.wide(x, from, "the rows")?;
        self.global(w, matrix, "the matrix")
    }

    fn loss(&self, logits: Operand, labels: Operand, classes: usize, rows: Domain) -> Checked {
        self.covers(logits, rows, "the scores")?;
        self.wide(logits, classes, "the scores")?;
        self.covers(labels, rows, "the labels")?;
        self.wide(labels, 1, "the labels")
    }

    fn traverse(&self, rel: u32, hop: u32, kernel: &Kernel, outputs: &[EdgeOutput]) -> Checked {
        let ends = self.signature.relations.get(rel as usize);
        let (src, dst) = *ends.ok_or_else(|| VerifyError::new(format!("there is no relation {rel}")))?;
        let (from, to) = (Domain::Nodes { ty: src, hop: hop + 1 }, Domain::Nodes { ty: dst, hop });
        let edges = Domain::Edges { rel, hop };
        self.kernel(kernel, |access| match access {
            Access::Src => Some(from),
            Access::Dst => Some(to),
            Access::Edge => Some(edges),
            Access::Global => Some(Domain::Global),
            Access::Row => None,
        })?;
        for o in outputs {
            let width = self.register(kernel, o.reg)?;
            let (domain, width) = match o.combine {
                EdgeCombine::ToDst(_) => (to, width),
                EdgeCombine::ToSrc => (from, width),
                EdgeCombine::ToGlobal => (Domain::Global, width),
                EdgeCombine::Each => (edges, width),
                EdgeCombine::Outer { other, batch, k, n } => {
                    let wide = [width, self.register(kernel, other)?];
                    expect(wide == [batch * k, batch * n], || "the outer product does not fit".into())?;
                    (Domain::Global, batch * k * n)
                }
            };
            let found = self.out(o.out, width)?;
            expect(found == domain, || format!("b{} has the rows of {found}, not of {domain}", o.out.0))?;
        }
        Ok(())
    }

    fn map_output(&self, rows: Domain, kernel: &Kernel, o: &MapOutput) -> Checked {
        let found = self.out(o.out, self.register(kernel, o.reg)?)?;
        let expected = if o.combine == RowCombine::SumRows { Domain::Global } else { rows };
        expect(found == expected, || format!("b{} has the rows of {found}, not of {expected}", o.out.0))
    }

    fn register(&self, kernel: &Kernel, reg: Reg) -> Result<usize, VerifyError> {
        let instr = kernel.instrs.get(reg as usize);
        instr.map(|i| i.width).ok_or_else(|| VerifyError::new(format!("there is no register {reg}")))
    }

    fn kernel(&self, kernel: &Kernel, domain: impl Fn(Access) -> Option<Domain>) -> Checked {
        for input in &kernel.inputs {
            let Some(rows) = domain(input.access) else {
                return fail(format!("{:?} is no way to read here", input.access));
            };
            self.covers(input.operand, rows, "an input")?;
            self.wide(input.operand, input.width, "an input")?;
        }
        (0..kernel.instrs.len()).try_for_each(|i| {
            check_instr(kernel, i).map_err(|e| VerifyError::new(format!("instruction {i}: {e}")))
        })
    }
}

/// Whether the rows of `rows` are the first rows of `found`.
fn begins(found: Domain, rows: Domain) -> bool {
    match (found, rows) {
        (Domain::Nodes { ty: a, hop: h }, Domain::Nodes { ty: b, hop: g }) => a == b && g <= h,
        (a, b) => a == b,
    }
}

fn check_instr(kernel: &Kernel, at: usize) -> Checked {
    let Instr { op, width } = &kernel.instrs[at];
    let reg = |r: &Reg| match kernel.instrs[..at].get(*r as usize) {
        Some(instr) => Ok(instr.width),
        None => fail(format!("register {r} is not defined yet")),
    };
    let read = |r: &Reg, by: Broadcast| -> Checked {
        let w = reg(r)?;
        expect(fits(w, by, *width), || format!("{w} elements read {by:?} do not give {width}"))
    };
    let split = |r: &Reg, inner: usize, kept: usize| -> Checked {
        let w = reg(r)?;
        expect(inner > 0 && w.is_multiple_of(inner) && kept == *width, || {
            format!("{w} by {inner} is not {width}")
        })
    };
    match op {
        RowOp::Load { input, start } => {
            let found = kernel.inputs.get(*input as usize);
            expect(found.is_some_and(|i| start + width <= i.width), || "a load outside its input".into())
        }
        RowOp::Const(_) => expect(*width == 1, || "a constant is one number".into()),
        RowOp::Unary(_, x) => read(x, Broadcast::Full),
        RowOp::Dropout { x, .. } => read(x, Broadcast::Full),
        RowOp::Binary { a, left, b, right, .. } => read(a, *left).and_then(|()| read(b, *right)),
        RowOp::Expand { x, by } => read(x, *by),
        RowOp::SumInner { x, inner } | RowOp::MaxInner { x, inner } => {
            let w = reg(x)?;
            split(x, *inner, w / (*inner).max(1))
        }
        RowOp::SumOuter { x, inner } => split(x, *inner, *inner),
        RowOp::Slice { x, start } => {
            let w = reg(x)?;
            expect(start + width <= w, || format!("{width} elements from {start} of {w}"))
        }
        RowOp::Concat(xs) => {
            let mut sum = 0;
            for x in xs {
                sum += reg(x)?;
            }
            expect(sum == *width, || format!("{sum} elements side by side are not {width}"))
        }
        RowOp::MatVec { x, w, batch, k, n, transpose } => {
            let (from, to) = if *transpose { (n, k) } else { (k, n) };
            let matrix = kernel.inputs.get(*w as usize);
            expect(
                reg(x)? == batch * from
                    && *width == batch * to
                    && matrix.is_some_and(|m| m.width == batch * k * n && m.access == Access::Global),
                || "the product does not fit".into(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{ReduceOp, Role, UnaryOp};

    const NODES: Domain = Domain::Nodes { ty: 0, hop: 0 };
    const FAR: Domain = Domain::Nodes { ty: 0, hop: 1 };

    fn signature() -> Signature {
        Signature { relations: vec![(0, 0)], params: vec![vec![4, 3]] }
    }

    fn buffer(domain: Domain, width: usize, slot: u32) -> Buffer {
        Buffer { domain, width, slot, name: "x".into(), materialised: None }
    }

    fn kernel(access: Access, operand: Operand, width: usize) -> Kernel {
        Kernel {
            inputs: vec![KernelInput { operand, access, width }],
            instrs: vec![
                Instr { op: RowOp::Load { input: 0, start: 0 }, width },
                Instr { op: RowOp::Unary(UnaryOp::Tanh, 0), width },
            ],
        }
    }

    fn step(kind: StepKind) -> Step {
        Step { kind, name: "step".into(), heads: None }
    }

    /// gemm → sum over edges → map.
    fn good() -> Schedule {
        let x = Operand::Stored(Stored::NodeFeature { ty: 0, feature: 0 });
        let (b0, b1, b2) = (BufferId(0), BufferId(1), BufferId(2));
        let combine = EdgeCombine::ToDst(ReduceOp::Sum);
        Schedule {
            buffers: vec![buffer(FAR, 3, 0), buffer(NODES, 3, 1), buffer(NODES, 3, 0)],
            slots: 2,
            steps: vec![
                step(StepKind::Linear {
                    x,
                    w: Operand::Param(0),
                    batch: 1,
                    k: 4,
                    n: 3,
                    out: b0,
                    accumulate: false,
                }),
                step(StepKind::Traverse {
                    rel: 0,
                    hop: 0,
                    kernel: kernel(Access::Src, Operand::Buffer(b0), 3),
                    outputs: vec![EdgeOutput { reg: 1, out: b1, combine, accumulate: false }],
                }),
                step(StepKind::Map {
                    rows: NODES,
                    kernel: kernel(Access::Row, Operand::Buffer(b1), 3),
                    outputs: vec![MapOutput {
                        reg: 1,
                        out: b2,
                        combine: RowCombine::Each,
                        accumulate: false,
                    }],
                }),
            ],
            outputs: vec![(Role::Hidden { ty: 0 }, b2)],
        }
    }

    fn refused(change: impl FnOnce(&mut Schedule)) -> String {
        let mut schedule = good();
        change(&mut schedule);
        verify_schedule(&schedule, &signature()).expect_err("it is wrong").message
    }

    #[test]
    fn a_good_schedule_passes() {
        verify_schedule(&good(), &signature()).expect("it is right");
    }

    #[test]
    fn edge_buffers_need_a_reason() {
        let edges = Domain::Edges { rel: 0, hop: 0 };
        assert!(refused(|s| s.buffers.push(buffer(edges, 3, 0))).contains("nobody says why"));
    }

    #[test]
    fn reads_follow_writes() {
        assert!(refused(|s| s.steps.swap(0, 1)).contains("before it is written"));
        assert!(refused(|s| s.outputs.push((Role::Loss, BufferId(9)))).contains("never written"));
        let add = |s: &mut Schedule| match &mut s.steps[0].kind {
            StepKind::Linear { accumulate, .. } => *accumulate = true,
            _ => unreachable!("the first step is a product"),
        };
        assert!(refused(add).contains("added to before"));
    }

    #[test]
    fn live_buffers_do_not_share_a_slot() {
        assert!(refused(|s| s.buffers[1].slot = 0).contains("live together"));
        assert!(refused(|s| s.buffers[1].slot = 7).contains("has no slot"));
    }

    #[test]
    fn widths_and_rows_fit() {
        assert!(refused(|s| s.buffers[1].width = 4).contains("not 3"));
        assert!(refused(|s| s.buffers[0].domain = NODES).contains("not of"));
        let swap = |s: &mut Schedule| match &mut s.steps[1].kind {
            StepKind::Traverse { kernel, .. } => kernel.inputs[0].access = Access::Row,
            _ => unreachable!("the second step is a traversal"),
        };
        assert!(refused(swap).contains("no way to read"));
    }

    #[test]
    fn instructions_fit() {
        let change = |f: fn(&mut Kernel)| {
            refused(move |s| match &mut s.steps[2].kind {
                StepKind::Map { kernel, .. } => f(kernel),
                _ => unreachable!("the third step is a map"),
            })
        };
        assert!(change(|k| k.instrs[1].op = RowOp::Unary(UnaryOp::Exp, 5)).contains("not defined yet"));
        assert!(
            change(|k| k.instrs[0].op = RowOp::Load { input: 0, start: 1 }).contains("outside its input")
        );
        assert!(change(|k| k.instrs[1].width = 2).contains("do not give"));
    }
}
