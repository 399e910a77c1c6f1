//! Which values share a kernel, and which reach memory.
//!
//! ```text
//! %5 : edges(0)@0 × [8] = Src(%1)                    traverse edges(0)@0
//! %6 : edges(0)@0 × [] = Exp(%4)                  →    r0 = load src %1, r1 = …, r2 = exp r1, r3 = mul r0 r2
//! %7 : edges(0)@0 × [8] = Mul(%5, %6)                  b7 = sum to dst r3
//! %8 : nodes(0)@0 × [8] = Reduce Sum(%7)
//! %9 : nodes(0)@0 × [8] = Add(%8, %b)             →  map over nodes(0)@0: relu(b7 + b)
//! %10 : nodes(0)@0 × [8] = Relu(%9)
//! ```
//!
//! Every reduction over edges absorbs what it reduces, back to values on nodes; edge values that several reductions need
//! are computed in each. A value on nodes that is computed row by row disappears into its only reader. Reductions over
//! the same edges in the same direction share a kernel. Decided here: groups and their order. Not decided here: the
//! instructions (`kernel`), buffers and steps (`schedule`).

use super::rewrite::is_leaf;
use super::sums::{is_accumulable, is_sum};
use gsl_plan::program::*;
use gsl_plan::schedule::Access;
use std::collections::{BTreeMap, BTreeSet};

/// A matrix product on edges with more multiplications than this runs as one product over all edges.
const MAX_EDGE_PRODUCT: usize = 4096;
/// An edge value that needs more instructions than this is computed once.
const MAX_EDGE_INSTRUCTIONS: usize = 96;
/// A sum along the row of this many numbers on each edge, if it is read more than once, is computed once.
const MIN_KEPT_SUM: usize = 16;
/// Values per kernel over rows.
const MAX_GROUP: u32 = 64;
/// Results per kernel.
const MAX_OUTPUTS: usize = 4;
/// How many earlier kernels are tried for company.
const LOOK_BACK: usize = 4;

/// Where the elements of a value are: in those of `value`, from element `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base {
    pub value: usize,
    pub start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The elements of another value.
    Alias,
    /// A constant, or one repeated.
    Trivial,
    Param,
    /// A matrix that the runtime holds.
    Stored,
    /// A leaf of one number per row, written by a step of its own.
    Filled,
    /// Row by row.
    Point,
    /// A sum that its terms are added to in place.
    InPlace,
    /// A sum over the rows of nodes.
    SumRows,
    /// Σ over edges, to nodes or Global.
    Traverse,
    /// On edges.
    Edge,
    /// A step on whole matrices.
    Whole,
}

/// A use of a value by another.
#[derive(Debug, Clone, Copy)]
struct Reader {
    user: usize,
    /// The whole rows of the same domain are read.
    direct: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// One value, one step.
    Single,
    /// Row by row over a domain.
    Rows(Domain),
    /// Sums over the rows of a domain.
    RowSums(Domain),
    ToDst(Domain),
    ToSrc(Domain),
    ToGlobal(Domain),
    /// An outer product over edges.
    Outer(Domain),
    /// An edge value that has to reach memory.
    Edges(Domain),
}

/// Values that one step computes.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub class: Class,
    pub roots: Vec<usize>,
    inputs: BTreeSet<(usize, Access)>,
    members: u32,
}

pub(super) struct Fusion<'a> {
    pub program: &'a Program,
    pub base: Vec<Base>,
    pub kind: Vec<Kind>,
    /// The root that a value is computed with; itself if it is one.
    pub group: Vec<usize>,
    /// The value in whose buffer the value is: another one for the terms of a sum in place.
    pub owner: Vec<usize>,
    /// Why an edge value reaches memory.
    pub reason: Vec<Option<String>>,
    pub units: Vec<Unit>,
    readers: Vec<Vec<Reader>>,
    is_output: Vec<bool>,
}

pub(super) fn fuse(program: &Program) -> Fusion<'_> {
    let n = program.values.len();
    let mut f = Fusion {
        program,
        base: bases(program),
        kind: vec![],
        group: (0..n).collect(),
        owner: (0..n).collect(),
        reason: vec![None; n],
        units: vec![],
        readers: vec![vec![]; n],
        is_output: vec![false; n],
    };
    f.find_kinds();
    f.find_readers();
    f.find_sums();
    f.find_groups();
    f.find_owners();
    f.find_dear_edges();
    f.find_units();
    f
}

