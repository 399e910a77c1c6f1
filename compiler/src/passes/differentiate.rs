//! The derivative as a program: reverse mode, one rule per operation.
//!
//! ```text
//! %2 : nodes(0)@0 × [4] = Linear(%0, %1)            …
//! %3 : global × [4] = SumRows(%2)                   %6 : nodes(0)@0 × [4] = …            // grad
//! %4 : global × [] = SumInner(%3)              →    %7 : global × [8, 4] = Outer(%0, %6)
//! output Loss = %4                                  output Loss = %4
//!                                                   output Gradient(0) = %7
//! ```
//!
//! Values are visited from the loss backwards; each adds its contribution to the gradients of its operands. Decided here:
//! in which order gradients are gathered, what is not differentiated (everything that no trainable parameter reaches),
//! and where gradients end. The rules are in `rules`. A gradient may be Global where its value is not: then it is the same
//! for every row. Not decided here: any cost; the passes that follow hoist and share what the rules write out in full.

use super::rules;
use gsl_plan::build::{Builder, Built};
use gsl_plan::program::*;
use gsl_plan::verify::VerifyError;
use std::collections::BTreeMap;

/// Adds the gradients of `Role::Loss` to the outputs; a program without a loss stays as it is.
pub(super) fn run(
    program: &Program,
    signature: &Signature,
    trainable: &[bool],
) -> Result<Program, VerifyError> {
    let Some(loss) = program.outputs.iter().find(|o| o.role == Role::Loss).map(|o| o.value) else {
        return Ok(program.clone());
    };
    let mut adjoint = Adjoint::new(program, signature, trainable);
    let one = adjoint.b.constant(1.0);
    let seed = adjoint.b.reshape(one, &program.values[loss.index()].shape)?;
    adjoint.add(loss, seed);
    for i in (0..program.values.len()).rev() {
        adjoint.visit(ValueId(i as u32))?;
    }
    adjoint.finish()
}

/// Gradients being gathered.
pub(super) struct Adjoint {
    pub b: Builder,
    /// Whether a trainable parameter reaches the value.
    needs: Vec<bool>,
    /// Contributions to the gradient of each value, of the value's shape.
    parts: Vec<Vec<ValueId>>,
    /// Contributions to a range of the row of a value: (start, gradient).
    slices: BTreeMap<ValueId, Vec<(usize, ValueId)>>,
    /// Contributions to entries of the leading dimension of a Global value.
    entries: BTreeMap<ValueId, Vec<(usize, ValueId)>>,
    dense: BTreeMap<u32, Vec<ValueId>>,
    rows: BTreeMap<(u32, Domain), Vec<ValueId>>,
}

