//! A small random graph with a given schema.

use gsl_plan::graph::*;
use gsl_plan::interpret::{Bindings, Edge, Matrix};
use gsl_plan::plan::Plan;
use gsl_plan::program::{Domain, Op, Value};
use gsl_runtime::exec::PairRows;
use gsl_runtime::extend::Extensions;
use gsl_runtime::random::Key;
use gsl_runtime::sample::Block;
use gsl_runtime::store::Params;
use gsl_runtime::view::{GraphView, MemoryGraph};

const NODES: u64 = 7;
const EDGES: u64 = 15;
const CLASSES: usize = 3;
/// Relations made of a family.
const FAMILY: usize = 2;

/// Facts of a small graph with the schema of `plan`: what only data knows is made up, except the classes where `real` knows them,
/// because layers can be as wide as there are classes.
pub fn toy_facts(plan: &GraphPlan, real: Option<&GraphFacts>) -> GraphFacts {
    let known = |label: Option<&LabelFacts>| label.map_or_else(made_up, |l| l.classes.clone());
    let classes = |ty: usize, at: usize| known(real.and_then(|facts| facts.nodes.get(ty)?.labels.get(at)));
    let classes_of_edges = |declared_by: usize, at: usize| {
        let own = |facts: &'_ GraphFacts| facts.relations.iter().position(|r| r.declared_by == declared_by);
        known(real.and_then(|facts| facts.relations[own(facts)?].labels.get(at)))
    };
    let labels = |ty: usize, node: &NodeType| {
        let all = node.labels.iter().enumerate();
        all.map(|(at, own)| label(own, classes(ty, at))).collect()
    };
    let labels_of = |edge: &EdgeType, declared_by: usize| {
        let all = edge.labels.iter().enumerate();
        all.map(|(at, own)| label(own, classes_of_edges(declared_by, at))).collect()
    };
    let nodes = plan.nodes.iter().enumerate().map(|(i, node)| NodeFacts {
        name: node.name.clone(),
        count: NODES + i as u64,
        features: features(&node.features),
        labels: labels(i, node),
        ..NodeFacts::default()
    });
    let mut relations = Vec::new();
    for (declared_by, edge) in plan.edges.iter().enumerate() {
        let names = match &edge.relation {
            Relation::Named(name) => vec![name.clone()],
            Relation::Column(name) => (0..FAMILY).map(|i| format!("{name}{i}")).collect(),
        };
        for name in names {
            let own = RelationFacts {
                name: name.clone(),
                src: edge.src,
                dst: edge.dst,
                edges: EDGES,
                reverse_of: None,
                declared_by,
                features: features(&edge.features),
                labels: labels_of(edge, declared_by),
                ..RelationFacts::default()
            };
            let reverse_of = Some(relations.len());
            relations.push(own.clone());
            if let Some(reverse) = &edge.reverse {
                let name = match edge.relation {
                    Relation::Named(_) => reverse.clone(),
                    Relation::Column(_) => format!("{reverse}.{name}"),
                };
                relations.push(RelationFacts { name, src: edge.dst, dst: edge.src, reverse_of, ..own });
            }
        }
    }
    GraphFacts { nodes: nodes.collect(), relations }
}

fn made_up() -> Vec<String> {
    (0..CLASSES).map(|c| format!("class {c}")).collect()
}

fn features(declared: &[Feature]) -> Vec<FeatureFacts> {
    let one =
        |f: &Feature| FeatureFacts { name: f.name.clone(), width: width(&f.expr), ..FeatureFacts::default() };
    declared.iter().map(one).collect()
}

fn width(expr: &FeatureExpr) -> usize {
    match expr {
        FeatureExpr::Column { kind: ColumnKind::Vector { width }, .. } => width.unwrap_or(4),
        FeatureExpr::Column { .. } | FeatureExpr::Const(_) | FeatureExpr::Structure(_) => 1,
        FeatureExpr::Arith { left, right, .. } => width(left).max(width(right)),
        FeatureExpr::Concat(parts) => parts.iter().map(width).sum(),
        FeatureExpr::Apply { transform, input } => match transform {
            Transform::OneHot { .. } | Transform::MultiHot { .. } => 3,
            Transform::Hash { columns } => *columns,
            Transform::Bucket(Buckets::Bounds(bounds)) => (bounds.len() + 1) * width(input),
            Transform::Bucket(Buckets::Even { count, .. } | Buckets::Quantiles(count)) => {
                count * width(input)
            }
            Transform::Vector { take: Some(take), .. } => *take,
            Transform::Vector { separator: Some(_), .. } => 4,
            Transform::Cyclic { .. } => 2 * width(input),
            _ => width(input),
        },
    }
}

fn label(label: &Label, classes: Vec<String>) -> LabelFacts {
    let classes = if label.kind == LabelKind::Float { Vec::new() } else { classes };
    LabelFacts {
        name: label.name.clone(),
        train_counts: vec![2; classes.len()],
        classes,
        parts: [0, NODES, 1, 1],
        mean: 0.5,
        std: 1.5,
    }
}

