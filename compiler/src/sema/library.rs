//! Layers and modules by name: those of the file, those it imports, those of the standard library.
//!
//! The standard library is GSL text like any other; being found under `std` is all that sets it apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cx::{Cx, nearest_or_all};
use super::prelude;
use super::rust::spelled_out;
use super::value::{Env, Value};
use crate::diag::{Diagnostic, SourceFile, codes, did_you_mean};
use crate::layers::{Activation, Arg, Declared, Scope};
use crate::syntax::ast::*;
use crate::world::WorldError;

/// Modules of the standard library: name after `std.`, path for messages, text.
pub const STD: &[(&str, &str, &str)] = &[
    ("layers", "stdlib/layers.gsl", include_str!("../../../stdlib/layers.gsl")),
    ("modules", "stdlib/modules.gsl", include_str!("../../../stdlib/modules.gsl")),
    ("decoders", "stdlib/decoders.gsl", include_str!("../../../stdlib/decoders.gsl")),
    ("readouts", "stdlib/readouts.gsl", include_str!("../../../stdlib/readouts.gsl")),
];

/// The defaults: their modules are signatures of what is built in, not modules to call.
const DEFAULTS: &str = "std.defaults";

/// Index of a layer or module in [`Library::layers`].
pub type LayerId = usize;

#[derive(Debug, Clone, Default)]
pub struct Library {
    pub layers: Vec<LayerDef>,
    files: Vec<Module>,
    defaults: usize,
}

#[derive(Debug, Clone)]
pub struct LayerDef {
    pub decl: Layer,
    pub file: Option<Arc<SourceFile>>,
    /// Index into [`Library::files`].
    module: usize,
}

/// One file's names.
#[derive(Debug, Clone, Default)]
struct Module {
    path: String,
    scope: BTreeMap<String, LayerId>,
    own: Vec<LayerId>,
}

impl Module {
    fn is_prelude(&self) -> bool {
        matches!(self.path.as_str(), "std.modules" | "std.decoders" | "std.readouts")
    }
}

/// The file being compiled is the first module.
pub const ROOT: usize = 0;

impl Library {
    /// Names of the file and of everything that it imports.
    pub fn load(cx: &mut Cx, file: &File) -> Self {
        let mut library = Library::default();
        library.declare(cx, String::new(), file, None);
        for (name, _, _) in STD {
            library.std(cx, name);
        }
        library.defaults = library.add(cx, DEFAULTS.to_owned(), prelude::PATH, prelude::TEXT.to_owned());
        library.import(cx, ROOT, file);
        library
    }

    /// Where the names in `stdlib/defaults.gsl` are looked up.
    pub fn defaults(&self) -> usize {
        self.defaults
    }

    pub fn find(&self, module: usize, name: &str) -> Option<LayerId> {
        self.files.get(module)?.scope.get(name).copied().or_else(|| self.prelude(name))
    }

    /// Modules, decoders and readouts of the standard library need no `use`: `linear`, `mlp`, `distmult`, `mean`.
    fn prelude(&self, name: &str) -> Option<LayerId> {
        let own = self.files.iter().filter(|m| m.is_prelude()).flat_map(|m| &m.own);
        own.copied().find(|id| self.layers[*id].decl.name.text == name)
    }

    pub fn module_of(&self, id: LayerId) -> usize {
        self.layers[id].module
    }

    /// Names that can be called in a module, those of the prelude included.
    pub fn names(&self, module: usize) -> Vec<&str> {
        let prelude = self.files.iter().filter(|m| m.is_prelude()).flat_map(|m| m.scope.keys());
        self.files[module].scope.keys().chain(prelude).map(String::as_str).collect()
    }

    /// The decoders of pairs that a module can name, in the order of their names.
    pub fn decoders(&self, module: usize) -> Vec<&str> {
        let is_decoder = |name: &&str| {
            self.find(module, name).is_some_and(|id| self.layers[id].decl.kind == LayerKind::Decoder)
        };
        let mut found: Vec<&str> = self.names(module).into_iter().filter(is_decoder).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    pub fn declared(&self, id: LayerId) -> Declared<'_> {
        Declared { decl: &self.layers[id].decl, file: self.layers[id].file.clone() }
    }

