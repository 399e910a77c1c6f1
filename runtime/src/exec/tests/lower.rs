//! One step and one buffer per value: the plainest schedule of a program.

use crate::exec::Executor;
use crate::view::Matrix;
use gsl_plan::program::*;
use gsl_plan::schedule::{self, *};

pub fn buffer(value: usize) -> BufferId {
    BufferId(value as u32)
}

/// What the executor computed for a value; none for values that have no buffer.
pub fn value(executor: &Executor, at: usize) -> Option<Matrix<'_>> {
    let name = format!("%{at}");
    executor.schedule.steps.iter().any(|step| step.name == name).then(|| executor.buffer(buffer(at)))
}

/// The schedule of `program`; with `gather`, stored leaves are copied into buffers, else read in place.
pub fn lower(program: &Program, gather: bool) -> Schedule {
    let mut lowering = Lowering { program, gather, schedule: Schedule::default() };
    for (at, value) in program.values.iter().enumerate() {
        lowering.schedule.buffers.push(schedule::Buffer {
            domain: value.domain,
            width: value.width(),
            slot: at as u32,
            name: format!("%{at}"),
            materialised: None,
        });
        if let Some(kind) = lowering.kind(at, value) {
            lowering.schedule.steps.push(Step { kind, name: format!("%{at}"), heads: None });
        }
    }
    lowering.schedule.slots = program.values.len() as u32;
    lowering.schedule
}

struct Lowering<'a> {
    program: &'a Program,
    gather: bool,
    schedule: Schedule,
}

