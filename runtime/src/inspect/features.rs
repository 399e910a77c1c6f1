//! Statistics of stored features.

use std::collections::BTreeSet;

use gsl_plan::graph::{Feature, FeatureExpr, FeatureFacts, Storage};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::construct::report::{FeatureReport, NodeReport, RelationReport};
use crate::graph::Graph;
use crate::view::{GraphView, StoredMatrix};

/// Numbers that are added up by one thread. The pieces are joined in their order, so that threads change no digit.
const PIECE: usize = 1 << 18;

/// A feature as it is stored, after its transforms. Statistics are over all its numbers; without numbers they are 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureInspection {
    pub name: String,
    /// Numbers in a row.
    pub width: usize,
    pub storage: Storage,
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    /// Standard deviation of the population.
    pub std: f64,
    /// Share of numbers that are 0.
    pub zeros: f64,
    /// Cells without a value in the columns that the feature reads, before `fill` or one-hot.
    pub missing: u64,
    /// `missing` as a share of those cells.
    pub missing_share: f64,
}

pub fn of_nodes(graph: &Graph, ty: u32, report: &NodeReport) -> Vec<FeatureInspection> {
    let facts = &graph.facts().nodes[ty as usize];
    let declared = graph.plan().nodes.get(ty as usize).map_or(&[][..], |node| &node.features);
    let one = |(index, feature): (usize, &FeatureFacts)| {
        let stored = graph.node_feature(ty, index as u32);
        told(feature, declared, &report.features, facts.count, &stored)
    };
    facts.features.iter().enumerate().map(one).collect()
}

pub fn of_edges(graph: &Graph, rel: usize, report: &RelationReport) -> Vec<FeatureInspection> {
    let facts = &graph.facts().relations[rel];
    let declared = graph.plan().edges.get(facts.declared_by).map_or(&[][..], |edge| &edge.features);
    let one = |(index, feature): (usize, &FeatureFacts)| {
        let stored = graph.edge_feature(rel as u32, index as u32).stored;
        told(feature, declared, &report.features, facts.edges, &stored)
    };
    facts.features.iter().enumerate().map(one).collect()
}

fn told(
    facts: &FeatureFacts,
    declared: &[Feature],
    reports: &[FeatureReport],
    rows: u64,
    stored: &StoredMatrix,
) -> FeatureInspection {
    let missing = reports.iter().find(|report| report.name == facts.name).map_or(0, |report| report.missing);
    let expr = declared.iter().find(|feature| feature.name == facts.name).map(|feature| &feature.expr);
    let cells = rows * expr.map_or(1, |expr| columns(expr).len().max(1) as u64);
    let moments = Moments::of_rows(stored);
    FeatureInspection {
        name: facts.name.clone(),
        width: facts.width,
        storage: facts.storage,
        min: moments.min,
        mean: moments.mean,
        max: moments.max,
        std: (moments.squares / moments.count.max(1) as f64).sqrt(),
        zeros: moments.zeros as f64 / moments.count.max(1) as f64,
        missing,
        missing_share: missing as f64 / cells.max(1) as f64,
    }
}

/// The columns that an expression reads.
fn columns(expr: &FeatureExpr) -> BTreeSet<&str> {
    match expr {
        FeatureExpr::Column { column, .. } => BTreeSet::from([column.as_str()]),
        FeatureExpr::Arith { left, right, .. } => &columns(left) | &columns(right),
        FeatureExpr::Apply { input, .. } => columns(input),
        FeatureExpr::Concat(parts) => parts.iter().flat_map(columns).collect(),
        FeatureExpr::Const(_) | FeatureExpr::Structure(_) => BTreeSet::new(),
    }
}

/// Count, mean and sum of squared deviations, joined as in Chan, Golub and LeVeque 1979.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    pub count: u64,
    pub mean: f64,
    pub squares: f64,
    pub min: f64,
    pub max: f64,
    pub zeros: u64,
}

impl Moments {
    pub fn of(numbers: &[f32]) -> Self {
        let pieces: Vec<Moments> = numbers.par_chunks(PIECE).map(Self::of_piece).collect();
        pieces.into_iter().fold(Moments::default(), Self::join)
    }

    /// Of the numbers of a stored feature, widened some rows at a time.
    pub fn of_rows(stored: &StoredMatrix) -> Self {
        if let Some(numbers) = stored.data.wide() {
            return Self::of(numbers);
        }
        let step = (PIECE / stored.width.max(1)).max(1);
        let pieces: Vec<Moments> = (0..stored.rows().div_ceil(step))
            .into_par_iter()
            .map(|piece| Self::of_piece(&stored.some(piece * step..stored.rows().min((piece + 1) * step))))
            .collect();
        pieces.into_iter().fold(Moments::default(), Self::join)
    }

    pub fn of_piece(numbers: &[f32]) -> Self {
        let Some(&first) = numbers.first() else { return Moments::default() };
        let count = numbers.len() as u64;
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / count as f64;
        let mut all = Moments { count, mean, min: first.into(), max: first.into(), ..Moments::default() };
        for x in numbers.iter().map(|&x| f64::from(x)) {
            all.squares += (x - mean) * (x - mean);
            (all.min, all.max) = (all.min.min(x), all.max.max(x));
            all.zeros += u64::from(x == 0.0);
        }
        all
    }

    pub fn join(self, other: Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let apart = other.mean - self.mean;
        Moments {
            count: self.count + other.count,
            mean: self.mean + apart * m / (n + m),
            squares: self.squares + other.squares + apart * apart * n * m / (n + m),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            zeros: self.zeros + other.zeros,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_definition() {
        let found = Moments::of(&[0.0, 2.0, 4.0, -2.0]);
        assert_eq!((found.mean, found.squares, found.min, found.max, found.zeros), (1.0, 20.0, -2.0, 4.0, 1));
        assert_eq!(Moments::of(&[]), Moments::default());
    }

    #[test]
    fn pieces_join_to_the_whole() {
        let numbers: Vec<f32> = (0..2 * PIECE + 11).map(|i| (i % 1013) as f32 - 300.0).collect();
        let (joined, whole) = (Moments::of(&numbers), Moments::of_piece(&numbers));
        assert!((joined.mean - whole.mean).abs() < 1e-9);
        assert!((joined.squares / whole.squares - 1.0).abs() < 1e-9);
        assert_eq!((joined.count, joined.min, joined.max), (whole.count, -300.0, 712.0));
    }

    #[test]
    fn a_column_that_is_read_twice_counts_once() {
        let column = |name: &str| FeatureExpr::Column {
            column: name.into(),
            kind: gsl_plan::graph::ColumnKind::Number,
        };
        let expr = FeatureExpr::Concat(vec![column("a"), column("b"), column("a"), FeatureExpr::Const(1.0)]);
        assert_eq!(columns(&expr).len(), 2);
    }
}
