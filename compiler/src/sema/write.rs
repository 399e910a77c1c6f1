//! What an experiment writes: of which prediction or type, into which file, in which format.

use std::collections::BTreeMap;

use gsl_plan::graph::{EdgeType, Relation};
use gsl_plan::plan::{PairTable, Write, WriteFormat, WriteWhat};

use super::body::Sourced;
use super::cx::Cx;
use super::experiment::{Experiment, ExperimentCx};
use super::graph::CheckedGraph;
use super::graph::source::source_of;
use super::graph::table::Table;
use super::predict::{Predict, Target};
use super::value::{Env, Ty, Value, eval};
use crate::diag::codes;
use crate::syntax::ast::{self, Arg, EdgePath, Ident, Span, TypeRef, WriteItem};

/// Results by the name they have in the language.
const RESULTS: [&str; 5] = ["predictions", "embeddings", "relations", "links", "scores"];
/// Links of a source, at most.
const MOST: i64 = 1 << 16;

/// A result, and where it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub write: Write,
    pub span: Span,
}

/// What the model makes.
struct Made<'a> {
    predicts: &'a [Predict],
    /// By node type: whether its rows are computed.
    computed: &'a [bool],
}

impl ExperimentCx<'_, '_> {
    /// Everything that is written. `None`: a mistake, reported.
    pub fn writes(&mut self, predicts: Option<&[Predict]>, computed: &[bool]) -> Option<Vec<Written>> {
        let mut found = Vec::new();
        let mut good = true;
        for write in &self.body.writes {
            let (dir, format) = (self.folder(write), self.format(write.item.format.as_ref()));
            for item in &write.item.items {
                let made = predicts.map(|predicts| Made { predicts, computed });
                let what = made.and_then(|made| self.write_item(item, &write.place.env, &made));
                good &= what.is_some();
                let (Some(what), Some(dir), Some(format)) = (what, &dir, format) else { continue };
                let name = |what: &WriteWhat| file_name(self.graph, predicts.unwrap_or(&[]), what);
                let write = |what| Write { dir: dir.clone(), name: name(&what), what, format };
                let span = item.of.as_ref().map_or(item.span, TypeRef::span);
                found.extend(what.into_iter().map(|what| Written { write: write(what), span }));
            }
            good &= dir.is_some() && format.is_some();
        }
        good.then_some(found)
    }

    fn folder(&mut self, write: &Sourced<ast::Write>) -> Option<String> {
        let Some(to) = &write.item.to else {
            let help = "add a folder: `to \"out\"`";
            self.cx.error_help(codes::EXPERIMENT_WRITE, "written where?", write.item.span, "", help);
            return None;
        };
        match eval(self.cx, &write.place.env, to, &Ty::Path, false)? {
            Value::Text(path) => Some(path),
            _ => None,
        }
    }

    fn format(&mut self, written: Option<&Ident>) -> Option<WriteFormat> {
        let Some(word) = written else { return Some(WriteFormat::default()) };
        let found = WriteFormat::ALL.into_iter().find(|format| format.name() == word.text);
        if found.is_none() {
            let known = WriteFormat::ALL.map(WriteFormat::name);
            self.cx.unknown(codes::EXPERIMENT_WRITE, "format of results", &word.text, word.span, known);
        }
        found
    }

    fn write_item(&mut self, item: &WriteItem, env: &Env, made: &Made) -> Option<Vec<WriteWhat>> {
        let what = item.what.text.as_str();
        if !RESULTS.contains(&what) {
            self.cx.unknown(codes::EXPERIMENT_WRITE, "result", what, item.what.span, RESULTS);
            return None;
        }
        self.nothing_else(item)?;
        if what == "embeddings" {
            return self.embeddings(item, made);
        }
        let (predicts, relation) = self.predictions_of(item, made)?;
        let predicts = predicts.into_iter();
        Some(match what {
            "predictions" => predicts.map(|predict| WriteWhat::Predictions { predict }).collect(),
            "relations" => predicts.map(|predict| WriteWhat::Relations { predict }).collect(),
            "links" => {
                let (most, known) = self.how_many(item, env)?;
                let links = |predict| WriteWhat::Links { predict, most, known, relation: relation.clone() };
                predicts.map(links).collect()
            }
            _ => {
                let [predict] = predicts.as_slice() else { return self.which(item, made) };
                let edge = made.predicts[*predict].target.edge()?;
                let pairs = self.pair_table(item.pairs.as_ref()?, env, edge, relation.is_some())?;
                vec![WriteWhat::Scores { predict: *predict, pairs, relation }]
            }
        })
    }

