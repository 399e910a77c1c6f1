//! Composition: `A >> B`, `n * A`, `residual(A)`, `norm(layer)`, `dropout(p)`, activations, calls of layers and modules.

use super::cx::{Cx, and_list};
use super::library::{LayerId, Library, activation_name, from_arg};
use super::model::{Jump, LayerCall, Model};
use super::prelude::Prelude;
use super::value::{Env, literal};
use crate::diag::{Diagnostic, codes, did_you_mean_help};
use crate::layers::{Activation, Arg as LayerArg, call_args, evaluate, needs};
use crate::syntax::ast::*;

/// Where a model stands: what it may hold and what its names mean.
pub struct Composer<'a, 'w> {
    pub cx: &'a mut Cx<'w>,
    pub library: &'a Library,
    pub prelude: &'a Prelude,
    /// The module whose names are seen.
    pub module: usize,
    pub env: &'a Env,
    /// Layers that look at neighbours are allowed; else this is what the place is called.
    pub rows_only: Option<&'static str>,
    /// Decoders of pairs are allowed.
    pub pairs: bool,
    /// A call without `out` is completed with the number of scores.
    pub head: bool,
    /// Aliases being expanded.
    pub open: Vec<LayerId>,
}

const MOST_REPEATS: i64 = 64;
/// Names of compositions double what they name; this ends it.
const MOST_PARTS: usize = 4096;
/// Where a model of too many parts, which has been reported, is no longer followed.
const MOST_CALLS: usize = 1 << 16;

/// Functions of composition that are built in.
pub const COMBINATORS: [&str; 4] = ["residual", "jump", "norm", "dropout"];

impl Composer<'_, '_> {
    /// The model that an expression says. `None`: a mistake, reported.
    pub fn model(&mut self, expr: &Expr) -> Option<Model> {
        match &expr.kind {
            ExprKind::Compose { first, then } | ExprKind::Pipe { value: first, stage: then } => {
                let (a, b) = (self.model(first), self.model(then));
                self.sized(vec![a?, b?], expr.span)
            }
            ExprKind::Binary { op: BinaryOp::Mul, left, right, .. } => self.repeat(expr, left, right),
            ExprKind::Name(name) => self.call(name, expr.span, &[], expr.span),
            ExprKind::Call { callee, args } => match callee.as_name() {
                Some(name) => self.call(name, callee.span, args, expr.span),
                None => self.no_model(expr),
            },
            ExprKind::From { .. } => {
                let message = "a start from another run holds for a whole `gnn`, `encode` or `decode`";
                let help = "put it at the end: `gnn = RGCN(64) >> RGCN(64) from pretrain.gnn`";
                self.cx.error_help(codes::EXPERIMENT_START, message, expr.span, "only a piece", help);
                None
            }
            ExprKind::Bad => None,
            _ => self.no_model(expr),
        }
    }

    fn no_model(&mut self, expr: &Expr) -> Option<Model> {
        let help = "a model is layers one after the other: `RGCN(64) >> dropout(0.2) >> RGCN(64)`";
        self.cx.error_help(codes::MODEL_EXPRESSION, "this is no layer", expr.span, "expected a layer", help);
        None
    }

    /// `2 * RGCN(64)`
    fn repeat(&mut self, expr: &Expr, left: &Expr, right: &Expr) -> Option<Model> {
        let (times, of) = match (self.count(left), self.count(right)) {
            (Some(n), _) => (n, right),
            (None, Some(n)) => (n, left),
            (None, None) if self.reads_lost(left) || self.reads_lost(right) => return None,
            (None, None) => return self.no_model(expr),
        };
        let model = self.model(of);
        if !(1..=MOST_REPEATS).contains(&times) {
            let message = format!("a layer is repeated 1 to {MOST_REPEATS} times, not {times}");
            self.cx.error(codes::MODEL_EXPRESSION, message, expr.span, "");
            return None;
        }
        let model = model?;
        if model.size() * times as usize > MOST_PARTS {
            return self.too_large(expr.span);
        }
        Some(Model::chain(vec![model; times as usize]))
    }

    fn sized(&mut self, parts: Vec<Model>, span: Span) -> Option<Model> {
        match parts.iter().map(Model::size).sum::<usize>() {
            size if size > MOST_PARTS => self.too_large(span),
            _ => Some(Model::chain(parts)),
        }
    }

    fn too_large(&mut self, span: Span) -> Option<Model> {
        let message = format!("a model has at most {MOST_PARTS} parts");
        self.cx.error(codes::MODEL_EXPRESSION, message, span, "too many");
        None
    }

