//! The graph network of an experiment. What enters it is in `encoders`, layers that are written into the file in `layers`.

use super::graph::{Graph, Owner, Relation};
use super::notes::Notes;
use super::schema::Triple;
use super::settings::{Settings, TaskKind};
use super::tasks::{Target, Task};
use super::text;
use crate::source::Failure;
use std::cell::RefCell;

/// What stands in an experiment for the model, and what it needs outside.
#[derive(Debug, Default)]
pub struct Model {
    /// `encode …` and `gnn = …`
    pub statements: Vec<String>,
    /// The layer of `std.layers`.
    pub uses: Option<&'static str>,
}

const ENCODERS: [&str; 9] = ["rgcn", "rgat", "hgt", "gat", "gatv2", "sage", "mlp", "lm", "learnable_embed"];

pub struct Cx<'x, 'a> {
    pub graph: &'x Graph,
    pub settings: &'x Settings<'a>,
    pub tasks: &'x [Task],
    /// The text of the width: a `param`, or the number where that name is taken.
    pub hidden: String,
    /// Layers, modules and decoders of the file's own.
    pub items: RefCell<Vec<String>>,
}

impl Cx<'_, '_> {
    pub fn model(&self, notes: &mut Notes) -> Result<Model, Failure> {
        let encoder = match self.settings.get("model_encoder_type") {
            Some(at) => at.word(&ENCODERS)?,
            None => {
                notes.changed("gsf", "`model_encoder_type` is not set: the encoder is taken to be `rgcn`");
                "rgcn"
            }
        };
        let mut model = Model { statements: self.encoders(encoder, notes)?, ..Model::default() };
        model.statements.extend(self.edge_encoders(encoder, notes)?);
        let gnn = self.network(encoder, &mut model, notes)?;
        model.statements.push(format!("gnn = {gnn}"));
        self.freeze(&mut model.statements, notes)?;
        Ok(model)
    }

    /// An item that the file has of its own, by its name; a second one of the name is told apart by a number.
    pub fn item(&self, text: &str, name: &str) -> String {
        let mut items = self.items.borrow_mut();
        let named = |count: usize| if count == 1 { name.to_owned() } else { format!("{name}_{count}") };
        for count in 1.. {
            let text = text.replacen(&format!(" {name}("), &format!(" {}(", named(count)), 1);
            if items.contains(&text) {
                return named(count);
            }
            if !items.iter().any(|item| item.contains(&format!(" {}(out: dim", named(count)))) {
                items.push(text);
                return named(count);
            }
        }
        unreachable!("a name is free")
    }

    /// The width of the rows that decoders read.
    pub fn width(&self) -> Result<String, Failure> {
        let said = self.settings.get("out_emb_size").filter(|_| self.looks_at_neighbours().unwrap_or(false));
        said.map_or_else(|| Ok(self.hidden.clone()), |at| Ok(at.count()?.to_string()))
    }

    /// Whether there is a graph network, and not encoders alone.
    pub fn looks_at_neighbours(&self) -> Result<bool, Failure> {
        let encoder = self.settings.get("model_encoder_type").map_or(Ok("rgcn"), |at| at.word(&ENCODERS))?;
        Ok(!["mlp", "lm", "learnable_embed"].contains(&encoder))
    }

    fn network(&self, encoder: &str, model: &mut Model, notes: &mut Notes) -> Result<String, Failure> {
        let layers = self.settings.get("num_layers").map(|at| at.whole()).transpose()?;
        if !self.looks_at_neighbours()? {
            return Ok("none".to_owned());
        }
        self.remark_alone(notes);
        let layers = layers.unwrap_or_else(|| {
            notes.changed("gsf", "`num_layers` is not set: there is one layer");
            1
        });
        let width = self.settings.get("out_emb_size").map(|at| at.count()).transpose()?;
        // Rows go out of an HGT as wide as they come in.
        let (last, after) = match width.map(|w| w.to_string()) {
            Some(width) if encoder == "hgt" => (self.hidden.clone(), Some(width)),
            width => (width.unwrap_or_else(|| self.hidden.clone()), None),
        };
        let mut stages = Vec::new();
        for at in 1..=layers {
            stages.extend(self.layer(
                encoder,
                at == layers,
                if at == layers { &last } else { &self.hidden },
                notes,
            )?);
        }
        stages.extend(after.map(|width| format!("linear({width})")));
        if self.normalizes(notes)? {
            stages.push("unit_length".to_owned());
        }
        model.uses = match encoder {
            "rgcn" if self.own_rgcn(notes)?.is_none() => Some("RGCN"),
            "hgt" => Some("HGT"),
            "gat" => Some("GAT"),
            "gatv2" => Some("GATv2"),
            "sage" => Some("SAGEPool"),
            _ => None,
        };
        if stages.is_empty() { Ok("none".to_owned()) } else { Ok(stages.join(" >> ")) }
    }

