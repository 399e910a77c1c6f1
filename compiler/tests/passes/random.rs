//! Random programs: whatever the builder lets through, the passes keep, the schedule computes and the derivative fits.

use crate::executor::execute;
use crate::models::Net;
use crate::world::{EDGE_FEATURE, FEATURE, NODES, RELATIONS, Random, agree, bindings, costs, outputs};
use gsl_compiler::passes::{Costs, Options, compile};
use gsl_plan::build::Built;
use gsl_plan::interpret::{Bindings, interpret};
use gsl_plan::program::*;

const PROGRAMS: u64 = 300;
const OPERATIONS: usize = 40;
const WIDTHS: [usize; 4] = [1, 2, 3, 6];

struct Maker {
    net: Net,
    random: Random,
    pool: Vec<ValueId>,
    /// Only operations whose result has a derivative everywhere and passes gradients on.
    smooth: bool,
}

impl Maker {
    fn new(seed: u64, smooth: bool) -> Self {
        let mut maker = Maker { net: Net::new(), random: Random(seed), pool: vec![], smooth };
        maker.leaves();
        for _ in 0..OPERATIONS {
            if let Ok(id) = maker.operation() {
                maker.pool.push(id);
            }
        }
        maker
    }

    fn leaves(&mut self) {
        for ty in 0..2 {
            for hop in 0..3 {
                let x = self.net.feature(Domain::Nodes { ty, hop }, FEATURE);
                self.pool.push(x);
            }
            self.net.b.signature.params.push(vec![NODES[ty as usize], 6]);
            let param = self.net.b.signature.params.len() as u32 - 1;
            let domain = Domain::Nodes { ty, hop: 2 };
            let table = self.net.b.push(Op::Embedding { param }, &[], domain, &[6]).expect("a table");
            self.pool.push(table);
        }
        for rel in 0..RELATIONS.len() as u32 {
            let x = self.net.feature(Domain::Edges { rel, hop: rel % 2 }, EDGE_FEATURE);
            self.pool.push(x);
        }
        for shape in [&[][..], &[3], &[2, 3], &[6]] {
            let p = self.net.param(shape);
            self.pool.push(p);
        }
    }

    /// One of the pool, the newest most often.
    fn pick(&mut self) -> ValueId {
        let n = self.pool.len();
        let from = if self.random.below(2) == 0 { n.saturating_sub(8) } else { 0 };
        self.pool[from + self.random.below(n - from)]
    }

    fn operation(&mut self) -> Built {
        let x = self.pick();
        match self.random.below(20) {
            0..=2 => self.unary(x),
            3..=6 => self.binary(x),
            7 => self.divide(x),
            8..=9 => self.linear(x),
            10..=12 => self.lift(x),
            13..=15 => self.reduce(x),
            16 => self.rows(x),
            17 => self.pieces(x),
            18 => {
                let y = self.pick();
                self.net.b.op(Op::Concat, &[x, y, x])
            }
            _ => self.net.b.op(Op::Dropout { p: 0.25, site: self.random.below(3) as u32 }, &[x]),
        }
    }

    fn unary(&mut self, x: ValueId) -> Built {
        use UnaryOp::*;
        let ops = [Tanh, Sigmoid, Softplus, Neg, Relu, Abs, Elu, Step];
        let n = if self.smooth { 4 } else { ops.len() };
        let op = ops[self.random.below(n)];
        self.net.b.unary(op, x)
    }

    fn binary(&mut self, x: ValueId) -> Built {
        use BinaryOp::*;
        let y = self.pick();
        let ops = [Add, Add, Sub, Mul, Mul, Max, Gt];
        let n = if self.smooth { 5 } else { ops.len() };
        let op = ops[self.random.below(n)];
        let result = self.net.b.binary(op, x, y)?;
        if op == Mul { self.net.b.unary(UnaryOp::Tanh, result) } else { Ok(result) }
    }

    /// x / (y² + 1)
    fn divide(&mut self, x: ValueId) -> Built {
        let y = self.pick();
        let square = self.net.b.unary(UnaryOp::Square, y)?;
        let one = self.net.b.constant(1.0);
        let divisor = self.net.b.add(square, one)?;
        self.net.b.binary(BinaryOp::Div, x, divisor)
    }

    fn linear(&mut self, x: ValueId) -> Built {
        if self.net.b.value(x).width() > 20 {
            return Ok(x);
        }
        let n = WIDTHS[self.random.below(4)];
        let y = self.net.linear(x, &[n]);
        self.net.b.unary(UnaryOp::Tanh, y)
    }

    fn lift(&mut self, x: ValueId) -> Built {
        let (rel, hop) = (self.random.below(3) as u32, self.random.below(2) as u32);
        if self.random.below(2) == 0 { self.net.b.src(x, rel, hop) } else { self.net.b.dst(x, rel, hop) }
    }

    fn reduce(&mut self, x: ValueId) -> Built {
        use ReduceOp::*;
        let op = [Sum, Mean, Max, Min][self.random.below(if self.smooth { 2 } else { 4 })];
        match self.net.b.domain(x) {
            Domain::Edges { rel, hop } if self.random.below(3) == 0 => {
                let (shape, ty) = (self.net.b.shape(x).to_vec(), RELATIONS[rel as usize].0);
                self.net.b.push(Op::ReduceSrc, &[x], Domain::Nodes { ty, hop: hop + 1 }, &shape)
            }
            _ => self.net.b.reduce(op, x),
        }
    }

