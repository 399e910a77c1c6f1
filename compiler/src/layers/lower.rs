//! From a typed body to tensor operations, for given widths and a given graph.
//!
//! Decided here: what is checked once the arguments and the graph are known; that a value is computed in the smallest
//! domain that it depends on and moved only where two domains meet. Not decided here: fusing, the order of multiply and
//! aggregate, sharing of equal terms.

use std::collections::BTreeMap;

use gsl_plan::graph::GraphFacts;
use gsl_plan::plan::Init;
use gsl_plan::program::{Broadcast, Domain, Op, UnaryOp, ValueId};
use gsl_plan::verify::VerifyError;

use super::args::{Arg, Declared, Scope, call_args, in_file_of};
use super::check::check_body;
use super::cx::{LowerCx, relations_into};
use super::dims::{Dim, NoWidth, Widths};
use super::typed::*;
use super::{LayerCall, Rows};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{BinaryOp, LayerKind};

/// Whether a layer looks at neighbours. Modules never do; compositions are asked part by part.
pub fn needs(layer: &Declared, scope: &Scope) -> bool {
    let (body, _) = check_body(layer, scope, &mut Vec::new());
    body.output.is_some_and(|i| body.equations[i].reduces)
        || (layer.decl.kind == LayerKind::Layer && body.reads().0)
}

/// The node types whose rows, one hop further out, a layer reads to compute `wanted`; sorted.
pub fn inputs_needed(facts: &GraphFacts, layer: &Declared, scope: &Scope, wanted: &[u32]) -> Vec<u32> {
    let (body, _) = check_body(layer, scope, &mut Vec::new());
    inputs_of(facts, &body, wanted)
}

fn inputs_of(facts: &GraphFacts, body: &Body, wanted: &[u32]) -> Vec<u32> {
    let (source, node) = body.reads();
    let sources = wanted
        .iter()
        .flat_map(|ty| relations_into(facts, *ty))
        .map(|r| facts.relations[r as usize].src as u32);
    let mut types: Vec<u32> = if source { sources.collect() } else { Vec::new() };
    types.extend(wanted.iter().copied().filter(|_| node));
    types.sort_unstable();
    types.dedup();
    types
}

/// The rows of `wanted` at `hop`, each Nodes{ty, hop} × \[width\], from `input`, Nodes{ty, hop + 1} × \[in\] for every type in
/// [`inputs_needed`]; for a layer that looks at no neighbours `input` may be at `hop` itself.
///
/// # Errors
/// Mistakes of the declaration, and those that only this graph and these arguments show: widths that are not whole, node
/// types of different widths, edge features that a relation lacks.
pub fn lower_layer(
    cx: &mut LowerCx,
    call: &LayerCall,
    scope: &Scope,
    input: &Rows,
    hop: u32,
    wanted: &[u32],
) -> Result<Rows, Vec<Diagnostic>> {
    let body = checked(call, scope)?;
    let width = common_width(cx, call, &body, input, wanted)?;
    let reach = input.values().find_map(|id| match cx.builder.domain(*id) {
        Domain::Nodes { hop, .. } => Some(hop),
        _ => None,
    });
    let mut lower = Lower::new(cx, call, scope, &body, width);
    lower.input = input.clone();
    lower.hop = hop;
    lower.reach = reach.unwrap_or(hop + 1);
    lower.wanted = wanted.to_vec();
    lower.ready(wanted)?;
    let mut rows = Rows::new();
    let mut wrong = Vec::new();
    for ty in wanted {
        match lower.output(Domain::Nodes { ty: *ty, hop }) {
            Ok(value) => drop(rows.insert(*ty, value)),
            Err(diagnostic) => wrong.push(*diagnostic),
        }
    }
    if wrong.is_empty() { Ok(rows) } else { Err(wrong) }
}

/// What a module gives for the rows of `input`, in their domain, × \[width\].
///
/// # Errors
/// As [`lower_layer`].
pub fn lower_module(
    cx: &mut LowerCx,
    call: &LayerCall,
    scope: &Scope,
    input: ValueId,
) -> Result<ValueId, Vec<Diagnostic>> {
    let body = checked(call, scope)?;
    let width = cx.builder.value(input).width();
    let domain = cx.builder.domain(input);
    let mut lower = Lower::new(cx, call, scope, &body, width);
    lower.row = Some(input);
    lower.ready(&[])?;
    lower.output(domain).map_err(|d| vec![*d])
}

