//! Table formats: what a file's name or its user says of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Problem, Result, TableError};

/// A file of a source, and how to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    pub path: PathBuf,
    pub format: Format,
    pub compression: Compression,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Delimited(Dialect),
    /// One object per line.
    JsonLines,
    Parquet,
    /// The data sets of a group are the columns; none: of the root.
    Hdf5 {
        group: Option<String>,
    },
}

/// How delimited text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub separator: u8,
    /// Stands at both ends of a field that holds a separator or a line break, and twice where it is meant.
    pub quote: Option<u8>,
    /// The first line names the columns; else they are `c1`, `c2`, …
    pub header: bool,
}

impl Dialect {
    pub const CSV: Dialect = Dialect { separator: b',', quote: Some(b'"'), header: true };
    pub const TSV: Dialect = Dialect { separator: b'\t', ..Dialect::CSV };

    /// Separator and quote are different characters of ASCII, and no line breaks.
    pub fn new(separator: char, quote: Option<char>, header: bool) -> Result<Self, Problem> {
        let byte = |c: char| u8::try_from(c).ok().filter(|b| b.is_ascii() && !matches!(b, b'\n' | b'\r'));
        let separator = byte(separator).ok_or(Problem::BadDialect)?;
        let quote = quote.map(|quote| byte(quote).ok_or(Problem::BadDialect)).transpose()?;
        match quote == Some(separator) {
            true => Err(Problem::BadDialect),
            false => Ok(Self { separator, quote, header }),
        }
    }
}

/// By the extension of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Format {
    /// By the extension: `.csv`, `.tsv.gz`, `.parquet`, …
    pub fn of(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (stem, compression) = Compression::cut_off(&name);
        let format = match stem.rsplit_once('.')?.1 {
            "csv" => Format::Delimited(Dialect::CSV),
            "tsv" | "tab" => Format::Delimited(Dialect::TSV),
            "jsonl" | "ndjson" | "json" => Format::JsonLines,
            "parquet" | "pq" => Format::Parquet,
            "h5" | "hdf5" => Format::Hdf5 { group: None },
            _ => return None,
        };
        (format.is_text() || compression == Compression::None).then_some(format)
    }

    pub fn name(&self) -> &'static str {
        match self {
            Format::Delimited(Dialect { separator: b'\t', .. }) => "TSV",
            Format::Delimited(_) => "CSV",
            Format::Parquet => "Parquet",
            Format::JsonLines => "JSON lines",
            Format::Hdf5 { .. } => "HDF5",
        }
    }

    /// Text has no types of its own, and can be compressed as a whole.
    pub fn is_text(&self) -> bool {
        matches!(self, Format::Delimited(_) | Format::JsonLines)
    }
}

impl Compression {
    pub fn of(path: &Path, format: &Format) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if format.is_text() { Self::cut_off(&name).1 } else { Compression::None }
    }

    fn cut_off(name: &str) -> (&str, Self) {
        let endings = [(".gz", Compression::Gzip), (".zst", Compression::Zstd)];
        let found = endings.into_iter().find_map(|(ending, kind)| Some((name.strip_suffix(ending)?, kind)));
        found.unwrap_or((name, Compression::None))
    }
}

impl InputFile {
    /// The bytes of a text file, decompressed.
    pub fn text(&self) -> Result<Box<dyn Read + Send>> {
        let fail = |error| TableError::io(&self.path, error);
        let file = File::open(&self.path).map_err(fail)?;
        Ok(match self.compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file).map_err(fail)?),
        })
    }
}
