//! The best destinations of every source, exactly: all destinations are scored, in chunks, and only the best are held.

use super::score::{Known, Scoring};
use super::{Edge, Edges};
use crate::infer::InferError;
use crate::sample::HeadEdges;
use crate::view::Csc;
use gsl_plan::pairs::{Corrupted, Side};
use rayon::prelude::*;

/// Sources that meet destinations at a time, and how many of these.
const SOURCES: u32 = 512;
const DESTINATIONS: u32 = 1 << 12;

/// A link that is among the best of its source and relation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// Number of the relation among those of the prediction.
    pub kind: u32,
    pub src: u32,
    pub dst: u32,
    /// From 1.
    pub rank: u32,
    pub score: f32,
}

/// Which of all possible links are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Destinations of a source, at most.
    pub most: usize,
    /// Edges that are known among them.
    pub known_too: bool,
    /// Of one relation alone, by its number among those of the prediction.
    pub kind: Option<u32>,
}

/// Hears how many sources have been looked at, and of how many.
pub type Told<'a> = &'a mut dyn FnMut(u64, u64);

impl Scoring {
    /// For each relation and source at most `most` destinations, by descending score; equal scores are in the order of the
    /// nodes. A score that is no number counts as none. Edges of any part are left out unless `known_too`, and where both ends
    /// are of one type so is the source itself.
    ///
    /// # Errors
    /// If the scorer does not run.
    pub fn best(&mut self, known: Known, wanted: Wanted, told: Told) -> Result<Vec<Best>, InferError> {
        let predict = &known.plan.predicts[self.predict()];
        let (Some(_), Some(pairs)) = (Edges::of(known.view, predict), &predict.pairs) else {
            return Ok(Vec::new());
        };
        let Some(links) = &pairs.links else { return Ok(Vec::new()) };
        let destinations = links.corrupted(&[Side::Destination])[0];
        let (sources, nodes) = (known.view.node_count(pairs.src), known.view.node_count(pairs.dst));
        let mut found = Vec::new();
        let kinds =
            (0u32..).zip(&pairs.relations).filter(|(kind, _)| wanted.kind.is_none_or(|one| one == *kind));
        let all = kinds.clone().count() as u64 * sources as u64;
        let mut done = 0;
        for (kind, rel) in kinds {
            let edges = match wanted.known_too {
                true => Outgoing::none(sources),
                false => Outgoing::of(known.view.csc(*rel), sources),
            };
            for first in (0..sources as u32).step_by(SOURCES as usize) {
                let own = first..(first + SOURCES).min(sources as u32);
                told(done, all);
                done += own.len() as u64;
                let ends = own.map(|src| Edge { kind, position: 0, src, dst: 0 });
                let chunk = Chunk {
                    pairs: ends.collect(),
                    edges: &edges,
                    is_one_type: pairs.src == pairs.dst,
                    destinations,
                };
                self.best_of(known, &chunk, nodes as u32, wanted.most, &mut found)?;
            }
        }
        Ok(found)
    }

    fn best_of(
        &mut self,
        known: Known,
        chunk: &Chunk,
        nodes: u32,
        most: usize,
        found: &mut Vec<Best>,
    ) -> Result<(), InferError> {
        let mut tops = vec![Top { most, held: Vec::new() }; chunk.pairs.len()];
        for first in (0..nodes).step_by(DESTINATIONS as usize) {
            let block = first..(first + DESTINATIONS).min(nodes);
            let width = block.len();
            let all = HeadEdges::complete(chunk.destinations.rel, chunk.pairs.len() as u32, block);
            self.run(known, &chunk.pairs, vec![all])?;
            let Some(scores) = self.negatives(false) else { continue };
            let rows = scores.data.par_chunks(width.max(1));
            tops.par_iter_mut().zip(&chunk.pairs).zip(rows).for_each(|((top, pair), scores)| {
                for (dst, &score) in (first..).zip(scores) {
                    if top.takes(score) && chunk.fits(pair, dst) {
                        top.put(dst, score);
                    }
                }
            });
        }
        for (pair, top) in chunk.pairs.iter().zip(tops) {
            let ranked = top.held.into_iter().zip(1..);
            found.extend(ranked.map(|((score, dst), rank)| Best {
                kind: pair.kind,
                src: pair.src,
                dst,
                rank,
                score,
            }));
        }
        Ok(())
    }
}

