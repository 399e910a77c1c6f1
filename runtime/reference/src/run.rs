//! The interpreter: one arm per operation.

use crate::dense::{Given, Graph, Matrix, values};
use dfdx::prelude::HasShape;
use dfdx::tensor_ops::*;
use gsl_plan::external::RowFunction;
use gsl_plan::program::{BinaryOp, Broadcast, Domain, Op, Program, ReduceOp, Role, UnaryOp, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a program reads from the world, for one small block.
pub struct Inputs<'a> {
    /// Rows of a domain.
    pub rows: &'a dyn Fn(Domain) -> usize,
    /// Local source and destination row of every edge of (relation, hop).
    pub ends: &'a dyn Fn(u32, u32) -> (Vec<u32>, Vec<u32>),
    /// Rows × width of a leaf: everything but `Const`. For `Embedding`, the gathered rows.
    pub leaf: &'a dyn Fn(&Value) -> Option<Vec<f32>>,
    /// A function from outside by its name.
    pub external: &'a dyn Fn(&str) -> Option<Arc<dyn RowFunction>>,
}

/// Why a program cannot be run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError(pub String);

impl std::fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReferenceError {}

/// Values of the outputs, and gradients of the loss.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// In the order of [`Program::outputs`].
    pub outputs: Vec<Vec<f32>>,
    /// By parameter, summed over its uses.
    pub params: BTreeMap<u32, Vec<f32>>,
    /// By value number of the `Embedding` leaf: rows × width.
    pub rows: BTreeMap<usize, Vec<f32>>,
}

/// Runs `program`, a forward program, and differentiates its [`Role::Loss`] output if it has one. Dropout is the identity.
pub fn run(program: &Program, inputs: &Inputs) -> Result<Outcome, ReferenceError> {
    let domains = program.values.iter().map(|v| v.domain).collect();
    let shapes = program.values.iter().map(|v| v.shape.clone()).collect();
    let mut machine = Machine { graph: Graph::new(), inputs, domains, shapes, values: Vec::new() };
    for (i, value) in program.values.iter().enumerate() {
        let result = machine
            .eval(value)
            .map_err(|e| ReferenceError(format!("%{i} {:?} ({}): {}", value.op, value.name, e.0)))?;
        let expected = (machine.rows(value), value.width());
        if *result.shape() != expected {
            return Err(ReferenceError(format!(
                "%{i} {:?}: {:?} is not {expected:?}",
                value.op,
                result.shape()
            )));
        }
        machine.values.push(result);
    }
    machine.finish(program)
}

struct Machine<'a> {
    graph: Graph,
    inputs: &'a Inputs<'a>,
    domains: Vec<Domain>,
    shapes: Vec<Vec<usize>>,
    values: Vec<Matrix>,
}

type Result1 = Result<Matrix, ReferenceError>;

