//! Structural features as features of columns: what the edges tell is put beside the columns of the tables, under names that no
//! table has.

use gsl_plan::graph::{ColumnKind, EdgeType, Feature, FeatureExpr, GraphPlan, RelationRef, Structure};

use super::edges::name_of;

/// What a structural feature reads, as a column of numbers is called.
pub fn column_name(plan: &GraphPlan, structure: &Structure, taken: &dyn Fn(&str) -> bool) -> String {
    let relation = |relation: &RelationRef| {
        let edge = &plan.edges[relation.edge];
        match (relation.reverse, &edge.reverse) {
            (true, Some(reverse)) => reverse.clone(),
            _ => name_of(edge).to_string(),
        }
    };
    let mut name = match structure {
        Structure::Degree => "degree()".to_string(),
        Structure::InDegree(of) => format!("in_degree({})", relation(of)),
        Structure::OutDegree(of) => format!("out_degree({})", relation(of)),
        Structure::PageRank { relation: of, damping, iterations } => {
            format!("pagerank({}, damping: {damping}, iterations: {iterations})", relation(of))
        }
        Structure::Count => "count()".to_string(),
    };
    while taken(&name) {
        name.push('\'');
    }
    name
}

/// The structural features that an expression reads.
pub fn structures<'e>(expr: &'e FeatureExpr, found: &mut Vec<&'e Structure>) {
    match expr {
        FeatureExpr::Structure(structure) if !found.contains(&structure) => found.push(structure),
        FeatureExpr::Structure(_) | FeatureExpr::Column { .. } | FeatureExpr::Const(_) => {}
        FeatureExpr::Arith { left, right, .. } => {
            structures(left, found);
            structures(right, found);
        }
        FeatureExpr::Apply { input, .. } => structures(input, found),
        FeatureExpr::Concat(parts) => parts.iter().for_each(|part| structures(part, found)),
    }
}

/// The feature with columns in place of what the edges tell.
pub fn lowered(feature: &Feature, name: &dyn Fn(&Structure) -> String) -> Feature {
    Feature { expr: expr(&feature.expr, name), ..feature.clone() }
}

/// The edge type with its features lowered. `count`: what the column of the number of merged rows is called.
pub fn lowered_edge(edge: &EdgeType, count: &str) -> EdgeType {
    let features = edge.features.iter().map(|feature| lowered(feature, &|_| count.to_string()));
    EdgeType { features: features.collect(), ..edge.clone() }
}

fn expr(of: &FeatureExpr, name: &dyn Fn(&Structure) -> String) -> FeatureExpr {
    let boxed = |of: &FeatureExpr| Box::new(expr(of, name));
    match of {
        FeatureExpr::Structure(structure) => {
            FeatureExpr::Column { column: name(structure), kind: ColumnKind::Number }
        }
        FeatureExpr::Column { .. } | FeatureExpr::Const(_) => of.clone(),
        FeatureExpr::Arith { op, left, right } => {
            FeatureExpr::Arith { op: *op, left: boxed(left), right: boxed(right) }
        }
        FeatureExpr::Apply { transform, input } => {
            FeatureExpr::Apply { transform: transform.clone(), input: boxed(input) }
        }
        FeatureExpr::Concat(parts) => {
            FeatureExpr::Concat(parts.iter().map(|part| expr(part, name)).collect())
        }
    }
}
