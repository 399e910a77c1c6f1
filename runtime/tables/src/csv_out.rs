//! Columns to CSV that reads back as it was: a missing value is an empty cell, an empty text a quoted one, a list `[0.5, 1]`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::column::MISSING;
use crate::error::{Problem, Result, TableError};
use crate::parquet_out::{Output, OutputColumn};
use crate::parse::{show_date, show_time};
use crate::replace::Replacement;

/// A CSV file with a header line being written batch by batch. It has its name only after [`CsvWriter::finish`].
pub struct CsvWriter {
    path: PathBuf,
    replacement: Replacement,
    out: BufWriter<File>,
    has_header: bool,
}

impl CsvWriter {
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |error| TableError::new(path, Problem::Io(error));
        let replacement = Replacement::of(path).map_err(failed)?;
        let out = BufWriter::new(File::create(replacement.temporary()).map_err(failed)?);
        Ok(Self { path: path.to_path_buf(), replacement, out, has_header: false })
    }

    /// Writes rows; columns are of one length. Those of the first batch name the columns.
    pub fn write(&mut self, columns: &[OutputColumn]) -> Result<()> {
        self.put(columns).map_err(|error| TableError::new(&self.path, Problem::Io(error)))
    }

    fn put(&mut self, columns: &[OutputColumn]) -> std::io::Result<()> {
        let mut line = String::new();
        if !std::mem::replace(&mut self.has_header, true) {
            columns.iter().for_each(|column| next(&mut line, &quoted(column.name)));
            finish(&mut line, &mut self.out)?;
        }
        for row in 0..columns.first().map_or(0, OutputColumn::len) {
            columns.iter().for_each(|column| next(&mut line, &cell(column, row)));
            finish(&mut line, &mut self.out)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<()> {
        let Self { path, replacement, mut out, .. } = self;
        let written = out.flush().and_then(|()| replacement.commit());
        written.map_err(|error| TableError::new(&path, Problem::Io(error)))
    }
}

/// Writes one table with a header line, whole or not at all. Columns are of one length.
pub fn write_csv(path: &Path, columns: &[OutputColumn]) -> Result<()> {
    let mut writer = CsvWriter::create(path)?;
    writer.write(columns)?;
    writer.finish()
}

fn next(line: &mut String, cell: &str) {
    line.push_str(cell);
    line.push(',');
}

fn finish(line: &mut String, out: &mut impl std::io::Write) -> std::io::Result<()> {
    line.pop();
    line.push('\n');
    out.write_all(line.as_bytes())?;
    line.clear();
    Ok(())
}

fn cell(column: &OutputColumn, row: usize) -> String {
    if !column.is_valid(row) {
        return String::new();
    }
    match column.values {
        Output::Int(v) => v[row].to_string(),
        Output::UInt32(v) => v[row].to_string(),
        Output::Float(v) => v[row].to_string(),
        Output::Float32(v) => v[row].to_string(),
        Output::Bool(v) => v[row].to_string(),
        Output::Date(v) => show_date(v[row]),
        Output::Time(v) => show_time(v[row]),
        Output::Text(v) => quoted(v[row]),
        Output::Codes { codes, .. } if codes[row] == MISSING => String::new(),
        Output::Codes { codes, values } => quoted(values.get(codes[row])),
        Output::FloatList { width, values } => list(&values[row * width..(row + 1) * width]),
    }
}

fn list(values: &[f32]) -> String {
    let mut text = String::from("\"[");
    for (at, value) in values.iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{value}");
    }
    text.push_str("]\"");
    text
}

fn quoted(text: &str) -> String {
    let plain = |c: char| !matches!(c, ',' | '"' | '\n' | '\r');
    match !text.is_empty() && text.chars().all(plain) && text.trim() == text {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Bitmap;

    #[test]
    fn batches_have_one_header_and_a_file_that_is_not_finished_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut writer = CsvWriter::create(&path).unwrap();
        for batch in [&[1, 2][..], &[], &[3]] {
            writer.write(&[OutputColumn::new("n", Output::Int(batch))]).unwrap();
        }
        assert!(!path.exists());
        writer.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "n\n1\n2\n3\n");
        drop(CsvWriter::create(&folder.path().join("b.csv")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut known = Bitmap::new();
        [true, false, true].into_iter().for_each(|bit| known.push(bit));
        let numbers =
            OutputColumn { validity: Some(&known), ..OutputColumn::new("n", Output::Int(&[1, 2, -3])) };
        let columns = [
            OutputColumn::new("a \"b\"", Output::Text(&["x,y", "", "plain"])),
            numbers,
            OutputColumn::new("row", Output::FloatList { width: 2, values: &[0.5, 1.0, 0.1, 2.0, 3.0, 4.0] }),
        ];
        write_csv(&path, &columns).unwrap();
        let expected =
            "\"a \"\"b\"\"\",n,row\n\"x,y\",1,\"[0.5, 1]\"\n\"\",,\"[0.1, 2]\"\nplain,-3,\"[3, 4]\"\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
