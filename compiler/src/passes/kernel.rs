//! Values become instructions: the row program of one unit.
//!
//! ```text
//! %6 : edges(0)@0 × [8] = Src(%1)                      inputs  src b1
//! %7 : edges(0)@0 × [8] = Mul(%6, %w)             →            global w
//! %8 : nodes(0)@0 × [8] = Reduce Sum(%7)               r0 = load 0, r1 = load 1, r2 = mul r0 r1
//! ```
//!
//! Decided here: one instruction per value, one load per input and range. Not decided here: what belongs together
//! (`fuse`).

use super::fuse::{Base, Fusion, Kind, Unit};
use gsl_plan::program::*;
use gsl_plan::schedule::*;
use gsl_plan::verify::VerifyError;
use std::collections::HashMap;

/// Finds the operand for elements `start .. start + len` of a value, which is in memory or held by the runtime.
pub(super) type Locate<'a> = dyn Fn(usize, usize, usize) -> Result<Operand, VerifyError> + 'a;

pub(super) struct KernelBuilder<'a> {
    f: &'a Fusion<'a>,
    unit: &'a Unit,
    locate: &'a Locate<'a>,
    kernel: Kernel,
    regs: HashMap<usize, Reg>,
    loads: HashMap<(u32, usize, usize), Reg>,
    inputs: HashMap<(usize, Access, usize, usize), u32>,
}

type Result_<T> = Result<T, VerifyError>;

impl<'a> KernelBuilder<'a> {
    pub fn new(f: &'a Fusion, unit: &'a Unit, locate: &'a Locate<'a>) -> Self {
        KernelBuilder {
            f,
            unit,
            locate,
            kernel: Kernel::default(),
            regs: HashMap::new(),
            loads: HashMap::new(),
            inputs: HashMap::new(),
        }
    }

    pub fn finish(self) -> Kernel {
        self.kernel
    }

    /// The register that holds value `i` in this kernel.
    pub fn reg(&mut self, i: usize) -> Result_<Reg> {
        if let Some(reg) = self.regs.get(&i) {
            return Ok(*reg);
        }
        let reg = self.new_reg(i)?;
        self.regs.insert(i, reg);
        Ok(reg)
    }

    fn new_reg(&mut self, i: usize) -> Result_<Reg> {
        let value = self.f.value(i);
        let base = self.f.base[i].value;
        if self.f.on_edges(i) {
            return match value.op {
                Op::Src => self.load(self.f.arg(i, 0), Access::Src),
                Op::Dst => self.load(self.f.arg(i, 0), Access::Dst),
                Op::Reshape | Op::StopGradient => self.reg(self.f.arg(i, 0)),
                _ if self.f.in_memory(i) && !self.unit.roots.contains(&i) => self.load(i, Access::Edge),
                _ => self.compute(i),
            };
        }
        if self.f.kind[base] == Kind::Trivial {
            return self.trivial(i);
        }
        let local = self.f.kind[base] == Kind::Point && self.unit.roots.contains(&self.f.group[base]);
        match local && self.f.is_direct(i) {
            true if base == i => self.compute(i),
            true => self.reg(base),
            false if value.domain == Domain::Global => self.load(i, Access::Global),
            false => self.load(i, Access::Row),
        }
    }

    /// A constant, repeated; or a part of one.
    fn trivial(&mut self, i: usize) -> Result_<Reg> {
        let Base { value: base, start } = self.f.base[i];
        if base == i {
            return self.compute(i);
        }
        let (x, width) = (self.reg(base)?, self.f.value(i).width());
        match self.f.value(base).width() == width {
            true => Ok(x),
            false => Ok(self.push(RowOp::Slice { x, start }, width)),
        }
    }

