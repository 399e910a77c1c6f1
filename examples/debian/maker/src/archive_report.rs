//! The counts that the program prints, so that nothing is dropped in silence.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::archive::{Archive, Edges};
use crate::lists::List;
use crate::tables::Written;

/// Lists read, rows made, names dropped, and the tables with their bytes.
pub fn text(lists: &[List], archive: &Archive, tables: &[Written]) -> String {
    let mut text = String::new();
    for list in lists {
        let _ = writeln!(text, "read {} ({} {})", list.path.display(), list.suite, list.component);
    }
    let sections: BTreeSet<_> = archive.packages.iter().filter_map(|p| p.section.as_deref()).collect();
    let (packages, sources) = (archive.packages.len(), archive.sources.len());
    let maintainers = archive.maintainers.len();
    let _ = writeln!(
        text,
        "\n{packages} packages in {} sections, {sources} sources, {maintainers} maintainers\n",
        sections.len()
    );
    relations(&mut text, archive);
    let total: u64 = tables.iter().map(|t| t.bytes).sum();
    for table in tables {
        let _ = writeln!(text, "wrote {} ({} rows, {} bytes)", table.path.display(), table.rows, table.bytes);
    }
    let _ = writeln!(text, "{total} bytes together");
    text
}

fn relations(text: &mut String, archive: &Archive) {
    let _ = writeln!(
        text,
        "{:14} {:>8} {:>8} {:>10} {:>10} {:>8} {:>8} {:>9}",
        "relation", "edges", "by name", "provided", "several", "unknown", "itself", "repeated"
    );
    relation(text, "depends", &archive.depends);
    relation(text, "recommends", &archive.recommends);
    relation(text, "suggests", &archive.suggests);
    if let Some(edges) = &archive.build_depends {
        relation(text, "build_depends", edges);
    }
    text.push('\n');
}

fn relation(text: &mut String, name: &str, edges: &Edges) {
    let fate = &edges.fate;
    let _ = writeln!(
        text,
        "{name:14} {:>8} {:>8} {:>10} {:>10} {:>8} {:>8} {:>9}",
        edges.rows.len(),
        fate.named,
        fate.provided,
        fate.many_providers,
        fate.unknown,
        fate.itself,
        fate.repeated
    );
}
