//! The executor: runs a schedule on a block.
//!
//! Decided here: what a batch is bound to, what comes out, and how failures are told. Kernels are translated once
//! (`translate`), steps are run in order (`run`), non-finite values are traced to their origin (`diagnose`). Not decided
//! here: which batches, which optimiser. One arena per slot grows to the largest batch and stays.

mod bind;
mod diagnose;
mod external;
mod prepare;
mod profile;
mod rehearse;
mod run;
mod translate;

pub use diagnose::{Cause, Diagnosis, Source};
pub use profile::{Profile, StepTime};
pub use rehearse::rehearse;

use crate::extend::Extensions;
use crate::sample::Block;
use crate::store::{Gradient, Params};
use crate::view::{GraphView, Matrix};
use gsl_plan::external::RowFunction;
use gsl_plan::program::{Domain, Role, Signature};
use gsl_plan::schedule::{BufferId, Schedule, StepKind};
use std::fmt;
use std::sync::Arc;

/// What one run reads.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    pub view: &'a dyn GraphView,
    pub params: &'a Params,
    pub block: &'a Block,
    /// By node type: the stage's input, a row for every node of the type. Empty where no stage input is read.
    pub hidden: &'a [Option<Matrix<'a>>],
    pub context: Context,
    /// By predict: the weight of each seed of its node type, in the order of the block's seeds.
    pub seed_weights: &'a [&'a [f32]],
    /// By predict: 1 / (sum of seed weights over the batch on all ranks).
    pub loss_scale: &'a [f32],
    /// What is known of the pairs that the batch has in front.
    pub pairs: &'a [PairRows],
}

/// Labels and features of the pairs of one node type, in the order of their rows.
#[derive(Debug, Clone, Default)]
pub struct PairRows {
    pub ty: u32,
    pub labels: Vec<f32>,
    /// Number of the feature, its width, its rows.
    pub features: Vec<(u32, usize, Vec<f32>)>,
}

impl<'a> Env<'a> {
    /// The pairs of a node type that the graph does not have.
    fn pairs_of(&self, ty: u32) -> Option<&'a PairRows> {
        self.pairs.iter().find(|pairs| pairs.ty == ty)
    }
}

/// What keys the random masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    pub seed: u64,
    pub epoch: u64,
    /// Number of the batch in its epoch; the same on all ranks.
    pub batch: u64,
    pub training: bool,
}

/// Why a schedule cannot be run.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecError {
    /// The schedule is not well formed: a fault of the compiler.
    Schedule { step: String, why: String },
    /// The environment lacks something that a step reads.
    Missing { step: String, what: String },
    /// A label that is no class.
    Label { step: String, row: usize, label: f32, classes: usize },
    /// A function that the program names, and that nobody registered.
    Unregistered { name: String },
    /// A registered function gave no result.
    Function { name: String, why: String },
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExecError::Schedule { step, why } => {
                write!(f, "step `{step}` of the plan is not well formed: {why}")
            }
            ExecError::Missing { step, what } => write!(f, "step `{step}` reads {what}, which is not there"),
            ExecError::Label { step, row, label, classes } => {
                write!(
                    f,
                    "step `{step}`: seed {row} has label {label}, which is none of the {classes} classes"
                )
            }
            ExecError::Unregistered { name } => {
                write!(f, "no function `{name}` is registered in this program")
            }
            ExecError::Function { name, why } => write!(f, "`rust(\"{name}\")` gave no result: {why}"),
        }
    }
}

impl std::error::Error for ExecError {}

/// What a run computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Every output, gradients included.
    All,
    /// Everything but gradients: the steps that only they need are left out.
    Forward,
}

/// A schedule made ready, with the memory that it runs in.
pub struct Executor {
    schedule: Schedule,
    /// By step: the function from outside that it calls.
    functions: Vec<Option<Arc<dyn RowFunction>>>,
    signature: Signature,
    steps: Vec<prepare::Prepared>,
    needs: prepare::Needs,
    slots: Vec<Vec<f32>>,
    /// Rows of each buffer in the last run.
    rows: Vec<usize>,
    scratch: bind::Scratch,
    profile: Profile,
}

impl Executor {
    /// As [`Executor::with`], for schedules that call nothing from outside.
    ///
    /// # Errors
    /// If the schedule is not well formed.
    pub fn new(schedule: &Schedule, signature: &Signature) -> Result<Self, ExecError> {
        Executor::with(schedule, signature, &Extensions::default())
    }

    /// Translates and checks every kernel.
    ///
    /// # Errors
    /// If the schedule is not well formed, or calls what is not registered.
    pub fn with(
        schedule: &Schedule,
        signature: &Signature,
        extensions: &Extensions,
    ) -> Result<Self, ExecError> {
        let steps = prepare::prepare(schedule, signature)?;
        let needs = prepare::Needs::of(schedule, signature, &steps);
        Ok(Executor {
            slots: vec![Vec::new(); schedule.slots as usize],
            rows: vec![0; schedule.buffers.len()],
            scratch: bind::Scratch::default(),
            profile: Profile::new(schedule),
            functions: functions(schedule, extensions)?,
            schedule: schedule.clone(),
            signature: signature.clone(),
            steps,
            needs,
        })
    }