    fn compute(&mut self, i: usize) -> Result_<Reg> {
        let value = self.f.value(i).clone();
        let args = &value.args;
        let op = match value.op {
            Op::Const(c) => RowOp::Const(c),
            Op::Unary(op) => RowOp::Unary(op, self.operand(args, 0)?),
            Op::Binary { op, left, right } => {
                RowOp::Binary { op, a: self.operand(args, 0)?, left, b: self.operand(args, 1)?, right }
            }
            Op::Expand(Broadcast::Full) => return self.operand(args, 0),
            Op::Expand(by) => RowOp::Expand { x: self.operand(args, 0)?, by },
            Op::SumInner { inner } => RowOp::SumInner { x: self.operand(args, 0)?, inner },
            Op::MaxInner { inner } => RowOp::MaxInner { x: self.operand(args, 0)?, inner },
            Op::SumOuter { inner } => RowOp::SumOuter { x: self.operand(args, 0)?, inner },
            Op::Slice { start } => return self.slice(args[0].index(), start, value.width()),
            Op::Concat => {
                let parts: Result_<Vec<Reg>> = args.iter().map(|a| self.reg(a.index())).collect();
                RowOp::Concat(parts?)
            }
            Op::Dropout { p, site } => {
                RowOp::Dropout { x: self.operand(args, 0)?, p, site, by: rows(value.domain) }
            }
            Op::Linear { batch } => self.product(args, batch, false)?,
            Op::LinearT { batch } => self.product(args, batch, true)?,
            other => return Err(VerifyError::new(format!("{other:?} is no instruction"))),
        };
        Ok(self.push(op, value.width()))
    }

    fn operand(&mut self, args: &[ValueId], i: usize) -> Result_<Reg> {
        self.reg(args[i].index())
    }

    /// Part of a register; of a row that is only loaded for this, the part alone is loaded.
    fn slice(&mut self, x: usize, start: usize, width: usize) -> Result_<Reg> {
        let reg = self.reg(x)?;
        let RowOp::Load { input, start: offset } = self.kernel.instrs[reg as usize].op else {
            return Ok(self.push(RowOp::Slice { x: reg, start }, width));
        };
        Ok(self.load_from(input, offset + start, width))
    }

    fn product(&mut self, args: &[ValueId], batch: usize, transpose: bool) -> Result_<RowOp> {
        let [batch, k, n] = self.f.matrix(args[1].index(), batch);
        let x = self.operand(args, 0)?;
        let w = self.input(args[1].index(), Access::Global)?;
        Ok(RowOp::MatVec { x, w, batch, k, n, transpose })
    }

    fn load(&mut self, i: usize, access: Access) -> Result_<Reg> {
        let start = if access == Access::Global { 0 } else { self.f.base[i].start };
        let width = self.f.value(i).width();
        let input = self.input(i, access)?;
        Ok(self.load_from(input, start, width))
    }

    fn load_from(&mut self, input: u32, start: usize, width: usize) -> Reg {
        if let Some(reg) = self.loads.get(&(input, start, width)) {
            return *reg;
        }
        let reg = self.push(RowOp::Load { input, start }, width);
        self.loads.insert((input, start, width), reg);
        reg
    }

    /// The input that holds value `i`: its whole base for rows, exactly its elements for Global values.
    fn input(&mut self, i: usize, access: Access) -> Result_<u32> {
        let base = self.f.base[i];
        let (start, width) = match access {
            Access::Global => (base.start, self.f.value(i).width()),
            _ => (0, self.f.value(base.value).width()),
        };
        let key = (base.value, access, start, width);
        if let Some(input) = self.inputs.get(&key) {
            return Ok(*input);
        }
        let operand = (self.locate)(base.value, start, width)?;
        self.kernel.inputs.push(KernelInput { operand, access, width });
        let input = self.kernel.inputs.len() as u32 - 1;
        self.inputs.insert(key, input);
        Ok(input)
    }

    fn push(&mut self, op: RowOp, width: usize) -> Reg {
        self.kernel.instrs.push(Instr { op, width });
        self.kernel.instrs.len() as Reg - 1
    }
}

/// Whose identifiers key what happens to the rows of a domain.
fn rows(domain: Domain) -> Access {
    match domain {
        Domain::Global => Access::Global,
        Domain::Nodes { .. } => Access::Row,
        Domain::Edges { .. } => Access::Edge,
    }
}
