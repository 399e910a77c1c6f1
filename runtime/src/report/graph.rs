//! The graph in the report, and as a page of its own: tables, and a chart for each distribution.

use super::html::{escape, group, page, table};
use super::svg::bars;
use crate::inspect::{
    ClassCount, Degrees, Distribution, FeatureInspection, Inspection, KeyKind, LabelInspection,
    NodeInspection, RelationInspection,
};
use std::fmt::Write;

/// Charts of degrees are drawn for so many relations; their numbers are in the table for all.
const CHARTS: usize = 24;

/// A whole page about a graph.
pub fn render(graph: &Inspection) -> String {
    let mut body = String::new();
    section(&mut body, graph);
    page(&graph.graph, &body)
}

/// What the report of a run says of its graph.
pub fn section(body: &mut String, graph: &Inspection) {
    summary(body, graph);
    nodes(body, &graph.nodes);
    features(body, graph);
    labels(body, &graph.nodes);
    relations(body, &graph.relations);
    degrees(body, graph);
    files(body, graph);
}

fn summary(body: &mut String, graph: &Inspection) {
    let count: u64 = graph.nodes.iter().map(|node| node.count).sum();
    let edges: u64 = forward(&graph.relations).map(|relation| relation.edges).sum();
    let rows = [
        vec!["nodes".into(), group(count)],
        vec!["edges, without reverse ones".into(), group(edges)],
        vec!["bytes of the file".into(), group(graph.bytes)],
        vec!["built in".into(), format!("{:.1} s", graph.seconds)],
        vec!["file".into(), graph.file.clone()],
    ];
    table(body, &format!("Graph: {}", graph.graph), &[], &rows);
    for warning in &graph.warnings {
        let _ = write!(body, "<p>{}</p>", escape(warning));
    }
}

fn forward(relations: &[RelationInspection]) -> impl Iterator<Item = &RelationInspection> {
    relations.iter().filter(|relation| relation.reverse_of.is_none())
}

fn nodes(body: &mut String, nodes: &[NodeInspection]) {
    let row = |node: &NodeInspection| {
        let mut row = vec![node.name.clone(), group(node.count), key(node)];
        row.extend(five(&node.incoming));
        row.extend(
            [node.isolated, node.duplicates_dropped, node.rows_without_node, node.nodes_without_row]
                .map(group),
        );
        row
    };
    let heads = [
        "type",
        "nodes",
        "key",
        "in: min",
        "median",
        "mean",
        "p99",
        "max",
        "isolated",
        "duplicates dropped",
        "joined rows without node",
        "nodes without joined row",
    ];
    table(body, "Node types", &heads, &nodes.iter().map(row).collect::<Vec<_>>());
}

fn key(node: &NodeInspection) -> String {
    let kind = match node.key.kind {
        KeyKind::Text => "text",
        KeyKind::Int => "int",
        KeyKind::Row => "row number",
    };
    node.key.column.as_ref().map_or_else(|| kind.to_string(), |column| format!("{column} ({kind})"))
}

fn five(degrees: &Degrees) -> [String; 5] {
    let mean = format!("{:.2}", degrees.mean);
    [group(degrees.min), group(degrees.median), mean, group(degrees.p99), group(degrees.max)]
}