/// A graph with random edges, features and labels.
pub struct Toy {
    pub graph: MemoryGraph,
    edges: Vec<usize>,
}

impl Toy {
    /// For the graph of `plan`.
    pub fn new(plan: &Plan, seed: u64) -> Self {
        let facts = &plan.facts;
        let key = Key::new(seed, u32::from_be_bytes(*b"toys"));
        let counts: Vec<usize> = facts.nodes.iter().map(|n| n.count as usize).collect();
        let mut graph = MemoryGraph::new(&counts);
        for (ty, node) in facts.nodes.iter().enumerate() {
            let key = key.fold(ty as u64);
            for (i, feature) in node.features.iter().enumerate() {
                let data = normal(key.fold(100 + i as u64), counts[ty] * feature.width);
                graph.add_node_feature(ty as u32, feature.width, data);
            }
            for (i, label) in node.labels.iter().enumerate() {
                let several = plan.graph.nodes[ty].labels[i].kind == LabelKind::Classes;
                let values = values(key.fold(200 + i as u64), label, several, counts[ty]);
                graph.add_label(ty as u32, values, vec![Part::Train as u8; counts[ty]]);
            }
        }
        let mut edges = Vec::new();
        for (rel, relation) in facts.relations.iter().enumerate() {
            let key = key.fold(1000 + rel as u64);
            let ends = |e: u64| {
                let src = key.below_at(2 * e, counts[relation.src] as u32);
                (src, key.below_at(2 * e + 1, counts[relation.dst] as u32))
            };
            let mut pairs: Vec<(u32, u32)> = (0..relation.edges).map(ends).collect();
            pairs.sort_unstable();
            pairs.dedup();
            let id = graph.add_relation(relation.src as u32, relation.dst as u32, &pairs);
            for (i, feature) in relation.features.iter().enumerate() {
                let data = normal(key.fold(i as u64), pairs.len() * feature.width);
                graph.add_edge_feature(id, feature.width, data);
            }
            for (i, label) in relation.labels.iter().enumerate() {
                let declared = plan.graph.edges[relation.declared_by].labels.get(i);
                let several = declared.is_some_and(|label| label.kind == LabelKind::Classes);
                let values = values(key.fold(200 + i as u64), label, several, pairs.len());
                graph.add_edge_label(id, &values, &vec![Part::Train as u8; pairs.len()]);
            }
            edges.push(pairs.len());
        }
        Toy { graph, edges }
    }
}

/// A class or a number for each row, or of several classes a 0 or 1 for each.
fn values(key: Key, label: &LabelFacts, several: bool, rows: usize) -> Vec<f32> {
    match label.classes.len() {
        0 => normal(key, rows),
        n if several => (0..rows * n).map(|v| key.below_at(v as u64, 2) as f32).collect(),
        n => (0..rows).map(|v| key.below_at(v as u64, n as u32) as f32).collect(),
    }
}

fn normal(key: Key, n: usize) -> Vec<f32> {
    let mut data = vec![0.0; n];
    key.fill_normal(&mut data, 1.0);
    data
}

/// A block of the toy with parameters, as the reference and the interpreter read it.
pub struct World<'a> {
    pub plan: &'a Plan,
    pub toy: &'a Toy,
    pub block: &'a Block,
    pub pairs: &'a [PairRows],
    pub params: &'a Params,
    pub weights: &'a [Vec<f32>],
    pub scales: &'a [f32],
    pub extensions: &'a Extensions,
}

