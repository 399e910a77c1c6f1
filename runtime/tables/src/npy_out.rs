//! A column of numbers to a NumPy file, version 1.0: little-endian, row by row.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Problem, Result, TableError};
use crate::parquet_out::{Output, OutputColumn};
use crate::replace::replace_file;

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// The data begin at a multiple of this.
const ALIGNED: usize = 64;

/// Writes rows × width of a list, or rows of numbers; whole or not at all. Texts are refused.
pub fn write_npy(path: &Path, column: &OutputColumn) -> Result<()> {
    let rows = column.len();
    let written = replace_file(path, |file| {
        let mut out = BufWriter::new(file);
        match column.values {
            Output::FloatList { width, values } => {
                out.write_all(&header("<f4", &format!("({rows}, {width})")))?;
                put(&mut out, values, |x| x.to_le_bytes())?;
            }
            Output::Float32(values) => {
                out.write_all(&header("<f4", &format!("({rows},)")))?;
                put(&mut out, values, |x| x.to_le_bytes())?;
            }
            Output::Float(values) => {
                out.write_all(&header("<f8", &format!("({rows},)")))?;
                put(&mut out, values, |x| x.to_le_bytes())?;
            }
            Output::Int(values) => {
                out.write_all(&header("<i8", &format!("({rows},)")))?;
                put(&mut out, values, |x| x.to_le_bytes())?;
            }
            _ => return Err(std::io::Error::other(format!("`{}` holds no numbers", column.name))),
        }
        out.flush()
    });
    written.map_err(|error: std::io::Error| TableError::new(path, Problem::Io(error)))
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
    fn texts_are_no_matrix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        assert!(write_npy(&path, &OutputColumn::new("a", Output::Text(&["x"]))).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
