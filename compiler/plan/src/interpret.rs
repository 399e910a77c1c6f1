//! An interpreter of programs: f64, one loop per operation, no cleverness. The oracle that passes and backends are
//! checked against.
//!
//! Decided here: nothing; the operations mean what `program` says. Not for production: it is slow, and stores everything.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::external::{Argument, Call, RowFunction};
use crate::program::*;
use crate::verify::{VerifyError, matrix, verify};

/// Rows × width, row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    pub rows: usize,
    pub width: usize,
    pub data: Vec<f64>,
}

impl Matrix {
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self { rows, width, data: vec![0.0; rows * width] }
    }

    /// One row per entry of `rows`, which all have one length.
    pub fn from_rows(rows: &[Vec<f64>]) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        assert!(rows.iter().all(|r| r.len() == width), "rows of one length");
        Self { rows: rows.len(), width, data: rows.concat() }
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.width..(row + 1) * self.width]
    }

    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.data[row * self.width + column]
    }

    fn fill(rows: usize, width: usize, mut value: impl FnMut(usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(rows * width);
        for row in 0..rows {
            data.extend((0..width).map(|column| value(row, column)));
        }
        Self { rows, width, data }
    }
}

/// A registered function.
#[derive(Clone)]
pub struct External(pub Arc<dyn RowFunction>);

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("External")
    }
}

/// An edge by the rows of its ends within the block, and its number in the relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub src: usize,
    pub dst: usize,
    pub id: usize,
}

/// A batch: the graph around some seeds, and everything that leaves read. Whatever the program does not use may be absent.
#[derive(Debug, Clone)]
pub struct Bindings {
    /// Per node type, the global ids of its nodes, nearest to the seeds first.
    pub nodes: Vec<Vec<usize>>,
    /// Per node type and hop, how many of these are that near.
    pub counts: Vec<Vec<usize>>,
    /// Edges of (relation, hop), grouped by destination.
    pub edges: BTreeMap<(u32, u32), Vec<Edge>>,
    /// By parameter.
    pub params: Vec<Vec<f64>>,
    /// By (node type, feature): a row per global id.
    pub node_features: BTreeMap<(u32, u32), Matrix>,
    /// By (relation, feature): a row per edge number.
    pub edge_features: BTreeMap<(u32, u32), Matrix>,
    /// By node type: a row per global id.
    pub hidden: BTreeMap<u32, Matrix>,
    /// By node type and global id: edges into the node in the whole graph.
    pub degrees: Vec<Vec<f64>>,
    /// By (node type, label): a number per global id.
    pub labels: BTreeMap<(u32, u32), Vec<f64>>,
    /// By predict: a number per seed.
    pub seed_weights: BTreeMap<u32, Vec<f64>>,
    pub loss_scale: BTreeMap<u32, f64>,
    /// By value of the program: what it is taken to be, so that differences do not follow what stops a gradient.
    pub held: BTreeMap<usize, Matrix>,
    /// Functions from outside by name; each works in f32.
    pub external: BTreeMap<String, External>,
    /// Whether dropout at (site, global id, column) keeps the element.
    pub keep: fn(u32, usize, usize) -> bool,
}

impl Bindings {
    /// The whole graph at every hop: `counts` nodes per type, (source, destination) pairs per relation with the
    /// destination type in `ends`.
    pub fn whole(
        counts: &[usize],
        relations: &[Vec<(usize, usize)>],
        ends: &[(u32, u32)],
        hops: u32,
    ) -> Self {
        let mut degrees: Vec<Vec<f64>> = counts.iter().map(|n| vec![0.0; *n]).collect();
        let mut edges = BTreeMap::new();
        for (rel, pairs) in relations.iter().enumerate() {
            let mut list: Vec<Edge> =
                pairs.iter().enumerate().map(|(id, &(src, dst))| Edge { src, dst, id }).collect();
            list.sort_by_key(|e| e.dst);
            list.iter().for_each(|e| degrees[ends[rel].1 as usize][e.dst] += 1.0);
            (0..hops).for_each(|hop| {
                edges.insert((rel as u32, hop), list.clone());
            });
        }
        Self {
            nodes: counts.iter().map(|n| (0..*n).collect()).collect(),
            counts: counts.iter().map(|n| vec![*n; hops as usize + 1]).collect(),
            edges,
            params: Vec::new(),
            node_features: BTreeMap::new(),
            edge_features: BTreeMap::new(),
            hidden: BTreeMap::new(),
            degrees,
            labels: BTreeMap::new(),
            seed_weights: BTreeMap::new(),
            loss_scale: BTreeMap::new(),
            held: BTreeMap::new(),
            external: BTreeMap::new(),
            keep: |_, _, _| true,
        }
    }

