//! Operands to slices: where the rows of a batch lie.
//!
//! Decided here: stored matrices are read in place, through the block's identifiers. Not decided here: what is done with
//! the rows.

use super::translate::Source;
use super::{Env, ExecError, Executor};
use crate::view::{Matrix, StoredMatrix};
use gsl_kernels::{Data, Floats, Input};
use gsl_plan::external::RowFunction;
use gsl_plan::program::{Domain, Signature};
use gsl_plan::schedule::{Operand, Schedule, Step, Stored, Whole};
use rayon::prelude::*;

/// Buffers of a batch that belong to no slot.
#[derive(Debug, Default)]
pub struct Scratch {
    /// By node type: identifiers in 64 bits, which key dropout.
    ids: Vec<Vec<u64>>,
    /// Rows of edge features, by (relation, hop).
    edge_rows: Vec<((u32, u32), Vec<u32>)>,
    pub space: Space,
}

/// What single steps write besides their outputs.
#[derive(Debug, Default)]
pub struct Space {
    pub labels: Vec<i32>,
    pub gathered: Vec<f32>,
}

/// Rows of an operand: `data`, or `data` through `index`.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    pub data: Floats<'a>,
    pub index: Option<&'a [u32]>,
    pub width: usize,
}

fn wide(matrix: Matrix<'_>) -> StoredMatrix<'_> {
    StoredMatrix::new(matrix.data, matrix.width)
}

/// All that the operands of a step can name.
pub struct Binder<'a> {
    pub schedule: &'a Schedule,
    pub signature: &'a Signature,
    pub step: &'a Step,
    /// What the step calls, if it calls a function from outside.
    pub function: Option<&'a dyn RowFunction>,
    pub slots: &'a [Vec<f32>],
    pub rows: &'a [usize],
    pub scratch: &'a Scratch,
    pub env: &'a Env<'a>,
}

static ONE_ID: [u64; 1] = [0];

impl Executor {
    /// Binds a batch: sizes of buffers, arenas, keys, identifiers.
    pub(super) fn begin(&mut self, env: &Env, gradients: bool) -> Result<(), ExecError> {
        let mut sizes = vec![0; self.slots.len()];
        for (rows, buffer) in self.rows.iter_mut().zip(&self.schedule.buffers) {
            *rows = env.block.rows(buffer.domain);
            let size = &mut sizes[buffer.slot as usize];
            *size = (*size).max(*rows * buffer.width);
        }
        self.slots.iter_mut().zip(sizes).for_each(|(slot, size)| grow(slot, size));
        if env.context.training {
            self.rekey(env)?;
            self.scratch.bind_ids(env, &self.needs.id_types);
        }
        self.scratch.bind_edges(env, &self.needs.edge_rows);
        if gradients {
            env.block.transpose(&self.needs.transposes);
        }
        Ok(())
    }

