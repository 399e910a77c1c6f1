//! From tables to a schema: which tables are nodes, which are edges, what refers to what.
//!
//! Names decide first, values second: a relation is believed where most values of a column are keys of a node type, and, where the keys
//! are integers without gaps, where the name says so too.

use std::collections::BTreeMap;

use gsl_tables::{ColumnKind, TableError};
use rayon::prelude::*;

use super::direction::{self, Direction};
use super::look::Table;
use super::many::Many;
use super::names::{
    base, can_be_written, is_end, is_reference, is_relation, key_score, pair, relation_name, singular, snake,
    speaks_of, type_name,
};
use super::profile::{Profile, count_in, keys};
use super::sketch::KeySet;

/// A column of a table: numbers of both.
pub type At = (usize, usize);

/// Share of a column's rows that must be keys, where the name says that it refers to them and where it does not.
const NAMED_SHARE: f64 = 0.5;
const UNNAMED_SHARE: f64 = 0.9;
/// Share of the keys of a table that must be those of another one, to be joined to it.
const JOINED_SHARE: f64 = 0.95;

/// Relations that a column of relations may name.
const FAMILY: u64 = 2000;

#[derive(Debug, Default)]
pub struct Schema {
    pub nodes: Vec<NodeType>,
    pub edges: Vec<Edge>,
    /// Where one of the types is small graphs that hold the nodes of the others.
    pub many: Option<Many>,
    /// Tables that are of no use, and why.
    pub unused: Vec<(usize, String)>,
}

#[derive(Debug)]
pub struct NodeType {
    pub name: String,
    /// None: declared by its edges.
    pub table: Option<usize>,
    pub key: Option<Key>,
    /// Tables that share the key.
    pub joins: Vec<Join>,
}

impl NodeType {
    /// Its table and those that are joined to it.
    pub fn tables(&self) -> impl Iterator<Item = usize> {
        self.table.into_iter().chain(self.joins.iter().map(|join| join.table))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    pub table: usize,
    /// Rows whose key is one of the type's.
    pub matched: u64,
}

#[derive(Debug)]
pub struct Key {
    pub column: usize,
    pub set: KeySet,
}

#[derive(Debug)]
pub struct Edge {
    pub relation: String,
    pub table: usize,
    pub ends: [End; 2],
    /// The column that names the relation of each row.
    pub family: Option<usize>,
    /// A column of a node table refers to other nodes.
    pub is_reference: bool,
    pub direction: Direction,
}

#[derive(Debug, Clone)]
pub struct End {
    pub column: usize,
    /// Index into [`Schema::nodes`].
    pub ty: usize,
    /// Share of rows with a value that are keys of the type; none where the edges declare the type.
    pub found: Option<f64>,
    /// The share is that of a sample of the values.
    pub sampled: bool,
    pub missing: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Nodes(Option<usize>),
    /// The columns of the ends.
    Edges(usize, usize),
}

impl Schema {
    /// Takes out the edges that follow from these columns of node tables.
    pub fn forget_references(&mut self, to: impl Fn(At) -> bool) {
        self.edges.retain(|edge| !(edge.is_reference && to((edge.table, edge.ends[1].column))));
    }

