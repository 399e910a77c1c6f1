//! Builds programs value by value and infers domain and shape, so that nothing ill-formed can be written by mistake.

use crate::program::*;
use crate::verify::{VerifyError, infer};

/// Appends values to a program. Every method refuses operands that do not fit with a [`VerifyError`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    pub program: Program,
    pub signature: Signature,
    name: String,
    span: Option<(u32, u32)>,
}

pub type Built = Result<ValueId, VerifyError>;

impl Builder {
    pub fn new(signature: Signature) -> Self {
        Builder { signature, ..Default::default() }
    }

    /// Continues a program that exists.
    pub fn extend(program: Program, signature: Signature) -> Self {
        Builder { program, signature, ..Default::default() }
    }

    /// Name and source range of the values built from here on.
    pub fn at(&mut self, name: impl Into<String>, span: Option<(u32, u32)>) -> &mut Self {
        self.name = name.into();
        self.span = span;
        self
    }

    pub fn value(&self, id: ValueId) -> &Value {
        &self.program.values[id.index()]
    }

    pub fn shape(&self, id: ValueId) -> &[usize] {
        &self.value(id).shape
    }

    pub fn domain(&self, id: ValueId) -> Domain {
        self.value(id).domain
    }

    /// A leaf, or an operation whose result the operands do not determine (`Expand`, `Reshape`, `Slice`, `Src`, …).
    pub fn push(&mut self, op: Op, args: &[ValueId], domain: Domain, shape: &[usize]) -> Built {
        let value = Value {
            op,
            args: args.to_vec(),
            domain,
            shape: shape.to_vec(),
            name: self.name.clone(),
            span: self.span,
        };
        crate::verify::check_value(&self.program, &value, &self.signature)?;
        self.program.values.push(value);
        Ok(ValueId(self.program.values.len() as u32 - 1))
    }

    /// An operation whose domain and shape follow from its operands.
    pub fn op(&mut self, op: Op, args: &[ValueId]) -> Built {
        let (domain, shape) = infer(&self.program, &op, args, &self.signature)?;
        self.push(op, args, domain, &shape)
    }

    pub fn constant(&mut self, x: f32) -> ValueId {
        self.push(Op::Const(x), &[], Domain::Global, &[]).expect("a constant is always well formed")
    }

    pub fn param(&mut self, param: u32) -> Built {
        let shape = self
            .signature
            .params
            .get(param as usize)
            .cloned()
            .ok_or_else(|| VerifyError::new(format!("there is no parameter {param}")))?;
        self.push(Op::Param { param }, &[], Domain::Global, &shape)
    }

    pub fn unary(&mut self, op: UnaryOp, x: ValueId) -> Built {
        self.op(Op::Unary(op), &[x])
    }

    /// Broadcasts a scalar, a prefix or a suffix of the other operand's shape (a suffix wins where both fit).
    pub fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> Built {
        let (left, right) = broadcast(self.shape(a), self.shape(b)).ok_or_else(|| {
            VerifyError::new(format!("shapes {:?} and {:?} do not fit", self.shape(a), self.shape(b)))
        })?;
        self.op(Op::Binary { op, left, right }, &[a, b])
    }

    pub fn add(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryOp::Add, a, b)
    }

    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryOp::Mul, a, b)
    }

    pub fn linear(&mut self, x: ValueId, w: ValueId, batch: usize) -> Built {
        self.op(Op::Linear { batch }, &[x, w])
    }

    /// Nodes → Edges, along the source.
    pub fn src(&mut self, x: ValueId, rel: u32, hop: u32) -> Built {
        let shape = self.shape(x).to_vec();
        self.push(Op::Src, &[x], Domain::Edges { rel, hop }, &shape)
    }

    /// Nodes → Edges, along the destination.
    pub fn dst(&mut self, x: ValueId, rel: u32, hop: u32) -> Built {
        let shape = self.shape(x).to_vec();
        self.push(Op::Dst, &[x], Domain::Edges { rel, hop }, &shape)
    }

    pub fn reduce(&mut self, op: ReduceOp, x: ValueId) -> Built {
        self.op(Op::Reduce(op), &[x])
    }

    pub fn prefix(&mut self, x: ValueId, hop: u32) -> Built {
        match self.domain(x) {
            Domain::Nodes { hop: h, .. } if h == hop => Ok(x),
            Domain::Nodes { ty, .. } => {
                let shape = self.shape(x).to_vec();
                self.push(Op::Prefix, &[x], Domain::Nodes { ty, hop }, &shape)
            }
            other => Err(VerifyError::new(format!("prefix of a value in {other:?}"))),
        }
    }

    pub fn reshape(&mut self, x: ValueId, shape: &[usize]) -> Built {
        if self.shape(x) == shape {
            return Ok(x);
        }
        let domain = self.domain(x);
        self.push(Op::Reshape, &[x], domain, shape)
    }

    pub fn output(&mut self, role: Role, value: ValueId) {
        self.program.outputs.push(Output { role, value });
    }
}

/// How two row shapes are brought together; none if they do not fit.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<(Broadcast, Broadcast)> {
    if a == b {
        return Some((Broadcast::Full, Broadcast::Full));
    }
    if a.len() >= b.len() {
        return Some((Broadcast::Full, narrow(b, a)?));
    }
    Some((narrow(a, b)?, Broadcast::Full))
}

fn narrow(small: &[usize], large: &[usize]) -> Option<Broadcast> {
    let product = |s: &[usize]| s.iter().product::<usize>();
    if product(small) == 1 {
        Some(Broadcast::Scalar)
    } else if large.ends_with(small) {
        Some(Broadcast::Inner { len: product(small) })
    } else if large.starts_with(small) {
        Some(Broadcast::Outer { inner: product(&large[small.len()..]) })
    } else {
        None
    }
}