    fn rows(&self, domain: Domain) -> Result<usize, VerifyError> {
        match domain {
            Domain::Global => Ok(1),
            Domain::Nodes { ty, hop } => {
                let count = self.counts.get(ty as usize).and_then(|c| c.get(hop as usize));
                count.copied().ok_or_else(|| unbound(format!("the nodes {domain}")))
            }
            Domain::Edges { rel, hop } => self.block(rel, hop).map(<[Edge]>::len),
        }
    }

    fn block(&self, rel: u32, hop: u32) -> Result<&[Edge], VerifyError> {
        let block = self.edges.get(&(rel, hop)).map(Vec::as_slice);
        block.ok_or_else(|| unbound(format!("the edges {}", Domain::Edges { rel, hop })))
    }

    /// Global ids of the rows of a domain: of nodes, of edges; 0 for the one Global row.
    fn ids(&self, domain: Domain) -> Result<Vec<usize>, VerifyError> {
        match domain {
            Domain::Global => Ok(vec![0]),
            Domain::Nodes { ty, .. } => {
                let rows = self.rows(domain)?;
                let ids = self.nodes.get(ty as usize).and_then(|n| n.get(..rows));
                ids.map(<[usize]>::to_vec).ok_or_else(|| unbound("the nodes' ids"))
            }
            Domain::Edges { rel, hop } => Ok(self.block(rel, hop)?.iter().map(|e| e.id).collect()),
        }
    }
}

fn unbound(what: impl std::fmt::Display) -> VerifyError {
    VerifyError::new(format!("{what} are not bound"))
}

/// The value of every assignment of `program`, by index. Fails on ill-formed programs and on leaves that `bindings` lacks.
pub fn interpret(
    program: &Program,
    signature: &Signature,
    bindings: &Bindings,
) -> Result<Vec<Matrix>, VerifyError> {
    verify(program, signature)?;
    let mut done: Vec<Matrix> = Vec::new();
    for (i, value) in program.values.iter().enumerate() {
        if let Some(held) = bindings.held.get(&i) {
            done.push(held.clone());
            continue;
        }
        let step = Step { program, done: &done, value, bindings, rows: bindings.rows(value.domain)? };
        let result =
            step.run().map_err(|e| VerifyError::new(format!("%{i} {:?} ({}): {e}", value.op, value.name)))?;
        done.push(result);
    }
    Ok(done)
}

struct Step<'a> {
    program: &'a Program,
    done: &'a [Matrix],
    value: &'a Value,
    bindings: &'a Bindings,
    rows: usize,
}