impl Adjoint {
    fn new(program: &Program, signature: &Signature, trainable: &[bool]) -> Self {
        Adjoint {
            b: Builder::extend(program.clone(), signature.clone()),
            needs: needs(program, trainable),
            parts: vec![vec![]; program.values.len()],
            slices: BTreeMap::new(),
            entries: BTreeMap::new(),
            dense: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    pub fn needs(&self, id: ValueId) -> bool {
        self.needs[id.index()]
    }

    /// A contribution to the gradient of `id`; dropped where nobody needs it.
    pub fn add(&mut self, id: ValueId, gradient: ValueId) {
        if self.needs(id) {
            self.parts[id.index()].push(gradient);
        }
    }

    /// A contribution to the elements of `id` from `start` on.
    pub fn add_slice(&mut self, id: ValueId, start: usize, gradient: ValueId) {
        if self.needs(id) {
            self.slices.entry(id).or_default().push((start, gradient));
        }
    }

    /// A contribution to entry `index` of `id`.
    pub fn add_entry(&mut self, id: ValueId, index: usize, gradient: ValueId) {
        if self.needs(id) {
            self.entries.entry(id).or_default().push((index, gradient));
        }
    }

    fn visit(&mut self, id: ValueId) -> Result<(), VerifyError> {
        if !self.needs(id) {
            return Ok(());
        }
        let value = self.b.value(id);
        let (name, span) = (format!("grad {}", value.name), value.span);
        self.b.at(name, span);
        let Some(gradient) = self.total(id)? else { return Ok(()) };
        match self.b.value(id).op {
            Op::Param { param } => self.dense.entry(param).or_default().push(gradient),
            Op::Embedding { param } => {
                let gradient = self.per_row(gradient, id)?;
                let domain = self.b.domain(id);
                self.rows.entry((param, domain)).or_default().push(gradient);
            }
            _ => rules::backward(self, id, gradient)?,
        }
        Ok(())
    }

    /// The sum of all contributions to `id`.
    fn total(&mut self, id: ValueId) -> Result<Option<ValueId>, VerifyError> {
        let mut parts = std::mem::take(&mut self.parts[id.index()]);
        if let Some(slices) = self.slices.remove(&id) {
            parts.extend(self.assemble(id, slices)?);
        }
        if let Some(entries) = self.entries.remove(&id) {
            parts.push(self.stack(id, entries)?);
        }
        let shape = self.b.shape(id).to_vec();
        match self.sum(&parts)? {
            Some(sum) => self.b.reshape(sum, &shape).map(Some),
            None => Ok(None),
        }
    }

    fn sum(&mut self, parts: &[ValueId]) -> Result<Option<ValueId>, VerifyError> {
        let Some((first, rest)) = parts.split_first() else { return Ok(None) };
        let mut sum = *first;
        for part in rest {
            sum = self.full(BinaryOp::Add, sum, *part)?;
        }
        Ok(Some(sum))
    }

    /// Slices that do not overlap, joined with zeros in the gaps; overlapping ones make several rows.
    fn assemble(
        &mut self,
        id: ValueId,
        mut slices: Vec<(usize, ValueId)>,
    ) -> Result<Vec<ValueId>, VerifyError> {
        slices.sort();
        let width = self.b.value(id).width();
        let mut rows = vec![];
        while !slices.is_empty() {
            let (mut end, mut pieces, mut left) = (0, vec![], vec![]);
            for (start, gradient) in slices {
                if start < end {
                    left.push((start, gradient));
                    continue;
                }
                pieces.extend(self.zeros(start - end)?);
                pieces.push(gradient);
                end = start + self.b.value(gradient).width();
            }
            pieces.extend(self.zeros(width - end)?);
            rows.push(if pieces.len() == 1 { pieces[0] } else { self.b.op(Op::Concat, &pieces)? });
            slices = left;
        }
        Ok(rows)
    }

    fn zeros(&mut self, width: usize) -> Result<Option<ValueId>, VerifyError> {
        if width == 0 {
            return Ok(None);
        }
        let zero = self.b.constant(0.0);
        self.b.push(Op::Expand(Broadcast::Scalar), &[zero], Domain::Global, &[width]).map(Some)
    }

    /// All entries of a stacked value at once.
    fn stack(&mut self, id: ValueId, entries: Vec<(usize, ValueId)>) -> Built {
        let mut by_index: BTreeMap<usize, Vec<ValueId>> = BTreeMap::new();
        for (index, gradient) in entries {
            by_index.entry(index).or_default().push(gradient);
        }
        let shape = self.b.shape(id)[1..].to_vec();
        let mut items = vec![None; self.b.shape(id)[0]];
        let mut args = vec![];
        for (index, parts) in by_index {
            if let Some(sum) = self.sum(&parts)? {
                items[index] = Some(args.len() as u32);
                args.push(self.b.reshape(sum, &shape)?);
            }
        }
        self.b.op(Op::Stack { items }, &args)
    }

    /// Element by element over rows of one width.
    pub fn full(&mut self, op: BinaryOp, x: ValueId, y: ValueId) -> Built {
        self.b.op(Op::Binary { op, left: Broadcast::Full, right: Broadcast::Full }, &[x, y])
    }

    /// `x` · `c`.
    pub fn scale(&mut self, x: ValueId, c: f32) -> Built {
        let c = self.b.constant(c);
        self.b.op(Op::Binary { op: BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Scalar }, &[x, c])
    }

    /// The gradient with one row for each row of `like`: a Global one is repeated, as a product with [x = x].
    pub fn per_row(&mut self, gradient: ValueId, like: ValueId) -> Built {
        let domain = self.b.domain(like);
        if self.b.domain(gradient) == domain {
            return Ok(gradient);
        }
        let first = self.b.push(Op::Slice { start: 0 }, &[like], domain, &[])?;
        let one = self.full(BinaryOp::Eq, first, first)?;
        let by = Op::Binary { op: BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Scalar };
        self.b.op(by, &[gradient, one])
    }

    fn finish(mut self) -> Result<Program, VerifyError> {
        for (param, parts) in std::mem::take(&mut self.dense) {
            if let Some(sum) = self.sum(&parts)? {
                self.b.output(Role::Gradient(param), sum);
            }
        }
        for ((param, _), parts) in std::mem::take(&mut self.rows) {
            if let Some(sum) = self.sum(&parts)? {
                self.b.output(Role::RowGradient(param), sum);
            }
        }
        Ok(self.b.program)
    }
}

/// Whether a trainable parameter reaches each value by a way on which gradients flow.
fn needs(program: &Program, trainable: &[bool]) -> Vec<bool> {
    let mut needs: Vec<bool> = Vec::with_capacity(program.values.len());
    for value in &program.values {
        needs.push(match value.op {
            Op::Param { param } | Op::Embedding { param } => {
                trainable.get(param as usize).copied().unwrap_or(false)
            }
            _ if rules::is_flat(&value.op) => false,
            _ => value.args.iter().any(|a| needs[a.index()]),
        });
    }
    needs
}
