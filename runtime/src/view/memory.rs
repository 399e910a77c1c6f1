//! A graph in memory: what tests and generators build.

use super::{Csc, EdgeMatrix, GraphView, StoredMatrix};
use crate::construct::feature::Rows;
use crate::construct::storage::{Encoded, Kept, Overflow};
use gsl_plan::graph::Storage;

/// A graph whose arrays are vectors.
#[derive(Debug, Clone, Default)]
pub struct MemoryGraph {
    nodes: Vec<MemoryNodes>,
    relations: Vec<MemoryRelation>,
}

#[derive(Debug, Clone, Default)]
struct MemoryNodes {
    count: usize,
    features: Vec<Kept>,
    labels: Vec<(Vec<f32>, Vec<u8>)>,
    degree: Vec<f32>,
    /// The small graph of each node.
    graph: Option<Vec<u32>>,
}

/// A relation in CSC form.
#[derive(Debug, Clone, Default)]
pub struct MemoryRelation {
    src: u32,
    dst: u32,
    indptr: Vec<u64>,
    sources: Vec<u32>,
    /// Row in the edge list of the edge at each CSC position.
    rows: Vec<u32>,
    features: Vec<Kept>,
    /// Values and parts, by CSC position.
    labels: Vec<(Vec<f32>, Vec<u8>)>,
}

impl MemoryGraph {
    /// A graph with `counts[ty]` nodes of each type and no edges.
    pub fn new(counts: &[usize]) -> Self {
        let nodes =
            |&count: &usize| MemoryNodes { count, degree: vec![0.0; count], ..MemoryNodes::default() };
        MemoryGraph { nodes: counts.iter().map(nodes).collect(), relations: Vec::new() }
    }

    /// Adds a relation from its edges `(source, destination)`, and returns its index. Edges into a node keep their order.
    pub fn add_relation(&mut self, src: u32, dst: u32, edges: &[(u32, u32)]) -> u32 {
        let (indptr, rows) = group_by_destination(edges, self.nodes[dst as usize].count);
        let sources = rows.iter().map(|&row| edges[row as usize].0).collect();
        for &(_, to) in edges {
            self.nodes[dst as usize].degree[to as usize] += 1.0;
        }
        self.relations.push(MemoryRelation {
            src,
            dst,
            indptr,
            sources,
            rows,
            features: Vec::new(),
            labels: Vec::new(),
        });
        (self.relations.len() - 1) as u32
    }

    /// Adds a feature to node type `ty`, one row of `width` per node, and returns its index.
    pub fn add_node_feature(&mut self, ty: u32, width: usize, data: Vec<f32>) -> u32 {
        let nodes = &mut self.nodes[ty as usize];
        assert_eq!(data.len(), nodes.count * width, "one row of {width} per node");
        nodes.features.push(exact(width, data));
        (nodes.features.len() - 1) as u32
    }

    /// Replaces the values of a feature.
    pub fn set_node_feature(&mut self, ty: u32, feature: u32, data: Vec<f32>) {
        let old = &mut self.nodes[ty as usize].features[feature as usize];
        assert_eq!(data.len(), old.floats().len(), "as many values as before");
        *old = exact(old.width, data);
    }

    /// Adds a feature to relation `rel`, one row of `width` per edge in the order of its edge list, and returns its index.
    pub fn add_edge_feature(&mut self, rel: u32, width: usize, data: Vec<f32>) -> u32 {
        let relation = &mut self.relations[rel as usize];
        assert_eq!(data.len(), relation.sources.len() * width, "one row of {width} per edge");
        relation.features.push(exact(width, data));
        (relation.features.len() - 1) as u32
    }

    /// Adds a label and its split to relation `rel`, in the order of its edge list, and returns its index.
    pub fn add_edge_label(&mut self, rel: u32, values: &[f32], parts: &[u8]) -> u32 {
        let relation = &mut self.relations[rel as usize];
        assert_eq!(
            (values.len(), parts.len()),
            (relation.rows.len(), relation.rows.len()),
            "one for each edge"
        );
        let values = relation.rows.iter().map(|&row| values[row as usize]).collect();
        let parts = relation.rows.iter().map(|&row| parts[row as usize]).collect();
        relation.labels.push((values, parts));
        (relation.labels.len() - 1) as u32
    }

    /// Says of every node of type `ty` which small graph it is in.
    pub fn set_membership(&mut self, ty: u32, graphs: Vec<u32>) {
        let nodes = &mut self.nodes[ty as usize];
        assert_eq!(graphs.len(), nodes.count, "one graph for each node");
        nodes.graph = Some(graphs);
    }

