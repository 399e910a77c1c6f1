//! Decoders of edges: the two ends of an edge, and in one of them its features.

use super::graph::Owner;
use super::layers::read_from_edge;
use super::links::OWN_EDGE;
use super::model::Cx;
use super::notes::Notes;
use super::settings::TaskSettings;
use super::text;
use crate::source::Failure;

const DECODERS: [&str; 3] = ["DenseBiDecoder", "MLPDecoder", "MLPEFeatEdgeDecoder"];

impl<'a> Cx<'_, 'a> {
    /// The decoder of a label of edges.
    pub fn edge_decoder(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
        notes: &mut Notes,
    ) -> Result<String, Failure> {
        self.remark_target_edges(own, notes)?;
        let said = own.get("decoder_type", self.settings);
        let word = said.map_or(Ok(DECODERS[0]), |at| at.word(&DECODERS))?;
        let read: &[&str] = match word {
            "DenseBiDecoder" => &["num_decoder_basis"],
            "MLPDecoder" => &["num_ffn_layers_in_decoder", "decoder_bias"],
            _ => &["num_ffn_layers_in_decoder", "decoder_bias", "decoder_norm", "decoder_edge_feat"],
        };
        for key in [
            "num_decoder_basis",
            "num_ffn_layers_in_decoder",
            "decoder_bias",
            "decoder_norm",
            "decoder_edge_feat",
        ] {
            if let Some(at) = own.get(key, self.settings).filter(|_| !read.contains(&key)) {
                notes.needless(at.path, format!("`{word}` does not read it"));
            }
        }
        match word {
            "DenseBiDecoder" => {
                let bases = own.get("num_decoder_basis", self.settings).map_or(Ok(2), |at| at.count())?;
                Ok(format!("bilinear(bases: {bases})"))
            }
            "MLPDecoder" => self.perceptron(own, &twice(&self.width()?)),
            _ => self.with_edge(own, relation, notes),
        }
    }

    /// A perceptron of two ends, as it reconstructs a feature of edges.
    pub fn pair_mlp(&self) -> Result<String, Failure> {
        Ok(format!("pair_mlp(hidden: {}{})", self.width()?, self.dropout()?))
    }

    /// `, dropout: 0.2`, if there is any.
    fn dropout(&self) -> Result<String, Failure> {
        let rate = self.settings.number("dropout", 0.0)?;
        Ok(if rate > 0.0 { format!(", dropout: {}", text::number(rate)) } else { String::new() })
    }

    fn remark_target_edges(&self, own: &TaskSettings<'a>, notes: &mut Notes) -> Result<(), Failure> {
        let said = own.get("remove_target_edge_type", self.settings);
        match &said {
            Some(at) if !at.flag()? => notes.lost(&at.path, OWN_EDGE),
            said => notes.changed(
                said.as_ref().map_or(&own.path, |at| &at.path),
                "the edges of the batch, of validation and of test carry no messages, nor do their reverses; the rest of the \
                 relation does, where GraphStorm leaves all of it out",
            ),
        }
        Ok(())
    }

    /// The decoder that reads features of the edge, written into the file.
    fn with_edge(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
        notes: &mut Notes,
    ) -> Result<String, Failure> {
        let Some(at) = own.get("decoder_edge_feat", self.settings) else {
            let message = format!("`{}` has no `decoder_edge_feat`", own.path);
            return Err(
                Failure::new(message).help("`MLPEFeatEdgeDecoder` reads features of the edge: name them")
            );
        };
        let mut names = Vec::new();
        for said in self.said_of_relation(&at, relation)?.iter().flat_map(|said| said.split(',')) {
            names.extend(self.feature(&at.path, Owner::Edge(relation), said.trim())?);
        }
        if names.is_empty() {
            return Err(at.wrong("a feature of the relation that is predicted"));
        }
        let norm = match own.get("decoder_norm", self.settings) {
            Some(at) => {
                if at.word(&["batch", "layer"])? == "batch" {
                    notes.lost(
                        &at.path,
                        "there is no normalisation over a batch: `layer_norm` is written, the nearest",
                    );
                }
                true
            }
            None => false,
        };
        if let Some(at) = own.get("decoder_bias", self.settings)
            && !at.flag()?
        {
            notes.lost(at.path, "remove the weight `b` from the decoder for that");
        }
        let dense = own.get("num_ffn_layers_in_decoder", self.settings).map_or(Ok(0), |at| at.whole())?;
        let name = self.item(&ends_and_edge(&text::names(&names)?, norm, dense), "ends_and_edge");
        Ok(format!("{name}(hidden: {}{})", self.width()?, self.dropout()?))
    }
}

/// `2 * hidden`, or the number.
fn twice(width: &str) -> String {
    width.parse::<i64>().map_or_else(|_| format!("2 * {width}"), |width| (2 * width).to_string())
}

/// A decoder of the two ends beside features of the edge, as GraphStorm's `MLPEFeatEdgeDecoder` computes it.
fn ends_and_edge(features: &[String], norm: bool, dense: i64) -> String {
    let (width, row) = read_from_edge(features);
    let act = |x: &str| if norm { format!("relu(layer_norm({x}))") } else { format!("relu({x})") };
    let mut both = "concat(ends, edge)".to_owned();
    for _ in 0..dense {
        both = format!("linear(hidden + hidden, act: relu)({both})");
    }
    format!(
        "/// A perceptron of both ends beside one of features of the edge, and one of the two together.
decoder ends_and_edge(out: dim = 1, hidden: dim = 64, dropout: float = 0) {{
    weight A : (in + in) x hidden
    weight F : {width} x hidden
    weight C : (hidden + hidden) x hidden
    weight B : hidden x out
    weight b : out = zeros

    ends[u -> v]  = dropout({}, dropout)
    edge[u -> v]  = dropout({}, dropout)
    both[u -> v]  = {}
    score[u -> v] = both @ B + b
}}
",
        act("concat(h[u], h[v]) @ A"),
        act(&format!("{row} @ F")),
        act(&format!("{both} @ C")),
    )
}
