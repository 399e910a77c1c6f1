//! Opening: HDF5 says where each dataset lies, a memory map says what is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use gsl_kernels::{Floats, f16};
use gsl_plan::graph::{
    Candidates, FeatureFacts, GraphFacts, GraphPlan, Label, LabelFacts, LabelKind, NodeFacts, NodeType,
    Storage,
};
use half::slice::HalfBitsSliceExt;
use hdf5::types::{FixedAscii, VarLenUnicode};
use hdf5::{Dataset, H5Type};
use memmap2::Mmap;
use serde::de::DeserializeOwned;

use super::piece::{Element, Piece};
use super::{GraphError, KeyArrays, LAYOUT_VERSION, LabelArrays, Meta, NodeArrays, RelationArrays};

pub const FORMAT: &str = "gsl graph";
pub const HASH_ATTRIBUTE: &str = "blake3";

/// `len` elements of T from byte `offset` of the map. Made by [`Mapped::section`] only, which checks both.
pub struct Section<T> {
    offset: usize,
    len: usize,
    kind: PhantomData<T>,
}

/// Numbers whose every bit pattern is a value, so that mapped bytes may be read as them.
pub trait Plain: H5Type + Copy {}
impl Plain for u8 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for i64 {}
impl Plain for f32 {}
impl Plain for f16 {}
impl Plain for i8 {}
impl Plain for u16 {}

/// A feature's numbers, by their storage.
pub enum Numbers {
    F32(Section<f32>),
    F16(Section<f16>),
    /// HDF5 has no such type: the dataset is of `u16`.
    BF16(Section<u16>),
    I8 {
        data: Section<i8>,
        scale: Section<f32>,
    },
}

/// Where and how large a dataset is.
struct Extent {
    shape: Vec<usize>,
    offset: u64,
    element: usize,
    hash: String,
    kind: hdf5::types::TypeDescriptor,
}

/// The mapped file, and where its datasets are.
pub struct Mapped {
    path: PathBuf,
    map: Mmap,
    extents: BTreeMap<String, Extent>,
}

impl Mapped {
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Names and bytes of all datasets.
    pub fn datasets(&self) -> impl Iterator<Item = (&str, u64)> {
        let bytes = |extent: &Extent| extent.shape.iter().product::<usize>() * extent.element;
        self.extents.iter().map(move |(name, extent)| (name.as_str(), bytes(extent) as u64))
    }

    fn corrupt(&self, dataset: &str, reason: impl Into<String>) -> GraphError {
        GraphError::Dataset { file: self.path.clone(), dataset: dataset.to_string(), reason: reason.into() }
    }

    /// A dataset that must be there with this type and shape.
    fn section<T: Plain>(&self, name: &str, shape: &[usize]) -> Result<Section<T>, GraphError> {
        let extent = self.extents.get(name).ok_or_else(|| self.corrupt(name, "it is not there"))?;
        if extent.shape != shape {
            return Err(self.corrupt(name, format!("shape {:?}, expected {shape:?}", extent.shape)));
        }
        if extent.kind != T::type_descriptor() {
            return Err(
                self.corrupt(name, format!("type {}, expected {}", extent.kind, T::type_descriptor()))
            );
        }
        let len: usize = shape.iter().product();
        let offset = if len == 0 { 0 } else { extent.offset as usize };
        let end = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset));
        if end.is_none_or(|end| end > self.map.len()) {
            return Err(self.corrupt(name, "it ends beyond the end of the file"));
        }
        if !(self.map.as_ptr() as usize + offset).is_multiple_of(align_of::<T>()) {
            return Err(self.corrupt(name, "it is not aligned"));
        }
        Ok(Section { offset, len, kind: PhantomData })
    }

    fn any<T: Plain>(&self, name: &str) -> Result<&[T], GraphError> {
        let shape = self.extents.get(name).map(|extent| extent.shape.clone()).unwrap_or_default();
        Ok(self.get(&self.section(name, &shape)?))
    }

    /// The elements of a section.
    pub fn get<T: Plain>(&self, section: &Section<T>) -> &[T] {
        if section.len == 0 {
            return &[];
        }
        // SAFETY: `section` checked bounds and alignment against this map, which is read-only and never remapped; every bit pattern
        // is a T. That no one else writes the file meanwhile is the contract of a graph file: it is replaced, never changed.
        unsafe {
            let start = self.map.as_ptr().add(section.offset).cast::<T>();
            std::slice::from_raw_parts(start, section.len)
        }
    }

    pub fn hash(&self, name: &str) -> Option<String> {
        self.extents.get(name).map(|extent| extent.hash.clone())
    }

    /// Bytes that a section or an array of a stage has; none where they are not all there.
    pub fn bytes(&self, offset: usize, bytes: usize) -> &[u8] {
        offset.checked_add(bytes).and_then(|end| self.map.get(offset..end)).unwrap_or_default()
    }

    /// The array of an earlier graph, if it is there and its bytes are those that were written.
    pub fn piece(
        self: &std::sync::Arc<Self>,
        name: &str,
        element: Element,
        width: Option<usize>,
    ) -> Option<Piece> {
        let extent = self.extents.get(name)?;
        let bytes = extent.shape.iter().product::<usize>() * extent.element;
        let offset = if bytes == 0 { 0 } else { extent.offset as usize };
        let data = self.bytes(offset, bytes);
        let hash = blake3::hash(data);
        let whole = data.len() == bytes && extent.element == element.size();
        (whole && hash.to_hex().as_str() == extent.hash)
            .then(|| Piece::of_graph(element, width, self.clone(), offset, bytes as u64, hash))
    }

    /// The rows of a feature of the node type or relation whose datasets are below `base`.
    fn numbers(&self, base: &str, feature: &FeatureFacts, rows: usize) -> Result<Numbers, GraphError> {
        let (name, shape) = (format!("{base}/features/{}", feature.name), [rows, feature.width]);
        Ok(match feature.storage {
            Storage::Float32 => Numbers::F32(self.section(&name, &shape)?),
            Storage::Float16 => Numbers::F16(self.section(&name, &shape)?),
            Storage::BFloat16 => Numbers::BF16(self.section(&name, &shape)?),
            Storage::Int8 => Numbers::I8 {
                data: self.section(&name, &shape)?,
                scale: self.section(&format!("{base}/scales/{}", feature.name), &[feature.width])?,
            },
        })
    }

    /// The numbers of a feature, as they are stored.
    pub fn floats(&self, numbers: &Numbers) -> Floats<'_> {
        match numbers {
            Numbers::F32(data) => Floats::F32(self.get(data)),
            Numbers::F16(data) => Floats::F16(self.get(data)),
            Numbers::BF16(data) => Floats::BF16(self.get(data).reinterpret_cast()),
            Numbers::I8 { data, scale } => Floats::I8 { data: self.get(data), scale: self.get(scale) },
        }
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, GraphError> {
        let name = format!("meta/{name}");
        serde_json::from_slice(self.any(&name)?).map_err(|error| self.corrupt(&name, error.to_string()))
    }
}