    /// `paper -cites-> paper`, `entity -[rel]-> entity`
    pub fn show(&self, tables: &[Table], edge: &Edge) -> String {
        let [src, dst] = &edge.ends;
        let relation = match edge.family {
            Some(column) => format!("[{}]", tables[edge.table].columns[column].name),
            None => edge.relation.clone(),
        };
        format!("{} -{relation}-> {}", self.nodes[src.ty].name, self.nodes[dst.ty].name)
    }
}

pub fn guess(tables: &[Table]) -> Result<Schema, TableError> {
    let roles = roles(tables)?;
    let mut schema = node_types(tables, &roles)?;
    join(tables, &mut schema)?;
    set_splits_aside(tables, &roles, &mut schema);
    let edge_tables = roles.iter().enumerate().filter_map(|(table, role)| match role {
        Role::Edges(src, dst) => Some((table, *src, *dst)),
        Role::Nodes(_) => None,
    });
    let set_aside: Vec<usize> = schema.unused.iter().map(|(table, _)| *table).collect();
    for (table, src, dst) in edge_tables.filter(|(table, ..)| !set_aside.contains(table)) {
        edge(tables, &mut schema, table, src, dst);
    }
    references(tables, &mut schema);
    drop_useless(tables, &mut schema);
    name_apart(&mut schema);
    for edge in schema.edges.iter_mut().filter(|edge| !edge.is_reference && edge.family.is_none()) {
        edge.direction = direction::of(&tables[edge.table], edge)?;
    }
    Ok(schema)
}

/// Integers and texts can be identifiers.
fn can_identify(column: &Profile) -> bool {
    matches!(column.kind, ColumnKind::Int | ColumnKind::Text) && can_be_written(&column.name)
}

/// What each table is; that of a table without telling names needs the keys of those that are clear.
fn roles(tables: &[Table]) -> Result<Vec<Role>, TableError> {
    let mut clear: Vec<Option<Role>> = tables.iter().map(clear_role).collect();
    let known: Vec<Option<Role>> = clear.clone();
    let sets = tables
        .par_iter()
        .zip(known)
        .map(|(table, role)| match role {
            Some(Role::Nodes(Some(key))) => keys(&table.source, &table.columns[key]).map(Some),
            _ => Ok(None),
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (at, table) in tables.iter().enumerate() {
        if clear[at].is_none() {
            clear[at] = Some(unclear_role(tables, table, &sets));
        }
    }
    Ok(clear.into_iter().map(|role| role.unwrap_or(Role::Nodes(None))).collect())
}

/// Two columns named like ends, or a unique column named like a key.
fn clear_role(table: &Table) -> Option<Role> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    if let Some((a, b)) = pair(&names)
        && can_identify(&table.columns[a])
        && can_identify(&table.columns[b])
    {
        return Some(Role::Edges(a, b));
    }
    let key = best_key(table)?;
    (key_score(&table.columns[key].name, &table.stem) >= 50).then_some(Role::Nodes(Some(key)))
}

/// The unique column whose name speaks most for its being the key; of equals, the first.
fn best_key(table: &Table) -> Option<usize> {
    let unique = (0..table.columns.len())
        .filter(|&at| can_identify(&table.columns[at]) && table.columns[at].is_unique());
    unique.max_by_key(|&at| (key_score(&table.columns[at].name, &table.stem), std::cmp::Reverse(at)))
}

/// Two columns that refer to something make edges; a first column that is unique makes nodes; else rows are numbered.
fn unclear_role(tables: &[Table], table: &Table, sets: &[Option<KeySet>]) -> Role {
    let refers = |column: &Profile| {
        let to = tables.iter().zip(sets).filter_map(|(other, set)| Some((other, set.as_ref()?)));
        is_reference(&column.name)
            || to.into_iter().any(|(other, set)| {
                let named = speaks_of(&column.name, &type_name(&other.stem));
                let share = column.sketch.share_in(set).unwrap_or(0.0);
                share >= needed(column, named) && (named || !column.is_dense())
            })
    };
    let ends: Vec<usize> = (0..table.columns.len())
        .filter(|&at| can_identify(&table.columns[at]) && refers(&table.columns[at]))
        .collect();
    match (ends.as_slice(), best_key(table)) {
        (&[a, b, ..], _) => Role::Edges(a, b),
        (_, Some(key)) if key == 0 || table.columns[key].kind == ColumnKind::Text => Role::Nodes(Some(key)),
        _ => Role::Nodes(None),
    }
}

fn needed(column: &Profile, named: bool) -> f64 {
    match named {
        true => NAMED_SHARE,
        false if column.sketch.distinct() < 2 => f64::INFINITY,
        false => UNNAMED_SHARE,
    }
}

fn node_types(tables: &[Table], roles: &[Role]) -> Result<Schema, TableError> {
    let mut schema = Schema::default();
    for (at, table) in tables.iter().enumerate() {
        let Role::Nodes(key) = roles[at] else { continue };
        let key = match key {
            None => None,
            Some(column) => {
                let set = keys(&table.source, &table.columns[column])?;
                set.is_unique().then_some(Key { column, set })
            }
        };
        schema.nodes.push(NodeType { name: type_name(&table.stem), table: Some(at), key, joins: Vec::new() });
    }
    Ok(schema)
}

/// Tables of nodes whose keys are keys of another one too become part of it: splits, and further columns.
fn join(tables: &[Table], schema: &mut Schema) -> Result<(), TableError> {
    let owners: Vec<Option<usize>> =
        (0..schema.nodes.len()).map(|node| owner_of(tables, &schema.nodes, node)).collect();
    let mut gone = Vec::new();
    for (node, owner) in owners.iter().enumerate() {
        let Some(owner) = owner.filter(|&owner| owners[owner].is_none()) else { continue };
        let (Some((table, own)), Some(key)) =
            (key_column(tables, &schema.nodes[node]), &schema.nodes[owner].key)
        else {
            continue;
        };
        let matched = count_in(&table.source, own, &key.set)?;
        let join = schema.nodes[node].table.map(|table| Join { table, matched });
        schema.nodes[owner].joins.extend(join);
        gone.push(node);
    }
    for node in gone.into_iter().rev() {
        schema.nodes.remove(node);
    }
    Ok(())
}

/// Of two tables with the same key, the one with the larger rank is joined by the other: splits join, not what is named like the key.
fn rank(table: &Table, key: &Profile, index: usize) -> impl Ord + use<> {
    let named = key_score(&key.name, &table.stem);
    (!is_split_table(table), named, table.rows(), table.columns.len(), std::cmp::Reverse(index))
}

/// The node type that a table of nodes adds columns to.
fn owner_of(tables: &[Table], nodes: &[NodeType], node: usize) -> Option<usize> {
    let (table, own) = key_column(tables, &nodes[node])?;
    let fits = |other: usize| -> Option<(bool, u64, usize)> {
        let (owner, key) = key_column(tables, &nodes[other])?;
        let set = &nodes[other].key.as_ref()?.set;
        let same = other != node && key.name == own.name && key.kind == own.kind;
        let owns = rank(owner, key, other) > rank(table, own, node);
        if !same || !owns || own.sketch.share_in(set)? < JOINED_SHARE {
            return None;
        }
        let named = table.words().iter().any(|word| singular(word) == nodes[other].name);
        let covers = (1000 * table.rows()) / owner.rows().max(1);
        let told = named || speaks_of(&own.name, &nodes[other].name);
        let believed = is_split_table(table) || told || (covers >= 900 && !own.is_dense());
        believed.then_some((named, covers, usize::MAX - other))
    };
    (0..nodes.len()).filter(|&other| fits(other).is_some()).max_by_key(|&other| fits(other))
}

fn key_column<'a>(tables: &'a [Table], node: &NodeType) -> Option<(&'a Table, &'a Profile)> {
    let table = &tables[node.table?];
    Some((table, &table.columns[node.key.as_ref()?.column]))
}

/// Rows of a split that is of no nodes (negative pairs, edges that are held back) are no part of the graph.
fn set_splits_aside(tables: &[Table], roles: &[Role], schema: &mut Schema) {
    if tables.iter().all(is_split_table) {
        return;
    }
    let is_split = |node: &NodeType| node.table.is_some_and(|table| is_split_table(&tables[table]));
    let of_nodes = schema.nodes.extract_if(.., |node| is_split(node)).filter_map(|node| node.table);
    let of_edges =
        (0..tables.len()).filter(|&at| matches!(roles[at], Role::Edges(..)) && is_split_table(&tables[at]));
    let aside: Vec<usize> = of_nodes.chain(of_edges).collect();
    let why = "it looks like a split, but of no nodes here";
    schema.unused.extend(aside.into_iter().map(|table| (table, why.to_string())));
}

fn is_split_table(table: &Table) -> bool {
    let told = ["split", "splits", "fold", "folds", "negatives"];
    table.all_words().iter().any(|word| told.contains(&word.as_str()))
}

/// The node type whose keys the values of a column are, with the share of rows found.
fn target(
    tables: &[Table],
    nodes: &[NodeType],
    table: &Table,
    column: &Profile,
    is_end: bool,
) -> Option<(usize, f64)> {
    let context = table.words();
    let fits = |node: usize| -> Option<(bool, bool, u64, u64)> {
        let (_, key) = key_column(tables, &nodes[node])?;
        if key.kind != column.kind {
            return None;
        }
        let share = column.sketch.share_in(&nodes[node].key.as_ref()?.set)?;
        let named = speaks_of(&column.name, &nodes[node].name);
        let told = is_end && context.iter().any(|word| singular(word) == nodes[node].name);
        let believed = named || told || is_end || !key.is_dense();
        if !believed || share < needed(column, named || told) {
            return None;
        }
        let covers = 1000 * column.sketch.distinct() / key.rows.max(1);
        Some((named, told, (share * 1e6) as u64, covers))
    };
    let best = (0..nodes.len())
        .filter(|&node| fits(node).is_some())
        .max_by_key(|&node| (fits(node), usize::MAX - node))?;
    let share = column.sketch.share_in(&nodes[best].key.as_ref()?.set)?;
    Some((best, share))
}

/// A table of edges; ends that no table knows are declared by it.
fn edge(tables: &[Table], schema: &mut Schema, at: usize, src: usize, dst: usize) {
    let table = &tables[at];
    let find = |column: usize| target(tables, &schema.nodes, table, &table.columns[column], true);
    let (from, to) = (find(src), find(dst));
    let from_edges = declared(table, src, dst);
    let mut end = |column: usize, found: Option<(usize, f64)>, name: &str| {
        let ty = found.map_or_else(|| from_edges_type(schema, name), |(ty, _)| ty);
        let profile = &table.columns[column];
        let found = found.map(|(_, share)| share);
        End { column, ty, found, sampled: !profile.sketch.is_complete(), missing: profile.missing }
    };
    let ends = [end(src, from, &from_edges[0]), end(dst, to, &from_edges[1])];
    let family = (0..table.columns.len()).find(|&column| is_family(&table.columns[column]));
    schema.edges.push(Edge {
        relation: relation_name(&table.stem),
        table: at,
        ends,
        family,
        is_reference: false,
        direction: Direction::Kept,
    });
}

/// Names of the types that the ends declare. Ends that are named by their place alone are one type if they share values.
fn declared(table: &Table, src: usize, dst: usize) -> [String; 2] {
    let (a, b) = (&table.columns[src], &table.columns[dst]);
    let name = |column: &Profile| singular(&snake(&base(&column.name)));
    let shared = a.sketch.share_in(&KeySet::of_sketch(&b.sketch)).unwrap_or(0.0);
    match is_end(&a.name) && is_end(&b.name) && a.kind == b.kind && shared > 0.05 {
        true => ["node".to_string(), "node".to_string()],
        false => [name(a), name(b)],
    }
}

fn from_edges_type(schema: &mut Schema, name: &str) -> usize {
    let known = schema.nodes.iter().position(|node| node.table.is_none() && node.name == name);
    known.unwrap_or_else(|| {
        schema.nodes.push(NodeType { name: name.to_string(), table: None, key: None, joins: Vec::new() });
        schema.nodes.len() - 1
    })
}

fn is_family(column: &Profile) -> bool {
    let few = column.sketch.is_complete() && (2..=FAMILY).contains(&column.sketch.distinct());
    is_relation(&column.name) && column.kind == ColumnKind::Text && column.missing == 0 && few
}

/// Columns of node tables whose values are keys of nodes.
fn references(tables: &[Table], schema: &mut Schema) {
    let mut found = Vec::new();
    for (ty, node) in schema.nodes.iter().enumerate() {
        let Some(key) = &node.key else { continue };
        let key_name = node.table.map(|table| tables[table].columns[key.column].name.clone());
        for at in node.tables() {
            let table = &tables[at];
            let own = table.columns.iter().position(|column| Some(&column.name) == key_name.as_ref());
            let Some(own) = own else { continue };
            let columns = (0..table.columns.len()).filter(|&c| c != own && can_identify(&table.columns[c]));
            found.extend(columns.filter_map(|column| reference(tables, schema, (at, column), (ty, own))));
        }
    }
    schema.edges.extend(found);
}

fn reference(tables: &[Table], schema: &Schema, (at, column): At, (ty, key): (usize, usize)) -> Option<Edge> {
    let (table, profile) = (&tables[at], &tables[at].columns[column]);
    if super::names::is_split(&profile.name) {
        return None;
    }
    let (to, share) = target(tables, &schema.nodes, table, profile, false)?;
    let own = End { column: key, ty, found: Some(1.0), sampled: false, missing: 0 };
    let other = End {
        column,
        ty: to,
        found: Some(share),
        sampled: !profile.sketch.is_complete(),
        missing: profile.missing,
    };
    let relation = reference_name(&profile.name);
    Some(Edge {
        relation,
        table: at,
        ends: [own, other],
        family: None,
        is_reference: true,
        direction: Direction::Kept,
    })
}

/// `publisher_id` → has_publisher; `written_by` stays.
fn reference_name(column: &str) -> String {
    let base = snake(&base(column));
    let verb = ["_by", "_of", "_in", "_to", "_from", "_at", "_with"].iter().any(|end| base.ends_with(end));
    if verb { base } else { format!("has_{base}") }
}

/// Beside a graph that hangs together, tables of nodes without an edge are of no use.
fn drop_useless(tables: &[Table], schema: &mut Schema) {
    if schema.edges.is_empty() {
        return;
    }
    let used = |node: usize| schema.edges.iter().any(|edge| edge.ends.iter().any(|end| end.ty == node));
    let useless: Vec<usize> = (0..schema.nodes.len()).filter(|&node| !used(node)).collect();
    for node in useless.into_iter().rev() {
        let gone = schema.nodes.remove(node);
        let ends = schema.edges.iter_mut().flat_map(|edge| &mut edge.ends);
        ends.filter(|end| end.ty > node).for_each(|end| end.ty -= 1);
        let why = why_useless(tables, &schema.nodes, &gone);
        schema.unused.extend(gone.tables().map(|table| (table, why.clone())));
    }
    schema.unused.sort_unstable();
}

fn why_useless(tables: &[Table], nodes: &[NodeType], gone: &NodeType) -> String {
    let nothing = "nothing here refers to it, and it refers to nothing".to_string();
    let Some((_, own)) = key_column(tables, gone) else { return nothing };
    let shared = |node: &NodeType| -> Option<(u64, String)> {
        let (_, key) = key_column(tables, node)?;
        let share = own.sketch.share_in(&node.key.as_ref()?.set)?;
        let thousandths = (share * 1000.0).floor() as u64;
        let fits = key.name == own.name && key.kind == own.kind && thousandths > 0 && !own.is_dense();
        fits.then(|| (thousandths, node.name.clone()))
    };
    nodes.iter().filter_map(shared).max().map_or(nothing, |(thousandths, node)| {
        let (percent, name) = (thousandths as f64 / 10.0, &own.name);
        format!(
            "only {percent}% of its {name} are keys of {node}, too few to join it, and nothing refers to it"
        )
    })
}

/// No two types and no two relations (reverses among them) have one name.
fn name_apart(schema: &mut Schema) {
    let mut seen = BTreeMap::new();
    for node in &mut schema.nodes {
        node.name = apart(&mut seen, &node.name);
    }
    let mut seen = BTreeMap::new();
    for edge in &mut schema.edges {
        edge.relation = apart(&mut seen, &edge.relation);
    }
}

fn apart(seen: &mut BTreeMap<String, u32>, name: &str) -> String {
    let entry = seen.entry(name.to_string()).or_insert(0);
    *entry += 1;
    let count = *entry;
    if count == 1 { name.to_string() } else { apart(seen, &format!("{name}_{count}")) }
}
