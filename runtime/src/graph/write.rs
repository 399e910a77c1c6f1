//! Writing: every dataset contiguous and aligned, each with the hash of its bytes; the file appears whole or not at all.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use gsl_plan::graph::RelationFacts;
use gsl_tables::Replacement;
use hdf5::types::{FixedAscii, VarLenUnicode};
use hdf5::{File, Group, H5Type};
use ndarray::ArrayView;

use super::map::{self, HASH_ATTRIBUTE, bytes_of};
use super::{GraphError, LAYOUT_VERSION, Meta};

/// Datasets begin at multiples of this many bytes: a cache line.
const ALIGNMENT: u64 = 64;

pub struct GraphWriter {
    path: PathBuf,
    replacement: Replacement,
    file: File,
}

type Result<T> = std::result::Result<T, GraphError>;

impl GraphWriter {
    pub fn create(path: &Path) -> Result<Self> {
        let io = |error| GraphError::Io { file: path.to_path_buf(), error };
        let replacement = Replacement::of(path).map_err(io)?;
        let file = File::with_options()
            .with_fapl(|fapl| fapl.alignment(1, ALIGNMENT))
            .create(replacement.temporary())
            .map_err(|error| failed(path, "file", &error))?;
        let writer = Self { path: path.to_path_buf(), replacement, file };
        for group in ["nodes", "edges", "meta"] {
            writer.group(group)?;
        }
        Ok(writer)
    }

    fn group(&self, name: &str) -> Result<Group> {
        self.file.create_group(name).map_err(|error| failed(&self.path, name, &error))
    }

    /// Begins a node type; its arrays follow.
    pub fn node_type(&mut self, ty: &str) -> Result<()> {
        for group in ["", "/keys", "/features", "/labels"] {
            self.group(&format!("nodes/{ty}{group}"))?;
        }
        Ok(())
    }

    pub fn int_keys(&mut self, ty: &str, keys: &[i64]) -> Result<()> {
        self.put(&format!("nodes/{ty}/keys/int"), keys, None)
    }

    pub fn text_keys(&mut self, ty: &str, offsets: &[u64], bytes: &[u8]) -> Result<()> {
        self.put(&format!("nodes/{ty}/keys/offsets"), offsets, None)?;
        self.put(&format!("nodes/{ty}/keys/bytes"), bytes, None)
    }

    pub fn node_feature(&mut self, ty: &str, name: &str, width: usize, data: &[f32]) -> Result<()> {
        self.put(&format!("nodes/{ty}/features/{name}"), data, Some(width))
    }

    pub fn label(&mut self, ty: &str, name: &str, values: &[f32], parts: &[u8]) -> Result<()> {
        self.group(&format!("nodes/{ty}/labels/{name}"))?;
        self.put(&format!("nodes/{ty}/labels/{name}/value"), values, None)?;
        self.put(&format!("nodes/{ty}/labels/{name}/part"), parts, None)
    }

    pub fn degree(&mut self, ty: &str, degree: &[f32]) -> Result<()> {
        self.put(&format!("nodes/{ty}/degree"), degree, None)
    }

    pub fn relation(
        &mut self,
        index: usize,
        facts: &RelationFacts,
        indptr: &[u64],
        src: &[u32],
        rows: &[u32],
    ) -> Result<()> {
        let path = format!("edges/{index}");
        let group = self.group(&path)?;
        self.group(&format!("{path}/features"))?;
        self.attribute(&group, "name", &facts.name)?;
        self.put(&format!("{path}/indptr"), indptr, None)?;
        self.put(&format!("{path}/src"), src, None)?;
        self.put(&format!("{path}/row"), rows, None)
    }

    pub fn edge_feature(&mut self, index: usize, name: &str, width: usize, data: &[f32]) -> Result<()> {
        self.put(&format!("edges/{index}/features/{name}"), data, Some(width))
    }

