//! What bounds a build from below: the columns have to be decoded, and their keys have to be moved once.

use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::basic::Type;
use parquet::file::metadata::ColumnChunkMetaData;
use rayon::prelude::*;

use crate::Result;

const BATCH: usize = 1 << 16;
const COPIED: usize = 256 << 20;

/// The Parquet files of a folder, opened.
pub struct Tables {
    files: Vec<(PathBuf, ArrowReaderMetadata)>,
}

impl Tables {
    pub fn open(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "parquet") {
                let metadata = ArrowReaderMetadata::load(&File::open(&path)?, Default::default())
                    .map_err(|e| format!("{}: {e}", path.display()))?;
                files.push((path, metadata));
            }
        }
        Ok(Self { files })
    }

    pub fn rows(&self) -> u64 {
        self.files.iter().map(|(_, metadata)| metadata.metadata().file_metadata().num_rows() as u64).sum()
    }

    /// Bytes of the columns of keys once decoded: eight for an integer; a text and its place.
    pub fn decoded_bytes(&self, columns: &[&str]) -> u64 {
        let chunks = self.files.iter().flat_map(|(_, m)| m.metadata().row_groups()).flat_map(|g| g.columns());
        let wanted = chunks.filter(|c| columns.contains(&c.column_path().string().as_str()));
        wanted.map(decoded_bytes).sum()
    }

    /// Seconds to decode the columns to arrays in memory, groups of rows side by side.
    pub fn decode(&self, columns: &[&str], threads: u16) -> Result<f64> {
        let groups: Vec<(usize, usize)> = self.files.iter().enumerate().flat_map(groups).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build()?;
        let started = Instant::now();
        pool.install(|| {
            groups.par_iter().try_for_each(|&(file, group)| self.decode_group(columns, file, group))
        })?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn decode_group(&self, columns: &[&str], file: usize, group: usize) -> Result<()> {
        let (path, metadata) = &self.files[file];
        let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(path)?, metadata.clone())
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(BATCH)
            .build()?;
        for batch in reader {
            black_box(batch?);
        }
        Ok(())
    }
}

/// Plain texts in a file have four bytes of length each, as many as their places take in memory.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    match chunk.column_type() {
        Type::INT64 => 8 * chunk.num_values() as u64,
        _ => chunk.uncompressed_size() as u64,
    }
}

fn groups((file, (_, metadata)): (usize, &(PathBuf, ArrowReaderMetadata))) -> Vec<(usize, usize)> {
    (0..metadata.metadata().num_row_groups()).map(|group| (file, group)).collect()
}

/// Bytes that one thread copies per second from memory to memory while `threads` do.
pub fn copy_rate(threads: u16) -> Result<f64> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build()?;
    let rates = pool.broadcast(|_| {
        let (from, mut to) = (vec![1u8; COPIED], vec![0u8; COPIED]);
        let copy = |to: &mut Vec<u8>| to.copy_from_slice(black_box(&from));
        copy(&mut to);
        let started = Instant::now();
        for _ in 0..4 {
            copy(&mut to);
            black_box(&to);
        }
        4.0 * COPIED as f64 / started.elapsed().as_secs_f64()
    });
    Ok(rates.iter().sum::<f64>() / rates.len() as f64)
}