    fn rekey(&mut self, env: &Env) -> Result<(), ExecError> {
        for (step, prepared) in self.schedule.steps.iter().zip(&mut self.steps) {
            for pass in &mut prepared.passes {
                let failed = |why| ExecError::Schedule { step: step.name.clone(), why };
                pass.train.rekey(env.context).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Makes room for `size` floats and an eighth more, so that slightly larger batches fit too.
fn grow(slot: &mut Vec<f32>, size: usize) {
    if slot.len() < size {
        *slot = Vec::new();
        *slot = vec![0.0; size + size / 8];
    }
}

impl Scratch {
    fn bind_ids(&mut self, env: &Env, types: &[u32]) {
        for &ty in types {
            if self.ids.len() <= ty as usize {
                self.ids.resize_with(ty as usize + 1, Vec::new);
            }
            let ids = &mut self.ids[ty as usize];
            ids.clear();
            ids.extend(env.block.ids(ty).iter().map(|&id| u64::from(id)));
        }
    }

    /// Rows of the features of relation `rel` in this batch, over all hops.
    pub fn edge_rows_of(&self, rel: u32) -> impl Iterator<Item = u32> {
        self.edge_rows.iter().filter(move |((of, _), _)| *of == rel).flat_map(|(_, rows)| rows).copied()
    }

    fn bind_edges(&mut self, env: &Env, wanted: &[((u32, u32), u32)]) {
        self.edge_rows.resize_with(wanted.len(), Default::default);
        for (&((rel, hop), feature), (key, rows)) in wanted.iter().zip(&mut self.edge_rows) {
            *key = (rel, hop);
            rows.clear();
            let Some(edges) = env.block.edges(rel, hop) else { continue };
            let of = env.view.edge_feature(rel, feature).rows;
            rows.resize(edges.len(), 0);
            rows.par_iter_mut().zip(&edges.position).with_min_len(4096).for_each(|(row, &position)| {
                *row = of.map_or(position as u32, |of| of[position as usize]);
            });
        }
    }
}

impl<'a> Binder<'a> {
    pub fn bad(&self, why: impl Into<String>) -> ExecError {
        ExecError::Schedule { step: self.step.name.clone(), why: why.into() }
    }

    pub fn missing(&self, what: impl Into<String>) -> ExecError {
        ExecError::Missing { step: self.step.name.clone(), what: what.into() }
    }

    /// The rows of `domain` of an operand.
    pub fn rows_of(&self, operand: Operand, domain: Domain) -> Result<Bound<'a>, ExecError> {
        match operand {
            _ if domain == Domain::Global => {
                let row = self.global(operand)?;
                Ok(Bound { data: Floats::F32(row), index: None, width: row.len() })
            }
            Operand::Buffer(id) => {
                let width = self.schedule.buffers[id.index()].width;
                let (have, need) = (self.rows[id.index()], self.env.block.rows(domain));
                if have < need {
                    return Err(self.bad(format!("buffer {} has {have} rows, {need} are read", id.0)));
                }
                let slot = &self.slots[self.schedule.buffers[id.index()].slot as usize];
                Ok(Bound { data: Floats::F32(&slot[..need * width]), index: None, width })
            }
            Operand::Stored(stored) => self.stored(stored, domain),
            Operand::Param(_) | Operand::Part { .. } => Err(self.bad("a Global operand is read by rows")),
        }
    }

    /// The rows of an operand that a step has computed: they lie in order.
    pub fn computed(&self, operand: Operand, domain: Domain) -> Result<&'a [f32], ExecError> {
        let bound = self.rows_of(operand, domain)?;
        let rows = if bound.index.is_none() { bound.data.wide() } else { None };
        rows.ok_or_else(|| self.bad(format!("{operand:?} is read as if it had been computed")))
    }

    /// A Global operand: one row.
    pub fn global(&self, operand: Operand) -> Result<&'a [f32], ExecError> {
        match operand {
            Operand::Param(param) => self.param(param),
            Operand::Buffer(id) => self.whole_buffer(id.index()),
            Operand::Part { of, start, len } => {
                let whole = match of {
                    Whole::Param(param) => self.param(param)?,
                    Whole::Buffer(id) => self.whole_buffer(id.index())?,
                };
                let part = whole.get(start..start + len);
                part.ok_or_else(|| self.bad(format!("elements {start}.. + {len} of {}", whole.len())))
            }
            Operand::Stored(_) => Err(self.bad("a stored matrix is read as one row")),
        }
    }

    fn whole_buffer(&self, id: usize) -> Result<&'a [f32], ExecError> {
        let buffer = &self.schedule.buffers[id];
        if buffer.domain != Domain::Global {
            return Err(self.bad(format!("buffer `{}` is read as one row", buffer.name)));
        }
        Ok(&self.slots[buffer.slot as usize][..buffer.width])
    }