    /// Arguments are of `links`, tables of `scores`.
    fn nothing_else(&mut self, item: &WriteItem) -> Option<()> {
        let what = item.what.text.as_str();
        let message = match &item.pairs {
            None if what == "scores" => "scores of which pairs?".to_owned(),
            Some(_) if what != "scores" => format!("`{what}` reads no table"),
            _ if what != "links" && !item.args.is_empty() => format!("`{what}` takes no arguments"),
            _ => return Some(()),
        };
        let help = match what {
            "scores" => {
                "name a table and the columns of both ends: `scores of (a -r-> b) from \"pairs.csv\" (src, dst)`"
            }
            _ => {
                "there are `links(10) of (a -r-> b)` and `scores of (a -r-> b) from \"pairs.csv\" (src, dst)`"
            }
        };
        self.cx.error_help(codes::EXPERIMENT_WRITE, message, item.span, "", help);
        None
    }

    fn embeddings(&mut self, item: &WriteItem, made: &Made) -> Option<Vec<WriteWhat>> {
        let Some(of) = &item.of else {
            let mut types: Vec<usize> =
                made.predicts.iter().flat_map(|p| p.target.types(&self.graph.plan)).collect();
            types.sort_unstable();
            types.dedup();
            return Some(types.into_iter().map(|ty| WriteWhat::Embeddings { ty: ty as u32 }).collect());
        };
        let ty = match of {
            TypeRef::Path(path) if path.segments.len() == 1 => self.node_of(path.segments.first()?)?,
            _ => return self.no_write(item, "embeddings are of node types"),
        };
        if self.graph.plan.graphs == Some(ty) {
            return self.readouts(item, ty, made);
        }
        if made.computed.get(ty) == Some(&true) {
            return Some(vec![WriteWhat::Embeddings { ty: ty as u32 }]);
        }
        self.no_write(item, "no prediction is reached from this type, so its rows are never computed")
    }

    /// Rows of the small graphs: what the readout of the one prediction of them gives.
    fn readouts(&mut self, item: &WriteItem, ty: usize, made: &Made) -> Option<Vec<WriteWhat>> {
        let read = made.predicts.iter().filter(|predict| predict.readout.is_some());
        match read.count() {
            1 => Some(vec![WriteWhat::Embeddings { ty: ty as u32 }]),
            0 => self.no_write(item, "small graphs have rows where a label of theirs is predicted: `predict graph.LABEL`"),
            _ => self.no_write(item, "each prediction of small graphs has a readout of its own, and rows of its own; predict one label in the experiment that writes them"),
        }
    }

    fn node_of(&mut self, name: &Ident) -> Option<usize> {
        let found = self.graph.node(&name.text);
        if found.is_none() {
            let known = self.graph.node_names();
            self.cx.unknown(codes::NAMES_NODE, "node type", &name.text, name.span, known);
        }
        found
    }

    /// The predictions that have the result and that the item names, at least one; and the relation of a family that alone is
    /// wanted of it.
    fn predictions_of(&mut self, item: &WriteItem, made: &Made) -> Option<(Vec<usize>, Option<String>)> {
        let result = item.what.text.as_str();
        let (named, relation) = self.named(item, made)?;
        let has_result = |target: Target| match (result, target) {
            ("predictions", target) => !matches!(target, Target::Link { .. }),
            (_, Target::Feature { .. } | Target::EdgeFeature { .. }) => false,
            ("links", target) => matches!(target, Target::Link { .. }),
            (_, target) => target.edge().is_some(),
        };
        let is_link = |predict: &Predict| !item.link || matches!(predict.target, Target::Link { .. });
        let fits = |predict: &Predict| {
            has_result(predict.target) && is_link(predict) && named.fits(self.graph, predict)
        };
        let found: Vec<usize> = (0..made.predicts.len()).filter(|&i| fits(&made.predicts[i])).collect();
        match found.is_empty() {
            false => Some((found, relation)),
            true => {
                let help = match result {
                    "links" => "links are written of what `predict link a -r-> b` predicts",
                    "predictions" => {
                        "predictions are of labels and features that the experiment predicts; links have `links` and `scores`"
                    }
                    _ => "only what is predicted has them: `predict link a -r-> b` or `predict (a -r-> b).x`",
                };
                self.no_write(item, help)
            }
        }
    }

