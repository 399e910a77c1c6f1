//! Encoders and the graph network of an experiment.

use super::graph::{Graph, NodeType, Owner, Relation, unknown};
use super::notes::Notes;
use super::schema::Triple;
use super::settings::{LanguageModel, Settings};
use super::text;
use crate::source::Failure;

/// What stands in an experiment for the model, and what it needs outside.
#[derive(Debug, Default)]
pub struct Model {
    /// `encode …` and `gnn = …`
    pub statements: Vec<String>,
    /// The layer of `std.layers`.
    pub uses: Option<&'static str>,
    /// A layer of the file's own.
    pub layer: Option<&'static str>,
}

/// What GraphStorm's relational attention computes, which the standard library has no layer for.
const RGAT: &str = include_str!("rgat.gsl");

/// The standard deviation of the uniform distribution on -1 … 1, from which GraphStorm draws embeddings.
const EMBEDDING: &str = "std: 0.577";
const ENCODERS: [&str; 9] = ["rgcn", "rgat", "hgt", "gat", "gatv2", "sage", "mlp", "lm", "learnable_embed"];

pub struct Cx<'x, 'a> {
    pub graph: &'x Graph,
    pub settings: &'x Settings<'a>,
    /// The text of the width: a `param`, or the number where that name is taken.
    pub hidden: String,
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
        model.statements.extend(self.edge_encoders(notes)?);
        let gnn = self.network(encoder, &mut model, notes)?;
        model.statements.push(format!("gnn = {gnn}"));
        self.freeze(&mut model.statements, notes)?;
        Ok(model)
    }

    /// Whether there is a graph network, and not encoders alone.
    pub fn looks_at_neighbours(&self) -> Result<bool, Failure> {
        let encoder = self.settings.get("model_encoder_type").map_or(Ok("rgcn"), |at| at.word(&ENCODERS))?;
        Ok(!["mlp", "lm", "learnable_embed"].contains(&encoder))
    }

    // ---- nodes ------------------------------------------------------------------------------------------------------

    fn encoders(&self, encoder: &str, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        let groups = self.feature_groups()?;
        let constructed =
            self.settings.get("construct_feat_ntype").map_or_else(|| Ok(Vec::new()), |at| at.texts())?;
        self.remark_construction(&constructed, notes)?;
        let mut all = Vec::new();
        for (ty, groups) in self.graph.nodes.iter().zip(&groups) {
            let name = text::name(&ty.name)?;
            let expr = if encoder == "learnable_embed" {
                format!("embedding({}, {EMBEDDING})", self.hidden)
            } else if let Some(expr) = self.constructed(ty, &constructed)? {
                expr
            } else {
                self.encoder(ty, groups, notes)?
            };
            all.push(format!("encode {name} = {expr}"));
        }
        Ok(all)
    }

    /// The features that enter the model, by node type, in groups that have a projection each.
    fn feature_groups(&self) -> Result<Vec<Vec<Vec<String>>>, Failure> {
        let mut groups: Vec<Vec<Vec<String>>> = vec![Vec::new(); self.graph.nodes.len()];
        let Some(at) = self.settings.get("node_feat_name") else { return Ok(groups) };
        let said = at.texts()?;
        if let [name] = &said[..]
            && !name.contains(':')
        {
            for (ty, groups) in self.graph.nodes.iter().zip(&mut groups) {
                if ty.features.iter().any(|f| f.name == *name) {
                    groups.push(vec![name.clone()]);
                }
            }
            return Ok(groups);
        }
        for said in &said {
            let Some((ty, features)) = said.split_once(':') else {
                return Err(at.wrong("TYPE:FEATURE,FEATURE, or one feature for all types"));
            };
            let known: Vec<String> = self.graph.nodes.iter().map(|t| t.name.clone()).collect();
            let index = known.iter().position(|name| name == ty.trim());
            let index = index.ok_or_else(|| unknown(&at.path, "node type", ty.trim(), &known))?;
            let mut group = Vec::new();
            for feature in features.split(',').map(str::trim) {
                group.extend(self.feature(&at.path, Owner::Node(index), feature)?);
            }
            groups[index].push(group);
        }
        Ok(groups)
    }

    /// A feature by its name; none for the tensors that tokens are stored as, which a language model reads.
    fn feature(&self, path: &str, owner: Owner, name: &str) -> Result<Option<String>, Failure> {
        let features = self.graph.features(owner);
        if features.iter().any(|f| f.name == name) {
            return Ok(Some(name.to_owned()));
        }
        if let Some(renamed) = features.iter().find(|f| f.name == format!("{name}_feature")) {
            return Ok(Some(renamed.name.clone()));
        }
        if ["input_ids", "attention_mask", "token_type_ids"].contains(&name)
            && features.iter().any(|f| f.is_tokens)
        {
            return Ok(None);
        }
        let known: Vec<String> = features.iter().map(|f| f.name.clone()).collect();
        Err(unknown(path, "feature", name, &known))
    }

    fn encoder(&self, ty: &NodeType, groups: &[Vec<String>], notes: &mut Notes) -> Result<String, Failure> {
        let hidden = &self.hidden;
        let act = match self.settings.get("input_activate") {
            Some(at) => at.word(&["relu"]).map(|_| ", act: relu")?,
            None => "",
        };
        let mut parts = Vec::new();
        for group in groups.iter().filter(|g| !g.is_empty()) {
            let names = text::names(group)?;
            parts.push(match (&names[..], groups.len()) {
                (names, 1) => names.join(", "),
                ([one], _) => format!("{one} |> linear({hidden}, act: relu)"),
                (names, _) => format!("concat({}) |> linear({hidden}, act: relu)", names.join(", ")),
            });
        }
        parts.extend(self.texts(ty, notes)?);
        let has_input = !parts.is_empty();
        if has_input {
            notes.changed("gsf", "`linear` has a bias, which GraphStorm's projections of inputs have not");
        } else {
            parts.push(format!("embedding({hidden}, {EMBEDDING})"));
        }
        let mut input = side_by_side(&parts);
        if has_input && self.settings.flag("use_node_embeddings", false)? {
            input = format!("concat({input} |> linear({hidden}), embedding({hidden}, {EMBEDDING}))");
        }
        let mut expr = format!("{input} |> linear({hidden}{act})");
        let more = self.settings.get("num_ffn_layers_in_input").map_or(Ok(0), |at| at.whole())?;
        for _ in 0..more {
            expr += &format!(" |> linear({hidden}, act: relu)");
        }
        let dropout = self.settings.number("dropout", 0.0)?;
        if dropout > 0.0 && (!act.is_empty() || more > 0) {
            expr += &format!(" |> dropout({})", text::number(dropout));
        }
        Ok(expr)
    }

    /// `Bert("model")(abstract)` for the language models of a type.
    fn texts(&self, ty: &NodeType, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        let mut parts = Vec::new();
        for model in self.settings.models.iter().filter(|m| m.types.contains(&ty.name)) {
            let Some(tokens) = ty.features.iter().find(|f| f.is_tokens) else {
                let text = format!("`{}` has no feature of tokens for it to read", ty.name);
                notes.lost(&model.path, text);
                continue;
            };
            parts.push(bert(model, &tokens.name)?);
            notes.changed(
                &model.path,
                "GSL downloads nothing: the text is the path of a folder that holds the model",
            );
        }
        Ok(parts)
    }

    /// The mean of the neighbours of the first relation that brings some with features.
    fn constructed(&self, ty: &NodeType, wanted: &[String]) -> Result<Option<String>, Failure> {
        if !wanted.contains(&ty.name) {
            return Ok(None);
        }
        let has_features = |name: &str| self.graph.node(name).is_some_and(|t| !t.features.is_empty());
        let into = |r: &Relation| {
            let Triple(src, _, dst) = &r.triple;
            if *dst == ty.name && has_features(src) {
                return Some((src.clone(), r.name.clone()));
            }
            let reverse = r.reverse.clone()?;
            (*src == ty.name && has_features(dst)).then(|| (dst.clone(), reverse))
        };
        let Some((src, relation)) = self.graph.edges.iter().find_map(into) else { return Ok(None) };
        Ok(Some(format!("average({} via {})", text::name(&src)?, text::name(&relation)?)))
    }

    fn remark_construction(&self, wanted: &[String], notes: &mut Notes) -> Result<(), Failure> {
        let at = self.settings.get("construct_feat_ntype");
        for key in ["construct_feat_encoder", "construct_feat_fanout"] {
            if let Some(at) = self.settings.get(key) {
                notes.lost(at.path, "features of neighbours are their mean, over all of them");
            }
        }
        for ty in self.graph.nodes.iter().filter(|ty| wanted.contains(&ty.name)) {
            let path = at.as_ref().map(|at| at.path.clone()).unwrap_or_default();
            match self.constructed(ty, wanted)? {
                Some(_) => notes.changed(
                    path,
                    "the mean of the neighbours' features along one relation, not an RGCN over all",
                ),
                None => notes
                    .lost(path, format!("no relation brings `{}` a neighbour that has features", ty.name)),
            }
        }
        Ok(())
    }

    // ---- edges ------------------------------------------------------------------------------------------------------

    fn edge_encoders(&self, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        if let Some(at) = self.settings.get("edge_feat_mp_op") {
            let text = "how a message takes in an edge is the layer's equation in GSL: write one that reads `e.NAME`";
            notes.lost(at.path, text);
        }
        let Some(at) = self.settings.get("edge_feat_name") else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        let said = at.texts()?;
        if let [name] = &said[..]
            && !name.contains(':')
        {
            for relation in self.graph.edges.iter().filter(|r| r.features.iter().any(|f| f.name == *name)) {
                all.push(self.edge_encoder(relation, std::slice::from_ref(name))?);
            }
            return Ok(all);
        }
        for said in &said {
            let Some((triple, features)) = said.split_once(':') else {
                return Err(at.wrong("SOURCE,RELATION,DESTINATION:FEATURE, or one feature for all relations"));
            };
            let index =
                self.graph.position(&at.path, &triple_of(triple).ok_or_else(|| at.wrong("three names"))?)?;
            let mut names = Vec::new();
            for feature in features.split(',').map(str::trim) {
                names.extend(self.feature(&at.path, Owner::Edge(index), feature)?);
            }
            all.push(self.edge_encoder(&self.graph.edges[index], &names)?);
        }
        Ok(all)
    }

    fn edge_encoder(&self, relation: &Relation, names: &[String]) -> Result<String, Failure> {
        let features = side_by_side(&text::names(names)?);
        Ok(format!("encode {} = {features} |> linear({})", relation.path()?, self.hidden))
    }

    // ---- the graph network ------------------------------------------------------------------------------------------

    fn network(&self, encoder: &str, model: &mut Model, notes: &mut Notes) -> Result<String, Failure> {
        let layers = self.settings.get("num_layers").map(|at| at.whole()).transpose()?;
        if !self.looks_at_neighbours()? {
            return Ok("none".to_owned());
        }
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
        (model.uses, model.layer) = match encoder {
            "rgcn" => (Some("RGCN"), None),
            "hgt" => (Some("HGT"), None),
            "gat" => (Some("GAT"), None),
            "gatv2" => (Some("GATv2"), None),
            "sage" => (Some("SAGEPool"), None),
            _ => (None, Some(RGAT)),
        };
        if stages.is_empty() { Ok("none".to_owned()) } else { Ok(stages.join(" >> ")) }
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
        let loops = self.settings.get("use_self_loop");
        if let Some(at) = loops
            && !at.flag()?
        {
            notes.lost(
                at.path,
                "the layer looks at the node itself too: write one without the term `h[v] @ S`",
            );
        }
        let path = self.settings.get("model_encoder_type").map_or_else(|| "gsf".to_owned(), |at| at.path);
        Ok(match encoder {
            "rgcn" if bases > 0 => format!("RGCN({width}, bases: {bases}"),
            "rgcn" => format!("RGCN({width}"),
            "sage" => format!("SAGEPool({width}"),
            "rgat" => format!("RGAT({width}, heads: {heads}"),
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

    /// Whether embeddings of ends of links have length 1.
    fn normalizes(&self, notes: &mut Notes) -> Result<bool, Failure> {
        let mut found = false;
        for task in &self.settings.tasks {
            let said = task.get("lp_embed_normalizer", self.settings);
            if let Some(at) = said {
                at.word(&["l2_norm"])?;
                found = true;
                if task.is_part_of_several() {
                    notes.changed(at.path, "`unit_length` stands at the end of the network, for all tasks");
                }
            }
            let loss = task.get("lp_loss_func", self.settings);
            found |= task.kind == super::settings::TaskKind::Link
                && loss.is_some_and(|at| at.value.as_str() == Some("contrastive"));
        }
        Ok(found)
    }

    // ---- language models --------------------------------------------------------------------------------------------

    /// Whether the language models learn, and how.
    fn freeze(&self, statements: &mut Vec<String>, notes: &mut Notes) -> Result<(), Failure> {
        let trained = self.settings.get("lm_train_nodes");
        let method = self.settings.get("training_method");
        if self.settings.models.is_empty() {
            for at in trained.into_iter().chain(method) {
                notes.needless(at.path, "there is no language model");
            }
            return Ok(());
        }
        let Some(trained) = trained.filter(|at| at.whole().is_ok_and(|n| n != 0)) else {
            statements.push("freeze Bert".to_owned());
            return Ok(());
        };
        if trained.whole()? > 0 {
            notes.lost(
                trained.path,
                "the language model learns from all nodes of a batch, not from some of them",
            );
        }
        let Some(method) = method else { return Ok(()) };
        let fields = method.object()?;
        if fields.need("name")?.word(&["default", "glem"])? == "glem" {
            let epochs = self.settings.get("num_epochs").map_or(Ok(1), |at| at.count())?;
            statements.push(format!("glem(rounds: {epochs})"));
            if let Some(kwargs) = fields.get("kwargs") {
                notes.lost(kwargs.path, "`glem` has rounds, an epoch of each side, and no other argument");
            }
        }
        fields.report_rest(notes);
        Ok(())
    }
}

fn bert(model: &LanguageModel, feature: &str) -> Result<String, Failure> {
    Ok(format!("Bert({})({})", text::string(&model.name), text::name(feature)?))
}

fn side_by_side(parts: &[String]) -> String {
    match parts {
        [one] if !one.contains(", ") || one.ends_with(')') => one.clone(),
        all => format!("concat({})", all.join(", ")),
    }
}

pub fn triple_of(text: &str) -> Option<Triple> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [src, relation, dst] = parts[..] else { return None };
    Some(Triple(src.to_owned(), relation.to_owned(), dst.to_owned()))
}
