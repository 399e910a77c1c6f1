//! Samplers of negatives of a program's own.

use crate::view::GraphView;
use gsl_kernels::random::Key;
use gsl_plan::pairs::Side;
use std::collections::BTreeSet;

/// Draws nodes that take the place of an end of links.
pub trait Negatives: Send + Sync {
    /// What draws for one prediction and one end. It is asked once before training; what it prepares is kept.
    fn of(&self, ends: &Ends) -> Box<dyn NegativesOf>;
}

/// Draws for one prediction and one end.
pub trait NegativesOf: Send + Sync {
    /// The nodes that the links of a group share, numbers below [`Ends::nodes`], as many as are asked for. All that is random in it
    /// comes from `group.key`, so that ranks, threads and a run that is resumed draw the same. A link's own end is left out afterwards.
    fn draw(&self, group: &Group) -> Vec<u32>;
}

/// What is known of the end that is drawn for.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    pub side: Side,
    /// Nodes of the end's type.
    pub nodes: u32,
    pub(crate) messages: &'a dyn GraphView,
    pub(crate) relations: &'a [u32],
}

impl Ends<'_> {
    /// By node: in how many links of the training graph, of all relations that are predicted, it is this end.
    pub fn degrees(&self) -> Vec<u32> {
        let mut degrees = vec![0; self.nodes as usize];
        for rel in self.relations {
            let csc = self.messages.csc(*rel);
            match self.side {
                Side::Source => csc.src.iter().for_each(|src| degrees[*src as usize] += 1),
                Side::Destination => {
                    let counts = csc.indptr.windows(2).map(|ends| (ends[1] - ends[0]) as u32);
                    degrees.iter_mut().zip(counts).for_each(|(degree, n)| *degree += n);
                }
            }
        }
        degrees
    }

    /// By node: the others that it has a link with in the training graph, ascending, each once.
    pub fn partners(&self) -> Vec<Vec<u32>> {
        let mut partners = vec![BTreeSet::new(); self.nodes as usize];
        for rel in self.relations {
            let csc = self.messages.csc(*rel);
            for (dst, ends) in csc.indptr.windows(2).enumerate() {
                for src in &csc.src[ends[0] as usize..ends[1] as usize] {
                    let (own, other) =
                        if self.side == Side::Source { (*src, dst as u32) } else { (dst as u32, *src) };
                    partners[own as usize].insert(other);
                }
            }
        }
        partners.into_iter().map(|all| all.into_iter().collect()).collect()
    }
}

/// Links that share their negatives.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    pub links: &'a [Link],
    /// How many nodes are wanted.
    pub count: u32,
    /// What keys the draws: `key.below_at(place, n)` is a number below n, `key.uniform_f64_at(place)` one in [0, 1).
    pub key: Key,
}

/// A link by the numbers of its ends; `relation` counts those that are predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub src: u32,
    pub dst: u32,
    pub relation: u32,
}
