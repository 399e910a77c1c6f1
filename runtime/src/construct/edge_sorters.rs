//! The edges of a declaration on their way into the external sort: one sorter for each relation.

use std::sync::{Arc, RwLock};

use super::csc::edge_key;
use super::edges::Kept;
use super::error::Result;
use super::scratch::Scratch;
use super::sorter::{Keys, Room, Sorter};
use crate::graph::piece::bytes_of;

/// One sorter for each relation, made when the relation is first seen.
pub(super) struct Sorters<'a> {
    pub all: RwLock<Vec<Sorter>>,
    pub scratch: &'a Scratch,
    pub room: Arc<Room>,
    pub keys: Keys,
    /// Bytes of the payload of each edge, its row included.
    pub payload: usize,
    /// About how many edges a relation has.
    pub expected: u64,
}

impl Sorters<'_> {
    pub fn make_upto(&self, count: usize) {
        let mut all = self.all.write().expect("no thread panics here");
        while all.len() < count {
            all.push(Sorter::new(self.scratch, self.keys, self.payload, self.expected, &self.room));
        }
    }

    /// Adds the edges of a batch, each to its relation, with so many bytes of each array.
    pub(super) fn push(&self, kept: &Kept, arrays: &[(usize, &[u8])]) -> Result<()> {
        if kept.rows.is_empty() {
            return Ok(());
        }
        if kept.relation.is_empty() && arrays.is_empty() {
            let keys: Vec<u64> =
                kept.dst.iter().zip(&kept.src).map(|(&dst, &src)| edge_key(dst, src)).collect();
            let rows: Vec<u32> = kept.rows.iter().map(|&row| kept.first as u32 + row).collect();
            return self.all.read().expect("no thread panics here")[0].push(&keys, bytes_of(&rows));
        }
        if kept.relation.is_empty() {
            let all: Vec<u32> = (0..kept.rows.len() as u32).collect();
            return self.push_to(0, kept, arrays, &all);
        }
        let relations = kept.relation.iter().max().map_or(0, |&code| code as usize + 1);
        if self.all.read().expect("no thread panics here").len() < relations {
            self.make_upto(relations);
        }
        let mut order: Vec<u32> = (0..kept.rows.len() as u32).collect();
        order.sort_by_key(|&edge| kept.relation[edge as usize]);
        order.chunk_by(|&a, &b| kept.relation[a as usize] == kept.relation[b as usize]).try_for_each(
            |edges| self.push_to(kept.relation[edges[0] as usize] as usize, kept, arrays, edges),
        )
    }

    fn push_to(&self, relation: usize, kept: &Kept, arrays: &[(usize, &[u8])], edges: &[u32]) -> Result<()> {
        let key = |&edge: &u32| edge_key(kept.dst[edge as usize], kept.src[edge as usize]);
        let keys: Vec<u64> = edges.iter().map(key).collect();
        let mut payload = Vec::with_capacity(edges.len() * self.payload);
        for &edge in edges {
            let edge = edge as usize;
            payload.extend_from_slice(&((kept.first as u32) + kept.rows[edge]).to_ne_bytes());
            for (bytes, all) in arrays {
                payload.extend_from_slice(&all[edge * bytes..(edge + 1) * bytes]);
            }
        }
        self.all.read().expect("no thread panics here")[relation].push(&keys, &payload)
    }
}