    fn count(&mut self, expr: &Expr) -> Option<i64> {
        match &expr.kind {
            ExprKind::Number(number) => literal(number).int(),
            ExprKind::Name(name) => self.env.get(name)?.as_ref()?.int(),
            _ => None,
        }
    }

    fn call(&mut self, name: &str, name_span: Span, args: &[Arg], span: Span) -> Option<Model> {
        if let Some(id) = self.library.find(self.module, name) {
            self.cx.used.insert(name.to_owned());
            return self.layer(id, args, span);
        }
        match name {
            "dropout" => self.dropout(args, span),
            "residual" => self.residual(args, span),
            "jump" => self.jump(args, span),
            "norm" => self.norm(args, span),
            "none" if args.is_empty() => Some(Model::Chain(Vec::new())),
            _ if Activation::parse(name).is_some() => self.activation(name, name_span, args, span),
            _ => self.unknown(name, name_span),
        }
    }

    fn unknown(&mut self, name: &str, span: Span) -> Option<Model> {
        if self.cx.lost.contains(name) {
            return None;
        }
        let known: Vec<&str> = self.library.names(self.module);
        let all = known.iter().copied().chain(COMBINATORS).chain(Activation::NAMES);
        let near = did_you_mean_help(name, all);
        let exact =
            self.library.where_is(name).filter(|line| near.is_none() || line.ends_with(&format!(".{name}`")));
        let (what, place) = match self.pairs {
            true => ("decoder or module", "not a decoder"),
            false => ("layer or module", "not a layer"),
        };
        let otherwise = || match self.pairs {
            true => format!(
                "there are {}; or declare it: `decoder NAME() {{ … }}`",
                and_list(&self.library.decoders(self.module))
            ),
            false => "declare it: `layer NAME(out: dim) { … }`".to_owned(),
        };
        let help = exact.or(near).unwrap_or_else(otherwise);
        let message = format!("there is no {what} `{name}`");
        let diagnostic = Diagnostic::new(codes::NAMES_LAYER, message).at(span, place).help(help);
        self.cx.report(diagnostic);
        None
    }

    fn bound(&mut self, name: &str, args: &[Arg], span: Span) -> Option<super::call::Args> {
        let signature = self.prelude.signature(name)?.clone();
        signature.bind(self.cx, self.env, args, span, &[])
    }

    fn dropout(&mut self, args: &[Arg], span: Span) -> Option<Model> {
        let p = self.bound("dropout", args, span)?.float("p")?;
        if (0.0..1.0).contains(&p) {
            return Some(Model::Dropout(p));
        }
        let message = format!("a dropout rate is from 0 to less than 1, not {p}");
        self.cx.error(codes::ARGS_VALUE, message, span, "out of range");
        None
    }

    fn norm(&mut self, args: &[Arg], span: Span) -> Option<Model> {
        self.bound("norm", args, span)?;
        let id = self.library.find(self.module, "layer_norm")?;
        self.layer(id, &[], span)
    }

    fn activation(&mut self, name: &str, name_span: Span, args: &[Arg], span: Span) -> Option<Model> {
        let callee = Expr::new(ExprKind::Name(name.to_owned()), name_span);
        let expr = match args {
            [] => callee,
            _ => Expr::new(ExprKind::Call { callee: Box::new(callee), args: args.to_vec() }, span),
        };
        let library = self.library;
        let scope = library.scope(self.module, self.env);
        match evaluate(&expr, &scope) {
            Ok(LayerArg::Activation(found)) => Some(Model::Activation(found, activation_name(found))),
            Ok(_) => self.no_model(&expr),
            Err(diagnostic) => {
                self.cx.report(diagnostic);
                None
            }
        }
    }

    fn residual(&mut self, args: &[Arg], span: Span) -> Option<Model> {
        let [Arg { name: None, value, .. }] = args else {
            let help = "write `residual(RGCN(64))`";
            let message = "`residual` takes one model";
            self.cx.error_help(codes::ARGS_MISSING, message, span, "of what?", help);
            return None;
        };
        let inner = self.model(value)?;
        Some(Model::Residual(Box::new(inner), span))
    }

