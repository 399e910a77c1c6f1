//! From a typed body to tensor operations, for given widths and a given graph.
//!
//! Decided here: what is checked once the arguments and the graph are known; that a value is computed in the smallest
//! domain that it depends on and moved only where two domains meet. Not decided here: fusing, the order of multiply and
//! aggregate, sharing of equal terms.

use std::collections::BTreeMap;

use gsl_plan::graph::GraphFacts;
use gsl_plan::program::{Broadcast, Domain, Op, UnaryOp, ValueId};
use gsl_plan::verify::VerifyError;

use super::args::{Arg, Declared, Scope};
use super::check::check_body;
use super::cx::{LowerCx, relations_into};
use super::dims::Widths;
use super::typed::*;
use super::{LayerCall, Rows};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{LayerKind, Span};
use pairs::PairEnds;
pub use pairs::lower_decoder;
pub use ready::lacks_edge_feature;

/// Whether a layer looks at neighbours. Modules never do; compositions are asked part by part.
pub fn needs(layer: &Declared, scope: &Scope) -> bool {
    let (body, _) = check_body(layer, scope, &mut Vec::new());
    body.output.is_some_and(|i| body.equations[i].reduces)
        || (layer.decl.kind == LayerKind::Layer && body.reads().0)
}

/// The features of edges that a layer or decoder reads.
pub fn edge_features(layer: &Declared, scope: &Scope) -> Vec<(String, Span)> {
    let (body, _) = check_body(layer, scope, &mut Vec::new());
    body.edge_features
}

/// Whether what a layer gives depends on the node's own row, besides those of its neighbours.
pub fn reads_itself(layer: &Declared, scope: &Scope) -> bool {
    let (body, _) = check_body(layer, scope, &mut Vec::new());
    body.reads().1
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
    /// In a decoder: `v` stands for the source of the pair.
    source: bool,
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
    /// Of a decoder.
    pair: Option<PairEnds>,
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
            pair: None,
            wanted: Vec::new(),
            memo: BTreeMap::new(),
            naming: (call.prefix.clone(), Some((call.span.start, call.span.end))),
        }
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

    fn output(&mut self, domain: Domain) -> Made {
        let Some(index) = self.body.output else { return self.fault("a composition has no equations") };
        let low = self.equation(index, Env { node: domain, relation: None, ty: None, source: false })?;
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
            _ if self.pair.is_some() => self.pair_env(equation.target, env),
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
                End::Source if self.pair.is_some() => self.equation(*index, Env { source: true, ..*env }),
                End::Source => {
                    let node = self.source_domain(env)?;
                    self.equation(*index, Env { node, relation: None, ty: None, source: false })
                }
            },
            Kind::EdgeFeature(name) => self.edge_feature(name, env).map(Low::Value),
            Kind::Degree(end) => self.degree(*end, env).map(Low::Value),
            Kind::TypeOf(end, x) if self.pair.is_some() => {
                let ty = self.end_type(*end, env);
                self.eval(x, &Env { ty, ..*env })
            }
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
            Kind::Rust { name, args } => self.rust(value, name, args, env),
            Kind::Half { second, x } => self.half(*second, x, env),
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
        if self.pair.is_some() {
            return self.end_rows(end, env);
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
        if self.pair.is_some() {
            return self.end_degree(end, env);
        }
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
        if self.pair.is_some() {
            return self.pair_feature(name);
        }
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
}

mod domains;
mod pairs;
mod ready;
mod rows;
mod weights;
