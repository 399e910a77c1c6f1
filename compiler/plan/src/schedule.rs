//! The schedule: what the passes leave of a program. Steps over buffers, ready to be bound to a batch.
//!
//! Pointwise chains and everything on edges have become row programs inside kernels; buffers share slots by
//! liveness. A backend interprets the steps in order and needs no other knowledge of the program.

use crate::program::{BinaryOp, Broadcast, Domain, ReduceOp, Role, UnaryOp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BufferId(pub u32);

impl BufferId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A matrix: rows(domain) × width, f32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Buffer {
    pub domain: Domain,
    pub width: usize,
    /// Buffers of one slot are never live together.
    pub slot: u32,
    pub name: String,
    /// Why an edge-sized float matrix had to reach memory; only on `Edges` buffers.
    pub materialised: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Schedule {
    pub buffers: Vec<Buffer>,
    pub slots: u32,
    pub steps: Vec<Step>,
    pub outputs: Vec<(Role, BufferId)>,
}

/// Where a step reads an operand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Operand {
    Buffer(BufferId),
    /// The whole parameter, Global.
    Param(u32),
    /// A leaf that the runtime holds as a matrix over all nodes of a type or all edges of a relation, read through the batch's ids:
    /// no gathered copy is made.
    Stored(Stored),
    /// `len` elements from element `start` of a Global row: an entry of a stacked parameter or of a Global buffer, read in place.
    /// Stands where a Global row is read: a weight, or a kernel input with [`Access::Global`].
    Part {
        of: Whole,
        start: usize,
        len: usize,
    },
}

/// What a [`Operand::Part`] is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Whole {
    Param(u32),
    Buffer(BufferId),
}

/// Matrices over all nodes of a type (or all edges of a relation), addressed by global id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stored {
    NodeFeature {
        ty: u32,
        feature: u32,
    },
    EdgeFeature {
        rel: u32,
        feature: u32,
    },
    /// The embedding table `param` of node type `ty`.
    Table {
        ty: u32,
        param: u32,
    },
    /// Input of a layer-wise inference stage.
    Hidden {
        ty: u32,
    },
    /// Incoming edges over all relations, as f32.
    Degree {
        ty: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub kind: StepKind,
    /// For people and for the table of times.
    pub name: String,
    /// Of a product: the only rows that matter. Elsewhere its left operand is zero, or nobody reads the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<Heads>,
}

/// The rows that edges of `rel` enter at `hop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    pub rel: u32,
    pub hop: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StepKind {
    /// out = rows of a stored matrix by the ids of the buffer's domain.
    Gather {
        from: Stored,
        out: BufferId,
    },
    /// out = 1 / max(1, number of edges of `rel` into each row).
    RecipCount {
        rel: u32,
        out: BufferId,
    },
    Label {
        label: u32,
        out: BufferId,
    },
    SeedWeight {
        predict: u32,
        out: BufferId,
    },
    LossScale {
        predict: u32,
        out: BufferId,
    },
    /// out[r, b, n] (+)= Σ_k x[r, b, k] w[b, k, n]; rows of `out`'s domain.
    Linear {
        x: Operand,
        w: Operand,
        batch: usize,
        k: usize,
        n: usize,
        out: BufferId,
        accumulate: bool,
    },
    /// out[r, b, k] (+)= Σ_n g[r, b, n] w[b, k, n].
    LinearT {
        g: Operand,
        w: Operand,
        batch: usize,
        k: usize,
        n: usize,
        out: BufferId,
        accumulate: bool,
    },
    /// out[b, k, n] (+)= Σ_r x[r, b, k] g[r, b, n]; `rows` is the domain summed over.
    Outer {
        x: Operand,
        g: Operand,
        batch: usize,
        k: usize,
        n: usize,
        rows: Domain,
        out: BufferId,
        accumulate: bool,
    },
    /// A row program over the rows of `rows`; one result per output.
    Map {
        rows: Domain,
        kernel: Kernel,
        outputs: Vec<MapOutput>,
    },
    /// A row program over the edges of `rel` at `hop`.
    Traverse {
        rel: u32,
        hop: u32,
        kernel: Kernel,
        outputs: Vec<EdgeOutput>,
    },
    /// out[e] = x[src e] · y[dst e], over edges in tiles.
    Dot {
        rel: u32,
        hop: u32,
        x: Operand,
        y: Operand,
        width: usize,
        out: BufferId,
    },
    /// out[v] = Σ g[e] x[src e] over the edges into v; or with `to_src` out[u] = Σ g[e] x[dst e] over the edges out of u.
    DotBack {
        rel: u32,
        hop: u32,
        g: Operand,
        x: Operand,
        width: usize,
        to_src: bool,
        out: BufferId,
    },
    CrossEntropy {
        logits: Operand,
        labels: Operand,
        classes: usize,
        smoothing: f32,
        out: BufferId,
    },
    CrossEntropyGrad {
        logits: Operand,
        labels: Operand,
        g: Operand,
        classes: usize,
        smoothing: f32,
        out: BufferId,
    },
    /// out = the registered function `call`, row by row.
    External {
        call: ExternalCall,
        out: BufferId,
    },
    /// out = gradients of the operands `of`, side by side: a row each, or summed over `call.rows` into one row.
    ExternalGrad {
        call: ExternalCall,
        g: Operand,
        of: Vec<u32>,
        out: BufferId,
    },
    /// out[0..n] = x[0..n], the rest of out = 0 (Nodes of a smaller hop into a larger one).
    Pad {
        x: Operand,
        out: BufferId,
        accumulate: bool,
    },
    /// Global×[m, n]: entry i is items[i], or zeros.
    Stack {
        items: Vec<Option<Operand>>,
        out: BufferId,
    },
}

