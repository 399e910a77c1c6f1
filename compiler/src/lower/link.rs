//! Losses of links: the score of each pair against those of its negatives, which are edges that lead to it.
//!
//! All are written with softplus and with the largest score subtracted, so that scores of ±1e4 neither overflow nor vanish.

use gsl_plan::program::{BinaryOp, Domain, Op, ReduceOp, UnaryOp, ValueId};
use gsl_plan::verify::VerifyError;

use crate::layers::LowerCx;
use crate::sema::link::{LinkLoss, Positive};

use super::head::Scores;

type Built = Result<ValueId, VerifyError>;

/// The loss of each pair, Nodes × \[\], from its score p and the scores n of its negatives on Edges{rel, 0} × \[\]; the mean over
/// the sides that are corrupted. `weight` is that of the links, Nodes × \[\].
pub fn link_loss(cx: &mut LowerCx, loss: &LinkLoss, weight: Option<ValueId>, scores: &Scores) -> Built {
    let (p, negatives) = (scores.own, &scores.negatives);
    let mut sum: Option<ValueId> = None;
    for n in negatives {
        let each = LinkCx { cx: &mut *cx, p, n: *n, weight }.loss(loss)?;
        sum = Some(match sum {
            Some(sum) => cx.builder.add(sum, each)?,
            None => each,
        });
    }
    let Some(sum) = sum else { return Err(VerifyError::new("a loss of links without negatives")) };
    match negatives.len() {
        1 => Ok(sum),
        sides => {
            let share = cx.builder.constant(1.0 / sides as f32);
            cx.builder.mul(sum, share)
        }
    }
}

struct LinkCx<'c, 'a> {
    cx: &'c mut LowerCx<'a>,
    p: ValueId,
    n: ValueId,
    weight: Option<ValueId>,
}

impl LinkCx<'_, '_> {
    fn loss(&mut self, loss: &LinkLoss) -> Built {
        match loss {
            LinkLoss::Bce { positive } => self.bce(*positive == Positive::Balanced),
            LinkLoss::Adversarial { temperature } => self.adversarial(*temperature as f32),
            LinkLoss::Contrastive { temperature } => self.contrastive(*temperature as f32),
            LinkLoss::Bpr => self.bpr(),
            LinkLoss::Margin { margin } => self.margin(*margin as f32),
            LinkLoss::Rust(name) => self.registered(name.as_str()),
        }
    }

    /// (w softplus(-p) + Σ softplus(n)) / (1 + K), w = 1 unless links have weights; balanced: (softplus(-p) + mean softplus(n)) / 2.
    fn bce(&mut self, balanced: bool) -> Built {
        let mut positive = self.softplus_of_negated(self.p)?;
        if let Some(weight) = self.weight {
            positive = self.cx.builder.mul(positive, weight)?;
        }
        let each = self.cx.builder.unary(UnaryOp::Softplus, self.n)?;
        if balanced {
            let negative = self.reduce(ReduceOp::Mean, each)?;
            return self.halves(positive, negative);
        }
        let negative = self.reduce(ReduceOp::Sum, each)?;
        let sum = self.cx.builder.add(positive, negative)?;
        let share = self.share_of_all()?;
        self.cx.builder.mul(sum, share)
    }

    /// (softplus(-p) + Σ w softplus(n)) / 2 with w = softmax(n · temperature), whose gradient is not followed.
    fn adversarial(&mut self, temperature: f32) -> Built {
        let positive = self.softplus_of_negated(self.p)?;
        let scaled = self.scaled(self.n, temperature)?;
        let held = self.cx.builder.op(Op::StopGradient, &[scaled])?;
        let top = self.reduce(ReduceOp::Max, held)?;
        let top = self.spread(top)?;
        let below = self.cx.builder.binary(BinaryOp::Sub, held, top)?;
        let power = self.cx.builder.unary(UnaryOp::Exp, below)?;
        let all = self.reduce(ReduceOp::Sum, power)?;
        let all = self.spread(all)?;
        let weight = self.cx.builder.binary(BinaryOp::Div, power, all)?;
        let each = self.cx.builder.unary(UnaryOp::Softplus, self.n)?;
        let weighted = self.cx.builder.mul(each, weight)?;
        let negative = self.reduce(ReduceOp::Sum, weighted)?;
        self.halves(positive, negative)
    }

