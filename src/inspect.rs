//! `gsc inspect FILE` on a terminal: a graph as tables.

mod families;

use families::Shown;
use gsl_runtime::inspect::{
    Degrees, FeatureInspection, Inspection, KeyKind, LabelInspection, NodeInspection, RelationInspection,
};
use gsl_runtime::report::html::group;
use std::fmt::Write;

/// Classes that are listed; the others are added up in one line.
const CLASSES: usize = 30;

/// The whole graph as text; the relations of a family in one line, unless `all` are wanted.
pub fn text(graph: Inspection, all: bool) -> String {
    let shown = if all { Shown::all(graph) } else { Shown::in_families(graph) };
    let graph = &shown.graph;
    let mut text = String::new();
    head(&mut text, graph);
    nodes(&mut text, graph);
    members(&mut text, graph);
    features(&mut text, graph);
    graph.nodes.iter().for_each(|node| labels(&mut text, &node.name, &node.labels));
    graph.relations.iter().for_each(|relation| labels(&mut text, &relation.name, &relation.labels));
    relations(&mut text, &shown);
    degrees(&mut text, &shown);
    sources(&mut text, graph);
    sizes(&mut text, graph);
    times(&mut text, graph);
    text
}

fn head(text: &mut String, graph: &Inspection) {
    let of_many: u64 = graph.nodes.iter().filter(|n| n.members.is_some()).map(|node| node.count).sum();
    let count: u64 = graph.nodes.iter().filter(|n| n.members.is_none()).map(|node| node.count).sum();
    let forward = graph.relations.iter().filter(|relation| relation.reverse_of.is_none());
    let edges: u64 = forward.map(|relation| relation.edges).sum();
    let (count, edges, size) = (group(count), group(edges), bytes(graph.bytes));
    let many = if of_many > 0 { format!("{} small graphs, ", group(of_many)) } else { String::new() };
    let name = &graph.graph;
    let _ = writeln!(text, "graph {name}: {many}{count} nodes, {edges} edges (reverses not counted), {size}");
    let _ = writeln!(text, "{}", graph.file);
    for warning in &graph.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
}

fn nodes(text: &mut String, graph: &Inspection) {
    let mut table = Table::new("node types", &["nodes", "key", "isolated", "left out"]);
    for node in &graph.nodes {
        let key = match node.key.kind {
            KeyKind::Text => "text",
            KeyKind::Int => "int",
            KeyKind::Row => "row number",
        };
        let key = node.key.column.as_ref().map_or_else(|| key.to_string(), |c| format!("{c} ({key})"));
        // No edge leads to a small graph; what it has is told apart.
        let isolated = if node.members.is_some() { "-".to_owned() } else { group(node.isolated) };
        table.row(&node.name, vec![group(node.count), key, isolated, left_out(node)]);
    }
    table.print(text);
}

/// What the small graphs of a graph of many hold.
fn members(text: &mut String, graph: &Inspection) {
    let mut table = Table::new("of each small graph", &["min", "median", "mean", "max", "without"]);
    for members in graph.nodes.iter().filter_map(|node| node.members.as_ref()) {
        for (name, d) in [("nodes", &members.nodes), ("edges", &members.edges)] {
            let mean = format!("{:.2}", d.mean);
            table.row(name, vec![group(d.min), group(d.median), mean, group(d.max), group(d.zeros)]);
        }
    }
    table.print(text);
}

fn left_out(node: &NodeInspection) -> String {
    let told = [
        (node.duplicates_dropped, "duplicates"),
        (node.rows_without_node, "joined rows without node"),
        (node.nodes_without_row, "nodes without joined row"),
    ];
    let told: Vec<String> =
        told.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", group(*n))).collect();
    if told.is_empty() { "nothing".to_string() } else { told.join(", ") }
}

fn features(text: &mut String, graph: &Inspection) {
    let heads = ["width", "storage", "min", "mean", "max", "deviation", "zeros", "missing before fill"];
    let mut table = Table::new("features", &heads);
    let of_nodes = graph.nodes.iter().flat_map(|node| node.features.iter().map(|f| (&node.name, f)));
    let of_edges = graph.relations.iter().flat_map(|rel| rel.features.iter().map(|f| (&rel.name, f)));
    for (owner, feature) in of_nodes.chain(of_edges) {
        table.row(&format!("{owner}.{}", feature.name), feature_row(feature));
    }
    table.print(text);
}