impl Machine<'_> {
    fn finish(mut self, program: &Program) -> Result<Outcome, ReferenceError> {
        let mut outcome = Outcome {
            outputs: program.outputs.iter().map(|o| values(&self.values[o.value.index()])).collect(),
            ..Outcome::default()
        };
        let Some(loss) = program.outputs.iter().find(|o| o.role == Role::Loss) else { return Ok(outcome) };
        let loss = self.values[loss.value.index()].clone();
        let gradients = self.graph.backward(&loss);
        for (i, value) in program.values.iter().enumerate() {
            match value.op {
                Op::Param { param } => {
                    let gradient = values(&gradients.get(&self.values[i]));
                    match outcome.params.get_mut(&param) {
                        Some(sum) => sum.iter_mut().zip(&gradient).for_each(|(s, g)| *s += g),
                        None => drop(outcome.params.insert(param, gradient)),
                    }
                }
                Op::Embedding { .. } => {
                    outcome.rows.insert(i, values(&gradients.get(&self.values[i])));
                }
                _ => {}
            }
        }
        Ok(outcome)
    }

    fn rows_of(&self, domain: Domain) -> usize {
        if domain == Domain::Global { 1 } else { (self.inputs.rows)(domain) }
    }

    fn rows(&self, value: &Value) -> usize {
        self.rows_of(value.domain)
    }

    fn eval(&mut self, value: &Value) -> Result1 {
        let rows = self.rows(value);
        let width = value.width();
        let x = |m: &Self, i: usize| m.values[value.args[i].index()].clone();
        match &value.op {
            Op::Const(c) => Ok(self.graph.matrix(vec![*c], 1, 1)),
            Op::Feature { .. }
            | Op::Embedding { .. }
            | Op::Hidden
            | Op::Param { .. }
            | Op::Degree
            | Op::Label { .. }
            | Op::SeedWeight { .. }
            | Op::LossScale { .. } => self.leaf(value, rows, width),
            Op::RecipCount { rel } => self.recip_count(*rel, value, rows),
            Op::Unary(op) => self.unary(*op, &x(self, 0)),
            Op::Binary { op, left, right } => {
                let a = self.spread(&x(self, 0), *left, rows, width);
                let b = self.spread(&x(self, 1), *right, rows, width);
                // The tape refuses an operation on a tensor and itself: x · x is x times a copy.
                let b = self.graph.scale(&b, 1.0);
                self.binary(*op, &a, &b)
            }
            Op::Expand(by) => Ok(self.spread(&x(self, 0), *by, rows, width)),
            Op::Reshape | Op::Dropout { .. } => Ok(x(self, 0)),
            Op::StopGradient => {
                let x = x(self, 0);
                Ok(self.graph.matrix(values(&x), x.shape().0, x.shape().1))
            }
            Op::SumInner { inner } => Ok(self.columns(&x(self, 0), width, |i, j| i / inner == j)),
            Op::SumOuter { inner } => Ok(self.columns(&x(self, 0), width, |i, j| i % inner == j)),
            Op::MaxInner { inner } => {
                let x = x(self, 0);
                let tall = self.graph.reshape(&x, rows * width, *inner);
                let max = self.graph.row_max(&tall);
                Ok(self.graph.reshape(&max, rows, width))
            }
            Op::Slice { start } => Ok(self.columns(&x(self, 0), width, |i, j| i == j + start)),
            Op::Concat => Ok(self.concat(value, rows, width)),
            Op::Linear { batch } => Ok(self.linear(&x(self, 0), &x(self, 1), *batch, false)),
            Op::LinearT { batch } => Ok(self.linear(&x(self, 0), &x(self, 1), *batch, true)),
            Op::SumRows => {
                let x = x(self, 0);
                let ones = self.graph.constant(1, x.shape().0, |_, _| 1.0);
                Ok(self.graph.rows(ones, &x))
            }
            Op::Index { index } => Ok(self.columns(&x(self, 0), width, |i, j| i == j + index * width)),
            Op::Src => {
                let (src, _) = self.ends(value)?;
                let x = x(self, 0);
                Ok(self.move_rows(&x, rows, |to, from| src[to] as usize == from))
            }
            Op::Dst => {
                let (_, dst) = self.ends(value)?;
                let x = x(self, 0);
                Ok(self.move_rows(&x, rows, |to, from| dst[to] as usize == from))
            }
            Op::Prefix => {
                let x = x(self, 0);
                Ok(self.move_rows(&x, rows, |to, from| to == from))
            }
            Op::Reduce(op) => self.reduce(*op, value, &x(self, 0), rows),
            Op::CrossEntropy { smoothing } => Ok(self.cross_entropy(&x(self, 0), &x(self, 1), *smoothing)),
            Op::External { name } => self.external(name, value, rows),
            other => Err(ReferenceError(format!("{other:?} does not occur in a forward program"))),
        }
    }

    fn leaf(&self, value: &Value, rows: usize, width: usize) -> Result1 {
        let data = (self.inputs.leaf)(value).ok_or_else(|| ReferenceError("the leaf has no value".into()))?;
        if data.len() != rows * width {
            return Err(ReferenceError(format!("the leaf has {} values, not {rows}×{width}", data.len())));
        }
        Ok(self.graph.matrix(data, rows, width))
    }

    fn ends(&self, value: &Value) -> Result<(Vec<u32>, Vec<u32>), ReferenceError> {
        match value.domain {
            Domain::Edges { rel, hop } => Ok((self.inputs.ends)(rel, hop)),
            other => Err(ReferenceError(format!("{other} has no edges"))),
        }
    }

    fn recip_count(&self, rel: u32, value: &Value, rows: usize) -> Result1 {
        let Domain::Nodes { hop, .. } = value.domain else {
            return Err(ReferenceError("counts are on nodes".into()));
        };
        let mut counts = vec![0f32; rows];
        (self.inputs.ends)(rel, hop).1.iter().for_each(|&d| counts[d as usize] += 1.0);
        Ok(self.graph.matrix(counts.iter().map(|c| 1.0 / c.max(1.0)).collect(), rows, 1))
    }

    /// x · P, P[i, j] = 1 where `picks(i, j)`.
    fn columns(&mut self, x: &Matrix, width: usize, picks: impl Fn(usize, usize) -> bool) -> Matrix {
        let p = self.graph.constant(x.shape().1, width, |i, j| f32::from(u8::from(picks(i, j))));
        self.graph.matmul(x, &p)
    }

    /// P · x, P[to, from] = 1 where `picks(to, from)`.
    fn move_rows(&mut self, x: &Matrix, rows: usize, picks: impl Fn(usize, usize) -> bool) -> Matrix {
        let p = self.graph.constant(rows, x.shape().0, |to, from| f32::from(u8::from(picks(to, from))));
        self.graph.rows(p, x)
    }

    /// A Global row to every row, then the columns by `by`.
    fn spread(&mut self, x: &Matrix, by: Broadcast, rows: usize, width: usize) -> Matrix {
        let wide = match by {
            Broadcast::Full => x.clone(),
            Broadcast::Scalar => self.columns(x, width, |_, _| true),
            Broadcast::Outer { inner } => self.columns(x, width, |i, j| j / inner == i),
            Broadcast::Inner { len } => self.columns(x, width, |i, j| j % len == i),
        };
        match wide.shape().0 {
            r if r == rows => wide,
            _ => self.move_rows(&wide, rows, |_, _| true),
        }
    }

    fn concat(&mut self, value: &Value, rows: usize, width: usize) -> Matrix {
        let mut start = 0;
        let mut sum = self.graph.constant(rows, width, |_, _| 0.0);
        for arg in &value.args {
            let part = self.values[arg.index()].clone();
            let own = part.shape().1;
            let part = self.spread(&part, Broadcast::Full, rows, own);
            let placed = self.columns(&part, width, |i, j| i + start == j);
            sum = self.graph.add(&sum, &placed);
            start += own;
        }
        sum
    }

    fn linear(&mut self, x: &Matrix, w: &Matrix, batch: usize, transposed: bool) -> Matrix {
        let x_width = x.shape().1 / batch;
        let other = w.shape().1 / batch / x_width;
        let (k, n) = if transposed { (other, x_width) } else { (x_width, other) };
        if batch == 1 && !transposed {
            let w = self.graph.reshape(w, k, n);
            return self.graph.matmul(x, &w);
        }
        let mut sum: Option<Matrix> = None;
        for b in 0..batch {
            let xb = self.columns(x, x_width, |i, j| i == j + b * x_width);
            let flat = self.columns(w, k * n, |i, j| i == j + b * k * n);
            let mut wb = self.graph.reshape(&flat, k, n);
            if transposed {
                wb = self.graph.unary(&wb, |w| w.permute());
            }
            let y = self.graph.matmul(&xb, &wb);
            let placed = self.columns(&y, batch * other, |i, j| i + b * other == j);
            sum = Some(match sum {
                Some(s) => self.graph.add(&s, &placed),
                None => placed,
            });
        }
        sum.unwrap_or_else(|| x.clone())
    }

    fn reduce(&mut self, op: ReduceOp, value: &Value, x: &Matrix, rows: usize) -> Result1 {
        let Domain::Edges { rel, hop } = self.domains[value.args[0].index()] else {
            return Err(ReferenceError("only edges are reduced".into()));
        };
        let (_, dst) = (self.inputs.ends)(rel, hop);
        match op {
            ReduceOp::Sum => Ok(self.move_rows(x, rows, |to, from| dst[from] as usize == to)),
            ReduceOp::Mean => {
                let mut counts = vec![0f32; rows];
                dst.iter().for_each(|&d| counts[d as usize] += 1.0);
                let p = self.graph.constant(rows, x.shape().0, |to, from| {
                    if dst[from] as usize == to { 1.0 / counts[to] } else { 0.0 }
                });
                Ok(self.graph.rows(p, x))
            }
            ReduceOp::Max => Ok(self.extreme(x, &dst, rows)),
            ReduceOp::Min => {
                let negated = self.graph.scale(x, -1.0);
                let max = self.extreme(&negated, &dst, rows);
                Ok(self.graph.scale(&max, -1.0))
            }
        }
    }

    /// Maximum over the edges into each row, edge after edge: max(max(e1, e2), e3) …; 0 without edges.
    fn extreme(&mut self, x: &Matrix, dst: &[u32], rows: usize) -> Matrix {
        let mut lists: Vec<Vec<usize>> = vec![Vec::new(); rows];
        dst.iter().enumerate().for_each(|(e, &d)| lists[d as usize].push(e));
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        let pick = |i: usize| -> Vec<Option<usize>> {
            lists.iter().map(|l| l.get(i).or(l.last()).copied()).collect()
        };
        let mut best: Option<Matrix> = None;
        for i in 0..longest {
            let picked = pick(i);
            let row = self.move_rows(x, rows, |to, from| picked[to] == Some(from));
            best = Some(match best {
                Some(b) => self.graph.maximum(&b, &row),
                None => row,
            });
        }
        best.unwrap_or_else(|| self.graph.constant(rows, x.shape().1, |_, _| 0.0))
    }

    fn cross_entropy(&mut self, logits: &Matrix, labels: &Matrix, smoothing: f32) -> Matrix {
        let (rows, classes) = *logits.shape();
        let labels = values(labels);
        let target = self.graph.constant(rows, classes, |r, c| match labels[r] {
            l if l < 0.0 => 0.0,
            l => smoothing / classes as f32 + if l as usize == c { 1.0 - smoothing } else { 0.0 },
        });
        let log_p = self.graph.log_softmax(logits);
        let picked = self.graph.mul(&log_p, &target);
        let sum = self.columns(&picked, 1, |_, _| true);
        self.graph.scale(&sum, -1.0)
    }

    fn external(&mut self, name: &str, value: &Value, rows: usize) -> Result1 {
        let function = (self.inputs.external)(name);
        let function =
            function.ok_or_else(|| ReferenceError(format!("no function `{name}` is registered")))?;
        let operands = value.args.iter().map(|arg| Given {
            matrix: self.values[arg.index()].clone(),
            shape: self.shapes[arg.index()].clone(),
            shared: self.domains[arg.index()] == Domain::Global,
        });
        let operands = operands.collect();
        self.graph.external(function, operands, rows, value.shape.clone()).map_err(ReferenceError)
    }

    fn binary(&mut self, op: BinaryOp, a: &Matrix, b: &Matrix) -> Result1 {
        let g = &mut self.graph;
        let compare = |g: &Graph, f: fn(f32, f32) -> bool| {
            let (a, b, shape) = (values(a), values(b), *a.shape());
            let data = a.iter().zip(&b).map(|(a, b)| f32::from(u8::from(f(*a, *b)))).collect();
            g.matrix(data, shape.0, shape.1)
        };
        Ok(match op {
            BinaryOp::Add => g.add(a, b),
            BinaryOp::Sub => g.sub(a, b),
            BinaryOp::Mul => g.mul(a, b),
            BinaryOp::Div => g.div(a, b),
            BinaryOp::Max => g.maximum(a, b),
            BinaryOp::Min => g.minimum(a, b),
            BinaryOp::Eq => compare(g, |a, b| a == b),
            BinaryOp::Gt => compare(g, |a, b| a > b),
            BinaryOp::Ge => compare(g, |a, b| a >= b),
        })
    }

    fn unary(&mut self, op: UnaryOp, x: &Matrix) -> Result1 {
        let g = &mut self.graph;
        Ok(match op {
            UnaryOp::Neg => g.scale(x, -1.0),
            UnaryOp::Exp => g.unary(x, |x| x.exp()),
            UnaryOp::Log => g.unary(x, |x| x.ln()),
            UnaryOp::Sqrt => g.unary(x, |x| x.sqrt()),
            UnaryOp::Rsqrt => g.unary(x, |x| x.sqrt().recip()),
            UnaryOp::Recip => g.unary(x, |x| x.recip()),
            UnaryOp::Square => g.unary(x, |x| x.square()),
            UnaryOp::Abs => g.unary(x, |x| x.abs()),
            UnaryOp::Sin => g.unary(x, |x| x.sin()),
            UnaryOp::Cos => g.unary(x, |x| x.cos()),
            UnaryOp::Tanh => g.unary(x, |x| x.tanh()),
            UnaryOp::Sigmoid => g.unary(x, |x| x.sigmoid()),
            UnaryOp::Relu => g.unary(x, |x| x.relu()),
            UnaryOp::Gelu => g.unary(x, |x| x.fast_gelu()),
            UnaryOp::LeakyRelu(slope) => {
                let positive = g.unary(x, |x| x.relu());
                let negative = g.unary(x, |x| (x * -1.0).relu());
                let bent = g.scale(&negative, slope);
                g.sub(&positive, &bent)
            }
            UnaryOp::Elu => {
                let positive = g.unary(x, |x| x.relu());
                let negative = g.unary(x, |x| ((x * -1.0).relu() * -1.0).exp());
                let sum = g.add(&positive, &negative);
                g.shift(&sum, -1.0)
            }
            UnaryOp::Softplus => {
                let positive = g.unary(x, |x| x.relu());
                let tail = g.unary(x, |x| ((x.abs() * -1.0).exp() + 1.0).ln());
                g.add(&positive, &tail)
            }
            UnaryOp::Sign => constant(g, x, f32::signum),
            UnaryOp::Step => constant(g, x, |x| f32::from(u8::from(x > 0.0))),
            UnaryOp::LeakyReluGrad(s) => constant(g, x, |x| if x > 0.0 { 1.0 } else { s }),
            UnaryOp::EluGrad => constant(g, x, |x| if x > 0.0 { 1.0 } else { x.exp() }),
            UnaryOp::GeluGrad => return Err(ReferenceError("a derivative in a forward program".into())),
        })
    }
}

