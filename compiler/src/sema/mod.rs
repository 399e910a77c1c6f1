//! Names and meanings: one parsed file, table headers and overrides in; graphs and experiments out, or every mistake.
//!
//! Decided here: what every name refers to, which settings exist, which values they take, what fits what, and what is
//! refused because this version cannot run it. Not decided here: the equations of layers (`layers`), and whatever only the
//! data knows: widths of one-hot features, classes, relations of a family (`lower`).

pub mod body;
mod call;
mod compose;
pub mod cx;
mod edge_reads;
mod encode;
pub mod experiment;
pub mod explain;
pub mod graph;
mod halves;
mod handle;
pub mod library;
pub mod link;
pub mod loss;
mod meant;
pub mod metric;
pub mod model;
mod monitor;
mod param;
pub mod predict;
mod prelude;
mod readout;
pub mod reconstruct;
pub mod rust;
mod same_edges;
mod split;
pub mod stages;
pub mod sweep;
mod trainer;
mod two_splits;
pub mod value;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use cx::Cx;
pub use experiment::{Experiment, NodeEncoder};
pub use graph::CheckedGraph;
pub use library::Library;
pub use loss::{ClassWeights, Loss, Over};
pub use param::CheckedParam;
pub use predict::{Predict, Target};
pub use stages::Trained;
pub use trainer::{Training, show_fanouts};
pub use write::Written;

use self::body::{Body, Experiments, Place};
use self::compose::Composer;
use self::experiment::{ExperimentCx, Header};
use self::graph::leak::Allowed;
use self::graph::merge::{self, Graphs};
use self::library::ROOT;
use self::sweep::{Sweep, SweepCx};
use self::value::{Env, Value};
use self::write::write_clashes;
use crate::diag::codes;
use crate::layers::{ParamType, check_layer, param_type};
use crate::syntax::Parsed;
use crate::syntax::ast::{Expr, File, Graph, Ident, Item, LayerBody, LayerKind, LayerParam, LayerStmt, Stmt};

/// A file, understood. Graphs and experiments with mistakes are left out.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The name of the file, as given.
    pub path: String,
    pub params: Vec<CheckedParam>,
    pub graphs: Vec<CheckedGraph>,
    pub experiments: Vec<Experiment>,
    pub sweeps: Vec<Sweep>,
    /// Layers and modules: those of the file, those it uses, those of the standard library.
    pub library: Library,
    pub env: Env,
}

impl Checked {
    pub fn experiment(&self, name: &str) -> Option<&Experiment> {
        self.experiments.iter().find(|e| e.name == name)
    }

    pub fn graph_of(&self, experiment: &Experiment) -> &CheckedGraph {
        &self.graphs[experiment.graph]
    }
}

/// Checks a parsed file. All mistakes go to `cx`.
pub fn check(cx: &mut Cx, parsed: &Parsed, overrides: &[(String, String)]) -> Checked {
    let file = &parsed.file;
    cx.lost.extend(parsed.lost.iter().map(|name| name.text.clone()));
    duplicates(cx, file);
    not_yet_items(cx, file);
    let (params, env) = param::params(cx, file, overrides);
    let library = Library::load(cx, file);
    check_layers(cx, &library, &env);
    let allowed = allowed(cx, file);
    let (graphs, by_name) = graphs(cx, file, &env, &allowed);
    let set: Vec<String> = params.iter().filter(|p| p.set).map(|p| p.name.clone()).collect();
    let (library_of, env_of) = (&library, Arc::new(env.clone()));
    let world = FileWorld {
        file,
        library: library_of,
        graphs: &graphs,
        by_name: &by_name,
        allowed: &allowed,
        env: env_of,
    };
    let experiments = world.experiments(cx, &set);
    write_clashes(cx, &experiments);
    let sweeps = world.sweeps(cx, &experiments, &params);
    if !cx.diags.has_errors() {
        let used = cx.used.clone();
        library.report_unused(cx, file, &|name| used.contains(name));
    }
    Checked { path: cx.path.clone(), params, graphs, experiments, sweeps, library, env }
}

/// Names of one kind are declared once.
fn duplicates(cx: &mut Cx, file: &File) {
    let mut seen: BTreeMap<(&str, &str), &Ident> = BTreeMap::new();
    for item in &file.items {
        let kind = match item {
            Item::Graph(_) => "graph",
            Item::Experiment(_) | Item::Sweep(_) | Item::Distill(_) => "experiment",
            _ => continue,
        };
        let Some(name) = item.name() else { continue };
        if let Some(first) = seen.insert((kind, &name.text), name) {
            let diagnostic = crate::diag::Diagnostic::new(
                codes::NAMES_DUPLICATE,
                format!("two {kind}s are named `{name}`"),
            )
            .at(name.span, "the second one")
            .at(first.span, "the first one");
            cx.report(diagnostic);
        }
    }
}