    /// Runs the steps that `goal` needs, in order. Outputs are there until the next run.
    ///
    /// # Errors
    /// If the environment lacks something, or a label is no class.
    pub fn run(&mut self, env: &Env, goal: Goal) -> Result<(), ExecError> {
        self.begin(env, goal == Goal::All)?;
        for at in 0..self.steps.len() {
            if goal == Goal::All || self.needs.forward[at] {
                self.step(env, at)?;
            }
        }
        Ok(())
    }

    /// An output of the last run: rows of its domain. The first one, if several have the role.
    pub fn output(&self, role: &Role) -> Option<Matrix<'_>> {
        let (_, buffer) = self.schedule.outputs.iter().find(|(have, _)| have == role)?;
        Some(self.buffer(*buffer))
    }

    /// The loss of the last run.
    pub fn loss(&self) -> Option<f32> {
        self.output(&Role::Loss)?.data.first().copied()
    }

    /// Copies the dense gradients of the last run into `gradient`; parameters without one get zeros.
    /// A dense parameter that was gathered by rows gets the sum of each row's gradients.
    pub fn dense_gradient(&self, params: &Params, block: &Block, gradient: &mut Gradient) {
        gradient.values.fill(0.0);
        for (role, buffer) in &self.schedule.outputs {
            let (Role::Gradient(param) | Role::RowGradient(param)) = role else { continue };
            let Some(range) = params.gradient_range(*param) else { continue };
            let (whole, from) = (&mut gradient.values[range], self.buffer(*buffer));
            match (role, self.schedule.buffers[buffer.index()].domain) {
                (Role::RowGradient(_), Domain::Nodes { ty, .. }) => {
                    for (row, &id) in block.ids(ty)[..from.rows()].iter().enumerate() {
                        add(&mut whole[id as usize * from.width..][..from.width], from.row(row));
                    }
                }
                _ => add(whole, from.data),
            }
        }
    }

    /// The gradient rows of table `param` in the last run, one entry for each domain that gathered it: row i belongs to the
    /// block's row i of node type `ty`.
    pub fn row_gradients(&self, param: u32) -> impl Iterator<Item = (u32, Matrix<'_>)> {
        let of = move |(role, buffer): &(Role, BufferId)| {
            let Domain::Nodes { ty, .. } = self.schedule.buffers[buffer.index()].domain else { return None };
            (*role == Role::RowGradient(param)).then(|| (ty, self.buffer(*buffer)))
        };
        self.schedule.outputs.iter().filter_map(of)
    }

    /// The tables that have gradient rows, ascending.
    pub fn tables(&self) -> Vec<u32> {
        let of = |(role, _): &(Role, BufferId)| {
            if let Role::RowGradient(param) = role { Some(*param) } else { None }
        };
        let mut tables: Vec<u32> = self.schedule.outputs.iter().filter_map(of).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// The (relation, hop) pairs of which the steps read the transpose: see [`Block::transpose`].
    pub fn transposes(&self) -> &[(u32, u32)] {
        &self.needs.transposes
    }

    /// Bytes of the arenas.
    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| 4 * slot.capacity()).sum()
    }

    /// Times and bytes by step, of the runs since [`Executor::set_profiling`].
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Starts or ends the measuring of steps; starting forgets what was measured.
    pub fn set_profiling(&mut self, on: bool) {
        self.profile.set(on);
    }

    fn buffer(&self, id: BufferId) -> Matrix<'_> {
        let buffer = &self.schedule.buffers[id.index()];
        let len = self.rows[id.index()] * buffer.width;
        Matrix::new(&self.slots[buffer.slot as usize][..len], buffer.width)
    }
}

/// By step: what it calls.
fn functions(
    schedule: &Schedule,
    extensions: &Extensions,
) -> Result<Vec<Option<Arc<dyn RowFunction>>>, ExecError> {
    let of = |kind: &StepKind| match kind {
        StepKind::External { call, .. } | StepKind::ExternalGrad { call, .. } => {
            let found = extensions.function(&call.name).cloned();
            found.ok_or_else(|| ExecError::Unregistered { name: call.name.clone() }).map(Some)
        }
        _ => Ok(None),
    };
    schedule.steps.iter().map(|step| of(&step.kind)).collect()
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("schedule", &self.schedule).finish_non_exhaustive()
    }
}

fn add(sum: &mut [f32], terms: &[f32]) {
    sum.iter_mut().zip(terms).for_each(|(sum, x)| *sum += x);
}

#[cfg(test)]
mod tests;
