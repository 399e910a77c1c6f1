//! Edges of one declaration: ends to ids, policies, features, and the incoming-edge lists of each relation.
//!
//! The edges of a relation are sorted by (destination, source); parallel edges by their features, then by row. So the
//! lists do not depend on the order of rows, but for the stored row numbers themselves.

use gsl_plan::graph::{EdgeType, FeatureFacts, GraphPlan, MissingPolicy, Relation, RelationFacts};
use gsl_tables::{Column, MISSING, Table, Values, Want};
use rayon::prelude::*;

use super::error::{BuildError, Offender, Result};
use super::feature::{self, FittedFeature, Rows, add, columns_of};
use super::fit::fit_all;
use super::frame::{ABSENT, Frame, Origin};
use super::keys;
use super::nodes::{NAMED, Nodes, refuse_size};
use super::report::{FeatureReport, RelationReport};
use super::scratch::Scratch;
use super::tables::{Opened, Tables};

/// One relation, ready to be written, with its reverse.
pub struct Built {
    pub facts: RelationFacts,
    pub report: RelationReport,
    pub csc: Csc,
    /// In the order of `csc`.
    pub features: Vec<Rows>,
    /// `rows` of the reverse are positions in `csc`.
    pub reverse: Option<(RelationFacts, Csc)>,
}

/// Incoming edges: those of node v are `indptr[v]..indptr[v + 1]`.
pub struct Csc {
    pub indptr: Vec<u64>,
    pub src: Vec<u32>,
    pub rows: Vec<u32>,
}

/// Rows of the table that are edges, and their ends.
struct Kept {
    rows: Vec<u32>,
    src: Vec<u32>,
    dst: Vec<u32>,
    /// Index into `names`; empty for a single relation.
    relation: Vec<u32>,
    names: Vec<String>,
    report: RelationReport,
}

/// Builds the relations of one declaration. `first`: index of the first of them among all relations.
pub fn build(
    plan: &GraphPlan,
    declared: usize,
    tables: &Tables,
    nodes: &[Nodes],
    known: Option<&[FittedFeature]>,
    first: usize,
) -> Result<(Vec<Built>, Vec<FittedFeature>)> {
    let edge = &plan.edges[declared];
    let opened = tables.get(&edge.source);
    let wanted = wanted_of(edge, nodes);
    let table = opened.read(&wanted)?;
    refuse_size(&format!("rows of `{}`", name_of(edge)), table.n_rows() as u64)?;
    let kept = keep(plan, edge, opened, &table, &wanted, nodes)?;
    let (fitted, features, gaps) = features(edge, opened, table, &wanted, &kept, known)?;
    let ends = (nodes[edge.src].keys.len(), nodes[edge.dst].keys.len());
    let mut built = Vec::new();
    for (relation, name) in kept.names.iter().enumerate() {
        let next = first + built.iter().map(|b: &Built| 1 + usize::from(b.reverse.is_some())).sum::<usize>();
        let mut one = relate(edge, declared, &kept, relation, name, &features, ends, next);
        let report = |(rows, (fitted, gaps)): (&Rows, (&FittedFeature, &u64))| {
            FeatureReport::of(&fitted.name, fitted.width, *gaps, &rows.data)
        };
        one.report.features = one.features.iter().zip(fitted.iter().zip(&gaps)).map(report).collect();
        built.push(one);
    }
    Ok((built, fitted))
}

pub fn name_of(edge: &EdgeType) -> &str {
    match &edge.relation {
        Relation::Named(name) | Relation::Column(name) => name,
    }
}

fn wanted_of(edge: &EdgeType, nodes: &[Nodes]) -> Vec<(String, Want)> {
    let mut wanted = Vec::new();
    add(&mut wanted, &edge.src_column, nodes[edge.src].keys.want());
    add(&mut wanted, &edge.dst_column, nodes[edge.dst].keys.want());
    if let Relation::Column(column) = &edge.relation {
        add(&mut wanted, column, Want::Text);
    }
    edge.features.iter().for_each(|feature| columns_of(&feature.expr, &mut wanted));
    wanted
}

