//! Scores and ranks of pairs, from the rows that inference has computed.
//!
//! Decided here: which candidates a pair is ranked against, that known edges among them are left out where the protocol is
//! filtered, and that ties count half: rank = 1 + better + equal / 2, on raw scores. Scores of all pairs with all nodes are
//! never held: pairs and candidates go through in chunks.

use super::head::PairBatch;
use super::negatives::end;
use super::{Edge, Edges, HeadMaker};
use crate::comm::Communicator;
use crate::exec::{Context, Env, Executor, Goal, PairRows};
use crate::extend::Extensions;
use crate::infer::{InferError, Rows};
use crate::sample::{Block, Head, HeadEdges, Sampler, sample_key};
use crate::store::Params;
use crate::train::batches::share;
use crate::view::{GraphView, Matrix};
use gsl_kernels::random::Key;
use gsl_plan::pairs::{Against, Corrupted, Side};
use gsl_plan::plan::{Fanout, Plan, Scorer};
use gsl_plan::program::Role;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;

const PURPOSE: u32 = u32::from_be_bytes(*b"eval");
/// Pairs scored at a time.
const PAIRS: usize = 4096;
/// Pairs that are ranked at a time.
const RANKED: usize = 512;
/// Candidates that a chunk of ranked pairs meets at a time.
const CANDIDATES: usize = 1 << 12;

/// One scorer made ready, and the memory that it runs in.
pub struct Scoring {
    predict: usize,
    executor: Executor,
    sampler: Sampler,
    maker: HeadMaker,
    block: Block,
}

/// What scores depend on besides the pairs.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub plan: &'a Plan,
    /// The whole graph.
    pub view: &'a dyn GraphView,
    pub params: &'a Params,
    /// By node type: the rows that decoders read.
    pub rows: &'a [Option<Rows>],
}

/// Ends of edges of a kind that are known: `(kind, the end that stays)` to the others.
type Others = FxHashMap<(u32, u32), FxHashSet<u32>>;

impl Scoring {
    pub fn new(
        plan: &Plan,
        view: &dyn GraphView,
        scorer: &Scorer,
        extensions: &Extensions,
    ) -> Result<Self, InferError> {
        let fanouts = vec![Fanout::All; scorer.exec.hops.len()];
        Ok(Scoring {
            predict: scorer.predict,
            executor: Executor::with(&scorer.exec.schedule, &plan.signature(), extensions)?,
            sampler: Sampler::with_virtuals(view, &scorer.exec.hops, &fanouts, &plan.virtuals)?,
            maker: HeadMaker::new(plan, &scorer.exec),
            block: Block::new(),
        })
    }

    pub fn predict(&self) -> usize {
        self.predict
    }

    /// Raw scores of pairs, one row each.
    ///
    /// # Errors
    /// If the scorer does not run.
    pub fn scores(&mut self, known: Known, pairs: &[Edge]) -> Result<Rows, InferError> {
        let mut all = Rows { width: 1, data: Vec::new() };
        for chunk in pairs.chunks(PAIRS) {
            self.run(known, chunk, Vec::new())?;
            let Some(found) = self.executor.output(&Role::Scores(self.predict)) else { continue };
            all.width = found.width;
            all.data.extend(found.data);
        }
        Ok(all)
    }

    /// Scores of pairs with what takes the place of an end of each, as edges that lead to the pairs.
    pub(super) fn run(
        &mut self,
        known: Known,
        pairs: &[Edge],
        negatives: Vec<HeadEdges>,
    ) -> Result<(), InferError> {
        let predict = &known.plan.predicts[self.predict];
        let Some(edges) = Edges::of(known.view, predict) else { return Ok(()) };
        let batch = PairBatch { predict: self.predict, edges, own: pairs.to_vec(), first_group: 0 };
        let mut head = Head::default();
        let mut rows: Vec<PairRows> = Vec::new();
        self.maker.add(&batch, &mut head, &mut rows);
        head.edges.extend(negatives);
        self.sampler.sample_behind(known.view, &[], Some(&head), sample_key(0, 0), &mut self.block)?;
        let hidden: Vec<Option<Matrix>> =
            known.rows.iter().map(|rows| rows.as_ref().map(|r| Matrix::new(&r.data, r.width))).collect();
        let env = Env {
            view: known.view,
            params: known.params,
            block: &self.block,
            hidden: &hidden,
            context: Context::default(),
            seed_weights: &[],
            loss_scale: &[],
            pairs: &rows,
        };
        Ok(self.executor.run(&env, Goal::Forward)?)
    }