    /// log(exp(p/t - m) + Σ exp(n/t - m)) + m - p/t, with m the largest of all.
    fn contrastive(&mut self, temperature: f32) -> Built {
        let (p, n) = (self.scaled(self.p, 1.0 / temperature)?, self.scaled(self.n, 1.0 / temperature)?);
        let top = self.reduce(ReduceOp::Max, n)?;
        let both = self.cx.builder.binary(BinaryOp::Max, top, p)?;
        let top = self.cx.builder.op(Op::StopGradient, &[both])?;
        let at_edges = self.spread(top)?;
        let below = self.cx.builder.binary(BinaryOp::Sub, n, at_edges)?;
        let power = self.cx.builder.unary(UnaryOp::Exp, below)?;
        let rest = self.reduce(ReduceOp::Sum, power)?;
        let own = self.cx.builder.binary(BinaryOp::Sub, p, top)?;
        let power = self.cx.builder.unary(UnaryOp::Exp, own)?;
        let all = self.cx.builder.add(power, rest)?;
        let log = self.cx.builder.unary(UnaryOp::Log, all)?;
        self.cx.builder.binary(BinaryOp::Sub, log, own)
    }

    /// mean softplus(n - p)
    fn bpr(&mut self) -> Built {
        let p = self.spread(self.p)?;
        let gap = self.cx.builder.binary(BinaryOp::Sub, self.n, p)?;
        let each = self.cx.builder.unary(UnaryOp::Softplus, gap)?;
        self.reduce(ReduceOp::Mean, each)
    }

    /// mean max(0, margin - p + n)
    fn margin(&mut self, margin: f32) -> Built {
        let p = self.spread(self.p)?;
        let gap = self.cx.builder.binary(BinaryOp::Sub, self.n, p)?;
        let margin = self.cx.builder.constant(margin);
        let over = self.cx.builder.add(gap, margin)?;
        let each = self.cx.builder.unary(UnaryOp::Relu, over)?;
        self.reduce(ReduceOp::Mean, each)
    }

    /// mean f(p, n)
    fn registered(&mut self, name: &str) -> Built {
        let p = self.spread(self.p)?;
        let edges = self.cx.builder.domain(self.n);
        let op = Op::External { name: name.to_owned() };
        let each = self.cx.builder.push(op, &[p, self.n], edges, &[])?;
        self.reduce(ReduceOp::Mean, each)
    }

    fn softplus_of_negated(&mut self, x: ValueId) -> Built {
        let against = self.cx.builder.unary(UnaryOp::Neg, x)?;
        self.cx.builder.unary(UnaryOp::Softplus, against)
    }

    fn scaled(&mut self, x: ValueId, by: f32) -> Built {
        if by == 1.0 {
            return Ok(x);
        }
        let by = self.cx.builder.constant(by);
        self.cx.builder.mul(x, by)
    }

    fn halves(&mut self, a: ValueId, b: ValueId) -> Built {
        let sum = self.cx.builder.add(a, b)?;
        self.scaled(sum, 0.5)
    }

    fn reduce(&mut self, op: ReduceOp, x: ValueId) -> Built {
        self.cx.builder.reduce(op, x)
    }

    /// A value of pairs, at each of their negatives.
    fn spread(&mut self, x: ValueId) -> Built {
        let (rel, hop) = self.edges()?;
        self.cx.builder.dst(x, rel, hop)
    }

    fn edges(&self) -> Result<(u32, u32), VerifyError> {
        match self.cx.builder.domain(self.n) {
            Domain::Edges { rel, hop } => Ok((rel, hop)),
            other => Err(VerifyError::new(format!("negatives in {other:?}"))),
        }
    }

    /// 1 / (1 + K), from r = 1 / K: r / (1 + r).
    fn share_of_all(&mut self) -> Built {
        let (rel, _) = self.edges()?;
        let pairs = self.cx.builder.domain(self.p);
        let one = self.cx.builder.constant(1.0);
        let r = self.cx.builder.push(Op::RecipCount { rel }, &[], pairs, &[])?;
        let over = self.cx.builder.add(r, one)?;
        self.cx.builder.binary(BinaryOp::Div, r, over)
    }
}
