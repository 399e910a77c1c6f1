//! Ranks and their collectives. Every distributed algorithm is written once against [`Communicator`].
//!
//! Decided here: what the collectives promise (the order of sums, what happens when a rank fails). Not decided here: how
//! bytes travel.

mod threads;

pub use threads::{Failure, Threads};

use std::fmt;

/// A collective that could not be completed, on a rank that is not to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommError {
    pub message: String,
}

impl fmt::Display for CommError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommError {}

/// One rank's view of all ranks. Every rank calls the same collectives in the same order.
///
/// Sums are formed in the order of the ranks, so that all ranks hold the same bits. When a rank fails, the others get an
/// error from the collective they are in or enter next.
pub trait Communicator: Send + Sync {
    fn rank(&self) -> usize;

    fn size(&self) -> usize;

    /// `data[i] = Σ_rank data[i]`, in place; every rank brings the same length.
    fn all_reduce_sum_f32(&self, data: &mut [f32]) -> Result<(), CommError>;

    /// `data[i] = Σ_rank data[i]`, in place; every rank brings the same length.
    fn all_reduce_sum_f64(&self, data: &mut [f64]) -> Result<(), CommError>;

    /// What every rank brought, by rank; lengths may differ.
    fn all_gather_bytes(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, CommError>;

    /// The bytes of rank `root`, on every rank.
    fn broadcast_bytes(&self, root: usize, data: &mut Vec<u8>) -> Result<(), CommError>;

    /// Returns once every rank has called it.
    fn barrier(&self) -> Result<(), CommError>;

    /// What every rank brought, by rank; lengths may differ.
    fn all_gather_f32(&self, mine: &[f32]) -> Result<Vec<Vec<f32>>, CommError> {
        let bytes: Vec<u8> = mine.iter().flat_map(|x| x.to_le_bytes()).collect();
        let parts = self.all_gather_bytes(&bytes)?;
        Ok(parts.iter().map(|part| words(part).map(f32::from_le_bytes).collect()).collect())
    }

    /// What every rank brought, by rank; lengths may differ.
    fn all_gather_u32(&self, mine: &[u32]) -> Result<Vec<Vec<u32>>, CommError> {
        let bytes: Vec<u8> = mine.iter().flat_map(|x| x.to_le_bytes()).collect();
        let parts = self.all_gather_bytes(&bytes)?;
        Ok(parts.iter().map(|part| words(part).map(u32::from_le_bytes).collect()).collect())
    }

    fn is_root(&self) -> bool {
        self.rank() == 0
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]])
}

/// The only rank.
#[derive(Debug, Clone, Copy, Default)]
pub struct Solo;

impl Communicator for Solo {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_reduce_sum_f32(&self, _: &mut [f32]) -> Result<(), CommError> {
        Ok(())
    }

    fn all_reduce_sum_f64(&self, _: &mut [f64]) -> Result<(), CommError> {
        Ok(())
    }

    fn all_gather_bytes(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, CommError> {
        Ok(vec![mine.to_vec()])
    }

    fn broadcast_bytes(&self, _: usize, _: &mut Vec<u8>) -> Result<(), CommError> {
        Ok(())
    }

    fn barrier(&self) -> Result<(), CommError> {
        Ok(())
    }
}
