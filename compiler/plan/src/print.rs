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
        }
        for (role, id) in &self.outputs {
            writeln!(f, "output {role:?} = b{}", id.0)?;
        }
        Ok(())
    }
}

/// One line for a step.
pub fn describe(schedule: &Schedule, step: &Step) -> String {
    let buf = |id: &BufferId| {
        let b = &schedule.buffers[id.index()];
        format!("b{}:{}×{}", id.0, b.domain, b.width)
    };
    let mut s = format!("{:<28} ", step.name);
    let _ = match &step.kind {
        StepKind::Map { rows, kernel, outputs } => {
            let outs: Vec<_> = outputs.iter().map(|o| buf(&o.out)).collect();
            write!(s, "map over {rows}, {} instructions -> {}", kernel.instrs.len(), outs.join(", "))
        }
        StepKind::Traverse { rel, hop, kernel, outputs } => {
            let outs: Vec<_> = outputs.iter().map(|o| format!("{:?} {}", o.combine, buf(&o.out))).collect();
            write!(
                s,
                "traverse edges({rel})@{hop}, {} instructions -> {}",
                kernel.instrs.len(),
                outs.join(", ")
            )
        }
        StepKind::Linear { k, n, batch, out, .. } => write!(s, "gemm {batch}×[{k}, {n}] -> {}", buf(out)),
        StepKind::LinearT { k, n, batch, out, .. } => write!(s, "gemmᵀ {batch}×[{n}, {k}] -> {}", buf(out)),
        StepKind::Outer { k, n, batch, rows, out, .. } => {
            write!(s, "outer {batch}×[{k}, {n}] over {rows} -> {}", buf(out))
        }
        StepKind::Gather { from, out } => write!(s, "gather {from:?} -> {}", buf(out)),
        other => write!(s, "{other:?}"),
    };
    s
}
