//! The archive as Parquet: one table for each node type and each relation, zstd over dictionaries.
//!
//! Decided here: columns and their types. The same archive gives the same bytes, and a table appears whole or not at
//! all: it is written beside its place and renamed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::archive::{
    Archive, BUILD_DEPENDS, COUNTED, DEPENDS, Edge, Edges, Package, RECOMMENDS, SUGGESTS, Source,
};
use crate::error::{Error, Result};

/// A table that now stands on disk.
pub struct Written {
    pub path: PathBuf,
    pub rows: usize,
    pub bytes: u64,
}

struct Table {
    name: &'static str,
    columns: Vec<(&'static str, ArrayRef)>,
}

/// Writes every table of `archive` into `folder`, which is made if it is not there.
pub fn write_all(archive: &Archive, folder: &Path) -> Result<Vec<Written>> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    all(archive).iter().map(|table| write(table, folder)).collect()
}

fn all(archive: &Archive) -> Vec<Table> {
    let (packages, sources) = (&archive.packages[..], &archive.sources[..]);
    let package = |i: usize| packages[i].name.as_str();
    let source = |i: usize| sources[i].name.as_str();
    let mut tables = vec![
        package_table(packages),
        source_table(sources),
        maintainer_table(&archive.maintainers),
        edge_table("depends", ("package", &package), &package, &archive.depends, &DEPENDS),
        edge_table("recommends", ("package", &package), &package, &archive.recommends, &RECOMMENDS),
        edge_table("suggests", ("package", &package), &package, &archive.suggests, &SUGGESTS),
        relations_table(archive, &package),
        built_from_table(packages, sources),
        kept_by_table(packages),
    ];
    let built = archive.build_depends.as_ref();
    tables.extend(
        built.map(|edges| edge_table("build_depends", ("source", &source), &package, edges, &BUILD_DEPENDS)),
    );
    tables
}

fn package_table(rows: &[Package]) -> Table {
    let mut columns = vec![
        ("name", text(rows, |p| &p.name)),
        ("section", optional_text(rows, |p| p.section.as_deref())),
        ("priority", optional_text(rows, |p| p.priority.as_deref())),
        ("installed_size", integer(rows, |p| p.installed_size)),
        ("size", integer(rows, |p| p.size)),
        ("architecture", text(rows, |p| &p.architecture)),
        ("multi_arch", text(rows, |p| &p.multi_arch)),
        ("essential", flag(rows, |p| p.essential)),
        ("has_homepage", flag(rows, |p| p.has_homepage)),
        ("is_native", flag(rows, |p| p.is_native)),
        ("has_epoch", flag(rows, |p| p.has_epoch)),
    ];
    columns.extend(COUNTED.iter().enumerate().map(|(i, (_, name))| (*name, small(rows, |p| p.counts[i]))));
    Table { name: "packages", columns }
}

fn source_table(rows: &[Source]) -> Table {
    let columns = vec![("name", text(rows, |s| &s.name)), ("packages", integer(rows, |s| Some(s.packages)))];
    Table { name: "sources", columns }
}

fn maintainer_table(counts: &[i64]) -> Table {
    let numbers: Int64Array = (0_i64..).take(counts.len()).map(Some).collect();
    let columns =
        vec![("number", Arc::new(numbers) as ArrayRef), ("packages", integer(counts, |c| Some(*c)))];
    Table { name: "maintainers", columns }
}

/// Columns: the name of either end; `kind` where a relation is read from several fields; `alternative`.
fn edge_table<'a>(
    name: &'static str,
    from: (&'static str, &dyn Fn(usize) -> &'a str),
    target: &dyn Fn(usize) -> &'a str,
    edges: &Edges,
    fields: &[(&'static str, &'static str)],
) -> Table {
    let rows: &[Edge] = &edges.rows;
    let mut columns =
        vec![(from.0, text(rows, |e| from.1(e.from))), ("target", text(rows, |e| target(e.target)))];
    if fields.len() > 1 {
        columns.push(("kind", text(rows, |e| fields[e.kind].1)));
    }
    columns.push(("alternative", small(rows, |e| e.alternative)));
    Table { name, columns }
}

/// What a package says of another one, and how: depends, recommends and suggests in one table, in the order of the packages.
fn relations_table<'a>(archive: &'a Archive, package: &dyn Fn(usize) -> &'a str) -> Table {
    let of = |edges: &'a Edges, fields: &'static [(&'static str, &'static str)]| {
        edges.rows.iter().map(|edge| (edge.from, edge.target, fields[edge.kind].1))
    };
    let mut rows: Vec<(usize, usize, &str)> = of(&archive.depends, &DEPENDS)
        .chain(of(&archive.recommends, &RECOMMENDS))
        .chain(of(&archive.suggests, &SUGGESTS))
        .collect();
    rows.sort_unstable();
    let columns = vec![
        ("package", text(&rows, |row| package(row.0))),
        ("target", text(&rows, |row| package(row.1))),
        ("kind", text(&rows, |row| row.2)),
    ];
    Table { name: "relations", columns }
}