/// Maps a graph file and reads its metadata.
pub fn open(path: &Path) -> Result<(Mapped, Meta), GraphError> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => GraphError::Missing { file: path.to_path_buf() },
        _ => GraphError::Io { file: path.to_path_buf(), error },
    };
    let file = File::open(path).map_err(io)?;
    // SAFETY: see `Mapped::get`.
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    let extents = extents(path)?;
    let mapped = Mapped { path: path.to_path_buf(), map, extents };
    let found = mapped.any::<u32>("meta/version")?.first().copied().unwrap_or(0);
    if found != LAYOUT_VERSION {
        return Err(GraphError::Version { file: path.to_path_buf(), found, expected: LAYOUT_VERSION });
    }
    let meta = Meta {
        content_key: String::from_utf8_lossy(mapped.any("meta/content_key")?).into_owned(),
        plan: mapped.json("plan")?,
        facts: mapped.json("facts")?,
        fitted: mapped.json("fitted")?,
        fingerprints: mapped.json("fingerprints")?,
        report: mapped.json("report")?,
        stages: mapped.json("stages")?,
    };
    Ok((mapped, meta))
}

fn extents(path: &Path) -> Result<BTreeMap<String, Extent>, GraphError> {
    let unreadable =
        |error: hdf5::Error| GraphError::Unreadable { file: path.to_path_buf(), reason: error.to_string() };
    let file = hdf5::File::open(path).map_err(unreadable)?;
    let format = file.attr("format").and_then(|format| format.read_scalar::<VarLenUnicode>());
    if !format.is_ok_and(|format| format.as_str() == FORMAT) {
        return Err(GraphError::NotAGraph { file: path.to_path_buf() });
    }
    let mut extents = BTreeMap::new();
    walk(&file, &mut extents).map_err(unreadable)?;
    Ok(extents)
}

fn walk(group: &hdf5::Group, extents: &mut BTreeMap<String, Extent>) -> hdf5::Result<()> {
    for dataset in group.datasets()? {
        let name = dataset.name();
        extents.insert(name.trim_start_matches('/').to_string(), extent(&dataset)?);
    }
    for child in group.groups()? {
        walk(&child, extents)?;
    }
    Ok(())
}

fn extent(dataset: &Dataset) -> hdf5::Result<Extent> {
    let dtype = dataset.dtype()?;
    Ok(Extent {
        shape: dataset.shape(),
        offset: dataset.offset().unwrap_or(u64::MAX >> 1),
        element: dtype.size(),
        hash: dataset.attr(HASH_ATTRIBUTE)?.read_scalar::<FixedAscii<64>>()?.as_str().to_string(),
        kind: dtype.to_descriptor()?,
    })
}

/// Compares every dataset with its hash.
pub fn verify(path: &Path, mapped: &Mapped) -> Result<(), GraphError> {
    for (name, extent) in &mapped.extents {
        let bytes = extent.shape.iter().product::<usize>() * extent.element;
        let start = if bytes == 0 { 0 } else { extent.offset as usize };
        let found = start.checked_add(bytes).and_then(|end| mapped.map.get(start..end));
        if found.is_none_or(|data| blake3::hash(data).to_hex().as_str() != extent.hash) {
            let reason = "its bytes are not those that were written".to_string();
            return Err(GraphError::Dataset { file: path.to_path_buf(), dataset: name.clone(), reason });
        }
    }
    Ok(())
}

