//! Where a value that is not finite came from: the batch is run again, and every step's output is looked at.
//!
//! Randomness is a function of the batch, so the second run meets the same value. Parameters must not have been stepped in
//! between.

use super::bind::Binder;
use super::{Env, ExecError, Executor};
use crate::store::Params;
use gsl_plan::graph::GraphFacts;
use gsl_plan::program::Domain;
use gsl_plan::schedule::{Operand, Stored};
use std::fmt::Write;

/// The first step with a value that is not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// Name of the step.
    pub step: String,
    pub value: f32,
    /// The first row that holds such a value.
    pub at: Source,
    /// Rows that hold one.
    pub rows: usize,
    /// What the step read that was not finite already: a stored value, or a parameter.
    pub cause: Option<Cause>,
}

/// A row of the whole graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Global,
    Node { ty: u32, id: u32 },
    Edge { rel: u32, position: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    NodeFeature { ty: u32, feature: u32, id: u32, value: f32 },
    EdgeFeature { rel: u32, feature: u32, row: u32, value: f32 },
    Param { param: u32, value: f32 },
}

impl Executor {
    /// Runs the batch again and finds the first step with a value that is not finite; none if there is no such step.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub fn diagnose(&mut self, env: &Env) -> Result<Option<Diagnosis>, ExecError> {
        self.begin(env, true)?;
        for at in 0..self.steps.len() {
            self.step(env, at)?;
            if let Some(found) = self.look(env, at) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn look(&self, env: &Env, at: usize) -> Option<Diagnosis> {
        self.steps[at].writes.iter().find_map(|&id| {
            let matrix = self.buffer(id);
            let first = matrix.data.iter().position(|x| !x.is_finite())?;
            let rows = matrix.data.chunks(matrix.width.max(1));
            Some(Diagnosis {
                step: self.schedule.steps[at].name.clone(),
                value: matrix.data[first],
                at: source(env, self.schedule.buffers[id.index()].domain, first / matrix.width.max(1)),
                rows: rows.filter(|row| row.iter().any(|x| !x.is_finite())).count(),
                cause: self.cause(env, at),
            })
        })
    }

    fn cause(&self, env: &Env, at: usize) -> Option<Cause> {
        let binder = Binder {
            schedule: &self.schedule,
            signature: &self.signature,
            step: &self.schedule.steps[at],
            function: None,
            slots: &self.slots,
            rows: &self.rows,
            scratch: &self.scratch,
            env,
        };
        self.steps[at].reads.iter().find_map(|&operand| match operand {
            Operand::Param(param) => {
                let value = env.params.values(param).iter().find(|x| !x.is_finite())?;
                Some(Cause::Param { param, value: *value })
            }
            Operand::Stored(stored) => stored_cause(env, &binder, stored),
            Operand::Buffer(_) | Operand::Part { .. } => None,
        })
    }
}

fn source(env: &Env, domain: Domain, row: usize) -> Source {
    match domain {
        Domain::Global => Source::Global,
        Domain::Nodes { ty, .. } => Source::Node { ty, id: env.block.ids(ty)[row] },
        Domain::Edges { rel, hop } => match env.block.edges(rel, hop) {
            Some(edges) => Source::Edge { rel, position: edges.position[row] },
            None => Source::Global,
        },
    }
}

fn stored_cause(env: &Env, binder: &Binder, stored: Stored) -> Option<Cause> {
    match stored {
        Stored::NodeFeature { ty, .. } if env.pairs.iter().any(|pairs| pairs.ty == ty) => None,
        Stored::NodeFeature { ty, feature } => {
            let matrix = env.view.node_feature(ty, feature);
            env.block.ids(ty).iter().find_map(|&id| {
                let value = matrix.row(id as usize).into_iter().find(|x| !x.is_finite())?;
                Some(Cause::NodeFeature { ty, feature, id, value })
            })
        }
        Stored::EdgeFeature { rel, feature } => {
            let matrix = env.view.edge_feature(rel, feature).stored;
            binder.scratch.edge_rows_of(rel).find_map(|row| {
                let value = matrix.row(row as usize).into_iter().find(|x| !x.is_finite())?;
                Some(Cause::EdgeFeature { rel, feature, row, value })
            })
        }
        Stored::Table { param, .. } => {
            let value = env.params.values(param).iter().find(|x| !x.is_finite())?;
            Some(Cause::Param { param, value: *value })
        }
        Stored::Hidden { .. } | Stored::Degree { .. } => None,
    }
}

impl Diagnosis {
    /// The message for the user: operation, node or edge, and the stored value or parameter to blame.
    pub fn message(&self, facts: &GraphFacts, params: &Params) -> String {
        let mut text = format!("`{}` gave {}", self.step, self.value);
        let node = |ty: u32| facts.nodes.get(ty as usize).map_or("pair", |node| node.name.as_str());
        let rel = |rel: u32| facts.relations.get(rel as usize).map_or("?", |relation| relation.name.as_str());
        let _ = match self.at {
            Source::Global => Ok(()),
            Source::Node { ty, id } => write!(text, " at {} {id}", node(ty)),
            Source::Edge { rel: at, position } => write!(text, " at edge {position} of {}", rel(at)),
        };
        if self.rows > 1 {
            let _ = write!(text, " (and {} more rows)", self.rows - 1);
        }
        let _ = match self.cause {
            None => Ok(()),
            Some(Cause::NodeFeature { ty, feature, id, value }) => {
                let features = facts.nodes.get(ty as usize).map(|node| &node.features);
                let name =
                    features.and_then(|all| all.get(feature as usize)).map_or("?", |one| one.name.as_str());
                write!(text, ": feature `{name}` of {} {id} is {value}", node(ty))
            }
            Some(Cause::EdgeFeature { rel: at, feature, row, value }) => {
                let features = facts.relations.get(at as usize).map(|relation| &relation.features);
                let name =
                    features.and_then(|all| all.get(feature as usize)).map_or("?", |one| one.name.as_str());
                write!(text, ": feature `{name}` in row {row} of {} is {value}", rel(at))
            }
            Some(Cause::Param { param, value }) => {
                write!(
                    text,
                    ": parameter `{}` holds {value}; a smaller learning rate or clipping may help",
                    params.name(param)
                )
            }
        };
        text
    }
}
