//! Units become steps over buffers.
//!
//! ```text
//! %5 : nodes(0)@0 × [4] = Linear(%3, %w1)              gemm [8, 4] %3 -> b0
//! %6 : nodes(0)@0 × [4] = Linear(%4, %w2)         →    gemm [8, 4] %4 -> b0 (added)
//! %7 : nodes(0)@0 × [4] = Binary Add(%5, %6)
//! ```
//!
//! Decided here: which step computes what, which operand is read where it lies, which is gathered first. Every buffer gets
//! a slot of its own; `memory` shares them.

use super::fuse::{Class, Fusion, Kind, Unit};
use super::kernel::KernelBuilder;
use gsl_plan::program::*;
use gsl_plan::schedule::*;
use gsl_plan::verify::VerifyError;
use std::collections::{BTreeMap, BTreeSet};

/// A matrix that is read by more products than this is gathered once.
const MAX_INDEXED_PRODUCTS: usize = 2;

pub(super) fn schedule(fusion: &Fusion) -> Result<Schedule, VerifyError> {
    let mut emit = Emit {
        f: fusion,
        schedule: Schedule::default(),
        buffers: BTreeMap::new(),
        gathered: BTreeMap::new(),
        crowded: crowded(fusion),
        written: BTreeSet::new(),
    };
    for unit in &fusion.units {
        emit.unit(unit)?;
    }
    emit.outputs()
}

/// Stored leaves that many products read.
fn crowded(f: &Fusion) -> BTreeSet<usize> {
    let mut readers: BTreeMap<usize, usize> = BTreeMap::new();
    for value in &f.program.values {
        if matches!(value.op, Op::Linear { .. } | Op::Outer { .. })
            && !matches!(value.domain, Domain::Edges { .. })
        {
            *readers.entry(f.base[value.args[0].index()].value).or_default() += 1;
        }
    }
    let crowd = readers.into_iter().filter(|(i, n)| *n > MAX_INDEXED_PRODUCTS && f.kind[*i] == Kind::Stored);
    crowd.map(|(i, _)| i).collect()
}

struct Emit<'a> {
    f: &'a Fusion<'a>,
    schedule: Schedule,
    /// Buffer by owner.
    buffers: BTreeMap<usize, BufferId>,
    gathered: BTreeMap<usize, BufferId>,
    crowded: BTreeSet<usize>,
    written: BTreeSet<usize>,
}