fn checked(call: &LayerCall, scope: &Scope) -> Result<Body, Vec<Diagnostic>> {
    let (body, found) = check_body(&call.layer, scope, &mut Vec::new());
    let wrong: Vec<Diagnostic> = found.into_iter().filter(Diagnostic::is_error).collect();
    if wrong.is_empty() { Ok(body) } else { Err(wrong) }
}

/// The one width of everything that comes in.
fn common_width(
    cx: &LowerCx,
    call: &LayerCall,
    body: &Body,
    input: &Rows,
    wanted: &[u32],
) -> Result<usize, Vec<Diagnostic>> {
    let types = inputs_of(cx.facts, body, wanted);
    let widths: Vec<(u32, usize)> =
        types.iter().filter_map(|ty| Some((*ty, cx.builder.value(*input.get(ty)?).width()))).collect();
    let Some((_, first)) = widths.first() else { return Ok(1) };
    if widths.iter().all(|(_, w)| w == first) {
        return Ok(*first);
    }
    let list: Vec<String> = widths.iter().map(|(ty, w)| format!("`{}` {w}", cx.node_label(*ty))).collect();
    let text = format!("node types come into `{}` with different widths", call.layer.decl.name);
    Err(vec![
        Diagnostic::new(codes::LAYER_WIDTHS, text)
            .at(call.span, list.join(", "))
            .help("let every type's encoder end in the same width, for example `|> linear(hidden)`"),
    ])
}

/// A value while lowering: a number known now, or one of the program's.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Low {
    Number(f64),
    Value(ValueId),
}

/// Which node, relation and type the indices stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Env {
    /// Where rows of `v` are (in a module, those of the input).
    node: Domain,
    relation: Option<u32>,
    ty: Option<u32>,
}

/// What has been computed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Equation(usize, Env),
    Softmax(usize, Env),
    Moved(ValueId, Domain),
    Relation(usize, u32),
    Leaf(&'static str, Domain),
    Feature(usize, Domain),
}

type Lowered = Result<Low, Box<Diagnostic>>;
type Made = Result<ValueId, Box<Diagnostic>>;

struct Lower<'c, 'g, 'b> {
    cx: &'c mut LowerCx<'g>,
    call: &'b LayerCall<'b>,
    scope: &'b Scope<'b>,
    body: &'b Body,
    args: BTreeMap<String, Arg>,
    widths: Widths,
    /// Of a layer, by node type.
    input: Rows,
    /// Of a module.
    row: Option<ValueId>,
    hop: u32,
    /// The hop of the input.
    reach: u32,
    wanted: Vec<u32>,
    memo: BTreeMap<Key, Low>,
    /// Name and place of the values being built.
    naming: (String, Option<(u32, u32)>),
}

impl<'c, 'g, 'b> Lower<'c, 'g, 'b> {
    fn new(
        cx: &'c mut LowerCx<'g>,
        call: &'b LayerCall<'b>,
        scope: &'b Scope<'b>,
        body: &'b Body,
        width: usize,
    ) -> Self {
        let args: BTreeMap<String, Arg> = call.args.iter().cloned().collect();
        let mut widths = Widths::from([("in".to_owned(), width as i64)]);
        for (name, arg) in &args {
            match arg {
                Arg::Dim(n) => drop(widths.insert(name.clone(), *n as i64)),
                Arg::Int(n) => drop(widths.insert(name.clone(), *n)),
                Arg::Dims(list) => list.iter().enumerate().for_each(|(i, n)| {
                    widths.insert(format!("{name}[{i}]"), *n as i64);
                }),
                _ => {}
            }
        }
        Self {
            cx,
            call,
            scope,
            body,
            args,
            widths,
            input: Rows::new(),
            row: None,
            hop: 0,
            reach: 1,
            wanted: Vec::new(),
            memo: BTreeMap::new(),
            naming: (call.prefix.clone(), Some((call.span.start, call.span.end))),
        }
    }

    // ------------------------------------------------------------------------------- what only a call can get wrong

