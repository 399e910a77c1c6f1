//! A schedule made ready: passes of kernels, what each step reads and writes, what the batch must provide.
//!
//! Decided here: how a step with several outputs is cut into passes, one for each way of combining, and which steps a
//! forward run needs. Checked here: buffers exist, and no step writes a slot that it reads.

use super::ExecError;
use super::translate::{Code, Ground, Source};
use gsl_plan::program::{Domain, ReduceOp, Role, Signature};
use gsl_plan::schedule::*;

/// A step and what was made of it.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub passes: Vec<Pass>,
    pub reads: Vec<Operand>,
    pub writes: Vec<BufferId>,
}

/// One sweep over rows or edges.
#[derive(Debug, Clone)]
pub struct Pass {
    pub sweep: Sweep,
    pub train: Code,
    pub eval: Code,
    /// Positions of its outputs among the step's.
    pub outputs: Vec<usize>,
}

/// How the results of a sweep are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    Rows,
    SumRows,
    Edges,
    ByDestination,
    BySource,
    SumEdges,
    Outer { x: Reg, y: Reg, batch: usize },
}

/// What the steps of a schedule ask of the batch.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Steps of a forward run.
    pub forward: Vec<bool>,
    /// (Relation, hop) read by source.
    pub transposes: Vec<(u32, u32)>,
    /// Node types whose identifiers key dropout.
    pub id_types: Vec<u32>,
    /// (Relation, hop) with edge features, and one of the features: all of a relation lie in the same order.
    pub edge_rows: Vec<((u32, u32), u32)>,
}

pub fn prepare(schedule: &Schedule, signature: &Signature) -> Result<Vec<Prepared>, ExecError> {
    let of = |step: &Step| {
        prepare_step(schedule, signature, step)
            .map_err(|why| ExecError::Schedule { step: step.name.clone(), why })
    };
    if let Some((role, _)) = schedule.outputs.iter().find(|(_, id)| id.index() >= schedule.buffers.len()) {
        let why = format!("output {role:?} names no buffer");
        return Err(ExecError::Schedule { step: "outputs".into(), why });
    }
    schedule.steps.iter().map(of).collect()
}

fn prepare_step(schedule: &Schedule, signature: &Signature, step: &Step) -> Result<Prepared, String> {
    let passes = match &step.kind {
        StepKind::Map { kernel, outputs, .. } => map_passes(kernel, outputs)?,
        StepKind::Traverse { rel, kernel, outputs, .. } => {
            if *rel as usize >= signature.relations.len() {
                return Err(format!("there is no relation {rel}"));
            }
            traverse_passes(kernel, outputs)?
        }
        _ => Vec::new(),
    };
    let prepared = Prepared { passes, reads: reads(&step.kind), writes: writes(&step.kind) };
    check_buffers(schedule, &prepared)?;
    Ok(prepared)
}

fn check_buffers(schedule: &Schedule, step: &Prepared) -> Result<(), String> {
    let slot = |id: BufferId| match schedule.buffers.get(id.index()) {
        Some(buffer) if buffer.slot < schedule.slots => Ok(buffer.slot),
        Some(buffer) => {
            Err(format!("buffer `{}` has slot {}, there are {}", buffer.name, buffer.slot, schedule.slots))
        }
        None => Err(format!("there is no buffer {}", id.0)),
    };
    let written = step.writes.iter().map(|&id| slot(id)).collect::<Result<Vec<_>, _>>()?;
    for (at, out) in written.iter().enumerate() {
        if written[..at].contains(out) {
            return Err(format!("two outputs share slot {out}"));
        }
    }
    for id in step.reads.iter().filter_map(|&operand| buffer_of(operand)) {
        if written.contains(&slot(id)?) {
            return Err(format!(
                "buffer `{}` is read while its slot is written",
                schedule.buffers[id.index()].name
            ));
        }
    }
    Ok(())
}

pub fn buffer_of(operand: Operand) -> Option<BufferId> {
    match operand {
        Operand::Buffer(id) | Operand::Part { of: Whole::Buffer(id), .. } => Some(id),
        _ => None,
    }
}

fn pass(
    kernel: &Kernel,
    sweep: Sweep,
    regs: &[Reg],
    outputs: Vec<usize>,
    ground: Ground,
) -> Result<Pass, String> {
    let train = Code::new(kernel, regs, ground, true)?;
    let eval = Code::new(kernel, regs, ground, false)?;
    Ok(Pass { sweep, train, eval, outputs })
}

