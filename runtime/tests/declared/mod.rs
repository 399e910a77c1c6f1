//! Types and edges as a file declares them that says nothing but where they stand: the rest is `..node("paper", &["papers.csv"])`.

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod people;

use gsl_plan::graph::*;

pub fn source(path: &str) -> Source {
    Source::of(vec![path.to_string()])
}

/// Without a key; from edges where there is no source.
pub fn node(name: &str, sources: &[&str]) -> NodeType {
    NodeType {
        name: name.into(),
        sources: sources.iter().map(|path| source(path)).collect(),
        key: None,
        features: Vec::new(),
        labels: Vec::new(),
        duplicates: DuplicatePolicy::Error,
        time: None,
        graph: None,
    }
}

/// Type and column of both ends; without a reverse.
pub fn edge(
    name: &str,
    file: &str,
    (src, src_column): (usize, &str),
    (dst, dst_column): (usize, &str),
) -> EdgeType {
    EdgeType {
        relation: Relation::Named(name.into()),
        src,
        dst,
        source: source(file),
        src_column: src_column.into(),
        dst_column: dst_column.into(),
        reverse: None,
        features: Vec::new(),
        missing: MissingPolicy::Error,
        parallel: Parallel::Keep,
        loops: Loops::Keep,
        time: None,
        labels: Vec::new(),
        candidates: Vec::new(),
    }
}
