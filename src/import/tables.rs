//! Tables as sources: which format the extension says, and paths from where the `.gsl` file will stand.

use super::notes::Notes;
use super::schema::{Format, Table};
use super::text;

/// How a path of the configuration is reached from the folder of the `.gsl` file.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// The folder that relative paths start from, seen from the `.gsl` file; empty if it is the same.
    pub prefix: String,
}

impl Paths {
    pub fn path(&self, path: &str) -> String {
        let path = path.strip_prefix("./").unwrap_or(path);
        let is_whole = path.starts_with('/') || path.contains("://");
        if is_whole || self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    pub fn string(&self, path: &str) -> String {
        text::string(&self.path(path))
    }

    /// `"a.csv", "b.csv"`, or `csv("a.txt", separator: ";")` where the extension does not say it.
    pub fn source(&self, table: &Table) -> String {
        let files: Vec<String> = table.files.iter().map(|file| self.string(file)).collect();
        let files = files.join(", ");
        if table.files.iter().all(|file| says(file, &table.format)) {
            return files;
        }
        match &table.format {
            Format::Csv { separator: ',' } => format!("csv({files})"),
            Format::Csv { separator: '\t' } => format!("tsv({files})"),
            Format::Csv { separator } => {
                format!("csv({files}, separator: {})", text::string(&separator.to_string()))
            }
            Format::Json => format!("json({files})"),
            Format::Parquet => format!("parquet({files})"),
            Format::Hdf5 => format!("hdf5({files})"),
        }
    }
}

/// Whether the extension alone decides for this format.
fn says(file: &str, format: &Format) -> bool {
    let lower = file.to_lowercase();
    let bare = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst"));
    let extensions: &[&str] = match format {
        Format::Csv { separator: ',' } => &[".csv"],
        Format::Csv { separator: '\t' } => &[".tsv", ".tab"],
        Format::Csv { .. } => &[],
        Format::Json => &[".json", ".jsonl", ".ndjson"],
        Format::Parquet => &[".parquet", ".pq"],
        Format::Hdf5 => &[".h5", ".hdf5"],
    };
    let is_text = matches!(format, Format::Csv { .. } | Format::Json);
    let name = if is_text { bare.unwrap_or(&lower) } else { &lower };
    extensions.iter().any(|extension| name.ends_with(extension))
}

/// What there is to say of a table, whatever is read from it.
pub fn remark(table: &Table, notes: &mut Notes) {
    let files = format!("{}.files", table.at);
    if table.files.iter().any(|file| file.contains("://")) {
        notes.lost(&files, "GSL reads files that are on this machine: copy them and correct the path");
    }
    if table.format == Format::Json {
        notes.changed(
            files,
            "GSL reads JSON lines, one record on each line, not a list of records in one document",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(format: Format, files: &[&str]) -> String {
        let files = files.iter().map(|f| (*f).to_owned()).collect();
        Paths { prefix: "../in".into() }.source(&Table { at: String::new(), format, files })
    }

    #[test]
    fn the_extension_decides_where_it_can() {
        let csv = |separator| Format::Csv { separator };
        assert_eq!(source(csv(','), &["a.csv", "./b.csv.gz"]), r#""../in/a.csv", "../in/b.csv.gz""#);
        assert_eq!(source(csv('\t'), &["/a.csv"]), r#"tsv("/a.csv")"#);
        assert_eq!(source(csv('|'), &["a.csv"]), r#"csv("../in/a.csv", separator: "|")"#);
        assert_eq!(source(Format::Parquet, &["p/"]), r#"parquet("../in/p/")"#);
        assert_eq!(source(Format::Parquet, &["p/*.parquet"]), r#""../in/p/*.parquet""#);
        assert_eq!(source(Format::Hdf5, &["p.h5.gz"]), r#"hdf5("../in/p.h5.gz")"#);
    }
}