fn built_from_table(packages: &[Package], sources: &[Source]) -> Table {
    let columns = vec![
        ("package", text(packages, |p| &p.name)),
        ("source", text(packages, |p| &sources[p.source].name)),
    ];
    Table { name: "built_from", columns }
}

fn kept_by_table(packages: &[Package]) -> Table {
    let number = |p: &Package| i64::try_from(p.maintainer).ok();
    let columns = vec![("package", text(packages, |p| &p.name)), ("maintainer", integer(packages, number))];
    Table { name: "kept_by", columns }
}

fn text<'a, R>(rows: &'a [R], get: impl Fn(&'a R) -> &'a str) -> ArrayRef {
    Arc::new(rows.iter().map(|r| Some(get(r))).collect::<StringArray>())
}

fn optional_text<'a, R>(rows: &'a [R], get: impl Fn(&'a R) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(get).collect::<StringArray>())
}

fn integer<R>(rows: &[R], get: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(get).collect::<Int64Array>())
}

fn small<R>(rows: &[R], get: impl Fn(&R) -> i32) -> ArrayRef {
    Arc::new(rows.iter().map(|r| Some(get(r))).collect::<Int32Array>())
}

fn flag<R>(rows: &[R], get: impl Fn(&R) -> bool) -> ArrayRef {
    Arc::new(rows.iter().map(|r| Some(get(r))).collect::<BooleanArray>())
}

fn write(table: &Table, folder: &Path) -> Result<Written> {
    let path = folder.join(format!("{}.parquet", table.name));
    let beside = folder.join(format!(".{}.parquet.part", table.name));
    let bytes = encode(table).map_err(|error| Error::Parquet { path: path.clone(), error })?;
    let mut file = File::create(&beside).map_err(Error::io(&beside))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(Error::io(&beside))?;
    std::fs::rename(&beside, &path).map_err(Error::io(&path))?;
    let rows = table.columns[0].1.len();
    Ok(Written { path, rows, bytes: bytes.len() as u64 })
}

fn encode(table: &Table) -> std::result::Result<Vec<u8>, ParquetError> {
    let fields: Vec<Field> = table.columns.iter().map(|(name, values)| field(name, values)).collect();
    let schema = Arc::new(Schema::new(fields));
    let values = table.columns.iter().map(|(_, values)| values.clone()).collect();
    let batch = RecordBatch::try_new(schema.clone(), values)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties()?))?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// Only columns that have gaps are nullable.
fn field(name: &str, values: &ArrayRef) -> Field {
    let kind: &DataType = values.data_type();
    Field::new(name, kind.clone(), values.null_count() > 0)
}

fn properties() -> std::result::Result<WriterProperties, ParquetError> {
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(19)?))
        .set_created_by("debian-tables".into())
        .set_dictionary_page_size_limit(4 << 20)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Stanza;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn archive() -> Archive {
        let stanza = |name: &'static str, depends: &'static str, size: Option<&'static str>| {
            let mut fields = vec![
                ("Package", name),
                ("Version", "1"),
                ("Architecture", "all"),
                ("Maintainer", "M <m@example.org>"),
            ];
            fields.extend([("Depends", depends), ("Section", "net")]);
            fields.extend(size.map(|s| ("Installed-Size", s)));
            Stanza::of(&fields)
        };
        Archive::from_stanzas(&[stanza("b", "a", None), stanza("a", "", Some("7"))], &[]).unwrap()
    }

    fn read(path: &Path) -> RecordBatch {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        builder.build().unwrap().next().unwrap().unwrap()
    }

    #[test]
    fn tables_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let written = write_all(&archive(), folder.path()).unwrap();
        assert_eq!(written.len(), 9);
        let packages = read(&folder.path().join("packages.parquet"));
        let names = packages.column_by_name("name").unwrap().as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!(names.iter().flatten().collect::<Vec<_>>(), ["a", "b"]);
        let sizes = packages.column_by_name("installed_size").unwrap();
        assert_eq!(
            sizes.as_any().downcast_ref::<Int64Array>().unwrap().iter().collect::<Vec<_>>(),
            [Some(7), None]
        );
        let depends = read(&folder.path().join("depends.parquet"));
        assert_eq!(depends.num_rows(), 1);
        let relations = read(&folder.path().join("relations.parquet"));
        assert_eq!((relations.num_rows(), relations.num_columns()), (1, 3));
        let leftovers = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(leftovers, written.len());
    }

    #[test]
    fn the_same_archive_gives_the_same_bytes() {
        for table in all(&archive()) {
            assert_eq!(encode(&table).unwrap(), encode(&table).unwrap(), "{}", table.name);
        }
    }
}