fn column_of<'a>(table: &'a Table, wanted: &[(String, Want)], name: &str, want: Want) -> Option<&'a Column> {
    wanted.iter().position(|(n, w)| n == name && *w == want).map(|at| &table.columns[at])
}

fn keep(
    plan: &GraphPlan,
    edge: &EdgeType,
    opened: &Opened,
    table: &Table,
    wanted: &[(String, Want)],
    nodes: &[Nodes],
) -> Result<Kept> {
    let end = |ty: usize, name: &str| -> Result<(Column, Vec<u32>)> {
        let column = column_of(table, wanted, name, nodes[ty].keys.want())
            .ok_or(super::error::Fault::NoColumn { column: name.to_string() })?;
        Ok((Column { name: name.to_string(), ..column.clone() }, nodes[ty].index.find_all(column)))
    };
    let (src_column, src) = end(edge.src, &edge.src_column)?;
    let (dst_column, dst) = end(edge.dst, &edge.dst_column)?;
    let strict = edge.missing == MissingPolicy::Error;
    let mut report = RelationReport::default();
    for (column, ids, ty) in [(&src_column, &src, edge.src), (&dst_column, &dst, edge.dst)] {
        if strict {
            refuse_dangling(edge, &plan.nodes[ty].name, opened, table, column, ids)?;
        }
    }
    let (relation, names) = relations_of(edge, opened, table, wanted)?;
    let mut rows = Vec::with_capacity(src.len());
    for row in 0..src.len() {
        if src[row] == ABSENT {
            report.dropped_src += 1;
        } else if dst[row] == ABSENT {
            report.dropped_dst += 1;
        } else if relation.get(row) == Some(&MISSING) {
            report.dropped_relation += 1;
        } else {
            rows.push(row as u32);
        }
    }
    let pick = |all: &[u32]| -> Vec<u32> {
        if all.is_empty() { Vec::new() } else { rows.iter().map(|&row| all[row as usize]).collect() }
    };
    Ok(Kept { src: pick(&src), dst: pick(&dst), relation: pick(&relation), names, report, rows })
}

fn refuse_dangling(
    edge: &EdgeType,
    ty: &str,
    opened: &Opened,
    table: &Table,
    column: &Column,
    ids: &[u32],
) -> Result<()> {
    let unknown: Vec<usize> = (0..ids.len()).filter(|&row| ids[row] == ABSENT).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let name = |&row: &usize| Offender {
        found: keys::show_cell(column, row),
        place: opened.source.locate(&table.parts, row as u64).to_string(),
    };
    Err(BuildError::DanglingEdges {
        relation: name_of(edge).to_string(),
        column: column.name.clone(),
        ty: ty.to_string(),
        count: unknown.len() as u64,
        first: unknown.iter().take(NAMED).map(name).collect(),
    })
}

/// The relation of every row of a family, as an index into the sorted names.
fn relations_of(
    edge: &EdgeType,
    opened: &Opened,
    table: &Table,
    wanted: &[(String, Want)],
) -> Result<(Vec<u32>, Vec<String>)> {
    let column = match &edge.relation {
        Relation::Named(name) => return Ok((Vec::new(), vec![name.clone()])),
        Relation::Column(column) => column,
    };
    let found = column_of(table, wanted, column, Want::Text).map(|column| &column.values);
    let Some(Values::Text(text)) = found else { return Ok((Vec::new(), Vec::new())) };
    let gaps = text.codes.iter().filter(|&&code| code == MISSING).count() as u64;
    if let (Some(row), MissingPolicy::Error) = (text.codes.iter().position(|&c| c == MISSING), edge.missing) {
        let place = opened.source.locate(&table.parts, row as u64).to_string();
        return Err(BuildError::MissingRelation { column: column.clone(), count: gaps, place });
    }
    let names = super::transform::used_texts(text);
    let index =
        |text: &str| names.binary_search_by(|name| name.as_str().cmp(text)).map_or(MISSING, |i| i as u32);
    let by_code: Vec<u32> = text.values.iter().map(index).collect();
    let relation =
        text.codes.iter().map(|&c| if c == MISSING { MISSING } else { by_code[c as usize] }).collect();
    Ok((relation, names))
}

