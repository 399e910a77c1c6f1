//! Runs a schedule step by step, in f64, over slots that buffers really share.

use gsl_plan::interpret::{Bindings, Edge, Matrix, binary, unary};
use gsl_plan::program::*;
use gsl_plan::schedule::*;

pub struct Executor<'a> {
    schedule: &'a Schedule,
    bindings: &'a Bindings,
    slots: Vec<Vec<f64>>,
}

/// The row of the kernel at hand: a row of the domain, or an edge.
#[derive(Clone, Copy)]
struct At {
    row: usize,
    edge: Option<Edge>,
    domain: Domain,
}

pub fn execute(schedule: &Schedule, bindings: &Bindings) -> Vec<(Role, Domain, Matrix)> {
    let mut run = Executor { schedule, bindings, slots: vec![vec![]; schedule.slots as usize] };
    for step in &schedule.steps {
        run.step(&step.kind);
    }
    let outputs = schedule.outputs.iter();
    outputs
        .map(|(role, id)| {
            let buffer = &schedule.buffers[id.index()];
            let data = run.read(*id).to_vec();
            (role.clone(), buffer.domain, Matrix { rows: run.rows(buffer.domain), width: buffer.width, data })
        })
        .collect()
}

impl Executor<'_> {
    fn rows(&self, domain: Domain) -> usize {
        match domain {
            Domain::Global => 1,
            Domain::Nodes { ty, hop } => self.bindings.counts[ty as usize][hop as usize],
            Domain::Edges { rel, hop } => self.bindings.edges[&(rel, hop)].len(),
        }
    }

    fn ids(&self, domain: Domain, row: usize) -> usize {
        match domain {
            Domain::Global => 0,
            Domain::Nodes { ty, .. } => self.bindings.nodes[ty as usize][row],
            Domain::Edges { rel, hop } => self.bindings.edges[&(rel, hop)][row].id,
        }
    }

    fn read(&self, id: BufferId) -> &[f64] {
        let buffer = &self.schedule.buffers[id.index()];
        let data = &self.slots[buffer.slot as usize];
        assert_eq!(
            data.len(),
            self.rows(buffer.domain) * buffer.width,
            "b{} ({}) was overwritten",
            id.0,
            buffer.name
        );
        data
    }

    fn write(&mut self, id: BufferId, accumulate: bool, data: Vec<f64>) {
        let buffer = &self.schedule.buffers[id.index()];
        assert_eq!(data.len(), self.rows(buffer.domain) * buffer.width);
        let slot = &mut self.slots[buffer.slot as usize];
        match accumulate {
            true => slot.iter_mut().zip(data).for_each(|(s, d)| *s += d),
            false => *slot = data,
        }
    }

    fn domain(&self, id: BufferId) -> Domain {
        self.schedule.buffers[id.index()].domain
    }

    /// Elements of row `row` of an operand, of `width` elements.
    fn row(&self, operand: Operand, domain: Domain, row: usize, width: usize) -> Vec<f64> {
        let b = self.bindings;
        let slice = |data: &[f64], row: usize| data[row * width..(row + 1) * width].to_vec();
        match operand {
            Operand::Buffer(id) => {
                let row = if self.domain(id) == Domain::Global { 0 } else { row };
                slice(self.read(id), row)
            }
            Operand::Param(p) => slice(&b.params[p as usize], 0),
            Operand::Part { of: Whole::Param(p), start, len } => {
                b.params[p as usize][start..start + len].to_vec()
            }
            Operand::Part { of: Whole::Buffer(id), start, len } => self.read(id)[start..start + len].to_vec(),
            Operand::Stored(stored) => {
                let id = self.ids(domain, row);
                match stored {
                    Stored::NodeFeature { ty, feature } => b.node_features[&(ty, feature)].row(id).to_vec(),
                    Stored::EdgeFeature { rel, feature } => b.edge_features[&(rel, feature)].row(id).to_vec(),
                    Stored::Table { param, .. } => slice(&b.params[param as usize], id),
                    Stored::Hidden { ty } => b.hidden[&ty].row(id).to_vec(),
                    Stored::Degree { ty } => vec![b.degrees[ty as usize][id]],
                }
            }
        }
    }

    fn step(&mut self, kind: &StepKind) {
        match kind {
            StepKind::Gather { from, out } => {
                let width = self.schedule.buffers[out.index()].width;
                self.each_row(*out, |e, domain, r| e.row(Operand::Stored(*from), domain, r, width));
            }
            StepKind::RecipCount { rel, out } => {
                let Domain::Nodes { hop, .. } = self.domain(*out) else { panic!("counts are on nodes") };
                let block = self.bindings.edges[&(*rel, hop)].clone();
                self.each_row(*out, |_, _, r| {
                    vec![1.0 / block.iter().filter(|e| e.dst == r).count().max(1) as f64]
                });
            }
            StepKind::Label { label, out } => self.each_row(*out, |e, domain, r| {
                let Domain::Nodes { ty, .. } = domain else { panic!("labels are on nodes") };
                vec![e.bindings.labels[&(ty, *label)][e.ids(domain, r)]]
            }),
            StepKind::SeedWeight { predict, out } => {
                self.each_row(*out, |e, _, r| vec![e.bindings.seed_weights[predict][r]]);
            }
            StepKind::LossScale { predict, out } => {
                self.write(*out, false, vec![self.bindings.loss_scale[predict]]);
            }
            StepKind::Linear { x, w, batch, k, n, out, accumulate } => {
                let weight = self.row(*w, Domain::Global, 0, batch * k * n);
                let data = self.rows_of(*out, |e, domain, r| {
                    matvec(&e.row(*x, domain, r, batch * k), &weight, [*batch, *k, *n], false)
                });
                self.write(*out, *accumulate, data);
            }
            StepKind::LinearT { g, w, batch, k, n, out, accumulate } => {
                let weight = self.row(*w, Domain::Global, 0, batch * k * n);
                let data = self.rows_of(*out, |e, domain, r| {
                    matvec(&e.row(*g, domain, r, batch * n), &weight, [*batch, *k, *n], true)
                });
                self.write(*out, *accumulate, data);
            }
            StepKind::Outer { x, g, batch, k, n, rows, out, accumulate } => {
                let mut sum = vec![0.0; batch * k * n];
                for r in 0..self.rows(*rows) {
                    let (x, g) = (self.row(*x, *rows, r, batch * k), self.row(*g, *rows, r, batch * n));
                    outer(&x, &g, [*batch, *k, *n], &mut sum);
                }
                self.write(*out, *accumulate, sum);
            }
            StepKind::Map { rows, kernel, outputs } => self.map(*rows, kernel, outputs),
            StepKind::Traverse { rel, hop, kernel, outputs } => self.traverse(*rel, *hop, kernel, outputs),
            StepKind::CrossEntropy { logits, labels, classes, smoothing, out } => {
                let data = self.rows_of(*out, |e, domain, r| {
                    let (x, y) = (e.row(*logits, domain, r, *classes), e.row(*labels, domain, r, 1)[0]);
                    let p = softmax(&x);
                    vec![(0..*classes).map(|c| -target(y, c, *classes, *smoothing) * p[c].ln()).sum()]
                });
                self.write(*out, false, data);
            }
            StepKind::CrossEntropyGrad { logits, labels, g, classes, smoothing, out } => {
                let data = self.rows_of(*out, |e, domain, r| {
                    let (x, y) = (e.row(*logits, domain, r, *classes), e.row(*labels, domain, r, 1)[0]);
                    let (p, g) = (softmax(&x), e.row(*g, domain, r, 1)[0]);
                    let known = f64::from(u8::from(y >= 0.0));
                    (0..*classes).map(|c| known * (p[c] - target(y, c, *classes, *smoothing)) * g).collect()
                });
                self.write(*out, false, data);
            }
            StepKind::Dot { rel, hop, x, y, width, out } => {
                let (block, [src, dst]) = self.tiles(*rel, *hop);
                let dot = |e: &Edge| -> f64 {
                    let (x, y) = (self.row(*x, src, e.src, *width), self.row(*y, dst, e.dst, *width));
                    x.iter().zip(&y).map(|(a, b)| a * b).sum()
                };
                let data = block.iter().map(dot).collect();
                self.write(*out, false, data);
            }
            StepKind::DotBack { rel, hop, g, x, width, to_src, out } => {
                let (block, [src, dst]) = self.tiles(*rel, *hop);
                let edges = Domain::Edges { rel: *rel, hop: *hop };
                let mut sum = vec![0.0; self.rows(self.domain(*out)) * width];
                for (i, e) in block.iter().enumerate() {
                    let (from, at, to) = if *to_src { (dst, e.dst, e.src) } else { (src, e.src, e.dst) };
                    let (g, row) = (self.row(*g, edges, i, 1)[0], self.row(*x, from, at, *width));
                    sum[to * width..(to + 1) * width].iter_mut().zip(row).for_each(|(s, x)| *s += g * x);
                }
                self.write(*out, false, sum);
            }
            StepKind::Pad { x: Operand::Buffer(x), out, accumulate } => {
                let mut data = self.read(*x).to_vec();
                data.resize(self.rows(self.domain(*out)) * self.schedule.buffers[out.index()].width, 0.0);
                self.write(*out, *accumulate, data);
            }
            StepKind::Pad { .. } => panic!("only buffers are padded"),
            StepKind::External { .. } | StepKind::ExternalGrad { .. } => {
                panic!("no model of these tests calls functions from outside")
            }
            StepKind::Stack { items, out } => {
                let each = self.schedule.buffers[out.index()].width / items.len();
                let item =
                    |i: &Option<Operand>| i.map_or(vec![0.0; each], |o| self.row(o, Domain::Global, 0, each));
                let data = items.iter().flat_map(item).collect();
                self.write(*out, false, data);
            }
        }
    }

    /// The edges of a relation, and where their ends are.
    fn tiles(&self, rel: u32, hop: u32) -> (Vec<Edge>, [Domain; 2]) {
        let signature = Signature { relations: crate::world::RELATIONS.to_vec(), params: vec![] };
        let (src, dst) = gsl_plan::verify::ends(Domain::Edges { rel, hop }, &signature).unwrap();
        (self.bindings.edges[&(rel, hop)].clone(), [src, dst])
    }

    fn each_row(&mut self, out: BufferId, f: impl Fn(&Self, Domain, usize) -> Vec<f64>) {
        let data = self.rows_of(out, f);
        self.write(out, false, data);
    }

    fn rows_of(&self, out: BufferId, f: impl Fn(&Self, Domain, usize) -> Vec<f64>) -> Vec<f64> {
        let domain = self.domain(out);
        (0..self.rows(domain)).flat_map(|r| f(self, domain, r)).collect()
    }

    fn map(&mut self, rows: Domain, kernel: &Kernel, outputs: &[MapOutput]) {
        let mut results: Vec<Vec<f64>> = vec![vec![]; outputs.len()];
        for row in 0..self.rows(rows) {
            let regs = self.kernel(kernel, At { row, edge: None, domain: rows });
            for (result, o) in results.iter_mut().zip(outputs) {
                let value = &regs[o.reg as usize];
                match o.combine {
                    RowCombine::Each => result.extend(value),
                    RowCombine::SumRows if result.is_empty() => *result = value.clone(),
                    RowCombine::SumRows => result.iter_mut().zip(value).for_each(|(r, v)| *r += v),
                }
            }
        }
        for (result, o) in results.into_iter().zip(outputs) {
            self.write(o.out, o.accumulate, result);
        }
    }

    fn traverse(&mut self, rel: u32, hop: u32, kernel: &Kernel, outputs: &[EdgeOutput]) {
        let domain = Domain::Edges { rel, hop };
        let block = self.bindings.edges[&(rel, hop)].clone();
        let regs: Vec<Vec<Vec<f64>>> = (0..block.len())
            .map(|i| self.kernel(kernel, At { row: i, edge: Some(block[i]), domain }))
            .collect();
        for o in outputs {
            let values: Vec<&Vec<f64>> = regs.iter().map(|r| &r[o.reg as usize]).collect();
            let data = match o.combine {
                EdgeCombine::ToDst(op) => self.reduce(o.out, op, &block, &values, |e| e.dst),
                EdgeCombine::ToSrc => self.reduce(o.out, ReduceOp::Sum, &block, &values, |e| e.src),
                EdgeCombine::Each => values.iter().flat_map(|v| v.iter().copied()).collect(),
                EdgeCombine::ToGlobal => {
                    let mut sum = vec![0.0; kernel.instrs[o.reg as usize].width];
                    values.iter().for_each(|v| sum.iter_mut().zip(*v).for_each(|(s, v)| *s += v));
                    sum
                }
                EdgeCombine::Outer { other, batch, k, n } => {
                    let mut sum = vec![0.0; batch * k * n];
                    regs.iter()
                        .for_each(|r| outer(&r[o.reg as usize], &r[other as usize], [batch, k, n], &mut sum));
                    sum
                }
            };
            self.write(o.out, o.accumulate, data);
        }
    }

    fn reduce(
        &self,
        out: BufferId,
        op: ReduceOp,
        block: &[Edge],
        values: &[&Vec<f64>],
        end: impl Fn(&Edge) -> usize,
    ) -> Vec<f64> {
        let width = self.schedule.buffers[out.index()].width;
        self.rows_of(out, |_, _, r| {
            let here: Vec<&Vec<f64>> =
                block.iter().zip(values).filter(|(e, _)| end(e) == r).map(|(_, v)| *v).collect();
            let column = |c: usize| here.iter().map(move |v| v[c]);
            (0..width)
                .map(|c| match op {
                    _ if here.is_empty() => 0.0,
                    ReduceOp::Sum => column(c).sum(),
                    ReduceOp::Mean => column(c).sum::<f64>() / here.len() as f64,
                    ReduceOp::Max => column(c).fold(f64::NEG_INFINITY, f64::max),
                    ReduceOp::Min => column(c).fold(f64::INFINITY, f64::min),
                })
                .collect()
        })
    }

    fn kernel(&self, kernel: &Kernel, at: At) -> Vec<Vec<f64>> {
        let mut regs: Vec<Vec<f64>> = vec![];
        for instr in &kernel.instrs {
            let reg = self.instr(kernel, instr, &regs, at);
            assert_eq!(reg.len(), instr.width);
            regs.push(reg);
        }
        regs
    }

    fn input(&self, input: &KernelInput, at: At) -> Vec<f64> {
        let ends = at.edge.map(|e| (e.src, e.dst));
        let (row, domain) = match (input.access, at.domain, ends) {
            (Access::Global, ..) => (0, Domain::Global),
            (Access::Src, Domain::Edges { rel, hop }, Some((src, _))) => {
                (src, Domain::Nodes { ty: crate::world::RELATIONS[rel as usize].0, hop: hop + 1 })
            }
            (Access::Dst, Domain::Edges { rel, hop }, Some((_, dst))) => {
                (dst, Domain::Nodes { ty: crate::world::RELATIONS[rel as usize].1, hop })
            }
            _ => (at.row, at.domain),
        };
        self.row(input.operand, domain, row, input.width)
    }

    fn instr(&self, kernel: &Kernel, instr: &Instr, regs: &[Vec<f64>], at: At) -> Vec<f64> {
        let reg = |r: &Reg| &regs[*r as usize];
        let fill = |f: &dyn Fn(usize) -> f64| (0..instr.width).map(f).collect::<Vec<f64>>();
        match &instr.op {
            RowOp::Load { input, start } => {
                self.input(&kernel.inputs[*input as usize], at)[*start..start + instr.width].to_vec()
            }
            RowOp::Const(c) => vec![f64::from(*c)],
            RowOp::Unary(op, x) => fill(&|i| unary(*op, reg(x)[i])),
            RowOp::Binary { op, a, left, b, right } => {
                fill(&|i| binary(*op, reg(a)[element(*left, i)], reg(b)[element(*right, i)]))
            }
            RowOp::Expand { x, by } => fill(&|i| reg(x)[element(*by, i)]),
            RowOp::SumInner { x, inner } => fill(&|o| reg(x)[o * inner..(o + 1) * inner].iter().sum()),
            RowOp::MaxInner { x, inner } => fill(&|o| {
                reg(x)[o * inner..(o + 1) * inner].iter().copied().fold(f64::NEG_INFINITY, f64::max)
            }),
            RowOp::SumOuter { x, inner } => {
                fill(&|i| (0..reg(x).len() / inner).map(|o| reg(x)[o * inner + i]).sum())
            }
            RowOp::Slice { x, start } => reg(x)[*start..start + instr.width].to_vec(),
            RowOp::Concat(xs) => xs.iter().flat_map(|x| reg(x).clone()).collect(),
            RowOp::MatVec { x, w, batch, k, n, transpose } => {
                matvec(reg(x), &self.input(&kernel.inputs[*w as usize], at), [*batch, *k, *n], *transpose)
            }
            RowOp::Dropout { x, p, site, by } => {
                let domain = if *by == Access::Global { Domain::Global } else { at.domain };
                let id = self.ids(domain, at.row);
                let scale = 1.0 / (1.0 - f64::from(*p));
                fill(&|c| if (self.bindings.keep)(*site, id, c) { reg(x)[c] * scale } else { 0.0 })
            }
        }
    }
}