    fn named(&mut self, item: &WriteItem, made: &Made) -> Option<(Named, Option<String>)> {
        let label = item.label.as_ref().map(|label| label.text.clone());
        let named = match &item.of {
            None => Named::All,
            Some(TypeRef::Edge(path)) => {
                if let Some((edge, relation)) = self.one_of_family(path, item, made)? {
                    return Some((Named::Edge { edge, label }, Some(relation)));
                }
                Named::Edge { edge: self.forward(path)?, label }
            }
            Some(TypeRef::Path(path)) => {
                let ty = self.node_of(path.segments.first()?)?;
                Named::Node { ty, label: path.segments.get(1).map(|label| label.text.clone()) }
            }
        };
        Some((named, None))
    }

    /// The family that a path names one relation of: no relation of the graph is declared by that name, and the experiment predicts
    /// a family between these types. Which relations a family has, only its table knows. `None`: a mistake, reported.
    fn one_of_family(
        &mut self,
        path: &EdgePath,
        item: &WriteItem,
        made: &Made,
    ) -> Option<Option<(usize, String)>> {
        let ast::Relation::Named(name) = &path.rel else { return Some(None) };
        if !matches!(item.what.text.as_str(), "links" | "scores") || self.graph.edge(path).is_some() {
            return Some(None);
        }
        let plan = &self.graph.plan;
        let joins = |edge: &EdgeType| {
            let [src, dst] = [edge.src, edge.dst].map(|ty| &plan.nodes[ty].name);
            *src == path.src.text && *dst == path.dst.text && matches!(edge.relation, Relation::Column(_))
        };
        let mut families: Vec<usize> = made.predicts.iter().filter_map(|p| p.target.edge()).collect();
        families.retain(|edge| joins(&plan.edges[*edge]));
        families.dedup();
        match families.as_slice() {
            [] => Some(None),
            [edge] => Some(Some((*edge, name.text.clone()))),
            _ => {
                let message = "several families are predicted between these types";
                let help = "write all relations of one of them, by the name of its column: `(a -[rel]-> b)`";
                self.cx.error_help(codes::EXPERIMENT_WRITE, message, path.span, "of which?", help);
                None
            }
        }
    }

    /// The edge type of a path that does not name its reverse.
    fn forward(&mut self, path: &EdgePath) -> Option<usize> {
        let edge = self.edge_type(path)?;
        let declared = &self.graph.plan.edges[edge];
        if self.graph.plan.nodes[declared.src].name == path.src.text && !is_reverse(declared, path) {
            return Some(edge);
        }
        let message = "this is the reverse of a relation, which shares what is predicted of it";
        let help = format!("name the relation: `{}`", self.graph.relation_names()[edge]);
        self.cx.error_help(codes::EXPERIMENT_WRITE, message, path.span, "a reverse", help);
        None
    }

    /// `10, known: keep`
    fn how_many(&mut self, item: &WriteItem, env: &Env) -> Option<(u32, bool)> {
        let (mut most, mut known) = (None, false);
        for arg in &item.args {
            match (&arg.name, arg.value.as_name()) {
                (None, _) if most.is_none() => most = Some(self.most(arg, env)?),
                (Some(name), Some(word @ ("keep" | "drop"))) if name.text == "known" => {
                    known = word == "keep"
                }
                _ => return self.no_best(arg.span),
            }
        }
        match most {
            Some(most) => Some((most, known)),
            None => self.no_best(item.span),
        }
    }

    fn most(&mut self, arg: &Arg, env: &Env) -> Option<u32> {
        let n = eval(self.cx, env, &arg.value, &Ty::Int, false)?.int()?;
        if (1..=MOST).contains(&n) {
            return Some(n as u32);
        }
        let message = format!("the number of links of each source is from 1 to {MOST}, not {n}");
        self.cx.error(codes::ARGS_VALUE, message, arg.span, "out of range");
        None
    }

    fn no_best<T>(&mut self, span: Span) -> Option<T> {
        let message = "`links` takes how many are written of each source";
        let help = "write `links(10)`, or with the edges that are known among them `links(10, known: keep)`";
        self.cx.error_help(codes::EXPERIMENT_WRITE, message, span, "", help);
        None
    }

    fn which<T>(&mut self, item: &WriteItem, made: &Made) -> Option<T> {
        let message = "several predictions have scores";
        let names =
            made.predicts.iter().filter(|p| p.target.edge().is_some()).map(|p| format!("`{}`", p.name));
        let help = format!("name one of {}", names.collect::<Vec<_>>().join(", "));
        self.cx.error_help(codes::EXPERIMENT_WRITE, message, item.span, "of which?", help);
        None
    }

