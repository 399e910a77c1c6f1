//! Programs and schedules as text: what `gsc explain --passes` shows.

use crate::program::*;
use crate::schedule::*;
use std::fmt::{self, Display, Write};

impl Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Global => write!(f, "global"),
            Domain::Nodes { ty, hop } => write!(f, "nodes({ty})@{hop}"),
            Domain::Edges { rel, hop } => write!(f, "edges({rel})@{hop}"),
        }
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, v) in self.values.iter().enumerate() {
            let args: Vec<_> = v.args.iter().map(|a| format!("%{}", a.0)).collect();
            writeln!(
                f,
                "%{i} : {} × {:?} = {:?}({})    // {}",
                v.domain,
                v.shape,
                v.op,
                args.join(", "),
                v.name
            )?;
        }
        for o in &self.outputs {
            writeln!(f, "output {:?} = %{}", o.role, o.value.0)?;
        }
        Ok(())
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            writeln!(f, "{i:>3}  {}", describe(self, step))?;
            if let StepKind::Map { kernel, .. } | StepKind::Traverse { kernel, .. } = &step.kind {
                describe_kernel(kernel).iter().try_for_each(|line| writeln!(f, "         {line}"))?;
            }
        }
        for (role, id) in &self.outputs {
            writeln!(f, "output {role:?} = b{}", id.0)?;
        }
        Ok(())
    }
}

/// One line for a step; `->` writes, `+>` adds to what is there.
pub fn describe(schedule: &Schedule, step: &Step) -> String {
    let out = |id: &BufferId, accumulate: bool| {
        let b = &schedule.buffers[id.index()];
        format!("{} b{}:{}×{}", if accumulate { "+>" } else { "->" }, id.0, b.domain, b.width)
    };
    let mut s = format!("{:<28} ", step.name);
    let _ = match &step.kind {
        StepKind::Map { rows, kernel, outputs } => {
            let outs =
                outputs.iter().map(|o| format!("{}r{} {}", sum(o.combine), o.reg, out(&o.out, o.accumulate)));
            write!(s, "map over {rows}, {}: {}", instructions(kernel), list(outs))
        }
        StepKind::Traverse { rel, hop, kernel, outputs } => {
            let outs = outputs.iter().map(|o| format!("{} {}", combined(o), out(&o.out, o.accumulate)));
            write!(s, "traverse edges({rel})@{hop}, {}: {}", instructions(kernel), list(outs))
        }
        StepKind::Linear { x, w, batch, k, n, out: o, accumulate } => {
            write!(s, "gemm {x} {w} {batch}×[{k}, {n}] {}", out(o, *accumulate))
        }
        StepKind::LinearT { g, w, batch, k, n, out: o, accumulate } => {
            write!(s, "gemmᵀ {g} {w} {batch}×[{n}, {k}] {}", out(o, *accumulate))
        }
        StepKind::Outer { x, g, batch, k, n, rows, out: o, accumulate } => {
            write!(s, "outer {x} {g} {batch}×[{k}, {n}] over {rows} {}", out(o, *accumulate))
        }
        StepKind::Gather { from, out: o } => write!(s, "gather {} {}", Operand::Stored(*from), out(o, false)),
        StepKind::RecipCount { rel, out: o } => write!(s, "1 / edges({rel}) into {}", out(o, false)),
        StepKind::Label { label, out: o } => write!(s, "label {label} {}", out(o, false)),
        StepKind::SeedWeight { predict, out: o } => write!(s, "seed weight {predict} {}", out(o, false)),
        StepKind::LossScale { predict, out: o } => write!(s, "loss scale {predict} {}", out(o, false)),
        StepKind::CrossEntropy { logits, labels, classes, out: o, .. } => {
            write!(s, "cross entropy {logits} {labels} of {classes} {}", out(o, false))
        }
        StepKind::CrossEntropyGrad { logits, labels, g, classes, out: o, .. } => {
            write!(s, "cross entropy gradient {logits} {labels} {g} of {classes} {}", out(o, false))
        }
        StepKind::Dot { rel, hop, x, y, width, out: o } => {
            write!(s, "tiles of edges({rel})@{hop}: {x} · {y} of {width} {}", out(o, false))
        }
        StepKind::DotBack { rel, hop, g, x, width, to_src, out: o } => {
            let to = if *to_src { "src" } else { "dst" };
            write!(s, "tiles of edges({rel})@{hop}: sum to {to} of {g} {x}×{width} {}", out(o, false))
        }
        StepKind::External { call, out: o } => {
            let args = list(call.arguments.iter().map(|a| a.operand.to_string()));
            write!(s, "rust \"{}\" ({args}) {}", call.name, out(o, false))
        }
        StepKind::ExternalGrad { call, g, of, out: o } => {
            let args = list(call.arguments.iter().map(|a| a.operand.to_string()));
            let of = list(of.iter().map(u32::to_string));
            write!(s, "rust \"{}\" gradient of {of} ({args}; {g}) {}", call.name, out(o, false))
        }
        StepKind::Pad { x, out: o, accumulate } => write!(s, "pad {x} {}", out(o, *accumulate)),
        StepKind::Stack { items, out: o } => {
            let items = items.iter().map(|i| i.map_or("0".into(), |i| i.to_string()));
            write!(s, "stack {} {}", list(items), out(o, false))
        }
    };
    if let Some(Heads { rel, hop }) = step.heads {
        let _ = write!(s, ", where edges({rel})@{hop} enter");
    }
    s
}