fn element(by: Broadcast, i: usize) -> usize {
    match by {
        Broadcast::Full => i,
        Broadcast::Scalar => 0,
        Broadcast::Outer { inner } => i / inner,
        Broadcast::Inner { len } => i % len,
    }
}

fn matvec(x: &[f64], w: &[f64], [batch, k, n]: [usize; 3], transpose: bool) -> Vec<f64> {
    let mut out = vec![0.0; batch * if transpose { k } else { n }];
    for b in 0..batch {
        for i in 0..k {
            for j in 0..n {
                let weight = w[(b * k + i) * n + j];
                match transpose {
                    false => out[b * n + j] += x[b * k + i] * weight,
                    true => out[b * k + i] += x[b * n + j] * weight,
                }
            }
        }
    }
    out
}

fn outer(x: &[f64], g: &[f64], [batch, k, n]: [usize; 3], sum: &mut [f64]) {
    for b in 0..batch {
        for i in 0..k {
            for j in 0..n {
                sum[(b * k + i) * n + j] += x[b * k + i] * g[b * n + j];
            }
        }
    }
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = x.iter().map(|v| (v - most).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|p| p / total).collect()
}

fn target(label: f64, class: usize, classes: usize, smoothing: f32) -> f64 {
    if label < 0.0 {
        return 0.0;
    }
    let hit = f64::from(u8::from(label == class as f64));
    (1.0 - f64::from(smoothing)) * hit + f64::from(smoothing) / classes as f64
}