fn feature_row(f: &FeatureInspection) -> Vec<String> {
    let missing = match f.missing {
        0 => "0".to_string(),
        n => format!("{} ({})", group(n), percent(f.missing_share)),
    };
    let storage = format!("{:?}", f.storage).to_lowercase();
    let mut row = vec![f.width.to_string(), storage];
    row.extend([f.min, f.mean, f.max, f.std].map(number));
    row.extend([percent(f.zeros), missing]);
    row
}

fn labels(text: &mut String, owner: &str, labels: &[LabelInspection]) {
    for label in labels {
        let title = format!("label {owner}.{}", label.name);
        let mut table = Table::new(&title, &["train", "valid", "test", "no part", "labelled"]);
        table.row("all", parts(&label.parts));
        for class in label.classes.iter().take(CLASSES) {
            table.row(&class.name, parts(&class.parts));
        }
        let others = label.classes.iter().skip(CLASSES);
        let sum =
            others.fold([0; 4], |sum: [u64; 4], class| std::array::from_fn(|i| sum[i] + class.parts[i]));
        if let Some(more @ 1..) = label.classes.len().checked_sub(CLASSES) {
            table.row(&format!("{more} more"), parts(&sum));
        }
        table.print(text);
        let _ = writeln!(text, "  {}", label_notes(label));
    }
}

fn label_notes(label: &LabelInspection) -> String {
    let split = label.split.as_deref().unwrap_or("none");
    let mut notes = format!("split {split}; unlabelled {}", group(label.unlabelled));
    if let Some(d) = &label.distribution {
        let (min, max) = (number(d.min), number(d.max));
        let (mean, std) = (number(d.mean), number(d.std));
        let _ = write!(notes, "; {min} {} {max}, mean {mean}, deviation {std}", blocks(&d.bins));
    }
    notes
}

fn parts([none, train, valid, test]: &[u64; 4]) -> Vec<String> {
    [*train, *valid, *test, *none, none + train + valid + test].map(group).to_vec()
}

fn relations(text: &mut String, shown: &Shown) {
    let mut table = Table::new("relations", &["edges", "parallel", "loops", "dropped rows", ""]);
    for rel in &shown.graph.relations {
        let dropped = rel.dropped_src + rel.dropped_dst + rel.dropped_relation + rel.dropped_loops;
        let mut row = [rel.edges, rel.parallel, rel.self_loops, dropped].map(group).to_vec();
        let family = shown.families.get(&rel.name).map(|told| format!("{told}; --all for each"));
        row.push(match (family, &rel.reverse_of) {
            (Some(family), _) => family,
            (None, Some(of)) => format!("reverse of {of}"),
            (None, None) => notes(rel),
        });
        table.row(&format!("{} -{}-> {}", rel.src, rel.name, rel.dst), row);
    }
    table.print(text);
}

/// What was merged, added and left out besides rows.
fn notes(rel: &RelationInspection) -> String {
    let told = [
        (rel.merged, "rows merged"),
        (rel.added_loops, "loops added"),
        (rel.unknown_candidates, "candidates left out"),
    ];
    let told = told.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", group(*n)));
    told.collect::<Vec<_>>().join(", ")
}

fn degrees(text: &mut String, shown: &Shown) {
    let graph = &shown.graph;
    let heads = ["min", "median", "mean", "p99", "max", "of none", "of 0, 1, 2-3, 4-7 …"];
    let mut table = Table::new("degrees", &heads);
    for node in graph.nodes.iter().filter(|node| node.members.is_none()) {
        table.row(&format!("into {}", node.name), degree_row(&node.incoming));
    }
    let is_one = |rel: &&RelationInspection| !shown.families.contains_key(&rel.name);
    for rel in graph.relations.iter().filter(|rel| rel.reverse_of.is_none()).filter(is_one) {
        table.row(&format!("{} into {}", rel.name, rel.dst), degree_row(&rel.incoming));
        table.row(&format!("{} out of {}", rel.name, rel.src), degree_row(&rel.outgoing));
    }
    table.print(text);
}