/// The shape of a label's values: one number for each of several classes, else one number.
fn label_shape(rows: usize, facts: &LabelFacts, declared: &[Label]) -> Vec<usize> {
    let several = |label: &Label| label.name == facts.name && label.kind == LabelKind::Classes;
    if declared.iter().any(several) { vec![rows, facts.classes.len()] } else { vec![rows] }
}

fn label_arrays(
    mapped: &Mapped,
    base: &str,
    rows: usize,
    facts: &[LabelFacts],
    declared: &[Label],
) -> Result<Vec<LabelArrays>, GraphError> {
    let one = |label: &LabelFacts| {
        let path = format!("{base}/labels/{}", label.name);
        let value = mapped.section(&format!("{path}/value"), &label_shape(rows, label, declared))?;
        Ok((value, mapped.section(&format!("{path}/part"), &[rows])?))
    };
    facts.iter().map(one).collect()
}

pub fn node_arrays(
    mapped: &Mapped,
    facts: &NodeFacts,
    declared: &NodeType,
) -> Result<NodeArrays, GraphError> {
    let base = format!("nodes/{}", facts.name);
    let count = facts.count as usize;
    let features = facts
        .features
        .iter()
        .map(|feature| mapped.numbers(&base, feature, count))
        .collect::<Result<_, _>>()?;
    let labels = label_arrays(mapped, &base, count, &facts.labels, &declared.labels)?;
    let time = facts.time.then(|| mapped.section(&format!("{base}/time"), &[count])).transpose()?;
    let graph = declared.graph.as_ref().map(|_| mapped.section(&format!("{base}/graph"), &[count]));
    let degree = mapped.section(&format!("{base}/degree"), &[count])?;
    let (keys, graph) = (key_arrays(mapped, &base, count)?, graph.transpose()?);
    Ok(NodeArrays { count, keys, features, labels, degree, time, graph })
}

fn key_arrays(mapped: &Mapped, base: &str, count: usize) -> Result<KeyArrays, GraphError> {
    let (ints, texts, bytes) =
        (format!("{base}/keys/int"), format!("{base}/keys/offsets"), format!("{base}/keys/bytes"));
    if mapped.extents.contains_key(&ints) {
        return Ok(KeyArrays::Ints(mapped.section(&ints, &[count])?));
    }
    if !mapped.extents.contains_key(&texts) {
        return Ok(KeyArrays::Rows);
    }
    let offsets: Section<u64> = mapped.section(&texts, &[count + 1])?;
    let last = mapped.get(&offsets).last().copied().unwrap_or(0);
    Ok(KeyArrays::Texts { bytes: mapped.section(&bytes, &[last as usize])?, offsets })
}

pub fn relation_arrays(
    mapped: &Mapped,
    facts: &GraphFacts,
    index: usize,
    plan: &GraphPlan,
) -> Result<RelationArrays, GraphError> {
    let relation = &facts.relations[index];
    let base = format!("edges/{index}");
    let (edges, n_dst) = (relation.edges as usize, facts.nodes[relation.dst].count as usize);
    let indptr: Section<u64> = mapped.section(&format!("{base}/indptr"), &[n_dst + 1])?;
    let bounds = mapped.get(&indptr);
    if bounds.first() != Some(&0) || bounds.last() != Some(&relation.edges) {
        return Err(
            mapped.corrupt(&format!("{base}/indptr"), "it does not run from 0 to the number of edges")
        );
    }
    let own = if relation.reverse_of.is_none() { relation.features.as_slice() } else { &[] };
    let features =
        own.iter().map(|feature| mapped.numbers(&base, feature, edges)).collect::<Result<_, _>>()?;
    let (is_own, declared) = (relation.reverse_of.is_none(), &plan.edges[relation.declared_by]);
    let labels = match is_own {
        true => label_arrays(mapped, &base, edges, &relation.labels, &declared.labels)?,
        false => Vec::new(),
    };
    let time = (relation.time && is_own).then(|| mapped.section(&format!("{base}/time"), &[edges]));
    let candidate = |declared: &Candidates| {
        let name = format!("{base}/candidates/{}", declared.name);
        let width = mapped.extents.get(&name).and_then(|extent| extent.shape.get(1)).copied().unwrap_or(0);
        Ok((width, mapped.section(&name, &[edges, width])?))
    };
    let own = if is_own { declared.candidates.as_slice() } else { &[] };
    let candidates = own.iter().map(candidate).collect::<Result<_, GraphError>>()?;
    Ok(RelationArrays {
        labels,
        time: time.transpose()?,
        candidates,
        indptr,
        src: mapped.section(&format!("{base}/src"), &[edges])?,
        rows: mapped.section(&format!("{base}/row"), &[edges])?,
        features,
    })
}