    /// Everything that these arguments and this graph make wrong, before anything is built.
    fn ready(&mut self, wanted: &[u32]) -> Result<(), Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        self.edge_features(wanted, &mut wrong);
        if wrong.is_empty() {
            self.weight_widths(&mut wrong);
        }
        for equal in &self.body.equal {
            wrong.extend(self.unequal(equal));
        }
        for (rate, span) in &self.body.rates {
            if let Ok(p) = self.number(rate)
                && !(0.0..1.0).contains(&p)
            {
                let d = Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, format!("a dropout rate of {p}"));
                let here = Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, "the rate is used here")
                    .at(*span, "this rate");
                wrong.push(
                    d.at(self.call.span, "from 0 up to but not 1")
                        .related(in_file_of(here, &self.call.layer)),
                );
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn unequal(&self, equal: &Equal) -> Option<Diagnostic> {
        let (width, input) = (equal.width.width(&self.widths).ok()?, *self.widths.get("in")?);
        if width as i64 == input {
            return None;
        }
        let there = Diagnostic::new(codes::LAYER_DIMENSIONS, "the two rows are added here")
            .at(equal.input, format!("`in`, here {input}"))
            .at(equal.rows, format!("`{}`, here {width}", equal.width));
        let text =
            format!("`{}` adds its input, {input} wide, to rows of {width}", self.call.layer.decl.name);
        Some(
            Diagnostic::new(codes::LAYER_DIMENSIONS, text)
                .at(self.call.span, format!("`{}` is {width}", equal.width))
                .help(format!("let `{}` be {input}, or let what comes before give {width}", equal.width))
                .related(in_file_of(there, &self.call.layer)),
        )
    }

    fn weight_widths(&self, wrong: &mut Vec<Diagnostic>) {
        let mut seen: Vec<&Dim> = Vec::new();
        let of_values = self.body.equations.iter().flat_map(|e| e.value.shape.iter().map(|d| (d, e.span)));
        let of_weights = self.body.weights.iter().flat_map(|w| w.dims.iter().map(|(d, s)| (d, *s)));
        for (dim, span) in of_weights.chain(of_values) {
            if let Err(why) = dim.width(&self.widths)
                && !seen.contains(&dim)
            {
                seen.push(dim);
                wrong.push(self.no_width(dim, span, &why));
            }
        }
    }

    fn no_width(&self, dim: &Dim, span: crate::syntax::ast::Span, why: &NoWidth) -> Diagnostic {
        let values: Vec<String> = self
            .widths
            .iter()
            .filter(|(name, _)| dim.to_string().split(' ').any(|word| word == name.as_str()))
            .map(|(name, value)| format!("`{name}` = {value}"))
            .collect();
        let text = match why {
            NoWidth::NotWhole(x) if x.is_finite() => format!("`{dim}` comes out as {x}, not as a width"),
            NoWidth::NotWhole(_) => format!("`{dim}` divides by zero"),
            NoWidth::Unknown(name) => format!("`{dim}` needs `{name}`, which is `none` or not there"),
            NoWidth::TooLarge => format!("`{dim}` is too large"),
        };
        let there =
            Diagnostic::new(codes::LAYER_NOT_WHOLE, "the width is used here").at(span, dim.to_string());
        Diagnostic::new(codes::LAYER_NOT_WHOLE, text)
            .at(self.call.span, values.join(", "))
            .help("choose numbers that divide without a remainder")
            .related(in_file_of(there, &self.call.layer))
    }

    /// Every relation that is read has the features that edges are asked for, of one width where that is a dimension.
    fn edge_features(&mut self, wanted: &[u32], wrong: &mut Vec<Diagnostic>) {
        let facts = self.cx.facts;
        let mut relations: Vec<u32> = wanted.iter().flat_map(|ty| relations_into(facts, *ty)).collect();
        relations.sort_unstable();
        relations.dedup();
        for (name, span) in &self.body.edge_features {
            let find = |r: u32| facts.relations[r as usize].features.iter().find(|f| f.name == *name);
            let lacking: Vec<u32> = relations.iter().copied().filter(|r| find(*r).is_none()).collect();
            if !lacking.is_empty() {
                wrong.push(self.no_feature(name, *span, &relations, &lacking));
                continue;
            }
            let mut widths: Vec<usize> = relations.iter().filter_map(|r| find(*r)).map(|f| f.width).collect();
            widths.dedup();
            match widths.as_slice() {
                [] => drop(self.widths.insert(format!("e.{name}"), 1)),
                [width] => drop(self.widths.insert(format!("e.{name}"), *width as i64)),
                _ => {
                    let text = format!("the edge feature `{name}` has several widths");
                    let list: Vec<String> = relations
                        .iter()
                        .filter_map(|r| Some(format!("`{}` {}", self.cx.relation_label(*r), find(*r)?.width)))
                        .collect();
                    wrong.push(
                        Diagnostic::new(codes::LAYER_WIDTHS, text)
                            .at(self.call.span, list.join(", "))
                            .help("give it one width in all relations"),
                    );
                }
            }
        }
    }