fn degree_row(d: &Degrees) -> Vec<String> {
    let mean = format!("{:.2}", d.mean);
    vec![
        group(d.min),
        group(d.median),
        mean,
        group(d.p99),
        group(d.max),
        group(d.zeros),
        blocks(&d.histogram),
    ]
}

fn sources(text: &mut String, graph: &Inspection) {
    let mut table = Table::new("sources", &["files", "columns", "bytes"]);
    for source in &graph.sources {
        let row = vec![group(source.files), group(source.columns), bytes(source.bytes)];
        table.row(&source.paths.join(", "), row);
    }
    table.print(text);
}

fn sizes(text: &mut String, graph: &Inspection) {
    let mut table = Table::new("parts of the file", &["bytes"]);
    for size in &graph.sizes {
        table.row(&size.part, vec![bytes(size.bytes)]);
    }
    table.print(text);
}

fn times(text: &mut String, graph: &Inspection) {
    let mut table = Table::new("times of the build", &["seconds"]);
    for stage in &graph.stages {
        table.row(&stage.name, vec![format!("{:.3}", stage.seconds)]);
    }
    table.row("in all", vec![format!("{:.3}", graph.seconds)]);
    table.print(text);
}

/// Counts as a row of blocks, each as high as its share of the largest; what is there at all is seen.
fn blocks(counts: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let block = |&count: &u64| match count {
        0 => '·',
        n => BLOCKS[((n as f64 / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    counts.iter().map(block).collect()
}

fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_string(),
        1e-3..1e6 => format!("{x:.3}"),
        _ => format!("{x:.2e}"),
    }
}

fn percent(share: f64) -> String {
    if share == 0.0 { "0%".to_string() } else { format!("{:.1}%", 100.0 * share) }
}

/// `12.3 MiB`
pub fn bytes(count: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count as f64 / *size as f64),
        None => format!("{count} B"),
    }
}

/// A table under a title: the names to the left, numbers to the right, words to the left.
struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(title: &str, heads: &[&str]) -> Self {
        let heads = std::iter::once(title).chain(heads.iter().copied()).map(str::to_string).collect();
        Table { heads, rows: Vec::new() }
    }

    fn row(&mut self, name: &str, mut cells: Vec<String>) {
        cells.insert(0, format!("  {name}"));
        self.rows.push(cells);
    }

    /// Nothing where there are no rows.
    fn print(&self, text: &mut String) {
        if self.rows.is_empty() {
            return;
        }
        text.push('\n');
        let columns: Vec<(usize, bool)> = (0..self.heads.len()).map(|at| self.shape(at)).collect();
        for row in std::iter::once(&self.heads).chain(&self.rows) {
            let mut line = String::new();
            for (cell, (width, right)) in row.iter().zip(&columns) {
                let room = " ".repeat(width - cell.chars().count());
                line += &if *right { format!("{room}{cell}  ") } else { format!("{cell}{room}  ") };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }

    /// Width of a column, and whether it holds numbers.
    fn shape(&self, at: usize) -> (usize, bool) {
        let cells = || self.rows.iter().filter_map(|row| row.get(at));
        let width = cells().chain(self.heads.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let is_number = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        (width, at > 0 && cells().all(is_number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let mut table = Table::new("types", &["count", "kind"]);
        table.row("a", vec!["5".into(), "text".into()]);
        table.row("long", vec!["1,000".into(), "int".into()]);
        let mut text = String::new();
        table.print(&mut text);
        assert_eq!(text, "\ntypes   count  kind\n  a         5  text\n  long  1,000  int\n");
    }

    #[test]
    fn blocks_show_what_is_there() {
        assert_eq!(blocks(&[0, 1, 800, 400]), "·▁█▄");
        assert_eq!(blocks(&[]), "");
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!([512, 2048, 3 << 20].map(bytes), ["512 B", "2.0 KiB", "3.0 MiB"]);
    }
}