fn bases(program: &Program) -> Vec<Base> {
    let mut bases: Vec<Base> = Vec::with_capacity(program.values.len());
    for (i, value) in program.values.iter().enumerate() {
        let below = |extra: usize| {
            let base: Base = bases[value.args[0].index()];
            Base { value: base.value, start: base.start + extra }
        };
        bases.push(match value.op {
            Op::Reshape | Op::StopGradient | Op::Prefix => below(0),
            Op::Index { index } => below(index * value.width()),
            Op::Slice { start } if value.domain == Domain::Global => below(start),
            _ => Base { value: i, start: 0 },
        });
    }
    bases
}

impl Fusion<'_> {
    pub fn value(&self, i: usize) -> &Value {
        &self.program.values[i]
    }

    /// The value that operand `i` of a value is.
    pub fn arg(&self, value: usize, i: usize) -> usize {
        self.program.values[value].args[i].index()
    }

    pub fn on_edges(&self, i: usize) -> bool {
        matches!(self.value(i).domain, Domain::Edges { .. })
    }

    fn find_kinds(&mut self) {
        for i in 0..self.program.values.len() {
            let kind = self.kind_of(i);
            self.kind.push(kind);
        }
    }

    fn kind_of(&self, i: usize) -> Kind {
        let value = self.value(i);
        let reads_edges = value.args.first().is_some_and(|a| self.on_edges(a.index()));
        match &value.op {
            Op::Const(_) => Kind::Trivial,
            Op::Param { .. } => Kind::Param,
            _ if self.on_edges(i) => Kind::Edge,
            Op::Feature { .. } | Op::Embedding { .. } | Op::Hidden | Op::Degree => Kind::Stored,
            op if is_leaf(op) => Kind::Filled,
            _ if self.base[i].value != i => Kind::Alias,
            Op::Expand(_) if self.kind[self.base[self.arg(i, 0)].value] == Kind::Trivial => Kind::Trivial,
            Op::Reduce(_) | Op::ReduceSrc => Kind::Traverse,
            Op::SumRows | Op::Outer { .. } if reads_edges => Kind::Traverse,
            Op::SumRows => Kind::SumRows,
            Op::Linear { .. }
            | Op::LinearT { .. }
            | Op::Outer { .. }
            | Op::Stack { .. }
            | Op::Pad
            | Op::CrossEntropy { .. }
            | Op::CrossEntropyGrad { .. }
            | Op::External { .. }
            | Op::ExternalGrad { .. }
            | Op::DotToDst
            | Op::DotToSrc => Kind::Whole,
            _ => Kind::Point,
        }
    }

    fn find_readers(&mut self) {
        for (user, value) in self.program.values.iter().enumerate() {
            if matches!(self.kind[user], Kind::Alias) {
                continue;
            }
            for a in &value.args {
                let Base { value: from, .. } = self.base[a.index()];
                let (read, held) = (&self.program.values[a.index()], &self.program.values[from]);
                let direct = read.domain == held.domain && read.width() == held.width();
                self.readers[from].push(Reader { user, direct });
            }
        }
        for output in &self.program.outputs {
            self.is_output[self.base[output.value.index()].value] = true;
        }
    }

    /// Whether one value reads it, once and whole, and no output does.
    fn has_single_reader(&self, i: usize) -> bool {
        !self.is_output[i] && matches!(self.readers[i][..], [Reader { direct: true, .. }])
    }

    /// Sums whose two terms are both added to one buffer.
    fn find_sums(&mut self) {
        for i in 0..self.kind.len() {
            if is_sum(self.value(i)) && (0..2).all(|a| self.is_term(i, a)) {
                self.kind[i] = Kind::InPlace;
            }
        }
    }

    /// The buffer in which each value is formed: that of the sum that it is a term of.
    fn find_owners(&mut self) {
        for i in (0..self.kind.len()).rev() {
            let in_place = self.kind[i] == Kind::InPlace;
            let added_to = self.added_to(i);
            for a in (0..2).filter(|a| in_place || added_to == Some(*a)) {
                let term = self.base[self.arg(i, a)].value;
                self.owner[term] = self.owner[i];
            }
        }
    }

    /// Whether operand `a` of sum `i` can be added to the sum's buffer by the step that computes it.
    pub fn is_term(&self, i: usize, a: usize) -> bool {
        let term = self.base[self.arg(i, a)].value;
        let value = self.value(term);
        let in_place = self.kind[term] == Kind::InPlace || self.is_step_term(term);
        in_place && value.domain == self.value(i).domain && self.has_single_reader(term)
    }

    fn is_step_term(&self, term: usize) -> bool {
        let steps = matches!(self.kind[term], Kind::Whole | Kind::Traverse | Kind::SumRows);
        steps && is_accumulable(&self.value(term).op)
    }

    /// A value computed row by row joins the kernel of its readers if that is one.
    fn find_groups(&mut self) {
        let mut members = vec![1u32; self.kind.len()];
        for i in (0..self.kind.len()).rev().filter(|i| self.kind[*i] == Kind::Point) {
            if let Some(root) = self.common_root(i)
                && members[root] < MAX_GROUP
            {
                self.group[i] = root;
                members[root] += 1;
            }
        }
    }

    fn common_root(&self, i: usize) -> Option<usize> {
        let (first, rest) = self.readers[i].split_first()?;
        let root = self.group[first.user];
        let joins = |r: &Reader| {
            let same_rows = match self.kind[r.user] {
                Kind::Point => self.value(r.user).domain == self.value(i).domain,
                Kind::SumRows => true,
                _ => false,
            };
            r.direct && same_rows && self.group[r.user] == root
        };
        (!self.is_output[i] && joins(first) && rest.iter().all(joins)).then_some(root)
    }

    /// Edge values that are cheaper to keep than to compute again, or that a product over all edges reads or writes.
    fn find_dear_edges(&mut self) {
        for i in 0..self.kind.len() {
            if matches!(self.value(i).op, Op::DotToDst | Op::DotToSrc) {
                self.keep_operand(i, 0, "pairs and candidates");
            }
            if is_external(&self.value(i).op) {
                self.keep_external(i);
            }
        }
        let mut size = vec![0usize; self.kind.len()];
        for i in 0..self.kind.len() {
            if self.kind[i] != Kind::Edge {
                continue;
            }
            let args = self.program.values[i].args.iter().map(|a| a.index());
            size[i] = 1 + args.map(|a| if self.on_edges(a) { size[a] } else { 1 }).sum::<usize>();
            if let Some(product) = self.dear_product(i) {
                self.keep_edge(i, format!("result of a product of {product} on every edge"));
                self.keep_operand(i, 0, &product);
            } else if size[i] > MAX_EDGE_INSTRUCTIONS && !matches!(self.value(i).op, Op::Reshape) {
                self.keep_edge(i, format!("needs more than {MAX_EDGE_INSTRUCTIONS} instructions"));
            } else if is_external(&self.value(i).op) {
                self.keep_edge(i, "result of a function of Rust on every edge".to_owned());
            } else if self.value(i).op == Op::Dot {
                self.keep_edge(i, "products of pairs and candidates".to_owned());
            } else if self.is_output[i] {
                self.keep_edge(i, "what the program is run for".to_owned());
            } else if let Some(inner) = self.dear_sum(i) {
                self.keep_edge(i, format!("a sum of {inner} numbers on every edge, read more than once"));
            }
            if self.reason[i].is_some() {
                size[i] = 1;
            }
        }
    }

    /// How many numbers a sum along the row adds up, where keeping the sums costs less than the rows of another pass.
    fn dear_sum(&self, i: usize) -> Option<usize> {
        let Op::SumInner { inner } = self.value(i).op else { return None };
        (inner >= MIN_KEPT_SUM && self.readers[i].len() > 1).then_some(inner)
    }

    fn keep_edge(&mut self, i: usize, reason: String) {
        self.reason[i].get_or_insert(reason);
    }

    fn keep_operand(&mut self, i: usize, a: usize, product: &str) {
        let x = self.base[self.arg(i, a)].value;
        if !self.is_edge_feature(x) {
            self.keep_edge(x, format!("operand of a product of {product} on every edge"));
        }
    }

    /// A function from outside reads whole matrices.
    fn keep_external(&mut self, i: usize) {
        for a in 0..self.value(i).args.len() {
            let x = self.base[self.arg(i, a)].value;
            if self.on_edges(x) && !self.is_edge_feature(x) {
                self.keep_edge(x, "operand of a function of Rust on every edge".to_owned());
            }
        }
    }

    pub fn is_edge_feature(&self, i: usize) -> bool {
        self.on_edges(i) && matches!(self.value(i).op, Op::Feature { .. })
    }

    /// The dimensions of a matrix product on edges that is too much for a kernel.
    fn dear_product(&self, i: usize) -> Option<String> {
        let (Op::Linear { batch } | Op::LinearT { batch }) = self.value(i).op else { return None };
        let [batch, k, n] = self.matrix(self.arg(i, 1), batch);
        (batch * k * n > MAX_EDGE_PRODUCT).then(|| format!("{batch}×{k}×{n}"))
    }

    /// (batch, k, n) of a weight.
    pub fn matrix(&self, w: usize, batch: usize) -> [usize; 3] {
        let (b, k, n) = gsl_plan::verify::matrix(self.value(w), batch).unwrap_or((batch, 1, 1));
        [b, k, n]
    }

    /// Whether the value is in a buffer, or an operand that a step over whole matrices can read.
    pub fn in_memory(&self, i: usize) -> bool {
        let base = self.base[i].value;
        self.reason[base].is_some() || self.is_edge_feature(base)
    }

    fn find_units(&mut self) {
        let mut merger = Merger::default();
        for i in 0..self.kind.len() {
            if let Some(class) = self.class_of(i) {
                let unit = self.unit(class, i);
                merger.push(self, unit);
            }
        }
        self.units = merger.ordered();
    }

    fn class_of(&self, i: usize) -> Option<Class> {
        let value = self.value(i);
        match self.kind[i] {
            Kind::Filled | Kind::Whole => Some(Class::Single),
            Kind::Point if self.group[i] == i => Some(Class::Rows(value.domain)),
            Kind::Trivial if self.must_be_written(i) => Some(Class::Rows(value.domain)),
            Kind::SumRows => Some(Class::RowSums(self.value(self.arg(i, 0)).domain)),
            Kind::Traverse => Some(self.traverse_class(i)),
            Kind::Edge if self.reason[i].is_some() => match value.op {
                Op::Dot | Op::External { .. } | Op::ExternalGrad { .. } => Some(Class::Single),
                Op::Linear { .. } | Op::LinearT { .. } if self.dear_product(i).is_some() => {
                    Some(Class::Single)
                }
                _ => Some(Class::Edges(value.domain)),
            },
            _ => None,
        }
    }

    fn traverse_class(&self, i: usize) -> Class {
        let value = self.value(i);
        let edges = self.value(self.arg(i, 0)).domain;
        match value.op {
            Op::Reduce(_) => Class::ToDst(edges),
            Op::ReduceSrc => Class::ToSrc(edges),
            Op::Outer { .. } if self.in_memory(self.arg(i, 0)) && self.in_memory(self.arg(i, 1)) => {
                Class::Single
            }
            Op::Outer { .. } => Class::Outer(edges),
            _ => Class::ToGlobal(edges),
        }
    }

    /// A constant that a step over whole matrices, or an output, reads.
    fn must_be_written(&self, i: usize) -> bool {
        let whole = |r: &Reader| match self.kind[r.user] {
            Kind::Whole => true,
            Kind::Edge => self.dear_product(r.user).is_some() || is_external(&self.value(r.user).op),
            _ => false,
        };
        self.is_output[i] || self.readers[i].iter().any(whole)
    }

    fn unit(&self, class: Class, root: usize) -> Unit {
        let mut unit = Unit { class, roots: vec![root], inputs: BTreeSet::new(), members: 0 };
        let mut seen = BTreeSet::new();
        let mut pending: Vec<usize> = match class {
            Class::Single => vec![],
            _ => vec![root],
        };
        while let Some(i) = pending.pop() {
            if !seen.insert(i) {
                continue;
            }
            unit.members += 1;
            for a in self.program.values[i].args.iter().map(|a| a.index()) {
                match self.reads_from(root, i, a) {
                    Some(input) => {
                        unit.inputs.insert(input);
                    }
                    None => pending.push(a),
                }
            }
        }
        unit
    }

    /// The buffer that operand `a` of `i` comes from, or none if the kernel of `root` computes it.
    fn reads_from(&self, root: usize, i: usize, a: usize) -> Option<(usize, Access)> {
        let base = self.base[a].value;
        match self.value(i).op {
            Op::Src => return Some((base, Access::Src)),
            Op::Dst => return Some((base, Access::Dst)),
            _ => {}
        }
        if self.on_edges(a) {
            return self.in_memory(a).then_some((base, Access::Edge));
        }
        let inside = self.kind[base] == Kind::Point && self.group[base] == root && self.is_direct(a);
        let access = if self.value(a).domain == Domain::Global { Access::Global } else { Access::Row };
        (!inside).then_some((base, access))
    }

    /// Whether `a` is all of the rows and elements of its base.
    pub fn is_direct(&self, a: usize) -> bool {
        let base = self.base[a].value;
        self.value(a).domain == self.value(base).domain && self.value(a).width() == self.value(base).width()
    }

    /// The operand of the sum at `root` that is in memory while the other is added to it, if there is one.
    pub fn added_to(&self, root: usize) -> Option<usize> {
        let sum = is_sum(self.value(root)) && self.kind[root] == Kind::Point && self.group[root] == root;
        (0..2).find(|a| sum && self.is_term(root, *a))
    }
}