    fn no_feature(
        &self,
        name: &str,
        span: crate::syntax::ast::Span,
        all: &[u32],
        lacking: &[u32],
    ) -> Diagnostic {
        let quoted = |list: &[u32]| {
            let names: Vec<String> =
                list.iter().map(|r| format!("`{}`", self.cx.relation_label(*r))).collect();
            names.join(", ")
        };
        let with: Vec<u32> = all.iter().copied().filter(|r| !lacking.contains(r)).collect();
        let text = format!("no edge feature `{name}` on {}", quoted(lacking));
        let there =
            Diagnostic::new(codes::LAYER_NO_EDGE_FEATURE, "it is read here").at(span, "on every edge");
        let mut known: Vec<&str> = lacking
            .iter()
            .flat_map(|r| self.cx.facts.relations[*r as usize].features.iter().map(|f| f.name.as_str()))
            .collect();
        known.sort_unstable();
        known.dedup();
        let help = crate::diag::did_you_mean_help(name, known).unwrap_or_else(|| match with.as_slice() {
            [] => format!("declare `feature {name}` in the edges' braces"),
            some => format!("only {} has it: declare `feature {name}` for the others too", quoted(some)),
        });
        Diagnostic::new(codes::LAYER_NO_EDGE_FEATURE, text)
            .at(self.call.span, format!("reads `e.{name}`"))
            .help(help)
            .related(in_file_of(there, &self.call.layer))
    }

    // ------------------------------------------------------------------------------------------------------ constants

    fn number(&self, constant: &Constant) -> Result<f64, Box<Diagnostic>> {
        Ok(match constant {
            Constant::Number(x) => *x,
            Constant::Dim(dim) => dim
                .number_of(&self.widths)
                .map_err(|why| Box::new(self.no_width(dim, self.call.layer.decl.name.span, &why)))?,
            Constant::Param(name) => match self.args.get(name) {
                Some(Arg::Float(x)) => *x,
                Some(Arg::Int(n)) => *n as f64,
                Some(Arg::Dim(n)) => *n as f64,
                _ => return Err(Box::new(self.without_value(name))),
            },
            Constant::Neg(x) => -self.number(x)?,
            Constant::Function(op, x) => gsl_plan::interpret::unary(*op, self.number(x)?),
            Constant::Binary(op, a, b) => {
                let (a, b) = (self.number(a)?, self.number(b)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div => a / b,
                    _ => a.powf(b),
                }
            }
        })
    }