fn not_yet_items(cx: &mut Cx, file: &File) {
    for item in &file.items {
        if let Item::Distill(distill) = item {
            let help = "train the small model on the labels: `experiment student = … with { gnn = none }`";
            let message = "distillation does not run yet";
            cx.error_help(codes::NOT_YET_DISTILL, message, distill.student.span, "a student", help);
        }
    }
}

/// Equations of the layers and modules of the file and of the files that it uses, and what those that are made of others
/// are made of.
fn check_layers(cx: &mut Cx, library: &Library, env: &Env) {
    for id in library.written() {
        if library.module_of(id) == ROOT {
            check_one(cx, library, env, id);
        } else {
            let used = cx.used.clone();
            check_one(cx, library, env, id);
            cx.used = used;
        }
    }
}

fn check_one(cx: &mut Cx, library: &Library, env: &Env, id: library::LayerId) {
    let declared = library.declared(id);
    if !reads_lost(&declared.decl.body, env) {
        for diagnostic in check_layer(&declared, &library.scope(library.module_of(id), env)) {
            cx.report(diagnostic);
        }
    }
    match &declared.decl.body {
        LayerBody::Alias(expr) => cx.within(&declared.file, |cx| check_alias(cx, library, id, expr)),
        LayerBody::Block(stmts) => {
            stmts.iter().for_each(|s| mark_used(cx, s));
            cx.within(&declared.file, |cx| rust::check_body(cx, &declared.decl.body));
        }
    }
}

/// Whether a body reads a `param` whose mistake has been reported.
fn reads_lost(body: &LayerBody, env: &Env) -> bool {
    let LayerBody::Block(stmts) = body else { return false };
    let mut lost = false;
    for stmt in stmts {
        if let LayerStmt::Equation(equation) = stmt {
            equation
                .value
                .walk(&mut |e| lost |= e.as_name().is_some_and(|n| matches!(env.get(n), Some(None))));
        }
    }
    lost
}

/// A composition is checked with arguments of the right types, whatever their values.
fn check_alias(cx: &mut Cx, library: &Library, id: library::LayerId, expr: &Expr) {
    let decl = &library.layers[id].decl;
    let placeholder = |param: &LayerParam| match param_type(param)? {
        ParamType::Dim => Some(Value::Int(64)),
        ParamType::Int => Some(Value::Int(1)),
        ParamType::Float => Some(Value::Float(0.5)),
        ParamType::Bool => Some(Value::Bool(true)),
        ParamType::Activation => Some(Value::Activation("relu".to_owned())),
        ParamType::Dims => Some(Value::List(vec![Value::Int(64)])),
    };
    let env: Env = decl.params.iter().map(|p| (p.name.text.clone(), placeholder(p))).collect();
    let rows_only = (decl.kind == LayerKind::Module).then_some("a module");
    let (prelude, module) = (prelude::prelude(), library.module_of(id));
    let mut composer = Composer {
        cx,
        library,
        prelude,
        module,
        env: &env,
        rows_only,
        pairs: false,
        head: false,
        open: vec![id],
    };
    composer.model(expr);
}

/// Bodies call modules by name.
fn mark_used(cx: &mut Cx, stmt: &LayerStmt) {
    if let LayerStmt::Equation(equation) = stmt {
        equation.value.walk(&mut |e| cx.used.extend(e.as_name().map(str::to_owned)));
    }
}

fn graphs(
    cx: &mut Cx,
    file: &File,
    env: &Env,
    allowed: &Allowed,
) -> (Vec<CheckedGraph>, BTreeMap<String, usize>) {
    let declared: Vec<&Graph> = file
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Graph(graph) => Some(graph),
            _ => None,
        })
        .collect();
    let by_name: Graphs = declared.iter().rev().map(|g| (g.name.text.as_str(), *g)).collect();
    let mut found = Vec::new();
    let mut indices = BTreeMap::new();
    for graph in declared {
        let Some(stmts) = merge::flatten(cx, &by_name, graph) else { continue };
        let checked = graph::resolve(cx, env, prelude::prelude(), graph, &stmts, allowed);
        indices.entry(graph.name.text.clone()).or_insert(found.len());
        found.push(checked);
    }
    (found, indices)
}