/// Sources of one relation, as pairs whose destination does not count.
struct Chunk<'a> {
    pairs: Vec<Edge>,
    edges: &'a Outgoing,
    is_one_type: bool,
    destinations: Corrupted,
}

impl Chunk<'_> {
    /// Whether a destination may be among the best of a source.
    fn fits(&self, pair: &Edge, dst: u32) -> bool {
        !(self.is_one_type && dst == pair.src) && self.edges.from(pair.src).binary_search(&dst).is_err()
    }
}

/// Destinations of the edges of each source, ascending.
struct Outgoing {
    starts: Vec<usize>,
    dst: Vec<u32>,
}

impl Outgoing {
    fn none(sources: usize) -> Self {
        Outgoing { starts: vec![0; sources + 1], dst: Vec::new() }
    }

    fn of(csc: Csc, sources: usize) -> Self {
        let mut starts = vec![0; sources + 1];
        csc.src.iter().for_each(|&src| starts[src as usize + 1] += 1);
        (0..sources).for_each(|src| starts[src + 1] += starts[src]);
        let mut next = starts.clone();
        let mut all = vec![0; csc.src.len()];
        for (dst, ends) in csc.indptr.windows(2).enumerate() {
            for &src in &csc.src[ends[0] as usize..ends[1] as usize] {
                all[next[src as usize]] = dst as u32;
                next[src as usize] += 1;
            }
        }
        Outgoing { starts, dst: all }
    }

    fn from(&self, src: u32) -> &[u32] {
        &self.dst[self.starts[src as usize]..self.starts[src as usize + 1]]
    }
}

/// The greatest scores so far, descending, equal ones by node. Nodes come in ascending order.
#[derive(Debug, Clone)]
struct Top {
    most: usize,
    held: Vec<(f32, u32)>,
}

impl Top {
    fn takes(&self, score: f32) -> bool {
        let is_full = self.held.len() == self.most;
        !(score.is_nan() || (is_full && self.held.last().is_some_and(|(least, _)| score <= *least)))
    }

    /// Takes a score for which [`Top::takes`] holds.
    fn put(&mut self, node: u32, score: f32) {
        let at = self.held.partition_point(|(other, _)| *other >= score);
        self.held.insert(at, (score, node));
        self.held.truncate(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::{Outgoing, Top};
    use crate::view::Csc;
    use proptest::prelude::*;

    fn meet(top: &mut Top, node: u32, score: f32) {
        if top.takes(score) {
            top.put(node, score);
        }
    }

    proptest! {
        #[test]
        fn the_best_are_those_of_a_sort(scores in prop::collection::vec(-3i8..3, 0..40), most in 1usize..12) {
            let mut top = Top { most, held: Vec::new() };
            (0..).zip(&scores).for_each(|(node, score)| meet(&mut top, node, f32::from(*score)));
            let mut all: Vec<(f32, u32)> = scores.iter().map(|s| f32::from(*s)).zip(0..).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(most);
            prop_assert_eq!(top.held, all);
        }
    }

    #[test]
    fn what_is_no_number_is_never_best() {
        let mut top = Top { most: 2, held: Vec::new() };
        [f32::NAN, 1.0, f32::NAN].into_iter().zip(0..).for_each(|(score, node)| meet(&mut top, node, score));
        assert_eq!(top.held, [(1.0, 1)]);
    }

    #[test]
    fn edges_are_found_from_their_sources() {
        let edges = Outgoing::of(Csc { indptr: &[0, 2, 2, 4], src: &[0, 2, 0, 0] }, 3);
        assert_eq!((edges.from(0), edges.from(1), edges.from(2)), (&[0, 2, 2][..], &[][..], &[0][..]));
    }
}