fn constant(g: &Graph, x: &Matrix, f: impl Fn(f32) -> f32) -> Matrix {
    g.matrix(values(x).into_iter().map(f).collect(), x.shape().0, x.shape().1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gsl_plan::build::Builder;
    use gsl_plan::program::Signature;

    /// loss = Σ_v Σ_j ( mean over edges of x_u W )_vj, two edges into node 0 and none into node 1.
    #[test]
    fn mean_of_a_product_by_hand() {
        let signature = Signature { relations: vec![(0, 0)], params: vec![vec![2, 2]] };
        let mut b = Builder::new(signature);
        let hop1 = Domain::Nodes { ty: 0, hop: 1 };
        let x = b.push(Op::Feature { feature: 0 }, &[], hop1, &[2]).unwrap();
        let w = b.param(0).unwrap();
        let xw = b.linear(x, w, 1).unwrap();
        let e = b.src(xw, 0, 0).unwrap();
        let m = b.reduce(ReduceOp::Mean, e).unwrap();
        let s = b.op(Op::SumInner { inner: 2 }, &[m]).unwrap();
        let loss = b.op(Op::SumRows, &[s]).unwrap();
        b.output(Role::Loss, loss);
        let rows = |d: Domain| if d == hop1 { 3 } else { 2 };
        let ends = |_, _| (vec![0, 2], vec![0, 0]);
        let leaf = |v: &Value| match v.op {
            Op::Feature { .. } => Some(vec![1.0, 2.0, 7.0, 7.0, 3.0, 4.0]),
            Op::Param { .. } => Some(vec![1.0, 0.0, 0.0, 1.0]),
            _ => None,
        };
        let found = run(
            &b.program,
            &Inputs {
                rows: &|d| if let Domain::Edges { .. } = d { 2 } else { rows(d) },
                ends: &ends,
                leaf: &leaf,
                external: &|_| None,
            },
        )
        .unwrap();
        assert_eq!(found.outputs, [[2.0 + 3.0]]);
        assert_eq!(found.params[&0], [2.0, 2.0, 3.0, 3.0]);
    }
}
