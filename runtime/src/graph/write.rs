//! Writing: every dataset contiguous and aligned, each with the hash of its bytes; the file appears whole or not at all.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use gsl_kernels::f16;
use gsl_plan::graph::{RelationFacts, Storage};
use gsl_tables::Replacement;
use hdf5::types::{FixedAscii, VarLenUnicode};
use hdf5::{File, Group, Location};
use ndarray::ArrayView;

use super::map::{self, HASH_ATTRIBUTE};
use super::piece::{Element, Number, Piece, numbers_of};
use super::{GraphError, LAYOUT_VERSION, Meta};

/// Datasets begin at multiples of this many bytes: a cache line.
const ALIGNMENT: u64 = 64;

/// Names the storage where HDF5 has no type for it.
const STORAGE_ATTRIBUTE: &str = "storage";

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
        for group in ["", "/keys", "/features", "/scales", "/labels"] {
            self.group(&format!("nodes/{ty}{group}"))?;
        }
        Ok(())
    }

    /// Begins a relation; its arrays follow.
    pub fn relation(&mut self, index: usize, facts: &RelationFacts) -> Result<()> {
        let path = format!("edges/{index}");
        let group = self.group(&path)?;
        self.group(&format!("{path}/features"))?;
        self.group(&format!("{path}/scales"))?;
        if !facts.labels.is_empty() {
            self.group(&format!("{path}/labels"))?;
        }
        for label in &facts.labels {
            self.group(&format!("{path}/labels/{}", label.name))?;
        }
        self.attribute(&group, "name", &facts.name)
    }

    /// Begins the candidates of a relation.
    pub fn candidates(&mut self, index: usize) -> Result<()> {
        self.group(&format!("edges/{index}/candidates")).map(drop)
    }

    /// Begins a label; its arrays follow.
    pub fn label(&mut self, ty: &str, name: &str) -> Result<()> {
        self.group(&format!("nodes/{ty}/labels/{name}")).map(drop)
    }

    /// An array of one dimension, or of rows × width.
    pub fn array(&mut self, name: &str, piece: &Piece) -> Result<()> {
        let written = match piece.element {
            Element::U8 => self.try_array::<u8>(name, piece),
            Element::I8 => self.try_array::<i8>(name, piece),
            Element::F16 => self.try_array::<f16>(name, piece),
            Element::BF16 => self.try_array::<u16>(name, piece),
            Element::U32 => self.try_array::<u32>(name, piece),
            Element::U64 => self.try_array::<u64>(name, piece),
            Element::I64 => self.try_array::<i64>(name, piece),
            Element::F32 => self.try_array::<f32>(name, piece),
        };
        written.map_err(|error| failed(&self.path, name, &error))?;
        if piece.element == Element::BF16 {
            let dataset = self.file.dataset(name).map_err(|error| failed(&self.path, name, &error))?;
            self.attribute(&dataset, STORAGE_ATTRIBUTE, Storage::BFloat16.name())?;
        }
        Ok(())
    }

    fn try_array<T: Number>(&self, name: &str, piece: &Piece) -> std::result::Result<(), ArrayError> {
        let len = piece.len();
        let shape = piece.width.map_or_else(|| vec![len], |width| vec![len / width.max(1), width]);
        let dataset = self
            .file
            .new_dataset::<T>()
            .obj_track_times(false)
            .no_chunk()
            .shape(shape.clone())
            .create(name)?;
        let (width, mut rows) = (piece.width.unwrap_or(1), 0);
        let mut rest: Vec<T> = Vec::new();
        piece.for_each(&mut |bytes| -> std::result::Result<(), ArrayError> {
            rest.extend(numbers_of::<T>(bytes));
            let whole = rest.len() / width.max(1);
            let view = ArrayView::from_shape((whole, width), &rest[..whole * width])
                .map_err(|error| hdf5::Error::Internal(error.to_string()))?;
            match piece.width {
                None => dataset.write_slice(ArrayView::from(&rest[..whole]), rows..rows + whole)?,
                Some(_) => dataset.write_slice(view, (rows..rows + whole, ..))?,
            }
            rows += whole;
            rest.drain(..whole * width);
            Ok(())
        })?;
        self.hash(&dataset, &piece.hash()?)?;
        Ok(())
    }

    fn hash(&self, dataset: &hdf5::Dataset, hash: &blake3::Hash) -> hdf5::Result<()> {
        let hash = FixedAscii::<64>::from_ascii(hash.to_hex().as_bytes())
            .map_err(|error| hdf5::Error::Internal(error.to_string()))?;
        dataset.new_attr::<FixedAscii<64>>().create(HASH_ATTRIBUTE)?.write_scalar(&hash)
    }

    fn attribute(&self, place: &Location, name: &str, text: &str) -> Result<()> {
        let fail = |error: &dyn std::fmt::Display| failed(&self.path, name, error);
        // HDF5 texts end at a zero byte.
        let text = VarLenUnicode::from_str(&text.replace('\0', "\u{fffd}")).map_err(|error| fail(&error))?;
        let attribute = place.new_attr::<VarLenUnicode>().create(name).map_err(|error| fail(&error))?;
        attribute.write_scalar(&text).map_err(|error| fail(&error))
    }

    fn json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|error| failed(&self.path, name, &error))?;
        self.array(&format!("meta/{name}"), &Piece::of(text.as_bytes(), None))
    }

    /// Writes the metadata last, checks that the file opens, and gives it its name.
    pub fn finish(mut self, meta: &Meta) -> Result<()> {
        let root = self.file.group("/").map_err(|error| failed(&self.path, "/", &error))?;
        self.attribute(&root, "format", map::FORMAT)?;
        self.array("meta/version", &Piece::of(&[LAYOUT_VERSION], None))?;
        self.array("meta/content_key", &Piece::of(meta.content_key.as_bytes(), None))?;
        self.json("plan", &meta.plan)?;
        self.json("facts", &meta.facts)?;
        self.json("fitted", &meta.fitted)?;
        self.json("fingerprints", &meta.fingerprints)?;
        self.json("report", &meta.report)?;
        self.json("stages", &meta.stages)?;
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

/// A piece cannot be read, or HDF5 cannot write it.
enum ArrayError {
    Read(std::io::Error),
    Write(hdf5::Error),
}

impl From<std::io::Error> for ArrayError {
    fn from(error: std::io::Error) -> Self {
        ArrayError::Read(error)
    }
}

impl From<hdf5::Error> for ArrayError {
    fn from(error: hdf5::Error) -> Self {
        ArrayError::Write(error)
    }
}

impl std::fmt::Display for ArrayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ArrayError::Read(error) => write!(f, "{error}"),
            ArrayError::Write(error) => write!(f, "{error}"),
        }
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