    /// `of_one`: of one relation of a family, which the table then does not name.
    fn pair_table(
        &mut self,
        written: &ast::PairTable,
        env: &Env,
        edge: usize,
        of_one: bool,
    ) -> Option<PairTable> {
        let source = source_of(self.cx, env, std::slice::from_ref(&written.file))?;
        let is_family = !of_one && matches!(self.graph.plan.edges[edge].relation, Relation::Column(_));
        let columns = written.columns.as_slice();
        let (src, dst, relation) = match (columns, is_family) {
            ([src, dst], false) => (src, dst, None),
            ([src, dst, relation], true) => (src, dst, Some(relation)),
            _ => {
                let help = match is_family {
                    true => "name the columns of source, destination and relation: `(src, dst, relation)`",
                    false => "name the columns of source and destination: `(src, dst)`",
                };
                let message = format!("{} columns are named", columns.len());
                self.cx.error_help(codes::EXPERIMENT_WRITE, message, written.span, "", help);
                return None;
            }
        };
        let table = Table::of(self.cx, std::slice::from_ref(&source), written.file.span);
        for column in columns {
            table.column_of(self.cx, column)?;
        }
        let text = |name: &Ident| name.text.clone();
        Some(PairTable { source, src: text(src), dst: text(dst), relation: relation.map(text) })
    }

    fn no_write<T>(&mut self, item: &WriteItem, help: &str) -> Option<T> {
        let of = item.of.as_ref().map_or(item.span, TypeRef::span);
        let message = format!("the experiment makes no {} of this", item.what);
        self.cx.error_help(codes::EXPERIMENT_WRITE, message, of, "not made", help);
        None
    }
}

/// What an item names behind `of`.
enum Named {
    All,
    Node { ty: usize, label: Option<String> },
    Edge { edge: usize, label: Option<String> },
}

impl Named {
    fn fits(&self, graph: &CheckedGraph, predict: &Predict) -> bool {
        let plan = &graph.plan;
        match (self, predict.target) {
            (Named::All, _) => true,
            (Named::Node { ty, label }, Target::Node { ty: own, label: of }) => {
                *ty == own && label.as_ref().is_none_or(|name| *name == plan.nodes[own].labels[of].name)
            }
            (Named::Edge { edge, label }, Target::Edge { edge: own, label: of }) => {
                *edge == own && label.as_ref().is_none_or(|name| *name == plan.edges[own].labels[of].name)
            }
            (Named::Node { ty, label }, Target::Feature { ty: own, feature }) => {
                let name = &plan.nodes[own].features[feature].name;
                *ty == own && label.as_ref().is_none_or(|label| label == name)
            }
            (Named::Edge { edge, label }, Target::EdgeFeature { edge: own, feature }) => {
                let name = &plan.edges[own].features[feature].name;
                *edge == own && label.as_ref().is_none_or(|label| label == name)
            }
            (Named::Edge { edge, label: None }, Target::Link { edge: own }) => *edge == own,
            _ => false,
        }
    }
}

fn is_reverse(declared: &EdgeType, path: &EdgePath) -> bool {
    match &path.rel {
        ast::Relation::Named(name) | ast::Relation::Column(name) => {
            declared.reverse.as_deref() == Some(name.text.as_str())
        }
        ast::Relation::Any => false,
    }
}

/// `package.section`, `paper.words.reconstructed`, `user-rates-movie.stars`, `user-rates-movie.links`.
fn file_name(graph: &CheckedGraph, predicts: &[Predict], what: &WriteWhat) -> String {
    let plan = &graph.plan;
    let of = |predict: &usize| match predicts[*predict].target {
        Target::Node { ty, label } => {
            (plan.nodes[ty].name.clone(), plan.nodes[ty].labels[label].name.as_str())
        }
        Target::Edge { edge, label } => {
            (edge_name(graph, edge), plan.edges[edge].labels[label].name.as_str())
        }
        Target::Link { edge } => (edge_name(graph, edge), "link"),
        Target::Feature { ty, feature } => {
            (plan.nodes[ty].name.clone(), plan.nodes[ty].features[feature].name.as_str())
        }
        Target::EdgeFeature { edge, feature } => {
            (edge_name(graph, edge), plan.edges[edge].features[feature].name.as_str())
        }
    };
    match what {
        WriteWhat::Embeddings { ty } => format!("{}.embeddings", plan.nodes[*ty as usize].name),
        WriteWhat::Predictions { predict } => {
            let (owner, label) = of(predict);
            let suffix = if predicts[*predict].reconstruct.is_some() { ".reconstructed" } else { "" };
            format!("{owner}.{label}{suffix}")
        }
        WriteWhat::Relations { predict } => format!("{}.relations", of(predict).0),
        WriteWhat::Links { predict, relation, .. } => {
            format!("{}.links", owner(graph, predicts[*predict].target, relation.as_deref()))
        }
        WriteWhat::Scores { predict, relation, .. } => {
            format!("{}.scores", owner(graph, predicts[*predict].target, relation.as_deref()))
        }
    }
}