impl Step<'_> {
    fn run(&self) -> Result<Matrix, VerifyError> {
        match &self.value.op {
            Op::Feature { .. }
            | Op::Embedding { .. }
            | Op::Hidden
            | Op::Param { .. }
            | Op::Const(_)
            | Op::Degree
            | Op::RecipCount { .. }
            | Op::Label { .. }
            | Op::SeedWeight { .. }
            | Op::LossScale { .. } => self.leaf(),
            Op::Linear { .. } | Op::LinearT { .. } | Op::Outer { .. } => self.dense(),
            Op::Dot | Op::DotToDst | Op::DotToSrc => self.tiled(),
            Op::Src | Op::Dst | Op::Reduce(_) | Op::ReduceSrc | Op::Prefix | Op::Pad => self.movement(),
            Op::CrossEntropy { smoothing } => Ok(self.fill(|r, _| self.cross_entropy(r, *smoothing as f64))),
            Op::CrossEntropyGrad { smoothing } => {
                Ok(self.fill(|r, c| self.cross_entropy_grad(r, c, *smoothing as f64)))
            }
            Op::External { name } => self.external(name),
            Op::ExternalGrad { .. } => {
                Err(VerifyError::new("gradients of functions from outside are not interpreted"))
            }
            Op::SumRows => {
                let x = self.arg(0);
                Ok(self.fill(|_, c| (0..x.rows).map(|r| x.at(r, c)).sum()))
            }
            _ => self.rowwise(),
        }
    }

    /// Through f32: differences of it are those of f32.
    fn external(&self, name: &str) -> Result<Matrix, VerifyError> {
        let function = self.bindings.external.get(name).ok_or_else(|| unbound(format!("`{name}`")))?;
        let args = &self.value.args;
        let narrow = |i: usize| self.arg(i).data.iter().map(|x| *x as f32).collect::<Vec<f32>>();
        let data: Vec<Vec<f32>> = (0..args.len()).map(narrow).collect();
        let values = args.iter().map(|a| &self.program.values[a.index()]);
        let arguments: Vec<Argument> = values
            .zip(&data)
            .map(|(v, data)| Argument { data, shape: &v.shape, shared: v.domain == Domain::Global })
            .collect();
        let call = Call { rows: self.rows, arguments: &arguments, shape: &self.value.shape };
        let mut out = vec![0.0; self.rows * self.value.width()];
        function.0.forward(&call, &mut out).map_err(VerifyError::new)?;
        let width = self.value.width();
        Ok(self.fill(|r, c| f64::from(out[r * width + c])))
    }

    fn fill(&self, value: impl FnMut(usize, usize) -> f64) -> Matrix {
        Matrix::fill(self.rows, self.value.width(), value)
    }

    fn arg(&self, i: usize) -> &Matrix {
        &self.done[self.value.args[i].index()]
    }

    /// Element of operand `i` in row `row`; a Global operand is read in every row.
    fn read(&self, i: usize, row: usize, column: usize) -> f64 {
        let global = self.program.values[self.value.args[i].index()].domain == Domain::Global;
        self.arg(i).at(if global { 0 } else { row }, column)
    }

    // --------------------------------------------------------------------------------------------------------- leaves

    fn leaf(&self) -> Result<Matrix, VerifyError> {
        let b = self.bindings;
        match (&self.value.op, self.value.domain) {
            (Op::Const(x), _) => Ok(self.fill(|_, _| *x as f64)),
            (Op::LossScale { predict }, _) => {
                let scale = *b.loss_scale.get(predict).ok_or_else(|| unbound("the loss scales"))?;
                Ok(self.fill(|_, _| scale))
            }
            (Op::Param { param }, _) => {
                let data = b.params.get(*param as usize).ok_or_else(|| unbound("the parameters"))?;
                Ok(Matrix { rows: 1, width: self.value.width(), data: data.clone() })
            }
            (Op::Embedding { param }, domain) => {
                let data = b.params.get(*param as usize).ok_or_else(|| unbound("the tables"))?;
                let (ids, width) = (b.ids(domain)?, self.value.width());
                Ok(self.fill(|r, c| data[ids[r] * width + c]))
            }
            (Op::Feature { feature }, Domain::Nodes { ty, .. }) => {
                self.gather(b.node_features.get(&(ty, *feature)))
            }
            (Op::Feature { feature }, Domain::Edges { rel, .. }) => {
                self.gather(b.edge_features.get(&(rel, *feature)))
            }
            (Op::Hidden, Domain::Nodes { ty, .. }) => self.gather(b.hidden.get(&ty)),
            (Op::Degree, Domain::Nodes { ty, .. }) => self.numbers(b.degrees.get(ty as usize)),
            (Op::Label { label }, Domain::Nodes { ty, .. }) => self.numbers(b.labels.get(&(ty, *label))),
            (Op::SeedWeight { predict }, _) => {
                let weights = b.seed_weights.get(predict).ok_or_else(|| unbound("the seed weights"))?;
                let width = self.value.width();
                Ok(self.fill(|r, c| weights[r * width + c]))
            }
            (Op::RecipCount { rel }, Domain::Nodes { hop, .. }) => {
                let block = b.block(*rel, hop)?;
                let count = |r| block.iter().filter(|e| e.dst == r).count().max(1);
                Ok(self.fill(|r, _| 1.0 / count(r) as f64))
            }
            (op, domain) => Err(VerifyError::new(format!("{op:?} is not in {domain}"))),
        }
    }

    fn gather(&self, stored: Option<&Matrix>) -> Result<Matrix, VerifyError> {
        let stored = stored.ok_or_else(|| unbound("the stored rows"))?;
        let ids = self.bindings.ids(self.value.domain)?;
        Ok(self.fill(|r, c| stored.at(ids[r], c)))
    }

    fn numbers(&self, stored: Option<&Vec<f64>>) -> Result<Matrix, VerifyError> {
        let stored = stored.ok_or_else(|| unbound("the stored numbers"))?;
        let ids = self.bindings.ids(self.value.domain)?;
        let width = self.value.width();
        Ok(self.fill(|r, c| stored[ids[r] * width + c]))
    }

    // ----------------------------------------------------------------------------------------------------------- rows

    fn rowwise(&self) -> Result<Matrix, VerifyError> {
        Ok(match &self.value.op {
            Op::Unary(op) => self.fill(|r, c| unary(*op, self.read(0, r, c))),
            Op::Binary { op, left, right } => self.fill(|r, c| {
                binary(*op, self.read(0, r, source(*left, c)), self.read(1, r, source(*right, c)))
            }),
            Op::Expand(by) => self.fill(|r, c| self.read(0, r, source(*by, c))),
            Op::Reshape | Op::StopGradient => self.fill(|r, c| self.read(0, r, c)),
            Op::SumInner { inner } => {
                self.fill(|r, c| (0..*inner).map(|i| self.read(0, r, c * inner + i)).sum())
            }
            Op::MaxInner { inner } => self.fill(|r, c| {
                (0..*inner).map(|i| self.read(0, r, c * inner + i)).fold(f64::NEG_INFINITY, f64::max)
            }),
            Op::SumOuter { inner } => {
                let outer = self.arg(0).width / inner;
                self.fill(|r, c| (0..outer).map(|o| self.read(0, r, o * inner + c)).sum())
            }
            Op::Slice { start } => self.fill(|r, c| self.read(0, r, start + c)),
            Op::Concat => {
                let columns: Vec<(usize, usize)> = (0..self.value.args.len())
                    .flat_map(|i| (0..self.arg(i).width).map(move |c| (i, c)))
                    .collect();
                self.fill(|r, c| self.read(columns[c].0, r, columns[c].1))
            }
            Op::Dropout { p, site } => {
                let (ids, scale) = (self.bindings.ids(self.value.domain)?, 1.0 / (1.0 - *p as f64));
                let kept = |r: usize, c| (self.bindings.keep)(*site, ids[r], c);
                self.fill(|r, c| if kept(r, c) { self.read(0, r, c) * scale } else { 0.0 })
            }
            Op::Index { index } => {
                let width = self.value.width();
                self.fill(|_, c| self.read(0, 0, index * width + c))
            }
            Op::Stack { items } => {
                let width = self.value.width() / items.len().max(1);
                self.fill(|_, c| items[c / width].map_or(0.0, |i| self.read(i as usize, 0, c % width)))
            }
            other => return Err(VerifyError::new(format!("{other:?} is not interpreted"))),
        })
    }

    // ---------------------------------------------------------------------------------------------------------- dense

    fn dense(&self) -> Result<Matrix, VerifyError> {
        let weight = |batch| matrix(&self.program.values[self.value.args[1].index()], batch);
        Ok(match self.value.op {
            Op::Linear { batch } => {
                let (_, k, n) = weight(batch)?;
                self.fill(|r, c| {
                    let (b, j) = (c / n, c % n);
                    (0..k).map(|i| self.read(0, r, b * k + i) * self.read(1, 0, (b * k + i) * n + j)).sum()
                })
            }
            Op::LinearT { batch } => {
                let (_, k, n) = weight(batch)?;
                self.fill(|r, c| {
                    let (b, i) = (c / k, c % k);
                    (0..n).map(|j| self.read(0, r, b * n + j) * self.read(1, 0, (b * k + i) * n + j)).sum()
                })
            }
            Op::Outer { batch } => {
                let (x, g) = (self.arg(0), self.arg(1));
                let (k, n) = (x.width / batch, g.width / batch);
                self.fill(|_, c| {
                    let (b, i, j) = (c / (k * n), c / n % k, c % n);
                    (0..x.rows).map(|r| x.at(r, b * k + i) * g.at(r, b * n + j)).sum()
                })
            }
            _ => return Err(VerifyError::new("not a dense product")),
        })
    }

    // ------------------------------------------------------------------------------------------------------- movement

    fn movement(&self) -> Result<Matrix, VerifyError> {
        let x = self.arg(0);
        let of = |domain| match domain {
            Domain::Edges { rel, hop } => self.bindings.block(rel, hop),
            other => Err(VerifyError::new(format!("{other} is not on edges"))),
        };
        let operand = self.program.values[self.value.args[0].index()].domain;
        Ok(match &self.value.op {
            Op::Src => {
                let block = of(self.value.domain)?;
                self.fill(|r, c| x.at(block[r].src, c))
            }
            Op::Dst => {
                let block = of(self.value.domain)?;
                self.fill(|r, c| x.at(block[r].dst, c))
            }
            Op::Reduce(op) => {
                let block = of(operand)?;
                self.fill(|r, c| {
                    reduce(*op, block.iter().zip(0..).filter(|(e, _)| e.dst == r).map(|(_, i)| x.at(i, c)))
                })
            }
            Op::ReduceSrc => {
                let block = of(operand)?;
                self.fill(|r, c| {
                    block.iter().zip(0..).filter(|(e, _)| e.src == r).map(|(_, i)| x.at(i, c)).sum()
                })
            }
            Op::Prefix => self.fill(|r, c| x.at(r, c)),
            Op::Pad => self.fill(|r, c| if r < x.rows { x.at(r, c) } else { 0.0 }),
            other => return Err(VerifyError::new(format!("{other:?} moves nothing"))),
        })
    }

    fn tiled(&self) -> Result<Matrix, VerifyError> {
        let edges = match self.value.op {
            Op::Dot => self.value.domain,
            _ => self.program.values[self.value.args[0].index()].domain,
        };
        let Domain::Edges { rel, hop } = edges else { return Err(VerifyError::new("products of no edges")) };
        let block = self.bindings.block(rel, hop)?;
        let (a, b) = (self.arg(0), self.arg(1));
        let along = |of: &dyn Fn(&Edge) -> (usize, usize), r: usize, c: usize| -> f64 {
            let own = block.iter().enumerate().filter(|(_, e)| of(e).0 == r);
            own.map(|(i, e)| a.at(i, 0) * b.at(of(e).1, c)).sum()
        };
        Ok(match self.value.op {
            Op::Dot => {
                self.fill(|r, _| (0..a.width).map(|c| a.at(block[r].src, c) * b.at(block[r].dst, c)).sum())
            }
            Op::DotToDst => self.fill(|r, c| along(&|e| (e.dst, e.src), r, c)),
            _ => self.fill(|r, c| along(&|e| (e.src, e.dst), r, c)),
        })
    }

    // --------------------------------------------------------------------------------------------------------- losses

    fn softmax(&self, row: usize) -> Vec<f64> {
        let x = self.arg(0).row(row);
        let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = x.iter().map(|v| (v - most).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.iter().map(|p| p / total).collect()
    }

    /// The wanted probability of class `class`; none without a label.
    fn target(&self, row: usize, class: usize, smoothing: f64) -> Option<f64> {
        let label = self.read(1, row, 0);
        let hit = f64::from(u8::from(label == class as f64));
        (label >= 0.0).then(|| (1.0 - smoothing) * hit + smoothing / self.arg(0).width as f64)
    }

    fn cross_entropy(&self, row: usize, smoothing: f64) -> f64 {
        let p = self.softmax(row);
        let terms =
            p.iter().enumerate().map(|(c, p)| self.target(row, c, smoothing).map_or(0.0, |t| -t * p.ln()));
        terms.sum()
    }

    fn cross_entropy_grad(&self, row: usize, class: usize, smoothing: f64) -> f64 {
        let target = self.target(row, class, smoothing);
        target.map_or(0.0, |t| (self.softmax(row)[class] - t) * self.read(2, row, 0))
    }
}