/// A call of a function from outside: see [`crate::external`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalCall {
    pub name: String,
    /// Where its rows are.
    pub rows: Domain,
    pub arguments: Vec<ExternalArgument>,
    /// The shape of one row of the result.
    pub shape: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalArgument {
    pub operand: Operand,
    pub shape: Vec<usize>,
    /// One row for all rows.
    pub shared: bool,
}

impl ExternalArgument {
    /// Numbers of one row.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

impl ExternalCall {
    /// Numbers of one row of the result.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// The operands in their order.
    pub fn operands(&self) -> Vec<Operand> {
        self.arguments.iter().map(|argument| argument.operand).collect()
    }

    /// Numbers of one row of the gradients of these arguments, side by side.
    pub fn width_of(&self, of: &[u32]) -> usize {
        of.iter().filter_map(|at| self.arguments.get(*at as usize)).map(ExternalArgument::width).sum()
    }
}

/// How the row of an input is found from the row, or the edge, at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Access {
    /// The row at hand (also: a smaller hop's rows read from a larger hop's buffer: the first rows are the same nodes).
    Row,
    Src,
    Dst,
    Edge,
    Global,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelInput {
    pub operand: Operand,
    pub access: Access,
    pub width: usize,
}

/// A straight-line program on vectors, run once for each row or edge. Register i is the result of instruction i.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Kernel {
    pub inputs: Vec<KernelInput>,
    pub instrs: Vec<Instr>,
}

pub type Reg = u32;

/// An instruction and the width of its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instr {
    pub op: RowOp,
    pub width: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RowOp {
    /// The row of input `input`, from element `start`.
    Load {
        input: u32,
        start: usize,
    },
    Const(f32),
    Unary(UnaryOp, Reg),
    Binary {
        op: BinaryOp,
        a: Reg,
        left: Broadcast,
        b: Reg,
        right: Broadcast,
    },
    Expand {
        x: Reg,
        by: Broadcast,
    },
    SumInner {
        x: Reg,
        inner: usize,
    },
    MaxInner {
        x: Reg,
        inner: usize,
    },
    SumOuter {
        x: Reg,
        inner: usize,
    },
    Slice {
        x: Reg,
        start: usize,
    },
    Concat(Vec<Reg>),
    /// x[b, k] · w[b, k, n], w being the Global input `w`; with `transpose`: x[b, n] · w[b, k, n] → [b, k].
    MatVec {
        x: Reg,
        w: u32,
        batch: usize,
        k: usize,
        n: usize,
        transpose: bool,
    },
    /// See [`crate::program::Op::Dropout`]; `by` says whose id keys the mask.
    Dropout {
        x: Reg,
        p: f32,
        site: u32,
        by: Access,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MapOutput {
    pub reg: Reg,
    pub out: BufferId,
    pub combine: RowCombine,
    pub accumulate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowCombine {
    /// One row out for each row in.
    Each,
    /// Σ over rows into a Global buffer.
    SumRows,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeOutput {
    pub reg: Reg,
    pub out: BufferId,
    pub combine: EdgeCombine,
    pub accumulate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeCombine {
    /// Into Nodes{dst, hop}, over the edges that enter.
    ToDst(ReduceOp),
    /// Into Nodes{src, hop + 1}, summed over the edges that leave.
    ToSrc,
    /// Into a Global buffer, summed over all edges.
    ToGlobal,
    /// Into Global [batch, k, n]: Σ_e reg[b, k] · other[b, n].
    Outer { other: Reg, batch: usize, k: usize, n: usize },
    /// Into an Edges buffer.
    Each,
}