/// One pass for all outputs for which `which` holds, if there are any.
fn group<T>(
    kernel: &Kernel,
    sweep: Sweep,
    outputs: &[T],
    which: impl Fn(&T) -> bool,
    reg: impl Fn(&T) -> Reg,
    ground: Ground,
) -> Result<Option<Pass>, String> {
    let at: Vec<usize> = (0..outputs.len()).filter(|&at| which(&outputs[at])).collect();
    let regs: Vec<Reg> = at.iter().map(|&at| reg(&outputs[at])).collect();
    if at.is_empty() { Ok(None) } else { pass(kernel, sweep, &regs, at, ground).map(Some) }
}

fn map_passes(kernel: &Kernel, outputs: &[MapOutput]) -> Result<Vec<Pass>, String> {
    let of = |sweep, combine| {
        group(kernel, sweep, outputs, |out| out.combine == combine, |out| out.reg, Ground::Rows)
    };
    let both = [of(Sweep::Rows, RowCombine::Each)?, of(Sweep::SumRows, RowCombine::SumRows)?];
    Ok(both.into_iter().flatten().collect())
}

fn traverse_passes(kernel: &Kernel, outputs: &[EdgeOutput]) -> Result<Vec<Pass>, String> {
    let of = |sweep, which: fn(&EdgeCombine) -> bool| {
        group(kernel, sweep, outputs, |out| which(&out.combine), |out| out.reg, Ground::Edges)
    };
    let mut passes = vec![
        of(Sweep::Edges, |combine| matches!(combine, EdgeCombine::Each))?,
        of(Sweep::ByDestination, |combine| matches!(combine, EdgeCombine::ToDst(_)))?,
        of(Sweep::BySource, |combine| matches!(combine, EdgeCombine::ToSrc))?,
        of(Sweep::SumEdges, |combine| matches!(combine, EdgeCombine::ToGlobal))?,
    ];
    for (at, out) in outputs.iter().enumerate() {
        if let EdgeCombine::Outer { other, batch, .. } = out.combine {
            let sweep = Sweep::Outer { x: out.reg, y: other, batch };
            passes.push(Some(pass(kernel, sweep, &[out.reg, other], vec![at], Ground::Edges)?));
        }
    }
    Ok(passes.into_iter().flatten().collect())
}

/// The operands of a step.
fn reads(kind: &StepKind) -> Vec<Operand> {
    match kind {
        StepKind::Gather { from, .. } => vec![Operand::Stored(*from)],
        StepKind::RecipCount { .. }
        | StepKind::Label { .. }
        | StepKind::SeedWeight { .. }
        | StepKind::LossScale { .. } => vec![],
        StepKind::Linear { x, w, .. } => vec![*x, *w],
        StepKind::LinearT { g, w, .. } => vec![*g, *w],
        StepKind::Outer { x, g, .. } => vec![*x, *g],
        StepKind::Map { kernel, .. } | StepKind::Traverse { kernel, .. } => {
            kernel.inputs.iter().map(|input| input.operand).collect()
        }
        StepKind::CrossEntropy { logits, labels, .. } => vec![*logits, *labels],
        StepKind::CrossEntropyGrad { logits, labels, g, .. } => vec![*logits, *labels, *g],
        StepKind::Dot { x, y, .. } => vec![*x, *y],
        StepKind::DotBack { g, x, .. } => vec![*g, *x],
        StepKind::External { call, .. } => call.operands(),
        StepKind::ExternalGrad { call, g, .. } => [call.operands(), vec![*g]].concat(),
        StepKind::Pad { x, .. } => vec![*x],
        StepKind::Stack { items, .. } => items.iter().flatten().copied().collect(),
    }
}

/// The buffers that a step writes.
fn writes(kind: &StepKind) -> Vec<BufferId> {
    match kind {
        StepKind::Map { outputs, .. } => outputs.iter().map(|out| out.out).collect(),
        StepKind::Traverse { outputs, .. } => outputs.iter().map(|out| out.out).collect(),
        StepKind::Gather { out, .. }
        | StepKind::RecipCount { out, .. }
        | StepKind::Label { out, .. }
        | StepKind::SeedWeight { out, .. }
        | StepKind::LossScale { out, .. }
        | StepKind::Linear { out, .. }
        | StepKind::LinearT { out, .. }
        | StepKind::Outer { out, .. }
        | StepKind::CrossEntropy { out, .. }
        | StepKind::External { out, .. }
        | StepKind::ExternalGrad { out, .. }
        | StepKind::CrossEntropyGrad { out, .. }
        | StepKind::Dot { out, .. }
        | StepKind::DotBack { out, .. }
        | StepKind::Pad { out, .. }
        | StepKind::Stack { out, .. } => vec![*out],
    }
}