/// What any experiment of the file allows.
fn allowed(cx: &mut Cx, file: &File) -> Allowed {
    let mut allowed = Allowed::default();
    for item in &file.items {
        let Item::Experiment(experiment) = item else { continue };
        for stmt in &experiment.body {
            if let Stmt::Allow(allow) = stmt {
                allowed.add(cx, allow);
            }
        }
    }
    allowed
}

/// What an experiment can refer to.
struct FileWorld<'a> {
    file: &'a File,
    library: &'a Library,
    graphs: &'a [CheckedGraph],
    by_name: &'a BTreeMap<String, usize>,
    allowed: &'a Allowed,
    env: Arc<Env>,
}

impl FileWorld<'_> {
    fn experiments(&self, cx: &mut Cx, set: &[String]) -> Vec<Experiment> {
        let declared = self.file.items.iter().filter_map(|item| match item {
            Item::Experiment(experiment) => Some(experiment),
            _ => None,
        });
        let declared: Vec<_> = declared.collect();
        let by_name: Experiments = declared.iter().rev().map(|e| (e.name.text.as_str(), *e)).collect();
        let own = Place { file: None, module: ROOT, env: self.env.clone(), is_default: false };
        let own = Arc::new(own);
        let defaults = self.defaults(cx);
        let names: Vec<String> = by_name.keys().map(|name| (*name).to_owned()).collect();
        let mut found = Vec::new();
        for experiment in declared {
            let Some((body, graph)) = body::flatten(cx, &by_name, experiment, &own) else { continue };
            let Some(index) = self.graph(cx, &graph) else { continue };
            let mut check = ExperimentCx {
                cx: &mut *cx,
                library: self.library,
                prelude: prelude::prelude(),
                graph: &self.graphs[index],
                body: &body,
                defaults: &defaults,
                allowed: self.allowed,
                gnn_span: None,
                set,
                experiments: &names,
                name: &experiment.name.text,
                starts: Vec::new(),
            };
            found.extend(check.check(Header {
                name: experiment.name.text.clone(),
                doc: experiment.doc.as_ref().map(|d| d.text.clone()),
                span: experiment.name.span,
                graph: index,
            }));
        }
        found
    }

    fn sweeps(&self, cx: &mut Cx, experiments: &[Experiment], params: &[CheckedParam]) -> Vec<Sweep> {
        let defaults = self.defaults(cx);
        let body = Body::default();
        let own = Place { file: None, module: ROOT, env: self.env.clone(), is_default: false };
        let own = Arc::new(own);
        let declared = self.file.items.iter().filter_map(|item| match item {
            Item::Experiment(experiment) => Some(experiment.name.text.clone()),
            _ => None,
        });
        let names: Vec<String> = declared.collect();
        let mut found = Vec::new();
        for item in &self.file.items {
            let Item::Sweep(sweep) = item else { continue };
            if !names.contains(&sweep.of.text) {
                let known = names.iter().map(String::as_str);
                cx.unknown(codes::NAMES_EXPERIMENT, "experiment", &sweep.of.text, sweep.of.span, known);
            }
            let Some(of) = experiments.iter().find(|e| e.name == sweep.of.text) else { continue };
            let mut experiment = ExperimentCx {
                cx: &mut *cx,
                library: self.library,
                prelude: prelude::prelude(),
                graph: &self.graphs[of.graph],
                body: &body,
                defaults: &defaults,
                allowed: self.allowed,
                gnn_span: None,
                set: &[],
                experiments: &names,
                name: &of.name,
                starts: Vec::new(),
            };
            let mut check = SweepCx { experiment: &mut experiment, of, params, env: &self.env, place: &own };
            found.extend(check.check(sweep));
        }
        found
    }

    fn defaults(&self, cx: &mut Cx) -> Body {
        let prelude = prelude::prelude();
        let place = Place {
            file: prelude.source.clone(),
            module: self.library.defaults(),
            env: prelude.env.clone(),
            is_default: true,
        };
        cx.within(&prelude.source, |cx| body::collect(cx, &prelude.experiment, &Arc::new(place)))
    }

    fn graph(&self, cx: &mut Cx, name: &Ident) -> Option<usize> {
        let found = self.by_name.get(&name.text).copied();
        let declared =
            self.file.items.iter().any(|i| matches!(i, Item::Graph(g) if g.name.text == name.text));
        if found.is_none() && !declared {
            let known = self.by_name.keys().map(String::as_str);
            cx.unknown(codes::NAMES_GRAPH, "graph", &name.text, name.span, known);
        }
        found
    }
}
