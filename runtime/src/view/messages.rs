//! The graph that messages take: edges that are to be predicted in validation or test are not in it, nor are their reverses.
//!
//! Decided here: which edges those are, and that degrees count what is left. Not decided here: the edges of a training batch,
//! which leave their own batch only.

use super::{Csc, EdgeMatrix, GraphView, StoredMatrix};
use gsl_plan::graph::Part;
use gsl_plan::plan::{Plan, Predict};

/// A graph without the edges that are held back. Holds in memory the relations of which some are: 16 bytes per edge.
pub struct Messages<'a> {
    whole: &'a dyn GraphView,
    relations: Vec<Option<Kept>>,
    /// Of the node types that such relations end in.
    degrees: Vec<Option<Vec<f32>>>,
}

struct Kept {
    indptr: Vec<u64>,
    src: Vec<u32>,
    /// CSC position of each edge in the whole graph.
    positions: Vec<u32>,
    /// The row of each edge in the matrices of its features.
    rows: Vec<u32>,
}

impl<'a> Messages<'a> {
    pub fn new(whole: &'a dyn GraphView, plan: &Plan) -> Self {
        let relations: Vec<Option<Kept>> = (0..whole.relations() as u32)
            .map(|rel| {
                let held = held_back(whole, &plan.predicts, rel)?;
                Some(keep(whole, rel, &held, has_features(plan, rel)))
            })
            .collect();
        let mut this = Messages { whole, relations, degrees: Vec::new() };
        this.degrees = (0..whole.node_types() as u32).map(|ty| this.degree_of(ty)).collect();
        this
    }

    fn degree_of(&self, ty: u32) -> Option<Vec<f32>> {
        let into = |rel: &u32| self.ends(*rel).1 == ty;
        let relations: Vec<u32> = (0..self.relations() as u32).filter(into).collect();
        relations.iter().any(|rel| self.relations[*rel as usize].is_some()).then_some(())?;
        let mut degrees = vec![0.0; self.node_count(ty)];
        for rel in relations {
            let ends = self.csc(rel).indptr.windows(2);
            degrees.iter_mut().zip(ends).for_each(|(degree, ends)| *degree += (ends[1] - ends[0]) as f32);
        }
        Some(degrees)
    }
}

/// Whether each edge of a relation, by CSC position, is in the valid or test part of any prediction; none if none is.
fn held_back(whole: &dyn GraphView, predicts: &[Predict], rel: u32) -> Option<Vec<bool>> {
    let forward = whole.forward(rel);
    let owner = forward.map_or(rel, |(owner, _)| owner);
    let mut held: Vec<bool> = Vec::new();
    for predict in predicts {
        let Some(parts) = parts_of(whole, predict, owner) else { continue };
        held.resize(parts.len(), false);
        held.iter_mut().zip(parts).for_each(|(held, part)| *held |= is_held(*part));
    }
    held.iter().any(|held| *held).then_some(())?;
    Some(match forward {
        None => held,
        Some((_, positions)) => positions.iter().map(|&at| held[at as usize]).collect(),
    })
}

fn parts_of<'v>(whole: &'v dyn GraphView, predict: &Predict, rel: u32) -> Option<&'v [u8]> {
    let pairs = predict.pairs.as_ref()?;
    pairs.relations.contains(&rel).then(|| whole.edge_parts(rel, pairs.label))
}

fn is_held(part: u8) -> bool {
    part == Part::Valid as u8 || part == Part::Test as u8
}

fn has_features(plan: &Plan, rel: u32) -> bool {
    plan.facts.relations.get(rel as usize).is_some_and(|facts| !facts.features.is_empty())
}

fn keep(whole: &dyn GraphView, rel: u32, held: &[bool], features: bool) -> Kept {
    let csc = whole.csc(rel);
    let mut kept = Kept { indptr: vec![0], src: Vec::new(), positions: Vec::new(), rows: Vec::new() };
    for ends in csc.indptr.windows(2) {
        let edges = (ends[0] as usize..ends[1] as usize).filter(|&at| !held[at]);
        for at in edges {
            kept.src.push(csc.src[at]);
            kept.positions.push(at as u32);
        }
        kept.indptr.push(kept.src.len() as u64);
    }
    if features {
        let rows = whole.edge_feature(rel, 0).rows;
        let row = |&at: &u32| rows.map_or(at, |rows| rows[at as usize]);
        kept.rows = kept.positions.iter().map(row).collect();
    }
    kept
}

