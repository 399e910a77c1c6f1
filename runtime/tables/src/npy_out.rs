//! A column of numbers to a NumPy file, version 1.0: little-endian, row by row.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Problem, Result, TableError};
use crate::parquet_out::{Output, OutputColumn};
use crate::replace::Replacement;

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// The data begin at a multiple of this.
const ALIGNED: usize = 64;

/// A NumPy file being written batch by batch. It has its name only after [`NpyWriter::finish`].
pub struct NpyWriter {
    path: PathBuf,
    replacement: Replacement,
    out: BufWriter<File>,
    rows: usize,
    /// Rows that are still to come; none before the first batch.
    left: Option<usize>,
}

impl NpyWriter {
    /// For so many rows in all, which the header says.
    pub fn create(path: &Path, rows: usize) -> Result<Self> {
        let failed = |error| TableError::new(path, Problem::Io(error));
        let replacement = Replacement::of(path).map_err(failed)?;
        let out = BufWriter::new(File::create(replacement.temporary()).map_err(failed)?);
        Ok(Self { path: path.to_path_buf(), replacement, out, rows, left: None })
    }

    /// Writes rows × width of a list, or rows of numbers; the first batch says which. Texts are refused.
    pub fn write(&mut self, column: &OutputColumn) -> Result<()> {
        let left = self.left.unwrap_or(self.rows);
        let Some(left) = left.checked_sub(column.len()) else { return Err(self.uneven(column.len())) };
        let written = self.put(column);
        self.left = Some(left);
        written.map_err(|error| self.failed(error))
    }

    fn put(&mut self, column: &OutputColumn) -> std::io::Result<()> {
        let (rows, out, begins) = (self.rows, &mut self.out, self.left.is_none());
        let begin = |out: &mut BufWriter<File>, kind: &str, shape: String| match begins {
            true => out.write_all(&header(kind, &shape)),
            false => Ok(()),
        };
        match column.values {
            Output::FloatList { width, values } => {
                begin(out, "<f4", format!("({rows}, {width})"))?;
                put(out, values, |x| x.to_le_bytes())
            }
            Output::Float32(values) => {
                begin(out, "<f4", format!("({rows},)"))?;
                put(out, values, |x| x.to_le_bytes())
            }
            Output::Float(values) => {
                begin(out, "<f8", format!("({rows},)"))?;
                put(out, values, |x| x.to_le_bytes())
            }
            Output::Int(values) => {
                begin(out, "<i8", format!("({rows},)"))?;
                put(out, values, |x| x.to_le_bytes())
            }
            _ => Err(std::io::Error::other(format!("`{}` holds no numbers", column.name))),
        }
    }

    pub fn finish(self) -> Result<()> {
        if self.left.unwrap_or(self.rows) > 0 {
            return Err(self.uneven(self.rows - self.left.unwrap_or(self.rows)));
        }
        let Self { path, replacement, mut out, .. } = self;
        let written = out.flush().and_then(|()| replacement.commit());
        written.map_err(|error| TableError::new(&path, Problem::Io(error)))
    }

    fn uneven(&self, found: usize) -> TableError {
        TableError::new(&self.path, Problem::LengthMismatch { found, expected: self.rows })
    }

    fn failed(&self, error: std::io::Error) -> TableError {
        TableError::new(&self.path, Problem::Io(error))
    }
}

/// Writes one column of numbers, whole or not at all.
pub fn write_npy(path: &Path, column: &OutputColumn) -> Result<()> {
    let mut writer = NpyWriter::create(path, column.len())?;
    writer.write(column)?;
    writer.finish()
}

fn put<T: Copy, const N: usize>(
    out: &mut impl Write,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> std::io::Result<()> {
    values.iter().try_for_each(|&value| out.write_all(&bytes(value)))
}

fn header(kind: &str, shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let unpadded = MAGIC.len() + 2 + text.len() + 1;
    let padding = unpadded.next_multiple_of(ALIGNED) - unpadded;
    let length = (text.len() + padding + 1) as u16;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(std::iter::repeat_n(b' ', padding));
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_its_header_and_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let values = [1.0, -2.5, 0.0, 4.0, 5.0, 6.0];
        write_npy(&path, &OutputColumn::new("row", Output::FloatList { width: 3, values: &values })).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let start = bytes.len() - 24;
        assert_eq!(start % ALIGNED, 0);
        assert!(bytes.starts_with(MAGIC) && bytes[start - 1] == b'\n');
        assert!(
            String::from_utf8_lossy(&bytes[..start])
                .contains("'<f4', 'fortran_order': False, 'shape': (2, 3)")
        );
        assert_eq!(bytes[start + 4..start + 8], (-2.5f32).to_le_bytes());
    }

    #[test]
    fn batches_give_what_the_whole_gives() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, cut) = (folder.path().join("whole.npy"), folder.path().join("cut.npy"));
        write_npy(&whole, &OutputColumn::new("x", Output::Float(&[1.0, 2.0, 3.0]))).unwrap();
        let mut writer = NpyWriter::create(&cut, 3).unwrap();
        writer.write(&OutputColumn::new("x", Output::Float(&[1.0, 2.0]))).unwrap();
        writer.write(&OutputColumn::new("x", Output::Float(&[3.0]))).unwrap();
        assert!(writer.write(&OutputColumn::new("x", Output::Float(&[4.0]))).is_err());
        writer.finish().unwrap();
        assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&cut).unwrap());
        let few = NpyWriter::create(&cut, 3).unwrap();
        assert!(few.finish().is_err());
        assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&cut).unwrap(), "the old file stays");
    }

    #[test]
    fn texts_are_no_matrix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        assert!(write_npy(&path, &OutputColumn::new("a", Output::Text(&["x"]))).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