    /// Rounds all features as a graph file with this storage does.
    ///
    /// # Errors
    /// A number that is too large for the storage.
    pub fn stored_as(mut self, storage: Storage) -> Result<Self, Overflow> {
        let of_nodes = self.nodes.iter_mut().flat_map(|nodes| &mut nodes.features);
        let of_edges = self.relations.iter_mut().flat_map(|relation| &mut relation.features);
        for kept in of_nodes.chain(of_edges) {
            let data = StoredMatrix { data: kept.floats(), width: kept.width }.to_vec();
            *kept = Kept::of(storage, &Rows { width: kept.width, data, cut: 0 })?;
        }
        Ok(self)
    }

    /// Adds a label and its split to node type `ty`, and returns its index.
    pub fn add_label(&mut self, ty: u32, values: Vec<f32>, parts: Vec<u8>) -> u32 {
        let nodes = &mut self.nodes[ty as usize];
        assert_eq!(parts.len(), nodes.count, "one part per node");
        assert_eq!(values.len() % nodes.count.max(1), 0, "one label per node, or one per node and class");
        nodes.labels.push((values, parts));
        (nodes.labels.len() - 1) as u32
    }
}

fn exact(width: usize, data: Vec<f32>) -> Kept {
    Kept { width, rows: Encoded::F32(data), scales: Vec::new() }
}

fn group_by_destination(edges: &[(u32, u32)], n_dst: usize) -> (Vec<u64>, Vec<u32>) {
    let mut rows: Vec<u32> = (0..edges.len() as u32).collect();
    rows.sort_by_key(|&row| edges[row as usize].1);
    let mut indptr = vec![0u64; n_dst + 1];
    for &(_, to) in edges {
        indptr[to as usize + 1] += 1;
    }
    for v in 0..n_dst {
        indptr[v + 1] += indptr[v];
    }
    (indptr, rows)
}

impl GraphView for MemoryGraph {
    fn node_types(&self) -> usize {
        self.nodes.len()
    }

    fn relations(&self) -> usize {
        self.relations.len()
    }

    fn ends(&self, rel: u32) -> (u32, u32) {
        let relation = &self.relations[rel as usize];
        (relation.src, relation.dst)
    }

    fn node_count(&self, ty: u32) -> usize {
        self.nodes[ty as usize].count
    }

    fn csc(&self, rel: u32) -> Csc<'_> {
        let relation = &self.relations[rel as usize];
        Csc { indptr: &relation.indptr, src: &relation.sources }
    }

    fn node_feature(&self, ty: u32, feature: u32) -> StoredMatrix<'_> {
        let kept = &self.nodes[ty as usize].features[feature as usize];
        StoredMatrix { data: kept.floats(), width: kept.width }
    }

    fn edge_feature(&self, rel: u32, feature: u32) -> EdgeMatrix<'_> {
        let relation = &self.relations[rel as usize];
        let kept = &relation.features[feature as usize];
        let stored = StoredMatrix { data: kept.floats(), width: kept.width };
        EdgeMatrix { stored, rows: Some(&relation.rows) }
    }

    fn label(&self, ty: u32, label: u32) -> &[f32] {
        &self.nodes[ty as usize].labels[label as usize].0
    }

    fn parts(&self, ty: u32, label: u32) -> &[u8] {
        &self.nodes[ty as usize].labels[label as usize].1
    }

    fn degree(&self, ty: u32) -> &[f32] {
        &self.nodes[ty as usize].degree
    }

    fn edge_label(&self, rel: u32, label: u32) -> &[f32] {
        &self.relations[rel as usize].labels[label as usize].0
    }

    fn edge_parts(&self, rel: u32, label: u32) -> &[u8] {
        &self.relations[rel as usize].labels[label as usize].1
    }

    fn edge_candidates(&self, _rel: u32, _candidates: u32) -> (usize, &[u32]) {
        (0, &[])
    }

    fn membership(&self, ty: u32) -> Option<&[u32]> {
        self.nodes[ty as usize].graph.as_deref()
    }

    fn forward(&self, _rel: u32) -> Option<(u32, &[u32])> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_grouped_by_destination_and_features_follow() {
        let mut graph = MemoryGraph::new(&[3, 2]);
        let rel = graph.add_relation(0, 1, &[(2, 1), (0, 0), (1, 1)]);
        let feature = graph.add_edge_feature(rel, 1, vec![20.0, 0.0, 10.0]);
        let csc = graph.csc(rel);
        assert_eq!((csc.indptr, csc.src), (&[0u64, 1, 3][..], &[0u32, 2, 1][..]));
        let matrix = graph.edge_feature(rel, feature);
        let by_position: Vec<f32> =
            matrix.rows.unwrap().iter().map(|&row| matrix.stored.row(row as usize)[0]).collect();
        assert_eq!(by_position, [0.0, 20.0, 10.0]);
        assert_eq!(graph.degree(1), [1.0, 2.0]);
    }
}