    /// What arguments and bodies in a module can refer to.
    pub fn scope(&self, module: usize, env: &Env) -> Scope<'_> {
        let values = env.iter().filter_map(|(name, v)| Some((name.clone(), to_arg(v.as_ref()?)?))).collect();
        let prelude = self.files.iter().filter(|m| m.path == "std.modules").flat_map(|m| &m.scope);
        let modules = prelude
            .chain(&self.files[module].scope)
            .filter(|(_, id)| self.layers[**id].decl.kind == LayerKind::Module)
            .map(|(name, id)| (name.clone(), self.declared(*id)))
            .collect();
        Scope { values, modules }
    }

    fn declare(&mut self, cx: &mut Cx, path: String, file: &File, source: Option<Arc<SourceFile>>) -> usize {
        let module = self.files.len();
        self.files.push(Module { path, ..Module::default() });
        for item in &file.items {
            let Item::Layer(layer) = item else { continue };
            if self.files[module].path == DEFAULTS {
                continue;
            }
            let id = self.layers.len();
            self.layers.push(LayerDef { decl: spelled_out(layer), file: source.clone(), module });
            self.files[module].own.push(id);
            if self.files[module].scope.insert(layer.name.text.clone(), id).is_some() {
                let message = format!("`{}` is declared twice", layer.name.text);
                cx.error(codes::NAMES_DUPLICATE, message, layer.name.span, "the second one");
            }
        }
        module
    }

    fn import(&mut self, cx: &mut Cx, module: usize, file: &File) {
        for item in &file.items {
            let Item::Use(used) = item else { continue };
            for import in &used.imports {
                if let Some(id) = self.resolve(cx, import, used.file.as_ref()) {
                    self.bind(cx, module, import, id);
                }
            }
        }
    }

    fn bind(&mut self, cx: &mut Cx, module: usize, import: &Import, id: LayerId) {
        let Some(name) = import.local_name() else { return };
        if self.files[module].scope.insert(name.text.clone(), id).is_some() {
            let message = format!("`{}` is declared twice", name.text);
            let help = format!("give it another name: `{} as Other{}`", import.path.text(), name.text);
            cx.error_help(codes::NAMES_DUPLICATE, message, import.span, "the second one", help);
        }
    }

    fn resolve(&mut self, cx: &mut Cx, import: &Import, file: Option<&Str>) -> Option<LayerId> {
        let module = match file {
            Some(path) => self.module_of_file(cx, path)?,
            None => self.module_of_path(cx, &import.path)?,
        };
        let name = import.path.segments.last()?;
        let own = &self.files[module].own;
        if let Some(id) = own.iter().find(|id| self.layers[**id].decl.name.text == name.text) {
            return Some(*id);
        }
        let known: Vec<&str> = own.iter().map(|id| self.layers[*id].decl.name.text.as_str()).collect();
        let help = nearest_or_all(&name.text, &known);
        let message = format!("`{}` has no layer or module `{}`", self.files[module].path, name.text);
        let diagnostic =
            Diagnostic::new(codes::NAMES_IMPORT, message).at(name.span, "not in that file").help_opt(help);
        cx.report(diagnostic);
        cx.lost.extend(import.local_name().map(|n| n.text.clone()));
        None
    }

    fn module_of_path(&mut self, cx: &mut Cx, path: &Path) -> Option<usize> {
        let names: Vec<&str> = path.segments.iter().map(|s| s.text.as_str()).collect();
        let known = match names.as_slice() {
            ["std", module, _] => self.std(cx, module),
            _ => None,
        };
        if known.is_none() {
            let help = self.where_is(names.last().copied().unwrap_or("")).unwrap_or_else(|| {
                "write `use std.layers.NAME`, `use std.modules.NAME` or `use NAME from \"file.gsl\"`".into()
            });
            let message = format!("there is no `{}` to use", path.text());
            cx.error_help(codes::NAMES_IMPORT, message, path.span, "no such module", help);
            cx.lost.extend(path.segments.last().map(|n| n.text.clone()));
        }
        known
    }

    /// The line that would import a name of the standard library.
    pub fn where_is(&self, name: &str) -> Option<String> {
        for (module, _, _) in STD {
            let path = format!("std.{module}");
            let Some(file) = self.files.iter().find(|m| m.path == path) else { continue };
            let own: Vec<&str> = file.own.iter().map(|id| self.layers[*id].decl.name.text.as_str()).collect();
            let found = own.iter().copied().find(|n| *n == name).or_else(|| did_you_mean(name, own));
            if let Some(found) = found {
                return Some(format!("add `use std.{module}.{found}`"));
            }
        }
        None
    }

    fn std(&mut self, cx: &mut Cx, name: &str) -> Option<usize> {
        let path = format!("std.{name}");
        if let Some(module) = self.files.iter().position(|m| m.path == path) {
            return Some(module);
        }
        let (_, file, text) = STD.iter().find(|(module, _, _)| *module == name)?;
        Some(self.add(cx, path, file, (*text).to_owned()))
    }

    fn module_of_file(&mut self, cx: &mut Cx, path: &Str) -> Option<usize> {
        if let Some(module) = self.files.iter().position(|m| m.path == path.value) {
            return Some(module);
        }
        match cx.world.read_module(&path.value) {
            Ok(text) => Some(self.add(cx, path.value.clone(), &path.value, text)),
            Err(error) => {
                let help = match &error {
                    WorldError::NotFound { help, .. } | WorldError::Unreadable { help, .. } => help.clone(),
                    WorldError::Empty { .. } => None,
                };
                let diagnostic = Diagnostic::new(codes::NAMES_IMPORT, error.to_string())
                    .at(path.span, "cannot be used")
                    .help_opt(help);
                cx.report(diagnostic);
                None
            }
        }
    }

    fn add(&mut self, cx: &mut Cx, path: String, name: &str, text: String) -> usize {
        let parsed = crate::syntax::parse(&text);
        let source = Some(Arc::new(SourceFile { name: name.to_owned(), text }));
        cx.within(&source, |cx| {
            parsed.diagnostics.into_iter().for_each(|d| cx.report(d));
            cx.lost.extend(parsed.lost.iter().map(|name| name.text.clone()));
            let module = self.declare(cx, path, &parsed.file, source.clone());
            self.import(cx, module, &parsed.file);
            module
        })
    }

    /// Imports of the file that nothing refers to.
    pub fn report_unused(&self, cx: &mut Cx, file: &File, referred: &dyn Fn(&str) -> bool) {
        for item in &file.items {
            let Item::Use(used) = item else { continue };
            for import in &used.imports {
                let Some(name) = import.local_name() else { continue };
                if self.files[ROOT].scope.contains_key(&name.text) && !referred(&name.text) {
                    let message = format!("`{}` is imported and not used", name.text);
                    let help = "remove it";
                    cx.error_help(codes::NAMES_UNUSED_USE, message, import.span, "not used", help);
                }
            }
        }
    }

    /// Layers and modules of the file and of the files that it uses, not those of the standard library.
    pub fn written(&self) -> Vec<LayerId> {
        let is_std = |id: &LayerId| self.files[self.layers[*id].module].path.starts_with("std.");
        (0..self.layers.len()).filter(|id| !is_std(id)).collect()
    }
}

