//! The defaults and the signatures of what is built in, read from `stdlib/defaults.gsl`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use gsl_plan::graph::{DuplicatePolicy, MissingPolicy, Source};

use super::call::Signature;
use super::cx::Cx;
use super::value::{Env, Ty, eval};
use crate::diag::SourceFile;
use crate::syntax::ast::*;
use crate::world::{Header, World, WorldError};

pub const PATH: &str = "stdlib/defaults.gsl";
pub const TEXT: &str = include_str!("../../../stdlib/defaults.gsl");

/// `stdlib/defaults.gsl`, read.
#[derive(Debug)]
pub struct Prelude {
    pub source: Option<Arc<SourceFile>>,
    pub env: Arc<Env>,
    /// The experiment that all others are completed from.
    pub experiment: Vec<Stmt>,
    pub graph_seed: u64,
    pub duplicates: DuplicatePolicy,
    pub missing: MissingPolicy,
    signatures: BTreeMap<String, Arc<Signature>>,
}

static PRELUDE: LazyLock<Prelude> = LazyLock::new(|| read(&mut Cx::new(&Nowhere, PATH, TEXT)));

pub fn prelude() -> &'static Prelude {
    &PRELUDE
}

impl Prelude {
    pub fn signature(&self, name: &str) -> Option<&Arc<Signature>> {
        self.signatures.get(name)
    }
}

struct Nowhere;

impl World for Nowhere {
    fn header(&self, source: &Source) -> Result<Header, WorldError> {
        Err(WorldError::NotFound { path: source.paths.join(", "), help: None })
    }

    fn read_module(&self, path: &str) -> Result<String, WorldError> {
        Err(WorldError::NotFound { path: path.to_owned(), help: None })
    }
}

fn read(cx: &mut Cx) -> Prelude {
    let parsed = crate::syntax::parse(TEXT);
    parsed.diagnostics.into_iter().for_each(|d| cx.report(d));
    let file = parsed.file;
    let source = Some(Arc::new(SourceFile { name: PATH.to_owned(), text: TEXT.to_owned() }));
    let env = Arc::new(params(cx, &file));
    let mut prelude = Prelude {
        source: source.clone(),
        env: env.clone(),
        experiment: Vec::new(),
        graph_seed: 0,
        duplicates: DuplicatePolicy::Error,
        missing: MissingPolicy::Error,
        signatures: BTreeMap::new(),
    };
    for item in file.items {
        match item {
            Item::Layer(layer) => {
                let signature = Signature::of(cx, &layer, &source, &env);
                prelude.signatures.insert(layer.name.text.clone(), Arc::new(signature));
            }
            Item::Experiment(experiment) => prelude.experiment = experiment.body,
            Item::Graph(graph) => graph_defaults(&mut prelude, &graph.body),
            _ => {}
        }
    }
    debug_assert!(cx.diags.is_empty(), "{PATH}: {:?}", cx.diags);
    prelude
}

fn params(cx: &mut Cx, file: &File) -> Env {
    let mut env = Env::new();
    for item in &file.items {
        let Item::Param(param) = item else { continue };
        let ty = param.ty.as_ref().and_then(|t| Ty::resolve(cx, t)).unwrap_or(Ty::Any);
        let value = param.value.as_ref().and_then(|v| eval(cx, &env, v, &ty, false));
        env.insert(param.name.text.clone(), value);
    }
    env
}

fn graph_defaults(prelude: &mut Prelude, stmts: &[SchemaStmt]) {
    for stmt in stmts {
        match stmt {
            SchemaStmt::Node(Node { body, .. }) | SchemaStmt::Edge(Edge { body, .. }) => {
                graph_defaults(prelude, body);
            }
            SchemaStmt::Setting(setting) => {
                let value = setting.single();
                let word = value.and_then(Expr::as_name);
                let number = value.and_then(|v| v.as_number()?.int);
                match (setting.name.text.as_str(), word, number) {
                    ("seed", _, Some(seed)) => prelude.graph_seed = seed as u64,
                    ("duplicates", Some("first"), _) => prelude.duplicates = DuplicatePolicy::First,
                    ("missing", Some("drop"), _) => prelude.missing = MissingPolicy::Drop,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}