    fn param(&self, param: u32) -> Result<&'a [f32], ExecError> {
        let params = self.env.params;
        if (param as usize) < params.len() {
            Ok(params.values(param))
        } else {
            Err(self.bad("no such parameter"))
        }
    }

    fn stored(&self, stored: Stored, domain: Domain) -> Result<Bound<'a>, ExecError> {
        let view = self.env.view;
        let (ty, matrix) = match stored {
            Stored::NodeFeature { ty, feature } if self.env.pairs_of(ty).is_some() => {
                return self.pair_feature(ty, feature, domain);
            }
            Stored::NodeFeature { ty, feature } => (ty, view.node_feature(ty, feature)),
            Stored::Table { ty, param } => {
                self.param(param)?;
                (ty, wide(self.env.params.table(param)))
            }
            Stored::Degree { ty } => (ty, StoredMatrix::new(view.degree(ty), 1)),
            Stored::Hidden { ty } => {
                let hidden = self.env.hidden.get(ty as usize).copied().flatten();
                (ty, wide(hidden.ok_or_else(|| self.missing(format!("the stage input of node type {ty}")))?))
            }
            Stored::EdgeFeature { rel, feature } => return self.edge_feature(rel, feature, domain),
        };
        match domain {
            Domain::Nodes { ty: of, .. } if of == ty => {
                let ids = &self.env.block.ids(ty)[..self.env.block.rows(domain)];
                Ok(Bound { data: matrix.data, index: Some(ids), width: matrix.width })
            }
            other => Err(self.bad(format!("{stored:?} is read over {other:?}"))),
        }
    }

    fn pair_feature(&self, ty: u32, feature: u32, domain: Domain) -> Result<Bound<'a>, ExecError> {
        let pairs = self.env.pairs_of(ty);
        let found = pairs.and_then(|pairs| pairs.features.iter().find(|(at, _, _)| *at == feature));
        match (found, domain) {
            (Some((_, width, rows)), Domain::Nodes { ty: of, .. }) if of == ty => {
                Ok(Bound { data: Floats::F32(rows), index: None, width: *width })
            }
            _ => Err(self.missing(format!("feature {feature} of pairs"))),
        }
    }

    fn edge_feature(&self, rel: u32, feature: u32, domain: Domain) -> Result<Bound<'a>, ExecError> {
        let matrix = self.env.view.edge_feature(rel, feature).stored;
        let index = match domain {
            Domain::Edges { rel: of, hop } if of == rel => {
                self.scratch.edge_rows.iter().find(|(key, _)| *key == (rel, hop))
            }
            _ => None,
        };
        let (_, index) =
            index.ok_or_else(|| self.bad(format!("edge feature {feature} read over {domain:?}")))?;
        Ok(Bound { data: matrix.data, index: Some(index), width: matrix.width })
    }

    /// The input of a kernel.
    pub fn input(&self, source: &Source) -> Result<Input<'a>, ExecError> {
        match *source {
            Source::Operand { operand, access, width } => {
                let domain = super::prepare::accessed(&self.step.kind, access, self.signature);
                let bound = self.rows_of(operand, domain)?;
                if bound.width != width {
                    return Err(self.bad(format!("{operand:?} has width {}, not {width}", bound.width)));
                }
                Ok(Input { data: Data::Floats(bound.data), index: bound.index })
            }
            Source::Ids(access) => match super::prepare::accessed(&self.step.kind, access, self.signature) {
                Domain::Global => Ok(Input::ids(&ONE_ID)),
                domain @ Domain::Nodes { ty, .. } => {
                    Ok(Input::ids(&self.scratch.ids[ty as usize][..self.env.block.rows(domain)]))
                }
                Domain::Edges { rel, hop } => Ok(Input::ids(&self.edges(rel, hop)?.position)),
            },
        }
    }

    /// The edges of a relation at a hop.
    pub fn edges(&self, rel: u32, hop: u32) -> Result<&'a crate::sample::EdgeBlock, ExecError> {
        let edges = self.env.block.edges(rel, hop);
        edges.ok_or_else(|| self.missing(format!("edges of relation {rel} at hop {hop}")))
    }
}