fn is_external(op: &Op) -> bool {
    matches!(op, Op::External { .. } | Op::ExternalGrad { .. })
}

/// Puts units in order and lets those that fit share a step.
#[derive(Default)]
struct Merger {
    units: Vec<(usize, Unit)>,
    /// Positions of units by class, newest last.
    by_class: BTreeMap<Class, Vec<usize>>,
    /// When the buffer of a value is complete.
    ready: BTreeMap<usize, usize>,
}

impl Merger {
    fn push(&mut self, f: &Fusion, unit: Unit) {
        let root = unit.roots[0];
        if let Some(host) = self.host(f, &unit) {
            let (at, into) = &mut self.units[host];
            into.roots.push(root);
            into.inputs.extend(unit.inputs);
            into.members += unit.members;
            self.ready.insert(root, *at);
            return;
        }
        let at = if f.kind[root] == Kind::Filled { 0 } else { root };
        self.ready.insert(root, at);
        self.by_class.entry(unit.class).or_default().push(self.units.len());
        self.units.push((at, unit));
    }

    /// An earlier unit of the same class that reads some of the same rows, when everything that is read is there already.
    fn host(&self, f: &Fusion, unit: &Unit) -> Option<usize> {
        if matches!(unit.class, Class::Single | Class::Outer(_)) || f.added_to(unit.roots[0]).is_some() {
            return None;
        }
        let earlier = self.by_class.get(&unit.class)?;
        earlier.iter().rev().take(LOOK_BACK).copied().find(|host| self.fits(f, *host, unit))
    }