impl Emit<'_> {
    fn unit(&mut self, unit: &Unit) -> Result<(), VerifyError> {
        let kind = match unit.class {
            Class::Single => self.single(unit.roots[0])?,
            Class::Rows(rows) => self.map(unit, rows, RowCombine::Each)?,
            Class::RowSums(rows) => self.map(unit, rows, RowCombine::SumRows)?,
            Class::ToDst(edges)
            | Class::ToSrc(edges)
            | Class::ToGlobal(edges)
            | Class::Outer(edges)
            | Class::Edges(edges) => self.traverse(unit, edges)?,
        };
        self.push(kind, unit.roots[0]);
        Ok(())
    }

    fn push(&mut self, kind: StepKind, root: usize) {
        let name = self.f.value(root).name.clone();
        self.schedule.steps.push(Step { kind, name, heads: None });
    }

    fn buffer(
        &mut self,
        domain: Domain,
        width: usize,
        root: usize,
        materialised: Option<String>,
    ) -> BufferId {
        let id = self.schedule.buffers.len() as u32;
        let name = self.f.value(root).name.clone();
        self.schedule.buffers.push(Buffer { domain, width, slot: id, name, materialised });
        BufferId(id)
    }

    /// The buffer that value `i` is written to, and whether something is in it already.
    fn out(&mut self, i: usize) -> (BufferId, bool) {
        let owner = self.f.owner[i];
        let accumulate = !self.written.insert(owner);
        if let Some(id) = self.buffers.get(&owner) {
            return (*id, accumulate);
        }
        let value = self.f.value(owner);
        let id = self.buffer(value.domain, value.width(), owner, self.f.reason[owner].clone());
        self.buffers.insert(owner, id);
        (id, accumulate)
    }

    /// Elements `start .. start + len` of a value that a unit reads.
    fn locate(&self, i: usize, start: usize, len: usize) -> Result<Operand, VerifyError> {
        let value = self.f.value(i);
        let whole = len == value.width();
        if let Some(stored) = self.stored(i) {
            return Ok(Operand::Stored(stored));
        }
        match value.op {
            Op::Param { param } if whole => Ok(Operand::Param(param)),
            Op::Param { param } => Ok(Operand::Part { of: Whole::Param(param), start, len }),
            _ => {
                let id = self.buffers.get(&self.f.owner[i]);
                let id =
                    id.ok_or_else(|| VerifyError::new(format!("%{i} ({}) is not in memory", value.name)))?;
                match whole {
                    true => Ok(Operand::Buffer(*id)),
                    false => Ok(Operand::Part { of: Whole::Buffer(*id), start, len }),
                }
            }
        }
    }

    fn stored(&self, i: usize) -> Option<Stored> {
        let value = self.f.value(i);
        Some(match (&value.op, value.domain) {
            (Op::Feature { feature }, Domain::Nodes { ty, .. }) => {
                Stored::NodeFeature { ty, feature: *feature }
            }
            (Op::Feature { feature }, Domain::Edges { rel, .. }) => {
                Stored::EdgeFeature { rel, feature: *feature }
            }
            (Op::Embedding { param }, Domain::Nodes { ty, .. }) => Stored::Table { ty, param: *param },
            (Op::Hidden, Domain::Nodes { ty, .. }) => Stored::Hidden { ty },
            (Op::Degree, Domain::Nodes { ty, .. }) => Stored::Degree { ty },
            _ => return None,
        })
    }

    /// Operand `a` of a step on whole matrices.
    fn operand(&self, i: usize, a: usize) -> Result<Operand, VerifyError> {
        let arg = self.f.arg(i, a);
        let base = self.f.base[arg];
        self.locate(base.value, base.start, self.f.value(arg).width())
    }

    /// Operand `a` of a product: read where it lies if it is read seldom.
    fn indexed(&mut self, i: usize, a: usize) -> Result<Operand, VerifyError> {
        let base = self.f.base[self.f.arg(i, a)].value;
        if self.crowded.contains(&base) { self.dense(i, a) } else { self.operand(i, a) }
    }

    /// Operand `a`, gathered first if it is a stored matrix.
    fn dense(&mut self, i: usize, a: usize) -> Result<Operand, VerifyError> {
        let base = self.f.base[self.f.arg(i, a)].value;
        let Some(from) = self.stored(base) else { return self.operand(i, a) };
        if let Some(id) = self.gathered.get(&base) {
            return Ok(Operand::Buffer(*id));
        }
        let value = self.f.value(base);
        let reason = self.f.on_edges(base).then(|| "rows of an edge feature, one after another".to_owned());
        let out = self.buffer(value.domain, value.width(), base, reason);
        self.gathered.insert(base, out);
        self.push(StepKind::Gather { from, out }, base);
        Ok(Operand::Buffer(out))
    }

    fn single(&mut self, i: usize) -> Result<StepKind, VerifyError> {
        let op = self.f.value(i).op.clone();
        Ok(match op {
            Op::RecipCount { rel } => StepKind::RecipCount { rel, out: self.out(i).0 },
            Op::Label { label } => StepKind::Label { label, out: self.out(i).0 },
            Op::SeedWeight { predict } => StepKind::SeedWeight { predict, out: self.out(i).0 },
            Op::LossScale { predict } => StepKind::LossScale { predict, out: self.out(i).0 },
            Op::Linear { batch } => {
                let (x, w) = (self.indexed(i, 0)?, self.operand(i, 1)?);
                let [batch, k, n] = self.f.matrix(self.f.arg(i, 1), batch);
                let (out, accumulate) = self.out(i);
                StepKind::Linear { x, w, batch, k, n, out, accumulate }
            }
            Op::LinearT { batch } => {
                let (g, w) = (self.dense(i, 0)?, self.operand(i, 1)?);
                let [batch, k, n] = self.f.matrix(self.f.arg(i, 1), batch);
                let (out, accumulate) = self.out(i);
                StepKind::LinearT { g, w, batch, k, n, out, accumulate }
            }
            Op::Outer { batch } => self.outer(i, batch)?,
            Op::CrossEntropy { smoothing } => {
                let (logits, labels) = (self.dense(i, 0)?, self.dense(i, 1)?);
                let classes = self.f.value(self.f.arg(i, 0)).width();
                StepKind::CrossEntropy { logits, labels, classes, smoothing, out: self.out(i).0 }
            }
            Op::CrossEntropyGrad { smoothing } => {
                let (logits, labels) = (self.dense(i, 0)?, self.dense(i, 1)?);
                let g = self.dense(i, 2)?;
                let classes = self.f.value(self.f.arg(i, 0)).width();
                StepKind::CrossEntropyGrad { logits, labels, g, classes, smoothing, out: self.out(i).0 }
            }
            Op::External { name } => {
                let call = self.external(i, name, self.f.value(i).args.len())?;
                StepKind::External { call, out: self.out(i).0 }
            }
            Op::ExternalGrad { name, of } => {
                let last = self.f.value(i).args.len() - 1;
                let call = self.external(i, name, last)?;
                StepKind::ExternalGrad { call, g: self.dense(i, last)?, of, out: self.out(i).0 }
            }
            Op::Pad => {
                let x = self.dense(i, 0)?;
                let (out, accumulate) = self.out(i);
                StepKind::Pad { x, out, accumulate }
            }
            Op::Stack { items } => self.stack(i, &items)?,
            Op::Dot => {
                let Domain::Edges { rel, hop } = self.f.value(i).domain else {
                    return Err(VerifyError::new("an inner product that is not on edges"));
                };
                let (x, y) = (self.operand(i, 0)?, self.dense(i, 1)?);
                let width = self.f.value(self.f.arg(i, 0)).width();
                StepKind::Dot { rel, hop, x, y, width, out: self.out(i).0 }
            }
            Op::DotToDst | Op::DotToSrc => {
                let Domain::Edges { rel, hop } = self.f.value(self.f.arg(i, 0)).domain else {
                    return Err(VerifyError::new("products of no edges"));
                };
                let to_src = op == Op::DotToSrc;
                let g = self.dense(i, 0)?;
                let x = if to_src { self.dense(i, 1)? } else { self.operand(i, 1)? };
                let width = self.f.value(i).width();
                StepKind::DotBack { rel, hop, g, x, width, to_src, out: self.out(i).0 }
            }
            other => return Err(VerifyError::new(format!("{other:?} is no step"))),
        })
    }

    /// The call of the first `count` operands of value `i`: its own, or before the gradient of its result.
    fn external(&mut self, i: usize, name: String, count: usize) -> Result<ExternalCall, VerifyError> {
        let mut arguments = vec![];
        let mut rows = Domain::Global;
        for a in 0..count {
            let value = self.f.value(self.f.arg(i, a));
            let (shape, shared) = (value.shape.clone(), value.domain == Domain::Global);
            let operand = if shared { self.operand(i, a)? } else { self.dense(i, a)? };
            rows = gsl_plan::verify::join(rows, value.domain)?;
            arguments.push(ExternalArgument { operand, shape, shared });
        }
        let of_result = if count < self.f.value(i).args.len() { self.f.arg(i, count) } else { i };
        Ok(ExternalCall { name, rows, arguments, shape: self.f.value(of_result).shape.clone() })
    }

    fn outer(&mut self, i: usize, batch: usize) -> Result<StepKind, VerifyError> {
        let (x, g) = (self.indexed(i, 0)?, self.dense(i, 1)?);
        let arg = self.f.value(self.f.arg(i, 0));
        let (rows, k) = (arg.domain, arg.width() / batch);
        let n = self.f.value(self.f.arg(i, 1)).width() / batch;
        let (out, accumulate) = self.out(i);
        Ok(StepKind::Outer { x, g, batch, k, n, rows, out, accumulate })
    }

    fn stack(&mut self, i: usize, items: &[Option<u32>]) -> Result<StepKind, VerifyError> {
        let items: Result<Vec<Option<Operand>>, VerifyError> =
            items.iter().map(|item| item.map(|a| self.operand(i, a as usize)).transpose()).collect();
        Ok(StepKind::Stack { items: items?, out: self.out(i).0 })
    }

    fn map(&mut self, unit: &Unit, rows: Domain, combine: RowCombine) -> Result<StepKind, VerifyError> {
        let mut regs = vec![];
        let locate = |i: usize, start: usize, len: usize| self.locate(i, start, len);
        let mut kernel = KernelBuilder::new(self.f, unit, &locate);
        for root in &unit.roots {
            regs.push(kernel.reg(self.written_by_kernel(*root))?);
        }
        let kernel = kernel.finish();
        let outputs = unit.roots.iter().zip(regs);
        let outputs: Vec<MapOutput> = outputs
            .map(|(root, reg)| {
                let (out, accumulate) = self.out(*root);
                MapOutput { reg, out, combine, accumulate }
            })
            .collect();
        Ok(StepKind::Map { rows, kernel, outputs })
    }

    /// What a kernel over rows computes for a root: the summand of a sum over rows, what is added in place, or itself.
    fn written_by_kernel(&self, root: usize) -> usize {
        match (self.f.kind[root], self.f.added_to(root)) {
            (Kind::SumRows, _) => self.f.arg(root, 0),
            (_, Some(held)) => self.f.arg(root, 1 - held),
            _ => root,
        }
    }

    fn traverse(&mut self, unit: &Unit, edges: Domain) -> Result<StepKind, VerifyError> {
        let Domain::Edges { rel, hop } = edges else {
            return Err(VerifyError::new("a traversal needs edges"));
        };
        let locate = |i: usize, start: usize, len: usize| self.locate(i, start, len);
        let mut builder = KernelBuilder::new(self.f, unit, &locate);
        let mut results = vec![];
        for root in &unit.roots {
            results.push(self.edge_result(&mut builder, *root)?);
        }
        let kernel = builder.finish();
        let outputs = unit.roots.iter().zip(results);
        let outputs: Vec<EdgeOutput> = outputs
            .map(|(root, (reg, combine))| {
                let (out, accumulate) = self.out(*root);
                EdgeOutput { reg, out, combine, accumulate }
            })
            .collect();
        Ok(StepKind::Traverse { rel, hop, kernel, outputs })
    }

    fn edge_result(
        &self,
        kernel: &mut KernelBuilder,
        root: usize,
    ) -> Result<(Reg, EdgeCombine), VerifyError> {
        let value = self.f.value(root);
        if self.f.on_edges(root) {
            return Ok((kernel.reg(root)?, EdgeCombine::Each));
        }
        let reg = kernel.reg(self.f.arg(root, 0))?;
        let combine = match value.op {
            Op::Reduce(op) => EdgeCombine::ToDst(op),
            Op::ReduceSrc => EdgeCombine::ToSrc,
            Op::SumRows => EdgeCombine::ToGlobal,
            Op::Outer { batch } => {
                let (x, g) = (self.f.arg(root, 0), self.f.arg(root, 1));
                let (k, n) = (self.f.value(x).width() / batch, self.f.value(g).width() / batch);
                EdgeCombine::Outer { other: kernel.reg(g)?, batch, k, n }
            }
            ref other => return Err(VerifyError::new(format!("{other:?} reduces no edges"))),
        };
        Ok((reg, combine))
    }

    fn outputs(mut self) -> Result<Schedule, VerifyError> {
        for output in &self.f.program.outputs {
            let base = self.f.base[output.value.index()].value;
            let id = self.buffers.get(&self.f.owner[base]);
            let id =
                id.ok_or_else(|| VerifyError::new(format!("output {:?} is not in memory", output.role)))?;
            self.schedule.outputs.push((output.role.clone(), *id));
        }
        self.schedule.slots = self.schedule.buffers.len() as u32;
        Ok(self.schedule)
    }
}