    fn jump(&mut self, args: &[Arg], span: Span) -> Option<Model> {
        let Some((Arg { name: None, value, .. }, rest)) = args.split_first() else {
            let help = "write `jump(RGCN(64) >> RGCN(64), mode: concat)`";
            self.cx.error_help(codes::ARGS_MISSING, "`jump` takes a model", span, "of what?", help);
            return None;
        };
        let (inner, args) = (self.model(value), self.bound("jump", rest, span));
        let mode = match args?.word("mode")? {
            "max" => Jump::Max,
            "sum" => Jump::Sum,
            _ => Jump::Concat,
        };
        Some(Model::Jump { of: Box::new(inner?), mode })
    }

    fn layer(&mut self, id: LayerId, args: &[Arg], span: Span) -> Option<Model> {
        self.cx.calls += 1;
        if self.cx.calls > MOST_CALLS {
            return None;
        }
        let library = self.library;
        let def = &library.layers[id];
        let hops = def.decl.kind == LayerKind::Layer
            && needs(&library.declared(id), &library.scope(library.module_of(id), self.env));
        if let Some(place) = self.rows_only.filter(|_| hops) {
            let message = format!("`{}` looks at neighbours, and {place} has none", def.decl.name);
            let help = "layers stand in `gnn = …`; here stand modules such as `linear`";
            self.cx.error_help(codes::MODEL_NEEDS_GRAPH, message, span, "needs a graph", help);
            return None;
        }
        let pairs = def.decl.kind == LayerKind::Decoder;
        if pairs && !self.pairs {
            let message = format!("`{}` scores a pair of nodes, and here are single ones", def.decl.name);
            let help = "use it in `predict link a -r-> b` or `predict (a -r-> b).label`";
            self.cx.error_help(codes::MODEL_NEEDS_PAIRS, message, span, "needs pairs", help);
            return None;
        }
        let (args, head) = self.arguments(id, args, span)?;
        if let LayerBody::Alias(expr) = &def.decl.body {
            return self.alias(id, expr, args, span);
        }
        let name = def.decl.name.text.clone();
        let file = self.cx.file().clone();
        Some(Model::Call(LayerCall { id, name, args, hops, pairs, head, span, file }))
    }

    /// Whether an expression reads a constant whose mistake has been reported.
    fn reads_lost(&self, expr: &Expr) -> bool {
        let mut lost = false;
        expr.walk(&mut |e| lost |= e.as_name().is_some_and(|name| matches!(self.env.get(name), Some(None))));
        lost
    }

    /// The arguments, and whether `out` was left open.
    fn arguments(
        &mut self,
        id: LayerId,
        args: &[Arg],
        span: Span,
    ) -> Option<(Vec<(String, LayerArg)>, bool)> {
        let library = self.library;
        let declared = library.declared(id);
        let takes_out = declared.decl.params.first().is_some_and(|p| p.name.text == "out");
        let names_out = args.iter().any(|a| a.name.as_ref().is_some_and(|n| n.text == "out"));
        let open = self.head && takes_out && !names_out;
        let mut given = args.to_vec();
        if open {
            let one = Number { value: 1.0, int: Some(1), unit: None };
            given.insert(0, Arg { name: None, value: Expr::new(ExprKind::Number(one), span), span });
        }
        for arg in args {
            arg.value.walk(&mut |e| self.cx.used.extend(e.as_name().map(str::to_owned)));
        }
        if args.iter().any(|arg| self.reads_lost(&arg.value)) {
            return None;
        }
        match call_args(&declared, &given, span, &library.scope(self.module, self.env)) {
            Ok(found) => Some((found, open)),
            Err(wrong) => {
                wrong.into_iter().for_each(|d| self.cx.report(d));
                None
            }
        }
    }

    /// `layer Two(out: dim) = RGCN(out) >> RGCN(out)`, called.
    fn alias(
        &mut self,
        id: LayerId,
        expr: &Expr,
        args: Vec<(String, LayerArg)>,
        span: Span,
    ) -> Option<Model> {
        let library = self.library;
        let def = &library.layers[id];
        if self.open.contains(&id) {
            let message = format!("`{}` is made of itself", def.decl.name);
            self.cx.error(codes::NAMES_CYCLE, message, span, "leads back here");
            return None;
        }
        let env: Env = args.iter().map(|(name, arg)| (name.clone(), Some(from_arg(arg)))).collect();
        let mut open = self.open.clone();
        open.push(id);
        let (prelude, rows_only, pairs, head) = (self.prelude, self.rows_only, self.pairs, self.head);
        let module = library.module_of(id);
        self.cx.within(&def.file, |cx| {
            Composer { cx, library, prelude, module, env: &env, rows_only, pairs, head, open }.model(expr)
        })
    }
}
