//! Weights: a memory-mapped safetensors file, and tensors of 32-bit floats out of it.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};

use crate::error::{Problem, Result, TextError};

/// An open file of weights.
pub struct Weights {
    file: PathBuf,
    map: Arc<Mmap>,
    /// Where the bytes of the tensors begin.
    start: usize,
    metadata: Metadata,
}

/// Row-major 32-bit floats: bytes of the file where they are stored so, else a copy.
pub enum Tensor {
    /// `len` floats from byte `start` of the map. Made by [`mapped`] only, which checks both and the alignment.
    Mapped {
        map: Arc<Mmap>,
        start: usize,
        len: usize,
    },
    Copied(Vec<f32>),
}

impl Weights {
    pub fn open(file: &Path) -> Result<Self> {
        let opened = File::open(file).map_err(|e| TextError::io(file, e))?;
        // SAFETY: the file is read only; who changes it under a running program gets other numbers, or a bus error.
        let map = unsafe { Mmap::map(&opened) }.map_err(|e| TextError::io(file, e))?;
        let broken = |reason: String| TextError::new(file, Problem::Safetensors { reason });
        SafeTensors::deserialize(&map).map_err(|e| broken(e.to_string()))?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| broken(e.to_string()))?;
        Ok(Weights {
            file: file.to_path_buf(),
            map: Arc::new(map),
            start: header + size_of::<u64>(),
            metadata,
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// The first of some names that the file has; else the first.
    pub fn either<'n>(&self, names: [&'n str; 2]) -> &'n str {
        if !self.has(names[0]) && self.has(names[1]) { names[1] } else { names[0] }
    }

    /// A tensor that must be there, of this shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let wrong = |problem| TextError::new(&self.file, problem);
        let name_of = || name.to_owned();
        let info = self.metadata.info(name).ok_or_else(|| wrong(Problem::NoTensor { name: name_of() }))?;
        if info.shape != shape {
            let (found, expected) = (info.shape.clone(), shape.to_vec());
            return Err(wrong(Problem::Shape { name: name_of(), found, expected }));
        }
        let (from, to) = (self.start + info.data_offsets.0, self.start + info.data_offsets.1);
        let bytes = &self.map[from..to];
        match info.dtype {
            Dtype::F32 => Ok(mapped(&self.map, from, to)
                .unwrap_or_else(|| widened(bytes, |b: [u8; 4]| f32::from_le_bytes(b)))),
            Dtype::F16 => Ok(widened(bytes, |b: [u8; 2]| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Ok(widened(bytes, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32())),
            other => Err(wrong(Problem::TensorType { name: name_of(), found: format!("{other:?}") })),
        }
    }
}

/// The bytes as they are, if this machine reads them as floats.
fn mapped(map: &Arc<Mmap>, from: usize, to: usize) -> Option<Tensor> {
    let aligned = (map.as_ptr() as usize + from).is_multiple_of(align_of::<f32>());
    let fits = to <= map.len() && from <= to && (to - from).is_multiple_of(size_of::<f32>());
    let len = (to.wrapping_sub(from)) / size_of::<f32>();
    (cfg!(target_endian = "little") && aligned && fits).then(|| Tensor::Mapped {
        map: Arc::clone(map),
        start: from,
        len,
    })
}

fn widened<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Tensor {
    let (items, _) = bytes.as_chunks::<N>();
    Tensor::Copied(items.iter().map(|&item| number(item)).collect())
}

impl Deref for Tensor {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Tensor::Copied(numbers) => numbers,
            // SAFETY: `mapped` has checked that these bytes lie in the map and are aligned; every pattern is a float.
            Tensor::Mapped { map, start, len } => unsafe {
                std::slice::from_raw_parts(map.as_ptr().add(*start).cast::<f32>(), *len)
            },
        }
    }
}
