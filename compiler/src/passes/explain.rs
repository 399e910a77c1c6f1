//! What a schedule is expected to cost: rows, floating-point operations and bytes of each step, and memory.
//!
//! Decided here: how operations and bytes are counted. A multiply and an add are two operations; a byte counts each time
//! that it crosses between memory and a kernel, rows read along edges once per edge, but in products of pairs and candidates once;
//! a number of a feature has the bytes of its storage.

use super::costs::Costs;
use super::memory::bytes;
use gsl_plan::graph::GraphFacts;
use gsl_plan::program::Domain;
use gsl_plan::schedule::*;

/// Expected cost of one step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepCost {
    pub rows: f64,
    pub flops: f64,
    pub bytes: f64,
}

/// One cost for each step of `schedule`.
pub fn estimate_steps(schedule: &Schedule, costs: &Costs, facts: &GraphFacts) -> Vec<StepCost> {
    schedule
        .steps
        .iter()
        .map(|step| Estimate { schedule, costs, facts, heads: step.heads }.step(&step.kind))
        .collect()
}

/// Bytes of all slots, each as large as the largest buffer that is put there.
pub fn peak_bytes(schedule: &Schedule, costs: &Costs) -> f64 {
    let mut slots = vec![0.0f64; schedule.slots as usize];
    for buffer in &schedule.buffers {
        let slot = &mut slots[buffer.slot as usize];
        *slot = slot.max(bytes(buffer, costs));
    }
    slots.iter().sum()
}

struct Estimate<'a> {
    schedule: &'a Schedule,
    costs: &'a Costs,
    facts: &'a GraphFacts,
    /// Of the step.
    heads: Option<Heads>,
}