impl World<'_> {
    /// Local source and destination rows of the edges of (relation, hop).
    pub fn ends(&self, rel: u32, hop: u32) -> (Vec<u32>, Vec<u32>) {
        let Some(edges) = self.block.edges(rel, hop) else { return Default::default() };
        let dst = edges.indptr.windows(2).enumerate().flat_map(|(v, w)| (w[0]..w[1]).map(move |_| v as u32));
        (edges.src.clone(), dst.collect())
    }

    fn pairs_of(&self, ty: u32) -> Option<&PairRows> {
        self.pairs.iter().find(|pairs| pairs.ty == ty)
    }

    fn edge_row(&self, rel: u32, position: u64) -> usize {
        let Some(facts) = self.plan.facts.relations.get(rel as usize) else { return position as usize };
        let features = &facts.features;
        let rows = (!features.is_empty()).then(|| self.toy.graph.edge_feature(rel, 0).rows).flatten();
        match rows {
            Some(rows) => rows[position as usize] as usize,
            None => position as usize,
        }
    }

    /// Rows × width of a leaf.
    pub fn leaf(&self, value: &Value) -> Option<Vec<f32>> {
        let view = &self.toy.graph;
        let rows = self.block.rows(value.domain);
        let width = value.width();
        let numbers = |ty: u32, of: &[f32]| -> Vec<f32> {
            let ids = &self.block.ids(ty)[..rows];
            ids.iter().flat_map(|&v| &of[v as usize * width..][..width]).copied().collect()
        };
        match (&value.op, value.domain) {
            (Op::Param { param }, _) => Some(self.params.values(*param).to_vec()),
            (Op::Feature { feature }, Domain::Nodes { ty, .. }) if self.pairs_of(ty).is_some() => {
                let found = self.pairs_of(ty)?.features.iter().find(|(at, _, _)| at == feature);
                found.map(|(_, _, rows)| rows.clone())
            }
            (Op::Label { .. }, Domain::Nodes { ty, .. }) if self.pairs_of(ty).is_some() => {
                self.pairs_of(ty).map(|pairs| pairs.labels.clone())
            }
            (Op::Feature { feature }, Domain::Nodes { ty, .. }) => {
                let matrix = view.node_feature(ty, *feature);
                Some(self.block.ids(ty)[..rows].iter().flat_map(|&v| matrix.row(v as usize)).collect())
            }
            (Op::Feature { feature }, Domain::Edges { rel, hop }) => {
                let matrix = view.edge_feature(rel, *feature).stored;
                let rows = self.block.edges(rel, hop)?.position.iter().map(|&p| self.edge_row(rel, p));
                Some(rows.flat_map(|r| matrix.row(r)).collect())
            }
            (Op::Embedding { param }, Domain::Nodes { ty, .. }) => {
                let table = self.params.table(*param);
                Some(
                    self.block.ids(ty)[..rows].iter().flat_map(|&v| table.row(v as usize).to_vec()).collect(),
                )
            }
            (Op::Degree, Domain::Nodes { ty, .. }) => Some(numbers(ty, view.degree(ty))),
            (Op::Label { label }, Domain::Nodes { ty, .. }) => Some(numbers(ty, view.label(ty, *label))),
            (Op::SeedWeight { predict }, _) => Some(self.weights[*predict as usize].clone()),
            (Op::LossScale { predict }, _) => Some(vec![self.scales[*predict as usize]]),
            _ => None,
        }
    }

    /// The same for the interpreter, in f64.
    pub fn bindings(&self) -> Bindings {
        let facts = &self.plan.facts;
        let types = (facts.nodes.len() + self.plan.virtuals.types.len()) as u32;
        let hops = self.plan.train.hops.len() as u32;
        let wide = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let view = &self.toy.graph;
        let mut bindings = Bindings::whole(&[], &[], &[], 0);
        bindings.nodes =
            (0..types).map(|t| self.block.ids(t).iter().map(|v| *v as usize).collect()).collect();
        bindings.counts = (0..types).map(|t| (0..=hops).map(|h| self.block.count(t, h)).collect()).collect();
        bindings.params = (0..self.params.len() as u32).map(|p| wide(self.params.values(p))).collect();
        bindings.degrees = (0..facts.nodes.len() as u32).map(|t| wide(view.degree(t))).collect();
        for pairs in self.pairs {
            bindings.nodes[pairs.ty as usize] = (0..pairs.labels.len()).collect();
            for label in 0..self.plan.predicts.len() as u32 {
                bindings.labels.insert((pairs.ty, label), wide(&pairs.labels));
            }
            for (feature, width, rows) in &pairs.features {
                let matrix = Matrix { rows: pairs.labels.len(), width: *width, data: wide(rows) };
                bindings.node_features.insert((pairs.ty, *feature), matrix);
            }
        }
        for rel in facts.relations.len()..self.plan.signature().relations.len() {
            bindings.edges.insert((rel as u32, 0), self.edges(rel as u32, 0));
        }
        for (ty, node) in facts.nodes.iter().enumerate() {
            let ty = ty as u32;
            for (i, feature) in node.features.iter().enumerate() {
                let matrix = view.node_feature(ty, i as u32);
                let data = wide(&matrix.to_vec());
                let matrix = Matrix { rows: node.count as usize, width: feature.width, data };
                bindings.node_features.insert((ty, i as u32), matrix);
            }
            for i in 0..node.labels.len() as u32 {
                bindings.labels.insert((ty, i), wide(view.label(ty, i)));
            }
        }
        for (rel, relation) in facts.relations.iter().enumerate() {
            let rel = rel as u32;
            for (i, feature) in relation.features.iter().enumerate() {
                let data = wide(&view.edge_feature(rel, i as u32).stored.to_vec());
                let matrix = Matrix { rows: self.toy.edges[rel as usize], width: feature.width, data };
                bindings.edge_features.insert((rel, i as u32), matrix);
            }
            for hop in 0..hops {
                bindings.edges.insert((rel, hop), self.edges(rel, hop));
            }
        }
        for (i, weights) in self.weights.iter().enumerate() {
            bindings.seed_weights.insert(i as u32, wide(weights));
            bindings.loss_scale.insert(i as u32, f64::from(self.scales[i]));
        }
        bindings
    }

    fn edges(&self, rel: u32, hop: u32) -> Vec<Edge> {
        let Some(block) = self.block.edges(rel, hop) else { return Vec::new() };
        let (src, dst) = self.ends(rel, hop);
        let rows = block.position.iter().map(|&p| self.edge_row(rel, p));
        src.iter()
            .zip(&dst)
            .zip(rows)
            .map(|((s, d), id)| Edge { src: *s as usize, dst: *d as usize, id })
            .collect()
    }
}
