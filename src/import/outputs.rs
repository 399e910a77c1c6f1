//! What an experiment writes.

use super::graph::Owner;
use super::model::Cx;
use super::notes::Notes;
use super::settings::TaskKind;
use super::tables::Paths;
use super::tasks::{Target, Task};
use super::text;
use crate::source::Failure;

impl Cx<'_, '_> {
    /// `write predictions of paper.venue, embeddings of paper to "results"`
    pub fn outputs(&self, paths: &Paths, notes: &mut Notes) -> Result<Vec<String>, Failure> {
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        for (key, what) in [("save_prediction_path", "predictions"), ("save_embed_path", "embeddings")] {
            let Some(at) = self.settings.get(key) else { continue };
            let path = paths.string(at.text()?);
            let mut items = Vec::new();
            for task in self.tasks {
                let written =
                    if what == "predictions" { self.predictions(task)? } else { self.embeddings(task)? };
                written.into_iter().for_each(|item| {
                    if !items.contains(&item) {
                        items.push(item)
                    }
                });
            }
            if self.tasks.is_empty() && what == "embeddings" {
                items = self.embeddings_of_types(&at.path)?;
            }
            if what == "predictions" && self.tasks.iter().any(|t| matches!(t.target, Target::Link(_))) {
                notes.lost(
                    &at.path,
                    "GraphStorm writes no scores of links; `write links(10) of (a -r-> b)` would write the best ones",
                );
            } else if items.is_empty() {
                notes.lost(&at.path, format!("no task of this file has {what} to write"));
            }
            if items.is_empty() {
                continue;
            }
            match all.iter_mut().find(|(known, _)| *known == path) {
                Some((_, known)) => known.extend(items),
                None => all.push((path, items)),
            }
        }
        Ok(all.into_iter().map(|(path, items)| format!("write {} to {path}", items.join(", "))).collect())
    }

    fn predictions(&self, task: &Task) -> Result<Vec<String>, Failure> {
        Ok(match &task.target {
            Target::Label(owner, label) => {
                let name = &self.graph.labels(*owner)[*label].name;
                vec![format!("predictions of {}", self.field(*owner, name)?)]
            }
            Target::Reconstruct(owner, feature) => {
                vec![format!("predictions of {}", self.field(*owner, feature)?)]
            }
            Target::Link(_) => Vec::new(),
        })
    }

    /// The types that the decoder reads, and its weights of relations.
    fn embeddings(&self, task: &Task) -> Result<Vec<String>, Failure> {
        let (types, relation) = match &task.target {
            Target::Label(Owner::Node(at), _) | Target::Reconstruct(Owner::Node(at), _) => {
                (vec![&self.graph.nodes[*at].name], None)
            }
            Target::Label(Owner::Edge(at), _)
            | Target::Reconstruct(Owner::Edge(at), _)
            | Target::Link(at) => {
                let relation = &self.graph.edges[*at];
                (vec![&relation.triple.0, &relation.triple.2], Some(relation))
            }
        };
        let mut all = Vec::new();
        for ty in types {
            let item = format!("embeddings of {}", text::name(ty)?);
            if !all.contains(&item) {
                all.push(item);
            }
        }
        let own = self.settings_of(task);
        if let Some(relation) = relation.filter(|_| own.kind == TaskKind::Link)
            && self.score(own)? != "dot_product"
        {
            all.push(format!("relations of ({})", relation.path()?));
        }
        Ok(all)
    }

    /// Without a task: of the types that are named, or of all.
    fn embeddings_of_types(&self, path: &str) -> Result<Vec<String>, Failure> {
        let said = self.settings.get("target_ntype").map(|at| at.texts()).transpose()?;
        let known: Vec<String> = self.graph.nodes.iter().map(|ty| ty.name.clone()).collect();
        let types = said.unwrap_or_else(|| known.clone());
        if let Some(wrong) = types.iter().find(|ty| !known.contains(ty)) {
            return Err(super::graph::unknown(path, "node type", wrong, &known));
        }
        types.iter().map(|ty| Ok(format!("embeddings of {}", text::name(ty)?))).collect()
    }
}