impl Lowering<'_> {
    fn stored(&self, at: usize) -> Option<Stored> {
        let value = &self.program.values[at];
        match (&value.op, value.domain) {
            (Op::Feature { feature }, Domain::Nodes { ty, .. }) => {
                Some(Stored::NodeFeature { ty, feature: *feature })
            }
            (Op::Feature { feature }, Domain::Edges { rel, .. }) => {
                Some(Stored::EdgeFeature { rel, feature: *feature })
            }
            (Op::Embedding { param }, Domain::Nodes { ty, .. }) => Some(Stored::Table { ty, param: *param }),
            (Op::Hidden, Domain::Nodes { ty, .. }) => Some(Stored::Hidden { ty }),
            (Op::Degree, Domain::Nodes { ty, .. }) => Some(Stored::Degree { ty }),
            _ => None,
        }
    }

    fn operand(&self, id: ValueId) -> Operand {
        match (&self.program.values[id.index()].op, self.stored(id.index())) {
            (Op::Param { param }, _) => Operand::Param(*param),
            (_, Some(stored)) if !self.gather => Operand::Stored(stored),
            _ => Operand::Buffer(buffer(id.index())),
        }
    }

    fn input(&self, id: ValueId, access: Access) -> KernelInput {
        let value = &self.program.values[id.index()];
        let access = if value.domain == Domain::Global { Access::Global } else { access };
        KernelInput { operand: self.operand(id), access, width: value.width() }
    }

    fn kind(&self, at: usize, value: &Value) -> Option<StepKind> {
        let out = buffer(at);
        if let Some(from) = self.stored(at) {
            return self.gather.then_some(StepKind::Gather { from, out });
        }
        let arg = |i: usize| self.operand(value.args[i]);
        let dims = |i: usize| {
            let shape = &self.program.values[value.args[i].index()].shape;
            let n = shape.len();
            (shape[n - 2], shape[n - 1])
        };
        let accumulate = false;
        Some(match &value.op {
            Op::Param { .. } => return None,
            Op::RecipCount { rel } => StepKind::RecipCount { rel: *rel, out },
            Op::Label { label } => StepKind::Label { label: *label, out },
            Op::SeedWeight { predict } => StepKind::SeedWeight { predict: *predict, out },
            Op::LossScale { predict } => StepKind::LossScale { predict: *predict, out },
            Op::Linear { batch } => {
                let (k, n) = dims(1);
                StepKind::Linear { x: arg(0), w: arg(1), batch: *batch, k, n, out, accumulate }
            }
            Op::LinearT { batch } => {
                let (k, n) = dims(1);
                StepKind::LinearT { g: arg(0), w: arg(1), batch: *batch, k, n, out, accumulate }
            }
            Op::Outer { batch } => {
                let of = |i: usize| &self.program.values[value.args[i].index()];
                let (k, n) = (of(0).width() / batch, of(1).width() / batch);
                let rows = of(0).domain;
                StepKind::Outer { x: arg(0), g: arg(1), batch: *batch, k, n, rows, out, accumulate }
            }
            Op::Src => self.traverse(value, value.domain, Access::Src, EdgeCombine::Each, out),
            Op::Dst => self.traverse(value, value.domain, Access::Dst, EdgeCombine::Each, out),
            Op::Reduce(op) => {
                let edges = self.program.values[value.args[0].index()].domain;
                self.traverse(value, edges, Access::Edge, EdgeCombine::ToDst(*op), out)
            }
            Op::ReduceSrc => {
                let edges = self.program.values[value.args[0].index()].domain;
                self.traverse(value, edges, Access::Edge, EdgeCombine::ToSrc, out)
            }
            Op::Pad => StepKind::Pad { x: self.copied(value.args[0]), out, accumulate },
            Op::Stack { items } => {
                let items = items.iter().map(|item| item.map(|i| arg(i as usize))).collect();
                StepKind::Stack { items, out }
            }
            Op::CrossEntropy { smoothing } => StepKind::CrossEntropy {
                logits: arg(0),
                labels: arg(1),
                classes: self.program.values[value.args[0].index()].width(),
                smoothing: *smoothing,
                out,
            },
            Op::CrossEntropyGrad { smoothing } => StepKind::CrossEntropyGrad {
                logits: arg(0),
                labels: arg(1),
                g: arg(2),
                classes: value.width(),
                smoothing: *smoothing,
                out,
            },
            _ => self.map(value, out),
        })
    }

    fn copied(&self, id: ValueId) -> Operand {
        Operand::Buffer(buffer(id.index()))
    }

    fn traverse(
        &self,
        value: &Value,
        edges: Domain,
        access: Access,
        combine: EdgeCombine,
        out: BufferId,
    ) -> StepKind {
        let Domain::Edges { rel, hop } = edges else { panic!("{edges:?}") };
        let load = Instr { op: RowOp::Load { input: 0, start: 0 }, width: value.width() };
        let kernel = Kernel { inputs: vec![self.input(value.args[0], access)], instrs: vec![load] };
        StepKind::Traverse {
            rel,
            hop,
            kernel,
            outputs: vec![EdgeOutput { reg: 0, out, combine, accumulate: false }],
        }
    }

    fn map(&self, value: &Value, out: BufferId) -> StepKind {
        let mut kernel = Kernel::default();
        for (i, &id) in value.args.iter().enumerate() {
            let input = self.input(id, Access::Row);
            let load = RowOp::Load { input: i as u32, start: 0 };
            kernel.instrs.push(Instr { op: load, width: input.width });
            kernel.inputs.push(input);
        }
        let width = value.width();
        let args: Vec<Reg> = (0..value.args.len() as Reg).collect();
        let summed = value.op == Op::SumRows;
        if let Op::Index { index } = value.op {
            let Operand::Param(param) = kernel.inputs[0].operand else { panic!("an entry of a parameter") };
            let part = Operand::Part { of: Whole::Param(param), start: index * width, len: width };
            kernel.inputs[0] = KernelInput { operand: part, access: Access::Global, width };
            kernel.instrs[0].width = width;
        } else if let Some(op) = row_op(&value.op, &args) {
            kernel.instrs.push(Instr { op, width });
        }
        let combine = if summed { RowCombine::SumRows } else { RowCombine::Each };
        let rows = match summed {
            true => self.program.values[value.args[0].index()].domain,
            false => value.domain,
        };
        let reg = kernel.instrs.len() as Reg - 1;
        StepKind::Map { rows, kernel, outputs: vec![MapOutput { reg, out, combine, accumulate: false }] }
    }
}

/// The instruction of a row-wise operation; none for those that only move.
fn row_op(op: &Op, args: &[Reg]) -> Option<RowOp> {
    let x = args.first().copied().unwrap_or_default();
    Some(match op {
        Op::Const(value) => RowOp::Const(*value),
        Op::Unary(op) => RowOp::Unary(*op, x),
        Op::Binary { op, left, right } => {
            RowOp::Binary { op: *op, a: x, left: *left, b: args[1], right: *right }
        }
        Op::Expand(by) => RowOp::Expand { x, by: *by },
        Op::SumInner { inner } => RowOp::SumInner { x, inner: *inner },
        Op::MaxInner { inner } => RowOp::MaxInner { x, inner: *inner },
        Op::SumOuter { inner } => RowOp::SumOuter { x, inner: *inner },
        Op::Slice { start } => RowOp::Slice { x, start: *start },
        Op::Concat => RowOp::Concat(args.to_vec()),
        Op::Dropout { p, site } => RowOp::Dropout { x, p: *p, site: *site, by: Access::Row },
        _ => return None,
    })
}
