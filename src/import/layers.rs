//! Layers that the standard library has not, written into the file: attention within relations, convolution with features of
//! edges, both with or without the node itself.

use super::graph::Owner;
use super::model::{Cx, triple_of};
use super::notes::Notes;
use super::text;
use crate::source::Failure;

/// What GraphStorm's relational attention computes.
const RGAT: &str = include_str!("rgat.gsl");

const OPERATORS: [&str; 5] = ["concat", "add", "sub", "mul", "div"];

impl Cx<'_, '_> {
    /// Whether a layer sees the node itself besides its neighbours.
    fn sees_itself(&self) -> Result<bool, Failure> {
        self.settings.flag("use_self_loop", true)
    }

    /// The name of the relational attention, which becomes an item of the file.
    pub fn rgat(&self) -> Result<String, Failure> {
        let text = if self.sees_itself()? { RGAT.to_owned() } else { without_itself(RGAT) };
        Ok(self.item(&text, "RGAT"))
    }

    /// The name of a relational convolution of the file's own, where the one of the standard library does not fit.
    pub fn own_rgcn(&self, notes: &mut Notes) -> Result<Option<String>, Failure> {
        let (features, itself) = (self.read_by_layers("rgcn")?, self.sees_itself()?);
        let Some(features) = features else {
            return Ok((!itself).then(|| self.item(&without_itself(CONVOLUTION), "NeighborRGCN")));
        };
        let said = self.settings.get("edge_feat_mp_op");
        let operator = said.as_ref().map_or(Ok("concat"), |at| at.word(&OPERATORS))?;
        let act = self.settings.get("edge_feat_activation").map(|at| at.word(&["relu"])).transpose()?;
        let layer = with_edges(&text::names(&features)?, operator, act.is_some());
        let layer = if itself { layer } else { without_itself(&layer) };
        if let Some(at) = self.settings.get("edge_feat_name") {
            notes.changed(
                at.path,
                "each layer has a projection of the edges' features of its own, and takes the mean over a relation; \
                 GraphStorm has one projection, and divides by the root of the degree",
            );
        }
        if let Some(at) = self.settings.get("num_bases") {
            notes.needless(at.path, "a convolution with features of edges has a matrix for each relation");
        }
        Ok(Some(self.item(&layer, "EdgeRGCN")))
    }

    /// Features of edges by relation, as `edge_feat_name` names them.
    pub fn edge_features(&self) -> Result<Vec<(usize, Vec<String>)>, Failure> {
        let Some(at) = self.settings.get("edge_feat_name") else { return Ok(Vec::new()) };
        let said = at.texts()?;
        if let [name] = &said[..]
            && !name.contains(':')
        {
            let has = |at: &usize| self.graph.edges[*at].features.iter().any(|f| f.name == *name);
            let relations = (0..self.graph.edges.len()).filter(has);
            return Ok(relations.map(|relation| (relation, vec![name.clone()])).collect());
        }
        let mut all = Vec::new();
        for said in &said {
            let Some((triple, features)) = said.split_once(':') else {
                return Err(at.wrong("SOURCE,RELATION,DESTINATION:FEATURE, or one feature for all relations"));
            };
            let triple = triple_of(triple).ok_or_else(|| at.wrong("three names"))?;
            let relation = self.graph.position(&at.path, &triple)?;
            let mut names = Vec::new();
            for feature in features.split(',').map(str::trim) {
                names.extend(self.feature(&at.path, Owner::Edge(relation), feature)?);
            }
            all.push((relation, names));
        }
        Ok(all)
    }

    /// The features that layers of an encoder read themselves: those that every relation has, by the same names.
    pub fn read_by_layers(&self, encoder: &str) -> Result<Option<Vec<String>>, Failure> {
        let all = self.edge_features()?;
        let Some((_, names)) = all.first().filter(|_| encoder == "rgcn") else { return Ok(None) };
        let same = |relation: usize| all.iter().any(|(at, own)| *at == relation && own == names);
        let everywhere = (0..self.graph.edges.len()).all(same);
        Ok(everywhere.then(|| names.clone()))
    }
}

const CONVOLUTION: &str = "/// The mean over each relation's edges, each relation with a matrix of its own. Schlichtkrull et al. 2018, eq. 2.
layer NeighborRGCN(out: dim, bases: int = none, act: activation = identity) {
    weight W[r] : in x out (bases: bases)
    weight S    : in x out
    weight b    : out = zeros

    h'[v] = act(sum[r] mean[u -r-> v] (h[u] @ W[r]) + h[v] @ S + b)
}
";

/// Features of an edge side by side, as an equation reads them: their width, and the row.
pub fn read_from_edge(features: &[String]) -> (String, String) {
    let read: Vec<String> = features.iter().map(|name| format!("e.{name}")).collect();
    match &read[..] {
        [one] => (one.clone(), one.clone()),
        all => (format!("({})", all.join(" + ")), format!("concat({})", all.join(", "))),
    }
}

/// A layer without the term of the node itself.
fn without_itself(layer: &str) -> String {
    let lines = layer.lines().filter(|line| !line.trim_start().starts_with("weight S"));
    let text: String = lines.map(|line| line.replace(" + h[v] @ S", "") + "\n").collect();
    text.replace("; the node itself through a\n/// matrix of its own. ", ".\n/// ")
}

/// A relational convolution whose messages take in features of the edge, projected to the width of the nodes.
fn with_edges(features: &[String], operator: &str, act: bool) -> String {
    let (width, row) = read_from_edge(features);
    let edge = if act { format!("relu({row} @ E[r])") } else { format!("{row} @ E[r]") };
    let (wide, message) = match operator {
        "add" => ("in", "h[u] + x"),
        "sub" => ("in", "h[u] - x"),
        "mul" => ("in", "h[u] * x"),
        "div" => ("in", "h[u] / x"),
        _ => ("(in + in)", "concat(h[u], x)"),
    };
    let message = if operator == "concat" { message.to_owned() } else { format!("({message})") };
    format!(
        "/// Relational graph convolution whose messages take in features of the edge.
layer EdgeRGCN(out: dim, act: activation = identity) {{
    weight E[r] : {width} x in
    weight W[r] : {wide} x out
    weight S    : in x out
    weight b    : out = zeros

    x[u -r-> v] = {edge}
    h'[v]       = act(sum[r] mean[u -r-> v] ({message} @ W[r]) + h[v] @ S + b)
}}
"
    )
}
