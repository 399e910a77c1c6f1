//! The tensor program: single assignment over domains.
//!
//! Every value is rows of a domain times a fixed row shape, f32, row-major. Row counts are bound per batch;
//! everything else is static. Decided here: the operations and what they mean. Not decided here: which layers
//! exist, in which order things run, or on what.

use serde::{Deserialize, Serialize};

/// What the rows of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Domain {
    /// One row: weights, scalars, statistics.
    Global,
    /// Nodes of type `ty` (index into the graph's node types) that are `hop` hops from the seeds or nearer; the nodes of
    /// hop h are the first rows of hop h + 1. Hop 0 is the seeds.
    Nodes { ty: u32, hop: u32 },
    /// Sampled edges of relation `rel` (index into the graph's relations) from `Nodes { src, hop + 1 }` to
    /// `Nodes { dst, hop }`, grouped by destination.
    Edges { rel: u32, hop: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(pub u32);

impl ValueId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One assignment: `%id : domain × shape = op(args)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub op: Op,
    pub args: Vec<ValueId>,
    pub domain: Domain,
    /// The shape of one row; empty for a scalar.
    pub shape: Vec<usize>,
    /// Where it comes from, for people: `gnn.1 W[depends]`, `grad …`.
    pub name: String,
    /// Byte range in the source file, if the value was written by someone.
    pub span: Option<(u32, u32)>,
}

impl Value {
    /// Elements of one row.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Values in an order in which every argument precedes its users.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Program {
    pub values: Vec<Value>,
    /// What the program is run for; everything else may be removed.
    pub outputs: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub role: Role,
    pub value: ValueId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The scalar that is minimised: Global, shape [].
    Loss,
    /// Loss of one `predict` before its weight: Global, shape [].
    TaskLoss(usize),
    /// Raw scores of a `predict`: seeds × classes, or seeds × [] for regression.
    Scores(usize),
    /// Raw scores of the negatives of a `predict` of links, on the edges of a corrupted side.
    Negatives { predict: usize, source: bool },
    /// Rows of node type `ty` after the encoder or a layer: the next stage's input in layer-wise inference.
    Hidden { ty: u32 },
    /// Gradient of a dense parameter, shape of the parameter.
    Gradient(u32),
    /// Gradient of the gathered rows of an embedding table, in the domain that gathered them. A table that is gathered in
    /// several domains has several.
    RowGradient(u32),
}

/// How an operand's row is read to match the result's row; `i` runs over the result's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broadcast {
    /// x[i]
    Full,
    /// x[0]
    Scalar,
    /// x[i / inner]: the operand's shape is a prefix of the result's.
    Outer { inner: usize },
    /// x[i % len]: the operand's shape is a suffix of the result's.
    Inner { len: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum UnaryOp {
    Neg,
    Exp,
    Log,
    Sqrt,
    Rsqrt,
    Recip,
    Square,
    Abs,
    Sign,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Softplus,
    Relu,
    /// 1 where x > 0, else 0.
    Step,
    LeakyRelu(f32),
    /// 1 where x > 0, else the slope.
    LeakyReluGrad(f32),
    /// x if x > 0, else exp(x) - 1.
    Elu,
    /// 1 if x > 0, else exp(x).
    EluGrad,
    /// x Φ(x), Φ by the tanh form of Hendrycks and Gimpel 2016.
    Gelu,
    GeluGrad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    /// 1 where equal, else 0. Not differentiated.
    Eq,
    /// 1 where left > right, else 0. Not differentiated.
    Gt,
    /// 1 where left ≥ right, else 0. Not differentiated.
    Ge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReduceOp {
    Sum,
    Mean,
    Max,
    Min,
}

/// The operations. `x: D×[s]` reads: a value of domain D and row shape s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    // --- leaves -------------------------------------------------------------------------------------------------
    /// Stored feature `feature` (index) of the domain's node type or relation, one row per node or edge.
    Feature {
        feature: u32,
    },
    /// Rows of the embedding table `param` of the domain's node type.
    Embedding {
        param: u32,
    },
    /// Row of stage input for the domain's node type (layer-wise inference).
    Hidden,
    /// A dense parameter: Global × its shape.
    Param {
        param: u32,
    },
    /// Global × [].
    Const(f32),
    /// Incoming edges of each node in the whole graph, over all relations: Nodes × [].
    Degree,
    /// 1 / max(1, edges of relation `rel` in this block into the node): Nodes{dst(rel), hop} × [].
    RecipCount {
        rel: u32,
    },
    /// Label `label` (index) of the seeds: class index as f32 (-1 = unlabelled), or the target: Nodes{ty,0} × []. Of several
    /// classes a 0 or 1 for each, 0 where it is not known: Nodes{ty,0} × \[classes\].
    Label {
        label: u32,
    },
    /// Weight of each seed in the loss of `predict`: 0 for unlabelled, the class weight, … : Nodes{ty,0} × []. Of several
    /// classes, of each seed and class: Nodes{ty,0} × \[classes\].
    SeedWeight {
        predict: u32,
    },
    /// 1 / (sum of SeedWeight over the whole batch on all ranks), of several classes 1 / (labelled seeds): Global × [].
    LossScale {
        predict: u32,
    },

    // --- rows ---------------------------------------------------------------------------------------------------
    Unary(UnaryOp),
    /// Element by element; Global operands are read in every row.
    Binary {
        op: BinaryOp,
        left: Broadcast,
        right: Broadcast,
    },
    /// x → the value's shape.
    Expand(Broadcast),
    /// Same elements, other shape.
    Reshape,
    /// [outer, inner] → [outer], summed over the trailing `inner` elements.
    SumInner {
        inner: usize,
    },
    /// Maximum over the trailing `inner` elements.
    MaxInner {
        inner: usize,
    },
    /// [outer, inner] → [inner], summed over the leading elements.
    SumOuter {
        inner: usize,
    },
    /// Elements start .. start + width of the row.
    Slice {
        start: usize,
    },
    /// The operands' rows one after another (a Global operand is repeated).
    Concat,
    /// Keeps an element with probability 1 - p and scales it by 1 / (1 - p). The mask is a function of (seed, `site`,
    /// epoch, batch, global node or edge id, column): ranks, threads and blocks do not matter. Identity in inference.
    Dropout {
        p: f32,
        site: u32,
    },
    /// Value unchanged, gradient zero.
    StopGradient,

    // --- dense products -----------------------------------------------------------------------------------------
    /// x: D×[batch, k], W: Global×[batch, k, n] → D×[batch, n]: out[b, n] = Σ_k x[b, k] W[b, k, n]. `batch` is 1 for a plain matrix.
    Linear {
        batch: usize,
    },
    /// g: D×[batch, n], W: Global×[batch, k, n] → D×[batch, k]: out[b, k] = Σ_n g[b, n] W[b, k, n].
    LinearT {
        batch: usize,
    },
    /// x: D×[batch, k], g: D×[batch, n] → Global×[batch, k, n]: Σ_rows x[b, k] g[b, n].
    Outer {
        batch: usize,
    },
    /// D×[s] → Global×[s]: sum over rows.
    SumRows,
    /// Global×[m, …] → Global×[…]: entry `index` of the leading dimension.
    Index {
        index: usize,
    },
    /// Global operands of one shape → Global×[m, shape]: entry i is operand `items[i]`, zeros where none.
    Stack {
        items: Vec<Option<u32>>,
    },

    // --- movement -----------------------------------------------------------------------------------------------
    /// Nodes{src(rel), hop+1} → Edges{rel, hop}: each edge reads its source.
    Src,
    /// Nodes{dst(rel), hop} → Edges{rel, hop}: each edge reads its destination.
    Dst,
    /// Edges{rel, hop} → Nodes{dst(rel), hop}; nodes without edges get 0.
    Reduce(ReduceOp),
    /// Edges{rel, hop} → Nodes{src(rel), hop+1}: sum over the edges that leave the node.
    ReduceSrc,
    /// Nodes{ty, h} → Nodes{ty, h'} with h' < h: the first rows.
    Prefix,
    /// Nodes{ty, h'} → Nodes{ty, h} with h' < h: zeros below.
    Pad,

    // --- inner products over edges in tiles --------------------------------------------------------------------------
    /// x: Nodes{src(rel), hop+1}×[d], y: Nodes{dst(rel), hop}×[d] → Edges{rel, hop}×[]: x[src] · y[dst].
    Dot,
    /// g: Edges×[], x: Nodes{src(rel), hop+1}×[d] → Nodes{dst(rel), hop}×[d]: Σ g x[src] over the edges into the node.
    DotToDst,
    /// g: Edges×[], y: Nodes{dst(rel), hop}×[d] → Nodes{src(rel), hop+1}×[d]: Σ g y[dst] over the edges out of the node.
    DotToSrc,

    // --- losses -------------------------------------------------------------------------------------------------
    /// logits: D×[c], labels: D×[] (class index; negative: loss 0) → D×[]. −log softmax(logits)[label], with the target
    /// (1 − smoothing) one-hot + smoothing / c.
    CrossEntropy {
        smoothing: f32,
    },
    /// logits, labels, g: D×[] → D×[c]: gradient of the above times g.
    CrossEntropyGrad {
        smoothing: f32,
    },

    // --- functions from outside -----------------------------------------------------------------------------------
    /// operands: D×[…] row by row, Global ones shared → D×[s], s stated: the registered function `name`. See [`crate::external`].
    External {
        name: String,
    },
    /// The operands of an [`Op::External`], then g: D×[s] → the gradients of the operands `of`, one row after another: D×[Σ widths]
    /// where they are rows, Global×[Σ widths], summed over the rows, where they are shared.
    ExternalGrad {
        name: String,
        of: Vec<u32>,
    },
}

/// What the operations need to know of the world: the shape of parameters and the ends of relations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Signature {
    /// Source and destination node type of every relation.
    pub relations: Vec<(u32, u32)>,
    /// Shape of every parameter (an embedding table: [rows of the type, width]).
    pub params: Vec<Vec<usize>>,
}