    /// What the last run gave for the nodes that took the place of the sources, or of the destinations.
    pub(super) fn negatives(&self, source: bool) -> Option<Matrix<'_>> {
        self.executor.output(&Role::Negatives { predict: self.predict, source })
    }

    /// The rank and the number of candidates of each pair, one corrupted end after the other. The ranks of `comm` share the pairs,
    /// and all get the whole.
    ///
    /// # Errors
    /// If the scorer does not run, or the exchange fails.
    pub fn rank(
        &mut self,
        known: Known,
        numbers: &[u64],
        comm: &dyn Communicator,
    ) -> Result<Vec<(f64, f64)>, InferError> {
        let predict = &known.plan.predicts[self.predict];
        let links = predict.pairs.as_ref().and_then(|pairs| pairs.links.as_ref());
        let (Some(edges), Some(links)) = (Edges::of(known.view, predict), links) else {
            return Ok(Vec::new());
        };
        let mine = share(numbers.len(), comm.rank(), comm.size());
        let mut values: Vec<f64> = Vec::new();
        for corrupted in links.corrupted(&links.protocol.sides) {
            let own = edges.find(&numbers[mine.clone()]);
            let others = match links.protocol.filtered {
                true => others(&edges, &own, corrupted.side),
                false => Others::default(),
            };
            let mut side = vec![0.0; 2 * numbers.len()];
            let judged = Judged { known, edges, corrupted, against: links.protocol.against, others: &others };
            let chunks = own.chunks(RANKED).zip(numbers[mine.clone()].chunks(RANKED));
            for ((pairs, numbers), out) in
                chunks.zip(side[2 * mine.start..2 * mine.end].chunks_mut(2 * RANKED))
            {
                let found = self.rank_chunk(&judged, pairs, numbers)?;
                let ranks = found.iter().flat_map(|place| [place.rank(), place.candidates as f64]);
                out.iter_mut().zip(ranks).for_each(|(out, value)| *out = value);
            }
            values.extend(side);
        }
        comm.all_reduce_sum_f64(&mut values)?;
        Ok(values.chunks_exact(2).map(|row| (row[0], row[1])).collect())
    }

    fn rank_chunk(
        &mut self,
        judged: &Judged,
        pairs: &[Edge],
        numbers: &[u64],
    ) -> Result<Vec<Place>, InferError> {
        let mut found = vec![Place::default(); pairs.len()];
        match judged.against {
            Against::All => {
                let nodes = judged.nodes();
                for first in (0..nodes).step_by(CANDIDATES) {
                    let last = (first + CANDIDATES as u32).min(nodes);
                    self.against_all(judged, pairs, first..last, &mut found)?;
                }
            }
            Against::Uniform(k) => {
                let key = Key::new(judged.known.plan.seed, PURPOSE).fold(judged.corrupted.side as u64);
                let draw = |_: usize, number: u64| {
                    let key = key.fold(number);
                    (0..u64::from(k)).map(|place| key.below_at(place, judged.nodes())).collect()
                };
                self.against(judged, pairs, &|at, _| draw(at, numbers[at]), &mut found)?;
            }
            Against::Given { candidates } => {
                let given = |_: usize, pair: &Edge| judged.given(pair, candidates);
                self.against(judged, pairs, &given, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Compares each pair with the same candidates, one matrix product; the pair itself and known edges do not count.
    fn against_all(
        &mut self,
        judged: &Judged,
        pairs: &[Edge],
        nodes: Range<u32>,
        found: &mut [Place],
    ) -> Result<(), InferError> {
        let edges = HeadEdges::complete(judged.corrupted.rel, pairs.len() as u32, nodes.clone());
        self.run(judged.known, pairs, vec![edges])?;
        let source = judged.corrupted.side == Side::Source;
        let own = self.executor.output(&Role::Scores(self.predict));
        let negatives = self.executor.output(&Role::Negatives { predict: self.predict, source });
        let (Some(own), Some(negatives)) = (own, negatives) else { return Ok(()) };
        let rows = negatives.data.par_chunks(nodes.len().max(1));
        found.par_iter_mut().zip(pairs).zip(own.data).zip(rows).for_each(|(((place, pair), own), rivals)| {
            place.meet(*own, rivals);
            judged.known_among(pair, &nodes).for_each(|node| {
                place.forget(*own, rivals[(node - nodes.start) as usize]);
            });
        });
        Ok(())
    }

    /// Compares each pair with its candidates; those that are the pair itself or a known edge are left out.
    fn against(
        &mut self,
        judged: &Judged,
        pairs: &[Edge],
        candidates: &dyn Fn(usize, &Edge) -> Vec<u32>,
        found: &mut [Place],
    ) -> Result<(), InferError> {
        let mut edges = HeadEdges::empty(judged.corrupted.rel);
        for (at, pair) in pairs.iter().enumerate() {
            let fits = |node: &u32| judged.counts(pair, *node);
            edges.src.extend(candidates(at, pair).into_iter().filter(fits));
            edges.indptr.push(edges.src.len() as u32);
        }
        let ends = edges.indptr.clone();
        self.run(judged.known, pairs, vec![edges])?;
        let source = judged.corrupted.side == Side::Source;
        let own = self.executor.output(&Role::Scores(self.predict));
        let negatives = self.negatives(source);
        let (Some(own), Some(negatives)) = (own, negatives) else { return Ok(()) };
        for (at, place) in found.iter_mut().enumerate() {
            let rivals = &negatives.data[ends[at] as usize..ends[at + 1] as usize];
            place.meet(own.data[at], rivals);
        }
        Ok(())
    }
}

/// One side of an evaluation.
struct Judged<'a> {
    known: Known<'a>,
    edges: Edges<'a>,
    corrupted: Corrupted,
    against: Against,
    others: &'a Others,
}

impl Judged<'_> {
    fn nodes(&self) -> u32 {
        let pairs = self.edges.pairs;
        let ty = pairs.end(self.corrupted.side);
        self.known.view.node_count(ty) as u32
    }

    /// The nodes of a range that do not count for a pair: its own, and those that make a known edge.
    fn known_among<'j>(&'j self, pair: &Edge, nodes: &'j Range<u32>) -> impl Iterator<Item = u32> + 'j {
        let own = end(pair, self.corrupted.side);
        let others = self.others.get(&(pair.kind, stays(pair, self.corrupted.side)));
        let rest = others.into_iter().flatten().copied().filter(move |node| *node != own);
        std::iter::once(own).chain(rest).filter(|node| nodes.contains(node))
    }

    fn counts(&self, pair: &Edge, node: u32) -> bool {
        if node == end(pair, self.corrupted.side) {
            return false;
        }
        let stays = stays(pair, self.corrupted.side);
        self.others.get(&(pair.kind, stays)).is_none_or(|others| !others.contains(&node))
    }

    fn given(&self, pair: &Edge, candidates: u32) -> Vec<u32> {
        let rel = self.edges.pairs.relations[pair.kind as usize];
        let (width, all) = self.known.view.edge_candidates(rel, candidates);
        let own = all.get(pair.position as usize * width..(pair.position as usize + 1) * width);
        own.unwrap_or_default().iter().copied().filter(|node| *node != u32::MAX).collect()
    }
}

fn stays(pair: &Edge, side: Side) -> u32 {
    if side == Side::Source { pair.dst } else { pair.src }
}

/// What is known to take the place of an end of these pairs: one pass over the edges of their relations.
fn others(edges: &Edges, pairs: &[Edge], side: Side) -> Others {
    let mut found = Others::default();
    for pair in pairs {
        found.entry((pair.kind, stays(pair, side))).or_default();
    }
    for (kind, rel) in edges.pairs.relations.iter().enumerate() {
        let csc = edges.view.csc(*rel);
        for (dst, ends) in csc.indptr.windows(2).enumerate() {
            for &src in &csc.src[ends[0] as usize..ends[1] as usize] {
                let (stays, goes) = if side == Side::Source { (dst as u32, src) } else { (src, dst as u32) };
                if let Some(known) = found.get_mut(&(kind as u32, stays)) {
                    known.insert(goes);
                }
            }
        }
    }
    found
}

/// How a pair stands among its candidates.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    better: u64,
    equal: u64,
    candidates: u64,
}

impl Place {
    /// A score that is no number is worse than any.
    fn meet(&mut self, own: f32, rivals: &[f32]) {
        self.candidates += rivals.len() as u64;
        self.better +=
            rivals.iter().filter(|rival| **rival > own || (own.is_nan() && !rival.is_nan())).count() as u64;
        self.equal += rivals.iter().filter(|rival| **rival == own).count() as u64;
    }

    /// Takes back one of the candidates that were met.
    fn forget(&mut self, own: f32, rival: f32) {
        let mut one = Place::default();
        one.meet(own, &[rival]);
        self.candidates -= one.candidates;
        self.better -= one.better;
        self.equal -= one.equal;
    }

    fn rank(&self) -> f64 {
        1.0 + self.better as f64 + self.equal as f64 / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn ties_count_half() {
        let mut place = Place::default();
        place.meet(0.5, &[0.7, 0.5, 0.5, 0.1]);
        assert_eq!((place.rank(), place.candidates), (3.0, 4));
    }

    #[test]
    fn a_score_that_is_no_number_is_last() {
        let mut place = Place::default();
        place.meet(f32::NAN, &[0.7, -1.0]);
        assert_eq!(place.rank(), 3.0);
    }
}