/// `entity-rel-entity`; of one relation of the family `entity-capital_of-entity`.
fn owner(graph: &CheckedGraph, target: Target, relation: Option<&str>) -> String {
    match (target.edge(), relation) {
        (Some(edge), Some(name)) => ends_around(graph, edge, &as_file_name(name)),
        (Some(edge), None) => edge_name(graph, edge),
        (None, _) => String::new(),
    }
}

/// What stands in data as a part of a file's name: all but letters, digits, `-` and `.` is `_`, of which one is enough.
fn as_file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '.') { c } else { ' ' };
    let plain: String = name.chars().map(plain).collect();
    plain.split_whitespace().collect::<Vec<_>>().join("_")
}

fn edge_name(graph: &CheckedGraph, edge: usize) -> String {
    let (Relation::Named(name) | Relation::Column(name)) = &graph.plan.edges[edge].relation;
    ends_around(graph, edge, name)
}

fn ends_around(graph: &CheckedGraph, edge: usize, relation: &str) -> String {
    let (declared, nodes) = (&graph.plan.edges[edge], &graph.plan.nodes);
    format!("{}-{relation}-{}", nodes[declared.src].name, nodes[declared.dst].name)
}

/// As the language writes it: `links(10) of link a -r-> b`.
pub fn show(write: &Write, graph: &CheckedGraph, predicts: &[Predict]) -> String {
    let name = |predict: &usize| predicts[*predict].name.as_str();
    let of_pairs =
        |predict: &usize, relation: &Option<String>| match (predicts[*predict].target.edge(), relation) {
            (Some(edge), Some(relation)) => {
                let [src, dst] = [graph.plan.edges[edge].src, graph.plan.edges[edge].dst];
                let [src, dst] = [src, dst].map(|ty| &graph.plan.nodes[ty].name);
                format!("({src} -`{relation}`-> {dst})")
            }
            _ => name(predict).to_owned(),
        };
    let what = match &write.what {
        WriteWhat::Predictions { predict } => format!("predictions of {}", name(predict)),
        WriteWhat::Embeddings { ty } => format!("embeddings of {}", graph.plan.nodes[*ty as usize].name),
        WriteWhat::Relations { predict } => format!("relations of {}", name(predict)),
        WriteWhat::Links { predict, most, known, relation } => {
            let known = if *known { "keep" } else { "drop" };
            format!("links({most}, known: {known}) of {}", of_pairs(predict, relation))
        }
        WriteWhat::Scores { predict, pairs, relation } => {
            let columns = [&pairs.src, &pairs.dst].into_iter().chain(&pairs.relation).cloned();
            let paths = pairs.source.paths.join(", ");
            let of = of_pairs(predict, relation);
            format!("scores of {of} from {paths:?} ({})", columns.collect::<Vec<_>>().join(", "))
        }
    };
    format!("write {what} to {:?} as {}", write.dir, write.format.name())
}

/// Reports results that would be the same file.
pub fn write_clashes(cx: &mut Cx, experiments: &[Experiment]) {
    let mut seen: BTreeMap<(&str, &str, WriteFormat), (&str, &WriteWhat)> = BTreeMap::new();
    for experiment in experiments {
        for Written { write, .. } in &experiment.writes {
            let key = (write.dir.as_str(), write.name.as_str(), write.format);
            let Some((other, what)) = seen.insert(key, (&experiment.name, &write.what)) else { continue };
            if other == experiment.name && *what != write.what {
                let file = format!("`{}.{}` in `{}`", write.name, write.format.name(), write.dir);
                let message = format!("`{other}` writes {file} twice, and not the same of it");
                let help = "leave one of them out, or give it another folder";
                cx.error_help(codes::EXPERIMENT_WRITE, message, experiment.span, "", help);
            } else if other != experiment.name {
                let message = format!(
                    "`{other}` and `{}` write `{}.{}` in `{}`",
                    experiment.name,
                    write.name,
                    write.format.name(),
                    write.dir
                );
                let help = "give one of them another folder";
                cx.error_help(codes::EXPERIMENT_WRITE, message, experiment.span, "", help);
            }
        }
    }
}
