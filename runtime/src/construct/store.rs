//! The rows of a feature on their way into the graph file: rounded to the feature's storage batch by batch, in their final order.

use gsl_plan::graph::Storage;

use super::csc::{finish, put, writer};
use super::error::{BuildError, Fault, Result};
use super::scratch::Scratch;
use super::storage::{Encoded, Scales, encode};
use super::tally::Tally;
use crate::graph::piece::{Element, Piece, PieceWriter, numbers_of};

/// Takes rows of numbers from first to last.
pub struct FeatureWriter {
    storage: Storage,
    width: usize,
    scratch: Scratch,
    /// Rows as they are stored; those for 8 bits as they came, until all are seen.
    rows: PieceWriter,
    scales: Scales,
    tally: Tally,
}

impl FeatureWriter {
    pub fn new(scratch: &Scratch, storage: Storage, width: usize) -> Self {
        let element = match storage {
            Storage::Float32 | Storage::Int8 => Element::F32,
            Storage::Float16 => Element::F16,
            Storage::BFloat16 => Element::BF16,
        };
        FeatureWriter {
            storage,
            width,
            scratch: scratch.clone(),
            rows: writer(scratch, element, Some(width)),
            scales: Scales::new(width),
            tally: Tally::default(),
        }
    }

    /// Adds whole rows.
    pub fn put(&mut self, rows: &[f32]) -> Result<()> {
        self.tally.see(rows);
        match self.storage {
            Storage::Float32 => put(&mut self.rows, |piece| piece.put(rows)),
            Storage::Int8 => {
                self.scales.see(rows);
                put(&mut self.rows, |piece| piece.put(rows))
            }
            narrow => put_encoded(&mut self.rows, narrow, rows, &[]),
        }
    }

    /// Statistics of the numbers before they are rounded.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The arrays of the feature, by the group of the graph file that each belongs to.
    pub fn finish(self) -> Result<Vec<(&'static str, Piece)>> {
        let path = self.rows.path().to_path_buf();
        let rows = finish(self.rows)?;
        if self.storage != Storage::Int8 {
            return Ok(vec![("features", rows)]);
        }
        let scales = self.scales.finish();
        let mut steps = writer(&self.scratch, Element::I8, Some(self.width));
        let mut rest: Vec<f32> = Vec::new();
        let read = rows.for_each(&mut |bytes| -> Result<(), Failure> {
            rest.extend(numbers_of::<f32>(bytes));
            let whole = rest.len() - rest.len() % self.width.max(1);
            put_encoded(&mut steps, Storage::Int8, &rest[..whole], &scales)?;
            rest.drain(..whole);
            Ok(())
        });
        read.map_err(|failure| match failure {
            Failure::Read(error) => BuildError::Scratch { file: path, error },
            Failure::Build(error) => error,
        })?;
        Ok(vec![("features", finish(steps)?), ("scales", Piece::of(&scales, None))])
    }
}

fn put_encoded(piece: &mut PieceWriter, storage: Storage, rows: &[f32], scales: &[f32]) -> Result<()> {
    let encoded = encode(storage, rows, scales).map_err(Fault::from)?;
    put(piece, |piece| piece.put_bytes(encoded.bytes()))
}

impl Encoded {
    /// The numbers in the byte order of the machine.
    fn bytes(&self) -> &[u8] {
        use crate::graph::piece::bytes_of;
        use half::slice::HalfFloatSliceExt;
        match self {
            Encoded::F32(data) => bytes_of(data),
            Encoded::F16(data) => bytes_of(data),
            Encoded::BF16(data) => bytes_of::<u16>(data.reinterpret_cast()),
            Encoded::I8(data) => bytes_of(data),
        }
    }
}

/// The rows cannot be read back, or what is made of them cannot be kept.
enum Failure {
    Read(std::io::Error),
    Build(BuildError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Read(error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Failure::Build(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::construct::feature::Rows;
    use crate::construct::storage::Kept;

    #[test]
    fn batches_of_any_size_are_stored_as_the_whole() {
        let scratch = Scratch::temporary().unwrap();
        let data: Vec<f32> =
            (0..3 * 1000).map(|at| ((at * 37) % 1001) as f32 / (1 + at % 3) as f32).collect();
        for storage in Storage::ALL {
            let whole = Kept::of(storage, &Rows { width: 3, data: data.clone(), cut: 0 }).unwrap();
            for rows in [1, 7, 1000] {
                let mut feature = FeatureWriter::new(&scratch, storage, 3);
                data.chunks(3 * rows).for_each(|rows| feature.put(rows).unwrap());
                let arrays = feature.finish().unwrap();
                let mut bytes = Vec::new();
                arrays[0]
                    .1
                    .for_each(&mut |some| -> std::io::Result<()> {
                        bytes.extend_from_slice(some);
                        Ok(())
                    })
                    .unwrap();
                assert!(bytes == whole.rows.bytes(), "{storage:?} in batches of {rows}");
                let scales = arrays.get(1).map(|(_, piece)| piece.load::<f32>().unwrap());
                assert_eq!(scales.unwrap_or_default(), whole.scales);
            }
        }
    }
}