impl Estimate<'_> {
    fn step(&self, kind: &StepKind) -> StepCost {
        use StepKind::*;
        match kind {
            Gather { from, out } => self.move_rows(*out, 1.0 + self.bytes(Operand::Stored(*from)) / 4.0),
            RecipCount { out, .. } | Label { out, .. } | SeedWeight { out, .. } | LossScale { out, .. } => {
                self.move_rows(*out, 1.0)
            }
            Pad { out, .. } | Stack { out, .. } => self.move_rows(*out, 2.0),
            Linear { x, batch, k, n, out, accumulate, .. }
            | LinearT { g: x, batch, k: n, n: k, out, accumulate, .. } => {
                self.product(self.that_matter(self.rows(*out)), *x, [*batch, *k, *n], *accumulate)
            }
            Outer { x, batch, k, n, rows, .. } => {
                self.product(self.that_matter(self.costs.rows(*rows)), *x, [*batch, *k, *n], false)
            }
            Map { rows, kernel, outputs } => {
                let outs = outputs.iter().map(|o| (o.out, o.accumulate));
                self.kernel(self.costs.rows(*rows), kernel, outs)
            }
            Traverse { rel, hop, kernel, outputs } => {
                let edges = self.costs.rows(Domain::Edges { rel: *rel, hop: *hop });
                let mut cost = self.kernel(edges, kernel, outputs.iter().map(|o| (o.out, o.accumulate)));
                cost.flops += edges * outputs.iter().map(|o| combine_flops(kernel, o)).sum::<f64>();
                cost.bytes += edges * 8.0;
                cost
            }
            Dot { rel, hop, x, y, width, out } => {
                let ends = self.operand_rows(*x) + self.operand_rows(*y);
                self.tiles((*rel, *hop), ends * *width as f64 + self.rows(*out), *width)
            }
            DotBack { rel, hop, g, x, width, out, .. } => {
                let ends = self.operand_rows(*x) + self.rows(*out);
                self.tiles((*rel, *hop), ends * *width as f64 + self.operand_rows(*g), *width)
            }
            External { call, .. } => self.external(call, 1.0),
            ExternalGrad { call, .. } => self.external(call, 3.0),
            CrossEntropy { classes, out, .. } | CrossEntropyGrad { classes, out, .. } => {
                let rows = self.rows(*out);
                let width = *classes as f64;
                StepCost { rows, flops: 4.0 * rows * width, bytes: 4.0 * rows * (width + 2.0) }
            }
        }
    }

    /// A function from outside: what it does is not known, so each row of each operand is taken to meet every shared one once.
    fn external(&self, call: &ExternalCall, times: f64) -> StepCost {
        let rows = self.costs.rows(call.rows);
        let width = |shared: bool| {
            let of = call.arguments.iter().filter(|a| a.shared == shared);
            of.map(|a| a.width() as f64).sum::<f64>()
        };
        let (own, shared) = (width(false), width(true));
        let bytes = 4.0 * (rows * (own + call.width() as f64) + shared);
        StepCost { rows, flops: times * rows * (own + 2.0 * shared), bytes: times * bytes }
    }

    /// A matrix product for each tile: `moved` numbers of rows and edges, each of which stays near while it is used.
    fn tiles(&self, (rel, hop): (u32, u32), moved: f64, width: usize) -> StepCost {
        let rows = self.costs.rows(Domain::Edges { rel, hop });
        StepCost { rows, flops: 2.0 * rows * width as f64, bytes: 4.0 * moved }
    }

    fn operand_rows(&self, operand: Operand) -> f64 {
        match operand {
            Operand::Buffer(id) => self.rows(id),
            _ => 1.0,
        }
    }

    fn rows(&self, id: BufferId) -> f64 {
        self.costs.rows(self.schedule.buffers[id.index()].domain)
    }

    /// Of `rows` rows those that E edges are expected to enter, rows (1 − exp(−E / rows)), where they are less than half.
    fn that_matter(&self, rows: f64) -> f64 {
        let Some(Heads { rel, hop }) = self.heads else { return rows };
        let edges = self.costs.rows(Domain::Edges { rel, hop });
        let entered = rows * (1.0 - (-edges / rows.max(1.0)).exp());
        if 2.0 * entered <= rows { entered } else { rows }
    }

    fn size(&self, id: BufferId) -> f64 {
        bytes(&self.schedule.buffers[id.index()], self.costs)
    }

    fn move_rows(&self, out: BufferId, passes: f64) -> StepCost {
        StepCost { rows: self.rows(out), flops: 0.0, bytes: passes * self.size(out) }
    }

    /// A product of rows of `batch * k` numbers, those of `x`, and a weight.
    fn product(&self, rows: f64, x: Operand, [batch, k, n]: [usize; 3], accumulate: bool) -> StepCost {
        let (k, n, batch) = (k as f64, n as f64, batch as f64);
        let written = if accumulate { 2.0 * n } else { n };
        StepCost {
            rows,
            flops: 2.0 * rows * batch * k * n,
            bytes: batch * (rows * (self.bytes(x) * k + 4.0 * written) + 4.0 * k * n),
        }
    }

    fn kernel(&self, rows: f64, kernel: &Kernel, outs: impl Iterator<Item = (BufferId, bool)>) -> StepCost {
        let flops: f64 = kernel.instrs.iter().map(|i| instr_flops(kernel, i)).sum();
        let reads: f64 = kernel.inputs.iter().map(|input| self.input(rows, input)).sum();
        let writes: f64 = outs.map(|(id, add)| self.size(id) * if add { 2.0 } else { 1.0 }).sum();
        StepCost { rows, flops: rows * flops, bytes: reads + writes }
    }

    fn input(&self, rows: f64, input: &KernelInput) -> f64 {
        let times = if input.access == Access::Global { 1.0 } else { rows };
        self.bytes(input.operand) * times * input.width as f64
    }

    /// Bytes of one number of an operand.
    fn bytes(&self, operand: Operand) -> f64 {
        let features = match operand {
            Operand::Stored(Stored::NodeFeature { ty, feature }) => {
                self.facts.nodes.get(ty as usize).and_then(|node| node.features.get(feature as usize))
            }
            Operand::Stored(Stored::EdgeFeature { rel, feature }) => {
                self.facts.relations.get(rel as usize).and_then(|rel| rel.features.get(feature as usize))
            }
            _ => None,
        };
        features.map_or(4.0, |feature| feature.storage.bytes() as f64)
    }
}

fn instr_flops(kernel: &Kernel, instr: &Instr) -> f64 {
    let width = |r: &Reg| kernel.instrs[*r as usize].width as f64;
    match &instr.op {
        RowOp::Load { .. }
        | RowOp::Const(_)
        | RowOp::Expand { .. }
        | RowOp::Slice { .. }
        | RowOp::Concat(_) => 0.0,
        RowOp::SumInner { x, .. } | RowOp::MaxInner { x, .. } | RowOp::SumOuter { x, .. } => width(x),
        RowOp::MatVec { batch, k, n, .. } => 2.0 * (batch * k * n) as f64,
        RowOp::Unary(..) | RowOp::Binary { .. } | RowOp::Dropout { .. } => instr.width as f64,
    }
}

fn combine_flops(kernel: &Kernel, output: &EdgeOutput) -> f64 {
    match output.combine {
        EdgeCombine::Outer { batch, k, n, .. } => 2.0 * (batch * k * n) as f64,
        EdgeCombine::Each => 0.0,
        _ => kernel.instrs[output.reg as usize].width as f64,
    }
}