    /// Fewer rows, more rows, one row.
    fn rows(&mut self, x: ValueId) -> Built {
        let (domain, shape) = (self.net.b.domain(x), self.net.b.shape(x).to_vec());
        let hop = self.random.below(3) as u32;
        match (domain, self.random.below(3)) {
            (Domain::Nodes { hop: h, .. }, 0) if hop < h => self.net.b.prefix(x, hop),
            (Domain::Nodes { ty, hop: h }, _) if hop > h => {
                self.net.b.push(Op::Pad, &[x], Domain::Nodes { ty, hop }, &shape)
            }
            _ => {
                let sum = self.net.b.op(Op::SumRows, &[x])?;
                self.net.b.unary(UnaryOp::Tanh, sum)
            }
        }
    }

    fn pieces(&mut self, x: ValueId) -> Built {
        let (domain, width) = (self.net.b.domain(x), self.net.b.value(x).width());
        match self.random.below(4) {
            0 => {
                let n = 1 + self.random.below(width);
                let start = self.random.below(width - n + 1);
                self.net.b.push(Op::Slice { start }, &[x], domain, &[n])
            }
            1 => {
                let flat = self.net.b.reshape(x, &[width])?;
                self.net.b.op(Op::SumInner { inner: width }, &[flat])
            }
            2 if width < 10 => {
                self.net.b.push(Op::Expand(Broadcast::Outer { inner: 2 }), &[x], domain, &[width, 2])
            }
            _ => self.net.b.reshape(x, &[width]),
        }
    }

    /// The loss: a sum of some of the values, each squashed.
    fn finish(mut self) -> (Program, Signature) {
        let mut loss = self.net.b.constant(0.0);
        for i in 0..6 {
            let x = self.pick();
            let x = self.net.unary(UnaryOp::Tanh, x);
            let width = self.net.b.value(x).width();
            let flat = self.net.b.reshape(x, &[width]).expect("fits");
            let rows = self.net.b.op(Op::SumRows, &[flat]).expect("fits");
            let total = self.net.sum_inner(rows, width);
            loss = self.net.add(loss, total);
            if matches!(self.net.b.domain(x), Domain::Nodes { .. }) {
                self.net.b.output(Role::Hidden { ty: i }, x);
            }
        }
        self.net.b.output(Role::Loss, loss);
        (self.net.b.program, self.net.b.signature)
    }
}

fn options<'a>(signature: &'a Signature, costs: &'a Costs, without: &[&str]) -> Options<'a> {
    let mut options = Options::train(signature, costs, vec![true; signature.params.len()]);
    options.without = without.iter().map(|s| s.to_string()).collect();
    options
}

#[test]
fn programs_and_schedules_agree() {
    let costs = costs();
    for seed in 0..PROGRAMS {
        let (program, signature) = Maker::new(seed, false).finish();
        let b = bindings(&signature, seed);
        let forward = outputs(&program, &signature, &b);
        for without in [&[][..], &["hoist", "cse", "narrow", "order"]] {
            let options = options(&signature, &costs, without);
            let exec = compile(program.clone(), &options, None)
                .unwrap_or_else(|e| panic!("seed {seed}: {e}\n{program}"));
            let optimised = outputs(&exec.program, &signature, &b);
            for ((role, _, x), (_, _, y)) in forward.iter().zip(&optimised) {
                assert!(agree(x, y, 1e-7), "seed {seed} {without:?}: {role:?}\n{program}\n{}", exec.program);
            }
            for ((role, _, x), (_, _, y)) in optimised.iter().zip(execute(&exec.schedule, &b)) {
                assert!(
                    agree(x, &y, 1e-7),
                    "seed {seed} {without:?}: {role:?}\n{}\n{}",
                    exec.program,
                    exec.schedule
                );
            }
        }
    }
}

#[test]
fn derivatives_fit() {
    let costs = costs();
    let mut checked = 0;
    for seed in 0..PROGRAMS / 2 {
        let (program, signature) = Maker::new(seed, true).finish();
        let mut b = bindings(&signature, seed);
        let exec = compile(program.clone(), &options(&signature, &costs, &[]), None)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}\n{program}"));
        let found = outputs(&exec.program, &signature, &b);
        let mut random = Random(seed);
        for (role, _, g) in &found {
            let Role::Gradient(p) = role else { continue };
            let i = random.below(g.data.len());
            let slope = slope(&program, &signature, &mut b, *p as usize, i);
            let near = (slope - g.data[i]).abs() <= 1e-5 * (1.0 + slope.abs());
            assert!(
                near,
                "seed {seed}: parameter {p}[{i}]: {} but the slope is {slope}\n{program}",
                g.data[i]
            );
            checked += 1;
        }
    }
    assert!(checked > PROGRAMS / 2, "only {checked} gradients were there to check");
}

fn slope(program: &Program, signature: &Signature, b: &mut Bindings, p: usize, i: usize) -> f64 {
    let x = b.params[p][i];
    let at = program.outputs.iter().find(|o| o.role == Role::Loss).expect("a loss").value.index();
    let mut loss = |v: f64| {
        b.params[p][i] = v;
        interpret(program, signature, b).expect("interpreted")[at].data[0]
    };
    let slope = (loss(x + 1e-5) - loss(x - 1e-5)) / 2e-5;
    loss(x);
    slope
}
