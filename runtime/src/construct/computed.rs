//! Features of nodes that follow from the edges, once those are there: columns of degrees and ranks beside those of the tables.

use std::io;

use gsl_plan::graph::{GraphFacts, RelationRef, Structure};

use super::error::{BuildError, Result};
use super::scratch::Scratch;
use super::structure::{self, in_degrees, out_degrees, page_rank};
use crate::graph::piece::Piece;
use crate::view::Csc;

/// The lists of all relations, by their index.
pub struct Lists<'a> {
    pub facts: &'a GraphFacts,
    /// Where the incoming edges of each node begin, and their sources.
    pub pieces: Vec<(&'a Piece, &'a Piece)>,
    pub scratch: &'a Scratch,
}

impl Lists<'_> {
    /// A number for each node of type `ty`.
    pub fn column(&self, ty: usize, structure: &Structure) -> Result<Vec<f64>> {
        let nodes = self.facts.nodes[ty].count as usize;
        match structure {
            Structure::Degree => self.in_degrees(&self.into(ty), nodes),
            Structure::InDegree(of) => self.in_degrees(&self.of(*of), nodes),
            Structure::OutDegree(of) => self.with(&self.of(*of), |lists| out_degrees(lists, nodes)),
            Structure::PageRank { relation, damping, iterations } => {
                self.with(&self.of(*relation), |lists| page_rank(lists, nodes, *damping, *iterations))
            }
            Structure::Count => Ok(vec![0.0; nodes]),
        }
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

    fn in_degrees(&self, relations: &[usize], nodes: usize) -> Result<Vec<f64>> {
        let bounds = self.bounds(relations)?;
        Ok(in_degrees(&bounds.iter().map(Vec::as_slice).collect::<Vec<_>>(), nodes))
    }

    /// Where the edges into each node begin, of each of the relations: 8 bytes a node.
    fn bounds(&self, relations: &[usize]) -> Result<Vec<Vec<u64>>> {
        relations
            .iter()
            .map(|&at| self.pieces[at].0.load())
            .collect::<io::Result<_>>()
            .map_err(|e| self.failed(e))
    }

    /// Calls `work` with the lists of relations: in memory if there is room for them, else as they are stored.
    fn with<T>(
        &self,
        relations: &[usize],
        work: impl FnOnce(&structure::Lists) -> io::Result<T>,
    ) -> Result<T> {
        let bounds = self.bounds(relations)?;
        let bytes = relations.iter().map(|&at| self.pieces[at].0.bytes() + self.pieces[at].1.bytes());
        if bytes.sum::<u64>() > self.scratch.memory {
            let stored =
                bounds.iter().zip(relations).map(|(indptr, &at)| (indptr.as_slice(), self.pieces[at].1));
            return work(&structure::Lists::Stored(stored.collect())).map_err(|e| self.failed(e));
        }
        let sources = relations.iter().map(|&at| self.pieces[at].1.load());
        let sources: Vec<Vec<u32>> = sources.collect::<io::Result<_>>().map_err(|e| self.failed(e))?;
        let held = bounds.iter().zip(&sources).map(|(indptr, src)| Csc { indptr, src });
        work(&structure::Lists::Held(held.collect())).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: io::Error) -> BuildError {
        BuildError::Scratch { file: self.scratch.folder.clone(), error }
    }
}