    fn attribute(&self, group: &Group, name: &str, text: &str) -> Result<()> {
        let fail = |error: &dyn std::fmt::Display| failed(&self.path, name, error);
        // HDF5 texts end at a zero byte.
        let text = VarLenUnicode::from_str(&text.replace('\0', "\u{fffd}")).map_err(|error| fail(&error))?;
        let attribute = group.new_attr::<VarLenUnicode>().create(name).map_err(|error| fail(&error))?;
        attribute.write_scalar(&text).map_err(|error| fail(&error))
    }

    /// A dataset of one dimension, or of rows × width.
    fn put<T: H5Type>(&self, name: &str, data: &[T], width: Option<usize>) -> Result<()> {
        self.try_put(name, data, width).map_err(|error| failed(&self.path, name, &error))
    }

    fn try_put<T: H5Type>(&self, name: &str, data: &[T], width: Option<usize>) -> hdf5::Result<()> {
        let shape = width.map_or_else(|| vec![data.len()], |width| vec![data.len() / width.max(1), width]);
        let view =
            ArrayView::from_shape(shape, data).map_err(|error| hdf5::Error::Internal(error.to_string()))?;
        let dataset =
            self.file.new_dataset_builder().obj_track_times(false).no_chunk().with_data(view).create(name)?;
        let hash = blake3::hash(bytes_of(data)).to_hex();
        let hash = FixedAscii::<64>::from_ascii(hash.as_bytes())
            .map_err(|error| hdf5::Error::Internal(error.to_string()))?;
        dataset.new_attr::<FixedAscii<64>>().create(HASH_ATTRIBUTE)?.write_scalar(&hash)
    }

    fn put_json(&self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|error| failed(&self.path, name, &error))?;
        self.put(&format!("meta/{name}"), text.as_bytes(), None)
    }

    /// Writes the metadata last, checks that the file opens, and gives it its name.
    pub fn finish(self, meta: &Meta) -> Result<()> {
        let root = self.file.group("/").map_err(|error| failed(&self.path, "/", &error))?;
        self.attribute(&root, "format", map::FORMAT)?;
        self.put("meta/version", &[LAYOUT_VERSION], None)?;
        self.put("meta/content_key", meta.content_key.as_bytes(), None)?;
        self.put_json("plan", &meta.plan)?;
        self.put_json("facts", &meta.facts)?;
        self.put_json("fitted", &meta.fitted)?;
        self.put_json("fingerprints", &meta.fingerprints)?;
        self.put_json("report", &meta.report)?;
        self.file.flush().map_err(|error| failed(&self.path, "file", &error))?;
        drop(root);
        self.file.close().map_err(|error| failed(&self.path, "file", &error))?;
        let length = std::fs::metadata(self.replacement.temporary()).map(|meta| meta.len()).unwrap_or(0);
        map::open(self.replacement.temporary()).map_err(|error| {
            failed(&self.path, "file", &format!("{error} ({length} bytes written; is the disk full?)"))
        })?;
        self.replacement.commit().map_err(|error| GraphError::Io { file: self.path, error })
    }
}

fn failed(path: &Path, what: &str, reason: &(impl std::fmt::Display + ?Sized)) -> GraphError {
    GraphError::Write {
        file: path.to_path_buf(),
        what: what.to_string(),
        reason: in_short(&reason.to_string()),
    }
}

/// HDF5 tells file names, buffers and times of a failed write; the system's own words in it are enough.
fn in_short(reason: &str) -> String {
    let system = reason.split("error message = '").nth(1).and_then(|rest| rest.split('\'').next());
    system.map_or_else(|| reason.lines().next().unwrap_or_default().to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_in_the_systems_words() {
        let long = "H5Dwrite(): can't write data: file write failed: time = Sat\n, filename = 'x', errno = 28, \
                    error message = 'No space left on device', buf = 0x2";
        assert_eq!(in_short(long), "No space left on device");
        assert_eq!(in_short("H5Fcreate(): unable\nmore"), "H5Fcreate(): unable");
    }
}