/// The domain that an access of a step's kernel reads.
pub fn accessed(kind: &StepKind, access: Access, signature: &Signature) -> Domain {
    match (kind, access) {
        (_, Access::Global) => Domain::Global,
        (StepKind::Map { rows, .. }, _) => *rows,
        (StepKind::Traverse { rel, hop, .. }, access) => {
            let (src, dst) = signature.relations[*rel as usize];
            match access {
                Access::Src => Domain::Nodes { ty: src, hop: hop + 1 },
                Access::Dst | Access::Row => Domain::Nodes { ty: dst, hop: *hop },
                _ => Domain::Edges { rel: *rel, hop: *hop },
            }
        }
        _ => Domain::Global,
    }
}

/// The domain of a step's rows, for steps without a kernel.
fn row_domain(schedule: &Schedule, kind: &StepKind) -> Option<Domain> {
    match kind {
        StepKind::Map { .. } | StepKind::Traverse { .. } => None,
        StepKind::Outer { rows, .. } => Some(*rows),
        _ => writes(kind).first().map(|out| schedule.buffers[out.index()].domain),
    }
}

impl Needs {
    pub fn of(schedule: &Schedule, signature: &Signature, steps: &[Prepared]) -> Self {
        let mut needs = Needs { forward: forward_steps(schedule, steps), ..Needs::default() };
        for (step, prepared) in schedule.steps.iter().zip(steps) {
            needs.add(schedule, signature, step, prepared);
        }
        needs.transposes.sort_unstable();
        needs.transposes.dedup();
        needs.edge_rows.sort_unstable();
        needs.edge_rows.dedup_by_key(|(pair, _)| *pair);
        needs.id_types.sort_unstable();
        needs.id_types.dedup();
        needs
    }

    fn add(&mut self, schedule: &Schedule, signature: &Signature, step: &Step, prepared: &Prepared) {
        let own = row_domain(schedule, &step.kind);
        for read in &prepared.reads {
            if let (Some(Domain::Edges { rel, hop }), Some(feature)) = (own, edge_feature(*read)) {
                self.edge_rows.push(((rel, hop), feature));
            }
        }
        for pass in &prepared.passes {
            if let (StepKind::Traverse { rel, hop, .. }, Sweep::BySource) = (&step.kind, pass.sweep) {
                self.transposes.push((*rel, *hop));
            }
            for source in &pass.train.inputs {
                self.add_source(source, &step.kind, signature);
            }
        }
    }

    fn add_source(&mut self, source: &Source, kind: &StepKind, signature: &Signature) {
        match *source {
            Source::Ids(access) => {
                if let Domain::Nodes { ty, .. } = accessed(kind, access, signature) {
                    self.id_types.push(ty);
                }
            }
            Source::Operand { operand, access, .. } => {
                let domain = accessed(kind, access, signature);
                if let (Domain::Edges { rel, hop }, Some(feature)) = (domain, edge_feature(operand)) {
                    self.edge_rows.push(((rel, hop), feature));
                }
            }
        }
    }
}

fn edge_feature(operand: Operand) -> Option<u32> {
    match operand {
        Operand::Stored(Stored::EdgeFeature { feature, .. }) => Some(feature),
        _ => None,
    }
}

/// The steps on which anything but a gradient depends.
fn forward_steps(schedule: &Schedule, steps: &[Prepared]) -> Vec<bool> {
    let mut wanted = vec![false; schedule.buffers.len()];
    for (role, buffer) in &schedule.outputs {
        wanted[buffer.index()] |= !matches!(role, Role::Gradient(_) | Role::RowGradient(_));
    }
    let mut forward = vec![false; steps.len()];
    for (at, step) in steps.iter().enumerate().rev() {
        forward[at] = step.writes.iter().any(|out| wanted[out.index()]);
        if forward[at] {
            for id in step.reads.iter().filter_map(|&operand| buffer_of(operand)) {
                wanted[id.index()] = true;
            }
        }
    }
    forward
}

/// The backend's name of a reduction.
pub fn reduce(op: ReduceOp) -> gsl_kernels::Reduce {
    match op {
        ReduceOp::Sum => gsl_kernels::Reduce::Sum,
        ReduceOp::Mean => gsl_kernels::Reduce::Mean,
        ReduceOp::Max => gsl_kernels::Reduce::Max,
        ReduceOp::Min => gsl_kernels::Reduce::Min,
    }
}