fn features(body: &mut String, graph: &Inspection) {
    let of_nodes = graph.nodes.iter().flat_map(|node| node.features.iter().map(|f| (node.name.as_str(), f)));
    let of_edges = graph.relations.iter().flat_map(|rel| rel.features.iter().map(|f| (rel.name.as_str(), f)));
    let row = |(owner, f): (&str, &FeatureInspection)| {
        let numbers = [f.min, f.mean, f.max, f.std].map(|x| format!("{x:.4}"));
        let mut row = vec![format!("{owner}.{}", f.name), f.width.to_string(), format!("{:?}", f.storage)];
        row.extend(numbers);
        row.extend([percent(f.zeros), format!("{} ({})", group(f.missing), percent(f.missing_share))]);
        row
    };
    let rows: Vec<_> = of_nodes.chain(of_edges).map(row).collect();
    if !rows.is_empty() {
        let heads = [
            "feature",
            "width",
            "storage",
            "min",
            "mean",
            "max",
            "deviation",
            "zeros",
            "missing before fill",
        ];
        table(body, "Features", &heads, &rows);
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn labels(body: &mut String, nodes: &[NodeInspection]) {
    for node in nodes {
        node.labels.iter().for_each(|found| label(body, &node.name, found));
    }
}

fn label(body: &mut String, ty: &str, label: &LabelInspection) {
    let total = |parts: &[u64; 4]| parts.iter().sum::<u64>();
    let row = |name: &str, parts: &[u64; 4]| {
        let [none, train, valid, test] = *parts;
        let mut row = vec![name.to_string()];
        row.extend([train, valid, test, none, total(parts)].map(group));
        row
    };
    let mut rows = vec![row("all", &label.parts)];
    rows.extend(label.classes.iter().map(|class: &ClassCount| row(&class.name, &class.parts)));
    let title = format!("Label: {ty}.{}", label.name);
    table(body, &title, &["class", "train", "valid", "test", "no part", "labelled"], &rows);
    let split = label.split.as_deref().unwrap_or("none");
    let _ =
        write!(body, "<p>Split: {}. {} rows without a label.</p>", escape(split), group(label.unlabelled));
    if let Some(found) = &label.distribution {
        distribution(body, &label.name, found);
    }
}

fn distribution(body: &mut String, name: &str, found: &Distribution) {
    let step = (found.max - found.min) / found.bins.len() as f64;
    let start = |bin: usize| format!("{:.4}", found.min + step * bin as f64);
    let points: Vec<_> = found.bins.iter().enumerate().map(|(bin, &count)| (start(bin), count)).collect();
    body.push_str(&bars(&format!("{name}: labelled rows from each value"), &points));
    let (mean, std) = (found.mean, found.std);
    let _ = write!(body, "<p>Mean {mean:.4}, deviation {std:.4}, {:.4} … {:.4}.</p>", found.min, found.max);
}

fn relations(body: &mut String, relations: &[RelationInspection]) {
    let row = |rel: &RelationInspection| {
        let mut row = vec![ends(rel), group(rel.edges)];
        row.extend(five(&rel.incoming));
        row.extend(five(&rel.outgoing));
        let dropped = rel.dropped_src + rel.dropped_dst + rel.dropped_relation;
        row.extend([rel.parallel, rel.self_loops, dropped].map(group));
        row.push(rel.reverse_of.clone().unwrap_or_default());
        row
    };
    let heads = [
        "relation",
        "edges",
        "in: min",
        "median",
        "mean",
        "p99",
        "max",
        "out: min",
        "median",
        "mean",
        "p99",
        "max",
        "parallel",
        "loops",
        "dropped rows",
        "reverse of",
    ];
    table(body, "Relations", &heads, &relations.iter().map(row).collect::<Vec<_>>());
}

fn ends(relation: &RelationInspection) -> String {
    format!("{} -{}-> {}", relation.src, relation.name, relation.dst)
}

fn degrees(body: &mut String, graph: &Inspection) {
    body.push_str(
        "<h3>Degrees</h3><p>How many nodes have 0, 1, 2 … 3, 4 … 7 edges, and so on.</p><div class=charts>",
    );
    for node in &graph.nodes {
        body.push_str(&degree_bars(&format!("into {}, all relations", node.name), &node.incoming));
    }
    for relation in forward(&graph.relations).take(CHARTS) {
        body.push_str(&degree_bars(&format!("{}: in", ends(relation)), &relation.incoming));
        body.push_str(&degree_bars(&format!("{}: out", ends(relation)), &relation.outgoing));
    }
    body.push_str("</div>");
}

fn degree_bars(title: &str, degrees: &Degrees) -> String {
    let name = |bin: usize| if bin == 0 { "0".to_string() } else { group(1 << (bin - 1)) };
    let points: Vec<_> = degrees.histogram.iter().enumerate().map(|(bin, &n)| (name(bin), n)).collect();
    bars(title, &points)
}

fn files(body: &mut String, graph: &Inspection) {
    let row = |source: &crate::construct::report::SourceReport| {
        let mut row = vec![source.paths.join(", ")];
        row.extend([source.files, source.columns, source.bytes].map(group));
        row
    };
    let rows: Vec<_> = graph.sources.iter().map(row).collect();
    table(body, "Sources", &["table", "files", "columns", "bytes"], &rows);
    let rows: Vec<_> = graph.sizes.iter().map(|size| vec![size.part.clone(), group(size.bytes)]).collect();
    table(body, "Bytes of the graph file", &["part", "bytes"], &rows);
    let time = |stage: &crate::construct::report::StageTime| {
        vec![stage.name.clone(), format!("{:.3} s", stage.seconds)]
    };
    table(body, "Times of the build", &["stage", "time"], &graph.stages.iter().map(time).collect::<Vec<_>>());
}