type Features = (Vec<FittedFeature>, Vec<Rows>, Vec<u64>);

/// Features of the kept rows, fitted on all of them, in table order; and the gaps in what they read.
fn features(
    edge: &EdgeType,
    opened: &Opened,
    table: Table,
    wanted: &[(String, Want)],
    kept: &Kept,
    known: Option<&[FittedFeature]>,
) -> Result<Features> {
    if edge.features.is_empty() {
        return Ok((Vec::new(), Vec::new(), Vec::new()));
    }
    let mut frame = Frame::new(kept.rows.len());
    let origin = Origin { source: opened.source.clone(), parts: table.parts, rows: Some(kept.rows.clone()) };
    frame.add(origin, wanted.iter().map(|(_, want)| *want).zip(table.columns).collect());
    let owner = name_of(edge);
    let learned = match known {
        Some(known) => known.to_vec(),
        None => fit_all(owner, &edge.features, &frame, &Scratch::unbounded())?,
    };
    let one = |(feature, fitted): (&gsl_plan::graph::Feature, FittedFeature)| -> Result<(FittedFeature, Rows, u64)> {
        let rows = feature::apply(owner, &fitted, &frame)?;
        Ok((fitted, rows, feature::missing_inputs(feature, &frame)))
    };
    let all: Vec<_> = edge.features.par_iter().zip(learned).map(one).collect::<Result<_>>()?;
    let (mut fitted, mut rows, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for (f, r, g) in all {
        fitted.push(f);
        rows.push(r);
        gaps.push(g);
    }
    Ok((fitted, rows, gaps))
}

/// Sorts the edges of one relation and turns them round for its reverse.
#[allow(clippy::too_many_arguments)]
fn relate(
    edge: &EdgeType,
    declared: usize,
    kept: &Kept,
    relation: usize,
    name: &str,
    features: &[Rows],
    (n_src, n_dst): (usize, usize),
    index: usize,
) -> Built {
    let single = kept.relation.is_empty();
    let mine: Vec<u32> = match single {
        true => (0..kept.rows.len() as u32).collect(),
        false => {
            (0..kept.rows.len() as u32).filter(|&e| kept.relation[e as usize] == relation as u32).collect()
        }
    };
    let src_of = |&e: &u32| kept.src[e as usize];
    let dst_of = |&e: &u32| kept.dst[e as usize];
    let (by_src, _) = counting_sort(&mine, n_src, src_of);
    let (mut order, indptr) = counting_sort(&by_src, n_dst, dst_of);
    let parallel = sort_parallel(&mut order, |e| (src_of(e), dst_of(e)), features);
    let csc = Csc {
        src: order.iter().map(src_of).collect(),
        rows: order.iter().map(|&e| kept.rows[e as usize]).collect(),
        indptr,
    };
    let feature_facts: Vec<FeatureFacts> = edge
        .features
        .iter()
        .zip(features)
        .map(|(feature, rows)| FeatureFacts {
            name: feature.name.clone(),
            width: rows.width,
            storage: feature.storage,
        })
        .collect();
    let facts = RelationFacts {
        name: name.to_string(),
        src: edge.src,
        dst: edge.dst,
        edges: order.len() as u64,
        reverse_of: None,
        declared_by: declared,
        features: feature_facts,
        ..RelationFacts::default()
    };
    let reverse = edge.reverse.as_ref().map(|reverse| {
        let name = if matches!(edge.relation, Relation::Column(_)) {
            format!("{reverse}_{name}")
        } else {
            reverse.clone()
        };
        let facts =
            RelationFacts { name, src: edge.dst, dst: edge.src, reverse_of: Some(index), ..facts.clone() };
        (facts, turn(&csc, n_src))
    });
    let mut report = if relation == 0 { kept.report.clone() } else { RelationReport::default() };
    count_edges(&mut report, name, edge, &csc, n_src, parallel);
    Built {
        features: features.iter().map(|rows| take_rows(rows, &order)).collect(),
        facts,
        report,
        csc,
        reverse,
    }
}

/// Stable counting sort of edges by `key` below `n`: the order, and where each key begins. O(edges + n).
fn counting_sort(edges: &[u32], n: usize, key: impl Fn(&u32) -> u32) -> (Vec<u32>, Vec<u64>) {
    let mut indptr = vec![0u64; n + 1];
    for edge in edges {
        indptr[key(edge) as usize + 1] += 1;
    }
    for v in 0..n {
        indptr[v + 1] += indptr[v];
    }
    let mut next = indptr.clone();
    let mut sorted = vec![0; edges.len()];
    for edge in edges {
        let slot = &mut next[key(edge) as usize];
        sorted[*slot as usize] = *edge;
        *slot += 1;
    }
    (sorted, indptr)
}

/// Orders parallel edges by their features; returns how many edges have one with the same ends before them.
fn sort_parallel(order: &mut [u32], ends: impl Fn(&u32) -> (u32, u32), features: &[Rows]) -> u64 {
    let mut parallel = 0;
    for run in order.chunk_by_mut(|a, b| ends(a) == ends(b)) {
        parallel += run.len() as u64 - 1;
        if run.len() > 1 && !features.is_empty() {
            run.sort_by(|&a, &b| compare_features(features, a as usize, b as usize));
        }
    }
    parallel
}

fn compare_features(features: &[Rows], a: usize, b: usize) -> std::cmp::Ordering {
    let row = |rows: &Rows, e: usize| e * rows.width..(e + 1) * rows.width;
    features
        .iter()
        .flat_map(|rows| rows.data[row(rows, a)].iter().zip(&rows.data[row(rows, b)]))
        .map(|(x, y)| x.total_cmp(y))
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

fn take_rows(rows: &Rows, order: &[u32]) -> Rows {
    let mut data = Vec::with_capacity(order.len() * rows.width);
    for &edge in order {
        let start = edge as usize * rows.width;
        data.extend_from_slice(&rows.data[start..start + rows.width]);
    }
    Rows { width: rows.width, data }
}

/// The same edges listed by source: position p of the result is position `rows[p]` of `csc`.
fn turn(csc: &Csc, n_src: usize) -> Csc {
    let mut dst = vec![0u32; csc.src.len()];
    for v in 0..csc.indptr.len() - 1 {
        dst[csc.indptr[v] as usize..csc.indptr[v + 1] as usize].fill(v as u32);
    }
    let positions: Vec<u32> = (0..csc.src.len() as u32).collect();
    let (rows, indptr) = counting_sort(&positions, n_src, |&p| csc.src[p as usize]);
    Csc { src: rows.iter().map(|&p| dst[p as usize]).collect(), rows, indptr }
}

fn count_edges(
    report: &mut RelationReport,
    name: &str,
    edge: &EdgeType,
    csc: &Csc,
    n_src: usize,
    parallel: u64,
) {
    report.name = name.to_string();
    report.edges = csc.src.len() as u64;
    report.parallel = parallel;
    report.max_in_degree = csc.indptr.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
    let mut out = vec![0u64; n_src];
    csc.src.iter().for_each(|&u| out[u as usize] += 1);
    report.max_out_degree = out.into_iter().max().unwrap_or(0);
    if edge.src == edge.dst {
        let loops = |v: usize| {
            csc.src[csc.indptr[v] as usize..csc.indptr[v + 1] as usize]
                .iter()
                .filter(|&&u| u as usize == v)
                .count()
        };
        report.self_loops = (0..n_src).map(loops).sum::<usize>() as u64;
    }
}