/// A constant in the form that layers take; a text is none.
pub fn to_arg(value: &Value) -> Option<Arg> {
    Some(match value {
        Value::None => Arg::None,
        Value::Bool(b) => Arg::Bool(*b),
        Value::Int(n) => Arg::Int(*n),
        Value::Float(x) => Arg::Float(*x),
        Value::Activation(name) => Arg::Activation(activation(name)?),
        Value::List(items) => {
            let dims = items.iter().map(|v| usize::try_from(v.int()?).ok());
            Arg::Dims(dims.collect::<Option<Vec<_>>>()?)
        }
        Value::Text(_) | Value::Word(_) => return None,
    })
}

/// `relu`, `leaky_relu(0.2)`
pub fn activation(text: &str) -> Option<Activation> {
    let slope = text.strip_prefix("leaky_relu(").and_then(|rest| rest.strip_suffix(')'));
    match slope {
        Some(slope) => slope.parse().ok().map(Activation::LeakyRelu),
        None => Activation::parse(text),
    }
}

/// The name that [`activation`] reads.
pub fn activation_name(activation: Activation) -> String {
    let named = Activation::NAMES.iter().find(|n| Activation::parse(n) == Some(activation));
    match (named, activation) {
        (Some(name), _) => (*name).to_owned(),
        (None, Activation::LeakyRelu(slope)) => format!("leaky_relu({slope})"),
        (None, _) => "identity".to_owned(),
    }
}

/// An argument of a layer as a constant.
pub fn from_arg(arg: &Arg) -> Value {
    match arg {
        Arg::Dim(n) => Value::Int(*n as i64),
        Arg::Int(n) => Value::Int(*n),
        Arg::Float(x) => Value::Float(*x),
        Arg::Bool(b) => Value::Bool(*b),
        Arg::Activation(a) => Value::Activation(activation_name(*a)),
        Arg::Dims(dims) => Value::List(dims.iter().map(|n| Value::Int(*n as i64)).collect()),
        Arg::None => Value::None,
    }
}
