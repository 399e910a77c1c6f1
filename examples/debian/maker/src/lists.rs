//! Finds and opens the lists that `apt-get update` leaves behind.
//!
//! apt names a list after its address: `HOST_PATH_dists_SUITE_COMPONENT_binary-ARCH_Packages`, or `…_source_Sources`,
//! with `.gz` or `.lz4` where `Acquire::GzipIndexes` is set. Decided here: which files count, and how each is
//! unpacked. What a list says is not known here.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::stanza::{self, Stanza};

/// One list, as its file name describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct List {
    pub path: PathBuf,
    pub suite: String,
    pub component: String,
    pub kind: Kind,
    packing: Packing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Packages,
    Sources,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Packing {
    Plain,
    Gzip,
    Lz4,
    Unknown,
}

/// Which suites and components to read; an empty vector means all.
#[derive(Debug, Default)]
pub struct Filter {
    pub suites: Vec<String>,
    pub components: Vec<String>,
}

/// The lists of `folder` that pass `filter`, in order of their names. At least one is a package list.
pub fn find(folder: &Path, filter: &Filter) -> Result<Vec<List>> {
    let mut lists = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        lists.extend(describe(&path).filter(|list| filter.admits(list)));
    }
    lists.sort();
    if !lists.iter().any(|l| l.kind == Kind::Packages) {
        return Err(Error::NoLists { folder: folder.into() });
    }
    Ok(lists)
}

/// The stanzas of every list of one kind, list after list.
pub fn read_all(lists: &[List], kind: Kind) -> Result<Vec<Stanza>> {
    let mut stanzas = Vec::new();
    for list in lists.iter().filter(|l| l.kind == kind) {
        stanza::parse(open(list)?, &list.path, &mut stanzas)?;
    }
    Ok(stanzas)
}

impl Filter {
    fn admits(&self, list: &List) -> bool {
        let fits = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
        fits(&self.suites, &list.suite) && fits(&self.components, &list.component)
    }
}

fn describe(path: &Path) -> Option<List> {
    let name = path.file_name()?.to_str()?;
    let (name, packing) = match name.rsplit_once('.') {
        Some((stem, "gz")) => (stem, Packing::Gzip),
        Some((stem, "lz4")) => (stem, Packing::Lz4),
        Some((stem, "xz" | "zst" | "bz2" | "lzma")) => (stem, Packing::Unknown),
        _ => (name, Packing::Plain),
    };
    let mut parts = name.rsplit('_');
    let kind = match parts.next()? {
        "Packages" => Kind::Packages,
        "Sources" => Kind::Sources,
        _ => return None,
    };
    let _architecture = parts.next()?;
    let (component, suite) = (parts.next()?.to_string(), parts.next()?.to_string());
    Some(List { path: path.into(), suite, component, kind, packing })
}

fn open(list: &List) -> Result<Box<dyn BufRead>> {
    let file = BufReader::new(File::open(&list.path).map_err(Error::io(&list.path))?);
    Ok(match list.packing {
        Packing::Plain => Box::new(file),
        Packing::Gzip => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        Packing::Lz4 => Box::new(BufReader::new(lz4_flex::frame::FrameDecoder::new(file))),
        Packing::Unknown => return Err(Error::Compression { path: list.path.clone() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const STEM: &str = "mirror.example_debian_dists_bookworm_main_binary-amd64_Packages";
    const TEXT: &[u8] = b"Package: one\nVersion: 1\n\nPackage: two\nVersion: 2\n";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    fn lz4(text: &[u8]) -> Vec<u8> {
        let mut packer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn each_packing_gives_the_same_stanzas() {
        for (suffix, bytes) in [("", TEXT.to_vec()), (".gz", gzip(TEXT)), (".lz4", lz4(TEXT))] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(format!("{STEM}{suffix}")), bytes).unwrap();
            let found = find(folder.path(), &Filter::default()).unwrap();
            let stanzas = read_all(&found, Kind::Packages).unwrap();
            assert_eq!(stanzas.len(), 2, "{suffix}");
            assert_eq!(stanzas[1].get("Package"), Some("two"), "{suffix}");
        }
    }

    #[test]
    fn names_tell_suite_and_component() {
        let list = describe(Path::new(&format!("/x/{STEM}.lz4"))).unwrap();
        assert_eq!((list.suite.as_str(), list.component.as_str()), ("bookworm", "main"));
        assert!(describe(Path::new("/x/mirror_dists_bookworm_InRelease")).is_none());
        let other = Filter { suites: vec!["trixie".into()], ..Filter::default() };
        assert!(!other.admits(&list));
    }

    #[test]
    fn a_cut_list_and_an_unknown_packing_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = gzip(TEXT);
        std::fs::write(folder.path().join(format!("{STEM}.gz")), &bytes[..bytes.len() - 9]).unwrap();
        let found = find(folder.path(), &Filter::default()).unwrap();
        assert!(matches!(read_all(&found, Kind::Packages), Err(Error::Io { .. })));

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("{STEM}.xz")), TEXT).unwrap();
        let found = find(folder.path(), &Filter::default()).unwrap();
        assert!(matches!(read_all(&found, Kind::Packages), Err(Error::Compression { .. })));
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(find(folder.path(), &Filter::default()), Err(Error::NoLists { .. })));
    }
}