/// The inputs and instructions of a kernel, a line each.
pub fn describe_kernel(kernel: &Kernel) -> Vec<String> {
    let inputs =
        kernel.inputs.iter().map(|i| format!("{:?} {}×{}", i.access, i.operand, i.width).to_lowercase());
    let inputs: Vec<String> = inputs.collect();
    let instrs = kernel.instrs.iter().enumerate();
    instrs.map(|(i, instr)| format!("r{i}×{} = {}", instr.width, instruction(&inputs, &instr.op))).collect()
}

fn instruction(inputs: &[String], op: &RowOp) -> String {
    match op {
        RowOp::Load { input, start: 0 } => format!("load {}", inputs[*input as usize]),
        RowOp::Load { input, start } => format!("load {} from {start}", inputs[*input as usize]),
        RowOp::Const(c) => format!("{c}"),
        RowOp::Unary(op, x) => format!("{op:?} r{x}"),
        RowOp::Binary { op, a, left, b, right } => format!("{op:?} {} {}", read(*a, *left), read(*b, *right)),
        RowOp::Expand { x, by } => format!("expand {}", read(*x, *by)),
        RowOp::SumInner { x, inner } => format!("sum inner {inner} of r{x}"),
        RowOp::MaxInner { x, inner } => format!("max inner {inner} of r{x}"),
        RowOp::SumOuter { x, inner } => format!("sum outer {inner} of r{x}"),
        RowOp::Slice { x, start } => format!("r{x} from {start}"),
        RowOp::Concat(xs) => format!("concat {}", list(xs.iter().map(|x| format!("r{x}")))),
        RowOp::MatVec { x, w, transpose, .. } => {
            format!("r{x} · {}{}", inputs[*w as usize], if *transpose { "ᵀ" } else { "" })
        }
        RowOp::Dropout { x, p, site, by } => format!("dropout {p} r{x} at site {site} by {by:?}"),
    }
}

fn read(reg: Reg, by: Broadcast) -> String {
    match by {
        Broadcast::Full => format!("r{reg}"),
        Broadcast::Scalar => format!("r{reg}[0]"),
        Broadcast::Outer { inner } => format!("r{reg}[i/{inner}]"),
        Broadcast::Inner { len } => format!("r{reg}[i%{len}]"),
    }
}

fn instructions(kernel: &Kernel) -> String {
    match kernel.instrs.len() {
        1 => "1 instruction".into(),
        n => format!("{n} instructions"),
    }
}

fn sum(combine: RowCombine) -> &'static str {
    if combine == RowCombine::SumRows { "Σ rows " } else { "" }
}

fn combined(output: &EdgeOutput) -> String {
    let r = output.reg;
    match output.combine {
        EdgeCombine::ToDst(op) => format!("{op:?} to dst r{r}"),
        EdgeCombine::ToSrc => format!("Sum to src r{r}"),
        EdgeCombine::ToGlobal => format!("Σ edges r{r}"),
        EdgeCombine::Outer { other, batch, k, n } => format!("Σ edges r{r} ⊗ r{other} {batch}×[{k}, {n}]"),
        EdgeCombine::Each => format!("each edge r{r}"),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

impl Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Buffer(id) => write!(f, "b{}", id.0),
            Operand::Param(p) => write!(f, "p{p}"),
            Operand::Part { of: Whole::Buffer(id), start, len } => {
                write!(f, "b{}[{start}..{}]", id.0, start + len)
            }
            Operand::Part { of: Whole::Param(p), start, len } => write!(f, "p{p}[{start}..{}]", start + len),
            Operand::Stored(Stored::NodeFeature { ty, feature }) => {
                write!(f, "feature {feature} of nodes({ty})")
            }
            Operand::Stored(Stored::EdgeFeature { rel, feature }) => {
                write!(f, "feature {feature} of edges({rel})")
            }
            Operand::Stored(Stored::Table { ty, param }) => write!(f, "table p{param} of nodes({ty})"),
            Operand::Stored(Stored::Hidden { ty }) => write!(f, "hidden of nodes({ty})"),
            Operand::Stored(Stored::Degree { ty }) => write!(f, "degree of nodes({ty})"),
        }
    }
}