    fn fits(&self, f: &Fusion, host: usize, unit: &Unit) -> bool {
        let (at, into) = &self.units[host];
        let small = into.roots.len() < MAX_OUTPUTS && into.members + unit.members <= MAX_GROUP;
        let own_buffer = into.roots.iter().all(|r| f.owner[*r] != f.owner[unit.roots[0]]);
        let adds = into.roots.iter().any(|r| f.added_to(*r).is_some());
        if !small || !own_buffer || adds {
            return false;
        }
        let rows = matches!(unit.class, Class::Rows(Domain::Nodes { .. }));
        let of_host = |v: usize| rows && into.roots.contains(&v);
        let shares =
            unit.inputs.iter().any(|i| into.inputs.contains(i) && i.1 != Access::Global || of_host(i.0));
        let ready = |v: usize| match f.kind[v] {
            Kind::Param | Kind::Stored | Kind::Trivial | Kind::Edge if f.reason[v].is_none() => true,
            Kind::InPlace => v < *at,
            _ => self.ready.get(&v).is_some_and(|r| r < at),
        };
        shares && unit.inputs.iter().all(|(v, access)| (of_host(*v) && *access == Access::Row) || ready(*v))
    }

    fn ordered(self) -> Vec<Unit> {
        let mut units = self.units;
        units.sort_by_key(|(at, unit)| (*at, unit.roots[0]));
        units.into_iter().map(|(_, unit)| unit).collect()
    }
}