/// The operand's element that element `i` of the result reads.
fn source(by: Broadcast, i: usize) -> usize {
    match by {
        Broadcast::Full => i,
        Broadcast::Scalar => 0,
        Broadcast::Outer { inner } => i / inner,
        Broadcast::Inner { len } => i % len,
    }
}

fn reduce(op: ReduceOp, values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    if values.is_empty() {
        return 0.0;
    }
    match op {
        ReduceOp::Sum => values.iter().sum(),
        ReduceOp::Mean => values.iter().sum::<f64>() / values.len() as f64,
        ReduceOp::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ReduceOp::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu_inner(x: f64) -> f64 {
    (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))
}

/// d/dx of x (1 + tanh u) / 2 with u = sqrt(2/π) (x + 0.044715 x³).
fn gelu_grad(x: f64) -> f64 {
    let t = gelu_inner(x).tanh();
    let slope = (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 3.0 * 0.044715 * x * x);
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope
}

pub fn unary(op: UnaryOp, x: f64) -> f64 {
    let above = x > 0.0;
    match op {
        UnaryOp::Neg => -x,
        UnaryOp::Exp => x.exp(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Rsqrt => 1.0 / x.sqrt(),
        UnaryOp::Recip => 1.0 / x,
        UnaryOp::Square => x * x,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Sign => f64::from(i8::from(above) - i8::from(x < 0.0)),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Sigmoid => sigmoid(x),
        UnaryOp::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        UnaryOp::Relu => x.max(0.0),
        UnaryOp::Step => f64::from(u8::from(above)),
        UnaryOp::LeakyRelu(slope) => {
            if above {
                x
            } else {
                x * slope as f64
            }
        }
        UnaryOp::LeakyReluGrad(slope) => {
            if above {
                1.0
            } else {
                slope as f64
            }
        }
        UnaryOp::Elu => {
            if above {
                x
            } else {
                x.exp_m1()
            }
        }
        UnaryOp::EluGrad => {
            if above {
                1.0
            } else {
                x.exp()
            }
        }
        UnaryOp::Gelu => 0.5 * x * (1.0 + gelu_inner(x).tanh()),
        UnaryOp::GeluGrad => gelu_grad(x),
    }
}

pub fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    let truth = |b: bool| f64::from(u8::from(b));
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Max => a.max(b),
        BinaryOp::Min => a.min(b),
        BinaryOp::Eq => truth(a == b),
        BinaryOp::Gt => truth(a > b),
        BinaryOp::Ge => truth(a >= b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;

    /// Two types; relation 0 goes from type 0 to type 1: 0→0, 1→0, 1→2; node 1 of type 1 has no edges.
    fn small() -> (Builder, Bindings) {
        let ends = [(0, 1)];
        let signature = Signature { relations: ends.to_vec(), params: vec![vec![2, 2], vec![2, 3, 2]] };
        let mut bindings = Bindings::whole(&[2, 3], &[vec![(1, 2), (0, 0), (1, 0)]], &ends, 1);
        bindings.hidden.insert(0, Matrix::from_rows(&[vec![1.0, 2.0], vec![3.0, 5.0]]));
        bindings.params = vec![vec![1.0, 2.0, 3.0, 4.0], (0..12).map(f64::from).collect()];
        (Builder::new(signature), bindings)
    }

    fn last(b: &Builder, bindings: &Bindings) -> Vec<f64> {
        interpret(&b.program, &b.signature, bindings).unwrap().pop().unwrap().data
    }

    fn hidden(b: &mut Builder) -> ValueId {
        b.push(Op::Hidden, &[], Domain::Nodes { ty: 0, hop: 1 }, &[2]).unwrap()
    }

    #[test]
    fn messages_are_reduced_at_their_destination() {
        for (op, expected) in [
            (ReduceOp::Sum, [4.0, 7.0, 0.0, 0.0, 3.0, 5.0]),
            (ReduceOp::Mean, [2.0, 3.5, 0.0, 0.0, 3.0, 5.0]),
            (ReduceOp::Max, [3.0, 5.0, 0.0, 0.0, 3.0, 5.0]),
            (ReduceOp::Min, [1.0, 2.0, 0.0, 0.0, 3.0, 5.0]),
        ] {
            let (mut b, bindings) = small();
            let h = hidden(&mut b);
            let m = b.src(h, 0, 0).unwrap();
            b.reduce(op, m).unwrap();
            assert_eq!(last(&b, &bindings), expected, "{op:?}");
        }
    }

    #[test]
    fn sum_at_the_source_is_the_transpose_of_reading_it() {
        let (mut b, bindings) = small();
        let h = hidden(&mut b);
        let m = b.src(h, 0, 0).unwrap();
        b.push(Op::ReduceSrc, &[m], Domain::Nodes { ty: 0, hop: 1 }, &[2]).unwrap();
        assert_eq!(last(&b, &bindings), [1.0, 2.0, 6.0, 10.0]);
    }

    #[test]
    fn products_with_a_batch_of_matrices() {
        let (mut b, bindings) = small();
        let h = hidden(&mut b);
        let w = b.param(0).unwrap();
        let plain = b.linear(h, w, 1).unwrap();
        assert_eq!(last(&b, &bindings), [7.0, 10.0, 18.0, 26.0]);
        let wide = b.op(Op::Concat, &[h, plain, h]).unwrap();
        let v = b.param(1).unwrap();
        let y = b.linear(wide, v, 2).unwrap();
        // Row 0 is [1 2 7 | 10 1 2]; the blocks are [[0 1] [2 3] [4 5]] and [[6 7] [8 9] [10 11]].
        assert_eq!(&last(&b, &bindings)[..4], [32.0, 42.0, 88.0, 101.0]);
        b.op(Op::LinearT { batch: 2 }, &[y, v]).unwrap();
        assert_eq!(last(&b, &bindings)[..3], [42.0, 32.0 * 2.0 + 42.0 * 3.0, 32.0 * 4.0 + 42.0 * 5.0]);
        b.op(Op::Outer { batch: 1 }, &[h, plain]).unwrap();
        assert_eq!(last(&b, &bindings), [7.0 + 54.0, 10.0 + 78.0, 14.0 + 90.0, 20.0 + 130.0]);
    }

    #[test]
    fn counts_are_of_the_block() {
        let (mut b, bindings) = small();
        b.push(Op::RecipCount { rel: 0 }, &[], Domain::Nodes { ty: 1, hop: 0 }, &[]).unwrap();
        assert_eq!(last(&b, &bindings), [0.5, 1.0, 1.0]);
    }

    #[test]
    fn gradients_of_functions_are_their_slopes() {
        use UnaryOp::*;
        for (f, g) in [(Elu, EluGrad), (Gelu, GeluGrad), (LeakyRelu(0.25), LeakyReluGrad(0.25)), (Relu, Step)]
        {
            for x in [-2.0, -0.3, 0.4, 1.7] {
                let slope = (unary(f, x + 1e-6) - unary(f, x - 1e-6)) / 2e-6;
                assert!((slope - unary(g, x)).abs() < 1e-7, "{f:?} at {x}");
            }
        }
    }

    #[test]
    fn unbound_leaves_are_errors() {
        let (mut b, mut bindings) = small();
        hidden(&mut b);
        bindings.hidden.clear();
        assert!(interpret(&b.program, &b.signature, &bindings).is_err());
    }
}
