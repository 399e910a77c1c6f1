//! Lowering of the operations themselves: on rows, and over relations, edges and dimensions.

use gsl_plan::program::{BinaryOp, Broadcast, Domain, Op, ReduceOp, UnaryOp, ValueId};

use super::super::cx::relations_into;
use super::super::typed::*;
use super::{Env, Key, Low, Lower, Lowered, Made};
use crate::diag::{Diagnostic, codes};

/// A score no sum of which matters: exp(-1e30) is 0.
const NOWHERE: f32 = -1e30;

impl Lower<'_, '_, '_> {
    pub(super) fn unary(&mut self, op: UnaryOp, x: &Typed, env: &Env) -> Lowered {
        match self.eval(x, env)? {
            Low::Number(n) => Ok(Low::Number(gsl_plan::interpret::unary(op, n))),
            Low::Value(v) => self.op(Op::Unary(op), &[v]).map(Low::Value),
        }
    }

    fn apply(&mut self, op: UnaryOp, x: ValueId) -> Made {
        self.op(Op::Unary(op), &[x])
    }

    /// x^p by the cheapest operation: squares, roots and their inverses; else exp(p log x).
    pub(super) fn power(&mut self, p: &Constant, x: &Typed, env: &Env) -> Lowered {
        let p = self.number(p)?;
        let x = match self.eval(x, env)? {
            Low::Number(n) => return Ok(Low::Number(n.powf(p))),
            Low::Value(v) => v,
        };
        let named = match p {
            1.0 => return Ok(Low::Value(x)),
            2.0 => Some(UnaryOp::Square),
            0.5 => Some(UnaryOp::Sqrt),
            -0.5 => Some(UnaryOp::Rsqrt),
            -1.0 => Some(UnaryOp::Recip),
            _ => None,
        };
        if let Some(op) = named {
            return self.apply(op, x).map(Low::Value);
        }
        if p == 3.0 {
            let square = self.apply(UnaryOp::Square, x)?;
            return self.pair(BinaryOp::Mul, square, x).map(Low::Value);
        }
        let log = self.apply(UnaryOp::Log, x)?;
        let scaled = self.scaled(log, p)?;
        self.apply(UnaryOp::Exp, scaled).map(Low::Value)
    }

    /// Two values of one shape, or one of them a number.
    fn pair(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> Made {
        self.cx.builder.binary(op, a, b).map_err(|e| self.ill(e))
    }

    fn scaled(&mut self, x: ValueId, factor: f64) -> Made {
        let factor = self.cx.builder.constant(factor as f32);
        let by = Op::Binary { op: BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Scalar };
        self.op(by, &[x, factor])
    }

    pub(super) fn binary(
        &mut self,
        value: &Typed,
        op: Pointwise,
        left: &Typed,
        right: &Typed,
        fits: (Fit, Fit),
        env: &Env,
    ) -> Lowered {
        let (a, b) = (self.eval(left, env)?, self.eval(right, env)?);
        if let Some(low) = self.folded(op, a, b, value, (left, right)) {
            return Ok(low);
        }
        let shape = self.shape(value)?;
        let (a, left) = self.operand(a, left, fits.0, &shape)?;
        let (b, right) = self.operand(b, right, fits.1, &shape)?;
        let both = self.together(&[a, b], env)?;
        let op = match op {
            Pointwise::Add => BinaryOp::Add,
            Pointwise::Sub => BinaryOp::Sub,
            Pointwise::Mul => BinaryOp::Mul,
            Pointwise::Div => BinaryOp::Div,
            Pointwise::Max => BinaryOp::Max,
            Pointwise::Min => BinaryOp::Min,
        };
        let made = self.op(Op::Binary { op, left, right }, &both)?;
        self.reshape(made, &shape).map(Low::Value)
    }

    /// Numbers with numbers, and zeros that disappear: a sum over no relations is one.
    fn folded(&self, op: Pointwise, a: Low, b: Low, value: &Typed, sides: (&Typed, &Typed)) -> Option<Low> {
        let whole = |side: &Typed| side.shape == value.shape;
        match (op, a, b) {
            (_, Low::Number(x), Low::Number(y)) => Some(Low::Number(match op {
                Pointwise::Add => x + y,
                Pointwise::Sub => x - y,
                Pointwise::Mul => x * y,
                Pointwise::Div => x / y,
                Pointwise::Max => x.max(y),
                Pointwise::Min => x.min(y),
            })),
            (Pointwise::Add, Low::Number(0.0), kept) if whole(sides.1) => Some(kept),
            (Pointwise::Add | Pointwise::Sub, kept, Low::Number(0.0)) if whole(sides.0) => Some(kept),
            (Pointwise::Mul, Low::Number(0.0), _) | (Pointwise::Mul, _, Low::Number(0.0)) => {
                Some(Low::Number(0.0))
            }
            (Pointwise::Div, Low::Number(0.0), _) => Some(Low::Number(0.0)),
            (Pointwise::Mul | Pointwise::Div, kept, Low::Number(1.0)) if whole(sides.0) => Some(kept),
            (Pointwise::Mul, Low::Number(1.0), kept) if whole(sides.1) => Some(kept),
            _ => None,
        }
    }

    /// The operand and how its row is read in a row of `shape`.
    fn operand(
        &mut self,
        low: Low,
        side: &Typed,
        fit: Fit,
        shape: &[usize],
    ) -> Result<(ValueId, Broadcast), Box<Diagnostic>> {
        let value = match low {
            Low::Number(x) => {
                let number = self.cx.builder.constant(x as f32);
                if !matches!(fit, Fit::Same) {
                    return Ok((number, Broadcast::Scalar));
                }
                let own = self.shape(side)?;
                if own.is_empty() {
                    number
                } else {
                    self.push(Op::Expand(Broadcast::Scalar), &[number], Domain::Global, &own)?
                }
            }
            Low::Value(v) => v,
        };
        let (width, full) = (self.cx.builder.value(value).width(), shape.iter().product::<usize>());
        let by = match fit {
            Fit::Same => Broadcast::Full,
            Fit::Scalar => Broadcast::Scalar,
            Fit::Suffix => Broadcast::Inner { len: width },
            Fit::Prefix => Broadcast::Outer { inner: full / width.max(1) },
            Fit::Middle { skip } => {
                let inner: usize = shape[skip + side.shape.len()..].iter().product();
                let domain = self.domain(value);
                let wide =
                    self.push(Op::Expand(Broadcast::Outer { inner }), &[value], domain, &[width * inner])?;
                return Ok((wide, Broadcast::Inner { len: width * inner }));
            }
            Fit::Feature if width == 1 => Broadcast::Scalar,
            Fit::Feature if width == full => Broadcast::Full,
            Fit::Feature => return Err(Box::new(self.feature_mismatch(side, width, full))),
        };
        Ok((value, by))
    }

    fn feature_mismatch(&self, side: &Typed, width: usize, full: usize) -> Diagnostic {
        let name = side.shape.first().map(ToString::to_string).unwrap_or_default();
        let text = format!("`{name}` is {width} wide, and meets rows of {full}");
        let there = Diagnostic::new(codes::LAYER_DIMENSIONS, "it is used here")
            .at(side.span, format!("{width} wide"));
        Diagnostic::new(codes::LAYER_DIMENSIONS, text)
            .at(self.call.span, "for this graph")
            .help(format!("bring it to that width by a weight: `{name} @ W` with `weight W : {name} x out`"))
            .related(super::super::args::in_file_of(there, &self.call.layer))
    }

    /// x @ w as `Linear`, the shared dimensions as its batch. Where w lacks some of x's dimensions it is repeated along them.
    pub(super) fn product(
        &mut self,
        value: &Typed,
        x: &Typed,
        w: &Typed,
        shared: usize,
        spread: usize,
        env: &Env,
    ) -> Lowered {
        let row = self.eval(x, env)?;
        if row == Low::Number(0.0) {
            return Ok(row);
        }
        let (x_shape, w_shape) = (self.shape(x)?, self.shape(w)?);
        let row = self.made(row, &x_shape)?;
        let mut weight = self.value(w, env)?;
        if self.domain(weight) != Domain::Global {
            return self.product_by_row(value, row, weight, (shared, spread), &w_shape, env);
        }
        let count = |dims: &[usize]| dims.iter().product::<usize>();
        let mut batch = count(&w_shape[..shared]);
        let matrix = &w_shape[shared..];
        if spread > 0 {
            let times = count(&x_shape[shared..shared + spread]);
            weight = self.repeated(weight, batch, times, matrix)?;
            batch *= times;
        } else {
            let form = if batch == 1 { matrix.to_vec() } else { [&[batch], matrix].concat() };
            weight = self.reshape(weight, &form)?;
        }
        let made = self.op(Op::Linear { batch }, &[row, weight])?;
        let shape = self.shape(value)?;
        self.reshape(made, &shape).map(Low::Value)
    }

    /// w: \[batch, matrix…\] → \[batch · times, matrix…\], each matrix `times` times in a row.
    fn repeated(&mut self, w: ValueId, batch: usize, times: usize, matrix: &[usize]) -> Made {
        let size: usize = matrix.iter().product();
        let shape = if batch * times == 1 { matrix.to_vec() } else { [&[batch * times], matrix].concat() };
        if times == 1 {
            return self.reshape(w, &shape);
        }
        let by = Broadcast::Inner { len: size };
        if batch == 1 {
            return self.push(Op::Expand(by), &[w], Domain::Global, &shape);
        }
        let flat = self.reshape(w, &[&[batch], matrix].concat())?;
        let mut copies = Vec::new();
        for b in 0..batch {
            let one = self.op(Op::Index { index: b }, &[flat])?;
            copies.push(self.push(Op::Expand(by), &[one], Domain::Global, &[times * size])?);
        }
        let all = self.op(Op::Concat, &copies)?;
        self.reshape(all, &shape)
    }

    pub(super) fn concat(&mut self, items: &[Typed], env: &Env) -> Lowered {
        let values: Vec<ValueId> = items.iter().map(|i| self.value(i, env)).collect::<Result<_, _>>()?;
        let values = self.together(&values, env)?;
        self.op(Op::Concat, &values).map(Low::Value)
    }

    /// A registered function of rows, of at least one row of a node or an edge.
    pub(super) fn rust(&mut self, value: &Typed, name: &str, args: &[Typed], env: &Env) -> Lowered {
        let values: Vec<ValueId> = args.iter().map(|arg| self.value(arg, env)).collect::<Result<_, _>>()?;
        let values = self.together(&values, env)?;
        let shape = self.shape(value)?;
        let rows = values.iter().map(|v| self.domain(*v)).find(|domain| *domain != Domain::Global);
        let Some(rows) = rows else { return self.fault("a function of Rust without rows") };
        self.push(Op::External { name: name.to_owned() }, &values, rows, &shape).map(Low::Value)
    }

    pub(super) fn dropout(&mut self, p: &Constant, x: &Typed, env: &Env) -> Lowered {
        let p = self.number(p)? as f32;
        match self.eval(x, env)? {
            Low::Value(v) if self.domain(v) != Domain::Global => {
                self.cx.dropout(v, p).map(Low::Value).map_err(|e| self.ill(e))
            }
            other => Ok(other),
        }
    }

    // ------------------------------------------------------------------------------------------- relations and edges

    fn relations_of(&self, env: &Env) -> Vec<u32> {
        match env.node {
            Domain::Nodes { ty, .. } => relations_into(self.cx.facts, ty),
            _ => Vec::new(),
        }
    }

    pub(super) fn over_relations(&mut self, op: Fold, body: &Typed, env: &Env) -> Lowered {
        let relations = self.relations_of(env);
        let shape = self.shape(body)?;
        let mut terms = Vec::new();
        for rel in &relations {
            let low = self.eval(body, &Env { relation: Some(*rel), ..*env })?;
            if low != Low::Number(0.0) || !matches!(op, Fold::Sum | Fold::Mean) {
                terms.push(self.made(low, &shape)?);
            }
        }
        let total = self.joined(op, &terms)?;
        match (op, total) {
            (Fold::Mean, Low::Value(v)) if relations.len() > 1 => {
                self.scaled(v, 1.0 / relations.len() as f64).map(Low::Value)
            }
            (_, total) => Ok(total),
        }
    }

    /// The terms brought together two by two, in order; zero for none.
    fn joined(&mut self, op: Fold, terms: &[ValueId]) -> Lowered {
        let with = match op {
            Fold::Sum | Fold::Mean => BinaryOp::Add,
            Fold::Max => BinaryOp::Max,
            Fold::Min => BinaryOp::Min,
        };
        let Some((first, rest)) = terms.split_first() else { return Ok(Low::Number(0.0)) };
        let mut all = *first;
        for term in rest {
            all = self
                .op(Op::Binary { op: with, left: Broadcast::Full, right: Broadcast::Full }, &[all, *term])?;
        }
        Ok(Low::Value(all))
    }

    /// The body on the edges of one relation.
    fn on_edges(&mut self, body: &Typed, rel: u32, env: &Env) -> Made {
        let low = self.eval(body, &Env { relation: Some(rel), ty: None, ..*env })?;
        let shape = self.shape(body)?;
        let domain = Domain::Edges { rel, hop: self.hop };
        self.rows_in(low, domain, &shape)
    }

    pub(super) fn over_edges(&mut self, op: Fold, over: Over, body: &Typed, env: &Env) -> Lowered {
        let relations = match (over, env.relation) {
            (Over::EdgesOf, Some(rel)) => vec![rel],
            (Over::EdgesOf, None) => return self.fault("edges of no relation"),
            _ => self.relations_of(env),
        };
        let mut messages = Vec::new();
        for rel in &relations {
            messages.push((*rel, self.on_edges(body, *rel, env)?));
        }
        match (op, messages.as_slice()) {
            (_, []) => Ok(Low::Number(0.0)),
            (_, [(_, one)]) => self.op(Op::Reduce(reduce(op)), &[*one]).map(Low::Value),
            (Fold::Sum, many) => self.sum_of(many).map(Low::Value),
            (Fold::Mean, many) => {
                let total = self.sum_of(many)?;
                let share = self.recip_total(&relations)?;
                self.by_node(total, share).map(Low::Value)
            }
            (Fold::Max | Fold::Min, many) => {
                let (best, any) = self.extreme(op, many)?;
                self.by_node(best, any).map(Low::Value)
            }
        }
    }

    fn sum_of(&mut self, messages: &[(u32, ValueId)]) -> Made {
        let mut sums = Vec::new();
        for (_, message) in messages {
            sums.push(self.op(Op::Reduce(ReduceOp::Sum), &[*message])?);
        }
        match self.joined(Fold::Sum, &sums)? {
            Low::Value(v) => Ok(v),
            Low::Number(_) => self.fault("a sum of no relations"),
        }
    }

    /// One number per node times a row per node.
    fn by_node(&mut self, x: ValueId, number: ValueId) -> Made {
        self.op(
            Op::Binary { op: BinaryOp::Mul, left: Broadcast::Full, right: Broadcast::Scalar },
            &[x, number],
        )
    }

    /// 1 / max(1, edges of all these relations into the node).
    fn recip_total(&mut self, relations: &[u32]) -> Made {
        let mut counts = Vec::new();
        for rel in relations {
            let ones = self.ones(Domain::Edges { rel: *rel, hop: self.hop })?;
            counts.push(self.op(Op::Reduce(ReduceOp::Sum), &[ones])?);
        }
        let Low::Value(total) = self.joined(Fold::Sum, &counts)? else {
            return self.fault("a count of no relations");
        };
        let one = self.cx.builder.constant(1.0);
        let least = self.pair(BinaryOp::Max, total, one)?;
        self.apply(UnaryOp::Recip, least)
    }

    /// Whether the node has edges of the relation: 1 or 0.
    fn has_edges(&mut self, rel: u32) -> Made {
        let ones = self.ones(Domain::Edges { rel, hop: self.hop })?;
        self.op(Op::Reduce(ReduceOp::Max), &[ones])
    }

    /// The extreme over the edges of several relations, of which a node may lack some, and whether it has any edge. A
    /// relation without edges counts as ∓1e30, not as the 0 that a reduction of nothing gives.
    fn extreme(
        &mut self,
        op: Fold,
        messages: &[(u32, ValueId)],
    ) -> Result<(ValueId, ValueId), Box<Diagnostic>> {
        let (mut tops, mut has) = (Vec::new(), Vec::new());
        for (rel, message) in messages {
            let top = self.op(Op::Reduce(reduce(op)), &[*message])?;
            let present = self.has_edges(*rel)?;
            let one = self.cx.builder.constant(1.0);
            let absent = self.pair(BinaryOp::Sub, one, present)?;
            let far = self.cx.builder.constant(if op == Fold::Min { -NOWHERE } else { NOWHERE });
            let shift = self.pair(BinaryOp::Mul, absent, far)?;
            let by = Op::Binary { op: BinaryOp::Add, left: Broadcast::Full, right: Broadcast::Scalar };
            tops.push(self.op(by, &[top, shift])?);
            has.push(present);
        }
        match (self.joined(op, &tops)?, self.joined(Fold::Max, &has)?) {
            (Low::Value(best), Low::Value(any)) => Ok((best, any)),
            _ => self.fault("an extreme of no relations"),
        }
    }

    /// exp(e − m) / Σ exp(e − m) over the edges into v, m their largest score. Gives the coefficients of this relation's
    /// edges; those of the other relations are kept for when they are asked for.
    pub(super) fn softmax(&mut self, over: Over, body: &Typed, id: usize, env: &Env) -> Lowered {
        let Some(wanted) = env.relation else { return self.fault("a softmax on no edge") };
        let key = |rel: u32| Key::Softmax(id, Env { relation: Some(rel), ty: None, ..*env });
        if let Some(done) = self.memo.get(&key(wanted)) {
            return Ok(*done);
        }
        let relations = if over == Over::EdgesOf { vec![wanted] } else { self.relations_of(env) };
        let mut scores = Vec::new();
        for rel in &relations {
            scores.push((*rel, self.on_edges(body, *rel, env)?));
        }
        let top = match scores.as_slice() {
            [(_, one)] => self.op(Op::Reduce(ReduceOp::Max), &[*one])?,
            many => self.extreme(Fold::Max, many)?.0,
        };
        let top = self.op(Op::StopGradient, &[top])?;
        let mut powers = Vec::new();
        for (rel, score) in &scores {
            let at = self.moved(top, Domain::Edges { rel: *rel, hop: self.hop })?;
            let shifted = self.op(full(BinaryOp::Sub), &[*score, at])?;
            powers.push((*rel, self.apply(UnaryOp::Exp, shifted)?));
        }
        let total = self.sum_of(&powers)?;
        for (rel, power) in powers {
            let at = self.moved(total, Domain::Edges { rel, hop: self.hop })?;
            let share = self.op(full(BinaryOp::Div), &[power, at])?;
            self.memo.insert(key(rel), Low::Value(share));
        }
        match self.memo.get(&key(wanted)) {
            Some(done) => Ok(*done),
            None => self.fault("a softmax over other edges"),
        }
    }

    // ----------------------------------------------------------------------------------------------------- dimensions

    pub(super) fn row_reduce(
        &mut self,
        value: &Typed,
        op: Fold,
        axis: usize,
        body: &Typed,
        env: &Env,
    ) -> Lowered {
        let low = self.eval(body, env)?;
        let (shape, result) = (self.shape(body)?, self.shape(value)?);
        let x = match (op, low) {
            (Fold::Sum, Low::Number(n)) => return Ok(Low::Number(n * shape[axis] as f64)),
            (_, Low::Number(n)) => return Ok(Low::Number(n)),
            (_, Low::Value(v)) => v,
        };
        let made = self.fold_axis(op, x, &shape, axis)?;
        self.reshape(made, &result).map(Low::Value)
    }

    fn fold_axis(&mut self, op: Fold, x: ValueId, shape: &[usize], axis: usize) -> Made {
        let width = shape[axis];
        let (before, after): (usize, usize) =
            (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        match op {
            _ if width == 1 => Ok(x),
            Fold::Mean => {
                let sum = self.fold_axis(Fold::Sum, x, shape, axis)?;
                self.scaled(sum, 1.0 / width as f64)
            }
            Fold::Min => {
                let flipped = self.apply(UnaryOp::Neg, x)?;
                let most = self.fold_axis(Fold::Max, flipped, shape, axis)?;
                self.apply(UnaryOp::Neg, most)
            }
            Fold::Sum if after == 1 => self.op(Op::SumInner { inner: width }, &[x]),
            Fold::Max if after == 1 => self.op(Op::MaxInner { inner: width }, &[x]),
            Fold::Sum if before == 1 => self.op(Op::SumOuter { inner: after }, &[x]),
            _ => self.fold_slices(op, x, (before, width, after)),
        }
    }

    /// \[before, width, after\] → \[before · after\], slice by slice: for the few forms that no operation has.
    fn fold_slices(&mut self, op: Fold, x: ValueId, (before, width, after): (usize, usize, usize)) -> Made {
        let domain = self.domain(x);
        let mut blocks = Vec::new();
        for b in 0..before {
            let mut slices = Vec::new();
            for w in 0..width {
                let start = (b * width + w) * after;
                slices.push(self.push(Op::Slice { start }, &[x], domain, &[after])?);
            }
            match self.joined(op, &slices)? {
                Low::Value(v) => blocks.push(v),
                Low::Number(_) => return self.fault("a dimension of no width"),
            }
        }
        match blocks.as_slice() {
            [one] => Ok(*one),
            many => self.op(Op::Concat, many),
        }
    }

    /// exp(x − max) / Σ exp(x − max) over one dimension.
    pub(super) fn row_softmax(&mut self, axis: usize, body: &Typed, env: &Env) -> Lowered {
        let shape = self.shape(body)?;
        let low = self.eval(body, env)?;
        let x = self.made(low, &shape)?;
        let top = self.fold_axis(Fold::Max, x, &shape, axis)?;
        let top = self.op(Op::StopGradient, &[top])?;
        let top = self.spread(top, &shape, axis)?;
        let shifted = self.op(full(BinaryOp::Sub), &[x, top])?;
        let power = self.apply(UnaryOp::Exp, shifted)?;
        let total = self.fold_axis(Fold::Sum, power, &shape, axis)?;
        let total = self.spread(total, &shape, axis)?;
        let share = self.op(full(BinaryOp::Div), &[power, total])?;
        self.reshape(share, &shape).map(Low::Value)
    }

    /// A row without dimension `axis`, repeated along it.
    fn spread(&mut self, x: ValueId, shape: &[usize], axis: usize) -> Made {
        let domain = self.domain(x);
        let (before, after): (usize, usize) =
            (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        if after == 1 || before == 1 {
            let by = if after == 1 {
                Broadcast::Outer { inner: shape[axis] }
            } else {
                Broadcast::Inner { len: after }
            };
            return self.push(Op::Expand(by), &[x], domain, shape);
        }
        let mut blocks = Vec::new();
        for b in 0..before {
            let block = self.push(Op::Slice { start: b * after }, &[x], domain, &[after])?;
            let wide = &[shape[axis] * after];
            blocks.push(self.push(Op::Expand(Broadcast::Inner { len: after }), &[block], domain, wide)?);
        }
        let all = self.op(Op::Concat, &blocks)?;
        self.reshape(all, shape)
    }
}

fn full(op: BinaryOp) -> Op {
    Op::Binary { op, left: Broadcast::Full, right: Broadcast::Full }
}

fn reduce(op: Fold) -> ReduceOp {
    match op {
        Fold::Sum => ReduceOp::Sum,
        Fold::Mean => ReduceOp::Mean,
        Fold::Max => ReduceOp::Max,
        Fold::Min => ReduceOp::Min,
    }
}
