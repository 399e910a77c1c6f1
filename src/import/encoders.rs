//! Encoders: what enters the first layer, from features, embeddings, neighbours and language models.

use super::graph::{NodeType, Owner, Relation, unknown};
use super::model::Cx;
use super::notes::Notes;
use super::schema::{Feature, Triple};
use super::settings::LanguageModel;
use super::tasks::Target;
use super::text;
use crate::source::Failure;

/// The standard deviation of the uniform distribution on -1 … 1, from which GraphStorm draws embeddings.
const EMBEDDING: &str = "std: 0.577";

impl Cx<'_, '_> {
    pub fn encoders(&self, encoder: &str, notes: &mut Notes) -> Result<Vec<String>, Failure> {
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
    pub fn feature(&self, path: &str, owner: Owner, name: &str) -> Result<Option<String>, Failure> {
        let features = self.graph.features(owner);
        if features.iter().any(|f| f.name == name) {
            return Ok(Some(name.to_owned()));
        }
        if let Some(renamed) = features.iter().find(|f| f.name == format!("{name}_feature")) {
            return Ok(Some(renamed.name.clone()));
        }
        if ["input_ids", "attention_mask", "token_type_ids"].contains(&name)
            && features.iter().any(|f| f.is_tokens || f.is_embedded)
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
        let answers = self.answers(ty);
        let groups: Vec<Vec<String>> = groups
            .iter()
            .map(|group| group.iter().filter(|name| !answers.contains(name)).cloned().collect())
            .collect();
        for group in groups.iter().filter(|g: &&Vec<String>| !g.is_empty()) {
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

    /// Features of a type that are reconstructed, and those of the same columns: they are no inputs.
    fn answers(&self, ty: &NodeType) -> Vec<String> {
        let is_target = |name: &str| {
            self.tasks.iter().any(|task| match &task.target {
                Target::Reconstruct(Owner::Node(at), feature) => {
                    self.graph.nodes[*at].name == ty.name && feature == name
                }
                _ => false,
            })
        };
        let targets = ty.features.iter().filter(|f| is_target(&f.name));
        let columns: Vec<&String> = targets.flat_map(|f| &f.columns).collect();
        let tells = |f: &&Feature| is_target(&f.name) || f.columns.iter().any(|c| columns.contains(&c));
        ty.features.iter().filter(tells).map(|f| f.name.clone()).collect()
    }

    /// `Bert("model")(abstract)` for the language models of a type; the vectors of those that are not trained.
    fn texts(&self, ty: &NodeType, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        let mut parts = Vec::new();
        let answers = self.answers(ty);
        for model in self.settings.models.iter().filter(|m| m.types.contains(&ty.name)) {
            if let Some(vectors) = ty.features.iter().find(|f| f.is_embedded) {
                if !answers.contains(&vectors.name) {
                    parts.push(text::name(&vectors.name)?);
                }
                continue;
            }
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

    /// Encoders of features that the layers do not read themselves.
    pub fn edge_encoders(&self, encoder: &str, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        let read = self.read_by_layers(encoder)?.is_some();
        if let Some(at) = self.settings.get("edge_feat_mp_op").filter(|_| !read) {
            let text = "how a message takes in an edge is the layer's equation in GSL: write one that reads `e.NAME`";
            notes.lost(at.path, text);
        }
        let features = self.edge_features()?;
        let features = features.iter().filter(|_| !read);
        features.map(|(relation, names)| self.edge_encoder(&self.graph.edges[*relation], names)).collect()
    }

    fn edge_encoder(&self, relation: &Relation, names: &[String]) -> Result<String, Failure> {
        let features = side_by_side(&text::names(names)?);
        Ok(format!("encode {} = {features} |> linear({})", relation.path()?, self.hidden))
    }

    /// Whether the language models learn, and how.
    pub fn freeze(&self, statements: &mut Vec<String>, notes: &mut Notes) -> Result<(), Failure> {
        let trained = self.settings.get("lm_train_nodes");
        let method = self.settings.get("training_method");
        trained.as_ref().map(|at| at.whole()).transpose()?;
        if self.settings.models.is_empty() {
            for at in trained.into_iter().chain(method) {
                notes.needless(at.path, "there is no language model");
            }
            return Ok(());
        }
        let Some(trained) = trained.filter(|_| self.settings.trains_models()) else {
            let text = "a language model that is not trained gives its vectors once, when the graph is built: `embed`";
            notes.changed("lm_model.node_lm_models", text);
            for key in ["lm_tune_lr", "freeze_lm_encoder_epochs", "training_method", "use_pseudolabel"] {
                if let Some(at) = self.settings.get(key) {
                    notes.needless(at.path, "the language model is not trained");
                }
            }
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
