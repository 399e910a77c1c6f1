//! Derived graphs: `graph v2 = a without x with { … }` becomes one list of statements.

use std::collections::BTreeMap;

use super::many::GRAPH;
use crate::diag::codes;
use crate::sema::cx::Cx;
use crate::syntax::ast::*;

/// Graphs of the file by name.
pub type Graphs<'a> = BTreeMap<&'a str, &'a Graph>;

/// The statements of a graph, those of its base included. `None`: a mistake, reported.
pub fn flatten(cx: &mut Cx, graphs: &Graphs, graph: &Graph) -> Option<Vec<SchemaStmt>> {
    flatten_from(cx, graphs, graph, &mut Vec::new())
}

fn flatten_from<'a>(
    cx: &mut Cx,
    graphs: &Graphs<'a>,
    graph: &'a Graph,
    seen: &mut Vec<&'a str>,
) -> Option<Vec<SchemaStmt>> {
    let Some(base) = &graph.base else { return Some(graph.body.clone()) };
    if seen.contains(&graph.name.text.as_str()) {
        let message = format!("`{}` is derived from itself", graph.name.text);
        cx.error(codes::NAMES_CYCLE, message, base.span, "leads back here");
        return None;
    }
    seen.push(&graph.name.text);
    let Some(found) = graphs.get(base.text.as_str()) else {
        cx.unknown(codes::NAMES_GRAPH, "graph", &base.text, base.span, graphs.keys().copied());
        return None;
    };
    let mut stmts = flatten_from(cx, graphs, found, seen)?;
    for part in &graph.without {
        remove(cx, &mut stmts, part);
    }
    amend(&mut stmts, &graph.body);
    Some(stmts)
}

// ----------------------------------------------------------------------------------------------------------- without

fn remove(cx: &mut Cx, stmts: &mut Vec<SchemaStmt>, part: &TypeRef) {
    let removed = match part {
        TypeRef::Edge(edge) => {
            remove_if(stmts, |s| matches!(s, SchemaStmt::Edge(e) if same_edge(&e.path, edge)))
        }
        TypeRef::Path(path) => match path.segments.as_slice() {
            [name] => remove_type(stmts, &name.text),
            [owner, part] => remove_part(stmts, &owner.text, &part.text),
            _ => false,
        },
    };
    if !removed {
        let (name, known) = (text_of(part), removable(stmts));
        let what = "node type, relation or part of one";
        cx.unknown(codes::NAMES_TYPE_REF, what, &name, part.span(), known.iter().map(String::as_str));
    }
}

fn text_of(part: &TypeRef) -> String {
    match part {
        TypeRef::Path(path) => path.text(),
        TypeRef::Edge(edge) => show_edge(edge),
    }
}

/// `package -depends-> package`
pub fn show_edge(edge: &EdgePath) -> String {
    match &edge.rel {
        Relation::Any => format!("{} -> {}", edge.src, edge.dst),
        Relation::Named(name) => format!("{} -{name}-> {}", edge.src, edge.dst),
        Relation::Column(column) => format!("{} -[{column}]-> {}", edge.src, edge.dst),
    }
}

fn remove_if(stmts: &mut Vec<SchemaStmt>, drop: impl Fn(&SchemaStmt) -> bool) -> bool {
    let before = stmts.len();
    stmts.retain(|s| !drop(s));
    stmts.len() < before
}

/// A node type goes with its edges; a relation goes alone.
fn remove_type(stmts: &mut Vec<SchemaStmt>, name: &str) -> bool {
    let node = remove_if(stmts, |s| matches!(s, SchemaStmt::Node(n) if n.name.text == name));
    let edges = remove_if(stmts, |s| match s {
        SchemaStmt::Edge(e) => relation_name(&e.path) == name || (node && touches(&e.path, name)),
        SchemaStmt::Many(_) => name == GRAPH,
        _ => false,
    });
    node || edges
}