impl GraphView for Messages<'_> {
    fn node_types(&self) -> usize {
        self.whole.node_types()
    }

    fn relations(&self) -> usize {
        self.whole.relations()
    }

    fn ends(&self, rel: u32) -> (u32, u32) {
        self.whole.ends(rel)
    }

    fn node_count(&self, ty: u32) -> usize {
        self.whole.node_count(ty)
    }

    fn csc(&self, rel: u32) -> Csc<'_> {
        match &self.relations[rel as usize] {
            Some(kept) => Csc { indptr: &kept.indptr, src: &kept.src },
            None => self.whole.csc(rel),
        }
    }

    fn node_feature(&self, ty: u32, feature: u32) -> StoredMatrix<'_> {
        self.whole.node_feature(ty, feature)
    }

    fn edge_feature(&self, rel: u32, feature: u32) -> EdgeMatrix<'_> {
        let matrix = self.whole.edge_feature(rel, feature);
        match &self.relations[rel as usize] {
            Some(kept) => EdgeMatrix { rows: Some(&kept.rows), ..matrix },
            None => matrix,
        }
    }

    fn label(&self, ty: u32, label: u32) -> &[f32] {
        self.whole.label(ty, label)
    }

    fn parts(&self, ty: u32, label: u32) -> &[u8] {
        self.whole.parts(ty, label)
    }

    fn degree(&self, ty: u32) -> &[f32] {
        self.degrees[ty as usize].as_deref().unwrap_or_else(|| self.whole.degree(ty))
    }

    fn edge_label(&self, rel: u32, label: u32) -> &[f32] {
        self.whole.edge_label(rel, label)
    }

    fn edge_parts(&self, rel: u32, label: u32) -> &[u8] {
        self.whole.edge_parts(rel, label)
    }

    fn edge_candidates(&self, rel: u32, candidates: u32) -> (usize, &[u32]) {
        self.whole.edge_candidates(rel, candidates)
    }

    fn membership(&self, ty: u32) -> Option<&[u32]> {
        self.whole.membership(ty)
    }

    fn forward(&self, rel: u32) -> Option<(u32, &[u32])> {
        self.whole.forward(rel)
    }
}

#[cfg(test)]
mod tests {
    use gsl_plan::pairs::{Kinds, Pairs};
    use gsl_plan::plan::Task;

    use super::*;
    use crate::toys;
    use crate::view::MemoryGraph;

    /// A prediction of the edges of relation 0, with the parts of one of its labels.
    fn predict(label: u32) -> Predict {
        let kinds = Kinds { ty: 2, rel: 3 };
        let pairs =
            Pairs { from: 1, to: 2, kinds, ty: 1, relations: vec![0], src: 0, dst: 0, label, links: None };
        Predict { ty: 1, label, pairs: Some(pairs), ..toys::predict(Task::Links) }
    }

    #[test]
    fn edges_that_one_of_two_splits_holds_out_carry_no_messages() {
        let mut graph = MemoryGraph::new(&[6]);
        let rel = graph.add_relation(0, 0, &[(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]);
        let [train, valid, test] = [Part::Train, Part::Valid, Part::Test].map(|part| part as u8);
        let none = Part::None as u8;
        let rating = graph.add_edge_label(rel, &[1.0; 5], &[train, valid, train, none, test]);
        let link = graph.add_edge_label(rel, &[1.0; 5], &[train, train, test, train, valid]);
        let held = |predicts: &[Predict]| held_back(&graph, predicts, rel);
        assert_eq!(held(&[predict(rating)]), Some(vec![false, true, false, false, true]));
        assert_eq!(held(&[predict(link)]), Some(vec![false, false, true, false, true]));
        let both = Some(vec![false, true, true, false, true]);
        assert_eq!(held(&[predict(rating), predict(link)]), both);
        assert_eq!(held(&[predict(link), predict(rating)]), both);
        assert_eq!(held(&[]), None);
    }
}
