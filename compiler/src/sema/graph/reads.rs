//! What a feature is made of: columns, and what follows from the edges. Two that share a source tell of each other.

use gsl_plan::graph::{EdgeType, Feature, FeatureExpr, RelationRef, Structure};

use super::feature::walk;

/// Something that a feature reads.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    Column(String),
    /// How many edges of an edge statement end in the node, or start there.
    Edges {
        edge: usize,
        end: End,
    },
    /// The walk along the edges of an edge statement, in one of its directions.
    Walk(RelationRef),
    /// The rows that were merged into an edge.
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Src,
    Dst,
}

/// Whether one feature reads something that the other reads too. `node`: the type whose features they are, unless they are those
/// of edges.
pub fn share(edges: &[EdgeType], node: Option<usize>, one: &Feature, other: &Feature) -> bool {
    let [one, other] = [one, other].map(|feature| sources(edges, node, &feature.expr));
    one.iter().any(|source| other.contains(source))
}

fn sources(edges: &[EdgeType], node: Option<usize>, expr: &FeatureExpr) -> Vec<Source> {
    let mut found = Vec::new();
    walk(expr, &mut |part| match part {
        FeatureExpr::Column { column, .. } => found.push(Source::Column(column.clone())),
        FeatureExpr::Structure(structure) => match structure {
            Structure::Degree => found.extend(counted(edges, node)),
            Structure::InDegree(relation) => found.push(count_at(*relation, End::Dst)),
            Structure::OutDegree(relation) => found.push(count_at(*relation, End::Src)),
            Structure::PageRank { relation, .. } => found.push(Source::Walk(*relation)),
            Structure::Count => found.push(Source::Count),
        },
        _ => {}
    });
    found
}

/// The edges of a reverse end where those of its relation start.
fn count_at(relation: RelationRef, end: End) -> Source {
    let end = match (end, relation.reverse) {
        (End::Dst, false) | (End::Src, true) => End::Dst,
        _ => End::Src,
    };
    Source::Edges { edge: relation.edge, end }
}

/// What `degree()` adds up: edges into the node, those of reverses too.
fn counted(edges: &[EdgeType], node: Option<usize>) -> impl Iterator<Item = Source> {
    edges.iter().enumerate().flat_map(move |(edge, of)| {
        let into = (Some(of.dst) == node).then_some(Source::Edges { edge, end: End::Dst });
        let back = of.reverse.is_some() && Some(of.src) == node;
        into.into_iter().chain(back.then_some(Source::Edges { edge, end: End::Src }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::CheckedGraph;
    use crate::world::TestWorld;

    const SOURCE: &str = "graph g {
        node a from edges
        node p from \"data/packages.parquet\" {
            key name
            feature all = log1p(degree())
            feature twice = degree() / 2
            feature into = in_degree(depends)
            feature back = out_degree(needed_by)
            feature out = out_degree(depends)
            feature kept = out_degree(kept)
            feature rank = pagerank(depends) + score
            feature rank2 = pagerank(depends, damping: 0.5)
            feature rank3 = pagerank(needed_by)
            feature score
            feature year
        }
        edge p -depends-> p from \"data/depends.parquet\" (package, target) { reverse needed_by }
        edge p -kept-> a from \"data/kept_by.parquet\" (package, maintainer)
    }";

    fn graph() -> CheckedGraph {
        let (mut checked, found) = crate::check(SOURCE, "test.gsl", &TestWorld::debian(), &[]);
        assert!(found.is_empty(), "{found:?}");
        checked.graphs.remove(0)
    }

    #[test]
    fn what_follows_from_the_same_edges_is_shared() {
        let graph = graph();
        let ty = graph.node("p");
        let features = &graph.plan.nodes[ty.unwrap()].features;
        let named = |name: &str| features.iter().find(|f| f.name == name).unwrap();
        let with = |name: &str| -> Vec<&str> {
            let others = features.iter().filter(|f| f.name != name);
            let shared = others.filter(|f| share(&graph.plan.edges, ty, named(name), f));
            shared.map(|f| f.name.as_str()).collect()
        };
        assert_eq!(
            with("all"),
            ["twice", "into", "back", "out"],
            "`kept` has no reverse, so nothing of it ends in `p`"
        );
        assert_eq!(with("into"), ["all", "twice", "back"]);
        assert_eq!(with("out"), ["all", "twice"]);
        assert_eq!(with("kept"), [""; 0]);
        assert_eq!(with("rank"), ["rank2", "score"]);
        assert_eq!(with("rank3"), [""; 0]);
        assert_eq!(with("year"), [""; 0]);
    }
}