    fn without_value(&self, name: &str) -> Diagnostic {
        let text = format!("`{}` computes with `{name}`, which is `none`", self.call.layer.decl.name);
        Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, text)
            .at(self.call.span, format!("`{name}` has no value"))
            .help(format!("give it one: `{name}: 0.5`"))
    }

    fn shape(&self, value: &Typed) -> Result<Vec<usize>, Box<Diagnostic>> {
        self.concrete(&value.shape)
    }

    fn concrete(&self, shape: &[Dim]) -> Result<Vec<usize>, Box<Diagnostic>> {
        let width = |dim: &Dim| {
            dim.width(&self.widths)
                .map_err(|why| Box::new(self.no_width(dim, self.call.layer.decl.name.span, &why)))
        };
        shape.iter().map(width).collect()
    }

    fn ill(&self, error: VerifyError) -> Box<Diagnostic> {
        let text = format!("lowering `{}` went wrong: {error}", self.call.layer.decl.name);
        Box::new(Diagnostic::new(codes::LAYER_LOWERING, text).at(self.call.span, "in this call"))
    }

    fn fault<T>(&self, message: &str) -> Result<T, Box<Diagnostic>> {
        Err(self.ill(VerifyError::new(message)))
    }

    fn op(&mut self, op: Op, args: &[ValueId]) -> Made {
        self.cx.builder.op(op, args).map_err(|e| self.ill(e))
    }

    fn push(&mut self, op: Op, args: &[ValueId], domain: Domain, shape: &[usize]) -> Made {
        self.cx.builder.push(op, args, domain, shape).map_err(|e| self.ill(e))
    }

    fn reshape(&mut self, x: ValueId, shape: &[usize]) -> Made {
        self.cx.builder.reshape(x, shape).map_err(|e| self.ill(e))
    }

    // -------------------------------------------------------------------------------------------------------- domains

    fn domain(&self, x: ValueId) -> Domain {
        self.cx.builder.domain(x)
    }

    fn edges(&self, env: &Env) -> Result<Domain, Box<Diagnostic>> {
        match env.relation {
            Some(rel) => Ok(Domain::Edges { rel, hop: self.hop }),
            None => self.fault("an edge without its relation"),
        }
    }

    fn source_domain(&self, env: &Env) -> Result<Domain, Box<Diagnostic>> {
        match env.relation {
            Some(rel) => {
                Ok(Domain::Nodes { ty: self.cx.facts.relations[rel as usize].src as u32, hop: self.reach })
            }
            None => self.fault("a source without its relation"),
        }
    }

    /// Rows of nodes read along edges; Global values are readable everywhere.
    fn moved(&mut self, x: ValueId, to: Domain) -> Made {
        let from = self.domain(x);
        if from == to || from == Domain::Global {
            return Ok(x);
        }
        let key = Key::Moved(x, to);
        if let Some(Low::Value(done)) = self.memo.get(&key) {
            return Ok(*done);
        }
        let (Domain::Nodes { hop, .. }, Domain::Edges { .. }) = (from, to) else {
            return self.fault(&format!("{from} read from {to}"));
        };
        let shape = self.cx.builder.shape(x).to_vec();
        let op = if hop == self.hop { Op::Dst } else { Op::Src };
        let made = self.push(op, &[x], to, &shape)?;
        self.memo.insert(key, Low::Value(made));
        Ok(made)
    }

    /// Where two values meet: the domain of the one, or the edges between the two.
    fn meet(&self, a: Domain, b: Domain, env: &Env) -> Result<Domain, Box<Diagnostic>> {
        match (a, b) {
            (Domain::Global, d) | (d, Domain::Global) => Ok(d),
            (a, b) if a == b => Ok(a),
            _ => self.edges(env),
        }
    }

    fn together(&mut self, values: &[ValueId], env: &Env) -> Result<Vec<ValueId>, Box<Diagnostic>> {
        let mut domain = Domain::Global;
        for value in values {
            domain = self.meet(domain, self.domain(*value), env)?;
        }
        values.iter().map(|v| self.moved(*v, domain)).collect()
    }

    /// The value as one row per node or edge of `domain`, of this shape.
    fn rows_in(&mut self, low: Low, domain: Domain, shape: &[usize]) -> Made {
        let value = match low {
            Low::Number(x) => {
                let number = self.cx.builder.constant(x as f32);
                self.push(Op::Expand(Broadcast::Scalar), &[number], Domain::Global, shape)?
            }
            Low::Value(value) => self.moved(value, domain)?,
        };
        if domain == Domain::Global || self.domain(value) != Domain::Global {
            return Ok(value);
        }
        let ones = self.ones(domain)?;
        let op = Op::Binary {
            op: gsl_plan::program::BinaryOp::Mul,
            left: Broadcast::Full,
            right: Broadcast::Scalar,
        };
        self.op(op, &[value, ones])
    }

    /// A 1 for every row of a domain. No leaf says so directly; a count has the sign 1.
    fn ones(&mut self, domain: Domain) -> Made {
        let key = Key::Leaf("ones", domain);
        if let Some(Low::Value(done)) = self.memo.get(&key) {
            return Ok(*done);
        }
        let made = match domain {
            Domain::Edges { rel, hop } => {
                let ty = self.cx.facts.relations[rel as usize].dst as u32;
                let counts = self.push(Op::RecipCount { rel }, &[], Domain::Nodes { ty, hop }, &[])?;
                let ones = self.op(Op::Unary(UnaryOp::Sign), &[counts])?;
                self.push(Op::Dst, &[ones], domain, &[])?
            }
            Domain::Nodes { .. } => {
                // 1 + 0 · degree
                let degree = self.push(Op::Degree, &[], domain, &[])?;
                let zero = self.cx.builder.constant(0.0);
                let zeros = self.cx.builder.mul(degree, zero).map_err(|e| self.ill(e))?;
                let one = self.cx.builder.constant(1.0);
                self.cx.builder.add(zeros, one).map_err(|e| self.ill(e))?
            }
            Domain::Global => self.cx.builder.constant(1.0),
        };
        self.memo.insert(key, Low::Value(made));
        Ok(made)
    }

    // ---------------------------------------------------------------------------------------------------- expressions

    fn output(&mut self, domain: Domain) -> Made {
        let Some(index) = self.body.output else { return self.fault("a composition has no equations") };
        let low = self.equation(index, Env { node: domain, relation: None, ty: None })?;
        let equation = &self.body.equations[index];
        let shape = self.shape(&equation.value)?;
        let value = self.rows_in(low, domain, &shape)?;
        let width = self.cx.builder.value(value).width();
        self.reshape(value, &[width])
    }

    /// An equation's value, computed once for what it is of.
    fn equation(&mut self, index: usize, env: Env) -> Lowered {
        let equation = &self.body.equations[index];
        let env = match equation.target {
            Target::Plain if self.row.is_some() => env,
            Target::Plain => Env { relation: None, ty: None, ..env },
            Target::Node => Env { relation: None, ty: None, ..env },
            Target::Edge | Target::EdgeOf => Env { ty: None, ..env },
            Target::Relation => Env { ty: None, ..env },
            Target::Type => Env { relation: None, ..env },
        };
        let key = Key::Equation(index, env);
        if let Some(done) = self.memo.get(&key) {
            return Ok(*done);
        }
        let low = match self.wider(equation, env.node) {
            Some(node) => match self.equation(index, Env { node, ..env })? {
                Low::Value(v) => Low::Value(self.cx.builder.prefix(v, self.hop).map_err(|e| self.ill(e))?),
                number => number,
            },
            None => {
                let outer = self.name_values(equation);
                let value = self.eval(&equation.value, &env)?;
                self.cx.builder.at(outer.0.clone(), outer.1);
                self.naming = outer;
                value
            }
        };
        self.memo.insert(key, low);
        Ok(low)
    }

    /// A node's value that is read at sources too is computed for them all, of which the nodes themselves are the first.
    fn wider(&self, equation: &EquationDef, node: Domain) -> Option<Domain> {
        let Domain::Nodes { ty, hop } = node else { return None };
        let shared = equation.target == Target::Node
            && equation.at_source
            && !equation.reduces
            && equation.value.deps.has(Deps::NODE)
            && hop == self.hop
            && self.reach > self.hop;
        let mut into = self.wanted.iter().flat_map(|w| relations_into(self.cx.facts, *w));
        let source = shared && into.any(|r| self.cx.facts.relations[r as usize].src as u32 == ty);
        source.then_some(Domain::Nodes { ty, hop: self.reach })
    }

    /// Names the values built from here on after an equation; gives the naming until here.
    fn name_values(&mut self, equation: &EquationDef) -> (String, Option<(u32, u32)>) {
        let span = match self.call.layer.file {
            None => equation.value.span,
            Some(_) => self.call.span,
        };
        let naming = (format!("{} {}", self.call.prefix, equation.name), Some((span.start, span.end)));
        self.cx.builder.at(naming.0.clone(), naming.1);
        std::mem::replace(&mut self.naming, naming)
    }

    fn value(&mut self, value: &Typed, env: &Env) -> Made {
        let low = self.eval(value, env)?;
        let shape = self.shape(value)?;
        self.made(low, &shape)
    }

    fn made(&mut self, low: Low, shape: &[usize]) -> Made {
        match low {
            Low::Value(v) => Ok(v),
            Low::Number(x) => {
                let number = self.cx.builder.constant(x as f32);
                if shape.is_empty() {
                    return Ok(number);
                }
                self.push(Op::Expand(Broadcast::Scalar), &[number], Domain::Global, shape)
            }
        }
    }

    fn eval(&mut self, value: &Typed, env: &Env) -> Lowered {
        match &value.kind {
            Kind::Bad => self.fault("an expression that was reported"),
            Kind::Constant(c) => self.number(c).map(Low::Number),
            Kind::Input(end) => self.input_rows(*end, env).map(Low::Value),
            Kind::Weight(i) => self.weight(*i, env).map(Low::Value),
            Kind::Equation { index, end } => match end {
                End::Node => self.equation(*index, *env),
                End::Source => {
                    let node = self.source_domain(env)?;
                    self.equation(*index, Env { node, relation: None, ty: None })
                }
            },
            Kind::EdgeFeature(name) => self.edge_feature(name, env).map(Low::Value),
            Kind::Degree(end) => self.degree(*end, env).map(Low::Value),
            Kind::TypeOf(end, x) => {
                let domain = if *end == End::Source { self.source_domain(env)? } else { env.node };
                let Domain::Nodes { ty, .. } = domain else { return self.fault("a type of no node") };
                self.eval(x, &Env { ty: Some(ty), ..*env })
            }
            Kind::Unary(op, x) => self.unary(*op, x, env),
            Kind::LeakyRelu(slope, x) => {
                let slope = self.number(slope)?;
                self.unary(UnaryOp::LeakyRelu(slope as f32), x, env)
            }
            Kind::Activation(name, x) => match self.args.get(name) {
                Some(Arg::Activation(a)) => match a.op() {
                    Some(op) => self.unary(op, x, env),
                    None => self.eval(x, env),
                },
                _ => self.eval(x, env),
            },
            Kind::Power(p, x) => self.power(p, x, env),
            Kind::StopGradient(x) => match self.eval(x, env)? {
                Low::Value(v) => self.op(Op::StopGradient, &[v]).map(Low::Value),
                number => Ok(number),
            },
            Kind::Binary { op, left, right, fits } => self.binary(value, *op, left, right, *fits, env),
            Kind::Product { x, w, shared, spread } => self.product(value, x, w, *shared, *spread, env),
            Kind::Concat(items) => self.concat(items, env),
            Kind::Dropout(p, x) => self.dropout(p, x, env),
            Kind::Reduce { op, over: Over::Relations, body } => self.over_relations(*op, body, env),
            Kind::Reduce { op, over, body } => self.over_edges(*op, *over, body, env),
            Kind::Softmax { over, body, id } => self.softmax(*over, body, *id, env),
            Kind::RowReduce { op, axis, body } => self.row_reduce(value, *op, *axis, body, env),
            Kind::RowSoftmax { axis, body } => self.row_softmax(*axis, body, env),
            Kind::Module(call) => self.module(call, env),
        }
    }

    fn input_rows(&mut self, end: End, env: &Env) -> Made {
        if let Some(row) = self.row {
            return Ok(row);
        }
        let domain = if end == End::Source { self.source_domain(env)? } else { env.node };
        let Domain::Nodes { ty, hop } = domain else { return self.fault("rows of no node") };
        match self.input.get(&ty) {
            Some(rows) => {
                let rows = *rows;
                self.cx.builder.prefix(rows, hop).map_err(|e| self.ill(e))
            }
            None => {
                let name = self.cx.node_label(ty);
                self.fault(&format!("no rows of `{name}` come in"))
            }
        }
    }

    fn degree(&mut self, end: End, env: &Env) -> Made {
        let domain = if end == End::Source { self.source_domain(env)? } else { env.node };
        let key = Key::Leaf("degree", domain);
        if let Some(Low::Value(done)) = self.memo.get(&key) {
            return Ok(*done);
        }
        let made = self.push(Op::Degree, &[], domain, &[])?;
        self.memo.insert(key, Low::Value(made));
        Ok(made)
    }

    fn edge_feature(&mut self, name: &str, env: &Env) -> Made {
        let domain = self.edges(env)?;
        let Domain::Edges { rel, .. } = domain else { return self.fault("a feature of no edge") };
        let features = &self.cx.facts.relations[rel as usize].features;
        let Some(index) = features.iter().position(|f| f.name == name) else {
            return self.fault(&format!("no edge feature `{name}`"));
        };
        let (key, width) = (Key::Feature(index, domain), features[index].width);
        if let Some(Low::Value(done)) = self.memo.get(&key) {
            return Ok(*done);
        }
        let made = self.push(Op::Feature { feature: index as u32 }, &[], domain, &[width])?;
        self.memo.insert(key, Low::Value(made));
        Ok(made)
    }

    // -------------------------------------------------------------------------------------------------------- weights

    fn weight(&mut self, index: usize, env: &Env) -> Made {
        let weight = &self.body.weights[index];
        let base = format!("{}.{}", self.call.prefix, weight.name);
        let facts = self.cx.facts;
        let (member, label, members) = match weight.target {
            Target::Relation => match env.relation {
                Some(r) => (r, self.cx.relation_label(r), facts.relations.len()),
                None => return self.fault("a weight of no relation"),
            },
            Target::Type => match env.ty {
                Some(t) => (t, self.cx.node_label(t).to_owned(), facts.nodes.len()),
                None => return self.fault("a weight of no node type"),
            },
            _ => (0, String::new(), 1),
        };
        let dims: Vec<Dim> = weight.dims.iter().map(|(d, _)| d.clone()).collect();
        let (full, shape) = (self.concrete(&dims)?, self.concrete(&weight.shape)?);
        let init = self.init(weight, &shape)?;
        let bases = match &weight.bases {
            Some((n, _)) if !matches!(weight.target, Target::Plain) => self.bases(n)?,
            _ => None,
        };
        let value = match bases {
            Some(n) => {
                let key = Key::Relation(index, member);
                if let Some(Low::Value(done)) = self.memo.get(&key) {
                    return Ok(*done);
                }
                let made = self.from_bases(&base, n, members, member as usize, &full, init)?;
                self.memo.insert(key, Low::Value(made));
                made
            }
            None if label.is_empty() => self.cx.param(&base, &full, init),
            None => self.cx.param(&format!("{base}[{label}]"), &full, init),
        };
        self.reshape(value, &shape)
    }

    /// How many bases; none for `bases: none`.
    fn bases(&self, count: &Constant) -> Result<Option<usize>, Box<Diagnostic>> {
        let name = match count {
            Constant::Dim(dim) => dim.to_string(),
            _ => String::new(),
        };
        if matches!(self.args.get(&name), Some(Arg::None)) {
            return Ok(None);
        }
        let n = self.number(count)?;
        if n >= 1.0 && n.fract() == 0.0 {
            return Ok(Some(n as usize));
        }
        let d = Diagnostic::new(codes::LAYER_ARGUMENT_TYPE, format!("{n} bases"));
        Err(Box::new(d.at(self.call.span, "a whole number from 1, or `none`")))
    }

    /// W_r = Σ_b c\[r, b\] V_b. Schlichtkrull et al. 2018, eq. 3.
    fn from_bases(
        &mut self,
        base: &str,
        n: usize,
        members: usize,
        member: usize,
        full: &[usize],
        init: Init,
    ) -> Made {
        let coefficients = Init::Glorot { fan_in: members, fan_out: n };
        let c = self.cx.param(&format!("{base}.coefficients"), &[members, n], coefficients);
        let v = self.cx.param(&format!("{base}.bases"), &[&[n], full].concat(), init);
        let row = self.op(Op::Index { index: member }, &[c])?;
        self.op(Op::Linear { batch: 1 }, &[row, v])
    }

    fn init(&self, weight: &WeightDef, shape: &[usize]) -> Result<Init, Box<Diagnostic>> {
        Ok(match &weight.start {
            Start::Glorot => fans(weight.lead, shape),
            Start::Constant(c) => match self.number(c)? {
                0.0 => Init::Zeros,
                1.0 => Init::Ones,
                x => Init::Constant(x as f32),
            },
            Start::Normal(c) => Init::Normal { std: self.number(c)? as f32 },
            Start::Uniform(c) => Init::Uniform { bound: self.number(c)? as f32 },
        })
    }

    fn module(&mut self, call: &ModuleCall, env: &Env) -> Lowered {
        let x = self.value(&call.x, env)?;
        let Some(module) = self.scope.modules.get(&call.name) else {
            return self.fault(&format!("no module `{}`", call.name));
        };
        let inner = Scope { values: self.args.clone(), modules: self.scope.modules.clone() };
        let first = |found: Vec<Diagnostic>| match found.into_iter().next() {
            Some(d) => Box::new(in_file_of(d, &self.call.layer)),
            None => self.ill(VerifyError::new("a module that does not fit")),
        };
        let args = call_args(module, &call.args, call.x.span, &inner).map_err(first)?;
        let prefix = format!("{}.{}{}", self.call.prefix, call.name, call.number);
        let nested = LayerCall { layer: module.clone(), args, prefix, span: self.call.span };
        let row =
            lower_module(self.cx, &nested, &inner, x).map_err(|found| match found.into_iter().next() {
                Some(d) => Box::new(d),
                None => Box::new(Diagnostic::new(codes::LAYER_LOWERING, "a module that does not fit")),
            })?;
        Ok(Low::Value(row))
    }
}

/// Fan-in and fan-out: of a matrix behind its shared dimensions; of a vector its length and 1; of anything else the last two
/// dimensions.
fn fans(lead: Option<usize>, shape: &[usize]) -> Init {
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    match (lead, shape) {
        (Some(lead), shape) if shape.len() > lead => {
            Init::Glorot { fan_in: shape[lead], fan_out: product(&shape[lead + 1..]) }
        }
        (_, [.., a, b]) => Init::Glorot { fan_in: *a, fan_out: *b },
        (_, rest) => Init::Glorot { fan_in: product(rest), fan_out: 1 },
    }
}

mod rows;