    /// Types that are predicted, where no edge ends at any of them.
    fn remark_alone(&self, notes: &mut Notes) {
        let types = |task: &Task| match task.target {
            Target::Label(Owner::Node(at), _) | Target::Reconstruct(Owner::Node(at), _) => {
                vec![&self.graph.nodes[at].name]
            }
            Target::Label(Owner::Edge(at), _)
            | Target::Reconstruct(Owner::Edge(at), _)
            | Target::Link(at) => {
                vec![&self.graph.edges[at].triple.0, &self.graph.edges[at].triple.2]
            }
        };
        let predicted: Vec<&String> = self.tasks.iter().flat_map(types).collect();
        let ends = |r: &Relation| {
            predicted.contains(&&r.triple.2) || r.reverse.is_some() && predicted.contains(&&r.triple.0)
        };
        if let Some(first) = predicted.first()
            && !self.graph.edges.iter().any(ends)
        {
            let text = format!(
                "no edge ends in `{first}`, so layers have nothing to look at, which `gsc check` refuses: import with \
                 --reverse, or write `gnn = none`"
            );
            notes.lost("gsf", text);
        }
    }

    /// A layer, and between layers its normalisation, activation, dense layers and dropout, in GraphStorm's order.
    fn layer(
        &self,
        encoder: &str,
        is_last: bool,
        width: &str,
        notes: &mut Notes,
    ) -> Result<Vec<String>, Failure> {
        let call = self.call(encoder, width, notes)?;
        let keeps_act = ["sage", "hgt"].contains(&encoder);
        if is_last && !keeps_act {
            return Ok(vec![call + ")"]);
        }
        let norm = self.norm(encoder, notes)?.filter(|_| !is_last || encoder == "hgt");
        let mut stages = match norm {
            Some(norm) => vec![call + ")", norm, "relu".to_owned()],
            None if encoder == "hgt" => vec![call + ")", "relu".to_owned()],
            None => vec![call + ", act: relu)"],
        };
        if is_last {
            return Ok(stages);
        }
        let dense = self.settings.get("num_ffn_layers_in_gnn").map_or(Ok(0), |at| at.whole())?;
        for _ in 0..dense {
            stages.push(format!("linear({width}, act: relu)"));
        }
        let dropout = self.settings.number("dropout", 0.0)?;
        if dropout > 0.0 {
            stages.push(format!("dropout({})", text::number(dropout)));
        }
        Ok(stages)
    }

    /// `RGCN(hidden, bases: 4`, left open.
    fn call(&self, encoder: &str, width: &str, notes: &mut Notes) -> Result<String, Failure> {
        let heads = self.settings.get("num_heads").map_or(Ok(4), |at| at.count())?;
        let bases = self.settings.get("num_bases").map_or(Ok(-1), |at| at.whole())?;
        if let Some(at) = self.settings.get("use_self_loop").filter(|_| !["rgcn", "rgat"].contains(&encoder))
        {
            notes.needless(at.path, "only `rgcn` and `rgat` read it");
        }
        let path = self.settings.get("model_encoder_type").map_or_else(|| "gsf".to_owned(), |at| at.path);
        Ok(match encoder {
            "rgcn" => {
                let name = self.own_rgcn(notes)?.unwrap_or_else(|| "RGCN".to_owned());
                let bases =
                    if bases > 0 && name != "EdgeRGCN" { format!(", bases: {bases}") } else { String::new() };
                format!("{name}({width}{bases}")
            }
            "sage" => format!("SAGEPool({width}"),
            "rgat" => format!("{}({width}, heads: {heads}", self.rgat()?),
            "hgt" => {
                let text = "`HGT` is the layer of its paper: the output matrix is on the messages, the softmax over \
                            all relations; GraphStorm has the matrix on the node itself and a mean over relations";
                notes.changed(path, text);
                format!("HGT({width}, heads: {heads}")
            }
            attention => {
                let text = "the layer attends to the node itself too, as in its paper; GraphStorm's looks at \
                            neighbours alone";
                notes.changed(path, text);
                let name = if attention == "gat" { "GAT" } else { "GATv2" };
                format!("{name}({width}, heads: {heads}")
            }
        })
    }

    fn norm(&self, encoder: &str, notes: &mut Notes) -> Result<Option<String>, Failure> {
        let Some(at) = self.settings.get("gnn_norm") else { return Ok(None) };
        if encoder.starts_with("gat") {
            notes.needless(at.path, "no task of this file reads it");
            return Ok(None);
        }
        if at.word(&["batch", "layer"])? == "batch" {
            notes.lost(
                at.path,
                "there is no normalisation over a batch: `norm(layer)` is written, the nearest",
            );
        } else {
            notes.changed(at.path, "`norm(layer)` has one scale for all node types, GraphStorm one for each");
        }
        Ok(Some("norm(layer)".to_owned()))
    }

    /// Whether embeddings of ends of links have length 1. Among several tasks a decoder can do it for its own.
    fn normalizes(&self, notes: &mut Notes) -> Result<bool, Failure> {
        let mut found = false;
        for task in self.settings.tasks.iter().filter(|task| task.kind == TaskKind::Link) {
            if !self.has_unit_rows(task)? || task.is_part_of_several() && self.score(task)? == "dot_product" {
                continue;
            }
            found = true;
            if task.is_part_of_several() {
                notes.changed(&task.path, "`unit_length` stands at the end of the network, for all tasks");
            }
        }
        Ok(found)
    }
}

pub fn triple_of(text: &str) -> Option<Triple> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [src, relation, dst] = parts[..] else { return None };
    Some(Triple(src.to_owned(), relation.to_owned(), dst.to_owned()))
}
