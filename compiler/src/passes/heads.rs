//! Products of one relation are computed where its edges enter.
//!
//! ```text
//! traverse edges(3)@1: Mean to dst r0 -> b1            traverse edges(3)@1: Mean to dst r0 -> b1
//! gemm b1 W[3] +> b2                              →    gemm b1 W[3] +> b2, where edges(3)@1 enter
//! ```
//!
//! Rows that no edge of a relation enters are zero in what is summed over its edges, and their gradient is read by nobody. With many
//! relations these are most rows. Runs on the schedule; nothing but the time changes.

use gsl_plan::program::ReduceOp;
use gsl_plan::schedule::*;
use gsl_plan::verify_schedule::{reads as reads_of, writes};

/// Notes where each product is wanted.
pub(super) fn run(schedule: &mut Schedule) {
    let (zero, needed) = (zero_elsewhere(schedule), needed(schedule));
    for step in &mut schedule.steps {
        let of = |operand: &Operand, known: &[Option<Heads>]| match operand {
            Operand::Buffer(id) => known[id.index()],
            _ => None,
        };
        step.heads = match &step.kind {
            StepKind::Linear { x, .. } => of(x, &zero),
            StepKind::Outer { x, g: Operand::Buffer(_), .. } => of(x, &zero),
            StepKind::LinearT { g: Operand::Buffer(_), out, .. } => needed[out.index()],
            _ => None,
        };
    }
}

/// By buffer: where its rows may be other than zero, if that is where edges enter.
fn zero_elsewhere(schedule: &Schedule) -> Vec<Option<Heads>> {
    let mut found: Vec<Option<Heads>> = vec![None; schedule.buffers.len()];
    let mut writers = vec![0; schedule.buffers.len()];
    for step in &schedule.steps {
        writes(&step.kind).iter().for_each(|(id, _)| writers[id.index()] += 1);
        let StepKind::Traverse { rel, hop, outputs, .. } = &step.kind else { continue };
        for out in outputs {
            if let EdgeCombine::ToDst(ReduceOp::Sum | ReduceOp::Mean) = out.combine {
                found[out.out.index()] = Some(Heads { rel: *rel, hop: *hop });
            }
        }
    }
    found.iter_mut().zip(&writers).filter(|(_, n)| **n != 1).for_each(|(found, _)| *found = None);
    found
}

/// By buffer: the rows that are read, if they are those that edges enter, all by one step of writing.
fn needed(schedule: &Schedule) -> Vec<Option<Heads>> {
    let mut reads = vec![Read::Never; schedule.buffers.len()];
    for (_, id) in &schedule.outputs {
        reads[id.index()] = Read::Everywhere;
    }
    for step in schedule.steps.iter().rev() {
        match &step.kind {
            StepKind::Traverse { rel, hop, kernel, .. } => {
                let at = Read::At(Heads { rel: *rel, hop: *hop });
                inputs(&mut reads, kernel, Access::Dst, at);
            }
            StepKind::Map { rows, kernel, outputs } => {
                let each = outputs.iter().all(|out| out.combine == RowCombine::Each && !out.accumulate);
                let same = |out: &MapOutput| schedule.buffers[out.out.index()].domain == *rows;
                let wanted = outputs.iter().map(|out| reads[out.out.index()]).fold(Read::Never, Read::and);
                let wanted = if each && outputs.iter().all(same) { wanted } else { Read::Everywhere };
                inputs(&mut reads, kernel, Access::Row, wanted);
            }
            kind => {
                reads_of(kind).into_iter().for_each(|operand| note(&mut reads, operand, Read::Everywhere))
            }
        }
    }
    let at = |read: &Read| if let Read::At(heads) = read { Some(*heads) } else { None };
    reads.iter().map(at).collect()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Read {
    Never,
    At(Heads),
    Everywhere,
}

impl Read {
    fn and(self, other: Read) -> Read {
        match (self, other) {
            (Read::Never, x) | (x, Read::Never) => x,
            (a, b) if a == b => a,
            _ => Read::Everywhere,
        }
    }
}

/// Inputs with this access are read so, others everywhere.
fn inputs(reads: &mut [Read], kernel: &Kernel, access: Access, read: Read) {
    for input in &kernel.inputs {
        note(reads, input.operand, if input.access == access { read } else { Read::Everywhere });
    }
}

fn note(reads: &mut [Read], operand: Operand, read: Read) {
    let id = match operand {
        Operand::Buffer(id) | Operand::Part { of: Whole::Buffer(id), .. } => id,
        _ => return,
    };
    reads[id.index()] = reads[id.index()].and(read);
}