fn touches(edge: &EdgePath, node: &str) -> bool {
    edge.src.text == node || edge.dst.text == node
}

fn remove_part(stmts: &mut [SchemaStmt], owner: &str, part: &str) -> bool {
    let mut removed = false;
    for stmt in stmts {
        let body = match stmt {
            SchemaStmt::Node(n) if n.name.text == owner => &mut n.body,
            SchemaStmt::Edge(e) if relation_name(&e.path) == owner => &mut e.body,
            SchemaStmt::Many(m) if owner == GRAPH => &mut m.body,
            _ => continue,
        };
        removed |= remove_if(body, |s| match s {
            SchemaStmt::Feature(f) => f.name.text == part,
            SchemaStmt::Label(l) => l.name.text == part,
            SchemaStmt::Split(s) => s.label.text == part,
            SchemaStmt::Reverse { name, .. } => name.text == part,
            SchemaStmt::Time { .. } => part == "time",
            _ => false,
        });
    }
    removed
}

fn removable(stmts: &[SchemaStmt]) -> Vec<String> {
    let names = stmts.iter().filter_map(|s| match s {
        SchemaStmt::Node(n) => Some(n.name.text.clone()),
        SchemaStmt::Edge(e) => Some(relation_name(&e.path).to_owned()),
        SchemaStmt::Many(_) => Some(GRAPH.to_owned()),
        _ => None,
    });
    names.collect()
}

/// The relation's name, or the column that names the relations.
pub fn relation_name(edge: &EdgePath) -> &str {
    match &edge.rel {
        Relation::Any => "",
        Relation::Named(name) | Relation::Column(name) => &name.text,
    }
}

fn same_edge(a: &EdgePath, b: &EdgePath) -> bool {
    a.src.text == b.src.text && a.dst.text == b.dst.text && relation_name(a) == relation_name(b)
}

// -------------------------------------------------------------------------------------------------------------- with

/// Statements of `body` take the place of those they restate; the others are added.
fn amend(stmts: &mut Vec<SchemaStmt>, body: &[SchemaStmt]) {
    let old = stmts.len();
    for new in body {
        match stmts[..old].iter().position(|s| restates(new, s)) {
            Some(i) => replace(&mut stmts[i], new),
            None => stmts.push(new.clone()),
        }
    }
}

fn replace(old: &mut SchemaStmt, new: &SchemaStmt) {
    match (old, new) {
        (SchemaStmt::Node(old), SchemaStmt::Node(new)) => {
            amend(&mut old.body, &new.body);
            old.source = new.source.clone().or(old.source.take());
        }
        (SchemaStmt::Edge(old), SchemaStmt::Edge(new)) => {
            amend(&mut old.body, &new.body);
            old.source = new.source.clone().or(old.source.take());
            if !new.columns.is_empty() {
                old.columns = new.columns.clone();
            }
        }
        (SchemaStmt::Many(old), SchemaStmt::Many(new)) => {
            amend(&mut old.body, &new.body);
            old.source = new.source.clone().or(old.source.take());
            old.column = new.column.clone();
        }
        (old, new) => *old = new.clone(),
    }
}

fn restates(new: &SchemaStmt, old: &SchemaStmt) -> bool {
    use SchemaStmt::*;
    match (new, old) {
        (Node(a), Node(b)) => a.name.text == b.name.text,
        (Edge(a), Edge(b)) => same_edge(&a.path, &b.path),
        (Feature(a), Feature(b)) => a.name.text == b.name.text,
        (Label(a), Label(b)) => a.name.text == b.name.text,
        (Split(a), Split(b)) => a.label.text == b.label.text,
        (Setting(a), Setting(b)) => a.name.text == b.name.text,
        (Key { .. }, Key { .. }) | (Time { .. }, Time { .. }) => true,
        (Many(_), Many(_)) | (Reverse { .. }, Reverse { .. }) => true,
        _ => false,
    }
}
