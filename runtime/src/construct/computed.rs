//! Features of nodes that follow from the edges, once those are there: columns of degrees and ranks beside those of the tables.

use gsl_plan::graph::{GraphFacts, GraphPlan, RelationRef, Structure};

use super::error::{BuildError, Result};
use super::scratch::Scratch;
use super::structure::{in_degrees, out_degrees, page_rank};
use crate::graph::piece::Piece;
use crate::view::Csc;

/// The lists of all relations, by their index.
pub struct Lists<'a> {
    pub plan: &'a GraphPlan,
    pub facts: &'a GraphFacts,
    /// Where the incoming edges of each node begin, and their sources.
    pub pieces: Vec<(&'a Piece, &'a Piece)>,
    pub scratch: &'a Scratch,
}

/// The lists of one relation, in memory.
struct Loaded {
    indptr: Vec<u64>,
    src: Vec<u32>,
}

impl Lists<'_> {
    /// A number for each node of type `ty`.
    pub fn column(&self, ty: usize, structure: &Structure) -> Result<Vec<f64>> {
        let nodes = self.facts.nodes[ty].count as usize;
        Ok(match structure {
            Structure::Degree => in_degrees(&csc(&self.load(&self.into(ty), false)?), nodes),
            Structure::InDegree(of) => in_degrees(&csc(&self.load(&self.of(*of), false)?), nodes),
            Structure::OutDegree(of) => out_degrees(&csc(&self.load(&self.of(*of), true)?), nodes),
            Structure::PageRank { relation, damping, iterations } => {
                page_rank(&csc(&self.load(&self.of(*relation), true)?), nodes, *damping, *iterations)
            }
            Structure::Count => vec![0.0; nodes],
        })
    }

    /// Relations that end in the type, reverses among them.
    fn into(&self, ty: usize) -> Vec<usize> {
        let relations = self.facts.relations.iter().enumerate();
        relations.filter(|(_, facts)| facts.dst == ty).map(|(index, _)| index).collect()
    }

    /// The relations of a declaration, or their reverses. A reverse that a declaration has is always stored.
    fn of(&self, wanted: RelationRef) -> Vec<usize> {
        let relations = self.facts.relations.iter().enumerate();
        let fits = |facts: &gsl_plan::graph::RelationFacts| {
            facts.declared_by == wanted.edge && facts.reverse_of.is_some() == wanted.reverse
        };
        relations.filter(|(_, facts)| fits(facts)).map(|(index, _)| index).collect()
    }

    fn load(&self, relations: &[usize], with_src: bool) -> Result<Vec<Loaded>> {
        let bytes = |&at: &usize| {
            let (indptr, src) = self.pieces[at];
            indptr.bytes() + if with_src { src.bytes() } else { 0 }
        };
        let wanted: u64 = relations.iter().map(bytes).sum();
        if wanted > self.scratch.memory {
            let what = format!("the edges of `{}`, which degrees and ranks follow from,", self.plan.name);
            return Err(BuildError::Memory { what, wanted, memory: self.scratch.memory });
        }
        let failed = |error| BuildError::Scratch { file: self.scratch.folder.clone(), error };
        let one = |&at: &usize| -> Result<Loaded> {
            let (indptr, src) = self.pieces[at];
            let src = if with_src { src.load().map_err(failed)? } else { Vec::new() };
            Ok(Loaded { indptr: indptr.load().map_err(failed)?, src })
        };
        relations.iter().map(one).collect()
    }
}

fn csc(loaded: &[Loaded]) -> Vec<Csc<'_>> {
    loaded.iter().map(|lists| Csc { indptr: &lists.indptr, src: &lists.src }).collect()
}
