//! Predictions of links: splits, scores, losses and ranking. Negatives of the training are in `negatives`.

use super::fields::At;
use super::graph::{Owner, unknown};
use super::model::Cx;
use super::notes::Notes;
use super::schema::{Feature, Split};
use super::settings::TaskSettings;
use super::tables::Paths;
use super::text;
use crate::source::Failure;

/// What every edge that is predicted does not do, whatever a setting says.
pub const OWN_EDGE: &str = "an edge of the batch never carries messages to its own prediction";

/// How links are ranked.
pub struct Ranking {
    /// `mrr, hits(1, 10)`
    metrics: String,
    /// What `valid.…` calls the first of them.
    pub first: String,
}

impl<'a> Cx<'_, 'a> {
    /// What stands in `predict link a -r-> b { … }`.
    pub fn link_settings(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
        paths: &Paths,
        body: &mut Vec<String>,
        notes: &mut Notes,
    ) -> Result<(), Failure> {
        let rule = self.link_split(own, relation)?.and_then(|split| split.rule(paths));
        if rule.is_none() {
            notes.changed(
                &own.path,
                "a relation without a split of its own trains on all its edges, and is not judged",
            );
        }
        body.push(format!("split = {}", rule.as_deref().unwrap_or("random(train: 100%)")));
        body.push(format!("decode = {}", self.link_decoder(own)?));
        body.push(format!("loss = {}", self.link_loss(own, relation, notes)?));
        body.push(format!("negatives = {}", self.negatives(own, relation, notes)?));
        body.push(format!("evaluate = {}", self.evaluate(own, relation, notes)?));
        if let Some(at) = own.get("exclude_training_targets", self.settings)
            && !at.flag()?
        {
            notes.lost(at.path, OWN_EDGE);
        }
        Ok(())
    }

    /// The split of the links of a relation: the one whose masks the task names, or the first.
    pub fn link_split(&self, own: &TaskSettings<'a>, relation: usize) -> Result<Option<&Split>, Failure> {
        let masks = own.masks(self.settings)?;
        let label = self.graph.edges[relation].link(masks.as_ref());
        Ok(label.map(|label| &label.split).filter(|split| !matches!(split, Split::None)))
    }

    fn link_decoder(&self, own: &TaskSettings<'a>) -> Result<String, Failure> {
        let word = self.score(own)?;
        let gamma = own.get("gamma", self.settings).map_or(Ok(12.0), |at| at.number())?;
        let margin = format!("margin: {}", text::number(gamma));
        Ok(match word {
            "dot_product" if own.is_part_of_several() && self.has_unit_rows(own)? => "cosine".to_owned(),
            "dot_product" => "dot".to_owned(),
            "distmult" => word.to_owned(),
            distance => format!("{distance}({margin})"),
        })
    }

    /// What scores a link, in GraphStorm's words.
    pub fn score(&self, own: &TaskSettings<'a>) -> Result<&'static str, Failure> {
        const WORDS: [&str; 5] = ["dot_product", "distmult", "rotate", "transe_l1", "transe_l2"];
        own.get("lp_decoder_type", self.settings).map_or(Ok("distmult"), |at| at.word(&WORDS))
    }

    /// Whether the rows that are scored have length 1: where it is asked for, and for the contrastive loss.
    pub fn has_unit_rows(&self, own: &TaskSettings<'a>) -> Result<bool, Failure> {
        if let Some(at) = own.get("lp_embed_normalizer", self.settings) {
            at.word(&["l2_norm"])?;
            return Ok(true);
        }
        Ok(self.loss_of_links(own)? == "contrastive")
    }

    fn loss_of_links(&self, own: &TaskSettings<'a>) -> Result<&'static str, Failure> {
        const WORDS: [&str; 3] = ["cross_entropy", "contrastive", "bpr"];
        own.get("lp_loss_func", self.settings).map_or(Ok("cross_entropy"), |at| at.word(&WORDS))
    }

    fn link_loss(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
        notes: &mut Notes,
    ) -> Result<String, Failure> {
        let word = self.loss_of_links(own)?;
        let adversarial = own.get("adversarial_temperature", self.settings);
        if let Some(at) = adversarial.as_ref().filter(|_| word != "cross_entropy") {
            notes.needless(&at.path, "only the loss `cross_entropy` reads it");
        }
        let said = own.get("contrastive_loss_temperature", self.settings);
        if let Some(at) = said.as_ref().filter(|_| word != "contrastive") {
            notes.needless(&at.path, "only the loss `contrastive` reads it");
        }
        let adversarial = adversarial.filter(|_| word == "cross_entropy");
        let weight = self.weight_of_links(own, relation)?;
        if let Some((at, _)) = weight.as_ref().filter(|_| word != "cross_entropy" || adversarial.is_some()) {
            notes.lost(&at.path, "links weigh in `bce` alone: `bce(positive: e.FEATURE)`");
        }
        Ok(match (word, adversarial, weight) {
            ("contrastive", ..) => {
                let temperature = said.map_or(Ok(1.0), |at| at.number())?;
                format!("contrastive(temperature: {})", text::number(temperature))
            }
            ("bpr", ..) => "bpr".to_owned(),
            (_, Some(at), _) => {
                notes.changed(
                    &at.path,
                    "the softmax is over the negatives of each link; GraphStorm's is over all negatives of a batch",
                );
                format!("adversarial(temperature: {})", text::number(at.number()?))
            }
            (_, None, Some((_, feature))) => format!("bce(positive: e.{})", text::name(&feature)?),
            (_, None, None) => "bce".to_owned(),
        })
    }

    /// The feature that says how much a link weighs, and where it is named.
    fn weight_of_links(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
    ) -> Result<Option<(At<'a>, String)>, Failure> {
        let Some(at) = own.get("lp_edge_weight_for_loss", self.settings) else { return Ok(None) };
        let found = self.feature_of_relation(&at, relation, "feature", |_| true)?;
        Ok(found.map(|feature| (at, feature)))
    }

    /// The feature that a setting names for a relation. One that is named for all relations is that of those that have it.
    pub fn feature_of_relation(
        &self,
        at: &At,
        relation: usize,
        what: &str,
        fits: impl Fn(&Feature) -> bool,
    ) -> Result<Option<String>, Failure> {
        let Some(name) = self.said_of_relation(at, relation)? else { return Ok(None) };
        let names = |relation: usize| -> Vec<String> {
            let features = self.graph.features(Owner::Edge(relation)).iter();
            features.filter(|feature| fits(feature)).map(|feature| feature.name.clone()).collect()
        };
        let known = names(relation);
        if known.contains(&name) {
            return Ok(Some(name));
        }
        let is_for_all =
            at.list_or_one().iter().all(|said| said.value.as_str().is_some_and(|s| !s.contains(':')));
        let elsewhere = (0..self.graph.edges.len()).any(|other| names(other).contains(&name));
        if is_for_all && elsewhere { Ok(None) } else { Err(unknown(&at.path, what, &name, &known)) }
    }

    /// What a setting such as `["user,rating,movie:stars"]`, or `stars` for all relations, says of a relation.
    pub fn said_of_relation(&self, at: &At, relation: usize) -> Result<Option<String>, Failure> {
        let mut found = None;
        for said in at.list_or_one() {
            let said = said.written();
            match said.rsplit_once(':') {
                Some((triple, name)) => {
                    let triple = super::model::triple_of(triple).ok_or_else(|| {
                        at.wrong("SOURCE,RELATION,DESTINATION:NAME, or one for all relations")
                    })?;
                    if self.graph.position(&at.path, &triple)? == relation {
                        found = Some(name.trim().to_owned());
                    }
                }
                None => found = Some(said),
            }
        }
        Ok(found)
    }

    /// `mrr, hits(1, 10) against uniform(1000)`
    fn evaluate(
        &self,
        own: &TaskSettings<'a>,
        relation: usize,
        notes: &mut Notes,
    ) -> Result<String, Failure> {
        let said = own.get("num_negative_edges_eval", self.settings);
        let count = said.as_ref().map_or(Ok(1000), |at| at.count())?;
        let sampler = own.get("eval_negative_sampler", self.settings);
        let word = sampler.as_ref().map_or(Ok("joint"), |at| {
            at.word(&["joint", "uniform", "localuniform", "localjoint", "fixed"])
        })?;
        let fixed = own.get("eval_etypes_negative_dstnode", self.settings);
        let path = sampler.as_ref().map_or_else(|| own.path.clone(), |at| at.path.clone());
        if word == "fixed" {
            let Some(at) = fixed else {
                let message =
                    format!("`{path}` is \"fixed\", and there is no `eval_etypes_negative_dstnode`");
                return Err(
                    Failure::new(message).help("name the feature of the edges that holds the candidates")
                );
            };
            if let Some(name) = self.candidates(&at, relation)? {
                let metrics = self.ranking(own, None, notes)?.metrics;
                return Ok(format!("{metrics} against candidates({name})"));
            }
            notes.lost(path, "a relation without candidates is ranked against nodes that are drawn");
        } else {
            if let Some(at) = fixed {
                notes.needless(at.path, "only the sampler `fixed` reads it");
            }
            if word.contains("local") {
                notes.changed(path, "the nodes that links are ranked against come from the whole type");
            }
            let at = said.map_or_else(|| own.path.clone(), |at| at.path);
            notes.changed(
                at,
                format!(
                    "each end is ranked against {count} nodes of its own, none of them twice (of a type that has not so many, \
                     write `against all`); GraphStorm ranks a link among those of both ends together"
                ),
            );
        }
        let metrics = self.ranking(own, Some(count), notes)?.metrics;
        Ok(format!("{metrics} against uniform({count})"))
    }

    /// The metrics, without those that are 1 whatever the model says because there are only `candidates` of them.
    pub fn ranking(
        &self,
        own: &TaskSettings<'a>,
        candidates: Option<i64>,
        notes: &mut Notes,
    ) -> Result<Ranking, Failure> {
        let said = own.get("eval_metric", self.settings).map(|at| at.list_or_one()).unwrap_or_default();
        let (mut calls, mut names, mut hits, mut place) = (Vec::new(), Vec::new(), Vec::new(), None);
        for at in &said {
            let word = at.text()?.to_lowercase();
            match (word.as_str(), word.strip_prefix("hit_at_").and_then(|k| k.parse::<i64>().ok())) {
                ("mrr" | "amri", _) => {
                    calls.push(word.clone());
                    names.push(word);
                }
                (_, Some(k)) if candidates.is_some_and(|n| k > n) => {
                    let ranked = candidates.unwrap_or_default() + 1;
                    notes.lost(
                        &at.path,
                        format!("it is 1 of any model: {ranked} nodes are ranked, the link's own among them"),
                    );
                }
                (_, Some(k)) if k > 0 => {
                    place.get_or_insert(calls.len());
                    hits.push(k.to_string());
                    names.push(format!("hits_{k}"));
                }
                _ => return Err(at.wrong("`mrr`, `hit_at_K` or `amri`")),
            }
        }
        if let Some(place) = place {
            calls.insert(place, format!("hits({})", hits.join(", ")));
        }
        if calls.is_empty() {
            calls.push("mrr".to_owned());
            names.push("mrr".to_owned());
        }
        Ok(Ranking { metrics: calls.join(", "), first: names.remove(0) })
    }
}
